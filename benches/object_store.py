"""An object store on loopback, in memory: S3's API as far as the program uses it. It keeps the condition of a create-only
write, and checks no signature. It is a process of its own, so that its work and memory are not taken for the program's.

It prints its address. For each line on its input it then prints how often it was asked for what since the last time.
"""

import asyncio
import bisect
import collections
import email.utils
import json
import sys
import urllib.parse

BUCKET = "archive"
# names of a page, as everywhere
PAGE = 1000


def error(status, code):
    return status, f"<Error><Code>{code}</Code></Error>".encode()


class Objects:
    def __init__(self):
        self.bytes = {}
        # the keys in their order, which listings have
        self.keys = []
        self.asked = collections.Counter()

    def answer(self, method, target, heads, body):
        parts = urllib.parse.urlsplit(target)
        bucket, _, key = urllib.parse.unquote(parts.path).lstrip("/").partition("/")
        if bucket != BUCKET:
            return error(404, "NoSuchBucket")
        if method == "GET" and not key:
            self.asked["LIST"] += 1
            return self.page(dict(urllib.parse.parse_qsl(parts.query)))
        self.asked[method] += 1
        if method == "GET":
            return self.read(key, heads.get("range"))
        if method == "PUT" and heads.get("if-none-match") == "*":
            if key in self.bytes:
                return error(412, "PreconditionFailed")
            bisect.insort(self.keys, key)
            self.bytes[key] = body
            return 200, b""
        if method == "DELETE":
            if self.bytes.pop(key, None) is not None:
                del self.keys[bisect.bisect_left(self.keys, key)]
            return 204, b""
        # whoever asks for something new is told so
        return error(501, "NotImplemented")

    def read(self, key, of):
        if key not in self.bytes:
            return error(404, "NoSuchKey")
        if of:
            begin = int(of.removeprefix("bytes=").removesuffix("-"))
            return 206, self.bytes[key][begin:]
        return 200, self.bytes[key]

    def page(self, query):
        prefix, token = query.get("prefix", ""), query.get("continuation-token")
        begin = bisect.bisect_right(self.keys, token) if token else bisect.bisect_left(self.keys, prefix)
        found = []
        for key in self.keys[begin : begin + PAGE + 1]:
            if not key.startswith(prefix):
                break
            found.append(key)
        shown = found[:PAGE]
        xml = ['<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">']
        for key in shown:
            of = f"<LastModified>2026-10-01T00:00:00.000Z</LastModified><ETag>0</ETag><Size>{len(self.bytes[key])}</Size>"
            xml.append(f"<Contents><Key>{key}</Key>{of}<StorageClass>STANDARD</StorageClass></Contents>")
        is_cut = len(shown) < len(found)
        xml.append(f"<Name>{BUCKET}</Name><KeyCount>{len(shown)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>")
        xml.append(f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>")
        if is_cut:
            xml.append(f"<NextContinuationToken>{shown[-1]}</NextContinuationToken>")
        return 200, "".join([*xml, "</ListBucketResult>"]).encode()


class Connection(asyncio.Protocol):
    """Requests one after the other, as the program sends them."""

    def __init__(self, objects):
        self.objects = objects
        self.received = bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) != -1:
            first, *lines = self.received[:end].decode("ascii").split("\r\n")
            heads = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            size = int(heads.get("content-length", 0))
            if len(self.received) < end + 4 + size:
                return
            body = bytes(self.received[end + 4 : end + 4 + size])
            del self.received[: end + 4 + size]
            method, target, _ = first.split(" ")
            status, answer = self.objects.answer(method, target, heads, body)
            date = email.utils.formatdate(usegmt=True)
            length = "" if status == 204 else f"Content-Length: {len(answer)}\r\n"
            self.transport.write(f"HTTP/1.1 {status} x\r\nDate: {date}\r\n{length}\r\n".encode() + answer)


async def main():
    objects = Objects()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(objects), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    # ends with whoever started it
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(objects.asked), flush=True)
        objects.asked.clear()


if __name__ == "__main__":
    asyncio.run(main())
