"""Reads a demo's spool and vault with other people's programs and compares them with each other.

What must be in the vault is worked out here, from the raw segments alone, in plain Python.
"""

import json
import lzma
import pathlib
import subprocess
import sys
import tempfile

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

folder = pathlib.Path(sys.argv[1])
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        print(f"FAILED {what}: found {found!r:.200}, expected {expected!r:.200}")
        sys.exit(1)


def snowflake_hour(post_id):
    ms = (int(post_id) >> 22) + 1288834974657
    return ms // 3_600_000


# what both collectors received, by the hour of the id
truth = {}
segments = sorted(folder.glob("server*/spool/*/*/*/*.jsonl"))
segments = [path for path in segments if not path.name.endswith(".events.jsonl")]
# those that merge has compressed, in their plain form
plain_folder = tempfile.TemporaryDirectory()
for number, path in enumerate(sorted(folder.glob("server*/spool/*/*/*/*.jsonl.zst"))):
    plain = pathlib.Path(plain_folder.name) / f"{number}_{path.stem}"
    plain.write_bytes(pyarrow.input_stream(path, compression="zstd").read())
    segments.append(plain)
for path in segments:
    for line in path.read_bytes().split(b"\n"):
        try:
            post = json.loads(line)["data"]
            post_id = int(post["id"])
        except (ValueError, KeyError, TypeError):
            continue
        if 0 <= post_id < 2**64 and 29_700_000_000 <= post_id:
            truth.setdefault(snowflake_hour(post_id), {})[str(post_id)] = post
assert truth, f"no segments below {folder}"

hours = 0
for tweets in sorted(folder.glob("server1/vault/*/*_tweets.csv.xz")):
    stem = str(tweets).removesuffix("_tweets.csv.xz")
    manifest = json.loads(pathlib.Path(f"{stem}_manifest.json").read_text())
    rows = {name: output for name, output in ((o["name"], o) for o in manifest["outputs"])}
    subprocess.run(["xz", "-t", f"{stem}_IDs.txt.xz", tweets, f"{stem}_users.csv.xz"], check=True)
    ids = lzma.open(f"{stem}_IDs.txt.xz", "rt").read().split()
    check("ids ascending", ids, sorted(ids, key=int))
    # an hour of ids from before they carried their time is not worked out here
    is_new = bool(ids) and 29_700_000_000 <= int(ids[0])
    if is_new:
        hours += 1
        hour = truth[snowflake_hour(ids[0])]
        check("ids of the hour", ids, sorted(hour, key=int))
    for kind in ("tweets", "users"):
        name = f"{stem}_{kind}.csv.xz"
        expected = rows[pathlib.Path(name).name]["rows"]
        plain = pathlib.Path(f"/tmp/twinstream-foreign-{kind}.csv")
        plain.write_bytes(lzma.open(name).read())
        check(f"lines of {name}", len(plain.open(newline="").read().splitlines()), expected + 1)
        key = "id" if kind == "tweets" else "author_id"
        frame = pandas.read_csv(name)
        frames = {
            "pandas": [str(value) for value in frame[key]],
            "polars": [str(value) for value in polars.read_csv(plain)[key]],
            "duckdb": [str(row[0]) for row in duckdb.sql(f"select {key} from '{plain}'").fetchall()],
        }
        for reader, values in frames.items():
            check(f"{reader}: rows of {name}", len(values), expected)
            check(f"{reader}: {key} of {name}", values, sorted(values, key=int))
            if kind == "tweets":
                check(f"{reader}: ids of {name}", values, ids)
        if kind == "tweets" and is_new:
            for column in ("author_id", "conversation_id"):
                wanted = [hour[post_id][column] for post_id in ids]
                check(f"pandas: {column}", [str(v) for v in frame[column]], wanted)
                check(f"polars: {column}", [str(v) for v in polars.read_csv(plain)[column]], wanted)
                found = duckdb.sql(f"select {column} from '{plain}'").fetchall()
                check(f"duckdb: {column}", [str(row[0]) for row in found], wanted)
            # the one-line options that the documentation prints
            wanted = [((hour[i].get("referenced_tweets") or [{}])[0].get("id") or "") for i in ids]
            frame = pandas.read_csv(name, dtype={"referenced_tweet_id": "Int64"})
            found = ["" if pandas.isna(v) else str(v) for v in frame["referenced_tweet_id"]]
            check("pandas: referenced_tweet_id", found, wanted)
