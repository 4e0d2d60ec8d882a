"""The story: a few customers write in by themselves, so that a fresh desk has something to do.

Twenty seconds of arrivals, a trickle for a few minutes, then silence.
In real time, whatever the clock's speed.
"""

import asyncio
import base64
from dataclasses import dataclass
from typing import Any

from sandbox.picture import damaged_mug
from sandbox.telegram import customers
from sandbox.telegram.side import TelegramSide


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who writes in."""

    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str = "en"


@dataclass(frozen=True, kw_only=True)
class Line:
    """What somebody sends, `at_s` seconds after the start."""

    at_s: float
    who: str
    text: str
    photo: bool = False


PEOPLE = {
    "maria": Person(first_name="Maria", last_name="Keller", username="mariakeller"),
    "tom": Person(first_name="Tom", last_name="Okafor"),
    "li": Person(first_name="静", last_name="李", language_code="zh-hans"),
    "daniel": Person(first_name="Daniel", last_name="Reyes", username="dreyes_ops"),
    "wang": Person(first_name="磊", last_name="王", username="wanglei88", language_code="zh-hans"),
    "hannah": Person(first_name="Hannah"),
    "priya": Person(first_name="Priya", last_name="Nair"),
    "sofia": Person(first_name="Sofia", last_name="Lindqvist"),
    "chen": Person(first_name="晓雯", last_name="陈", language_code="zh-hans"),
    "ben": Person(first_name="Ben"),
    "zhao": Person(first_name="敏", last_name="赵", language_code="zh-hans"),
}
LINES = (
    Line(
        at_s=1.0,
        who="maria",
        text="Hi, my parcel 4471 was due on Tuesday and the tracking hasn't moved since.",
    ),
    Line(at_s=2.5, who="li", text="你好，上周买的台灯想退款，还没拆封，请问怎么操作？"),
    Line(at_s=4.5, who="tom", text="I was charged twice for order 20418. Could you refund one of the payments?"),
    Line(at_s=6.0, who="maria", text="It's a birthday present for Saturday, so I'm a bit worried."),
    Line(
        at_s=8.0,
        who="daniel",
        text="Checkout is down for all our shops. Your API has answered 503 for 20 minutes.",
    ),
    Line(at_s=10.0, who="wang", text="麻烦帮我开一张增值税发票，订单号 20931，抬头是上海云帆贸易有限公司。"),
    Line(at_s=12.0, who="hannah", text="This is how the mug arrived. The box looked fine.", photo=True),
    Line(
        at_s=14.5,
        who="priya",
        text="I can't log in since this morning. It keeps saying the code has expired.",
    ),
    Line(at_s=17.0, who="sofia", text="/start"),
    Line(
        at_s=19.5,
        who="sofia",
        text="I've been through the help pages twice. Could I speak to a person, please?",
    ),
    Line(at_s=40.0, who="chen", text="物流显示已签收，但是我没有收到快递，门口也没有。"),
    Line(at_s=62.0, who="ben", text="How do I export last year's invoices as a CSV file?"),
    Line(at_s=90.0, who="daniel", text="Still failing on our side. Is there a status page I can follow?"),
    Line(at_s=125.0, who="zhao", text="请问还能改收货地址吗？订单还没有发货。"),
    Line(at_s=160.0, who="tom", text="One more thing: the receipt shows my old address."),
    Line(at_s=200.0, who="li", text="另外请问退款大概几天到账？"),
)


async def tell(side: TelegramSide) -> None:
    """Let the customers write in, once; a sandbox that already knows customers is left alone."""
    if side.customers:
        return
    chats: dict[str, int] = {}
    told_s = 0.0
    for line in LINES:
        await asyncio.sleep(line.at_s - told_s)
        told_s = line.at_s
        if line.who not in chats or chats[line.who] not in side.chats:
            person = PEOPLE[line.who]
            fields: dict[str, Any] = {name: getattr(person, name) for name in Person.__dataclass_fields__}
            chats[line.who] = customers.join(side, fields).chat_id
        if side.chats[chats[line.who]].blocked:
            continue
        wish: dict[str, Any] = {"chat_id": chats[line.who], "text": line.text}
        if line.photo:
            picture = base64.b64encode(damaged_mug()).decode()
            photo = {"data": picture, "filename": "mug.png", "mime": "image/png"}
            wish = {"chat_id": chats[line.who], "caption": line.text, "photo": photo}
        customers.send(side, wish)
