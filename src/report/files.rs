//! The files of a day, each made of its statement.

use super::{certificate, picture, readme, statement::Statement};
use crate::vault::{day, public::DayFile};

/// Those that `report` writes, in its order: the statement comes last, so what it speaks of is there.
pub const REPORTED: [DayFile; 4] = [
    DayFile::Picture,
    DayFile::Readme,
    DayFile::Certificate,
    DayFile::Statement,
];

/// What a file says.
pub fn text(statement: &Statement, file: DayFile) -> String {
    match file {
        DayFile::Certificate => certificate::text(statement),
        DayFile::Picture => picture::svg(statement),
        DayFile::Readme => readme::text(statement),
        DayFile::Statement => String::from_utf8_lossy(&statement.to_json()).into_owned(),
        DayFile::Report | DayFile::Gaps | DayFile::Exposure => {
            day::table(file, &statement.hours).unwrap_or_default()
        }
    }
}
