"""A stage: one way into an API, with its own variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import MaxLen
from pydantic import Field

from wsgateway.model.base import Definition, Matches

StageName = Annotated[
    str,
    # /execute-api/ at the start of a path names an API, so no stage can.
    Matches(
        r"(?!execute-api$)[A-Za-z0-9_-]{1,128}", "a stage name is 1 to 128 letters, digits, - and _, not execute-api"
    ),
]

VariableName = Annotated[
    str, Matches(r"[A-Za-z0-9_]{1,64}", "a stage variable's name is 1 to 64 letters, digits and _")
]

# UpdateStage, stageVariables: AWS's own rule for values.
VariableValue = Annotated[
    str,
    Matches(r"[A-Za-z0-9\-._~:/?#&=,]{1,2048}", "a stage variable is 1 to 2048 letters, digits and -._~:/?#&=,"),
]


class Stage(Definition):
    """One stage of an API: clients connect to `/{stage}`."""

    description: Annotated[str, MaxLen(1024)] | None = None
    """What the stage is for."""
    stage_variables: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Values that integrations name as `${stageVariables.NAME}`."""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "accessLogSettings",
            "allowedOrigins",
            "autoDeploy",
            "clientCertificateId",
            "defaultRouteSettings",
            "deploymentId",
            "routeSettings",
            "tags",
        }
    )
