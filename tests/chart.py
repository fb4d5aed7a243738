"""The Helm chart, rendered by Helm itself (its SDK, in a wheel), and Kubernetes' own schemas for what comes out."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import jsonschema_rs
import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "wsgateway"
CI = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*.yaml"))}
RELEASE, NAMESPACE = "chat", "edge"
FULLNAME = "chat-wsgateway"

Object = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a key that stands twice is an error."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key) for key, _ in node.value]  # type: ignore[no-untyped-call]
    assert len(keys) == len(set(keys)), f"a key stands twice in {keys}{node.start_mark}"
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def values_of(name: str) -> Object:
    """The values of a file in ci/."""
    return helm_python.values_from_yaml(CI[name].read_text())


@functools.cache
def chart() -> helm_python.Chart:
    """The chart, loaded once a process."""
    return helm_python.Chart.load(CHART)


def documents(values: Object, release: str = RELEASE) -> dict[str, str]:
    """The rendered files by name, as `helm template` shows them."""
    return chart().render(values, name=release, namespace=NAMESPACE)


def render(values: Object, release: str = RELEASE) -> list[Object]:
    """The objects that would be made. *Raises* HelmRenderError, HelmValuesError."""
    texts = (text for name, text in documents(values, release).items() if name.endswith(".yaml"))
    return [found for text in texts for found in yaml.load_all(text, _Loader) if found]


def one(objects: list[Object], kind: str, name: str = FULLNAME) -> Object:
    """The object of that kind and name."""
    found = [it for it in objects if (it["kind"], it["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, [(it["kind"], it["metadata"]["name"]) for it in objects]
    return found[0]


def container(objects: list[Object], name: str = FULLNAME) -> Object:
    """The gateway's container."""
    (found,) = one(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def complaints(found: Object, version: str) -> Iterator[str]:
    """What the API server of a Kubernetes version would refuse, unknown fields too (`kubectl --validate=strict`)."""
    group, _, api = found["apiVersion"].rpartition("/")
    kind = "-".join(filter(None, (found["kind"].lower(), group.partition(".")[0], api)))
    for error in _validator(kind, version).iter_errors(found):
        yield f"{found['kind']} {'.'.join(map(str, error.instance_path))}: {error.message}"


@functools.cache
def _validator(kind: str, version: str) -> Any:
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    registry = jsonschema_rs.Registry([("k8s:///_definitions.json", _definitions(version))])
    schema = json.loads((folder / f"{kind}.json").read_text())
    return jsonschema_rs.Draft202012Validator(schema, registry=registry, base_uri=f"k8s:///{kind}.json")


@functools.cache
def _definitions(version: str) -> Any:
    folder = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return json.loads((folder / "_definitions.json").read_text())
