"""The hour in SQL: reads the raw lines of all servers, dedupes, writes the three CSV files.

python duckdb_hour.py SPOOL OUT
"""

import sys

import duckdb

spool, out = sys.argv[1:]
db = duckdb.connect()
db.execute("SET threads = 2")
db.execute("SET preserve_insertion_order = false")
db.execute(
    """
    CREATE TEMP TABLE posts AS
    SELECT DISTINCT ON (id) * FROM (
        SELECT
            data.id::UBIGINT AS id, data.conversation_id, data.author_id, data.created_at,
            __twarc.retrieved_at, data.source, data.lang, data.text,
            coalesce(data.referenced_tweets[1].type, 'original') AS reference_type,
            data.referenced_tweets[1].id AS referenced_tweet_id,
            list_filter(includes.users, lambda person: person.id = data.author_id)[1] AS author
        FROM read_json(
            $lines,
            format = 'newline_delimited',
            ignore_errors = true,
            columns = {
                data: 'STRUCT(id VARCHAR, conversation_id VARCHAR, author_id VARCHAR, created_at VARCHAR,
                       source VARCHAR, lang VARCHAR, text VARCHAR,
                       referenced_tweets STRUCT(type VARCHAR, id VARCHAR)[])',
                includes: 'STRUCT(users STRUCT(id VARCHAR, created_at VARCHAR, location VARCHAR,
                           name VARCHAR, username VARCHAR, verified VARCHAR, protected VARCHAR,
                           public_metrics STRUCT(followers_count BIGINT, following_count BIGINT,
                                                 tweet_count BIGINT, listed_count BIGINT))[])',
                __twarc: 'STRUCT(retrieved_at VARCHAR)'
            }
        )
    )
    ORDER BY id, retrieved_at
    """,
    {"lines": f"{spool}/*/*/*/*_000.jsonl"},
)
AUTHOR = """
    author.created_at AS "author.created_at", author.location AS "author.location",
    author.name AS "author.name", author.username AS "author.username",
    author.verified AS "author.verified", author.protected AS "author.protected",
    author.public_metrics.followers_count AS "author.public_metrics.followers_count",
    author.public_metrics.following_count AS "author.public_metrics.following_count",
    author.public_metrics.tweet_count AS "author.public_metrics.tweet_count",
    author.public_metrics.listed_count AS "author.public_metrics.listed_count"
"""
db.execute(f"COPY (SELECT id FROM posts ORDER BY id) TO '{out}/IDs.txt' (HEADER false)")
db.execute(
    f"""
    COPY (
        SELECT id, conversation_id, author_id, created_at, retrieved_at, source, lang, text,
               reference_type, referenced_tweet_id, {AUTHOR}
        FROM posts ORDER BY id
    ) TO '{out}/tweets.csv' (HEADER)
    """
)
db.execute(
    f"""
    COPY (
        SELECT author_id, lang, {AUTHOR} FROM (
            SELECT author_id::UBIGINT AS author_id,
                   arg_max(lang, (author IS NOT NULL, id)) AS lang,
                   arg_max(author, (author IS NOT NULL, id)) AS author
            FROM posts GROUP BY ALL
        ) ORDER BY author_id
    ) TO '{out}/users.csv' (HEADER)
    """
)
