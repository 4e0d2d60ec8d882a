"""A look into a database from outside, by another driver than the product's."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool


def engine(url: str) -> AsyncEngine:
    """An engine that keeps no connection between two looks."""
    return create_async_engine(url.replace("sqlite:///", "sqlite+aiosqlite:///", 1), poolclass=NullPool)
