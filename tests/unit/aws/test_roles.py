"""Roles: whose keys stand for them, and that they are found where a definition says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wsgateway.aws import Credentials, CredentialSets, ServiceEndpoints
from wsgateway.aws.roles import finder
from wsgateway.model.role import Role

pytestmark = pytest.mark.anyio

ARN = "arn:aws:iam::123456789012:role/chat"
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles of this test alone."""
    (tmp_path / "credentials").write_text("[chat]\naws_access_key_id = PROFILE\naws_secret_access_key = its secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def role(folder: Path | None = None, **keys: Any) -> Role:
    return Role.model_validate(keys, context={"directory": folder or Path()})


def found(role: Role, environ: dict[str, str]) -> tuple[str, str, str | None]:
    source = finder(ARN, role, environ, lambda: "eu-west-1")()
    assert source is not None
    frozen = source.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token


def test_keys_of_a_profile() -> None:
    assert found(role(profile="chat"), {}) == ("PROFILE", "its secret", None)


def test_keys_of_the_environment() -> None:
    environ = {"CHAT_AWS_ACCESS_KEY_ID": "ENV", "CHAT_AWS_SECRET_ACCESS_KEY": "s", "CHAT_AWS_SESSION_TOKEN": "t"}

    assert found(role(environmentPrefix="CHAT_"), environ) == ("ENV", "s", "t")


def test_keys_of_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("in a file\n")
    (tmp_path / "token").write_text("token\n")
    keys = role(tmp_path, accessKeyId="FILE", secretAccessKey="file:secret", sessionToken="file:token")

    assert found(keys, {}) == ("FILE", "in a file", "token")


async def test_what_is_not_there_is_told_by_name() -> None:
    told: list[dict[str, object]] = []
    sets = CredentialSets(
        Credentials(lambda event, **facts: None),
        lambda event, **facts: told.append({"event": event, **facts}),
        ServiceEndpoints({}, "eu-west-1"),
        {},
    )
    credentials = sets.of(ARN, {ARN: role(environmentPrefix="CHAT_")})
    credentials.start()
    await credentials.first(PATIENCE)
    sets.close()

    assert credentials.keys is None
    assert credentials.fault == "LookupError: the environment has no CHAT_AWS_ACCESS_KEY_ID"
    assert told[0]["event"] == "no AWS credentials"
    assert told[0]["role"] == ARN


async def test_the_process_stands_for_roles_that_are_not_listed() -> None:
    own = Credentials(lambda event, **facts: None)
    sets = CredentialSets(own, lambda event, **facts: None, ServiceEndpoints({}, "eu-west-1"), {})

    assert sets.of(None, {}) is own
    assert sets.of(ARN, {ARN.replace("chat", "other"): role(profile="chat")}) is own


async def test_one_definition_of_a_role_is_one_set_of_keys_kept_while_it_is_used() -> None:
    own = Credentials(lambda event, **facts: None)
    sets = CredentialSets(own, lambda event, **facts: None, ServiceEndpoints({}, "eu-west-1"), {})
    one, other = {ARN: role(profile="chat")}, {ARN: role(environmentPrefix="CHAT_")}
    first = sets.of(ARN, one)

    assert sets.of(ARN, {ARN: role(profile="chat")}) is first
    assert sets.of(ARN, other) is not first
    sets.keep_only([first])
    assert sets.of(ARN, one) is first
    sets.keep_only([])
    assert sets.of(ARN, one) is not first
