//! Judges whole runs of uncovered seconds of a server, from the causes of the single seconds.
//!
//! Seconds are judged one by one, with two clocks and what was under way; a run that ends where it
//! began to be seen has causes of a second or two at its edges that explain nothing. And a silence
//! does not become another one because something happens to another server meanwhile.

use super::{cause::Cause, reason::Reason, seconds};

/// A part of a run that is shorter belongs to a longer one beside it: posts come as late as that
/// after a connection was made, and attempts that fail take as long.
const SPLINTER_S: usize = 5;

/// What was said of one uncovered second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondCause {
    /// Something kept the server from receiving.
    Down(Reason),
    /// It was connected, and nobody has the second; whether all others that ran were connected too.
    Silent {
        /// None of them was kept from receiving.
        by_all: bool,
    },
    /// It was connected and got nothing, while others did, or may have.
    Stalled,
    /// It was connected, bytes came all the time, and others have the second.
    Unknown,
}

/// A part of a run with one cause: where it begins, how many seconds it has.
#[derive(Debug)]
struct Part {
    begin: usize,
    seconds: usize,
    cause: Cause,
}

impl Part {
    /// Whether a shorter part may belong to it. What is late is not known; and nothing may be called
    /// silent that somebody else may have.
    const fn may_grow(&self) -> bool {
        !matches!(
            self.cause,
            Cause::Late | Cause::UpstreamSilence | Cause::Unknown
        )
    }
}

/// Why each second of an hour is not covered; `None` for those that are.
pub fn reasons(seconds: &[i64], whys: &[Option<SecondCause>]) -> Vec<Option<Reason>> {
    let mut reasons: Vec<Option<Reason>> = vec![None; whys.len()];
    let places: Vec<usize> = (0..whys.len())
        .filter(|place| whys.get(*place).is_some_and(Option::is_some))
        .collect();
    for run in seconds::runs(seconds, &places) {
        let Some((first, last)) = run.first().zip(run.last()) else {
            continue;
        };
        let (Some(whys), Some(of_run)) =
            (whys.get(*first..=*last), reasons.get_mut(*first..=*last))
        else {
            continue;
        };
        told(whys, of_run);
        // a part at an edge of the hour may be longer than it is seen to be
        let is_cut = (*first == 0, last + 1 == seconds.len());
        join(of_run, is_cut);
    }
    reasons
}

/// The reason of each second of a run. A silence has one cause from its begin to its end.
fn told(whys: &[Option<SecondCause>], reasons: &mut [Option<Reason>]) {
    let is_silent = |why: &Option<SecondCause>| matches!(why, Some(SecondCause::Silent { .. }));
    let mut rest = reasons.iter_mut();
    for alike in whys.chunk_by(|a, b| is_silent(a) == is_silent(b)) {
        let proves =
            |why: &Option<SecondCause>| matches!(why, Some(SecondCause::Silent { by_all: true }));
        let is_proved = alike.iter().any(proves);
        for (why, reason) in alike.iter().zip(&mut rest) {
            *reason = why.as_ref().map(|why| match why {
                SecondCause::Down(reason) => reason.clone(),
                SecondCause::Silent { .. } if is_proved => Reason::new(Cause::UpstreamSilence, ""),
                SecondCause::Silent { .. } | SecondCause::Stalled => Reason::still_connected(),
                SecondCause::Unknown => Reason::new(Cause::Unknown, ""),
            });
        }
    }
}

fn parts(reasons: &[Option<Reason>]) -> Vec<Part> {
    let cause = |reason: &Option<Reason>| reason.as_ref().map(|reason| reason.cause);
    let mut begin = 0;
    let mut parts = Vec::new();
    for alike in reasons.chunk_by(|a, b| cause(a) == cause(b)) {
        if let Some(cause) = alike.first().and_then(cause) {
            parts.push(Part {
                begin,
                seconds: alike.len(),
                cause,
            });
        }
        begin += alike.len();
    }
    parts
}

