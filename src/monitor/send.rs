//! Hands a mail to a mail server.
//!
//! One mail goes to all who are to have it, and whom the server refuses keeps it from nobody else. A
//! server that takes a mail for several only as a whole is given it for one after the other.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Address, Message,
    message::{Attachment as Part, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{SmtpConnection, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};

use super::queue::{Attempt, QueuedMail};
use crate::{
    config::settings::{Mail, MailTls, Secret},
    text::one_line,
};

/// For each step of the dialogue, in real time.
const STEP: Duration = Duration::from_secs(30);

/// Sends one mail to those who do not have it yet. `id` makes its Message-ID, so that one that was
/// taken twice because the answer got lost is shown once.
pub fn send(mail: &Mail, password: Option<&Secret>, queued: &QueuedMail, id: &str) -> Attempt {
    let mut attempt = Attempt::default();
    let wanted: Vec<&str> = queued.lacks(&mail.to).collect();
    if wanted.is_empty() {
        return attempt;
    }
    let message = match message(mail, queued, id) {
        Ok(message) => message.formatted(),
        Err(why) => {
            attempt.refuse_all(&wanted, &why);
            return attempt;
        }
    };
    let mut session = match MailSession::open(mail, password) {
        Ok(session) => session,
        Err(why) => {
            attempt.away = Some(why);
            return attempt;
        }
    };
    session.give(&message, &wanted, &mut attempt);
    session.close();
    attempt
}

/// The same, `but` for some, for each in a connection of its own: whatever the server makes of one, the next is asked for.
pub fn send_singly(
    mail: &Mail,
    password: Option<&Secret>,
    queued: &QueuedMail,
    id: &str,
    but: &[String],
) -> Attempt {
    let mut all = Attempt::default();
    let rest = queued.lacks(&mail.to);
    for address in rest.filter(|address| but.iter().all(|one| one != address)) {
        let alone = Mail {
            to: vec![address.to_owned()],
            ..mail.clone()
        };
        let one = send(&alone, password, queued, id);
        all.taken.extend(one.taken);
        all.refused.extend(one.refused);
        if let Some(why) = one.away {
            all.refused.insert(address.to_owned(), why);
        }
    }
    all
}

/// Greets the mail server and says who one is, and sends nothing.
pub fn try_to_mail(mail: &Mail, password: Option<&Secret>) -> Result<(), String> {
    MailSession::open(mail, password).map(MailSession::close)
}

/// A recipient, and why the mail server would take nothing for them, if so.
pub type Asked = (String, Result<(), String>);

/// Whom the mail server would take a mail for, each recipient with its words if not; no mail is sent.
pub fn try_recipients(mail: &Mail, password: Option<&Secret>) -> Result<Vec<Asked>, String> {
    let mut session = MailSession::open(mail, password)?;
    session.mail_from(&[]).map_err(|refusal| refusal.why)?;
    let mut found = Vec::new();
    for address in &mail.to {
        let asked = match session.rcpt_to(address) {
            Err(Refusal { why, away: true }) => return Err(why),
            asked => asked.map_err(|refusal| refusal.why),
        };
        found.push((address.clone(), asked));
    }
    session.forget();
    session.close();
    Ok(found)
}

/// That something was not taken.
struct Refusal {
    why: String,
    /// Whether nothing more can be said on this connection.
    away: bool,
}

impl From<lettre::transport::smtp::Error> for Refusal {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        Self {
            // 421: the server closes the connection
            away: error.status().is_none_or(|code| code.to_string() == "421"),
            why: in_words(&error),
        }
    }
}

/// A connection on which one has said who one is.
struct MailSession<'a> {
    connection: SmtpConnection,
    from: &'a str,
    /// Whether all addresses are.
    is_ascii: bool,
}

