//! Which copies came by backfill, and what each backfill brought.
//!
//! A copy was backfilled if its post is older than the connection that delivered it, and that
//! connection had asked for backfill. The connection that delivered a copy is the last one of its
//! server that was made before the copy arrived.

use serde::{Deserialize, Serialize};

use super::{cause::Cause, seconds};
use crate::{
    period::{Interval, UtcMs},
    segment::name::{Leg, RunId},
};

/// A connection that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// By which run of the collector.
    pub run: RunId,
    /// Its number in that run.
    pub connection: u64,
    /// When.
    pub at: UtcMs,
    /// Minutes of backfill asked for; 0 for none.
    pub minutes: u32,
    /// Since when nothing had been connected, and why at last; `None` if that is not known.
    pub hole: Option<(UtcMs, Cause)>,
}

/// The place of the connection that brought a copy by backfill, among those of its server, which
/// ascend by time. `None` if it came as posts usually do, or without a stamp.
pub fn backfilled_by(
    connections: &[Connection],
    retrieved_at: Option<UtcMs>,
    post_time: UtcMs,
) -> Option<usize> {
    let retrieved_at = retrieved_at?;
    let place = connections
        .partition_point(|connection| connection.at <= retrieved_at)
        .checked_sub(1)?;
    let connection = connections.get(place)?;
    (0 < connection.minutes && post_time < connection.at).then_some(place)
}

/// What a connection that asked for backfill brought to an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The server.
    pub server: Leg,
    /// The run of its collector.
    pub run: RunId,
    /// The connection's number in that run.
    pub connection: u64,
    /// When it was made.
    pub connected: UtcMs,
    /// Minutes asked for.
    pub minutes: u32,
    /// Posts of this hour that came by this backfill and that the server did not have before.
    pub posts: u64,
    /// Further copies of posts that the server had already.
    pub duplicates: u64,
    /// The hole in this hour that it was to close, if there was one.
    pub hole: Option<Hole>,
}

/// The part of a time without a connection that is in the hour and within the requested minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Since when nothing was connected.
    pub begin: UtcMs,
    /// Until when.
    pub end: UtcMs,
    /// Why, at last.
    pub cause: Cause,
    /// Seconds of it that the server has now.
    pub closed: u64,
    /// Seconds of it that it has not.
    pub open: u64,
}

impl Hole {
    /// The hole before a connection, given which seconds of the hour the server covers.
    pub fn before(
        connection: &Connection,
        intervals: &[Interval],
        covered: &[bool],
    ) -> Option<Self> {
        let (since, cause) = connection.hole?;
        let (first, last) = (intervals.first()?, intervals.last()?);
        let reach = connection
            .at
            .plus_ms(-60_000 * i64::from(connection.minutes));
        let begin = since.max(reach).max(first.begin);
        let end = connection.at.min(last.end);
        if end <= begin {
            return None;
        }
        let (closed, open) = counted((begin, end), intervals, covered);
        Some(Self {
            begin,
            end,
            cause,
            closed,
            open,
        })
    }

    /// Whether it says of its seconds what the seconds of the hour that the server covers say.
    pub fn is_as(&self, intervals: &[Interval], covered: &[bool]) -> bool {
        let found = counted((self.begin, self.end), intervals, covered);
        self.begin < self.end && (self.closed, self.open) == found
    }
}

/// How many seconds of an hour between two instants are covered, and how many are not.
fn counted((begin, end): (UtcMs, UtcMs), intervals: &[Interval], covered: &[bool]) -> (u64, u64) {
    let is_inside = |second: i64| begin.second() <= second && UtcMs(second * 1_000) < end;
    let seconds = seconds::all(intervals).zip(covered);
    let inside = seconds.filter(|(second, _)| is_inside(*second));
    let (closed, open): (Vec<_>, Vec<_>) = inside.partition(|(_, is_covered)| **is_covered);
    (closed.len() as u64, open.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(at: i64, minutes: u32, since: i64) -> Connection {
        Connection {
            run: RunId(1),
            connection: 1,
            at: UtcMs(at),
            minutes,
            hole: Some((UtcMs(since), Cause::Network)),
        }
    }

    #[test]
    fn a_copy_older_than_its_connection_came_by_backfill() {
        let known = [
            connection(10_000, 2, 0),
            connection(90_000, 0, 0),
            connection(200_000, 1, 0),
        ];
        let by = |arrived: i64, post: i64| backfilled_by(&known, Some(UtcMs(arrived)), UtcMs(post));
        assert_eq!(by(9_999, 5_000), None, "of a connection that is not known");
        assert_eq!(by(10_000, 5_000), Some(0));
        assert_eq!(by(11_000, 10_000), None, "made after it");
        assert_eq!(by(95_000, 5_000), None, "no backfill was asked for");
        assert_eq!(by(201_000, 5_000), Some(2));
        assert_eq!(backfilled_by(&known, None, UtcMs(5_000)), None);
    }

    #[test]
    fn a_hole_reaches_no_further_than_the_hour_and_what_was_asked_for() {
        let hour = [Interval {
            begin: UtcMs(100_000),
            end: UtcMs(400_000),
        }];
        let covered: Vec<bool> = (100..400).map(|second| second < 250).collect();
        let hole = |at, minutes, since| {
            let hole = Hole::before(&connection(at, minutes, since), &hour, &covered)?;
            Some((hole.begin.0, hole.end.0, hole.closed, hole.open))
        };
        assert_eq!(hole(260_500, 5, 240_500), Some((240_500, 260_500, 10, 11)));
        assert_eq!(hole(260_000, 1, 0), Some((200_000, 260_000, 50, 10)));
        assert_eq!(hole(120_000, 5, 0), Some((100_000, 120_000, 20, 0)));
        assert_eq!(hole(460_000, 5, 390_000), Some((390_000, 400_000, 0, 10)));
        assert_eq!(hole(90_000, 5, 0), None);
    }
}
