//! Late data after the raw data of its hour is gone: the rows of `posts.parquet` stand for what was
//! deleted, and the archive comes out as if everything had been there.

use std::{path::Path, time::Duration};

use twinstream::{
    cover::gap::Gap,
    period::{UtcMs, Zone},
    segment::{
        event::{Event, EventKind},
        spool,
    },
    source::SAMPLE,
    vault::posts::read::{self, Wanted},
};

use crate::support::{
    posts::{Segment, mix, segments, stream},
    primary::{Site, at, rows},
    recorded::{Turn, recorded},
};

/// When everything has settled, and when `keep_raw` has passed since.
const MERGED: &str = "2026-11-23T18:00:00Z";
const SWEPT: [&str; 3] = [
    "2026-11-24T18:00:00Z",
    "2026-11-26T18:00:00Z",
    "2026-11-28T18:00:00Z",
];

/// What two servers received, in three parts: the first is there in time; of the others, which have
/// segments of both servers, each comes when the raw data of the ones before is gone.
fn parts() -> [Vec<Segment>; 3] {
    let received = stream(2, at("2026-11-23T13:40:00Z"), 40, 12);
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (server, received) in received.iter().enumerate() {
        for (number, segment) in segments(["1", "2"][server], received)
            .into_iter()
            .enumerate()
        {
            // the first segment of a server says when it began to run; some say that it was connected anew, and asked for what it
            // had missed: what comes late then came by that
            let connects = [8, 30].contains(&number);
            let part = match mix(number as u64, server as u64) % 8 {
                0 if 0 < number && !connects => 2,
                1 | 2 if 0 < number && !connects => 1,
                _ => 0,
            };
            let mut segment = segment;
            if connects {
                segment.events.insert(
                    0,
                    Event {
                        at: segment.name.minute.begin(),
                        what: EventKind::Connected {
                            status: 200,
                            backfill_minutes: 5,
                            transaction: None,
                        },
                        connection: number as u64,
                    },
                );
            }
            // it tells of its minute to its end
            segment.events.push(Event {
                at: segment.name.minute.end().plus_ms(-1),
                what: EventKind::NoPosts {
                    since: segment.name.minute.begin(),
                },
                connection: 1,
            });
            parts[part].push(segment);
        }
    }
    parts
}

fn site(parquet: bool) -> Site {
    let mut site = Site::in_memory();
    site.settings.parquet = parquet;
    site
}

/// Has the raw data of all hours deleted.
fn sweep(site: &mut Site, now: [&str; 2]) {
    site.settings.keep_raw = Some(Duration::from_hours(1));
    for now in now {
        site.merge(now);
    }
    site.settings.keep_raw = None;
    for server in ["1", "2"] {
        let path = site.spool().join(server).join("2026-11-23");
        let of_hour = |hour| site.disk.list(&path.join(hour)).unwrap();
        let left = ["13", "14"].map(of_hour).concat();
        // the last segment of a server stays, with its seal and events: it explains the hole after it
        assert!(left.len() <= 3, "{left:?}");
    }
}

/// What `posts.parquet` says of each post beside its line: who has it, since when, how often, and how it came.
fn posts(site: &Site, path: &Path) -> Vec<String> {
    let columns = Wanted::Only(&[
        "id",
        "server",
        "retrieved_at",
        "seen_by.list.element",
        "first_seen_at",
        "copies",
        "backfilled",
    ]);
    let mut posts = Vec::new();
    let read = read::read_through(&*site.disk, path, columns, |batch| {
        let rows = (0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1)));
        posts.extend(rows);
        Ok(())
    });
    read.unwrap();
    posts
}

