//! One row of each author, with bounded memory: the latest, or one that is made of all.
//!
//! Each unit sorts its rows; beyond a limit those of several units go to the disk as one sorted run, and in the end
//! all are put together. Which row counts: that of the last record that came with an
//! author object; a row without one only if none did. Where the source says how rows are joined, all of an author's
//! become one, in the order of their records. Output is ascending by the author's key.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    period::UtcMs,
    source::{Join, key::Key},
    vault::csv,
    world::disk::{self, Disk},
};

/// Bytes of rows held before they go to the disk.
const HELD_BYTES_MAX: usize = 20 << 20;

/// Bytes of a sorted run that are read or written at a time.
const SPILL_BUFFER_BYTES: usize = 64 * 1024;

/// What a row costs beside its text: itself, and its place in the order in which rows are given.
const ROW_OVERHEAD_BYTES: usize = size_of::<Held>() + size_of::<Placed<'static>>();

/// A candidate for an author's row. The one that counts is the greatest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Whether the record came with what its author says of himself.
    pub has_author: bool,
    /// The record it comes from: its time, as far as its key has one …
    pub at: UtcMs,
    /// … and its key.
    pub key: Key,
}

/// Rows of authors in any order. Their text lies together: there are too many to
/// have each in a place of its own.
#[derive(Debug, Default)]
pub struct Rows {
    join: Option<Join>,
    held: Vec<Held>,
    text: Vec<u8>,
}

/// A row, and where its text is.
#[derive(Debug)]
struct Held {
    author: Key,
    rank: Rank,
    begin: usize,
    len: usize,
}

/// Rows in the order of their authors, one of each.
#[derive(Debug, Default)]
pub struct Sorted(Rows);

/// Makes one row of two, the first of earlier records; both are finished lines of the CSV file.
fn joined(join: Join, earlier: &[u8], later: &[u8]) -> Vec<u8> {
    let fields =
        |row: &[u8]| csv::fields(row.strip_suffix(b"\n").unwrap_or(row)).unwrap_or_default();
    let mut row = Vec::with_capacity(later.len());
    csv::push_row(&mut row, join(fields(earlier), fields(later)));
    row
}

