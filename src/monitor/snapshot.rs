//! Makes one picture of the state from the facts. `status`, the page, `/metrics` and the alarms show only this. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    facts::{Away, Facts, GapFacts, HourFacts, SecondFacts, ServerFacts, VaultFacts},
    gather::{DAYS, WEEKS},
    link::{Link, LinkState},
};
use crate::{
    alarm::AlarmKind,
    config::settings::Role,
    cover::{cause::Cause, window},
    period::{Day, Hour, Minute, UtcMs, Zone},
    place::open::{OfVault, PlaceKind as _},
    schedule::{record::StageRun, stage::Stage},
    segment::{
        collections::Collections,
        name::{Leg, Partition, ServerId},
    },
    text::plural,
};

/// Hours of which lines are counted.
const HOURS: i64 = 24;

/// A rate of growth is given once this much time has passed.
const GROWTH_MS_MIN: i64 = 3_600_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// What does not change while the service runs.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Name and version of the program.
    pub program: &'static str,
    /// Which server this is, if it is one.
    pub this: Option<ServerId>,
    /// What it is for.
    pub role: Option<Role>,
    /// Whether others merge into the same vault and one of them mails what concerns the archive.
    pub leaves_archive: bool,
    /// Whether it delivers into an object store: then it acknowledges by itself, as it reads back.
    pub delivers_to_store: bool,
    /// The vault's zone.
    pub zone: Zone,
    /// How many partitions the stream has; 0: none.
    pub partitions: u8,
    /// Whether rules choose what it brings, so that nobody can say how many posts are to come.
    pub has_rules: bool,
    /// The collections that this server's configuration asks for, where a platform sends only those that are named.
    pub collections: Option<Collections>,
    /// New ids that may be published in 30 days; `None`: nothing is published.
    pub ids_max: Option<u64>,
    /// Why nothing may be published, if that is so.
    pub forbidden: Option<&'static str>,
    /// On which day each server is gone for good, if that is said; it may be still to come.
    pub until: BTreeMap<ServerId, Day>,
}

/// How things stand.
#[derive(Debug, Clone, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
pub struct Snapshot {
    /// When it was made.
    pub now: UtcMs,
    /// Name and version of the program.
    pub program: &'static str,
    /// Which server this is.
    pub this: Option<ServerId>,
    /// What it is for.
    pub role: Option<Role>,
    /// When this service began, if it is one.
    #[serde(skip)]
    pub begun: Option<UtcMs>,
    /// Whether it delivers into an object store.
    #[serde(skip)]
    pub delivers_to_store: bool,
    /// Whether rules choose what the stream brings: then a stream without posts is fine as long as it is up.
    pub has_rules: bool,
    /// The collections that this server's configuration asks for, where a platform sends only those that are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collections: Option<Collections>,
    /// The vault's time zone.
    pub timezone: String,
    /// All servers.
    pub servers: Vec<ServerState>,
    /// Who has which partitions; `None`: the stream has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Which places are away or others; what is said of them is from before.
    pub away: Vec<Away>,
    /// What is committed.
    pub vault: Vault,
    /// What is public; `None`: nothing is published from here.
    pub published: Option<Published>,
    /// Why nothing may be published, if that is so.
    pub publishing_forbidden: Option<&'static str>,
    /// The last days, latest first.
    pub days: Vec<DayCoverage>,
    /// Bytes that may still be written where the data lies.
    pub free_bytes: u64,
    /// By how many bytes a day that became less in the last days, and until when it lasts.
    pub runway: Option<Runway>,
    /// The latest run of each stage.
    pub stages: BTreeMap<Stage, StageRun>,
    /// Mails that wait to be sent.
    pub mails_waiting: u64,
    /// Since when the oldest does.
    pub mails_waiting_since: Option<UtcMs>,
    /// Why it has not got out.
    pub mails_waiting_why: Option<String>,
    /// Why the page cannot be served.
    pub page_fault: Option<String>,
    /// Whether any is to be sent.
    pub mails: bool,
    /// Why none can get out, as far as that is known without trying.
    pub mail_fault: Option<String>,
    /// Whether a service watches for alarms here. If none does, those are listed that hold now.
    pub watched: bool,
    /// What somebody has to do something about.
    pub alarms: Vec<Alarm>,
}

impl Snapshot {
    /// Adapts the picture to a service that began then: earlier events tell nothing about its own connection, which
    /// may have recorded nothing yet.
    pub fn seen_by_service_of(&mut self, begun: UtcMs) {
        self.begun = Some(begun);
        for server in self.servers.iter_mut().filter(|server| server.this) {
            server.link.started = server.link.started.max(Some(begun));
        }
    }

    /// Why it is not known what is committed.
    pub fn vault_unknown(&self) -> Option<&str> {
        let away = self.away.iter().find(|away| away.place == OfVault::WORD);
        let away = away.filter(|_| self.vault.hours == 0);
        away.map(|away| &*away.what)
    }

    /// Whether it merges, so that what others deliver comes here.
    pub fn merges(&self) -> bool {
        matches!(self.role, Some(Role::Primary | Role::Merger))
    }
}

/// What is known here of one server.
#[derive(Debug, Clone, Serialize)]
pub struct ServerState {
    /// Its id.
    pub server: ServerId,
    /// Whether this machine is it.
    pub this: bool,
    /// What its connection is like, as its last events here tell.
    pub link: Link,
    /// When something of it was last seen to come in here, or an acknowledgement.
    #[serde(skip)]
    pub news: Option<UtcMs>,
    /// When its last line came, by this machine's clock.
    pub last_line: Option<UtcMs>,
    /// Seconds since then.
    pub lag_s: Option<i64>,
    /// Lines per second in the last minute that is known here.
    pub posts_per_second: f64,
    /// Lines of the last 60 whole minutes.
    pub lines_last_hour: u64,
    /// Lines of each of the last UTC hours: its begin, and how many.
    pub hours: Vec<(UtcMs, u64)>,
    /// Until when its data is here, or, of this server, is with the primary.
    pub delivered_until: Option<UtcMs>,
    /// When the last piece of it was acknowledged, as far as that is known here.
    pub acknowledged_at: Option<UtcMs>,
    /// Segments in the spool here that are sealed.
    pub sealed: u64,
    /// Segments that are being written.
    pub open: u64,
    /// Those of them whose minute is long over.
    pub left_open: u64,
    /// Bytes of both.
    pub spool_bytes: u64,
    /// Segments that fail their check and lie aside.
    pub aside: u64,
    /// Since which day it is gone for good.
    pub until: Option<Day>,
    /// Its legs, where the stream comes in partitions; `link` is that of the one that is worst off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegState>,
}

impl ServerState {
    /// Whether nothing of it has ever come here.
    pub fn is_unknown(&self) -> bool {
        self.link.state == LinkState::Unknown && self.last_line.is_none()
    }
}

