# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the user wants of the Neutron ports of his containers: for all of a network (``-o``), or for one container.

A container's options override its network's. Ports are created with their network's options; a container's own options
go into the PUT that binds its port, so neither costs a call. On a port that the user created himself only the
container's options are applied, and undone at the end. Names are looked up; those of a network only once.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.neutron import QosPolicy, SecurityGroup
from kuryr_libnetwork.model.records import LeaseRecord, NetworkRecord, PortSettings
from kuryr_libnetwork.rules.ownership import OwnProject, OwnSubnetPool
from kuryr_libnetwork.rules.parsing import ANY_UUID, DNS_LABEL, boolean, uuid_of

SECURITY_GROUPS = "neutron.security_groups"
QOS_POLICY = "neutron.qos_policy"
PORT_SECURITY = "neutron.port_security"
DNS_DOMAIN = "neutron.dns_domain"
PORT_UUID = "neutron.port.uuid"
PORT_KEYS = (SECURITY_GROUPS, QOS_POLICY, PORT_SECURITY, DNS_DOMAIN)
NONE = "none"
EXTENSIONS = {
    SECURITY_GROUPS: "security-group",
    QOS_POLICY: "qos",
    PORT_SECURITY: "port-security",
    DNS_DOMAIN: "dns-domain-ports",
}
"""The extension of Neutron that each option needs."""

OPTION = "kuryr.opt:"
_POOL = "port_pool"
GROUP = "security group"
POLICY = "QoS policy"
DEFAULT = "default"
"""Neutron refuses it as the name of any other group, however it is spelt."""
LONGEST_DOMAIN = 45
"""Characters before the last dot, so that the tag that remembers it fits into 60 (releases of Neutron before 2025)."""


def parse_port_options(options: Mapping[str, Any]) -> PortSettings:
    """The options given, with names not yet looked up; raises :class:`InvalidOption` for invalid values."""
    given = {key: str(options[key]).strip() for key in PORT_KEYS if options.get(key) is not None}
    settings = PortSettings(
        security_groups=_groups(given[SECURITY_GROUPS]) if SECURITY_GROUPS in given else None,
        qos_policy=_policy(given[QOS_POLICY]) if QOS_POLICY in given else None,
        port_security=boolean(PORT_SECURITY, given[PORT_SECURITY]) if PORT_SECURITY in given else None,
        dns_domain=_domain(given[DNS_DOMAIN]) if DNS_DOMAIN in given else None,
    )
    if settings.port_security is False and settings.security_groups:
        raise InvalidOption(SECURITY_GROUPS, given[SECURITY_GROUPS], f"contradicts {PORT_SECURITY}=false")
    return settings


def parse_port_uuid(options: Mapping[str, Any]) -> str:
    """The port that the container is to have; "" when none is named."""
    text = str(options.get(PORT_UUID) or "").strip()
    return uuid_of(PORT_UUID, text, "port") if text else ""


def keys_of(settings: PortSettings) -> list[str]:
    """The options that were given."""
    values = (settings.security_groups, settings.qos_policy, settings.port_security, settings.dns_domain)
    return [key for key, value in zip(PORT_KEYS, values, strict=True) if value is not None]


def refuse_missing(settings: PortSettings, extensions: frozenset[str]) -> None:
    """Neutron may ignore what it does not know, and would then let anybody in."""
    for key in keys_of(settings):
        if EXTENSIONS[key] not in extensions:
            raise InvalidOption(key, _shown(settings, key), f"this cloud's Neutron has no extension {EXTENSIONS[key]}")


def is_id(text: str) -> bool:
    return ANY_UUID.fullmatch(text) is not None


def group_named(text: str, found: Iterable[SecurityGroup], own: OwnProject, owner: str) -> str:
    """The id of the group that a name means, of those ``found``; ``owner``: the project of the Neutron network.

    A group of the network's owner opens the container to whom he likes, and he may give his groups any name but one.
    1. ``default``, which Neutron itself gives to one group of each project, and to no other: the network owner's, which
    lets in his own ports, else the service's. 2. Other names: the service's own, so that nobody puts another one in its
    place, else the network owner's. 3. Nobody else's.
    """
    named = [group for group in found if group.name == text]
    mine = [group.id for group in named if own.has(group.project_id)]
    theirs = [group.id for group in named if owner and group.project_id == owner]
    meant = theirs or mine if text == DEFAULT else mine or theirs
    return _only(SECURITY_GROUPS, text, meant, GROUP, _where(own, owner))


