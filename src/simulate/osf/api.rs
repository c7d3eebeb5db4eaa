//! The JSON:API of the simulated OSF: the project, its storage, and the listings of folders.
//!
//! Pages have 10 entries unless more are asked for, 100 at most; a filter by name finds every name
//! that has the text in it, whatever its case, unless `[eq]` says otherwise.

use serde_json::{Value, json};

use super::{
    fault::Purpose,
    site::{Answer, Ask, Role, Site},
    tree::{Node, Tree},
};

const PAGE_SIZE: usize = 10;
const PAGE_SIZE_MAX: usize = 100;
const PROVIDER: &str = "osfstorage";

/// An error as the API words it.
pub(super) fn error(detail: &str) -> Value {
    json!({"errors": [{"detail": detail}]})
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// What a request is for, and the name that it is about.
pub(super) fn purpose(ask: &Ask) -> (Purpose, String) {
    match parts(&ask.path).as_slice() {
        ["v2", "nodes", _, "files", PROVIDER, ..] => {
            let name = ask.query("filter[name][eq]").or(ask.query("filter[name]"));
            (Purpose::List, name.unwrap_or("").to_owned())
        }
        ["v2", "nodes", _, "identifiers"] if ask.method == "POST" => (Purpose::Mint, String::new()),
        ["v2", "guids" | "nodes", ..] => (Purpose::Find, String::new()),
        ["download", ..] => (Purpose::Download, String::new()),
        _ => (Purpose::Other, String::new()),
    }
}

/// The answer to a request that is let in.
pub(super) fn answer(ask: &Ask, site: &Site, tree: &mut Tree) -> Answer {
    let is_mint = purpose(ask).0 == Purpose::Mint;
    let not_found = || Answer::json(404, &error("Not found."));
    if ask.method != "GET" && !is_mint {
        let detail = format!("Method \"{}\" not allowed.", ask.method);
        return Answer::json(405, &error(&detail));
    }
    let parts = parts(&ask.path);
    if !ask.path.ends_with('/') || !parts.contains(&site.project.as_str()) {
        return match parts.as_slice() {
            ["download", id] if tree.node(id).is_some() => {
                let (files, project) = (&site.files, &site.project);
                let to = format!("{files}/v1/resources/{project}/providers/{PROVIDER}/{id}");
                Answer::redirect(to)
            }
            _ => not_found(),
        };
    }
    match parts.as_slice() {
        ["v2", "guids", id] if ask.query("resolve") == Some("false") => Answer::json(
            200,
            &json!({"data": {"id": id, "type": "guids", "relationships":
                {"referent": {"data": {"id": id, "type": "nodes"}}}}}),
        ),
        ["v2", "guids", id] => Answer::redirect(format!("{}/v2/nodes/{id}/", site.api)),
        ["v2", "nodes", _, "identifiers"] if is_mint => mint(ask, site, tree),
        ["v2", "nodes", _, "identifiers"] => {
            let found = tree.doi().map(|doi| identifier(doi, site));
            page(ask, site, found.into_iter().collect())
        }
        ["v2", "nodes", id] => Answer::json(200, &json!({"data": node(id, site)})),
        ["v2", "nodes", id, "storage"] => {
            let usage = tree.usage();
            Answer::json(
                200,
                &json!({"data": {"id": id, "type": "node-storage", "attributes":
                    {"storage_limit_status": "DEFAULT", "storage_usage": usage.to_string()}}}),
            )
        }
        ["v2", "nodes", _, "files"] => {
            let found = [provider("googledrive", site), provider(PROVIDER, site)];
            page(ask, site, found.to_vec())
        }
        ["v2", "nodes", _, "files", PROVIDER] => list(ask, site, tree, None),
        ["v2", "nodes", _, "files", PROVIDER, id] => match tree.node(id) {
            Some(folder) if folder.is_folder => list(ask, site, tree, Some(id)),
            _ => not_found(),
        },
        _ => not_found(),
    }
}

/// Gives the project a DOI. What is not allowed is refused in words that do not say why.
fn mint(ask: &Ask, site: &Site, tree: &mut Tree) -> Answer {
    if site.is_private || site.role < Role::Admin {
        let detail = "You do not have permission to perform this action.";
        return Answer::json(403, &error(detail));
    }
    let asked: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let text = |at: &str| asked.pointer(at).and_then(Value::as_str);
    match (text("/data/type"), text("/data/attributes/category")) {
        (Some("identifiers"), Some("doi")) => (),
        (Some("identifiers"), _) => {
            let detail = "You can only mint a DOI, not a different type of identifier.";
            return Answer::json(400, &error(detail));
        }
        _ => {
            let detail = "This resource has a type of \"identifiers\", but you set the json body's type field to another.";
            return Answer::json(409, &error(detail));
        }
    }
    if tree.doi().is_some() {
        let detail = "A DOI already exists for this resource.";
        return Answer::json(400, &error(detail));
    }
    let doi = format!("10.17605/OSF.IO/{}", site.project.to_uppercase());
    if let Err(why) = tree.mint(doi.clone()) {
        return Answer::json(500, &error(&why.to_string()));
    }
    Answer::json(201, &json!({ "data": identifier(&doi, site) }))
}

fn identifier(doi: &str, site: &Site) -> Value {
    let id = "5f0000000000000000000001";
    json!({"id": id, "type": "identifiers", "attributes": {"category": "doi", "value": doi},
        "links": {"self": format!("{}/v2/identifiers/{id}/", site.api)},
        "relationships": {"referent": {"data": {"id": site.project, "type": "nodes"}}}})
}

/// A list that has nothing.
pub(super) fn nothing() -> Answer {
    Answer::json(200, &json!({"data": [], "links": {"next": null}}))
}

fn node(id: &str, site: &Site) -> Value {
    let api = &site.api;
    let permissions = match site.role {
        Role::Admin => &["admin", "write", "read"][..],
        Role::Write => &["write", "read"],
        Role::Read => &["read"],
    };
    json!({"id": id, "type": "nodes",
        "attributes": {"title": "A simulated project", "public": !site.is_private,
            "current_user_permissions": permissions},
        "links": {"self": format!("{api}/v2/nodes/{id}/")},
        "relationships": {"files": {"links": {"related":
            {"href": format!("{api}/v2/nodes/{id}/files/"), "meta": {}}}}}})
}

fn provider(name: &str, site: &Site) -> Value {
    let (api, files, id) = (&site.api, &site.files, &site.project);
    let upload = format!("{files}/v1/resources/{id}/providers/{name}/");
    json!({"id": format!("{id}:{name}"), "type": "files",
        "attributes": {"kind": "folder", "name": name, "path": "/", "node": id, "provider": name},
        "links": {"upload": upload, "new_folder": format!("{upload}?kind=folder")},
        "relationships": {"files": {"links": {"related":
            {"href": format!("{api}/v2/nodes/{id}/files/{name}/"), "meta": {}}}}}})
}

fn list(ask: &Ask, site: &Site, tree: &Tree, folder: Option<&str>) -> Answer {
    let mut found = tree.children(folder);
    for (key, value) in &ask.query {
        let Some(filter) = key.strip_prefix("filter[") else {
            continue;
        };
        let value = value.as_str();
        match filter {
            "name][eq]" => found.retain(|node| node.name == value),
            "name]" | "name][icontains]" => {
                found.retain(|node| node.name.to_lowercase().contains(&value.to_lowercase()));
            }
            "name][contains]" => found.retain(|node| node.name.contains(value)),
            "kind]" | "kind][eq]" => found.retain(|node| kind(node) == value),
            _ => return Answer::json(400, &error("This is not a field that can be filtered.")),
        }
    }
    let entries = found.iter().map(|node| entry(node, site, tree));
    page(ask, site, entries.collect())
}

fn kind(node: &Node) -> &'static str {
    if node.is_folder { "folder" } else { "file" }
}

