//! Resolves `[bluesky]` into valid settings.

use std::{collections::BTreeSet, time::Duration};

use super::{
    address::is_loopback, file::Value, platform::Platform, resolve::Resolving, settings::Bluesky,
};

/// Jetstream takes no more of them.
const COLLECTIONS_MAX: usize = 100;

/// No endpoint keeps more; a larger value has the wrong unit.
const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);

impl Resolving<'_> {
    pub(super) fn bluesky(&mut self) -> Bluesky {
        let key = "bluesky.collections";
        let collections = self.list(key);
        let line = self.line(key);
        for wrong in collections.iter().filter(|one| !is_collection(one)) {
            let why = format!("{wrong:?} is neither a collection nor the beginning of one");
            let hint = "write app.bsky.feed.post, or app.bsky.feed.*";
            self.wrong(line, key, why, hint);
        }
        self.each_once(line, key, &collections);
        if COLLECTIONS_MAX < collections.len() {
            let why = format!(
                "there are {}, at most {COLLECTIONS_MAX} are taken",
                collections.len()
            );
            self.wrong(
                line,
                key,
                why,
                "write the beginning of several: app.bsky.feed.*",
            );
        }
        let key = "bluesky.endpoints";
        let line = self.line(key);
        let endpoints = self.list(key);
        if endpoints.is_empty() {
            self.wrong(line, key, "it is empty", "name one");
        }
        let endpoints = endpoints.iter().map(|url| self.websocket(line, key, url));
        let endpoints: Vec<String> = endpoints.collect();
        self.each_once(line, key, &endpoints);
        let overlap = self.overlap();
        let compress = matches!(self.find("bluesky.compress"), Some((Value::Bool(true), _)));
        let key = "bluesky.dictionary_file";
        let file = self.is_written(key).then(|| self.path(key));
        if compress && file.is_none() {
            let line = self.line("bluesky.compress");
            let why = "compressed messages cannot be read without the endpoint's dictionary";
            self.wrong(
                line,
                "bluesky.compress",
                why,
                "name its file: dictionary_file = \"…\"",
            );
        }
        Bluesky {
            collections,
            endpoints,
            overlap,
            dictionary_file: file.filter(|_| compress),
            honours_deletions: self.one_of(
                "bluesky.honour_deletions",
                &[("daily", true), ("never", false)],
            ),
        }
    }

    fn overlap(&mut self) -> Duration {
        let key = "bluesky.overlap";
        let overlap = self.duration(key);
        if OVERLAP_MAX < overlap {
            let line = self.line(key);
            let why = "it is longer than 7 days, and an endpoint keeps about one";
            self.wrong(line, key, why, "write \"10s\"");
        }
        overlap
    }

    /// What stands twice in a list is a slip: another was meant.
    fn each_once(&mut self, line: Option<usize>, key: &str, list: &[String]) {
        let mut known = BTreeSet::new();
        for twice in list.iter().filter(|one| !known.insert(*one)) {
            self.wrong(
                line,
                key,
                format!("{twice:?} occurs twice"),
                "name each once",
            );
        }
    }

    /// An endpoint, without a `/` at its end.
    pub(super) fn websocket(&mut self, line: Option<usize>, key: &str, url: &str) -> String {
        let (plain, rest) = match (url.strip_prefix("wss://"), url.strip_prefix("ws://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => (false, ""),
        };
        let hint = "write it as \"wss://host\"";
        if rest.contains(['?', '#', '@', ' ', '"', '\\']) || rest.trim_matches('/').is_empty() {
            let why = format!("{url:?} is not a URL with wss:// and a host");
            self.wrong(line, key, why, hint);
        } else if plain && !is_loopback(url) {
            let why = "plain ws would let anybody on the way change what comes; it is allowed to this machine only";
            self.wrong(line, key, why, hint);
        } else if url.trim_end_matches('/').ends_with("/subscribe") {
            let why = format!("{url:?} ends in /subscribe, which is added to every endpoint");
            self.wrong(line, key, why, "write it without the path");
        }
        url.trim_end_matches('/').to_owned()
    }
}

impl Bluesky {
    /// Nothing may be public of which deletions are not honoured.
    pub(super) fn only_honoured(
        &self,
        r: &mut Resolving<'_>,
        source: Platform,
        sections: [bool; 2],
    ) {
        if source != Platform::Bluesky || self.honours_deletions {
            return;
        }
        for (key, is_there) in ["publish", "dataset"].into_iter().zip(sections) {
            if is_there {
                let why = "an archive of Bluesky in which deletions are not honoured cannot be published: deleted posts would stay public";
                let hint = "set bluesky.honour_deletions = \"daily\", or remove the section";
                r.wrong(None, key, why, hint);
            }
        }
    }
}

