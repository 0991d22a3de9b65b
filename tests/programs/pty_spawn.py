# A program in a terminal that another one copies to its output, with a line of progress each.
# needs: python3
# run: python3 -u {src}
# progress: 3
# situations: -new
# answer: 80 lines; its terminal, in front: True True; ended with 3
import os
import pty
import sys
import time


def inside():
    for n in range(80):
        print(n)
        time.sleep(0.1)
    with open("/dev/tty", "rb", buffering=0) as tty:
        own = os.tcgetpgrp(tty.fileno()) == os.getpgrp() and os.ttyname(1).startswith("/dev/pts/")
    print("its terminal, in front:", own, os.getsid(0) == os.getpid())
    sys.exit(3)


if len(sys.argv) > 1:
    inside()
kept = []


def read(fd):
    data = os.read(fd, 1000)
    kept.append(data)
    return data


status = os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-u", __file__, "inside"], read))
lines = b"".join(kept).decode().split("\r\n")
print(f"{len(lines) - 2} lines; {lines[-2]}; ended with {status}")
