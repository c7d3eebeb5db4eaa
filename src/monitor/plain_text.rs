//! The picture as plain text, which `status` prints: aligned columns, no colours needed. The page and the alarms use
//! some of its words.

use super::{
    link::{Link, LinkState},
    snapshot::{Alarm, ServerState, Snapshot, Strip, UNION, worth_showing},
};
use crate::{
    period::UtcMs,
    schedule::record::StageRun,
    segment::name::{Partition, ServerId},
    text::{bytes, duration, percent, plural, table},
};

/// The connection in a few words.
pub fn link(server: &ServerState, now: UtcMs) -> String {
    if server.legs.is_empty() {
        let rules =
            rules_words(&server.link).map_or_else(String::new, |words| format!("; {words}"));
        return link_words(&server.link, now) + &rules;
    }
    let are = |state: LinkState| {
        let legs = server.legs.iter();
        legs.filter(|leg| leg.link.state == state).count()
    };
    let needs_no_count = matches!(
        server.link.state,
        LinkState::Unknown | LinkState::Stopped | LinkState::Died
    );
    if needs_no_count && are(server.link.state) == server.legs.len() {
        return link_words(&server.link, now);
    }
    let unknown = match are(LinkState::Unknown) {
        0 => String::new(),
        unknown => format!(", {unknown} unknown"),
    };
    format!(
        "{} of {} connected{unknown}",
        are(LinkState::Connected),
        plural(server.legs.len() as u64, "partition", "partitions")
    )
}

fn link_words(link: &Link, now: UtcMs) -> String {
    let since = link.since.map_or_else(String::new, |since| {
        let more = if link.longer { "more than " } else { "" };
        let whole_s = (now.0 - since.0).div_euclid(1_000);
        format!(" for {more}{}", duration(whole_s * 1_000))
    });
    match link.state {
        LinkState::Unknown if since.is_empty() => "unknown".to_owned(),
        LinkState::Unknown => format!("unknown: nothing heard{since}"),
        LinkState::Died => format!("not running{since}: its end was not recorded"),
        LinkState::Connected => format!("connected{since}"),
        LinkState::Stopped => format!("stopped{since}"),
        LinkState::Disconnected => match waiting(link) {
            Some(waits) => format!("not connected{since} ({waits})"),
            None => format!("not connected{since}"),
        },
    }
}

/// Why nothing is tried at present, in a few words.
fn waiting(link: &Link) -> Option<String> {
    let waits = link.waits?;
    Some(link.waits_for_requests().map_or_else(
        || waits.word().replace('_', " "),
        |until| format!("waits {}", until_requests(until)),
    ))
}

/// When the platform's window of requests lets it go on: `until 16:49Z, when X allows …`; by then it has.
pub fn until_requests(until: UtcMs) -> String {
    const MINUTE_MS: i64 = 60_000;
    let over = UtcMs(until.0.saturating_add(MINUTE_MS - 1) / MINUTE_MS * MINUTE_MS);
    let minute: String = over.to_string().chars().skip(11).take(5).collect();
    format!("until {minute}Z, when the platform allows more requests")
}

/// What is known of the rules of its stream, if it has some.
fn rules_words(link: &Link) -> Option<&'static str> {
    match (&link.rules, &link.rules_unknown) {
        (_, Some(_)) => Some("rules not known"),
        (Some(told), None) if told.is_as_configured() => Some("rules as configured"),
        (Some(_), None) => Some("rules differ from the configuration"),
        (None, None) => None,
    }
}

/// Everything.
pub fn of(picture: &Snapshot) -> String {
    [
        servers(picture),
        facts(picture),
        stages(picture),
        coverage(picture),
        alarms(picture),
    ]
    .concat()
}

fn alarms(picture: &Snapshot) -> String {
    let told = picture.alarms.iter().map(|alarm| {
        let Alarm {
            what, since, todo, ..
        } = alarm;
        // without a service nobody has noticed when it began
        let since = if *since == picture.now {
            String::new()
        } else {
            format!("since {since}; ")
        };
        format!("\nALARM     {what}\n          {since}what to do: {todo}\n")
    });
    let told: String = told.collect();
    let nobody = "no service (`twinstream run`) watches for alarms here: nobody is told of them";
    match (told.is_empty(), picture.watched) {
        (true, true) => "\nno alarms\n".to_owned(),
        (true, false) => format!("\nno alarms now; {nobody}\n"),
        (false, true) => told,
        (false, false) => format!("{told}\n{nobody}\n"),
    }
}

