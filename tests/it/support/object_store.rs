//! An object store in this process: S3's API as far as the program uses it, with faults. It checks every signature, and
//! shares no code with the program.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

pub(crate) const BUCKET: &str = "archive";
pub(crate) const KEY_ID: &str = "AKIDTESTING";
/// Text that no log line or message may show.
pub(crate) const SECRET: &str = "s3cret/access+key";
pub(crate) const REGION: &str = "test-1";

/// What it does wrong. Each of them is counted when it happens.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fault of its own")]
pub(crate) struct Faults {
    /// It takes the condition of a create and does not keep it.
    pub(crate) ignores_the_condition: bool,
    /// Every n-th request is not heard.
    pub(crate) lose_request: u64,
    /// The answer to every n-th request is lost, after it was done.
    pub(crate) lose_answer: u64,
    /// Every n-th request is told to come again.
    pub(crate) slow_down: u64,
    /// Every n-th body that is read is cut in the middle.
    pub(crate) cut_body: u64,
    /// Each request waits so long before it is done, and every other one afterwards.
    pub(crate) delay: Duration,
    /// From this request on there is silence.
    pub(crate) dies_at: Option<u64>,
    /// Listings do not show what was written.
    pub(crate) lists_nothing: bool,
    /// The names of a page come in another order than they are in.
    pub(crate) reorders: bool,
    /// It knows no ranges.
    pub(crate) ignores_ranges: bool,
    /// It refuses who comes with the right key.
    pub(crate) refuses: bool,
    /// It refuses to read what has this part in its key, and to list it.
    pub(crate) refuses_to_read: Option<&'static str>,
    /// Requests of this method whose keys have this part wait until that is no longer so.
    pub(crate) holds: Option<(&'static str, &'static str)>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// When each was created, in seconds since 1970.
    created: BTreeMap<String, u64>,
    /// What its clock shows; `None`: what the latest request was signed for, and nothing comes too late.
    now: Option<u64>,
    latest: u64,
    held: u64,
    faults: Faults,
    requests: u64,
    bodies: u64,
    faulty: u64,
    wrongs: Vec<String>,
    page: usize,
    /// What others put there right before the first object of that ending is created.
    meanwhile: Option<(&'static str, BTreeMap<String, Vec<u8>>)>,
}

/// The store.
#[derive(Clone)]
pub(crate) struct ObjectStore {
    state: Arc<Mutex<State>>,
    /// Its ways.
    pub(crate) endpoints: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) enum Answer {
    Whole(u16, Vec<u8>),
    /// A body that says how long it is and ends before.
    Cut(u16, Vec<u8>),
    Nothing,
}

impl ObjectStore {
    /// One that no way leads to: whoever has it asks it by [`ObjectStore::ask`].
    pub(crate) fn without_ways() -> Self {
        let state = Arc::new(Mutex::new(State {
            page: 1_000,
            ..State::default()
        }));
        Self {
            state,
            endpoints: Vec::new(),
        }
    }

