//! What an answer of a store means: its status and the code in its body decide what to do.

use crate::place::store::{Key, Listed};

use super::address::Address;

/// What to make of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// It was done. For a key that others may want too, the bytes still have to be read back.
    Done,
    /// There is no such object.
    Absent,
    /// Something is there: the condition was not fulfilled. It may be our own write.
    Taken,
    /// Not now, with this reason; nobody knows whether it was done.
    Again(String),
    /// No, with this reason.
    Refused(String),
}

/// A code is a word: nothing else of what a store says is shown, since it may hold what was sent.
const CODE_CHARS_MAX: usize = 64;

/// The code of an error's body.
fn code(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= CODE_CHARS_MAX
        && !code.is_empty()
        && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(code)
}

/// What an answer means.
pub fn meaning(status: u16, body: &[u8]) -> Meaning {
    let code = code(body);
    let said = || match code {
        Some(code) => format!("{code} ({status})"),
        None => format!("status {status}"),
    };
    match (status, code) {
        (200..=299, _) => Meaning::Done,
        (404, Some("NoSuchKey")) => Meaning::Absent,
        (412, _) => Meaning::Taken,
        (501, _) => Meaning::Refused(format!("{}: it does not know the request", said())),
        (408 | 409 | 425 | 429 | 500..=599, _)
        | (_, Some("RequestTimeout" | "SlowDown" | "OperationAborted")) => Meaning::Again(said()),
        (404, None) => Meaning::Refused(
            "status 404 without a code: what answers is not an object store".to_owned(),
        ),
        (300..=399, _) => Meaning::Refused(format!(
            "{}: it redirects to another address; is s3.region right?",
            said()
        )),
        (_, Some("RequestTimeTooSkewed")) => {
            Meaning::Refused(format!("{}: this machine's clock is wrong", said()))
        }
        _ => Meaning::Refused(said()),
    }
}

/// One page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Proper keys of this place.
    pub found: Vec<Listed>,
    /// Names that are none.
    pub strangers: Vec<String>,
    /// What to ask the next page with.
    pub next: Option<String>,
}

/// Reads a page of a listing.
pub fn read_page(body: &[u8], address: &Address) -> Result<Page, String> {
    let text = std::str::from_utf8(body).map_err(|why| why.to_string())?;
    let listing =
        rusty_s3::actions::ListObjectsV2::parse_response(text).map_err(|why| why.to_string())?;
    let (mut found, mut strangers) = (Vec::new(), Vec::new());
    for object in listing.contents {
        let key = address
            .key(&object.key)
            .map(|key| Key::try_from(key.to_owned()));
        match (key, object.size) {
            (Some(Ok(key)), Some(bytes)) => found.push(Listed {
                key,
                bytes,
                created: object.last_modified.and_then(|text| text.parse().ok()),
            }),
            _ => strangers.push(object.key),
        }
    }
    Ok(Page {
        found,
        strangers,
        next: listing.next_continuation_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_one_thing() {
        let error = |code: &str| {
            format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>secret</Message></Error>"
            )
        };
        let again = |text: &str| Meaning::Again(text.to_owned());
        for (status, body, expected) in [
            (200, String::new(), Meaning::Done),
            (204, String::new(), Meaning::Done),
            (404, error("NoSuchKey"), Meaning::Absent),
            (412, error("PreconditionFailed"), Meaning::Taken),
            (
                409,
                error("ConditionalRequestConflict"),
                again("ConditionalRequestConflict (409)"),
            ),
            (503, error("SlowDown"), again("SlowDown (503)")),
            (502, "<html>".to_owned(), again("status 502")),
            (400, error("RequestTimeout"), again("RequestTimeout (400)")),
            (
                403,
                error("AccessDenied"),
                Meaning::Refused("AccessDenied (403)".to_owned()),
            ),
            (
                404,
                error("NoSuchBucket"),
                Meaning::Refused("NoSuchBucket (404)".to_owned()),
            ),
            (403, error("a b"), Meaning::Refused("status 403".to_owned())),
        ] {
            assert_eq!(
                meaning(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
        // a portal's page is no empty store
        assert!(matches!(
            meaning(404, b"<html>Not found"),
            Meaning::Refused(_)
        ));
        assert!(matches!(meaning(302, b""), Meaning::Refused(_)));
    }

    #[test]
    fn names_of_a_listing_are_not_trusted() {
        let address = Address::new("archive/spool").unwrap();
        let object = |key: &str| {
            format!(
                "<Contents><Key>{key}</Key><Size>3</Size><LastModified>2026-11-23T14:00:00Z</LastModified><ETag>x</ETag></Contents>"
            )
        };
        let listing = |inner: &str| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>archive</Name><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>{inner}</ListBucketResult>"
            )
        };
        let names = [
            "spool/2/a",
            "spool/../b",
            "other/a",
            "spool/a%2F..%2F..%2Fb",
            "spool/",
        ];
        let body = names.map(object).concat()
            + "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        let page = read_page(listing(&body).as_bytes(), &address).unwrap();
        let found = Listed {
            key: Key::try_from("2/a".to_owned()).unwrap(),
            bytes: 3,
            created: Some("2026-11-23T14:00:00Z".parse().unwrap()),
        };
        assert_eq!(page.found, [found]);
        assert_eq!(page.strangers.len(), 4);
        assert_eq!(page.next.as_deref(), Some("t"));
        // one that was cut off is none
        assert!(
            read_page(
                listing("<IsTruncated>true</IsTruncated>").as_bytes(),
                &address
            )
            .is_err()
        );
        assert!(read_page(b"<html>", &address).is_err());
    }
}
