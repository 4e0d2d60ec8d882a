"""What a person types, as Slack's client sends it: special characters escaped, links marked."""

import re

_KEPT = re.compile(r"<(?:[@#!][^<>\s][^<>]*|https?://[^<>\s]+|mailto:[^<>\s]+)>")
_LINK = re.compile(r"(?P<url>https?://[^\s<>]+[^\s<>.,;:!?)\]'\"])|(?P<mail>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)")


def as_sent(text: str) -> str:
    """`a < b & c` becomes `a &lt; b &amp; c`, addresses become `<https://…>` and `<mailto:a@b.c|a@b.c>`.

    Mentions and links that already have Slack's form (`<@U…>`, `<#C…>`, `<!…>`, `<https://…>`) stay.
    """
    parts: list[str] = []
    end = 0
    for kept in _KEPT.finditer(text):
        parts += [_link(_escape(text[end : kept.start()])), kept.group()]
        end = kept.end()
    parts.append(_link(_escape(text[end:])))
    return "".join(parts)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link(text: str) -> str:
    return _LINK.sub(_mark, text)


def _mark(found: re.Match[str]) -> str:
    if mail := found.group("mail"):
        return f"<mailto:{mail}|{mail}>"
    return f"<{found.group('url')}>"
