"""REST APIs described over the internal listener: what a reader gets, and whether the gateway does what it says."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from tests.browser import Browser, browser
from tests.harness import PATIENCE, Answer, Gateway, gateway, http, parse_answer, raw

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

DEFINITION = """
defaultApi: shop
apis:
  shop:
    protocolType: REST
    name: The <b>shop</b>
    description: Pets by the dozen
    stages: {v1: {variables: {backend: hidden.example}}, v2: {variables: {backend: hidden.example}}}
    models:
      Pet:
        schema:
          type: object
          required: [name]
          additionalProperties: false
          properties: {name: {type: string, maxLength: 20}, age: {type: integer, minimum: 0, maximum: 99}}
    requestValidators: {all: {validateRequestBody: true, validateRequestParameters: true}}
    integrations:
      says:
        type: MOCK
        requestTemplates: {application/json: '{"statusCode": 200}'}
        integrationResponses:
          "200": {responseTemplates: {application/json: '{"name": "Rex"}'}}
    paths:
      /pets:
        POST:
          operationName: addPet
          requestValidator: all
          requestModels: {application/json: Pet}
          requestParameters: {method.request.querystring.shop: true}
          methodResponses:
            "200": {responseModels: {application/json: Pet}}
            "400": {responseModels: {application/json: Error}}
          integration: says
      /pets/{petId}:
        GET:
          operationName: showPet
          methodResponses: {"200": {responseModels: {application/json: Pet}}}
          integration: says
      /hidden/{rest+}:
        ANY:
          operationName: hidden
          integration: {type: HTTP_PROXY, httpMethod: ANY, uri: "https://${stageVariables.backend}/secret"}
  other:
    protocolType: REST
    stages: {v1: {}}
    paths: {/: {GET: {integration: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}}}}}
  third:
    protocolType: REST
    stages: {v1: {}}
    paths: {/: {GET: {integration: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}}}}}
  private:
    protocolType: REST
    endpointConfiguration: {types: [PRIVATE]}
    policy: {Statement: [{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*"}]}
    stages: {v1: {}}
    paths: {/: {GET: {integration: {type: MOCK, requestTemplates: {application/json: '{"statusCode": 200}'}}}}}
domains:
  pets.example: {mappings: {a/b: {api: shop, stage: v2}}}
  others.example: {mappings: {c: {api: other}}}
  "*.example": {mappings: {"": {api: other, stage: v1}}}
"""

LISTENS_TO_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective + event.blockedURI));
"""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(DEFINITION, tmp_path_factory.mktemp("docs")) as running:
        yield running


@pytest.fixture
async def chromium(tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path) as running:
        yield running
        assert running.problems == []


async def document(running: Gateway, place: str = "shop/v1") -> dict[str, Any]:
    answer = await http(running.internal_port, "GET", f"/docs/{place}/openapi.json")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    found: dict[str, Any] = answer.json()
    return found


async def test_the_document_is_valid_and_names_no_backend(running: Gateway) -> None:
    found = await document(running)

    validate(found)
    assert found["servers"] == [{"url": f"http://127.0.0.1:{running.port}/v1"}]
    assert found["paths"]["/pets"]["post"]["operationId"] == "addPet"
    assert {*found["paths"]["/hidden/{rest}"]} == {"get", "put", "post", "delete", "options", "head", "patch"}
    text = str(found)
    assert not any(word in text for word in ("hidden.example", "secret", "x-amazon", "x-wsgateway", "MOCK", "Rex"))


@pytest.mark.parametrize(
    ("place", "url"),
    [
        pytest.param("shop/v2", "https://pets.example/a/b", id="at a custom domain"),
        pytest.param("other/v1", "https://others.example/c/v1", id="at one that has all stages"),
        pytest.param("third/v1", "http://127.0.0.1:{port}/execute-api/third/v1", id="not of the default API"),
        pytest.param("private/v1", "http://127.0.0.1/execute-api/private/v1", id="on the internal listener alone"),
    ],
)
async def test_the_document_says_where_the_stage_is(running: Gateway, place: str, url: str) -> None:
    assert (await document(running, place))["servers"] == [{"url": url.format(port=running.port)}]


async def test_the_page_shows_the_operations_and_loads_nothing_from_elsewhere(
    running: Gateway, chromium: Browser
) -> None:
    page = await chromium.open("about:blank")
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=LISTENS_TO_VIOLATIONS)
    await page.call("Page.navigate", url=f"{running.internal}/docs/")
    await page.shows("document.querySelectorAll('a').length === 5")
    await page.run("document.querySelector('a').click()")

    await page.shows("document.querySelectorAll('.opblock').length === 9")
    await page.shows("document.querySelector('.info .title').textContent.includes('The <b>shop</b>')")
    await page.run("document.querySelector('#operations-default-addPet button').click()")
    await page.shows("document.querySelector('#operations-default-addPet').innerText.includes('shop')")
    assert await page.run("document.querySelectorAll('.try-out').length") == 0
    assert await page.run("violations") == []
    loaded = await page.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(loaded) >= 4
    assert all(url.startswith((f"{running.internal}/docs/", "data:")) for url in loaded), loaded


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/docs", 308, id="without its slash"),
        pytest.param("/docs/shop/v1", 308, id="a stage without its slash"),
        pytest.param("/docs/shop/v3/", 404, id="no such stage"),
        pytest.param("/docs/shop/v3/openapi.json", 404, id="no document of it"),
        pytest.param("/docs/nobody/v1/", 404, id="no such API"),
        pytest.param("/docs/_assets/start.js", 200, id="a file"),
        pytest.param("/docs/_assets/index.html", 404, id="a file that is not shown"),
        pytest.param("/docs/_assets/..", 404, id="up"),
        pytest.param("/docs/_assets/%2e%2e/__init__.py", 400, id="up in disguise"),
        pytest.param("/docs/@connections/abc", 403, id="callbacks of a stage called docs"),
    ],
)
async def test_paths(running: Gateway, path: str, status: int) -> None:
    assert (await http(running.internal_port, "GET", path)).status == status


