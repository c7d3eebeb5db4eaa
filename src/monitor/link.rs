//! From the events of one server, in their order, to what its connection is like. Pure.

use serde::Serialize;

use crate::{
    period::UtcMs,
    segment::{
        collections::Collections,
        event::{Alive, EndCause, Event, EventKind, WaitReason},
        rules::KnownRules,
    },
};

/// What a server's connection is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Nothing is known.
    #[default]
    Unknown,
    /// A stream is up.
    Connected,
    /// There is none, and the collector tries to make one.
    Disconnected,
    /// The collector ended.
    Stopped,
    /// The collector has ended without recording it.
    Died,
}

/// A server's connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it is like.
    pub state: LinkState,
    /// Since when: while there is none, since when nothing has come, however many attempts have failed since then.
    pub since: Option<UtcMs>,
    /// Whether it may have been so for longer: earlier events were not read.
    pub longer: bool,
    /// When its last event was recorded.
    pub told: Option<UtcMs>,
    /// Why there is none: how the last one ended.
    pub why: Option<String>,
    /// The cause of it.
    pub cause: Option<EndCause>,
    /// Why nothing is tried at present: the row of the table of waits.
    pub waits: Option<WaitReason>,
    /// Until when.
    pub waits_until: Option<UtcMs>,
    /// The API's clock minus the server's, as last seen.
    pub clock_offset_ms: Option<i64>,
    /// What the platform told last of the rules by which it chooses what the stream brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<KnownRules>,
    /// Since when it has not told them although it was asked, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_unknown: Option<(UtcMs, String)>,
    /// Which collections were asked for last, where a platform sends only those that are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collections: Option<Collections>,
    /// Since when nothing has come: an answer alone brings nothing.
    #[serde(skip)]
    pub nothing_since: Option<UtcMs>,
    /// When collecting began.
    pub started: Option<UtcMs>,
    /// The run that began then.
    #[serde(skip)]
    pub started_as: u64,
    /// The last steps of the clock since then: the run that began with each, and by how much.
    #[serde(skip)]
    pub steps: Vec<(u64, i64)>,
}

/// What was received before a start is at least so old: nobody takes it for a sign of life.
pub(super) const BEFORE_MS: i64 = 61_000;

/// Steps that are remembered.
const STEPS_MAX: usize = 16;

impl Link {
    /// How bad it is, compared with other legs of the server: none, then for how short a time it has been up, or for how
    /// long it has not.
    pub fn trouble(&self) -> (u8, Option<i64>) {
        let rank = match self.state {
            LinkState::Connected => 0,
            LinkState::Stopped => 1,
            LinkState::Unknown => 2,
            LinkState::Disconnected => 3,
            LinkState::Died => 4,
        };
        let since = self.since.map(|since| match self.state {
            LinkState::Connected => since.0,
            _ => since.0.saturating_neg(),
        });
        (rank, since)
    }

    /// Until when it waits for the platform's next window of requests, if it does.
    pub fn waits_for_requests(&self) -> Option<UtcMs> {
        let waits = self.waits == Some(WaitReason::Budget) && self.state == LinkState::Disconnected;
        self.waits_until.filter(|_| waits)
    }

    /// Whether an event tells by itself what the connection is like.
    pub fn is_told_by(event: &Event) -> bool {
        matches!(
            event.what,
            EventKind::Started { .. }
                | EventKind::Connected { .. }
                | EventKind::Disconnected(_)
                | EventKind::Stopped { .. }
        )
    }

    /// Takes the next event in.
    pub fn take(&mut self, event: &Event) {
        self.take_what(event);
        self.told = Some(event.at);
    }

