//! What all services of the simulated OSF have in common: addresses, credentials, and answers.

use serde::Serialize;
use serde_json::{Value, json};

use super::fault::OsfFaultKind;
use crate::period::UtcMs;

/// What a contributor may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Change files.
    Write,
    /// Everything.
    Admin,
}

/// Which service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::simulate) enum Service {
    Api,
    Files,
    Storage,
}

/// Which fault a request met.
#[derive(Serialize)]
pub(in crate::simulate) struct Met {
    pub(super) number: usize,
    pub(super) kind: OsfFaultKind,
}

/// Where everything is, for links.
pub(super) struct Site {
    pub(super) api: String,
    pub(super) files: String,
    pub(super) storage: String,
    pub(super) project: String,
    pub(super) is_private: bool,
    pub(super) role: Role,
    pub(super) token: String,
    pub(super) seed: u64,
    pub(super) quota: u64,
}

/// A request, taken apart.
pub(super) struct Ask {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) accept: String,
    pub(super) body: Vec<u8>,
    pub(super) has_length: bool,
    pub(super) now: UtcMs,
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    pub(super) is_page: bool,
}

impl Answer {
    /// A JSON value.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: value.to_string().into_bytes(),
            is_page: false,
        }
    }

    /// A redirect.
    pub(super) fn redirect(to: String) -> Self {
        Self {
            headers: vec![("location", to)],
            ..Self::json(302, &json!({}))
        }
    }

    pub(super) fn page(status: u16) -> Self {
        let text = format!("<html><head><title>{status}</title></head><body>edge</body></html>\n");
        Self {
            body: text.into_bytes(),
            is_page: true,
            ..Self::json(status, &json!({}))
        }
    }
}

impl Ask {
    /// The value of a member of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let mut members = self.query.iter();
        members
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}
