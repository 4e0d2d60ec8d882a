"""Text: what is shown is safe, what is split is whole, what is escaped stays text."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import text

ANY_TEXT = st.text(max_size=400)
PROSE = st.lists(
    st.sampled_from(
        [
            "Hello",
            "there.",
            "您好。",
            "订单",
            "👩‍👩‍👧",
            "🇩🇪🇫🇷",
            "e\u0301",
            "\n",
            "\n\n",
            " ",
            "  ",
            "https://example.com/a?b=c",
            "ok!",
            "…",
            "\t",
            "word",
            "&",
            "<b>",
            "👍🏽",
            "\n    code",
            "가나",
            "x" * 30,
        ]
    ),
    max_size=80,
).map("".join)


def squeezed(value: str) -> str:
    return re.sub(r"\s+", "", value)


class TestClean:
    @given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
    @example("\ud83d\ude00 \ud83d x \ude00")
    def test_what_is_shown_has_no_controls_bidi_or_lone_surrogates(self, raw: str) -> None:
        """Nothing invisible or unencodable survives, and cleaning twice changes nothing."""
        cleaned = text.clean(raw)
        cleaned.encode("utf-8")
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u061c\ufeff]", cleaned
        )
        assert text.clean(cleaned) == cleaned

    @pytest.mark.parametrize(
        ("raw", "shown"),
        [
            ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
            ("pay\u202efdp.exe", "payfdp.exe"),
            ("in\u200bvisi\u2060ble\x00", "invisible"),
            ("\ud83d\ude00", "😀"),
            ("lone \ud83d!", "lone \ufffd!"),
            ("family 👩‍👩‍👧 and ❤️‍🔥", "family 👩‍👩‍👧 and ❤️‍🔥"),
            ("a\u200db", "ab"),
            (
                "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
                "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            ),
            ("hidden\U000e0041\U000e0042", "hidden"),
            ("tab\tstays\n", "tab\tstays\n"),
        ],
    )
    def test_known_tricks_and_honest_text(self, raw: str, shown: str) -> None:
        """Each trick is undone and honest text is left alone."""
        assert text.clean(raw) == shown

    def test_a_cap_does_not_tear_a_character(self) -> None:
        """A cap counts characters and leaves a whole family or none."""
        assert text.clean("ab👩‍👩‍👧", limit=4) == "ab"
        assert text.clean("abcdef", limit=4) == "abcd"

    def test_a_name_is_one_short_line(self) -> None:
        """Line ends and runs of spaces in a name become one space; a name of nothing is empty."""
        assert text.clean_name("  Anna\n\n  \u202eMüller ") == "Anna Müller"
        assert len(text.clean_name("x" * 500)) == 64
        assert text.clean_name("\u200b\n") == ""


class TestFilename:
    @given(ANY_TEXT)
    @example("..")
    @example("a" * 300 + ".tar.gz")
    @example("汉" * 300 + ".pdf")
    def test_a_name_never_leaves_its_folder(self, raw: str) -> None:
        """Whatever a customer calls a file, the result is a plain name that every file system takes."""
        name = text.safe_filename(raw)
        assert name
        assert len(name) <= 120
        assert len(name.encode()) <= 240
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert not name.startswith(".")
        assert not name.endswith((".", " "))

    @pytest.mark.parametrize(
        ("raw", "safe"),
        [
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\Rechnung (1).pdf", "Rechnung (1).pdf"),
            ("a／b.png", "b.png"),
            ("con.txt", "_con.txt"),
            ("发票 2026.pdf", "发票 2026.pdf"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("x" * 200 + ".jpeg", "x" * 115 + ".jpeg"),
        ],
    )
    def test_known_names(self, raw: str, safe: str) -> None:
        """Paths lose their folders, reserved names are defused, extensions survive."""
        assert text.safe_filename(raw) == safe

    def test_a_name_without_end_is_cut_at_once(self) -> None:
        """Half a million characters (one that stands for eighteen, again and again) take no minutes to be cut."""
        began = time.process_time()
        assert text.safe_filename("\ufdfa" * 30_000 + ".pdf").endswith(".pdf")
        assert time.process_time() - began < 5.0


class TestSplit:
    @given(st.one_of(ANY_TEXT, PROSE), st.integers(2, 80))
    def test_nothing_is_lost_but_whitespace_at_the_cuts(self, whole: str, limit: int) -> None:
        """Pieces keep within the limit and are never blank; what lay between them was whitespace."""
        pieces = text.split_utf16(whole, limit)
        at = 0
        for piece in pieces:
            assert piece.strip()
            assert text.utf16_len(piece) <= limit
            found = whole.index(piece, at)
            assert not whole[at:found].strip()
            at = found + len(piece)
        assert not whole[at:].strip()

    @given(st.one_of(ANY_TEXT, PROSE), st.integers(5, 80))
    def test_escaped_pieces_hold_whole_entities(self, whole: str, limit: int) -> None:
        """Each escaped piece keeps within the limit and unescapes by itself; together they are the text."""
        pieces = text.split_escaped(whole, limit)
        assert all(text.utf16_len(piece) <= limit for piece in pieces)
        assert all("<" not in p and ">" not in p for p in pieces)
        assert not any(re.search(r"&(?!amp;|lt;|gt;)", piece) for piece in pieces)
        assert squeezed("".join(text.unescape_slack(piece) for piece in pieces)) == squeezed(whole)

    @given(PROSE, st.integers(24, 60))
    def test_no_visible_character_is_torn(self, whole: str, limit: int) -> None:
        """No piece begins with a combining mark, a joiner, a skin tone or the second half of a flag."""
        for piece in text.split_utf16(whole, limit):
            assert unicodedata.category(piece[0])[0] != "M"
            assert piece[0] not in "\u200d🏽"
            assert piece[-1] != "\u200d"
            regional = sum("\U0001f1e6" <= char <= "\U0001f1ff" for char in piece)
            assert regional % 2 == 0

    def test_short_text_is_left_alone(self) -> None:
        """A text that fits is one piece, unchanged; blank text is none."""
        assert text.split_utf16("  a\n", 10) == ["  a\n"]
        assert text.split_utf16(" \n ", 10) == []
        assert text.split_utf16("", 10) == []

    @pytest.mark.parametrize(
        ("whole", "limit", "pieces"),
        [
            ("One two.\n\nThree four. Five", 22, ["One two.", "Three four. Five"]),
            ("One two three. Four five six", 20, ["One two three.", "Four five six"]),
            ("订单在哪里？我等了三天。请回复我好吗", 14, ["订单在哪里？我等了三天。", "请回复我好吗"]),
            ("alpha beta gamma", 11, ["alpha beta", "gamma"]),
            ("see https://example.com/abcdef", 26, ["see", "https://example.com/abcdef"]),
            ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
            ("if a:\n    b = 1\n    c = 2", 16, ["if a:\n    b = 1", "    c = 2"]),
            ("😀😀😀", 5, ["😀😀", "😀"]),
        ],
    )
    def test_it_cuts_where_a_reader_would(self, whole: str, limit: int, pieces: list[str]) -> None:
        """Paragraphs before lines before sentences before words; an address and an indentation stay whole."""
        assert text.split_utf16(whole, limit) == pieces

    def test_a_long_text_is_split_in_reasonable_time(self) -> None:
        """A megabyte of hostile characters takes seconds at most, not minutes."""
        for hostile in ("\u0301", "🇩", "👩\u200d", " \n", "&"):
            pieces = text.split_escaped(hostile * 200_000, 3000)
            assert all(text.utf16_len(piece) <= 3000 for piece in pieces)

    def test_an_impossible_limit_is_refused(self) -> None:
        """A limit that cannot hold one character is the caller's mistake."""
        with pytest.raises(ValueError, match="cannot hold"):
            text.split_utf16("a", 1)
        with pytest.raises(ValueError, match="cannot hold"):
            text.split_escaped("a", 4)

    @given(ANY_TEXT)
    def test_length_is_what_utf16_says(self, value: str) -> None:
        """The count equals the encoder's."""
        assert text.utf16_len(value) == len(value.encode("utf-16-le")) // 2


