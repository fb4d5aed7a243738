"""Definitions as a definition file has them: mappings by wire names, lists and scalars."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from wsgateway.model.base import Definition
from wsgateway.model.file import PREFIX, File


def plain(value: object, *, defaults: bool, directory: FilePath) -> Any:
    """`value` as a file in `directory` would say it, what was written there without need, too: of settings that are
    absent others may hold. `defaults` says all that holds."""
    match value:
        case Definition():
            said = {}
            for name, field in type(value).model_fields.items():
                each = getattr(value, name)
                if defaults or name in value.model_fields_set:
                    said[field.alias or name] = plain(each, defaults=defaults, directory=directory)
            return said
        case Mapping():
            return {key: plain(each, defaults=defaults, directory=directory) for key, each in value.items()}
        case list() | tuple():
            return [plain(each, defaults=defaults, directory=directory) for each in value]
        case File():
            return PREFIX + os.path.relpath(value.path, directory)
    return value
