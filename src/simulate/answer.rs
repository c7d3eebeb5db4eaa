//! Every answer that is not a stream, with the bodies that have been seen on the wire.

use serde::Deserialize;
use serde_json::json;

use crate::period::UtcMs;

/// Why a request gets no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 400: a parameter, the values it had, and what is wrong with them.
    InvalidRequest {
        /// Which parameter.
        parameter: String,
        /// What it was.
        value: String,
        /// What is wrong.
        message: String,
    },
    /// 401: no token, or another.
    Unauthorized,
    /// 402: nothing left to pay with.
    CreditsDepleted,
    /// 403: the app has no access.
    ClientForbidden,
    /// 404: no such path.
    NotFound,
    /// 408, and any other status whose body says no more than the status.
    Plain(u16),
    /// What is not the API's.
    Portal(Portal),
    /// 429: too many requests in this window.
    RateLimit,
    /// 429: as many streams are open as are allowed.
    TooManyConnections,
    /// 409: the app has no rules by which a stream could be chosen.
    NoRules,
    /// 400: with these rules the app would have more than it may have.
    RulesCap(usize),
    /// 429: the subscription is being changed.
    Provisioning,
    /// 429: the month's posts are used up.
    UsageCap,
    /// 500, 502 or 504: a page from the edge, not from the API.
    Page(u16),
    /// 503.
    Unavailable,
}

/// What networks put in the API's place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Portal {
    /// A page that asks for a login.
    #[default]
    Page,
    /// The same, which says that it is JSON.
    PageAsJson,
    /// The way to another place.
    Redirect,
    /// Nothing.
    Empty,
    /// An error that comes as if all were well.
    Error,
}

/// A status or issue that the simulator does not know.
#[derive(Debug, thiserror::Error)]
pub enum NoSuchAnswer {
    /// No such status.
    #[error("status {0} is none of 400, 401, 402, 403, 404, 408, 429, 500, 502, 503, 504")]
    Status(u16),
    /// No such issue.
    #[error("issue {0:?} is none of \"rate\", \"too_many\", \"provisioning\", \"usage_cap\"")]
    Issue(String),
    /// Only 429 has one.
    #[error("`issue` belongs to status 429, not to {0}")]
    IssueOf(u16),
}

/// A problem of the API's own kind: what `type` ends with.
fn problem(name: &str) -> String {
    format!("https://api.x.com/2/problems/{name}")
}

impl Answer {
    /// The answer that a fault names.
    pub fn named(status: u16, issue: Option<&str>) -> Result<Self, NoSuchAnswer> {
        match (status, issue) {
            (429, None | Some("rate")) => Ok(Self::RateLimit),
            (429, Some("too_many")) => Ok(Self::TooManyConnections),
            (429, Some("provisioning")) => Ok(Self::Provisioning),
            (429, Some("usage_cap")) => Ok(Self::UsageCap),
            (429, Some(other)) => Err(NoSuchAnswer::Issue(other.to_owned())),
            (other, Some(_)) => Err(NoSuchAnswer::IssueOf(other)),
            (400, None) => Ok(Self::InvalidRequest {
                parameter: "backfill_minutes".to_owned(),
                value: "5".to_owned(),
                message: "Invalid use of backfill_minutes".to_owned(),
            }),
            (401, None) => Ok(Self::Unauthorized),
            (402, None) => Ok(Self::CreditsDepleted),
            (403, None) => Ok(Self::ClientForbidden),
            (404, None) => Ok(Self::NotFound),
            (408, None) => Ok(Self::Plain(408)),
            (500 | 502 | 504, None) => Ok(Self::Page(status)),
            (503, None) => Ok(Self::Unavailable),
            (other, None) => Err(NoSuchAnswer::Status(other)),
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest { .. } | Self::RulesCap(_) => 400,
            Self::Unauthorized => 401,
            Self::CreditsDepleted => 402,
            Self::ClientForbidden => 403,
            Self::NotFound => 404,
            Self::NoRules => 409,
            Self::Plain(status) | Self::Page(status) => *status,
            Self::RateLimit | Self::TooManyConnections | Self::Provisioning | Self::UsageCap => 429,
            Self::Portal(Portal::Redirect) => 302,
            Self::Portal(_) => 200,
            Self::Unavailable => 503,
        }
    }

    /// Whether the body is JSON.
    pub const fn is_json(&self) -> bool {
        !matches!(self, Self::Page(_) | Self::Portal(Portal::Page))
    }

