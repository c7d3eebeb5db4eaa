//! Decides which hours are due, from the segments in the spool, the committed revisions and the time. Pure.
//!
//! The span runs from the hour of the first `started` event to now. An hour of the span is due when `settle` has
//! passed since its end, even if it is empty. Hours outside the span (posts with old or future ids) are due as soon
//! as they have lines. A committed hour is due again when no more input has come for `settle`, or when the oldest new
//! input has waited for six hours.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    config::settings::Server,
    cover::{clock::Lag, listened::Listened},
    period::{Hour, Interval, Minute, UtcMs, Zone},
    segment::{
        name::{Leg, SegmentName, ServerId},
        sha256::Sha256,
    },
    vault::manifest::{EventsInput, Inputs, SegmentInput},
};

/// Backfill reaches no further back than this.
const BACKFILL_MINUTES_MAX: i64 = 5;

/// The longest that new input waits for more: 6 h.
const WAIT_MAX_MS: i64 = 6 * 3_600_000;

/// In a replay, the next segment may begin with an event that is this much younger than the last one.
const NEXT_MS: i64 = 15 * 60_000;

/// What is known of one sealed segment.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are facts, each by itself"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolSegment {
    /// Its name.
    pub name: SegmentName,
    /// Whether it is in the spool, or was left in an object store.
    pub is_here: bool,
    /// Its minute on the posts' clock; the minute in its name is by the server's clock, which may be wrong.
    pub minute: Minute,
    /// Whether its stamps are behind the posts' clock, so that its lines also belong to the next minute.
    pub is_slow: bool,
    /// The place of its run in the order of the server's runs.
    pub number: u64,
    /// The API's clock minus the server's, as last seen.
    pub offset_ms: Option<i64>,
    /// How far its stamps lie after its posts.
    pub lag: Option<Lag>,
    /// If its run began with a step of the clock: by how much its stamps are later than those of the run before.
    pub step_ms: Option<i64>,
    /// SHA-256 of its plain bytes.
    pub sha256: Sha256,
    /// SHA-256 that it had before lines were taken out of it on request.
    pub formerly: Vec<Sha256>,
    /// All its lines.
    pub lines: u64,
    /// SHA-256 of its events file.
    pub events_sha256: Sha256,
    /// Records of its events file.
    pub events: u64,
    /// Its lines in each hour that it touches.
    pub hours: BTreeMap<Hour, u64>,
    /// Its lines that are not posts: they count in the hour of its minute.
    pub rejected: u64,
    /// The first `started` in its events file.
    pub started: Option<UtcMs>,
    /// The first connection, or the first line if that was before.
    pub began: Option<UtcMs>,
    /// Whether that was the first start of a server that had never collected before.
    pub is_first: bool,
    /// Whether its run ended or crashed in its minute: only a later file tells what happened next.
    pub ends_early: bool,
    /// Whether its run recorded its end.
    pub stopped: bool,
    /// The most minutes of backfill that a connection in its events file asked for.
    pub backfill: u32,
    /// The time that a connection in its events file asked for again but the platform no longer had, by the
    /// platform's clock.
    pub out_of_window: Vec<Interval>,
    /// Between which of the platform's times it has all of each connection.
    pub listened: Vec<Listened>,
    /// When it arrived: when the delivery was acknowledged, or else the end of its minute.
    pub arrived: UtcMs,
}

/// An hour that may be due, with everything that belongs to it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The hour.
    pub hour: Hour,
    /// The numbers of the segments with lines of it, ascending by name.
    pub segments: Vec<usize>,
    /// The numbers of the segments whose events files belong to it, ascending by name.
    pub events: Vec<usize>,
}

/// What the plan knows of an input, so that merging need not read its index again.
#[derive(Debug, Clone)]
pub struct KnownInput {
    /// Its minute on the posts' clock.
    pub minute: Minute,
    /// The place of its run in the order of the server's runs.
    pub number: u64,
    /// How far its stamps lie after its posts.
    pub lag: Option<Lag>,
    /// Between which of the platform's times it has all of each connection.
    pub listened: Vec<Listened>,
}

impl Candidate {
    /// What is known of its segments and of those whose events files belong to it.
    pub fn known(&self, spooled: &[SpoolSegment]) -> BTreeMap<SegmentName, KnownInput> {
        let numbers = self.segments.iter().chain(&self.events);
        let known = |of: &SpoolSegment| KnownInput {
            minute: of.minute,
            number: of.number,
            lag: of.lag,
            listened: of.listened.clone(),
        };
        numbers
            .filter_map(|number| spooled.get(*number))
            .map(|of| (of.name.clone(), known(of)))
            .collect()
    }
}

/// What is to be done about an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Everything has been merged, or there is nothing to merge.
    Nothing,
    /// It is not due yet.
    Wait,
    /// It is due.
    Merge {
        /// The segments that come in.
        segments: Vec<SegmentName>,
        /// The events files that come in.
        events: Vec<SegmentName>,
    },
    /// It is due, but inputs of its former revision are gone: the hour would shrink.
    HeldBack {
        /// The files that are not there.
        missing: Vec<String>,
        /// The segments that would come in.
        segments: Vec<SegmentName>,
        /// The events files that would come in.
        events: Vec<SegmentName>,
        /// Whether a new input has the name of a merged one, but other content.
        is_other: bool,
    },
}

/// When a vault began. It only ever moves back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// The hour of the first `started` event: the first one that is committed.
    pub first_hour: Option<Hour>,
    /// The first connection, or the first line if that was earlier. No second before it counts.
    pub began: Option<UtcMs>,
}

/// When things are.
#[derive(Debug, Clone, Copy)]
pub struct When<'a> {
    /// The zone of the vault's hours.
    pub zone: &'a Zone,
    /// When the vault began.
    pub span: Span,
    /// How long an hour waits for late data, in milliseconds.
    pub settle_ms: i64,
    /// Now.
    pub now: UtcMs,
    /// The primary: its spool is here, so none of its data can be on the way.
    pub primary: Option<&'a ServerId>,
    /// The configured servers.
    pub servers: &'a [Server],
}

impl When<'_> {
    /// Whether a leg is expected to collect in an hour.
    fn expects(&self, leg: &Leg, hour: Hour) -> bool {
        self.servers.iter().any(|server| server.has(leg, hour))
    }
}

impl SpoolSegment {
    /// Whether it is what is left of that segment, or both are what is left of one: machines whose lists of redactions
    /// have different lengths take different lines out.
    fn was(&self, sha256: Sha256, original: Option<Sha256>) -> bool {
        let first = self.formerly.first();
        self.formerly.contains(&sha256) || first.is_some() && first == original.as_ref()
    }

    /// The times outside its own minute that it describes: what the platform no longer had, and what was replayed,
    /// extended as far as the neighbouring segments may continue it.
    pub(super) fn tells_of(&self) -> Vec<Interval> {
        let gone = self.out_of_window.iter().copied();
        gone.chain(self.came_again()).collect()
    }

    fn came_again(&self) -> impl Iterator<Item = Interval> {
        let own = self.minute.begin().plus_ms(-60_000);
        let again = self
            .listened
            .iter()
            .filter(move |listened| listened.first < own);
        again.map(|listened| Interval {
            begin: listened.first.plus_ms(-NEXT_MS),
            end: listened.last.plus_ms(NEXT_MS),
        })
    }
}

/// If the clock is at most this much ahead of the primary's last sealed minute, it is the clock that stamped that
/// minute.
const SEALED_LATELY_MS: i64 = 15 * 60_000;

