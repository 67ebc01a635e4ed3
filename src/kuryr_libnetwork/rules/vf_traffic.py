# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which counters of VFs are shown, and what each VF is used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kuryr_libnetwork.model.overview import VfTraffic, VfUse
from kuryr_libnetwork.model.records import EndpointRecord
from kuryr_libnetwork.model.sriov import DeviceLease, PhysicalFunction, VfCounters, VirtualFunction

NOTHING = VfCounters()
IN_USE = "leased"


def traffic_rows(
    pf: PhysicalFunction, vfs: Sequence[VirtualFunction], counted: Mapping[int, VfCounters]
) -> list[VfTraffic]:
    """None if all counters are zero: a driver that counts nothing for VFs reports zeros, which would be taken for
    silence.
    """
    if all(each == NOTHING for each in counted.values()):
        return []
    return [
        VfTraffic(
            pci_address=vf.pci_address,
            pf=pf.netdevs[0],
            vf=vf.index,
            numa_node=pf.numa_node,
            counted=counted[vf.index],
        )
        for vf in vfs
        if vf.index in counted
    ]


def use_rows(
    pfs: Sequence[PhysicalFunction],
    devices: Sequence[DeviceLease],
    endpoints: Sequence[EndpointRecord],
    networks: Mapping[str, str],
    containers: Mapping[str, str],
) -> list[VfUse]:
    """The VFs that containers have. ``networks``: Neutron's by Docker's; ``containers``: names by endpoint."""
    names = {pf.pci_address: pf.netdevs[0] for pf in pfs if pf.netdevs}
    docker = {each.endpoint_id: each.docker_network_id for each in endpoints}
    return [
        VfUse(
            pci_address=lease.pci_address,
            pf=names.get(lease.pf_address, ""),
            vf=lease.index,
            container=containers.get(lease.endpoint_id, ""),
            network=networks.get(docker.get(lease.endpoint_id, ""), ""),
            port=lease.port_id,
        )
        for lease in devices
        if lease.state == IN_USE and lease.pci_address != lease.pf_address
    ]
