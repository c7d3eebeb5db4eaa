//! The part of `check` that tests X: what the token may do (which stream, how many connections, backfill), and the
//! rules in force.

use std::path::Path;

use super::{
    finding::{Finding, clock, fail, failed, ok, warn},
    probe::{self, Answer},
    rules,
    setup::{self, Setup},
};
use crate::{
    backoff::Refusal,
    collect::RightMemory,
    config::{
        proxy::Proxies,
        settings::{Secret, Server, Settings, X, XStream},
    },
    period::UtcMs,
    segment::{name::Partition, rules::hash},
    source::x::wire::{Api, read_refusal},
    text::plural,
    world::{clock::Clock, disk::RealDisk, lock::Lock},
};

/// What a request to the API needs.
struct Asking<'a> {
    x: &'a X,
    token: &'a Secret,
    clock: &'a Clock,
    proxies: &'a Proxies,
}

impl Asking<'_> {
    /// Opens a stream, which stays open as long as the answer is kept.
    fn open(&self, x: &X, partition: Option<Partition>, backfill: bool) -> Result<Answer, String> {
        let minutes = u8::from(backfill);
        let path = Api::path_and_query(x, partition, minutes);
        let url = format!("{}{path}", self.x.base_url);
        probe::get(&url, self.token, (self.clock, self.proxies))
    }
}

/// The token, what it may do, and the clock: one connection for each that this server needs, and one more where backfill is
/// not granted.
pub(super) fn api(setup: &Setup, proxies: &Proxies) -> Vec<Finding> {
    let settings = &setup.settings;
    let token = match setup::bearer_token(settings) {
        Ok(token) => token,
        Err(why) => return vec![failed("token", why)],
    };
    if is_collecting(setup) {
        return vec![ok(
            "token",
            "a collector is running here and has the connections; they are left alone",
        )];
    }
    let x = &settings.x;
    let asking = Asking {
        x,
        token: &token,
        clock: &setup.clock,
        proxies,
    };
    let mut needs = Needs::of(settings, setup.clock.now());
    let first = needs.partitions.first().copied();
    let answer = match asking.open(x, first, x.backfill) {
        Ok(answer) => answer,
        Err(why) => {
            let hint = "is the network up, is x.base_url right, and does this network need a proxy (HTTPS_PROXY)?";
            let what = format!("{} cannot be reached: {why}", x.base_url);
            return vec![Finding {
                unreachable: true,
                ..fail("token", what, hint)
            }];
        }
    };
    if let Some(why) = &answer.not_the_api {
        let hint =
            "something else answers in its place: a login portal, a proxy, a maintenance page";
        return vec![fail("token", format!("not the API: {why}"), hint)];
    }
    // the header has whole seconds, and the answer took its way
    let clock = answer.ahead_ms.map(clock);
    let (answer, granted) = backfill(&asking, first, answer);
    if let Some(granted) = granted {
        needs.to_be_refused = usize::from(!granted);
        learn(&asking, &settings.data_dir, granted);
    }
    let mut found = vec![token_of(&asking, &needs, &answer)];
    found.extend(backfill_words(x, granted, &answer));
    if answer.status == 200 {
        let (connections, last) = connections(&asking, &needs, answer);
        found.extend(requests(&needs, &last));
        found.extend(connections);
    }
    found.extend(clock);
    found
}

/// Whether backfill is granted, if that shows; where it is not, the answer without it.
fn backfill(
    asking: &Asking<'_>,
    partition: Option<Partition>,
    answer: Answer,
) -> (Answer, Option<bool>) {
    match answer.status {
        200 if asking.x.backfill => (answer, Some(true)),
        400 if asking.x.backfill => match asking.open(asking.x, partition, false) {
            Ok(second) if second.status != 400 => (second, Some(false)),
            Ok(_) | Err(_) => (answer, None),
        },
        _ => (answer, None),
    }
}

/// What is to be said of that.
fn backfill_words(x: &X, granted: Option<bool>, answer: &Answer) -> Option<Finding> {
    match granted {
        Some(true) => Some(ok("backfill", "granted")),
        Some(false) => {
            let hint = "the collector goes on without it; set x.backfill = false, or ask X for backfill, which comes with redundant connections";
            Some(warn("backfill", "not granted to this app", hint))
        }
        None if answer.status == 200 && !x.backfill => {
            Some(ok("backfill", "not asked for, as x.backfill says"))
        }
        None => None,
    }
}

/// Tells the collector what it would else spend a request on.
fn learn(asking: &Asking<'_>, data_dir: &Path, granted: bool) {
    if !data_dir.is_dir() {
        return;
    }
    let memory = RightMemory::new(data_dir, &Api::right_of(asking.x, asking.token));
    let learned = if granted {
        memory.forget(&RealDisk)
    } else {
        memory.remember(&RealDisk, asking.clock.now())
    };
    if let Err(error) = learned {
        // perhaps the service's folder is not this user's: then the collector finds it out itself
        tracing::debug!("whether backfill is granted is not remembered: {error}");
    }
}

