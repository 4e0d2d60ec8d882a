"""The emoji that a bot may put on a message: https://core.telegram.org/bots/api#reactiontypeemoji"""

from __future__ import annotations

_ALL = (
    "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ "
    "🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 "
    "🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷\u200d♂ 🤷 🤷\u200d♀ 😡"
)
ALLOWED = frozenset(_ALL.split())
USUAL = {
    "+1": "👍",
    "heart": "❤",
    "pray": "🙏",
    "tada": "🎉",
    "ok_hand": "👌",
    "clap": "👏",
    "handshake": "🤝",
    "100": "💯",
}
"""What an agent's emoji at the desk is on the customer's phone, unless the company says otherwise."""
