# bash completion for crs(1). The options come from crs itself, so they are those of its version.

_crs_words()
{
    # The row of an option of a command: COMMAND OPTION METAVAR WORDS HELP, with tabs.
    "$1" --list-options 2>/dev/null
}

_crs_complete_kind()
{
    local crs=$1 kind=$2 cur=$3

    case $kind in
    @dir) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    @file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    @command) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    @job) mapfile -t COMPREPLY < <(compgen -W "$("$crs" --list-jobs 2>/dev/null)" -- "$cur") ;;
    @target)
        mapfile -t COMPREPLY < <(compgen -W "$("$crs" --list-jobs 2>/dev/null)
            $(for p in /proc/[0-9]*; do [ -O "$p" ] && echo "${p##*/}"; done)" -- "$cur")
        ;;
    @snapshot)
        if [[ $cur == */* ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$("$crs" --list-snapshots 2>/dev/null)" -- "$cur")
        fi
        ;;
    =*)
        # Several with commas between: complete the last one.
        local before=""
        [[ $cur == *,* ]] && before=${cur%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "${kind#=}" -- "${cur##*,}")
        ;;
    ?*) mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$cur") ;;
    esac
}

_crs()
{
    local crs=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} table name option metavar words rest i
    local operands="" options="" commands="" value="" joined=""

    # bash splits words at "=" and "@" as well; join what belongs together.
    if [[ $prev == "=" ]] && (( COMP_CWORD > 2 )); then
        prev=${COMP_WORDS[COMP_CWORD-2]}
        joined="="
    elif [[ $cur == "=" ]]; then
        cur=""
        joined="="
    fi
    COMPREPLY=()
    table=$(_crs_words "$crs") || return
    while IFS= read -r rest; do
        # Empty fields must stay fields: a tab is white space to read.
        IFS=$'\x1f' read -r name option metavar words rest <<< "${rest//$'\t'/$'\x1f'}"
        if [[ $name == crs ]]; then
            commands+="$option "
            [[ $option == "$command" ]] && operands=$words
        elif [[ $name == "$command" ]]; then
            options+="$option "
            [[ $option == "$prev" && -n $metavar ]] || continue
            if [[ $metavar != "="* ]]; then
                value=${words:-none}
            elif [[ $joined ]]; then
                value="=$words"
            fi
        fi
    done <<< "$table"

    if (( COMP_CWORD == 1 )); then
        mapfile -t COMPREPLY < <(compgen -W "$commands help" -- "$cur")
        return
    fi
    if [[ $operands == @command ]]; then
        # What stands behind the command to run is that command's business.
        for (( i = 2; i < COMP_CWORD; i++ )); do
            [[ ${COMP_WORDS[i]} == -- ]] && { compopt -o default 2>/dev/null; break; }
        done
    fi
    if [[ -n $value ]]; then
        [[ $value == none ]] || _crs_complete_kind "$crs" "$value" "$cur"
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ $operands ]]; then
        _crs_complete_kind "$crs" "$operands" "$cur"
    fi
}

complete -F _crs crs
