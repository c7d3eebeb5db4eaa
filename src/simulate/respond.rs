//! One connection with its one request: the answer, or the beginning of a stream.

use std::{convert::Infallible, io::Write as _, sync::Arc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt as _, Collected, Either, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    answer::{Answer, Portal, http_date},
    ask::{self, Asked},
    chance::{Chance, mix},
    gate::{self, Rate, Verdict},
    rules,
    schedule::Target,
    selection::Offer,
    session::Session,
    stream::{Live, Open},
    truth::Event,
    wire::{Chunker, Fate, Wire},
    x_shared::Shared,
};
use crate::period::UtcMs;

const KIND_CHUNKS: u64 = 0x6368_6e6b;

/// One connection with its one request.
pub(super) async fn converse(socket: TcpStream, listener: usize, shared: Arc<Shared>) {
    match socket.set_nodelay(true) {
        Ok(()) | Err(_) => (), // it only makes small chunks later
    }
    let (wire, fate) = Wire::new(socket);
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, fate) = (Arc::clone(&shared), fate.clone());
        async move {
            Ok::<_, Infallible>(if request.uri().path() == rules::PATH {
                about_rules(&shared, listener, request).await
            } else {
                respond(&shared, listener, &request, fate)
            })
        }
    });
    let mut server = http1::Builder::new();
    server.keep_alive(false);
    match server.serve_connection(TokioIo::new(wire), service).await {
        // the truth log says how a stream ended; how other requests end does not matter
        Ok(()) | Err(_) => (),
    }
}

fn respond(
    shared: &Arc<Shared>,
    listener: usize,
    request: &Request<Incoming>,
    fate: Fate,
) -> Response<Either<Full<Bytes>, Live>> {
    let now = shared.common.clock.now();
    let text = |name| match request.headers().get(name).map(HeaderValue::to_str) {
        Some(Ok(text)) => Some(text),
        _ => None,
    };
    let asked = gate::Request {
        is_get: request.method() == Method::GET,
        path: request.uri().path(),
        query: request.uri().query().unwrap_or(""),
        authorization: text(header::AUTHORIZATION),
        has_rules: !shared.feed().rules.all().is_empty(),
    };
    let gzip = shared.gzip && text(header::ACCEPT_ENCODING).is_some_and(ask::accepts_gzip);
    let number = shared.common.count_request();
    let target = Target {
        listener,
        connection: None,
        partition: ask::partition(asked.query),
    };
    let verdict = shared
        .gate()
        .decide(now, asked, target, &shared.common.schedule);
    let (answer, fault) = match &verdict {
        Verdict::Stream(..) => (None, None),
        Verdict::Answer(answer, fault) => (Some(answer), fault.map(|one| one.fault + 1)),
    };
    let event = Event::Request {
        listener,
        request: number,
        path: asked.path,
        query: asked.query,
        status: answer.map_or(200, Answer::status),
        fault,
    };
    shared.common.truth.tell(now, event);
    let rate = shared.gate().rate(answer);
    let clock = match answer {
        Some(Answer::Portal(_)) => now.plus_ms(PORTAL_AHEAD_MS),
        _ => now,
    };
    let mut response = match verdict {
        Verdict::Stream(offer, asked) => open(shared, listener, (offer, asked), gzip, fate),
        // now and then an error's body is compressed too
        Verdict::Answer(answer, _) => {
            refuse(&answer, gzip && number.is_multiple_of(2)).map(Either::Left)
        }
    };
    put_headers(&mut response, (shared, clock), (number, rate));
    response
}

