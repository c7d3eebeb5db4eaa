//! Addresses as they are written: the API's URL, and where a secondary delivers to.

use std::{net::IpAddr, path::Path};

use super::settings::Target;

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

/// A folder or an ssh address.
pub(super) fn target(text: &str, folder: &Path) -> Result<Target, &'static str> {
    let Some(rest) = text.strip_prefix("ssh://") else {
        return match text {
            "" => Err("it is empty"),
            _ if text.contains("://") => Err("only ssh:// and folders can be delivered to"),
            _ => Ok(Target::Folder(folder.join(text))),
        };
    };
    match rest.split_once('/') {
        Some((authority, path)) if !path.is_empty() => match authority.split_once('@') {
            Some((user, host)) if !user.is_empty() && !host.is_empty() => {
                Ok(Target::Ssh(text.to_owned()))
            }
            _ => Err("the user is missing"),
        },
        _ => Err("the path is missing"),
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
}
