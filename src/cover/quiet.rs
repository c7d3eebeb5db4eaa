//! Which seconds without a post are quiet: the server was listening in them, and the silence around them is not
//! surprising (`rate`).

use std::collections::BTreeMap;

use super::{
    cause::Cause,
    evidence::Timeline,
    rate::{Rate, Silence},
    seconds,
};
use crate::period::{Minute, UtcMs};

/// Posts arrive within so many ms of their creation: 99 % of them within 6 to 7 s, says X.
pub(super) const UNDER_WAY_MS: i64 = 10_000;

/// If other servers have posts that did not come here, although other posts came all the time, they were under way
/// for at most this many ms when the connection broke.
pub const UNDER_WAY_MAX_MS: i64 = 60_000;

/// How soon posts come after a connection is made, in ms.
pub(super) const WARMING_UP_MS: i64 = 5_000;

/// A quiet second must have bytes this near on both sides: keep-alives come at least every 20 s.
pub(super) const QUIET_BYTES_NEAR_S: i64 = 25;

/// The seconds that are quiet, and how often posts come. If rules choose the posts, no silence is surprising, and
/// there is no rate.
pub(super) fn quiet(
    of: Silent<'_>,
    with_posts: &[bool],
    posts: Option<&BTreeMap<Minute, u64>>,
) -> (Vec<bool>, Option<Rate>) {
    let mut quiet = vec![false; of.seconds.len()];
    let counts = |place: &usize| {
        with_posts.get(*place) == Some(&false)
            && seconds::counts(Some(of.begins), of.second(*place))
    };
    let empty: Vec<usize> = (0..of.seconds.len()).filter(counts).collect();
    let mut silences: Vec<Vec<usize>> = seconds::runs(of.seconds, &empty)
        .map(|run| of.listening(run, with_posts))
        .filter(|listening| !listening.is_empty())
        .collect();
    let rate = posts.map(|posts| {
        let posted = with_posts.iter().enumerate().filter(|(_, has)| **has);
        let posted = posted.map(|(place, _)| place);
        let listening = posted.chain(silences.iter().flatten().copied());
        let mut rate = Rate::of(posts, listening.map(|place| of.second(place)));
        // a silence that chance does not explain tells nothing of how often posts come
        loop {
            let explained = |silence: &Vec<usize>| {
                let seconds = silence.iter().map(|place| of.second(*place));
                Silence::of(seconds).is_none_or(|silence| rate.explains(silence))
            };
            let (explained, surprising) = silences.drain(..).partition::<Vec<_>, _>(explained);
            silences = explained;
            if surprising.is_empty() {
                break rate;
            }
            for place in surprising.iter().flatten() {
                rate.take_out(of.second(*place));
            }
        }
    });
    let mut places: Vec<usize> = silences.into_iter().flatten().collect();
    if rate.as_ref().is_some_and(Rate::is_unknown) {
        let is_flowing = |place: &usize| of.timeline.was_flowing(of.second(*place));
        places.extend(empty.into_iter().filter(is_flowing));
    }
    for place in places {
        if let Some(quiet) = quiet.get_mut(place) {
            *quiet = true;
        }
    }
    (quiet, rate)
}

/// What tells of a leg's seconds without a post.
#[derive(Clone, Copy)]
pub(super) struct Silent<'a> {
    pub(super) seconds: &'a [i64],
    pub(super) timeline: &'a Timeline,
    /// Whether only the posts themselves tell what has come, so that it is not known what was under way.
    pub(super) is_delayed: bool,
    pub(super) has_rules: bool,
    pub(super) begins: UtcMs,
}

impl Silent<'_> {
    fn second(&self, place: usize) -> i64 {
        self.seconds.get(place).copied().unwrap_or(0)
    }

    /// Of a run of seconds without a post: those in which posts would have come. A connection may also have replayed
    /// the time before, and broken afterwards.
    fn listening(&self, run: &[usize], with_posts: &[bool]) -> Vec<usize> {
        let Some((first, last)) = run.first().zip(run.last()) else {
            return Vec::new();
        };
        // whether a post ends a run at the end of the hour is not known here
        let is_cut = last + 1 == self.seconds.len();
        let end = UtcMs(if is_cut {
            i64::MAX
        } else {
            1_000 * (self.second(*last) + 1)
        });
        let posted = first.checked_sub(1);
        let posted = posted.filter(|place| with_posts.get(*place) == Some(&true));
        let posted = posted.map(|place| self.second(place));
        let was_listening = |place: &&usize| {
            let second = self.second(**place);
            let was_listening = || {
                !was_out_of_window(second, self.timeline)
                    && was_listening(second, self.timeline, self.answer(second, posted))
                    && !(self.is_delayed && self.breaks_soon(second, end))
            };
            self.timeline.was_listened_to(second) || was_listening()
        };
        run.iter().filter(was_listening).copied().collect()
    }

    /// When the connection was made, if that counts as the first bytes: the next may come as late as a keep-alive. But
    /// where no rules choose them, the first posts may be missing for some seconds, unless one has come since then:
    /// `posted` is the last second before that has a post.
    fn answer(&self, second: i64, posted: Option<i64>) -> Option<UtcMs> {
        let answer = self.timeline.last_connection(UtcMs(second * 1_000))?;
        let is_warm = answer.plus_ms(WARMING_UP_MS).0 <= second * 1_000
            || posted.is_some_and(|posted| answer.second() <= posted);
        (self.has_rules || self.is_delayed && is_warm).then_some(answer)
    }

    /// Whether the connection breaks so soon after a second that its posts may have been under way, before the run
    /// without a post ends.
    fn breaks_soon(&self, second: i64, run_ends: UtcMs) -> bool {
        let end = UtcMs((second + 1) * 1_000);
        let until = end.plus_ms(UNDER_WAY_MS).min(run_ends);
        self.timeline.first_down(end, until).is_some()
    }
}

/// Whether a connection was up around a second, with bytes near it on both sides, or before it the response that opened
/// the connection.
fn was_listening(second: i64, timeline: &Timeline, answer: Option<UtcMs>) -> bool {
    let (before, Some(after)) = timeline.bytes_around(second) else {
        return false;
    };
    let bytes = before.map(|before| UtcMs(before * 1_000));
    let Some(from) = bytes.max(answer) else {
        return false;
    };
    let is_near =
        second - from.second() <= QUIET_BYTES_NEAR_S && after - second <= QUIET_BYTES_NEAR_S;
    let to = UtcMs((after + 1) * 1_000);
    is_near && timeline.first_down(from, to).is_none()
}

/// Whether the platform no longer had a second when it was asked for it again: then belated posts of that second do
/// not come from the replay.
pub(super) fn was_out_of_window(second: i64, timeline: &Timeline) -> bool {
    let (begin, end) = (UtcMs(second * 1_000), UtcMs((second + 1) * 1_000));
    let mut formerly = timeline.lasting(begin, end);
    timeline.was_out_of_window(second)
        || formerly.any(|down| down.reason.cause == Cause::ReplayWindow)
}