impl<'a> MailSession<'a> {
    fn open(mail: &'a Mail, password: Option<&Secret>) -> Result<Self, String> {
        let tls = TlsParameters::new(mail.host.clone());
        let tls = tls.map_err(|why| format!("TLS cannot be set up: {}", in_words(&why)))?;
        let hello = hello(mail);
        let from_begin = (mail.tls == MailTls::Implicit).then_some(&tls);
        let address = (mail.host.as_str(), mail.port);
        let mut connection = SmtpConnection::connect(address, Some(STEP), &hello, from_begin, None)
            .map_err(|why| in_words(&why))?;
        if mail.tls == MailTls::Starttls {
            let started = connection.starttls(&tls, &hello);
            started.map_err(|why| in_words(&why))?;
        }
        if let (Some(user), Some(password)) = (&mail.user, password) {
            let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
            let let_in = connection.auth(DEFAULT_MECHANISMS, &credentials);
            let_in.map_err(|why| format!("it refuses the login of {user}: {}", in_words(&why)))?;
        }
        Ok(Self {
            connection,
            from: &mail.from,
            is_ascii: mail.from.is_ascii() && mail.to.iter().all(|to| to.is_ascii()),
        })
    }

    fn has(&self, extension: Extension) -> bool {
        self.connection.server_info().supports_feature(extension)
    }

