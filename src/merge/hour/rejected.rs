//! Lines that are not posts, kept verbatim in `rejected.jsonl`.
//!
//! One JSON object a line: `reason`, `server`, `segment`, `retrieved_at` (or null), and the line as
//! received: `line` if it is UTF-8, else `line_base64`. In the order of segments and lines.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    context::{DataFile, HourContext},
    dedupe::Tally,
    due::DueHour,
    summary::RejectedLines,
    taken_out::Out,
    uncommitted::HourError,
    units::Segment,
};
use crate::{
    merge::{
        deletions,
        runs::{LineRun, RunKey, read_run},
    },
    period::UtcMs,
    segment::{
        line,
        name::{Leg, SegmentName, ServerId},
        raw,
    },
    source::{Rejected, Source},
    vault::{
        commit::HourOfVault,
        layout::FileKind,
        manifest::{Output, SegmentInput},
    },
    world::error_at::At as _,
};

/// What one line of the file says of itself.
#[derive(Deserialize)]
pub struct Kept {
    /// Why it is no post.
    pub reason: Rejected,
    /// Whose it is.
    pub server: ServerId,
    /// From which segment.
    pub segment: SegmentName,
    /// The line, if it is UTF-8.
    line: Option<String>,
    /// The line, if it is not.
    line_base64: Option<String>,
}

impl Kept {
    /// The line as received.
    pub fn received(&self) -> Vec<u8> {
        let decoded = self
            .line_base64
            .as_ref()
            .and_then(|text| STANDARD.decode(text).ok());
        let line = self.line.as_ref().map(|text| text.clone().into_bytes());
        line.or(decoded).unwrap_or_default()
    }
}

/// One line of the file.
#[derive(Serialize)]
struct Row<'a> {
    reason: &'a Rejected,
    server: &'a ServerId,
    segment: &'a SegmentName,
    retrieved_at: Option<UtcMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

/// Appends one stored line (without its LF), and says why it is no post; `None` if it is one.
pub fn push(
    to: &mut Vec<u8>,
    source: &dyn Source,
    segment: &SegmentName,
    stored: &[u8],
) -> Option<Rejected> {
    let reason = source.place(stored).err()?;
    let cut = line::cut(stored);
    let received = cut.received();
    let (line, line_base64) = match str::from_utf8(&received) {
        Ok(text) => (Some(text), None),
        Err(_not_utf8) => (None, Some(STANDARD.encode(&received))),
    };
    let kept = Row {
        reason: &reason,
        server: &segment.server,
        segment,
        retrieved_at: cut.retrieved_at,
        line,
        line_base64,
    };
    // writing to memory what is made of texts
    if serde_json::to_writer(&mut *to, &kept).is_ok() {
        to.push(b'\n');
    }
    Some(reason)
}

impl HourContext<'_> {
    /// Writes the lines that are not posts, if there are any, in the order of their segments: those kept in the
    /// former revision, without those that stay out, and new ones.
    pub(super) fn write_rejected(
        &self,
        place: &HourOfVault<'_>,
        due: &DueHour,
        (servers, segments): (&[Leg], &[Segment]),
        (out, tally): (&mut Out, &mut Tally),
    ) -> Result<(RejectedLines, Option<Output>), HourError> {
        let mut counts = RejectedLines::new();
        let mut data_file: Option<DataFile> = None;
        let since = deletions::begin(self.zone, due.hour);
        let mut write = |lines: &[u8], server: usize, reasons: &[Rejected]| {
            if reasons.is_empty() {
                return Ok(());
            }
            for reason in reasons {
                *counts.entry((server, reason.clone())).or_default() += 1;
            }
            let data_file = match &mut data_file {
                Some(data_file) => data_file,
                none => none.insert(self.data_file(place, FileKind::Rejected, due)?),
            };
            data_file.write(lines)
        };
        let inputs = due.fresh(|inputs| &inputs.segments);
        let mut fresh = segments.iter().zip(inputs).peekable();
        if let Some(manifest) = &due.former {
            let former = self.former(due, servers);
            former.lines(FileKind::Rejected, manifest, |line| {
                let kept: Kept = serde_json::from_slice(line)?;
                while let Some((segment, input)) =
                    fresh.next_if(|(_, input)| input.name < kept.segment)
                {
                    let deleted = self.rejected_of((segment, input), since, &mut write);
                    tally.add_deleted(segment.server, deleted.map_err(io::Error::other)?);
                }
                let server = servers.iter().position(|leg| kept.segment.is_of(leg));
                let server = server.unwrap_or(0);
                let received = kept.received();
                if self.indexes.redactions.are_named_in(&received) {
                    out.redacted.rejected(server);
                    return Ok(());
                }
                if self.deleted.are_named_in(&received, since) {
                    out.deleted.rejected(server);
                    return Ok(());
                }
                let line = [line, b"\n"].concat();
                write(&line, server, &[kept.reason]).map_err(io::Error::other)
            })?;
        }
        for (segment, input) in fresh {
            let deleted = self.rejected_of((segment, input), since, &mut write)?;
            tally.add_deleted(segment.server, deleted);
        }
        let written = data_file
            .map(|data_file| data_file.finish(due.hour))
            .transpose()?;
        Ok((counts, written.map(|written| written.output)))
    }

    /// Takes the lines of a segment that are not posts, without those of deleted records, and returns their number.
    fn rejected_of(
        &self,
        (segment, input): (&Segment, &SegmentInput),
        since: UtcMs,
        write: &mut impl FnMut(&[u8], usize, &[Rejected]) -> Result<(), HourError>,
    ) -> Result<u64, HourError> {
        let source = self.indexes.redactions.source;
        let mut deleted = 0;
        for run in segment
            .runs
            .iter()
            .filter(|run| run.key == RunKey::Rejected)
        {
            let text = self.read_run(&segment.path, run)?;
            let text = text.strip_suffix(b"\n").unwrap_or(&text);
            let mut kept = Vec::new();
            let mut stays = |stored: &&[u8]| {
                let is_deleted = self.deleted.are_named_in(stored, since);
                deleted += u64::from(is_deleted);
                !is_deleted
            };
            let reasons: Vec<Rejected> = text
                .split(|&byte| byte == b'\n')
                .filter(&mut stays)
                .filter_map(|stored| push(&mut kept, source, &input.name, stored))
                .collect();
            write(&kept, segment.server, &reasons)?;
        }
        Ok(deleted)
    }

    fn read_run(&self, path: &Path, run: &LineRun) -> Result<Vec<u8>, HourError> {
        let mut text = Vec::new();
        let file = raw::open(self.indexes.disk, path);
        let read = file.and_then(|mut file| read_run(&mut *file, run, &mut text));
        read.at(path).map_err(HourError::Segment)?;
        Ok(text)
    }
}
