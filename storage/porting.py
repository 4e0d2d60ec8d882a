"""The whole record as lines of JSON, and back again: nobody is locked in (see `storage.shapes`).

A customer's lines stand together, so that each customer is taken over as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import func, select, tuple_, update

from domain.contacts import ContactKind
from storage import contacts, porting_files, profiles, sealing, shapes
from storage.database import Database, insert, insert_once
from storage.engines import Connection
from storage.flush import FIRST_NUMBER
from storage.inbox import Inbox
from storage.keys import KeyStore
from storage.tables import conversations, counters, customers, erasures, identities, timeline


@dataclass(kw_only=True, slots=True)
class Taken:
    """What an import did: lines by type that are new, customers that were there already, conversations renumbered."""

    new: dict[str, int] = field(default_factory=dict)
    known: int = 0
    renumbered: int = 0

    def add(self, other: Taken) -> None:
        """Count another customer in."""
        for name, count in other.new.items():
            self.new[name] = self.new.get(name, 0) + count
        self.known += other.known
        self.renumbered += other.renumbered


@dataclass(kw_only=True, slots=True)
class Earlier:
    """What stood in a file before the group that is being looked at, and would be here by then: nothing of it is."""

    keys: set[int] = field(default_factory=set)  # hashes of types with primary keys: a file has millions of them
    chats: dict[tuple[str, bytes], tuple[str, str]] = field(default_factory=dict)  # whose, and the identity's id
    numbers: dict[int, str] = field(default_factory=dict)  # of conversations, with their ids
    talks: dict[str, int] = field(default_factory=dict)  # conversations with their numbers
    top: int = 0

    def has(self, shape: shapes.Shape, row: Mapping[str, Any]) -> bool:
        """Whether a row with this key came before."""
        return hash((shape.type, *(row[name] for name in _key(shape)))) in self.keys

    def add(self, rows: Mapping[str, Sequence[Mapping[str, Any]]], owner: str | None, top: int) -> None:
        """Count a group in that would be taken over."""
        for kind, own in rows.items():
            names = _key(shapes.BY_TYPE[kind])
            self.keys |= {hash((kind, *(row[name] for name in names))) for row in own}
        for row in rows.get("identity", ()):
            self.chats[row["channel"], row["address_mac"]] = (str(owner), row["id"])
        for row in rows.get("conversation", ()):
            self.numbers[row["number"]], self.talks[row["id"]] = row["id"], row["number"]
        self.top = max(self.top, top)


class Porting:
    """Reads the whole record, and takes over what another one gave."""

    def __init__(self, database: Database, keys: KeyStore, inbox: Inbox) -> None:
        self._db = database
        self._keys = keys
        self._inbox = inbox

    async def everything(
        self, now: datetime, *, advance: Callable[[float], None] = lambda _share: None
    ) -> AsyncIterator[shapes.Line]:
        """Every line, each customer in one snapshot; erased ones are no more. A read of everybody: audit it before."""
        yield {shapes.WHAT: shapes.HEADER, "format": shapes.FORMAT, "exported_at": now.astimezone(UTC).isoformat()}
        count = 0
        for shape in shapes.SHAPES:
            if shape.of is None:
                for line in await self._shared(shape):
                    count += 1
                    yield line
        alive = customers.c.erased_at.is_(None)
        async with self._db.read() as conn:
            ids = list((await conn.execute(select(customers.c.id).where(alive).order_by(customers.c.id))).scalars())
        for place, customer in enumerate(ids):
            for line in await self._of(customer):
                count += 1
                yield line
            async for line in porting_files.lines(self._db, self._keys, customer):
                count += 1
                yield line
            advance((place + 1) / len(ids))
        yield {shapes.WHAT: shapes.END, "lines": count}

    async def _shared(self, shape: shapes.Shape) -> list[shapes.Line]:
        async with self._db.read() as conn:
            rows = await conn.execute(select(shape.table).order_by(*shape.table.primary_key))
            return [shapes.written(shape, dict(row._mapping), None) for row in rows]

    async def _of(self, customer: str) -> list[shapes.Line]:
        async def look(conn: Connection) -> list[tuple[shapes.Shape, list[Mapping[str, Any]]]]:
            own = select(conversations.c.id).where(conversations.c.customer_id == customer)
            places = list((await conn.execute(own)).scalars())
            found = []
            for shape in (one for one in shapes.SHAPES if one.of is not None and one.type not in shapes.OF_FILES):
                rows: list[Mapping[str, Any]] = []
                for some in _whose(shape, customer, places):
                    column = shape.table.c[_indexed(shape)]
                    query = select(shape.table).where(column.in_(some))
                    if shape.of == "customer_id":
                        query = query.where(shape.table.c.customer_id == customer)
                    rows += [dict(row._mapping) for row in await conn.execute(query)]
                order = "seq" if "seq" in shape.table.c else "number" if "number" in shape.table.c else None
                keys = [order] if order else [column.name for column in shape.table.primary_key]
                found.append((shape, sorted(rows, key=lambda row: tuple(row[name] for name in keys))))
            return found

        found = await self._db.query(look)
        key = (await self._keys.data_keys([customer])).get(customer)
        if key is None:  # erased since the list was read
            return []
        return [shapes.written(shape, row, key) for shape, rows in found for row in rows]

    async def check(self, lines: Sequence[shapes.Line], earlier: Earlier | None = None) -> Taken:
        """What `take` would do, without writing, after what stood `earlier` in the file, which gets this group added.

        Raises BadLine.
        """
        earlier = Earlier() if earlier is None else earlier
        first = lines[0]
        if first[shapes.WHAT] == porting_files.FILE.type:
            return Taken(new={first[shapes.WHAT]: await porting_files.preview(self._db, lines)})
        owner = first["id"] if first[shapes.WHAT] == "customer" else None
        _belongs(lines, owner)
        if owner is not None and await self._is_erased(owner):
            raise shapes.BadLine("this customer was erased here: what was erased is not brought back")
        nobody = bytes(32)  # proves that it can be sealed and read, and is kept nowhere
        rows = _rows(lines, nobody)
        if owner is not None:
            self._hash(lines, rows)
            _prove(rows, nobody)
        async with self._db.read() as conn:
            taken, top = await _compare(conn, rows, owner, earlier)
        earlier.add(rows, owner, top)
        return taken

    async def take(self, lines: Sequence[shapes.Line]) -> Taken:
        """Take over one customer with everything that is theirs, or lines that are nobody's, in one transaction.

        What is there already is left as it is, but for conversations that are newer here. Raises BadLine where it
        cannot be taken over; then nothing of it is.
        """
        first = lines[0]
        if first[shapes.WHAT] == porting_files.FILE.type:
            return Taken(new={first[shapes.WHAT]: await porting_files.take(self._db, self._keys, lines)})
        owner = first["id"] if first[shapes.WHAT] == "customer" else None
        key = None
        _belongs(lines, owner)
        if owner is not None:
            if await self._is_erased(owner):
                raise shapes.BadLine("this customer was erased here: what was erased is not brought back")
            key = (await self._keys.data_keys([owner], create=True)).get(owner)
            if key is None:
                raise shapes.BadLine("this customer was erased here: what was erased is not brought back")
        rows = _rows(lines, key)
        if owner is not None:
            self._hash(lines, rows)
            _prove(rows, key)
        return await self._db.write(lambda conn: _take(conn, rows, owner))

    async def _is_erased(self, customer: str) -> bool:
        async with self._db.read() as conn:
            gone = await conn.execute(select(erasures.c.id).where(erasures.c.customer_id == customer))
            return gone.first() is not None

    def _hash(self, lines: Sequence[shapes.Line], rows: dict[str, list[dict[str, Any]]]) -> None:
        """What is found by a keyed hash gets the hashes of this installation."""
        index = self._keys.purpose("index")
        lanes: dict[str, str] = {}
        people = [line for line in lines if line[shapes.WHAT] == "identity"]
        for line, row in zip(people, rows.get("identity", ()), strict=True):
            channel, address, username = line["channel"], line.get("address") or "", line.get("username")
            row["address_mac"] = sealing.address_mac(index, channel, address)
            row["name_mac"] = sealing.name_mac(index, line.get("name") or "")
            row["username_mac"] = None if username is None else sealing.name_mac(index, username)
            lanes[line["id"]] = self._inbox.lane(channel, f"{channel}:{address}")
        points = [line for line in lines if line[shapes.WHAT] == "contact_point"]
        for line, row in zip(points, rows.get("contact_point", ()), strict=True):
            row["value_mac"] = contacts.value_mac(index, _kind_of(line), line.get("value") or "")
        for row in rows.get("conversation", ()):
            row["lane"] = lanes.get(row["identity_id"], "")
            if not row["lane"]:
                raise shapes.BadLine(
                    f"conversation #{row['number']} names an identity that is not among this customer's lines"
                )


def _rows(lines: Sequence[shapes.Line], key: bytes | None) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        rows.setdefault(line[shapes.WHAT], []).append(shapes.stored(shapes.BY_TYPE[line[shapes.WHAT]], line, key))
    return rows


def _prove(rows: Mapping[str, Sequence[dict[str, Any]]], key: bytes | None) -> None:
    """Read it as the record will: a word that this release does not know is told now. Raises BadLine."""
    for kind, opened in _READERS.items():
        for row in rows.get(kind, ()):
            try:
                opened(key, SimpleNamespace(**dict.fromkeys(shapes.BY_TYPE[kind].table.c.keys()) | row))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise shapes.BadLine(
                    f"{kind} {row['id']} holds a word or a part that this release cannot read"
                ) from None


_READERS: Final[dict[str, Callable[[bytes | None, Any], object]]] = {
    "customer": lambda key, row: (sealing.customer_of(key, row), profiles.opened(key, row)),
    "identity": sealing.identity_of,
    "conversation": lambda _key, row: sealing.conversation_of(row),
    "entry": sealing.entry_of,
    "contact_point": contacts.of_row,
    "clock": lambda _key, row: sealing.clock_of(row),
}


def _kind_of(line: shapes.Line) -> ContactKind:
    try:
        return ContactKind(line["kind"])
    except ValueError:
        raise shapes.BadLine("contact_point.kind is unknown; there are phone and email") from None


def _indexed(shape: shapes.Shape) -> str:
    """The column by which a customer's rows are found with an index."""
    return "conversation_id" if shape.table is timeline else str(shape.of)


