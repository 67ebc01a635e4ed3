# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Adopting a user's port for a container, and giving it back exactly as it was.

An address that a user's port already has means that port. It is bound by one PUT with only what differs; a port that is
bound to this host already, as Zun prepares them (docs/notes/upstream.md, "How Zun uses the plugin"), needs none. What
the PUT changes is stored in the journal and, by the same PUT, in the port's own binding profile (:mod:`~.ownership`),
and restored at the end; what the owner changes on his port meanwhile stays.

Two hosts must never get one port. Neutron accepts two simultaneous changes, even if both are based on the same revision
of the port (seen with release 29: 40 of 40), and the second one's profile replaces the first one's. So before the PUT
each host claims the port, by tags on a subnetpool of its own, where nobody else can write, and then looks who else
claims it. Of two that see each other the one with the larger endpoint id gives way. The claim is needed until the PUT
is done: then the port is bound, and its revision has changed. A claim left by a dead host counts for some minutes only.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any

import msgspec

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model.neutron import FixedIp, Port
from kuryr_libnetwork.model.records import Change
from kuryr_libnetwork.rules.device_profile import given_mac
from kuryr_libnetwork.rules.identity import DEVICE_OWNER, is_docker_id, made_by_us
from kuryr_libnetwork.rules.ownership import (
    OwnProject,
    OwnSubnetPool,
    PortMemory,
    memory_of,
    with_memory,
    without_memory,
)

HOST_ID, OWNER, DEVICE = "binding:host_id", "device_owner", "device_id"
MAC, PROFILE, GROUPS = "mac_address", "binding:profile", "security_groups"
QOS, UP = "qos_policy_id", "admin_state_up"
CHANGED = frozenset({HOST_ID, OWNER, DEVICE, MAC, GROUPS, QOS, UP, "port_security_enabled", "dns_domain"})
"""The attributes that a binding may change on an adopted port, besides its profile; only these are ever restored."""

CLAIM, CLAIMANT = "kuryr.claim:", "kuryr.claimant:"
"""The two tags of a claim: the first names the port, and is searched for; the second names the claimant and the time.
"""
CLAIM_MINUTES = 10
"""How long a claim counts. The calls between it and the PUT take only seconds."""
_PORT_DIGITS, ENDPOINT_DIGITS = 8, 24


def may_adopt(port: Port, project: OwnProject, host: str, leased: Iterable[str]) -> None:
    """Refuse a port that somebody uses, and name the owner.

    1. A container of this host has it: refused.
    2. Kuryr made it, for a container of another host, or for one that is about to be cleaned up here: refused.
    3. The binding is not visible, so we cannot know: refused.
    4. Neutron's own ports (routers, DHCP …): refused.
    5. Zun's ports, which it prepares for us with its own container as the device: free.
    6. Bound to a host: refused, it is in use.
    7. Not bound, but with an owner (a trunk's subport has no device): refused, somebody is about to use it.
    8. With a device alone: free. Zun creates such ports for the networks that a running container is connected to, and
       upstream leaves the id of the last endpoint there. A virtual machine's or a load balancer's port gets its owner
       together with its device.
    """
    what = f"port {port.id} ({', '.join(ip.ip_address for ip in port.fixed_ips)})"
    own = project.port(port)
    if port.id in set(leased):
        raise PortNotAdoptable(f"{what} is in use by a container of this host")
    if own is not None and memory_of(port) is None and made_by_us(own):
        raise PortNotAdoptable(f"{what} was made for another container (description: {port.description or 'none'})")
    if port.host_id is None:
        raise PortNotAdoptable(
            f"{what}: the service's role may not see binding:host_id, so whether it is free is unknown"
        )
    if port.device_owner.startswith("network:"):
        raise PortNotAdoptable(f"{what} belongs to Neutron itself ({port.device_owner}, device {port.device_id})")
    if port.device_owner == DEVICE_OWNER and port.host_id in {"", host}:
        return
    if port.host_id:
        raise PortNotAdoptable(f"{what} is bound to host {port.host_id} by {_owner(port)}")
    if port.device_owner:
        raise PortNotAdoptable(f"{what} is reserved by {_owner(port)}")


