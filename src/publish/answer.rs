//! What OSF answers: entries, and trouble of three kinds.
//!
//! The API and WaterButler describe the same file in two forms; both become an `RemoteEntry`. Everything in an answer is
//! untrusted: missing values are accepted as missing, and addresses are checked before use.

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::address::{self, BadAddress, Site};
use crate::{doi::Doi, period::UtcMs, segment::sha256::Sha256, text::one_line};

/// Why something was not done; the kind decides what follows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Trouble {
    /// It may pass by itself: no answer, a broken one, too many requests, the server's own trouble.
    #[error("{why}")]
    Passing {
        /// What happened.
        why: String,
        /// When to try again, according to the answer.
        after: Option<After>,
    },
    /// Asking again would give the same answer: a person has to act.
    #[error("{why} (status {status})")]
    Refused {
        /// The status.
        status: u16,
        /// What the service says.
        why: String,
    },
    /// The token is not accepted.
    #[error("OSF does not accept the token: {0}")]
    Unauthorized(String),
    /// An address that is not followed.
    #[error(transparent)]
    Address(#[from] BadAddress),
}

/// The value of `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Seconds from now.
    Seconds(u64),
    /// An instant.
    At(UtcMs),
}

/// A folder or file as an answer describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteEntry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The storage that it is in.
    pub provider: String,
    /// Bytes, of a file.
    pub size: Option<u64>,
    /// SHA-256 of a file's bytes.
    pub sha256: Option<Sha256>,
    /// The number of its current version.
    pub version: u64,
    /// When that was made.
    pub modified: Option<UtcMs>,
    /// The address of the file or folder at WaterButler, without a query.
    pub place: Option<Url>,
    /// Where its children are listed, of a folder.
    pub children: Option<Url>,
}

/// The status and body of an answer that is no success.
pub fn trouble(status: u16, body: &[u8], after: Option<After>) -> Trouble {
    let why = words(status, body);
    match status {
        401 => Trouble::Unauthorized(why),
        408 | 429 | 500..=506 | 508.. => Trouble::Passing { why, after },
        _ => Trouble::Refused { status, why },
    }
}

/// The seconds or the date of a `Retry-After`.
pub fn after(header: Option<&str>) -> Option<After> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(After::Seconds(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).map_or(None, |ms| Some(After::At(UtcMs(ms))))
}

/// The short text of an error, from the API, from WaterButler in its several forms, or from a proxy that sends a
/// page.
fn words(status: u16, body: &[u8]) -> String {
    const WORDS_MAX: usize = 300;
    let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let found = [
        "/errors/0/detail",
        "/message",
        "/message_long",
        "/message_short",
        "/error",
    ];
    let found = found
        .into_iter()
        .filter_map(|at| value.pointer(at)?.as_str())
        .find(|text| !text.is_empty());
    let text = found.map_or_else(|| format!("status {status} without words"), str::to_owned);
    one_line(&text).chars().take(WORDS_MAX).collect()
}

#[derive(Deserialize, Default)]
struct Item {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    links: Links,
    #[serde(default)]
    relationships: Relationships,
}

#[derive(Deserialize, Default)]
struct Attributes {
    #[serde(default)]
    name: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    provider: String,
    size: Option<u64>,
    #[serde(alias = "modified_utc")]
    date_modified: Option<String>,
    current_version: Option<u64>,
    extra: Option<Extra>,
}

#[derive(Deserialize)]
struct Extra {
    hashes: Option<Hashes>,
    version: Option<Value>,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Option<Sha256>,
}

#[derive(Deserialize, Default)]
struct Links {
    upload: Option<String>,
}

#[derive(Deserialize, Default)]
struct Relationships {
    files: Option<Related>,
}

#[derive(Deserialize)]
struct Related {
    links: RelatedLinks,
}

#[derive(Deserialize)]
struct RelatedLinks {
    related: Href,
}

#[derive(Deserialize)]
struct Href {
    href: String,
}

/// The entry in a JSON value, of either service.
pub fn entry(value: &Value, site: &Site) -> Result<RemoteEntry, Trouble> {
    let item = Item::deserialize(value).map_err(|why| senseless(&why.to_string()))?;
    let link = |text: Option<String>| match text {
        Some(text) => Ok::<_, Trouble>(Some(address::bare(&site.link(&text)?))),
        None => Ok(None),
    };
    let attributes = item.attributes;
    let extra = attributes.extra;
    let number = |value: &Value| match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    let version = extra
        .as_ref()
        .and_then(|extra| number(extra.version.as_ref()?));
    Ok(RemoteEntry {
        is_folder: attributes.kind == "folder",
        name: attributes.name,
        provider: attributes.provider,
        size: attributes.size,
        version: attributes.current_version.or(version).unwrap_or(1),
        modified: attributes.date_modified.and_then(|text| text.parse().ok()),
        sha256: extra.and_then(|extra| extra.hashes?.sha256),
        place: link(item.links.upload)?,
        children: link(
            item.relationships
                .files
                .map(|files| files.links.related.href),
        )?,
    })
}

