//! What this machine lacks, said so that it is seen: the test runner keeps back what a passing test
//! prints, but not what goes to standard error by hand.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

/// Says that the rest of a test is passed over.
pub(crate) fn skipped(why: &str) {
    let line = format!("SKIPPED: {why}\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
    // scripts/test says it once more at its end
    if let Some(list) = std::env::var_os("TWINSTREAM_SKIPPED") {
        let list = fs::OpenOptions::new().append(true).create(true).open(list);
        list.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// The file with real events of Bluesky, if there is one.
pub(crate) fn bluesky_events() -> Option<PathBuf> {
    let file = std::env::var_os("TWINSTREAM_BLUESKY_EVENTS").map(PathBuf::from);
    if file.is_none() {
        skipped("TWINSTREAM_BLUESKY_EVENTS names no file with real events of Bluesky");
    }
    file
}

/// The folder with real posts, if there is one.
pub(crate) fn real_posts() -> Option<PathBuf> {
    let folder = std::env::var_os("TWINSTREAM_REAL_POSTS").map(PathBuf::from);
    if folder.is_none() {
        skipped("TWINSTREAM_REAL_POSTS names no folder with real posts");
    }
    folder
}
