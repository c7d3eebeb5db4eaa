//! The demo's place: simulated services, and this binary as each of the servers.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    exit::{Exit, Failure},
    global::Global,
    platform::{self, Platform},
    setup::{self, Loaded, Setup},
    status, stream,
};
use crate::{
    config::{
        file::Written,
        rehearsal::SimulatedServices,
        settings::{Role, Server, Settings},
    },
    monitor::http::Page,
    period::UtcMs,
    segment::{
        seal::{SEAL_BYTES_MAX, Seal},
        spool,
    },
    world::{
        clock::{Clock, SimulatedTime},
        disk::{self, RealDisk},
    },
};

/// An instant in the hour that is shown: 2026-11-23T14:00:00Z.
pub(crate) const BEGIN: UtcMs = UtcMs(1_795_442_400_000);
/// Simulated seconds per second: the hour takes 25 s.
pub(crate) const RATE: f64 = 144.0;

/// The token that every simulated service accepts.
const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAA%2Bdemo%3D";

/// What a child must not find: secrets and the service manager are the user's.
const NOT_HANDED_ON: [&str; 5] = [
    setup::TOKEN_VARIABLE,
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "TWINSTREAM_CONFIG",
    "TWINSTREAM_SERVER",
];

/// One folder, one time, one configuration for all.
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) clock: Clock,
    /// The configuration that is rehearsed, as it is written, and what it says.
    pub(crate) written: Written,
    pub(crate) settings: Settings,
    pub(crate) posts: u32,
}

