//! What the mails say. Pure.

use std::collections::BTreeMap;

use super::{
    alarm::AlarmChange,
    link::LinkState,
    queue::{Attachment, QueuedMail},
    snapshot::{Alarm, Snapshot},
};
use crate::{
    period::{Day, UtcMs},
    segment::line::PROGRAM,
    segment::name::ServerId,
    text::duration,
};

/// What the mail of a day is about.
#[derive(Debug, Clone, Copy)]
pub struct DayMail<'a> {
    /// Who mails.
    pub server: &'a ServerId,
    /// Which day.
    pub day: Day,
    /// What the archive has and lacks of it, as its certificate begins.
    pub headline: &'a str,
}

/// What every mail ends with.
fn foot(picture: &Snapshot) -> String {
    let server = picture.this.as_ref().map_or("?", |id| id.as_str());
    format!(
        "\n-- \n{} on server {server}, {}\n",
        picture.program, picture.now
    )
}

/// A subject, so that a rule in a mail program can sort by its begin.
fn subject(picture: &Snapshot, text: &str) -> String {
    let server = picture.this.as_ref().map_or("?", |id| id.as_str());
    format!("[twinstream {server}] {text}")
}

/// Of a state that begins or ends.
pub fn of_change(change: &AlarmChange, picture: &Snapshot) -> (QueuedMail, String) {
    let (alarm, head, body, word) = match change {
        AlarmChange::Begun(alarm) => (
            alarm,
            format!("ALARM: {}", title(alarm)),
            format!(
                "{}.\n\nWhat to do: {}.\n",
                sentence(&alarm.what),
                alarm.todo
            ),
            "begin",
        ),
        AlarmChange::Ended(alarm, at) => (
            alarm,
            format!("over: {}", title(alarm)),
            format!(
                "This ended at {at}; it began {} ({}):\n\n{}.\n",
                alarm.since,
                duration(at.0 - alarm.since.0),
                sentence(&alarm.what)
            ),
            "end",
        ),
    };
    let others = others(alarm, picture);
    let text = format!("{body}{others}{}", foot(picture));
    let what = format!("{word}-{}-{}", alarm.kind.word(), alarm.subject);
    (
        QueuedMail::new(picture.now, subject(picture, &head), text),
        what,
    )
}

fn title(alarm: &Alarm) -> String {
    let name = alarm.kind.word().replace('_', " ");
    if alarm.subject.is_empty() {
        name
    } else {
        format!("{name} ({})", alarm.subject)
    }
}

/// With a capital letter at its begin.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}

fn others(alarm: &Alarm, picture: &Snapshot) -> String {
    let rest: Vec<String> = picture
        .alarms
        .iter()
        .filter(|other| (other.kind, &other.subject) != (alarm.kind, &alarm.subject))
        .map(|other| format!("  - {} (since {})\n", other.what, other.since))
        .collect();
    if rest.is_empty() {
        String::new()
    } else {
        format!("\nAlso open:\n{}", rest.concat())
    }
}

/// That collecting has begun; `unclean` has when a run ended of which nobody heard.
pub fn begun(picture: &Snapshot, unclean: bool) -> QueuedMail {
    let this = picture.servers.iter().find(|server| server.this);
    let connected = match this.map(|server| server.link.state) {
        Some(LinkState::Connected) => "It is connected.",
        _ => "It is not connected yet.",
    };
    let before = if unclean {
        "\nThe previous run did not record its end: a crash, a kill, or a power cut. What it had stored was \
         recovered; the gap is recorded.\n"
    } else {
        ""
    };
    let text = format!(
        "Collecting has begun. {connected}\n{before}{}",
        foot(picture)
    );
    QueuedMail::new(picture.now, subject(picture, "collecting has begun"), text)
}

/// That collecting ends.
pub fn ends(picture: &Snapshot) -> QueuedMail {
    let text = format!(
        "WARNING: collecting ends, because the service was stopped. Until it is started again, \
         this server collects nothing (systemctl start twinstream).\n{}",
        foot(picture)
    );
    QueuedMail::new(
        picture.now,
        subject(picture, "WARNING: collecting ends"),
        text,
    )
}

