//! Divides the posts of an hour into units of work: a minute of post time, or a part of one, or all old ids.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    merge::runs::{LineRun, RunKey},
    period::{Interval, Minute, UtcMs},
};

/// Lines of about this many bytes make a unit; a minute with more is divided.
pub const UNIT_BYTES: u64 = 2 << 20;

/// A segment of the hour, for reading its lines.
#[derive(Debug)]
pub struct Segment {
    /// The path of its plain form; it may be compressed, with that suffix added.
    pub path: PathBuf,
    /// Its server's number in the ascending order of ids.
    pub server: usize,
    /// How far the stamps of its run lie after the posts' clock.
    pub lag_ms: i64,
    /// Whether it has rows of the former revision, whose stamps say more.
    pub is_former: bool,
    /// Its runs that belong to the hour.
    pub runs: Vec<LineRun>,
}

/// What a unit is made of.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    /// Only posts of this time belong to it.
    pub time: Interval,
    /// The runs that have lines of it and of no unit before: the numbers of the source and of the
    /// run in it.
    pub runs: Vec<(usize, usize)>,
    /// About how many bytes of lines it has.
    pub bytes: u64,
}

/// Divides the posts of an hour into units, in ascending order of ids and of time.
pub fn units(segments: &[Segment], unit_bytes: u64) -> Vec<Unit> {
    let mut old = Vec::new();
    let mut minutes: BTreeMap<Minute, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, segment) in segments.iter().enumerate() {
        for (of_segment, run) in segment.runs.iter().enumerate() {
            let place = (number, of_segment);
            match run.key {
                RunKey::Old(_) => old.push(place),
                RunKey::Minute(minute) => minutes.entry(minute).or_default().push(place),
                RunKey::Rejected => (),
            }
        }
    }
    let mut units = Vec::new();
    if !old.is_empty() {
        units.push(Unit {
            time: Interval {
                begin: UtcMs(i64::MIN),
                end: UtcMs(i64::MAX),
            },
            bytes: bytes(segments, &old),
            runs: old,
        });
    }
    for (minute, runs) in minutes {
        divide(minute, segments, runs, unit_bytes, &mut units);
    }
    assert_each_post_has_one(&units);
    units
}

/// No post may belong to two units, or ids would not ascend; the books would not show it.
fn assert_each_post_has_one(units: &[Unit]) {
    let new = units.iter().filter(|unit| unit.time.begin.0 != i64::MIN);
    let times: Vec<Interval> = new.map(|unit| unit.time).collect();
    let apart = |pair: &[Interval]| matches!(pair, [a, b] if a.end <= b.begin);
    assert!(times.windows(2).all(apart), "units overlap: {times:?}");
}

fn run((segment, run): (usize, usize), segments: &[Segment]) -> Option<&LineRun> {
    segments.get(segment)?.runs.get(run)
}

fn bytes(segments: &[Segment], runs: &[(usize, usize)]) -> u64 {
    let runs = runs.iter().filter_map(|place| run(*place, segments));
    runs.map(|run| run.bytes).sum()
}

/// No unit is shorter than that, and so a minute has no more parts than …
const PART_MS_MIN: u64 = 100;

/// … these.
const PARTS_MAX: u64 = 60_000 / PART_MS_MIN;

/// Divides a minute so that the units are about equally long.
fn divide(
    minute: Minute,
    segments: &[Segment],
    mut runs: Vec<(usize, usize)>,
    unit_bytes: u64,
    units: &mut Vec<Unit>,
) {
    let bytes = bytes(segments, &runs);
    let parts = bytes.div_ceil(unit_bytes.max(1)).clamp(1, PARTS_MAX);
    for part in 0..parts {
        let ms = |part: u64| {
            let ms = part * PARTS_MAX * PART_MS_MIN / parts;
            minute.begin().plus_ms(i64::try_from(ms).unwrap_or(0))
        };
        let time = Interval {
            begin: ms(part),
            end: ms(part + 1),
        };
        let begins = |place: &mut (usize, usize)| {
            run(*place, segments).is_some_and(|run| run.begin(minute) < time.end)
        };
        units.push(Unit {
            time,
            runs: runs.extract_if(.., begins).collect(),
            bytes: bytes / parts,
        });
    }
}
