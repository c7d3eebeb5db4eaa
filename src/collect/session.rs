//! One attempt: from the request to the end of the response, and what became of it.

use std::{pin::pin, task::Poll, time::Duration};

use hyper::{HeaderMap, Response, header};
use tokio::sync::Notify;

use super::{
    connect::Endpoint,
    fault::Fault,
    halt::{Halt, Stop},
    http::{Answer, Body, Piece},
    log::{Happened, Log},
    matched::Matched,
    outbox::Outbox,
    right::{Right, Turn},
};
use crate::{
    alarm::AlarmKind,
    backoff::{End, HOLDS_MS, RateLimit, Refusal},
    period::UtcMs,
    segment::{
        event::{Disconnected, EndCause, EventKind},
        name::Leg,
    },
    source::wire::{
        Frame, Intake, IntakeError, Last, Notice, Portion, Resume, Transport, Wire, is_page,
    },
    text::duration,
    world::clock::{Clock, Reading},
};

/// Keep-alives come at least every 20 s; a timer of exactly that would race them.
const STALL_MS: i64 = 30_000;

/// Posts come dozens a second.
const NO_POSTS_MS: i64 = 60_000;

/// How far the API's clock and ours may differ.
const CLOCK_OFF_MS: i64 = 5_000;

/// To which a difference of clocks is rounded in the log: a `Date` header has whole seconds, and each leg sees another.
const ABOUT_MS: i64 = 10_000;

/// A `Date` header has whole seconds, so a smaller difference than this says nothing.
const CLOCK_UNSURE_MS: i64 = 2_000;

/// How much of an error frame goes into the log; the events file has all of it.
const LOGGED_CHARS_MAX: usize = 300;

/// How much of a refusal's body is read, and for how long.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const REFUSAL: Duration = Duration::from_secs(5);

/// What became of an attempt.
pub(super) struct Outcome {
    pub(super) end: End,
    /// When the API answered, and what it said of its rate limit.
    pub(super) answered: Option<(UtcMs, RateLimit)>,
    /// Whether lines came for long enough to say that the earlier trouble is over.
    pub(super) held: bool,
    /// The last line that came in it.
    pub(super) last: Last,
    /// In a few words, for the log.
    pub(super) words: String,
    /// The lines that it brought, if it was a stream.
    pub(super) lines: Option<u64>,
}

/// What attempts need.
pub(super) struct Session<'a> {
    pub(super) wire: &'a dyn Wire,
    pub(super) leg: &'a Leg,
    pub(super) outbox: &'a Outbox,
    pub(super) halt: &'a Halt,
    pub(super) clock: &'a Clock,
    /// Gets each connection that is made.
    pub(super) connected: &'a Notify,
    /// Gets the rules that posts name.
    pub(super) matched: &'a Matched,
    pub(super) log: &'a Log,
    pub(super) right: &'a Right,
}

/// The progress of reading a response, in the steady time.
struct Progress {
    begun: UtcMs,
    /// The platform's clock minus ours, if the answer's head told it.
    date_offset_ms: Option<i64>,
    lines: u64,
    /// Whether anything came that counts as the stream having been up.
    spoke: bool,
    heard: bool,
    last_bytes: UtcMs,
    /// The stamp of those bytes.
    last_stamp: Option<Reading>,
    last_post: UtcMs,
    last: Last,
    no_posts_told: bool,
    disconnect: Option<String>,
    /// The answer calls for another configuration: its row in the table of waits.
    misfit: Option<Refusal>,
}

