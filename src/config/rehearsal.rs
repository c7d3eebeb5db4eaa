//! The user's configuration with a simulated world around it: what `demo` and its rehearsals go by.
//!
//! Only settings that stay on this machine and within the rehearsal's folder are taken over. The list says what is
//! kept, not what is left out: so a key that is added later reaches nothing outside before somebody has thought about
//! it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    file::{Entry, Value, Written},
    settings::{Role, Server},
};

/// What is taken over as it is.
const KEPT: &[&str] = &[
    "x.stream",
    "x.partitions",
    "x.rules",
    "x.fields",
    "x.backfill",
    "x.max_line",
    "bluesky.overlap",
    "bluesky.honour_deletions",
    "deliver.every",
    "deliver.keep_delivered",
    "merge.timezone",
    "merge.settle",
    "merge.formats",
    "merge.xz",
    "merge.keep_raw",
    "merge.keep_free",
    "merge.orphans",
    "merge.keep_superseded",
    "publish.forbid",
    "publish.osf.project",
    "publish.osf.every",
    "publish.osf.ids_per_30_days",
    "mail.from",
    "mail.to",
    "mail.helo",
    "mail.daily_report_at",
    "dataset.title",
    "dataset.creators",
    "dataset.description",
    "dataset.licence",
    "dataset.keywords",
    "dataset.funding",
    "dataset.related",
];

/// The services that replace the outside world.
#[derive(Debug, Clone)]
pub struct SimulatedServices {
    /// The rehearsal's folder.
    pub dir: PathBuf,
    /// Where the simulated stream is.
    pub stream: Simulated,
    /// Holds the token of the simulated services.
    pub token_file: PathBuf,
    /// The simulated OSF, if the configuration publishes.
    pub osf: Option<String>,
    /// The simulated mail server's port, if the configuration mails.
    pub mail_port: Option<u16>,
}

/// A simulated stream.
#[derive(Debug, Clone)]
pub enum Simulated {
    /// The API's address for this server.
    X { base_url: String },
    /// The instances of Jetstream, which all servers know.
    Bluesky { endpoints: Vec<String> },
}

impl SimulatedServices {
    /// Where a server of the rehearsal keeps everything.
    pub fn data_dir(dir: &Path, server: &Server) -> PathBuf {
        dir.join(format!("server{}", server.id))
    }

    /// The configuration file of a server; the other ones are `servers`, the primary among them.
    pub fn to_toml(&self, written: &Written, servers: &[Server], this: &Server) -> String {
        let text = |text: String| Value::Text(text);
        let path = |path: &Path| Value::Text(path.display().to_string());
        let mut values = vec![("data_dir", path(&Self::data_dir(&self.dir, this)))];
        match &self.stream {
            Simulated::X { base_url } => values.extend([
                ("x.base_url", text(base_url.clone())),
                ("x.bearer_token_file", path(&self.token_file)),
            ]),
            Simulated::Bluesky { endpoints } => values.extend([
                ("source", text("bluesky".to_owned())),
                ("bluesky.endpoints", Value::List(endpoints.clone())),
            ]),
        }
        if let Some(osf) = &self.osf {
            values.push(("publish.osf.base_url", text(osf.clone())));
            values.push(("publish.osf.token_file", path(&self.token_file)));
        }
        if let Some(port) = self.mail_port {
            values.push(("mail.host", text("127.0.0.1".to_owned())));
            values.push(("mail.port", Value::Integer(i64::from(port))));
            values.push(("mail.tls", text("none".to_owned())));
        }
        let kept = KEPT.iter().filter_map(|key| {
            let Entry { value, .. } = written.entries.get(*key)?;
            Some((*key, value.clone()))
        });
        values.extend(kept);
        // a table's keys stand together, and those of none come first
        values.sort_by_key(|(key, _)| table(key));
        let mut lines = vec![format!("# server {} of the rehearsal", this.id)];
        let mut open = "";
        for (key, value) in &values {
            if table(key) != open {
                open = table(key);
                lines.push(format!("\n[{open}]"));
            }
            let name = key.rsplit('.').next().unwrap_or(key);
            lines.push(format!("{name} = {}", toml(value)));
        }
        for server in servers {
            lines.push(self.server(server, servers));
        }
        lines.join("\n") + "\n"
    }

