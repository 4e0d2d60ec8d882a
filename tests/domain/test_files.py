"""What files are, by their first bytes and by what a chat shows them as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import files
from domain.model import Attachment

KINDS = ["photo", "document", "video", "audio", "voice", "animation"]


def file(kind: str, size: int | None = 10) -> Attachment:
    return Attachment(id="A", kind=kind, platform_id="F", name="x", mime="x/y", size=size)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"MZ\x90", "application/x-msdownload"),
        (b"#!/bin/sh", "text/x-script"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"  <HTML><body>", "text/html"),
        (b"<!DOCTYPE html>", "text/html"),
        (b"Dear Ann,", None),
        (b"", None),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, mime: str | None) -> None:
    """What somebody calls a file says nothing; plain text has no mark and is not guessed at."""
    assert files.sniffed(head) == mime


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("invoice.pdf", b"MZ\x90", "application/x-msdownload"),
        ("photo.jpg", b"#!/bin/sh", "text/x-script"),
        ("list.txt", b"<script>", "text/html"),
        ("invoice.pdf", b"%PDF-1.7", None),
        ("letter.docx", b"PK\x03\x04", None),
        ("photo.jpg", b"\x89PNG\r\n\x1a\n", None),
        ("setup.exe", b"MZ\x90", None),
        ("noname", b"MZ\x90", None),
    ],
)
def test_a_program_under_another_name_is_told(name: str, head: bytes, found: str | None) -> None:
    """Only what would run, or show a page, under the name of a picture or a paper; an honest name deceives nobody."""
    assert files.posing(name, head) == found


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([None, 0, 10, 99]))), st.integers(1, 10))
def test_every_file_goes_out_once_and_in_order(said: list[tuple[str, int | None]], most: int) -> None:
    """However they are put together: none twice, none lost, none out of turn, and no album that a chat refuses."""
    found = [file(kind, size) for kind, size in said]
    terms = files.Terms(caption_limit=5, most_together=most, upload_limit=50)
    groups = files.together(found, terms)
    assert [place for group in groups for place in group] == list(range(len(found)))
    for group in groups:
        assert len(group) <= most
        if len(group) > 1:
            assert len({files.FAMILIES[found[place].kind] for place in group}) == 1
            assert all(files.fits(found[place], terms) for place in group)


def test_a_picture_that_goes_as_a_document_makes_no_documents_of_the_others() -> None:
    """What a chat does not show in place stands apart, in its turn: the pictures beside it stay pictures."""
    terms = files.Terms(most_together=10, upload_limit=50, photo_limit=10)
    found = [file("photo", 9), file("video", 50), file("photo", 11), file("document", 40), file("photo", 10)]
    assert files.together(found, terms) == [(0, 1), (2, 3), (4,)]
