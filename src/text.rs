//! Words, numbers and tables for people, the same on the page, in a terminal and in the files of a day.

/// Whether some reader takes it for the end of a line: Python's `splitlines` knows the most, the readers
/// of R, Java, JavaScript and Rust and `wc -l` some of these.
pub const fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Words from outside on one line: what ends a line somewhere or moves a cursor is a space.
pub fn one_line(foreign: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_control() || is_line_break(c) => ' ',
        c => c,
    };
    foreign.chars().map(plain).collect()
}

/// Bytes for a person: `3.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut whole, mut unit) = (count, 0);
    let mut tenths = 0;
    while 1_024 <= whole && unit + 1 < UNITS.len() {
        tenths = whole % 1_024 * 10 / 1_024;
        whole /= 1_024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenths} {name}")
    }
}

/// Things in their order, those that follow each other as one: each that is alone as `one` says it, several by the first and the
/// last of them.
pub fn runs<T>(
    of: &[T],
    follows: impl Fn(&T, &T) -> bool,
    one: impl Fn(&T) -> String,
    several: impl Fn(&T, &T) -> String,
) -> Vec<String> {
    let runs = of.chunk_by(follows);
    let told = runs.filter_map(|run| match run {
        [alone] => Some(one(alone)),
        [first, .., last] => Some(several(first, last)),
        [] => None,
    });
    told.collect()
}

/// A table: the first row is its head, the columns named in `right` end at the same place.
pub fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if right.contains(&column) {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// `99.97 %`, and never 100 when something is missing.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// `179,605`
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word for one or for several: `1 gap`, `2,000 gaps`.
pub fn plural(count: u64, one: &str, several: &str) -> String {
    let word = if count == 1 { one } else { several };
    format!("{} {word}", thousands(count))
}

/// A time for a person: `250 ms`, `2.5 s`, `10 min`, `2 h 05 min`, `3 days`.
pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    let s = ms / 1_000;
    match s {
        0 if 0 < ms => format!("{ms} ms"),
        0..10 if 100 <= ms % 1_000 => format!("{s}.{} s", ms % 1_000 / 100),
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} days", s / 86_400),
    }
}

/// Words broken into lines of at most so many characters, each after an indent of its own.
pub fn wrapped(words: &str, indent: &str, width: usize) -> String {
    let mut text = String::new();
    let mut line = indent.to_owned();
    let mut words = words.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let unit = words.next_if(|next| is_unit_of(word, next));
        let with_unit = unit.map(|unit| format!("{word} {unit}"));
        let word = with_unit.as_deref().unwrap_or(word);
        let is_begun = indent.len() < line.len();
        if is_begun && width < line.chars().count() + 1 + word.chars().count() {
            text += &line;
            text.push('\n');
            indent.clone_into(&mut line);
        } else if is_begun {
            line.push(' ');
        }
        line += word;
    }
    text + &line + "\n"
}

/// Whether a word is the unit of the number before it: a line does not end between the two.
fn is_unit_of(number: &str, word: &str) -> bool {
    number.ends_with(|last: char| last.is_ascii_digit())
        && matches!(word.trim_end_matches(['.', ',', ';', ':', ')']), "%" | "s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_rounded_up_to_all() {
        assert_eq!(percent(86_399, 86_400), "99.99 %");
        assert_eq!(percent(3_600, 3_600), "100.00 %");
        assert_eq!(percent(0, 0), "-");
    }

    #[test]
    fn tables_align() {
        let rows = [
            vec!["a".to_owned(), "n".to_owned()],
            vec!["é€".to_owned(), "100".to_owned()],
        ];
        assert_eq!(table(&rows, &[1]), "a     n\né€  100\n");
    }

    #[test]
    fn durations_are_for_people() {
        let found = [
            0,
            250,
            2_000,
            2_540,
            9_099,
            31_700,
            605_000,
            7_100_000,
            7_500_000,
            200_000_000,
        ];
        let told = found.map(duration);
        let expected = [
            "0 s",
            "250 ms",
            "2 s",
            "2.5 s",
            "9 s",
            "31 s",
            "10 min",
            "118 min",
            "2 h 05 min",
            "2 days",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn numbers_and_lines_are_broken() {
        let shown = [0, 999, 1_000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(plural(1, "gap", "gaps"), "1 gap");
        assert_eq!(wrapped("a bc  def g", "  ", 6), "  a bc\n  def\n  g\n");
        // a number keeps its unit
        assert_eq!(wrapped("(90.4 %).", "", 5), "(90.4 %).\n");
        assert_eq!(wrapped("ab 718 s, s", "", 8), "ab\n718 s, s\n");
        assert_eq!(wrapped("12 sea", "", 5), "12\nsea\n");
    }
}
