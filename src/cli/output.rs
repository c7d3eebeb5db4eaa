//! What goes to standard output: facts as text or JSON, and nothing else.

use std::io::{self, Write as _};

use serde::Serialize;

use super::exit::{Exit, Failure};

/// Prints text as it is. A reader that has gone away (`| head`) is not an error worth a message.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, "")),
        Err(e) => Err(Failure::new(
            Exit::Failed,
            format!("cannot write to standard output: {e}"),
        )),
    }
}

/// Prints a value as JSON, indented, with its LF.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print(&text)
}

pub(crate) use crate::text::bytes;
