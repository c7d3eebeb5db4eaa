//! The rules of the filtered stream: the requests and answers of the API for reading and changing them, and what has to be changed.
//!
//! An app's rules belong to it and outlive every connection; anyone with the app's token may change them while a
//! stream is up. So the rules are asked for, and never assumed to be those last written.

use std::collections::BTreeSet;

use hyper::header::{self, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::notice;
use crate::{
    segment::{
        rules::{self, Rule},
        sha256::Sha256,
    },
    source::{
        gunzip::decode_short,
        wire::{Ask, AskRules, RULES_PAGE_BYTES_MAX, RulesPage},
    },
    text::one_line,
};

/// Where the rules are.
pub const PATH: &str = "/2/tweets/search/stream/rules";

/// How many rules come in one answer.
const PAGE_RULES: u32 = 1_000;

/// How many rules are added or deleted with one request.
pub const CHANGED_AT_ONCE: usize = 100;

/// How the rules in force are asked for.
pub(super) struct Rules {
    authorization: HeaderValue,
    configured: Sha256,
}

impl Rules {
    pub(super) fn new(configured: &[Rule], authorization: HeaderValue) -> Self {
        Self {
            authorization,
            configured: rules::hash(configured),
        }
    }
}

impl AskRules for Rules {
    fn ask(&self, page: Option<&str>) -> Ask {
        Ask {
            path: page_path(page),
            headers: vec![
                (header::AUTHORIZATION, self.authorization.clone()),
                (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
            ],
        }
    }

    fn read(&self, status: u16, encoding: Option<&str>, body: &[u8]) -> Result<RulesPage, String> {
        read_page(status, &decode_short(encoding, body, RULES_PAGE_BYTES_MAX))
    }

    fn configured(&self) -> Sha256 {
        self.configured
    }
}

/// Path and query of the request for a page of rules.
pub fn page_path(page: Option<&str>) -> String {
    let next = page.map_or_else(String::new, |token| format!("&pagination_token={token}"));
    format!("{PATH}?max_results={PAGE_RULES}{next}")
}

#[derive(Deserialize)]
struct Page {
    data: Option<Vec<Rule>>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    next_token: Option<String>,
}

/// What an answer to a request for rules says.
pub fn read_page(status: u16, body: &[u8]) -> Result<RulesPage, String> {
    if status != 200 {
        let said = notice::read_refusal(status, body).detail;
        return Err(format!("HTTP {status}: {said}"));
    }
    let page = serde_json::from_slice::<Page>(body);
    let page = page.map_err(|why| format!("the answer is not a list of rules: {why}"))?;
    // an app without rules gets `meta` alone
    if page.data.is_none() && page.meta.is_none() {
        return Err(
            "the answer is not a list of rules: it has neither `data` nor `meta`".to_owned(),
        );
    }
    let next = page.meta.and_then(|meta| meta.next_token);
    if let Some(token) = &next
        && !token.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Err("the answer names a next page that cannot be one".to_owned());
    }
    Ok(RulesPage {
        rules: page.data.unwrap_or_default(),
        next,
    })
}

/// The ids of the rules that some lines name as those that they match. A text in a post cannot look like this: its quotes
/// are escaped.
pub(super) fn named(lines: &[u8]) -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct Named {
        id: String,
    }
    const NAME: &[u8] = b"\"matching_rules\"";
    let list = |place: usize| {
        let rest = lines.get(place + NAME.len()..)?.trim_ascii_start();
        let rest = rest.strip_prefix(b":")?;
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Vec<Named>>();
        values.next()?.ok()
    };
    let lists = memchr::memmem::find_iter(lines, NAME).filter_map(list);
    lists.flatten().map(|named| named.id).collect()
}

/// What has to be done so that the rules in force are those that are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Rules that are not in force.
    pub add: Vec<Rule>,
    /// Rules in force that are not wanted.
    pub delete: Vec<Rule>,
    /// Rules that are in force, as they are wanted.
    pub keep: Vec<Rule>,
}

impl Change {
    /// From those in force to those that are wanted.
    pub fn to(wanted: &[Rule], in_force: &[Rule]) -> Self {
        let mut missing: BTreeSet<_> = wanted.iter().map(Rule::value_and_tag).collect();
        let mut change = Self::default();
        for rule in in_force {
            let list = if missing.remove(&rule.value_and_tag()) {
                &mut change.keep
            } else {
                &mut change.delete
            };
            list.push(rule.clone());
        }
        let is_missing = |rule: &&Rule| missing.contains(&rule.value_and_tag());
        change.add = wanted.iter().filter(is_missing).cloned().collect();
        change
    }

