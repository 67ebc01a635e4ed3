# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``device_spec``, Nova's list of the PCI functions that may be used, in Nova's whole grammar (nova/pci/devspec.py).

Each entry is a JSON object, or a list of objects. All keys are optional.

* ``vendor_id``, ``product_id``: hexadecimal numbers, or ``*``.
* ``devname``: the name of a network device; a PF's name means the PF and all of its VFs.
* ``address``, a string: ``DOMAIN:BUS:SLOT.FUNCTION``, each part a hexadecimal number, ``*`` or empty; parts may be left
  out from the left, and the function. The address of a PF stands for the PF and all of its VFs.
* ``address``, an object: a regular expression for each of ``domain``, ``bus``, ``slot``, ``function``; it has to match
  from the beginning of the part, not to its end.
* ``physical_network``; ``null`` for a network that is not provided by hardware.
* ``remote_managed``: a function that a SmartNIC's own controller sets up, so it is not for us.
* ``trusted``: whether a VF may be trusted if its port asks for it; without the key ``[sriov] allow_trust`` says it.
* ``managed``, ``live_migratable``, ``one_time_use``, ``resource_class``, ``traits``: of virtual machines, without
  effect here.

The first entry that fits a function counts. What Nova would not take, or no function can ever match, is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import DeviceSpec
from kuryr_libnetwork.model.sriov import PhysicalFunction, VirtualFunction
from kuryr_libnetwork.rules.parsing import truthy
from kuryr_libnetwork.rules.pci import ADDRESS
from kuryr_libnetwork.text import shown

