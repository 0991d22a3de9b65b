# An echo server on epoll and its clients in one process; large messages, so that there always is
# data on its way.
# needs: python3
# run: python3 -u {src}
# progress: 3
# answer: 5 clients, 200 echoes
import random
import selectors
import socket
import threading
import time

ROUNDS, CLIENTS = 40, 5
selector = selectors.DefaultSelector()
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
selector.register(listener, selectors.EVENT_READ)
right = [0] * CLIENTS


def serve():
    waiting = {}
    while True:
        for key, events in selector.select():
            peer = key.fileobj
            if peer is listener:
                peer, _ = listener.accept()
                peer.setblocking(False)
                waiting[peer] = bytearray()
                selector.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE)
                continue
            if events & selectors.EVENT_READ:
                data = peer.recv(10000)
                if not data:
                    selector.unregister(peer)
                    peer.close()
                    continue
                waiting[peer] += data
            if events & selectors.EVENT_WRITE and waiting[peer]:
                del waiting[peer][:peer.send(waiting[peer])]
            selector.modify(peer, selectors.EVENT_READ |
                            (selectors.EVENT_WRITE if waiting[peer] else 0))


def client(number):
    peer = socket.create_connection(listener.getsockname())
    source = peer.makefile("rb")
    for step in range(ROUNDS):
        data = random.Random(number * 1000 + step).randbytes(300000)
        threading.Thread(target=peer.sendall, args=(data,)).start()
        time.sleep(0.08)
        right[number] += source.read(len(data)) == data
        if number == 0:
            print(step)


threading.Thread(target=serve, daemon=True).start()
clients = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
for thread in clients:
    thread.start()
for thread in clients:
    thread.join()
print(f"{CLIENTS} clients, {sum(right)} echoes")
