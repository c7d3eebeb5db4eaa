//! One rule of the filtered stream: its language, as far as it is spoken here, and which posts match.
//!
//! ```text
//! rule   = group { "OR" group }                    all of a group's parts, one of the groups
//! group  = part { part }
//! part   = ["-"] ( "(" rule ")" | word | "\"" words "\"" | "#" tag | "@" name | operator ":" value )
//! ```
//!
//! Words match whole words of the text, whatever their case. A rule needs something that can stand alone: `lang:`, `has:` and `is:`
//! only narrow what other parts choose.

use serde_json::Value;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Not(Box<Expression>),
    /// These words, one after the other.
    Words(Vec<String>),
    Hashtag(String),
    Mention(String),
    From(String),
    Lang(String),
    Has(Part),
    Is(ReferenceKind),
}

/// What a post can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Hashtags,
    Mentions,
    Links,
    Media,
    Geo,
}

/// What a post can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReferenceKind {
    Retweet,
    Reply,
    Quote,
}

/// What a rule is compared with.
#[derive(Debug)]
pub(super) struct Post {
    text: String,
    words: Vec<String>,
    lang: String,
    author: [String; 2],
    has_media: bool,
    has_geo: bool,
    references: Vec<String>,
}

/// The words of a text, in small letters.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

impl Post {
    /// The post of a line, if it has one.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let data = line.get("data")?;
        let word = |of: &Value, key: &str| {
            let text = of.get(key).and_then(Value::as_str);
            text.unwrap_or("").to_owned()
        };
        let text = word(data, "text");
        let author_id = word(data, "author_id");
        let users = line.pointer("/includes/users").and_then(Value::as_array);
        let mut users = users.into_iter().flatten();
        let author = users.find(|user| word(user, "id") == author_id);
        let username =
            author.map_or_else(String::new, |user| word(user, "username").to_lowercase());
        let references = ["referenced_tweets", "referenced_posts"];
        let references = references
            .iter()
            .filter_map(|key| data.get(key)?.as_array());
        Some(Self {
            words: words(&text),
            text: text.to_lowercase(),
            lang: word(data, "lang"),
            author: [username, author_id],
            has_media: data.pointer("/attachments/media_keys").is_some(),
            has_geo: data.get("geo").is_some(),
            references: references.flatten().map(|of| word(of, "type")).collect(),
        })
    }
}

impl Expression {
    /// Reads a rule, or says what is wrong with it.
    pub(super) fn read(rule: &str) -> Result<Self, String> {
        let mut reader = Reader {
            rest: rule,
            whole: rule,
        };
        let read = reader.any()?;
        if !reader.rest.is_empty() {
            return Err(reader.unexpected());
        }
        if read.stands_alone() {
            return Ok(read);
        }
        Err(
            "Rules must contain at least one positive, non-stopword clause that can stand alone"
                .to_owned(),
        )
    }

    /// Whether it chooses posts by something that can stand alone.
    fn stands_alone(&self) -> bool {
        match self {
            Self::Any(all) => all.iter().all(Self::stands_alone),
            Self::All(all) => all.iter().any(Self::stands_alone),
            Self::Not(_) | Self::Lang(_) | Self::Has(_) | Self::Is(_) => false,
            Self::Words(_) | Self::Hashtag(_) | Self::Mention(_) | Self::From(_) => true,
        }
    }

    /// Whether a post matches.
    pub(super) fn matches(&self, post: &Post) -> bool {
        let has = |mark: char, name: &str| {
            let mut after = post.text.split(mark).skip(1);
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            after.any(|rest| rest.strip_prefix(name).is_some_and(ends))
        };
        match self {
            Self::Any(all) => all.iter().any(|one| one.matches(post)),
            Self::All(all) => all.iter().all(|one| one.matches(post)),
            Self::Not(one) => !one.matches(post),
            Self::Words(words) => post.words.windows(words.len()).any(|here| here == words),
            Self::Hashtag(tag) => has('#', tag),
            Self::Mention(name) => has('@', name),
            Self::From(who) => post.author.contains(who),
            Self::Lang(lang) => post.lang == *lang,
            Self::Has(Part::Hashtags) => post.text.contains('#'),
            Self::Has(Part::Mentions) => post.text.contains('@'),
            Self::Has(Part::Links) => post.text.contains("http"),
            Self::Has(Part::Media) => post.has_media,
            Self::Has(Part::Geo) => post.has_geo,
            Self::Is(kind) => {
                let word = match kind {
                    ReferenceKind::Retweet => "retweeted",
                    ReferenceKind::Reply => "replied_to",
                    ReferenceKind::Quote => "quoted",
                };
                post.references.iter().any(|how| how == word)
            }
        }
    }
}