impl Session<'_> {
    /// Makes one attempt; its events are written when it returns. If it was its turn to ask for backfill, others may as
    /// soon as there is an answer.
    pub(super) async fn attempt(
        &self,
        endpoint: &Endpoint,
        (resume, turn): (Resume, Option<Turn<'_>>),
    ) -> Outcome {
        let backfill_minutes = self.minutes(resume);
        let Answer { response, body } = match self.open(endpoint, resume, backfill_minutes).await {
            Ok(answer) => answer,
            Err(fault) => return self.failed(fault, None),
        };
        let Reading { now, steady, .. } = self.clock.read();
        let offset_ms = clock_offset(response.headers(), now);
        let steady_offset_ms = clock_offset(response.headers(), steady);
        let limit = rate_limit(response.headers(), steady_offset_ms);
        let answered = Some((steady, limit));
        if let Some(detail) = self.wire.is_other(response.status(), response.headers()) {
            return self.not_the_api(response.status().as_u16(), detail, answered);
        }
        if response.status() != self.wire.transport().status() {
            // an answer that is not the API's does not tell the API's clock either
            if let Some(offset_ms) = offset_ms.filter(|_| !is_page(response.headers())) {
                self.outbox.clock_seen(offset_ms);
            }
            return self
                .refused(&response, body, answered, (resume, backfill_minutes))
                .await;
        }
        self.connected(&response, resume, backfill_minutes);
        drop(turn);
        let encoding = word(response.headers(), "content-encoding");
        let intake = self.wire.intake(encoding.as_deref(), &endpoint.url, resume);
        let intake = match intake {
            Ok(intake) => intake,
            Err(detail) => {
                self.outbox.disconnected();
                let fault = Fault {
                    cause: EndCause::Protocol,
                    detail,
                };
                return self.failed(fault, answered);
            }
        };
        let mut reading = Progress {
            date_offset_ms: offset_ms,
            ..Progress::new(steady)
        };
        let (intake, mut fault) = self.read(body, intake, &mut reading).await;
        self.outbox.disconnected();
        let at = reading.last_stamp.unwrap_or_else(|| self.clock.read());
        let mut unfinished = None;
        // nothing is kept of an answer that is not the API's
        if fault.cause != EndCause::NotTheApi {
            match intake.finish(at.now) {
                Ok((rest, left)) => {
                    self.portion(&mut reading, rest, at).await;
                    unfinished = left;
                }
                Err(error) => fault = error.into(),
            }
        }
        self.outbox.flush().await;
        self.ended(reading, fault, unfinished, answered)
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        resume: Resume,
        backfill_minutes: u32,
    ) -> Result<Answer, Fault> {
        let transport = self.wire.transport();
        self.outbox.next_connection();
        self.outbox.event(EventKind::Connecting {
            backfill_minutes,
            cursor: match resume {
                Resume::Since(cursor) => Some(cursor),
                Resume::Live | Resume::Minutes(_) => None,
            },
            endpoint: (transport == Transport::WebSocket).then(|| endpoint.url.clone()),
            collections: self.wire.collections().cloned(),
        });
        tokio::select! {
            biased;
            () = self.halt.wait(true) => Err(self.halted()),
            opened = endpoint.open(transport, self.wire.ask(resume)) => opened,
        }
    }

    /// How many minutes are requested again.
    fn minutes(&self, resume: Resume) -> u32 {
        match resume {
            Resume::Live => 0,
            Resume::Minutes(minutes) => u32::from(minutes),
            Resume::Since(cursor) => {
                let since_ms = self.clock.read().now.0 - cursor / 1_000;
                u32::try_from(since_ms / 60_000)
                    .unwrap_or(0)
                    .saturating_add(1)
            }
        }
    }

    /// Why we let go ourselves.
    fn halted(&self) -> Fault {
        let (cause, detail) = match self.halt.state().stop {
            Some(Stop::Signal) => (
                EndCause::Shutdown,
                "this process was told to stop".to_owned(),
            ),
            Some(Stop::Trouble(what)) => (EndCause::Disk, what),
            None => (EndCause::Disk, "the disk is full".to_owned()),
        };
        Fault { cause, detail }
    }

    fn failed(&self, fault: Fault, answered: Option<(UtcMs, RateLimit)>) -> Outcome {
        let words = fault.detail.clone();
        let end = match fault.cause {
            EndCause::Shutdown | EndCause::Disk => End::Local,
            _ => End::Failed,
        };
        self.gave_nothing(fault, None, (end, words), answered)
    }

    fn not_the_api(
        &self,
        status: u16,
        detail: String,
        answered: Option<(UtcMs, RateLimit)>,
    ) -> Outcome {
        let words = format!("this is not the API: {detail}");
        let fault = Fault {
            cause: EndCause::NotTheApi,
            detail,
        };
        self.gave_nothing(fault, Some(status), (End::NotTheApi, words), answered)
    }

    /// Tells the end of an attempt that was no stream.
    fn gave_nothing(
        &self,
        fault: Fault,
        status: Option<u16>,
        (end, words): (End, String),
        answered: Option<(UtcMs, RateLimit)>,
    ) -> Outcome {
        self.outbox.event(EventKind::Disconnected(Disconnected {
            cause: fault.cause,
            status,
            disconnect_type: None,
            lines: 0,
            unfinished: None,
            detail: fault.detail,
        }));
        Outcome {
            end,
            answered,
            held: false,
            last: Last::default(),
            words,
            lines: None,
        }
    }

    async fn refused(
        &self,
        response: &Response<()>,
        mut body: Body,
        answered: Option<(UtcMs, RateLimit)>,
        (resume, backfill_minutes): (Resume, u32),
    ) -> Outcome {
        let status = response.status().as_u16();
        let encoding = word(response.headers(), "content-encoding");
        let mut bytes = Vec::new();
        let whole = async {
            while let Some(Ok(piece)) = body.next().await {
                if let Piece::Bytes(piece) = piece {
                    bytes.extend_from_slice(&piece);
                }
                if REFUSAL_BYTES_MAX <= bytes.len() {
                    break;
                }
            }
        };
        tokio::select! {
            () = whole => (),
            () = self.clock.sleep(REFUSAL) => (),
            () = self.halt.wait(false) => (),
        }
        bytes.truncate(REFUSAL_BYTES_MAX);
        let refused = self.wire.refusal(status, encoding.as_deref(), &bytes);
        if matches!(resume, Resume::Minutes(_)) && refused.refusal == Refusal::BadRequest {
            self.right.refused();
        }
        let words = format!("HTTP {status}: {}", refused.detail);
        let end = End::Refused {
            refusal: refused.refusal,
            with_backfill: 0 < backfill_minutes,
        };
        let fault = Fault {
            cause: EndCause::HttpStatus,
            detail: refused.detail,
        };
        self.gave_nothing(fault, Some(status), (end, words), answered)
    }

    fn connected(&self, response: &Response<()>, resume: Resume, backfill_minutes: u32) {
        self.outbox.event(EventKind::Connected {
            status: response.status().as_u16(),
            backfill_minutes,
            transaction: word(response.headers(), "x-transaction-id"),
        });
        self.outbox.connected();
        self.connected.notify_one();
        self.right.opened(resume);
        match resume {
            Resume::Live => tracing::info!("connected"),
            Resume::Minutes(minutes) => {
                tracing::info!("connected; replaying the last {minutes} min");
            }
            Resume::Since(us) => {
                let since = UtcMs(us.div_euclid(1_000));
                tracing::info!("connected; replaying from {since}");
            }
        }
    }

    /// The stream has brought something, so it is the platform that answers, and its clock can be used.
    fn heard(&self, clock_offset_ms: Option<i64>) {
        self.outbox.event(EventKind::FirstLine { clock_offset_ms });
        let Some(offset_ms) = clock_offset_ms else {
            return;
        };
        self.outbox.clock_seen(offset_ms);
        let off_ms = offset_ms.saturating_abs();
        if CLOCK_OFF_MS < off_ms {
            // what all legs see is one line if it is the same to the letter
            let rounded = (off_ms + ABOUT_MS / 2) / ABOUT_MS * ABOUT_MS;
            let words = format!(
                "this machine's clock differs from the API's by about {}; check its time synchronization",
                duration(if rounded == 0 { off_ms } else { rounded })
            );
            self.tell(&words, Some(AlarmKind::Clock));
        }
    }

    async fn read(
        &self,
        mut body: Body,
        mut intake: Box<dyn Intake>,
        reading: &mut Progress,
    ) -> (Box<dyn Intake>, Fault) {
        let mut halted = pin!(self.halt.wait(true));
        let mut timer = pin!(self.clock.sleep_until(reading.next_check()));
        let fault = loop {
            let piece = match body.ready().await {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    // nothing more is there: what there was is written now
                    self.outbox.flush().await;
                    tokio::select! {
                        biased;
                        () = &mut halted => break self.halted(),
                        piece = body.next() => piece,
                        () = &mut timer => {
                            if let Some(fault) = self.check_silence(reading) {
                                break fault;
                            }
                            timer.set(self.clock.sleep_until(reading.next_check()));
                            continue;
                        }
                    }
                }
            };
            match piece {
                None => {
                    break Fault {
                        cause: EndCause::Eof,
                        detail: "the response ended".to_owned(),
                    };
                }
                Some(Err(fault)) => {
                    if fault.cause == EndCause::Platform {
                        reading
                            .disconnect
                            .get_or_insert_with(|| fault.detail.clone());
                    }
                    break fault;
                }
                Some(Ok(Piece::Alive)) => {
                    self.stamp(reading);
                    self.outbox.counted(0, 1);
                }
                Some(Ok(Piece::Bytes(chunk))) => {
                    if let Err(fault) = self.chunk(&mut *intake, reading, &chunk).await {
                        break fault;
                    }
                }
            }
        };
        (intake, fault)
    }

    /// Something has just been read.
    fn stamp(&self, reading: &mut Progress) -> Reading {
        let at = self.outbox.stamp();
        reading.bytes(at);
        at
    }

    /// Takes what was read at once; an error ends the response.
    async fn chunk(
        &self,
        intake: &mut dyn Intake,
        reading: &mut Progress,
        chunk: &[u8],
    ) -> Result<(), Fault> {
        if chunk.is_empty() {
            return Ok(());
        }
        let at = self.stamp(reading);
        let mut rest = chunk;
        loop {
            match intake.take(&mut rest, at.now) {
                Ok(None) => break,
                Ok(Some(portion)) => self.portion(reading, portion, at).await,
                Err(error) => {
                    let is_misfit = matches!(error, IntakeError::Misfit(_));
                    reading.misfit = is_misfit.then_some(Refusal::BadRequest);
                    return Err(error.into());
                }
            }
        }
        match &reading.disconnect {
            Some(word) => Err(Fault {
                cause: EndCause::Platform,
                detail: word.clone(),
            }),
            None => Ok(()),
        }
    }

    async fn portion(&self, reading: &mut Progress, portion: Portion, at: Reading) {
        if 0 < portion.lines {
            reading.lines += portion.lines;
            reading.last.arrival = Some(at.steady);
            reading.last_post = at.steady;
            if std::mem::take(&mut reading.no_posts_told) {
                self.tell("posts come again", None);
            }
            self.outbox
                .lines(at.now, portion.stored, portion.oversize)
                .await;
        }
        if let Some(offset_ms) = portion
            .offset_ms
            .filter(|_| reading.date_offset_ms.is_none())
        {
            self.outbox.clock_seen(offset_ms);
        }
        reading.last.cursor = portion.cursor.or(reading.last.cursor);
        if let Some((asked, first)) = portion.clamped {
            tracing::warn!("the stream begins at {first}, not at {asked} as requested");
            self.outbox.event(EventKind::ReplayClamped { asked, first });
        }
        if !portion.rules.is_empty() {
            self.matched.saw(portion.rules);
        }
        self.outbox.counted(portion.lines, portion.keep_alives);
        if self.brings_what_rules_choose() && 0 < portion.keep_alives {
            // there was nothing to bring
            reading.last.arrival = Some(at.steady);
            reading.last_post = at.steady;
        }
        if !reading.heard && 0 < portion.lines + portion.keep_alives {
            reading.heard = true;
            self.heard(reading.date_offset_ms);
        }
        reading.spoke |= reading.heard;
        for Frame { line, notice } in portion.frames {
            reading.spoke = true;
            let said: String = line.chars().take(LOGGED_CHARS_MAX).collect();
            self.tell(&format!("the API says: {said:?}"), None);
            self.outbox.error_frame(at.now, line).await;
            if let Notice::Disconnect(word) = notice {
                reading.disconnect.get_or_insert(word);
            }
        }
    }

    /// Tells the log what has happened while the stream is up.
    fn tell(&self, words: &str, alarm: Option<AlarmKind>) {
        self.log.happened(Happened {
            leg: self.leg.clone(),
            words: words.to_owned(),
            alarm,
            lines: None,
            next: None,
        });
    }

    /// Whether nobody can say how many posts are to come.
    fn brings_what_rules_choose(&self) -> bool {
        self.wire.rules().is_some()
    }

    fn check_silence(&self, reading: &mut Progress) -> Option<Fault> {
        let Reading {
            now: here,
            steady: now,
            ..
        } = self.clock.read();
        if STALL_MS <= now.0 - reading.last_bytes.0 {
            return Some(Fault {
                cause: EndCause::Stall,
                detail: "no byte for 30 s".to_owned(),
            });
        }
        let has_no_posts = NO_POSTS_MS <= now.0 - reading.last_post.0;
        if has_no_posts && self.wire.transport() == Transport::WebSocket {
            // an instance may keep pinging without receiving anything itself; the time is requested again from
            // another
            return Some(Fault {
                cause: EndCause::Stall,
                detail: "no event for 60 s".to_owned(),
            });
        }
        if has_no_posts && !reading.no_posts_told {
            reading.no_posts_told = true;
            self.outbox.event(EventKind::NoPosts {
                since: here.plus_ms(reading.last_post.0 - now.0),
            });
            let words = "the connection is up, but no post has come for 60 s";
            self.tell(words, Some(AlarmKind::NoPosts));
        }
        None
    }

    fn ended(
        &self,
        reading: Progress,
        fault: Fault,
        unfinished: Option<String>,
        answered: Option<(UtcMs, RateLimit)>,
    ) -> Outcome {
        // one message among others is the platform's own trouble
        let misfit = reading.misfit.filter(|_| reading.lines == 0);
        let end = match fault.cause {
            EndCause::Shutdown | EndCause::Disk => End::Local,
            EndCause::Stall => End::Dropped,
            EndCause::NotTheApi => End::NotTheApi,
            _ if reading.spoke => End::Dropped,
            _ => End::Failed,
        };
        let end = misfit.map_or(end, |refusal| End::Refused {
            refusal,
            with_backfill: false,
        });
        let (words, lines) = match fault.cause {
            EndCause::NotTheApi => (format!("this is not the API: {}", fault.detail), None),
            _ => (fault.detail.clone(), Some(reading.lines)),
        };
        let held = reading.has_held();
        self.outbox.event(EventKind::Disconnected(Disconnected {
            cause: fault.cause,
            status: None,
            disconnect_type: reading.disconnect,
            lines: reading.lines,
            unfinished,
            detail: fault.detail,
        }));
        Outcome {
            end,
            answered,
            held,
            last: reading.last,
            words,
            lines,
        }
    }
}

