//! The values that stages take. They exist only if every check has passed.
//!
//! A stage gets its own struct, never the whole. There is no `Default` here, since every default is in `default.toml`
//! and nowhere else.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::{address::Target, dataset::Dataset, file::Problem, platform::Platform};
use crate::{
    period::{Hour, UtcMs, Zone},
    place::{open::Unopened, s3::address::Address},
    segment::{
        name::{Leg, Partition, ServerId},
        rules::Rule,
    },
};

/// All settings of one server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Holds everything that has no folder of its own, locks and index among it.
    pub data_dir: PathBuf,
    /// Segments and events of this server, and on the primary those of all servers.
    pub spool_dir: Unopened,
    /// The spool in an object store from which the primary fetches what other servers have delivered there.
    pub spool_store: Option<Address>,
    /// Committed hours.
    pub vault_dir: Unopened,
    /// The vault in an object store, of which `vault_dir` has a copy.
    pub vault_store: Option<Address>,
    /// All servers, in the order of the file.
    pub servers: Vec<Server>,
    /// Machines that only merge.
    pub mergers: Vec<Server>,
    /// Which of them this process runs on; `None` when that could not be told.
    pub this: Option<ServerId>,
    /// Which of them reports, publishes and has the ledger stamped.
    pub publisher: ServerId,
    /// What is collected.
    pub source: Platform,
    /// How the object store is reached; `None`: none is used.
    pub s3: Option<S3>,
    /// How X is asked.
    pub x: X,
    /// How Bluesky is asked.
    pub bluesky: Bluesky,
    /// Delivery.
    pub deliver: Deliver,
    /// Merging.
    pub merge: Merge,
    /// A command that is run after each committed hour, with the manifest's path as its last argument;
    /// empty: none.
    pub after_hour: Vec<String>,
    /// Mail, if any is sent.
    pub mail: Option<Result<Mail, Vec<Problem>>>,
    /// When the report of the day before is due, in minutes after midnight in the vault's zone.
    pub report_at: i64,
    /// The page.
    pub status: Status,
    /// Publishing; `None`: nothing is published, whatever else is configured.
    pub publish: Option<Publish>,
    /// Who made the data set; `None`: nothing is made to cite it by.
    pub dataset: Option<Dataset>,
    /// Why nothing may be published.
    pub forbid: Option<Forbid>,
    /// Who stamps the ledger; `None`: nobody.
    pub witness: Option<Witness>,
}

impl Settings {
    /// The servers that collect and have not ended.
    pub fn there(&self, now: UtcMs) -> impl Iterator<Item = &Server> {
        let hour = self.merge.timezone.hour_of(now);
        self.servers.iter().filter(move |of| of.is_there(hour))
    }

    /// The entry of the server that this process runs on, if that could be told.
    pub fn this_one(&self) -> Option<&Server> {
        let mut all = self.servers.iter().chain(&self.mergers);
        all.find(|server| Some(&server.id) == self.this.as_ref())
    }

    /// The ids of those servers that collect for which this holds, in the order of the configuration.
    pub fn ids_of(&self, holds: impl Fn(&Server) -> bool) -> Vec<ServerId> {
        let servers = self.servers.iter().filter(|server| holds(server));
        servers.map(|server| server.id.clone()).collect()
    }

    /// Whether it reports, publishes and has the ledger stamped.
    pub fn is_publisher(&self, server: &Server) -> bool {
        server.id == self.publisher
    }
}

/// `[bluesky]`
#[derive(Debug, Clone)]
pub struct Bluesky {
    /// Names of collections, or their beginnings up to a dot and `*`; none: everything.
    pub collections: Vec<String>,
    /// `wss://…`; plain ws only to loopback. Without a `/` at the end.
    pub endpoints: Vec<String>,
    /// How far before the last event a connection resumes.
    pub overlap: Duration,
    /// Holds the endpoints' zstd dictionary, if messages are to be compressed.
    pub dictionary_file: Option<PathBuf>,
    /// Whether what was deleted is taken out of the archive, once a day.
    pub honours_deletions: bool,
}

/// One `[[servers]]` entry.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Primary or secondary.
    pub role: Role,
    /// The host name, to recognize the machine by.
    pub host: String,
    /// The endpoint that it begins with, instead of the one of its place.
    pub endpoint: Option<String>,
    /// Which parts of the stream it collects, ascending; none where the stream has no parts.
    pub partitions: Vec<Partition>,
    /// Where a secondary sends its segments.
    pub deliver_to: Option<Target>,
    /// When it ended for good.
    pub until: Option<crate::period::Day>,
}

impl Server {
    /// Its legs.
    pub fn legs(&self) -> Vec<Leg> {
        let leg = |partition| Leg {
            server: self.id.clone(),
            partition,
        };
        if self.partitions.is_empty() {
            return vec![leg(None)];
        }
        self.partitions.iter().map(|one| leg(Some(*one))).collect()
    }

    /// Whether it collects over a leg in an hour: it is configured to, and has not ended before.
    pub fn has(&self, leg: &Leg, hour: Hour) -> bool {
        let has_part = match leg.partition {
            Some(partition) => self.partitions.contains(&partition),
            None => self.partitions.is_empty(),
        };
        self.id == leg.server && has_part && self.is_there(hour)
    }

    /// Whether it has not ended before an hour.
    pub fn is_there(&self, hour: Hour) -> bool {
        self.until.is_none_or(|until| hour.day() < until)
    }

    /// Whether it only merges.
    pub fn is_merger(&self) -> bool {
        self.role == Role::Merger
    }
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Collects and merges.
    Primary,
    /// Collects and delivers.
    Secondary,
    /// Merges from and to an object store.
    Merger,
}

