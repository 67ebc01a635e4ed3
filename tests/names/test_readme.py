# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the README says that works has a test. tests/systemd/test_readme.py and tests/cloud/test_readme.py type its
commands.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
STORIES = "conversation/stories"
HELD_BY = {
    "IPv4, dual stack; IPv6 alone from Docker 28 on": (
        "cloud/test_engines.py::test_the_main_job",
        "cloud/test_containers.py::test_dual_stack",
        "cloud/test_engines.py::test_ipv6_only",
    ),
    "addresses and MAC of your choice": ("cloud/test_containers.py::test_chosen_addresses_and_mac",),
    "a port created beforehand": ("cloud/test_adoption.py::test_every_attribute_comes_back",),
    "security groups, QoS policy, port security, DNS domain": (
        "cloud/test_port_options.py::test_groups_decide_who_reaches_a_container",
        "cloud/test_port_options.py::test_all_of_a_networks_options_in_the_budget",
    ),
    "an existing Neutron network, subnet or subnetpool": (
        "cloud/test_containers.py::test_existing_network_is_untouched_afterwards",
        "cloud/test_ipam.py::test_a_subnet_chosen_once",
        "cloud/test_ipam.py::test_a_pool_of_the_users",
    ),
    "one CIDR on several networks; no `--subnet`": (
        "cloud/test_ipam.py::test_one_cidr_on_three_networks",
        "cloud/test_ipam.py::test_default_pools_of_both_families",
    ),
    "several subnets": (
        "cloud/test_ipam.py::test_two_subnets_of_one_family",
        "cloud/test_ipam.py::test_a_full_subnet_is_followed_by_the_next",
    ),
    "part of a subnet": ("cloud/test_ipam.py::test_a_range_and_auxiliary_addresses",),
    "addresses that no container gets": ("cloud/test_ipam.py::test_a_range_and_auxiliary_addresses",),
    "any number of Docker networks and hosts on one Neutron network": (
        "cloud/test_many_networks.py::test_more_docker_networks_than_tags",
        "cloud/test_two_hosts.py::test_the_first_to_leave_takes_nothing_from_the_other",
    ),
    "gateway": (f"{STORIES}/test_subnets.py::test_the_gateway_of_the_network_that_was_chosen",),
    "no access to other networks": ("cloud/test_containers.py::test_internal_network_has_no_default_route",),
    "DNS name of the port": (f"{STORIES}/test_stories.py::test_container_name_becomes_the_dns_name",),
    "Docker Engine": ("cloud/test_engines.py::test_each_host_has_the_engine_that_the_lab_shows",),
    "Docker's managed plugins, swarm": (
        "cloud/test_managed_plugin.py::test_containers_by_the_managed_plugin",
        "cloud/test_managed_plugin.py::test_a_swarm_of_one_node",
    ),
    "TLS instead of the Unix socket": ("cloud/test_tls.py::test_containers_over_tls",),
    "SR-IOV": ("sriov/test_guide.py::test_the_four_commands",),
    "containers in a virtual machine": (
        "cloud/test_nested.py::test_ipvlan_reaches_an_ordinary_container",
        "cloud/test_nested.py::test_a_vlan_of_the_trunk",
    ),
    "`--expose`, `EXPOSE`": ("cloud/test_exposed_ports.py::test_exposed_ports_are_reached_and_no_others",),
    "`-p`": ("cloud/test_exposed_ports.py::test_exposed_ports_are_reached_and_no_others",),
}
"""Each row of the table "What works", and the tests that would fail if it were not true."""


def rows() -> list[str]:
    table = (ROOT / "README.md").read_text().partition("\n| works | how |\n")[2].partition("\n\n")[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]]


def test_each_row_has_tests() -> None:
    """The README would promise what nothing proves, or a test prove what it no longer says."""
    assert sorted(rows()) == sorted(HELD_BY)


def said_by_the_demo() -> list[str]:
    """The headings, and the reason behind each call of Neutron, in the output that the pages show."""
    shown = "".join((ROOT / page).read_text() for page in ("README.md", "docs/try.md"))
    headings = re.findall(r"^\d\. (.+)\n   \$ |^(What is what|How long it took)$", shown, re.MULTILINE)
    reasons = re.findall(r"^ +(?:GET|POST|PUT) .* ms  (.+)$", shown, re.MULTILINE)
    return sorted({*(first or second for first, second in headings), *reasons})


@pytest.mark.parametrize("text", said_by_the_demo())
def test_the_demo_still_says_so(text: str) -> None:
    """The pages would show an output that nobody gets."""
    source = "".join(file.read_text() for file in (ROOT / "lab" / "demo").glob("*.py"))
    assert f'"{text}' in source


@pytest.mark.parametrize("test", sorted({test for tests in HELD_BY.values() for test in tests}))
def test_what_holds_a_row_is_there(test: str) -> None:
    """A row would be held by a test that has gone."""
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (TESTS / file).read_text(), re.MULTILINE)
