//! One connection: the handshake, then what its session decides, at the moments it decides.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{
    frame::{Packer, UNKNOWN_DICTIONARY},
    session::{Act, End, Session, Span},
    shared::Shared,
    wanted::{Asked, Wanted},
};
use crate::simulate::{
    answer::{Answer, http_date},
    chance::Chance,
    fault::FaultKind,
    respond::refuse,
    schedule::{Occurrence, Target},
    truth::{EndReason, Event},
    wire::{Fate, Wire},
};

const PATH: &str = "/subscribe";

/// What RFC 6455 puts behind the client's key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest message that a client may send.
const CLIENT_MESSAGE_BYTES_MAX: usize = 10_000_000;

/// A reader that takes nothing for so long loses its connection.
const SLOW_READER: Duration = Duration::from_secs(5);

/// … but not before this much real time has passed, however fast the clock runs.
const SLOW_READER_REAL: Duration = Duration::from_secs(2);

/// How much longer the server waits when it has said that it goes.
const GOODBYE: u32 = 4;

/// The code of a close frame for those who break a rule.
const POLICY: u16 = 1008;

/// The longest reason that fits into a close frame.
const REASON_BYTES_MAX: usize = 123;

const KIND_FRAGMENTS: u64 = 0x6672_6167;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// One connection.
pub(super) async fn converse(socket: TcpStream, listener: usize, shared: Arc<Shared>) {
    match socket.set_nodelay(true) {
        Ok(()) | Err(_) => (), // it only makes small frames later
    }
    let (wire, fate) = Wire::new(socket);
    let opened = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let (response, upgrade) = respond(&shared, listener, request);
        if upgrade.is_some() {
            *opened.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let server = http1::Builder::new();
    let connection = server.serve_connection(TokioIo::new(wire), service);
    match connection.with_upgrades().await {
        // the truth log says how a stream ended; how other requests end does not matter
        Ok(()) | Err(_) => (),
    }
    let opened = opened.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some((upgrade, asked)) = opened else {
        return;
    };
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX));
    let socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    Subscriber::new(shared, listener, asked, fate)
        .run(socket)
        .await;
}

/// Decides on a request, and logs it.
fn respond(
    shared: &Shared,
    listener: usize,
    request: Request<Incoming>,
) -> (Response<Full<Bytes>>, Option<(OnUpgrade, Asked)>) {
    let now = shared.ports.clock.now();
    let number = shared.ports.count_request();
    let (path, query) = (
        request.uri().path().to_owned(),
        request.uri().query().unwrap_or("").to_owned(),
    );
    let decided = decide(shared, listener, &request);
    let (status, fault) = match &decided {
        Ok(_) => (101, None),
        Err((refusal, fault)) => (refusal.status(), fault.map(|one| one.fault + 1)),
    };
    let event = Event::Request {
        listener,
        request: number,
        path: &path,
        query: &query,
        status,
        fault,
    };
    shared.ports.truth.tell(now, event);
    let (mut response, opened) = match decided {
        Ok((accept, asked)) => {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            (response, Some((hyper::upgrade::on(request), asked)))
        }
        Err((refusal, _)) => (refusal.response(), None),
    };
    if let Ok(date) = HeaderValue::from_str(&http_date(now)) {
        response.headers_mut().insert(header::DATE, date);
    }
    (response, opened)
}

/// Why there is no stream.
enum Refusal {
    Plain(u16, String),
    /// What networks put in the server's place.
    Foreign(Answer),
}

impl Refusal {
    const fn status(&self) -> u16 {
        match self {
            Self::Plain(status, _) => *status,
            Self::Foreign(answer) => answer.status(),
        }
    }

    fn response(self) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::Foreign(answer) => return refuse(&answer, false),
            Self::Plain(status, text) => (status, text),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        response
    }
}

