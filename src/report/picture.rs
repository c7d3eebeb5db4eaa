//! The statement as a picture: `YYYY-mm-dd_certificate.svg`. A strip for all servers together and one
//! for each, a column for each minute.
//!
//! What is missing of a minute hangs from the top of its column, as high as its share, and never lower
//! than a fifth: one second is seen as well as sixty. A mark above the strip says the same where a
//! column is too narrow for the eye, and a letter above the mark says why. No script, nothing from outside; causes differ in lightness and
//! hatching, so it can be read in grey.

use maud::{Markup, html};

use super::{
    certificate, legs,
    statement::{Statement, Sum},
    strip::{self, Axis, COLUMNS, Column, SecondState},
};
use crate::{
    cover::{cause::Cause, gap::UNION},
    period::UtcMs,
    text::{percent, thousands, wrapped},
};

/// Left of the strips, for their names.
const LEFT: usize = 150;
/// Right of them, for their numbers.
const RIGHT: usize = 170;
/// All of it.
const WIDTH: usize = LEFT + COLUMNS + RIGHT;
/// Above the first strip.
const TOP: usize = 120;
/// If there are many legs, this many strips are drawn, for those that lack the most.
const STRIPS_MAX: usize = 12;
/// The longest name that fits beside a strip.
const NAME_MAX: usize = 11;
/// A line of text.
const LINE: usize = 32;
/// How many characters fit into one.
const LINE_CHARS: usize = 150;
/// A strip of a server.
const STRIP: usize = 60;
/// That of all together.
const STRIP_OF_UNION: usize = 90;
/// Between strips, the marks included.
const BETWEEN: usize = 30;
/// A line of the legend.
const LEGEND_LINE: usize = 40;
/// Entries in a line of the legend.
const LEGEND_COLUMNS: usize = 4;
/// What is missing of a column takes at least this part of its height.
const PART_MIN: usize = 5;
/// Width and height of a mark.
const MARK: usize = 8;
/// Width that a letter needs.
const LETTER: usize = 15;
/// Width and height of a hatching before it repeats.
const HATCH: usize = 12;

/// How something is filled: a colour, and what is hatched over it.
struct Look {
    state: SecondState,
    name: &'static str,
    colour: &'static str,
    ink: &'static str,
    hatch: &'static str,
}

const fn gap(
    cause: Cause,
    name: &'static str,
    (colour, ink): (&'static str, &'static str),
    hatch: &'static str,
) -> Look {
    Look {
        state: SecondState::Gap(cause),
        name,
        colour,
        ink,
        hatch,
    }
}

const LIGHT: &str = "#ffffff";
const DARK: &str = "#1b1d1f";
const RISING: &str = "M0,12 L12,0 M-3,3 L3,-3 M9,15 L15,9";
const FALLING: &str = "M0,0 L12,12 M-3,9 L3,15 M9,-3 L15,3";
const CROSSED: &str = "M0,0 L12,12 M12,0 L0,12";
const UPRIGHT: &str = "M3,0 V12 M9,0 V12";
const LEVEL: &str = "M0,3 H12 M0,9 H12";
const DASHED: &str = "M2,3 H6 M8,9 H12";
const NONE: &str = "";

/// Everything that a column can show, from light to dark where it can be.
const LOOKS: [Look; 15] = [
    Look {
        state: SecondState::Absent,
        name: "not in the archive",
        colour: "#f1f1ef",
        ink: "#c9c9c4",
        hatch: RISING,
    },
    Look {
        state: SecondState::Quiet,
        name: "covered, quiet",
        colour: "#e6f3ea",
        ink: "#8fb79b",
        hatch: DASHED,
    },
    Look {
        state: SecondState::Covered,
        name: "covered",
        colour: "#c3dfca",
        ink: DARK,
        hatch: NONE,
    },
    Look {
        state: SecondState::Untold,
        name: "without an account",
        colour: "#dcdcd8",
        ink: "#8d8d86",
        hatch: CROSSED,
    },
    gap(Cause::Late, "late", ("#aeb6bd", DARK), RISING),
    gap(
        Cause::UpstreamSilence,
        "upstream silence",
        ("#7fa6d6", DARK),
        LEVEL,
    ),
    gap(
        Cause::PlatformDisconnect,
        "platform disconnect",
        ("#a06cc4", LIGHT),
        FALLING,
    ),
    gap(Cause::Stall, "stall", ("#c7437a", LIGHT), DASHED),
    gap(
        Cause::ReplayWindow,
        "replay window",
        ("#5f8f8b", LIGHT),
        RISING,
    ),
    gap(Cause::LockOut, "lock-out", ("#d2a417", DARK), CROSSED),
    gap(Cause::Refused, "refused", ("#b3261e", LIGHT), UPRIGHT),
    gap(Cause::Network, "network", ("#e07b16", DARK), FALLING),
    gap(Cause::Disk, "disk", ("#6b4a2b", LIGHT), LEVEL),
    gap(Cause::NotRunning, "not running", ("#2c2f33", LIGHT), NONE),
    gap(Cause::Unknown, "unknown", ("#000000", LIGHT), CROSSED),
];

