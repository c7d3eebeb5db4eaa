"""Servers that stream stored lines over TLS as the platforms do. X: HTTP/1.1, chunked, gzip, and a flush after every
thousand bytes; it can send at a rate and note when it sent what, or all it has. Bluesky: a WebSocket, an event a message.
"""

import base64
import email.utils
import hashlib
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
    """The first lines of a spool's first server, as they were received. A stamp ends before the line's last brace."""
    lines = []
    for segment in sorted((spool / "1").rglob("*_000.jsonl")):
        member = b',"__twinstream":' if "_bluesky_" in segment.name else b',"__twarc":'
        for line in segment.read_bytes().split(b"\n")[:-1]:
            before, _, after = line.rpartition(member)
            lines.append(before + after[after.index(b"}") + 1 :])
            if len(lines) == count:
                return lines
    return lines


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def tls_socket(folder):
    """A socket that listens on loopback, and the certificate by which it is known."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key,
         "-out", certificate, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)


def serve(listening, answer):
    """Answers each connection in a thread of its own, as long as this process lives."""

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                continue
            threading.Thread(target=answer, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Instance:
    """Gives every subscriber all events, `times` over, at full speed or so many a second; then it is silent."""

    def __init__(self, folder, lines, *, rate=None, times=1):
        self.lines = lines
        self.rate = rate
        self.times = times
        self.certificate, self.socket = tls_socket(pathlib.Path(folder))
        self.url = f"wss://localhost:{self.socket.getsockname()[1]}"
        serve(self.socket, self.answer)

    def answer(self, connection):
        try:
            head = connection.recv(65536).decode("ascii", "replace")
            heads = dict(line.split(": ", 1) for line in head.split("\r\n") if ": " in line)
            key = next(value for name, value in heads.items() if name.lower() == "sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
            upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            connection.sendall(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            for _ in range(self.times):
                self.send(connection)
            threading.Event().wait()
        except OSError:
            pass

    def send(self, connection):
        batch, size, begin = [], 0, time.monotonic()
        for sent, line in enumerate(self.lines):
            frame = text_frame(line)
            batch.append(frame)
            size += len(frame)
            if self.rate is None and size < 16_384:
                continue
            connection.sendall(b"".join(batch))
            batch, size = [], 0
            if self.rate is not None:
                time.sleep(max(0, begin + (sent + 1) / self.rate - time.monotonic()))
        connection.sendall(b"".join(batch))


def text_frame(text):
    """A whole message of a server, in one frame."""
    if len(text) < 126:
        return bytes([0x81, len(text)]) + text
    if len(text) < 65_536:
        return bytes([0x81, 126]) + len(text).to_bytes(2) + text
    return bytes([0x81, 127]) + len(text).to_bytes(8) + text


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
        self.certificate, self.socket = tls_socket(pathlib.Path(folder))
        self.url = f"https://localhost:{self.socket.getsockname()[1]}"
        self.chunks = self.packed() if rate is None else []
        serve(self.socket, self.answer)

    def packed(self):
        """All lines, compressed and cut into chunks, before anybody asks."""
        gzip, chunks, batch = zlib.compressobj(6, zlib.DEFLATED, 31), [], b""
        for line in self.lines:
            batch += line + b"\r\n"
            if CHUNK_BYTES <= len(batch):
                chunks.append(chunk(gzip.compress(batch) + gzip.flush(zlib.Z_SYNC_FLUSH)))
                batch = b""
        chunks.append(chunk(gzip.compress(batch) + gzip.flush(zlib.Z_FINISH)))
        return chunks

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
            line = self.lines[len(self.sent)] + b"\r\n"
            self.sent.append(time.time())
            connection.sendall(chunk(gzip.compress(line) + gzip.flush(zlib.Z_SYNC_FLUSH)))
            time.sleep(1 / self.rate)
        self.done.set()
        threading.Event().wait()
