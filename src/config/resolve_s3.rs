//! Resolves `[s3]`, and the places in an object store, into valid settings.

use super::{
    address::Target,
    address::{check_base_url, is_loopback},
    file::Value,
    resolve::Resolving,
    settings::{Role, S3, Server},
};
use crate::place::s3::address::{Address, SCHEME};

impl Resolving<'_> {
    /// The folder in a bucket that `spool_dir` names, if it does.
    pub(super) fn spool_store(&mut self) -> Option<Address> {
        self.store_of("spool_dir")
    }

    /// The same of `vault_dir`.
    pub(super) fn vault_store(&mut self) -> Option<Address> {
        self.store_of("vault_dir")
    }

    fn store_of(&mut self, key: &str) -> Option<Address> {
        let line = self.line(key);
        let Some((Value::Text(text), _)) = self.find(key) else {
            return None;
        };
        match Address::new(text.strip_prefix(SCHEME)?) {
            Ok(address) => Some(address),
            Err(why) => {
                self.wrong(line, key, why, "write \"s3://bucket/folder\"");
                None
            }
        }
    }

    /// Required as soon as a place is in a store; without that, what is written is checked too.
    pub(super) fn s3(
        &mut self,
        [spool, vault]: [Option<&Address>; 2],
        servers: &[Server],
    ) -> Option<S3> {
        for server in servers {
            self.has_its_way(spool, vault, server);
        }
        if let Some(vault) = vault {
            let line = self.line("vault_dir");
            let hint = "write spool_dir = \"s3://bucket/spool\"";
            match spool {
                None => {
                    let why = "a vault in an object store needs a spool in an object store";
                    self.wrong(line, "vault_dir", why, hint);
                }
                Some(spool) if spool.overlaps(vault) => {
                    let why = "spool and vault must not be inside each other";
                    self.wrong(line, "vault_dir", why, hint);
                }
                Some(_) => (),
            }
        }
        let delivers = |server: &Server| matches!(server.deliver_to, Some(Target::Store(_)));
        let is_used = spool.is_some() || vault.is_some() || servers.iter().any(delivers);
        let is_written = ["s3.endpoint", "s3.access_key_file", "s3.ca_file"]
            .iter()
            .any(|key| self.is_written(key));
        if !is_used && !is_written {
            return None;
        }
        let path = |r: &mut Self, key: &str| r.is_written(key).then(|| r.path(key));
        Some(S3 {
            endpoints: self.s3_endpoints(),
            region: self.text("s3.region"),
            access_key_file: path(self, "s3.access_key_file"),
            ca_file: path(self, "s3.ca_file"),
        })
    }

    /// What nobody merges is not delivered, and what any machine may merge is delivered by all.
    fn has_its_way(&mut self, spool: Option<&Address>, vault: Option<&Address>, server: &Server) {
        let key = |name: &str| format!("servers[{}].{name}", server.id);
        let delivers_to = match &server.deliver_to {
            Some(Target::Store(address)) => Some(address),
            _ => None,
        };
        match (server.role, delivers_to, vault) {
            (Role::Merger, _, None) => {
                let why = "a merger works on a vault in an object store";
                self.wrong(
                    None,
                    &key("role"),
                    why,
                    "set vault_dir = \"s3://bucket/vault\"",
                );
            }
            (Role::Merger, _, Some(_)) if server.deliver_to.is_some() => {
                let why = "a merger collects nothing";
                self.wrong(None, &key("deliver_to"), why, "remove it");
            }
            (Role::Primary, Some(_), None) => {
                let why = "the primary merges its own segments from its own disk";
                self.wrong(None, &key("deliver_to"), why, "remove it");
            }
            (Role::Primary | Role::Secondary, None, Some(_)) => {
                let why = "every merger must find there what this server has collected";
                let hint =
                    spool.map_or_else(String::new, |spool| format!("set deliver_to = \"{spool}\""));
                self.wrong(None, &key("deliver_to"), why, &hint);
            }
            (_, Some(address), _) if spool != Some(address) => {
                let why = "nobody would merge what is delivered there";
                let hint = format!("set spool_dir = \"{address}\"");
                self.wrong(None, &key("deliver_to"), why, &hint);
            }
            _ => (),
        }
    }

    fn s3_endpoints(&mut self) -> Vec<String> {
        const KEY: &str = "s3.endpoint";
        let (list, line) = match self.find(KEY) {
            Some((Value::List(list), line)) => (list, line),
            Some(_) => (vec![self.text(KEY)], self.line(KEY)),
            None => (Vec::new(), None),
        };
        if list.is_empty() {
            let hint = "write the store's address: \"https://s3.example.org\"";
            self.wrong(line, KEY, "it is missing", hint);
        }
        for url in &list {
            if url.starts_with("http://") && !is_loopback(url) {
                let why =
                    "plain http would send posts unencrypted; it is allowed to this machine only";
                self.wrong(line, KEY, why, "write https://");
            } else if let Err((why, hint)) = check_base_url(url) {
                self.wrong(line, KEY, why, hint);
            }
        }
        list.iter()
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{address::Target, resolve::testing::settings};

    const SERVERS: &str = "[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n\
                           [[servers]]\nid = \"2\"\nrole = \"secondary\"\nhost = \"b\"\ndeliver_to = \"s3://archive/spool\"\n";
    const SPOOL: &str = "data_dir = \"d\"\nspool_dir = \"s3://archive/spool\"\n";
    const S3: &str = "[s3]\nendpoint = \"https://s3.example.org/\"\n";

    #[test]
    fn a_spool_in_a_store_is_whole_or_refused() {
        let found = settings(&format!("{SPOOL}{S3}{SERVERS}")).unwrap();
        assert_eq!(found.spool_dir.name(), Path::new("/etc/t/d/spool"));
        let address = found.spool_store.unwrap();
        assert_eq!(address.to_string(), "s3://archive/spool");
        assert_eq!(found.servers[1].deliver_to, Some(Target::Store(address)));
        let s3 = found.s3.unwrap();
        assert_eq!(
            (s3.endpoints, s3.region.as_str()),
            (vec!["https://s3.example.org".to_owned()], "us-east-1")
        );
        let several = S3.replace(
            "\"https://s3.example.org/\"",
            "[\"http://127.0.0.1:1\", \"https://b\"]",
        );
        let found = settings(&format!("{SPOOL}{several}{SERVERS}")).unwrap();
        assert_eq!(found.s3.unwrap().endpoints.len(), 2);
        for (text, why) in [
            (format!("{SPOOL}{SERVERS}"), "`s3.endpoint`: it is missing"),
            (
                format!("{S3}{SERVERS}"),
                "`servers[2].deliver_to`: nobody would merge what is delivered there",
            ),
            (
                format!(
                    "{SPOOL}{S3}{}",
                    SERVERS.replace("archive/spool", "archive/other")
                ),
                "`servers[2].deliver_to`: nobody would merge",
            ),
            (
                format!("{SPOOL}{}{SERVERS}", S3.replace("https", "http")),
                "`s3.endpoint`: plain http would send posts",
            ),
            (
                format!("{}{S3}{SERVERS}", SPOOL.replace("archive/", "")),
                "`spool_dir`: the folder in the bucket is missing",
            ),
        ] {
            let found = settings(&text).unwrap_err();
            assert!(
                found.iter().any(|problem| problem.starts_with(why)),
                "{why}: {found:?}"
            );
        }
        let bluesky = format!("source = \"bluesky\"\n{SPOOL}{S3}{SERVERS}");
        settings(&bluesky).unwrap();
        let primary = SERVERS.replace(
            "host = \"a\"\n",
            "host = \"a\"\ndeliver_to = \"s3://archive/spool\"\n",
        );
        assert!(
            settings(&format!("{SPOOL}{S3}{primary}")).unwrap_err()[0].contains("its own disk")
        );
    }

    #[test]
    fn with_a_vault_in_a_store_all_deliver_and_others_merge() {
        let primary = SERVERS.replace(
            "host = \"a\"\n",
            "host = \"a\"\ndeliver_to = \"s3://archive/spool\"\n",
        );
        let vault = format!("vault_dir = \"s3://archive/vault\"\n{SPOOL}{S3}");
        let merger = "[[servers]]\nid = \"m\"\nrole = \"merger\"\nhost = \"c\"\n";
        let found = settings(&format!("{vault}{primary}{merger}")).unwrap();
        assert_eq!(found.publisher.as_str(), "1");
        let moved = settings(&format!("publisher = \"m\"\n{vault}{primary}{merger}")).unwrap();
        assert_eq!(moved.publisher.as_str(), "m");
        assert_eq!((found.servers.len(), found.mergers.len()), (2, 1));
        assert_eq!(found.vault_dir.name(), Path::new("/etc/t/d/vault"));
        for (text, why) in [
            (
                format!("publisher = \"2\"\n{vault}{primary}"),
                "`publisher`: server 2 is a secondary",
            ),
            (
                format!("publisher = \"x\"\n{vault}{primary}"),
                "`publisher`: there is no server \"x\"",
            ),
            (
                format!("{vault}{SERVERS}"),
                "`servers[1].deliver_to`: every merger must find there",
            ),
            (
                format!("{SPOOL}{S3}{SERVERS}{merger}"),
                "`servers[m].role`: a merger works on a vault",
            ),
            (
                format!(
                    "{}{primary}",
                    vault.replace("archive/vault", "archive/spool/vault")
                ),
                "`vault_dir`: spool and vault must not be inside each other",
            ),
            (
                format!("{}{primary}", vault.replace("spool_dir", "# spool_dir")),
                "`vault_dir`: a vault in an object store needs",
            ),
        ] {
            let found = settings(&text).unwrap_err();
            assert!(
                found.iter().any(|problem| problem.starts_with(why)),
                "{why}: {found:?}"
            );
        }
    }
}
