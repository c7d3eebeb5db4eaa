//! Which collections a server had requested in which seconds, where a platform sends only those that are named.
//!
//! A list holds from the time on that a connection requests again, up to the last event that came while the list was
//! requested, both by the platform's clock: so while a list changes, a second may have both, or none. Between two
//! requests of the same list, that list counts as requested. A second of the union has the lists of the servers that
//! have it: of the collections in them, it has all that a server has of any second.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    evidence::EventsFile,
    seconds::{self, Covered},
    throughout,
};
use crate::{
    period::{Interval, UtcMs},
    segment::{
        collections::Collections,
        event::{Event, EventKind},
        name::{Leg, RunId},
    },
};

/// For this long before and after all that is known of a server, its list is assumed to be the same.
const NEAR_MS: i64 = 60_000;

/// What was requested in each second of a stretch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The places of the lists that were requested in all of the second, ascending; empty if none is known.
    pub lists: Vec<usize>,
}

/// A stretch of seconds with the same lists.
pub type Stretch = throughout::Stretch<Places>;

/// What was requested in an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// The lists that a server had requested in some second, ascending.
    pub lists: Vec<Collections>,
    /// Every second of each server.
    pub servers: BTreeMap<Leg, Vec<Stretch>>,
    /// The seconds that any server has.
    pub union: Vec<Stretch>,
}

/// For how many seconds the servers that have them had requested which lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SecondsOf>", into = "Vec<SecondsOf>")]
pub struct ByLists(BTreeMap<BTreeSet<Collections>, u64>);

/// Seconds with the same lists.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SecondsOf {
    lists: BTreeSet<Collections>,
    seconds: u64,
}

impl From<Vec<SecondsOf>> for ByLists {
    fn from(all: Vec<SecondsOf>) -> Self {
        Self(all.into_iter().map(|of| (of.lists, of.seconds)).collect())
    }
}

impl From<ByLists> for Vec<SecondsOf> {
    fn from(all: ByLists) -> Self {
        let each = all.0.into_iter();
        each.map(|(lists, seconds)| SecondsOf { lists, seconds })
            .collect()
    }
}

impl ByLists {
    /// Of the seconds that any server has.
    pub fn of<'a>(hours: impl Iterator<Item = &'a Requested>) -> Self {
        let mut all = Self::default();
        for hour in hours {
            for stretch in &hour.union {
                let places = stretch.holds.lists.iter();
                let lists = places.filter_map(|place| hour.lists.get(*place));
                *all.0.entry(lists.cloned().collect()).or_default() += stretch.seconds();
            }
        }
        all
    }

    /// Takes in those of another time.
    pub fn add(&mut self, other: &Self) {
        for (lists, seconds) in &other.0 {
            *self.0.entry(lists.clone()).or_default() += seconds;
        }
    }

    /// Whether there is no second.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn seconds(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each collection, and the seconds that a server has that had requested it.
    pub fn complete(&self) -> BTreeMap<&str, u64> {
        let lists = self.0.keys().flatten();
        let names: BTreeSet<&str> = lists.flat_map(Collections::names).collect();
        let seconds = |name: &str| {
            let all = self.0.iter();
            let having = all.filter(|(lists, _)| lists.iter().any(|list| list.has_all_of(name)));
            having.map(|(_, seconds)| seconds).sum()
        };
        names
            .into_iter()
            .map(|name| (name, seconds(name)))
            .collect()
    }
}

/// One list, for as long as a server requested nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spell {
    list: Collections,
    begin: UtcMs,
    end: UtcMs,
}

/// What one server requested, one list after the other, by the platform's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists(Vec<Spell>);

