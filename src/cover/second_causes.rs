//! Why a leg does not have a second, as far as the second itself tells: what it was kept from receiving by, or what the
//! others received meanwhile.

use super::{
    cause::Cause,
    evidence::{Down, Timeline, WARMING_UP_MS},
    quiet::{QUIET_BYTES_NEAR_S, UNDER_WAY_MAX_MS, UNDER_WAY_MS},
    rate::{Rate, Silence},
    reason::Reason,
    run_causes::SecondCause,
    seconds,
    stretch::Rates,
};
use crate::period::{Interval, UtcMs};

/// One leg's hour.
pub(super) struct View<'a> {
    pub(super) timeline: &'a Timeline,
    /// The first second that counts.
    pub(super) begins: UtcMs,
    /// The seconds that it has received posts of.
    pub(super) with_posts: Vec<bool>,
    /// Of these, those whose posts are all not listed.
    pub(super) emptied: Vec<bool>,
    pub(super) quiet: Vec<bool>,
    /// The seconds in which it was listening, of silences that chance does not explain.
    pub(super) surprising: Vec<bool>,
    /// How often posts come; `None` if rules choose them.
    pub(super) rates: Option<Rates>,
}

impl View<'_> {
    pub(super) fn counts(&self, second: i64) -> bool {
        seconds::counts(Some(self.begins), second)
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.has_posts(place) || self.quiet.get(place) == Some(&true)
    }

    /// The seconds with posts that this leg has seen whole.
    pub(super) fn whole(&self, intervals: &[Interval]) -> Vec<bool> {
        let places = 0..self.with_posts.len();
        let covered: Vec<bool> = places.map(|place| self.has(place)).collect();
        let is_quiet = covered.iter().zip(&self.with_posts);
        let quiet: Vec<bool> = is_quiet.map(|(covered, has)| *covered && !has).collect();
        seconds::whole_with_posts(intervals, Some(self.begins), &covered, &quiet)
    }

    pub(super) fn has_posts(&self, place: usize) -> bool {
        self.with_posts.get(place) == Some(&true)
    }

    pub(super) fn has_listed_posts(&self, place: usize) -> bool {
        self.has_posts(place) && self.emptied.get(place) != Some(&true)
    }

    /// Whether it is no surprise that nothing came from the last second that it has until an instant.
    fn explains_silence(&self, seconds: &[i64], place: usize, until: UtcMs) -> bool {
        if self.surprising.get(place) == Some(&true) {
            return false;
        }
        let before = seconds.get(..=place).unwrap_or_default().iter().enumerate();
        let uncovered = before.rev().take_while(|(place, _)| !self.has(*place));
        let first = uncovered.last().map(|(_, second)| *second);
        let silence = first.and_then(|first| Silence::of(first..until.second().max(first + 1)));
        let would_explain = |rate: &Rate| silence.is_none_or(|silence| rate.would_explain(silence));
        let rate = self.rates.as_ref().and_then(|rates| rates.at(place));
        rate.is_none_or(would_explain)
    }
}

