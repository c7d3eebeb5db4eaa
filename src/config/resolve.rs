//! Resolves the user's file and the defaults into valid settings, or reports everything that is wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    address::{Target, check_base_url, ssh_options, target},
    file::{self, Entry, Problem, Value, Written},
    home,
    platform::Platform,
    settings::{Deliver, Merge, Role, Server, Settings, XStream, Xz},
    units,
};
use crate::{
    period::Zone,
    place::s3::address::Address,
    segment::name::{Partition, ServerId},
};

/// Twice as long as an attempt may take (`vault::in_store`): a younger one may still be committed.
const ORPHANS_MIN: Duration = Duration::from_hours(12);

/// Who this machine may be.
#[derive(Debug, Clone, Default)]
pub struct ThisMachine<'a> {
    /// What `--server` or `$TWINSTREAM_SERVER` says.
    pub asked: Option<&'a str>,
    /// This machine's name.
    pub host: &'a str,
    /// The home folder of the user who runs this.
    pub home: Option<&'a Path>,
}

/// A value, and the line of the user's file if it is written there.
pub(super) type Found = (Value, Option<usize>);

/// Validates the settings. `folder` is where relative paths start. Problems of `[mail]` alone are in its place in the
/// result.
pub fn resolve(
    written: &Written,
    folder: &Path,
    me: &ThisMachine<'_>,
) -> Result<Settings, Vec<Problem>> {
    let defaults = file::read(file::DEFAULT)?;
    let mut r = Resolving {
        written,
        defaults,
        folder,
        home: me.home,
        problems: written.of_mail.clone(),
        without_text: BTreeSet::new(),
    };
    let data_dir = r.path("data_dir");
    let places = r.places(&data_dir);
    let source = r.one_of("source", &Platform::ALL.map(|one| (one.word(), one)));
    let (x, bluesky) = (r.x(), r.bluesky());
    let deliver = Deliver {
        every: r.duration("deliver.every"),
        keep_delivered: r.duration("deliver.keep_delivered"),
        ssh_options: r.ssh_options(),
    };
    let merge = r.merge();
    let forbid = r.forbid();
    // what does not exist cannot be used
    let publish = r.publish(source).filter(|_| forbid.is_none());
    let witness = r.witness();
    let dataset = r.dataset();
    let is_public = [publish.is_some(), dataset.is_some()];
    bluesky.only_honoured(&mut r, source, is_public);
    let servers = r.servers((source == Platform::X).then_some(x.stream));
    let stores = [places.spool_store.as_ref(), places.vault_store.as_ref()];
    let s3 = r.s3(stores, &servers);
    let (mail, report_at, status) = (r.mail(), r.report_at(), r.status());
    let after_hour = r.after_hour();
    let this = r.this(&servers, me);
    let publisher = r.publisher(&servers);
    let (mergers, servers) = servers.into_iter().partition(Server::is_merger);
    let mail = if r.problems.is_empty() {
        mail.map(Ok)
    } else {
        Some(Err(r.problems.clone()))
    };
    match (merge, status, publisher) {
        (Some(merge), Some(status), Some(publisher))
            if r.problems.iter().all(Problem::is_of_mail) =>
        {
            Ok(Settings {
                data_dir,
                spool_dir: places.spool_dir.into(),
                spool_store: places.spool_store,
                vault_dir: places.vault_dir.into(),
                vault_store: places.vault_store,
                servers,
                mergers,
                this,
                publisher,
                source,
                s3,
                x,
                bluesky,
                deliver,
                merge,
                after_hour,
                mail,
                report_at,
                status,
                publish,
                dataset,
                forbid,
                witness,
            })
        }
        _ => Err(r.problems),
    }
}

/// Where spool and vault lie: a folder here, and perhaps a folder in a bucket.
struct SpoolAndVault {
    spool_dir: PathBuf,
    spool_store: Option<Address>,
    vault_dir: PathBuf,
    vault_store: Option<Address>,
}

pub(super) struct Resolving<'a> {
    written: &'a Written,
    defaults: Written,
    folder: &'a Path,
    home: Option<&'a Path>,
    problems: Vec<Problem>,
    /// The keys that were to have a text and have none: nothing more is said of what that text is not.
    without_text: BTreeSet<String>,
}

