"""The environment of a worker process: Lambda's variables, the function's own, and nothing of the gateway's."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from wsgateway.functions.base import VERSION
from wsgateway.functions.runtimes import Code
from wsgateway.model.function import Function

PASSED = frozenset(
    {
        "AWS_CA_BUNDLE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LD_LIBRARY_PATH",
        "NODE_EXTRA_CA_CERTS",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TMPDIR",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    }
)
"""What a function gets of the gateway's environment, besides PATH and AWS_ENDPOINT_URL*: how the machine is reached
and trusted, never who the gateway is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where functions believe to be."""

    region: str = "us-east-1"
    account_id: str = "000000000000"

    def arn(self, name: str, qualifier: str = "") -> str:
        """A function's ARN."""
        unqualified = f"arn:aws:lambda:{self.region}:{self.account_id}:function:{name}"
        return f"{unqualified}:{qualifier}" if qualifier else unqualified


def log_stream() -> str:
    """A name as AWS makes one for each execution environment."""
    return f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{VERSION}]{secrets.token_hex(16)}"


def environment(
    name: str,
    function: Function,
    account: Account,
    *,
    code: Code,
    runtime_api: str,
    outside: Mapping[str, str],
    extra: Mapping[str, str],
) -> dict[str, str]:
    """Everything a worker's environment holds (Lambda developer guide, "Defined runtime environment variables").

    `outside` is the gateway's environment, of which little passes; `extra` is what the gateway adds on purpose. The
    function's own variables win over both, but not over what says what runs and where.
    """
    variables = {key: value for key, value in outside.items() if key in PASSED or key.startswith("AWS_ENDPOINT_URL")}
    variables |= {
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        # Clients refuse to start without credentials; on AWS they are the role's.
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        # A home of its own keeps the profiles and keys of whoever runs the gateway out of reach by default.
        "HOME": "/tmp",  # noqa: S108 - Lambda's one writable folder
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": os.pathsep.join(filter(None, [code.bin_dir, outside.get("PATH", os.defpath)])),
    }
    if code.node_modules is not None:
        variables["NODE_PATH"] = str(code.node_modules)
    variables |= extra
    if "AWS_ACCESS_KEY_ID" in function.environment:
        del variables["AWS_SESSION_TOKEN"]  # a key of the function's own may be a lasting one, which has none
    variables |= function.environment
    variables |= {
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": VERSION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream(),
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(code.root),
        "LAMBDA_RUNTIME_DIR": str(code.runtime_dir),
        "_HANDLER": function.handler or "",
    }
    if function.language != "provided":
        variables["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{function.runtime}"
    return variables
