"""The documents are true: what the product offers and they do not name fails here, and so does what they only claim."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import TypeAdapter

from bot import crashpoints, metrics, settings, settings_secrets, settings_values, texts
from bot.cli import main as cli
from bot.settings_checks import CONFIG_VARIABLE
from domain import errors, roles

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
OPERATIONS = ["docs/operations.md", "docs/operations.zh.md"]

ROW = re.compile(r"^\| `([^`]+)`(?:, `[^`]+`)* \|([^|]*)\|", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
ROOMS = ("domain", "handlers", "classifiers", "storage", "bot", "sandbox", "tests", "benchmarks", "deploy", "docs")
REGISTRIES = ("pypi.org", "pythonhosted", "docker.io", "ghcr.io", "quay.io", "huggingface", "npmjs", "gcr.io")
MACHINE_PATHS = ("/work/", "/tmp/", "/home/", "/root/", "/Users/")
Schema = Mapping[str, Any]


def read(name: str) -> str:
    """A document's text."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(document: str, title: str) -> str:
    """The section of a page that has this title in English; both languages have the same, in the same order."""
    english, here = (re.split(r"^## ", read(name), flags=re.MULTILINE) for name in (OPERATIONS[0], document))
    return here[next(place for place, text in enumerate(english) if text.startswith(f"{title}\n"))]


def named(document: str) -> set[str]:
    """Everything that a document names as code."""
    return set(CODE.findall(read(document)))


# ---- settings --------------------------------------------------------------------------------------------------------