impl Role {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Merger => "merger",
        }
    }
}

/// `[s3]`
#[derive(Debug, Clone)]
pub struct S3 {
    /// `https://…`; plain http only to loopback. The next one is taken when one fails. Without a `/` at the end.
    pub endpoints: Vec<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Holds the access key's id and its secret; it is read when they are needed.
    pub access_key_file: Option<PathBuf>,
    /// Holds the certificates that are known instead of the machine's.
    pub ca_file: Option<PathBuf>,
}

/// One of X's public streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XStream {
    /// About 1 % of all posts.
    Sample,
    /// About 10 % of all posts.
    Sample10,
    /// All posts.
    Firehose,
    /// The posts that match rules.
    Filtered,
}

impl XStream {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sample, Self::Sample10, Self::Firehose, Self::Filtered];

    /// As it is written in the configuration and in the names of segments.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Sample10 => "sample10",
            Self::Firehose => "firehose",
            Self::Filtered => "filtered",
        }
    }

    /// The one of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.word() == word)
    }

    /// Into how many partitions X divides it; 0: into none.
    pub const fn partitions(self) -> u8 {
        match self {
            Self::Sample | Self::Filtered => 0,
            Self::Sample10 => 2,
            Self::Firehose => 20,
        }
    }
}

/// The longest rule that X takes from an app on pay-per-use; from one with a contract it takes longer ones.
pub const RULE_CHARS_PAY_PER_USE: usize = 1_024;

/// `[x]`
#[derive(Debug, Clone)]
pub struct X {
    /// Which stream is collected.
    pub stream: XStream,
    /// The rules that the filtered stream is to have.
    pub rules: Vec<Rule>,
    /// `https://api.x.com`; plain http only to loopback. Without a `/` at the end.
    pub base_url: String,
    /// Where the token comes from; it is read when it is needed.
    pub bearer_token_file: PathBuf,
    /// Which fields are asked for.
    pub fields: Fields,
    /// Whether to ask for what was missed.
    pub backfill: bool,
    /// Bytes; a longer line is stored cut.
    pub max_line: usize,
}

/// Which fields are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// What the 20 columns need.
    Core,
    /// Every public field and expansion.
    All,
}

/// `[deliver]`
#[derive(Debug, Clone)]
pub struct Deliver {
    /// How often `run` delivers.
    pub every: Duration,
    /// How long a file stays after it was acknowledged.
    pub keep_delivered: Duration,
    /// Further arguments for ssh; none of them can be taken for a host.
    pub ssh_options: Vec<String>,
}

/// `[merge]`
#[derive(Debug, Clone)]
pub struct Merge {
    /// The zone of the vault's hours.
    pub timezone: Zone,
    /// How long after its end an hour waits for late data.
    pub settle: Duration,
    /// Whether `posts.parquet` is written (the CSV files always are).
    pub parquet: bool,
    /// How hard to compress.
    pub xz: Xz,
    /// How long raw data stays after a verified merge; `None`: for ever.
    pub keep_raw: Option<Duration>,
    /// Bytes that must stay free on the disk; below it merging stops.
    pub keep_free: u64,
    /// How old an attempt that was never committed to an object store must be to be deleted.
    pub orphans: Duration,
    /// How long a superseded revision stays in an object store after the Delta Lake log has ceased to name it.
    pub keep_superseded: Duration,
}

/// `[publish] forbid`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbid {
    /// The data was obtained under Article 40 of the EU's Digital Services Act.
    Dsa,
}

impl Forbid {
    /// Why.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Dsa => {
                "[publish] forbid = \"dsa\": data that was obtained under Article 40 of the EU's Digital Services \
                 Act may not be published as such"
            }
        }
    }
}

/// `[publish.osf]`
#[derive(Debug, Clone)]
pub struct Publish {
    /// The id of the project.
    pub project: String,
    /// Which of its storages.
    pub storage: String,
    /// Where the token comes from; it is read when it is needed.
    pub token_file: PathBuf,
    /// How often `run` publishes.
    pub every: Duration,
    /// New ids in 30 days; beyond it publishing stops.
    pub ids_per_30_days: Option<u64>,
    /// `https://api.osf.io`; plain http only to loopback. Without a `/` at the end.
    pub base_url: String,
}

/// `[witness]`
#[derive(Debug, Clone)]
pub struct Witness {
    /// Where the authority takes requests; plain http only to loopback.
    pub tsa: String,
    /// Holds its root certificate.
    pub tsa_ca_file: PathBuf,
    /// How often `run` asks for a stamp.
    pub every: Duration,
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Xz {
    /// Within a tenth of the size of `xz -6`, at half its cost.
    Balanced,
    /// Fastest.
    Fast,
    /// Smallest.
    Small,
}

/// `[mail]`
#[derive(Debug, Clone)]
pub struct Mail {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is protected.
    pub tls: MailTls,
    /// Who to say that one is; `None`: the server does not ask.
    pub user: Option<String>,
    /// Where the password comes from; it is read when it is needed.
    pub password_file: Option<PathBuf>,
    /// The sender's address.
    pub from: String,
    /// All recipients.
    pub to: Vec<String>,
    /// What this machine calls itself to the mail server, if not by its name.
    pub helo: Option<String>,
}

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// The connection becomes TLS before anything is said.
    Starttls,
    /// The connection is TLS from the beginning.
    Implicit,
    /// Not at all: to this machine only.
    None,
}

/// `[status]`
#[derive(Debug, Clone)]
pub struct Status {
    /// Where the page is.
    pub listen: SocketAddr,
    /// The token that it asks for, if it does.
    pub token_file: Option<PathBuf>,
}

/// A secret text: it can be used, and not be printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in, as it is.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
