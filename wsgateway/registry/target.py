"""`--redis-url`: which Redis, and how it is reached.

    redis://[USER:PASSWORD@]HOST[:6379][/DB]                    one server
    redis+sentinel://[USER:PASSWORD@]HOST[:26379],…/SERVICE[/DB]  the master of a service that Sentinels watch
    redis+cluster://[USER:PASSWORD@]HOST[:6379],…               a Cluster, found through any of its nodes
    unix://[USER:PASSWORD@]/PATH                                one server, at a socket of this machine

`rediss` in place of `redis` is TLS. Options: `db`; `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (PEM files),
`ssl_cert_reqs` (required, none), `ssl_check_hostname` (true, false); `sentinel_username`, `sentinel_password`, which
are the Sentinels' own. Names are those of redis-py.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl, unquote

from wsgateway.errors import SettingError
from wsgateway.redis.target import Host, Kind, Target, Tls

KINDS: Mapping[str, Kind] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
PORTS: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
MAX_HOSTS = 100


def target(url: str) -> Target:
    """The place that a URL names.

    *Raises* SettingError with a sentence that says what is wrong, and holds nothing that could be a password.
    """
    scheme, separator, rest = url.partition("://")
    matched = re.fullmatch(r"(unix|(redis(s?))(?:\+(sentinel|cluster))?)", scheme)
    if not separator or matched is None:
        raise _bad(
            "it begins with none of redis://, rediss://, redis+sentinel://, rediss+sentinel://, redis+cluster://, "
            "rediss+cluster://, unix:// (and memory:// is for one node alone)"
        )
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    if "@" in path or "@" in query or "#" in url:
        raise _bad("a / ? # or @ within a user, password or option has to be written as %2F %3F %23 or %40")
    login, _, hosts = authority.rpartition("@")
    options = _options(query)
    username, password = _credentials(login)
    found = Target(username=username, password=password)
    if scheme == "unix":
        return _unix(found, hosts, slash + path, options)
    kind = KINDS[matched[4] or ""]
    found = replace(found, kind=kind, addresses=_hosts(hosts, kind))
    if matched[3]:
        found = replace(found, tls=_tls(options))
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise _bad("the name of the service is missing: redis+sentinel://HOST:26379,HOST:26379/SERVICE")
        found = replace(
            found,
            service=unquote(service),
            sentinel_username=options.pop("sentinel_username", None),
            sentinel_password=options.pop("sentinel_password", None),
        )
    found = replace(found, db=_db(path, options))
    if kind == "cluster" and found.db:
        raise _bad("a Cluster has one database, 0")
    _refuse(options, found)
    return found


def _bad(what: str) -> SettingError:
    return SettingError(f"--redis-url can't be used: {what}")


def _credentials(login: str) -> tuple[str | None, str | None]:
    username, colon, password = login.partition(":")
    return unquote(username) or None, unquote(password) if colon else None


def _unix(found: Target, hosts: str, path: str, options: dict[str, str]) -> Target:
    if hosts or len(path) < 2:
        raise _bad("a socket is written unix:///PATH, or unix://USER:PASSWORD@/PATH")
    found = replace(found, path=unquote(path), db=_db("", options))
    _refuse(options, found)
    return found


def _hosts(text: str, kind: Kind) -> tuple[Host, ...]:
    hosts = text.split(",")
    if kind == "single" and len(hosts) > 1:
        raise _bad("redis:// takes one host; several are for redis+sentinel:// and redis+cluster://")
    if len(hosts) > MAX_HOSTS:
        raise _bad(f"there are more than {MAX_HOSTS} hosts")
    return tuple(_host(host, number, PORTS[kind]) for number, host in enumerate(hosts, 1))


def _host(text: str, number: int, default: int) -> Host:
    """Nothing of it is told: where an @ is missing it is a user and a password."""
    matched = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[\w.-]+)(?::(.*))?", text)
    if matched is None:
        raise _bad(f"host {number} is missing, or is no host name or address" + (", which is written [::1]:6379"
                   if text.count(":") > 1 else ""))  # fmt: skip
    host, port = matched[1].strip("[]"), matched[2]
    if port is None:
        return host, default
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise _bad(f"the port of host {number} is not a number from 1 to 65535")
    return host, int(port)


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise _bad(f"the option {_name(name)} is there twice")
        options[name] = value
    return options


def _refuse(options: Mapping[str, str], found: Target) -> None:
    """Complain of options that are left."""
    known = ["db", *(TLS_OPTIONS if found.tls else ()), *(SENTINEL_OPTIONS if found.kind == "sentinel" else ())]
    for name in options:
        if name in TLS_OPTIONS:
            raise _bad(f"the option {name} is for TLS, and the URL begins with redis where rediss would be TLS")
        raise _bad(f"the option {_name(name)} is none of {', '.join(known)}")


def _name(name: str) -> str:
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "(not a name)"


def _db(path: str, options: dict[str, str]) -> int:
    text = options.pop("db", "")
    if path and text:
        raise _bad("the database is given twice: behind the / and as option db")
    text = path.rstrip("/") or text or "0"
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise _bad("the database (what stands behind the /) is not a number")
    return int(text)


def _tls(options: dict[str, str]) -> Tls:
    verify = options.pop("ssl_cert_reqs", "required")
    if verify not in ("required", "none"):
        raise _bad("ssl_cert_reqs is neither required nor none")
    hostname = options.pop("ssl_check_hostname", "true").lower()
    if hostname not in SWITCHES:
        raise _bad("ssl_check_hostname is neither true nor false")
    tls = Tls(
        ca_file=options.pop("ssl_ca_certs", None),
        cert_file=options.pop("ssl_certfile", None),
        key_file=options.pop("ssl_keyfile", None),
        verify=verify == "required",
        check_hostname=SWITCHES[hostname] and verify == "required",
    )
    _check_files(tls)
    return tls


def _check_files(tls: Tls) -> None:
    """Read them once, so that what is wrong is told at start."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if tls.ca_file is not None:
            context.load_verify_locations(tls.ca_file)
    except (OSError, ValueError) as error:
        raise _bad(f"ssl_ca_certs {tls.ca_file}: {_why(error)}") from error
    if tls.key_file is not None and tls.cert_file is None:
        raise _bad("ssl_keyfile comes with ssl_certfile, the certificate that it is for")
    try:
        if tls.cert_file is not None:
            # An encrypted key is refused rather than asked about at the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        raise _bad(f"ssl_certfile {tls.cert_file}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not PEM, or the key is encrypted or another's ({error.reason or 'no certificate in it'})"
    return error.strerror or "can't be read" if isinstance(error, OSError) else "can't be read"