impl Rows {
    /// None so far; with `join` all rows of an author become one, else the one that counts stays.
    pub fn new(join: Option<Join>) -> Self {
        Self {
            join,
            held: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Takes a row in. `write` appends the finished line of the CSV file, with its LF.
    pub fn put(&mut self, author: Key, rank: Rank, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.text.len();
        write(&mut self.text);
        let len = self.text.len() - begin;
        self.held.push(Held {
            author,
            rank,
            begin,
            len,
        });
    }

    /// One row of each author, in their order. It takes no more memory than these rows need.
    pub fn sorted(mut self) -> Sorted {
        // the greatest of an author comes first
        self.held
            .sort_by(|a, b| (&a.author, &b.rank).cmp(&(&b.author, &a.rank)));
        let mut sorted = Self {
            join: self.join,
            held: Vec::with_capacity(self.held.len()),
            text: Vec::with_capacity(self.text.len()),
        };
        let mut one = One::new(self.join);
        let mut first = None;
        let mut put = |first: &mut Option<(Key, Rank)>, row: &[u8]| {
            if let Some((author, rank)) = first.take() {
                sorted.put(author, rank, |to| to.extend_from_slice(row));
            }
        };
        for held in &self.held {
            let text = Cow::Borrowed(self.text_of(held));
            if let Some(row) = one.take(&held.author, text) {
                put(&mut first, &row);
            }
            first.get_or_insert_with(|| (held.author.clone(), held.rank.clone()));
        }
        if let Some(row) = one.end() {
            put(&mut first, &row);
        }
        Sorted(sorted)
    }

    fn text_of(&self, held: &Held) -> &[u8] {
        let text = self.text.get(held.begin..held.begin + held.len);
        text.unwrap_or_default()
    }
}

impl Sorted {
    /// The memory that they take.
    fn bytes(&self) -> usize {
        self.0.text.len() + self.0.held.len() * ROW_OVERHEAD_BYTES
    }
}

/// Makes one row of those of an author, which come one after the other, the greatest first.
struct One<'a> {
    join: Option<Join>,
    last: Option<(Key, Cow<'a, [u8]>)>,
}

impl<'a> One<'a> {
    fn new(join: Option<Join>) -> Self {
        Self { join, last: None }
    }

    /// Takes a row in, and gives that of the author before if this is another one.
    fn take(&mut self, author: &Key, row: Cow<'a, [u8]>) -> Option<Cow<'a, [u8]>> {
        match &mut self.last {
            Some((of, last)) if of == author => {
                if let Some(join) = self.join {
                    *last = joined(join, &row, last).into();
                }
                None
            }
            _ => self.last.replace((author.clone(), row)).map(|(_, row)| row),
        }
    }

    fn end(self) -> Option<Cow<'a, [u8]>> {
        self.last.map(|(_, row)| row)
    }
}

/// A row that is held, with its text, behind what its author's key begins with.
type Placed<'a> = (u64, &'a Held, &'a [u8]);

/// Rows that are held, in the order of their authors, of each the greatest first.
fn in_order(held: &[Sorted]) -> Vec<Placed<'_>> {
    let mut rows = Vec::with_capacity(held.iter().map(|sorted| sorted.0.held.len()).sum());
    for Sorted(of) in held {
        let placed = of.held.iter();
        rows.extend(placed.map(|row| (leading(&row.author), row, of.text_of(row))));
    }
    // nearly all authors differ in what is compared first, for which no row is looked at
    rows.sort_by(|(a, row, _): &Placed<'_>, (b, other, _)| {
        let by_row = || (&row.author, &other.rank).cmp(&(&other.author, &row.rank));
        a.cmp(b).then_with(by_row)
    });
    rows
}

/// Ascends as keys do, but not all keys differ in it.
fn leading(key: &Key) -> u64 {
    match key {
        Key::Number(number) => *number,
        Key::Text(_) => u64::MAX,
    }
}

/// All authors of an hour.
pub struct Users<'a> {
    disk: &'a dyn Disk,
    /// Where sorted runs go.
    scratch: PathBuf,
    join: Option<Join>,
    held: Vec<Sorted>,
    held_bytes: usize,
    held_bytes_max: usize,
    runs: Vec<PathBuf>,
}

impl<'a> Users<'a> {
    /// None so far; `scratch` is a folder for this hour alone.
    pub fn new(disk: &'a dyn Disk, scratch: &Path, join: Option<Join>) -> Self {
        Self {
            disk,
            scratch: scratch.to_owned(),
            join,
            held: Vec::new(),
            held_bytes: 0,
            held_bytes_max: HELD_BYTES_MAX,
            runs: Vec::new(),
        }
    }

