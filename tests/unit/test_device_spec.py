# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.sriov import PhysicalFunction, VirtualFunction
from kuryr_libnetwork.rules.device_spec import allowed_by, may_be_trusted, networks_of, parse_device_spec

PF = PhysicalFunction(
    pci_address="0000:07:00.0",
    vendor_id="8086",
    device_id="10c9",
    driver="igb",
    netdevs=("eth3",),
    total_vfs=7,
    num_vfs=7,
)
VF = VirtualFunction(
    pci_address="0000:07:10.2",
    pf_address=PF.pci_address,
    index=1,
    vendor_id="8086",
    device_id="10ca",
    driver="igbvf",
    netdevs=("eth5",),
)
VMD = msgspec.structs.replace(VF, pci_address="10000:e1:1f.7")


def fits(spec: str, device: VirtualFunction | PhysicalFunction = VF) -> bool:
    return allowed_by(parse_device_spec("o", [spec]), device, PF) is not None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ('{"vendor_id": "8086", "product_id": "10ca"}', True),
        ('{"vendor_id": "0x8086"}', True),
        ('{"vendor_id": " 8086 ", "product_id": "*"}', True),
        ('{"vendor_id": "15b3"}', False),
        ('{"product_id": "10c9"}', False),
        ('{"devname": "eth3"}', True),
        ('{"devname": "eth5"}', True),
        ('{"devname": "eth4"}', False),
        ('{"devname": "eth3", "address": ""}', True),
        ('{"address": "0000:07:10.2"}', True),
        ('{"address": "0:7:10.2"}', True),
        ('{"address": "0000:07:10.2", "devname": null}', True),
        ('{"address": "*:07:*.*"}', True),
        ('{"address": "07:10.*"}', True),
        ('{"address": ":07:10."}', True),
        ('{"address": ":0a:00."}', False),
        ('{"address": "0000:07:*"}', True),
        ('{"address": "0000:07:10"}', True),
        ('{"address": ".2"}', True),
        ('{"address": ".3"}', False),
        ('{"address": "*:08:*.*"}', False),
        ('{"address": "*"}', True),
        ('{"address": "0000:07:10.*"}', True),
        ('{"address": "0000:07:00.0"}', True),
        ('{"address": "0000:07:00.1"}', False),
        ('{"address": "0000:07:00.*"}', False),
        ('{"address": {"domain": "0000", "bus": "07", "slot": "00", "function": "0"}}', True),
        ('{"address": {"domain": ".*", "bus": "0[67]", "slot": "1.", "function": "[0-3]"}}', True),
        ('{"address": {"bus": "0"}}', True),
        ('{"address": {"bus": "0$"}}', None),
        ('{"address": {"bus": "08"}}', False),
        ('[{"vendor_id": "15b3"}, {"vendor_id": "8086"}]', True),
        ("{}", True),
        ("[]", False),
        ('{"managed": "no", "live_migratable": "yes", "one_time_use": "true", "trusted": "true"}', True),
        ('{"resource_class": "CUSTOM_NIC", "traits": "HW_NIC_SRIOV"}', True),
        ('{"physical_network": null}', True),
        ('{"remote_managed": "true"}', False),
        ('{"remote_managed": true}', False),
        ('{"remote_managed": "false"}', True),
        ('[{"address": "*:*:*.2", "remote_managed": "true"}, {}]', False),
    ],
)
def test_novas_list(spec: str, expected: bool | None) -> None:
    """A list copied from nova.conf would let other devices through, or none."""
    if expected is None:
        with pytest.raises(ConfigError, match="matches no"):
            parse_device_spec("o", [spec])
        return
    assert fits(spec) is expected


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "is not JSON"),
        ("7", "must be a JSON object"),
        ('{"colour": "red"}', "colour is not known; known are address, devname, live_migratable"),
        ('{"vendor_id": 8086}', "vendor_id 8086 must be a string, in quotes"),
        ('{"vendor_id": "intel"}', "vendor_id 'intel' must be . or a hexadecimal number up to ffff"),
        ('{"product_id": "10ca0"}', "product_id '10ca0' must be"),
        ('{"devname": ["eth3"]}', "devname .* must be a string"),
        ('{"physical_network": 2}', "physical_network 2 must be a string"),
        ('{"address": 5}', "address 5 must be a string, in quotes, or an object"),
        ('{"address": ["0000:07:00.0"]}', "must be a string, in quotes, or an object"),
        ('{"address": ":::."}', "must be like"),
        ('{"address": "1:2:3:4.5"}', "must be like"),
        ('{"address": "0000:07:1?.*"}', r"slot '1\?' must be"),
        ('{"address": "0000:07:20.0"}', "slot '20' must be . or a hexadecimal number up to 1f"),
        ('{"address": "0000:07:10.8"}', "function '8' must be"),
        ('{"address": "0000:07:10.2.3"}', "function '2.3' must be"),
        ('{"address": {"bus": "("}}', "is not a regular expression"),
        ('{"address": {"bus": null}}', r"address\.bus None must be a string"),
        ('{"address": {"bus": 7}}', r"address\.bus 7 must be a string"),
        ('{"address": {"bus": "0A"}}', r"address\.bus '0A' matches no bus: they are 00 to ff, in lower case"),
        ('{"address": {"slot": "2."}}', r"address\.slot '2\.' matches no slot: they are 00 to 1f"),
        ('{"address": {"function": "8"}}', r"matches no function: they are 0 to 7"),
        ('{"address": {"domain": "x"}}', r"matches no domain: they are 0000 to ffff"),
        ('{"address": {"planet": "x"}}', r"address\.planet is not known"),
        ('{"address": "0000:07:00.2", "devname": "eth3"}', "exclude each other"),
    ],
)
def test_what_is_wrong_or_can_never_match_is_named(spec: str, message: str) -> None:
    """A list that cannot be read would allow everything, and one that matches nothing would look like a host without
    VFs.
    """
    with pytest.raises(ConfigError, match=message):
        parse_device_spec("[sriov] device_spec", [spec])


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7))
def test_a_whole_address_fits_itself_in_any_spelling(domain: int, bus: int, slot: int, function: int) -> None:
    """An address without leading zeros, in upper case or behind VMD would fit nothing, and say nothing."""
    device = msgspec.structs.replace(VF, pci_address=f"{domain:04x}:{bus:02x}:{slot:02x}.{function}")
    for spelling in (f"{domain:x}:{bus:x}:{slot:x}.{function}", f"{domain:08X}:{bus:02X}:{slot:02X}.{function}"):
        assert fits(f'{{"address": "{spelling}"}}', device)


