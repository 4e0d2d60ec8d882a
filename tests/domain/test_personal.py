"""What is personal in a text is found; what only looks like it is left: an order number helps the agent."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import personal, privacy

FOUND = [
    # e-mail
    ("write to anna.smith+news@example.co.uk.", "write to [email]."),
    ("我的邮箱是foo_bar@qq.com，谢谢", "我的邮箱是[email]，谢谢"),
    ("ｆｏｏ＠ｅｘａｍｐｌｅ．ｃｏｍ", "[email]"),
    ("mailto:a@b.example?subject=x", "mailto:[email]?subject=x"),
    # phones
    ("call +49 170 1234567 or 0049 170 1234567", "call [phone] or [phone]"),
    ("Ring me: (415) 555-2671 / 415.555.2671", "Ring me: [phone] / [phone]"),
    ("my phone is 4155552671", "my phone is [phone]"),
    ("my number +1 415-555-2671, 2 calls please", "my number [phone], 2 calls please"),
    ("+86 139 1234 5678 3 times", "[phone] 3 times"),
    ("020 7946 0958 after six", "[phone] after six"),
    ("0170 1234567", "[phone]"),
    ("电话13912345678谢谢", "电话[phone]谢谢"),
    ("我的手机号是139 1234 5678", "我的手机号是[phone]"),
    ("手机：１３９１２３４５６７８", "手机：[phone]"),
    ("139\u200b1234\u200b5678", "[phone]"),
    ("座机0755-12345678转123", "座机[phone]"),
    ("010-88886666", "[phone]"),
    ("联系方式 88886666", "联系方式 [phone]"),
    # payment cards
    ("card 4111 1111 1111 1111 was charged", "card [card] was charged"),
    ("4111-1111-1111-1111", "[card]"),
    ("amex 378282246310005", "amex [card]"),
    ("3782 822463 10005", "[card]"),
    ("卡号6222021111111111112扣了两次", "卡号[card]扣了两次"),
    ("card number: 4111 1111 1111 1112", "card number: [card]"),  # mistyped, and called one
    ("order 2023 card 5555555555554444", "order 2023 card [card]"),
    # bank accounts
    ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
    ("gb82west12345698765432", "[iban]"),
    # identity numbers
    ("身份证11010519491231002X已上传", "身份证[id]已上传"),
    ("身份证号：110105 19900307 1239", "身份证号：[id]"),
    ("身份证号码是110105199003071230", "身份证号码是[id]"),  # mistyped, and called one
    ("护照号E12345678", "护照号[id]"),
    ("my passport number is X12345678", "my passport number is [id]"),
    ("SSN 078-05-1120", "SSN [id]"),
    # secrets
    ("my password is hunter2!", "my password is [secret]!"),
    ("password: hunter", "password: [secret]"),
    ("Passwort? pwd=Tr0ub4dor&3 thanks", "Passwort? pwd=[secret] thanks"),
    ("PIN 4821, CVV: 123", "PIN [secret], CVV: [secret]"),
    ("the verification code is 882211", "the verification code is [secret]"),
    ("密码是abc123456", "密码是[secret]"),
    ("登录密码：Abc@123，登不上", "登录密码：[secret]，登不上"),
    ("验证码 882211 输了没用", "验证码 [secret] 输了没用"),
    ("key sk-proj-abcdefghijklmnop1234567890", "key [secret]"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789 leaked", "[secret] leaked"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
    ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: Bearer [secret]"),
    ("api_key=0123456789abcdef", "api_key=[secret]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "[secret]"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[secret]"),
    # addresses
    ("I live at 221B Baker Street, Flat 2, London NW1 6XE thanks", "I live at [address] thanks"),
    ("ship to 1600 Pennsylvania Avenue NW, Washington, DC 20500", "ship to [address]"),
    ("send it to 12 baker street please", "send it to [address] please"),
    ("15 Elm Dr, Springfield", "[address]"),
    ("P.O. Box 1234", "[address]"),
    ("麻烦改到上海市浦东新区世纪大道100号东方明珠大厦12楼 快点", "麻烦改到[address] 快点"),
    ("我住在北京市朝阳区建国路88号3号楼1502室，谢谢", "我住在[address]，谢谢"),
    ("深圳市南山区科技园科苑路15号科兴科学园B栋3单元1201", "[address]"),
    ("地址：幸福小区3栋2单元501", "地址：[address]"),
]

LEFT = [
    "Where is my order #1042 of 3 items, 19.90 EUR, from 2026-11-22 10:30?",
    "my order number is 4155552671",
    "invoice 2026-000123-4567, tracking 9400111899223100001234 and 1Z999AA10123456784",
    "订单号20231118001233，快递单号SF1234567890123",
    "IP 192.168.10.12 is down since version 1.2.3.4",
    "total 1,299,000.00 or 100.000.000",
    "+1000000 points, 5000 kg, 12:30-18:45",
    "hotlines 12315, 95588, 911",
    "card 4111 1111 1111 111",  # too short
    "4111111111111112",  # wrong check digit, not called a card
    "2026 1111 2222 3333",  # no issuer
    "DE88 1234 5678 9012 3456 78",  # wrong check
    "110105199013071239",  # no such month
    "000-12-3456",
    "follow @relaydesk, user@localhost",
    "password is wrong, password: not working, I forgot my password",
    "the pin is blocked and the token expired",
    "登录密码错误，密码是多少",
    "the secret of a good reply",
    "I waited 2 hours on the road and 3 days more on the street",
    "3 hard drive way, 2 way authentication, 24 hours close",
    "我在地铁5号线，走了3条街",
    "路由器2号机，第2单元测试，5号到货",
    "这条路5号线",
    "[phone] [email] [address]",
    "",
]


@pytest.mark.parametrize(("text", "masked"), FOUND)
def test_what_is_personal_is_taken_out(text: str, masked: str) -> None:
    """Each kind, in both languages, as people write it; the rest of the text stays."""
    assert privacy.mask(text) == masked


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_personal_is_left(text: str) -> None:
    """Order numbers, dates, amounts, addresses of machines, sentences about passwords."""
    assert privacy.mask(text) == text


def test_findings_name_kind_and_place() -> None:
    """What is found can be shown without being repeated."""
    text = "card 4111 1111 1111 1111, mail a@example.com"
    assert [(found.kind, text[found.begin : found.end]) for found in privacy.findings(text)] == [
        ("card", "4111 1111 1111 1111"),
        ("email", "a@example.com"),
    ]


def test_two_claims_on_the_same_characters_are_one_finding() -> None:
    """What is a card and a phone number to the eye is hidden whole, under the kind that has a check digit."""
    (found,) = privacy.findings("call 4111111111111111")
    assert found.kind == "card"


PIECES = st.sampled_from(
    [
        *(text for text, _ in FOUND),
        *(
            "4111",
            "1111",
            "13912345678",
            "+49",
            "call",
            "电话",
            "密码是",
            "password: ",
            "12 baker ",
            "street",
            "路",
            "88号",
        ),
        *("a@b.cd", "@", " ", "-", ".", "[phone]", "[", "]", "x", "一", "DE89", "Bearer ", "eyJ", "0", "\n", "，"),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join))
@example("x@b.co139123456784111111111111111")
@example("a@b.cd88号路1号")
def test_a_masked_text_stays_as_it_is(text: str) -> None:
    """Whatever stood side by side, nothing is found after masking."""
    masked = privacy.mask(text)
    assert privacy.findings(masked) == ()
    assert privacy.mask(masked) == masked


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_can_be_masked(text: str) -> None:
    """Lone surrogates, digits of other scripts, controls: no error, and spans that lie in the text."""
    found = privacy.findings(text)
    assert all(0 <= one.begin < one.end <= len(text) for one in found)
    assert all(one.end <= other.begin for one, other in pairwise(found))
    assert privacy.findings(privacy.mask(text)) == ()


@given(st.text(alphabet="abc xyz.,?!我要退货怎么办", max_size=200))
def test_a_text_without_digits_and_signs_is_untouched(text: str) -> None:
    """Plain sentences are returned as they are."""
    assert privacy.mask(text) == text


@given(st.integers(0, 10**14), st.sampled_from(["4", "51", "6222"]))
def test_every_valid_card_is_found(body: int, issuer: str) -> None:
    """Whatever the number, its check digit gives it away, spaced or not."""
    digits = f"{issuer}{body:014d}"[:15]
    (number,) = (digits + check for check in "0123456789" if personal.is_card(digits + check))
    spaced = " ".join(number[place : place + 4] for place in range(0, 16, 4))
    assert privacy.mask(f"card {number}; {spaced}") == "card [card]; [card]"


@given(st.dates().filter(lambda day: 1900 <= day.year <= 2099), st.integers(0, 999))
def test_every_resident_id_is_found(born: object, sequence: int) -> None:
    """Exactly one check character of eleven is right, and only that is an identity number."""
    digits = f"310104{str(born).replace('-', '')}{sequence:03d}"
    right = [digits + check for check in "0123456789X" if personal.is_resident_id(digits + check)]
    assert len(right) == 1
    assert privacy.mask(f"我的号码{right[0]}谢谢") == "我的号码[id]谢谢"


HARD = [
    "1 ", "1", "@", "a@", "路1号", "1 a ", "(0", "+1 ", "password ", "password: a ", "DE89 ", "4111 ", "13912345678 ",
    "a", "一", "call ", "12 baker ", "eyJ", "-----BEGIN PRIVATE KEY-----", "call 1 ", "0170 1234567 ",
    "+49 170 1234567 ",
    "省", "[phone]", "密码", "a.", "1-", "\u200b1",
]  # fmt: skip


@pytest.mark.parametrize("piece", HARD)
def test_time_grows_with_the_text_alone(piece: str) -> None:
    """A hundred thousand characters of whatever suits the patterns worst take seconds at most, not minutes."""
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    privacy.mask(text)
    assert time.process_time() - started < 8.0


def test_an_ordinary_message_costs_next_to_nothing() -> None:
    """Well under the 100 microseconds that a message may cost, in both languages."""
    ordinary = [
        "Hi, where is my order #1042? I ordered two weeks ago and it still has not arrived.",
        "我的订单还没到，已经两个星期了，麻烦帮我查一下",
    ]
    for text in ordinary:
        fastest = min(_timed(text) for _ in range(50))
        assert fastest < 100e-6


def _timed(text: str) -> float:
    started = time.perf_counter()
    privacy.mask(text)
    return time.perf_counter() - started
