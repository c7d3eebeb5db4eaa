//! What is taken out of an hour, on request or because it was deleted, when its raw data is gone: which of its servers' lines that
//! were. Pure.
//!
//! A row says who received its post, and how often in all. Where it was received more often than by
//! each of them once, and by several, the row does not say whose the further copies were: they are
//! shared out so that each server's books balance.

use std::collections::{BTreeMap, BTreeSet};

use crate::vault::manifest::ByWord;

/// What was taken out of the rows and the rejected lines of a former revision.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TakenOut {
    /// Posts.
    pub posts: u64,
    /// Lines of each server (by its number) that were certainly its own.
    lines: BTreeMap<usize, u64>,
    /// Further copies: the servers that have received the post, ascending, and how many.
    further: Vec<(Vec<usize>, u64)>,
}

/// What is taken out of the former revision.
#[derive(Debug, Default)]
pub struct Out {
    /// On request: the books forget these lines.
    pub redacted: TakenOut,
    /// What was deleted: the books keep its lines apart.
    pub deleted: TakenOut,
    /// Of that, records by why they are.
    pub whys: ByWord,
    /// The seconds of the posts that each server (by its number) had received.
    pub lost: Lost,
}

/// For each server, by its number: the seconds of posts that it has received and that are not listed, because they were
/// taken out or are held back. So much is known of them: that something came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost(BTreeMap<usize, BTreeSet<i64>>);

impl Lost {
    /// One more post.
    pub fn post(&mut self, servers: impl IntoIterator<Item = usize>, second: i64) {
        for server in servers {
            self.0.entry(server).or_default().insert(second);
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        for (server, seconds) in other.0 {
            self.0.entry(server).or_default().extend(seconds);
        }
    }

    /// For each of so many servers.
    pub fn of_servers(mut self, servers: usize) -> Vec<BTreeSet<i64>> {
        let of_server = |server: usize| self.0.remove(&server).unwrap_or_default();
        (0..servers).map(of_server).collect()
    }
}

/// What the former revision has of a server, and what is here of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Lines that the segments that are still here have lost by this request: these at least were its.
    pub lost_here: u64,
    /// Further copies that it had received.
    pub duplicates: u64,
}

/// What a server loses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Lines.
    pub lines: u64,
    /// Of these, further copies of a post.
    pub duplicates: u64,
}

impl TakenOut {
    /// Takes a row out that stands for so many copies.
    pub fn row(&mut self, seen_by: &[usize], copies: u64) {
        self.posts += 1;
        for server in seen_by {
            self.rejected(*server);
        }
        let further = copies.saturating_sub(seen_by.len() as u64);
        if 0 < further {
            self.further.push((seen_by.to_vec(), further));
        }
    }

    /// Takes a line out that is not a post.
    pub fn rejected(&mut self, server: usize) {
        *self.lines.entry(server).or_default() += 1;
    }

    /// What each server loses. Copies whose server is not said go to one that received the post: first
    /// where a segment is known to have lost more, then where further copies were counted.
    pub fn shares(&self, known: &[Known]) -> Vec<Loss> {
        let of_server = |number| Loss {
            lines: self.lines.get(&number).copied().unwrap_or(0),
            duplicates: 0,
        };
        let mut shares: Vec<Loss> = (0..known.len()).map(of_server).collect();
        let mut further: Vec<&(Vec<usize>, u64)> = self.further.iter().collect();
        // where there is no choice first
        further.sort_by_key(|(seen_by, _)| seen_by.len());
        let all: Vec<usize> = (0..known.len()).collect();
        for (seen_by, copies) in further {
            let mut left = *copies;
            let passes = [(seen_by, true), (seen_by, false), (&all, false)];
            let tries = passes.iter().flat_map(|(servers, only_lost)| {
                servers.iter().map(move |server| (*server, *only_lost))
            });
            for (server, only_lost) in tries {
                if let (Some(share), Some(known)) = (shares.get_mut(server), known.get(server)) {
                    left -= share.take(left, known, only_lost);
                }
            }
        }
        shares
    }
}

impl Loss {
    /// Takes of further copies what there is room for, or only what is known to be lost: how many.
    fn take(&mut self, copies: u64, known: &Known, only_lost: bool) -> u64 {
        let mut room = known.duplicates.saturating_sub(self.duplicates);
        if only_lost {
            room = room.min(known.lost_here.saturating_sub(self.lines));
        }
        let taken = room.min(copies);
        self.lines += taken;
        self.duplicates += taken;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(taken: &TakenOut, known: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let known: Vec<Known> = known
            .iter()
            .map(|&(lost_here, duplicates)| Known {
                lost_here,
                duplicates,
            })
            .collect();
        let shares = taken.shares(&known);
        shares.iter().map(|s| (s.lines, s.duplicates)).collect()
    }

    #[test]
    fn further_copies_go_where_there_is_no_choice_then_where_lines_are_missing_then_where_some_were()
     {
        let mut taken = TakenOut::default();
        taken.row(&[0, 1], 3);
        taken.row(&[0], 2);
        taken.rejected(1);
        assert_eq!(taken.posts, 2);
        // the second one is the first server's; so the first one must be the second server's
        assert_eq!(shares(&taken, &[(0, 1), (0, 1)]), [(3, 1), (3, 1)]);
        assert_eq!(shares(&taken, &[(0, 9), (0, 9)]), [(4, 2), (2, 0)]);
        // a segment of the second server that is here has lost three lines
        assert_eq!(shares(&taken, &[(0, 9), (3, 9)]), [(3, 1), (3, 1)]);
        assert_eq!(shares(&TakenOut::default(), &[(0, 9)]), [(0, 0)]);
    }
}
