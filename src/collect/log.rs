//! Tells the log what happens to legs. What happens to many legs of a server at once is one line.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use tokio::sync::Notify;
use tracing::Span;

use crate::{
    alarm::AlarmKind,
    segment::{
        event::WaitReason,
        name::{Leg, Partition},
    },
    text::{duration, plural},
    world::clock::Clock,
};

/// How long it may take until the same has happened to all legs, in real time.
const TOGETHER: Duration = Duration::from_millis(800);

/// What has happened to a leg.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) leg: Leg,
    /// What, in a few words.
    pub(super) words: String,
    /// What has to be done about it, if something has.
    pub(super) alarm: Option<AlarmKind>,
    /// If an attempt has ended: the lines that it had brought, if it was a stream.
    pub(super) lines: Option<u64>,
    /// When the next one is made, and why not sooner.
    pub(super) next: Option<(i64, WaitReason)>,
}

/// Tells at once what happens to a server's only leg, and after a moment what happens to one of many.
#[derive(Debug)]
pub(super) struct Log {
    has_many: bool,
    /// What is not told yet, and the spans of their legs.
    happened: RefCell<Vec<(Span, Happened)>>,
    some: Notify,
}

impl Log {
    /// Of so many legs.
    pub(super) fn new(legs: usize) -> Self {
        Self {
            has_many: 1 < legs,
            happened: RefCell::default(),
            some: Notify::new(),
        }
    }

    /// Something has happened to a leg.
    pub(super) fn happened(&self, happened: Happened) {
        let span = Span::current();
        self.happened.borrow_mut().push((span, happened));
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
        for (span, happened) in alike(self.happened.take()) {
            let _of_its_leg = (happened.len() == 1).then(|| span.enter());
            let Some(first) = happened.first() else {
                continue;
            };
            let words = words(&happened);
            match (first.alarm, happened.len()) {
                (Some(kind), 1) => alarm!(kind, first.leg, "{words}"),
                (Some(kind), _) => alarm!(kind, first.leg.server, "{words}"),
                (None, _) => tracing::warn!("{words}"),
            }
        }
    }
}

/// The same that has happened to several legs, together, each with the span of its first. What happens to a leg once
/// more is told once more.
fn alike(all: Vec<(Span, Happened)>) -> Vec<(Span, Vec<Happened>)> {
    let mut groups: Vec<(Span, Vec<Happened>)> = Vec::new();
    for (span, one) in all {
        let why = |of: &Happened| of.next.map(|(_, why)| why);
        let is_alike = |of: &&mut (Span, Vec<Happened>)| {
            let is_other = of.1.iter().all(|other| other.leg != one.leg);
            let first = of.1.first().filter(|_| is_other);
            first.is_some_and(|first| {
                (&first.words, first.alarm, why(first)) == (&one.words, one.alarm, why(&one))
            })
        };
        match groups.iter_mut().find(is_alike) {
            Some((_, group)) => group.push(one),
            None => groups.push((span, vec![one])),
        }
    }
    groups
}

/// `the response ended after 5 lines; next attempt in 250 ms (network)`; of several legs
/// `partitions 1-20: the response ended; next attempts in 2 s to 31 s (network)`
fn words(of: &[Happened]) -> String {
    let [first, others @ ..] = of else {
        return String::new();
    };
    let waits = || of.iter().filter_map(|one| Some(one.next?.0));
    let wait = |ms: Option<i64>| match ms.unwrap_or(0) {
        0 => "at once".to_owned(),
        ms => format!("in {}", duration(ms)),
    };
    let (least, most) = (wait(waits().min()), wait(waits().max()));
    let waits = if least == most {
        least
    } else {
        format!("{least} to {}", most.trim_start_matches("in "))
    };
    let next = first.next.map_or_else(String::new, |(_, why)| {
        let attempt = if others.is_empty() {
            "attempt"
        } else {
            "attempts"
        };
        format!("; next {attempt} {waits} ({why})")
    });
    if others.is_empty() {
        let lines = first.lines.map_or_else(String::new, |lines| {
            format!(" after {}", plural(lines, "line", "lines"))
        });
        return format!("{}{lines}{next}", first.words);
    }
    let mut partitions: Vec<Partition> = of.iter().filter_map(|one| one.leg.partition).collect();
    partitions.sort_unstable();
    format!("{}: {}{next}", Partition::words(&partitions), first.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_to_many_legs_at_once_is_one_line() {
        let happened = |leg: &str, words: &str, lines, wait_ms: Option<i64>| Happened {
            leg: leg.parse().unwrap(),
            words: words.to_owned(),
            lines,
            alarm: None,
            next: wait_ms.map(|ms| (ms, WaitReason::Network)),
        };
        let all = [
            happened("1.03", "the response ended", Some(7), Some(0)),
            happened("1.02", "connection refused", None, Some(605_000)),
            happened("1.01", "the response ended", Some(1), Some(2_530)),
            happened("1.03", "the response ended", Some(2), Some(250)),
            happened("1.20", "the response ended", Some(0), Some(2_000)),
            happened("1.03", "posts come again", None, None),
            happened("1.04", "posts come again", None, None),
        ];
        let all = all.into_iter().map(|one| (Span::none(), one)).collect();
        let told: Vec<String> = alike(all).iter().map(|(_, of)| words(of)).collect();
        let expected = [
            "partitions 1, 3, 20: the response ended; next attempts at once to 2.5 s (network)",
            "connection refused; next attempt in 10 min (network)",
            "the response ended after 2 lines; next attempt in 250 ms (network)",
            "partitions 3-4: posts come again",
        ];
        assert_eq!(told, expected);
        let one = happened("1", "the response ended", Some(1), Some(16_000));
        let expected = "the response ended after 1 line; next attempt in 16 s (network)";
        assert_eq!(words(&[one]), expected);
    }
}
