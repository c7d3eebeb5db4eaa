//! WaterButler of the simulated OSF: bytes up and down, folders, versions.
//!
//! A path that ends in `/` is a folder's, any other a file's; what is there must be of that kind. A
//! new file of a name that is there is a conflict, whose answer has the file; a conflict of folders
//! has none. The answer to a download is the address of the storage, signed.

use std::io;

use serde_json::{Value, json};

use super::{
    fault::Purpose,
    site::{Answer, Ask, Site},
    tree::{Node, Tree},
};
use crate::simulate::{
    chance::mix,
    truth::{Event, Truth},
};

/// What a link to the storage is signed with.
const SIGNED: u64 = 0x7369_676e;

/// An error as WaterButler words it.
pub(super) fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"code": status, "message": message}))
}

/// The place that a request names.
enum Place<'a> {
    /// A folder, the root if `None`.
    Folder(Option<&'a Node>),
    File(&'a Node),
}

fn path_below<'a>(ask: &'a Ask, site_project: Option<&str>) -> Option<&'a str> {
    let rest = ask.path.strip_prefix("/v1/resources/")?;
    let (project, rest) = rest.split_once("/providers/osfstorage/")?;
    site_project
        .is_none_or(|asked| asked == project)
        .then_some(rest)
}

/// What is there, if it is of the kind that the path says.
fn place<'a>(path: &str, tree: &'a Tree) -> Option<Place<'a>> {
    if path.is_empty() {
        return Some(Place::Folder(None));
    }
    let node = tree.node(path.trim_end_matches('/'))?;
    match (path.ends_with('/'), node.is_folder) {
        (true, true) => Some(Place::Folder(Some(node))),
        (false, false) => Some(Place::File(node)),
        _ => None,
    }
}

/// What a request is for, and the name that it is about.
pub(super) fn purpose(ask: &Ask, tree: &Tree) -> (Purpose, String) {
    let named = || ask.query("name").unwrap_or("").to_owned();
    let found = path_below(ask, None).and_then(|path| place(path, tree));
    match (ask.method.as_str(), found) {
        ("PUT", _) if ask.query("kind") == Some("folder") => (Purpose::Folder, named()),
        ("PUT", Some(Place::File(file))) => (Purpose::Update, file.name.clone()),
        ("PUT", _) => (Purpose::Create, named()),
        ("GET", Some(Place::File(file))) => {
            let asks_only = ask.query("meta").is_some() || ask.query("versions").is_some();
            let purpose = if asks_only {
                Purpose::List
            } else {
                Purpose::Download
            };
            (purpose, file.name.clone())
        }
        ("GET", _) => (Purpose::List, String::new()),
        _ => (Purpose::Other, String::new()),
    }
}

/// The file that a request wants to make and that is there already.
pub(super) fn existing<'a>(ask: &Ask, tree: &'a Tree) -> Option<&'a Node> {
    let Some(Place::Folder(folder)) = place(path_below(ask, None)?, tree) else {
        return None;
    };
    tree.named(
        folder.map(|folder| folder.id.as_str()),
        ask.query("name")?,
        false,
    )
}

