"""Text on its way between people and platforms: cleaned for display, split to a platform's limit, escaped,
tokenised.

Originals are stored as they came; everything here makes copies. Lengths are in UTF-16 code units where a
platform counts that way (Telegram) and in characters (code points) otherwise; each function says which.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

ELLIPSIS = "…"
_ZWJ = "\u200d"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_SUBDIVISION_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"  # the one honest use of tag characters
_DROP = re.compile(f"({_SUBDIVISION_FLAG})|[{_CONTROLS}{_BIDI}{_INVISIBLE}\U000e0000-\U000e007f]")
_LINE_ENDS = re.compile("\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
_SPACES = re.compile(r"\s+")


def clean(text: str, limit: int | None = None) -> str:
    """Return a copy that is safe to show: what cannot be seen cannot deceive.

    Lone surrogates become U+FFFD; control characters (except line feed and tab), bidi controls, zero-width
    and tag characters go, except where they join an emoji. All line ends become line feeds. `limit` caps it,
    in characters.
    """
    if not (text.isascii() and text.isprintable()):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        text = _LINE_ENDS.sub("\n", text)
        text = _DROP.sub(lambda match: match[1] or "", text)
        if _ZWJ in text:
            text = "".join(char for place, char in enumerate(text) if char != _ZWJ or _joins_emoji(text, place))
    return text if limit is None else _cap(text, limit)


def clean_name(text: str, limit: int = 64) -> str:
    """Return a person's name for display: cleaned, on one line, at most `limit` characters; may be empty."""
    return _cap(_SPACES.sub(" ", clean(text)).strip(), limit).rstrip()


def excerpt(text: str, limit: int) -> str:
    """Return the text on one line, at most `limit` characters, with an ellipsis where it was cut."""
    line = _SPACES.sub(" ", clean(text)).strip()
    if len(line) <= limit:
        return line
    cut = _grapheme_start(line, limit - len(ELLIPSIS), 0)
    space = line.rfind(" ", 0, cut + 1)
    if space > cut * 2 // 3:
        cut = space
    return line[:cut].rstrip() + ELLIPSIS


_NAME_LIMIT = 120
_NAME_BYTES = 240  # file systems allow 255 bytes, and a Chinese character takes three
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)", re.IGNORECASE)


def safe_filename(name: str) -> str:
    """Return a file name that every system takes and that names no folder: letters, digits, `_ . - ( )` and spaces.

    At most 120 characters and 240 bytes in UTF-8, the extension kept; `file` when nothing is left.
    """
    base = re.split(r"[/\\]", unicodedata.normalize("NFKC", clean(name)))[-1]
    kept = "".join(c if c.isalnum() or c in "_.-() " or unicodedata.category(c)[0] == "M" else "_" for c in base)
    kept = _SPACES.sub(" ", kept).strip(" .")
    if _RESERVED.match(kept):
        kept = f"_{kept}"
    stem, dot, extension = kept.rpartition(".")
    if not dot or len(extension) > 16:
        stem, extension = kept, ""
    suffix = f"{dot}{extension}" if extension else ""
    stem = stem[: _NAME_LIMIT - len(suffix)]  # at once: going back step by step takes seconds for a name without end
    while stem and len((stem + suffix).encode()) > _NAME_BYTES:
        stem = stem[:-1]
    return (stem.rstrip(" .") + suffix) or "file"


def _joins_emoji(text: str, place: int) -> bool:
    if not 0 < place < len(text) - 1:
        return False
    before = text[place - 1]
    if before == "\ufe0f" and place > 1:
        before = text[place - 2]
    return _is_emoji(before) and _is_emoji(text[place + 1])


def _is_emoji(char: str) -> bool:
    return unicodedata.category(char) == "So" or "\U0001f3fb" <= char <= "\U0001f3ff"


def _cap(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: _grapheme_start(text, limit, 0)]


def utf16_len(text: str) -> int:
    """Return the length in UTF-16 code units: characters beyond U+FFFF count twice."""
    return len(text) + sum(char > "\uffff" for char in text)


def split_utf16(text: str, limit: int) -> list[str]:
    """Split at paragraphs, lines, sentences, words, else between graphemes; `limit` is in UTF-16 units.

    Nothing is lost but whitespace at the cuts and around the whole; blank text gives no piece. Raises
    ValueError for a limit below 2, which no character beyond U+FFFF fits into.
    """
    if limit < 2:
        raise ValueError(f"a limit of {limit} UTF-16 units cannot hold every character")
    return [text[start:end] for start, end in _split(text, limit, _units)]


def split_places(text: str, limit: int) -> list[tuple[int, int]]:
    """Where the pieces of `split_utf16` stand in the text: `text[start:end]` is a piece."""
    if limit < 2:
        raise ValueError(f"a limit of {limit} UTF-16 units cannot hold every character")
    return list(_split(text, limit, _units))


