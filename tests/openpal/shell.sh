# shell.sh - for the scripts here; each is sourced in an empty directory, which is the home, too.
. "$OPENPAL_TESTS/lib.sh" # of the tests of the command

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
