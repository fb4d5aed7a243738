"""Verdicts about certificates, files that hold secrets, files that are written, and the whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.certificates import Authority
from wsgateway.backends import check
from wsgateway.doctor import Report
from wsgateway.doctor.base import Finding, Verdict, failed, ok, warning
from wsgateway.doctor.definition import certificate, secret_files
from wsgateway.doctor.places import trusted
from wsgateway.doctor.process import advertised, process, written
from wsgateway.model.loader import Loaded, load
from wsgateway.settings import Settings
from wsgateway.transport.certificates import read_pair
from wsgateway.transport.keyring import Keyring
from wsgateway.upstream.egress import Egress
from wsgateway.wiring import backends_to_check

OK, WARNING, FAILED = Verdict.OK, Verdict.WARNING, Verdict.FAILED
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SETTINGS = Settings(file=Path("routes.yaml"), dev=False)
DEFINITION = """
apis:
  chat:
    protocolType: WEBSOCKET
    routeSelectionExpression: $request.body.action
    stages: {dev: {}}
    routes:
      $default:
        integration:
          integrationType: HTTP_PROXY
          integrationUri: https://backend.example/
          tlsConfig: {caCertificates: "file:ca.pem"}
credentials:
- {accessKeyId: AKIAEXAMPLE000000001, secretAccessKey: "file:secret", principalArn: "arn:aws:iam::000000000000:user/a",
   policy: {Version: "2012-10-17", Statement: []}}
"""


@pytest.mark.parametrize(
    ("now", "name", "said"),
    [
        pytest.param(NOW, "chat.example", [OK], id="good"),
        pytest.param(NOW + 20 * DAY, "chat.example", [WARNING], id="ends soon"),
        pytest.param(NOW + 40 * DAY, "chat.example", [FAILED], id="is over"),
        pytest.param(NOW - 5 * DAY, "chat.example", [FAILED], id="has not begun"),
        pytest.param(NOW, "other.example", [WARNING], id="is made out to another name"),
        pytest.param(NOW + 40 * DAY, "other.example", [FAILED, WARNING], id="is over, and another's"),
    ],
)
def test_certificate(now: datetime, name: str, said: list[Verdict], tmp_path: Path) -> None:
    pair = read_pair(*map(Path, Authority(tmp_path).issue_to("chat.example")))

    assert [finding.verdict for finding in certificate(name, pair, now)] == said


@pytest.mark.parametrize(("ends", "said"), [(None, OK), (NOW + 20 * DAY, OK), (NOW + 3 * DAY, WARNING)])
def test_certificate_of_a_backend(ends: datetime | None, said: Verdict) -> None:
    assert trusted("backend", "https://b", ends, NOW).verdict is said


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Of a definition that names a secret and a certificate."""
    Authority(tmp_path)
    (tmp_path / "ca.pem").chmod(0o644)
    (tmp_path / "secret").write_text("x" * 40)
    (tmp_path / "routes.yaml").write_text(DEFINITION)
    return load(tmp_path / "routes.yaml", {})


@pytest.mark.anyio
@pytest.mark.parametrize(("account", "lines"), [("000000000000", []), ("123456789012", [14])])
async def test_keys_of_another_account_that_are_let_in_nowhere(account: str, lines: list[int], loaded: Loaded) -> None:
    backends = backends_to_check({}, None, Egress(), account)
    try:
        checked = check(loaded, backends, Keyring())
    finally:
        await backends.aclose()

    assert [problem.line for problem in checked.strangers] == lines


POLICY = """
apis:
  shop:
    protocolType: REST
    stages: {v1: {}}
    policy:
      Statement:
        - {Effect: Allow, Principal: "*", Action: "*", Resource: "execute-api:/*"}
        - {Effect: Deny, Principal: "*", Action: "*", Resource: "arn:aws:execute-api:*:123456789012:shop/v1/DELETE/*"}
    paths: {/a: {GET: {integration: {type: MOCK}}}}
"""


