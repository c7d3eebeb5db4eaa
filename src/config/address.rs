//! Addresses as they are written: the API's URL, and where a secondary delivers to.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
};

use crate::place::{
    open::Unopened,
    s3::address::{Address, SCHEME},
};

/// Where a secondary delivers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A folder that this machine can write: the primary's spool.
    Folder(Unopened),
    /// `ssh://user@host[:port]/path`.
    Ssh(SshTarget),
    /// `s3://bucket/folder`: the spool in an object store.
    Store(Address),
}

/// The primary's spool on another machine, reached over ssh. None of its parts can be taken for an
/// option or a command: the configuration has checked them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// The account there.
    pub user: String,
    /// The machine: a name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Its port; `None`: what ssh takes by itself.
    pub port: Option<u16>,
    /// The spool's folder there, from the root, without a `/` at the end.
    pub path: String,
}

impl SshTarget {
    /// The machine as URLs and rsync write it: an IPv6 address in brackets.
    pub fn written_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ssh://{}@{}", self.user, self.written_host())?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Whether a URL goes to this machine only.
pub fn is_loopback(base_url: &str) -> bool {
    let rest = base_url
        .split_once("://")
        .map_or(base_url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _port)| host),
    };
    is_loopback_host(host)
}

/// Whether a host's name or address is this machine's own.
pub fn is_loopback_host(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_a_name) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether the stream may be asked for there; otherwise why not, and what to write.
pub(super) fn check_base_url(url: &str) -> Result<(), (&'static str, &'static str)> {
    let (plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => {
            return Err((
                "it is not a URL with https://",
                "write it as \"https://host\"",
            ));
        }
    };
    if rest.contains(['?', '#', '@', ' ']) || rest.trim_matches('/').is_empty() {
        return Err((
            "it takes a host and perhaps a path, nothing else",
            "write it as \"https://host\"",
        ));
    }
    if plain && !is_loopback(url) {
        return Err((
            "plain http would send the token unencrypted; it is allowed to this machine only",
            "write https://",
        ));
    }
    Ok(())
}

/// A folder, as it is written, an ssh address, or a folder in a bucket.
pub(super) fn target(text: &str) -> Result<Target, &'static str> {
    if let Some(rest) = text.strip_prefix(SCHEME) {
        return Address::new(rest).map(Target::Store);
    }
    match text.strip_prefix("ssh://") {
        Some(rest) => ssh(rest).map(Target::Ssh),
        None if text.is_empty() => Err("it is empty"),
        None if text.contains("://") => Err("only ssh://, s3:// and folders can be delivered to"),
        None => Ok(Target::Folder(PathBuf::from(text).into())),
    }
}

/// `user@host[:port]/path`. What ssh, rsync or a shell on the other side could take for something
/// else than a name is not allowed in any of them.
fn ssh(rest: &str) -> Result<SshTarget, &'static str> {
    let (authority, path) = rest.split_once('/').ok_or("the path is missing")?;
    let (user, host_and_port) = authority.rsplit_once('@').ok_or("the user is missing")?;
    let (host, port) = host_and_port_of(host_and_port)?;
    let is_plain = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if user.is_empty() {
        return Err("the user is missing");
    }
    if !is_plain(user, "_.-") {
        return Err("the user may have only letters, digits and _ . -");
    }
    if !is_plain(host, ".-") && host.parse::<Ipv6Addr>().is_err() {
        return Err("the host may have only letters, digits and . -, or be an IPv6 address in []");
    }
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err("the path is missing");
    }
    if path.split('/').any(|part| part == "..") {
        return Err("the path may not go back with ..");
    }
    if !path
        .chars()
        .all(|c| c.is_alphanumeric() || "_.-+=@,/".contains(c))
    {
        return Err("the path may have only letters, digits and _ . - + = @ , /");
    }
    Ok(SshTarget {
        user: user.to_owned(),
        host: host.to_owned(),
        port,
        path: format!("/{path}"),
    })
}

fn host_and_port_of(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => v6
            .split_once(']')
            .ok_or("the ] after the IPv6 address is missing")?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, None)),
        Some(number) => match number.parse() {
            Ok(1_u16..) if number.bytes().all(|b| b.is_ascii_digit()) => {
                Ok((host, number.parse().ok()))
            }
            _ => Err("the port is not a number from 1 to 65535"),
        },
        None => Err("after the ] comes the port or the path"),
    }
}

/// Options of ssh that take an argument of their own.
const WITH_ARGUMENT: &str = "BbcDEeFIiJLlmOopQRSWw";

