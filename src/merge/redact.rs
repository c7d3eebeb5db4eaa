//! Takes posts out of raw data on request: the one exception to "nothing is deleted".
//!
//! ```text
//! the list grows, durably ─▶ every segment that may hold one of them loses its index ─▶ it is read anew
//!     ─▶ what it holds is noted in the list ─▶ segment and seal are written anew, aside
//!     ─▶ its name is noted in redaction.json ─▶ both are renamed into place ─▶ the note is removed
//! ```
//!
//! The list is decisive: whatever is interrupted, the next merge continues from it. Segments that arrive later are
//! compared with it when they are indexed, before any hour uses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    index::{Index, Indexes},
    note,
    runs::{RunKey, ToRedact},
};
use crate::{
    period::{Hour, Minute, UtcMs, Zone},
    place::{
        segments::{self, Elsewhere},
        store::{Created, Key as ObjectKey, Store, StoreError, create_of},
    },
    segment::{
        line,
        name::{Paths, SegmentName},
        raw::{self, Packer},
        seal::{Digest, Digester, Redacted, SEAL_BYTES_MAX, Seal, SealError, SecondsOf},
    },
    source::{Listed, Source, key::Key},
    text::plural,
    vault::{
        commit::Commits,
        csv,
        layout::{self, FileKind},
        redactions::{Redactions, RedactionsError},
        xz,
    },
    world::{
        crash::{self, Point},
        disk::{self, Disk, DiskFile},
        error_at::{At as _, ErrorAt},
    },
};

/// A note has one name.
const NOTE_BYTES_MAX: u64 = 64 * 1024;

/// Why posts could not be taken out. The list has them, and the next merge tries again.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The list.
    #[error(transparent)]
    List(#[from] RedactionsError),
    /// A file.
    #[error(transparent)]
    Io(#[from] ErrorAt),
    /// A seal.
    #[error(transparent)]
    Seal(#[from] ErrorAt<SealError>),
    /// The store that has the segment too.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, before it was asked.
    #[error("{0} is also in an object store, which cannot be used now")]
    Away(SegmentName),
    /// Another file is there under the name of the new form of a segment.
    #[error("{0} exists with other lines, and was not overwritten")]
    Other(ObjectKey),
    /// What was written does not read back.
    #[error("{} does not read back as it was written", .0.display())]
    ReadBack(PathBuf),
}

impl RedactError {
    /// Whether the object store does not answer, which may pass.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Store(why) => why.is_passing(),
            Self::List(RedactionsError::InStore(why)) => why.is_away(),
            Self::Away(_) => true,
            _ => false,
        }
    }
}

/// The segment whose new files are being brought into place.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    segment: SegmentName,
    /// How long the list was.
    requests: u64,
}

/// How many entries of the list have been looked for, in the vault and in the segments indexed before.
#[derive(Debug, Serialize, Deserialize)]
struct Applied {
    requests: usize,
}

/// Where posts are taken out.
#[derive(Clone, Copy)]
pub struct Scrubber<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// Where it keeps its notes.
    pub data_dir: &'a Path,
    /// The segments.
    pub spool: &'a Path,
    /// The vault.
    pub vault: &'a Path,
    /// The vault's zone.
    pub zone: &'a Zone,
    /// What lines are.
    pub source: &'static dyn Source,
    /// Where the list is kept.
    pub commits: &'a dyn Commits,
    /// From where segments were fetched.
    pub elsewhere: Elsewhere<'a>,
}