    fn mail_from(&mut self, message: &[u8]) -> Result<(), Refusal> {
        let from: Address = self.from.parse().map_err(unfit)?;
        let mut parameters = Vec::new();
        if !self.is_ascii && self.has(Extension::SmtpUtfEight) {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !message.is_ascii() && self.has(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let said = self
            .connection
            .command(MailFrom::new(Some(from), parameters));
        said.map_err(|why| {
            let Refusal { why, away } = why.into();
            let why = format!("from {}: {why}", self.from);
            Refusal { why, away }
        })?;
        Ok(())
    }

    fn rcpt_to(&mut self, address: &str) -> Result<(), Refusal> {
        let to: Address = address.parse().map_err(unfit)?;
        if !address.is_ascii() && !self.has(Extension::SmtpUtfEight) {
            let why =
                "the mail server does not accept addresses with such letters (SMTPUTF8)".to_owned();
            return Err(Refusal { why, away: false });
        }
        self.connection.command(Rcpt::new(to, Vec::new()))?;
        Ok(())
    }

    /// Gives a mail for all who are taken; then, if it is not taken for them together, for one after the other.
    fn give(&mut self, message: &[u8], wanted: &[&str], attempt: &mut Attempt) {
        let named = match self.name(message, wanted, attempt) {
            Some(named) if !named.is_empty() => named,
            _ => return,
        };
        let Err(refusal) = self.hand_over(message) else {
            attempt.taken.extend(named.into_iter().map(str::to_owned));
            return;
        };
        match named.as_slice() {
            _ if refusal.away => attempt.away = Some(refusal.why),
            [one] => attempt.refuse_all(&[one], &refusal.why),
            several => {
                for one in several {
                    self.forget();
                    self.give(message, &[one], attempt);
                }
            }
        }
    }

    /// Says from whom and to whom; gives back for whom it would be taken.
    fn name<'w>(
        &mut self,
        message: &[u8],
        wanted: &[&'w str],
        attempt: &mut Attempt,
    ) -> Option<Vec<&'w str>> {
        if let Err(refusal) = self.mail_from(message) {
            // the next mail is from the same one
            attempt.away = Some(refusal.why);
            return None;
        }
        let mut named = Vec::new();
        for address in wanted {
            match self.rcpt_to(address) {
                Ok(()) => named.push(*address),
                Err(Refusal { why, away: true }) => {
                    attempt.away = Some(format!("to {address}: {why}"));
                    return None;
                }
                Err(Refusal { why, .. }) => attempt.refuse_all(&[address], &why),
            }
        }
        if named.is_empty() {
            self.forget();
        }
        Some(named)
    }

    fn hand_over(&mut self, message: &[u8]) -> Result<(), Refusal> {
        self.connection.command(Data)?;
        self.connection.message(message)?;
        Ok(())
    }

    /// Nothing has been said.
    fn forget(&mut self) {
        // whether it was understood shows with what is said next
        drop(self.connection.command("RSET\r\n"));
    }

    fn close(mut self) {
        drop(self.connection.quit());
    }
}

fn unfit(why: lettre::address::AddressError) -> Refusal {
    Refusal {
        why: why.to_string(),
        away: false,
    }
}

/// Who this machine says it is: servers refuse a name without a dot.
fn hello(mail: &Mail) -> ClientId {
    if let Some(helo) = &mail.helo {
        return ClientId::Domain(helo.clone());
    }
    let domain = mail.from.rsplit_once('@').map_or("", |(_, domain)| domain);
    match ClientId::default() {
        ClientId::Domain(name) if !name.contains('.') && domain.is_ascii() => {
            ClientId::Domain(domain.to_owned())
        }
        own => own,
    }
}

fn message(mail: &Mail, queued: &QueuedMail, id: &str) -> Result<Message, String> {
    let mailbox = |address: &str| -> Result<Mailbox, String> {
        address.parse().map_err(|why| format!("{address}: {why}"))
    };
    let from = mailbox(&mail.from)?;
    let host = from.email.domain().to_owned();
    let ms = u64::try_from(queued.at.0).unwrap_or(0);
    let mut builder = Message::builder()
        .from(from)
        .date(UNIX_EPOCH + Duration::from_millis(ms))
        .message_id(Some(format!("<{id}.twinstream@{host}>")))
        .subject(queued.subject.clone());
    for address in &mail.to {
        builder = builder.to(mailbox(address)?);
    }
    let text = SinglePart::plain(queued.text.clone());
    let built = if queued.attachments.is_empty() {
        builder.singlepart(text)
    } else {
        let mut parts = MultiPart::mixed().singlepart(text);
        for attachment in &queued.attachments {
            let kind = ContentType::parse(&attachment.kind).map_err(|why| why.to_string())?;
            let part = Part::new(attachment.name.clone()).body(attachment.bytes(), kind);
            parts = parts.singlepart(part);
        }
        builder.multipart(parts)
    };
    built.map_err(|why| why.to_string())
}

/// An error with its causes, on one line: the words in it are the mail server's. lettre never puts a password into one.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            // writing to a String cannot fail
            let _: std::fmt::Result = write!(words, ": {text}");
        }
        source = cause.source();
    }
    one_line(&words)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::period::UtcMs;

    /// Gives a mail to a mail server that answers one command in these words, and then closes the connection.
    fn given(command: &'static str, words: &'static str) -> Attempt {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let say = |text: &str| (&stream).write_all(format!("{text}\r\n").as_bytes());
            say("220 here").unwrap();
            for line in BufReader::new(&stream).lines() {
                let line = line.unwrap();
                match line.get(..4).unwrap_or_default() {
                    verb if verb == command => return say(words).unwrap(),
                    "DATA" => say("354 go on").unwrap(),
                    _ => say("250 ok").unwrap(),
                }
            }
        });
        let to = ["a@example.org", "b@example.org"].map(str::to_owned);
        let mail = Mail {
            host: "127.0.0.1".to_owned(),
            port,
            tls: MailTls::None,
            user: None,
            password_file: None,
            from: "me@example.org".to_owned(),
            to: to.to_vec(),
            helo: None,
        };
        let queued = QueuedMail::new(UtcMs(0), "subject".to_owned(), "text".to_owned());
        let attempt = send(&mail, None, &queued, "id");
        server.join().unwrap();
        attempt
    }

    #[test]
    fn a_server_that_says_goodbye_has_refused_nothing() {
        for command in ["EHLO", "MAIL", "RCPT", "DATA"] {
            let attempt = given(command, "421 4.3.2 closing");
            assert!(attempt.away.is_some(), "{command}: {attempt:?}");
            assert!(attempt.refused.is_empty() && attempt.taken.is_empty());
        }
    }
}
