//! `config`: prints the defaults or the effective settings, or checks the configuration.

use std::path::Path;

use rustix::fs::{Access, access};
use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::Global,
    output, setup,
    setup::Loaded,
    stream,
};
use crate::{
    config::{
        file::{self, Entry, Value},
        settings::{RULE_CHARS_PAY_PER_USE, Role, Server, Settings},
    },
    segment::{name::Partition, rules::Rule},
    text::{plural, thousands},
};

/// Prints the defaults or the effective settings, or checks the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream config default > twinstream.toml     every key, commented, as a file to start from
  twinstream config show                          the effective settings, and where each comes from
  twinstream config check                         validates the file (exit code 3 if it is wrong)

`twinstream check` tests what is outside the file (token, folders, network).")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Prints every key with its default and what it means
    #[command(after_help = "Example:\n  twinstream config default > twinstream.toml")]
    Default,
    /// Prints the effective settings, and where each comes from
    #[command(after_help = "Examples:\n  twinstream config show\n  twinstream config show --json")]
    Show {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Checks the configuration without touching the network
    #[command(after_help = "Example:\n  twinstream --config twinstream.toml config check")]
    Check,
}

pub(crate) fn run(global: &Global, args: &ConfigArgs) -> Result<Exit, Failure> {
    match args.command {
        ConfigCommand::Default => output::print(file::DEFAULT)?,
        ConfigCommand::Show { json } => show(&setup::load_file(global)?, json)?,
        ConfigCommand::Check => return check(global),
    }
    Ok(Exit::Done)
}

/// One effective value. As text it is written as in the file, as JSON it is what it says.
#[derive(Debug, Serialize)]
struct Shown {
    key: String,
    value: Value,
    from: String,
}

fn show(loaded: &Loaded, json: bool) -> Result<(), Failure> {
    let defaults = file::read(file::DEFAULT).unwrap_or_default();
    let name = loaded
        .path
        .file_name()
        .unwrap_or(loaded.path.as_os_str())
        .to_string_lossy();
    let of = |key: &str, entry: &Entry, from: String| Shown {
        key: key.to_owned(),
        value: entry.value.clone(),
        from,
    };
    let mut shown = Vec::new();
    for key in file::KEYS {
        match (loaded.written.entries.get(*key), defaults.entries.get(*key)) {
            (Some(entry), _) => shown.push(of(key, entry, format!("{name}:{}", entry.line))),
            (None, Some(entry)) => shown.push(of(key, entry, "default".to_owned())),
            (None, None) => (),
        }
    }
    let derived = |key: &str, path: &Path| Shown {
        key: key.to_owned(),
        value: Value::Text(path.display().to_string()),
        from: "from data_dir".to_owned(),
    };
    let settings = &loaded.settings;
    for (key, path) in [
        ("spool_dir", settings.spool_dir.name()),
        ("vault_dir", settings.vault_dir.name()),
    ] {
        if !loaded.written.entries.contains_key(key) {
            shown.push(derived(key, path));
        }
    }
    shown.extend(from_environment(settings)?);
    for (begin, entries) in &loaded.written.servers {
        let id = entries
            .get("id")
            .map_or_else(|| format!("line {begin}"), |id| id.value.to_string());
        for (key, entry) in entries {
            let key = format!("servers[{}].{key}", id.trim_matches('"'));
            shown.push(of(&key, entry, format!("{name}:{}", entry.line)));
        }
    }
    if json {
        return output::print_json(&shown);
    }
    let width = |of: fn(&Shown) -> usize| shown.iter().map(of).max().unwrap_or(0);
    let (keys, values) = (
        width(|s| s.key.len()),
        width(|s| s.value.to_string().chars().count()),
    );
    let lines: Vec<String> = shown
        .iter()
        .map(|s| {
            let value = s.value.to_string();
            format!("{:<keys$}  {value:<values$}  {}\n", s.key, s.from)
        })
        .collect();
    output::print(&lines.concat())?;
    let this = settings
        .this
        .as_ref()
        .map_or("none of the servers", |id| id.as_str());
    output::print(&format!("\nthis is server {this}\n"))
}

/// What the environment says: the token is not shown, nor a proxy's password.
fn from_environment(settings: &Settings) -> Result<Vec<Shown>, Failure> {
    let mut shown = Vec::new();
    if settings.stream_token_file().is_some() && std::env::var_os(setup::TOKEN_VARIABLE).is_some() {
        shown.push(Shown {
            key: "x.bearer_token".to_owned(),
            value: Value::Text("********".to_owned()),
            from: format!("${}, before the file", setup::TOKEN_VARIABLE),
        });
    }
    let proxies = setup::proxies()?;
    let osf = settings.publish.as_ref().map(|osf| &osf.base_url);
    let tsa = settings.witness.as_ref().map(|witness| &witness.tsa);
    let stream = settings.addresses().first();
    for (key, address) in [
        (settings.source.word(), stream.map(String::as_str)),
        ("publish.osf", osf.map(String::as_str)),
        ("witness", tsa.map(String::as_str)),
    ] {
        if let Some(proxy) = address.and_then(|address| proxies.of_address(address)) {
            shown.push(Shown {
                key: format!("{key}.proxy"),
                value: Value::Text(proxy.to_string()),
                from: format!("${}", proxy.variable),
            });
        }
    }
    Ok(shown)
}

