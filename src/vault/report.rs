//! The day's report, `YYYY-mm-dd_report.txt`: one line an hour, as the predecessor wrote it.
//!
//! A function of the day's manifests: rewritten whole, never appended to.

use std::{collections::BTreeSet, fmt::Write as _};

use super::manifest::Manifest;
use crate::segment::name::ServerId;

/// The report of a day from its manifests, in the order of their hours.
pub fn text(manifests: &[Manifest]) -> String {
    let servers: BTreeSet<&ServerId> = manifests
        .iter()
        .flat_map(|manifest| manifest.counts.servers.keys())
        .collect();
    let mut text = String::new();
    if servers.len() <= 1 {
        text.push_str("hour\ttweets\n");
        for manifest in manifests {
            line(
                &mut text,
                &format!(
                    "{}\t{}",
                    manifest.hour.of_day(),
                    manifest.counts.total.posts
                ),
            );
        }
        return text;
    }
    let columns: Vec<String> = servers
        .iter()
        .map(|server| format!("serv {server}"))
        .collect();
    line(
        &mut text,
        &format!("hour\t{}\ttotal\tdiff\tdiff %", columns.join("\t")),
    );
    for manifest in manifests {
        let total = &manifest.counts.total;
        // a server that is not among this hour's inputs has seen none of its posts
        let all_are_here = manifest.counts.servers.len() == servers.len();
        let seen_by_all = if all_are_here { total.seen_by_all } else { 0 };
        let posts = |server| {
            manifest
                .counts
                .servers
                .get(server)
                .map_or(0, |s| s.posts)
                .to_string()
        };
        let posts: Vec<String> = servers.iter().map(|server| posts(server)).collect();
        let diff = total.posts - seen_by_all;
        let percent = percent(diff, total.posts);
        let hour = manifest.hour.of_day();
        line(
            &mut text,
            &format!(
                "{hour}\t{}\t{}\t{diff}\t{percent}%",
                posts.join("\t"),
                total.posts
            ),
        );
    }
    text
}

fn line(text: &mut String, line: &str) {
    // writing to a String cannot fail
    let _: std::fmt::Result = writeln!(text, "{line}");
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
