//! One HTTP connection: the machine that drives it and the body it brings, polled together.
//!
//! A WebSocket is what such a connection becomes when both sides agree to it (`Body::upgrade`).
//!
//! Hyper wants the connection driven beside the reader of the body. Done by a second task, each chunk would cost a
//! switch between the two and a look at the operating system's timers; polled together, a burst of chunks is read in
//! one go.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream as _;
use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    client::conn::http1::{self, SendRequest},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::fault::{Fault, fault};
use crate::{segment::event::EndCause, text::one_line};

/// Hyper's buffer for one connection grows to this at most.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// A message, or a frame of one, has at most so many bytes; those of the platforms have some thousand.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// What a connection runs over.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for T {}

/// What was read at once.
pub(super) enum Piece {
    /// Bytes of a body, cut anywhere; or one message.
    Bytes(Bytes),
    /// A sign of life.
    Alive,
}

/// A connection; dropping it closes it.
pub(super) struct Http {
    /// `None` once it has ended. The one who waits for the answer or its body learns how.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    sender: SendRequest<Empty<Bytes>>,
}

/// An answer whose body is still coming.
pub(super) struct Answer {
    pub(super) response: Response<()>,
    pub(super) body: Body,
}

/// What comes after the head of an answer.
pub(super) enum Body {
    /// The body of an answer.
    Http {
        /// Drives it.
        http: Http,
        /// Gives it.
        incoming: Incoming,
        /// Gives the connection itself, if the answer was that it changes.
        upgrade: Option<OnUpgrade>,
    },
    /// The messages of a WebSocket.
    WebSocket(Box<WebSocketStream<TokioIo<Upgraded>>>),
}

impl Http {
    pub(super) async fn new(socket: Box<dyn Socket>) -> hyper::Result<Self> {
        let mut http = http1::Builder::new();
        http.max_buf_size(READ_BUFFER_BYTES);
        let (sender, driver) = http.handshake(TokioIo::new(socket)).await?;
        Ok(Self {
            driver: Some(Box::pin(driver.with_upgrades())),
            sender,
        })
    }

    fn drive(&mut self, context: &mut Context) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(context).is_ready()
        {
            self.driver = None;
        }
    }

    /// Sends the request and waits for the head of the answer.
    pub(super) async fn ask(mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Answer> {
        let mut answer = Box::pin(self.sender.send_request(request));
        let answered = std::future::poll_fn(|context| {
            self.drive(context);
            answer.as_mut().poll(context)
        });
        let mut response = answered.await?;
        let upgrade = response.extensions_mut().remove::<OnUpgrade>();
        let (head, incoming) = response.into_parts();
        Ok(Answer {
            response: Response::from_parts(head, ()),
            body: Body::Http {
                http: self,
                incoming,
                upgrade,
            },
        })
    }
}

impl Body {
    /// After an answer that the connection changes: its messages.
    pub(super) async fn upgrade(self) -> Result<Self, Fault> {
        let Self::Http {
            mut http,
            upgrade: Some(mut upgrade),
            ..
        } = self
        else {
            return Err(Fault {
                cause: EndCause::Protocol,
                detail: "the connection does not change".to_owned(),
            });
        };
        let changed = std::future::poll_fn(|context| {
            http.drive(context);
            Pin::new(&mut upgrade).poll(context)
        });
        let upgraded = changed.await.map_err(|error| fault(&error))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
        Ok(Self::WebSocket(Box::new(socket)))
    }

