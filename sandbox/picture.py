"""A small real PNG: a mug with a crack, for the customer who sends a photo of what arrived."""

import itertools
import struct
import zlib

WIDTH, HEIGHT = 320, 240
TABLE = (222, 214, 202)
MUG = (62, 104, 138)
SHADE = (46, 82, 112)
CRACK = (20, 26, 32)
SHADOW = (198, 189, 176)
MUG_LEFT, MUG_RIGHT, MUG_TOP, MUG_BOTTOM = 100, 210, 60, 190
HANDLE_X, HANDLE_Y, HANDLE_OUTER, HANDLE_INNER = 212, 122, 38, 24
CRACK_POINTS = ((132, 60), (140, 84), (130, 104), (147, 126), (139, 150), (150, 172))


def damaged_mug() -> bytes:
    """The picture as PNG bytes, always the same."""
    rows = [[_colour(x, y) for x in range(WIDTH)] for y in range(HEIGHT)]
    for (x0, y0), (x1, y1) in itertools.pairwise(CRACK_POINTS):
        for y in range(y0, y1 + 1):
            x = x0 + (x1 - x0) * (y - y0) // (y1 - y0)
            for at in (x - 1, x, x + 1):
                rows[y][at] = CRACK
    return png(rows)


def png(rows: list[list[tuple[int, int, int]]]) -> bytes:
    """Rows of RGB pixels as a PNG file."""
    raw = b"".join(b"\x00" + bytes(part for pixel in row for part in pixel) for row in rows)
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(raw, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _colour(x: int, y: int) -> tuple[int, int, int]:
    if MUG_LEFT <= x <= MUG_RIGHT and MUG_TOP <= y <= MUG_BOTTOM:
        return SHADE if x < MUG_LEFT + 18 or y < MUG_TOP + 8 else MUG
    distance = (x - HANDLE_X) ** 2 + (y - HANDLE_Y) ** 2
    if HANDLE_INNER**2 < distance < HANDLE_OUTER**2 and x > MUG_RIGHT:
        return SHADE
    if MUG_BOTTOM < y <= MUG_BOTTOM + 10 and MUG_LEFT - 6 <= x <= MUG_RIGHT + 24:
        return SHADOW
    return TABLE


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
