//! Parses a line into an event, or the reason why it is not one.

use std::borrow::Cow;

use super::{
    name::{Commit, Name, is_collection, is_did, is_rkey},
    reject, tid,
};
use crate::{
    period::{NotATime, UtcMs},
    source::{
        Placed, Rejected,
        json::{self, NotJson, Object, Reader},
        key::{Key, number},
    },
};

/// How much later than the instant at which the endpoint saw it an event's time may be (clocks differ; relays refuse
/// more) …
const AHEAD_MS_MAX: i64 = 5 * 60_000;

/// … and how much earlier. Without a limit, a forged revision could reopen any past hour.
const BEHIND_MS_MAX: i64 = 24 * 3_600_000;

/// An event is not under way for longer than this before the endpoint sees it: if its time is earlier, its author's
/// server has another time, was away, or lies.
const UNDER_WAY_MS_MAX: i64 = 60_000;

/// An event whose time is later than the endpoint's is evidence of a second that nobody has seen yet. Servers whose
/// clocks are kept right differ by less than this.
const CLOCKS_APART_MS_MAX: i64 = 1_000;

/// Times that an event can have, in milliseconds since 1970: 2022 to the end of 2199.
const POSSIBLE: std::ops::Range<i64> = 1_640_995_200_000..7_258_118_400_000;

/// An event; what it says borrows from the line where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event<'a> {
    /// What names it, and its time.
    pub(super) placed: Placed,
    /// Whose it is.
    pub(super) did: Cow<'a, str>,
    /// The whole of it, as it stands in the line.
    pub(super) object: Object<'a>,
    /// What it says.
    pub(super) what: EventContent<'a>,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EventContent<'a> {
    Commit(Change<'a>),
    Identity(AccountEvent<'a>),
    Account(AccountEvent<'a>),
}

/// A commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change<'a> {
    /// All of it, as JSON.
    pub(super) json: &'a str,
    pub(super) rev: Cow<'a, str>,
    pub(super) operation: Cow<'a, str>,
    pub(super) collection: Cow<'a, str>,
    pub(super) rkey: Cow<'a, str>,
    pub(super) cid: Cow<'a, str>,
    /// The record, as JSON.
    pub(super) record: &'a str,
}

/// An account event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AccountEvent<'a> {
    /// All of it, as JSON.
    pub(super) json: &'a str,
    pub(super) seq: Cow<'a, str>,
    pub(super) time: Cow<'a, str>,
    pub(super) handle: Cow<'a, str>,
    pub(super) active: Cow<'a, str>,
    pub(super) status: Cow<'a, str>,
}

/// A line before it is known what it says.
#[derive(Default)]
struct Envelope<'a> {
    did: Cow<'a, str>,
    kind: Cow<'a, str>,
    time_us: Cow<'a, str>,
    commit: Change<'a>,
    identity: AccountEvent<'a>,
    account: AccountEvent<'a>,
}

fn text(line: &[u8]) -> Result<&str, Rejected> {
    simdutf8::basic::from_utf8(line).map_err(|_not_utf8| Rejected::NOT_JSON)
}

/// The whole event.
pub(super) fn event(line: &[u8]) -> Result<Event<'_>, Rejected> {
    let mut envelope = Envelope::default();
    let object = json::object(text(line)?, |name, value| envelope.take(name, value))?;
    let placed = envelope.placed()?;
    envelope.event(placed, object)
}

/// What names it, and its time.
pub(super) fn place(line: &[u8]) -> Result<Placed, Rejected> {
    let mut envelope = Envelope::default();
    json::read(text(line)?, |name, value| envelope.take(name, value))?;
    envelope.placed()
}

/// When the endpoint saw an event, in µs since 1970. It is near the event's beginning, and the rest is not read.
pub(super) fn seen_us(line: &[u8]) -> Option<i64> {
    let mut found = None;
    let text = simdutf8::basic::from_utf8(line).ok()?;
    let _the_rest = json::read(text, |name, value| {
        if name == "time_us" {
            found = number(&value.cell()?).and_then(|us| i64::try_from(us).ok());
            return Err(NotJson);
        }
        value.value().map(drop)
    });
    found
}

/// Whose event a line is, if it says so.
pub(super) fn author(line: &[u8]) -> Option<Cow<'_, str>> {
    let mut did = Cow::Borrowed("");
    let read = json::read(text(line).ok()?, |name, value| {
        if name == "did" {
            did = value.cell()?;
        } else {
            value.value()?;
        }
        Ok(())
    });
    read.ok()?;
    Some(did).filter(|did| is_did(did))
}

/// Whether the endpoint saw an event, in ms since 1970, when that happened.
fn is_prompt(seen_ms: i64, at: UtcMs) -> bool {
    (-CLOCKS_APART_MS_MAX..=UNDER_WAY_MS_MAX).contains(&seen_ms.saturating_sub(at.0))
}

