//! Where in which store: `s3://bucket/prefix`.

use std::fmt;

use crate::place::store::Key;

/// A prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    bucket: String,
    prefix: Key,
}

/// What stands before one.
pub const SCHEME: &str = "s3://";

impl Address {
    /// `bucket/prefix`: what follows `s3://`.
    pub fn new(rest: &str) -> Result<Self, &'static str> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let has_ends = |text: &str| {
            let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            text.starts_with(is_end) && text.ends_with(is_end)
        };
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_plain) || !has_ends(bucket) {
            return Err("the bucket takes 3 to 63 lower-case letters, digits and . -");
        }
        if bucket.contains("..") {
            return Err("the bucket may not have two dots together");
        }
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Err("the folder in the bucket is missing");
        }
        match Key::try_from(prefix.to_owned()) {
            Ok(prefix) if prefix.as_str().len() <= 200 => Ok(Self {
                bucket: bucket.to_owned(),
                prefix,
            }),
            _ => Err("the folder in the bucket may have only letters, digits and . _ - = /"),
        }
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether one of two is inside the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let inside = |inner: &Self, outer: &Self| {
            inner.bucket == outer.bucket
                && format!("{}/", inner.prefix).starts_with(&format!("{}/", outer.prefix))
        };
        inside(self, other) || inside(other, self)
    }

    /// A key as the store has it.
    pub fn object(&self, key: &str) -> String {
        format!("{}/{key}", self.prefix)
    }

    /// The key of an object, if it is in this place.
    pub fn key<'o>(&self, object: &'o str) -> Option<&'o str> {
        object.strip_prefix(self.prefix.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_folder_in_it() {
        let address = Address::new("archive/x/spool/").unwrap();
        assert_eq!(address.to_string(), "s3://archive/x/spool");
        assert_eq!(address.object("2/a"), "x/spool/2/a");
        assert_eq!(address.key("x/spool/2/a"), Some("2/a"));
        assert_eq!(address.key("x/spool2/a"), None);
        for wrong in [
            "",
            "ab/c",
            "archive",
            "archive/",
            "Archive/a",
            "-abc/a",
            "a..b/c",
            "archive/a//b",
            "archive/../b",
            "user@archive/a",
            "archive/a?b",
        ] {
            assert!(Address::new(wrong).is_err(), "{wrong}");
        }
    }
}
