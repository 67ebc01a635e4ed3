# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A container with CAP_NET_ADMIN fills its network namespace: what the service reads of it has a bound."""

from __future__ import annotations

import os
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.elsewhere import aliases_elsewhere
from kuryr_libnetwork.host.netdevs import KernelNetdevs
from kuryr_libnetwork.host.sandboxes import KernelSandboxes
from tests.linux.namespace import Namespace, namespace

MANY = 200_000
MOST_BYTES = 16 << 20
"""Less than a tenth of what pyroute2 takes for MANY routes."""
MAC = "fa:16:3e:00:00:01"


@pytest.fixture
def inside() -> Iterator[Namespace]:
    with namespace() as inside:
        inside.command("ip", "link", "add", "eth0", "address", MAC, "type", "veth", "peer", "name", "far0")
        for name in ("eth0", "far0"):
            inside.command("ip", "link", "set", name, "up")
        inside.command("ip", "address", "add", "10.67.0.5/24", "dev", "eth0")
        yield inside


def path_of(inside: Namespace) -> str:
    return inside.run(lambda: os.readlink("/proc/thread-self")).join(("/proc/", "/ns/net"))


def fill(inside: Namespace, lines: Iterator[str], *options: str) -> None:
    inside.run(_batch, "".join(lines), options)


def _batch(lines: str, options: tuple[str, ...]) -> None:
    subprocess.run(["ip", *options, "-batch", "-"], input=lines, text=True, check=True, capture_output=True)


def measured(work: Callable[[], Any]) -> int:
    """The most memory that it had at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def four(number: int) -> str:
    return f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


@pytest.mark.parametrize("family", [4, 6])
def test_a_container_with_very_many_routes(inside: Namespace, family: int) -> None:
    """The memory of the service would be the container's to take, and each docker network connect a minute long."""
    if family == 4:
        lines = (f"route add {four(number)}.0/24 dev eth0\n" for number in range(MANY))
    else:
        lines = (f"route add fd00:{number >> 16:x}:{number & 0xFFFF:x}::/48 dev eth0\n" for number in range(MANY // 8))
    fill(inside, lines, f"-{family}")

    def look() -> None:
        with pytest.raises(LinkError, match=rf"routes of a container: there are more than {dumps.MOST}"):
            KernelSandboxes().look(path_of(inside))

    assert measured(look) < MOST_BYTES


def test_routes_in_other_tables_are_not_read(inside: Namespace) -> None:
    """A container that routes by policy would be one with too many routes."""
    fill(inside, (f"route add {four(number)}.0/24 dev eth0 table 7\n" for number in range(dumps.MOST + 1)), "-4")
    (route,) = [each for each in KernelSandboxes().look(path_of(inside)).routes if ":" not in each.destination]
    assert route.destination == "10.67.0.0/24"


def test_a_container_with_very_many_addresses(inside: Namespace) -> None:
    """As with routes."""
    fill(inside, (f"address add {four(number)}.1/32 dev eth0\n" for number in range(dumps.MOST + 1)))
    with pytest.raises(LinkError, match="there are more than"):
        KernelSandboxes().look(path_of(inside))


def links(count: int) -> Iterator[str]:
    return (f"link add m{number} link far0 type macvlan mode bridge\n" for number in range(count))


def test_a_link_among_many_is_found_and_takes_no_memory(inside: Namespace) -> None:
    """A VF would not come home, or its addresses not be announced, and the service's memory be the container's."""
    fill(inside, links(500))
    path = path_of(inside)
    searched = partial(KernelNetdevs().announce, path, "fa:16:3e:00:00:99", ["10.67.0.5"])
    assert measured(searched) < MOST_BYTES // 16
    assert KernelNetdevs().announce(path, MAC, ["10.67.0.5"])


def test_links_of_a_namespace_beyond_the_bound_are_left_out(inside: Namespace) -> None:
    """A container with very many interfaces would keep what is gone from being seen, on the whole host."""
    with namespace() as host:
        for number, alias in enumerate(("kuryr:p1", "kuryr:p2")):
            host.command("ip", "link", "add", f"tap{number}", "type", "veth", "peer", "name", f"t_c{number}")
            host.command("ip", "link", "set", f"t_c{number}", "alias", alias)
        host.command("ip", "link", "set", "t_c0", "netns", str(inside.run(threading.get_native_id)))
        fill(inside, links(50))
        with namespace() as other:
            host.command("ip", "link", "set", "t_c1", "netns", str(other.run(threading.get_native_id)))
            assert host.run(aliases_elsewhere) == {"kuryr:p1", "kuryr:p2"}
            assert "kuryr:p2" in host.run(aliases_elsewhere, 10)