def policy_named(text: str, found: Iterable[QosPolicy], own: OwnProject, owner: str) -> str:
    """The id of the policy that a name means: the service's own, else the one that is shared, else the network
    owner's.
    """
    policies = list(found)
    mine = [policy.id for policy in policies if own.has(policy.project_id)]
    shared = [policy.id for policy in policies if policy.shared]
    theirs = [policy.id for policy in policies if owner and policy.project_id == owner]
    return _only(QOS_POLICY, text, mine or shared or theirs, POLICY, f"{_where(own, owner)}, and none that is shared")


def group_with_id(text: str, there: Collection[str]) -> str:
    return _known(SECURITY_GROUPS, text, there, GROUP)


def policy_with_id(text: str, there: Collection[str]) -> str:
    return _known(QOS_POLICY, text, there, POLICY)


def _known(key: str, text: str, there: Collection[str], what: str) -> str:
    if text not in there:
        raise InvalidOption(key, text, f"no such {what} in Neutron, or not visible to the service's project")
    return text


def _only(key: str, text: str, meant: Sequence[str], what: str, where: str) -> str:
    if not meant:
        raise InvalidOption(key, text, f"no such {what} {where}; one of another project is named by its id")
    if len(meant) > 1:
        raise InvalidOption(
            key, text, f"Neutron has {len(meant)} of this name ({', '.join(meant)}); give the id of the {what}"
        )
    return meant[0]


def _where(own: OwnProject, owner: str) -> str:
    if not owner or own.has(owner):
        return "in the service's own project"
    return (
        f"in the service's own project, nor in project {owner} of the Neutron network as far as the service sees it "
        "(without the role admin: what is shared with its project)"
    )


def attributes_of(settings: PortSettings) -> dict[str, Any]:
    """As Neutron's attributes of a port. Without port security there are no security groups."""
    attributes: dict[str, Any] = {}
    if settings.security_groups is not None or settings.port_security is False:
        attributes["security_groups"] = list(settings.security_groups or ())
    if settings.port_security is not None:
        attributes["port_security_enabled"] = settings.port_security
    if settings.qos_policy is not None:
        attributes["qos_policy_id"] = settings.qos_policy or None
    if settings.dns_domain is not None:
        attributes["dns_domain"] = settings.dns_domain
    return attributes


def refuse_contradictions(settings: PortSettings, lease: LeaseRecord) -> None:
    """What a container says against what its port is, by its network or by its owner."""
    secured = lease.port_security if settings.port_security is None else settings.port_security
    if settings.security_groups and not secured:
        raise InvalidOption(
            SECURITY_GROUPS,
            ",".join(settings.security_groups),
            f"the port has no port security, by its network or by its owner; add {PORT_SECURITY}=true",
        )
    if settings.port_security and not lease.port_security and settings.security_groups is None:
        raise InvalidOption(
            PORT_SECURITY, "true", f"the port has no security groups, nobody could reach it; add {SECURITY_GROUPS}"
        )


def missing(attributes: Mapping[str, Any], message: str) -> InvalidOption | None:
    """The option that is to blame if Neutron cannot find something, by Neutron's ``message``."""
    named = [(SECURITY_GROUPS, group, "security group") for group in attributes.get("security_groups", ())]
    named.append((QOS_POLICY, attributes.get("qos_policy_id") or "", "QoS policy"))
    return next(
        (
            InvalidOption(key, text, f"no such {what} in Neutron, or not visible to the service's project")
            for key, text, what in named
            if text and text in message
        ),
        None,
    )


def refuse_admins(attributes: Mapping[str, Any], port_id: str, message: str) -> None:
    """What only the role admin may set on a port of another project; ``message``: Neutron's own, which forbids it."""
    if "qos_policy_id" in attributes:
        raise InvalidOption(
            QOS_POLICY,
            attributes["qos_policy_id"] or NONE,
            f"port {port_id} belongs to another project, and only the role admin may set the QoS policy of such a "
            "port; leave the option out, have the port's owner set it, or give the service's user that role "
            f"({message})",
        )


def refuse_ignored(attributes: Mapping[str, Any], dns_domain: str | None) -> None:
    """Neutron lists the extension also where it ignores the attribute (seen with release 29 and the ML2 driver
    ``dns``).
    """
    asked = attributes.get("dns_domain")
    if asked and asked != dns_domain:
        raise InvalidOption(DNS_DOMAIN, asked, "Neutron ignored it; ML2 needs the extension driver dns_domain_ports")


