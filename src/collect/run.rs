//! The life of a run: recovery, then one attempt after another, then the orderly end. A server has a leg for each
//! part of the stream: a connection with its own segments, events, runs, waits and position to resume from. The legs
//! share the process, the disk and its halts, the room in the queue, and what the API allows.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::{JoinSet, LocalSet},
};
use tracing::{Instrument as _, Span};

use super::{
    connect::{ApiError, Endpoint},
    earlier,
    halt::{Halt, Stop},
    log::{Happened, Log},
    matched::Matched,
    outbox::{Outbox, QUEUE_BYTES},
    progress::Progress,
    right::{Right, RightMemory, Turn},
    rules::Rules,
    session::{Outcome, Session},
    threads::{self, ThreadContext},
};
use crate::{
    alarm::AlarmKind,
    backoff::{Allowance, Backoff, End, Next},
    config::proxy::Proxies,
    period::UtcMs,
    place::open::{NotHere, Spool},
    segment::{
        event::{EventKind, WaitReason},
        line::PROGRAM,
        name::{Leg, RunId, ServerId},
        recover::{self, Past, Recovered},
        runs::{self, Run, Runs},
        spool,
        writer::{WriteError, Writer},
    },
    source::wire::{Last, Resume, Wire},
    text::plural,
    world::{
        clock::Clock,
        disk::Disk,
        lock::{FolderLock, Lock, LockError},
        signals::{self, Asked},
    },
};

/// How often a full disk is checked.
const ROOM_POLL: Duration = Duration::from_secs(5);

/// The part of the 10 s of an end that is for writing and sealing, …
const WRITE_OUT: Duration = Duration::from_secs(7);
/// … and, if that was not enough, the part for giving up a full disk.
const LET_GO: Duration = Duration::from_secs(2);

/// After this long without anything, the next endpoint is tried.
const ENDPOINT_MS: i64 = 60_000;

/// Threads for looking up addresses.
const STACK_BYTES: usize = 512 * 1024;

/// A clock that is off by more is not believed.
const CLOCK_OFF_MS: i64 = 5_000;

/// What collecting needs.
pub struct Collector {
    /// The way to the spool. While it is away, the collector waits for it.
    pub spool: Box<dyn Fn() -> Result<Spool, NotHere> + Send>,
    /// Where it remembers what costs requests to find out.
    pub data_dir: PathBuf,
    /// Which server this is.
    pub server: ServerId,
    /// What each leg asks for, and what comes of it.
    pub wires: Vec<Box<dyn Wire>>,
    /// Where it is asked for: the first one, and the next when one gives nothing.
    pub endpoints: Vec<String>,
    /// The network's proxies.
    pub proxies: Proxies,
    /// The time.
    pub clock: Clock,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Where it reports its progress to the rest of the process.
    pub progress: Arc<Progress>,
}

/// What the legs have in common.
struct SharedByLegs {
    collector: Collector,
    endpoints: Vec<Endpoint>,
    spool: Spool,
    halt: Arc<Halt>,
    /// Room in the queue for what waits to be written.
    room: Arc<Semaphore>,
    /// What the API allows.
    allowance: Allowance,
    right: Right,
    log: Log,
}

/// What earlier runs of a leg left.
struct Left {
    /// Segments that were open and are sealed now.
    recovered: Vec<Recovered>,
    /// What the last one that received anything tells.
    last: Past,
    /// When the API last answered.
    answers: Vec<UtcMs>,
}

/// Why collecting ended, or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The API cannot be spoken to as configured.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The spool cannot be made.
    #[error("cannot use the spool: {0}")]
    Place(#[from] NotHere),
    /// What an earlier run left could not be mended.
    #[error("cannot recover what an earlier run left open: {0}")]
    Recover(WriteError),
    /// The spool cannot be used.
    #[error(
        "cannot use the spool: {}",
        crate::world::error_at::placed(path, source)
    )]
    Spool {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system did not give what a process needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// The disk failed while collecting.
    #[error("{0}")]
    Disk(String),
    /// Another process collects into the same folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// It had to end while the disk was full or too slow.
    #[error("some of what was received could not be written and sealed before the end")]
    Unwritten,
}

