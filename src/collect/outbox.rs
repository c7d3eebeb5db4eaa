//! The reading side's end of the queue: everything that happens goes through here in order.
//!
//! The queue is bounded in bytes. When it is full reading waits, and says so; the rest then waits
//! in the kernel's and the platform's buffers. Here each minute's record is made as well, before
//! anything of the next minute is sent.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, mpsc::Sender},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{halt::Halt, pulse::Pulse, scribe::Message};
use crate::{
    period::UtcMs,
    segment::event::{Alive, Event, What},
    world::clock::Clock,
};

/// Bytes that may wait to be written: some six minutes of posts, a fifth of a second at full speed.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Lines that are read in one go are handed over together, up to about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// Lines that are about to be handed over.
struct Batch {
    first: UtcMs,
    last: UtcMs,
    stored: Vec<u8>,
    oversize: u64,
}

/// Sends to the writing thread.
pub(super) struct Outbox {
    to_scribe: Sender<Message>,
    free: Arc<Semaphore>,
    clock: Clock,
    halt: Arc<Halt>,
    pulse: RefCell<Pulse>,
    connection: Cell<u64>,
    batch: RefCell<Option<Batch>>,
    /// Whether something that is stamped already waits for room.
    held_up: Cell<bool>,
}

impl Outbox {
    pub(super) fn new(to_scribe: Sender<Message>, clock: Clock, halt: Arc<Halt>) -> Self {
        Self {
            to_scribe,
            free: Arc::new(Semaphore::new(QUEUE_BYTES)),
            pulse: RefCell::new(Pulse::new(clock.now())),
            clock,
            halt,
            connection: Cell::new(0),
            batch: RefCell::new(None),
            held_up: Cell::new(false),
        }
    }

    /// The next attempt begins.
    pub(super) fn next_connection(&self) {
        self.connection.set(self.connection.get() + 1);
    }

    /// The response has begun.
    pub(super) fn connected(&self, clock_offset_ms: Option<i64>) {
        let mut pulse = self.pulse.borrow_mut();
        pulse.connected(self.clock.now(), clock_offset_ms);
    }

    /// The response is over.
    pub(super) fn disconnected(&self) {
        self.pulse.borrow_mut().disconnected(self.clock.now());
    }

    /// Stamps bytes that have just been read.
    pub(super) fn stamp(&self) -> UtcMs {
        let at = self.clock.now();
        self.turn_to(at);
        self.halt.progress().moved(at);
        self.pulse.borrow_mut().bytes(at);
        at
    }

    /// Of the bytes last stamped, so much was this.
    pub(super) fn counted(&self, lines: u64, keep_alives: u64) {
        self.pulse.borrow_mut().counted(lines, keep_alives);
    }

    /// Takes lines that arrived at that instant. They go on their way when there are many, and
    /// otherwise by [`Outbox::flush`], which is due before anything is waited for.
    pub(super) async fn lines(&self, at: UtcMs, stored: Vec<u8>, oversize: u64) {
        let is_full = {
            let mut taken = self.batch.borrow_mut();
            let batch = taken.get_or_insert_with(|| Batch {
                first: at,
                last: at,
                stored: Vec::new(),
                oversize: 0,
            });
            batch.last = at;
            batch.oversize += oversize;
            if batch.stored.is_empty() {
                batch.stored = stored;
            } else {
                batch.stored.extend_from_slice(&stored);
            }
            BATCH_BYTES <= batch.stored.len()
        };
        if is_full {
            self.flush().await;
        }
    }

    /// Sends the lines that were taken; waits while the queue is full.
    pub(super) async fn flush(&self) {
        let batch = self.batch.take();
        if let Some(batch) = batch {
            let room = self.room(batch.stored.len()).await;
            self.send_lines(batch, room);
        }
    }

    fn send_lines(&self, batch: Batch, room: Option<OwnedSemaphorePermit>) {
        let Batch {
            first,
            last,
            stored,
            oversize,
        } = batch;
        self.send(Message::Lines {
            first,
            last,
            stored,
            oversize,
            room,
        });
    }

    /// Sends an error frame, which can be as long as a line; waits while the queue is full.
    pub(super) async fn error_frame(&self, at: UtcMs, line: String) {
        let room = self.room(line.len()).await;
        self.send(Message::Event {
            event: self.record(at, What::ErrorFrame { line }),
            room,
        });
    }

    /// Sends what happened just now.
    pub(super) fn event(&self, what: What) {
        let at = self.clock.now();
        self.turn_to(at);
        self.pulse.borrow_mut().event(at, &what);
        self.send(Message::Event {
            event: self.record(at, what),
            room: None,
        });
    }

    /// Has the open pair sealed.
    pub(super) fn close(&self) {
        self.send(Message::Close);
    }

