//! Lines that are no posts, kept verbatim in `rejected.jsonl`.
//!
//! One JSON object a line: `reason`, `server`, `segment`, `retrieved_at` (or null), and the line as
//! received: `line` if it is UTF-8, else `line_base64`. In the order of segments and lines.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    period::UtcMs,
    post::{parse, reject::Rejected},
    segment::{
        line,
        name::{SegmentName, ServerId},
    },
};

/// What one line of the file says of itself.
#[derive(Deserialize)]
pub struct Kept {
    /// Why it is no post.
    pub reason: Rejected,
    /// Whose it is.
    pub server: ServerId,
    /// From which segment.
    pub segment: SegmentName,
    /// The line, if it is UTF-8.
    line: Option<String>,
    /// The line, if it is not.
    line_base64: Option<String>,
}

impl Kept {
    /// The line as received.
    pub fn received(&self) -> Vec<u8> {
        let decoded = self
            .line_base64
            .as_ref()
            .and_then(|text| STANDARD.decode(text).ok());
        let line = self.line.as_ref().map(|text| text.clone().into_bytes());
        line.or(decoded).unwrap_or_default()
    }
}

/// One line of the file.
#[derive(Serialize)]
struct Row<'a> {
    reason: Rejected,
    server: &'a ServerId,
    segment: &'a SegmentName,
    retrieved_at: Option<UtcMs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
}

/// Appends one stored line (without its LF), and says why it is no post; `None` if it is one.
pub fn push(to: &mut Vec<u8>, segment: &SegmentName, stored: &[u8]) -> Option<Rejected> {
    let reason = parse::place(stored).err()?;
    let cut = line::cut(stored);
    let received = cut.received();
    let (line, line_base64) = match str::from_utf8(&received) {
        Ok(text) => (Some(text), None),
        Err(_not_utf8) => (None, Some(STANDARD.encode(&received))),
    };
    let kept = Row {
        reason,
        server: &segment.server,
        segment,
        retrieved_at: cut.retrieved_at,
        line,
        line_base64,
    };
    // writing to memory what is made of texts
    if serde_json::to_writer(&mut *to, &kept).is_ok() {
        to.push(b'\n');
    }
    Some(reason)
}
