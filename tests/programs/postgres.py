# PostgreSQL under pgbench: accounts, tellers and branches sum up to the same, before and after.
# needs: python3 /usr/lib/postgresql/*/bin/pgbench /usr/lib/*/libnss_wrapper.so
# run: python3 -u {src}
# progress: 3
# until: finish
# cycles: 2
# users: user
#     (initdb refuses to run as root)
# situations: -new
#     (the postmaster keeps PIDs in shared memory and in its lock file)
# answer: pgbench failed in nothing, the sums are the same, the server ended with 0
import glob
import os
import pwd
import re
import signal
import subprocess
import time

BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
SUMS = """SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance)
          FROM pgbench_branches) AND (SELECT sum(tbalance) FROM pgbench_tellers) =
          (SELECT sum(delta) FROM pgbench_history), count(*) FROM pgbench_history;\n"""


def named():
    """initdb asks for its user's name, and a test's user may have none."""
    try:
        pwd.getpwuid(os.getuid())
        return {}
    except KeyError:
        with open("passwd", "w", encoding="ascii") as file:
            file.write(f"bench:x:{os.getuid()}:{os.getgid()}::{work}:/bin/sh\n")
        with open("group", "w", encoding="ascii") as file:
            file.write(f"bench:x:{os.getgid()}:\n")
        return {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": f"{work}/passwd",
                "NSS_WRAPPER_GROUP": f"{work}/group"}


def run(*command, **environment):
    done = subprocess.run([f"{BIN}/{command[0]}", *command[1:]], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, env=os.environ | environment)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.returncode} {done.stdout}{done.stderr}")
    return done.stdout.strip()


def ready():
    ask = [f"{BIN}/pg_isready", "-q", "-h", work, "-U", "bench"]
    return subprocess.run(ask, check=False).returncode == 0


work = os.getcwd()
run("initdb", "-D", "data", "-A", "trust", "-U", "bench", "-N", "-E", "UTF8", "--locale=C",
    **named())
server = subprocess.Popen([f"{BIN}/postgres", "-D", "data", "-k", work, "-h", "", "-c",
                           "shared_buffers=4MB", "-c", "max_connections=12", "-c", "fsync=off"],
                          stderr=open("server.log", "wb"))
while server.poll() is None and not ready():
    time.sleep(0.02)
client = ["-h", work, "-U", "bench"]
run("pgbench", "-i", "-q", *client, "postgres")
bench = subprocess.Popen([f"{BIN}/pgbench", *client, "-n", "-c", "3", "-j", "2", "-T", "3600",
                          "-P", "1", "postgres"], stdout=open("bench.out", "wb"),
                         stderr=subprocess.PIPE, text=True)
# One session that stays: none is just being made when the program is frozen.
psql = subprocess.Popen([f"{BIN}/psql", "-At", *client, "postgres"], text=True,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def sums():
    psql.stdin.write(SUMS)
    psql.stdin.flush()
    return psql.stdout.readline().strip().split("|")


count = 0
while not os.path.exists("finish"):
    time.sleep(0.05)
    assert bench.poll() is None, "pgbench ended: " + bench.stderr.read()
    answer, now = sums()
    assert answer in "t" and int(now) >= count, (answer, now)
    if int(now) > count:
        print(now, "transactions")
    count = int(now)
bench.send_signal(signal.SIGINT)
said = bench.stderr.read()
bench.wait()
failed = re.search(r"(?i)error|abort|fatal|panic", said)
answer, now = sums()
psql.stdin.close()
psql.wait()
server.send_signal(signal.SIGINT)
print(f"pgbench failed in {'something: ' + said if failed else 'nothing'}, the sums are",
      "the same," if answer == "t" else "not the same,", "the server ended with", server.wait())
