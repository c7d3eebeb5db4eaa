//! Decides which states a person has to act on, and when each begins and ends. Pure: from the picture and the alarms
//! reported before follow the changes to report.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    link::{Link, LinkState},
    plain_text,
    snapshot::{Alarm, LegState, SILENT_MS, ServerState, Snapshot},
};
use crate::{
    alarm::AlarmKind,
    config::settings::Role,
    period::UtcMs,
    segment::{
        collections::Collections,
        event::{EndCause, WaitReason},
        name::Partition,
    },
    text::{duration, plural},
};

/// Without posts for so long nobody believes that it is chance: there are dozens a second.
pub const NO_POSTS_MS: i64 = 60_000;
/// What a person needs to find another disk.
const DISK_DAYS: f64 = 3.0;
/// What is committed is published within minutes.
const BEHIND_MS: i64 = 3 * 3_600_000;
/// A clock that is kept by NTP is off by milliseconds.
pub const CLOCK_MS: i64 = 5_000;
/// What a mail server does to strangers, greylisting among it, is over by then.
const MAIL_MS: i64 = 15 * 60_000;
/// A stage that has failed so often in a row, and for so long, does not mend itself.
const FAILURES: u32 = 3;
const FAILING_MS: i64 = 15 * 60_000;
/// The rules are asked for at least so often.
const RULES_MS: i64 = 15 * 60_000;
/// Whom an alarm concerns that is about what no server has.
const ALL_SERVERS: &str = "all servers";
/// A state that was over for less than this has not ended, and one that others have, too, for less is not said again, so
/// that flapping does not write mails.
const LASTS_MS: i64 = 2 * 60_000;

/// A state that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlarm {
    /// It.
    pub alarm: Alarm,
    /// Since when it is not so any more; it ends when that has lasted.
    pub over_since: Option<UtcMs>,
    /// The partitions of which it was said.
    #[serde(default)]
    pub told: BTreeSet<Partition>,
    /// Since when others have it, too; that is said when it has lasted.
    #[serde(default)]
    pub grown_since: Option<UtcMs>,
}

impl OpenAlarm {
    /// One that is said for the first time.
    fn new(alarm: &Alarm) -> Self {
        Self {
            told: alarm.partitions.iter().copied().collect(),
            alarm: alarm.clone(),
            over_since: None,
            grown_since: None,
        }
    }

    /// Takes in how it is now; whether partitions have it of which that has not been said.
    fn goes_on(&mut self, alarm: &Alarm, now: UtcMs) -> bool {
        self.over_since = None;
        // the words are the present ones; its begin stays
        let since = self.alarm.since;
        self.alarm.clone_from(alarm);
        self.alarm.since = since;
        if alarm.partitions.iter().all(|one| self.told.contains(one)) {
            self.grown_since = None;
            return false;
        }
        let since = *self.grown_since.get_or_insert(now);
        let has_lasted = LASTS_MS <= now.0 - since.0;
        if has_lasted {
            self.told.extend(&alarm.partitions);
            self.grown_since = None;
        }
        has_lasted
    }
}

/// What has been said, and what has to be remembered to say the next thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The states that have begun and not ended.
    pub open: Vec<OpenAlarm>,
    /// Since when something that is committed is not public.
    #[serde(default)]
    pub behind_since: Option<UtcMs>,
    /// Since when the collector has been running of which it was said that it runs, and not yet
    /// that it ended.
    #[serde(default)]
    pub collecting_since: Option<UtcMs>,
}

impl Said {
    /// What was stamped when the clock was ahead is not to wait until it is that time again.
    fn forget_the_future(&mut self, now: UtcMs) {
        for open in &mut self.open {
            open.alarm.since = open.alarm.since.min(now);
            open.over_since = open.over_since.map(|at| at.min(now));
            open.grown_since = open.grown_since.map(|at| at.min(now));
        }
        self.behind_since = self.behind_since.map(|at| at.min(now));
    }
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmChange {
    /// A state has begun.
    Begun(Alarm),
    /// It has ended, at that time.
    Ended(Alarm, UtcMs),
}

impl AlarmChange {
    /// Whether it concerns the archive and not this machine.
    pub const fn is_of_archive(&self) -> bool {
        let (Self::Begun(alarm) | Self::Ended(alarm, _)) = self;
        alarm.kind.is_of_archive()
    }
}

/// Takes the next picture; `said` moves on.
pub fn judge(picture: &Snapshot, said: &mut Said) -> Vec<AlarmChange> {
    let now = picture.now;
    said.forget_the_future(now);
    let is_behind = picture
        .published
        .as_ref()
        .is_some_and(|public| 0 < public.behind);
    said.behind_since = is_behind.then(|| said.behind_since.unwrap_or(now));
    let found = states(picture, said.behind_since);
    let mut changes = Vec::new();
    for alarm in &found {
        let known = said
            .open
            .iter_mut()
            .find(|open| is_same(&open.alarm, alarm));
        if let Some(open) = known {
            if open.goes_on(alarm, now) {
                changes.push(AlarmChange::Begun(alarm.clone()));
            }
        } else {
            said.open.push(OpenAlarm::new(alarm));
            changes.push(AlarmChange::Begun(alarm.clone()));
        }
    }
    said.open.retain_mut(|open| {
        if found.iter().any(|alarm| is_same(&open.alarm, alarm)) {
            return true;
        }
        let over_since = *open.over_since.get_or_insert(now);
        let has_ended = LASTS_MS <= now.0 - over_since.0;
        if has_ended {
            changes.push(AlarmChange::Ended(open.alarm.clone(), over_since));
        }
        !has_ended
    });
    changes
}

fn is_same(a: &Alarm, b: &Alarm) -> bool {
    (a.kind, &a.subject) == (b.kind, &b.subject)
}

/// The states that hold at this moment, if no service watches; since when, if a former service has noticed it.
pub fn now(picture: &Snapshot, said: &Said) -> Vec<Alarm> {
    let mut found = states(picture, said.behind_since);
    for alarm in &mut found {
        let known = said.open.iter().find(|open| is_same(alarm, &open.alarm));
        if let Some(open) = known {
            alarm.since = open.alarm.since.min(picture.now);
        }
    }
    found
}

/// Every state that holds at this moment.
pub fn states(picture: &Snapshot, behind_since: Option<UtcMs>) -> Vec<Alarm> {
    let mut found = Found {
        now: picture.now,
        alarms: Vec::new(),
    };
    for server in &picture.servers {
        if server.this {
            collecting(&mut found, server, picture.has_rules);
        }
        collections(&mut found, server, picture.collections.as_ref());
        of_any_server(&mut found, server);
    }
    for away in &picture.away {
        found.push(AlarmKind::PlaceAway, away.place, away.what.clone());
    }
    by_nobody(&mut found, picture);
    silent(&mut found, picture);
    disk(&mut found, picture);
    archive(&mut found, picture, behind_since);
    mail(&mut found, picture);
    page(&mut found, picture);
    stages(&mut found, picture);
    found.alarms
}

struct Found {
    now: UtcMs,
    alarms: Vec<Alarm>,
}

impl Found {
    fn has(&self, kind: AlarmKind, subject: &str) -> bool {
        self.alarms
            .iter()
            .any(|alarm| alarm.kind == kind && alarm.subject == subject)
    }

