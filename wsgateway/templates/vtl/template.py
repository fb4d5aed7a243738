"""Templates, compiled once and rendered often."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from wsgateway.templates.vtl.compile_expressions import NotOneFunction
from wsgateway.templates.vtl.compiler import Compiler
from wsgateway.templates.vtl.errors import RenderError, TemplateError
from wsgateway.templates.vtl.kept import Kept
from wsgateway.templates.vtl.nodes import Text
from wsgateway.templates.vtl.parser import parse
from wsgateway.templates.vtl.runtime import MacroCode, Rendering, Run, Stop, Variables, finished
from wsgateway.templates.vtl.values import Value, text

MAX_TEMPLATE: Final = 300 * 1024
"""Characters of a template (API Gateway developer guide, "Quotas and important notes": 300 KB)."""

_EVERYTHING: Final = frozenset({"context", "input", "stageVariables", "util"})
"""What an evaluated text may ask for."""


class Template:
    """A compiled template.

    `static` is what it writes, where nothing in it depends on anything; None else. `names` are the variables it reads
    or sets: others needn't be given. `changes` says that it may change a list or map it is given.
    """

    __slots__ = ("changes", "macros", "names", "run", "static")

    def __init__(
        self, run: Run, macros: Mapping[str, MacroCode], names: frozenset[str], static: str | None, changes: bool
    ) -> None:
        self.run = run
        self.macros = macros
        self.names = names
        self.static = static
        self.changes = changes

    def render(self, names: Mapping[str, Value]) -> str:
        """What the template writes, with these variables to begin with, which are the rendering's own where they are
        Variables. Raises RenderError."""
        if self.static is not None:
            return self.static
        parts: list[str] = []
        try:
            variables = names if isinstance(names, Variables) else Variables(names)
            self.run(variables, parts, Rendering(self.macros))
        except Stop:
            pass
        except RecursionError as error:
            raise RenderError("the template is nested too deep to be rendered") from error
        return finished(parts)


def compile(text: str) -> Template:
    """`text`, ready to be rendered.

    Raises TemplateError naming line and column, also for a text longer than MAX_TEMPLATE.
    """
    return _compile(text, evaluated=False)


def _compile(text: str, *, evaluated: bool) -> Template:
    if len(text) > MAX_TEMPLATE:
        problem = f"a template has at most {MAX_TEMPLATE} characters, this has {len(text)}"
        raise TemplateError(problem, text, MAX_TEMPLATE)
    block = parse(text, evaluated=evaluated)
    texts = [part.text for part in block if isinstance(part, Text)]
    static = "".join(texts) if len(texts) == len(block) else None
    stops = "stop" in text or "evaluate" in text
    try:
        compiler = Compiler(_evaluate, stops=stops, alone=True)
        main = compiler.template(block)
    except NotOneFunction:
        compiler = Compiler(_evaluate, stops=stops, alone=False)
        main = compiler.template(block)
    found = compiler.module.load()
    macros = {name: MacroCode(parameters, found[run]) for name, (parameters, run) in compiler.macros.items()}
    names = compiler.names | _EVERYTHING if compiler.evaluates else compiler.names
    return Template(found[main], macros, frozenset(names), static, compiler.changes or compiler.evaluates)


def _evaluate(source: Value, variables: Variables, out: list[str], work: Rendering) -> None:
    """`#evaluate`. Raises RenderError, also where the text is no template."""
    if source is None:
        return
    template = _template_of(text(source, work), work)
    if template.macros:
        work.macros = {**template.macros, **work.macros}
    with work.call("#evaluate"), suppress(Stop):  # which ends no more than this text, in Velocity too
        template.run(variables, out, work)


def _template_of(source: str, work: Rendering) -> Template:
    try:
        return _evaluated(source, work)
    except TemplateError as error:
        raise RenderError(f"a text that #evaluate is given is no template: {error}") from error


_evaluated: Final = Kept(partial(_compile, evaluated=True), steps=20, most=64, longest=1024)
"""Texts that were evaluated lately."""
