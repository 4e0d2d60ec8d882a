"""Windows at the desk: the reply window with its canned answers, and the one in which a canned answer is edited.

They are opened at the door, from memory and one look at the record, since Slack waits three seconds. An answer that
is sent with one is stored like every other event and decided by the worker; a canned reply is kept in its file.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from datetime import datetime
from typing import Any

import structlog

from bot.canned import BadReplies
from bot.desk import blocks, canned_window, fact_window, forms, found, words
from bot.desk.blocks import Block
from bot.desk.client import SlackApi
from bot.desk.directory import Directory
from bot.desk.payloads import EDIT, REPLY, Payload, mapping, read_form, string, user_of
from bot.desk.words import Names
from bot.replying import Form, Refusal, Replying
from bot.searching import Searching
from domain import canned, text
from domain.canned import Reply
from domain.errors import DeliveryError, NotYet
from domain.model import MOST_DIGITS
from domain.roles import Act, may
from domain.unfit import Unfit
from handlers import commands

log = structlog.get_logger(__name__)

NEWEST_LIMIT = 600
CANNED, TEXT = "canned", "text"
TEXT_LIMIT = 3000
"""Characters that Slack takes in a field."""


_Work = tuple[Coroutine[Any, Any, None], bool]


class Modals:
    """Opens windows and keeps them up to date, and answers searches. `replying` and `searching` are set once the house
    stands; without `replying` nothing of this is done. `address` says where a post is found.
    """

    def __init__(self, api: SlackApi, directory: Directory, address: found.Address, language: str = "en") -> None:
        self._api = api
        self._directory = directory
        self._address = address
        self._language = language
        self.searching: Searching | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.replying: Replying | None = None

    def hear(self, kind: str, payload: Payload) -> bool:
        """Take a payload up if it is about a window; returns whether that is all there is to it (nothing to store)."""
        if self.replying is None:
            return False
        taken = self._of(kind, payload, self.replying)
        if taken is None:
            return False
        work, is_all = taken
        task = asyncio.get_running_loop().create_task(self._guarded(work, payload), name="modal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return is_all

    async def close(self) -> None:
        """Let what was begun end. Idempotent."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _of(self, kind: str, payload: Payload, replying: Replying) -> _Work | None:
        view = mapping(payload.get("view"))
        what, ours = string(payload, "type"), string(view, "callback_id")
        if kind == "slash_commands":
            first, _, rest = commands.plain(string(payload, "text")).partition(" ")
            if first.lower() in fact_window.WORDS:
                return self._fact(payload, string(payload, "user_id"), string(payload, "channel_id"), None), True
            if first.lower() in found.WORDS and self.searching is not None:
                return self._search(payload, rest.strip(), self.searching), True
            return (
                (self._commanded(payload, rest.strip(), replying), True) if first.lower() in words.REPLY_WORDS else None
            )
        if what == "message_action" and ours_of(payload) == forms.ANSWER:
            return self._answered(payload, replying), True
        if what == "block_actions":
            actions = payload.get("actions")
            action = mapping(actions[0]) if isinstance(actions, list) and actions else {}
            if ours == REPLY and string(action, "action_id") == CANNED:
                return self._chosen(payload, view, action, replying), True
            if string(action, "action_id") == fact_window.FACT:
                _, _, customer = blocks.read_value(string(action, "value"))
                place = string(mapping(payload.get("channel")), "id")
                return self._fact(payload, string(mapping(payload.get("user")), "id"), place, customer), True
            if string(action, "action_id") == REPLY:
                return self._pressed(payload, string(action, "value"), replying), True
        if ours == REPLY and what in ("view_closed", "view_submission"):
            form = read_form(view)
            if not form:
                return None
            return replying.answering.end(form["c"], string(view, "id")), what == "view_closed"
        if ours == EDIT and what == "view_submission":
            return self._edited(payload, view, replying), True
        return None

    async def _guarded(self, work: Coroutine[Any, Any, None], payload: Payload) -> None:
        try:
            with words.reading(await self._directory.language_soon(user_of(payload)), self._language):
                await work
        except NotYet:
            log.warning("desk.window_not_opened", reason="nobody can say who this is")
        except DeliveryError as error:
            log.warning("desk.window_not_opened", reason=error.code)
        except Exception as error:  # a window is a convenience: what goes wrong with one stops nothing else
            log.exception("desk.window_failed", error=type(error).__name__, kind=string(payload, "type"))
        finally:
            work.close()  # nothing where it ran; where it never began, nobody waits for it any more

    # ---- the reply window -----------------------------------------------------------------------------------

    async def _pressed(self, payload: Payload, value: str, replying: Replying) -> None:
        conversation, _, _ = blocks.read_value(value)
        user = string(mapping(payload.get("user")), "id")
        place = string(mapping(payload.get("channel")), "id")
        if (roles := await self._may(user, place, Act.REPLY)) is not None:
            form = await replying.form(user, roles, conversation_id=conversation)
            await self._open(payload, user, place, form, replying)

    async def _answered(self, payload: Payload, replying: Replying) -> None:
        """The shortcut on a message: the window for its conversation; on a customer's own, for that message."""
        user, message = string(mapping(payload.get("user")), "id"), mapping(payload.get("message"))
        place, ts = string(mapping(payload.get("channel")), "id"), string(message, "ts")
        if (roles := await self._may(user, place, Act.REPLY)) is not None:
            thread = (place, string(message, "thread_ts") or ts)
            form = await replying.form(user, roles, thread=thread, post=(place, ts))
            await self._open(payload, user, place, form, replying)

    async def _commanded(self, payload: Payload, rest: str, replying: Replying) -> None:
        """`reply #1042 words`, `reply words` to look for one, `reply edit name`."""
        user, place = string(payload, "user_id"), string(payload, "channel_id")
        first, _, behind = rest.partition(" ")
        if first.lower() in words.EDIT_WORDS:
            if await self._may(user, place, Act.EDIT_REPLIES) is not None:
                name = canned_window.named(behind)
                view = canned_window.view(replying.canned.book().get(name), name, replying.languages)
                await self._api.call("views.open", trigger_id=string(payload, "trigger_id"), view=view)
            return
        roles = await self._may(user, place, Act.REPLY)
        if roles is None:
            return
        number = first.removeprefix("#")
        if not (number.isascii() and number.isdigit()):
            await self._whisper(user, place, listed(canned.search(replying.canned.book().replies, rest)))
            return
        wanted = int(number) if len(number) <= MOST_DIGITS else 0  # which nobody has
        form = await replying.form(user, roles, number=wanted, words=behind.strip())
        await self._open(payload, user, place, form, replying)

    async def _open(self, payload: Payload, user: str, place: str, form: Form | Refusal, replying: Replying) -> None:
        if isinstance(form, str):
            await self._whisper(user, place, words.whisper(form, {}))
            return
        await replying.opened(user, form)
        view = reply_view(form, self._directory.name)
        answer = await self._api.call("views.open", trigger_id=string(payload, "trigger_id"), view=view)
        window = string(mapping(answer.get("view")), "id")
        others = await replying.answering.begin(form.conversation_id, window, user, datetime.now().astimezone())
        name = text.escape_mrkdwn(self._directory.name(user) or words.say("reply.somebody"))
        for other in others:
            with words.reading(await self._directory.language_of(other), self._language):
                said = words.whisper("also_answering", {"name": name, "number": str(form.number)})
            await self._whisper(other, form.place, said, form.thread_ts)

    async def _search(self, payload: Payload, asked: str, searching: Searching) -> None:
        """`search words`: what is found, to nobody else. The words are kept nowhere."""
        user, place = string(payload, "user_id"), string(payload, "channel_id")
        roles = await self._may(user, place, Act.SEE)
        if roles is None:
            return
        try:
            query, answer = await searching.find(user, roles, asked)
        except Unfit as error:
            said = words.say("found.how")
            if asked:
                given = {name: text.escape_mrkdwn(value) for name, value in error.values.items()}
                said = words.say("found.unfit", said=words.unfit(error.code, given), how=said)
            await self._whisper(user, place, said)
            return
        rules = searching.rules
        hidden = rules.hidden(user, roles)
        post = await found.post(
            query,
            answer,
            place=place,
            rules=rules,
            address=self._address,
            names=self._directory.name,
            meet=self._directory.meet,
            hidden=hidden,
        )
        await self._whisper(user, place, post.text, shown=post.blocks)

    async def _fact(self, payload: Payload, user: str, place: str, customer: str | None) -> None:
        """The window for what happened elsewhere, for a customer or for somebody new."""
        if await self._may(user, place, Act.NOTE) is not None:
            view = fact_window.view(customer, place)
            await self._api.call("views.open", trigger_id=string(payload, "trigger_id"), view=view)

    async def _chosen(self, payload: Payload, view: Payload, action: Payload, replying: Replying) -> None:
        kept = read_form(view)
        user = string(mapping(payload.get("user")), "id")
        roles = await self._may(user, str(kept["p"]), Act.REPLY) if kept else None
        if roles is None:
            return
        on = string(kept, "m")
        post = (str(kept["p"]), on) if on else None
        form = await replying.form(user, roles, conversation_id=str(kept["c"]), post=post)
        if isinstance(form, str):
            return
        typed = typed_in(view)
        reply_id = string(mapping(action.get("selected_option")), "value")
        filled = replying.filled(form, reply_id, replying.called(user, self._directory.name(user) or ""), typed)
        shown = reply_view(filled, self._directory.name)
        shown["private_metadata"] = string(view, "private_metadata")  # what was seen when it was opened
        await self._api.call("views.update", view_id=string(view, "id"), hash=string(view, "hash"), view=shown)

    # ---- editing --------------------------------------------------------------------------------------------

    async def _edited(self, payload: Payload, view: Payload, replying: Replying) -> None:
        user = string(mapping(payload.get("user")), "id")
        if await self._may(user, user, Act.EDIT_REPLIES) is None:
            return
        written = canned_window.read(view)
        try:
            await asyncio.to_thread(replying.canned.save, written)
        except (BadReplies, OSError) as error:
            said = words.whisper("reply_not_kept", {"reason": _not_kept(error)})
            shown = canned_window.again(written, said, replying.languages)
            try:
                await self._api.call("views.open", trigger_id=string(payload, "trigger_id"), view=shown)
            except DeliveryError:  # too late for a window, or Slack takes none now
                await self._tell(user, said)
            return
        name = written.id
        log.info("canned.edited", reply=name, agent=user)
        await replying.edited(user, name)
        await self._tell(user, words.whisper("reply_kept", {"name": text.escape_mrkdwn(name)}))

    # ---- who, and telling -----------------------------------------------------------------------------------

    async def _may(self, user: str, place: str, act: Act) -> frozenset[str] | None:
        """The roles of somebody who may do this; None for one who may not, and was told so."""
        if may(roles := await self._directory.roles_of(user), act):
            return roles
        if self.replying is not None:
            await self.replying.refused(user, "command", f"{act.value} without the role")
        await self._whisper(user, place, words.whisper("refused_action", {}))
        return None

    async def _whisper(
        self, user: str, place: str, said: str, thread_ts: str | None = None, shown: list[Block] | None = None
    ) -> None:
        await self._api.call(
            "chat.postEphemeral",
            channel=place,
            user=user,
            thread_ts=thread_ts,
            text=said,
            blocks=shown,
            link_names=False,
            parse="none",
        )

    async def _tell(self, user: str, said: str) -> None:
        opened = await self._api.call("conversations.open", users=user)
        channel = string(mapping(opened.get("channel")), "id")
        await self._api.call("chat.postMessage", channel=channel, text=said, link_names=False, parse="none")


