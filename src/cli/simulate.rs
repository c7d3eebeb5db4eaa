//! `simulate`: runs the simulated X API, Bluesky's Jetstream and OSF on loopback, for rehearsals and tests.

use std::{
    future::Future,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{
    exit::{Exit, Failure},
    global::{Global, SourceArg, users_path},
    simulate_bluesky::BlueskyArgs,
    simulate_flags::{FAULTS_BYTES_MAX, address},
    simulate_osf::OsfArgs,
    simulate_smtp::SmtpArgs,
    stream::StreamWord,
};
use crate::{
    period::UtcMs,
    simulate::{
        Limits,
        bluesky::{
            jetstream::{self, JetstreamOptions},
            world::World,
        },
        fault::{self, Api, Fault},
        osf::server,
        ports::{self, ServeError},
        random,
        recipe::{Fields, Recipe, Vocabulary},
        replay::Replay,
        smtp,
        truth::Truth,
        x::{self, Options},
    },
    world::{
        clock::Clock,
        disk::{Disk as _, RealDisk},
        users_file,
    },
};

/// How far `--faults random` reaches when no duration is given.
const RANDOM_MS: i64 = 24 * 3_600_000;

const EXAMPLE: &str = r#"Example: two ports, one per collector, forty posts a second, faults from a file
  twinstream simulate --listen 8081 --listen 8082 --seed 7 --rate 40 \
      --faults faults.toml --truth truth.jsonl
In the configuration: [x] base_url = "http://127.0.0.1:8081", and "simulated" as the token.
--clock 2026-11-23T14:00:00Z@60, given to it and to the collectors, simulates an hour a minute.

Two instances of Bluesky's Jetstream, whose cursors reach back one day:
  twinstream simulate --source bluesky --listen 8081 --listen 8082 --rate 45 --truth truth.jsonl
They are at ws://127.0.0.1:8081/subscribe and ws://127.0.0.1:8082/subscribe.

A file of faults has entries like these (times: "500ms", "90s", "1h30m" of its clock):
  [[fault]]
  at = "10m"         # after the start; or every = "7m"
  for = "90s"        # how long; for brief stall slow quiet lockout portal status rules refuse
                     # upstream loss clamp
  kind = "stall"     # of both: drop reset cut brief stall quiet garbage duplicates portal status
                     # refuse upstream; of X: slow lockout rules error_frame gzip_damage
                     # no_trailer; of Bluesky: stale close_frame loss clamp unknown_dictionary
  listener = 1       # only this port; connection = 2: only the second stream on it;
                     # partition = 7: only streams of that partition
and of some kinds:
  drop: trailer = true          slow: bytes_per_s = 20       duplicates: count = 10
  lockout: close = true         garbage: line = "torn", bytes = 2097152
  status: status = 429, issue = "too_many" (rate too_many provisioning usage_cap); so of rules
  error_frame: disconnect_type = "OperationalDisconnect"; or close = false, count = 3
  stale: pings = false          loss: one_in = 20            clamp: window = "10m"
  close_frame: code = 1001, reason = "going away"
  portal: portal = "page" (page_as_json redirect empty error)
refuse, status and portal end no open stream.

With --osf FOLDER it is OSF too; a line `osf http://…` says where, for publish.osf.base_url.
Its faults:
  [[fault]]
  on = "create"      # find list folder create update download mint other; absent: all
  name = "IDs"       # only names with this in them
  skip = 1           # not the first of these requests
  times = 2          # so often; absent: always. at = "10m", for = "90s": only then
  kind = "status"    # status throttled reset lost torn stall stale damage garble foreign
                     # checked_out conflict_reset
  status = 503       # throttled: retry_after = "30" or "date+30"; stall: wait = "2m"

With --smtp FOLDER it takes mail too; a line `smtp 127.0.0.1:…` says where. Its faults:
  [[fault]]
  at = "10m"
  for = "2h"
  kind = "down"      # down slow refuse greylist bare_hello single drop lose_reply
and of refuse and greylist: to = "b@example.org": only this recipient

The truth log has one JSON object a line: `at`, `event` (start request rules open sent keep_alive
fault hit close port subscribe begin update delivered slow_reader unsubscribe exists mail
mail_refused smtp_port osf osf_stored stop), and what belongs to it.
docs/simulate.md has every key and event in full."#;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct SimulateArgs {
    /// Where to listen: a port or 127.0.0.1:PORT (repeatable); port 0 takes any free one
    #[arg(long, value_name = "PORT", value_parser = address, default_value = "0")]
    listen: Vec<SocketAddr>,
    /// Which API: X with all its streams, or Bluesky's Jetstream, with a separate instance on each port
    #[arg(long, value_enum, default_value = "x")]
    source: SourceArg,
    /// The seed of all posts, delays and random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Posts per second, on average over a day
    #[arg(long, value_name = "POSTS", value_parser = posts_per_1000s, default_value = "43")]
    rate: u64,
    /// Which fields each line has
    #[arg(long, value_enum, default_value = "core")]
    fields: FieldsArg,
    /// Names of members: those of 2022 (tweet), those of 2026 (post), or a mixture
    #[arg(long, value_enum, default_value = "tweet")]
    spelling: SpellingArg,
    /// Which milliseconds of each second have posts, counted as in their ids
    #[arg(long, value_name = "FROM-TO", value_parser = residues, default_value = "0-9")]
    residues: Residues,
    /// Sends the lines of this file in place of generated posts
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// How many streams must be open before the first line of the file is sent
    #[arg(long, value_name = "N", default_value_t = 1, requires = "replay")]
    replay_wait: usize,
    /// The faults: a TOML file, or "random" for a schedule from the seed
    #[arg(value_parser = users_path(), long, value_name = "FILE|random")]
    faults: Option<PathBuf>,
    /// Log what happens to this file, as JSON lines
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// The bearer token that is accepted
    #[arg(long, default_value = "simulated")]
    token: String,
    /// The streams that the token may have; others are answered with 403
    #[arg(long, value_name = "STREAM,…", value_delimiter = ',', default_value = "sample,sample10,firehose,filtered",
        value_parser = StreamWord)]
    streams: Vec<String>,
    /// How many connections may be open to a stream at the same time, or to each of its partitions; over all ports
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "2")]
    max_connections: usize,
    /// How many requests for streams are allowed in 15 minutes, over all ports
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), default_value_t = 50)]
    max_requests: u32,
    /// Answers requests for backfill with 400
    #[arg(long)]
    no_backfill_right: bool,
    /// Whether clients that ask for gzip get it
    #[arg(long, value_enum, default_value = "on")]
    gzip: Switch,
    /// Ends after this much time of its clock, for example 90s or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = fault::duration_ms)]
    duration: Option<i64>,
    #[command(flatten)]
    bluesky: BlueskyArgs,
    #[command(flatten)]
    osf: OsfArgs,
    #[command(flatten)]
    smtp: SmtpArgs,
}

