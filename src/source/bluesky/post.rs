//! Turns a post's record into the cells of `posts.csv`.

use std::borrow::Cow;

use crate::source::json::{cell, items, members};

/// What the table says of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Post<'a> {
    pub(super) created_at: Cow<'a, str>,
    pub(super) text: Cow<'a, str>,
    pub(super) reply_root: Cow<'a, str>,
    pub(super) reply_parent: Cow<'a, str>,
    pub(super) quoted_uri: Cow<'a, str>,
    pub(super) embed_type: Cow<'a, str>,
    pub(super) external_uri: Cow<'a, str>,
    langs: Vec<Cow<'a, str>>,
    tags: Vec<Cow<'a, str>>,
    of_facets: Vec<(&'static str, Cow<'a, str>)>,
    labels: Vec<Cow<'a, str>>,
}

/// Each kind of feature that a facet may have: how its `$type` ends, and which member says what.
const FEATURES: [(&str, &str); 3] = [("#tag", "tag"), ("#mention", "did"), ("#link", "uri")];

/// A value of an object, found by the names that lead to it; empty if there is none. The last of several members with
/// one name counts.
fn at<'a>(json: &'a str, path: &[&str]) -> &'a str {
    path.iter().fold(json, |json, wanted| {
        let mut found = "";
        // its syntax was checked with the whole line
        let _checked = members(json, |name, value| {
            if name == wanted.as_bytes() {
                found = value;
            }
        });
        found
    })
}

/// The texts among the items of a list.
fn texts(json: &str) -> Vec<Cow<'_, str>> {
    let mut texts = Vec::new();
    let _checked = items(json, |item| {
        if item.starts_with('"') {
            texts.push(cell(item));
        }
    });
    texts
}

impl<'a> Post<'a> {
    pub(super) fn read(record: &'a str) -> Self {
        let (mut reply, mut embed, mut labels, mut facets, mut tags) = ("", "", "", "", "");
        let mut post = Self::default();
        let _checked = members(record, |name, value| match name {
            b"createdAt" => post.created_at = cell(value),
            b"text" => post.text = cell(value),
            b"langs" => post.langs = texts(value),
            b"tags" => tags = value,
            b"reply" => reply = value,
            b"embed" => embed = value,
            b"facets" => facets = value,
            b"labels" => labels = value,
            _ => (),
        });
        post.tags = texts(tags);
        post.reply_root = cell(at(reply, &["root", "uri"]));
        post.reply_parent = cell(at(reply, &["parent", "uri"]));
        post.take_embed(embed);
        let _checked = items(facets, |facet| post.take_facet(facet));
        let _checked = items(at(labels, &["values"]), |label| {
            post.labels.push(cell(at(label, &["val"])));
        });
        post
    }

    fn take_embed(&mut self, embed: &'a str) {
        self.embed_type = cell(at(embed, &["$type"]));
        // a quoted record stands alone, or in an object beside media
        let of_record = at(embed, &["record"]);
        let inner = at(of_record, &["record", "uri"]);
        let uri = Some(inner).filter(|uri| !uri.is_empty());
        self.quoted_uri = cell(uri.unwrap_or_else(|| at(of_record, &["uri"])));
        let alone = at(embed, &["external", "uri"]);
        let uri = Some(alone).filter(|uri| !uri.is_empty());
        let uri = uri.unwrap_or_else(|| at(embed, &["media", "external", "uri"]));
        self.external_uri = cell(uri);
    }

    fn take_facet(&mut self, facet: &'a str) {
        let _checked = items(at(facet, &["features"]), |feature| {
            let kind = cell(at(feature, &["$type"]));
            let known = FEATURES.iter().find(|(end, _)| kind.ends_with(end));
            self.of_facets
                .extend(known.map(|(_, member)| (*member, cell(at(feature, &[member])))));
        });
    }

    /// What the facets of a kind say.
    fn of(&self, wanted: &str) -> impl Iterator<Item = &Cow<'a, str>> {
        let found = self
            .of_facets
            .iter()
            .filter(move |(kind, _)| *kind == wanted);
        found.map(|(_, text)| text)
    }

    pub(super) fn langs(&self) -> String {
        joined(self.langs.iter())
    }

    /// Those that the record lists, then those of its text.
    pub(super) fn tags(&self) -> String {
        joined(self.tags.iter().chain(self.of("tag")))
    }

    pub(super) fn mentions(&self) -> String {
        joined(self.of("did"))
    }

    pub(super) fn links(&self) -> String {
        joined(self.of("uri"))
    }

    pub(super) fn labels(&self) -> String {
        joined(self.labels.iter())
    }
}

/// Items of a list as one cell.
fn joined<'t>(texts: impl Iterator<Item = &'t Cow<'t, str>>) -> String {
    let texts: Vec<&str> = texts.map(AsRef::as_ref).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_post_fills_its_cells() {
        let post = Post::read(
            r#"{"$type":"app.bsky.feed.post","createdAt":"2026-07-04T14:38:08.999Z","text":"a #b\n@c","langs":["en","de",7],
            "tags":["x y"],"labels":{"$type":"com.atproto.label.defs#selfLabels","values":[{"val":"porn"},{"val":"!no"}]},
            "reply":{"root":{"uri":"at://r","cid":"1"},"parent":{"uri":"at://p"}},
            "facets":[{"index":{"byteStart":2,"byteEnd":4},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"b"}]},
              {"features":[{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:c"},{"$type":"app.bsky.richtext.facet#link","uri":"https://a"}]},
              {"features":[{"$type":"other#thing","tag":"no"}]}, 5]}"#,
        );
        assert_eq!(
            (&*post.created_at, &*post.text),
            ("2026-07-04T14:38:08.999Z", "a #b\n@c")
        );
        assert_eq!(
            (post.langs(), post.tags()),
            ("en de".to_owned(), "x y b".to_owned())
        );
        assert_eq!(
            (post.mentions(), post.links()),
            ("did:plc:c".to_owned(), "https://a".to_owned())
        );
        assert_eq!(post.labels(), "porn !no");
        assert_eq!(
            (&*post.reply_root, &*post.reply_parent),
            ("at://r", "at://p")
        );
        let embed = |json: &str| {
            let record = format!(r#"{{"embed":{json}}}"#);
            let post = Post::read(&record);
            [post.embed_type, post.quoted_uri, post.external_uri].map(|cell| cell.to_string())
        };
        assert_eq!(
            embed(r#"{"$type":"app.bsky.embed.record","record":{"uri":"at://q","cid":"1"}}"#),
            ["app.bsky.embed.record", "at://q", ""]
        );
        assert_eq!(
            embed(
                r#"{"$type":"app.bsky.embed.recordWithMedia","record":{"$type":"app.bsky.embed.record","record":{"uri":"at://q"}},"media":{"$type":"app.bsky.embed.external","external":{"uri":"https://e"}}}"#
            ),
            ["app.bsky.embed.recordWithMedia", "at://q", "https://e"]
        );
        assert_eq!(
            embed(
                r#"{"$type":"app.bsky.embed.external","external":{"uri":"https://e","title":"t"}}"#
            ),
            ["app.bsky.embed.external", "", "https://e"]
        );
        for none in ["null", "7", "[]", r#"{"record":[],"external":"x"}"#] {
            assert_eq!(embed(none), ["", "", ""]);
        }
        assert_eq!(Post::read(""), Post::default());
    }
}
