"""The examples for Kubernetes in deploy/examples: what they apply is known to Kubernetes, leads to what is there, and decides as they say.

No test has a cluster: Istio's and Envoy Gateway's objects are held against their fields, as the chart's are.
"""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from pods import risks, templates
from test_chart import BINARY, KUBERNETES, ROOT, check_object, install, one

EXAMPLES = {
    "istio": ("shop.yaml", "http://shop/orders/7"),
    "envoy-gateway": ("gateway.yaml", "http://shop.example.com/orders/7"),
}


def folder(name):
    return ROOT / "deploy/examples" / name


def values(name):
    return yaml.safe_load((folder(name) / "values.yaml").read_text())


def applied(name):
    """The objects that the example has people apply, by kind and name."""
    text = (folder(name) / EXAMPLES[name][0]).read_text()
    return {(it["kind"], it["metadata"]["name"]): it for it in yaml.safe_load_all(text)}


class Examples(unittest.TestCase):
    def test_all_that_is_applied_and_installed_is_known_to_each_version_of_kubernetes(self):
        for name in EXAMPLES:
            for version in KUBERNETES:
                things = [*applied(name).values(), *install(values(name), version=version).values()]
                for thing in things:
                    with self.subTest(f"{name}: {thing['kind']} {thing['metadata']['name']} of {version}"):
                        # A class has no spec of Kubernetes' own, and a Namespace none at all.
                        check_object(thing, version)

    def test_pods_are_restricted(self):
        for name in EXAMPLES:
            for thing in [*applied(name).values(), *install(values(name)).values()]:
                for pod in templates(thing):
                    self.assertEqual(list(risks(pod)), [], f"{name}: {thing['metadata']['name']}")

    def test_istiod_is_told_what_the_chart_says(self):
        told = one(install(values("istio")), "ConfigMap", "-istio")["data"]["mesh-config.yaml"]
        # The tests install into the namespace `authz`.
        told = yaml.safe_load(told.replace("authz-portcullis.authz.svc", "authz-portcullis.shop.svc"))
        self.assertEqual(yaml.safe_load((folder("istio") / "mesh.yaml").read_text()), {"meshConfig": told})

    def test_names_lead_to_what_is_there(self):
        for name in EXAMPLES:
            things = applied(name)
            self.assertIn(("Namespace", "shop"), things)
            labels = things["Deployment", "shop"]["spec"]["template"]["metadata"]["labels"]
            service = things["Service", "shop"]["spec"]
            self.assertEqual(things["Deployment", "shop"]["spec"]["selector"]["matchLabels"], labels)
            self.assertEqual(service["selector"], labels)
            ports = [it["containerPort"] for it in things["Deployment", "shop"]["spec"]["template"]["spec"]["containers"][0]["ports"]]
            self.assertIn(service["ports"][0]["targetPort"], ports)
            readme = (folder(name) / "README.md").read_text()
            secret = values(name)["directory"]["existingSecret"]
            self.assertIn(f"create secret generic {secret} --from-file=directory.yaml", readme)
            for file in re.findall(r"-f ([\w.]+)", readme):
                self.assertTrue((folder(name) / file).is_file(), file)
        policy = one(install(values("istio")), "AuthorizationPolicy")["spec"]
        self.assertEqual(policy["selector"]["matchLabels"], labels)
        things, made = applied("envoy-gateway"), install(values("envoy-gateway"))
        for policy in [one(made, "SecurityPolicy"), things["ClientTrafficPolicy", "edge"]]:
            for target in policy["spec"]["targetRefs"]:
                self.assertIn((target["kind"], target["name"]), things)
        self.assertIn(("GatewayClass", things["Gateway", "edge"]["spec"]["gatewayClassName"]), things)
        route = things["HTTPRoute", "shop"]["spec"]
        self.assertIn(("Gateway", route["parentRefs"][0]["name"]), things)
        backend = route["rules"][0]["backendRefs"][0]
        self.assertIn(backend["port"], [it["port"] for it in things["Service", backend["name"]]["spec"]["ports"]])
        hosts = values("envoy-gateway")["config"]["platforms"][0]["hosts"]
        self.assertEqual(route["hostnames"], hosts)

    def test_who_has_the_key_is_admitted_and_who_has_none_is_not(self):
        for name, (_, url) in EXAMPLES.items():
            config = yaml.safe_load(one(install(values(name)), "ConfigMap", "authz-portcullis")["data"]["portcullis.yaml"])
            key = re.search(r"secret: (\S+)", (folder(name) / "directory.yaml").read_text())[1]
            self.assertIn(f"-H 'x-my-key: {key}'", (folder(name) / "README.md").read_text())
            config["store"]["directory_file"] = str(folder(name) / "directory.yaml")
            config["listen"] = {"grpc": ["127.0.0.1:9001"]}
            with self.subTest(name), tempfile.TemporaryDirectory() as root:
                file = Path(root) / "portcullis.yaml"
                file.write_text(yaml.safe_dump(config))
                for headers, verdict in [([f"x-my-key: {key}"], "ALLOW"), ([], "DENY"), (["x-my-key: another"], "DENY")]:
                    arguments = [it for header in headers for it in ["-H", header]]
                    ran = subprocess.run(
                        [BINARY, "explain", "--config", file, "--peer", "192.0.2.7", *arguments, url],
                        capture_output=True, text=True, check=False,
                    )
                    self.assertRegex(ran.stdout, rf"(?m)^verdict +{verdict}", ran.stderr)


if __name__ == "__main__":
    unittest.main()
