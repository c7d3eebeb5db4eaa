"""Sealed segments of three posts, one in so many minutes, for as many days as asked: what planning costs is in their number and
that of their folders, not in their size."""

import datetime
import hashlib
import json

# where X's ids begin to count
EPOCH_MS = 1288834974657
BEGIN = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)


def digest(data):
    return {"lines": data.count(b"\n"), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def packed(value):
    return json.dumps(value, separators=(",", ":")) + "\n"


def iso(ms):
    at = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03}Z"


def post(ms, number):
    data = {"id": str(ms - EPOCH_MS << 22 | number), "text": "x", "created_at": iso(ms - ms % 1000), "author_id": "7"}
    return packed({"data": data, "__twarc": {"retrieved_at": iso(ms + 900), "version": "bench"}})


def write(spool, days, every, servers=("1", "2"), since=0):
    """Of the days after the first so many. Gives how many segments there are."""
    for server in servers:
        for minute in range(since * 1440, days * 1440, every):
            at = BEGIN + datetime.timedelta(minutes=minute)
            ms = int(at.timestamp() * 1000)
            lines = "".join(post(ms + 5_000 + n * 15_000, n) for n in range(3)).encode()
            alive = {"at": iso(ms + 59_999), "kind": "alive", "minute": f"{at:%Y-%m-%dT%H:%MZ}", "lines": 3, "keep_alives": 0, "longest_gap_ms": 20_000, "longest_silence_ms": 20_000, "connection": 1}
            begun = [{"at": iso(ms), "kind": "started", "program": "bench", "number": 1, "last_line": None, "connection": 0}]
            begun.append({"at": iso(ms + 500), "kind": "connected", "status": 200, "backfill_minutes": 0, "connection": 1})
            begun.append({"at": iso(ms + 600), "kind": "first_line", "clock_offset_ms": 0, "connection": 1})
            events = "".join(map(packed, [*begun * (minute == 0), alive])).encode()
            seal = {"format": 1, "program": "bench", "server": server, "stream": "sample", "minute": f"{at:%Y-%m-%dT%H:%MZ}", "run": "3fa9c01b", "run_number": 1, "part": 0}
            seal |= {"segment": digest(lines), "events": digest(events), "first_arrival": iso(ms + 5_900), "last_arrival": iso(ms + 35_900), "oversize": 0, "recovered": False}
            folder = spool / server / f"{at:%Y-%m-%d}" / f"{at:%H}"
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{server}_sample_{at:%Y%m%dT%H%M}Z_3fa9c01b_000"
            for ending, content in (("jsonl", lines), ("events.jsonl", events), ("seal.json", packed(seal).encode())):
                (folder / f"{name}.{ending}").write_bytes(content)
    return (days - since) * 1440 // every * len(servers)
