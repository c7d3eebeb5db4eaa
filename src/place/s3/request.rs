//! Signs and sends one request, and gives what came back. It repeats nothing and follows nothing.

use std::{
    fmt, io,
    time::{Duration, UNIX_EPOCH},
};

use rusty_s3::{
    Bucket, Credentials, S3Action, UrlStyle,
    actions::{DeleteObject, GetObject, ListObjectsV2, PutObject},
};
use ureq::{Agent, Body, SendBody, http::Response, tls::RootCerts};
use url::Url;

use super::{
    address::Address,
    answer::{self, Meaning, Page},
};
use crate::{
    period::UtcMs,
    place::store::{Checked, Window},
    world::{
        agent::{self, Limits, NoCertificates},
        clock::Clock,
    },
};

/// How long a signature is valid: long enough for servers whose clocks differ a little, too short to be useful when
/// found later.
const SIGNED_FOR: Duration = Duration::from_mins(15);
/// A name under which nothing ever lies.
const NOTHING: &str = ".nothing";
/// An error's body.
const WORDS_BYTES_MAX: u64 = 64 << 10;
/// A page has 1,000 names of at most 1,024 bytes, which are written with three letters a byte.
const PAGE_BYTES_MAX: u64 = 16 << 20;
/// A segment has some megabytes; what says nothing for a minute is taken for silent.
const LIMITS: Limits = Limits {
    whole: Duration::from_mins(30),
    connect: Duration::from_secs(10),
    silence: Duration::from_mins(1),
};

/// One of the ways to a store.
#[derive(Debug, Clone)]
pub struct StoreEndpoint {
    /// Its address.
    pub url: Url,
    /// The proxy on the way there.
    pub proxy: Option<ureq::Proxy>,
}

/// The key that signs.
#[derive(Clone)]
pub struct Access(Credentials);

