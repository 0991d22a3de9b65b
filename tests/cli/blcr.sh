# blcr.sh - for the tests of BLCR's tools; sourced behind lib.sh
PATH=$STAGE/bin:$PATH

# A program that counts, with the library that lets cr_checkpoint save it, under yama as well; $pid.
start_counter() { # [COMMAND...]: it runs by them
    counter
    rm -f count end
    cr_run "$@" python3 counter.py </dev/null >>program.out 2>&1 &
    pid=$!
    until_true has count
}

# It ended as it does by itself; it is a child of this shell.
end_counter() { # [PID]
    touch end
    ends_with 7 "${1:-$pid}"
    rm -f end
}

mode_of() { stat -c %a "$1"; }
no_left_overs() { [ -z "$(find . -name '.*.tmp')" ] || fail "left behind: $(find . -name '.*.tmp')"; }

# COMMAND...: as it ends, but not before all are gone that it started: PIDs of orphans are free again.
reaped() {
    python3 -c 'import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
first = os.fork()
if first == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        pid, status = os.wait()
    except ChildProcessError:
        break
    if pid == first:
        code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)' "$@"
}
