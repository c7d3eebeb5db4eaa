//! Whole streams, step by step, without sockets.

use std::sync::Arc;

use super::{
    super::{
        fault,
        recipe::{Fields, Recipe, Vocabulary},
    },
    *,
};

const START: UtcMs = UtcMs(1_795_435_200_000);

struct World {
    feed: Feed,
    schedule: Arc<Schedule>,
}

fn world(posts_per_1000s: u64, faults: &str) -> World {
    let schedule = Arc::new(Schedule::new(fault::parse(faults).unwrap(), 5, START));
    let recipe = Recipe {
        seed: 5,
        posts_per_1000s,
        residues: (0..=9).collect(),
        fields: Fields::Core,
        vocabulary: Vocabulary::Tweet,
    };
    World {
        feed: Feed::made(recipe, Arc::clone(&schedule)),
        schedule,
    }
}

/// All acts of a stream opened at the start, waking when it asks to, or every `step_ms`.
fn run(
    world: &mut World,
    backfill: i64,
    gzip: bool,
    until_s: i64,
    step_ms: Option<i64>,
) -> Vec<(i64, Act)> {
    let target = Target {
        listener: 1,
        connection: Some(1),
        partition: None,
    };
    let mut session = Session::new((target, Selection::All), 5, START, backfill, gzip);
    let mut now = START;
    let mut all = Vec::new();
    while now.0 - START.0 <= until_s * 1_000 && !session.over {
        let acts = session.step(now, &mut world.feed, &world.schedule);
        all.extend(acts.into_iter().map(|act| (now.0 - START.0, act)));
        let wake = session.next_wake(&mut world.feed, &world.schedule);
        now = step_ms.map_or(wake.max(now.plus_ms(i64::from(!session.behind))), |step| {
            now.plus_ms(step)
        });
    }
    all
}

fn bytes(acts: &[(i64, Act)]) -> Vec<u8> {
    acts.iter()
        .filter_map(|(_, act)| {
            if let Act::Send(bytes) = act {
                Some(bytes.clone())
            } else {
                None
            }
        })
        .flatten()
        .collect()
}

fn fault(text: &str) -> String {
    format!("[[fault]]\n{}", text.replace(';', "\n"))
}

/// The moments, in whole seconds, at which bytes were sent, without repeats.
fn seconds(acts: &[(i64, Act)]) -> Vec<i64> {
    let mut found: Vec<i64> = acts
        .iter()
        .filter(|(_, act)| matches!(act, Act::Send(_)))
        .map(|(at, _)| at / 1_000)
        .collect();
    found.dedup();
    found
}

#[test]
fn the_bytes_do_not_depend_on_when_the_stream_is_asked() {
    let faults = [
        "at=\"3s\";kind=\"garbage\";bytes=4000",
        "at=\"5s\";kind=\"duplicates\";count=7",
        "at=\"7s\";for=\"4s\";kind=\"stall\"",
        "at=\"13s\";for=\"3s\";kind=\"quiet\"",
        "at=\"18s\";for=\"3s\";kind=\"slow\";bytes_per_s=90",
        "at=\"23s\";kind=\"error_frame\";close=false;count=3",
        "at=\"30s\";kind=\"error_frame\"",
    ]
    .map(fault)
    .join("\n");
    let asked = bytes(&run(&mut world(20_000, &faults), 1, false, 40, None));
    for step in [17, 1_000, 40_000] {
        let other = bytes(&run(&mut world(20_000, &faults), 1, false, 80, Some(step)));
        assert_eq!(asked, other, "every {step} ms");
    }
}

#[test]
fn a_stream_sends_the_whole_feed_of_its_time_and_tells_it() {
    let mut world = world(20_000, &fault("at=\"30s\";kind=\"drop\""));
    let acts = run(&mut world, 0, false, 60, None);
    let due = world.feed.due(START, START.plus_ms(30_000), Selection::All);
    let expected: Vec<u8> = due.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    assert_eq!(bytes(&acts), expected);
    let told: u64 = acts
        .iter()
        .map(|(_, act)| {
            if let Act::Sent(span) = act {
                span.posts
            } else {
                0
            }
        })
        .sum();
    assert_eq!(told, due.len() as u64);
    assert_eq!(
        acts.last(),
        Some(&(30_000, Act::End(End::Clean { trailer: false })))
    );
}

