//! Lists what there is to merge: takes out what has to stay out, then finds the hours that may be due.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    closed::{ClosedDay, ClosedDays, Heading},
    index::Indexes,
    job::{MergeError, MergeJob, Step},
    outcome::MergeOutcome,
    placing::{self, Clocks},
    plan::{self, Candidate, Span, SpoolSegment},
    runs::ToRedact,
    spool_segments::{self, FoundSegments, Unusable, Walk},
    sweep::WholeHours,
};
use crate::{
    alarm::AlarmKind,
    period::{Day, Hour, UtcMs, Zone},
    place::segments::Elsewhere,
    segment::name::{SegmentName, ServerId},
    source::key::Key,
    vault::{
        deleted::Deleted,
        layout,
        ledger::Ledger,
        manifest::{HourSaid, Inputs, MANIFEST_BYTES_MAX, Manifest},
        redactions::Redactions,
    },
    world::{
        disk,
        error_at::{At as _, placed},
    },
};

/// What is there and what may be due.
pub(super) struct Look {
    /// All segments of open days, and of closed ones those that may matter.
    pub(super) spooled: Vec<SpoolSegment>,
    pub(super) unusable: Vec<Unusable>,
    pub(super) to_redact: Vec<(SegmentName, Vec<ToRedact>)>,
    /// Of each server that has some of these segments: how many bytes of its acknowledgements lie before theirs.
    pub(super) acks: BTreeMap<ServerId, u64>,
    /// Segments that have posts which are to be taken out first, and cannot be now: no hour may see them.
    pub(super) unredacted: Vec<SegmentName>,
    pub(super) span: Span,
    /// Now on the posts' clock, as far as that is known.
    pub(super) now: UtcMs,
    pub(super) candidates: Vec<Candidate>,
    /// The hours that were found whole before.
    pub(super) whole: WholeHours,
    pub(super) committed: BTreeSet<Hour>,
    pub(super) spool: Days,
}

/// The days of the spool.
pub(super) struct Days {
    pub(super) walk: Walk,
    pub(super) closed: ClosedDays,
    pub(super) clocks: Clocks,
    /// Those that have segments of another stream, or some that are unredacted.
    pub(super) foreign: BTreeSet<Day>,
}

impl Days {
    /// Those whose segments are read for their own sake.
    pub(super) fn open(&self) -> BTreeSet<Day> {
        let days = self.walk.days();
        days.filter(|day| !self.closed.has(*day)).collect()
    }

    /// Whether a segment is in one of them.
    pub(super) fn is_open(&self, segment: &SpoolSegment) -> bool {
        !self.closed.has(segment.name.minute.utc_day())
    }
}

impl Look {
    /// Nothing may be taken out of these now. They have no index, so the next merge finds them again.
    fn leave_unredacted(&mut self) {
        let names = self.to_redact.drain(..).map(|(name, _)| name);
        self.unredacted = names.collect();
        let days = self.unredacted.iter().map(|name| name.minute.utc_day());
        self.spool.foreign.extend(days);
    }

    /// Whether an hour waits for them: something of them belongs to it, or belonged to its former revision.
    pub(super) fn is_unredacted(&self, hour: Hour, former: Option<&Manifest>, zone: &Zone) -> bool {
        let has = |name: &SegmentName| {
            let begin = name.minute.begin();
            // what came in the first minute of an hour may be of the one before
            let times = [begin, begin.plus_ms(-60_000)];
            let is_input = |former: &Manifest| {
                let Inputs {
                    segments, events, ..
                } = &former.inputs;
                segments.iter().any(|input| input.name == *name)
                    || events.iter().any(|input| input.name == *name)
            };
            times.iter().any(|at| zone.hour_of(*at) == hour) || former.is_some_and(is_input)
        };
        self.unredacted.iter().any(has)
    }
}

