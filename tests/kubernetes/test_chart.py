"""What the chart makes of values: objects that Kubernetes takes and that fit together, or a sentence of what to do."""

from __future__ import annotations

import copy
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import helm_python
import pytest
import typer
import yaml

from tests.chart import (
    CHART,
    CI,
    FULLNAME,
    NAMESPACE,
    ROOT,
    Object,
    chart,
    complaints,
    container,
    documents,
    one,
    render,
    values_of,
)
from wsgateway import __version__
from wsgateway.cli import app
from wsgateway.settings import CACHE_MEMORY

OLDEST, NEWEST = "1.27", "1.37"
SELECTOR = {
    "app.kubernetes.io/name": "wsgateway",
    "app.kubernetes.io/instance": "chat",
    "app.kubernetes.io/component": "gateway",
}
REDIS = {"url": "redis://redis:6379"}
FOREIGN = {"HTTPRoute", "ScaledObject", "ServiceMonitor", "PrometheusRule"}
"""Kinds whose schemas are not Kubernetes' own."""

every_ci_file = pytest.mark.parametrize("name", CI)


@every_ci_file
def test_kubernetes_takes_what_is_rendered(name: str) -> None:
    refused = [
        f"{version}: {complaint}"
        for found in render(values_of(name))
        if found["kind"] not in FOREIGN
        for version in (OLDEST, NEWEST)
        for complaint in complaints(found, version)
    ]

    assert refused == []


