//! Checks the coverage, gaps and estimate of an hour. The ids show what the union has, and the manifest's other
//! members what follows from them. What each server had, and why it had no more, is only checked for consistency.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{problem::Problems, rows::Rows};
use crate::{
    cover::{
        alike::alike,
        cause::{self, Cause},
        estimate::{Both, estimate},
        gap::{Gap, UNION},
        part::{self, AT_ONCE_MS, OfLeg, Part},
        quiet::UNDER_WAY_MAX_MS,
        seconds::{self, Covered},
        stretch::{self, Hour},
    },
    period::{Interval, Minute, UtcMs},
    segment::name::Partition,
    source::Source,
    vault::manifest::{HourSaid, MinuteRow},
};

/// The seconds of one server, or of the union.
struct Bits {
    /// The first second that counts, if it is not the hour's first.
    begins: Option<UtcMs>,
    covered: Vec<bool>,
    quiet: Vec<bool>,
    /// Those that have lost all their posts.
    emptied: Vec<bool>,
}

impl Bits {
    fn has_posts(&self, place: usize) -> bool {
        let has = |bits: &[bool]| bits.get(place) == Some(&true);
        has(&self.covered) && !has(&self.quiet)
    }

    /// Whether a second is covered, or does not count.
    fn is_no_gap(&self, place: usize, second: i64) -> bool {
        self.covered.get(place) == Some(&true) || !seconds::counts(self.begins, second)
    }

    fn with_posts(&self) -> Vec<bool> {
        let both = self.covered.iter().zip(&self.quiet);
        both.map(|(covered, quiet)| *covered && !quiet).collect()
    }

    /// The seconds with posts that do not lie beside a gap.
    fn whole(&self, intervals: &[Interval]) -> Vec<bool> {
        seconds::whole_with_posts(intervals, self.begins, &self.covered, &self.quiet)
    }

    /// The seconds of which posts are listed.
    fn with_listed_posts(&self) -> Vec<bool> {
        let with_posts = self.with_posts().into_iter().zip(&self.emptied);
        with_posts.map(|(has, emptied)| has && !emptied).collect()
    }
}

/// One hour that is being checked.
struct Check<'a> {
    path: &'a Path,
    said: &'a HourSaid,
    /// Whether a post may have a time at which nobody was listening: then it covers no second.
    is_claimed: bool,
    /// Whether rules choose the posts: then no silence is surprising.
    has_rules: bool,
    /// Whether events of other kinds may have shown that nothing was missed.
    tells_when_seen: bool,
    seconds: Vec<i64>,
    /// The legs by the parts of the stream that they are of.
    parts: Vec<Part>,
    problems: &'a mut Problems,
}

/// Checks what is said of the hour's seconds; `rows` is what its ids say, if they are there.
pub fn check(
    path: &Path,
    (source, said): (&dyn Source, &HourSaid),
    rows: Option<&Rows>,
    problems: &mut Problems,
) {
    let mut check = Check {
        path,
        said,
        is_claimed: source.times_are_claimed(),
        has_rules: source.has_rules(&said.stream),
        tells_when_seen: source.tells_when_seen(),
        seconds: seconds::all(&said.intervals).collect(),
        parts: part::parts(&said.minutes.servers),
        problems,
    };
    check.estimate();
    let coverage = &said.coverage;
    if !coverage.servers.keys().eq(said.counts.servers.keys()) {
        check.wrong("its coverage does not have the servers of the counts");
    }
    let union = check.bits(UNION, &coverage.union);
    let servers: Vec<(String, Option<Bits>)> = coverage
        .servers
        .iter()
        .map(|(leg, covered)| (leg.to_string(), covered))
        .map(|(leg, covered)| (leg.clone(), check.bits(&leg, covered)))
        .collect();
    let Some(union) = union else { return };
    check.beginning();
    if let Some(rows) = rows {
        check.ids(&union, rows);
    }
    let known: Option<Vec<(&str, &Bits)>> = servers
        .iter()
        .map(|(id, bits)| bits.as_ref().map(|bits| (id.as_str(), bits)))
        .collect();
    if let Some(servers) = known {
        check.servers(&union, &servers);
        check.gaps(&union, &servers);
    }
}

