//! Posts of many shapes, made from numbers, and a spool with what several servers received of them,
//! written with the formats that the collector uses.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
};

use twinstream::{
    period::{Minute, UtcMs},
    segment::{
        event::{Event, EventKind},
        line,
        name::{RunId, SegmentName, ServerId},
        seal::{Digester, FORMAT, Seal},
    },
    source::{BLUESKY, SAMPLE, x::id},
    world::disk::Disk,
};

/// A number that looks random, always the same for the same two.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const TEXTS: [&str; 8] = [
    "plain words",
    "a \\\"quoted\\\" word, and a comma",
    "two\\nlines\\r\\nand \\u2028 more\\u0000",
    "家族 👩\u{200d}👩\u{200d}👧 مرحبا",
    "half of a pair \\ud83d!",
    "null",
    "\\ud83d\\ude00 \\u00e9",
    ";\\t' tab, and = signs",
];

/// A post of an instant; `n` makes its shape.
pub(crate) fn post(n: u64, at: UtcMs) -> String {
    let id = id::first_of(at) + mix(n, 1) % 4_096;
    let author = 7 + mix(n, 2) % 40;
    let text = TEXTS[usize::try_from(mix(n, 3) % 8).unwrap()];
    let (references, count) = match mix(n, 4) % 4 {
        0 => ("", "tweet_count"),
        1 => (
            r#","referenced_tweets":[{"type":"retweeted","id":"1541815603606036480"}]"#,
            "tweet_count",
        ),
        2 => (
            r#","referenced_posts":[{"type":"quoted","id":"5"},{"type":"replied_to","id":"6"}]"#,
            "post_count",
        ),
        _ => (r#","referenced_tweets":[]"#, "post_count"),
    };
    let users = match mix(n, 5) % 9 {
        0 => String::new(),
        more => format!(
            r#","includes":{{"users":[{{"id":"3","name":"another"}},{{"id":"{author}","name":"user {author}, v{more}","username":"u{author}","verified":false,"public_metrics":{{"followers_count":{n},"{count}":{more}}}}}]}}"#
        ),
    };
    format!(
        r#"{{"data":{{"id":"{id}","author_id":"{author}","created_at":"{at}","lang":"en","text":"{text}"{references}}}{users}}}"#
    )
}

/// Where lines of a stream come from that several endpoints serve.
const ENDPOINT: &str = "wss://jetstream.example";

/// One line as a server received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: UtcMs,
    pub(crate) line: Vec<u8>,
}

/// One segment of a server, before it is in a spool.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) name: SegmentName,
    pub(crate) lines: Vec<Received>,
    pub(crate) events: Vec<Event>,
}

/// What one server received, as segments: one for every minute from the first line's to the last's.
pub(crate) fn segments(server: &str, received: &[Received]) -> Vec<Segment> {
    segments_of(SAMPLE.word, server, received)
}

/// The same of another stream.
pub(crate) fn segments_of(stream: &str, server: &str, received: &[Received]) -> Vec<Segment> {
    let mut minutes: BTreeMap<Minute, Vec<Received>> = BTreeMap::new();
    for one in received {
        minutes
            .entry(one.at.minute())
            .or_default()
            .push(one.clone());
    }
    let first = minutes.keys().next().unwrap().0;
    let last = minutes.keys().last().unwrap().0;
    let server: ServerId = server.parse().unwrap();
    (first..=last)
        .map(Minute)
        .map(|minute| {
            let started = Event {
                at: minute.begin(),
                what: EventKind::Started {
                    program: "test/1".to_owned(),
                    number: 1,
                    after: None,
                    last_line: None,
                },
                connection: 0,
            };
            let first_line = Event {
                at: minute.begin().plus_ms(500),
                what: EventKind::FirstLine {
                    clock_offset_ms: None,
                },
                connection: 1,
            };
            Segment {
                name: SegmentName {
                    server: server.clone(),
                    stream: stream.to_owned(),

                    partition: None,
                    minute,
                    run: RunId(0x3fa9_c01b),
                    part: 0,
                },
                lines: minutes.remove(&minute).unwrap_or_default(),
                events: if minute.0 == first {
                    vec![started]
                } else {
                    vec![first_line]
                },
            }
        })
        .collect()
}

