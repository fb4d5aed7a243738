"""`$input`: a body, what JSONPath finds in it, and the parameters of the request.

API Gateway developer guide, "API Gateway mapping template and access logging variable reference". An empty body is
`{}`. What `path()` gives is live: a change of it is seen by later `path()` and `json()` of the same template, and by
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from wsgateway.invocation import Invocation, header_text
from wsgateway.templates import jsonpath
from wsgateway.templates.document import MISSING, Format, Json, Missing, to_json
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.steps import WORK, Path, Scope
from wsgateway.templates.vtl.kept import Kept
from wsgateway.templates.vtl.values import NoMethod, RenderError, Tool, Value, Work, json_text

_EMPTY: Final = "{}"


class Input(Tool):
    """`$input` over the body of a request, or over that of an answer to it."""

    __slots__ = (
        "_body",
        "_changes",
        "_document",
        "_format",
        "_invocation",
        "_live",
        "_of_request",
        "_parameters",
        "_written",
    )

    def __init__(
        self, invocation: Invocation, body: bytes, format: Format, *, of_request: bool, changes: bool = True
    ) -> None:
        """`changes` says that the template may change what it gets hold of."""
        self._invocation = invocation
        self._body = body
        self._format = format
        self._of_request = of_request
        self._changes = changes
        self._written = ""
        """The body as text; a template that writes it often makes it once."""
        self._document: Json | Missing = None
        self._live = False
        """Whether the document is this template's own, which may have changed parts of it."""
        self._parameters: dict[str, dict[str, Value]] | None = None

    def member(self, name: str) -> Value:
        return self._text() if name == "body" else None

    def call(self, name: str, arguments: list[Value], work: Work) -> Value:
        method = INPUT_METHODS.get(name)
        if method is not None and len(arguments) == 1 and isinstance(arguments[0], str):
            return method(self, arguments[0], work)
        if name == "params" and not arguments:
            return cast("Value", self._all_parameters())
        raise NoMethod(name)

    def _text(self) -> str:
        if not self._written:
            try:
                self._written = self._body.decode() or _EMPTY
            except UnicodeDecodeError as error:
                raise RenderError(f"the body is not UTF-8: {error.reason} at byte {error.start + 1}") from None
        return self._written

    def _json(self, path: str, work: Work) -> str:
        """The result as JSON; a missing one is an empty JSON string."""
        found = self._found(path, work)
        if found is MISSING:
            return '""'
        if self._live:
            return json_text(cast("Value", found), work)
        written = to_json(found)
        work.characters(len(written))
        return written

    def _path(self, path: str, work: Work) -> Value:
        found = self._found(path, work)
        if found is MISSING:
            return None
        if self._changes and not self._live and isinstance(found, dict | list):
            self._live = True
            if self._of_request:  # else the document is nobody's but this template's
                work.characters(len(self._body))
                self._document = _copy(self._read())
                found = self._found(path, work)
        return cast("Value", found)

    def _found(self, path: str, work: Work) -> Json | Missing:
        document = self._read()
        if document is MISSING or path == "$":
            return document
        try:
            compiled = compiled_path(path, work)
            if compiled.keys is not None:
                return compiled(document)
            scope = Scope(document)
            found = compiled.evaluate(scope)
        except RecursionError:  # a template can make a document as deep as it likes
            raise RenderError(f"what {path} looks at is nested too deep") from None
        work.items(WORK - scope.left)
        return found

    def _read(self) -> Json | Missing:
        document = self._document
        if document is None:
            if not self._body:
                document = {}
            elif self._of_request:
                document = self._invocation.document
                if document is None:
                    document = self._invocation.document = self._format.decode(self._body)
            else:
                document = self._format.decode(self._body)
            self._document = document
        return document

    def _parameter(self, name: str, work: Work) -> Value:
        for place in self._all_parameters().values():
            if name in place:
                return place[name]
        return ""

    def _all_parameters(self) -> dict[str, dict[str, Value]]:
        """By place, in the order in which a name is looked for; the last of several values counts."""
        if self._parameters is None:
            headers = self._invocation.headers()
            self._parameters = {
                "path": {**self._invocation.all_path_parameters()},
                "querystring": {name: values[-1] for name, values in self._invocation.query().items()},
                "header": {name.decode("latin-1"): header_text(value) for name, value in headers},
            }
        return self._parameters


INPUT_METHODS: Final[dict[str, Callable[[Input, str, Work], Value]]] = {
    "json": Input._json,
    "path": Input._path,
    "params": Input._parameter,
}


def compiled_path(path: str, work: Work) -> Path:
    """`path`, compiled. Raises RenderError, for what isn't JSONPath too."""
    try:
        return _compiled(path, work)
    except ExpressionError as error:
        raise RenderError(f"not a JSONPath: {error.in_one_line}") from error


_compiled: Final = Kept(jsonpath.compile, steps=4, most=256, longest=256)


def _copy(document: Json | Missing) -> Json | Missing:
    """A copy down to the leaves, however deep."""
    if not isinstance(document, dict | list):
        return document
    root = document.copy()
    waiting: list[dict[str, Json] | list[Json]] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, item in node.items():
                if isinstance(item, dict | list):
                    node[key] = copy = item.copy()
                    waiting.append(copy)
        else:
            for at, item in enumerate(node):
                if isinstance(item, dict | list):
                    node[at] = copy = item.copy()
                    waiting.append(copy)
    return root