/// The answer to a request that is let in.
pub(super) fn answer(ask: &Ask, site: &Site, tree: &mut Tree, truth: &Truth) -> Answer {
    let Some(path) = path_below(ask, Some(&site.project)) else {
        return error(404, "No such resource");
    };
    let missing = || {
        error(
            404,
            &format!("Could not retrieve file or directory /{path}"),
        )
    };
    match (ask.method.as_str(), place(path, tree)) {
        (_, None) => missing(),
        ("GET", Some(Place::Folder(folder))) => {
            let children = tree.children(folder.map(|folder| folder.id.as_str()));
            let inner = |node: &&Node| entity(node, site, tree)["data"].take();
            let data: Vec<Value> = children.iter().map(inner).collect();
            Answer::json(200, &json!({"data": data}))
        }
        ("HEAD", Some(Place::Folder(_))) => error(501, "Not Implemented"),
        ("GET", Some(Place::File(file))) => get(ask, site, tree, file),
        ("HEAD", Some(Place::File(file))) => {
            let metadata = entity(file, site, tree)["attributes"].to_string();
            let mut answer = Answer::json(200, &json!({}));
            answer.headers.push(("x-waterbutler-metadata", metadata));
            answer
        }
        ("PUT", Some(place)) => {
            if let Some(answer) = wrong_query(ask, &place) {
                return answer;
            }
            let (parent, file) = match place {
                Place::Folder(folder) => (folder.map(|folder| folder.id.clone()), None),
                Place::File(file) => (file.parent.clone(), Some(file.id.clone())),
            };
            let done = if ask.query("kind") == Some("folder") {
                make_folder(ask, site, tree, parent.as_deref())
            } else {
                put(ask, site, (tree, truth), parent.as_deref(), file)
            };
            done.unwrap_or_else(|why| error(500, &why.to_string()))
        }
        ("DELETE", Some(Place::Folder(None))) if ask.query("confirm_delete") != Some("1") => error(
            400,
            "confirm_delete=1 is required for deleting root provider folder",
        ),
        ("DELETE", Some(Place::Folder(Some(node)) | Place::File(node))) => {
            let id = node.id.clone();
            match tree.remove(&id) {
                Ok(()) => Answer {
                    body: Vec::new(),
                    ..Answer::json(204, &json!({}))
                },
                Err(why) => error(500, &why.to_string()),
            }
        }
        _ => error(405, "Method Not Allowed"),
    }
}

/// What is wrong with the query of a request that puts something.
fn wrong_query(ask: &Ask, place: &Place<'_>) -> Option<Answer> {
    let kind = ask.query("kind").unwrap_or("file");
    let name = ask.query("name");
    let wrong = match (kind, place, name) {
        ("file" | "folder", Place::Folder(_), None | Some("")) => {
            error(400, "Missing required parameter 'name'")
        }
        ("folder", Place::File(_), _) => error(
            409,
            "Path must be a folder (and end with a \"/\") if trying to create a subfolder",
        ),
        ("file", Place::File(_), Some(_)) => {
            error(400, "'name' parameter doesn't apply to actions on files")
        }
        ("file" | "folder", _, Some(name)) if name.contains('/') || name == "." || name == ".." => {
            error(400, "Invalid path")
        }
        ("folder", ..) if !ask.body.is_empty() => error(413, "Request body must be empty"),
        ("file", ..) if !ask.has_length => {
            error(411, "Content-Length is required for file uploads")
        }
        ("file" | "folder", ..) => return None,
        _ => error(
            400,
            "Kind must be file, folder or unspecified (interpreted as file)",
        ),
    };
    Some(wrong)
}

fn make_folder(
    ask: &Ask,
    site: &Site,
    tree: &mut Tree,
    parent: Option<&str>,
) -> io::Result<Answer> {
    let name = ask.query("name").unwrap_or("");
    if tree.named(parent, name, true).is_some() {
        let message = conflict(name);
        return Ok(Answer::json(409, &json!({"message": message, "data": {}})));
    }
    let made = tree.make(parent, name, true, ask.now)?;
    Ok(Answer::json(201, &entity(&made, site, tree)))
}

fn conflict(name: &str) -> String {
    format!("Cannot complete action: file or folder \"{name}\" already exists in this location")
}

/// A new file, or a new version of one.
fn put(
    ask: &Ask,
    site: &Site,
    (tree, truth): (&mut Tree, &Truth),
    parent: Option<&str>,
    file: Option<String>,
) -> io::Result<Answer> {
    let name = ask.query("name").unwrap_or("");
    if file.is_none()
        && let Some(existing) = tree.named(parent, name, false)
    {
        let data = entity(existing, site, tree);
        let body = json!({"message": conflict(name), "data": data["data"].clone()});
        return Ok(Answer::json(409, &body));
    }
    if site.quota < tree.usage().saturating_add(ask.body.len() as u64) {
        return Ok(error(
            507,
            "The quota on this osfstorage project has been exceeded",
        ));
    }
    let (status, id) = match file {
        Some(id) => (200, id),
        None => (201, tree.make(parent, name, false, ask.now)?.id),
    };
    let is_new = tree.write(&id, &ask.body, ask.now)?;
    let Some(node) = tree.node(&id) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    if let Some(version) = node.current().filter(|_| is_new) {
        let event = Event::OsfStored {
            path: &tree.materialized(node),
            version: node.versions.len(),
            sha256: &version.sha256,
            bytes: version.size,
        };
        truth.tell(ask.now, event);
    }
    Ok(Answer::json(status, &entity(node, site, tree)))
}