impl Scrubber<'_> {
    fn note_path(&self) -> PathBuf {
        self.data_dir.join("redaction.json")
    }

    fn applied_path(&self) -> PathBuf {
        self.data_dir.join("redacted.json")
    }

    /// Finishes moving a segment's files into place after the process was interrupted.
    pub fn finish(&self) -> Result<(), RedactError> {
        match note::read::<Note>(self.disk, &self.note_path(), NOTE_BYTES_MAX)? {
            Some(note) => self.bring_into_place(&note),
            None => Ok(()),
        }
    }

    /// Up to which entry the list has been looked for.
    pub fn known_applied(&self) -> Result<usize, RedactError> {
        let applied: Option<Applied> = note::read(self.disk, &self.applied_path(), NOTE_BYTES_MAX)?;
        Ok(applied.map_or(0, |applied| applied.requests))
    }

    /// Looks for the entries of the list from one on in the committed hours, and among the segments indexed before, which
    /// have to be read again.
    pub fn apply(
        &self,
        first: usize,
        list: &mut Redactions,
        indexes: &Indexes<'_>,
    ) -> Result<(), RedactError> {
        let new = list.since(first);
        let all = list.has_authors_since(first);
        if new.is_empty() && !all {
            return Ok(());
        }
        let mut is_news = false;
        for (key, known) in &new {
            if known.is_none()
                && let Some(hour) = self.hour_with(key)?
            {
                is_news |= list.found(key, hour);
            }
        }
        if is_news {
            self.commits.keep_list(self.disk, self.vault, list)?;
        }
        let minutes = new
            .iter()
            .filter_map(|(key, _)| self.source.time(key))
            .map(UtcMs::minute);
        let minutes: BTreeSet<Minute> = minutes.collect();
        let may_hold = |index: &Index| {
            // the index of a segment does not tell the authors of its posts
            all || index.runs.iter().any(|run| match run.key {
                RunKey::Minute(minute) => minutes.contains(&minute),
                RunKey::Old(_) | RunKey::Rejected => true,
            })
        };
        Ok(indexes.forget_if(&may_hold).at(indexes.folder)?)
    }

    /// Records that the list has been looked for up to that entry.
    pub fn applied(&self, requests: usize) -> Result<(), RedactError> {
        if self.known_applied()? == requests {
            return Ok(());
        }
        let path = self.applied_path();
        Ok(note::write(self.disk, &path, &Applied { requests })?)
    }

    /// The committed hour that has a post, if there is one.
    fn hour_with(&self, key: &Key) -> Result<Option<Hour>, RedactError> {
        let mut hours = Vec::new();
        if let Some(time) = self.source.time(key) {
            hours.push(self.zone.hour_of(time));
        } else {
            // its key tells no time: look in every hour before keys did
            let since = self.source.keys_have_times_since();
            let last = since.map(|time| self.zone.hour_of(time));
            for day in layout::days(self.disk, self.vault).at(self.vault)? {
                let may = |hour: &Hour| last.is_none_or(|last| *hour <= last);
                hours.extend(day.hours().filter(may));
            }
        }
        for hour in hours {
            if self.has_id(hour, key)? {
                return Ok(Some(hour));
            }
        }
        Ok(None)
    }

    /// The committed hours of those of these posts that the vault has.
    pub fn hours_with(&self, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Hour>, RedactError> {
        let mut found = BTreeMap::new();
        for key in keys {
            if let Some(hour) = self.hour_with(key)? {
                found.insert(key.clone(), hour);
            }
        }
        Ok(found)
    }

    /// The posts of these authors in the vault, with their hours and authors. `tell` is called with each day and the
    /// number of posts. Reads the authors of every hour.
    pub fn posts_by(
        &self,
        authors: &BTreeSet<Key>,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<BTreeMap<Key, (Hour, Key)>, RedactError> {
        let mut found = BTreeMap::new();
        if authors.is_empty() {
            return Ok(found);
        }
        let days = layout::days(self.disk, self.vault).at(self.vault)?;
        for (done, day) in days.iter().enumerate() {
            let listing = layout::list_day(self.disk, self.vault, *day).at(self.vault)?;
            for hour in listing.hours.into_keys() {
                self.posts_of_hour_by(hour, authors, &mut found)?;
            }
            tell(done + 1, days.len());
        }
        Ok(found)
    }

    fn posts_of_hour_by(
        &self,
        hour: Hour,
        authors: &BTreeSet<Key>,
        found: &mut BTreeMap<Key, (Hour, Key)>,
    ) -> Result<(), RedactError> {
        // the file of authors is small, and most hours have none of them
        let mut is_here = false;
        self.each_row(hour, FileKind::Users, |row| {
            let author = self.source.author_of_row(row);
            is_here |= author.is_some_and(|author| authors.contains(&author));
        })?;
        if !is_here {
            return Ok(());
        }
        let mut take = |key: Key, author: Option<Key>| {
            if let Some(author) = author.filter(|author| authors.contains(author)) {
                found.insert(key, (hour, author));
            }
        };
        if self.source.has_rows_of_all() {
            self.each_row(hour, FileKind::table_of(self.source), |row| {
                if let Some((listed, author)) = self.source.row(row) {
                    take(listed.key, author);
                }
            })
        } else {
            self.each_listed(hour, &mut |listed| {
                let author = self.source.author_by_key(&listed.key);
                take(listed.key, author);
            })
        }
    }

    /// Gives every record of an hour's list of ids, and of that of deletions.
    fn each_listed(&self, hour: Hour, each: &mut dyn FnMut(Listed)) -> Result<(), RedactError> {
        for kind in [FileKind::Ids, FileKind::Deletions] {
            let path = layout::data_path(self.vault, hour, kind);
            if self.disk.len(&path).at(&path)?.is_none() {
                continue;
            }
            let mut lines = xz::Lines::new(|line: &[u8]| {
                let text = str::from_utf8(line).unwrap_or_default();
                let listed = if kind == FileKind::Ids {
                    self.source.listed(text)
                } else {
                    self.source.deleted(text)
                };
                listed.into_iter().for_each(&mut *each);
                Ok(())
            });
            let read = xz::read_through(self.disk, &path, 0, |piece| lines.take(piece));
            read.at(&path)?;
        }
        Ok(())
    }

    /// Gives every row of a CSV file of an hour.
    fn each_row(
        &self,
        hour: Hour,
        kind: FileKind,
        mut each: impl FnMut(&[String]),
    ) -> Result<(), RedactError> {
        let path = layout::data_path(self.vault, hour, kind);
        let mut lines = xz::Lines::new(|line: &[u8]| {
            // the header's words are no ids
            if let Some(row) = csv::fields(line) {
                each(&row);
            }
            Ok(())
        });
        let read = xz::read_through(self.disk, &path, kind.header_lines(), |piece| {
            lines.take(piece)
        });
        read.at(&path)?;
        Ok(())
    }

    fn has_id(&self, hour: Hour, key: &Key) -> Result<bool, RedactError> {
        let mut found = false;
        self.each_listed(hour, &mut |listed| found |= listed.key == *key)?;
        Ok(found)
    }

    /// Takes posts out of a segment, after recording in the list that the archive had them.
    pub fn take_out(
        &self,
        name: &SegmentName,
        posts: &[ToRedact],
        list: &mut Redactions,
    ) -> Result<(), RedactError> {
        let mut is_news = false;
        for (post, reason) in posts {
            // one by an author on the list gets a line of its own
            is_news |= 0 < list.ask([post.key.clone()], reason);
            is_news |= list.found(&post.key, self.zone.hour_of(post.at));
        }
        if is_news {
            self.commits.keep_list(self.disk, self.vault, list)?;
        }
        let lines = self.scrub(name, list)?;
        tracing::info!(segment = %name, "{} taken out on request", plural(lines, "line was", "lines were"));
        Ok(())
    }

    /// Writes a segment and its seal again without the posts on the list; returns the number of lines removed.
    fn scrub(&self, name: &SegmentName, list: &Redactions) -> Result<u64, RedactError> {
        if matches!(self.elsewhere, Elsewhere::Away) {
            return Err(RedactError::Away(name.clone()));
        }
        let paths = name.paths(self.spool);
        let disk = self.disk;
        let bytes = disk::read_bounded(disk, &paths.seal, SEAL_BYTES_MAX).at(&paths.seal)?;
        let mut seal = Seal::read(&bytes, name).at(&paths.seal)?;
        let is_plain = disk.len(&paths.segment).at(&paths.segment)?.is_some();
        let place = if is_plain {
            paths.segment.clone()
        } else {
            raw::compressed(&paths.segment)
        };
        let to = raw::redacted(&place);
        let kept = self.write_without(&paths.segment, &to, is_plain, list)?;
        if self.digest(&to, is_plain)? != kept.digest {
            return Err(RedactError::ReadBack(to));
        }
        let lines = seal.segment.lines.saturating_sub(kept.digest.lines);
        seal.redacted.push(Redacted {
            lines,
            sha256: seal.segment.sha256,
            seconds: kept.seconds,
        });
        seal.segment = kept.digest;
        (seal.first_arrival, seal.last_arrival) = (kept.first, kept.last);
        let to = raw::redacted(&paths.seal);
        disk::put(disk, &to, &to_bytes(seal)).at(&to)?;
        crash::point(Point::RedactedAside);
        let note = Note {
            segment: name.clone(),
            requests: list.len() as u64,
        };
        note::write(self.disk, &self.note_path(), &note)?;
        crash::point(Point::RedactionNoted);
        self.bring_into_place(&note)?;
        Ok(lines)
    }

    fn write_without(
        &self,
        from: &Path,
        to: &Path,
        is_plain: bool,
        list: &Redactions,
    ) -> Result<Kept, RedactError> {
        let source = raw::open(self.disk, from).at(from)?;
        let mut sink = Sink::create(self.disk, to, is_plain).at(to)?;
        let mut lines = io::BufReader::new(source);
        let (mut first, mut latest) = (None, None);
        let mut digester = Digester::default();
        let mut seconds = SecondsOf::new();
        let mut text = Vec::new();
        while lines.read_until(b'\n', &mut text).at(from)? != 0 {
            let stored = text.strip_suffix(b"\n").unwrap_or(&text);
            let placed = self.source.place(stored);
            let goes = match &placed {
                Ok(placed) => list.has(&placed.key),
                Err(_no_post) => list.are_named_in(stored),
            };
            // one that was seen at another time shows nothing of its second
            if let Ok(placed) = placed
                && goes
                && placed.is_prompt
            {
                let of_minute = seconds.entry(placed.at.minute()).or_default();
                of_minute.extend(u8::try_from(placed.at.second().rem_euclid(60)));
            }
            if !goes {
                digester.update(&text);
                sink.write_all(&text).at(to)?;
                let arrival = line::cut(stored).retrieved_at;
                first = first.or(arrival);
                latest = arrival.or(latest);
            }
            text.clear();
        }
        sink.finish().at(to)?;
        let digest = digester.finish();
        Ok(Kept {
            digest,
            first,
            last: latest,
            seconds,
        })
    }

    fn digest(&self, path: &Path, is_plain: bool) -> Result<Digest, ErrorAt> {
        let source = if is_plain {
            self.disk.open(path)
        } else {
            raw::open_compressed(self.disk, path)
        };
        let mut source = source.at(path)?;
        raw::read_through(&mut *source, |_| Ok(())).at(path)
    }

    /// The new segment, then the new seal; no other form of the segment stays, here or where it was fetched from.
    fn bring_into_place(&self, note: &Note) -> Result<(), RedactError> {
        let name = &note.segment;
        let disk = self.disk;
        let Paths {
            folder,
            segment,
            seal,
            ..
        } = name.paths(self.spool);
        let packed = raw::compressed(&segment);
        let is_there = |path: &Path| disk.len(path).map(|len| len.is_some()).at(path);
        let remove = |path: &Path| disk::remove_if_there(disk, path).at(path);
        for (place, other) in [(&segment, &packed), (&packed, &segment)] {
            let from = raw::redacted(place);
            if is_there(&from)? {
                disk.rename(&from, place).at(place)?;
                remove(other)?;
            }
        }
        remove(&disk::aside(&packed))?;
        disk.sync_folder(&folder).at(&folder)?;
        crash::point(Point::RedactedInPlace);
        let from = raw::redacted(&seal);
        if is_there(&from)? {
            disk.rename(&from, &seal).at(&seal)?;
        }
        disk.sync_folder(&folder).at(&folder)?;
        match self.elsewhere {
            Elsewhere::Nowhere => (),
            Elsewhere::Away => return Err(RedactError::Away(name.clone())),
            Elsewhere::In(store) => self.replace_in(store, note)?,
        }
        let note = self.note_path();
        remove(&note)?;
        Ok(disk.sync_folder(self.data_dir).at(self.data_dir)?)
    }
}

impl Scrubber<'_> {
    /// Puts the new form of a segment into the store, if it has any, and deletes the former ones.
    fn replace_in(&self, store: &dyn Store, note: &Note) -> Result<(), RedactError> {
        let (name, form) = (&note.segment, note.requests);
        let Some(latest) = segments::look(store, name)?.latest() else {
            // it was never there, or is being deleted
            return Ok(());
        };
        if latest < form {
            let paths = name.paths(self.spool);
            let [segment, _, seal] = segments::keys(name, form).map_err(StoreError::from)?;
            let bytes = disk::read_bounded(self.disk, &paths.seal, SEAL_BYTES_MAX);
            let bytes = bytes.at(&paths.seal)?;
            let sealed = Seal::read(&bytes, name).at(&paths.seal)?;
            let packed = (&segment, &sealed.segment);
            let created = segments::create_packed(self.disk, store, packed, &paths.segment)?;
            if let Created::Taken { .. } = created {
                return Err(RedactError::Other(segment));
            }
            crash::point(Point::ObjectCreated);
            // a seal of the same lines by another machine will do
            create_of(store, &seal, &bytes)?;
            crash::point(Point::ObjectCreated);
        }
        segments::delete_former(store, name)?;
        if segments::look(store, name)?.latest().is_none() {
            // it was swept meanwhile
            segments::delete(store, std::slice::from_ref(name), &mut || ())?;
        }
        Ok(())
    }
}

/// What is kept of a segment.
struct Kept {
    digest: Digest,
    first: Option<UtcMs>,
    last: Option<UtcMs>,
    /// The seconds of the posts that are not.
    seconds: SecondsOf,
}

/// Its bytes. It stays readable: where posts of more minutes were taken out than it can name, it names none.
fn to_bytes(mut seal: Seal) -> Vec<u8> {
    let bytes = seal.to_json();
    if bytes.len() as u64 <= SEAL_BYTES_MAX {
        return bytes;
    }
    for past in &mut seal.redacted {
        past.seconds.clear();
    }
    seal.to_json()
}

/// A segment that is written anew, in the form that it had.
enum Sink {
    Plain(Box<dyn DiskFile>),
    Packed(Box<Packer>),
}

impl Sink {
    fn create(disk: &dyn Disk, path: &Path, is_plain: bool) -> io::Result<Self> {
        if !is_plain {
            return Ok(Self::Packed(Box::new(Packer::create(disk, path)?)));
        }
        disk::create_anew(disk, path).map(Self::Plain)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Packed(packer) => packer.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.sync(),
            Self::Packed(packer) => packer.finish(),
        }
    }
}
