"""The page, in a real Chromium: what a person sees and does there reaches the bot's real SDKs, and comes back."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.sandbox import page_kit, slack_kit, telegram_kit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]  # one loop, as the driver has one

Slack = tuple[slack_kit.App, slack_kit.People]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63106828000001"
    "a40101da6ad06f0000000049454e44ae426082"
)
LONG_POLL_S = 50
EVIL = "<img src=x onerror=\"document.title='owned'\"> <b>bold</b> &amp; *stars* <!channel> {{7*7}}"


async def test_a_new_customer_writes_and_reads_on_the_phone(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """Somebody added on the page writes; the bot's answer appears on the same phone, with its inline button."""
    await expect(window.page.locator("#phones-empty-text")).to_contain_text("Add one")
    await window["add-customer"].click()
    await window["add-first-name"].fill("Maria")
    await window["add-language"].select_option("zh-hans")
    await window["add-confirm"].click()
    phone = window.page.locator(".phone")
    await phone.locator("textarea").fill("Where is\nmy parcel?")
    await phone.locator("textarea").press("Enter")
    await expect(phone.locator('[data-from="customer"]')).to_contain_text("my parcel?")
    await expect(phone.locator("textarea")).to_have_value("")
    async with telegram_kit.bot(desk) as bot:
        (update,) = await bot.get_updates(timeout=LONG_POLL_S)
        assert update.message is not None
        assert update.message.from_user is not None
        assert (update.message.text, update.message.from_user.language_code) == ("Where is\nmy parcel?", "zh-hans")
        markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}
        about = {"reply_markup": markup, "reply_parameters": {"message_id": update.message.message_id}}
        await bot.send_message(update.message.chat.id, "On its *way*", api_kwargs=about)
        await phone.get_by_test_id("inline-yes").click()
        await expect(phone.locator('[data-from="bot"]')).to_contain_text("On its *way*")
        await expect(phone.locator('[data-from="bot"] blockquote')).to_contain_text("my parcel?")
        (pressed,) = await bot.get_updates(offset=update.update_id + 1, timeout=LONG_POLL_S)
        assert pressed.callback_query is not None
        assert pressed.callback_query.data == "yes"


async def test_a_photo_and_a_file_are_sent_from_the_phone(
    desk: telegram_kit.Desk, window: page_kit.Window, tmp_path: Path
) -> None:
    """A picture goes as a photo with its caption, anything else as a document, and both are shown."""
    chat = desk.join(first_name="Hannah")
    await window[f"customer-{chat}"].click()
    phone = window[f"phone-{chat}"]
    picture = tmp_path / "mug.png"
    picture.write_bytes(PNG)
    await phone.locator("input[type=file]").set_input_files(picture)
    await phone.locator("textarea").fill("broken")
    await phone.locator("textarea").press("Enter")
    await expect(phone.locator(".bubble img")).to_be_visible()
    report = tmp_path / "订单.txt"
    report.write_text("42")
    await phone.locator("input[type=file]").set_input_files(report)
    await phone.get_by_role("button", name="Send", exact=True).click()
    await expect(phone.locator(".bubble a.file")).to_contain_text("订单.txt")
    kinds = [record["data"] for record in desk.log("customer_message")]
    assert [("photo" in str(one), "document" in str(one)) for one in kinds] == [(True, False), (False, True)]


