"""Settings that are read and checked beyond what a flag's type says."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsgateway.errors import SettingError
from wsgateway.settings import MAX_SECRET_BYTES, Settings, installation_secret

VARIABLE = "WSGATEWAY_INSTALLATION_SECRET"
SECRET = "a secret of 24 characters"


def test_without_a_file_or_variable_nobody_chose_a_secret() -> None:
    assert installation_secret(None, {}) is None


def test_the_secret_of_the_variable() -> None:
    assert installation_secret(None, {VARIABLE: f" {SECRET}\n"}) == SECRET.encode()


def test_the_file_wins_over_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")

    assert installation_secret(file, {VARIABLE: "another one, long enough"}) == SECRET.encode()


@pytest.mark.parametrize("secret", ["", "fifteen bytes..", "x" * (MAX_SECRET_BYTES + 1)], ids=len)
def test_what_is_no_secret_is_refused_without_being_told(secret: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(secret)

    for told in (installation_secret, lambda *_: installation_secret(None, {VARIABLE: secret})):
        with pytest.raises(SettingError, match="a secret has 16 to 1024") as caught:
            told(file, {})
        assert not secret or secret not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--installation-secret-file .*none: No such file"):
        installation_secret(tmp_path / "none", {})


def test_a_prefix_holds_nothing_that_means_something_to_redis() -> None:
    for prefix in ("", "a*", "{a}", "a b", "é", "a\n", "x" * 65):
        with pytest.raises(SettingError, match="--redis-prefix"):
            Settings(file=Path("routes.yaml"), dev=False, redis_prefix=prefix)
