"""Canaries as definitions say them (API Gateway API reference, v1, CanarySettings)."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import DefinitionError
from wsgateway.model.fingerprint import fingerprint
from wsgateway.model.loader import Loaded, parse

FILE = """\
apis:
  shop:
    protocolType: REST
    stages:
      v1: {{variables: {{tone: warm}}, canarySettings: {0}}}
    paths: {{/: {{GET: {{integration: {{type: MOCK}}}}}}}}
"""
OTHER = FILE.format("{stageVariableOverrides: {tone: '${TONE:-cold}'}}")


def read(settings: str, folder: Path, **environ: str) -> Loaded:
    return parse(FILE.format(settings), "routes.yaml", environ, folder)


def problems(settings: str, folder: Path = Path()) -> list[str]:
    with pytest.raises(DefinitionError) as refusal:
        read(settings, folder)
    return [str(problem) for problem in refusal.value.problems]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{percentTraffic: 100.5}", "percentTraffic: 100.5 is too large; it must be at most 100"),
        ("{percentTraffic: -1}", "percentTraffic: -1 is too small"),
        ("{percentTraffic: 10}", "canarySettings: is the stage itself: give it a deploymentId, such as file:next.yaml"),
        ("{stageVariableOverrides: {'a b': x}}", "stageVariableOverrides"),
        ("{deploymentId: 3f2a91}", "3f2a91 is not allowed: write file: and the path of a definition file"),
        ("{deploymentId: 'file:nowhere.yaml'}", "file:nowhere.yaml can't be read: No such file"),
        ("{deploymentId: 7}", "expected a string such as"),
        (
            "{stageVariableOverrides: {a: b}, useStageCache: true}",
            "useStageCache: has no effect: the stage has no cache",
        ),
    ],
)
def test_what_is_refused(settings: str, said: str) -> None:
    (problem,) = problems(settings)

    assert problem.startswith("routes.yaml:5: apis.shop.stages.v1.canarySettings")
    assert said in problem


def test_another_file_is_read_with_its_own_variables_and_folder(tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text(OTHER)
    loaded = read("{deploymentId: 'file:next.yaml'}", tmp_path, TONE="cool")

    ((place, other),) = loaded.canaries.items()
    assert place == ("shop", "v1")
    settings = other.definitions.rest_apis["shop"].stages["v1"].canary_settings
    assert settings is not None
    assert settings.stage_variable_overrides == {"tone": "cool"}
    assert other.source.directory == tmp_path
    # Whatever it says, and takes from elsewhere, makes what is executed another one.
    prints = {fingerprint(loaded, b"")}
    prints.add(fingerprint(read("{deploymentId: 'file:next.yaml'}", tmp_path, TONE="mild"), b""))
    (tmp_path / "next.yaml").write_text(OTHER + "# more\n")
    prints.add(fingerprint(read("{deploymentId: 'file:next.yaml'}", tmp_path, TONE="cool"), b""))
    assert len(prints) == 3


def test_a_file_that_names_itself_ends_there(tmp_path: Path) -> None:
    text = FILE.format("{deploymentId: 'file:routes.yaml'}")
    (tmp_path / "routes.yaml").write_text(text)

    assert not parse(text, "routes.yaml", {}, tmp_path).canaries["shop", "v1"].canaries


def test_what_is_wrong_in_the_other_file_is_told_with_its_name_and_line(tmp_path: Path) -> None:
    (tmp_path / "next.yaml").write_text("apis:\n  shop: {protocolType: REST, stages: {v1: {}}, pats: {}}\n")

    found = problems("{deploymentId: 'file:next.yaml'}", tmp_path)

    assert [problem.partition(": ")[0] for problem in found] == [f"{tmp_path}/next.yaml:2"] * 2
    (tmp_path / "next.yaml").write_bytes(b"\xff")
    (problem,) = problems("{deploymentId: 'file:next.yaml'}", tmp_path)
    assert "file:next.yaml is not UTF-8" in problem
