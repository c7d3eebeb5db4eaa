//! Tells the log how attempts ended. What happens to many legs of a server at once is one line.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use tokio::sync::Notify;
use tracing::Span;

use crate::{
    alarm::AlarmKind,
    segment::{
        event::Why,
        name::{Leg, Partition},
    },
    text::{duration, plural},
    world::clock::Clock,
};

/// How long it may take until the same has happened to all legs, in real time.
const TOGETHER: Duration = Duration::from_millis(500);

/// How an attempt of a leg ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) leg: Leg,
    /// How, in a few words.
    pub(super) words: String,
    /// The lines that it had brought, if it was a stream.
    pub(super) lines: Option<u64>,
    /// What has to be done about it, if something has.
    pub(super) alarm: Option<AlarmKind>,
    /// When the next one is made, and why not sooner.
    pub(super) wait_ms: i64,
    pub(super) why: Why,
}

/// Tells at once what happens to a server's only leg, and after a moment what happens to one of many.
#[derive(Debug)]
pub(super) struct Log {
    has_many: bool,
    /// What is not told yet, and the spans of their legs.
    ended: RefCell<Vec<(Span, Ended)>>,
    some: Notify,
}

impl Log {
    /// Of so many legs.
    pub(super) fn new(legs: usize) -> Self {
        Self {
            has_many: 1 < legs,
            ended: RefCell::default(),
            some: Notify::new(),
        }
    }

    /// An attempt has ended.
    pub(super) fn ended(&self, ended: Ended) {
        self.ended.borrow_mut().push((Span::current(), ended));
        if self.has_many {
            self.some.notify_one();
        } else {
            self.tell();
        }
    }

    /// Tells what has happened, again and again.
    pub(super) async fn tend(&self) -> Infallible {
        let real = Clock::system();
        loop {
            self.some.notified().await;
            real.sleep(TOGETHER).await;
            self.tell();
        }
    }

    /// Tells what has happened.
    pub(super) fn tell(&self) {
        for (span, ended) in alike(self.ended.take()) {
            let _of_its_leg = (ended.len() == 1).then(|| span.enter());
            let Some(first) = ended.first() else { continue };
            let words = words(&ended);
            match (first.alarm, ended.len()) {
                (Some(kind), 1) => alarm!(kind, first.leg, "{words}"),
                (Some(kind), _) => alarm!(kind, first.leg.server, "{words}"),
                (None, _) => tracing::warn!("{words}"),
            }
        }
    }
}

/// Those that ended in the same way, together, each with the span of its first.
fn alike(all: Vec<(Span, Ended)>) -> Vec<(Span, Vec<Ended>)> {
    let mut groups: Vec<(Span, Vec<Ended>)> = Vec::new();
    for (span, ended) in all {
        let is_alike = |of: &&mut (Span, Vec<Ended>)| {
            let first = of.1.first();
            first.is_some_and(|first| {
                (&first.words, first.alarm, first.why) == (&ended.words, ended.alarm, ended.why)
            })
        };
        match groups.iter_mut().find(is_alike) {
            Some((_, group)) => group.push(ended),
            None => groups.push((span, vec![ended])),
        }
    }
    groups
}

/// `the response ended after 5 lines; next attempt in 250 ms (network)`; of several legs
/// `partitions 1-20: the response ended; next attempts in 2 s to 31 s (network)`
fn words(ended: &[Ended]) -> String {
    let waits = || ended.iter().map(|one| one.wait_ms);
    let legs = || ended.iter().map(|one| &one.leg);
    match ended {
        [] => String::new(),
        [one] => {
            let lines = one.lines.map_or_else(String::new, |lines| {
                format!(" after {}", plural(lines, "line", "lines"))
            });
            let (wait, why) = (duration(one.wait_ms), one.why);
            format!("{}{lines}; next attempt in {wait} ({why})", one.words)
        }
        [first, ..] => {
            let wait = |ms: Option<i64>| duration(ms.unwrap_or(0));
            let (least, most) = (wait(waits().min()), wait(waits().max()));
            let wait = if least == most {
                least
            } else {
                format!("{least} to {most}")
            };
            let mut partitions: Vec<Partition> = legs().filter_map(|leg| leg.partition).collect();
            partitions.sort_unstable();
            let partitions = Partition::words(&partitions);
            let (what, why) = (&first.words, first.why);
            format!("{partitions}: {what}; next attempts in {wait} ({why})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_many_legs_at_once_is_one_line() {
        let ended = |leg: &str, words: &str, lines, wait_ms| Ended {
            leg: leg.parse().unwrap(),
            words: words.to_owned(),
            lines,
            alarm: None,
            wait_ms,
            why: Why::Network,
        };
        let all = [
            ended("1.03", "the response ended", Some(7), 250),
            ended("1.02", "connection refused", None, 605_000),
            ended("1.01", "the response ended", Some(1), 2_530),
            ended("1.20", "the response ended", Some(0), 2_000),
        ];
        let all = all.into_iter().map(|one| (Span::none(), one)).collect();
        let told: Vec<String> = alike(all).iter().map(|(_, of)| words(of)).collect();
        let expected = [
            "partitions 1, 3, 20: the response ended; next attempts in 250 ms to 2.5 s (network)",
            "connection refused; next attempt in 10 min (network)",
        ];
        assert_eq!(told, expected);
        let one = ended("1", "the response ended", Some(1), 16_000);
        let expected = "the response ended after 1 line; next attempt in 16 s (network)";
        assert_eq!(words(&[one]), expected);
    }
}
