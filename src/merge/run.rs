//! One merge of everything that is due: lists the segments, finishes half-done commits, plans, and merges hour after
//! hour. An hour that fails is reported, and does not stop the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use super::{
    deletions::Honour,
    hour::{context::HourContext, due::DueHour, make, uncommitted::HourError},
    index::Indexes,
    job::{MergeError, MergeJob, Step},
    look::Look,
    outcome::{CommittedHour, FailedHour, MergeOutcome},
    plan::{self, Candidate, Decision, SpoolSegment},
    retention::Needs,
};
use crate::{
    period::Hour,
    place::segments::Elsewhere,
    segment::{name::SegmentName, sha256::Sha256},
    text::plural,
    vault::{
        commit::{self, ManifestBytes},
        commit_error::CommitError,
        deleted::Deleted,
        identity::Identity,
        ledger::Ledger,
        manifest::{History, Inputs, Manifest},
        redactions::Redactions,
    },
    world::error_at::{At as _, ErrorAt},
};

/// Merged hours may report deletions themselves, and others may have lacked something that is here since: so the hours are
/// examined again up to this often, fewer each time.
const PASSES_MAX: usize = 8;

/// An hour that was examined.
#[derive(Default)]
struct Handled {
    /// The result, if it was committed now.
    committed: Option<CommittedHour>,
    /// The inputs of its latest revision, if nothing is left to merge.
    inputs: Option<Inputs>,
}

impl Handled {
    /// Whether nothing is left to do about it.
    const fn is_settled(&self) -> bool {
        self.inputs.is_some() && self.committed.is_none()
    }
}

