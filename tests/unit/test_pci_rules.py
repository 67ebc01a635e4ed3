# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import ConfigError, InvalidOption
from kuryr_libnetwork.rules.pci import canonical_pci, parse_exclusions, parse_mappings, required_pci


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7))
def test_every_address_has_one_spelling(domain: int, bus: int, slot: int, function: int) -> None:
    """A VF on a machine with VMD, or an address in upper case, would not be found again."""
    address = f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"
    assert canonical_pci(address.upper()) == address
    assert canonical_pci(f"  {address}\n") == address


@pytest.mark.parametrize(
    "text", ["", "0000:07:00", "0000:07:20.0", "0000:07:00.8", "x", "0000:07:00.1;rm", "000:07:00.1"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    """A path made of a user's text would leave sysfs' folder of devices."""
    assert canonical_pci(text) is None
    with pytest.raises(InvalidOption, match=r"kuryr\.pci_slot.*must be a PCI address"):
        required_pci("kuryr.pci_slot", text)


def test_an_address_without_domain() -> None:
    """The short form that lspci shows would be refused."""
    assert required_pci("kuryr.pci_slot", "07:00.2") == "0000:07:00.2"


def test_mappings_of_neutrons_agent() -> None:
    """The agent's own line, copied into kuryr.conf, would mean something else here."""
    assert parse_mappings("o", ["physnet2:eth3", " physnet2 : eth4 ", "physnet3:eth5"]) == {
        "physnet2": ("eth3", "eth4"),
        "physnet3": ("eth5",),
    }


@pytest.mark.parametrize("item", ["physnet2", ":eth3", "physnet2:", "a:b:c"])
def test_a_wrong_mapping_is_named(item: str) -> None:
    """A typing error would leave a PF without a network, and nobody would know."""
    with pytest.raises(ConfigError, match="must be PHYSICAL_NETWORK:DEVICE"):
        parse_mappings("[sriov] physical_device_mappings", [item])


def test_a_mapping_twice_is_refused() -> None:
    """The second of two equal entries is most likely meant for another device."""
    with pytest.raises(ConfigError, match="is listed twice"):
        parse_mappings("o", ["a:eth3", "a:eth3"])


def test_exclusions_of_neutrons_agent() -> None:
    """A VF that the operator keeps for himself would be given to a container."""
    found = parse_exclusions("o", ["eth3:0000:07:00.2; 0000:07:00.3", "eth4:0000:08:00.1", "eth3:0000:07:00.4"])
    assert found == {
        "eth3": frozenset({"0000:07:00.2", "0000:07:00.3", "0000:07:00.4"}),
        "eth4": frozenset({"0000:08:00.1"}),
    }


@pytest.mark.parametrize("item", ["eth3", "eth3:", ":0000:07:00.2", "eth3:0000:07:00.2;x"])
def test_a_wrong_exclusion_is_named(item: str) -> None:
    """A misspelt exclusion would exclude nothing."""
    with pytest.raises(ConfigError, match="must be DEVICE:PCI"):
        parse_exclusions("[sriov] exclude_devices", [item])
