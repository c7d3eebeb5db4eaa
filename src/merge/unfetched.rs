//! Which segments a task with a share of the hours leaves in the object store, by the indexes that lie beside them there.
//!
//! Whoever delivers a segment has read it anyway, and creates `….index.json` with what it holds. A task that finds no line of its
//! hours in there does not fetch the segment (`deliver::fetch`), and plans with that index in place of its own.
//!
//! An index is used only if the same version of the program made it of just the files that the seal names: another version may
//! count lines to other minutes. Whoever cannot use it fetches the segment. Segments with rejected lines are fetched by everybody,
//! since no line says to which hour these belong, and one without lines by the task that has the hour of its minute: each segment
//! is needed by somebody, who deletes it in the end. What may hold a post that is to stay out is everybody's, too: without the post
//! it is another segment, and tells other things of its run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    index::{Index, Indexes},
    runs::RunKey,
};
use crate::{
    period::{Minute, UtcMs, Zone},
    place::segments::INDEX_BYTES_MAX,
    segment::{line::PROGRAM, name::SegmentName, seal::Seal},
    share::Share,
    source::Source,
    vault::redactions::Redactions,
};

/// `….index.json`
#[derive(Serialize, Deserialize)]
struct Delivered<I> {
    /// Which version of the program made it.
    program: String,
    index: I,
}

/// What is put beside a segment that is delivered; `None`: it cannot be made, or would be long.
pub fn to_deliver(indexes: &Indexes<'_>, name: &SegmentName) -> Option<Vec<u8>> {
    let index = match indexes.get(name) {
        Ok(index) => index,
        Err(why) => {
            tracing::warn!("what {name} holds cannot be delivered with it: {why}");
            return None;
        }
    };
    let delivered = Delivered {
        program: PROGRAM.to_owned(),
        index,
    };
    let json = serde_json::to_vec(&delivered).ok()?;
    (json.len() as u64 <= INDEX_BYTES_MAX).then_some(json)
}

/// The index of a segment, from what was delivered with it; `None`: it cannot be used.
pub fn read(bytes: &[u8], seal: &Seal) -> Option<Index> {
    let delivered: Delivered<Index> = serde_json::from_slice(bytes).ok()?;
    let is_usable = delivered.program == PROGRAM && delivered.index.is_of(seal);
    is_usable.then_some(delivered.index)
}

/// The hours that a task merges.
pub struct OwnHours<'a> {
    /// The vault's zone.
    pub zone: &'a Zone,
    /// The vault's stream.
    pub stream: &'a str,
    /// The task's share.
    pub share: Share,
    /// What is to stay out.
    pub out: StaysOut,
}

/// Where the posts on the list of redactions may be.
#[derive(Debug, Default)]
pub struct StaysOut {
    /// How long the list is.
    len: usize,
    minutes: BTreeSet<Minute>,
    /// All posts of some accounts: no index tells whose posts a segment has.
    has_authors: bool,
}

impl StaysOut {
    /// What a list says.
    pub fn of(list: &Redactions, source: &dyn Source) -> Self {
        let keys = list.since(0).into_iter();
        let minutes = keys.filter_map(|(key, _)| source.time(&key).map(UtcMs::minute));
        Self {
            len: list.len(),
            minutes: minutes.collect(),
            has_authors: list.has_authors_since(0),
        }
    }

    fn may_be_in(&self, index: &Index) -> bool {
        self.has_authors
            || index.runs.iter().any(|run| match run.key {
                RunKey::Minute(minute) => self.minutes.contains(&minute),
                RunKey::Old(_) | RunKey::Rejected => 0 < self.len,
            })
    }
}

