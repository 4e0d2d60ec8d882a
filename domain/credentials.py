"""Passwords, codes and keys in a text: what is called one, and what has the shape of one."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

HINTS = (
    "pass", "pwd", "pin", "cvv", "cvc", "otp", "secret", "token", "key", "bearer", "验证码", "密码", "口令", "密钥",
    "code", "sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "xox", "akia", "aiza", "ltai",
    "eyj", ":aa", "安全码",
)  # fmt: skip
"""In lower case: a text that has none of these has nothing for `found`."""

_SHAPES = re.compile(
    r"(?<![0-9A-Za-z_])(?:"
    r"(?:sk|pk|rk)[-_](?:(?:live|test|proj|ant|or)[-_])?[0-9A-Za-z_-]{16,200}"
    r"|gh[pousr]_[0-9A-Za-z]{20,100}|github_pat_[0-9A-Za-z_]{20,120}|glpat-[0-9A-Za-z_-]{16,64}"
    r"|xox[abeprs]-[0-9A-Za-z-]{10,200}|xapp-[0-9A-Za-z-]{10,200}"
    r"|AKIA[0-9A-Z]{16}|LTAI[0-9A-Za-z]{12,30}|AIza[0-9A-Za-z_-]{30,45}"
    r"|eyJ[0-9A-Za-z_-]{8,2000}\.[0-9A-Za-z_-]{8,4000}(?:\.[0-9A-Za-z_-]{0,1000})?"
    r"|\d{6,12}:AA[0-9A-Za-z_-]{30,40}"
    r")(?![0-9A-Za-z_])"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[^\-]{0,8000}(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?")
_BEARER = re.compile(r"\b[Bb]earer[ ]+([0-9A-Za-z._~+/-]{16,2000}=*)")
_NAMED = re.compile(
    r"(?:\b(?:pass ?(?:word|code|phrase)|passwd|pwd|pw|pin(?: ?(?:code|number))?|cvv2?|cvc2?|otp"
    r"|(?:verification|security|login|one[- ]time) code|(?:api|access|secret|private)[ _-]?(?:key|token|secret)"
    r"|token|secret)s?"
    r"(?P<en>[ ]?[:=][ ]?|[ ](?:is|was)[ :]{1,2}|[ ](?=\S{0,30}\d))"
    r"|(?:支付|登录|登陆|银行卡?|开机|wifi)?(?:密码|口令|验证码|校验码|安全码|密钥|动态码)"
    r"(?P<zh>[ ]?(?:是|为|:|：|=)?[ :：]{0,2}))"
    r"[\"'“‘「]?(?P<value>[!-~]{3,128})",
    re.IGNORECASE,
)
_TRAILING = ".,;!?)\"'"
_PLAIN = re.compile(r"[a-z]+|[A-Z][a-z]+|[A-Z]+", re.ASCII)
_MARKED = re.compile(r"\[(?:[a-z]+)\]")
_WORDS = (
    "wrong incorrect invalid expired reset forgotten forgot lost missing changed blocked locked correct right not no"
    " unknown required empty please help the a an is was too still never again error failed null none"
)
_SAYS_NOTHING = frozenset(_WORDS.split())


def found(text: str) -> Iterator[Span]:
    """Where a secret stands, its name left out: "password: [here]", 密码是[here], keys by their prefixes."""
    for pattern in (_SHAPES, _PEM):
        for match in pattern.finditer(text):
            yield match.span()
    for match in _BEARER.finditer(text):
        yield match.span(1)
    for match in _NAMED.finditer(text):
        value = match["value"].rstrip(_TRAILING)
        begin = match.start("value")
        if _is_secret(value, match["en"], text[begin + len(match["value"]) :][:1]):
            yield begin, begin + len(value)


def _is_secret(value: str, said: str | None, after: str) -> bool:
    """A value that could be one: with digits or signs in it, or the last word after a colon."""
    if len(value) < 3 or _MARKED.match(value) or value.lower() in _SAYS_NOTHING:
        return False
    if any(letter.isdecimal() for letter in value) and any(letter.isalnum() for letter in value):
        return True
    if not _PLAIN.fullmatch(value):  # "hunter-Two", "qWerTy"; a word with a full stop in it is a sentence
        return said is None or ":" in said or "=" in said or not value.replace("'", "").replace("-", "").isalpha()
    return (said is None or ":" in said or "=" in said) and after in ("", "\n") and len(value) >= 4
