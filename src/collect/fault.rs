//! Why there is no stream, or no more of it.

use std::io;

use crate::segment::event::EndCause;

/// Why an attempt gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: EndCause,
    /// For a person; nothing is decided on it.
    pub(super) detail: String,
}

impl Fault {
    pub(super) fn new(cause: EndCause, detail: &(impl ToString + ?Sized)) -> Self {
        Self {
            cause,
            detail: detail.to_string(),
        }
    }
}

/// What an error of hyper means.
pub(super) fn fault(error: &hyper::Error) -> Fault {
    let mut words = error.to_string();
    let mut io_kind = None;
    let mut tls = false;
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        tls |= inner.is::<rustls::Error>();
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            io_kind = Some(io.kind());
            tls |= io
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
        }
        source = inner.source();
    }
    let cause = match io_kind {
        _ if tls => EndCause::Tls,
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => EndCause::Protocol,
        None if error.is_parse() => EndCause::Protocol,
        _ => EndCause::Reset,
    };
    Fault {
        cause,
        detail: words,
    }
}
