"""REST APIs described, over the internal listener: for each stage its OpenAPI document, and a page that shows it.

`GET /docs/`, `GET /docs/{apiId}/{stage}/` and `GET /docs/{apiId}/{stage}/openapi.json`. The document is what clients
may know: it names no backend. The page is Swagger UI's, from the package that the extra `docs` brings; all of it comes
from here, and it may load nothing from elsewhere. It is for reading: it sends no requests.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import anyio.to_thread

from wsgateway.guard import Guard
from wsgateway.messages import Handler, HttpRequest, HttpResponse
from wsgateway.model.definitions import Definitions
from wsgateway.model.export.document import Address, export
from wsgateway.model.rest import RestApi

_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Final = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Content-Security-Policy", _POLICY),
)

_SHIPPED: Final[Mapping[str, bytes]] = {
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "swagger-ui.css": b"text/css; charset=utf-8",
}
"""What is taken of Swagger UI."""
_START: Final = b"""\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  supportedSubmitMethods: [],
  validatorUrl: null,
});
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
{body}
</html>
"""
_SHOWN: Final = """\
<link rel="stylesheet" href="../../_assets/swagger-ui.css">
<div id="api"></div>
<script src="../../_assets/swagger-ui-bundle.js"></script>
<script src="../../_assets/start.js"></script>"""

CHALLENGE: Final = (b"WWW-Authenticate", b'Basic realm="wsgateway docs", charset="UTF-8"')
"""Pages alone are opened by a password. What changes something is not: browsers send it unasked ever after."""

MISSING: Final = (
    "this page needs Swagger UI, which is not installed: pip install 'wsgateway[docs]'; the document itself is at "
    "openapi.json, beside this page\n"
)

_place = re.compile(
    r"/docs(?:/|/_assets/(?P<asset>[a-z.-]+)|/(?P<api>[a-z0-9][a-z0-9-]*)/(?P<stage>[A-Za-z0-9_-]+)"
    r"(?P<what>|/|/openapi\.json))?"
).fullmatch


class ApiDocs:
    """A Handler: answers below `/docs` and passes everything else on.

    `executed` gives what the node executes; `server` the scheme and host that clients of the public listener use, as
    whoever sends this request would write it.
    """

    def __init__(
        self,
        executed: Callable[[], Definitions | None],
        *,
        server: Callable[[HttpRequest], str],
        guard: Guard,
        otherwise: Handler,
    ) -> None:
        self._executed = executed
        self._server = server
        self._guard = guard
        self._otherwise = otherwise

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        found = _place(request.target.partition("?")[0])
        if found is None:
            return self._otherwise(request)
        if request.method not in ("GET", "HEAD"):
            return _text(405, "use GET\n", (b"Allow", b"GET, HEAD"))
        refusal = self._guard.refusal(_as_bearer(request))
        if refusal is not None:
            more = (CHALLENGE,) if refusal.status == 401 else ()
            return HttpResponse(refusal.status, (*refusal.headers, *more), refusal.body)
        if found["asset"] is not None:
            return _asset(found["asset"])
        definitions = self._executed()
        if definitions is None:
            return _text(503, "nothing is deployed yet\n")
        if found["api"] is None:
            return _list(definitions) if found[0].endswith("/") else _moved("docs/")
        return self._about(request, definitions, found["api"], found["stage"], found["what"])

    def _about(
        self, request: HttpRequest, definitions: Definitions, api_id: str, stage: str, what: str
    ) -> HttpResponse | Awaitable[HttpResponse]:
        api = definitions.rest_apis.get(api_id)
        if api is None or stage not in api.stages:
            return _text(404, "there is no REST API of this name with this stage; /docs/ lists those there are\n")
        if what == "":
            return _moved(f"{stage}/")
        if what == "/":
            return _page(f"{api_id} {stage}", _SHOWN) if _folder() is not None else _text(501, MISSING)
        # What is private is reached as this page is.
        server = f"{request.scheme}://{request.authority}" if api.private else self._server(request)
        return _document(api, api_id, Address(url_of(definitions, api_id, stage, server)))


def _as_bearer(request: HttpRequest) -> HttpRequest:
    """The request with the secret where the guard looks for it. Browsers ask people for a password (RFC 7617)."""
    scheme, _, value = (request.header(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return request
    try:
        _, _, password = b64decode(value.strip(), validate=True).partition(b":")
    except ValueError:
        return request
    return HttpRequest(request.method, request.target, request.host, ((b"Authorization", b"Bearer " + password),))


async def _document(api: RestApi, api_id: str, address: Address) -> HttpResponse:
    """Made beside the loop: of the largest API it takes 0.2 s."""
    return _answer(200, b"application/json", await anyio.to_thread.run_sync(_text_of, api, api_id, address))


def _text_of(api: RestApi, api_id: str, address: Address) -> bytes:
    return json.dumps(export(api, api_id, address), ensure_ascii=False).encode()


def url_of(definitions: Definitions, api_id: str, stage: str, server: str) -> str:
    """Where clients find a stage: at a custom domain that has it, else at `server`, the gateway's scheme and host."""
    for name, domain in definitions.domains.items():
        for key, mapping in domain.mappings.items():
            if mapping.api == api_id and mapping.stage in (stage, None) and not name.startswith("*"):
                parts = (key, "" if mapping.stage else stage)
                return "/".join((f"https://{name}", *filter(None, parts)))
    return f"{server}/{stage}" if definitions.default("REST") == api_id else f"{server}/execute-api/{api_id}/{stage}"


@cache
def _folder() -> Path | None:
    """Where Swagger UI is. The package around it is for Flask, and not imported."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "dist"
    return folder if all((folder / name).is_file() for name in _SHIPPED) else None


@cache
def _shipped(name: str) -> bytes | None:
    folder = _folder()
    return None if folder is None else (folder / name).read_bytes()


def _asset(name: str) -> HttpResponse:
    if name == "start.js":
        return _answer(200, _SHIPPED["swagger-ui-bundle.js"], _START)
    content = _shipped(name) if name in _SHIPPED else None
    return _text(404, "there is no such file\n") if content is None else _answer(200, _SHIPPED[name], content)


def _list(definitions: Definitions) -> HttpResponse:
    """Links to all stages. Names are letters, digits, _ and -."""
    places = [f"{api_id}/{stage}/" for api_id, api in definitions.rest_apis.items() for stage in api.stages]
    lines = [f'<li><a href="{place}">{place[:-1]}</a></li>' for place in places]
    return _page("APIs", f"<h1>REST APIs</h1>\n<ul>\n{chr(10).join(lines)}\n</ul>" if lines else "no REST APIs")


def _page(title: str, body: str) -> HttpResponse:
    text = _PAGE.format(title=html.escape(title), body=body)
    return _answer(200, b"text/html; charset=utf-8", text.encode())


def _text(status: int, text: str, *more: tuple[bytes, bytes]) -> HttpResponse:
    return _answer(status, b"text/plain; charset=utf-8", text.encode(), *more)


def _moved(to: str) -> HttpResponse:
    return _text(308, "", (b"Location", to.encode()))


def _answer(status: int, kind: bytes, body: bytes, *more: tuple[bytes, bytes]) -> HttpResponse:
    return HttpResponse(status, ((b"Content-Type", kind), *_SAFE, *more), body)