fn entry(node: &Node, site: &Site, tree: &Tree) -> Value {
    let (api, files, project) = (&site.api, &site.files, &site.project);
    let slash = if node.is_folder { "/" } else { "" };
    let id = &node.id;
    let butler = format!("{files}/v1/resources/{project}/providers/{PROVIDER}/{id}{slash}");
    let mut links = json!({"info": format!("{api}/v2/files/{id}/"), "self": format!("{api}/v2/files/{id}/"),
        "move": butler, "upload": butler, "delete": butler});
    let mut relationships = json!({});
    if node.is_folder {
        links["new_folder"] = format!("{butler}?kind=folder").into();
        let related = format!("{api}/v2/nodes/{project}/files/{PROVIDER}/{id}/");
        relationships["files"] = json!({"links": {"related": {"href": related, "meta": {}}}});
    } else {
        links["download"] = format!("{api}/download/{id}/").into();
    }
    let current = node.current();
    let hashes = current.map(|v| json!({"md5": v.md5, "sha256": v.sha256}));
    let modified = current.map_or(node.created, |version| version.modified);
    json!({"id": id, "type": "files", "links": links, "relationships": relationships,
        "attributes": {"guid": null, "checkout": null, "name": node.name, "kind": kind(node),
            "path": format!("/{id}{slash}"), "size": current.map(|v| v.size), "provider": PROVIDER,
            "materialized_path": tree.materialized(node), "last_touched": null,
            "date_modified": modified, "date_created": node.created,
            "extra": {"hashes": hashes, "downloads": 0}, "tags": [],
            "current_version": node.versions.len().max(1), "delete_allowed": true}})
}

/// One page of a list, in the form of the API's version that was asked for.
fn page(ask: &Ask, site: &Site, all: Vec<Value>) -> Answer {
    let number = |name: &str| ask.query(name).and_then(|text| text.parse::<usize>().ok());
    let per_page = number("page[size]")
        .unwrap_or(PAGE_SIZE)
        .clamp(1, PAGE_SIZE_MAX);
    let page = number("page").unwrap_or(1).max(1);
    let pages = all.len().div_ceil(per_page).max(1);
    if pages < page {
        return Answer::json(404, &error("Invalid page."));
    }
    let link = |to: usize| {
        let mut members: Vec<(String, String)> = ask.query.clone();
        members.retain(|(key, _)| key != "page");
        if 1 < to {
            members.push(("page".to_owned(), to.to_string()));
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(members)
            .finish();
        format!("{}{}?{query}", site.api, ask.path)
    };
    let total = all.len();
    let data: Vec<Value> = all
        .into_iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    let mut links = json!({"first": (1 < page).then(|| link(1)), "prev": (1 < page).then(|| link(page - 1)),
        "next": (page < pages).then(|| link(page + 1)), "last": (page < pages).then(|| link(pages))});
    let meta = json!({"total": total, "per_page": per_page});
    let is_later = ask.query("version").is_some_and(|version| version != "2.0")
        || (ask.accept.contains("version=2.") && !ask.accept.contains("version=2.0"));
    if is_later {
        links["self"] = link(page).into();
        return Answer::json(200, &json!({"data": data, "meta": meta, "links": links}));
    }
    links["meta"] = meta;
    Answer::json(200, &json!({"data": data, "links": links}))
}
