//! Hands a letter to a mail server.

use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use lettre::{
    Message, SmtpTransport, Transport as _,
    message::{Attachment as Part, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::queue::{Letter, NotTaken};
use crate::config::settings::{Mail, MailTls, Secret};

/// For each step of the dialogue, in real time.
const STEP: Duration = Duration::from_secs(30);

/// Sends one letter. `id` makes its Message-ID, so that one that was taken twice because the answer
/// got lost is shown once.
pub fn send(
    mail: &Mail,
    password: Option<&Secret>,
    letter: &Letter,
    id: &str,
) -> Result<(), NotTaken> {
    let message = message(mail, letter, id).map_err(|why| NotTaken {
        why,
        unreachable: false,
    })?;
    let transport = transport(mail, password).map_err(|why| NotTaken {
        why: format!("TLS cannot be set up: {why}"),
        unreachable: true,
    })?;
    match transport.send(&message) {
        Ok(_) => Ok(()),
        Err(error) => Err(NotTaken {
            // a refusal may be of this letter alone, everything else is of the way there
            unreachable: error.status().is_none() || error.is_client(),
            why: in_words(&error),
        }),
    }
}

/// Greets the mail server and says who one is, and sends nothing.
pub fn try_the_door(mail: &Mail, password: Option<&Secret>) -> Result<(), NotTaken> {
    let transport = transport(mail, password).map_err(|why| NotTaken {
        why: format!("TLS cannot be set up: {why}"),
        unreachable: true,
    })?;
    match transport.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotTaken {
            why: "it takes no mail at present".to_owned(),
            unreachable: true,
        }),
        Err(error) => Err(NotTaken {
            unreachable: error.status().is_none(),
            why: in_words(&error),
        }),
    }
}

fn transport(
    mail: &Mail,
    password: Option<&Secret>,
) -> Result<SmtpTransport, lettre::transport::smtp::Error> {
    let tls = match mail.tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(TlsParameters::new(mail.host.clone())?),
        MailTls::Implicit => Tls::Wrapper(TlsParameters::new(mail.host.clone())?),
    };
    let mut builder = SmtpTransport::builder_dangerous(mail.host.clone())
        .port(mail.port)
        .tls(tls)
        .timeout(Some(STEP));
    if let (Some(user), Some(password)) = (&mail.user, password) {
        let credentials = Credentials::new(user.clone(), password.reveal().to_owned());
        builder = builder.credentials(credentials);
    }
    Ok(builder.build())
}

fn message(mail: &Mail, letter: &Letter, id: &str) -> Result<Message, String> {
    let mailbox = |address: &str| -> Result<Mailbox, String> {
        address.parse().map_err(|why| format!("{address}: {why}"))
    };
    let from = mailbox(&mail.from)?;
    let host = from.email.domain().to_owned();
    let ms = u64::try_from(letter.at.0).unwrap_or(0);
    let mut builder = Message::builder()
        .from(from)
        .date(UNIX_EPOCH + Duration::from_millis(ms))
        .message_id(Some(format!("<{id}.twinstream@{host}>")))
        .subject(letter.subject.clone());
    for address in &mail.to {
        builder = builder.to(mailbox(address)?);
    }
    let text = SinglePart::plain(letter.text.clone());
    let built = if letter.attachments.is_empty() {
        builder.singlepart(text)
    } else {
        let mut parts = MultiPart::mixed().singlepart(text);
        for attachment in &letter.attachments {
            let kind = ContentType::parse(&attachment.kind).map_err(|why| why.to_string())?;
            let part = Part::new(attachment.name.clone()).body(attachment.bytes(), kind);
            parts = parts.singlepart(part);
        }
        builder.multipart(parts)
    };
    built.map_err(|why| why.to_string())
}

/// An error with its causes. lettre never puts a password into one.
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
    words
}