/// What is known here of one leg.
#[derive(Debug, Clone, Serialize)]
pub struct LegState {
    /// Its name.
    pub leg: Leg,
    /// What its connection is like.
    pub link: Link,
    /// When its last line came, by this machine's clock.
    pub last_line: Option<UtcMs>,
}

/// Who has which partitions of the stream now, as far as that is known here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Those that no server is connected to.
    pub by_nobody: Vec<Partition>,
    /// Those that no server is known to be connected to, and some server may be.
    pub unknown: Vec<Partition>,
    /// Those that one server alone is known to be connected to.
    pub by_one: BTreeMap<ServerId, Vec<Partition>>,
    /// Those that the configuration gives to nobody.
    pub not_asked_for: Vec<Partition>,
}

/// What is committed.
#[derive(Debug, Clone, Serialize)]
pub struct Vault {
    /// Committed hours.
    pub hours: u64,
    /// Their revisions.
    pub revisions: u64,
    /// The latest hour.
    pub last_hour: Option<Hour>,
    /// Its posts.
    pub last_posts: Option<u64>,
    /// An hour of the last day that has far fewer posts than the same hour of the last weeks.
    pub low: Option<Low>,
    /// The latest hour of the last day whose posts come from other milliseconds than those before.
    pub window: Option<WindowChange>,
    /// Seconds of the last days that are missing without a cause.
    pub unknown_seconds: i64,
}

/// A sampling window that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowChange {
    /// The first hour that has another one.
    pub hour: Hour,
    /// It, as `657-666`.
    pub window: String,
    /// The last hour before.
    pub hour_before: Hour,
    /// Its window.
    pub window_before: String,
}

/// An hour with few posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Low {
    /// Which.
    pub hour: Hour,
    /// What it has.
    pub posts: u64,
    /// What was usual.
    pub usual: u64,
}

/// What is public.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// Hours whose latest revision is public.
    pub hours: u64,
    /// Committed hours whose latest revision is not.
    pub behind: u64,
    /// The oldest of them.
    pub oldest_behind: Option<Hour>,
    /// Ids published in the last 30 days …
    pub ids_30_days: u64,
    /// … of so many that may be.
    pub ids_max: u64,
}

/// How long the disk will last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Runway {
    /// Bytes that it lost a day, in the mean over the last days.
    pub bytes_per_day: i64,
    /// Days until nothing is left at this rate; `None`: it is not shrinking.
    pub days: Option<f64>,
}

/// A day in the vault's zone, hour by hour.
#[derive(Debug, Clone, Serialize)]
pub struct DayCoverage {
    /// The day.
    pub day: Day,
    /// Its begin and end in UTC.
    pub begin: UtcMs,
    /// The first instant after it.
    pub end: UtcMs,
    /// One strip for each server, then `union`.
    pub strips: Vec<Strip>,
}

/// A day of one server, or of all together.
#[derive(Debug, Clone, Serialize)]
pub struct Strip {
    /// The server's id, or `union`.
    pub name: String,
    /// Seconds that it has, in committed hours; of a server with several legs, those of all of them together, as in the
    /// certificate.
    pub covered_s: u64,
    /// Seconds of the committed hours; of a server with several legs, so many for each.
    pub committed_s: u64,
    /// How many legs the server has, where the stream comes in partitions.
    #[serde(skip_serializing_if = "is_zero")]
    pub legs: u64,
    /// How many of them lack something.
    #[serde(skip_serializing_if = "is_zero")]
    pub legs_lacking: u64,
    /// What each time was like, ascending; what is missing in between is not merged yet.
    pub pieces: Vec<Piece>,
}

/// A stretch of a strip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Its first instant.
    pub begin: UtcMs,
    /// The first instant after it.
    pub end: UtcMs,
    /// `covered`, or the cause for which it is missing.
    pub what: String,
    /// Where the stream comes in partitions, those that are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Strip {
    /// What is missing, for a person: seconds; of several legs these are no seconds of the day, so how many legs lack some.
    pub fn missing(&self) -> String {
        match self.legs {
            0 | 1 => format!("{} s", self.committed_s.saturating_sub(self.covered_s)),
            legs => format!("in {} of {legs} partitions", self.legs_lacking),
        }
    }
}

/// The word for covered seconds.
pub const COVERED: &str = "covered";
/// The name of all servers together.
pub const UNION: &str = "union";

/// Up to so many strips of servers a day are drawn, whatever they are like.
const STRIPS_MAX: usize = 8;

/// The strips of a day that are drawn, and a sentence on the others. If there are many, only those that lack the
/// most are drawn, and all together.
pub fn worth_showing(strips: &[Strip]) -> (Vec<&Strip>, Option<String>) {
    let (union, mut servers): (Vec<&Strip>, Vec<&Strip>) =
        strips.iter().partition(|strip| strip.name == UNION);
    if servers.len() <= STRIPS_MAX {
        return (strips.iter().collect(), None);
    }
    let all = servers.len();
    let missing = |strip: &Strip| strip.committed_s.saturating_sub(strip.covered_s);
    servers.retain(|strip| 0 < missing(strip));
    servers.sort_by_key(|strip| std::cmp::Reverse(missing(strip)));
    let lacking = servers.len();
    servers.truncate(STRIPS_MAX);
    let whole = plural((all - lacking) as u64, "server has", "servers have");
    let words = match lacking - servers.len() {
        0 => format!("{whole} every merged second."),
        beyond => format!(
            "{whole} every merged second; {} less than those shown: twinstream gaps lists them all.",
            plural(beyond as u64, "lacks", "lack")
        ),
    };
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    servers.extend(union);
    (servers, Some(words))
}

/// Makes the picture, without alarms.
pub fn of(facts: &Facts, settled: &Settled, now: UtcMs) -> Snapshot {
    let servers = facts.servers.iter();
    let servers: Vec<ServerState> = servers.map(|of| server(of, facts, settled, now)).collect();
    Snapshot {
        now,
        program: settled.program,
        this: settled.this.clone(),
        role: settled.role,
        begun: None,
        delivers_to_store: settled.delivers_to_store,
        has_rules: settled.has_rules,
        collections: settled.collections.clone(),
        timezone: settled.zone.name().to_owned(),
        held: held(&servers, settled.partitions),
        servers,
        away: facts.away.clone(),
        vault: vault(facts, settled, now),
        published: settled.ids_max.map(|max| published(facts, max)),
        publishing_forbidden: settled.forbidden,
        days: days(facts, settled, now),
        free_bytes: facts.free_bytes,
        runway: runway(&facts.free_then, facts.free_bytes, now),
        stages: facts.record.stages.clone(),
        mails_waiting: facts.mails.waiting,
        mails_waiting_since: facts.mails.since,
        mails_waiting_why: facts.mails.why.clone(),
        page_fault: None,
        mails: false,
        mail_fault: None,
        watched: false,
        alarms: Vec::new(),
    }
}