/// The connections that the configuration needs.
struct Needs<'a> {
    /// The partitions of this server, if the stream has some.
    partitions: &'a [Partition],
    /// How many servers collect, how many of the others collect one of these partitions or the whole stream, and how
    /// many connections all of them have.
    servers: usize,
    sharing: usize,
    all: usize,
    /// The requests of each start that only find out that backfill is refused.
    to_be_refused: usize,
}

impl<'a> Needs<'a> {
    fn of(settings: &'a Settings, now: UtcMs) -> Self {
        let this = settings.this_one();
        let partitions = this.map_or(&[][..], |this| &this.partitions);
        let collecting: Vec<&Server> = settings.there(now).collect();
        let shares = |of: &&&Server| {
            let has = |one: &Partition| of.partitions.contains(one);
            settings.this.as_ref() != Some(&of.id)
                && (partitions.is_empty() || partitions.iter().any(has))
        };
        Self {
            partitions,
            servers: collecting.len(),
            sharing: collecting.iter().filter(shares).count(),
            all: collecting.iter().map(|of| of.legs().len()).sum(),
            to_be_refused: 0,
        }
    }

    /// Those of this server.
    fn here(&self) -> usize {
        self.partitions.len().max(1)
    }
}

/// How often the app may ask, and whether what is left after all connections suffices to start collecting.
fn requests(needs: &Needs<'_>, last: &Answer) -> Option<Finding> {
    let (limit, left) = (last.limit?, last.left?);
    let here = needs.here() + needs.to_be_refused;
    let all = needs.all + needs.servers * needs.to_be_refused;
    let mut what = format!("{limit} in 15 minutes for the whole app, {left} left after this check");
    if 1 < here {
        let why = match needs.to_be_refused {
            0 => "",
            _ => ", including the one by which it learns that backfill is refused",
        };
        what.extend([format!(
            "; each start and each check of this server needs {here}{why}"
        )]);
    }
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    if count(limit) < all {
        let at_once = (count(limit) / here).max(1);
        what.extend([format!(
            "; all {} servers need {all} to start: start {at_once} of them, and more every 15 minutes",
            needs.servers
        )]);
    }
    if count(left) < here {
        let hint = format!(
            "start the collector {}, or its connections wait for that",
            again(last)
        );
        return Some(warn("requests", what, hint));
    }
    Some(ok("requests", what))
}

/// When X allows requests again.
fn again(answer: &Answer) -> String {
    let at = answer.reset.as_ref();
    at.map_or_else(|| "in 15 minutes".to_owned(), |at| format!("after {at}"))
}

