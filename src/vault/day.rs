//! The files of a day: report, gaps, exposure. Functions of the day's manifests: rewritten whole, never
//! appended to.

use std::path::Path;

use super::{
    csv, layout,
    manifest::{HourSaid, MANIFEST_BYTES_MAX, ManifestError, MinuteRow},
    public::{DayFile, Public},
    report,
};
use crate::{
    cover::{
        gap::{self, Gap},
        seconds,
    },
    period::{Day, Hour, UtcMs},
    world::{
        disk::{self, Disk},
        error_at::{At as _, ErrorAt},
    },
};

/// Why a day's file could not be written: the file, or one of the day's manifests.
pub type DayError = ErrorAt<ManifestError>;

/// The hour whose manifest it is about, if it is one.
pub fn hour_of(why: &DayError) -> Option<Hour> {
    layout::hour_of_manifest(why.path.file_name()?.to_str()?)
}

/// Rewrites the files of a day from the manifests that are in place.
pub fn write(disk: &dyn Disk, vault: &Path, day: Day) -> Result<(), DayError> {
    let hours = hours_in(disk, &layout::day_folder(vault, day), day)?;
    for file in TABLES {
        let path = Public::Day(day, file).path(vault);
        let text = table(file, &hours).unwrap_or_default();
        let put = disk::put(disk, &path, text.as_bytes());
        put.map_err(ManifestError::from).at(&path)?;
    }
    Ok(())
}

/// What the manifests in a day's folder say, in the order of their hours.
pub fn hours_in(disk: &dyn Disk, folder: &Path, day: Day) -> Result<Vec<HourSaid>, DayError> {
    let entries = disk.list(folder).map_err(ManifestError::from).at(folder)?;
    let mut hours: Vec<HourSaid> = Vec::new();
    for entry in entries
        .iter()
        .filter(|e| layout::hour_of_manifest(&e.name).is_some_and(|hour| hour.day() == day))
    {
        let path = folder.join(&entry.name);
        let bytes = disk::read_bounded(disk, &path, MANIFEST_BYTES_MAX);
        let bytes = bytes.map_err(ManifestError::from).at(&path)?;
        hours.push(
            serde_json::from_slice(&bytes)
                .map_err(ManifestError::from)
                .at(&path)?,
        );
    }
    hours.sort_by_key(|hour| hour.hour);
    Ok(hours)
}

/// The files of a day that are written with every revision.
pub const TABLES: [DayFile; 3] = [DayFile::Report, DayFile::Gaps, DayFile::Exposure];

/// One of these, made of what the day's hours say; `None` for another file.
pub fn table(file: DayFile, hours: &[HourSaid]) -> Option<String> {
    match file {
        DayFile::Report => Some(report::text(hours)),
        DayFile::Gaps => Some(gaps_text(&gap::join(hours.iter().flat_map(|h| &h.gaps)))),
        DayFile::Exposure => Some(exposure_text(hours)),
        DayFile::Certificate | DayFile::Picture | DayFile::Readme | DayFile::Statement => None,
    }
}

/// Gaps as CSV, one a line.
pub fn gaps_text(gaps: &[Gap]) -> String {
    let mut text = b"server,begin,end,seconds,cause,detail\n".to_vec();
    for gap in gaps {
        let row = [
            gap.server.clone(),
            gap.begin.to_string(),
            gap.end.to_string(),
            gap.seconds().to_string(),
            gap.cause.to_string(),
            gap.detail.clone(),
        ];
        csv::push_row(&mut text, row.iter().map(String::as_str));
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// For each minute the seconds that any server covered, and the posts: the offset for count models.
fn exposure_text(hours: &[HourSaid]) -> String {
    let mut text = b"hour,minute,seconds_covered,posts\n".to_vec();
    for hour in hours {
        let label = hour.hour.to_string();
        let mut covered = covered_by_minute(hour).into_iter();
        let begins = hour.coverage.union.begins;
        for MinuteRow { minute, posts, .. } in &hour.minutes.rows {
            let covered = covered.next().unwrap_or(0);
            // before the beginning nobody watched
            if begins.is_some_and(|begins| minute.end() <= begins) {
                continue;
            }
            let row = [
                label.clone(),
                minute.to_string(),
                covered.to_string(),
                posts.to_string(),
            ];
            csv::push_row(&mut text, row.iter().map(String::as_str));
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The covered seconds of the union in each minute of an hour.
fn covered_by_minute(hour: &HourSaid) -> Vec<u64> {
    let bits = hour.coverage.union.bits(seconds::count(&hour.intervals));
    let covered = bits.map(|(covered, _)| covered).unwrap_or_default();
    let begins = hour.coverage.union.begins;
    let seconds = seconds::all(&hour.intervals).zip(covered);
    let seconds: Vec<(i64, bool)> = seconds
        .map(|(second, covered)| (second, covered && seconds::counts(begins, second)))
        .collect();
    let minute = |second: i64| UtcMs(second * 1_000).minute();
    seconds
        .chunk_by(|a, b| minute(a.0) == minute(b.0))
        .map(|minute| minute.iter().filter(|(_, covered)| *covered).count() as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cover::cause::Cause;

    #[test]
    fn gaps_look_like_this() {
        let gap = Gap {
            server: "union".to_owned(),
            partitions: Vec::new(),
            begin: "2026-11-23T14:05:09Z".parse().unwrap(),
            end: "2026-11-23T14:06:10Z".parse().unwrap(),
            cause: Cause::PlatformDisconnect,
            detail: "a \"word\", and more".to_owned(),
        };
        assert_eq!(
            gaps_text(&[gap]),
            "server,begin,end,seconds,cause,detail\n\
             union,2026-11-23T14:05:09.000Z,2026-11-23T14:06:10.000Z,61,platform disconnect,\"a \"\"word\"\", and more\"\n"
        );
    }
}
