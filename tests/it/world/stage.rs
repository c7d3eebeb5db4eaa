//! Where all meet: the store, and whose turn it is. One goes on at a time; at every request to the store the seed decides who
//! that is, and what becomes of the request.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    panic::resume_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use twinstream::{
    place::s3::{
        address::Address,
        request::{Access, Requests, StoreEndpoint},
        store::S3,
    },
    world::clock::Clock,
};
use ureq::{
    Agent, Body, SendBody,
    http::{Request as HttpRequest, Response},
    middleware::{Middleware, MiddlewareNext},
};

use super::books::{self, Books};
use crate::{
    support::{
        disk::SimulatedDisk,
        object_store::{
            Answer, BUCKET, Faults, KEY_ID, ObjectStore, REGION, Request, SECRET, error,
        },
    },
    week::Dice,
};

/// Far more requests than the longest of these turns needs: whoever comes so far goes round in circles.
const REQUESTS_MAX: u64 = 20_000;

/// How long what is signed for now may be on its way, by the store's clock.
const SIGNED_FOR_S: u64 = 900;

/// What is in store for an actor in one turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    /// It is dead from this request on; whether the store still does that one.
    pub(crate) dies: Option<(u64, bool)>,
    /// From this request on it gets no answer for so many requests.
    pub(crate) silence: Option<(u64, u64)>,
    /// At this request it falls asleep while others make so many requests and so many seconds pass in the store.
    pub(crate) sleeps: Option<(u64, u64, u64)>,
}

/// One of those whose requests meet.
struct Actor {
    /// The machine as it is now: with another disk it is another one.
    machine: String,
    disk: SimulatedDisk,
    fate: Fate,
    requests: u64,
    wakes: u64,
}

struct State {
    dice: Dice,
    /// What of a thousand requests goes wrong, in each way.
    trouble: u64,
    actors: Vec<Actor>,
    waiting: BTreeSet<usize>,
    running: Option<usize>,
    /// All requests, and those since the turn began.
    requests: u64,
    of_turn: u64,
    /// The store's clock.
    now_s: u64,
    /// Requests that are still on their way: when they arrive, and when they were sent.
    on_the_way: Vec<(u64, u64, String, Request)>,
    happened: BTreeMap<&'static str, u64>,
    told: Vec<String>,
    books: Books,
}

/// The store and those who ask it.
pub(crate) struct Stage {
    pub(crate) store: ObjectStore,
    state: Mutex<State>,
    turn: Condvar,
}

/// An act of one actor.
pub(crate) struct Act<'a> {
    pub(crate) machine: String,
    pub(crate) disk: SimulatedDisk,
    pub(crate) fate: Fate,
    pub(crate) does: Box<dyn FnOnce(&Ways) + Send + 'a>,
}

/// The way of one actor to the store.
pub(crate) struct Ways {
    stage: Arc<Stage>,
    actor: usize,
}

/// Whoever ends hands the turn on, however that comes.
struct Leaves<'a>(&'a Stage);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = None;
        state.choose();
        self.0.turn.notify_all();
    }
}

impl State {
    /// Whose turn it is next: of those who are awake.
    fn choose(&mut self) {
        let requests = self.requests;
        let is_awake = |actor: &&usize| self.actors[**actor].wakes <= requests;
        let mut awake: Vec<usize> = self.waiting.iter().filter(is_awake).copied().collect();
        if awake.is_empty() {
            // nobody is left to wait for
            awake.extend(&self.waiting);
        }
        self.running = match awake.len() {
            0 => None,
            len => Some(awake[usize::try_from(self.dice.next() % len as u64).unwrap()]),
        };
        if let Some(running) = self.running {
            self.waiting.remove(&running);
        }
    }

