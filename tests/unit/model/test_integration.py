"""Which backends may be named, and what stays to be built."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wsgateway.model import uri_fault
from wsgateway.model.uri import expand, hidden, variables

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


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param("https://gw:geheim@b/x", "https://…@b/x", id="a password"),
        pytest.param("https://b:9/x?key=geheim&a=1", "https://b:9/x?…", id="a key"),
        pytest.param("https://b/a@b?", "https://b/a@b?", id="nothing to hide"),
    ],
)
def test_what_may_be_secret_is_not_repeated(uri: str, told: str) -> None:
    """A definition that is refused gets into the log, and `${NAME}` into the definition."""
    assert hidden(uri) == told


def test_stage_variables_are_put_in() -> None:
    uri = "http://${stageVariables.host}:${stageVariables.port}/{id}?x=${stageVariables.none}"

    assert variables(uri) == ["host", "port", "none"]
    assert expand(uri, {"host": "a.example", "port": "22"}) == "http://a.example:22/{id}?x="


PROXY = "integrations: {x: {integrationType: HTTP_PROXY, integrationUri: http://a, %s}}"
HTTP = "integrations: {x: {integrationType: HTTP, integrationUri: http://a, %s}}"
LAMBDA = "integrations: {x: {integrationType: AWS_PROXY, integrationUri: 'function:a', %s}}"
MOCK = "integrations: {x: {integrationType: MOCK, %s}}"
OK = """requestTemplates: {$default: '{"statusCode":200}'}"""


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(PROXY % "integrationMethod: ANY", id="any method"),
        pytest.param(PROXY % "integrationMethod: PATCH", id="a method"),
        pytest.param(PROXY % "timeoutInMillis: 300000", id="five minutes in the open profile"),
        pytest.param(PROXY % "passthroughBehavior: WHEN_NO_MATCH", id="AWS's default passthrough"),
        pytest.param(LAMBDA % "contentHandlingStrategy: CONVERT_TO_TEXT", id="what AWS's console writes for functions"),
        pytest.param(HTTP % "passthroughBehavior: NEVER", id="no passthrough"),
        pytest.param(HTTP % "templateSelectionExpression: $request.body.kind", id="an expression"),
        pytest.param(
            HTTP % "integrationResponseSelectionExpression: '${integration.response.statuscode}'",
            id="the expression that holds anyway",
        ),
        pytest.param(HTTP % r"integrationResponses: {/4\d\d/: {}, \$default: {}}", id="patterns and a default"),
        pytest.param("integrations: {x: {integrationType: MOCK}}", id="a mock whose messages say the status"),
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
            "integrationType: is required: the kind of backend: AWS, AWS_PROXY, HTTP, HTTP_PROXY, MOCK or PUBLISH",
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
            "integrations: {x: {integrationType: AWS}}",
            "integrationUri: is required: the service AWS calls, such as "
            "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem, or function:NAME",
            id="no service",
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
            "connectionId: is required with VPC_LINK: the name of one of vpcLinks",
            id="a VPC link without a name",
        ),
        pytest.param(
            PROXY % "connectionId: x",
            "connectionId: has no effect without connectionType: VPC_LINK; add that, or remove it",
            id="the name of a VPC link alone",
        ),
        pytest.param(
            "integrations: {x: {integrationType: AWS_PROXY, integrationUri: 'function:a', "
            "connectionType: VPC_LINK, connectionId: x}}",
            "connectionType: only HTTP and HTTP_PROXY integrations go by a VPC link; remove it",
            id="a VPC link to a function",
        ),
        pytest.param(
            PROXY % "passthroughBehavior: NEVER",
            "passthroughBehavior: has no effect: HTTP_PROXY passes messages and answers on as they came; remove it",
            id="passthrough for a proxy, which does nothing else",
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
        pytest.param(PROXY % "integrationSubtype: x", "integrationSubtype: not supported yet", id="a key to come"),
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
            HTTP % "passthroughBehavior: SOMETIMES",
            "passthroughBehavior: SOMETIMES is none of WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER",
            id="a passthrough nobody knows",
        ),
        pytest.param(
            HTTP % "contentHandlingStrategy: CONVERT",
            "contentHandlingStrategy: CONVERT is none of CONVERT_TO_BINARY, CONVERT_TO_TEXT",
            id="a conversion nobody knows",
        ),
        pytest.param(
            LAMBDA % "contentHandlingStrategy: CONVERT_TO_BINARY",
            "contentHandlingStrategy: a Lambda event is text; write CONVERT_TO_TEXT, or remove it",
            id="a function that is to get bytes",
        ),
        pytest.param(
            PROXY % "contentHandlingStrategy: CONVERT_TO_TEXT",
            "contentHandlingStrategy: has no effect: HTTP_PROXY passes messages and answers on as they came; remove it",
            id="a conversion for a proxy",
        ),
        pytest.param(
            "integrations: {x: {integrationType: HTTP}}",
            "integrationUri: is required: the URL of the backend HTTP calls",
            id="HTTP without a URI",
        ),
        pytest.param(
            HTTP % "integrationResponseSelectionExpression: $request.body.a",
            "integrationResponseSelectionExpression: $request.body.a: of HTTP it is always "
            "${integration.response.statuscode}; write that, or remove it",
            id="another expression than AWS's",
        ),
        pytest.param(
            HTTP % "templateSelectionExpression: ''",
            'templateSelectionExpression: "" is not allowed: a selection expression has 1 to 1024 characters',
            id="an empty expression",
        ),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {200: {}}"),
            "integrationResponses.200: 200 is not allowed: write a regular expression between slashes, "
            r"such as /5\d\d/, or $default",
            id="a status without slashes",
        ),
        pytest.param(
            MOCK % (OK + ", integrationResponses: {$default: {integrationResponseKey: x}}"),
            "integrationResponses.$default.integrationResponseKey: unknown key; known here: responseTemplates, "
            "templateSelectionExpression, responseParameters, contentHandlingStrategy",
            id="a key that stands before it already",
        ),
    ],
)
def test_what_is_refused(lines: str, said: str, faults_in: FaultsIn) -> None:
    assert faults_in(lines) == [f"integrations.x.{said}"]
