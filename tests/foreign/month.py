"""Makes the spool of a month, some small hours a day, for two servers: month.py FOLDER DAYS HOURS POSTS

Everything is written here, in the formats that docs/formats.md describes; `twinstream merge` does the rest. Prints, as
JSON, the ids of each hour.
"""

import datetime
import hashlib
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
days, hours, posts = map(int, sys.argv[2:5])
UTC = datetime.timezone.utc
FIRST = datetime.datetime(2026, 10, 1, tzinfo=UTC)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def digest(text):
    return {"lines": text.count(b"\n"), "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}


def segment(server, minute, lines, events):
    name = f"{server}_sample_{minute:%Y%m%dT%H%MZ}_3fa9c01b_000"
    place = folder / "spool" / server / f"{minute:%Y-%m-%d}" / f"{minute:%H}"
    place.mkdir(parents=True, exist_ok=True)
    text, events = (("\n".join(part) + "\n").encode() if part else b"" for part in (lines, events))
    (place / f"{name}.jsonl").write_bytes(text)
    (place / f"{name}.events.jsonl").write_bytes(events)
    arrival = stamp(minute) if lines else None
    seal = {
        "format": 1, "program": "month.py", "server": server, "stream": "sample",
        "minute": f"{minute:%Y-%m-%dT%H:%MZ}", "run": "3fa9c01b", "run_number": 1, "part": 0,
        "segment": digest(text), "events": digest(events),
        "first_arrival": arrival, "last_arrival": arrival, "oversize": 0, "recovered": False,
    }
    (place / f"{name}.seal.json").write_text(json.dumps(seal) + "\n")


truth = {}
for hour in range(days * 24):
    if hour % 24 % (24 // hours):
        continue
    begin = FIRST + datetime.timedelta(hours=hour)
    minute = begin + datetime.timedelta(minutes=30)
    lines = {"1": [], "2": []}
    ids = []
    for n in range(posts):
        at = minute + datetime.timedelta(milliseconds=n * 59_000 // posts)
        ms = int(at.timestamp() * 1000) - 1288834974657
        post_id = (ms << 22) + n % 4096
        ids.append(post_id)
        new = n % 2 == 0
        data = {
            "id": str(post_id), "text": f"line {n}\nand another, {begin:%d.%m.}", "author_id": str(7 + n % 50),
            "created_at": stamp(at.replace(microsecond=0)), "lang": "en",
            "referenced_posts" if new else "referenced_tweets": [{"type": "quoted", "id": str(post_id - 1)}],
            "not_known_today": {"deep": [n]},
        }
        users = [{"id": data["author_id"], "username": f"user{n % 50}", "name": "Nä/me"}]
        line = json.dumps({"data": data, "includes": {"users": users}}, ensure_ascii=False)
        for server in lines:
            # server 2 lacks every tenth
            if server == "1" or n % 10:
                at_server = stamp(at + datetime.timedelta(milliseconds=900 * int(server)))
                member = f',"__twarc":{{"retrieved_at":"{at_server}","version":"month.py"}}}}'
                lines[server].append(line[:-1] + member)
    truth[f"{begin:%Y-%m-%d_%H}"] = ids
    for server in lines:
        started = {"at": stamp(minute), "kind": "started", "connection": 0, "program": "month.py"}
        segment(server, minute, lines[server], [json.dumps(started)])
print(json.dumps(truth))
