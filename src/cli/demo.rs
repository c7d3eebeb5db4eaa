//! `demo`: the whole system on this machine, without keys and without set-up.
//!
//! Everything is real but the platform: child processes of this same binary collect from a
//! simulated stream over loopback, one of them is killed on the way, deliveries and the merge run as
//! they would from a timer. Only time is faster, for all of them alike. With `--config` it is a
//! rehearsal: the user's own servers, time zone and formats, in a folder of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    demo_site::{BEGIN, RATE, Site},
    exit::{Exit, Failure},
    global::{Global, SourceArg, users_path},
    output, picture, progress, setup, stream,
};
use crate::{
    config::{
        file::{self, Written},
        rehearsal,
        resolve::{self, ThisMachine},
        settings::{Server, Settings},
    },
    period::{Day, Hour, UtcMs},
    report::{certificate, read, statement::Statement},
    vault::{layout, manifest::Manifest},
    world::{
        clock::{Clock, SimulatedTime},
        disk::{Disk as _, RealDisk},
        users_file,
    },
};

/// What the demo rehearses when the user has nothing of their own yet.
const CONFIG: &str = r#"
[[servers]]
id = "1"
role = "primary"
host = "server1.example.org"

[[servers]]
id = "2"
role = "secondary"
host = "server2.example.org"
deliver_to = "/replaced"

[merge]
xz = "fast"

[mail]
host = "mail.example.org"
from = "twinstream@example.org"
to = ["me@example.org"]
"#;

/// … and what of it is published.
const PUBLISHED: &str = r#"
[publish.osf]
project = "abcde"

[dataset]
title = "A simulated hour: no posts of anybody"
creators = [{ name = "Example, Ada", orcid = "0000-0002-1825-0097", affiliation = "Nowhere University (simulated)" }]
description = "Made by `twinstream demo` from a simulator, to show what the files look like. It must not be cited."
keywords = ["simulated", "demonstration"]
"#;

/// How long before the hour that is shown everything begins.
const LEAD_MS: i64 = 30_000;
/// When the last server is killed, and when it is started again, in simulated minutes from the begin.
const KILL_MINUTE: i64 = 40;
const RESTART_MINUTE: i64 = 43;
/// The collectors are told to stop a minute and a half after the hour's end.
const AFTER_MINUTES: i64 = 2;
/// Merging begins so much after the settle time.
const MARGIN: Duration = Duration::from_mins(10);
/// Secondaries deliver so often, in simulated minutes.
const DELIVER_MINUTES: i64 = 10;

/// Simulates the whole system on this machine: needs no keys and no set-up, uses only loopback.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream demo                     an hour in less than a minute, in a new folder below the
                                      system's folder for temporary files
  twinstream demo --dir /tmp/tour     the same, in that folder
  twinstream demo --source bluesky    the same with two simulated instances of Bluesky's Jetstream
  twinstream demo --config FILE       a rehearsal of your own set-up: its servers, time zone,
                                      formats, settle time, project and addresses
  twinstream demo --keep              keeps serving the status page at the end

A rehearsal connects to simulated services only and reads no secret. It replaces or leaves out
everything real: data folders, tokens, API, ssh, OSF, mail server, page, and the command of [hook];
it lists what it replaced. The folder is kept, so that you can look at every file; delete it when
you no longer need it.")]
pub(crate) struct DemoArgs {
    /// The folder for everything; it must not exist yet
    #[arg(value_parser = users_path(), long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Which platform is simulated; with --config, the one of that file
    #[arg(long, value_enum)]
    source: Option<SourceArg>,
    /// Keep serving the status page at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Posts per simulated second: about half of what the real stream has
    #[arg(long, hide = true, value_name = "N", default_value_t = 20)]
    posts: u32,
}

