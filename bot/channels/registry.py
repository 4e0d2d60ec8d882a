"""Which chat platforms there are. Built-in ones come in through the same door as a stranger's.

A platform is one module in this package, or anywhere importable, with a configuration class that names its `type` and a
channel class that takes it. `register("matrix", "our_matrix.channel:MatrixChannel")` is all that is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from importlib import import_module
from typing import Protocol, cast

from domain.errors import ConfigError
from domain.ports import Channel

Now = Callable[[], datetime]


class ChannelConfig(Protocol):
    """What every platform's configuration has: the platform's word and the account's name."""

    @property
    def type(self) -> str:
        """The platform, as registered."""
        ...

    @property
    def name(self) -> str:
        """The account's name."""
        ...


_targets: dict[str, str] = {}


def register(kind: str, target: str) -> None:
    """Make a platform known: `target` is "module:class", called with (config, now=...). ValueError when taken."""
    module, _, name = target.partition(":")
    if not module or not name:
        raise ValueError(f"{target!r} is not module:class")
    if _targets.setdefault(kind, target) != target:
        raise ValueError(f"the channel type {kind!r} is taken by {_targets[kind]}")


def known() -> tuple[str, ...]:
    """The platforms there are."""
    return tuple(sorted(_targets))


def build(config: ChannelConfig, *, now: Now | None = None) -> Channel:
    """The channel for a configuration. Its module is imported only now. Raises ConfigError for an unknown type."""
    target = _targets.get(config.type)
    if target is None:
        close = get_close_matches(config.type, known(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known())}"
        raise ConfigError(f"channel {config.name}: unknown type {config.type!r}; {hint}")
    module, _, name = target.partition(":")
    factory = cast("Callable[..., Channel]", getattr(import_module(module), name))
    return factory(config, now=now)


register("telegram", "bot.channels.telegram:TelegramChannel")
register("memory", "bot.channels.memory:MemoryChannel")
