"""A vault with as many days as asked, made from one day that the program has merged and reported: its files again, with other dates.

What a stage costs must not depend on the number of days. Only `verify` would notice that the posts in the data files are of another day.
"""

import datetime
import hashlib
import json
import os
import re

DAY = datetime.timedelta(days=1)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Template:
    """A day of a vault, as files: those that name a date or a hash of a manifest, and those that do not."""

    def __init__(self, vault, day):
        self.day = day
        folder = vault / f"{day}"
        self.texts, self.data = {}, []
        for path in sorted(folder.iterdir()):
            if path.suffix in (".xz", ".parquet"):
                self.data.append(path)
            else:
                self.texts[path.name] = path.read_text()

    def at(self, day):
        """Its texts as they would be of another day, and the hashes of its manifests."""
        # the day after is where its last hour ends, the day before where its first segment may have begun
        pairs = [(f"{self.day + n * DAY}", f"{day + n * DAY}") for n in (-1, 0, 1)]
        pairs += [(old.replace("-", ""), new.replace("-", "")) for old, new in pairs]
        made = {name: replaced(text, pairs) for name, text in self.texts.items()}
        hashes = {name: digest(made[name].encode()) for name in made if name.endswith("_manifest.json")}
        pairs = [(digest(self.texts[name].encode()), hashes[name]) for name in hashes]
        told = {name: text if name in hashes else replaced(text, pairs) for name, text in made.items()}
        named = lambda name: name.replace(f"{self.day}", f"{day}", 1)
        return {named(name): text for name, text in told.items()}, {named(name): of for name, of in hashes.items()}


def replaced(text, pairs):
    # by way of a mark, since one date may be another's replacement
    for number, (old, _) in enumerate(pairs):
        text = text.replace(old, f"\0{number}\0")
    for number, (_, new) in enumerate(pairs):
        text = text.replace(f"\0{number}\0", new)
    return text


def write(template_vault, of, vault, last, days):
    """Writes so many days, the last of which is `last`."""
    template = Template(template_vault, of)
    vault.mkdir(parents=True)
    identity = json.loads((template_vault / "vault.json").read_text())
    identity["first_hour"] = f"{last - (days - 1) * DAY}_00"
    (vault / "vault.json").write_text(json.dumps(identity, separators=(",", ":")) + "\n")
    previous, ledger = "0" * 64, []
    for back in range(days - 1, -1, -1):
        day = last - back * DAY
        folder = vault / f"{day}"
        folder.mkdir()
        texts, hashes = template.at(day)
        for name, text in texts.items():
            (folder / name).write_text(text)
        for path in template.data:
            # nothing reads them but what would find them wrong anyway
            os.link(path, folder / path.name.replace(f"{of}", f"{day}", 1))
        for name, sha256 in sorted(hashes.items()):
            says = {"hour": name.removesuffix("_manifest.json"), "revision": 1, "manifest_sha256": sha256, "previous": previous}
            line = json.dumps(says, separators=(",", ":"))
            previous = digest(line.encode())
            ledger.append(line + "\n")
    (vault / "ledger.jsonl").write_text("".join(ledger))


def diary(vault, path, at):
    """Says of all that may be public that it is."""
    with open(path, "w") as out:
        for file in sorted([*vault.glob("*/*"), vault / "ledger.jsonl"]):
            hour = re.match(r"(\d{4}-\d\d-\d\d_\d\d)_", file.name)
            if file.is_file() and not file.name.endswith(("tweets.csv.xz", "users.csv.xz")):
                says = {"time": at, "hour": hour and hour[1], "revision": 1 if hour else None, "file": file.name, "sha256": digest(file.read_bytes()), "new_ids": 0}
                out.write(json.dumps(says, separators=(",", ":")) + "\n")
