"""Slack out: one delivery, one post, rendered at the moment of sending."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from bot.desk import (
    alerts,
    blocks,
    cases,
    changed,
    deadlines,
    entries,
    files,
    forms,
    home,
    moves,
    persons,
    reacted,
    transcripts,
    words,
)
from bot.desk.addresses import Addresses
from bot.desk.client import SlackApi
from bot.desk.directory import Directory
from bot.desk.entries import Post
from bot.desk.posts import Posts, receipt_of
from domain.changes import DeliveryKind
from domain.errors import AccessRevoked, NeverPossible, ThreadGone
from domain.model import ActorKind, Attachment, Entry, EntryKind
from domain.ports import DeskDelivery, Receipt

log = structlog.get_logger(__name__)

OURS = frozenset({"account_inactive", "invalid_auth", "missing_scope", "not_authed", "token_expired", "token_revoked"})
"""Refusals that no other channel would help with: our own access is gone."""
GONE = frozenset({"channel_not_found", "file_deleted", "file_not_found", "message_not_found"})
"""What a post that is to be taken away may answer: there is none."""
NOT_OURS = frozenset({"cant_update_message", "message_not_found"})
"""A card that is gone, or that another bot has posted: ours, before the app was installed anew. Its buttons lead
nowhere, so that the conversation goes on under a card of the bot that we are now.
"""
HOMES_KEPT = 1_000
PEOPLE = ("U", "W")
"""How Slack's ids of people begin."""


