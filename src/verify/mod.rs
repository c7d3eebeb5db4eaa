//! Works everything in a vault, a day or an hour out again from the files alone, and says what does not hold.
//!
//! ```text
//! what was named ──survey──▶ hours ──hour──▶ rows, posts, coverage ─┐
//!                      └──▶ roots ──▶ whole: ledger, witness ───────┼──▶ found
//!                      └──▶ days ──▶ day: its files ────────────────┤
//!                      └──▶ roots ──▶ cite ─────────────────────────┘
//! ```
//!
//! It needs no configuration: zone and intervals are in the files. A copy of published files is recognised by what it
//! lacks: `vault.json`, and all files that are never published. In such a copy, what is there is checked, and what is
//! mentioned but missing is named: missing files are incomplete, contradictions are wrong.

/// What an hour's connections brought.
mod backfills;
/// A day that is being checked.
mod checked;

/// The files by which the archive is cited.
pub mod cite;
/// The collections that were requested.
pub mod collections;
/// Coverage, gaps and estimate of an hour.
pub mod coverage;
/// The files of a day.
pub mod day;
/// What those files say.
mod day_files;
/// How a text is not what it should be.
pub mod difference;
/// What was found, by day.
pub mod found;
/// One hour.
pub mod hour;
/// The ledger and the manifests of earlier revisions.
pub mod ledger;
/// The rows of an hour's Parquet file.
pub mod posts;
/// What does not hold.
pub mod problem;
/// The rows of an hour's other files.
pub mod rows;
/// The rules in force.
pub mod rules;
/// What is to be checked.
pub mod survey;
/// What hours have in common.
pub mod whole;
/// The stamps of the ledger.
pub mod witness;

/// What the hours of a survey come to, together with everything that they have in common.
pub fn together(
    disk: &dyn crate::world::disk::Disk,
    survey: &survey::Survey,
    hours: Vec<hour::HourFound>,
) -> found::Found {
    day::whole(disk, survey, hours).with(cite::check(disk, survey))
}