/// The report of a day with its files; `others` are days that were changed, and what is to be said of
/// each.
pub fn report(
    of: DayMail<'_>,
    table: &str,
    others: &BTreeMap<Day, String>,
    now: UtcMs,
    files: Vec<Attachment>,
) -> QueuedMail {
    let others: Vec<String> = others
        .iter()
        .map(|(day, words)| format!("{day}\n{}", indented(words)))
        .collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(
            "\nLate data has changed these days since the last report; their certificates were written again:\n\n{}",
            others.join("\n")
        )
    };
    let attached = if files.is_empty() {
        String::new()
    } else {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        format!("\nAttached: {}\n", names.join(", "))
    };
    let DayMail {
        server,
        day,
        headline,
    } = of;
    let text = format!(
        "{day}\n\n{}\n\n{}{others}{attached}\n-- \n{PROGRAM} on server {server}, {now}\n",
        headline.trim_end(),
        align(table)
    );
    let mut queued = QueuedMail::new(now, format!("[twinstream {server}] report of {day}"), text);
    queued.attachments = files;
    queued
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    lines.collect()
}

/// A table with tabs as one with columns.
fn align(table: &str) -> String {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.len())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<&str>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:>width$}"))
            .collect();
        format!("{}\n", cells.join("  "))
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_s_table_aligns() {
        let table = "hour\tserv 1\ttotal\n0\t12\t9\n1\t1234567\t10\n";
        let of = DayMail {
            server: &"1".parse().unwrap(),
            day: "2026-11-23".parse().unwrap(),
            headline: "all of it\n",
        };
        let queued = report(of, table, &BTreeMap::new(), UtcMs(0), Vec::new());
        assert_eq!(queued.subject, "[twinstream 1] report of 2026-11-23");
        assert!(
            queued
                .text
                .contains("hour   serv 1  total\n   0       12      9\n   1  1234567     10\n"),
            "{}",
            queued.text
        );
    }

    #[test]
    fn a_mail_says_what_has_begun_or_ended_when_and_what_else_is_so() {
        use crate::{
            alarm::AlarmKind,
            monitor::{facts::Facts, snapshot},
        };
        let settled = snapshot::Settled {
            role: None,
            ids_max: None,
            ..snapshot::tests::settled()
        };
        let now = UtcMs(1_795_442_700_000);
        let mut picture = snapshot::of(&Facts::default(), &settled, now);
        let alarm = |kind: AlarmKind, subject: &str, what: &str| Alarm {
            kind,
            subject: subject.to_owned(),
            since: now.plus_ms(-400_000),
            what: what.to_owned(),
            todo: "mend it".to_owned(),
            partitions: Vec::new(),
        };
        let all = [
            alarm(AlarmKind::Disk, "", "the disk is full"),
            alarm(AlarmKind::Clock, "1", "the clock of 1"),
            alarm(AlarmKind::Clock, "2", "the clock of 2"),
        ];
        picture.alarms = all.to_vec();
        let [disk, _, clock] = all;
        let (letter, what) = of_change(&AlarmChange::Begun(clock), &picture);
        assert_eq!(
            (&*letter.subject, &*what),
            ("[twinstream 1] ALARM: clock (2)", "begin-clock-2")
        );
        let text = "The clock of 2.\n\nWhat to do: mend it.\n\nAlso open:\n  \
                    - the disk is full (since 2026-11-23T13:58:20.000Z)\n  - the clock of 1 (since ";
        assert!(letter.text.starts_with(text), "{}", letter.text);
        // it is not one of the others
        assert!(!letter.text.contains("- the clock of 2"), "{}", letter.text);
        assert!(
            letter
                .text
                .ends_with("\n-- \ntest/1 on server 1, 2026-11-23T14:05:00.000Z\n")
        );
        picture.alarms.clear();
        let over = AlarmChange::Ended(disk, now.plus_ms(-120_000));
        let (letter, what) = of_change(&over, &picture);
        assert_eq!(
            (&*letter.subject, &*what),
            ("[twinstream 1] over: disk", "end-disk-")
        );
        let text = "This ended at 2026-11-23T14:03:00.000Z; it began 2026-11-23T13:58:20.000Z (4 min):\n\n\
                    The disk is full.\n";
        assert!(letter.text.starts_with(text), "{}", letter.text);
        assert!(!letter.text.contains("Also open"));
        let crashed = |unclean| {
            begun(&picture, unclean)
                .text
                .contains("did not record its end")
        };
        assert!(crashed(true) && !crashed(false));
    }
}
