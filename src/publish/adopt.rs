//! Finds the lines that the diary lacks for a file that is public.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    answer::RemoteEntry,
    job::PublishJob,
    plan::{self, IdsOfHour, Wanted},
    upload::{GaveUp, RetryingClient},
};
use crate::{
    period::Hour,
    segment::sha256::Sha256,
    vault::{
        layout::{self, FileKind},
        manifest::Manifest,
        public::Public,
        published::{self, Published},
    },
};

/// Whether a wanted file is one of ids.
pub(super) fn hour_of_ids(what: Public) -> Option<Hour> {
    match what {
        Public::Ids(hour) => Some(hour),
        _ => None,
    }
}

/// The diary's lines for a file that is public and that it does not know. An ids file with several
/// versions became public bit by bit: each version whose hash a manifest names has its own line.
pub(super) fn adopt(
    job: &PublishJob<'_>,
    client: &mut RetryingClient<'_>,
    diary: &Published,
    wanted: &Wanted,
    entry: &RemoteEntry,
) -> Result<Vec<published::DiaryEntry>, GaveUp> {
    let line = |time, revision, sha256: Sha256, new_ids| published::DiaryEntry {
        time,
        hour: wanted.what.hour(),
        revision,
        file: wanted.what.name(),
        sha256,
        new_ids,
    };
    let time = entry.modified.unwrap_or_else(|| job.clock.now());
    let once = || vec![line(time, wanted.revision, wanted.sha256, wanted.new_ids)];
    let (Some(hour), Some(last), Some(place)) =
        (hour_of_ids(wanted.what), wanted.revision, &entry.place)
    else {
        return Ok(once());
    };
    if entry.version <= 1 || diary.revision(hour).is_some() {
        return Ok(once());
    }
    let mut versions = client.with_retries(|osf| osf.versions(place))?;
    versions.sort_by_key(|(_, at)| *at);
    let revisions = revisions(job, hour, last);
    let ids_of = revisions.iter();
    let ids_of: BTreeMap<u64, IdsOfHour> = ids_of.map(|(n, (_, ids))| (*n, *ids)).collect();
    let mut lines = Vec::new();
    let mut public = None;
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    for (sha256, at) in versions {
        let of = revisions.iter().find(|(_, (ids, _))| *ids == sha256);
        if let Some((revision, _)) = of.filter(|(revision, _)| seen.insert(**revision)) {
            let new_ids = plan::new_ids(&ids_of, public, *revision);
            lines.push(line(at, Some(*revision), sha256, new_ids));
            public = Some(*revision);
        }
    }
    // the present file must be among them
    let is_told = lines
        .last()
        .is_some_and(|line| line.sha256 == wanted.sha256);
    Ok(if is_told { lines } else { once() })
}

/// The hash of the ids file and how many ids there are, of each revision that the vault still describes.
fn revisions(job: &PublishJob<'_>, hour: Hour, last: u64) -> BTreeMap<u64, (Sha256, IdsOfHour)> {
    let mut found = BTreeMap::new();
    for revision in 1..=last {
        let path = if revision == last {
            layout::manifest_path(job.vault, hour)
        } else {
            layout::archived_path(job.vault, hour, revision)
        };
        match Manifest::read(job.disk, &path) {
            Ok(manifest) => {
                let name = FileKind::Ids.name(hour);
                let mut outputs = manifest.outputs.iter();
                if let Some(ids) = outputs.find(|output| output.name == name) {
                    found.insert(revision, (ids.sha256, IdsOfHour::of(&manifest)));
                }
            }
            Err(why) => tracing::warn!("{}: {why}", path.display()),
        }
    }
    found
}