def as_found(port: Port) -> Port:
    """The port as it has to be given back: without the device that upstream's last container left on it."""
    if port.host_id or port.device_owner or not is_docker_id(port.device_id):
        return port
    return msgspec.structs.replace(port, device_id="")


# -- claiming ------------------------------------------------------------------------------------------------------


def claim_tags(port_id: str, endpoint_id: str, now: float) -> tuple[str, str]:
    """The tags on a subnetpool of ours that claim a port for an endpoint. ``now``: seconds since the epoch."""
    return CLAIM + port_id, f"{_claimant_of(port_id)}{endpoint_id[:ENDPOINT_DIGITS]}:{int(now // 60):x}"


def claims_to_come(pools: Iterable[OwnSubnetPool], port_id: str, now: float) -> set[str]:
    """The tags of claims of a port that are dated in the future: a host's clock was wrong, and they would count until
    then.
    """
    prefix, latest = _claimant_of(port_id), now // 60 + CLAIM_MINUTES
    found = {tag for pool in pools for tag in pool.tags if tag.startswith(prefix)}
    return {tag for tag in found if _minutes(tag.rpartition(":")[2]) > latest}


def rivals(
    pools: Iterable[OwnSubnetPool], port_id: str, mine: Iterable[str], now: float, over: Container[str] = ()
) -> set[str]:
    """The endpoints (prefixes of their ids) that claim a port on these pools, except ``mine``, those of this host.

    ``over``: tags of claims that are known to count no longer.
    """
    prefix, oldest = _claimant_of(port_id), now // 60 - CLAIM_MINUTES
    tags = [tag for pool in pools for tag in pool.tags if tag.startswith(prefix) and tag not in over]
    told = [tag.removeprefix(prefix).partition(":") for tag in tags]
    own = {endpoint_id[:ENDPOINT_DIGITS] for endpoint_id in mine}
    return {endpoint for endpoint, _, since in told if _minutes(since) >= oldest} - own


def claimants(pool: OwnSubnetPool) -> set[str]:
    """The endpoints (prefixes of their ids) whose claims are on a pool."""
    return {
        tag.removeprefix(CLAIMANT).split(":")[1]
        for tag in pool.tags
        if tag.startswith(CLAIMANT) and ":" in tag[len(CLAIMANT) :]
    }


def finished_claims(pool: OwnSubnetPool, finished: Iterable[str], now: float) -> list[str]:
    """The tags to remove from a pool: those of ``finished`` endpoints of this host, and those that no longer count.

    The tag that names a port is removed with its last claimant's.
    """
    over, oldest = {endpoint_id[:ENDPOINT_DIGITS] for endpoint_id in finished}, now // 60 - CLAIM_MINUTES
    told = [tag for tag in pool.tags if tag.startswith(CLAIMANT)]
    left, gone = set[str](), list[str]()
    for tag in told:
        port, _, rest = tag.removeprefix(CLAIMANT).partition(":")
        endpoint, _, since = rest.partition(":")
        if endpoint in over or _minutes(since) < oldest:
            gone.append(tag)
        else:
            left.add(port)
    named = [tag for tag in pool.tags if tag.startswith(CLAIM)]
    return gone + [tag for tag in named if tag.removeprefix(CLAIM)[:_PORT_DIGITS] not in left]


def must_wait(others: Iterable[str], port: Port, endpoint_id: str) -> bool:
    """Whether another host is about to give way to our claim; ``False``: nobody else claims the port.

    Raises :class:`PortNotAdoptable` if one with a smaller id claims it: then we give way.
    """
    others = set(others)
    if others and endpoint_id[:ENDPOINT_DIGITS] > min(others):
        raise PortNotAdoptable(f"port {port.id} {_taken_by(others)}")
    return bool(others)


def _claimant_of(port_id: str) -> str:
    return f"{CLAIMANT}{port_id[:_PORT_DIGITS]}:"


