"""The configuration: one typed value, read once at the edge from config.yaml, the environment and files.

`load` gives a `Settings` or raises ConfigError with one line per mistake. Nothing else in the house reads
the environment. A setting may also be given as `RELAYDESK_<SECTION>__<KEY>` (`RELAYDESK_WEB__PORT=8480`),
which wins over the file.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource
from pydantic_settings.exceptions import SettingsError

from bot import settings_checks, settings_file, settings_problems, settings_references, settings_secrets
from bot.settings_problems import Problem
from bot.settings_root import Settings
from bot.settings_secrets import PREFIX, Secrets
from bot.settings_values import placed_line
from domain.errors import ConfigError

__all__ = ["Settings", "dotenv_of", "json_schema", "load"]


def load(
    path: Path | str,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    dotenv: bool = True,
) -> Settings:
    """Read the configuration.

    `environment` stands for the process's own (with the `.env` beside the file below it, unless `dotenv` is
    False); `overrides` is a nested mapping that wins over everything (for the demo and for tests).
    Raises ConfigError with one line per mistake:
    `config.yaml: routing[2].queue: unknown queue "biling"; did you mean "billing"?`
    """
    path = Path(path)
    folder = path.resolve().parent
    data = {name: value for name, value in settings_file.read(path).items() if value is not None}
    own = os.environ if environment is None else environment
    variables = (dotenv_of(folder) if dotenv else {}) | dict(own)
    from_environment = _from_environment(variables)
    merged = _merge(_merge(data, from_environment), overrides or {})

    problems = settings_problems.misplaced_secrets(data)
    secret_places = {problem.at for problem in problems}
    settings, found = _validate(merged)
    found += settings_references.check(merged)
    problems += [problem for problem in found if problem.at not in secret_places]
    if settings is not None:
        problems += settings_checks.together(settings)
    lines = [problem.line(_source(problem, from_environment, path)) for problem in sorted(set(problems), key=_order)]
    lines += settings_checks.misspelt(variables, Settings.model_fields)

    sandbox = settings.sandbox if settings is not None else True
    secrets, secret_lines = settings_secrets.read(variables, folder, sandbox=sandbox)
    if settings is not None and not lines and not secret_lines:
        settings = _placed(settings, folder, path, secrets)
        lines += [problem.line(str(path)) for problem in settings_checks.stores(settings)]
        if not lines:
            return settings
    raise ConfigError(*lines, *secret_lines)


def json_schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_schema()}


@functools.cache
def _schema() -> dict[str, Any]:
    return Settings.model_json_schema(mode="validation")


def _validate(data: Mapping[str, Any]) -> tuple[Settings | None, list[Problem]]:
    try:
        return Settings(**data), []
    except ValidationError as error:
        return None, settings_problems.of_pydantic(error.errors(include_url=False), _schema())
    except TypeError:
        odd = [Problem(at=(str(name),), says="must be a word") for name in data if not isinstance(name, str)]
        return None, odd


def _placed(settings: Settings, folder: Path, path: Path, secrets: Secrets) -> Settings:
    """Make paths absolute (relative ones count from the folder of config.yaml) and put the secrets in."""
    placed = settings.model_copy(
        update={
            "data_dir": (folder / settings.data_dir.expanduser()).resolve(),
            "keys": settings.keys.model_copy(
                update={"master_file": (folder / settings.keys.master_file.expanduser()).resolve()}
            ),
            "backup": settings.backup.model_copy(
                update={
                    name: tuple((folder / place.expanduser()).resolve() for place in getattr(settings.backup, name))
                    for name in ("record_to", "keys_to")
                }
            ),
            "audit": settings.audit.model_copy(
                update={
                    "head_file": settings.audit.head_file and (folder / settings.audit.head_file.expanduser()).resolve()
                }
            ),
            "classifier": settings.classifier.model_copy(
                update={
                    "model_dir": (folder / settings.classifier.model_dir.expanduser()).resolve(),
                    "taxonomy": settings.classifier.taxonomy
                    and (folder / settings.classifier.taxonomy.expanduser()).resolve(),
                    "encoder": settings.classifier.encoder and placed_line(folder, settings.classifier.encoder),
                    "model": settings.classifier.model and placed_line(folder, settings.classifier.model),
                }
            ),
        }
    )
    placed._secrets = secrets
    placed._path = path
    return placed


def dotenv_of(folder: Path) -> dict[str, str]:
    """The variables of the `.env` file in a folder; none where there is none. Raises ConfigError."""
    file = folder / ".env"
    if not file.is_file():
        return {}
    try:
        return {name: value for name, value in dotenv_values(file, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file}: cannot be read; make it UTF-8 text, mode 0600, owned by this user") from None


class _Environment(EnvSettingsSource):
    """pydantic-settings' reading of variables, over a mapping instead of the process's own environment."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(Settings, env_prefix=PREFIX, env_nested_delimiter="__")
        self.env_vars = {name.lower(): value for name, value in variables.items()}


def _from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    try:
        return _Environment(variables)()
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; a whole section is written as JSON") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        own = merged.get(name)
        merged[name] = _merge(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return merged


def _source(problem: Problem, from_environment: Mapping[str, Any], path: Path) -> str:
    node: object = from_environment
    for step in problem.at:
        node = node.get(str(step)) if isinstance(node, Mapping) else None
    return str(path) if node is None else "environment"


def _order(problem: Problem) -> tuple[str, str]:
    return settings_problems.key(problem.at), problem.says
