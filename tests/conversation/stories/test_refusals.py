# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever Neutron refuses below a command of Docker's: what its user reads, and that nothing is left.

The table has the refusals that each of our calls can meet, as read in Neutron 29.0.0 (neutron_lib/exceptions,
neutron/ipam/exceptions.py and the extensions' own); ``tests/cloud/test_refusals.py`` holds types and statuses to it,
and brings the real Neutron to those that it can be brought to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kuryr_libnetwork.neutron.errors import from_answer
from kuryr_libnetwork.rules.refusals import MEANINGS
from tests.world.dockerside import DockerNetwork, PluginError
from tests.world.rig import DirectDocker, Rig

QUOTA, ROLE = ("OverQuota", 409), ("PolicyNotAuthorized", 403)
CHANGED, BELOW = ("RevisionNumberConstraintFailed", 412), ("MechanismDriverError", 500)
MET: dict[str, list[tuple[str, int]]] = {
    "create_subnetpool": [QUOTA, ROLE, ("UnsupportedMinSubnetPoolPrefix", 400), ("IllegalSubnetPoolPrefixBounds", 400)],
    "create_network": [
        QUOTA,
        ROLE,
        ("NoNetworkAvailable", 503),
        ("NoNetworkFoundInMaximumAllowedAttempts", 503),
        ("TunnelIdInUse", 409),
        ("VlanIdInUse", 409),
        BELOW,
    ],
    "create_subnet": [
        QUOTA,
        ROLE,
        ("SubnetPoolQuotaExceeded", 409),
        ("SubnetAllocationError", 500),
        ("MinPrefixSubnetAllocationError", 400),
        ("MaxPrefixSubnetAllocationError", 400),
        ("NetworkSubnetPoolAffinityError", 400),
        ("NetworkMTUSubnetConflict", 409),
        ("InvalidAllocationPool", 400),
        ("OutOfBoundsAllocationPool", 400),
        ("OverlappingAllocationPools", 409),
        ("GatewayConflictWithAllocationPools", 409),
        ("NetworkNotFound", 404),
        ("SubnetPoolNotFound", 404),
        BELOW,
    ],
    "set_tags": [ROLE, ("NetworkNotFound", 404), CHANGED],
    "create_port": [
        QUOTA,
        ROLE,
        ("IpAddressGenerationFailure", 409),
        ("IpAddressGenerationFailureAllSubnets", 409),
        ("IpAddressGenerationFailureNoMatchingSubnet", 409),
        ("IpAddressAlreadyAllocated", 409),
        ("IpAddressInUse", 409),
        ("InvalidIpForSubnet", 400),
        ("InvalidIpForNetwork", 400),
        ("AllocationOnAutoAddressSubnet", 400),
        ("HostMacAddressGenerationFailure", 503),
        ("PortSecurityAndIPRequiredForSecurityGroups", 400),
        ("SecurityGroupNotFound", 404),
        ("QosPolicyNotFound", 404),
        ("NetworkNotFound", 404),
        ("SubnetNotFound", 404),
        ("ExternalDNSOverQuota", 409),
        ("DNSDomainNotFound", 404),
        ("DuplicateRecordSet", 409),
        ("ExternalDNSDriverNotFound", 404),
        BELOW,
    ],
    "update_port": [
        ROLE,
        ("PortNotFound", 404),
        ("MacAddressInUse", 409),
        ("PortBound", 409),
        ("PortSecurityPortHasSecurityGroup", 409),
        ("PortSecurityAndIPRequiredForSecurityGroups", 400),
        ("AddressPairAndPortSecurityRequired", 409),
        ("SecurityGroupNotFound", 404),
        ("QosPolicyNotFound", 404),
        ("QosRuleNotSupported", 409),
        ("QosPlacementAllocationConflict", 409),
        ("DeviceIDNotOwnedByProject", 409),
        ("UnsupportedPortDeviceOwner", 409),
        ("PortBindingError", 500),
        CHANGED,
        BELOW,
    ],
    "create_security_group": [QUOTA, ROLE],
    "create_security_group_rules": [QUOTA, ROLE, ("SecurityGroupNotFound", 404), ("SecurityGroupRuleExists", 409)],
}
OPENED = ("create_security_group", "create_security_group_rules")
"""These have words of their own (``services/ports/exposed_ports.py``)."""


def everything() -> Iterator[Any]:
    for call, refusals in MET.items():
        for kind, status in refusals:
            yield pytest.param(call, kind, status, id=f"{call}-{kind}")


class World:
    def __init__(self) -> None:
        self.rig = Rig()
        self.docker = DirectDocker(self.rig)
        self.rig.neutron.extensions()

    def fail(self, call: str, kind: str, status: int) -> None:
        self.rig.neutron.fail_next(call, from_answer(f"{call} /v2.0/x", status, kind, "Thing 5f0c could not be done."))

    def create(self) -> DockerNetwork:
        return self.docker.network_create("10.1.0.0/24", subnet_v6="fd00:1::/64", ip_range="10.1.0.128/25")

    def refused(self, command: Callable[[], object]) -> str:
        """What the user reads; nothing of it stays."""
        self.rig.services.reconciler.round()  # the engine has been seen to have the network
        before = self.rig.state()
        with pytest.raises(PluginError) as caught:
            command()
        self.rig.settle()
        assert self.rig.state() == before
        return caught.value.message


@pytest.mark.parametrize(("call", "kind", "status"), list(everything()))
def test_what_a_user_reads_of_a_refusal(call: str, kind: str, status: int) -> None:
    """The user would read Neutron's words and ids, and not which of his things is meant and what he can do."""
    world = World()
    subject = "Docker network "
    if call in ("create_subnetpool", "create_network", "create_subnet", "set_tags"):
        world.fail(call, kind, status)
        said = world.refused(world.create)
        subject = "--subnet 10.1.0.0/24: " if call == "create_subnetpool" else subject
    else:
        net = world.create()
        subject = f"Docker network {net.network_id[:12]} (Neutron network "
        for _ in range(6):
            world.fail(call, kind, status)
        said = world.refused(lambda: world.docker.run(net, expose=[(6, 80)]))
    if call in OPENED:
        assert "the ports that the container exposes cannot be opened: " in said
        return
    assert subject in said
    assert MEANINGS[kind] in said
    assert said.endswith("Thing 5f0c could not be done)")


@pytest.mark.parametrize("call", ["create_network", "create_subnet", "create_port", "update_port"])
def test_a_refusal_of_a_later_release(call: str) -> None:
    """Neutron's words alone would be read as soon as it has a new error."""
    world = World()
    net = None if call in ("create_network", "create_subnet") else world.create()
    world.fail(call, "SomethingNew", 409)
    said = world.refused(world.create if net is None else lambda: world.docker.run(net, expose=[(6, 80)]))
    assert "Docker network " in said
    assert "conflicts with what is in Neutron now" in said
    assert said.endswith("Thing 5f0c could not be done)")


def test_whatever_can_be_met_is_known() -> None:
    """A type that is met and not explained would be told by its status alone."""
    assert {kind for refusals in MET.values() for kind, _ in refusals} <= MEANINGS.keys()
