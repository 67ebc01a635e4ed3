# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The fake of Docker's side calls what the engines call (docs/notes/docker-plugin.md).

All other conversations rely on it: an order of calls that no engine uses would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kuryr_libnetwork.errors import Conflict
from kuryr_libnetwork.protocol import messages as m
from tests.world.dockerside import Docker, PluginError, Wish
from tests.world.edge import Edge, serving, until

ENGINES = [20, 24, 26, 27, 28, 29]
ATTACH = ["request_address", "create_endpoint", "join", "program_external_connectivity", "endpoint_oper_info"]
DETACH = ["revoke_external_connectivity", "leave", "delete_endpoint", "release_address"]


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with serving(tmp_path) as edge:
        edge.verbs.does["join"] = lambda request: m.JoinResponse(gateway="10.1.0.1")
        yield edge


def since(edge: Edge, act: Callable[[], object]) -> list[str]:
    """The verbs that an action called."""
    edge.verbs.calls.clear()
    act()
    return edge.verbs.called


def failing(edge: Edge, verb: str, after: int = 0) -> None:
    """Let a verb fail, from its ``after``-th further call on."""
    usual = edge.verbs.does.get(verb)
    seen: list[Any] = []

    def does(request: Any) -> Any:
        seen.append(request)
        if len(seen) > after:
            raise Conflict("no")
        answers: dict[str, m.Message] = {
            "request_pool": m.RequestPoolResponse(pool_id=f"pool-{len(seen)}", pool="10.1.0.0/24"),
            "request_address": m.RequestAddressResponse(address="10.1.0.7/24"),
        }
        return usual(request) if usual else answers[verb]

    edge.verbs.does[verb] = does


def refused(edge: Edge, act: Callable[[], object]) -> list[str]:
    """The verbs that a failing action called."""

    def attempt() -> None:
        with pytest.raises(PluginError):
            act()

    return since(edge, attempt)


@pytest.mark.parametrize("version", ENGINES)
def test_a_networks_life(edge: Edge, version: int) -> None:
    """Fails if network create or rm is replayed in an order that no engine uses."""
    docker = Docker(edge.path, version)
    create = since(edge, lambda: docker.network_create(aux={"a": "10.1.0.9"}, subnet_v6="fd00::/64"))
    check = ["gw_alloc_check"] if version >= 28 else []
    pools = ["request_pool", "request_address", "request_address", "request_pool", "request_address"]
    assert create == [*check, *pools, "create_network"]
    net = docker.network_create()
    assert since(edge, lambda: docker.network_rm(net)) == ["release_address", "release_pool", "delete_network"]


@pytest.mark.parametrize("version", ENGINES)
def test_a_containers_life(edge: Edge, version: int) -> None:
    """Fails if run, restart or rm is replayed in an order that no engine uses, or an endpoint id is used twice."""
    docker = Docker(edge.path, version)
    net = docker.network_create()
    assert since(edge, lambda: docker.run(net)) == ATTACH
    box = docker.run(net, ip="10.1.0.7")
    again = docker.restart(box)
    assert (again.endpoint_id != box.endpoint_id, again.wish) == (True, box.wish)
    assert since(edge, lambda: docker.rm(again)) == DETACH


@pytest.mark.parametrize("version", ENGINES)
def test_a_dual_stack_container(edge: Edge, version: int) -> None:
    """Fails if the IPv6 address is not asked for after the IPv4 address, or not given back after it."""
    docker = Docker(edge.path, version)
    net = docker.network_create(subnet_v6="fd00::/64")
    box = docker.run(net)
    assert edge.verbs.called[-6:] == ["request_address", *ATTACH]
    assert since(edge, lambda: docker.rm(box)) == [*DETACH, "release_address"]


def test_a_second_network_takes_over_the_gateway(edge: Edge) -> None:
    """Fails if the gateway does not move to the network whose name comes first, and back when that one leaves."""
    docker = Docker(edge.path, 28)
    box = docker.run(docker.network_create(name="z"))
    other = docker.network_create("10.2.0.0/24", name="a")
    connected = since(edge, lambda: docker.connect(box, other, Wish(ip="10.2.0.5")))
    look = "endpoint_oper_info"
    assert connected == [look, *ATTACH[:3], DETACH[0], "program_external_connectivity", look, look]
    second = box.sandbox.endpoints[1]
    assert box.sandbox.gateway is second
    assert since(edge, lambda: docker.disconnect(second)) == [*DETACH[:2], ATTACH[3], look, *DETACH[2:]]
    assert box.sandbox.gateway is box


