# MariaDB, whose InnoDB reads and writes by way of io_uring; two clients that move amounts about.
# needs: python3 /usr/sbin/mariadbd mariadb-install-db mariadb
# run: python3 -u {src}
# progress: 3
# until: finish
# cycles: 2
# situations: -new
#     (its mutexes know threads by their IDs)
# answer: the sums are the same, the tables are right, it uses io_uring, the server ended with 0
import os
import signal
import subprocess
import time

N_ACCOUNTS, AMOUNT = 4000, 100
work = os.getcwd()
FILES = f"--no-defaults --datadir={work}/data --socket={work}/s --tmpdir={work}".split()


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.returncode} {done.stdout}{done.stderr}")


class Client:
    def __init__(self):
        self.process = subprocess.Popen(
            ["mariadb", "--no-defaults", f"--socket={work}/s", "-u", "root", "-N", "-B", "-n",
             "test"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, *statements):
        self.process.stdin.write(";\n".join(statements) + ";\n")
        self.process.stdin.flush()

    def ask(self, *statements):
        self.say(*statements)
        return self.process.stdout.readline().split()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def move(client, n):
    taken, given = n * 7919 % N_ACCOUNTS, n * 104729 % N_ACCOUNTS
    client.say("BEGIN", f"UPDATE a SET v = v - 1, f = REPEAT('{n % 10}', 900) WHERE id = {taken}",
               f"UPDATE a SET v = v + 1 WHERE id = {given}", f"INSERT INTO h VALUES ({n})",
               "COMMIT")


user = [f"--user={'root' if os.getuid() == 0 else os.getuid()}"]
run("mariadb-install-db", *FILES, "--skip-test-db", "--auth-root-authentication-method=normal",
    *(user if os.getuid() == 0 else []))
os.mkdir("data/test")
server = subprocess.Popen(
    ["/usr/sbin/mariadbd", *FILES, *(user if os.getuid() == 0 else []), "--skip-networking",
     "--skip-grant-tables", "--innodb-use-native-aio=1", "--innodb-buffer-pool-size=6M",
     "--innodb-log-file-size=8M", "--innodb-flush-method=O_DIRECT",
     "--innodb-max-dirty-pages-pct=1", "--innodb-max-dirty-pages-pct-lwm=0.1"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open("server.log", "wb"))
while server.poll() is None and not os.path.exists("s"):
    time.sleep(0.02)
first, second = Client(), Client()
first.ask("CREATE TABLE a (id INT PRIMARY KEY, v BIGINT, f VARCHAR(1000)) ENGINE=InnoDB",
          "CREATE TABLE h (n INT PRIMARY KEY) ENGINE=InnoDB",
          f"INSERT INTO a SELECT seq, {AMOUNT}, REPEAT('x', 900) FROM seq_0_to_{N_ACCOUNTS - 1}",
          "SELECT 1")
count = 0
while not os.path.exists("finish"):
    for n in range(10):
        move(second, count + n)
    second.ask("SELECT 1")
    count += 10
    total, accounts = first.ask("SELECT SUM(v), COUNT(*) FROM a")
    assert (int(total), int(accounts)) == (N_ACCOUNTS * AMOUNT, N_ACCOUNTS), (total, accounts)
    print(count, "transactions")
    time.sleep(0.03)
moved = first.ask("SELECT COUNT(*) FROM h")
check = first.ask("CHECK TABLE a EXTENDED")
aio = "io_uring" in open("server.log", encoding="utf8").read()
first.end()
second.end()
server.send_signal(signal.SIGTERM)
print("the sums are", "the same," if int(moved[0]) == count else "not the same,",
      "the tables are", "right," if check[-1] == "OK" else f"wrong: {check},",
      "it uses", "io_uring," if aio else "no io_uring,", "the server ended with", server.wait())
