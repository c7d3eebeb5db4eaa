//! `DATASET.md`: what a reviewer asks first, answered on one page.

use super::{description::Description, words};
use crate::{
    config::dataset::Creator,
    report::stamped,
    text::{plural, wrapped},
};

/// Columns of a line of text.
const WIDTH: usize = 100;

/// The page.
pub(super) fn text(of: &Description<'_>) -> String {
    let dataset = of.dataset;
    let paragraph = |words: &str| wrapped(words, "", WIDTH);
    let own = dataset
        .description
        .as_deref()
        .map(|own| format!("{}\n", own.trim()));
    let sections = [
        (
            "What this is",
            own.map_or_else(String::new, |own| own + "\n") + &paragraph(&words::what(of)),
        ),
        ("Who made it", makers(of)),
        ("How to cite it", cite(of)),
        ("What is missing, and why", paragraph(&words::missing(of))),
        ("Protection against later changes", since(of)),
        ("How it was collected", paragraph(&words::collection(of))),
        (
            "What it can be used for",
            paragraph(of.told().uses)
                + "\n"
                + &paragraph(of.told().limits)
                + "\n"
                + &paragraph(of.told().choice),
        ),
        ("Persons", paragraph(of.told().persons)),
        ("What you may do with it", terms(of)),
        ("How it continues", paragraph(&words::maintenance(of))),
        ("The files", files(of)),
    ];
    let mut text = format!("# {}\n", dataset.title);
    for (head, body) in sections {
        text.extend([format!("\n## {head}\n\n{body}")]);
    }
    text + &format!("\nVersion {}\n", of.state.version())
}

fn makers(of: &Description<'_>) -> String {
    let maker = |of: &Creator| {
        let affiliation = of.affiliation.as_ref().map(|at| format!(", {at}"));
        let orcid = of
            .orcid
            .as_ref()
            .map(|orcid| format!(" (<{}>)", orcid.url()));
        format!(
            "- {}{}{}\n",
            of.name,
            affiliation.unwrap_or_default(),
            orcid.unwrap_or_default()
        )
    };
    let mut text: String = of.dataset.creators.iter().map(maker).collect();
    if !of.dataset.funding.is_empty() {
        text.extend([format!("\nFunded by {}.\n", of.dataset.funding.join("; "))]);
    }
    text
}

fn cite(of: &Description<'_>) -> String {
    let mut text = format!("> {}\n\n", of.citation());
    if let Some(doi) = of.doi {
        let words = format!(
            "The archive's DOI is <{}>. It leads to the newest state of the archive; the version says which one you \
             used.",
            doi.url()
        );
        text += &(wrapped(&words, "", WIDTH) + "\n");
    } else {
        text += "It has no DOI yet: also say at which address you found it.\n\n";
    }
    text += &wrapped(
        "`CITATION.cff` has the same for reference managers. To cite a day or an hour, also give the SHA-256 of its \
         certificate or manifest. Then others can check later whether they have the same files.",
        "",
        WIDTH,
    );
    if !of.dataset.related.is_empty() {
        text += "\nIt belongs to:\n\n";
        let related = of
            .dataset
            .related
            .iter()
            .map(|doi| format!("- <{}>\n", doi.url()));
        text.extend(related);
    }
    text
}

/// What a stamp says of the ledger, and how it is checked.
fn since(of: &Description<'_>) -> String {
    let paragraph = |words: &str| wrapped(words, "", WIDTH);
    let Some(stamp) = of.stamp else {
        return paragraph(
            "When this was written, no time-stamping authority had stamped the ledger. But you can compare it with a \
             copy from another time or place: each line of `ledger.jsonl` has the hash of the line before and of an \
             hour's manifest, so a longer ledger begins with the lines of a shorter one. `twinstream verify` prints \
             the number of lines and the hash of the last one.",
        );
    };
    let newer = of.state.lines.saturating_sub(stamp.line);
    let newer = match newer {
        0 => String::new(),
        newer => format!(
            " Of the {} that this page describes, the last {newer} came later and wait for the next stamp.",
            plural(of.state.lines, "line", "lines")
        ),
    };
    let words = format!(
        "At the time below, a time-stamping authority (RFC 3161) signed the hash of line {} of `ledger.jsonl`. Each \
         line has the hash of the line before and of an hour's manifest, which has the hashes of the hour's files. So \
         any change to them after that time can be detected, whoever made it.{newer}",
        stamp.line
    );
    let check = format!(
        "openssl ts -verify -in witness/{} -CAfile CA.pem \\\n  -digest \"$(sed -n {}p ledger.jsonl | tr -d '\\n' | sha256sum | cut -d ' ' -f 1)\"",
        stamp.name, stamp.line
    );
    let how = "`CA.pem` is the authority's root certificate: fetch it from the authority's own pages, since the one \
               in `witness/` was put there by the makers of the archive. All stamps are in `witness/`; the name of \
               each has its line and its time. `twinstream verify --tsa-ca CA.pem .` checks all of them, and that the \
               files are those in the ledger. To check one of them without twinstream:";
    format!(
        "{}\n{}\n{}\n```\n{check}\n```\n",
        paragraph(&words),
        stamped::fenced(stamp),
        paragraph(how)
    )
}

fn terms(of: &Description<'_>) -> String {
    let licence = of.dataset.licence;
    let names = of.told().names;
    let words = format!(
        "The lists of {names} and the files beside them are under [{}]({}). The posts are not part of this data set: \
         they belong to their authors, and their use is governed by {}. The README of each day says what that means \
         if you fetch the posts.",
        licence.name,
        licence.url(),
        of.told().ruled_by
    );
    wrapped(&words, "", WIDTH)
}

fn files(of: &Description<'_>) -> String {
    format!(
        "| file | what it is |\n|---|---|\n\
         | `YYYY/MM/DD/` | the {} of each hour and its manifest; report, gaps, exposure, certificate (text, picture, JSON), README of the day |\n\
         | `ledger.jsonl` | every revision of every hour, each line chained to the one before |\n\
         | `witness/` | stamps of the ledger by a time-stamping authority, if there are any |\n\
         | `croissant.json` | Croissant 1.1: how to load it |\n\
         | `ro-crate-metadata.json` | RO-Crate 1.2 |\n\
         | `datapackage.json` | Frictionless Data Package 2.0: the tables and their columns |\n\
         | `CITATION.cff` | Citation File Format 1.2.0 |\n\
         | `datacite.json` | DataCite 4.5 |\n\n\
         `twinstream verify .` in this folder makes all of these files again from the ledger and the manifests, and says what differs.\n",
        of.told().names
    )
}
