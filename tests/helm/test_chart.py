"""The chart in deploy/helm/portcullis: what it takes, what it makes, and that what it makes runs.

`./tests/run` starts this with what it needs in the environment:

    PORTCULLIS_BINARY       the server
    PORTCULLIS_TEST_ENVOY   an Envoy
    HELM_DRIVER=memory      so that Helm keeps its own notes to itself
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from edge import Edge, free_port
from helm import Helm, HelmError
from pods import container_risks, containers, lay_out, risks, templates
from secrets_of import sources

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/portcullis"
PARENT = Path(__file__).resolve().parent / "parent"
BINARY = Path(os.environ["PORTCULLIS_BINARY"]).resolve()
ENVOY = os.environ["PORTCULLIS_TEST_ENVOY"]
KUBERNETES = ["1.29", "1.33", "1.37"]
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))

HELM = Helm()


def example(name, **changes):
    """The values of an example, with some keys anew: `wiring__envoy__port=8080`."""
    values = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())
    for path, value in changes.items():
        *way, last = path.split("__")
        at = values
        for key in way:
            at = at.setdefault(key, {})
        at[last] = value
    return values


def install(values, **how):
    """Installs, and gives what the cluster was sent: objects by kind and name."""
    sent, release = HELM.install(CHART, values, **how)
    hooks = [yaml.safe_load(it["manifest"]) for it in release.get("hooks", [])]
    return {(it["kind"], it["metadata"]["name"]): it for it in sent + hooks}


def notes(values):
    """What is said after the install, in one line."""
    _, release = HELM.install(CHART, values)
    return " ".join(release["info"]["notes"].split())


def one(objects, kind, suffix=""):
    """The one object of a kind whose name ends so."""
    found = [it for (of, name), it in objects.items() if of == kind and name.endswith(suffix)]
    assert len(found) == 1, f"{len(found)} of {kind} …{suffix}"
    return found[0]


def install_parent(values, **how):
    """The same for the chart that has this one as a dependency, whose values `values` are."""
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder) / "shop"
        shutil.copytree(PARENT, parent)
        shutil.copytree(CHART, parent / "charts/portcullis")
        sent, _ = HELM.install(parent, {"portcullis": values}, release="shop", **how)
    return {(it["kind"], it["metadata"]["name"]): it for it in sent}


def injected(objects):
    """A pod of somebody's into which Istio has put the sidecar."""
    text = one(objects, "ConfigMap", "-injection")["data"]["istiod-values.yaml"]
    (template,) = yaml.safe_load(text)["sidecarInjectorWebhook"]["templates"].values()
    assert "{{" not in template, "Istio would take that for its own"
    spec = {"containers": [{"name": "app", "image": "app:1"}], **yaml.safe_load(template)["spec"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec}


def spelled_out(node):
    """`$ref: closed` as a schema has it."""
    if isinstance(node, list):
        return [spelled_out(it) for it in node]
    if not isinstance(node, dict):
        return node
    rest = {key: spelled_out(value) for key, value in node.items()}
    if rest.pop("$ref", None) == "closed":
        rest = {"type": "object", "additionalProperties": False, **rest}
    return rest


FIELDS = spelled_out(yaml.safe_load((Path(__file__).parent / "fields.yaml").read_text()))


def check_object(thing, version):
    """Demands that an object has the fields of its kind and no others."""
    if thing["kind"] in FIELDS:
        jsonschema.validate(thing["spec"], FIELDS[thing["kind"]])
    else:
        kubernetes_validate.validate(thing, version, strict=True)


class Values(unittest.TestCase):
    """What the chart takes."""

    def refused(self, values, *says):
        with self.assertRaises(HelmError) as caught:
            install(values)
        for words in says:
            self.assertIn(words, str(caught.exception))

    def test_the_schema_and_the_readme_are_made_of_what_they_should_be(self):
        command = [sys.executable, str(ROOT / "deploy/helm/generate"), "--check", str(BINARY)]
        self.assertEqual(subprocess.run(command, check=False).returncode, 0)

    def test_a_key_that_is_not_known_is_refused_at_every_level(self):
        for path in [
            "moed", "image__repo", "config__listen", "config__chekc", "config__store__uri", "redis__tls__ca",
            "metrics__serviceMonitor__labelz", "probes__startup__grpc", "sidecar__istioInjection__name", "deployment__replica",
            "networkPolicy__egress", "wiring__failOpen", "wiring__envoy__upstream__host", "wiring__istio__failOpen",
        ]:
            with self.subTest(path):
                self.refused(example("sidecar-memory", **{path: "x"}), "additional properties", path.split("__")[-1])
        platform = example("sidecar-memory")
        platform["config"]["platforms"][0]["schemes"]["key"]["form"] = []
        self.refused(platform, "/config/platforms/0/schemes/key")

    def test_a_value_of_another_kind_is_refused(self):
        for path, value, says in [
            ("mode", "both", "/mode"),
            ("image__digest", "latest", "/image/digest"),
            ("ports__grpc", "9001", "/ports/grpc"),
            ("ports__grpc", 70000, "/ports/grpc"),
            ("config__check__deadline_ms", "soon", "/config/check/deadline_ms"),
            ("config__check__on_fault", "allow", "/config/check/on_fault"),
            ("deployment__replicas", 0, "/deployment/replicas"),
            ("wiring__timeout", "1s", "/wiring/timeout"),
            ("networkPolicy__from", [{"pods": {}}], "/networkPolicy/from/0"),
            ("redis__existingSecret", {"name": "x"}, "/redis/existingSecret"),
        ]:
            with self.subTest(path):
                self.refused(example("sidecar-memory", **{path: value}), says)

    def test_what_cannot_work_is_refused_with_words_that_say_what_to_do(self):
        redis = {"config__store__url": "rediss://r", "directory__existingSecret": "", "pepper__existingSecret": "p"}
        for changes, says in [
            ({"image__repository": ""}, "image.repository is empty"),
            ({"config__platforms": []}, "config.platforms is empty"),
            ({"config": {}}, "config.platforms is empty"),
            ({**redis, "pepper__existingSecret": ""}, "pepper.existingSecret is empty"),
            ({**redis, "config__store__url": "embedded:/x"}, "an embedded store belongs to one process"),
            ({**redis, "config__store__url": "redis://r"}, "has no TLS"),
            ({**redis, "config__store__url": "redis-sentinel://r/s"}, "has no TLS"),
            ({**redis, "config__store__url": "redis-cluster://r"}, "has no TLS"),
            ({**redis, "directory__existingSecret": "d"}, "only a memory: store"),
            ({**redis, "config__store__username": "portcullis-sidecar"}, "name the Secret that holds it in redis.existingSecret"),
            ({**redis, "config__store__username": "u", "redis__existingSecret": "s", "redis__passwordKey": ""}, "its key in redis.passwordKey"),
            ({**redis, "config__store__url": "rediss-sentinel://r/s", "config__store__sentinel_username": "u", "redis__existingSecret": "s"},
             "its key in redis.sentinelPasswordKey"),
            ({**redis, "mode": "deployment", "config__store__url": "rediss://${REDIS}"}, "name the Redis's ports in networkPolicy.redisPorts"),
            ({**redis, "mode": "deployment", "config__store__url": "rediss-cluster://a:1,${B}"}, "networkPolicy.redisPorts"),
            ({**redis, "redis__tls__certKey": "tls.crt"}, "certKey and keyKey go together"),
            ({"config__telemetry": {"otlp_endpoint": "http://collector:4317", "otlp": {"headers_file": "h"}}}, "otlp_endpoint has no TLS"),
            ({"config__telemetry": {"otlp_endpoint": "http://127.x.example", "otlp": {"headers_file": "h"}}}, "otlp_endpoint has no TLS"),
            ({"directory__existingConfigMap": "d"}, "a Secret or a ConfigMap, not both"),
            ({"signing__keys": ["a.pem"]}, "signing.existingSecret is empty"),
            ({"wiring__timeout": "170ms"}, "wiring.timeout must be more than"),
            ({"config__check": {"deadline_ms": 230}}, "config.check.deadline_ms (230)"),
            ({"tls__existingSecret": "t"}, "a sidecar is asked over a Unix socket"),
            ({"mode": "deployment", "tls__existingSecret": "t", "wiring__istio__enabled": True}, "its own mutual TLS"),
            ({"files": [{"name": "a"}]}, "needs a secret or a configMap"),
            ({"files": [{"name": "a", "secret": "b", "configMap": "c"}]}, "needs a secret or a configMap"),
            ({"wiring__envoyGateway__enabled": True}, "take mode: deployment"),
            ({"mode": "deployment", "wiring__envoyGateway__enabled": True}, "wiring.envoyGateway.targetRefs is empty"),
            ({"wiring__istio__selector": {"a": "b"}, "wiring__istio__targetRefs": [{"group": "", "kind": "Service", "name": "x"}]},
             "selector or targetRefs, not both"),
            ({"metrics__serviceMonitor__enabled": True}, "needs metrics.enabled"),
        ]:
            with self.subTest(says):
                self.refused(example("sidecar-memory", **changes), says)
        for changes in [
            {"config__store__url": "redis://r", "redis__allowPlaintext": True},
            {"config__store__username": "u", "redis__existingSecret": "s"},
            {"config__store__username": "u", "config__store__password_file": "/etc/portcullis/files/redis/password"},
            {"config__store__url": "rediss://${REDIS}"},
            {"mode": "deployment", "config__store__url": "rediss://${REDIS}", "networkPolicy__redisPorts": [6380]},
            {"mode": "deployment", "config__store__url": "rediss://${REDIS}", "networkPolicy__enabled": False},
        ]:
            with self.subTest(**changes):
                install(example("sidecar-memory", **{**redis, **changes}))
        for endpoint, more in [
            ("http://collector:4317", {}),
            ("http://collector:4317", {"headers_file": "h", "allow_plaintext": True}),
            ("http://127.0.0.1:4317", {"headers_file": "h"}),
            ("https://collector:4317", {"headers_file": "h"}),
        ]:
            install(example("sidecar-memory", config__telemetry={"otlp_endpoint": endpoint, "otlp": more}))

    def test_objects_of_the_schema_are_closed_but_for_those_that_kubernetes_knows_better(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        config = json.loads(subprocess.run([BINARY, "config", "schema"], check=True, capture_output=True).stdout)
        mine = {key: value for key, value in schema["definitions"].items() if key not in config["$defs"]}
        del schema["properties"]["config"]["properties"]
        is_open = []

        def look(node, path):
            if isinstance(node, dict):
                if node.get("type") == "object" and node.get("additionalProperties", True) is True:
                    is_open.append(path.removeprefix("/properties/").replace("/properties/", "."))
                for key, value in node.items():
                    look(value, f"{path}/{key}")
            elif isinstance(node, list):
                for value in node:
                    look(value, path)

        look(schema["properties"], "/properties")
        look(mine, "/definitions")
        self.assertTrue(set(is_open) <= {
            "global", "extraEnv/items.valueFrom", "extraVolumes/items", "networkPolicy.extraEgress/items",
            "deployment.affinity.nodeAffinity", "deployment.affinity.podAffinity", "deployment.affinity.podAntiAffinity",
            "wiring.istio.rules/items",
        }, is_open)

    def test_the_chart_is_without_a_complaint_of_helms(self):
        told = HELM.lint(CHART)
        # 1 is advice: it would like an icon.
        self.assertEqual([it for it in told["Messages"] if it["Severity"] > 1], [])
        self.assertFalse(told["Errors"])


class Objects(unittest.TestCase):
    """What the chart makes."""

    def everything(self, version="1.33"):
        """The objects of each example and of the parent chart, with what Istio would inject."""
        for file in EXAMPLES:
            name = file.name.removesuffix("-values.yaml")
            objects = install(example(name), version=version)
            yield name, list(objects.values())
            if any(name.endswith("-injection") for _, name in objects):
                yield f"{name}, injected", [injected(objects)]
        yield "as a library", list(install_parent(example("sidecar-istio"), version=version).values())

    def test_all_that_is_made_is_known_to_each_version_of_kubernetes(self):
        for version in KUBERNETES:
            for name, objects in self.everything(version):
                for thing in objects:
                    with self.subTest(f"{name}: {thing['kind']} {thing['metadata']['name']} of {version}"):
                        check_object(thing, version)

    def test_every_kind_of_object_is_made_by_some_example(self):
        made = {thing["kind"] for _, objects in self.everything() for thing in objects}
        self.assertEqual(made, {
            "AuthorizationPolicy", "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "Pod", "PodDisruptionBudget",
            "PodMonitor", "PrometheusRule", "SecurityPolicy", "Service", "ServiceAccount", "ServiceEntry", "ServiceMonitor",
        })

    def test_pods_are_restricted(self):
        for name, objects in self.everything():
            if name == "as a library" or name.endswith("injected"):
                found = [it for thing in objects for pod in templates(thing) for it in pod["initContainers"]]
                self.assertEqual([it["name"] for it in found], ["portcullis"])
                self.assertEqual(found[0]["restartPolicy"], "Always")
                self.assertEqual(list(container_risks(found[0])), [], name)
                continue
            for thing in objects:
                for pod in templates(thing):
                    self.assertEqual(list(risks(pod)), [], f"{name}: {thing['metadata']['name']}")

    def test_no_container_but_portcullis_reaches_the_control_socket(self):
        """Whoever can connect to it makes keys; Envoy may be of the same user, or root."""
        for name in ["sidecar-memory", "sidecar-istio"]:
            objects = install_parent(example(name))
            pods = [objects["Deployment", "shop"]["spec"]["template"]["spec"]]
            if name == "sidecar-istio":
                pods.append(injected(install(example(name)))["spec"])
            config = yaml.safe_load(objects["ConfigMap", "shop-portcullis"]["data"]["portcullis.yaml"])
            check, control = [Path(it.removeprefix("unix:")) for it in [config["listen"]["grpc"][-1], config["listen"]["control"]]]
            for pod in pods:
                mounts = {it["name"]: it.get("volumeMounts", []) for it in containers(pod)}
                by_volume = {Path(it["mountPath"]): it["name"] for it in mounts.pop("portcullis")}
                self.assertNotEqual(by_volume[control.parent], by_volume[check.parent])
                for of, others in mounts.items():
                    self.assertNotIn(by_volume[control.parent], [it["name"] for it in others], of)
                    for path in [Path(it["mountPath"]) for it in others]:
                        self.assertFalse(control.is_relative_to(path), f"{of}: {path}")
                    self.assertEqual(of == "envoy", check.parent in [Path(it["mountPath"]) for it in others])

    def test_a_kubernetes_without_native_sidecars_is_refused(self):
        with self.assertRaisesRegex(HelmError, "kubeVersion"):
            install(example("sidecar-memory"), version="1.28")

    def test_the_longest_name_of_a_release_makes_names_that_are_not_too_long(self):
        objects = install(example("deployment-full", nameOverride="n" * 63), release="r" * 53)
        for kind, name in objects:
            self.assertLessEqual(len(name), 63, kind)

    def test_a_configuration_that_can_be_reloaded_starts_no_pod_anew_and_one_that_cannot_does(self):
        def checksum(**changes):
            pod = one(install(example("deployment-full", **changes)), "Deployment")["spec"]["template"]
            return pod["metadata"]["annotations"]["portcullis.dev/restart-checksum"]

        before = checksum()
        self.assertEqual(before, checksum(config__check__deadline_ms=100))
        self.assertEqual(before, checksum(redis__passwordKey="other"))
        for changes in [
            {"config__cache__ttl_seconds": 5}, {"config__telemetry__log": "debug"}, {"ports__grpc": 9101},
            {"config__store__url": "rediss-sentinel://s1.data/other"}, {"config__store__watch_grace_seconds": 1},
        ]:
            self.assertNotEqual(before, checksum(**changes), changes)

    def test_pods_end_later_than_envoys_hear_of_it_where_kubernetes_can(self):
        for version, has in [("1.29", False), ("1.30", True), ("1.37", True)]:
            pod = one(install(example("deployment-full"), version=version), "Deployment")["spec"]["template"]["spec"]
            self.assertEqual("lifecycle" in pod["containers"][0], has, version)

    def test_envoys_see_each_pod_but_where_istio_needs_an_address(self):
        for name, address in [("deployment-full", "None"), ("deployment-istio", None)]:
            self.assertEqual(one(install(example(name)), "Service")["spec"].get("clusterIP"), address)

    def test_wiring_lets_nobody_pass_without_an_answer(self):
        mesh = one(install(example("sidecar-istio")), "ConfigMap", "-istio")["data"]["mesh-config.yaml"]
        (provider,) = yaml.safe_load(mesh)["extensionProviders"]
        self.assertEqual(provider, {"name": "portcullis", "envoyExtAuthzGrpc": {
            "service": "authz-portcullis.local", "port": 9001, "timeout": "250ms", "failOpen": False, "statusOnError": "503",
        }})
        objects = install(example("deployment-full"))
        auth = one(objects, "SecurityPolicy")["spec"]["extAuth"]
        self.assertEqual((auth["failOpen"], auth["timeout"]), (False, "250ms"))

    def test_the_admin_listener_is_on_loopback_unless_metrics_are_asked_for(self):
        for enabled, address in [(False, "127.0.0.1:9003"), (True, "0.0.0.0:9003")]:
            objects = install(example("deployment-memory", metrics__enabled=enabled))
            config = yaml.safe_load(one(objects, "ConfigMap", "authz-portcullis")["data"]["portcullis.yaml"])
            self.assertEqual(config["listen"]["admin"], address)
            ports = [it["name"] for it in one(objects, "Service")["spec"]["ports"]]
            self.assertEqual("http-admin" in ports, enabled)

    def test_the_network_policy_names_who_comes_in_and_what_is_reached(self):
        policy = one(install(example("deployment-memory")), "NetworkPolicy")["spec"]
        ports = lambda rules: [port["port"] for rule in rules for port in rule["ports"]]
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual((ports(policy["ingress"]), ports(policy["egress"])), ([9001], [53, 53]))
        policy = one(install(example("deployment-full")), "NetworkPolicy")["spec"]
        self.assertEqual((ports(policy["ingress"]), ports(policy["egress"])), ([9001, 9002, 9003], [53, 53, 26379, 6379, 6390, 4317, 443, 3128]))

    def test_the_network_policy_lets_out_to_the_ports_that_the_stores_url_names(self):
        for url, more, wants in [
            ("rediss://r", [], [6379]),
            ("rediss://r:6380/2", [], [6380]),
            ("rediss://[::1]", [], [6379]),
            ("rediss://[::1]:6380", [6380, 7000], [6380, 7000]),
            ("rediss://${HOST}:6380", [], [6380]),
            ("${URL}", [6380], [6380]),
            ("rediss-sentinel://s1,s2:26380,s3/main/2", [], [26379, 26380, 6379]),
            ("rediss-sentinel://s1:6379/main", [6390], [6379, 6390]),
            ("rediss-cluster://a,b:7001", [], [6379, 7001]),
        ]:
            with self.subTest(url, more=more):
                values = example("deployment-full", config__store__url=url, networkPolicy__redisPorts=more)
                egress = one(install(values), "NetworkPolicy")["spec"]["egress"]
                (rule,) = [it for it in egress if it.get("to") == values["networkPolicy"]["redisTo"]]
                self.assertEqual(rule["ports"], [{"protocol": "TCP", "port": it} for it in wants])

    def test_the_proxy_that_istio_puts_into_the_pods_reaches_istiod(self):
        system = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "istio-system"}}}]
        other = [{"namespaceSelector": {"matchLabels": {"team": "mesh"}}}]
        for name, changes, to in [
            ("deployment-istio", {}, system),
            ("deployment-istio", {"networkPolicy__istiodTo": other}, other),
            ("deployment-istio", {"networkPolicy__istiodTo": []}, None),
            ("deployment-memory", {}, None),
        ]:
            with self.subTest(name, **changes):
                egress = one(install(example(name, **changes)), "NetworkPolicy")["spec"]["egress"]
                rules = [it for it in egress if {"protocol": "TCP", "port": 15012} in it["ports"]]
                self.assertEqual(rules, [{"to": to, "ports": [{"protocol": "TCP", "port": 15012}]}] if to else [])

    def test_istio_asks_about_all_but_the_metrics_of_workloads_that_are_named_and_of_others_about_all(self):
        refs = [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}]
        own = [{"to": [{"operation": {"paths": ["/v1/*"]}}]}]
        but_metrics = [{"to": [{"operation": {"notPorts": ["9103"]}}]}]
        for changes, rules in [
            ({}, but_metrics),
            ({"metrics__enabled": False, "metrics__serviceMonitor__enabled": False}, [{}]),
            # Of pods without the sidecar the port might be an application's.
            ({"wiring__istio__selector": {}}, [{}]),
            ({"wiring__istio__selector": {}, "wiring__istio__targetRefs": refs}, [{}]),
            ({"wiring__istio__rules": own}, own),
            ({"mode": "deployment"}, [{}]),
        ]:
            with self.subTest(**changes):
                values = example("sidecar-istio", ports__admin=9103, **changes)
                self.assertEqual(one(install(values), "AuthorizationPolicy")["spec"]["rules"], rules)

    def test_the_service_says_that_it_is_in_clear_only_where_it_is(self):
        for name, changes, protocol in [
            ("deployment-memory", {}, "kubernetes.io/h2c"),
            ("deployment-memory", {"tls__existingSecret": "portcullis-tls"}, None),
        ]:
            with self.subTest(**changes):
                port = one(install(example(name, **changes)), "Service")["spec"]["ports"][0]
                self.assertEqual((port["name"], port.get("appProtocol")), ("grpc", protocol))

    def test_the_notes_say_what_must_be_done_and_what_is_cut_off(self):
        fill, wait = "portcullis import", "kubectl -n authz rollout status"
        text = notes(example("deployment-full"))
        self.assertIn("with a new Redis, until then no pod is ready", text)
        self.assertLess(text.index(fill), text.index(wait))
        self.assertIn("only to DNS, the Redis, the collector, port 443, networkPolicy.extraEgress.", text)
        self.assertNotIn(fill, notes(example("deployment-memory")))
        self.assertIn("only to DNS, istiod, port 443.", notes(example("deployment-istio")))
        nobody = "Nobody can read the metrics yet"
        for changes, said in [
            ({}, False),
            ({"networkPolicy__metricsFrom": []}, True),
            ({"networkPolicy__metricsFrom": [], "networkPolicy__enabled": False}, False),
            ({"networkPolicy__metricsFrom": [], "metrics": {"enabled": False}}, False),
        ]:
            with self.subTest(**changes):
                self.assertEqual(nobody in notes(example("deployment-full", **changes)), said)
        annotation, asked = 'traffic.sidecar.istio.io/excludeInboundPorts: "9003"', "scrapes are asked about"
        for changes, said in [
            ({}, (True, False)),
            ({"wiring__istio__selector": {}}, (True, True)),
            ({"metrics": {"enabled": False}}, (False, False)),
        ]:
            with self.subTest(**changes):
                text = notes(example("sidecar-istio", **changes))
                self.assertEqual((annotation in text, asked in text), said)
        self.assertNotIn(annotation, notes(example("sidecar-memory", metrics__enabled=True)))


