# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host with one card in memory and the SR-IOV port driver over it."""

from __future__ import annotations

from typing import Any

import msgspec

from kuryr_libnetwork.model.links import BindingRequest
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import PlugRecord
from kuryr_libnetwork.model.settings import SriovSettings
from kuryr_libnetwork.model.sriov import DeviceLease
from kuryr_libnetwork.port_driver.drivers.sriov import SriovDriver
from kuryr_libnetwork.port_driver.parts import SriovParts
from kuryr_libnetwork.port_driver.qos import QosRules
from tests.fakes.host import FakeJournal
from tests.fakes.neutron import FakeNeutron
from tests.fakes.sriov import FakeNic
from tests.fakes.sriov_profiles import I40E, ICE, IGB, IXGBE, MLX5, Profile

PORT = "0f9e3a55-7c1b-4d6e-9a57-1b2c3d4e5f60"
MAC = "fa:16:3e:00:00:01"
SANDBOX = "/run/docker/netns/abc"
FAMILIES = [IGB, IXGBE, I40E, ICE, MLX5]


class Host:
    def __init__(self, profile: Profile = IGB, allow_vfio: bool = False, **settings: Any) -> None:
        self.nic = FakeNic(profile)
        self.journal = FakeJournal()
        self.neutron = FakeNeutron()
        self.neighbours: list[Port] = []
        wire: dict[str, tuple[str, ...]] = {"physnet2": ("pf0",)}
        self.settings = SriovSettings(mappings=wire, allow_direct_physical=True, allow_vfio=allow_vfio, **settings)
        self.driver = self.restarted()
        self.before = self.picture()
        self.first_settings = [self.nic.control.read("pf0", index) for index in range(4)]

    def restarted(self) -> SriovDriver:
        return SriovDriver(
            SriovParts(
                leases=self.journal.devices,
                pci=self.nic.pci,
                control=self.nic.control,
                netdevs=self.nic.netdevs,
                qos=QosRules(self.neutron),
                neighbours=lambda: self.neighbours,
                settings=self.settings,
                now=lambda: 1.0,
            )
        )

    def picture(self) -> list[object]:
        """Everything that must be the same afterwards, without device numbers, which the kernel chooses."""
        vfs = self.nic.pci.virtual_functions("0000:01:00.0")
        settings = [self.nic.control.read("pf0", vf.index) for vf in vfs]
        devices = [self.nic.netdevs.state(name) for vf in vfs for name in vf.netdevs]
        return [vfs, settings, devices, self.nic.netdevs.state("pf0")]

    def take(
        self,
        port_id: str = PORT,
        vnic_type: str = "direct",
        vlan: str = "150",
        more: dict[str, Any] | None = None,
        **request: Any,
    ) -> PlugRecord:
        """``more``: further attributes of the port."""
        asked = BindingRequest(port_id=port_id, vnic_type=vnic_type, physical_network="physnet2", **request)
        profile = self.driver.reserve(asked).get("binding:profile", asked.profile)
        self.port = Port(
            id=port_id,
            network_id="n",
            mac_address=profile.get("device_mac_address") or MAC,
            vnic_type=vnic_type,
            vif_type="hostdev_physical" if vnic_type == "direct-physical" else "hw_veb",
            vif_details={"vlan": vlan},
            profile=profile,
            **(more or {}),
        )
        plug = self.driver.plan(self.port, "e1")
        self.driver.plug(plug, self.port, "e1", 1450)
        return plug

    def changed(self, **attributes: Any) -> None:
        """Change the port in Neutron, and run a round of the background."""
        self.port = msgspec.structs.replace(self.port, **attributes)
        self.driver.note_ports([self.port])
        self.driver.reapply(self.port.id)

    def lease(self) -> DeviceLease:
        (lease,) = self.journal.devices.all()
        return lease

    def is_as_before(self) -> bool:
        return self.journal.devices.all() == [] and self.picture() == self.expected()

    def expected(self) -> list[object]:
        """Remove the administrative MAC; a card that cannot clear it gets the VF's own MAC instead."""
        vf = self.nic.functions[self.nic.vf_address(0)]
        if vf.profile.zero_mac:
            return self.before
        settings = list(self.first_settings)
        settings[0] = msgspec.structs.replace(settings[0], mac=self.nic.of(vf.address).mac)
        return [self.before[0], settings, *self.before[2:]]