impl Collector {
    /// The leg to which a wire belongs.
    fn leg(&self, wire: &dyn Wire) -> Leg {
        Leg {
            server: self.server.clone(),
            partition: wire.partition(),
        }
    }

    /// What all legs know of the right to backfill.
    fn right(&self) -> Right {
        let asked = self.wires.iter().find_map(|wire| wire.right());
        let memory = asked.map(|asked| RightMemory::new(&self.data_dir, &asked));
        Right::new(memory, Arc::clone(&self.disk), self.clock.clone())
    }

    /// Collects until it is told to stop.
    pub fn run(self) -> Result<(), CollectError> {
        let collector = self;
        let endpoints = collector.endpoints.iter();
        let endpoints: Result<Vec<Endpoint>, ApiError> = endpoints
            .map(|url| Endpoint::new(url, &collector.clock, &collector.proxies))
            .collect();
        let endpoints = endpoints?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(CollectError::Start)?;
        let asked = {
            let _in = runtime.enter();
            Asked::new()
        };
        let mut asked = asked.map_err(CollectError::Start)?;
        let Some(spool) = runtime.block_on(appear(&collector, &mut asked))? else {
            return Ok(());
        };
        let spool_error = |source| CollectError::Spool {
            path: spool.to_path_buf(),
            source,
        };
        let halt = Arc::new(Halt::new(
            Arc::clone(&collector.disk),
            spool.clone(),
            &collector.server,
            Arc::clone(&collector.progress),
        ));
        collector.progress.moved(collector.clock.steady());
        let recovered = recover(&collector, &spool, &halt, &mut asked);
        let Some((recovered, _alone)) = runtime.block_on(recovered)? else {
            return Ok(());
        };
        if let Err(error) = halt.hold_reserve() {
            tracing::warn!("cannot hold 64 MiB back for a full disk: {error}");
        }
        let lefts = lefts(&collector, &spool, recovered).map_err(spool_error)?;
        let answers = lefts.iter().flat_map(|left| left.answers.iter().copied());
        let allowance = Allowance::new(lefts.len(), answers);
        let right = collector.right();
        if let Some(at) = right.refused_before() {
            tracing::info!("backfill was refused at {at}, so it is not asked for");
            allowance.has_no_backfill();
        }
        let log = Log::new(lefts.len());
        let shared = SharedByLegs {
            collector,
            endpoints,
            spool,
            halt,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            allowance,
            right,
            log,
        };
        let result = runtime.block_on(collect(shared, lefts, asked));
        // do not wait for a name that is still being looked up
        runtime.shutdown_background();
        result
    }
}

/// What earlier runs left of each leg.
fn lefts(
    collector: &Collector,
    spool: &Spool,
    mut recovered: Vec<Recovered>,
) -> io::Result<Vec<Left>> {
    let (disk, server) = (&*collector.disk, &collector.server);
    let sealed = spool::sealed(disk, spool, server)?.found;
    let mut answers = earlier::answers(disk, spool, server, collector.clock.now())?;
    let mut lefts = Vec::new();
    for wire in &collector.wires {
        let leg = collector.leg(&**wire);
        let sealed = (sealed.as_slice(), wire.stream());
        lefts.push(Left {
            recovered: recovered
                .extract_if(.., |left| left.name.partition == leg.partition)
                .collect(),
            last: recover::past(disk, spool, &leg, sealed, wire.cursor_of())?,
            answers: answers.remove(&leg.partition).unwrap_or_default(),
        });
    }
    for left in recovered {
        // of a part of the stream that is not collected here any more
        warn_of_recovered(&left);
    }
    Ok(lefts)
}

/// The spool, as soon as it is there; `None` if the process is asked to end before.
async fn appear(collector: &Collector, asked: &mut Asked) -> Result<Option<Spool>, CollectError> {
    let mut was_away = false;
    loop {
        match (collector.spool)() {
            Ok(spool) => {
                if was_away {
                    tracing::warn!("the spool is there: collecting begins");
                    collector.progress.full(false);
                }
                return Ok(Some(spool));
            }
            Err(why @ NotHere::Io(_)) => return Err(why.into()),
            Err(why) if !was_away => {
                was_away = true;
                collector.progress.full(true);
                alarm!(
                    AlarmKind::PlaceAway,
                    why.word(),
                    "{why}: collecting begins by itself when it is there\n  hint: {}",
                    why.hint()
                );
            }
            Err(_still_away) => (),
        }
        if is_asked_to_end(collector, asked).await {
            return Ok(None);
        }
    }
}

