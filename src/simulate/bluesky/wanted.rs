//! What a client asks for: in the address, and later in messages.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    happened::{Breadth, HappenedKind},
    instance::Piece,
    world::POSTS,
};
use crate::simulate::ask::decode;

const COLLECTIONS_MAX: usize = 100;
const DIDS_MAX: usize = 10_000;

/// Which events a client gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::simulate) struct Wanted {
    collections: Vec<String>,
    dids: BTreeSet<String>,
    /// Longer events are left out; 0 is no limit.
    max_message_bytes: usize,
}

/// All that a request for a stream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    pub(super) cursor: Option<i64>,
    pub(super) compress: bool,
    pub(super) hello: bool,
}

impl Asked {
    /// Reads the query; `Err` is what a refusal says.
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        let (mut collections, mut dids) = (Vec::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value);
            match decode(name).as_str() {
                "wantedCollections" => collections.push(value),
                "wantedDids" => dids.push(value),
                // what is no number is no limit
                "maxMessageSizeBytes" => {
                    asked.wanted.max_message_bytes = value.parse().unwrap_or(0);
                }
                "cursor" if value.is_empty() => (),
                "cursor" => match i64::from_str(&value) {
                    Ok(cursor) => asked.cursor = Some(cursor),
                    Err(error) => return Err(format!("invalid cursor: {value}: {error}")),
                },
                "compress" => asked.compress = value == "true",
                "requireHello" => asked.hello = value == "true",
                _ => (),
            }
        }
        let max_message_bytes = asked.wanted.max_message_bytes;
        asked.wanted = Wanted::new(collections, dids, max_message_bytes)?;
        Ok(asked)
    }
}

impl Wanted {
    fn new(
        collections: Vec<String>,
        dids: Vec<String>,
        max_message_bytes: usize,
    ) -> Result<Self, String> {
        if COLLECTIONS_MAX < collections.len() {
            let many = collections.len();
            return Err(format!(
                "too many wanted collections: {many} > {COLLECTIONS_MAX}"
            ));
        }
        if DIDS_MAX < dids.len() {
            return Err(format!("too many wanted DIDs: {} > {DIDS_MAX}", dids.len()));
        }
        if let Some(wrong) = collections.iter().find(|one| !is_collection(one)) {
            return Err(format!("invalid collection: {wrong}"));
        }
        if let Some(wrong) = dids.iter().find(|one| !is_did(one)) {
            return Err(format!("invalid DID: {wrong}"));
        }
        Ok(Self {
            collections,
            dids: dids.into_iter().collect(),
            max_message_bytes,
        })
    }

    /// Reads a client's message: `Ok(None)` if it is of a type that nobody knows, `Err` ends the connection.
    pub(super) fn of_message(text: &str) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        struct Message {
            r#type: String,
            payload: Option<serde_json::Value>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[derive(Default)]
        struct Payload {
            wanted_collections: Option<Vec<String>>,
            wanted_dids: Option<Vec<String>>,
            max_message_size_bytes: i64,
        }
        let message: Message = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
        if message.r#type != "options_update" {
            return Ok(None);
        }
        let payload = message
            .payload
            .ok_or("an options_update without a payload")?;
        let payload: Payload =
            serde_json::from_value(payload).map_err(|wrong| wrong.to_string())?;
        let max_message_bytes = usize::try_from(payload.max_message_size_bytes).unwrap_or(0);
        let wanted = Self::new(
            payload.wanted_collections.unwrap_or_default(),
            payload.wanted_dids.unwrap_or_default(),
            max_message_bytes,
        )?;
        Ok(Some(wanted))
    }

    /// How much of what happens can be wanted.
    pub(super) fn breadth(&self) -> Breadth {
        let posts_only = self.collections.iter().all(|one| one == POSTS);
        if posts_only && !self.collections.is_empty() {
            Breadth::Posts
        } else {
            Breadth::All
        }
    }

    /// Whether an event is wanted. What happens to accounts always is.
    pub(super) fn wants(&self, piece: &Piece) -> bool {
        let event = piece.event();
        let HappenedKind::Commit { collection, .. } = &event.what else {
            return true;
        };
        let in_collections = self.collections.is_empty()
            || self
                .collections
                .iter()
                .any(|one| match one.strip_suffix('*') {
                    Some(prefix) => collection.starts_with(prefix),
                    None => one == collection,
                });
        in_collections && (self.dids.is_empty() || self.dids.contains(&event.did))
    }

    /// Whether a message of that length is short enough.
    pub(super) const fn takes(&self, bytes: usize) -> bool {
        self.max_message_bytes == 0 || bytes <= self.max_message_bytes
    }
}

/// An NSID, or the first parts of one with `.*` behind them.
fn is_collection(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match text.strip_suffix(".*") {
        Some(prefix) => prefix.split('.').all(is_part),
        None => 3 <= text.split('.').count() && text.split('.').all(is_part),
    }
}

fn is_did(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    parts.next() == Some("did")
        && parts.next().is_some_and(|method| !method.is_empty())
        && parts.next().is_some_and(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(query: &str, message: &str) {
        let found = Asked::read(query).unwrap_err();
        assert!(found.contains(message), "{found}");
    }

    #[test]
    fn a_query_is_read_as_the_server_does() {
        let asked = Asked::read(
            "wantedCollections=app.bsky.feed.post&wantedCollections=app.bsky.graph.*\
            &wantedDids=did%3Aplc%3Aabc&maxMessageSizeBytes=x&cursor=1795442400000000&compress=true&other=1",
        )
        .unwrap();
        assert_eq!(
            asked.wanted.collections,
            ["app.bsky.feed.post", "app.bsky.graph.*"]
        );
        assert!(asked.wanted.dids.contains("did:plc:abc"));
        assert_eq!(asked.wanted.max_message_bytes, 0);
        assert_eq!(asked.cursor, Some(1_795_442_400_000_000));
        assert!(asked.compress && !asked.hello);
        assert_eq!(Asked::read(""), Ok(Asked::default()));
        check_refused("wantedCollections=app.bsky.fee*", "invalid collection");
        check_refused("wantedCollections=posts", "invalid collection");
        check_refused("wantedCollections=", "invalid collection");
        check_refused("wantedDids=plc:abc", "invalid DID");
        check_refused("cursor=yesterday", "invalid cursor");
        check_refused(&"wantedCollections=a.b.c&".repeat(101), "too many");
    }

    #[test]
    fn a_message_replaces_all_options_or_ends_the_connection() {
        let update = r#"{"type":"options_update","payload":{"wantedCollections":["a.b.c"],"maxMessageSizeBytes":9}}"#;
        let wanted = Wanted::of_message(update).unwrap().unwrap();
        assert_eq!(wanted.collections, ["a.b.c"]);
        assert!(wanted.takes(9) && !wanted.takes(10));
        assert_eq!(Wanted::of_message(r#"{"type":"other"}"#), Ok(None));
        for wrong in [
            "hello",
            r#"{"type":"options_update"}"#,
            r#"{"type":"options_update","payload":{"wantedCollections":["posts"]}}"#,
            r#"{"type":"options_update","payload":{"wantedDids":"did:plc:abc"}}"#,
        ] {
            assert!(Wanted::of_message(wrong).is_err(), "{wrong}");
        }
    }
}
