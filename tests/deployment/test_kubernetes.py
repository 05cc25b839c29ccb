"""The manifests: valid under Kubernetes schemas, of the same services as the compose file, closed between sites."""

from itertools import product

import pytest
import yaml
from kubernetes_validate import validate

from scenarios.deployment.compose import example
from scenarios.deployment.kubernetes import PLACE, render, secret_commands
from scenarios.deployment.services import GATEWAY, SUPERLINK, SUPERNODE, services

VERSIONS = ("1.30", "1.37")
PORTS = (SUPERLINK, GATEWAY, SUPERNODE)


@pytest.fixture(params=range(1, 6), ids=lambda sites: f"{sites} sites")
def sites(request):
    return request.param


@pytest.fixture
def objects(sites):
    return list(yaml.safe_load_all(render(example(sites))))


def of_kind(objects, *kinds):
    return [found for found in objects if found["kind"] in kinds]


def pods(objects):
    """Labels and specification of each place's pod."""
    templates = [found["spec"]["template"] for found in of_kind(objects, "StatefulSet", "Deployment")]
    return {t["metadata"]["labels"][PLACE]: (t["metadata"]["labels"], t["spec"]) for t in templates}


def chosen(selector, labels):
    return selector.get("matchLabels", {}).items() <= labels.items()


def allowed(policies, direction, labels, peer, port):
    """Whether a pod's policies let it be reached by a peer, or reach one: one that selects it must say so."""
    rules = [
        rule
        for policy in policies
        if chosen(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get(direction.lower(), [])
    ]
    far = "from" if direction == "Ingress" else "to"
    return any(
        port in [p["port"] for p in rule["ports"]]
        and any(
            "namespaceSelector" not in t and chosen(t["podSelector"], peer)
            for t in rule.get(far, [{"podSelector": {}}])
        )
        for rule in rules
    )


def reaches(objects):
    """All (from, to, port) that the policies of both ends let pass."""
    policies, places = of_kind(objects, "NetworkPolicy"), pods(objects)
    return {
        (a, b, port)
        for (a, (mine, _)), (b, (theirs, _)), port in product(places.items(), places.items(), PORTS)
        if allowed(policies, "Egress", mine, theirs, port) and allowed(policies, "Ingress", theirs, mine, port)
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_each_object_is_valid_under_the_strict_schemas(version):
    for found in yaml.safe_load_all(render(example(2))):
        assert validate(found, version, strict=True) == version


def test_all_pods_are_closed_where_no_policy_opens_them(objects):
    [closed] = [p["spec"] for p in of_kind(objects, "NetworkPolicy") if p["spec"]["podSelector"] == {}]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_sites_reach_the_gateway_and_nothing_else(objects, sites):
    names = [f"site-{n}" for n in range(sites)]
    assert reaches(objects) == {(site, "gateway", GATEWAY) for site in names} | {
        ("gateway", "superlink", SUPERLINK),
        ("superexec-server", "superlink", SUPERLINK),
    }


def test_each_service_of_the_deployment_has_its_container(objects, sites):
    images = {c["name"]: c["image"] for _, spec in pods(objects).values() for c in spec["containers"]}
    assert images == {service.name: service.image for service in services(example(sites))}


def test_every_container_is_confined(objects):
    for _, spec in pods(objects).values():
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_secrets_are_named_and_their_values_are_nowhere(objects):
    assert not of_kind(objects, "Secret")


def test_the_clients_of_a_site_have_its_data_and_not_its_key(objects):
    spec = pods(objects)["site-0"][1]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    node, client = spec["containers"]

    def files(container):
        mounted = [volumes[mount["name"]] for mount in container["volumeMounts"]]
        return {item["key"] for volume in mounted for item in volume.get("secret", {}).get("items", [])}

    assert files(node) == {"ca.crt", "key", "superexec"}
    assert files(client) == {"superexec"}
    data = [mount for mount in client["volumeMounts"] if mount["mountPath"] == "/data"]
    assert [mount["readOnly"] for mount in data] == [True]
    assert "/data" not in {mount["mountPath"] for mount in node["volumeMounts"]}


def test_each_secret_that_is_named_is_made_by_a_command(objects, sites):
    named = {
        volume["secret"]["secretName"]
        for _, spec in pods(objects).values()
        for volume in spec["volumes"]
        if "secret" in volume
    }
    made = {command.split(" generic ")[1].split()[0] for command in secret_commands(example(sites))}
    assert made == named
    assert not any("ca.key" in command for command in secret_commands(example(sites)))