class TestSlack:
    @given(ANY_TEXT)
    def test_escaping_is_reversible_and_inert(self, value: str) -> None:
        """Escaped text has no control character of Slack's, and unescapes to exactly what it was."""
        escaped = text.escape_mrkdwn(value)
        assert "<" not in escaped
        assert ">" not in escaped
        assert text.unescape_slack(escaped) == value

    @given(ANY_TEXT)
    def test_what_an_agent_types_arrives_as_typed(self, value: str) -> None:
        """Slack escapes what is typed; the way to the customer undoes it exactly."""
        assert text.slack_to_plain(text.escape_mrkdwn(value), lambda _: None) == value

    @pytest.mark.parametrize(
        ("typed", "plain"),
        [
            ("hi <@U1>, ask <@U2|bo> or <@U3>", "hi @Anna, ask @bo or @someone"),
            ("<https://a.example/x|the page>", "the page (https://a.example/x)"),
            ("<https://a.example/x>", "https://a.example/x"),
            ("<https://a.example|a.example>", "https://a.example"),
            ("<https://a.example/?a=1&amp;b=2>", "https://a.example/?a=1&b=2"),
            ("<mailto:a@b.example|a@b.example>", "a@b.example"),
            ("see <#C1|general> and <#C9>", "see #general and #channel"),
            ("<!here> <!channel> <!everyone>", "here channel everyone"),
            ("<!subteam^S1|@support>", "support"),
            ("<!date^1392734382^{date_short}|18 Feb>", "18 Feb"),
            ("1 &lt; 2 &amp;&amp; a_b *c*", "1 < 2 && a_b *c*"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("&lt;@U1&gt;", "<@U1>"),
            ("a < b", "a < b"),
        ],
    )
    def test_markup_becomes_words(self, typed: str, plain: str) -> None:
        """Mentions, links and special tokens turn into what a customer can read; entities come last."""
        assert text.slack_to_plain(typed, {"U1": "Anna"}.get) == plain


class TestExcerptAndTokens:
    @given(ANY_TEXT, st.integers(1, 120))
    def test_an_excerpt_is_one_line_within_its_limit(self, value: str, limit: int) -> None:
        """No line end, never longer than asked."""
        line = text.excerpt(value, limit)
        assert len(line) <= limit
        assert "\n" not in line

    def test_an_excerpt_ends_at_a_word_and_says_that_it_was_cut(self) -> None:
        """The cut falls on a near space and shows an ellipsis."""
        assert text.excerpt("Where is my order number five?", 20) == "Where is my order…"
        assert text.excerpt("我的订单在哪里呢请告诉我", 8) == "我的订单在哪里…"
        assert text.excerpt("short\n text", 20) == "short text"

    def test_tokens_find_words_and_chinese(self) -> None:
        """Words fold case and width; Chinese becomes bigrams; each token comes once."""
        assert text.words_and_bigrams("Order ＯＲＤＥＲ #1042 STRASSE Straße") == ("order", "1042", "strasse")
        assert text.words_and_bigrams("我要退款abc") == ("我要", "要退", "退款", "abc")
        assert text.words_and_bigrams("退") == ("退",)
        assert text.words_and_bigrams(" .,! ") == ()

    @given(ANY_TEXT)
    def test_tokens_do_not_depend_on_case_or_width(self, value: str) -> None:
        """A search for the folded form finds what the written form stored."""
        tokens = text.words_and_bigrams(value)
        assert len(set(tokens)) == len(tokens)
        assert not any(re.search(r"\s", token) for token in tokens)


class TestNotes:
    @pytest.mark.parametrize(
        ("typed", "prefix", "body"),
        [
            ("// internal", "//", "internal"),
            ("  \n//internal", "//", "internal"),
            ("／／ 内部", "//", "内部"),
            ("/／x", "//", "x"),
            ("\u200b// x", "//", "x"),
            ("//", "//", ""),
            ("Note: hm", "note:", "hm"),
            ("ＮＯＴＥ： hm", "note:", "hm"),
            ("Intern", "intern", ""),
            ("*// bold*", "//", "bold*"),
            ("> // quoted", "//", "quoted"),
            ("`//` code", "//", "` code"),
            ("/\u200b/ unseen between", "//", "unseen between"),
            ("\u2044\u2215 other slashes", "//", "other slashes"),
            ("* starred", "*", "starred"),
        ],
    )
    def test_a_note_is_recognised_however_it_is_typed(self, typed: str, prefix: str, body: str) -> None:
        """Leading space, styling, full width, mixtures and case turn no note into an answer to the customer."""
        assert text.parse_note(typed, prefix) == (True, body)

    @pytest.mark.parametrize(
        ("typed", "prefix"),
        [
            ("/ x", "//"),
            ("https://a.example", "//"),
            ("see // there", "//"),
            ("*bold* // x", "//"),
            ("", "//"),
            ("international", "intern"),
            ("x", ""),
        ],
    )
    def test_an_answer_is_not_taken_for_a_note(self, typed: str, prefix: str) -> None:
        """What does not begin with the prefix is returned unchanged."""
        assert text.parse_note(typed, prefix) == (False, typed)