    /// Whether nothing has to be done.
    pub fn is_nothing(&self) -> bool {
        self.add.is_empty() && self.delete.is_empty()
    }
}

/// The body of a request that adds rules.
pub fn add_body(rules: &[Rule]) -> Value {
    let rule = |rule: &Rule| match rule.tag.as_str() {
        "" => json!({"value": rule.value}),
        tag => json!({"value": rule.value, "tag": tag}),
    };
    json!({"add": rules.iter().map(rule).collect::<Vec<_>>()})
}

/// The body of a request that takes rules away.
pub fn delete_body(rules: &[Rule]) -> Value {
    let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
    json!({"delete": {"ids": ids}})
}

/// What an answer to a change counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Rules that were added.
    pub created: u64,
    /// Rules that were not.
    pub not_created: u64,
    /// Rules that were taken away.
    pub deleted: u64,
    /// Rules that were not.
    pub not_deleted: u64,
}

/// What an answer to a change says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// What it counts.
    pub summary: Summary,
    /// What is wrong with single rules: which, and what.
    pub errors: Vec<(String, String)>,
}

/// Why an answer to a change reports none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotChanged {
    /// Whether the app would have more rules than it may have.
    pub is_cap: bool,
    /// For a person.
    pub why: String,
}

/// Reads an answer to a change. One in which some rules were refused may have another status than 201, and has done the rest.
pub fn read_changed(status: u16, body: &[u8]) -> Result<Changed, NotChanged> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let summary = answer.pointer("/meta/summary").cloned();
    let summary = summary.and_then(|summary| serde_json::from_value(summary).ok());
    let is_done = (200..300).contains(&status);
    let errors: Vec<(String, String)> = answer
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(error_of)
        .collect();
    match summary {
        Some(summary) => Ok(Changed { summary, errors }),
        None if is_done && answer.get("meta").is_some() => Ok(Changed {
            errors,
            ..Changed::default()
        }),
        None => {
            let said = notice::read_refusal(status, body).detail;
            let kind = answer.get("type").and_then(Value::as_str);
            Err(NotChanged {
                is_cap: kind.is_some_and(|kind| kind.ends_with("/rule-cap")),
                why: format!("HTTP {status}: {said}"),
            })
        }
    }
}

/// Which rule an error is of, and what it says: its title, and whatever more there is in `details` or `detail`. X repeats the
/// rule in them if it is too long: that is left out.
fn error_of(error: &Value) -> (String, String) {
    let text = |key: &str| error.get(key).and_then(Value::as_str);
    let rule = text("value").or_else(|| text("id")).unwrap_or("");
    let mut said: Vec<&str> = text("title").into_iter().collect();
    let details = error.get("details").and_then(Value::as_array);
    said.extend(details.into_iter().flatten().filter_map(Value::as_str));
    if said.len() < 2 {
        said.extend(text("detail").or_else(|| text("message")));
    }
    let mut said = said.join(": ");
    if SHORT_CHARS_MAX < rule.chars().count() {
        said = said.replace(rule, "…");
    }
    (one_line(rule), one_line(&said))
}

