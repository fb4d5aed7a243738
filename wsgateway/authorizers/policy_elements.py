"""What is said of an element of a policy that can't be evaluated, and lists of texts, which most elements are."""

from __future__ import annotations

from collections.abc import Iterator


class PolicyError(ValueError):
    """A policy can't be evaluated; `path` says where (`Statement.0.Effect`), the text what is wrong there."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    @property
    def steps(self) -> tuple[str | int, ...]:
        """`path` as Problems have it."""
        return tuple(int(part) if part.isdigit() else part for part in self.path.split(".") if part)

    def below(self, path: str) -> PolicyError:
        """The same, of what stands at `path`."""
        return PolicyError(f"{path}.{self.path}".rstrip("."), self.problem)


def texts_of(value: object, path: str) -> Iterator[str]:
    """The texts of an element. *Raises* PolicyError where it has none, or what is none."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise PolicyError(path, "names nothing")
    for item in values:
        if not isinstance(item, str) or not item:
            raise PolicyError(path, "is a text, or a list of texts")
        yield item
