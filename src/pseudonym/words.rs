//! Texts without what names a person or a post: addresses, names, numbers as long as ids.
//!
//! Each is replaced by a word in brackets, so that it can be seen that something stood there. Pure.

/// This many digits in a row may be an id, or a telephone number.
const DIGITS_MIN: usize = 8;

/// A handle with at least this many letters is taken out of longer words too.
const HANDLE_WITHIN_MIN: usize = 5;

/// A name of one letter would take that letter out of everything.
const NAME_MIN: usize = 2;

/// The hosts whose addresses identify persons and posts, with all hosts below them.
const HOSTS: [&str; 4] = ["x.com", "twitter.com", "t.co", "twimg.com"];

/// What is taken out wherever it stands.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each in small letters, and whether it is taken out of longer words too.
    all: Vec<(Vec<char>, bool)>,
    /// Whether persons are called by domains: then every host goes, and nothing is shown of it.
    are_domains: bool,
}

impl Names {
    /// Where persons are called by domains.
    pub(super) fn of_domains() -> Self {
        Self {
            are_domains: true,
            ..Self::default()
        }
    }

    /// The name by which a user is addressed.
    pub(super) fn handle(&mut self, handle: &str) {
        self.add(handle, HANDLE_WITHIN_MIN <= handle.chars().count());
    }

    /// The name that a user shows.
    pub(super) fn name(&mut self, name: &str) {
        self.add(name, false);
    }

    fn add(&mut self, name: &str, within: bool) {
        let name: Vec<char> = name.trim().chars().map(small).collect();
        let is_name = NAME_MIN <= name.len() && name.iter().any(|c| c.is_alphanumeric());
        if is_name {
            self.all.push((name, within));
        }
    }

    /// How many characters of a name are there: those of the longest.
    fn at(&self, text: &[char], at: usize) -> Option<usize> {
        let rest = text.get(at..)?;
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let is_it = |(name, within): &&(Vec<char>, bool)| {
            let is_there = rest.len() >= name.len()
                && rest
                    .iter()
                    .zip(name)
                    .all(|(there, of_name)| small(*there) == *of_name);
            is_there
                && (*within
                    || !(joins(before, name.first()) || joins(name.last(), rest.get(name.len()))))
        };
        self.all
            .iter()
            .filter(is_it)
            .map(|(name, _)| name.len())
            .max()
    }
}

fn small(c: char) -> char {
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(small), None) => small,
        _ => c,
    }
}

/// Whether two characters are parts of one word. Scripts without blanks between words have none that are.
fn joins(one: Option<&char>, next: Option<&char>) -> bool {
    let is_of_word = |c: Option<&char>| c.is_some_and(|c| is_handle(*c));
    is_of_word(one) && is_of_word(next)
}

fn is_handle(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A text without all that.
pub(super) fn cleaned(text: &str, names: &Names) -> String {
    let text: Vec<char> = text.chars().collect();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let is_begin = at.checked_sub(1).is_none_or(|before| {
            let before = text.get(before).copied();
            !before.is_some_and(|c| c.is_ascii_alphanumeric())
        });
        let found = if names.are_domains {
            account(rest).or_else(|| domain(rest, is_begin))
        } else {
            address(rest, is_begin)
        };
        let told = |shown: &'static str| move |len| (len, shown.to_owned());
        let found = found
            .or_else(|| is_begin.then(|| mail(rest)).flatten().map(told("[mail]")))
            .or_else(|| mention(rest, false).map(told("[@]")))
            .or_else(|| names.at(&text, at).map(told("[name]")))
            .or_else(|| number(rest).map(told("[number]")));
        if let Some((len, shown)) = found {
            clean += &shown;
            at += if names.are_domains {
                through_dids(rest, len)
            } else {
                len
            };
        } else {
            clean.push(c);
            at += 1;
        }
    }
    clean
}

fn run(text: &[char], is_of: impl Fn(char) -> bool) -> usize {
    text.iter().take_while(|c| is_of(**c)).count()
}

/// An address with its scheme, or where a word begins a host with a path: its length, and what is shown of it:
/// the host, unless it is one of X's.
fn address(text: &[char], is_begin: bool) -> Option<(usize, String)> {
    let begin: String = text.iter().take(8).collect::<String>().to_ascii_lowercase();
    let scheme = ["https://", "http://"];
    let scheme = scheme.into_iter().find(|scheme| begin.starts_with(scheme));
    let after = text.get(scheme.map_or(0, str::len)..)?;
    let host: String = after
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || ['.', '-'].contains(c))
        .collect();
    let host = host.to_ascii_lowercase();
    let has_path = after.get(host.len()) == Some(&'/');
    let top = host.rsplit('.').next().unwrap_or_default();
    let is_host =
        host.contains('.') && 2 <= top.len() && top.bytes().all(|b| b.is_ascii_alphabetic());
    if scheme.is_none() && !(is_begin && has_path && is_host) {
        return None;
    }
    // an address ends where the text continues in another script
    let len = run(text, |c| c.is_ascii_graphic());
    let of_x = |known: &str| host == known || host.ends_with(&format!(".{known}"));
    let shown = if is_host && !HOSTS.into_iter().any(of_x) {
        format!("[{host}]")
    } else {
        "[url]".to_owned()
    };
    Some((len, shown))
}

