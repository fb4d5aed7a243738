"""Deployments as an operator sees them: listed, pointed back to, and kept to; one node with its own memory."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests import prefork
from tests.harness import PATIENCE, Answer, Gateway, gateway, heard, http

pytestmark = pytest.mark.anyio

SECRET = "a secret of this installation"
JSON = ("Content-Type", "application/json")


def definition(reply: str, more: str = "") -> str:
    """An API that answers every message with `reply`."""
    return f"""
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {{dev: {{}}}}
    routes:
      $default:
        routeResponse: true
        integration:
          integrationType: MOCK
          requestTemplates: {{$default: '{{"statusCode": 200}}'}}
          integrationResponses: {{$default: {{responseTemplates: {{$default: '{reply}'}}}}}}
{more}"""


def digest_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


V1, V2, V3 = (definition(f"v{number}") for number in (1, 2, 3))
ONE, TWO, THREE = (digest_of(text) for text in (V1, V2, V3))


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def deployments(running: Gateway, *arguments: str, **env: str) -> Ended:
    """Run `wsgateway deployments`."""
    process = await prefork.wsgateway(
        "deployments", *arguments, stdout=PIPE, stderr=PIPE,
        env=os.environ | {"WSGATEWAY_INTERNAL_URL": running.internal} | env,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return Ended(process.returncode, out.decode(), err.decode())


async def listed(running: Gateway) -> Any:
    answer = await http(running.internal_port, "GET", "/deployments")
    assert answer.status == 200
    return answer.json()


async def post(running: Gateway, digest: str, *headers: tuple[str, str]) -> Answer:
    return await http(running.internal_port, "POST", f"/deployments/{digest}", b"{}", headers or (JSON,))


async def reloaded(running: Gateway, folder: Path, text: str, event: str = "definition deployed") -> str:
    """Have another file read; the log line that says so."""
    (folder / "routes.yaml").write_text(text)
    before = len(running.log)
    running.reload()
    async with asyncio.timeout(PATIENCE):
        while not (found := [line for line in running.log[before:] if event in line]):
            await running.more_log()
    return found[0]


async def says(client: ClientConnection) -> str:
    await client.send("{}")
    return await heard(client)


async def test_the_deployments_of_a_node_are_listed_the_newest_first(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running:
        await reloaded(running, tmp_path, V2)
        await reloaded(running, tmp_path, V3)
        await reloaded(running, tmp_path, V3, "definition unchanged")
        await reloaded(running, tmp_path, "apis: [", "refused")

        state = await listed(running)
        assert [item["digest"] for item in state["deployments"]] == [THREE, TWO, ONE]
        assert [(item["inForce"], item["file"]) for item in state["deployments"]] == [(True, True)] + 2 * [(False,) * 2]
        assert state["inForce"] == state["file"] == THREE
        assert state["rollback"] is None
        assert [node["executes"] for node in state["nodes"]] == [THREE]

        table = await deployments(running, "ls")
        assert table.code == 0
        header, *rows = table.out.splitlines()
        assert header.split() == ["digest", "age", "by", "bytes", "nodes", "state"]
        assert [row.split()[0] for row in rows] == [THREE[:12], TWO[:12], ONE[:12]]
        assert "in force, the file's" in rows[0]
        assert "1 of 1" in rows[0]
        assert "refused on this node" in table.err

        as_json = json.loads((await deployments(running, "ls", "--output", "json")).out)
        assert [item["digest"] for item in as_json] == [THREE, TWO, ONE]
        assert all(item["ageSeconds"] >= 0 for item in as_json)


async def test_ten_are_kept(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running:
        texts = [definition(f"reply {number}") for number in range(11)]
        for text in texts:
            await reloaded(running, tmp_path, text)

        assert [item["digest"] for item in (await listed(running))["deployments"]] == [
            digest_of(text) for text in texts[:0:-1]
        ]


async def test_pointing_back_reaches_open_sockets_and_outlives_a_reload(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running, connect(running.ws()) as client:
        await reloaded(running, tmp_path, V2)
        assert await says(client) == "v2"

        used = await deployments(running, "use", ONE[:7])

        assert (used.code, used.err) == (0, "")
        assert used.out.startswith(f"{ONE[:12]} is in force on this node, in place of what the file says")
        assert await says(client) == "v1"
        line = json.loads(await running.logged('"rolled back"'))
        assert (line["digest"], line["file"]) == (ONE, TWO)
        assert (await running.metrics())["wsgateway_definition_rolled_back"] == 1

        state = await listed(running)
        assert (state["inForce"], state["file"], state["rollback"]["digest"]) == (ONE, TWO, ONE)
        table = await deployments(running, "ls")
        assert f"{ONE[:12]} is used in place of the file's {TWO[:12]}" in table.err

        await reloaded(running, tmp_path, V2, "definition unchanged")
        assert await says(client) == "v1"


async def test_the_files_own_deployment_ends_a_rollback(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running, connect(running.ws()) as client:
        await reloaded(running, tmp_path, V2)
        await deployments(running, "use", ONE)
        assert await says(client) == "v1"

        used = await deployments(running, "use", TWO[:12])

        assert (used.code, used.out.split(";")[0]) == (0, f"{TWO[:12]} is in force on this node, as the file says")
        assert await says(client) == "v2"
        await running.logged('"rollback over"')
        assert (await running.metrics())["wsgateway_definition_rolled_back"] == 0
        assert (await listed(running))["rollback"] is None


async def test_a_new_file_wins_and_the_old_one_is_still_replaced(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running, connect(running.ws()) as client:
        await reloaded(running, tmp_path, V2)
        await deployments(running, "use", ONE)

        await reloaded(running, tmp_path, V3)
        assert await says(client) == "v3"
        assert (await listed(running))["rollback"] is None

        await reloaded(running, tmp_path, V2)
        assert await says(client) == "v1"


async def test_a_deployment_that_can_no_longer_be_put_in_force_changes_nothing(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text("def handler(event, context): return {}\n")
    with_function = definition(
        "v0", "functions: {gone: {runtime: python3.11, handler: app.handler, codeUri: code}}\n"
    ).replace("python3.11", f"python3.{sys.version_info.minor}")
    async with gateway(with_function, tmp_path) as running, connect(running.ws()) as client:
        await reloaded(running, tmp_path, V2)
        (code / "app.py").unlink()
        code.rmdir()

        answer = await post(running, digest_of(with_function))
        assert answer.status == 409
        assert any("codeUri" in problem for problem in answer.json()["problems"])
        used = await deployments(running, "use", digest_of(with_function))
        assert used.code == 1
        assert "codeUri" in used.err

        assert await says(client) == "v2"
        assert (await listed(running))["rollback"] is None
        await reloaded(running, tmp_path, V2, "definition unchanged")


async def test_show_prints_what_the_file_said(tmp_path: Path) -> None:
    text = definition("v0", "# ${HOME} stays as it is written: ä\n")
    async with gateway(text, tmp_path) as running:
        await reloaded(running, tmp_path, V2)

        shown = await deployments(running, "show", digest_of(text)[:12])

        assert (shown.code, shown.out) == (0, text)


async def test_what_is_no_deployment_is_said_so(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path) as running:
        for prefix in ("0123456789abcdef", "", "../metrics", "\x1b[2J"):
            ended = await deployments(running, "use", prefix)
            assert ended.code == 1
            assert f"kept are: {ONE[:12]}" in ended.err
            assert "\x1b" not in ended.err
        assert (await post(running, "0" * 64)).status == 404
        for path in ("/deployments/", "/deployments/..%2f", f"/deployments/{ONE}/x", f"/deployments/{ONE[:12]}"):
            assert (await http(running.internal_port, "POST", path, b"{}", [JSON])).status == 404
        assert (await http(running.internal_port, "DELETE", f"/deployments/{ONE}")).status == 405
        assert (await http(running.internal_port, "POST", "/deployments")).status == 405
        assert (await deployments(running)).code == 2
        assert (await deployments(running, "use")).code == 2
        nowhere = await deployments(running, "ls", "--endpoint", "http://127.0.0.1:1")
        assert (nowhere.code, "can't be reached" in nowhere.err) == (1, True)


async def test_a_prefix_of_several_is_refused(tmp_path: Path) -> None:
    texts: dict[str, list[str]] = {}
    number = 0
    while not (pair := next((both for both in texts.values() if len(both) == 2), None)):
        text = definition(f"reply {number}")
        texts.setdefault(digest_of(text)[:1], []).append(text)
        number += 1
    async with gateway(pair[0], tmp_path) as running:
        await reloaded(running, tmp_path, pair[1])

        ended = await deployments(running, "use", digest_of(pair[0])[:1])

        assert ended.code == 1
        assert "several deployments begin with" in ended.err
        assert digest_of(pair[0])[:12] in ended.err


async def test_deployments_are_not_on_the_public_listener(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path, "--callback-auth", "none") as running:
        assert (await http(running.port, "GET", "/deployments")).status == 403
        assert (await http(running.port, "POST", f"/deployments/{ONE}", b"{}", [JSON])).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param((JSON, ("Origin", "https://evil.example")), 403, id="a page elsewhere"),
        pytest.param((JSON, ("Origin", "null")), 403, id="a page without an origin"),
        pytest.param((JSON, ("Origin", "http://127.0.0.1")), 403, id="a page on this machine"),
        pytest.param((("Content-Type", "text/plain"),), 415, id="what a form may send"),
        pytest.param((("X-Any", "thing"),), 415, id="no content type"),
        pytest.param((("Content-Type", "application/json; charset=utf-8"),), 200, id="a program"),
    ],
)
async def test_a_web_page_can_not_roll_a_developers_machine_back(
    tmp_path: Path, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    async with gateway(V1, tmp_path, verb="dev") as running:
        assert (await post(running, ONE, *headers)).status == status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_name_that_was_made_to_resolve_to_this_machine_is_refused(tmp_path: Path, method: str) -> None:
    async with gateway(V1, tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.internal_port)
        lines = f"{method} /deployments/{ONE} HTTP/1.1", "Host: rebound.example", "Content-Type: application/json"
        writer.write("\r\n".join((*lines, "Content-Length: 2", "Connection: close", "", "{}")).encode())
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).split()[1] == b"403"
        writer.close()


async def test_where_others_reach_the_internal_listener_a_secret_is_asked_for(tmp_path: Path) -> None:
    flags = ("--internal-host", "0.0.0.0")
    async with gateway(V1, tmp_path, *flags, env={"WSGATEWAY_INSTALLATION_SECRET": SECRET}) as running:
        await reloaded(running, tmp_path, V2)
        assert (await http(running.internal_port, "GET", "/deployments")).status == 200
        for wrong in ("Bearer wrong", f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer", ""):
            headers = (JSON, ("Authorization", wrong)) if wrong else (JSON,)
            assert (await post(running, ONE, *headers)).status == 401
        assert (await http(running.internal_port, "GET", f"/deployments/{ONE}")).status == 401

        assert (await deployments(running, "use", ONE, WSGATEWAY_INTERNAL_URL=local(running))).code == 1
        secret = tmp_path / "secret"
        secret.write_text(SECRET + "\n")
        file = "--installation-secret-file", str(secret)
        used = await deployments(running, "use", ONE, *file, WSGATEWAY_INTERNAL_URL=local(running))
        assert (used.code, used.err) == (0, "")
        shown = await deployments(
            running, "show", ONE, WSGATEWAY_INTERNAL_URL=local(running), WSGATEWAY_INSTALLATION_SECRET=SECRET
        )
        assert (shown.code, shown.out) == (0, V1)
        assert SECRET not in "".join(running.log)


async def test_without_a_secret_nobody_may_and_the_answer_says_how_to_allow_it(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path, "--internal-host", "0.0.0.0") as running:
        answer = await post(running, ONE)
        assert answer.status == 403
        assert "--installation-secret-file" in answer.json()["message"]
        assert "--internal-host" in answer.json()["message"]

        ended = await deployments(running, "use", ONE, WSGATEWAY_INTERNAL_URL=local(running))
        assert (ended.code, "--installation-secret-file" in ended.err) == (1, True)


def local(running: Gateway) -> str:
    return f"http://127.0.0.1:{running.internal_port}"


async def test_dev_keeps_and_points_back_too(tmp_path: Path) -> None:
    async with gateway(V1, tmp_path, verb="dev") as running, connect(running.ws()) as client:
        await reloaded(running, tmp_path, V2)

        assert (await deployments(running, "use", ONE)).code == 0

        assert await says(client) == "v1"
