"""What each outcome of a send means: sent, not sent, or nobody knows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.channels.telegram import TelegramChannel
from domain import errors
from domain.changes import DeliveryKind
from domain.formatting import Span, Style
from domain.ports import Button, ChatDelivery, File
from tests import patience
from tests.bot.channels.conftest import NOW, config_at, opened
from tests.bot.channels.scripted_api import HTML, Reply, ScriptedApi, ok, refused

AT = datetime.fromtimestamp(1_760_000_000, UTC)
SENT = json.dumps({"ok": True, "result": {"message_id": 7, "date": 1_760_000_000, "text": "x" * 400}}).encode()


def text_for(address: str = "42", text: str = "It is on its way.", reply_to: str | None = None) -> ChatDelivery:
    return ChatDelivery(id="D1", kind=DeliveryKind.CHAT_TEXT, address=address, text=text, reply_to=reply_to)


def file_of(content: bytes, name: str = "bill.pdf", mime: str = "application/pdf", size: int | None = -1) -> File:
    async def download() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    return File(name=name, mime=mime, size=len(content) if size == -1 else size, open=download)


def upload(file: File, text: str = "") -> ChatDelivery:
    return ChatDelivery(id="D2", kind=DeliveryKind.CHAT_FILE, address="42", text=text, file=file)


async def test_a_text_arrives_as_typed_and_its_receipt_is_telegrams(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Markup characters are text, links make no preview, and id and time are the platform's."""
    receipt = await channel.send(text_for(text="2 < 3 & _so_ *on* 您好", reply_to="17"))
    (call,) = api.asked("sendMessage")
    assert call.fields["text"] == "2 < 3 & _so_ *on* 您好"
    assert call.fields["chat_id"] == "42"
    assert "parse_mode" not in call.fields
    assert json.loads(call.fields["link_preview_options"]) == {"is_disabled": True}
    assert json.loads(call.fields["reply_parameters"]) == {"message_id": 17, "allow_sending_without_reply": True}
    assert (receipt.platform_id, receipt.at, receipt.place) == ("101", AT, "")


