# nginx with two workers that serve files to clients with kept connections.
# needs: python3 /usr/sbin/nginx
# run: python3 -u {src}
# progress: 2
# until: finish
# cycles: 2
# situations: -new
#     (the master keeps the PIDs of its workers)
# answer: every page was right, nginx ended with 0
import http.client
import os
import socket
import subprocess
import time

CONFIGURATION = """
daemon off;
worker_processes 2;
pid {work}/nginx.pid;
error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    access_log {work}/access.log;
    client_body_temp_path {work}/body;
    proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi;
    scgi_temp_path {work}/scgi;
    server {{ listen 127.0.0.1:{port}; root {work}/pages; }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def started(work, port):
    with open("nginx.conf", "w", encoding="ascii") as file:
        user = "user root;" if os.getuid() == 0 else ""
        file.write(user + CONFIGURATION.format(work=work, port=port))
    server = subprocess.Popen(["/usr/sbin/nginx", "-e", f"{work}/error.log",
                               "-c", f"{work}/nginx.conf"])
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit("nginx ended")


work, port = os.getcwd(), free_port()
os.mkdir("pages")
for n in range(10):
    with open(f"pages/{n}", "w", encoding="ascii") as file:
        file.write(f"page {n}\n" * (2000 * n + 1))
nginx = started(work, port)
clients = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(4)]
rounds = 0
while not os.path.exists("finish"):
    for n in range(40):
        clients[n % 4].request("GET", f"/{n % 10}")
        text = clients[n % 4].getresponse().read().decode()
        assert text == f"page {n % 10}\n" * (2000 * (n % 10) + 1), len(text)
    rounds += 1
    print("round", rounds)
for client in clients:
    client.close()
with open("nginx.pid", encoding="ascii") as file:
    os.kill(int(file.read()), 3)  # SIGQUIT: end when what was asked is answered
print("every page was right, nginx ended with", nginx.wait())