/// Of each leg the segment that is latest in the order of its runs, by number among them. Legs number their runs each for
/// itself, so that those of two cannot be compared.
pub(super) fn latest_of_each_leg(spooled: &[SpoolSegment]) -> BTreeSet<usize> {
    let mut latest = BTreeMap::new();
    for (number, segment) in spooled.iter().enumerate() {
        let name = &segment.name;
        let this = (segment.number, name.minute, name.part, number);
        let known = latest.entry((&name.server, name.partition)).or_insert(this);
        *known = this.max(*known);
    }
    latest.into_values().map(|latest| latest.3).collect()
}

/// Now, on the posts' clock. What a server has recorded is in the past. The latest segment of the primary tells how
/// far its clock was off. If that segment is old, the clock may have been set since then, and the earlier of the two
/// results counts: an hour that is merged late is right, but one that is merged before its end is wrong.
pub fn now(spooled: &[SpoolSegment], primary: Option<&ServerId>, now: UtcMs) -> UtcMs {
    let signed = spooled.iter().filter(|of| of.offset_ms.is_some());
    let recorded = signed.map(|of| of.minute.end()).max();
    let latest = latest_of_each_leg(spooled).into_iter();
    let latest = latest.filter_map(|number| spooled.get(number));
    let own = latest.filter(|of| Some(&of.name.server) == primary);
    let is_lately = |of: &SpoolSegment| {
        now.0.abs_diff(of.name.minute.end().0) <= SEALED_LATELY_MS.unsigned_abs()
    };
    // a leg that is no longer collected only shows the clock of that time
    let latest = own.max_by_key(|of| (is_lately(of), of.name.minute));
    let believed = latest.map_or(now, |latest| {
        let off = latest.name.minute.0.saturating_sub(latest.minute.0);
        let moved = now.plus_ms(-60_000 * off);
        if is_lately(latest) {
            moved
        } else {
            moved.min(now)
        }
    });
    recorded.map_or(believed, |recorded| believed.max(recorded))
}

/// When the span begins: with the first `started`, and with the first connection or line; or as the vault knows it.
pub fn span(spooled: &[SpoolSegment], zone: &Zone, known: Span) -> Span {
    let started = spooled.iter().filter_map(|segment| segment.started).min();
    let started = started.map(|at| zone.hour_of(at));
    let began = spooled.iter().filter_map(|segment| segment.began).min();
    Span {
        first_hour: [started, known.first_hour].into_iter().flatten().min(),
        began: [began, known.began].into_iter().flatten().min(),
    }
}

/// All hours that may be due, ascending: hours of the span that are not committed, and hours to which a segment in
/// `spooled` (ascending by name) belongs.
pub fn candidates(
    spooled: &[SpoolSegment],
    committed: &BTreeSet<Hour>,
    when: &When<'_>,
) -> Vec<Candidate> {
    let mut hours: BTreeMap<Hour, Vec<usize>> = BTreeMap::new();
    if let Some(first) = when.span.first_hour {
        let last = when.zone.hour_of(when.now);
        for hour in (first.0..=last.0).map(Hour) {
            if !committed.contains(&hour) {
                hours.entry(hour).or_default();
            }
        }
    }
    for (number, segment) in spooled.iter().enumerate() {
        for hour in segment.hours.keys() {
            hours.entry(*hour).or_default().push(number);
        }
    }
    let events = EventsFiles::of(spooled);
    for hour in events.hours(when) {
        hours.entry(hour).or_default();
    }
    // daylight saving time skips an hour in spring: it has no time and does not exist
    hours.retain(|hour, segments| !segments.is_empty() || !when.zone.intervals(*hour).is_empty());
    // nothing was merged of an hour outside the span that lost all its lines before, and nothing will be: it is none
    let has_lines = |hour: &Hour, number: &usize| {
        let segment = spooled.get(*number);
        segment.is_some_and(|of| of.hours.get(hour) != Some(&0))
    };
    hours.retain(|hour, segments| {
        segments.is_empty()
            || committed.contains(hour)
            || is_in_span(*hour, when)
            || segments.iter().any(|number| has_lines(hour, number))
    });
    let candidate = |(hour, segments): (Hour, Vec<usize>)| Candidate {
        hour,
        events: events.of_hour(hour, &segments, when),
        segments,
    };
    hours.into_iter().map(candidate).collect()
}

/// Whether an hour is in the span. Outside the span, nothing ran.
pub fn is_in_span(hour: Hour, when: &When<'_>) -> bool {
    let intervals = when.zone.intervals(hour);
    let has_begun = intervals
        .first()
        .is_some_and(|first| first.begin <= when.now);
    has_begun && when.span.first_hour.is_some_and(|first| first <= hour)
}

/// The pauses of a server that are longer than the minute after an hour that belongs to the hour's own segments. Each
/// has the number of the segment with the first event after the pause: only that segment shows whether something was
/// missed.
fn pauses(
    spooled: &[SpoolSegment],
    minutes: &BTreeMap<Minute, Vec<usize>>,
) -> Vec<(usize, Interval)> {
    let mut pauses = Vec::new();
    let mut reached: Option<UtcMs> = None;
    for number in minutes.values().flatten() {
        let Some(of) = spooled.get(*number) else {
            continue;
        };
        for listened in &of.listened {
            let came = listened.first.max(of.minute.begin());
            if let Some(begin) = reached
                && 60_000 < came.0.saturating_sub(begin.0)
            {
                let end = listened.first;
                pauses.push((*number, Interval { begin, end }));
            }
            reached = reached.max(Some(listened.last));
        }
    }
    pauses
}

/// The events files of all servers, by minute.
///
/// For each server, an hour has the events files of its minutes, of the minute before and of the minute after. If the
/// minute before has none, or the minute after has none that covers it to its end, the nearest earlier and the
/// nearest later file are added, so that whatever explains a hole is an input of every hour in it. Files of later
/// backfills that reach into the hour are added, and files that describe a replay of it, or that it was no longer
/// available, however much later.
struct EventsFiles<'a> {
    spooled: &'a [SpoolSegment],
    /// The numbers of the last kind, and the times that they describe.
    telling: Vec<(usize, Vec<Interval>)>,
    servers: BTreeMap<Leg, BTreeMap<Minute, Vec<usize>>>,
}

impl<'a> EventsFiles<'a> {
    fn of(spooled: &'a [SpoolSegment]) -> Self {
        let mut servers: BTreeMap<Leg, BTreeMap<Minute, Vec<usize>>> = BTreeMap::new();
        for (number, segment) in spooled.iter().enumerate() {
            let minutes = servers.entry(segment.name.leg()).or_default();
            minutes.entry(segment.minute).or_default().push(number);
        }
        let mut telling: BTreeMap<usize, Vec<Interval>> = spooled
            .iter()
            .map(SpoolSegment::tells_of)
            .enumerate()
            .collect();
        for minutes in servers.values() {
            for (number, pause) in pauses(spooled, minutes) {
                telling.entry(number).or_default().push(pause);
            }
            // a connection's request may be recorded in the minute before its first event
            let numbers: Vec<usize> = minutes.values().flatten().copied().collect();
            for two in numbers.windows(2) {
                if let [before, number] = two
                    && let Some(of) = spooled.get(*number)
                    && of
                        .listened
                        .first()
                        .is_some_and(|listened| listened.connection.is_none())
                {
                    telling.entry(*before).or_default().extend(of.came_again());
                }
            }
        }
        telling.retain(|_, times| !times.is_empty());
        Self {
            spooled,
            telling: telling.into_iter().collect(),
            servers,
        }
    }