def ours_of(payload: Payload) -> str:
    """The name of a shortcut of ours."""
    return string(payload, "callback_id").removeprefix(forms.PREFIX)


def reply_view(form: Form, names: Names) -> Block:
    """The reply window: the customer's words, who else is answering, the canned answers, the text."""
    made: list[Block] = []
    if form.newest:
        made.append(blocks.quote(text.excerpt(form.newest, NEWEST_LIMIT)))
    said = [words.say("reply.answering", name=_name(names, other)) for other in form.others]
    if form.assignee and form.assignee not in form.others:
        said.append(words.say("reply.has_it", name=_name(names, form.assignee)))
    if form.signed:
        said.append(words.say("reply.signed", name=text.escape_mrkdwn(form.signed)))
    if said:
        made.append(blocks.context("\n".join(said)))
    groups = [
        {"label": blocks.plain(label), "options": [_option(one) for one in replies]}
        for label, replies in ((words.say("reply.best"), form.best), (words.say("reply.all"), form.rest))
        if replies
    ]
    if groups:
        made.append(
            {
                "type": "input",
                "block_id": CANNED,
                "dispatch_action": True,
                "optional": True,
                "label": blocks.plain(words.say("reply.canned")),
                "element": {
                    "type": "static_select",
                    "action_id": CANNED,
                    "placeholder": blocks.plain(words.say("reply.pick")),
                    "option_groups": groups,
                },
            }
        )
    field: Block = {"type": "plain_text_input", "action_id": TEXT, "multiline": True, "max_length": TEXT_LIMIT}
    if form.text:
        field["initial_value"] = form.text[:TEXT_LIMIT]
    label = blocks.plain(words.say("reply.to", name=text.excerpt(form.customer, 60) or words.say("reply.the_customer")))
    # Another block for another text: what was entered before stays only where the ids stay.
    made.append({"type": "input", "block_id": f"{TEXT}:{form.chosen}", "label": label, "element": field})
    kept = {
        "c": form.conversation_id,
        "p": form.place,
        "t": form.thread_ts,
        "e": form.entry_id,
        "v": form.seen,
        "m": form.post,
        "q": form.answers,
    }
    return {
        "type": "modal",
        "callback_id": REPLY,
        "notify_on_close": True,
        "title": blocks.plain(words.say("reply.title", number=form.number)),
        "submit": blocks.plain(words.say("reply.send")),
        "close": blocks.plain(words.say("reply.cancel")),
        "private_metadata": json.dumps(kept),
        "blocks": made,
    }