def effective(lease: LeaseRecord, attributes: Mapping[str, Any]) -> LeaseRecord:
    """The lease of a port as it is to be: what is opened on it besides is added to these groups."""
    return msgspec.structs.replace(
        lease,
        security_groups=tuple(attributes.get("security_groups", lease.security_groups)),
        port_security=attributes.get("port_security_enabled", lease.port_security),
    )


def refuse_other_port(port_uuid: str, lease: LeaseRecord, addresses: Sequence[str]) -> None:
    """``neutron.port.uuid`` of another port than the one that Docker has taken an address of.

    Docker chooses the address first and tells the option afterwards, and an address cannot be changed then: so the port
    is chosen by its address, and the option makes sure that it is this one. ``addresses``: of the port that is named.
    """
    if port_uuid and lease.port_id != port_uuid:
        got = ", ".join(ip.ip_address for ip in lease.held)
        has = f"has {', '.join(addresses)}" if addresses else "has no address here, or does not exist"
        flags = " ".join(f"{'--ip6' if ':' in address else '--ip'} {address}" for address in addresses)
        raise InvalidOption(
            PORT_UUID,
            port_uuid,
            f"Docker has chosen address {got} before it told this option, and the port {has}"
            + (f"; add {flags}" if flags else "; name a port of this network and add --ip with its address"),
        )


# -- remembered in Neutron -----------------------------------------------------------------------------------------


def option_tags(record: NetworkRecord) -> tuple[str, ...]:
    """What a network says of its containers, as tags of a pool of its own: the journal may be lost, and Docker tells
    once.
    """
    said = record.ports
    simple = ("vnic_type", record.vnic_type), ("pf", record.pf), ("mtu", record.asked_mtu), (_POOL, record.port_pool)
    texts = [f"{key}={value}" for key, value in simple if value]
    texts += [f"group={group}" for group in said.security_groups or ()]
    texts += ["group="] if said.security_groups == () else []
    texts += [f"qos={said.qos_policy}"] if said.qos_policy is not None else []
    texts += [f"port_security={str(said.port_security).lower()}"] if said.port_security is not None else []
    texts += [f"dns={said.dns_domain}"] if said.dns_domain is not None else []
    return tuple(OPTION + text for text in texts)


def with_remembered(record: NetworkRecord, pools: Iterable[OwnSubnetPool]) -> NetworkRecord:
    """The record with what the tags of its pools say."""
    tags = sorted(tag for pool in pools for tag in pool.tags)
    pairs = [tag.removeprefix(OPTION).partition("=")[::2] for tag in tags if tag.startswith(OPTION)]
    said = dict(pairs)
    groups = tuple(text for key, text in pairs if key == "group" and text)
    ports = PortSettings(
        security_groups=groups if "group" in said else None,
        qos_policy=said.get("qos"),
        port_security=said["port_security"] == "true" if "port_security" in said else None,
        dns_domain=said.get("dns"),
    )
    mtu, pool = said.get("mtu", ""), said.get(_POOL, "")
    return msgspec.structs.replace(
        record,
        vnic_type=said.get("vnic_type", ""),
        pf=said.get("pf", ""),
        ports=ports,
        asked_mtu=int(mtu) if mtu.isdecimal() and len(mtu) <= 5 else 0,
        port_pool="auto" if pool == "auto" else int(pool) if pool.isdecimal() and len(pool) <= 4 else 0,
    )


def _groups(text: str) -> tuple[str, ...]:
    if text.lower() in ("", NONE):
        return ()
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InvalidOption(SECURITY_GROUPS, text, f"must be names or ids with commas between, or {NONE}")
    return tuple(dict.fromkeys(_canonical(name) for name in names))


def _policy(text: str) -> str:
    return "" if text.lower() == NONE else _canonical(text)


def _canonical(text: str) -> str:
    """Neutron compares ids as text."""
    return str(uuid.UUID(text)) if is_id(text) else text


def _domain(text: str) -> str:
    """As Neutron wants it, with a dot at the end; "" for none."""
    name = text.lower().rstrip(".")
    if name in ("", NONE):
        return ""
    if len(name) > LONGEST_DOMAIN or not all(DNS_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidOption(
            DNS_DOMAIN, text, f"must be a DNS domain such as example.org, at most {LONGEST_DOMAIN} characters"
        )
    return f"{name}."


def _shown(settings: PortSettings, key: str) -> str:
    attributes = {
        SECURITY_GROUPS: ",".join(settings.security_groups or ()) or NONE,
        QOS_POLICY: settings.qos_policy or NONE,
        PORT_SECURITY: str(settings.port_security).lower(),
        DNS_DOMAIN: settings.dns_domain or NONE,
    }
    return attributes[key]
