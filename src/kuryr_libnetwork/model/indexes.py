# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""By what the services look for records of the journal, so that a look-up costs the same however many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from kuryr_libnetwork.model.records import EndpointRecord, LeaseRecord, SpareRecord

R = TypeVar("R")


class Index(Generic[R]):
    """``keys``: under which values a record is found; it depends on the record alone."""

    def __init__(self, keys: Callable[[R], Iterable[str]]) -> None:
        self.keys = keys


def address_key(subnet_id: str, address: str) -> str:
    return f"{subnet_id}/{address}"


LEASES_BY_ADDRESS = Index[LeaseRecord](
    lambda lease: [address_key(ip.subnet_id, ip.ip_address) for ip in (*lease.held, *lease.spare)]
)
"""Held or spare (:func:`address_key`)."""
LEASES_BY_NETWORK = Index[LeaseRecord](lambda lease: [lease.docker_network_id])
LEASES_BY_NEUTRON_NETWORK = Index[LeaseRecord](lambda lease: [lease.neutron_network_id])
WAITING_LEASES_BY_NETWORK = Index[LeaseRecord](lambda lease: [] if lease.endpoint_id else [lease.docker_network_id])
"""Those that no endpoint has."""
UNLABELLED_LEASES = Index[LeaseRecord](lambda lease: [""] if lease.unlabelled else [])
"""All under one key: those of which Neutron has still to be told the endpoint."""
ENDPOINTS_BY_NETWORK = Index[EndpointRecord](lambda endpoint: [endpoint.docker_network_id])
ENDPOINTS_BY_SANDBOX = Index[EndpointRecord](lambda endpoint: [endpoint.sandbox_key] if endpoint.sandbox_key else [])
SPARES_BY_NETWORK = Index[SpareRecord](lambda spare: [spare.docker_network_id])
SPARES_BY_STATE = Index[SpareRecord](lambda spare: [spare.state])
IDLE_SPARES_BY_NETWORK = Index[SpareRecord](
    lambda spare: [] if spare.state == "used" else [f"{spare.state}/{spare.docker_network_id}"]
)
"""State and Docker network, as ``ready/0123…``; of those that containers have there may be many."""
SPARES_BY_ADDRESS = Index[SpareRecord](
    lambda spare: [address_key(ip.subnet_id, ip.ip_address) for ip in spare.port.fixed_ips]
)
"""In whatever state (:func:`address_key`)."""
BROKEN_ENDPOINTS = Index[EndpointRecord](lambda endpoint: [] if endpoint.state == "ready" else [""])
"""All under one key: those that are half made or half gone."""