impl<'a> Envelope<'a> {
    /// The last of several members with one name counts, so each one starts over.
    fn take(&mut self, name: &str, value: &mut Reader<'a>) -> Result<(), NotJson> {
        match name {
            "did" => self.did = value.cell()?,
            "kind" => self.kind = value.cell()?,
            "time_us" => self.time_us = value.cell()?,
            "commit" => self.commit = Change::read(value)?,
            "identity" => self.identity = AccountEvent::read(value)?,
            "account" => self.account = AccountEvent::read(value)?,
            _ => drop(value.value()?),
        }
        Ok(())
    }

    fn placed(&self) -> Result<Placed, Rejected> {
        if !is_did(&self.did) {
            return Err(reject::NO_DID);
        }
        let (key, at) = match &*self.kind {
            "commit" => self.commit.placed(&self.did)?,
            "identity" => self.identity.placed(&self.did, "identity")?,
            "account" => self.account.placed(&self.did, "account")?,
            _ => return Err(reject::UNKNOWN_KIND),
        };
        let at_endpoint = number(&self.time_us).ok_or(reject::NO_TIME)?;
        let witnessed = i64::try_from(at_endpoint / 1_000).unwrap_or(i64::MAX);
        let earliest = witnessed.saturating_sub(BEHIND_MS_MAX);
        let latest = witnessed.saturating_add(AHEAD_MS_MAX);
        if !POSSIBLE.contains(&at.0) || !(earliest..=latest).contains(&at.0) {
            return Err(reject::OUT_OF_RANGE);
        }
        Ok(Placed {
            key,
            at,
            is_timed: true,
            is_prompt: is_prompt(witnessed, at),
        })
    }

