//! What became of an account, as a line of `deletions.txt`; and which event any line of that file names.
//!
//! ```text
//! at://did:plc:abc/app.bsky.feed.post/3mptbyoeyc22k TAB 3mptbypzzz722
//! did:plc:abc TAB 31527015400 TAB 2026-07-04T14:39:13.987Z TAB takendown
//! ```

use super::{
    event::AccountEvent,
    name::{Commit, Name},
    tid,
};
use crate::{
    period::UtcMs,
    source::{Listed, deletions::AccountStatus, key::number},
};

/// What an active account has in place of a status, …
const ACTIVE: &str = "active";
/// … one that is not there and does not say why, …
const INACTIVE: &str = "inactive";
/// … and one of which it is not said whether it is there.
const UNKNOWN: &str = "unknown";

const STATUS_LEN_MAX: usize = 64;

fn is_status(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=STATUS_LEN_MAX).contains(&text.len()) && text.bytes().all(may)
}

/// The line of an account event.
pub(super) fn account_line(did: &str, at: UtcMs, told: &AccountEvent<'_>) -> String {
    let status = match &*told.active {
        "true" => ACTIVE,
        "false" if is_status(&told.status) && told.status != ACTIVE => &told.status,
        "false" => INACTIVE,
        _ => UNKNOWN,
    };
    format!("{did}\t{}\t{at}\t{status}", told.seq)
}

/// Such a line, if it is exactly as it is written.
pub(super) struct AccountLine<'l> {
    pub(super) did: &'l str,
    pub(super) seq: u64,
    pub(super) at: UtcMs,
    pub(super) status: &'l str,
}

impl<'l> AccountLine<'l> {
    pub(super) fn read(line: &'l str) -> Option<Self> {
        let mut cells = line.split('\t');
        let (did, seq, time, status) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
        let name = format!("{did}#account/{seq}");
        let at: UtcMs = time.parse().ok()?;
        let is_one = cells.next().is_none()
            && Name::read(&name).is_some()
            && at.to_string() == time
            && is_status(status);
        is_one.then_some(Self {
            did,
            seq: number(seq)?,
            at,
            status,
        })
    }
}

/// The event that a line of `deletions.txt` names.
pub(super) fn listed(line: &str) -> Option<Listed> {
    let (key, at) = if let Some(commit) = Commit::of_line(line, true) {
        (commit.key(), tid::time(commit.rev)?)
    } else {
        let line = AccountLine::read(line)?;
        (Name::Account(line.did, "account", line.seq).key(), line.at)
    };
    Some(Listed {
        key,
        at: Some(at),
        is_timed: true,
        is_whole: true,
    })
}

pub(super) fn standing(status: &str) -> AccountStatus {
    match status {
        ACTIVE => AccountStatus::Active,
        "deleted" | "takendown" => AccountStatus::Gone,
        // a server has fallen behind, or is kept from sending too much
        "desynchronized" | "throttled" | UNKNOWN => AccountStatus::Unchanged,
        // `deactivated`, `suspended`, and whatever word comes next
        _ => AccountStatus::Away,
    }
}
