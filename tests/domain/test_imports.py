"""Lists of contacts and exported histories: what is in them, what cannot be used and why, and never an exception."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import contact_list, telegram_export
from domain.contact_list import BadList, Contact, Problem
from domain.contacts import ContactKind
from domain.profile import Field, FieldType
from domain.telegram_export import BadExport, Chat

FIELDS = {"company": Field(name="company"), "birthday": Field(name="birthday", type=FieldType.DATE)}


def read(content: str, region: str | None = "DE", **chosen: str) -> list[Contact | Problem]:
    found = contact_list.columns(content.partition("\n")[0], FIELDS, chosen)
    return list(contact_list.read(content, found, FIELDS, region))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_say_themselves_what_they_are(delimiter: str) -> None:
    """English and Chinese headings, any usual separator; several phone numbers; values in their one form."""
    content = (
        "姓名,Mobile,Phone,E-Mail,Company,Shoe size\n王小明,0170 1234567,+86 138 0013 8000,ANN@Example.com,Acme,42\n"
    )
    [one] = read(content.replace(",", delimiter))
    assert isinstance(one, Contact)
    assert (one.line, one.name, one.key) == (2, "王小明", "+491701234567")
    assert one.points == (
        (ContactKind.PHONE, "+491701234567"),
        (ContactKind.PHONE, "+8613800138000"),
        (ContactKind.EMAIL, "ann@example.com"),
    )
    assert one.values == {"company": "Acme"}
    found = contact_list.columns("Name,Shoe size", FIELDS, {})
    assert found.left_out == ("Shoe size",)


def test_a_bad_line_is_told_with_its_number_and_what_to_mend_and_the_others_are_read() -> None:
    """Numbers are those of an editor, also after a cell of several lines; the line itself is kept as it was."""
    content = (
        "id,name,birthday\n"
        '1,"Ann\nExample",1990-05-17\n'
        "2,Li,17.5.90\n"
        ",Nobody,\n"
        "1,Ann again,\n"
        "\n"
        "3,Tom,,,too,many\n"
        "4,Eve,\n"
    )
    found = read(content)
    assert [one.line for one in found if isinstance(one, Contact)] == [2, 9]
    problems = {one.line: one for one in found if isinstance(one, Problem)}
    assert "such as 1990-05-17" in problems[4].words
    assert "a key, a phone number or an e-mail address" in problems[5].words
    assert "line 2" in problems[6].words
    assert "in quotes" in problems[8].words
    assert problems[4].cells == ("2", "Li", "17.5.90")


@pytest.mark.parametrize(
    ("first", "chosen", "words"),
    [
        ("", {}, "headings"),
        ("a,b", {}, "--map"),
        ("a,b", {"a": "shoe"}, "'shoe'"),
        ("a,b", {"c": "name"}, "'c'"),
        ("a,b", {"a": "name", "b": "name"}, "choose one"),
    ],
)
def test_a_list_that_cannot_be_read_says_what_to_do(first: str, chosen: dict[str, str], words: str) -> None:
    """No headings, unknown headings, a choice that names nothing."""
    with pytest.raises(BadList, match=words):
        contact_list.columns(first, FIELDS, chosen)


@given(st.text(st.characters(codec=None), max_size=200))
def test_whatever_a_list_holds_it_is_read_or_refused(content: str) -> None:
    """Each line is a contact or a problem with its number; nothing else is raised."""
    with contextlib.suppress(BadList):
        for one in read(content, name="name"):
            assert one.line >= 1
    for one in read("id,name\n" + content):
        assert one.line >= 2


def exported(*messages: object, **fields: Any) -> str:
    chat = {"name": "Ann Lee", "type": "personal_chat", "id": 4711, "messages": list(messages)}
    return json.dumps(chat | fields)


def message(number: int, words: object = "hello", **fields: Any) -> dict[str, Any]:
    given = {"id": number, "type": "message", "date_unixtime": "1700000000", "from_id": "user4711", "text": words}
    return given | fields


def test_a_history_is_read_as_who_said_what_when() -> None:
    """Dressed texts become plain, files are named, notices are counted, and the order is that of time."""
    content = exported(
        message(2, ["see ", {"type": "link", "text": "https://a.example"}], date_unixtime="1700000100"),
        message(1),
        message(3, "", photo="(File not included. Change data exporting settings to download.)"),
        message(4, "thanks", from_id="user1", reply_to_message_id=3),
        {"id": 5, "type": "service", "action": "joined_telegram"},
    )
    [chat] = telegram_export.chats(content)
    assert isinstance(chat, Chat)
    assert (chat.address, chat.name, chat.services, chat.problems) == ("4711", "Ann Lee", 1, ())
    said = {one.id: one for one in chat.messages}
    assert said[1].at == datetime.fromtimestamp(1700000000, UTC)
    assert said[2].text == "see https://a.example"
    assert said[3].file == ("photo", "photo")
    assert (said[4].by_customer, said[4].reply_to, said[1].by_customer) == (False, 3, True)
    assert chat.messages[-1].id == 2


def test_what_cannot_be_used_of_a_history_is_told_and_the_rest_is_read() -> None:
    """A message without a time, a text or a sender, a group, something that is no chat: named, one by one."""
    bad = [
        message(1, date_unixtime=None),
        message(2, ""),
        message(3, from_id=None),
        message(4, {"a": 1}),
        "odd",
        message(6),
    ]
    whole = {"chats": {"list": [json.loads(exported(*bad)), {"type": "private_group", "id": 1, "messages": []}, 7]}}
    chat, group, odd = telegram_export.chats(json.dumps(whole))
    assert isinstance(chat, Chat)
    assert [one.id for one in chat.messages] == [6]
    assert [one.message for one in chat.problems] == [1, 2, 3, 4, None]
    assert isinstance(group, telegram_export.Problem)
    assert isinstance(odd, telegram_export.Problem)
    for content in ("", "[]", "{}", '{"chats": {"list": []}}', "[" * 100_000):
        with pytest.raises(BadExport):
            list(telegram_export.chats(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(message(1))), inner, max_size=5),
    max_leaves=12,
)


@given(JSON, JSON)
def test_whatever_a_history_holds_it_is_read_or_refused(odd: object, chat: object) -> None:
    """Any JSON in the place of a message or of a chat is a message, a problem or a refusal."""
    with contextlib.suppress(BadExport):
        list(telegram_export.chats(json.dumps(chat)))
    whole = json.loads(exported()) | {"messages": [odd, message(1)]}
    list(telegram_export.chats(json.dumps({"chats": {"list": [chat, whole]}})))


def test_half_a_character_in_a_history_becomes_a_whole_one() -> None:
    """Seed 7, input 1757 of the fuzzed exports: words that could be written nowhere."""
    half = {"id": 1, "date_unixtime": "1767348000", "from_id": "user4711", "text": ["a \ud800", {"text": " b"}]}
    [chat] = telegram_export.chats(exported(half))
    assert isinstance(chat, Chat)
    assert chat.messages[0].text == "a \ufffd b"
