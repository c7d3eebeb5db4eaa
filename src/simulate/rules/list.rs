//! The rules of the filtered stream: an app's list, and the API's answers to requests that read or change it.
//!
//! From X's pages (github.com/xdevplatform/docs: x-api/posts/filtered-stream/introduction, x-api/fundamentals/rate-limits; OpenAPI
//! 2.166) and from captures of clients; docs/simulate.md says which.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    super::{answer::Answer, chance::mix, feed::Piece},
    rule::{Expression, Post},
};
use crate::period::UtcMs;

/// Where they are.
pub(in crate::simulate) const PATH: &str = "/2/tweets/search/stream/rules";

/// A longer body is refused.
pub(in crate::simulate) const BODY_BYTES_MAX: usize = 4 << 20;

/// The longest rule, on pay-per-use.
const VALUE_CHARS_MAX: usize = 1_024;

/// Rules in one answer.
const PAGE_RULES: usize = 1_000;

/// Rules that an app may have, on pay-per-use.
pub(in crate::simulate) const RULES_MAX: usize = 1_000;

/// Requests for the list in 15 minutes.
pub(in crate::simulate) const READS_MAX: u32 = 450;

/// Requests that change it in 15 minutes.
pub(in crate::simulate) const CHANGES_MAX: u32 = 100;

/// A rule of the app.
#[derive(Debug, Clone, Serialize)]
pub(in crate::simulate) struct Rule {
    id: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip)]
    expression: Expression,
}

/// The rules of the app.
#[derive(Debug)]
pub(in crate::simulate) struct Rules {
    seed: u64,
    list: Vec<Rule>,
    /// How many there have ever been.
    made: u64,
    most: usize,
}

/// An answer: its status and body.
pub(in crate::simulate) type Said = (u16, Value);

impl Rules {
    pub(in crate::simulate) const fn new(seed: u64, most: usize) -> Self {
        Self {
            seed,
            list: Vec::new(),
            made: 0,
            most,
        }
    }

    pub(in crate::simulate) fn all(&self) -> &[Rule] {
        &self.list
    }

    /// The piece as a stream by these rules gets it, if it matches one.
    pub(in crate::simulate) fn matching(&self, piece: &Piece) -> Option<Piece> {
        let post = Post::of(&piece.bytes)?;
        let matching = self
            .list
            .iter()
            .filter(|rule| rule.expression.matches(&post));
        let named: Vec<Value> = matching
            .map(|rule| match &rule.tag {
                Some(tag) => json!({"id": rule.id, "tag": tag}),
                None => json!({"id": rule.id}),
            })
            .collect();
        if named.is_empty() {
            return None;
        }
        let inside = piece.bytes.strip_suffix(b"}\r\n")?;
        let mut bytes = inside.to_vec();
        bytes.extend_from_slice(
            format!(",\"matching_rules\":{}}}\r\n", Value::from(named)).as_bytes(),
        );
        Some(Piece {
            bytes: Bytes::from(bytes),
            ..piece.clone()
        })
    }

    /// Answers a request for the list.
    pub(in crate::simulate) fn read(&self, query: &str, now: UtcMs) -> Result<Said, Answer> {
        let mut most = PAGE_RULES;
        let mut from = 0;
        let mut ids: Option<Vec<&str>> = None;
        for (name, value) in pairs(query) {
            let number = value.parse::<usize>();
            match (name, number) {
                ("max_results", Ok(number @ 1..=PAGE_RULES)) => most = number,
                ("pagination_token", _) => {
                    let place = value.strip_prefix("simulated").map(str::parse::<usize>);
                    let Some(Ok(place)) = place else {
                        return Err(wrong(name, value, "is not a token"));
                    };
                    from = place;
                }
                ("ids", _) => ids = Some(value.split(',').collect()),
                _ => return Err(wrong(name, value, "is not valid")),
            }
        }
        let is_wanted = |rule: &&Rule| {
            ids.as_ref()
                .is_none_or(|ids| ids.contains(&rule.id.as_str()))
        };
        let all: Vec<&Rule> = self.list.iter().filter(is_wanted).collect();
        let page: Vec<&Rule> = all.iter().copied().skip(from).take(most).collect();
        let mut meta = json!({"sent": now.to_string(), "result_count": page.len()});
        let next = from + page.len();
        if next < all.len() {
            meta["next_token"] = Value::from(format!("simulated{next}"));
        }
        // an app without rules gets no `data`
        let mut said = json!({"meta": meta});
        if !page.is_empty() {
            said["data"] = json!(page);
        }
        Ok((200, said))
    }

