//! Which silences of a leg's hour are surprising, with the posts that straggle in while they last.
//!
//! A silence during which one post comes is two silences, and each may be too short to be surprising (`rate`). So all
//! stretches from the begin of a silence to the end of a later one are judged, too. If k of a stretch's m seconds have
//! posts and e have none, that happens by chance with a probability of at most e^-D, where
//! D = e · λ - e · ln(m / e) - k · ln(m · q / k) if posts come at λ a second and a second has some with probability q
//! (Chernoff's bound). It is surprising if D ≥ 15 + k. The k is for the choice of the stretch, which nobody has made
//! beforehand: all that can be chosen together are surprising hardly more often than silences are
//! (1 + e^-1 + e^-2 + … < 1.6). And posts do not come evenly: a stretch in which a third of those expected come is
//! never surprising.
//!
//! The rate is that of the seconds beside the stretch, block by block for as long as it lasts, before it and after it;
//! the slowest block counts. So nothing is missing beside a burst, or where posts become rarer and stay so. If one side
//! is the hour's, or tells nothing, the other one must be as long as the stretch. Seconds in which nobody was listening
//! count in a block like any other: with them the rate is too low, and no silence is called surprising for it.
//!
//! Where a server requests something else from a second on, posts may come at another rate. What was requested at one
//! time tells nothing of another, so the hour is judged in pieces, each as if it were an hour of its own.
//!
//! A stretch counts only if it is poor in posts from its begin on and up to its end, so that a long silence does not
//! take those with it that lie minutes away.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    rate::{MILLI, NANO, Rate, SURPRISING, Silence, Tells, ln},
    seconds,
};
use crate::period::{Minute, UtcMs};

/// Between two gaps, so few seconds with posts tell nothing of how often posts come: they may be what is left of a
/// silence.
const STRAGGLERS_S: usize = 5;

/// A block of seconds that tells how often posts come has at least so many.
const BLOCK_S: usize = 300;

/// And at least so many with posts, or if there are not as many in the hour, half of that.
const BLOCK_POSTS: u64 = 2 * SURPRISING;

/// From so many posts a second on, hardly a second has none.
const OFTEN: u64 = 2;

/// An hour of a leg, second by second.
#[derive(Debug, Clone, Copy)]
pub struct Hour<'a> {
    /// Its seconds, ascending.
    pub seconds: &'a [i64],
    /// The first one that counts.
    pub begins: Option<UtcMs>,
    /// Which have posts.
    pub with_posts: &'a [bool],
    /// In which of the others the server was listening.
    pub listening: &'a [bool],
    /// The posts of each minute.
    pub posts: &'a BTreeMap<Minute, u64>,
    /// From which seconds on something else was requested than before, ascending.
    pub changes: &'a [i64],
}

/// How often posts come, in each piece of an hour in which the same was requested.
#[derive(Debug, Clone)]
pub struct Rates(Vec<(usize, Rate)>);

impl Rates {
    /// The rate of the piece that has the second at this place.
    pub fn at(&self, place: usize) -> Option<&Rate> {
        let after = self.0.partition_point(|(end, _)| *end <= place);
        self.0.get(after).map(|(_, rate)| rate)
    }
}

/// The seconds of an hour's surprising silences, and how often posts come if these are left out.
pub fn surprising(hour: &Hour<'_>) -> (Vec<bool>, Rates) {
    let (mut surprising, mut rates) = (Vec::new(), Vec::new());
    for piece in hour.pieces() {
        let posts = hour.posts_of(&piece);
        let (of_piece, rate) = surprising_of_piece(&Hour {
            seconds: slice(hour.seconds, &piece),
            with_posts: slice(hour.with_posts, &piece),
            listening: slice(hour.listening, &piece),
            posts: &posts,
            ..*hour
        });
        surprising.extend(of_piece);
        rates.push((piece.end, rate));
    }
    (surprising, Rates(rates))
}

fn slice<'a, T>(of: &'a [T], piece: &Range<usize>) -> &'a [T] {
    of.get(piece.clone()).unwrap_or_default()
}

