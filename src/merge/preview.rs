//! What a merge would do, without doing anything.

use serde::Serialize;

use super::{
    job::{MergeError, MergeJob, Step},
    outcome::Planned,
    plan::{self, Decision},
    retention::Needs,
    spool_segments::Unusable,
};
use crate::vault::{deleted::Deleted, identity::Identity, redactions::Redactions};

/// What a merge would do.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// Hours that would be merged, or held back.
    pub hours: Vec<Planned>,
    /// What would not be used.
    pub unusable: Vec<Unusable>,
    /// Segments that would be compressed, as things are now.
    pub compress: u64,
    /// Segments that would be deleted, as things are now.
    pub delete: u64,
}

impl MergeJob<'_> {
    /// What a merge would do, without doing anything.
    pub fn plan(&self, tell: &mut dyn FnMut(Step<'_>)) -> Result<Plan, MergeError> {
        let zone = self.settings.timezone.name();
        let known = Identity::check(self.disk, self.vault, zone, self.stream.word)?;
        let redactions = Redactions::read(self.disk, self.vault, self.stream.source)?;
        let index_dir = self.index_dir();
        // nothing is taken out now
        let nothing = Redactions::none(self.stream.source);
        let indexes = self.indexes(&index_dir, false, &nothing);
        let deleted = Deleted::read(self.disk, self.vault, self.stream.source.deletions())?;
        let known = known.and_then(|known| known.first_hour);
        let look = self.look((known, None), &indexes, &deleted, tell)?;
        let mut hours = Vec::new();
        let mut needs = Needs::new(&look.spooled, &self.settings.timezone, |_| true);
        for candidate in &look.candidates {
            let inputs = plan::inputs(candidate, &look.spooled);
            let mut hour = Planned {
                hour: candidate.hour,
                segments: inputs.segments.len() as u64,
                lines: inputs.segments.iter().map(|input| input.taken).sum(),
                new_segments: 0,
                missing: Vec::new(),
            };
            let decided = self.decide(&look, candidate, (&redactions, &deleted));
            let merged = match &decided {
                Ok((Decision::Nothing, former)) => former.as_ref().map(|(m, _)| &m.inputs),
                _ => None,
            };
            needs.add(candidate, merged);
            if !self.has(candidate.hour) {
                continue;
            }
            match decided {
                Ok((Decision::Nothing | Decision::Wait, _)) => continue,
                Ok((Decision::Merge { segments, .. }, _)) => {
                    hour.new_segments = segments.len() as u64;
                }
                Ok((
                    Decision::HeldBack {
                        segments,
                        is_other: false,
                        ..
                    },
                    Some((former, _)),
                )) if former.names_posts() => {
                    hour.new_segments = segments.len() as u64;
                }
                Ok((Decision::HeldBack { missing, .. }, _)) => hour.missing = missing,
                Err(why) => hour.missing = vec![why.to_string()],
            }
            hours.push(hour);
        }
        let (compress, delete) = if self.asked.is_empty() {
            self.sweep(indexes).look(&needs, &look.spooled, &look.whole)
        } else {
            (0, 0)
        };
        Ok(Plan {
            hours,
            unusable: look.unusable,
            compress,
            delete,
        })
    }
}
