//! Where, as this key sees it, this server's folder lies on the primary.
//!
//! An account with a shell sees `deliver_to` as it is written. A key restricted with rrsync sees its own folder as
//! the root: `rrsync /var/lib/twinstream/spool/2` shows the server's folder at `/`, `rrsync
//! /var/lib/twinstream/spool` shows it at `/2`. Only its content shows which one it is. So the likeliest places are
//! tried one after another, and a root is accepted only if it holds nothing that a spool or a server's folder would
//! not.

use crate::{
    period::Day,
    place::open::SPOOL_MARK,
    segment::{
        acks::{ACKS, WITHDRAWN},
        aside,
        name::ServerId,
    },
};

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
    all
}

impl Candidate {
    /// The folder to look into.
    pub fn folder(&self) -> &str {
        match self {
            Self::Server(folder) | Self::Spool(folder) => folder,
            Self::Root => "/",
        }
    }

    /// The server's folder, if this one is right; `entries` has its entries, folders with a `/` at the end.
    pub fn judge(&self, entries: &[String], server: &ServerId, all: &[ServerId]) -> Option<String> {
        match self {
            Self::Server(folder) => Some(folder.clone()),
            Self::Spool(folder) => is_spool(entries).then(|| format!("{folder}/{server}")),
            Self::Root if is_server_folder(entries) => Some("/".to_owned()),
            Self::Root if is_spool(entries) && has_only_servers(entries, all) => {
                Some(format!("/{server}"))
            }
            Self::Root => None,
        }
    }
}

/// Something of a server's folder, and nothing else.
fn is_server_folder(entries: &[String]) -> bool {
    let is_ours = |entry: &str| match entry.strip_suffix('/') {
        Some(folder) => folder.parse::<Day>().is_ok() || aside::is_aside(folder),
        None => [ACKS, WITHDRAWN, HOLD].contains(&entry),
    };
    entries.iter().any(|entry| is_ours(entry))
        && entries
            .iter()
            .all(|entry| entry.starts_with('.') || entry == SPOOL_MARK || is_ours(entry))
}

/// Marked as one, or nothing at all yet.
fn is_spool(entries: &[String]) -> bool {
    let is_passed_over = |entry: &String| entry.starts_with('.') || entry == "lost+found/";
    entries.iter().any(|entry| entry == SPOOL_MARK) || entries.iter().all(is_passed_over)
}

/// Nothing but folders of configured servers beside the mark.
fn has_only_servers(entries: &[String], all: &[ServerId]) -> bool {
    let is_ours = |entry: &String| {
        entry.starts_with('.')
            || [SPOOL_MARK, "lost+found/"].contains(&entry.as_str())
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
            ]
        );
        assert_eq!(candidates("/spool", &ids()[1]).len(), 3);
        let spool = Candidate::Spool("/spool".to_owned());
        for (entries, is_one) in [
            (&[][..], true),
            (&["spool.json", "2/", "notes"], true),
            (&["lost+found/"], true),
            (&["2/"], false),
        ] {
            let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            let found = spool.judge(&entries, &ids()[1], &ids());
            assert_eq!(found.is_some(), is_one, "{entries:?}");
        }
    }

    #[test]
    fn a_root_is_taken_only_when_it_can_be_nothing_else() {
        for (entries, place) in [
            (&[][..], Some("/2")),
            (&["1/"], None),
            (&["1/", "2/", ".ssh/", "spool.json"], Some("/2")),
            (&["spool.json", "bin/"], None),
            (&["acks.jsonl"], Some("/")),
            (&["acks.jsonl", "spool.json"], Some("/")),
            (
                &[
                    "acks.jsonl",
                    "withdrawn.jsonl",
                    "2026-11-23/",
                    "aside/",
                    "aside.2/",
                    "hold",
                ],
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
            let found = Candidate::Root.judge(&entries, &ids()[1], &ids());
            assert_eq!(found.as_deref(), place, "{entries:?}");
        }
    }
}
