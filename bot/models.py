"""Loads the classifier that the settings ask for, or the best that can be had in its place, and says which it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from bot import metrics
from bot.settings import Settings
from classifiers import load, versions
from classifiers.blend import BlendClassifier
from classifiers.errors import ModelError
from domain.errors import RefusedToStart

State = Literal["live", "earlier", "default", "ngrams"]
STATES: Final[dict[State, str]] = {
    "live": "what the settings ask for",
    "earlier": "an earlier version of the heads, the live one being refused",
    "default": "the default classifier in place of what the settings name",
    "ngrams": "the n-gram experts alone",
}
"""What can answer, the best first, in words for an operator."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A classifier, the folder that it came from, which of STATES it is, and why it is not the first ("" if it is).

    `learns` is False for models that are not trained here.
    """

    classifier: BlendClassifier
    folder: Path
    state: State
    reason: str = ""
    learns: bool = True


def load_classifier(settings: Settings, *, light: bool = False) -> Loaded:
    """The best classifier that can be had; each one that is refused is logged with the fix.

    `light` is for a process that reads no messages and only has to know the intents: the n-gram experts, where they
    are. Raises RefusedToStart where none is left.
    """
    if light and settings.classifier.kind == "default":
        home = settings.classifier.home
        try:
            return Loaded(classifier=load.load_ngrams(home), folder=home, state="live", learns=False)
        except ModelError:
            log.info("model.no_ngrams", folder=str(home))
    found = choose(settings)
    if found.state != "live":
        log.error("model.refused", reason=found.reason, answers=found.state)
    for state in STATES:
        metrics.model_state.labels(state=state).set(state == found.state)
    return found


def choose(settings: Settings) -> Loaded:
    """As `load_classifier`, without a word to anybody. Raises RefusedToStart."""
    chosen = settings.classifier
    try:
        return _live(settings)
    except ModelError as error:
        reason = str(error)
    if chosen.chosen is not None:
        try:
            default = load.load_default(chosen.model_dir, threads=chosen.threads)
            return Loaded(classifier=default, folder=chosen.model_dir, state="default", reason=reason)
        except ModelError:
            log.info("model.no_default", folder=str(chosen.model_dir))
    for folder in dict.fromkeys((chosen.home, chosen.model_dir)):
        try:
            return Loaded(classifier=load.load_ngrams(folder), folder=folder, state="ngrams", reason=reason)
        except ModelError:
            log.info("model.no_ngrams", folder=str(folder))
    raise RefusedToStart(reason)


def _live(settings: Settings) -> Loaded:
    chosen, home = settings.classifier, settings.classifier.home
    if chosen.kind != "default":
        from classifiers import hf

        return Loaded(
            classifier=hf.load(home, threshold=chosen.threshold, threads=chosen.threads),
            folder=home,
            state="live",
            learns=False,
        )
    if chosen.chosen is not None and chosen.chosen.kind == "server":
        key = settings.secrets.encoder_key
        classifier = load.load_server(
            home,
            local_dir=chosen.model_dir,
            key=key.get_secret_value() if key else None,
            timeout_s=chosen.encoder_timeout.total_seconds(),
            threads=chosen.threads,
        )
    else:
        classifier = load.load_default(home, threads=chosen.threads)
    refused = _refused(home, classifier)
    return Loaded(classifier=classifier, folder=home, state="earlier" if refused else "live", reason=refused)


def _refused(folder: Path, classifier: BlendClassifier) -> str:
    """Why the live version is not what answers; "" where it is."""
    try:
        version = versions.read(folder, versions.pointer(folder).live)
        if version.heads in classifier.version:
            return ""
        load.load_version(version, classifier.encoder)
    except ModelError as error:
        return str(error)
    return f"version {version.number} was trained for another taxonomy; train anew with: relaydesk train"
