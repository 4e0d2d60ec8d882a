"""Block Kit: what Slack refuses, with its wording, and what it fills in (block_id, action_id, emoji, verbatim).

Sizes are Slack's documented ones. Errors are collected as `must be less than 3001 characters
[json-pointer:/blocks/0/text/text]` and come back in `response_metadata.messages`.
"""

import random
import string
from collections.abc import Iterator

from sandbox.slack.model import Json

MAX_BLOCKS = {"message": 50, "modal": 100, "home": 100}
MAX_ACTIONS = 25
MAX_CONTEXT_ELEMENTS = 10
MAX_FIELDS = 10
MAX_ID = 255
MAX_BUTTON_VALUE = 2_000
MAX_URL = 3_000
MAX_OPTIONS = {"static_select": 100, "multi_static_select": 100, "overflow": 5, "checkboxes": 10, "radio_buttons": 10}
MAX_OPTION_VALUE = 150
SELECTS = frozenset(
    f"{multi}{source}_select"
    for multi in ("", "multi_")
    for source in ("static", "external", "users", "conversations", "channels")
)
PICKERS = frozenset({"datepicker", "timepicker", "datetimepicker"})
INPUTS = frozenset(
    {"plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input", "file_input"}
)
CHOICES = frozenset({"checkboxes", "radio_buttons"})
BUTTONS = frozenset({"button", "overflow", "workflow_button"})
INTERACTIVE = SELECTS | PICKERS | CHOICES | BUTTONS
"""Elements that send block_actions without being asked to."""
UNCHECKED_BLOCKS = frozenset({"rich_text", "video", "file", "markdown", "table", "context_actions"})
_LETTERS = string.ascii_letters + string.digits
_random = random.Random()


def check(blocks: object, surface: str = "message") -> list[str]:
    """Everything that is wrong with the blocks of a message, modal or home; fills in what Slack fills in."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return ["must be an array of blocks [json-pointer:/blocks]"]
    return _Check(surface).run(blocks)


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every (block, element) that people can act on; pictures are not among them."""
    for block in blocks:
        if block["type"] == "actions":
            for element in block["elements"]:
                yield block, element
        elif block["type"] == "section" and "action_id" in block.get("accessory", ()):
            yield block, block["accessory"]
        elif block["type"] == "input":
            yield block, block["element"]


