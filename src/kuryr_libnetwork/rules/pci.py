# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""PCI addresses, and the operator's lists of which functions may be used.

An address is compared whole and in one spelling: lower case, with its domain. The domain has four digits on most machines,
but up to eight on others (VMD, some ARM servers). Three spellings of lists exist and are all read here:

* ``physical_device_mappings``, of Neutron's SR-IOV agent: ``physnet2:eth3,physnet2:eth4``;
* ``exclude_devices``, of the same: ``eth3:0000:07:00.2;0000:07:00.3,eth4:0000:08:00.1``;
* ``device_spec``, of Nova: JSON objects such as ``{"vendor_id": "8086", "address": "0000:07:*", "physical_network": "x"}``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import ConfigError, InvalidOption
from kuryr_libnetwork.model.settings import DeviceSpec
from kuryr_libnetwork.model.sriov import PhysicalFunction, VirtualFunction

__all__ = [
    "DeviceSpec",
    "allowed_by",
    "canonical_pci",
    "networks_of",
    "parse_device_spec",
    "parse_exclusions",
    "parse_mappings",
    "required_pci",
]

ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")
_SHORT = re.compile(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_PARTS = ("domain", "bus", "slot", "function")
_SPEC_KEYS = {"vendor_id", "product_id", "address", "devname", "physical_network", "trusted"}


def canonical_pci(text: str) -> str | None:
    """``0000:07:00.2`` for ``07:00.2`` and ``0000:07:00.2`` in any case; ``None`` for what is no address."""
    address = text.strip().lower()
    if _SHORT.fullmatch(address):
        return f"0000:{address}"
    return address if ADDRESS.fullmatch(address) else None


def required_pci(option: str, text: str) -> str:
    """The same for what a user or a port gave; refuses by the option's name."""
    address = canonical_pci(text)
    if address is None:
        raise InvalidOption(option, text, "must be a PCI address such as 0000:07:00.2")
    return address


def parse_mappings(option: str, items: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Physical network -> names of its PFs, from ``physical_device_mappings``."""
    mappings: dict[str, tuple[str, ...]] = {}
    for item in items:
        network, colon, device = (part.strip() for part in item.partition(":"))
        if not (network and colon and device) or ":" in device:
            raise ConfigError(f"{option} = {item}: must be PHYSICAL_NETWORK:DEVICE, such as physnet2:eth3")
        if device in mappings.get(network, ()):
            raise ConfigError(f"{option} = {item}: is there twice")
        mappings[network] = (*mappings.get(network, ()), device)
    return mappings


def parse_exclusions(option: str, items: Iterable[str]) -> dict[str, frozenset[str]]:
    """PF name -> addresses of its VFs that are not to be used, from ``exclude_devices``."""
    excluded: dict[str, frozenset[str]] = {}
    for item in items:
        device, _, rest = (part.strip() for part in item.partition(":"))
        addresses = [canonical_pci(part) for part in rest.split(";") if part.strip()]
        if not device or not addresses or None in addresses:
            raise ConfigError(f"{option} = {item}: must be DEVICE:PCI;PCI…, such as eth3:0000:07:00.2;0000:07:00.3")
        found = frozenset(address for address in addresses if address)
        excluded[device] = excluded.get(device, frozenset()) | found
    return excluded


def parse_device_spec(option: str, items: Iterable[str]) -> list[DeviceSpec]:
    """Nova's whitelist; every item is a JSON object or a list of them."""
    specs: list[DeviceSpec] = []
    for item in items:
        try:
            value = msgspec.json.decode(item)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{option} = {item}: is not JSON: {error}") from None
        entries = value if isinstance(value, list) else [value]
        specs.extend(_spec(option, entry) for entry in entries)
    return specs


def allowed_by(
    specs: Sequence[DeviceSpec], device: VirtualFunction | PhysicalFunction, pf: PhysicalFunction
) -> DeviceSpec | None:
    """The first entry that a VF, or the PF itself, fits; ``devname`` names the PF, as with Nova."""
    for spec in specs:
        ids = _like(spec.vendor_id, device.vendor_id) and _like(spec.product_id, device.device_id)
        if ids and (not spec.devname or spec.devname in pf.netdevs) and _address_fits(spec, device.pci_address):
            return spec
    return None


def networks_of(
    pf: PhysicalFunction,
    mappings: Mapping[str, Sequence[str]],
    specs: Sequence[DeviceSpec],
    vf: VirtualFunction | None = None,
) -> frozenset[str]:
    """The physical networks that a VF (the PF itself) reaches, by the PF's mapping or by the entry of ``device_spec``."""
    mapped = {network for network, devices in mappings.items() if set(devices) & set(pf.netdevs)}
    spec = allowed_by(specs, vf or pf, pf)
    return frozenset(mapped | ({spec.physical_network} if spec and spec.physical_network else set()))


def _spec(option: str, entry: Any) -> DeviceSpec:
    if not isinstance(entry, dict):
        raise ConfigError(f"{option} = {entry!r}: must be a JSON object")
    unknown = sorted(set(entry) - _SPEC_KEYS)
    if unknown:
        raise ConfigError(f"{option}: {', '.join(unknown)} is not known; known are {', '.join(sorted(_SPEC_KEYS))}")
    if "devname" in entry and "address" in entry:
        raise ConfigError(f"{option}: devname and address exclude each other")
    address, regular = _address(option, entry.get("address", "*:*:*.*"))
    return DeviceSpec(
        vendor_id=_hexadecimal(entry.get("vendor_id", "*")),
        product_id=_hexadecimal(entry.get("product_id", "*")),
        devname=str(entry.get("devname", "")),
        address=address,
        regular=regular,
        physical_network=str(entry.get("physical_network") or ""),
        trusted=str(entry.get("trusted", "false")).lower() in {"true", "1", "yes", "on"},
    )


def _address(option: str, value: Any) -> tuple[tuple[str, str, str, str], bool]:
    if isinstance(value, dict):
        unknown = sorted(set(value) - set(_PARTS))
        if unknown:
            raise ConfigError(f"{option}: address.{unknown[0]} is not known; known are {', '.join(_PARTS)}")
        parts = tuple(str(value.get(part, ".*")) for part in _PARTS)
        for part in parts:
            try:
                re.compile(part)
            except re.error as error:
                raise ConfigError(f"{option}: address {part!r} is no regular expression: {error}") from None
        return (parts[0], parts[1], parts[2], parts[3]), True
    text = str(value).lower()
    head, dot, function = text.partition(".")
    pieces = head.split(":") if head else ["*"]
    pieces = ["*"] * (3 - len(pieces)) + pieces
    if len(pieces) > 3 or (dot and not function):
        raise ConfigError(f"{option}: address {value!r} must be like 0000:07:00.* or *:07:*.*")
    return (pieces[0] or "*", pieces[1] or "*", pieces[2] or "*", function or "*"), False


def _address_fits(spec: DeviceSpec, address: str) -> bool:
    found = ADDRESS.fullmatch(address)
    if found is None:
        return False
    if spec.regular:
        return all(re.fullmatch(pattern, part) for pattern, part in zip(spec.address, found.groups(), strict=True))
    return all(fnmatch.fnmatchcase(part, pattern) for pattern, part in zip(spec.address, found.groups(), strict=True))


def _hexadecimal(value: Any) -> str:
    return str(value).lower().removeprefix("0x")


def _like(pattern: str, value: str) -> bool:
    return pattern == "*" or pattern == value.lower()
