# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Taking over a port of the user's for a container, and giving it back exactly as it was.

An address that a port of the user already holds means that port. It is marked with the endpoint's tags, then bound by one
PUT that says no more than what differs: a port that is bound to this host already, as Zun prepares them (kuryr-compat §6),
needs none. What the PUT changes is remembered, in the journal and in the same tags, and put back at the end; what the owner
does to his port meanwhile stays.

The tags are also a claim. Neutron lets two simultaneous changes both through, also when they rest on the same revision of the
port (seen with release 29: 40 of 40), so two hosts would both get it. But a tag changes the revision. Each host marks the port
before it binds it, and binds it only if nothing but its own mark has changed it since it looked. Whoever finds another one's
mark beside his own gives way; of two that find each other, the one with the larger endpoint id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kuryr_libnetwork.errors import PortNotAdoptable
from kuryr_libnetwork.model import Change, FixedIp, Port
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    EXISTING_PORT,
    HALF,
    LOWER_HALF,
    WAS,
    id_tags,
    is_docker_id,
    is_ours,
    made_by_us,
)

HOST_ID, OWNER, DEVICE = "binding:host_id", "device_owner", "device_id"
MAC, PROFILE, GROUPS = "mac_address", "binding:profile", "security_groups"
QOS = "qos_policy_id"
_IN_PROFILE, _GROUP = "profile.", "group"
_SHORT = {QOS: "qos"}
LONGEST_TAG = 60
"""Characters in a tag; releases of Neutron before 2025 take no more. A longer memory is in the journal alone."""


def may_adopt(port: Port, host: str, leased: Iterable[str], claim: str = "") -> None:
    """Refuse a port that somebody uses; the owner is named. ``claim``: the endpoint that has marked it for us.

    1. A container of this host has it already. 2. Kuryr made it: for a container of another host, or one that is about to
    be cleaned up here. 3. The binding is not visible: we cannot know. 4. Neutron's own ports (routers, DHCP …) are never
    given away. 5. Unbound, but another host has marked it. 6. Zun's, which prepares ports for us with its own container as
    the device: free. 7. Bound to a host: in use. 8. Upstream leaves the id of the last endpoint as device, and nothing
    else: free. 9. Not bound, but with a device or an owner (a trunk's subport has no device): somebody is about to use it.
    """
    what = f"port {port.id} ({', '.join(ip.ip_address for ip in port.fixed_ips)})"
    if port.id in set(leased):
        raise PortNotAdoptable(f"{what} is in use by a container of this host")
    if made_by_us(port):
        raise PortNotAdoptable(f"{what} was made for another container (description: {port.description or 'none'})")
    if port.host_id is None:
        raise PortNotAdoptable(
            f"{what}: the service's role may not see binding:host_id, so whether it is free is unknown"
        )
    if port.device_owner.startswith("network:"):
        raise PortNotAdoptable(f"{what} belongs to Neutron itself ({port.device_owner}, device {port.device_id})")
    others = rivals(port, claim) - {port.device_id[:HALF]}
    if others and not port.host_id:
        raise PortNotAdoptable(f"{what} {_taken_by(others)}")
    if port.device_owner == DEVICE_OWNER and port.host_id in {"", host}:
        return
    if port.host_id:
        raise PortNotAdoptable(f"{what} is bound to host {port.host_id} by {_owner(port)}")
    if is_docker_id(port.device_id) and not port.device_owner:
        return
    if port.device_id or port.device_owner:
        raise PortNotAdoptable(f"{what} is reserved by {_owner(port)}")


# -- claiming ------------------------------------------------------------------------------------------------------


def claim_tags(endpoint_id: str, changes: Iterable[Change]) -> tuple[str, ...]:
    """The tags of an adopted port: upstream's, and what the binding is about to change."""
    return (*id_tags(endpoint_id), EXISTING_PORT, *_memory(changes))


def rivals(port: Port, claim: str) -> set[str]:
    """The endpoints (lower halves of their ids) that have marked a port, but ``claim``."""
    marked = {tag.removeprefix(LOWER_HALF) for tag in port.tags if tag.startswith(LOWER_HALF)}
    return marked - {claim[:HALF]}


