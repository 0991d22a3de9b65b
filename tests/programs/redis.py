# Redis with data, a client connected through the loopback, and its background saves.
# needs: python3 redis-server
# run: python3 -u {src}
# progress: 2
# until: finish
# cycles: 2
# situations: -new
#     (it keeps the PIDs of the children that save, and its client that of the server)
# answer: all 3000 values are right
import os
import socket
import subprocess
import time


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.stream = self.socket.makefile("rwb")

    def ask(self, *words):
        self.stream.write(b"*%d\r\n" % len(words))
        for word in map(str, words):
            self.stream.write(b"$%d\r\n%s\r\n" % (len(word), word.encode()))
        self.stream.flush()
        return self.answer()

    def answer(self):
        line = self.stream.readline().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return self.stream.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        assert kind in b"+:", line
        return int(rest) if kind == b":" else rest.decode()


def connected(port, server):
    while server.poll() is None:
        try:
            return Client(port)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit("redis-server ended")


port = free_port()
server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                           "--logfile", "redis.log", "--appendonly", "yes"])
clients = [connected(port, server) for _ in range(3)]
rounds = 0
for i in range(3000):
    clients[i % 3].ask("SET", f"key:{i}", i * 7)
while not os.path.exists("finish"):
    if "rdb_bgsave_in_progress:0" in clients[0].ask("INFO", "persistence"):
        clients[0].ask("BGSAVE", "SCHEDULE")
    for i in range(300):
        assert clients[i % 3].ask("INCRBY", "sum", i) == rounds * 44850 + i * (i + 1) // 2
    rounds += 1
    print("round", rounds)
right = sum(clients[i % 3].ask("GET", f"key:{i}") == str(i * 7) for i in range(3000))
while "rdb_bgsave_in_progress:0" not in clients[0].ask("INFO", "persistence"):
    time.sleep(0.01)
assert "rdb_last_bgsave_status:ok" in clients[0].ask("INFO", "persistence")
for client in clients[1:]:
    client.socket.close()
clients[0].stream.write(b"SHUTDOWN SAVE\r\n")
clients[0].stream.flush()
assert server.wait() == 0
print(f"all {right} values are right")
