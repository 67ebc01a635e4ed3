# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""docs/sriov.md and the test on the SR-IOV machine stay the same: what the one says, the other types."""

from __future__ import annotations

import configparser

from tests.sriov import document
from tests.sriov.document import PLACEHOLDERS, Section, filled, named, page, sections


def all_commands() -> list[str]:
    return [command for section in page().values() for command in section.commands]


def test_every_command_of_the_page_is_carried_out() -> None:
    """The guide would show commands that no test has ever run, or the test would look for a section that is gone."""
    with_commands = [title for title, section in page().items() if section.commands or section.settings]
    assert with_commands == list(document.FOLLOWED)


def test_the_four_commands_are_those_of_upstreams_guide() -> None:
    """Who follows upstream's guide would not find its commands here, or in another order."""
    show, create, port, run = page()[document.COMMANDS].commands
    assert show.startswith("net_id=$(openstack network show ")
    assert create.startswith(
        "docker network create -d kuryr --ipam-driver=kuryr --subnet=10.10.0.0/24 --gateway=10.10.0.1 "
    )
    assert create.endswith(" -o neutron.net.uuid=$net_id kuryr_net")
    assert "--network $net_id --vnic-type direct " in port
    for key in ("physical_network", "pci_vendor_info", "pci_slot"):
        assert f'"{key}": ' in port
    assert run == "docker run -it --net=kuryr_net --ip=10.10.0.5 ubuntu"
    assert "neutron port-create $net_id" in document.PAGE.read_text()  # the old spelling of the third


def test_the_settings_are_the_four_names_of_upstreams_guide() -> None:
    """A kuryr.conf by upstream's guide would not be the one that is tested."""
    parser = configparser.ConfigParser()
    parser.read_string(page()[document.SERVICE].settings)
    assert {section: dict(parser[section]) for section in ("DEFAULT", "binding")} == {
        "DEFAULT": {
            "enabled_port_drivers": "kuryr_libnetwork.port_driver.drivers.veth, "
            "kuryr_libnetwork.port_driver.drivers.sriov"
        },
        "binding": {
            # configparser shows what is in DEFAULT everywhere
            "enabled_port_drivers": "kuryr_libnetwork.port_driver.drivers.veth, "
            "kuryr_libnetwork.port_driver.drivers.sriov",
            "enabled_drivers": "kuryr.lib.binding.drivers.veth, kuryr.lib.binding.drivers.hw_veb",
        },
    }


def test_the_examples_are_known() -> None:
    """An example's name or number that is changed on the page alone would be typed on the machine as it is."""
    assert named(all_commands()) == set(PLACEHOLDERS)


def test_filling_in_replaces_whole_words_only() -> None:
    """The test would type other commands than the page has."""
    values = {"net04": "a", "net04-subnet": "b", "10.10.0.1": "c", "10.10.0.0/24": "d", "-it": "-d", "150": "7"}
    text = (
        "x --network net04 --gateway=10.10.0.1 10.10.0.15 --subnet-range 10.10.0.0/24 1500 150 run -it --it "
        "net04-subnet"
    )
    assert filled(text, values) == "x --network a --gateway=c 10.10.0.15 --subnet-range d 1500 7 run -d --it b"


def test_blocks_become_commands() -> None:
    """A command of several lines would be cut into pieces."""
    text = "# T\n## One\nWords\n```sh\na \\\n    b\nc\n```\n```ini\n[x]\ny = 1\n```\n### Two\nno block\n"
    assert sections(text) == {"One": Section(("a b", "c"), "[x]\ny = 1\n"), "Two": Section((), "")}