    fn happens(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    fn tell(&mut self, line: String) {
        self.told.push(line);
    }
}

/// What becomes of a request.
enum Lot {
    Done,
    NotHeard,
    Unanswered,
    SlowDown,
    Conflict,
    DoneAndFailed,
    Late(u64),
    Cut,
}

impl Stage {
    pub(crate) fn new(seed: u64, now_s: u64, keeps_nothing: bool) -> Arc<Self> {
        let store = ObjectStore::without_ways();
        store.set_second(now_s);
        let mut dice = Dice(seed);
        // pages so small that what happens meanwhile is between them
        store.set_page(usize::try_from(dice.between(3, 40)).unwrap());
        store.set(Faults {
            reorders: dice.next().is_multiple_of(2),
            ..Faults::default()
        });
        Arc::new(Self {
            store,
            state: Mutex::new(State {
                dice,
                trouble: 0,
                actors: Vec::new(),
                waiting: BTreeSet::new(),
                running: None,
                requests: 0,
                of_turn: 0,
                now_s,
                on_the_way: Vec::new(),
                happened: BTreeMap::new(),
                told: Vec::new(),
                books: Books::new(keeps_nothing),
            }),
            turn: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn happens(&self, what: &'static str) {
        self.state().happens(what);
    }

    pub(crate) fn tell(&self, line: String) {
        self.state().tell(line);
    }

    /// How often what has happened.
    pub(crate) fn happened(&self) -> BTreeMap<&'static str, u64> {
        self.state().happened.clone()
    }

    /// The last so many requests, and what became of them.
    pub(crate) fn told(&self, last: usize) -> String {
        let told = &self.state().told;
        told[told.len().saturating_sub(last)..].join("\n")
    }

    /// What was done that may not be.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        let mut wrongs = self.state().books.wrongs.clone();
        wrongs.extend(self.store.wrongs());
        wrongs
    }

    /// Time passes in the store.
    pub(crate) fn pass(&self, seconds: u64) {
        let mut state = self.state();
        state.now_s += seconds;
        self.store.set_second(state.now_s);
    }

    /// All act at once, and so many of a thousand of their requests go wrong in each way. Ends when all have ended.
    pub(crate) fn act<'a>(self: &Arc<Self>, trouble: u64, acts: Vec<Act<'a>>) {
        {
            let mut state = self.state();
            (state.trouble, state.of_turn) = (trouble, 0);
            let actor = |act: &Act<'_>| Actor {
                machine: act.machine.clone(),
                disk: act.disk.clone(),
                fate: act.fate.clone(),
                requests: 0,
                wakes: 0,
            };
            state.actors = acts.iter().map(actor).collect();
            state.waiting = (0..acts.len()).collect();
            state.choose();
        }
        let ended = thread::scope(|scope| {
            let start = |(actor, act): (usize, Act<'a>)| {
                let ways = Ways {
                    stage: Arc::clone(self),
                    actor,
                };
                scope.spawn(move || {
                    let _leaves = Leaves(&ways.stage);
                    drop(ways.stage.wait_for(actor));
                    (act.does)(&ways);
                })
            };
            let acting: Vec<_> = acts.into_iter().enumerate().map(start).collect();
            let ended = acting.into_iter().map(thread::ScopedJoinHandle::join);
            ended.collect::<Vec<_>>()
        });
        if let Some(why) = ended.into_iter().find_map(Result::err) {
            resume_unwind(why);
        }
    }

