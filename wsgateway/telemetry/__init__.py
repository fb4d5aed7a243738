"""What an operator watches: logs, metrics, health."""

from __future__ import annotations

import sys
from typing import Any

# structlog imports rich wherever that is installed, for tracebacks that no line of the log has: 40 ms and 3.4 MiB of
# every process, for 14 ms and 0.7 MiB without. With None in its place an import fails, as where it is not installed
# (Python reference, "The module cache"); whoever wants rich after that gets it.
_modules: dict[str, Any] = sys.modules
_rich = _modules.get("rich")
_modules["rich"] = None
try:
    import structlog.dev  # noqa: F401 - the first import decides
finally:
    if _rich is None:
        del _modules["rich"]
    else:
        _modules["rich"] = _rich
