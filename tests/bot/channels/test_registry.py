"""The door that built-in and foreign channels come in through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from bot.channels import registry
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.channels.telegram import TelegramChannel
from domain.errors import ConfigError
from tests.bot.channels.conftest import NOW, config_at


@dataclass(frozen=True, kw_only=True)
class StrangerConfig:
    """What somebody else brings."""

    type: ClassVar[str] = "stranger"

    name: str = "theirs"


class StrangerChannel(MemoryChannel):
    """Their channel."""

    def __init__(self, config: StrangerConfig, *, now: registry.Now | None = None) -> None:
        super().__init__(MemoryConfig(name=config.name), now=now)


@dataclass(frozen=True, kw_only=True)
class Misspelt(StrangerConfig):
    """A type nobody registered."""

    type: ClassVar[str] = "telegramx"


async def test_a_configuration_makes_its_channel() -> None:
    """By its type, under its name."""
    channel = registry.build(replace(config_at("http://127.0.0.1:1"), name="shop"), now=lambda: NOW)
    assert isinstance(channel, TelegramChannel)
    assert channel.name == "shop"
    await channel.close()


def test_a_stranger_comes_in_through_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line registers it; its name cannot be taken by another."""
    monkeypatch.setattr(registry, "_targets", dict(registry._targets))
    registry.register("stranger", f"{__name__}:StrangerChannel")
    registry.register("stranger", f"{__name__}:StrangerChannel")
    assert isinstance(registry.build(StrangerConfig()), StrangerChannel)
    assert "stranger" in registry.known()
    with pytest.raises(ValueError, match="taken"):
        registry.register("telegram", f"{__name__}:StrangerChannel")
    with pytest.raises(ValueError, match="module:class"):
        registry.register("other", "nonsense")


def test_an_unknown_type_is_a_mistake_with_a_hint() -> None:
    """The operator reads what was probably meant."""
    with pytest.raises(ConfigError, match="did you mean 'telegram'"):
        registry.build(Misspelt())
