//! How long to wait after a failure, and when to give up.
//!
//! The waits double from 2 s to 5 min, each shortened at random to between half and all of it, so that two clients do
//! not come back together; a wait that the service asks for comes first. A run ends: its total wait is bounded, and
//! so are its attempts at one thing. The next run continues.

use std::time::Duration;

use super::answer::After;
use crate::period::{UtcMs, ms};

/// The first wait after a failure.
const FIRST: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST: Duration = Duration::from_mins(5);
/// Failures of one thing after which it is given up for this run.
const FAILURES_MAX: u32 = 5;
/// What one run may spend on waiting for the service to come back.
const WAITS_MAX: Duration = Duration::from_mins(15);
/// The same of one that only looks: a person waits for it, and can look again.
const LOOK_WAITS_MAX: Duration = Duration::from_secs(3);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Wait so long and try again.
    Wait(Duration),
    /// This thing has failed often enough.
    GiveUp,
    /// The whole run is over: nothing may be asked before that instant.
    Stop(UtcMs),
}

/// What a run has waited, and how often the thing at hand has failed.
#[derive(Debug)]
pub struct Retries {
    waits_max: Duration,
    waited: Duration,
    failures: u32,
}

impl Retries {
    /// Of a run that nobody waits for.
    pub const fn of_a_run() -> Self {
        Self::with(WAITS_MAX)
    }

    /// Of one that only looks.
    pub const fn of_a_look() -> Self {
        Self::with(LOOK_WAITS_MAX)
    }

    const fn with(waits_max: Duration) -> Self {
        Self {
            waits_max,
            waited: Duration::ZERO,
            failures: 0,
        }
    }

    /// Another thing is begun.
    pub fn begin(&mut self) {
        self.failures = 0;
    }

    /// It has failed once more. `chance` is from 0 to 1.
    pub fn failed(&mut self, now: UtcMs, after: Option<After>, chance: f64) -> Next {
        self.failures += 1;
        let asked = after.map(|after| match after {
            After::Seconds(seconds) => Duration::from_secs(seconds),
            After::At(at) => Duration::from_millis(u64::try_from(at.0 - now.0).unwrap_or(0)),
        });
        let left = self.waits_max.saturating_sub(self.waited);
        if let Some(asked) = asked.filter(|asked| left < *asked) {
            return Next::Stop(now.plus_ms(ms(asked)));
        }
        if FAILURES_MAX <= self.failures {
            return Next::GiveUp;
        }
        let doubled = FIRST * 2_u32.saturating_pow(self.failures - 1);
        let jittered = doubled
            .min(LONGEST)
            .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
        let wait = asked.unwrap_or(jittered);
        if left < wait {
            return Next::GiveUp;
        }
        self.waited += wait;
        Next::Wait(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcMs = UtcMs(1_795_442_400_000);

    #[test]
    fn waits_double_and_end() {
        let mut retries = Retries::of_a_run();
        let mut waits = |chance| -> Vec<Next> {
            retries.begin();
            (0..5).map(|_| retries.failed(NOW, None, chance)).collect()
        };
        let s = |seconds| Next::Wait(Duration::from_secs(seconds));
        assert_eq!(waits(1.0), [s(2), s(4), s(8), s(16), Next::GiveUp]);
        assert_eq!(waits(0.0), [s(1), s(2), s(4), s(8), Next::GiveUp]);
        for _ in 0..40 {
            waits(1.0);
        }
        assert_eq!(
            waits(1.0),
            [Next::GiveUp; 5],
            "a run does not wait for ever"
        );
        let mut looking = Retries::of_a_look();
        let waits = [0, 1, 2].map(|_| looking.failed(NOW, None, 1.0));
        assert_eq!(waits, [s(2), Next::GiveUp, Next::GiveUp]);
    }

    #[test]
    fn what_the_service_asks_for_is_kept() {
        let mut retries = Retries::of_a_run();
        let mut failed = |after| {
            retries.begin();
            retries.failed(NOW, Some(after), 0.5)
        };
        assert_eq!(
            failed(After::Seconds(90)),
            Next::Wait(Duration::from_secs(90))
        );
        assert_eq!(
            failed(After::At(NOW.plus_ms(30_000))),
            Next::Wait(Duration::from_secs(30))
        );
        assert_eq!(
            failed(After::At(NOW.plus_ms(-30_000))),
            Next::Wait(Duration::ZERO)
        );
        assert_eq!(
            failed(After::Seconds(1_234)),
            Next::Stop(NOW.plus_ms(1_234_000)),
            "longer than this run: the next one keeps it"
        );
    }
}
