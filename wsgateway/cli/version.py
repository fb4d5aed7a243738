"""`wsgateway version`."""

from __future__ import annotations

import platform

from wsgateway import __version__


def version() -> None:
    """Print the version of the gateway and of Python."""
    print(f"wsgateway {__version__} (Python {platform.python_version()})")
