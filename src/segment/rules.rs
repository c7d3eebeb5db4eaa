//! The rules by which a platform chooses what a stream brings, as it told them: what they are, and the hash by which
//! two lists of them are compared.
//!
//! A rule's value decides which posts it matches, and its tag names it; its id is new each time it is added. So the
//! hash is that of values and tags alone, in an order and a spelling of its own: two servers, and the configuration,
//! have the same rules exactly if they have the same hash, however the platform arranges its list and sets its
//! spaces.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::sha256::Sha256;
use crate::period::UtcMs;

/// A rule in force.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// What it lets through, in the platform's language.
    pub value: String,
    /// The tag that its author gave it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// The platform's id of it; empty for one that is only wanted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl Rule {
    /// What identifies it: the same rule has a new id each time it is added.
    pub fn value_and_tag(&self) -> (Cow<'_, str>, &str) {
        (spelled(&self.value), self.tag.trim())
    }
}

/// A value in the one spelling in which values are compared: without white space at its ends, and with a single space
/// between its parts. Between quotes, every character counts.
pub fn spelled(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    let mut spelled = String::with_capacity(value.len());
    let mut is_quoted = false;
    for character in value.chars() {
        is_quoted ^= character == '"';
        if is_quoted || !character.is_whitespace() {
            spelled.push(character);
        } else if !spelled.ends_with(' ') {
            spelled.push(' ');
        }
    }
    if spelled == value {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(spelled)
    }
}

/// What a server knows of the rules in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRules {
    /// When the platform last told them.
    pub at: UtcMs,
    /// The hash of those.
    pub sha256: Sha256,
    /// The hash of those that this server's configuration has.
    pub configured: Sha256,
}

impl KnownRules {
    /// Whether the rules in force are those of the configuration.
    pub fn is_as_configured(&self) -> bool {
        self.sha256 == self.configured
    }
}

/// The hash of values and tags, in whatever order they come.
pub fn hash(rules: &[Rule]) -> Sha256 {
    let mut pairs: Vec<(Cow<'_, str>, &str)> = rules.iter().map(Rule::value_and_tag).collect();
    pairs.sort_unstable();
    Sha256::of(&serde_json::to_vec(&pairs).unwrap_or_default())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(value: &str, tag: &str, id: &str) -> Rule {
        Rule {
            value: value.to_owned(),
            tag: tag.to_owned(),
            id: id.to_owned(),
        }
    }

    #[test]
    fn the_hash_is_that_of_values_and_tags() {
        let both = [rule("a", "x", "1"), rule("b", "", "2")];
        let again = [rule("b", "", ""), rule("a", "x", "7")];
        assert_eq!(hash(&both), hash(&again));
        for other in [
            [rule("a", "y", "1"), rule("b", "", "2")],
            [rule("a", "", "1"), rule("b", "x", "2")],
            [rule("ax", "", "1"), rule("b", "", "2")],
            [rule("a", "x", "1"), rule("a", "x", "2")],
        ] {
            assert_ne!(hash(&both), hash(&other), "{other:?}");
        }
        for same in ["cat  lang:en", " cat lang:en", "cat\u{a0}lang:en\t"] {
            let (one, other) = (rule("cat lang:en", "x", ""), rule(same, " x", "1"));
            assert_eq!(hash(&[one]), hash(&[other]), "{same:?}");
        }
        for other in ["catlang:en", "cat \"lang:en\"", "cat Lang:en"] {
            let (one, other) = (rule("cat lang:en", "", ""), rule(other, "", ""));
            assert_ne!(hash(&[one]), hash(&[other]));
        }
        let quoted = ["\"a b\"  c", "\"a  b\"  c", "\"a b\" c"];
        assert_eq!(
            quoted.map(|value| spelled(value).into_owned()),
            ["\"a b\" c", "\"a  b\" c", "\"a b\" c"]
        );
        assert_eq!(
            hash(&[]).to_string(),
            "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
            "of []"
        );
    }
}