def split_escaped(text: str, limit: int) -> list[str]:
    """Escape for Slack and split as `split_utf16` does: no entity is cut, each escaped piece is within the limit.

    Raises ValueError for a limit below 5, the length of `&amp;`.
    """
    if limit < len("&amp;"):
        raise ValueError(f"a limit of {limit} cannot hold an escaped character")
    return [escape_mrkdwn(text[start:end]) for start, end in _split(text, limit, _escaped_units)]


def _units(char: str) -> int:
    return 1 if char <= "\uffff" else 2


def _escaped_units(char: str) -> int:
    return 5 if char == "&" else 4 if char in "<>" else _units(char)


_PARAGRAPH = re.compile(r"(?=\n[^\S\n]*\n)")
_LINE = re.compile(r"(?=\n)")
_SENTENCE = re.compile(r"[。！？]+[”’」』）]*|(?<![.!?…])[.!?…]+[\"'”’)]*(?=\s)")
_WORD = re.compile(r"(?=\s)")
_EARLIEST_SHARE = 4  # a cut in the first quarter of a piece wastes more than it tidies


def _split(text: str, limit: int, cost: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    """The places of the pieces."""
    start, end = 0, len(text)
    while start < end:
        stop = _reach(text, start, limit, cost)
        if stop >= end:
            piece = text[start:].rstrip() if start else text
            if piece.strip():
                yield start, start + len(piece)
            return
        cut = _best_cut(text, start, stop)
        piece = text[start:cut].rstrip()
        if piece.strip():
            yield start, start + len(piece)
        start = _after_gap(text, cut)


def _reach(text: str, start: int, limit: int, cost: Callable[[str], int]) -> int:
    """The end of the longest run from `start` that fits."""
    left = limit
    for place in range(start, len(text)):
        left -= cost(text[place])
        if left < 0:
            return place
    return len(text)


def _best_cut(text: str, start: int, stop: int) -> int:
    """Where the piece that begins at `start` ends: after `start`, at most at `stop`."""
    floor = start + (stop - start) // _EARLIEST_SHARE
    for boundary in (_PARAGRAPH, _LINE, _SENTENCE, _WORD):
        cuts = [match.end() for match in boundary.finditer(text, floor, stop + 2)]
        cut = max((cut for cut in cuts if floor < cut <= stop), default=0)
        if text[start:cut].strip():
            return cut
    early = [match.end() for match in _WORD.finditer(text, start, floor + 1)]
    if early and text[start : early[-1]].strip():
        word = text[early[-1] + 1 : early[-1] + 1 + stop - start]
        if _WORD.search(word) or early[-1] + 1 + stop - start >= len(text):
            return early[-1]  # one long word, such as an address, that the next piece can hold whole
    return _grapheme_start(text, stop, start)


def _after_gap(text: str, cut: int) -> int:
    """Where the next piece begins: behind the whitespace, but with the indentation of a new line kept."""
    place = cut
    while place < len(text) and text[place].isspace():
        place += 1
    line = text.rfind("\n", cut, place)
    return place if line < 0 else line + 1


_EXTENDING = re.compile("[\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\u1160-\u11ff\u0e33\u0eb3]")
_LONGEST_CLUSTER = 64  # beyond that it is not writing but an attack, and is cut anywhere


def _grapheme_start(text: str, stop: int, start: int) -> int:
    """The last place at or before `stop`, and after `start`, that is not inside what a reader sees as one character."""
    place = stop
    while place > max(start, stop - _LONGEST_CLUSTER) and _is_inside_cluster(text, place, start):
        place -= 1
    return stop if place <= start or _is_inside_cluster(text, place, start) else place


def _is_inside_cluster(text: str, place: int, start: int) -> bool:
    if not 0 < place < len(text):
        return False
    before, char = text[place - 1], text[place]
    if unicodedata.category(char)[0] == "M" or _EXTENDING.match(char) or before == _ZWJ:
        return True
    if before == "\r" and char == "\n":
        return True
    if not (_is_regional(before) and _is_regional(char)):
        return False
    first = place  # flags are pairs of regional letters: count how many stand before the cut
    while first > start and _is_regional(text[first - 1]):
        first -= 1
    return (place - first) % 2 == 1


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def escape_mrkdwn(text: str) -> str:
    """Escape the three characters Slack treats as control characters; nothing in it can then mention, link or ping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_STYLES = str.maketrans("*_~`", "\u2217\u02cd\u223c\u02cb")
_STYLING_SIGN = re.compile(r"[*_~](?![^\W_])|(?<![^\W_])[*_~]|`")  # inside a word they style nothing
_EMOJI_NAME = re.compile(r":(?=(?:[+-]1|[\w+'-]*[^\W\d_][\w+'-]*):)")


def inert_mrkdwn(text: str) -> str:
    """Escape, and let look-alikes stand for what would style the words: for somebody's words in a line of ours.

    Slack has no sign that takes the meaning from a `*`, `_`, `~` or backtick, or from an emoji's name. The words
    themselves stand elsewhere, letter by letter.
    """
    shown = _STYLING_SIGN.sub(lambda match: match[0].translate(_STYLES), _EMOJI_NAME.sub("\u2236", text))
    return escape_mrkdwn(shown)


def unescape_slack(text: str) -> str:
    """Undo `escape_mrkdwn`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_MARKUP = re.compile(r"<([^<>\n]+)>")
SPECIAL = {"here": "here", "channel": "channel", "everyone": "everyone", "group": "channel"}


def slack_to_plain(text: str, names: Callable[[str], str | None]) -> str:
    """Return what an agent typed, as plain text for a customer.

    `names` turns a Slack id (`U…`, `C…`, `S…`) into a name, or None. Mentions become `@name`, links `label
    (url)` or the url alone, special mentions plain words; entities are unescaped last, so that nothing typed
    turns into markup.
    """
    parts: list[str] = []
    at = 0
    for match in _MARKUP.finditer(text):
        parts += [unescape_slack(text[at : match.start()]), _plain_markup(match[1], names)]
        at = match.end()
    return "".join([*parts, unescape_slack(text[at:])])


def _plain_markup(markup: str, names: Callable[[str], str | None]) -> str:
    target, _, label = markup.partition("|")
    label, known = unescape_slack(label), target[1:]
    if target.startswith("@"):
        return f"@{names(known) or label.removeprefix('@') or 'someone'}"
    if target.startswith("#"):
        return f"#{label.removeprefix('#') or names(known) or 'channel'}"
    if target.startswith("!subteam^"):
        return label.removeprefix("@") or names(target.removeprefix("!subteam^")) or "the team"
    if target.startswith("!"):
        return label or SPECIAL.get(known, known.partition("^")[0])
    return linked(unescape_slack(target), label)[0]


def linked(url: str, label: str) -> tuple[str, int]:
    """A link as plain text: `label (url)`, or the address alone where the label says no more or shows nothing; and how
    long the label in it is (0 where there is none).
    """
    bare = re.sub(r"^(?:mailto:|tel:)", "", url)
    if (
        not clean(label).strip()
        or label in (url, bare)
        or re.sub(r"^https?://", "", url).rstrip("/") == label.rstrip("/")
    ):
        return bare, 0
    return f"{label} ({bare})", len(label)


_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(f"([{_CJK}]+)|([^\\W_{_CJK}]+)")
_ASCII_WORD = re.compile("[a-z0-9]+")
_ODD_ASCII = re.compile(f"[{_CONTROLS}]")


def word_runs(text: str) -> list[tuple[str, bool]]:
    """Return a text as a search reads it: words in small letters and runs of Chinese and its kin (True), in order.

    NFKC and case folding first, so that full-width and capital letters find their plain forms.
    """
    if text.isascii() and not _ODD_ASCII.search(text):
        return [(word, False) for word in _ASCII_WORD.findall(text.lower())]
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(text)).casefold())
    return [(match[0], match[1] is not None) for match in _TOKEN.finditer(folded)]


