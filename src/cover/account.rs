//! Decides from the posts of each second and the servers' timelines which seconds are covered, and why the others are
//! not.
//!
//! A second with a post is covered. There is one exception: a second with only belated posts (the platform saw them
//! at another time than their own) is not covered if the platform no longer had that time when it was asked for it
//! again, or if the server has nothing beside it. A second without a post is quiet on two conditions. A connection
//! was up, with bytes soon before and after, or a later one replayed all of that time (`listened`); and posts are so
//! rare that the whole silence around the second is not surprising, or rules choose the posts, which can always
//! explain a silence. An hour with hardly any posts tells no rate: there, a second is quiet if events of other kinds
//! came around it. All other seconds are uncovered and have exactly one cause, in this order:
//!
//! 0. the platform no longer had that time when it was asked for it again;
//! 1. what kept the server from receiving in that second, or else within `UNDER_WAY` after it: posts that were under
//!    way when the connection broke did not arrive;
//! 2. what had ended shortly before, if nothing has come since then;
//! 3. if a connection was up all the time: `upstream silence` if all running servers were connected and none has the
//!    second, else `stall`; if bytes came in every second, what broke the connection within `UNDER_WAY_MAX`, else
//!    `unknown`.
//!
//! If the stream has partitions, all of this applies to each partition, with its legs in place of the servers. A
//! second of the union is covered if it is covered in every partition that is collected in that hour, also before that
//! partition began; otherwise its cause is that of the missing partitions. An archive begins with several connections,
//! one for each partition: the union begins with the last of those that follow the first one at once. It begins only
//! once: if all legs of a later hour are new, the seconds before them are missing.
//!
//! A connection that broke and was made again at once is not a cause if another server was connected all the time and
//! received nothing either. At the end, each run of uncovered seconds is judged as a whole (`run_causes`).

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause::{self, Cause},
    estimate::Both,
    evidence::Timeline,
    gap::{Gap, Runs, UNION},
    part::{self, AT_ONCE_MS, OfLeg, Part},
    quiet::{Silent, UNDER_WAY_MAX_MS, quiet, was_out_of_window},
    reason::Reason,
    run_causes::{self, SecondCause},
    second_causes::{View, why},
    seconds::{self, Covered},
};
use crate::{
    period::{Interval, Minute, UtcMs},
    segment::name::{Leg, Partition},
};

/// This many seconds in a row with only belated posts count as covered, even beside an uncovered second.
const STRAYS_S: usize = 5;

/// The detail of a partition that nobody had begun to collect.
const NOT_BEGUN: &str = "not begun yet";

/// An instant that no second of any hour reaches.
const END_OF_TIME: UtcMs = UtcMs(i64::MAX / 2);

/// What was posted in one second of a part of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InSecond {
    /// Different posts.
    pub posts: u64,
    /// Different posts of each of its legs.
    pub servers: Vec<u64>,
    /// Posts that all of them have.
    pub common: u64,
    /// For each leg: its posts that the platform saw at another time. Empty if there are none.
    pub belated: Vec<u64>,
}

impl InSecond {
    /// How many posts a leg has, and whether all of them are belated.
    fn of(&self, number: usize) -> (u64, bool) {
        let of = |counts: &[u64]| counts.get(number).copied().unwrap_or(0);
        let posts = of(&self.servers);
        (posts, 0 < posts && posts == of(&self.belated))
    }
}

/// What was posted in each second since 1970; seconds without a post are left out.
pub type Seconds = BTreeMap<i64, InSecond>;

/// Everything that decides about an hour.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The UTC time of the hour.
    pub intervals: &'a [Interval],
    /// The legs, ascending: the servers, where the stream does not come in partitions.
    pub servers: &'a [Leg],
    /// What was posted, in each part of the stream.
    pub posts: &'a [Seconds],
    /// What each leg's connection was like, in the order of the legs.
    pub timelines: &'a [Timeline],
    /// Whether the hour is in the archive's span. Outside it, no second counts.
    pub is_in_span: bool,
    /// When the archive began: its first connection, if there was one. No second of the union before it counts.
    pub began: Option<UtcMs>,
    /// Whether rules choose the posts: then a silence proves nothing while a connection is up.
    pub has_rules: bool,
    /// Whether the platform tells when it saw each record: then what was under way is asked for again, and what has come
    /// is known without it.
    pub tells_when_seen: bool,
    /// In which seconds two legs were sent the same; `None` if in all.
    pub alike: Option<&'a [bool]>,
    /// For each leg, the seconds of posts that it has received and that are not among the posts, because they were taken
    /// out or are held back; empty if that is so of none.
    pub lost: &'a [BTreeSet<i64>],
    /// For each leg, from which seconds on it requested something else than before; empty if none did.
    pub changes: &'a [Vec<i64>],
}

/// What an hour has, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// What each leg has, in their order.
    pub servers: Vec<Covered>,
    /// What any server has of every part.
    pub union: Covered,
    /// When the archive began, if it had begun by then.
    pub began: Option<UtcMs>,
    /// The gaps of the legs in their order, then those of the union.
    pub gaps: Vec<Gap>,
    /// For each part, if it comes over two legs, for each minute: the seconds that both cover with posts.
    pub both: Vec<BTreeMap<Minute, Both>>,
}

/// One part's hour.
struct OfPart<'a> {
    part: Part,
    views: Vec<View<'a>>,
    /// Why each of its legs lacks a second.
    reasons: Vec<Vec<Option<Reason>>>,
    /// The seconds that any of its legs has posts of.
    with_posts: Vec<bool>,
    /// The first second that counts for one of its legs.
    begins: UtcMs,
    /// From when on the union needs it; `None` if it begins after the hour: then nobody collects it here.
    needed: Option<UtcMs>,
}

impl OfPart<'_> {
    fn is_missing(&self, place: usize, second: i64) -> bool {
        let is_needed = (self.needed).is_some_and(|since| seconds::counts(Some(since), second));
        is_needed && !self.views.iter().any(|view| view.has(place))
    }

    /// Why nobody has a second of it.
    fn why(&self, legs: &[Leg], place: usize) -> (Cause, String) {
        let known = self.known(legs, place);
        let detail = match known.as_slice() {
            [] if self.part.partition.is_some() => NOT_BEGUN.to_owned(),
            known => union_detail(known),
        };
        let cause = cause::of_union(known.iter().map(|(_, reason)| reason.cause));
        (cause, detail)
    }

    /// The result for each leg that had begun.
    fn known<'k>(&'k self, legs: &'k [Leg], place: usize) -> Vec<(&'k Leg, &'k Reason)> {
        let reasons = self.reasons.iter().map(|of| of.get(place)?.as_ref());
        let legs = self.part.legs.iter().map(|leg| legs.get(*leg));
        let known = legs.zip(reasons);
        known.filter_map(|(leg, reason)| leg.zip(reason)).collect()
    }
}

