//! Which states a person has to do something about, when each begins and when it ends. Pure: the
//! picture and what was said before go in, what is to be said comes out.

use serde::{Deserialize, Serialize};

use super::{
    link::State,
    snapshot::{Server, Snapshot},
};
use crate::{period::UtcMs, segment::event::Why, supervise::plan::Stage, text::plural};

/// Without posts for so long nobody believes that it is chance: there are dozens a second.
pub const NO_POSTS_MS: i64 = 60_000;
/// Deliveries come every minute.
const SILENT_MS: i64 = 15 * 60_000;
/// What a person needs to find another disk.
const DISK_DAYS: f64 = 3.0;
/// What is committed is published within minutes.
const BEHIND_MS: i64 = 3 * 3_600_000;
/// A clock that is kept by NTP is off by milliseconds.
pub const CLOCK_MS: i64 = 5_000;
/// A stage that has failed so often in a row, and for so long, does not mend itself.
const FAILURES: u32 = 3;
const FAILING_MS: i64 = 15 * 60_000;
/// A state that was over for less than this has not ended, so that flapping does not write mails.
const OVER_MS: i64 = 2 * 60_000;

/// The closed list of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// This server stores no posts.
    NoPosts,
    /// The API refuses this server for a reason that waiting does not cure.
    Refused,
    /// The disk is full, or will be soon.
    Disk,
    /// Another server gives no sign of life.
    OtherSilent,
    /// Files fail their check and lie aside.
    FailsCheck,
    /// An hour has far fewer posts than usual.
    LowHour,
    /// Committed hours are not public.
    PublishBehind,
    /// More ids may not be published.
    IdCap,
    /// Something cannot be published for a reason that waiting does not cure.
    PublishStuck,
    /// A server's clock is off.
    Clock,
    /// A stage fails again and again.
    StageFailing,
    /// A stage could not use everything.
    Incomplete,
    /// Seconds are missing without a cause.
    UnknownCause,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NoPosts,
        Self::Refused,
        Self::Disk,
        Self::OtherSilent,
        Self::FailsCheck,
        Self::LowHour,
        Self::PublishBehind,
        Self::IdCap,
        Self::PublishStuck,
        Self::Clock,
        Self::StageFailing,
        Self::Incomplete,
        Self::UnknownCause,
    ];

    /// Its name in metrics, mails and the documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPosts => "no_posts",
            Self::Refused => "refused",
            Self::Disk => "disk",
            Self::OtherSilent => "other_silent",
            Self::FailsCheck => "fails_check",
            Self::LowHour => "low_hour",
            Self::PublishBehind => "publish_behind",
            Self::IdCap => "id_cap",
            Self::PublishStuck => "publish_stuck",
            Self::Clock => "clock",
            Self::StageFailing => "stage_failing",
            Self::Incomplete => "incomplete",
            Self::UnknownCause => "unknown_cause",
        }
    }
}

/// A state that somebody has to do something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Which.
    pub kind: Kind,
    /// Whom it concerns: a server, an hour, a stage; empty if that is clear.
    pub subject: String,
    /// Since when.
    pub since: UtcMs,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub todo: String,
}

/// A state that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// It.
    pub alarm: Alarm,
    /// Since when it is not so any more; it ends when that has lasted.
    pub over_since: Option<UtcMs>,
}

/// What has been said, and what has to be remembered to say the next thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The states that have begun and not ended.
    pub open: Vec<Open>,
    /// Since when something that is committed is not public.
    #[serde(default)]
    pub behind_since: Option<UtcMs>,
    /// Since when the collector has been running of which it was said that it runs, and not yet
    /// that it ended.
    #[serde(default)]
    pub collecting_since: Option<UtcMs>,
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A state has begun.
    Begun(Alarm),
    /// It has ended, at that time.
    Ended(Alarm, UtcMs),
}

