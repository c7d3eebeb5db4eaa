//! `rules`: shows the filtered stream's rules, and makes those in force the ones of the configuration.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use ureq::Agent;

use super::{
    exit::{Exit, Failure},
    global::Global,
    output,
    setup::{self, Setup},
};
use crate::{
    config::{proxy::Proxies, settings::Secret},
    segment::{
        rules::{self, Rule, spelled},
        sha256::Sha256,
    },
    source::{
        page,
        wire::{RULES_PAGE_BYTES_MAX, RulesPage, RulesPages},
        x::wire::rules::{self as api, Change, Changed},
    },
    text::{one_line, plural, table},
    world::agent::{self, Limits},
};

/// For one request.
const LIMITS: Limits = Limits {
    whole: Duration::from_mins(1),
    connect: Duration::from_secs(20),
    silence: Duration::from_secs(30),
};

/// Shows or changes the rules that select the posts of the filtered stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream rules show               the rules in force beside those of the configuration
  twinstream rules push --dry-run     what would be added and deleted
  twinstream rules push               makes X's rules those of the configuration

The rules belong to the app: X keeps them, and a change applies at once to every connection with
the app's token. Only `push` changes them. Each server asks X for the rules at every connection and
every quarter of an hour, and records the answer; rules that are not those of the configuration
raise an alarm. Spaces and the order of the rules make no difference.

`push` adds the rules that are missing, and then, if X has accepted all of them, deletes those that
the configuration does not have. So a rule that X refuses leaves the old ones in force. If only the
tag of a rule changes, the old rule is deleted first: X takes each value once.

