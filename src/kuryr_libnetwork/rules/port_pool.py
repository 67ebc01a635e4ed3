# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The ports that are kept ready for the containers of a Docker network: how they are marked, and when one may be used.

A spare is an ordinary port of the service's own project, bound to this host. Its ``device_id`` names the pool while no
container has it, its name says the same to people, and its binding profile, which the role service alone can write,
names host and Docker network. What is believed after a lost journal is the profile, of ports of our own project.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from kuryr_libnetwork.model.links import SwitchView
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.identity import SPARE_NAME, port_name
from kuryr_libnetwork.rules.ownership import OwnPort
from kuryr_libnetwork.rules.plugging import ACTIVE
from kuryr_libnetwork.rules.vifs import OVN, bound_drivers

PROFILE_KEY = "kuryr_pool"
"""Our key in the ``binding:profile`` of a port of a port pool."""
POOL_TAG = "kuryr.port.pool"
"""For people, and where a cloud stores no tags it is missing."""
_DEVICE = "kuryr-port-pool-"


class PoolMark(Value, frozen=True):
    """Of which Docker network's pool a port is, and on which host."""

    host: str
    network: str


def labels_of_spare(docker_network_id: str) -> dict[str, Any]:
    """The attributes that say that no container has the port."""
    return {"device_id": f"{_DEVICE}{docker_network_id}", "name": SPARE_NAME}


def marks_of_spare(host: str, docker_network_id: str) -> dict[str, Any]:
    """The attributes of a new port that make it one of a port pool."""
    mark = PoolMark(host=host, network=docker_network_id)
    return {**labels_of_spare(docker_network_id), "binding:profile": {PROFILE_KEY: msgspec.to_builtins(mark)}}


def pool_mark(port: OwnPort) -> PoolMark | None:
    """The mark in the port's profile, whether a container has it or not; ``None`` if there is none."""
    try:
        return msgspec.convert(port.profile.get(PROFILE_KEY), PoolMark)
    except msgspec.ValidationError:
        return None


def idle_spare(port: OwnPort) -> PoolMark | None:
    """The mark of a port of a pool that no container has, by all that Neutron shows; else ``None``."""
    mark = pool_mark(port)
    if mark is None or port.name != SPARE_NAME or port.device_id != f"{_DEVICE}{mark.network}":
        return None
    return mark


def is_installed(port: Port, view: SwitchView | None) -> bool:
    """Whether a container's first packet would pass.

    1. Where no interface is in Open vSwitch: if the port is ACTIVE. Else the interface has to be connected, and not
    isolated by Neutron's agent. 2. With ML2/OVN: if its controller says so of the interface, which it does until the
    port is deleted or bound elsewhere. 3. With another mechanism driver: if Neutron has shown the port as ACTIVE.
    4. If Neutron does not tell which driver bound it, either of these is enough.
    """
    active = port.status == ACTIVE
    if view is None:
        return active
    if view.port_id != port.id or not view.connected or view.dead:
        return False
    told = bound_drivers(port)
    if OVN in told:
        return view.installed
    return active or (not told and view.installed)


def needs_status(port: Port) -> bool:
    """Whether Neutron has to be asked for the port's status before :func:`is_installed` can be true."""
    return OVN not in bound_drivers(port) and port.status != ACTIVE


def is_unchanged(made: Port, now: Port) -> bool:
    """Whether a port is as it was made, so that a container gets with it what it would get with a new one.

    Not compared: labels, status and revision, and what kind of port Neutron's own services make of it.
    """
    return _essence(made) == _essence(now)


def is_taken(made: Port, now: Port) -> bool:
    """Whether somebody else uses the port by now: it has another owner, device or host than a port of a pool has.

    The device of a port whose container is gone is the endpoint, which the name repeats.
    """
    return (
        now.host_id not in {"", made.host_id}
        or now.device_owner not in {"", made.device_owner}
        or not (now.device_id in {"", made.device_id} or now.name == port_name(now.device_id))
    )


def changed_attributes(made: Port, now: Port) -> Collection[str]:
    """The names of the attributes that differ, as Neutron's API has them, for the log."""
    before, after = _essence(made), _essence(now)
    return [name for name in before if before[name] != after[name]]


def _essence(port: Port) -> dict[str, Any]:
    return {
        "network_id": port.network_id,
        "mac_address": port.mac_address.lower(),
        "admin_state_up": port.admin_state_up,
        "fixed_ips": sorted((ip.subnet_id, ip.ip_address) for ip in port.fixed_ips),
        "device_owner": port.device_owner,
        "binding:host_id": port.host_id,
        "binding:vnic_type": port.vnic_type,
        "binding:vif_type": port.vif_type,
        "binding:profile": port.profile,
        "project_id": port.project_id,
        "security_groups": sorted(port.security_groups),
        "port_security_enabled": port.port_security_enabled,
        "dns_domain": port.dns_domain or "",
        "qos_policy_id": port.qos_policy_id,
        "allowed_address_pairs": sorted((pair.ip_address, pair.mac_address) for pair in port.allowed_address_pairs),
        "trunk_details": port.trunk_details is not None,
    }