/// Takes the next picture; `said` moves on.
pub fn judge(picture: &Snapshot, said: &mut Said) -> Vec<Change> {
    let now = picture.now;
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
            open.over_since = None;
            // the words tell of now, its begin stays
            open.alarm.what.clone_from(&alarm.what);
            open.alarm.todo.clone_from(&alarm.todo);
        } else {
            said.open.push(Open {
                alarm: alarm.clone(),
                over_since: None,
            });
            changes.push(Change::Begun(alarm.clone()));
        }
    }
    said.open.retain_mut(|open| {
        if found.iter().any(|alarm| is_same(&open.alarm, alarm)) {
            return true;
        }
        let over_since = *open.over_since.get_or_insert(now);
        let has_ended = OVER_MS <= now.0 - over_since.0;
        if has_ended {
            changes.push(Change::Ended(open.alarm.clone(), over_since));
        }
        !has_ended
    });
    changes
}

fn is_same(a: &Alarm, b: &Alarm) -> bool {
    (a.kind, &a.subject) == (b.kind, &b.subject)
}

/// Every state that holds at this moment.
pub fn states(picture: &Snapshot, behind_since: Option<UtcMs>) -> Vec<Alarm> {
    let mut found = Found {
        now: picture.now,
        alarms: Vec::new(),
    };
    for server in &picture.servers {
        if server.this {
            collecting(&mut found, server);
        }
        of_any_server(&mut found, server);
    }
    silent(&mut found, picture);
    disk(&mut found, picture);
    archive(&mut found, picture, behind_since);
    stages(&mut found, picture);
    found.alarms
}

struct Found {
    now: UtcMs,
    alarms: Vec<Alarm>,
}

impl Found {
    fn push(&mut self, kind: Kind, subject: &str, what: String, todo: &str) {
        self.alarms.push(Alarm {
            kind,
            subject: subject.to_owned(),
            since: self.now,
            what,
            todo: todo.to_owned(),
        });
    }
}

/// Why this server stores no posts now, if it does not.
pub fn not_storing(picture: &Snapshot) -> Option<String> {
    let Some(server) = picture.servers.iter().find(|server| server.this) else {
        return Some("this machine is none of the servers".to_owned());
    };
    let link = &server.link;
    let is_recent = |last: UtcMs| picture.now.0 - last.0 <= NO_POSTS_MS;
    if server.last_line.is_some_and(is_recent) && link.state != State::Stopped {
        return None;
    }
    let since = server.last_line.map_or_else(
        || "none has come yet".to_owned(),
        |last| format!("the last one came at {last}"),
    );
    let why = match (link.state, &link.waits, &link.why) {
        (State::Connected, ..) => "connected, but nothing comes".to_owned(),
        (State::Stopped, ..) => "collecting has ended".to_owned(),
        (_, Some(waits), why) => {
            let why = why.as_deref().unwrap_or("no answer");
            format!("{why} (waiting: {})", waits.word().replace('_', " "))
        }
        (_, None, Some(why)) => why.clone(),
        (_, None, None) => "not connected".to_owned(),
    };
    Some(format!("{why}; {since}"))
}

fn collecting(found: &mut Found, server: &Server) {
    let link = &server.link;
    let last = server.last_line.max(link.started);
    let is_quiet = last.is_some_and(|last| NO_POSTS_MS < found.now.0 - last.0);
    if is_quiet && link.state != State::Stopped {
        let seconds = last.map_or(0, |last| (found.now.0 - last.0) / 1_000);
        let how = match link.state {
            State::Connected => "though it is connected".to_owned(),
            _ => format!(
                "the connection: {}",
                link.why.as_deref().unwrap_or("there is none")
            ),
        };
        let what = format!(
            "server {} has stored no post for {seconds} s; {how}",
            server.server
        );
        let todo = "Look at the log and at the network. It reconnects by itself; if the other server gets posts, \
                    nothing is lost. If neither does, see the platform's status page";
        found.push(Kind::NoPosts, server.server.as_str(), what, todo);
    }
    if link.state == State::Connected {
        return;
    }
    let todo = match link.waits {
        Some(Why::UsageCap) => {
            "The paid volume is used up: raise the cap or wait for the next period"
        }
        Some(Why::Unauthorized) => {
            "Check the bearer token (x.bearer_token_file) and the app's access in the developer console"
        }
        Some(Why::BadRequest | Why::NotFound) => {
            "Check x.base_url, and whether a newer version of the program is there"
        }
        _ => return,
    };
    let why = link.why.as_deref().unwrap_or("without a word");
    let what = format!(
        "the API refuses server {}: {why}; it is asked again, ever less often",
        server.server
    );
    found.push(Kind::Refused, server.server.as_str(), what, todo);
}