/// `app.bsky.feed.post`, or a domain of such names: `app.bsky.feed.*`, `app.bsky.*`.
fn is_collection(text: &str) -> bool {
    let (domain, name) = match text.strip_suffix(".*") {
        Some(domain) => (domain, None),
        None => match text.rsplit_once('.') {
            Some((domain, name)) => (domain, Some(name)),
            None => return false,
        },
    };
    let parts: Vec<&str> = domain.split('.').collect();
    let is_domain = |part: &&str| {
        // a domain in capital letters is the same one, but endpoints compare letter by letter
        let may = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        part.chars().all(may) && !part.starts_with('-') && !part.ends_with('-')
    };
    let begins_with_letter =
        |part: &str| part.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let is_short = |part: &&str| (1..=63).contains(&part.len());
    let is_name = |name: &str| {
        is_short(&name)
            && begins_with_letter(name)
            && name.chars().all(|c| c.is_ascii_alphanumeric())
    };
    text.len() <= 317
        && 2 <= parts.len()
        && parts.iter().all(|part| is_domain(part) && is_short(part))
        && parts.first().is_some_and(|first| begins_with_letter(first))
        && name.is_none_or(is_name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::resolve::testing::settings;

    fn wrongs(section: &str) -> Vec<String> {
        let text = format!(
            "[bluesky]\n{section}\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a.example.org\"\n"
        );
        settings(&text).err().unwrap_or_default()
    }

    #[test]
    fn an_endpoint_is_written_without_its_path_and_an_overlap_is_short() {
        for (line, expected) in [
            (
                "endpoints = [\"wss://b.example.org\", \"wss://a.example.org/subscribe\"]",
                "`bluesky.endpoints`: \"wss://a.example.org/subscribe\" ends in /subscribe, which is added to every endpoint",
            ),
            (
                "endpoints = [\"ws://127.0.0.1:8081/subscribe/\"]",
                "`bluesky.endpoints`: \"ws://127.0.0.1:8081/subscribe/\" ends in /subscribe, which is added to every endpoint",
            ),
            (
                "overlap = \"8d\"",
                "`bluesky.overlap`: it is longer than 7 days, and an endpoint keeps about one",
            ),
        ] {
            assert_eq!(wrongs(line), [expected]);
        }
        let longest = "endpoints = [\"wss://a.example.org/x\", \"wss://b.example.org/subscribe-to\"]\noverlap = \"7d\"";
        assert!(wrongs(longest).is_empty());
    }

    #[test]
    fn a_collection_has_a_name_or_the_beginning_of_one() {
        for good in [
            "app.bsky.feed.post",
            "app.bsky.feed.*",
            "app.bsky.*",
            "fm.teal.alpha",
            "com.my-site.4thing.aRecord",
        ] {
            assert!(is_collection(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "app",
            "app.*",
            "app.bsky",
            "app.bsky..*",
            "4pp.bsky.feed.post",
            "app.-bsky.feed.post",
            "app.bsky-.feed.post",
            "App.bsky.feed.post",
            "app.bsky.feed.my-post",
            "app.bsky.feed.4post",
            "app.bsky.feed.post.",
            "app.bsky.feed.p*",
            "app..post",
            "a b.c.d",
            "app.bsky.feed.post&x=1",
        ] {
            assert!(!is_collection(bad), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_could_be_changed_on_the_way_is_not_asked_for() {
        for (line, expected) in [
            (
                "compress = true",
                "`bluesky.compress`: compressed messages cannot be read without the endpoint's dictionary",
            ),
            (
                "endpoints = [\"wss://a.example\", \"wss://b.example\", \"wss://a.example/\"]",
                "`bluesky.endpoints`: \"wss://a.example\" occurs twice",
            ),
            (
                "collections = [\"app.bsky.feed.post\", \"app.bsky.feed.post\"]",
                "`bluesky.collections`: \"app.bsky.feed.post\" occurs twice",
            ),
            (
                "endpoints = [\"ws://a.example\"]",
                "`bluesky.endpoints`: plain ws would let anybody on the way change what comes; it is allowed to this machine only",
            ),
            (
                "endpoints = [\"https://a.example\"]",
                "`bluesky.endpoints`: \"https://a.example\" is not a URL with wss:// and a host",
            ),
            (
                "endpoints = [\"wss://me@a.example\"]",
                "`bluesky.endpoints`: \"wss://me@a.example\" is not a URL with wss:// and a host",
            ),
            ("endpoints = []", "`bluesky.endpoints`: it is empty"),
        ] {
            assert_eq!(wrongs(line), [expected]);
        }
        assert!(wrongs("endpoints = [\"ws://127.0.0.1:8081\"]").is_empty());
    }

    #[test]
    fn a_dictionary_is_used_where_compressed_messages_are_wanted() {
        for (compress, file) in [(true, Some(Path::new("/etc/t/d.zst"))), (false, None)] {
            let text = format!(
                "[bluesky]\ncompress = {compress}\ndictionary_file = \"d.zst\"\n[[servers]]\nid = \"1\"\nrole = \"primary\"\nhost = \"a\"\n"
            );
            let bluesky = settings(&text).unwrap().bluesky;
            assert_eq!(bluesky.dictionary_file.as_deref(), file);
        }
    }
}
