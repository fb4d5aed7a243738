"""A local function: AWS Lambda's configuration of it, and the few keys a function needs to run on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches

FunctionName = Annotated[str, Matches(r"[A-Za-z0-9_-]{1,64}", "a function's name is 1 to 64 letters, digits, - and _")]

Runtime = Literal[
    "python3.9",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "nodejs18.x",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "provided",
    "provided.al2",
    "provided.al2023",
]

VariableName = Annotated[
    str, Matches(r"[A-Za-z_][A-Za-z0-9_]*", "a variable's name has letters, digits and _, and begins with no digit")
]

# Lambda developer guide, "Defined runtime environment variables": reserved ones. Region and credentials are left out:
# what the function's role and place give on AWS, only its definition can give here.
RESERVED = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)

MAX_ENVIRONMENT = 4096
"""Bytes of all names and values together (Lambda quotas)."""


class Function(Definition):
    """A Lambda function that runs on this machine, its handler unmodified."""

    runtime: Runtime
    """The runtime, by AWS's name: such as python3.12, nodejs20.x or provided.al2023."""
    code_uri: Annotated[str, MinLen(1), MaxLen(1024)]
    """The folder with the code; relative to this file."""
    handler: Annotated[str, Matches(r"[^\s\x00]{1,128}", "a handler has 1 to 128 characters and no blanks")] | None = (
        None
    )
    """What is called: `module.function`; with a provided runtime the executable `bootstrap` runs and reads it."""
    timeout: Annotated[int, Ge(1), Le(900)] = 3
    """Seconds one invocation may take; 3."""
    memory_size: Annotated[int, Ge(128), Le(10240)] = 128
    """Memory of one process in MB; a process that takes more is ended; 128."""
    concurrency: Annotated[int, Ge(1), Le(1000)] = 10
    """At most this many processes, so as many invocations at a time; 10. (Ours.)"""
    environment: Mapping[VariableName, str] = Field(default_factory=dict)
    """Variables of the function's environment; it gets none of the gateway's own."""
    description: Annotated[str, MaxLen(256)] | None = None
    """What the function is for."""
    python: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """Another Python interpreter, such as that of a virtual environment; relative to this file. (Ours.)"""
    node_modules: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """A folder `node_modules` outside the code; relative to this file. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "architectures",
            "ephemeralStorage",
            "events",
            "fileSystemConfigs",
            "imageUri",
            "inlineCode",
            "layers",
            "loggingConfig",
            "packageType",
            "reservedConcurrentExecutions",
            "tracing",
        }
    )

    @property
    def language(self) -> Literal["python", "node", "provided"]:
        """The kind of process that runs it."""
        if self.runtime.startswith("python"):
            return "python"
        return "node" if self.runtime.startswith("nodejs") else "provided"

    def check(self) -> Iterator[Problem]:
        language = self.language
        if language != "provided":
            example = "app.handler" if language == "python" else "index.handler"
            if self.handler is None:
                yield Problem(("handler",), f"is required by {self.runtime}: the module and its function, {example}")
            elif re.fullmatch(r"[^.].*\.[^./]+", self.handler) is None:
                yield Problem(("handler",), f"is written module.function, such as {example}")
        if self.python is not None and language != "python":
            yield Problem(("python",), f"has no effect: {self.runtime} runs no Python; remove it")
        if self.node_modules is not None and language != "node":
            yield Problem(("nodeModules",), f"has no effect: {self.runtime} runs no Node; remove it")
        for name, value in self.environment.items():
            if name in RESERVED:
                yield Problem(("environment", name), "is reserved: every function gets its own; remove it")
            elif "\0" in value:
                yield Problem(("environment", name), "holds NUL, which no environment can")
        size = sum(len(name.encode()) + len(value.encode()) for name, value in self.environment.items())
        if size > MAX_ENVIRONMENT:
            yield Problem(("environment",), f"has {size} bytes; names and values together may have {MAX_ENVIRONMENT}")