/// What the handshake answers and what was asked for, or why not and which fault that is.
fn decide(
    shared: &Shared,
    listener: usize,
    request: &Request<Incoming>,
) -> Result<(HeaderValue, Asked), (Refusal, Option<Occurrence>)> {
    let refused = |status, text: &str| (Refusal::Plain(status, format!("{text}\n")), None);
    let now = shared.ports.clock.now();
    if request.uri().path() != PATH || request.method() != Method::GET {
        return Err(refused(404, "404 page not found"));
    }
    let target = Target {
        listener,
        connection: None,
        partition: None,
    };
    for (one, fault) in shared.ports.schedule.active(now, target) {
        let refusal = match &fault.kind {
            FaultKind::Status(answer) => {
                let status = answer.status();
                let known = StatusCode::from_u16(status).ok();
                let text = known
                    .and_then(|status| status.canonical_reason())
                    .unwrap_or("");
                Refusal::Plain(status, format!("{text}\n"))
            }
            FaultKind::Portal(portal) => Refusal::Foreign(Answer::Portal(*portal)),
            _ => continue,
        };
        return Err((refusal, Some(one)));
    }
    let mut asked =
        Asked::read(request.uri().query().unwrap_or("")).map_err(|why| refused(400, &why))?;
    let headers = request.headers();
    asked.compress |= has_token(headers, "socket-encoding", "zstd");
    if asked.compress && shared.dictionary.is_none() {
        return Err(refused(400, "compression is not offered here"));
    }
    let deflate = has_token(headers, "sec-websocket-extensions", "permessage-deflate");
    if asked.compress && deflate {
        return Err(refused(400, "cannot use both zstd and permessage-deflate"));
    }
    let is_websocket = has_token(headers, "upgrade", "websocket")
        && has_token(headers, "connection", "upgrade")
        && has_token(headers, "sec-websocket-version", "13");
    match headers.get(header::SEC_WEBSOCKET_KEY) {
        Some(key) if is_websocket => {
            let mut hash = Sha1::new();
            hash.update(key.as_bytes());
            hash.update(KEY_SUFFIX);
            let accept = HeaderValue::from_str(&BASE64.encode(hash.finalize()));
            Ok((accept.map_err(|why| refused(400, &why.to_string()))?, asked))
        }
        _ => Err(refused(400, "the client does not speak WebSocket")),
    }
}

/// Whether a list in a header has that word, whatever follows it.
fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|one| {
        let word = one.split(';').next().unwrap_or("");
        word.trim().eq_ignore_ascii_case(token)
    })
}

/// One subscription, from its handshake to its end.
struct Subscriber {
    shared: Arc<Shared>,
    session: Session,
    connection: u64,
    packer: Option<Packer>,
    chance: Chance,
    fate: Fate,
    /// Why it is over, once it is.
    why: Option<EndReason>,
    /// The code of the close frame that was sent.
    code: Option<u16>,
    /// Events sent, without repeats.
    events: u64,
    /// The keys of the first and the last one.
    ends: Option<(String, String)>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        if let Some(span) = self.session.take_span() {
            self.tell_delivered(span);
        }
        let gone = if self.shared.ports.stopping.load(Ordering::Relaxed) {
            EndReason::Stop
        } else {
            EndReason::Client
        };
        let event = Event::Unsubscribe {
            connection: self.connection,
            why: self.why.unwrap_or(gone),
            code: self.code,
            events: self.events,
            first: self.ends.as_ref().map(|(first, _)| first.as_str()),
            last: self.ends.as_ref().map(|(_, last)| last.as_str()),
        };
        self.tell(event);
    }
}

impl Subscriber {
    fn new(shared: Arc<Shared>, listener: usize, asked: Asked, fate: Fate) -> Self {
        let ports = &shared.ports;
        let (connection, stream) = ports.count_stream(listener);
        let now = ports.clock.now();
        let event = Event::Subscribe {
            connection,
            listener,
            stream,
            wanted: &asked.wanted,
            compress: asked.compress,
            hello: asked.hello,
        };
        ports.truth.tell(now, event);
        let target = Target {
            listener,
            connection: Some(stream),
            partition: None,
        };
        let dictionary = shared.dictionary.as_deref().filter(|_| asked.compress);
        let packer = dictionary.and_then(|dictionary| Packer::new(dictionary).ok());
        let chance = Chance::of(ports.seed, KIND_FRAGMENTS, connection);
        Self {
            session: Session::new(target, now, asked.wanted, asked.cursor, asked.hello),
            shared,
            connection,
            packer,
            chance,
            fate,
            why: None,
            code: None,
            events: 0,
            ends: None,
        }
    }

