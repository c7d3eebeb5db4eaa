//! What `check` found, one finding for each connection or folder.

use serde::Serialize;

use super::exit::{Exit, Failure};

/// A clock that is off by more is an alarm of the service, too.
const CLOCK_OFF_MAX_MS: i64 = 5_000;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FindingState {
    Ok,
    Warn,
    Fail,
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: FindingState,
    pub(super) what: String,
    /// How to mend it.
    pub(super) hint: Option<String>,
    #[serde(skip)]
    pub(super) unreachable: bool,
}

pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Finding {
    Finding {
        check,
        state: FindingState::Ok,
        what: what.into(),
        hint: None,
        unreachable: false,
    }
}

pub(super) fn warn(
    check: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        state: FindingState::Warn,
        hint: Some(hint.into()),
        ..ok(check, what)
    }
}

pub(super) fn fail(
    check: &'static str,
    what: impl Into<String>,
    hint: impl Into<String>,
) -> Finding {
    Finding {
        state: FindingState::Fail,
        hint: Some(hint.into()),
        ..ok(check, what)
    }
}

/// What a failure says.
pub(super) fn failed(check: &'static str, failure: Failure) -> Finding {
    let unreachable = failure.exit == Exit::Unreachable;
    let hint = failure.hint.unwrap_or_default();
    Finding {
        unreachable,
        ..fail(check, failure.what, hint)
    }
}

/// How far this machine's clock is ahead: of a header that has whole seconds, or an event, which both took their way.
pub(super) fn clock(off_ms: i64) -> Finding {
    let seconds = off_ms.div_euclid(1_000);
    if off_ms.abs() <= CLOCK_OFF_MAX_MS {
        ok("clock", format!("{seconds:+} s against the platform's"))
    } else {
        warn(
            "clock",
            format!("{seconds:+} s against the platform's"),
            "let it follow a time server: apt install systemd-timesyncd",
        )
    }
}