    fn take_what(&mut self, event: &Event) {
        let turn = |link: &mut Self, state| {
            if link.state != state {
                (link.state, link.since, link.longer) = (state, Some(event.at), false);
            }
        };
        match &event.what {
            EventKind::Started { number, .. } => {
                *self = Self {
                    clock_offset_ms: self.clock_offset_ms,
                    started: Some(event.at),
                    started_as: *number,
                    ..Self::default()
                };
                self.nothing_comes(event.at, false);
            }
            EventKind::ClockStepped { number, step_ms } => self.stepped(*number, *step_ms),
            EventKind::Connected { .. } => {
                turn(self, LinkState::Connected);
                self.ended_waiting();
            }
            EventKind::FirstLine { clock_offset_ms } => {
                turn(self, LinkState::Connected);
                self.nothing_since = None;
                self.clock_offset_ms = clock_offset_ms.or(self.clock_offset_ms);
                (self.why, self.cause) = (None, None);
                (self.waits, self.waits_until) = (None, None);
            }
            EventKind::Disconnected(how) => {
                let is_unknown = self.state == LinkState::Unknown;
                self.nothing_comes(event.at, is_unknown && how.lines == 0);
                let word = match how.cause {
                    EndCause::HttpStatus => how.status.map(|status| format!("HTTP {status}")),
                    EndCause::Platform => how.disconnect_type.clone(),
                    EndCause::NotTheApi => Some("not the API".to_owned()),
                    _ => None,
                };
                let detail = [word.as_deref().unwrap_or(""), &how.detail];
                let detail: Vec<&str> =
                    detail.into_iter().filter(|text| !text.is_empty()).collect();
                self.why = Some(detail.join(": "));
                self.cause = Some(how.cause);
                self.ended_waiting();
            }
            EventKind::Waiting { wait_ms, why } => {
                let wait_ms = wait_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
                self.waits = Some(*why);
                self.waits_until = wait_ms.map(|ms| UtcMs(event.at.0.saturating_add(ms)));
            }
            EventKind::Rules { .. } | EventKind::RulesUnknown { .. } => self.asked_for_rules(event),
            EventKind::Alive(alive) => self.is_alive(event.at, alive),
            EventKind::Stopped { why } => {
                turn(self, LinkState::Stopped);
                self.why = Some(why.clone());
                self.ended_waiting();
            }
            EventKind::Connecting { collections, .. } => self.collections.clone_from(collections),
            EventKind::ErrorFrame { .. }
            | EventKind::NoPosts { .. }
            | EventKind::ReplayClamped { .. }
            | EventKind::Recovered { .. }
            | EventKind::Unknown => (),
        }
    }

    /// There is no stream, and nothing has come since that instant, unless it was known before.
    fn nothing_comes(&mut self, at: UtcMs, longer: bool) {
        let since = *self.nothing_since.get_or_insert(at);
        if self.state != LinkState::Disconnected {
            (self.state, self.since, self.longer) = (LinkState::Disconnected, Some(since), longer);
        }
    }

    /// Rules were asked for, and told or not.
    fn asked_for_rules(&mut self, event: &Event) {
        match &event.what {
            EventKind::Rules {
                sha256, configured, ..
            } => {
                self.rules_unknown = None;
                self.rules = Some(KnownRules {
                    at: event.at,
                    sha256: *sha256,
                    configured: *configured,
                });
            }
            EventKind::RulesUnknown { detail } => {
                let since = self.rules_unknown.take();
                let since = since.map_or(event.at, |(since, _)| since);
                self.rules_unknown = Some((since, detail.clone()));
            }
            _ => (),
        }
    }

    /// The state at the end of a minute, for a reader that has not seen it begin.
    fn is_alive(&mut self, at: UtcMs, alive: &Alive) {
        self.clock_offset_ms = alive.clock_offset_ms.or(self.clock_offset_ms);
        if self.rules.is_none() {
            self.rules = alive.rules.as_deref().copied();
        }
        if self.collections.is_none() {
            self.collections.clone_from(&alive.collections);
        }
        if let Some(down) = &alive.down
            && matches!(self.state, LinkState::Unknown | LinkState::Disconnected)
        {
            // who records it has seen it begin
            self.nothing_since = Some(down.nothing_since);
            self.state = LinkState::Disconnected;
            (self.since, self.longer) = (self.nothing_since, false);
        }
        if self.state == LinkState::Unknown {
            let state = if alive.connected {
                LinkState::Connected
            } else {
                LinkState::Disconnected
            };
            (self.state, self.since, self.longer) = (state, Some(at), true);
        }
    }

