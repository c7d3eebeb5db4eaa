//! `demo`: the whole system on this machine, without keys and without set-up.
//!
//! Everything is real but the platform: child processes of this same binary collect from a
//! simulated API over loopback, one of them is killed on the way, deliveries and the merge run as
//! they would from a timer. Only time is faster, for all of them alike.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{
    args::Global,
    exit::{Exit, Failure},
    output, picture, progress,
};
use crate::{
    period::{Hour, UtcMs},
    report::{certificate, read, statement::Statement},
    segment::{name::ServerId, seal::SEAL_BYTES_MAX, seal::Seal, spool},
    vault::{layout, manifest::Manifest},
    world::{
        clock::{Clock, SimulatedTime},
        disk::{self, Disk as _, RealDisk},
    },
};

/// When the simulated day begins: half a minute before the hour that is shown.
const BEGIN: &str = "2026-11-23T13:59:30Z";
/// The hour that is shown, in the demo's time zone.
const HOUR: &str = "2026-11-23_14";
/// Simulated seconds per second: the hour takes 25 s.
const RATE: f64 = 144.0;
/// Posts per simulated second: about half of what the real stream has.
const POSTS_PER_SECOND: u32 = 20;
/// When server 2 is killed, and when it is started again, in simulated minutes from the begin.
const KILL_MINUTE: i64 = 40;
const RESTART_MINUTE: i64 = 43;
/// When the collectors are told to stop: a minute after the hour's end.
const STOP_MINUTE: i64 = 62;
/// Server 2 delivers so often, in simulated minutes.
const DELIVER_MINUTES: i64 = 10;

/// What goes wrong on the way, besides the kill: each server loses other minutes.
const FAULTS: &str = r#"# what the simulated API does to the two collectors
[[fault]]
at = "12m"
listener = 1
kind = "lockout"
for = "150s"
close = true

[[fault]]
at = "20m"
listener = 2
kind = "error_frame"
disconnect_type = "OperationalDisconnect"

[[fault]]
at = "26m"
listener = 2
kind = "stall"
for = "2m"

[[fault]]
at = "33m"
listener = 1
kind = "garbage"
line = "not_json"
"#;

/// Shows the whole system on this machine: no keys, no set-up, nothing but loopback.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  twinstream demo                     an hour in half a minute, in a new folder below the system's
                                      folder for temporary files
  twinstream demo --dir /tmp/tour     the same, there

The folder stays, so that you can look at every file; remove it when you have seen enough.")]
pub(crate) struct DemoArgs {
    /// Where everything is put: a folder that does not exist yet
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(_global: &Global, args: &DemoArgs) -> Result<Exit, Failure> {
    let demo = Demo::prepare(args)?;
    Demo::say(&format!(
        "Everything goes to {}\n\nCollecting one simulated hour ({HOUR}) on two servers …\n",
        demo.dir.display()
    ))?;
    let _simulator = demo.collect()?;
    Demo::say("\nMerging …\n")?;
    demo.stage(1, &["merge"])?;
    let hour: Hour = HOUR.parse()?;
    demo.stage(1, &["report", &hour.day().to_string()])?;
    Demo::say("Publishing to a simulated OSF …\n")?;
    demo.stage(1, &["publish"])?;
    demo.show()
}

/// A running demo.
struct Demo {
    dir: PathBuf,
    program: PathBuf,
    clock: Clock,
}

/// A child that is ended when the demo ends, however that happens.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // both fail only when it has ended already
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Guarded {
    /// Asks it to stop and waits until it has.
    fn stop(&mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = self.0.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::Failed,
                format!("a collector ended with {status}"),
            ))
        }
    }
}

impl Demo {
    /// Makes the folder, the two configurations and their token.
    fn prepare(args: &DemoArgs) -> Result<Self, Failure> {
        let dir = if let Some(dir) = &args.dir {
            std::path::absolute(dir)?
        } else {
            let stamp = Clock::system().now().to_string().replace([':', '.'], "-");
            std::env::temp_dir().join(format!("twinstream-demo-{stamp}"))
        };
        if dir.exists() {
            return Err(
                Failure::new(Exit::Usage, format!("{} exists already", dir.display()))
                    .hint("name a folder that does not exist yet, or remove this one"),
            );
        }
        RealDisk.make_folder(&dir)?;
        disk::put(&RealDisk, &dir.join("faults.toml"), FAULTS.as_bytes())?;
        let program = std::env::current_exe()?;
        let start: UtcMs = BEGIN.parse()?;
        let clock = Clock::simulated(SimulatedTime { start, rate: RATE });
        Ok(Self {
            dir,
            program,
            clock,
        })
    }

