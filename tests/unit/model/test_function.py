"""Local functions in a file."""

from __future__ import annotations

import pytest

from tests.unit.model.conftest import API, problems_of, read


def faults(*lines: str) -> list[str]:
    """The problems of one function with these keys, without its path."""
    text = API + "functions:\n  chat:\n" + "".join(f"    {line}\n" for line in lines)
    return [problem.split(": ", 1)[1].removeprefix("functions.chat.") for problem in problems_of(text)]


def test_a_function_with_its_defaults() -> None:
    text = API + "functions:\n  chat: {runtime: python3.12, codeUri: examples/chat, handler: app.handler}\n"

    function = read(text).definitions.functions["chat"]

    assert (function.timeout, function.memory_size, function.concurrency) == (3, 128, 10)
    assert (function.language, dict(function.environment)) == ("python", {})


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["codeUri: ."], "runtime: is required: the runtime, by AWS's name", id="no runtime"),
        pytest.param(["runtime: ruby3.3", "codeUri: ."], "runtime: ruby3.3 is none of python3.9,", id="Ruby"),
        pytest.param(
            ["runtime: python3.12", "handler: a.b"], "codeUri: is required: the folder with the code", id="no code"
        ),
        pytest.param(
            ["runtime: python3.12", "codeUri: ."],
            "handler: is required by python3.12: the module and its function, app.handler",
            id="no handler",
        ),
        pytest.param(
            ["runtime: nodejs20.x", "codeUri: .", "handler: index"],
            "handler: is written module.function, such as index.handler",
            id="half a handler",
        ),
        pytest.param(
            ["runtime: python3.12", "codeUri: .", "handler: a.b", "timeout: 901"],
            "timeout: 901 is too large; it must be at most 900",
            id="timeout",
        ),
        pytest.param(
            ["runtime: python3.12", "codeUri: .", "handler: a.b", "memorySize: 64"],
            "memorySize: 64 is too small; it must be at least 128",
            id="memory",
        ),
        pytest.param(
            ["runtime: python3.12", "codeUri: .", "handler: a.b", "layers: [x]"], "layers: not supported yet", id="no"
        ),
        pytest.param(
            ["runtime: python3.12", "codeUri: .", "handler: a.b", "nodeModules: x"],
            "nodeModules: has no effect: python3.12 runs no Node; remove it",
            id="node_modules of Python",
        ),
        pytest.param(
            ["runtime: provided.al2", "codeUri: .", "python: x"],
            "python: has no effect: provided.al2 runs no Python; remove it",
            id="Python of an executable",
        ),
        pytest.param(
            ["runtime: provided.al2", "codeUri: .", "environment: {AWS_LAMBDA_RUNTIME_API: x}"],
            "environment.AWS_LAMBDA_RUNTIME_API: is reserved: every function gets its own; remove it",
            id="reserved variable",
        ),
        pytest.param(
            ["runtime: provided.al2", "codeUri: .", f"environment: {{A: {'x' * 4096}}}"],
            "environment: has 4097 bytes; names and values together may have 4096",
            id="a large environment",
        ),
        pytest.param(
            ["runtime: provided.al2", "codeUri: .", "environment: {A: 1}"],
            "environment.A: expected a string, got 1; write it in quotes",
            id="a number",
        ),
    ],
)  # fmt: skip
def test_a_function_that_is_wrong(lines: list[str], said: str) -> None:
    (fault,) = faults(*lines)

    assert fault.startswith(said)


def test_a_name_that_is_wrong() -> None:
    text = API + "functions:\n  a b: {runtime: provided.al2, codeUri: .}\n"

    assert problems_of(text) == [
        'routes.yaml:8: functions.a b: "a b" is not allowed: a function\'s name is 1 to 64 letters, digits, - and _'
    ]
