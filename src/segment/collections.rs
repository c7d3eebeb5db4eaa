//! The collections that a server requests, where a platform sends only those that are named.

use serde::{Deserialize, Serialize};

/// What a list that names nothing requests.
pub const ALL: &str = "all collections";

/// Names of collections, or the beginnings of names with a `*`; a list that names nothing requests all. In one order, so
/// that two servers request the same exactly if their lists are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Collections(Box<[String]>);

impl From<Vec<String>> for Collections {
    fn from(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self(names.into())
    }
}

impl From<Collections> for Vec<String> {
    fn from(list: Collections) -> Self {
        list.0.into()
    }
}

impl Collections {
    /// What it requests, name by name.
    pub fn names(&self) -> Vec<&str> {
        if self.0.is_empty() {
            return vec![ALL];
        }
        self.0.iter().map(String::as_str).collect()
    }

    /// The same in one line.
    pub fn words(&self) -> String {
        self.names().join(", ")
    }

    /// Whether it requests all that one of the [`names`](Self::names) of a list stands for.
    pub fn has_all_of(&self, name: &str) -> bool {
        let stands_for = |one: &String| match one.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == one,
        };
        self.0.is_empty() || self.0.iter().any(stands_for)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn list(names: &str) -> Collections {
        let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        names.into()
    }

    #[test]
    fn the_order_of_a_list_makes_no_difference() {
        assert_eq!(list("a.b.d a.b.c"), list("a.b.c a.b.d"));
        let json = serde_json::to_string(&list("a.b.d a.b.c")).unwrap();
        assert_eq!(json, r#"["a.b.c","a.b.d"]"#);
        let read: Collections = serde_json::from_str(r#"["a.b.d","a.b.c"]"#).unwrap();
        assert_eq!(read, list("a.b.c a.b.d"));
    }

    #[test]
    fn a_beginning_stands_for_all_that_begins_so_and_no_name_for_everything() {
        for (asked, name, has) in [
            ("a.b.c", "a.b.c", true),
            ("a.b.c", "a.b.cd", false),
            ("a.b.c", "a.b.*", false),
            ("a.b.*", "a.b.c", true),
            ("a.b.*", "a.b.c.d", true),
            ("a.*", "a.b.*", true),
            ("a.b.*", "a.*", false),
            ("a.b.*", "a.bc", false),
            ("x.y.z a.b.*", "a.b.c", true),
            ("a.b.*", ALL, false),
            ("", ALL, true),
            ("", "a.b.c", true),
        ] {
            assert_eq!(list(asked).has_all_of(name), has, "{asked:?} {name}");
        }
        assert_eq!(list("").words(), ALL);
        assert_eq!(list("a.b.d a.b.c").words(), "a.b.c, a.b.d");
    }
}