@pytest.mark.anyio
@pytest.mark.parametrize(("account", "lines"), [("123456789012", []), ("000000000000", [9])])
async def test_a_policy_of_another_account_denies_nothing(account: str, lines: list[int], tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(POLICY)
    backends = backends_to_check({}, None, Egress(), account)
    try:
        checked = check(load(tmp_path / "shop.yaml", {}), backends, Keyring())
    finally:
        await backends.aclose()

    assert [problem.line for problem in checked.misplaced] == lines


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        (0o600, "1, which others"),
        (0o640, "1, which others"),
        (0o644, "mode 0644: others can read it"),
        (0o660, "mode 0660: others can change it"),
    ],
)
def test_secret_files(loaded: Loaded, mode: int, found: str) -> None:
    (loaded.source.directory / "secret").chmod(mode)

    (finding,) = secret_files(loaded, SETTINGS)

    assert finding.verdict is (OK if found.startswith("1") else WARNING)
    assert finding.found.startswith(found)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("new.log", OK, id="is made"),
        pytest.param("there.log", OK, id="is there"),
        pytest.param("missing/new.log", FAILED, id="no such folder"),
        pytest.param("there.log/new.log", FAILED, id="no folder at all"),
        pytest.param(".", FAILED, id="a folder"),
    ],
)
def test_a_file_that_is_written(name: str, said: Verdict, tmp_path: Path) -> None:
    (tmp_path / "there.log").touch()

    assert written("access log", "--access-log", tmp_path / name).verdict is said
    assert [each.name for each in tmp_path.iterdir()] == ["there.log"]


@pytest.mark.parametrize(
    ("environ", "flags", "said"),
    [
        pytest.param({}, {}, {}, id="nothing asked for"),
        pytest.param({"WSGATEWAY_INSTALLATION_SECRET": "x" * 32}, {}, {"installation secret": OK}, id="secret"),
        pytest.param(
            {"WSGATEWAY_INSTALLATION_SECRET": "short"}, {}, {"installation secret": FAILED}, id="a short secret"
        ),
        pytest.param({}, {"internal_host": "0.0.0.0"}, {"installation secret": WARNING}, id="open, without a secret"),
        pytest.param({}, {"host": "0.0.0.0", "callback_auth": "none"}, {"callbacks": FAILED}, id="anybody may push"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, {}, {"traces": OK}, id="traces"),
        pytest.param({"OTEL_TRACES_EXPORTER": "zipkin"}, {}, {"traces": FAILED}, id="traces elsewhere"),
    ],
)
def test_flags_and_variables(environ: dict[str, str], flags: dict[str, str], said: dict[str, Verdict]) -> None:
    settings = replace(SETTINGS, **flags)  # type: ignore[arg-type]

    found = {finding.check: finding.verdict for finding in process(settings, environ)}

    assert found == said


@pytest.mark.parametrize(
    ("flags", "others", "said"),
    [
        pytest.param({}, False, [], id="all on this machine"),
        pytest.param({}, True, [WARNING], id="loopback is told to others"),
        pytest.param({"internal_host": "192.0.2.1"}, True, [], id="an address others reach"),
        pytest.param({"advertise": "192.0.2.1:9090"}, True, [], id="advertised"),
        pytest.param({"advertise": "[::1]:9090"}, True, [WARNING], id="advertised on loopback"),
    ],
)
def test_the_address_that_others_are_told(flags: dict[str, str], others: bool, said: list[Verdict]) -> None:
    settings = replace(SETTINGS, **flags)  # type: ignore[arg-type]

    assert [finding.verdict for finding in advertised(settings, others)] == said


@pytest.mark.parametrize(
    ("findings", "valid", "code"),
    [
        pytest.param([ok("c", "w", "f")], True, 0, id="all well"),
        pytest.param([warning("c", "w", "f", "m")], True, 0, id="a warning fails nothing"),
        pytest.param([ok("c", "w", "f"), failed("c", "w", "f")], True, 1, id="something failed"),
        pytest.param([failed("definition", "w", "f")], False, 2, id="an invalid definition"),
    ],
)
def test_exit_code(findings: list[Finding], valid: bool, code: int) -> None:
    assert Report(tuple(findings), valid).code == code
