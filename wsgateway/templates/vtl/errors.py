"""What is wrong with a template: where it can't be compiled, and where its rendering is stopped."""

from __future__ import annotations

from wsgateway.templates.expression import snippet


class TemplateError(ValueError):
    """A template can't be compiled.

    `problem` says what is wrong and what would be right; `line` and `column` count from 1; `snippet` is the line and a
    caret below the place. As text it is all of that, on several lines.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position)
        self.problem = problem
        self.line = text.count("\n", 0, position) + 1
        self.column = position - start + 1
        self.snippet = snippet(text[start : len(text) if end < 0 else end].rstrip("\r"), position - start)
        super().__init__(f"{problem} (line {self.line}, column {self.column})\n{self.snippet}")


class Wrong(Exception):
    """What the parser raises: `problem`, and how many characters of the text are before the place."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.position = position


class RenderError(Exception):
    """A rendering was stopped: it exceeds a budget, or has a pattern, path or template text that can't be run."""
