"""A canary of a stage: a share of its requests that another deployment answers, or the same with other variables.

API Gateway API reference (v1), CanarySettings; developer guide, "Set up an API Gateway canary release deployment". The
other deployment is a definition file of its own: whatever is deployed can be read, and stays over a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MaxLen
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema
from pydantic_core.core_schema import with_info_plain_validator_function

from wsgateway.errors import Problem
from wsgateway.model.base import Definition
from wsgateway.model.explain import fault, shown
from wsgateway.model.file import PREFIX, read_named
from wsgateway.model.stage import VariableName, VariableValue


@dataclass(frozen=True, slots=True)
class DefinitionFile:
    """`file:PATH` of a definition file, and its text when the definition was read."""

    path: Path
    text: str = field(repr=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_info_plain_validator_function(_read)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{PREFIX}."}


def _read(value: object, info: ValidationInfo) -> DefinitionFile:
    if isinstance(value, DefinitionFile):
        return value
    if isinstance(value, str) and not value.startswith(PREFIX):
        raise fault(
            f"{shown(value)} is not allowed: write file: and the path of a definition file, such as file:next.yaml; "
            "`wsgateway deployments show` prints what was deployed before"
        )
    path, content = read_named(value, info.context or {})
    try:
        return DefinitionFile(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise fault(f"{shown(value)} is not UTF-8; save the file as UTF-8") from error


class CanarySettings(Definition):
    """Which of a stage's requests its canary answers, and what that is."""

    percent_traffic: Annotated[float, Ge(0), Le(100)] = 0.0
    """How many of 100 requests it answers; each request is drawn for by itself; 0."""
    deployment_id: DefinitionFile | None = None
    """What it executes, `file:PATH`: the API of the same name, or the only REST one, of another definition file.
    Absent: what the stage does."""
    stage_variable_overrides: Annotated[Mapping[VariableName, VariableValue], MaxLen(100)] = Field(default_factory=dict)
    """Stage variables that are others there, or new."""
    use_stage_cache: bool = False
    """Whether it shares the stage's cache; it has one of its own."""

    def check(self) -> Iterator[Problem]:
        if self.deployment_id is None and not self.stage_variable_overrides:
            text = "is the stage itself: give it a deploymentId, such as file:next.yaml, or stageVariableOverrides"
            yield Problem((), text)