ANY = "*"
PARTS = ("domain", "bus", "slot", "function")
_LARGEST = {"vendor_id": 0xFFFF, "product_id": 0xFFFF, "domain": 0xFFFFFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
_DIGITS = {"vendor_id": 4, "product_id": 4, "domain": 4, "bus": 2, "slot": 2, "function": 1}
_VMD = 0x10000
"""The first domain with more than four digits; Intel's VMD counts on from there."""
_ELSEWHERE = ("managed", "live_migratable", "one_time_use", "resource_class", "traits")
_KEYS = {"vendor_id", "product_id", "address", "devname", "physical_network", "remote_managed", "trusted"} | {
    *_ELSEWHERE
}


def parse_device_spec(option: str, items: Iterable[str]) -> list[DeviceSpec]:
    """Every item is a JSON object or a list of them."""
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
    """The entry that counts for a VF, or for the PF itself; ``None`` where there is none, or it is not for us."""
    for spec in specs:
        ids = spec.vendor_id in (ANY, device.vendor_id) and spec.product_id in (ANY, device.device_id)
        named = not spec.devname or spec.devname in (*pf.netdevs, *device.netdevs)
        if ids and named and _address_fits(spec, device.pci_address, pf.pci_address):
            return None if spec.remote_managed else spec
    return None


def networks_of(
    pf: PhysicalFunction,
    mappings: Mapping[str, Sequence[str]],
    specs: Sequence[DeviceSpec],
    vf: VirtualFunction | None = None,
) -> frozenset[str]:
    """The physical networks that a VF (the PF itself) reaches, by the PF's mapping or by the entry of
    ``device_spec``.
    """
    mapped = {network for network, devices in mappings.items() if set(devices) & set(pf.netdevs)}
    spec = allowed_by(specs, vf or pf, pf)
    return frozenset(mapped | ({spec.physical_network} if spec and spec.physical_network else set()))


def may_be_trusted(
    specs: Sequence[DeviceSpec], device: VirtualFunction | PhysicalFunction, pf: PhysicalFunction
) -> bool | None:
    """Whether a device may be trusted by its entry of ``device_spec``; ``None`` if the entry does not say."""
    spec = allowed_by(specs, device, pf)
    return None if spec is None else spec.trusted


def _spec(option: str, entry: Any) -> DeviceSpec:
    if not isinstance(entry, dict):
        raise ConfigError(f"{option} = {shown(entry)}: must be a JSON object")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise ConfigError(f"{option}: {', '.join(unknown)} is not known; known are {', '.join(sorted(_KEYS))}")
    devname = _text(option, entry, "devname")
    if devname and entry.get("address"):
        raise ConfigError(f"{option}: devname and address exclude each other")
    address, regular = _address(option, entry.get("address"))
    return DeviceSpec(
        vendor_id=_number(option, "vendor_id", _text(option, entry, "vendor_id", ANY)),
        product_id=_number(option, "product_id", _text(option, entry, "product_id", ANY)),
        devname=devname,
        address=address,
        regular=regular,
        physical_network=_text(option, entry, "physical_network"),
        remote_managed=truthy(str(entry.get("remote_managed"))),
        trusted=None if entry.get("trusted") is None else truthy(str(entry["trusted"])),
    )


def _text(option: str, entry: dict[str, Any], key: str, missing: str = "") -> str:
    value = entry.get(key)
    if value is None:
        return missing
    if not isinstance(value, str):
        raise ConfigError(f"{option}: {key} {shown(value)} must be a string, in quotes")
    return value.strip()


def _address(option: str, value: Any) -> tuple[tuple[str, str, str, str], bool]:
    if isinstance(value, dict):
        return _expressions(option, value), True
    if not isinstance(value, str | None):
        raise ConfigError(f"{option}: address {shown(value)} must be a string, in quotes, or an object")
    head, _, function = (value or "").partition(".")
    pieces = [piece.strip() or ANY for piece in head.split(":")]
    if len(pieces) > 3:
        raise ConfigError(f"{option}: address '{shown(value)}' must be like 0000:07:00.* or *:07:*.*")
    pieces = [ANY] * (3 - len(pieces)) + pieces + [function.strip() or ANY]
    domain, bus, slot, function = (_number(option, part, text) for part, text in zip(PARTS, pieces, strict=True))
    return (domain, bus, slot, function), False


def _expressions(option: str, value: dict[str, Any]) -> tuple[str, str, str, str]:
    unknown = sorted(set(value) - set(PARTS))
    if unknown:
        raise ConfigError(f"{option}: address.{unknown[0]} is not known; known are {', '.join(PARTS)}")
    domain, bus, slot, function = (_expression(option, part, value.get(part, ".*")) for part in PARTS)
    return domain, bus, slot, function


def _expression(option: str, part: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{option}: address.{part} {shown(value)} must be a string, in quotes")
    try:
        expression = re.compile(value)
    except re.error as error:
        raise ConfigError(f"{option}: address.{part} '{shown(value)}' is not a regular expression: {error}") from None
    if not any(map(expression.match, _possible(part))):
        first, last = f"{0:0{_DIGITS[part]}x}", f"{min(_LARGEST[part], 0xFFFF):x}"
        raise ConfigError(
            f"{option}: address.{part} '{shown(value)}' matches no {part}: they are {first} to {last}, in lower case"
        )
    return value


def _possible(part: str) -> Iterator[str]:
    """All values of a part of an address; of the longer domains the first ones."""
    most = min(_LARGEST[part], 2 * _VMD - 1)
    return (f"{number:0{_DIGITS[part]}x}" for number in range(most + 1))


def _number(option: str, key: str, text: str) -> str:
    """As sysfs spells it: in lower case, and with leading zeros."""
    if text == ANY:
        return ANY
    digits = text.lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{1,8}", digits) or int(digits, 16) > _LARGEST[key]:
        raise ConfigError(f"{option}: {key} '{shown(text)}' must be * or a hexadecimal number up to {_LARGEST[key]:x}")
    return f"{int(digits, 16):0{_DIGITS[key]}x}"


def _address_fits(spec: DeviceSpec, address: str, pf_address: str) -> bool:
    """A PF's whole address fits its VFs, too."""
    domain, bus, slot, function = spec.address
    if f"{domain}:{bus}:{slot}.{function}" == pf_address:
        return True
    found = ADDRESS.fullmatch(address)
    if found is None:
        return False
    pairs = zip(spec.address, found.groups(), strict=True)
    if spec.regular:
        return all(re.match(pattern, part) for pattern, part in pairs)
    return all(pattern in (ANY, part) for pattern, part in pairs)