    /// The body.
    pub fn body(&self) -> String {
        let value = match self {
            Self::InvalidRequest {
                parameter,
                value,
                message,
            } => json!({
                "errors": [{"parameters": {(parameter): [value]}, "message": message}],
                "title": "Invalid Request",
                "detail": "One or more parameters to your request was invalid.",
                "type": "https://api.twitter.com/2/problems/invalid-request",
            }),
            Self::Unauthorized => about_blank(401, "Unauthorized"),
            Self::CreditsDepleted => json!({
                "detail": "credits depleted",
                "status": 402,
                "title": "Payment Required",
                "type": problem("credits-depleted"),
            }),
            Self::ClientForbidden => json!({
                "client_id": "12345678",
                "detail": "When authenticating requests to the Twitter API v2 endpoints, you must use keys and tokens from a Twitter developer App that is attached to a Project. You can create a project via the developer portal.",
                "registration_url": "https://developer.twitter.com/en/docs/projects/overview",
                "title": "Client Forbidden",
                "required_enrollment": "Appropriate Level of API Access",
                "reason": "client-not-enrolled",
                "type": "https://api.twitter.com/2/problems/client-forbidden",
            }),
            Self::NotFound | Self::Portal(Portal::Redirect | Portal::Empty) => {
                return String::new();
            }
            Self::Plain(408) => about_blank(408, "Request Timeout"),
            Self::Plain(status) => about_blank(*status, "Error"),
            Self::RateLimit => about_blank(429, "Too Many Requests"),
            Self::TooManyConnections => connection(
                "This stream is currently at the maximum allowed connection limit.",
                "TooManyConnections",
            ),
            Self::NoRules => connection(
                "You must define rules using the POST /2/tweets/search/stream/rules endpoint before connecting to filtered stream.",
                "RuleConfigurationIssue",
            ),
            Self::RulesCap(most) => json!({
                "title": "RulesCapExceeded",
                "detail": format!("With these the app would have more than {most} rules."),
                "type": "https://api.twitter.com/2/problems/rule-cap",
            }),
            Self::Provisioning => connection(
                "Your subscription change is currently being provisioned, please try again in a minute.",
                "ProvisioningSubscription",
            ),
            Self::UsageCap => json!({
                "account_id": 123,
                "product_name": "standard-basic",
                "title": "UsageCapExceeded",
                "period": "Monthly",
                "scope": "Product",
                "detail": "Usage cap exceeded: Monthly product cap",
                "type": "https://api.twitter.com/2/problems/usage-capped",
            }),
            Self::Page(status) => {
                return format!(
                    "<!DOCTYPE html>\n<html><head><title>{status}</title></head>\n<body><h1>{status} Server Error</h1>\
                     <hr>edge</body></html>\n"
                );
            }
            Self::Portal(Portal::Page | Portal::PageAsJson) => return LOGIN.to_owned(),
            Self::Portal(Portal::Error) => json!({"error": "login required", "code": 16}),
            Self::Unavailable => about_blank(503, "Service Unavailable"),
        };
        value.to_string()
    }
}

const LOGIN: &str = "<!DOCTYPE html>\r\n<html><head><title>Login</title></head>\r\n<body>\r\n\
    <h1>Welcome to this network</h1>\r\n<form action=\"/login\"><input name=\"user\"></form>\r\n</body></html>\r\n";

fn about_blank(status: u16, title: &str) -> serde_json::Value {
    json!({"title": title, "detail": title, "type": "about:blank", "status": status})
}

fn connection(detail: &str, issue: &str) -> serde_json::Value {
    json!({
        "title": "ConnectionException",
        "detail": detail,
        "connection_issue": issue,
        "type": problem("streaming-connection"),
    })
}

/// The line of errors without data that announces the end of a stream, with its CR LF.
pub(super) fn error_frame(disconnect_type: &str) -> Vec<u8> {
    let detail = if disconnect_type.starts_with("Upstream") {
        "This stream has been disconnected upstream for operational reasons."
    } else {
        "This stream has been disconnected for operational reasons."
    };
    let frame = json!({"errors": [{
        "title": "operational-disconnect",
        "disconnect_type": disconnect_type,
        "detail": detail,
        "type": problem("operational-disconnect"),
    }]});
    format!("{frame}\r\n").into_bytes()
}

/// `Mon, 23 Nov 2026 14:05:09 GMT`
pub(super) fn http_date(at: UtcMs) -> String {
    match jiff::Timestamp::from_second(at.second()) {
        Ok(at) => at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        Err(_beyond_all_years) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_status_and_its_body() {
        let all = [
            (400, None, "invalid-request"),
            (401, None, "Unauthorized"),
            (402, None, "credits-depleted"),
            (403, None, "client-not-enrolled"),
            (404, None, ""),
            (408, None, "Request Timeout"),
            (429, None, "about:blank"),
            (429, Some("rate"), "Too Many Requests"),
            (429, Some("too_many"), "TooManyConnections"),
            (429, Some("provisioning"), "ProvisioningSubscription"),
            (429, Some("usage_cap"), "usage-capped"),
            (500, None, "<html>"),
            (502, None, "<html>"),
            (503, None, "Service Unavailable"),
            (504, None, "<html>"),
        ];
        for (status, issue, contains) in all {
            let answer = Answer::named(status, issue).unwrap();
            let body = answer.body();
            assert_eq!(answer.status(), status);
            assert!(body.contains(contains), "{status}: {body}");
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&body).is_ok(),
                answer.is_json() && !body.is_empty()
            );
        }
        assert!(Answer::named(418, None).is_err());
        assert!(Answer::named(429, Some("bad")).is_err());
        assert!(Answer::named(503, Some("rate")).is_err());
    }
}
