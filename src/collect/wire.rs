//! One HTTP connection: the machine that drives it and the body it brings, polled together.
//!
//! Hyper wants the connection driven beside whoever reads the body. Done by a second task, each
//! chunk would cost a switch between the two and a look at the operating system's timers; polled
//! together, a burst of chunks is read in one go.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{
    Request, Response,
    body::{Body as _, Frame, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Hyper's buffer for one connection grows to this at most.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// What a connection runs over.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// A connection; dropping it closes it.
pub(super) struct Wire {
    /// `None` once it has ended. How is told to whoever waits for the answer or its body.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    sender: SendRequest<Empty<Bytes>>,
}

/// An answer whose body is still coming.
pub(super) struct Answer {
    pub(super) response: Response<()>,
    pub(super) body: Body,
}

/// The body of an answer.
pub(super) struct Body {
    wire: Wire,
    incoming: Incoming,
}

impl Wire {
    pub(super) async fn new(socket: Box<dyn Socket>) -> hyper::Result<Self> {
        let mut http = http1::Builder::new();
        http.max_buf_size(READ_BUFFER_BYTES);
        let (sender, driver) = http.handshake(TokioIo::new(socket)).await?;
        Ok(Self {
            driver: Some(Box::pin(driver)),
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
        let (head, incoming) = answered.await?.into_parts();
        Ok(Answer {
            response: Response::from_parts(head, ()),
            body: Body {
                wire: self,
                incoming,
            },
        })
    }
}

impl Body {
    fn poll(&mut self, context: &mut Context) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        /// The first round tells the connection that a chunk is wanted, the second one gets it.
        const ROUNDS: usize = 2;
        for _ in 0..ROUNDS {
            self.wire.drive(context);
            let frame = Pin::new(&mut self.incoming).poll_frame(context);
            if frame.is_ready() {
                return frame;
            }
        }
        Poll::Pending
    }

    /// The next frame; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next frame if it is there already.
    pub(super) async fn ready(&mut self) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        std::future::poll_fn(|context| Poll::Ready(self.poll(context))).await
    }
}