impl Progress {
    fn new(now: UtcMs) -> Self {
        Self {
            begun: now,
            date_offset_ms: None,
            lines: 0,
            spoke: false,
            heard: false,
            last_bytes: now,
            last_stamp: None,
            last_post: now,
            last: Last::default(),
            no_posts_told: false,
            disconnect: None,
            misfit: None,
        }
    }

    /// Bytes came; the machine's clock may have been set before or after that.
    fn bytes(&mut self, at: Reading) {
        self.last_bytes = at.steady;
        self.last_stamp = Some(at);
    }

    fn has_held(&self) -> bool {
        self.last
            .arrival
            .is_some_and(|last| HOLDS_MS <= last.0 - self.begun.0)
    }

    /// When a silence, if it is one, would be too long.
    fn next_check(&self) -> UtcMs {
        let stall = self.last_bytes.plus_ms(STALL_MS);
        if self.no_posts_told {
            stall
        } else {
            stall.min(self.last_post.plus_ms(NO_POSTS_MS))
        }
    }
}

impl From<IntakeError> for Fault {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Decode(detail) | IntakeError::Misfit(detail) => Self {
                cause: EndCause::Protocol,
                detail,
            },
            IntakeError::NotTheApi(detail) => Self {
                cause: EndCause::NotTheApi,
                detail,
            },
        }
    }
}

