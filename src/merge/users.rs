//! The latest row of each author, with bounded memory.
//!
//! Rows are collected by author; beyond a limit they go to the disk as a sorted run, and in the end
//! all runs are put together. Which row counts: that of the greatest post id that came with an
//! author object; a row without one only if none did. Output is ascending by author id as a number,
//! ids that are no numbers last.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::world::disk::Disk;

/// Bytes of rows held before they go to the disk.
const HELD_BYTES_MAX: usize = 32 << 20;

/// What a row costs beside its text.
const ROW_OVERHEAD_BYTES: usize = 160;

/// An author, ordered as the file is: numbers first, by size.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuthorKey {
    /// Whether the id is no number of 64 bits.
    is_text: bool,
    number: u64,
    text: String,
}

impl AuthorKey {
    /// The key of an author's id; `None` for a post that names no author.
    pub fn new(id: &str) -> Option<Self> {
        if id.is_empty() {
            return None;
        }
        Some(match crate::post::id::parse(id) {
            Some(number) if number.to_string() == id => Self {
                is_text: false,
                number,
                text: String::new(),
            },
            _ => Self {
                is_text: true,
                number: 0,
                text: id.to_owned(),
            },
        })
    }
}

/// A candidate for an author's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whether the post came with the author's object.
    pub has_author: bool,
    /// The post it comes from.
    pub post_id: u64,
    /// The finished line of the CSV file, with its LF.
    pub csv: Vec<u8>,
}

impl Row {
    /// Whether this row counts rather than the other.
    fn beats(&self, other: &Self) -> bool {
        (other.has_author, other.post_id) < (self.has_author, self.post_id)
    }
}

/// Keeps the row that counts.
fn keep(rows: &mut BTreeMap<AuthorKey, Row>, author: AuthorKey, row: Row) -> usize {
    let cost = row.csv.len() + ROW_OVERHEAD_BYTES;
    if let Some(kept) = rows.get_mut(&author) {
        if row.beats(kept) {
            *kept = row;
        }
        0
    } else {
        rows.insert(author, row);
        cost
    }
}

/// All authors of an hour.
pub struct Users<'a> {
    disk: &'a dyn Disk,
    /// Where sorted runs go.
    scratch: PathBuf,
    held: BTreeMap<AuthorKey, Row>,
    held_bytes: usize,
    held_bytes_max: usize,
    runs: Vec<PathBuf>,
}

impl<'a> Users<'a> {
    /// None so far; `scratch` is a folder for this hour alone.
    pub fn new(disk: &'a dyn Disk, scratch: &Path) -> Self {
        Self {
            disk,
            scratch: scratch.to_owned(),
            held: BTreeMap::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX,
            runs: Vec::new(),
        }
    }

    /// Takes the rows of a unit in.
    pub fn take(&mut self, rows: impl IntoIterator<Item = (AuthorKey, Row)>) -> io::Result<()> {
        for (author, row) in rows {
            self.held_bytes += keep(&mut self.held, author, row);
        }
        if self.held_bytes_max < self.held_bytes {
            self.spill()
        } else {
            Ok(())
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.disk.make_folder(&self.scratch)?;
        let path = self
            .scratch
            .join(format!("users_{:04}.jsonl", self.runs.len()));
        if self.disk.len(&path)?.is_some() {
            self.disk.remove(&path)?;
        }
        let mut file = BufWriter::new(self.disk.create(&path)?);
        for (author, row) in std::mem::take(&mut self.held) {
            let head = Head {
                author,
                has_author: row.has_author,
                post_id: row.post_id,
            };
            serde_json::to_writer(&mut file, &head)?;
            file.write_all(b"\n")?;
            file.write_all(&row.csv)?;
        }
        file.flush()?;
        self.held_bytes = 0;
        self.runs.push(path);
        Ok(())
    }

    /// Gives every author's row, in order, and removes what was on the disk.
    pub fn finish(mut self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut sources: Vec<Box<dyn Iterator<Item = io::Result<(AuthorKey, Row)>>>> = Vec::new();
        for path in &self.runs {
            let file = BufReader::new(self.disk.open(path)?);
            sources.push(Box::new(Spilled(file)));
        }
        sources.push(Box::new(std::mem::take(&mut self.held).into_iter().map(Ok)));
        let mut heads = Vec::new();
        for source in &mut sources {
            heads.push(source.next().transpose()?);
        }
        while let Some(least) = heads
            .iter()
            .flatten()
            .map(|(author, _)| author)
            .min()
            .cloned()
        {
            let mut best: Option<Row> = None;
            for (head, source) in heads.iter_mut().zip(&mut sources) {
                if head.as_ref().is_some_and(|(author, _)| *author == least)
                    && let Some((_, row)) = std::mem::replace(head, source.next().transpose()?)
                    && best.as_ref().is_none_or(|best| row.beats(best))
                {
                    best = Some(row);
                }
            }
            if let Some(row) = best {
                each(&row.csv)?;
            }
        }
        drop(sources);
        for path in &self.runs {
            self.disk.remove(path)?;
        }
        if self.runs.is_empty() {
            Ok(())
        } else {
            self.disk.remove_folder(&self.scratch)
        }
    }
}

/// What stands before a row on the disk, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    author: AuthorKey,
    has_author: bool,
    post_id: u64,
}

/// The rows of a sorted run.
struct Spilled<R>(R);

impl<R: io::BufRead> Spilled<R> {
    fn row(&mut self) -> io::Result<Option<(AuthorKey, Row)>> {
        let mut head = Vec::new();
        if self.0.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
        let head: Head = serde_json::from_slice(&head)?;
        let mut csv = Vec::new();
        self.0.read_until(b'\n', &mut csv)?;
        let (has_author, post_id) = (head.has_author, head.post_id);
        let row = Row {
            has_author,
            post_id,
            csv,
        };
        Ok(Some((head.author, row)))
    }
}

impl<R: io::BufRead> Iterator for Spilled<R> {
    type Item = io::Result<(AuthorKey, Row)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::disk::RealDisk;

    fn all(rows: &[(u64, bool, u64)], held_bytes_max: usize) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("hour");
        let mut users = Users {
            held_bytes_max,
            ..Users::new(&RealDisk, &folder)
        };
        for &(author, has_author, post_id) in rows {
            let csv = format!("{author},{has_author},{post_id}\n").into_bytes();
            let key = AuthorKey::new(&author.to_string()).unwrap();
            users
                .take([(
                    key,
                    Row {
                        has_author,
                        post_id,
                        csv,
                    },
                )])
                .unwrap();
        }
        let mut lines = Vec::new();
        users
            .finish(|line| {
                lines.push(String::from_utf8(line.to_owned()).unwrap());
                Ok(())
            })
            .unwrap();
        assert!(!folder.exists());
        lines
    }

    #[test]
    fn the_latest_row_with_an_author_counts() {
        let rows = [
            (10, true, 5),
            (9, false, 8),
            (10, false, 9),
            (10, true, 7),
            (10, true, 6),
        ];
        assert_eq!(all(&rows, usize::MAX), ["9,false,8\n", "10,true,7\n"]);
    }

    proptest! {
        #[test]
        fn what_went_to_the_disk_makes_no_difference(
            rows in proptest::collection::vec((0_u64..20, any::<bool>(), 0_u64..1_000), 0..60)
        ) {
            prop_assert_eq!(all(&rows, 500), all(&rows, usize::MAX));
        }
    }
}
