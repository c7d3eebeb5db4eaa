//! The simulated mail server: takes mail from this machine into files, one a mail, and can be down,
//! slow, or of another opinion.
//!
//! A mail is `<folder>/<number>.eml`, as it came, after what was said about it:
//! `X-Simulated-From`, `-To`, `-Tls`, `-User` and `-Hello`.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    ports::ServeError,
    smtp_dialogue::{Dialogue, GREETING, Step, Stream},
    smtp_fault::{self, MailFaultKind, SmtpFault},
    truth::{Event, Truth},
};
use crate::{
    period::UtcMs,
    world::{
        clock::Clock,
        disk::{self, Disk as _, RealDisk},
    },
};

/// How long each reply of a slow server takes.
const SLOW: Duration = Duration::from_secs(5);

/// How often it is looked whether the port is to be open.
const LOOK: Duration = Duration::from_secs(1);

/// What is asked of those who send.
#[derive(Debug, Clone)]
pub struct SmtpOptions {
    /// Where mails go.
    pub folder: PathBuf,
    /// Certificate and key; without them there is no TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether a connection is TLS from its beginning, rather than when it is asked for.
    pub implicit: bool,
    /// `user:password`, if it asks who one is.
    pub login: Option<String>,
    /// What goes wrong.
    pub faults: Vec<SmtpFault>,
    /// The instant that the times of faults count from.
    pub start: UtcMs,
    /// Where it is written down.
    pub truth: Truth,
}

/// Reads certificate and key, both PEM.
pub fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let wrong = |path: &Path, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|why| wrong(certificate, &why))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|why| wrong(key, &why))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|why| wrong(certificate, &why))?;
    Ok(Arc::new(config))
}

/// What all connections share.
struct Shared {
    options: SmtpOptions,
    clock: Clock,
    mails: AtomicU64,
}

impl Shared {
    fn fault(&self) -> Option<&SmtpFault> {
        smtp_fault::active(&self.options.faults, self.options.start, self.clock.now())
    }

    fn has(&self, kind: MailFaultKind) -> bool {
        self.fault().is_some_and(|fault| fault.kind == kind)
    }

    fn tell(&self, event: Event<'_>) {
        self.options.truth.tell(self.clock.now(), event);
    }
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    options: SmtpOptions,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    tokio::select! {
        () = stop => Ok(()),
        ended = listen(listener, options, clock) => ended,
    }
}

async fn listen(
    listener: TcpListener,
    options: SmtpOptions,
    clock: Clock,
) -> Result<(), ServeError> {
    let address = listener
        .local_addr()
        .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
    let failed = |source| ServeError::Listen { address, source };
    let shared = Arc::new(Shared {
        options,
        clock,
        mails: AtomicU64::new(0),
    });
    let mut socket = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let is_down = shared.has(MailFaultKind::Down);
        if is_down && socket.take().is_some() {
            shared.tell(Event::SmtpPort { open: false });
        }
        if !is_down && socket.is_none() {
            socket = Some(TcpListener::bind(address).await.map_err(failed)?);
            shared.tell(Event::SmtpPort { open: true });
        }
        let accepted = async {
            match &socket {
                Some(socket) => socket.accept().await.map(|(tcp, _)| tcp),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.clock.sleep(LOOK) => (),
            accepted = accepted => {
                let tcp = accepted.map_err(failed)?;
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // a client that breaks off will come back
                    drop(converse(tcp, &shared).await);
                });
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    let options = &shared.options;
    let mut stream: Stream = match &options.tls {
        Some(tls) if options.implicit => upgrade(Box::new(tcp), tls).await?,
        _ => Box::new(tcp),
    };
    let offers_tls = options.tls.is_some() && !options.implicit;
    let mut dialogue = Dialogue::new(offers_tls, options.implicit, options.login.clone());
    let mut reply = GREETING.to_owned();
    loop {
        if shared.has(MailFaultKind::Slow) {
            shared.clock.sleep(SLOW).await;
        }
        stream.say(&reply).await?;
        reply = match dialogue.next(&mut stream, shared.fault()).await? {
            Step::Reply(reply) => reply,
            Step::Refused(reply) => {
                let words = reply.trim_end();
                shared.tell(Event::MailRefused { words });
                reply
            }
            Step::StartTls(go) => {
                stream.say(&go).await?;
                let Some(tls) = &options.tls else {
                    return Ok(());
                };
                stream = upgrade(stream, tls).await?;
                dialogue.is_encrypted();
                continue_quietly()
            }
            Step::Mail(_) if shared.has(MailFaultKind::Drop) => {
                shared.tell(Event::MailRefused {
                    words: "the connection was closed",
                });
                return Ok(());
            }
            Step::Mail(mail) => {
                keep(shared, &mail)?;
                if shared.has(MailFaultKind::LoseReply) {
                    return Ok(());
                }
                "250 2.0.0 kept\r\n".to_owned()
            }
            Step::End(goodbye) => return stream.say(&goodbye).await,
        };
    }
}

/// After TLS has been agreed on the client speaks first.
const fn continue_quietly() -> String {
    String::new()
}

async fn upgrade(stream: Stream, tls: &Arc<ServerConfig>) -> io::Result<Stream> {
    let stream = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await?;
    Ok(Box::new(stream))
}

fn keep(shared: &Shared, mail: &[u8]) -> io::Result<()> {
    let number = 1 + shared.mails.fetch_add(1, Ordering::Relaxed);
    let folder = &shared.options.folder;
    RealDisk.make_folder(folder)?;
    let mut file = format!("{number:04}.eml");
    // a simulator that was started again continues
    let mut next = number;
    while RealDisk.len(&folder.join(&file))?.is_some() {
        next += 1;
        file = format!("{next:04}.eml");
    }
    disk::put(&RealDisk, &folder.join(&file), mail)?;
    shared.tell(Event::Mail {
        file: &file,
        bytes: mail.len(),
    });
    Ok(())
}
