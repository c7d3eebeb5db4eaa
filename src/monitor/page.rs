//! The picture as a page: plain HTML that says everything without its script, its colours and its
//! pictures.

use maud::{DOCTYPE, Markup, html};

use super::{
    alarm::not_storing,
    link::LinkState,
    mail_texts, plain_text,
    snapshot::{COVERED, DayCoverage, Piece, ServerState, Snapshot, Strip, UNION, worth_showing},
};
use crate::{
    config::settings::Role, cover::cause::Cause, period::UtcMs, segment::name::Partition, text,
};

/// The page's looks.
pub const STYLE: &str = include_str!("page.css");
/// What brings it up to date.
pub const SCRIPT: &str = include_str!("page.js");

/// Gaps that are listed; the rest is in the day's files.
const GAPS_MAX: usize = 12;

/// What a piece of a strip can be, and how it looks without colours, in the order of the legend. `page.css` has the colours.
fn all_looks() -> impl Iterator<Item = (&'static str, Look)> {
    let causes = Cause::ALL.iter().map(|cause| (cause.word(), look(*cause)));
    std::iter::once((COVERED, Look::Plain)).chain(causes)
}

const fn look(cause: Cause) -> Look {
    match cause {
        Cause::Network | Cause::Late => Look::Rising,
        Cause::PlatformDisconnect => Look::Falling,
        Cause::Stall | Cause::UpstreamSilence => Look::Dots,
        Cause::ReplayWindow | Cause::Disk => Look::Level,
        Cause::LockOut | Cause::Unknown => Look::Crossed,
        Cause::Refused => Look::Upright,
        Cause::NotRunning => Look::Plain,
    }
}

/// Lines and dots over a colour, so that causes differ in grey too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Rising,
    Falling,
    Crossed,
    Upright,
    Level,
    Dots,
}

impl Look {
    const ALL: [Self; 6] = [
        Self::Rising,
        Self::Falling,
        Self::Crossed,
        Self::Upright,
        Self::Level,
        Self::Dots,
    ];

    const fn id(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Rising => "rising",
            Self::Falling => "falling",
            Self::Crossed => "crossed",
            Self::Upright => "upright",
            Self::Level => "level",
            Self::Dots => "dots",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Plain | Self::Dots => "",
            Self::Rising => "M-2 10 L10 -2",
            Self::Falling => "M-2 -2 L10 10",
            Self::Crossed => "M-2 10 L10 -2 M-2 -2 L10 10",
            Self::Upright => "M4 0 V8",
            Self::Level => "M0 4 H8",
        }
    }
}

/// The whole page.
pub fn of(picture: &Snapshot) -> Markup {
    let this = picture.this.as_ref().map_or("none", |id| id.as_str());
    let not_storing = not_storing(picture);
    let mark = if not_storing.is_some() || !picture.alarms.is_empty() {
        "! "
    } else {
        ""
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (mark) "twinstream " (this) }
                link rel="stylesheet" href="/page.css";
                link rel="icon" href="data:,";
                noscript { meta http-equiv="refresh" content="15"; }
                script src="/page.js" defer {}
            }
            body {
                (looks())
                header {
                    h1 { "twinstream" }
                    span .soft { "server " (this) @if let Some(role) = picture.role { ", " (role.name()) } }
                    span .soft .now { (shown(picture.now)) " UTC" }
                }
                main {
                    (state(picture, not_storing.as_deref()))
                    (alarms(picture))
                    (servers(picture))
                    (archive(picture))
                    (coverage(picture))
                    (stages(picture))
                }
                footer {
                    span { (picture.program) }
                    a href="/api/status" { "as JSON" }
                    a href="/metrics" { "metrics" }
                    a href="/health" { "health" }
                }
            }
        }
    }
}

/// `2026-11-23 14:05:09`
fn shown(at: UtcMs) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}

/// `14:05`, with its day when that is not today's.
fn shown_short(at: UtcMs, now: UtcMs) -> String {
    let (at, now) = (shown(at), shown(now));
    let same_day = at.get(..10) == now.get(..10);
    let from = if same_day { 11 } else { 5 };
    at.get(from..16).unwrap_or(&at).to_owned()
}

fn state(picture: &Snapshot, not_storing: Option<&str>) -> Markup {
    let this = picture.servers.iter().find(|server| server.this);
    let rate = this.map_or(0.0, |server| server.posts_per_second);
    html! {
        @match not_storing {
            None if picture.role == Some(Role::Merger) => p .state { strong { "Merging" } ", collecting nothing" },
            None => p .state { strong { "Storing posts" } ", " (format!("{rate:.1}")) " a second" },
            Some(why) => p .state .bad role="status" { strong { "Not storing posts" } ": " (why) },
        }
    }
}

