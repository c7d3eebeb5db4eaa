//! Simulated time that passes no faster than this machine can follow.

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// How much slower it passes in the second attempt.
const SLOWER: i32 = 5;

/// Runs a test in which so many simulated seconds pass in one. Processes that have to wait for a processor
/// stand still while that time goes on, and the faults of the simulated world with it: whoever is red then is asked again at a slower
/// pace, at which such a wait is short. What is wrong is wrong at any pace, and red at both.
pub(crate) fn at_pace(rate: i32, test: impl Fn(i32)) {
    if catch_unwind(AssertUnwindSafe(|| test(rate))).is_err() {
        let slower = (rate / SLOWER).max(1);
        let told = format!("red at {rate} simulated seconds a second: again at {slower}\n");
        std::io::stderr().write_all(told.as_bytes()).unwrap();
        test(slower);
    }
}
