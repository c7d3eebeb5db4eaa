//! `init`: writes a commented configuration, asks for what only a person knows.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    exit::{Exit, Failure},
    global::{Global, SourceArg, users_path},
    output, setup,
    stream::{self, StreamWord},
};
use crate::{
    config::{
        file, home,
        platform::Platform,
        predecessor::{self, Fate},
        resolve::{self, ThisMachine},
        resolve_x,
        write::{Answers, UNKNOWN_HOSTS},
    },
    period::Zone,
    world::{
        disk::{Disk as _, RealDisk},
        error_at::placed,
        users_file,
    },
};

/// Where the file goes when nothing is said.
const HERE: &str = "twinstream.toml";

/// What to do about one name for two machines.
const SAME_HOST: &str = "the secondary is another machine: --secondary is what `uname -n` prints there; with one server leave it out";

/// Writes a commented configuration file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream init                          asks questions, and writes ./twinstream.toml
  twinstream init --source bluesky         asks three questions; needs no key
  twinstream init --stream firehose --secondary server2 --partitions 1-12 \\
                  --secondary-partitions 9-20
  twinstream init --stream filtered --rule 'climate lang:en' --rule 'weather lang:de'
  twinstream --config /etc/twinstream/twinstream.toml init --primary server1 --secondary server2
  twinstream init --from-server-settings ~/code/server_settings.txt
                                           takes the settings of the Python and shell scripts over,
                                           and says what became of each line

On a terminal it asks for everything that no flag gives; otherwise it takes the defaults. An
existing file is never overwritten.")]
pub(crate) struct InitArgs {
    /// Read the predecessor's server_settings.txt
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    from_server_settings: Option<PathBuf>,
    /// What is collected
    #[arg(long, value_enum, default_value_t)]
    source: SourceArg,
    /// The folder for the data
    #[arg(value_parser = users_path(), long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The folder for the archive [default: <data_dir>/vault]
    #[arg(value_parser = users_path(), long, value_name = "DIR")]
    vault_dir: Option<PathBuf>,
    /// The file with the app's bearer token
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// X's stream: about 1 % of all posts, 10 % (the decahose), all, or those that match --rule; your contract or plan says which you may have [default: sample]
    #[arg(long, value_name = "STREAM", value_parser = StreamWord)]
    stream: Option<String>,
    /// Which partitions of sample10 or the firehose each server collects: all, 1-10, 3,7 [default: all]
    #[arg(long, value_name = "PARTITIONS")]
    partitions: Option<String>,
    /// The partitions that the secondary collects, if they differ from the primary's
    #[arg(long, value_name = "PARTITIONS", requires = "secondary")]
    secondary_partitions: Option<String>,
    /// A rule of the filtered stream, in X's query language (repeatable; needed with --stream filtered)
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// The API's address
    #[arg(long, value_name = "URL", hide = true)]
    base_url: Option<String>,
    /// The time zone of the vault's hours: an IANA name
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// The primary's host name [default: this machine's]
    #[arg(long, value_name = "HOST")]
    primary: Option<String>,
    /// The secondary's host name, if there are two servers
    #[arg(long, value_name = "HOST")]
    secondary: Option<String>,
    /// Where the secondary delivers to: ssh://user@host/path or a folder
    #[arg(long, value_name = "TARGET")]
    deliver_to: Option<String>,
    /// The OSF project to publish post IDs in
    #[arg(long, value_name = "ID")]
    osf_project: Option<String>,
    /// The file with OSF's token
    #[arg(value_parser = users_path(), long, value_name = "FILE")]
    osf_token_file: Option<PathBuf>,
    /// The mail server for alarms and reports
    #[arg(long, value_name = "HOST", requires = "mail_to")]
    mail_host: Option<String>,
    /// The login for the mail server
    #[arg(long, value_name = "USER", requires = "mail_host")]
    mail_user: Option<String>,
    /// The file with the password for the mail server
    #[arg(value_parser = users_path(), long, value_name = "FILE", requires = "mail_user")]
    mail_password_file: Option<PathBuf>,
    /// The sender's address [default: user twinstream at this machine's name]
    #[arg(long, value_name = "ADDRESS", requires = "mail_host")]
    mail_from: Option<String>,
    /// Who gets the mail (repeatable)
    #[arg(long, value_name = "ADDRESS", requires = "mail_host")]
    mail_to: Vec<String>,
    /// Print what became of each line of server_settings.txt as JSON
    #[arg(long, requires = "from_server_settings")]
    json: bool,
}