    async fn run(mut self, mut socket: Socket) {
        if let Err(why) = self.serve(&mut socket).await {
            self.why = Some(why);
        }
    }

    async fn serve(&mut self, socket: &mut Socket) -> Result<(), EndReason> {
        loop {
            self.advance(socket).await?;
            let shared = Arc::clone(&self.shared);
            let wake = shared.with_context(|context| self.session.next_wake(context));
            let deaf = self.session.is_deaf(&shared.ports.schedule);
            tokio::select! {
                () = shared.ports.clock.sleep_until(wake) => (),
                heard = socket.next(), if !deaf => self.receive(heard, socket).await?,
            }
        }
    }

    /// Does all that is due.
    async fn advance(&mut self, socket: &mut Socket) -> Result<(), EndReason> {
        let now = self.shared.ports.clock.now();
        let shared = Arc::clone(&self.shared);
        let acts = shared.with_context(|context| self.session.step(now, context));
        let any = !acts.is_empty();
        for act in acts {
            if let Err(why) = self.act(act, socket).await {
                // only what was sent is logged
                drop(self.session.take_span());
                return Err(why);
            }
        }
        if any {
            self.flush(socket).await?;
        }
        Ok(())
    }

    /// Does one act; `Err` when the stream is over.
    async fn act(&mut self, act: Act, socket: &mut Socket) -> Result<(), EndReason> {
        let connection = self.connection;
        match act {
            Act::Event(json) => self.send_event(json, socket).await?,
            Act::Frame(bytes) => self.give(text(bytes, true), socket).await?,
            Act::UnknownDictionary => {
                self.give(Message::binary(UNKNOWN_DICTIONARY), socket)
                    .await?;
            }
            Act::Ping => {
                self.give(Message::Ping(Bytes::new()), socket).await?;
                self.tell(Event::KeepAlive { connection });
            }
            Act::Hit(one) => self.tell(Event::Hit {
                connection,
                fault: one.fault + 1,
                round: one.round,
                kind: self.shared.ports.schedule.fault(one).kind.name(),
            }),
            Act::Begin(begin) => self.tell(Event::Begin { connection, begin }),
            Act::Delivered(span) => {
                self.flush(socket).await?;
                self.tell_delivered(span);
            }
            Act::End(how) => return Err(self.end(how, socket).await),
        }
        Ok(())
    }

    /// Sends an event: compressed, or as text, now and then in several frames.
    async fn send_event(&mut self, json: Vec<u8>, socket: &mut Socket) -> Result<(), EndReason> {
        if let Some(packer) = &mut self.packer {
            let packed = packer
                .frame(&json)
                .map_err(|_never_in_memory| EndReason::Cut)?;
            return self.give(Message::binary(packed), socket).await;
        }
        if !self.chance.one_in(48) {
            return self.give(text(json, true), socket).await;
        }
        // anywhere, even inside a character
        let at = self.chance.index(json.len());
        let (head, tail) = json.split_at(at);
        self.give(text(head.to_vec(), false), socket).await?;
        let tail = Bytes::copy_from_slice(tail);
        let rest = Frame::message(tail, OpCode::Data(Data::Continue), true);
        self.give(Message::Frame(rest), socket).await
    }

    /// Hands a message on. A client that takes nothing for too long is told so, and disconnected.
    async fn give(&mut self, message: Message, socket: &mut Socket) -> Result<(), EndReason> {
        let patience = patience(&self.shared);
        let taken = tokio::select! {
            biased;
            taken = socket.feed(message) => Some(taken),
            () = self.shared.ports.clock.sleep(patience) => None,
        };
        self.go_on(taken, socket).await
    }

