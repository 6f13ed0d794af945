"""The image in deploy/image: what a build is given, and that the chart calls what is there."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy/image/Dockerfile").read_text()
CHART = ROOT / "deploy/helm/portcullis"
BINARY = Path(os.environ["PORTCULLIS_BINARY"]).resolve()


def instructions():
    """Gives the Dockerfile's instructions: the word and the rest, lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def last(word):
    return [rest for it, rest in instructions() if it == word][-1]


class Image(unittest.TestCase):
    def test_each_base_has_a_tag_and_takes_a_digest(self):
        bases = [rest.split()[0] for it, rest in instructions() if it == "FROM"]
        self.assertEqual(len(bases), 2)
        for base in bases:
            self.assertRegex(base, r"^[\w./-]+:[\w.-]+\$\{\w+_DIGEST\}$")
            self.assertNotIn(":latest", base)
        # Digests were never seen here, so none is made up.
        self.assertNotRegex("\n".join(rest for _, rest in instructions()), r"sha256:[0-9a-f]")

    def test_it_runs_without_rights_and_without_a_shell(self):
        self.assertEqual(last("USER"), "65532:65532")
        self.assertIn("distroless", [rest for it, rest in instructions() if it == "FROM"][-1])
        for word in ["ENTRYPOINT", "CMD"]:
            self.assertIsInstance(json.loads(last(word)), list)

    def test_the_chart_calls_the_program_and_the_configuration_that_are_there(self):
        (program,) = json.loads(last("ENTRYPOINT"))
        copied = [rest.split()[-1] for it, rest in instructions() if it == "COPY"]
        self.assertIn(program, copied)
        pod = (CHART / "templates/_pod.tpl").read_text()
        self.assertEqual(set(re.findall(r"command: \[([^,]+),", pod)), {program})
        serve, config = json.loads(last("CMD"))
        self.assertIn(f"  - {serve}\n  - {config}\n", pod)
        self.assertIn('runAsUser: 65532', pod)

    def test_versions_are_those_of_the_crate(self):
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        rust = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        self.assertIn(f"ARG VERSION={version}\n", DOCKERFILE)
        self.assertIn(f"/rust:{rust}-slim-", DOCKERFILE)
        chart = (CHART / "Chart.yaml").read_text()
        self.assertIn(f'appVersion: "{version}"\n', chart)

    def test_its_last_stage_is_built_and_runs_with_no_more_than_the_base_has(self):
        last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM "):].lstrip()
        # No registry is reached, so the base is made of the libraries that are in distroless' cc, from this machine.
        twin = re.sub(r"^FROM .*", "FROM scratch\nCOPY base /", last_stage, count=1).replace("--from=build ", "").replace(" /portcullis ", " portcullis ")
        twin += 'RUN ["/usr/local/bin/portcullis", "--version"]\n'
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            at = Path(folder)
            (at / "Dockerfile").write_text(twin)
            shutil.copy(ROOT / "LICENSE", at)
            shutil.copy(BINARY, at / "portcullis")
            told = subprocess.run(["ldd", BINARY], check=True, capture_output=True, text=True).stdout
            for path in re.findall(r"(/\S+) \(", told):
                self.assertRegex(Path(path).name, r"^(lib(c|m|gcc_s)|ld-linux.*)\.so")
                (at / "base" / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, at / "base" / path.lstrip("/"))
            self.buildah(folder, "bud", "--isolation", "chroot", "--build-arg", "REVISION=of-the-tests", "-t", "twin", folder)
            config = json.loads(self.buildah(folder, "inspect", "--type", "image", "twin"))["OCIv1"]["config"]
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(set(config["ExposedPorts"]), {"9001/tcp", "9002/tcp", "9003/tcp"})
        labels = config["Labels"]
        self.assertEqual(labels["org.opencontainers.image.revision"], "of-the-tests")
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")

    def buildah(self, folder, *words):
        """Runs it with its own images below a folder."""
        root = [] if os.getuid() == 0 else ["sudo"]
        options = ["--storage-driver", "vfs", "--root", f"{folder}/images", "--runroot", f"{folder}/run"]
        ran = subprocess.run([*root, "buildah", *options, *words], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    def test_a_build_is_given_what_it_reads_and_nothing_else(self):
        ignore = [it for it in (ROOT / ".dockerignore").read_text().splitlines() if it and not it.startswith("#")]
        self.assertEqual(ignore[0], "*")
        given = [it.removeprefix("!") for it in ignore[1:]]
        # Those that cargo does without, when it only reads the manifest.
        self.assertTrue({"Cargo.lock", "build.rs"} <= set(given))
        for name in given:
            self.assertTrue((ROOT / name).exists(), name)
        with tempfile.TemporaryDirectory() as folder:
            for name in given:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, Path(folder) / name)
            command = ["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertEqual(ran.returncode, 0, ran.stderr)
        for word, rest in instructions():
            if word == "COPY" and "--from" not in rest:
                for path in [it for it in rest.split()[:-1] if not it.startswith("--") and it != "."]:
                    self.assertIn(path, given, rest)
        for path in re.findall(r"rerun-if-changed=([\w.]+)", (ROOT / "build.rs").read_text()):
            self.assertIn(path, given, "build.rs")
        for source in [*(ROOT / "src").rglob("*.rs"), ROOT / "build.rs"]:
            code = source.read_text().split("#[cfg(test)]")[0]
            for path in re.findall(r'include(?:_str|_bytes)?!\("([^"]+)"\)', code):
                read = (source.parent / path).resolve().relative_to(ROOT)
                self.assertIn(read.parts[0], given, source)


if __name__ == "__main__":
    unittest.main()
