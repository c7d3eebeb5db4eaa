"""Reads a vault in an object store as a Delta Lake table: delta.py ENDPOINT FOLDER

FOLDER has what `checkout` made of it, `before` and `now`, and the ids of each hour, `truth.json`. The files that the table
lists of a month are put into `month`, and a copy of all into `copy`.
"""

import json
import os
import pathlib
import time
import sys

import polars as pl
import pyarrow.fs
from deltalake import DeltaTable

endpoint, folder = sys.argv[1], pathlib.Path(sys.argv[2])
truth = json.loads((folder / "truth.json").read_text())
TABLE = "s3://archive/vault"
KEYS = {
    "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
}
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        print(f"FAILED {what}: found {found!r:.300}, expected {expected!r:.300}")
        sys.exit(1)


def plain(files):
    return pl.concat([pl.read_parquet(file) for file in files]).sort("id")


def same(what, found, expected):
    found = found.sort("id")
    check(f"{what}: columns", sorted(found.columns), sorted(expected.columns))
    check(f"{what}: rows", found.select(expected.columns).equals(expected), True)


now = DeltaTable(TABLE, storage_options=KEYS)
lines = {}
for then in ("before", "now"):
    copy = folder / then
    lines[then] = len((copy / "ledger.jsonl").read_text().splitlines())
# the version that the table was at then, found by the lines of the ledger that are in it
versions = {}
for number in range(now.version() + 1):
    at = DeltaTable(TABLE, version=number, storage_options=KEYS)
    versions[at.transaction_version("twinstream-ledger")] = number
check("lines of the ledger", now.transaction_version("twinstream-ledger"), lines["now"])
check("a version for each merge", set(versions) >= set(lines.values()), True)
for then in ("before", "now"):
    expected = plain((folder / then).glob("*/*_posts.parquet"))
    number = versions[lines[then]]
    same(f"polars, {then}", pl.scan_delta(TABLE, version=number, storage_options=KEYS).collect(), expected)
    table = DeltaTable(TABLE, version=number, storage_options=KEYS)
    same(f"deltalake, {then}", pl.from_arrow(table.to_pyarrow_table()), expected)
    ids = sorted(sum(truth.values(), []))
    check(f"ids, {then}", expected["id"].to_list(), ids)
both = [plain((folder / then).glob("*/*_posts.parquet"))["copies"].sum() for then in ("before", "now")]
check("late data has come", both[0] < both[1], True)

# the files of a month, for all who read plain files
month = [uri for uri in now.file_uris() if "/vault/2026-10-" in uri]
check("files of the month", len(month), len(truth))
same("by path", pl.scan_parquet(month, storage_options=KEYS).collect(), plain((folder / "now").glob("*/*_posts.parquet")))
store = pyarrow.fs.S3FileSystem(
    endpoint_override=endpoint, access_key="testing", secret_key="testing", region="us-east-1"
)
for uri in month:
    name = uri.rsplit("/", 1)[1]
    to = folder / "month" / name[:10] / name
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(store.open_input_file(uri.removeprefix("s3://")).read())

# from the checkpoint alone: in a copy, without the versions before it, and as if it were long ago
copy = folder / "copy"
pyarrow.fs.copy_files("archive/vault", str(copy), source_filesystem=store, destination_filesystem=pyarrow.fs.LocalFileSystem())
log = copy / "_delta_log"
checkpoint = json.loads((log / "_last_checkpoint").read_text())["version"]
check("the checkpoint", (checkpoint, now.version() > checkpoint), (100, True))
for file in log.iterdir():
    os.utime(file, (time.time() - 400 * 86_400,) * 2)
names = sorted(file.name for file in log.iterdir())
DeltaTable(copy).cleanup_metadata()
check("what cleanup_metadata leaves", sorted(file.name for file in log.iterdir()), names)
for number in range(checkpoint):
    (log / f"{number:020}.json").unlink()
late = DeltaTable(copy)
paths = lambda uris: sorted(uri.rsplit("/vault/" if "/vault/" in uri else "/copy/", 1)[1] for uri in uris)
check("files, from the checkpoint", paths(late.file_uris()), paths(now.file_uris()))
check("lines of the ledger, from the checkpoint", late.transaction_version("twinstream-ledger"), lines["now"])
expected = plain((folder / "now").glob("*/*_posts.parquet"))
same("deltalake, from the checkpoint", pl.from_arrow(late.to_pyarrow_table()), expected)
same("polars, from the checkpoint", pl.scan_delta(str(copy)).collect(), expected)
at_checkpoint = DeltaTable(copy, version=checkpoint)
check("rows of the checkpoint", pl.from_arrow(at_checkpoint.to_pyarrow_table()).height, 60 * len(at_checkpoint.file_uris()))

# what other programs do with the log adds nothing to the table and takes nothing from it
for table in (late, now):
    table.cleanup_metadata()
    # it only lists, and reads all of the checkpoint
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=True)
    table.create_checkpoint()
    again = DeltaTable(table.table_uri, storage_options=KEYS if table is now else None)
    check("after create_checkpoint", (again.version(), paths(again.file_uris())), (now.version(), paths(now.file_uris())))

# nobody else writes
for what, act in {
    "vacuum": lambda: now.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True),
    "optimize": lambda: now.optimize.compact(),
    "delete": lambda: now.delete("id > 0"),
}.items():
    try:
        act()
        refused = ""
    except Exception as why:
        refused = str(why)
    check(f"{what} is refused", "twinstream" in refused, True)
again = DeltaTable(TABLE, storage_options=KEYS)
check("and nothing has changed", (again.version(), sorted(again.file_uris())), (now.version(), sorted(now.file_uris())))
print(f"{checks} checks passed: {now.version() + 1} versions, {len(now.file_uris())} files")
