//! The text of the systemd unit: from what is configured to lines, without touching anything.
//!
//! Written for systemd 252 (Debian 12). Two kinds: a system service under a user of its own, locked up
//! as far as ssh delivery, the children's lower priority and the configured folders allow; and an
//! ordinary user's service. Never as root.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::config::{
    address::Target,
    settings::{Server, Settings},
};

/// Seconds without progress after which systemd ends and restarts the service.
const WATCHDOG_S: u32 = 120;

/// Where a system service's own folders lie; systemd makes them and gives them to the user.
const STATE: &str = "/var/lib";

/// What `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// The secret without which nothing is collected.
const NEEDED: &str = "x-bearer-token";

/// Whose service it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitOwner<'a> {
    /// Of the system, run as that user.
    System {
        /// The user.
        user: &'a str,
    },
    /// Of the user who runs the command.
    User,
}

/// What the unit is made of.
pub(crate) struct Unit<'a> {
    pub(crate) kind: UnitOwner<'a>,
    /// The program, as an absolute path.
    pub(crate) program: &'a Path,
    /// The configuration file, as an absolute path.
    pub(crate) config: &'a Path,
    /// What `--server` said, if it was said.
    pub(crate) server: Option<&'a str>,
    pub(crate) settings: &'a Settings,
}

