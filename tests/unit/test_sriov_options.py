# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Options that ask for a device: of a network, of one container, and of both together."""

from __future__ import annotations

from typing import Any

import pytest

from kuryr_libnetwork.errors import InvalidOption
from kuryr_libnetwork.rules.choices import NET_NAME
from kuryr_libnetwork.rules.options import (
    NUMA_NODE,
    PCI_SLOT,
    PF,
    VNIC_TYPE,
    EndpointOptions,
    NetworkOptions,
    device_options,
    parse_endpoint_options,
    parse_network_options,
)

SLOT = "0000:07:00.2"


def network_refusal(**options: Any) -> str:
    with pytest.raises(InvalidOption) as caught:
        parse_network_options({key.replace("__", "."): value for key, value in options.items()})
    return str(caught.value)


def endpoint_refusal(options: dict[str, Any]) -> str:
    with pytest.raises(InvalidOption) as caught:
        parse_endpoint_options(options)
    return str(caught.value)


def test_a_networks_device_options() -> None:
    """``docker network create -o kuryr.vnic_type=direct -o kuryr.pf=eth3`` would make a network of veth devices."""
    found = parse_network_options({VNIC_TYPE: "direct", PF: "eth3", NET_NAME: "n"})
    assert found == NetworkOptions(vnic_type="direct", pf="eth3")


def test_no_device_options() -> None:
    """A plain container would ask for a device."""
    assert parse_endpoint_options({}) == EndpointOptions()
    assert parse_endpoint_options({VNIC_TYPE: None, PF: "", PCI_SLOT: "", NUMA_NODE: None}) == EndpointOptions()


@pytest.mark.parametrize("vnic_type", ["normal", "direct", "macvtap", "direct-physical", " Direct "])
def test_every_vnic_type(vnic_type: str) -> None:
    """A type that the service has could not be asked for."""
    assert parse_endpoint_options({VNIC_TYPE: vnic_type}).vnic_type == vnic_type.strip().lower()


@pytest.mark.parametrize("slot", [SLOT, "07:00.2", "0000:07:00.2".upper(), " 0000:07:00.2 "])
def test_a_slot_in_any_spelling(slot: str) -> None:
    """A device would not be found because its address was written as lspci writes it."""
    assert parse_endpoint_options({VNIC_TYPE: "direct", PCI_SLOT: slot}).pci_slot == SLOT


def test_pf_and_node_of_a_container() -> None:
    """A container could not say on which NIC or node it wants its VF."""
    found = parse_endpoint_options({VNIC_TYPE: "direct", PF: "enp7s0f1np1", NUMA_NODE: 1, "com.docker.x": "y"})
    assert found == EndpointOptions(vnic_type="direct", pf="enp7s0f1np1", numa_node=1)
    assert parse_endpoint_options({NUMA_NODE: "0"}).numa_node == 0


