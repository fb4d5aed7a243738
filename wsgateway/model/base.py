"""What all definitions share: strict reading, every problem at once, keys known by name but not built yet."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, ClassVar, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, InitErrorDetails
from pydantic_core.core_schema import no_info_after_validator_function, no_info_before_validator_function

from wsgateway.errors import Problem
from wsgateway.model.explain import did_you_mean, fault, in_words, none_of, sentence, shown, wrong_kind

Path = tuple[str | int, ...]
"""The keys from the file's root to a value: `("apis", "chat", "routes", "say")`."""

NOT_YET = "not supported yet"


class Definition(BaseModel):
    """A part of a definition: frozen, read by its wire names only, refusing whatever it doesn't know.

    A subclass lists in `not_yet` the keys whose behaviour is still to be built; they are refused as such. So
    are those of `elsewhere`, which are AWS's and mean nothing here, each with why. Every field has a description, the
    text below it: it is what `is required` says, and what editors show.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        defer_build=True,  # what reads the whole file is made of all of them, and they need not read by themselves
    )

    not_yet: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[Mapping[str, str]] = {}

    def check(self) -> Iterator[Problem]:
        """What is wrong between fields that are each right; paths start at this definition."""
        return iter(())

    @classmethod
    def check_names(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Names in `data` (as written) that nothing answers to. Asked even when other fields are wrong."""
        return iter(())

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in descriptions_of(cls).items():
            properties[name]["description"] = text
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _every_problem(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, cls):
            return data
        fields = fields_of(cls)
        if data is None and not any(field.is_required() for field in fields.values()):
            data = {}
        if not isinstance(data, dict):
            raise _invalid(cls, [Problem((), wrong_kind("a mapping", data))])
        problems = [*_keys(cls, data), *cls.check_names(data)]
        refused = {problem.path for problem in problems}
        try:
            definition = handler({key: value for key, value in data.items() if (key,) not in refused})
        except ValidationError as error:
            for each in error.errors(include_url=False):
                if each["loc"] in refused:
                    continue
                missing = each["type"] == "missing"
                problems.append(
                    Problem(each["loc"], _required(cls, str(each["loc"][0])) if missing else sentence(each))
                )
        else:
            problems += definition.check()
        if problems:
            raise _invalid(cls, problems)
        return definition


@cache
def fields_of(definition: type[Definition]) -> Mapping[str, FieldInfo]:
    """The fields of a definition by wire name."""
    return {field.alias or name: field for name, field in definition.model_fields.items()}


@cache
def descriptions_of(definition: type[Definition]) -> Mapping[str, str]:
    """The text below each field, by wire name.

    It is read from the source, and only where it is shown: pydantic's `use_attribute_docstrings` reads it whenever a
    process starts, a tenth of its time.
    """
    written: dict[str, str] = {}
    for base in reversed([each for each in definition.__mro__ if issubclass(each, Definition)]):
        try:
            (tree,) = ast.parse(dedent(inspect.getsource(base))).body
        except OSError:
            continue  # only bytecode is installed
        assert isinstance(tree, ast.ClassDef)
        for node, text in pairwise(tree.body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(text, ast.Expr):
                written[node.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    named = {name: field.alias or name for name, field in definition.model_fields.items()}
    return {alias: written[name] for name, alias in named.items() if name in written}


def problems_of(error: ValidationError) -> list[Problem]:
    """What reading a Definition found; paths start at that definition."""
    return [Problem(each["loc"], sentence(each)) for each in error.errors(include_url=False)]


def _keys(cls: type[Definition], data: Mapping[str, object]) -> Iterator[Problem]:
    fields = fields_of(cls)
    for key, value in data.items():
        if key in cls.not_yet:
            yield Problem((key,), NOT_YET)
        elif key in cls.elsewhere:
            yield Problem((key,), f"has no effect here: {cls.elsewhere[key]}; remove it")
        elif key not in fields:
            near = did_you_mean(key, fields) or f"; known here: {', '.join(fields)}"
            yield Problem((key,), f"unknown key{near}")
        elif value is None and not _is_definition(fields[key].annotation):
            yield Problem((key,), f"is empty; give it a value{'' if fields[key].is_required() else ' or remove it'}")


def _required(cls: type[Definition], name: str) -> str:
    what = descriptions_of(cls).get(name, "").split(";")[0].rstrip(".")
    return f"is required: {what[:1].lower() + what[1:]}"


def _is_definition(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Definition)


def _invalid(cls: type[Definition], problems: Iterable[Problem]) -> ValidationError:
    """All problems as the one exception pydantic passes on to the definition around this one, which adds its path."""
    return ValidationError.from_exception_data(
        cls.__name__,
        [InitErrorDetails(type=fault(problem.text), loc=problem.path, input=None) for problem in problems],
    )


@dataclass(frozen=True, slots=True)
class Matches:
    """On a string type: it must match `pattern` as a whole; `rule` says so in words ("letters and digits")."""

    pattern: str
    rule: str

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        matches = re.compile(self.pattern).fullmatch

        def check(value: str) -> str:
            if matches(value) is None:
                raise fault(f"{shown(value)} is not allowed: {self.rule}")
            return value

        return no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Among:
    """On a Literal: the values known by name, those not built yet included; these are refused as such."""

    known: tuple[str, ...]
    instead: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What to write for names that others have for the same."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        built = get_args(source)

        def check(value: object) -> object:
            if isinstance(value, str) and value in self.instead:
                raise fault(f"{none_of(value, self.known)}; {self.instead[value]}")
            if value not in self.known:
                raise fault(none_of(value, self.known) if isinstance(value, str) else wrong_kind("a string", value))
            if value not in built:
                raise fault(f"{value} is {NOT_YET}; {in_words(built)} {'work' if len(built) > 1 else 'works'}")
            return value

        return no_info_before_validator_function(check, handler(source))