async def test_a_phone_edits_deletes_and_blocks(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """A message is changed and taken back on the phone, and the bot is blocked and let in again."""
    chat = desk.join()
    said = desk.say(chat, "on Tusday")["message_id"]
    await window[f"bubble-menu-{said}"].click()
    await window["bubble-edit"].click()
    await window["phone-edit-input"].fill("on Tuesday")
    await window["phone-edit-input"].press("Enter")
    bubble = window[f"bubble-{said}"]
    await expect(bubble).to_contain_text("on Tuesday")
    await expect(bubble).to_contain_text("edited")
    await window[f"bubble-menu-{said}"].click()
    await window["bubble-delete"].click()
    await window["confirm-yes"].click()
    await expect(bubble).to_contain_text("deleted")
    for words in ("has blocked the bot", "English"):
        await window[f"phone-menu-{chat}"].click()
        await window["phone-block"].click()
        await expect(window[f"phone-{chat}"].locator("header")).to_contain_text(words)


async def test_a_card_is_drawn_and_its_button_reaches_the_app(page_slack: Slack, window: page_kit.Window) -> None:
    """A card posted through the real SDK is drawn; a press arrives as block_actions at a real SocketModeClient."""
    app, _people = page_slack
    await app.connect()
    quote = {"type": "rich_text_quote", "elements": [{"type": "text", "text": "Where is *my* parcel?"}]}
    date = "<!date^1795437000^{date_num} {time}|late>"
    ts = await slack_kit.post_card(
        app,
        {"type": "header", "text": {"type": "plain_text", "text": "Number 1001"}},
        {"type": "rich_text", "elements": [quote]},
        slack_kit.section(f"*Delivery* &lt;87%&gt; for <@{slack_kit.MAYA}>, due {date}"),
        {"type": "divider"},
        slack_kit.actions(slack_kit.button("assign", style="primary", value="1001")),
        {"type": "context", "elements": [{"type": "plain_text", "text": "moved *by* rule"}]},
    )
    card = window.page.locator(f'[data-ts="{ts}"]')
    await expect(card.locator("h3")).to_have_text("Number 1001")
    await expect(card.locator("blockquote")).to_have_text("Where is *my* parcel?")
    await expect(card.locator("strong").filter(has_text="Delivery")).to_be_visible()
    await expect(card).to_contain_text("<87%> for @Maya, due 2026-11-2")
    await expect(card.locator(".block-context")).to_have_text("moved *by* rule")
    await card.get_by_test_id("action-assign").click()
    envelope = await app.request("interactive")
    assert envelope.payload["type"] == "block_actions"
    assert envelope.payload["user"]["id"] == slack_kit.MAYA
    assert envelope.payload["container"]["message_ts"] == ts
    assert [(one["action_id"], one["value"]) for one in envelope.payload["actions"]] == [("assign", "1001")]


async def test_a_file_that_is_deleted_goes_from_the_open_page(page_slack: Slack, window: page_kit.Window) -> None:
    """Whoever looks at the message sees it go: the page is told, as of any change."""
    app, _people = page_slack
    await app.web.chat_postMessage(channel=slack_kit.SUPPORT, text="no file of mine")
    done = await app.web.files_upload_v2(filename="a.pdf", content=b"%PDF", channel=slack_kit.SUPPORT)
    shown = window.page.locator(".file")
    await expect(shown).to_contain_text("a.pdf")
    await app.web.files_delete(file=done["file"]["id"])
    await expect(shown).to_have_text("This file was deleted.")


async def test_words_are_bold_where_slack_shows_them_so(page_slack: Slack, window: page_kit.Window) -> None:
    """Signs stand apart from letters of any script: beside Chinese without a blank they are what was typed."""
    app, _people = page_slack
    ts = await slack_kit.post_card(app, slack_kit.section("*这些* 是，*那些*不是。*These* are, *those*are not."))
    shown = window.page.locator(f'[data-ts="{ts}"] .mrkdwn')
    await expect(shown.locator("strong")).to_have_text(["这些", "These"])
    await expect(shown).to_contain_text("*那些*不是")


async def test_a_card_that_changes_under_a_press_is_pressed(page_slack: Slack, window: page_kit.Window) -> None:
    """The button that somebody holds down stays until it is let go; then the card shows what is new."""
    app, _people = page_slack
    await app.connect()
    ts = await slack_kit.post_card(
        app, slack_kit.section("before"), slack_kit.actions(slack_kit.button("assign", value="1001"))
    )
    card = window.page.locator(f'[data-ts="{ts}"]')
    await card.get_by_test_id("action-assign").hover()
    await window.page.mouse.down()
    blocks = [slack_kit.section("after"), slack_kit.actions(slack_kit.button("assign", value="1001"))]
    async with window.page.expect_response(lambda one: "/control/slack/channel/" in one.url):
        await app.web.chat_update(channel=slack_kit.SUPPORT, ts=ts, text="card", blocks=blocks)
    await window.page.evaluate("() => new Promise((drawn) => setTimeout(drawn, 200))")
    await expect(card).to_contain_text("before")
    await window.page.mouse.up()
    assert (await app.request("interactive")).payload["container"]["message_ts"] == ts
    await expect(card).to_contain_text("after")


async def test_menus_ask_first_and_send_the_choice(page_slack: Slack, window: page_kit.Window) -> None:
    """A select with groups and an overflow menu with a confirmation send what was chosen; Cancel sends nothing."""
    app, _people = page_slack
    await app.connect()
    low, high = ({"text": {"type": "plain_text", "text": word}, "value": word} for word in ("low", "high"))
    plain = {"type": "plain_text", "text": "Sure?"}
    await slack_kit.post_card(
        app,
        slack_kit.actions(
            {
                "type": "static_select",
                "action_id": "priority",
                "placeholder": {"type": "plain_text", "text": "Priority"},
                "option_groups": [{"label": {"type": "plain_text", "text": "All"}, "options": [low, high]}],
            },
            {
                "type": "overflow",
                "action_id": "more",
                "options": [low, high],
                "confirm": {"title": plain, "text": plain, "confirm": plain, "deny": plain},
            },
        ),
    )
    await window["action-priority"].select_option("high")
    chosen = (await app.request("interactive")).payload["actions"][0]
    assert (chosen["action_id"], chosen["selected_option"]["value"]) == ("priority", "high")
    await window["action-more"].click()
    await window["option-0"].click()
    await window["confirm-no"].click()  # had this one left it would come first, and with the other value
    await window["action-more"].press("Enter")
    await window.page.keyboard.press("ArrowDown")
    await window.page.keyboard.press("Enter")
    await window["confirm-yes"].click()
    chosen = (await app.request("interactive")).payload["actions"][0]
    assert (chosen["action_id"], chosen["selected_option"]["value"]) == ("more", "high")


async def test_a_thread_is_opened_answered_and_closed(page_slack: Slack, window: page_kit.Window) -> None:
    """A reply written in the thread arrives as an event of the person one acts as; Escape closes the thread.

    Without a mouse: arrow keys lead to the message, Enter opens its thread, and who closes it is where they were.
    """
    app, _people = page_slack
    await app.connect()
    ts = await slack_kit.post_card(app, slack_kit.section("Card"))
    when = "<!date^1772452800^{date_short_pretty} {time}|then>"
    await app.web.chat_postMessage(channel=slack_kit.SUPPORT, text=f"first post, due {when}", thread_ts=ts)
    await expect(window["open-thread"]).to_be_visible()
    await window["messages"].focus()
    await window["messages"].press("ArrowUp")
    card = window["messages"].locator(f'[data-ts="{ts}"]')
    await expect(card).to_be_focused()
    await card.press("Enter")
    await expect(window["thread-messages"]).to_contain_text("first post, due 2 Mar 2026 12:00")
    await window["act-as"].select_option(slack_kit.LINA)
    await expect(window["thread-messages"]).to_contain_text("2026年3月2日 20:00")
    await window["thread-composer-input"].fill("您好，\n包裹明天到。")
    await window["thread-composer-input"].press("Enter")
    await expect(window["thread-messages"]).to_contain_text("包裹明天到")
    event = await app.event("message")
    while event["user"] != slack_kit.LINA:
        event = await app.event("message")
    assert (event["text"], event["thread_ts"]) == ("您好，\n包裹明天到。", ts)
    await window["thread-composer-input"].press("Escape")
    await expect(window["thread"]).to_be_hidden()
    await expect(card.get_by_test_id("open-thread")).to_be_focused()


async def test_what_is_whispered_is_seen_by_one(page_slack: Slack, window: page_kit.Window) -> None:
    """An ephemeral message is marked as such, gone for somebody else, and can be dismissed."""
    app, _people = page_slack
    await app.web.chat_postEphemeral(channel=slack_kit.SUPPORT, user=slack_kit.MAYA, text="Only *agents* can answer")
    messages = window["messages"]
    await expect(messages).to_contain_text("Only visible to you")
    await expect(messages.locator("strong").filter(has_text="agents")).to_be_visible()
    await window["act-as"].select_option(slack_kit.STRANGER)
    await expect(messages).not_to_contain_text("Only agents can answer")
    await window["act-as"].select_option(slack_kit.MAYA)
    await window["dismiss"].click()
    await expect(messages).not_to_contain_text("Only agents can answer")


async def test_a_modal_keeps_what_is_wrong_open(page_slack: Slack, window: page_kit.Window) -> None:
    """A command opens a modal; the app's errors stand at the field, and a good entry closes it."""
    app, _people = page_slack
    await app.connect()
    await window["slack-composer-input"].fill("/relaydesk note 42")
    await window["slack-composer-input"].press("Enter")
    command = await app.request("slash_commands")
    assert (command.payload["command"], command.payload["text"]) == ("/relaydesk", "note 42")
    await app.web.views_open(
        trigger_id=command.payload["trigger_id"], view=slack_kit.modal(slack_kit.text_input("note"))
    )
    await expect(window["modal"]).to_contain_text("Title")
    app.answers["view_submission"] = {"response_action": "errors", "errors": {"note": "Too short"}}
    await window["action-words"].fill("x")
    await window["modal-submit"].click()
    await expect(window["modal"]).to_contain_text("Too short")
    app.answers["view_submission"] = {}
    await window["action-words"].fill("long enough")
    await window["modal-submit"].click()
    await expect(window["modal"]).to_be_hidden()
    payload = (await app.request("interactive")).payload
    payload = (await app.request("interactive")).payload
    assert payload["view"]["state"]["values"]["note"]["words"]["value"] == "long enough"


async def test_the_home_tab_is_drawn_as_it_is_published(page_slack: Slack, window: page_kit.Window) -> None:
    """Opening it tells the app; it shows whoever one acts as what is theirs, anew when that changes, and is pressed."""
    app, _people = page_slack
    await app.connect()
    await window["home-tab"].click()
    opened = (await app.request("events_api")).payload["event"]
    assert (opened["type"], opened["user"], opened["tab"]) == ("app_home_opened", slack_kit.MAYA, "home")
    await expect(window.page.locator("#home-empty")).to_be_visible()
    for words in ("One is yours", "Two are yours"):
        home = {"type": "home", "blocks": [slack_kit.section(words), slack_kit.actions(slack_kit.button("duty"))]}
        await app.web.views_publish(user_id=slack_kit.MAYA, view=home)
        await expect(window["home"]).to_contain_text(words)
    await expect(window["slack-composer"]).to_be_hidden()
    await window["action-duty"].click()
    assert (await app.request("interactive")).payload["actions"][0]["action_id"] == "duty"
    await window["act-as"].select_option(slack_kit.STRANGER)
    await expect(window["home"]).not_to_contain_text("yours")
    await window["act-as"].select_option(slack_kit.MAYA)
    await expect(window["home"]).to_contain_text("Two are yours")
    await window["channel-support"].click()
    await expect(window["home"]).to_be_hidden()
    await expect(window["slack-composer"]).to_be_visible()


async def test_own_messages_are_reacted_to_changed_and_deleted(page_slack: Slack, window: page_kit.Window) -> None:
    """A person's own message gets a reaction, another text, and is taken away, as the app hears."""
    _app, people = page_slack
    ts = await people.post("#support", "see https://example.com & <b>")
    row = window.page.locator(f'[data-ts="{ts}"]')
    await expect(row).to_contain_text("see https://example.com & <b>")
    await row.hover()
    await row.get_by_test_id("react").click()
    await window["emoji-eyes"].click()
    await expect(row.get_by_test_id("reaction-eyes")).to_have_attribute("aria-pressed", "true")
    await row.get_by_test_id("reaction-eyes").click()
    await expect(row.get_by_test_id("reaction-eyes")).to_have_count(0)
    await row.hover()
    await row.get_by_test_id("edit").click()
    await expect(window["edit-input"]).to_have_value("see https://example.com & <b>")
    await window["edit-input"].fill("changed")
    await window["edit-input"].press("Enter")
    await expect(row).to_contain_text("changed (edited)")
    await row.hover()
    await row.get_by_test_id("delete").click()
    await window["confirm-yes"].click()
    await expect(row).to_have_count(0)


async def test_nothing_that_people_write_becomes_markup(
    desk: telegram_kit.Desk, page_slack: Slack, window: page_kit.Window
) -> None:
    """Tags, entities and scripts of a customer stay characters, on the phone and in every kind of block."""
    app, people = page_slack
    chat = desk.join(first_name="<i>Eve</i>")
    said = desk.say(chat, EVIL)["message_id"]
    rich = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_quote", "elements": [{"type": "text", "text": EVIL}]}],
    }
    plain = {"type": "section", "text": {"type": "plain_text", "text": EVIL}}
    ts = await slack_kit.post_card(
        app, rich, plain, slack_kit.section("<javascript:alert(1)|press> <https://a.example/|ok>")
    )
    await people.post("#support", "<script>document.title='owned'</script>")
    await expect(window[f"bubble-{said}"]).to_contain_text(EVIL)
    card = window.page.locator(f'[data-ts="{ts}"]')
    await expect(card.locator("blockquote")).to_have_text(EVIL)
    await expect(card.locator(".plain")).to_have_text(EVIL)
    await expect(card.locator("a")).to_have_count(1)
    await expect(window["messages"]).to_contain_text("<script>document.title='owned'</script>")
    assert await window.page.locator("main img, main script, main i").count() == 0
    assert await window.page.title() == "Relaydesk sandbox"


