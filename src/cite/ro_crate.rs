//! `ro-crate-metadata.json`: RO-Crate 1.2. The files of the root are entities of their own, those of days by
//! the folders of their years.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    description::{Description, json_text, put_name_parts},
    words,
};
use crate::{
    config::dataset::{Creator, Orcid},
    doi::Doi,
    vault::public::{Public, RootFile},
};

/// The file.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let files = files();
    let years: BTreeSet<String> = of
        .hours
        .iter()
        .map(|hour| hour.day().to_string().chars().take(4).collect())
        .collect();
    let parts = files.iter().map(|(name, ..)| name.clone());
    let parts = parts.chain(years.iter().map(|year| format!("{year}/")));
    let mut graph = vec![
        json!({"@id": "ro-crate-metadata.json", "@type": "CreativeWork",
            "name": "RO-Crate metadata", "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"}}),
        root(of, parts),
    ];
    graph.extend(files.iter().map(|(name, format, what)| {
        json!({"@id": name, "@type": "File", "name": name, "description": what, "encodingFormat": format})
    }));
    graph.extend(years.iter().map(|year| {
        json!({"@id": format!("{year}/"), "@type": "Dataset", "name": format!("Hours of {year}"),
            "description": format!("By month and day: the {} of each hour, its manifest, and the files of the day: \
                                    report, gaps, exposure, certificate (text, picture, JSON), README.", of.told().names)})
    }));
    let creators = (1..).zip(&dataset.creators);
    graph.extend(creators.flat_map(|(n, of)| creator(n, of)));
    graph.push(json!({"@id": "#publisher", "@type": "Organization", "name": of.publisher()}));
    let licence = dataset.licence;
    graph.push(
        json!({"@id": licence.url(), "@type": "CreativeWork", "name": licence.name,
            "description": format!("SPDX identifier: {}", licence.id)}),
    );
    let funders = (1_usize..).zip(&dataset.funding);
    graph.extend(
        funders.map(|(n, name)| json!({"@id": funder(n), "@type": "Organization", "name": name})),
    );
    let related = dataset.related.iter();
    graph.extend(
        related.map(|doi| json!({"@id": doi.url(), "@type": "CreativeWork", "name": doi.as_str()})),
    );
    json_text(&json!({"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": graph}))
}

/// The data set itself.
fn root(of: &Description<'_>, parts: impl Iterator<Item = String>) -> Value {
    let dataset = of.dataset;
    let (begin, end) = words::instants(of);
    let named = |ids: Vec<String>| {
        ids.iter()
            .map(|id| json!({ "@id": id }))
            .collect::<Vec<_>>()
    };
    let creators = (1..).zip(&dataset.creators);
    let creators = creators.map(|(n, of)| id(n, of)).collect();
    let mut root = json!({
        "@id": "./",
        "@type": "Dataset",
        "name": dataset.title,
        "description": words::description(of),
        "datePublished": of.date(),
        "version": of.state.version(),
        "license": {"@id": dataset.licence.url()},
        "author": one_or_many(named(creators)),
        "publisher": {"@id": "#publisher"},
        "temporalCoverage": format!("{begin}/{end}"),
        "creditText": of.citation(),
        "hasPart": named(parts.collect()),
    });
    if let Some(doi) = of.doi {
        root["identifier"] = json!(doi.url());
    }
    if !dataset.keywords.is_empty() {
        root["keywords"] = json!(dataset.keywords);
    }
    if !dataset.funding.is_empty() {
        let funders = (1..=dataset.funding.len()).map(funder).collect();
        root["funder"] = one_or_many(named(funders));
    }
    if !dataset.related.is_empty() {
        let related = dataset.related.iter().map(Doi::url).collect();
        root["citation"] = one_or_many(named(related));
    }
    root
}

/// What a funder is known by.
fn funder(number: usize) -> String {
    format!("#funder-{number}")
}

/// A list of one stands there without brackets.
fn one_or_many(mut list: Vec<Value>) -> Value {
    if list.len() == 1 {
        return list.remove(0);
    }
    Value::Array(list)
}

/// What a creator is known by.
fn id(number: usize, of: &Creator) -> String {
    of.orcid
        .as_ref()
        .map_or_else(|| format!("#creator-{number}"), Orcid::url)
}

/// A creator, and where they work.
fn creator(number: usize, of: &Creator) -> Vec<Value> {
    let kind = if of.is_person() {
        "Person"
    } else {
        "Organization"
    };
    let mut all = json!({"@id": id(number, of), "@type": kind, "name": of.name});
    put_name_parts(&mut all, of);
    let Some(affiliation) = &of.affiliation else {
        return vec![all];
    };
    let of_affiliation = format!("#affiliation-{number}");
    let key = if of.is_person() {
        "affiliation"
    } else {
        "parentOrganization"
    };
    all[key] = json!({"@id": of_affiliation});
    vec![
        all,
        json!({"@id": of_affiliation, "@type": "Organization", "name": affiliation}),
    ]
}

/// The files of the root beside this one: name, format, what it is.
fn files() -> Vec<(String, &'static str, &'static str)> {
    let others = RootFile::ALL
        .into_iter()
        .filter(|file| *file != RootFile::RoCrate);
    let others = others.map(|file| {
        let (format, what) = match file {
            RootFile::Page => (
                "text/markdown",
                "What this is, who made it, how to cite it, what is missing",
            ),
            RootFile::Croissant => (
                "application/ld+json",
                "Croissant: how to load it, for machine learning",
            ),
            RootFile::DataPackage => (
                "application/json",
                "Frictionless Data Package: the tables and their columns",
            ),
            RootFile::Citation => ("application/yaml", "How to cite it"),
            RootFile::DataCite | RootFile::RoCrate => {
                ("application/json", "What a DOI is registered with")
            }
        };
        (Public::Root(file).name(), format, what)
    });
    let ledger = (
        Public::Ledger.name(),
        "application/jsonl",
        "Every revision of every hour, each line with the hash of the line before",
    );
    others.chain([ledger]).collect()
}
