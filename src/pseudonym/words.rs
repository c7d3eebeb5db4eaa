//! Texts without what names a person or a post: addresses, names, numbers as long as ids.
//!
//! Each is replaced by a word in brackets, so that it can be seen that something stood there. Pure.

/// So many digits in a row may be an id, or a telephone number.
const DIGITS_MIN: usize = 8;

/// A handle of so many letters is taken out of longer words, too.
const HANDLE_WITHIN_MIN: usize = 5;

/// A name of one letter would take that letter out of everything.
const NAME_MIN: usize = 2;

/// Whose addresses tell of persons and posts, besides all below them.
const HOSTS: [&str; 4] = ["x.com", "twitter.com", "t.co", "twimg.com"];

/// What is taken out wherever it stands.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each in small letters, and whether it is taken out of longer words, too.
    all: Vec<(Vec<char>, bool)>,
}

impl Names {
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

    /// How many characters of a name stand there: those of the longest.
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
        if let Some((len, shown)) = address(rest, is_begin) {
            clean += &shown;
            at += len;
        } else if let Some(len) = is_begin.then(|| mail(rest)).flatten() {
            clean += "[mail]";
            at += len;
        } else if let Some(len) = mention(rest) {
            clean += "[@]";
            at += len;
        } else if let Some(len) = names.at(&text, at) {
            clean += "[name]";
            at += len;
        } else if let Some(len) = number(rest) {
            clean += "[number]";
            at += len;
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
    // an address ends where the text goes on in another script
    let len = run(text, |c| c.is_ascii_graphic());
    let of_x = |known: &str| host == known || host.ends_with(&format!(".{known}"));
    let shown = if is_host && !HOSTS.into_iter().any(of_x) {
        format!("[{host}]")
    } else {
        "[url]".to_owned()
    };
    Some((len, shown))
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
fn mention(text: &[char]) -> Option<usize> {
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
        for name in ["Ada Example", "田中", "K", "♥", " Zoë "] {
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

    proptest! {
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
