# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which Neutron resources the user chose for a Docker network, by upstream's option keys.

Their meaning in upstream: docs/notes/upstream.md, "Options". Each key may be given with ``-o`` (sent in CreateNetwork)
or with ``--ipam-opt`` (sent in RequestPool, which comes first). Upstream wants most of them in both places; here once
is enough, and if given twice they must agree. An id wins over a name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from kuryr_libnetwork.errors import Conflict, InvalidOption
from kuryr_libnetwork.model.neutron import Network, Subnet, SubnetPool
from kuryr_libnetwork.model.value import IpVersion, Value
from kuryr_libnetwork.rules.addresses import canonical_cidr
from kuryr_libnetwork.rules.ownership import OwnProject
from kuryr_libnetwork.rules.parsing import boolean, uuid_of

NET_UUID = "neutron.net.uuid"
NET_NAME = "neutron.net.name"
NET_SHARED = "neutron.net.shared"
SUBNET = ("neutron.subnet.uuid", "neutron.subnet.name")
SUBNET_V6 = ("neutron.subnet.v6.uuid", "neutron.subnet.v6.name")
POOL = ("neutron.pool.uuid", "neutron.pool.name")
POOL_V6 = ("neutron.pool.v6.uuid", "neutron.pool.v6.name")
MOST_SHOWN = 4
"""How many ids an error lists."""
CHOICE_KEYS = (NET_UUID, NET_NAME, NET_SHARED, *SUBNET, *SUBNET_V6, *POOL, *POOL_V6)


class Ref(Value, frozen=True):
    """A Neutron resource chosen by id or name; ``keys``: the options for the two. Without either nothing was chosen."""

    keys: tuple[str, str]
    uuid: str = ""
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.uuid or self.name)

    @property
    def query(self) -> dict[str, str]:
        return {"id": self.uuid} if self.uuid else {"name": self.name}

    @property
    def key(self) -> str:
        """The option that counts."""
        return self.keys[0] if self.uuid else self.keys[1]

    @property
    def value(self) -> str:
        return self.uuid or self.name


class Choices(Value, frozen=True):
    """``shared``: ``None`` when not given. No network and no subnet: a new Neutron network."""

    network: Ref = Ref(keys=(NET_UUID, NET_NAME))
    shared: bool | None = None
    subnet_v4: Ref = Ref(keys=SUBNET)
    subnet_v6: Ref = Ref(keys=SUBNET_V6)
    pool_v4: Ref = Ref(keys=POOL)
    pool_v6: Ref = Ref(keys=POOL_V6)

    def subnet(self, version: IpVersion) -> Ref:
        return self.subnet_v4 if version == 4 else self.subnet_v6

    def pool(self, version: IpVersion) -> Ref:
        return self.pool_v4 if version == 4 else self.pool_v6

    @property
    def existing(self) -> bool:
        """Whether they name a Neutron network, if only by one of its subnets."""
        return bool(self.network or self.subnet_v4 or self.subnet_v6)


