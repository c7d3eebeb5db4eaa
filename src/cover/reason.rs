//! Why nothing comes in: derives a cause of the closed list, and its detail, from the words of the events.

use super::cause::Cause;
use crate::{
    segment::event::{self, WaitReason},
    text::one_line,
};

/// More about a lock-out by our own count: nothing was tried.
const NO_REQUESTS: &str = "waited for requests";

/// More about a stall after which the connection went on.
const STILL_CONNECTED: &str = "still connected";

/// Why nothing comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The cause.
    pub cause: Cause,
    /// More about it.
    pub detail: String,
}

impl Reason {
    /// A cause, and more about it: words that may come from outside, and go into files of lines.
    pub fn new(cause: Cause, detail: &str) -> Self {
        Self {
            cause,
            detail: one_line(detail),
        }
    }

    /// No events file covers it.
    pub fn late() -> Self {
        Self::new(Cause::Late, "")
    }

    /// What came of it cannot be used, and lies there.
    pub fn aside(place: &str) -> Self {
        let detail = format!(
            "unusable, set aside in {place}: it is missing until a good copy takes its place"
        );
        Self::new(Cause::Late, &detail)
    }

    /// The collector did not run, or has not tried yet.
    pub fn not_running() -> Self {
        Self::new(Cause::NotRunning, "")
    }

    /// The connection was up and brought nothing.
    pub fn still_connected() -> Self {
        Self::new(Cause::Stall, STILL_CONNECTED)
    }

    /// That of a connection's end.
    pub fn of_end(ended: &event::Disconnected) -> Self {
        Self::of(ended.cause, ended.status, ended.disconnect_type.as_deref())
    }

    /// What a minute's record says.
    pub fn of_down(down: &event::Down) -> Self {
        let of = |cause| Self::of(cause, down.status, down.disconnect_type.as_deref());
        let reason = down.cause.map_or_else(Self::not_running, of);
        match down.why {
            Some(why) => reason.refined(why),
            None => reason,
        }
    }

    /// With the row of the table of waits, which tells one 429 from another, and that it is for want of requests that
    /// nothing is tried.
    #[must_use]
    pub fn refined(self, why: WaitReason) -> Self {
        match (self.cause, why) {
            (Cause::LockOut, WaitReason::UsageCap | WaitReason::NoRules) => {
                Self::new(Cause::Refused, &self.detail)
            }
            (
                Cause::LockOut,
                WaitReason::TooManyConnections | WaitReason::RateLimit | WaitReason::Provisioning,
            ) => Self::new(Cause::LockOut, why.word()),
            (cause, WaitReason::Budget) if cause != Cause::LockOut => {
                Self::new(Cause::LockOut, NO_REQUESTS)
            }
            _ => self,
        }
    }

    fn of(cause: event::EndCause, status: Option<u16>, disconnect_type: Option<&str>) -> Self {
        const TOO_MANY_REQUESTS: u16 = 429;
        let network = |how: &str| Self::new(Cause::Network, how);
        match cause {
            event::EndCause::Eof => network("eof"),
            event::EndCause::Reset => network("reset"),
            event::EndCause::Dns => network("dns"),
            event::EndCause::Connect => network("connect"),
            event::EndCause::Tls => network("tls"),
            event::EndCause::UnknownIssuer => network("unknown issuer"),
            event::EndCause::Proxy => network("proxy"),
            event::EndCause::Timeout => network("timeout"),
            event::EndCause::Protocol => network("protocol"),
            event::EndCause::NotTheApi => network("not the API"),
            event::EndCause::Stall => Self::new(Cause::Stall, ""),
            event::EndCause::Platform => {
                Self::new(Cause::PlatformDisconnect, disconnect_type.unwrap_or(""))
            }
            event::EndCause::HttpStatus => {
                let cause = match status {
                    Some(TOO_MANY_REQUESTS) => Cause::LockOut,
                    _ => Cause::Refused,
                };
                let status = status.map(|status| status.to_string());
                Self::new(cause, &status.unwrap_or_default())
            }
            event::EndCause::Shutdown => Self::not_running(),
            event::EndCause::Disk => Self::new(Cause::Disk, ""),
            event::EndCause::Other => Self::new(Cause::Unknown, "a cause of a later version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::UtcMs;

    #[track_caller]
    fn check(
        cause: impl Into<Option<event::EndCause>>,
        status: Option<u16>,
        why: impl Into<Option<WaitReason>>,
        expected: (Cause, &str),
    ) {
        let down = event::Down {
            since: UtcMs(0),
            nothing_since: UtcMs(0),
            cause: cause.into(),
            status,
            disconnect_type: Some("Word".to_owned()),
            why: why.into(),
        };
        let found = Reason::of_down(&down);
        assert_eq!((found.cause, found.detail.as_str()), expected);
    }

    #[test]
    fn every_end_has_its_cause() {
        use event::EndCause as E;
        check(E::Eof, None, WaitReason::Reconnect, (Cause::Network, "eof"));
        check(E::Dns, None, WaitReason::Network, (Cause::Network, "dns"));
        check(
            E::Protocol,
            None,
            WaitReason::Pace,
            (Cause::Network, "protocol"),
        );
        let waited = (Cause::LockOut, "waited for requests");
        check(E::Protocol, None, WaitReason::Budget, waited);
        check(E::HttpStatus, Some(400), WaitReason::Budget, waited);
        check(None, None, WaitReason::Budget, waited);
        check(None, None, WaitReason::Pace, (Cause::NotRunning, ""));
        check(
            E::NotTheApi,
            Some(302),
            WaitReason::NotTheApi,
            (Cause::Network, "not the API"),
        );
        check(E::Stall, None, WaitReason::Pace, (Cause::Stall, ""));
        check(E::Platform, None, None, (Cause::PlatformDisconnect, "Word"));
        let status =
            |status, why: WaitReason, expected| check(E::HttpStatus, Some(status), why, expected);
        status(429, WaitReason::Budget, (Cause::LockOut, "429"));
        status(429, WaitReason::RateLimit, (Cause::LockOut, "rate_limit"));
        status(
            429,
            WaitReason::TooManyConnections,
            (Cause::LockOut, "too_many_connections"),
        );
        status(429, WaitReason::UsageCap, (Cause::Refused, "429"));
        status(402, WaitReason::UsageCap, (Cause::Refused, "402"));
        status(503, WaitReason::ServerError, (Cause::Refused, "503"));
        check(E::Shutdown, None, None, (Cause::NotRunning, ""));
        check(E::Disk, None, WaitReason::DiskFull, (Cause::Disk, ""));
        check(
            E::Other,
            None,
            None,
            (Cause::Unknown, "a cause of a later version"),
        );
    }
}