/// Whether X gives this server all connections that it needs, at once: they are opened beside the first one. The last
/// answer says what is left of the requests.
fn connections(asking: &Asking<'_>, needs: &Needs<'_>, first: Answer) -> (Option<Finding>, Answer) {
    let later = "only while another server collects can `check` find out whether X allows this app more than one: run it \
                 then, too";
    let others = needs.partitions.get(1..).unwrap_or_default();
    if others.is_empty() {
        let what = format!("one is open; {later}");
        return ((0 < needs.sharing).then(|| ok("connections", what)), first);
    }
    let left = usize::try_from(first.left.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
    if left < others.len() {
        let what = format!(
            "not tried: {} more are needed, and this app has {left} requests left",
            others.len()
        );
        let hint = format!("try again {}", again(&first));
        return (Some(warn("connections", what, hint)), first);
    }
    let (mut open, mut last) = (Vec::new(), first);
    for partition in others {
        let number = partition.number();
        match asking.open(asking.x, Some(*partition), false) {
            Ok(answer) if answer.status == 200 => open.push(std::mem::replace(&mut last, answer)),
            Ok(answer) => {
                let said = read_refusal(answer.status, &answer.body).detail;
                let what = format!(
                    "with {} open, partition {number} is refused ({}): {said}",
                    open.len() + 1,
                    answer.status
                );
                let hint = "the contract must include a connection for each partition of each server that collects it. \
                            Does another collector have this one? `partitions` says which partitions a server collects";
                return (Some(fail("connections", what, hint)), answer);
            }
            Err(why) => {
                let what = format!("partition {number} gives no answer: {why}");
                let finding = Finding {
                    unreachable: true,
                    ..fail("connections", what, "try again")
                };
                return (Some(finding), last);
            }
        }
    }
    let mut what = format!("{} are open at once, one for each partition", needs.here());
    if 0 < needs.sharing {
        what.extend([format!("; {later}")]);
    }
    (Some(ok("connections", what)), last)
}

/// What the answer says of the token.
fn token_of(asking: &Asking<'_>, needs: &Needs<'_>, answer: &Answer) -> Finding {
    let stream = asking.x.stream.word();
    let status = answer.status;
    if status == 200 {
        return ok("token", format!("the stream {stream} opens"));
    }
    let refused = read_refusal(status, &answer.body);
    let said = &refused.detail;
    let (what, hint) = match (status, refused.refusal) {
        (401, _) => (
            "refused (401)".to_owned(),
            "the token is wrong or was withdrawn: make a new one in X's developer portal"
                .to_owned(),
        ),
        (403, _) => {
            let may = others(asking);
            (
                format!("refused (403): the app may not have the stream {stream}{may}. X says: {said}"),
                "see in X's developer portal what the app's contract or plan includes: filtered comes with pay-per-use, \
                 the others with enterprise contracts"
                    .to_owned(),
            )
        }
        (_, Refusal::NoRules) => (
            format!("accepted, but the stream {stream} has no rules ({status})"),
            "`twinstream rules push` sends X the configured ones".to_owned(),
        ),
        (_, Refusal::UsageCap) => (
            format!("refused ({status}): what is paid for is used up. X says: {said}"),
            "see the usage page of X's developer portal".to_owned(),
        ),
        (429, refusal) => return too_many(refusal, needs, answer),
        (500.., _) => {
            return Finding {
                unreachable: true,
                ..fail(
                    "token",
                    format!("the API has trouble ({status})"),
                    "try again later",
                )
            };
        }
        _ => (
            format!("the API answered {status}: {said}"),
            "is x.base_url right?".to_owned(),
        ),
    };
    fail("token", what, hint)
}

/// The meaning of 429: one of four, each with another remedy; one of them is reported elsewhere.
fn too_many(refusal: Refusal, needs: &Needs<'_>, answer: &Answer) -> Finding {
    match refusal {
        Refusal::TooManyConnections if 0 < needs.sharing => warn(
            "token",
            "accepted, but all connections that X allows this app are open (429)",
            format!(
                "if another of the {} servers collects now, the app's plan allows too few connections for all of them: \
                 pay-per-use allows one. If none does, another program uses this token, or X still counts a lost \
                 connection: try again in some minutes",
                needs.servers
            ),
        ),
        Refusal::TooManyConnections => warn(
            "token",
            "accepted, but all connections that X allows this app are open (429)",
            "another program uses this token, or X still counts a lost connection: try again in some minutes",
        ),
        Refusal::Provisioning => warn(
            "token",
            "accepted, but X is still changing what the app may have (429)",
            "try again in some minutes",
        ),
        _ => warn(
            "token",
            "accepted, but the app has reached X's limit of requests in 15 minutes (429)",
            format!("try again {}", again(answer)),
        ),
    }
}

/// Which other streams the app may have, where it may not have the configured one: each is asked for once.
fn others(asking: &Asking<'_>) -> String {
    let others = XStream::ALL
        .into_iter()
        .filter(|stream| *stream != asking.x.stream);
    let may = others.filter(|stream| {
        let x = X {
            stream: *stream,
            ..asking.x.clone()
        };
        let first = (0 < stream.partitions())
            .then(|| Partition::new(1))
            .flatten();
        let answer = asking.open(&x, first, false);
        // what has no rules yet, or is open elsewhere, is not forbidden
        answer.is_ok_and(|answer| {
            matches!(answer.status, 200 | 409 | 429) && answer.not_the_api.is_none()
        })
    });
    let may: Vec<&str> = may.map(XStream::word).collect();
    match may.as_slice() {
        [] => ", nor any other".to_owned(),
        some => format!("; it may have {}", some.join(", ")),
    }
}

/// Whether the rules in force are those of the configuration.
pub(super) fn rules_of(setup: &Setup) -> Finding {
    let configured = &setup.settings.x.rules;
    let in_force = match rules::RulesApi::new(setup).and_then(|api| api.in_force()) {
        Ok(in_force) => in_force,
        Err(why) => return failed("rules", why),
    };
    let count = plural(in_force.len() as u64, "rule is", "rules are");
    if hash(&in_force) == hash(configured) {
        return ok("rules", format!("{count} in force, as configured"));
    }
    let what = format!(
        "{count} in force, and these are not the {} configured ones",
        configured.len()
    );
    warn(
        "rules",
        what,
        "`twinstream rules show` lists both, `twinstream rules push` makes them the same",
    )
}

/// The platform counts connections: one more could end the collector's.
fn is_collecting(setup: &Setup) -> bool {
    Lock::is_held(&setup.settings.data_dir, Lock::COLLECT) == Some(true)
}