async def test_an_answer_goes_into_the_chat_where_its_topic_is_gone(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A topic that was deleted loses no answer; one that the address itself names is refused and said."""
    api.say("sendMessage", refused(400, "Bad Request: message thread not found"))
    await channel.send(replace(text_for(address="-100@42"), topic="7"))
    first, second = api.asked("sendMessage")
    assert (first.fields["message_thread_id"], "message_thread_id" in second.fields) == ("7", False)
    api.say("sendMessage", refused(400, "Bad Request: message thread not found"))
    with pytest.raises(errors.NeverPossible):
        await channel.send(replace(text_for(address="-100/9"), topic=None))


BOLD = (Span(style=Style.BOLD, start=3, length=4),)


async def test_a_dressed_text_goes_out_with_entities(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Styles are entities in UTF-16 units beside the plain words, in a text and in a changed one; no parse mode."""
    await channel.send(replace(text_for(text="\U0001f44d: that works"), spans=BOLD))
    edit = ChatDelivery(
        id="D3", kind=DeliveryKind.CHAT_EDIT, address="42", text="\U0001f44d: that works", message_id="7", spans=BOLD
    )
    await channel.send(edit)
    for call in (*api.asked("sendMessage"), *api.asked("editMessageText")):
        assert call.fields["text"] == "\U0001f44d: that works"
        assert json.loads(call.fields["entities"]) == [{"type": "bold", "offset": 4, "length": 4}]
        assert "parse_mode" not in call.fields


@pytest.mark.parametrize(
    "why", ["can't parse entities: odd", "ENTITY_BOUNDS_INVALID", "ENTITIES_TOO_LONG", "BUTTON_URL_INVALID"]
)
async def test_words_whose_dress_is_refused_are_sent_plain(
    api: ScriptedApi, channel: TelegramChannel, why: str
) -> None:
    """A refusal that is about the entities alone costs the style, never the answer; the addresses of links stay."""
    span = Span(style=Style.LINK, start=4, length=30, label=7)
    api.say("sendMessage", refused(400, f"Bad Request: {why}"))
    await channel.send(replace(text_for(text="see our FAQ (https://shop.example)"), spans=(span,)))
    first, second = api.asked("sendMessage")
    assert (first.fields["text"], "entities" in first.fields) == ("see our FAQ", True)
    assert (second.fields["text"], "entities" in second.fields) == ("see our FAQ (https://shop.example)", False)


async def test_any_other_refusal_is_one(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A dressed answer that is refused for another reason is not sent a second time."""
    api.say("sendMessage", refused(400, "Bad Request: chat not found"))
    with pytest.raises(errors.NeverPossible, match="chat_not_found"):
        await channel.send(replace(text_for(text="\U0001f44d: that works"), spans=BOLD))
    assert len(api.asked("sendMessage")) == 1


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Reply(cut="before"), errors.Unclear, "no_answer"),
        (Reply(status=500, body=b'{"ok":false,"error_code":500}'), errors.Unclear, "no_answer"),
        (Reply(status=502, body=HTML, content_type="text/html"), errors.Unclear, "no_answer"),
        (Reply(status=504), errors.Unclear, "no_answer"),
        (Reply(status=302, headers={"Location": "/elsewhere"}), errors.Unclear, "no_answer"),
        (Reply(body=HTML, content_type="text/html"), errors.Unclear, "odd_answer"),
        (Reply(body=b"[1, 2]"), errors.Unclear, "odd_answer"),
        (Reply(body=b'{"hello": "there"}'), errors.Unclear, "odd_answer"),
        (Reply(body=b"[" * 20_000), errors.Unclear, "odd_answer"),
        (Reply(status=418), errors.RetryLater, "refused"),
        (Reply(status=403, body=HTML, content_type="text/html"), errors.RetryLater, "not_telegram"),
        (Reply(status=404, body=HTML, content_type="text/html"), errors.RetryLater, "not_telegram"),
        (refused(409, "Conflict: terminated by other request"), errors.RetryLater, "conflict"),
        (refused(403, "Forbidden: bot was blocked by the user"), errors.NeverPossible, "blocked"),
        (refused(403, "Forbidden: user is deactivated"), errors.NeverPossible, "deactivated"),
        (refused(403, "Forbidden: bot was kicked from the group chat"), errors.NeverPossible, "kicked"),
        (refused(403, "Forbidden: bot can't initiate conversation with a user"), errors.NeverPossible, "not_started"),
        (refused(403, "Forbidden: something new"), errors.NeverPossible, "forbidden"),
        (refused(400, "Bad Request: message is too long"), errors.NeverPossible, "too_long"),
        (refused(400, "Bad Request: chat not found"), errors.NeverPossible, "chat_not_found"),
        (refused(400, "Bad Request: message text is empty"), errors.NeverPossible, "empty"),
        (refused(400, "Bad Request: something about Ann's parcel"), errors.NeverPossible, "refused"),
        (Reply(status=413, body=HTML, content_type="text/html"), errors.NeverPossible, "too_large"),
        (refused(401, "Unauthorized"), errors.AccessRevoked, "token"),
        (refused(404, "Not Found"), errors.AccessRevoked, "token"),
    ],
)
async def test_each_outcome_says_what_must_happen_next(
    api: ScriptedApi, channel: TelegramChannel, reply: Reply, kind: type[errors.DeliveryError], code: str
) -> None:
    """Nothing unclear is called unsent, nothing refused is called unclear, and no description gets out."""
    api.say("sendMessage", reply)
    with pytest.raises(errors.DeliveryError) as raised:
        await channel.send(text_for())
    assert (type(raised.value), raised.value.code) == (kind, code)
    assert "Ann" not in str(raised.value)


async def test_an_answer_that_does_not_come_in_time_is_none(api: ScriptedApi, hasty: TelegramChannel) -> None:
    """It may have been sent all the same."""
    api.say("sendMessage", Reply(body=SENT, delay_s=3))
    with pytest.raises(errors.Unclear) as raised:
        await hasty.send(text_for())
    assert raised.value.code == "no_answer"


async def test_a_refusal_names_telegrams_error_constant(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A constant says more than our word and cannot hold personal text."""
    api.say("sendMessage", refused(400, "Bad Request: PEER_ID_INVALID for Ann"))
    with pytest.raises(errors.NeverPossible) as raised:
        await channel.send(text_for())
    assert raised.value.detail == "PEER_ID_INVALID"


@pytest.mark.parametrize(
    ("reply", "after"),
    [
        (refused(429, "Too Many Requests: retry after 17", retry_after=17), timedelta(seconds=17)),
        (refused(429, "Too Many Requests"), timedelta(seconds=5)),
        (refused(429, "Too Many Requests", retry_after=0), timedelta(seconds=5)),
        (refused(429, "Too Many Requests", retry_after="soon"), timedelta(seconds=5)),
        (Reply(status=429, body=HTML, content_type="text/html"), timedelta(seconds=5)),
    ],
)
async def test_a_rate_limit_waits_as_long_as_telegram_says(
    api: ScriptedApi, channel: TelegramChannel, reply: Reply, after: timedelta
) -> None:
    """With and without a usable retry_after: not sent, and the chat's bucket waits."""
    api.say("sendMessage", reply)
    with pytest.raises(errors.RetryLater) as raised:
        await channel.send(text_for())
    assert (raised.value.code, raised.value.after, raised.value.bucket) == ("rate_limited", after, "chat")


async def test_a_migrated_group_names_its_new_address(api: ScriptedApi, channel: TelegramChannel) -> None:
    """The conversation can be re-keyed and the message sent again."""
    api.say("sendMessage", refused(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001234))
    with pytest.raises(errors.Moved) as raised:
        await channel.send(text_for("-77"))
    assert raised.value.new_address == "-1001234"


async def test_no_connection_is_certainly_not_sent() -> None:
    """A refused connection may be retried without asking anybody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with opened(config_at(url)) as channel:
        with pytest.raises(errors.RetryLater) as raised:
            await channel.send(text_for())
    assert raised.value.code == "unreachable"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=SENT[: len(SENT) // 2]),
        Reply(body=SENT, cut="body"),
        ok({"no": "message"}),
        ok("a text"),
        ok(True),
    ],
)
async def test_a_success_with_a_lost_answer_is_a_success_without_an_id(
    api: ScriptedApi, channel: TelegramChannel, reply: Reply
) -> None:
    """200 and the beginning of a success: it was sent; repeating it would double it."""
    api.say("sendMessage", reply)
    receipt = await channel.send(text_for())
    assert (receipt.platform_id, receipt.at) == ("", NOW)


async def test_half_a_character_is_never_sent_and_never_retried(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A lone surrogate cannot be encoded; trying again would fail for ever."""
    with pytest.raises(errors.NeverPossible) as raised:
        await channel.send(text_for(text="ab\ud83d"))
    assert raised.value.code == "unencodable"
    assert api.calls == []


async def test_an_edit_that_changes_nothing_is_a_success(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Repeating an edit after a lost answer must not end as a failure."""
    edit = ChatDelivery(id="D3", kind=DeliveryKind.CHAT_EDIT, address="42", text="new", message_id="7")
    api.say("editMessageText", refused(400, "Bad Request: message is not modified: specified new message content"))
    assert (await channel.send(edit)).platform_id == "7"
    api.say("editMessageText", ok({"message_id": 7, "date": 1_700_000_000, "edit_date": 1_760_000_000}))
    assert (await channel.send(edit)).at == AT


async def test_an_edit_of_a_file_changes_its_caption(api: ScriptedApi, channel: TelegramChannel) -> None:
    """A message with a file has no text; its words are the caption."""
    api.say("editMessageText", refused(400, "Bad Request: there is no text in the message to edit"))
    await channel.send(ChatDelivery(id="D", kind=DeliveryKind.CHAT_EDIT, address="42", text="new", message_id="7"))
    assert api.asked("editMessageCaption")[0].fields["caption"] == "new"


@pytest.mark.parametrize(
    ("description", "code"),
    [("message to edit not found", "message_gone"), ("message can't be edited", "too_late")],
)
async def test_an_edit_that_cannot_be_made_says_why(
    api: ScriptedApi, channel: TelegramChannel, description: str, code: str
) -> None:
    """The agent learns that the customer still sees the old text."""
    api.say("editMessageText", refused(400, f"Bad Request: {description}"))
    with pytest.raises(errors.NeverPossible) as raised:
        await channel.send(ChatDelivery(id="D", kind=DeliveryKind.CHAT_EDIT, address="42", text="n", message_id="7"))
    assert raised.value.code == code


async def test_a_deletion_of_what_is_gone_is_a_success(api: ScriptedApi, channel: TelegramChannel) -> None:
    """What was asked for holds; a message too old to delete is a failure."""
    delete = ChatDelivery(id="D4", kind=DeliveryKind.CHAT_DELETE, address="42", message_id="7")
    assert (await channel.send(delete)).platform_id == "7"
    api.say("deleteMessage", refused(400, "Bad Request: message to delete not found"))
    assert (await channel.send(delete)).platform_id == "7"
    api.say("deleteMessage", refused(400, "Bad Request: message can't be deleted for everyone"))
    with pytest.raises(errors.NeverPossible, match="too_late"):
        await channel.send(delete)


async def test_a_customer_can_share_their_number_with_one_tap(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Telegram's own button for it stands where the keyboard is, until it was used."""
    asked = replace(text_for(text="Another one?"), kind=DeliveryKind.CHAT_AUTOMATIC, ask_contact="Share my number")
    await channel.send(asked)
    assert json.loads(api.asked("sendMessage")[0].fields["reply_markup"]) == {
        "keyboard": [[{"text": "Share my number", "request_contact": True}]],
        "one_time_keyboard": True,
        "resize_keyboard": True,
    }


async def test_buttons_stand_under_a_text(api: ScriptedApi, channel: TelegramChannel) -> None:
    """What a customer can tap goes along, row by row; an edit brings its own rows."""
    rows = ((Button(text="Yes", choice="consent:training:1"),), (Button(text="No", choice="consent:training:0"),))
    wanted = [
        [{"text": "Yes", "callback_data": "consent:training:1"}],
        [{"text": "No", "callback_data": "consent:training:0"}],
    ]
    await channel.send(replace(text_for(text="Choose"), kind=DeliveryKind.CHAT_AUTOMATIC, buttons=rows))
    assert json.loads(api.asked("sendMessage")[0].fields["reply_markup"]) == {"inline_keyboard": wanted}
    again = ChatDelivery(
        id="D", kind=DeliveryKind.CHAT_AUTOMATIC, address="42", text="Chosen", message_id="7", buttons=rows
    )
    await channel.send(again)
    edit = api.asked("editMessageText")[0].fields
    assert (edit["message_id"], edit["text"]) == ("7", "Chosen")
    assert json.loads(edit["reply_markup"]) == {"inline_keyboard": wanted}


async def test_a_tap_is_answered_where_the_finger_is(api: ScriptedApi, channel: TelegramChannel) -> None:
    """The answer names the tap; one that comes too late is a plain failure."""
    answer = ChatDelivery(id="D", kind=DeliveryKind.CHAT_ANSWER, address="42", text="Noted. " * 60, query_id="4711")
    api.say("answerCallbackQuery", ok(True))
    await channel.send(answer)
    sent = api.asked("answerCallbackQuery")[0].fields
    assert sent["callback_query_id"] == "4711"
    assert len(sent["text"]) <= 200
    api.say("answerCallbackQuery", refused(400, "Bad Request: query is too old and response timeout expired"))
    with pytest.raises(errors.NeverPossible, match="too_late"):
        await channel.send(answer)


async def test_a_change_without_a_number_is_refused(channel: TelegramChannel) -> None:
    """A message whose id was lost can be neither edited nor deleted."""
    for kind in (DeliveryKind.CHAT_EDIT, DeliveryKind.CHAT_DELETE):
        with pytest.raises(errors.NeverPossible, match="message_unknown"):
            await channel.send(ChatDelivery(id="D", kind=kind, address="42", text="x"))


@pytest.mark.parametrize("size", [-1, None])
async def test_a_file_is_streamed_with_its_name_type_and_caption(
    api: ScriptedApi, channel: TelegramChannel, size: int | None
) -> None:
    """Whether or not its size is known, the customer gets the same bytes under a safe name."""
    content = bytes(range(256)) * 40
    receipt = await channel.send(upload(file_of(content, name='../Rechn"ung März 发票.pdf', size=size), text="Here."))
    (call,) = api.asked("sendDocument")
    name, mime, sent = call.files["document"]
    assert sent == content
    assert (name, mime) == ("Rechn_ung März 发票.pdf", "application/pdf")
    assert call.fields["caption"] == "Here."
    assert receipt.platform_id == "101"


async def test_a_small_picture_is_sent_as_a_photo_and_otherwise_as_a_file(
    api: ScriptedApi, channel: TelegramChannel
) -> None:
    """What Telegram will not take as a photo still arrives."""
    picture = file_of(b"\x89PNG" + b"\0" * 5000, name="a.png", mime="image/png")
    await channel.send(upload(picture))
    assert api.asked("sendPhoto")[0].files["photo"][2].startswith(b"\x89PNG")
    api.say("sendPhoto", refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"))
    await channel.send(upload(picture))
    assert len(api.asked("sendDocument")) == 1


async def test_a_file_that_ends_early_is_not_sent(api: ScriptedApi, channel: TelegramChannel) -> None:
    """It is not what its platform announced, and would not be the next time: no lane waits for it."""
    with pytest.raises(errors.NeverPossible, match="file_changed"):
        await channel.send(upload(file_of(b"x" * 5000, size=9000)))
    with pytest.raises(errors.NeverPossible, match="file_changed"):
        await channel.send(upload(file_of(b"x" * 9000, size=5000)))
    assert api.asked("sendDocument") == []


async def test_an_upload_that_was_cut_is_certainly_not_sent(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Without its end no server can have acted on it; with it, nobody knows."""

    async def download() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000
            await asyncio.sleep(0.005)

    api.say("sendDocument", Reply(cut="unread"), Reply(cut="before"))
    file = File(name="a.bin", mime="text/plain", size=10_000_000, open=download)
    with pytest.raises(errors.RetryLater, match="unreachable"):
        await channel.send(upload(file))
    with pytest.raises(errors.Unclear):
        await channel.send(upload(file_of(b"x" * 5000)))


async def test_an_upload_that_moves_too_slowly_is_given_up(api: ScriptedApi) -> None:
    """Its next try would take as long, and every later answer would wait for it."""

    async def dripping() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.Event().wait()

    slow = File(name="a.bin", mime="application/octet-stream", size=40_000, open=dripping)
    async with opened(replace(config_at(api.url), transfer_timeout_s=0.1)) as hurried:
        with pytest.raises(errors.NeverPossible, match="too_slow"):
            await hurried.send(upload(slow))
    assert api.calls == []


async def test_a_slow_source_does_not_make_an_upload_too_slow(api: ScriptedApi) -> None:
    """What our storage or another platform takes to give the file is not Telegram's time."""

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.6)
            yield b"x" * 1000

    file = File(name="a.bin", mime="application/octet-stream", size=3000, open=slowly)
    async with opened(replace(config_at(api.url), transfer_timeout_s=1.5)) as hurried:
        await hurried.send(upload(file))
    (call,) = api.asked("sendDocument")
    assert call.files["document"][-1] == b"x" * 3000


async def test_a_server_that_takes_nothing_of_an_upload_is_given_up(api: ScriptedApi) -> None:
    """Its source goes on giving: that is not what is waited for."""

    async def pausing() -> AsyncIterator[bytes]:
        for _ in range(30):
            await asyncio.sleep(0.001)
            yield bytes(1_000_000)

    api.say("sendDocument", Reply(cut="unread", delay_s=patience.LONG_S))
    file = File(name="a.bin", mime="application/octet-stream", size=30_000_000, open=pausing)
    async with opened(replace(config_at(api.url), transfer_timeout_s=0.3)) as hurried:
        with pytest.raises(errors.NeverPossible, match="too_slow"):
            await hurried.send(upload(file))
    assert api.calls == []


@pytest.mark.parametrize("is_handed_over", [False, True])
async def test_whoever_stops_an_upload_knows_whether_it_can_have_arrived(
    api: ScriptedApi, channel: TelegramChannel, is_handed_over: bool
) -> None:
    """Before its end has left no server can have acted on it; afterwards nobody knows."""
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        begun.set()
        if not is_handed_over:
            await asyncio.Event().wait()
        yield b"x"

    api.say("sendDocument", replace(ok({"message_id": 7, "date": 1}), delay_s=patience.LONG_S))
    file = File(name="a.bin", mime="application/octet-stream", size=1, open=slowly)
    sending = asyncio.create_task(channel.send(upload(file)))
    await begun.wait()
    if is_handed_over:
        await patience.eventually(lambda: api.asked("sendDocument"), what="all of it there")
    sending.cancel()
    with pytest.raises(asyncio.CancelledError) as stopped:
        await sending
    assert isinstance(stopped.value, errors.StoppedUnsent) is not is_handed_over


async def test_what_was_handed_over_may_take_longer_than_a_text(api: ScriptedApi) -> None:
    """Telegram carries a file on before it answers: as unclear counts what takes longer than a transfer may."""
    api.say("sendDocument", replace(ok({"message_id": 7, "date": 1}), delay_s=0.5))
    async with opened(replace(config_at(api.url), send_timeout_s=0.1)) as hasty:
        receipt = await hasty.send(upload(file_of(b"x" * 5000)))
    assert receipt.platform_id == "7"


async def test_a_server_that_takes_less_than_an_album_is_understood(api: ScriptedApi, channel: TelegramChannel) -> None:
    """It says so before all of it has come: the answer counts, not the connection that ends."""
    api.say("sendDocument", Reply(status=413, body=b"<html>413 Request Entity Too Large</html>"))
    with pytest.raises(errors.NeverPossible, match="too_large"):
        await channel.send(upload(file_of(b"x" * 5_000_000)))


async def test_a_sources_own_failure_is_passed_on(channel: TelegramChannel) -> None:
    """When the desk no longer has the file, that is the reason the agent sees."""

    async def download() -> AsyncIterator[bytes]:
        yield b"x"
        raise errors.NeverPossible("file_deleted")

    with pytest.raises(errors.NeverPossible, match="file_deleted"):
        await channel.send(upload(File(name="a", mime="text/plain", size=None, open=download)))


@pytest.mark.parametrize("size", [50_000_001, 0])
async def test_what_telegram_would_not_take_is_refused_before_it_is_read(
    api: ScriptedApi, channel: TelegramChannel, size: int
) -> None:
    """Too large and empty files cost no transfer."""
    with pytest.raises(errors.NeverPossible, match=r"too_large|empty"):
        await channel.send(upload(file_of(b"", size=size)))
    assert api.calls == []


async def test_a_desk_delivery_is_not_sent_to_a_customer(api: ScriptedApi, channel: TelegramChannel) -> None:
    """Whatever is wired wrongly, a note never leaves."""
    with pytest.raises(errors.NeverPossible, match="wrong_side"):
        await channel.send(ChatDelivery(id="D", kind=DeliveryKind.DESK_ENTRY, address="42", text="internal"))
    assert api.calls == []