/// A page of entries, and where the next one is.
pub fn page(value: &Value, site: &Site) -> Result<(Vec<RemoteEntry>, Option<Url>), Trouble> {
    let data = value.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| senseless("it has no list of data"))?;
    let entries: Result<Vec<RemoteEntry>, Trouble> =
        data.iter().map(|item| entry(item, site)).collect();
    let next = match value.pointer("/links/next").and_then(Value::as_str) {
        Some(next) => Some(site.link(next)?),
        None => None,
    };
    Ok((entries?, next))
}

/// What the token may do with a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Project {
    /// Whether it is public.
    pub is_public: bool,
    /// Whether the token's owner may change everything about it.
    pub is_admin: bool,
}

/// The project that an answer describes.
pub fn project(value: &Value) -> Result<Project, Trouble> {
    let is_public = value.pointer("/data/attributes/public");
    let may = value.pointer("/data/attributes/current_user_permissions");
    let may = may.and_then(Value::as_array);
    match (is_public.and_then(Value::as_bool), may) {
        (Some(is_public), Some(may)) => Ok(Project {
            is_public,
            is_admin: may.iter().any(|one| one == "admin"),
        }),
        _ => Err(senseless("it does not say whether the project is public")),
    }
}

/// The DOI among a project's identifiers, if one is.
pub fn doi_of_list(value: &Value) -> Result<Option<Doi>, Trouble> {
    let data = value.get("data").and_then(Value::as_array);
    let data = data.ok_or_else(|| senseless("it has no list of data"))?;
    let is_doi = |one: &&Value| {
        one.pointer("/attributes/category")
            .is_some_and(|of| of == "doi")
    };
    data.iter().find(is_doi).map(doi).transpose()
}

/// The DOI that an identifier is.
pub fn doi(identifier: &Value) -> Result<Doi, Trouble> {
    let value = identifier
        .pointer("/attributes/value")
        .and_then(Value::as_str);
    let value = value.ok_or_else(|| senseless("an identifier has no value"))?;
    value
        .parse()
        .map_err(|why| senseless(&format!("{:?}: {why}", one_line(value))))
}

/// An answer of status 200 that makes no sense; the next one may.
pub fn senseless(why: &str) -> Trouble {
    Trouble::Passing {
        why: format!("an answer makes no sense: {why}"),
        after: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_services_tell_of_the_same_file() {
        let site = Site::new("https://api.osf.io").unwrap();
        let hash = Sha256::of(b"ab").to_string();
        let api = json!({"attributes": {"name": "a", "kind": "file", "size": 5, "current_version": 2,
            "date_modified": "2022-03-01T01:10:00.000000Z", "provider": "osfstorage",
            "extra": {"hashes": {"sha256": hash, "md5": "c"}, "downloads": 0}},
            "links": {"upload": "https://files.osf.io/v1/f"}, "relationships": {}});
        let butler = json!({"attributes": {"name": "a", "kind": "file", "size": 5, "sizeInt": 5,
            "modified_utc": "2022-03-01T01:10:00+00:00", "provider": "osfstorage",
            "extra": {"version": 2, "hashes": {"sha256": hash}}},
            "links": {"upload": "https://files.osf.io/v1/f?kind=file"}});
        let (one, other) = (entry(&api, &site).unwrap(), entry(&butler, &site).unwrap());
        assert_eq!(one, other);
        assert_eq!(one.place.unwrap().as_str(), "https://files.osf.io/v1/f");
        assert_eq!((one.version, one.size), (2, Some(5)));
        let foreign = json!({"attributes": {}, "links": {"upload": "https://example.org/f"}});
        assert!(matches!(entry(&foreign, &site), Err(Trouble::Address(_))));
        let folder = json!({"attributes": {"kind": "folder", "size": null, "extra": {"hashes": null}},
            "relationships": {"files": {"links": {"related": {"href": "https://api.osf.io/v2/x/"}}}}});
        let folder = entry(&folder, &site).unwrap();
        assert!(folder.is_folder && folder.children.is_some() && folder.sha256.is_none());
    }

    #[test]
    fn each_status_has_its_fate_and_its_words() {
        let passing = |status| matches!(trouble(status, b"", None), Trouble::Passing { .. });
        let refused = |status| matches!(trouble(status, b"", None), Trouble::Refused { .. });
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(passing));
        assert!([400, 403, 404, 410, 411, 413, 507].into_iter().all(refused));
        assert!(matches!(trouble(401, b"", None), Trouble::Unauthorized(_)));
        for (body, expected) in [
            (r#"{"errors":[{"detail":"no\u0007pe"}]}"#, "no pe"),
            (r#"{"code":404,"message":"gone"}"#, "gone"),
            (
                r#"{"message_short":"Forbidden","message_long":""}"#,
                "Forbidden",
            ),
            (r#"{"error":"slow","headers":{}}"#, "slow"),
            ("<html>", "status 500 without words"),
        ] {
            assert_eq!(words(500, body.as_bytes()), expected);
        }
        assert_eq!(after(Some("1234")), Some(After::Seconds(1_234)));
        let date = after(Some("Mon, 23 Nov 2026 14:05:09 GMT"));
        assert_eq!(
            date,
            Some(After::At("2026-11-23T14:05:09Z".parse().unwrap()))
        );
        assert_eq!((after(Some("soon")), after(None)), (None, None));
    }
}
