"""Fixtures of a module live in one event loop, so that many tests share one gateway."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}