class Resource(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def project_id(self) -> str | None: ...


R = TypeVar("R", bound=Resource)


def choices_of(options: Mapping[str, Any]) -> Choices:
    """Decode what the user chose; raises :class:`InvalidOption` for values that cannot be right."""
    given = {key: options[key] for key in CHOICE_KEYS if options.get(key) is not None}

    def ref(keys: tuple[str, str], what: str) -> Ref:
        text, name = (str(given.get(key, "")).strip() for key in keys)
        return Ref(keys=keys, uuid=uuid_of(keys[0], text, what) if text else "", name=name)

    return Choices(
        network=ref((NET_UUID, NET_NAME), "network"),
        shared=boolean(NET_SHARED, given[NET_SHARED]) if NET_SHARED in given else None,
        subnet_v4=ref(SUBNET, "subnet"),
        subnet_v6=ref(SUBNET_V6, "subnet"),
        pool_v4=ref(POOL, "subnetpool"),
        pool_v6=ref(POOL_V6, "subnetpool"),
    )


def chosen(options: Mapping[str, Any]) -> dict[str, str]:
    """Those of the options that this module knows, in the form in which they are stored."""
    given = {key: str(options[key]).strip() for key in CHOICE_KEYS if options.get(key) is not None}
    return {key: text for key, text in given.items() if text or key == NET_SHARED}


def agreed(network: Mapping[str, Any], *ipam: Mapping[str, str]) -> dict[str, str]:
    """The choices of ``-o`` and of each pool's ``--ipam-opt`` together; refuses contradictions."""
    together = chosen(network)
    for options in ipam:
        for key, value in options.items():
            if key in together and _meaning(key, together[key]) != _meaning(key, value):
                raise InvalidOption(key, together[key], f"contradicts --ipam-opt {key}={value}")
            together[key] = value
    return together


def only(ref: Ref, found: Sequence[R], what: str, project: OwnProject) -> R:
    """The resource that the user named; refuses if there is none, or several.

    Anybody can give a resource any name. So among several the one in the service's own project is meant.
    """
    if not found:
        raise InvalidOption(ref.key, ref.value, f"no such {what} in Neutron, or not visible to the service's project")
    meant = [each for each in found if project.has(each.project_id)] if len(found) > 1 else list(found)
    if len(meant) != 1:
        ids = ", ".join(sorted(each.id for each in found)[:MOST_SHOWN])
        raise InvalidOption(ref.key, ref.value, f"{len(found)} {what}s have this name ({ids}); use {ref.keys[0]}")
    return meant[0]


def check_network(choices: Choices, network: Network) -> None:
    if choices.shared is not None and choices.shared != network.shared:
        raise InvalidOption(NET_SHARED, _text(choices.shared), f"network {network.id} has shared={network.shared}")


def check_up(network: Network) -> None:
    """Refuse a network that is down: containers would start on it and reach nobody."""
    if not network.admin_state_up:
        raise Conflict(
            f"Neutron network {network.id} is set down (admin_state_up) and carries no traffic; its owner can set it "
            f"up with 'openstack network set --enable {network.id}'"
        )


def at_home(choices: Choices, home: str) -> Choices:
    """The choices with the only possible network, ``home``, filled in if the user named none."""
    return msgspec.structs.replace(choices, network=Ref(keys=(NET_UUID, NET_NAME), uuid=home))


def check_home(choices: Choices, network: Network | None, home: str) -> None:
    """``home``: the virtual machine's network, on which all its containers have to be; "": any network is allowed."""
    if home and network is not None and network.id != home:
        named = [ref for ref in (choices.network, choices.subnet_v4, choices.subnet_v6) if ref]
        allowed = f"the containers of this virtual machine can only be on its own network, {home}; leave the option out"
        raise InvalidOption(named[0].key, named[0].value, allowed)


def check_subnet(ref: Ref, subnet: Subnet, version: IpVersion, network: Network | None) -> None:
    """Refuse a subnet of another network or of the other family."""
    if subnet.ip_version != version:
        raise InvalidOption(ref.key, ref.value, f"is an IPv{subnet.ip_version} subnet ({subnet.cidr})")
    if network is not None and subnet.network_id != network.id:
        raise InvalidOption(ref.key, ref.value, f"is not in Neutron network {network.id}, but in {subnet.network_id}")


def check_cidr(ref: Ref, subnet: Subnet, cidrs: Sequence[str]) -> None:
    """Refuse a subnet whose CIDR is not that of one of Docker's pools (``cidrs``, of its IP version)."""
    if canonical_cidr(subnet.cidr) not in cidrs:
        missing = f"add --ipv6 --subnet={subnet.cidr}" if subnet.ip_version == 6 else f"give --subnet={subnet.cidr}"
        pools = f", Docker's is {', '.join(cidrs)}" if cidrs else f", and Docker has no IPv{subnet.ip_version} pool"
        hint = missing if not cidrs else f"{missing}, or give the option as --ipam-opt and no --subnet"
        raise InvalidOption(ref.key, ref.value, f"the subnet's CIDR is {subnet.cidr}{pools}; {hint}")


def check_pool(choices: Choices, pool: SubnetPool, version: IpVersion, cidrs: Sequence[str]) -> None:
    """Refuse a pool that cannot provide one of these CIDRs, or whose ``shared`` differs from the option."""
    ref = choices.pool(version)
    if pool.ip_version != version:
        raise InvalidOption(ref.key, ref.value, f"is an IPv{pool.ip_version} subnetpool")
    for cidr in cidrs:
        if not holds(pool, cidr):
            raise InvalidOption(
                ref.key, ref.value, f"the subnetpool holds {', '.join(pool.prefixes) or 'nothing'}, and not {cidr}"
            )
    if choices.shared is not None and choices.shared != pool.shared:
        raise InvalidOption(NET_SHARED, _text(choices.shared), f"subnetpool {pool.id} has shared={pool.shared}")


def check_families(choices: Choices, versions: Sequence[IpVersion]) -> None:
    """Refuse a choice for an IP version that the Docker network does not have."""
    for version in (4, 6):
        for ref in (choices.subnet(version), choices.pool(version)):
            if ref and version not in versions:
                hint = "add --ipv6 and a --subnet for it" if version == 6 else "it was switched off by --ipv4=false"
                raise InvalidOption(ref.key, ref.value, f"the Docker network has no IPv{version}: {hint}")


def holds(pool: SubnetPool, cidr: str) -> bool:
    """Whether a prefix of the pool contains the CIDR."""
    inner = ipaddress.ip_network(cidr)
    for text in pool.prefixes:
        outer = ipaddress.ip_network(text)
        if outer.version == inner.version and outer.prefixlen <= inner.prefixlen and inner.network_address in outer:
            return True
    return False


def _meaning(key: str, value: str) -> object:
    if key == NET_SHARED:
        return boolean(key, value)
    return uuid_of(key, value, "resource") if key.endswith(".uuid") else value


def _text(value: bool) -> str:
    return str(value).lower()
