//! The calls to OSF: few, slow, bounded, and each to an address that was checked.
//!
//! One connection at a time, one request a second, as OSF asks of its clients. Redirects are followed
//! by hand, since the credential may go along to OSF's own hosts and not beyond. What goes out is a
//! `Publishable`, the request for a DOI, or nothing.

use std::{cell::Cell, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Response, header},
};
use url::Url;

use super::{
    address::{BadAddress, Site, bare, with},
    answer::{self, After, Project, RemoteEntry, Trouble, senseless},
    publishable::Publishable,
};
use crate::{
    config::{proxy::Proxies, settings::Secret},
    doi::Doi,
    period::UtcMs,
    segment::sha256::Sha256,
    world::{
        agent::{self, Limits, NoCertificates},
        clock::Clock,
    },
};

/// What OSF's own client keeps between two requests.
const APART_MS: i64 = 1_000;
/// A page of 100 entries has some 200 KiB; WaterButler's answers less.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// Pages of 100 entries: no folder of ours has more.
const PAGES_MAX: usize = 1_000;
/// api → files → storage are two.
const REDIRECTS_MAX: usize = 5;
/// An upload's answer may take its time: it is stored first.
const LIMITS: Limits = Limits {
    whole: Duration::from_mins(30),
    connect: Duration::from_secs(30),
    silence: Duration::from_mins(2),
};

/// The result of an upload.
#[derive(Debug)]
pub enum Put {
    /// It was stored; this is what the service says it stored.
    Stored(RemoteEntry),
    /// The name is taken, by this file if the answer says so.
    Conflict(Option<RemoteEntry>),
}

/// A client of OSF.
pub struct Osf<'a> {
    agent: Agent,
    token: &'a Secret,
    site: Site,
    proxies: &'a Proxies,
    clock: &'a Clock,
    last: Cell<Option<UtcMs>>,
}

impl<'a> Osf<'a> {
    /// A client that has not connected yet.
    pub fn new(
        site: Site,
        token: &'a Secret,
        proxies: &'a Proxies,
        clock: &'a Clock,
    ) -> Result<Self, NoCertificates> {
        Ok(Self {
            agent: agent::agent(clock, LIMITS, site.is_https())?,
            token,
            site,
            proxies,
            clock,
            last: Cell::new(None),
        })
    }

    /// Which hosts are OSF's.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// A JSON answer.
    pub fn get(&self, url: &Url) -> Result<Value, Trouble> {
        let mut response = self.follow(url, true)?;
        let body = body(&mut response, ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&body).map_err(|why| senseless(&why.to_string()))
    }

    /// All entries of a list, page after page.
    pub fn list(&self, url: &Url) -> Result<Vec<RemoteEntry>, Trouble> {
        let mut found = Vec::new();
        let mut next = Some(with(url, &[("page[size]", "100")]));
        for _ in 0..PAGES_MAX {
            let Some(url) = next else {
                return Ok(found);
            };
            let (entries, following) = answer::page(&self.get(&url)?, &self.site)?;
            found.extend(entries);
            next = following;
        }
        Err(senseless("the list does not end"))
    }

    /// The file or folder of a name. The service's filter is not relied on.
    pub fn find(
        &self,
        children: &Url,
        name: &str,
        folder: bool,
    ) -> Result<Option<RemoteEntry>, Trouble> {
        let kind = if folder { "folder" } else { "file" };
        let filter = [("filter[name][eq]", name), ("filter[kind]", kind)];
        let mut found = self.list(&with(children, &filter))?;
        found.retain(|entry| entry.name == name && entry.is_folder == folder);
        Ok(found.into_iter().next())
    }

    /// Makes a folder; it is fine if it is there already.
    pub fn make_folder(&self, parent: &Url, name: &str) -> Result<(), Trouble> {
        let url = with(&bare(parent), &[("kind", "folder"), ("name", name)]);
        let mut response = self.send(&url, &[])?;
        match response.status().as_u16() {
            200 | 201 | 409 => Ok(()),
            _ => Err(refused(&mut response)),
        }
    }

    /// Sends a file: a new one of that name into a folder, or without one a new version of a file.
    pub fn put(&self, place: &Url, name: Option<&str>, file: &Publishable) -> Result<Put, Trouble> {
        let mut query = vec![("kind", "file")];
        query.extend(name.map(|name| ("name", name)));
        let mut response = self.send(&with(&bare(place), &query), file.bytes())?;
        let status = response.status().as_u16();
        if ![200, 201, 409].contains(&status) {
            return Err(refused(&mut response));
        }
        let body = body(&mut response, ANSWER_BYTES_MAX)?;
        let value: Value =
            serde_json::from_slice(&body).map_err(|why| senseless(&why.to_string()))?;
        let data = value.get("data");
        let is_told = data.is_some_and(|data| data.get("attributes").is_some());
        let entry = match data.filter(|_| is_told) {
            Some(data) => Some(answer::entry(data, &self.site)?),
            None => None,
        };
        match (status, entry) {
            (409, entry) => Ok(Put::Conflict(entry)),
            (_, Some(entry)) => Ok(Put::Stored(entry)),
            (_, None) => Err(senseless("it does not say what was stored")),
        }
    }

    /// Size and SHA-256 of the bytes that really come down; reads no more than `bytes_max` and one.
    pub fn read_back(&self, place: &Url, bytes_max: u64) -> Result<(u64, Sha256), Trouble> {
        let bytes = self.read(place, bytes_max.saturating_add(1))?;
        Ok((bytes.len() as u64, Sha256::of(&bytes)))
    }