pub(crate) fn run(global: &Global, args: &InitArgs) -> Result<Exit, Failure> {
    let path = global.config.clone().unwrap_or_else(|| HERE.into());
    if std::fs::symlink_metadata(&path).is_ok() {
        let what = format!("{} exists already and is not overwritten", path.display());
        return Err(Failure::new(Exit::Failed, what)
            .hint("name another with --config FILE, or move that one away"));
    }
    if let Some(flag) = only_of_x(args) {
        let what = format!("{flag} is for X only, and --source is bluesky, which needs no key");
        return Err(Failure::new(Exit::Usage, what).hint("leave it out"));
    }
    let host = setup::host();
    let mut answers = Answers {
        source: args.source.platform(),
        ..Answers::default()
    };
    let mut fates = Vec::new();
    if let Some(old) = &args.from_server_settings {
        // what is told by flags is known when it is said what became of a line
        tell(args, &host, &mut answers);
        fates = predecessor::take_over(&read_old(old)?, &mut answers);
    }
    tell(args, &host, &mut answers);
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        ask(&host, &mut answers)?;
    }
    if let (Some(primary), Some(secondary)) = (&answers.primary, &answers.secondary)
        && primary.eq_ignore_ascii_case(secondary)
    {
        let what = format!("{primary} cannot be both the primary and the secondary");
        return Err(Failure::new(Exit::Usage, what).hint(SAME_HOST));
    }
    if answers.secondary.is_some() {
        name_in_full(&path, &mut answers)?;
    }
    if answers.is_filtered() && answers.rules.is_empty() {
        let what = "the filtered stream needs at least one rule: without one X sends nothing";
        return Err(Failure::new(Exit::Usage, what)
            .hint("add --rule 'climate lang:en'; the option may be repeated"));
    }
    let text = answers.to_toml(&host);
    check(&text, &path, &host)?;
    write(&path, &text)?;
    tell_fates(&fates, args.json)?;
    if !args.json {
        output::print(&next(&path, &answers))?;
    }
    Ok(Exit::Done)
}

fn set<T: Clone>(answer: &mut Option<T>, told: Option<&T>) {
    if let Some(told) = told {
        *answer = Some(told.clone());
    }
}

/// What was said that Bluesky has no use for.
fn only_of_x(args: &InitArgs) -> Option<&'static str> {
    let said = [
        ("--token-file", args.token_file.is_some()),
        ("--stream", args.stream.is_some()),
        ("--partitions", args.partitions.is_some()),
        (
            "--secondary-partitions",
            args.secondary_partitions.is_some(),
        ),
        ("--rule", !args.rule.is_empty()),
        ("--base-url", args.base_url.is_some()),
        (
            "--from-server-settings",
            args.from_server_settings.is_some(),
        ),
    ];
    let mut said = said
        .into_iter()
        .filter(|_| args.source.platform() != Platform::X);
    said.find(|(_, is_said)| *is_said).map(|(flag, _)| flag)
}

/// The folder for the data, as the other server has to name it.
fn name_in_full(path: &Path, answers: &mut Answers) -> Result<(), Failure> {
    let Some(folder) = answers.data_dir.take() else {
        return Ok(());
    };
    let written = folder.display().to_string();
    let folder = home::expand(&written, home::home().as_deref())
        .map_err(|why| Failure::new(Exit::Usage, why.to_string()))?;
    let beside = std::path::absolute(path)?;
    answers.data_dir = Some(beside.parent().unwrap_or(Path::new("/")).join(folder));
    Ok(())
}

/// What the flags say goes before everything else.
fn tell(args: &InitArgs, host: &str, answers: &mut Answers) {
    let from = args
        .mail_host
        .as_ref()
        .map(|_| format!("twinstream@{host}"));
    set(&mut answers.data_dir, args.data_dir.as_ref());
    set(&mut answers.vault_dir, args.vault_dir.as_ref());
    set(&mut answers.token_file, args.token_file.as_ref());
    set(&mut answers.stream, args.stream.as_ref());
    set(&mut answers.partitions, args.partitions.as_ref());
    set(
        &mut answers.secondary_partitions,
        args.secondary_partitions.as_ref(),
    );
    if !args.rule.is_empty() {
        answers.rules.clone_from(&args.rule);
    }
    set(&mut answers.base_url, args.base_url.as_ref());
    set(&mut answers.timezone, args.timezone.as_ref());
    set(&mut answers.primary, args.primary.as_ref());
    set(&mut answers.secondary, args.secondary.as_ref());
    set(&mut answers.deliver_to, args.deliver_to.as_ref());
    set(&mut answers.osf_project, args.osf_project.as_ref());
    set(&mut answers.osf_token_file, args.osf_token_file.as_ref());
    set(&mut answers.mail_host, args.mail_host.as_ref());
    set(&mut answers.mail_user, args.mail_user.as_ref());
    set(
        &mut answers.mail_password_file,
        args.mail_password_file.as_ref(),
    );
    set(
        &mut answers.mail_from,
        args.mail_from.as_ref().or(from.as_ref()),
    );
    if !args.mail_to.is_empty() {
        answers.mail_to.clone_from(&args.mail_to);
    }
    if args.secondary.as_deref() == Some(host) {
        answers.this_is_secondary = true;
    }
}