/// What is known about a file, its versions, or the way to its bytes.
fn get(ask: &Ask, site: &Site, tree: &Tree, file: &Node) -> Answer {
    if ask.query("meta").is_some() {
        return Answer::json(200, &entity(file, site, tree));
    }
    let numbered = file.versions.iter().enumerate();
    if ask.query("versions").is_some() {
        let one = |(place, v): (usize, &super::tree::Version)| {
            json!({"id": (place + 1).to_string(), "type": "file_versions", "attributes":
                {"version": (place + 1).to_string(), "versionIdentifier": "version",
                    "modified": v.modified, "modified_utc": v.modified,
                    "extra": {"downloads": 0, "hashes": {"md5": v.md5, "sha256": v.sha256}}}})
        };
        // the newest comes first
        let data: Vec<Value> = numbered.map(one).rev().collect();
        return Answer::json(200, &json!({"data": data}));
    }
    let asked = ask
        .query("version")
        .and_then(|text| text.parse::<usize>().ok());
    let number = asked.unwrap_or(file.versions.len());
    match number
        .checked_sub(1)
        .and_then(|place| file.versions.get(place))
    {
        Some(version) => {
            let sha256 = &version.sha256;
            let signature = signature(sha256);
            let to = format!(
                "{}/object/{sha256}?signature={signature:016x}",
                site.storage
            );
            Answer::redirect(to)
        }
        None => error(404, "Could not find this version"),
    }
}

fn signature(sha256: &str) -> u64 {
    sha256
        .bytes()
        .fold(SIGNED, |sum, byte| mix(sum ^ u64::from(byte)))
}

/// The storage behind: bytes for anyone with a signed address.
pub(super) fn stored(ask: &Ask, tree: &Tree) -> Answer {
    let sha256 = ask.path.strip_prefix("/object/").unwrap_or("");
    let is_hex = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wanted = format!("{:016x}", signature(sha256));
    if !is_hex || ask.query("signature") != Some(wanted.as_str()) {
        return Answer::json(403, &json!({"error": "AccessDenied"}));
    }
    match tree.bytes(sha256) {
        Ok(body) => Answer {
            body,
            ..Answer::json(200, &json!({}))
        },
        Err(why) => Answer::json(404, &json!({"error": why.to_string()})),
    }
}

/// A file or folder as WaterButler describes it.
fn entity(node: &Node, site: &Site, tree: &Tree) -> Value {
    let slash = if node.is_folder { "/" } else { "" };
    let (id, project) = (&node.id, &site.project);
    let link = format!(
        "{}/v1/resources/{project}/providers/osfstorage/{id}{slash}",
        site.files
    );
    let kind = if node.is_folder { "folder" } else { "file" };
    let mut links = json!({"move": link, "delete": link, "upload": format!("{link}?kind=file")});
    let mut attributes = json!({"extra": {}, "kind": kind, "name": node.name,
        "path": format!("/{id}{slash}"), "provider": "osfstorage",
        "materialized": tree.materialized(node), "etag": id, "size": null, "sizeInt": null,
        "resource": project});
    match node.current() {
        None => links["new_folder"] = format!("{link}?kind=folder").into(),
        Some(version) => {
            links["download"] = link.into();
            attributes["extra"] = json!({"guid": null, "version": node.versions.len(), "downloads": 0,
                "checkout": null, "latestVersionSeen": null,
                "hashes": {"md5": version.md5, "sha256": version.sha256}});
            attributes["size"] = version.size.into();
            attributes["sizeInt"] = version.size.into();
            attributes["etag"] = version.sha256.clone().into();
            for (name, at) in [
                ("modified", version.modified),
                ("modified_utc", version.modified),
                ("created_utc", node.created),
            ] {
                attributes[name] = at.to_string().into();
            }
        }
    }
    json!({"data": {"id": format!("osfstorage/{id}{slash}"), "type": "files",
        "attributes": attributes, "links": links}})
}