def _whose(shape: shapes.Shape, customer: str, places: list[str]) -> list[list[str]]:
    own = places if shape.of == "conversation_id" else [customer]
    ids = [*places, customer] if shape.table is timeline else own
    return [ids[start : start + shapes.AT_ONCE] for start in range(0, len(ids), shapes.AT_ONCE)]


def _belongs(lines: Sequence[shapes.Line], owner: str | None) -> None:
    """Raises BadLine where a line is somebody else's than the customer's it stands with."""
    places = {line["id"] for line in lines if line[shapes.WHAT] == "conversation"}
    for line in lines:
        shape = shapes.BY_TYPE[line[shapes.WHAT]]
        if shape.of is None:
            continue
        if shape.type in shapes.OF_FILES:
            raise shapes.BadLine(f"this {shape.type} stands before its file: keep a file's lines together")
        if owner is None:
            raise shapes.BadLine(f"this {shape.type} stands before its customer: keep a customer's lines together")
        if line[shape.of] != owner if shape.of != "conversation_id" else line[shape.of] not in places:
            raise shapes.BadLine(
                f"this {shape.type} is not of the customer it stands with: keep a customer's lines together"
            )


async def _compare(
    conn: Connection, rows: dict[str, list[dict[str, Any]]], owner: str | None, earlier: Earlier
) -> tuple[Taken, int]:
    """What of these rows is new here and was not `earlier` in the file, and the highest number of a conversation then;
    rows get the numbers they will have. Raises BadLine.
    """
    taken, top = Taken(), 0
    if owner is not None:
        known = await conn.execute(select(customers.c.id).where(customers.c.id == owner))
        is_repeated = any(earlier.has(shapes.BY_TYPE["customer"], row) for row in rows.get("customer", ()))
        taken.known = int(known.first() is not None or is_repeated)
        await _free(conn, rows.get("identity", ()), owner, earlier)
        taken.renumbered, top = await _numbered(conn, rows.get("conversation", ()), earlier)
    for shape in shapes.SHAPES:
        if own := rows.get(shape.type):
            fresh = [row for row in own if not earlier.has(shape, row)]
            there = await _already(conn, shape, fresh) if taken.known or owner is None else 0
            taken.new[shape.type] = len(fresh) - there
    return taken, top


