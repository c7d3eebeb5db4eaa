//! `datapackage.json`: a Frictionless Data Package 2.0. Each kind of table is one resource of many files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    description::{Description, json_text, put_name_parts},
    words,
};
use crate::{
    config::dataset::Creator,
    period::Day,
    segment::name::ServerId,
    vault::public::{DayFile, Public},
};

/// The file.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let licence = dataset.licence;
    let mut all = json!({
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": format!("post-{}", of.told().names),
        "title": dataset.title,
        "description": words::description(of),
        "version": of.state.version(),
        "licenses": [{"name": licence.id, "path": licence.url(), "title": licence.name}],
        "contributors": dataset.creators.iter().map(contributor).collect::<Vec<_>>(),
        "resources": resources(of),
    });
    if let Some(doi) = of.doi {
        all["id"] = json!(doi.url());
    }
    if !dataset.keywords.is_empty() {
        all["keywords"] = json!(dataset.keywords);
    }
    json_text(&all)
}

fn contributor(of: &Creator) -> Value {
    let mut all = json!({"title": of.name, "roles": ["creator"]});
    put_name_parts(&mut all, of);
    if let Some(orcid) = &of.orcid {
        all["path"] = json!(orcid.url());
    }
    if let Some(affiliation) = &of.affiliation {
        all["organization"] = json!(affiliation);
    }
    all
}

fn resources(of: &Description<'_>) -> Vec<Value> {
    let field = |name: &str, kind: &str, what: &str| json!({"name": name, "type": kind, "description": what});
    let days = || of.days.keys().copied();
    let ids = id_lists(of);
    let gaps = table(
        "gaps",
        "Every gap of each server and of all together (union), with its cause.",
        &paths(days(), DayFile::Gaps),
        &[
            field(
                "server",
                "string",
                "The server; union: all of them together.",
            ),
            field("begin", "datetime", "The first second of it."),
            field("end", "datetime", "The first second after it."),
            field("seconds", "integer", "How many seconds."),
            field("cause", "string", "Why: one of a closed list."),
            field("detail", "string", "More on that, for a person."),
        ],
    );
    let mut minute = field("minute", "datetime", "The minute (UTC).");
    minute["format"] = json!("%Y-%m-%dT%H:%MZ");
    let exposure = table(
        "exposure",
        "Covered seconds and posts of each minute: the offset for count models.",
        &paths(days(), DayFile::Exposure),
        &[
            field(
                "hour",
                "string",
                "The hour in the archive's time zone, YYYY-mm-dd_hh.",
            ),
            minute,
            field(
                "seconds_covered",
                "integer",
                "Seconds that any server covered.",
            ),
            field("posts", "integer", "Posts."),
        ],
    );
    let mut all = vec![ids, gaps, exposure];
    // a report has a column for each server of its day
    let mut by_servers: BTreeMap<&BTreeSet<ServerId>, Vec<Day>> = BTreeMap::new();
    for (day, sum) in of.days {
        by_servers.entry(&sum.servers).or_default().push(*day);
    }
    all.extend(
        by_servers
            .into_iter()
            .map(|(servers, days)| report(servers, days)),
    );
    all
}

/// The lists of ids.
fn id_lists(of: &Description<'_>) -> Value {
    let ids = of
        .hours
        .iter()
        .map(|hour| Public::Ids(*hour).published_path());
    let cells = of.told().cells.iter();
    let cells = cells.map(|cell| {
        let kind = if cell.is_number { "integer" } else { "string" };
        json!({"name": cell.name, "type": kind, "description": cell.what})
    });
    let mut dialect = json!({"header": false});
    if 1 < cells.len() {
        dialect["delimiter"] = json!("\t");
    }
    json!({
        "name": "ids", "description": format!("The {} of each hour, one a line, ascending. The hour is in the name of the file.", of.told().names),
        "path": ids.collect::<Vec<_>>(),
        "type": "table", "format": "csv", "compression": "xz", "mediatype": "application/x-xz", "encoding": "utf-8",
        "dialect": dialect,
        "schema": {"fields": cells.collect::<Vec<_>>()},
    })
}

/// The files of those days.
fn paths(days: impl IntoIterator<Item = Day>, file: DayFile) -> Vec<String> {
    days.into_iter()
        .map(|day| Public::Day(day, file).published_path())
        .collect()
}

fn table(name: &str, what: &str, paths: &[String], fields: &[Value]) -> Value {
    json!({"name": name, "description": what, "path": paths, "type": "table", "format": "csv",
        "mediatype": "text/csv", "encoding": "utf-8", "schema": {"fields": fields}})
}

fn report(servers: &BTreeSet<ServerId>, days: Vec<Day>) -> Value {
    let integer =
        |name: String, what: &str| json!({"name": name, "type": "integer", "description": what});
    let mut fields = vec![integer(
        "hour".to_owned(),
        "The hour of the day in the archive's time zone.",
    )];
    let mut name = "report".to_owned();
    if servers.len() <= 1 {
        fields.push(integer("tweets".to_owned(), "Posts."));
    } else {
        for server in servers {
            name.extend(["-", server.as_str()]);
            fields.push(integer(format!("serv {server}"), "Posts of that server."));
        }
        fields.push(integer("total".to_owned(), "Different posts."));
        fields.push(integer(
            "diff".to_owned(),
            "Posts that not all servers have.",
        ));
        fields.push(json!({"name": "diff %", "type": "string", "description": "The same as a percentage of the total."}));
    }
    let what = "Posts of each hour and server of a day.";
    let mut all = table(&name, what, &paths(days, DayFile::Report), &fields);
    all["mediatype"] = json!("text/tab-separated-values");
    all["dialect"] = json!({"delimiter": "\t"});
    all
}
