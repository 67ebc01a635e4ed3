# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a port's ``binding:profile`` says of a device, read once and of one type each.

By Neutron's default policies only the role ``service`` writes it: Nova, an operator who prepares a port, and this
service. A cloud may have opened it to others, so it is believed as far as needed only: the slot is a wish, which has to
be one of the operator's devices and free; the physical network counts only where Neutron does not show that of the
network itself (:func:`~.devices.physical_network`); and trust only where the operator allows it.
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
    """``pci_slot``: in the one spelling of an address; ``mac``: in lower case. "" for what the profile does not say."""

    pci_slot: str = ""
    physical_network: str = ""
    trusted: bool = False
    mac: str = ""


def device_profile(profile: Mapping[str, Any]) -> DeviceProfile:
    """Raises :class:`~kuryr_libnetwork.errors.InvalidOption`, naming the key, for what no Nova and no operator
    writes.
    """
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
    """The device that a port of whoever names; "" for none, and for what is no address and can be nobody's."""
    slot = profile.get("pci_slot")
    return (canonical_pci(slot) or "") if isinstance(slot, str) else ""


def says_trusted(profile: Mapping[str, Any]) -> bool:
    """For a port in use: what cannot be read is no trust, and no reason to leave everything else unenforced."""
    try:
        return device_profile({"trusted": profile.get("trusted")}).trusted
    except InvalidOption:
        return False


def given_mac(profile: Mapping[str, Any]) -> str:
    """The MAC of a whole PF, which Neutron gives its port; "" where the profile has none that could be one."""
    try:
        return device_profile({"device_mac_address": profile.get("device_mac_address")}).mac
    except InvalidOption:
        return ""