/// Why a server does not have a second; `None` if it has it.
pub(super) fn why(
    (seconds, views): (&[i64], &[View<'_>]),
    number: usize,
    place: usize,
) -> Option<SecondCause> {
    let view = views.get(number)?;
    if view.has(place) {
        return None;
    }
    let second = *seconds.get(place)?;
    let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
    let timeline = view.timeline;
    if timeline.was_out_of_window(second) {
        let reason = Reason::new(Cause::ReplayWindow, "");
        return Some(SecondCause::Down(reason));
    }
    let explains = |down: &&Down| down.lasts() || !is_witnessed(views, number, place, second);
    // if the silence itself is no surprise, only a break before the next sign of life keeps a second from being quiet
    let within = |ms: i64| timeline.first_lasting_down(begin, end.plus_ms(ms));
    let down = within(UNDER_WAY_MS).or_else(|| {
        let down = within(1_000 * QUIET_BYTES_NEAR_S);
        down.filter(|down| view.explains_silence(seconds, place, down.begin))
    });
    if let Some(down) = down.filter(explains) {
        return Some(SecondCause::Down(down.reason.clone()));
    }
    if let Some(down) = timeline.last_down(begin).filter(explains)
        && begin.0.saturating_sub(down.end.0) <= WARMING_UP_MS
        && nothing_since(down.end, seconds, view, place)
    {
        return Some(SecondCause::Down(down.reason.clone()));
    }
    Some(while_connected(views, number, place, second))
}

/// Posts that did not come although bytes did were under way for longer than usual when the connection broke.
fn while_bytes_came(views: &[View<'_>], number: usize, second: i64) -> SecondCause {
    let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
    let until = end.plus_ms(UNDER_WAY_MAX_MS);
    let down = views
        .get(number)
        .and_then(|view| view.timeline.first_lasting_down(begin, until));
    match down {
        // the record ends there; it is not known that anything broke
        Some(down) if down.reason.cause == Cause::Late => SecondCause::Stalled,
        Some(down) => SecondCause::Down(down.reason.clone()),
        None if bytes_came(views, number, second, UNDER_WAY_MAX_MS) => SecondCause::Unknown,
        None => SecondCause::Stalled,
    }
}

/// Whether no server has posts of a second, while another server was connected for all the time in which they should
/// have come.
fn is_witnessed(views: &[View<'_>], number: usize, place: usize, second: i64) -> bool {
    let begin = UtcMs(second * 1_000);
    let until = begin.plus_ms(1_000 + UNDER_WAY_MS);
    let listened = |(other, view): (usize, &View<'_>)| {
        other != number && view.timeline.first_down(begin, until).is_none()
    };
    !views.iter().any(|view| view.has_posts(place)) && views.iter().enumerate().any(listened)
}

/// Whether no second between an instant and that second is covered.
fn nothing_since(since: UtcMs, seconds: &[i64], view: &View<'_>, place: usize) -> bool {
    let before = seconds.get(..place).unwrap_or_default().iter().enumerate();
    let mut after = before
        .rev()
        .take_while(|(_, second)| since <= UtcMs(**second * 1_000));
    after.all(|(place, _)| !view.has(place))
}

/// What can be said of a second for a server that was connected all the time.
fn while_connected(views: &[View<'_>], number: usize, place: usize, second: i64) -> SecondCause {
    let begin = UtcMs(second * 1_000);
    let end = begin.plus_ms(1_000);
    let others = || {
        let others = views.iter().enumerate();
        others
            .filter(|(other, _)| *other != number)
            .map(|(_, view)| view)
    };
    if others().any(|view| view.has_posts(place)) {
        return if bytes_came(views, number, second, UNDER_WAY_MS) {
            while_bytes_came(views, number, second)
        } else {
            SecondCause::Stalled
        };
    }
    let (since, until) = (begin.plus_ms(-WARMING_UP_MS - 1), end.plus_ms(UNDER_WAY_MS));
    let is = |down: &Down, cause| down.reason.cause == cause;
    let is_awaited =
        |view: &View<'_>| (view.timeline.lasting(since, until)).any(|down| is(down, Cause::Late));
    if others().any(is_awaited) {
        // whether it got anything is not known yet
        return SecondCause::Stalled;
    }
    let is_connected_or_away = |view: &View<'_>| {
        let mut downs = view.timeline.lasting(begin, end);
        downs.all(|down| is(down, Cause::NotRunning))
    };
    SecondCause::Silent {
        by_all: others().all(is_connected_or_away),
    }
}

/// Whether bytes came in every second of the time in which posts of that second should have come.
fn bytes_came(views: &[View<'_>], number: usize, second: i64, under_way_ms: i64) -> bool {
    let mut arriving = second..=second + under_way_ms / 1_000;
    let bytes = views.get(number).map(|view| &view.timeline.bytes);
    bytes.is_some_and(|bytes| arriving.all(|second| bytes.binary_search(&second).is_ok()))
}
