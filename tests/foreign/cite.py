"""Holds the files by which an archive is cited against other people's validators, and loads it with them.

    cite.py CFFCONVERT FOLDER…      FOLDER: what is published of an archive

Nothing is asked of the network. So two things are not checked: the RO-Crate context is that of version 1.3, as the
package rocrate has it (1.2 is at w3id.org only), and no address in the files is followed.
"""

import json
import logging
import lzma
import pathlib
import subprocess
import sys

import frictionless
import mlcroissant
import rocrate
from datacite import schema45
from rocrate_validator import models, services
from rocrate_validator.utils import http

CONTEXT = "https://w3id.org/ro/crate/1.2/context"
context = (pathlib.Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text()
checks = 0


def check(what, found, expected):
    global checks
    checks += 1
    if found != expected:
        print(f"FAILED {what}: found {found!r:.2000}, expected {expected!r:.200}")
        sys.exit(1)


class Context:
    """The answer to who asks for the context."""

    status_code, ok, text, content, url, history = 200, True, context, context.encode(), CONTEXT, []
    headers = {"Content-Type": "application/ld+json"}

    def json(self):
        return json.loads(context)

    def raise_for_status(self):
        pass


def get(_requester, url, *_args, **_options):
    if url != CONTEXT:
        raise RuntimeError(f"the network is asked for {url}")
    return Context()


http.HttpRequester.get = http.HttpRequester.head = get


def ro_crate(folder):
    settings = models.ValidationSettings(
        rocrate_uri=str(folder),
        profile_identifier="ro-crate-1.2",
        requirement_severity=models.Severity.REQUIRED,
    )
    issues = services.validate(settings).get_issues()
    check("rocrate-validator", [f"{i.check.identifier} {i.message}" for i in issues], [])


def data_package(folder, hours):
    package = frictionless.Package(str(folder / "datapackage.json"))
    report = package.validate()
    check("frictionless", report.flatten(["type", "message"]), [])
    check("frictionless: tables", all(task.type == "table" for task in report.tasks), True)
    rows = package.get_resource("ids").read_rows()
    wanted = sorted(line for lines in hours.values() for line in lines)
    names = cells(folder)
    check("frictionless: ids", sorted(tuple(str(row[name]) for name in names) for row in rows), wanted)


def cells(folder):
    """What a line of the lists of ids has."""
    package = json.loads((folder / "datapackage.json").read_text())
    lists = next(of for of in package["resources"] if of["name"] == "ids")
    return [field["name"] for field in lists["schema"]["fields"]]


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def croissant(folder, hours):
    out = subprocess.run(
        [pathlib.Path(sys.executable).parent / "mlcroissant", "validate", "--jsonld", "croissant.json"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    said = [line for line in out.stderr.splitlines() if "Done." not in line]
    check("mlcroissant validate", (out.returncode, said), (0, []))
    archive = mlcroissant.Dataset(str(folder / "croissant.json"))
    found = {}
    names = cells(folder)
    for record in archive.records("ids") if any(hours.values()) else []:
        line = tuple(text(record[f"ids/{name}"]) for name in names)
        found.setdefault(record["ids/hour"].decode(), []).append(line)
    # an hour without posts has no record
    check("mlcroissant: ids", found, {hour: ids for hour, ids in hours.items() if ids})
    missing = sum(
        record["gaps/seconds"] for record in archive.records("gaps") if record["gaps/server"] == b"union"
    )
    exposure = list(archive.records("exposure"))
    covered = sum(record["exposure/seconds_covered"] for record in exposure)
    posts = sum(record["exposure/posts"] for record in exposure)
    said = json.loads((folder / "croissant.json").read_text())["rai:dataCollectionMissingData"]
    listed = sum(map(len, hours.values()))
    # posts that claim to be of before the archive's beginning are listed, and no minute of the table has them
    early = "before the archive began" in said
    check("posts of all minutes", posts == listed or early and posts < listed, True)
    check("what is said to be covered", f"covers {covered:,} of {covered + missing:,} seconds" in said, True)
    if missing:
        check("what is said to be missing", f" {missing:,} second" in said, True)


def main(cffconvert, folders):
    logging.disable(logging.WARNING)
    for folder in folders:
        lists = sorted(folder.glob("*/*/*/*_IDs.txt.xz"))
        assert lists, f"no ids below {folder}"
        hours = {
            path.name.removesuffix("_IDs.txt.xz"): [tuple(line.split("\t")) for line in lzma.open(path, "rt").read().splitlines()]
            for path in lists
        }
        croissant(folder, hours)
        data_package(folder, hours)
        ro_crate(folder)
        schema45.validator.validate(json.loads((folder / "datacite.json").read_text()))
        out = subprocess.run(
            [cffconvert, "--validate", "-i", folder / "CITATION.cff"], capture_output=True, text=True
        )
        check("cffconvert", (out.returncode, "are valid" in out.stdout + out.stderr), (0, True))
        print(f"{folder}: valid, and {len(hours)} hours are read as they are")
    print(f"{checks} checks passed")


main(sys.argv[1], [pathlib.Path(folder) for folder in sys.argv[2:]])
