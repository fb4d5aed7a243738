"""A stage: one way into an API, with its own variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import MaxLen, MinLen
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


Origin = Annotated[
    str,
    # RFC 6454 §6.2, as browsers write it: lower case, no path, no port that is the scheme's own.
    Matches(
        r"null|https?://(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?",
        "an origin is scheme, host and port as browsers send them, such as https://chat.example.com, or null",
    ),
]


class Stage(Definition):
    """One stage of an API: clients connect to `/{stage}`."""

    description: Annotated[str, MaxLen(1024)] | None = None
    """What the stage is for."""
    stage_variables: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Values that integrations name as `${stageVariables.NAME}`."""

    allowed_origins: Annotated[list[Origin], MinLen(1)] | None = None
    """The origins of pages that may connect; others are 403 before any authorizer. Absent: all, as on AWS. (Ours.)"""

    not_yet: ClassVar[frozenset[str]] = frozenset(
        {
            "accessLogSettings",
            "autoDeploy",
            "clientCertificateId",
            "defaultRouteSettings",
            "deploymentId",
            "routeSettings",
            "tags",
        }
    )