def test_the_schemas_find_what_is_wrong() -> None:
    deployment = one(render({}), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    deployment["spec"]["replicas"] = "two"

    assert len(list(complaints(deployment, NEWEST))) == 2


def test_helm_lints_it() -> None:
    report = helm_python.lint(CHART, {}, strict=True, kube_version=f"v{OLDEST}.0")

    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@every_ci_file
def test_objects_fit_together(name: str) -> None:
    objects = render(values_of(name))
    fullname = {"pods": "edge"}.get(name, FULLNAME)
    (deployment,) = (it for it in objects if it["kind"] == "Deployment")
    pod = deployment["spec"]["template"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    (gateway,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}

    assert all(it["metadata"]["name"].startswith(fullname) for it in objects)
    assert {it["metadata"]["namespace"] for it in objects} == {NAMESPACE}
    assert len({(it["kind"], it["metadata"]["name"]) for it in objects}) == len(objects)
    assert selector.items() <= pod["metadata"]["labels"].items()
    for service in (it for it in objects if it["kind"] == "Service"):
        assert service["spec"]["selector"] == selector
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
        assert all(port["appProtocol"] for port in service["spec"]["ports"])
    for kind in ("PodDisruptionBudget",):
        assert all(it["spec"]["selector"]["matchLabels"] == selector for it in objects if it["kind"] == kind)
    for policy in (it for it in objects if it["kind"] == "NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"] == selector
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule.get("ports", ())}
        assert named == ports.keys()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gateway[probe]["httpGet"]["port"] in ports
    for test in (it for it in objects if it["kind"] == "Pod"):
        assert not selector.items() <= test["metadata"]["labels"].items()
        assert test["metadata"]["labels"][f"{fullname}-client"] == "true"
    mounted = {mount["name"] for mount in gateway["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    variables = [variable["name"] for variable in gateway["env"]]
    assert len(variables) == len(set(variables))
    assert variables.index("POD_IP") < variables.index("WSGATEWAY_ADVERTISE")  # only what stands before is expanded


@every_ci_file
def test_clients_never_reach_the_internal_listener(name: str) -> None:
    objects = render(values_of(name))
    for service in (it for it in objects if it["kind"] == "Service"):
        internal = [port for port in service["spec"]["ports"] if port["targetPort"] == "internal"]
        if service["metadata"]["name"].endswith("-internal"):
            assert service["spec"]["type"] == "ClusterIP"
            assert service["spec"]["ports"] == internal
        else:
            assert internal == []
    public = {it["metadata"]["name"] for it in objects if it["kind"] == "Service"} - {f"{FULLNAME}-internal"}
    for ingress in (it for it in objects if it["kind"] == "Ingress"):
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        assert {path["backend"]["service"]["name"] for path in paths} <= public
        assert {path["backend"]["service"]["port"]["name"] for path in paths} == {"public"}
    for route in (it for it in objects if it["kind"] == "HTTPRoute"):
        assert {ref["name"] for rule in route["spec"]["rules"] for ref in rule["backendRefs"]} <= public
    for policy in (it for it in objects if it["kind"] == "NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            opens = "ports" not in rule or any(port["port"] == "internal" for port in rule["ports"])
            assert not opens or rule["from"], "everybody reaches the internal port"


@every_ci_file
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    """Kubernetes documentation, "Pod Security Standards", Restricted."""
    objects = render(values_of(name))
    deployment = one(objects, "Deployment", "edge" if name == "pods" else FULLNAME)
    pods = [deployment["spec"]["template"]["spec"], *(it["spec"] for it in objects if it["kind"] == "Pod")]

    assert len(pods) == 2
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for found in pod["containers"]:
            assert found["securityContext"]["allowPrivilegeEscalation"] is False
            assert found["securityContext"]["readOnlyRootFilesystem"] is True
            assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert found["resources"]["limits"]["memory"]
        for volume in pod.get("volumes", ()):
            assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir"}


@every_ci_file
def test_a_pod_has_the_time_a_drain_takes(name: str) -> None:
    objects = render(values_of(name))
    deployment = one(objects, "Deployment", "edge" if name == "pods" else FULLNAME)
    pod = deployment["spec"]["template"]["spec"]
    (gateway,) = pod["containers"]
    env = {variable["name"]: variable.get("value") for variable in gateway["env"]}
    wait = int(
        gateway.get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})["preStop"]["exec"]["command"][1]
    )
    tail = 35 if env["WSGATEWAY_WORKERS"] == "1" else 45

    assert pod["terminationGracePeriodSeconds"] > wait + math.ceil(float(env["WSGATEWAY_DRAIN_WINDOW"])) + tail


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        pytest.param({}, 70, id="the defaults"),
        pytest.param({"drain": {"windowSeconds": 0.2, "preStopSeconds": 0}}, 41, id="a short window"),
        pytest.param({"drain": {"windowSeconds": 600}}, 645, id="a long window"),
        pytest.param(
            {"redis": REDIS, "config": {"workers": "auto"}}, 80, id="workers, which their supervisor waits for"
        ),
        pytest.param({"terminationGracePeriodSeconds": 70}, 70, id="as much as it takes"),
        pytest.param({"terminationGracePeriodSeconds": 3600}, 3600, id="more than it takes"),
    ],
)
def test_grace(values: Object, seconds: int) -> None:
    assert one(render(values), "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == seconds


SEVERAL = "nodes without Redis know nothing of one another"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"replicaCount": 2}, f"replicaCount is 2, and there is no Redis: {SEVERAL}", id="replicas"),
        pytest.param({"replicaCount": 2, "redis": {"url": "memory://"}}, SEVERAL, id="memory is no Redis"),
        pytest.param(
            {"config": {"workers": 4}}, f"config.workers is 4, and there is no Redis: {SEVERAL}", id="workers"
        ),
        pytest.param({"config": {"workers": "auto"}}, "config.workers is auto", id="workers by CPUs"),
        pytest.param(
            {"autoscaling": {"enabled": True}, "config": {"maxConnections": 9}}, "autoscaling.enabled makes", id="HPA"
        ),
        pytest.param({"keda": {"enabled": True}}, "keda.enabled makes several pods", id="KEDA"),
        pytest.param({"strategy": {"type": "RollingUpdate"}}, "has two pods at once", id="a second pod for a moment"),
        pytest.param({"redis": {"url": "redis://u:geheim@redis"}}, "redis.url holds a password", id="password"),
        pytest.param({"redis": {"url": "redis://:p@redis"}}, "redis.url holds a password", id="password alone"),
        pytest.param(
            {"redis": {"url": "redis+sentinel://s/m?sentinel_password=p"}}, "holds a password", id="Sentinels' password"
        ),
        pytest.param({"redis": REDIS | {"existingSecret": "s"}}, "both say where Redis is", id="two Redis"),
        pytest.param(
            {"redis": REDIS, "autoscaling": {"enabled": True}},
            "config.maxConnections does not say",
            id="share of what?",
        ),
        pytest.param(
            {"redis": REDIS, "autoscaling": {"enabled": True}, "keda": {"enabled": True}},
            "one against the other",
            id="two that scale",
        ),
        pytest.param(
            {"redis": REDIS, "keda": {"enabled": True}, "config": {"maxConnections": 9}},
            "keda.serverAddress",
            id="whom?",
        ),
        pytest.param(
            {"terminationGracePeriodSeconds": 69},
            "terminationGracePeriodSeconds is 69, and a drain takes up to 70 s",
            id="too little grace",
        ),
        pytest.param(
            {"terminationGracePeriodSeconds": 200, "drain": {"windowSeconds": 300}}, "up to 345 s", id="long drain"
        ),
        pytest.param(
            {"extraEnv": [{"name": "WSGATEWAY_DRAIN_WINDOW", "value": "900"}]},
            "extraEnv sets WSGATEWAY_DRAIN",
            id="env",
        ),
        pytest.param(
            {"extraEnv": [{"name": "REDIS_URL", "value": "x"}]}, "extraEnv sets REDIS_URL", id="another Redis"
        ),
        pytest.param({"extraEnv": [{"name": "POD_IP", "value": "x"}]}, "extraEnv sets POD_IP", id="another address"),
        pytest.param(
            {"redis": REDIS, "replicaCount": 3, "podDisruptionBudget": {"minAvailable": 3}},
            "no machine could",
            id="PDB",
        ),
        pytest.param(
            {"redis": REDIS, "replicaCount": 3, "podDisruptionBudget": {"minAvailable": 5}},
            "no machine could",
            id="PDB of more than all",
        ),
        pytest.param({"podDisruptionBudget": {"minAvailable": "100%"}}, "no machine could", id="PDB of 100 %"),
        pytest.param({"ports": {"public": 9090}}, "Two of ports are the same", id="one port for two"),
        pytest.param(
            {"tls": {"existingSecret": "s"}, "service": {"port": 443}}, "service.tlsPort are both 443", id="TLS's port"
        ),
        pytest.param(
            {"redis": REDIS, "config": {"maxConnections": 9}, "autoscaling": {"enabled": True, "minReplicas": 11}},
            "autoscaling.minReplicas is 11, more than autoscaling.maxReplicas, 10",
            id="more than most",
        ),
        pytest.param({"existingConfigMap": "c", "files": {"a": ""}}, "files has no effect", id="files for nothing"),
        pytest.param({"routes": "\n"}, "routes is empty", id="no definition"),
        pytest.param({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.hosts", id="Ingress of nothing"),
        pytest.param({"httpRoute": {"enabled": True}}, "needs httpRoute.parentRefs", id="route of no Gateway"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(values: Object, says: str) -> None:
    with pytest.raises(helm_python.HelmError) as refusal:
        render(values)

    assert says in str(refusal.value)
    assert "geheim" not in str(refusal.value)


def test_a_release_whose_services_kubernetes_would_refuse_is_refused() -> None:
    with pytest.raises(helm_python.HelmError, match="called 2048-wsgateway, and a Service's name begins with a letter"):
        render({}, "2048")

    objects = render({"fullnameOverride": "game"}, "2048")

    assert [complaint for found in objects for complaint in complaints(found, NEWEST)] == []


LABELS = {
    "app.kubernetes.io/part-of": "games",
    "app.kubernetes.io/component": "x",
    "team": "common",
    "release": "common",
}


def test_labels_that_are_set_twice_stand_once_and_pods_stay_selected() -> None:
    """YAML has no key twice; tools that work on what Helm renders refuse that, and Helm takes the last."""
    own = {"enabled": True, "labels": {"release": "own"}}
    objects = render(
        {"commonLabels": LABELS, "podLabels": {"team": "own"}}
        | {"serviceMonitor": own, "prometheusRule": own, "dashboard": own}
    )
    labels = {it["kind"]: it["metadata"]["labels"] for it in objects if it["kind"] != "Pod"}
    pod = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    test = one(objects, "Pod", f"{FULLNAME}-test")["metadata"]["labels"]

    assert {found["app.kubernetes.io/part-of"] for found in labels.values()} == {"games"}
    assert {labels[kind]["release"] for kind in ("ServiceMonitor", "PrometheusRule", "ConfigMap")} == {"own"}
    assert pod == LABELS | SELECTOR | {"team": "own"}
    assert test["app.kubernetes.io/component"] == "test"


@pytest.mark.parametrize("tag", ["_2.0", "x" * 62 + "-yy"])
def test_any_tag_makes_a_label_that_kubernetes_takes(tag: str) -> None:
    """Kubernetes documentation, "Labels and Selectors", Syntax and character set."""
    version = one(render({"image": {"tag": tag}}), "Deployment")["metadata"]["labels"]["app.kubernetes.io/version"]

    assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", version)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"replicas": 3}, id="unknown value"),
        pytest.param({"drain": {"window": 3}}, id="unknown value within"),
        pytest.param({"replicaCount": "3"}, id="text for a number"),
        pytest.param({"config": {"workers": 0}}, id="no worker"),
        pytest.param({"config": {"trustedProxies": ["proxy"]}}, id="no network"),
        pytest.param({"redis": {"url": "http://redis"}}, id="no Redis"),
        pytest.param({"service": {"type": "ExternalName"}}, id="no Service of pods"),
        pytest.param({"autoscaling": {"targetConnectionsRatio": 70}}, id="percent for a share"),
        pytest.param({"files": {"routes.yaml": ""}}, id="two definitions"),
        pytest.param({"image": {"digest": "latest"}}, id="no digest"),
    ],
)
def test_the_schema_refuses(values: Object) -> None:
    with pytest.raises(helm_python.HelmError, match=r"values don.t meet|additional|schema"):
        render(values)


# Each value


def leaves(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of what values set; lists and texts are one value."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, (*path, name))
    else:
        yield path


def without(values: Object, path: tuple[str, ...]) -> Object:
    """The values, one fewer."""
    rest: Object = copy.deepcopy(values)
    *above, last = path
    found = rest
    for name in above:
        found = found[name]
    del found[last]
    return rest


@every_ci_file
def test_each_value_does_something(name: str) -> None:
    """No value is taken and ignored: what is rendered without it is something else, or refused."""
    values = values_of(name)
    rendered = documents(values)
    for path in leaves(values):
        if not path:
            continue
        try:
            other = documents(without(values, path))
        except helm_python.HelmError:
            continue
        assert other != rendered, ".".join(path)


def test_each_value_is_in_a_ci_file() -> None:
    """A documented value is set by one of them, itself or what is in it."""
    listed = re.findall(r"^\| `([\w.]+)` \|", (CHART / "README.md").read_text(), re.MULTILINE)
    used = {".".join(path[:length]) for name in CI for path in leaves(values_of(name)) for length in range(1, 9)}

    assert len(listed) > 100
    assert [value for value in listed if value not in used] == []


def test_the_readme_has_every_value() -> None:
    result = subprocess.run([sys.executable, ROOT / "helm" / "values.py", "--check"], capture_output=True, text=True)

    assert (result.returncode, result.stderr) == (0, "")


def test_the_schema_has_every_value() -> None:
    def names(schema: Any, path: str = "") -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield f"{path}{name}"
            yield from names(inner, f"{path}{name}.")

    known = set(names(json.loads((CHART / "values.schema.json").read_text())))
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert {".".join(path) for path in leaves(values)} - known == {
        path for path in map(".".join, leaves(values)) if path.split(".")[0] in FREE
    } - known


FREE = {"podSecurityContext", "securityContext", "resources", "autoscaling", "dashboard"}
"""Values that hold what Kubernetes has schemas of."""


def test_every_flag_of_serve_can_be_set() -> None:
    command: Any = typer.main.get_command(app)
    flags = {
        name
        for parameter in command.commands["serve"].params
        if parameter.envvar is not None
        for name in [parameter.envvar if isinstance(parameter.envvar, str) else parameter.envvar[0]]
    }
    templates = (CHART / "templates" / "_env.tpl").read_text()

    assert {flag for flag in flags if flag not in templates} == {
        "WSGATEWAY_CALLBACK_AUTH",  # only its default can be where others connect
        "WSGATEWAY_READY_FILE",  # Kubernetes asks /readyz
    }
    assert set(re.findall(r"WSGATEWAY_\w+", templates)) <= flags


def test_versions_are_the_package_s() -> None:
    assert chart().metadata["appVersion"] == __version__
    assert chart().metadata["version"] == __version__


# Single objects


def checksum(values: Object) -> str:
    annotations = one(render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["checksum/routes"])


def test_a_new_definition_makes_new_pods() -> None:
    before = checksum({"routes": "apis: {}"})

    assert checksum({"routes": "apis: {}"}) == before
    assert checksum({"routes": "apis: {a: 1}"}) != before
    assert checksum({"routes": "apis: {}", "files": {"ca.pem": "x"}}) != before
    assert checksum({"routes": "apis: {}", "service": {"port": 81}}) == before


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param("apis: {}\n", id="plain"),
        pytest.param("\n\n  # indented\napis:\n\tx\n", id="blank and indented lines first"),
        pytest.param(
            "a: ${B:-x}\nb: '{{ .Values.routes }}'\nc: \"$request.body.a\"\n", id="what looks like a template"
        ),
        pytest.param("a: Grüße, 世界 \U0001f44b\n", id="other scripts"),
    ],
)
def test_definitions_arrive_as_they_are(routes: str) -> None:
    files = {"page.html": '<a href="x">&amp;</a>\n', "bytes": "\x01é\n"}

    data = one(render({"routes": routes, "files": files}), "ConfigMap", f"{FULLNAME}-routes")["data"]

    assert data == {"routes.yaml": routes, **files}


