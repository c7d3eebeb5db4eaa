//! X, as the commands see it.

use std::process::Command;

use super::Platform;
use crate::{
    cli::{
        check_x,
        exit::{Exit, Failure},
        finding::Finding,
        setup::{self, Setup},
    },
    config::{
        proxy::Proxies,
        rehearsal::Simulated,
        settings::{Fields, Settings, XStream},
    },
    pseudonym::{self, Form},
    segment::name::Partition,
    source::{wire::Wire, x::wire::Api},
};

/// X.
pub(super) struct X;

impl Platform for X {
    fn wire(
        &self,
        settings: &Settings,
        partition: Option<Partition>,
    ) -> Result<Box<dyn Wire>, Failure> {
        let token = setup::bearer_token(settings)?;
        let api = Api::new(&settings.x, partition, &token);
        let unusable = |why: String| Failure::new(Exit::Configuration, why);
        Ok(Box::new(api.map_err(|why| unusable(why.to_string()))?))
    }

    fn check(&self, setup: &Setup, proxies: &Proxies) -> Vec<Finding> {
        let mut found = check_x::api(setup, proxies);
        if setup.settings.x.stream == XStream::Filtered {
            found.push(check_x::rules_of(setup));
        }
        found
    }

    fn pseudonyms(&self) -> &'static Form {
        &pseudonym::X
    }

    fn simulated(&self) -> &'static str {
        "X API"
    }

    fn faults(&self, last: usize) -> String {
        format!(
            r#"# what the simulated API does to the collectors
[[fault]]
at = "12m"
listener = 1
kind = "lockout"
for = "150s"
close = true

[[fault]]
at = "20m"
listener = {last}
kind = "error_frame"
disconnect_type = "OperationalDisconnect"

[[fault]]
at = "26m"
listener = {last}
kind = "stall"
for = "2m"

[[fault]]
at = "33m"
listener = 1
kind = "garbage"
line = "not_json"
"#
        )
    }

    fn simulate(&self, settings: &Settings, token: &str, command: &mut Command) {
        command
            .args(["--token", token, "--no-backfill-right"])
            .args(["--max-connections", &settings.servers.len().to_string()]);
        if settings.x.fields == Fields::All {
            command.args(["--fields", "all"]);
        }
    }

    fn stands_at(&self, own: &str, _all: &[String]) -> Simulated {
        Simulated::X {
            base_url: own.to_owned(),
        }
    }
}