fn surprising_of_piece(hour: &Hour<'_>) -> (Vec<bool>, Rate) {
    let mut surprising = vec![false; hour.seconds.len()];
    loop {
        let silent = hour.silent(&surprising);
        let tell = hour.tell(&silent);
        let seconds = tell.iter();
        let rate = Rate::of(
            hour.posts,
            seconds.map(|(place, tells)| (hour.second(*place), *tells)),
        );
        let found = Told::of(hour, &silent, &rate).surprising(&rate);
        if found.is_empty() {
            return (surprising, rate);
        }
        // a silence that chance does not explain tells nothing of how often posts come
        for place in found {
            set(&mut surprising, place);
        }
    }
}

/// Sets a bit.
pub(super) fn set(bits: &mut [bool], place: usize) {
    if let Some(bit) = bits.get_mut(place) {
        *bit = true;
    }
}

impl Hour<'_> {
    /// The places of the seconds between which nothing else was requested.
    fn pieces(&self) -> Vec<Range<usize>> {
        let end = self.seconds.len();
        let place = |change: &i64| self.seconds.partition_point(|second| second < change);
        let mut cuts: Vec<usize> = self.changes.iter().map(place).collect();
        cuts.retain(|cut| (1..end).contains(cut));
        cuts.dedup();
        let begins = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([end]);
        begins.zip(ends).map(|(begin, end)| begin..end).collect()
    }

    /// The posts of a piece's minutes. When in a minute its posts came is not known; where one has several pieces, each
    /// has as many as it has seconds with posts, at least.
    fn posts_of(&self, piece: &Range<usize>) -> Cow<'_, BTreeMap<Minute, u64>> {
        let minute = |second: i64| UtcMs(second * 1_000).minute();
        let is_whole = *piece == (0..self.seconds.len());
        if is_whole {
            return Cow::Borrowed(self.posts);
        }
        let inside = |change: &&i64| **change != minute(**change).begin().second();
        let shared: BTreeSet<Minute> = (self.changes.iter().filter(inside))
            .map(|change| minute(*change))
            .collect();
        let mut posts = BTreeMap::new();
        for place in piece.clone() {
            let minute = minute(self.second(place));
            if shared.contains(&minute) {
                *posts.entry(minute).or_default() += u64::from(self.has_posts(place));
            } else if let Some(all) = self.posts.get(&minute) {
                posts.insert(minute, *all);
            }
        }
        Cow::Owned(posts)
    }

    fn second(&self, place: usize) -> i64 {
        self.seconds.get(place).copied().unwrap_or(0)
    }

    fn has_posts(&self, place: usize) -> bool {
        self.with_posts.get(place) == Some(&true)
    }

    fn counts(&self, place: usize) -> bool {
        seconds::counts(self.begins, self.second(place))
    }

    /// Whether the server was listening in a second without a post, and it is not surprising that none came.
    fn silent(&self, surprising: &[bool]) -> Vec<bool> {
        let is_silent = |place: usize| {
            let is = |bits: &[bool]| bits.get(place) == Some(&true);
            is(self.listening) && !is(surprising) && !self.has_posts(place)
        };
        (0..self.seconds.len()).map(is_silent).collect()
    }

    /// What each second tells of how often posts come; those in which nobody was listening are left out.
    fn tell(&self, silent: &[bool]) -> Vec<(usize, Tells)> {
        let is_gap = |place: Option<usize>| {
            place.is_some_and(|place| {
                silent.get(place) == Some(&false) && !self.has_posts(place) && self.counts(place)
            })
        };
        let silences = silent.iter().enumerate().filter(|(_, silent)| **silent);
        let mut tell: Vec<(usize, Tells)> =
            silences.map(|(place, _)| (place, Tells::Silence)).collect();
        let with_posts = (0..self.seconds.len()).filter(|place| self.has_posts(*place));
        let with_posts: Vec<usize> = with_posts.collect();
        for run in seconds::runs(self.seconds, &with_posts) {
            let before = run.first().and_then(|first| first.checked_sub(1));
            let after = run.last().map(|last| last + 1);
            let tells = if run.len() < STRAGGLERS_S && is_gap(before) && is_gap(after) {
                Tells::Nothing
            } else {
                Tells::Posts
            };
            tell.extend(run.iter().map(|place| (*place, tells)));
        }
        tell.sort_unstable_by_key(|(place, _)| *place);
        tell
    }
}

