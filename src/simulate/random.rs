//! A schedule of faults that nobody wrote: the same for the same seed.

use super::{
    answer::Answer,
    chance::Chance,
    fault::{Api, Fault, FaultKind, When},
};

/// The mean time between two faults.
const APART_MS: i64 = 4 * 60_000;

const KIND_SCHEDULE: u64 = 0x7363_6865;

/// Faults for that many listeners and that long, about one every four minutes: mostly what happens
/// to one connection, now and then what happens to all. The last two minutes have none.
pub fn schedule(seed: u64, listeners: usize, span_ms: i64, api: Api) -> Vec<Fault> {
    let mut chance = Chance::of(seed, KIND_SCHEDULE, listeners as u64);
    let mut found = Vec::new();
    let mut at = chance.between(20_000, APART_MS);
    while at < span_ms - 120_000 {
        let (kind, lasts_ms) = match api {
            Api::X => of_x(&mut chance),
            Api::Jetstream => of_jetstream(&mut chance),
        };
        let for_all = kind == FaultKind::Upstream || chance.one_in(8);
        let listener = 1 + chance.index(listeners.max(1));
        found.push(Fault {
            when: When::At(at),
            lasts_ms,
            listener: if for_all { None } else { Some(listener) },
            connection: None,
            partition: None,
            kind,
        });
        at += lasts_ms + chance.between(APART_MS / 8, APART_MS * 15 / 8);
    }
    found
}

fn seconds(chance: &mut Chance, from: i64, to: i64) -> i64 {
    chance.between(from, to) * 1_000
}

fn of_x(chance: &mut Chance) -> (FaultKind, i64) {
    match chance.below(100) {
        0..16 => (
            FaultKind::Drop {
                trailer: chance.one_in(4),
            },
            0,
        ),
        16..26 => (FaultKind::Reset, 0),
        26..36 => (FaultKind::Cut, 0),
        36..46 => (FaultKind::Stall, seconds(chance, 5, 120)),
        46..50 => {
            let bytes_per_s = 1 + u32::try_from(chance.below(60)).unwrap_or(0);
            (FaultKind::Slow { bytes_per_s }, seconds(chance, 5, 60))
        }
        50..54 => (FaultKind::Quiet, seconds(chance, 5, 150)),
        54..62 => (
            FaultKind::Garbage {
                line: None,
                bytes: 70_000,
            },
            0,
        ),
        62..68 => {
            let count = 1 + u32::try_from(chance.below(80)).unwrap_or(0);
            (FaultKind::Duplicates { count }, 0)
        }
        68..72 => (
            FaultKind::Lockout {
                close: chance.one_in(2),
            },
            seconds(chance, 20, 180),
        ),
        72..82 => (FaultKind::Status(status(chance)), seconds(chance, 10, 120)),
        82..88 => {
            let types = [
                "OperationalDisconnect",
                "UpstreamOperationalDisconnect",
                "ForceDisconnect",
                "Other",
            ];
            (
                FaultKind::ErrorFrame {
                    disconnect_type: chance.pick(&types).to_owned(),
                },
                0,
            )
        }
        88..90 => (FaultKind::PartialErrors { count: 5 }, 0),
        90..94 => (FaultKind::Refuse, seconds(chance, 2, 60)),
        94..96 => (FaultKind::Upstream, seconds(chance, 5, 60)),
        96..98 => (FaultKind::GzipDamage, 0),
        _ => (FaultKind::NoTrailer, 0),
    }
}

fn of_jetstream(chance: &mut Chance) -> (FaultKind, i64) {
    match chance.below(100) {
        0..18 => {
            let (code, reason) = chance.pick(&[
                (1000, ""),
                (1001, "going away"),
                (1008, "consumer too slow"),
                (1011, "internal error"),
                (1012, "service restart"),
            ]);
            let reason = reason.to_owned();
            (FaultKind::CloseFrame { code, reason }, 0)
        }
        18..28 => (FaultKind::Reset, 0),
        28..36 => (FaultKind::Cut, 0),
        36..42 => (FaultKind::Drop { trailer: false }, 0),
        42..52 => {
            let pings = chance.one_in(2);
            (FaultKind::Stale { pings }, 0)
        }
        52..58 => (FaultKind::Stall, seconds(chance, 5, 120)),
        58..62 => (FaultKind::Quiet, seconds(chance, 5, 150)),
        62..66 => {
            let (line, bytes) = (None, 70_000);
            (FaultKind::Garbage { line, bytes }, 0)
        }
        66..68 => (FaultKind::UnknownDictionary, 0),
        68..72 => {
            let count = 1 + u32::try_from(chance.below(80)).unwrap_or(0);
            (FaultKind::Duplicates { count }, 0)
        }
        72..80 => (FaultKind::Status(status(chance)), seconds(chance, 10, 120)),
        80..86 => (FaultKind::Refuse, seconds(chance, 2, 60)),
        86..92 => (FaultKind::Upstream, seconds(chance, 5, 300)),
        92..96 => {
            let one_in = chance.pick(&[1, 1, 20, 1_000]);
            (FaultKind::Loss { one_in }, seconds(chance, 5, 60))
        }
        96..98 => (FaultKind::Brief, seconds(chance, 5, 30)),
        _ => {
            let window_ms = seconds(chance, 10, 600);
            (FaultKind::Clamp { window_ms }, seconds(chance, 60, 600))
        }
    }
}

fn status(chance: &mut Chance) -> Answer {
    let statuses = [
        Answer::Unavailable,
        Answer::Unavailable,
        Answer::Page(500),
        Answer::Page(502),
        Answer::Page(504),
        Answer::Plain(408),
        Answer::RateLimit,
        Answer::Provisioning,
        Answer::Unauthorized,
    ];
    statuses[chance.index(statuses.len())].clone()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::fault::check, *};

    #[test]
    fn a_seed_gives_its_schedule_and_a_long_one_has_every_kind() {
        const DAY_MS: i64 = 86_400_000;
        for (api, kinds) in [(Api::X, 15), (Api::Jetstream, 16)] {
            let day = schedule(1, 2, DAY_MS, api);
            assert_eq!(day, schedule(1, 2, DAY_MS, api));
            assert_ne!(day, schedule(2, 2, DAY_MS, api));
            assert!((200..500).contains(&day.len()), "{}", day.len());
            let days = schedule(1, 2, 5 * DAY_MS, api);
            assert!(check(&days, api).is_ok());
            let found: HashSet<_> = days.iter().map(|fault| fault.kind.name()).collect();
            assert_eq!(found.len(), kinds);
        }
    }
}
