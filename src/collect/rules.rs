//! Asks for the rules by which the platform chooses posts, and records the answers.
//!
//! It asks at every connection, every quarter of an hour, and every minute while the rules are unknown or differ from
//! the configuration; and as soon as a post names a rule that no answer has told, but no more than once a minute. It
//! only records: it changes nothing, and the stream never waits for it.

use std::{cell::RefCell, time::Duration};

use hyper::header;
use tokio::sync::Notify;

use super::{
    connect::Endpoint,
    http::{Answer, Piece},
    matched::Matched,
    outbox::Outbox,
};
use crate::{
    alarm::AlarmKind,
    period::UtcMs,
    segment::{
        event::EventKind,
        name::Leg,
        rules::{self, Rule},
    },
    source::wire::{AskRules, RULES_PAGE_BYTES_MAX, RulesPage, RulesPages, Transport, Wire},
    text::plural,
    world::clock::Clock,
};

/// How often to ask while a connection is up: the hours of every time zone consist of such parts.
const QUARTER_MS: i64 = 15 * 60_000;

/// How soon to ask again if something is wrong.
const AGAIN_MS: i64 = 60_000;

/// For a page of them.
const PAGE: Duration = Duration::from_secs(30);

/// What asking needs.
pub(super) struct Rules<'a> {
    pub(super) wire: &'a dyn Wire,
    pub(super) leg: &'a Leg,
    pub(super) outbox: &'a Outbox,
    pub(super) endpoint: &'a Endpoint,
    pub(super) clock: &'a Clock,
    /// Where connections are announced.
    pub(super) connected: &'a Notify,
    /// Where the rules of posts are announced.
    pub(super) matched: &'a Matched,
    /// What the log was told last.
    pub(super) said: RefCell<Option<String>>,
}

