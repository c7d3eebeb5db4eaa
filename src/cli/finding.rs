//! What `check` finds at a door.

use serde::Serialize;

use super::exit::{Exit, Failure};

/// How a door opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

/// What was found at one door.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) door: &'static str,
    pub(super) state: State,
    pub(super) what: String,
    /// How to mend it.
    pub(super) hint: Option<String>,
    #[serde(skip)]
    pub(super) unreachable: bool,
}

pub(super) fn ok(door: &'static str, what: impl Into<String>) -> Finding {
    Finding {
        door,
        state: State::Ok,
        what: what.into(),
        hint: None,
        unreachable: false,
    }
}

pub(super) fn warn(
    door: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        state: State::Warn,
        hint: Some(hint.into()),
        ..ok(door, what)
    }
}

pub(super) fn fail(
    door: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        state: State::Fail,
        hint: Some(hint.into()),
        ..ok(door, what)
    }
}

/// What a failure says.
pub(super) fn failed(door: &'static str, failure: Failure) -> Finding {
    let unreachable = failure.exit == Exit::Unreachable;
    let hint = failure.hint.unwrap_or_default();
    Finding {
        unreachable,
        ..fail(door, failure.what, hint)
    }
}
