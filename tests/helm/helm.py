"""Helm's own engine, without a cluster: charts are linted and installed into a Kubernetes API that only writes down what it is given.

The engine is the Go library in the package helm-sdkpy, called directly, since the package itself wants a newer Python than
Debian has. It has no `template`; an install renders, holds the values against the schema, and sends each object to the API,
which so has them as the cluster would: read by Helm, with what YAML makes of them.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Kinds that the chart has; the API tells Helm of these and of no others. Whether they are namespaced.
KINDS = {
    "v1": ["ConfigMap", "Namespace", "Pod", "Secret", "Service", "ServiceAccount"],
    "apps/v1": ["Deployment"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "gateway.envoyproxy.io/v1alpha1": ["SecurityPolicy"],
    "monitoring.coreos.com/v1": ["PodMonitor", "PrometheusRule", "ServiceMonitor"],
    "networking.istio.io/v1": ["ServiceEntry"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
    "security.istio.io/v1": ["AuthorizationPolicy"],
}


class HelmError(Exception):
    """What Helm says is wrong."""


def plural(kind):
    """The name of a kind in the API's paths."""
    return kind.lower()[:-1] + "ies" if kind.endswith("y") else kind.lower() + "s"


class Api:
    """A Kubernetes API of one version, on loopback: it has no object, and takes every one."""

    def __init__(self, version):
        self.version = version
        self.objects = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave at once, or each answer takes the 40 ms of a delayed acknowledgement.
            wbufsize = -1

            def do_GET(self):
                self.answer(*api.get(self.path.partition("?")[0]))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                api.objects.append(json.loads(body))
                self.answer(201, json.loads(body))

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def get(self, path):
        groups = [it for it in KINDS if "/" in it]
        if path == "/version":
            major, minor = self.version.split(".")
            return 200, {"major": major, "minor": minor, "gitVersion": f"v{self.version}.0"}
        if path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(it) for it in groups]}
        at = path.removeprefix("/apis/").removeprefix("/api/")
        if at in KINDS:
            resources = [
                {"name": plural(it), "singularName": it.lower(), "namespaced": it != "Namespace", "kind": it, "verbs": ["create", "get"]}
                for it in KINDS[at]
            ]
            return 200, {"kind": "APIResourceList", "groupVersion": at, "resources": resources}
        return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

    def kubeconfig(self):
        # As YAML in block style: other texts are taken for the name of a file.
        return f"""apiVersion: v1
kind: Config
current-context: here
clusters:
- name: here
  cluster:
    server: http://127.0.0.1:{self.server.server_port}
contexts:
- name: here
  context:
    cluster: here
    user: nobody
users:
- name: nobody
  user: {{}}
"""

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def group(of):
    name, version = of.split("/")
    at = {"groupVersion": of, "version": version}
    return {"name": name, "versions": [at], "preferredVersion": at}


class Helm:
    """The engine."""

    def __init__(self):
        if os.environ.get("HELM_DRIVER") != "memory":
            raise HelmError("HELM_DRIVER=memory must be in the environment that Python is started with")
        self.library = ctypes.CDLL(str(library()))
        self.library.helm_sdkpy_last_error.restype = ctypes.c_char_p
        self.library.helm_sdkpy_free.argtypes = [ctypes.c_void_p]
        self.library.helm_sdkpy_config_destroy.argtypes = [ctypes.c_ulonglong]

    @contextlib.contextmanager
    def at(self, api):
        """A configuration that leads to an API."""
        handle = ctypes.c_ulonglong()
        self.demand(self.library.helm_sdkpy_config_create(b"authz", api.kubeconfig().encode(), None, b"{}", ctypes.byref(handle)))
        try:
            yield handle
        finally:
            self.library.helm_sdkpy_config_destroy(handle)

    def demand(self, code):
        if code != 0:
            raise HelmError((self.library.helm_sdkpy_last_error() or b"an unknown error").decode())

    def called(self, name, handle, *arguments):
        result = ctypes.c_void_p()
        self.demand(getattr(self.library, f"helm_sdkpy_{name}")(handle, *arguments, ctypes.byref(result)))
        try:
            return ctypes.string_at(result).decode()
        finally:
            self.library.helm_sdkpy_free(result)

    def install(self, chart, values, version="1.33", release="authz"):
        """Installs a chart, and gives the objects that the API was sent, and the release."""
        api = Api(version)
        try:
            with self.at(api) as handle:
                options = {"wait": False, "timeout_seconds": 30, "disable_openapi_validation": True, "server_side_apply": "false"}
                arguments = [release, str(chart), json.dumps(values), "", json.dumps(options)]
                told = self.called("install", handle, *(it.encode() for it in arguments))
            return api.objects, json.loads(told)
        finally:
            api.close()

    def lint(self, chart):
        """Gives what is said of a chart with its own values."""
        api = Api("1.33")
        try:
            with self.at(api) as handle:
                return json.loads(self.called("lint", handle, str(chart).encode()))
        finally:
            api.close()



def library():
    """Where the engine is; the package is not imported, as it may not be of this Python's version."""
    package = Path(importlib.util.find_spec("helm_sdkpy").origin).parent
    return package / "_lib" / "linux-amd64" / "libhelm_sdkpy.so"
