//! Whether report, gaps and exposure of a day are what its manifests say: all of them, or where hours are
//! missing their rows of the hours that are here.

use std::collections::BTreeSet;

use super::{
    day::Checked,
    difference, pieces,
    told_hours::{of_exposure_row, of_report_row},
};
use crate::{
    cover::gap::{self, Gap},
    period::Hour,
    report::told_gaps::Told,
    vault::{
        csv,
        day::{self, DayHour},
        public::DayFile,
        report,
    },
};

/// How a file is not what the manifests say; `None` if it is, or is not there.
pub(super) fn wrong(of: &Checked<'_>, file: DayFile, text: &[u8]) -> Option<String> {
    let hours: Vec<DayHour> = of
        .hours
        .iter()
        .map(|hour| (&hour.manifest).into())
        .collect();
    if of.lacks.is_empty() {
        let name = of.name(file);
        let all = day::files(of.day, &hours);
        let (_, expected) = all.into_iter().find(|(known, _)| *known == name)?;
        return difference::difference(text, &expected);
    }
    let text = String::from_utf8_lossy(text);
    let differences = match file {
        DayFile::Report => {
            let others = report::servers(&text);
            let expected = report::text_with(&hours, &others);
            rows(of, &text, &expected, &|row| of_report_row(of.day, row))
        }
        DayFile::Exposure => {
            let [.., (_, expected)] = day::files(of.day, &hours);
            rows(of, &text, &expected, &|row| of_exposure_row(of.day, row))
        }
        DayFile::Gaps => gaps(of, &text, &hours),
        DayFile::Certificate | DayFile::Picture | DayFile::Readme => Vec::new(),
    };
    (!differences.is_empty()).then(|| difference::told(&differences))
}

/// The differences of all rows but those of hours that are missing.
fn rows(
    of: &Checked<'_>,
    text: &str,
    expected: &str,
    hour_of: &dyn Fn(&str) -> Option<Hour>,
) -> Vec<String> {
    let is_checked = |row: &str| hour_of(row).is_none_or(|hour| !of.lacks.contains(&hour));
    let lines = (1..).zip(text.lines());
    let lines: Vec<(usize, &str)> = lines.filter(|(_, row)| is_checked(row)).collect();
    let expected: Vec<&str> = expected.lines().collect();
    difference::differences(&lines, &expected, "line")
}

fn gaps(of: &Checked<'_>, text: &str, hours: &[DayHour]) -> Vec<String> {
    let mut wrong = Vec::new();
    let joined = day::gaps(hours);
    let mut told = Vec::new();
    let header = day::gaps_text(&[]);
    for (number, line) in (1..).zip(text.lines()) {
        if number == 1 && line == header.trim_end() {
            continue;
        }
        match row(number, line) {
            Some((row, seconds, detail)) => {
                if !is_told_right(&row, &seconds, &detail, &joined) {
                    wrong.push(format!("line {number} does not fit its gap: {line:?}"));
                }
                told.push(row);
            }
            None => wrong.push(format!("line {number} is no gap: {line:?}")),
        }
    }
    let key = |told: &Told| (told.server == gap::UNION, told.server.clone(), told.begin);
    if !told.is_sorted_by_key(key) {
        wrong.push("its lines are not in their order".to_owned());
    }
    let gaps: Vec<Gap> = hours.iter().flat_map(|hour| hour.gaps.clone()).collect();
    wrong.extend(pieces::differences(&told, &gaps, of.time(), &|_| true));
    wrong
}

/// A line: the gap, what it gives as its seconds, and as its detail.
fn row(number: usize, line: &str) -> Option<(Told, String, String)> {
    let fields = csv::fields(line.as_bytes())?;
    let [server, begin, end, seconds, cause, detail] = &fields[..] else {
        return None;
    };
    let told = Told {
        line: number,
        server: server.clone(),
        begin: begin.parse().ok()?,
        end: end.parse().ok()?,
        cause: cause.clone(),
    };
    Some((told, seconds.clone(), detail.clone()))
}

/// Whether the seconds are those between begin and end, and the detail of a gap that lies in the hours
/// that are here is the one that they give it.
fn is_told_right(told: &Told, seconds: &str, detail: &str, joined: &[Gap]) -> bool {
    let length = told.end.second().saturating_sub(told.begin.second());
    let is_it = |gap: &&Gap| {
        gap.server == told.server
            && (gap.begin, gap.end) == (told.begin, told.end)
            && gap.cause.word() == told.cause
    };
    let known = joined.iter().find(is_it);
    let detail_of = |gap: &Gap| {
        let text = day::gaps_text(std::slice::from_ref(gap));
        let row = text.lines().nth(1).map(str::as_bytes).and_then(csv::fields);
        row.and_then(|fields| fields.last().cloned())
    };
    seconds == length.to_string()
        && known.is_none_or(|gap| detail_of(gap).as_deref() == Some(detail))
}

/// The hours that a report, or an exposure, speaks of.
pub(super) fn hours_of(text: &str, hour_of: &dyn Fn(&str) -> Option<Hour>) -> BTreeSet<Hour> {
    text.lines().filter_map(hour_of).collect()
}
