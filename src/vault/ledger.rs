//! `ledger.jsonl`: one line for each committed revision, each with the hash of the line before.
//!
//! `{"hour":"2026-11-23_14","revision":1,"manifest_sha256":"…","previous":"…"}`; `previous` is the
//! SHA-256 of the line before without its LF, and 64 zeros in the first line. Append-only. Only a
//! torn last line may ever be cut off: it is an append that did not happen.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    period::Hour,
    segment::{
        seal::{Digest, Digester},
        sha256::Sha256,
    },
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Ten years of hours with a few revisions each have some 50 MiB.
pub const LEDGER_BYTES_MAX: u64 = 1 << 30;

/// A line has some 220 bytes; a longer one is not a ledger's.
const LINE_BYTES_MAX: u64 = 4_096;

/// One committed revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// The hour.
    pub hour: Hour,
    /// The revision.
    pub revision: u64,
    /// SHA-256 of its manifest's bytes.
    pub manifest_sha256: Sha256,
    /// SHA-256 of the line before.
    pub previous: Sha256,
}

/// What a line says of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The hour.
    pub hour: Hour,
    /// 1, 2, 3 …
    pub revision: u64,
    /// SHA-256 of its manifest.
    pub manifest_sha256: Sha256,
}

impl LedgerLine {
    /// Whether it is the line of that revision.
    pub fn is_of(&self, of: &Committed) -> bool {
        (self.hour, self.revision, self.manifest_sha256)
            == (of.hour, of.revision, of.manifest_sha256)
    }
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A whole line that is not a ledger's.
    #[error("{}:{line}: it is not a line of a ledger: {why}", path.display())]
    Line {
        /// Which.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

/// The ledger of a vault.
pub fn path(vault: &Path) -> PathBuf {
    vault.join("ledger.jsonl")
}

/// All whole lines; a torn last one is left out. The chain is not checked.
pub fn read(disk: &dyn Disk, vault: &Path) -> Result<Vec<LedgerLine>, LedgerError> {
    let mut lines = Vec::new();
    each(disk, &path(vault), |line| {
        lines.push(parse(line)?);
        Ok(())
    })?;
    Ok(lines)
}

/// Hands over each of them in turn. Gives what all of them together are.
pub fn each_line(
    disk: &dyn Disk,
    vault: &Path,
    mut take: impl FnMut(LedgerLine),
) -> Result<Digest, LedgerError> {
    let mut digester = Digester::default();
    each(disk, &path(vault), |line| {
        take(parse(line)?);
        digester.update(line);
        digester.update(b"\n");
        Ok(())
    })?;
    Ok(digester.finish())
}

/// The bytes of all whole lines.
pub fn whole(disk: &dyn Disk, vault: &Path) -> Result<Vec<u8>, ErrorAt> {
    let mut text = bytes(disk, &path(vault))?;
    text.truncate(whole_lines(&text).len());
    Ok(text)
}

/// A line without its LF; an error says what is wrong with it.
fn parse(line: &[u8]) -> Result<LedgerLine, String> {
    serde_json::from_slice(line).map_err(|why| why.to_string())
}

/// SHA-256 of the last of the first lines of a ledger, the whole of which is `whole`: what the line after
/// names. 64 zeros if there is none.
pub fn head_of(first: &[LedgerLine], whole: &[LedgerLine]) -> Sha256 {
    let next = whole.get(first.len()).map(|line| line.previous);
    let last = || first.last()?.to_json().ok().map(|json| Sha256::of(&json));
    next.or_else(last).unwrap_or(Sha256::ZEROS)
}

impl LedgerLine {
    /// From its bytes; an error says why not.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let line = parse(bytes)?;
        match line.to_bytes() {
            Ok(same) if same == bytes => Ok(line),
            _ => Err("it is not written as this program writes it".to_owned()),
        }
    }

    /// Its one form, with the LF.
    pub fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = self.to_json()?;
        json.push(b'\n');
        Ok(json)
    }

    /// What the line after names.
    pub fn hash(&self) -> serde_json::Result<Sha256> {
        Ok(Sha256::of(&self.to_json()?))
    }

