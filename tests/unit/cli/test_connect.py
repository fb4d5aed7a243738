"""Whom `wsgateway connect` believes."""

from __future__ import annotations

import pytest

from wsgateway.cli.conversation import trust


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_no_development_ca() -> None:
    trusted = trust("wss://localhost/dev", None)

    assert trusted is not None
    assert trusted.check_hostname
