//! How a platform's stream is asked for, and what its bytes are. Pure: bytes go in, stored lines and what they
//! mean for the connection come out. Sockets, waiting and writing are the collector's.

use std::collections::BTreeSet;

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};

pub use super::page::is_page;
use crate::{
    backoff::Refusal,
    period::UtcMs,
    segment::{
        collections::Collections, line::CursorOf, name::Partition, rules::Rule, sha256::Sha256,
    },
};

/// A platform's stream, as the collector sees it.
pub trait Wire: Send + Sync {
    /// The stream's word.
    fn stream(&self) -> &'static str;

    /// Which part of the stream this asks for, if it has parts.
    fn partition(&self) -> Option<Partition> {
        None
    }

    /// What the bytes come over.
    fn transport(&self) -> Transport;

    /// What a new connection asks for again, given what came last.
    fn resume(&self, last: Last, now: UtcMs) -> Resume;

    /// What the right to ask for past minutes depends on, if an API refuses it for good: one refusal counts for every
    /// request that depends on the same.
    fn right(&self) -> Option<String> {
        None
    }

    /// The request, path and query below the base address.
    fn ask(&self, resume: Resume) -> Ask;

    /// What tells from the head of an answer that it is something else's than the platform's.
    fn is_other(&self, status: StatusCode, headers: &HeaderMap) -> Option<String>;

    /// What an answer means that is no stream; of its body, which is encoded like that, the beginning.
    fn refusal(&self, status: u16, encoding: Option<&str>, body: &[u8]) -> Refused;

    /// Takes a stream in that is encoded like that; `endpoint` is where it comes from.
    fn intake(
        &self,
        encoding: Option<&str>,
        endpoint: &str,
        resume: Resume,
    ) -> Result<Box<dyn Intake>, String>;

    /// Finds the position of a stored line in the platform's stream, if it can be resumed from there.
    fn cursor_of(&self) -> Option<CursorOf>;

    /// How the platform is asked for the rules by which it chooses what the stream brings, if there are any.
    fn rules(&self) -> Option<&dyn AskRules> {
        None
    }

    /// Which collections it asks for, if the platform sends only those that are named.
    fn collections(&self) -> Option<&Collections> {
        None
    }
}

/// How the rules in force are asked for.
pub trait AskRules {
    /// The request for a page of them: the first one, or the one that the page before named.
    fn ask(&self, page: Option<&str>) -> Ask;

    /// What the answer says, or why it cannot be used. Its body is encoded like that.
    fn read(&self, status: u16, encoding: Option<&str>, body: &[u8]) -> Result<RulesPage, String>;

    /// The hash of the rules that the configuration has.
    fn configured(&self) -> Sha256;
}

/// Some of the rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesPage {
    /// They.
    pub rules: Vec<Rule>,
    /// Where the others are.
    pub next: Option<String>,
}

/// A page of rules has at most so many bytes: its rules' characters may be escaped.
pub const RULES_PAGE_BYTES_MAX: usize = 16 << 20;

/// A list of rules that has more pages never ends.
const RULES_PAGES_MAX: usize = 100;

/// The pages of a list of rules, put together.
#[derive(Debug, Default)]
pub struct RulesPages {
    /// The rules of those that were taken.
    pub rules: Vec<Rule>,
    taken: usize,
}

impl RulesPages {
    /// Takes the next page; gives where the one after it is, if there is one.
    pub fn take(&mut self, page: RulesPage) -> Result<Option<String>, String> {
        self.rules.extend(page.rules);
        self.taken += 1;
        if page.next.is_some() && RULES_PAGES_MAX <= self.taken {
            return Err(format!(
                "the list of rules has more than {RULES_PAGES_MAX} pages"
            ));
        }
        Ok(page.next)
    }
}

/// What the bytes of a stream come over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The body of an HTTP response, which has no end.
    Http,
    /// The messages of a WebSocket.
    WebSocket,
}

impl Transport {
    /// The status of an answer that is a stream.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Http => StatusCode::OK,
            Self::WebSocket => StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Path and query below the base address.
    pub path: String,
    /// Headers beside those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What came last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Last {
    /// When the last line arrived, in the steady time.
    pub arrival: Option<UtcMs>,
    /// Its position in the platform's stream.
    pub cursor: Option<i64>,
}

/// What a connection asks for again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resume {
    /// Nothing: what comes from now on.
    #[default]
    Live,
    /// The last minutes.
    Minutes(u8),
    /// All since a place in the platform's stream: µs since 1970 by the clock of who sends.
    Since(i64),
}

/// Why there is no stream, and what the platform says about it in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The row of the table of waits.
    pub refusal: Refusal,
    /// For a person; nothing is decided on it.
    pub detail: String,
}

/// Takes one stream in.
pub trait Intake: Send {
    /// Takes the next portion from `input`, which moves on; `None` when it is used up. Over a WebSocket `input` is
    /// one message.
    fn take(&mut self, input: &mut &[u8], at: UtcMs) -> Result<Option<Portion>, IntakeError>;

    /// The stream is over: what came after the last line end, as a line if it looks whole, or in words.
    fn finish(self: Box<Self>, at: UtcMs) -> Result<(Portion, Option<String>), IntakeError>;
}

/// Why nothing can be made of the bytes.
#[derive(Debug)]
pub enum IntakeError {
    /// They are not what the answer said they are.
    Decode(String),
    /// They are something else's than the platform's.
    NotTheApi(String),
    /// They need something else than what is configured: nothing mends that but a person.
    Misfit(String),
}

/// What some bytes were made of.
#[derive(Debug, Default)]
pub struct Portion {
    /// Whole stored lines.
    pub stored: Vec<u8>,
    /// How many.
    pub lines: u64,
    /// Of these, cut for their length.
    pub oversize: u64,
    /// Signs of life that are no lines.
    pub keep_alives: u64,
    /// What the platform says about itself.
    pub frames: Vec<Frame>,
    /// The ids of the rules that the lines name, where rules choose them.
    pub rules: BTreeSet<String>,
    /// The position of the last line in the platform's stream.
    pub cursor: Option<i64>,
    /// The platform's clock minus ours, if that has just become known.
    pub offset_ms: Option<i64>,
    /// The stream begins later than was asked for: from where it was asked for, and where it begins.
    pub clamped: Option<(UtcMs, UtcMs)>,
}

/// Something that the platform says about itself.
#[derive(Debug)]
pub struct Frame {
    /// Verbatim.
    pub line: String,
    /// What it means.
    pub notice: Notice,
}

/// What such a frame means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It only tells something.
    Message,
    /// The platform disconnects, with its word for why.
    Disconnect(String),
}
