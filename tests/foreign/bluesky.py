"""Reads the vault of a demo of Bluesky with other people's programs, and compares it with the demo's segments.

What must be in the vault is worked out here, from the raw segments alone, in plain Python. What was deleted may be missing,
if the manifest says so.
"""

import json
import lzma
import pathlib
import re
import sys

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
STAMP = b',"__twinstream":'
DAY_MS = 86_400_000
BREAK = "\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0]"
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        for one, other in zip(found, expected) if isinstance(found, list) else ():
            if one != other:
                found, expected = one, other
                break
        print(f"FAILED {what}: found {found!r:.300}, expected {expected!r:.300}")
        sys.exit(1)


def rev_ms(rev):
    number = 0
    for letter in rev:
        number = number * 32 + ALPHABET.index(letter)
    return (number >> 10) // 1_000


def exact(text):
    """A lone surrogate has no UTF-8: it is U+FFFD in columns, and as it came in `line`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Event:
    def __init__(self, received):
        self.received = received
        all = json.loads(received)
        self.did, self.kind = all["did"], all["kind"]
        says = all[self.kind]
        if self.kind == "commit":
            self.rev = says["rev"]
            self.uri = f"at://{self.did}/{says['collection']}/{says['rkey']}"
            self.operation = says["operation"]
            self.ms = rev_ms(self.rev)
            end = "#delete" if self.operation == "delete" else ""
            self.key = f"{self.uri[5:]}@{self.rev}{end}"
            self.record = says.get("record")
            self.is_post = says["collection"] == "app.bsky.feed.post" and not end
        else:
            self.operation, self.is_post = None, False
            self.ms = pandas.Timestamp(says["time"]).value // 1_000_000
            self.key = f"{self.did}#{self.kind}/{says['seq']}"
        ahead = self.ms - all["time_us"] // 1_000
        self.is_possible = -DAY_MS <= ahead <= 300_000


# what both collectors received, by key
segments = sorted(folder.glob("server*/spool/*/*/*/*.jsonl*"))
segments = [path for path in segments if ".events." not in path.name]
received = {}
for path in segments:
    compression = "zstd" if path.suffix == ".zst" else None
    for line in pyarrow.input_stream(path, compression=compression).read().splitlines():
        plain = line
        if STAMP in line:
            plain = line[: line.rindex(STAMP)] + b"}"
        try:
            event = Event(plain.decode())
        except (ValueError, KeyError, TypeError):
            continue
        if event.is_possible:
            received.setdefault(event.key, {})[event.received] = event
assert received, f"no events below {folder}"

hours = posts = 0
for table in sorted(folder.glob("server1/vault/*/*_posts.csv.xz")):
    stem = str(table).removesuffix("_posts.csv.xz")
    manifest = json.loads(pathlib.Path(f"{stem}_manifest.json").read_text())
    begin, end = (pandas.Timestamp(manifest["intervals"][0][edge]).value // 1_000_000 for edge in ("begin", "end"))
    of_hour = [next(iter(copies.values())) for copies in received.values()]
    of_hour = sorted((e for e in of_hour if begin <= e.ms < end), key=lambda e: (e.ms, e.key))
    ids = lzma.open(f"{stem}_IDs.txt.xz", "rt", newline="").read().splitlines()
    wanted = [f"{e.uri}\t{e.rev}" for e in of_hour if e.operation in ("create", "update")]
    taken_out = sum(manifest.get("deletions", {}).values())
    check("lines that are not listed were taken out", len(set(wanted) - set(ids)), taken_out)
    listed = set(ids)
    check("ids of the hour", ids, [line for line in wanted if line in listed])
    hours += 1

    # the table, with every reader
    plain = pathlib.Path("/tmp/twinstream-foreign-bluesky.csv")
    plain.write_bytes(lzma.open(table).read())
    rows = [e for e in of_hour if e.is_post and f"{e.uri}\t{e.rev}" in listed]
    posts += len(rows)
    names = "uri", "cid", "did", "text", "reply_parent", "indexed_at"
    frames = {
        "pandas": pandas.read_csv(table, dtype=str, keep_default_na=False)[list(names)].values.tolist(),
        "polars": [[v or "" for v in r] for r in polars.read_csv(plain, infer_schema=False)[list(names)].rows()],
        "duckdb": [[v or "" for v in r] for r in duckdb.sql(f"select {', '.join(names)} from read_csv('{plain}', all_varchar = true)").fetchall()],
    }
    for reader, found in frames.items():
        check(f"{reader}: rows of {table.name}", len(found), len(rows))
        for row, event in zip(found, rows):
            says = json.loads(event.received)["commit"]
            reply = (event.record.get("reply") or {}).get("parent", {}).get("uri", "")
            text = re.sub(BREAK, " ", exact(event.record["text"]))
            values = [event.uri, says["cid"], event.did, text, reply]
            check(f"{reader}: a row of {table.name}", row[:5], values)
            check(f"{reader}: its time", pandas.Timestamp(row[5]).value // 1_000_000, event.ms)
    # and as they are read by somebody who sets nothing
    check("pandas, as it is: uris", pandas.read_csv(table)["uri"].tolist(), [e.uri for e in rows])
    check("polars, as it is: uris", polars.read_csv(plain)["uri"].to_list(), [e.uri for e in rows])
    check("duckdb, as it is: uris", [r[0] for r in duckdb.sql(f"select uri from '{plain}'").fetchall()], [e.uri for e in rows])
    dids = pandas.read_csv(f"{stem}_users.csv.xz", dtype=str, keep_default_na=False)["did"].tolist()
    check("accounts ascend", dids, sorted(set(dids)))

    # the Parquet file, with every reader's defaults
    path = f"{stem}_posts.parquet"
    frame, polar = pandas.read_parquet(path), polars.read_parquet(path)
    columns = "key", "uri", "epoch_ms(post_time)", "time_us", "commit.record.text", "line", "seen_by"
    duck = duckdb.sql(f"select {', '.join(columns)} from '{path}'").fetchall()
    keys = frame["key"].tolist()
    held = {line.replace("\t", "@")[5:] for line in lzma.open(f"{stem}_held.txt.xz", "rt")} if pathlib.Path(f"{stem}_held.txt.xz").exists() else set()
    gone = {line.replace("\t", "@")[5:] for line in set(wanted) - listed} - {key.strip() for key in held}
    wanted_rows = [e for e in of_hour if e.key not in gone]
    check("pandas: keys", keys, [e.key for e in wanted_rows])
    check("polars: keys", polar["key"].to_list(), keys)
    check("duckdb: keys", [row[0] for row in duck], keys)
    check("pandas: zone of times", str(frame["post_time"].dt.tz), "UTC")
    times = [v.value // 1_000_000 for v in frame["post_time"].dt.as_unit("ns")]
    check("pandas: times", times, [e.ms for e in wanted_rows])
    check("polars: times", polar["post_time"].dt.epoch("ms").to_list(), times)
    check("duckdb: times", [row[2] for row in duck], times)
    check("pandas: type of time_us", str(frame["time_us"].dtype), "int64")
    records = [commit["record"] if commit is not None else None for commit in frame["commit"]]
    texts = {"pandas": [record["text"] if record is not None else None for record in records]}
    texts["polars"] = polar.select(polars.col("commit").struct.field("record").struct.field("text")).to_series().to_list()
    texts["duckdb"] = [row[4] for row in duck]
    for reader, found in texts.items():
        wanted_texts = [exact(e.record["text"]) if e.is_post else None for e in wanted_rows]
        check(f"{reader}: texts", [t if e.is_post else None for t, e in zip(found, wanted_rows)], wanted_texts)
    for row, event in zip(duck, wanted_rows):
        check("line: a copy as it came", row[5] in received[event.key], True)
        check("its time_us", row[3], json.loads(row[5])["time_us"])
        check("who has it", set(row[6]) <= {"1", "2"} and bool(row[6]), True)
    documented = {c["column"] for c in json.loads(pyarrow.parquet.read_metadata(path).metadata[b"twinstream.columns"])}
    check("documented columns", set(frame.columns) <= documented, True)
assert hours and posts, "no hour with posts"

# the published lists, as the README of each day has them fetched: cut and sorted they are addresses
published = sorted(folder.glob("osf/storage/*/*/*/*_IDs.txt.xz"))
assert published, "nothing is published"
for path in published:
    lists = pandas.read_csv(path, sep="\t", header=None, names=["uri", "rev"])
    mine = lzma.open(next(folder.glob(f"server1/vault/*/{path.name}")), "rt").read().splitlines()
    check(f"published {path.name}", [f"{uri}\t{rev}" for uri, rev in lists.values.tolist()], mine)
print(f"{checks} checks passed: {hours} hours, {posts} posts, {len(segments)} segments")
