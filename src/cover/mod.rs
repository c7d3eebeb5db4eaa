//! What an archive has, second by second, what it missed, and why. Values only: no files, no clock. Nothing else decides about a second.
//! ```text
//! events files ──evidence──▶ a timeline for each server ──┐
//! posts of each second ────────────────────────────────────┴─account──▶ coverage, gaps, partial seconds
//! posts of the seconds that two servers both covered ──estimate──▶ how many both missed
//! ```

/// Decides on coverage and gaps, from the posts of each second and the timelines.
pub mod account;
/// In which seconds two servers were sent the same.
pub mod alike;
/// Which copies came by backfill, and what each backfill brought.
pub mod backfill;
/// The closed list of causes, and which one holds for all servers together.
pub mod cause;
/// Converts a server's stamps to the posts' clock.
pub mod clock;
/// Which collections were asked for in which seconds.
pub mod collections;
/// How many posts two servers both missed.
pub mod estimate;
/// The state of a server's connection at every instant, from its events files.
pub mod evidence;
/// Runs of uncovered seconds, and how they are joined.
pub mod gap;
/// Between which of the platform's times everything has come.
pub mod listened;
/// Where a stream comes in partitions.
pub mod part;
/// Which seconds without a post are quiet.
pub mod quiet;
/// How often posts come, and which silences that explains.
pub mod rate;
/// Why nothing comes in, from the events' words.
pub mod reason;
/// Which rules were in force in which seconds, where rules choose what a stream brings.
pub mod rules;
/// What holds for whole runs of uncovered seconds.
pub mod run_causes;
/// Why a leg does not have a second.
mod second_causes;
/// The seconds of an hour, and which of them are covered.
pub mod seconds;
/// Which silences are surprising, with the posts that straggle in.
pub mod stretch;
/// Stretches of seconds throughout which the same holds.
pub mod throughout;
/// The milliseconds that the sample is taken from.
pub mod window;