    /// Its one form, without the LF.
    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

/// The lines of bytes that end with a line end, without their line ends.
fn lines_of(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    whole
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// The bytes up to the last line end.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'\n', text).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// Hands over each whole line without its LF, and stops at the first that is refused. Gives how many bytes they have, and whether
/// a torn one follows. Ten years of lines are never in memory at once.
fn each(
    disk: &dyn Disk,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(u64, bool), LedgerError> {
    let (mut bytes, mut number, mut is_torn, mut refused) = (0, 0, false, None);
    let read = disk::each_line(disk, path, LINE_BYTES_MAX, |line| {
        if refused.is_some() {
            return;
        }
        let taken = match line.strip_suffix(b"\n") {
            None => {
                is_torn = true;
                return;
            }
            // only the last one may have no end
            Some(_) if is_torn => Err("it is too long".to_owned()),
            Some(_) if LEDGER_BYTES_MAX < bytes + line.len() as u64 => Err(format!(
                "a ledger has no more than {LEDGER_BYTES_MAX} bytes"
            )),
            Some(whole) => take(whole),
        };
        match taken {
            Ok(()) => (bytes, number) = (bytes + line.len() as u64, number + 1),
            Err(why) => refused = Some(why),
        }
    });
    read.at(path)?;
    match refused {
        None => Ok((bytes, is_torn)),
        Some(why) => Err(LedgerError::Line {
            path: path.to_owned(),
            line: number + 1,
            why,
        }),
    }
}

fn bytes(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, ErrorAt> {
    match disk.len(path).at(path)? {
        None => Ok(Vec::new()),
        Some(_) => disk::read_bounded(disk, path, LEDGER_BYTES_MAX).at(path),
    }
}

/// The ledger during a merge: its lines, and the hash that the next line needs.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    /// The latest revision of each hour.
    latest: BTreeMap<Hour, u64>,
    previous: Sha256,
}

impl Ledger {
    /// Opens it to append. A torn last line is cut off.
    pub fn open(disk: &dyn Disk, vault: &Path) -> Result<Self, LedgerError> {
        let path = path(vault);
        let mut latest = BTreeMap::new();
        let mut last = Vec::new();
        let (whole, is_torn) = each(disk, &path, |line| {
            let says = parse(line)?;
            let revision = latest.entry(says.hour).or_insert(0);
            *revision = says.revision.max(*revision);
            last.clear();
            last.extend_from_slice(line);
            Ok(())
        })?;
        if is_torn {
            let mut file = disk.append(&path).at(&path)?;
            file.cut(whole).at(&path)?;
            file.sync().at(&path)?;
        }
        let previous = hash_of_last(&last);
        Ok(Self {
            path,
            latest,
            previous,
        })
    }

    /// The hours, and the latest revision of each.
    pub fn hours(&self) -> impl Iterator<Item = (Hour, u64)> {
        self.latest
            .iter()
            .map(|(hour, revision)| (*hour, *revision))
    }

    /// The latest revision of an hour; 0 if there is none.
    pub fn revision(&self, hour: Hour) -> u64 {
        self.latest.get(&hour).copied().unwrap_or(0)
    }

    /// Appends a revision, durably.
    pub fn append(
        &mut self,
        disk: &dyn Disk,
        hour: Hour,
        revision: u64,
        manifest: &[u8],
    ) -> Result<(), LedgerError> {
        assert!(
            self.revision(hour) < revision,
            "the ledger has revision {} of hour {hour} and is to get {revision}",
            self.revision(hour)
        );
        let previous = self.previous;
        let line = LedgerLine {
            hour,
            revision,
            manifest_sha256: Sha256::of(manifest),
            previous,
        };
        let mut json = line.to_json().map_err(io::Error::from).at(&self.path)?;
        let hash = Sha256::of(&json);
        json.push(b'\n');
        let before = disk.len(&self.path).at(&self.path)?.unwrap_or(0);
        let mut file = disk.append(&self.path).at(&self.path)?;
        if let Err(source) = file.write_all(&json).and_then(|()| file.sync()) {
            // a half-written line must not be appended to
            file.cut(before).at(&self.path)?;
            return Err(ErrorAt::new(&self.path, source).into());
        }
        disk.sync_folder(self.path.parent().unwrap_or(Path::new(".")))
            .at(&self.path)?;
        self.previous = hash;
        self.latest.insert(hour, revision);
        Ok(())
    }
}

/// Where the chain breaks: the numbers (from 1) of lines that do not have the hash of the line before,
/// or are not written as this program writes them (nothing comes after the last line to tell).
pub fn breaks(disk: &dyn Disk, vault: &Path) -> Result<Vec<usize>, LedgerError> {
    Ok(breaks_in(&bytes(disk, &path(vault))?))
}

/// The same of a ledger's bytes.
pub fn breaks_in(text: &[u8]) -> Vec<usize> {
    let mut previous = Sha256::ZEROS;
    let mut broken = Vec::new();
    for (index, line) in lines_of(whole_lines(text)).enumerate() {
        let holds = |says: &LedgerLine| {
            says.previous == previous && says.to_json().is_ok_and(|json| json == line)
        };
        if !serde_json::from_slice::<LedgerLine>(line).is_ok_and(|says| holds(&says)) {
            broken.push(index + 1);
        }
        previous = Sha256::of(line);
    }
    broken
}

/// The SHA-256 of the last whole line without its LF: the `previous` of the next one. 64 zeros if there
/// is none.
pub fn head(disk: &dyn Disk, vault: &Path) -> Result<Sha256, LedgerError> {
    let text = bytes(disk, &path(vault))?;
    Ok(hash_of_last(whole_lines(&text)))
}

fn hash_of_last(whole: &[u8]) -> Sha256 {
    lines_of(whole).last().map_or(Sha256::ZEROS, Sha256::of)
}

/// Parses each whole line without its LF, valid or not.
pub fn each_whole_line<T>(
    disk: &dyn Disk,
    vault: &Path,
    mut of: impl FnMut(&[u8]) -> T,
) -> Result<Vec<T>, LedgerError> {
    let mut found = Vec::new();
    each(disk, &path(vault), |line| {
        found.push(of(line));
        Ok(())
    })?;
    Ok(found)
}

/// Whether the last line is torn.
pub fn is_torn(disk: &dyn Disk, vault: &Path) -> Result<bool, LedgerError> {
    let (_, is_torn) = each(disk, &path(vault), |_| Ok(()))?;
    Ok(is_torn)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::world::disk::RealDisk;

    #[test]
    fn only_what_has_no_line_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let vault = dir.path();
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let open = || Ledger::open(&RealDisk, vault);
        let put = |text: &[u8]| disk::put(&RealDisk, &path(vault), text).unwrap();
        open().unwrap().append(&RealDisk, hour, 1, b"{}").unwrap();
        let whole = fs::read(path(vault)).unwrap();
        let long = usize::try_from(3 * LINE_BYTES_MAX).unwrap();
        // as a power cut may leave it
        put(&[&whole[..], &vec![0; long]].concat());
        assert!(is_torn(&RealDisk, vault).unwrap());
        let mut lines = 0;
        let digest = each_line(&RealDisk, vault, |_| lines += 1).unwrap();
        assert_eq!((lines, digest.sha256), (1, Sha256::of(&whole)));
        assert_eq!(super::whole(&RealDisk, vault).unwrap(), whole);
        assert_eq!(open().unwrap().revision(hour), 1);
        assert_eq!(fs::read(path(vault)).unwrap(), whole);
        // a whole line that is not a ledger's is for a person to look at, however long it is
        for foreign in ["x", &"x".repeat(long)] {
            let text = [&whole, foreign.as_bytes(), b"\n"].concat();
            put(&text);
            let why = open().unwrap_err().to_string();
            assert!(why.contains("ledger.jsonl:2: "), "{why}");
            assert_eq!(fs::read(path(vault)).unwrap(), text);
        }
    }

    #[test]
    fn the_latest_revision_is_the_greatest_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let hour: Hour = "2026-11-23_14".parse().unwrap();
        let line = |revision| LedgerLine {
            hour,
            revision,
            manifest_sha256: Sha256::ZEROS,
            previous: Sha256::ZEROS,
        };
        let text = [1, 3, 2].map(|revision| line(revision).to_bytes().unwrap());
        disk::put(&RealDisk, &path(dir.path()), &text.concat()).unwrap();
        let ledger = Ledger::open(&RealDisk, dir.path()).unwrap();
        assert_eq!(ledger.revision(hour), 3);
        assert!(ledger.hours().eq([(hour, 3)]));
    }
}
