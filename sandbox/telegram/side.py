"""The Telegram side as one object: people, chats, files, the queue of updates, and the bot's own settings."""

from typing import Any

from sandbox.state import Sandbox
from sandbox.telegram.errors import ApiError, bad_request, forbidden
from sandbox.telegram.files import Files
from sandbox.telegram.limits import FloodLimits
from sandbox.telegram.model import Chat, Customer, Json, Stored
from sandbox.telegram.params import LARGEST_REQUEST, Params
from sandbox.telegram.updates import Updates
from sandbox.telegram.webhook import Webhook

FIRST_USER_ID = 510_000_001
FIRST_GROUP_ID = -4_000_001
FIRST_SUPERGROUP_ID = -1_001_000_000_001
QUERY_LIVES_S = 60.0
"""How long a callback query can be answered (real time)."""


class TelegramSide:
    """Telegram with one bot. Customers act on it through `customers`, the bot through `methods`."""

    def __init__(self, desk: Sandbox, *, token: str) -> None:
        self.desk = desk
        self.token = token
        bot_id = token.partition(":")[0]
        self.bot: Json = {
            "id": int(bot_id) if bot_id.isdecimal() else 1,
            "is_bot": True,
            "first_name": "Support",
            "username": "local_support_bot",
        }
        self.chats: dict[int, Chat] = {}
        self.customers: dict[int, Customer] = {}
        self.files = Files()
        self.updates = Updates(desk)
        self.webhook = Webhook(desk, self.updates)
        self.limits = FloodLimits()
        self.largest_request = LARGEST_REQUEST
        """Bytes of one request at most; a server in front of Telegram's may take less than Telegram does."""
        self.queries: dict[str, float] = {}
        """Callback queries that wait for an answer, by id, with the real time they were made."""
        self.settings: Json = {}
        """Commands, descriptions: what the bot has said about itself, by method and language."""
        self.next_message_id = 1
        self._next_query = 1

    async def start(self) -> None:
        """Go on posting to the webhook, if there is one."""
        self.webhook.begin()

    async def stop(self) -> None:
        """End the long poll and the posting."""
        self.updates.end_poll(None)
        await self.webhook.close()

    def reset(self) -> None:
        """No people, no chats, no webhook."""
        self.webhook.clear()
        self.updates.clear()
        self.files.clear()
        self.limits.clear()
        self.largest_request = LARGEST_REQUEST
        for kept in (self.chats, self.customers, self.queries, self.settings):
            kept.clear()
        self.next_message_id = self._next_query = 1

    def dump(self) -> Json:
        """Everything worth keeping."""
        return {
            "chats": [chat.dump() for chat in self.chats.values()],
            "customers": [customer.dump() for customer in self.customers.values()],
            "files": self.files.dump(),
            "updates": self.updates.dump(),
            "webhook": self.webhook.dump(),
            "settings": self.settings,
            "next_message_id": self.next_message_id,
            "next_query": self._next_query,
        }

    def load(self, saved: Json) -> None:
        """Take up what `dump` gave."""
        for fields in saved["chats"]:
            chat = Chat.load(fields)
            self.chats[chat.id] = chat
        for fields in saved["customers"]:
            customer = Customer(**fields)
            self.customers[customer.user["id"]] = customer
        self.files.load(saved["files"])
        self.updates.load(saved["updates"])
        self.webhook.load(saved["webhook"])
        self.settings = saved["settings"]
        self.next_message_id = saved["next_message_id"]
        self._next_query = saved["next_query"]

    def view(self) -> Json:
        """A short summary."""
        return {
            "bot": self.bot,
            "customers": len(self.customers),
            "chats": len(self.chats),
            "pending_updates": len(self.updates),
            "webhook": self.webhook.url,
        }

    def now(self) -> int:
        """Product time as Telegram writes it: whole seconds."""
        return int(self.desk.clock.now())

    def add_customer(self, user: Json, *, started: bool) -> Customer:
        """A new person with a private chat. `user` holds the names and the language, not the id."""
        user_id = FIRST_USER_ID + len(self.customers)
        full: Json = {"id": user_id, "is_bot": False, **user}
        customer = Customer(user=full, chat_id=user_id)
        names: Json = {key: full[key] for key in ("first_name", "last_name", "username") if key in full}
        self.customers[user_id] = customer
        self.chats[user_id] = Chat(info={"id": user_id, **names, "type": "private"}, started=started)
        self.desk.publish({"type": "telegram.customer", "customer": full, "chat_id": user_id})
        return customer

    def add_group(self, title: str, members: list[int]) -> Chat:
        """A new group with the bot in it."""
        chat_id = FIRST_GROUP_ID - sum(not chat.is_private for chat in self.chats.values())
        info = {"id": chat_id, "title": title, "type": "group", "all_members_are_administrators": False}
        chat = self.chats[chat_id] = Chat(info=info, members=members)
        return chat

    def add_forum(self, title: str, members: list[int], topics: list[str]) -> Chat:
        """A new supergroup with topics, each opened by a service message whose number names it."""
        chat_id = FIRST_SUPERGROUP_ID - sum(not known.is_private for known in self.chats.values())
        info = {"id": chat_id, "title": title, "type": "supergroup", "is_forum": True}
        chat = self.chats[chat_id] = Chat(info=info, members=members)
        for name in topics:
            number = self.take_message_id(chat)
            chat.topics[number] = name
            message: Json = {
                "message_id": number,
                "message_thread_id": number,
                "is_topic_message": True,
                "from": self.bot,
                "chat": info,
                "date": self.now(),
                "forum_topic_created": {"name": name, "icon_color": 7322096},
            }
            self.keep(chat, Stored(message=message, from_bot=False), "topic_created")
        return chat

    def upgrade(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup: a new chat with a new id."""
        chat_id = FIRST_SUPERGROUP_ID - sum(not known.is_private for known in self.chats.values())
        info = {"id": chat_id, "title": chat.info["title"], "type": "supergroup"}
        fresh = self.chats[chat_id] = Chat(info=info, members=list(chat.members))
        chat.migrated_to = chat_id
        return fresh

    def chat(self, chat_id: int) -> Chat:
        """A chat the bot knows. 400 otherwise."""
        chat = self.chats.get(chat_id)
        if chat is None:
            raise bad_request("chat not found")
        return chat

    def target(self, params: Params) -> Chat:
        """The chat a call names, when the bot may write there now. ApiError as Telegram refuses."""
        raw = params.text("chat_id")
        if not raw:
            raise bad_request("chat_id is empty")
        try:
            chat = self.chat(int(raw))
        except ValueError:
            raise bad_request("chat not found") from None
        if chat.migrated_to is not None:
            raise ApiError(
                400,
                "Bad Request: group chat was upgraded to a supergroup chat",
                {"migrate_to_chat_id": chat.migrated_to},
            )
        if chat.deactivated:
            raise forbidden("user is deactivated")
        if chat.blocked and chat.is_private:
            raise forbidden("bot was blocked by the user")
        if chat.blocked:
            raise forbidden("bot was kicked from the group chat")
        if not chat.started:
            raise forbidden("bot can't initiate conversation with a user")
        return chat

    def admit(self, chat: Chat) -> None:
        """Let one more message of the bot through, or answer 429 when the limits are on and reached."""
        if self.desk.limits:
            self.limits.admit(chat.id, is_group=not chat.is_private, now=self.desk.clock.real())

    def take_message_id(self, chat: Chat) -> int:
        """The id of the next message: supergroups count for themselves, all other chats of a bot together."""
        if chat.info["type"] == "supergroup":
            taken = chat.next_message_id
            chat.next_message_id += 1
            return taken
        taken = self.next_message_id
        self.next_message_id += 1
        return taken

    def keep(self, chat: Chat, stored: Stored, kind: str) -> None:
        """Store a message, write it into the judge's log as `kind`, tell the page."""
        message = stored.message
        chat.messages[message["message_id"]] = stored
        self.note(chat, kind, message["message_id"], message)
        who = "bot" if stored.from_bot else "customer"
        self.desk.publish({"type": "telegram.message", "chat_id": chat.id, "from": who, "message": message})

    def replace(self, chat: Chat, stored: Stored, message: Json, kind: str) -> None:
        """Put an edited message in the place of the old one."""
        stored.versions.append(stored.message)
        stored.message = message
        self.note(chat, kind, message["message_id"], message)
        self.desk.publish({"type": "telegram.edited", "chat_id": chat.id, "message": message})

    def note(self, chat: Chat, kind: str, message_id: int, data: Json) -> None:
        """Write into the judge's log what happened to a message; its key is `<chat>:<message>`."""
        self.desk.log.add("telegram", kind, f"{chat.id}:{message_id}", data)

    def take_query(self) -> str:
        """A fresh callback query id that can be answered for a minute."""
        query_id = f"{self.bot['id']}{self._next_query:08d}"
        self._next_query += 1
        self.queries[query_id] = self.desk.clock.real()
        return query_id

    def answer_query(self, query_id: str) -> bool:
        """Use a callback query id up; False if it is unknown, used or too old."""
        made = self.queries.pop(query_id, None)
        return made is not None and self.desk.clock.real() - made <= QUERY_LIVES_S


def lane_of(chat: Chat) -> str:
    """What a webhook keeps in order."""
    return str(chat.id)


def quoted(stored: Stored) -> Json:
    """A message as it appears inside a reply to it: one level deep."""
    message: dict[str, Any] = stored.message
    if "reply_to_message" not in message:
        return message
    return {key: value for key, value in message.items() if key != "reply_to_message"}