def words_and_bigrams(text: str) -> tuple[str, ...]:
    """Return the search tokens of a text, each once, in order: words in small letters, bigrams of Chinese and its kin.

    Folded as `word_runs` does. A lone character is a token of its own.
    """
    tokens: dict[str, None] = {}
    for run, is_cjk in word_runs(text):
        if is_cjk and len(run) > 1:
            tokens.update(dict.fromkeys(run[place : place + 2] for place in range(len(run) - 1)))
        else:
            tokens[run] = None
    return tuple(tokens)


_STYLING = re.compile(r"^[\s*_~`>•]+")  # Slack's bold, italic, struck, code, quote and list, typed or chosen
_SLASHES = str.maketrans("\u2044\u2215\u29f8", "///")


def parse_note(text: str, prefix: str = "//") -> tuple[bool, str]:
    """Tell whether an agent's line is an internal note, and return it without the prefix (or unchanged, if it is not).

    Spaces, styling and what cannot be seen around it, full-width forms (`／／`), a mixture and another case of
    letters are all taken for the prefix: when in doubt a line stays inside. A prefix that ends in a letter or
    digit needs a word's end behind it.
    """
    seen = clean(text).lstrip()
    for body in (seen, _STYLING.sub("", seen)):
        place = _after_prefix(body, _fold(prefix))
        if place:
            return True, body[place:].strip()
    return False, text


def _after_prefix(body: str, wanted: str) -> int:
    """Where the text behind the prefix begins; 0 when it does not begin with it."""
    found, place = "", 0
    while place < len(body) and found != wanted and wanted.startswith(found):
        found += _fold(body[place])
        place += 1
    is_note = bool(wanted) and found == wanted
    if is_note and wanted[-1].isalnum():
        is_note = not body[place : place + 1].isalnum()
    return place if is_note else 0


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_SLASHES).casefold()
