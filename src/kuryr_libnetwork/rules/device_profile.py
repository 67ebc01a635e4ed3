# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a port's ``binding:profile`` says about a device, decoded once into typed values.

By Neutron's default policies only the role ``service`` may write it: Nova, an operator who prepares a port, and this
service. A cloud may have opened it to others, so it is a claim: the slot has to be free and one of the operator's
devices; the physical network counts only if Neutron does not show that of the network itself
(:func:`~.devices.physical_network`); and trust only if the operator allows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.parsing import truthy
from kuryr_libnetwork.rules.pci import canonical_pci

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_SLOT = "must be a PCI address such as 0000:07:00.2"


class DeviceProfile(Value, frozen=True):
    """``pci_slot``: in canonical form; ``mac``: in lower case. "" for what the profile does not say."""

    pci_slot: str = ""
    physical_network: str = ""
    trusted: bool = False
    mac: str = ""


def device_profile(profile: Mapping[str, Any]) -> DeviceProfile:
    """Raises :class:`~kuryr_libnetwork.errors.InvalidOption`, naming the key, for invalid values."""
    slot, mac = _text(profile, "pci_slot", _SLOT), _text(profile, "device_mac_address", "must be a MAC address")
    address = canonical_pci(slot) if slot else ""
    if address is None:
        raise InvalidOption("binding:profile pci_slot", slot, _SLOT)
    if mac and not _MAC.fullmatch(mac.lower()):
        raise InvalidOption("binding:profile device_mac_address", mac, "must be a MAC address")
    return DeviceProfile(
        pci_slot=address,
        physical_network=_text(profile, "physical_network", "must be the name of a physical network"),
        trusted=_trusted(profile.get("trusted")),
        mac=mac.lower(),
    )


def _text(profile: Mapping[str, Any], key: str, allowed: str) -> str:
    value = profile.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidOption(f"binding:profile {key}", value, allowed)
    return value


def _trusted(value: Any) -> bool:
    if isinstance(value, str):
        return truthy(value)
    if value is None or isinstance(value, int):
        return value == 1
    raise InvalidOption("binding:profile trusted", value, "must be true or false")


def named_slot(profile: Mapping[str, Any]) -> str:
    """The device that anybody's port names; "" for none or for an invalid address."""
    slot = profile.get("pci_slot")
    return (canonical_pci(slot) or "") if isinstance(slot, str) else ""


def says_trusted(profile: Mapping[str, Any]) -> bool:
    """For a port in use: an invalid value means no trust, and does not block the port's other settings."""
    try:
        return device_profile({"trusted": profile.get("trusted")}).trusted
    except InvalidOption:
        return False


def given_mac(profile: Mapping[str, Any]) -> str:
    """The MAC of a whole PF, which Neutron gives to its port; "" if the profile has no valid one."""
    try:
        return device_profile({"device_mac_address": profile.get("device_mac_address")}).mac
    except InvalidOption:
        return ""