    /// Hands all to the kernel, as patiently.
    async fn flush(&mut self, socket: &mut Socket) -> Result<(), EndReason> {
        let patience = patience(&self.shared);
        let taken = tokio::select! {
            biased;
            taken = socket.flush() => Some(taken),
            () = self.shared.ports.clock.sleep(patience) => None,
        };
        self.go_on(taken, socket).await
    }

    async fn go_on(
        &mut self,
        taken: Option<Result<(), Error>>,
        socket: &mut Socket,
    ) -> Result<(), EndReason> {
        match taken {
            Some(Ok(())) => Ok(()),
            Some(Err(_gone)) => Err(EndReason::Client),
            None => {
                let connection = self.connection;
                self.tell(Event::SlowReader { connection });
                self.why = Some(EndReason::SlowReader);
                self.close(POLICY, "consumer too slow", socket).await;
                Err(EndReason::SlowReader)
            }
        }
    }

    /// Deals with what the client says; `Err` when that ends the stream.
    async fn receive(
        &mut self,
        heard: Option<Result<Message, Error>>,
        socket: &mut Socket,
    ) -> Result<(), EndReason> {
        let said = match heard {
            None => return Err(EndReason::Client),
            Some(Err(Error::Capacity(_))) => {
                self.why = Some(EndReason::Invalid);
                self.close(1009, "message too big", socket).await;
                return Err(EndReason::Invalid);
            }
            Some(Err(_gone)) => return Err(EndReason::Client),
            Some(Ok(Message::Text(said))) => said,
            Some(Ok(_)) => return Ok(()),
        };
        match Wanted::of_message(&said) {
            Ok(None) => Ok(()),
            Ok(Some(wanted)) => {
                let connection = self.connection;
                self.advance(socket).await?;
                self.tell(Event::Update {
                    connection,
                    wanted: &wanted,
                });
                self.session.update(wanted);
                Ok(())
            }
            Err(why) => {
                self.why = Some(EndReason::Invalid);
                self.close(POLICY, &why, socket).await;
                Err(EndReason::Invalid)
            }
        }
    }

    async fn end(&mut self, how: End, socket: &mut Socket) -> EndReason {
        if let Err(other) = self.flush(socket).await {
            return other;
        }
        let (why, torn) = match how {
            End::Close { code, reason } => {
                self.why = Some(EndReason::Clean);
                self.close(code, &reason, socket).await;
                return EndReason::Clean;
            }
            End::Drop => return EndReason::Drop,
            End::Reset(json) => {
                self.fate.reset();
                (EndReason::Reset, json)
            }
            End::Cut(json) => {
                self.fate.cut();
                (EndReason::Cut, json)
            }
        };
        // the socket breaks in the middle of it
        match socket.send(text(torn, true)).await {
            Ok(()) | Err(_) => why,
        }
    }

    /// Sends a close frame and waits for the client's, both for a while only.
    async fn close(&mut self, code: u16, reason: &str, socket: &mut Socket) {
        let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.code = Some(code);
        let goodbye = async {
            if socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        tokio::select! {
            () = goodbye => (),
            () = self.shared.ports.clock.sleep(GOODBYE * patience(&self.shared)) => (),
        }
    }

    fn tell_delivered(&mut self, span: Span) {
        self.events += span.events;
        let last = span.last.clone();
        let first = match self.ends.take() {
            Some((first, _)) => first,
            None => span.first.clone(),
        };
        self.ends = Some((first, last));
        let connection = self.connection;
        self.tell(Event::Delivered { connection, span });
    }

    fn tell(&self, event: Event<'_>) {
        let ports = &self.shared.ports;
        ports.truth.tell(ports.clock.now(), event);
    }
}

/// How long a client that takes nothing is waited for.
fn patience(shared: &Shared) -> Duration {
    let mut patience = SLOW_READER;
    while shared.ports.clock.real(patience) < SLOW_READER_REAL {
        patience *= 2;
    }
    patience
}

/// A text frame, whatever the bytes are.
fn text(bytes: Vec<u8>, last: bool) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), last))
}