    /// The hours to which any of these files belongs.
    fn hours(&self, when: &When<'_>) -> BTreeSet<Hour> {
        let hour_of = |minute: i64| when.zone.hour_of(Minute(minute).begin());
        let mut hours = BTreeSet::new();
        for segment in self.spooled {
            let minute = segment.minute.0;
            let first = minute - 1 - i64::from(segment.backfill);
            let last = minute + 1 + i64::from(segment.is_slow);
            hours.extend((first..=last).map(hour_of));
        }
        // no more than there is, whatever a file says
        let since = when.span.first_hour.map_or(i64::MAX, |first| first.0);
        let until = when.zone.hour_of(when.now).0;
        for part in self.telling.iter().flat_map(|(_, times)| times) {
            let [first, last] = [part.begin, part.end].map(|at| when.zone.hour_of(at).0);
            hours.extend((first.max(since)..=last.min(until)).map(Hour));
        }
        let now = when.zone.hour_of(when.now);
        for (server, minutes) in &self.servers {
            let known: Vec<i64> = minutes.keys().map(|minute| minute.0).collect();
            if let Some((last, _)) = minutes.last_key_value()
                && when.expects(server, now)
                && self.is_told_for_good(server, minutes, *last, now, when)
            {
                hours.extend((hour_of(last.0).0..=now.0).map(Hour));
            }
            for hole in known.windows(2) {
                if let [before, after] = hole
                    && before + 1 < *after
                {
                    hours.extend((hour_of(*before).0..=hour_of(*after).0).map(Hour));
                }
            }
            if let (Some(first), Some(minute)) = (when.span.first_hour, known.first())
                && self.is_first_ever(minutes, Minute(*minute))
            {
                hours.extend((first.0..=hour_of(*minute).0).map(Hour));
            }
        }
        hours
    }

    /// Whether a server had never collected before that minute: then it has no earlier data to send.
    fn is_first_ever(&self, minutes: &BTreeMap<Minute, Vec<usize>>, minute: Minute) -> bool {
        let numbers = minutes.get(&minute).into_iter().flatten();
        let mut segments = numbers.filter_map(|number| self.spooled.get(*number));
        segments.any(|segment| segment.is_first)
    }

    /// Whether it is known what happened right after an hour, without a file of a later minute.
    fn is_told_to_its_end(&self, minutes: &BTreeMap<Minute, Vec<usize>>, minute: Minute) -> bool {
        let numbers = minutes.get(&minute).into_iter().flatten();
        let mut segments = numbers.filter_map(|number| self.spooled.get(*number));
        segments.any(|segment| !segment.ends_early)
    }

    /// Whether the primary stopped in that minute, or a leg that is not expected in an hour: until it starts again, none of
    /// its data is late.
    fn is_told_for_good(
        &self,
        server: &Leg,
        minutes: &BTreeMap<Minute, Vec<usize>>,
        minute: Minute,
        hour: Hour,
        when: &When<'_>,
    ) -> bool {
        (when.primary == Some(&server.server) || !when.expects(server, hour))
            && self.stops_in(minutes, minute)
    }

    /// Whether a leg is none of an hour's: it is not expected in it, stopped in order before it, and none of the hour's
    /// segments is its. So what it did not collect after its end is no gap of it.
    fn has_ended(
        &self,
        (leg, minutes): (&Leg, &BTreeMap<Minute, Vec<usize>>),
        (hour, before): (Hour, Minute),
        segments: &[usize],
        when: &When<'_>,
    ) -> bool {
        let Some((last, _)) = minutes.last_key_value() else {
            return false;
        };
        *last <= before
            && !when.expects(leg, hour)
            && self.stops_in(minutes, *last)
            && !segments.iter().any(|number| {
                let segment = self.spooled.get(*number);
                segment.is_some_and(|segment| segment.name.is_of(leg))
            })
    }

    fn stops_in(&self, minutes: &BTreeMap<Minute, Vec<usize>>, minute: Minute) -> bool {
        let numbers = minutes.get(&minute).into_iter().flatten();
        let mut segments = numbers.filter_map(|number| self.spooled.get(*number));
        segments.any(|segment| segment.stopped)
    }

    /// The numbers of the files of an hour with these segments, ascending.
    fn of_hour(&self, hour: Hour, segments: &[usize], when: &When<'_>) -> Vec<usize> {
        let intervals = when.zone.intervals(hour);
        let (Some(first), Some(last)) = (intervals.first(), intervals.last()) else {
            return Vec::new();
        };
        if !is_in_span(hour, when) {
            return Vec::new();
        }
        let before = Minute(first.begin.minute().0 - 1);
        let after = last.end.minute();
        let mut numbers = BTreeSet::new();
        for (server, minutes) in &self.servers {
            if self.has_ended((server, minutes), (hour, before), segments, when) {
                continue;
            }
            let inside = minutes.range(before..=after);
            numbers.extend(inside.flat_map(|(_, numbers)| numbers));
            let earlier = minutes.get(&Minute(before.0 - 1)).into_iter().flatten();
            let is_slow = |number: &&usize| self.spooled.get(**number).is_some_and(|of| of.is_slow);
            numbers.extend(earlier.filter(is_slow));
            numbers.extend(self.brackets((server, minutes), hour, (before, after), when));
            let later = minutes.range(Minute(after.0 + 1)..=Minute(after.0 + BACKFILL_MINUTES_MAX));
            numbers.extend(later.flat_map(|(_, numbers)| numbers).filter(|number| {
                let segment = self.spooled.get(**number);
                segment.is_some_and(|segment| {
                    0 < segment.backfill
                        && segment.minute.0 - i64::from(segment.backfill) <= after.0
                })
            }));
        }
        let touches = |part: &Interval| part.begin < last.end && first.begin < part.end;
        let telling = self.telling.iter();
        let telling = telling.filter(|(_, times)| times.iter().any(touches));
        numbers.extend(telling.map(|(number, _)| *number));
        numbers.into_iter().collect()
    }

    /// If an outer minute has no file: the files on both sides of the hole. If one side has none, the hole is
    /// unexplained and counts as late, unless the server had never collected before, or is the primary and has
    /// stopped.
    fn brackets(
        &self,
        (server, minutes): (&Leg, &BTreeMap<Minute, Vec<usize>>),
        hour: Hour,
        (before, after): (Minute, Minute),
        when: &When<'_>,
    ) -> Vec<usize> {
        let is_inside = minutes.range(before..=after).next().is_some();
        let nearest_before = minutes.range(..before).next_back();
        let nearest_after = minutes.range(Minute(after.0 + 1)..).next();
        let mut found = Vec::new();
        if !minutes.contains_key(&before)
            && let Some((minute, numbers)) = nearest_before
            && (is_inside
                || nearest_after.is_some()
                || self.is_told_for_good(server, minutes, *minute, hour, when))
        {
            found.extend(numbers);
        }
        if !self.is_told_to_its_end(minutes, after)
            && let Some((minute, numbers)) = nearest_after
            && (is_inside || nearest_before.is_some() || self.is_first_ever(minutes, *minute))
        {
            found.extend(numbers);
        }
        found
    }
}