    fn push(&mut self, kind: AlarmKind, subject: &str, what: String) {
        self.alarms.push(Alarm {
            kind,
            subject: subject.to_owned(),
            since: self.now,
            what,
            todo: kind.todo().to_owned(),
            partitions: Vec::new(),
        });
    }
}

/// Why this server stores no posts now, if it does not.
pub fn not_storing(picture: &Snapshot) -> Option<String> {
    if picture.role == Some(Role::Merger) {
        return None;
    }
    let Some(server) = picture.servers.iter().find(|server| server.this) else {
        return Some("this machine is not one of the servers".to_owned());
    };
    let link = &server.link;
    if picture.has_rules && link.state == LinkState::Connected {
        return None;
    }
    let is_recent = |last: UtcMs| picture.now.0 - last.0 <= NO_POSTS_MS;
    let is_over = matches!(link.state, LinkState::Stopped | LinkState::Died);
    if server.last_line.is_some_and(is_recent) && !is_over {
        return None;
    }
    let since = server.last_line.map_or_else(
        || "none has been received yet".to_owned(),
        |last| format!("the last one was received at {last}"),
    );
    let why = match (link.state, &link.waits, &link.why) {
        (LinkState::Connected, ..) => "connected, but nothing comes".to_owned(),
        (LinkState::Stopped, ..) => "collecting has ended".to_owned(),
        (LinkState::Unknown, ..) => "it is unknown whether it is connected".to_owned(),
        (_, Some(waits), why) => {
            let why = why.as_deref().unwrap_or("no answer");
            match link.waits_for_requests() {
                Some(until) => format!("{why}; it waits {}", plain_text::until_requests(until)),
                None => format!("{why} (waiting: {})", waits.word().replace('_', " ")),
            }
        }
        (_, None, Some(why)) => why.clone(),
        (_, None, None) => "not connected".to_owned(),
    };
    Some(format!("{why}; {since}"))
}

fn collecting(found: &mut Found, server: &ServerState, has_rules: bool) {
    // while the disk is full nothing can be sealed
    if 0 < server.left_open && server.link.waits != Some(WaitReason::DiskFull) {
        let what = format!(
            "server {}: {} since an earlier run, and cannot be recovered",
            server.server,
            plural(server.left_open, "segment is open", "segments are open")
        );
        found.push(AlarmKind::NotRecovered, server.server.as_str(), what);
    }
    if has_rules {
        rules(found, server.server.as_str(), &server.link);
    }
    if server.legs.is_empty() {
        // while a stream with rules is up, it is its last sign of life that counts
        let is_up = has_rules && server.link.state == LinkState::Connected;
        let last = if is_up {
            Some(found.now)
        } else {
            server.last_line
        };
        let id = server.server.as_str();
        for (kind, what) in receiving(found.now, &server.link, last) {
            found.push(kind, id, format!("server {id} {what}"));
        }
    }
    legs(found, server);
}

/// What is the matter with the rules of this server's stream.
fn rules(found: &mut Found, name: &str, link: &Link) {
    let unknown = link.rules_unknown.as_ref();
    let unknown = unknown.filter(|(since, _)| RULES_MS <= found.now.0 - since.0);
    let what = if link.waits == Some(WaitReason::NoRules) && link.state != LinkState::Connected {
        let why = link.why.as_deref().unwrap_or("without a word");
        format!("server {name} gets no stream because there are no rules: {why}")
    } else if let Some((since, why)) = unknown {
        format!("the rules in force at server {name} have not been known since {since}: {why}")
    } else if let Some(told) = &link.rules
        && !told.is_as_configured()
    {
        format!(
            "X reported at {} that the rules in force at server {name} differ from its configuration",
            told.at
        )
    } else {
        return;
    };
    found.push(AlarmKind::Rules, name, what);
}

/// Whether a server that is collecting asks for other collections than the configuration here has.
fn collections(found: &mut Found, server: &ServerState, here: Option<&Collections>) {
    let (Some(here), Some(there)) = (here, &server.link.collections) else {
        return;
    };
    let is_collecting = matches!(
        server.link.state,
        LinkState::Connected | LinkState::Disconnected
    );
    if is_collecting && here != there {
        let name = server.server.as_str();
        let what = format!(
            "server {name} requests {}; the configuration here has {}",
            there.words(),
            here.words()
        );
        found.push(AlarmKind::Collections, name, what);
    }
}

/// What is the matter with a connection of this server: the kinds of states, and what is said of whoever has it.
fn receiving(now: UtcMs, link: &Link, last_line: Option<UtcMs>) -> Vec<(AlarmKind, String)> {
    let mut found = Vec::new();
    let last = last_line.max(link.started);
    let is_quiet = last.is_some_and(|last| NO_POSTS_MS < now.0 - last.0);
    let why = link.why.as_deref();
    if is_quiet && link.state != LinkState::Stopped {
        let time = duration(last.map_or(0, |last| now.0 - last.0));
        let what = match (link.state, link.waits_for_requests()) {
            (LinkState::Connected, _) => format!("is connected but has stored no post for {time}"),
            (LinkState::Died, _) => format!(
                "has stored no post for {time}: {}",
                why.unwrap_or("no collector runs here")
            ),
            (_, Some(until)) => format!(
                "has stored no post for {time}; it waits {}",
                plain_text::until_requests(until)
            ),
            _ => format!(
                "has stored no post for {time}; the connection: {}; {}",
                why.unwrap_or("there is none"),
                goes_on(link.waits)
            ),
        };
        found.push((AlarmKind::NoPosts, what));
    }
    if link.state == LinkState::Connected {
        return found;
    }
    if link.cause == Some(EndCause::NotTheApi) {
        let what = format!("is answered by {}", why.unwrap_or("not the API"));
        found.push((AlarmKind::NotTheApi, what));
    }
    if let Some(
        waits @ (WaitReason::UsageCap
        | WaitReason::Unauthorized
        | WaitReason::BadRequest
        | WaitReason::NotFound),
    ) = link.waits
    {
        let why = why.unwrap_or("without a word");
        let what =
            format!("is refused by the API ({waits}): {why}; it asks again at growing intervals");
        found.push((AlarmKind::Refused, what));
    }
    found
}

/// What a server that has no connection does by itself.
const fn goes_on(waits: Option<WaitReason>) -> &'static str {
    match waits {
        Some(
            WaitReason::UsageCap
            | WaitReason::Unauthorized
            | WaitReason::BadRequest
            | WaitReason::NotFound,
        ) => "it asks again at growing intervals, which helps only once the reason is fixed",
        Some(WaitReason::NoRules) => {
            "it asks again every minute, which helps only once there are rules"
        }
        Some(WaitReason::DiskFull) => "it goes on once there is room on the disk",
        _ => "it tries again by itself",
    }
}

