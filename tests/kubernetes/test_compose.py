"""docker-compose.yaml without Docker: it is valid, closed where it should be, and its commands make a chat."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml

from tests.chart import ROOT
from tests.chat import visiting
from tests.faults import free_port
from tests.harness import PATIENCE, started
from tests.redis import redis_server

FILE = ROOT / "docker-compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]


def test_it_is_what_the_compose_specification_allows() -> None:
    compose = compose_spec.PyCompose.from_yaml(FILE.read_text())
    compose.validate()

    assert compose.service_names() == list(SERVICES)


def test_what_is_not_allowed_is_found() -> None:
    with pytest.raises(Exception, match="command"):
        compose_spec.PyCompose.from_yaml("services: {a: {image: b, command: {c: d}}}")


def test_clients_reach_the_public_port_alone() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}

    assert published == {"redis": [], "gateway": ["127.0.0.1:8080:8080"], "chat": ["127.0.0.1:8000:8000"]}
    for name in ("gateway", "chat"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["tmpfs"] == ["/tmp"]


def test_what_is_mounted_is_there() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]

    assert all((ROOT / source).exists() for source in sources if source.startswith("."))
    assert SERVICES["chat"]["entrypoint"][1] == "/examples/chat-http/backend.py"


def test_a_drain_has_the_time_it_takes() -> None:
    """25 s of window, and 45 s until workers are killed."""
    assert float(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > 25 + 45


@pytest.mark.anyio
async def test_people_chat(tmp_path: Path) -> None:
    """Gateway and backend with their commands and environment, each name and port being one of this machine."""
    ports = {name: free_port() for name in ("chat", "public", "internal")}
    async with redis_server(tmp_path / "redis") as redis:
        here = {
            "redis:6379": f"127.0.0.1:{redis.port}",
            "chat:8000": f"127.0.0.1:{ports['chat']}",
            "gateway": "127.0.0.1",
            "/examples/": f"{ROOT}/examples/",
            "/tmp/": f"{tmp_path}/",
            "8000": str(ports["chat"]),
        }
        gateway, chat = SERVICES["gateway"], SERVICES["chat"]
        environment = dict(zip(gateway["environment"], _here(gateway["environment"].values(), here), strict=True))
        environment |= {
            "WSGATEWAY_FILE": str(ROOT / gateway["volumes"][0].split(":")[0]),
            "WSGATEWAY_PORT": str(ports["public"]),
            "WSGATEWAY_INTERNAL_PORT": str(ports["internal"]),
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, *_here([*chat["entrypoint"][1:], *chat["command"]], here)]
        async with (
            _backend(command),
            started(sys.executable, "-m", "wsgateway", *gateway["command"], env=environment) as running,
            visiting(running.ws()) as ada,
            visiting(running.ws()) as bob,
        ):
            await ada.joins("lobby", "Ada")
            await bob.joins("lobby", "Bob")
            await ada.sends(action="say", text="hello")
            await bob.hears(type="said", name="Ada", text="hello")


def _here(texts: Iterable[str], here: dict[str, str]) -> Iterator[str]:
    """The texts with what is elsewhere put into words of this machine; a name or number alone only where it is all."""
    within = re.compile("|".join(re.escape(there) for there in here if not there.isalnum()))
    for text in texts:
        yield here.get(text) or within.sub(lambda there: here[there[0]], text)


@asynccontextmanager
async def _backend(command: list[str]) -> AsyncIterator[None]:
    """The chat's backend, once it listens."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            assert (await process.stdout.readline()).startswith(b"chat backend ready")
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.stdout.read()