pub(crate) fn run(global: &Global, args: &DemoArgs) -> Result<Exit, Failure> {
    let mut demo = Demo::prepare(global, args)?;
    demo.announce()?;
    let simulator = demo.collect(global)?;
    demo.let_it_settle();
    say("\nMerging …\n")?;
    let primary = demo.site.primary()?;
    demo.site.stage(primary, &["merge"])?;
    let day = demo.hour.day().to_string();
    let before = Day(demo.hour.day().0 - 1);
    // posts may have times of before the archive began
    let vault = rehearsal::SimulatedServices::data_dir(&demo.site.dir, primary).join("vault");
    if layout::day_folder(&vault, before).exists() {
        demo.site.stage(primary, &["report", &before.to_string()])?;
    }
    let settings = &demo.site.settings;
    if settings.mail.is_some() {
        demo.site.stage(primary, &["report", &day, "--mail"])?;
    } else {
        demo.site.stage(primary, &["report", &day])?;
    }
    if settings.publish.is_some() {
        say("Publishing to a simulated OSF …\n")?;
        demo.site.stage(primary, &["publish"])?;
    }
    let exit = demo.show(primary)?;
    drop(simulator);
    if args.keep {
        demo.keep_page(global)?;
    }
    Ok(exit)
}

fn say(text: &str) -> Result<(), Failure> {
    output::print(text)
}

/// A running demo.
struct Demo {
    site: Site,
    /// The hour that is shown, in the vault's time zone, and when everything begins.
    hour: Hour,
    begin: UtcMs,
    /// When collecting ends, in minutes after the begin.
    minutes: i64,
    /// The user's file, if it is a rehearsal of one.
    of: Option<PathBuf>,
}

impl Demo {
    /// Makes the folder; everything that can be wrong is found before.
    fn prepare(global: &Global, args: &DemoArgs) -> Result<Self, Failure> {
        let (of, written, mut settings) = configuration(global, args.source)?;
        settings.servers.retain(|server| server.until.is_none());
        let dir = new_folder(args, of.as_ref().map(|_| &settings))?;
        let time = global.clock.unwrap_or(SimulatedTime {
            start: BEGIN,
            rate: RATE,
        });
        let zone = &settings.merge.timezone;
        let hour = zone.hour_of(time.start);
        let interval = zone.intervals(hour).into_iter().next();
        let interval = interval.ok_or_else(|| Failure::new(Exit::Failed, "no such hour"))?;
        let begin = interval.begin.plus_ms(-LEAD_MS);
        RealDisk.make_folder(&dir)?;
        let site = Site {
            program: std::env::current_exe()?,
            clock: Clock::simulated(SimulatedTime {
                start: begin,
                rate: time.rate,
            }),
            dir,
            written,
            settings,
            posts: args.posts,
        };
        // faults and kill come at fixed minutes; only the end hangs on how long the hour is
        let minutes = interval.seconds() / 60 + AFTER_MINUTES;
        Ok(Self {
            site,
            hour,
            begin,
            minutes,
            of,
        })
    }

    /// What is going to happen, and with what.
    fn announce(&self) -> Result<(), Failure> {
        let Site { dir, settings, .. } = &self.site;
        say(&format!("Everything goes to {}\n", dir.display()))?;
        if let Some(file) = &self.of {
            let replaced = rehearsal::replaced(&self.site.written);
            let replaced = match replaced.as_slice() {
                [] => "nothing".to_owned(),
                keys => keys.join(", "),
            };
            say(&format!(
                "A rehearsal of {}. Simulated: {}{}{}.\n\
                 Of what it says, this is replaced or left out: {replaced}.\n",
                file.display(),
                self.site.platform().simulated(),
                settings.publish.as_ref().map_or("", |_| ", OSF"),
                settings.mail.as_ref().map_or("", |_| ", mail server"),
            ))?;
        }
        say(&format!(
            "\nCollecting one simulated hour ({}) on {} …\n",
            self.hour,
            match settings.servers.len() {
                1 => "one server".to_owned(),
                2 => "two servers".to_owned(),
                n => format!("{n} servers"),
            }
        ))
    }