    /// The clock was set: earlier stamps are converted to the present clock.
    fn stepped(&mut self, number: u64, step_ms: i64) {
        self.steps.push((number, step_ms));
        let beyond = self.steps.len().saturating_sub(STEPS_MAX);
        self.steps.drain(..beyond);
        let times = [
            &mut self.since,
            &mut self.nothing_since,
            &mut self.told,
            &mut self.started,
            &mut self.waits_until,
        ];
        for at in times {
            *at = at.map(|at| at.plus_ms(step_ms));
        }
        let told = self.rules.iter_mut().map(|told| &mut told.at);
        let unknown = self.rules_unknown.iter_mut().map(|(since, _)| since);
        for at in told.chain(unknown) {
            *at = at.plus_ms(step_ms);
        }
        self.clock_offset_ms = self.clock_offset_ms.map(|offset| offset - step_ms);
    }

    /// An instant that a run stamped, by the clock of now. What was before the last start lies before it, whatever
    /// its stamp says: the clock may have been set while nothing ran.
    pub fn by_todays_clock(&self, run: u64, at: UtcMs) -> UtcMs {
        if let Some(started) = self.started
            && run < self.started_as
        {
            return at.min(started.plus_ms(-BEFORE_MS));
        }
        let later = self.steps.iter().filter(|(number, _)| run < *number);
        at.plus_ms(later.map(|(_, step_ms)| step_ms).sum())
    }

    /// The same, of a collector that does not run any more although it did not record its end.
    #[must_use]
    pub fn not_running(&self) -> Self {
        if !self.needs_collector() {
            return self.clone();
        }
        Self {
            state: LinkState::Died,
            since: self.told,
            longer: false,
            why: Some("the collector ended without recording it".to_owned()),
            cause: None,
            waits: None,
            waits_until: None,
            ..self.clone()
        }
    }

    /// The same, if nothing more recent is known than what was recorded at that time.
    #[must_use]
    pub fn unknown_since(&self, told: Option<UtcMs>) -> Self {
        if !self.needs_collector() {
            return self.clone();
        }
        Self {
            state: LinkState::Unknown,
            since: told,
            longer: false,
            ..self.clone()
        }
    }

    /// Whether it is what it is only as long as a collector runs.
    fn needs_collector(&self) -> bool {
        self.told.is_some() && self.state != LinkState::Stopped
    }

    /// The row of waits stays until a stream brings something: it tells why there was none.
    fn ended_waiting(&mut self) {
        self.waits_until = None;
    }
}

