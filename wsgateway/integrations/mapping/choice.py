"""The mapping templates of one place, and which of them an event gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wsgateway.errors import ApiConfigurationError, Problem
from wsgateway.integrations.mapping.media import accepted, sent
from wsgateway.model.explain import escaped
from wsgateway.templates import mapping, vtl
from wsgateway.templates.expression import ExpressionError
from wsgateway.templates.keys import KeyExpression
from wsgateway.templates.messagepack import FORMATS

if TYPE_CHECKING:
    from wsgateway.integrations.base import Site
    from wsgateway.invocation import Invocation
    from wsgateway.messages import EndpointResponse
    from wsgateway.model.base import Path
    from wsgateway.templates.vtl.values import Value

DEFAULTS: Final = ("$default", r"\$default")
"""Keys of the template for whatever no other is for; AWS's own samples write both."""

WITHOUT_EXPRESSION: Final = ("application/json", *DEFAULTS)


_compile = lru_cache(maxsize=256)(mapping.compile)
"""One template is checked, and compiled, for each route and stage that uses its integration."""


class Named:
    """A compiled template and where it is written: its faults name that."""

    __slots__ = ("_template", "changes", "key", "static", "where")

    def __init__(self, text: str, where: Path) -> None:
        """Raises TemplateError."""
        self._template = _compile(text)
        self.key = str(where[-1])
        """What it is chosen by."""
        self.where = ".".join(str(part) for part in where)
        self.changes = self._template.changes
        static = self._template.static
        self.static = None if static is None else static.encode()
        """What it gives whatever the event; None where that depends."""

    def render(self, names: Mapping[str, Value]) -> bytes:
        """What it gives of `names`. *Raises* ApiConfigurationError where a budget is exceeded."""
        try:
            return self._template.render(names).encode()
        except vtl.RenderError as error:
            raise ApiConfigurationError(f"{self.where}: {error}") from error
        except UnicodeEncodeError as error:
            raise ApiConfigurationError(f"{self.where}: its output holds half of a surrogate pair") from error


class Choice:
    """One of several templates, by what an expression gives; the default one where that names none.

    At a method of a REST API: by the media type of the request's body, or by the one that the client accepts; an empty
    template is none, and says that what it is for goes on as it came (API Gateway's console: "passthrough").
    """

    def __init__(
        self, templates: Mapping[str, str], expression: str | None, roots: Sequence[str], where: Path, site: Site
    ) -> None:
        """`where` is where the templates are written, from the integration on. Only for what `check` accepts."""
        named = {key: None if site.rest and not text else Named(text, (*where, key)) for key, text in templates.items()}
        self._templates: dict[str, Named | None] = named
        self._default = next((named[key] for key in DEFAULTS if key in named), None)
        self._key: KeyExpression | Callable[[Invocation, EndpointResponse | None], str] | None = None
        self.empty = not named
        """Whether there is none at all."""
        self.fixed = True
        """Whether every event gets the same."""
        if site.rest:
            of_answer = where[:1] == ("integrationResponses",)
            if of_answer:
                usual = [name for name in ("application/json", *named) if name in named]
                self._default = named[usual[0]] if usual else None
            if len(named) > of_answer:  # of one alone every client gets that one
                self._key = accepted if of_answer else sent
                self.fixed = False
        elif expression is None:
            self._default = next((named[key] for key in WITHOUT_EXPRESSION if key in named), None)
        elif named:
            key = KeyExpression(expression, roots, FORMATS[site.binary_format])
            if key.fixed is None:
                self._key = key
                self.fixed = False
            else:
                self._default = named.get(key.fixed, self._default)

    def of(self, invocation: Invocation, answer: EndpointResponse | None = None) -> Named | None:
        """The template for an event and what its backend answered; None where none is for it."""
        if self._key is None:
            return self._default
        return self._templates.get(self._key(invocation, answer), self._default)

    def passes(self, invocation: Invocation) -> bool:
        """Whether an empty template says that what is sent goes on as it came, where `of` finds none."""
        key = None if self._key is None else self._key(invocation, None)
        return key in self._templates or any(name in self._templates for name in DEFAULTS)

    @property
    def always(self) -> Named | None:
        """The template every event gets, where that is `fixed`; None is none."""
        return self._default


def check_choice(
    templates: Mapping[str, str],
    expression: str | None,
    roots: Sequence[str],
    site: Site,
    *,
    key: str,
) -> Iterator[Problem]:
    """Every template that can't be compiled, and the expression; `key` is what the templates are written under."""
    for name, text in templates.items():
        try:
            _compile(text)
        except vtl.TemplateError as error:
            yield Problem((key, name), _shown(str(error)))
    if expression is None:
        return
    path = ("templateSelectionExpression",)
    try:
        found = KeyExpression(expression, roots)
    except ExpressionError as error:
        yield Problem(path, str(error))
        return
    for variable in found.variables:
        if variable.root == "context" and not site.variables.has(variable.name):
            yield Problem(path, f"there is no $context.{variable.name}")
        if variable.root == "stageVariables" and variable.name not in site.stage_variables:
            yield Problem(path, f"the stage has no variable {variable.name}; add it to its stageVariables")


def require_text(body: bytes, what: str, where: str) -> None:
    """*Raises* ApiConfigurationError where `what` is nothing the template `where` could read."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise ApiConfigurationError(f"{where}: {what} is not UTF-8, and a template reads text alone") from error


def _shown(text: str) -> str:
    """`text` as it can be printed, its lines as they are."""
    return "\n".join(escaped(line.replace("\t", "    ")) for line in text.split("\n"))
