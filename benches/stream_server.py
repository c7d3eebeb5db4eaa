"""A server that streams stored lines over TLS as the platform does: HTTP/1.1, chunked, gzip, and a
flush after every thousand bytes. It can send at a rate and note when it sent what, or all it has.
"""

import email.utils
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import zlib

# as many bytes of lines as the platform puts into one chunk, about
CHUNK_BYTES = 1000


def received_lines(spool, count):
    """The first lines of a spool's first server, as they were received."""
    lines = []
    for segment in sorted((spool / "1").rglob("*_000.jsonl")):
        for line in segment.read_bytes().split(b"\n")[:-1]:
            before, _, after = line.rpartition(b',"__twarc":')
            lines.append(before + after[after.index(b"}") + 1 :] + b"\r\n")
            if len(lines) == count:
                return lines
    return lines


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class StreamServer:
    """Answers every request with the stream; `hangs_up_after` seconds it drops the connection."""

    def __init__(self, folder, lines, *, rate=None, hangs_up_after=None):
        self.lines = lines
        self.rate = rate
        self.hangs_up_after = hangs_up_after
        self.sent = []
        self.drops = []
        self.requests = []
        self.done = threading.Event()
        folder = pathlib.Path(folder)
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
             "-out", self.certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-addext", "basicConstraints=critical,CA:FALSE"],
            check=True, capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.socket = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.url = f"https://localhost:{self.socket.getsockname()[1]}"
        self.chunks = self.packed() if rate is None else []
        threading.Thread(target=self.serve, daemon=True).start()

    def packed(self):
        """All lines, compressed and cut into chunks, before anybody asks."""
        gzip, chunks, batch = zlib.compressobj(6, zlib.DEFLATED, 31), [], b""
        for line in self.lines:
            batch += line
            if CHUNK_BYTES <= len(batch):
                chunks.append(chunk(gzip.compress(batch) + gzip.flush(zlib.Z_SYNC_FLUSH)))
                batch = b""
        chunks.append(chunk(gzip.compress(batch) + gzip.flush(zlib.Z_FINISH)))
        return chunks

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                continue
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection):
        try:
            connection.recv(65536)
            self.requests.append(time.time())
            date = email.utils.formatdate(usegmt=True)
            head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
            connection.sendall(f"{head}Date: {date}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            if self.rate is None:
                for data in self.chunks:
                    connection.sendall(data)
                connection.sendall(b"0\r\n\r\n")
                self.done.set()
                # curl ends by itself; the collector would come again and again
                threading.Event().wait()
            self.at_rate(connection)
        except OSError:
            pass

    def at_rate(self, connection):
        gzip, begin = zlib.compressobj(6, zlib.DEFLATED, 31), time.time()
        while len(self.sent) < len(self.lines):
            if self.hangs_up_after and self.hangs_up_after < time.time() - begin:
                self.drops.append(time.time())
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
                return
            line = self.lines[len(self.sent)]
            self.sent.append(time.time())
            connection.sendall(chunk(gzip.compress(line) + gzip.flush(zlib.Z_SYNC_FLUSH)))
            time.sleep(1 / self.rate)
        self.done.set()
        threading.Event().wait()
