"""A Portcullis, an Envoy before it and an upstream behind that, all on loopback, as the chart has configured them."""

import http.client
import json
import os
import signal
import random
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE = 60


class Upstream(BaseHTTPRequestHandler):
    """Tells what reached it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Edge:
    def __init__(self, root, binary, envoy):
        self.root = Path(root)
        self.binary = str(binary)
        self.envoy = envoy
        self.running = []
        self.listens_at = None
        self.server = None
        self.behind = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        self.behind.daemon_threads = True
        threading.Thread(target=self.behind.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.kill()
            process.wait()
        self.behind.shutdown()
        self.behind.server_close()

    def upstream(self):
        return self.behind.server_port

    def ports(self, *names):
        return {name: free_port() for name in names}

    def port(self):
        """The port for Envoy to listen at."""
        self.listens_at = free_port()
        return self.listens_at

    def start(self, site, answers=(401, 403)):
        """Starts both, and waits until a request without a credential is answered so."""
        self.server = self.spawn("portcullis", [self.binary, *(site.here(it) for it in site.container["args"])], site.env)
        (text,) = site.envoy
        (self.root / "envoy.yaml").write_text(text)
        command = [self.envoy, "-c", "envoy.yaml", "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
        self.spawn("envoy", command, os.environ)
        self.until("healthy", lambda: self.probe(site, "readinessProbe") == 0)
        self.until(f"one of {answers}", lambda: self.ask("/elsewhere", {})[0] in answers)

    def spawn(self, name, command, env):
        with open(self.root / f"{name}.log", "wb") as log:
            process = subprocess.Popen(command, cwd=self.root, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def until(self, what, there):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if any(it.poll() is not None for it in self.running):
                break
            try:
                if there():
                    return
            except (ConnectionError, http.client.HTTPException, TimeoutError):
                pass
            time.sleep(0.05)
        logs = "\n".join(f"{it.name}:\n{it.read_text()}" for it in self.root.glob("*.log"))
        raise AssertionError(f"not there within {PATIENCE} s: {what}\n{logs}")

    def stop_server(self):
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(PATIENCE)
        self.running.remove(self.server)

    def ask(self, path, headers, at=None, method="GET"):
        """Gives the status and the body of an answer of Envoy's, of its listener at another port if that is given."""
        connection = http.client.HTTPConnection("127.0.0.1", at or self.listens_at, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def probe(self, site, kind):
        """Probes as the kubelet does, and gives 0 for healthy and 1 for not."""
        probe = site.container[kind]
        if "grpc" in probe:
            # The kubelet asks the pod's address for this service; both services stand alike.
            words = ["healthcheck", f"127.0.0.1:{probe['grpc']['port']}"]
        else:
            program, *words = probe["exec"]["command"]
            assert program == "/usr/local/bin/portcullis", program
        ran = subprocess.run([self.binary, *(site.here(it) for it in words)], capture_output=True, check=False)
        return ran.returncode


def free_port():
    # Below those that the kernel gives to outgoing connections, which would take it before it is used.
    while True:
        port = random.randrange(10_240, 32_768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