    fn say(text: &str) -> Result<(), Failure> {
        output::print(text)
    }

    /// One file for each server, since the two of them share this machine.
    fn write_config(&self, server: u8, base_url: &str, osf: &str) -> Result<(), Failure> {
        let dir = self.dir.display();
        let text = format!(
            "# server {server} of the demo\n\
             data_dir = \"{dir}/server{server}\"\n\n\
             [x]\n\
             base_url = \"{base_url}\"\n\
             bearer_token_file = \"{dir}/token\"\n\n\
             [[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"server1.example.org\"\n\n\
             [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"server2.example.org\"\n\
             deliver_to = \"{dir}/server1/spool\"\n\n\
             [merge]\nxz = \"fast\"\n\n\
             [publish.osf]\nproject = \"abcde\"\nbase_url = \"{osf}\"\n\
             token_file = \"{dir}/token\"\n"
        );
        let path = self.dir.join(format!("server{server}.toml"));
        Ok(disk::put(&RealDisk, &path, text.as_bytes())?)
    }

    /// This binary, with this demo's time.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(time) = self.clock.to_hand_on() {
            command.arg("--clock").arg(time.to_string());
        }
        command.stdin(Stdio::null());
        command
    }

    /// This binary as one of the servers; its log goes to a file beside its data.
    fn on_server(&self, server: u8) -> Result<Command, Failure> {
        let mut command = self.command();
        command
            .arg("--config")
            .arg(self.dir.join(format!("server{server}.toml")));
        command.args(["--server", &server.to_string()]);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("server{server}.log")))?;
        command.stderr(log);
        Ok(command)
    }

    /// A stage from its start to its end.
    fn stage(&self, server: u8, args: &[&str]) -> Result<(), Failure> {
        let status = self
            .on_server(server)?
            .args(args)
            .stdout(Stdio::null())
            .status()?;
        match status.code() {
            Some(0 | 4) => Ok(()),
            // it was done, and says that something is missing
            Some(5) if args.first() == Some(&"report") => Ok(()),
            _ => Err(Failure::new(
                Exit::Failed,
                format!("{} on server {server} ended with {status}", args.join(" ")),
            )
            .hint(format!(
                "its log is {}/server{server}.log",
                self.dir.display()
            ))),
        }
    }

    fn start_simulator(&self) -> Result<(Guarded, Vec<String>), Failure> {
        let token = format!("{}\n", "A".repeat(22) + "%2Bdemo%3D");
        let path = self.dir.join("token");
        disk::put(&RealDisk, &path, token.as_bytes())?;
        rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o600))?;
        let mut child = self
            .command()
            .args([
                "simulate",
                "--listen",
                "127.0.0.1:0",
                "--listen",
                "127.0.0.1:0",
            ])
            .args(["--seed", "1", "--rate", &POSTS_PER_SECOND.to_string()])
            .args(["--token", token.trim(), "--no-backfill-right"])
            .args(["--osf-token", token.trim(), "--osf"])
            .arg(self.dir.join("osf"))
            .arg("--faults")
            .arg(self.dir.join("faults.toml"))
            .arg("--truth")
            .arg(self.dir.join("truth.jsonl"))
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.dir.join("simulator.log"))?)
            .spawn()?;
        let stdout = child.stdout.take();
        let child = Guarded(child);
        let mut urls = Vec::new();
        if let Some(stdout) = stdout {
            for line in BufReader::new(stdout).lines().take(3) {
                urls.push(line?);
            }
        }
        Ok((child, urls))
    }

    /// Runs the simulated hour: two collectors, deliveries, one kill. The simulator runs on.
    fn collect(&self) -> Result<Guarded, Failure> {
        let (simulator, urls) = self.start_simulator()?;
        let [url_1, url_2, osf] = urls.as_slice() else {
            return Err(
                Failure::new(Exit::Failed, "the simulated API did not start")
                    .hint(format!("its log is {}/simulator.log", self.dir.display())),
            );
        };
        let osf = osf.strip_prefix("osf ").unwrap_or(osf);
        self.write_config(1, url_1, osf)?;
        self.write_config(2, url_2, osf)?;
        let collector =
            |server| Ok::<_, Failure>(Guarded(self.on_server(server)?.arg("collect").spawn()?));
        let mut first = collector(1)?;
        let mut second = Some(collector(2)?);
        let begin: UtcMs = BEGIN.parse()?;
        let bar = progress::bar(u64::try_from(STOP_MINUTE).unwrap_or(0), "simulated minutes");
        for minute in 1..=STOP_MINUTE {
            self.wait_until(begin.plus_ms(minute * 60_000));
            bar.inc(1);
            if minute == KILL_MINUTE {
                second = None;
                bar.println("  server 2 is killed (kill -9) …");
            }
            if minute == RESTART_MINUTE {
                second = Some(collector(2)?);
                bar.println("  … and started again");
            }
            if minute % DELIVER_MINUTES == 0 {
                self.stage(2, &["deliver"])?;
                self.tell_stored(minute, &bar)?;
            }
        }
        bar.finish_and_clear();
        first.stop()?;
        if let Some(mut second) = second {
            second.stop()?;
        }
        self.stage(2, &["deliver"])?;
        // an hour is merged when it has waited for late data
        self.wait_until(begin.plus_ms((STOP_MINUTE + 10) * 60_000));
        Ok(simulator)
    }

    fn wait_until(&self, at: UtcMs) {
        let ms = u64::try_from(at.0 - self.clock.now().0).unwrap_or(0);
        self.clock.block(Duration::from_millis(ms));
    }

    /// One line on how much each server has sealed so far.
    fn tell_stored(&self, minute: i64, bar: &indicatif::ProgressBar) -> Result<(), Failure> {
        let stored = [self.lines_sealed(1)?, self.lines_sealed(2)?];
        let line = format!(
            "  {minute:>3} min   server 1: {:>7} lines   server 2: {:>7} lines, delivered",
            stored[0], stored[1]
        );
        if bar.is_hidden() {
            Self::say(&format!("{line}\n"))
        } else {
            bar.println(line);
            Ok(())
        }
    }

    fn lines_sealed(&self, server: u8) -> Result<u64, Failure> {
        let id: ServerId = server.to_string().parse()?;
        let spool_dir = self.dir.join(format!("server{server}/spool"));
        let mut lines = 0;
        for name in spool::sealed(&RealDisk, &spool_dir, &id)? {
            let path = name.paths(&spool_dir).seal;
            lines += Seal::read(
                &disk::read_bounded(&RealDisk, &path, SEAL_BYTES_MAX)?,
                &name,
            )?
            .segment
            .lines;
        }
        Ok(lines)
    }

    /// The end: the report, the picture, and where everything lies.
    fn show(&self) -> Result<Exit, Failure> {
        let vault = self.dir.join("server1/vault");
        let hour: Hour = HOUR.parse()?;
        let manifest = Manifest::read(&RealDisk, &layout::manifest_path(&vault, hour))?;
        let report = std::fs::read_to_string(layout::report_path(&vault, hour.day()))?;
        Self::say(&format!("\n{}\n{report}\n", picture::of_hour(&manifest)))?;
        let hours = read::hours(
            &RealDisk,
            &layout::day_folder(&vault, hour.day()),
            hour.day(),
        )?;
        let certified = Statement::of(hour.day(), &hours)?;
        Self::say(&format!("{}\n", certificate::headline(&certified)))?;
        let status = Command::new(&self.program)
            .arg("verify")
            .arg(&vault)
            .status()?;
        Self::say(&format!(
            "\nWhere everything lies, below {dir}:\n\
             \x20 server1/vault/           the archive: IDs, tweets, users, manifests, report, gaps, ledger\n\
             \x20 server1/vault/2026-11-23/2026-11-23_certificate.txt and .svg   what it has, what not, and why\n\
             \x20 osf/storage/             what is public: IDs, manifest, the day's files, ledger; no post's text\n\
             \x20 server1/spool/, server2/spool/   what the collectors received, minute by minute\n\
             \x20 server1.log, server2.log what the stages said;  truth.jsonl  what the simulator did\n\
             Look at it:\n\
             \x20 xzcat {vault}/2026-11-23/{HOUR}_tweets.csv.xz | head -3\n\
             \x20 {program} inspect {vault}/2026-11-23/{HOUR}_manifest.json\n",
            dir = self.dir.display(),
            vault = vault.display(),
            program = shown(&self.program),
        ))?;
        Ok(if status.success() {
            Exit::Done
        } else {
            Exit::Failed
        })
    }
}

/// The program as a person would type it.
fn shown(program: &Path) -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| program.display().to_string())
}
