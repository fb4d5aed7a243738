"""A pod as the chart writes it: the gateway runs with its arguments, environment and files, as its spec says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.certificates import Authority
from tests.chart import FULLNAME, Object, container, documents, one, render, values_of
from tests.faults import free_port
from tests.harness import PATIENCE, Gateway, backend, closed, heard, http, started
from tests.redis import redis_server

pytestmark = pytest.mark.anyio

HERE = "127.0.0.1"
SECRET = "what-the-nodes-know-one-another-by"
WSGATEWAY = (sys.executable, "-m", "wsgateway")
"""The image's entry point."""


@dataclass(frozen=True)
class Pod:
    """What a kubelet would start, on this machine: volumes are folders, the pod's address is loopback."""

    objects: list[Object]
    folder: Path
    secrets: Mapping[str, Mapping[str, str]]
    """Content by the Secret's name and key."""

    @property
    def spec(self) -> Object:
        return dict(one(self.objects, "Deployment")["spec"]["template"]["spec"])

    @property
    def container(self) -> Object:
        return container(self.objects)

    def port(self, name: str) -> int:
        """The number of a named port."""
        return next(int(port["containerPort"]) for port in self.container["ports"] if port["name"] == name)

    def mount(self) -> None:
        """Write what the volumes hold."""
        for volume in self.spec["volumes"]:
            folder = self.folder / volume["name"]
            folder.mkdir()
            match volume:
                case {"configMap": {"name": name}} if name.startswith(FULLNAME):
                    files = one(self.objects, "ConfigMap", name)["data"]
                case {"secret": {"secretName": name, "items": items}}:
                    files = {item["path"]: self.secrets[name][item["key"]] for item in items}
                case {"secret": {"secretName": name}}:
                    files = self.secrets[name]
                case _:
                    files = {}
            for name, content in files.items():
                (folder / name).write_text(content)
                if "secret" in volume:
                    (folder / name).chmod(volume["secret"]["defaultMode"])

    def environment(self) -> dict[str, str]:
        """The container's, with `$(NAME)` expanded and paths of volumes as they are here."""
        found = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}
        for source in self.container.get("envFrom", ()):
            found |= self.secrets[source["secretRef"]["name"]]
        for variable in self.container["env"]:
            match variable:
                case {"value": value}:
                    found[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], self._here(value))
                case {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}:
                    found[variable["name"]] = self.secrets[name][key]
                case {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}:
                    found[variable["name"]] = HERE
        return found

    def _here(self, value: str) -> str:
        for mount in self.container["volumeMounts"]:
            if value == mount["mountPath"] or value.startswith(f"{mount['mountPath']}/"):
                return f"{self.folder / mount['name']}{value.removeprefix(mount['mountPath'])}"
        return value

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        self.mount()
        async with started(*WSGATEWAY, *self.container["args"], env=self.environment()) as gateway:
            yield gateway


async def ran(*command: str, env: Mapping[str, str]) -> tuple[int | None, str]:
    """Exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


def on_this_machine(values: Object) -> Object:
    """These values with ports that are free, and a drain that is soon over."""
    ports = {"public": free_port(), "tls": free_port(), "internal": free_port()}
    return values | {"ports": ports, "drain": {"windowSeconds": 0.3}}


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[Pod]:
    """A pod of the default values: one node, no Redis."""
    yield Pod(render(on_this_machine({})), folder / "pod", {})


@asynccontextmanager
async def of_many(folder: Path) -> AsyncIterator[Pod]:
    """A pod of `ci/secrets-values.yaml`, with what its Secrets refer to."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(folder / "redis", password="geheim"))
        rooms = await stack.enter_async_context(backend())
        cert, key = Authority(folder).issue_to("localhost", HERE)
        secrets = {
            "chat-redis": {"url": redis.url},
            "chat-installation": {"secret": SECRET},
            "chat-tls": _texts({"tls.crt": cert, "tls.key": key}),
            "chat-environment": {"BACKEND": f"{HERE}:{rooms.port}"},
            "chat-keys": {"keys.csv": ""},
        }
        values = on_this_machine(values_of("secrets"))
        values["config"]["maxConnections"] = 100  # this machine may allow few files
        yield Pod(render(values), folder / "pod", secrets)


