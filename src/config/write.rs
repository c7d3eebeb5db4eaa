//! A commented configuration file from answers: what `init` writes.

use std::path::{Path, PathBuf};

use super::{platform::Platform, settings::XStream};

/// Where the data lies unless it is said otherwise: the default of `data_dir`.
const DATA_DIR: &str = "/var/lib/twinstream";

/// A host that is yet to be written.
pub const UNKNOWN_HOSTS: [&str; 2] = ["server1.example.org", "server2.example.org"];

/// What can be chosen of Bluesky.
const BLUESKY: [&str; 6] = [
    "",
    "# Other collections than posts; and compressed messages, which take the endpoints' dictionary: docs/bluesky.md has the command",
    "# that fetches it.",
    "# [bluesky]",
    "# collections = [\"app.bsky.feed.post\", \"app.bsky.feed.repost\"]",
    "# compress = true     # with dictionary_file = \"…\"",
];

/// What was asked or told; what is absent stays at its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// `source`
    pub source: Platform,
    /// `data_dir`
    pub data_dir: Option<PathBuf>,
    /// `vault_dir`
    pub vault_dir: Option<PathBuf>,
    /// `x.bearer_token_file`
    pub token_file: Option<PathBuf>,
    /// `x.stream`, if it is not the 1 % sample.
    pub stream: Option<String>,
    /// `x.partitions`
    pub partitions: Option<String>,
    /// The secondary's own `partitions`.
    pub secondary_partitions: Option<String>,
    /// The values of `x.rules`.
    pub rules: Vec<String>,
    /// `x.base_url`
    pub base_url: Option<String>,
    /// `merge.timezone`
    pub timezone: Option<String>,
    /// The primary's host.
    pub primary: Option<String>,
    /// The secondary's host.
    pub secondary: Option<String>,
    /// Whether there are two although the other's host is not known.
    pub two_servers: bool,
    /// Whether this machine is the secondary.
    pub this_is_secondary: bool,
    /// Where the secondary delivers to.
    pub deliver_to: Option<String>,
    /// `publish.osf.project`
    pub osf_project: Option<String>,
    /// `publish.osf.token_file`
    pub osf_token_file: Option<PathBuf>,
    /// `mail.host`
    pub mail_host: Option<String>,
    /// `mail.user`
    pub mail_user: Option<String>,
    /// `mail.password_file`
    pub mail_password_file: Option<PathBuf>,
    /// `mail.from`
    pub mail_from: Option<String>,
    /// `mail.to`
    pub mail_to: Vec<String>,
}