impl Unit<'_> {
    /// The whole file.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            "# Made by `twinstream service print`; make it again when the configuration gets other folders or secrets.".to_owned(),
            "[Unit]".to_owned(),
            format!("Description=twinstream: {} a public post stream{}", self.does(), self.role()),
            format!("RequiresMountsFor={}", self.mounts()),
        ];
        if let UnitOwner::System { .. } = self.kind {
            lines.extend(
                ["Wants=network-online.target", "After=network-online.target"].map(str::to_owned),
            );
        }
        lines.extend(
            [
                "StartLimitIntervalSec=0",
                "",
                "[Service]",
                "Type=notify",
                "NotifyAccess=main",
            ]
            .map(str::to_owned),
        );
        lines.push(format!("ExecStart={}", self.command()));
        lines.push(
            "# behind a proxy, with `systemctl edit`: Environment=HTTPS_PROXY=http://HOST:PORT"
                .to_owned(),
        );
        lines.extend(["Restart=always", "RestartSec=5"].map(str::to_owned));
        lines.push(format!("WatchdogSec={WATCHDOG_S}"));
        lines.extend(
            [
                "TimeoutStartSec=90",
                "TimeoutStopSec=60",
                "UMask=0027",
                "LimitNOFILE=8192",
                "OOMPolicy=continue",
            ]
            .map(str::to_owned),
        );
        match self.kind {
            UnitOwner::System { user } => self.locked_up(user, &mut lines),
            UnitOwner::User => lines.extend(FOR_ALL.map(str::to_owned)),
        }
        let target = match self.kind {
            UnitOwner::System { .. } => "multi-user.target",
            UnitOwner::User => "default.target",
        };
        lines.extend(["", "[Install]"].map(str::to_owned));
        lines.push(format!("WantedBy={target}"));
        lines.join("\n") + "\n"
    }

    fn is_merger(&self) -> bool {
        let this = self.settings.this_one();
        this.is_some_and(Server::is_merger)
    }

    fn does(&self) -> &'static str {
        if self.is_merger() {
            "merges"
        } else {
            "collects"
        }
    }

    fn role(&self) -> String {
        let this = self.settings.this_one();
        this.map_or_else(String::new, |server| {
            format!(" (server {}, {})", server.id, server.role.name())
        })
    }

    fn command(&self) -> String {
        let mut words = vec![self.program.display().to_string(), "--config".to_owned()];
        words.push(self.config.display().to_string());
        words.extend(
            self.server
                .into_iter()
                .flat_map(|server| ["--server".to_owned(), server.to_owned()]),
        );
        words.push("run".to_owned());
        // `$` begins a variable there, and nowhere else
        let words = words.iter().map(|word| escaped(&word.replace('$', "$$")));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Every folder of the configuration: below a mount point whose disk is not there, each would look
    /// new and empty.
    fn mounts(&self) -> String {
        let folders: BTreeSet<PathBuf> = self.folders().into_iter().collect();
        let words = folders
            .iter()
            .map(|path| escaped(&path.display().to_string()));
        words.collect::<Vec<_>>().join(" ")
    }

    fn folders(&self) -> Vec<PathBuf> {
        let settings = self.settings;
        let mut folders = vec![
            settings.data_dir.clone(),
            settings.spool_dir.name().to_owned(),
            settings.vault_dir.name().to_owned(),
        ];
        folders.extend(self.target().map(Path::to_owned));
        folders
    }

    /// The folder that it delivers to, if it is one of this machine.
    fn target(&self) -> Option<&Path> {
        match self.settings.this_one()?.deliver_to.as_ref()? {
            Target::Folder(target) => Some(target.name()),
            Target::Ssh(_) | Target::Store(_) => None,
        }
    }

    fn locked_up(&self, user: &str, lines: &mut Vec<String>) {
        // the group is the user's own, whatever its name
        lines.push(format!("User={user}"));
        for (name, path) in self.secrets() {
            lines.push(format!(
                "LoadCredential={name}:{}",
                escaped(&path.display().to_string())
            ));
            if name != NEEDED {
                // systemd starts nothing whose credential cannot be read, unless there is something in its place
                lines.push(format!("SetCredential={name}:\\n"));
            }
        }
        let (state, others) = self.writable();
        for name in state {
            lines.push(format!("StateDirectory={}", escaped(&name)));
            lines.push("StateDirectoryMode=0750".to_owned());
        }
        lines.extend(
            FOR_ALL
                .iter()
                .chain(&FOR_SYSTEM)
                .map(|&line| line.to_owned()),
        );
        let below_home = |path: &Path| HOMES.iter().any(|home| path.starts_with(home));
        let read = [self.program, self.config]
            .into_iter()
            .filter(|path| below_home(path));
        let homely: Vec<&PathBuf> = others.iter().filter(|path| below_home(path)).collect();
        let bound: Vec<&Path> = read.collect();
        let hides = if homely.is_empty() && bound.is_empty() {
            "yes"
        } else {
            "tmpfs"
        };
        lines.push(format!("ProtectHome={hides}"));
        for path in bound {
            lines.push(format!(
                "BindReadOnlyPaths={}",
                escaped(&path.display().to_string())
            ));
        }
        for path in &others {
            let key = if below_home(path) {
                "BindPaths"
            } else {
                "ReadWritePaths"
            };
            // the service starts also when the other side's folder is away
            let dash = if self.target() == Some(path.as_path()) {
                "-"
            } else {
                ""
            };
            lines.push(format!(
                "{key}={}",
                escaped(&format!("{dash}{}", path.display()))
            ));
        }
    }

    /// The secrets that the configuration names, under the names by which `run` asks for them.
    fn secrets(&self) -> Vec<(&'static str, &Path)> {
        let mut secrets = Vec::new();
        if let Some(file) = self.settings.stream_token_file()
            && !self.is_merger()
        {
            secrets.push((NEEDED, file));
        }
        if let Some(file) = self
            .settings
            .s3
            .as_ref()
            .and_then(|s3| s3.access_key_file.as_ref())
        {
            secrets.push(("s3-access-key", file));
        }
        if let Some(publish) = &self.settings.publish {
            secrets.push(("osf-token", &publish.token_file));
        }
        if let Some(file) = self
            .settings
            .mail
            .as_ref()
            .and_then(|mail| mail.as_ref().ok()?.password_file.as_ref())
        {
            secrets.push(("mail-password", file));
        }
        if let Some(file) = &self.settings.status.token_file {
            secrets.push(("status-token", file));
        }
        secrets
    }

    /// The folders it writes to: names below `/var/lib`, and others. None inside another.
    fn writable(&self) -> (BTreeSet<String>, BTreeSet<PathBuf>) {
        let mut folders = self.folders();
        folders.sort();
        let (mut state, mut others) = (BTreeSet::new(), BTreeSet::new());
        let mut outer: Option<PathBuf> = None;
        for folder in folders {
            if outer
                .as_ref()
                .is_some_and(|outer| folder.starts_with(outer))
            {
                continue;
            }
            match folder.strip_prefix(STATE).ok().and_then(Path::to_str) {
                Some(name) if !name.is_empty() => drop(state.insert(name.to_owned())),
                _ => drop(others.insert(folder.clone())),
            }
            outer = Some(folder);
        }
        (state, others)
    }
}

/// A word of a unit file as systemd reads it back: `%` begins a specifier.
fn escaped(word: &str) -> String {
    let word = word.replace('%', "%%");
    if word.contains([' ', '"', '\'', '\\']) {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word
    }
}

/// What an ordinary user's manager can do as well. The children lower their own priority. A call that is
/// not allowed fails, and kills nobody: ssh tries some.
const FOR_ALL: [&str; 10] = [
    "NoNewPrivileges=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallFilter=setpriority",
    "SystemCallErrorNumber=EPERM",
];

/// What only the system's manager can do. Not among them: PrivateNetwork and IPAddressDeny, since it
/// speaks to the API, and to the primary.
const FOR_SYSTEM: [&str; 21] = [
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "DevicePolicy=closed",
    "KeyringMode=private",
    "PrivateDevices=yes",
    "PrivateTmp=yes",
    "PrivateUsers=yes",
    "ProcSubset=pid",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProtectSystem=strict",
    "RemoveIPC=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "LimitCORE=0",
    "MemoryMax=2G",
];