def must_wait(port: Port, claim: str, host: str, leased: Iterable[str]) -> bool:
    """Whether another host is about to give way to our claim; ``False``: the port is ours to bind.

    Raises :class:`PortNotAdoptable`: give way. 1. Somebody took our mark off. 2. Somebody has bound the port, or no longer
    allows it to be taken. 3. Nobody else has marked it: ours. 4. Somebody has, with a smaller id.
    """
    if LOWER_HALF + claim[:HALF] not in port.tags:
        raise PortNotAdoptable(f"port {port.id}: somebody took our tags off while it was adopted")
    others = rivals(port, claim)
    may_adopt(msgspec.structs.replace(port, tags=without_claims(port, others)), host, leased, claim)
    if others and claim[:HALF] > min(others):
        raise PortNotAdoptable(f"port {port.id} {_taken_by(others)}")
    return bool(others)


def without_claims(port: Port, claims: Iterable[str]) -> tuple[str, ...]:
    """The tags of a port less the marks of these endpoints."""
    upper = {tag for claim in claims for tag in id_tags(claim)}
    return tuple(tag for tag in port.tags if tag not in upper)


def own_tags(port: Port) -> tuple[str, ...]:
    """The tags of a port that are its owner's."""
    return tuple(tag for tag in port.tags if not is_ours(tag))


def why_not_by_mac(port: Port, mac: str, given: Iterable[FixedIp], host: str, leased: Iterable[str]) -> str:
    """``--mac-address`` of a port that exists: what the user can do. Docker tells the MAC after it has chosen an address."""
    has = ", ".join(ip.ip_address for ip in port.fixed_ips) or "none"
    got = ", ".join(ip.ip_address for ip in given)
    try:
        may_adopt(port, host, leased)
    except PortNotAdoptable as error:
        return f"--mac-address {mac} is in use: {error}"
    if not port.fixed_ips:
        return (
            f"--mac-address {mac} is that of port {port.id}, which has no address; give it one and name that with --ip"
        )
    return (
        f"--mac-address {mac} is that of port {port.id}, whose address is {has}, but Docker chose {got} before it told the "
        f"MAC; to use the port add --ip {port.fixed_ips[0].ip_address}"
    )


# -- changing and putting back -------------------------------------------------------------------------------------


def binding(port: Port, endpoint_id: str, host: str, mac: str) -> dict[str, Any]:
    """What an adopted port must say for its container: it keeps its name, and a device that it has (Zun finds it by that)."""
    wanted = {HOST_ID: host, OWNER: DEVICE_OWNER, DEVICE: port.device_id or endpoint_id, "admin_state_up": True}
    return wanted | ({MAC: mac.lower()} if mac else {})


