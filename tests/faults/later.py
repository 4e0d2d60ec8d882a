"""The next release, as far as its migrations go: columns, a table and an index more, over the tables that matter."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bot import crashpoints
from bot.settings import Settings
from storage import migrate
from storage.database import Database

UPGRADE = "upgrade-to-the-next-release"
STEPS = ("customers", "conversations", "timeline", "outbox", "inbox")
STEP = '''"""Adds to {table}."""
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = "{before}"
def upgrade() -> None:
    op.add_column("{table}", sa.Column("later", sa.Text(), nullable=False, server_default=""))
    op.create_table("{table}_later", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_index("ix_{table}_later", "{table}", ["later"])
'''


def scripts(folder: Path) -> Path:
    """Our migrations and those of the next release behind them, in a folder of their own."""
    made = folder / "later"
    if not made.is_dir():
        shutil.copytree(migrate.SCRIPTS, made, ignore=shutil.ignore_patterns("__pycache__"))
        before = migrate.wanted()
        for place, table in enumerate(STEPS):
            revision = f"{9001 + place}"
            words = STEP.format(table=table, revision=revision, before=before)
            (made / "versions" / f"{revision}_later.py").write_text(words, encoding="utf-8")
            before = revision
    return made


async def upgrade(read: Settings, folder: Path) -> int:
    """What `relaydesk db upgrade` of the next release does to the record. Exit code 0."""
    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    async with Database.open(read.database_url, readers=1) as database:
        await migrate.upgrade(database, scripts=scripts(folder), reached=lambda: crashpoints.reach("in_upgrade"))
    return 0
