"""Every word that the house says to the desk has a text in every language, and the texts keep the house's tone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest

from bot import operator_lines
from bot.desk import deadlines, entries, forms, outcomes, words
from bot.texts import DESK
from bot.texts.catalogue import Catalogue, Counted
from bot.texts.catalogue import words as wanted
from classifiers import lexicon, rules
from domain import cases, contacts, facts, links, routing
from domain.durations import Duration
from domain.model import OUTCOMES, EntryKind, Priority, Reach, Status
from domain.sla import ClockState, Metric
from handlers import commands, persons

ROOT = Path(__file__).parents[3]
ENGLISH = DESK.texts("en")
NAMES_OF_THINGS = {
    "Slack",
    "Relaydesk",
    "CRM",
    "Telegram",
    "CNY",
    "UTC",
    "Windows",
    "Linux",
    "macOS",
    "relaydesk",
    "yaml",
    "config",
    "env",
    "seen",
    "by",
}
"""Latin words that stand in a Chinese text as they are."""


def calls(folder: str, *names: str) -> Iterator[ast.Call]:
    """Every call of one of these functions in a folder's source."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in names:
                    yield node


def of(group: str) -> set[str]:
    """The last words of a group's keys."""
    return {key.removeprefix(f"{group}.") for key in ENGLISH if key.startswith(f"{group}.")}


