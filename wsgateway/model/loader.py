"""Reads `routes.yaml`: text to definitions, or every problem with the line it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path as FilePath

from pydantic import ValidationError

from wsgateway.errors import DefinitionError, Problem
from wsgateway.model.base import Path, problems_of
from wsgateway.model.definitions import Definitions
from wsgateway.model.document import MAX_BYTES, compose, stop
from wsgateway.model.expansion import Expansion
from wsgateway.model.explain import SHOWN, escaped
from wsgateway.model.file import PREFIX

START = "begin with `apis:` and one API beneath it"


@dataclass(frozen=True, slots=True)
class Source:
    """Where definitions were read from; turns a path into file and line.

    `directory` is where relative paths in the file start.
    """

    file: str
    directory: FilePath
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """The line of `path`; of the nearest thing around it where the file has no such key."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return 0

    def problem(self, path: Path, text: str) -> Problem:
        """A problem at `path`, with file and line."""
        return self.locate(Problem(path, text))

    def locate(self, problem: Problem, under: Path = ()) -> Problem:
        """`problem` with file and line; its path begins at `under`. What can't be printed is escaped."""
        path = (*under, *problem.path)
        line = problem.line or self.line(path)
        return Problem(tuple(_printable(part) for part in path), problem.text, self.file, line)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid file: what it defines, where that stands, its text as written, and the SHA-256 of that."""

    definitions: Definitions
    source: Source
    digest: str
    text: str = field(repr=False)
    outside: Mapping[str, str] = field(repr=False)
    """What the text leaves to the machine: by `${NAME}` the value, by `file:PATH` the SHA-256 of the content."""


def load(path: FilePath, environ: Mapping[str, str]) -> Loaded:
    """Read and check a file.

    Raises DefinitionError with every problem, sorted by line.
    """
    name = escaped(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise _at(name, stop("no such file; give another path, or write one")) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _at(name, stop("not UTF-8; save the file as UTF-8", line)) from None
    except OSError as error:
        raise _at(name, stop(f"can't be read: {error.strerror}")) from error
    return parse(text, name, environ, path.parent)


def parse(text: str, name: str, environ: Mapping[str, str], base_dir: FilePath) -> Loaded:
    """Check the text of a file called `name` that lies in `base_dir`.

    Raises DefinitionError with every problem, sorted by line.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_BYTES:
        raise _at(name, stop(f"larger than {MAX_BYTES} bytes"))
    expansion = Expansion(environ)
    try:
        document = compose(text)
        root = document.root and expansion.value(document.root)
    except DefinitionError as error:
        raise _at(name, error) from error
    source = Source(name, base_dir, expansion.lines)
    if root is None:
        raise _at(name, stop(f"is empty; {START}"))
    if not isinstance(root, dict):
        raise _at(name, stop(f"holds no mapping; {START}", 1))
    problems = document.problems + expansion.problems
    files: dict[str, str] = {}
    try:
        definitions = Definitions.model_validate(root, context={"directory": base_dir, "files": files})
    except ValidationError as error:
        problems += _news(problems_of(error), problems, source)
    if problems:
        located = [source.locate(problem) for problem in problems]
        raise DefinitionError(sorted(located, key=lambda problem: problem.line))
    outside = {f"${{{name}}}": value for name, value in expansion.used.items()}
    outside |= {f"{PREFIX}{name}": digest for name, digest in files.items()}
    return Loaded(definitions, source, sha256(encoded).hexdigest(), text, outside)


def _at(name: str, error: DefinitionError) -> DefinitionError:
    return DefinitionError([replace(problem, file=name) for problem in error.problems])


def _news(found: Iterable[Problem], known: Iterable[Problem], source: Source) -> list[Problem]:
    """What validation found, less what follows from a value already known to be wrong."""
    wrong = {problem.path for problem in known}
    news = []
    for problem in found:
        path = problem.path
        if path[-1:] == ("[key]",) and path not in source.lines:  # pydantic's mark for "the key itself"
            path = path[:-1]
        if path not in wrong:
            news.append(replace(problem, path=path))
    return news


def _printable(part: str | int) -> str | int:
    if isinstance(part, int) or (part.isprintable() and len(part) <= SHOWN):
        return part
    return escaped(part)[:SHOWN]