/// How far another server's stamps are behind this machine's clock, according to what both know of the API's clock.
fn ahead_ms(id: &ServerId, facts: &Facts, settled: &Settled) -> i64 {
    let offset = |id: &ServerId| facts.servers.get(id)?.link.clock_offset_ms;
    let here = settled.this.as_ref().and_then(offset);
    let between = offset(id).zip(here).map_or(0, |(there, here)| there - here);
    if UNSURE_MS < between.abs() {
        between
    } else {
        0
    }
}

fn server(
    (id, known): (&ServerId, &ServerFacts),
    facts: &Facts,
    settled: &Settled,
    now: UtcMs,
) -> ServerState {
    let is_this = settled.this.as_ref() == Some(id);
    let ahead_ms = ahead_ms(id, facts, settled);
    let is_collecting = facts.is_collecting.filter(|_| is_this);
    let link = |link: &Link| link_now(link, is_collecting, known.news, (ahead_ms, now));
    let here = |at: UtcMs| {
        let at = at.plus_ms(ahead_ms);
        // a clock that was ahead, and has been set while nothing ran
        let is_future = is_this && now.plus_ms(UNSURE_MS) < at;
        if is_future {
            now.plus_ms(-LONG_AGO_MS)
        } else {
            at
        }
    };
    let last_line = known.last_line.map(here);
    let this_hour = now.minute().begin().0.div_euclid(3_600_000);
    let hours = (0..HOURS).rev().map(|back| {
        let begin = UtcMs((this_hour - back) * 3_600_000);
        let minutes = begin.minute()..Minute(begin.minute().0 + 60);
        (
            begin,
            known.minutes.range(minutes).map(|(_, lines)| lines).sum(),
        )
    });
    let last_hour = Minute(now.minute().0 - 60)..now.minute();
    ServerState {
        server: id.clone(),
        this: is_this,
        link: link(&known.link),
        news: known.news,
        last_line,
        // a line may have come while this was read
        lag_s: last_line.map(|last| (now.0 - last.0).div_euclid(1_000).max(0)),
        posts_per_second: posts_per_second(known, is_this, now),
        lines_last_hour: known.minutes.range(last_hour).map(|(_, lines)| lines).sum(),
        hours: hours.collect(),
        delivered_until: match known.acknowledged {
            Some((minute, _)) => Some(minute.end()),
            None if is_this && settled.role != Some(Role::Primary) => None,
            None => known.sealed_until,
        },
        acknowledged_at: known.acknowledged.map(|(_, at)| at),
        sealed: known.sealed,
        open: known.open,
        left_open: known.left_open,
        spool_bytes: known.bytes,
        aside: known.aside,
        until: (settled.until.get(id).copied())
            .filter(|day| *day <= settled.zone.hour_of(now).day()),
        legs: (known.legs.iter())
            .map(|(leg, known)| LegState {
                leg: leg.clone(),
                link: link(&known.link),
                last_line: known.last_line.map(here),
            })
            .collect(),
    }
}

/// What a connection is like now. Its events tell that only as long as they come: `is_collecting` says whether this
/// server's collector runs, `news` when something of another server arrived, `ahead_ms` how far its clock is behind.
fn link_now(
    link: &Link,
    is_collecting: Option<bool>,
    news: Option<UtcMs>,
    (ahead_ms, now): (i64, UtcMs),
) -> Link {
    match is_collecting {
        Some(true) => link.clone(),
        Some(false) => link.not_running(),
        None => {
            let told = link.told.map(|told| told.plus_ms(ahead_ms));
            let heard = told.max(news);
            let is_recent = |heard: UtcMs| now.0 - heard.0 <= SILENT_MS;
            if heard.is_some_and(is_recent) {
                link.clone()
            } else {
                link.unknown_since(heard)
            }
        }
    }
}

/// Who has which of the stream's partitions.
fn held(servers: &[ServerState], partitions: u8) -> Option<Held> {
    let mut held = Held::default();
    for partition in (1..=partitions).filter_map(Partition::new) {
        let legs = servers.iter().flat_map(|server| &server.legs);
        let legs: Vec<&LegState> = legs
            .filter(|of| of.leg.partition == Some(partition))
            .collect();
        if legs.is_empty() {
            held.not_asked_for.push(partition);
            continue;
        }
        let are = |state: LinkState| legs.iter().filter(move |of| of.link.state == state);
        let mut up = are(LinkState::Connected);
        match (up.next(), up.next()) {
            (None, _) if 0 < are(LinkState::Unknown).count() => held.unknown.push(partition),
            (None, _) => held.by_nobody.push(partition),
            (Some(LegState { leg, .. }), None) => {
                let of_server = held.by_one.entry(leg.server.clone()).or_default();
                of_server.push(partition);
            }
            (Some(_), Some(_)) => (),
        }
    }
    (0 < partitions).then_some(held)
}

impl Held {
    /// In words, for each thing that is worth knowing.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.by_nobody.is_empty() {
            words.push(format!(
                "no server is connected to {}",
                Partition::words(&self.by_nobody)
            ));
        }
        if !self.unknown.is_empty() {
            words.push(format!(
                "it is unknown whether a server is connected to {}",
                Partition::words(&self.unknown)
            ));
        }
        for (server, partitions) in &self.by_one {
            let named = Partition::words(partitions);
            words.push(format!(
                "only server {server} is known to be connected to {named}"
            ));
        }
        if !self.not_asked_for.is_empty() {
            let named = Partition::words(&self.not_asked_for);
            words.push(format!("no server is configured for {named}"));
        }
        if words.is_empty() {
            words.push("each partition comes over at least two servers".to_owned());
        }
        words
    }
}

/// A `Date` header has whole seconds, so a smaller difference of clocks says nothing.
const UNSURE_MS: i64 = 2_000;

/// Deliveries come every minute: of whom nothing has come for so long, nobody knows what it is doing.
pub const SILENT_MS: i64 = 15 * 60_000;

/// How long ago a stamp of the future is taken to be: a clock that was ahead is no sign of life.
const LONG_AGO_MS: i64 = 61_000;

/// Over the last 60 s here; of other servers, if they were not stopped, over the last minute that has
/// come.
fn posts_per_second(known: &ServerFacts, is_this: bool, now: UtcMs) -> f64 {
    let of = |minute: i64| known.minutes.get(&Minute(minute)).copied().unwrap_or(0);
    let minute = now.minute().0;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 lines a minute")]
    let number = |lines: u64| lines as f64;
    if is_this {
        let passed_s =
            number(u64::try_from(now.second() - now.minute().begin().second()).unwrap_or(0));
        return (number(of(minute)) + number(of(minute - 1)) * (60.0 - passed_s) / 60.0) / 60.0;
    }
    let last = known.sealed_until.map(|end| of(end.minute().0 - 1));
    last.filter(|_| known.link.state != LinkState::Stopped)
        .map_or(0.0, |lines| number(lines) / 60.0)
}

