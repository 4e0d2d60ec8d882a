"""What `init` offers to read with: encoders of other languages, where a model hub can be reached."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bot.cli.terminal import say

if TYPE_CHECKING:
    from bot.settings import Settings

_SECTION = re.compile(r"^classifier:[ \t]*(?:#.*)?$", re.MULTILINE)


def offer(read: Settings, path: Path) -> bool:
    """Ask which encoder shall read, unless one is named already or no hub answers; write the line into config.yaml.

    True where the model is to be prepared anew.
    """
    from bot.whole_files import write_whole
    from classifiers import hub, sources
    from classifiers.errors import ModelError

    if read.classifier.encoder or read.classifier.kind != "default":
        return False
    text = path.read_text(encoding="utf-8")
    if not _SECTION.search(text):
        return False
    endpoint = os.environ.get("HF_ENDPOINT") or sources.HUB
    try:
        hub.newest(sources.OFFERS[0].name, endpoint)
    except ModelError:
        say()
        say("No model hub answers, so the default classifier reads: English with an encoder, Chinese without.")
        return False
    say()
    say("Which model shall read? The default reads English with an encoder and Chinese without.")
    say("  0  the default")
    for number, one in enumerate(sources.OFFERS, start=1):
        say(f"  {number}  {one.name} ({one.languages}; {one.megabytes} MB; {one.about})")
    choice = -1
    while not 0 <= choice <= len(sources.OFFERS):
        choice = typer.prompt("Number", type=int, default=0)
    if choice == 0:
        return False
    name = sources.OFFERS[choice - 1].name
    try:
        line = f"{name}@{hub.newest(name, endpoint)}"
    except ModelError as error:
        say(f"  {error}")
        return False
    write_whole(path, with_encoder(text, line), path.stat().st_mode & 0o777)
    say(f"Written: classifier.encoder in {path}.")
    return True


def with_encoder(text: str, line: str) -> str:
    """config.yaml with the encoder named first in its section; comments stay where they are."""
    return _SECTION.sub(lambda found: f"{found[0]}\n  encoder: {line}", text, count=1)