    /// Runs the simulated hour: collectors, deliveries, one kill. The simulated services run on.
    fn collect(&self, global: &Global) -> Result<super::demo_site::Guarded, Failure> {
        let site = &self.site;
        let simulator = site.start()?;
        let mut collectors = Vec::new();
        for server in &site.settings.servers {
            collectors.push(Some((server, site.collector(server)?)));
        }
        let page = site.page(global, site.clock.clone())?;
        say(&format!("The status page, while this runs: {page}\n"))?;
        let bar = progress::bar(
            u64::try_from(self.minutes).unwrap_or(0),
            "simulated minutes",
        );
        for minute in 1..=self.minutes {
            site.wait_until(self.begin.plus_ms(minute * 60_000));
            bar.inc(1);
            if minute == KILL_MINUTE
                && let Some(last) = collectors.last_mut()
            {
                let killed = last.take();
                let id = killed.as_ref().map(|(server, _)| server.id.to_string());
                bar.println(format!(
                    "  server {} is killed (kill -9) …",
                    id.unwrap_or_default()
                ));
            }
            if minute == RESTART_MINUTE
                && let (Some(last), Some(server)) =
                    (collectors.last_mut(), site.settings.servers.last())
            {
                *last = Some((server, site.collector(server)?));
                bar.println("  … and started again");
            }
            if minute % DELIVER_MINUTES == 0 {
                site.deliver()?;
                self.tell_stored(minute, &bar)?;
            }
        }
        bar.finish_and_clear();
        for (_, mut collector) in collectors.into_iter().flatten() {
            collector.stop()?;
        }
        site.deliver()?;
        Ok(simulator)
    }

    /// Serves the page as it is at the end; its time continues with the viewer's.
    fn keep_page(&self, global: &Global) -> Result<(), Failure> {
        let now = SimulatedTime {
            start: self.site.clock.now(),
            rate: 1.0,
        };
        let page = self.site.page(global, Clock::simulated(now))?;
        say(&format!("\nThe status page, until Ctrl-C: {page}\n"))?;
        loop {
            Clock::system().block(Duration::from_hours(1));
        }
    }

    /// However slow this machine is and however long the settle time, the hour is due and the next
    /// one is not.
    fn let_it_settle(&mut self) {
        let settle = self.site.settings.merge.settle + MARGIN;
        let settle_ms = i64::try_from(settle.as_millis()).unwrap_or(i64::MAX / 4);
        let end = self.begin.plus_ms(self.minutes * 60_000);
        self.site.go_to(end.plus_ms(settle_ms));
    }

    /// One line on how much each server has sealed so far.
    fn tell_stored(&self, minute: i64, bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        let of = |server: &Server| {
            let lines = self.site.lines_sealed(server)?;
            Ok(format!("   server {}: {lines:>7} lines", server.id))
        };
        let servers = self.site.settings.servers.iter();
        let servers = servers.map(of).collect::<Result<Vec<_>, Failure>>()?;
        let delivered = if servers.len() > 1 { ", delivered" } else { "" };
        let line = format!("  {minute:>3} min{}{delivered}", servers.concat());
        if bar.is_hidden() {
            say(&format!("{line}\n"))
        } else {
            bar.println(line);
            Ok(())
        }
    }