fn vault(facts: &Facts, settled: &Settled, now: UtcMs) -> Vault {
    let vault = &facts.vault;
    let last_hour = vault.revisions.keys().next_back().copied();
    let posts = |hour: &Hour| vault.hours.get(hour).map(|facts| facts.counts.total.posts);
    let now_hour = settled.zone.hour_of(now);
    let last_day = (1..=24).map(|back| Hour(now_hour.0 - back));
    let gaps = vault
        .hours
        .iter()
        .filter(|(hour, _)| now_hour.0 - DAYS * 24 < hour.0);
    let unknown = gaps
        .flat_map(|(_, facts)| &facts.gaps)
        .filter(|gap| gap.cause == Cause::Unknown);
    // a second that several servers, legs or all together lack is one second
    let unknown = overlaid(&unknown.cloned().collect::<Vec<_>>());
    Vault {
        hours: vault.revisions.len() as u64,
        revisions: vault.lines,
        last_hour,
        last_posts: last_hour.as_ref().and_then(posts),
        low: (last_day.into_iter().filter(|_| !settled.has_rules))
            .find_map(|hour| low(hour, &posts)),
        window: window_change(vault).filter(|change| now_hour.0 - 24 <= change.hour.0),
        unknown_seconds: (unknown.iter())
            .map(|gap| gap.end.second() - gap.begin.second())
            .sum(),
    }
}

/// Where the sampling window changed last.
fn window_change(vault: &VaultFacts) -> Option<WindowChange> {
    let hours = vault.hours.iter();
    let stretches =
        window::stretches(hours.map(|(hour, facts)| (*hour, facts.residues.as_slice())));
    let [.., (before, hours_before), (now, hours)] = stretches.as_slice() else {
        return None;
    };
    Some(WindowChange {
        hour: *hours.first()?,
        window: window::words(now),
        hour_before: *hours_before.last()?,
        window_before: window::words(before),
    })
}

/// Whether an hour has less than half of the median of the same hour in the last weeks.
fn low(hour: Hour, posts: &impl Fn(&Hour) -> Option<u64>) -> Option<Low> {
    let found = posts(&hour)?;
    let mut before: Vec<u64> = (1..=WEEKS)
        .filter_map(|week| posts(&Hour(hour.0 - week * 7 * 24)))
        .collect();
    // one week alone may have been the odd one
    if before.len() < 2 {
        return None;
    }
    before.sort_unstable();
    let usual = before.get((before.len() - 1) / 2).copied()?;
    (found < usual / 2).then_some(Low {
        hour,
        posts: found,
        usual,
    })
}

fn published(facts: &Facts, ids_max: u64) -> Published {
    let nothing = BTreeMap::new();
    let public = facts
        .published
        .as_ref()
        .map_or(&nothing, |public| &public.revisions);
    let is_public =
        |hour: &Hour, revision: &u64| public.get(hour).is_some_and(|public| revision <= public);
    let all = facts.vault.revisions.iter();
    let mut behind = all
        .clone()
        .filter(|(hour, revision)| !is_public(hour, revision));
    let count = behind.clone().count() as u64;
    let oldest_behind = behind.next().map(|(hour, _)| *hour);
    Published {
        hours: all
            .filter(|(hour, revision)| is_public(hour, revision))
            .count() as u64,
        behind: count,
        oldest_behind,
        ids_30_days: facts
            .published
            .as_ref()
            .map_or(0, |public| public.ids.iter().map(|(_, ids)| ids).sum()),
        ids_max,
    }
}

fn days(facts: &Facts, settled: &Settled, now: UtcMs) -> Vec<DayCoverage> {
    let zone = &settled.zone;
    let today = zone.hour_of(now).day();
    let days = (0..DAYS).map(|back| Day(today.0 - back));
    days.filter_map(|day| {
        let hours: Vec<Hour> = day.hours().collect();
        let begin = hours
            .iter()
            .find_map(|hour| Some(zone.intervals(*hour).first()?.begin))?;
        let end = hours
            .iter()
            .rev()
            .find_map(|hour| Some(zone.intervals(*hour).last()?.end))?;
        let known: Vec<&HourFacts> = hours
            .iter()
            .filter_map(|hour| facts.vault.hours.get(hour))
            .collect();
        let of_server = |id: &ServerId| {
            let is_over = settled.until.get(id).is_some_and(|until| *until <= day);
            // an hour that does not mention it was merged while it was not configured: as in the certificate, these
            // seconds count in no percentage
            let is_told = |hour: &&&HourFacts| of_strip(id.as_str(), hour).is_some();
            let told: Vec<&HourFacts> = known.iter().filter(is_told).copied().collect();
            let is_shown = !told.is_empty() || known.is_empty() && !is_over;
            is_shown.then(|| strip(id.as_str(), &told))
        };
        let strips = facts.servers.keys().filter_map(of_server);
        let strips: Vec<Strip> = strips.chain([strip(UNION, &known)]).collect();
        let is_empty = known.is_empty() && day != today;
        (!is_empty).then_some(DayCoverage {
            day,
            begin,
            end,
            strips,
        })
    })
    .collect()
}

fn strip(name: &str, hours: &[&HourFacts]) -> Strip {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut push =
        |begin: UtcMs, end: UtcMs, (what, missing): (&str, &[Partition])| match pieces.last_mut() {
            Some(last) if last.end == begin && last.what == what && last.partitions == missing => {
                last.end = end;
            }
            _ if begin < end => pieces.push(Piece {
                begin,
                end,
                what: what.to_owned(),
                partitions: missing.to_vec(),
            }),
            _ => (),
        };
    let (mut covered_s, mut committed_s) = (0, 0);
    // of each leg, whether it lacks something
    let mut legs: BTreeMap<&Leg, bool> = BTreeMap::new();
    for (leg, seconds) in hours.iter().flat_map(|hour| &hour.coverage.servers) {
        if leg.server.as_str() == name && leg.partition.is_some() {
            *legs.entry(leg).or_default() |= seconds.covered < seconds.seconds;
        }
    }
    for hour in hours {
        let Some((seconds, gaps)) = of_strip(name, hour) else {
            continue;
        };
        covered_s += seconds.covered;
        committed_s += seconds.seconds;
        for interval in &hour.intervals {
            let mut from = interval.begin.max(seconds.begins.unwrap_or(interval.begin));
            for gap in gaps
                .iter()
                .filter(|gap| interval.begin < gap.end && gap.begin < interval.end)
            {
                let (begin, end) = (gap.begin.max(from), gap.end.min(interval.end));
                push(from, begin, (COVERED, &[]));
                push(begin, end, (gap.cause.word(), &gap.partitions));
                from = end.max(from);
            }
            push(from, interval.end, (COVERED, &[]));
        }
    }
    Strip {
        name: name.to_owned(),
        covered_s,
        committed_s,
        legs: legs.len() as u64,
        legs_lacking: legs.values().filter(|lacks| **lacks).count() as u64,
        pieces,
    }
}

