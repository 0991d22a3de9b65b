# comp.sh - what scripts about components share; they begin with: . "$OPENPAL_TESTS/comp.sh"
. "$OPENPAL_TESTS/shell.sh"
set -eo pipefail
PROGRAMS=$OPENPAL_PROGRAMS
PATH=$OPENPAL/bin:$PATH
SNAPSHOTS=$HOME/.local/state/crs/opal

until_true() { # COMMAND...: waits for it to succeed
    local i
    for ((i = 0; i < 6000; i++)); do
        if "$@" 2>/dev/null; then
            return
        fi
        sleep 0.01
    done
    fail "never: $*"
}

no_snapshot() { # [FOLDER]: nothing is in it
    local folder=${1:-$SNAPSHOTS}
    [ -z "$(ls -A "$folder" 2>/dev/null)" ] || fail "left: $(ls -A "$folder")"
}

driver() {
    "$PROGRAMS/crs_driver" "$@"
}