fn of_any_server(found: &mut Found, server: &Server) {
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
        let todo = "Compare each with the copy on the server that sent it (<spool>/<server>/aside*), put the good copy in \
                    its place or accept the loss, then move the bad one out of the folder";
        found.push(Kind::FailsCheck, id, what, todo);
    }
    if let Some(offset) = server.link.clock_offset_ms
        && CLOCK_MS < offset.abs()
    {
        let what = format!(
            "the clock of server {id} is off by {} s",
            offset.abs() / 1_000
        );
        let todo = "Start time synchronization there (timedatectl set-ntp true) and see that it reaches its servers";
        found.push(Kind::Clock, id, what, todo);
    }
}

/// Each watches the others through what is delivered and acknowledged.
fn silent(found: &mut Found, picture: &Snapshot) {
    let Some(this) = picture.servers.iter().find(|server| server.this) else {
        return;
    };
    // a service that has just been started has heard of nobody
    let Some(started) = this.link.started else {
        return;
    };
    let is_silent = |until: Option<UtcMs>| {
        SILENT_MS < picture.now.0 - until.max(Some(started)).unwrap_or(started).0
    };
    if picture.primary {
        for other in picture
            .servers
            .iter()
            .filter(|server| !server.this && server.until.is_none())
        {
            if is_silent(other.delivered_until) {
                let until = other.delivered_until.map_or_else(
                    || "nothing has ever come".to_owned(),
                    |until| format!("the last minute is that before {until}"),
                );
                let what = format!(
                    "server {} has delivered nothing for 15 minutes; {until}",
                    other.server
                );
                let todo = "Look at that server: does it run (systemctl status twinstream), is its way here open, \
                            is the disk here full? What it collects is kept there and comes later. \
                            If it is gone for good, give it `until` in the configuration";
                found.push(Kind::OtherSilent, other.server.as_str(), what, todo);
            }
        }
    } else if 0 < this.sealed && is_silent(this.acknowledged_at.max(this.delivered_until)) {
        let what = "the primary has acknowledged nothing for 15 minutes".to_owned();
        let todo = "Look at the primary: does it run, is the way there open (twinstream check), is its disk full? \
                    What is collected here is kept here until then";
        found.push(Kind::OtherSilent, "primary", what, todo);
    }
}

fn disk(found: &mut Found, picture: &Snapshot) {
    let todo = "Free space or enlarge the disk; docs/operations.md says what may be moved. Shorten merge.keep_raw if the \
                spool is what grows";
    let this = picture.servers.iter().find(|server| server.this);
    if this.is_some_and(|server| {
        server.link.waits == Some(Why::DiskFull) && server.link.state != State::Connected
    }) {
        let what = "the disk is full: collecting waits for room".to_owned();
        found.push(Kind::Disk, "", what, todo);
    } else if let Some(days) = picture.runway.as_ref().and_then(|runway| runway.days)
        && days < DISK_DAYS
    {
        let what =
            format!("the disk will be full in {days:.1} days, if it goes on like in the last ones");
        found.push(Kind::Disk, "", what, todo);
    }
}