/// `[deliver] ssh_options` as arguments for ssh: each element is one argument as on a command line,
/// an option with its argument behind a space (`"-i /path"`), or `Key=value`, which is what `-o` takes.
/// A bare word would be taken for the host, so there may be none.
pub(super) fn ssh_options(list: &[String]) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let mut takes_next = None;
    for element in list {
        if element.trim().is_empty() || element.chars().any(char::is_control) {
            return Err(format!("{element:?} is not an option"));
        }
        if takes_next.take().is_some() {
            arguments.push(element.clone());
            continue;
        }
        let mut letters = element.chars();
        match (letters.next(), letters.next(), letters.as_str()) {
            (Some('-'), Some(letter), "") if letter.is_ascii_alphanumeric() => {
                takes_next = WITH_ARGUMENT.contains(letter).then(|| element.clone());
                arguments.push(element.clone());
            }
            (Some('-'), Some(letter), rest) if WITH_ARGUMENT.contains(letter) => {
                arguments.push(format!("-{letter}"));
                arguments.push(rest.trim_start().to_owned());
            }
            (Some('-'), Some(letter), rest)
                if rest.chars().all(|c| c.is_ascii_alphanumeric())
                    && letter.is_ascii_alphanumeric() =>
            {
                arguments.push(element.clone());
            }
            (Some(first), ..) if first.is_ascii_alphabetic() && element.contains('=') => {
                arguments.extend(["-o".to_owned(), element.clone()]);
            }
            _ => return Err(format!("{element:?} would be taken for a host")),
        }
    }
    match takes_next {
        None => Ok(arguments),
        Some(option) => Err(format!("{option:?} takes an argument, and there is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://127.0.0.1:80",
            "http://127.9.9.9/x",
            "http://[::1]:8",
            "http://localhost",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "http://127.0.0.1.example.org",
            "http://10.0.0.1",
            "http://localhost.example.org",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[track_caller]
    fn check_target(text: &str, expected: Result<(&str, &str, Option<u16>, &str), &str>) {
        let found = target(text);
        let expected = expected.map(|(user, host, port, path)| {
            Target::Ssh(SshTarget {
                user: user.to_owned(),
                host: host.to_owned(),
                port,
                path: path.to_owned(),
            })
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_ssh_address_is_taken_apart_and_nothing_in_it_can_be_an_option_or_a_command() {
        check_target(
            "ssh://u@h.example/a/b/",
            Ok(("u", "h.example", None, "/a/b")),
        );
        check_target(
            "ssh://u_1@10.0.0.1:2222/a",
            Ok(("u_1", "10.0.0.1", Some(2222), "/a")),
        );
        check_target("ssh://u@[::1]:22/a", Ok(("u", "::1", Some(22), "/a")));
        for (text, why) in [
            ("ssh://h/a", "the user is missing"),
            ("ssh://@h/a", "the user is missing"),
            ("ssh://u@h", "the path is missing"),
            ("ssh://u@h/", "the path is missing"),
            (
                "ssh://-oProxyCommand=x@h/a",
                "the user may have only letters, digits and _ . -",
            ),
            (
                "ssh://u@-oProxyCommand/a",
                "the host may have only letters, digits and . -, or be an IPv6 address in []",
            ),
            (
                "ssh://u@h$(x)/a",
                "the host may have only letters, digits and . -, or be an IPv6 address in []",
            ),
            ("ssh://u@h:0/a", "the port is not a number from 1 to 65535"),
            (
                "ssh://u@h:+22/a",
                "the port is not a number from 1 to 65535",
            ),
            ("ssh://u@[::1/a", "the ] after the IPv6 address is missing"),
            ("ssh://u@h/a/../b", "the path may not go back with .."),
            (
                "ssh://u@h/a;rm",
                "the path may have only letters, digits and _ . - + = @ , /",
            ),
            (
                "ssh://u@h/a b",
                "the path may have only letters, digits and _ . - + = @ , /",
            ),
            (
                "rsync://h/a",
                "only ssh://, s3:// and folders can be delivered to",
            ),
        ] {
            check_target(text, Err(why));
        }
    }

    #[test]
    fn options_for_ssh_are_arguments_and_never_a_host() {
        let given = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
            ssh_options(&list)
        };
        for (list, arguments) in [
            (&["-i", "/a key", "-4"][..], &["-i", "/a key", "-4"][..]),
            (
                &["-i /a key", "-oPort=2"],
                &["-i", "/a key", "-o", "Port=2"],
            ),
            (
                &["Port=2", "-o", "Compression=no"],
                &["-o", "Port=2", "-o", "Compression=no"],
            ),
            (&["-vv"], &["-vv"]),
        ] {
            assert_eq!(given(list).unwrap(), arguments);
        }
        for list in [
            &["host"][..],
            &["-i"],
            &[""],
            &["--"],
            &["-4", "x"],
            &["-o", "a\nb"],
        ] {
            assert!(given(list).is_err(), "{list:?}");
        }
    }
}
