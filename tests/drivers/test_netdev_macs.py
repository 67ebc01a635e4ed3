# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Drivers of VFs that take their time with a MAC, or with being down."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.netdevs import RETRIES, KernelNetdevs

MAC = "fa:16:3e:00:00:01"


class Message(dict[str, Any]):
    def get_attr(self, name: str) -> Any:
        return self.get(name)


class Kernel:
    """One device ``vf0``. ``answers``: error number (0: yes) of each request for a MAC; ``lag``: looks until it
    shows.
    """

    def __init__(self, answers: list[int], lag: int = 0) -> None:
        self.answers = answers
        self.lag = lag
        self.busy = 0
        self.sent: list[str] = []
        self._device = {"index": 4, "flags": 1, "IFLA_IFNAME": "vf0", "IFLA_ADDRESS": "52:54:00:00:00:01"}
        self._coming = ""

    @contextmanager
    def connect(self, task: str) -> Iterator[Any]:
        yield self

    def link(self, command: str, **options: Any) -> list[Message]:
        options.pop("index", None)
        if command == "get":
            self._look()
            return [Message(self._device)]
        ((name, value),) = options.items()
        self.sent.append(name)
        if name == "address":
            self._take(value)
        if name == "ifname":
            if self.busy:
                self.busy -= 1
                raise NetlinkError(errno.EBUSY)
            self._device["IFLA_IFNAME"] = value
        return []

    def _take(self, mac: str) -> None:
        code = self.answers.pop(0)
        if code:
            raise NetlinkError(code)
        self._coming = mac

    def _look(self) -> None:
        if self._coming and self.lag:
            self.lag -= 1
        elif self._coming:
            self._device["IFLA_ADDRESS"] = self._coming


@pytest.mark.parametrize("code", [errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EBUSY, errno.EACCES])
def test_a_refused_mac_is_asked_for_again(code: int) -> None:
    """No container could have a VF of a card whose driver resets it for a second (i40e)."""
    kernel = Kernel([code, code, 0])
    KernelNetdevs(connect=kernel.connect).configure("vf0", mac=MAC)
    assert kernel.sent == ["state", "address", "address", "address"]


def test_a_mac_that_shows_late_is_waited_for() -> None:
    """The driver says yes before it knows (iavf): the container would start with another MAC."""
    kernel = Kernel([0] * RETRIES, lag=3)
    KernelNetdevs(connect=kernel.connect).configure("vf0", mac=MAC)
    assert kernel.lag == 0


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM])
def test_a_final_refusal_is_said_at_once(code: int) -> None:
    """Each wrong MAC would hold a worker for seconds."""
    kernel = Kernel([code])
    with pytest.raises(LinkError, match=f"MAC of device vf0 to {MAC}"):
        KernelNetdevs(connect=kernel.connect).configure("vf0", mac=MAC)
    assert kernel.answers == []


def test_a_busy_rename_sets_down_again() -> None:
    """A network manager sets up again what it sees go down; an older kernel does not rename it then."""
    kernel = Kernel([])
    kernel.busy = 1
    KernelNetdevs(connect=kernel.connect).configure("vf0", new_name="kv1")
    assert kernel.sent == ["state", "ifname", "state", "ifname"]


def test_a_driver_that_refuses_for_good_is_not_asked_again() -> None:
    """Every container on such a card would start two seconds later than it could."""
    kernel = Kernel([errno.EADDRNOTAVAIL, 0])
    with pytest.raises(LinkError, match="Cannot assign"):
        KernelNetdevs(connect=kernel.connect).configure("vf0", mac=MAC, patient=False)
    assert kernel.sent.count("address") == 1
