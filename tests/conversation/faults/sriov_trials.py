# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The operations of a Docker user with VFs, to be tried with a fault in the middle of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kuryr_libnetwork.interfaces.drivers import PortDriver
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import VfSettings
from kuryr_libnetwork.port_driver.drivers.sriov import SriovDriver
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.qos import QosRules
from tests.conversation.faults.trials import Operation, Trial, on_each_engine
from tests.world.dockerside import Container
from tests.world.outside import TappedNeutron, TappedNic
from tests.world.rig import Rig

CIDR = "10.10.0.0/24"
CHOSEN, ADDRESS = 2, "10.10.0.5"


class SriovRig(Rig):
    """A host with a card, and Neutron's agent for it."""

    def __init__(self, **cloud: Any) -> None:
        super().__init__(**cloud)
        self.neutron = TappedNeutron(self.outside, sriov_hosts=[self.host], **{"role": "admin", **cloud})
        self.nic: TappedNic = TappedNic(self.outside)
        self.revive()

    def extra_drivers(self) -> list[PortDriver]:
        if not hasattr(self, "nic"):
            return []
        neutron = self.neutron
        driver = SriovDriver(
            SriovParts(
                leases=self.journal.devices,
                pci=self.nic.pci,
                control=self.nic.control,
                netdevs=self.nic.netdevs,
                qos=QosRules(neutron),
                neighbours=lambda: neutron.find_ports(**{"binding:host_id": self.host}),
                settings=SriovSettings(),
                now=lambda: self.now,
            )
        )
        return [driver]

    def move_in(self, box: Container) -> None:
        self.nic.move(box.interface["SrcName"], box.sandbox.key, "eth0")

    def move_out(self, box: Container) -> None:
        """The device becomes the container's ``eth0``, whatever happens to the service meanwhile."""
        inside = [device for device in self.nic.devices.values() if device.sandbox == box.sandbox.key]
        for device in inside:
            device.sandbox, device.name, device.up = "", box.interface["SrcName"], False

    def state(self) -> dict[str, Any]:
        """The card as well: every function and its device, except the device's number, which the kernel chooses."""
        functions = [(function.address, function.driver) for function in self.nic.functions.values()]
        settings = {f.address: _settings(self.nic, f.address) for f in self.nic.functions.values() if f.parent}
        devices = {
            device.pci or device.name: (device.name, device.mac, device.mtu, device.up, device.sandbox)
            for device in self.nic.devices.values()
        }
        return super().state() | {"functions": functions, "settings": settings, "devices": devices}


def _settings(nic: TappedNic, address: str) -> VfSettings:
    """As the NIC shows it."""
    vf = nic.functions[address]
    return msgspec.structs.replace(vf.settings, mac=vf.learned_mac or vf.admin_mac)


class SriovTrial(Trial):
    """The tenant's network is a VLAN of the card's physical network; one of his ports names a VF of his choice."""

    rig: SriovRig
    vnic_type = "direct"

    def __init__(self, **cloud: Any) -> None:
        super().__init__(**cloud)
        neutron = self.rig.neutron
        provider = {"network_type": "vlan", "physical_network": "physnet2", "segmentation_id": 150}
        attributes = {f"provider:{key}": value for key, value in provider.items()}
        self.physical = neutron.seed_network(name="physical", tags=["keep"], **attributes)
        subnet = neutron.seed_subnet(self.physical.id, CIDR, gateway_ip="10.10.0.1")
        slot = self.rig.nic.vf_address(CHOSEN)
        self.mine = neutron.seed_port(
            self.physical.id,
            name="sriov_port",
            fixed_ips=[{"subnet_id": subnet.id, "ip_address": ADDRESS}],
            **{
                "binding:vnic_type": "direct",
                "binding:profile": {"physical_network": "physnet2", "pci_vendor_info": "8086:10ca", "pci_slot": slot},
            },
        )

    def make_rig(self, **cloud: Any) -> Rig:
        return SriovRig(**cloud)

    def create_fast(self) -> None:
        options = {"neutron.net.uuid": self.physical.id, "kuryr.vnic_type": self.vnic_type}
        self.network = self.docker.network_create(CIDR, options=options)

    def create_plain(self) -> None:
        self.network = self.docker.network_create(CIDR, options={"neutron.net.uuid": self.physical.id})

    def alive(self) -> None:
        assert self.box is not None
        rig, box = self.rig, self.box
        (port,) = [each for each in rig.neutron.user_ports() if each.device_id == box.endpoint_id]
        assert (port.host_id, port.vif_type) == (rig.host, "hw_veb")
        slot = port.profile["pci_slot"]
        vf = rig.nic.functions[slot]
        assert (vf.admin_mac, vf.settings.vlan) == (port.mac_address, 150)
        moved = [device for device in rig.nic.devices.values() if device.sandbox == box.sandbox.key]
        assert [(device.mac, device.name) for device in moved] == [(port.mac_address, "eth0")]

    def _without_lost(self, state: dict[str, Any]) -> dict[str, Any]:
        """A VF's original state is no longer known: it has a MAC of its own, and the driver's name."""
        shown = super()._without_lost(state)
        shown["devices"] = {key: (mtu, up, sandbox) for key, (_, _, mtu, up, sandbox) in state["devices"].items()}
        shown["settings"] = {key: msgspec.structs.replace(each, mac="") for key, each in state["settings"].items()}
        return shown


class MacvtapTrial(SriovTrial):
    vnic_type = "macvtap"


def _run(trial: Trial) -> None:
    trial.run()


def _run_chosen(trial: Trial) -> None:
    trial.run(ip=ADDRESS)


def _create_fast(trial: Trial) -> None:
    assert isinstance(trial, SriovTrial)
    trial.create_fast()


def _create_plain(trial: Trial) -> None:
    assert isinstance(trial, SriovTrial)
    trial.create_plain()


def operations() -> Iterator[Operation]:
    yield Operation("run-vf", _run, Trial.rm, (_create_fast,), trial=SriovTrial)
    yield Operation("rm-vf", Trial.rm, None, (_create_fast,), (_run,), trial=SriovTrial)
    yield Operation("run-guide", _run_chosen, Trial.rm, (_create_plain,), trial=SriovTrial)
    yield Operation("rm-guide", Trial.rm, None, (_create_plain,), (_run_chosen,), trial=SriovTrial)
    yield Operation("run-macvtap", _run, Trial.rm, (_create_fast,), trial=MacvtapTrial)
    yield Operation("rm-macvtap", Trial.rm, None, (_create_fast,), (_run,), trial=MacvtapTrial)


OPERATIONS = on_each_engine(operations())