/// What the hour's manifest will name as its inputs.
pub fn inputs(candidate: &Candidate, spooled: &[SpoolSegment]) -> Inputs {
    let segments = candidate.segments.iter().filter_map(|n| spooled.get(*n));
    let events = candidate.events.iter().filter_map(|n| spooled.get(*n));
    Inputs {
        segments: segments
            .map(|segment| SegmentInput {
                name: segment.name.clone(),
                sha256: segment.sha256,
                lines: segment.lines,
                taken: segment.hours.get(&candidate.hour).copied().unwrap_or(0),
                original: segment.formerly.first().copied(),
            })
            .collect(),
        events: events
            .map(|segment| EventsInput {
                name: segment.name.clone(),
                sha256: segment.events_sha256,
                lines: segment.events,
            })
            .collect(),
    }
}

/// The inputs of a former revision as they are now: a segment has another hash and fewer lines if some were taken out
/// on request.
pub fn as_redacted(former: &Inputs, hour: Hour, spooled: &[SpoolSegment]) -> Inputs {
    let mut now = former.clone();
    for input in &mut now.segments {
        if let Some(segment) = of_name(&input.name, spooled)
            && segment.was(input.sha256, input.original)
        {
            input.original = segment.formerly.first().copied();
            input.sha256 = segment.sha256;
            input.lines = segment.lines;
            input.taken = segment.hours.get(&hour).copied().unwrap_or(0);
        }
    }
    now
}

fn of_name<'a>(name: &SegmentName, spooled: &'a [SpoolSegment]) -> Option<&'a SpoolSegment> {
    let place = spooled.binary_search_by(|segment| segment.name.cmp(name));
    place.ok().and_then(|place| spooled.get(place))
}

/// The inputs of a revision, including those of the former one that are gone. An events file that explained a hole and is here
/// still belongs to the hour no longer if what came since lies nearer.
pub fn with_former(mut here: Inputs, former: &Inputs, spooled: &[SpoolSegment]) -> Inputs {
    here.segments.extend(former.segments.iter().cloned());
    here.segments.sort();
    here.segments.dedup();
    let gone = former.events.iter().filter(|input| {
        let found = of_name(&input.name, spooled);
        found.is_none_or(|segment| segment.events_sha256 != input.sha256)
    });
    here.events.extend(gone.cloned());
    here.events.sort();
    here.events.dedup();
    here
}

/// A file that is an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct File<'a> {
    segment: &'a SegmentName,
    is_events: bool,
    sha256: Sha256,
    original: Option<Sha256>,
}

fn files(inputs: &Inputs) -> BTreeSet<File<'_>> {
    let segments = inputs.segments.iter();
    let events = inputs.events.iter();
    let segments = segments.map(|input| File {
        segment: &input.name,
        is_events: false,
        sha256: input.sha256,
        original: input.original,
    });
    let events = events.map(|input| File {
        segment: &input.name,
        is_events: true,
        sha256: input.sha256,
        original: None,
    });
    segments.chain(events).collect()
}

/// The inputs of a revision that are gone. A segment from which lines were taken out on request is still there, with
/// another hash.
pub fn gone(inputs: &Inputs, spooled: &[SpoolSegment]) -> Vec<String> {
    let is_here = |file: &File<'_>| {
        of_name(file.segment, spooled).is_some_and(|segment| {
            if file.is_events {
                segment.events_sha256 == file.sha256
            } else {
                segment.sha256 == file.sha256 || segment.was(file.sha256, file.original)
            }
        })
    };
    let name = |file: File<'_>| {
        let ending = if file.is_events {
            "events.jsonl"
        } else {
            "jsonl"
        };
        format!("{}.{ending}", file.segment)
    };
    let all = files(inputs).into_iter();
    all.filter(|file| !is_here(file)).map(name).collect()
}

/// Decides about an hour. `former` has the inputs of its latest revision; `asked` says that a person asked for the
/// hour.
pub fn decide(
    candidate: &Candidate,
    spooled: &[SpoolSegment],
    former: Option<&Inputs>,
    asked: bool,
    when: &When<'_>,
) -> Decision {
    let here = inputs(candidate, spooled);
    let here = files(&here);
    let nothing = Inputs::default();
    let known = files(former.unwrap_or(&nothing));
    let new: Vec<&File<'_>> = here.difference(&known).collect();
    let names = |events| {
        let of_kind = new.iter().filter(move |file| file.is_events == events);
        of_kind.map(|file| file.segment.clone()).collect()
    };
    let merge = || Decision::Merge {
        segments: names(false),
        events: names(true),
    };
    if former.is_none() {
        return match is_due(candidate, asked, when) {
            Some(true) => merge(),
            Some(false) => Decision::Wait,
            None => Decision::Nothing,
        };
    }
    if new.is_empty() {
        return Decision::Nothing;
    }
    let numbers = candidate.segments.iter().chain(&candidate.events);
    let arrivals: Vec<UtcMs> = numbers
        .filter_map(|n| spooled.get(*n))
        .filter(|segment| new.iter().any(|file| *file.segment == segment.name))
        .map(|segment| segment.arrived)
        .collect();
    if !asked && !is_quiet(&arrivals, when) {
        return Decision::Wait;
    }
    // if old inputs are gone, a change of the bracketing events files alone does not count as a loss
    let is_bracket = |file: &&File<'_>| {
        let segment = of_name(file.segment, spooled);
        let minute = segment.map_or(file.segment.minute, |segment| segment.minute);
        file.is_events && is_outside(minute, candidate.hour, when)
    };
    let only_brackets = new.iter().all(is_bracket);
    let missing = gone(former.unwrap_or(&nothing), spooled);
    if missing.is_empty() {
        merge()
    } else if only_brackets {
        Decision::Nothing
    } else {
        let same = |one: &File<'_>, file: &File<'_>| {
            (one.segment, one.is_events) == (file.segment, file.is_events)
        };
        let was = |file: &File<'_>| known.iter().find(|known| same(known, file));
        let is_other = |file: &&File<'_>| {
            let segment = of_name(file.segment, spooled);
            was(file).is_some_and(|was| {
                segment.is_none_or(|segment| !segment.was(was.sha256, was.original))
            })
        };
        Decision::HeldBack {
            missing,
            segments: names(false),
            events: names(true),
            is_other: new.iter().any(is_other),
        }
    }
}

/// Whether an hour that was never committed is due; `None` if there is nothing to commit.
fn is_due(candidate: &Candidate, asked: bool, when: &When<'_>) -> Option<bool> {
    if !is_in_span(candidate.hour, when) {
        return (!candidate.segments.is_empty()).then_some(true);
    }
    let intervals = when.zone.intervals(candidate.hour);
    let end = intervals
        .last()
        .map(|last| last.end.plus_ms(when.settle_ms));
    Some(asked || end.is_some_and(|settled| settled <= when.now))
}

/// Whether a minute is outside an hour, and not the minute before or after it.
fn is_outside(minute: Minute, hour: Hour, when: &When<'_>) -> bool {
    let intervals = when.zone.intervals(hour);
    let (first, last) = (intervals.first(), intervals.last());
    first.is_none_or(|first| minute.0 + 1 < first.begin.minute().0)
        || last.is_none_or(|last| last.end.minute() < minute)
}

/// Whether new input of a committed hour has waited long enough.
fn is_quiet(arrivals: &[UtcMs], when: &When<'_>) -> bool {
    let passed = |at: Option<&UtcMs>, ms| at.is_none_or(|at| at.plus_ms(ms) <= when.now);
    passed(arrivals.iter().max(), when.settle_ms) || passed(arrivals.iter().min(), WAIT_MAX_MS)
}