/// The partitions that no server receives at this moment: a gap of all servers together is going on. Only where the
/// others' data comes in is that known.
fn by_nobody(found: &mut Found, picture: &Snapshot) {
    let Some(held) = &picture.held else { return };
    if !picture.merges() || picture.servers.len() < 2 {
        return;
    }
    let now = found.now;
    // since when, at least, nobody has had it: a leg that has just started has not had the time
    let since = |partition: &Partition| {
        let legs = picture.servers.iter().flat_map(|server| &server.legs);
        let legs = legs.filter(|of| of.leg.partition == Some(*partition));
        let last = |of: &LegState| of.last_line.max(of.link.started).max(of.link.since);
        legs.filter_map(last).max()
    };
    let lasts = |partition: &&Partition| {
        since(partition).is_none_or(|since| NO_POSTS_MS < now.0 - since.min(now).0)
    };
    let mut told = Vec::new();
    let mut partitions: Vec<Partition> = Vec::new();
    for (lacking, words) in [
        (&held.by_nobody, "no server is connected to"),
        (&held.unknown, "no server is known to be connected to"),
    ] {
        let lacking: Vec<Partition> = lacking.iter().filter(lasts).copied().collect();
        if !lacking.is_empty() {
            told.push(format!("{words} {}", Partition::words(&lacking)));
            partitions.extend(lacking);
        }
    }
    if told.is_empty() {
        return;
    }
    let their = if partitions.len() == 1 {
        "its"
    } else {
        "their"
    };
    let what = format!(
        "{}: {their} posts are being lost, unless a server can have them again later",
        told.join("; ")
    );
    found.push(AlarmKind::NoPosts, ALL_SERVERS, what);
    if let Some(alarm) = found.alarms.last_mut() {
        partitions.sort_unstable();
        alarm.partitions = partitions;
    }
}

/// Legs that are in one state for one reason, and what is true of each: it is said of the one that had a line last.
struct Alike<'a> {
    kind: AlarmKind,
    link: &'a Link,
    what: String,
    partitions: Vec<Partition>,
}

/// What is the matter with legs of this server: one alarm of each kind, whichever legs have it.
fn legs(found: &mut Found, server: &ServerState) {
    let mut legs: Vec<&LegState> = server.legs.iter().collect();
    legs.sort_by_key(|leg| std::cmp::Reverse(leg.last_line.max(leg.link.started)));
    let mut alike: Vec<Alike<'_>> = Vec::new();
    let reason = |link: &Link| (link.state, link.waits, link.cause);
    for leg in legs {
        let like = (server.legs.iter()).filter(|other| reason(&other.link) == reason(&leg.link));
        let link = Link {
            // until when each of them waits at most
            waits_until: like.filter_map(|other| other.link.waits_until).max(),
            ..leg.link.clone()
        };
        for (kind, what) in receiving(found.now, &link, leg.last_line) {
            let is_like =
                |of: &&mut Alike<'_>| of.kind == kind && reason(of.link) == reason(&leg.link);
            match alike.iter_mut().find(is_like) {
                Some(of) => of.partitions.extend(leg.leg.partition),
                None => alike.push(Alike {
                    kind,
                    link: &leg.link,
                    what,
                    partitions: leg.leg.partition.into_iter().collect(),
                }),
            }
        }
    }
    alike.sort_by_key(|of| of.kind);
    for of_kind in alike.chunk_by_mut(|a, b| a.kind == b.kind) {
        let told = of_kind.iter_mut().map(|of| {
            of.partitions.sort_unstable();
            let words = Partition::words(&of.partitions);
            let it = if of.partitions.len() == 1 {
                "it"
            } else {
                "each"
            };
            format!("{words}: {it} {}", of.what)
        });
        let told: Vec<String> = told.collect();
        let id = server.server.as_str();
        if let Some(of) = of_kind.first() {
            let what = format!("server {id}, {}", told.join("; "));
            found.push(of.kind, id, what);
        }
        if let Some(alarm) = found.alarms.last_mut() {
            let partitions = of_kind.iter().flat_map(|of| &of.partitions);
            alarm.partitions.extend(partitions);
            alarm.partitions.sort_unstable();
        }
    }
}

fn of_any_server(found: &mut Found, server: &ServerState) {
    let id = server.server.as_str();
    if 0 < server.aside {
        let what = format!(
            "server {id}: {} aside",
            plural(
                server.aside,
                "segment fails its check, is not merged and lies",
                "segments fail their check, are not merged and lie"
            )
        );
        found.push(AlarmKind::FailsCheck, id, what);
    }
    if let Some(offset) = server.link.clock_offset_ms
        && CLOCK_MS < offset.abs()
    {
        let what = format!(
            "the clock of server {id} is off by {} s",
            offset.abs() / 1_000
        );
        found.push(AlarmKind::Clock, id, what);
    }
}

/// Each watches the others through what is delivered and acknowledged.
fn silent(found: &mut Found, picture: &Snapshot) {
    let this = picture.servers.iter().find(|server| server.this);
    // a service that has just been started has heard of nobody
    let Some(started) = this.map_or(picture.begun, |this| this.link.started) else {
        return;
    };
    // what was seen to come in is certain; before that there are stamps, some of them of other clocks
    let is_silent = |news: Option<UtcMs>, stamp: Option<UtcMs>| {
        let last = news.or(stamp.map(|stamp| stamp.min(picture.now)));
        SILENT_MS < picture.now.0 - last.max(Some(started)).unwrap_or(started).0
    };
    if picture.merges() {
        for other in picture
            .servers
            .iter()
            .filter(|server| !server.this && server.until.is_none())
        {
            if is_silent(other.news, other.delivered_until) {
                let until = other.delivered_until.map_or_else(
                    || "nothing has ever arrived".to_owned(),
                    |until| format!("its last minute ended at {until}"),
                );
                let what = format!(
                    "server {} has delivered nothing for 15 minutes; {until}",
                    other.server
                );
                found.push(AlarmKind::OtherSilent, other.server.as_str(), what);
            }
        }
    } else if let Some(this) = this
        && 0 < this.sealed
        && is_silent(this.news, this.acknowledged_at.max(this.delivered_until))
    {
        if picture.delivers_to_store {
            let what = "nothing has been delivered to the object store for 15 minutes".to_owned();
            found.push(AlarmKind::OtherSilent, "object store", what);
        } else {
            let what = "the primary has acknowledged nothing for 15 minutes".to_owned();
            found.push(AlarmKind::OtherSilent, "primary", what);
        }
    }
}

