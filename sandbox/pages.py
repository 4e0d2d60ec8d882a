"""The page and what it may load: its files, their headers, and the product's own figures beside it."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from sandbox.control import ControlError, body, ok

FOLDER = Path(__file__).with_name("page")
DEFAULT_PRODUCT_URL = "http://127.0.0.1:8480"
"""Where the product listens unless it was told otherwise."""
PATIENCE_S = 2.0

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""The page: nothing from elsewhere, nothing inline."""
FILE_POLICY = "default-src 'none'; sandbox"
"""Files that people have sent: whatever they contain, nothing in them runs."""
FILE_FOLDERS = ("/control/slack/file/", "/control/telegram/file/")


class Product:
    """Where the product's web server is, and what it said last."""

    def __init__(self, url: str) -> None:
        self.url = checked(url)

    async def metrics(self) -> tuple[str | None, str]:
        """The text of its `/metrics`, or None and the reason."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{self.url}/metrics", allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    return None, f"{self.url}/metrics answered {answer.status}"
                return await answer.text("utf-8", "replace"), ""
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None, f"nothing answers at {self.url}"


def checked(url: str) -> str:
    """The address without a slash at its end. ValueError unless it is plain HTTP on this machine.

    The sandbox fetches it for whoever opens the page, so it must not lead anywhere else.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
        _ = parts.port
    except ValueError:
        local = False
    if parts.scheme != "http" or not local or parts.path not in ("", "/", "/metrics") or parts.query:
        raise ValueError(f"the product's address must be like {DEFAULT_PRODUCT_URL}, on this machine: {url}")
    return f"http://{parts.netloc}"


PRODUCT: web.AppKey[Product] = web.AppKey("product", Product)


def add_routes(app: web.Application, *, product_url: str) -> None:
    """Mount `/`, `/page/` and `/control/product`."""
    app[PRODUCT] = Product(product_url)
    app.router.add_get("/", _index)
    app.router.add_get("/page/", _index)
    app.router.add_static("/page", FOLDER)
    app.router.add_get("/control/product/metrics", _metrics)
    app.router.add_post("/control/product", _set_product)
    app.on_response_prepare.append(_headers)


async def _index(_request: web.Request) -> web.StreamResponse:
    return web.FileResponse(FOLDER / "index.html")


async def _metrics(request: web.Request) -> web.Response:
    product = request.app[PRODUCT]
    text, reason = await product.metrics()
    return ok(running=text is not None, text=text or "", reason=reason, url=product.url)


async def _set_product(request: web.Request) -> web.Response:
    url = (await body(request)).get("url")
    if not isinstance(url, str):
        raise ControlError("url must be a text")
    request.app[PRODUCT].url = checked(url)
    return ok(url=request.app[PRODUCT].url)


async def _headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.path == "/" or request.path.startswith("/page"):
        policy = POLICY
        response.headers["Cache-Control"] = "no-cache"
    elif request.path.startswith(FILE_FOLDERS):
        policy = FILE_POLICY
    else:
        return
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
