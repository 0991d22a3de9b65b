# An HTTP server and its clients in one process, by threads; new connections all the time, and one
# that is kept.
# needs: python3
# run: python3 -u {src}
# progress: 3
# answer: 40 answers, bf3ec855
import http.client
import http.server
import threading
import time
import zlib


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = bytes(int(self.path[1:]) * i % 251 for i in range(20000))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
kept = http.client.HTTPConnection(*server.server_address)
checksum = 0
for n in range(40):
    connection = kept if n % 2 else http.client.HTTPConnection(*server.server_address)
    connection.request("GET", f"/{n}")
    checksum = zlib.crc32(connection.getresponse().read(), checksum)
    if n % 2 == 0:
        connection.close()
    print(n)
    time.sleep(0.1)
print(f"40 answers, {checksum:08x}")