fn disk(found: &mut Found, picture: &Snapshot) {
    let this = picture.servers.iter().find(|server| server.this);
    if this.is_some_and(|server| {
        server.link.waits == Some(WaitReason::DiskFull) && server.link.state != LinkState::Connected
    }) {
        let what = "the disk is full: collecting waits for room".to_owned();
        found.push(AlarmKind::Disk, "", what);
    } else if let Some(days) = picture.runway.as_ref().and_then(|runway| runway.days)
        && days < DISK_DAYS
    {
        let what = format!("the disk will be full in {days:.1} days at the pace of the last days");
        found.push(AlarmKind::Disk, "", what);
    }
}

fn archive(found: &mut Found, picture: &Snapshot, behind_since: Option<UtcMs>) {
    if let Some(low) = &picture.vault.low {
        let hour = low.hour.to_string();
        let what = format!(
            "{hour} has {} posts; the same hour in the last weeks had {}",
            low.posts, low.usual
        );
        found.push(AlarmKind::LowHour, &hour, what);
    }
    if let Some(change) = &picture.vault.window {
        let hour = change.hour.to_string();
        let what = format!(
            "the posts of {hour} come from the milliseconds {} of each second, those of {} from {}",
            change.window, change.hour_before, change.window_before
        );
        found.push(AlarmKind::SamplingWindow, &hour, what);
    }
    let seconds = u64::try_from(picture.vault.unknown_seconds).unwrap_or(0);
    if 0 < seconds {
        let what = format!(
            "{} missing without a cause",
            plural(
                seconds,
                "second of the last days is",
                "seconds of the last days are"
            )
        );
        found.push(AlarmKind::UnknownCause, "", what);
    }
    let Some(public) = &picture.published else {
        return;
    };
    if behind_since.is_some_and(|since| BEHIND_MS <= picture.now.0 - since.0) {
        let oldest = public
            .oldest_behind
            .map_or_else(String::new, |hour| format!(", the oldest is {hour}"));
        let hours = plural(public.behind, "committed hour is", "committed hours are");
        let what = format!("{hours} not public{oldest}");
        found.push(AlarmKind::PublishBehind, "", what);
    }
}

fn mail(found: &mut Found, picture: &Snapshot) {
    let is_old = |since: &UtcMs| MAIL_MS <= picture.now.0 - since.0;
    let what = if let Some(why) = &picture.mail_fault {
        format!("no mail can be sent: {why}")
    } else if let Some(since) = picture.mails_waiting_since.filter(is_old)
        && picture.mails
    {
        let why = picture.mails_waiting_why.as_deref();
        format!(
            "{} to be sent, the oldest since {since}: {}",
            plural(picture.mails_waiting, "mail waits", "mails wait"),
            why.unwrap_or("no attempt yet")
        )
    } else {
        return;
    };
    found.push(AlarmKind::MailStuck, "", what);
}

fn page(found: &mut Found, picture: &Snapshot) {
    if let Some(why) = &picture.page_fault {
        found.push(AlarmKind::NoPage, "", why.clone());
    }
}

