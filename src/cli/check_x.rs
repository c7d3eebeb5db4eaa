//! The part of `check` that tests X: what the token may do (which stream, how many connections, backfill), and the
//! rules in force.

use super::{
    finding::{Finding, clock, fail, failed, ok, warn},
    probe::{self, Answer},
    rules,
    setup::{self, Setup},
};
use crate::{
    backoff::Refusal,
    config::{
        proxy::Proxies,
        settings::{Secret, X, XStream},
    },
    segment::{name::Partition, rules::hash},
    source::x::wire::{Api, read_refusal},
    text::plural,
    world::{
        clock::Clock,
        lock::{Lock, LockError},
    },
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
    let this = settings.this_one();
    let partitions = this.map_or(&[][..], |this| &this.partitions);
    let first = partitions.first().copied();
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
    let (answer, backfill) = backfill(&asking, first, answer);
    let mut found = vec![token_of(&asking, &answer)];
    found.extend(backfill);
    if answer.status == 200 {
        found.extend(requests(&answer));
        let servers = settings.servers.iter();
        let servers = servers.filter(|server| !server.is_merger()).count();
        found.extend(connections(&asking, partitions, servers, answer));
    }
    found.extend(clock);
    found
}

/// Whether backfill is granted; where it is not, the answer without it.
fn backfill(
    asking: &Asking<'_>,
    partition: Option<Partition>,
    answer: Answer,
) -> (Answer, Option<Finding>) {
    match answer.status {
        200 if asking.x.backfill => (answer, Some(ok("backfill", "granted"))),
        200 => {
            let what = "not asked for, as x.backfill says";
            (answer, Some(ok("backfill", what)))
        }
        400 if asking.x.backfill => match asking.open(asking.x, partition, false) {
            Ok(second) if second.status != 400 => {
                let hint = "it is given up by itself; set x.backfill = false, or ask X for it: it comes with redundant connections";
                let finding = warn("backfill", "not granted to this app", hint);
                (second, Some(finding))
            }
            Ok(_) | Err(_) => (answer, None),
        },
        _ => (answer, None),
    }
}

/// How often the app may ask.
fn requests(answer: &Answer) -> Option<Finding> {
    let (limit, left) = (answer.limit?, answer.left?);
    let what = format!("{limit} in 15 minutes for the whole app, {left} left");
    Some(ok("requests", what))
}

/// Whether X gives this server all connections that it needs, at once: they are opened beside the first one.
fn connections(
    asking: &Asking<'_>,
    partitions: &[Partition],
    servers: usize,
    first: Answer,
) -> Option<Finding> {
    let Some((_, others)) = partitions
        .split_first()
        .filter(|(_, others)| !others.is_empty())
    else {
        return (1 < servers).then(|| {
            let what = format!(
                "one is open; whether X allows this app {servers} at once, one for each server, shows only when all collect"
            );
            ok("connections", what)
        });
    };
    let left = usize::try_from(first.left.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
    if left < others.len() {
        let what = format!(
            "not tried: {} more would use up this app's requests",
            others.len()
        );
        return Some(warn("connections", what, "try again in 15 minutes"));
    }
    let mut open = vec![first];
    for partition in others {
        let number = partition.number();
        match asking.open(asking.x, Some(*partition), false) {
            Ok(answer) if answer.status == 200 => open.push(answer),
            Ok(answer) => {
                let said = read_refusal(answer.status, &answer.body).detail;
                let status = answer.status;
                let what = format!(
                    "with {} open, partition {number} is refused ({status}): {said}",
                    open.len()
                );
                let hint = "a connection for each partition must be in the contract, and no other collector may have it; \
                            `partitions` says which this server is to collect";
                return Some(fail("connections", what, hint));
            }
            Err(why) => {
                let what = format!("partition {number} gives no answer: {why}");
                return Some(Finding {
                    unreachable: true,
                    ..fail("connections", what, "try again")
                });
            }
        }
    }
    let what = format!("{} are open at once, one for each partition", open.len());
    Some(ok("connections", what))
}

/// What the answer says of the token.
fn token_of(asking: &Asking<'_>, answer: &Answer) -> Finding {
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
            format!("known, but the stream {stream} has no rules ({status})"),
            "`twinstream rules push` gives X those of the configuration".to_owned(),
        ),
        (_, Refusal::UsageCap) => (
            format!("refused ({status}): what is paid for is used up. X says: {said}"),
            "see the usage page of X's developer portal".to_owned(),
        ),
        (429, refusal) => return too_many(refusal, answer.reset.as_deref()),
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
fn too_many(refusal: Refusal, reset: Option<&str>) -> Finding {
    match refusal {
        Refusal::TooManyConnections => warn(
            "token",
            "known, but all connections that X allows this app are open (429)",
            "does a collector other than the other server's use this token? X may count a \
             lost connection as open for some minutes",
        ),
        Refusal::Provisioning => warn(
            "token",
            "known, but X is still changing what the app may have (429)",
            "try again in some minutes",
        ),
        _ => {
            let when = reset.map_or_else(|| "in 15 minutes".to_owned(), |at| format!("after {at}"));
            warn(
                "token",
                "known, but the app has reached X's limit of requests in 15 minutes (429)",
                format!("try again {when}"),
            )
        }
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

/// The platform counts connections: one more could end the collector's. The lock file is not created here: it would
/// belong to the user who runs `check`.
fn is_collecting(setup: &Setup) -> bool {
    let data_dir = &setup.settings.data_dir;
    data_dir.join("collect.lock").exists()
        && matches!(
            Lock::take(data_dir, "collect", setup.clock.now()),
            Err(LockError::Taken { .. })
        )
}
