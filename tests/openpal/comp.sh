# comp.sh - what scripts about components share; they begin with: . "$OPENPAL_TESTS/comp.sh"
set -euo pipefail
exec </dev/null
PROGRAMS=$OPENPAL_PROGRAMS
PATH=$OPENPAL/bin:$PATH
SNAPSHOTS=$HOME/.local/state/crs/opal

# Shows all that was written, so that a failure explains itself.
fail()
{
    echo "failed: $*"
    tail -n +1 out* 2>/dev/null || true
    exit 1
}

# run EXIT-CODE COMMAND...: its output is in the file `out`
run()
{
    local want=$1 code=0
    shift
    "$@" >out 2>&1 || code=$?
    [ "$code" = "$want" ] || fail "$*: exit code $code instead of $want"
}

# says TEXT... [-- FILE]: each is in the file
says()
{
    local file=out text texts=()
    while [ $# -gt 0 ]; do
        if [ "$1" = -- ]; then
            file=$2
            break
        fi
        texts+=("$1")
        shift
    done
    for text in "${texts[@]}"; do
        grep -qF -e "$text" "$file" || fail "$file doesn't say: $text"
    done
}

says_not()
{
    ! grep -qF -e "$1" out || fail "out says: $1"
}

# until COMMAND...: waits for it to succeed
until_true()
{
    local i
    for ((i = 0; i < 6000; i++)); do
        if "$@" 2>/dev/null; then
            return
        fi
        sleep 0.01
    done
    fail "never: $*"
}

no_snapshot()
{
    [ -z "$(ls -A "${1:-$SNAPSHOTS}" 2>/dev/null)" ] || fail "left: $(ls -A "${1:-$SNAPSHOTS}")"
}

driver()
{
    "$PROGRAMS/crs_driver" "$@"
}