impl Rules<'_> {
    /// Asks whenever it is due; never ends.
    pub(super) async fn tend(&self) {
        let Some(ask) = self.wire.rules() else {
            return std::future::pending().await;
        };
        let mut due: Option<UtcMs> = None;
        let mut asked: Option<UtcMs> = None;
        loop {
            let is_due = async {
                match due {
                    Some(due) => self.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let is_new = tokio::select! {
                () = self.connected.notified() => true,
                () = is_due => false,
                () = self.matched.unknown() => {
                    let soonest = asked.map_or(self.clock.steady(), |asked| asked.plus_ms(AGAIN_MS));
                    due = Some(due.map_or(soonest, |due| due.min(soonest)));
                    continue;
                }
            };
            if !is_new && !self.outbox.is_connected() {
                due = None;
                continue;
            }
            asked = Some(self.clock.steady());
            let is_settled = self.ask(ask).await;
            let wait_ms = if is_settled {
                QUARTER_MS - self.clock.now().0.rem_euclid(QUARTER_MS)
            } else {
                AGAIN_MS
            };
            due = Some(self.clock.steady().plus_ms(wait_ms));
        }
    }

    /// Asks, and records the answer; returns whether the rules are those of the configuration.
    async fn ask(&self, ask: &dyn AskRules) -> bool {
        let rules = match self.all(ask).await {
            Ok(rules) => rules,
            Err(detail) => {
                if self.is_news(&detail) {
                    tracing::warn!("the rules in force are unknown: {detail}");
                }
                self.outbox.event(EventKind::RulesUnknown { detail });
                return false;
            }
        };
        self.matched.told(rules.iter().map(|rule| &*rule.id));
        let (sha256, configured) = (rules::hash(&rules), ask.configured());
        let is_settled = sha256 == configured;
        if is_settled {
            if self.said.take().is_some() {
                tracing::warn!("the rules in force are those of the configuration again");
            }
        } else if self.is_news(&sha256.to_string()) {
            let count = plural(rules.len() as u64, "rule", "rules");
            alarm!(
                AlarmKind::Rules,
                self.leg,
                "the rules in force are not those of the configuration: {count} ({sha256})\n  \
                 hint: `twinstream rules show` lists both"
            );
        }
        self.outbox.event(EventKind::Rules {
            rules,
            sha256,
            configured,
        });
        is_settled
    }

    /// Whether this is not in the log yet.
    fn is_news(&self, what: &str) -> bool {
        let before = self.said.replace(Some(what.to_owned()));
        before.as_deref() != Some(what)
    }

    /// The rules of all pages.
    async fn all(&self, ask: &dyn AskRules) -> Result<Vec<Rule>, String> {
        let mut pages = RulesPages::default();
        let mut next = pages.take(self.page(ask, None).await?)?;
        while let Some(token) = next {
            next = pages.take(self.page(ask, Some(&token)).await?)?;
        }
        Ok(pages.rules)
    }

    async fn page(&self, ask: &dyn AskRules, page: Option<&str>) -> Result<RulesPage, String> {
        let request = ask.ask(page);
        let answer = self.endpoint.open(Transport::Http, request).await;
        let Answer { response, mut body } = answer.map_err(|fault| fault.detail)?;
        if let Some(what) = self.wire.is_other(response.status(), response.headers()) {
            return Err(format!("this is not the API: {what}"));
        }
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.and_then(|value| value.to_str().ok());
        let mut bytes = Vec::new();
        let whole = async {
            while let Some(piece) = body.next().await {
                if let Piece::Bytes(piece) = piece.map_err(|fault| fault.detail)? {
                    bytes.extend_from_slice(&piece);
                }
                if RULES_PAGE_BYTES_MAX <= bytes.len() {
                    return Err("the answer has no end".to_owned());
                }
            }
            Ok(())
        };
        tokio::select! {
            whole = whole => whole?,
            () = self.clock.sleep(PAGE) => return Err("the answer did not end within 30 s".to_owned()),
        }
        ask.read(response.status().as_u16(), encoding, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            fixture::{Fixture, run, served},
            session::Session,
        },
        *,
    };
    use crate::source::wire::Ask;

    /// Rules of which each is a page of its own; the last page names no other.
    struct Pages;

    impl AskRules for Pages {
        fn ask(&self, page: Option<&str>) -> Ask {
            Ask {
                path: format!("/rules/{}", page.unwrap_or("first")),
                headers: Vec::new(),
            }
        }

        fn read(&self, status: u16, _: Option<&str>, body: &[u8]) -> Result<RulesPage, String> {
            let text = String::from_utf8_lossy(body).into_owned();
            let (value, next) = text.split_once(' ').ok_or_else(|| format!("{status}"))?;
            Ok(RulesPage {
                rules: vec![rules::tests::rule(value, "", value)],
                next: Some(next.to_owned()).filter(|next| !next.is_empty()),
            })
        }

        fn configured(&self) -> crate::segment::sha256::Sha256 {
            rules::hash(&["a", "b", "c"].map(|value| rules::tests::rule(value, "", "")))
        }
    }

    fn answer(body: &str) -> super::super::fixture::Says {
        let length = body.len();
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        vec![(text.into_bytes(), 50)]
    }

    /// What asks for the rules of a session's stream there.
    fn rules_of<'a>(session: &Session<'a>, endpoint: &'a Endpoint) -> Rules<'a> {
        Rules {
            wire: session.wire,
            leg: session.leg,
            outbox: session.outbox,
            endpoint,
            clock: session.clock,
            connected: session.connected,
            matched: session.matched,
            said: RefCell::default(),
        }
    }

    #[test]
    fn rules_are_those_of_all_pages_and_one_that_is_missing_is_all_of_them() {
        for (pages, told) in [
            (&["a 2", "b 3", "c "][..], Ok(true)),
            (&["a 2", "b "], Ok(false)),
            (&["a 2", "b 3", "broken"], Err("200")),
        ] {
            let fixture = Fixture::new(1);
            let (url, asked) = served(pages.iter().map(|page| answer(page)).collect());
            let endpoint = fixture.endpoint(&url);
            let session = fixture.session();
            let rules = rules_of(&session, &endpoint);
            let is_settled = run(rules.ask(&Pages));
            assert_eq!(is_settled, told == Ok(true), "{pages:?}");
            let paths: Vec<String> = asked
                .try_iter()
                .filter_map(|head| head.split(' ').nth(1).map(str::to_owned))
                .collect();
            let all = ["/rules/first", "/rules/2", "/rules/3"];
            assert_eq!(paths, all[..pages.len()]);
            let events = fixture.events();
            match &events[..] {
                [event] => match (&event.what, told) {
                    (EventKind::Rules { rules, .. }, Ok(_)) => assert_eq!(rules.len(), pages.len()),
                    (EventKind::RulesUnknown { detail }, Err(why)) => assert_eq!(detail, why),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    /// Twenty minutes of a stream that is up, and twenty in which it is not.
    #[test]
    fn while_a_stream_is_up_its_rules_are_asked_for_each_quarter_of_an_hour() {
        let mut fixture = Fixture::new(300);
        fixture.wire.rules = Some(Box::new(Pages));
        let page = |_: u32| ["a 2", "b 3", "c "].map(answer);
        let (url, _asked) = served((0..9).flat_map(page).collect());
        let endpoint = fixture.endpoint(&url);
        let session = fixture.session();
        let rules = rules_of(&session, &endpoint);
        let told = || {
            let events = fixture.events();
            let told = events
                .iter()
                .filter(|event| matches!(event.what, EventKind::Rules { .. }));
            told.map(|event| event.at.second().rem_euclid(3_600) / 60)
                .collect::<Vec<i64>>()
        };
        let (up, down, again) = run(async {
            let story = async {
                fixture.outbox.connected();
                session.connected.notify_one();
                fixture.clock.sleep(Duration::from_mins(14)).await;
                let up = told();
                fixture.outbox.disconnected();
                fixture.clock.sleep(Duration::from_mins(20)).await;
                let down = told();
                fixture.outbox.connected();
                session.connected.notify_one();
                fixture.clock.sleep(Duration::from_mins(3)).await;
                (up, down, told())
            };
            tokio::select! {
                told = story => told,
                () = rules.tend() => panic!("it ends"),
            }
        });
        // at 14:05, and when the quarter is over
        assert!(matches!(up[..], [5..=9, 15..=19]), "{up:?}");
        assert!(down.is_empty(), "nobody wants to know");
        assert!(matches!(again[..], [39..=59]), "{again:?}");
    }
}
