"""Reads the Parquet files of a month with Spark, which is told nothing of them: spark.py VAULT TRUTH"""

import json
import pathlib
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

vault = pathlib.Path(sys.argv[1])
truth = json.loads(pathlib.Path(sys.argv[2]).read_text())
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        print(f"FAILED {what}: found {found!r:.300}, expected {expected!r:.300}")
        sys.exit(1)


spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.driver.memory", "2g")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
posts = spark.read.parquet(f"{vault}/2026-10-*/*_posts.parquet")
types = dict(posts.dtypes)
for column, kind in {
    "id": "bigint",
    "author_id": "bigint",
    "created_at": "timestamp",
    "post_time": "timestamp",
    "retrieved_at": "timestamp",
    "seen_by": "array<string>",
    "copies": "bigint",
    "backfilled": "boolean",
    "line": "string",
}.items():
    check(f"type of {column}", types[column], kind)

# hour by hour, as a month is worked through: each task reads its files
found = {}
rows = posts.select(
    F.date_format("post_time", "yyyy-MM-dd_HH").alias("hour"),
    F.col("id").cast("string").alias("id"),
    F.size("seen_by").alias("servers"),
    "copies",
    F.col("referenced_posts")[0]["id"].cast("string").alias("quoted"),
    F.get_json_object("line", "$.data.id").alias("of_line"),
    F.get_json_object("line", "$.data.not_known_today.deep[0]").alias("unknown"),
    F.col("author.username").alias("username"),
    "text",
)
print(f"{posts.rdd.getNumPartitions()} partitions of {len(list(vault.glob('2026-10-*/*_posts.parquet')))} files")
for row in rows.collect():
    post_id = int(row.id)
    found.setdefault(row.hour, []).append(post_id)
    n = int(row.unknown)
    check("the line's id", row.of_line, row.id)
    check("the quoted post", int(row.quoted), post_id - 1)
    check("servers and copies", (row.servers, row.copies), (2, 2) if n % 10 else (1, 1))
    check("author", row.username, f"user{n % 50}")
    check("text", row.text.split("\n")[0], f"line {n}")
check("ids of each hour", {hour: sorted(ids) for hour, ids in found.items()}, truth)
one = spark.read.parquet(f"{vault}/2026-10-07/*_posts.parquet")
of_day = sum(len(ids) for hour, ids in truth.items() if hour.startswith("2026-10-07"))
check("one day", one.count(), of_day)
check("by author", posts.groupBy("author_id").count().count(), 50)
print(f"{checks} checks passed: {len(found)} hours, {sum(map(len, found.values()))} posts")