/// Waits for a while, or until the process is asked to end: says whether it is.
async fn is_asked_to_end(collector: &Collector, asked: &mut Asked) -> bool {
    tokio::select! {
        () = collector.clock.sleep(ROOM_POLL) => false,
        () = asked.next() => {
            collector.progress.stopping();
            true
        }
    }
}

/// Mends what earlier runs left, and keeps others out of the server's folder: a process with another data directory has
/// other locks. Until there is room for that, it waits; `None` if the process is asked to end before.
async fn recover(
    collector: &Collector,
    spool: &Spool,
    halt: &Halt,
    asked: &mut Asked,
) -> Result<Option<(Vec<Recovered>, FolderLock)>, CollectError> {
    let mut alone = None;
    loop {
        let disk: &dyn Disk = &*collector.disk;
        let server_folder = spool.join(collector.server.as_str());
        let made = make_folder(disk, &server_folder);
        if made.is_ok() && alone.is_none() {
            alone = Some(FolderLock::take(&server_folder, Lock::COLLECT)?);
        }
        let recovery = made.and_then(|()| recover::recover(disk, spool, &collector.server));
        match recovery {
            Ok(recovery) => {
                if halt.state().full && !halt.try_resume() {
                    if is_asked_to_end(collector, asked).await {
                        return Ok(None);
                    }
                    continue;
                }
                for (name, error) in recovery.failed {
                    alarm!(
                        AlarmKind::NotRecovered,
                        collector.server,
                        "{name} was left open and cannot be recovered: {error}"
                    );
                }
                return Ok(alone.map(|alone| (recovery.recovered, alone)));
            }
            Err(error) if error.passes() => {
                if !halt.disk_fails(&error) && is_asked_to_end(collector, asked).await {
                    tracing::warn!("told to stop: the next start mends what is left open");
                    return Ok(None);
                }
            }
            Err(error) => return Err(CollectError::Recover(error)),
        }
    }
}

fn make_folder(disk: &dyn Disk, folder: &Path) -> Result<(), WriteError> {
    disk.make_folder(folder)
        .map_err(|source| WriteError::new(folder, source))
}

/// Runs all legs until the process is to end. When one cannot go on for want of the disk, none can.
async fn collect(shared: SharedByLegs, lefts: Vec<Left>, asked: Asked) -> Result<(), CollectError> {
    let mut signals = JoinSet::new();
    signals.spawn(heed_signals(asked, Arc::clone(&shared.halt)));
    shared.collector.progress.begun();
    let shared = Rc::new(shared);
    let (local, mut legs) = (LocalSet::new(), JoinSet::new());
    for (number, left) in lefts.into_iter().enumerate() {
        let leg = leg(Rc::clone(&shared), number, left);
        legs.spawn_local_on(leg, &local);
    }
    let all = async {
        let mut result = Ok(());
        while let Some(ended) = legs.join_next().await {
            let ended = ended.unwrap_or_else(|why| Err(CollectError::Start(why.into())));
            if let Err(why) = ended {
                shared.halt.stop(Stop::Trouble(why.to_string()));
                result = result.and(Err(why));
            }
        }
        result
    };
    let all = local.run_until(all);
    let result = tokio::select! {
        result = all => result,
        never = shared.log.tend() => match never {},
    };
    shared.log.tell();
    result
}

/// One leg, from its first request to its orderly end.
async fn leg(shared: Rc<SharedByLegs>, number: usize, past: Left) -> Result<(), CollectError> {
    let Some(wire) = shared.collector.wires.get(number) else {
        return Ok(());
    };
    let leg = shared.collector.leg(&**wire);
    let span = leg.partition.map_or_else(Span::none, |partition| {
        tracing::info_span!("partition", "{partition}")
    });
    run_leg(&shared, (&leg, &**wire), past)
        .instrument(span)
        .await
}