impl MergeJob<'_> {
    /// What is to be done about an hour, and the manifest of its latest revision.
    pub(super) fn decide(
        &self,
        look: &Look,
        candidate: &Candidate,
        (redactions, deleted): (&Redactions, &Deleted<'_>),
    ) -> Result<(Decision, Option<ManifestBytes>), CommitError> {
        let place = self.place(candidate.hour);
        let former = if look.committed.contains(&candidate.hour) {
            place.current()?
        } else {
            None
        };
        let asked = self.asked.contains(&candidate.hour);
        let inputs = former.as_ref().map(|(manifest, _)| &manifest.inputs);
        let when = self.when(look.span, look.now);
        let mut decision = plan::decide(candidate, &look.spooled, inputs, asked, &when);
        if let (Decision::Nothing, Some((manifest, _))) = (&decision, &former)
            && (manifest.redactions != redactions.of_hour(candidate.hour)
                || self.is_outdated(candidate.hour, deleted))
        {
            let missing = plan::gone(&manifest.inputs, &look.spooled);
            let (segments, events) = (Vec::new(), Vec::new());
            decision = if missing.is_empty() {
                Decision::Merge { segments, events }
            } else {
                // the rows are what it is taken out of
                let is_other = false;
                Decision::HeldBack {
                    missing,
                    segments,
                    events,
                    is_other,
                }
            };
        }
        Ok((decision, former))
    }

    /// Merges until no hour lacks anything that is elsewhere; and if deletions are honoured now, until none brings new ones.
    pub fn run(&self, tell: &mut dyn FnMut(Step<'_>)) -> Result<MergeOutcome, MergeError> {
        let is_new = |of: &MergeOutcome| {
            0 < of.brought || self.honour == Honour::Now && !of.committed.is_empty()
        };
        let mut outcome = self.run_once(tell)?;
        let mut again = is_new(&outcome);
        for _ in 1..PASSES_MAX {
            if !again {
                break;
            }
            let later = self.run_once(tell)?;
            again = is_new(&later);
            outcome = outcome.then(later);
        }
        Ok(outcome)
    }

    fn run_once(&self, tell: &mut dyn FnMut(Step<'_>)) -> Result<MergeOutcome, MergeError> {
        // before the segments are listed: a half-done commit would look damaged
        match self.scrubber().finish() {
            Ok(()) => self.run_finished(tell),
            // it is finished here; nothing else may be taken out before it is finished in the store too
            Err(why) if why.is_away() => {
                tracing::warn!("what was taken out here is still in the object store: {why}");
                let elsewhere = Elsewhere::Away;
                MergeJob { elsewhere, ..*self }.run_finished(tell)
            }
            Err(why) => Err(why.into()),
        }
    }

    fn run_finished(&self, tell: &mut dyn FnMut(Step<'_>)) -> Result<MergeOutcome, MergeError> {
        let zone = self.settings.timezone.name();
        let identity = Identity::check(self.disk, self.vault, zone, self.stream.word)?;
        let mut identity =
            identity.ok_or_else(|| ErrorAt::new(self.vault, io::ErrorKind::NotFound))?;
        let mut ledger = Ledger::open(self.disk, self.vault)?;
        let mut outcome = MergeOutcome::default();
        self.finish_half_done(&mut ledger, &mut outcome)?;
        let index_dir = self.index_dir();
        let mut redactions = Redactions::read(self.disk, self.vault, self.stream.source)?;
        outcome.swept.deleted = {
            let indexes = self.indexes(&index_dir, true, &redactions);
            self.sweep(indexes).finish()?
        };
        let scratch = self.data_dir.join("scratch");
        make::clear_scratch(self.disk, &scratch).at(&scratch)?;
        let mut deleted = self.deleted(&ledger)?;
        let look = self.look_redacted(
            (identity.first_hour, &ledger),
            (&mut redactions, &deleted),
            &mut outcome,
            tell,
        )?;
        let indexes = self.indexes(&index_dir, true, &redactions);
        if let Some(first) = look.span.first_hour {
            identity.begin_at(self.disk, self.vault, first)?;
        }
        outcome.unusable.clone_from(&look.unusable);
        let context = HourContext {
            indexes,
            deleted: &deleted,
            vault: self.vault,
            commits: self.commits,
            scratch: &scratch,
            zone: &self.settings.timezone,
            compress: self.compress,
            parquet: self.settings.parquet,
            threads: self.threads,
            unit_bytes: self.unit_bytes,
        };
        tell(Step::Hours(look.candidates.len()));
        let mut needs = self.needs(&look);
        let (mut done, mut settled) = (BTreeSet::new(), BTreeMap::new());
        for candidate in &look.candidates {
            let is_broken = |failed: &FailedHour| failed.hour == candidate.hour;
            let handled = if outcome.failed.iter().any(is_broken) {
                Handled::default()
            } else {
                self.hour(&context, &look, candidate, &mut ledger, &mut outcome)?
            };
            needs.add(candidate, handled.inputs.as_ref());
            if handled.is_settled() {
                settled.insert(candidate.hour, ledger.revision(candidate.hour));
            }
            done.extend(handled.inputs.is_some().then_some(candidate.hour));
            tell(Step::Hour(handled.committed.as_ref()));
            outcome.committed.extend(handled.committed);
        }
        deleted.are_done(&done)?;
        // whoever asks for hours waits for them; and of the others nothing was heard
        if self.asked.is_empty() {
            let finished = outcome.swept.deleted;
            let (sweep, closed) = (self.sweep(indexes), &look.spool.closed);
            let mut whole = look.whole.clone();
            let of = (&*look.spooled, closed);
            outcome.swept = sweep.run(&needs, of, &ledger, &mut whole);
            outcome.swept.deleted += finished;
            self.close_days(&look, (&settled, &whole), &indexes);
        }
        Ok(outcome)
    }

    fn needs<'a>(&'a self, look: &'a Look) -> Needs<'a> {
        let is_open = |segment: &SpoolSegment| look.spool.is_open(segment);
        Needs::new(&look.spooled, &self.settings.timezone, is_open)
    }

    /// Every hour that a crash may have left half done.
    fn finish_half_done(
        &self,
        ledger: &mut Ledger,
        outcome: &mut MergeOutcome,
    ) -> Result<(), MergeError> {
        let half_done = commit::half_done(&mut self.listings(), ledger).at(self.vault)?;
        for hour in half_done {
            match self.place(hour).finish(ledger) {
                Ok(()) => {
                    tracing::info!("hour {hour} was left unfinished, and is complete now");
                    outcome.finished.push(hour);
                }
                Err(why) => outcome.fail(hour, &why.to_string(), true),
            }
        }
        Ok(())
    }

    /// Why an hour cannot follow its former revision, if it cannot.
    fn obstacle(&self, hour: Hour, former: Option<&Manifest>, ledger: &Ledger) -> Option<String> {
        let zone = &self.settings.timezone;
        if former.is_some_and(|former| former.intervals != zone.intervals(hour)) {
            return Some(format!(
                "it was committed with another UTC time than this version's rules of {} give it",
                zone.name()
            ));
        }
        let here = former.map_or(0, |former| former.history.revision);
        let known = ledger.revision(hour);
        (here < known).then(|| {
            format!(
                "the ledger has revision {known} of it, the folder has {here}: its manifest is missing"
            )
        })
    }

    /// Whether an hour that is due is this merge's.
    pub(super) fn has(&self, hour: Hour) -> bool {
        self.share.is_none_or(|share| share.has(&hour))
    }

    fn leaves(&self, hour: Hour, outcome: &mut MergeOutcome) -> bool {
        outcome.left += u64::from(!self.has(hour));
        !self.has(hour)
    }

    /// Whether there is too little space for another hour.
    fn is_full(&self, outcome: &mut MergeOutcome) -> Result<bool, MergeError> {
        let free = self.disk.free(self.vault).at(self.vault)?;
        let keep = self.settings.keep_free;
        if keep <= free {
            return Ok(false);
        }
        outcome.stopped = Some(format!(
            "too little space: {}: {free} bytes are free, merge.keep_free is {keep}",
            self.vault.display(),
        ));
        Ok(true)
    }

    fn hour(
        &self,
        context: &HourContext<'_>,
        look: &Look,
        candidate: &Candidate,
        ledger: &mut Ledger,
        outcome: &mut MergeOutcome,
    ) -> Result<Handled, MergeError> {
        let nothing = Handled::default();
        let hour = candidate.hour;
        let redactions = context.indexes.redactions;
        let (decision, former) = match self.decide(look, candidate, (redactions, context.deleted)) {
            Ok(decided) => decided,
            Err(why) => {
                outcome.fail(hour, &why.to_string(), true);
                return Ok(nothing);
            }
        };
        if look.is_unredacted(
            hour,
            former.as_ref().map(|(m, _)| m),
            &self.settings.timezone,
        ) {
            outcome.waiting += 1;
            return Ok(nothing);
        }
        let mut raw_is_gone = false;
        let (segments, events) = match decision {
            Decision::Nothing => {
                return Ok(Handled {
                    committed: None,
                    inputs: former.map(|(manifest, _)| manifest.inputs),
                });
            }
            Decision::Wait => {
                outcome.waiting += 1;
                return Ok(nothing);
            }
            Decision::HeldBack {
                missing,
                segments,
                events,
                is_other,
            } => {
                let has_rows = former.as_ref().is_some_and(|(m, _)| m.names_posts());
                if is_other || !has_rows {
                    self.hold_back(hour, &missing, outcome);
                    return Ok(nothing);
                }
                raw_is_gone = true;
                (segments, events)
            }
            Decision::Merge { segments, events } => (segments, events),
        };
        if outcome.stopped.is_some() || outcome.away || self.leaves(hour, outcome) {
            return Ok(nothing);
        }
        if self.is_full(outcome)? {
            return Ok(nothing);
        }
        let (former, bytes) = former.unzip();
        if let Some(why) = self.obstacle(hour, former.as_ref(), ledger) {
            outcome.fail(hour, &why, true);
            return Ok(nothing);
        }
        if self.is_elsewhere(hour, former.as_ref(), outcome)
            || !self.has_fetched(look, candidate, outcome)
        {
            return Ok(nothing);
        }
        let former = former.zip(bytes.map(|bytes| Sha256::of(&bytes)));
        let due = self.due(look, candidate, former, raw_is_gone, (segments, events));
        Ok(self
            .merge(context, due, ledger, outcome)
            .map_or(nothing, |manifest| Handled {
                committed: Some(CommittedHour::of(&manifest)),
                inputs: self.commits.is_in_place().then_some(manifest.inputs),
            }))
    }

    /// An hour that would shrink: it waits if something of what it lacks comes from elsewhere.
    fn hold_back(&self, hour: Hour, missing: &[String], outcome: &mut MergeOutcome) {
        let names = missing.iter().filter_map(|file| SegmentName::of_file(file));
        let names = names.map(|(name, _)| name).collect();
        self.bring_for(hour, &names, &shrinks(missing), outcome);
    }

    /// Fetches what an hour lacks, which then waits for the next pass; `nothing` says why it is held back if nothing came.
    fn bring_for(
        &self,
        hour: Hour,
        names: &BTreeSet<SegmentName>,
        nothing: &str,
        outcome: &mut MergeOutcome,
    ) {
        match (self.bring)(names) {
            Ok(0) => outcome.fail(hour, nothing, true),
            Ok(brought) => {
                outcome.brought += brought;
                outcome.waiting += 1;
            }
            Err(why) => {
                let why = format!("what it lacks may be elsewhere, and cannot be fetched: {why}");
                outcome.fail(hour, &why, false);
            }
        }
    }

    /// Whether all segments of an hour are here. A task with another share may have left some in the object store.
    fn has_fetched(&self, look: &Look, candidate: &Candidate, outcome: &mut MergeOutcome) -> bool {
        let segments = candidate.segments.iter();
        let segments = segments.filter_map(|number| look.spooled.get(*number));
        let left = segments.filter(|segment| !segment.is_here);
        let left: BTreeSet<SegmentName> = left.map(|segment| segment.name.clone()).collect();
        if left.is_empty() {
            return true;
        }
        let segments = plural(left.len() as u64, "segment", "segments");
        let nothing = format!("{segments} of it cannot be fetched from the object store");
        self.bring_for(candidate.hour, &left, &nothing, outcome);
        false
    }

    /// Whether another machine has committed the next revision, or may have.
    fn is_elsewhere(
        &self,
        hour: Hour,
        former: Option<&Manifest>,
        outcome: &mut MergeOutcome,
    ) -> bool {
        let next = former.map_or(0, |former| former.history.revision) + 1;
        match self.commits.is_taken(hour, next) {
            Ok(false) => return false,
            Ok(true) => outcome.elsewhere.push(hour),
            Err(why) => {
                outcome.away = why.is_away();
                outcome.fail(hour, &why.to_string(), false);
            }
        }
        true
    }

    /// An hour that is due. `former` is the former revision with its hash, `raw_is_gone` says that its rows replace
    /// its inputs, and `new` has the new inputs.
    fn due(
        &self,
        look: &Look,
        candidate: &Candidate,
        former: Option<(Manifest, Sha256)>,
        raw_is_gone: bool,
        new: (Vec<SegmentName>, Vec<SegmentName>),
    ) -> DueHour {
        let hour = candidate.hour;
        let revision = former.as_ref().map_or(0, |(f, _)| f.history.revision);
        let (former, previous_manifest) = former.unzip();
        let mut former = former.filter(|_| raw_is_gone);
        if let Some(former) = &mut former {
            former.inputs = plan::as_redacted(&former.inputs, hour, &look.spooled);
        }
        let inputs = plan::inputs(candidate, &look.spooled);
        DueHour {
            hour,
            inputs: match &former {
                Some(former) => plan::with_former(inputs, &former.inputs, &look.spooled),
                None => inputs,
            },
            former,
            servers: self.expected(hour),
            primary: self.primary().cloned(),
            known: candidate.known(&look.spooled),
            is_in_span: plan::is_in_span(hour, &self.when(look.span, look.now)),
            began: look.span.began,
            history: History {
                revision: revision + 1,
                previous_manifest,
                segments: new.0,
                events: new.1,
            },
        }
    }

    fn merge(
        &self,
        context: &HourContext<'_>,
        due: DueHour,
        ledger: &mut Ledger,
        outcome: &mut MergeOutcome,
    ) -> Option<Manifest> {
        let (hour, inputs) = (due.hour, due.inputs.clone());
        match context.merge(due, ledger) {
            Ok(manifest) => Some(manifest),
            Err(HourError::Commit(CommitError::Taken { .. })) => {
                outcome.elsewhere.push(hour);
                None
            }
            Err(why) => {
                if let HourError::Segment(read) = &why {
                    self.read_again(&context.indexes, &read.path, &inputs);
                }
                let held_back = !matches!(
                    why,
                    HourError::Io(_)
                        | HourError::Commit(CommitError::Io(_) | CommitError::InStore(_))
                );
                outcome.away |= matches!(&why, HourError::Commit(why) if why.is_away());
                outcome.fail(hour, &why.to_string(), held_back);
                None
            }
        }
    }

    /// Drops the index of a segment whose content does not match it: the next merge checks the segment against its
    /// seal, and sets it aside if it is damaged.
    fn read_again(&self, indexes: &Indexes<'_>, path: &Path, inputs: &Inputs) {
        let is_it = |name: &&SegmentName| name.paths(self.spool).segment == *path;
        let name = inputs.segments.iter().map(|input| &input.name).find(is_it);
        if let Some(name) = name
            && let Err(why) = indexes.forget(name)
        {
            tracing::warn!("the index of {name} cannot be removed: {why}");
        }
    }
}

fn shrinks(missing: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = missing.iter().take(SHOWN).map(String::as_str).collect();
    format!(
        "{} of its former revision not in the spool any more ({}{}), and a new revision would lack what it had",
        plural(missing.len() as u64, "input is", "inputs are"),
        shown.join(", "),
        if SHOWN < missing.len() { ", …" } else { "" }
    )
}
