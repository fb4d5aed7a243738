"""`file:PATH` as a value: a file that a definition names, read when the definition is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema
from pydantic_core.core_schema import with_info_plain_validator_function

from wsgateway.model.explain import fault, shown, shown_path, wrong_kind

PREFIX = "file:"
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when the definition was read: another content makes another value.

    Its path begins at the definition's folder, which is the `directory` of the validation's context; its digest is
    noted under `files` there. The content itself is not kept: it may be a key.
    """

    path: Path
    digest: str

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_info_plain_validator_function(_read)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{PREFIX}."}


def _read(value: object, info: ValidationInfo) -> File:
    if isinstance(value, File):
        return value
    path, content = read_named(value, info.context or {})
    return File(path, sha256(content).hexdigest())


def read_named(value: object, context: dict[str, Any]) -> tuple[Path, bytes]:
    """The file that `file:PATH` names, and its content; its digest is noted in the validation's context.

    Raises PydanticCustomError with what is wrong.
    """
    if not isinstance(value, str):
        raise fault(wrong_kind("a string such as file:certs/ca.pem", value))
    name = value.removeprefix(PREFIX)
    if name == value or not name.strip() or "\0" in name:
        raise fault(f"{_hidden(value)} is not allowed: write file: and the path of a file, such as file:certs/ca.pem")
    path = context.get("directory", Path()) / name
    try:
        content = read_file(path)
    except OSError as error:
        raise fault(f"{shown(value)} can't be read: {error.strerror} ({shown_path(path.absolute())})") from error
    except ValueError as error:
        raise fault(f"{shown(value)} {error}") from error
    context.get("files", {})[name] = sha256(content).hexdigest()
    return path, content


def read_file(path: Path) -> bytes:
    """The content of a file, at once.

    *Raises* OSError where it can't be read, ValueError where it is none or larger than MAX_BYTES; its text says which.
    """
    with open(path, "rb", opener=_at_once) as file:
        if not S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is no file")  # a pipe would hold up whoever reads it
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES} bytes")
    return content


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _hidden(value: str) -> str:
    """What was written, unless it is what belongs into the file."""
    return "a value that begins -----BEGIN" if value.lstrip().startswith("-----BEGIN") else shown(value)
