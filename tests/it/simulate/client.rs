//! A client on a raw socket that sees where chunks end and how connections do.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use flate2::write::MultiGzDecoder;
use serde_json::Value;
use twinstream::world::clock::Clock;

use super::SAMPLE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The body is complete.
    Clean,
    /// The connection was closed inside the body.
    Closed,
    Reset,
    /// The gzip stream is damaged.
    Undecodable,
    /// It was still open when the client had seen enough.
    Open,
}

/// One request and what came back.
pub(super) struct Client {
    pub(super) socket: TcpStream,
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) undecoded: Vec<u8>,
    pub(super) gzip: Option<MultiGzDecoder<Vec<u8>>>,
    pub(super) body: Vec<u8>,
    /// Complete lines in the body.
    line_count: usize,
    /// The longest time without a complete line.
    pub(super) silence: Duration,
}

impl Client {
    pub(super) fn ask(port: u16, target: &str, headers: &str) -> io::Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        write!(socket, "GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match socket.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
                Err(e) => return Err(e),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let (first, rest) = head.split_once("\r\n").unwrap();
        let headers: HashMap<String, String> = rest
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let is_gzip = headers
            .get("content-encoding")
            .is_some_and(|value| value == "gzip");
        Ok(Self {
            socket,
            status: first.split(' ').nth(1).unwrap().parse().unwrap(),
            gzip: is_gzip.then(|| MultiGzDecoder::new(Vec::new())),
            headers,
            undecoded: Vec::new(),
            body: Vec::new(),
            line_count: 0,
            silence: Duration::ZERO,
        })
    }

    pub(super) fn stream(port: u16, query: &str, gzip: bool) -> Self {
        let encoding = if gzip {
            "Accept-Encoding: gzip\r\n"
        } else {
            ""
        };
        let headers = format!("Authorization: Bearer simulated\r\n{encoding}");
        let client = Self::ask(port, &format!("{SAMPLE}{query}"), &headers).unwrap();
        assert_eq!(client.status, 200);
        client
    }

    /// Reads until `enough` or the end, at most so long.
    pub(super) fn read(&mut self, at_most: Duration, enough: impl Fn(&Self) -> bool) -> Ended {
        let clock = Clock::system();
        let read_from = clock.now();
        let mut last_line = read_from;
        while clock.now().0 - read_from.0 < i64::try_from(at_most.as_millis()).unwrap()
            && !enough(self)
        {
            let mut buffer = [0; 16 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ended::Closed,
                Ok(len) => {
                    let (lines, decoded_before) = (self.line_count, self.body.len());
                    self.undecoded.extend_from_slice(&buffer[..len]);
                    let decoded = self.decode();
                    self.line_count +=
                        memchr::memchr_iter(b'\n', &self.body[decoded_before..]).count();
                    match decoded {
                        Err(_) => return Ended::Undecodable,
                        Ok(true) => return Ended::Clean,
                        Ok(false) => (),
                    }
                    if lines < self.line_count {
                        let passed = u64::try_from(clock.now().0 - last_line.0).unwrap();
                        self.silence = self.silence.max(Duration::from_millis(passed));
                        last_line = clock.now();
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => (),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ended::Reset,
                Err(e) => panic!("{e}"),
            }
        }
        Ended::Open
    }

    /// Takes whole chunks off the undecoded bytes; true after the last one.
    fn decode(&mut self) -> io::Result<bool> {
        loop {
            let Some(end) = self.undecoded.windows(2).position(|pair| pair == b"\r\n") else {
                return Ok(false);
            };
            let size = str::from_utf8(&self.undecoded[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if self.undecoded.len() < end + 2 + size + 2 {
                return Ok(false);
            }
            let chunk: Vec<u8> = self.undecoded.drain(..end + 2 + size + 2).collect();
            let chunk = &chunk[end + 2..end + 2 + size];
            match &mut self.gzip {
                None => self.body.extend_from_slice(chunk),
                Some(decoder) => {
                    decoder.write_all(chunk)?;
                    decoder.flush()?;
                    self.body.append(decoder.get_mut());
                }
            }
            if size == 0 {
                return Ok(true);
            }
        }
    }

    /// The post time of the last complete line, in Unix milliseconds, if it is a post.
    pub(super) fn last_post_ms(&self) -> Option<u64> {
        let end = memchr::memrchr(b'\n', &self.body)?;
        let begin = memchr::memrchr(b'\n', &self.body[..end]).map_or(0, |before| before + 1);
        let line: Value = serde_json::from_slice(&self.body[begin..end]).ok()?;
        let id: u64 = line["data"]["id"].as_str()?.parse().ok()?;
        Some((id >> 22) + 1_288_834_974_657)
    }

    /// The complete lines, without their ends.
    pub(super) fn lines(&self) -> Vec<&[u8]> {
        let mut lines: Vec<&[u8]> = self.body.split(|byte| *byte == b'\n').collect();
        lines.pop();
        lines
            .into_iter()
            .map(|line| line.strip_suffix(b"\r").unwrap())
            .collect()
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.lines()
            .into_iter()
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .filter_map(|value| value["data"]["id"].as_str()?.parse().ok())
            .collect()
    }
}
