//! The day's report, `YYYY-mm-dd_report.txt`: one line an hour, as the predecessor wrote it.
//!
//! A function of the day's manifests: rewritten whole, never appended to.

use std::collections::BTreeSet;

use super::manifest::{Counts, HourSaid};
use crate::segment::name::{Leg, ServerId};

/// The report of a day, its hours in order.
pub fn text(hours: &[HourSaid]) -> String {
    let legs = hours.iter().flat_map(|hour| hour.counts.servers.keys());
    let servers: BTreeSet<&ServerId> = legs.map(|leg| &leg.server).collect();
    if servers.len() <= 1 {
        let rows = hours
            .iter()
            .map(|hour| format!("{}\t{}\n", hour.hour.of_day(), hour.counts.total.posts));
        return format!("hour\ttweets\n{}", rows.collect::<String>());
    }
    let names: Vec<String> = servers
        .iter()
        .map(|server| format!("serv {server}"))
        .collect();
    let rows = hours.iter().map(|hour| row(hour, &servers));
    format!(
        "hour\t{}\ttotal\tdiff\tdiff %\n{}",
        names.join("\t"),
        rows.collect::<String>()
    )
}

fn row(hour: &HourSaid, servers: &BTreeSet<&ServerId>) -> String {
    let Counts {
        servers: here,
        total,
    } = &hour.counts;
    // a server that is not among this hour's inputs has seen none of its posts
    let all_here: BTreeSet<&ServerId> = here.keys().map(|leg| &leg.server).collect();
    let seen_by_all = if all_here.len() == servers.len() {
        total.seen_by_all
    } else {
        0
    };
    let posts = servers.iter().map(|server| {
        let is_its = |(leg, _): &(&Leg, _)| leg.server == **server;
        let of_legs = here.iter().filter(is_its);
        of_legs
            .map(|(_, counts)| counts.posts)
            .sum::<u64>()
            .to_string()
    });
    let posts: Vec<String> = posts.collect();
    let diff = total.posts.saturating_sub(seen_by_all);
    let percent = percent(diff, total.posts);
    let label = hour.hour.of_day();
    format!(
        "{label}\t{}\t{}\t{diff}\t{percent}%\n",
        posts.join("\t"),
        total.posts
    )
}

/// With two decimals at most and one at least, as the predecessor's rounding printed it.
fn percent(part: u64, of: u64) -> String {
    if of == 0 {
        return "0.0".to_owned();
    }
    let hundredths = (u128::from(part) * 10_000 + u128::from(of) / 2) / u128::from(of);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    match text.strip_suffix('0') {
        Some(shorter) => shorter.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn percents_look_as_they_used_to() {
        for (part, of, text) in [
            (0, 0, "0.0"),
            (0, 7, "0.0"),
            (1, 2, "50.0"),
            (1, 3, "33.33"),
            (1, 8, "12.5"),
            (7, 7, "100.0"),
            (9172, 179_605, "5.11"),
        ] {
            assert_eq!(percent(part, of), text);
        }
    }
}
