"""Which method of a REST API answers a path (API Gateway developer guide, "Important notes")."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgateway.dataplane.resources import Resources

TREES: dict[str, dict[str, list[str]]] = {
    "hardcoded": {"/part1/hardcoded-value": ["GET"], "/{param+}": ["GET"]},
    "proxy": {"/{proxy+}": ["ANY"], "/test": ["POST"]},
    "variable": {"/part1/{param1}": ["GET"], "/part1/hardcoded": ["GET"], "/": ["GET"]},
    "deep": {"/a/{b}/c": ["GET"], "/a/x/d": ["GET"], "/a/{b}/{rest+}": ["GET"], "/base/{proxy+}": ["ANY"]},
    "verbs": {"/a": ["ANY", "GET"], "/b": ["GET"]},
}


@pytest.mark.parametrize(
    ("tree", "verb", "path", "expected"),
    [
        ("hardcoded", "GET", "/part1/hardcoded-value", ("/part1/hardcoded-value GET", {})),
        ("hardcoded", "GET", "/part1/random", ("/{param+} GET", {"param": "part1/random"})),
        ("hardcoded", "POST", "/part1/hardcoded-value", None),
        ("hardcoded", "GET", "/", None),
        ("proxy", "POST", "/test", ("/test POST", {})),
        ("proxy", "OPTIONS", "/test", ("/{proxy+} ANY", {"proxy": "test"})),
        ("proxy", "GET", "/", None),
        ("proxy", "TRACE", "/test", None),
        ("proxy", "GET", "/test%2Balias//b", ("/{proxy+} ANY", {"proxy": "test%2Balias//b"})),
        ("variable", "GET", "/part1/hardcoded", ("/part1/hardcoded GET", {})),
        ("variable", "GET", "/part1/hard%63oded", ("/part1/hardcoded GET", {})),
        ("variable", "GET", "/part1/a%2Fb", ("/part1/{param1} GET", {"param1": "a%2Fb"})),
        ("variable", "GET", "/part1/other/more", None),
        ("variable", "GET", "/", ("/ GET", {})),
        ("deep", "GET", "/a/x/c", ("/a/{b}/c GET", {"b": "x"})),
        ("deep", "GET", "/a/x/d", ("/a/x/d GET", {})),
        ("deep", "GET", "/a/x/e/f", ("/a/{b}/{rest+} GET", {"b": "x", "rest": "e/f"})),
        ("deep", "GET", "/base", None),
        ("verbs", "GET", "/a", ("/a GET", {})),
        ("verbs", "PUT", "/a", ("/a ANY", {})),
        ("verbs", "ANY", "/a", None),
        ("verbs", "HEAD", "/b", None),
    ],
)
def test_which_method_answers(tree: str, verb: str, path: str, expected: object) -> None:
    paths = {path: {verb: f"{path} {verb}" for verb in verbs} for path, verbs in TREES[tree].items()}

    assert Resources(paths).find(verb, [] if path == "/" else path.split("/")[1:]) == expected


@given(st.permutations(list(TREES["deep"])))
def test_the_order_of_definitions_does_not_matter(order: list[str]) -> None:
    resources = Resources({path: {"GET": path} for path in order})

    assert resources.find("GET", ["a", "x", "c"]) == ("/a/{b}/c", {"b": "x"})
    assert resources.find("GET", ["a", "x", "d"]) == ("/a/x/d", {})


SEGMENTS = st.sampled_from(["a", "b", "x%61", "%61", ""])
KINDS = st.sampled_from(["a", "b", "{v}", "{g+}"])


def beside_the_first(paths: list[list[str]]) -> dict[str, dict[str, str]]:
    """A tree of these paths, a greedy variable at their end alone."""
    found = {}
    for parts in paths:
        cut = parts[: parts.index("{g+}") + 1] if "{g+}" in parts else parts
        named = [part.replace("v", f"v{at}").replace("g", f"g{at}") for at, part in enumerate(cut)]
        found["/" + "/".join(named)] = {"GET": "/".join(named)}
    return found


def first_found(paths: dict[str, dict[str, str]], segments: list[str]) -> str | None:
    """By trying every path: of each segment a name is better than a variable, and that than a greedy one."""
    best = None
    for path in paths:
        parts = path[1:].split("/") if path != "/" else []
        ranks = []
        for at, part in enumerate(parts):
            if part.endswith("+}"):
                ranks.append(2)
                fits = len(segments) > at
                break
            if at >= len(segments) or not (unquote(segments[at]) == part or (part[0] == "{" and segments[at])):
                fits = False
                break
            ranks.append(int(part[0] == "{"))
        else:
            fits = len(parts) == len(segments)
        if fits and (best is None or ranks < best[0]):
            best = (ranks, paths[path]["GET"])
    return None if best is None else best[1]


@given(st.lists(st.lists(KINDS, min_size=1, max_size=4), min_size=1, max_size=6), st.lists(SEGMENTS, max_size=5))
def test_the_way_through_the_tree_is_the_best_of_all(paths: list[list[str]], segments: list[str]) -> None:
    tree = beside_the_first(paths)
    found = Resources(tree).find("GET", segments)

    assert (None if found is None else found[0]) == first_found(tree, segments)
