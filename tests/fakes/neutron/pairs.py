# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Allowed address pairs, with the limits of release 29 with ML2/OVN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.fakes.neutron.store import Store
from tests.fakes.neutron.wire import Fault, Resource, bad_request

MOST = 10
VRRP = {4: "00:00:5e:00:01:", 6: "00:00:5e:00:02:"}


def checked(store: Store, port: Resource, changed: Mapping[str, Any]) -> list[dict[str, str]]:
    """The new list; a pair without a MAC gets the port's."""
    mac = str(changed.get("mac_address", port["mac_address"]))
    found = [
        {"ip_address": each["ip_address"], "mac_address": each.get("mac_address") or mac}
        for each in changed["allowed_address_pairs"]
    ]
    if len(found) > MOST:
        text = f"The number of allowed address pair exceeds the maximum {MOST}."
        raise bad_request(text, "AllowedAddressPairExhausted")
    for number, pair in enumerate(found):
        if pair in found[:number]:
            text = f"Request contains duplicate address pair: mac_address {pair['mac_address']} ip_address "
            raise bad_request(f"{text}{pair['ip_address']}.", "DuplicateAddressPairInRequest")
        if store.vrrp_pairs_only and pair["mac_address"] != mac and not _is_vrrp(pair):
            text = f"Virtual MAC address {pair['mac_address']} in allowed address pair does not belong to the RFC 5798 "
            text += "VRRP virtual MAC ranges (00:00:5e:00:01:XX for IPv4 or 00:00:5e:00:02:XX for IPv6)."
            raise bad_request(text, "InvalidVirtualMACAddress")
    if found and not changed.get("port_security_enabled", port["port_security_enabled"]):
        text = "Port Security must be enabled in order to have allowed address pairs on a port."
        raise Fault(409, "AddressPairAndPortSecurityRequired", text)
    return found


def _is_vrrp(pair: dict[str, str]) -> bool:
    return pair["mac_address"].startswith(VRRP[6 if ":" in pair["ip_address"] else 4])
