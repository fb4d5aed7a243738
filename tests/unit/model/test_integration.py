"""Which backends may be named, and what stays to be built."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.model import uri_fault
from wsgateway.model.mock import chosen, status_code
from wsgateway.model.uri import expand, variables

FaultsIn = Callable[..., list[str]]

NO_LETTERS = "a URI holds no spaces, control characters or letters beyond ASCII; percent-encode them"
NO_HOST = "must name a host, and a port as a number if any, behind ://"
LONG = "a host is at most 253 characters, each part between dots 1 to 63"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        pytest.param("http://backend", None, id="a host"),
        pytest.param("https://backend.example:8443/ws?a=b&c", None, id="port, path and query"),
        pytest.param("http://127.0.0.1:80", None, id="IPv4"),
        pytest.param("http://[::1]:65535/", None, id="IPv6"),
        pytest.param("http://backend/pets/{petId}", None, id="a path placeholder"),
        pytest.param("http://${stageVariables.backend}/ws", None, id="a stage variable as the host"),
        pytest.param("http://a:${stageVariables.port}/", None, id="as the port"),
        pytest.param("http://${stageVariables.a}.example:9/", None, id="host and port wait for its value"),
        pytest.param("http://a/${stageVariables.path}?x=${stageVariables.x}", None, id="in path and query"),
        pytest.param("ftp://a/", "must begin with http:// or https://", id="another scheme"),
        pytest.param("HTTP://a/", "must begin with http:// or https://", id="a scheme in capitals"),
        pytest.param("//a/", "must begin with http:// or https://", id="no scheme"),
        pytest.param("${stageVariables.uri}", "must begin with http:// or https://", id="a variable as the whole"),
        pytest.param("http://", NO_HOST, id="no host"),
        pytest.param("http:///ws", NO_HOST, id="a path for a host"),
        pytest.param("http://a:/", NO_HOST, id="no port behind the colon"),
        pytest.param("http://{a}/", NO_HOST, id="a placeholder as the host"),
        pytest.param("http://%61/", NO_HOST, id="an encoded host"),
        pytest.param(
            "http://${stageVariables.a}{b}/", "must name a host behind ://", id="a placeholder beside a variable"
        ),
        pytest.param("http://a..b/", LONG, id="an empty label"),
        pytest.param("http://" + "a" * 64 + "/", LONG, id="a label over 63"),
        pytest.param("http://[::g]/", NO_HOST, id="letters in IPv6"),
        pytest.param("http://[1::2::3]/", "[1::2::3] is no IPv6 address", id="not IPv6"),
        pytest.param("http://a:22/", "port 22 is not allowed; 80, 443 and 1024 to 65535 are", id="SSH"),
        pytest.param("http://a:65536/", "port 65536 is not allowed; 80, 443 and 1024 to 65535 are", id="over 65535"),
        pytest.param(
            "http://user:pw@a/",
            "must not hold a user name or password before the host; send them in a header",
            id="a password",
        ),
        pytest.param(
            "http://${stageVariables.a}@b/",
            "must not hold a user name or password before the host; send them in a header",
            id="a variable as the user",
        ),
        pytest.param("http://a/#x", "must not hold a fragment (#…)", id="a fragment"),
        pytest.param("http://a/b c", NO_LETTERS, id="a space"),
        pytest.param("http://a/\r\nX: y", NO_LETTERS, id="a line break"),
        pytest.param("http://a/\n", NO_LETTERS, id="a line break at the end"),
        pytest.param("http://ä/", NO_LETTERS, id="a letter beyond ASCII"),
        pytest.param("http://a\\b/", NO_LETTERS, id="a backslash"),
        pytest.param("http://a/${context.id}", "only ${stageVariables.NAME} may stand for a value here", id="$context"),
        pytest.param(
            "http://a/${stageVariables.x", "only ${stageVariables.NAME} may stand for a value here", id="unclosed"
        ),
    ],
)
def test_the_uri_of_a_backend(uri: str, said: str | None) -> None:
    assert uri_fault(uri) == said


def test_stage_variables_are_put_in() -> None:
    uri = "http://${stageVariables.host}:${stageVariables.port}/{id}?x=${stageVariables.none}"

    assert variables(uri) == ["host", "port", "none"]
    assert expand(uri, {"host": "a.example", "port": "22"}) == "http://a.example:22/{id}?x="


PROXY = "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: http://a, %s}}"
MOCK = "integrations: {x: {integrationType: MOCK, %s}}"
OK = """requestTemplates: {$default: '{"statusCode":200}'}"""


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(PROXY % "integrationMethod: ANY", id="any method"),
        pytest.param(PROXY % "integrationMethod: PATCH", id="a method"),
        pytest.param(PROXY % "timeoutInMillis: 300000", id="five minutes in the open profile"),
        pytest.param(PROXY % "passthroughBehavior: WHEN_NO_MATCH", id="AWS's default passthrough"),
        pytest.param(MOCK % OK, id="a mock that answers nothing"),
        pytest.param(MOCK % r"""requestTemplates: {\$default: '{"statusCode":400}'}""", id="an escaped key"),
        pytest.param(MOCK % """requestTemplates: {application/json: '{"statusCode":400}'}""", id="a content type"),
        pytest.param(MOCK % (OK + ", integrationResponses: {/200/: }"), id="a response without a template"),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {$default: {responseTemplates: {$default: 'costs $5 #1'}}}"),
            id="text that only looks like a template",
        ),
    ],
)
def test_what_works(lines: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(
            "integrations: {x: {}}",
            "integrationType: is required: the kind of backend: AWS_PROXY, HTTP_PROXY or MOCK",
            id="no type",
        ),
        pytest.param(
            "integrations: {x: {integrationType: HTTP_PROXY}}",
            "integrationUri: is required: the URL of the backend HTTP_PROXY calls",
            id="HTTP_PROXY without a URI",
        ),
        pytest.param(
            "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: 'http://a b'}}",
            f'integrationUri: "http://a b": {NO_LETTERS}',
            id="a URI with a space",
        ),
        pytest.param(
            "integrations: {x: {integrationType: AWS, integrationUri: x}}",
            "integrationType: AWS is not supported yet; AWS_PROXY, HTTP_PROXY and MOCK work",
            id="a type to come",
        ),
        pytest.param(
            PROXY % "integrationMethod: post",
            "integrationMethod: post is not allowed: an HTTP method in capitals, such as POST, or ANY; not CONNECT",
            id="a method in small letters",
        ),
        pytest.param(
            PROXY % "integrationMethod: CONNECT",
            "integrationMethod: CONNECT is not allowed: an HTTP method in capitals, such as POST, or ANY; not CONNECT",
            id="a tunnel",
        ),
        pytest.param(
            PROXY % "connectionType: VPC_LINK",
            "connectionType: VPC_LINK is not supported yet; INTERNET works",
            id="a VPC link",
        ),
        pytest.param(
            PROXY % "passthroughBehavior: NEVER",
            "passthroughBehavior: NEVER is not supported yet; WHEN_NO_MATCH works",
            id="another passthrough",
        ),
        pytest.param(
            PROXY % "payloadFormatVersion: 1.0",
            "payloadFormatVersion: expected a string, got 1.0; write it in quotes",
            id="a version without quotes",
        ),
        pytest.param(
            PROXY % "payloadFormatVersion: '2.0'", "payloadFormatVersion: 2.0 is none of 1.0", id="HTTP APIs' version"
        ),
        pytest.param(
            PROXY % "credentialsArn: arn:aws:iam::123456789012:role/x",
            "credentialsArn: has no effect: only calls to AWS are signed; remove it",
            id="a role",
        ),
        pytest.param(
            "integrations: {x: {integrationType: AWS_PROXY, integrationUri: 'function:a', integrationMethod: GET}}",
            "integrationMethod: Lambda functions are invoked by POST; write POST, or remove it",
            id="a function by GET",
        ),
        pytest.param(PROXY % "connectionId: x", "connectionId: not supported yet", id="a key to come"),
        pytest.param(
            PROXY % "integrationURI: x",
            "integrationURI: unknown key; did you mean integrationUri?",
            id="a misspelled key",
        ),
        pytest.param(
            PROXY % "timeoutInMillis: 49",
            "timeoutInMillis: 49 is too small; it must be at least 50",
            id="less than AWS's shortest timeout",
        ),
        pytest.param(
            PROXY % "maxConcurrency: 0",
            "maxConcurrency: 0 is too small; it must be at least 1",
            id="no concurrency",
        ),
        pytest.param(
            PROXY % "requestParameters: {integration.request.header.a: ''}",
            'requestParameters.integration.request.header.a: "" is not allowed: a mapped value has 1 to 512 characters',
            id="an empty mapping",
        ),
        pytest.param(
            PROXY % OK,
            "requestTemplates: has no effect: HTTP_PROXY passes messages and answers on as they came; remove it",
            id="a template for a proxy",
        ),
        pytest.param(
            MOCK % (OK + ", integrationUri: http://a"),
            "integrationUri: has no effect: MOCK calls no backend; remove it",
            id="a URI for a mock",
        ),
        pytest.param(
            "integrations: {x: {integrationType: MOCK}}",
            """requestTemplates: MOCK answers from a template; write {$default: '{"statusCode": 200}'}""",
            id="a mock without a template",
        ),
        pytest.param(
            MOCK % """requestTemplates: {$default: '{"statusCode":$context.x}'}""",
            "requestTemplates.$default: mapping templates are not supported yet; write static text without $context.x}",
            id="a variable",
        ),
        pytest.param(
            MOCK % "requestTemplates: {$default: '#set($a = 1)'}",
            "requestTemplates.$default: mapping templates are not supported yet; "
            'write static text without "#set($a = 1)"',
            id="a directive",
        ),
        pytest.param(
            MOCK % "requestTemplates: {'200': x}",
            "requestTemplates.200: choosing a template by key is not supported yet; write $default or application/json",
            id="a key that an expression picks",
        ),
        pytest.param(
            MOCK % "requestTemplates: {$default: x, application/json: y}",
            "requestTemplates: choosing among several templates is not supported yet; keep one, under $default",
            id="several templates",
        ),
        pytest.param(
            MOCK % "requestTemplates: {$default: '{}'}",
            "requestTemplates.$default: {} is no JSON object with a statusCode from 200 to 599",
            id="no status",
        ),
        pytest.param(
            MOCK % (OK + r", integrationResponses: {/4\d\d/: {}}"),
            r"integrationResponses./4\d\d/: patterns are not supported yet; "
            "write one status, such as /200/, or $default",
            id="a pattern",
        ),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {200: {}}"),
            "integrationResponses.200: is neither $default nor a status between slashes, such as /200/",
            id="a status without slashes",
        ),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {$default: {responseTemplates: {$default: $input.body}}}"),
            "integrationResponses.$default.responseTemplates.$default: "
            "mapping templates are not supported yet; write static text without $input.body",
            id="a variable in the answer",
        ),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {$default: {responseParameters: {}}}"),
            "integrationResponses.$default.responseParameters: not supported yet",
            id="a response's key to come",
        ),
    ],
)
def test_what_is_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == [f"integrations.x.{said}"]


@pytest.mark.parametrize(
    ("template", "status"),
    [
        pytest.param('{"statusCode": 200}', 200, id="a status"),
        pytest.param('{"statusCode": 404, "more": []}', 404, id="and more"),
        pytest.param('{"statusCode": "200"}', None, id="text"),
        pytest.param('{"statusCode": true}', None, id="true"),
        pytest.param('{"statusCode": 101}', None, id="an interim status"),
        pytest.param('{"statusCode": 1e400}', None, id="infinity"),
        pytest.param('{"statusCode": ' + "9" * 5000 + "}", None, id="more digits than Python reads"),
        pytest.param("[" * 100_000, None, id="nested too deep to parse"),
        pytest.param("statusCode: 200", None, id="not JSON"),
    ],
)
def test_the_status_of_a_static_template(template: str, status: int | None) -> None:
    assert status_code(template) == status


def test_application_json_goes_before_the_default() -> None:
    """AWS: without an expression `application/json` is looked for first, then `$default`."""
    assert chosen({"$default": "b", "application/json": "a"}) == "a"
    assert chosen({r"\$default": "c"}) == "c"
    assert chosen({"200": "d"}) is None
