# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a port's binding profile says of a device, whoever has written it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.rules import adoption, vf_settings
from kuryr_libnetwork.rules.device_profile import DeviceProfile, device_profile, given_mac, named_slot, says_trusted
from kuryr_libnetwork.rules.pci import canonical_pci
from tests.unit.values import PORT

SLOT = "0000:07:00.2"
FULL_WIDTH = SLOT.replace("0", "\N{FULLWIDTH DIGIT ZERO}")
KEYS = ("pci_slot", "physical_network", "trusted", "device_mac_address", "capabilities", "pci_vendor_info", "vf_num")
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from([SLOT, "07:00.2", "../../0000:07:00.2", "0000:07:00.2\n", FULL_WIDTH, "true", "physnet2"])
PROFILES = st.dictionaries(st.sampled_from(KEYS) | st.text(), JUNK | WORDS, max_size=6)


def test_an_ordinary_profile() -> None:
    """The guide's port would get another device, or Nova's keys be refused."""
    told = {"pci_slot": "0000:0A:00.1", "physical_network": "physnet2", "trusted": "True", "vf_num": 3, "card": [1]}
    assert device_profile(told) == DeviceProfile(pci_slot="0000:0a:00.1", physical_network="physnet2", trusted=True)
    assert device_profile({}) == device_profile({"pci_slot": None, "trusted": None}) == DeviceProfile()
    assert device_profile({"pci_slot": "", "physical_network": "", "trusted": False}) == DeviceProfile()
    assert device_profile({"device_mac_address": "FA:16:3E:00:00:01"}).mac == "fa:16:3e:00:00:01"


WRONG: dict[str, list[Any]] = {
    "pci_slot": [
        *(7, True, [SLOT], {"a": 1}, "eth0", "0000:07:00.8", "x" * 65536),
        *("../../../etc", "0000:07:00.2/../0000:08:00.0", "0000:07:00.2\0", FULL_WIDTH),
    ],
    "physical_network": [2, ["physnet2"], {"physnet2": {}}, False],
    "trusted": [["true"], {}, 1.5],
    "device_mac_address": [1, ["fa:16:3e:00:00:01"], "fa:16:3e:00:00", "x" * 65536],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_what_cannot_be_is_refused_by_its_key(key: str, value: Any) -> None:
    """It would end in a traceback, in a path of the file system, or in an error of many kilobytes."""
    with pytest.raises(InvalidOption, match=f"^option binding:profile {key}=.*: must be ") as caught:
        device_profile({"mine": value, key: value})
    assert len(str(caught.value)) < 250


@given(PROFILES)
def test_any_profile_is_read_or_refused(profile: dict[str, Any]) -> None:
    """A profile that somebody has crafted would end in a traceback, and a container, or the background, with it."""
    try:
        told = device_profile(profile)
    except InvalidOption as error:
        text = str(error)
    else:
        text = "option binding:profile is read"
        assert told.pci_slot == (canonical_pci(told.pci_slot) if told.pci_slot else "")
        assert told.pci_slot == named_slot(profile)
        assert told.mac == given_mac(profile)
        assert told.trusted == says_trusted(profile)
    assert text.startswith("option binding:profile ")
    assert text.isprintable()
    assert named_slot(profile) in ("", SLOT)


@given(PROFILES)
def test_every_rule_that_reads_a_profile_takes_any(profile: dict[str, Any]) -> None:
    """A port of whoever, listed for this host or given back, would end the background."""
    port = msgspec.structs.replace(PORT, profile=profile, vnic_type="direct-physical")
    assert isinstance(vf_settings.wants_trust(port), bool)
    assert set(adoption.by_neutron(port, {})) <= {"mac_address"}
    assert vf_settings.without_ours(profile).items() <= profile.items()
    capabilities = profile.get("capabilities")
    if not (isinstance(capabilities, list) and "switchdev" in capabilities):
        vf_settings.check_vnic_type("direct", profile)
