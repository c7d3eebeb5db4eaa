//! `<vault>/witness/`: what an authority of time-stamping (RFC 3161) has stamped of the ledger.
//!
//! ```text
//! witness/ledger_000123_20261124T140509Z.tsr     an answer: the hash of the ledger's line 123 at that time
//! witness/authority_3f9a0c41b2d7e865.pem         the certificates by which it was accepted
//! ```
//!
//! Each line of the ledger has the hash of the one before, so a stamp of one line is one of all before it, and of
//! every manifest that they name. A stamp proves that these were there at its time; it says nothing of what came
//! later. Only the root certificate tells who made it: the one here was put here by the makers of the archive.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::ledger::{self, Committed, LedgerLine};
use crate::{
    period::UtcMs,
    segment::sha256::Sha256,
    stamp::{
        request::Hash,
        token::{ANSWER_BYTES_MAX, NoToken, Token},
        trust::{NotTrusted, Trust},
    },
    world::disk::{self, Disk},
};

/// An authority has two or three certificates.
const AUTHORITY_BYTES_MAX: u64 = 1 << 20;

/// What the name of a stamp tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StampName {
    /// When: a whole second.
    pub second: i64,
    /// The number of the ledger's line that was stamped, from 1: so many lines are witnessed.
    pub line: u64,
}

impl fmt::Display for StampName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = UtcMs(self.second.saturating_mul(1_000)).to_string();
        let (time, _ms) = time.split_once('.').unwrap_or((&time, ""));
        let time = time.replace(['-', ':'], "");
        write!(f, "ledger_{:06}_{time}Z.tsr", self.line)
    }
}

/// A text that is not the name of a file in `witness/`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it is not the name of a file of a witness")]
pub struct NotAName;

impl FromStr for StampName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let read = || {
            let rest = text.strip_prefix("ledger_")?.strip_suffix("Z.tsr")?;
            let (line, time) = rest.split_once('_')?;
            let (date, time) = time.split_once('T')?;
            let part = |text: &'static str, of: &str, from: usize| {
                Some(format!("{text}{}", of.get(from..from + 2)?))
            };
            let at = [
                date.get(..4)?.to_owned(),
                part("-", date, 4)?,
                part("-", date, 6)?,
                part("T", time, 0)?,
                part(":", time, 2)?,
                part(":", time, 4)?,
            ];
            let at: UtcMs = format!("{}Z", at.concat()).parse().ok()?;
            let name = Self {
                second: at.second(),
                line: line.parse().ok()?,
            };
            (0 < name.line && name.to_string() == text).then_some(name)
        };
        read().ok_or(NotAName)
    }
}

/// What the name of an authority's certificates tells: the begin of their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityName(u64);

impl AuthorityName {
    /// The name under which certificates are kept.
    pub fn of(trust: &Trust) -> Self {
        Self(Sha256::of(trust.to_pem().as_bytes()).begin())
    }
}

impl fmt::Display for AuthorityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "authority_{:016x}.pem", self.0)
    }
}

impl FromStr for AuthorityName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let begin = text.strip_prefix("authority_");
        let begin = begin.and_then(|rest| rest.strip_suffix(".pem"));
        let name = begin.and_then(|begin| u64::from_str_radix(begin, 16).ok().map(Self));
        name.filter(|name| name.to_string() == text).ok_or(NotAName)
    }
}

/// Where they lie.
pub fn folder(vault: &Path) -> PathBuf {
    vault.join("witness")
}

/// A stamp that holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WitnessStamp {
    /// Its file's name.
    pub name: String,
    /// The ledger's line that it stamps, with all before it.
    pub line: u64,
    /// When.
    pub time: UtcMs,
    /// By whom, as the certificate of the signer says.
    pub authority: String,
}

/// Why a stamp does not hold.
#[derive(Debug, thiserror::Error)]
pub enum NotStamped {
    /// Its file.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The ledger here is shorter.
    #[error("the ledger here has no line {0}")]
    NoLine(u64),
    /// No trusted certificate is known.
    #[error("there is no authority's certificate to check it with")]
    NoAuthority,
    /// It is not an answer of an authority.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// It tells another time than its name.
    #[error("its name has another time; it was stamped at {0}")]
    OtherName(UtcMs),
}

/// Why the certificates of an authority are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum NotAuthority {
    /// Their file.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// They are none.
    #[error(transparent)]
    NotTrusted(#[from] NotTrusted),
    /// It has other bytes than were kept under this name.
    #[error("its name does not match its content")]
    OtherName,
}

/// The witness's folder of a vault, or of a copy, and the lines of the ledger.
#[derive(Debug, Default)]
pub struct Witness {
    root: PathBuf,
    /// The stamps by their names, the oldest first.
    pub stamps: Vec<StampName>,
    /// The authorities by their names.
    pub authorities: Vec<AuthorityName>,
    /// Names of files that belong to nothing.
    pub unknown: Vec<String>,
    /// The certificates that count: those given by the user, or else those in the folder.
    pub trusted: Vec<Trust>,
    /// Each line of the ledger with its hash.
    lines: Vec<(Option<LedgerLine>, Hash)>,
}