    fn server(&self, server: &Server, all: &[Server]) -> String {
        let quoted = |text: &str| toml(&Value::Text(text.to_owned()));
        let role = server.role.name();
        let primary = all.iter().find(|server| server.role == Role::Primary);
        let deliver_to = match (server.role, primary) {
            (Role::Secondary, Some(primary)) => {
                let spool = Self::data_dir(&self.dir, primary).join("spool");
                format!("\ndeliver_to = {}", quoted(&spool.display().to_string()))
            }
            _ => String::new(),
        };
        let partitions: Vec<String> = server
            .partitions
            .iter()
            .map(|one| one.number().to_string())
            .collect();
        let partitions = match partitions.join(",") {
            none if none.is_empty() => none,
            some => format!("\npartitions = {}", quoted(&some)),
        };
        format!(
            "\n[[servers]]\nid = {}\nrole = \"{role}\"\nhost = {}{partitions}{deliver_to}",
            quoted(server.id.as_str()),
            quoted(&server.host)
        )
    }
}

/// The keys that are written and that a rehearsal does not take over, each of them named.
pub fn replaced(written: &Written) -> Vec<&str> {
    let keys = written.entries.keys().map(String::as_str);
    let delivers = |entries: &BTreeMap<String, Entry>| entries.contains_key("deliver_to");
    let targets = written.servers.iter().any(|(_, entries)| delivers(entries));
    keys.filter(|key| !KEPT.contains(key))
        .chain(targets.then_some("deliver_to"))
        .collect()
}

