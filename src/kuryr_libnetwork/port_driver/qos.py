# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The QoS rules of ports, for drivers that enforce them themselves."""

from __future__ import annotations

from collections.abc import Sequence

from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Port, QosRule


class QosRules:
    """Neutron calls: none if no port has a policy, its own or its network's; otherwise one for all ports."""

    def __init__(self, neutron: Neutron) -> None:
        self._neutron = neutron

    def of(self, ports: Sequence[Port]) -> dict[str, tuple[QosRule, ...]]:
        """Rules by port id; none for a port without a policy, or whose policy is gone. A port's own policy wins."""
        wanted = {port.id: port.qos_policy_id or port.qos_network_policy_id or "" for port in ports}
        ids = sorted({policy for policy in wanted.values() if policy})
        if not ids:
            return {}
        rules = {policy.id: policy.rules for policy in self._neutron.find_qos_policies(id=ids)}
        return {port: rules.get(policy, ()) for port, policy in wanted.items() if policy}
