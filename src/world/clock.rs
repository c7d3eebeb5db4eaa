//! The one reader of the system's clocks, and the only way to wait.
//!
//! A machine's clock can be wrong and can be set at any moment, so there are two times. `now` is the machine's:
//! it runs with the boot clock (which goes on while the machine sleeps) and follows the machine's clock when that
//! has been set by more than a second, which is a step. `steady` never steps: waits, limits and distances go by it.
//! With `--clock START@RATE` every instant is START + RATE × elapsed and every wait is shorter by RATE; there is
//! no second way to fake time.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use crate::period::{UtcMs, ms};

/// The machine's clock was set if it is off by more than this from what the boot clock makes of it.
const STEP_MS: i64 = 1_000;

/// The two clocks are read one after the other; if more time passed between, they are read again.
const APART_MS: i64 = 20;

/// Tells the time and waits. Clones share their state: all of them see a step at the same moment.
#[derive(Debug, Clone)]
pub struct Clock {
    kind: ClockKind,
}

#[derive(Debug, Clone)]
enum ClockKind {
    System(Arc<Mutex<Anchor>>),
    Simulated {
        start: UtcMs,
        rate: f64,
        began: Instant,
    },
}

/// The times of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The machine's time.
    pub now: UtcMs,
    /// The time that never steps: that of the first reading plus what has passed since.
    pub steady: UtcMs,
    /// How often the machine's clock has been set since the first reading.
    pub steps: u64,
    /// By how much in all: `now` minus `steady`.
    pub stepped_ms: i64,
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

/// An instant on both clocks, from which the machine's time is told.
#[derive(Debug)]
struct Anchor {
    wall: UtcMs,
    boot_ms: i64,
    steps: u64,
    stepped_ms: i64,
}

impl Anchor {
    const fn new((wall, boot_ms): (UtcMs, i64)) -> Self {
        Self {
            wall,
            boot_ms,
            steps: 0,
            stepped_ms: 0,
        }
    }

    /// What the two clocks say together.
    fn read(&mut self, (wall, boot_ms): (UtcMs, i64)) -> Reading {
        let mut now = self.wall.plus_ms(boot_ms - self.boot_ms);
        let off_ms = wall.0.saturating_sub(now.0);
        if STEP_MS < off_ms.saturating_abs() {
            (self.wall, self.boot_ms, now) = (wall, boot_ms, wall);
            self.steps += 1;
            self.stepped_ms += off_ms;
        }
        Reading {
            now,
            steady: now.plus_ms(-self.stepped_ms),
            steps: self.steps,
            stepped_ms: self.stepped_ms,
        }
    }
}

/// The machine's clock and its boot clock, read at the same moment.
fn both() -> (UtcMs, i64) {
    loop {
        let before = boot_ms();
        let wall = wall();
        let after = boot_ms();
        if after - before <= APART_MS {
            return (wall, after);
        }
    }
}

fn boot_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000) + time.tv_nsec / 1_000_000
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the clocks"
)]
fn wall() -> UtcMs {
    UtcMs(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => ms(since),
        Err(before_1970) => -ms(before_1970.duration()),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the clocks"
)]
fn instant() -> Instant {
    Instant::now()
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self {
            kind: ClockKind::System(Arc::new(Mutex::new(Anchor::new(both())))),
        }
    }

    /// START + RATE × elapsed, from this moment on.
    pub fn simulated(time: SimulatedTime) -> Self {
        Self {
            kind: ClockKind::Simulated {
                start: time.start,
                rate: time.rate,
                began: instant(),
            },
        }
    }

    /// What `--clock` must say so that a process started at this moment shows this clock's time;
    /// `None` for the machine's clock, which needs no handing on.
    pub fn to_hand_on(&self) -> Option<SimulatedTime> {
        match self.kind {
            ClockKind::System(_) => None,
            ClockKind::Simulated { rate, .. } => Some(SimulatedTime {
                start: self.now(),
                rate,
            }),
        }
    }

    /// Both times, and how often they have come apart.
    pub fn read(&self) -> Reading {
        match &self.kind {
            ClockKind::System(anchor) => {
                let mut anchor = anchor.lock().unwrap_or_else(PoisonError::into_inner);
                anchor.read(both())
            }
            ClockKind::Simulated { start, rate, began } => {
                let elapsed_ms =
                    instant().saturating_duration_since(*began).as_secs_f64() * 1_000.0;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "saturates, and is far from it"
                )]
                let now = start.plus_ms((elapsed_ms * rate) as i64);
                Reading {
                    now,
                    steady: now,
                    steps: 0,
                    stepped_ms: 0,
                }
            }
        }
    }

    /// The machine's time: for stamps, schedules and whatever a person reads.
    pub fn now(&self) -> UtcMs {
        self.read().now
    }

    /// The time that never steps: for waits, limits and how long ago something was in this process.
    pub fn steady(&self) -> UtcMs {
        self.read().steady
    }

    /// How long a wait of this clock's time really takes.
    pub fn real(&self, wait: Duration) -> Duration {
        match self.kind {
            ClockKind::System(_) => wait,
            ClockKind::Simulated { rate, .. } => wait.div_f64(rate),
        }
    }

    /// How long it really takes until the steady time is `at`; zero when it has passed.
    pub fn real_until(&self, at: UtcMs) -> Duration {
        let ms = u64::try_from(at.0.saturating_sub(self.steady().0)).unwrap_or(0);
        self.real(Duration::from_millis(ms))
    }

    /// Waits, for tasks.
    #[expect(clippy::disallowed_methods, reason = "this is the one way to wait")]
    pub async fn sleep(&self, wait: Duration) {
        tokio::time::sleep(self.real(wait)).await;
    }

    /// Waits, but really no longer than `most`, for tasks.
    #[expect(clippy::disallowed_methods, reason = "this is the one way to wait")]
    pub async fn sleep_at_most(&self, wait: Duration, most: Duration) {
        tokio::time::sleep(self.real(wait).min(most)).await;
    }

    /// Waits until the steady time is `at`, for tasks.
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
    fn a_clock_that_is_set_is_followed_at_once_and_the_steady_time_goes_on() {
        let mut anchor = Anchor::new((UtcMs(100_000), 0));
        let mut read = |wall, boot_ms| {
            let reading = anchor.read((UtcMs(wall), boot_ms));
            (
                reading.now.0,
                reading.steady.0,
                reading.steps,
                reading.stepped_ms,
            )
        };
        assert_eq!(read(102_000, 2_000), (102_000, 102_000, 0, 0));
        // what is no step is not followed: it would run backwards
        assert_eq!(read(102_500, 3_000), (103_000, 103_000, 0, 0));
        assert_eq!(read(50_000, 4_000), (50_000, 104_000, 1, -54_000));
        assert_eq!(read(51_000, 5_000), (51_000, 105_000, 1, -54_000));
        assert_eq!(read(7_251_500, 5_500), (7_251_500, 105_500, 2, 7_146_000));
        // asleep for an hour: the boot clock goes on as well
        assert_eq!(
            read(10_851_500, 3_605_500),
            (10_851_500, 3_705_500, 2, 7_146_000)
        );
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
