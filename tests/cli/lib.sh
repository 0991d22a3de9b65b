# lib.sh - for the tests of the command; each is sourced from a script in an empty directory, with
# the tool in $CRS and a store of its own in $CRS_STORE.
set -u

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "$*"
    exit 77
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

until_true() { # COMMAND...: within 10 s, or more where all is slow
    local i
    for ((i = 0; i < ${CRS_TESTS_SLOW:+4}500; i++)); do
        "$@" && return
        sleep 0.02
    done
    fail "not true within 10 s: $*"
}

# A program that counts in ./count, a line every 20 ms, until ./end exists; its exit code is 7.
counter() {
    cat >counter.py <<'END'
import os, signal, sys, time
def hup(*_):
    with open("hup", "a") as f:
        f.write("hup\n")
signal.signal(signal.SIGHUP, hup)
with open("count", "a", buffering=1) as f:
    n = 0
    while not os.path.exists("end"):
        n += 1
        f.write(f"{n}\n")
        time.sleep(0.02)
sys.exit(7)
END
}

# COMMAND...: run it in this shell's place; where yama lets only ancestors hold a process, this one
# may be held by anyone of the same user.
traceable() {
    exec python3 -c 'import ctypes, os, sys
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # PR_SET_PTRACER
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

counts() { wc -l 2>/dev/null <count || echo 0; }
counted_beyond() { [ "$(counts)" -gt "$1" ]; }
goes_on() { until_true counted_beyond "$(counts)"; }
state_of() { sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null || echo gone; }
is_state() { [ "$(state_of "$1")" = "$2" ]; }
gone() { [ ! -e "/proc/$1" ] || is_state "$1" Z; }
has() { [ -s "$1" ]; }
child_of() { cut -d' ' -f1 "/proc/$1/task/$1/children"; }

# A job "job" that counts; $pid is the program, $run the crs run.
start_job() {
    counter
    "$CRS" run --name job -- python3 counter.py </dev/null >>program.out 2>&1 &
    run=$!
    until_true has count
    pid=$(child_of "$run")
}

ends_with() { # CODE PID: a job of this shell
    local code=0
    wait "$2" || code=$?
    [ "$code" = "$1" ] || fail "process $2 ended with $code, expected $1"
}
