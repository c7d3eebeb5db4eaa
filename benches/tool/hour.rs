//! An hour of a stream in the spool of every server, made from a seed in seconds: what two
//! collectors would have written, each with its own losses, duplicates and one outage.

use std::{path::Path, sync::Arc};

use clap::Args;
use twinstream::{
    period::{Minute, UtcMs},
    segment::{
        event::{Event, EventKind},
        line::{self, PROGRAM},
        name::{Leg, RunId},
        runs::Run,
        writer::{Lines, Writer},
    },
    simulate::{
        bluesky::{
            happened::{Breadth, Happened},
            world::World,
        },
        post::DELAY_MAX_MS,
        recipe::{Fields, Recipe, Vocabulary},
    },
    source::Stream,
    world::disk::{Disk, RealDisk},
};

use super::{Failure, stream};

/// 2026-11-23T18:00Z: at that hour the simulated stream has its mean rate.
const BEGIN: Minute = Minute(29_924_280);

/// Partitions of the firehose.
const PARTITIONS: u64 = 20;

/// From the relay to an instance of Jetstream.
const LAG_US: i64 = 100_000;

/// Before and after the hour, so that it has neighbours.
const MARGIN_S: i64 = 60;

#[derive(Args)]
pub(super) struct Make {
    /// The spool that is made
    #[arg(long)]
    spool: std::path::PathBuf,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Posts of the hour that the platform sends, about
    #[arg(long, default_value_t = 183_000)]
    posts: u64,
    #[arg(long, default_value_t = 2)]
    servers: u64,
    /// All public fields and expansions, not only those of the columns
    #[arg(long)]
    all_fields: bool,
    /// x, firehose (in twenty partitions) or bluesky
    #[arg(long, value_parser = stream, default_value = "x")]
    source: Stream,
    /// Of Bluesky, all collections and not only posts
    #[arg(long)]
    all_collections: bool,
}

/// What is to be delivered: when, a number of its own, and the line.
type Delivery = (UtcMs, u64, Vec<u8>);

/// What makes the deliveries of a second.
type Feed = Box<dyn Fn(i64) -> Vec<Delivery>>;

/// What happens to the posts on their way to one leg of a server.
struct Server {
    number: u64,
    /// Of a stream that comes in partitions, which one it gets.
    partition: Option<u64>,
    /// Of a stream that several endpoints serve, the one whose lines it stores.
    endpoint: Option<String>,
    writer: Writer,
    /// Lines of the second that is being delivered.
    stored: Vec<u8>,
    /// Seconds of the hour in which nothing comes.
    outage: std::ops::Range<i64>,
}

impl Make {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        disk.make_folder(&self.spool)?;
        let mut servers = Vec::new();
        let partitions: Vec<Option<u64>> = match self.source.word {
            "firehose" => (1..=PARTITIONS).map(Some).collect(),
            _ => vec![None],
        };
        for number in 1..=self.servers {
            for partition in &partitions {
                let leg = (number, *partition);
                servers.push(Server::new(&disk, &self.spool, self.source, leg)?);
            }
        }
        let feed = match self.source.word {
            "bluesky" => self.bluesky(),
            _ => self.x(),
        };
        let begin = BEGIN.begin().second();
        let mut waiting: Vec<Delivery> = Vec::new();
        for second in begin - MARGIN_S..begin + 3_600 + MARGIN_S {
            waiting.extend(feed(second));
            // whatever is made later is also delivered later than this second
            waiting.sort_unstable_by_key(|(deliver, id, _)| (*deliver, *id));
            let ready = waiting.partition_point(|(deliver, ..)| deliver.second() <= second);
            let now: Vec<_> = waiting.drain(..ready).collect();
            for server in &mut servers {
                server.take(&*disk, second, &now, second - begin)?;
            }
        }
        for server in &mut servers {
            server.end(&*disk)?;
        }
        Ok(())
    }

    fn bluesky(&self) -> Feed {
        let world = World {
            seed: self.seed,
            posts_per_1000s: self.posts * 1_000 / 3_600,
        };
        let breadth = if self.all_collections {
            Breadth::All
        } else {
            Breadth::Posts
        };
        Box::new(move |second| {
            let events = world.second(second, breadth).into_iter().zip(0..);
            let delivery = |(event, number): (Happened, u64)| {
                let time_us = event.relayed_us + LAG_US;
                let line = event.json(time_us, None);
                let id = mix(second.unsigned_abs() << 20 | number);
                (UtcMs(time_us / 1_000), id, line)
            };
            events.map(delivery).collect()
        })
    }

    fn x(&self) -> Feed {
        let recipe = Recipe {
            seed: self.seed,
            posts_per_1000s: self.posts * 1_000 / 3_600,
            residues: (0..=9).collect(),
            fields: if self.all_fields {
                Fields::All
            } else {
                Fields::Core
            },
            vocabulary: Vocabulary::Tweet,
        };
        Box::new(move |second| {
            let made = recipe.second(second);
            let posts = made.posts.iter().map(|post| {
                let line = made.bytes.get(post.line.clone()).unwrap_or_default();
                (post.deliver, post.id, line.trim_ascii_end().to_vec())
            });
            posts.collect()
        })
    }
}