def test_a_million_is_written_as_one() -> None:
    env = container(render({"config": {"maxConnections": 1_000_000, "disconnectRetrySeconds": 0}}))["env"]

    assert {"name": "WSGATEWAY_MAX_CONNECTIONS", "value": "1000000"} in env
    assert {"name": "WSGATEWAY_DISCONNECT_RETRY_SECONDS", "value": "0"} in env


def test_all_that_one_process_may_hold_at_a_time_is_within_the_limit() -> None:
    """Bodies are copied, and what a process and its connections take by themselves is beside (docs/sizing.md)."""
    pod = container(render({}))
    named = {variable["name"]: variable.get("value") for variable in pod["env"]}
    bodies, messages = int(named["WSGATEWAY_BODY_MEMORY"]), int(named["WSGATEWAY_MESSAGE_MEMORY"])

    assert pod["resources"]["limits"]["memory"] == "1Gi"
    assert (128 << 20) + CACHE_MEMORY + 3 * bodies + messages <= 1 << 30


def test_secrets_are_named_and_never_written() -> None:
    gateway = container(render(values_of("secrets")))
    env = {variable["name"]: variable for variable in gateway["env"]}

    assert env["WSGATEWAY_REDIS_URL"]["valueFrom"] == {"secretKeyRef": {"name": "chat-redis", "key": "url"}}
    assert gateway["envFrom"] == [{"secretRef": {"name": "chat-environment"}}]
    assert not any(found["kind"] == "Secret" for name in CI for found in render(values_of(name)))