/// Gives splinters, the shortest first, to the longer part beside them; and what bytes came in of
/// all the time to what then broke the connection: it was under way longer than posts usually are.
fn join(reasons: &mut [Option<Reason>], (is_cut_before, is_cut_after): (bool, bool)) {
    loop {
        let parts = parts(reasons);
        let last = parts.len().saturating_sub(1);
        let is_splinter = |number: usize, part: &Part| {
            let is_whole = !(number == 0 && is_cut_before || number == last && is_cut_after);
            part.cause == Cause::Unknown
                || part.cause != Cause::Late && part.seconds < SPLINTER_S && is_whole
        };
        let beside = |number: usize, part: &Part| -> Option<usize> {
            let before = number.checked_sub(1).and_then(|n| parts.get(n));
            let before = before.filter(|part| part.may_grow());
            let after = parts.get(number + 1).filter(|part| part.may_grow());
            let is_unknown = part.cause == Cause::Unknown;
            let taker = match (before, after) {
                (Some(before), Some(after)) if is_unknown || before.seconds < after.seconds => {
                    after
                }
                (Some(taker), _) | (None, Some(taker)) => taker,
                (None, None) => return None,
            };
            let is_shorter = is_unknown || part.seconds <= taker.seconds;
            let place = if taker.begin < part.begin {
                part.begin - 1
            } else {
                taker.begin
            };
            is_shorter.then_some(place)
        };
        let takers = parts.iter().enumerate();
        let takers = takers.filter(|(number, part)| is_splinter(*number, part));
        let takers = takers.filter_map(|(n, part)| Some((part, beside(n, part)?)));
        let Some((part, taker)) = takers.min_by_key(|(part, _)| (part.seconds, part.begin)) else {
            return;
        };
        let reason = reasons.get(taker).cloned().flatten();
        if let Some(seconds) = reasons.get_mut(part.begin..part.begin + part.seconds) {
            seconds.fill(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds as letters → their causes as letters.
    #[track_caller]
    fn check(whys: &str, expected: &str) {
        let cause = |letter: char| match letter {
            'n' => Cause::Network,
            'r' => Cause::Refused,
            'x' => Cause::NotRunning,
            'l' => Cause::Late,
            _ => panic!("{letter}"),
        };
        let why = |letter: char| match letter {
            '.' => None,
            'u' => Some(SecondCause::Unknown),
            'S' => Some(SecondCause::Silent { by_all: true }),
            's' => Some(SecondCause::Silent { by_all: false }),
            't' => Some(SecondCause::Stalled),
            _ => Some(SecondCause::Down(Reason::new(cause(letter), ""))),
        };
        let letter = |reason: Option<Reason>| match reason.map(|reason| reason.cause) {
            None => '.',
            Some(Cause::Network) => 'n',
            Some(Cause::Refused) => 'r',
            Some(Cause::NotRunning) => 'x',
            Some(Cause::Late) => 'l',
            Some(Cause::UpstreamSilence) => 'S',
            Some(Cause::Stall) => 't',
            Some(_) => 'u',
        };
        let seconds: Vec<i64> = (0..).take(whys.len()).collect();
        let found = reasons(&seconds, &whys.chars().map(why).collect::<Vec<_>>());
        let found: String = found.into_iter().map(letter).collect();
        assert_eq!(found, expected, "{whys}");
    }

    #[test]
    fn splinters_belong_to_what_lies_beside_them() {
        check(".xxxxxxxxnrrn.", ".xxxxxxxxxxxx.");
        check(".xxxxxxnnnnnn.", ".xxxxxxnnnnnn.");
        check(".xnrn.", ".nnnn.");
        check(".xnnnnnnn.", ".nnnnnnnn.");
        // cut by the hour
        check("xnnnnnnn.", "xnnnnnnn.");
        check(".nnnnnnnx", ".nnnnnnnx");
        // what is late is not known, and nothing is called silent that somebody else may have
        check(".nnllllll.", ".nnllllll.");
        check(".llnnnnnn.", ".llnnnnnn.");
        check(".xxxSSSSSSSSS.", ".xxxSSSSSSSSS.");
        check(".xxxxxxSS.", ".xxxxxxxx.");
        check(".uuuuuuuuunn.", ".nnnnnnnnnnn.");
        check(".nnuuuuuuuuu.", ".nnnnnnnnnnn.");
        check(".uuu.", ".uuu.");
    }

    #[test]
    fn a_silence_has_one_cause() {
        check(".sssssSssssss.", ".SSSSSSSSSSSS.");
        check(".ssssss.SS.", ".tttttt.SS.");
        check(".ssssssttttttSSSSSS.", ".ttttttttttttSSSSSS.");
    }
}
