//! One stream on its way out: does what the session decides, at the moments it decides.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::{
    selection::{Offer, Selection},
    session::{Act, End, Session, Span},
    truth::{EndReason, Event},
    wire::{Chunker, Fate},
    x_shared::Shared,
};

/// How many chunks may wait for the socket.
const CHUNKS_WAITING: usize = 16;

/// A reader that takes nothing for so long loses its connection.
const SLOW_READER: Duration = Duration::from_secs(30);

/// … but not before this much real time has passed, however fast the clock runs.
const SLOW_READER_REAL: Duration = Duration::from_secs(2);

/// How long the rest of a line that was cut by chance waits.
const PAUSE: Duration = Duration::from_millis(40);

/// A body cut short; what hyper makes of it is a connection closed in mid-body.
#[derive(Debug, thiserror::Error)]
#[error("torn")]
pub(super) struct Torn;

type Chunks = mpsc::Sender<Result<Bytes, Torn>>;

/// A body that runs its session whenever hyper asks for more.
pub(super) struct Live {
    session: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    chunks: mpsc::Receiver<Result<Bytes, Torn>>,
}

impl Body for Live {
    type Data = Bytes;
    type Error = Torn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Torn>>> {
        if let Some(session) = &mut self.session
            && session.as_mut().poll(cx).is_ready()
        {
            self.session = None;
        }
        let chunk = self.chunks.poll_recv(cx);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

/// An open stream. However it ends, its end is logged and its place is free again.
pub(super) struct Open {
    pub(super) shared: Arc<Shared>,
    /// Which of the places at the gate it has.
    pub(super) place: (Offer, Selection),
    pub(super) session: Session,
    pub(super) connection: u64,
    pub(super) chunker: Chunker,
    pub(super) fate: Fate,
    /// The second half of a torn line.
    pub(super) tail: Option<Bytes>,
    /// Why it is over, once it is.
    pub(super) why: Option<EndReason>,
    pub(super) posts: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        let now = self.shared.common.clock.now();
        if let Some(span) = self.session.take_span() {
            self.tell_sent(span);
        }
        let gone = if self.shared.common.stopping.load(Ordering::Relaxed) {
            EndReason::Stop
        } else {
            EndReason::Client
        };
        let (connection, posts) = (self.connection, self.posts);
        let why = self.why.unwrap_or(gone);
        self.shared.common.truth.tell(
            now,
            Event::Close {
                connection,
                why,
                posts,
            },
        );
        let (offer, selection) = self.place;
        self.shared.gate().closed(offer, selection);
    }
}

impl Open {
    /// The body of this stream.
    pub(super) fn into_body(self) -> Live {
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        Live {
            session: Some(Box::pin(self.run(sender))),
            chunks,
        }
    }

    async fn run(mut self, chunks: Chunks) {
        loop {
            let now = self.shared.common.clock.now();
            let acts =
                self.session
                    .step(now, &mut self.shared.feed(), &self.shared.common.schedule);
            for act in acts {
                if let Err(why) = self.act(act, &chunks).await {
                    self.why = Some(why);
                    return;
                }
            }
            let wake = self
                .session
                .next_wake(&mut self.shared.feed(), &self.shared.common.schedule);
            self.shared.common.clock.sleep_until(wake).await;
        }
    }

    /// Does one act; `Err` when the stream is over.
    async fn act(&mut self, act: Act, chunks: &Chunks) -> Result<(), EndReason> {
        let connection = self.connection;
        match act {
            Act::Send(bytes) => {
                let cut = self
                    .chunker
                    .chunks(bytes)
                    .map_err(|_never_in_memory| EndReason::Cut)?;
                for chunk in cut {
                    self.send(chunk.bytes, chunks).await?;
                    if chunk.pause {
                        self.shared.common.clock.sleep(PAUSE).await;
                    }
                }
            }
            Act::Spoil => self.chunker.spoil(),
            Act::Tear(line) => {
                let (head, tail) = self
                    .chunker
                    .halves(&line)
                    .map_err(|_never_in_memory| EndReason::Cut)?;
                self.send(head, chunks).await?;
                self.tail = Some(tail);
            }
            Act::Hit(one) => {
                let fault = self.shared.common.schedule.fault(one);
                let event = Event::Hit {
                    connection,
                    fault: one.fault + 1,
                    round: one.round,
                    kind: fault.kind.name(),
                };
                self.shared
                    .common
                    .truth
                    .tell(self.shared.common.clock.now(), event);
            }
            Act::Sent(span) => self.tell_sent(span),
            Act::KeptAlive => {
                self.shared.common.truth.tell(
                    self.shared.common.clock.now(),
                    Event::KeepAlive { connection },
                );
            }
            Act::End(how) => return Err(self.end(how, chunks).await),
        }
        Ok(())
    }

    async fn send(&self, bytes: Bytes, chunks: &Chunks) -> Result<(), EndReason> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut patience = SLOW_READER;
        while self.shared.common.clock.real(patience) < SLOW_READER_REAL {
            patience *= 2;
        }
        tokio::select! {
            biased;
            () = self.shared.common.clock.sleep(patience) => {
                tear(chunks).await;
                Err(EndReason::SlowReader)
            }
            sent = chunks.send(Ok(bytes)) => match sent {
                Ok(()) => Ok(()),
                Err(mpsc::error::SendError(_nobody_reads)) => Err(EndReason::Client),
            },
        }
    }

    async fn end(&mut self, how: End, chunks: &Chunks) -> EndReason {
        let (why, last) = match how {
            End::Clean { trailer: true } => {
                (EndReason::Clean, self.chunker.trailer().unwrap_or_default())
            }
            End::Clean { trailer: false } => (
                EndReason::Clean,
                self.chunker.unfinished().unwrap_or_default(),
            ),
            End::Reset => (EndReason::Reset, self.tail.take().unwrap_or_default()),
            End::Cut => (EndReason::Cut, self.tail.take().unwrap_or_default()),
        };
        if how == End::Reset || how == End::Cut {
            settle(chunks).await;
            match how {
                End::Reset => self.fate.reset(),
                _ => self.fate.cut(),
            }
        }
        match self.send(last, chunks).await {
            Ok(()) => why,
            Err(other) => other,
        }
    }

    fn tell_sent(&mut self, span: Span) {
        self.posts += span.posts;
        let event = Event::Sent {
            connection: self.connection,
            span,
        };
        self.shared
            .common
            .truth
            .tell(self.shared.common.clock.now(), event);
    }
}

async fn tear(chunks: &Chunks) {
    match chunks.send(Err(Torn)).await {
        Ok(()) | Err(mpsc::error::SendError(_)) => (),
    }
}

/// Waits until hyper has taken all chunks and had a turn to write them, so that only the chunk
/// after them is torn.
async fn settle(chunks: &Chunks) {
    const TURNS: usize = 4;
    let mut turns = 0;
    while turns < TURNS {
        tokio::task::yield_now().await;
        turns = if chunks.capacity() == CHUNKS_WAITING {
            turns + 1
        } else {
            0
        };
    }
}
