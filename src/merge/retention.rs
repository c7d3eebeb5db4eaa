//! Decides which raw data may be compressed, and which may be deleted, from what the hours need of each segment.
//! Pure.
//!
//! A segment may go when nothing can need it any more: every hour that its lines or its events file
//! belong to is committed with exactly them, none of these hours waits for a further revision, all
//! of them were found whole, and `keep_raw` has passed since. To be compressed it needs only the
//! hours of its lines, since the lines stay. A segment that was left in an object store is not this machine's: another one
//! needs it, and decides.

use std::{collections::BTreeSet, time::Duration};

use super::plan::{self, Candidate, SpoolSegment};
use crate::{
    period::{Hour, UtcMs, Zone, ms},
    vault::manifest::{EventsInput, Inputs, SegmentInput},
};

/// A segment is not compressed within an hour of its sealing, so that it can still be compared with the delivered
/// copy as it came.
const PLAIN_MS: i64 = 3_600_000;

/// What the hours need of one segment in the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Need {
    /// The hours that have taken its lines, and that of its minute.
    lines: BTreeSet<Hour>,
    /// The hours that have taken its events file.
    events: BTreeSet<Hour>,
    /// Some hour is still to take its lines.
    lines_are_wanted: bool,
    /// Some hour is still to take its events file.
    events_are_wanted: bool,
}

/// What the hours need of each segment in the spool.
#[derive(Debug)]
pub struct Needs<'a> {
    spooled: &'a [SpoolSegment],
    zone: &'a Zone,
    of_each: Vec<Need>,
    /// Of which of them all hours are added.
    is_open: Vec<bool>,
}

/// What may be done, by number among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// May be compressed, if it is not.
    pub compress: Vec<usize>,
    /// May be deleted.
    pub delete: Vec<usize>,
}

impl<'a> Needs<'a> {
    /// Before any hour is added. Of those that are not open not all hours will be: nothing is said about them, nor about those
    /// that are not here.
    pub fn new(
        spooled: &'a [SpoolSegment],
        zone: &'a Zone,
        is_open: impl Fn(&SpoolSegment) -> bool,
    ) -> Self {
        Self {
            spooled,
            zone,
            of_each: vec![Need::default(); spooled.len()],
            is_open: spooled
                .iter()
                .map(|segment| segment.is_here && is_open(segment))
                .collect(),
        }
    }

    /// Of which of them all hours are added.
    fn open(&self) -> impl Iterator<Item = (usize, &Need, &SpoolSegment)> {
        let each = self.of_each.iter().zip(self.spooled).zip(&self.is_open);
        let open = each.enumerate().filter(|(_, (_, is_open))| **is_open);
        open.map(|(number, ((need, segment), _))| (number, need, segment))
    }

    /// Adds an hour: `merged` are the inputs of its latest revision if it has all that belongs to
    /// it now; `None` if it is still to be merged, or held back. (Where a file that explained a hole
    /// is gone, the next one takes its place among what belongs to the hour, and is not wanted.)
    pub fn add(&mut self, candidate: &Candidate, merged: Option<&Inputs>) {
        let here = plan::inputs(candidate, self.spooled);
        let nothing = Inputs::default();
        let taken = merged.unwrap_or(&nothing);
        let lines: BTreeSet<&SegmentInput> = taken.segments.iter().collect();
        let events: BTreeSet<&EventsInput> = taken.events.iter().collect();
        for (number, input) in candidate.segments.iter().zip(&here.segments) {
            let Some(need) = self.of_each.get_mut(*number) else {
                continue;
            };
            if lines.contains(input) {
                need.lines.insert(candidate.hour);
            } else {
                need.lines_are_wanted = true;
            }
        }
        for (number, input) in candidate.events.iter().zip(&here.events) {
            let Some(need) = self.of_each.get_mut(*number) else {
                continue;
            };
            // a minute without a line belongs to its own hour all the same
            let minute = self
                .spooled
                .get(*number)
                .map_or(input.name.minute, |of| of.minute);
            let is_own = self.zone.hour_of(minute.begin()) == candidate.hour;
            if events.contains(input) {
                need.events.insert(candidate.hour);
                need.lines.extend(is_own.then_some(candidate.hour));
            } else {
                need.events_are_wanted |= merged.is_none();
                need.lines_are_wanted |= merged.is_none() && is_own;
            }
        }
    }