    fn poll(&mut self, context: &mut Context) -> Poll<Option<Result<Piece, Fault>>> {
        match self {
            Self::Http { http, incoming, .. } => poll_http(http, incoming, context),
            Self::WebSocket(socket) => {
                let message = Pin::new(&mut **socket).poll_next(context);
                message
                    .map(|message| Some(message?.map_err(|error| broken(&error)).and_then(piece)))
            }
        }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Piece, Fault>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next piece if it is there already.
    pub(super) async fn ready(&mut self) -> Poll<Option<Result<Piece, Fault>>> {
        std::future::poll_fn(|context| Poll::Ready(self.poll(context))).await
    }
}

fn poll_http(
    http: &mut Http,
    incoming: &mut Incoming,
    context: &mut Context,
) -> Poll<Option<Result<Piece, Fault>>> {
    /// The first round tells the connection that a chunk is wanted, the second one gets it.
    const ROUNDS: usize = 2;
    for _ in 0..ROUNDS {
        http.drive(context);
        let frame = Pin::new(&mut *incoming).poll_frame(context);
        if let Poll::Ready(frame) = frame {
            return Poll::Ready(frame.map(|frame| {
                let frame = frame.map_err(|error| fault(&error))?;
                Ok(Piece::Bytes(frame.into_data().unwrap_or_default()))
            }));
        }
    }
    Poll::Pending
}

/// What a message is. One that closes the connection ends it.
fn piece(message: Message) -> Result<Piece, Fault> {
    match message {
        Message::Text(text) => Ok(Piece::Bytes(text.into())),
        Message::Binary(bytes) => Ok(Piece::Bytes(bytes)),
        // the next read answers a ping
        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(Piece::Alive),
        Message::Close(why) => Err(Fault {
            cause: EndCause::Platform,
            detail: closed(why),
        }),
    }
}

fn closed(why: Option<CloseFrame>) -> String {
    match why {
        Some(CloseFrame { code, reason }) if reason.is_empty() => format!("closed {code}"),
        Some(CloseFrame { code, reason }) => format!("closed {code}: {}", one_line(&reason)),
        None => "closed".to_owned(),
    }
}

fn broken(error: &tungstenite::Error) -> Fault {
    let cause = match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => EndCause::Eof,
        tungstenite::Error::Io(_)
        | tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => EndCause::Reset,
        _ => EndCause::Protocol,
    };
    Fault {
        cause,
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::fuzz::Fuzz;

    const ACCEPTED: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

    /// What comes after an answer that the connection changes, until it ends; and how it ends.
    async fn messages(frames: &[u8]) -> (Vec<Piece>, Option<Fault>) {
        let (here, mut there) = tokio::io::duplex(256 * 1024);
        let frames = frames.to_owned();
        let serve = async move {
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(there.read_u8().await.unwrap());
            }
            there.write_all(ACCEPTED).await.unwrap();
            there.write_all(&frames).await.unwrap();
            there.shutdown().await.unwrap();
            // what is answered is read by nobody
            drop(there.read_to_end(&mut Vec::new()).await);
        };
        let read = async move {
            let http = Http::new(Box::new(here)).await.unwrap();
            let request = Request::get("/")
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "websocket");
            let answer = http.ask(request.body(Empty::new()).unwrap()).await.unwrap();
            let mut body = answer.body.upgrade().await.unwrap();
            let mut pieces = Vec::new();
            loop {
                match body.next().await {
                    Some(Ok(piece)) => pieces.push(piece),
                    Some(Err(fault)) => return (pieces, Some(fault)),
                    None => return (pieces, None),
                }
            }
        };
        tokio::join!(serve, read).1
    }

    /// Whatever frames come, they end in a fault of one line, and no more comes out than came in.
    #[test]
    fn fuzz_frames_of_a_websocket() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let whole = |opcode: u8, text: &[u8]| {
            [&[0x80 | opcode, u8::try_from(text.len()).unwrap()], text].concat()
        };
        let fuzz = Fuzz::new("frames_of_a_websocket", 1_500)
            .seed([whole(1, b"{}"), whole(9, b"ping"), whole(2, b"\0\xff")].concat())
            .seed([&b"\x01\x02{ \x00\x01x\x89\0\x80\x01}"[..], &whole(10, b"")].concat())
            .seed([whole(1, b"{}"), whole(8, b"\x03\xe8too slow")].concat())
            .seed(&b"\x82\x7f\0\0\0\0\x01\0\0\0abc"[..])
            .seed(&b"\x81\x7e\x01\0"[..])
            .seed(&b"\x81\x82abcd{}"[..]);
        fuzz.run(|input| {
            let (pieces, fault) = runtime.block_on(messages(input));
            let bytes = pieces.iter().map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.len(),
                Piece::Alive => 0,
            });
            assert!(bytes.sum::<usize>() <= input.len());
            let Some(Fault { cause, detail }) = fault else {
                return format!("{} ended", pieces.len().min(3));
            };
            assert!(!detail.chars().any(char::is_control), "{detail:?}");
            let detail: String = detail.chars().take(12).collect();
            format!("{} {cause:?} {detail}", pieces.len().min(3))
        });
    }
}
