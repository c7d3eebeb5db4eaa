//! Which hours, or days, are one task's of several that divide them among themselves. Nothing depends on it but that they do
//! not do the same work.

use std::{fmt, str::FromStr};

/// More tasks than these have hardly an hour each.
const ALL_MAX: u32 = 10_000;

/// `I/N`: the I-th of N tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    number: u32,
    all: u32,
}

/// A text that is no share.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("write I/N: I from 1 to N, N at most {ALL_MAX}")]
pub struct NotAShare;

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let (number, all) = text.split_once('/').ok_or(NotAShare)?;
        let read = |text: &str| text.parse::<u32>().map_err(|_not_a_number| NotAShare);
        let (number, all) = (read(number)?, read(all)?);
        if (1..=all).contains(&number) && all <= ALL_MAX {
            Ok(Self { number, all })
        } else {
            Err(NotAShare)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.all)
    }
}

impl Share {
    /// Whether what has that label is this task's.
    pub fn has(self, label: &dyn fmt::Display) -> bool {
        crc32fast::hash(label.to_string().as_bytes()) % self.all == self.number - 1
    }

    /// Whether it is the first one, which does what is not divided.
    pub const fn is_first(self) -> bool {
        self.number == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Hour;

    #[test]
    fn each_hour_is_one_task_s_and_all_have_about_as_many() {
        for all in [1, 2, 3, 4, 7, 8, 24, 100] {
            let share = |number: u32| format!("{number}/{all}").parse::<Share>().unwrap();
            let mut counts = vec![0_u32; all as usize];
            let first: Hour = "2026-01-01_00".parse().unwrap();
            for hour in (first.0..first.0 + 24 * 365).map(Hour) {
                let whose: Vec<u32> = (1..=all).filter(|n| share(*n).has(&hour)).collect();
                let [one] = whose[..] else {
                    panic!("{hour}: {whose:?}")
                };
                counts[one as usize - 1] += 1;
            }
            let mean = 24 * 365 / all;
            assert!(
                counts
                    .iter()
                    .all(|count| mean * 2 / 3 <= *count && *count <= mean * 4 / 3 + 1),
                "{all}: {counts:?}"
            );
        }
        for wrong in [
            "", "1", "0/2", "3/2", "1/0", "1/10001", "-1/2", "1/2/3", "a/b",
        ] {
            assert_eq!(wrong.parse::<Share>(), Err(NotAShare), "{wrong}");
        }
    }
}