/// Works out an hour.
pub fn account(given: &Given<'_>) -> Account {
    let since_before: Vec<Timeline>;
    let given = if have_taken_over(given) {
        let timelines = given.timelines.iter().cloned();
        since_before = timelines.map(Timeline::without_start).collect();
        &Given {
            timelines: &since_before,
            ..*given
        }
    } else {
        given
    };
    let seconds: Vec<i64> = seconds::all(given.intervals).collect();
    let began = began(given);
    let parts = of_parts(given, began, &seconds);
    let any: Vec<bool> = (0..seconds.len())
        .map(|place| {
            parts
                .iter()
                .any(|of| of.with_posts.get(place) == Some(&true))
        })
        .collect();
    let begins = parts.iter().map(|of| of.begins).min();
    let mut servers = vec![Covered::default(); given.servers.len()];
    for of in &parts {
        for (place, view) in of.part.legs.iter().zip(&of.views) {
            if let Some(covered) = servers.get_mut(*place) {
                let begins = Some(view.begins);
                *covered = Covered::of(given.intervals, begins, &view.with_posts, &view.quiet)
                    .emptied(given.intervals, &view.emptied);
            }
        }
    }
    let account = Account {
        servers,
        union: union(given.intervals, begins, &parts, &any),
        began,
        gaps: gaps(given.servers, &seconds, &parts),
        both: (parts.iter().enumerate())
            .map(|(number, of)| both(given, number, (&seconds, &of.views)))
            .collect(),
    };
    account.assert_whole(given.servers, &seconds);
    account.assert_covered(given.servers, &seconds);
    account
}

impl Account {
    /// Each second that counts is covered or in exactly one gap, for every leg and for the union. If that does not
    /// hold, nothing may be claimed about the hour.
    fn assert_whole(&self, legs: &[Leg], seconds: &[i64]) {
        let before = |at: UtcMs| seconds.partition_point(|second| *second < at.second());
        let legs = legs.iter().map(Leg::to_string).zip(&self.servers);
        for (name, covered) in legs.chain([(UNION.to_owned(), &self.union)]) {
            let mut missing = 0;
            let mut end = 0;
            for gap in self.gaps.iter().filter(|gap| gap.server == name) {
                let (first, after) = (before(gap.begin), before(gap.end));
                assert!(
                    end <= first && first < after,
                    "gaps of {name} overlap, or one is empty: {gap:?}"
                );
                missing += after - first;
                end = after;
            }
            assert_eq!(
                covered.covered + missing as u64,
                covered.seconds,
                "what {name} has and what it lacks are not all seconds that count"
            );
        }
    }

    /// What the union has, and from when on it counts, follows from what the legs have.
    fn assert_covered(&self, legs: &[Leg], seconds: &[i64]) {
        let parts = part::parts(legs);
        let bits = |of: &Covered| of.bits(seconds.len()).unwrap_or_default().0;
        let of_legs: Vec<Vec<bool>> = self.servers.iter().map(bits).collect();
        for (place, (second, has)) in seconds.iter().zip(bits(&self.union)).enumerate() {
            let of_leg = |leg: usize| {
                let begins = self.servers.get(leg).and_then(|of| of.begins);
                let bits = of_legs.get(leg);
                OfLeg {
                    begins_here: seconds.last().is_some_and(|s| seconds::counts(begins, *s)),
                    counts: seconds::counts(begins, *second),
                    has: bits.is_some_and(|bits| bits.get(place) == Some(&true)),
                }
            };
            let counts = seconds::counts(self.union.begins, *second);
            assert!(
                legs.is_empty() || part::is_covered(&parts, of_leg) == counts.then_some(has),
                "what the union has of second {second} is not what its legs have"
            );
        }
    }
}

/// The parts, and from when on the union needs them. Twenty connections are not made in the same moment: the archive
/// counts from when all parts that follow the first one at once have begun, and no leg before that.
fn of_parts<'a>(given: &Given<'a>, began: Option<UtcMs>, seconds: &[i64]) -> Vec<OfPart<'a>> {
    let of_parts = |floor: UtcMs| -> Vec<OfPart<'a>> {
        let parts = part::parts(given.servers).into_iter().enumerate();
        let of_part = |(number, part)| of_part(given, (began, floor), (number, part), seconds);
        parts.map(of_part).collect()
    };
    let earliest = |parts: &[OfPart<'_>]| parts.iter().map(|of| of.begins).min();
    let mut parts = of_parts(UtcMs(i64::MIN));
    if let Some(first) = earliest(&parts) {
        let begins = parts.iter().map(|of| of.begins);
        let at_once = begins.filter(|begins| begins.0.saturating_sub(first.0) <= AT_ONCE_MS);
        let floor = at_once.max().unwrap_or(first);
        if first < floor {
            parts = of_parts(floor);
        }
    }
    let since = earliest(&parts);
    let is_here = |begins: UtcMs| {
        let last = seconds.last();
        last.is_some_and(|last| seconds::counts(Some(begins), *last))
    };
    for of in &mut parts {
        of.needed = since.filter(|_| is_here(of.begins));
    }
    parts
}

fn of_part<'a>(
    given: &Given<'a>,
    (began, floor): (Option<UtcMs>, UtcMs),
    (number, part): (usize, Part),
    seconds: &[i64],
) -> OfPart<'a> {
    let none = Seconds::new();
    let posts = given.posts.get(number).unwrap_or(&none);
    let beginning = beginning(given, &part, began);
    let views = views(given, (&part, beginning, floor), posts, seconds);
    let reasons = (0..views.len())
        .map(|leg| {
            let counts = |place: usize| {
                let second = seconds.get(place).copied().unwrap_or(0);
                views.get(leg).is_some_and(|view| view.counts(second))
            };
            let why = |place| why((seconds, &views), leg, place).filter(|_| counts(place));
            let whys: Vec<Option<SecondCause>> = (0..seconds.len()).map(why).collect();
            run_causes::reasons(seconds, &whys)
        })
        .collect();
    let with_posts: Vec<bool> = (0..seconds.len())
        .map(|place| views.iter().any(|view| view.has_posts(place)))
        .collect();
    let begins = views.iter().map(|view| view.begins).min();
    OfPart {
        part,
        views,
        reasons,
        with_posts,
        begins: begins.unwrap_or(beginning),
        needed: None,
    }
}

/// Whether all that collect in this hour are new, although the archive began before: others have handed over to them at
/// the hour's edge. The seconds before the first of them are no beginning; nobody has them.
fn have_taken_over(given: &Given<'_>) -> bool {
    let first = earliest(given.timelines.iter().map(|of| of.began));
    let began = given.began.filter(|_| given.is_in_span);
    let both = began.zip(first);
    both.is_some_and(|(began, first)| AT_ONCE_MS < first.0.saturating_sub(began.0))
}