/// A longer rule is not repeated.
const SHORT_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fuzz::Fuzz, segment::rules::tests::rule};

    #[test]
    fn a_rule_that_is_too_long_is_not_repeated() {
        let rule = format!("from:{}", "a".repeat(2_000));
        let details = [format!("Rule '{rule}' is too long")];
        let error = json!({"value": rule, "title": "UnprocessableEntity", "details": details});
        let (named, said) = error_of(&error);
        assert_eq!(named, rule);
        assert_eq!(said, "UnprocessableEntity: Rule '…' is too long");
    }

    #[test]
    fn the_rules_that_lines_match_are_read_from_them() {
        let lines = concat!(
            r#"{"data":{"id":"9","text":"\"matching_rules\":[{\"id\":\"8\"}]"},"matching_rules":[{"id":"1","tag":"a ] \"id\""},{"id":"2"}]}"#,
            "\n",
            r#"{"matching_rules" : [{"id":"3","tag":""}],"data":{"id":"7"}}"#,
            "\n",
            r#"{"data":{"id":"6"},"matching_rules":[{"id":"#,
        );
        let ids: Vec<String> = named(lines.as_bytes()).into_iter().collect();
        assert_eq!(ids, ["1", "2", "3"]);
    }

    #[test]
    fn a_page_of_rules_is_read_and_nothing_else_is_one() {
        let body = br#"{"data":[{"id":"1","value":"cat has:media","tag":"cats"},{"id":"2","value":"dog"}],"meta":{"sent":"2026-11-29T10:00:00.000Z","result_count":2,"next_token":"abc123"}}"#;
        let page = read_page(200, body).unwrap();
        assert_eq!(
            page.rules,
            [rule("cat has:media", "cats", "1"), rule("dog", "", "2")]
        );
        assert_eq!(page.next.as_deref(), Some("abc123"));
        let none = read_page(
            200,
            br#"{"meta":{"sent":"2026-11-29T10:00:00.000Z","result_count":0}}"#,
        )
        .unwrap();
        assert_eq!((none.rules.len(), none.next), (0, None));
        for (status, body, says) in [
            (200, "<html>", "not a list of rules"),
            (200, "{}", "neither"),
            (200, r#"{"data":[{"id":"1"}]}"#, "not a list of rules"),
            (200, r#"{"meta":{"next_token":"a&ids=1"}}"#, "cannot be one"),
            (
                503,
                r#"{"title":"Service Unavailable","detail":"x"}"#,
                "HTTP 503: Service Unavailable",
            ),
        ] {
            let why = read_page(status, body.as_bytes()).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_change_adds_what_is_missing_and_takes_away_what_is_not_wanted() {
        let wanted = [rule("a", "x", ""), rule("b", "", ""), rule("c", "z", "")];
        let in_force = [
            rule("a", "x", "1"),
            rule("b", "other", "2"),
            rule("d", "", "3"),
        ];
        let change = Change::to(&wanted, &in_force);
        assert_eq!(change.add, [rule("b", "", ""), rule("c", "z", "")]);
        assert_eq!(change.delete, [rule("b", "other", "2"), rule("d", "", "3")]);
        assert_eq!(change.keep, [rule("a", "x", "1")]);
        assert!(Change::to(&wanted[..1], &in_force[..1]).is_nothing());
        let spelled = [rule("a  or b", "", "")];
        let told_otherwise = [rule("a or  b ", "", "1"), rule("a or b", "", "2")];
        let change = Change::to(&spelled, &told_otherwise);
        assert_eq!(
            (change.keep.len(), change.delete, change.add),
            (1, vec![rule("a or b", "", "2")], vec![])
        );
        let change = Change::to(&wanted, &in_force);
        assert_eq!(
            add_body(&change.add).to_string(),
            r#"{"add":[{"value":"b"},{"tag":"z","value":"c"}]}"#
        );
        assert_eq!(
            delete_body(&change.delete).to_string(),
            r#"{"delete":{"ids":["2","3"]}}"#
        );
    }

    #[test]
    fn what_became_of_a_change_is_told_rule_by_rule() {
        let body = br#"{"meta":{"sent":"x","summary":{"created":1,"not_created":2,"valid":1,"invalid":2}},"data":[{"value":"a","id":"1"}],"errors":[{"value":"from:x","id":"7","title":"DuplicateRule","type":"https://api.x.com/2/problems/duplicate-rules"},{"value":"(b","details":["no viable alternative at input '(b' (at position 1)"],"title":"UnprocessableEntity","type":"https://api.x.com/2/problems/invalid-rules"}]}"#;
        let changed = read_changed(201, body).unwrap();
        assert_eq!(
            (changed.summary.created, changed.summary.not_created),
            (1, 2)
        );
        assert_eq!(
            changed.errors,
            [
                ("from:x".to_owned(), "DuplicateRule".to_owned()),
                (
                    "(b".to_owned(),
                    "UnprocessableEntity: no viable alternative at input '(b' (at position 1)"
                        .to_owned()
                ),
            ]
        );
        let refused = read_changed(403, br#"{"title":"Forbidden","detail":"no"}"#).unwrap_err();
        assert_eq!(
            (refused.is_cap, &*refused.why),
            (false, "HTTP 403: Forbidden: no")
        );
        let body = br#"{"title":"RulesCapExceeded","detail":"no","type":"https://api.twitter.com/2/problems/rule-cap"}"#;
        assert!(read_changed(400, body).unwrap_err().is_cap);
        assert!(read_changed(200, b"<html>").is_err());
    }

    #[test]
    fn fuzz_answers_about_rules() {
        let fuzz = Fuzz::new("answers_about_rules", 4_000)
            .seed(r#"{"data":[{"id":"1","value":"cat","tag":"cats"}],"meta":{"next_token":"b"}}"#)
            .seed(r#"{"meta":{"summary":{"created":1,"not_created":2}},"errors":[{"value":"a","title":"b","details":["c"]}]}"#)
            .seed(r#"{"data":{"id":"9"},"matching_rules":[{"id":"1","tag":"a"}]}"#);
        fuzz.run(|input| {
            let page = read_page(200, input);
            let changed = read_changed(201, input);
            format!("{} {} {:?}", page.is_ok(), changed.is_ok(), named(input))
        });
    }
}