class Telemetry(unittest.TestCase):
    """Alerts and the dashboard ask only for what there is."""

    def test_alerts_and_dashboard_name_metrics_that_are_documented(self):
        running = (ROOT / "deploy/RUNNING.md").read_text()
        known = set(re.findall(r"^\| `(portcullis_\w+)` \|", running, re.M))
        self.assertGreater(len(known), 10)
        # What an Envoy counts of its ext_authz filter, whoever it asks.
        known |= {f"envoy_http_ext_authz_{it}" for it in ["denied", "error", "failure_mode_allowed", "ok"]}
        alerts = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
        dashboard = json.loads((CHART / "files/dashboard.json").read_text())
        queries = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
        queries += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        queries += [it["query"]["query"] for it in dashboard["templating"]["list"] if it["type"] == "query"]
        self.assertGreater(len(queries), 20)
        for query in queries:
            names = re.findall(r"(?:portcullis|envoy)_\w+", query)
            self.assertTrue(names, query)
            for name in names:
                self.assertIn(re.sub("_(bucket|sum|count)$", "", name), known, query)

    def test_panels_stand_beside_each_other(self):
        taken = set()
        for panel in json.loads((CHART / "files/dashboard.json").read_text())["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(at["x"] + at["w"], 24)
            self.assertFalse(taken & cells, panel["title"])
            taken |= cells


class Running(unittest.TestCase):
    """What the chart makes is taken by the server and by an Envoy."""

    @classmethod
    def setUpClass(cls):
        cls.sources = sources()

    def check_config(self, site, is_trial=False):
        ran = subprocess.run([BINARY, "config", "check", site.config], capture_output=True, text=True, check=False, env=site.env)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        warnings = [it for it in ran.stderr.splitlines() if "warning" in it]
        if is_trial:
            warnings = [it for it in warnings if "takes credentials over plain HTTP" not in it]
        self.assertEqual(warnings, [])

    def test_each_rendered_configuration_is_taken_and_finds_its_files_where_they_are_mounted(self):
        for file in EXAMPLES:
            name = file.name.removesuffix("-values.yaml")
            with self.subTest(name), tempfile.TemporaryDirectory() as root:
                site = Site(name, example(name), self.sources, root)
                self.check_config(site, is_trial=name.endswith("-memory"))
                for path in re.findall(r"/etc/portcullis/\S+\.\w+|/etc/portcullis/[\w/-]+", site.rendered):
                    self.assertIn(path.rstrip('",'), site.files)

    def test_what_a_preset_has_can_be_switched_off(self):
        values = example("sidecar-istio")
        config = yaml.safe_load(one(install(values), "ConfigMap", "authz-portcullis")["data"]["portcullis.yaml"])
        self.assertEqual(config["platforms"][0]["schemes"], {"basic": None, "oauth2": None})

    def test_the_values_in_the_readmes_are_taken(self):
        for readme in [ROOT / "README.md", CHART / "README.md"]:
            (text,) = re.findall(r"^```yaml\n(mode: \w+\nimage: .*?)^```$", readme.read_text(), re.M | re.S)
            with self.subTest(readme), tempfile.TemporaryDirectory() as root:
                self.check_config(Site("deployment", yaml.safe_load(text), self.sources, root))

    def test_a_large_number_stays_one(self):
        texts = [it["data"].get("portcullis.yaml", "") for (kind, _), it in install(example("deployment-full")).items() if kind == "ConfigMap"]
        self.assertIn("capacity: 2000000\n", "".join(texts))

    def test_the_rendered_envoy_is_hardened_as_the_one_in_deploy(self):
        for name in ["sidecar-memory", "deployment-memory"]:
            hand = yaml.safe_load((ROOT / "deploy/envoy/envoy.yaml").read_text())
            made = yaml.safe_load(one(install(example(name)), "ConfigMap", "-envoy")["data"]["envoy.yaml"])
            admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}
            self.assertEqual([hand.pop("admin"), made.pop("admin")], [admin, admin])
            hand, made = hand["static_resources"], made["static_resources"]
            edges = [it["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"] for it in [hand, made]]
            for edge in edges:
                (route,) = edge["route_config"].pop("virtual_hosts")
                self.assertEqual(route["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"],
                                 {"context_extensions": {"platform": "mine"}})
            self.assertEqual(*edges)
            clusters = [{it["name"]: it for it in of["clusters"]}["portcullis"] for of in [hand, made]]
            for cluster in clusters:
                for key in ["load_assignment", "type"]:
                    del cluster[key]
            self.assertEqual(*clusters)

    def test_headers_that_no_client_may_bring_are_the_same_wherever_they_are_named(self):
        def removed(text):
            edge = yaml.safe_load(text)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
            (early,) = edge["early_header_mutation_extensions"]
            return [it["remove"] for it in early["typed_config"]["mutations"]]

        def by_chart(*platforms):
            values = example("sidecar-memory")
            values["config"]["platforms"] += platforms
            return removed(one(install(values), "ConfigMap", "-envoy")["data"]["envoy.yaml"])

        all_of_them = removed((ROOT / "deploy/envoy/envoy.yaml").read_text())
        self.assertEqual(len(all_of_them), 14)
        self.assertEqual(removed((ROOT / "deploy/examples/envoy-redis/envoy.yaml").read_text()), all_of_them)
        gateway = yaml.safe_load_all((ROOT / "deploy/examples/envoy-gateway/gateway.yaml").read_text())
        (policy,) = [it["spec"] for it in gateway if it["kind"] == "ClientTrafficPolicy"]
        self.assertEqual(policy["headers"]["earlyRequestHeaders"]["remove"], all_of_them)
        tunnel = (ROOT / "src/policy/tunnel.rs").read_text()
        misleading = re.search(r"const MISLEADING.*?\];", tunnel, re.S)[0]
        self.assertEqual(re.findall(r'"(x-[\w-]+)"', misleading), [it for it in all_of_them if not it.startswith("x-auth-")])
        self.assertEqual(by_chart(), all_of_them)
        # Those that rules of a platform hold for are for it to judge.
        crossbar = {"name": "crossbar", "preset": "crossbar", "hosts": ["crossbar.example.com"], "https": "deny"}
        judging = {"name": "b", "hosts": ["b.example.com"], "https": "deny", "method_override": {"headers": ["X-HTTP-Method"]}}
        none = {**crossbar, "method_override": {"headers": []}}
        for platform, kept in [(crossbar, ["x-http-method-override"]), (judging, ["x-http-method"]), (none, [])]:
            self.assertEqual(by_chart(platform), [it for it in all_of_them if it not in kept])

    def test_an_envoy_shows_its_statistics_at_a_port_of_their_own_and_nothing_else_of_its_admin_listener(self):
        with tempfile.TemporaryDirectory() as root, Edge(root, BINARY, ENVOY) as edge:
            at = free_port()
            edge.start(Site("sidecar-memory", self.values_of("sidecar-memory", edge, {"wiring__envoy__statsPort": at}), self.sources, root))
            status, text = edge.ask("/stats/prometheus", {}, at=at)
            self.assertEqual(status, 200)
            for name in ["ok", "denied", "error", "failure_mode_allowed"]:
                self.assertIn(f"\nenvoy_http_ext_authz_{name}{{", text)
            for method, path in [
                ("POST", "/stats/prometheus"), ("POST", "/quitquitquit"), ("GET", "/config_dump"), ("GET", "/"), ("GET", "/stats"),
                ("GET", "/stats/prometheus/"), ("GET", "/stats/prometheus/../../config_dump"), ("GET", "//stats/prometheus"),
            ]:
                self.assertEqual(edge.ask(path, {}, at=at, method=method)[0], 404, (method, path))

    def test_the_listener_for_statistics_is_the_one_in_the_readme_of_deploy_envoy(self):
        (block,) = re.findall(r"^  ```yaml\n(  listeners:\n.*?)^  ```$", (ROOT / "deploy/envoy/README.md").read_text(), re.M | re.S)
        by_hand = yaml.safe_load(block)
        values = example("sidecar-memory", wiring__envoy__statsPort=9902)
        made = yaml.safe_load(one(install(values), "ConfigMap", "-envoy")["data"]["envoy.yaml"])["static_resources"]
        for kind in ["listeners", "clusters"]:
            self.assertIn(by_hand[kind][0], made[kind])
        made = one(install(example("sidecar-memory")), "ConfigMap", "-envoy")["data"]["envoy.yaml"]
        self.assertNotIn("statistics", yaml.safe_dump(yaml.safe_load(made)))

    def test_an_envoy_takes_the_wiring_of_what_issues_and_of_balancers(self):
        text = one(install(example("deployment-full")), "ConfigMap", "-envoy")["data"]["envoy.yaml"]
        with tempfile.TemporaryDirectory() as root:
            (written,) = Site("deployment-full", example("deployment-full"), self.sources, root).envoy
            file = Path(root) / "envoy.yaml"
            file.write_text(written)
            ran = subprocess.run([ENVOY, "--mode", "validate", "-c", file], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        edge = yaml.safe_load(text)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        self.assertEqual(edge["xff_num_trusted_hops"], 1)
        self.assertIs(edge["http_filters"][0]["typed_config"]["clear_route_cache"], True)

    def test_behind_the_rendered_envoy_a_key_is_admitted_nobody_else_is_and_without_portcullis_nobody(self):
        for name, changes in [
            ("sidecar-memory", {}),
            ("deployment-memory", {}),
            ("deployment-memory", {"tls__existingSecret": "portcullis-tls"}),
        ]:
            with self.subTest(name, **changes), tempfile.TemporaryDirectory() as root:
                self.admit_and_deny(name, changes, root)

    def test_in_tls_an_envoy_without_a_certificate_gets_no_answer(self):
        changes = {"tls__existingSecret": "portcullis-tls", "tls__clientCaKey": ""}
        with tempfile.TemporaryDirectory() as root, Edge(root, BINARY, ENVOY) as edge:
            values = self.values_of("deployment-memory", edge, changes)
            unknown = Site("deployment-memory", values, self.sources, root)
            values["tls"]["clientCaKey"] = "ca.crt"
            strict = Site("deployment-memory", values, self.sources, root)
            # The server of the one, the Envoy of the other.
            strict.envoy = unknown.envoy
            edge.start(strict, answers=(503,))

    def values_of(self, name, edge, changes):
        return example(name, ports=edge.ports("grpc", "issue", "admin"), wiring__envoy__port=edge.port(),
                       wiring__envoy__upstream={"address": "127.0.0.1", "port": edge.upstream()}, **changes)

    def admit_and_deny(self, name, changes, root):
        with Edge(root, BINARY, ENVOY) as edge:
            site = Site(name, self.values_of(name, edge, changes), self.sources, root)
            edge.start(site)
            key = {"x-my-key": "an-example-key-3f8a1c5e7b9d2406"}
            status, body = edge.ask("/orders/7", {**key, "x-auth-account": "forged"})
            self.assertEqual(status, 200, body)
            seen = json.loads(body)
            self.assertEqual(seen.get("x-auth-account"), "acme")
            self.assertNotIn("x-my-key", seen)
            for path, headers, wants in [
                ("/orders/7", {}, 401),
                ("/orders/7", {"x-my-key": "nobodys"}, 401),
                ("/elsewhere", key, 403),
                ("/orders%2F7", key, 400),
                ("/orders/7", {**key, "x_auth_account": "forged"}, 400),
            ]:
                self.assertEqual(edge.ask(path, headers)[0], wants, (path, headers))
            for kind in ["startupProbe", "readinessProbe", "livenessProbe"]:
                self.assertEqual(edge.probe(site, kind), 0, kind)
            edge.stop_server()
            self.assertEqual(edge.ask("/orders/7", key)[0], 503)
            for kind in ["startupProbe", "readinessProbe", "livenessProbe"]:
                self.assertEqual(edge.probe(site, kind), 1, kind)


class Site:
    """What a container of the chart's finds, laid out in a folder: paths lead there, and listeners are on loopback."""

    def __init__(self, name, values, fixtures, root):
        self.root = root
        if name == "sidecar-memory":
            # By the library template.
            objects = install_parent(values)
            pod = objects["Deployment", "shop"]["spec"]["template"]["spec"]
        elif name.startswith("sidecar"):
            objects = install(values)
            pod = injected(objects)["spec"]
        else:
            objects = install(values)
            pod = one(objects, "Deployment")["spec"]["template"]["spec"]
        (self.container,) = [it for it in containers(pod) if it["name"] == "portcullis"]
        found = {**fixtures}
        for (kind, of), thing in objects.items():
            if kind == "ConfigMap":
                found[kind, of] = {key: text.encode() for key, text in thing["data"].items()}
        self.files = lay_out(root, self.container, pod["volumes"], found)
        mounted = {"volumeMounts": [{"name": "tls", "mountPath": "/etc/envoy/tls"}]}
        lay_out(root, mounted, [{"name": "tls", "secret": {"secretName": "envoy-tls"}}], found)
        self.config = self.here("/etc/portcullis/config/portcullis.yaml")
        self.rendered = Path(self.config).read_text()
        Path(self.config).write_text(self.here(self.rendered))
        self.env = {**os.environ, **{it["name"]: it["value"] for it in self.container.get("env", [])}}
        envoy = [it["data"]["envoy.yaml"] for (kind, of), it in objects.items() if kind == "ConfigMap" and of.endswith("-envoy")]
        envoy = [re.sub(r"[\w-]+\.authz\.svc\.cluster\.local", "127.0.0.1", self.here(it)) for it in envoy]
        admin = f"port_value: {free_port()} "
        self.envoy = [it.replace("port_value: 9901 ", admin) for it in envoy]

    def here(self, text):
        """A text of the pod's, as it is true in the folder."""
        for path in ["/etc/portcullis", "/run/portcullis", "/var/log/portcullis", "/etc/envoy/tls"]:
            text = re.sub(rf"(?<![\w.]){path}", f"{self.root}{path}", text)
        return text.replace("0.0.0.0", "127.0.0.1")


if __name__ == "__main__":
    unittest.main()