def test_a_type_that_is_refused_says_why() -> None:
    """The user would read "unknown" for a type that Neutron knows."""
    text = endpoint_refusal({VNIC_TYPE: "vdpa"})
    assert text.startswith("option kuryr.vnic_type=vdpa: vnic_type vdpa is not supported: it needs a vDPA device")
    assert "supported: normal, direct, macvtap, direct-physical" in network_refusal(kuryr__vnic_type="fast")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({PCI_SLOT: "eth3"}, "option kuryr.pci_slot=eth3: must be a PCI address such as 0000:07:00.2"),
        ({PF: "a/b"}, "option kuryr.pf=a/b: must be the name of a PF's network device, at most 15 characters"),
        ({PF: "sixteen_letters_"}, "must be the name of a PF's network device"),
        ({PF: ".."}, "must be the name of a PF's network device"),
        ({NUMA_NODE: "-1"}, "option kuryr.numa_node=-1: must be the number of a NUMA node, 0 to 999"),
        ({NUMA_NODE: True}, "must be the number of a NUMA node"),
        (
            {VNIC_TYPE: "normal", PCI_SLOT: SLOT},
            "option kuryr.pci_slot=0000:07:00.2: contradicts kuryr.vnic_type normal",
        ),
        ({VNIC_TYPE: "normal", PF: "eth3"}, "option kuryr.pf=eth3: contradicts kuryr.vnic_type normal"),
        ({VNIC_TYPE: "normal", NUMA_NODE: "0"}, "option kuryr.numa_node=0: contradicts kuryr.vnic_type normal"),
        ({PF: "eth3", PCI_SLOT: SLOT}, "option kuryr.pf=eth3: cannot be given with kuryr.pci_slot"),
        ({NUMA_NODE: "1", PCI_SLOT: SLOT}, "option kuryr.numa_node=1: cannot be given with kuryr.pci_slot"),
        ({VNIC_TYPE: "direct-physical", NUMA_NODE: "1"}, "chooses among VFs; for direct-physical use kuryr.pf"),
        (
            {"kuryr.slot": "x"},
            "option kuryr.slot=x: no such option; known are neutron.port.uuid, neutron.security_groups",
        ),
        ({"neutron.port": "x"}, "no such option"),
        ({NET_NAME: "x"}, "option neutron.net.name=x: is for docker network create, not for a container"),
    ],
)
def test_what_a_container_cannot_ask_for(options: dict[str, Any], words: str) -> None:
    """A slip of the keyboard or a contradiction would be answered with some other device, or with the wrong name."""
    assert words in endpoint_refusal(options)


def test_what_a_network_cannot_ask_for() -> None:
    """Every container of a network would want the same device, or none that the user meant."""
    assert "kuryr.pci_slot=x: is for one container (docker run --network" in network_refusal(kuryr__pci_slot="x")
    assert "kuryr.numa_node=1: is for one container" in network_refusal(kuryr__numa_node="1")
    assert "contradicts kuryr.vnic_type normal" in network_refusal(kuryr__vnic_type="normal", kuryr__pf="eth3")


DIRECT = NetworkOptions(vnic_type="direct", pf="eth3")


@pytest.mark.parametrize(
    ("network", "endpoint", "merged"),
    [
        (NetworkOptions(), EndpointOptions(), EndpointOptions()),
        (DIRECT, EndpointOptions(), EndpointOptions(vnic_type="direct", pf="eth3")),
        (DIRECT, EndpointOptions(pf="eth4"), EndpointOptions(vnic_type="direct", pf="eth4")),
        (DIRECT, EndpointOptions(vnic_type="macvtap"), EndpointOptions(vnic_type="macvtap", pf="eth3")),
        (DIRECT, EndpointOptions(vnic_type="normal"), EndpointOptions(vnic_type="normal")),
        (DIRECT, EndpointOptions(pci_slot=SLOT), EndpointOptions(vnic_type="direct", pci_slot=SLOT)),
        (DIRECT, EndpointOptions(numa_node=1), EndpointOptions(vnic_type="direct", pf="eth3", numa_node=1)),
        (NetworkOptions(), EndpointOptions(pci_slot=SLOT), EndpointOptions(pci_slot=SLOT)),
    ],
)
def test_a_containers_word_counts_before_its_networks(
    network: NetworkOptions, endpoint: EndpointOptions, merged: EndpointOptions
) -> None:
    """A container would get the network's device although it asked for another, or the network's PF with its
    own slot.
    """
    assert device_options(network, endpoint) == merged


def test_a_container_contradicts_its_network() -> None:
    """A slot or PF asked for on a network of vnic_type normal would be ignored without a word."""
    for endpoint in (EndpointOptions(pci_slot=SLOT), EndpointOptions(pf="eth3")):
        with pytest.raises(InvalidOption, match=r"contradicts kuryr\.vnic_type normal"):
            device_options(NetworkOptions(vnic_type="normal"), endpoint)