/// A strip with its name and numbers.
struct Strip<'a> {
    name: String,
    sum: &'a Sum,
    columns: Vec<Column>,
    top: usize,
    height: usize,
}

/// The picture.
pub fn svg(statement: &Statement) -> String {
    let axis = Axis::of(&statement.exist);
    let (strips, others) = strips(statement, &axis);
    let others: Vec<String> = others.iter().flat_map(|words| lines(words)).collect();
    let below = strips.last().map_or(TOP, |last| last.top + last.height);
    let used = |look: &&Look| {
        let mut columns = strips.iter().flat_map(|strip| &strip.columns);
        columns.any(|column| column.contains_key(&look.state))
    };
    let used: Vec<&Look> = LOOKS.iter().filter(used).collect();
    let legend = below + 80 + others.len() * LINE;
    let height = legend + used.len().div_ceil(LEGEND_COLUMNS) * LEGEND_LINE + 20;
    let title = format!("Coverage of {}, second by second", statement.day);
    let words = certificate::headline(statement).replace('\n', " ");
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
            width=(WIDTH) height=(height) style="max-width:100%;height:auto" role="img" aria-labelledby="title words" data-format=(statement.format)
            font-family="Helvetica, Arial, sans-serif" font-size="22" fill=(DARK) {
            title id="title" { (title) }
            desc id="words" { (words.trim_end()) }
            defs { @for look in &used { (pattern(look)) } }
            rect width=(WIDTH) height=(height) fill="#ffffff" {}
            text x="20" y="44" font-size="32" font-weight="bold" { (title) }
            text x="20" y="80" {
                "stream " (statement.stream) ", hours of " (statement.timezone)
                ". Missing seconds hang from the top of a column; the mark above has the letter of their cause."
            }
            @for strip in &strips { (of_strip(strip, &axis)) }
            (hours(&axis, below))
            @for (number, line) in others.iter().enumerate() {
                text x="20" y=(below + 76 + number * LINE) { (line) }
            }
            @for (number, look) in used.iter().enumerate() {
                @let x = 20 + number % LEGEND_COLUMNS * (WIDTH - 40) / LEGEND_COLUMNS;
                @let y = legend + number / LEGEND_COLUMNS * LEGEND_LINE;
                rect x=(x) y=(y) width="48" height="26" fill=(fill(look)) stroke=(DARK) stroke-width="1" {}
                text x=(x + 60) y=(y + 21) {
                    (look.name)
                    @if let SecondState::Gap(cause) = look.state { " (" (letter(cause)) ")" }
                }
            }
        }
    };
    picture.into_string() + "\n"
}

/// The strips, and a sentence on the legs that have none.
fn strips<'a>(statement: &'a Statement, axis: &Axis) -> (Vec<Strip<'a>>, Option<String>) {
    let union = &statement.union.sum;
    let union = ("together".to_owned(), UNION.to_owned(), union);
    let (told, others) = legs::worth_telling(statement, STRIPS_MAX);
    let servers = told.iter().filter_map(|alike| {
        let name = match alike.legs.as_slice() {
            [_] => format!("server {}", alike.name()),
            _ => Some(alike.name())
                .filter(|name| name.len() <= NAME_MAX)
                .unwrap_or_else(|| {
                    let server = alike.legs.first().map(|leg| leg.server.to_string());
                    format!("{}: {} legs", server.unwrap_or_default(), alike.legs.len())
                }),
        };
        Some((name, alike.legs.first()?.to_string(), &alike.share.sum))
    });
    let mut top = TOP;
    let of = |(name, of, sum): (String, String, &'a Sum)| {
        let height = if of == UNION { STRIP_OF_UNION } else { STRIP };
        let strip = Strip {
            name,
            sum,
            columns: strip::columns(statement, axis, &of),
            top,
            height,
        };
        top += height + BETWEEN;
        strip
    };
    let strips = std::iter::once(union).chain(servers).map(of).collect();
    (strips, others)
}