impl Check<'_> {
    fn wrong(&mut self, what: impl Into<String>) {
        self.problems.wrong(self.path, what);
    }

    /// Whether the seconds covered with posts are those of the ids. If the stream has partitions, a second that one
    /// of them lacks may still have ids of another.
    fn ids(&mut self, union: &Bits, rows: &Rows) {
        let is_whole = self.parts.len() == 1;
        let listed = union.with_listed_posts();
        let fits = |(place, second): (usize, &i64)| {
            let has = |bits: &[bool]| bits.get(place) == Some(&true);
            let by_ids = rows.seconds.contains(second);
            let is_with_posts = has(&listed);
            // a post of another time may be all that there is
            let may_have = self.is_claimed || !is_whole && !has(&union.covered);
            by_ids == is_with_posts || by_ids && may_have
        };
        if !self.seconds.iter().enumerate().all(fits) {
            self.wrong("the seconds covered are not what the ids say");
        }
    }

    /// Whether the union begins with the archive's first connection, or at most a minute before it.
    fn beginning(&mut self) {
        let coverage = &self.said.coverage;
        let begins = coverage.union.begins.filter(|_| 0 < coverage.union.seconds);
        let fits = match (begins, coverage.began) {
            (Some(begins), Some(began)) => {
                // the first second of which nothing lies before it, or what was under way then; with partitions, the
                // others may be connected to a little later
                let at_once = if self.parts.len() == 1 { 0 } else { AT_ONCE_MS };
                (-999 - at_once..=UNDER_WAY_MAX_MS).contains(&(began.0 - begins.0))
            }
            (begins, began) => begins.is_none() && began.is_none(),
        };
        if !fits {
            self.wrong(
                "the second in which the archive begins is not that of its first connection",
            );
        }
    }

    /// Whether any second of the hour counts for a leg.
    fn begins_here(&self, of: &Bits) -> bool {
        let last = self.seconds.last();
        last.is_some_and(|last| seconds::counts(of.begins, *last))
    }

    /// Reads bitmaps, and checks what they say of themselves.
    fn bits(&mut self, of: &str, says: &Covered) -> Option<Bits> {
        let Some((covered, quiet)) = says.bits(self.seconds.len()) else {
            self.wrong(format!("the bitmaps of {of} are not those of this hour"));
            return None;
        };
        let Some(emptied) = says.emptied_bits(self.seconds.len()) else {
            self.wrong(format!("the bitmaps of {of} are not those of this hour"));
            return None;
        };
        let begins = says.begins;
        let bits = Bits {
            begins,
            covered,
            quiet,
            emptied,
        };
        self.emptied(of, &bits);
        let intervals = &self.said.intervals;
        let found = Covered::of(intervals, begins, &bits.with_posts(), &bits.quiet);
        let found = found.emptied(intervals, &bits.emptied);
        if found.begins != begins || begins.is_some_and(|at| at.0.rem_euclid(1_000) != 0) {
            self.wrong(format!(
                "the second in which {of} begins is not in this hour"
            ));
        } else if found != *says {
            self.wrong(format!(
                "the seconds of {of} are counted wrong: it says {} that count, {} covered, {} quiet, {} partial, \
                 found {}, {}, {}, {}",
                says.seconds, says.covered, says.quiet, says.partial, found.seconds, found.covered, found.quiet, found.partial
            ));
        }
        Some(bits)
    }

    /// Whether the seconds that have lost all their posts are among those with posts, and no more than what was taken out.
    fn emptied(&mut self, of: &str, bits: &Bits) {
        let mut emptied = bits.emptied.iter().zip(bits.with_posts());
        if emptied.any(|(emptied, has)| *emptied && !has) {
            self.wrong(format!(
                "seconds of {of} that lost their posts are not covered with posts"
            ));
        }
        let taken_out = self
            .said
            .redactions
            .values()
            .chain(self.said.deletions.values());
        let taken_out: u64 = taken_out.sum();
        let seconds = bits.emptied.iter().filter(|is| **is).count() as u64;
        if taken_out < seconds {
            self.wrong(format!(
                "{seconds} seconds of {of} are said to have lost all their posts, but {taken_out} were taken out"
            ));
        }
    }

    /// Whether the servers' seconds add up to those of the union, and fit the table of minutes.
    fn servers(&mut self, union: &Bits, servers: &[(&str, &Bits)]) {
        let fits = |(place, second): (usize, &i64)| {
            let any_posts = servers.iter().any(|(_, bits)| bits.has_posts(place));
            let of_leg = |leg: usize| {
                let bits = servers.get(leg).map(|(_, bits)| bits);
                OfLeg {
                    begins_here: bits.is_some_and(|bits| self.begins_here(bits)),
                    counts: bits.is_some_and(|bits| seconds::counts(bits.begins, *second)),
                    has: bits.is_some_and(|bits| bits.covered.get(place) == Some(&true)),
                }
            };
            let has = union.covered.get(place) == Some(&true);
            let counts = seconds::counts(union.begins, *second);
            let adds_up = part::is_covered(&self.parts, of_leg) == counts.then_some(has);
            let is_as_theirs = counts && !has || union.has_posts(place) == any_posts;
            (adds_up || servers.is_empty()) && is_as_theirs
        };
        if !self.seconds.iter().enumerate().all(fits) {
            self.wrong("the seconds covered by the servers do not add up to those of all");
        }
        for (number, (id, bits)) in servers.iter().enumerate() {
            let rows = self.said.minutes.rows.iter();
            let posts: BTreeMap<Minute, u64> = rows
                .map(|row| (row.minute, row.of_servers.get(number).copied().unwrap_or(0)))
                .collect();
            self.minutes(id, bits, &posts);
            self.quiet(id, bits, &posts);
        }
    }

    /// A minute with n posts has them in 1 to n seconds.
    fn minutes(&mut self, id: &str, bits: &Bits, posts: &BTreeMap<Minute, u64>) {
        let mut found: BTreeMap<Minute, u64> = BTreeMap::new();
        let with_posts = bits.with_listed_posts();
        for (second, _) in self
            .seconds
            .iter()
            .zip(&with_posts)
            .filter(|(_, has)| **has)
        {
            *found.entry(UtcMs(second * 1_000).minute()).or_default() += 1;
        }
        let fits = |(minute, posts): (&Minute, &u64)| {
            let seconds = found.get(minute).copied().unwrap_or(0);
            seconds <= *posts && (0 < seconds || *posts == 0 || self.is_claimed)
        };
        if !posts.iter().all(fits) {
            self.wrong(format!(
                "the seconds of server {id} do not fit its posts in the table of minutes"
            ));
        }
    }

    /// No second is called quiet in a silence in which posts should have come.
    fn quiet(&mut self, id: &str, bits: &Bits, posts: &BTreeMap<Minute, u64>) {
        if self.has_rules {
            return;
        }
        let (surprising, rates) = stretch::surprising(&Hour {
            seconds: &self.seconds,
            begins: bits.begins,
            with_posts: &bits.with_posts(),
            listening: &bits.quiet,
            posts,
            changes: &self.changes(id),
        });
        // events of other kinds may have shown that nothing was missed
        let is_told = |place: usize| {
            let rate = rates.at(place);
            !self.tells_when_seen || rate.is_some_and(|rate| !rate.is_unknown())
        };
        let surprising = surprising.iter().enumerate();
        let claimed = surprising.filter(|(place, is)| **is && is_told(*place));
        let claimed = claimed.count();
        if 0 < claimed {
            self.wrong(format!(
                "{claimed} seconds of server {id} are called quiet although posts should have come"
            ));
        }
    }

    /// From which seconds on a server requested other collections than before.
    fn changes(&self, id: &str) -> Vec<i64> {
        let requested = self.said.collections.as_ref();
        let leg = id.parse().ok();
        let changes = requested.zip(leg.as_ref()).map(|(of, leg)| of.changes(leg));
        changes.unwrap_or_default()
    }

    /// Reports whose gaps are not the runs of uncovered seconds, and the first second that shows it.
    fn not_the_runs(&self, of: &str, causes: &[Option<Cause>], no_gap: &[bool]) -> String {
        let whose = match of {
            UNION => of.to_owned(),
            server => format!("server {server}"),
        };
        let what = format!("the gaps of {whose} are not the runs of seconds that are not covered");
        let mut both = causes.iter().zip(no_gap);
        let place = both.position(|(cause, no_gap)| cause.is_none() != *no_gap);
        let second = place.and_then(|place| Some((self.seconds.get(place)?, causes.get(place)?)));
        let Some((second, cause)) = second else {
            return what;
        };
        let at = UtcMs(second * 1_000).to_string();
        let is = if cause.is_some() {
            "in a gap and covered, or before the beginning"
        } else {
            "in no gap and not covered"
        };
        format!(
            "{what}: first {}Z, which is {is}",
            at.get(..19).unwrap_or_default()
        )
    }

    /// Whether the gaps are just the seconds that are not covered, in maximal runs, and the causes of
    /// the union follow from those of the servers.
    fn gaps(&mut self, union: &Bits, servers: &[(&str, &Bits)]) {
        let all = servers.iter().copied().chain([(UNION, union)]);
        let mut causes: Vec<Vec<Option<Cause>>> = Vec::new();
        let mut listed = 0;
        for (of, bits) in all {
            let gaps: Vec<&Gap> = self
                .said
                .gaps
                .iter()
                .filter(|gap| gap.server == of)
                .collect();
            listed += gaps.len();
            let is_other = |a: &Gap, b: &Gap| a.cause != b.cause || a.partitions != b.partitions;
            let is_maximal = gaps.windows(2).all(|two| match two {
                [a, b] => a.end < b.begin || (a.end == b.begin && is_other(a, b)),
                _ => true,
            });
            let found = self.causes(&gaps);
            let places = self.seconds.iter().enumerate();
            let no_gap: Vec<bool> = places
                .map(|(place, second)| bits.is_no_gap(place, *second))
                .collect();
            let is_complement = found.iter().zip(&no_gap).all(|(c, b)| c.is_none() == *b);
            let whole: i64 = gaps.iter().map(|gap| gap.seconds()).sum();
            let told = found.iter().flatten().count();
            if !is_maximal || !is_complement || usize::try_from(whole) != Ok(told) {
                let what = self.not_the_runs(of, &found, &no_gap);
                self.wrong(what);
            }
            causes.push(found);
        }
        if listed != self.said.gaps.len() {
            self.wrong("it has gaps of servers that are not in its counts");
        }
        let Some(of_union) = causes.pop() else { return };
        self.union_causes((union, &of_union), &causes, servers);
    }

    fn union_causes(
        &mut self,
        (union, of_union): (&Bits, &[Option<Cause>]),
        of_servers: &[Vec<Option<Cause>>],
        servers: &[(&str, &Bits)],
    ) {
        let (mut wrong, mut not_silent) = (0_u64, 0_u64);
        let missing = self.missing();
        for (place, says) in of_union.iter().enumerate() {
            let here = |leg: &usize| of_servers.get(*leg)?.get(place).copied().flatten();
            let second = self.seconds.get(place).copied().unwrap_or(0);
            let none = BTreeSet::new();
            let missing = missing.get(&second).unwrap_or(&none);
            let mut expected: Vec<Cause> = Vec::new();
            let mut fits = true;
            for part in &self.parts {
                let legs = part
                    .legs
                    .iter()
                    .filter_map(|leg| Some(servers.get(*leg)?.1));
                let is_covered = legs
                    .clone()
                    .any(|bits| bits.covered.get(place) == Some(&true));
                // from when on the union counts, also before the part itself began
                let is_needed = seconds::counts(union.begins, second)
                    && legs.clone().any(|bits| self.begins_here(bits));
                let is_missing = match part.partition {
                    None => !union.is_no_gap(place, second),
                    Some(partition) => missing.contains(&partition),
                };
                fits &= if part.partition.is_some() {
                    is_missing == (is_needed && !is_covered)
                } else {
                    !is_missing || !is_covered
                };
                // a leg that had not begun has no cause
                let known = part.legs.iter().filter_map(here);
                expected.extend(is_missing.then(|| cause::of_union(known)));
            }
            let expected = (!expected.is_empty()).then(|| cause::of_union(expected));
            wrong += u64::from(*says != expected || !fits);
            for part in &self.parts {
                let mut legs = part
                    .legs
                    .iter()
                    .filter_map(|leg| Some(servers.get(*leg)?.1));
                let somebody = legs.any(|bits| bits.has_posts(place));
                let is_silent = |leg: &usize| here(leg) == Some(Cause::UpstreamSilence);
                not_silent += u64::from(somebody && part.legs.iter().any(is_silent));
            }
        }
        if 0 < wrong {
            self.wrong(format!(
                "the causes of the gaps of all do not follow from those of the servers in {wrong} seconds"
            ));
        }
        if 0 < not_silent {
            self.wrong(format!(
                "{not_silent} seconds are called upstream silence although a server has posts"
            ));
        }
    }

    /// The partitions that the union lacks in each second, as its gaps say.
    fn missing(&self) -> BTreeMap<i64, BTreeSet<Partition>> {
        let mut missing: BTreeMap<i64, BTreeSet<Partition>> = BTreeMap::new();
        for gap in self
            .said
            .gaps
            .iter()
            .filter(|gap| !gap.partitions.is_empty())
        {
            // the part of a gap beyond the hour is not checked
            let inside = |second: &&i64| (gap.begin.second()..gap.end.second()).contains(*second);
            for second in self.seconds.iter().filter(inside) {
                let of_second = missing.entry(*second).or_default();
                of_second.extend(&gap.partitions);
            }
        }
        missing
    }

    /// The cause of every second of the hour.
    fn causes(&self, gaps: &[&Gap]) -> Vec<Option<Cause>> {
        let mut gaps = gaps.iter().peekable();
        let cause = |second: &i64| {
            let second = UtcMs(second * 1_000);
            while gaps.next_if(|gap| gap.end <= second).is_some() {}
            let gap = gaps.peek().filter(|gap| gap.begin <= second);
            gap.map(|gap| gap.cause)
        };
        self.seconds.iter().map(cause).collect()
    }

    /// Whether the estimate is what the table of minutes gives, and the table what the bitmaps say.
    fn estimate(&mut self) {
        let minutes = &self.said.minutes;
        let (rows, parts) = (&minutes.rows, self.parts.clone());
        let is_whole = |part: &Part| part.partition.is_none();
        let whole_has_two = parts
            .iter()
            .any(|part| is_whole(part) && part.legs.len() == 2);
        let of_two = |part: &&Part| !is_whole(part) && part.legs.len() == 2;
        let with_two = parts
            .iter()
            .filter(of_two)
            .filter_map(|part| part.partition);
        let with_two: Vec<u8> = with_two.map(Partition::number).collect();
        if rows.iter().any(|row| row.both.is_some() != whole_has_two)
            || !minutes.partitions.keys().eq(&with_two)
            || minutes.partitions.values().any(|of| of.len() != rows.len())
        {
            return self.wrong("the table of minutes is not for this number of servers");
        }
        if estimate(minutes.both()) != self.said.estimate {
            self.wrong("the estimate is not what the table of minutes gives");
        }
        for part in parts.iter().filter(|part| part.legs.len() == 2) {
            self.both(part);
        }
    }

    /// Whether the table's numbers for the two legs of a part are possible, and agree with their bitmaps.
    fn both(&mut self, part: &Part) {
        let minutes = &self.said.minutes;
        let of_part = part
            .partition
            .and_then(|one| minutes.partitions.get(&one.number()));
        let both: Vec<Both> = match of_part {
            Some(of_part) => of_part.clone(),
            None => minutes.rows.iter().filter_map(|row| row.both).collect(),
        };
        let [first, second] = part.legs[..] else {
            return;
        };
        let cannot_be = |(row, both): (&MinuteRow, &Both)| {
            let posts = |leg: usize| row.of_servers.get(leg).copied().unwrap_or(0);
            posts(first) < both.first
                || posts(second) < both.second
                || row.common < both.common
                || both.first.min(both.second) < both.common
                || both.first.min(both.second) < both.seconds
        };
        if minutes.rows.iter().zip(&both).any(cannot_be) {
            self.wrong("the table of minutes has impossible numbers for two servers");
        }
        self.both_fit(&both, part, of_part.is_none());
    }

    /// Whether the seconds that two legs have in each minute are those of their bitmaps, and have all posts in common if all
    /// of them count for the estimate.
    fn both_fit(&mut self, both: &[Both], part: &Part, is_whole_stream: bool) {
        let bits: Option<Vec<Bits>> = part.legs.iter().map(|leg| self.bits_of_leg(*leg)).collect();
        let Some([first, second]) = bits.as_deref() else {
            return;
        };
        let wholes = [first, second].map(|bits| bits.whole(&self.said.intervals));
        let alike = self.alike(part);
        let mut found: BTreeMap<Minute, (u64, u64)> = BTreeMap::new();
        for (place, at) in self.seconds.iter().enumerate() {
            let (with_posts, whole) = found.entry(UtcMs(at * 1_000).minute()).or_default();
            let is = |bits: &Vec<bool>| bits.get(place) == Some(&true);
            *with_posts += u64::from(first.has_posts(place) && second.has_posts(place));
            let is_left = ![first, second].iter().any(|bits| is(&bits.emptied));
            *whole += u64::from(is(&alike) && is_left && wholes.iter().all(is));
        }
        let fits = |(row, both): (&MinuteRow, &Both)| {
            let (with_posts, whole) = found.get(&row.minute).copied().unwrap_or_default();
            let has_rest = whole < with_posts || !is_whole_stream || self.is_claimed;
            both.seconds == whole && (has_rest || row.common == both.common)
        };
        if !self.said.minutes.rows.iter().zip(both).all(fits) {
            self.wrong("the seconds that both servers have are not what their bitmaps say");
        }
    }

    /// In which seconds the two legs of a part were sent the same.
    fn alike(&self, part: &Part) -> Vec<bool> {
        let leg = |place: usize| self.said.minutes.servers.get(place);
        let legs = match part.legs[..] {
            [first, second] => leg(first).zip(leg(second)),
            _ => None,
        };
        let chosen = (self.said.rules.as_ref(), self.said.collections.as_ref());
        let alike = legs.and_then(|(first, second)| alike(&self.seconds, chosen, [first, second]));
        alike.unwrap_or_else(|| vec![true; self.seconds.len()])
    }

    /// The seconds of one leg.
    fn bits_of_leg(&self, leg: usize) -> Option<Bits> {
        let said = self.said.coverage.servers.values().nth(leg)?;
        let (covered, quiet) = said.bits(self.seconds.len())?;
        Some(Bits {
            begins: said.begins,
            covered,
            quiet,
            emptied: said.emptied_bits(self.seconds.len())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{segment::name::Leg, source::x::X};

    const GOLDEN: &str =
        include_str!("../../tests/golden/v1/vault/2026-11-23/2026-11-23_13_manifest.json");

    /// What is found wrong with an hour of two servers that was changed so.
    fn wrongs(change: impl Fn(&mut Value)) -> Vec<String> {
        let mut said: Value = serde_json::from_str(GOLDEN).unwrap();
        change(&mut said);
        let said: HourSaid = serde_json::from_value(said).unwrap();
        let mut problems = Problems::default();
        check(Path::new("manifest"), (&X, &said), None, &mut problems);
        problems.0.into_iter().map(|found| found.what).collect()
    }

    /// Members, as what they are changed to, and what is said then. In the first minute with posts the servers have 5 and 6,
    /// 5 in common; of the 5 seconds that both have, one lies beside no gap.
    #[rustfmt::skip]
    const CHANGES: [(&str, &str, &str); 13] = [
        ("/coverage/union/bitmap", "\"00\"", "the bitmaps of union are not"),
        ("/coverage/servers/2/partial", "15", "the seconds of 2 are counted wrong"),
        ("/coverage/servers/2/begins", "\"2026-11-23T12:00:00Z\"", "2 begins is not in this"),
        ("/coverage/began", "\"2026-11-23T13:59:05Z\"", "is not that of its first connection"),
        ("/gaps/0/end", "\"2026-11-23T13:57:10Z\"", "the gaps of server 1 are not the runs"),
        ("/estimate/high", "3", "the estimate is not what"),
        ("/minutes/rows/57/4", "null", "is not for this number of servers"),
        ("/minutes/rows/57/4", "[1, 6, 1, 1]", "impossible numbers for two servers"),
        ("/minutes/rows/57/4", "[1, 1, 0, 1]", "impossible numbers for two servers"),
        ("/minutes/rows/57/3", "0", "impossible numbers for two servers"),
        ("/minutes/rows/57/4", "[0, 1, 1, 1]", "the seconds that both servers have"),
        ("/minutes/rows/55/3", "1", "the seconds that both servers have"),
        ("/minutes/rows/58/2", "[0, 5]", "of server 1 do not fit its posts"),
    ];

    fn is_told(words: &str, found: &[String]) {
        let is_told = found.iter().any(|what| what.contains(words));
        assert!(is_told, "{words}: {found:?}");
    }

    #[test]
    fn a_member_that_does_not_follow_from_the_others_is_found() {
        assert_eq!(wrongs(|_| ()), [""; 0]);
        for (member, value, words) in CHANGES {
            let value: Value = serde_json::from_str(value).unwrap();
            let found = wrongs(|said| *said.pointer_mut(member).unwrap() = value.clone());
            is_told(words, &found);
        }
    }

    /// An hour of two partitions, one leg each, that both lack the same ten seconds.
    fn of_partitions() -> HourSaid {
        let mut said: HourSaid = serde_json::from_str(GOLDEN).unwrap();
        let legs = ["1.01", "1.02"].map(|leg| leg.parse::<Leg>().unwrap());
        let partitions = [1, 2].map(|number| Partition::new(number).unwrap());
        let has: Vec<bool> = (0..3_600)
            .map(|place| !(100..110).contains(&place))
            .collect();
        let covered = Covered::of(&said.intervals, None, &has, &vec![false; 3_600]);
        let counts = said.counts.servers.values().next().unwrap().clone();
        said.counts.servers = legs
            .iter()
            .map(|leg| (leg.clone(), counts.clone()))
            .collect();
        let servers = legs.iter().map(|leg| (leg.clone(), covered.clone()));
        said.coverage.servers = servers.collect();
        (said.coverage.union, said.coverage.began) = (covered, None);
        let begin = said.intervals[0].begin;
        let gap = |server: &str, partitions: &[Partition]| Gap {
            server: server.to_owned(),
            partitions: partitions.to_owned(),
            begin: begin.plus_ms(100_000),
            end: begin.plus_ms(110_000),
            cause: Cause::Network,
            detail: String::new(),
        };
        said.gaps = vec![gap("1.01", &[]), gap("1.02", &[]), gap(UNION, &partitions)];
        said.minutes.servers = legs.into();
        for row in &mut said.minutes.rows {
            row.of_servers = vec![60, 60];
            row.both = None;
        }
        said.estimate = None;
        said
    }

    #[test]
    fn a_gap_that_names_other_partitions_than_the_legs_lack_is_found() {
        let found = |partitions: &[u8]| -> Vec<String> {
            let mut said = of_partitions();
            let partitions = partitions.iter().map(|one| Partition::new(*one).unwrap());
            said.gaps[2].partitions = partitions.collect();
            let mut problems = Problems::default();
            check(Path::new("manifest"), (&X, &said), None, &mut problems);
            problems.0.into_iter().map(|found| found.what).collect()
        };
        assert_eq!(found(&[1, 2]), [""; 0]);
        for others in [&[1][..], &[2]] {
            is_told("do not follow from those of the servers", &found(others));
        }
    }

    #[test]
    fn gaps_and_seconds_that_do_not_go_together_are_found() {
        for (server, cause, words) in [
            (
                "union",
                "network",
                "do not follow from those of the servers",
            ),
            ("1", "upstream silence", "although a server has posts"),
        ] {
            let found = wrongs(|said| {
                let gaps = said["gaps"].as_array_mut().unwrap().iter_mut();
                let of_server = gaps.filter(|gap| gap["server"] == server);
                of_server.for_each(|gap| gap["cause"] = json!(cause));
            });
            is_told(words, &found);
        }
        let found = wrongs(|said| {
            let mut gap = said["gaps"][0].clone();
            gap["server"] = json!("3");
            said["gaps"].as_array_mut().unwrap().push(gap);
        });
        is_told("gaps of servers that are not in its counts", &found);
        let found = wrongs(|said| {
            let of_1 = said["coverage"]["servers"]["1"]["bitmap"].clone();
            said["coverage"]["union"]["bitmap"] = of_1;
        });
        is_told("do not add up to those of all", &found);
        // the union is called quiet in a second that no server has
        let found = wrongs(|said| {
            let mut gaps = said["gaps"].as_array().unwrap().iter();
            let gap = gaps.find(|gap| gap["server"] == "union").unwrap();
            let begin: UtcMs = gap["begin"].as_str().unwrap().parse().unwrap();
            let union: Covered = serde_json::from_value(said["coverage"]["union"].clone()).unwrap();
            let (covered, _) = union.bits(3_600).unwrap();
            let mut quiet = vec![false; covered.len()];
            quiet[usize::try_from(begin.second().rem_euclid(3_600)).unwrap()] = true;
            let interval: Interval = serde_json::from_value(said["intervals"][0].clone()).unwrap();
            let union = Covered::of(&[interval], union.begins, &covered, &quiet);
            said["coverage"]["union"] = serde_json::to_value(union).unwrap();
        });
        is_told("do not add up to those of all", &found);
        let found = wrongs(|said| {
            let servers = said["coverage"]["servers"].as_object_mut().unwrap();
            servers.remove("2").unwrap();
        });
        is_told("does not have the servers of the counts", &found);
    }
}
