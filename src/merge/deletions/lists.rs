//! What the files of a committed hour say of records that may be deleted.

use crate::{
    merge::{
        hour::rejected::Kept,
        job::{MergeError, MergeJob},
    },
    period::{Hour, UtcMs, Zone},
    source::key::Key,
    vault::{
        layout::{self, FileKind},
        xz,
    },
    world::error_at::At as _,
};

/// When an hour begins.
pub(in crate::merge) fn begin(zone: &Zone, hour: Hour) -> UtcMs {
    let intervals = zone.intervals(hour);
    intervals.first().map_or(UtcMs(0), |first| first.begin)
}

/// The lists of a committed hour.
pub(super) struct HourLists<'a> {
    pub(super) job: &'a MergeJob<'a>,
    pub(super) hour: Hour,
}

impl HourLists<'_> {
    /// Gives the lines of a file, which may be missing.
    pub(super) fn each_line(
        &self,
        kind: FileKind,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), MergeError> {
        let path = layout::data_path(self.job.vault, self.hour, kind);
        let disk = self.job.disk;
        if disk.len(&path).at(&path)?.is_none() {
            return Ok(());
        }
        let mut lines = xz::Lines::new(|line: &[u8]| {
            each(line);
            Ok(())
        });
        let read = xz::read_through(disk, &path, 0, |piece| lines.take(piece));
        read.at(&path)?;
        Ok(())
    }

    pub(super) fn each_key_of(
        &self,
        kind: FileKind,
        each: &mut dyn FnMut(Key),
    ) -> Result<(), MergeError> {
        let source = self.job.stream.source;
        self.each_line(kind, &mut |line| {
            let listed = source.listed(str::from_utf8(line).unwrap_or_default());
            if let Some(listed) = listed {
                each(listed.key);
            }
        })
    }

    /// Gives the records that are listed or held back.
    pub(super) fn each_key(&self, each: &mut dyn FnMut(Key)) -> Result<(), MergeError> {
        self.each_key_of(FileKind::Ids, each)?;
        self.each_key_of(FileKind::Held, each)
    }

    /// Gives the lines that are not records, as they were received.
    pub(super) fn each_rejected(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), MergeError> {
        self.each_line(FileKind::Rejected, &mut |line| {
            if let Ok(kept) = serde_json::from_slice::<Kept>(line) {
                each(&kept.received());
            }
        })
    }
}
