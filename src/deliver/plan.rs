//! Decides what to send and what may be deleted, from what is here and what is acknowledged.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    period::{UtcMs, ms},
    segment::{acks::Ack, name::SegmentName},
};

/// The endings of the three files of a segment, in the order in which they are sent.
pub const ENDINGS: [&str; 3] = ["jsonl", "events.jsonl", "seal.json"];

/// What a delivery has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sealed here and not wholly acknowledged, oldest first.
    pub send: Vec<SegmentName>,
    /// Wholly acknowledged for longer than `keep_delivered`: may be deleted here.
    pub settled: Vec<Settled>,
    /// Folders of the spool that could not be read.
    pub unreadable: u64,
}

/// A segment and what was acknowledged of it, in the order of [`ENDINGS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The segment.
    pub name: SegmentName,
    /// What the primary read back.
    pub acks: [Ack; 3],
}

/// How many segments are sent before the first of them is complete there: four hours of one server.
const BATCH_SEGMENTS: usize = 240;

/// The files to send in parts of bounded size, in order.
pub fn batches(send: &[SegmentName]) -> impl Iterator<Item = &[SegmentName]> {
    send.chunks(BATCH_SEGMENTS)
}

/// Decides. A segment is acknowledged when all three of its files are.
pub fn plan(
    sealed: Vec<SegmentName>,
    acks: &BTreeMap<String, Ack>,
    keep_delivered: Duration,
    now: UtcMs,
) -> Plan {
    let settled_before = now.plus_ms(-ms(keep_delivered));
    let mut plan = Plan::default();
    for name in sealed {
        let of_file = |ending| acks.get(&format!("{name}.{ending}"));
        match ENDINGS.map(of_file) {
            [Some(segment), Some(events), Some(seal)] => {
                let acks = [segment, events, seal];
                if acks.iter().all(|ack| ack.at <= settled_before) {
                    let acks = acks.map(Ack::clone);
                    plan.settled.push(Settled { name, acks });
                }
            }
            _ => plan.send.push(name),
        }
    }
    plan.send
        .sort_by_key(|name| (name.minute, name.run, name.part));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::sha256::Sha256;

    fn acks(of: &[(&str, &str, i64)]) -> BTreeMap<String, Ack> {
        let ack = |&(name, ending, at): &(&str, &str, i64)| {
            let file = format!("{name}.{ending}");
            (
                file.clone(),
                Ack {
                    at: UtcMs(at),
                    file,
                    sha256: Sha256::ZEROS,
                },
            )
        };
        of.iter().map(ack).collect()
    }

    #[test]
    fn only_what_is_wholly_acknowledged_may_go_and_only_after_its_time() {
        let [old, young, torn, new] = ["1400", "1401", "1402", "1403"]
            .map(|minute| format!("2_sample_20261123T{minute}Z_3fa9c01b_000"));
        let known = acks(&[
            (&old, "jsonl", 1_000),
            (&old, "events.jsonl", 2_000),
            (&old, "seal.json", 10_000),
            (&young, "jsonl", 1_000),
            (&young, "events.jsonl", 2_000),
            (&young, "seal.json", 10_001),
            (&torn, "jsonl", 1_000),
            (&torn, "events.jsonl", 1_000),
        ]);
        let sealed = [&new, &torn, &young, &old]
            .map(|name| name.parse().unwrap())
            .to_vec();
        let plan = plan(sealed, &known, Duration::from_secs(10), UtcMs(20_000));
        assert_eq!(plan.send, [torn.parse().unwrap(), new.parse().unwrap()]);
        assert_eq!(plan.settled.len(), 1);
        assert_eq!(plan.settled[0].name, old.parse().unwrap());
        assert_eq!(plan.settled[0].acks[2].at, UtcMs(10_000));
    }
}
