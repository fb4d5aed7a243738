"""Reads `routes.yaml`, or an OpenAPI document: text to definitions, or every problem with the line it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from wsgateway.errors import DefinitionError, Problem
from wsgateway.model.base import Path, problems_of
from wsgateway.model.definitions import Definitions
from wsgateway.model.document import compose
from wsgateway.model.expansion import Expansion
from wsgateway.model.explain import SHOWN, escaped
from wsgateway.model.file import PREFIX
from wsgateway.model.nodes import MAX_BYTES, stop
from wsgateway.model.openapi.reading import OURS, STRICT, Reading
from wsgateway.model.openapi.variables import DocumentExpansion, version_of

START = "begin with `apis:` and one API beneath it"
NOT_SAID = re.compile(
    r"add it to (?:its variables|functions)|add credentials, or a sessionLookup"
    r"|(?:add|define) it under (?:usagePlans|apiKeys|vpcLinks|vpcEndpoints)"
)
"""What to do about a problem, where OpenAPI has no word for it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where definitions were read from; turns a path into file and line.

    `directory` is where relative paths in the file start. `origins` are the keys in the file by those of definitions,
    where it is an OpenAPI document.
    """

    file: str
    directory: FilePath
    lines: Mapping[Path, int]
    origins: Mapping[Path, Path] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of `path`; of the nearest thing around it where the file has no such key."""
        path = self.written(path)
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return 0

    def written(self, path: Path) -> Path:
        """The keys in the file, where they are others than those of the definition."""
        for length in range(len(path) if self.origins else -1, -1, -1):
            origin = self.origins.get(path[:length])
            if origin is not None:
                return (*origin, *path[length:])
        return path

    def problem(self, path: Path, text: str) -> Problem:
        """A problem at `path`, with file and line."""
        return self.locate(Problem(path, text))

    def locate(self, problem: Problem, under: Path = ()) -> Problem:
        """`problem` with file and line; its path begins at `under`. What can't be printed is escaped."""
        path = (*under, *problem.path)
        line = problem.line or self.line(path)
        path = path if problem.line else self.written(path)
        text = NOT_SAID.sub(rf"\g<0>, below {OURS}", problem.text) if self.origins else problem.text
        return Problem(tuple(_printable(part) for part in path), text, self.file, line)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid file: what it defines, where that stands, its text as written, and the SHA-256 of that."""

    definitions: Definitions
    source: Source
    digest: str
    text: str = field(repr=False)
    outside: Mapping[str, str] = field(repr=False)
    """What the text leaves to the machine: by `${NAME}` the value, by `file:PATH` the SHA-256 of the content."""
    notes: Sequence[Problem] = ()
    """What is to be said of an OpenAPI document although it is valid, with lines."""
    canaries: Mapping[tuple[str, str], Loaded] = field(default_factory=dict)
    """By apiId and stage the file that its canary executes, where that is another one."""
    left_out: Sequence[Path] = ()
    """What is not among the definitions although such a document says it; a note tells of each."""


def load(path: FilePath, environ: Mapping[str, str], reading: Reading = STRICT) -> Loaded:
    """Read and check a file.

    Raises DefinitionError with every problem, sorted by line.
    """
    return parse(text_of(path), escaped(str(path)), environ, path.parent, reading)


def text_of(path: FilePath) -> str:
    """What a file says. Raises DefinitionError."""
    name = escaped(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise at(name, stop("no such file; give another path, or write one")) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise at(name, stop("not UTF-8; save the file as UTF-8", line)) from None
    except OSError as error:
        raise at(name, stop(f"can't be read: {error.strerror}")) from error


def parse(
    text: str,
    name: str,
    environ: Mapping[str, str],
    base_dir: FilePath,
    reading: Reading = STRICT,
    *,
    canaries_too: bool = True,
) -> Loaded:
    """Check the text of a file called `name` that lies in `base_dir`; `reading` is about OpenAPI documents alone.

    The files of its canaries are checked too.

    Raises DefinitionError with every problem, sorted by line.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_BYTES:
        raise at(name, stop(f"larger than {MAX_BYTES} bytes"))
    try:
        document = compose(text)
        version = version_of(document)
        expansion = Expansion(environ) if version is None else DocumentExpansion(environ)
        root = document.root and expansion.value(document.root)
        if root is None:
            raise stop(f"is empty; {START}")
        if not isinstance(root, dict):
            raise stop(f"holds no mapping; {START}", 1)
        content = _Content(root, Source(name, base_dir, expansion.lines), document.problems + expansion.problems)
        if version is not None:
            content.translate(version, reading)
    except DefinitionError as error:
        raise at(name, error) from error
    definitions = content.checked(lenient=version is not None and reading.lenient)
    outside = {f"${{{name}}}": value for name, value in expansion.used.items()} | content.files
    if version is not None and reading != STRICT:
        outside["OpenAPI"] = repr(reading)
    digest = sha256(encoded).hexdigest()
    canaries = _canaries(definitions, environ, reading) if canaries_too else {}
    for canary in canaries.values():
        outside |= {f"{each} of {canary.source.file}": value for each, value in canary.outside.items()}
    left_out = [problem.path for problem in content.left_out]
    return Loaded(definitions, content.source, digest, text, outside, content.notes(), canaries, left_out)


