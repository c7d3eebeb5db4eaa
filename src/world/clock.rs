//! The one reader of the system's clocks, and the only way to wait.
//!
//! Stamps never go back within a process: when the machine's clock is set back, they advance at
//! half speed until it has caught up; when it is set forward, they follow at once.
//! With `--clock START@RATE` every instant is START + RATE × elapsed and every wait is shorter by
//! RATE; there is no second way to fake time.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::period::UtcMs;

/// Tells the time and waits. Clones share their state, so stamps are monotone across threads.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    System(Arc<Mutex<Stamps>>),
    Simulated {
        start: UtcMs,
        rate: f64,
        began: Instant,
    },
}

/// The argument of `--clock`: an instant and how many seconds pass in one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulatedTime {
    /// What the clock shows when the process starts.
    pub start: UtcMs,
    /// Simulated seconds per real second.
    pub rate: f64,
}

/// A text that is not START@RATE.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not START@RATE (example: 2026-11-23T14:00:00Z@60)")]
pub struct NotAClock(String);

impl FromStr for SimulatedTime {
    type Err = NotAClock;

    fn from_str(text: &str) -> Result<Self, NotAClock> {
        let wrong = || NotAClock(text.to_owned());
        let (start, rate) = text.rsplit_once('@').ok_or_else(wrong)?;
        match (start.parse(), rate.parse::<f64>()) {
            (Ok(start), Ok(rate)) if rate.is_finite() && (0.001..=100_000.0).contains(&rate) => {
                Ok(Self { start, rate })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for SimulatedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.start, self.rate)
    }
}

/// The last stamp given out, and the monotonic instant at which it was.
#[derive(Debug)]
struct Stamps {
    last: UtcMs,
    at: Instant,
}

impl Stamps {
    /// The next stamp: never before the last one, at the wall's time if that is not behind.
    fn next(&mut self, wall: UtcMs, at: Instant) -> UtcMs {
        if self.last <= wall {
            (self.last, self.at) = (wall, at);
            return wall;
        }
        let elapsed = at.saturating_duration_since(self.at);
        let half_ms = i64::try_from(elapsed.as_millis() / 2).unwrap_or(0);
        if 0 < half_ms {
            (self.last, self.at) = (self.last.plus_ms(half_ms), at);
        }
        self.last
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the clocks"
)]
fn wall_and_monotonic() -> (UtcMs, Instant) {
    let wall_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before_1970) => -i64::try_from(before_1970.duration().as_millis()).unwrap_or(i64::MAX),
    };
    (UtcMs(wall_ms), Instant::now())
}

impl Clock {
    /// The machine's clock, made monotone.
    pub fn system() -> Self {
        let (wall, at) = wall_and_monotonic();
        Self {
            kind: Kind::System(Arc::new(Mutex::new(Stamps { last: wall, at }))),
        }
    }

    /// START + RATE × elapsed, from this moment on.
    pub fn simulated(time: SimulatedTime) -> Self {
        let (_, began) = wall_and_monotonic();
        Self {
            kind: Kind::Simulated {
                start: time.start,
                rate: time.rate,
                began,
            },
        }
    }

    /// What `--clock` must say so that a process started at this moment shows this clock's time;
    /// `None` for the machine's clock, which needs no handing on.
    pub fn to_hand_on(&self) -> Option<SimulatedTime> {
        match self.kind {
            Kind::System(_) => None,
            Kind::Simulated { rate, .. } => Some(SimulatedTime {
                start: self.now(),
                rate,
            }),
        }
    }

    /// Now. Never before an instant that this clock has already told.
    pub fn now(&self) -> UtcMs {
        let (wall, at) = wall_and_monotonic();
        match &self.kind {
            Kind::System(stamps) => stamps
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next(wall, at),
            Kind::Simulated { start, rate, began } => {
                let elapsed_ms = at.saturating_duration_since(*began).as_secs_f64() * 1_000.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "saturates, and is far from it"
                )]
                start.plus_ms((elapsed_ms * rate) as i64)
            }
        }
    }

    /// How long a wait of this clock's time really takes.
    pub fn real(&self, wait: Duration) -> Duration {
        match self.kind {
            Kind::System(_) => wait,
            Kind::Simulated { rate, .. } => wait.div_f64(rate),
        }
    }

    /// How long it really takes until this clock shows `at`; zero when it has passed.
    pub fn real_until(&self, at: UtcMs) -> Duration {
        let ms = u64::try_from(at.0.saturating_sub(self.now().0)).unwrap_or(0);
        self.real(Duration::from_millis(ms))
    }

    /// Waits, for tasks.
    #[expect(clippy::disallowed_methods, reason = "this is the one way to wait")]
    pub async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(self.real(wait)).await;
    }

    /// Waits until this clock shows `at`, for tasks.
    #[expect(clippy::disallowed_methods, reason = "this is the one way to wait")]
    pub async fn sleep_until(&self, at: UtcMs) {
        tokio::time::sleep(self.real_until(at)).await;
    }

    /// Waits, for threads.
    #[expect(clippy::disallowed_methods, reason = "this is the one way to wait")]
    pub fn block(&self, wait: Duration) {
        std::thread::sleep(self.real(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_halves_the_pace_until_the_wall_has_caught_up() {
        let (_, t0) = wall_and_monotonic();
        let after = |s: u64| t0 + Duration::from_secs(s);
        let mut stamps = Stamps {
            last: UtcMs(100_000),
            at: t0,
        };
        // set back by 8 s after 2 s: the wall shows 94 s and runs on
        let shown: Vec<i64> = (2..=20)
            .map(|s| {
                stamps
                    .next(UtcMs(92_000 + i64::try_from(s).unwrap() * 1_000), after(s))
                    .0
            })
            .collect();
        assert!(shown.is_sorted(), "{shown:?}");
        assert_eq!(shown[0], 101_000);
        assert_eq!(*shown.last().unwrap(), 112_000, "caught up");
        // set forward: followed at once
        assert_eq!(stamps.next(UtcMs(500_000), after(21)), UtcMs(500_000));
    }

    #[test]
    fn the_argument_reads_back() {
        let time: SimulatedTime = "2026-11-23T14:00:00Z@60".parse().unwrap();
        assert_eq!(time, time.to_string().parse().unwrap());
        for wrong in [
            "",
            "2026-11-23T14:00:00Z",
            "2026-11-23T14:00:00Z@0",
            "x@1",
            "@5",
        ] {
            assert!(wrong.parse::<SimulatedTime>().is_err(), "{wrong}");
        }
    }
}
