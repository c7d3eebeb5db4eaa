"""Hours of a few posts of Bluesky, a segment each, for as many days as asked; and hours that tell that some of them were deleted.

What honouring deletions costs is in the number of hours that hold what was deleted, and must not be in the number of all others.
"""

import datetime

from small_segments import digest, iso, packed

BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
POSTS = 10
ACCOUNTS = 500


def ms_of(hour):
    return int((BEGIN + datetime.timedelta(hours=hour, minutes=5)).timestamp() * 1000)


def tid(ms, number=0):
    bits = ms * 1000 << 10 | number
    return "".join(ALPHABET[bits >> 5 * place & 31] for place in range(12, -1, -1))


def did(number):
    return f"did:plc:{number % ACCOUNTS:024}"


def event(ms, account, kind, says):
    stamp = {"retrieved_at": iso(ms + 300), "version": "bench", "endpoint": "ws://127.0.0.1:9"}
    return {"did": account, "time_us": (ms + 200) * 1000, "kind": kind, kind: says, "__twinstream": stamp}


def place(hour, number):
    """A post's account, time and key."""
    ms = ms_of(hour) + number * 1000
    return did(hour * 7 + number), ms, tid(ms)


def post(hour, number):
    account, ms, key = place(hour, number)
    record = {"$type": "app.bsky.feed.post", "createdAt": iso(ms), "langs": ["en"], "text": f"hour {hour}, post {number}"}
    says = {"rev": key, "operation": "create", "collection": "app.bsky.feed.post", "rkey": key, "record": record, "cid": f"bafyrei{hour}x{number}"}
    return event(ms, account, "commit", says)


def deletion(ms, hour, number):
    account, _, key = place(hour, number)
    return event(ms, account, "commit", {"rev": tid(ms, 1), "operation": "delete", "collection": "app.bsky.feed.post", "rkey": key})


def active(ms, number):
    says = {"active": True, "did": did(number), "seq": ms + number, "time": iso(ms)}
    return event(ms, did(number), "account", says)


def write(spool, hour, events):
    """The segment of an hour; the first one begins the run."""
    at = datetime.datetime.fromtimestamp(ms_of(hour) / 1000, datetime.timezone.utc)
    ms = ms_of(hour)
    lines = "".join(map(packed, events)).encode()
    begun = [{"at": iso(ms), "kind": "started", "program": "bench", "number": 1, "last_line": None}]
    begun.append({"at": iso(ms), "kind": "connected", "status": 101, "backfill_minutes": 0, "transaction": None, "connection": 1})
    tells = "".join(map(packed, begun if hour == 0 else begun[1:])).encode()
    minute = f"{at:%Y-%m-%dT%H:%MZ}"
    seal = {"format": 1, "program": "bench", "server": "1", "stream": "bluesky", "minute": minute, "run": "3fa9c01b", "run_number": 1, "part": 0}
    seal |= {"segment": digest(lines), "events": digest(tells), "first_arrival": iso(ms + 300), "last_arrival": iso(ms + 59_000), "oversize": 0, "recovered": False}
    folder = spool / "1" / f"{at:%Y-%m-%d}" / f"{at:%H}"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"1_bluesky_{at:%Y%m%dT%H%M}Z_3fa9c01b_000"
    for ending, content in (("jsonl", lines), ("events.jsonl", tells), ("seal.json", packed(seal).encode())):
        (folder / f"{name}.{ending}").write_bytes(content)


def posts(spool, hours):
    for hour in hours:
        write(spool, hour, [post(hour, number) for number in range(POSTS)])


def deletions(spool, hour, of_hours, number):
    """In that hour one post of each of those is deleted, and every account is told to be active, as it was."""
    ms = ms_of(hour)
    told = [active(ms + n, n) for n in range(ACCOUNTS)]
    write(spool, hour, told + [deletion(ms + 1_000 + n, of, number) for n, of in enumerate(of_hours)])
