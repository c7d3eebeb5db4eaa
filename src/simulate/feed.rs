//! What is delivered at which moment, to all clients that are connected then.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    kept::Kept,
    post::{DELAY_MAX_MS, Second},
    recipe::Recipe,
    replay::Replay,
    rules::{RULES_MAX, Rules},
    schedule::Schedule,
    selection::Selection,
    snowflake,
};
use crate::period::UtcMs;

/// One line and the moment at which connections get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: UtcMs,
    /// The post's id; `None` for a replayed line that is not a post.
    pub(super) id: Option<u64>,
    /// The line with its CR LF.
    pub(super) bytes: Bytes,
}

/// The one order of lines that all connections share.
#[derive(Debug)]
pub(super) struct Feed {
    source: Source,
    schedule: Arc<Schedule>,
    /// The app's rules, which choose what the filtered stream brings.
    pub(super) rules: Rules,
}

#[derive(Debug)]
enum Source {
    Made {
        recipe: Recipe,
        seconds: Kept<i64, Second>,
        deliveries: Kept<i64, Vec<Piece>>,
    },
    Replayed {
        replay: Replay,
        lines_per_1000s: i64,
        start: Option<UtcMs>,
    },
}

impl Feed {
    /// Generated posts.
    pub(super) fn made(recipe: Recipe, schedule: Arc<Schedule>) -> Self {
        let rules = Rules::new(recipe.seed, RULES_MAX);
        let source = Source::Made {
            recipe,
            seconds: Kept::new(),
            deliveries: Kept::new(),
        };
        Self {
            source,
            schedule,
            rules,
        }
    }

    /// The lines of a file, at that rate.
    pub(super) fn replayed(replay: Replay, lines_per_1000s: i64, schedule: Arc<Schedule>) -> Self {
        let source = Source::Replayed {
            replay,
            lines_per_1000s,
            start: None,
        };
        Self {
            source,
            schedule,
            rules: Rules::new(0, RULES_MAX),
        }
    }

    /// Says how many streams are open: a replay begins when there are enough.
    pub(super) fn connected(&mut self, streams: usize, now: UtcMs) {
        if let Source::Replayed { replay, start, .. } = &mut self.source
            && start.is_none()
            && replay.wait <= streams
        {
            // the stream that completes the number is open from `now` on, and gets the first line too
            *start = Some(now.plus_ms(1));
        }
    }

    /// What a stream gets after `after` and not after `until`, in the order of delivery.
    pub(super) fn due(&mut self, after: UtcMs, until: UtcMs, selection: Selection) -> Vec<Piece> {
        if until <= after {
            return Vec::new();
        }
        if let Source::Replayed { .. } = self.source {
            let mut found = self.replayed_due(after, until);
            found.retain(|piece| selection.takes(piece.id) && !self.schedule.loses(piece.at));
            return self.chosen(found, selection);
        }
        let mut found = Vec::new();
        for second in after.second()..=until.second() {
            let delivery = self.delivery(second);
            let from = delivery.partition_point(|piece| piece.at <= after);
            let to = delivery.partition_point(|piece| piece.at <= until);
            let pieces = delivery.get(from..to).unwrap_or(&[]).iter();
            found.extend(pieces.filter(|piece| selection.takes(piece.id)).cloned());
        }
        self.chosen(found, selection)
    }

    /// What the rules choose of pieces, if rules choose.
    fn chosen(&self, pieces: Vec<Piece>, selection: Selection) -> Vec<Piece> {
        if selection != Selection::Matching {
            return pieces;
        }
        pieces
            .iter()
            .filter_map(|piece| self.rules.matching(piece))
            .collect()
    }

    /// The next delivery to a stream after `after` and not after `until`.
    pub(super) fn next(
        &mut self,
        after: UtcMs,
        until: UtcMs,
        selection: Selection,
    ) -> Option<Piece> {
        let mut from = after;
        while from < until {
            let to = UtcMs((from.second() + 1) * 1_000).min(until);
            if let Some(piece) = self.due(from, to, selection).into_iter().next() {
                return Some(piece);
            }
            from = to;
        }
        None
    }

    fn replayed_due(&self, after: UtcMs, until: UtcMs) -> Vec<Piece> {
        let Source::Replayed {
            replay,
            lines_per_1000s,
            start: Some(start),
        } = &self.source
        else {
            return Vec::new();
        };
        let moment = |line: usize| {
            let line = i64::try_from(line).unwrap_or(i64::MAX);
            start.plus_ms(line.saturating_mul(1_000_000) / lines_per_1000s)
        };
        // the first line whose moment can lie behind `after`
        let passed = (after.0 - start.0).max(0).saturating_mul(*lines_per_1000s) / 1_000_000;
        let first = usize::try_from(passed).unwrap_or(0);
        (first..replay.lines.len())
            .map(|line| (moment(line), &replay.lines[line]))
            .skip_while(|(at, _)| *at <= after)
            .take_while(|(at, _)| *at <= until)
            .map(|(at, (bytes, id))| Piece {
                at,
                id: *id,
                bytes: bytes.clone(),
            })
            .collect()
    }

