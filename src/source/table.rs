//! The CSV files of an hour, and what is said of all files.

/// A CSV file of an hour.
#[derive(Debug)]
pub struct Table {
    /// What its name has after the hour and before `.csv.xz`.
    pub name: &'static str,
    /// What a row is, for the data dictionary.
    pub row: &'static str,
    /// Names and meanings of the columns, in order.
    pub columns: &'static [(&'static str, &'static str)],
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