@pytest.mark.parametrize(
    ("pods", "stage", "reply"), [(alone, "dev", '{"pong":true}'), (of_many, "prod", '{"action":"ping"}')]
)
async def test_a_pod_lives_as_its_spec_says(pods: object, stage: str, reply: str, tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    async with pods(tmp_path) as pod, pod.running() as gateway:  # type: ignore[operator]
        assert (gateway.port, gateway.internal_port) == (pod.port("public"), pod.port("internal"))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = pod.container[probe]["httpGet"]
            assert (await http(pod.port(asked["port"]), "GET", asked["path"])).status == 200, probe
        assert (await http(pod.port("public"), "GET", "/metrics")).status != 200

        code, output = await ran(*_test_pod(pod), env=pod.environment() | _services(pod))
        assert code == 0, output

        urls = [f"ws://{HERE}:{pod.port('public')}"]
        if gateway.tls is not None:
            assert gateway.tls_port == pod.port("public-tls")
            urls.append(f"wss://localhost:{gateway.tls_port}")
        clients = []
        for url in urls:
            trust = ssl.create_default_context(cafile=tmp_path / "ca.pem") if url.startswith("wss") else None
            client = await connect(f"{url}/{stage}", proxy=None, open_timeout=PATIENCE, ssl=trust)
            await client.send('{"action":"ping"}')
            assert await heard(client) == reply
            clients.append(client)

        # The commands of the notes and the docs, as one would run them in the pod.
        env = pod.environment() | {"WSGATEWAY_INTERNAL_URL": f"http://{HERE}:{pod.port('internal')}"}
        async with asyncio.timeout(PATIENCE):
            while True:  # workers hear of one another within a second
                code, output = await ran(*WSGATEWAY, "nodes", "--output", "json", env=env)
                assert code == 0, output
                if sum(node["connections"] for node in json.loads(output)) == len(clients):
                    break
        assert all(node["address"].startswith(f"{HERE}:") for node in json.loads(output))
        code, output = await ran(*WSGATEWAY, "deployments", "ls", env=env)
        assert code == 0, output
        code, output = await ran(*WSGATEWAY, "doctor", "--output", "json", env=env)
        assert code == 0, output
        assert "others can read it" not in output

        gateway.terminate()
        async with asyncio.timeout(pod.spec["terminationGracePeriodSeconds"]):
            assert [(await closed(client))[0] for client in clients] == [1001] * len(clients)
            assert await gateway.process.wait() == 0
        assert SECRET not in "".join(gateway.log)
        assert "geheim" not in "".join(gateway.log)


async def test_a_new_definition_is_taken_without_a_new_pod(tmp_path: Path) -> None:
    """`rolloutOnChange: false`: the kubelet renews the files, `kill -HUP 1` has them read."""
    (tmp_path / "pod").mkdir()
    async with alone(tmp_path) as pod, pod.running() as gateway:
        assert gateway.pid == gateway.process.pid
        _write_anew(Path(pod.environment()["WSGATEWAY_FILE"]), '"pong":true', '"pong":"new"')
        async with connect(gateway.ws(), proxy=None, open_timeout=PATIENCE) as client:
            gateway.reload()
            await gateway.logged("definition deployed")

            await client.send('{"action":"ping"}')
            assert await heard(client) == '{"pong":"new"}'


def test_what_the_pod_runs_is_in_the_image() -> None:
    """`sleep` and `kill` are the slim image's own; here they are this machine's."""
    hook = container(render({}))["lifecycle"]["preStop"]["exec"]["command"]

    assert shutil.which(hook[0]) is not None
    assert hook == ["sleep", "5"]
    assert "deploy/chat-wsgateway -- wsgateway nodes" in documents({})["wsgateway/templates/NOTES.txt"]


def _texts(files: Mapping[str, str]) -> dict[str, str]:
    return {name: Path(file).read_text() for name, file in files.items()}


def _write_anew(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def _test_pod(pod: Pod) -> list[str]:
    """The command of `helm test`."""
    (test,) = one(pod.objects, "Pod", f"{FULLNAME}-test")["spec"]["containers"]
    assert test["command"] == ["python", "-c"]
    return [sys.executable, "-c", *test["args"]]


def _services(pod: Pod) -> dict[str, str]:
    """Its environment, each Service being the pod that it selects."""
    (test,) = one(pod.objects, "Pod", f"{FULLNAME}-test")["spec"]["containers"]
    found = {}
    for variable in test["env"]:
        name, _, number = variable["value"].partition(":")
        ports = {str(port["port"]): port["targetPort"] for port in one(pod.objects, "Service", name)["spec"]["ports"]}
        found[variable["name"]] = f"{HERE}:{pod.port(ports[number])}"
    return found