    fn event(self, placed: Placed, object: Object<'a>) -> Result<Event<'a>, Rejected> {
        let what = match &*self.kind {
            "commit" => EventContent::Commit(self.commit),
            "identity" => EventContent::Identity(self.identity),
            "account" => EventContent::Account(self.account),
            _ => return Err(reject::UNKNOWN_KIND),
        };
        Ok(Event {
            placed,
            did: self.did,
            object,
            what,
        })
    }
}

impl<'a> Change<'a> {
    fn read(value: &mut Reader<'a>) -> Result<Self, NotJson> {
        let mut change = Self::default();
        let begin = value.clone();
        value.members(|name, value| {
            match name {
                "rev" => change.rev = value.cell()?,
                "operation" => change.operation = value.cell()?,
                "collection" => change.collection = value.cell()?,
                "rkey" => change.rkey = value.cell()?,
                "cid" => change.cid = value.cell()?,
                "record" => change.record = value.value()?,
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        change.json = begin.up_to(value);
        Ok(change)
    }

    /// What names it, in whose repository it is.
    pub(super) fn name<'s>(&'s self, did: &'s str) -> Commit<'s> {
        Commit {
            did,
            collection: &self.collection,
            rkey: &self.rkey,
            rev: &self.rev,
            is_delete: self.operation == "delete",
        }
    }

    fn placed(&self, did: &str) -> Result<(Key, UtcMs), Rejected> {
        let is_one = is_collection(&self.collection)
            && is_rkey(&self.rkey)
            && ["create", "update", "delete"].contains(&&*self.operation);
        if !is_one {
            return Err(reject::BAD_COMMIT);
        }
        let at = tid::time(&self.rev).ok_or(reject::BAD_REV)?;
        Ok((self.name(did).key(), at))
    }
}

impl<'a> AccountEvent<'a> {
    fn read(value: &mut Reader<'a>) -> Result<Self, NotJson> {
        let mut told = Self::default();
        let begin = value.clone();
        value.members(|name, value| {
            match name {
                "seq" => told.seq = value.cell()?,
                "time" => told.time = value.cell()?,
                "handle" => told.handle = value.cell()?,
                "active" => told.active = value.cell()?,
                "status" => told.status = value.cell()?,
                _ => drop(value.value()?),
            }
            Ok(())
        })?;
        told.json = begin.up_to(value);
        Ok(told)
    }

    fn placed(&self, did: &str, kind: &str) -> Result<(Key, UtcMs), Rejected> {
        let seq = number(&self.seq).ok_or(reject::NO_SEQ)?;
        let at = self.time.parse();
        let at = at.map_err(|_not_a_time: NotATime| reject::NO_TIME)?;
        Ok((Name::Account(did, kind, seq).key(), at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: i64 = 1_783_175_888_085;

    #[track_caller]
    fn check(line: &str, expected: Result<(&str, &str), Rejected>) {
        let found = event(line.as_bytes()).map(|event| event.placed);
        let found = found.map(|placed| (placed.key.to_string(), placed.at.to_string()));
        let expected = expected.map(|(key, at)| (key.to_owned(), at.to_owned()));
        assert_eq!(found, expected, "{line}");
        let placed =
            place(line.as_bytes()).map(|placed| (placed.key.to_string(), placed.at.to_string()));
        assert_eq!(placed, expected, "{line}");
    }

    fn commit(rev: &str, operation: &str) -> String {
        format!(
            r#"{{"did":"did:plc:a","time_us":{SEEN}434,"kind":"commit","commit":{{"rev":"{rev}","operation":"{operation}","collection":"app.bsky.feed.post","rkey":"3k"}}}}"#
        )
    }

    fn told(kind: &str, member: &str) -> String {
        format!(
            r#"{{"did":"did:plc:a","time_us":{SEEN}434,"cursor":9,"kind":"{kind}","{kind}":{{"did":"did:plc:a",{member}}}}}"#
        )
    }

    const REV: &str = "3mptbypluud2a";
    const AT: &str = "2026-07-04T14:38:07.514Z";

    #[test]
    fn every_event_has_a_name_and_a_time() {
        let key = "did:plc:a/app.bsky.feed.post/3k@3mptbypluud2a";
        check(&commit(REV, "create"), Ok((key, AT)));
        check(&commit(REV, "update"), Ok((key, AT)));
        check(&commit(REV, "delete"), Ok((&format!("{key}#delete"), AT)));
        let time = r#""seq":31527015400,"time":"2026-07-04T14:39:13.987654321Z""#;
        let at = "2026-07-04T14:39:13.987Z";
        check(
            &told("identity", time),
            Ok(("did:plc:a#identity/31527015400", at)),
        );
        check(
            &told("account", time),
            Ok(("did:plc:a#account/31527015400", at)),
        );
        // the last of several members counts, wherever it stands
        let twice = commit(REV, "create").replacen('{', r#"{"kind":"x","commit":7,"did":[],"#, 1);
        check(&twice, Ok((key, AT)));
    }

    #[test]
    fn what_is_no_event_says_why() {
        let line = commit(REV, "create");
        check(&line[..line.len() - 1], Err(Rejected::NOT_JSON));
        check("[]", Err(reject::NO_DID));
        check(&line.replace("did:plc:a", "plc:a"), Err(reject::NO_DID));
        check(
            &line.replace("\"commit\",", "\"sync\","),
            Err(reject::UNKNOWN_KIND),
        );
        check(
            &line.replace("\"commit\":{", "\"x\":{"),
            Err(reject::BAD_COMMIT),
        );
        check(&commit(REV, "move"), Err(reject::BAD_COMMIT));
        check(&line.replace("\"3k\"", "\"a/b\""), Err(reject::BAD_COMMIT));
        check(&line.replace("\"3k\"", "\"a@b\""), Err(reject::BAD_COMMIT));
        check(&line.replace(".feed", "/feed"), Err(reject::BAD_COMMIT));
        check(&commit("3mptbypluud2", "create"), Err(reject::BAD_REV));
        check(
            &line.replace("\"time_us\":", "\"time\":"),
            Err(reject::NO_TIME),
        );
        check(&line.replace("434,", "434.5,"), Err(reject::NO_TIME));
        let time = r#""time":"2026-07-04T14:39:13Z""#;
        check(&told("identity", time), Err(reject::NO_SEQ));
        check(
            &told("account", &format!(r#""seq":-1,{time}"#)),
            Err(reject::NO_SEQ),
        );
        check(
            &told("account", r#""seq":1,"time":"soon""#),
            Err(reject::NO_TIME),
        );
    }

    proptest::proptest! {
        /// What is prompt was there when it was seen: it covers no second that was still to come, but for what clocks differ.
        #[test]
        fn a_prompt_event_tells_of_no_second_to_come(off_ms in -BEHIND_MS_MAX..=AHEAD_MS_MAX) {
            let at = UtcMs(SEEN + off_ms);
            let placed = place(commit(&tid::first_of(at), "create").as_bytes()).unwrap();
            proptest::prop_assert_eq!(placed.is_prompt, (-60_000..=1_000).contains(&off_ms));
            if placed.is_prompt {
                proptest::prop_assert!(placed.at.second() <= UtcMs(SEEN).second() + 1);
            }
        }
    }

    #[test]
    fn a_time_is_near_the_instant_at_which_the_endpoint_saw_it() {
        for (off_ms, is_near) in [
            (AHEAD_MS_MAX, true),
            (AHEAD_MS_MAX + 1, false),
            (-BEHIND_MS_MAX, true),
            (-BEHIND_MS_MAX - 1, false),
        ] {
            let at = UtcMs(SEEN + off_ms);
            for line in [
                commit(&tid::first_of(at), "create"),
                told("identity", &format!(r#""seq":1,"time":"{at}""#)),
            ] {
                let found = event(line.as_bytes()).map(|event| event.placed.at);
                let expected = if is_near {
                    Ok(at)
                } else {
                    Err(reject::OUT_OF_RANGE)
                };
                assert_eq!(found, expected, "{off_ms}");
            }
        }
        // not even where the endpoint's clock says so
        for time_us in ["1", "18446744073709551615", "9223372036854775807"] {
            let line = commit("2222222222222", "create").replace(&format!("{SEEN}434"), time_us);
            check(&line, Err(reject::OUT_OF_RANGE));
        }
    }
}
