//! The UTC days of the spool that are merged completely, with what the plan needs to know of them, so that their
//! segments need not be read.
//!
//! `<data_dir>/closed.json` may be deleted at any time: then everything is read once more. A day is closed only as
//! long as its folders are unchanged, the clocks of all runs still put its runs at the same times, and its hours have
//! the same revisions. All days are opened if anything else that decides about hours changes (`Heading`). The
//! segments of open days are read. For an hour to which something in an open day belongs, everything is read, in
//! closed days too. No other hour can have changed since nothing was left to do about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    index,
    placing::{Clocks, RunClock},
    plan::{Span, SpoolSegment},
};
use crate::{
    period::{Day, Hour, Minute, UtcMs},
    segment::{
        acks::{self, Old},
        days::Still,
        name::{Leg, ServerId},
        sha256::Sha256,
    },
    world::disk::{self, Disk},
};

/// The version of the file's format.
const FORMAT: u32 = 1;

/// A day has some 6 KB, and with twenty partitions 60.
const BYTES_MAX: u64 = 1 << 30;

/// Everything besides the spool and the revisions that decides about hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    format: u32,
    index: u32,
    /// The zone of the vault's hours.
    zone: String,
    /// The vault's stream.
    stream: String,
    /// The primary.
    primary: Option<ServerId>,
    /// The list of what was removed on request, as a hash.
    redactions: Sha256,
}

impl Heading {
    /// Of this version of the program.
    pub const fn of(
        zone: String,
        stream: String,
        primary: Option<ServerId>,
        redactions: Sha256,
    ) -> Self {
        Self {
            format: FORMAT,
            index: index::FORMAT,
            zone,
            stream,
            primary,
            redactions,
        }
    }
}

/// What the plan needs of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedDay {
    /// The state of its folders.
    pub folders: Sha256,
    /// The hours to which its segments belong, and their revisions.
    pub hours: BTreeMap<Hour, u64>,
    /// What its segments say about the clocks of their runs.
    pub told: Vec<RunClock>,
    /// The times at which that put these runs.
    clocks: Vec<(i64, Option<i64>)>,
    /// For each leg, the segments of its first and last minute on the posts' clock: the nearest ones for earlier and
    /// later days.
    pub edges: Vec<SpoolSegment>,
    /// The first `started` of its events files.
    started: Option<UtcMs>,
    /// The first connection or line.
    began: Option<UtcMs>,
    /// The end of its last minute of which the API told the time.
    recorded: Option<UtcMs>,
}

impl ClosedDay {
    /// From all of its segments, on the posts' clock.
    pub fn of(
        folders: Sha256,
        hours: BTreeMap<Hour, u64>,
        spooled: &[&SpoolSegment],
        told: Vec<RunClock>,
        clocks: &Clocks,
    ) -> Self {
        let mut legs: BTreeMap<Leg, (Minute, Minute)> = BTreeMap::new();
        for segment in spooled {
            let (first, last) = legs
                .entry(segment.name.leg())
                .or_insert((segment.minute, segment.minute));
            *first = segment.minute.min(*first);
            *last = segment.minute.max(*last);
        }
        let is_edge = |segment: &&&SpoolSegment| {
            let edges = legs.get(&segment.name.leg());
            edges.is_some_and(|(first, last)| [first, last].contains(&&segment.minute))
        };
        let edges = spooled.iter().filter(is_edge);
        let signed = spooled.iter().filter(|of| of.offset_ms.is_some());
        Self {
            folders,
            hours,
            clocks: clocks.of_told(&told),
            told,
            edges: edges.map(|segment| (**segment).clone()).collect(),
            started: spooled.iter().filter_map(|of| of.started).min(),
            began: spooled.iter().filter_map(|of| of.began).min(),
            recorded: signed.map(|of| of.minute.end()).max(),
        }
    }

    /// Whether these clocks put its runs at the same times.
    pub fn is_placed_by(&self, clocks: &Clocks) -> bool {
        clocks.of_told(&self.told) == self.clocks
    }
}

/// The closed days of a spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedDays {
    heading: Heading,
    /// When the vault began.
    #[serde(with = "as_pair")]
    span: Span,
    days: BTreeMap<Day, ClosedDay>,
    /// Days that are not closed yet.
    still: Still,
    /// How much of each server's acknowledgements was given days ago, or is about closed days only: late input does not
    /// wait so long for more of it.
    old_acks: BTreeMap<ServerId, Old>,
}

mod as_pair {
    use super::{Deserialize, Hour, Serialize, Span, UtcMs};