/// Takes the events of one minute of one run in.
pub fn fold(link: &mut Link, of_one_minute: &[Event]) {
    for event in of_one_minute {
        link.take(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::event::{self, Disconnected, Down};

    fn event(at: i64, what: EventKind) -> Event {
        Event {
            at: UtcMs(at),
            what,
            connection: 1,
        }
    }

    fn started() -> EventKind {
        EventKind::Started {
            program: "test/1".to_owned(),
            number: 1,
            after: None,
            last_line: None,
        }
    }

    fn connected() -> EventKind {
        EventKind::Connected {
            status: 200,
            backfill_minutes: 0,
            transaction: None,
        }
    }

    fn refused() -> EventKind {
        EventKind::Disconnected(Disconnected {
            cause: EndCause::HttpStatus,
            status: Some(401),
            disconnect_type: None,
            lines: 0,
            unfinished: None,
            detail: "Unauthorized".to_owned(),
        })
    }

    #[test]
    fn a_connection_is_up_since_it_came_up() {
        let mut link = Link::default();
        fold(
            &mut link,
            &[
                event(1, started()),
                event(2, connected()),
                event(
                    3,
                    EventKind::FirstLine {
                        clock_offset_ms: Some(-40),
                    },
                ),
            ],
        );
        assert_eq!(
            (link.state, link.since),
            (LinkState::Connected, Some(UtcMs(2)))
        );
        assert_eq!(link.clock_offset_ms, Some(-40));
        link.take(&event(9, refused()));
        let waiting = EventKind::Waiting {
            wait_ms: Some(10),
            why: WaitReason::Unauthorized,
        };
        link.take(&event(9, waiting));
        link.take(&event(19, refused()));
        assert_eq!(
            (link.state, link.since),
            (LinkState::Disconnected, Some(UtcMs(9)))
        );
        assert_eq!(link.why.as_deref(), Some("HTTP 401: Unauthorized"));
        assert_eq!(link.waits, Some(WaitReason::Unauthorized));
        assert_eq!(link.waits_until, None);
        // the answer alone is no stream
        link.take(&event(30, connected()));
        assert_eq!(link.waits, Some(WaitReason::Unauthorized));
        link.take(&event(
            31,
            EventKind::FirstLine {
                clock_offset_ms: None,
            },
        ));
        assert_eq!((link.waits, link.why), (None, None));
    }

    /// What the collector records each minute, after nothing has come since an instant.
    fn alive(nothing_since: i64) -> EventKind {
        let down = Down {
            since: UtcMs(nothing_since + 500),
            nothing_since: UtcMs(nothing_since),
            cause: Some(EndCause::HttpStatus),
            status: Some(401),
            disconnect_type: None,
            why: None,
        };
        event::tests::alive(UtcMs(0).minute(), Some(down), None)
    }

    #[test]
    fn a_connection_is_down_since_nothing_comes_whoever_looks_and_whenever() {
        let since = |link: &Link| (link.state, link.since, link.longer);
        let down = |at, longer| (LinkState::Disconnected, Some(UtcMs(at)), longer);
        let mut seen = Link::default();
        fold(&mut seen, &[event(1, started()), event(2, connected())]);
        let clock_offset_ms = None;
        seen.take(&event(3, EventKind::FirstLine { clock_offset_ms }));
        let failing = [
            event(1_000, refused()),
            event(2_000, refused()),
            // an answer that brings nothing
            event(3_000, connected()),
            event(3_001, refused()),
            event(4_000, alive(1_000)),
            event(5_000, refused()),
        ];
        fold(&mut seen, &failing);
        assert_eq!(since(&seen), down(1_000, false));
        // who looks later knows it as soon as a minute is over
        let mut late = Link::default();
        late.take(&failing[1]);
        assert_eq!(since(&late), down(2_000, true));
        fold(&mut late, &failing[2..]);
        assert_eq!(since(&late), down(1_000, false));
        let mut later = Link::default();
        fold(&mut later, &failing[4..]);
        assert_eq!(since(&later), down(1_000, false));
    }

    #[test]
    fn the_worst_leg_is_down_for_longest_or_up_for_shortest() {
        let link = |state, since| Link {
            state,
            since: Some(UtcMs(since)),
            ..Link::default()
        };
        let worst = |state| {
            let legs = [link(state, 5), link(state, 2), link(state, 9)];
            let worst = legs.iter().max_by_key(|link| link.trouble());
            worst.and_then(|link| link.since)
        };
        assert_eq!(worst(LinkState::Connected), Some(UtcMs(9)));
        assert_eq!(worst(LinkState::Disconnected), Some(UtcMs(2)));
    }

    #[test]
    fn a_new_run_begins_anew() {
        let mut link = Link::default();
        link.take(&event(1, connected()));
        link.take(&event(5, started()));
        assert_eq!(
            (link.state, link.since),
            (LinkState::Disconnected, Some(UtcMs(5)))
        );
        assert_eq!(link.started, Some(UtcMs(5)));
    }

    #[test]
    fn what_was_stamped_before_a_step_is_told_by_the_clock_of_now() {
        let mut link = Link::default();
        link.take(&event(10_000, started()));
        link.take(&event(20_000, connected()));
        let clock_offset_ms = Some(-40);
        link.take(&event(20_100, EventKind::FirstLine { clock_offset_ms }));
        let stepped = |number, step_ms| EventKind::ClockStepped { number, step_ms };
        let waiting = EventKind::Waiting {
            wait_ms: Some(60_000),
            why: WaitReason::Budget,
        };
        link.take(&event(94_000, waiting));
        link.take(&event(95_000, stepped(2, 5_000)));
        link.take(&event(93_000, stepped(3, -2_000)));
        assert_eq!(link.state, LinkState::Connected);
        assert_eq!(link.started, Some(UtcMs(13_000)));
        assert_eq!(link.since, Some(UtcMs(23_000)));
        assert_eq!(link.waits_until, Some(UtcMs(157_000)));
        // a clock that was put forward is less behind the API's
        assert_eq!(link.clock_offset_ms, Some(-40 - 3_000));
        let now = |run, at| link.by_todays_clock(run, UtcMs(at)).0;
        assert_eq!(now(1, 90_000), 93_000);
        assert_eq!(now(2, 96_000), 94_000);
        assert_eq!(now(3, 96_000), 96_000);
        // of runs before the start nobody knows by which clock
        assert_eq!(now(0, 90_000), 13_000 - BEFORE_MS);
        assert_eq!(now(0, -90_000), -90_000);
    }

    fn rules(same: bool) -> EventKind {
        let hash = |text: &[u8]| crate::segment::sha256::Sha256::of(text);
        EventKind::Rules {
            rules: Vec::new(),
            sha256: hash(b"a"),
            configured: hash(if same { b"a" } else { b"b" }),
        }
    }

    fn unknown(detail: &str) -> EventKind {
        EventKind::RulesUnknown {
            detail: detail.to_owned(),
        }
    }

    #[test]
    fn rules_are_unknown_since_they_were_first_not_told_until_they_are_told() {
        let mut link = Link::default();
        let known = |link: &Link| {
            let unknown = link.rules_unknown.as_ref();
            (
                link.rules.map(|told| (told.at.0, told.is_as_configured())),
                unknown.map(|(since, why)| (since.0, why.clone())),
            )
        };
        link.take(&event(1, rules(false)));
        assert_eq!(known(&link), (Some((1, false)), None));
        link.take(&event(2, unknown("503")));
        link.take(&event(3, unknown("504")));
        assert_eq!(
            known(&link),
            (Some((1, false)), Some((2, "504".to_owned())))
        );
        link.take(&event(
            4,
            EventKind::ClockStepped {
                number: 2,
                step_ms: 100,
            },
        ));
        assert_eq!(
            known(&link),
            (Some((101, false)), Some((102, "504".to_owned())))
        );
        link.take(&event(105, rules(true)));
        assert_eq!(known(&link), (Some((105, true)), None));
        link.take(&event(106, unknown("505")));
        assert_eq!(known(&link).1, Some((106, "505".to_owned())));
    }

    #[test]
    fn a_new_run_knows_nothing_of_the_former_one_but_how_far_the_clock_is_off() {
        let mut link = Link::default();
        for what in [
            started(),
            connected(),
            EventKind::FirstLine {
                clock_offset_ms: Some(-9_000),
            },
            rules(false),
            unknown("503"),
            refused(),
            EventKind::Waiting {
                wait_ms: Some(10),
                why: WaitReason::Unauthorized,
            },
        ] {
            link.take(&event(5, what));
        }
        assert_eq!(link.waits_until, Some(UtcMs(15)));
        link.take(&event(7, refused()));
        assert_eq!(
            (link.waits, link.waits_until),
            (Some(WaitReason::Unauthorized), None)
        );
        link.take(&event(100, started()));
        let expected = Link {
            state: LinkState::Disconnected,
            since: Some(UtcMs(100)),
            told: Some(UtcMs(100)),
            clock_offset_ms: Some(-9_000),
            nothing_since: Some(UtcMs(100)),
            started: Some(UtcMs(100)),
            started_as: 1,
            ..Link::default()
        };
        assert_eq!(link, expected);
    }

    /// What a connection is like only as long as a collector runs, and what it is for good.
    #[test]
    fn who_was_stopped_is_stopped_whoever_looks_and_the_worst_state_is_shown() {
        let link = |state| Link {
            state,
            since: Some(UtcMs(5)),
            told: Some(UtcMs(9)),
            waits: Some(WaitReason::Network),
            ..Link::default()
        };
        let states = [
            LinkState::Connected,
            LinkState::Stopped,
            LinkState::Unknown,
            LinkState::Disconnected,
            LinkState::Died,
        ];
        for state in states {
            let (died, unknown) = (
                link(state).not_running(),
                link(state).unknown_since(Some(UtcMs(7))),
            );
            if state == LinkState::Stopped {
                assert_eq!([died, unknown], [link(state), link(state)]);
                continue;
            }
            assert_eq!(
                (died.state, died.since, died.waits),
                (LinkState::Died, Some(UtcMs(9)), None)
            );
            assert_eq!(
                (unknown.state, unknown.since),
                (LinkState::Unknown, Some(UtcMs(7)))
            );
        }
        // of whom nothing was ever heard nothing is known
        assert_eq!(Link::default().not_running(), Link::default());
        for two in states.windows(2) {
            assert!(link(two[0]).trouble() < link(two[1]).trouble(), "{two:?}");
        }
    }
}
