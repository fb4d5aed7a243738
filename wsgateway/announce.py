"""Saying that the gateway serves: once, on stdout, and in the file that was asked for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from wsgateway.dataplane.callback import in_url
from wsgateway.errors import StartError
from wsgateway.settings import Settings


def announce(settings: Settings, *, port: int, tls_port: int, internal_port: int) -> None:
    """Name the ports that were had, 0 for none. *Raises* StartError where the file can't be written."""
    urls = {
        "public": f"http://{in_url(settings.host)}:{port}",
        "internal": f"http://{in_url(settings.internal_host)}:{internal_port}",
    }
    if tls_port:
        urls["tls"] = f"https://{in_url(settings.host)}:{tls_port}"
    if settings.ready_file is not None:
        _write(settings.ready_file, json.dumps(urls | {"pid": os.getpid()}) + "\n")
    said = " ".join(["wsgateway ready", *(f"{name}={url}" for name, url in urls.items()), f"pid={os.getpid()}"])
    # In one piece, unbuffered as well (PYTHONUNBUFFERED): the log may go to the same place.
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


def _write(file: Path, content: str) -> None:
    """Written aside and moved, so that whoever waits for the file reads all of it."""
    aside = file.with_name(file.name + ".part")
    try:
        aside.write_text(content)
        aside.replace(file)
    except OSError as error:
        raise StartError(f"--ready-file {file}: {error.strerror}") from error