class Poster:
    """Sends desk deliveries."""

    def __init__(
        self,
        api: SlackApi,
        directory: Directory,
        posts: Posts,
        now: Callable[[], datetime],
        language: str = "en",
    ) -> None:
        self._api = api
        self._directory = directory
        self._posts = posts
        self._now = now
        self._language = language
        self.addresses = Addresses(api)
        self._homes: dict[str, int] = {}  # how each person's page looks, as far as this process drew it

    async def deliver(self, delivery: DeskDelivery) -> Receipt:
        """Show one delivery, in the language of whoever reads it. Raises a DeliveryError."""
        await self._meet(delivery)
        with words.reading(delivery.language, self._language):
            return await self._deliver(delivery)

    async def _meet(self, delivery: DeskDelivery) -> None:
        """Learn the names of colleagues that a post says: a process that never heard of somebody asks for theirs.

        So a line says who it was by one name, whichever process writes it, and after a restart.
        """
        said = (*((delivery.entry,) if delivery.entry is not None else ()), *delivery.history, *delivery.told)
        actors = {one.actor.id for one in said if one.actor.kind is ActorKind.AGENT}
        ends = (one.data.get(end) for one in said if one.kind is EntryKind.ASSIGNEE for end in ("from", "to"))
        alerted = (one.data.get("told") or () for one in said if one.kind is EntryKind.CLOCK)
        people = (who for places in alerted for place in places for who in str(place).split() if who.startswith(PEOPLE))
        await self._directory.meet(sorted({*actors, *(str(end) for end in ends if end), *people} - {None}))

    async def _deliver(self, delivery: DeskDelivery) -> Receipt:
        match delivery.kind:
            case DeliveryKind.DESK_CARD:
                return await self._posts.put(delivery, _card(await self._linked(delivery)), thread=False)
            case DeliveryKind.DESK_UPDATE:
                return await self._update_card(delivery)
            case DeliveryKind.DESK_ENTRY:
                return await self._line(delivery, self._entry(delivery))
            case DeliveryKind.DESK_EDIT:
                return await self._edit(delivery)
            case DeliveryKind.DESK_FILE:
                return await self._file(delivery)
            case DeliveryKind.DESK_WHISPER:
                return await self._whisper(delivery)
            case DeliveryKind.DESK_REACTION:
                return await self._react(delivery)
            case DeliveryKind.DESK_NOTICE:
                return await self._notice(delivery)
            case DeliveryKind.DESK_HOME:
                return await self._home(delivery)
            case DeliveryKind.DESK_PERSON | DeliveryKind.DESK_CASE | DeliveryKind.DESK_DELETE:
                return await self._about_people(delivery)
            case DeliveryKind.DESK_ALERT:
                return await self._alert(delivery)
            case DeliveryKind.DESK_STATUS:
                return await self._status(delivery)
            case DeliveryKind.DESK_MOVED | DeliveryKind.DESK_TRANSCRIPT:
                return await self._elsewhere(delivery)
            case _:
                raise NeverPossible("not_for_the_desk", delivery.kind.value)

    async def _update_card(self, delivery: DeskDelivery) -> Receipt:
        try:
            return await self._posts.update(delivery, _card(await self._linked(delivery)))
        except NeverPossible as error:
            if error.code in NOT_OURS:
                raise ThreadGone("root_deleted", str(delivery.message_ts)) from None
            raise

    async def _edit(self, delivery: DeskDelivery) -> Receipt:
        entry = _entry_of(delivery)
        if "stood" in delivery.data:
            return await self._asked_elsewhere(delivery)
        if entry.kind is EntryKind.NOT_DELIVERED:
            (settled,) = delivery.told
            await self._posts.update_if_there(delivery, entries.settled_failure(entry, settled, self._directory.name))
            return Receipt(platform_id=str(delivery.message_ts), at=self._now(), place=delivery.place)
        if delivery.message_ts is not None:
            await self._posts.update_if_there(delivery, _changed(delivery, entry))
        if entry.kind is EntryKind.HELD:  # a question that was settled, or about other words, says so where it stands
            return Receipt(platform_id=str(delivery.message_ts), at=self._now(), place=delivery.place)
        return await self._line(delivery, entries.edit_line(entry, delivery.earlier))

    async def _line(self, delivery: DeskDelivery, post: Post) -> Receipt:
        """A line of the thread: changed where it stands, posted where it does not, or no more."""
        standing = replace(delivery, message_ts=delivery.line_ts)
        return await self._posts.update_if_there(standing, post) or await self._posts.put(delivery, post)

    async def _asked_elsewhere(self, delivery: DeskDelivery) -> Receipt:
        """A question in a thread that its conversation has left: it leads to where it is asked now."""
        thread = None if delivery.card is None else delivery.card.conversation.thread
        link = await self.addresses.of(thread.channel, thread.ts) if thread is not None and thread.ts else None
        try:
            await self._posts.update_if_there(delivery, moves.closed_question(link))
        except AccessRevoked as error:
            if error.code in OURS:
                raise
            raise NeverPossible(error.code, "the old channel") from None  # it waits for nothing there any more
        return Receipt(platform_id=str(delivery.message_ts), at=self._now(), place=delivery.place)

    async def _file(self, delivery: DeskDelivery) -> Receipt:
        attachment = _attachment_of(delivery)
        if delivery.file is None:
            code = (attachment.problem if attachment else None) or str(delivery.data.get("reason") or "file_gone")
            return await self._posts.put(delivery, entries.file_line(attachment, code))
        try:
            file_id = await files.upload(self._api, delivery, delivery.file)
        except NeverPossible as error:
            return await self._posts.put(delivery, entries.file_line(attachment, error.code))
        return Receipt(platform_id=file_id, at=self._now(), place=delivery.place)

    async def _whisper(self, delivery: DeskDelivery) -> Receipt:
        key = str(delivery.data.get("text") or "")
        if key in deadlines.TEXTS:
            links = await self.addresses.all(deadlines.places(delivery.data))
            said = deadlines.whisper(key, delivery.data, links)
        else:
            ready = {"where": await self._where(delivery.data)}
            if delivery.entry is not None:  # what was done, as it stands in the thread
                titles = delivery.data.get("titles") or changed.UNTITLED
                key = "command_did"
                ready["did"] = changed.line(delivery.entry, self._directory.name, titles, is_named=False)
            said = entries.whisper(key, delivery.data, **ready)
        buttons = entries.whisper_blocks(said, delivery.data)
        trigger = str(delivery.data.get("trigger") or "")
        if trigger and not buttons and await self._window(trigger, said):
            return Receipt(platform_id="", at=self._now(), place=delivery.place)
        return await self._posts.whisper(delivery, said, buttons)

    async def _window(self, trigger: str, said: str) -> bool:
        """Say it in a window, which is seen in a channel as in a thread; False where it is too late for one.

        What only one person sees in a thread, they see with that thread open alone; a card is pressed in its channel.
        """
        try:
            await self._api.call("views.open", trigger_id=trigger, view=forms.telling(said))
        except NeverPossible as error:
            return error.code == "exchanged_trigger_id"  # it opened, and we died before we knew
        return True

    async def _home(self, delivery: DeskDelivery) -> Receipt:
        """Draw somebody's page; behind their back only one that looks another way than before."""
        links = await self.addresses.all(home.places(delivery.data["page"], delivery.data["board"]))
        about = (delivery.data[name] for name in ("page", "board", "titles", "hours", "practice"))
        view = home.view(*about, links=links)
        looks = hash(json.dumps(view))
        if not delivery.data.get("pushed") or self._homes.get(delivery.place) != looks:
            await self._api.call("views.publish", user_id=delivery.place, view=view)
            self._homes = dict([*self._homes.items(), (delivery.place, looks)][-HOMES_KEPT:])
        return Receipt(platform_id="", at=self._now(), place=delivery.place)

    async def _react(self, delivery: DeskDelivery) -> Receipt:
        """Put the echo `name` on a message, after taking the earlier one `remove` away (or several; may be missing)."""
        ts = str(delivery.data.get("ts") or delivery.message_ts or "")
        gone, name = delivery.data.get("remove") or (), delivery.data.get("name")
        for one in (gone,) if isinstance(gone, str) else gone:
            await self._echo("reactions.remove", delivery.place, ts, str(one))
        if name:
            await self._echo("reactions.add", delivery.place, ts, str(name))
        return receipt_of({"ts": ts}, delivery.place)

    async def _echo(self, method: str, place: str, ts: str, name: str) -> None:
        try:
            await self._api.call(method, channel=place, timestamp=ts, name=name.strip(":"))
        except NeverPossible as error:
            if error.code not in ("already_reacted", "no_reaction", "message_not_found"):  # or its line was deleted
                raise

    async def _notice(self, delivery: DeskDelivery) -> Receipt:
        return await self._posts.put(delivery, entries.notice(str(delivery.data.get("text") or ""), delivery.data))

    async def _about_people(self, delivery: DeskDelivery) -> Receipt:
        if delivery.kind is DeliveryKind.DESK_PERSON:
            return await self._person(delivery)
        return await (self._case(delivery) if delivery.kind is DeliveryKind.DESK_CASE else self._delete(delivery))

    async def _person(self, delivery: DeskDelivery) -> Receipt:
        if delivery.person is None:
            raise NeverPossible("nothing_to_show", delivery.kind.value)
        links = await self.addresses.all(persons.places(delivery.person))
        post = persons.post(delivery.person, clear=delivery.data.get("reveal") == "yes", links=links)
        # Beside the card where it was pressed: in its thread it would be seen with that thread open alone.
        return await self._posts.whisper(replace(delivery, thread_ts=None), post.text, post.blocks)

    async def _case(self, delivery: DeskDelivery) -> Receipt:
        if delivery.case is None:
            raise NeverPossible("nothing_to_show", delivery.kind.value)
        post = cases.post(delivery.case)
        changed = await self._posts.update_if_there(delivery, post)
        return changed or await self._posts.put(delivery, post, thread=False)

    async def _delete(self, delivery: DeskDelivery) -> Receipt:
        """Take a post or file of ours away; one that is gone already is what was asked for."""
        ts, file = str(delivery.data.get("ts") or ""), str(delivery.data.get("file") or "")
        try:
            if file:
                await self._api.call("files.delete", file=file)
            else:
                await self._api.call("chat.delete", channel=delivery.place, ts=ts)
        except NeverPossible as error:
            if error.code not in GONE:
                raise
        return Receipt(platform_id=file or ts, at=self._now(), place=delivery.place)

    async def _alert(self, delivery: DeskDelivery) -> Receipt:
        """Tell somebody of a deadline; where they cannot be told, the fallback channel hears it."""
        in_thread = delivery.data.get("way") == "thread"
        mention = [str(one) for one in delivery.data.get("mention") or ()]
        link = None if in_thread else await self._link(delivery)
        post = alerts.alert_post(_entry_of(delivery), mention, delivery.card, link, in_thread=in_thread)
        try:
            place = await self._posts.direct(delivery.place)
            return await self._posts.put(replace(delivery, place=place), post, thread=in_thread)
        except (AccessRevoked, NeverPossible) as error:
            fallback = str(delivery.data.get("fallback") or "")
            if error.code in OURS or fallback in ("", delivery.place):
                raise
            log.warning("desk.alert_rerouted", code=error.code, place=delivery.place, fallback=fallback)
        link = await self._link(delivery)
        with words.reading(delivery.data.get("language"), self._language):
            post = alerts.alert_post(_entry_of(delivery), mention, delivery.card, link, in_thread=False)
        return await self._posts.put(replace(delivery, place=fallback), post, thread=False)

    async def _status(self, delivery: DeskDelivery) -> Receipt:
        post = alerts.status_post(delivery.told, delivery.clocks, self._directory.name)
        changed = await self._posts.update_if_there(delivery, post)
        return changed or await self._posts.put(delivery, post)

    async def _link(self, delivery: DeskDelivery) -> str | None:
        """The address of the thread an alert is about; an alert goes out without it if Slack does not say."""
        if delivery.card is None or delivery.thread_ts is None:
            return None
        return await self.addresses.of(delivery.card.conversation.thread.channel, delivery.thread_ts)

    async def _linked(self, delivery: DeskDelivery) -> DeskDelivery:
        """The delivery of a card, with the address of the thread that its conversation has left."""
        place = None if delivery.card is None else moves.place_of(delivery.card.conversation.thread.before)
        if delivery.card is None or place is None or place.ts is None:
            return delivery
        return replace(
            delivery, card=replace(delivery.card, earlier_thread=await self.addresses.of(place.channel, place.ts))
        )

    async def _where(self, data: Mapping[str, Any]) -> str:
        """Where a conversation goes on or stands, as a link, or as its channel while its card is not posted yet."""
        stands = data.get("stands")
        label = words.say("moved.thread" if stands else "moved.new_thread")
        place = stands or data.get("goes_on")
        channel, ts = place if isinstance(place, list) else ("", None)
        if not channel:
            return label
        return moves.link_to(await self.addresses.of(channel, ts), label) if ts else f"<#{channel}>"

    async def _elsewhere(self, delivery: DeskDelivery) -> Receipt:
        is_file = delivery.kind is DeliveryKind.DESK_TRANSCRIPT
        return await (self._transcript(delivery) if is_file else self._close(delivery))

    async def _transcript(self, delivery: DeskDelivery) -> Receipt:
        """A conversation as a file in the direct message with whoever asked."""
        place = await self._posts.direct(delivery.place)
        number, titles = int(delivery.data["number"]), delivery.data.get("titles") or {}
        file = transcripts.file(number, delivery.history, self._directory.name, titles)
        file_id = await files.upload(self._api, replace(delivery, place=place), file)
        return Receipt(platform_id=file_id, at=self._now(), place=place)

    async def _close(self, delivery: DeskDelivery) -> Receipt:
        """The thread that a conversation has left: its card without buttons (part 0), a line under it (part 1)."""
        if delivery.card is None:
            raise NeverPossible("nothing_to_show", delivery.kind.value)
        thread = delivery.card.conversation.thread
        link = await self.addresses.of(thread.channel, str(thread.ts))
        try:
            if delivery.part == 0:
                return await self._posts.update(delivery, moves.closed_card(delivery.card, link))
            line = moves.closed_line(_entry_of(delivery), delivery.card, self._directory.name, link)
            return await self._posts.put(delivery, line)
        except AccessRevoked as error:
            if error.code in OURS:
                raise
            raise NeverPossible(error.code, "the old channel") from None  # it waits for nothing there any more
        except ThreadGone as error:
            raise NeverPossible(error.code, "the old thread") from None

    def _entry(self, delivery: DeskDelivery) -> Post:
        if delivery.entry is not None and (delivery.entry.data.get("moved_from") or delivery.history):
            line = changed.line(delivery.entry, self._directory.name, changed.titles_of(delivery.card))
            return moves.summary(line, delivery.history, self._directory.name)
        if delivery.told:
            return reacted.post(delivery.told, delivery.company)
        post = entries.entry_post(
            _entry_of(delivery), self._directory.name, delivery.card, delivery.part, delivery.earlier
        )
        if delivery.data.get("history"):
            post = entries.earlier(post, _entry_of(delivery))
        return entries.together([post, *(entries.message(one) for one in delivery.company)])


def _card(delivery: DeskDelivery) -> Post:
    if delivery.card is None:
        raise NeverPossible("nothing_to_show", delivery.kind.value)
    carried = [block for entry in delivery.card.carried for block in entries.message(entry).blocks]
    made, fallback = blocks.card(delivery.card, carried)
    return Post(text=fallback, blocks=made)


def _changed(delivery: DeskDelivery, entry: Entry) -> Post:
    """What stands in a post after one of its messages was changed: the card, several messages, or that one."""
    if entry.kind is EntryKind.HELD:
        return entries.question(entry, delivery.earlier)
    if delivery.message_ts == delivery.thread_ts:
        return _card(delivery)
    if len(delivery.company) > 1:
        return entries.together([entries.message(one) for one in delivery.company])
    return entries.edited_post(entry)


def _entry_of(delivery: DeskDelivery) -> Entry:
    if delivery.entry is None:
        raise NeverPossible("nothing_to_show", delivery.kind.value)
    return delivery.entry


def _attachment_of(delivery: DeskDelivery) -> Attachment | None:
    attachments = delivery.entry.attachments if delivery.entry else ()
    return attachments[delivery.part] if 0 <= delivery.part < len(attachments) else None
