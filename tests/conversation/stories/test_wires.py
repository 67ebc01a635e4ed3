# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""On which wire a container's VF is: by Neutron's word where the service's role sees it, else by what no tenant
writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kuryr_libnetwork.model.settings import DevicePolicy, Unsupported
from kuryr_libnetwork.rules.ownership import without_memory
from tests.conversation.stories.test_sriov_stories import CIDR, SriovPlugin
from tests.fakes.neutron.policy import Policy, Role
from tests.fakes.sriov_profiles import ICE
from tests.world.dockerside import Docker, DockerNetwork, PluginError

OTHER_PF = "0000:03:00.0"
TWO = DevicePolicy(mappings={"physnet2": ("pf0",), "physnet3": ("pf1",)})
ONE_AS_THE_AGENT = DevicePolicy(mappings={"physnet2": ("pf0",)}, agents_own=True)


class World:
    """A host with a PF on each of two wires, and a network on the first one."""

    def __init__(self, plugin: SriovPlugin) -> None:
        self.plugin = plugin
        plugin.nic.add_pf(ICE, 2, OTHER_PF, "pf1")
        self.network = plugin.network()
        self.docker: Docker = plugin.docker()

    def net(self, **options: str) -> DockerNetwork:
        return self.docker.network_create(CIDR, options={"neutron.net.uuid": self.network.id, **options})

    def end(self, net: DockerNetwork) -> None:
        self.docker.network_rm(net)
        assert self.plugin.journal.devices.all() == []
        self.plugin.nothing_left()


@contextmanager
def world(folder: Path, role: Role, policy: DevicePolicy, **settings: Any) -> Iterator[World]:
    class Made(SriovPlugin):
        pass

    Made.policy = policy
    Made.settings = settings
    plugin = Made(folder)
    plugin.neutron.policy = Policy(role)
    plugin.start()
    try:
        yield World(plugin)
    finally:
        plugin.stop()


def test_a_profile_that_names_another_wire_is_refused(tmp_path: Path) -> None:
    """A profile would put the container on another wire, in a VLAN that somebody else has there."""
    with world(tmp_path, "admin", TWO) as made:
        port = made.plugin.port(made.network, physical_network="physnet3")
        before = made.plugin.neutron.port(port.id)
        net = made.net()
        with pytest.raises(PluginError, match="says physical_network physnet3, but the port's network is on physnet2"):
            made.docker.run(net, ip="10.10.0.5")
        now = made.plugin.neutron.port(port.id)
        assert now is not None
        assert before is not None
        assert replace(now, revision_number=0) == replace(before, revision_number=0)
        made.end(net)


@pytest.mark.parametrize("role", ["admin", "service"])
def test_the_guides_port_gets_a_vf_of_its_wire(tmp_path: Path, role: Role) -> None:
    """With the least role the SR-IOV guide would work no more; with another one the profile would be believed first."""
    with world(tmp_path, role, TWO) as made:
        slot = made.plugin.nic.vf_address(1)
        port = made.plugin.port(made.network, pci_slot=slot)
        net = made.net()
        box = made.docker.run(net, ip="10.10.0.5")
        (lease,) = made.plugin.journal.devices.all()
        assert (lease.pci_address, lease.physical_network) == (slot, "physnet2")
        bound = made.plugin.neutron.port(port.id)
        assert bound is not None
        assert without_memory(bound.profile) == port.profile
        made.docker.rm(box)
        made.end(net)


def test_a_wire_that_nobody_proves_is_refused(tmp_path: Path) -> None:
    """Of two wires the container would be on any, with the VLAN that its network has on the other one."""
    with world(tmp_path, "service", TWO) as made:
        net = made.net(**{"kuryr.vnic_type": "direct"})
        with pytest.raises(PluginError, match="get_network:provider:physical_network to the service's role"):
            made.docker.run(net)
        made.end(net)


@pytest.mark.parametrize(("role", "policy"), [("admin", TWO), ("service", ONE_AS_THE_AGENT)])
def test_a_vf_is_chosen_where_the_wire_is_known(tmp_path: Path, role: Role, policy: DevicePolicy) -> None:
    """A host with one wire would need an admin for what Neutron's agent proves by binding the port."""
    with world(tmp_path, role, policy) as made:
        net = made.net(**{"kuryr.vnic_type": "direct"})
        box = made.docker.run(net)
        (lease,) = made.plugin.journal.devices.all()
        assert (lease.pf_address, lease.physical_network) == ("0000:01:00.0", "physnet2")
        made.docker.rm(box)
        made.end(net)


@pytest.mark.parametrize("unsupported", ["error", "warn"])
@pytest.mark.parametrize("claimed", ["physnet2", "physnet3"])
def test_trust_is_for_a_wire_that_is_known(tmp_path: Path, claimed: str, unsupported: Unsupported) -> None:
    """Where the operator has not said which device is where, a profile would say that it is where trust is allowed."""
    allowed = frozenset({claimed})
    with world(tmp_path, "service", DevicePolicy(), allow_trust=allowed, unsupported=unsupported) as made:
        made.plugin.port(made.network, physical_network=claimed, trusted="true")
        net = made.net()
        if unsupported == "error":
            with pytest.raises(PluginError, match="asks for trust"):
                made.docker.run(net, ip="10.10.0.5")
            assert made.plugin.journal.devices.all() == []
            made.end(net)
            return
        box = made.docker.run(net, ip="10.10.0.5")
        (lease,) = made.plugin.journal.devices.all()
        assert lease.wanted is not None
        assert (lease.physical_network, lease.wanted.trust) == ("", False)
        made.docker.rm(box)
        made.end(net)