impl Resolving<'_> {
    /// A spool or vault in a store has a folder below `data_dir` too: collectors write to their own disk first, and a
    /// vault is read from a copy.
    fn places(&mut self, data_dir: &Path) -> SpoolAndVault {
        let (spool_store, vault_store) = (self.spool_store(), self.vault_store());
        let mut folder = |key: &str, name: &str, store: &Option<Address>| match store {
            None if self.find(key).is_some() => self.path(key),
            _ => data_dir.join(name),
        };
        SpoolAndVault {
            spool_dir: folder("spool_dir", "spool", &spool_store),
            vault_dir: folder("vault_dir", "vault", &vault_store),
            spool_store,
            vault_store,
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<Found> {
        let of = |entry: &Entry, line| (entry.value.clone(), line);
        match (
            self.written.entries.get(key),
            self.defaults.entries.get(key),
        ) {
            (Some(entry), _) => Some(of(entry, Some(entry.line))),
            (None, Some(entry)) => Some(of(entry, None)),
            (None, None) => None,
        }
    }

    pub(super) fn wrong(
        &mut self,
        line: Option<usize>,
        key: &str,
        why: impl Into<String>,
        hint: &str,
    ) {
        if self.without_text.contains(key) {
            return;
        }
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.problems.push(Problem {
            line,
            key: key.to_owned(),
            why: why.into(),
            hint,
        });
    }

    /// Whether the key is in the user's file.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.written.entries.contains_key(key)
    }

    pub(super) fn line(&self, key: &str) -> Option<usize> {
        self.written.entries.get(key).map(|entry| entry.line)
    }

    pub(super) fn text(&mut self, key: &str) -> String {
        match self.find(key) {
            Some((Value::Text(text), _)) if !text.trim().is_empty() => return text,
            Some((Value::Text(_), line)) => self.wrong(line, key, "it is empty", ""),
            Some((other, line)) => {
                let why = format!("{other} is not a text");
                self.wrong(line, key, why, "put it in quotes");
            }
            None => self.wrong(None, key, "it is missing", ""),
        }
        self.without_text.insert(key.to_owned());
        String::new()
    }

    pub(super) fn path(&mut self, key: &str) -> PathBuf {
        let text = self.text(key);
        let line = self.line(key);
        self.path_of(line, key, &text)
    }

    /// A path as it is written.
    fn path_of(&mut self, line: Option<usize>, key: &str, written: &str) -> PathBuf {
        let path = home::expand(written, self.home).unwrap_or_else(|why| {
            self.wrong(line, key, why.to_string(), home::HINT);
            PathBuf::new()
        });
        self.folder.join(path)
    }

    pub(super) fn bool(&mut self, key: &str) -> bool {
        match self.find(key) {
            Some((Value::Bool(value), _)) => value,
            other => {
                let line = other.and_then(|(_, line)| line);
                self.wrong(line, key, "it takes true or false", "");
                false
            }
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        match self.find(key) {
            Some((Value::List(list), _)) => list,
            other => {
                let line = other.and_then(|(_, line)| line);
                self.wrong(
                    line,
                    key,
                    "it takes a list of texts",
                    "write [\"a\", \"b\"]",
                );
                Vec::new()
            }
        }
    }

    /// What is run after each hour; its program may be in the home folder.
    fn after_hour(&mut self) -> Vec<String> {
        const KEY: &str = "hook.after_hour";
        let mut command = self.list(KEY);
        let line = self.line(KEY);
        match command.first_mut() {
            Some(program) if program.trim().is_empty() => {
                let hint = "write [\"/usr/local/bin/classify\"]";
                self.wrong(line, KEY, "the program is missing", hint);
            }
            Some(program) if program.starts_with(['~', '$']) => {
                *program = self
                    .path_of(line, KEY, program)
                    .to_string_lossy()
                    .into_owned();
            }
            _ => (),
        }
        command
    }

    fn ssh_options(&mut self) -> Vec<String> {
        const KEY: &str = "deliver.ssh_options";
        let list = self.list(KEY);
        ssh_options(&list).unwrap_or_else(|why| {
            let line = self.line(KEY);
            let hint =
                "write each argument as its own text: [\"-i\", \"/etc/twinstream/id_ed25519\"]";
            self.wrong(line, KEY, why, hint);
            Vec::new()
        })
    }

    pub(super) fn duration(&mut self, key: &str) -> Duration {
        let text = self.text_with_unit(key);
        match units::duration(&text) {
            Ok(duration) => duration,
            Err(why) => {
                let line = self.line(key);
                self.wrong(line, key, why.to_string(), "");
                Duration::ZERO
            }
        }
    }

    pub(super) fn size(&mut self, key: &str) -> u64 {
        let text = self.text_with_unit(key);
        match units::size(&text) {
            Ok(size) => size,
            Err(why) => {
                let line = self.line(key);
                self.wrong(line, key, why.to_string(), "");
                0
            }
        }
    }

    /// A bare number gets the message about its unit, not one about quotes.
    fn text_with_unit(&mut self, key: &str) -> String {
        match self.find(key) {
            Some((Value::Integer(number), _)) => number.to_string(),
            _ => self.text(key),
        }
    }

    pub(super) fn one_of<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let text = self.text(key);
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
            return *value;
        }
        let names: Vec<String> = choices
            .iter()
            .map(|(name, _)| format!("{name:?}"))
            .collect();
        let line = self.line(key);
        let hint = format!("it takes {}", names.join(", "));
        self.wrong(line, key, format!("{text:?} is not a valid value"), &hint);
        // the returned value is never used, since there is a problem
        choices[0].1
    }

    fn merge(&mut self) -> Option<Merge> {
        let zone = self.text("merge.timezone");
        let timezone = match Zone::named(&zone) {
            Ok(zone) => Some(zone),
            Err(why) => {
                let line = self.line("merge.timezone");
                self.wrong(line, "merge.timezone", why.to_string(), "");
                None
            }
        };
        let formats = self.list("merge.formats");
        let known = formats
            .iter()
            .all(|format| ["csv", "parquet"].contains(&format.as_str()));
        if !known || !formats.iter().any(|format| format == "csv") {
            let line = self.line("merge.formats");
            let hint = "write [\"csv\"] or [\"csv\", \"parquet\"]";
            self.wrong(
                line,
                "merge.formats",
                "it takes \"csv\", and \"parquet\" besides",
                hint,
            );
        }
        let keep_raw = match self.find("merge.keep_raw") {
            Some((Value::Text(text), _)) if text == "forever" => None,
            _ => Some(self.duration("merge.keep_raw")),
        };
        let xz = [
            ("balanced", Xz::Balanced),
            ("fast", Xz::Fast),
            ("small", Xz::Small),
        ];
        let orphans = self.duration("merge.orphans");
        if orphans < ORPHANS_MIN {
            let line = self.line("merge.orphans");
            let why = "a younger attempt may still be committed";
            self.wrong(line, "merge.orphans", why, "write at least \"12h\"");
        }
        Some(Merge {
            settle: self.duration("merge.settle"),
            parquet: formats.iter().any(|format| format == "parquet"),
            xz: self.one_of("merge.xz", &xz),
            keep_raw,
            keep_free: self.size("merge.keep_free"),
            orphans,
            keep_superseded: self.duration("merge.keep_superseded"),
            timezone: timezone?,
        })
    }

    /// An address without a `/` at its end.
    pub(super) fn base_url(&mut self, key: &str) -> String {
        let url = self.text(key);
        if let Err((why, hint)) = check_base_url(&url) {
            let line = self.line(key);
            self.wrong(line, key, why, hint);
        }
        url.trim_end_matches('/').to_owned()
    }

    fn servers(&mut self, stream: Option<XStream>) -> Vec<Server> {
        let partitions = self.partitions(stream);
        let mut servers: Vec<Server> = Vec::new();
        for (begin, entries) in &self.written.servers {
            let own = match entries.get("partitions") {
                Some(entry) => self.own_partitions(stream, entry),
                None => partitions.clone(),
            };
            if let Some(server) = self.server((*begin, own), entries) {
                self.is_another(*begin, &servers, &server);
                servers.push(server);
            }
        }
        if self.written.servers.is_empty() {
            let hint = "add one:\n          [[servers]]\n          id = \"1\"\n          role = \"primary\"\n          host = \"this machine's name\"";
            self.wrong(None, "servers", "there is no server", hint);
        } else if self.problems.is_empty() {
            let primaries = servers
                .iter()
                .filter(|server| server.role == Role::Primary)
                .count();
            if primaries != 1 {
                let why = format!("{primaries} servers are primary, it must be one");
                self.wrong(
                    None,
                    "servers",
                    why,
                    "set role = \"primary\" on the server that merges",
                );
            }
        }
        servers
    }

    /// Each server has its own id, and its own machine unless it is gone.
    fn is_another(&mut self, begin: usize, earlier: &[Server], server: &Server) {
        let has_host = |other: &&Server| {
            let are_there = other.until.is_none() && server.until.is_none();
            are_there && other.host.eq_ignore_ascii_case(&server.host)
        };
        if earlier.iter().any(|other| other.id == server.id) {
            let why = format!("there are two servers with the id {:?}", server.id.as_str());
            self.wrong(Some(begin), "servers", why, "give each its own id");
        } else if let Some(other) = earlier.iter().find(has_host) {
            let (first, second, host) = (&other.id, &server.id, &server.host);
            let why = format!("servers {first} and {second} have the same host {host:?}");
            let hint = "each needs its own: `uname -n` prints it there";
            self.wrong(Some(begin), "servers", why, hint);
        }
    }

    fn server(
        &mut self,
        (begin, partitions): (usize, Vec<Partition>),
        entries: &BTreeMap<String, Entry>,
    ) -> Option<Server> {
        let before = self.problems.len();
        let mut text = |key: &str, needed: bool| match entries.get(key) {
            Some(Entry {
                value: Value::Text(text),
                line,
            }) => Some((text.clone(), *line)),
            Some(Entry { line, .. }) => {
                self.wrong(Some(*line), key, "it takes a text", "put it in quotes");
                None
            }
            None => {
                if needed {
                    let key = format!("servers.{key}");
                    self.wrong(Some(begin), &key, "it is missing in this entry", "");
                }
                None
            }
        };
        let (id, role, host) = (text("id", true), text("role", true), text("host", true));
        let (deliver_to, until) = (text("deliver_to", false), text("until", false));
        let endpoint = text("endpoint", false);
        let endpoint = endpoint.map(|(url, line)| self.websocket(Some(line), "endpoint", &url));
        let id = id.and_then(|(id, line)| match id.parse::<ServerId>() {
            Ok(id) => Some(id),
            Err(why) => {
                self.wrong(Some(line), "id", why.to_string(), "");
                None
            }
        });
        let role = role.and_then(|(role, line)| self.role(&role, line));
        let deliver_to = deliver_to.and_then(|(text, line)| match target(&text) {
            Ok(Target::Folder(_)) => {
                let path = self.path_of(Some(line), "deliver_to", &text);
                Some(Target::Folder(path.into()))
            }
            Ok(target) => Some(target),
            Err(why) => {
                let hint = "write ssh://user@host/path, s3://bucket/folder, or a folder";
                self.wrong(Some(line), "deliver_to", why, hint);
                None
            }
        });
        let until = until.and_then(|(text, line)| {
            if let Ok(day) = text.parse() {
                Some(day)
            } else {
                let why = format!("{text:?} is not a day");
                self.wrong(Some(line), "until", why, "write \"2026-11-01\"");
                None
            }
        });
        if role == Some(Role::Secondary) && deliver_to.is_none() && self.problems.len() == before {
            let hint =
                "write deliver_to = \"ssh://user@host/path\", \"s3://bucket/folder\", or a folder";
            self.wrong(
                Some(begin),
                "servers.deliver_to",
                "a secondary needs it",
                hint,
            );
        }
        Some(Server {
            id: id?,
            role: role?,
            host: host?.0,
            endpoint,
            partitions,
            deliver_to,
            until,
        })
    }

    fn role(&mut self, role: &str, line: usize) -> Option<Role> {
        match role {
            "primary" => Some(Role::Primary),
            "secondary" => Some(Role::Secondary),
            "merger" => Some(Role::Merger),
            _ => {
                let hint = "it takes \"primary\", \"secondary\" or \"merger\"";
                self.wrong(Some(line), "role", format!("{role:?} is not a role"), hint);
                None
            }
        }
    }

    /// The publisher must have a copy of the vault.
    fn publisher(&mut self, servers: &[Server]) -> Option<ServerId> {
        const KEY: &str = "publisher";
        if self.find(KEY).is_none() {
            let mut servers = servers.iter();
            let primary = servers.find(|server| server.role == Role::Primary);
            return primary.map(|primary| primary.id.clone());
        }
        let (id, line) = (self.text(KEY), self.line(KEY));
        let mut all = servers.iter();
        let named = all.find(|server| server.id.as_str() == id);
        let has_vault = |server: &&Server| server.role != Role::Secondary;
        if let Some(publisher) = named.filter(has_vault) {
            return Some(publisher.id.clone());
        }
        let why = if named.is_some() {
            format!("server {id} is a secondary: it has no vault to publish")
        } else {
            format!("there is no server {id:?}")
        };
        self.wrong(line, KEY, why, "name the primary or a merger");
        None
    }

    fn this(&mut self, servers: &[Server], me: &ThisMachine<'_>) -> Option<ServerId> {
        if let Some(asked) = me.asked {
            let found = servers.iter().find(|server| server.id.as_str() == asked);
            if found.is_none() && !servers.is_empty() {
                let ids: Vec<&str> = servers.iter().map(|server| server.id.as_str()).collect();
                let why = format!("there is no server {asked:?} in this configuration");
                self.wrong(
                    None,
                    "--server",
                    why,
                    &format!("there is {}", ids.join(", ")),
                );
            }
            return found.map(|server| server.id.clone());
        }
        let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
        // if two have the same name, neither is chosen: the user must say which
        let only = |is_me: &dyn Fn(&Server) -> bool| {
            let mut found = servers.iter().filter(|server| is_me(server));
            found.next().filter(|_| found.next().is_none())
        };
        let full = only(&|server| server.host.eq_ignore_ascii_case(me.host));
        let by_short = || only(&|server| short(&server.host) == short(me.host));
        full.or_else(by_short).map(|server| server.id.clone())
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The settings of a file in `/etc/t`, or everything that is wrong in it, in words.
    pub(in crate::config) fn settings(text: &str) -> Result<Settings, Vec<String>> {
        let written = file::read(text).unwrap();
        resolve(&written, Path::new("/etc/t"), &ThisMachine::default())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::address::Target;

    const ONE: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n";
    const TWO: &str = "[[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b.example.org\"\ndeliver_to = \"../primary\"\n";

    fn machine(host: &str) -> ThisMachine<'_> {
        ThisMachine {
            host,
            ..ThisMachine::default()
        }
    }

    fn settings(text: &str, me: &ThisMachine<'_>) -> Result<Settings, Vec<Problem>> {
        resolve(&file::read(text).unwrap(), Path::new("/etc/t"), me)
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &[(Option<usize>, &str)]) {
        let found: Vec<(Option<usize>, String)> = settings(text, &ThisMachine::default())
            .unwrap_err()
            .into_iter()
            .map(|problem| (problem.line, problem.to_string()))
            .collect();
        let expected: Vec<(Option<usize>, String)> = expected
            .iter()
            .map(|(line, text)| (*line, (*text).to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_server_and_the_defaults_are_enough() {
        let s = settings(ONE, &machine("A")).unwrap();
        assert_eq!(s.spool_dir.name(), Path::new("/var/lib/twinstream/spool"));
        assert_eq!(s.this.unwrap().as_str(), "1");
        assert_eq!(s.x.base_url, "https://api.x.com");
        assert_eq!(s.x.max_line, 16 << 20);
        assert_eq!(s.merge.settle, Duration::from_mins(10));
        assert!(s.merge.parquet);
    }

    #[test]
    fn relative_paths_start_at_the_file_and_a_server_finds_itself() {
        let text = format!("data_dir = \"data\"\n{ONE}{TWO}");
        let me = ThisMachine {
            home: Some(Path::new("/home/me")),
            ..machine("b.example.org")
        };
        let s = settings(&text, &me).unwrap();
        assert_eq!(s.vault_dir.name(), Path::new("/etc/t/data/vault"));
        assert_eq!(
            s.servers[1].deliver_to,
            Some(Target::Folder("/etc/t/../primary".into()))
        );
        assert_eq!(s.this.unwrap().as_str(), "2");
        let homely = text.replace("\"data\"", "\"~/data\"");
        let s = settings(&homely, &me).unwrap();
        assert_eq!(s.spool_dir, Path::new("/home/me/data/spool").into());
        let homely = text.replace("../primary", "$HOME/primary");
        let s = settings(&homely, &me).unwrap();
        let folder = Some(Target::Folder("/home/me/primary".into()));
        assert_eq!(s.servers[1].deliver_to, folder);
        let other = text.replace("\"data\"", "\"~you/data\"");
        assert_eq!(
            settings(&other, &me).unwrap_err()[0].to_string(),
            "`data_dir`: only `~/` and `$HOME/` are understood at the beginning of a path"
        );
        assert!(settings(&text, &machine("c")).unwrap().this.is_none());
        // two may be called so, and nobody knows which of them this is
        let of_one_name = text.replace("b.example.org", "a.example.net");
        let found = |host| settings(&of_one_name, &machine(host)).unwrap().this;
        assert_eq!(found("a"), None);
        assert_eq!(found("a.example.net").unwrap().as_str(), "2");
        let asked = ThisMachine {
            asked: Some("3"),
            ..me
        };
        assert_eq!(
            settings(&text, &asked).unwrap_err()[0].to_string(),
            "`--server`: there is no server \"3\" in this configuration"
        );
    }

    #[test]
    fn a_server_is_there_up_to_the_day_on_which_it_ended() {
        let gone = TWO.replace("deliver_to =", "until = \"2026-11-01\"\ndeliver_to =");
        let settings = settings(&format!("{ONE}{gone}"), &ThisMachine::default()).unwrap();
        let [stays, ended] = &settings.servers[..] else {
            panic!("{:?}", settings.servers)
        };
        let is_there = |server: &Server, hour: &str| {
            let hour = hour.parse().unwrap();
            let has: Vec<bool> = server
                .legs()
                .iter()
                .map(|leg| server.has(leg, hour))
                .collect();
            assert_eq!(has, [server.is_there(hour)]);
            has == [true]
        };
        // from the beginning of that day on, nothing waits for it
        assert!(is_there(ended, "2026-10-31_23") && !is_there(ended, "2026-11-01_00"));
        assert!(!is_there(ended, "2026-11-01_23") && is_there(stays, "2026-11-01_00"));
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        check_wrong("", &[(None, "`servers`: there is no server")]);
        let text = format!(
            "[x]\nbase_url = \"http://api.x.com\"\nfields = \"some\"\nmax_line = 5\n[merge]\nsettle = 10\ntimezone = \"Mars\"\n{ONE}"
        );
        check_wrong(
            &text,
            &[
                (
                    Some(2),
                    "`x.base_url`: plain http would send the token unencrypted; it is allowed to this machine only",
                ),
                (
                    Some(4),
                    "`x.max_line`: \"5\" is not a size: write a number and a unit, for example \"128MiB\"",
                ),
                (Some(4), "`x.max_line`: it is out of range"),
                (Some(3), "`x.fields`: \"some\" is not a valid value"),
                (
                    Some(7),
                    "`merge.timezone`: \"Mars\" is not a time zone of the IANA database (examples: \"UTC\", \"CET\", \"Europe/Vienna\")",
                ),
                (
                    Some(6),
                    "`merge.settle`: \"10\" is not a duration: write a number and a unit, for example \"10m\"",
                ),
            ],
        );
        let text = TWO.replace("deliver_to = \"../primary\"", "until = \"soon\"");
        check_wrong(&text, &[(Some(5), "`until`: \"soon\" is not a day")]);
        check_wrong(
            &format!("{ONE}{ONE}"),
            &[(
                Some(5),
                "`servers`: there are two servers with the id \"1\"",
            )],
        );
        let same = TWO.replace("b.example.org", "A.example.org");
        check_wrong(
            &format!("{ONE}{same}"),
            &[(
                Some(5),
                "`servers`: servers 1 and 2 have the same host \"A.example.org\"",
            )],
        );
        let gone = same.replace("deliver_to =", "until = \"2026-11-01\"\ndeliver_to =");
        assert!(gone != same && settings(&format!("{ONE}{gone}"), &ThisMachine::default()).is_ok());
        check_wrong(
            &TWO.replace("../primary", "ssh://host/path"),
            &[(Some(5), "`deliver_to`: the user is missing")],
        );
    }

    #[test]
    fn rules_that_x_would_not_take_are_wrong() {
        let long = "a".repeat(2_049);
        let many = (0..1_001).map(|n| format!("{{ value = \"{n}\" }}"));
        let many = many.collect::<Vec<String>>().join(", ");
        for (stream, rules, wrong) in [
            (
                "filtered",
                r#"{ value = "cats  lang:en" }, { value = " cats lang:en ", tag = "again" }"#,
                "the rule \"cats lang:en\" occurs twice",
            ),
            ("filtered", r#"{ tag = "cats" }"#, "a rule has no value"),
            (
                "filtered",
                r#""cats", "dogs""#,
                "each rule is a table with a value and, if you like, a tag; a text alone is not a rule",
            ),
            (
                "filtered",
                &many,
                "there are 1001 rules, and this program takes at most 1000, whatever the plan or contract allows \
                 (pay-per-use: 1000)",
            ),
            (
                "filtered",
                &format!("{{ value = {long:?} }}"),
                "a rule has 2049 characters, and X takes at most 2048 with an enterprise contract, 1024 on pay-per-use",
            ),
            (
                "filtered",
                r#"{ value = "cats\ndogs" }"#,
                "a rule's value has more than one line",
            ),
            (
                "sample",
                r#"{ value = "cats" }"#,
                "the stream \"sample\" has no rules",
            ),
        ] {
            let text = format!("[x]\nstream = {stream:?}\nrules = [{rules}]\n{ONE}");
            check_wrong(&text, &[(Some(3), &format!("`x.rules`: {wrong}"))]);
        }
        let text = format!("[x]\nstream = \"decahose\"\npartitions = \"1-2\"\n{ONE}");
        let why = "`x.stream`: \"decahose\" is not a valid value";
        check_wrong(&text, &[(Some(2), why)]);
        for (wrong, line, said) in [
            ("stream = 3", 2, "`x.stream`: 3 is not a text"),
            ("stream = \"\"", 2, "`x.stream`: it is empty"),
            (
                "stream = \"firehose\"\npartitions = 7",
                3,
                "`x.partitions`: 7 is not a text",
            ),
        ] {
            check_wrong(&format!("[x]\n{wrong}\n{ONE}"), &[(Some(line), said)]);
        }
        let text = format!("[x]\nstream = \"sample10\"\n{ONE}partitions = \"1-10\"\n");
        let why =
            "`partitions`: \"1-10\": there is no partition 10; sample10 has partitions 1 to 2";
        check_wrong(&text, &[(Some(7), why)]);
        // between quotes every character counts
        let others = r#"[{ value = '"a  b"' }, { value = '"a b"' }]"#;
        let text = format!("[x]\nstream = \"filtered\"\nrules = {others}\n{ONE}");
        assert_eq!(
            settings(&text, &ThisMachine::default())
                .unwrap()
                .x
                .rules
                .len(),
            2
        );
    }

    #[test]
    fn what_would_lose_something_or_give_it_away_is_wrong() {
        let two = ONE
            .replace("\"1\"", "\"2\"")
            .replace("a.example", "b.example");
        for (text, line, wrong) in [
            (
                format!("[merge]\norphans = \"11h59m\"\n{ONE}"),
                Some(2),
                "`merge.orphans`: a younger attempt may still be committed",
            ),
            (
                format!("[merge]\nformats = [\"parquet\"]\n{ONE}"),
                Some(2),
                "`merge.formats`: it takes \"csv\", and \"parquet\" besides",
            ),
            (
                format!("{ONE}{two}"),
                None,
                "`servers`: 2 servers are primary, it must be one",
            ),
            (
                TWO.to_owned(),
                None,
                "`servers`: 0 servers are primary, it must be one",
            ),
            (
                format!("[x]\nbase_url = \"https://me:secret@api.x.com\"\n{ONE}"),
                Some(2),
                "`x.base_url`: it takes a host and perhaps a path, nothing else",
            ),
            (
                format!("[x]\nbase_url = \"https://api.x.com?a=b\"\n{ONE}"),
                Some(2),
                "`x.base_url`: it takes a host and perhaps a path, nothing else",
            ),
        ] {
            check_wrong(&text, &[(line, wrong)]);
        }
        let text = format!("[merge]\norphans = \"12h\"\nkeep_raw = \"forever\"\n{ONE}");
        let merge = settings(&text, &ThisMachine::default()).unwrap().merge;
        assert_eq!(
            (merge.orphans, merge.keep_raw),
            (Duration::from_hours(12), None)
        );
    }
}