fn table(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

fn toml(value: &Value) -> String {
    let text = |text: &String| toml::Value::String(text.clone()).to_string();
    match value {
        Value::Text(value) => text(value),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::List(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Tables(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        address::Target,
        file,
        platform::Platform,
        resolve::{ThisMachine, resolve},
        settings::{MailTls, Settings},
    };

    /// What a rehearsal puts its own in the place of, or does without. A new key belongs here or
    /// into `KEPT`.
    const NOT_KEPT: &[&str] = &[
        "source",
        "bluesky.collections",
        "bluesky.endpoints",
        "bluesky.compress",
        "bluesky.dictionary_file",
        "data_dir",
        "spool_dir",
        "vault_dir",
        "publisher",
        "s3.endpoint",
        "s3.region",
        "s3.access_key_file",
        "s3.ca_file",
        "x.base_url",
        "x.bearer_token_file",
        "deliver.ssh_options",
        "hook.after_hour",
        "publish.osf.storage",
        "publish.osf.token_file",
        "publish.osf.base_url",
        "witness.tsa",
        "witness.tsa_ca_file",
        "witness.every",
        "mail.host",
        "mail.port",
        "mail.tls",
        "mail.user",
        "mail.password_file",
        "status.listen",
        "status.token_file",
    ];

    const ALONE: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n";

    const EVERYTHING: &str = r#"
source = "x"
data_dir = "/real/data"
spool_dir = "/real/spool"
vault_dir = "/real/vault"
publisher = "west"
[s3]
endpoint = "https://real.example.org"
region = "real"
access_key_file = "/real/access-key"
ca_file = "/real/s3-ca.pem"
[x]
base_url = "https://real.example.org"
bearer_token_file = "/real/token"
fields = "all"
backfill = false
max_line = "1MiB"
[bluesky]
collections = ["com.real.post"]
endpoints = ["wss://real.example.org"]
overlap = "2s"
compress = false
dictionary_file = "/real/dictionary"
honour_deletions = "daily"
[[servers]]
id = "east"
role = "secondary"
host = "east.example.org"
deliver_to = "ssh://u@real.example.org/real/spool"
[[servers]]
id = "west"
role = "primary"
host = "real \" host"
[deliver]
every = "2m"
keep_delivered = "1h"
ssh_options = ["-i", "/real/key"]
[merge]
timezone = "Asia/Kolkata"
settle = "1m"
formats = ["csv"]
xz = "small"
keep_raw = "forever"
keep_free = "1MiB"
[hook]
after_hour = ["/real/program"]
[publish.osf]
project = "zyxwv"
storage = "real"
token_file = "/real/osf-token"
base_url = "https://real.example.org"
every = "1h"
ids_per_30_days = 77
[witness]
tsa = "https://real.example.org/tsr"
tsa_ca_file = "/real/ca.pem"
every = "2d"
[mail]
host = "real.example.org"
port = 25
tls = "implicit"
user = "real"
password_file = "/real/password"
from = "a@example.org"
to = ["b@example.org", "c@example.org"]
helo = "b.example.org"
daily_report_at = "03:00"
[status]
listen = "0.0.0.0:8430"
token_file = "/real/status-token"
"#;

    fn settings(text: &str) -> (Written, Settings) {
        let written = file::read(text).unwrap();
        let settings = resolve(&written, Path::new("/etc/t"), &ThisMachine::default())
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        (written, settings)
    }

    fn services() -> SimulatedServices {
        SimulatedServices {
            dir: "/tmp/scratch".into(),
            stream: Simulated::X {
                base_url: "http://127.0.0.1:1".to_owned(),
            },
            token_file: "/tmp/scratch/token".into(),
            osf: Some("http://127.0.0.1:2".to_owned()),
            mail_port: Some(3),
        }
    }

    #[test]
    fn of_every_key_it_is_known_whether_it_is_kept() {
        let mut known: Vec<&str> = [KEPT, NOT_KEPT].concat();
        known.sort_unstable();
        let mut keys = file::KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(known, keys);
        let (written, _) = settings(EVERYTHING);
        let mut not_kept = NOT_KEPT.to_vec();
        not_kept.sort_unstable();
        not_kept.push("deliver_to");
        assert_eq!(replaced(&written), not_kept);
        let (alone, _) = settings(ALONE);
        assert_eq!(replaced(&alone), [""; 0]);
    }

    #[test]
    fn the_instances_of_a_simulated_jetstream_are_known_to_every_server() {
        let endpoints = ["ws://127.0.0.1:1", "ws://127.0.0.1:4"].map(str::to_owned);
        let services = SimulatedServices {
            stream: Simulated::Bluesky {
                endpoints: endpoints.to_vec(),
            },
            osf: None,
            ..services()
        };
        let user = format!(
            "source = \"bluesky\"\n[bluesky]\noverlap = \"2s\"\nhonour_deletions = \"never\"\n{ALONE}"
        );
        let (written, user) = settings(&user);
        let text = services.to_toml(&written, &user.servers, &user.servers[0]);
        assert!(!text.contains("[x]"), "{text}");
        let (_, made) = settings(&text);
        assert_eq!(made.source, Platform::Bluesky);
        assert_eq!(made.bluesky.endpoints, endpoints);
        assert_eq!(made.bluesky.overlap, user.bluesky.overlap);
        assert!(!made.bluesky.honours_deletions);
    }

    #[test]
    fn nothing_of_the_world_outside_is_left_and_the_rest_is_as_it_was() {
        let (written, user) = settings(EVERYTHING);
        for this in &user.servers {
            let text = services().to_toml(&written, &user.servers, this);
            assert_eq!(text.matches("real").count(), 1, "the host's name: {text}");
            let (_, s) = settings(&text);
            let data_dir = Path::new("/tmp/scratch").join(format!("server{}", this.id));
            assert_eq!(
                (s.data_dir, s.vault_dir.name().to_owned()),
                (data_dir.clone(), data_dir.join("vault"))
            );
            assert_eq!(
                s.servers[0].deliver_to,
                Some(Target::Folder("/tmp/scratch/serverwest/spool".into()))
            );
            assert_eq!(s.servers[1].host, user.servers[1].host);
            assert_eq!(s.merge.timezone.name(), "Asia/Kolkata");
            assert_eq!(
                (s.merge.settle, s.merge.keep_raw),
                (user.merge.settle, None)
            );
            assert_eq!((s.x.fields, s.x.max_line), (user.x.fields, 1 << 20));
            let publish = s.publish.unwrap();
            assert_eq!(publish.base_url, "http://127.0.0.1:2");
            assert_eq!(
                (publish.project.as_str(), publish.ids_per_30_days),
                ("zyxwv", Some(77))
            );
            let mail = s.mail.unwrap().unwrap();
            assert_eq!(
                (mail.host.as_str(), mail.port, mail.tls),
                ("127.0.0.1", 3, MailTls::None)
            );
            assert_eq!((mail.to.len(), mail.user), (2, None));
        }
    }

    #[test]
    fn what_is_not_configured_is_not_rehearsed() {
        let (written, user) = settings(ALONE);
        let services = SimulatedServices {
            osf: None,
            mail_port: None,
            ..services()
        };
        let (_, s) = settings(&services.to_toml(&written, &user.servers, &user.servers[0]));
        assert!(s.publish.is_none() && s.mail.is_none());
    }
}
