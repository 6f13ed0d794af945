"""What Kubernetes makes of a pod: the files that a container finds, and whether the pod is a restricted one."""

from pathlib import Path


def templates(thing):
    """Gives each pod in an object: a Pod's own, or those of a workload."""
    if thing["kind"] == "Pod":
        yield thing["spec"]
    elif "template" in thing.get("spec", {}):
        yield thing["spec"]["template"]["spec"]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def risks(pod):
    """What the Pod Security Standard `restricted`, or the project's own rules, hold against a pod."""
    if pod.get("automountServiceAccountToken") is not False:
        yield "a token of the API is mounted"
    for key in ["hostNetwork", "hostPID", "hostIPC"]:
        if pod.get(key):
            yield key
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}:
            yield f"the volume {volume['name']} is a {kinds}"
    for container in containers(pod):
        for risk in container_risks(container):
            yield f"{container['name']}: {risk}"


def container_risks(container):
    """The same of one container that stands in whatever pod."""
    wanted = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    context = container.get("securityContext", {})
    for key, value in wanted.items():
        if context.get(key) != value:
            yield f"{key} is {context.get(key)}"
    for port in container.get("ports", []):
        if "hostPort" in port:
            yield "a port of the node"
    resources = container.get("resources", {})
    if resources.get("limits", {}).get("memory") != resources.get("requests", {}).get("memory") or not resources:
        yield "its memory is not limited to what it asks for"
    for variable in container.get("env", []):
        if "secretKeyRef" in variable.get("valueFrom", {}):
            yield f"a secret in the environment: {variable['name']}"


def lay_out(root, container, volumes, sources):
    """Writes the files that a container finds, below `root`, and gives their paths within it.

    `sources` has the data of Secrets and ConfigMaps, by (kind, name).
    """
    by_name = {it["name"]: it for it in volumes}
    assert len(by_name) == len(volumes), f"two volumes of one name: {volumes}"
    paths = [it["mountPath"] for it in container["volumeMounts"]]
    assert len(set(paths)) == len(paths), f"two mounts at one path: {paths}"
    written = []
    for mount in container["volumeMounts"]:
        folder = Path(root) / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        volume = by_name[mount["name"]]
        if "secret" in volume:
            data = sources["Secret", volume["secret"]["secretName"]]
            items = volume["secret"].get("items")
        elif "configMap" in volume:
            data = sources["ConfigMap", volume["configMap"]["name"]]
            items = volume["configMap"].get("items")
        else:
            continue
        items = items or [{"key": key, "path": key} for key in data]
        for item in items:
            file = folder / item["path"]
            file.write_bytes(data[item["key"]])
            # Of the owner and of nobody else: the tests are one user.
            file.chmod(0o600)
            written.append(f"{mount['mountPath']}/{item['path']}")
    return written
