"""What every test shares: the event loop the gateway runs on, and where it keeps state."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import prefork

# Bytecode is kept, whatever the environment says: hundreds of gateways would compile every module each, 0.3 s of CPU.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


# What is read for the tests stays: garbage is looked for in what they leave alone.
gc.disable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are CPUs: much of the time tests wait."""
    return len(os.sched_getaffinity(0)) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files go to a worker. The longest comes first and the shortest last, so that no worker ends alone."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/promises/"))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """A test that waits for ever is cancelled where it waits, a little before pytest-timeout ends the whole run."""
    test = pyfuncitem.obj
    if not iscoroutinefunction(test):
        return
    marker = pyfuncitem.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else pyfuncitem.config.getini("timeout"))

    @wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(0.8 * limit):
            await test(*args, **kwargs)

    pyfuncitem.obj = bounded


@pytest.fixture(scope="session", autouse=True)
def _a_state_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `wsgateway dev` keeps for its user is not the tests'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
    prefork.end()