/// A rule that is being read.
struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl Reader<'_> {
    fn unexpected(&self) -> String {
        let at = self.whole.len() - self.rest.len();
        format!(
            "no viable alternative at input '{}' (at position {})",
            self.rest.chars().take(20).collect::<String>(),
            at + 1
        )
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `OR`, if that is next.
    fn or(&mut self) -> bool {
        self.skip();
        let is_or = self.is_or();
        if is_or {
            self.rest = self.rest.strip_prefix("OR").unwrap_or(self.rest);
        }
        is_or
    }

    fn is_or(&self) -> bool {
        let rest = self.rest.strip_prefix("OR");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '(', ')']))
    }

    fn any(&mut self) -> Result<Expression, String> {
        let mut groups = vec![self.all()?];
        while self.or() {
            groups.push(self.all()?);
        }
        Ok(match groups.len() {
            1 => groups.remove(0),
            _ => Expression::Any(groups),
        })
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = Vec::new();
        loop {
            self.skip();
            let is_over = self.rest.is_empty() || self.rest.starts_with(')');
            if is_over || self.is_or() {
                break;
            }
            parts.push(self.part()?);
        }
        match parts.len() {
            0 => Err(self.unexpected()),
            1 => Ok(parts.remove(0)),
            _ => Ok(Expression::All(parts)),
        }
    }

    fn part(&mut self) -> Result<Expression, String> {
        if let Some(rest) = self.rest.strip_prefix('-') {
            self.rest = rest;
            return Ok(Expression::Not(Box::new(self.part()?)));
        }
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            let inside = self.any()?;
            self.skip();
            let Some(rest) = self.rest.strip_prefix(')') else {
                return Err(self.unexpected());
            };
            self.rest = rest;
            return Ok(inside);
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            let Some((inside, after)) = rest.split_once('"') else {
                return Err(self.unexpected());
            };
            let words = words(inside);
            if words.is_empty() {
                return Err(self.unexpected());
            }
            self.rest = after;
            return Ok(Expression::Words(words));
        }
        let end = self
            .rest
            .find([' ', '(', ')', '"'])
            .unwrap_or(self.rest.len());
        let (token, after) = self.rest.split_at(end);
        let Some(read) = self.token(token)? else {
            return Err(self.unexpected());
        };
        self.rest = after;
        Ok(read)
    }

    fn token(&self, token: &str) -> Result<Option<Expression>, String> {
        let lower = token.to_lowercase();
        if let Some((operator, value)) = lower.split_once(':') {
            let value = value.to_owned();
            return Ok(Some(match (operator, value.as_str()) {
                (_, "") => return Ok(None),
                ("from", _) => Expression::From(value.trim_start_matches('@').to_owned()),
                ("lang", _) => Expression::Lang(value),
                ("has", "hashtags") => Expression::Has(Part::Hashtags),
                ("has", "mentions") => Expression::Has(Part::Mentions),
                ("has", "links") => Expression::Has(Part::Links),
                ("has", "media") => Expression::Has(Part::Media),
                ("has", "geo") => Expression::Has(Part::Geo),
                ("is", "retweet") => Expression::Is(ReferenceKind::Retweet),
                ("is", "reply") => Expression::Is(ReferenceKind::Reply),
                ("is", "quote") => Expression::Is(ReferenceKind::Quote),
                _ => {
                    let at = self.whole.len() - self.rest.len();
                    return Err(format!(
                        "Reference to invalid operator '{operator}' or to a value that it does not have (at position {})",
                        at + 1
                    ));
                }
            }));
        }
        let name = |mark| lower.strip_prefix(mark).filter(|name| !name.is_empty());
        if let Some(tag) = name('#') {
            return Ok(Some(Expression::Hashtag(tag.to_owned())));
        }
        if let Some(name) = name('@') {
            return Ok(Some(Expression::Mention(name.to_owned())));
        }
        let words = words(token);
        Ok((!words.is_empty()).then_some(Expression::Words(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(text: &str, lang: &str, more: &str) -> Post {
        let line = format!(
            r#"{{"data":{{"id":"1","author_id":"7","text":{text:?},"lang":"{lang}"{more}}},"includes":{{"users":[{{"id":"7","username":"Ada_L"}}]}}}}"#
        );
        Post::of(line.as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(rule: &str, matching: &[bool]) {
        let posts = [
            post("Hello World, a cat!", "en", ""),
            post(
                "RT @bob: hello #Cats and dogs",
                "en",
                r#","referenced_tweets":[{"type":"retweeted","id":"2"}]"#,
            ),
            post(
                "Bonjour le monde, un chat",
                "fr",
                r#","attachments":{"media_keys":["3_1"]}"#,
            ),
        ];
        let rule = Expression::read(rule).unwrap_or_else(|why| panic!("{rule}: {why}"));
        let found: Vec<bool> = posts.iter().map(|post| rule.matches(post)).collect();
        assert_eq!(found, matching, "{rule:?}");
    }

    #[test]
    fn rules_choose_posts() {
        check("hello", &[true, true, false]);
        check("hell", &[false, false, false]);
        check("\"hello world\"", &[true, false, false]);
        check("\"world hello\"", &[false, false, false]);
        check("hello cat", &[true, false, false]);
        check("hello -cat", &[false, true, false]);
        check("hello -is:retweet", &[true, false, false]);
        check("cat OR chat", &[true, false, true]);
        check("hello cat OR chat lang:fr", &[true, false, true]);
        check("(cat OR dogs) lang:en", &[true, true, false]);
        check("hello (cat OR chat)", &[true, false, false]);
        check("#cats", &[false, true, false]);
        check("#cat", &[false, false, false]);
        check("@Bob has:hashtags", &[false, true, false]);
        check("from:ada_l has:media", &[false, false, true]);
        check("from:7", &[true, true, true]);
        check("ORB OR monde", &[false, false, true]);
        check("hello -(cat OR dogs)", &[false, false, false]);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        for (rule, says) in [
            ("(cat", "no viable alternative at input '' (at position 5)"),
            ("cat)", "at input ')'"),
            ("\"cat", "no viable"),
            ("cat OR", "no viable"),
            ("", "no viable"),
            ("lang:en", "stand alone"),
            ("-cat", "stand alone"),
            ("cat OR lang:en", "stand alone"),
            ("cat place:wien", "invalid operator 'place'"),
            ("cat has:cats", "invalid operator 'has'"),
            ("cat lang:", "no viable"),
            ("!", "no viable"),
        ] {
            let why = Expression::read(rule).unwrap_err();
            assert!(why.contains(says), "{rule}: {why}");
        }
    }
}
