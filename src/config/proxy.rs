//! The proxy of a network, as the environment tells it to every program: `HTTPS_PROXY`, `ALL_PROXY`,
//! `NO_PROXY`, in either case; the lower one goes before.
//!
//! Only `http://` proxies are known: the way through them is a tunnel (`CONNECT`), inside which TLS goes from
//! end to end. Loopback addresses are never asked for through a proxy.

use std::{fmt, net::IpAddr};

use ureq::ProxyProtocol;

use super::settings::Secret;

/// Where proxies listen when nothing is said.
const PORT: u16 = 80;

/// A proxy.
#[derive(Clone)]
pub struct Proxy {
    /// The variable that names it.
    pub variable: &'static str,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub user: Option<(String, Secret)>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A variable that names no proxy that can be used. Its value may hold a password, and is not told.
#[derive(Debug, thiserror::Error)]
pub enum BadProxy {
    /// Another kind of proxy.
    #[error("{variable}: a proxy of the kind {scheme}:// cannot be used, only http://HOST:PORT")]
    Kind {
        /// Which variable.
        variable: &'static str,
        /// What it says.
        scheme: String,
    },
    /// No address.
    #[error("{variable} is not an address such as http://proxy.example.org:3128")]
    Address {
        /// Which variable.
        variable: &'static str,
    },
}

/// What the environment says of proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    https: Option<Proxy>,
    all: Option<Proxy>,
    /// The entries of `NO_PROXY`, in lower case.
    except: Vec<String>,
}

impl Proxies {
    /// From the variables of the environment.
    pub fn new(variable: impl Fn(&str) -> Option<String>) -> Result<Self, BadProxy> {
        let set = |name: &'static str| {
            let text = variable(name)?.trim().to_owned();
            (!text.is_empty()).then_some((name, text))
        };
        let proxy = |names: [&'static str; 2]| {
            let found = names.into_iter().find_map(set);
            found.map(|(name, text)| read(name, &text)).transpose()
        };
        let except = ["no_proxy", "NO_PROXY"].into_iter().find_map(set);
        let except = except.map_or_else(Vec::new, |(_, list)| {
            let entries = list.split([',', ' ']).map(str::trim);
            entries
                .filter(|entry| !entry.is_empty())
                .map(str::to_ascii_lowercase)
                .collect()
        });
        Ok(Self {
            https: proxy(["https_proxy", "HTTPS_PROXY"])?,
            all: proxy(["all_proxy", "ALL_PROXY"])?,
            except,
        })
    }

    /// The proxy through which that address is asked.
    pub fn of_address(&self, address: &str) -> Option<&Proxy> {
        let url = url::Url::parse(address).ok()?;
        self.of(["https", "wss"].contains(&url.scheme()), url.host_str()?)
    }

    /// The same for plain HTTP calls.
    pub fn way_to(&self, address: &str) -> Option<ureq::Proxy> {
        let proxy = self.of_address(address)?;
        let mut built = ureq::Proxy::builder(ProxyProtocol::Http)
            .host(&proxy.host)
            .port(proxy.port);
        if let Some((user, password)) = &proxy.user {
            built = built.username(user).password(password.reveal());
        }
        // an invalid address cannot be reached either; the attempt reports that
        built.build().ok()
    }

    /// The proxy through which that host is asked; a host in brackets is an IPv6 address.
    pub fn of(&self, https: bool, host: &str) -> Option<&Proxy> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if is_loopback(&host) || self.except.iter().any(|entry| excepts(entry, &host)) {
            return None;
        }
        self.https.as_ref().filter(|_| https).or(self.all.as_ref())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `*` is every host, a name itself and what is below it, an address itself, `10.0.0.0/8` its block.
fn excepts(entry: &str, host: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(host) = host.parse::<IpAddr>() {
        return is_in(host, entry.trim_start_matches('[').trim_end_matches(']'));
    }
    let name = entry.trim_start_matches("*.").trim_start_matches('.');
    host == name
        || host
            .strip_suffix(name)
            .is_some_and(|before| !name.is_empty() && before.ends_with('.'))
}

