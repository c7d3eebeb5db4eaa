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

/// Bytes for a person: `3.4 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut unit) = (count, 0);
    let mut tenths = 0;
    while 1_024 <= whole && unit + 1 < UNITS.len() {
        tenths = whole % 1_024 * 10 / 1_024;
        whole /= 1_024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenths} {name}")
    }
}