impl OwnHours<'_> {
    /// All that it depends on which segments are needed.
    pub fn label(&self) -> String {
        format!(
            "{} of {} in {} without {}, by {PROGRAM}",
            self.share,
            self.stream,
            self.zone.name(),
            self.out.len
        )
    }

    /// Whether a segment is needed here, by its seal and what was delivered with it.
    pub fn need(&self, name: &SegmentName, seal: &Seal, index: &[u8]) -> bool {
        let Some(index) = read(index, seal).filter(|_| name.stream == self.stream) else {
            return true;
        };
        if self.out.may_be_in(&index) {
            return true;
        }
        let hours = index.hours(self.zone);
        if hours.is_empty() {
            let hour = self.zone.hour_of(name.minute.begin());
            return 0 < index.rejected() || self.share.has(&hour);
        }
        0 < index.rejected() || hours.keys().any(|hour| self.share.has(hour))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        merge::{
            index::FORMAT,
            runs::{LineRun, RunKey},
        },
        period::{Hour, Minute, UtcMs},
        segment::{
            seal::{self, Digest},
            sha256::Sha256,
        },
    };

    fn digest(text: &str) -> Digest {
        Digest {
            lines: 1,
            bytes: text.len() as u64,
            sha256: Sha256::of(text.as_bytes()),
        }
    }

    fn seal() -> Seal {
        Seal {
            format: seal::FORMAT,
            program: PROGRAM.to_owned(),
            server: "2".parse().unwrap(),
            stream: "sample".to_owned(),
            partition: None,
            minute: Minute(29_924_040),
            run: crate::segment::name::RunId(7),
            run_number: 1,
            part: 0,
            segment: digest("lines"),
            events: digest("events"),
            first_arrival: None,
            last_arrival: None,
            oversize: 0,
            recovered: false,
            redacted: Vec::new(),
        }
    }

    /// What is delivered with a segment of these runs, and which of its minutes lost all their lines on request.
    fn delivered(runs: &[RunKey], lost: &[Minute]) -> Value {
        let run = |key: &RunKey| LineRun {
            key: *key,
            seconds: (0, 59),
            offset: 0,
            bytes: 1,
            lines: 1,
            is_early: false,
            crc32: 0,
        };
        let runs: Vec<LineRun> = runs.iter().map(run).collect();
        let lost: seal::SecondsOf = lost.iter().map(|minute| (*minute, [0].into())).collect();
        json!({"program": PROGRAM, "index": {
            "format": FORMAT, "segment": digest("lines"), "events": digest("events"), "runs": runs, "lost": lost,
            "facts": {"number": 1, "is_first": false, "backfill": 0, "ends_early": false, "stopped": false},
        }})
    }

    /// Two hours next to each other that two tasks divide, so that the first has the first.
    fn hours(share: Share) -> (Minute, Minute) {
        let first: Hour = "2026-11-23_00".parse().unwrap();
        let mut hours = (first.0..first.0 + 24).map(Hour);
        let is_first = |hour: &Hour| share.has(hour) && !share.has(&Hour(hour.0 + 1));
        let own = hours.find(is_first).unwrap();
        let begin: UtcMs = format!("{}:00:00Z", own.to_string().replace('_', "T"))
            .parse()
            .unwrap();
        (begin.minute(), begin.plus_ms(3_600_000).minute())
    }

    #[test]
    fn a_segment_is_needed_if_it_has_a_line_of_an_own_hour_or_if_that_cannot_be_told() {
        let zone = Zone::named("UTC").unwrap();
        let share: Share = "1/2".parse().unwrap();
        let (own, other) = hours(share);
        let needs =
            |runs: &[RunKey], lost: &[Minute], minute: Minute, change: &dyn Fn(&mut Value)| {
                let mut seal = seal();
                seal.minute = minute;
                let mut delivered = delivered(runs, lost);
                change(&mut delivered);
                let hours = OwnHours {
                    zone: &zone,
                    stream: "sample",
                    share,
                    out: StaysOut::default(),
                };
                hours.need(&seal.name(), &seal, delivered.to_string().as_bytes())
            };
        let as_it_is = |_: &mut Value| ();
        let of = RunKey::Minute;
        for (runs, lost, minute, is_needed) in [
            (&[of(own)][..], &[][..], own, true),
            (&[of(other)], &[], other, false),
            // posts of the hour before it was received, or after, or long before
            (&[of(own), of(other)], &[], other, true),
            (&[of(other), of(own)], &[], own, true),
            (&[of(other)], &[], own, false),
            (&[of(other), RunKey::Old(own)], &[], other, true),
            (&[RunKey::Old(other)], &[], other, false),
            // which hour has them, no line tells
            (&[of(other), RunKey::Rejected], &[], other, true),
            (&[RunKey::Rejected], &[], other, true),
            // nothing was received: one task has it
            (&[], &[], own, true),
            (&[], &[], other, false),
            // all lines of that hour were taken out
            (&[of(other)], &[own], other, true),
            (&[], &[other], own, false),
        ] {
            let found = needs(runs, lost, minute, &as_it_is);
            assert_eq!(found, is_needed, "{runs:?}, {lost:?}, {minute:?}");
        }
        let other_one = |change: &dyn Fn(&mut Value)| needs(&[of(other)], &[], other, change);
        assert!(!other_one(&as_it_is));
        assert!(other_one(
            &|said| said["program"] = json!("twinstream/0.0.9")
        ));
        assert!(other_one(
            &|said| said["index"]["format"] = json!(FORMAT + 1)
        ));
        assert!(other_one(
            &|said| said["index"]["segment"] = json!(digest("others"))
        ));
        assert!(other_one(
            &|said| said["index"]["events"] = json!(digest("others"))
        ));
        assert!(other_one(&|said| *said = json!({})));
        let foreign = OwnHours {
            zone: &zone,
            stream: "sample10",
            share,
            out: StaysOut::default(),
        };
        let bytes = delivered(&[of(other)], &[]).to_string();
        assert!(foreign.need(&seal().name(), &seal(), bytes.as_bytes()));
    }

    /// A post of that minute, of another one, or all of an account.
    #[test]
    fn what_may_hold_a_post_that_is_to_stay_out_is_needed() {
        let zone = Zone::named("UTC").unwrap();
        let share: Share = "1/2".parse().unwrap();
        let (own, other) = hours(share);
        let bytes = delivered(&[RunKey::Minute(other)], &[]).to_string();
        for (minutes, has_authors, is_needed) in [
            (&[other][..], false, true),
            (&[own], false, false),
            (&[], true, true),
        ] {
            let hours = OwnHours {
                zone: &zone,
                stream: "sample",
                share,
                out: StaysOut {
                    len: 1,
                    minutes: minutes.iter().copied().collect(),
                    has_authors,
                },
            };
            let found = hours.need(&seal().name(), &seal(), bytes.as_bytes());
            assert_eq!(found, is_needed, "{minutes:?}, {has_authors}");
        }
    }

    /// After another choice, what was left is looked at again.
    #[test]
    fn the_label_tells_shares_zones_and_streams_apart() {
        let [utc, berlin] = ["UTC", "Europe/Berlin"].map(|name| Zone::named(name).unwrap());
        let label = |zone, stream, share: &str| {
            let share = share.parse().unwrap();
            OwnHours {
                zone,
                stream,
                share,
                out: StaysOut::default(),
            }
            .label()
        };
        let labels = [
            label(&utc, "sample", "1/2"),
            label(&utc, "sample", "2/2"),
            label(&utc, "sample", "1/3"),
            label(&berlin, "sample", "1/2"),
            label(&utc, "sample10", "1/2"),
        ];
        let different: BTreeSet<&String> = labels.iter().collect();
        assert_eq!(different.len(), labels.len());
    }
}
