//! What the simulated OSF answers when something is wrong, in each service's own words, and how an answer goes out.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::json;

use super::{
    api, butler,
    fault::{Hit, OsfFaultKind},
    site::{Answer, Ask, Service, Site},
};
use crate::simulate::answer::http_date;

/// The answer of a fault that is one.
pub(super) fn refusal(service: Service, hit: &Hit, ask: &Ask) -> Option<Answer> {
    match hit.kind {
        OsfFaultKind::Status => Some(status(service, hit.status)),
        OsfFaultKind::CheckedOut => Some(butler::error(
            403,
            "File cannot be updated due to checkout status.",
        )),
        OsfFaultKind::Throttled => {
            let after = match hit.retry_after.strip_prefix("date+") {
                Some(seconds) => http_date(
                    ask.now
                        .plus_ms(seconds.parse::<i64>().unwrap_or(0).saturating_mul(1_000)),
                ),
                None => hit.retry_after.clone(),
            };
            let body = match service {
                Service::Api => api::error(&format!(
                    "Request was throttled. Expected available in {after} seconds."
                )),
                _ => json!({
                    "error": "API rate-limiting active due to too many requests",
                    "headers": {"Retry-After": after, "X-Waterbutler-RateLimiting-Window": 3600},
                }),
            };
            let mut answer = Answer::json(429, &body);
            answer.headers.push(("retry-after", after));
            Some(answer)
        }
        _ => None,
    }
}

/// What each service says with a status.
fn status(service: Service, status: u16) -> Answer {
    let words = match status {
        400 => "Bad Request",
        401 => return shut_out(service),
        403 => "You do not have permission to perform this action.",
        404 => "Not found.",
        413 => "Request Entity Too Large",
        500 => "Calculated and received hashes don't match",
        507 => "The quota on this osfstorage project has been exceeded",
        502..=504 => return Answer::page(status),
        _ => "Error",
    };
    match service {
        Service::Api => Answer::json(status, &api::error(words)),
        _ => butler::error(status, words),
    }
}

/// No token, or a wrong or expired one; or, at the storage, one too many.
pub(super) fn shut_out(service: Service) -> Answer {
    match service {
        Service::Api => Answer::json(
            401,
            &api::error("User provided an invalid OAuth2 access token"),
        ),
        Service::Files => Answer::json(
            401,
            &json!({"message_short": "Unauthorized", "message_long": "", "code": 401, "referrer": null}),
        ),
        Service::Storage => Answer::json(400, &json!({"error": "Only one auth mechanism allowed"})),
    }
}

/// The host to which links lead that nobody may follow.
const FOREIGN: &str = "http://127.0.0.9:9";

pub(super) fn response(
    mut answer: Answer,
    number: u64,
    kind: Option<OsfFaultKind>,
    site: &Site,
) -> Response<Full<Bytes>> {
    if kind == Some(OsfFaultKind::Foreign) {
        let text = String::from_utf8_lossy(&answer.body);
        let text = text
            .replace(&site.api, FOREIGN)
            .replace(&site.files, FOREIGN);
        answer.body = text.into_bytes();
    }
    let kind = if answer.is_page {
        "text/html"
    } else {
        "application/json; charset=UTF-8"
    };
    let mut builder = Response::builder()
        .status(answer.status)
        .header("content-type", kind)
        .header("x-waterbutler-request-id", format!("{number:08x}"));
    for (name, value) in answer.headers {
        builder = builder.header(name, value);
    }
    builder
        .body(Full::new(Bytes::from(answer.body)))
        .unwrap_or_default()
}
