# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The options of ``docker network create`` and of an endpoint that this service understands (docs/options.md).

An endpoint's options are ``docker run --network name=N,driver-opt=KEY=VALUE`` (``docker network connect
--driver-opt``).

Keys below ``neutron.`` and ``kuryr.`` are ours: an unknown one is a mistake of the user and refused by name before
anything is made. All other keys belong to Docker or to nobody and are left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kuryr_libnetwork.errors import InvalidOption, UnsupportedVif
from kuryr_libnetwork.model.records import PoolSize
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.protocol.messages import ENDPOINT_IFNAME
from kuryr_libnetwork.rules.choices import CHOICE_KEYS, choices_of, chosen
from kuryr_libnetwork.rules.pci import required_pci
from kuryr_libnetwork.rules.port_options import PORT_KEYS, PORT_UUID
from kuryr_libnetwork.rules.vf_settings import check_vnic_type

VNIC_TYPE = "kuryr.vnic_type"
PF = "kuryr.pf"
PCI_SLOT = "kuryr.pci_slot"
NUMA_NODE = "kuryr.numa_node"
PORT_POOL = "kuryr.port_pool"
AUTO, LARGEST_POOL = "auto", 1000
MTU = "com.docker.network.driver.mtu"
SMALLEST_MTU = {4: 576, 6: 1280}
"""By IP version: what each host has to take (RFC 791), and what each link has to carry (RFC 8200)."""
DOCKERS = "com.docker.network."
KNOWN = (*CHOICE_KEYS, *PORT_KEYS, VNIC_TYPE, PF, PORT_POOL)
ENDPOINT_KNOWN = (PORT_UUID, *PORT_KEYS, VNIC_TYPE, PF, PCI_SLOT, NUMA_NODE)
OWN_PREFIXES = ("neutron.", "kuryr.")

_IFNAME = re.compile(r"(?!\.{1,2}$)[^\s/:]{1,15}")
_NODE = re.compile(r"[0-9]{1,3}")


class NetworkOptions(Value, frozen=True):
    """What ``-o`` says beside the choices among Neutron's things (:mod:`~.choices`).

    ``vnic_type`` and ``pf`` are for containers that say nothing themselves; empty when not given. ``mtu``: at most
    that; 0: as Neutron has it. ``port_pool``: ``None``: not given.
    """

    vnic_type: str = ""
    pf: str = ""
    mtu: int = 0
    port_pool: PoolSize | None = None


class EndpointOptions(Value, frozen=True):
    """What one container wants of its device. Empty or ``None``: not given."""

    vnic_type: str = ""
    pf: str = ""
    pci_slot: str = ""
    numa_node: int | None = None


def parse_network_options(options: Mapping[str, Any]) -> NetworkOptions:
    """Decode what the user asked for; raises :class:`InvalidOption` for invalid values."""
    refuse_unknown(options)
    given = {key: value for key, value in options.items() if value is not None}
    device = _device(given)
    return NetworkOptions(
        vnic_type=device.vnic_type,
        pf=device.pf,
        mtu=_mtu(str(given.get(MTU, "")).strip()),
        port_pool=pool_size(PORT_POOL, str(given[PORT_POOL])) if PORT_POOL in given else None,
    )


def pool_size(option: str, text: str) -> PoolSize:
    """How many ports a port pool keeps ready."""
    text = text.strip().lower()
    if text == AUTO:
        return "auto"
    if text.isascii() and text.isdecimal() and int(text[:6]) <= LARGEST_POOL:
        return int(text)
    raise InvalidOption(option, text, f"must be a number of ports from 0 to {LARGEST_POOL}, or {AUTO}")


def without_effect(options: Mapping[str, Any]) -> list[str]:
    """Options of Docker's own drivers, such as ``com.docker.network.bridge.enable_icc``, which this one does
    not have.
    """
    return sorted(key for key in options if key.startswith(DOCKERS) and key != MTU)


def check_mtu(mtu: int, most: int, versions: Iterable[int]) -> None:
    """``most``: of the Neutron network, where larger packets are lost on the way; ``versions``: of IP on it."""
    if mtu > most:
        raise InvalidOption(MTU, mtu, f"the Neutron network carries at most {most}; leave the option out to have that")
    least = max((SMALLEST_MTU[version] for version in versions), default=0)
    if 0 < mtu < least:
        raise InvalidOption(MTU, mtu, f"IPv6, which the network has, needs at least {least}")


def parse_pool_options(options: Mapping[str, Any]) -> dict[str, str]:
    """``--ipam-opt``: the choices in it, known to be well formed; everything else of ours belongs elsewhere."""
    refuse_unknown(options, CHOICE_KEYS)
    choices_of(options)
    return chosen(options)


