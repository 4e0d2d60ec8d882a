"""Postal addresses in a text, as people write them in English and in Chinese.

An address is looked for from what only an address has: a number and a kind of street ("路88号", "12 ... Street").
From there it is followed outwards, a bounded number of characters each way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

# ---- Chinese ---------------------------------------------------------------------------------------------------------

_ZH_CORE = re.compile(
    r"(?:大道|胡同|[路街道巷弄村坊])[东西南北中]?(?:[一二三四五六七八九十]段)?[ ]?"
    r"(?:\d{1,5}|[一二三四五六七八九十百]{1,5})(?:[-之]\d{1,4})?[ ]?(?:号(?![线召码令])|弄|组)"
    r"|(?:小区|花园|公寓|大厦|家园|广场|新村|[苑园城])[ ]?"
    r"\d{1,4}[A-Za-z]?[ ]?(?:号楼|栋|幢|座|单元)"
)
_ZH_UNIT = re.compile(
    r"(?:[,， ]?[\u4e00-\u9fff]{0,8}?[ ]?(?:\d{1,5}[A-Za-z]?|[一二三四五六七八九十A-Za-z])[ ]?"
    r"(?:号楼|栋|幢|座|单元|室|楼|层|户|院)"
    r"|[,， ]?(?:号|弄|-)?\d{1,5}[ ]?(?:号|室|-)(?![线码])){1,5}\d{0,4}"
)
_ZH_BREAK = frozenset("是在到住址寄送给为我你您他她的了请把：:，。、；！？于往")  # no part of a place's name
_ZH_LEVEL = re.compile("自治[区州县]|特别行政区|街道|[省市区县旗镇乡州盟村]")
_ZH_NAME = 4  # characters of a street's or estate's own name, where no district stands before it
_ZH_FIRST = 3  # characters of the outermost name: 北京市, 浦东新区
_ZH_LOOK_BACK = 32


def _is_han(letter: str) -> bool:
    return "\u4e00" <= letter <= "\u9fff"


def chinese(text: str) -> Iterator[Span]:
    """Addresses such as 北京市朝阳区建国路88号3号楼1502室."""
    for match in _ZH_CORE.finditer(text):
        begin = edge = match.start()
        while begin > max(0, edge - _ZH_LOOK_BACK) and _is_han(text[begin - 1]) and text[begin - 1] not in _ZH_BREAK:
            begin -= 1
        if begin == edge:  # a kind of street without a name: 请走路3号... is no address
            continue
        level = _ZH_LEVEL.search(text, begin, edge)
        begin = max(begin, level.start() - _ZH_FIRST) if level else max(begin, edge - _ZH_NAME)
        unit = _ZH_UNIT.match(text, match.end())
        yield begin, unit.end() if unit else match.end()


# ---- English ---------------------------------------------------------------------------------------------------------

_NO_NAME = (
    r"(?:the|a|an|on|in|at|of|and|or|for|to|from|with|by|is|are|was|were|my|your|our|their|this|that|it|i|we|you|not"
    r"|more|less|off|down|up|per|than|out|over|about|items?|orders?|pieces?|times?|people|cars?|other|different"
    r"|sec(?:ond)?s?|min(?:ute)?s?|hours?|hrs?|days?|weeks?|months?|years?|km|miles?|meters?|metres?|am|pm|eur|usd|gbp"
    r"|one|two|three|blocks?|lanes?|euros?|dollars?|pounds?)\b"
)
_NAME = rf"(?!{_NO_NAME})[A-Za-z\u00c0-\u024f0-9][A-Za-z\u00c0-\u024f0-9'’.-]{{0,24}}"
_PROPER = r"(?:[A-Z][A-Za-z\u00c0-\u024f'’.-]{0,24}|\d{1,3}(?:st|nd|rd|th))"
_STREET = re.compile(
    rf"(?<![\w.,:/$€£#-])\d{{1,5}}[A-Za-z]?(?:[-/]\d{{1,4}}[A-Za-z]?)?,?[ ]+"
    rf"(?:(?:(?i:{_NAME})[ ]+){{1,4}}?(?i:street|avenue|ave|road|rd|boulevard|blvd|lane|terrace|crescent|parkway|st)"
    rf"|(?:{_PROPER}[ ]+){{1,4}}?(?:Drive|Dr|Court|Ct|Place|Pl|Square|Sq|Way|Close|Circle|Highway|Hwy|Broadway|Row))"
    r"\b\.?(?:[ ](?:[NS][EW]?|[EW])\b)?"
    r"(?:,?[ ]+(?i:apt|apartment|unit|suite|ste|flat|floor|room|rm|#)\.?[ ]*#?[0-9A-Za-z]{1,6}\b)?"
    r"(?:,[ ]*[A-Z][A-Za-z\u00c0-\u024f'’.-]{1,24}\b(?:[ ][A-Z][A-Za-z\u00c0-\u024f'’.-]{1,24}\b){0,2})?"
    r"(?:,?[ ]+[A-Z]{2}(?=[ ,]+\d{5}))?"
    r"(?:,?[ ]+(?:\d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2})(?![0-9A-Za-z]))?"
)
_BOX = re.compile(r"(?<![0-9A-Za-z_])P\.?[ ]?O\.?[ ]?Box[ ]+\d{1,6}(?![0-9A-Za-z_])", re.IGNORECASE)


def english(text: str) -> Iterator[Span]:
    """Addresses such as 221B Baker Street, Flat 2, London NW1 6XE; post boxes."""
    for pattern in (_STREET, _BOX):
        for match in pattern.finditer(text):
            yield match.span()
