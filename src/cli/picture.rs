//! An hour as a picture in text: one character a minute for each server, by how many of its
//! seconds are covered.

use crate::{cover::seconds::Covered, vault::manifest::Manifest};

/// From no second of a minute to all of them; also readable without colours.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// One row a server, one for the union, and a scale.
pub(crate) fn of_hour(manifest: &Manifest) -> String {
    let mut text = format!("Seconds covered, minute by minute, {}:\n", manifest.hour);
    for (server, covered) in &manifest.coverage.servers {
        text += &row(&format!("server {server}"), covered);
    }
    text += &row("together", &manifest.coverage.union);
    text + "  (· none, ░ ▒ ▓ some, █ all)\n"
}

fn row(name: &str, covered: &Covered) -> String {
    let seconds: Vec<bool> = covered
        .bitmap
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .flat_map(|digit| (0..4).rev().map(move |bit| digit >> bit & 1 == 1))
        .collect();
    let shade = |minute: &[bool]| {
        let seen = minute.iter().filter(|second| **second).count();
        let level = match seen {
            0 => 0,
            _ if seen == minute.len() => SHADES.len() - 1,
            _ => 1 + seen * 3 / minute.len(),
        };
        SHADES.get(level).copied().unwrap_or(' ')
    };
    let strip: String = seconds.chunks(60).map(shade).collect();
    format!("  {name:<18} {strip}  {} s\n", covered.covered)
}
