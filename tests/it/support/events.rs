//! Events of Bluesky made from numbers, and what servers received of them from endpoints whose clocks and counters differ.

use twinstream::{period::UtcMs, source::bluesky::tid};

use super::posts::{Received, mix};

/// An event before an endpoint has seen it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its own time.
    pub(crate) at: UtcMs,
    /// Its account, kind, and what it says.
    pub(crate) did: String,
    pub(crate) kind: &'static str,
    pub(crate) says: String,
}

pub(crate) fn did(n: u64) -> String {
    format!("did:plc:{:x}", mix(n, 50) % 40)
}

/// The revision of an instant; no two of one instant are the same if `n` is not.
pub(crate) fn rev(at: UtcMs, n: u64) -> String {
    let first = tid::first_of(at);
    let alphabet = b"234567abcdefghijklmnopqrstuvwxyz";
    let digit = |place: u32| char::from(alphabet[usize::try_from(n >> (5 * place) & 31).unwrap()]);
    format!("{}{}{}", &first[..11], digit(1), digit(0))
}

const TEXTS: [&str; 6] = [
    "plain words",
    "a \\\"quoted\\\" word, and a comma",
    "two\\nlines\\r\\nand \\u2028 more",
    "家族 👩\u{200d}👩\u{200d}👧 مرحبا",
    "\\ud83d\\ude00 half \\ud83d!",
    "null",
];

pub(crate) fn post(n: u64) -> String {
    let text = TEXTS[usize::try_from(mix(n, 3) % 6).unwrap()];
    let more = match mix(n, 4) % 4 {
        0 => String::new(),
        1 => format!(r#","reply":{{"root":{{"cid":"bafyr1","uri":"at://did:plc:r/app.bsky.feed.post/3k{n}"}},"parent":{{"cid":"bafyr2","uri":"at://did:plc:p/app.bsky.feed.post/3k{n}"}}}}"#),
        2 => format!(r#","facets":[{{"index":{{"byteEnd":4,"byteStart":0}},"features":[{{"$type":"app.bsky.richtext.facet#tag","tag":"t{n}"}}]}}],"tags":["x"]"#),
        _ => r#","embed":{"$type":"app.bsky.embed.external","external":{"uri":"https://a.example/x","title":"t","description":""}}"#.to_owned(),
    };
    format!(
        r#"{{"$type":"app.bsky.feed.post","createdAt":"2026-11-23T13:00:00.{:03}Z","langs":["en","de"],"text":"{text}"{more}}}"#,
        n % 1_000
    )
}

pub(crate) fn commit(
    (at, n): (UtcMs, u64),
    did: &str,
    operation: &str,
    (collection, rkey): (&str, &str),
    record: Option<&str>,
) -> Event {
    let rev = rev(at, n);
    let record = record.map_or_else(String::new, |record| {
        format!(r#","record":{record},"cid":"bafyrei{n}""#)
    });
    Event {
        at,
        did: did.to_owned(),
        kind: "commit",
        says: format!(
            r#"{{"rev":"{rev}","operation":"{operation}","collection":"{collection}","rkey":"{rkey}"{record}}}"#
        ),
    }
}

/// An event of an instant; `n` makes its kind and shape.
fn event(n: u64, at: UtcMs) -> Event {
    let author = did(mix(n, 2));
    let rkey = format!("3k{}", mix(n, 6) % 200);
    let told = |says: String| format!(r#"{{"did":"{author}",{says},"seq":{n},"time":"{at}"}}"#);
    let other = |kind, says| Event {
        at,
        did: author.clone(),
        kind,
        says,
    };
    let posts = "app.bsky.feed.post";
    match mix(n, 1) % 20 {
        0 => other("identity", told(format!(r#""handle":"h{n}.example""#))),
        1 if n.is_multiple_of(2) => other("account", told(r#""active":true"#.to_owned())),
        1 => other(
            "account",
            told(r#""active":false,"status":"deactivated""#.to_owned()),
        ),
        2 | 3 => commit((at, n), &author, "delete", (posts, &rkey), None),
        4 => commit((at, n), &author, "update", (posts, &rkey), Some(&post(n))),
        5..8 => {
            let like = format!(
                r#"{{"$type":"app.bsky.feed.like","createdAt":"{at}","subject":{{"cid":"bafy","uri":"at://did:plc:x/app.bsky.feed.post/{rkey}"}}}}"#
            );
            commit(
                (at, n),
                &author,
                "create",
                ("app.bsky.feed.like", &rkey),
                Some(&like),
            )
        }
        // a revision of long ago
        8 => commit(
            (at.plus_ms(-90_000_000), n),
            &author,
            "create",
            (posts, &rkey),
            Some(&post(n)),
        ),
        _ => commit((at, n), &author, "create", (posts, &rkey), Some(&post(n))),
    }
}

/// The line that a server gets of it: its endpoint saw it so late, and counts by itself.
pub(crate) fn line(event: &Event, server: u64, late_ms: i64) -> String {
    let Event {
        did, kind, says, ..
    } = event;
    let time_us = (event.at.0 + late_ms) * 1_000 + i64::try_from(mix(server, 70) % 1_000).unwrap();
    let cursor = mix(server, 71) % 1_000_000 + u64::try_from(event.at.0).unwrap() / 1_000;
    format!(
        r#"{{"did":"{did}","time_us":{time_us},"cursor":{cursor},"kind":"{kind}","{kind}":{says}}}"#
    )
}

/// A stream of events.
pub(crate) fn events(begin: UtcMs, minutes: i64, per_minute: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for n in 0..u64::try_from(minutes).unwrap() * per_minute {
        let minute = i64::try_from(n / per_minute).unwrap();
        let ms = minute * 60_000 + i64::try_from(mix(n, 9) % 60_000).unwrap();
        events.push(event(n, begin.plus_ms(ms)));
    }
    // two versions of one record in one millisecond
    let twice = begin.plus_ms(61_000);
    for n in [1, 2] {
        events.push(commit(
            (twice, n),
            "did:plc:twice",
            "update",
            ("app.bsky.feed.post", "3k"),
            Some(&post(n)),
        ));
    }
    events
}

/// What a server received of them: it loses some, gets some twice, some late, and some lines that are none.
pub(crate) fn received_by(server: u64, events: &[Event]) -> Vec<Received> {
    let mut received = Vec::new();
    for (n, event) in (0..).zip(events) {
        let late = i64::try_from(mix(n, 200 + server) % 3_000).unwrap();
        // what an event says of an old time was seen now
        let now = if event.says.contains("\"rev\"")
            && mix(n, 1) % 20 == 8
            && event.did != "did:plc:twice"
        {
            90_000_000
        } else {
            0
        };
        let mut give = |more: i64, line: String| {
            let at = event.at.plus_ms(now + late + more);
            received.push(Received {
                at,
                line: line.into_bytes(),
            });
        };
        let seen = line(event, server, now + late - 20);
        match mix(n, 100 + server) % 100 {
            0..8 => (),
            8 => {
                give(0, seen.clone());
                give(1, seen);
            }
            // sent again after a connection broke
            9 => {
                give(0, seen.clone());
                give(150_000, seen);
            }
            10 => {
                give(0, seen.clone());
                give(1, seen[..seen.len() - 9].to_owned());
            }
            11 => {
                give(0, seen);
                give(1, r#"{"kind":"commit","commit":{}}"#.to_owned());
            }
            _ => give(0, seen),
        }
    }
    received.sort_by_key(|one| one.at);
    received
}