def _canaries(definitions: Definitions, environ: Mapping[str, str], reading: Reading) -> dict[tuple[str, str], Loaded]:
    """What the canaries of REST stages execute. Their own stages say nothing. Raises DefinitionError."""
    found: dict[tuple[str, str], Loaded] = {}
    problems: list[Problem] = []
    for api_id, api in definitions.rest_apis.items():
        for name, stage in api.stages.items():
            file = None if stage.canary_settings is None else stage.canary_settings.deployment_id
            if file is not None:
                try:
                    where, folder = escaped(str(file.path)), file.path.parent
                    found[api_id, name] = parse(file.text, where, environ, folder, reading, canaries_too=False)
                except DefinitionError as error:
                    problems += error.problems
    if problems:
        raise DefinitionError(problems)
    return found


class _Content:
    """What a file holds, on its way to definitions."""

    def __init__(self, root: dict[str, Any], source: Source, problems: list[Problem]) -> None:
        self.source = source
        self.files: dict[str, str] = {}
        """By `file:PATH` the SHA-256 of what was read there."""
        self.left_out: list[Problem] = []
        self._root = root
        self._problems = problems
        self._notes: list[Problem] = []

    def translate(self, version: int, reading: Reading) -> None:
        """Have what an OpenAPI document says stand as a definition file would say it."""
        from wsgateway.model.openapi.translate import translate  # a process starts faster without it

        found = translate(self._root, version, self.source.line, reading)
        self._root, self.source = found.root, replace(self.source, origins=found.origins)
        self._problems += found.problems + ([] if reading.lenient else found.unsupported)
        self._notes += found.remarks + (found.unsupported if reading.lenient else [])

    def checked(self, *, lenient: bool) -> Definitions:
        """The definitions, where `lenient` without what is not supported. Raises DefinitionError."""
        while True:
            files: dict[str, str] = {}
            try:
                definitions = Definitions.model_validate(
                    self._root, context={"directory": self.source.directory, "files": files}
                )
            except ValidationError as error:
                found = problems_of(error)
                dropped = self._drop(found) if lenient else []
                self.left_out += dropped
                if dropped:
                    continue
                self._problems += _news(found, self._problems, self.source)
            if self._problems:
                raise DefinitionError(self._located(self._problems))
            self.files = {f"{PREFIX}{name}": digest for name, digest in files.items()}
            return definitions

    def _drop(self, found: Iterable[Problem]) -> list[Problem]:
        """Leave out what of this is about parts that are not supported; ours are not among them."""
        from wsgateway.model.openapi.lenient import drop

        theirs = [problem for problem in found if self.source.written(problem.path)[:1] != (OURS,)]
        return drop(self._root, theirs)

    def notes(self) -> list[Problem]:
        return self._located([*self._notes, *self.left_out])

    def _located(self, problems: Iterable[Problem]) -> list[Problem]:
        """By line. What is wrong with a part that a document refers to from several places is said once."""
        return sorted(dict.fromkeys(map(self.source.locate, problems)), key=lambda problem: problem.line)


def at(name: str, error: DefinitionError) -> DefinitionError:
    """The error, with the name of the file."""
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
