"""Parse modes: what is escaped comes out as it went in, and nothing makes the parser stumble."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.helpers import escape_markdown

from sandbox.telegram import entities, html_mode, markdown_mode
from sandbox.telegram.errors import ApiError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
MARKUP = st.text("<>/&;=\"' ab*_~|`[]()\\!.\n#xé🍷", max_size=40)


@given(TEXT)
def test_escaped_html_is_the_text_itself(text: str) -> None:
    """html.escape and back: the customer reads what the agent typed."""
    assert html_mode.parse(html.escape(text)) == (text, [])


@given(TEXT)
def test_escaped_markdown_is_the_text_itself(text: str) -> None:
    """python-telegram-bot's escaping and back, for everything that is not a reserved character without escape."""
    assert markdown_mode.parse(escape_markdown(text.replace("\\", "/"), version=2))[0] == text.replace("\\", "/")


@pytest.mark.parametrize("parse", [html_mode.parse, markdown_mode.parse, markdown_mode.parse_legacy])
@given(source=MARKUP)
def test_any_markup_is_parsed_or_refused(parse: object, source: str) -> None:
    """Random markup gives text with spans inside it, or Telegram's 400, never anything else."""
    assert callable(parse)
    text, spans, refusal = "", [], None
    try:
        text, spans = parse(source)
    except ApiError as error:
        refusal = error
    if refusal:
        assert refusal.description.startswith("Bad Request: can't parse entities: ")
    assert all(0 <= start <= end <= len(text) for start, end, _ in spans)


@given(st.text())
def test_length_is_counted_in_utf16_units(text: str) -> None:
    """The count is that of the encoder."""
    assert entities.utf16_length(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(TEXT)
def test_found_entities_lie_inside_the_text_and_do_not_overlap(text: str) -> None:
    """What is recognised by itself is in order and within the text."""
    end = 0
    for entity in entities.find(text + " /help https://x.org me@x.org @someone #tag"):
        assert entity["offset"] >= end
        end = entity["offset"] + entity["length"]
    assert end <= entities.utf16_length(text) + 50