def by_neutron(port: Port, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What Neutron changes besides: a whole PF keeps its own MAC, which the port gets (sriov §0.9)."""
    mac = str(wanted.get(PROFILE, port.profile).get("device_mac_address", ""))
    return {MAC: mac.lower()} if port.vnic_type == "direct-physical" and mac else {}


def changes_of(port: Port, wanted: Mapping[str, Any]) -> tuple[Change, ...]:
    """What a port says otherwise than it has to."""
    shown = _shown(port)
    pairs = ((name, shown.get(name), _plain(value)) for name, value in wanted.items())
    return tuple(Change(name=name, before=before, ours=ours) for name, before, ours in pairs if before != ours)


def attributes_of(changes: Iterable[Change]) -> dict[str, Any]:
    """The PUT that makes the changes."""
    return {change.name: change.ours for change in changes}


def restoration(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """The PUTs that take the changes back.

    The MAC needs a second one: Neutron looks at the binding before the PUT, and refuses a new MAC while there is one (409
    PortBound), also in the very PUT that ends it. A port that was bound before kept its MAC for the same reason.
    """
    before = {change.name: change.before for change in changes}
    mac = {name: before.pop(name) for name in (MAC,) if name in before}
    return [each for each in (before, mac) if each]


def untouched(changes: Iterable[Change], port: Port) -> bool:
    """Whether what we are about to change is still as we found it."""
    shown = _shown(port)
    return all(shown.get(change.name) == change.before for change in changes)


def standing(changes: Iterable[Change], port: Port, host: str, exposed: Iterable[str] = ()) -> tuple[Change, ...]:
    """Those of our changes that nobody has touched since. A port that has gone to another host is its owner's.

    ``exposed``: groups for exposed ports, which come and go by themselves.
    """
    if port.host_id not in {"", host}:
        return ()
    shown, besides = _shown(port), set(exposed)

    def own(name: str, value: Any) -> Any:
        return [each for each in value if each not in besides] if name == GROUPS else value

    return tuple(
        change for change in changes if own(change.name, shown.get(change.name)) == own(change.name, change.ours)
    )


def remembered(port: Port) -> tuple[Change, ...]:
    """What we have changed on a port, from the port alone: after a crash, or without the journal.

    The device of an endpoint (and, without any device, our mark) says that owner and binding are ours, too; what else was
    changed is in the tags. A device that is no endpoint was there before us, and with it its owner and binding.
    """
    shown, before = _shown(port), _recalled(port)
    if is_docker_id(port.device_id) or (EXISTING_PORT in port.tags and not port.device_id):
        before = {HOST_ID: "", OWNER: "", DEVICE: ""} | before
    pairs = ((name, value) for name, value in before.items() if name in shown and shown[name] != value)
    return tuple(Change(name=name, before=value, ours=shown[name]) for name, value in pairs)


def _memory(changes: Iterable[Change]) -> list[str]:
    """One tag per value; what :func:`remembered` sees without them is left out."""
    changes = tuple(changes)
    untold = {HOST_ID, OWNER, DEVICE} if any(change.name == DEVICE for change in changes) else set[str]()
    texts = [text for change in changes if change.name not in untold or change.before for text in _told(change)]
    return [WAS + text for text in texts if len(WAS + text) <= LONGEST_TAG]


def _told(change: Change) -> list[str]:
    if change.name == PROFILE:
        keys = [key for key in sorted({*change.before, *change.ours}) if change.before.get(key) != change.ours.get(key)]
        return [f"{_IN_PROFILE}{key}={_text(change.before[key]) if key in change.before else ''}" for key in keys]
    if change.name == GROUPS and change.before:
        return [f"{_GROUP}={group}" for group in change.before]
    return [f"{_SHORT.get(change.name, change.name)}={_text(change.before)}"]


def _recalled(port: Port) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = {short: name for name, short in _SHORT.items()}
    for tag in port.tags:
        name, _, text = tag.removeprefix(WAS).partition("=")
        if not tag.startswith(WAS):
            continue
        if name == _GROUP:
            found[GROUPS] = sorted([*found.get(GROUPS, []), text])
        elif name.startswith(_IN_PROFILE):
            key = name.removeprefix(_IN_PROFILE)
            rest = {each: value for each, value in found.get(PROFILE, port.profile).items() if each != key}
            found[PROFILE] = rest | ({key: _value(text)} if text else {})
        else:
            found[names.get(name, name)] = _value(text)
    return found


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if value != "" else ""


def _value(text: str) -> Any:
    try:
        return json.loads(text) if text else ""
    except ValueError:
        return text  # somebody else's hand


def _shown(port: Port) -> dict[str, Any]:
    """The port in Neutron's own words, in a form that can be compared and kept."""
    shown: dict[str, Any] = msgspec.to_builtins(port)
    return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    """Lists of ids have no order in Neutron."""
    return sorted(value) if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value) else value


def _taken_by(others: Iterable[str]) -> str:
    marks = " and ".join(sorted(other[:12] for other in others))
    return (
        f"is being taken for endpoint {marks} of another host; should that host be gone, remove the port's tags "
        f"that begin with {LOWER_HALF.rpartition('.')[0]}"
    )


def _owner(port: Port) -> str:
    return f"{port.device_owner or 'an unnamed owner'} (device {port.device_id or 'none'})"