/// When the archive began: not before its first server did. The two times come from different events, each moved to
/// the posts' clock by its own minute's lag, so their order may be wrong by a second.
fn began(given: &Given<'_>) -> Option<UtcMs> {
    let began = given.began.filter(|_| given.is_in_span)?;
    let started = earliest(given.timelines.iter().map(|of| of.began));
    Some(started.map_or(began, |started| started.max(began)))
}

/// When a part began: not before the archive, and with the first of its legs.
fn beginning(given: &Given<'_>, part: &Part, began: Option<UtcMs>) -> UtcMs {
    let Some(began) = began else {
        return END_OF_TIME;
    };
    let of_legs = part.legs.iter().filter_map(|leg| given.timelines.get(*leg));
    let first = earliest(of_legs.map(|of| of.began));
    first.map_or(began, |first| first.max(began))
}

/// The first second of which nothing lies before an instant.
const fn whole_second(instant: UtcMs) -> i64 {
    instant.plus_ms(999).second()
}

/// The earliest of them, if all are known.
fn earliest(of: impl Iterator<Item = Option<UtcMs>>) -> Option<UtcMs> {
    let all: Option<Vec<UtcMs>> = of.collect();
    all?.into_iter().min()
}

/// Each leg's hour. None begins before its part does, or before that instant.
fn views<'a>(
    given: &Given<'a>,
    (part, beginning, floor): (&Part, UtcMs, UtcMs),
    posts: &Seconds,
    seconds: &[i64],
) -> Vec<View<'a>> {
    let posts_of = |second: &i64, number: usize| {
        let in_second = posts.get(second);
        in_second.map_or((0, false), |in_second| in_second.of(number))
    };
    let timelines = part.legs.iter().filter_map(|leg| given.timelines.get(*leg));
    let view = |(number, timeline): (usize, &'a Timeline)| {
        let of: Vec<(u64, bool)> = seconds.iter().map(|s| posts_of(s, number)).collect();
        let leg = part.legs.get(number);
        let lost = leg.and_then(|leg| given.lost.get(*leg));
        let lost: Vec<bool> = seconds
            .iter()
            .map(|second| lost.is_some_and(|lost| lost.contains(second)))
            .collect();
        let posts: Vec<u64> = of.iter().map(|(posts, _)| *posts).collect();
        let minutes = by_minute(seconds, &posts);
        let listened = |(second, (posts, all_belated)): (&i64, &(u64, bool))| {
            0 < *posts && !(*all_belated && was_out_of_window(*second, timeline))
        };
        let with_posts = seconds.iter().zip(&of).map(listened).zip(&lost);
        // what was received counts, whatever became of it
        let mut with_posts: Vec<bool> = with_posts.map(|(has, lost)| has || *lost).collect();
        let minutes = (!given.has_rules).then_some(&minutes);
        let changes = leg.and_then(|leg| given.changes.get(*leg));
        let changes = changes.map_or(&[][..], Vec::as_slice);
        let silent = |with_posts: &[bool]| Silent {
            seconds,
            timeline,
            is_delayed: !given.has_rules && !given.tells_when_seen,
            has_rules: given.has_rules,
            changes,
            begins: begins(
                seconds,
                with_posts,
                timeline
                    .first_start
                    .map_or(beginning, |start| start.max(beginning)),
            )
            .max(floor),
        };
        let mut of_silent = silent(&with_posts);
        let mut found = quiet(of_silent, &with_posts, minutes);
        if drop_strays(seconds, (&of, &lost), &mut with_posts, &found.quiet) {
            of_silent = silent(&with_posts);
            found = quiet(of_silent, &with_posts, minutes);
        }
        View {
            timeline,
            begins: of_silent.begins,
            emptied: (of.iter().zip(&lost))
                .map(|((posts, _), lost)| *lost && *posts == 0)
                .collect(),
            with_posts,
            quiet: found.quiet,
            surprising: found.surprising,
            rates: found.rates,
        }
    };
    timelines.enumerate().map(view).collect()
}

/// Seconds with only belated posts are covered if a whole stretch has them, as after an outage upstream. Between
/// uncovered seconds, or if only a few of them are beside one, they prove nothing. Returns whether there were such
/// seconds.
fn drop_strays(
    seconds: &[i64],
    (of, lost): (&[(u64, bool)], &[bool]),
    with_posts: &mut [bool],
    quiet: &[bool],
) -> bool {
    let is_stray = |place: &usize| {
        let is_lost = lost.get(*place) == Some(&true);
        with_posts.get(*place) == Some(&true) && !is_lost && of.get(*place).is_some_and(|of| of.1)
    };
    let strays: Vec<usize> = (0..seconds.len()).filter(is_stray).collect();
    let is_uncovered = |place: Option<usize>| {
        place.is_some_and(|place| {
            with_posts.get(place) == Some(&false) && quiet.get(place) == Some(&false)
        })
    };
    let tells_nothing = |run: &&[usize]| {
        let before = is_uncovered(run.first().and_then(|first| first.checked_sub(1)));
        let after = is_uncovered(run.last().map(|last| last + 1));
        before && after || (before || after) && run.len() < STRAYS_S
    };
    let runs = seconds::runs(seconds, &strays).filter(tells_nothing);
    let dropped: Vec<usize> = runs.flatten().copied().collect();
    for place in &dropped {
        if let Some(has) = with_posts.get_mut(*place) {
            *has = false;
        }
    }
    !dropped.is_empty()
}

