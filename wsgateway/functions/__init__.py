"""Local Lambda functions: worker processes that run unmodified handlers, and AWS's two APIs to them.

The gateway calls a function in process (`Functions.invoke`); anybody else on this machine by Lambda's Invoke API
(`InvokeApi`). Workers with our bootstrap (Python, Node) are spoken to over a socket pair, executables of the `provided`
runtimes over the public Runtime API.
"""

from wsgateway.functions.base import (
    FunctionNotFound,
    FunctionResult,
    Invoke,
    InvokeRefused,
    PayloadTooLarge,
    TooManyInvocations,
    parse_name,
)
from wsgateway.functions.environment import Account
from wsgateway.functions.functions import Functions, Surroundings
from wsgateway.functions.invoke_api import InvokeApi
from wsgateway.functions.runtime_api import Serve, Served

__all__ = [
    "Account",
    "FunctionNotFound",
    "FunctionResult",
    "Functions",
    "Invoke",
    "InvokeApi",
    "InvokeRefused",
    "PayloadTooLarge",
    "Serve",
    "Served",
    "Surroundings",
    "TooManyInvocations",
    "parse_name",
]