def plain(node: Schema, defs: Schema) -> Schema:
    """A node of the JSON schema with its references followed and the null of optional values left out."""
    while "$ref" in node:
        node = {**defs[node["$ref"].rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        return {**plain(choices[0], defs), **{k: v for k, v in node.items() if k != "anyOf"}}
    return node


def parts(node: Schema, defs: Schema) -> Schema | None:
    """What each value of a mapping or each item of a list looks like, where that has keys of its own."""
    inner = [*node.get("patternProperties", {}).values(), node.get("additionalProperties"), node.get("items")]
    return next((one for one in inner if isinstance(one, dict) and "properties" in plain(one, defs)), None)


def leaves(node: Schema, defs: Schema, at: str = "", required: bool = False) -> Iterator[tuple[str, Any]]:
    """Every setting as the documents write it, with its default; `...` where one must be given."""
    node = plain(node, defs)
    inner = parts(node, defs)
    if at == "sla.rules[].when":  # the same conditions as a routing rule's
        yield at, None
    elif "properties" in node:
        for name, child in node["properties"].items():
            yield from leaves(child, defs, f"{at}.{name}".lstrip("."), name in node.get("required", ()))
    elif inner is not None:
        yield from leaves(inner, defs, at + ("[]" if node.get("type") == "array" else ".<name>"))
    else:
        yield re.sub(r"targets\.\w+", "targets.<priority>", at), ... if required else node.get("default")


def schema() -> dict[str, Any]:
    """Every setting with its default."""
    whole = settings.json_schema()
    return dict(leaves(whole, whole["$defs"]))


def rows(text: str) -> dict[str, str]:
    """The tables of a text: what the first cell names as code, and the second cell."""
    return {name: cell.strip() for name, cell in ROW.findall(text)}


def settings_table() -> dict[str, str]:
    """Every documented setting with its default cell."""
    return rows(read("docs/configuration.md").partition("## Fixed texts")[0])


def test_every_setting_is_documented_and_no_other() -> None:
    """docs/configuration.md names exactly the keys of the JSON schema."""
    assert set(settings_table()) == set(schema())


@pytest.mark.parametrize("key", sorted(schema()))
def test_the_documented_default_is_the_one_in_force(key: str) -> None:
    """Whoever leaves a key out gets what the table says."""
    cell, default = settings_table()[key], schema()[key]
    if default is ...:
        assert cell == "required"
    elif default in (None, [], {}):
        assert cell == "none"
    elif isinstance(default, str) and re.fullmatch(r"P(?:\d+D)?(?:T.*)?", default):
        assert settings_values.parse_span(cell.strip("`")) == TypeAdapter(timedelta).validate_python(default)
    elif isinstance(default, list):
        assert cell == f"`{', '.join(default)}`"
    else:
        assert cell == f"`{str(default).lower() if isinstance(default, bool) else default}`"


@pytest.mark.parametrize("document", OPERATIONS)
def test_every_variable_is_documented(document: str) -> None:
    """Each secret's variable, and those that we read beside them, stand among the operator's pages."""
    wanted = {settings_secrets.variable(name) for name in settings_secrets.NAMES} | {CONFIG_VARIABLE}
    assert wanted - named(document) == set()


def test_every_role_is_documented() -> None:
    """Each role has a row that says what it may."""
    assert {f"roles.{role.value}" for role in roles.Role} <= set(settings_table())


# ---- commands --------------------------------------------------------------------------------------------------------


def commands() -> dict[str, set[str]]:
    """Every command of the program by its full name, with its options."""

    def walk(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
            return
        for word, child in inner.items():
            yield from walk(child, f"{name} {word}")

    return dict(walk(typer.main.get_command(cli.app), "relaydesk"))


@pytest.mark.parametrize("document", OPERATIONS)
def test_every_command_is_documented_and_no_other(document: str) -> None:
    """The operator's table has exactly the commands that there are."""
    assert set(rows(section(document, "Commands"))) == set(commands())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_command_that_is_shown_exists_with_its_options(document: Path) -> None:
    """Whatever a document tells people to type is understood."""
    known = commands()
    groups = {name.rpartition(" ")[0] for name in known}
    for line in re.findall(r"^(?:\S+/)?relaydesk ([a-z-].*)$", _typed(document), re.MULTILINE):
        words = line.split()
        name = next((n for n in (f"relaydesk {' '.join(words[:2])}", f"relaydesk {words[0]}") if n in known), None)
        if name is None:
            assert f"relaydesk {words[0]}" in groups or "|" in line, f"{document.name}: no such command: {line}"
            continue
        shown = {word.rstrip(",;:") for word in words if word.startswith("--")}
        assert shown <= known[name] | {"--help"}, f"{document.name}: {line}"


def _typed(document: Path) -> str:
    """What stands in a document as code: in fences and between backticks, comments left out."""
    text = document.read_text(encoding="utf-8")
    fences = FENCE.findall(text)
    lines = [line.partition("  ")[0].partition(" #")[0] for fence in fences for line in fence.splitlines()]
    return "\n".join([*lines, *CODE.findall(FENCE.sub("", text))])


def test_the_commands_of_the_readme_are_what_ci_runs() -> None:
    """`make demo` and `make test` are targets, and CI runs check and test as a newcomer would."""
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    for document in READMES:
        shown = set(re.findall(r"\bmake ([a-z]+)", _typed(document)))
        assert {"demo", "test"} <= shown <= targets
    for document in DOCUMENTS:
        assert set(re.findall(r"^make ([a-z]+)", _typed(document), re.MULTILINE)) <= targets, document.name
    ci = read(".ci/run").splitlines()
    assert {"make check", "make test"} <= set(ci)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_module_that_is_to_be_run_exists(document: Path) -> None:
    """`python -m ...` names a module of the repository or a tool that set-up installs."""
    for module in re.findall(r"python -m ([\w.]+)", _typed(document)):
        path = ROOT / module.replace(".", "/")
        assert module == "pytest" or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


# ---- what it tells ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", OPERATIONS)
def test_every_metric_is_documented_with_its_labels_and_no_other(document: str) -> None:
    """The operator's table has exactly the metrics of bot/metrics.py."""
    assert rows(section(document, "Metrics")) == {name: ", ".join(labels) for name, labels in _metrics().items()}


def _metrics() -> dict[str, list[str]]:
    """Metric names and labels as the source gives them to its three makers."""
    found = {}
    for node in ast.walk(ast.parse(Path(metrics.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("_"):
            words = [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
            if node.func.id in ("_counter", "_gauge", "_histogram"):
                found[f"relaydesk_{words[0]}"] = words[2:]
    return found


@pytest.mark.parametrize("document", OPERATIONS)
def test_every_event_that_is_worth_an_alert_is_logged(document: str) -> None:
    """Nobody waits for an event that the product never logs."""
    cells = re.findall(r"^\| (`[^|]+`) \|", section(document, "Log events worth an alert"), re.MULTILINE)
    events = {name for cell in cells for name in CODE.findall(cell)}
    source = "\n".join(path.read_text(encoding="utf-8") for path in _sources("bot", "storage"))
    assert len(events) > 10
    assert {name for name in events if f'"{name}"' not in source} == set()


def test_every_error_is_documented() -> None:
    """Each type of the error tree that a person can meet has its row in docs/errors.md."""
    tree = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.RelaydeskError)
    }
    assert tree - {"RelaydeskError", "DeliveryError"} - named("docs/errors.md") == set()


@pytest.mark.parametrize("document", OPERATIONS)
def test_every_exit_code_is_documented(document: str) -> None:
    """The table has the codes of the command line."""
    from bot.cli import terminal

    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section(document, "Exit codes"), re.MULTILINE)}
    assert codes == {0, terminal.FAILED, terminal.CONFIG_MISTAKE, terminal.DEAF}


def test_every_fixed_text_is_documented() -> None:
    """docs/configuration.md says of each text when a customer gets it."""
    table = read("docs/configuration.md").partition("## Fixed texts")[2]
    assert set(rows(table)) == set(texts.texts(texts.DEFAULT))


def test_every_crash_point_is_documented() -> None:
    """docs/architecture.md has each point, and no other."""
    table = read("docs/architecture.md").partition("RELAYDESK_CRASH_AT")[2]
    assert list(rows(table)) == list(crashpoints.POINTS + crashpoints.FILES + crashpoints.COMMANDS)


def test_every_figure_is_documented() -> None:
    """docs/benchmarks.md says of each figure of the benchmarks what it is."""
    assert set(rows(read("docs/benchmarks.md"))) == _figures()


def _figures() -> set[str]:
    """Keys of the figures: those that the benchmark's functions return and those that `main` adds."""
    found = set()
    for name in ("burst.py", "path.py", "record.py", "scale.py", "search.py", "sla.py", "stages.py"):
        for node in ast.walk(ast.parse(read(f"benchmarks/{name}"))):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
                found |= {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
                target = node.targets[0]
                if isinstance(target.value, ast.Name) and target.value.id == "figures":
                    found |= {target.slice.value} if isinstance(target.slice, ast.Constant) else set()
    return {str(name) for name in found}


# ---- the documents themselves ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    """A relative link names a file or folder that is there, and a heading in it."""
    for target in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (document.parent / place).resolve() if place else document
        assert path.exists(), f"{document.name}: {target}"
        if anchor:
            headings = {_anchor(title) for title in HEADING.findall(path.read_text(encoding="utf-8"))}
            assert anchor in headings, f"{document.name}: {target}"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    """A path into the repository is one; where a document lists a room's files they are there."""
    text = document.read_text(encoding="utf-8")
    for name in CODE.findall(FENCE.sub("", text)):
        if name.split("/")[0] in ROOMS and re.fullmatch(r"[\w./-]+\.(?:py|md|yaml|png|service)", name):
            assert (ROOT / name).is_file(), f"{document.name}: {name}"


def test_the_architecture_names_files_that_are_there() -> None:
    """The table of the rooms lists real files only."""
    rooms = re.findall(r"^\| `(\w+/)` \| (.+) \|$", read("docs/architecture.md"), re.MULTILINE)
    assert len(rooms) == 5
    for room, cell in rooms:
        for name in CODE.findall(cell):
            assert any((ROOT / room).glob(name.rstrip("/"))), f"{room}{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_speaks_of_the_product_alone(document: Path) -> None:
    """No host of a package registry and no path of somebody's machine."""
    text = document.read_text(encoding="utf-8")
    found = [word for word in (*REGISTRIES, *MACHINE_PATHS) if word.lower() in text.lower()]
    assert found == []


def test_both_readmes_tell_the_same() -> None:
    """The Chinese README has the English one's commands, links (to Chinese pages where there are any) and sections."""
    english, chinese = (path.read_text(encoding="utf-8") for path in READMES)
    pages = {link: link.removesuffix(".md") + ".zh.md" for link in LINK.findall(english) if link != "README.zh.md"}
    wanted = {page if (ROOT / page).exists() else link for link, page in pages.items()}
    assert set(LINK.findall(chinese)) - {"README.md"} == wanted
    assert len(HEADING.findall(chinese)) == len(HEADING.findall(english))
    assert [re.sub(r"\s+#.*", "", fence) for fence in FENCE.findall(chinese)] == FENCE.findall(english)


def test_both_pages_for_operators_tell_the_same() -> None:
    """The Chinese page has the English one's sections, what is to be typed, and the first column of each table."""
    english, chinese = (read(name) for name in OPERATIONS)
    assert [level for level in re.findall(r"^(#+) ", chinese, re.MULTILINE)] == re.findall(
        r"^(#+) ", english, re.MULTILINE
    )
    typed = [[re.sub(r"\s+#.*", "", fence) for fence in FENCE.findall(text)] for text in (english, chinese)]
    assert typed[0] == typed[1]
    assert [len(re.findall(r"^\|", part, re.MULTILINE)) for part in english.split("\n## ")] == [
        len(re.findall(r"^\|", part, re.MULTILINE)) for part in chinese.split("\n## ")
    ]
    assert list(rows(chinese)) == list(rows(english))


def test_the_shipped_configuration_is_what_the_documents_call_valid() -> None:
    """`config.yaml` names documented keys only, at every depth."""
    known = set(schema())
    data = yaml.safe_load(read("config.yaml"))
    top = {re.split(r"[.\[]", key)[0] for key in known}
    assert set(data) <= top


def _sources(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from (ROOT / room).rglob("*.py")