impl MergeJob<'_> {
    /// Lists the segments. The ledger tells which days are closed; without it, all days are read.
    pub(super) fn look(
        &self,
        (known, ledger): (Option<Hour>, Option<&Ledger>),
        indexes: &Indexes<'_>,
        deleted: &Deleted<'_>,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<Look, MergeError> {
        self.warn_of_unknown_servers()?;
        let (committed, mut unusable) = self.committed()?;
        let zone = &self.settings.timezone;
        let mut days = Days {
            walk: Walk::of(indexes).at(self.spool)?,
            closed: self.closed(ledger.is_some(), indexes)?,
            clocks: Clocks::default(),
            foreign: BTreeSet::new(),
        };
        let whole = self.sweep(*indexes).known_whole();
        let mut wanted = match ledger {
            Some(ledger) => self.open_changed(&mut days, (&committed, &whole), (indexes, ledger)),
            None => BTreeSet::new(),
        };
        let mut taking = Taking {
            job: self,
            indexes,
            taken: BTreeSet::new(),
            found: FoundSegments::default(),
            tell,
        };
        let (mut spooled, span) =
            self.open_days_of_spool(&mut taking, &mut days, &mut wanted, |spooled, closed| {
                self.span(spooled, closed, known, &committed)
            })?;
        let now = plan::now(&spooled, self.primary(), self.now);
        let now = days.closed.recorded().map_or(now, |last| last.max(now));
        let when = self.when(span, now);
        let edges = days.closed.days().flat_map(|(_, of)| &of.edges);
        spooled.extend(edges.cloned());
        spooled.sort_by(|a, b| a.name.cmp(&b.name));
        // what can have changed: hours to which something in an open day belongs, or of which nothing is known
        for candidate in plan::candidates(&spooled, &committed, &when) {
            let mut numbers = candidate.segments.iter().chain(&candidate.events);
            let is_open = |number: &usize| spooled.get(*number).is_some_and(|of| days.is_open(of));
            if !committed.contains(&candidate.hour) || numbers.any(is_open) {
                wanted.insert(candidate.hour);
            }
        }
        // nothing of an hour may be in the spool any more, and posts are to be taken out of it
        let due = deleted.state.due.iter().copied();
        let mut also: BTreeSet<Hour> = indexes.redactions.hours();
        also.retain(|hour| !days.closed.has_hour(*hour));
        also.extend(due);
        wanted.extend(&also);
        let beside = days.closed.with_hours(&wanted);
        spooled.retain(|of| !beside.contains(&of.name.minute.utc_day()));
        let mut more = taking.take(&mut days, &beside);
        placing::place(&mut more, &days.clocks, zone);
        spooled.extend(more);
        spooled.sort_by(|a, b| a.name.cmp(&b.name));
        let mut candidates = plan::candidates(&spooled, &committed, &when);
        add(&mut candidates, also.intersection(&committed));
        candidates.retain(|c| wanted.contains(&c.hour));
        candidates.retain(|c| self.asked.is_empty() || self.asked.contains(&c.hour));
        let found = taking.found;
        unusable.extend(std::mem::take(&mut days.walk.unusable));
        unusable.extend(found.unusable);
        Ok(Look {
            spooled,
            unusable,
            to_redact: found.to_redact,
            acks: found.acks,
            unredacted: Vec::new(),
            span,
            now,
            candidates,
            whole,
            committed,
            spool: days,
        })
    }

    /// The segments of open days on the posts' clock, and when the vault began. What is found on the way opens more days, and adds their hours.
    fn open_days_of_spool(
        &self,
        taking: &mut Taking<'_, '_>,
        days: &mut Days,
        wanted: &mut BTreeSet<Hour>,
        span: impl Fn(&[SpoolSegment], &ClosedDays) -> Result<Span, MergeError>,
    ) -> Result<(Vec<SpoolSegment>, Span), MergeError> {
        let zone = &self.settings.timezone;
        let open = days.open();
        let mut spooled = taking.take(days, &open);
        let told = placing::told(&spooled);
        let open = told.iter().map(|(day, told)| (*day, told.as_slice()));
        let closed = days.closed.days();
        let closed = closed.map(|(day, of)| (day, of.told.as_slice()));
        let clocks = Clocks::of(closed.chain(open));
        wanted.extend(days.closed.open_if(|_, of| !of.is_placed_by(&clocks)));
        let open = days.open();
        spooled.extend(taking.take(days, &open));
        placing::place(&mut spooled, &clocks, zone);
        let span = span(&spooled, &days.closed)?;
        wanted.extend(days.closed.open_unless_began(span));
        let open = days.open();
        let mut more = taking.take(days, &open);
        placing::place(&mut more, &clocks, zone);
        spooled.extend(more);
        days.clocks = clocks;
        Ok((spooled, span))
    }

    /// The hours that are committed, and the days that could not be read.
    fn committed(&self) -> Result<(BTreeSet<Hour>, Vec<Unusable>), MergeError> {
        let (mut committed, mut unusable) = (BTreeSet::new(), Vec::new());
        let mut listings = self.listings();
        for day in listings.days().at(self.vault)? {
            match listings.of(day) {
                Ok(listing) => committed.extend(listing.hours.into_keys()),
                Err(why) => unusable.push(self.unreadable(day, &why)),
            }
        }
        Ok((committed, unusable))
    }

    /// The days that are closed, as far as that can be told without looking.
    fn closed(&self, is_asked: bool, indexes: &Indexes<'_>) -> Result<ClosedDays, MergeError> {
        let heading = Heading::of(
            self.settings.timezone.name().to_owned(),
            self.stream.word.to_owned(),
            self.primary().cloned(),
            indexes.redactions.sha256().at(self.vault)?,
        );
        Ok(if is_asked {
            ClosedDays::read(self.disk, self.data_dir, heading)
        } else {
            ClosedDays::none(heading)
        })
    }

    /// Opens the days that are not as they were, and those of which raw data may go. Gives the hours that may have changed.
    fn open_changed(
        &self,
        days: &mut Days,
        (committed, whole): (&BTreeSet<Hour>, &WholeHours),
        (indexes, ledger): (&Indexes<'_>, &Ledger),
    ) -> BTreeSet<Hour> {
        let walk = &days.walk;
        let mut wanted = days
            .closed
            .open_if(|day, of| walk.version(day) != Some(of.folders));
        if self.settings.keep_raw.is_some() {
            let sweep = self.sweep(*indexes);
            let is_time = sweep.is_time(whole);
            let some = |of: &ClosedDay| of.hours.keys().any(|hour| is_time(*hour));
            wanted.extend(days.closed.open_if(|_, of| some(of)));
        }
        for (_, of) in days.closed.days() {
            let hours = of.hours.iter();
            let other = hours.filter(|(hour, revision)| {
                ledger.revision(**hour) != **revision || !committed.contains(hour)
            });
            wanted.extend(other.map(|(hour, _)| *hour));
        }
        wanted
    }

    /// When the vault began.
    fn span(
        &self,
        spooled: &[SpoolSegment],
        closed: &ClosedDays,
        known: Option<Hour>,
        committed: &BTreeSet<Hour>,
    ) -> Result<Span, MergeError> {
        let zone = &self.settings.timezone;
        let (started, began) = closed.began();
        let started = started.map(|at| zone.hour_of(at));
        let known = Span {
            first_hour: [known, started].into_iter().flatten().min(),
            began: [self.began(committed)?, began].into_iter().flatten().min(),
        };
        Ok(plan::span(spooled, zone, known))
    }

    /// A day of the vault that cannot be read does not stop the others.
    fn unreadable(&self, day: Day, why: &io::Error) -> Unusable {
        let what = layout::day_folder(self.vault, day);
        alarm!(
            AlarmKind::Unreadable,
            "",
            "the committed hours of {day} cannot be read: {}\n  hint: the next merge tries again",
            placed(&what, why)
        );
        Unusable {
            what: what.display().to_string(),
            moved_to: None,
            why: why.to_string(),
        }
    }

    /// When the vault began, as the first hour says that can be read and has a second that counts: all such hours say the same. The
    /// stage that needs an hour reports one that cannot be read, and one that is damaged.
    fn began(&self, committed: &BTreeSet<Hour>) -> Result<Option<UtcMs>, MergeError> {
        let mut unread = None;
        for hour in committed {
            let path = layout::manifest_path(self.vault, *hour);
            let bytes = disk::read_if_there(self.disk, &path, MANIFEST_BYTES_MAX);
            let bytes = match bytes.at(&path) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(why) => {
                    unread.get_or_insert(why);
                    continue;
                }
            };
            let Ok(read) = serde_json::from_slice::<HourSaid>(&bytes) else {
                continue;
            };
            if 0 < read.coverage.union.seconds {
                let begin = read.intervals.first().map(|first| first.begin);
                return Ok(read.coverage.began.or(begin));
            }
        }
        // if none tells it, it may be one of those
        unread.map_or(Ok(None), |why| Err(why.into()))
    }

    fn warn_of_unknown_servers(&self) -> Result<(), MergeError> {
        let found = crate::segment::spool::servers(self.disk, self.spool);
        for server in found.at(self.spool)? {
            if !self.servers.iter().any(|known| known.id == server) {
                tracing::warn!(
                    "server {server} has a folder in the spool but no [[servers]] entry; it is merged all the same"
                );
            }
        }
        Ok(())
    }

    /// Lists the segments, after taking out what must stay out.
    pub(super) fn look_redacted(
        &self,
        known: (Option<Hour>, &Ledger),
        (redactions, deleted): (&mut Redactions, &Deleted<'_>),
        outcome: &mut MergeOutcome,
        tell: &mut dyn FnMut(Step<'_>),
    ) -> Result<Look, MergeError> {
        let index_dir = self.index_dir();
        let mut scrubber = self.scrubber();
        let before = redactions.clone();
        let mut applied = scrubber.known_applied()?.min(redactions.len());
        loop {
            // whatever is added to the list brings in what other machines have added meanwhile
            while applied < redactions.len() {
                let len = redactions.len();
                let indexes = self.indexes(&index_dir, true, &before);
                scrubber.apply(applied, redactions, &indexes)?;
                applied = len;
            }
            let indexes = self.indexes(&index_dir, true, redactions);
            let mut look = self.look((known.0, Some(known.1)), &indexes, deleted, tell)?;
            if look.to_redact.is_empty() || matches!(scrubber.elsewhere, Elsewhere::Away) {
                look.leave_unredacted();
                outcome.unredacted = look.unredacted.len() as u64;
                scrubber.applied(applied)?;
                return Ok(look);
            }
            for (name, posts) in &look.to_redact {
                match scrubber.take_out(name, posts, redactions) {
                    Ok(()) => outcome.redacted += 1,
                    Err(why) if why.is_away() => {
                        alarm!(AlarmKind::PlaceAway, "object store", "{why}");
                        scrubber.elsewhere = Elsewhere::Away;
                        break;
                    }
                    Err(why) => return Err(why.into()),
                }
            }
        }
    }

    /// Which of these posts, and of those by these authors, are in raw data, their hours, and how many
    /// segments hold one of them. Reads the whole spool.
    pub fn in_raw_data(
        &self,
        keys: &BTreeSet<Key>,
        authors: &BTreeSet<Key>,
    ) -> Result<(BTreeMap<Key, Hour>, u64), MergeError> {
        let mut found = BTreeMap::new();
        let mut list = Redactions::none(self.stream.source);
        list.ask(keys.iter().cloned(), "");
        list.ask_for_authors(authors.iter().cloned(), "");
        // an index that is kept does not say which posts a segment holds
        let nowhere = self.index_dir().join("none");
        let indexes = self.indexes(&nowhere, false, &list);
        let zone = &self.settings.timezone;
        let walk = Walk::of(&indexes).at(self.spool)?;
        let days = walk.days().collect();
        let (now, threads) = (self.now, self.threads);
        let of = (&walk, &days, &self.closed(false, &indexes)?);
        let taken = spool_segments::read(&indexes, zone, now, threads, of, |_, _| ());
        let holding = taken.to_redact;
        for (post, _) in holding.iter().flat_map(|(_, posts)| posts) {
            let hour = zone.hour_of(post.at);
            found.entry(post.key.clone()).or_insert(hour);
        }
        Ok((found, holding.len() as u64))
    }
}

/// The days of the spool, read one after another.
struct Taking<'a, 'j> {
    job: &'a MergeJob<'j>,
    indexes: &'a Indexes<'a>,
    taken: BTreeSet<Day>,
    found: FoundSegments,
    tell: &'a mut dyn FnMut(Step<'_>),
}

