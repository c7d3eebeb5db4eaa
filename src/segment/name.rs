//! `1_sample_20261123T1405Z_3fa9c01b_000`: server, stream, UTC minute, run, part.
//!
//! Names come from outside (delivered files), so a name is read as strictly as it is written:
//! what does not read back to the same text is not a name.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::period::Minute;

/// 1 to 16 of `a-z 0-9 -`, compared as bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(String);

/// A text that is not a server's id, or not a segment's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Not a server's id.
    #[error("{0:?} is not a server id: it takes 1 to 16 of the characters a-z, 0-9 and -")]
    ServerId(String),
    /// Not a run id.
    #[error("{0:?} is not a run id of 8 hex digits")]
    RunId(String),
    /// Not a segment's name.
    #[error("{0:?} is not a segment name (example: 1_sample_20261123T1405Z_3fa9c01b_000)")]
    Segment(String),
}

impl ServerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=16).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::ServerId(text.to_owned()))
        }
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Drawn when a run begins, so that a rebuilt server or a clock that steps back never uses a name twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match u32::from_str_radix(text, 16) {
            Ok(run) if Self(run).to_string() == text => Ok(Self(run)),
            _ => Err(NameError::RunId(text.to_owned())),
        }
    }
}

/// What the names of a segment, its events file and its seal share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// Who received it.
    pub server: ServerId,
    /// Which stream: lower-case letters and digits.
    pub stream: String,
    /// The UTC minute of arrival.
    pub minute: Minute,
    /// Which run of the collector.
    pub run: RunId,
    /// 0 to 999: a new one when the same run opens the same minute again.
    pub part: u16,
}

impl SegmentName {
    /// `<server>/<YYYY-MM-DD>/<HH>` below the spool.
    pub fn folder(&self) -> PathBuf {
        Path::new(self.server.as_str())
            .join(self.minute.day_folder())
            .join(self.minute.hour_folder())
    }

    /// The segment, its events file and its seal below a spool.
    pub fn paths(&self, spool: &Path) -> Paths {
        let folder = spool.join(self.folder());
        Paths {
            segment: folder.join(format!("{self}.jsonl")),
            events: folder.join(format!("{self}.events.jsonl")),
            seal: folder.join(format!("{self}.seal.json")),
            folder,
        }
    }
}

/// Where the three files of a segment lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The folder of all three.
    pub folder: PathBuf,
    /// `….jsonl`
    pub segment: PathBuf,
    /// `….events.jsonl`
    pub events: PathBuf,
    /// `….seal.json`
    pub seal: PathBuf,
}

/// The name a file has while it is being written: `….open`.
pub fn open(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".open");
    PathBuf::from(name)
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            server,
            stream,
            minute,
            run,
            part,
        } = self;
        write!(f, "{server}_{stream}_{}_{run}_{part:03}", minute.compact())
    }
}

impl FromStr for SegmentName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::Segment(text.to_owned());
        let parts: Vec<&str> = text.split('_').collect();
        let &[server, stream, minute, run, part] = parts.as_slice() else {
            return Err(wrong());
        };
        let stream_is_plain = !stream.is_empty()
            && stream.len() <= 32
            && stream
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let read = (
            server.parse(),
            Minute::from_compact(minute),
            run.parse(),
            part.parse(),
        );
        let (Ok(server), Ok(minute), Ok(run), Ok(part)) = read else {
            return Err(wrong());
        };
        let name = Self {
            server,
            stream: stream.to_owned(),
            minute,
            run,
            part,
        };
        if stream_is_plain && part < 1_000 && name.to_string() == text {
            Ok(name)
        } else {
            Err(wrong())
        }
    }
}

serde_as_text!(ServerId, RunId, SegmentName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_is_one() {
        let text = "1_sample_20261123T1405Z_3fa9c01b_000";
        let name: SegmentName = text.parse().unwrap();
        assert_eq!(name.to_string(), text);
        assert_eq!(name.folder(), Path::new("1/2026-11-23/14"));
        for wrong in [
            "",
            "1_sample_20261123T1405Z_3fa9c01b",
            "1_sample_20261123T1405Z_3FA9C01B_000",
            "1_sample_20261123T1405Z_3fa9c01b_0",
            "1_sample_20261123T1405Z_3fa9c01b_+00",
            "1_sample_20261123T1405Z_3fa9c01b_1000",
            "../x_sample_20261123T1405Z_3fa9c01b_000",
            "1_../x_20261123T1405Z_3fa9c01b_000",
            "1_sample_20261199T1405Z_3fa9c01b_000",
            "A_sample_20261123T1405Z_3fa9c01b_000",
        ] {
            assert_eq!(
                wrong.parse::<SegmentName>(),
                Err(NameError::Segment(wrong.to_owned()))
            );
        }
    }
}
