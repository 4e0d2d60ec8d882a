"""Shops that are small enough to train on in a moment: one with three topics, and the starter's with few examples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from classifiers import build, folders, taxonomy

SENTENCES = {
    "parcel": ["where is my parcel", "parcel not here", "track my parcel", "parcel late again", "parcel lost in post"],
    "money": ["charged twice", "refund my money", "money taken twice", "wrong charge on bill", "my bill is wrong"],
    "login": ["cannot log in", "password reset fails", "locked out of account", "login code missing", "account locked"],
}
GOLDEN = {
    "parcel": ["has the parcel been lost", "parcel still not here", "can i track the parcel", "parcel is late"],
    "money": ["you charged me twice", "i want my money back", "the bill is wrong", "refund the charge please"],
    "login": ["the login code is missing", "account is locked", "password does not work", "i cannot log in here"],
}


def make_shop(folder: Path) -> Path:
    """Its taxonomy folder: examples and a golden set in English."""
    folder.mkdir()
    queues = {"parcel": "support", "money": "billing", "login": "tech"}
    intents = [
        {"id": name, "queue": queue, "name": {"en": name}, "description": {"en": f"about a {name}"}}
        for name, queue in queues.items()
    ]
    main = {"version": 1, "queues": {queue: {"en": queue} for queue in queues.values()}, "intents": intents}
    # JSON is YAML.
    for name, content in (("taxonomy", main), ("examples.en", SENTENCES), ("golden", {"en": GOLDEN})):
        (folder / f"{name}.yaml").write_text(json.dumps(content))
    return folder


def make_starter(folder: Path, each: int = 5) -> Path:
    """The starter taxonomy with the first few examples of each intent and language: an eighth of the training."""
    shutil.copytree(taxonomy.STARTER, folder)
    for path in folder.glob("examples.*.yaml"):
        examples = yaml.safe_load(path.read_text(encoding="utf-8"))
        few = {intent: sentences[:each] for intent, sentences in examples.items()}
        path.write_text(yaml.safe_dump(few, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def make_model(folder: Path, shop: Path) -> Path:
    """A model folder with n-gram heads trained on it."""
    folder.mkdir()
    build.train_heads(folders.paths(folder).heads, taxonomy.read(shop), None)
    return folder
