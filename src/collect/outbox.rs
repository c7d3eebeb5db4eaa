//! The reading side's end of the queue: everything that happens goes through here in order.
//!
//! The queue is bounded in bytes. When it is full reading waits, and says so; the rest then waits
//! in the kernel's and the platform's buffers. Here each minute's record is made as well, before
//! anything of the next minute is sent. And here a step of the machine's clock comes to light: from then on all
//! belongs to a new run, so that stamps ascend within each run.

use std::{
    cell::{Cell, RefCell},
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{halt::Halt, pulse::Pulse, threads::Message};
use crate::{
    period::UtcMs,
    segment::{
        event::{Alive, Event, EventKind},
        name::RunId,
        runs::Runs,
    },
    text::duration,
    world::clock::{Clock, Reading},
};

/// Bytes of all legs that may wait to be written: some six minutes of posts, a fifth of a second at full speed.
pub(super) const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// Lines that are read in one go are handed over together, up to about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// A clock drifts by less than this while one looks away. The API's `Date` has whole seconds, so a smaller
/// difference between two of them says nothing.
const DRIFT_MS: i64 = 2_500;

/// How often the clock is read while nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// Lines that are about to be handed over.
struct Batch {
    first: UtcMs,
    last: UtcMs,
    stored: Vec<u8>,
    oversize: u64,
}

/// Sends to the writing thread.
pub(super) struct Outbox {
    to_writer: Sender<Message>,
    free: Arc<Semaphore>,
    clock: Clock,
    halt: Arc<Halt>,
    pulse: RefCell<Pulse>,
    connection: Cell<u64>,
    batch: RefCell<Option<Batch>>,
    /// Whether something that is stamped already waits for room.
    held_up: Cell<bool>,
    /// The runs so far; the last one is this.
    runs: RefCell<Runs>,
    /// The steps of the clock that are told.
    steps: Cell<u64>,
    stepped_ms: Cell<i64>,
    /// The first difference between the API's clock and ours that this run saw.
    offset_ms: Cell<Option<i64>>,
}

impl Outbox {
    pub(super) fn new(
        to_writer: Sender<Message>,
        clock: Clock,
        (halt, free): (Arc<Halt>, Arc<Semaphore>),
        runs: Runs,
    ) -> Self {
        let begin = clock.read();
        Self {
            to_writer,
            free,
            pulse: RefCell::new(Pulse::new(begin.now)),
            runs: RefCell::new(runs),
            steps: Cell::new(begin.steps),
            stepped_ms: Cell::new(begin.stepped_ms),
            offset_ms: Cell::new(None),
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

    /// The time; a step that comes to light begins a new run.
    fn read(&self) -> Reading {
        let reading = self.clock.read();
        if reading.steps != self.steps.get() {
            let step_ms = reading.stepped_ms - self.stepped_ms.get();
            self.steps.set(reading.steps);
            self.stepped_ms.set(reading.stepped_ms);
            self.begin_run(reading.now, step_ms, step_ms);
        }
        reading
    }

    /// Ends the run, in its own time, and begins the next one. `jump_ms` is by how much this machine's clock leaves
    /// its course now, `step_ms` by how much the stamps of the two runs differ.
    fn begin_run(&self, now: UtcMs, jump_ms: i64, step_ms: i64) {
        let before = now.plus_ms(-jump_ms);
        self.turn_to(before);
        if let Some(batch) = self.batch.take() {
            self.send_lines(batch, None);
        }
        let last = self.pulse.borrow_mut().last(before);
        self.alive(before, last);
        self.pulse.borrow_mut().stepped(now, jump_ms);
        self.offset_ms.set(None);
        let run = getrandom::u32().map(RunId);
        let Ok(run) = run else {
            // the run continues; that its stamps do not ascend is the lesser evil
            tracing::warn!("no random number for a new run");
            return;
        };
        let mut runs = self.runs.borrow_mut();
        let run = runs.begin(run, now);
        self.send(Message::Run {
            run,
            runs: runs.clone(),
        });
        tracing::warn!(
            "this machine's clock was set, or has drifted, by {} {}: run {} begins",
            duration(step_ms.saturating_abs()),
            if step_ms < 0 { "back" } else { "forward" },
            run.id
        );
        let number = run.number;
        self.send(Message::Event {
            event: self.record(now, EventKind::ClockStepped { number, step_ms }),
            room: None,
        });
    }

    /// An answer has told by how much the API's clock and ours differ.
    pub(super) fn clock_seen(&self, offset_ms: i64) {
        let now = self.read().now;
        let first_ms = self.offset_ms.get().unwrap_or(offset_ms);
        let drift_ms = first_ms - offset_ms;
        if DRIFT_MS < drift_ms.abs() {
            self.begin_run(now, 0, drift_ms);
        }
        if self.offset_ms.get().is_none() {
            self.offset_ms.set(Some(offset_ms));
        }
        self.pulse.borrow_mut().clock_seen(offset_ms);
    }

    /// The response has begun.
    pub(super) fn connected(&self) {
        let now = self.read().now;
        self.pulse.borrow_mut().connected(now);
    }

    /// The response is over.
    pub(super) fn disconnected(&self) {
        let now = self.read().now;
        self.pulse.borrow_mut().disconnected(now);
    }

    /// Whether a response is coming.
    pub(super) fn is_connected(&self) -> bool {
        self.pulse.borrow().is_connected()
    }

    /// Stamps bytes that have just been read.
    pub(super) fn stamp(&self) -> Reading {
        let reading = self.read();
        self.turn_to(reading.now);
        self.halt.progress().moved(reading.steady);
        self.pulse.borrow_mut().bytes(reading.now);
        reading
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
            event: self.record(at, EventKind::ErrorFrame { line }),
            room,
        });
    }

    /// Sends what happened just now.
    pub(super) fn event(&self, what: EventKind) {
        let at = self.read().now;
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

    fn record(&self, at: UtcMs, what: EventKind) -> Event {
        Event {
            at,
            what,
            connection: self.connection.get(),
        }
    }

    fn send(&self, message: Message) {
        // it fails only when the writing thread has ended, and that has ended us already
        drop(self.to_writer.send(message));
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
            event: self.record(at, EventKind::Alive(alive)),
            room: None,
        });
    }

    /// Never ends: reports each minute when it is over, even while nothing happens.
    pub(super) async fn tick(&self) {
        loop {
            let end = self.pulse.borrow().minute().end();
            let left_ms = u64::try_from(end.0 - self.clock.now().0).unwrap_or(0);
            let left = Duration::from_millis(left_ms);
            self.clock.sleep_at_most(left, LOOK).await;
            if self.held_up.get() {
                // what waits was stamped in the old minute and belongs into its segment
                self.clock.sleep(Duration::from_millis(100)).await;
            } else {
                let now = self.read().now;
                self.turn_to(now);
            }
        }
    }

    /// The last words of a run; dropping the sender has the threads end.
    pub(super) fn finish(self, why: &str) {
        let now = self.read().now;
        self.turn_to(now);
        let last = self.pulse.borrow_mut().last(now);
        self.alive(now, last);
        let why = why.to_owned();
        self.send(Message::Event {
            event: self.record(now, EventKind::Stopped { why }),
            room: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::mpsc::{self, Receiver},
    };

    use super::*;
    use crate::{
        collect::halt::Stop,
        place::{decide::Asks, open::Opener},
        world::disk::RealDisk,
    };

    fn outbox(clock: &str) -> (Outbox, Receiver<Message>, Clock, Arc<Halt>) {
        let clock = Clock::simulated(clock.parse().unwrap());
        let opener = Opener::of(&RealDisk, Path::new("/nowhere"));
        let spool = opener.spool(&"/nowhere".into(), Asks::Look).unwrap();
        let halt = Arc::new(Halt::new(
            Arc::new(RealDisk),
            spool,
            &"1".parse().unwrap(),
            Arc::default(),
        ));
        let (to_writer, messages) = mpsc::channel();
        let runs = Runs::default();
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let outbox = Outbox::new(to_writer, clock.clone(), (Arc::clone(&halt), room), runs);
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
                EventKind::Alive(alive) => {
                    format!("{} alive {}", event.at.minute(), alive.lines)
                }
                _ => format!("{} event", event.at.minute()),
            },
            Message::Turn(at) => format!("{} turn", at.minute()),
            Message::Run { run, .. } => format!("run {}", run.number),
            Message::Close => "close".to_owned(),
        }
    }

    #[test]
    fn what_was_read_before_the_minute_turned_goes_before_its_record() {
        let (outbox, messages, clock, _halt) = outbox("2026-11-23T14:05:59.000Z@100");
        run(async {
            let at = outbox.stamp().now;
            outbox.counted(1, 0);
            outbox.lines(at, b"{}\n".to_vec(), 0).await;
            clock.block(Duration::from_secs(2));
            outbox.event(EventKind::FirstLine {
                clock_offset_ms: None,
            });
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
            let at = outbox.stamp().now;
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

    /// What the seal will say of them goes with lines: when the first and the last of them came, and how many were cut.
    #[test]
    fn portions_that_go_together_are_told_together() {
        let (outbox, messages, _clock, _halt) = outbox("2026-11-23T14:05:00.000Z@1");
        let at = |ms: i64| UtcMs(1_795_442_700_000 + ms);
        run(async {
            outbox.lines(at(0), b"a\n".to_vec(), 1).await;
            outbox.lines(at(3), b"b\nc\n".to_vec(), 2).await;
            outbox.lines(at(7), b"d\n".to_vec(), 0).await;
            outbox.flush().await;
            outbox.lines(at(9), b"e\n".to_vec(), 4).await;
            outbox.flush().await;
            outbox.flush().await;
        });
        drop(outbox);
        let told = messages.iter().map(|message| match message {
            Message::Lines {
                first,
                last,
                stored,
                oversize,
                room,
            } => {
                assert!(room.is_some());
                let stored = String::from_utf8(stored).unwrap();
                (first.0 - at(0).0, last.0 - at(0).0, stored, oversize)
            }
            _ => panic!("nothing else was sent"),
        });
        let expected = [
            (0, 7, "a\nb\nc\nd\n".to_owned(), 3),
            (9, 9, "e\n".to_owned(), 4),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_line_longer_than_the_queue_takes_all_of_it_and_goes() {
        let (outbox, messages, clock, _halt) = outbox("2026-11-23T14:05:00.000Z@1");
        run(async {
            let at = outbox.stamp().now;
            let goes = async {
                outbox.lines(at, vec![b'x'; QUEUE_BYTES + 1], 1).await;
                outbox.error_frame(at, "y".repeat(QUEUE_BYTES + 1)).await;
            };
            let written = async {
                while !matches!(messages.try_recv(), Ok(Message::Lines { .. })) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                ((), ()) = async { tokio::join!(goes, written) } => (),
                () = clock.sleep(Duration::from_secs(20)) => panic!("it waits for room that is never there"),
            }
        });
    }

    /// What the API's clock tells of ours, answer after answer, and which of them begins a new run.
    #[test]
    fn a_clock_that_drifts_either_way_begins_a_new_run_however_slowly() {
        for (offsets, runs) in [
            (&[0, 2_500, -2_500][..], &[][..]),
            (&[0, 2_501], &[-2_501]),
            (&[0, -2_501], &[2_501]),
            // a second an answer
            (
                &[0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000],
                &[-3_000, -3_000],
            ),
            (&[7_000, 6_000, 5_000, 4_000], &[3_000]),
        ] {
            let (outbox, messages, _clock, _halt) = outbox("2026-11-23T14:05:00.000Z@1");
            run(async {
                let at = outbox.stamp().now;
                outbox.counted(1, 0);
                outbox.lines(at, b"{}\n".to_vec(), 0).await;
                for offset_ms in offsets {
                    outbox.clock_seen(*offset_ms);
                }
            });
            drop(outbox);
            let (mut steps, mut words) = (Vec::new(), Vec::new());
            for message in &messages {
                words.push(word(&message));
                if let Message::Event { event, .. } = &message
                    && let EventKind::ClockStepped { step_ms, .. } = event.what
                {
                    steps.push(step_ms);
                }
            }
            assert_eq!(steps, runs, "{offsets:?}");
            if !runs.is_empty() {
                // what is in hand and the minute so far belong to the run that ends
                let [lines, alive, run, ..] = &words[..] else {
                    panic!("{words:?}");
                };
                assert!(
                    lines.ends_with("lines 3") && alive.ends_with("alive 1"),
                    "{words:?}"
                );
                assert!(run.starts_with("run "), "{words:?}");
            }
        }
    }
}