@pytest.mark.parametrize(("version", "seen"), [(27, False), (28, True)])
def test_an_ipv6_gateway_counts_from_28_on(edge: Edge, version: int, seen: bool) -> None:
    """Fails if an older engine is given a gateway that it does not see."""
    edge.verbs.does["join"] = lambda request: m.JoinResponse(gateway_ipv6="fd00::1")
    docker = Docker(edge.path, version)
    docker.run(docker.network_create(subnet_v6="fd00::/64"))
    assert ("program_external_connectivity" in edge.verbs.called) is seen


@pytest.mark.parametrize("version", ENGINES)
def test_after_a_failed_create_network(edge: Edge, version: int) -> None:
    """Fails if the fake sends a DeleteNetwork that no engine sends, and so hides what the plugin leaves behind."""
    docker = Docker(edge.path, version)
    failing(edge, "create_network")
    called = refused(edge, docker.network_create)
    assert called[called.index("create_network") + 1 :] == ["release_address", "release_pool"]


@pytest.mark.parametrize(
    ("version", "released"), [(26, ["pool-2", "pool-1"]), (28, ["pool-2"]), (29, ["pool-2", "pool-1"])]
)
def test_after_a_failed_gateway_address(edge: Edge, version: int, released: list[str]) -> None:
    """Fails if the pools that 27 and 28 forget are released here."""
    docker = Docker(edge.path, version)
    failing(edge, "request_pool", after=2)
    failing(edge, "request_address", after=1)
    called = refused(edge, lambda: docker.network_create(["10.1.0.0/24", "10.2.0.0/24"]))
    assert [request.pool_id for name, request in edge.verbs.calls if name == "release_pool"] == released
    assert "release_address" not in called


def test_a_failed_second_address_leaves_the_first(edge: Edge) -> None:
    """Fails if the IPv4 address that every engine forgets is given back here."""
    docker = Docker(edge.path, 28)
    net = docker.network_create(subnet_v6="fd00::/64")
    failing(edge, "request_address", after=1)
    assert refused(edge, lambda: docker.run(net)) == ["request_address", "request_address"]


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize(
    ("verb", "before_29", "from_29"),
    [
        ("create_endpoint", [], []),
        ("join", ["delete_endpoint"], ["leave", "delete_endpoint"]),
        ("program_external_connectivity", ["leave", "delete_endpoint"], ["leave", "leave", "delete_endpoint"]),
    ],
)
def test_after_a_failed_run(edge: Edge, version: int, verb: str, before_29: list[str], from_29: list[str]) -> None:
    """Fails if the clean-up after a failed start differs from the engine's."""
    docker = Docker(edge.path, version)
    net = docker.network_create()
    failing(edge, verb)
    called = refused(edge, lambda: docker.run(net))
    undone = called[called.index(verb) + 1 :]
    assert undone == [*(from_29 if version >= 29 else before_29), "release_address"]


def test_a_lost_answer_is_asked_for_with_an_empty_body(edge: Edge) -> None:
    """Fails if the repeated call carries its arguments, which Docker's client has lost by then."""
    docker = Docker(edge.path, 28)
    net = docker.network_create()
    docker.lose_answer("NetworkDriver.CreateEndpoint")
    with pytest.raises(PluginError, match="empty request body"):
        docker.run(net)
    until(lambda: edge.verbs.called.count("create_endpoint") == 1, "the first call")
    until(lambda: "delete_endpoint" in edge.verbs.called, "the undo")
    assert edge.verbs.called.count("create_endpoint") == 1


def test_a_crash_only_releases_addresses(edge: Edge) -> None:
    """Fails if a dockerd that died calls more than ReleaseAddress at its next start."""
    docker = Docker(edge.path, 28)
    box = docker.run(docker.network_create())
    assert since(edge, lambda: docker.crash(box)) == ["release_address"]


def test_text_is_sent_as_go_writes_it(edge: Edge) -> None:
    """Fails if the escapes of Go's encoder are not tried on the plugin, or change a value."""
    docker = Docker(edge.path, 28)
    docker.network_create(options={"neutron.net.name": "a<b>&ü"})
    (request,) = [each for name, each in edge.verbs.calls if name == "create_network"]
    assert request.generic == {"neutron.net.name": "a<b>&ü"}