    pub(crate) fn start() -> Self {
        let mut store = Self::without_ways();
        for _way in 0..2 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            store
                .endpoints
                .push(format!("http://{}", listener.local_addr().unwrap()));
            let own = store.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let own = own.clone();
                    thread::spawn(move || own.serve(&stream));
                }
            });
        }
        store
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }

    /// Has other faults from now on, and counts anew.
    pub(crate) fn set(&self, faults: Faults) {
        self.with(|state| {
            state.faults = faults;
            (state.requests, state.bodies, state.faulty) = (0, 0, 0);
            state.held = 0;
        });
    }

    pub(crate) fn set_page(&self, page: usize) {
        self.with(|state| state.page = page);
    }

    /// What lies in it, without what only a probe has left.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = self.with(|state| state.objects.clone());
        objects.retain(|key, _| !key.contains("/.probe/"));
        objects
    }

    /// Looks at what lies in it, and when each of it was created, in seconds since 1970.
    pub(crate) fn look<T>(
        &self,
        at: impl FnOnce(&BTreeMap<String, Vec<u8>>, &BTreeMap<String, u64>) -> T,
    ) -> T {
        self.with(|state| at(&state.objects, &state.created))
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.with(|state| {
            state.created.insert(key.to_owned(), state.now());
            state.objects.insert(key.to_owned(), bytes.to_vec());
        });
    }

    /// Sets its clock, by which it refuses from now on what comes too late.
    pub(crate) fn set_now(&self, now: &str) {
        let now: jiff::Timestamp = now.parse().unwrap();
        self.set_second(now.as_second().cast_unsigned());
    }

    /// The same, in seconds since 1970.
    pub(crate) fn set_second(&self, now: u64) {
        self.with(|state| state.now = Some(now));
    }

    /// Waits until a request is held.
    pub(crate) fn wait_until_held(&self) {
        while self.with(|state| state.held) == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn replace(&self, objects: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
        self.with(|state| std::mem::replace(&mut state.objects, objects))
    }

    /// Others are faster than whoever creates an object of that ending next.
    pub(crate) fn meanwhile(&self, ending: &'static str, objects: BTreeMap<String, Vec<u8>>) {
        self.with(|state| state.meanwhile = Some((ending, objects)));
    }

    pub(crate) fn requests(&self) -> u64 {
        self.with(|state| state.requests)
    }

    /// How often it did something wrong.
    pub(crate) fn faulty(&self) -> u64 {
        self.with(|state| state.faulty)
    }

    /// What asked it wrongly.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.with(|state| state.wrongs.clone())
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader) {
            let answer = self.answer(&request);
            let now = UNIX_EPOCH + Duration::from_secs(self.with(|state| state.now()));
            let keeps = match answer {
                Answer::Whole(status, body) => write(stream, (status, now), body.len(), &body),
                Answer::Cut(status, body) => {
                    let half = &body[..body.len() / 2];
                    write(stream, (status, now), body.len(), half);
                    false
                }
                Answer::Nothing => false,
            };
            if !keeps {
                break;
            }
        }
        // it may be closed already
        let _closed = stream.shutdown(Shutdown::Both);
    }

    fn answer(&self, request: &Request) -> Answer {
        let (faults, nth) = self.with(|state| {
            state.requests += 1;
            (state.faults.clone(), state.requests)
        });
        let hits = |every: u64| 0 < every && nth % every == 0;
        let fault = || self.with(|state| state.faulty += 1);
        if faults.dies_at.is_some_and(|dies_at| dies_at <= nth) || hits(faults.lose_request) {
            fault();
            return Answer::Nothing;
        }
        if !faults.delay.is_zero() {
            thread::sleep(faults.delay);
        }
        if hits(faults.slow_down) {
            fault();
            return error(503, "SlowDown");
        }
        let is_kept_back = |part: &str| {
            let prefix = request.query.get("prefix").map_or("", String::as_str);
            request.method == "GET" && (request.path.contains(part) || prefix.contains(part))
        };
        if faults.refuses || faults.refuses_to_read.is_some_and(is_kept_back) {
            fault();
            return error(403, "AccessDenied");
        }
        self.hold(request);
        let mut answer = self.ask(request);
        if hits(faults.lose_answer) {
            fault();
            return Answer::Nothing;
        }
        if let Answer::Whole(200 | 206, body) = &mut answer
            && request.method == "GET"
            && 1 < body.len()
        {
            let nth = self.with(|state| {
                state.bodies += 1;
                state.bodies
            });
            if 0 < faults.cut_body && nth.is_multiple_of(faults.cut_body) {
                fault();
                return Answer::Cut(200, std::mem::take(body));
            }
        }
        if !faults.delay.is_zero() && nth % 2 == 0 {
            thread::sleep(faults.delay);
        }
        answer
    }

    /// Does what is asked, if whoever asks may.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        if let Err(why) = signed(request) {
            self.with(|state| state.wrongs.push(why));
            return error(403, "SignatureDoesNotMatch");
        }
        if self.comes_late(request) {
            return error(403, "AccessDenied");
        }
        let faults = self.with(|state| state.faults.clone());
        self.act(request, &faults)
    }

    /// Waits while requests like this are held.
    fn hold(&self, request: &Request) {
        let is_held = |state: &mut State| {
            let holds = state.faults.holds;
            let is_held = holds.is_some_and(|(method, part)| {
                request.method == method && request.path.contains(part)
            });
            state.held += u64::from(is_held);
            is_held
        };
        while self.with(is_held) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether the time for which it was signed is over. What is signed for minutes is signed by this machine's clock, and
    /// is of now.
    fn comes_late(&self, request: &Request) -> bool {
        let date = &request.query["X-Amz-Date"];
        let lasts: u64 = request.query["X-Amz-Expires"].parse().unwrap();
        let date = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &date[..4],
            &date[4..6],
            &date[6..8],
            &date[9..11],
            &date[11..13],
            &date[13..15]
        );
        let date: jiff::Timestamp = date.parse().unwrap();
        let date = date.as_second().cast_unsigned();
        self.with(|state| {
            state.latest = date.max(state.latest);
            3_600 < lasts && state.now.is_some_and(|now| date + lasts < now)
        })
    }

    fn act(&self, request: &Request, faults: &Faults) -> Answer {
        let Some(key) = request.path.strip_prefix(&format!("/{BUCKET}/")) else {
            return error(404, "NoSuchBucket");
        };
        self.with(|state| match request.method.as_str() {
            "PUT" => {
                if let Some((_, objects)) = state.meanwhile.take_if(|(end, _)| key.ends_with(*end))
                {
                    state.objects.extend(objects);
                }
                let is_conditional =
                    request.headers.get("if-none-match").map(String::as_str) == Some("*");
                if !is_conditional {
                    state
                        .wrongs
                        .push(format!("{key} is written without the condition"));
                }
                if is_conditional
                    && !faults.ignores_the_condition
                    && state.objects.contains_key(key)
                {
                    return error(412, "PreconditionFailed");
                }
                state.created.insert(key.to_owned(), state.now());
                if state
                    .objects
                    .insert(key.to_owned(), request.body.clone())
                    .is_some()
                {
                    state.faulty += 1;
                }
                Answer::Whole(200, Vec::new())
            }
            "GET" if key.is_empty() => Answer::Whole(200, listing(state, &request.query)),
            "GET" => match state.objects.get(key) {
                None => error(404, "NoSuchKey"),
                Some(object) => {
                    let range = request.headers.get("range");
                    let from = range
                        .filter(|_| !faults.ignores_ranges)
                        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
                    match from.map(|from| from.parse::<usize>().unwrap()) {
                        Some(from) => Answer::Whole(206, object[from..].to_vec()),
                        None => Answer::Whole(200, object.clone()),
                    }
                }
            },
            "DELETE" => {
                state.objects.remove(key);
                Answer::Whole(204, Vec::new())
            }
            _ => error(501, "NotImplemented"),
        })
    }
}