async def _take(conn: Connection, rows: dict[str, list[dict[str, Any]]], owner: str | None) -> Taken:
    taken, top = await _compare(conn, rows, owner, Earlier())
    if rows.get("conversation"):
        made = insert(conn, counters).values(name="conversation", value=top)
        await conn.execute(made.on_conflict_do_update(index_elements=["name"], set_={"value": top}))
    for shape in shapes.SHAPES:
        if own := rows.get(shape.type):
            await conn.execute(insert_once(conn.dialect.name, shape.table), own)
    for row in rows.get("conversation", ()):
        newer = (conversations.c.id == row["id"]) & (conversations.c.version < row["version"])
        kept = {name: value for name, value in row.items() if name not in ("id", "number", "lane")}
        await conn.execute(update(conversations).where(newer).values(**kept))
    return taken


async def _already(conn: Connection, shape: shapes.Shape, rows: Sequence[dict[str, Any]]) -> int:
    """How many of these are there, by their keys."""
    keys = [shape.table.c[name] for name in _key(shape)]
    found = 0
    for start in range(0, len(rows), shapes.AT_ONCE):
        wanted = {tuple(row[key.name] for key in keys) for row in rows[start : start + shapes.AT_ONCE]}
        query = select(func.count()).select_from(shape.table).where(tuple_(*keys).in_(wanted))
        found += int((await conn.execute(query)).scalar_one())
    return found