async fn run_leg(
    shared: &SharedByLegs,
    (leg, wire): (&Leg, &dyn Wire),
    past: Left,
) -> Result<(), CollectError> {
    let SharedByLegs {
        collector, halt, ..
    } = shared;
    let id = getrandom::u32().map(RunId);
    let id = id.map_err(|error| CollectError::Start(io::Error::other(error.to_string())))?;
    let (runs, run) = begin_run(shared, leg, id).await?;
    let context = ThreadContext {
        disk: Arc::clone(&collector.disk),
        spool: shared.spool.clone(),
        leg: leg.clone(),
        clock: collector.clock.clone(),
        halt: Arc::clone(halt),
    };
    let writer = Writer::new(
        Arc::clone(&context.disk),
        &shared.spool,
        leg,
        wire.stream(),
        run,
    );
    let (to_writer, written) = threads::start(&context, writer).map_err(CollectError::Start)?;
    let halt_and_room = (Arc::clone(halt), Arc::clone(&shared.room));
    let outbox = Outbox::new(to_writer, collector.clock.clone(), halt_and_room, runs);
    outbox.event(started(run.number, past.last));
    tracing::info!("collecting as server {}, run {}", collector.server, run.id);
    for left in &past.recovered {
        tell_recovered(&outbox, left);
    }
    let (connected, matched) = (Notify::new(), Matched::default());
    let mut driver = Driver {
        session: Session {
            wire,
            leg,
            outbox: &outbox,
            halt,
            clock: &collector.clock,
            connected: &connected,
            matched: &matched,
            log: &shared.log,
            right: &shared.right,
        },
        backoff: Backoff::of_leg(run.id.0, past.answers, &shared.allowance),
        endpoints: &shared.endpoints,
        endpoint: 0,
        failing_since: None,
        last: Last {
            arrival: believed(past.last, collector.clock.steady()),
            cursor: past.last.cursor,
        },
    };
    tokio::select! {
        () = driver.attempts() => (),
        () = outbox.tick() => (),
        () = tend_rules(shared, (wire, leg), &outbox, (&connected, &matched)) => (),
    }
    let why = halt.state().stop;
    outbox.finish(match &why {
        Some(Stop::Trouble(what)) => what,
        Some(Stop::Signal) | None => "signal",
    });
    write_out(halt, written).await?;
    match why {
        Some(Stop::Trouble(what)) => Err(CollectError::Disk(what)),
        Some(Stop::Signal) | None => Ok(()),
    }
}

fn started(number: u64, past: Past) -> EventKind {
    EventKind::Started {
        program: PROGRAM.to_owned(),
        number,
        after: past.run_number,
        last_line: past.last_line,
    }
}

/// Asks for the rules again and again; never ends.
async fn tend_rules(
    shared: &SharedByLegs,
    (wire, leg): (&dyn Wire, &Leg),
    outbox: &Outbox,
    (connected, matched): (&Notify, &Matched),
) {
    let Some(endpoint) = shared.endpoints.first() else {
        return std::future::pending().await;
    };
    let rules = Rules {
        wire,
        leg,
        outbox,
        endpoint,
        clock: &shared.collector.clock,
        connected,
        matched,
        said: RefCell::default(),
    };
    rules.tend().await;
}

/// The run that begins now. Its number is durable before anything of it is written.
async fn begin_run(
    shared: &SharedByLegs,
    leg: &Leg,
    id: RunId,
) -> Result<(Runs, Run), CollectError> {
    let SharedByLegs {
        collector,
        spool,
        halt,
        ..
    } = shared;
    let Collector { disk, clock, .. } = collector;
    let path = runs::path(spool, leg);
    let error = |source| CollectError::Spool {
        path: path.clone(),
        source,
    };
    let mut runs = Runs::read(&**disk, spool, leg).map_err(error)?;
    let run = runs.begin(id, clock.now());
    while let Err(source) = runs.keep(&**disk, spool, leg) {
        let why = WriteError::new(&path, source);
        if !why.passes() {
            return Err(CollectError::Recover(why));
        }
        if !halt.disk_fails(&why) {
            tokio::select! {
                () = clock.sleep(ROOM_POLL) => (),
                () = halt.wait(false) => return Err(CollectError::Unwritten),
            }
        }
    }
    Ok((runs, run))
}

