"""A password as a value: in a file of its own (`file:PATH`), or from the environment (`${NAME}`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema
from pydantic_core.core_schema import with_info_plain_validator_function

from wsgateway.model.explain import fault, wrong_kind
from wsgateway.model.file import PREFIX, read_named

MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that no problem, log line or repr shows. Of a file it is the content without the line's end."""

    text: str = field(repr=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_info_plain_validator_function(_read)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def _read(value: object, info: ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        # Of what is no string only the kind is told: a password of digits is one, too.
        kind = wrong_kind("a string", value).partition(",")[0]
        raise fault(f"{kind}: write file:PATH, or ${{NAME}} in quotes for a variable of the environment")
    text = value
    if value.startswith(PREFIX):
        _, content = read_named(value, info.context or {})
        try:
            text = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise fault("the file it names is not UTF-8") from None
    if not text or len(text) > MAX_LENGTH or "\0" in text or "\r" in text or "\n" in text:
        raise fault(f"it is empty, longer than {MAX_LENGTH} characters, or more than one line")
    return Secret(text)
