//! A client of Jetstream on a WebSocket, as any other is.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig},
};
use twinstream::world::clock::Clock;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was still open when the client had seen enough.
    Open,
    /// A close frame with that code and these words.
    Closed(u16, String),
    /// The connection was closed without a close frame.
    Dropped,
    Reset,
    /// What came breaks a rule or a limit.
    Unreadable(String),
}

pub(super) struct Subscriber {
    pub(super) socket: WebSocket<TcpStream>,
    /// All messages but pings, as they came.
    pub(super) messages: Vec<Message>,
    pub(super) pings: usize,
    /// The longest time without an event.
    pub(super) silence: Duration,
}

/// A refusal: status and body.
pub(super) type Refused = (u16, String);

/// The longest message that is taken.
pub(super) const MESSAGE_BYTES_MAX: usize = 250_000;

impl Subscriber {
    pub(super) fn ask(port: u16, target: &str, headers: &str) -> io::Result<Result<Self, Refused>> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        // the example of RFC 6455
        write!(
            socket,
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 101 {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length = length.split("\r\n").next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            socket.read_exact(&mut body)?;
            return Ok(Err((status, String::from_utf8(body).unwrap())));
        }
        let accept = "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n";
        assert!(head.contains(accept), "{head}");
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
        Ok(Ok(Self {
            socket: WebSocket::from_raw_socket(socket, Role::Client, Some(config)),
            messages: Vec::new(),
            pings: 0,
            silence: Duration::ZERO,
        }))
    }

    pub(super) fn open(port: u16, query: &str) -> Self {
        let asked = Self::ask(port, &format!("/subscribe{query}"), "");
        asked
            .unwrap()
            .unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    pub(super) fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Reads until `enough` or the end, at most so long.
    pub(super) fn read(&mut self, at_most: Duration, enough: impl Fn(&Self) -> bool) -> Ended {
        let clock = Clock::system();
        let until = clock
            .steady()
            .plus_ms(i64::try_from(at_most.as_millis()).unwrap());
        let mut last = clock.steady();
        while clock.steady() < until && !enough(self) {
            match self.socket.read() {
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Close(frame)) => {
                    let frame = frame.unwrap();
                    return Ended::Closed(frame.code.into(), frame.reason.to_string());
                }
                Ok(message) => {
                    self.messages.push(message);
                    let now = clock.steady();
                    let passed = u64::try_from(now.0 - last.0).unwrap();
                    self.silence = self.silence.max(Duration::from_millis(passed));
                    last = now;
                }
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => (),
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return Ended::Reset;
                }
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Ended::Dropped;
                }
                Err(other) => return Ended::Unreadable(other.to_string()),
            }
        }
        Ended::Open
    }

    /// The messages that are events.
    pub(super) fn events(&self) -> Vec<Value> {
        let texts = self.messages.iter().filter(|message| message.is_text());
        texts
            .filter_map(|text| serde_json::from_str(text.to_text().unwrap()).ok())
            .collect()
    }
}

/// When the instance says that it came.
pub(super) fn time_us(message: &Message) -> Option<i64> {
    serde_json::from_str::<Value>(message.to_text().ok()?).ok()?["time_us"].as_i64()
}

/// `did/collection/rkey@rev` or `did#kind/seq`, as the truth log has it.
pub(super) fn key(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (did, kind) = (text(&event["did"]), text(&event["kind"]));
    if kind != "commit" {
        return format!("{did}#{kind}/{}", event[&kind]["seq"]);
    }
    let commit = &event["commit"];
    let (collection, rkey) = (text(&commit["collection"]), text(&commit["rkey"]));
    format!("{did}/{collection}/{rkey}@{}", text(&commit["rev"]))
}