/// The seconds of an hour that count or have posts, with sums up to each of them.
struct Told {
    places: Vec<usize>,
    seconds: Vec<i64>,
    /// Before each of them, and at the end: how many have posts.
    with_posts: Vec<u64>,
    /// About how many posts, in thousandths.
    milli_posts: Vec<u64>,
    /// How many have none, although the server was listening.
    silent: Vec<u64>,
    /// Silences without a post in between; the server may not have been listening in all of these seconds.
    silences: Vec<Range<usize>>,
}

impl Told {
    fn of(hour: &Hour<'_>, silent: &[bool], rate: &Rate) -> Self {
        let mut told = Self {
            places: Vec::new(),
            seconds: Vec::new(),
            with_posts: vec![0],
            milli_posts: vec![0],
            silent: vec![0],
            silences: Vec::new(),
        };
        let (mut with_posts, mut milli_posts, mut silent_s) = (0, 0, 0);
        let mut is_new = true;
        for place in 0..hour.seconds.len() {
            let second = hour.second(place);
            let number = told.places.len();
            if hour.has_posts(place) {
                with_posts += 1;
                milli_posts += rate.milli_posts_of(second);
                is_new = true;
            } else if silent.get(place) == Some(&true) {
                silent_s += 1;
                match told.silences.last_mut() {
                    Some(silence) if !is_new => silence.end = number + 1,
                    _ => told.silences.push(number..number + 1),
                }
                is_new = false;
            } else if !hour.counts(place) {
                continue;
            }
            told.places.push(place);
            told.seconds.push(second);
            told.with_posts.push(with_posts);
            told.milli_posts.push(milli_posts);
            told.silent.push(silent_s);
        }
        told
    }

    /// The silent ones among some of the seconds.
    fn silent_of(&self, range: &Range<usize>) -> impl Iterator<Item = usize> {
        let sum = |number: usize| self.silent.get(number).copied();
        range
            .clone()
            .filter(move |number| sum(*number) < sum(number + 1))
    }