/// What tests of planning and placing are made of.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in crate::merge) fn ms(text: &str) -> UtcMs {
        format!("2026-11-23T{text}:00Z").parse().unwrap()
    }

    pub(in crate::merge) fn hour(text: &str) -> Hour {
        format!("2026-11-{text}").parse().unwrap()
    }

    /// A segment of a minute, with lines in hours, which arrived then.
    pub(in crate::merge) fn segment(
        server: &str,
        minute: &str,
        lines: &[(&str, u64)],
        arrived: &str,
    ) -> SpoolSegment {
        let name = format!(
            "{server}_sample_20261123T{}Z_3fa9c01b_000",
            minute.replace(':', "")
        );
        let parsed: SegmentName = name.parse().unwrap();
        SpoolSegment {
            is_here: true,
            minute: parsed.minute,
            is_slow: false,
            name: parsed,
            number: 1,
            offset_ms: None,
            lag: None,
            step_ms: None,
            rejected: 0,
            began: None,
            sha256: Sha256::of(name.as_bytes()),
            formerly: Vec::new(),
            events_sha256: Sha256::of(name.as_bytes()),
            lines: lines.iter().map(|(_, lines)| lines).sum(),
            events: 1,
            hours: lines.iter().map(|(at, lines)| (hour(at), *lines)).collect(),
            started: (minute == "13:50").then(|| ms("13:50")),
            is_first: minute == "13:50",
            ends_early: false,
            stopped: false,
            backfill: 0,
            out_of_window: Vec::new(),
            listened: Vec::new(),
            arrived: ms(arrived),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{hour, ms, segment},
        *,
    };

    const SETTLE_MS: i64 = 600_000;

    /// While the end of the hour had not come, the next file of the server told what followed. Now it has come, and lies nearer.
    #[test]
    fn what_explained_a_hole_is_no_input_any_more_if_the_hole_is_filled() {
        let of = |minutes: &[&str]| -> Vec<SpoolSegment> {
            let lines = |minute: &str| {
                let lines = [("23_13", 1)];
                segment(
                    "1",
                    minute,
                    if minute < "14:00" { &lines } else { &[] },
                    minute,
                )
            };
            minutes.iter().map(|minute| lines(minute)).collect()
        };
        let inputs_of = |all: &[SpoolSegment], events: &[&str]| {
            let is_of = |segment: &SpoolSegment, of: &[&str]| {
                of.iter().any(|minute| segment.minute.begin() == ms(minute))
            };
            let numbers = |of: &[&str]| (0..all.len()).filter(|n| is_of(&all[*n], of)).collect();
            let candidate = Candidate {
                hour: hour("23_13"),
                segments: numbers(&["13:58"]),
                events: numbers(events),
            };
            inputs(&candidate, all)
        };
        let former = inputs_of(&of(&["13:58", "14:56"]), &["13:58", "14:56"]);
        let minutes = |inputs: &Inputs| -> Vec<String> {
            let minute = |input: &EventsInput| input.name.minute.compact()[9..13].to_owned();
            inputs.events.iter().map(minute).collect()
        };
        // raw data of the hour is gone, what explained the hole is still here
        let spooled = of(&["13:59", "14:00", "14:56"]);
        let here = inputs_of(&spooled, &["13:59", "14:00"]);
        let found = with_former(here.clone(), &former, &spooled);
        assert_eq!(minutes(&found), ["1358", "1359", "1400"]);
        // where that is gone, too, nothing tells what it was
        let spooled = of(&["13:59", "14:00"]);
        let found = with_former(here, &former, &spooled);
        assert_eq!(minutes(&found), ["1358", "1359", "1400", "1456"]);
    }

    /// Machines whose lists of redactions had different lengths have taken different lines out of a segment. What one of
    /// them merged is known to the other by what it was as it was collected.
    #[test]
    fn an_input_is_known_by_its_original_whatever_was_taken_out_of_it() {
        let [first, one, both] = ["first", "one", "both"].map(|text| Sha256::of(text.as_bytes()));
        let spooled = |sha256, formerly: &[Sha256]| {
            let mut segment = segment("1", "14:20", &[("23_14", 3)], "14:21");
            (segment.sha256, segment.formerly) = (sha256, formerly.to_vec());
            vec![segment]
        };
        let candidate = Candidate {
            hour: hour("23_14"),
            segments: vec![0],
            events: Vec::new(),
        };
        let [of_one, of_both] = [one, both].map(|sha256| {
            let here = spooled(sha256, &[first]);
            (inputs(&candidate, &here), here)
        });
        assert_eq!(gone(&of_one.0, &of_both.1), [""; 0]);
        assert_eq!(gone(&of_both.0, &of_one.1), [""; 0]);
        let now = as_redacted(&of_one.0, candidate.hour, &of_both.1);
        assert_eq!(now, of_both.0);
        assert_eq!(gone(&of_one.0, &spooled(both, &[])).len(), 1, "another");
    }

    #[test]
    fn an_hour_that_is_to_come_by_the_posts_clock_is_to_come() {
        let primary: ServerId = "1".parse().unwrap();
        // sealed at 14:20 by a clock that is so many hours ahead of the posts'
        let of = |ahead: i64| {
            let mut segment = segment("1", "14:20", &[], "14:20");
            segment.minute = Minute(segment.minute.0 - 60 * ahead);
            segment.offset_ms = Some(-3_600_000 * ahead);
            vec![segment]
        };
        let at = |ahead, text: &str| {
            let found = now(&of(ahead), Some(&primary), ms(text));
            found.to_string()[11..16].to_owned()
        };
        assert_eq!(at(0, "14:30"), "14:30");
        assert_eq!(at(0, "19:30"), "19:30");
        assert_eq!(at(2, "14:30"), "12:30");
        assert_eq!(at(2, "19:30"), "17:30", "it may still be ahead");
        assert_eq!(at(-2, "14:30"), "16:30");
        assert_eq!(at(-2, "19:30"), "19:30", "it may have been set since");
        assert_eq!(at(-2, "15:30"), "16:21", "what is recorded is not to come");
    }

    /// Legs number their runs each for itself: one that came later began with a greater number, and may be gone since.
    #[test]
    fn now_is_told_by_a_leg_that_is_still_collected() {
        let primary: ServerId = "1".parse().unwrap();
        let of = |partition: u8, minute: &str, ahead: i64, number: u64| {
            let mut segment = segment("1", minute, &[], minute);
            segment.name.partition = crate::segment::name::Partition::new(partition);
            segment.minute = Minute(segment.minute.0 - 60 * ahead);
            segment.number = number;
            segment
        };
        let spooled = [of(1, "14:20", 2, 8), of(2, "09:20", 0, 700)];
        let found = now(&spooled, Some(&primary), ms("14:30"));
        assert_eq!(found, ms("12:30"));
    }

    /// What is decided at a time: the first letter of each decision that is not `Nothing`.
    fn decided(
        spooled: &[SpoolSegment],
        committed: &[(&str, &[SpoolSegment])],
        asked: Option<&str>,
        now: &str,
    ) -> Vec<String> {
        let zone = Zone::named("UTC").unwrap();
        let when = When {
            zone: &zone,
            span: span(spooled, &zone, Span::default()),
            settle_ms: SETTLE_MS,
            now: ms(now),
            primary: None,
            servers: &two(),
        };
        let of = |spooled: &[SpoolSegment], hour| {
            let found = candidates(spooled, &BTreeSet::new(), &when);
            let candidate = found.into_iter().find(|candidate| candidate.hour == hour);
            candidate
                .map(|candidate| inputs(&candidate, spooled))
                .unwrap_or_default()
        };
        let committed: BTreeMap<Hour, Inputs> = committed
            .iter()
            .map(|(at, then)| (hour(at), of(then, hour(at))))
            .collect();
        let done: BTreeSet<Hour> = committed.keys().copied().collect();
        let mut found = Vec::new();
        for candidate in candidates(spooled, &done, &when) {
            let asked = asked.map(hour) == Some(candidate.hour);
            let former = committed.get(&candidate.hour);
            let text = match decide(&candidate, spooled, former, asked, &when) {
                Decision::Nothing => continue,
                Decision::Wait => "waits".to_owned(),
                Decision::Merge { segments, events } => {
                    format!("+{} +{}", segments.len(), events.len())
                }
                Decision::HeldBack { missing, .. } => format!("lacks {}", missing.len()),
            };
            found.push(format!("{} {text}", candidate.hour));
        }
        found
    }

    #[test]
    fn hours_of_the_span_wait_until_they_have_settled() {
        let spooled = [
            segment("1", "13:50", &[("23_13", 5)], "13:51"),
            segment("1", "14:00", &[("23_13", 1), ("23_14", 7)], "14:01"),
            segment("1", "16:30", &[("23_16", 5), ("20_07", 1)], "16:31"),
        ];
        let at = |now| decided(&spooled, &[], None, now);
        assert_eq!(
            at("16:32"),
            [
                "2026-11-20_07 +1 +0",
                "2026-11-23_13 +2 +2",
                "2026-11-23_14 +1 +3",
                "2026-11-23_15 +0 +2",
                "2026-11-23_16 waits",
            ]
        );
        assert_eq!(at("17:09").last().unwrap(), "2026-11-23_17 waits");
        assert_eq!(at("17:09")[4], "2026-11-23_16 waits");
        assert_eq!(at("17:10")[4], "2026-11-23_16 +1 +2");
        let asked = decided(&spooled, &[], Some("23_16"), "16:32");
        assert_eq!(asked.last().unwrap(), "2026-11-23_16 +1 +2");
    }

    #[test]
    fn late_input_is_merged_when_it_is_quiet_or_old() {
        let before = [
            segment("1", "13:50", &[("23_13", 5)], "13:51"),
            segment("1", "13:51", &[("23_13", 5)], "13:52"),
        ];
        let mut now = before.to_vec();
        now.push(segment("2", "13:52", &[("23_13", 9)], "15:00"));
        let at = |spooled: &[SpoolSegment], asked, now| {
            decided(
                spooled,
                &[("23_13", &before), ("23_14", &before)],
                asked,
                now,
            )
        };
        assert_eq!(at(&before, None, "14:30"), [""; 0]);
        assert_eq!(at(&before, Some("23_13"), "14:30"), [""; 0]);
        assert_eq!(
            at(&now, None, "15:09"),
            ["2026-11-23_13 waits", "2026-11-23_15 waits"]
        );
        assert_eq!(at(&now, Some("23_13"), "15:00")[0], "2026-11-23_13 +1 +1");
        assert_eq!(at(&now, None, "15:10")[0], "2026-11-23_13 +1 +1");
        // one every few minutes, for hours
        now.push(segment("2", "13:53", &[("23_13", 9)], "20:59"));
        assert_eq!(at(&now, None, "20:59")[0], "2026-11-23_13 waits");
        assert_eq!(at(&now, None, "21:00")[0], "2026-11-23_13 +2 +2");
        // an hour never shrinks
        now.remove(1);
        assert_eq!(at(&now, None, "21:00")[0], "2026-11-23_13 lacks 2");
        assert_eq!(at(&before[..1], None, "14:30"), [""; 0], "raw data may go");
    }

    /// The minutes of the events files that belong to hours.
    fn minutes_of(
        spooled: &[SpoolSegment],
        primary: Option<&str>,
        hours: &[&str],
    ) -> Vec<Vec<String>> {
        let zone = Zone::named("UTC").unwrap();
        let primary: Option<ServerId> = primary.map(|id| id.parse().unwrap());
        let when = When {
            zone: &zone,
            span: span(spooled, &zone, Span::default()),
            settle_ms: SETTLE_MS,
            now: ms("18:30"),
            primary: primary.as_ref(),
            servers: &two(),
        };
        let files = EventsFiles::of(spooled);
        let known = files.hours(&when);
        let of_hour = |at: &&str| {
            let hour = hour(at);
            let numbers = files.of_hour(hour, &[], &when);
            assert!(numbers.is_empty() || known.contains(&hour), "{hour}");
            let minute = |n: usize| spooled[n].name.minute.begin().to_string()[11..16].to_owned();
            numbers.into_iter().map(minute).collect()
        };
        hours.iter().map(of_hour).collect()
    }

    /// The hours to which files belong that are looked at: from the hour 13 on, in which the archive began, until 18:30.
    fn hours_of(stock: &[SpoolSegment]) -> Vec<String> {
        let zone = Zone::named("UTC").unwrap();
        let when = When {
            zone: &zone,
            span: Span {
                first_hour: Some(hour("23_13")),
                began: None,
            },
            settle_ms: SETTLE_MS,
            now: ms("18:30"),
            primary: None,
            servers: &two(),
        };
        let hours = EventsFiles::of(stock).hours(&when).into_iter();
        hours.map(|hour| hour.to_string()[8..].to_owned()).collect()
    }

    #[test]
    fn a_file_is_of_all_hours_that_it_tells_of() {
        let one = |minute, change: &dyn Fn(&mut SpoolSegment)| {
            let mut of = segment("1", minute, &[], minute);
            change(&mut of);
            hours_of(&[of])
        };
        assert_eq!(one("14:58", &|_| ()), ["23_14"]);
        assert_eq!(one("14:59", &|_| ()), ["23_14", "23_15"]);
        assert_eq!(one("15:00", &|_| ()), ["23_14", "23_15"]);
        assert_eq!(one("15:01", &|_| ()), ["23_15"]);
        let slow = |of: &mut SpoolSegment| of.is_slow = true;
        assert_eq!(one("14:57", &slow), ["23_14"]);
        assert_eq!(one("14:58", &slow), ["23_14", "23_15"]);
        let backfill = |of: &mut SpoolSegment| of.backfill = 3;
        assert_eq!(one("15:03", &backfill), ["23_14", "23_15"]);
        assert_eq!(one("15:04", &backfill), ["23_15"]);
        // nothing from before the archive, and nothing that is to come
        let window = |begin: UtcMs, end: UtcMs| {
            one("16:30", &|of| {
                of.out_of_window = vec![Interval { begin, end }];
            })
        };
        let all = ["23_13", "23_14", "23_15", "23_16", "23_17", "23_18"];
        assert_eq!(window(ms("14:20"), ms("15:10")), all[1..4]);
        assert_eq!(window(UtcMs(0), ms("13:10")), ["23_13", "23_16"]);
        assert_eq!(
            window(ms("17:30"), ms("17:30").plus_ms(8_640_000_000)),
            all[3..]
        );
        // what was not collected in between
        let [before, after] = ["13:50", "16:20"].map(|minute| segment("1", minute, &[], minute));
        assert_eq!(hours_of(&[before, after]), all[..4]);
        // a server that is new did not run before
        let first = |of: &mut SpoolSegment| of.is_first = true;
        assert_eq!(one("16:20", &first), all[..4]);
        assert_eq!(one("16:20", &|_| ()), ["23_16"]);
    }

    #[test]
    fn whatever_tells_of_an_hour_belongs_to_it() {
        let of = |minute, change: &dyn Fn(&mut SpoolSegment)| {
            let mut of = segment("1", minute, &[], minute);
            change(&mut of);
            of
        };
        let begun = of("13:50", &|_| ());
        let of_hours = |files: &[SpoolSegment]| {
            let stock: Vec<SpoolSegment> = [std::slice::from_ref(&begun), files].concat();
            minutes_of(&stock, None, &["23_14", "23_15", "23_16"])
        };
        // a hole before the first file of an hour, and one after its last
        let found = of_hours(&[of("14:10", &|_| ())]);
        assert_eq!(found[0], ["13:50", "14:10"]);
        let found = of_hours(&[of("14:10", &|_| ()), of("15:30", &|_| ())]);
        assert_eq!(found[0], ["13:50", "14:10", "15:30"]);
        assert_eq!(found[1], ["14:10", "15:30"]);
        // stamps that are behind
        let files = |slow: bool| {
            let minutes = ["14:58", "14:59", "15:00"];
            minutes.map(|minute| of(minute, &|of| of.is_slow = slow && minute == "14:58"))
        };
        assert_eq!(of_hours(&files(false))[1], ["14:59", "15:00"]);
        assert_eq!(of_hours(&files(true))[1], ["14:58", "14:59", "15:00"]);
        // each of the times that a file tells of
        let times = |of: &mut SpoolSegment| {
            let part = |begin, end| Interval {
                begin: ms(begin),
                end: ms(end),
            };
            of.out_of_window = vec![part("14:05", "14:06"), part("15:55", "16:00")];
        };
        let minutes = [
            "13:59", "14:59", "15:00", "15:59", "16:00", "16:59", "17:00",
        ];
        let mut files = minutes.map(|minute| of(minute, &|_| ())).to_vec();
        files.push(of("17:50", &times));
        let found = of_hours(&files);
        let has = |hour: usize| found[hour].contains(&"17:50".to_owned());
        assert_eq!([0, 1, 2].map(has), [true, true, false], "{found:?}");
    }

    /// If the raw data of an hour is gone, late data waits for its rows; what only explains a hole waits for nothing.
    #[test]
    fn what_comes_with_the_edge_of_a_hole_is_late_all_the_same() {
        let stock: Vec<SpoolSegment> = [
            ("13:58", &[][..]),
            ("13:59", &[]),
            ("14:10", &[("23_14", 5)]),
            ("15:00", &[]),
            ("15:01", &[]),
        ]
        .map(|(minute, lines)| segment("1", minute, lines, minute))
        .to_vec();
        let swept = segment("1", "14:05", &[("23_14", 7)], "14:06");
        let candidate = |segments: &[usize], events: &[usize]| Candidate {
            hour: hour("23_14"),
            segments: segments.to_vec(),
            events: events.to_vec(),
        };
        let former = inputs(&candidate(&[0], &[]), std::slice::from_ref(&swept));
        let zone = Zone::named("UTC").unwrap();
        let when = When {
            zone: &zone,
            span: span(&stock, &zone, Span::default()),
            settle_ms: SETTLE_MS,
            now: ms("18:30"),
            primary: None,
            servers: &[],
        };
        let is_held = |of: &Candidate, stock: &[SpoolSegment]| match decide(
            of,
            stock,
            Some(&former),
            false,
            &when,
        ) {
            Decision::HeldBack { is_other, .. } => Some(is_other),
            Decision::Nothing => None,
            other => panic!("{other:?}"),
        };
        let held = |segments: &[usize], events: &[usize]| {
            is_held(&candidate(segments, events), &stock) == Some(false)
        };
        // the minutes before and after an hour are its own
        let alone = [0, 1, 2, 3, 4].map(|events| held(&[], &[events]));
        assert_eq!(alone, [false, true, true, true, false]);
        assert!(!held(&[], &[0, 4]));
        assert!(held(&[2], &[0, 4]));
        assert!(held(&[2], &[]));
        // the name of what was merged, and other lines
        let mut other = swept.clone();
        other.sha256 = Sha256::of(b"other lines");
        let of = candidate(&[0], &[]);
        assert_eq!(is_held(&of, std::slice::from_ref(&other)), Some(true));
        // an hour outside the span is due as soon as it has posts
        let of = |segments: &[usize]| Candidate {
            hour: hour("20_07"),
            segments: segments.to_vec(),
            events: Vec::new(),
        };
        assert_eq!(is_due(&of(&[0]), false, &when), Some(true));
        assert_eq!(is_due(&of(&[]), false, &when), None);
    }

    /// Servers that are configured, without partitions.
    fn two() -> [Server; 2] {
        ["1", "2"].map(|id| Server {
            id: id.parse().unwrap(),
            role: crate::config::settings::Role::Secondary,
            host: String::new(),
            endpoint: None,
            partitions: Vec::new(),
            deliver_to: None,
            until: None,
        })
    }

    /// What a leg did not collect after its end is no gap of it, if it is not configured any more.
    #[test]
    fn the_events_of_a_leg_that_is_not_configured_any_more_belong_to_no_hour_after_its_end() {
        let stopped = |name: &str, minute: &str| {
            let of = |minute: &str, stopped| {
                let mut of = segment("1", minute, &[], minute);
                of.name = of
                    .name
                    .to_string()
                    .replacen("1_sample", name, 1)
                    .parse()
                    .unwrap();
                (of.stopped, of.ends_early) = (stopped, stopped);
                of
            };
            let mut spooled = vec![of("13:50", false), of(minute, true)];
            spooled.sort_by(|a, b| a.name.cmp(&b.name));
            minutes_of(&spooled, Some("1"), &["23_14", "23_15", "23_16"])
        };
        let nothing: [&str; 0] = [];
        for name in ["1_sample.02", "3_sample"] {
            let found = stopped(name, "14:20");
            assert_eq!(found[0], ["13:50", "14:20"], "{name}");
            assert_eq!(found[1..], [nothing, nothing], "{name}");
            // in the last minute before an hour, whose events tell of its begin
            let found = stopped(name, "14:59");
            assert_eq!(found[1..], [nothing, nothing], "{name}");
        }
        let found = stopped("1_sample", "14:20");
        assert_eq!(found[1..], [["14:20"], ["14:20"]], "the primary's");
        let found = stopped("2_sample", "14:59");
        assert_eq!(found[1], ["14:59"], "it may have started again");
    }

    #[test]
    fn a_backfill_belongs_to_the_hours_that_it_reaches_into() {
        let asked = |minute, backfill| SpoolSegment {
            backfill,
            ..segment("1", minute, &[], minute)
        };
        let spooled = [
            asked("13:50", 0),
            asked("14:59", 0),
            asked("15:00", 0),
            asked("15:01", 0),
            asked("15:02", 1),
            asked("15:03", 3),
            asked("15:04", 5),
            asked("15:06", 5),
        ];
        let found = minutes_of(&spooled, None, &["23_14"]).remove(0);
        // that of the minute after the hour tells of its end; of the later ones those that asked so far back
        assert_eq!(found, ["13:50", "14:59", "15:00", "15:03", "15:04"]);
    }

    /// What came next after a pause tells of all of it, whatever hour that reaches into.
    #[test]
    fn the_end_of_a_pause_belongs_to_the_hours_before_it() {
        let spooled = |next: &str| {
            ["13:50", "14:59", "15:00", "15:01", "15:02"].map(|minute| {
                let mut of = segment("1", minute, &[], minute);
                let first = match minute {
                    "14:59" => ms("14:59"),
                    minute if minute == next => ms(next).plus_ms(5_000),
                    _ => return of,
                };
                of.listened = vec![Listened {
                    connection: None,
                    first,
                    last: first.plus_ms(20_000),
                    pauses: Vec::new(),
                }];
                of
            })
        };
        let of_hour = |next| minutes_of(&spooled(next), None, &["23_14"]);
        assert_eq!(of_hour("15:00"), [["13:50", "14:59", "15:00"]]);
        assert_eq!(of_hour("15:01"), [["13:50", "14:59", "15:00", "15:01"]]);
        assert_eq!(of_hour("15:02"), [["13:50", "14:59", "15:00", "15:02"]]);
        // what is hardly later came two minutes later
        let mut again = spooled("15:01");
        again[3].listened[0].first = ms("15:00").plus_ms(10_000);
        let found = minutes_of(&again, None, &["23_14"]);
        assert_eq!(found, [["13:50", "14:59", "15:00", "15:01"]]);
    }

    /// A connection is made in the last moment of a minute, and what it brings of an hour long before comes in the next.
    #[test]
    fn who_asked_belongs_to_the_hours_of_what_came() {
        let of_hour = |connection: Option<u64>| {
            let mut spooled = ["13:50", "15:20", "15:21"].map(|at| segment("1", at, &[], at));
            spooled[2].listened = vec![Listened {
                connection,
                first: ms("14:05"),
                last: ms("15:10"),
                pauses: Vec::new(),
            }];
            minutes_of(&spooled, None, &["23_13"])
        };
        assert_eq!(of_hour(None), [["13:50", "15:20", "15:21"]]);
        assert_eq!(of_hour(Some(1)), [["13:50", "15:20", "15:21"]]);
    }

    #[test]
    fn an_early_end_in_the_outer_minute_is_told_by_the_next_file() {
        let at = |minute| segment("1", minute, &[], minute);
        let mut spooled = [
            at("13:50"),
            at("14:59"),
            at("15:00"),
            at("15:07"),
            at("16:20"),
        ];
        let of = |spooled: &[SpoolSegment]| minutes_of(spooled, None, &["23_14"]).remove(0);
        assert_eq!(of(&spooled), ["13:50", "14:59", "15:00"]);
        spooled[2].ends_early = true;
        assert_eq!(of(&spooled), ["13:50", "14:59", "15:00", "15:07"]);
        // another run in that minute goes on
        let mut both = spooled.to_vec();
        both.insert(3, at("15:00"));
        let goes_on = both[3].name.to_string().replace("_000", "_001");
        both[3].name = goes_on.parse().unwrap();
        assert_eq!(of(&both), ["13:50", "14:59", "15:00", "15:00"]);
    }

    #[test]
    fn a_primary_that_stopped_did_not_run_and_another_server_may_be_late() {
        let hours = ["23_14", "23_15", "23_18"];
        let mut spooled = vec![
            segment("1", "13:50", &[], "13:50"),
            segment("1", "14:05", &[], "14:06"),
        ];
        let nothing = [""; 0];
        let of = |spooled: &[SpoolSegment], primary| minutes_of(spooled, primary, &hours);
        assert_eq!(of(&spooled, Some("1"))[1], nothing);
        spooled[1].stopped = true;
        let found = of(&spooled, Some("1"));
        assert_eq!(
            found,
            [vec!["13:50", "14:05"], vec!["14:05"], vec!["14:05"]]
        );
        for other in [None, Some("2")] {
            assert_eq!(
                of(&spooled, other)[1],
                nothing,
                "what it did then may be on its way"
            );
        }
        spooled.push(segment("1", "17:10", &[], "17:11"));
        let found = of(&spooled, Some("1"));
        assert_eq!(found[1], ["14:05", "17:10"], "it started again");
        assert_eq!(found[2], nothing, "and goes on");
    }

    #[test]
    fn an_hour_that_comes_twice_settles_after_the_second_time() {
        // two hours back at once: the hour 01 ends, and comes again after the hour 02
        let zone = Zone::named("Antarctica/Troll").unwrap();
        let hour: Hour = "2026-10-25_01".parse().unwrap();
        let intervals = zone.intervals(hour);
        assert_eq!(intervals.len(), 2, "{intervals:?}");
        let candidate = Candidate {
            hour,
            segments: Vec::new(),
            events: Vec::new(),
        };
        let due = |now: UtcMs| {
            let when = When {
                zone: &zone,
                span: Span {
                    first_hour: Some(Hour(hour.0 - 9)),
                    began: None,
                },
                settle_ms: SETTLE_MS,
                now,
                primary: None,
                servers: &[],
            };
            is_due(&candidate, false, &when)
        };
        assert_eq!(due(intervals[0].end.plus_ms(SETTLE_MS)), Some(false));
        assert_eq!(due(intervals[1].end.plus_ms(SETTLE_MS - 1)), Some(false));
        assert_eq!(due(intervals[1].end.plus_ms(SETTLE_MS)), Some(true));
    }

    #[test]
    fn events_alone_are_late_input_and_what_has_gone_or_changed_is_missed() {
        let before = [segment("1", "13:50", &[("23_13", 5)], "13:51")];
        let now = [before[0].clone(), segment("2", "13:52", &[], "15:00")];
        let found = decided(&now, &[("23_13", &before)], None, "15:10");
        assert_eq!(found[0], "2026-11-23_13 +0 +1");
        let zone = Zone::named("UTC").unwrap();
        let candidate = Candidate {
            hour: hour("23_13"),
            segments: vec![0],
            events: vec![0],
        };
        let merged = inputs(&candidate, &before);
        assert_eq!(gone(&merged, &before), [""; 0]);
        let name = before[0].name.to_string();
        let with = |change: &dyn Fn(&mut SpoolSegment)| {
            let mut here = before.clone();
            change(&mut here[0]);
            gone(&merged, &here)
        };
        assert_eq!(
            with(&|of| of.sha256 = Sha256::ZEROS),
            [format!("{name}.jsonl")]
        );
        assert_eq!(
            with(&|of| of.events_sha256 = Sha256::ZEROS),
            [format!("{name}.events.jsonl")]
        );
        let redacted = |of: &mut SpoolSegment| {
            of.formerly
                .push(std::mem::replace(&mut of.sha256, Sha256::ZEROS));
        };
        assert_eq!(with(&redacted), [""; 0], "lines were taken out on request");
        // and others on another machine, out of the same segment
        let mut elsewhere = before.clone();
        redacted(&mut elsewhere[0]);
        let mut here = elsewhere.clone();
        elsewhere[0].sha256 = Sha256::of(b"what is left there");
        let merged_there = inputs(&candidate, &elsewhere);
        assert_eq!(gone(&merged_there, &here), [""; 0]);
        here[0].formerly = vec![Sha256::of(b"of another")];
        assert_eq!(gone(&merged_there, &here), [format!("{name}.jsonl")]);
        assert_eq!(gone(&merged, &[]).len(), 2);
        // the span only ever moves back
        let known = Span {
            first_hour: Some(hour("20_07")),
            began: Some(ms("00:00")),
        };
        assert_eq!(span(&before, &zone, known), known);
        let mut swept = before.clone();
        swept[0].began = Some(ms("13:50"));
        assert_eq!(span(&swept, &zone, known), known);
        let later = Span {
            first_hour: Some(hour("23_17")),
            began: None,
        };
        assert_eq!(span(&before, &zone, later).first_hour, Some(hour("23_13")));
    }
}