/// A header's text, if it is plain and short.
fn word(headers: &HeaderMap, name: &str) -> Option<String> {
    const HEADER_BYTES_MAX: usize = 128;
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= HEADER_BYTES_MAX).then(|| text.to_owned())
}

/// The API's clock minus ours.
pub(super) fn clock_offset(headers: &HeaderMap, now: UtcMs) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .ok()?;
    Some(date.as_millisecond().saturating_sub(now.0))
}

/// What an answer says of the rate limit, its instant told by our clock.
fn rate_limit(headers: &HeaderMap, offset_ms: Option<i64>) -> RateLimit {
    let number = |name: &str| -> Option<u64> { word(headers, name)?.trim().parse().ok() };
    let offset_ms = offset_ms
        .filter(|offset| CLOCK_UNSURE_MS < offset.saturating_abs())
        .unwrap_or(0);
    let reset = number("x-rate-limit-reset")
        .and_then(|seconds| i64::try_from(seconds).ok())
        .map(|seconds| UtcMs(seconds.saturating_mul(1_000)).plus_ms(offset_ms.saturating_neg()));
    RateLimit {
        remaining: number("x-rate-limit-remaining"),
        reset,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::{
        super::fixture::{Fixture, Says, run, served},
        *,
    };
    use crate::{fuzz::Fuzz, segment::event::Event};

    #[test]
    fn fuzz_dates_and_limits() {
        let now = UtcMs(1_795_442_709_123);
        let fuzz = Fuzz::new("dates_and_limits", 8_000)
            .seed("Mon, 23 Nov 2026 14:05:09 GMT\n50\n1795443000")
            .seed("Mon, 23 Nov -9999 14:05:09 -2359\n-1\n9223372036854775807")
            .seed("23 Nov 2026 14:05:09 +0100\n18446744073709551615\n 7 ");
        fuzz.run(|input| {
            let mut headers = HeaderMap::new();
            let names = ["date", "x-rate-limit-remaining", "x-rate-limit-reset"];
            for (name, value) in names.into_iter().zip(input.split(|byte| *byte == b'\n')) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(name, value);
                }
            }
            let offset = clock_offset(&headers, now);
            // what was told and our clock make the same instant again
            if let Some(offset) = offset {
                assert!(now.plus_ms(offset).0 % 1_000 == 0);
            }
            let limit = rate_limit(&headers, offset);
            assert!(limit.remaining.is_none() || headers.contains_key(names[1]));
            format!("{} {limit:?}", offset.is_some())
        });
    }

    /// X tells its limit's end by its own clock, whose seconds are whole: a smaller difference is none.
    #[test]
    fn the_end_of_a_limit_is_told_by_our_clock() {
        let mut headers = HeaderMap::new();
        headers.insert("x-rate-limit-reset", "1795443000".parse().unwrap());
        headers.insert("x-rate-limit-remaining", "7".parse().unwrap());
        let reset =
            |offset_ms| rate_limit(&headers, offset_ms).reset.unwrap().0 - 1_795_443_000_000;
        for (offset_ms, moved) in [
            (None, 0),
            (Some(2_000), 0),
            (Some(-2_000), 0),
            (Some(2_001), -2_001),
            (Some(3_600_000), -3_600_000),
            (Some(-3_600_000), 3_600_000),
        ] {
            assert_eq!(reset(offset_ms), moved, "{offset_ms:?}");
        }
        assert_eq!(rate_limit(&headers, None).remaining, Some(7));
    }

    #[test]
    fn a_connection_has_held_when_lines_came_for_long_not_bytes() {
        let mut reading = Progress::new(UtcMs(1_000));
        reading.last_bytes = UtcMs(90_000);
        assert!(!reading.has_held(), "keep-alives");
        reading.last.arrival = Some(UtcMs(HOLDS_MS + 999));
        assert!(!reading.has_held());
        reading.last.arrival = Some(UtcMs(HOLDS_MS + 1_000));
        assert!(reading.has_held());
    }

    #[test]
    fn a_silence_is_told_by_the_time_that_never_steps() {
        let mut reading = Progress::new(UtcMs(1_000));
        let hour = 3_600_000;
        for (steady, stepped_ms) in [(2_000, 0), (9_000, -2 * hour), (12_000, 5 * hour)] {
            reading.bytes(Reading {
                now: UtcMs(steady + stepped_ms),
                steady: UtcMs(steady),
                steps: 1,
                stepped_ms,
            });
            assert_eq!(reading.next_check(), UtcMs(steady + STALL_MS));
        }
    }

    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

    /// What becomes of an attempt that is answered so, and how long it takes, really.
    fn tried(fixture: &Fixture, resume: Resume, says: Says) -> (Outcome, i64) {
        let (url, _asked) = served(vec![says]);
        let real = Clock::system();
        let begin = real.steady();
        let endpoint = fixture.endpoint(&url);
        let attempt = async { fixture.session().attempt(&endpoint, (resume, None)).await };
        let outcome = run(attempt);
        (outcome, real.steady().0 - begin.0)
    }

    #[test]
    fn how_an_attempt_ends_decides_when_the_next_one_is() {
        let says = |parts: &[(&str, u64)]| -> Says {
            let part = |(text, silence_ms): &(&str, u64)| (text.as_bytes().to_vec(), *silence_ms);
            parts.iter().map(part).collect()
        };
        let refused = |refusal| End::Refused {
            refusal,
            with_backfill: false,
        };
        let stream = |text: &str| format!("{STREAM}{text}");
        for (parts, end, lines, words) in [
            // nothing at all, and silence
            (
                says(&[(&*stream(""), 3_000)]),
                End::Dropped,
                Some(0),
                "no byte for 30 s",
            ),
            (
                says(&[(&*stream("1\n"), 3_000)]),
                End::Dropped,
                Some(1),
                "no byte for 30 s",
            ),
            // nothing at all, and the end
            (says(&[(&*stream(""), 0)]), End::Failed, Some(0), ""),
            (says(&[(&*stream("x\n"), 0)]), End::Dropped, Some(1), ""),
            (says(&[(&*stream("\n"), 0)]), End::Dropped, Some(0), ""),
            // what cannot be read is a fault of the configuration only if nothing could be
            (
                says(&[(&*stream("misfit\n"), 0)]),
                refused(Refusal::BadRequest),
                Some(0),
                "misfit",
            ),
            (
                says(&[(&*stream("x\nmisfit\n"), 0)]),
                End::Dropped,
                Some(1),
                "misfit",
            ),
            // a body without an end is not waited for
            (
                says(&[(
                    "HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\nabc",
                    5_000,
                )]),
                refused(Refusal::Server),
                None,
                "HTTP 503: 3 bytes",
            ),
        ] {
            let (outcome, took_ms) = tried(&Fixture::new(100), Resume::Live, parts);
            assert_eq!(
                (outcome.end, outcome.lines),
                (end, lines),
                "{}",
                outcome.words
            );
            assert!(outcome.words.contains(words), "{}", outcome.words);
            assert!(took_ms < 2_500, "{took_ms} ms: {}", outcome.words);
        }
    }

    #[test]
    fn of_a_refusal_only_the_begin_is_read() {
        let head = b"HTTP/1.1 400 No\r\nContent-Length: 10000000\r\n\r\n".to_vec();
        let says = vec![([head, vec![b'x'; 100_000]].concat(), 4_000)];
        let (outcome, took_ms) = tried(&Fixture::new(1), Resume::Live, says);
        assert_eq!(outcome.words, "HTTP 400: 65536 bytes");
        assert!(took_ms < 3_000, "{took_ms} ms");
    }

    #[test]
    fn the_last_place_in_the_stream_is_that_of_the_last_line_that_tells_one() {
        let text = format!("{STREAM}7\nx\n");
        let says = vec![(text.into_bytes(), 0), (b"9\ny\nz\n".to_vec(), 0)];
        let (outcome, _) = tried(&Fixture::new(1), Resume::Live, says);
        assert_eq!((outcome.last.cursor, outcome.lines), (Some(9), Some(5)));
        assert!(outcome.last.arrival.is_some());
    }

    #[test]
    fn only_a_wrong_request_is_a_refusal_of_backfill() {
        for (status, is_refused) in [(503, false), (404, false), (400, true)] {
            let fixture = Fixture::new(100);
            let says = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            let says = vec![(says.into_bytes(), 0)];
            let (outcome, _) = tried(&fixture, Resume::Minutes(3), says);
            assert!(
                matches!(
                    outcome.end,
                    End::Refused {
                        with_backfill: true,
                        ..
                    }
                ),
                "{:?}",
                outcome.end
            );
            // while nobody knows, one leg asks
            assert_eq!(run(fixture.right.turn()).is_none(), is_refused, "{status}");
        }
    }

    /// Keep-alives and nothing else for more than a minute.
    #[test]
    fn that_no_post_comes_is_told_since_the_last_one() {
        let fixture = Fixture::new(20);
        let mut says = vec![(format!("{STREAM}1\n").into_bytes(), 300)];
        says.extend(std::iter::repeat_n((b"\n".to_vec(), 300), 11));
        tried(&fixture, Resume::Live, says);
        let events = fixture.events();
        let told: Vec<i64> = events
            .iter()
            .filter_map(|event| match event.what {
                EventKind::NoPosts { since } => Some(event.at.0 - since.0),
                _ => None,
            })
            .collect();
        let [ms] = told[..] else {
            panic!("{events:?}");
        };
        assert!((NO_POSTS_MS..2 * NO_POSTS_MS).contains(&ms), "{ms}");
    }

    /// An answer's head tells the platform's clock; where it does not, the age of events does.
    #[test]
    fn what_events_tell_of_the_clock_counts_only_where_the_answer_tells_nothing() {
        let steps = |date: &str| {
            let fixture = Fixture::new(1);
            let head = STREAM.replace("\r\n\r\n", &format!("\r\n{date}\r\n"));
            let text = format!("{head}offset 100\noffset 60000\n");
            tried(&fixture, Resume::Live, vec![(text.into_bytes(), 0)]);
            let events = fixture.events();
            let is_step = |event: &&Event| matches!(event.what, EventKind::ClockStepped { .. });
            events.iter().filter(is_step).count()
        };
        assert_eq!(steps(""), 1);
        assert_eq!(steps("Date: Mon, 23 Nov 2026 14:05:00 GMT\r\n"), 0);
    }
}
