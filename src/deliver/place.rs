//! Where, as this key sees it, this server's folder lies on the primary.
//!
//! An account with a shell sees `deliver_to` as it is written. A key restricted with rrsync sees its
//! own folder as the root: `rrsync /var/lib/twinstream/spool/2` shows the server's folder at `/`,
//! `rrsync /var/lib/twinstream/spool` shows it at `/2`. Nothing says which one it is but what can be
//! seen there, so the likeliest places are looked at one after the other, and a root is only taken
//! when it holds nothing that a spool or a server's folder does not.

use crate::{
    period::Day,
    segment::{aside, name::ServerId},
};

/// What the primary keeps beside the days in a server's folder.
pub const ACKS: &str = "acks.jsonl";

/// There while the primary has too little room: nothing is to be sent. It says why.
pub const HOLD: &str = "hold";

/// A place that may be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// This server's folder, if it is there.
    Server(String),
    /// The spool, if it is there.
    Spool(String),
    /// The root of what the key sees.
    Root,
    /// The folder above a spool that is yet to be made.
    Above(String),
}

/// The likeliest first.
pub fn candidates(path: &str, server: &ServerId) -> Vec<Candidate> {
    let mut all = vec![
        Candidate::Server(format!("{path}/{server}")),
        Candidate::Spool(path.to_owned()),
        Candidate::Root,
    ];
    let mut rest = path.trim_start_matches('/');
    while let Some((_, shorter)) = rest.split_once('/') {
        all.push(Candidate::Spool(format!("/{shorter}")));
        rest = shorter;
    }
    if let Some((above, _)) = path.rsplit_once('/').filter(|(above, _)| !above.is_empty()) {
        all.push(Candidate::Above(above.to_owned()));
    }
    all
}

impl Candidate {
    /// The folder to look into.
    pub fn folder(&self) -> &str {
        match self {
            Self::Server(folder) | Self::Spool(folder) | Self::Above(folder) => folder,
            Self::Root => "/",
        }
    }

    /// Where the server's folder lies if this one is right; `entries` is what lies in it, folders
    /// with a `/` behind.
    pub fn judge(
        &self,
        entries: &[String],
        path: &str,
        server: &ServerId,
        all: &[ServerId],
    ) -> Option<String> {
        match self {
            Self::Server(folder) => Some(folder.clone()),
            Self::Spool(folder) => Some(format!("{folder}/{server}")),
            Self::Above(_) => Some(format!("{path}/{server}")),
            Self::Root if is_server_folder(entries) => Some("/".to_owned()),
            Self::Root if is_spool(entries, all) => Some(format!("/{server}")),
            Self::Root => None,
        }
    }
}

/// Something of a server's folder, and nothing else.
fn is_server_folder(entries: &[String]) -> bool {
    let is_ours = |entry: &str| match entry.strip_suffix('/') {
        Some(folder) => folder.parse::<Day>().is_ok() || aside::is_aside(folder),
        None => [ACKS, HOLD].contains(&entry),
    };
    entries.iter().any(|entry| is_ours(entry))
        && entries
            .iter()
            .all(|entry| entry.starts_with('.') || is_ours(entry))
}

/// Nothing but folders of configured servers; an empty one will do.
fn is_spool(entries: &[String], all: &[ServerId]) -> bool {
    let is_ours = |entry: &String| {
        entry.starts_with('.')
            || entry
                .strip_suffix('/')
                .is_some_and(|name| all.iter().any(|id| id.as_str() == name))
    };
    entries.iter().all(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<ServerId> {
        ["1", "2"].map(|id| id.parse().unwrap()).to_vec()
    }

    #[test]
    fn the_written_path_comes_first_and_the_root_before_its_ends() {
        let folders: Vec<String> = candidates("/var/lib/twinstream/spool", &ids()[1])
            .iter()
            .map(|candidate| candidate.folder().to_owned())
            .collect();
        assert_eq!(
            folders,
            [
                "/var/lib/twinstream/spool/2",
                "/var/lib/twinstream/spool",
                "/",
                "/lib/twinstream/spool",
                "/twinstream/spool",
                "/spool",
                "/var/lib/twinstream"
            ]
        );
        assert_eq!(candidates("/spool", &ids()[1]).len(), 3);
    }

    #[test]
    fn a_root_is_taken_only_when_it_can_be_nothing_else() {
        for (entries, place) in [
            (&[][..], Some("/2")),
            (&["1/"], Some("/2")),
            (&["1/", "2/", ".ssh/"], Some("/2")),
            (&["acks.jsonl"], Some("/")),
            (
                &["acks.jsonl", "2026-11-23/", "aside/", "aside.2/", "hold"],
                Some("/"),
            ),
            (&["2026-11-23/"], Some("/")),
            (&["bin/", "etc/"], None),
            (&["1/", "bin/"], None),
            (&["acks.jsonl", "bin/"], None),
            (&["acks.jsonl/"], None),
            (&["1"], None),
        ] {
            let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            let found = Candidate::Root.judge(&entries, "/a/spool", &ids()[1], &ids());
            assert_eq!(found.as_deref(), place, "{entries:?}");
        }
    }
}