/// A request that reads or changes the rules.
async fn about_rules(
    shared: &Shared,
    listener: usize,
    request: Request<Incoming>,
) -> Response<Either<Full<Bytes>, Live>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, rules::BODY_BYTES_MAX).collect().await;
    let body = body.map_or_else(|_torn| Bytes::new(), Collected::to_bytes);
    let now = shared.common.clock.now();
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok());
    let target = Target {
        listener,
        connection: None,
        partition: None,
    };
    let number = shared.common.count_request();
    let query = head.uri.query().unwrap_or("");
    let is_change = head.method == Method::POST;
    let refused = (shared.gate()).decide_rules(
        (now, is_change),
        authorization,
        target,
        &shared.common.schedule,
    );
    let (said, fault) = match refused {
        Some((answer, fault)) => (Err(answer), fault.map(|one| one.fault + 1)),
        None if is_change => (shared.feed().rules.change(query, &body, now), None),
        None if head.method == Method::GET => (shared.feed().rules.read(query, now), None),
        None => (Err(Answer::NotFound), None),
    };
    let status = said
        .as_ref()
        .map_or_else(Answer::status, |(status, _)| *status);
    let event = Event::Request {
        listener,
        request: number,
        path: head.uri.path(),
        query,
        status,
        fault,
    };
    shared.common.truth.tell(now, event);
    if is_change && said.is_ok() {
        let feed = shared.feed();
        let rules = feed.rules.all();
        shared.common.truth.tell(now, Event::Rules { rules });
    }
    let mut response = match said {
        Ok((status, body)) => {
            let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
            if let Ok(status) = hyper::StatusCode::from_u16(status) {
                *response.status_mut() = status;
            }
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response
        }
        Err(answer) => refuse(&answer, false),
    };
    let rate = shared.gate().rate_of_rules(is_change);
    put_headers(&mut response, (shared, now), (number, rate));
    response.map(Either::Left)
}

/// The headers that every answer has.
fn put_headers<B>(
    response: &mut Response<B>,
    (shared, clock): (&Shared, UtcMs),
    (number, rate): (u64, Rate),
) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("date", http_date(clock)),
        ("x-rate-limit-limit", rate.limit.to_string()),
        ("x-rate-limit-remaining", rate.remaining.to_string()),
        ("x-rate-limit-reset", rate.reset.to_string()),
        (
            "x-transaction-id",
            format!("{:016x}", mix(shared.common.seed ^ number)),
        ),
        ("server", "simulated".to_owned()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// What answers in the API's place has a clock of its own.
const PORTAL_AHEAD_MS: i64 = 3_600_000;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// An answer that is no stream.
pub(super) fn refuse(answer: &Answer, gzip: bool) -> Response<Full<Bytes>> {
    let mut body = answer.body().into_bytes();
    let mut compressed = false;
    if gzip && !body.is_empty() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        if let Ok(shorter) = encoder.write_all(&body).and_then(|()| encoder.finish()) {
            (body, compressed) = (shorter, true);
        }
    }
    let is_empty = body.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    match hyper::StatusCode::from_u16(answer.status()) {
        Ok(status) => *response.status_mut() = status,
        Err(_no_status) => *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR,
    }
    let headers = response.headers_mut();
    if !is_empty {
        headers.insert(
            header::CONTENT_TYPE,
            if answer.is_json() { JSON } else { PAGE },
        );
    }
    if *answer == Answer::Portal(Portal::Redirect) {
        let place = HeaderValue::from_static("http://login.example.org/");
        headers.insert(header::LOCATION, place);
    }
    if compressed {
        headers.insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}

fn open(
    shared: &Arc<Shared>,
    listener: usize,
    (offer, asked): (Offer, Asked),
    gzip: bool,
    fate: Fate,
) -> Response<Either<Full<Bytes>, Live>> {
    let now = shared.common.clock.now();
    let (connection, stream) = shared.common.count_stream(listener);
    let Asked {
        backfill_minutes,
        selection,
    } = asked;
    let event = Event::Open {
        connection,
        listener,
        stream,
        partition: selection.partition(),
        backfill_minutes,
        gzip,
    };
    shared.common.truth.tell(now, event);
    let streams = shared.gate().open();
    shared.feed().connected(streams, now);
    let target = Target {
        listener,
        connection: Some(stream),
        partition: selection.partition(),
    };
    let open = Open {
        shared: Arc::clone(shared),
        place: (offer, selection),
        session: Session::new(
            (target, selection),
            shared.common.seed,
            now,
            backfill_minutes,
            gzip,
        ),
        connection,
        chunker: Chunker::new(
            Chance::of(shared.common.seed, KIND_CHUNKS, connection),
            gzip,
        ),
        fate,
        tail: None,
        why: None,
        posts: 0,
    };
    let mut response = Response::new(Either::Right(open.into_body()));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    if gzip {
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}
