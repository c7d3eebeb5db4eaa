//! What is there and what may be due, after everything was taken out of it that is to stay out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    index::Indexes,
    job::{Job, RunError, Step, at},
    outcome::Outcome,
    plan::{self, Candidate, Span, Stock},
    runs::ToRedact,
    stock::{self, Unusable},
};
use crate::{
    alarm::Kind,
    period::{Day, Hour, UtcMs},
    segment::name::SegmentName,
    source::key::Key,
    vault::{
        deleted::Deleted, hour_said::HourSaid, layout, manifest::MANIFEST_BYTES_MAX,
        redactions::Redactions,
    },
    world::disk::{self, placed},
};

/// What is there and what may be due.
pub(super) struct Look {
    pub(super) stock: Vec<Stock>,
    pub(super) unusable: Vec<Unusable>,
    pub(super) to_redact: Vec<(SegmentName, Vec<ToRedact>)>,
    pub(super) span: Span,
    /// Now on the posts' clock, as far as that is known.
    pub(super) now: UtcMs,
    pub(super) candidates: Vec<Candidate>,
    pub(super) committed: BTreeSet<Hour>,
}

impl Job<'_> {
    /// Looks at what is there.
    pub(super) fn look(
        &self,
        known: Option<Hour>,
        indexes: &Indexes<'_>,
        deleted: &Deleted<'_>,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<Look, RunError> {
        self.warn_of_unknown_servers()?;
        let zone = &self.settings.timezone;
        let tell_stock = |done, all| tell(Step::Stock(done, all));
        let found = stock::take(indexes, zone, self.now, self.threads, tell_stock)
            .map_err(at(self.spool))?;
        let mut unusable = found.unusable;
        let mut committed = BTreeSet::new();
        for day in layout::days(self.disk, self.vault).map_err(at(self.vault))? {
            match layout::list_day(self.disk, self.vault, day) {
                Ok(listing) => committed.extend(listing.hours.into_keys()),
                Err(why) => unusable.push(self.unreadable(day, &why)),
            }
        }
        let known = Span {
            first_hour: known,
            began: self.began(&committed)?,
        };
        let span = plan::span(&found.stock, zone, known);
        let now = plan::now(&found.stock, self.primary(), self.now);
        let mut candidates = plan::candidates(&found.stock, &committed, &self.when(span, now));
        // nothing of an hour may be in the spool any more, and posts are to be taken out of it
        let due = deleted.state.due.iter().copied();
        for hour in indexes.redactions.hours().into_iter().chain(due) {
            let is_candidate = candidates.iter().any(|c| c.hour == hour);
            if committed.contains(&hour) && !is_candidate {
                let (segments, events) = (Vec::new(), Vec::new());
                candidates.push(Candidate {
                    hour,
                    segments,
                    events,
                });
            }
        }
        candidates.sort_by_key(|candidate| candidate.hour);
        candidates.retain(|c| self.asked.is_empty() || self.asked.contains(&c.hour));
        Ok(Look {
            stock: found.stock,
            unusable,
            to_redact: found.to_redact,
            span,
            now,
            candidates,
            committed,
        })
    }

    /// A day of the vault that cannot be looked into stops no other.
    fn unreadable(&self, day: Day, why: &io::Error) -> Unusable {
        let what = layout::day_folder(self.vault, day);
        alarm!(
            Kind::Unreadable,
            "",
            "what is committed of {day} cannot be seen: {}\n  hint: the next merge tries again",
            placed(&what, why)
        );
        Unusable {
            what: what.display().to_string(),
            moved_to: None,
            why: why.to_string(),
        }
    }

    /// When the vault began, as its first hour with a second that counts says.
    fn began(&self, committed: &BTreeSet<Hour>) -> Result<Option<UtcMs>, RunError> {
        for hour in committed {
            let path = layout::manifest_path(self.vault, *hour);
            if self.disk.len(&path).map_err(at(&path))?.is_none() {
                continue;
            }
            let bytes = disk::read_bounded(self.disk, &path, MANIFEST_BYTES_MAX);
            // a damaged one is told of by whoever needs its hour
            let Ok(read) = serde_json::from_slice::<HourSaid>(&bytes.map_err(at(&path))?) else {
                continue;
            };
            if 0 < read.coverage.union.seconds {
                let begin = read.intervals.first().map(|first| first.begin);
                return Ok(read.coverage.began.or(begin));
            }
        }
        Ok(None)
    }

    fn warn_of_unknown_servers(&self) -> Result<(), RunError> {
        let found = crate::segment::spool::servers(self.disk, self.spool);
        for server in found.map_err(at(self.spool))? {
            if !self.servers.iter().any(|known| known.id == server) {
                tracing::warn!(
                    "server {server} has a folder in the spool and no [[servers]] entry; it is merged all the same"
                );
            }
        }
        Ok(())
    }

    /// Looks at what is there, after everything was taken out of it that is to stay out.
    pub(super) fn look_redacted(
        &self,
        known: Option<Hour>,
        (redactions, deleted): (&mut Redactions, &Deleted<'_>),
        outcome: &mut Outcome,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<Look, RunError> {
        let index_dir = self.index_dir();
        let scrubber = self.scrubber();
        let before = redactions.clone();
        scrubber.apply(redactions, &self.indexes(&index_dir, true, &before))?;
        loop {
            let indexes = self.indexes(&index_dir, true, redactions);
            let look = self.look(known, &indexes, deleted, tell)?;
            if look.to_redact.is_empty() {
                scrubber.applied(redactions.len())?;
                return Ok(look);
            }
            for (name, posts) in &look.to_redact {
                scrubber.take_out(name, posts, redactions)?;
                outcome.redacted += 1;
            }
        }
    }

    /// Which of these posts, and of those by these authors, are in raw data, their hours, and how many
    /// segments hold one of them. Reads the whole spool.
    pub fn in_raw_data(
        &self,
        keys: &BTreeSet<Key>,
        authors: &BTreeSet<Key>,
    ) -> Result<(BTreeMap<Key, Hour>, u64), RunError> {
        let mut found = BTreeMap::new();
        let mut list = Redactions::none(self.stream.source);
        list.ask(keys.iter().cloned(), "");
        list.ask_for_authors(authors.iter().cloned(), "");
        // an index that is kept does not say which posts a segment holds
        let nowhere = self.index_dir().join("none");
        let indexes = self.indexes(&nowhere, false, &list);
        let zone = &self.settings.timezone;
        let stock = stock::take(&indexes, zone, self.now, self.threads, |_, _| ());
        let holding = stock.map_err(at(self.spool))?.to_redact;
        for (post, _) in holding.iter().flat_map(|(_, posts)| posts) {
            let hour = zone.hour_of(post.at);
            found.entry(post.key.clone()).or_insert(hour);
        }
        Ok((found, holding.len() as u64))
    }
}
