//! Late data, or the removal of posts on request, after the raw data of an hour is gone: the rows of its
//! `posts.parquet` take the place of what was deleted, each as a copy of its post.
//!
//! The rows are put down as a segment in the scratch folder, whose stamps also say who saw each post
//! and how often; from there on they are read like any other. What cannot be counted again (copies
//! that were not kept, and in what they differed) is carried over from the former manifest.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use arrow_array::{
    Array as _, RecordBatch,
    cast::AsArray as _,
    types::{Int64Type, TimestampMillisecondType},
};
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::{remembered::Remembered, taken_out::Out, uncommitted::HourError, units::Segment};
use crate::{
    cover::listened::Listener,
    merge::{known_lines::KnownLines, runs},
    period::{Hour, UtcMs},
    segment::{line, name::Leg},
    source::{List, Placed},
    vault::{
        deleted::{Deleted, LeftOut},
        layout::{self, FileKind},
        manifest::Manifest,
        posts::{
            read::{self, Wanted},
            write::KEY_EVENTS,
        },
        redactions::Redactions,
    },
    world::{
        disk::{self, Disk},
        error_at::At as _,
    },
};

/// The columns that a row is read from, beside its line.
const COLUMNS: &[&str] = &[
    "server",
    "retrieved_at",
    "seen_by.list.element",
    "copies",
    "backfilled",
];

/// What the stamp of a row has in addition to that of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whose copy it is, as a number in the ascending order of ids.
    pub server: usize,
    /// Who received the post.
    pub seen_by: Vec<usize>,
    /// How often it was received.
    pub copies: u64,
    /// Whether this copy came by backfill.
    pub backfilled: bool,
    /// Whether its line had a stamp.
    pub stamped: bool,
}

/// Where the facts are in a stamp, and what follows them.
const FACTS: &[u8] = b"\"former\":";
const VERSION: &[u8] = b"\"version\":\"";

/// The time in the stamp of a line that has none: a stamp must have one.
const NO_TIME: UtcMs = UtcMs(0);

/// Where a former file lies.
pub struct Former<'a> {
    /// The file system.
    pub disk: &'a dyn Disk,
    /// The vault.
    pub vault: &'a Path,
    /// The hour.
    pub hour: Hour,
    /// The servers of the new revision, ascending.
    pub servers: &'a [Leg],
}