/// A handle behind its sign, or whatever else names an account there.
fn account(text: &[char]) -> Option<(usize, String)> {
    let is_sign = text.first().is_some_and(|c| ['@', '＠'].contains(c));
    let named = domain(text.get(1..)?, true).filter(|_| is_sign);
    let len = named
        .map(|(len, _)| len + 1)
        .or_else(|| mention(text, true))?;
    Some((len, "[@]".to_owned()))
}

/// The name of an account, an address with any scheme, mail, or where a word begins a host, and all that hangs on it.
fn domain(text: &[char], is_begin: bool) -> Option<(usize, String)> {
    if let Some(len) = did(text) {
        return Some((len, "[did]".to_owned()));
    }
    if !is_begin {
        return None;
    }
    let scheme = run(text, |c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let has_scheme = text.get(scheme..scheme + 3) == Some(&[':', '/', '/']);
    let url = || Some((run(text, |c| c.is_ascii_graphic()), "[url]".to_owned()));
    if has_scheme {
        return url();
    }
    if let Some(len) = mail(text) {
        let name = run(text, |c| c != '@') + 1;
        let named = domain(text.get(name..)?, true).map_or(0, |(len, _)| len);
        return Some((len.max(name + named), "[mail]".to_owned()));
    }
    let len = run(text, |c| {
        c.is_ascii_alphanumeric() || ['.', '-'].contains(&c)
    });
    let host: String = text.get(..len)?.iter().collect();
    let host = host.trim_end_matches(['.', '-']);
    let top = host.rsplit('.').next().unwrap_or_default();
    let is_host =
        host.contains('.') && 2 <= top.len() && top.bytes().any(|b| b.is_ascii_alphabetic());
    if !is_host {
        return None;
    }
    let hangs_on = text
        .get(host.len())
        .is_some_and(|c| ['/', ':', '?', '#'].contains(c));
    if hangs_on {
        return url();
    }
    Some((host.len(), "[url]".to_owned()))
}

/// The name of an account: `did:method:name`.
fn did(text: &[char]) -> Option<usize> {
    let begin: String = text.get(..4)?.iter().collect();
    let method = run(text.get(4..)?, |c| c.is_ascii_alphanumeric());
    let is_did = begin.eq_ignore_ascii_case("did:") && 0 < method;
    let has_name = text.get(4 + method) == Some(&':');
    let of_name = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
    (is_did && has_name).then(|| run(text, of_name))
}

/// The part that is taken extends to the end of a name that begins in it: `@_did:plc:abc` is no mention of `_did`
/// alone.
fn through_dids(text: &[char], len: usize) -> usize {
    let ends = (0..len).filter_map(|place| Some(place + did(text.get(place..)?)?));
    ends.fold(len, usize::max)
}

/// An address of mail.
fn mail(text: &[char]) -> Option<usize> {
    let name = run(text, |c| is_handle(c) || ['.', '%', '+', '-'].contains(&c));
    let host = text.get(name + 1..)?;
    let host = run(host, |c| {
        c.is_ascii_alphanumeric() || ['.', '-'].contains(&c)
    });
    (0 < name && text.get(name) == Some(&'@') && 0 < host).then_some(name + 1 + host)
}

/// A handle behind its sign, with what may follow on other services: `@name`, `@name@host.example`.
fn mention(text: &[char], is_domain: bool) -> Option<usize> {
    let is_handle = |c: char| is_handle(c) || is_domain && c == '-';
    let is_sign = |c: &char| ['@', '＠'].contains(c);
    let mut len = 0;
    while text.get(len).is_some_and(is_sign) {
        let name = run(text.get(len + 1..)?, is_handle);
        if name == 0 {
            break;
        }
        len += 1 + name;
        // a host has more parts
        while 0 < len && text.get(len) == Some(&'.') {
            let part = run(text.get(len + 1..)?, is_handle);
            if part == 0 {
                break;
            }
            len += 1 + part;
        }
    }
    (0 < len).then_some(len)
}

/// Digits, as many as an id may have.
fn number(text: &[char]) -> Option<usize> {
    let digits = run(text, char::is_numeric);
    (DIGITS_MIN <= digits).then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        for handle in ["ada_example", "bob"] {
            names.handle(handle);
        }
        for name in [
            "Ada Example",
            "田中",
            "田中太郎",
            "Bob Miller",
            "K",
            "♥",
            " Zoë ",
        ] {
            names.name(name);
        }
        names
    }

    #[test]
    fn what_names_a_person_or_a_post_goes() {
        for (text, clean) in [
            ("plain words, 100% of them", "plain words, 100% of them"),
            ("RT @Bob_1: hi", "RT [@]: hi"),
            ("@a @b.c ＠漢 ＠ada x@ @", "[@] [@] ＠漢 [@] x@ @"),
            ("@name@host.example!", "[@]!"),
            ("write to a.b+c@mail.example.org now", "write to [mail] now"),
            (
                "ada EXAMPLE, ADA_EXAMPLE and #teamada_example",
                "[name], [name] and #team[name]",
            ),
            ("bob's bobbin", "[name]'s bobbin"),
            // of several names that begin there the longest
            ("Bob Miller, 田中太郎です", "[name], [name]です"),
            ("田中さん、K is K ♥ zoË", "[name]さん、K is K ♥ [name]"),
            ("see https://t.co/Ab1です", "see [url]です"),
            ("HTTPS://X.com/bob/status/1 x", "[url] x"),
            (
                "x.com/bob/status/12 and pic.twitter.com/Ab",
                "[url] and [url]",
            ),
            (
                "https://news.example.org/bob?u=12345678",
                "[news.example.org]",
            ),
            (
                "news.example.org/a/b and/or 1.5/2 either/or",
                "[news.example.org] and/or 1.5/2 either/or",
            ),
            (
                "xx.com/a http://localhost/bob http://",
                "[xx.com] [url] [url]",
            ),
            (
                "id 12345678, not 1234567 or 12:30",
                "id [number], not 1234567 or 12:30",
            ),
            ("１２３４５６７８ 030/1234567", "[number] 030/1234567"),
        ] {
            assert_eq!(cleaned(text, &names()), clean, "{text}");
        }
    }

    #[test]
    fn where_handles_are_domains_every_domain_goes() {
        let mut names = Names::of_domains();
        for handle in ["ann-lee.bsky.social", "ann-lee"] {
            names.handle(handle);
        }
        for (text, clean) in [
            ("hi @ann-lee.bsky.social!", "hi [@]!"),
            (
                "ANN-LEE.bsky.social, ann-lee and teamann-lee",
                "[url], [name] and team[name]",
            ),
            ("I like bob.example.", "I like [url]."),
            (
                "from bob.example/x?y#z, or https://bob.example",
                "from [url] or [url]",
            ),
            (
                "at://did:plc:abc/app.bsky.feed.post/3k and did:web:bob.example",
                "[url] and [did]",
            ),
            ("見てbob.example見て", "見て[url]見て"),
            (
                "bob.xn--p1ai, a@bob.example e.g. 1.5 and 3.14",
                "[url], [mail] e.g. 1.5 and 3.14",
            ),
            // what hangs on the host of an address may be a name
            (
                "a@bob.example/ann or b.c+d@bob.example:8/ann?ann x",
                "[mail] or [mail] x",
            ),
            (
                "(did:plc:abc) @did:plc:abc ＠ann-lee xdid:plc:abc we did: a b",
                "([did]) [@] [@] x[did] we did: a b",
            ),
        ] {
            assert_eq!(cleaned(text, &names), clean, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_domain_and_no_did_is_left_wherever_it_stands(before in "[^a-zA-Z0-9]{0,3}", after in "[^a-zA-Z0-9]{0,3}") {
            for text in ["ann-lee.bsky.social", "did:plc:7iza6de2dwap2sbk", "at://did:plc:7iza6de2dwap2sbk/a.b.c/3k", "https://ann-lee.bsky.social/x"] {
                let clean = cleaned(&format!("{before}{text}{after}"), &Names::of_domains());
                prop_assert!(!clean.contains("bsky") && !clean.contains("7iza6de2"), "{clean}");
            }
        }

        #[test]
        fn no_handle_and_no_address_is_left_wherever_it_stands(before in ".{0,6}", after in ".{0,6}") {
            for text in ["@ada_example", "ada_example", "https://x.com/ada_example/status/1", "2124880648641171460"] {
                let clean = cleaned(&format!("{before}{text}{after}"), &names());
                prop_assert!(!clean.contains("ada_example") && !clean.contains("status/1"), "{clean}");
                prop_assert!(!clean.contains("124880648641171"), "{clean}");
            }
        }
    }
}