def _not_kept(error: BadReplies | OSError) -> str:
    """Why a canned answer was not written, mistake by mistake."""
    log.warning("canned.not_written", error=type(error).__name__)
    mistakes = error.mistakes if isinstance(error, BadReplies) else ()
    return words.say("list.semicolon").join(
        words.unfit(one.code, {name: text.escape_mrkdwn(value) for name, value in one.values.items()})
        for one in mistakes or (Unfit("reply_not_written", ""),)
    )


def listed(found: list[Reply]) -> str:
    """Canned answers with their beginnings, as one escaped text."""
    if not found:
        return words.say("reply.none")
    lines = [words.say("reply.how")]
    for one in found[:20]:
        title = text.escape_mrkdwn(canned.in_language(one.titles, words.language_now(), "en"))
        begins = text.escape_mrkdwn(text.excerpt(canned.in_language(one.texts, words.language_now(), "en"), 90))
        lines.append(f"• *{title}* `{one.id}`{blocks.SEPARATOR}{begins}")
    return "\n".join(lines)


def typed_in(view: Mapping[str, Any]) -> str:
    """What stands in the text field of a reply window."""
    for block, fields in _values(view).items():
        if block.partition(":")[0] == TEXT:
            return string(mapping(mapping(fields).get(TEXT)), "value")
    return ""


def _values(view: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: mapping(fields) for name, fields in mapping(mapping(view.get("state")).get("values")).items()}


def _option(reply: Reply) -> Block:
    """A canned answer to pick: its title is for who reads the window, its text for the customer."""
    title = canned.in_language(reply.titles, words.language_now(), "en") or reply.id
    return {"text": blocks.plain(text.excerpt(title, blocks.BUTTON_LIMIT)), "value": reply.id[:75]}


def _name(names: Names, user: str) -> str:
    return text.escape_mrkdwn(names(user) or words.say("reply.somebody"))
