"""`wsgateway deployments`: the last deployments of an installation, and pointing its nodes back at one of them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from wsgateway.cli.internal import DEFAULT_ENDPOINT, Endpoint, call
from wsgateway.cli.options import Output, OutputOption, print_rows
from wsgateway.cli.terminal import one_line, printable
from wsgateway.errors import SettingError, StartError
from wsgateway.settings import installation_secret

app = typer.Typer(help="See the last deployments, and roll back to one of them.", no_args_is_help=True)

Digest = Annotated[str, typer.Argument(help="The deployment's digest, or what it begins with.")]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="The installation secret, where it is asked for (default: WSGATEWAY_INSTALLATION_SECRET).",
        envvar="WSGATEWAY_INSTALLATION_SECRET_FILE",
    ),
]
SHORT = 12


@app.command("ls")
def list_deployments(endpoint: Endpoint = DEFAULT_ENDPOINT, output: OutputOption = Output.TABLE) -> None:
    """List the last ten deployments, the newest first, and which one is in force."""
    state = _state(endpoint)
    now = datetime.now(UTC)
    row = _row if output is Output.TABLE else _entry
    try:
        rows = [row(item, state, now) for item in state["deployments"]]
        remarks = _remarks(state)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _not_a_gateway(endpoint) from error
    print_rows(rows, output)
    for remark in remarks:
        print(remark, file=sys.stderr)


@app.command("use")
def use(digest: Digest, endpoint: Endpoint = DEFAULT_ENDPOINT, installation_secret_file: SecretFile = None) -> None:
    """Have all nodes execute a deployment in place of what their files say now; that of the file ends it."""
    chosen = _chosen(_state(endpoint), digest, endpoint)
    headers = {"Content-Type": "application/json"} | authorization(installation_secret_file)
    state = _parsed(call(endpoint, "POST", f"/deployments/{chosen}", b"{}", headers), endpoint)
    remarks = [one_line(str(problem)) for problem in state.get("problems", ())]
    if state.get("inForce") != chosen:
        reasons = "; ".join(remarks) or "somebody else chose another one"
        raise StartError(f"{chosen[:SHORT]} is not in force on this node: {reasons}")
    what = "as the file says" if state.get("file") == chosen else "in place of what the file says"
    print(f"{chosen[:SHORT]} is in force on this node, {what}; the others follow within 5 s")


@app.command("show")
def show(digest: Digest, endpoint: Endpoint = DEFAULT_ENDPOINT, installation_secret_file: SecretFile = None) -> None:
    """Print what the definition file said at a deployment, as it was written."""
    chosen = _chosen(_state(endpoint), digest, endpoint)
    text = call(endpoint, "GET", f"/deployments/{chosen}", headers=authorization(installation_secret_file))
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def _state(endpoint: str) -> dict[str, Any]:
    return _parsed(call(endpoint, "GET", "/deployments"), endpoint)


def _parsed(text: str, endpoint: str) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except ValueError as error:
        raise _not_a_gateway(endpoint) from error
    if not isinstance(state, dict):
        raise _not_a_gateway(endpoint)
    return state


def _not_a_gateway(endpoint: str) -> StartError:
    return StartError(f"{endpoint} answers, but not as the gateway's internal listener does")


def authorization(file: Path | None) -> dict[str, str]:
    secret = installation_secret(file, os.environ)
    if secret is not None and not secret.decode("latin-1").isprintable():
        raise SettingError("the installation secret is more than one line of text, which can't be sent")
    return {} if secret is None else {"Authorization": f"Bearer {secret.decode('latin-1')}"}


def _chosen(state: Mapping[str, Any], prefix: str, endpoint: str) -> str:
    """The one digest that begins so. *Raises* StartError."""
    try:
        digests = [str(item["digest"]) for item in state["deployments"]]
    except (LookupError, TypeError) as error:
        raise _not_a_gateway(endpoint) from error
    prefix = prefix.lower()
    found = [digest for digest in digests if prefix and digest.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(one_line(digest[: max(SHORT, len(prefix) + 2)]) for digest in found)
        raise StartError(f"several deployments begin with {prefix}: {several}; write more of it")
    known = ", ".join(one_line(digest[:SHORT]) for digest in digests) or "none"
    raise StartError(f"no deployment that is kept begins with {prefix!r}; kept are: {known}")


def _row(item: Mapping[str, Any], state: Mapping[str, Any], now: datetime) -> dict[str, object]:
    marks = [name for key, name in (("inForce", "in force"), ("file", "the file's")) if item[key]]
    return {
        "digest": one_line(item["digest"][:SHORT]),
        "age": _age(item, now),
        "by": one_line(item["node"]),
        "bytes": int(item["bytes"]),
        "nodes": f"{len(item['nodes'])} of {len(state['nodes'])}",
        "state": ", ".join(marks),
    }


def _entry(item: Mapping[str, Any], _state: Mapping[str, Any], now: datetime) -> dict[str, object]:
    return {**item, "ageSeconds": int(_seconds(item, now))}


def _seconds(item: Mapping[str, Any], now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(item["deployedAt"])).total_seconds())


def _age(item: Mapping[str, Any], now: datetime) -> str:
    seconds = int(_seconds(item, now))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _remarks(state: Mapping[str, Any]) -> list[str]:
    """What the table doesn't say."""
    remarks: list[str] = []
    rollback = state["rollback"]
    if rollback:
        file = state["file"][:SHORT]
        remarks.append(
            f"since {rollback['since']} {rollback['digest'][:SHORT]} is used in place of the file's {file}; "
            f"`wsgateway deployments use {file}` ends that"
        )
    remarks += [f"refused on this node: {problem}" for problem in state["problems"]]
    for node in state["nodes"]:
        executes = node["executes"].partition("+")[0]
        if executes and executes != state["inForce"]:
            remarks.append(f"{node['name']} executes {executes[:SHORT]}")
    if len({node["executes"] for node in state["nodes"] if node["executes"].startswith(state["inForce"])}) > 1:
        remarks.append("nodes were given other variables of the environment, or files of other content")
    if state["registryAway"]:
        remarks.append("the registry is away: this is what was last read")
    return [one_line(remark) for remark in remarks]
