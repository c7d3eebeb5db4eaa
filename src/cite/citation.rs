//! `CITATION.cff`: the Citation File Format 1.2.0, which code hosts and reference managers read.
//!
//! It is YAML. A text is written as JSON writes it, which is one of YAML's forms.

use serde_json::json;

use super::{description::Description, words};
use crate::config::dataset::Creator;

/// The file.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let mut lines = vec![
        "cff-version: 1.2.0".to_owned(),
        "message: \"If you use this data set, cite it as below.\"".to_owned(),
        "type: dataset".to_owned(),
        format!("title: {}", json!(dataset.title)),
        format!("version: {}", json!(of.state.version())),
        format!("date-released: {}", json!(of.date())),
        format!("license: {}", dataset.licence.id),
        format!("abstract: {}", json!(words::description(of))),
    ];
    lines.extend(of.doi.map(|doi| format!("doi: {doi}")));
    lines.push("authors:".to_owned());
    lines.extend(dataset.creators.iter().flat_map(author));
    if !dataset.keywords.is_empty() {
        lines.push("keywords:".to_owned());
        let words = dataset.keywords.iter();
        lines.extend(words.map(|word| format!("  - {}", json!(word))));
    }
    lines.join("\n") + "\n"
}

/// A name in one part is an entity's, which in this format may have an ORCID iD too.
fn author(of: &Creator) -> Vec<String> {
    let mut members = match of.family_and_given() {
        Some((family, given)) => vec![
            format!("family-names: {}", json!(family)),
            format!("given-names: {}", json!(given)),
        ],
        None => vec![format!("name: {}", json!(of.name))],
    };
    if let Some(orcid) = &of.orcid {
        members.push(format!("orcid: {}", json!(orcid.url())));
    }
    // an entity has none
    if let (Some(affiliation), Some(_)) = (&of.affiliation, of.family_and_given()) {
        members.push(format!("affiliation: {}", json!(affiliation)));
    }
    let marks = std::iter::once("  - ").chain(std::iter::repeat("    "));
    marks
        .zip(members)
        .map(|(mark, member)| format!("{mark}{member}"))
        .collect()
}
