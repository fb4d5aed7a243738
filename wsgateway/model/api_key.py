"""`apiKeys`: what clients show to be known by, and to be counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Annotated

from annotated_types import MaxLen, MinLen
from pydantic import Field

from wsgateway.errors import Problem
from wsgateway.model.base import Definition, Matches
from wsgateway.model.explain import shown
from wsgateway.model.secret import Secret

SHORTEST, LONGEST = 20, 128
"""Characters of a key (API Gateway v1 reference, CreateApiKey)."""

PLAN, PLAN_RULE = r"[A-Za-z0-9_.-]{1,128}", "a usage plan's name is 1 to 128 letters, digits and _.-"
PlanName = Annotated[str, Matches(PLAN, PLAN_RULE)]
HASH, HASH_RULE = r"[0-9a-f]{64}", "a SHA-256 is 64 hexadecimal digits in lower case"
LONGEST_NAME, LONGEST_DESCRIPTION = 256, 125_000
NAME = r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,254}[^\x00-\x20\x7f])?"
NAME_RULE = "a key's name is 1 to 256 characters on one line, without spaces around them"
KeyName = Annotated[str, Matches(NAME, NAME_RULE)]


class ApiKey(Definition):
    """A key: `value`, or better its hash alone, as `wsgateway keys create` writes it."""

    name: KeyName
    """What usage plans, logs and events know it by: events have it as `apiKeyId`."""
    value: Secret | None = None
    """The key itself, 20 to 128 characters: `file:PATH`, or a variable of the environment as `${NAME}`."""
    value_sha256: Annotated[str, Matches(HASH, HASH_RULE)] | None = None
    """The SHA-256 of the key's value, in place of it: what is no secret. (Ours.)"""
    enabled: bool = True
    """false refuses whoever shows it."""
    description: Annotated[str, MaxLen(LONGEST_DESCRIPTION)] | None = None
    """What the key is for."""
    customer_id: Annotated[str, MinLen(1), MaxLen(1024)] | None = None
    """Whose it is, for people."""
    usage_plans: list[PlanName] = Field(default_factory=list)
    """The plans it is in, beside those whose apiKeys name it. (Ours.)"""

    def check(self) -> Iterator[Problem]:
        if (self.value is None) == (self.value_sha256 is None):
            text = "give one of value and valueSha256; `wsgateway keys create NAME` makes a key and prints its hash"
            yield Problem(("value",) if self.value is not None else (), text)
        if self.value is not None:
            fault = fault_of(self.value.text)
            if fault is not None:
                yield Problem(("value",), fault)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the key."""
        if self.value_sha256 is not None:
            return bytes.fromhex(self.value_sha256)
        assert self.value is not None  # `check` sees to it
        return digest_of(self.value.text)


def digest_of(value: str) -> bytes:
    """The SHA-256 of a key's value, by which it is looked up."""
    return sha256(value.encode("utf-8", "surrogatepass")).digest()


def fault_of(value: str) -> str | None:
    """Why something is no API key, in words that don't repeat it; None where it is one."""
    if not SHORTEST <= len(value) <= LONGEST:
        return f"an API key has {SHORTEST} to {LONGEST} characters, and this has {len(value)}"
    if not all("!" <= character <= "~" for character in value):
        return "an API key is letters, digits and signs of ASCII, without spaces: it travels in a header"
    return None


def check_keys(keys: Sequence[ApiKey]) -> Iterator[Problem]:
    """Names and values that are there twice; paths start at the list."""
    names: set[str] = set()
    digests: dict[bytes, str] = {}
    for number, key in enumerate(keys):
        if key.name in names:
            yield Problem((number, "name"), f"another key is named {shown(key.name)}, too; a name stands for one key")
        names.add(key.name)
        if key.digest in digests:
            field = "value" if key.value_sha256 is None else "valueSha256"
            yield Problem((number, field), f"is the key of {shown(digests[key.digest])}, too; each key is of one name")
        digests.setdefault(key.digest, key.name)