impl Witness {
    /// The names of the stamps of a vault, the oldest first.
    pub fn names(disk: &dyn Disk, vault: &Path) -> io::Result<Vec<StampName>> {
        let entries = disk.list(&folder(vault))?;
        let names = entries.iter().filter_map(|entry| entry.name.parse().ok());
        let mut names: Vec<StampName> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Looks. Without `given`, the certificates that lie beside the stamps are trusted.
    pub fn open(disk: &dyn Disk, root: &Path, given: Option<&Trust>) -> io::Result<Self> {
        let mut found = Self {
            root: root.to_owned(),
            ..Self::default()
        };
        for entry in disk.list(&folder(root))? {
            match (
                StampName::from_str(&entry.name),
                AuthorityName::from_str(&entry.name),
            ) {
                (Ok(name), _) => found.stamps.push(name),
                (_, Ok(name)) => found.authorities.push(name),
                (Err(_), Err(_)) => found.unknown.push(entry.name),
            }
        }
        found.stamps.sort();
        if found.stamps.is_empty() {
            return Ok(found);
        }
        let kept = found.authorities.iter();
        let kept = kept.filter_map(|name| authority(disk, root, *name).ok());
        found.trusted = given.map_or_else(|| kept.collect(), |trust| vec![trust.clone()]);
        let hash = |line: &[u8]| {
            let known = serde_json::from_slice(line).ok();
            (known, Sha256::of(line).into())
        };
        found.lines = ledger::each_whole_line(disk, root, hash).map_err(io::Error::other)?;
        Ok(found)
    }

    /// A stamp, if it holds.
    pub fn stamp(&self, disk: &dyn Disk, name: StampName) -> Result<WitnessStamp, NotStamped> {
        let path = folder(&self.root).join(name.to_string());
        let bytes = disk::read_bounded(disk, &path, ANSWER_BYTES_MAX)?;
        let index = usize::try_from(name.line)
            .ok()
            .and_then(|n| n.checked_sub(1));
        let line = index.and_then(|index| self.lines.get(index));
        let (_, hash) = line.ok_or(NotStamped::NoLine(name.line))?;
        let mut tried = Err(NotStamped::NoAuthority);
        for trust in &self.trusted {
            tried = Token::open(&bytes, trust).map_err(NotStamped::from);
            if tried.is_ok() {
                break;
            }
        }
        let token = tried?;
        token.check_hash(hash)?;
        if token.time.second() != name.second {
            return Err(NotStamped::OtherName(token.time));
        }
        Ok(WitnessStamp {
            name: name.to_string(),
            line: name.line,
            time: token.time,
            authority: token.authority,
        })
    }

    /// The number of the last of the lines about these revisions; `None` if there is none, or one of them
    /// is not in the ledger.
    pub fn line_of<'a>(&self, mut revisions: impl Iterator<Item = &'a Committed>) -> Option<u64> {
        revisions.try_fold(0, |last, of| {
            let mut lines = (1_u64..).zip(&self.lines);
            let is_it = |line: &LedgerLine| line.is_of(of);
            let found = lines.find(|(_, (line, _))| line.as_ref().is_some_and(is_it));
            found.map(|(number, _)| number.max(last))
        })
    }

    /// The stamp that says most of the first so many lines: the oldest of all of them, else the newest of some.
    pub fn up_to(&self, disk: &dyn Disk, lines: u64) -> Option<WitnessStamp> {
        let of_some = || {
            let mut newest = self.stamps.iter().rev();
            newest.find_map(|name| self.stamp(disk, *name).ok())
        };
        self.since(disk, lines).or_else(of_some)
    }

    /// The oldest stamp that holds of that line or a later one.
    pub fn since(&self, disk: &dyn Disk, line: u64) -> Option<WitnessStamp> {
        let covering = self.stamps.iter().filter(|name| line <= name.line);
        covering
            .copied()
            .find_map(|name| self.stamp(disk, name).ok())
    }
}

/// The certificates of an authority that lie beside the stamps.
pub fn authority(disk: &dyn Disk, root: &Path, name: AuthorityName) -> Result<Trust, NotAuthority> {
    let path = folder(root).join(name.to_string());
    let bytes = disk::read_bounded(disk, &path, AUTHORITY_BYTES_MAX)?;
    let trust = Trust::from_pem(&bytes)?;
    if AuthorityName::of(&trust) == name && trust.to_pem().as_bytes() == bytes {
        Ok(trust)
    } else {
        Err(NotAuthority::OtherName)
    }
}

/// Keeps a stamp, and before it the certificates by which it was accepted.
pub fn keep(
    disk: &dyn Disk,
    vault: &Path,
    trust: &Trust,
    (name, answer): (StampName, &[u8]),
) -> io::Result<()> {
    let folder = folder(vault);
    disk.make_folder(&folder)?;
    let path = folder.join(AuthorityName::of(trust).to_string());
    if disk.len(&path)?.is_none() {
        disk::put(disk, &path, trust.to_pem().as_bytes())?;
    }
    disk::put(disk, &folder.join(name.to_string()), answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_no_other_text_is_one() {
        for (second, line) in [(0, 1), (1_795_961_109, 123), (253_402_207_199, 12_345_678)] {
            let name = StampName { second, line };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let name: StampName = "ledger_000123_20261124T140509Z.tsr".parse().unwrap();
        assert_eq!(name.line, 123);
        for wrong in [
            "ledger_123_20261124T140509Z.tsr",
            "ledger_000000_20261124T140509Z.tsr",
            "ledger_000123_20261324T140509Z.tsr",
            "ledger_000123_20261124T140509Z.tsr.tmp",
            "ledger_+00123_20261124T140509Z.tsr",
            "../ledger_000123_20261124T140509Z.tsr",
            "ledger_000123_é0261124T140509Z.tsr",
        ] {
            assert_eq!(wrong.parse::<StampName>(), Err(NotAName), "{wrong}");
        }
        assert!(
            "authority_00000000000000ff.pem"
                .parse::<AuthorityName>()
                .is_ok()
        );
        for wrong in ["authority_ff.pem", "authority_00000000000000FF.pem", "x"] {
            assert!(wrong.parse::<AuthorityName>().is_err(), "{wrong}");
        }
    }
}