/// What a source's API is to the simulator.
const fn api(source: SourceArg) -> Api {
    match source {
        SourceArg::X => Api::X,
        SourceArg::Bluesky => Api::Jetstream,
    }
}

const fn scheme(source: SourceArg) -> &'static str {
    match source {
        SourceArg::X => "http",
        SourceArg::Bluesky => "ws",
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FieldsArg {
    Core,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SpellingArg {
    Tweet,
    Post,
    Mixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone)]
struct Residues(Vec<u16>);

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| 0 < *number);
    number.ok_or_else(|| "not a number from 1 on".to_owned())
}

fn posts_per_1000s(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 0 and 100 million"
        )]
        Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok((rate * 1_000.0).round() as u64),
        Ok(_) | Err(_) => Err("not a number between 0 and 100000".to_owned()),
    }
}

fn residues(text: &str) -> Result<Residues, String> {
    let wrong = || "not FROM-TO within 0-999 (example: 0-9)".to_owned();
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse::<u16>(), to.parse::<u16>()) {
        (Ok(from), Ok(to)) if from <= to && to < 1_000 => Ok(Residues((from..=to).collect())),
        _ => Err(wrong()),
    }
}

pub(crate) fn run(global: &Global, args: &SimulateArgs) -> Result<Exit, Failure> {
    let clock = global.clock.map_or_else(Clock::system, Clock::simulated);
    // with a simulated clock faults come at the same instants in every run, however long it took
    // the process to start
    let start = global.clock.map_or_else(|| clock.now(), |time| time.start);
    let truth = truth(args)?;
    let stream = stream(args, start, &truth)?;
    let osf = args.osf.options(args.seed, start, &truth)?;
    let smtp = args.smtp.options(start, &truth)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = stop(&clock, args.duration.map(|ms| start.plus_ms(ms)))?;
        let mut listeners = Vec::new();
        let mut urls = Vec::new();
        for address in &args.listen {
            let listener = ports::bind(*address).await?;
            urls.push(format!(
                "{}://{}\n",
                scheme(args.source),
                listener.local_addr()?
            ));
            listeners.push(listener);
        }
        let (ended, end) = watch::channel(false);
        let osf = match osf {
            None => None,
            Some(options) => {
                let listeners = server::bind(args.osf.listen).await?;
                urls.push(format!("osf http://{}\n", listeners.api.local_addr()?));
                Some(server::serve(listeners, options, clock.clone(), over(&end)))
            }
        };
        let mail = match smtp {
            None => None,
            Some(options) => {
                let listener = ports::bind(args.smtp.listen).await?;
                urls.push(format!("smtp {}\n", listener.local_addr()?));
                Some(smtp::serve(listener, options, clock.clone(), over(&end)))
            }
        };
        let mut out = io::stdout();
        out.write_all(urls.concat().as_bytes())?;
        out.flush()?;
        let stream = stream.serve(listeners, clock.clone(), over(&end));
        let osf = async {
            match osf {
                Some(osf) => osf.await,
                None => Ok(()),
            }
        };
        let mail = async {
            match mail {
                Some(mail) => mail.await,
                None => Ok(()),
            }
        };
        let services = async { tokio::try_join!(stream, osf, mail) };
        tokio::pin!(services);
        tokio::select! {
            // unless it is asked to, a service ends only after a failure
            ended = &mut services => ended?,
            () = stop => {
                ended.send_replace(true);
                services.await?
            }
        };
        Ok(Exit::Done)
    })
}

