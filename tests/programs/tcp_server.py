# A connection over TCP, which can't be saved yet; the refusal names the socket.
# needs: python3
# run: python3 -u {src}
# progress: 1
# refused: socket
# answer: the end b'over the wire'
import socket
import time

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
client.sendall(b"over the wire")
print("connected")
time.sleep(3)
print("the end", peer.recv(100))
