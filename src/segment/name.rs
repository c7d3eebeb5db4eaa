//! `1_sample_20261123T1405Z_3fa9c01b_000`: server, stream, UTC minute, run, part. If a stream has partitions, each
//! with a connection of its own, the partition follows the stream: `1_firehose.07_20261123T1405Z_3fa9c01b_000`.
//!
//! Names come from outside (delivered files), so a name is read as strictly as it is written:
//! what does not read back to the same text is not a name.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

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
    /// Not the name of a leg.
    #[error(
        "{0:?} is not the name of a leg: a server's id, and where the stream has partitions a dot and two digits (example: 1.07)"
    )]
    Leg(String),
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

/// One of the parts into which a platform divides a stream, counted from 1. As text it has two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Partition(u8);

impl Partition {
    /// More than these no name has room for.
    pub const MAX: u8 = 99;

    /// The partition of that number, if there can be one.
    pub fn new(number: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Several of them, ascending, in words: `partition 7`, `partitions 1-3, 7`.
    pub fn words(of: &[Self]) -> String {
        let runs = of.chunk_by(|a, b| a.0 + 1 == b.0);
        let runs: Vec<String> = runs
            .filter_map(|run| match run {
                [one] => Some(one.0.to_string()),
                [first, .., last] => Some(format!("{}-{}", first.0, last.0)),
                [] => None,
            })
            .collect();
        let noun = if of.len() == 1 {
            "partition"
        } else {
            "partitions"
        };
        format!("{noun} {}", runs.join(", "))
    }

    /// Two digits, and nothing else.
    fn of_digits(text: &str) -> Option<Self> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then_some(())?;
        Self::new(text.parse().ok()?)
    }
}

impl TryFrom<u8> for Partition {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| {
            format!(
                "{number} is not a partition: they are numbered from 1 to {}",
                Self::MAX
            )
        })
    }
}

impl From<Partition> for u8 {
    fn from(partition: Partition) -> Self {
        partition.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// One connection's worth of a stream: a server, and, where the stream comes in partitions, one of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Who receives it.
    pub server: ServerId,
    /// Which part of the stream; `None` where it has no parts.
    pub partition: Option<Partition>,
}

impl Leg {
    /// The leg of a stream without partitions.
    pub const fn whole(server: ServerId) -> Self {
        Self {
            server,
            partition: None,
        }
    }
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition {
            None => f.pad(self.server.as_str()),
            Some(partition) => f.pad(&format!("{}.{partition}", self.server)),
        }
    }
}

impl FromStr for Leg {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((server, partition)) = text.split_once('.') else {
            return Ok(Self::whole(text.parse()?));
        };
        let partition = Partition::of_digits(partition);
        Ok(Self {
            server: server.parse()?,
            partition: Some(partition.ok_or_else(|| NameError::Leg(text.to_owned()))?),
        })
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
    /// Which part of it, if it has any.
    pub partition: Option<Partition>,
    /// The UTC minute of arrival.
    pub minute: Minute,
    /// Which run of the collector.
    pub run: RunId,
    /// 0 to 999: a new one when the same run opens the same minute again.
    pub part: u16,
}

impl SegmentName {
    /// The leg that it came over.
    pub fn leg(&self) -> Leg {
        Leg {
            server: self.server.clone(),
            partition: self.partition,
        }
    }

    /// Whether it came over that leg.
    pub fn is_of(&self, leg: &Leg) -> bool {
        self.server == leg.server && self.partition == leg.partition
    }

    /// The name at the beginning of a file's, and what follows it behind a dot.
    pub fn of_file(file: &str) -> Option<(Self, &str)> {
        // a partition has a dot before it too: a suffix follows the last part of the name
        let (last, _) = file.match_indices('_').nth(3)?;
        let dot = last + file.get(last..)?.find('.')?;
        let (name, ending) = (file.get(..dot)?, file.get(dot + 1..)?);
        Some((name.parse().ok()?, ending))
    }

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
            partition,
            minute,
            run,
            part,
        } = self;
        write!(f, "{server}_{stream}")?;
        if let Some(partition) = partition {
            write!(f, ".{partition}")?;
        }
        write!(f, "_{}_{run}_{part:03}", minute.compact())
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
        let (stream, partition) = match stream.split_once('.') {
            None => (stream, None),
            Some((stream, partition)) => {
                let partition = Partition::of_digits(partition).ok_or_else(wrong)?;
                (stream, Some(partition))
            }
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
            partition,
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

serde_as_text!(ServerId, RunId, Leg, SegmentName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_in_words_are_as_few_ranges_as_there_are() {
        let named = |numbers: &[u8]| {
            let named = numbers.iter().filter_map(|number| Partition::new(*number));
            Partition::words(&named.collect::<Vec<_>>())
        };
        assert_eq!(named(&[7]), "partition 7");
        assert_eq!(named(&[1, 2, 3, 7, 9, 10]), "partitions 1-3, 7, 9-10");
    }

    #[test]
    fn a_partition_stands_behind_the_stream() {
        let text = "1_firehose.07_20261123T1405Z_3fa9c01b_000";
        let name: SegmentName = text.parse().unwrap();
        assert_eq!(name.to_string(), text);
        assert_eq!(
            (name.stream.as_str(), name.leg().to_string()),
            ("firehose", "1.07".to_owned())
        );
        assert_eq!("1.07".parse(), Ok(name.leg()));
        assert_eq!("1".parse(), Ok(Leg::whole(name.server.clone())));
        for file in ["jsonl", "events.jsonl.open", "seal.json"] {
            let of_file = format!("{text}.{file}");
            let found = SegmentName::of_file(&of_file);
            assert_eq!(found, Some((name.clone(), file)));
        }
        assert_eq!(SegmentName::of_file(text), None);
        for wrong in [
            "firehose.7",
            "firehose.007",
            "firehose.00",
            "firehose.+7",
            "firehose.",
            ".07",
            "a.07.08",
        ] {
            let wrong = text.replace("firehose.07", wrong);
            assert!(wrong.parse::<SegmentName>().is_err(), "{wrong}");
        }
        for wrong in ["", "1.", "1.7", "1.007", "1.00", ".07", "1.07.08", "A.07"] {
            assert!(wrong.parse::<Leg>().is_err(), "{wrong}");
        }
    }

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