impl State {
    fn now(&self) -> u64 {
        self.now.unwrap_or(self.latest)
    }
}

/// A page of what lies there.
fn listing(state: &State, query: &BTreeMap<String, String>) -> Vec<u8> {
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let is_shown =
        |key: &&String| key.starts_with(&prefix) && after < **key && !state.faults.lists_nothing;
    let all: Vec<&String> = state.objects.keys().filter(is_shown).collect();
    let page = &all[..all.len().min(state.page)];
    let mut shown = page.to_vec();
    if state.faults.reorders {
        shown.reverse();
    }
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{BUCKET}</Name><EncodingType>url</EncodingType><KeyCount>{}</KeyCount><MaxKeys>{}</MaxKeys>",
        page.len(),
        state.page
    );
    for key in shown {
        let len = state.objects[key].len();
        let created = state.created.get(key).copied().unwrap_or_default();
        let created = jiff::Timestamp::from_second(created.cast_signed()).unwrap();
        write!(
            xml,
            "<Contents><Key>{key}</Key><LastModified>{created}</LastModified><ETag>&quot;0&quot;</ETag>\
             <Size>{len}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
        .unwrap();
    }
    let is_cut = page.len() < all.len();
    write!(xml, "<IsTruncated>{is_cut}</IsTruncated>").unwrap();
    if let Some(last) = page.last().filter(|_| is_cut) {
        write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
    }
    xml.push_str("</ListBucketResult>");
    xml.into_bytes()
}

pub(crate) fn error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>what was sent: {SECRET}</Message></Error>"
    );
    Answer::Whole(status, body.into_bytes())
}

fn write(
    mut stream: &TcpStream,
    (status, now): (u16, std::time::SystemTime),
    len: usize,
    body: &[u8],
) -> bool {
    let length = if status == 204 {
        String::new()
    } else {
        format!("Content-Length: {len}\r\n")
    };
    let date = httpdate::fmt_http_date(now);
    let head = format!("HTTP/1.1 {status} x\r\nDate: {date}\r\n{length}\r\n");
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .is_ok()
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        let len = reader.read_line(&mut line).ok()?;
        (0 < len).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers
        .get("content-length")
        .map_or(0, |len| len.parse().unwrap());
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some(Request::new(method, &target, headers, body))
}

impl Request {
    pub(crate) fn new(
        method: String,
        target: &str,
        headers: BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)));
        Self {
            method,
            path: decoded(path),
            query: query.collect(),
            headers,
            body,
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        bytes.push(match byte {
            b'%' => hex(rest.next().unwrap()) * 16 + hex(rest.next().unwrap()),
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn encoded(text: &str, kept: &[u8]) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether a request was signed by who has the key (AWS Signature Version 4, in the query).
fn signed(request: &Request) -> Result<(), String> {
    let of = |name: &str| {
        let value = request.query.get(&format!("X-Amz-{name}"));
        value
            .cloned()
            .ok_or_else(|| format!("{} is not signed", request.path))
    };
    let (credential, date, names) = (of("Credential")?, of("Date")?, of("SignedHeaders")?);
    let scope = credential
        .strip_prefix(&format!("{KEY_ID}/"))
        .ok_or("another key")?;
    let day = &date[..8];
    if scope != format!("{day}/{REGION}/s3/aws4_request") {
        return Err(format!("another scope: {scope}"));
    }
    let is_condition = request.headers.contains_key("if-none-match");
    if is_condition && !names.split(';').any(|name| name == "if-none-match") {
        return Err("the condition is not signed".to_owned());
    }
    let query: Vec<String> = request
        .query
        .iter()
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| format!("{}={}", encoded(name, b""), encoded(value, b"")))
        .collect();
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        request.method,
        encoded(&request.path, b"/"),
        query.join("&")
    );
    for name in names.split(';') {
        let value = request
            .headers
            .get(name)
            .ok_or("a signed header is missing")?;
        writeln!(canonical, "{name}:{value}").unwrap();
    }
    write!(canonical, "\n{names}\nUNSIGNED-PAYLOAD").unwrap();
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(canonical.as_bytes()))
    );
    let first = format!("AWS4{SECRET}").into_bytes();
    let key = [day, REGION, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| keyed(&key, part));
    if hex(&keyed(&key, &text)) == of("Signature")? {
        Ok(())
    } else {
        Err(format!(
            "{} {} is signed wrongly",
            request.method, request.path
        ))
    }
}