async def test_answers_are_for_this_origin_alone_and_for_reading(running: Gateway) -> None:
    answer = await http(running.internal_port, "GET", "/docs/shop/v1/")
    policy = answer.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.header("x-content-type-options") == "nosniff"

    assert (await http(running.internal_port, "POST", "/docs/shop/v1/")).status == 405
    rebound = b"GET /docs/shop/v1/openapi.json HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n"
    assert parse_answer(await raw(running.internal_port, rebound)).status == 403


async def test_it_is_guarded_as_other_pages_are_and_tells_of_the_newest_definition(tmp_path: Path) -> None:
    secret, path = "s" * 40, "/docs/shop/v1/openapi.json"
    async with gateway(
        DEFINITION, tmp_path, "--internal-host", "0.0.0.0", env={"WSGATEWAY_INSTALLATION_SECRET": secret}
    ) as running:

        async def ask(path: str, *headers: tuple[str, str]) -> Answer:
            return await http(running.internal_port, "GET", path, headers=headers)

        bearer = ("Authorization", f"Bearer {secret}")
        for each in ("/docs/", "/docs/shop/v1/", path, "/docs/_assets/start.js"):
            refused = await ask(each)
            assert refused.status == 401
            assert (refused.header("www-authenticate") or "").startswith("Basic ")
            assert (await ask(each, bearer)).status == 200
        for text, status in ((f"anybody:{secret}", 200), ("anybody:wrong", 401), (secret, 401), ("", 401)):
            assert (await ask(path, ("Authorization", f"Basic {b64encode(text.encode()).decode()}"))).status == status
        assert (await ask(path, ("Authorization", "Basic *"))).status == 401

        (tmp_path / "routes.yaml").write_text(DEFINITION.replace("by the dozen", "one by one"))
        running.reload()
        await running.logged("definition deployed")
        assert (await ask(path, bearer)).json()["info"]["description"] == "Pets one by one"


async def test_the_gateway_does_what_the_document_says(running: Gateway) -> None:
    """Requests that fit the document get what it promises; those that don't are refused."""
    found = await document(running)
    found["paths"] = {path: item for path, item in found["paths"].items() if path.startswith("/pets")}
    schema = schemathesis.openapi.from_dict(found)
    operations = [each.ok() for each in schema.get_all_operations()]
    cases = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    ]
    asked: dict[int, int] = {}

    @settings(max_examples=60, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.one_of(cases))
    def ask(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(base_url=found["servers"][0]["url"], session=session, timeout=PATIENCE)
        asked[answer.status_code] = asked.get(answer.status_code, 0) + 1

    with requests.Session() as session:
        session.trust_env = False  # no proxy stands between this machine and itself
        await asyncio.to_thread(ask)
    assert asked.keys() == {200, 400}
