//! Durations and sizes as they are written, with their unit: `"10m"`, `"1h30m"`, `"128MiB"`.

use std::time::Duration;

/// A text that is no duration or size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnitError {
    /// No number, no unit, or one that is not known.
    #[error("{text:?} is not {what}: write a number and a unit, for example {example}")]
    Form {
        /// What was written.
        text: String,
        /// What it should be.
        what: &'static str,
        /// How it is written.
        example: &'static str,
    },
}

/// Milliseconds in each unit of time.
const TIME_UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Bytes in each unit of size: binary ones with an i, decimal ones without.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads `"90s"` or `"1h30m"`.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let form = || UnitError::Form {
        text: text.to_owned(),
        what: "a duration",
        example: "\"10m\"",
    };
    sum(text, &TIME_UNITS)
        .map(Duration::from_millis)
        .ok_or_else(form)
}

/// Reads `"128MiB"`.
pub fn size(text: &str) -> Result<u64, UnitError> {
    let form = || UnitError::Form {
        text: text.to_owned(),
        what: "a size",
        example: "\"128MiB\"",
    };
    sum(text, &SIZE_UNITS).ok_or_else(form)
}

fn sum(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        let Ok(number) = number.parse::<u64>() else {
            return None;
        };
        total = total.checked_add(number.checked_mul(*factor)?)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_needs_its_unit() {
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(size("128MiB"), Ok(128 << 20));
        assert_eq!(size("500MB"), Ok(500_000_000));
        for wrong in [
            "",
            "10",
            "m",
            "10 m",
            "-1s",
            "1.5h",
            "10x",
            "99999999999999999999s",
            "1٣s",
        ] {
            assert_eq!(
                duration(wrong).unwrap_err().to_string(),
                format!(
                    "{wrong:?} is not a duration: write a number and a unit, for example \"10m\""
                )
            );
        }
        for wrong in ["", "10", "10mib", "10 MiB", "99999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
