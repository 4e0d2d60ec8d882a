"""A shop with three topics, small enough to train on in a moment."""

from __future__ import annotations

import json
from pathlib import Path

from classifiers import build, taxonomy

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


def make_model(folder: Path, shop: Path) -> Path:
    """A model folder with n-gram heads trained on it."""
    folder.mkdir()
    build.train_heads(build.paths(folder).heads, taxonomy.read(shop), None)
    return folder
