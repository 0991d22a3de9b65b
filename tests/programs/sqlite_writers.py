# SQLite under writers of several processes, with a write-ahead log and its shared memory.
# needs: python3
# run: python3 -u {src}
# progress: 2
# until: finish
# cycles: 2
# situations: -new
#     (the parent waits for its writers by their PIDs)
# answer: integrity ok, no row is missing, none is double
import os
import sqlite3
import sys
import time


def connect():
    return sqlite3.connect("test.db", timeout=60, isolation_level=None)


def write(number):
    database, n, tries = connect(), 0, 0
    while not os.path.exists("finish"):
        tries += 1
        database.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            n += 1
            database.execute("INSERT INTO t VALUES (?, ?, ?)", (number, n, "x" * (n % 300)))
        if tries % 5 == 3:
            n -= 20
            database.execute("ROLLBACK")
        else:
            database.execute("COMMIT")
        if tries % 10 == 0:
            print("writer", number, "row", n)
        time.sleep(0.01)
    database.execute("INSERT INTO ends VALUES (?, ?)", (number, n))


connection = connect()
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE t (writer INTEGER, n INTEGER, words TEXT, UNIQUE (writer, n))")
connection.execute("CREATE TABLE ends (writer INTEGER, n INTEGER)")
connection.close()
writers = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        write(i + 1)
        sys.exit(0)
    writers.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in writers)
connection = connect()
check = connection.execute("PRAGMA integrity_check").fetchone()[0]
missing = sum(count != n for count, n in connection.execute(
    "SELECT (SELECT count(*) FROM t WHERE t.writer = ends.writer AND t.n <= ends.n), n FROM ends"))
ends = connection.execute("SELECT count(*) FROM ends").fetchone()[0]
rows = connection.execute("SELECT count(*) FROM t").fetchone()[0]
total = connection.execute("SELECT sum(n) FROM ends").fetchone()[0]
print("integrity", check + ("," if check == "ok" else "!"),
      "no row is missing," if missing == 0 and ends == 3 else f"rows are missing: {missing},",
      "none is double" if rows == total else f"{rows} rows of {total}")
