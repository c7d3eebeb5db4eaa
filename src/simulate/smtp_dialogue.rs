//! One dialogue of SMTP, as far as a client that sends mail takes part in it.

use std::{fmt::Write as _, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::smtp_fault::{MailFaultKind, SmtpFault};

/// A command has some hundred bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// A mail with a picture has some hundred kilobytes.
const MAIL_BYTES_MAX: usize = 64 << 20;

/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What is said first.
pub(super) const GREETING: &str = "220 simulated ESMTP\r\n";

/// Both ways of a connection, encrypted or not.
pub(super) trait ReadAndWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadAndWrite for T {}

/// A connection.
pub(super) type Stream = Box<dyn ReadAndWrite>;

impl dyn ReadAndWrite {
    pub(super) async fn say(&mut self, text: &str) -> io::Result<()> {
        self.write_all(text.as_bytes()).await?;
        self.flush().await
    }
}

/// What follows from what the client said.
pub(super) enum Step {
    /// This is answered.
    Reply(String),
    /// The mail is not taken, in these words.
    Refused(String),
    /// This is answered, and then the connection becomes TLS.
    StartTls(String),
    /// A mail has come.
    Mail(Vec<u8>),
    /// It is over.
    End(String),
}

/// How far it has come.
pub(super) struct Dialogue {
    offers_tls: bool,
    encrypted: bool,
    login: Option<String>,
    hello: String,
    user: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    /// What was read beyond the last line.
    rest: Vec<u8>,
}

impl Dialogue {
    pub(super) fn new(offers_tls: bool, encrypted: bool, login: Option<String>) -> Self {
        Self {
            offers_tls,
            encrypted,
            login,
            hello: String::new(),
            user: None,
            from: None,
            to: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// TLS has been agreed on: everything said before is forgotten, as the standard wants it.
    pub(super) fn is_encrypted(&mut self) {
        self.encrypted = true;
        self.offers_tls = false;
        self.rest.clear();
        self.forget();
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// Reads the next command and decides on it.
    pub(super) async fn next(
        &mut self,
        stream: &mut Stream,
        fault: Option<&SmtpFault>,
    ) -> io::Result<Step> {
        let line = self.line(stream, LINE_BYTES_MAX).await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let reply = |text: &str| Ok(Step::Reply(format!("{text}\r\n")));
        let refused = |text: String| Ok(Step::Refused(format!("{text}\r\n")));
        let has = |kind| fault.is_some_and(|fault| fault.kind == kind);
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if has(MailFaultKind::BareHello) && !rest.contains('.') => refused(
                format!("504 5.5.2 <{rest}>: a name with its domain is needed"),
            ),
            "EHLO" | "HELO" => {
                rest.clone_into(&mut self.hello);
                Ok(Step::Reply(self.hello()))
            }
            "STARTTLS" if self.offers_tls => {
                Ok(Step::StartTls("220 2.0.0 go ahead\r\n".to_owned()))
            }
            "AUTH" => self.auth(stream, rest).await,
            "MAIL" if self.login.is_some() && self.user.is_none() => {
                reply("530 5.7.0 who are you?")
            }
            "MAIL" => {
                self.from = Some(address(rest));
                reply("250 2.1.0 ok")
            }
            "RCPT" => {
                let to = address(rest);
                let is = |kind| fault.is_some_and(|fault| fault.is_for(kind, &to));
                if is(MailFaultKind::Refuse) {
                    return refused(format!("550 5.1.1 <{to}>: nobody of that name"));
                }
                if is(MailFaultKind::Greylist) {
                    return refused(format!("451 4.7.1 <{to}>: greylisted, come again"));
                }
                self.to.push(to);
                reply("250 2.1.5 ok")
            }
            "DATA" if self.from.is_some() && !self.to.is_empty() => {
                let several = 1 < self.to.len();
                let mail = self.data(stream).await?;
                if several && has(MailFaultKind::Single) {
                    return refused("554 5.7.1 one recipient at a time".to_owned());
                }
                Ok(mail)
            }
            "DATA" => reply("503 5.5.1 from whom, and to whom?"),
            "RSET" => {
                self.forget();
                reply("250 2.0.0 ok")
            }
            "NOOP" => reply("250 2.0.0 ok"),
            "QUIT" => Ok(Step::End("221 2.0.0 bye\r\n".to_owned())),
            _ => reply("502 5.5.2 what?"),
        }
    }

    fn hello(&self) -> String {
        let mut lines = vec!["simulated".to_owned(), "8BITMIME".to_owned()];
        if self.offers_tls {
            lines.push("STARTTLS".to_owned());
        }
        if self.encrypted || !self.offers_tls {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        let last = lines.len() - 1;
        let mut text = String::new();
        for (place, line) in lines.iter().enumerate() {
            let sign = if place == last { ' ' } else { '-' };
            // writing to a String cannot fail
            let _: std::fmt::Result = write!(text, "250{sign}{line}\r\n");
        }
        text
    }

    /// `AUTH PLAIN` with or without its answer on the same line.
    async fn auth(&mut self, stream: &mut Stream, rest: &str) -> io::Result<Step> {
        let (way, answer) = rest.split_once(' ').unwrap_or((rest, ""));
        let said = if way.eq_ignore_ascii_case("PLAIN") {
            let answer = if answer.is_empty() {
                self.ask(stream, "").await?
            } else {
                answer.to_owned()
            };
            let decoded = STANDARD.decode(answer).unwrap_or_default();
            let text = String::from_utf8_lossy(&decoded).into_owned();
            let mut parts = text.split('\0').skip(1);
            let user = parts.next().unwrap_or("").to_owned();
            format!("{user}:{}", parts.next().unwrap_or(""))
        } else {
            let mut said = Vec::new();
            for what in ["Username:", "Password:"] {
                let answer = self.ask(stream, &STANDARD.encode(what)).await?;
                let decoded = STANDARD.decode(answer).unwrap_or_default();
                said.push(String::from_utf8_lossy(&decoded).into_owned());
            }
            said.join(":")
        };
        if self.login.as_ref().is_some_and(|login| *login != said) {
            return Ok(Step::Refused(
                "535 5.7.8 not with that password\r\n".to_owned(),
            ));
        }
        self.user = said.split(':').next().map(str::to_owned);
        Ok(Step::Reply("235 2.7.0 welcome\r\n".to_owned()))
    }

    async fn ask(&mut self, stream: &mut Stream, what: &str) -> io::Result<String> {
        stream.say(&format!("334 {what}\r\n")).await?;
        let line = self.line(stream, LINE_BYTES_MAX).await?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    async fn data(&mut self, stream: &mut Stream) -> io::Result<Step> {
        stream.say("354 and then a dot\r\n").await?;
        let mut mail = format!(
            "X-Simulated-From: {}\r\nX-Simulated-To: {}\r\nX-Simulated-Tls: {}\r\nX-Simulated-User: {}\r\nX-Simulated-Hello: {}\r\n",
            self.from.as_deref().unwrap_or(""),
            self.to.join(", "),
            if self.encrypted { "yes" } else { "no" },
            self.user.as_deref().unwrap_or("nobody"),
            self.hello,
        )
        .into_bytes();
        loop {
            let line = self.line(stream, MAIL_BYTES_MAX).await?;
            if line == b"." {
                break;
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            if MAIL_BYTES_MAX < mail.len() + line.len() {
                return Err(io::Error::other("the mail is too long"));
            }
            mail.extend_from_slice(line);
            mail.extend_from_slice(b"\r\n");
        }
        self.forget();
        Ok(Step::Mail(mail))
    }

    /// The next line without its line end.
    async fn line(&mut self, stream: &mut Stream, max: usize) -> io::Result<Vec<u8>> {
        let mut looked_at = 0;
        loop {
            let unseen = self.rest.get(looked_at..).unwrap_or(&[]);
            if let Some(end) = memchr::memchr(b'\n', unseen) {
                let mut line: Vec<u8> = self.rest.drain(..=looked_at + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            looked_at = self.rest.len();
            if max < looked_at {
                return Err(io::Error::other("the line is too long"));
            }
            self.rest.reserve(READ_BYTES);
            if stream.read_buf(&mut self.rest).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// `FROM:<a@b> SIZE=1` has `a@b`.
fn address(rest: &str) -> String {
    let inside = rest
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or("", |(address, _)| address).to_owned()
}