    /// The places of the seconds of surprising silences, alone or with stragglers.
    fn surprising(&self, rate: &Rate) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::new();
        let mut rest = self.silences.as_slice();
        while let Some(first) = rest.first() {
            let alone = usize::from(!self.is_explained(first, rate));
            let together = alone.max(self.surprising_with_stragglers(rest));
            let silences = rest.iter().take(together);
            let numbers = silences.flat_map(|silence| self.silent_of(silence));
            found.extend(numbers.filter_map(|number| self.places.get(number)));
            rest = rest.get(together.max(1)..).unwrap_or_default();
        }
        found
    }

    fn is_explained(&self, silence: &Range<usize>, rate: &Rate) -> bool {
        let seconds = self.silent_of(silence);
        let seconds = seconds.filter_map(|number| self.seconds.get(number).copied());
        Silence::of(seconds).is_none_or(|silence| rate.explains(silence))
    }

    /// How many of these silences are together in the longest surprising stretch that begins with the first of them.
    fn surprising_with_stragglers(&self, silences: &[Range<usize>]) -> usize {
        let Some(begin) = silences.first().map(|first| first.start) else {
            return 0;
        };
        // however long the stretch is, its rate is no higher
        let highest = self.blocks_before(begin).next();
        let highest = highest.map(|block| self.pace(&block));
        let may_go_on = |silence: &&Range<usize>| {
            highest.is_none_or(|pace| pace.is_poor(self.stretch(begin..silence.start)))
        };
        let later = silences.iter().skip(1).take_while(may_go_on).count();
        let is_surprising = |last: &usize| {
            let stretch = silences
                .get(*last)
                .map_or(begin..begin, |last| begin..last.end);
            let so_far = silences.get(..=*last).unwrap_or_default();
            self.beside(&stretch).is_some_and(|pace| {
                pace.is_surprised_by(self.stretch(stretch.clone()))
                    && self.is_poor_throughout(so_far, pace)
            })
        };
        let last = (1..=later).rev().find(is_surprising);
        last.map_or(0, |last| last + 1)
    }

    /// Whether a stretch is poor in posts however early it is cut off, and however late it begins.
    fn is_poor_throughout(&self, silences: &[Range<usize>], pace: Pace) -> bool {
        let (Some(first), Some(last)) = (silences.first(), silences.last()) else {
            return false;
        };
        // where it ends too late, that shows soon
        silences.windows(2).rev().all(|two| {
            let [before, after] = two else { return true };
            pace.is_poor(self.stretch(first.start..after.start))
                && pace.is_poor(self.stretch(before.end..last.end))
        })
    }

    fn stretch(&self, stretch: Range<usize>) -> Stretch {
        Stretch {
            empty: between(&self.silent, &stretch),
            with_posts: between(&self.with_posts, &stretch),
        }
    }

    fn pace(&self, block: &Range<usize>) -> Pace {
        let seconds = block.len() as u64;
        let milli_posts = between(&self.milli_posts, block);
        let with_posts = between(&self.with_posts, block);
        // many posts in one second make no rate where hardly any come
        let rare = (milli_posts < OFTEN * seconds * MILLI).then(|| {
            let without = seconds.saturating_sub(with_posts);
            let each = ln(seconds.into(), without.into());
            seconds * each / (NANO / MILLI)
        });
        Pace {
            milli_posts: rare.map_or(milli_posts, |rare| rare.min(milli_posts)),
            with_posts,
            seconds,
        }
    }

    /// How often posts come beside a stretch, at least; `None` if too little is beside it to tell.
    fn beside(&self, stretch: &Range<usize>) -> Option<Pace> {
        let until = |so_far: &mut usize, block: Range<usize>| {
            let goes_on = *so_far < stretch.len();
            *so_far += block.len();
            goes_on.then_some(block)
        };
        let before: Vec<_> = self.blocks_before(stretch.start).scan(0, until).collect();
        let after: Vec<_> = self.blocks_after(stretch.end).scan(0, until).collect();
        let seconds: usize = before.iter().chain(&after).map(Range::len).sum();
        if (before.is_empty() || after.is_empty()) && seconds < stretch.len() {
            return None;
        }
        let paces = before.iter().chain(&after).map(|block| self.pace(block));
        // all of them tell that posts come at least as often
        Some(paces.reduce(Pace::slower)?.during(seconds as u64))
    }

    /// The blocks before a second, the nearest one first.
    fn blocks_before(&self, end: usize) -> impl Iterator<Item = Range<usize>> {
        let with_posts = |end: usize| self.with_posts.get(end).copied().unwrap_or(0);
        let block = move |end: usize| {
            let Some(most) = with_posts(end).checked_sub(BLOCK_POSTS) else {
                return 0..end;
            };
            let begin = self.with_posts.partition_point(|so_far| *so_far <= most);
            begin.saturating_sub(1).min(end.saturating_sub(BLOCK_S))..end
        };
        let first = block(end);
        let next = move |of: &Range<usize>| Some(block(of.start));
        self.blocks(std::iter::successors(Some(first), next))
    }

    /// The blocks from a second on, the nearest one first.
    fn blocks_after(&self, begin: usize) -> impl Iterator<Item = Range<usize>> {
        let block = move |begin: usize| {
            let so_far = self.with_posts.get(begin).copied().unwrap_or(0);
            let least = so_far + BLOCK_POSTS;
            let end = self.with_posts.partition_point(|so_far| *so_far < least);
            begin..end.max(begin + BLOCK_S).min(self.places.len())
        };
        let first = block(begin);
        let next = move |of: &Range<usize>| Some(block(of.end));
        self.blocks(std::iter::successors(Some(first), next))
    }

    /// Of these blocks those that tell a rate: at the hour's edges, only if there is no other.
    fn blocks(
        &self,
        blocks: impl Iterator<Item = Range<usize>>,
    ) -> impl Iterator<Item = Range<usize>> {
        let tells = move |(number, block): &(usize, Range<usize>)| {
            let with_posts = between(&self.with_posts, block);
            let is_whole = BLOCK_S <= block.len() && BLOCK_POSTS <= with_posts;
            is_whole || *number == 0 && SURPRISING <= with_posts
        };
        blocks.enumerate().take_while(tells).map(|(_, block)| block)
    }
}