fn archive(found: &mut Found, picture: &Snapshot, behind_since: Option<UtcMs>) {
    if let Some(low) = &picture.vault.low {
        let hour = low.hour.to_string();
        let what = format!(
            "{hour} has {} posts; the same hour of the last weeks had {}",
            low.posts, low.usual
        );
        let todo = "See the day's gaps (twinstream gaps). If there are none, the platform may have changed the sample";
        found.push(Kind::LowHour, &hour, what, todo);
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
        let todo = "This is a bug: report it with the output of `twinstream gaps --json` and the events files of that time";
        found.push(Kind::UnknownCause, "", what, todo);
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
        let todo = "See why publishing fails: twinstream publish --pending. What is not public is published when it works again";
        found.push(Kind::PublishBehind, "", what, todo);
    }
    for trouble in &public.troubles {
        let Some((kind, todo)) = of_trouble(&trouble.alarm) else {
            continue;
        };
        let subject = if kind == Kind::IdCap {
            ""
        } else {
            &trouble.alarm
        };
        let more = match trouble.files {
            0 | 1 => String::new(),
            files => format!(" (and {} more)", files - 1),
        };
        found.push(
            kind,
            subject,
            format!("publishing is held up: {}{more}", trouble.why),
            todo,
        );
    }
}

/// What publishing says of its last run that a person has to do something about. What passes by itself
/// is none: it is told when it lasts, as a stage that fails.
fn of_trouble(word: &str) -> Option<(Kind, &'static str)> {
    Some(match word {
        "id_cap" => (
            Kind::IdCap,
            "Wait until older ids leave the 30 days. Raise publish.osf.ids_per_30_days only with X's written approval",
        ),
        "osf_token" => (
            Kind::PublishStuck,
            "Make a new personal access token in OSF's settings (scope osf.full_write) and put it into publish.osf.token_file",
        ),
        "osf_quota" => (
            Kind::PublishStuck,
            "The project is full: make a component for the coming year and set publish.osf.project to it",
        ),
        "osf_refused" => (
            Kind::PublishStuck,
            "See OSF's words in the log: may the token's owner write there, is the file checked out by somebody? Other files go on",
        ),
        "not_publishable" => (
            Kind::PublishStuck,
            "Run `twinstream verify` on the vault: a file there is not what it should be. It stays here",
        ),
        _ => return None,
    })
}

