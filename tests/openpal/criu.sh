# criu.sh - what scripts about the component criu share; they begin with: . "$OPENPAL_TESTS/criu.sh"
. "$OPENPAL_TESTS/comp.sh"
exec </dev/null

skip() {
    echo "$*"
    exit 77
}

# A CRIU that works under this kernel: the machine's, or one that was got for the tests, which have
# no network themselves.
find_criu() {
    local path
    for path in "$(command -v criu || true)" "$BUILD/criu/criu"; do
        if [ -x "$path" ] && "$path" check >/dev/null 2>&1; then
            OPAL_MCA_crs_criu_binary=$path
        fi
    done
    if [ -z "${OPAL_MCA_crs_criu_binary-}" ]; then
        OPAL_MCA_crs_criu_binary=$BUILD/criu/criu
        [ -x "$OPAL_MCA_crs_criu_binary" ] || skip "no CRIU: tools/criu $BUILD/criu gets one"
        "$OPAL_MCA_crs_criu_binary" check >out 2>&1 || skip "$(tail -n 1 out)"
    fi
    export OPAL_MCA_crs_criu_binary
}

# Restarted processes need their old PIDs: in a PID namespace of its own nobody else takes them.
needs_criu() {
    [ "$(id -u)" = 0 ] || skip "CRIU needs root"
    if [ -z "${IN_NAMESPACE-}" ]; then
        find_criu
        export IN_NAMESPACE=1
        exec unshare --pid --fork --kill-child --mount-proc "$0"
    fi
    export OPAL_MCA_crs=criu
}

# Its output isn't a file that grows, nor a pipe that is nobody's: where it wants to say something,
# it has a file.
start() {
    setsid "$PROGRAMS/criu_program" "$@" >/dev/null 2>/dev/null &
}

pid_of() { cat "$1.ready"; }
has_line() { grep -qxF -e "$2" "$1"; }
is_gone() { [ ! -e "/proc/$1" ]; }
is_running() { grep -q '^State:.[SR]' "/proc/$1/status" && grep -q '^TracerPid:.0' "/proc/$1/status"; }
is_stopped() { grep -q '^State:.T' "/proc/$1/status"; }

file_says() { # FILE WORDS...: each is in it
    local file=$1 word
    shift
    for word in "$@"; do
        grep -qF -e "$word" "$file" || fail "$file doesn't say '$word': $(cat "$file")"
    done
}

# result FILE LINE...: the file has exactly these
result() {
    local file=$1
    shift
    printf '%s\n' "$@" | cmp -s - "$file" || fail "$file: $(tr '\n' '|' <"$file")"
}
