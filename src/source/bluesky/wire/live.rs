//! The difference between the endpoint's clock and ours: it follows from when the endpoint saw an event, but only
//! once the replay is complete. Until then, each event is less old than those before.

use crate::period::UtcMs;

/// What comes in so much time is compared with what came in the time before.
const WINDOW_MS: i64 = 10_000;

/// Two windows differ by less when nothing is made up for any more; and half a second is nothing to speak of.
const EVEN_MS: i64 = 500;

/// The youngest event of a window.
#[derive(Debug, Default)]
pub(super) struct Live {
    since: Option<UtcMs>,
    youngest_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl Live {
    /// An event that arrived at that instant, and when the endpoint saw it: the endpoint's clock minus ours, when that
    /// has just become known.
    pub(super) fn event(&mut self, at: UtcMs, seen: UtcMs) -> Option<i64> {
        let since = *self.since.get_or_insert(at);
        let offset_ms = seen.0.saturating_sub(at.0);
        let mut known = None;
        if WINDOW_MS <= at.0 - since.0 {
            let even = |before: &i64| {
                self.youngest_ms
                    .is_some_and(|now| now.abs_diff(*before) < EVEN_MS.unsigned_abs())
            };
            known = self.before_ms.filter(even);
            (self.before_ms, self.youngest_ms) = (self.youngest_ms, None);
            self.since = Some(at);
        }
        self.youngest_ms = Some(self.youngest_ms.map_or(offset_ms, |ms| ms.max(offset_ms)));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a stream whose event number n of 20 a second was seen so many ms before it came.
    fn known(events: i64, age_ms: impl Fn(i64) -> i64) -> Vec<i64> {
        let mut live = Live::default();
        let event = |n: i64| {
            let at = UtcMs(1_795_442_709_000 + n * 50);
            live.event(at, at.plus_ms(-age_ms(n)))
        };
        (0..events).filter_map(event).collect()
    }

    #[test]
    fn what_is_made_up_for_tells_nothing_and_what_is_live_does() {
        // live, by a clock that is 7 s ahead of the endpoint's
        let even = known(1_000, |n| 7_000 + 40 + n % 7 * 30);
        assert!(
            !even.is_empty() && even.iter().all(|ms| (-7_100..=-7_000).contains(ms)),
            "{even:?}"
        );
        // an hour is made up for at five times the speed
        let catching_up = |n: i64| (3_600_000 - n * 200).max(50);
        assert_eq!(known(17_000, catching_up), Vec::<i64>::new());
        let after = known(20_000, catching_up);
        assert!(
            !after.is_empty() && after.iter().all(|ms| (-550..=-50).contains(ms)),
            "{after:?}"
        );
    }
}