#[test]
fn a_backfill_comes_first() {
    let mut world = world(20_000, &fault("at=\"10s\";kind=\"drop\""));
    let sent = bytes(&run(&mut world, 2, false, 60, None));
    let due = world.feed.due(
        START.plus_ms(-120_000),
        START.plus_ms(10_000),
        Selection::All,
    );
    let expected: Vec<u8> = due.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
    assert_eq!(sent, expected);
}

#[test]
fn silences_have_their_kind() {
    let silent = world(0, "");
    let mut silent = silent;
    let acts = run(&mut silent, 0, false, 65, None);
    assert_eq!(seconds(&acts), [20, 40, 60]);
    assert_eq!(bytes(&acts), b"\r\n\r\n\r\n");

    let stall = fault("at=\"5s\";for=\"50s\";kind=\"stall\"");
    let mut stalled = world(20_000, &stall);
    let acts = run(&mut stalled, 0, false, 60, None);
    let expected: Vec<i64> = (0..=5).chain(55..=60).collect();
    assert!(
        seconds(&acts).iter().all(|at| expected.contains(at)),
        "{:?}",
        seconds(&acts)
    );
    let normal = bytes(&run(&mut world(20_000, ""), 0, false, 60, None));
    assert_eq!(bytes(&acts), normal, "what was held back comes later");

    let quiet = fault("at=\"5s\";for=\"50s\";kind=\"quiet\"");
    let acts = run(&mut world(20_000, &quiet), 0, false, 60, None);
    let kept = acts
        .iter()
        .filter(|(_, act)| *act == Act::KeptAlive)
        .count();
    assert_eq!(kept, 2);
    assert!(
        bytes(&acts).len() < normal.len() / 2,
        "what was due then never comes"
    );
}

#[test]
fn each_end_has_its_way() {
    for (kind, gzip, end) in [
        ("drop", true, Some(End::Clean { trailer: false })),
        (
            "drop\";trailer=true;#",
            true,
            Some(End::Clean { trailer: true }),
        ),
        ("no_trailer", true, Some(End::Clean { trailer: false })),
        ("no_trailer", false, None),
        ("reset", false, Some(End::Reset)),
        ("cut", false, Some(End::Cut)),
        ("error_frame", false, Some(End::Clean { trailer: false })),
        (
            "lockout\";for=\"5s\";close=true;#",
            false,
            Some(End::Clean { trailer: false }),
        ),
        ("lockout\";for=\"5s\";#", false, None),
    ] {
        let faults = fault(&format!("at=\"3s\";kind=\"{kind}\""));
        let acts = run(&mut world(20_000, &faults), 0, gzip, 6, None);
        let hits = acts
            .iter()
            .filter(|(_, act)| matches!(act, Act::Hit(_)))
            .count();
        assert_eq!(hits, usize::from(end.is_some()), "{kind}");
        let found = acts.iter().find_map(|(at, act)| match act {
            Act::End(how) => Some((*at, *how)),
            _ => None,
        });
        assert_eq!(found, end.map(|how| (3_000, how)), "{kind}");
        let torn = acts.iter().any(|(_, act)| matches!(act, Act::Tear(_)));
        assert_eq!(torn, matches!(end, Some(End::Reset | End::Cut)), "{kind}");
    }
}

#[test]
fn partial_errors_leave_the_line_a_post() {
    let faults = fault("at=\"1s\";kind=\"error_frame\";close=false;count=40");
    let sent = bytes(&run(&mut world(20_000, &faults), 0, false, 10, None));
    let mut with = 0;
    for line in sent
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(value["data"]["id"].is_string());
        with += usize::from(value["errors"].is_array());
    }
    assert!((40..=42).contains(&with), "{with}");
}