/// An hour has the same data files in both vaults, and the same told of it.
#[track_caller]
fn check_same(clean: &Site, late: &Site, hour: &str) {
    let data = |site: &Site| {
        let mut files = site.files_of(&hour[..10]);
        // not the manifest, which tells how it came about
        files.retain(|name, _| name.contains(hour) && !name.contains("manifest"));
        files.retain(|name, _| !name.contains("revisions/"));
        files
    };
    let (expected, found) = (data(clean), data(late));
    assert!(3 < expected.len(), "{:?}", expected.keys());
    let (of_clean, of_late) = (clean.manifest(hour), late.manifest(hour));
    for (name, bytes) in &expected {
        let file = name.rsplit('/').next().unwrap();
        let is_same = if name.ends_with("_posts.parquet") {
            // it also has what events files told that are not the nearest any more
            let posts = |site: &Site| posts(site, &site.vault().join(name));
            rows(&of_clean, file) == rows(&of_late, file) && posts(clean) == posts(late)
        } else {
            found.get(name) == Some(bytes)
        };
        assert!(is_same, "{name} differs");
    }
    let (expected, found) = (of_clean, of_late);
    let members = [
        (
            "segments",
            found.inputs.segments == expected.inputs.segments,
        ),
        ("counts", found.counts == expected.counts),
        ("minutes", found.minutes == expected.minutes),
        ("coverage", found.coverage == expected.coverage),
        ("gaps", found.gaps == expected.gaps),
        ("estimate", found.estimate == expected.estimate),
        ("residues", found.residues == expected.residues),
    ];
    let other: Vec<&str> = members.iter().filter(|m| !m.1).map(|m| m.0).collect();
    let lacks = |of: &[Gap], has: &[Gap]| -> Vec<Gap> {
        of.iter()
            .filter(|gap| !has.contains(gap))
            .cloned()
            .collect()
    };
    assert_eq!(
        other,
        [""; 0],
        "{hour}: gaps only here {:?}, only in the other {:?}",
        lacks(&found.gaps, &expected.gaps),
        lacks(&expected.gaps, &found.gaps)
    );
}

const HOURS: [&str; 2] = ["2026-11-23_13", "2026-11-23_14"];

#[test]
fn late_data_finds_the_rows_of_what_is_gone() {
    let parts = parts();
    let clean = site(true);
    clean.put(&parts.concat());
    clean.merge(MERGED);
    let mut late = site(true);
    late.put(&parts[0]);
    late.merge(MERGED);
    for (part, now) in parts[1..]
        .iter()
        .zip([[SWEPT[0], SWEPT[1]], [SWEPT[1], SWEPT[2]]])
    {
        sweep(&mut late, now);
        late.put(part);
        let committed = late.merge(now[1]);
        let hours: Vec<String> = committed.iter().map(|c| c.hour.to_string()).collect();
        assert!(
            HOURS.iter().any(|hour| hours.contains(&(*hour).to_owned())),
            "{hours:?}"
        );
    }
    for hour in HOURS {
        check_same(&clean, &late, hour);
        let found = late.manifest(hour);
        let of_clean = clean.manifest(hour);
        assert!(of_clean.carried.is_none());
        let backfilled = of_clean.backfills.iter().map(|of| of.posts + of.duplicates);
        assert!(0 < backfilled.sum::<u64>(), "{hour}");
        let carried = found.carried.clone().unwrap();
        assert!(1 < found.history.revision && carried.revision == 1);
        assert!(0 < carried.posts && carried.posts < found.counts.total.posts);
        assert!(found.balances() && 0 < found.conflicts.posts);
    }
    assert!(late.merge(SWEPT[2]).is_empty(), "again changes nothing");
    let verified = late.verify();
    assert!(verified.worst().is_none(), "{verified:?}");
}

/// What has become of `posts.parquet`: it has the length that its manifest says.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// It cannot be read.
    All,
    /// It can, and says the same of every post.
    OneLetter,
}

