"""Whom `wsgateway connect` believes."""

from __future__ import annotations

import pytest

from wsgateway.cli.connect import _trust


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_no_development_ca() -> None:
    trust = _trust("wss://localhost/dev", None)

    assert trust is not None
    assert trust.check_hostname
