"""Whatever stands in config.yaml: a configuration or lines for a person, never another exception."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from bot import settings, settings_file
from domain import sla
from domain.errors import ConfigError
from domain.model import Priority

SHIPPED = settings_file.read(Path(__file__).parents[2] / "config.yaml")
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
words = st.sampled_from(["support", "C0SUPPORT", "office", "urgent", "72h", "09:00-17:00", "http://127.0.0.1:1", "DE"])
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | words, inner, max_size=3),
    max_leaves=6,
)


def _places(node: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    children: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    return [place for key, value in children for place in [(*at, key), *_places(value, (*at, key))]]


PLACES = _places(SHIPPED)


@example_settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=3))
def test_any_value_at_any_place_is_taken_or_told(
    tmp_path: Path, changes: list[tuple[tuple[str | int, ...], object]]
) -> None:
    """One line per mistake, each with the file's name; no traceback, no line break inside a line."""
    data: Any = copy.deepcopy(SHIPPED)
    for place, value in changes:
        _set(data, place, value)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    for line in _problems(path):
        assert line.startswith(f"{path}: ")
        assert len(line.splitlines()) == 1


def _problems(path: Path) -> tuple[str, ...]:
    try:
        settings.load(path, environment={}, dotenv=False)
    except ConfigError as error:
        return error.problems or ("no reason",)
    return ()


def _set(node: Any, place: tuple[str | int, ...], value: object) -> None:
    """Set a value where the place still is: an earlier change may have taken its section away."""
    for step in place[:-1]:
        if not _has(node, step):
            return
        node = node[step]
    if isinstance(node, dict) or _has(node, place[-1]):
        node[place[-1]] = value


def _has(node: Any, step: str | int) -> bool:
    if isinstance(node, list):
        return isinstance(step, int) and step < len(node)
    return isinstance(node, dict) and step in node


@example_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused_with_a_line(tmp_path: Path, raw: bytes) -> None:
    """A file of noise is not a configuration, and says so."""
    path = tmp_path / "config.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError):
        settings.load(path, environment={}, dotenv=False)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    """A thousand brackets end neither the process nor the stack."""
    path = tmp_path / "config.yaml"
    path.write_text("a: " + "[" * 5000 + "]" * 5000, encoding="utf-8")
    with pytest.raises(ConfigError, match="nesting"):
        settings.load(path, environment={}, dotenv=False)


def test_no_setting_is_without_effect() -> None:
    """Every key of the schema is read somewhere in the code that is not its definition."""
    root = Path(__file__).parents[2]
    code = (
        "".join(
            file.read_text(encoding="utf-8")
            for file in (root / "bot").rglob("*.py")
            if file.name not in ("settings_parts.py", "settings_desk.py", "settings_sla.py")
        )
        + (root / "bot" / "settings_sla.py").read_text(encoding="utf-8").partition("def build")[2]
    )
    unread = [key for key in _keys(settings.json_schema()) if f".{key}" not in code and f'"{key}"' not in code]
    by_enum = {*sla.TARGETED, *Priority}  # read by name
    assert set(unread) - by_enum == set()


def _keys(schema: dict[str, Any]) -> set[str]:
    sections = [schema, *schema["$defs"].values()]
    return {key for section in sections for key in section.get("properties", {})}