    /// A file of at most so many bytes.
    pub fn read(&self, place: &Url, bytes_max: u64) -> Result<Vec<u8>, Trouble> {
        let mut response = self.follow(&bare(place), false)?;
        body(&mut response, bytes_max)
    }

    /// SHA-256 and instant of every version of a file.
    pub fn versions(&self, place: &Url) -> Result<Vec<(Sha256, UtcMs)>, Trouble> {
        let value = self.get(&with(&bare(place), &[("versions", "")]))?;
        let data = value.get("data").and_then(Value::as_array);
        let data = data.ok_or_else(|| senseless("it has no list of versions"))?;
        let one = |version: &Value| {
            let text = |at: &str| version.pointer(at).and_then(Value::as_str);
            let modified = text("/attributes/modified_utc").or(text("/attributes/modified"))?;
            let sha256 = text("/attributes/extra/hashes/sha256")?;
            Some((sha256.parse().ok()?, modified.parse().ok()?))
        };
        Ok(data.iter().filter_map(one).collect())
    }

    /// What the project of that id is to us.
    pub fn project(&self, id: &str) -> Result<Project, Trouble> {
        answer::project(&self.get(&self.site.api(&["v2", "nodes", id]))?)
    }

    /// The DOI that a project has. It has two or three identifiers, which come on one page.
    pub fn doi(&self, project: &str) -> Result<Option<Doi>, Trouble> {
        answer::doi_of_list(&self.get(&self.identifiers(project))?)
    }

    /// Gives a project a DOI.
    pub fn mint(&self, project: &str) -> Result<Doi, Trouble> {
        let wanted =
            serde_json::json!({"data": {"type": "identifiers", "attributes": {"category": "doi"}}});
        let url = self.site.link(self.identifiers(project).as_str())?;
        self.pace();
        let mut response = self
            .agent
            .post(url.as_str())
            .config()
            .proxy(self.proxies.way_to(url.as_str()))
            .build()
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/vnd.api+json")
            .send(wanted.to_string())
            .map_err(|why| unanswered(&why))?;
        if response.status().as_u16() != 201 {
            return Err(refused(&mut response));
        }
        let body = body(&mut response, ANSWER_BYTES_MAX)?;
        let value: Value =
            serde_json::from_slice(&body).map_err(|why| senseless(&why.to_string()))?;
        answer::doi(value.get("data").unwrap_or(&Value::Null))
    }

    fn identifiers(&self, project: &str) -> Url {
        self.site.api(&["v2", "nodes", project, "identifiers"])
    }

    /// The answer at the end of the redirects.
    fn follow(&self, url: &Url, only_osf: bool) -> Result<Response<Body>, Trouble> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let is_osf = self.site.may_have_credential(&url);
            if only_osf && !is_osf {
                let to = url.origin().ascii_serialization();
                return Err(BadAddress::Foreign(to).into());
            }
            let mut request = self
                .agent
                .get(url.as_str())
                .config()
                .proxy(self.proxies.way_to(url.as_str()))
                .build()
                .header("Accept", "application/vnd.api+json;version=2.20, */*;q=0.5");
            if is_osf {
                request = request.header("Authorization", self.bearer());
            }
            self.pace();
            let mut response = request.call().map_err(|why| unanswered(&why))?;
            match response.status().as_u16() {
                200 => return Ok(response),
                301 | 302 | 303 | 307 | 308 => {
                    let location = text(&response, header::LOCATION.as_str());
                    url = self.site.redirect(&url, location.unwrap_or(""))?;
                }
                _ => return Err(refused(&mut response)),
            }
        }
        Err(senseless("it redirects without end"))
    }

    /// A PUT with these bytes and their length.
    fn send(&self, url: &Url, bytes: &[u8]) -> Result<Response<Body>, Trouble> {
        let url = self.site.link(url.as_str())?;
        self.pace();
        self.agent
            .put(url.as_str())
            .config()
            .proxy(self.proxies.way_to(url.as_str()))
            .build()
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/octet-stream")
            .send(bytes)
            .map_err(|why| unanswered(&why))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    /// Waits until a second has passed since the last request.
    fn pace(&self) {
        if let Some(last) = self.last.get() {
            let wait_ms = last.0 + APART_MS - self.clock.now().0;
            let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
            self.clock.block(wait);
        }
        self.last.set(Some(self.clock.now()));
    }
}

fn text<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    let value = response.headers().get(name)?;
    value.to_str().ok()
}

/// A whole body of at most so many bytes.
fn body(response: &mut Response<Body>, max: u64) -> Result<Vec<u8>, Trouble> {
    let read = response.body_mut().with_config().limit(max).read_to_vec();
    read.map_err(|why| unanswered(&why))
}

/// What an answer that is no success means.
fn refused(response: &mut Response<Body>) -> Trouble {
    const WORDS_BYTES_MAX: u64 = 64 << 10;
    let status = response.status().as_u16();
    let header = answer::after(text(response, header::RETRY_AFTER.as_str()));
    // a status counts also when its words do not come whole
    let words = body(response, WORDS_BYTES_MAX).unwrap_or_else(|_unread| Vec::new());
    let in_body = || {
        let value: Value = serde_json::from_slice(&words).unwrap_or(Value::Null);
        let seconds = value.pointer("/headers/Retry-After")?.as_u64()?;
        Some(After::Seconds(seconds))
    };
    answer::trouble(status, &words, header.or_else(in_body))
}

/// No answer, or not a whole one.
fn unanswered(why: &ureq::Error) -> Trouble {
    Trouble::Passing {
        why: format!("no whole answer: {}", agent::words(why)),
        after: None,
    }
}