fn is_in(host: IpAddr, entry: &str) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let (Ok(network), Some(bits)) = (network.parse::<IpAddr>(), bits) else {
        return false;
    };
    let same = |a: u128, b: u128, size: u32| {
        let beyond = size.saturating_sub(bits);
        a.checked_shr(beyond).unwrap_or(0) == b.checked_shr(beyond).unwrap_or(0)
    };
    match (host, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

fn read(variable: &'static str, text: &str) -> Result<Proxy, BadProxy> {
    let wrong = || BadProxy::Address { variable };
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = match url::Url::parse(&with_scheme) {
        Ok(url) => url,
        Err(_not_one) => return Err(wrong()),
    };
    if url.scheme() != "http" {
        return Err(BadProxy::Kind {
            variable,
            scheme: url.scheme().to_owned(),
        });
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(wrong)?;
    let user = if url.username().is_empty() && url.password().is_none() {
        None
    } else {
        let user = decoded(url.username()).ok_or_else(wrong)?;
        let password = decoded(url.password().unwrap_or("")).ok_or_else(wrong)?;
        Some((user, Secret::new(&password)))
    };
    Ok(Proxy {
        variable,
        host: host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
        port: url.port().unwrap_or(PORT),
        user,
    })
}

/// A user or password, as percent signs spell it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, BadProxy> {
        Proxies::new(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], host: &str, expected: Option<&str>) {
        let found = proxies(variables).unwrap();
        let found = found.of(true, host).map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{host}");
    }

    #[test]
    fn the_environment_names_the_proxy() {
        let a = ("HTTPS_PROXY", "http://a.example.org:3128");
        let b = ("https_proxy", "b.example.org:8080/");
        let all = ("ALL_PROXY", "http://[2001:db8::1]");
        check(&[], "api.x.com", None);
        check(&[("HTTPS_PROXY", " ")], "api.x.com", None);
        check(&[a], "api.x.com", Some("http://a.example.org:3128"));
        check(&[a, b], "api.x.com", Some("http://b.example.org:8080"));
        check(&[all], "api.x.com", Some("http://[2001:db8::1]:80"));
        check(&[all, a], "api.x.com", Some("http://a.example.org:3128"));
        let found = proxies(&[a]).unwrap();
        assert!(found.of(false, "api.x.com").is_none(), "it is for https");
        for loopback in [
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "a.localhost",
        ] {
            check(&[a], loopback, None);
        }
    }

    #[test]
    fn no_proxy_names_what_goes_without() {
        let a = "http://a.example.org:3128";
        let check = |list: &str, host: &str, goes_without: bool| {
            let variables = [("HTTPS_PROXY", a), ("NO_PROXY", list)];
            check(&variables, host, (!goes_without).then_some(a));
        };
        check("*", "api.x.com", true);
        check("x.com", "api.x.com", true);
        check(".x.com, osf.io", "API.X.COM.", true);
        check("*.x.com", "api.x.com", true);
        check("osf.io api.x.com", "api.x.com", true);
        check("com.x", "api.x.com", false);
        check("pi.x.com", "api.x.com", false);
        check(",", "api.x.com", false);
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("10.1.2.3", "10.1.2.3", true);
        check("0.0.0.0/0", "11.1.2.3", true);
        check("2001:db8::/32", "[2001:db8:1::2]", true);
        check("10.0.0.0/8", "[2001:db8::]", false);
        check("10.0.0.0/x", "10.0.0.1", false);
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_its_password() {
        let refused = |value: &str| proxies(&[("ALL_PROXY", value)]).unwrap_err().to_string();
        let told = refused("socks5://user:hush@proxy:1080");
        assert!(
            told.contains("ALL_PROXY: a proxy of the kind socks5://"),
            "{told}"
        );
        assert!(refused("https://proxy:3128").contains("https://"));
        for wrong in [
            "http://",
            "http://user:hush@",
            "http://a b/",
            "http://a:99999",
        ] {
            let told = refused(wrong);
            assert!(told.contains("is not an address"), "{told}");
            assert!(!told.contains("hush"));
        }
    }

    #[test]
    fn a_user_and_a_password_are_decoded_and_not_shown() {
        let found = proxies(&[("HTTPS_PROXY", "http://ann:p%40ss%3a@proxy:3128")]).unwrap();
        let proxy = found.of(true, "api.x.com").unwrap();
        let (user, password) = proxy.user.as_ref().unwrap();
        assert_eq!((user.as_str(), password.reveal()), ("ann", "p@ss:"));
        assert_eq!(format!("{proxy} {found:?}").matches("p@ss").count(), 0);
    }
}
