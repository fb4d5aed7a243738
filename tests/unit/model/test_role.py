"""Roles in a file: where their keys are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.model.conftest import API, problems_of, read

ARN = "arn:aws:iam::123456789012:role/chat"


def faults(written: str) -> list[str]:
    """The problems of one role, without its path."""
    found = problems_of(f"{API}roles:\n  {ARN}: {{{written}}}\n")
    return [problem.split(": ", 1)[1].removeprefix(f"roles.{ARN}").removeprefix(".") for problem in found]


@pytest.mark.parametrize(
    "written", ["profile: chat", "environmentPrefix: CHAT_", "assumeRole: true", "assumeRole: true, profile: chat"]
)
def test_a_source_of_keys(written: str) -> None:
    role = read(f"{API}roles:\n  {ARN}: {{{written}}}\n").definitions.roles[ARN]

    assert (role.role_session_name, role.duration_seconds) == ("wsgateway", 3600)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        pytest.param(
            "",
            ": says where no keys are: write profile, environmentPrefix, accessKeyId or assumeRole: true",
            id="nothing",
        ),
        pytest.param(
            "profile: a, environmentPrefix: B_",
            "environmentPrefix: says where the keys are, and so does profile; keep one of them",
            id="two sources",
        ),
        pytest.param(
            "accessKeyId: AKIA",
            "secretAccessKey: is required by accessKeyId: file: and the path of the secret",
            id="half a key",
        ),
        pytest.param(
            "profile: a, secretAccessKey: file:routes.yaml",
            "secretAccessKey: has no effect without accessKeyId",
            id="a secret of nobody's",
        ),
        pytest.param(
            "profile: a, externalId: xyz", "externalId: has no effect without assumeRole: true", id="nothing assumed"
        ),
        pytest.param(
            "assumeRole: true, durationSeconds: 60",
            "durationSeconds: 60 is too small; it must be at least 900",
            id="a session of a minute",
        ),
    ],
)
def test_what_is_refused(written: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert faults(written) == [said]


def test_a_secret_is_in_a_file_and_never_repeated() -> None:
    (said,) = faults("accessKeyId: AKIA, secretAccessKey: '${SECRET:-wJalrXUtnFEMI}'")

    assert said == "secretAccessKey: write file: and the path of a file that holds it"


def test_a_name_that_is_no_role() -> None:
    (said,) = problems_of(f"{API}roles:\n  arn:aws:iam::123456789012:user/chat: {{profile: a}}\n")

    assert "write a role's ARN, such as arn:aws:iam::123456789012:role/chat" in said
