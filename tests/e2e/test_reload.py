"""New definitions under open connections: SIGHUP, and file changes in `dev`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness import PATIENCE, Gateway, closed, gateway, heard

pytestmark = pytest.mark.anyio


def definition(*replies: str, stages: str = "{dev: {}}", broken: str = "") -> str:
    """An API whose route `say` answers with the first reply, `tell` with the second and so on."""
    lines = [
        "apis:",
        "  chat:",
        "    protocolType: WEBSOCKET",
        "    routeSelectionExpression: $request.body.action",
        f"    stages: {stages}",
        "    routes:",
    ]
    for key, reply in zip(("say", "tell"), replies, strict=False):
        lines += [
            f"      {key}:",
            "        routeResponse: true",
            "        integration:",
            "          integrationType: MOCK",
            "          requestTemplates: {$default: '{\"statusCode\": 200}'}",
            f"          integrationResponses: {{$default: {{responseTemplates: {{$default: {reply}}}}}}}",
        ]
    return "\n".join(lines) + "\n" + broken


class File:
    """The definition of a running gateway."""

    def __init__(self, running: Gateway, folder: Path) -> None:
        self._running = running
        self._path = folder / "routes.yaml"

    async def becomes(self, text: str, event: str = "definition deployed") -> list[str]:
        """Have it read anew; the log lines of this event from here on, at least one."""
        self._path.write_text(text)
        before = len(self._running.log)
        self._running.reload()
        async with asyncio.timeout(PATIENCE):
            while not (found := [line for line in self._running.log[before:] if event in line]):
                await self._running.more_log()
        return found


async def test_open_sockets_use_new_routes_from_their_next_message_on(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running, connect(running.ws()) as client:
        file = File(running, tmp_path)
        await client.send('{"action": "say"}')
        assert await heard(client) == "one"

        await file.becomes(definition("two", "also"))

        for action, reply in (("say", "two"), ("tell", "also")):
            await client.send(f'{{"action": "{action}"}}')
            assert await heard(client) == reply
        await file.becomes(definition("three"))
        await client.send('{"action": "tell"}')
        assert json.loads(await heard(client))["message"] == "Forbidden"


async def test_an_invalid_file_keeps_the_old_one_and_names_every_problem(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running, connect(running.ws()) as client:
        file = File(running, tmp_path)
        broken = "      $connect: {integration: nosuch}\n      half: {rooteResponse: true}\n"

        await file.becomes(definition("two", broken=broken), "refused")
        await running.logged("rooteResponse")

        problems = [json.loads(line) for line in running.log if "refused" in line]
        assert [problem["problem"].split(" ")[0] for problem in problems] == [
            f"{tmp_path}/routes.yaml:13:",
            f"{tmp_path}/routes.yaml:14:",
        ]
        await client.send('{"action": "say"}')
        assert await heard(client) == "one"
        async with connect(running.ws()):
            pass
        metrics = await running.metrics()
        assert metrics["wsgateway_definition_valid"] == 0
        assert metrics["wsgateway_reload_failures_total"] == 1

        await file.becomes(definition("three"))

        assert (await running.metrics())["wsgateway_definition_valid"] == 1
        await client.send('{"action": "say"}')
        assert await heard(client) == "three"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "is empty", id="an empty file"),
        pytest.param("apis: [", "routes.yaml:1", id="no YAML"),
        pytest.param("apis: {}\n", "apis", id="no API"),
    ],
)
async def test_a_broken_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    async with gateway(definition("one"), tmp_path) as running:
        (line,) = await File(running, tmp_path).becomes(text, "refused")

        assert why in line


async def test_a_lost_file_is_refused(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running:
        (tmp_path / "routes.yaml").unlink()
        running.reload()

        assert "no such file" in await running.logged("refused")
        async with connect(running.ws()) as client:
            await client.send('{"action": "say"}')
            assert await heard(client) == "one"


async def test_the_connections_of_a_stage_that_goes_are_closed(tmp_path: Path) -> None:
    both = "{dev: {}, beta: {}}"
    async with (
        gateway(definition("one", stages=both), tmp_path) as running,
        connect(running.ws("/beta")) as leaves,
        connect(running.ws("/dev")) as stays,
    ):
        await File(running, tmp_path).becomes(definition("one"))

        assert await closed(leaves) == (1001, "Going away")
        await stays.send('{"action": "say"}')
        assert await heard(stays) == "one"
        with pytest.raises(InvalidStatus):
            await connect(running.ws("/beta"))


async def test_a_stage_that_comes_can_be_used(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running:
        await File(running, tmp_path).becomes(definition("one", stages="{dev: {}, beta: {}}"))

        async with connect(running.ws("/beta")) as client:
            await client.send('{"action": "say"}')
            assert await heard(client) == "one"


async def test_limits_hold_for_connections_made_after_them(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running, connect(running.ws()) as old:
        limited = definition("one").replace("    stages", "    limits: {maxMessageBytes: 20}\n    stages")
        await File(running, tmp_path).becomes(limited)
        message = '{"action": "say", "padding": "…"}'

        await old.send(message)
        assert await heard(old) == "one"
        async with connect(running.ws()) as new:
            await new.send(message)
            assert (await closed(new))[0] == 1009


async def test_dev_reads_a_changed_file_by_itself(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path, verb="dev") as running, connect(running.ws()) as client:
        # Whoever replaces the file, as editors do, is seen like whoever writes into it.
        for number, replace in enumerate((False, True)):
            text = definition(f"reply{number}")
            before = len(running.log)
            async with asyncio.timeout(PATIENCE):
                while not any("deployed" in line for line in running.log[before:]):
                    # The watch begins a moment after the ready line: until it has, nothing is noticed.
                    if replace:
                        (tmp_path / "aside").write_text(text)
                        (tmp_path / "aside").replace(tmp_path / "routes.yaml")
                    else:
                        (tmp_path / "routes.yaml").write_text(text)
                    await running.more_log(0.5)

            await client.send('{"action": "say"}')
            assert await heard(client) == f"reply{number}"


async def test_serve_leaves_a_changed_file_alone_until_it_is_told(tmp_path: Path) -> None:
    async with gateway(definition("one"), tmp_path) as running, connect(running.ws()) as client:
        (tmp_path / "routes.yaml").write_text(definition("two"))
        await client.send('{"action": "say"}')
        assert await heard(client) == "one"