def test_a_domain_with_more_digits_may_be_meant() -> None:
    """The cards behind Intel's VMD could not be named by an expression."""
    assert fits('{"address": {"domain": "1000[0-9]"}}', VMD)


def test_an_address_that_is_none_fits_no_pattern() -> None:
    """A function with an odd address would fit every list."""
    assert not fits("{}", msgspec.structs.replace(VF, pci_address="odd"))


def test_a_pf_fits_by_its_own_ids() -> None:
    """A PF would be given away as a whole by the line that allows its VFs."""
    assert fits('{"product_id": "10c9"}', PF)
    assert not fits('{"product_id": "10ca"}', PF)


def test_physical_networks_of_a_vf() -> None:
    """A VF would be given to a network that its wire does not reach."""
    specs = parse_device_spec("o", ['{"vendor_id": "8086", "physical_network": "physnet9"}'])
    assert networks_of(PF, {"physnet2": ("eth3",), "physnet3": ("eth4",)}, specs, VF) == {"physnet2", "physnet9"}
    assert networks_of(PF, {}, parse_device_spec("o", ["{}"]), VF) == frozenset()


@pytest.mark.parametrize(
    ("spec", "trusted"),
    [
        ('{"trusted": "true"}', True),
        ('{"trusted": "True"}', True),
        ('{"trusted": true}', True),
        ('{"trusted": "yes"}', True),
        ('{"trusted": "false"}', False),
        ('{"trusted": false}', False),
        ('{"trusted": null}', None),
        ("{}", None),
        ("[]", None),
        ('[{"address": "*:*:*.2", "trusted": "false"}, {"trusted": "true"}]', False),
        ('[{"address": "*:*:*.3", "trusted": "false"}, {"trusted": "true"}]', True),
    ],
)
def test_whether_a_vf_may_be_trusted(spec: str, trusted: bool | None) -> None:
    """What Nova takes from the line, this service would not: trust refused, or given where the operator forbids it."""
    assert may_be_trusted(parse_device_spec("o", [spec]), VF, PF) is trusted
