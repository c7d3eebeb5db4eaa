//! The certificate's section on collections: which were requested in which seconds, where a platform sends only those
//! that are named.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    gaps::second,
    rules::{STRETCHES_MAX, further},
    statement::Statement,
};
use crate::{
    cover::{
        collections::{ByLists, Places, Stretch},
        throughout,
    },
    segment::{collections::Collections, name::Leg},
    text::{plural, table, thousands, wrapped},
};

/// Its head.
pub(super) const HEAD: &str = "Requested collections";

/// Columns of a line.
const WIDTH: usize = 100;

/// Collections that the beginning of the certificate names.
const NAMES_MAX: usize = 3;

/// What was requested on a day.
struct OfDay<'a> {
    lists: Vec<&'a Collections>,
    by_lists: ByLists,
    servers: BTreeMap<&'a Leg, Vec<Stretch>>,
    union: Vec<Stretch>,
}

impl<'a> OfDay<'a> {
    /// `None` if the stream has all that there is.
    fn of(statement: &'a Statement) -> Option<Self> {
        let hours = statement.hours.iter();
        let hours: Vec<_> = hours.filter_map(|said| said.collections.as_ref()).collect();
        if hours.is_empty() {
            return None;
        }
        let by_lists = ByLists::of(hours.iter().copied());
        let lists: BTreeSet<&Collections> = hours.iter().flat_map(|hour| &hour.lists).collect();
        let lists: Vec<&Collections> = lists.into_iter().collect();
        let of_day = |of_hour: &'a [Collections], stretch: &Stretch| {
            let named = stretch
                .holds
                .lists
                .iter()
                .filter_map(|place| of_hour.get(*place));
            let places = named.filter_map(|list| lists.binary_search(&list).ok());
            Stretch {
                begin: stretch.begin,
                end: stretch.end,
                holds: Places {
                    lists: places.collect(),
                },
            }
        };
        let mut servers: BTreeMap<&Leg, Vec<Stretch>> = BTreeMap::new();
        let mut union = Vec::new();
        for hour in hours {
            let all = |stretch| of_day(&hour.lists, stretch);
            union.extend(hour.union.iter().map(all));
            for (leg, stretches) in &hour.servers {
                let of_server = servers.entry(leg).or_default();
                of_server.extend(stretches.iter().map(all));
            }
        }
        // those that go on over the hour are one
        let joined = |all: Vec<Stretch>| throughout::joined(all.into_iter());
        Some(Self {
            servers: servers
                .into_iter()
                .map(|(leg, all)| (leg, joined(all)))
                .collect(),
            union: joined(union),
            lists,
            by_lists,
        })
    }

    /// The list that was requested in all seconds, if it is one.
    fn one(&self) -> Option<&'a Collections> {
        let is_one = |stretch: &Stretch| stretch.holds.lists == [0];
        match self.lists[..] {
            [list] if self.union.iter().all(is_one) => Some(list),
            _ => None,
        }
    }
}

/// What the beginning of the certificate says of it, if not everything was requested all the time.
pub(super) fn sentence(statement: &Statement) -> Option<String> {
    let requested = OfDay::of(statement)?;
    let all = requested.by_lists.seconds();
    if requested.one().is_some() || all == 0 {
        return None;
    }
    let complete = requested.by_lists.complete();
    let lacking: Vec<_> = complete
        .iter()
        .filter(|(_, seconds)| **seconds < all)
        .collect();
    if lacking.is_empty() {
        return Some(format!(
            "The servers did not request the same collections all the time (see {HEAD})."
        ));
    }
    let told = lacking.iter().take(NAMES_MAX);
    let told: Vec<String> = told
        .map(|(name, seconds)| format!("{name} in {}", thousands(**seconds)))
        .collect();
    let others = match lacking.len().saturating_sub(NAMES_MAX) as u64 {
        0 => String::new(),
        others => format!(", and so on for {}", plural(others, "other", "others")),
    };
    Some(format!(
        "Not every collection was requested in all of the {} (see {HEAD}): {}{others}.",
        plural(all, "covered second", "covered seconds"),
        told.join(", ")
    ))
}

/// The section, if the stream has only what is requested.
pub(super) fn section(statement: &Statement) -> Option<String> {
    let requested = OfDay::of(statement)?;
    if let Some(list) = requested.one() {
        let text = format!(
            "In every covered second, each server that has it had requested: {}.",
            list.words()
        );
        return Some(wrapped(&text, "", WIDTH));
    }
    let parts = [
        head(&requested),
        complete(&requested),
        rows(&requested),
        named(&requested),
    ];
    Some(parts.join("\n"))
}

fn head(requested: &OfDay<'_>) -> String {
    let text = format!(
        "The servers did not request the same collections all the time. A second counts as covered if a server has it, \
         whatever that server had requested; it is complete only for the collections that such a server had requested. \
         The first table says in how many of the {} each of them was. What only one server has is no loss of the \
         other where their lists differ: so the estimate is made without the seconds in which they do, without the 10 \
         seconds before these, and without the second after them.",
        plural(
            requested.by_lists.seconds(),
            "covered second",
            "covered seconds"
        )
    );
    wrapped(&text, "", WIDTH)
}

fn complete(requested: &OfDay<'_>) -> String {
    let mut rows = vec![vec!["collection".to_owned(), "seconds".to_owned()]];
    let complete = requested.by_lists.complete().into_iter();
    rows.extend(complete.map(|(name, seconds)| vec![name.to_owned(), thousands(seconds)]));
    table(&rows, &[1])
}

fn rows(requested: &OfDay<'_>) -> String {
    let head = ["server", "from (UTC)", "until", "seconds", "list"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let servers = requested.servers.iter();
    let all = servers.flat_map(|(leg, all)| all.iter().map(move |stretch| (leg, stretch)));
    let all: Vec<_> = all.collect();
    for (leg, stretch) in all.iter().take(STRETCHES_MAX) {
        let lists = stretch
            .holds
            .lists
            .iter()
            .map(|place| (place + 1).to_string());
        let lists: Vec<String> = lists.collect();
        rows.push(vec![
            leg.to_string(),
            second(stretch.begin),
            second(stretch.end),
            thousands(stretch.seconds()),
            if lists.is_empty() {
                "none is known".to_owned()
            } else {
                lists.join(", ")
            },
        ]);
    }
    table(&rows, &[3]) + &further(all.len())
}

fn named(requested: &OfDay<'_>) -> String {
    let lists = requested.lists.iter().enumerate();
    let lists = lists.map(|(place, list)| {
        let line = format!("List {}: {}", place + 1, list.words());
        wrapped(&line, "", WIDTH)
    });
    lists.collect()
}