Exit code 5: the rules in force are not those of the configuration (show), or X has accepted the
rules but lists others (push); 4: nothing to change (push); 1: X has refused a rule (push); 6: X
cannot be reached.")]
pub(crate) struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RulesCommand {
    /// Shows the rules in force beside those of the configuration
    #[command(after_help = "Examples:\n  twinstream rules show\n  twinstream rules show --json")]
    Show {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes the rules in force those of the configuration
    #[command(after_help = "Examples:\n  twinstream rules push --dry-run\n  twinstream rules push")]
    Push {
        /// Say what would be changed, have X check the new rules, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Print what was changed as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(global: &Global, args: &RulesArgs) -> Result<Exit, Failure> {
    let setup = setup::load(global)?;
    let api = RulesApi::new(&setup)?;
    match args.command {
        RulesCommand::Show { json } => show(&setup, &api, json),
        RulesCommand::Push { dry_run, json } => push(&setup, &api, (dry_run, json)),
    }
}

/// The API's side of it.
pub(super) struct RulesApi {
    agent: Agent,
    base_url: String,
    token: Secret,
    proxies: Proxies,
}

impl RulesApi {
    /// As configured.
    pub(super) fn new(setup: &Setup) -> Result<Self, Failure> {
        let settings = &setup.settings;
        let stream = setup.stream();
        if !stream.source.has_rules(stream.word) {
            let what = format!("the stream {:?} has no rules", stream.word);
            return Err(Failure::new(Exit::Configuration, what)
                .hint("rules choose what `[x] stream = \"filtered\"` brings"));
        }
        let base_url = settings.x.base_url.clone();
        let agent = agent::agent(&setup.clock, LIMITS, base_url.starts_with("https:"));
        Ok(Self {
            agent: agent?,
            base_url,
            token: setup::bearer_token(settings)?,
            proxies: setup::proxies()?,
        })
    }

    /// Asks once: status and body.
    fn call(&self, path: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>), Failure> {
        let url = format!("{}{path}", self.base_url);
        let away = |why: &str| {
            let what = format!("{} cannot be reached: {why}", self.base_url);
            Failure::new(Exit::Unreachable, what).hint("`twinstream check` tests the connection")
        };
        let bearer = format!("Bearer {}", self.token.reveal());
        let way = self.proxies.way_to(&url);
        let sent = match body {
            None => {
                let request = self.agent.get(&url).header("Authorization", bearer);
                request.config().proxy(way).build().call()
            }
            Some(body) => {
                let request = self.agent.post(&url).header("Authorization", bearer);
                request.config().proxy(way).build().send_json(body)
            }
        };
        let mut response = sent.map_err(|why| away(&agent::words(&why)))?;
        let status = response.status();
        if let Some(what) = page::head(status, response.headers()) {
            return Err(away(&format!("this is not the API: {what}")));
        }
        let body = response.body_mut().with_config();
        let body = body.limit(RULES_PAGE_BYTES_MAX as u64).read_to_vec();
        let body = body.map_err(|why| away(&agent::words(&why)))?;
        Ok((status.as_u16(), body))
    }

    /// The rules in force.
    pub(super) fn in_force(&self) -> Result<Vec<Rule>, Failure> {
        let endless = |why: String| Failure::new(Exit::Failed, why);
        let mut pages = RulesPages::default();
        let mut next = pages.take(self.page(None)?).map_err(endless)?;
        while let Some(token) = next {
            next = pages.take(self.page(Some(&token))?).map_err(endless)?;
        }
        Ok(pages.rules)
    }

    fn page(&self, page: Option<&str>) -> Result<RulesPage, Failure> {
        let (status, body) = self.call(&api::page_path(page), None)?;
        let refused = |why: String| refused(status, &format!("X does not list the rules: {why}"));
        api::read_page(status, &body).map_err(refused)
    }

    /// Changes some; X names each that it refuses.
    fn change(&self, is_dry: bool, body: &Value) -> Result<Changed, Failure> {
        let query = if is_dry { "?dry_run=true" } else { "" };
        let (status, said) = self.call(&format!("{}{query}", api::PATH), Some(body))?;
        api::read_changed(status, &said).map_err(|not_changed| {
            let failure = refused(status, &format!("X does not change the rules: {}", not_changed.why));
            if not_changed.is_cap {
                return failure.hint(
                    "the app's plan has no room for the rules in force and the new ones together: push fewer rules first, \
                     which deletes the unwanted ones, then all; or join rules with OR",
                );
            }
            failure
        })
    }
}

/// X does nothing of what it was asked.
fn refused(status: u16, what: &str) -> Failure {
    let exit = if 500 <= status || status == 429 {
        Exit::Unreachable
    } else {
        Exit::Failed
    };
    let hint = match status {
        401 => "is the token right? `twinstream check` tries it",
        403 => "the app's access does not include the filtered stream",
        429 => "X limits requests about rules in 15 minutes: try again after that",
        _ => "try again; X's status page may know more",
    };
    Failure::new(exit, what).hint(hint)
}

#[derive(Serialize)]
struct Shown<'a> {
    as_configured: bool,
    sha256: Sha256,
    configured_sha256: Sha256,
    in_force: &'a [Rule],
    configured: &'a [Rule],
}

fn show(setup: &Setup, api: &RulesApi, json: bool) -> Result<Exit, Failure> {
    let configured = &setup.settings.x.rules;
    let in_force = api.in_force()?;
    let (sha256, configured_sha256) = (rules::hash(&in_force), rules::hash(configured));
    let as_configured = sha256 == configured_sha256;
    let exit = if as_configured {
        Exit::Done
    } else {
        Exit::Incomplete
    };
    if json {
        output::print_json(&Shown {
            as_configured,
            sha256,
            configured_sha256,
            in_force: &in_force,
            configured,
        })?;
        return Ok(exit);
    }
    let change = Change::to(configured, &in_force);
    let mut rows = vec![["", "id", "tag", "value"].map(str::to_owned).to_vec()];
    for (state, list) in [
        ("in force", &change.keep),
        ("in force, not configured", &change.delete),
        ("configured, not in force", &change.add),
    ] {
        rows.extend(list.iter().map(|rule| row(state, rule)));
    }
    output::print(&table(&rows, &[]))?;
    let words = if as_configured {
        "the rules in force are those of the configuration"
    } else {
        "the rules in force are not those of the configuration: `twinstream rules push` makes them the same"
    };
    output::print(&format!("\n{words}\n"))?;
    Ok(exit)
}

fn row(state: &str, rule: &Rule) -> Vec<String> {
    let texts = [state, &rule.id, &rule.tag, &rule.value];
    texts.map(one_line).to_vec()
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    added: Vec<Rule>,
    deleted: Vec<Rule>,
    kept: Vec<Rule>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    rule: String,
    why: String,
}

fn push(setup: &Setup, api: &RulesApi, (is_dry, json): (bool, bool)) -> Result<Exit, Failure> {
    let configured = &setup.settings.x.rules;
    let change = Change::to(configured, &api.in_force()?);
    let mut done = Done {
        kept: change.keep.clone(),
        ..Done::default()
    };
    if change.is_nothing() {
        if json {
            tell(&done, (is_dry, json))?;
        }
        tracing::info!("the rules in force are those of the configuration");
        return Ok(Exit::NothingToDo);
    }
    let ended = change_all(api, is_dry, change, &mut done);
    tell(&done, (is_dry, json))?;
    ended?;
    if !done.refused.is_empty() {
        let count = plural(done.refused.len() as u64, "rule", "rules");
        let what =
            format!("X has refused {count}; unwanted rules stay in force until it accepts all");
        return Err(Failure::new(Exit::Failed, what).hint(
            "fix them in the configuration (X's pages describe the language), then push again",
        ));
    }
    if is_dry || Change::to(configured, &api.in_force()?).is_nothing() {
        return Ok(Exit::Done);
    }
    let what = "X has accepted the rules, but reports others than it was given";
    Err(Failure::new(Exit::Incomplete, what).hint(
        "look again in a minute with `twinstream rules show`; if X spells a rule differently, write it in the configuration as X does",
    ))
}

/// Deletes rules that have another tag, adds, and then deletes the rest: no rule in force is deleted before X has
/// accepted its replacement.
fn change_all(
    api: &RulesApi,
    is_dry: bool,
    change: Change,
    done: &mut Done,
) -> Result<(), Failure> {
    let is_added = |rule: &Rule| {
        let value = spelled(&rule.value);
        change
            .add
            .iter()
            .any(|added| spelled(&added.value) == value)
    };
    let (tagged_anew, others): (Vec<Rule>, Vec<Rule>) =
        change.delete.into_iter().partition(is_added);
    delete(api, is_dry, &tagged_anew, done)?;
    for rules in change.add.chunks(api::CHANGED_AT_ONCE) {
        let mut changed = api.change(is_dry, &api::add_body(rules))?;
        // as long as nothing is changed, rules that need another tag are still there
        changed.errors.retain(|(value, _)| {
            let is_there = |rule: &Rule| spelled(&rule.value) == spelled(value);
            !(is_dry && tagged_anew.iter().any(is_there))
        });
        let is_refused = |rule: &&Rule| {
            let value = one_line(&rule.value);
            changed.errors.iter().any(|(refused, _)| *refused == value)
        };
        let added: Vec<Rule> = rules
            .iter()
            .filter(|rule| !is_refused(rule))
            .cloned()
            .collect();
        let told = added.len() as u64 == changed.summary.created || is_dry;
        done.added.extend(added);
        refuse(changed, done);
        if !told && done.refused.is_empty() {
            done.refused.push(Refused {
                rule: String::new(),
                why: "X has added fewer rules than it was given, and does not say which".to_owned(),
            });
        }
    }
    if done.refused.is_empty() {
        delete(api, is_dry, &others, done)?;
    }
    Ok(())
}

fn delete(api: &RulesApi, is_dry: bool, rules: &[Rule], done: &mut Done) -> Result<(), Failure> {
    for rules in rules.chunks(api::CHANGED_AT_ONCE) {
        let changed = api.change(is_dry, &api::delete_body(rules))?;
        done.deleted.extend_from_slice(rules);
        refuse(changed, done);
    }
    Ok(())
}

fn refuse(changed: Changed, done: &mut Done) {
    let refused = changed.errors.into_iter();
    done.refused
        .extend(refused.map(|(rule, why)| Refused { rule, why }));
}

fn tell(done: &Done, (is_dry, json): (bool, bool)) -> Result<(), Failure> {
    if json {
        return output::print_json(done);
    }
    let (added, deleted) = if is_dry {
        ("would be added", "would be deleted")
    } else {
        ("added", "deleted")
    };
    let mut rows = Vec::new();
    for (state, list) in [
        (deleted, &done.deleted),
        (added, &done.added),
        ("kept", &done.kept),
    ] {
        rows.extend(list.iter().map(|rule| row(state, rule)));
    }
    for Refused { rule, why } in &done.refused {
        rows.push(vec![
            "refused".to_owned(),
            String::new(),
            one_line(why),
            rule.clone(),
        ]);
    }
    output::print(&table(&rows, &[]))
}
