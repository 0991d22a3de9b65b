# shell.sh - for the scripts here; each is sourced in an empty directory, which is the home, too.
set -u

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# CODE COMMAND...: run it; its output goes to ./out and ./err, its exit code must be CODE
expect() {
    local wanted=$1 code=0
    shift
    echo "+ $*" >&2
    "$@" >out 2>err </dev/null || code=$?
    sed 's/^/    /' out err >&2
    [ "$code" = "$wanted" ] || fail "exit code $code, expected $wanted: $*"
}

says() { # WORDS...: each is in the output of the command before
    local word
    for word in "$@"; do
        grep -qF -- "$word" out err || fail "the output does not say '$word'"
    done
}

says_not() { # WORDS...: none is
    local word
    for word in "$@"; do
        ! grep -qF -- "$word" out err || fail "the output says '$word'"
    done
}

# FOLDER [FLAG...]: the component "outside" is built there, with nothing but the installed headers
build_outside() {
    local folder=$1
    shift
    mkdir -p "$folder"
    # shellcheck disable=SC2046 # flags are words
    gcc -shared -fPIC -Wall -Werror "$@" -o "$folder/mca_crs_outside.so" \
        "$OPENPAL_TESTS/outside/mca_crs_outside.c" $(pkg-config --cflags --libs opal-crs) ||
        fail "the component can't be built"
}

PROBE=$OPENPAL_PROGRAMS/probe