/// What sums come to in a range.
fn between(sums: &[u64], range: &Range<usize>) -> u64 {
    let sum = |number: usize| sums.get(number).copied().unwrap_or(0);
    sum(range.end).saturating_sub(sum(range.start))
}

/// Some seconds: how many have no post, and how many have posts.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    empty: u64,
    with_posts: u64,
}

/// So many posts in so many seconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    milli_posts: u64,
    /// How many of the seconds have posts.
    with_posts: u64,
    seconds: u64,
}

impl Pace {
    fn slower(self, other: Self) -> Self {
        let product = |a: Self, b: Self| u128::from(a.milli_posts) * u128::from(b.seconds);
        if product(self, other) <= product(other, self) {
            self
        } else {
            other
        }
    }

    /// The same pace for so many seconds.
    fn during(self, seconds: u64) -> Self {
        Self {
            milli_posts: self.milli_posts * seconds / self.seconds.max(1),
            with_posts: self.with_posts * seconds / self.seconds.max(1),
            seconds,
        }
    }

    /// Whether chance does not explain a stretch.
    fn is_surprised_by(self, stretch: Stretch) -> bool {
        let least = nano(SURPRISING + stretch.with_posts);
        let expected = self.expected(stretch.empty);
        // most stretches need no logarithm
        least <= expected
            && self
                .choices(stretch)
                .is_some_and(|choices| least + choices <= expected.min(self.by_chance(stretch)))
    }

    /// Whether so few posts come in a stretch that a longer one that begins or ends with it is more surprising for it.
    fn is_poor(self, stretch: Stretch) -> bool {
        let (least, expected) = (nano(stretch.with_posts), self.expected(stretch.empty));
        least <= expected
            && self
                .choices(stretch)
                .is_some_and(|choices| least + choices <= expected)
    }

    /// How many posts are expected in so many seconds, in billionths.
    fn expected(self, seconds: u64) -> u128 {
        let posts = u128::from(seconds) * u128::from(self.milli_posts);
        posts * u128::from(NANO / MILLI) / u128::from(self.seconds.max(1))
    }

    /// Of the posts of the blocks and the stretch: how rarely they all miss the seconds of the stretch that have none,
    /// as the logarithm. It is less than what is expected where the blocks have few posts.
    fn by_chance(self, stretch: Stretch) -> u128 {
        let posts = u128::from(self.milli_posts) + u128::from(stretch.with_posts * MILLI);
        let others = u128::from(self.seconds + stretch.with_posts);
        let each = ln(others + u128::from(stretch.empty), others);
        posts * u128::from(each) / u128::from(MILLI)
    }

    /// In how many ways posts can come in just so many seconds of a stretch, as the logarithm, less that of the chance
    /// that any come in them. `None` if these are not fewer than expected.
    fn choices(self, stretch: Stretch) -> Option<u128> {
        let all = u128::from(stretch.empty + stretch.with_posts);
        let (empty, with_posts) = (u128::from(stretch.empty), u128::from(stretch.with_posts));
        let expected = all * u128::from(self.with_posts);
        let came = with_posts * u128::from(self.seconds);
        let of_posts = || with_posts * u128::from(ln(expected, came));
        (came < expected).then(|| empty * u128::from(ln(all, empty)) + of_posts())
    }
}

fn nano(number: u64) -> u128 {
    u128::from(number) * u128::from(NANO)
}