    fn wait_for(&self, actor: usize) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.running != Some(actor) {
            let waited = self.turn.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn ask(&self, actor: usize, request: Request) -> io::Result<Answer> {
        {
            let mut state = self.state();
            state.waiting.insert(actor);
            state.choose();
            self.turn.notify_all();
        }
        let mut state = self.wait_for(actor);
        state.requests += 1;
        state.of_turn += 1;
        state.now_s += state.dice.next() % 3;
        state.actors[actor].requests += 1;
        self.store.set_second(state.now_s);
        self.arrive(&mut state);
        if state.of_turn == REQUESTS_MAX {
            let wrong = format!("nobody comes to an end in {REQUESTS_MAX} requests");
            state.books.wrongs.push(wrong);
        }
        let (nth, machine) = (
            state.actors[actor].requests,
            state.actors[actor].machine.clone(),
        );
        let what = format!(
            "{} {machine} {} {}{}",
            state.requests,
            request.method,
            request.path,
            request.query.get("prefix").map_or("", String::as_str)
        );
        let fate = state.actors[actor].fate.clone();
        if let Some((dies, is_done)) = fate.dies
            && dies <= nth
        {
            if dies == nth {
                state.happens(if is_done { "died after" } else { "died before" });
                if is_done {
                    drop(self.does(&mut state, &machine, &request));
                }
                state.tell(format!("{what}: dies"));
                state.actors[actor].disk.fail_in(0);
            }
            return Err(io::Error::other("it is dead"));
        }
        if REQUESTS_MAX <= state.of_turn {
            return Err(io::Error::other("too much was asked"));
        }
        if let Some((from, lasts)) = fate.silence
            && (from..from + lasts).contains(&nth)
        {
            if nth == from {
                state.happens("the store was silent");
            }
            return Err(io::Error::other("silence"));
        }
        let lot = state.draw(&request);
        let answer = self.answer(&mut state, (&machine, &what), request, &lot);
        if let Some((at, others, seconds)) = fate.sleeps
            && at == nth
        {
            state.actors[actor].wakes = state.requests + others;
            state.now_s += seconds;
            state.happens("slept");
            state.tell(format!("{what}: sleeps, and {seconds} s pass"));
        }
        answer
    }

    /// Requests that were on their way arrive.
    fn arrive(&self, state: &mut State) {
        let on_the_way = std::mem::take(&mut state.on_the_way);
        let (now_s, requests) = (state.now_s, state.requests);
        for (arrives, sent_s, machine, request) in on_the_way {
            // the store itself refuses what was signed for longer
            let lasts: u64 = request.query["X-Amz-Expires"].parse().unwrap();
            let is_valid = SIGNED_FOR_S < lasts || now_s <= sent_s + SIGNED_FOR_S;
            if requests < arrives {
                state.on_the_way.push((arrives, sent_s, machine, request));
            } else if is_valid {
                let is_news = matches!(
                    self.does(state, &machine, &request),
                    Answer::Whole(200 | 204, _)
                );
                state.tell(format!(
                    "{requests} {machine} {} {}: arrives late",
                    request.method, request.path
                ));
                if is_news {
                    state.happens("arrived late and was done");
                }
            }
        }
    }

    /// The store does it, and the books have it.
    fn does(&self, state: &mut State, machine: &str, request: &Request) -> Answer {
        let key = request.path.strip_prefix(&format!("/{BUCKET}/"));
        let key = key.unwrap_or_default().to_owned();
        let now_s = state.now_s;
        if request.method == "DELETE" {
            let happened = self.store.look(|objects, created| {
                let there = (objects, created, now_s);
                state.books.goes(machine, &key, there)
            });
            if let Some(what) = happened {
                state.happens(what);
            }
        }
        let answer = self.store.ask(request);
        match (request.method.as_str(), &answer) {
            ("PUT", Answer::Whole(200, _)) => state.books.comes(&key, now_s),
            ("PUT", Answer::Whole(412, _)) => {
                let is_other = self.store.look(|objects, _| objects[&key] != request.body);
                if is_other && books::is_commit(&key) {
                    state.happens("another committed first");
                } else if is_other && key.contains("/ledger/") {
                    state.happens("another had the line first");
                }
            }
            ("PUT", Answer::Whole(403, _)) => state.happens("too late for a commit"),
            _ => (),
        }
        answer
    }

    fn answer(
        &self,
        state: &mut State,
        (machine, what): (&str, &str),
        request: Request,
        lot: &Lot,
    ) -> io::Result<Answer> {
        let (answer, became, happens) = match lot {
            Lot::Done => {
                let answer = self.does(state, machine, &request);
                let key = request.path.strip_prefix(&format!("/{BUCKET}/"));
                if let (Some(key), "GET", Answer::Whole(200, _)) = (key, &*request.method, &answer)
                {
                    state.books.read(machine, key);
                }
                (Ok(answer), "", None)
            }
            Lot::NotHeard => (
                Err(io::Error::other("it was not heard")),
                "is not heard",
                Some("was not heard"),
            ),
            Lot::Unanswered => {
                drop(self.does(state, machine, &request));
                (
                    Err(io::Error::other("no answer")),
                    "the answer is lost",
                    Some("the answer was lost"),
                )
            }
            Lot::SlowDown => (
                Ok(error(503, "SlowDown")),
                "503 SlowDown",
                Some("slow down"),
            ),
            Lot::Conflict => (
                Ok(error(409, "ConditionalRequestConflict")),
                "409",
                Some("a conflict"),
            ),
            Lot::DoneAndFailed => {
                drop(self.does(state, machine, &request));
                (
                    Ok(error(500, "InternalError")),
                    "done, and 500",
                    Some("done and said to have failed"),
                )
            }
            Lot::Late(requests) => {
                let arrives = state.requests + requests;
                let sent = (arrives, state.now_s, machine.to_owned(), request);
                state.on_the_way.push(sent);
                (
                    Err(io::Error::other("no answer in time")),
                    "is on its way",
                    Some("overtaken by others"),
                )
            }
            Lot::Cut => {
                let answer = match self.does(state, machine, &request) {
                    Answer::Whole(200, body) if 1 < body.len() => Answer::Cut(200, body),
                    other => other,
                };
                (Ok(answer), "the body is cut", Some("the body was cut"))
            }
        };
        let status = match &answer {
            Ok(Answer::Whole(status, _) | Answer::Cut(status, _)) => *status,
            _ => 0,
        };
        state.tell(format!("{what}: {status} {became}"));
        if let Some(what) = happens {
            state.happens(what);
        }
        answer
    }

    /// The way of an actor to one of the two places.
    fn place(self: &Arc<Self>, actor: usize, place: &str) -> S3 {
        let way = Way {
            stage: Arc::clone(self),
            actor,
        };
        let agent: Agent = Agent::config_builder().middleware(way).build().new_agent();
        let endpoint = StoreEndpoint {
            url: "http://store.example".parse().unwrap(),
            proxy: None,
        };
        let access = Access::new(KEY_ID, SECRET, None);
        let address = Address::new(&format!("{BUCKET}/x/{place}")).unwrap();
        let requests = Requests::new(address, &[endpoint], REGION, access, agent).unwrap();
        // waits take next to no time
        let clock = Clock::simulated("2026-11-23T15:00:00Z@100000".parse().unwrap());
        S3::new(requests, clock)
    }
}

impl State {
    fn draw(&mut self, request: &Request) -> Lot {
        let is_change = request.method != "GET";
        let is_put = request.method == "PUT";
        let drawn = self.dice.next() % 1_000;
        let after = 1 + self.dice.next() % 60;
        match drawn / self.trouble.max(1) {
            _ if self.trouble == 0 => Lot::Done,
            0 => Lot::NotHeard,
            1 => Lot::Unanswered,
            2 => Lot::SlowDown,
            3 if is_put => Lot::Conflict,
            4 if is_change => Lot::DoneAndFailed,
            5 | 6 if is_change => Lot::Late(after),
            3 if !is_change => Lot::Cut,
            _ => Lot::Done,
        }
    }
}

impl Ways {
    pub(crate) fn vault(&self) -> S3 {
        self.stage.place(self.actor, "vault")
    }