impl Lists {
    /// What the events files of one server tell, in whatever order they come.
    pub fn of(files: &[EventsFile]) -> Self {
        let mut files: Vec<&EventsFile> = files.iter().collect();
        files.sort_by_key(|file| (file.number, file.name.run, file.name.minute, file.name.part));
        let mut spells: Vec<Spell> = Vec::new();
        // a run requests the same all the time
        let mut of_run: Option<(RunId, Collections)> = None;
        for file in files {
            if let Some(list) = file.events.iter().find_map(list_of) {
                of_run = Some((file.name.run, list.clone()));
            }
            let list = of_run.as_ref().filter(|(run, _)| *run == file.name.run);
            let Some(((_, list), (begin, end))) = list.zip(when(file)) else {
                continue;
            };
            match spells.last_mut() {
                Some(spell) if spell.list == *list => {
                    spell.begin = spell.begin.min(begin);
                    spell.end = spell.end.max(end);
                }
                _ => spells.push(Spell {
                    list: list.clone(),
                    begin,
                    end,
                }),
            }
        }
        if let Some(first) = spells.first_mut() {
            first.begin = first.begin.plus_ms(-NEAR_MS);
        }
        if let Some(last) = spells.last_mut() {
            last.end = last.end.plus_ms(NEAR_MS);
        }
        Self(spells)
    }

    /// Those that were requested in all of a second.
    fn of_second(&self, second: i64) -> impl Iterator<Item = &Collections> {
        let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
        let in_all = move |spell: &&Spell| spell.begin <= begin && end <= spell.end;
        self.0.iter().filter(in_all).map(|spell| &spell.list)
    }
}

fn list_of(event: &Event) -> Option<&Collections> {
    match &event.what {
        EventKind::Connecting { collections, .. } => collections.as_ref(),
        EventKind::Alive(alive) => alive.collections.as_ref(),
        _ => None,
    }
}

/// From when to when the connections of a file's minute brought what they requested, by the platform's clock.
fn when(file: &EventsFile) -> Option<(UtcMs, UtcMs)> {
    let mut times: Vec<UtcMs> = Vec::new();
    let mut asked = None;
    for event in &file.events {
        let at = file.on_posts_clock(event.at);
        match &event.what {
            EventKind::Connecting { cursor, .. } => {
                asked = cursor.map(|us| UtcMs(us.div_euclid(1_000)));
            }
            // an endpoint ignores a requested time that is in the future
            EventKind::Connected { .. } => times.push(asked.map_or(at, |asked| asked.min(at))),
            EventKind::Alive(alive) if alive.connected && file.listened.is_empty() => {
                times.push(at);
            }
            _ => (),
        }
    }
    for listened in &file.listened {
        times.extend([listened.first, listened.last]);
    }
    Some((*times.iter().min()?, *times.iter().max()?))
}

/// What the servers requested in each second of an hour; what the union has of it is not told yet.
pub fn of_servers(intervals: &[Interval], servers: &[(&Leg, &Lists)]) -> Requested {
    let all: Vec<i64> = seconds::all(intervals).collect();
    let asked = servers.iter().map(|(_, lists)| {
        let of_second = |second: &i64| lists.of_second(*second).collect::<BTreeSet<_>>();
        all.iter().map(of_second).collect::<Vec<_>>()
    });
    let asked: Vec<Vec<BTreeSet<&Collections>>> = asked.collect();
    let lists: BTreeSet<&Collections> = asked.iter().flatten().flatten().copied().collect();
    let lists: Vec<&Collections> = lists.into_iter().collect();
    let place = |list: &&Collections| lists.binary_search(list).ok();
    let places = |of: &BTreeSet<&Collections>| {
        let lists = of.iter().filter_map(place).collect();
        Some(Places { lists })
    };
    let of_server = |((leg, _), asked): (&(&Leg, &Lists), &Vec<BTreeSet<&Collections>>)| {
        (
            (*leg).clone(),
            throughout::of_seconds(&all, asked.iter().map(places)),
        )
    };
    Requested {
        servers: servers.iter().zip(&asked).map(of_server).collect(),
        lists: lists.into_iter().cloned().collect(),
        union: Vec::new(),
    }
}