/// A text in lines that fit.
fn lines(words: &str) -> Vec<String> {
    let wrapped = wrapped(words, "", LINE_CHARS);
    wrapped.lines().map(str::to_owned).collect()
}

fn id(look: &Look) -> String {
    look.name.replace([' ', ','], "-")
}

fn fill(look: &Look) -> String {
    if look.hatch.is_empty() {
        look.colour.to_owned()
    } else {
        format!("url(#{})", id(look))
    }
}

/// In a block too narrow for its hatching the colour alone is clearer.
fn fill_of(state: SecondState, width: usize) -> String {
    let look = LOOKS.iter().find(|look| look.state == state);
    look.map_or_else(
        || DARK.to_owned(),
        |look| {
            if width < HATCH {
                look.colour.to_owned()
            } else {
                fill(look)
            }
        },
    )
}

fn pattern(look: &Look) -> Markup {
    html! {
        @if !look.hatch.is_empty() {
            pattern id=(id(look)) width=(HATCH) height=(HATCH) patternUnits="userSpaceOnUse" {
                rect width=(HATCH) height=(HATCH) fill=(look.colour) {}
                path d=(look.hatch) stroke=(look.ink) stroke-width="2" fill="none" {}
            }
        }
    }
}

fn of_strip(strip: &Strip<'_>, axis: &Axis) -> Markup {
    let Strip {
        name,
        sum,
        columns,
        top,
        height,
    } = strip;
    let told = sum.covered + sum.missing;
    let numbered: Vec<(usize, &Column)> = columns.iter().enumerate().collect();
    html! {
        g {
            title { (name) ": " (thousands(sum.covered)) " s covered, " (thousands(sum.missing)) " s in gaps" }
            text x=(LEFT - 14) y=(top + height / 2 + 8) text-anchor="end" { (name) }
            @for run in numbered.chunk_by(|a, b| a.1 == b.1) {
                @if let (Some((first, column)), Some((last, _))) = (run.first(), run.last()) {
                    (block(column, (*first, last + 1), (*top, *height), axis))
                }
            }
            @for (x, letter) in letters(columns) {
                text x=(x) y=(top - MARK - 5) text-anchor="middle" font-size="16" { (letter) }
            }
            rect x=(LEFT) y=(top) width=(COLUMNS) height=(height) fill="none" stroke=(DARK) stroke-width="1" {}
            text x=(LEFT + COLUMNS + 12) y=(top + height / 2 - 4) { (percent(sum.covered, told)) }
            text x=(LEFT + COLUMNS + 12) y=(top + height / 2 + 22) font-size="18" { "lacks " (thousands(sum.missing)) " s" }
        }
    }
}

/// A run of columns that are the same.
fn block(
    column: &Column,
    (first, end): (usize, usize),
    (top, height): (usize, usize),
    axis: &Axis,
) -> Markup {
    let missing: u64 = column
        .iter()
        .filter(|(state, _)| is_gap(**state))
        .map(|(_, s)| s)
        .sum();
    let (x, width) = (LEFT + first, end - first);
    let told = || {
        let gaps = column.iter().filter_map(|(state, seconds)| match state {
            SecondState::Gap(cause) => Some(format!("{cause} {seconds} s")),
            _ => None,
        });
        let gaps: Vec<String> = gaps.collect();
        let begin = UtcMs(axis.second_of(first) * 1_000).minute();
        let each = if 1 < width { " of each minute" } else { "" };
        format!("{begin}, {width} min: {}{each}", gaps.join(", "))
    };
    html! {
        g {
            @if 0 < missing { title { (told()) } }
            @for (state, y, part) in parts(column, height) {
                rect x=(x) y=(top + y) width=(width) height=(part) fill=(fill_of(state, width)) {}
            }
            @if 0 < missing {
                @let middle = x + width / 2;
                path d=(format!("M{},{} h{MARK} l-{},{MARK} z", middle - MARK / 2, top - MARK - 2, MARK / 2)) {}
            }
        }
    }
}

/// Stands above a gap and in the legend: a column of a minute is too narrow for its hatching.
const fn letter(cause: Cause) -> &'static str {
    match cause {
        Cause::Late => "L",
        Cause::UpstreamSilence => "U",
        Cause::PlatformDisconnect => "P",
        Cause::Stall => "S",
        Cause::ReplayWindow => "W",
        Cause::LockOut => "K",
        Cause::Refused => "R",
        Cause::Network => "N",
        Cause::Disk => "D",
        Cause::NotRunning => "X",
        Cause::Unknown => "?",
    }
}