async def test_time_is_made_faster_stopped_and_moved(desk: telegram_kit.Desk, window: page_kit.Window) -> None:
    """The speed switch sets the sandbox's clock, follows when somebody else sets it, and shows the product's time."""
    await window["speed-600"].click()
    await expect(window["speed-600"]).to_have_attribute("aria-pressed", "true")
    assert desk.http.get("/clock").json()["speed"] == 600
    shown = await window["product-time"].inner_text()
    await expect(window["product-time"]).not_to_have_text(shown)
    desk.post("clock", speed=0)
    await expect(window["speed-0"]).to_have_attribute("aria-pressed", "true")
    shown = await window["product-time"].inner_text()
    before = desk.http.get("/clock").json()["now"]
    await window["advance"].click()
    await expect(window["product-time"]).not_to_have_text(shown)
    assert desk.http.get("/clock").json()["now"] - before == pytest.approx(3600, abs=1)


@pytest.fixture
def product() -> Iterator[str]:
    """A web server with the product's figures; its address."""

    class Figures(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                b'relaydesk_messages_in_total{source="telegram"} 1200.0\n'
                b'relaydesk_deliveries_total{kind="desk.card",outcome="sent"} 7.0\n'
                b'relaydesk_deliveries_total{kind="chat.reply",outcome="dead"} 2.0\n'
                b'relaydesk_outbox_waiting{side="desk"} 3.0\n'
            )

        def log_message(self, *_arguments: object) -> None:
            """Nothing is printed."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Figures)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_strip_shows_the_products_figures(
    desk: telegram_kit.Desk, page_slack: Slack, window: page_kit.Window, product: str
) -> None:
    """Without the bot the strip says so; with it, it shows its figures and the newest card's topic and deadline."""
    app, _people = page_slack
    desk.post("clock", speed=0)  # what is left of ten minutes is ten minutes, however long this takes
    desk.post("product", url="http://127.0.0.1:9")
    await expect(window["strip-bot"]).to_contain_text("the bot is not running")
    desk.post("product", url=product)
    await expect(window["strip-bot"]).to_contain_text("running")
    await expect(window["strip-inbox"]).to_contain_text("1,200")
    await expect(window.page.locator("#outbox-sent")).to_have_text("7")
    await expect(window.page.locator("#outbox-failed")).to_have_text("2")
    now = desk.http.get("/clock").json()["now"]
    await slack_kit.post_card(app, slack_kit.section(f"*Refund* 91%\nDue <!date^{int(now) + 600}^{{time}}|soon>"))
    await expect(window["strip-classification"]).to_contain_text("Refund 91%")
    await expect(window.page.locator("#clocks-next")).to_have_text("10 min")


async def test_the_page_fits_every_window(desk: telegram_kit.Desk, page_slack: Slack, window: page_kit.Window) -> None:
    """Down to a phone's width, and at 200 % (720 by 450), nothing is scrolled sideways and all parts are there."""
    app, _people = page_slack
    chat = desk.join(first_name="Wolfeschlegelsteinhausen", last_name="Bergerdorff")
    desk.say(chat, "x" * 300)
    ts = await slack_kit.post_card(
        app, slack_kit.section("y" * 300), slack_kit.actions(*map(slack_kit.button, "abcdef"))
    )
    await app.web.chat_postMessage(channel=slack_kit.SUPPORT, text="reply", thread_ts=ts)
    for width, height in ((1440, 900), (800, 900), (720, 450), (390, 800)):
        await window.page.set_viewport_size({"width": width, "height": height})
        await window.page.reload(wait_until="domcontentloaded")
        await window["open-thread"].click()
        await expect(window["thread-messages"]).to_contain_text("reply")
        for part in (f"phone-composer-{chat}", "slack-composer", "thread-composer", "speed-60"):
            await window[part].scroll_into_view_if_needed()
            await expect(window[part]).to_be_in_viewport()
        wide = await window.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
