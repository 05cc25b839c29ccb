"""A deployment as Kubernetes manifests, of the same services as its compose file.

The two containers of a site share a pod. Secrets are named and not written: each is called as its place, and holds the
files that the place's containers need. `secret_commands` says how they are made.
"""

import shlex
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import yaml

from scenarios.deployment.layout import Layout
from scenarios.deployment.services import DATA, GATEWAY, SECRETS, SUPERLINK, USER, Service, services

NAMESPACE = "manifold"
PLACE, ROLE = "app.kubernetes.io/name", "app.kubernetes.io/component"
SITE = "site"
"""The role of all places that are no server's."""
DOMAIN = f"{NAMESPACE}.svc.cluster.local"
"""nginx asks the name server itself, and so needs whole names."""
STORAGE = "1Gi"

Manifest = dict[str, Any]


def render(layout: Layout) -> str:
    """All manifests of a deployment, for `kubectl apply`, below the commands that make what they only name."""
    commands = [f"kubectl create namespace {NAMESPACE}", *secret_commands(layout)]
    lines = ["To make the secrets first, so that these manifests hold none:", *commands]
    return "".join(f"# {line}\n" for line in lines) + str(
        yaml.safe_dump_all(manifests(layout), sort_keys=False, width=120, explicit_start=True)
    )


def secret_commands(layout: Layout) -> list[str]:
    """The commands that make the secrets which the manifests name, one for each place."""
    commands = []
    for place, containers in _places(layout):
        files = {name: path for service in containers for name, path in service.files.items()}
        options = [f"--from-file={name}={path}" for name, path in files.items()]
        words = ("kubectl", "--namespace", NAMESPACE, "create", "secret", "generic", place, *options)
        commands.append(shlex.join(words))
    return commands


def manifests(layout: Layout) -> list[Manifest]:
    """The namespace, who may talk to whom, and each place."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}]
    objects += _policies()
    for place, containers in _places(layout):
        objects += [_workload(place, containers), *_claims(containers), *_addresses(place, containers)]
    return objects


def _places(layout: Layout) -> Iterable[tuple[str, list[Service]]]:
    """The containers of each place: a pod."""
    for place, containers in groupby(services(layout, one_pod=True), key=lambda service: service.place):
        yield place, list(containers)


def _object(kind: str, name: str, version: str = "v1", **body: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **body}


def _workload(place: str, containers: list[Service]) -> Manifest:
    """The SuperLink is a StatefulSet and keeps its name; a place is never there twice, as its node key must not be."""
    labels = {PLACE: place, ROLE: place if place in ("superlink", "superexec-server", "gateway") else SITE}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {PLACE: place}},
        "template": {"metadata": {"labels": labels}, "spec": _pod(place, containers)},
    }
    if place == "superlink":
        return _object("StatefulSet", place, "apps/v1", spec={"serviceName": place, **spec})
    return _object("Deployment", place, "apps/v1", spec={"strategy": {"type": "Recreate"}, **spec})


def _pod(place: str, containers: list[Service]) -> Manifest:
    volumes: list[Manifest] = []
    for service in containers:
        volumes.append({"name": f"tmp-{service.name}", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}})
        items = [{"key": name, "path": name} for name in service.files]
        secret = {"secretName": place, "items": items, "defaultMode": 0o440}
        volumes.append({"name": f"secrets-{service.name}", "secret": secret})
        volumes += [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in _claimed(service)]
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            **{"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(service) for service in containers],
        "volumes": volumes,
    }


def _container(service: Service) -> Manifest:
    mounts = [
        {"name": f"tmp-{service.name}", "mountPath": "/tmp"},
        {"name": f"secrets-{service.name}", "mountPath": SECRETS, "readOnly": True},
        *({"name": name, "mountPath": path, "readOnly": path == DATA} for name, path in _claimed(service).items()),
    ]
    most = {"cpu": service.cpus, "memory": f"{service.memory}Mi"}
    return {
        "name": service.name,
        "image": service.image,
        "imagePullPolicy": "IfNotPresent",
        **({"command": list(service.command)} if service.command else {}),
        "env": [{"name": "SUPERLINK", "value": f"superlink.{DOMAIN}:{SUPERLINK}"}] if service.name == "gateway" else [],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "readinessProbe": {"exec": {"command": list(service.probe)}, "periodSeconds": 30, "timeoutSeconds": 10},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": most},
        "volumeMounts": mounts,
    }


def _claimed(service: Service) -> dict[str, str]:
    """Name of each claim of a container, and where it is mounted."""
    return {**service.volumes, **({f"data-{service.place}": DATA} if service.data else {})}


def _claims(containers: list[Service]) -> list[Manifest]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": STORAGE}}}
    names = [name for service in containers for name in _claimed(service)]
    return [_object("PersistentVolumeClaim", name, spec=spec) for name in names]


def _addresses(place: str, containers: list[Service]) -> list[Manifest]:
    """The Service of a place that others reach."""
    ports = [{"port": inside, "targetPort": inside} for service in containers for inside in service.ports.values()]
    return [_object("Service", place, spec={"selector": {PLACE: place}, "ports": ports})] if ports else []


def _policies() -> list[Manifest]:
    """Nobody may talk, but sites to the gateway, gateway and ServerApp to the SuperLink, and these to the name server.

    An operator reaches the Control API by `kubectl port-forward`.
    """
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    to_superlink = {"to": [_role("superlink")], "ports": [{"port": SUPERLINK}]}
    to_gateway = {"to": [_role("gateway")], "ports": [{"port": GATEWAY}]}
    askers = {"from": [_role("gateway"), _role("superexec-server")], "ports": [{"port": SUPERLINK}]}
    return [
        _policy("nobody", None),
        _policy("superlink", "superlink", ingress=[askers]),
        _policy("superexec-server", "superexec-server", egress=[to_superlink, dns]),
        _policy("gateway", "gateway", ingress=[{"ports": [{"port": GATEWAY}]}], egress=[to_superlink, dns]),
        _policy("sites", SITE, egress=[to_gateway, dns]),
    ]


def _policy(name: str, role: str | None, **allowed: list[Manifest]) -> Manifest:
    spec = {"podSelector": {"matchLabels": {ROLE: role}} if role else {}, "policyTypes": ["Ingress", "Egress"]}
    return _object("NetworkPolicy", name, "networking.k8s.io/v1", spec={**spec, **allowed})


def _role(role: str) -> Manifest:
    return {"podSelector": {"matchLabels": {ROLE: role}}}