fn servers(picture: &Snapshot) -> String {
    let head = [
        "server",
        "connection",
        "last line",
        "lag",
        "lines/s",
        "lines/60 min",
        "here until",
        "sealed",
        "open",
        "spool",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let dash = || "-".to_owned();
    let minute = |at: UtcMs| at.to_string().chars().skip(11).take(5).collect();
    // a machine that is no server knows those of which something lies here
    let is_known =
        |server: &&ServerState| picture.this.is_some() || !server.is_unknown() || 0 < server.sealed;
    for server in picture.servers.iter().filter(is_known) {
        let here = if server.this { " (here)" } else { "" };
        let known = |words: String| if server.is_unknown() { dash() } else { words };
        let last_line = server.last_line;
        rows.push(vec![
            format!("{}{here}", server.server),
            link(server, picture.now),
            known(last_line.map_or_else(|| "none".to_owned(), |at| at.to_string())),
            server.lag_s.map_or_else(dash, |s| duration(s * 1_000)),
            known(format!("{:.1}", server.posts_per_second)),
            known(server.lines_last_hour.to_string()),
            server.delivered_until.map_or_else(dash, minute),
            server.sealed.to_string(),
            server.open.to_string(),
            bytes(server.spool_bytes),
        ]);
    }
    let who = match picture.this {
        Some(_) => "",
        None => {
            "this machine is not one of the servers: it shows what is here, and what is committed\n"
        }
    };
    let rows = if 1 < rows.len() {
        table(&rows, &[3, 4, 5, 7, 8, 9])
    } else {
        String::new()
    };
    format!("{who}{rows}{}", partitions(picture))
}

/// Which servers have which partitions, and the state of the legs that are not connected.
fn partitions(picture: &Snapshot) -> String {
    let Some(held) = &picture.held else {
        return String::new();
    };
    let words = held.words().into_iter().chain(legs_down(picture));
    let lines: Vec<String> = words.map(|words| format!("{words}\n")).collect();
    format!("\n{}", lines.concat())
}

/// The legs that are not connected, in a few words each; those of a server that are alike together.
pub fn legs_down(picture: &Snapshot) -> Vec<String> {
    let mut found: Vec<(&ServerId, Link, Vec<Partition>)> = Vec::new();
    let legs = picture.servers.iter().flat_map(|server| {
        let legs = server.legs.iter();
        legs.map(move |leg| (&server.server, leg))
    });
    for (server, leg) in legs.filter(|(_, leg)| leg.link.state != LinkState::Connected) {
        let Some(partition) = leg.leg.partition else {
            continue;
        };
        let is_alike = |of: &Link| (of.state, of.waits) == (leg.link.state, leg.link.waits);
        match found
            .iter_mut()
            .find(|(of, link, _)| *of == server && is_alike(link))
        {
            Some((_, link, partitions)) => {
                partitions.push(partition);
                // how long it has lasted, and lasts, at most
                let waits_until = link.waits_until.max(leg.link.waits_until);
                if leg.link.since < link.since {
                    *link = leg.link.clone();
                }
                link.waits_until = waits_until;
            }
            None => found.push((server, leg.link.clone(), vec![partition])),
        }
    }
    let told = found.iter().map(|(server, link, partitions)| {
        let words = link_words(link, picture.now);
        format!("server {server}, {}: {words}", Partition::words(partitions))
    });
    told.collect()
}

fn facts(picture: &Snapshot) -> String {
    let vault = &picture.vault;
    let last = vault
        .last_hour
        .map_or_else(|| "none".to_owned(), |hour| hour.to_string());
    let mut lines = vec![String::new()];
    if let Some(why) = picture.vault_unknown() {
        lines.push(format!("vault     not known: {why}"));
    } else if picture.merges() || 0 < vault.hours {
        lines.push(format!(
            "vault     {} committed in {}, the latest is {last}",
            plural(vault.hours, "hour", "hours"),
            plural(vault.revisions, "revision", "revisions")
        ));
    }
    if let Some(public) = &picture.published {
        lines.push(format!(
            "public    {}, {} not yet; {} of {} ids in 30 days",
            plural(public.hours, "hour", "hours"),
            public.behind,
            public.ids_30_days,
            public.ids_max
        ));
    }
    if let Some(why) = picture.publishing_forbidden {
        lines.push(format!("public    nothing: {why}"));
    }
    lines.push(format!(
        "disk      {} free{}",
        bytes(picture.free_bytes),
        lasts(picture)
    ));
    if 0 < picture.mails_waiting {
        let waits = plural(picture.mails_waiting, "waits", "wait");
        lines.push(format!("mail      {waits} to be sent"));
    }
    lines.join("\n") + "\n"
}

/// Days for a person: `1 day`, `12 days`.
pub fn of_days(days: f64) -> String {
    let number = format!("{days:.0}");
    let word = if number == "1" { "day" } else { "days" };
    format!("{number} {word}")
}

/// How long the disk lasts.
pub fn lasts(picture: &Snapshot) -> String {
    match &picture.runway {
        None => String::new(),
        Some(runway) => match runway.days {
            Some(days) => format!(", full in {}", of_days(days)),
            None => ", and it is not shrinking".to_owned(),
        },
    }
}

fn stages(picture: &Snapshot) -> String {
    if picture.stages.is_empty() {
        return String::new();
    }
    let rows = picture
        .stages
        .iter()
        .map(|(stage, run)| vec![stage.name().to_owned(), run.started.to_string(), how(run)]);
    let head = ["stage", "last started", "how it ended"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    format!("\n{}", table(&rows, &[]))
}

/// How a run of a stage ended.
pub fn how(run: &StageRun) -> String {
    let said = |otherwise: &'static str| run.said.clone().unwrap_or_else(|| otherwise.to_owned());
    match (run.ended, run.exit, run.failures) {
        (None, ..) => "running".to_owned(),
        (_, Some(4), _) => "nothing to do".to_owned(),
        (_, Some(7), _) => "another run was in progress".to_owned(),
        (_, Some(5), _) => format!("set aside: {}", said("see the log")),
        (_, None, 0) => said("ended"),
        (.., 0) => "done".to_owned(),
        (.., failures) => {
            let times = plural(failures.into(), "time", "times");
            format!("failed {times}: {}", said("without a word"))
        }
    }
}

fn coverage(picture: &Snapshot) -> String {
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    for day in &picture.days {
        let (shown, told) = worth_showing(&day.strips);
        let merged: Vec<&Strip> = shown.into_iter().filter(|of| 0 < of.committed_s).collect();
        let told = told.filter(|_| !merged.is_empty());
        for strip in merged {
            let who = if strip.name == UNION {
                "together".to_owned()
            } else {
                format!("server {}", strip.name)
            };
            rows.push(vec![
                day.day.to_string(),
                who,
                percent(strip.covered_s, strip.committed_s),
                strip.missing(),
            ]);
        }
        others.extend(told.map(|words| format!("{}: {words}\n", day.day)));
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = ["day", "who", "covered", "missing"]
        .map(str::to_owned)
        .to_vec();
    rows.insert(0, head);
    format!("\n{}{}", table(&rows, &[2, 3]), others.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_stage_ended_is_told_by_its_exit_and_its_failures() {
        let told = |ended: bool, exit: Option<i32>, failures: u32, said: &str| {
            let run = StageRun {
                ended: ended.then_some(UtcMs(1)),
                exit,
                failures,
                said: Some(said.to_owned()).filter(|said| !said.is_empty()),
                ..StageRun::begun(UtcMs(0))
            };
            how(&run)
        };
        assert_eq!(told(false, None, 3, "x"), "running");
        assert_eq!(told(true, Some(0), 0, ""), "done");
        assert_eq!(told(true, Some(4), 0, ""), "nothing to do");
        assert_eq!(told(true, Some(7), 2, "x"), "another run was in progress");
        assert_eq!(told(true, Some(5), 0, "one file"), "set aside: one file");
        assert_eq!(told(true, Some(5), 0, ""), "set aside: see the log");
        assert_eq!(told(true, None, 0, "the service ends"), "the service ends");
        assert_eq!(told(true, None, 0, ""), "ended");
        assert_eq!(told(true, None, 1, "signal 9"), "failed 1 time: signal 9");
        assert_eq!(told(true, Some(1), 4, ""), "failed 4 times: without a word");
    }
}
