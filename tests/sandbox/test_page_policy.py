"""What the page may load, and what it may be pointed at."""

from tests.sandbox import slack_kit, telegram_kit


def test_the_product_must_be_on_this_machine(desk: telegram_kit.Desk) -> None:
    """The sandbox fetches figures from loopback addresses only."""
    for url in ("http://example.com", "http://10.0.0.1:80", "file:///etc/passwd", "https://127.0.0.1", "http://[::"):
        answer = desk.http.post("/control/product", json={"url": url})
        assert (answer.status_code, answer.json()["ok"]) == (400, False)


def test_the_page_may_load_nothing_from_elsewhere(desk: telegram_kit.Desk) -> None:
    """The page and its files carry the strict policy; a file that somebody sent can run nothing at all."""
    for path in ("/", "/page/app.js"):
        answer = desk.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    shared = desk.post(
        "slack/post",
        user=slack_kit.MAYA,
        channel="#support",
        files=[{"base64": "PGgxPg==", "name": "a.html", "mime": "text/html"}],
    )
    answer = desk.http.get(f"/control/slack/file/{shared['message']['files'][0]['id']}")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
