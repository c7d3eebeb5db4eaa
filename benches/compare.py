"""Runs the program and what it is compared with, one after the other, and prints the ratios.

python benches/compare.py WHAT... [--runs N] [--posts N] [--work DIR]      (scripts/bench calls it)

CPU seconds (user and system, of the process and its children) are the figure to trust on a machine
that does other things too; wall time says what the two cores make of it.
"""

import argparse
import collections
import datetime
import json
import lzma
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

import many_days
import small_hours
import small_segments
import stream_server

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/twinstream"
TOOL = ROOT / "target/release/examples/bench"
REFERENCES = ROOT / "benches/references"
HOUR = "2026-11-23_18"
# what `merge.xz = "balanced"` means, in the words of the xz tool; src/vault/xz.rs has the same
BALANCED = "--lzma2=preset=6,dict=1MiB,lc=4,pb=0,nice=28,depth=12"
# the authors come at the end, and the cores share them
BLOCKS = {"users.csv": "4MiB"}
BLOCK = "8MiB"

# posts a second of the firehose; the simulator's lines have 2.36 kB, and on a busy machine it makes hardly more of them
LEGS_RATE = 6_000

# posts of an hour at 45 a second
BLUESKY_POSTS = 160_000

# as many segments in a month and in a year, all of whose folders are there: days, and one minute in so many
KEPT = (("3 days", 3, 1), ("a month", 30, 1), ("a year, one minute in twelve", 365, 12))
# what has to be delivered and fetched first, one after the other: all folders are there too
KEPT_IN_STORE = (("3 days", 3, 1), ("a year, one minute in sixty", 365, 60))

# a collector that has not got what it is to get by then never will
COLLECT_S_MAX = 180

Run = collections.namedtuple("Run", "wall cpu rss_mib")


def measure(command, wants=(0,), **options):
    """Runs a command to its end."""
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) not in wants:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def aside(what, *arguments):
    """Does something in a process of its own: the kernel counts the memory of whoever starts a program as the program's."""
    process = multiprocessing.Process(target=what, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"failed: {what.__name__}")


def median(runs):
    return Run(*(statistics.median(column) for column in zip(*runs)))


def show(name, run, bytes_out=None):
    size = f"  {bytes_out / 1e6:8.2f} MB" if bytes_out else ""
    print(f"  {name:<44} wall {run.wall:8.2f} s  cpu {run.cpu:8.2f} s  rss {run.rss_mib:7.0f} MiB{size}", flush=True)


def ratio(what, found, reach, holds):
    print(f"  -> {what}: {found:.2f} (reach {reach}) {'ok' if holds else 'NOT REACHED'}", flush=True)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def size_of(folder, pattern="*"):
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