#[test]
fn without_rows_late_data_is_kept_and_told_of() {
    let parts = parts();
    for damage in [None, Some(Damage::All), Some(Damage::OneLetter)] {
        let mut late = site(damage.is_some());
        late.put(&parts[0]);
        late.merge(MERGED);
        sweep(&mut late, [SWEPT[0], SWEPT[1]]);
        for hour in HOURS {
            let name = format!("2026-11-23/{hour}_posts.parquet");
            let path = late.vault().join(&name);
            let Some(damage) = damage else { continue };
            let mut bytes = late.files().remove(&name).unwrap();
            match damage {
                Damage::All => bytes.fill(b'x'),
                Damage::OneLetter => {
                    let at = memchr::memmem::rfind(&bytes, b"description").unwrap();
                    bytes[at] = b'D';
                }
            }
            late.disk.remove(&path).unwrap();
            std::io::Write::write_all(&mut late.disk.create(&path).unwrap(), &bytes).unwrap();
        }
        let of_hours = |site: &Site| {
            let mut files = site.files();
            files.retain(|name, _| HOURS.iter().any(|hour| name.contains(hour)));
            files
        };
        let before = of_hours(&late);
        late.put(&parts[1]);
        let outcome = late.try_merge(&[], SWEPT[2]).unwrap();
        let failed: Vec<String> = outcome.failed.iter().map(|f| f.hour.to_string()).collect();
        assert_eq!(failed, HOURS, "{outcome:?}");
        assert!(of_hours(&late) == before, "nothing of them has changed");
        for segment in &parts[1] {
            let paths = segment.name.paths(&late.spool());
            assert!(
                late.disk.len(&paths.segment).unwrap().is_some(),
                "it is kept"
            );
        }
    }
}

/// How a server's late segments come.
#[derive(Debug, Clone, Copy)]
enum Coming {
    AtOnce,
    /// The newest first, spread evenly, with a merge every six hours.
    OneByOne,
    /// A shuffled fourth every two hours.
    OutOfOrder,
}

impl Coming {
    /// What comes between two merges, and the time between these.
    fn pieces(self, mut late: Vec<Segment>) -> (Vec<Vec<Segment>>, i64) {
        let (of_piece, every_ms) = match self {
            Self::AtOnce => (late.len(), 6 * HOUR_MS),
            Self::OneByOne => (360, 6 * HOUR_MS),
            Self::OutOfOrder => (late.len().div_ceil(4), 2 * HOUR_MS),
        };
        late.sort_by_key(|segment| {
            let minute = segment.name.minute.0;
            match self {
                Self::AtOnce => minute,
                Self::OneByOne => -minute,
                Self::OutOfOrder => mix(minute.unsigned_abs(), 3).cast_signed(),
            }
        });
        (
            late.chunks(of_piece).map(<[Segment]>::to_vec).collect(),
            every_ms,
        )
    }
}

const HOUR_MS: i64 = 3_600_000;

