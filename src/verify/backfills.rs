//! Checks the holes that an hour's backfills are said to have closed against the seconds that it says are covered.

use std::path::Path;

use super::problem::Problems;
use crate::{cover::seconds, vault::manifest::HourSaid};

/// Checks it.
pub(super) fn check(path: &Path, said: &HourSaid, problems: &mut Problems) {
    let count = seconds::count(&said.intervals);
    for backfill in &said.backfills {
        let (server, at) = (&backfill.server, backfill.connected);
        let Some(covered) = said.coverage.servers.get(server) else {
            let what =
                format!("it has a backfill of server {server}, which is not in its coverage");
            problems.wrong(path, what);
            continue;
        };
        let (Some(hole), Some((covered, _))) = (&backfill.hole, covered.bits(count)) else {
            continue;
        };
        if at < hole.end || !hole.is_as(&said.intervals, &covered) {
            problems.wrong(
                path,
                format!("the hole before the connection of server {server} at {at} is not what its seconds say"),
            );
        }
    }
}
