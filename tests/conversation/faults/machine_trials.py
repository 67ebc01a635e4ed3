# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operations of a Docker user in a virtual machine, to be tried with a fault in the middle of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from kuryr_libnetwork.model.neutron import Port
from tests.conversation.faults.trials import MINE, V6, WEB, Operation, Trial, on_each_engine
from tests.world import machine
from tests.world.machine import Inside, MachineRig
from tests.world.rig import Rig


class MachineTrial(Trial):
    """The machine's port is on the tenant's network; somebody else has changed it as well."""

    rig: MachineRig
    inside: ClassVar[Inside]

    def __init__(self, **cloud: Any) -> None:
        super().__init__(**cloud)
        neutron = self.rig.neutron
        self.vm = machine.seed_port(neutron, self.rig.links, self.tenant.id)
        if self.inside == "vlan":
            machine.seed_trunk(neutron, self.vm)

    def make_rig(self, **cloud: Any) -> Rig:
        return MachineRig(self.inside, **cloud)

    def add_neighbour(self) -> None:
        """The driver ``nested`` knows no second Neutron network: this one was created before, with the driver veth."""
        inside, self.rig.inside = self.rig.inside, None
        self.rig.revive()
        super().add_neighbour()
        self.rig.inside = inside
        self.rig.revive()

    def alive(self) -> None:
        assert self.box is not None
        rig, box = self.rig, self.box
        (port,) = [each for each in rig.neutron.user_ports() if each.device_id == box.endpoint_id]
        assert {ip.ip_address for ip in port.fixed_ips} >= {ip for ip in (box.ip, box.ip6) if ip}
        assert rig.links.names() == [machine.IFACE]
        assert rig.links.aliases_elsewhere() == frozenset({f"kuryr:{port.id}"})
        vm = rig.neutron.port(self.vm.id)
        assert vm is not None
        self._connected(port, vm)

    def _connected(self, port: Port, vm: Port) -> None:
        mac = vm.mac_address if self.inside == "ipvlan" else port.mac_address
        allowed = {(each.ip_address, each.mac_address) for each in vm.allowed_address_pairs[1:]}
        assert allowed == {(ip.ip_address, mac) for ip in port.fixed_ips}
        assert (port.device_owner, port.host_id, port.vif_type) == ("compute:kuryr", "", "unbound")


class MacvlanTrial(MachineTrial):
    inside = "macvlan"

    def __init__(self, **cloud: Any) -> None:
        super().__init__(**{"vrrp_pairs_only": False, **cloud})


class IpvlanTrial(MachineTrial):
    inside = "ipvlan"


class VlanTrial(MachineTrial):
    inside = "vlan"

    def _connected(self, port: Port, vm: Port) -> None:
        assert vm.trunk_details is not None
        assert [each.port_id for each in vm.trunk_details.sub_ports][1:] == [port.id]
        assert (port.device_owner, port.vif_type) == ("trunk:subport", "ovs")


Step = Callable[[Trial], None]
CREATES: dict[str, Step] = {
    "home": lambda trial: trial.create(),
    "dual": lambda trial: trial.create(V6),
    "existing": lambda trial: trial.create(uuid=trial.tenant.id),
}
RUNS: dict[str, Step] = {
    "plain": lambda trial: trial.run(),
    "mac": lambda trial: trial.run(mac="02:42:ac:11:00:02"),
    "exposed": lambda trial: trial.run(expose=WEB),
    "adopt": lambda trial: trial.run(ip=MINE),
}
TRIED: dict[type[MachineTrial], tuple[tuple[str, str], ...]] = {
    MacvlanTrial: (("home", "plain"), ("home", "mac"), ("home", "adopt")),
    IpvlanTrial: (("existing", "plain"), ("dual", "plain")),
    VlanTrial: (("home", "plain"), ("home", "mac"), ("dual", "plain"), ("existing", "adopt"), ("home", "exposed")),
}


def operations() -> Iterator[Operation]:
    yield Operation("create-home", CREATES["home"], Trial.network_rm, trial=MacvlanTrial)
    for trial, pairs in TRIED.items():
        for network, container in pairs:
            name, ground, run = f"{trial.inside}-{network}-{container}", (CREATES[network],), RUNS[container]
            yield Operation(f"run-{name}", run, Trial.rm, ground, trial=trial)
            yield Operation(f"rm-{name}", Trial.rm, None, ground, (run,), trial=trial)


OPERATIONS = on_each_engine(operations())
