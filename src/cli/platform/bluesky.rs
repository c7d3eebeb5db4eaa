//! Bluesky, as the commands see it.

use std::process::Command;

use super::Platform;
use crate::{
    cli::{
        exit::{Exit, Failure},
        finding::{Finding, clock, fail, ok, warn},
        setup::Setup,
    },
    collect::{self, NoStream},
    config::{proxy::Proxies, rehearsal::Simulated, settings::Settings},
    pseudonym::{self, Form},
    segment::name::Partition,
    source::{bluesky::wire::Subscribe, wire::Wire},
};

/// Bluesky.
pub(super) struct Bluesky;

impl Platform for Bluesky {
    fn wire(
        &self,
        settings: &Settings,
        _partition: Option<Partition>,
    ) -> Result<Box<dyn Wire>, Failure> {
        let wire = Subscribe::new(&settings.bluesky);
        let unusable = |why: String| Failure::new(Exit::Configuration, why);
        Ok(Box::new(wire.map_err(|why| unusable(why.to_string()))?))
    }

    fn check(&self, setup: &Setup, proxies: &Proxies) -> Vec<Finding> {
        endpoints(setup, proxies)
    }

    fn pseudonyms(&self) -> &'static Form {
        &pseudonym::BLUESKY
    }

    fn simulated(&self) -> &'static str {
        "Jetstream"
    }

    /// The servers ask again for what they miss, except events that an instance has lost, or no longer has when the
    /// last server is back after its kill.
    fn faults(&self, last: usize) -> String {
        format!(
            r#"# what the simulated instances do to the collectors
[[fault]]
at = "4m"
listener = 1
kind = "loss"
one_in = 20
for = "6m"

[[fault]]
at = "12m"
listener = 1
kind = "refuse"
for = "150s"

[[fault]]
at = "12m1s"
listener = 1
kind = "drop"

[[fault]]
at = "20m"
listener = {last}
kind = "stale"
pings = false

[[fault]]
at = "33m"
listener = 1
kind = "garbage"
line = "not_json"

[[fault]]
at = "41m"
listener = {last}
kind = "clamp"
window = "30s"
for = "4m"
"#
        )
    }

    fn simulate(&self, _settings: &Settings, _token: &str, command: &mut Command) {
        command.args(["--source", "bluesky"]);
    }

    fn stands_at(&self, _own: &str, all: &[String]) -> Simulated {
        Simulated::Bluesky {
            endpoints: all.to_vec(),
        }
    }
}

/// Each endpoint, the dictionary, and the clock, from one connection.
fn endpoints(setup: &Setup, proxies: &Proxies) -> Vec<Finding> {
    let wire = match Subscribe::new(&setup.settings.bluesky) {
        Ok(wire) => wire,
        Err(why) => {
            let hint =
                "docs/bluesky.md says where the dictionary is, or set bluesky.compress = false";
            return vec![fail("endpoint", why.to_string(), hint)];
        }
    };
    let mut found = Vec::new();
    for endpoint in setup.settings.endpoints() {
        match collect::trial(&endpoint, &wire, (&setup.clock, proxies)) {
            Ok(trial) => {
                let what = if trial.has_spoken {
                    format!("{endpoint} gives events")
                } else {
                    format!("{endpoint} is a stream; no event came within 15 s")
                };
                found.push(ok("endpoint", what));
                found.extend(trial.off_ms.map(clock));
            }
            Err(why) => found.push(no_stream(&endpoint, &why)),
        }
    }
    found
}

fn no_stream(endpoint: &str, why: &NoStream) -> Finding {
    match why {
        NoStream::Unreachable(why) => {
            let hint = "is the network up, is bluesky.endpoints right, and does this network need a proxy (HTTPS_PROXY)?";
            let what = format!("{endpoint} cannot be reached: {why}");
            Finding {
                unreachable: true,
                ..fail("endpoint", what, hint)
            }
        }
        NoStream::Refused { status, .. } if 500 <= *status => {
            let what = format!("{endpoint} has trouble ({status})");
            let hint = "the collector moves on to the next by itself; try again later";
            warn("endpoint", what, hint)
        }
        NoStream::Refused { .. } | NoStream::Other(_) => {
            let what = format!("{endpoint} gives no stream: {why}");
            let hint = "is bluesky.endpoints right, without a path? A portal or proxy may answer in its place";
            fail("endpoint", what, hint)
        }
        NoStream::Unreadable(why) => {
            let what = format!("{endpoint} cannot be understood: {why}");
            let hint =
                "name the endpoint's dictionary (docs/bluesky.md), or set bluesky.compress = false";
            fail("endpoint", what, hint)
        }
    }
}
