//! The rules of the filtered stream, as the simulated API has them.

pub(super) use list::{BODY_BYTES_MAX, CHANGES_MAX, PATH, READS_MAX, RULES_MAX, Rule, Rules};

/// The list of an app, and the answers to requests that read or change it.
mod list;
/// One rule: its language, and which posts match.
mod rule;