def _minutes(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def why_not_by_mac(
    port: Port, mac: str, given: Iterable[FixedIp], project: OwnProject, host: str, leased: Iterable[str]
) -> str:
    """What the user can do if his ``--mac-address`` is an existing port's; Docker names the MAC only after it has
    chosen an address.
    """
    has = ", ".join(ip.ip_address for ip in port.fixed_ips) or "none"
    got = ", ".join(ip.ip_address for ip in given)
    try:
        may_adopt(port, project, host, leased)
    except PortNotAdoptable as error:
        return f"--mac-address {mac} is in use: {error}"
    if not port.fixed_ips:
        return (
            f"--mac-address {mac} is that of port {port.id}, which has no address; give it one and name that with --ip"
        )
    return (
        f"--mac-address {mac} is that of port {port.id}, whose address is {has}, but Docker chose {got} before it told "
        f"the MAC; to use the port add --ip {port.fixed_ips[0].ip_address}"
    )


# -- changing and putting back -------------------------------------------------------------------------------------


def binding(port: Port, endpoint_id: str, host: str, mac: str) -> dict[str, Any]:
    """The attributes that an adopted port must have for its container. It keeps its name, and an existing device, by
    which Zun finds it.
    """
    wanted = {HOST_ID: host, OWNER: DEVICE_OWNER, DEVICE: port.device_id or endpoint_id, UP: True}
    return wanted | ({MAC: mac.lower()} if mac else {})


def by_neutron(port: Port, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What Neutron changes in addition: a whole PF keeps its own MAC, which the port gets."""
    mac = given_mac(wanted.get(PROFILE, port.profile))
    return {MAC: mac} if port.vnic_type == "direct-physical" and mac else {}


def changes_of(port: Port, wanted: Mapping[str, Any]) -> tuple[Change, ...]:
    """The attributes of a port that differ from what they have to be."""
    shown = _shown(port)
    pairs = ((name, shown.get(name), _plain(value)) for name, value in wanted.items())
    return tuple(Change(name=name, before=before, ours=ours) for name, before, ours in pairs if before != ours)


def attributes_of(changes: Iterable[Change]) -> dict[str, Any]:
    """The attributes of the PUT that makes the changes."""
    return {change.name: change.ours for change in changes}


def restoration(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The PUTs that revert the changes.

    The MAC needs a second one: Neutron refuses a new MAC while the port is bound (409 PortBound), even in the PUT that
    unbinds it. A port that was bound before has kept its MAC for the same reason. Until the second PUT the port stays
    ours, and its profile has the MAC. The port of a whole PF is the exception: Neutron gives it a MAC when its owner is
    removed.
    """
    changes = list(changes)
    before = {change.name: change.before for change in changes}
    whole = any(change.name == PROFILE and given_mac(change.ours) for change in changes)
    later = (MAC,) if whole or MAC not in before else (MAC, OWNER, PROFILE)
    last = {name: before.pop(name) for name in later if name in before}
    return [each for each in (before, last) if each]


def untouched(changes: Iterable[Change], port: Port) -> bool:
    """Whether all that we are about to change still has the value that we read."""
    shown = _shown(port)
    return all(shown.get(change.name) == change.before for change in changes)


def standing(changes: Iterable[Change], port: Port, host: str, exposed: Iterable[str] = ()) -> tuple[Change, ...]:
    """Those of our changes that nobody has changed since; none on a port that has moved to another host.

    ``exposed``: groups for exposed ports, which are added and removed separately.
    """
    if port.host_id not in {"", host}:
        return ()
    shown = _shown(port)

    def is_ours(change: Change) -> bool:
        return _is_said(shown, change.name, change.ours, exposed)

    others = [change for change in changes if change.name != PROFILE and is_ours(change)]
    profiles = [_profile_back(change, port) for change in changes if change.name == PROFILE]
    return (*others, *(change for change in profiles if change.before != change.ours))


def as_left(changes: Iterable[Change], port: Port, groups: Iterable[str] | None, exposed: Collection[str] = ()) -> bool:
    """Whether the port says what the binding made it say. ``groups``: what it has besides those ``exposed``, where they
    are about to be written; ``None``: they are not.
    """
    shown = _shown(port)
    said = {} if groups is None else {GROUPS: sorted(groups)}
    said |= {change.name: change.ours for change in changes}
    return all(_is_said(shown, name, value, exposed) for name, value in said.items())


def is_rebuilt(changes: Iterable[Change], original: Port) -> bool:
    """Whether a lease was made from the port as a binding had left it, so that one answer of Neutron's is all that is
    known of its former state. (The original of a lease that is made for a new binding says what is to come back.)
    """
    return not untouched(changes, original)


def differences(port: Port, other: Port) -> list[str]:
    """Of what a binding changes: that of which the two say different things."""
    one, two = _shown(port), _shown(other)
    return sorted(name for name in CHANGED | {PROFILE} if one.get(name) != two.get(name))


def _is_said(shown: Mapping[str, Any], name: str, value: Any, exposed: Iterable[str]) -> bool:
    besides = set(exposed) if name == GROUPS else set[str]()

    def own(value: Any) -> Any:
        return [each for each in value if each not in besides] if besides else value

    return bool(own(shown.get(name)) == own(value))


def _profile_back(change: Change, port: Port) -> Change:
    """The change of the profile, key by key: what others have written into the profile meanwhile stays."""
    mine = {key for key in {*change.before, *change.ours} if change.before.get(key) != change.ours.get(key)}
    untouched = {key for key in mine if port.profile.get(key) == change.ours.get(key)}
    kept = {key: value for key, value in port.profile.items() if key not in untouched}
    back = {key: value for key, value in change.before.items() if key in untouched}
    return Change(name=PROFILE, before=without_memory(kept | back), ours=port.profile)


# -- remembering ---------------------------------------------------------------------------------------------------


def with_profile(changes: Iterable[Change], original: Port, host: str, endpoint_id: str) -> tuple[Change, ...]:
    """The changes, and one more that stores them in the profile; none if nothing is changed."""
    changes = tuple(changes)
    if not changes:
        return ()
    profile = next((change.ours for change in changes if change.name == PROFILE), original.profile)
    others = [change for change in changes if change.name != PROFILE]
    keys = {key for key in {*profile, *original.profile} if profile.get(key) != original.profile.get(key)}
    memory = PortMemory(
        host=host,
        endpoint=endpoint_id,
        was={change.name: change.before for change in others},
        profile_was={key: original.profile.get(key) for key in sorted(keys)},
    )
    ours = with_memory(profile, memory)
    return (*others, Change(name=PROFILE, before=original.profile, ours=ours)) if ours != original.profile else changes


def without_profile(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes without the memory, for a role that may not write it; the profile's other keys stay."""
    forgetful = []
    for change in changes:
        ours = without_memory(change.ours) if change.name == PROFILE else change.ours
        if ours != change.before:
            forgetful.append(msgspec.structs.replace(change, ours=ours))
    return tuple(forgetful)


def remembered(port: Port, memory: PortMemory) -> tuple[Change, ...]:
    """Our changes on a port, from the port alone: for after a crash, or without the journal."""
    shown = _shown(port)
    was = {name: _plain(value) for name, value in memory.was.items() if name in CHANGED and name in shown}
    changes = [Change(name=name, before=value, ours=shown[name]) for name, value in was.items() if shown[name] != value]
    kept = {key: value for key, value in port.profile.items() if key not in memory.profile_was}
    back = {key: value for key, value in memory.profile_was.items() if value is not None}
    return (*changes, Change(name=PROFILE, before=without_memory(kept | back), ours=port.profile))


def unbinding(port: Port) -> tuple[Change, ...]:
    """The changes that unbind a port adopted by upstream, which stores nothing: no host, no owner, no device."""
    return tuple(
        Change(name=name, before="", ours=value)
        for name, value in ((HOST_ID, port.host_id), (OWNER, port.device_owner), (DEVICE, port.device_id))
        if value
    )


def _shown(port: Port) -> dict[str, Any]:
    """The port with Neutron's attribute names, in a form that can be compared and stored."""
    shown: dict[str, Any] = msgspec.to_builtins(port)
    return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    """A value in a comparable form; lists of ids have no order in Neutron."""
    return sorted(value) if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value) else value


def _taken_by(others: Iterable[str]) -> str:
    marks = " and ".join(sorted(other[:12] for other in others))
    return (
        f"is being taken for endpoint {marks} of another host; should that host be gone, try again in {CLAIM_MINUTES} "
        "minutes"
    )


def _owner(port: Port) -> str:
    return f"{port.device_owner or 'an unnamed owner'} (device {port.device_id or 'none'})"
