"""The predecessor's second step, re-created from its description: both servers' rows, compared and put
together with pandas, then written with or without xz.

python predecessor.py WORK OUT xz|none
"""

import os
import sys

import pandas as pd

work, out, compression = sys.argv[1:]
TEXT = {
    column: str
    for column in ["id", "conversation_id", "author_id", "referenced_tweet_id", "source", "lang", "text"]
}
TIMES = ["created_at", "retrieved_at", "author.created_at"]


def read(server):
    folder = os.path.join(work, server)
    rows = [
        pd.read_csv(os.path.join(folder, name), dtype=TEXT, parse_dates=TIMES)
        for name in os.listdir(folder)
    ]
    return pd.concat(rows).drop_duplicates(subset="id")


servers = [read(server) for server in sorted(os.listdir(work))]
ids = [set(server["id"]) for server in servers]
difference = len(ids[0] ^ ids[1])
tweets = pd.concat(servers).drop_duplicates(subset="id").reset_index(drop=True)
users = tweets.sort_values("created_at").drop_duplicates(subset="author_id", keep="last")
users = users[["author_id", "lang", *[c for c in tweets.columns if c.startswith("author.")]]]
print(*map(len, ids), len(tweets), difference)

how = {"compression": "xz"} if compression == "xz" else {}
ending = ".xz" if how else ""
tweets["id"].to_csv(f"{out}/IDs.txt{ending}", index=False, header=False, **how)
tweets.to_csv(f"{out}/tweets.csv{ending}", index=False, **how)
users.to_csv(f"{out}/users.csv{ending}", index=False, **how)