class _Check:
    def __init__(self, surface: str) -> None:
        self._surface = surface
        self._errors: list[str] = []

    def run(self, blocks: list[Json]) -> list[str]:
        most = MAX_BLOCKS[self._surface]
        if len(blocks) > most:
            self._add(f"no more than {most} items allowed", "/blocks")
            return self._errors
        seen: set[str] = set()
        for index, block in enumerate(blocks):
            at = f"/blocks/{index}"
            block_id = block.get("block_id")
            if not block_id:
                block_id = block["block_id"] = _short_id()
            elif not isinstance(block_id, str) or len(block_id) > MAX_ID:
                self._add(f"must be less than {MAX_ID + 1} characters", f"{at}/block_id")
            if str(block_id) in seen:
                self._add(f"block_id {block_id} already exists", f"{at}/block_id")
            seen.add(str(block_id))
            self._block(block, at)
        return self._errors

    def _add(self, what: str, at: str) -> None:
        self._errors.append(f"{what} [json-pointer:{at}]")

    def _block(self, block: Json, at: str) -> None:
        kind = str(block.get("type"))
        if kind == "section":
            self._section(block, at)
        elif kind == "header":
            self._text(block.get("text"), f"{at}/text", most=150, plain=True)
        elif kind == "context":
            self._context(block, at)
        elif kind == "actions":
            self._actions(block, at)
        elif kind == "input":
            self._input(block, at)
        elif kind == "image":
            self._image(block, at)
        elif kind != "divider" and kind not in UNCHECKED_BLOCKS:
            self._add(f"unsupported type: {kind}", f"{at}/type")

    def _section(self, block: Json, at: str) -> None:
        if "text" not in block and not block.get("fields"):
            self._add("missing required field: text or fields", at)
        if "text" in block:
            self._text(block["text"], f"{at}/text", most=3_000)
        fields = self._list(block["fields"], f"{at}/fields", MAX_FIELDS) if "fields" in block else []
        for index, field in enumerate(fields):
            self._text(field, f"{at}/fields/{index}", most=2_000)
        if "accessory" in block:
            self._element(block["accessory"], f"{at}/accessory", INTERACTIVE | {"image"})

    def _context(self, block: Json, at: str) -> None:
        items = self._list(block.get("elements"), f"{at}/elements", MAX_CONTEXT_ELEMENTS)
        for index, item in enumerate(items):
            if item.get("type") == "image":
                self._image(item, f"{at}/elements/{index}")
            else:
                self._text(item, f"{at}/elements/{index}", most=3_000)

    def _actions(self, block: Json, at: str) -> None:
        seen: set[str] = set()
        for index, element in enumerate(self._list(block.get("elements"), f"{at}/elements", MAX_ACTIONS)):
            pointer = f"{at}/elements/{index}"
            self._element(element, pointer, INTERACTIVE)
            action_id = str(element.get("action_id"))
            if action_id in seen:
                self._add(
                    f"`action_id` {action_id} already exists for another element in this block", f"{pointer}/action_id"
                )
            seen.add(action_id)

    def _list(self, items: object, at: str, most: int) -> list[Json]:
        """The objects of a list that must have some, but not more than `most`; empty after an error."""
        if not isinstance(items, list) or not items:
            self._add("must have at least 1 item", at)
            return []
        if len(items) > most:
            self._add(f"no more than {most} items allowed", at)
            return []
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                self._add("must be an object", f"{at}/{index}")
                return []
        return items

    def _input(self, block: Json, at: str) -> None:
        self._text(block.get("label"), f"{at}/label", most=2_000, plain=True)
        if "hint" in block:
            self._text(block["hint"], f"{at}/hint", most=2_000, plain=True)
        self._element(block.get("element"), f"{at}/element", SELECTS | PICKERS | INPUTS | CHOICES)
        block.setdefault("optional", False)
        block.setdefault("dispatch_action", False)

    def _image(self, block: Json, at: str) -> None:
        if not block.get("image_url") and not block.get("slack_file"):
            self._add("missing required field: image_url", at)
        if not block.get("alt_text"):
            self._add("missing required field: alt_text", at)

    def _element(self, element: object, at: str, allowed: frozenset[str]) -> None:
        if not isinstance(element, dict):
            self._add("missing required field: element", at)
            return
        kind = str(element.get("type"))
        if kind not in allowed:
            self._add(f"unsupported type: {kind}", f"{at}/type")
            return
        if kind == "image":
            self._image(element, at)
            return
        self._length(element, "action_id", MAX_ID, at)
        if not element.get("action_id"):
            element["action_id"] = _short_id()
        if kind == "button":
            self._text(element.get("text"), f"{at}/text", most=75, plain=True)
            self._length(element, "value", MAX_BUTTON_VALUE, at)
            self._length(element, "url", MAX_URL, at)
            if element.get("style", "primary") not in ("primary", "danger"):
                self._add("must be a valid enum value", f"{at}/style")
        if "placeholder" in element:
            self._text(element["placeholder"], f"{at}/placeholder", most=150, plain=True)
        if "confirm" in element:
            self._confirm(element["confirm"], f"{at}/confirm")
        if kind in MAX_OPTIONS:
            self._options(element, kind, at)

    def _options(self, element: Json, kind: str, at: str) -> None:
        most = MAX_OPTIONS[kind]
        if "option_groups" in element:
            groups = self._list(element["option_groups"], f"{at}/option_groups", MAX_OPTIONS["static_select"])
            for index, group in enumerate(groups):
                self._text(group.get("label"), f"{at}/option_groups/{index}/label", most=75, plain=True)
                self._option_list(group.get("options"), f"{at}/option_groups/{index}/options", most)
            return
        self._option_list(element.get("options"), f"{at}/options", most)

    def _option_list(self, options: object, at: str, most: int) -> None:
        for index, option in enumerate(self._list(options, at, most)):
            self._text(option.get("text"), f"{at}/{index}/text", most=75)
            if "value" not in option:
                self._add("missing required field: value", f"{at}/{index}")
            self._length(option, "value", MAX_OPTION_VALUE, f"{at}/{index}")
            if "description" in option:
                self._text(option["description"], f"{at}/{index}/description", most=75)

    def _confirm(self, confirm: object, at: str) -> None:
        if not isinstance(confirm, dict):
            self._add("must be a valid confirm object", at)
            return
        for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            if name in confirm:
                self._text(confirm[name], f"{at}/{name}", most=most)

    def _length(self, holder: Json, name: str, most: int, at: str) -> None:
        value = holder.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > most):
            self._add(f"must be less than {most + 1} characters", f"{at}/{name}")

    def _text(self, text: object, at: str, *, most: int, plain: bool = False) -> None:
        if not isinstance(text, dict):
            self._add("missing required field: text", at)
            return
        kind = text.get("type")
        if kind not in ("plain_text", "mrkdwn") or (plain and kind != "plain_text"):
            self._add(
                "must be a valid text object of type plain_text" if plain else "must be a valid text object",
                f"{at}/type",
            )
            return
        words = text.get("text")
        if not isinstance(words, str) or not words:
            self._add("must be more than 0 characters", f"{at}/text")
        elif len(words) > most:
            self._add(f"must be less than {most + 1} characters", f"{at}/text")
        text.setdefault("emoji" if kind == "plain_text" else "verbatim", kind == "plain_text")


def _short_id() -> str:
    return "".join(_random.choices(_LETTERS, k=5))