/// The gaps of the legs in their order, then those of the union.
fn gaps(legs: &[Leg], seconds: &[i64], parts: &[OfPart<'_>]) -> Vec<Gap> {
    let mut of_union = Runs::of(UNION);
    let mut of_legs: Vec<Runs> = legs.iter().map(|leg| Runs::of(&leg.to_string())).collect();
    for (place, second) in seconds.iter().enumerate() {
        let mut missing = Vec::new();
        for of in parts {
            for (leg, reasons) in of.part.legs.iter().zip(&of.reasons) {
                if let (Some(runs), Some(Some(reason))) =
                    (of_legs.get_mut(*leg), reasons.get(place))
                {
                    runs.push(*second, reason.cause, &reason.detail);
                }
            }
            if of.is_missing(place, *second) {
                let (cause, detail) = of.why(legs, place);
                missing.push((of.part.partition, cause, detail));
            }
        }
        if !missing.is_empty() {
            let cause = cause::of_union(missing.iter().map(|(_, cause, _)| *cause));
            let partitions: Vec<Partition> = missing.iter().filter_map(|one| one.0).collect();
            let detail = missing_detail(cause, &missing);
            of_union.push_parts(*second, &partitions, cause, &detail);
        }
    }
    let all = of_legs.into_iter().chain([of_union]);
    all.flat_map(Runs::finish).collect()
}

/// The partitions that nobody has in a second, with the details of their cause: one for each partition if they
/// differ.
fn missing_detail(cause: Cause, missing: &[(Option<Partition>, Cause, String)]) -> String {
    let mut alike: Vec<(Vec<Partition>, (Cause, &str))> = Vec::new();
    for (partition, cause, detail) in missing {
        let Some(partition) = partition else {
            return detail.clone();
        };
        let what = (*cause, detail.as_str());
        match alike.iter_mut().find(|(_, of)| *of == what) {
            Some((partitions, _)) => partitions.push(*partition),
            None => alike.push((vec![*partition], what)),
        }
    }
    let is_one = alike.len() == 1;
    let told = alike.iter().map(|(partitions, (of, detail))| {
        let partitions = Partition::words(partitions);
        match (is_one && *of == cause, detail.is_empty()) {
            (true, true) => partitions,
            (true, false) => format!("{partitions} ({detail})"),
            (false, true) => format!("{partitions}: {of}"),
            (false, false) => format!("{partitions}: {of} ({detail})"),
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The first second that counts: the first of which nothing lies before the beginning, or an earlier one if all seconds
/// between have posts, which were under way when the connection was made.
fn begins(seconds: &[i64], with_posts: &[bool], beginning: UtcMs) -> UtcMs {
    let beginning = whole_second(beginning);
    let since = beginning - UNDER_WAY_MAX_MS / 1_000;
    let before = seconds.partition_point(|second| *second < beginning);
    let before = seconds.iter().zip(with_posts).take(before).rev();
    let first = before
        .take_while(|(second, has)| **has && since <= **second)
        .last();
    UtcMs(1_000 * first.map_or(beginning, |(second, _)| *second))
}

/// What any server has of every part.
fn union(
    intervals: &[Interval],
    begins: Option<UtcMs>,
    parts: &[OfPart<'_>],
    any: &[bool],
) -> Covered {
    let seconds = seconds::all(intervals).zip(any).enumerate();
    let bits = seconds.map(|(place, (second, any))| {
        // before the beginning, only seconds with posts are reported
        let is_whole = !parts.iter().any(|of| of.is_missing(place, second));
        let is_covered = is_whole && (*any || seconds::counts(begins, second));
        (is_covered && *any, is_covered && !any)
    });
    let (with_posts, quiet): (Vec<bool>, Vec<bool>) = bits.unzip();
    let views = parts.iter().flat_map(|of| &of.views);
    let emptied = with_posts.iter().enumerate();
    let emptied: Vec<bool> = emptied
        .map(|(place, has)| *has && !views.clone().any(|view| view.has_listed_posts(place)))
        .collect();
    Covered::of(intervals, begins, &with_posts, &quiet).emptied(intervals, &emptied)
}

/// The detail of a gap of the union: the servers' causes.
fn union_detail(of_legs: &[(&Leg, &Reason)]) -> String {
    let all_the_same = of_legs.windows(2).all(|two| match two {
        [(_, one), (_, other)] => one == other,
        _ => true,
    });
    if all_the_same {
        return of_legs
            .first()
            .map_or_else(String::new, |(_, reason)| reason.detail.clone());
    }
    let each: Vec<String> = of_legs
        .iter()
        .map(|(leg, reason)| format!("{}: {}", leg.server, reason.cause))
        .collect();
    each.join("; ")
}

/// The posts of each minute.
fn by_minute(seconds: &[i64], posts: &[u64]) -> BTreeMap<Minute, u64> {
    let mut minutes = BTreeMap::new();
    for (second, posts) in seconds.iter().zip(posts) {
        *minutes.entry(UtcMs(second * 1_000).minute()).or_default() += posts;
    }
    minutes
}

/// Of a part that comes over two legs: the posts of the seconds that both have seen whole, that have posts, and in which both were
/// sent the same. What breaks a connection takes posts of the second in which it does so: that is no failure to catch single posts.
fn both(
    given: &Given<'_>,
    part: usize,
    (seconds, views): (&[i64], &[View<'_>]),
) -> BTreeMap<Minute, Both> {
    let mut minutes: BTreeMap<Minute, Both> = BTreeMap::new();
    if views.len() != 2 {
        return minutes;
    }
    for minute in seconds::minutes(given.intervals) {
        minutes.insert(minute, Both::default());
    }
    let posts = given.posts.get(part);
    let whole: Vec<Vec<bool>> = views
        .iter()
        .map(|view| view.whole(given.intervals))
        .collect();
    for (place, second) in seconds.iter().enumerate() {
        let is_alike = given
            .alike
            .is_none_or(|alike| alike.get(place) == Some(&true));
        if is_alike
            && whole.iter().all(|whole| whole.get(place) == Some(&true))
            && views.iter().all(|view| view.has_listed_posts(place))
            && let Some(in_second) = posts.and_then(|posts| posts.get(second))
            && let [first, other] = in_second.servers[..]
            && let Some(both) = minutes.get_mut(&UtcMs(second * 1_000).minute())
        {
            both.seconds += 1;
            both.first += first;
            both.second += other;
            both.common += in_second.common;
        }
    }
    minutes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cover::{
            backfill::Connection,
            evidence::{Down, WARMING_UP_MS},
            quiet::UNDER_WAY_MS,
        },
        segment::name::RunId,
    };

    /// Seconds in which nobody is sent anything.
    const OUTAGE: std::ops::Range<i64> = 100..160;

    /// Ten minutes of an archive that began before them. A test names what it is about.
    const HOUR: Given<'static> = Given {
        intervals: &[Interval {
            begin: UtcMs(0),
            end: UtcMs(600_000),
        }],
        servers: &[],
        posts: &[],
        timelines: &[],
        is_in_span: true,
        began: Some(UtcMs(-1)),
        has_rules: false,
        tells_when_seen: false,
        alike: None,
        lost: &[],
        changes: &[],
    };

    fn up(downs: &[(i64, i64, Cause)]) -> Timeline {
        let downs = downs.iter().map(|(begin, end, cause)| Down {
            begin: UtcMs(*begin),
            end: UtcMs(*end),
            reason: Reason::new(*cause, ""),
        });
        Timeline {
            downs: downs.collect(),
            bytes: (0..600).filter(|second| second % 20 == 0).collect(),
            ..Timeline::default()
        }
    }

    /// Ten minutes of two servers, which have posts of all seconds but those of the outage; the
    /// second one of none at all while it is late, or of all if it missed nothing.
    fn account_of(timelines: &[Timeline; 2], second_has: impl Fn(i64) -> bool) -> Account {
        let posts = (0..600).map(|second| {
            let has = [!OUTAGE.contains(&second), second_has(second)];
            let in_second = InSecond {
                posts: u64::from(has.contains(&true)),
                servers: has.map(u64::from).into(),
                common: u64::from(!has.contains(&false)),
                belated: Vec::new(),
            };
            (second, in_second)
        });
        account(&Given {
            servers: &["1".parse().unwrap(), "2".parse().unwrap()],
            posts: &[posts.filter(|(_, has)| 0 < has.posts).collect()],
            timelines,
            ..HOUR
        })
    }

    /// What was received and taken out is no silence, and nothing that can be compared.
    #[test]
    fn seconds_whose_posts_were_taken_out_were_received() {
        let of_second = InSecond {
            posts: 3,
            servers: vec![3, 3],
            common: 3,
            belated: Vec::new(),
        };
        let is_left = |second: &i64| !OUTAGE.contains(second);
        let posts = (0..600).filter(is_left);
        let posts: Seconds = posts.map(|second| (second, of_second.clone())).collect();
        let found = |lost: &[BTreeSet<i64>]| {
            account(&Given {
                servers: &["1".parse().unwrap(), "2".parse().unwrap()],
                posts: std::slice::from_ref(&posts),
                timelines: &[up(&[]), up(&[])],
                tells_when_seen: true,
                lost,
                ..HOUR
            })
        };
        let silent = found(&[]);
        let causes = silent.gaps.iter().map(|gap| gap.cause);
        assert_eq!(causes.collect::<Vec<_>>(), [Cause::UpstreamSilence; 3]);
        let all: BTreeSet<i64> = OUTAGE.collect();
        let taken_out = found(&[all.clone(), all.clone()]);
        assert_eq!(taken_out.gaps, []);
        let union = &taken_out.union;
        assert_eq!((union.covered, union.quiet, union.emptied), (600, 0, 60));
        let seconds = taken_out.both[0].values().map(|both| both.seconds);
        assert_eq!(seconds.sum::<u64>(), 540);
        // only one server had received them: the other one did not get what it should have
        let by_one = found(&[all, BTreeSet::new()]);
        let gaps: Vec<_> = by_one
            .gaps
            .iter()
            .map(|gap| (&*gap.server, gap.cause))
            .collect();
        assert_eq!(gaps, [("2", Cause::Stall)]);
    }

    #[test]
    fn where_the_servers_were_sent_different_posts_they_are_not_compared() {
        let of_second = InSecond {
            posts: 3,
            servers: vec![2, 3],
            common: 2,
            belated: Vec::new(),
        };
        let posts: Seconds = (0..600).map(|second| (second, of_second.clone())).collect();
        let both = |alike: Option<&[bool]>| {
            let found = account(&Given {
                servers: &["1".parse().unwrap(), "2".parse().unwrap()],
                posts: std::slice::from_ref(&posts),
                timelines: &[up(&[]), up(&[])],
                tells_when_seen: true,
                alike,
                ..HOUR
            });
            let seconds = found.both[0].values().map(|both| both.seconds);
            seconds.collect::<Vec<_>>()
        };
        assert_eq!(both(None), [60; 10]);
        let alike: Vec<bool> = (0..600).map(|place| place < 90).collect();
        assert_eq!(both(Some(&alike))[..3], [60, 30, 0]);
    }

    fn told(account: &Account) -> Vec<String> {
        let gaps = account.gaps.iter();
        let told = |gap: &Gap| {
            let (begin, end) = (gap.begin.second(), gap.end.second());
            format!("{} {begin}-{end} {}", gap.server, gap.cause)
        };
        gaps.map(told).collect()
    }

    #[test]
    fn what_another_server_got_is_known_when_its_data_has_come() {
        let sent = |second: i64| !OUTAGE.contains(&second);
        let before = account_of(&[up(&[]), Timeline::late()], |_| false);
        assert_eq!(
            told(&before),
            ["1 100-160 stall", "2 0-600 late", "union 100-160 late"]
        );
        let silent = [
            "1 100-160 upstream silence",
            "2 100-160 upstream silence",
            "union 100-160 upstream silence",
        ];
        assert_eq!(told(&account_of(&[up(&[]), up(&[])], sent)), silent);
        let all = account_of(&[up(&[]), up(&[])], |_| true);
        assert_eq!(told(&all), ["1 100-160 stall"]);
        // a part of the silence, of which the other one's data is not there
        let from_then_on = [(130_000, 600_000, Cause::Late)];
        let partly = account_of(&[up(&[]), up(&from_then_on)], |second| second < 100);
        assert_eq!(
            told(&partly)[..2],
            ["1 100-120 upstream silence", "1 120-160 stall"]
        );
        let network = [(95_000, 170_000, Cause::Network)];
        let away = account_of(&[up(&[]), up(&network)], sent);
        assert_eq!(
            told(&away),
            [
                "1 100-160 stall",
                "2 100-160 network",
                "union 100-160 stall"
            ]
        );
    }

    #[test]
    fn a_silence_stays_one_whatever_happens_to_a_server_meanwhile() {
        let sent = |second: i64| !OUTAGE.contains(&second);
        let at_once = [(130_200, 130_250, Cause::Network)];
        let found = account_of(&[up(&at_once), up(&[])], sent);
        assert_eq!(told(&found).len(), 3, "{:?}", told(&found));
        assert_eq!(told(&found)[2], "union 100-160 upstream silence");
        let for_a_while = [(120_000, 140_000, Cause::Network)];
        let found = account_of(&[up(&[]), up(&for_a_while)], sent);
        assert_eq!(told(&found)[0], "1 100-160 upstream silence");
        // a start that fails once, for a second
        let start = [
            (80_000, 99_900, Cause::NotRunning),
            (99_900, 101_500, Cause::Refused),
        ];
        let found = account_of(&[up(&[]), up(&start)], |second| {
            !(80..102).contains(&second)
        });
        assert_eq!(told(&found)[1], "2 80-102 not running");
    }

    #[test]
    fn what_was_under_way_for_long_is_lost_by_what_broke_the_connection() {
        let mut slow = up(&[(130_000, 130_040, Cause::Network)]);
        slow.bytes = (0..600).collect();
        let found = account_of(&[slow.clone(), up(&[])], |_| true);
        assert_eq!(told(&found), ["1 100-160 network"]);
        slow.downs.clear();
        let found = account_of(&[slow, up(&[])], |_| true);
        assert_eq!(told(&found), ["1 100-160 unknown"], "a bug to report");
    }

    /// Ten minutes of one server with posts in these seconds.
    fn lone(timeline: &Timeline, began: i64, has: impl Fn(i64) -> bool) -> Account {
        let one = InSecond {
            posts: 1,
            servers: vec![1],
            common: 1,
            belated: Vec::new(),
        };
        let posts = (0..600).filter(|second| has(*second));
        account(&Given {
            servers: &["1".parse().unwrap()],
            posts: &[posts.map(|second| (second, one.clone())).collect()],
            timelines: std::slice::from_ref(timeline),
            began: Some(UtcMs(began)),
            ..HOUR
        })
    }

    #[test]
    fn seconds_are_quiet_while_bytes_come_on_both_sides_and_nothing_breaks() {
        let few = |second: i64| second % 20 == 0;
        let mut slow = up(&[]);
        slow.bytes.push(600);
        let all = lone(&slow, -1, few);
        assert_eq!(told(&all).len(), 0);
        assert_eq!((all.union.covered, all.union.quiet), (600, 570));
        // no byte from the one after 280 to the one at 400: neither end of it is quiet
        let mut silent = slow.clone();
        silent.bytes.retain(|second| !(281..400).contains(second));
        let found = lone(&silent, -1, |second| {
            few(second) && !(281..400).contains(&second)
        });
        assert_eq!(
            told(&found),
            [
                "1 281-400 upstream silence",
                "union 281-400 upstream silence"
            ]
        );
        assert_eq!(
            found.union.partial, 2,
            "the second before and the one after"
        );
        let mut broken = up(&[(310_500, 310_540, Cause::Network)]);
        broken.bytes.push(600);
        let found = lone(&broken, -1, few);
        assert_eq!(told(&found), ["1 301-320 network", "union 301-320 network"]);
    }

    #[test]
    fn where_hardly_anything_is_posted_other_events_tell_that_nothing_was_missed() {
        let part = |begin: i64, end: i64| Interval {
            begin: UtcMs(begin * 1_000),
            end: UtcMs(end * 1_000),
        };
        let mut pings = up(&[]);
        pings.bytes.push(600);
        pings.listened = vec![part(0, 600)];
        let mut others = pings.clone();
        others.flowing = vec![part(0, 300), part(400, 600)];
        let gaps = |timeline: &Timeline, posts: i64| {
            let mut gaps = told(&lone(timeline, -1, |second| second < posts));
            gaps.retain(|gap| gap.starts_with("1 "));
            gaps
        };
        // no post, or a handful at one end of the hour
        for posts in [0, 1, 14] {
            let silent = format!("1 {posts}-600 upstream silence");
            assert_eq!(
                gaps(&pings, posts),
                [silent],
                "a ping tells of nothing else"
            );
            assert_eq!(gaps(&others, posts), ["1 300-400 upstream silence"]);
        }
        let silent = "1 15-600 upstream silence";
        assert_eq!(gaps(&others, 15), [silent], "so many tell a rate");
    }

    /// Ten minutes of one server with posts in these seconds: what its gaps are.
    fn gaps_of(timeline: &Timeline, has: impl Fn(i64) -> bool) -> Vec<String> {
        let mut timeline = timeline.clone();
        timeline
            .bytes
            .extend((0..600).filter(|second| has(*second)));
        timeline.bytes.sort_unstable();
        let found = lone(&timeline, -1, &has);
        let mut gaps = told(&found);
        gaps.retain(|gap| gap.starts_with("1 "));
        gaps
    }

    /// A timeline with these downs, after each of which a connection was made.
    fn connected(downs: &[(i64, i64, Cause)]) -> Timeline {
        let mut timeline = up(downs);
        timeline.bytes.push(600);
        timeline.bytes.retain(|second| {
            let is_down = |(begin, end, _): &(i64, i64, Cause)| {
                (begin / 1_000..=end / 1_000).contains(second)
            };
            !downs.iter().any(is_down)
        });
        let made = downs.iter().map(|(_, end, _)| Connection {
            run: RunId(1),
            connection: 1,
            at: UtcMs(*end),
            minutes: 0,
            hole: None,
        });
        timeline.connections = made.collect();
        timeline
    }

    #[test]
    fn where_posts_are_rare_a_break_takes_what_was_under_way_and_no_more() {
        // a post every nine seconds, and a keep-alive just before the break; away for half a minute, or for five
        for end in [130, 400] {
            let mut broken = connected(&[(100_500, end * 1_000, Cause::Network)]);
            broken.bytes.push(99);
            let away = 82..end + 8;
            let found = gaps_of(&broken, |second| second % 9 == 0 && !away.contains(&second));
            // from when posts may have been under way, until the first may come after the connection is made
            let from = 100 - UNDER_WAY_MS / 1_000;
            let until = end + WARMING_UP_MS / 1_000;
            assert_eq!(found, [format!("1 {from}-{until} network")]);
        }
        // a break soon after the hour takes what was under way in its last seconds
        let mut after = connected(&[(603_500, 700_000, Cause::Network)]);
        after.bytes.push(602);
        let found = gaps_of(&after, |second| second < 592);
        assert_eq!(found, ["1 593-600 network"]);
        // nothing came for eighteen seconds before it broke: that is no stall of eight
        let mut silent = connected(&[(119_500, 130_000, Cause::Network)]);
        silent.bytes.retain(|second| !(101..120).contains(second));
        let found = gaps_of(&silent, |second| {
            second % 9 == 0 && !(100..138).contains(&second)
        });
        assert_eq!(found, ["1 101-135 network"]);
        // where a post comes every second it is one
        let found = gaps_of(&silent, |second| !(101..131).contains(&second));
        assert_eq!(found, ["1 101-109 upstream silence", "1 109-131 network"]);
    }

    #[test]
    fn a_silence_soon_after_a_start_is_judged_by_the_time_since_then() {
        let started = connected(&[(i64::MIN, 300_000, Cause::NotRunning)]);
        let has = |second: i64| (301..400).contains(&second) || 420 <= second;
        let found = gaps_of(&started, has);
        assert_eq!(found[1..], ["1 400-420 upstream silence"], "{found:?}");
        // a second of these has a post more
        let found = gaps_of(&started, |second| has(second) || second == 410);
        assert_eq!(found.len(), 1, "{found:?}");
        // nor do seconds count in which the platform was silent
        let has = |second: i64| !(100..300).contains(&second) && !(400..418).contains(&second);
        let silent = ["1 100-300 upstream silence", "1 400-418 upstream silence"];
        assert_eq!(gaps_of(&connected(&[]), has), silent);
    }

    #[test]
    fn the_span_begins_with_a_second_and_what_lies_before_it_is_no_gap() {
        let mut started = up(&[(i64::MIN, 90_500, Cause::NotRunning)]);
        started.first_start = Some(UtcMs(90_500));
        started.began = Some(UtcMs(90_500));
        let began = |has: &dyn Fn(i64) -> bool| {
            let found = lone(&started, 90_500, has);
            let begins = |covered: &Covered| (covered.begins.map(UtcMs::second), covered.seconds);
            assert_eq!(begins(&found.union), begins(&found.servers[0]));
            (begins(&found.union), told(&found))
        };
        let since = |begin: i64| move |second: i64| begin <= second;
        assert_eq!(began(&since(90)).0, (Some(90), 510));
        // half of a second is not missing
        assert_eq!(began(&since(91)), ((Some(91), 509), Vec::new()));
        assert_eq!(
            began(&since(95)).1,
            ["1 91-95 not running", "union 91-95 not running"]
        );
        // posts that were under way when the connection was made, and one that is played again
        assert_eq!(began(&since(80)), ((Some(80), 520), Vec::new()));
        for old in [10, 40, 88] {
            let old = |second: i64| second == old || 91 <= second;
            assert_eq!(began(&old).0, (Some(91), 509));
        }
        // where the first connection is told to be before the start: nobody had begun then
        let early = lone(&started, 88_900, since(95));
        assert_eq!(early.began, Some(UtcMs(90_500)));
        assert_eq!(
            told(&early),
            ["1 91-95 not running", "union 91-95 not running"]
        );
    }

    /// A leg, its start, its first connection, the first second that it has posts of, and those after it that it lacks.
    type Begun = (&'static str, i64, i64, i64, &'static [i64]);

    fn begun((_, start, connects, ..): &Begun) -> Timeline {
        let mut of = connected(&[(i64::MIN, *connects, Cause::NotRunning)]);
        of.bytes = (connects / 1_000 + 1..=600).collect();
        of.first_start = Some(UtcMs(*start));
        of.began = Some(UtcMs(*connects));
        of
    }

    /// A post in each second of a part that one of its legs has.
    fn posts_of(names: &[Leg], has: impl Fn(usize, i64) -> bool) -> Vec<Seconds> {
        let of_part = |part: Part| -> Seconds {
            let of_second = |second: i64| {
                let legs = part.legs.iter();
                let servers: Vec<u64> = legs.map(|leg| u64::from(has(*leg, second))).collect();
                let in_second = InSecond {
                    posts: servers.iter().copied().max().unwrap(),
                    common: servers.iter().copied().min().unwrap(),
                    servers,
                    belated: Vec::new(),
                };
                (0 < in_second.posts).then_some((second, in_second))
            };
            (0..600).filter_map(of_second).collect()
        };
        part::parts(names).into_iter().map(of_part).collect()
    }

    fn legs_of(legs: &[Begun], has_rules: bool) -> (Account, Vec<(String, i64)>) {
        let names: Vec<Leg> = legs.iter().map(|of| of.0.parse().unwrap()).collect();
        let timelines: Vec<Timeline> = legs.iter().map(begun).collect();
        let posts = posts_of(&names, |leg, second| {
            let (.., first, lacks) = legs[leg];
            !has_rules && first <= second && !lacks.contains(&second)
        });
        let found = account(&Given {
            servers: &names,
            posts: &posts,
            timelines: &timelines,
            began: legs.iter().map(|of| UtcMs(of.2)).min(),
            has_rules,
            ..HOUR
        });
        let begins = |of: &Covered| of.begins.unwrap().second();
        let names = names.iter().map(Leg::to_string).zip(&found.servers);
        let all = names.chain([(UNION.to_owned(), &found.union)]);
        let begins = all.map(|(name, of)| (name, begins(of))).collect();
        (found, begins)
    }

    #[test]
    fn no_second_counts_before_the_first_connection_and_none_is_covered_that_no_leg_has() {
        let begins = |of: &[(String, i64)]| -> Vec<i64> { of.iter().map(|one| one.1).collect() };
        // one connection in the last moment of a second without a post, and the others later
        let first: &[Begun] = &[
            ("1.01", 48_774, 49_953, 50, &[]),
            ("1.02", 49_585, 51_473, 50, &[]),
            ("2.01", 49_025, 51_341, 50, &[51]),
            ("2.02", 49_995, 51_720, 50, &[]),
        ];
        let (found, begin) = legs_of(first, false);
        assert_eq!(begins(&begin), [50; 5]);
        assert_eq!((found.union.covered, found.union.quiet), (550, 0));
        assert_eq!(told(&found), ["2.01 51-52 not running"]);
        // both legs of a partition are connected in the last moment of a second, of which they have no post
        let second: &[Begun] = &[
            ("1.01", 39_100, 39_903, 37, &[]),
            ("1.09", 39_100, 39_990, 37, &[39]),
            ("3.01", 39_200, 39_910, 37, &[]),
            ("3.09", 39_200, 39_991, 37, &[39]),
        ];
        let (found, begin) = legs_of(second, false);
        assert_eq!(told(&found), [""; 0]);
        assert_eq!(begins(&begin), [40; 5], "not before both partitions");
        // two servers of a filtered stream, which is silent: they started a second before their connections
        let filtered: &[Begun] = &[
            ("1", 54_200, 55_346, 55, &[]),
            ("2", 54_300, 55_500, 55, &[]),
        ];
        let (found, begin) = legs_of(filtered, true);
        assert_eq!(told(&found), [""; 0]);
        assert_eq!(begins(&begin), [56; 3]);
        // a server that is added later begins with its own start
        let later: &[Begun] = &[
            ("1", 39_100, 39_903, 40, &[]),
            ("2", 45_300, 47_500, 48, &[]),
        ];
        let (found, begin) = legs_of(later, false);
        assert_eq!(told(&found), ["2 46-48 not running"]);
        assert_eq!(begins(&begin), [40, 46, 40]);
    }

    #[test]
    fn before_a_partition_was_added_its_seconds_are_missing_and_the_gap_names_it() {
        let with = |added: &[Begun]| {
            let legs = [&[("1.01", 39_100, 39_903, 40, &[][..])], added].concat();
            let (found, begin) = legs_of(&legs, false);
            let union = found.gaps.iter().filter(|gap| gap.server == UNION);
            let told = |gap: &Gap| {
                let (begin, end) = (gap.begin.second(), gap.end.second());
                format!("{begin}-{end} {} {}", gap.cause, gap.detail)
            };
            let begin: Vec<i64> = begin.into_iter().map(|of| of.1).collect();
            (union.map(told).collect::<Vec<_>>(), begin)
        };
        let half_way = &("1.02", 300_000, 300_400, 300, &[][..]);
        let lacks = "40-300 not running partition 2 (not begun yet)";
        assert_eq!(
            with(&[*half_way]),
            (vec![lacks.to_owned()], vec![40, 300, 40])
        );
        // a second server adds it again, and that is no beginning of the partition
        let again = ("2.02", 400_000, 400_400, 400, &[][..]);
        assert_eq!(with(&[*half_way, again]).0, [lacks]);
        // connected to some seconds later, where the archive begins: one beginning, which no second is missing from
        let soon = ("1.02", 39_200, 43_800, 44, &[][..]);
        assert_eq!(with(&[soon]), (Vec::new(), vec![44; 3]));
        // after the hour: nobody collects it here
        let later = ("1.02", 700_000, 700_400, 700, &[][..]);
        assert_eq!(with(&[later]), (Vec::new(), vec![40, 600, 40]));
    }

    /// Two servers receive the same: posts in every second, and rare ones from a second on. It is no loss of the one that
    /// requested something else from then on, and one of the other.
    #[test]
    fn each_server_is_judged_by_what_it_requested_itself() {
        let names = ["1", "2"].map(|id| id.parse::<Leg>().unwrap());
        let posts = posts_of(&names, |_leg, second| second < 300 || second % 100 == 0);
        for (changed, other) in [(0, "2"), (1, "1")] {
            let mut changes = vec![Vec::new(); 2];
            changes[changed] = vec![300];
            let found = account(&Given {
                servers: &names,
                posts: &posts,
                timelines: &[connected(&[]), connected(&[])],
                changes: &changes,
                ..HOUR
            });
            let lacks: BTreeSet<&str> = found.gaps.iter().map(|gap| &*gap.server).collect();
            assert_eq!(lacks, [other].into(), "{:?}", told(&found));
        }
    }

    /// Two partitions move from server 1, which has them until a second, to server 2; `old` are the legs of server 1 here.
    fn taken_over(old: &[&str], until: i64) -> Account {
        let new: [Begun; 2] = [
            ("2.01", 300_000, 302_000, 302, &[]),
            ("2.02", 300_000, 304_000, 304, &[]),
        ];
        let (mut timelines, mut legs) = (Vec::new(), Vec::new());
        for name in old {
            timelines.push(connected(&[(until * 1_000, i64::MAX, Cause::NotRunning)]));
            legs.push((*name, 0..until));
        }
        for leg in &new {
            timelines.push(begun(leg));
            legs.push((leg.0, leg.3..600));
        }
        let names: Vec<Leg> = legs.iter().map(|of| of.0.parse().unwrap()).collect();
        let posts = posts_of(&names, |leg, second| legs[leg].1.contains(&second));
        account(&Given {
            servers: &names,
            posts: &posts,
            timelines: &timelines,
            began: Some(A_DAY_BEFORE),
            ..HOUR
        })
    }

    const A_DAY_BEFORE: UtcMs = UtcMs(-86_400_000);

    #[test]
    fn where_other_servers_take_over_the_seconds_between_are_missing_and_no_beginning() {
        let within = taken_over(&["1.01", "1.02"], 300);
        assert_eq!(
            told(&within),
            [
                "1.01 300-600 not running",
                "1.02 300-600 not running",
                "2.01 300-302 not running",
                "2.02 300-304 not running",
                "union 300-302 not running",
                "union 302-304 not running",
            ]
        );
        assert_eq!(within.union.begins, None);
        // at the edge of the hour: nothing of server 1 belongs to it
        let at_edge = taken_over(&[], 0);
        assert_eq!(
            told(&at_edge),
            [
                "2.01 0-302 not running",
                "2.02 0-304 not running",
                "union 0-302 not running",
                "union 302-304 not running",
            ]
        );
        assert_eq!(at_edge.union.begins, None);
        assert_eq!((at_edge.union.seconds, at_edge.union.covered), (600, 296));
        assert_eq!(at_edge.began, Some(A_DAY_BEFORE));
    }

    #[test]
    fn a_post_that_came_at_another_time_covers_no_second_in_which_nobody_listened() {
        let post = |belated: bool| InSecond {
            posts: 1,
            servers: vec![1],
            common: 1,
            belated: vec![u64::from(belated)],
        };
        let found = |timeline: &Timeline, has: &dyn Fn(i64) -> Option<bool>| {
            let posts = (0..600).filter_map(|second| Some((second, post(has(second)?))));
            let account = account(&Given {
                servers: &["1".parse().unwrap()],
                posts: &[posts.collect()],
                timelines: std::slice::from_ref(timeline),
                began: Some(UtcMs(0)),
                ..HOUR
            });
            let has = account.union.covered;
            let gaps = told(&account).into_iter();
            (
                gaps.filter(|gap| gap.starts_with("1 ")).collect::<Vec<_>>(),
                has,
            )
        };
        let mut away = up(&[(100_000, 160_000, Cause::Network)]);
        away.out_of_window = vec![Interval {
            begin: UtcMs(100_000),
            end: UtcMs(160_000),
        }];
        let outside = |second: i64| (!OUTAGE.contains(&second)).then_some(false);
        let whole = (vec!["1 100-160 replay window".to_owned()], 540);
        assert_eq!(found(&away, &outside), whole);
        // whoever may write what time a post has can fill a gap with it, from its edges on
        let forged = |second: i64| outside(second).or(Some(true));
        assert_eq!(found(&away, &forged), whole);
        // what was asked for again came late here, but in time there
        assert_eq!(found(&away, &|_| Some(false)), (Vec::new(), 600));
        // a connection was up meanwhile, and had brought what was before when it broke: where posts are rare, too
        let mut catching_up = up(&[]);
        let rare = |second: i64| outside(second).filter(|_| second % 50 == 0 || 580 < second);
        assert_eq!(found(&catching_up, &rare), (Vec::new(), 600));
        catching_up.out_of_window.clone_from(&away.out_of_window);
        assert_eq!(found(&catching_up, &rare), whole);
        // nobody was away: what came after an outage upstream is there
        assert_eq!(found(&up(&[]), &forged), (Vec::new(), 600));
        // and a few posts of then are not what came after it
        let few = [100, 101, 130, 159];
        let one = |second: i64| outside(second).or(few.contains(&second).then_some(true));
        let silent = (vec!["1 100-160 upstream silence".to_owned()], 540);
        assert_eq!(found(&up(&[]), &one), silent);
    }

    #[test]
    fn the_estimate_is_about_seconds_that_both_have() {
        let in_second = |[first, second, common]: [u64; 3]| InSecond {
            posts: first + second - common,
            servers: vec![first, second],
            common,
            belated: Vec::new(),
        };
        // a break of both: neither has the whole of 119, or of 122, in which it came back
        let broken = [(119_400, 122_200, Cause::Network)];
        let of = |second| match second {
            3 => Some([5, 4, 3]),
            4 => Some([7, 0, 0]),
            5 => Some([0, 9, 0]),
            119 => Some([1, 3, 0]),
            122 => Some([3, 1, 0]),
            120 | 121 => None,
            _ => Some([2, 2, 2]),
        };
        let posts = (0..130).filter_map(|second| Some((second, in_second(of(second)?))));
        let posts: BTreeMap<i64, InSecond> = posts.collect();
        let found = account(&Given {
            servers: &["1".parse().unwrap(), "2".parse().unwrap()],
            posts: &[posts],
            timelines: &[up(&broken), up(&broken)],
            ..HOUR
        });
        let both = |minute| <[u64; 4]>::from(found.both[0][&Minute(minute)]);
        assert_eq!(both(0), [58, 119, 118, 117]);
        assert_eq!(both(1), [59, 118, 118, 118]);
        // after the last post comes a silence
        assert_eq!(both(2), [6, 12, 12, 12]);
        assert_eq!(found.both[0].len(), 10, "every minute has a row");
        assert_eq!(both(9), [0; 4]);
    }
}