    /// Answers a request to change the list.
    pub(in crate::simulate) fn change(
        &mut self,
        query: &str,
        body: &[u8],
        now: UtcMs,
    ) -> Result<Said, Answer> {
        let mut is_dry = false;
        for (name, value) in pairs(query) {
            match (name, value) {
                ("dry_run", "true" | "false") => is_dry = value == "true",
                _ => return Err(wrong(name, value, "is not valid")),
            }
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (add, delete) = (body.get("add"), body.get("delete"));
        match (add.and_then(Value::as_array), delete) {
            (Some(add), None) => self.add(add, is_dry, now),
            (None, Some(delete)) => self.delete(delete, is_dry, now),
            _ => Err(wrong("add", "", "needs either `add` or `delete`")),
        }
    }

    /// Takes a rule in, or says why not.
    fn take(&mut self, value: &str, tag: Option<&str>) -> Result<Rule, Value> {
        let problem = |title: &str, suffix: &str| {
            json!({"value": value, "title": title,
                "type": format!("https://api.twitter.com/2/problems/{suffix}")})
        };
        if let Some(known) = self.list.iter().find(|known| known.value == value) {
            let mut error = problem("DuplicateRule", "duplicate-rules");
            error["id"] = json!(known.id);
            return Err(error);
        }
        let chars = value.chars().count();
        let read = if VALUE_CHARS_MAX < chars {
            Err(format!(
                "Rule '{value}' has {chars} characters; at most {VALUE_CHARS_MAX} are allowed"
            ))
        } else {
            Expression::read(value)
        };
        let expression = read.map_err(|why| {
            let mut error = problem("UnprocessableEntity", "invalid-rules");
            error["details"] = json!([why]);
            error
        })?;
        self.made += 1;
        let drawn = mix(self.seed ^ self.made) % 100_000_000_000_000_000;
        let rule = Rule {
            id: (1_700_000_000_000_000_000 + drawn).to_string(),
            value: value.to_owned(),
            tag: tag.map(str::to_owned),
            expression,
        };
        self.list.push(rule.clone());
        Ok(rule)
    }

    fn add(&mut self, add: &[Value], is_dry: bool, now: UtcMs) -> Result<Said, Answer> {
        let (mut created, mut errors) = (Vec::new(), Vec::new());
        let before = (self.list.len(), self.made);
        for rule in add {
            let text = |key: &str| rule.get(key).and_then(Value::as_str);
            let Some(value) = text("value") else {
                return Err(wrong("add[].value", "", "is missing"));
            };
            match self.take(value, text("tag")) {
                Ok(rule) => created.push(rule),
                Err(error) => errors.push(error),
            }
        }
        let most = self.most;
        let is_beyond = most < self.list.len();
        if is_dry || is_beyond {
            self.list.truncate(before.0);
            self.made = before.1;
        }
        if is_beyond {
            return Err(Answer::RulesCap(most));
        }
        let count = (created.len(), errors.len());
        let mut said = json!({"meta": {"sent": now.to_string(), "summary": {
            "created": count.0, "not_created": count.1, "valid": count.0, "invalid": count.1}}});
        if !created.is_empty() {
            said["data"] = json!(created);
        }
        if !errors.is_empty() {
            said["errors"] = Value::from(errors);
        }
        // if nothing is added and some rule is invalid, the status is another; duplicates alone make no difference
        let mut is_none = said["errors"].as_array().into_iter().flatten();
        let is_none = is_none.any(|error| error["title"] == "UnprocessableEntity");
        let is_refused = count.0 == 0 && is_none;
        Ok((if is_refused { 400 } else { 201 }, said))
    }

    fn delete(&mut self, delete: &Value, is_dry: bool, now: UtcMs) -> Result<Said, Answer> {
        let ids = delete.get("ids").and_then(Value::as_array);
        let Some(ids) = ids else {
            return Err(wrong("delete.ids", "", "is missing"));
        };
        let ids: Vec<&str> = ids.iter().filter_map(Value::as_str).collect();
        let before = self.list.clone();
        let mut errors = Vec::new();
        let mut deleted = 0;
        for one in &ids {
            let place = self.list.iter().position(|rule| rule.id == **one);
            if let Some(place) = place {
                self.list.remove(place);
                deleted += 1;
            } else {
                errors.push(
                    json!({"errors": [{"message": "Rule does not exist", "parameters": {}}],
                    "title": "Invalid Request", "value": one,
                    "detail": "One or more parameters to your request was invalid.",
                    "type": "https://api.twitter.com/2/problems/invalid-request"}),
                );
            }
        }
        if is_dry {
            self.list = before;
        }
        let mut said = json!({"meta": {"sent": now.to_string(), "summary": {
            "deleted": deleted, "not_deleted": errors.len()}}});
        if !errors.is_empty() {
            said["errors"] = Value::from(errors);
        }
        Ok((200, said))
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn wrong(parameter: &str, value: &str, why: &str) -> Answer {
    Answer::InvalidRequest {
        parameter: parameter.to_owned(),
        value: value.to_owned(),
        message: format!("The `{parameter}` query parameter value [{value}] {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UtcMs = UtcMs(1_795_442_709_123);

    fn add(rules: &mut Rules, query: &str, values: &[(&str, &str)]) -> Said {
        let list: Vec<Value> = values
            .iter()
            .map(|(value, tag)| json!({"value": value, "tag": tag}))
            .collect();
        let body = json!({"add": list}).to_string();
        rules.change(query, body.as_bytes(), NOW).unwrap()
    }

    fn values(rules: &Rules) -> Vec<String> {
        rules.all().iter().map(|rule| rule.value.clone()).collect()
    }

    #[test]
    fn rules_are_added_one_by_one_and_read_in_pages() {
        let mut rules = Rules::new(7, 3);
        let (status, said) = rules.read("", NOW).unwrap();
        assert_eq!(
            (status, said.get("data"), &said["meta"]["result_count"]),
            (200, None, &json!(0))
        );
        let (status, said) = add(&mut rules, "dry_run=true", &[("cat", "x")]);
        assert_eq!(
            (status, &said["meta"]["summary"]["created"]),
            (201, &json!(1))
        );
        assert!(rules.all().is_empty(), "dry");
        let some = [
            ("cat", "x"),
            ("(dog", "y"),
            ("cat", "z"),
            ("dog", "y"),
            ("cow ", ""),
        ];
        let (status, said) = add(&mut rules, "", &some);
        assert_eq!(status, 201);
        assert_eq!(
            values(&rules),
            ["cat", "dog", "cow "],
            "as they were written"
        );
        let titles: Vec<&str> = said["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["title"].as_str().unwrap())
            .collect();
        assert_eq!(titles, ["UnprocessableEntity", "DuplicateRule"]);
        assert_eq!(said["meta"]["summary"]["not_created"], 2);
        assert_eq!(
            add(&mut rules, "", &[("cat", "x")]).0,
            201,
            "a duplicate alone"
        );
        assert_eq!(add(&mut rules, "", &[("(hen", "")]).0, 400);
        let one_more = br#"{"add":[{"value":"hen"}]}"#;
        let refused = rules.change("", one_more, NOW).unwrap_err();
        assert!(
            refused.body().contains("RulesCapExceeded"),
            "{}",
            refused.body()
        );
        assert_eq!(rules.all().len(), 3, "it is refused whole");
        let (_, first) = rules.read("max_results=2", NOW).unwrap();
        let token = first["meta"]["next_token"].as_str().unwrap();
        let (_, second) = rules
            .read(&format!("max_results=2&pagination_token={token}"), NOW)
            .unwrap();
        assert_eq!(
            (
                first["data"][1]["value"].as_str(),
                second["data"][0]["value"].as_str()
            ),
            (Some("dog"), Some("cow "))
        );
        assert_eq!(second["meta"].get("next_token"), None);
        assert!(rules.read("max_results=0", NOW).is_err());
        assert!(rules.change("", b"{}", NOW).is_err());
    }

    #[test]
    fn rules_are_taken_away_by_their_ids() {
        let mut rules = Rules::new(7, 10);
        add(&mut rules, "", &[("cat", ""), ("dog", "")]);
        let of_cat = rules.all()[0].id.clone();
        let body = json!({"delete": {"ids": [of_cat, "1"]}}).to_string();
        let (status, said) = rules.change("", body.as_bytes(), NOW).unwrap();
        let summary = &said["meta"]["summary"];
        assert_eq!(
            (status, &summary["deleted"], &summary["not_deleted"]),
            (200, &json!(1), &json!(1))
        );
        assert_eq!(values(&rules), ["dog"]);
    }

    #[test]
    fn a_post_comes_with_the_rules_that_it_matches() {
        let mut rules = Rules::new(7, 10);
        add(
            &mut rules,
            "",
            &[
                ("cat", "cats"),
                ("dog", "dogs"),
                ("cat lang:en", "english cats"),
            ],
        );
        let piece = |text: &str| Piece {
            at: NOW,
            id: Some(1),
            bytes: Bytes::from(format!(
                "{{\"data\":{{\"id\":\"1\",\"text\":\"{text}\",\"lang\":\"en\"}}}}\r\n"
            )),
        };
        assert_eq!(rules.matching(&piece("a cow")), None);
        let found = rules.matching(&piece("a cat")).unwrap();
        let line: Value = serde_json::from_slice(&found.bytes).unwrap();
        let tags: Vec<&str> = line["matching_rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["tag"].as_str().unwrap())
            .collect();
        assert_eq!(tags, ["cats", "english cats"]);
        assert!(found.bytes.ends_with(b"}\r\n"));
    }
}