fn check(global: &Global) -> Result<Exit, Failure> {
    let loaded = setup::load_file(global)?;
    let settings = &loaded.settings;
    let mut notes: Vec<String> = Vec::new();
    let mut refused = None;
    for (file, why) in useless_secrets(settings) {
        if is_readable(file) {
            refused = refused.or(Some(why));
        } else {
            notes.push(format!("warn  {why}"));
        }
    }
    if settings.this.is_none() {
        notes.push(
            "warn  no [[servers]] entry has this machine's name as its host; name one with --server ID"
                .to_owned(),
        );
    }
    let there: Vec<&Server> = settings.there(setup::clock(global).now()).collect();
    notes.extend(lonely(settings, &there));
    let long = |rule: &&Rule| RULE_CHARS_PAY_PER_USE < rule.value.chars().count();
    let long = settings.x.rules.iter().filter(long).count() as u64;
    if 0 < long {
        notes.push(format!(
            "warn  {} more than {} characters: X takes such rules with an enterprise contract only; on pay-per-use, \
             `twinstream rules push` will be refused",
            plural(long, "rule has", "rules have"),
            thousands(RULE_CHARS_PAY_PER_USE as u64)
        ));
    }
    let collected_here = settings.data_dir.ancestors().find(|path| path.exists());
    let may_write = collected_here.is_some_and(|path| access(path, Access::WRITE_OK).is_ok());
    if !may_write {
        let dir = settings.data_dir.display();
        notes.push(format!(
            "warn  {dir} cannot be written or made by this user"
        ));
    }
    if let Some(why) = refused {
        return Err(why);
    }
    output::print(&summary(&loaded))?;
    output::print(&collected(settings, &there))?;
    for note in notes {
        output::print(&format!("{note}\n"))?;
    }
    Ok(Exit::Done)
}

/// The servers in a line, and which of them this is.
fn summary(loaded: &Loaded) -> String {
    let settings = &loaded.settings;
    let is_secondary = |server: &&Server| server.role == Role::Secondary;
    let secondaries = settings.servers.iter().filter(is_secondary).count();
    let this = settings.this_one().map_or_else(String::new, |server| {
        format!("; this is server {}, {}", server.id, server.role.name())
    });
    let mergers = match settings.mergers.len() {
        0 => String::new(),
        mergers => format!(", {mergers} merger"),
    };
    format!(
        "ok    {}: 1 primary, {secondaries} secondary{mergers}, hours in {}{this}\n",
        loaded.path.display(),
        settings.merge.timezone.name()
    )
}

/// What is collected, and over how many connections each server collects which part of it.
fn collected(settings: &Settings, there: &[&Server]) -> String {
    let stream = stream::of(settings);
    let mut text = format!("ok    stream {}", stream.word);
    match (settings.partitions(), settings.x.rules.len() as u64) {
        (0, 0) => text.push_str(": one connection for each server\n"),
        (0, rules) => text.extend([format!(
            " with {}: one connection for each server\n",
            plural(rules, "rule", "rules")
        )]),
        (partitions, _) => {
            text.extend([format!(" in {partitions} partitions\n")]);
            for server in there {
                let count = server.partitions.len() as u64;
                text.extend([format!(
                    "      server {}: {}, for {}\n",
                    server.id,
                    plural(count, "connection", "connections"),
                    Partition::words(&server.partitions)
                )]);
            }
        }
    }
    text
}

/// What only one server collects, or none.
fn lonely(settings: &Settings, there: &[&Server]) -> Vec<String> {
    let is_alone = there.len() == 1;
    let all = (1..=settings.partitions()).filter_map(Partition::new);
    let (mut nobodys, mut single) = (Vec::new(), Vec::new());
    for partition in all {
        let has = |server: &&&Server| server.partitions.contains(&partition);
        match there.iter().filter(has).count() {
            0 => nobodys.push(partition),
            1 => single.push(partition),
            _ => (),
        }
    }
    let mut notes = Vec::new();
    if !nobodys.is_empty() {
        let words = Partition::words(&nobodys);
        notes.push(format!("note  no server collects {words}"));
    }
    if is_alone {
        notes.push("note  there is one server: what it misses is lost".to_owned());
    } else if !single.is_empty() {
        let words = Partition::words(&single);
        notes.push(format!(
            "note  only one server collects {words}: what it misses there is lost"
        ));
    }
    notes
}

/// The files of those secrets that the stages here would refuse to go by, and why.
fn useless_secrets(settings: &Settings) -> Vec<(&Path, Failure)> {
    let mut tried = Vec::new();
    let collects = settings.this_one().is_none_or(|this| !this.is_merger());
    if let Some(token) = settings.stream_token_file().filter(|_| collects) {
        tried.push((token, setup::bearer_token(settings).map(drop)));
    }
    let publishes = settings
        .this_one()
        .is_none_or(|this| settings.is_publisher(this));
    if let Some(publish) = settings.publish.as_ref().filter(|_| publishes) {
        let file = publish.token_file.as_path();
        let secret = setup::secret("the OSF token", "osf-token", Some(file));
        tried.push((file, secret.map(drop)));
    }
    let mail = settings.mail.as_ref().and_then(|mail| mail.as_ref().ok());
    if let Some(file) = mail.and_then(|mail| mail.password_file.as_deref()) {
        let secret = setup::mail_password(Some(file));
        tried.push((file, secret.map(drop)));
    }
    let useless = tried.into_iter();
    useless
        .filter_map(|(file, tried)| Some((file, tried.err()?)))
        .collect()
}

/// What this user cannot read may be right for the one that the service runs as, or is yet to come.
fn is_readable(file: &Path) -> bool {
    access(file, Access::READ_OK).is_ok()
}