    /// Room in the queue. Without it goes what is in hand when reading has to stop: no more than
    /// one portion of lines can be.
    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let take = |free: Arc<Semaphore>| free.try_acquire_many_owned(bytes);
        if let Ok(room) = take(Arc::clone(&self.free)) {
            return Some(room);
        }
        tracing::warn!("the disk does not keep up: reading waits for it");
        self.held_up.set(true);
        let free = Arc::clone(&self.free);
        let room = tokio::select! {
            room = free.acquire_many_owned(bytes) => room.ok(),
            () = self.halt.wait(true) => None,
        };
        self.held_up.set(false);
        room
    }

    fn record(&self, at: UtcMs, what: What) -> Event {
        Event {
            at,
            what,
            connection: self.connection.get(),
        }
    }

    fn send(&self, message: Message) {
        // it fails only when the writing thread has ended, and that has ended us already
        drop(self.to_scribe.send(message));
    }

    /// Tells of the minutes that are over by then.
    fn turn_to(&self, at: UtcMs) {
        let over = self.pulse.borrow_mut().over(at);
        if over.is_empty() {
            return;
        }
        // of the old minute, and too little to wait for room with it
        if let Some(batch) = self.batch.take() {
            self.send_lines(batch, None);
        }
        for alive in over {
            self.alive(alive.minute.end().plus_ms(-1), alive);
        }
        self.send(Message::Turn(at));
    }

    fn alive(&self, at: UtcMs, alive: Alive) {
        self.send(Message::Event {
            event: self.record(at, What::Alive(alive)),
            room: None,
        });
    }

    /// Never ends: tells of each minute when it is over, also while nothing happens.
    pub(super) async fn tick(&self) {
        loop {
            let end = self.pulse.borrow().minute().end();
            self.clock.sleep_until(end).await;
            if self.held_up.get() {
                // what waits was stamped in the old minute and belongs into its segment
                self.clock
                    .sleep(std::time::Duration::from_millis(100))
                    .await;
            } else {
                self.turn_to(self.clock.now());
            }
        }
    }

    /// The last words of a run; dropping the sender has the threads end.
    pub(super) fn finish(self, why: &str) {
        let now = self.clock.now();
        self.turn_to(now);
        let last = self.pulse.borrow_mut().last(now);
        self.alive(now, last);
        let why = why.to_owned();
        self.send(Message::Event {
            event: self.record(now, What::Stopped { why }),
            room: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::mpsc::{self, Receiver},
        time::Duration,
    };

    use super::*;
    use crate::{
        collect::halt::Stop,
        place::{decide::Asks, door::Door},
        world::disk::RealDisk,
    };

    fn outbox(clock: &str) -> (Outbox, Receiver<Message>, Clock, Arc<Halt>) {
        let clock = Clock::simulated(clock.parse().unwrap());
        let door = Door::of(&RealDisk, Path::new("/nowhere"));
        let spool = door.spool(&"/nowhere".into(), Asks::Look).unwrap();
        let halt = Arc::new(Halt::new(
            Arc::new(RealDisk),
            spool,
            &"1".parse().unwrap(),
            Arc::default(),
        ));
        let (to_scribe, messages) = mpsc::channel();
        let outbox = Outbox::new(to_scribe, clock.clone(), Arc::clone(&halt));
        (outbox, messages, clock, halt)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(work)
    }

    /// A message in a word, with the minute it belongs to.
    fn word(message: &Message) -> String {
        match message {
            Message::Lines { first, stored, .. } => {
                format!("{} lines {}", first.minute(), stored.len())
            }
            Message::Event { event, .. } => match &event.what {
                What::Alive(alive) => {
                    format!("{} alive {}", event.at.minute(), alive.lines)
                }
                _ => format!("{} event", event.at.minute()),
            },
            Message::Turn(at) => format!("{} turn", at.minute()),
            Message::Close => "close".to_owned(),
        }
    }

    #[test]
    fn what_was_read_before_the_minute_turned_goes_before_its_record() {
        let (outbox, messages, clock, _halt) = outbox("2026-11-23T14:05:59.000Z@100");
        run(async {
            let at = outbox.stamp();
            outbox.counted(1, 0);
            outbox.lines(at, b"{}\n".to_vec(), 0).await;
            clock.block(Duration::from_secs(2));
            outbox.event(What::FirstLine);
        });
        drop(outbox);
        let words: Vec<String> = messages.iter().map(|message| word(&message)).collect();
        assert_eq!(
            words,
            [
                "2026-11-23T14:05Z lines 3",
                "2026-11-23T14:05Z alive 1",
                "2026-11-23T14:06Z turn",
                "2026-11-23T14:06Z event"
            ]
        );
    }

    #[test]
    fn a_full_queue_holds_reading_up_until_there_is_room_or_an_end() {
        let (outbox, messages, clock, halt) = outbox("2026-11-23T14:05:00.000Z@1");
        run(async {
            let at = outbox.stamp();
            outbox.lines(at, vec![b'\n'; QUEUE_BYTES], 0).await;
            let more = || outbox.lines(at, vec![b'\n'; BATCH_BYTES], 0);
            let held_up = async |clock: &Clock| {
                tokio::select! {
                    biased;
                    () = more() => false,
                    () = clock.sleep(Duration::from_millis(30)) => true,
                }
            };
            assert!(held_up(&clock).await, "the queue is full");
            drop(messages.recv().unwrap());
            assert!(!held_up(&clock).await, "there is room");
            outbox
                .lines(at, vec![b'\n'; QUEUE_BYTES - BATCH_BYTES], 0)
                .await;
            halt.stop(Stop::Signal);
            assert!(
                !held_up(&clock).await,
                "what is in hand goes before the end"
            );
        });
    }
}
