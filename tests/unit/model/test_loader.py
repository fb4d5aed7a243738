"""A file becomes definitions, or every problem with its line."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError, Problem
from wsgateway.model import Integration, Loaded, load, parse

ProblemsIn = Callable[..., list[str]]


@pytest.fixture
def loaded(sample: str) -> Loaded:
    return parse(sample, "routes.yaml", {"IN_FLIGHT": "8"}, Path("conf"))


def test_a_file_says_what_is_served(loaded: Loaded) -> None:
    chat = loaded.definitions.apis["chat"]

    assert loaded.definitions.default("WEBSOCKET") == "chat"
    assert (chat.profile, chat.message_ordering, chat.version) == ("open", "SEQUENTIAL", "2024-06")
    assert chat.quotas.max_in_flight == 8
    assert chat.stages["prod"].stage_variables == {"backend": "chat.example:443"}
    assert chat.stages["bare"].stage_variables == {}
    assert {key for key, route in chat.routes.items() if route.two_way} == {"say", "join", "ping"}


def test_a_route_finds_its_integration_in_every_spelling(loaded: Loaded) -> None:
    chat = loaded.definitions.apis["chat"]

    named, targeted, inline, none = (chat.integration_of(chat.routes[key]) for key in ("say", "join", "time", "later"))

    assert named is targeted is chat.integrations["backend"]
    assert isinstance(inline, Integration)
    assert inline.integration_uri == "https://time.example:8443/now?zone=utc"
    assert none is None
    assert chat.integration_path("join") == ("integrations", "backend")
    assert chat.integration_path("time") == ("routes", "time", "integration")


def test_the_digest_is_of_the_text(sample: str, loaded: Loaded) -> None:
    assert loaded.digest == sha256(sample.encode()).hexdigest()


def test_every_problem_at_once_each_with_its_line(problems_in: ProblemsIn) -> None:
    text = """\
defaultApi: chta
egress: {}
apis:
  chat:
    protocolType: WEBSOCKET
    profile: aws
    routeSelectionExpresion: $request.body.action
    limits:
      maxMessageBytes: big
      newConnectionsPerSecond: none
    stages:
      dev: {stageVariables: {port: 8000}}
      "a b": {}
    integrations:
      backend: {integrationType: HTPP_PROXY}
      lambda:
        integrationType: AWS
      far:
        integrationType: HTTP_PROXY
        integrationUri: "${URI}"
      far: 1
    routes:
      $foo: {}
      $connect: {integration: bakcend, authorizer: users}
      say:
        integration:
          integrationType: HTTP_PROXY
        routeResponse: yes
"""
    assert problems_in(text) == [
        "routes.yaml:1: defaultApi: no API is named chta; did you mean chat?",
        "routes.yaml:2: egress: not supported yet",
        (
            "routes.yaml:4: apis.chat.routeSelectionExpression: is required: "
            "picks a message's route, such as $request.body.action"
        ),
        "routes.yaml:7: apis.chat.routeSelectionExpresion: unknown key; did you mean routeSelectionExpression?",
        "routes.yaml:9: apis.chat.limits.maxMessageBytes: expected a whole number, got the string big",
        "routes.yaml:10: apis.chat.limits.newConnectionsPerSecond: expected a number, got the string none",
        "routes.yaml:12: apis.chat.stages.dev.stageVariables.port: expected a string, got 8000; write it in quotes",
        (
            'routes.yaml:13: apis.chat.stages.a b: "a b" is not allowed: '
            "a stage name is 1 to 128 letters, digits, - and _, not execute-api"
        ),
        (
            "routes.yaml:15: apis.chat.integrations.backend.integrationType: "
            "HTPP_PROXY is none of AWS, AWS_PROXY, HTTP, HTTP_PROXY, MOCK, PUBLISH"
        ),
        (
            "routes.yaml:16: apis.chat.integrations.lambda.integrationUri: is required: the service AWS calls, such as "
            "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem, or function:NAME"
        ),
        (
            "routes.yaml:20: apis.chat.integrations.far.integrationUri: "
            "${URI} is not set in the environment; set it or write ${URI:-default}"
        ),
        "routes.yaml:21: apis.chat.integrations.far: stands here and on line 18; a key may stand once",
        (
            "routes.yaml:23: apis.chat.routes.$foo: $foo is not allowed: "
            "a route key is $connect, $disconnect, $default, or 1 to 128 characters not beginning with $"
        ),
        (
            "routes.yaml:24: apis.chat.routes.$connect.authorizer: no authorizer is named users; "
            "define it under authorizers"
        ),
        "routes.yaml:24: apis.chat.routes.$connect.integration: no integration is named bakcend; did you mean backend?",
        (
            "routes.yaml:26: apis.chat.routes.say.integration.integrationUri: "
            "is required: the URL of the backend HTTP_PROXY calls"
        ),
        "routes.yaml:28: apis.chat.routes.say.routeResponse: expected true or false, got the string yes",
    ]


def test_later_layers_say_where_their_problems_stand(loaded: Loaded) -> None:
    source = loaded.source
    uri = ("apis", "chat", "integrations", "backend", "integrationUri")

    assert source.directory == Path("conf")
    assert str(source.problem(uri, "no")) == "routes.yaml:28: apis.chat.integrations.backend.integrationUri: no"
    assert source.locate(Problem(("integrationUri",), "no"), uri[:-1]) == source.problem(uri, "no")
    assert source.line(("apis", "chat", "routes", "later", "integration", "nope")) == source.line(
        ("apis", "chat", "routes", "later")
    )


def test_what_a_terminal_would_act_on_is_escaped_and_long_values_are_clipped(problems_in: ProblemsIn) -> None:
    text = 'apis:\n  "\\e[31m": {}\ndefaultApi: "' + "x" * 1000 + '\\u202e"\n'

    problems = problems_in(text)

    assert all(problem.isprintable() and len(problem) < 300 for problem in problems)
    assert any("\\x1b[31m" in problem for problem in problems)


def test_a_file_is_read_from_disk(tmp_path: Path, sample: str) -> None:
    path = tmp_path / "routes.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + sample.encode())

    assert load(path, {}).source.directory == tmp_path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "no such file; give another path, or write one", id="missing"),
        pytest.param(b"", "is empty; begin with `apis:` and one API beneath it", id="empty"),
        pytest.param(b"# soon\n", "is empty; begin with `apis:` and one API beneath it", id="only comments"),
        pytest.param(b"~\n", "is empty; begin with `apis:` and one API beneath it", id="null"),
        pytest.param(b"a: 1\nb: \xff\n", "not UTF-8; save the file as UTF-8", id="Latin-1"),
        pytest.param(b"\xff\xfea\x00", "not UTF-8; save the file as UTF-8", id="UTF-16"),
        pytest.param(b"- a\n", "holds no mapping; begin with `apis:` and one API beneath it", id="a list"),
        pytest.param(b"#" * (6 * 1024 * 1024 + 1), "larger than 6291456 bytes", id="over 6 MiB"),
    ],
)
def test_a_file_that_can_not_be_read(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "routes.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DefinitionError) as error:
        load(path, {})

    (problem,) = error.value.problems
    assert (problem.file, problem.text) == (str(path), said)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="can't be read: Is a directory"):
        load(tmp_path, {})