/// The primary collects for a while, and deletes its raw data after an hour; then another server's segments
/// of the same hours come. The archive is the one in which nothing was late, no hour is merged for every
/// segment of it, and the same segments once more change nothing.
fn hours_of_a_server_come_late(hours: i64, coming: Coming, new: fn(bool) -> Site) {
    let begin = at("2026-11-02T00:00:00Z");
    let after = |n: i64| begin.plus_ms(n * HOUR_MS);
    let received = stream(2, begin, hours * 60, 1);
    let [here, late] = [("1", 0), ("2", 1)].map(|(server, n)| segments(server, &received[n]));
    let mut primary = new(true);
    primary.settings.keep_raw = Some(Duration::from_hours(1));
    for (n, some) in (1..).zip(here.chunks(8 * 60)) {
        primary.put(some);
        primary.merge(&after(8 * n).to_string());
    }
    for n in 1..=3 {
        primary.merge(&after(hours + 2 * n).to_string());
    }
    let raw = spool::sealed(&*primary.disk, &primary.spool(), &"1".parse().unwrap());
    assert_eq!(
        raw.unwrap().found.len(),
        1,
        "the last explains what follows"
    );
    let mut now = after(hours + 6);
    let (pieces, every_ms) = coming.pieces(late.clone());
    for piece in &pieces {
        let step_ms = every_ms / i64::try_from(piece.len()).unwrap();
        for segment in piece {
            now = now.plus_ms(step_ms);
            primary.deliver(std::slice::from_ref(segment), now);
        }
        primary.merge(&now.to_string());
    }
    now = now.plus_ms(HOUR_MS);
    primary.merge(&now.to_string());
    let clean = new(true);
    clean.put(&here);
    clean.put(&late);
    clean.merge(&now.to_string());
    let utc = Zone::named("UTC").unwrap();
    let hours: Vec<String> = (0..hours)
        .map(|n| utc.hour_of(after(n)).to_string())
        .collect();
    for hour in &hours {
        check_same(&clean, &primary, hour);
        let revision = primary.manifest(hour).history.revision;
        let most = 1 + if let Coming::OutOfOrder = coming {
            4
        } else {
            1
        };
        assert!(
            (2..=most).contains(&revision),
            "{coming:?} {hour}: {revision}"
        );
    }
    primary.deliver(&late, now);
    let again = primary.merge(&now.plus_ms(HOUR_MS).to_string());
    assert!(
        again
            .iter()
            .all(|one| !hours.contains(&one.hour.to_string())),
        "{again:?}"
    );
    assert!(primary.verify().worst().is_none());
}

#[test]
fn a_server_s_hours_come_late_in_every_way() {
    for coming in [Coming::AtOnce, Coming::OneByOne, Coming::OutOfOrder] {
        hours_of_a_server_come_late(3, coming, site);
    }
}

/// Of two servers one was away, was stopped, and was started again. Whichever minutes of it come when the raw data of
/// all others is gone: the hours are what they are with all of it at once.
#[test]
fn whichever_minutes_of_a_server_come_late_it_is_told_the_same_of_it() {
    use Turn::{Breaks, Connects, Starts, Stops};
    let received = stream(2, at("2026-11-23T13:45:00Z"), 27, 5);
    let of = |server: usize, turns: &[(&str, Turn)]| {
        let turns: Vec<(UtcMs, Turn)> = turns
            .iter()
            .map(|(time, turn)| (at(&format!("2026-11-23T{time}Z")), *turn))
            .collect();
        recorded(SAMPLE.word, ["1", "2"][server], &received[server], &turns)
    };
    let here = of(0, &[("13:45:01", Starts), ("13:45:02", Connects)]);
    let other = of(
        1,
        &[
            ("13:50:03", Starts),
            ("13:50:04", Connects),
            ("13:54:40", Breaks),
            ("13:56:20", Connects),
            ("13:59:40", Breaks),
            ("14:01:20", Connects),
            ("14:04:30", Stops),
            ("14:06:10", Starts),
            ("14:06:11", Connects),
        ],
    );
    let clean = site(true);
    clean.put(&here);
    clean.put(&other);
    clean.merge(MERGED);
    for (first, last) in [(0, 0), (0, 7), (1, 14), (5, 5), (10, 15)] {
        let mut late = site(true);
        late.put(&here);
        late.put(&other[..first]);
        late.put(&other[last + 1..]);
        late.merge(MERGED);
        sweep(&mut late, [SWEPT[0], SWEPT[1]]);
        late.put(&other[first..=last]);
        late.merge(SWEPT[1]);
        for hour in HOURS {
            check_same(&clean, &late, hour);
        }
    }
}

#[test]
#[ignore = "takes minutes: scripts/soak"]
fn three_weeks_of_a_server_come_late_in_every_way() {
    let on_disk = |parquet| {
        let mut site = Site::new("UTC");
        site.settings.parquet = parquet;
        site
    };
    for coming in [Coming::AtOnce, Coming::OneByOne, Coming::OutOfOrder] {
        hours_of_a_server_come_late(21 * 24, coming, on_disk);
    }
}