    pub(crate) fn spool(&self) -> S3 {
        self.stage.place(self.actor, "spool")
    }

    pub(crate) fn happens(&self, what: &'static str) {
        self.stage.happens(what);
    }

    /// Whether it has died at a request.
    pub(crate) fn is_killed(&self) -> bool {
        let state = self.stage.state();
        let actor = &state.actors[self.actor];
        let dies = actor.fate.dies;
        dies.is_some_and(|(dies, _)| dies <= actor.requests)
    }
}

/// What the program's requests go through instead of a network.
struct Way {
    stage: Arc<Stage>,
    actor: usize,
}

impl Middleware for Way {
    fn handle(
        &self,
        request: HttpRequest<SendBody<'_>>,
        _network: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let mut sent = Vec::new();
        body.into_reader().read_to_end(&mut sent)?;
        let text = |value: &ureq::http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = parts.headers.iter();
        let mut headers: BTreeMap<String, String> = headers
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect();
        headers.insert("host".to_owned(), parts.uri.host().unwrap().to_owned());
        let target = parts.uri.path_and_query().unwrap().as_str();
        let request = Request::new(parts.method.to_string(), target, headers, sent);
        let answer = self.stage.ask(self.actor, request)?;
        let date = self.stage.state().now_s;
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(date);
        let whole = |status: u16| {
            Response::builder()
                .status(status)
                .header("date", httpdate::fmt_http_date(date))
        };
        match answer {
            Answer::Whole(status, body) => Ok(whole(status).body(Body::builder().data(body))?),
            Answer::Cut(status, body) => {
                let half = io::Cursor::new(body[..body.len() / 2].to_vec());
                let body = Body::builder().reader(half.chain(Broken));
                Ok(whole(status).body(body)?)
            }
            Answer::Nothing => Err(io::Error::other("no answer").into()),
        }
    }
}

/// A connection that has broken.
struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}