fn read_old(path: &Path) -> Result<String, Failure> {
    let bytes = users_file::read(path, predecessor::BYTES_MAX).map_err(|why| {
        let what = format!("cannot read the settings: {}", placed(path, &why));
        Failure::new(Exit::Failed, what).hint("it is in the folder `code` of the old repository")
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks for one thing, and again until `check` is content. An empty answer takes what is proposed.
fn checked(
    about: &str,
    proposed: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<String, Failure> {
    let asked = dialoguer::Input::<String>::new()
        .with_prompt(about)
        .default(proposed.to_owned())
        .show_default(!proposed.is_empty())
        .allow_empty(true)
        .validate_with(|answer: &String| check(answer.trim()))
        .interact_text()?;
    Ok(asked.trim().to_owned())
}

fn question(about: &str, proposed: &str) -> Result<String, Failure> {
    checked(about, proposed, |_| Ok(()))
}

fn an_address(answer: &str) -> Result<(), String> {
    match answer.split_once('@') {
        Some((user, host)) if !user.is_empty() && !host.is_empty() => Ok(()),
        _ => Err("an address looks like me@example.org".to_owned()),
    }
}

fn a_zone(answer: &str) -> Result<(), String> {
    Zone::named(answer).map(drop).map_err(|why| why.to_string())
}

fn a_stream(answer: &str) -> Result<(), String> {
    let why = || match answer {
        "decahose" => "X's API calls it sample10".to_owned(),
        _ => format!("{answer:?} is none of them"),
    };
    let is_known = stream::words().contains(&answer);
    is_known.then_some(()).ok_or_else(why)
}

/// Asks for what is not known yet.
fn ask(host: &str, answers: &mut Answers) -> Result<(), Failure> {
    if answers.data_dir.is_none() {
        let proposed = answers.data_dir().display().to_string();
        answers.data_dir = Some(question("Folder for the data", &proposed)?.into());
    }
    match answers.source {
        Platform::X => ask_for_x(answers)?,
        Platform::Bluesky => (),
    }
    if answers.timezone.is_none() {
        answers.timezone = Some(checked("Time zone of the archive's hours", "UTC", a_zone)?);
    }
    if answers.source == Platform::Bluesky {
        // what is not asked for can be written later, and flags say it
        answers.primary.get_or_insert_with(|| host.to_owned());
        return ask_for_hosts(host, answers);
    }
    ask_for_hosts(host, answers)?;
    ask_for_partitions(answers)?;
    if answers.osf_project.is_none() {
        let about = "OSF project to publish in (empty: none)";
        answers.osf_project = Some(question(about, "")?).filter(|id| !id.is_empty());
    }
    if answers.mail_host.is_none() {
        let about = "Mail server for alarms and reports (empty: no mail)";
        let asked = question(about, "")?;
        if !asked.is_empty() {
            let proposed = format!("twinstream@{host}");
            answers.mail_from = Some(checked("Sender's address", &proposed, an_address)?);
            answers.mail_to = vec![checked("Address to send them to", "", an_address)?];
            answers.mail_host = Some(asked);
        }
    }
    Ok(())
}

/// What is asked about X only.
fn ask_for_x(answers: &mut Answers) -> Result<(), Failure> {
    if answers.stream.is_none() {
        let about = "X's stream: sample, sample10 (the decahose), firehose or filtered";
        answers.stream = Some(checked(about, "sample", a_stream)?);
    }
    if answers.is_filtered() && answers.rules.is_empty() {
        let about = "A rule of the filtered stream, such as: climate lang:en -is:retweet";
        let a_rule = |answer: &str| match answer {
            "" => Err("without a rule X sends nothing".to_owned()),
            _ => Ok(()),
        };
        answers.rules.push(checked(about, "", a_rule)?);
        loop {
            let more = question("Another rule (empty: no more)", "")?;
            if more.is_empty() {
                break;
            }
            answers.rules.push(more);
        }
    }
    if answers.token_file.is_none() {
        let proposed = "/etc/twinstream/x-bearer-token";
        let asked = question("File with the X bearer token", proposed)?;
        answers.token_file = Some(asked.into());
    }
    Ok(())
}

/// Which server collects which partitions, if the stream has some.
fn ask_for_partitions(answers: &mut Answers) -> Result<(), Failure> {
    let last = answers.stream_partitions();
    if last == 0 {
        return Ok(());
    }
    let check = |answer: &str| resolve_x::are_partitions(answer, last);
    if answers.partitions.is_none() {
        let whose = if answers.has_secondary() {
            "the primary"
        } else {
            "this server"
        };
        let half = if 2 < last {
            format!("1-{}", last / 2)
        } else {
            "1".to_owned()
        };
        let about = format!("Partitions 1 to {last} that {whose} collects (all, {half}, …)");
        answers.partitions = Some(checked(&about, "all", check)?);
        if answers.has_secondary() && answers.secondary_partitions.is_none() {
            let same = answers.partitions.clone().unwrap_or_default();
            let other = checked("Those that the secondary collects", &same, check)?;
            answers.secondary_partitions = (other != same).then_some(other);
        }
    }
    Ok(())
}

fn ask_for_hosts(host: &str, answers: &mut Answers) -> Result<(), Failure> {
    if answers.primary.is_none() {
        let proposed = if answers.this_is_secondary {
            UNKNOWN_HOSTS[0]
        } else {
            host
        };
        answers.primary = Some(question("Host of the primary", proposed)?);
    }
    if answers.secondary.is_none() {
        let proposed = match (answers.two_servers, answers.this_is_secondary) {
            (true, true) => host,
            (true, false) => UNKNOWN_HOSTS[1],
            _ => "",
        };
        let primary = answers.primary.clone();
        let another = |answer: &str| match &primary {
            Some(primary) if primary.eq_ignore_ascii_case(answer) => {
                Err("that is the primary; the secondary is another machine".to_owned())
            }
            _ => Ok(()),
        };
        let about = "Host of the secondary (empty: there is one server)";
        answers.secondary =
            Some(checked(about, proposed, another)?).filter(|host| !host.is_empty());
    }
    Ok(())
}

/// The file is proved before it is written.
fn check(text: &str, path: &Path, host: &str) -> Result<(), Failure> {
    let folder = std::path::absolute(path)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let home = home::home();
    let me = ThisMachine {
        asked: None,
        host,
        home: home.as_deref(),
    };
    let wrong = |problems: Vec<file::Problem>| {
        let line = |problem: &file::Problem| match &problem.hint {
            Some(hint) => format!("{problem} ({hint})"),
            None => problem.to_string(),
        };
        let lines: Vec<String> = problems.iter().map(line).collect();
        let what = format!(
            "these answers make no valid configuration: {}",
            lines.join("; ")
        );
        Failure::new(Exit::Usage, what).hint("nothing was written")
    };
    let written = file::read(text).map_err(wrong)?;
    let settings = resolve::resolve(&written, folder, &me).map_err(wrong)?;
    settings.mail.transpose().map_err(wrong)?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let cannot = |why: io::Error| {
        Failure::new(
            Exit::Failed,
            format!("cannot write the config: {}", placed(path, &why)),
        )
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    RealDisk.make_folder(folder).map_err(cannot)?;
    // a file that came meanwhile is not overwritten either
    let mut file = RealDisk.create(path).map_err(cannot)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync())
        .map_err(cannot)?;
    RealDisk.sync_folder(folder).map_err(cannot)
}

/// What became of the old settings.
#[derive(Serialize)]
struct Told<'a> {
    lines: &'a [Fate],
}

fn tell_fates(fates: &[Fate], json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(&Told { lines: fates });
    }
    let width = fates
        .iter()
        .map(|fate| fate.key.chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    for fate in fates {
        output::print(&format!(
            "line {:>3}  {:<width$}  {}\n",
            fate.line, fate.key, fate.becomes
        ))?;
    }
    Ok(())
}

fn next(path: &Path, answers: &Answers) -> String {
    let partitions = answers.who_collects().map_or_else(String::new, |words| {
        let stream = answers.stream.as_deref().unwrap_or_default();
        format!("\n{stream}: {words} (`partitions` in the file)")
    });
    let wrote = format!("wrote {}{partitions}", path.display());
    let mut steps = vec![wrote + "\nnext:"];
    let token = answers
        .token_file
        .as_deref()
        .unwrap_or(Path::new("/etc/twinstream/x-bearer-token"));
    if answers.source.takes_token() {
        steps.push(format!(
            "  put the bearer token, and nothing else, into {} (mode 600)",
            token.display()
        ));
    }
    if answers.has_secondary() {
        let unknown = answers.secondary.is_none() || answers.primary.is_none();
        if unknown {
            steps.push(
                "  write the other server's host name into the file; it is the same file on both"
                    .to_owned(),
            );
        }
        steps.push(
            "  give the secondary a key for the primary: see the guide for two servers".to_owned(),
        );
    }
    let config = format!("--config {}", path.display());
    steps.push(format!("  twinstream {config} config check"));
    if answers.is_filtered() {
        steps.push(format!("  twinstream {config} rules push"));
    }
    steps.push(format!("  twinstream {config} check"));
    steps.push(format!("  twinstream {config} service install"));
    steps.join("\n") + "\n"
}