impl Server {
    fn new(
        disk: &Arc<dyn Disk>,
        spool: &Path,
        stream: Stream,
        (number, partition): (u64, Option<u64>),
    ) -> Result<Self, Failure> {
        let id = match partition {
            None => number.to_string(),
            Some(partition) => format!("{number}.{partition:02}"),
        };
        let id: Leg = id.parse()?;
        let id_of_run = RunId(u32::try_from(number)?);
        let run = Run {
            number: 1,
            id: id_of_run,
        };
        let mut writer = Writer::new(Arc::clone(disk), spool, &id, stream.word, run);
        let program = PROGRAM.to_owned();
        writer.event(&Event {
            at: UtcMs((BEGIN.begin().second() - MARGIN_S) * 1_000),
            what: EventKind::Started {
                program,
                number: 1,
                after: None,
                last_line: None,
            },
            connection: 0,
        })?;
        let from = 600 * i64::try_from(number)?;
        let endpoint = (stream.word == "bluesky").then(|| format!("wss://{number}.example.org"));
        Ok(Self {
            number,
            partition,
            endpoint,
            writer,
            stored: Vec::new(),
            outage: from..from + 20 * i64::try_from(number)?,
        })
    }

    /// Stores what came in a second: server 1 loses one post in 100, server 2 one in 50, and so on;
    /// about one in 100 comes twice; nothing comes during the outage.
    fn take(
        &mut self,
        disk: &dyn Disk,
        second: i64,
        posts: &[Delivery],
        of_hour: i64,
    ) -> Result<(), Failure> {
        let at = UtcMs(second * 1_000);
        if let Some(mut closed) = self.writer.turn_to(at) {
            closed.seal(disk)?;
        }
        self.stored.clear();
        let (mut first, mut last) = (None, at);
        let is_mine = |id: u64| {
            let dealt = mix(id ^ u64::MAX) % PARTITIONS + 1;
            self.partition.is_none_or(|mine| mine == dealt)
        };
        for (deliver, id, line) in posts.iter().filter(|(_, id, _)| is_mine(*id)) {
            let chance = mix(*id ^ (self.number << 56)) % 10_000;
            let arrives = self.number * 100 <= chance && !self.outage.contains(&of_hour);
            let copies = if 9_900 <= chance { 2 } else { 1 };
            for _ in 0..copies * u8::from(arrives) {
                let deliver = deliver.plus_ms(i64::try_from(self.number * 3)?);
                let deliver = deliver.min(at.plus_ms(999));
                last = deliver.max(last);
                first = first.or(Some(last));
                match &self.endpoint {
                    None => line::store(line, last, &mut self.stored),
                    Some(endpoint) => line::store_from(line, last, endpoint, &mut self.stored),
                }
            }
        }
        let lines = Lines {
            first: first.unwrap_or(at),
            last,
            stored: &self.stored,
            oversize: 0,
        };
        Ok(self.writer.lines(lines)?)
    }

    fn end(&mut self, disk: &dyn Disk) -> Result<(), Failure> {
        if let Some(mut closed) = self.writer.close() {
            closed.seal(disk)?;
        }
        Ok(())
    }
}

/// A number that looks random, always the same for the same one.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 32)).wrapping_mul(0xd1b5_4a32_d192_ed03);
    z ^ (z >> 29)
}

const _: () = assert!(DELAY_MAX_MS < MARGIN_S * 1_000);
