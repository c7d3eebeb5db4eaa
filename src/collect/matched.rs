//! Which rules brought the posts: one that the platform has not told of is a reason to ask for the rules at once.

use std::{cell::RefCell, collections::BTreeSet};

use tokio::sync::Notify;

/// Ids that no answer has told are remembered up to here: they cost memory, and one is enough to ask.
const UNKNOWN_MAX: usize = 1_000;

/// The ids of rules that posts and answers name.
#[derive(Default)]
pub(super) struct Matched {
    /// Those that need no further question; `None` before the first answer.
    known: RefCell<Option<BTreeSet<String>>>,
    unknown: RefCell<BTreeSet<String>>,
    is_unknown: Notify,
}

impl Matched {
    /// Posts name these.
    pub(super) fn saw(&self, ids: BTreeSet<String>) {
        let known = self.known.borrow();
        let Some(known) = known.as_ref() else {
            // whoever waits for the first answer has asked
            return;
        };
        let mut unknown = self.unknown.borrow_mut();
        for id in ids {
            if !known.contains(&id) && unknown.len() < UNKNOWN_MAX && unknown.insert(id) {
                self.is_unknown.notify_one();
            }
        }
    }

    /// An answer names these. Of an id that it does not name although it was asked for, a further one would not tell more:
    /// the rule is gone again.
    pub(super) fn told<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        let mut known: BTreeSet<String> = ids.map(str::to_owned).collect();
        known.append(&mut self.unknown.borrow_mut());
        *self.known.borrow_mut() = Some(known);
    }

    /// Waits until posts name a rule that no answer has told.
    pub(super) async fn unknown(&self) {
        self.is_unknown.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_rule_is_one_reason_to_ask() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        let is_asked = async |matched: &Matched| {
            tokio::select! {
                biased;
                () = matched.unknown() => true,
                () = std::future::ready(()) => false,
            }
        };
        let matched = Matched::default();
        matched.saw(ids(&["1"]));
        assert!(!is_asked(&matched).await, "nothing has been answered yet");
        matched.told(["1"].into_iter());
        matched.saw(ids(&["1"]));
        assert!(!is_asked(&matched).await);
        matched.saw(ids(&["1", "2"]));
        matched.saw(ids(&["2"]));
        assert!(is_asked(&matched).await);
        assert!(!is_asked(&matched).await, "once");
        matched.told(["1"].into_iter());
        matched.saw(ids(&["2"]));
        assert!(!is_asked(&matched).await, "it is gone again");
        matched.saw((0..5_000).map(|id| format!("x{id}")).collect());
        assert!(is_asked(&matched).await);
        assert_eq!(matched.unknown.borrow().len(), UNKNOWN_MAX);
    }
}
