"""Alembic's entry point: runs on the connection that storage/migrate.py hands over."""

from __future__ import annotations

from alembic import context

from storage.tables import metadata


def _nothing() -> None:
    """Nobody wants to know how far it is."""


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the one that counts
    on_version_apply=lambda **_: context.config.attributes.get("reached", _nothing)(),
)
context.run_migrations()
