# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which container, port and addresses a call of Docker is for, as far as the journal and the background know.

Only for the log: what is not known, or cannot be read, is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.interfaces.journal import Journal
from kuryr_libnetwork.model.indexes import LEASES_BY_ADDRESS, address_key
from kuryr_libnetwork.protocol.messages import Message
from kuryr_libnetwork.text import shown


class Whom:
    """``container``: returns the name of an endpoint's container; "" if Docker has not told it yet."""

    def __init__(self, journal: Journal, container: Callable[[str], str]) -> None:
        self._journal = journal
        self._container = container

    def __call__(self, request: Message, answer: Message | None) -> str:
        try:
            endpoint_id = getattr(request, "endpoint_id", "")
            if endpoint_id:
                return self._of_endpoint(endpoint_id)
            address = getattr(answer, "address", "") or getattr(request, "address", "")
            pool_id = getattr(request, "pool_id", "")
            return self._of_address(pool_id, address.partition("/")[0]) if pool_id and address else ""
        except KuryrError:
            return ""

    def _of_endpoint(self, endpoint_id: str) -> str:
        record = self._journal.endpoints.get(endpoint_id)
        if record is None:
            return ""
        container = self._container(endpoint_id)
        addresses = [text.partition("/")[0] for text in (record.address, record.address_ipv6) if text]
        return ", ".join([*([shown(container)] if container else []), f"port {record.port_id}", *addresses])

    def _of_address(self, pool_id: str, address: str) -> str:
        """The port with the address; "" if the pool does not tell it from the same address on other Docker networks."""
        subnets = {
            subnet.subnet_id
            for network in self._journal.networks.all()
            for subnet in network.subnets
            if subnet.pool_id == pool_id
        }
        leases = self._journal.leases
        found = {
            lease.port_id
            for subnet_id in subnets
            for lease in leases.find(LEASES_BY_ADDRESS, address_key(subnet_id, address))
        }
        return f"port {found.pop()}" if len(found) == 1 else ""