    /// The end: the report, the picture, and where everything lies.
    fn show(&self, primary: &Server) -> Result<Exit, Failure> {
        let Site { dir, settings, .. } = &self.site;
        let home = rehearsal::SimulatedServices::data_dir(dir, primary);
        let vault = home.join("vault");
        let (hour, day) = (self.hour, self.hour.day());
        let manifest = Manifest::read(&RealDisk, &layout::manifest_path(&vault, hour))?;
        let report = std::fs::read_to_string(layout::report_path(&vault, day))?;
        say(&format!("\n{}\n{report}\n", picture::of_hour(&manifest)))?;
        let said = read::day(&RealDisk, &layout::day_folder(&vault, day), day)?;
        let certified = Statement::of(day, said)?;
        say(&format!("{}\n", certificate::headline(&certified)))?;
        let verified = self.site.verify(&vault)?;
        let name = home.file_name().unwrap_or_default().to_string_lossy();
        let table = stream::of(settings).source.table().name;
        let mut text = format!(
            "\nWhere everything is, below {dir}:\n\
             \x20 {name}/vault/           the archive: IDs, {table}, users, manifests, report, gaps, ledger\n\
             \x20 {name}/vault/{day}/{day}_certificate.txt, .svg and .json   what it has, what it lacks, and why\n",
            dir = dir.display(),
        );
        if settings.publish.is_some() {
            text += "  osf/storage/             what is public: IDs, manifest, the day's files, ledger, DATASET.md; no texts of posts\n";
        }
        if settings.mail.is_some() {
            text += "  mail/                    the mails that were sent: the day's report\n";
        }
        say(&text)?;
        say(&format!(
            "  server*/spool/           what the collectors received, minute by minute\n\
             \x20 server*.log              the logs of the stages;  truth.jsonl  what the simulator did\n\
             Look at it:\n\
             \x20 xzcat {vault}/{day}/{hour}_{table}.csv.xz | head -3\n\
             \x20 {program} inspect {vault}/{day}/{hour}_manifest.json\n\
             \x20 {program} gaps --config {dir}/{name}.toml --server {id}\n",
            dir = dir.display(),
            vault = vault.display(),
            program = shown(&self.site.program),
            id = primary.id,
        ))?;
        Ok(if verified { Exit::Done } else { Exit::Failed })
    }
}

/// The user's configuration if one is named, else the demo's own.
fn configuration(
    global: &Global,
    source: Option<SourceArg>,
) -> Result<(Option<PathBuf>, Written, Settings), Failure> {
    if global.config.is_some() {
        if source.is_some() {
            let what = "--source does not go with --config, which says what is collected";
            return Err(Failure::new(Exit::Usage, what));
        }
        let loaded = setup::load_file(global)?;
        return Ok((Some(loaded.path), loaded.written, loaded.settings));
    }
    let told = |problems: Vec<file::Problem>| {
        let first = problems.first().map(ToString::to_string);
        Failure::new(Exit::Configuration, first.unwrap_or_default())
    };
    let text = match source.unwrap_or_default() {
        SourceArg::X => [CONFIG, PUBLISHED].concat(),
        SourceArg::Bluesky => format!("source = \"bluesky\"\n{CONFIG}{PUBLISHED}"),
    };
    let written = file::read(&text).map_err(told)?;
    let settings =
        resolve::resolve(&written, Path::new("/"), &ThisMachine::default()).map_err(told)?;
    Ok((None, written, settings))
}

/// A folder that is not there yet, and not within what is the user's.
fn new_folder(args: &DemoArgs, users: Option<&Settings>) -> Result<PathBuf, Failure> {
    let dir = if let Some(dir) = &args.dir {
        std::path::absolute(dir)?
    } else {
        let stamp = Clock::system().now().to_string().replace([':', '.'], "-");
        std::env::temp_dir().join(format!("twinstream-demo-{stamp}"))
    };
    let hint = "name a folder that does not exist yet, for example --dir /tmp/rehearsal";
    if dir.exists() {
        let what = format!("{} exists already", dir.display());
        return Err(Failure::new(Exit::Usage, what).hint(hint));
    }
    let mine = users.map(|users| {
        [
            users.data_dir.as_path(),
            users.spool_dir.name(),
            users.vault_dir.name(),
        ]
    });
    for folder in mine.into_iter().flatten() {
        if users_file::real(&dir).starts_with(users_file::real(folder)) {
            let what = format!(
                "{} is inside {}, where your own data is",
                dir.display(),
                folder.display()
            );
            return Err(Failure::new(Exit::Usage, what).hint(hint));
        }
    }
    Ok(dir)
}

/// The program as a person would type it.
fn shown(program: &Path) -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| program.display().to_string())
}