impl Taking<'_, '_> {
    /// The segments of these days, without those that were taken before.
    fn take(&mut self, days: &mut Days, wanted: &BTreeSet<Day>) -> Vec<SpoolSegment> {
        let new: BTreeSet<Day> = wanted.difference(&self.taken).copied().collect();
        let job = self.job;
        let found = spool_segments::read(
            self.indexes,
            &job.settings.timezone,
            job.now,
            job.threads,
            (&days.walk, &new, &days.closed),
            |done, all| (self.tell)(Step::Stock(done, all)),
        );
        self.taken.extend(new);
        self.found.unusable.extend(found.unusable);
        self.found.to_redact.extend(found.to_redact);
        days.foreign.extend(found.foreign);
        for (server, bytes) in found.acks {
            let before = self.found.acks.entry(server).or_insert(bytes);
            *before = bytes.min(*before);
        }
        found.spooled
    }
}

/// Adds those of these hours of which nothing is in the spool.
fn add<'a>(candidates: &mut Vec<Candidate>, hours: impl Iterator<Item = &'a Hour>) {
    let known: BTreeSet<Hour> = candidates.iter().map(|candidate| candidate.hour).collect();
    let new = hours.filter(|hour| !known.contains(hour));
    candidates.extend(new.map(|hour| Candidate {
        hour: *hour,
        segments: Vec::new(),
        events: Vec::new(),
    }));
    candidates.sort_by_key(|candidate| candidate.hour);
}
