"""Where an AWS service is: the endpoint an operator configured, else the one AWS has in a region.

AWS SDKs and Tools reference guide, "Service-specific endpoints", "AWS Region", "Dual-stack and FIPS endpoints".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


class NoEndpoint(Exception):
    """A service can't be found; the text says why, and what to set."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests for a service go, and the region they are signed for.

    `path` is what stands before the service's own paths: empty, or without a slash at its end. `configured` says that
    an operator named it, so that it is not AWS's own.
    """

    scheme: str
    host: str
    port: int | None
    path: str
    region: str
    configured: bool = False

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port in (None, _PORTS[self.scheme]) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def real_port(self) -> int:
        return self.port or _PORTS[self.scheme]


_PORTS = {"http": 80, "https": 443}
_SHARED = "~/.aws/credentials"
_region = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?").fullmatch


class ServiceEndpoints:
    """The endpoints of one process. `region` is the one it was given (`--region`), before what AWS's own ways say."""

    def __init__(self, environ: Mapping[str, str], region: str | None = None) -> None:
        self._environ = environ
        self._given = region
        self._session: Any = None  # botocore's, untyped
        self._resolver: Any = None

    @property
    def region(self) -> str | None:
        """The region of this process: given, of AWS_REGION or AWS_DEFAULT_REGION, or of the profile."""
        environ = self._environ
        return (
            self._given
            or environ.get("AWS_REGION")
            or environ.get("AWS_DEFAULT_REGION")
            or self._profile().get("region")
        )

    @property
    def ca_file(self) -> str | None:
        """The certificate authorities SDKs trust instead of the machine's: AWS_CA_BUNDLE, or `ca_bundle`."""
        return self._environ.get("AWS_CA_BUNDLE") or self._profile().get("ca_bundle")

    def of(self, service: str, *, region: str = "", partition: str = "", service_id: str = "") -> Endpoint:
        """The endpoint of a service (by its endpoint prefix, such as `lambda`). *Raises* NoEndpoint.

        An ARN knows region and partition; what is empty is the process's own. `service_id` is what SDKs call it, where
        that differs from the prefix: `SFN` is `states`.
        """
        region = region or self.region or ""
        if region and not _region(region):
            raise NoEndpoint(f"{region[:80]!r} is no region")
        known = re.sub("[ -]", "_", service_id or service)
        name, url = self._configured(known)
        if url:
            return _parsed(name, url, region or "us-east-1")  # an emulator's; it only has to be signed for some region
        if not region:
            raise NoEndpoint(
                f"no region is known to find {service} in; name it (--region, AWS_REGION, or an ARN that has it), "
                f"or set AWS_ENDPOINT_URL_{known.upper()}"
            )
        found = self._aws(service, region, partition)
        if found is None:
            where = f"partition {partition}" if partition else "any partition"
            raise NoEndpoint(f"AWS has no region {region} in {where}")
        # Services that are the same in all regions, such as IAM, are signed for one of them.
        scope = found.get("credentialScope", {}).get("region", region)
        return Endpoint("https", str(found["hostname"]), None, "", scope)

    def configured(self, service_id: str) -> Endpoint | None:
        """The endpoint an operator named for what SDKs call so; None where it is AWS's own. *Raises* NoEndpoint."""
        name, url = self._configured(re.sub("[ -]", "_", service_id))
        return _parsed(name, url, self.region or "us-east-1") if url else None

    def _configured(self, service: str) -> tuple[str, str | None]:
        """`(what said so, URL)` of an endpoint that is not AWS's."""
        profile = self._profile()
        ignore = self._environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or profile.get(
            "ignore_configured_endpoint_urls"
        )
        if str(ignore).lower() == "true":
            return "", None
        for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"):
            if self._environ.get(name):
                return name, self._environ[name]
        services = self._load().full_config.get("services", {}) if "services" in profile else {}
        own = services.get(profile.get("services"), {}).get(service.lower())
        url = own.get("endpoint_url") if isinstance(own, dict) else None
        return "endpoint_url of the AWS profile", url or profile.get("endpoint_url")

    def _aws(self, service: str, region: str, partition: str) -> Mapping[str, Any] | None:
        """AWS's own, of botocore's data; AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT are honoured."""
        if self._resolver is None:
            from botocore.regions import EndpointResolver

            self._resolver = EndpointResolver(self._load().get_component("data_loader").load_data("endpoints"))
        from botocore.exceptions import BotoCoreError

        try:
            found: Mapping[str, Any] | None = self._resolver.construct_endpoint(
                service,
                region,
                partition_name=partition or None,
                use_dualstack_endpoint=self._flag("use_dualstack_endpoint"),
                use_fips_endpoint=self._flag("use_fips_endpoint"),
            )
        except BotoCoreError as error:
            raise NoEndpoint(str(error)) from error
        if not found or (partition and not self._in_partition(region, partition)):
            return None
        return found

    def _in_partition(self, region: str, partition: str) -> bool:
        """Whether the region is, or by its name could be, one of the partition's."""
        from botocore.exceptions import UnknownRegionError

        try:
            return bool(self._resolver.get_partition_for_region(region) == partition)
        except UnknownRegionError:
            return False

    def _flag(self, name: str) -> bool:
        text = self._environ.get(f"AWS_{name.upper()}") or self._profile().get(name, "")
        return str(text).lower() == "true"

    def _profile(self) -> Mapping[str, Any]:
        """The shared config's profile; empty without one. *Raises* NoEndpoint for one that can't be read."""
        environ = self._environ
        files = environ.get("AWS_CONFIG_FILE", "~/.aws/config"), environ.get("AWS_SHARED_CREDENTIALS_FILE", _SHARED)
        if not any(os.path.exists(os.path.expanduser(name)) for name in files):  # as botocore: without a home, none
            return {}  # nothing to import botocore for
        from botocore.exceptions import BotoCoreError

        try:
            profile: Mapping[str, Any] = self._load().get_scoped_config()
        except BotoCoreError as error:
            raise NoEndpoint(str(error)) from error
        return profile

    def _load(self) -> Any:
        if self._session is None:
            from botocore.session import Session

            self._session = Session()
        return self._session


def _parsed(name: str, url: str, region: str) -> Endpoint:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NoEndpoint(f"{name} is no URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise NoEndpoint(f"{name} is no URL of an endpoint: write http:// or https:// and a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise NoEndpoint(f"{name} holds a user name, a query or a fragment; write scheme, host, port and path alone")
    if re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", parts.hostname) is None or port == 0:
        raise NoEndpoint(f"{name} names no host that can be called")
    if re.fullmatch(r"[A-Za-z0-9._~/-]*", parts.path) is None or "//" in parts.path or "/." in parts.path:
        raise NoEndpoint(f"the path of {name} may hold letters, digits and -._~/ alone")
    return Endpoint(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), region, configured=True)