/// The seconds and the gaps of a server, or of the union. Of a server with several legs these are the seconds of all of
/// them, and the times in which at least one lacks something.
fn of_strip(name: &str, hour: &HourFacts) -> Option<(SecondFacts, Vec<GapFacts>)> {
    let of = |id: &str| {
        let gaps = hour.gaps.iter().filter(|gap| gap.server == id);
        gaps.cloned().collect::<Vec<GapFacts>>()
    };
    if name == UNION {
        return Some((hour.coverage.union, of(UNION)));
    }
    let legs = hour.coverage.servers.iter();
    let legs: Vec<(&Leg, &SecondFacts)> = legs
        .filter(|(leg, _)| leg.server.as_str() == name)
        .collect();
    match legs[..] {
        [] => None,
        [(leg, seconds)] => Some((*seconds, of(&leg.to_string()))),
        _ => {
            let begins = legs
                .iter()
                .map(|(_, seconds)| seconds.begins)
                .min()
                .flatten();
            let gaps = legs.iter().flat_map(|(leg, _)| {
                let partitions: Vec<Partition> = leg.partition.into_iter().collect();
                let of_leg = of(&leg.to_string()).into_iter();
                of_leg.map(move |gap| GapFacts {
                    partitions: partitions.clone(),
                    ..gap
                })
            });
            let gaps = overlaid(&gaps.collect::<Vec<_>>());
            let sum =
                |of: fn(&SecondFacts) -> u64| legs.iter().map(|(_, seconds)| of(seconds)).sum();
            let of_server = SecondFacts {
                seconds: sum(|of| of.seconds),
                covered: sum(|of| of.covered),
                begins,
            };
            Some((of_server, gaps))
        }
    }
}

/// Gaps of several legs as those of one: where they overlap, the first cause in the order of causes holds.
fn overlaid(gaps: &[GapFacts]) -> Vec<GapFacts> {
    let ends: BTreeSet<UtcMs> = gaps.iter().flat_map(|gap| [gap.begin, gap.end]).collect();
    let ends: Vec<UtcMs> = ends.into_iter().collect();
    let mut laid: Vec<GapFacts> = Vec::new();
    for piece in ends.windows(2) {
        let &[begin, end] = piece else { continue };
        let here: Vec<&GapFacts> = gaps
            .iter()
            .filter(|gap| gap.begin <= begin && end <= gap.end)
            .collect();
        let Some(first) = here.iter().min_by_key(|gap| gap.cause) else {
            continue;
        };
        let partitions = here.iter().flat_map(|gap| &gap.partitions).copied();
        let partitions: BTreeSet<Partition> = partitions.collect();
        match laid.last_mut() {
            Some(last)
                if last.end == begin
                    && last.cause == first.cause
                    && last.partitions.iter().eq(&partitions) =>
            {
                last.end = end;
            }
            _ => laid.push(GapFacts {
                server: first.server.clone(),
                partitions: partitions.into_iter().collect(),
                begin,
                end,
                cause: first.cause,
            }),
        }
    }
    laid
}

