# bash completion for BLCR's tools and Open PAL's. The options come from the tool itself, so they
# are those of its version.

_cr_tools_kind()
{
    local kind=$1 cur=$2

    case $kind in
    @dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    @file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    @command) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    @pid)
        mapfile -t COMPREPLY < <(compgen -W \
            "$(for p in /proc/[0-9]*; do [ -O "$p" ] && echo "${p##*/}"; done)" -- "$cur")
        ;;
    esac
}

_cr_tools()
{
    local tool=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local name option metavar words rest operands="" options="" value="" i

    # bash splits words at "=" as well; join what belongs together.
    if [[ $prev == "=" ]] && (( COMP_CWORD > 2 )); then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    elif [[ $cur == "=" ]]; then
        cur=""
    fi
    COMPREPLY=()
    while IFS= read -r rest; do
        # Empty fields must stay fields: a tab is white space to read.
        IFS=$'\x1f' read -r name option metavar words rest <<< "${rest//$'\t'/$'\x1f'}"
        if [[ $name == crs ]]; then
            operands=$words
        else
            options+="$option "
            [[ $option == "$prev" && -n $metavar ]] && value=${words:-none}
        fi
    done < <("$tool" --list-options 2>/dev/null)

    if [[ $operands == @command ]]; then
        # What stands behind the command to run is that command's business.
        for (( i = 1; i < COMP_CWORD; i++ )); do
            [[ ${COMP_WORDS[i]} == -* ]] && continue
            compopt -o default 2>/dev/null
            return
        done
    fi
    if [[ -n $value ]]; then
        _cr_tools_kind "$value" "$cur"
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    else
        _cr_tools_kind "$operands" "$cur"
    fi
}

complete -F _cr_tools cr_run cr_checkpoint cr_restart \
    opal-checkpoint opal_checkpoint opal-restart opal_restart