def test_an_address_of_version_6_is_in_brackets() -> None:
    env = {it["name"]: it.get("value") for it in container(render(values_of("pods")), "edge")["env"]}

    assert env["WSGATEWAY_ADVERTISE"] == "[$(POD_IP)]:9090"
    assert (env["WSGATEWAY_HOST"], env["WSGATEWAY_INTERNAL_HOST"]) == ("::", "::")


@pytest.mark.parametrize(
    ("release", "name"),
    [
        pytest.param("chat", "chat-wsgateway", id="short"),
        pytest.param("wsgateway", "wsgateway", id="the chart's own"),
        pytest.param("chat.v2", "chat-v2-wsgateway", id="a dot, which Services may not have"),
        pytest.param("a" * 53, "a" * 50, id="as long as can be"),
    ],
)
def test_names_are_what_kubernetes_takes(release: str, name: str) -> None:
    """RFC 1123 labels of 63 characters at most, for Services the strictest."""
    objects = render(values_of("monitoring"), release)

    assert one(objects, "Deployment", name)["spec"]["template"]["spec"]["enableServiceLinks"] is False
    for found in objects:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", found["metadata"]["name"])
        for key, value in found["metadata"]["labels"].items():
            assert len(key.rpartition("/")[2]) <= 63
            assert re.fullmatch(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?", value)


def test_who_replaces_pods() -> None:
    """Two nodes that don't know each other would answer 410 for each other's connections."""
    assert one(render({}), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert one(render({"redis": REDIS}), "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_horizontal_autoscaler_aims_at_a_share_of_connections() -> None:
    objects = render(values_of("autoscaling"))
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]

    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": FULLNAME}
    assert scaler["metrics"][0]["pods"] == {
        "metric": {"name": "gateway_connections_ratio"},
        "target": {"type": "AverageValue", "averageValue": "650m"},
    }
    down = {"stabilizationWindowSeconds": 1200, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 180}]}
    assert scaler["behavior"]["scaleDown"] == down
    assert "replicas" not in one(objects, "Deployment")["spec"]