impl Requested {
    /// The union of what servers have, with the lists of each.
    pub fn union(&self, intervals: &[Interval], servers: &[&Covered]) -> Vec<Stretch> {
        let servers = servers.iter().copied().zip(self.servers.values());
        throughout::union(intervals, servers, |having| {
            let lists = having.iter().flatten().flat_map(|of| &of.lists);
            let lists: BTreeSet<usize> = lists.copied().collect();
            Places {
                lists: lists.into_iter().collect(),
            }
        })
    }

    /// From which seconds on a server requested something else than before.
    pub fn changes(&self, leg: &Leg) -> Vec<i64> {
        let stretches = self.servers.get(leg).map_or(&[][..], Vec::as_slice);
        throughout::changes(stretches)
    }

    /// For each second of a server: the one list that it had requested, if it is known and no other one.
    pub fn one_by_one<'a>(&'a self, leg: &Leg, all: &[i64]) -> Vec<Option<&'a Collections>> {
        let stretches = self.servers.get(leg).map_or(&[][..], Vec::as_slice);
        let one = |places: Option<&Places>| match places?.lists[..] {
            [place] => self.lists.get(place),
            _ => None,
        };
        let places = throughout::at_each(stretches, all).into_iter();
        places.map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cover::listened::Listened,
        segment::{
            collections::tests::list,
            event::{Alive, tests::alive},
            name::SegmentName,
        },
    };

    const HOUR: Interval = Interval {
        begin: UtcMs(1_795_442_400_000),
        end: UtcMs(1_795_446_000_000),
    };

    fn at(second: i64) -> UtcMs {
        HOUR.begin.plus_ms(1_000 * second)
    }

    /// The file of the minute of a second: `made` is when a connection was made, and from when on it asks, and `came`
    /// when the platform saw the first and the last event.
    fn file(
        number: u64,
        names: Option<&str>,
        made: Option<(i64, Option<i64>)>,
        came: (i64, i64),
    ) -> EventsFile {
        let event = |at, what| Event {
            at,
            what,
            connection: 1,
        };
        let minute = at(made.map_or(came.1, |(made, _)| made)).minute();
        let mut events = Vec::new();
        if let Some((made, asked)) = made {
            let connecting = EventKind::Connecting {
                backfill_minutes: 0,
                cursor: asked.map(|second| at(second).0 * 1_000),
                endpoint: None,
                collections: names.map(list),
            };
            let connected = EventKind::Connected {
                status: 101,
                backfill_minutes: 0,
                transaction: None,
            };
            events.extend([connecting, connected].map(|what| event(at(made), what)));
        }
        if let EventKind::Alive(told) = alive(minute, None, None) {
            let told = Alive {
                collections: names.map(list),
                ..told
            };
            events.push(event(minute.end().plus_ms(-1), EventKind::Alive(told)));
        }
        let name: SegmentName = "1_bluesky_20261123T1405Z_3fa9c01b_000".parse().unwrap();
        EventsFile {
            name: SegmentName {
                minute,
                run: RunId(u32::try_from(number).unwrap()),
                ..name
            },
            number,
            lag_ms: 0,
            events,
            listened: vec![Listened {
                connection: None,
                first: at(came.0),
                last: at(came.1),
                pauses: Vec::new(),
            }],
        }
    }

    /// `0-60 a.b.c+a.b.d`: the seconds after the hour's begin, and the lists.
    fn told(lists: &[Collections], stretches: &[Stretch]) -> Vec<String> {
        let one = |stretch: &Stretch| {
            let second = |at: UtcMs| at.second() - HOUR.begin.second();
            let names = stretch
                .holds
                .lists
                .iter()
                .map(|place| lists[*place].words());
            let names: Vec<String> = names.collect();
            let names = names.join(" + ");
            format!("{}-{} {names}", second(stretch.begin), second(stretch.end))
        };
        stretches.iter().map(one).collect()
    }

    #[track_caller]
    fn check(files: &[EventsFile], expected: &[&str]) {
        let leg: Leg = "1".parse().unwrap();
        let found = of_servers(&[HOUR], &[(&leg, &Lists::of(files))]);
        assert_eq!(told(&found.lists, &found.servers[&leg]), expected);
    }

    #[test]
    fn a_list_holds_from_where_it_is_requested_to_the_last_that_came() {
        let before = file(1, Some("a.b.c"), None, (-70, -5));
        let first = file(1, Some("a.b.c"), None, (-5, 599));
        check(
            &[before.clone(), first.clone()],
            &["0-659 a.b.c", "659-3600 "],
        );
        // the next one requests ten seconds of the former once more
        let second = file(2, Some("a.b.d"), Some((615, Some(589))), (589, 640));
        let late = file(2, Some("a.b.d"), None, (640, 3_660));
        let all = [before.clone(), first.clone(), second, late.clone()];
        let expected = ["0-589 a.b.c", "589-599 a.b.c + a.b.d", "599-3600 a.b.d"];
        check(&all, &expected);
        // in whatever order the files come
        let mut turned = all.clone();
        turned.reverse();
        check(&turned, &expected);
        // or begins with what comes from then on
        let live = file(2, Some("a.b.d"), Some((615, None)), (616, 640));
        let all = [before.clone(), first.clone(), live, late];
        check(&all, &["0-599 a.b.c", "599-615 ", "615-3600 a.b.d"]);
        // it requests the same again
        let again = file(2, Some("a.b.c"), Some((1_800, Some(589))), (589, 3_660));
        check(&[before, first, again], &["0-3600 a.b.c"]);
    }

    #[test]
    fn what_is_replayed_slowly_holds_only_as_far_as_it_has_come() {
        // two hours behind: when it ends, it has come to the tenth minute
        let first = file(1, Some("a.b.c"), Some((7_200, Some(-100))), (-100, 600));
        let second = file(2, Some("a.b.d"), Some((7_260, Some(590))), (590, 7_265));
        let expected = ["0-590 a.b.c", "590-600 a.b.c + a.b.d", "600-3600 a.b.d"];
        check(&[first, second], &expected);
    }

    #[test]
    fn without_a_record_nothing_is_known() {
        check(&[], &["0-3600 "]);
        check(&[file(1, None, Some((0, None)), (0, 3_660))], &["0-3600 "]);
        let whole = file(1, Some(""), Some((0, None)), (0, 3_660));
        check(&[whole], &["0-3600 all collections"]);
        // a minute of which the record was cut off is of the same run
        let mut cut = file(1, Some("a.b.c"), None, (60, 3_660));
        cut.events.clear();
        let begin = file(1, Some("a.b.c"), Some((0, None)), (0, 59));
        check(&[begin, cut], &["0-3600 a.b.c"]);
    }

    #[test]
    fn a_second_of_the_union_has_the_lists_of_those_who_have_it() {
        let (one, two): (Leg, Leg) = ("1".parse().unwrap(), "2".parse().unwrap());
        let both = Lists::of(&[file(1, Some("a.b.c a.b.d"), Some((0, None)), (0, 3_660))]);
        let less = Lists::of(&[file(1, Some("a.b.c"), Some((0, None)), (0, 3_660))]);
        let mut found = of_servers(&[HOUR], &[(&one, &both), (&two, &less)]);
        let covered = |seconds: std::ops::Range<usize>| {
            let bits: Vec<bool> = (0..3_600).map(|place| seconds.contains(&place)).collect();
            Covered::of(&[HOUR], None, &bits, &[false; 3_600])
        };
        found.union = found.union(&[HOUR], &[&covered(0..2_000), &covered(1_000..3_000)]);
        assert_eq!(
            told(&found.lists, &found.union),
            [
                "0-1000 a.b.c, a.b.d",
                "1000-2000 a.b.c + a.b.c, a.b.d",
                "2000-3000 a.b.c"
            ]
        );
    }
}
