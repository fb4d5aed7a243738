"""`sessionLookup`: who knows the sessions that requests to us are signed in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from annotated_types import Ge, Le

from wsgateway.errors import Problem
from wsgateway.model.authorizer import Url
from wsgateway.model.base import Definition
from wsgateway.model.secret import Secret
from wsgateway.model.uri import bare_url_fault


class SessionLookup(Definition):
    """An endpoint of your own that knows temporary keys and their session tokens. (Ours; on AWS STS has them.)"""

    url: Url
    """Gets a POST of {accessKeyId, sessionToken}; 200 with the session, or 404. It hands out secrets: use https."""
    authorization: Secret | None = None
    """What is sent as `Authorization`: `file:PATH`, or a variable of the environment as `${NAME}`."""
    cache_seconds: Annotated[int, Ge(0), Le(43_200)] | None = None
    """Asked again after so long, if the session has not ended before; a session is believed until its end."""
    close_on_expiry: bool = False
    """true closes a connection (4401) when its session ends; false, as on AWS, lets it go on."""

    def check(self) -> Iterator[Problem]:
        fault = bare_url_fault(self.url)
        if fault is not None:
            yield Problem(("url",), f"{fault}; for a secret use authorization")
