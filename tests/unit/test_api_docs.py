"""What the pages that describe REST APIs say where not all is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway import api_docs
from wsgateway.api_docs import ApiDocs
from wsgateway.guard import Guard
from wsgateway.messages import HttpRequest, HttpResponse
from wsgateway.model import parse
from wsgateway.model.definitions import Definitions

pytestmark = pytest.mark.anyio

FILE = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {}}
    paths: {/: {GET: {integration: {type: MOCK, requestTemplates: {application/json: "{}"}}}}}
"""


async def asked(path: str, definitions: Definitions | None) -> HttpResponse:
    docs = ApiDocs(
        lambda: definitions,
        server=lambda request: "http://127.0.0.1:8080",
        guard=Guard(None, open=True),
        otherwise=lambda request: HttpResponse(418),
    )
    answer = docs(HttpRequest("GET", path, "127.0.0.1"))
    return answer if isinstance(answer, HttpResponse) else await answer


@pytest.fixture
def shop() -> Definitions:
    return parse(FILE, "routes.yaml", {}, Path()).definitions


async def test_without_swagger_ui_the_page_says_how_to_get_it_and_the_document_is_there(
    shop: Definitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_docs, "find_spec", lambda name: None)
    api_docs._folder.cache_clear()
    api_docs._shipped.cache_clear()
    try:
        page = await asked("/docs/shop/v1/", shop)
        assert page.status == 501
        assert b"pip install 'wsgateway[docs]'" in page.body  # type: ignore[operator]
        assert (await asked("/docs/_assets/swagger-ui.css", shop)).status == 404
        assert (await asked("/docs/shop/v1/openapi.json", shop)).status == 200
        assert (await asked("/docs/", shop)).status == 200
    finally:
        api_docs._folder.cache_clear()
        api_docs._shipped.cache_clear()


async def test_before_the_first_deployment_there_is_nothing_to_tell() -> None:
    assert (await asked("/docs/shop/v1/", None)).status == 503


@pytest.mark.parametrize(
    "path",
    ["/", "/docs2/", "/docs/shop", "/docs/@connections/a", "/docs/shop/v1/x", "/docs/shop/v1/openapi.json/", "/Docs/"],
)
async def test_all_else_is_for_others(path: str, shop: Definitions) -> None:
    assert (await asked(path, shop)).status == 418