assert hours, "no hour with posts"

# the Parquet files, with every reader's defaults
files = sorted(folder.glob("server1/vault/*/*_posts.parquet"))
assert files, "no Parquet file"
for path in files:
    ids = lzma.open(str(path).replace("_posts.parquet", "_IDs.txt.xz"), "rt").read().split()
    frame = pandas.read_parquet(path)
    polar = polars.read_parquet(path)
    duck = duckdb.sql(
        f"select id, epoch_ms(post_time), seen_by, text, line, author.username, epoch_ms(created_at) from '{path}'"
    ).fetchall()
    check("pandas: type of id", str(frame["id"].dtype), "int64")
    check("polars: type of id", str(polar["id"].dtype), "Int64")
    check("pandas: ids", [str(v) for v in frame["id"]], ids)
    check("polars: ids", [str(v) for v in polar["id"]], ids)
    check("duckdb: ids", [str(row[0]) for row in duck], ids)
    if not ids:
        continue
    new = [int(i) for i in ids if 29_700_000_000 <= int(i)]
    wanted = [(i >> 22) + 1288834974657 for i in new]
    ms = [v.value // 1_000_000 for v in frame["post_time"].dt.as_unit("ns")]
    check("pandas: zone of times", str(frame["post_time"].dt.tz), "UTC")
    check("pandas: times", ms[-len(wanted):], wanted)
    check("polars: times", polar["post_time"].dt.epoch("ms").to_list()[-len(wanted):], wanted)
    check("duckdb: times", [row[1] for row in duck][-len(wanted):], wanted)
    seen_by = [list(v) for v in frame["seen_by"]]
    check("seen_by: the servers", set(map(tuple, seen_by)) <= {("1",), ("2",), ("1", "2")}, True)
    check("polars: seen_by", polar["seen_by"].to_list(), seen_by)
    check("duckdb: seen_by", [row[2] for row in duck], seen_by)
    for post_id, row in zip(ids, duck):
        line = json.loads(row[4])
        check("line: its id", line["data"]["id"], post_id)
        # a lone surrogate has no UTF-8: it is U+FFFD in the column, and as it came in the line
        text = line["data"]["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        check("text: exact", row[3], text)
        check("line: no stamp in it", "__twarc" in line, False)
    # where an id is missing pandas makes floats, unless it is told to keep Arrow's types
    exact = pandas.read_parquet(path, dtype_backend="pyarrow")
    for column in ("author_id", "in_reply_to_user_id", "conversation_id"):
        wanted = [row[0] for row in duckdb.sql(f"select {column} from '{path}'").fetchall()]
        check(f"pandas: {column}", [None if pandas.isna(v) else int(v) for v in exact[column]], wanted)
    wanted = [row[0] for row in duckdb.sql(f"select author.id from '{path}'").fetchall()]
    check("pandas: author.id", [None if user is None or user is pandas.NA else user["id"] for user in exact["author"]], wanted)
    names = [user and user["username"] for user in frame["author"]]
    check("author: the same to pandas and duckdb", names, [row[5] for row in duck])
    documented = {c["column"] for c in json.loads(pyarrow.parquet.read_metadata(path).metadata[b"twinstream.columns"])}
    check("documented columns", set(frame.columns) <= documented, True)

# jq and twarc read every raw segment that has no line which the simulator damaged on purpose
read = 0
for path in segments:
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    try:
        for line in lines:
            json.loads(line)
    except ValueError:
        continue
    out = subprocess.run(["jq", "-c", "."], stdin=path.open(), capture_output=True, check=True)
    check(f"jq: lines of {path.name}", out.stdout.count(b"\n"), len(lines))
    if read < 20 and all(b'"data"' in line for line in lines):
        twarc = pathlib.Path(sys.executable).parent / "twarc2"
        out = subprocess.run(
            [twarc, "--bearer-token", "none", "flatten", path, "-"], capture_output=True, check=True
        )
        check(f"twarc2 flatten: posts of {path.name}", out.stdout.count(b"\n"), len(lines))
        read += 1
assert read, "twarc2 read nothing"
print(f"{checks} checks passed: {hours} hours, {len(segments)} segments")