/// Whether a row's post is to stay out; takes note of it if it is.
fn stays_out(
    placed: &Placed,
    (redactions, deleted): (&Redactions, &Deleted<'_>),
    facts: &Facts,
    out: &mut Out,
) -> bool {
    let why = deleted.why(&placed.key);
    if redactions.has(&placed.key) {
        out.redacted.row(&facts.seen_by, facts.copies);
    } else if let Some(why) = why.filter(|why| *why != LeftOut::Held) {
        out.deleted.row(&facts.seen_by, facts.copies);
        *out.whys.entry(why.word().to_owned()).or_default() += 1;
    } else {
        return false;
    }
    if placed.is_prompt && redactions.source.stands_in(&placed.key, List::Ids) {
        let seen_by = facts.seen_by.iter().copied();
        out.lost.post(seen_by, placed.at.second());
    }
    true
}

/// The facts of a row that was put down.
pub fn facts(stored: &[u8]) -> Option<Facts> {
    let begin = memmem::rfind(stored, FACTS)? + FACTS.len();
    let json = stored.get(begin..)?;
    serde_json::Deserializer::from_slice(json)
        .into_iter()
        .next()?
        .ok()
}

impl Former<'_> {
    fn path(&self, kind: FileKind) -> PathBuf {
        layout::data_path(self.vault, self.hour, kind)
    }

    /// An error if a file is not what the manifest says of it.
    fn check(
        path: PathBuf,
        says: &Manifest,
        found: &crate::vault::manifest::Output,
    ) -> Result<(), HourError> {
        if says.outputs.contains(found) {
            Ok(())
        } else {
            Err(HourError::Former(path))
        }
    }

    /// What the events files told that the hour was made from. (That the file is the manifest's is found when its rows are put
    /// down.)
    pub fn remembered(&self) -> Result<Remembered, HourError> {
        let path = self.path(FileKind::Posts);
        let text = read::metadata(self.disk, &path, KEY_EVENTS).at(&path)?;
        let text = text.ok_or_else(|| HourError::Former(path.clone()))?;
        Ok(Remembered::from_text(&text).at(&path)?)
    }

    /// Puts the rows down as a segment, without those of posts that are to stay out: these are taken
    /// note of in `out`, and their text is written nowhere.
    pub fn put_down(
        &self,
        manifest: &Manifest,
        (redactions, deleted): (&Redactions, &Deleted<'_>),
        to: &Path,
        out: &mut Out,
    ) -> Result<Segment, HourError> {
        let from = self.path(FileKind::Posts);
        let folder = to.parent().unwrap_or(to);
        self.disk.make_folder(folder).at(folder)?;
        let mut file = BufWriter::new(disk::create_anew(self.disk, to).at(to)?);
        let found = read::read_through(self.disk, &from, Wanted::Only(COLUMNS), |batch| {
            let stored = self
                .stored(batch, (redactions, deleted), out)
                .ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "its columns are not ours")
                })?;
            file.write_all(&stored)
        });
        let found = found.at(&from)?;
        file.flush().at(to)?;
        drop(file);
        Self::check(from.clone(), manifest, &found)?;
        let read = runs::read_segment(
            self.disk,
            to,
            (redactions, &mut KnownLines::none()),
            Listener::default(),
        );
        let runs::Read { runs, named, .. } = read.at(to)?;
        if named.is_some() {
            // a line that is not a post is none of the rows
            return Err(HourError::Former(from));
        }
        Ok(Segment {
            path: to.to_owned(),
            server: 0,
            lag_ms: 0,
            is_former: true,
            runs,
        })
    }

    /// The rows as stored lines; `None` if they are not ours.
    fn stored(
        &self,
        batch: &RecordBatch,
        (redactions, deleted): (&Redactions, &Deleted<'_>),
        out: &mut Out,
    ) -> Option<Vec<u8>> {
        let column = |name| batch.column_by_name(name);
        let lines = column("line")?.as_string_opt::<i32>()?;
        let servers = column("server")?.as_string_opt::<i32>()?;
        let retrieved = column("retrieved_at")?.as_primitive_opt::<TimestampMillisecondType>()?;
        let seen_by = column("seen_by")?.as_list_opt::<i32>()?;
        let copies = column("copies")?.as_primitive_opt::<Int64Type>()?;
        let backfilled = column("backfilled")?.as_boolean_opt()?;
        let names: Vec<String> = self.servers.iter().map(Leg::to_string).collect();
        let number = |id: &str| names.iter().position(|known| known == id);
        let mut stored = Vec::new();
        for (row, line) in lines.iter().enumerate() {
            let seen = seen_by.value(row);
            let seen_by: Option<Vec<usize>> = seen
                .as_string_opt::<i32>()?
                .iter()
                .map(|id| number(id?))
                .collect();
            let facts = Facts {
                server: number(servers.value(row))?,
                seen_by: seen_by?,
                copies: u64::try_from(copies.value(row)).ok()?,
                backfilled: backfilled.is_valid(row) && backfilled.value(row),
                stamped: retrieved.is_valid(row),
            };
            let line = line?.as_bytes();
            if !redactions.is_empty() || deleted.told().is_some() {
                let placed = redactions.source.place(line).ok()?;
                if stays_out(&placed, (redactions, deleted), &facts, out) {
                    continue;
                }
            }
            let at = if facts.stamped {
                UtcMs(retrieved.value(row))
            } else {
                NO_TIME
            };
            let mut one = Vec::new();
            line::store(line, at, &mut one);
            let place = memmem::rfind(&one, VERSION)?;
            let mut member = FACTS.to_vec();
            serde_json::to_writer(&mut member, &facts).ok()?;
            member.push(b',');
            one.splice(place..place, member);
            stored.extend(one);
        }
        Some(stored)
    }

    /// Gives every line of a former file of lines, without its LF; there may be none.
    pub fn lines(
        &self,
        kind: FileKind,
        manifest: &Manifest,
        each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), HourError> {
        let name = kind.name(self.hour);
        if !manifest.outputs.iter().any(|output| output.name == name) {
            return Ok(());
        }
        let path = self.path(kind);
        let mut lines = crate::vault::xz::Lines::new(each);
        let found = crate::vault::xz::read_through(self.disk, &path, 0, |piece| lines.take(piece));
        Self::check(path.clone(), manifest, &found.at(&path)?)
    }
}