/// How fast the free space shrinks, by least squares over the samples of the last days.
fn runway(samples: &[(UtcMs, u64)], free_bytes: u64, now: UtcMs) -> Option<Runway> {
    let recent: Vec<(f64, f64)> = samples
        .iter()
        .filter(|(at, _)| *at < now && now.0 - at.0 <= DAYS * DAY_MS)
        .copied()
        .chain([(now, free_bytes)])
        .map(|(at, free)| {
            #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
            let pair = ((at.0 - now.0) as f64 / DAY_MS as f64, free as f64);
            pair
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = recent.len() as f64;
    #[expect(clippy::cast_precision_loss, reason = "an hour in a day")]
    let span_min = GROWTH_MS_MIN as f64 / DAY_MS as f64;
    if recent.first().is_none_or(|(at, _)| -at < span_min) {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| recent.iter().map(of).sum::<f64>() / count;
    let (at, free) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let spread: f64 = recent.iter().map(|pair| (pair.0 - at).powi(2)).sum();
    let together: f64 = recent
        .iter()
        .map(|pair| (pair.0 - at) * (pair.1 - free))
        .sum();
    let per_day = -together / spread;
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let days = (1.0 <= per_day).then_some(free_bytes as f64 / per_day);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and is far from it"
    )]
    Some(Runway {
        bytes_per_day: per_day.round() as i64,
        days,
    })
}

/// A state that somebody has to do something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Which.
    pub kind: AlarmKind,
    /// Whom it concerns: a server, an hour, a stage; empty if that is clear.
    pub subject: String,
    /// Since when.
    pub since: UtcMs,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub todo: String,
    /// If it is about connections of a stream in partitions: which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::monitor::{facts::LegFacts, plain_text};

    fn at(text: &str) -> UtcMs {
        format!("2026-11-{text}Z").parse().unwrap()
    }

    /// A configuration of an X stream without partitions, on the primary.
    pub(in crate::monitor) fn settled() -> Settled {
        Settled {
            program: "test/1",
            this: Some("1".parse().unwrap()),
            leaves_archive: false,
            delivers_to_store: false,
            role: Some(Role::Primary),
            zone: Zone::named("UTC").unwrap(),
            partitions: 0,
            has_rules: false,
            collections: None,
            ids_max: Some(1_000),
            forbidden: None,
            until: BTreeMap::new(),
        }
    }

    fn hour(text: &str, posts: u64) -> (Hour, HourFacts) {
        let hour: Hour = format!("2026-11-{text}").parse().unwrap();
        let json = format!(
            r#"{{"intervals":[{{"begin":"2026-11-{0}T{1}:00:00Z","end":"2026-11-{0}T{1}:59:59Z"}}],
               "counts":{{"servers":{{}},"total":{{"posts":{posts}}}}},
               "coverage":{{"servers":{{"1":{{"seconds":3600,"covered":3000}}}},"union":{{"seconds":3600,"covered":3500}}}},
               "gaps":[{{"server":"1","begin":"2026-11-{0}T{1}:10:00Z","end":"2026-11-{0}T{1}:20:00Z","cause":"network","detail":""}}]}}"#,
            &text[..2],
            &text[3..]
        );
        (hour, serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn rates_and_lags_come_from_the_minutes() {
        let mut known = ServerFacts {
            last_line: Some(at("23T14:05:29.500")),
            ..ServerFacts::default()
        };
        let minute = at("23T14:05:00").minute();
        known.minutes = [(Minute(minute.0 - 1), 3_000), (minute, 1_500)].into();
        known.sealed_until = Some(minute.end());
        let now = at("23T14:05:30");
        let mut stopped = known.clone();
        stopped.link.state = LinkState::Stopped;
        assert!(posts_per_second(&stopped, false, now) < 0.1);
        let facts = Facts {
            servers: [
                ("1".parse().unwrap(), known.clone()),
                ("2".parse().unwrap(), known),
            ]
            .into(),
            ..Facts::default()
        };
        let found = of(&facts, &settled(), now);
        let rates = found
            .servers
            .iter()
            .map(|server| format!("{:.1}", server.posts_per_second));
        assert_eq!(rates.collect::<Vec<_>>(), ["50.0", "25.0"]);
        assert_eq!(found.servers[0].lag_s, Some(0));
        let before = of(&facts, &settled(), at("23T14:05:29"));
        assert_eq!(before.servers[0].lag_s, Some(0));
        assert_eq!(found.servers[0].lines_last_hour, 3_000);
        assert_eq!(found.servers[0].hours.last().unwrap().1, 4_500);

        // a server whose end is still to come is there
        let mut settled = settled();
        for (day, is_gone) in [("2026-11-24", false), ("2026-11-23", true)] {
            let until = [("2".parse().unwrap(), day.parse().unwrap())];
            settled.until = until.into();
            assert_eq!(
                of(&facts, &settled, now).servers[1].until.is_some(),
                is_gone
            );
        }
    }

    #[test]
    fn what_a_connection_was_like_is_not_what_it_is_like() {
        let leg = |name: &str, state, told: &str| {
            let link = Link {
                state,
                since: Some(at("23T13:00:00")),
                told: Some(at(told)),
                ..Link::default()
            };
            let facts = LegFacts {
                link,
                ..LegFacts::default()
            };
            (name.parse::<Leg>().unwrap(), facts)
        };
        let mut facts = Facts::default();
        let legs = [
            leg("1.01", LinkState::Connected, "23T14:00:00"),
            leg("1.02", LinkState::Disconnected, "23T14:00:00"),
            leg("2.02", LinkState::Connected, "23T14:00:00"),
            leg("2.03", LinkState::Connected, "23T14:00:00"),
        ];
        for (leg, known) in legs {
            let server = facts.servers.entry(leg.server.clone()).or_default();
            server.link = known.link.clone();
            server.legs.insert(leg, known);
        }
        let settled = Settled {
            partitions: 3,
            ..settled()
        };
        let mut shown = |is_collecting, now: &str| {
            facts.is_collecting = is_collecting;
            let picture = of(&facts, &settled, at(now));
            let links = picture
                .servers
                .iter()
                .map(|of| plain_text::link(of, at(now)));
            let held = picture.held.as_ref().unwrap().words();
            (links.collect::<Vec<String>>().join("; "), held.join("; "))
        };
        let (links, held) = shown(Some(true), "23T14:15:00");
        assert_eq!(
            links,
            "1 of 2 partitions connected; 2 of 2 partitions connected"
        );
        assert!(
            held.starts_with(
                "only server 1 is known to be connected to partition 1; only server 2"
            ),
            "{held}"
        );
        // the collector here has been killed, and of the other nothing has come
        let (links, held) = shown(Some(false), "23T14:15:01");
        assert_eq!(
            links,
            "not running for 15 min: its end was not recorded; unknown: nothing heard for 15 min"
        );
        assert_eq!(
            held,
            "no server is connected to partition 1; it is unknown whether a server is connected to partitions 2-3"
        );
        // where it cannot be told whether one runs, the age of the last event tells
        let (links, _) = shown(None, "23T14:15:01");
        assert_eq!(links.matches("unknown").count(), 2, "{links}");
    }

    #[test]
    fn where_two_legs_lack_a_second_the_first_cause_in_their_order_is_shown() {
        let gap = |begin: i64, end: i64, cause| GapFacts {
            server: String::new(),
            partitions: vec![Partition::new(if end == 50 { 7 } else { 1 }).unwrap()],
            begin: UtcMs(begin),
            end: UtcMs(end),
            cause,
        };
        let (first, other) = (Cause::ALL[1], Cause::ALL[4]);
        let told = |gaps: &[GapFacts]| {
            let laid = overlaid(gaps).into_iter();
            laid.map(|gap| {
                let missing = Partition::words(&gap.partitions);
                (gap.begin.0, gap.end.0, gap.cause, missing)
            })
            .collect::<Vec<_>>()
        };
        let (long, short) = (gap(0, 50, other), gap(10, 20, first));
        let expected = [
            (0, 10, other, "partition 7".to_owned()),
            (10, 20, first, "partitions 1, 7".to_owned()),
            (20, 50, other, "partition 7".to_owned()),
        ];
        assert_eq!(told(&[long.clone(), short.clone()]), expected);
        assert_eq!(told(&[short, long]), expected);
    }

    #[test]
    fn a_server_with_legs_has_the_share_of_the_seconds_of_all_of_them_as_in_the_certificate() {
        let mut facts = Facts::default();
        let (name, mut of_hour) = hour("23_14", 5);
        let of_leg = |covered| SecondFacts {
            seconds: 3_600,
            begins: None,
            covered,
        };
        let legs = [("1.01", 3_600), ("1.02", 3_000), ("1.03", 3_300)];
        let legs = legs.map(|(leg, covered)| (leg.parse().unwrap(), of_leg(covered)));
        of_hour.coverage.servers = legs.into();
        let gap = of_hour.gaps[0].clone();
        of_hour.gaps = ["1.02", "1.03"]
            .map(|leg| GapFacts {
                server: leg.to_owned(),
                // five minutes of the second leg are missing in the third, too
                end: at(if leg == "1.02" {
                    "23T14:20:00"
                } else {
                    "23T14:15:00"
                }),
                ..gap.clone()
            })
            .into();
        facts.vault.hours = [(name, of_hour)].into();
        facts
            .servers
            .insert("1".parse().unwrap(), ServerFacts::default());
        let found = of(&facts, &settled(), at("23T16:00:00"));
        let strip = &found.days[0].strips[0];
        let share = crate::text::percent(strip.covered_s, strip.committed_s);
        assert_eq!(share, crate::text::percent(9_900, 10_800));
        assert_eq!(strip.missing(), "in 2 of 3 partitions");
        let text = plain_text::of(&found);
        assert!(
            text.contains(&share) && text.contains("in 2 of 3 partitions"),
            "{text}"
        );
    }

    #[test]
    fn of_eighty_strips_those_are_drawn_that_lack_the_most() {
        let strip = |name: &str, covered_s: u64| Strip {
            name: name.to_owned(),
            covered_s,
            committed_s: 3_600,
            legs: 0,
            legs_lacking: 0,
            pieces: Vec::new(),
        };
        let names = |strips: &[Strip]| {
            let (shown, words) = worth_showing(strips);
            let names: Vec<String> = shown.iter().map(|strip| strip.name.clone()).collect();
            (names.join(" "), words.unwrap_or_default())
        };
        let two = [strip("1", 3_600), strip("2", 0), strip(UNION, 3_600)];
        assert_eq!(names(&two), ("1 2 union".to_owned(), String::new()));
        let mut eighty: Vec<Strip> = (0..80)
            .map(|n| strip(&format!("{}.{:02}", n / 20 + 1, n % 20 + 1), 3_600))
            .collect();
        eighty.push(strip(UNION, 3_590));
        eighty[25].covered_s = 3_000;
        eighty[3].covered_s = 3_500;
        let (shown, words) = names(&eighty);
        assert_eq!(shown, "1.04 2.06 union");
        assert_eq!(words, "78 servers have every merged second.");
        for strip in &mut eighty[40..60] {
            strip.covered_s = 1_000;
        }
        let (shown, words) = names(&eighty);
        assert_eq!(shown.split(' ').count(), STRIPS_MAX + 1);
        assert!(
            shown.starts_with("3.01 ") && shown.ends_with(" union"),
            "{shown}"
        );
        assert!(
            words.starts_with("58 servers have") && words.contains("14 lack less"),
            "{words}"
        );
    }

    #[test]
    fn strips_show_gaps_by_their_cause_and_what_is_not_merged_as_nothing() {
        let mut facts = Facts::default();
        facts
            .servers
            .insert("1".parse().unwrap(), ServerFacts::default());
        facts
            .servers
            .insert("2".parse().unwrap(), ServerFacts::default());
        facts.vault.hours = [hour("23_14", 5)].into();
        let found = of(&facts, &settled(), at("23T16:00:00"));
        let pieces: Vec<String> = found.days[0].strips[0]
            .pieces
            .iter()
            .map(|piece| format!("{} {}", &piece.begin.to_string()[11..16], piece.what))
            .collect();
        assert_eq!(pieces, ["14:00 covered", "14:10 network", "14:20 covered"]);
        let union = &found.days[0].strips[1];
        assert_eq!((&*union.name, union.covered_s), (UNION, 3_500));
        assert_eq!(found.days.len(), 1);
        // the hours of a server that they do not mention count in no percentage: it was added later, or has ended
        let names = |facts: &Facts, day: &str| {
            let mut settled = settled();
            let until = |id: &str| (id.parse().unwrap(), day.parse().unwrap());
            settled.until = ["1", "2"].map(until).into();
            let found = of(facts, &settled, at("23T16:00:00"));
            let strips = found.days[0].strips.iter();
            let names: Vec<String> = strips.map(|strip| strip.name.clone()).collect();
            names.join(" ")
        };
        assert_eq!(names(&facts, "2026-11-24"), "1 union");
        assert_eq!(names(&facts, "2026-11-23"), "1 union");
        // before anything is merged, those have a place that are still to come
        facts.vault.hours.clear();
        assert_eq!(names(&facts, "2026-11-24"), "1 2 union");
        assert_eq!(names(&facts, "2026-11-23"), UNION);
    }

    #[test]
    fn a_second_that_many_lack_is_one_second() {
        let mut facts = Facts::default();
        let (hour, mut of_hour) = hour("23_14", 5);
        of_hour.gaps[0].cause = Cause::Unknown;
        for leg in ["2.01", "2.02", "union"] {
            let gap = GapFacts {
                server: leg.to_owned(),
                begin: at("23T14:15:00"),
                ..of_hour.gaps[0].clone()
            };
            of_hour.gaps.push(gap);
        }
        facts.vault.hours = [(hour, of_hour)].into();
        let found = of(&facts, &settled(), at("23T16:00:00"));
        assert_eq!(found.vault.unknown_seconds, 600);
    }

    #[test]
    fn an_hour_is_low_against_the_same_hour_of_the_last_weeks() {
        let mut facts = Facts::default();
        facts.vault.hours = [
            hour("23_14", 40),
            hour("16_14", 100),
            hour("09_14", 90),
            hour("23_15", 80),
        ]
        .into();
        let low = |facts: &Facts| of(facts, &settled(), at("23T17:00:00")).vault.low;
        let expected = Low {
            hour: "2026-11-23_14".parse().unwrap(),
            posts: 40,
            usual: 90,
        };
        assert_eq!(low(&facts), Some(expected));
        facts
            .vault
            .hours
            .insert("2026-11-23_14".parse().unwrap(), hour("23_14", 45).1);
        assert_eq!(low(&facts), None);
        facts.vault.hours.remove(&"2026-11-16_14".parse().unwrap());
        assert_eq!(low(&facts), None);
    }

    #[test]
    fn a_sampling_window_that_changed_is_told_of_for_a_day() {
        let with = |name: &str, first: u64| {
            let (hour, mut facts) = hour(name, 5);
            facts.residues = (first..first + 10).map(|ms| (ms, 200)).collect();
            (hour, facts)
        };
        let mut facts = Facts::default();
        facts.vault.hours = [with("23_13", 657), with("23_14", 657), with("23_16", 700)].into();
        let change = |facts: &Facts, now| of(facts, &settled(), at(now)).vault.window;
        let found = change(&facts, "23T17:00:00").unwrap();
        let words = (&*found.window_before, &*found.window);
        assert_eq!(
            (words, found.hour_before.of_day(), found.hour.of_day()),
            (("657-666", "700-709"), 14, 16)
        );
        assert_eq!(change(&facts, "24T17:00:00"), None);
        facts.vault.hours.remove(&found.hour);
        assert_eq!(change(&facts, "23T17:00:00"), None);
    }

    #[test]
    fn the_disk_lasts_as_long_as_the_last_days_tell() {
        let now = at("23T12:00:00");
        let samples: Vec<(UtcMs, u64)> = (1..=48)
            .rev()
            .map(|hours| {
                (
                    now.plus_ms(-hours * 3_600_000),
                    48_000_000 + 1_000_000 * u64::try_from(hours).unwrap(),
                )
            })
            .collect();
        let found = runway(&samples, 48_000_000, now).unwrap();
        assert_eq!(found.bytes_per_day, 24_000_000);
        // gaps of long ago, or of the future, do not count for these days
        let mut more = samples.clone();
        more.insert(0, (now.plus_ms(-40 * DAY_MS), 900_000_000_000));
        more.push((now.plus_ms(DAY_MS), 900_000_000_000));
        assert_eq!(runway(&more, 48_000_000, now), Some(found.clone()));
        assert!((found.days.unwrap() - 2.0).abs() < 0.001);
        assert_eq!(
            runway(&samples[47..], 48_000_000, now).map(|_| ()),
            Some(())
        );
        assert_eq!(runway(&[], 48_000_000, now), None);
        let growing = runway(&samples, 90_000_000_000, now).unwrap();
        assert_eq!(growing.days, None);
    }

    #[test]
    fn what_is_not_public_is_counted_by_revisions() {
        let mut facts = Facts::default();
        let hours: Vec<Hour> = ["23_13", "23_14"]
            .iter()
            .map(|h| format!("2026-11-{h}").parse().unwrap())
            .collect();
        facts.vault.revisions = [(hours[0], 2), (hours[1], 1)].into();
        let public = crate::monitor::facts::PublishedFacts {
            revisions: [(hours[0], 1), (hours[1], 1)].into(),
            ids: vec![(at("23T14:00:00"), 7)],
        };
        facts.published = Some(public);
        let found = published(&facts, 10);
        assert_eq!(
            (found.hours, found.behind, found.oldest_behind),
            (1, 1, Some(hours[0]))
        );
        assert_eq!(found.ids_30_days, 7);
    }

    #[test]
    fn another_server_s_stamps_are_moved_by_how_much_the_two_clocks_differ() {
        let with = |offset_ms| {
            let mut facts = ServerFacts {
                last_line: Some(at("23T14:05:00")),
                ..ServerFacts::default()
            };
            facts.link.clock_offset_ms = offset_ms;
            facts
        };
        let lines = |here, there| {
            let servers = [("1", with(here)), ("2", with(there))];
            let servers = servers.map(|(id, facts)| (id.parse().unwrap(), facts));
            let facts = Facts {
                servers: servers.into(),
                ..Facts::default()
            };
            let found = of(&facts, &settled(), at("23T14:06:00"));
            let moved =
                |server: &ServerState| (server.last_line.unwrap().0 - at("23T14:05:00").0) / 1_000;
            (moved(&found.servers[0]), moved(&found.servers[1]))
        };
        assert_eq!(
            lines(None, Some(30_000)),
            (0, 0),
            "one of them is not known"
        );
        assert_eq!(lines(Some(0), Some(30_000)), (0, 30));
        assert_eq!(
            lines(Some(30_000), Some(30_000)),
            (0, 0),
            "both are off, and agree"
        );
        assert_eq!(lines(Some(-20_000), Some(10_000)), (0, 30));
        assert_eq!(lines(Some(500), Some(-900)), (0, 0), "by chance");
    }

    /// A filtered stream brings what it brings; and what is older than the strips is no news.
    #[test]
    fn what_is_not_to_be_compared_or_is_long_over_is_no_state() {
        let mut facts = Facts::default();
        facts.vault.hours = [hour("23_14", 40), hour("16_14", 100), hour("09_14", 90)].into();
        let (_, old) = hour("16_14", 100);
        let mut unknown = old.gaps[0].clone();
        unknown.cause = Cause::Unknown;
        for of in facts.vault.hours.values_mut() {
            of.gaps = vec![unknown.clone()];
        }
        let mut settled = settled();
        let found = of(&facts, &settled, at("23T17:00:00")).vault;
        assert!(found.low.is_some());
        // all three hours tell of the same ten minutes, of which one lies in the last days
        assert_eq!(found.unknown_seconds, 600);
        settled.has_rules = true;
        assert_eq!(of(&facts, &settled, at("23T17:00:00")).vault.low, None);
        facts.vault.hours.remove(&"2026-11-23_14".parse().unwrap());
        let later = of(&facts, &settled, at("23T17:00:00")).vault;
        assert_eq!(later.unknown_seconds, 0);
    }

    /// What a secondary has sealed is with the primary only once that has said so.
    #[test]
    fn until_when_something_is_delivered_says_who_has_it() {
        let minute = at("23T14:05:00").minute();
        let until = |this: &str, role, acknowledged: Option<Minute>| {
            let known = ServerFacts {
                sealed_until: Some(at("23T14:09:00")),
                acknowledged: acknowledged.map(|minute| (minute, at("23T14:10:00"))),
                ..ServerFacts::default()
            };
            let facts = Facts {
                servers: [("1".parse().unwrap(), known)].into(),
                ..Facts::default()
            };
            let settled = Settled {
                this: Some(this.parse().unwrap()),
                role: Some(role),
                ..settled()
            };
            of(&facts, &settled, at("23T14:11:00")).servers[0].delivered_until
        };
        assert_eq!(until("1", Role::Secondary, None), None);
        assert_eq!(
            until("1", Role::Secondary, Some(minute)),
            Some(minute.end())
        );
        assert_eq!(until("1", Role::Primary, None), Some(at("23T14:09:00")));
        assert_eq!(until("2", Role::Secondary, None), Some(at("23T14:09:00")));
    }

    #[test]
    fn a_stamp_of_the_future_is_no_sign_of_life_of_this_server() {
        let now = at("23T14:05:00");
        let last = |ahead_ms: i64| {
            let known = ServerFacts {
                last_line: Some(now.plus_ms(ahead_ms)),
                ..ServerFacts::default()
            };
            let facts = Facts {
                servers: [("1".parse().unwrap(), known)].into(),
                ..Facts::default()
            };
            let server = of(&facts, &settled(), now).servers.remove(0);
            (server.last_line.unwrap().0 - now.0, server.lag_s.unwrap())
        };
        assert_eq!(last(-70_000), (-70_000, 70));
        assert_eq!(last(2_000), (2_000, 0));
        assert_eq!(last(2_001), (-LONG_AGO_MS, 61));
        assert_eq!(last(86_400_000), (-LONG_AGO_MS, 61));
    }

    #[test]
    fn a_server_has_no_strip_before_it_began() {
        let mut facts = Facts::default();
        let (name, mut of_hour) = hour("23_14", 5);
        let begins = at("23T14:12:00");
        let seconds = of_hour.coverage.servers.values_mut().next().unwrap();
        (seconds.begins, seconds.seconds, seconds.covered) = (Some(begins), 2_880, 2_400);
        facts.vault.hours = [(name, of_hour)].into();
        facts
            .servers
            .insert("1".parse().unwrap(), ServerFacts::default());
        let found = of(&facts, &settled(), at("23T16:00:00"));
        let strip = &found.days[0].strips[0];
        let pieces = strip
            .pieces
            .iter()
            .map(|piece| (piece.begin, piece.end, &*piece.what));
        let expected = [
            (begins, at("23T14:20:00"), "network"),
            (at("23T14:20:00"), at("23T14:59:59"), COVERED),
        ];
        assert_eq!(pieces.collect::<Vec<_>>(), expected);
        assert_eq!((strip.covered_s, strip.committed_s), (2_400, 2_880));
    }
}