def _key(shape: shapes.Shape) -> list[str]:
    return ["id"] if "id" in shape.table.c else [column.name for column in shape.table.primary_key]


async def _free(conn: Connection, people: Sequence[dict[str, Any]], owner: str, earlier: Earlier) -> None:
    for row in people:
        same = (identities.c.channel == row["channel"]) & (identities.c.address_mac == row["address_mac"])
        there = (await conn.execute(select(identities.c.customer_id, identities.c.id).where(same))).first()
        found = tuple(there) if there else earlier.chats.get((row["channel"], row["address_mac"]))
        if found is not None and found != (owner, row["id"]):
            raise shapes.BadLine(
                f"this chat on {row['channel']} is customer {found[0]} here already: import into an empty "
                "record, or erase that customer first"
            )


async def _numbered(conn: Connection, talks: Sequence[dict[str, Any]], earlier: Earlier) -> tuple[int, int]:
    """Give conversations whose number is another's here the next free one; threads are one conversation's only.

    Returns how many got another one, and the highest of all.
    """
    renumbered = 0
    top = int((await conn.execute(select(counters.c.value).where(counters.c.name == "conversation"))).scalar() or 0)
    top = max(top, earlier.top, FIRST_NUMBER)
    for row in talks:
        holder = await conn.execute(select(conversations.c.id).where(conversations.c.number == row["number"]))
        other = holder.scalar() or earlier.numbers.get(row["number"])
        if other is not None and other != row["id"]:
            known = await conn.execute(select(conversations.c.number).where(conversations.c.id == row["id"]))
            number = known.scalar() or earlier.talks.get(row["id"])
            row["number"] = top + 1 if number is None else int(number)
            renumbered += number is None
        top = max(top, row["number"])
        if row["desk_thread"] is not None:
            place = (conversations.c.desk_channel == row["desk_channel"]) & (
                conversations.c.desk_thread == row["desk_thread"]
            )
            there = (await conn.execute(select(conversations.c.id).where(place))).scalar()
            if there is not None and there != row["id"]:
                row["desk_thread"] = None
    return renumbered, top