class Bench:
    def __init__(self, arguments):
        self.runs = arguments.runs
        self.posts = arguments.posts
        self.minutes = arguments.minutes
        self.times = arguments.times
        self.work = pathlib.Path(arguments.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    # ---- what is measured with

    def spool(self, posts=None, *, all_fields=False, source="x", all_collections=False):
        """The reference hour, or one of another size or source."""
        posts = posts or self.posts
        flags = ["--all-fields"] * all_fields + ["--all-collections"] * all_collections
        spool = self.work / f"spool-{posts}{f'-{source}' * (source != 'x')}{''.join(flags)}"
        if not (spool / "made").exists():
            fresh(spool)
            command = [TOOL, "make", "--spool", spool / "spool", "--posts", str(posts), "--source", source]
            subprocess.run([*command, *flags], check=True)
            (spool / "made").touch()
        return spool / "spool"

    def flat(self):
        """The same hour as the predecessor's collector would have left it: flat objects in ASCII."""
        flat = self.work / f"flat-{self.posts}"
        if (flat / "made").exists():
            return flat
        fresh(flat)
        fields = "id,author_id,conversation_id,created_at,lang,source,text,referenced_tweets"
        url = f"https://api.twitter.com/2/tweets/sample/stream?tweet.fields={fields}&" + "user.fields=x" * 38
        for server in sorted(one for one in self.spool().iterdir() if one.is_dir()):
            (flat / server.name).mkdir()
            for segment in sorted(server.rglob("*_000.jsonl")):
                if segment.parent.name == HOUR[-2:]:
                    name = re.search(r"T(\d{4})Z", segment.name)[1]
                    with open(flat / server.name / f"{name}.jsonl", "w") as out:
                        for line in segment.read_bytes().split(b"\n")[:-1]:
                            out.write(flatten(line, url) + "\n")
        (flat / "made").touch()
        return flat

    def merge(self, xz, *, parquet=False, posts=None, threads=2, source="x"):
        data = fresh(self.work / "merged")
        spool = self.spool(posts, source=source)
        command = [TOOL, "merge", "--spool", spool, "--data-dir", data, "--hour", HOUR, "--source", source]
        command += ["--xz", xz, "--threads", str(threads), *["--parquet"] * parquet]
        run = measure(command)
        return run, data / "vault" / HOUR[:10]

    def predecessor(self, xz):
        out = fresh(self.work / "predecessor")
        for server in self.flat().iterdir():
            if server.is_dir():
                (out / "work" / server.name).mkdir(parents=True)
        run = measure([REFERENCES / "predecessor.sh", self.flat(), out, sys.executable, xz])
        return run, size_of(out, "*.xz" if xz == "xz" else "[Itu]*.*s*")

    # ---- the rows of the table

    def uncompressed(self):
        print("the hour without compression, against DuckDB and against the predecessor without xz")
        ours, duckdb = [], []
        for _ in range(self.runs):
            ours.append(self.merge("stored")[0])
            out = fresh(self.work / "duckdb")
            duckdb.append(measure([sys.executable, REFERENCES / "duckdb_hour.py", self.spool(), out]))
        ours, duckdb = median(ours), median(duckdb)
        before, _ = self.predecessor("none")
        show("twinstream, stored", ours)
        show("DuckDB in SQL, two threads", duckdb)
        show("predecessor without xz (one run)", before)
        ratio("wall / DuckDB", ours.wall / duckdb.wall, "<= 0.5", ours.wall <= duckdb.wall / 2)
        ratio("cpu / DuckDB", ours.cpu / duckdb.cpu, "-", True)
        ratio("memory / DuckDB", ours.rss_mib / duckdb.rss_mib, "<= 0.2", ours.rss_mib <= duckdb.rss_mib / 5)
        ratio("predecessor / wall", before.wall / ours.wall, ">= 30", 30 <= before.wall / ours.wall)
        ratio("predecessor / cpu", before.cpu / ours.cpu, "-", True)

    def compressed(self):
        print("the hour with the default compression, against the predecessor and against xz itself")
        ours, tool = [], []
        for _ in range(self.runs):
            run, vault = self.merge("balanced")
            ours.append(run)
            plain = fresh(self.work / "plain")
            for path in vault.glob("*.xz"):
                with lzma.open(path) as packed, open(plain / path.stem, "wb") as out:
                    shutil.copyfileobj(packed, out)
            each = ((path, BLOCKS.get(path.name.rsplit("_", 1)[-1], BLOCK)) for path in sorted(plain.iterdir()))
            commands = [f"xz -T2 --block-size={block} {BALANCED} --keep {path}" for path, block in each]
            tool.append(measure(["sh", "-ec", "\n".join(commands)]))
            size = size_of(vault, "*.xz")
        ours, tool = median(ours), median(tool)
        before, size_before = self.predecessor("xz")
        show("twinstream, balanced", ours, size)
        show("xz -T2, same options, same bytes", tool, size_of(plain, "*.xz"))
        show("predecessor (one run)", before, size_before)
        faster, larger = before.wall / ours.wall, size / size_before
        ratio("predecessor / wall", faster, ">= 6", 6 <= faster)
        ratio("predecessor / cpu", before.cpu / ours.cpu, "-", True)
        ratio("bytes / predecessor", larger, "<= 1.08", larger <= 1.08)
        ratio("wall / xz -T2", ours.wall / tool.wall, "<= 1.15", ours.wall <= 1.15 * tool.wall)
        ratio("cpu / xz -T2", ours.cpu / tool.cpu, "-", True)

    def parquet(self):
        print("Parquet beside the CSV")
        pairs = [(self.merge("stored")[0], self.merge("stored", parquet=True)) for _ in range(self.runs)]
        without = median([a for a, _ in pairs])
        with_it = median([b for _, (b, _) in pairs])
        size = size_of(pairs[-1][1][1], "*.parquet")
        if not size:
            print("  this version writes no Parquet")
            return
        show("without", without)
        show("with", with_it, size)
        more = with_it.cpu - without.cpu
        ratio("cpu seconds more", more, "<= 2.5", more <= 2.5)

    def memory(self):
        print("memory and CPU of an hour ten times as large")
        # the second is what a merge does by default
        for xz, parquet in (("stored", False), ("balanced", True)):
            runs = []
            for posts in (self.posts, 10 * self.posts):
                run, vault = self.merge(xz, posts=posts, parquet=parquet)
                manifest = json.loads((vault / f"{HOUR}_manifest.json").read_text())
                count = manifest["counts"]["total"]["posts"]
                show(f"{count:,} posts, {xz}{', Parquet' * parquet}", run)
                runs.append((run, count))
            (small, few), (large, many) = runs
            ratio("memory, MiB", small.rss_mib, "<= 300", small.rss_mib <= 300)
            grown = large.rss_mib / small.rss_mib
            ratio("memory, ten times as many / one", grown, "<= 1.3", grown <= 1.3)
            per_post = large.cpu / many / (small.cpu / few)
            ratio("cpu per post, ten times as many / one", per_post, "<= 1.15", per_post <= 1.15)

    def hundredfold(self, source="x"):
        print(f"memory and CPU of an hour {self.times} times as large, one run (40 GB more in the work folder for 100)")
        posts = self.times * self.posts
        runs = []
        try:
            for count, of in ((self.posts, "x"), (posts, source)):
                run, vault = self.merge("stored", posts=count, parquet=True, source=of)
                manifest = json.loads((vault / f"{HOUR}_manifest.json").read_text())
                merged = manifest["counts"]["total"]["posts"]
                legs = len(manifest["counts"]["servers"])
                show(f"{merged:,} posts of {legs} connections, stored, Parquet", run)
                runs.append((run, merged))
        finally:
            for folder in (f"spool-{posts}{f'-{source}' * (source != 'x')}", "merged"):
                shutil.rmtree(self.work / folder, ignore_errors=True)
        (small, few), (large, many) = runs
        ratio("memory, MiB", large.rss_mib, "<= 1.3 x 300", large.rss_mib <= 390)
        per_post = large.cpu / many / (small.cpu / few)
        ratio(f"cpu per post, {self.times} times as many / one", per_post, "<= 1.15", per_post <= 1.15)

    def partitions(self):
        print("the firehose's hour: two servers, twenty partitions each")
        self.hundredfold("firehose")

    # ---- the collector

    def site(self, url):
        """A folder with a configuration for a collector of that stream."""
        folder = fresh(self.work / "site")
        token = folder / "token"
        token.write_text("simulated")
        token.chmod(0o600)
        config = folder / "twinstream.toml"
        if url.startswith("wss:"):
            stream = f'[bluesky]\nendpoints = ["{url}"]\n'
            head = f'source = "bluesky"\ndata_dir = "{folder}"\n'
        else:
            stream = f'[x]\nbase_url = "{url}"\nbearer_token_file = "{token}"\nbackfill = false\n'
            head = f'data_dir = "{folder}"\n'
        config.write_text(f'{head}{stream}[[servers]]\nid = "1"\nrole = "primary"\nhost = "localhost"\n')
        return folder, [PROGRAM, "collect", "--server", "1", "--config", config]

    def collect(self, server, command, spool, until, stdout=None):
        """Runs a collector until something is so, then asks it to end."""
        environment = {**os.environ, "SSL_CERT_FILE": str(server.certificate)}
        log = open(self.work / "collect.log", "w")
        begin = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), env=environment, stderr=log, stdout=stdout)
        wait_for(lambda: until(spool), process, log)
        rss_mib = rss_of(process.pid)
        process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"the collector failed, see {log.name}")
        return Run(time.monotonic() - begin, usage.ru_utime + usage.ru_stime, rss_mib)

    def collector(self):
        print("the collector at full rate, against curl: TLS, gzip, small chunks")
        count = 150_000
        lines = stream_server.received_lines(self.spool(), count)
        ours, curl = [], []
        for _ in range(self.runs):
            server = stream_server.StreamServer(self.work, lines)
            ours.append(self.take(server))
            to_file = ["curl", "--silent", "--compressed", "--cacert", server.certificate, "--max-time", "600"]
            curl.append(measure([*to_file, "--output", self.work / "curl.jsonl", server.url]))
        ours, curl = median(ours), median(curl)
        show(f"twinstream collect, {count:,} posts", ours)
        show("curl --compressed to a file", curl)
        faster = curl.cpu / ours.cpu
        ratio("posts per CPU second, in thousands", count / ours.cpu / 1000, "-", True)
        ratio("posts per CPU second / curl", faster, ">= 1.0", 1 <= faster)
        ratio("memory at full rate, MiB", ours.rss_mib, "<= 64", ours.rss_mib <= 64)

    def latency(self):
        print("the collector at 50 posts a second: from the socket to durable")
        lines = stream_server.received_lines(self.spool(), 50 * 70)
        server = stream_server.StreamServer(self.work, lines, rate=50)
        folder, _ = self.site(server.url)
        out = folder / "durable"
        command = [TOOL, "collect", "--base-url", server.url, "--spool", folder / "spool"]
        with open(out, "w") as stdout:
            run = self.collect(server, command, folder, lambda _: server.done.wait(0.1), stdout)
        durable = [int(line) / 1000 for line in out.read_text().split()]
        waits = sorted(there - sent for sent, there in zip(server.sent, durable))
        at = lambda share: waits[min(len(waits) - 1, int(share * len(waits)))]
        show(f"{len(waits):,} of {len(lines):,} posts", run)
        ratio("median, s", at(0.5), "-", True)
        ratio("p99.9, s", at(0.999), "<= 1.1", at(0.999) <= 1.1)
        ratio("most, s", waits[-1], "-", True)

    def reconnect(self):
        print("the collector at 50 posts a second: from a drop by the platform to the next request, and memory")
        lines = stream_server.received_lines(self.spool(), 50_000)
        server = stream_server.StreamServer(self.work, lines, rate=50, hangs_up_after=2.5)
        folder, command = self.site(server.url)
        run = self.collect(server, command, folder, lambda _: 12 <= len(server.requests))
        waits = sorted(1000 * (next - drop) for drop, next in zip(server.drops, server.requests[1:]))
        print(f"  {len(waits)} drops, milliseconds: {' '.join(f'{wait:.1f}' for wait in waits)}")
        middle = statistics.median(waits)
        ratio("median, ms (the TLS handshake with it)", middle, "<= 50", middle <= 50)
        show("twinstream collect, 50 posts a second", run)
        ratio("memory, MiB", run.rss_mib, "<= 20", run.rss_mib <= 20)

    def legs(self):
        print(f"the collector with twenty legs: the simulated firehose, {LEGS_RATE:,} posts a second in all, for a minute")
        simulate = [PROGRAM, "simulate", "--rate", LEGS_RATE, "--fields", "all", "--max-requests", 1000]
        # where every second of a day has the same rate is where the rate is the mean one
        simulate += ["--clock", "2026-11-23T18:00:00Z@1"]
        api = subprocess.Popen(list(map(str, simulate)), stdout=subprocess.PIPE, text=True)
        try:
            folder, command = self.site(api.stdout.readline().strip())
            config = folder / "twinstream.toml"
            config.write_text(config.read_text().replace("[x]", '[x]\nstream = "firehose"\nfields = "all"'))
            command += ["--clock", "2026-11-23T18:00:00Z@1"]
            log = open(self.work / "collect.log", "w")
            process = subprocess.Popen(list(map(str, command)), stderr=log)
            wait_for(lambda: connected(folder) == 20, process, log)
            time.sleep(10)
            begin, cpu, size = time.monotonic(), cpu_of(process.pid), size_of(folder / "spool")
            time.sleep(60)
            wall, cpu, size = time.monotonic() - begin, cpu_of(process.pid) - cpu, size_of(folder / "spool") - size
            rss_mib = rss_of(process.pid)
            ended(process, log)
        finally:
            api.terminate()
            api.wait()
        segments = list(self.segments())
        lines = sum(path.read_bytes().count(b"\n") for path in segments)
        if not lines:
            sys.exit("no post came: this machine is too busy for the simulator")
        of_line = sum(path.stat().st_size for path in segments) / lines
        ends = sum(path.read_bytes().count(b'"disconnected"') for path in self.segments(".events"))
        fresh(self.work / "site")
        show("twinstream collect, twenty legs", Run(wall, cpu, rss_mib))
        rate = size / of_line / wall
        ratio("posts a second", rate, f">= {0.95 * LEGS_RATE:.0f}", 0.95 * LEGS_RATE <= rate)
        ratio("stored MB a second", size / wall / 1e6, "-", True)
        ratio("connections that ended (ours at the end)", ends, "20", ends == 20)
        share = cpu / wall
        ratio("share of a core", share, "<= 0.25", share <= 0.25)
        ratio("memory, MiB", rss_mib, "<= 128", rss_mib <= 128)

    def two_servers(self):
        minutes = self.minutes
        print(f"two servers with twenty legs each: the simulated firehose, {LEGS_RATE:,} posts a second in all, for {minutes} minutes")
        clock = ["--clock", f"{HOUR.replace('_', 'T')}:00:00Z@1"]
        simulate = [PROGRAM, "simulate", "--rate", LEGS_RATE, "--fields", "all", "--max-requests", 1000, "--max-connections", 2]
        api = subprocess.Popen(list(map(str, [*simulate, *clock])), stdout=subprocess.PIPE, text=True)
        runs = []
        try:
            folder, command = self.site(api.stdout.readline().strip())
            config = (folder / "twinstream.toml").read_text().replace("[x]", '[x]\nstream = "firehose"\nfields = "all"')
            for id in ("1", "2"):
                data_dir = folder / f"of_{id}"
                data_dir.mkdir()
                other = f'[[servers]]\nid = "2"\nrole = "secondary"\nhost = "elsewhere"\ndeliver_to = "{folder}/of_1/spool"\n'
                of_server = data_dir / "twinstream.toml"
                of_server.write_text(config.replace(f'data_dir = "{folder}"', f'data_dir = "{data_dir}"') + other)
                collect = [PROGRAM, "collect", "--server", id, "--config", of_server, *clock]
                log = open(data_dir / "log", "w")
                runs.append((subprocess.Popen(list(map(str, collect)), stderr=log), data_dir, log))
            for process, data_dir, log in runs:
                wait_for(lambda: connected(data_dir) == 20, process, log)
            time.sleep(60)
            begin = time.monotonic()
            before = [cpu_of(process.pid) for process, _, _ in runs]
            time.sleep(60 * minutes)
            wall = time.monotonic() - begin
            found = [Run(wall, cpu_of(process.pid) - cpu, rss_of(process.pid)) for (process, _, _), cpu in zip(runs, before)]
            for process, _, log in runs:
                ended(process, log)
        finally:
            api.terminate()
            api.wait()
        os.rename(folder / "of_2/spool/2", folder / "of_1/spool/2")
        merge = [TOOL, "merge", "--spool", folder / "of_1/spool", "--data-dir", folder / "merged", "--hour", HOUR]
        measure([*merge, "--source", "firehose", "--xz", "stored", "--threads", "2"])
        said = json.loads(next((folder / "merged").rglob("*_manifest.json")).read_text())
        servers, rows = said["minutes"]["servers"], said["minutes"]["rows"]
        fresh(self.work / "site")
        # they connect during the first minute with posts; posts of the one before the last may come after the end
        rows = [row for row in rows if row[1]][1:-2]
        if not rows:
            sys.exit("no minute is whole: let them collect longer (--minutes)")
        posts = sum(row[1] for row in rows)
        for id, run in zip("12", found):
            show(f"twinstream collect, server {id}", run)
            of_server = [sum(n for leg, n in zip(servers, row[2]) if leg.startswith(f"{id}.")) for row in rows]
            ratio("posts that it lacks", posts - sum(of_server), "0", sum(of_server) == posts)
            ratio("share of a core", run.cpu / run.wall, "<= 0.25", run.cpu / run.wall <= 0.25)
            ratio("memory, MiB", run.rss_mib, "<= 128", run.rss_mib <= 128)
        rate = posts / (60 * len(rows))
        ratio(f"posts a second in {len(rows)} whole minutes", rate, f">= {0.95 * LEGS_RATE:.0f}", 0.95 * LEGS_RATE <= rate)

    # ---- Bluesky

    def bluesky(self):
        print("Bluesky: an hour of 160,000 posts against X's")
        x, bluesky = [], []
        for _ in range(self.runs):
            x.append(self.merge("balanced", parquet=True)[0])
            run, vault = self.merge("balanced", parquet=True, posts=BLUESKY_POSTS, source="bluesky")
            bluesky.append(run)
        manifest = json.loads((vault / f"{HOUR}_manifest.json").read_text())
        listed = manifest["counts"]["total"]["posts"]
        x, bluesky = median(x), median(bluesky)
        show("X's hour, balanced, Parquet", x)
        show(f"Bluesky's, {listed:,} addresses", bluesky, size_of(vault))
        ratio("wall / X's", bluesky.wall / x.wall, "<= 1.2", bluesky.wall <= 1.2 * x.wall)
        ratio("cpu / X's", bluesky.cpu / x.cpu, "-", True)
        ratio("memory / X's", bluesky.rss_mib / x.rss_mib, "-", True)

    def bluesky_collector(self):
        print("Bluesky: the collector at full rate against X's stream, on as many bytes of lines")
        x_lines = stream_server.received_lines(self.spool(), 150_000)
        size = sum(map(len, x_lines))
        lines, left = [], size
        for line in stream_server.received_lines(self.spool(BLUESKY_POSTS, source="bluesky"), 10**9):
            left -= len(line)
            if left < 0:
                break
            lines.append(line)
        x, bluesky = [], []
        for _ in range(self.runs):
            x.append(self.take(stream_server.StreamServer(self.work, x_lines)))
            bluesky.append(self.take(stream_server.Instance(self.work, lines)))
        x, bluesky = median(x), median(bluesky)
        show(f"collect, X, {len(x_lines):,} posts, {size / 1e6:.0f} MB", x)
        show(f"collect, Bluesky, {len(lines):,} events, {size / 1e6:.0f} MB", bluesky)
        per_second = len(lines) / bluesky.cpu
        ratio("events per CPU second, in thousands", per_second / 1000, "-", True)
        faster = per_second / (len(x_lines) / x.cpu)
        ratio("events per CPU second / X's posts", faster, ">= 0.8", 0.8 <= faster)
        ratio("bytes per CPU second / X's", x.cpu / bluesky.cpu, "-", True)
        ratio("memory at full rate, MiB", bluesky.rss_mib, "<= 64", bluesky.rss_mib <= 64)

    def take(self, server, times=1):
        """Collects all lines of a server."""
        folder, command = self.site(server.url)
        stamp = stamp_bytes(server.url)
        size = times * sum(len(line) + stamp for line in server.lines)
        is_stored = lambda spool: size <= size_of(spool, "*_[0-9][0-9][0-9].jsonl*")
        return self.collect(server, command, folder / "spool", is_stored)

    def bluesky_rate(self):
        print("Bluesky: all collections, 345 events a second, for a minute")
        lines = stream_server.received_lines(self.spool(BLUESKY_POSTS, source="bluesky", all_collections=True), 345 * 60)
        server = stream_server.Instance(self.work, lines, rate=345)
        run = self.take(server)
        show(f"collect, {len(lines):,} events, {sum(map(len, lines)) / 1e6:.1f} MB", run)
        share = run.cpu / run.wall
        ratio("share of a core", share, "<= 0.10", share <= 0.10)
        ratio("memory, MiB", run.rss_mib, "<= 20", run.rss_mib <= 20)

    def bluesky_backlog(self):
        print("Bluesky: the posts of a day at once, one run (4 GB more in the work folder)")
        lines = stream_server.received_lines(self.spool(BLUESKY_POSTS, source="bluesky"), 10**9)
        size = 24 * sum(map(len, lines))
        try:
            run = self.take(stream_server.Instance(self.work, lines, times=24), times=24)
            stored = sum(path.read_bytes().count(b"\n") for path in self.segments())
            ends = sum(b'"disconnected"' in path.read_bytes() for path in self.segments(".events"))
        finally:
            fresh(self.work / "site")
        show(f"collect, {24 * len(lines):,} events, {size / 1e9:.1f} GB", run)
        ratio("events a second, in thousands", 24 * len(lines) / run.wall / 1000, "-", True)
        ratio("memory, MiB", run.rss_mib, "<= 64", run.rss_mib <= 64)
        ratio("events stored / sent", stored / (24 * len(lines)), "1", stored == 24 * len(lines))
        ratio("files that tell of an end (ours is one)", ends, "1", ends == 1)

    def kept(self):
        print(f"a merge with nothing to do while raw data is kept, median of {self.runs} (1 GB and 260,000 files more in the work folder)")
        found = {}
        for name, days, every in KEPT:
            folder = fresh(self.work / "kept")
            segments = small_segments.write(folder / "spool", days, every)
            config = folder / "twinstream.toml"
            config.write_text(
                f'data_dir = "{folder}"\n[x]\nbase_url = "http://127.0.0.1:9"\n[merge]\nkeep_raw = "forever"\nformats = ["csv"]\nxz = "fast"\n'
                '[[servers]]\nid = "1"\nrole = "primary"\nhost = "one"\n[[servers]]\nid = "2"\nrole = "secondary"\nhost = "two"\ndeliver_to = "spool"\n'
            )
            # more than an hour after the last segment, so that all may be compressed; the next hour is due after all this
            now = small_segments.BEGIN + datetime.timedelta(days=days, minutes=80)

            def merge(minutes, wants):
                at = now + datetime.timedelta(minutes=minutes)
                return measure([PROGRAM, "--quiet", "--server", "1", "--config", config, "--clock", f"{at:%Y-%m-%dT%H:%M:%SZ}@1", "merge"], wants=wants)

            # the first one merges, the second one compresses what has become old enough, the others find that nothing changes any more
            first = merge(0, (0, 4))
            for minutes in (5, 10, 15):
                looking = merge(minutes, (0, 4))
            found[name] = median([merge(20 + 5 * n, (4,)) for n in range(self.runs)])
            show(f"{name}, {segments:,} segments: all merged", first)
            show(f"{name}: all looked at", looking)
            show(f"{name}: nothing to do", found[name])
            (folder / "closed.json").unlink()
            show(f"{name}: nothing to do, and closed.json lost", merge(35, (4,)))
        few, month, year = found.values()
        ratio("ten times the days, CPU", month.cpu / few.cpu, "-", True)
        ratio("a year, CPU seconds", year.cpu, "<= 1", year.cpu <= 1)
        ratio("a year, MiB", year.rss_mib, "<= 64", year.rss_mib <= 64)
        fresh(self.work / "kept")

    def kept_in_store(self):
        print(f"the same with the spool in an object store, where server 2 delivers to; median of {self.runs} (1 GB and 200,000 files more in the work folder)")
        self.kept_there(vault_there=False)

    def kept_by_merger(self):
        print(f"the same with spool and vault in an object store, where both deliver to; median of {self.runs} (1 GB and 300,000 files more in the work folder)")
        self.kept_there(vault_there=True)

    def kept_there(self, vault_there):
        found = {}
        for name, days, every in KEPT_IN_STORE:
            folder = fresh(self.work / "kept")
            # what it needs is the store's, not the program's
            store = subprocess.Popen([sys.executable, ROOT / "benches/object_store.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                found[name] = self.kept_in(folder, store, (name, days, every), vault_there)
            finally:
                store.kill()
                store.wait()
        year = found[name]
        ratio("a year, CPU seconds", year.cpu, "<= 1", year.cpu <= 1)
        ratio("a year, MiB", year.rss_mib, "<= 64", year.rss_mib <= 64)
        fresh(self.work / "kept")

    def kept_in(self, folder, store, of, vault_there):
        """Servers deliver and a machine merges, until there is nothing to do any more; gives what that costs."""
        name, days, every = of
        url = store.stdout.readline().strip()
        key = folder / "access-key"
        key.write_text("id\nsecret\n")
        key.chmod(0o600)
        spool, vault = "s3://archive/spool", "s3://archive/vault"
        servers = (("1", "primary", vault_there), ("2", "secondary", True), *[("3", "merger", False)] * vault_there)
        delivering = [id for id, _, delivers in servers if delivers]
        merging = "3" if vault_there else "1"
        for id, _, _ in servers:
            (folder / id).mkdir()
            text = f'data_dir = "{folder / id}"\nspool_dir = "{spool}"\n' + f'vault_dir = "{vault}"\n' * vault_there
            text += f'[x]\nbase_url = "http://127.0.0.1:9"\n[s3]\nendpoint = "{url}"\naccess_key_file = "{key}"\n'
            text += '[merge]\nkeep_raw = "forever"\nformats = ["csv"]\nxz = "fast"\n'
            for other, role, delivers in servers:
                text += f'[[servers]]\nid = "{other}"\nrole = "{role}"\nhost = "{other}"\n' + f'deliver_to = "{spool}"\n' * delivers
            (folder / f"{id}.toml").write_text(text)

        def run(server, now, stage, wants=(0, 4)):
            command = [PROGRAM, "--quiet", "--server", server, "--config", folder / f"{server}.toml", "--clock", f"{now:%Y-%m-%dT%H:%M:%SZ}@1", stage]
            return measure(command, wants=wants)

        def asked():
            store.stdin.write("\n")
            store.stdin.flush()
            return json.loads(store.stdout.readline())

        def tell(what, of):
            show(f"{name}{what}", of)
            counts = asked()
            print(f"  {sum(counts.values()):>8,} requests: {', '.join(f'{count:,} {method}' for method, count in sorted(counts.items()))}", flush=True)

        # two days and two more after the first merge: what was acknowledged before need not be read any more
        segments, before = 0, 0
        for until in sorted({max(1, days - 4), max(1, days - 2), days}):
            for server in "12":
                segments += small_segments.write(folder / server / "spool", until, every, (server,), before)
            before = until
            now = small_segments.BEGIN + datetime.timedelta(days=until, minutes=80)
            for server in delivering:
                run(server, now, "deliver", (0,))
            asked()
            tell(f", {segments:,} segments: what is new is merged", run(merging, now, "merge"))
            for minutes in (5, 10, 15):
                run(merging, now + datetime.timedelta(minutes=minutes), "merge")
            asked()
            tell(f", {segments:,} segments: nothing to do", run(merging, now + datetime.timedelta(minutes=20), "merge", (4,)))
        later = [run(merging, now + datetime.timedelta(minutes=21 + n), "merge", (4,)) for n in range(self.runs)]
        show(f"{name}: nothing to do, median", median(later))
        asked()
        for lost in folder.rglob("closed.json"):
            lost.unlink()
        tell(": nothing to do, and closed.json lost", run(merging, now + datetime.timedelta(minutes=35), "merge", (4,)))
        return median(later)

    def years(self):
        print(f"ten years of vault beside a month, nothing new, medians of {self.runs} (2 GB and 700,000 files more in the work folder)")
        folder = fresh(self.work / "years")
        token = folder / "token"
        token.write_text("simulated")
        token.chmod(0o600)
        begin = small_segments.BEGIN.date()
        # the second of three days: the first one is where the archive begins, the third where it ends
        of, last = begin + many_days.DAY, begin + 2 * many_days.DAY
        now = small_segments.BEGIN + datetime.timedelta(days=3, minutes=30)
        at = lambda minutes: f"{now + datetime.timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"

        def config(name):
            (folder / name).mkdir()
            path = folder / f"{name}.toml"
            path.write_text(
                f'data_dir = "{folder / name}"\n[x]\nbase_url = "http://127.0.0.1:9"\n[merge]\nkeep_raw = "forever"\nformats = ["csv"]\nxz = "fast"\ntimezone = "UTC"\n'
                f'[publish.osf]\nproject = "abcde"\nbase_url = "http://127.0.0.1:9"\ntoken_file = "{token}"\n'
                '[[servers]]\nid = "1"\nrole = "primary"\nhost = "one"\n[[servers]]\nid = "2"\nrole = "secondary"\nhost = "two"\ndeliver_to = "spool"\n'
            )
            return path

        def command(path, minutes, *args):
            return [PROGRAM, "--quiet", "--server", "1", "--config", path, "--clock", f"{at(minutes)}@1", *args]

        template = config("template")
        small_segments.write(folder / "template/spool", 3, 30)
        for args in (["merge"], ["report", f"{of}"]):
            measure(command(template, 0, *args), wants=(0, 4, 5), stderr=subprocess.DEVNULL)
        stages = {"merge": ["merge"], "report": ["report", f"{last}"], "publish": ["publish"], "status": ["status", "--json"], "gaps": ["gaps", "--since", f"{last}"]}
        found = {}
        for name, days in (("a month", 30), ("ten years", 3650)):
            path = config(f"days-{days}")
            data = folder / f"days-{days}"
            (data / "spool").mkdir()
            aside(many_days.write, folder / "template/vault", of, data / "vault", last, days)
            run = lambda stage, minutes: measure(command(path, minutes, *stages[stage]), wants=(0, 4, 5), stderr=subprocess.DEVNULL)
            run("report", 0)
            aside(many_days.diary, data / "vault", data / "published.jsonl", at(0))
            for stage in stages:
                # when nothing is noted yet; then until what was found has been so for a minute
                first = run(stage, 1)
                run(stage, 3)
                found[name, stage] = median([run(stage, 5 + n) for n in range(self.runs)])
                show(f"{name}: {stage}, for the first time", first)
                show(f"{name}: {stage}", found[name, stage])
            found[name, "picture"] = self.picture(command(path, 10, "status", "--json", "--watch"), found[name, "status"])
            show(f"{name}: the page, each picture after the first", found[name, "picture"])
        for stage in [*stages, "picture"]:
            few, many = found["a month", stage], found["ten years", stage]
            ratio(f"{stage}: CPU seconds of ten years", many.cpu, "<= 1", many.cpu <= 1)
            ratio(f"{stage}: MiB of ten years", many.rss_mib, "<= 64", many.rss_mib <= 64)
            ratio(f"{stage}: CPU, ten years / a month", many.cpu / max(few.cpu, 0.001), "-", True)
        fresh(folder)

    @staticmethod
    def picture(watching, first):
        """What each further look of a program that watches costs."""
        process = subprocess.Popen(list(map(str, watching)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(21)
        rss_mib = rss_of(process.pid)
        process.terminate()
        _, _, usage = os.wait4(process.pid, 0)
        return Run(2, (usage.ru_utime + usage.ru_stime - first.cpu) / 10, rss_mib)

    def deletions(self):
        print("a day's deletions honoured (`redact --deleted`), one run each: of so many hours one post each, in archives of a month and of a year")
        folder = fresh(self.work / "deletions")
        config = folder / "twinstream.toml"
        config.write_text(
            f'source = "bluesky"\ndata_dir = "{folder}"\n[bluesky]\nendpoints = ["ws://127.0.0.1:9"]\n[merge]\nkeep_raw = "1d"\n'
            'formats = ["csv", "parquet"]\nxz = "fast"\n[[servers]]\nid = "1"\nrole = "primary"\nhost = "one"\n'
        )

        def command(hour, *args):
            now = small_hours.BEGIN + datetime.timedelta(hours=hour, minutes=30)
            return [PROGRAM, "--quiet", "--server", "1", "--config", config, "--clock", f"{now:%Y-%m-%dT%H:%M:%SZ}@1", *args]

        def honour(hour):
            # what earlier commands have left to be written is not this one's work
            os.sync()
            return measure(command(hour, "redact", "--deleted"), wants=(0, 4, 5))

        found, made = {}, 0
        for number, days in enumerate((30, 360)):
            hours = days * 24
            small_hours.posts(folder / "spool", range(made, hours))
            # what is older than a day has no raw data any more
            for later in (1, 30, 60):
                measure(command(hours + later, "merge"), wants=(0, 4, 5))
            found[days, 0] = honour(hours + 60)
            show(f"{hours:,} hours, nothing deleted", found[days, 0])
            for day, touched in enumerate((30, 300), start=3):
                told = hours + 24 * day
                small_hours.deletions(folder / "spool", told, range(0, hours, hours // touched), 2 * number + day)
                asked = datetime.datetime.fromtimestamp(small_hours.ms_of(told) / 1000, datetime.timezone.utc)
                measure(command(told + 2, "merge", "--hour", f"{asked:%Y-%m-%d_%H}"), wants=(0, 4, 5))
                found[days, touched] = honour(told + 3)
                show(f"{hours:,} hours, deletions of {touched}", found[days, touched])
            made = hours + 24 * 5
        for touched in (30, 300):
            cost = lambda days: found[days, touched].cpu - found[days, 0].cpu
            ratio(f"twelve times the archive, the same {touched} hours, CPU", cost(360) / cost(30), "<= 1.5", cost(360) <= 1.5 * cost(30))
        ratio("an hour that holds something, CPU ms", 1000 * cost(360) / 300, "-", True)
        ratio("all else, a year, CPU seconds", found[360, 0].cpu, "-", True)
        fresh(self.work / "deletions")

    def segments(self, of=""):
        paths = (self.work / "site/spool/1").rglob(f"*_[0-9][0-9][0-9]{of}.jsonl")
        return sorted(paths)


def wait_for(is_so, process, log):
    """Waits until something is so while a collector runs."""
    end = time.monotonic() + COLLECT_S_MAX
    while not is_so():
        time.sleep(0.1)
        if process.poll() is not None or end < time.monotonic():
            process.kill()
            sys.exit(f"the collector did not get there, see {log.name}")


def connected(folder):
    """In how many events files there a connection was made."""
    return sum(b'"kind":"connected"' in path.read_bytes() for path in folder.rglob("*.events.jsonl"))


def ended(process, log):
    """Asks a collector to end, and waits for it."""
    process.send_signal(signal.SIGTERM)
    if process.wait():
        sys.exit(f"the collector failed, see {log.name}")


def cpu_of(pid):
    """CPU seconds of a process that runs."""
    after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def rss_of(pid):
    """The most memory of a process that runs, in MiB: what the kernel says in the end counts this script's own memory too, at the
    moment of the fork."""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def stamp_bytes(url):
    """What a stored line has more than the received one: the stamp and the line end."""
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    common = f'{{"retrieved_at":"{"0" * 24}","version":"twinstream/{version}"'
    of_source = f',"__twinstream":{common},"endpoint":"{url}"}}' if url.startswith("wss:") else f',"__twarc":{common}}}'
    return len(of_source) + 1


def flatten(line, url):
    post = json.loads(line)
    data = post["data"]
    users = post.get("includes", {}).get("users", [])
    author = next((user for user in users if user["id"] == data["author_id"]), None)
    if author:
        data["author"] = author
    data["__twarc"] = {"url": url, "version": "2.9.5", "retrieved_at": post["__twarc"]["retrieved_at"]}
    return json.dumps(data)


WHATS = ["uncompressed", "compressed", "parquet", "collector", "latency", "reconnect", "legs", "memory", "bluesky", "bluesky_collector", "bluesky_rate"]
# much time or space: only if it is asked for
LONG_WHATS = ["hundredfold", "partitions", "two_servers", "bluesky_backlog", "kept", "kept_in_store", "kept_by_merger", "years", "deletions"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("what", nargs="*", choices=[*WHATS, *LONG_WHATS, []], help=f"which rows of the table (all but {', '.join(LONG_WHATS)})")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--posts", type=int, default=183_000, help="posts of the reference hour")
    parser.add_argument("--times", type=int, default=100, help="how many times as large the hour of hundredfold and partitions is")
    parser.add_argument("--minutes", type=int, default=10, help="how long two_servers collect")
    parser.add_argument("--work", default=ROOT / "target/bench", help="where everything is made")
    arguments = parser.parse_args()
    whats = arguments.what or WHATS
    if len(whats) == 1:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {arguments.posts} posts, medians of {arguments.runs}", flush=True)
        return getattr(Bench(arguments), whats[0])()
    for what in whats:
        # a process for each: the kernel counts the memory of whoever starts a program as the program's
        options = ["--runs", str(arguments.runs), "--posts", str(arguments.posts), "--times", str(arguments.times), "--minutes", str(arguments.minutes), "--work", str(arguments.work)]
        ended = subprocess.run([sys.executable, __file__, what, *options])
        if ended.returncode:
            sys.exit(ended.returncode)


main()