/// When the last line arrived, in this process's time. If one of the two clocks cannot be trusted, it counts as long
/// ago, so that as much backfill as possible is requested.
fn believed(past: Past, now: UtcMs) -> Option<UtcMs> {
    let last = past.last_line?;
    let was_off = past
        .clock_offset_ms
        .is_some_and(|ms| CLOCK_OFF_MS < ms.saturating_abs());
    Some(if now < last || was_off {
        UtcMs(i64::MIN)
    } else {
        last
    })
}

fn warn_of_recovered(left: &Recovered) {
    tracing::warn!(
        "{} was left open: {} kept, {} cut off",
        left.name,
        plural(left.lines, "line is", "lines are"),
        plural(left.cut_bytes, "torn byte", "torn bytes")
    );
}

fn tell_recovered(outbox: &Outbox, left: &Recovered) {
    warn_of_recovered(left);
    outbox.event(EventKind::Recovered {
        segment: left.name.to_string(),
        lines: left.lines,
        cut_bytes: left.cut_bytes,
        last: left.last,
    });
}

/// Waits until everything is written and sealed.
async fn write_out(halt: &Halt, mut written: oneshot::Receiver<()>) -> Result<(), CollectError> {
    // the sender is dropped at the end, nothing is ever sent
    if tokio::time::timeout(WRITE_OUT, &mut written).await.is_ok() {
        return match halt.state().stop {
            Some(Stop::Trouble(what)) => Err(CollectError::Disk(what)),
            Some(Stop::Signal) | None => Ok(()),
        };
    }
    halt.hurry();
    match tokio::time::timeout(LET_GO, &mut written).await {
        Ok(_) | Err(_) => Err(CollectError::Unwritten),
    }
}

/// The first signal asks for an orderly end, the second one ends the process at once.
async fn heed_signals(mut asked: Asked, halt: Arc<Halt>) {
    asked.next().await;
    tracing::info!("told to stop: writing and sealing what was read");
    halt.stop(Stop::Signal);
    asked.next().await;
    signals::end_at_once();
}

struct Driver<'a> {
    session: Session<'a>,
    backoff: Backoff,
    endpoints: &'a [Endpoint],
    /// The place that is asked.
    endpoint: usize,
    /// Since when it has given nothing, in the steady time.
    failing_since: Option<UtcMs>,
    /// What came last.
    last: Last,
}

