//! The CSV files of an hour, and the texts on all files.

use std::borrow::Cow;

use super::record::Difference;

/// The lists that a record can be in, beside `posts.parquet`, which has every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// `IDs.txt`.
    Ids,
    /// The table of records.
    Table,
    /// `deletions.txt`.
    Deletions,
    /// `held.txt`: records that are held back are here and not in `IDs.txt`.
    Held,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ids, Self::Table, Self::Deletions, Self::Held];
}

/// Makes one row of two; the first is of earlier records. The result is the same however many rows are joined, and in
/// whatever portions.
pub type Join = fn(earlier: Vec<String>, later: Vec<String>) -> Vec<String>;

/// Name and meaning of a column.
pub type Named = (&'static str, &'static str);

/// One list of columns after the other.
pub const fn joined<const N: usize>(first: &[Named], second: &[Named]) -> [Named; N] {
    assert!(
        first.len() + second.len() == N,
        "every column has its place"
    );
    let mut all = [("", ""); N];
    let (begin, end) = all.split_at_mut(first.len());
    begin.copy_from_slice(first);
    end.copy_from_slice(second);
    all
}

/// A CSV file of an hour.
#[derive(Debug)]
pub struct Table {
    /// What its name has after the hour and before `.csv.xz`.
    pub name: &'static str,
    /// What a row is, for the data dictionary.
    pub row: &'static str,
    /// Names and meanings of the columns, in order.
    pub columns: &'static [Named],
    /// The column that says when the row's copy was received, which is no part of the record.
    pub retrieved_at: &'static str,
}

impl Table {
    /// The header line of the file, with its LF.
    pub fn header(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        format!("{}\n", names.join(","))
    }
}

/// What the data dictionary says of the files as a whole.
#[derive(Debug)]
pub struct Dictionary {
    /// The page in `docs/`.
    pub page: &'static str,
    /// What a line of `IDs.txt` is.
    pub ids: &'static str,
    /// What a row of `posts.parquet` is, and where the names of its columns come from.
    pub posts: &'static str,
}

/// In which columns rows of a table differ. When a copy was received is no part of what it says.
pub fn differing<'r>(
    table: &Table,
    kept: Vec<Cow<'r, str>>,
    other: Vec<Cow<'r, str>>,
) -> Vec<Difference<'r>> {
    let columns = table.columns.iter().zip(kept.into_iter().zip(other));
    let columns = columns.filter(|((name, _), (a, b))| *name != table.retrieved_at && a != b);
    columns.map(|((name, _), (a, b))| (*name, [a, b])).collect()
}