    pub(super) fn serialize<S: serde::Serializer>(span: &Span, to: S) -> Result<S::Ok, S::Error> {
        (span.first_hour, span.began).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        let (first_hour, began) = <(Option<Hour>, Option<UtcMs>)>::deserialize(from)?;
        Ok(Span { first_hour, began })
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("closed.json")
}

impl ClosedDays {
    /// None yet.
    pub fn none(heading: Heading) -> Self {
        Self {
            heading,
            span: Span::default(),
            days: BTreeMap::new(),
            still: Still::default(),
            old_acks: BTreeMap::new(),
        }
    }

    /// Reads the closed days, if everything else is as the heading says. An unreadable file is made again.
    pub fn read(disk: &dyn Disk, data_dir: &Path, heading: Heading) -> Self {
        let known = disk::noted(disk, &path(data_dir), BYTES_MAX);
        let known = known.filter(|known: &Self| known.is_of(&heading));
        known.unwrap_or_else(|| Self::none(heading))
    }

    fn is_of(&self, heading: &Heading) -> bool {
        self.heading == *heading
    }

    /// Writes them. Without a power cut the file is whole; a torn one cannot be read.
    pub fn keep(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        let path = path(data_dir);
        let aside = disk::aside(&path);
        let json = serde_json::to_vec(self)?;
        disk::create_anew(disk, &aside)?.write_all(&json)?;
        disk.rename(&aside, &path)
    }

    /// How many bytes of a server's acknowledgements need not be read.
    pub fn old_acks(&self, server: &ServerId) -> u64 {
        self.old_acks.get(server).map_or(0, |old| old.bytes)
    }

    /// Some days later there are more of them, and as soon as days are closed: `before` has how many bytes lie before those
    /// of open days.
    pub fn acks_go_on(
        &mut self,
        disk: &dyn Disk,
        (spool, servers): (&Path, &[ServerId]),
        before: &BTreeMap<ServerId, u64>,
        now: UtcMs,
    ) -> io::Result<()> {
        self.old_acks.retain(|server, _| servers.contains(server));
        for server in servers {
            let old = self.old_acks.entry(server.clone()).or_default();
            old.skip_to(before.get(server).copied().unwrap_or(0));
            old.go_on(disk, &acks::path(spool, server), now)?;
        }
        Ok(())
    }

    /// Whether a day is closed.
    pub fn has(&self, day: Day) -> bool {
        self.days.contains_key(&day)
    }

    /// Them.
    pub fn days(&self) -> impl Iterator<Item = (Day, &ClosedDay)> {
        self.days.iter().map(|(day, of)| (*day, of))
    }

    /// Opens the days that match, and returns the hours to which they belonged.
    pub fn open_if(&mut self, is_so: impl Fn(Day, &ClosedDay) -> bool) -> BTreeSet<Hour> {
        let opened = self.days.extract_if(.., |day, of| is_so(*day, of));
        opened.flat_map(|(_, of)| of.hours.into_keys()).collect()
    }

    /// Opens all days if the vault began at another time than recorded.
    pub fn open_unless_began(&mut self, span: Span) -> BTreeSet<Hour> {
        let is_other = self.span != span;
        self.span = span;
        self.open_if(|_, _| is_other)
    }

    /// The hours to which something of them belongs.
    pub fn hours(&self) -> BTreeSet<Hour> {
        let hours = self.days.values().flat_map(|of| of.hours.keys());
        hours.copied().collect()
    }

    /// Whether something of them belongs to an hour.
    pub fn has_hour(&self, hour: Hour) -> bool {
        self.days.values().any(|of| of.hours.contains_key(&hour))
    }

    /// The days of which something belongs to one of these hours.
    pub fn with_hours(&self, hours: &BTreeSet<Hour>) -> BTreeSet<Day> {
        let has = |(_, of): &(&Day, &ClosedDay)| of.hours.keys().any(|hour| hours.contains(hour));
        self.days.iter().filter(has).map(|(day, _)| *day).collect()
    }

    /// When the vault began, according to them: the first `started`, and the first connection or line.
    pub fn began(&self) -> (Option<UtcMs>, Option<UtcMs>) {
        let started = self.days.values().filter_map(|of| of.started).min();
        (started, self.days.values().filter_map(|of| of.began).min())
    }

    /// The end of their last minute of which the API told the time.
    pub fn recorded(&self) -> Option<UtcMs> {
        self.days.values().filter_map(|of| of.recorded).max()
    }

    /// Closes a day if it has been unchanged for a while.
    pub fn close(&mut self, day: Day, now: UtcMs, closed: ClosedDay) {
        if self.still.is(day, closed.folders, now) {
            self.days.insert(day, closed);
        }
    }

    /// Drops days from the candidates that may not be closed.
    pub fn retain_still(&mut self, days: &BTreeSet<Day>) {
        let closed = &self.days;
        let is_open = |day| days.contains(&day) && !closed.contains_key(&day);
        self.still.retain(is_open);
    }
}
