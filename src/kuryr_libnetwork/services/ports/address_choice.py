# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The addresses of a new port: chosen by Neutron, by the user, or by us if ``--ip-range`` is narrower than the subnet's
allocation pools.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

from kuryr_libnetwork.errors import AddressTaken
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.records import SubnetRecord
from kuryr_libnetwork.rules.prefixes import free_address

LOG = logging.getLogger(__name__)
ATTEMPTS = 5
FIELDS = ("id", "network_id", "fixed_ips")
"""The only fields requested of a subnet's ports, of which there may be thousands."""
FixedIps = list[dict[str, str]]


class AddressChoice:
    def __init__(self, neutron: Neutron) -> None:
        self._neutron = neutron

    def make(self, subnets: Sequence[SubnetRecord], address: str, make: Callable[[FixedIps], Port]) -> Port:
        """``make`` a port with an address on each subnet, ``address`` ("": none) on the first of them.

        Other hosts choose from the same range at the same time, so the choice is random, and repeated once if the
        address was taken meanwhile. Neutron calls besides ``make``: 1 for each subnet with a range.
        """
        ours = any(subnet.ip_range for subnet in subnets[1 if address else 0 :])
        for _ in range(ATTEMPTS - 1 if ours else 0):
            try:
                return make(self._fixed_ips(subnets, address))
            except AddressTaken as error:
                if address and address in str(error):
                    raise
                LOG.info("an address of --ip-range was taken in the same moment: %s", error)
        return make(self._fixed_ips(subnets, address))

    def _fixed_ips(self, subnets: Sequence[SubnetRecord], address: str) -> FixedIps:
        chosen = [address, *("" for _ in subnets[1:])]
        chosen = [given or self._free(subnet) for given, subnet in zip(chosen, subnets, strict=True)]
        return [
            {"subnet_id": subnet.subnet_id} | ({"ip_address": ip} if ip else {})
            for ip, subnet in zip(chosen, subnets, strict=True)
        ]

    def _free(self, subnet: SubnetRecord) -> str:
        if not subnet.ip_range:
            return ""
        ports = self._neutron.find_ports(fixed_ips=[f"subnet_id={subnet.subnet_id}"], fields=FIELDS)
        return free_address(subnet, [ip.ip_address for port in ports for ip in port.fixed_ips], secrets.randbelow)