fn stages(found: &mut Found, picture: &Snapshot) {
    for (stage, run) in &picture.stages {
        let name = stage.name();
        let said = run.said.as_deref().unwrap_or("without a word");
        let is_old = run
            .failing_since
            .is_some_and(|since| FAILING_MS <= picture.now.0 - since.0);
        // what publishing says itself is told as what it is
        let has_words = *stage == Stage::Publish
            && picture.published.as_ref().is_some_and(|public| {
                let mut troubles = public.troubles.iter();
                troubles.any(|trouble| of_trouble(&trouble.alarm).is_some())
            });
        if FAILURES <= run.failures && is_old && !has_words {
            let what = format!("{name} has failed {} times in a row: {said}", run.failures);
            let todo =
                format!("Run `twinstream {name}` by hand to see it; it is tried again by itself");
            found.push(Kind::StageFailing, name, what, &todo);
        }
        if run.exit == Some(5) && *stage == Stage::Merge {
            let what = format!("{name} could not use everything: {said}");
            let todo = "Run `twinstream merge` by hand: it names what it holds back and why. Nothing of it is deleted";
            found.push(Kind::Incomplete, name, what, todo);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        period::Zone,
        supervise::record::Run,
        watch::{
            facts::{Facts, ServerFacts},
            link::Link,
            snapshot::{self, Runway, Settled},
            trouble::Trouble,
        },
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
                state: State::Connected,
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
            program: "test/1",
            this: Some(this.parse().unwrap()),
            primary: Some("1".parse().unwrap()),
            zone: Zone::named("UTC").unwrap(),
            ids_max: Some(100),
            until: BTreeMap::new(),
        };
        let mut picture = snapshot::of(&facts, &settled, after(s));
        picture.free_bytes = 1 << 40;
        picture
    }

    #[track_caller]
    fn check(picture: &Snapshot, expected: &[&str]) {
        let found = states(picture, Some(BEGIN));
        let names: Vec<String> = found
            .iter()
            .map(|alarm| format!("{} {}", alarm.kind.name(), alarm.subject))
            .collect();
        assert_eq!(names, expected);
        for alarm in found {
            assert!(!alarm.what.is_empty() && !alarm.todo.is_empty());
        }
    }

    fn of<'a>(picture: &'a mut Snapshot, id: &str) -> &'a mut Server {
        picture
            .servers
            .iter_mut()
            .find(|server| server.server.as_str() == id)
            .unwrap()
    }

    #[test]
    fn each_state_is_seen() {
        check(&well("1", 5_000), &[]);
        check(&well("2", 5_000), &[]);
        let mut p = well("1", 5_000);
        of(&mut p, "1").last_line = Some(after(4_939));
        check(&p, &["no_posts 1"]);
        of(&mut p, "1").link.state = State::Disconnected;
        of(&mut p, "1").link.waits = Some(Why::Unauthorized);
        check(&p, &["no_posts 1", "refused 1"]);
        of(&mut p, "1").link.waits = Some(Why::DiskFull);
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
        check(&p, &["disk ", "low_hour 2026-11-23_14", "unknown_cause "]);
        let mut p = well("1", 11_000);
        let public = p.published.as_mut().unwrap();
        public.behind = 3;
        let trouble = |alarm: &str| Trouble {
            alarm: alarm.to_owned(),
            why: "2026-11-23_14: it may not".to_owned(),
            files: 2,
        };
        let words = [
            "id_cap",
            "osf_token",
            "osf_quota",
            "osf_refused",
            "osf_unreachable",
            "not_publishable",
        ];
        public.troubles = words.map(trouble).into();
        // it fails, too, but that is told already
        let mut run = Run::begun(after(10_990));
        (run.failures, run.failing_since) = (9, Some(BEGIN));
        p.stages.insert(Stage::Publish, run);
        let expected = [
            "publish_behind ",
            "id_cap ",
            "publish_stuck osf_token",
            "publish_stuck osf_quota",
            "publish_stuck osf_refused",
            "publish_stuck not_publishable",
        ];
        check(&p, &expected);
        p.published.as_mut().unwrap().troubles = vec![trouble("osf_unreachable")];
        check(&p, &["publish_behind ", "stage_failing publish"]);
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
        of(&mut p, "1").link.state = State::Stopped;
        assert!(not_storing(&p).unwrap().starts_with("collecting has ended"));
        of(&mut p, "1").link.state = State::Connected;
        of(&mut p, "1").last_line = Some(after(4_939));
        assert!(
            not_storing(&p)
                .unwrap()
                .starts_with("connected, but nothing comes")
        );
        // nothing has ever come
        of(&mut p, "1").last_line = None;
        of(&mut p, "1").link.started = None;
        assert!(not_storing(&p).unwrap().ends_with("none has come yet"));
    }

    #[test]
    fn a_stage_that_fails_on_and_on_is_an_alarm() {
        let mut p = well("1", 5_000);
        let mut run = Run::begun(after(4_990));
        (run.ended, run.exit, run.failures) = (Some(after(4_991)), Some(1), 3);
        run.failing_since = Some(after(4_200));
        p.stages.insert(Stage::Merge, run.clone());
        check(&p, &[]);
        run.failing_since = Some(after(4_100));
        p.stages.insert(Stage::Merge, run.clone());
        check(&p, &["stage_failing merge"]);
        (run.exit, run.failures) = (Some(5), 0);
        p.stages.insert(Stage::Merge, run);
        check(&p, &["incomplete merge"]);
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
        assert!(matches!(&begun[..], [Change::Begun(alarm)] if alarm.kind == Kind::NoPosts));
        assert_eq!(judge(&bad(205), &mut said), []);
        // a moment of luck is no end
        assert_eq!(judge(&well("1", 210), &mut said), []);
        assert_eq!(judge(&bad(300), &mut said), []);
        assert_eq!(judge(&well("1", 310), &mut said), []);
        assert_eq!(judge(&well("1", 429), &mut said), []);
        let ended = judge(&well("1", 430), &mut said);
        let [Change::Ended(alarm, at)] = &ended[..] else {
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
}