    /// What is delivered in a second, by moment, then id.
    fn delivery(&mut self, second: i64) -> Arc<Vec<Piece>> {
        let Source::Made {
            recipe,
            seconds,
            deliveries,
        } = &mut self.source
        else {
            return Arc::new(Vec::new());
        };
        if let Some(kept) = deliveries.get(&second) {
            return kept;
        }
        let mut found = Vec::new();
        let reach = DELAY_MAX_MS / 1_000 + 1;
        for created in second - reach..=second {
            let made = seconds.get(&created).unwrap_or_else(|| {
                let made = recipe.second(created);
                let bytes = made.bytes.len();
                seconds.put(created, made, bytes)
            });
            let due = made
                .posts
                .iter()
                .filter(|post| post.deliver.second() == second);
            found.extend(
                due.filter(|post| !self.schedule.loses(snowflake::created(post.id)))
                    .map(|post| Piece {
                        at: post.deliver,
                        id: Some(post.id),
                        bytes: made.bytes.slice(post.line.clone()),
                    }),
            );
        }
        found.sort_by_key(|piece| (piece.at, piece.id));
        deliveries.put(second, found, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            fault,
            recipe::{Fields, Vocabulary},
        },
        *,
    };

    const START: UtcMs = UtcMs(1_795_435_200_000);

    fn feed(faults: &str) -> Feed {
        let recipe = Recipe {
            seed: 5,
            posts_per_1000s: 20_000,
            residues: (0..=9).collect(),
            fields: Fields::Core,
            vocabulary: Vocabulary::Tweet,
        };
        Feed::made(recipe, schedule(faults))
    }

    fn schedule(faults: &str) -> Arc<Schedule> {
        Arc::new(Schedule::new(fault::parse(faults).unwrap(), 5, START))
    }

    #[test]
    fn every_post_is_delivered_once_however_time_is_cut() {
        let end = START.plus_ms(60_000);
        let whole = feed("").due(START, end, Selection::All);
        let mut cut = Vec::new();
        let mut other = feed("");
        let mut from = START;
        for step in [1, 999, 1_000, 7, 20_000, 3_333].iter().cycle() {
            let to = from.plus_ms(*step).min(end);
            cut.extend(other.due(from, to, Selection::All));
            from = to;
            if from == end {
                break;
            }
        }
        assert_eq!(whole, cut);
        assert!(800 < whole.len() && whole.len() < 1_600, "{}", whole.len());
        assert!(whole.is_sorted_by_key(|piece| piece.at));
        assert!(
            !whole.is_sorted_by_key(|piece| piece.id),
            "slightly out of order"
        );
    }

    #[test]
    fn posts_of_an_upstream_outage_never_come() {
        let outage = "[[fault]]\nat = \"10s\"\nfor = \"5s\"\nkind = \"upstream\"";
        let (begin, end) = (START.plus_ms(10_000), START.plus_ms(15_000));
        let lost = |piece: &Piece| {
            let created = snowflake::created(piece.id.unwrap());
            begin <= created && created < end
        };
        let mut all = feed("").due(START, START.plus_ms(40_000), Selection::All);
        assert!(all.iter().any(lost));
        all.retain(|piece| !lost(piece));
        assert_eq!(
            feed(outage).due(START, START.plus_ms(40_000), Selection::All),
            all
        );
    }

    #[test]
    fn a_replay_begins_with_the_clients_and_keeps_its_pace() {
        let replay = Replay::new(b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 2);
        let mut feed = Feed::replayed(replay, 2_000, schedule(""));
        let at = |ms: i64| START.plus_ms(ms);
        feed.connected(1, at(0));
        assert_eq!(feed.due(at(0), at(60_000), Selection::All), []);
        feed.connected(2, at(60_000));
        feed.connected(1, at(61_000));
        let moments = |pieces: Vec<Piece>| -> Vec<i64> {
            pieces.iter().map(|piece| piece.at.0 - START.0).collect()
        };
        assert_eq!(
            moments(feed.due(at(60_000), at(60_501), Selection::All)),
            [60_001, 60_501]
        );
        assert_eq!(
            moments(feed.due(at(60_501), at(99_000), Selection::All)),
            [61_001]
        );
        assert_eq!(
            feed.next(at(60_100), at(70_000), Selection::All)
                .unwrap()
                .at,
            at(60_501)
        );
        assert_eq!(feed.next(at(61_001), at(90_000), Selection::All), None);
    }
}