def test_every_whisper_of_the_handlers_has_words() -> None:
    """A refusal that nobody has written a text for would say nothing useful."""
    used = {
        argument.value
        for call in calls("handlers", "whisper", "_tell", "tell")
        for argument in call.args[1:5]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert "refused_stranger" in used
    assert used <= of("whisper") | deadlines.TEXTS


def test_every_reason_of_a_chat_channel_has_words() -> None:
    """An agent reads why an answer did not arrive, not a code."""
    codes = {
        call.args[0].value
        for call in calls("bot/channels", "NeverPossible", "Unclear")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert codes
    assert codes <= of("reason")


def test_what_does_not_do_is_said_in_the_readers_language() -> None:
    """An error that an agent reads has a code with a text; the English words of an error reach nobody at the desk."""
    codes = {
        str(call.args[0].value)
        for folder in ("domain", "handlers", "bot")
        for call in calls(folder, "Unfit", "_fits")
        if isinstance(call.args[0], ast.Constant)
    }
    assert codes == of("unfit")
    for code in codes:
        values = dict.fromkeys(wanted(ENGLISH[f"unfit.{code}"]), "x")
        assert "?" not in words.unfit(code, values)
    sources = [*(ROOT / "handlers").glob("*.py"), *(ROOT / "bot" / "desk").glob("*.py"), ROOT / "bot" / "keeper.py"]
    leaks = [
        f"{path.name}: {ast.unparse(call)}"
        for path in sources
        if path.name != "checks.py"  # what the command line tells the operator
        for tree in [ast.parse(path.read_text("utf-8"))]
        for caught in {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)}
        for call in ast.walk(tree)
        if caught and isinstance(call, ast.Call) and ast.unparse(call) == f"str({caught})"
    ]
    assert leaks == []


def test_a_notice_counts_in_the_readers_language() -> None:
    """How much was looked at or taken away, and why an access is gone: said by the desk, noted as numbers and codes."""
    told = {
        "access_review": {"looks": "5", "lookers": "1"},
        "retention": {"messages": "12", "files": "1"},
        "access_revoked": {"where": "C0SUPPORT", "reason": "is_archived"},
        "case_due": {"kind": "due_owned", "who": "agent:U0JONAS", "due": "2026-11-30"},
    }
    english = [entries.notice(key, data).text for key, data in told.items()]
    assert "5 looks, 1 person who looked" in english[0]
    assert "1 file, 12 messages." in english[1]
    assert "*<#C0SUPPORT> does not let us in any more* (the channel is archived)" in english[2]
    with words.reading("zh"):
        chinese = [entries.notice(key, data).text for key, data in told.items()]
    assert "5 次查看、1 位查看的人" in chinese[0]
    assert "1 个文件、12 条消息" in chinese[1]
    assert "频道已归档" in chinese[2]
    assert "due 2026-11-30.* <@U0JONAS> sees to it" in english[3]
    assert "2026-11-30 前答复。* 由 <@U0JONAS> 负责" in chinese[3]
    assert "<" not in entries.notice("case_due", told["case_due"] | {"who": "os:<!channel>"}).text
    assert set(entries.COUNTED) == of("counted")
    assert of("reason") >= outcomes.REVOKED - operator_lines.CLOSED


def test_on_call_hears_only_of_a_desk_that_is_closed_as_a_whole() -> None:
    """A channel that may not be written in, or a scope for one method, is told at the desk, where people still read."""
    assert operator_lines.CLOSED < outcomes.REVOKED
    assert {
        "app_missing_action_url",
        "channel_not_found",
        "is_archived",
        "missing_scope",
        "no_permission",
        "not_in_channel",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
    } == outcomes.REVOKED - operator_lines.CLOSED


def test_a_rule_is_named_in_the_readers_language() -> None:
    """What sorted a conversation is said in words of the desk; only the name of the company's rule is its own."""
    noted = ["rule the rest: always", "outage, shouting", "not sure", "least loaded", "classifier", "blocked"]
    assert [words.why(one) for one in noted] == [
        "by rule “the rest”",
        "an outage, capital letters",
        "its topic is not sure",
        "by how much each has",
        "from the text",
        "the customer has blocked the bot",
    ]
    with words.reading("zh"):
        assert not re.search("[a-z]", "".join(words.why(one) for one in noted).replace("the rest", ""))
    assert of("signal") == {*(alarm.id for alarm in lexicon.ALARMS), rules.SHOUTING, "spam", "closure", "wants_person"}
    assert of("why") >= {*routing.ASSIGN_METHODS} - {"none"}
    codes = {
        str(keyword.value.value).replace(" ", "_")
        for call in calls("handlers", "machine_entry")
        for keyword in call.keywords
        if keyword.arg == "why" and isinstance(keyword.value, ast.Constant)
    }
    assert codes
    assert codes <= of("why") | of("signal") | of("reason"), "what a line says of why is said in every language"


def _ends(language: str) -> dict[str, str]:
    """How a conversation ended, as a card says it: the command takes the same words."""
    return {end: str(DESK.texts(language)[f"outcome.{end}"]) for end in OUTCOMES}


def test_every_state_has_a_word() -> None:
    """Whatever the code can name is complete: states, kinds, signs, outcomes, reasons, commands."""
    assert of("status") == {status.value for status in Status}
    assert of("priority") == {priority.value for priority in Priority}
    assert of("metric") == of("act") == of("act_elsewhere") == {metric.value for metric in Metric}
    assert of("delivery") == {Reach.WAITING.value, Reach.UNCLEAR.value, Reach.FAILED.value}
    assert of("outcome") >= set(OUTCOMES)
    assert {end: commands.ENDS[words_of_it] for end, words_of_it in _ends("zh").items()} == {
        end: end for end in OUTCOMES
    }
    assert of("clock") == {state.value for state in ClockState}
    assert of("sign") == {sign.value for sign in links.Sign}
    assert of("fact_kind") == of("fact_shown") == {kind.value for kind in facts.FactKind}
    assert of("case_state") == {state.value for state in cases.CaseState} | {"held", "moot"}
    assert of("case") >= {kind.value for kind in cases.CaseKind}
    assert of("contact_kind") == {kind.value for kind in contacts.ContactKind}
    assert of("reveal") == {"label", *persons.REASONS}
    assert of("transcript_done") <= {kind.value for kind in EntryKind}


def test_every_key_that_the_desk_says_is_there() -> None:
    """A misspelt key would be an error in front of an agent; keys that are put together are held by their group."""
    missing = []
    for folder in ("bot", "handlers"):
        for call in calls(folder, "say"):
            first = call.args[0] if call.args else None
            if not (isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "words"):
                continue
            if isinstance(first, ast.Constant) and first.value not in ENGLISH:
                missing.append(first.value)
            if isinstance(first, ast.JoinedStr) and isinstance(head := first.values[0], ast.Constant):
                group = str(head.value)
                if not any(key.startswith(group) for key in ENGLISH):
                    missing.append(group)
    assert missing == []


@pytest.mark.parametrize("language", DESK.languages)
def test_every_language_has_every_text(language: str) -> None:
    """The same keys and the same words to fill in; only the word that a plural counts may be left out."""
    found = DESK.texts(language)
    assert list(found) == list(ENGLISH), "in the same order, in which menus show them"
    for key, template in ENGLISH.items():
        free = {template.by} if isinstance(template, Counted) else set()
        assert wanted(found[key]) | free == wanted(template) | free, key


def test_a_chinese_text_is_chinese() -> None:
    """No English is left in it but names, commands and what is filled in; its punctuation is Chinese."""
    for key, template in DESK.texts("zh").items():
        said = template.other if isinstance(template, Counted) else template
        plain = re.sub(r"`[^`]*`|{[^}]*}", "", said)
        assert set(re.findall(r"[A-Za-z]{2,}", plain)) <= NAMES_OF_THINGS, key
        assert not re.search(r"[\u4e00-\u9fff][,.;:?!]", said), key
        assert "你" not in said, f"{key}: agents are addressed as 您"
        assert "！" not in said, key
        for bold in re.finditer(r"\*[^*`\n]+\*", said):
            around = said[: bold.start()][-1:] + said[bold.end() :][:1]
            assert not around.strip(" \n·"), f"{key}: Slack sees no bold words in the middle of others"


def test_no_english_is_left_in_the_desks_code() -> None:
    """What an agent reads stands in the files of texts: a sentence in the code would be in one language only."""
    left = []
    for path in sorted([*(ROOT / "bot" / "desk").glob("*.py"), ROOT / "bot" / "keeper.py"]):
        if path.name in {"checks.py", "rich.py"}:  # what the command line tells the operator, what customers read
            continue
        tree = ast.parse(path.read_text("utf-8"))
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in LOGS:
                skipped |= {id(one) for one in ast.walk(node)}
        left += [
            f"{path.name}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
            and re.search(r"[a-z]{2,} [a-z]{2,}", node.value)
            and node.value not in forms.SHORTCUTS.values()
        ]
    assert left == []


LOGS = {
    "MalformedEvent",
    "NeverPossible",
    "NotYet",
    "RetryLater",
    "Unclear",
    "ValueError",
    "AccessRevoked",
    "PlainTextResponse",
    "warning",
    "info",
    "error",
    "exception",
    "unsure",
    "refused",
}
"""Calls whose words nobody at the desk reads."""


@pytest.mark.parametrize("language", DESK.languages)
def test_texts_are_calm_and_complete(language: str) -> None:
    """No exclamation marks, a whole sentence at least."""
    for key, template in DESK.texts(language).items():
        said = template.other if isinstance(template, Counted) else template
        assert "!" not in said, key
        if key.startswith(("whisper.", "notice.")):
            assert said.rstrip().endswith((".", "。", "{said}", "{said}。", "{commands}")), key


def test_menus_fit_what_slack_takes() -> None:
    """Buttons and titles of windows are short in every language: 75 and 24 characters."""
    for language in DESK.languages:
        found = {key: said for key, said in DESK.texts(language).items() if isinstance(said, str)}
        assert all(len(said) <= 75 for key, said in found.items() if key.split(".")[0] in ("card", "snooze", "mute"))
        titles = [
            f"form.{name}" for name in ("assign", "handover", "snooze", "join", "start", "act", "correct", "told")
        ]
        assert all(len(found[key]) <= 24 for key in (*titles, "reply.edit_title", "fact.title", "fact.title_new"))


def test_what_is_said_follows_whoever_reads() -> None:
    """One language for all that is said within; the desk's own where nobody has written theirs."""
    assert words.say("card.resolve") == "Resolve"
    with words.reading("zh-CN"):
        assert words.say("card.resolve") == "解决"
        with words.reading("de", "zh"):
            assert words.say("card.resolve") == "解决", "no texts in German: the desk's language"
        with words.reading("en-GB", "zh"):
            assert words.say("card.resolve") == "Resolve"
        assert words.language_now() == "zh"
    with words.reading(None, "zh"):
        assert words.language("de-AT") == "德语"


def test_numbers_and_times_read_as_people_write_them() -> None:
    """English knows one and many; Chinese has its own words for spans."""
    assert words.say("change.unmuted", count=1) == "Heard again: 1 message was kept in the record meanwhile"
    assert words.say("change.unmuted", count=2).startswith("Heard again: 2 messages were")
    assert words.whisper("undo", {"seconds": "1"}).startswith("On its way to the customer in 1 second. Afterwards")
    assert words.left(timedelta(minutes=25, seconds=59)) == "25 minutes left"
    assert words.left(timedelta(minutes=1)) == "1 minute left"
    assert words.left(timedelta(hours=3)) == "3 hours left"
    assert words.left(timedelta(seconds=20)) == ""
    assert words.span(timedelta(hours=3, minutes=7)) == "3h 07m"
    assert words.target(Duration(business_days=2)) == "2 business days"
    with words.reading("zh"):
        assert words.left(timedelta(minutes=25)) == "还剩 25 分钟"
        assert words.span(timedelta(hours=3, minutes=7)) == "3 小时 7 分钟"
        assert words.span(timedelta(minutes=-17)) == "17 分钟"
        assert words.target(Duration(minutes=240)) == "4 小时"
        assert words.target(Duration(business_days=2)) == "2 个工作日"


def test_help_names_every_command_in_the_readers_language() -> None:
    """One table: what help shows is what works, each under its English and its Chinese name."""
    shown = [name for group in commands.GROUPS.values() for name in group]
    assert sorted(shown) == sorted(commands.ALIASES)
    english = words.whisper("help", {})
    assert all(f"`{name}`" in english for name in shown)
    assert "解决" not in english
    with words.reading("zh"):
        chinese = words.whisper("help", {})
    assert all(f"`{commands.ALIASES[name][0]}` `{name}`" in chinese for name in shown)
    every = [word for english, others in commands.ALIASES.items() for word in (english, *others)]
    assert len(every) == len(set(every)), "no word means two things"


def test_a_file_that_does_not_match_is_refused(tmp_path: Path) -> None:
    """A missing key, another word to fill in, or no text at all: said with the file and the key."""
    (tmp_path / "en.yaml").write_text("a: { b: 'has {x}', c: { one: '{n} day', other: '{n} days', by: n } }", "utf-8")
    for given, said in (
        ("a: { b: 'has {x}' }", "a.c"),
        ("a: { b: 'has {y}', c: '{n}' }", "a.b needs x words"),
        ("a: { b: 1, c: '{n}' }", "a.b needs a text"),
        ("[]", "needs keys"),
    ):
        (tmp_path / "fr.yaml").write_text(given, "utf-8")
        with pytest.raises(ValueError, match=said):
            Catalogue(resources.files("bot.texts") / tmp_path, "texts").texts("fr")
    (tmp_path / "fr.yaml").write_text("a: { c: 'jours', b: '{x}' }", "utf-8")
    fine = Catalogue(resources.files("bot.texts") / tmp_path, "texts")
    assert fine.languages == ("en", "fr")
    assert list(fine.texts("fr")) == ["a.b", "a.c"]


@pytest.mark.parametrize(
    ("count", "expected"), [(None, ""), (0, "1 kB"), (999, "1 kB"), (340_200, "340 kB"), (12_540_000, "12.5 MB")]
)
def test_sizes_read_as_people_write_them(count: int | None, expected: str) -> None:
    """A size is short and has its unit."""
    assert words.size(count) == expected


def test_a_missing_value_does_not_break_a_text() -> None:
    """A notice without its channel is still a notice."""
    assert "The channel ? was archived" in entries.notice("desk_changed", {"kind": "channel_archive"}).text
    assert words.whisper("no_such_key", {}).startswith("That was not possible")
    assert words.language("de-AT") == "German"
    assert words.language("xx") == "xx"
    assert words.language(None) == ""


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("key", ["kept_unread", "kept_explicit", "kept_guard"])
def test_what_was_kept_inside_names_the_button_that_sends_it(language: str, key: str) -> None:
    """Under such a line stands one button, and on a phone others stand near it: the words are those on it."""
    with words.reading(language):
        assert words.say("button.send") in words.whisper(key, {"what": "a number"})
