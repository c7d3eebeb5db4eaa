//! One connection that stores nothing, for `check`: whether there is a stream, and whether it can be read.

use std::time::Duration;

use super::{
    connect::Endpoint,
    http::{Answer, Body, Piece},
    session::clock_offset,
};
use crate::{
    config::proxy::Proxies,
    period::UtcMs,
    source::wire::{IntakeError, Resume, Wire},
    world::clock::Clock,
};

/// For the first message. A rare collection may have none for longer.
const FIRST: Duration = Duration::from_secs(15);

/// What an endpoint gave.
#[derive(Debug)]
pub struct Trial {
    /// How far this machine's clock is ahead of its own, if it says so.
    pub off_ms: Option<i64>,
    /// Whether a message has come, which could be read; else it is connected, and was silent.
    pub has_spoken: bool,
}

/// Why there is no stream that can be read.
#[derive(Debug, thiserror::Error)]
pub enum NoStream {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, and says no.
    #[error("HTTP {status}: {said}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says about it.
        said: String,
    },
    /// Something else answers.
    #[error("{0}")]
    Other(String),
    /// Its messages cannot be read with what is configured.
    #[error("{0}")]
    Unreadable(String),
}

/// Connects once, and waits for the first message.
pub fn trial(
    url: &str,
    wire: &dyn Wire,
    (clock, proxies): (&Clock, &Proxies),
) -> Result<Trial, NoStream> {
    let unreachable = |why: String| NoStream::Unreachable(why);
    let endpoint =
        Endpoint::new(url, clock, proxies).map_err(|why| unreachable(why.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| unreachable(why.to_string()))?;
    runtime.block_on(connect(&endpoint, wire, clock))
}

async fn connect(endpoint: &Endpoint, wire: &dyn Wire, clock: &Clock) -> Result<Trial, NoStream> {
    let opened = endpoint
        .open(wire.transport(), wire.ask(Resume::Live))
        .await;
    let Answer { response, body } = opened.map_err(|fault| NoStream::Unreachable(fault.detail))?;
    if let Some(what) = wire.is_other(response.status(), response.headers()) {
        return Err(NoStream::Other(what));
    }
    if response.status() != wire.transport().status() {
        let status = response.status().as_u16();
        let said = response.status().canonical_reason().unwrap_or_default();
        return Err(NoStream::Refused {
            status,
            said: said.to_owned(),
        });
    }
    let date = clock_offset(response.headers(), clock.now());
    let first = tokio::time::timeout(FIRST, first(body, endpoint, wire, clock));
    let seen = match first.await {
        Ok(seen) => Some(seen?),
        Err(_silent) => None,
    };
    let by_event = seen.map(|(at, seen)| at.0.saturating_sub(seen.0));
    Ok(Trial {
        off_ms: date.map(i64::saturating_neg).or(by_event),
        has_spoken: seen.is_some(),
    })
}

/// Reads the first message: when it came, and when the endpoint saw its event.
async fn first(
    mut body: Body,
    endpoint: &Endpoint,
    wire: &dyn Wire,
    clock: &Clock,
) -> Result<(UtcMs, UtcMs), NoStream> {
    let intake = wire.intake(None, &endpoint.url, Resume::Live);
    let mut intake = intake.map_err(NoStream::Unreadable)?;
    while let Some(piece) = body.next().await {
        let Piece::Bytes(bytes) = piece.map_err(|fault| NoStream::Other(fault.detail))? else {
            continue;
        };
        let at = clock.now();
        match intake.take(&mut &bytes[..], at) {
            Ok(Some(portion)) => {
                let us = portion.cursor.ok_or_else(|| {
                    NoStream::Other("the first message is not an event of this stream".to_owned())
                })?;
                return Ok((at, UtcMs(us.div_euclid(1_000))));
            }
            Ok(None) => (),
            Err(IntakeError::NotTheApi(why)) => return Err(NoStream::Other(why)),
            Err(IntakeError::Decode(why) | IntakeError::Misfit(why)) => {
                return Err(NoStream::Unreadable(why));
            }
        }
    }
    Err(NoStream::Other("it ended before anything came".to_owned()))
}
