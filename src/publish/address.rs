//! Where a request may go, and where a credential may.
//!
//! Addresses come from answers: OSF's files live on regional hosts. So each is checked. A credential
//! goes to the API's own host and to https hosts of osf.io; a redirect may lead to another https host
//! (the storage behind), which gets none. Plain http is for a rehearsal on this machine, where the
//! API's own address is loopback.

use std::net::IpAddr;

use url::{Host, Url};

/// An address that is not followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadAddress {
    /// Not an address.
    #[error("{0:?} is not an address")]
    NotOne(String),
    /// Another host than OSF's.
    #[error("an answer leads to {0}, which is not OSF's")]
    Foreign(String),
}

/// Which hosts are OSF's.
#[derive(Debug, Clone)]
pub struct Site {
    base: Url,
}

impl Site {
    /// The site of an API's address.
    pub fn new(base_url: &str) -> Result<Self, BadAddress> {
        match Url::parse(base_url) {
            Ok(base) if base.has_host() => Ok(Self { base }),
            _ => Err(BadAddress::NotOne(base_url.to_owned())),
        }
    }

    /// Whether there is a certificate to verify.
    pub fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// An address of the API itself: the base with these parts behind it.
    pub fn api(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts).push("");
        }
        url
    }

    /// An address out of an answer, if it is OSF's.
    pub fn link(&self, text: &str) -> Result<Url, BadAddress> {
        let url = Url::parse(text).map_err(|_none| BadAddress::NotOne(shortened(text)))?;
        if self.may_have_credential(&url) {
            Ok(url)
        } else {
            Err(BadAddress::Foreign(origin(&url)))
        }
    }

    /// Where a redirect leads, if it may be followed.
    pub fn redirect(&self, from: &Url, location: &str) -> Result<Url, BadAddress> {
        let to = from.join(location);
        let to = to.map_err(|_none| BadAddress::NotOne(shortened(location)))?;
        let is_rehearsal = is_loopback(&self.base) && is_loopback(&to);
        if to.scheme() == "https" || (to.scheme() == "http" && is_rehearsal) {
            Ok(to)
        } else {
            Err(BadAddress::Foreign(origin(&to)))
        }
    }

    /// Whether a credential may be sent there.
    pub fn may_have_credential(&self, url: &Url) -> bool {
        let is_osf = |host: &str| host == "osf.io" || host.ends_with(".osf.io");
        let is_own = url.host() == self.base.host();
        match url.scheme() {
            "https" => is_own || url.host_str().is_some_and(is_osf),
            "http" => is_own && is_loopback(url),
            _ => false,
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Scheme, host and port: an address may carry a signature, which does not belong into a log.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The same address with this in its query, in place of what had that name.
pub fn with(url: &Url, members: &[(&str, &str)]) -> Url {
    let is_new = |name: &str| members.iter().all(|(other, _)| *other != name);
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| is_new(name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let mut url = url.clone();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(members);
    url
}

/// The same address without a query.
pub fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_to_osf_only() {
        let site = Site::new("https://api.osf.io").unwrap();
        let may = |text: &str| site.may_have_credential(&Url::parse(text).unwrap());
        for url in [
            "https://api.osf.io/v2/",
            "https://files.osf.io/v1/x",
            "https://files.de-1.osf.io/v1/x?kind=file",
            "https://osf.io/download/x/",
        ] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://api.osf.io/v2/",
            "https://osf.io.example.org/",
            "https://notosf.io/",
            "https://storage.googleapis.com/x?Signature=y",
            "ftp://files.osf.io/",
            "http://127.0.0.1/",
        ] {
            assert!(!may(url), "{url}");
            // what is told of it has neither its path nor a signature
            let why = site.link(url).unwrap_err().to_string();
            let host = url.split('/').nth(2).unwrap();
            assert!(
                why.contains("ftp") || why.contains(&format!("{host}, ")) || why.contains("null"),
                "{why}"
            );
            assert!(!why.contains("Signature") && !why.contains("/v2"), "{why}");
        }
        let from = Url::parse("https://files.osf.io/v1/x").unwrap();
        assert!(
            site.redirect(&from, "https://storage.example.com/y?s=1")
                .is_ok()
        );
        assert!(
            site.redirect(&from, "http://storage.example.com/y")
                .is_err()
        );
        assert!(site.redirect(&from, "http://127.0.0.1/y").is_err());
        assert_eq!(
            site.redirect(&from, "/v1/z").unwrap().as_str(),
            "https://files.osf.io/v1/z"
        );
    }

    #[test]
    fn a_rehearsal_has_one_host_with_credentials() {
        let site = Site::new("http://127.0.0.1:8081").unwrap();
        assert!(
            site.link("http://127.0.0.1:9000/v1/").is_ok(),
            "a regional port"
        );
        assert!(site.link("http://127.0.0.2:9000/v1/").is_err());
        let from = Url::parse("http://127.0.0.1:9000/v1/x").unwrap();
        let to = site
            .redirect(&from, "http://127.0.0.2:9/object?s=1")
            .unwrap();
        assert!(!site.may_have_credential(&to));
        assert!(site.redirect(&from, "http://192.0.2.1/").is_err());
    }

    #[test]
    fn queries_are_put_together_as_queries() {
        let site = Site::new("https://api.osf.io/").unwrap();
        assert_eq!(
            site.api(&["v2", "nodes", "abcde"]).as_str(),
            "https://api.osf.io/v2/nodes/abcde/"
        );
        let link = Url::parse("https://files.osf.io/v1/a/?kind=file").unwrap();
        let put = with(&link, &[("kind", "file"), ("name", "a b&c")]);
        assert_eq!(
            put.as_str(),
            "https://files.osf.io/v1/a/?kind=file&name=a+b%26c"
        );
        assert_eq!(bare(&put).as_str(), "https://files.osf.io/v1/a/");
    }
}