/// The letters above a strip: each where it begins to hold, if there is room.
fn letters(columns: &[Column]) -> Vec<(usize, &'static str)> {
    let main = |column: &Column| {
        let gaps = column.iter().filter_map(|(state, seconds)| match state {
            SecondState::Gap(cause) => Some((*seconds, *cause)),
            _ => None,
        });
        gaps.max().map(|(_, cause)| cause)
    };
    let causes: Vec<(usize, Option<Cause>)> = columns.iter().map(main).enumerate().collect();
    let mut told: Vec<(usize, &str)> = Vec::new();
    for run in causes.chunk_by(|a, b| a.1 == b.1) {
        if let (Some((first, Some(cause))), Some((last, _))) = (run.first(), run.last()) {
            let x = LEFT + (first + last).div_ceil(2);
            if told.last().is_none_or(|(before, _)| before + LETTER <= x) {
                told.push((x, letter(*cause)));
            }
        }
    }
    told
}

const fn is_gap(state: SecondState) -> bool {
    matches!(state, SecondState::Gap(_))
}

/// The parts of a column from the top: what, where it begins, how high it is.
fn parts(column: &Column, height: usize) -> Vec<(SecondState, usize, usize)> {
    let all: u64 = column.values().sum();
    let mut parts = Vec::new();
    let mut from = 0;
    for (number, (state, seconds)) in column.iter().enumerate() {
        let left = height.saturating_sub(from);
        let share = usize::try_from(seconds * height as u64 / all.max(1)).unwrap_or(0);
        let is_last = number + 1 == column.len();
        let part = match state {
            _ if is_last => left,
            SecondState::Gap(_) => share.max(height / PART_MIN),
            _ => share,
        };
        parts.push((*state, from, part.min(left)));
        from += part.min(left);
    }
    parts.retain(|(.., part)| 0 < *part);
    parts
}

fn hours(axis: &Axis, below: usize) -> Markup {
    html! {
        g {
            @for (hour, column) in axis.hours() {
                @let x = LEFT + column;
                path d=(format!("M{x},{} V{}", below, below + 10)) stroke=(DARK) stroke-width="2" {}
                text x=(x) y=(below + 34) text-anchor="middle" font-size="20" { (format!("{:02}", hour.of_day())) }
            }
            path d=(format!("M{},{} V{}", LEFT + COLUMNS, below, below + 10)) stroke=(DARK) stroke-width="2" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_missing_second_is_seen_and_a_column_is_filled_to_its_end() {
        for height in [STRIP, STRIP_OF_UNION] {
            for missing in 1..60_u64 {
                for state in Cause::ALL.map(SecondState::Gap) {
                    let column =
                        Column::from([(state, missing), (SecondState::Covered, 60 - missing)]);
                    let parts = parts(&column, height);
                    let (first, from, part) = parts[0];
                    assert_eq!((first, from), (state, 0), "it hangs from the top");
                    assert!(height / PART_MIN <= part && part < height);
                    let all: usize = parts.iter().map(|(.., part)| part).sum();
                    assert_eq!(all, height);
                }
            }
        }
        let whole = Column::from([(SecondState::Gap(Cause::Late), 60)]);
        assert_eq!(
            parts(&whole, STRIP),
            [(SecondState::Gap(Cause::Late), 0, STRIP)]
        );
    }

    #[test]
    fn the_letter_of_a_gap_stands_above_it_where_there_is_room() {
        let gap = |cause| Column::from([(SecondState::Gap(cause), 5), (SecondState::Covered, 55)]);
        let mut columns = vec![Column::from([(SecondState::Covered, 60)]); 60];
        columns[10] = gap(Cause::Network);
        columns[12] = gap(Cause::Disk);
        for column in &mut columns[40..50] {
            *column = gap(Cause::Stall);
        }
        assert_eq!(letters(&columns), [(LEFT + 10, "N"), (LEFT + 45, "S")]);
    }

    #[test]
    fn every_cause_has_a_look_of_its_own() {
        for cause in Cause::ALL {
            let looks = LOOKS
                .iter()
                .filter(|look| look.state == SecondState::Gap(cause));
            assert_eq!(looks.count(), 1, "{cause}");
        }
        let different: std::collections::BTreeSet<_> =
            LOOKS.iter().map(|look| (look.colour, look.hatch)).collect();
        assert_eq!(different.len(), LOOKS.len());
        let letters: std::collections::BTreeSet<&str> = Cause::ALL.map(letter).into();
        assert_eq!(letters.len(), Cause::ALL.len());
    }
}
