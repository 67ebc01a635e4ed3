# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""PCI addresses, and the operator's lists of which functions may be used.

Addresses are compared in one canonical form: lower case, with the domain. The domain has four digits on most machines,
but up to eight on others (VMD, some ARM servers). Lists come in three formats:

* ``physical_device_mappings``, of Neutron's SR-IOV agent: ``physnet2:eth3,physnet2:eth4``;
* ``exclude_devices``, of the same agent: ``eth3:0000:07:00.2;0000:07:00.3,eth4:0000:08:00.1``;
* ``device_spec``, of Nova (:mod:`.device_spec`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from kuryr_libnetwork.errors import ConfigError, InvalidOption

ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([01][0-9a-f])\.([0-7])")
_SHORT = re.compile(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")


def canonical_pci(text: str) -> str | None:
    """``0000:07:00.2`` for ``07:00.2`` and ``0000:07:00.2`` in any case; ``None`` if it is not an address."""
    address = text.strip().lower()
    if _SHORT.fullmatch(address):
        return f"0000:{address}"
    return address if ADDRESS.fullmatch(address) else None


def required_pci(option: str, text: str) -> str:
    """The same for an address from a user or a port; an error names the option."""
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
            raise ConfigError(f"{option} = {item}: is listed twice")
        mappings[network] = (*mappings.get(network, ()), device)
    return mappings


def parse_exclusions(option: str, items: Iterable[str]) -> dict[str, frozenset[str]]:
    """PF name -> addresses of its VFs that must not be used, from ``exclude_devices``."""
    excluded: dict[str, frozenset[str]] = {}
    for item in items:
        device, _, rest = (part.strip() for part in item.partition(":"))
        addresses = [canonical_pci(part) for part in rest.split(";") if part.strip()]
        if not device or not addresses or None in addresses:
            raise ConfigError(f"{option} = {item}: must be DEVICE:PCI;PCI…, such as eth3:0000:07:00.2;0000:07:00.3")
        found = frozenset(address for address in addresses if address)
        excluded[device] = excluded.get(device, frozenset()) | found
    return excluded