impl Access {
    /// A key's id and secret, and the token of a temporary one.
    pub fn new(id: &str, secret: &str, token: Option<&str>) -> Self {
        Self(match token {
            Some(token) => Credentials::new_with_token(id, secret, token),
            None => Credentials::new(id, secret),
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access(…)")
    }
}

/// An endpoint that no requests can be made for.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not the address of an object store")]
pub struct NoStore(Url);

/// What sends the requests. `roots`: whose certificates are known, if not the machine's.
pub fn agent(
    endpoints: &[StoreEndpoint],
    roots: Option<RootCerts>,
    clock: &Clock,
) -> Result<Agent, NoCertificates> {
    let is_https = endpoints.iter().any(|one| one.url.scheme() == "https");
    match roots {
        Some(roots) => Ok(agent::agent_with(clock, LIMITS, Some(roots))),
        None => agent::agent(clock, LIMITS, is_https),
    }
}

/// What came back for one request; `Err`: no whole answer.
pub type Said<T> = Result<T, String>;

/// Sends requests for the objects of one place.
pub struct Requests {
    agent: Agent,
    access: Access,
    address: Address,
    ways: Vec<(Bucket, Option<ureq::Proxy>)>,
}

impl Requests {
    /// Without a connection yet.
    pub fn new(
        address: Address,
        endpoints: &[StoreEndpoint],
        region: &str,
        access: Access,
        agent: Agent,
    ) -> Result<Self, NoStore> {
        let ways = endpoints.iter().map(|endpoint| {
            let (name, region) = (address.bucket().to_owned(), region.to_owned());
            let bucket = Bucket::new(endpoint.url.clone(), UrlStyle::Path, name, region);
            let bucket = bucket.map_err(|_why| NoStore(endpoint.url.clone()))?;
            Ok((bucket, endpoint.proxy.clone()))
        });
        let ways = ways.collect::<Result<_, NoStore>>()?;
        Ok(Self {
            agent,
            access,
            address,
            ways,
        })
    }

    /// The place.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// How many ways there are.
    pub fn ways(&self) -> usize {
        self.ways.len()
    }

    fn way(&self, way: usize) -> Said<&(Bucket, Option<ureq::Proxy>)> {
        let count = self.ways.len().max(1);
        self.ways
            .get(way % count)
            .ok_or_else(|| "there is no endpoint".to_owned())
    }

    /// What time it is there, by what it says when it is asked for something that it does not have.
    pub fn now(&self, way: usize) -> Said<Result<UtcMs, Meaning>> {
        let (meaning, response) = self.get(way, NOTHING, 0)?;
        if !matches!(meaning, Meaning::Done | Meaning::Absent) {
            return Ok(Err(meaning));
        }
        let date = response.headers().get("date");
        let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
        Ok(ms.map(UtcMs).ok_or_else(|| {
            Meaning::Refused("it does not say what time it is (no Date in its answer)".to_owned())
        }))
    }

    /// Asks to create an object unless there is one of that name, now or within a window of the store's time.
    pub fn put(
        &self,
        way: usize,
        (key, window): (&str, Option<Window>),
        bytes: u64,
        content: &mut Checked<'_>,
    ) -> Said<Meaning> {
        let (bucket, proxy) = self.way(way)?;
        let object = self.address.object(key);
        let mut action = PutObject::new(bucket, Some(&self.access.0), &object);
        // signed, so that nobody on the way can take it out
        action.headers_mut().insert("if-none-match", "*");
        let url = match window {
            None => action.sign(SIGNED_FOR),
            Some(Window { since, lasts }) => {
                // what time that is in the words of the crate that signs
                let time = since.to_string().parse().ok();
                let time = time.ok_or_else(|| format!("{since} cannot be signed for"))?;
                action.sign_with_time(lasts, &time)
            }
        };
        let request = self
            .agent
            .put(url.as_str())
            .config()
            .proxy(proxy.clone())
            .build()
            .header("If-None-Match", "*")
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", bytes.to_string());
        let response = request.send(SendBody::from_reader(content));
        Ok(meaning(&mut response.map_err(|why| words(&why))?))
    }

    /// Asks for an object from a byte on. Its body is still to be read.
    pub fn get(&self, way: usize, key: &str, from: u64) -> Said<(Meaning, Response<Body>)> {
        let (bucket, proxy) = self.way(way)?;
        let object = self.address.object(key);
        let url = GetObject::new(bucket, Some(&self.access.0), &object).sign(SIGNED_FOR);
        let mut request = self
            .agent
            .get(url.as_str())
            .config()
            .proxy(proxy.clone())
            .build()
            .header("Accept-Encoding", "identity");
        if 0 < from {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let mut response = request.call().map_err(|why| words(&why))?;
        let meaning = if response.status().is_success() {
            Meaning::Done
        } else {
            meaning(&mut response)
        };
        Ok((meaning, response))
    }

    /// Asks for a page of the names that begin so.
    pub fn list(
        &self,
        way: usize,
        prefix: &str,
        token: Option<&str>,
    ) -> Said<Result<Page, Meaning>> {
        let (bucket, proxy) = self.way(way)?;
        let mut action = ListObjectsV2::new(bucket, Some(&self.access.0));
        action.with_prefix(self.address.object(prefix));
        if let Some(token) = token {
            action.with_continuation_token(token);
        }
        let url = action.sign(SIGNED_FOR);
        let request = self
            .agent
            .get(url.as_str())
            .config()
            .proxy(proxy.clone())
            .build();
        let mut response = request.call().map_err(|why| words(&why))?;
        if !response.status().is_success() {
            return Ok(Err(meaning(&mut response)));
        }
        let body = body(&mut response, PAGE_BYTES_MAX)?;
        let page = answer::read_page(&body, &self.address);
        page.map(Ok)
            .map_err(|why| format!("its listing cannot be read: {why}"))
    }

    /// Asks to delete an object.
    pub fn delete(&self, way: usize, key: &str) -> Said<Meaning> {
        let (bucket, proxy) = self.way(way)?;
        let object = self.address.object(key);
        let url = DeleteObject::new(bucket, Some(&self.access.0), &object).sign(SIGNED_FOR);
        let request = self
            .agent
            .delete(url.as_str())
            .config()
            .proxy(proxy.clone())
            .build();
        Ok(meaning(&mut request.call().map_err(|why| words(&why))?))
    }
}

/// What went wrong on the way, without the address, which is signed.
fn words(why: &ureq::Error) -> String {
    match why {
        ureq::Error::BadUri(_) => "its address cannot be used".to_owned(),
        why => format!("no whole answer: {}", agent::words(why)),
    }
}

fn body(response: &mut Response<Body>, max: u64) -> Said<Vec<u8>> {
    let read = response.body_mut().with_config().limit(max).read_to_vec();
    read.map_err(|why| words(&why))
}

/// What an answer means of which nothing but its words is of interest. A status counts also when they do not come.
fn meaning(response: &mut Response<Body>) -> Meaning {
    let status = response.status().as_u16();
    let words = body(response, WORDS_BYTES_MAX).unwrap_or_else(|_unread| Vec::new());
    answer::meaning(status, &words)
}

/// Why reading a body ended, in words.
pub(super) fn cut_off(why: &io::Error) -> String {
    format!("its answer was cut off: {why}")
}