    /// Takes the rows of a unit in.
    pub fn take(&mut self, rows: Sorted) -> io::Result<()> {
        self.held_bytes += rows.bytes();
        self.held.push(rows);
        if self.held_bytes_max < self.held_bytes {
            self.spill()
        } else {
            Ok(())
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.disk.make_folder(&self.scratch)?;
        let path = self.scratch.join(format!("users_{:04}", self.runs.len()));
        let file = disk::create_anew(self.disk, &path)?;
        let mut file = BufWriter::with_capacity(SPILL_BUFFER_BYTES, file);
        for (_, row, text) in in_order(&self.held) {
            write_row(&mut file, &row.author, &row.rank, text)?;
        }
        file.flush()?;
        self.held = Vec::new();
        self.held_bytes = 0;
        self.runs.push(path);
        Ok(())
    }

    /// Gives every author's row, in order, and removes what was on the disk.
    pub fn finish(self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut one = One::new(self.join);
        let mut give = |row: Option<Cow<'_, [u8]>>| row.map_or(Ok(()), |row| each(&row));
        if self.runs.is_empty() {
            for (_, row, text) in in_order(&self.held) {
                give(one.take(&row.author, text.into()))?;
            }
            return give(one.end());
        }
        let mut sources: Vec<Source<'_>> = Vec::new();
        for path in &self.runs {
            let file = BufReader::with_capacity(SPILL_BUFFER_BYTES, self.disk.open(path)?);
            let owned = |(author, rank, text)| (author, rank, Cow::Owned(text));
            sources.push(Box::new(Spilled(file).map(move |row| row.map(owned))));
        }
        let held = in_order(&self.held).into_iter();
        let held = held.map(|(_, row, text)| {
            let (author, rank) = (row.author.clone(), row.rank.clone());
            Ok((author, rank, Cow::Borrowed(text)))
        });
        sources.push(Box::new(held));
        let mut heads = BinaryHeap::new();
        let mut refill = |heads: &mut BinaryHeap<_>, source: usize| {
            let next = sources.get_mut(source).and_then(Iterator::next);
            heads.extend(next.transpose()?.map(|(author, rank, text)| {
                Reverse(Head {
                    author,
                    rank: Reverse(rank),
                    source,
                    text,
                })
            }));
            io::Result::Ok(())
        };
        for source in 0..=self.runs.len() {
            refill(&mut heads, source)?;
        }
        // of each author the greatest comes first: it counts, or the earlier ones are joined with it
        while let Some(Reverse(head)) = heads.pop() {
            refill(&mut heads, head.source)?;
            give(one.take(&head.author, head.text))?;
        }
        give(one.end())?;
        drop(sources);
        for path in &self.runs {
            self.disk.remove(path)?;
        }
        self.disk.remove_folder(&self.scratch)
    }
}

/// A row with its author, and its text.
type Row<T> = (Key, Rank, T);

/// Rows in the order of their authors.
type Source<'a> = Box<dyn Iterator<Item = io::Result<Row<Cow<'a, [u8]>>>> + 'a>;

/// The next row of a source. The least comes first: of an author, the one that counts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head<'a> {
    author: Key,
    rank: Reverse<Rank>,
    source: usize,
    text: Cow<'a, [u8]>,
}

/// Writes a row so that [`Spilled`] reads it: the author's key, whether the record came with its author, its
/// time and key, the length of the row, and the row.
fn write_row(to: &mut impl io::Write, author: &Key, rank: &Rank, row: &[u8]) -> io::Result<()> {
    write_key(to, author)?;
    to.write_all(&[u8::from(rank.has_author)])?;
    to.write_all(&rank.at.0.to_le_bytes())?;
    write_key(to, &rank.key)?;
    to.write_all(&(row.len() as u64).to_le_bytes())?;
    to.write_all(row)
}

/// Whether it is a text; the number, or the text's length; the text.
fn write_key(to: &mut impl io::Write, key: &Key) -> io::Result<()> {
    let (is_text, number, text) = match key {
        Key::Number(number) => (false, *number, ""),
        Key::Text(text) => (true, text.len() as u64, &**text),
    };
    to.write_all(&[u8::from(is_text)])?;
    to.write_all(&number.to_le_bytes())?;
    to.write_all(text.as_bytes())
}

/// The rows of a sorted run.
struct Spilled<R>(R);

impl<R: io::BufRead> Spilled<R> {
    fn row(&mut self) -> io::Result<Option<Row<Vec<u8>>>> {
        if self.0.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let author = self.key()?;
        let has_author = self.byte()? != 0;
        let at = UtcMs(i64::from_le_bytes(self.eight()?));
        let key = self.key()?;
        let row_bytes = u64::from_le_bytes(self.eight()?);
        let rank = Rank {
            has_author,
            at,
            key,
        };
        Ok(Some((author, rank, self.bytes(row_bytes)?)))
    }