impl Driver<'_> {
    /// Attempt after attempt, until the process is to end.
    async fn attempts(&mut self) {
        let halt = self.session.halt;
        let first = self.backoff.first(self.session.clock.now());
        self.wait(first).await;
        while halt.state().stop.is_none() {
            if halt.state().full {
                self.wait_for_room().await;
                continue;
            }
            let now = self.session.clock.steady();
            let resume = self.resume(now).await;
            halt.progress().moved(now);
            let Some(endpoint) = self.endpoints.get(self.endpoint) else {
                return;
            };
            let outcome = self.session.attempt(endpoint, resume).await;
            self.note(&outcome, now);
            if halt.state().stop.is_some() {
                return;
            }
            let next = self.judge(&outcome);
            if halt.state().full {
                // as long as there is no room, it is this that keeps it from asking
                self.wait_for_room().await;
            }
            self.wait(next).await;
            self.move_on();
        }
    }

    /// What to ask for again, and the turn to ask for it, if legs take turns.
    async fn resume(&self, now: UtcMs) -> (Resume, Option<Turn<'_>>) {
        let Session {
            wire, right, halt, ..
        } = &self.session;
        let mut turn = None;
        if self.backoff.may_backfill() && matches!(wire.resume(self.last, now), Resume::Minutes(_))
        {
            turn = tokio::select! {
                turn = right.turn() => turn,
                () = halt.wait(false) => None,
            };
        }
        // another leg may have learned something meanwhile
        let resume = if self.backoff.may_backfill() {
            wire.resume(self.last, now)
        } else {
            Resume::Live
        };
        (resume, turn)
    }

    /// Since when the place has given nothing.
    fn note(&mut self, outcome: &Outcome, asked: UtcMs) {
        if outcome.last.arrival.is_some() || outcome.end == End::Local {
            self.failing_since = None;
        } else {
            self.failing_since.get_or_insert(asked);
        }
    }

    /// When another endpoint is tried, if there is one and this one gives nothing.
    fn moves_on_at(&self) -> Option<UtcMs> {
        let since = self.failing_since.filter(|_| 1 < self.endpoints.len())?;
        Some(since.plus_ms(ENDPOINT_MS))
    }

    /// To the next place, when one has given nothing for too long.
    fn move_on(&mut self) {
        let now = self.session.clock.steady();
        if self.moves_on_at().is_some_and(|at| at <= now) {
            self.failing_since = None;
            self.endpoint = (self.endpoint + 1) % self.endpoints.len();
            if let Some(next) = self.endpoints.get(self.endpoint) {
                tracing::warn!("switching to endpoint {}", next.url);
            }
        }
    }

    fn judge(&mut self, outcome: &Outcome) -> Next {
        if let Some((at, limit)) = outcome.answered {
            self.backoff.answered(at, limit);
        }
        if outcome.held {
            self.backoff.held();
        }
        self.last = Last {
            arrival: outcome.last.arrival.or(self.last.arrival),
            cursor: outcome.last.cursor.or(self.last.cursor),
        };
        if outcome.held && self.last.cursor.is_some() {
            self.backoff.may_backfill_again();
        }
        let now = self.session.clock.steady();
        let mut next = self.backoff.ended(now, outcome.end);
        // what one place refuses, another may give; requests are spread over all of them
        if let Some(at) = self.moves_on_at().filter(|_| next.why == next.row.1) {
            next.until = next.until.min(at.max(now));
        }
        if outcome.end == End::Local {
            tracing::debug!("{}", outcome.words);
        } else {
            self.session.log.happened(Happened {
                leg: self.session.leg.clone(),
                words: outcome.words.clone(),
                alarm: next.alarm,
                lines: outcome.lines,
                next: Some((next.until.0.saturating_sub(now.0), next.why)),
            });
        }
        next
    }

    async fn wait(&self, next: Next) {
        let Session {
            clock,
            outbox,
            halt,
            ..
        } = &self.session;
        for (until, why) in next.waits(clock.steady()) {
            let wait_ms = until.0.saturating_sub(clock.steady().0);
            let Ok(wait_ms @ 1..) = u64::try_from(wait_ms) else {
                continue;
            };
            outbox.event(EventKind::Waiting {
                wait_ms: Some(wait_ms),
                why,
            });
            halt.progress().waits(until);
            tokio::select! {
                () = clock.sleep_until(until) => (),
                () = halt.wait(false) => return,
            }
        }
    }

    /// Seals what there is, and looks again and again whether there is room.
    async fn wait_for_room(&self) {
        let Session {
            clock,
            outbox,
            halt,
            ..
        } = &self.session;
        outbox.event(EventKind::Waiting {
            // nobody knows how long: until there is room
            wait_ms: None,
            why: WaitReason::DiskFull,
        });
        outbox.close();
        while !halt.try_resume() {
            tokio::select! {
                () = clock.sleep(ROOM_POLL) => (),
                () = halt.wait(false) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixture::{Fixture, run},
        *,
    };
    use crate::{alarm::AlarmKind, backoff::RateLimit};

    /// A run whose clock was off, either way, and a start before the last line tell nothing of how long ago that was.
    #[test]
    fn the_last_line_of_an_earlier_run_is_believed_if_both_clocks_can_be() {
        let now = UtcMs(1_795_442_700_000);
        let earlier = now.plus_ms(-90_000);
        let long_ago = Some(UtcMs(i64::MIN));
        for (last_line, offset_ms, expected) in [
            (None, Some(0), None),
            (Some(earlier), None, Some(earlier)),
            (Some(earlier), Some(5_000), Some(earlier)),
            (Some(earlier), Some(-5_000), Some(earlier)),
            (Some(earlier), Some(5_001), long_ago),
            (Some(earlier), Some(-5_001), long_ago),
            (Some(earlier), Some(i64::MIN), long_ago),
            (Some(now), Some(0), Some(now)),
            (Some(now.plus_ms(1)), Some(0), long_ago),
            (Some(now.plus_ms(1)), None, long_ago),
        ] {
            let past = Past {
                last_line,
                clock_offset_ms: offset_ms,
                ..Past::default()
            };
            assert_eq!(believed(past, now), expected, "{past:?}");
        }
    }

    fn driver<'a>(fixture: &'a Fixture, endpoints: &'a [Endpoint]) -> Driver<'a> {
        Driver {
            session: fixture.session(),
            backoff: Backoff::new(7, []),
            endpoints,
            endpoint: 0,
            failing_since: None,
            last: Last::default(),
        }
    }

    fn outcome(end: End, last: Last) -> Outcome {
        Outcome {
            end,
            answered: None,
            held: false,
            last,
            words: "it ended".to_owned(),
            lines: None,
        }
    }

    #[test]
    fn what_came_last_is_known_however_many_attempts_bring_nothing() {
        let fixture = Fixture::new(1);
        let endpoints = [fixture.endpoint("http://127.0.0.1:9")];
        let mut driver = driver(&fixture, &endpoints);
        let at = |ms| Some(fixture.clock.steady().plus_ms(ms));
        let (first, second) = (at(-50_000), at(-9_000));
        for (arrival, cursor, expected) in [
            (first, Some(5), (first, Some(5))),
            (None, None, (first, Some(5))),
            (second, None, (second, Some(5))),
            (None, None, (second, Some(5))),
            (second, Some(9), (second, Some(9))),
        ] {
            driver.judge(&outcome(End::Failed, Last { arrival, cursor }));
            assert_eq!((driver.last.arrival, driver.last.cursor), expected);
        }
    }

    #[test]
    fn each_endpoint_has_a_minute_of_its_own() {
        let fixture = Fixture::new(1);
        let urls = [
            "http://127.0.0.1:9",
            "http://127.0.0.1:10",
            "http://127.0.0.1:11",
        ];
        let endpoints = urls.map(|url| fixture.endpoint(url));
        let mut driver = driver(&fixture, &endpoints);
        let nothing = outcome(End::Failed, Last::default());
        let something = Last {
            arrival: Some(fixture.clock.steady()),
            cursor: None,
        };
        let something = outcome(End::Dropped, something);
        // how long ago an attempt was made, what it gave, and where the next one goes
        for (ago_ms, outcome, place) in [
            (59_000, &nothing, 0),
            (1_000, &something, 0),
            (59_000, &nothing, 0),
            (1_000, &something, 0),
            (61_000, &nothing, 1),
            (1_000, &nothing, 1),
            (500, &nothing, 1),
            (1_000, &something, 1),
            (61_000, &nothing, 2),
            (100, &something, 2),
            (61_000, &nothing, 0),
        ] {
            let asked = fixture.clock.steady().plus_ms(-ago_ms);
            driver.note(outcome, asked);
            driver.move_on();
            assert_eq!(driver.endpoint, place, "{ago_ms}");
        }
    }

    #[test]
    fn whoever_waits_on_purpose_makes_progress() {
        let fixture = Fixture::new(1_000);
        let endpoints = [fixture.endpoint("http://127.0.0.1:9")];
        let driver = driver(&fixture, &endpoints);
        let now = fixture.clock.steady();
        let until = now.plus_ms(300_000);
        run(driver.wait(Next {
            until,
            why: WaitReason::RateLimit,
            row: (until, WaitReason::RateLimit),
            alarm: None,
        }));
        assert!(fixture.halt.progress().goes_on(until.plus_ms(59_000)));
        assert!(until <= fixture.clock.steady(), "it has waited");
        let events = fixture.events();
        let waits = events.iter().filter_map(|event| match &event.what {
            EventKind::Waiting { wait_ms, why } => Some((*wait_ms, *why)),
            _ => None,
        });
        let waits: Vec<(Option<u64>, WaitReason)> = waits.collect();
        let [(Some(290_000..=300_000), WaitReason::RateLimit)] = waits[..] else {
            panic!("{waits:?}");
        };
    }

    /// What the API says of its limit, and that a person has to act, is heeded by whoever judges an attempt.
    #[test]
    fn an_attempt_is_judged_by_its_end_and_its_answer() {
        let fixture = Fixture::new(1);
        let endpoints = [fixture.endpoint("http://127.0.0.1:9")];
        let mut driver = driver(&fixture, &endpoints);
        let now = fixture.clock.steady();
        let limit = RateLimit {
            remaining: Some(0),
            reset: Some(now.plus_ms(400_000)),
        };
        let refused = |refusal| End::Refused {
            refusal,
            with_backfill: false,
        };
        let limited = Outcome {
            answered: Some((now, limit)),
            ..outcome(refused(crate::backoff::Refusal::RateLimit), Last::default())
        };
        let next = driver.judge(&limited);
        assert_eq!((next.why, next.alarm), (WaitReason::RateLimit, None));
        assert!((401_000..410_000).contains(&(next.until.0 - now.0)));
        let alone = outcome(
            refused(crate::backoff::Refusal::Unauthorized),
            Last::default(),
        );
        assert_eq!(driver.judge(&alone).alarm, Some(AlarmKind::Refused));
    }

    #[test]
    fn what_ends_in_trouble_is_said_to_have() {
        let ended = |stop: Option<Stop>| {
            let fixture = Fixture::new(1);
            if let Some(stop) = stop {
                fixture.halt.stop(stop);
            }
            let (sender, written) = oneshot::channel();
            drop(sender);
            run(write_out(&fixture.halt, written))
        };
        assert!(ended(None).is_ok() && ended(Some(Stop::Signal)).is_ok());
        let trouble = Stop::Trouble("it burns".to_owned());
        assert!(
            matches!(ended(Some(trouble)), Err(CollectError::Disk(what)) if what == "it burns")
        );
    }

    /// What a crash has left open of each partition, and of one that is not collected any more; and what the API has answered each.
    #[test]
    fn what_earlier_runs_left_of_a_partition_is_that_leg_s() {
        use crate::{
            place::decide::Asks, place::open::Opener, segment::writer::Writer,
            world::disk::RealDisk,
        };
        let dir = tempfile::tempdir().unwrap();
        let fixture = Fixture::new(1);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let opener = Opener::of(&RealDisk, dir.path());
        let spool: Spool = opener.spool(&dir.path().into(), Asks::Make).unwrap();
        let now = fixture.clock.now();
        let mut recovered = Vec::new();
        for number in [3_u8, 2, 1, 2] {
            let leg: Leg = format!("1.0{number}").parse().unwrap();
            let run = Run {
                number: 1,
                id: RunId(u32::from(number) + u32::try_from(recovered.len()).unwrap() * 16),
            };
            let mut writer = Writer::new(Arc::clone(&disk), &spool, &leg, "sample10", run);
            for ms in 0..i64::from(number) {
                let event = crate::segment::event::Event {
                    at: now.plus_ms(-60_000 + ms),
                    what: EventKind::Connected {
                        status: 200,
                        backfill_minutes: 0,
                        transaction: None,
                    },
                    connection: 1,
                };
                writer.event(&event).unwrap();
            }
            let name = writer.open_name().unwrap().clone();
            writer.close().unwrap().seal(&RealDisk).unwrap();
            recovered.push(Recovered {
                name,
                lines: 0,
                cut_bytes: 0,
                last: None,
            });
        }
        let partition = crate::segment::name::Partition::new;
        let wires = [1, 2].map(|number| -> Box<dyn Wire> {
            Box::new(super::super::fixture::Plain {
                partition: partition(number),
                rules: None,
            })
        });
        let collector = Collector {
            spool: Box::new(|| unreachable!("it is open")),
            data_dir: dir.path().to_owned(),
            server: "1".parse().unwrap(),
            wires: wires.into(),
            endpoints: Vec::new(),
            proxies: Proxies::default(),
            clock: fixture.clock.clone(),
            disk,
            progress: Arc::default(),
        };
        let lefts = lefts(&collector, &spool, recovered).unwrap();
        let of = |left: &Left| -> Vec<Option<u8>> {
            let names = left.recovered.iter().map(|left| left.name.partition);
            names
                .map(|partition| partition.map(crate::segment::name::Partition::number))
                .collect()
        };
        assert_eq!(
            lefts.iter().map(of).collect::<Vec<_>>(),
            [vec![Some(1)], vec![Some(2); 2]]
        );
        let answers: Vec<usize> = lefts.iter().map(|left| left.answers.len()).collect();
        assert_eq!(answers, [1, 4]);
    }
}