/// A text in TOML.
fn text(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn path(value: &Path) -> String {
    text(&value.display().to_string())
}

impl Answers {
    /// Where the data lies.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR))
    }

    /// What this machine is.
    pub fn role(&self) -> &'static str {
        if self.this_is_secondary {
            "secondary"
        } else {
            "primary"
        }
    }

    /// Whether rules choose what X's stream brings.
    pub fn is_filtered(&self) -> bool {
        self.source == Platform::X && self.stream.as_deref() == Some("filtered")
    }

    /// Into how many partitions the stream is divided; 0: into none.
    pub fn stream_partitions(&self) -> u8 {
        let stream = self
            .stream
            .as_deref()
            .filter(|_| self.source == Platform::X);
        stream
            .and_then(XStream::of_word)
            .map_or(0, XStream::partitions)
    }

    /// Which server collects which partitions, in words; `None` if the stream has none.
    pub fn who_collects(&self) -> Option<String> {
        let all = self.stream_partitions();
        let of = |written: Option<&String>| match written.map(|text| text.trim()) {
            None | Some("all") => format!("all {all} partitions"),
            Some(some) => format!("of {all} partitions these: {some}"),
        };
        let own = self.secondary_partitions.as_ref();
        let words = match own.filter(|_| self.has_secondary()) {
            Some(_) => format!(
                "server 1 collects {}, server 2 {}",
                of(self.partitions.as_ref()),
                of(own)
            ),
            None if self.has_secondary() => {
                format!("each server collects {}", of(self.partitions.as_ref()))
            }
            None => format!("the server collects {}", of(self.partitions.as_ref())),
        };
        (0 < all).then_some(words)
    }

    /// Whether a second server is written.
    pub fn has_secondary(&self) -> bool {
        self.two_servers || self.secondary.is_some()
    }

    /// The file. `host` is this machine's name.
    pub fn to_toml(&self, host: &str) -> String {
        let mut lines = vec![
            "# twinstream: the same file on every server. What is not written here has the default that".to_owned(),
            "# `twinstream config default` prints; `twinstream config show` prints the effective settings.".to_owned(),
            String::new(),
        ];
        if self.source == Platform::Bluesky {
            lines.push("# All posts of Bluesky, from endpoints that need no key.".to_owned());
            lines.push(format!("source = {}", text(self.source.word())));
        }
        lines.push("# Holds segments, index and locks.".to_owned());
        lines.push(format!("data_dir = {}", path(self.data_dir())));
        if let Some(vault) = &self.vault_dir {
            lines.push("# The archive.".to_owned());
            lines.push(format!("vault_dir = {}", path(vault)));
        }
        match self.source {
            Platform::X => self.x(&mut lines),
            Platform::Bluesky => lines.extend(BLUESKY.map(str::to_owned)),
        }
        self.servers(host, &mut lines);
        self.merge(&mut lines);
        self.publish(&mut lines);
        self.mail(&mut lines);
        lines.join("\n") + "\n"
    }

    fn x(&self, lines: &mut Vec<String>) {
        lines.extend([String::new(), "[x]".to_owned()]);
        if let Some(stream) = self.stream.as_ref().filter(|stream| *stream != "sample") {
            if !self.is_filtered() {
                lines.push("# sample10 comes over 2 connections a server, the firehose over 20, each with a part of the posts.".to_owned());
            }
            lines.push(format!("stream = {}", text(stream)));
        }
        let partitions = self.partitions.as_deref();
        let default = (0 < self.stream_partitions()).then_some("all");
        if let Some(partitions) = partitions.or(default) {
            lines.push("# Which of these parts each server collects: \"all\", \"1-10\", \"3,7\". A server's own `partitions` goes before it.".to_owned());
            lines.push(format!("partitions = {}", text(partitions)));
        }
        if !self.rules.is_empty() {
            lines.push("# What it brings: posts that match one of these. `twinstream rules push` makes X have them; a tag".to_owned());
            lines.push("# (tag = \"…\") stands beside each post that matches.".to_owned());
            let rule = |rule: &String| format!("{{ value = {} }}", text(rule));
            let rules: Vec<String> = self.rules.iter().map(rule).collect();
            lines.push(format!("rules = [{}]", rules.join(", ")));
        }
        if let Some(url) = &self.base_url {
            lines.push(format!("base_url = {}", text(url)));
        }
        lines.push("# Holds the app's bearer token and nothing else; readable by the service's user only (mode 600).".to_owned());
        let token = self
            .token_file
            .as_deref()
            .unwrap_or(Path::new("/etc/twinstream/x-bearer-token"));
        lines.push(format!("bearer_token_file = {}", path(token)));
    }

    fn servers(&self, host: &str, lines: &mut Vec<String>) {
        let [first, second] = UNKNOWN_HOSTS;
        let (here_1, here_2) = if self.this_is_secondary {
            (first, host)
        } else {
            (host, second)
        };
        let primary = self.primary.as_deref().unwrap_or(here_1);
        lines.extend([
            String::new(),
            "# Collects, merges, publishes. `host` is the machine's name as `uname -n` prints it."
                .to_owned(),
            "[[servers]]".to_owned(),
            "id = \"1\"".to_owned(),
            "role = \"primary\"".to_owned(),
            format!("host = {}", text(primary)),
        ]);
        if !self.has_secondary() {
            return;
        }
        let secondary = self.secondary.as_deref().unwrap_or(here_2);
        let spool = format!(
            "ssh://twinstream@{primary}{}/spool",
            self.data_dir().display()
        );
        lines.extend([
            String::new(),
            "# Collects, and delivers to the primary.".to_owned(),
            "[[servers]]".to_owned(),
            "id = \"2\"".to_owned(),
            "role = \"secondary\"".to_owned(),
            format!("host = {}", text(secondary)),
            "# The primary's spool: ssh://user@host/path, or a folder that is mounted here."
                .to_owned(),
            format!(
                "deliver_to = {}",
                text(self.deliver_to.as_deref().unwrap_or(&spool))
            ),
        ]);
        if let Some(partitions) = &self.secondary_partitions {
            lines.push(format!("partitions = {}", text(partitions)));
        }
    }

    fn merge(&self, lines: &mut Vec<String>) {
        lines.extend([
            String::new(),
            "[merge]".to_owned(),
            "# The zone of the vault's hours. It cannot be changed once the vault exists."
                .to_owned(),
            format!(
                "timezone = {}",
                text(self.timezone.as_deref().unwrap_or("UTC"))
            ),
        ]);
    }

    fn publish(&self, lines: &mut Vec<String>) {
        let token = self
            .osf_token_file
            .as_deref()
            .unwrap_or(Path::new("/etc/twinstream/osf-token"));
        let (mark, project) = match &self.osf_project {
            Some(project) => ("", project.as_str()),
            None => ("# ", "abcde"),
        };
        let ids = self.source.ids();
        let what = if mark.is_empty() {
            format!("The {ids} go to this project on OSF.")
        } else {
            format!("To publish the {ids} on OSF, take away the # and write the project.")
        };
        lines.extend([
            String::new(),
            format!("# {what}"),
            format!("{mark}[publish.osf]"),
            format!("{mark}project = {}", text(project)),
            format!("{mark}token_file = {}", path(token)),
        ]);
    }

    fn mail(&self, lines: &mut Vec<String>) {
        let mark = if self.mail_host.is_some() { "" } else { "# " };
        let what = if mark.is_empty() {
            "Alarms and the daily report go by mail."
        } else {
            "For alarms and the daily report by mail, take away the # and write your own."
        };
        let or = |value: &Option<String>, example: &str| text(value.as_deref().unwrap_or(example));
        let to: Vec<String> = match self.mail_to.as_slice() {
            [] => vec![text("me@example.org")],
            some => some.iter().map(|address| text(address)).collect(),
        };
        lines.extend([
            String::new(),
            format!("# {what}"),
            format!("{mark}[mail]"),
            format!("{mark}host = {}", or(&self.mail_host, "mail.example.org")),
            format!(
                "{mark}from = {}",
                or(&self.mail_from, "twinstream@example.org")
            ),
            format!("{mark}to = [{}]", to.join(", ")),
        ]);
        if self.mail_user.is_some() || !mark.is_empty() {
            let password = self
                .mail_password_file
                .as_deref()
                .unwrap_or(Path::new("/etc/twinstream/mail-password"));
            lines.push(format!(
                "{mark}user = {}",
                or(&self.mail_user, "twinstream")
            ));
            lines.push(format!("{mark}password_file = {}", path(password)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        address::Target,
        file,
        resolve::{ThisMachine, resolve},
        settings::Settings,
    };

    fn settings(answers: &Answers) -> Settings {
        let toml = answers.to_toml("here.example.net");
        let me = ThisMachine {
            asked: None,
            host: "here.example.net",
            home: None,
        };
        resolve(&file::read(&toml).unwrap(), Path::new("/etc/t"), &me)
            .unwrap_or_else(|problems| panic!("{problems:?}\n{toml}"))
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one answer after another")]
    fn whatever_was_answered_the_file_is_a_right_one() {
        let nothing = settings(&Answers::default());
        assert_eq!(nothing.this.unwrap().as_str(), "1");
        assert!(nothing.publish.is_none() && nothing.mail.is_none());
        let odd = "a \"b\" \\ # ü";
        let everything = Answers {
            source: Platform::X,
            data_dir: Some(PathBuf::from(odd)),
            vault_dir: Some("/v".into()),
            token_file: Some("/t".into()),
            stream: Some("firehose".to_owned()),
            partitions: Some("1-12".to_owned()),
            secondary_partitions: Some("9-20".to_owned()),
            rules: Vec::new(),
            base_url: Some("http://127.0.0.1:1".to_owned()),
            timezone: Some("CET".to_owned()),
            primary: Some("p.example.net".to_owned()),
            secondary: Some("here.example.net".to_owned()),
            two_servers: true,
            this_is_secondary: true,
            deliver_to: Some("ssh://u@p:22/spool".to_owned()),
            osf_project: Some("abcde".to_owned()),
            osf_token_file: Some("/o".into()),
            mail_host: Some("m.example.net".to_owned()),
            mail_user: Some("u".to_owned()),
            mail_password_file: Some("/p".into()),
            mail_from: Some("a@example.net".to_owned()),
            mail_to: vec!["b@example.net".to_owned(), "c@example.net".to_owned()],
        };
        let words =
            "server 1 collects of 20 partitions these: 1-12, server 2 of 20 partitions these: 9-20";
        assert_eq!(everything.who_collects().unwrap(), words);
        let everything = settings(&everything);
        let numbers = everything.servers.iter().map(|server| {
            let of = |place: usize| server.partitions.get(place).map(|one| one.number());
            (of(0), of(11), server.partitions.len())
        });
        let expected = [(Some(1), Some(12), 12), (Some(9), Some(20), 12)];
        assert_eq!(numbers.collect::<Vec<_>>(), expected);
        assert_eq!(everything.data_dir, Path::new("/etc/t").join(odd));
        assert_eq!(everything.this.unwrap().as_str(), "2");
        assert_eq!(everything.x.stream.word(), "firehose");
        assert_eq!(everything.mail.unwrap().unwrap().to.len(), 2);
        assert!(everything.publish.is_some());
        let by_rules = settings(&Answers {
            stream: Some("filtered".to_owned()),
            rules: vec!["climate lang:en".to_owned(), odd.to_owned()],
            ..Answers::default()
        });
        let values: Vec<&str> = by_rules
            .x
            .rules
            .iter()
            .map(|rule| rule.value.as_str())
            .collect();
        assert_eq!(values, ["climate lang:en", odd]);
        let two = Answers {
            two_servers: true,
            ..Answers::default()
        };
        let Some(Target::Ssh(target)) = settings(&two).servers.remove(1).deliver_to else {
            panic!("not over ssh")
        };
        assert_eq!(
            target.to_string(),
            "ssh://twinstream@here.example.net/var/lib/twinstream/spool"
        );
        assert_eq!(
            two.data_dir(),
            settings(&Answers::default()).data_dir,
            "the default of data_dir"
        );
    }
}
