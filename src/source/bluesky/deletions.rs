//! How Bluesky reports deletions: commits that delete, and account events.

use super::{
    account::{AccountLine, standing},
    event,
    lines::Bluesky,
    name::{Commit, Name, POSTS},
    tid,
    torn::{dids, said},
};
use crate::{
    period::UtcMs,
    source::{
        Deletions,
        deletions::{DeletionLine, Names, Version},
        key::Key,
    },
};

impl Deletions for Bluesky {
    fn version<'k>(&self, key: &'k Key) -> Option<Version<'k>> {
        match Name::of(key)? {
            Name::Commit(commit) if !commit.is_delete => Some(Version {
                record: commit.uri(),
                revision: commit.rev,
                at: tid::time(commit.rev)?,
                account: commit.did,
            }),
            Name::Commit(_) | Name::Account(..) => None,
        }
    }

    fn told<'l>(&self, line: &'l str) -> Option<DeletionLine<'l>> {
        if let Some(commit) = Commit::of_line(line, true) {
            let (record, revision) = line.split_once('\t')?;
            let at = tid::time(commit.rev)?;
            return Some(DeletionLine::Record {
                record,
                revision,
                at,
            });
        }
        let line = AccountLine::read(line)?;
        Some(DeletionLine::Account {
            account: line.did,
            at: line.at,
            number: line.seq,
            standing: standing(line.status),
        })
    }

    fn account_of(&self, record: &str) -> Option<Key> {
        // of any revision
        let line = format!("{record}\t2222222222222");
        Commit::of_line(&line, false).map(|commit| commit.did.into())
    }

    fn made(&self, record: &str) -> Option<UtcMs> {
        let (_, rkey) = record.rsplit_once('/')?;
        tid::time(rkey)
    }

    /// A whole event says whose it is; a torn one may be anybody's whom it names.
    fn names_in(&self, line: &[u8]) -> Names {
        let mut names = Names::default();
        let accounts: Vec<String> = match event::author(line) {
            Some(did) => vec![did.into_owned()],
            None => dids(line).map(str::to_owned).collect(),
        };
        for did in &accounts {
            for rkey in said(line, "rkey") {
                let mut collections: Vec<&str> = said(line, "collection").collect();
                if collections.is_empty() {
                    collections.push(POSTS);
                }
                let records = collections
                    .iter()
                    .map(|collection| format!("at://{did}/{collection}/{rkey}"));
                names.records.extend(records);
            }
        }
        names.accounts = accounts;
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{
        bluesky::{
            account::{account_line, listed},
            event::AccountEvent as Event,
        },
        deletions::AccountStatus,
    };

    #[test]
    fn lines_tell_what_became_of_records_and_accounts() {
        let at: UtcMs = "2026-07-04T14:39:13.987Z".parse().unwrap();
        let line = |active: &str, status: &str| {
            let told = Event {
                active: active.to_owned().into(),
                status: status.to_owned().into(),
                seq: "31".into(),
                ..Event::default()
            };
            account_line("did:plc:a", at, &told)
        };
        for (active, status, written, expected) in [
            ("true", "", "active", AccountStatus::Active),
            ("true", "deleted", "active", AccountStatus::Active),
            ("false", "deleted", "deleted", AccountStatus::Gone),
            ("false", "takendown", "takendown", AccountStatus::Gone),
            ("false", "deactivated", "deactivated", AccountStatus::Away),
            ("false", "suspended", "suspended", AccountStatus::Away),
            ("false", "a new word", "inactive", AccountStatus::Away),
            ("false", "newword", "newword", AccountStatus::Away),
            ("false", "active", "inactive", AccountStatus::Away),
            ("false", "", "inactive", AccountStatus::Away),
            (
                "false",
                "desynchronized",
                "desynchronized",
                AccountStatus::Unchanged,
            ),
            ("", "deleted", "unknown", AccountStatus::Unchanged),
        ] {
            let line = line(active, status);
            let whole = format!("did:plc:a\t31\t2026-07-04T14:39:13.987Z\t{written}");
            assert_eq!(line, whole);
            let account = "did:plc:a";
            let told = DeletionLine::Account {
                account,
                at,
                number: 31,
                standing: expected,
            };
            assert_eq!(Bluesky.told(&line), Some(told), "{line}");
            let listed = listed(&line).unwrap();
            assert_eq!(
                (listed.key.to_string().as_str(), listed.at),
                ("did:plc:a#account/31", Some(at))
            );
        }
        let line = "at://did:plc:a/app.bsky.feed.post/3mptbyoeyc22k\t3mptbypluud2a";
        let at = tid::time("3mptbypluud2a").unwrap();
        let (record, revision) = line.split_once('\t').unwrap();
        let told = DeletionLine::Record {
            record,
            revision,
            at,
        };
        assert_eq!(Bluesky.told(line), Some(told));
        assert_eq!(Bluesky.made(record), tid::time("3mptbyoeyc22k"));
        for wrong in [
            "did:plc:a\t031\t2026-07-04T14:39:13.987Z\tdeleted",
            "did:plc:a\t31\t2026-07-04T14:39:13Z\tdeleted",
            "did:plc:a\t31\t2026-07-04T14:39:13.987Z\tdeleted\t",
            "did:plc:a\t31\t2026-07-04T14:39:13.987Z\t",
            "plc:a\t31\t2026-07-04T14:39:13.987Z\tdeleted",
        ] {
            assert!(
                Bluesky.told(wrong).is_none() && listed(wrong).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_line_that_is_no_event_names_its_record_and_whose_it_may_be() {
        let line = r#"{"did":"did:plc:a","kind":"commit","commit":{"rev":"x","operation":"create","collection":"app.bsky.feed.post","rkey":"3k","record":{"text":"t","reply":{"uri":"at://did:plc:b/app.bsky.feed.post/3j"}}}}"#;
        let names = Bluesky.names_in(line.as_bytes());
        assert_eq!(names.records, ["at://did:plc:a/app.bsky.feed.post/3k"]);
        assert_eq!(names.accounts, ["did:plc:a"]);
        let torn = Bluesky.names_in(&line.as_bytes()[..line.len() - 1]);
        assert_eq!(torn.accounts, ["did:plc:a", "did:plc:b"]);
        assert!(
            torn.records
                .contains(&"at://did:plc:a/app.bsky.feed.post/3k".to_owned())
        );
        assert_eq!(Bluesky.names_in(b"\xff{}"), Names::default());
    }
}