def parse_endpoint_options(options: Mapping[str, Any]) -> EndpointOptions:
    """The top-level keys of ``CreateEndpoint.Options``; raises :class:`InvalidOption` for invalid values."""
    refuse_unknown(options, ENDPOINT_KNOWN)
    return _device({key: value for key, value in options.items() if value is not None})


def interface_name(options: Mapping[str, Any]) -> str:
    """The name that the user wants for the interface in the container; "": none."""
    name = str(options.get(ENDPOINT_IFNAME) or "")
    if name and (not _IFNAME.fullmatch(name) or "%" in name):
        raise InvalidOption(
            ENDPOINT_IFNAME, name, "must be the name of an interface: 1 to 15 characters without spaces, / : and %"
        )
    return name


def device_options(network: NetworkOptions, endpoint: EndpointOptions) -> EndpointOptions:
    """What the container gets: its own word counts before that of its network.

    An empty ``vnic_type`` in the answer: nobody said one; an adopted port has its own, a new one is ``normal``.
    """
    vnic_type = endpoint.vnic_type or network.vnic_type
    pf = "" if vnic_type == "normal" or endpoint.pci_slot else endpoint.pf or network.pf
    asked = EndpointOptions(
        vnic_type=vnic_type, pf=endpoint.pf or pf, pci_slot=endpoint.pci_slot, numa_node=endpoint.numa_node
    )
    _refuse_contradictions(asked)
    return asked


def refuse_unknown(options: Mapping[str, Any], known: Sequence[str] = KNOWN) -> None:
    """Refuse keys in our own name space that are not valid here."""
    for key in options:
        if key.startswith(OWN_PREFIXES) and key not in known:
            raise InvalidOption(key, options[key], _unknown(key, known))


def fingerprint(request: Mapping[str, Any]) -> str:
    """The canonical form of a request, to tell a repeated request from a contradicting one."""
    return json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)


def _unknown(key: str, known: Sequence[str]) -> str:
    words = f"no such option; known are {', '.join(known)}"
    if known == CHOICE_KEYS and key in KNOWN:
        return "is an option of the network: give it with -o, not with --ipam-opt"
    if key in ENDPOINT_KNOWN:
        return f"is for one container (docker run --network name=NETWORK,driver-opt={key}=…), not for a network"
    return "is for docker network create, not for a container" if key in KNOWN else words


def _device(given: Mapping[str, Any]) -> EndpointOptions:
    texts = {key: str(given.get(key, "")).strip() for key in (VNIC_TYPE, PF, PCI_SLOT, NUMA_NODE)}
    options = EndpointOptions(
        vnic_type=_vnic_type(texts[VNIC_TYPE].lower()),
        pf=_pf(texts[PF]),
        pci_slot=required_pci(PCI_SLOT, texts[PCI_SLOT]) if texts[PCI_SLOT] else "",
        numa_node=_node(texts[NUMA_NODE]),
    )
    _refuse_contradictions(options)
    return options


def _refuse_contradictions(options: EndpointOptions) -> None:
    given = {PF: options.pf, PCI_SLOT: options.pci_slot, NUMA_NODE: options.numa_node}
    chosen = [key for key, value in given.items() if value not in ("", None)]
    if options.vnic_type == "normal" and chosen:
        key = chosen[0]
        raise InvalidOption(key, given[key], f"contradicts {VNIC_TYPE} normal, which has no PCI device")
    if PCI_SLOT in chosen and len(chosen) > 1:
        key = next(key for key in chosen if key != PCI_SLOT)
        raise InvalidOption(key, given[key], f"cannot be given with {PCI_SLOT}, which names the one device")
    if options.vnic_type == "direct-physical" and NUMA_NODE in chosen:
        raise InvalidOption(NUMA_NODE, options.numa_node, f"chooses among VFs; for direct-physical use {PF}")


def _vnic_type(text: str) -> str:
    if text:
        try:
            check_vnic_type(text, {})
        except UnsupportedVif as error:
            raise InvalidOption(VNIC_TYPE, text, str(error)) from None
    return text


def _pf(text: str) -> str:
    if text and not _IFNAME.fullmatch(text):
        raise InvalidOption(PF, text, "must be the name of a PF's network device, at most 15 characters")
    return text


def _mtu(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or not SMALLEST_MTU[4] <= int(text[:6]) <= 65535:
        raise InvalidOption(MTU, text, f"must be a number of bytes from {SMALLEST_MTU[4]} to 65535")
    return int(text)


def _node(text: str) -> int | None:
    if not text:
        return None
    if not _NODE.fullmatch(text):
        raise InvalidOption(NUMA_NODE, text, "must be the number of a NUMA node, 0 to 999")
    return int(text)