/// Resolves when everything is to end.
fn over(end: &watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let mut end = end.clone();
    // a sender that is gone means the same
    async move { drop(end.wait_for(|ended| *ended).await) }
}

/// What ends the simulator: a signal, or its time.
fn stop(clock: &Clock, end: Option<UtcMs>) -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let clock = clock.clone();
    Ok(async move {
        let time_is_over = async {
            match end {
                Some(end) => clock.sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
            () = time_is_over => (),
        }
    })
}

/// What the ports speak.
enum Stream {
    X(Box<Options>),
    Jetstream(JetstreamOptions),
}

impl Stream {
    async fn serve(
        self,
        listeners: Vec<TcpListener>,
        clock: Clock,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        match self {
            Self::X(options) => x::serve(listeners, *options, clock, stop).await,
            Self::Jetstream(options) => jetstream::serve(listeners, options, clock, stop).await,
        }
    }
}

fn stream(args: &SimulateArgs, start: UtcMs, truth: &Truth) -> Result<Stream, Failure> {
    let (faults, truth) = (faults(args)?, truth.clone());
    if args.source == SourceArg::X {
        return Ok(Stream::X(Box::new(of_x(args, start, faults, truth)?)));
    }
    if args.replay.is_some() {
        let what = "--replay sends lines of X: it does not go with --source bluesky";
        return Err(Failure::new(Exit::Usage, what.to_owned()));
    }
    let world = World {
        seed: args.seed,
        posts_per_1000s: args.rate,
    };
    let options = args.bluesky.options(world, start, faults, truth)?;
    Ok(Stream::Jetstream(options))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot read {what}: {}: {error}", path.display());
    Failure::new(Exit::Failed, what)
}

fn truth(args: &SimulateArgs) -> Result<Truth, Failure> {
    match &args.truth {
        None => Ok(Truth::nowhere()),
        Some(path) => match RealDisk.append(path) {
            Ok(file) => Ok(Truth::to(file)),
            Err(error) => Err(unreadable("or make the truth log", path, &error)),
        },
    }
}

fn of_x(
    args: &SimulateArgs,
    start: UtcMs,
    faults: Vec<Fault>,
    truth: Truth,
) -> Result<Options, Failure> {
    let replay = match &args.replay {
        None => None,
        Some(path) => match users_file::read(path, u64::MAX) {
            Ok(content) => Some(Replay::new(&content, args.replay_wait)),
            Err(error) => return Err(unreadable("the lines to replay", path, &error)),
        },
    };
    Ok(Options {
        recipe: Recipe {
            seed: args.seed,
            posts_per_1000s: args.rate,
            residues: args.residues.0.clone(),
            fields: match args.fields {
                FieldsArg::Core => Fields::Core,
                FieldsArg::All => Fields::All,
            },
            vocabulary: match args.spelling {
                SpellingArg::Tweet => Vocabulary::Tweet,
                SpellingArg::Post => Vocabulary::Post,
                SpellingArg::Mixed => Vocabulary::Mixed,
            },
        },
        replay,
        start,
        faults,
        limits: Limits {
            token: args.token.clone(),
            streams: args.streams.clone(),
            connections_max: args.max_connections,
            requests_max: args.max_requests,
            backfill_right: !args.no_backfill_right,
        },
        gzip: args.gzip == Switch::On,
        truth,
    })
}

fn faults(args: &SimulateArgs) -> Result<Vec<Fault>, Failure> {
    let Some(path) = &args.faults else {
        return Ok(Vec::new());
    };
    if path.as_os_str() == "random" {
        return Ok(random::schedule(
            args.seed,
            args.listen.len(),
            args.duration.unwrap_or(RANDOM_MS),
            api(args.source),
        ));
    }
    let wrong = |error: &dyn std::error::Error| {
        let what = format!("cannot read the faults: {}: {error}", path.display());
        Failure::new(Exit::Usage, what)
            .hint("`twinstream simulate --help` shows what an entry looks like")
    };
    let text = users_file::read_text(path, FAULTS_BYTES_MAX).map_err(|error| wrong(&error))?;
    let faults = fault::parse(&text).map_err(|error| wrong(&error))?;
    fault::check(&faults, api(args.source)).map_err(|error| wrong(&error))?;
    Ok(faults)
}
