"""The Secrets and ConfigMaps that the examples name, made anew for each run."""

import subprocess
import tempfile
from pathlib import Path

DIRECTORY = b"""
mine:
  accounts:
    - { id: acme, name: "ACME, Inc." }
  api_keys:
    - { id: shop, account: acme, secret: an-example-key-3f8a1c5e7b9d2406, scopes: [orders:read] }
"""


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def sources():
    """Gives the data of each, by (kind, name)."""
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: str(Path(folder) / name)
        for name in ["current.pem", "previous.pem"]:
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", at(name))
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", at("assertion.pem"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=redis",
                "-days", "2", "-keyout", at("tls.key"), "-out", at("tls.crt"))
        for name in ["portcullis", "envoy"]:
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                    "-CA", at("tls.crt"), "-CAkey", at("tls.key"), "-addext", f"subjectAltName=DNS:{name}",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-days", "2", "-keyout", at(f"{name}.key"), "-out", at(f"{name}.crt"))
        made = {it.name: it.read_bytes() for it in Path(folder).iterdir()}
    authority = made["tls.crt"]
    return {
        ("Secret", "portcullis-directory"): {"directory.yaml": DIRECTORY},
        ("ConfigMap", "portcullis-directory"): {"directory.yaml": DIRECTORY},
        ("Secret", "portcullis-pepper"): {it: it.encode() * 8 for it in ["pepper", "pepper-2026", "pepper-2025"]},
        ("Secret", "portcullis-redis"): {it: b"a-password-of-the-tests" for it in ["password", "issuer", "sentinel"]},
        ("Secret", "portcullis-redis-tls"): {"ca.crt": authority, "tls.crt": made["tls.crt"], "tls.key": made["tls.key"]},
        ("Secret", "portcullis-tls"): {"ca.crt": authority, "tls.crt": made["portcullis.crt"], "tls.key": made["portcullis.key"]},
        # What an Envoy mounts.
        ("Secret", "envoy-tls"): {"ca.crt": authority, "tls.crt": made["envoy.crt"], "tls.key": made["envoy.key"]},
        ("Secret", "portcullis-signing"): {it: made[it] for it in ["current.pem", "previous.pem", "assertion.pem"]},
        ("Secret", "portcullis-sso"): {"client.secret": b"a-secret-of-the-tests"},
        ("Secret", "portcullis-collector"): {"headers": b"authorization: a-secret-of-the-tests\n"},
        ("ConfigMap", "authorities"): {"ca.pem": authority},
    }