    fn key(&mut self) -> io::Result<Key> {
        let is_text = self.byte()? != 0;
        let number = u64::from_le_bytes(self.eight()?);
        if !is_text {
            return Ok(number.into());
        }
        let text = String::from_utf8(self.bytes(number)?).map_err(io::Error::other)?;
        Ok(text.as_str().into())
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    fn eight(&mut self) -> io::Result<[u8; 8]> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: io::BufRead> Iterator for Spilled<R> {
    type Item = io::Result<Row<Vec<u8>>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{source::key::number, world::disk::RealDisk};

    fn all(rows: &[(&str, bool, u64)], held_bytes_max: usize, join: Option<Join>) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("hour");
        let mut users = Users {
            held_bytes_max,
            ..Users::new(&RealDisk, &folder, join)
        };
        let mut unit = Rows::new(join);
        for (nth, &(author, has_author, post_id)) in rows.iter().enumerate() {
            // a field may have a line end in it, as far as this is concerned
            let csv = if join.is_some() {
                format!("{nth}\n").into_bytes()
            } else {
                format!("{author},{has_author},{post_id},\"row\n{nth}\"\n").into_bytes()
            };
            let key = number(author).map_or_else(|| author.into(), Key::from);
            let rank = Rank {
                has_author,
                at: UtcMs(0),
                key: post_id.into(),
            };
            unit.put(key, rank, |to| to.extend(csv));
            // units of one row and of two
            if nth % 3 != 1 {
                let unit = std::mem::replace(&mut unit, Rows::new(join));
                users.take(unit.sorted()).unwrap();
            }
        }
        users.take(unit.sorted()).unwrap();
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
            ("10", true, 5),
            ("9", false, 8),
            ("10", false, 9),
            ("10", true, 7),
            ("10", true, 6),
        ];
        assert_eq!(
            all(&rows, usize::MAX, None),
            ["9,false,8,\"row\n1\"\n", "10,true,7,\"row\n3\"\n"]
        );
    }

    /// Numbers, and what is none.
    const AUTHORS: [&str; 8] = [
        "1",
        "2",
        "10",
        "18446744073709551615",
        "one",
        "x",
        "é",
        "\n",
    ];

    proptest! {
        #[test]
        fn what_went_to_the_disk_makes_no_difference(
            rows in proptest::collection::vec((0_usize..8, any::<bool>(), 0_u64..20), 0..60)
        ) {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(author, has_author, post_id)| (AUTHORS[author], has_author, post_id))
                .collect();
            prop_assert_eq!(all(&rows, 500, None), all(&rows, usize::MAX, None));
        }

        #[test]
        fn rows_are_joined_in_the_order_of_their_records_wherever_they_were(
            mut rows in proptest::collection::vec((0_usize..8, 0_u64..1_000_000), 0..60)
        ) {
            // no two are of one record
            rows.sort_by_key(|(_, post_id)| *post_id);
            rows.dedup_by_key(|(_, post_id)| *post_id);
            let join: Join = |earlier, later| vec![[earlier.join(""), later.join("")].join(" ")];
            let numbered = rows.iter().zip(0_u64..);
            let in_order: Vec<_> = numbered.map(|((author, _), nth)| (AUTHORS[*author], true, nth)).collect();
            let mut expected: Vec<(Key, String)> = Vec::new();
            for author in AUTHORS {
                let of_author = in_order.iter().filter(|row| row.0 == author);
                let rows: Vec<String> = of_author.map(|row| row.2.to_string()).collect();
                if !rows.is_empty() {
                    let key = number(author).map_or_else(|| author.into(), Key::from);
                    expected.push((key, rows.join(" ") + "\n"));
                }
            }
            expected.sort();
            let expected: Vec<String> = expected.into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(all(&in_order, 300, Some(join)), expected.clone());
            prop_assert_eq!(all(&in_order, usize::MAX, Some(join)), expected);
        }
    }
}