    /// The hours on which it depends what may be done about raw data.
    pub fn hours(&self) -> BTreeSet<Hour> {
        let free = self.open().filter(|(_, need, _)| !need.lines_are_wanted);
        free.flat_map(|(_, need, _)| need.lines.iter().chain(&need.events))
            .copied()
            .collect()
    }

    /// The hours of a segment.
    pub fn hours_of(&self, number: usize) -> BTreeSet<Hour> {
        let need = self.of_each.get(number);
        need.map(|need| &need.lines | &need.events)
            .unwrap_or_default()
    }

    /// Decides. `verified` says since when an hour is known to be whole; `keep_raw` is `None` for
    /// ever.
    pub fn allowed(
        &self,
        verified: impl Fn(Hour) -> Option<UtcMs>,
        keep_raw: Option<Duration>,
        now: UtcMs,
    ) -> Allowed {
        // the latest events file of a leg is what the hours to come know its state from
        let latest = plan::latest_of_each_leg(self.spooled);
        let since = |hours: &BTreeSet<Hour>| -> Option<UtcMs> {
            let times: Option<Vec<UtcMs>> = hours.iter().map(|hour| verified(*hour)).collect();
            times?.into_iter().max()
        };
        let mut allowed = Allowed::default();
        for (number, need, segment) in self.open() {
            // what no hour has taken has nothing to stand for it
            let Some(lines_since) = since(&need.lines) else {
                continue;
            };
            if need.lines_are_wanted {
                continue;
            }
            let ready = segment.name.minute.end().max(segment.arrived);
            if ready.plus_ms(PLAIN_MS) <= now {
                allowed.compress.push(number);
            }
            if let Some(keep) = keep_raw
                && !need.events_are_wanted
                && !latest.contains(&number)
                && let Some(events_since) = since(&need.events)
                && lines_since.max(events_since).plus_ms(ms(keep)) <= now
            {
                allowed.delete.push(number);
            }
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UtcMs {
        format!("2026-11-{text}:00Z").parse().unwrap()
    }

    fn segment(minute: &str, hours: &[&str]) -> SpoolSegment {
        let lines: Vec<_> = hours.iter().map(|hour| (*hour, 1)).collect();
        plan::testing::segment("1", minute, &lines, "13:00")
    }

    /// Which minutes may be compressed and which deleted: the hour 13 is merged with the segments
    /// whose numbers are given, the hour 14 with all.
    fn allowed(
        merged: &[usize],
        verified: [Option<&str>; 2],
        now: &str,
    ) -> (Vec<String>, Vec<String>) {
        let spooled = [
            segment("1310", &["23_13"]),
            // rejected lines only, or none at all
            segment("1311", &[]),
            segment("1400", &["23_13", "23_14"]),
            segment("1430", &["23_14"]),
            segment("1431", &["23_14"]),
        ];
        let zone = Zone::named("UTC").unwrap();
        let (first, second) = (
            "2026-11-23_13".parse().unwrap(),
            "2026-11-23_14".parse().unwrap(),
        );
        let of = |hour, segments: &[usize], events: &[usize]| Candidate {
            hour,
            segments: segments.to_vec(),
            events: events.to_vec(),
        };
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        let all = of(first, &[0, 2], &[0, 1, 2]);
        let keep = |numbers: &[usize]| -> Vec<usize> {
            numbers
                .iter()
                .copied()
                .filter(|n| merged.contains(n))
                .collect()
        };
        let then = plan::inputs(
            &of(first, &keep(&all.segments), &keep(&all.events)),
            &spooled,
        );
        needs.add(&all, Some(&then));
        let all = of(second, &[2, 3, 4], &[2, 3, 4]);
        needs.add(&all, Some(&plan::inputs(&all, &spooled)));
        let [a, b] = verified.map(|text| text.map(at));
        let verified = |hour| if hour == first { a } else { b };
        let found = needs.allowed(verified, Some(Duration::from_hours(24)), at(now));
        let minutes = |numbers: Vec<usize>| {
            let minute = |n: usize| spooled[n].name.minute.compact()[9..13].to_owned();
            numbers.into_iter().map(minute).collect()
        };
        (minutes(found.compress), minutes(found.delete))
    }

    #[test]
    fn raw_data_goes_when_every_hour_has_it_and_is_whole_and_its_time_has_passed() {
        let whole = [Some("23T15:00"), Some("23T16:00")];
        let all = ["1310", "1311", "1400", "1430", "1431"];
        let check = |found: (Vec<String>, Vec<String>), compress: &[&str], delete: &[&str]| {
            assert_eq!(found.0, compress);
            assert_eq!(found.1, delete);
        };
        check(allowed(&[0, 1, 2], whole, "23T16:00"), &all, &[]);
        // not within an hour of the sealing
        check(allowed(&[0, 1, 2], whole, "23T15:01"), &all[..3], &[]);
        check(
            allowed(&[0, 1, 2], whole, "24T15:00"),
            &all,
            &["1310", "1311"],
        );
        // it belongs to two hours, and the later one counts; the latest of the server stays
        let day_later = "24T16:00";
        check(allowed(&[0, 1, 2], whole, day_later), &all, &all[..4]);
        // an hour that is not whole holds back what it has
        let half = [Some("23T15:00"), None];
        check(allowed(&[0, 1, 2], half, day_later), &all[..2], &all[..2]);
        // an hour that lacks one file wants that one
        check(
            allowed(&[0, 1], whole, day_later),
            &["1310", "1311", "1430", "1431"],
            &["1310", "1311", "1430"],
        );
        check(
            allowed(&[0, 2], whole, day_later),
            &["1310", "1400", "1430", "1431"],
            &["1310", "1400", "1430"],
        );
    }

    /// It lies in an object store, where another machine needs it, and deletes it in the end.
    #[test]
    fn nothing_is_said_about_what_is_not_here() {
        let mut spooled = ["1310", "1311", "1312"].map(|minute| segment(minute, &["23_13"]));
        let zone = Zone::named("UTC").unwrap();
        let allowed = |spooled: &[SpoolSegment]| {
            let mut needs = Needs::new(spooled, &zone, |_| true);
            let candidate = Candidate {
                hour: "2026-11-23_13".parse().unwrap(),
                segments: vec![0, 1, 2],
                events: vec![0, 1, 2],
            };
            needs.add(&candidate, Some(&plan::inputs(&candidate, spooled)));
            let since = |_| Some(at("23T14:00"));
            needs.allowed(since, Some(Duration::ZERO), at("30T00:00"))
        };
        assert_eq!(allowed(&spooled).compress, [0, 1, 2]);
        assert_eq!(allowed(&spooled).delete, [0, 1]);
        spooled[0].is_here = false;
        assert_eq!(allowed(&spooled).compress, [1, 2]);
        assert_eq!(allowed(&spooled).delete, [1]);
        // nor does it take the place of the latest of its leg, which stays wherever it is
        spooled[2].is_here = false;
        assert_eq!(allowed(&spooled).delete, [1]);
    }

    #[test]
    fn what_no_hour_has_taken_stays() {
        let spooled = [segment("1310", &["23_13"]), segment("1311", &[])];
        let zone = Zone::named("UTC").unwrap();
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        let allowed = |needs: &Needs<'_>| {
            needs.allowed(
                |_| Some(at("23T14:00")),
                Some(Duration::ZERO),
                at("30T00:00"),
            )
        };
        let hour = "2026-11-23_13".parse().unwrap();
        let candidate = Candidate {
            hour,
            segments: vec![0],
            events: vec![0, 1],
        };
        needs.add(&candidate, None);
        assert_eq!(allowed(&needs), Allowed::default());
    }

    /// When what may be done: for a segment of the hour 13 whose events the hour 14 needs, too.
    #[test]
    fn every_hour_counts_that_has_lines_or_events_of_it() {
        let spooled = [segment("1359", &["23_13"]), segment("1431", &[])];
        let zone = Zone::named("UTC").unwrap();
        let hours: [Hour; 2] = ["2026-11-23_13", "2026-11-23_14"].map(|hour| hour.parse().unwrap());
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        for (hour, segments, events) in [
            (hours[0], vec![0], vec![0]),
            (hours[1], Vec::new(), vec![0, 1]),
        ] {
            let candidate = Candidate {
                hour,
                segments,
                events,
            };
            let all = plan::inputs(&candidate, &spooled);
            needs.add(&candidate, Some(&all));
        }
        let verified = |hour| {
            Some(at(if hour == hours[0] {
                "23T15:00"
            } else {
                "23T18:00"
            }))
        };
        let deleted = |now| {
            let allowed = needs.allowed(verified, Some(Duration::from_hours(24)), at(now));
            allowed.delete
        };
        assert_eq!(
            deleted("24T15:00"),
            [0; 0],
            "its events are needed for longer"
        );
        assert_eq!(deleted("24T17:59"), [0; 0]);
        assert_eq!(deleted("24T18:00"), [0]);
        // and each of them is read again right before that
        assert_eq!(needs.hours_of(0), hours.into());
        assert_eq!(needs.hours_of(1), [hours[1]].into());
    }

    /// The lines of all three are in the hour 13, which is merged and whole; the hour 14 is still to take their events.
    #[test]
    fn what_an_hour_is_still_to_take_stays() {
        let of_thirteen = |minute| segment(minute, &["23_13"]);
        let spooled = ["1310", "1359", "1400", "1431"].map(of_thirteen);
        let zone = Zone::named("UTC").unwrap();
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        let candidate = |hour: &str, segments: &[usize], events: &[usize]| Candidate {
            hour: hour.parse().unwrap(),
            segments: segments.to_vec(),
            events: events.to_vec(),
        };
        let merged = candidate("2026-11-23_13", &[0, 1, 2, 3], &[0, 1, 2]);
        needs.add(&merged, Some(&plan::inputs(&merged, &spooled)));
        needs.add(&candidate("2026-11-23_14", &[], &[1, 2, 3]), None);
        let found = needs.allowed(
            |_| Some(at("23T15:00")),
            Some(Duration::ZERO),
            at("30T00:00"),
        );
        assert_eq!(found.compress, [0, 1], "the hour of a minute has it whole");
        assert_eq!(found.delete, [0]);
    }

    #[test]
    fn what_came_late_stays_plain_for_an_hour_and_the_latest_of_each_leg_stays() {
        let zone = Zone::named("UTC").unwrap();
        let hour: Hour = "2026-11-23_13".parse().unwrap();
        let of = |server: &str, minute: &str, number: u64, arrived: &str| {
            let mut segment = segment(minute, &["23_13"]);
            let name = segment.name.to_string().replacen('1', server, 1);
            segment.name = name.parse().unwrap();
            (segment.number, segment.arrived) = (number, at(arrived));
            segment
        };
        // the second run of server 1 stamps earlier: its clock was set
        let spooled = [
            of("1", "1310", 8, "23T13:11"),
            of("1", "1340", 7, "23T13:41"),
            of("2", "1320", 3, "23T16:30"),
            of("2", "1350", 3, "23T16:30"),
        ];
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        let candidate = Candidate {
            hour,
            segments: vec![0, 1, 2, 3],
            events: vec![0, 1, 2, 3],
        };
        needs.add(&candidate, Some(&plan::inputs(&candidate, &spooled)));
        let allowed = |now| needs.allowed(|_| Some(at("23T15:00")), Some(Duration::ZERO), at(now));
        assert_eq!(allowed("23T17:29").compress, [0, 1]);
        assert_eq!(allowed("23T17:30").compress, [0, 1, 2, 3]);
        assert_eq!(allowed("25T00:00").delete, [1, 2]);

        // each leg of a server has its own latest, whatever the others' runs are numbered
        let of_leg = |partition: &str, minute: &str, number: u64| {
            let mut segment = of("1", minute, number, "23T13:51");
            let name = segment.name.to_string();
            let name = name.replacen("_sample_", &format!("_sample10.{partition}_"), 1);
            segment.name = name.parse().unwrap();
            segment
        };
        let spooled = [
            of_leg("01", "1310", 8),
            of_leg("01", "1320", 8),
            of_leg("02", "1330", 700),
            of_leg("02", "1340", 700),
        ];
        let mut needs = Needs::new(&spooled, &zone, |_| true);
        needs.add(&candidate, Some(&plan::inputs(&candidate, &spooled)));
        let found = needs.allowed(
            |_| Some(at("23T15:00")),
            Some(Duration::ZERO),
            at("25T00:00"),
        );
        assert_eq!(found.delete, [0, 2]);
    }
}