/// What the stages said themselves, and those that fail without a word of their own.
fn stages(found: &mut Found, picture: &Snapshot) {
    for (stage, run) in &picture.stages {
        let name = stage.name();
        let lasts = FAILURES <= run.failures
            && run
                .failing_since
                .is_some_and(|since| FAILING_MS <= picture.now.0 - since.0);
        // what passes by itself is told when it lasts
        let raised = run
            .alarms
            .iter()
            .filter(|raised| raised.kind != AlarmKind::OsfUnreachable || lasts);
        let mut is_told = false;
        for raised in raised {
            is_told = true;
            let more = match raised.more {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            // what the disk shows by itself has been told better
            if !found.has(raised.kind, &raised.subject) {
                let what = format!("{name}: {}{more}", raised.what);
                found.push(raised.kind, &raised.subject, what);
            }
        }
        if lasts && !is_told {
            let said = run.said.as_deref().unwrap_or("without a word");
            let what = format!("{name} has failed {} times in a row: {said}", run.failures);
            found.push(AlarmKind::StageFailing, name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::sha256::Sha256;
    use crate::{
        monitor::{
            facts::{Away, Facts, ServerFacts},
            link::Link,
            metrics, plain_text,
            snapshot::{self, Held, Runway, Settled},
        },
        schedule::{
            record::{Raised, StageRun},
            stage::Stage,
        },
        segment::rules::KnownRules,
    };

    const BEGIN: UtcMs = UtcMs(1_795_442_400_000);

    fn after(s: i64) -> UtcMs {
        BEGIN.plus_ms(1_000 * s)
    }

    /// Two servers that are well, `s` seconds after the begin.
    fn well(this: &str, s: i64) -> Snapshot {
        let facts = ServerFacts {
            sealed: 1,
            last_line: Some(after(s)),
            sealed_until: Some(after(s)),
            link: Link {
                state: LinkState::Connected,
                told: Some(after(s.min(89_000))),
                started: Some(BEGIN),
                ..Link::default()
            },
            ..ServerFacts::default()
        };
        let mut secondary = facts.clone();
        secondary.acknowledged = (this == "2").then(|| (after(s).minute(), after(s)));
        let facts = Facts {
            servers: [
                ("1".parse().unwrap(), facts),
                ("2".parse().unwrap(), secondary),
            ]
            .into(),
            ..Facts::default()
        };
        let settled = Settled {
            this: Some(this.parse().unwrap()),
            role: Some(if this == "1" {
                Role::Primary
            } else {
                Role::Secondary
            }),
            ids_max: Some(100),
            ..snapshot::tests::settled()
        };
        let mut picture = snapshot::of(&facts, &settled, after(s));
        picture.free_bytes = 1 << 40;
        picture
    }

    /// A server of the filtered stream, whose last post is an hour old.
    fn filtered(change: impl FnOnce(&mut Link)) -> Snapshot {
        let mut picture = well("1", 7_200);
        picture.has_rules = true;
        picture.servers.truncate(1);
        let server = &mut picture.servers[0];
        server.last_line = Some(after(3_600));
        let hash = Sha256::of(b"ab");
        server.link.rules = Some(KnownRules {
            at: after(7_100),
            sha256: hash,
            configured: hash,
        });
        change(&mut server.link);
        picture
    }

    #[test]
    fn what_rules_choose_is_well_without_a_post_while_the_rules_are_those_of_the_configuration() {
        let well = filtered(|_| ());
        check(&well, &[]);
        assert_eq!(not_storing(&well), None);
        let away = filtered(|link| link.state = LinkState::Disconnected);
        check(&away, &["no_posts 1"]);
        assert!(not_storing(&away).is_some());
        let others = |link: &mut Link| {
            if let Some(told) = &mut link.rules {
                told.configured = Sha256::of(b"cd");
            }
        };
        check(&filtered(others), &["rules 1"]);
        let unknown =
            |s| move |link: &mut Link| link.rules_unknown = Some((after(s), "503".to_owned()));
        check(&filtered(unknown(7_000)), &[]);
        check(&filtered(unknown(6_200)), &["rules 1"]);
        let none = filtered(|link| {
            (link.state, link.waits) = (LinkState::Disconnected, Some(WaitReason::NoRules));
            link.rules = None;
        });
        check(&none, &["rules 1", "no_posts 1"]);
    }

    #[test]
    fn who_requests_other_collections_than_are_configured_here_is_named() {
        let list = |names: &[&str]| -> Collections {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.into()
        };
        let picture = |of_2: &[&str], state| {
            let mut picture = well("1", 7_200);
            picture.collections = Some(list(&["a.b.c", "a.b.d"]));
            for server in &mut picture.servers {
                server.link.collections = Some(list(&["a.b.d", "a.b.c"]));
            }
            let link = &mut picture.servers[1].link;
            (link.collections, link.state) = (Some(list(of_2)), state);
            picture
        };
        check(&picture(&["a.b.c", "a.b.d"], LinkState::Connected), &[]);
        check(
            &picture(&["a.b.c"], LinkState::Connected),
            &["collections 2"],
        );
        let found = states(&picture(&[], LinkState::Connected), Some(BEGIN));
        let what = "server 2 requests all collections; the configuration here has a.b.c, a.b.d";
        assert_eq!(found[0].what, what);
        // what it does now is not known
        check(&picture(&["a.b.c"], LinkState::Stopped), &[]);
    }

    #[track_caller]
    fn check(picture: &Snapshot, expected: &[&str]) {
        let found = states(picture, Some(BEGIN));
        let names: Vec<String> = found
            .iter()
            .map(|alarm| format!("{} {}", alarm.kind.word(), alarm.subject))
            .collect();
        assert_eq!(names, expected);
        for alarm in found {
            assert!(!alarm.what.is_empty() && !alarm.todo.is_empty());
        }
    }

    fn of<'a>(picture: &'a mut Snapshot, id: &str) -> &'a mut ServerState {
        picture
            .servers
            .iter_mut()
            .find(|server| server.server.as_str() == id)
            .unwrap()
    }

    /// A server that has ended stores nothing, however lately it did; one that has just lost its connection may be back at once.
    #[test]
    fn a_server_stores_posts_while_they_come_and_its_collector_runs() {
        use LinkState::{Connected, Died, Disconnected, Stopped};
        for (state, ago_s, is_storing) in [
            (Connected, 60, true),
            (Connected, 61, false),
            (Disconnected, 60, true),
            (Disconnected, 61, false),
            (Stopped, 0, false),
            (Died, 0, false),
        ] {
            let mut picture = well("1", 5_000);
            let server = of(&mut picture, "1");
            server.link.state = state;
            server.last_line = Some(after(5_000 - ago_s));
            let why = not_storing(&picture);
            assert_eq!(why.is_none(), is_storing, "{state:?} {ago_s}: {why:?}");
        }
        let mut picture = well("1", 5_000);
        of(&mut picture, "1").last_line = None;
        assert!(not_storing(&picture).unwrap().contains("none has been"));
    }

    #[test]
    fn legs_that_have_the_same_trouble_are_one_alarm() {
        let mut p = well("1", 5_000);
        let server = of(&mut p, "1");
        let link = server.link.clone();
        let leg = |number: u8, ago_s: i64| LegState {
            leg: format!("1.{number:02}").parse().unwrap(),
            link: link.clone(),
            last_line: Some(after(5_000 - ago_s)),
        };
        server.legs = (1..=20).map(|number| leg(number, number.into())).collect();
        check(&p, &[]);
        let mut said = Said::default();
        let mut silent = |first: usize, state, waits| {
            for leg in &mut of(&mut p, "1").legs[first..] {
                leg.last_line = Some(after(4_900));
                (leg.link.state, leg.link.waits) = (state, waits);
            }
            judge(&p, &mut said)
        };
        let begun = silent(12, LinkState::Connected, None);
        let [AlarmChange::Begun(alarm)] = &begun[..] else {
            panic!("{begun:?}");
        };
        let what = "server 1, partitions 13-20: each is connected but has stored no post for 100 s";
        assert_eq!((&*alarm.what, &*alarm.subject), (what, "1"));
        // the others have it a little later: that is said when it has lasted
        assert_eq!(silent(0, LinkState::Connected, None), []);
        let mut later = |seconds: i64, first: usize, state, waits| {
            p.now = after(5_000 + seconds);
            for leg in &mut of(&mut p, "1").legs[first..] {
                (leg.link.state, leg.link.waits) = (state, waits);
            }
            let changes = judge(&p, &mut said);
            let begun = changes.into_iter().map(|change| match change {
                AlarmChange::Begun(alarm) => alarm.what,
                AlarmChange::Ended(..) => panic!("nothing ended"),
            });
            begun.collect::<Vec<_>>()
        };
        let connected = (LinkState::Connected, None);
        assert_eq!(later(119, 0, connected.0, connected.1), [""; 0]);
        let all = later(120, 0, connected.0, connected.1);
        assert!(
            all[0].contains("partitions 1-20: each is connected") && all.len() == 1,
            "{all:?}"
        );
        assert_eq!(later(500, 0, connected.0, connected.1), [""; 0], "once");
        // what is said of some is not said of others
        let refused = later(
            501,
            0,
            LinkState::Disconnected,
            Some(WaitReason::Unauthorized),
        );
        assert!(
            refused[0].contains("partitions 1-20: each is refused"),
            "{refused:?}"
        );
        later(502, 7, LinkState::Disconnected, Some(WaitReason::UsageCap));
        let found = states(&p, None);
        let found = found.iter().find(|alarm| alarm.kind == AlarmKind::Refused);
        let what = &found.unwrap().what;
        assert!(
            what.contains("partitions 1-7: each is refused by the API (unauthorized)"),
            "{what}"
        );
        assert!(
            what.contains("; partitions 8-20: each is refused by the API (usage_cap)"),
            "{what}"
        );
    }

    #[test]
    fn a_partition_that_nobody_has_is_an_alarm_of_all_servers() {
        let mut p = well("1", 5_000);
        p.held = Some(Held::default());
        let link = of(&mut p, "1").link.clone();
        let leg = |name: &str| LegState {
            leg: name.parse().unwrap(),
            link: link.clone(),
            last_line: Some(after(5_000)),
        };
        of(&mut p, "1").legs = vec![leg("1.01"), leg("1.02")];
        of(&mut p, "2").legs = vec![leg("2.01"), leg("2.02")];
        check(&p, &[]);
        let down = |p: &mut Snapshot, id: &str, state, last: i64| {
            let leg = &mut of(p, id).legs[1];
            (leg.link.state, leg.link.since) = (state, Some(after(last)));
            leg.last_line = Some(after(last));
        };
        let second = Partition::new(2).unwrap();
        down(&mut p, "1", LinkState::Disconnected, 4_900);
        check(&p, &["no_posts 1"]);
        // the other one has lost it, too, but only a minute ago
        down(&mut p, "2", LinkState::Disconnected, 4_940);
        p.held.as_mut().unwrap().by_nobody = vec![second];
        check(&p, &["no_posts 1"]);
        down(&mut p, "2", LinkState::Disconnected, 4_939);
        check(&p, &["no_posts 1", "no_posts all servers"]);
        let alarm = states(&p, None).remove(1);
        let words = "no server is connected to partition 2: its posts are being lost";
        assert!(alarm.what.starts_with(words), "{}", alarm.what);
        assert_eq!(alarm.partitions, [second]);
        // of the other one nothing is heard
        p.held = Some(Held {
            unknown: vec![second],
            ..Held::default()
        });
        let alarm = states(&p, None).remove(1);
        let words = "no server is known to be connected to partition 2";
        assert!(alarm.what.starts_with(words), "{}", alarm.what);
        // a secondary does not know what the others have
        p.role = Some(Role::Secondary);
        let names = states(&p, None);
        assert!(!names.iter().any(|alarm| alarm.subject == "all servers"));
    }

    #[test]
    fn an_alarm_says_what_a_server_without_posts_does_by_itself() {
        let what = |state, waits| {
            let mut p = well("1", 5_000);
            of(&mut p, "1").last_line = Some(after(4_000));
            (of(&mut p, "1").link.state, of(&mut p, "1").link.waits) = (state, waits);
            states(&p, None).remove(0).what
        };
        let away = LinkState::Disconnected;
        for waits in [None, Some(WaitReason::Network), Some(WaitReason::RateLimit)] {
            assert!(what(away, waits).ends_with("it tries again by itself"));
        }
        for waits in [
            WaitReason::Unauthorized,
            WaitReason::NoRules,
            WaitReason::DiskFull,
        ] {
            let what = what(away, Some(waits));
            assert!(
                !what.contains("by itself") && what.contains(" once "),
                "{what}"
            );
        }
        assert!(!what(LinkState::Died, None).contains("again"));
        assert!(!what(LinkState::Connected, None).contains("again"));
        assert!(!AlarmKind::NoPosts.todo().contains("reconnects by itself"));
    }

    #[test]
    fn each_place_that_is_away_is_told_by_its_word() {
        let mut p = well("1", 5_000);
        p.away = vec![Away {
            place: "vault",
            what: "the vault is away".to_owned(),
        }];
        check(&p, &["place_away vault"]);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one state after another")]
    fn each_state_is_seen() {
        check(&well("1", 5_000), &[]);
        check(&well("2", 5_000), &[]);
        let mut p = well("1", 5_000);
        of(&mut p, "1").last_line = Some(after(4_939));
        check(&p, &["no_posts 1"]);
        of(&mut p, "1").link.state = LinkState::Disconnected;
        of(&mut p, "1").link.waits = Some(WaitReason::Unauthorized);
        check(&p, &["no_posts 1", "refused 1"]);
        // whatever row of waits it is by then
        of(&mut p, "1").link.waits = Some(WaitReason::Budget);
        of(&mut p, "1").link.why = Some("HTTP 400: Invalid Request".to_owned());
        of(&mut p, "1").link.waits_until = Some("2026-11-23T14:20:00.001Z".parse().unwrap());
        let words = "it waits until 14:21Z, when the platform allows more requests";
        let said = states(&p, None).remove(0).what;
        assert!(said.ends_with(words) && !said.contains("400"), "{said}");
        let said = not_storing(&p).unwrap();
        assert!(said.contains(words), "{said}");
        of(&mut p, "1").link.cause = Some(EndCause::NotTheApi);
        check(&p, &["no_posts 1", "not_the_api 1"]);
        of(&mut p, "1").link.cause = Some(EndCause::Disk);
        of(&mut p, "1").link.waits = Some(WaitReason::DiskFull);
        check(&p, &["no_posts 1", "disk "]);
        let mut p = well("1", 5_000);
        of(&mut p, "2").delivered_until = Some(after(4_000));
        check(&p, &["other_silent 2"]);
        of(&mut p, "2").until = Some("2026-11-01".parse().unwrap());
        check(&p, &[]);
        of(&mut p, "2").aside = 2;
        of(&mut p, "1").link.clock_offset_ms = Some(-5_001);
        check(&p, &["clock 1", "fails_check 2"]);
        let mut p = well("2", 5_000);
        of(&mut p, "2").acknowledged_at = Some(after(4_000));
        of(&mut p, "2").delivered_until = Some(after(4_000));
        check(&p, &["other_silent primary"]);
        p.delivers_to_store = true;
        check(&p, &["other_silent object store"]);
        let mut p = well("1", 5_000);
        p.runway = Some(Runway {
            bytes_per_day: 1,
            days: Some(2.9),
        });
        p.vault.unknown_seconds = 1;
        p.vault.low = Some(snapshot::Low {
            hour: "2026-11-23_14".parse().unwrap(),
            posts: 1,
            usual: 9,
        });
        p.vault.window = Some(snapshot::WindowChange {
            hour: "2026-11-23_14".parse().unwrap(),
            window: "700-709".to_owned(),
            hour_before: "2026-11-23_13".parse().unwrap(),
            window_before: "657-666".to_owned(),
        });
        let expected = [
            "disk ",
            "low_hour 2026-11-23_14",
            "sampling_window 2026-11-23_14",
            "unknown_cause ",
        ];
        check(&p, &expected);
        let mut p = well("1", 11_000);
        let public = p.published.as_mut().unwrap();
        public.behind = 3;
        let raised = |kind| Raised {
            kind,
            subject: String::new(),
            what: "2026-11-23_14: it may not".to_owned(),
            more: 1,
        };
        let mut run = StageRun::begun(after(10_990));
        run.alarms = [
            AlarmKind::IdCap,
            AlarmKind::OsfToken,
            AlarmKind::OsfUnreachable,
        ]
        .map(raised)
        .into();
        p.stages.insert(Stage::Publish, run.clone());
        check(&p, &["publish_behind ", "id_cap ", "osf_token "]);
        // what passes by itself is told when it lasts, and what has words of its own is told by them
        (run.failures, run.failing_since) = (9, Some(BEGIN));
        run.alarms.remove(0);
        p.stages.insert(Stage::Publish, run.clone());
        check(&p, &["publish_behind ", "osf_token ", "osf_unreachable "]);
        run.alarms.clear();
        p.stages.insert(Stage::Publish, run);
        check(&p, &["publish_behind ", "stage_failing publish"]);
    }

    #[test]
    fn what_is_wrong_beside_collecting_is_seen() {
        let mut p = well("1", 5_000);
        of(&mut p, "1").left_open = 1;
        // of others it is what is under way
        of(&mut p, "2").left_open = 1;
        check(&p, &["not_recovered 1"]);
        of(&mut p, "1").link.waits = Some(WaitReason::DiskFull);
        check(&p, &[]);
        let mut p = well("1", 5_000);
        p.page_fault = Some("its port is taken".to_owned());
        p.mails_waiting_since = Some(after(4_100));
        // without [mail] nobody is to send it
        check(&p, &["no_page "]);
        p.mails = true;
        check(&p, &["mail_stuck ", "no_page "]);
        p.mails_waiting_since = Some(after(4_101));
        check(&p, &["no_page "]);
        p.mail_fault = Some("no password".to_owned());
        check(&p, &["mail_stuck ", "no_page "]);
    }

    #[test]
    fn of_a_vault_only_those_tell_that_have_one() {
        let tells = |this: &str| plain_text::of(&well(this, 5_000)).contains("\nvault ");
        assert!(tells("1") && !tells("2"));
    }

    #[test]
    fn list_table_and_metrics_have_the_same_words() {
        let documents = include_str!("../../docs/operations.md");
        let rows: Vec<&str> = documents
            .lines()
            .skip_while(|line| *line != "| kind | it means | what to do |")
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let kinds = AlarmKind::ALL.iter();
        let expected: Vec<String> = kinds
            .map(|kind| {
                let (word, means, todo) = (kind.word(), kind.means(), kind.todo());
                assert_eq!(serde_json::to_value(kind).unwrap(), word);
                assert_eq!(AlarmKind::of_word(word), Some(*kind));
                format!("| `{word}` | {means} | {todo} |")
            })
            .collect();
        assert_eq!(rows, expected);
        let metrics = metrics::of(&well("1", 5_000)).unwrap();
        let shown: Vec<&str> = metrics
            .lines()
            .filter_map(|line| {
                line.strip_prefix("twinstream_alarms{kind=\"")?
                    .split('"')
                    .next()
            })
            .collect();
        let words: Vec<&str> = AlarmKind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(shown, words);
    }

    #[test]
    fn what_a_stage_raises_is_an_alarm_unless_the_disk_shows_it() {
        let mut p = well("1", 5_000);
        let mut run = StageRun::begun(after(4_990));
        let raised = |kind, subject: &str| Raised {
            kind,
            subject: subject.to_owned(),
            what: "it is so".to_owned(),
            more: 0,
        };
        run.alarms = vec![
            raised(AlarmKind::FailsCheck, "2"),
            raised(AlarmKind::HourNotMerged, ""),
        ];
        p.stages.insert(Stage::Merge, run);
        check(&p, &["fails_check 2", "hour_not_merged "]);
        of(&mut p, "2").aside = 1;
        check(&p, &["fails_check 2", "hour_not_merged "]);
        let found = states(&p, None);
        assert!(found[0].what.starts_with("server 2: 1 segment"));
    }

    #[test]
    fn a_service_that_begins_after_an_outage_has_a_minute_for_its_first_post() {
        let mut picture = well("1", 0);
        picture.now = after(500);
        check(&picture, &["no_posts 1"]);
        picture.seen_by_service_of(after(490));
        check(&picture, &[]);
        picture.now = after(551);
        check(&picture, &["no_posts 1"]);
    }

    #[test]
    fn posts_are_stored_when_one_has_just_been() {
        let mut p = well("1", 5_000);
        assert_eq!(not_storing(&p), None);
        of(&mut p, "1").link.state = LinkState::Stopped;
        assert!(not_storing(&p).unwrap().starts_with("collecting has ended"));
        of(&mut p, "1").link.state = LinkState::Connected;
        of(&mut p, "1").last_line = Some(after(4_939));
        assert!(
            not_storing(&p)
                .unwrap()
                .starts_with("connected, but nothing comes")
        );
        // nothing has ever come
        of(&mut p, "1").last_line = None;
        of(&mut p, "1").link.started = None;
        assert!(
            not_storing(&p)
                .unwrap()
                .ends_with("none has been received yet")
        );
    }

    #[test]
    fn a_stage_that_fails_on_and_on_is_an_alarm() {
        let mut p = well("1", 5_000);
        let mut run = StageRun::begun(after(4_990));
        (run.ended, run.exit, run.failures) = (Some(after(4_991)), Some(1), 3);
        run.failing_since = Some(after(4_200));
        p.stages.insert(Stage::Merge, run.clone());
        check(&p, &[]);
        run.failing_since = Some(after(4_100));
        p.stages.insert(Stage::Merge, run);
        check(&p, &["stage_failing merge"]);
    }

    #[test]
    fn what_begins_is_said_once_and_what_ends_is_said_once() {
        let mut said = Said::default();
        let bad = |s: i64| {
            let mut p = well("1", s);
            of(&mut p, "1").last_line = Some(after(s - 61));
            p
        };
        assert_eq!(judge(&well("1", 100), &mut said), []);
        let begun = judge(&bad(200), &mut said);
        assert!(
            matches!(&begun[..], [AlarmChange::Begun(alarm)] if alarm.kind == AlarmKind::NoPosts)
        );
        assert_eq!(judge(&bad(205), &mut said), []);
        // a moment of luck is no end
        assert_eq!(judge(&well("1", 210), &mut said), []);
        assert_eq!(judge(&bad(300), &mut said), []);
        assert_eq!(judge(&well("1", 310), &mut said), []);
        assert_eq!(judge(&well("1", 429), &mut said), []);
        let ended = judge(&well("1", 430), &mut said);
        let [AlarmChange::Ended(alarm, at)] = &ended[..] else {
            panic!("{ended:?}");
        };
        assert_eq!((alarm.since, *at), (after(200), after(310)));
        assert_eq!(said.open, []);
    }

    #[test]
    fn publishing_is_behind_when_something_has_waited_for_hours() {
        let mut said = Said::default();
        let behind = |s: i64, count: u64| {
            let mut p = well("1", s);
            p.published.as_mut().unwrap().behind = count;
            p
        };
        assert_eq!(judge(&behind(0, 1), &mut said), []);
        assert_eq!(judge(&behind(5_000, 0), &mut said), []);
        assert_eq!(judge(&behind(6_000, 1), &mut said), []);
        assert_eq!(judge(&behind(11_000, 1), &mut said), []);
        assert_eq!(judge(&behind(16_800, 1), &mut said).len(), 1);
    }

    #[test]
    fn publishing_that_is_behind_since_the_future_is_behind_since_now() {
        let behind = |s: i64| {
            let mut p = well("1", s);
            p.published.as_mut().unwrap().behind = 1;
            p
        };
        let mut said = Said {
            behind_since: Some(after(90_000)),
            ..Said::default()
        };
        assert_eq!(judge(&behind(5_000), &mut said), []);
        assert_eq!(judge(&behind(5_000 + 10_799), &mut said), []);
        assert_eq!(judge(&behind(5_000 + 10_800), &mut said).len(), 1);
    }

    #[test]
    fn a_state_begins_once_for_each_whom_it_concerns_whatever_its_words() {
        let mut said = Said::default();
        let aside = |s: i64, counts: [u64; 2]| {
            let mut p = well("1", s);
            for (id, count) in ["1", "2"].into_iter().zip(counts) {
                of(&mut p, id).aside = count;
            }
            p
        };
        assert_eq!(judge(&aside(0, [1, 0]), &mut said).len(), 1);
        assert_eq!(judge(&aside(5, [2, 0]), &mut said), [], "in other words");
        let begun = judge(&aside(10, [2, 1]), &mut said);
        assert!(
            matches!(&begun[..], [AlarmChange::Begun(alarm)] if alarm.subject == "2"),
            "{begun:?}"
        );
        assert!(
            said.open[0].alarm.what.contains('2'),
            "the words are those of now"
        );
        // one of them ends, and the other goes on
        assert_eq!(judge(&aside(20, [0, 1]), &mut said), []);
        let ended = judge(&aside(140, [0, 1]), &mut said);
        assert!(
            matches!(&ended[..], [AlarmChange::Ended(alarm, _)] if alarm.subject == "1"),
            "{ended:?}"
        );
    }

    #[test]
    fn without_a_service_the_states_of_now_are_told_and_not_those_of_its_end() {
        let mut said = Said::default();
        let mut p = well("1", 5_000);
        of(&mut p, "2").aside = 1;
        judge(&p, &mut said);
        assert_eq!(now(&well("1", 90_000), &said), [], "it is over");
        let mut p = well("1", 90_000);
        of(&mut p, "2").aside = 3;
        of(&mut p, "1").last_line = Some(after(89_000));
        of(&mut p, "1").link = of(&mut p, "1").link.not_running();
        let found = now(&p, &said);
        let told: Vec<(&str, UtcMs)> = found.iter().map(|of| (&*of.what, of.since)).collect();
        let [(silent, of_now), (aside, of_then)] = told[..] else {
            panic!("{told:?}");
        };
        assert!(
            silent.ends_with("no post for 16 min: the collector ended without recording it"),
            "{silent}"
        );
        assert!(aside.contains("3 segments"), "{aside}");
        assert_eq!((of_now, of_then), (after(90_000), after(5_000)));
        p.alarms = found;
        let shown = plain_text::of(&p);
        assert!(
            shown.contains("1 (here)  not running for 16 min")
                && shown.contains("nobody is told of them"),
            "{shown}"
        );
    }

    #[test]
    fn a_secondary_with_nothing_to_send_hears_nothing() {
        let mut p = well("2", 5_000);
        of(&mut p, "2").acknowledged_at = Some(after(1_000));
        of(&mut p, "2").delivered_until = Some(after(1_000));
        check(&p, &["other_silent primary"]);
        of(&mut p, "2").sealed = 0;
        check(&p, &[]);
    }

    /// Whoever has just begun to look has heard of nobody; and what was seen to come in is certain, whatever it is stamped with.
    #[test]
    fn the_other_is_silent_when_nothing_has_come_in_for_a_quarter_of_an_hour() {
        let silent = |now: i64, started: i64, news: Option<i64>, stamp: i64| {
            let mut p = well("1", now);
            of(&mut p, "1").link.started = Some(after(started));
            of(&mut p, "2").news = news.map(after);
            of(&mut p, "2").delivered_until = Some(after(stamp));
            states(&p, None)
                .iter()
                .any(|alarm| alarm.kind == AlarmKind::OtherSilent)
        };
        for (now, started, news, stamp, expected) in [
            (5_000, 0, None, 4_100, false),
            (5_000, 0, None, 4_099, true),
            // this one was off itself
            (5_000, 4_100, None, 1_000, false),
            (5_000, 4_099, None, 1_000, true),
            // its clock is late, or was ahead
            (5_000, 0, Some(4_100), 1_000, false),
            (5_000, 0, Some(4_099), 5_000, true),
            (5_000, 0, Some(4_099), 90_000, true),
            (5_000, 0, None, 90_000, false),
        ] {
            assert_eq!(
                silent(now, started, news, stamp),
                expected,
                "{now} {started} {news:?} {stamp}"
            );
        }
    }

    /// What was the matter before a stream came up is not the matter any more, and who was stopped is not missed.
    #[test]
    fn a_stream_that_is_up_has_none_of_the_troubles_before_it() {
        for waits in [
            WaitReason::DiskFull,
            WaitReason::NoRules,
            WaitReason::Unauthorized,
            WaitReason::UsageCap,
            WaitReason::BadRequest,
            WaitReason::NotFound,
            WaitReason::Budget,
        ] {
            let mut p = well("1", 5_000);
            p.has_rules = true;
            let link = &mut of(&mut p, "1").link;
            (link.waits, link.cause) = (Some(waits), Some(EndCause::NotTheApi));
            check(&p, &[]);
            of(&mut p, "1").link.state = LinkState::Disconnected;
            assert!(!states(&p, None).is_empty(), "{waits}");
        }
        let mut p = well("1", 5_000);
        of(&mut p, "1").last_line = Some(after(1_000));
        of(&mut p, "1").link.state = LinkState::Stopped;
        check(&p, &[]);
        // a machine that only merges has nothing to store
        p.role = Some(Role::Merger);
        assert_eq!(not_storing(&p), None);
        p.role = Some(Role::Secondary);
        assert!(not_storing(&p).is_some());
    }
}