/// A child that is ended when the demo ends, however that happens.
pub(crate) struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // both fail only when it has ended already
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Guarded {
    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
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

impl Site {
    /// The server that merges.
    pub(crate) fn primary(&self) -> Result<&Server, Failure> {
        let mut servers = self.settings.servers.iter();
        let primary = servers.find(|server| server.role == Role::Primary);
        primary.ok_or_else(|| {
            Failure::new(
                Exit::Configuration,
                "the primary has ended for good (`until`)",
            )
            .hint("set role = \"primary\" on a server that remains")
        })
    }

    /// What is rehearsed.
    pub(crate) fn platform(&self) -> &'static dyn Platform {
        platform::of(self.settings.source)
    }

    /// Starts the simulated services and writes each server's configuration.
    pub(crate) fn start(&self) -> Result<Guarded, Failure> {
        self.primary()?;
        let token_file = self.dir.join("token");
        disk::put(&RealDisk, &token_file, format!("{TOKEN}\n").as_bytes())?;
        rustix::fs::chmod(&token_file, rustix::fs::Mode::from_raw_mode(0o600))?;
        let (simulator, said) = self.start_simulator()?;
        let after = |word: &str| {
            let mut lines = said.iter();
            lines.find_map(|line| line.strip_prefix(word).map(str::to_owned))
        };
        let port = after("smtp ").and_then(|address| address.rsplit(':').next()?.parse().ok());
        let (urls, _services) = said.split_at(self.settings.servers.len());
        for (server, base_url) in self.settings.servers.iter().zip(urls) {
            let services = SimulatedServices {
                dir: self.dir.clone(),
                stream: self.platform().stands_at(base_url, urls),
                token_file: token_file.clone(),
                osf: after("osf "),
                mail_port: port,
            };
            let text = services.to_toml(&self.written, &self.settings.servers, server);
            disk::put(&RealDisk, &self.config(server), text.as_bytes())?;
        }
        let stream = stream::of(&self.settings);
        if stream.source.has_rules(stream.word) {
            self.stage(self.primary()?, &["rules", "push"])?;
        }
        Ok(simulator)
    }

    fn start_simulator(&self) -> Result<(Guarded, Vec<String>), Failure> {
        let servers = self.settings.servers.len();
        let path = self.dir.join("faults.toml");
        let faults = self.platform().faults(servers);
        disk::put(&RealDisk, &path, faults.as_bytes())?;
        let mut command = self.command();
        command.arg("simulate");
        for _server in &self.settings.servers {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
            .args(["--seed", "1", "--rate", &self.posts.to_string()])
            .arg("--faults")
            .arg(path)
            .arg("--truth")
            .arg(self.dir.join("truth.jsonl"));
        self.platform()
            .simulate(&self.settings, TOKEN, &mut command);
        let mut lines = servers;
        if let Some(publish) = &self.settings.publish {
            command.args(["--osf-token", TOKEN, "--osf-project", &publish.project]);
            command.arg("--osf").arg(self.dir.join("osf"));
            lines += 1;
        }
        if self.settings.mail.is_some() {
            command.arg("--smtp").arg(self.dir.join("mail"));
            lines += 1;
        }
        let log = std::fs::File::create(self.dir.join("simulator.log"))?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take();
        let child = Guarded(child);
        let mut said = Vec::new();
        if let Some(stdout) = stdout {
            for line in BufReader::new(stdout).lines().take(lines) {
                said.push(line?);
            }
        }
        if said.len() < lines {
            let hint = format!("its log is {}/simulator.log", self.dir.display());
            return Err(Failure::new(Exit::Failed, "the simulator did not start").hint(hint));
        }
        Ok((child, said))
    }

    fn config(&self, server: &Server) -> PathBuf {
        self.dir.join(format!("server{}.toml", server.id))
    }

    fn log(&self, server: &Server) -> PathBuf {
        self.dir.join(format!("server{}.log", server.id))
    }

    /// This binary, with this demo's time.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for variable in NOT_HANDED_ON {
            command.env_remove(variable);
        }
        if let Some(time) = self.clock.to_hand_on() {
            command.arg("--clock").arg(time.to_string());
        }
        command.stdin(Stdio::null());
        command
    }

    /// This binary as one of the servers; its log goes to a file beside its data.
    fn on_server(&self, server: &Server) -> Result<Command, Failure> {
        let mut command = self.command();
        command.arg("--config").arg(self.config(server));
        command.args(["--server", server.id.as_str()]);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log(server))?;
        command.stderr(log);
        Ok(command)
    }

    /// Serves the primary's page for as long as this process lives; gives its address. No alarms are
    /// judged, as `run` does: at this pace the moment that a process takes to start would be one.
    pub(crate) fn page(&self, global: &Global, clock: Clock) -> Result<String, Failure> {
        let primary = self.primary()?;
        let global = Global {
            config: Some(self.config(primary)),
            server: Some(primary.id.to_string()),
            ..global.clone()
        };
        let Loaded { path, settings, .. } = setup::load_file(&global)?;
        let setup = Setup {
            path,
            settings,
            clock,
            adopt: false,
        };
        let listener = Page::listen(([127, 0, 0, 1], 0).into())?;
        let address = listener.local_addr()?;
        let page = Page {
            monitor: Arc::new(status::monitor(&setup)),
            token: None,
        };
        thread::Builder::new()
            .name("page".to_owned())
            .spawn(move || page.run(listener))?;
        Ok(format!("http://{address}/"))
    }

    /// A collector that runs until it is stopped or killed.
    pub(crate) fn collector(&self, server: &Server) -> Result<Guarded, Failure> {
        Ok(Guarded(self.on_server(server)?.arg("collect").spawn()?))
    }

    /// Every secondary delivers.
    pub(crate) fn deliver(&self) -> Result<(), Failure> {
        let secondaries = self.settings.servers.iter();
        for server in secondaries.filter(|server| server.role == Role::Secondary) {
            self.stage(server, &["deliver"])?;
        }
        Ok(())
    }

    /// A stage from its start to its end.
    pub(crate) fn stage(&self, server: &Server, args: &[&str]) -> Result<(), Failure> {
        let mut command = self.on_server(server)?;
        let status = command.args(args).stdout(Stdio::null()).status()?;
        match status.code() {
            Some(0 | 4) => Ok(()),
            // it was done, and says that something is missing
            Some(5) if args.first() == Some(&"report") => Ok(()),
            _ => {
                let what = format!(
                    "{} on server {} ended with {status}",
                    args.join(" "),
                    server.id
                );
                let hint = format!("its log is {}", self.log(server).display());
                Err(Failure::new(Exit::Failed, what).hint(hint))
            }
        }
    }

    /// Whether all of a vault holds; what is found is printed.
    pub(crate) fn verify(&self, vault: &Path) -> Result<bool, Failure> {
        let status = Command::new(&self.program)
            .arg("verify")
            .arg(vault)
            .status();
        Ok(status?.success())
    }

    /// Goes on at that time, whatever it is now. The simulated services stay where they are.
    pub(crate) fn go_to(&mut self, start: UtcMs) {
        if let Some(time) = self.clock.to_hand_on() {
            self.clock = Clock::simulated(SimulatedTime { start, ..time });
        }
    }

    pub(crate) fn wait_until(&self, at: UtcMs) {
        let ms = u64::try_from(at.0 - self.clock.now().0).unwrap_or(0);
        self.clock.block(Duration::from_millis(ms));
    }

    /// How much a server has sealed so far.
    pub(crate) fn lines_sealed(&self, server: &Server) -> Result<u64, Failure> {
        let spool_dir = SimulatedServices::data_dir(&self.dir, server).join("spool");
        let mut lines = 0;
        for name in spool::sealed(&RealDisk, &spool_dir, &server.id)?.found {
            let path = name.paths(&spool_dir).seal;
            let bytes = disk::read_bounded(&RealDisk, &path, SEAL_BYTES_MAX)?;
            lines += Seal::read(&bytes, &name)?.segment.lines;
        }
        Ok(lines)
    }
}