def test_keda_asks_prometheus_for_the_same() -> None:
    objects = render(values_of("keda"))
    scaled = one(objects, "ScaledObject")
    trigger = scaled["spec"]["triggers"][0]

    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    assert scaled["spec"]["scaleTargetRef"] == {"name": FULLNAME}
    assert trigger["type"] == "prometheus"
    assert trigger["metadata"]["threshold"] == "0.5"
    where = f'{{namespace="{NAMESPACE}",service="{FULLNAME}-internal"}}'
    assert trigger["metadata"]["query"] == f"sum(wsgateway_connections{where} / wsgateway_connections_limit{where})"
    assert "replicas" not in one(objects, "Deployment")["spec"]


def test_a_route_of_the_gateway_api() -> None:
    route = one(render(values_of("gateway-api")), "HTTPRoute")

    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    (rule,) = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": FULLNAME, "port": 80}]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/dev"}}]
    assert rule["timeouts"] == {"request": "0s"}


def test_prometheus_and_grafana_get_the_chart_s_files() -> None:
    objects = render(values_of("monitoring"))
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    monitor, rule = one(objects, "ServiceMonitor"), one(objects, "PrometheusRule")

    internal = one(objects, "Service", f"{FULLNAME}-internal")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= internal["metadata"]["labels"].items()
    assert (
        not monitor["spec"]["selector"]["matchLabels"].items() <= one(objects, "Service")["metadata"]["labels"].items()
    )
    assert monitor["spec"]["endpoints"][0]["port"] == internal["spec"]["ports"][0]["name"]
    assert rule["spec"]["groups"][:-1] == alerts
    assert rule["spec"]["groups"][-1]["name"] == "ours"
    assert all(len(group["rules"]) > 0 for group in alerts)
    board = one(objects, "ConfigMap", f"{FULLNAME}-dashboard")
    assert board["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "team": "chat"}.items()
    assert board["data"] == {f"{FULLNAME}.json": (CHART / "files" / "dashboard.json").read_text()}


def test_prometheus_is_let_in_where_it_scrapes() -> None:
    def who(values: Object) -> list[Any]:
        rules = one(render(values), "NetworkPolicy")["spec"]["ingress"]
        return next(rule["from"] for rule in rules if rule.get("ports", [{}])[0].get("port") == "internal")

    assert who({}) == [{"podSelector": {"matchLabels": {f"{FULLNAME}-client": "true"}}}]
    assert len(who({"serviceMonitor": {"enabled": True}})) == 2


@pytest.mark.parametrize("name", ["default", "ingress", "gateway-api", "autoscaling"])
def test_notes_say_where_it_is(name: str) -> None:
    notes = documents(values_of(name))["wsgateway/templates/NOTES.txt"]

    assert f"http://{FULLNAME}-internal.{NAMESPACE}.svc:9090/STAGE/@connections/ID" in notes
    assert {"ingress": "wss://chat.example.com/STAGE", "gateway-api": "wss://chat.example.com/STAGE"}.get(
        name, ""
    ) in notes