impl Segment {
    /// The three files, and what is in them.
    pub(crate) fn files(&self, spool: &Path) -> [(PathBuf, Vec<u8>); 3] {
        let mut stored = Vec::new();
        for one in &self.lines {
            if self.name.stream == BLUESKY.word {
                line::store_from(&one.line, one.at, ENDPOINT, &mut stored);
            } else {
                line::store(&one.line, one.at, &mut stored);
            }
        }
        let events: Vec<u8> = self.events.iter().flat_map(Event::to_json).collect();
        let digest = |bytes: &[u8]| {
            let mut digester = Digester::default();
            digester.update(bytes);
            digester.finish()
        };
        let seal = Seal {
            format: FORMAT,
            program: "test/1".to_owned(),
            server: self.name.server.clone(),
            stream: self.name.stream.clone(),
            partition: self.name.partition,
            minute: self.name.minute,
            run: self.name.run,
            run_number: 1,
            part: self.name.part,
            segment: digest(&stored),
            events: digest(&events),
            first_arrival: self.lines.first().map(|one| one.at),
            last_arrival: self.lines.last().map(|one| one.at),
            oversize: 0,
            recovered: false,
            redacted: Vec::new(),
        };
        let paths = self.name.paths(spool);
        [
            (paths.segment, stored),
            (paths.events, events),
            (paths.seal, seal.to_json()),
        ]
    }

    /// Puts it into a spool, durably if it is to outlive a power cut.
    pub(crate) fn put(&self, disk: &dyn Disk, spool: &Path, durably: bool) {
        disk.make_folder(&spool.join(self.name.folder())).unwrap();
        for (path, bytes) in self.files(spool) {
            if disk.len(&path).unwrap().is_some() {
                disk.remove(&path).unwrap();
            }
            let mut file = disk.create(&path).unwrap();
            file.write_all(&bytes).unwrap();
            if durably {
                file.sync().unwrap();
                disk.sync_folder(path.parent().unwrap()).unwrap();
            }
        }
    }
}

/// A stream of posts and what `servers` servers received of it: each loses some, in its own way,
/// gets some twice, some late, and some lines that are none.
pub(crate) fn stream(
    servers: u64,
    begin: UtcMs,
    minutes: i64,
    per_minute: u64,
) -> Vec<Vec<Received>> {
    let mut posts = Vec::new();
    for minute in 0..minutes {
        for nth in 0..per_minute {
            let n = u64::try_from(minute).unwrap() * per_minute + nth;
            let at = begin.plus_ms(minute * 60_000 + i64::try_from(mix(n, 9) % 60_000).unwrap());
            posts.push((n, at, post(n, at)));
        }
    }
    (1..=servers)
        .map(|server| received_by(server, &posts))
        .collect()
}

fn received_by(server: u64, posts: &[(u64, UtcMs, String)]) -> Vec<Received> {
    let mut received = Vec::new();
    for (n, at, line) in posts {
        let luck = mix(*n, 100 + server) % 100;
        let late = i64::try_from(mix(*n, 200 + server) % 3_000).unwrap();
        let whole = || line.clone().into_bytes();
        let mut give = |delay: i64, line: Vec<u8>| {
            received.push(Received {
                at: at.plus_ms(delay),
                line,
            });
        };
        match luck {
            0..8 => (),
            8 => {
                give(late, whole());
                give(late + 1, whole());
            }
            // minutes late, as after a backfill
            9 => give(late + 150_000, whole()),
            // another count of followers
            10..13 => give(
                late,
                line.replace("followers_count\":", "followers_count\":9")
                    .into_bytes(),
            ),
            13 => {
                give(late, whole());
                // cut somewhere, in the middle of a character if there is one
                let odd = line.bytes().position(|byte| !byte.is_ascii());
                let end = odd.map_or(line.len() - 20, |odd| odd + 1);
                give(late + 2, line.as_bytes()[..end].to_vec());
            }
            14 => {
                give(late, whole());
                give(late, br#"{"data":{"text":"no id"}}"#.to_vec());
            }
            _ => give(late, whole()),
        }
    }
    received.sort_by_key(|one| one.at);
    received
}