fn alarms(picture: &Snapshot) -> Markup {
    html! {
        @if !picture.alarms.is_empty() {
            h2 { "Open alarms" }
            @for alarm in &picture.alarms {
                div .alarm {
                    p { strong { (mail_texts::sentence(&alarm.what)) "." } " " span .soft { "Since " (shown_short(alarm.since, picture.now)) "." } }
                    p { "What to do: " (with_commands(&alarm.todo)) "." }
                }
            }
        }
    }
}

/// A text in which commands stand between backticks.
fn with_commands(text: &str) -> Markup {
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn servers(picture: &Snapshot) -> Markup {
    let now = picture.now;
    html! {
        h2 { "Servers" }
        (wide("Servers", &html! { table {
            thead { tr {
                th scope="col" { "server" }
                th scope="col" { "connection" }
                th scope="col" .n { "posts/s" }
                th scope="col" .n { "last post" }
                th scope="col" .n { (if picture.merges() { "here until" } else { "delivered until" }) }
                th scope="col" .n { "spool here" }
                th scope="col" { "last 24 hours" }
            } }
            tbody { @for server in &picture.servers { tr {
                th scope="row" { (server.server) @if server.this { " (here)" } }
                td {
                    (plain_text::link(server, now))
                    @if let (Some(why), true) = (&server.link.why, has_reason(server)) {
                        br; span .soft { (why) }
                    }
                    @if let Some(until) = server.until { br; span .soft { "gone since " (until) } }
                }
                td .n { @if server.is_unknown() { "–" } @else { (format!("{:.1}", server.posts_per_second)) } }
                td .n { @if server.is_unknown() { "–" } @else { (ago(server.lag_s)) } }
                td .n { @match server.delivered_until {
                    Some(until) => (shown_short(until, now)),
                    None => "–",
                } }
                td .n { (text::bytes(server.spool_bytes)) }
                td { (bars(server, now)) }
            } } }
        } }))
        @if let Some(held) = &picture.held {
            h2 { "Partitions" }
            ul {
                @for words in held.words().into_iter().chain(plain_text::legs_down(picture)) { li { (words) } }
            }
        }
    }
}

/// Whether its connection is one thing, and why it is down has not been said yet.
fn has_reason(server: &ServerState) -> bool {
    let is_told = matches!(server.link.state, LinkState::Connected | LinkState::Died);
    server.legs.is_empty() && !is_told
}

/// What may be wider than the screen scrolls by itself, with the arrow keys too, and has a name.
fn wide(name: &str, what: &Markup) -> Markup {
    html! { div .wide role="region" tabindex="0" aria-label=(name) { (what) } }
}

fn ago(lag_s: Option<i64>) -> String {
    match lag_s {
        None => "none".to_owned(),
        Some(s) if s < 2 => "just now".to_owned(),
        Some(s) => format!("{} ago", text::duration(s * 1_000)),
    }
}

/// Lines of each hour as bars.
fn bars(server: &ServerState, now: UtcMs) -> Markup {
    let most = server
        .hours
        .iter()
        .map(|(_, lines)| *lines)
        .max()
        .unwrap_or(0)
        .max(1);
    let all: u64 = server.hours.iter().map(|(_, lines)| lines).sum();
    let last = server.hours.len().saturating_sub(1);
    let label = format!("{all} posts in the last 24 hours, at most {most} an hour");
    html! {
        svg .bars viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label=(label) {
            @for (place, (begin, lines)) in server.hours.iter().enumerate() {
                @let height = lines.saturating_mul(38).div_ceil(most);
                rect .part[place == last] x=(place * 10) y=(40 - height) width="8" height=(height) {
                    title { (shown_short(*begin, now)) ": " (lines) }
                }
            }
        }
    }
}

fn archive(picture: &Snapshot) -> Markup {
    let vault = &picture.vault;
    html! {
        h2 { "Archive" }
        dl .facts {
            @if picture.vault_unknown().is_none() && (picture.merges() || 0 < vault.hours) {
                div { dt { "merged" } dd { (text::plural(vault.hours, "hour", "hours")) small {
                    @match vault.last_hour {
                        Some(hour) => { "the latest is " (hour) @if let Some(posts) = vault.last_posts { ", " (posts) " posts" } },
                        None => "none yet",
                    }
                } } }
            }
            @if let Some(public) = &picture.published {
                div { dt { "published" } dd { (text::plural(public.hours, "hour", "hours")) small {
                    @if public.behind == 0 { "all that is merged" } @else { (public.behind) " not yet" }
                } } }
                div { dt { "ids in 30 days" } dd { (public.ids_30_days) small { "of " (public.ids_max) } } }
            }
            @if let Some(why) = picture.publishing_forbidden {
                div { dt { "published" } dd { "nothing" small { (why) } } }
            }
            div { dt { "disk" } dd { (text::bytes(picture.free_bytes)) " free" small {
                @match &picture.runway {
                    None => "how long it will last is shown after an hour",
                    Some(runway) => @match runway.days {
                        Some(days) => { "full in " (plain_text::of_days(days)) },
                        None => "it is not shrinking",
                    },
                }
            } } }
            @if 0 < picture.mails_waiting {
                div { dt { "mails waiting" } dd { (picture.mails_waiting) small {
                    @if let Some(since) = picture.mails_waiting_since { "the oldest since " (shown_short(since, picture.now)) }
                } } }
            }
        }
    }
}

fn class(what: &str) -> String {
    what.replace(' ', "-")
}

fn look_of(what: &str) -> Look {
    let known = all_looks().find(|(word, _)| *word == what);
    known.map_or(Look::Crossed, |(_, look)| look)
}

/// The patterns that strips and legend refer to.
fn looks() -> Markup {
    html! {
        svg width="0" height="0" aria-hidden="true" {
            defs {
                @for look in Look::ALL {
                    pattern id=(look.id()) width="8" height="8" patternUnits="userSpaceOnUse" {
                        @if look == Look::Dots { circle cx="4" cy="4" r="1.7" {} } @else { path d=(look.path()) {} }
                    }
                }
            }
        }
    }
}

/// A rectangle of a strip: the colour, and the lines over it.
fn block(what: &str, x: i64, width: i64, height: i64, title: Option<&str>) -> Markup {
    let look = look_of(what);
    html! {
        g {
            @if let Some(title) = title { title { (title) } }
            rect .(class(what)) x=(x) y="0" width=(width) height=(height) {}
            @if look != Look::Plain {
                rect fill=(format!("url(#{})", look.id())) x=(x) y="0" width=(width) height=(height) {}
            }
        }
    }
}

fn coverage(picture: &Snapshot) -> Markup {
    let used = |what: &str| {
        let strips = picture.days.iter().flat_map(|day| &day.strips);
        strips
            .flat_map(|strip| &strip.pieces)
            .any(|piece| piece.what == what)
    };
    html! {
        h2 { "Coverage of the last days" }
        @if picture.days.iter().all(|day| day.strips.iter().all(|strip| strip.pieces.is_empty())) {
            p .soft { "No hour of the last days has been merged here yet." }
        } @else {
            (wide("Coverage of the last days", &html! {
                @for day in &picture.days { (of_day(day)) }
            }))
            ul .legend {
                @for (what, _) in all_looks().filter(|(what, _)| used(what)) {
                    li { svg viewBox="0 0 32 16" aria-hidden="true" { (block(what, 0, 32, 16, None)) } (what) }
                }
                li { svg viewBox="0 0 32 16" aria-hidden="true" { rect .ground width="32" height="16" {} } "not merged yet" }
            }
            (gaps(picture))
        }
    }
}

fn of_day(day: &DayCoverage) -> Markup {
    html! {
        div .day {
            div .strip {
                h3 { (day.day) }
                div .hours aria-hidden="true" { @for hour in ["0", "6", "12", "18", "24"] { span { (hour) } } }
            }
            @let (shown, told) = worth_showing(&day.strips);
            @for strip in shown { (of_strip(strip, day)) }
            @if let Some(words) = told { p .soft { (words) } }
        }
    }
}

/// Widths in seconds, a whole day wide.
fn of_strip(strip: &Strip, day: &DayCoverage) -> Markup {
    let is_union = strip.name == UNION;
    let whole = (day.end.0 - day.begin.0) / 1_000;
    let percent = text::percent(strip.covered_s, strip.committed_s);
    let who = if is_union {
        "together".to_owned()
    } else {
        format!("server {}", strip.name)
    };
    let label = match strip.legs {
        0 | 1 => format!(
            "{who}: {percent} of what is merged, {} missing",
            strip.missing()
        ),
        _ => format!(
            "{who}: {percent} of the seconds of all its partitions that are merged; something is missing {}",
            strip.missing()
        ),
    };
    // a gap of seconds must be seen in a strip of a day
    let at_least = whole / 400;
    html! {
        div .strip .union[is_union] {
            span { (who) }
            svg viewBox=(format!("0 0 {whole} 100")) preserveAspectRatio="none" role="img" aria-label=(label) {
                rect .ground width=(whole) height="100" {}
                @for is_gap in [false, true] {
                    @for piece in strip.pieces.iter().filter(|piece| (piece.what != COVERED) == is_gap) {
                        @let x = (piece.begin.0 - day.begin.0) / 1_000;
                        @let width = (piece.end.0 - piece.begin.0) / 1_000;
                        @let width = if is_gap { width.max(at_least) } else { width };
                        @let title = format!("{} – {}: {}{}", shown(piece.begin), shown(piece.end), piece.what, of_partitions(piece));
                        rect .(class(&piece.what)) x=(x) y="0" width=(width) height="100" { title { (title) } }
                        @if look_of(&piece.what) != Look::Plain {
                            rect fill=(format!("url(#{})", look_of(&piece.what).id())) x=(x) y="0" width=(width) height="100" {}
                        }
                    }
                }
            }
            span .n title=(label) { (percent) }
        }
    }
}

/// The partitions that a gap is of, behind what it is said of.
fn of_partitions(piece: &Piece) -> String {
    if piece.partitions.is_empty() {
        return String::new();
    }
    format!(", {}", Partition::words(&piece.partitions))
}

/// The latest gaps in words.
fn gaps(picture: &Snapshot) -> Markup {
    let mut found: Vec<(&str, &Piece)> = picture
        .days
        .iter()
        .flat_map(|day| &day.strips)
        .flat_map(|strip| {
            strip
                .pieces
                .iter()
                .map(|piece| (strip.name.as_str(), piece))
        })
        .filter(|(_, piece)| piece.what != COVERED)
        .collect();
    found.sort_by_key(|(name, piece)| (std::cmp::Reverse(piece.begin), *name != UNION, *name));
    let more = found.len().saturating_sub(GAPS_MAX);
    html! {
        @if !found.is_empty() {
            h2 { "Latest gaps" }
            (wide("Latest gaps", &html! { table {
                thead { tr {
                    th scope="col" { "from (UTC)" } th scope="col" .n { "length" }
                    th scope="col" { "who" } th scope="col" { "cause" }
                } }
                tbody { @for (name, piece) in found.iter().take(GAPS_MAX) { tr {
                    td { (shown(piece.begin)) }
                    td .n { (text::duration(piece.end.0 - piece.begin.0)) }
                    td { @if *name == UNION { strong { "all servers" } } @else { "server " (name) } (of_partitions(piece)) }
                    td { (piece.what) }
                } } }
            } }))
            @if 0 < more { p .soft { "and " (more) " more: " code { "twinstream gaps" } } }
        }
    }
}

fn stages(picture: &Snapshot) -> Markup {
    html! {
        @if !picture.stages.is_empty() {
            h2 { "Stages" }
            (wide("Stages", &html! { table {
                thead { tr {
                    th scope="col" { "stage" } th scope="col" { "last started" } th scope="col" { "how it ended" }
                } }
                tbody { @for (stage, run) in &picture.stages { tr {
                    th scope="row" { (stage.name()) }
                    td { (shown_short(run.started, picture.now)) }
                    td .said { (plain_text::how(run)) }
                } } }
            } }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_looks_different_in_grey() {
        let css = |what: &str| format!(".{} {{ fill:", class(what));
        for (what, _) in all_looks() {
            assert!(STYLE.contains(&css(what)), "{what}");
        }
        // two of the same look differ in their lightness, which the style sheet sees to
        let of = |look: Look| all_looks().filter(|(_, other)| *other == look).count();
        assert!(Look::ALL.into_iter().all(|look| of(look) <= 2));
    }

    #[test]
    fn commands_look_like_commands() {
        let shown = |text: &str| with_commands(text).into_string();
        assert_eq!(
            shown("run `a <b>`, then `c`"),
            "run <code>a &lt;b&gt;</code>, then <code>c</code>"
        );
        assert_eq!(shown("look at the log"), "look at the log");
    }

    #[test]
    fn nothing_from_outside_is_asked_for() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"));
        }
    }
}
