# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The virtual machine that this service runs in: its interface, and the Neutron port behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kuryr_libnetwork.errors import Busy, LinkError, LinkNotFound
from kuryr_libnetwork.interfaces.host import Links
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import Link
from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules import nested as rules

LONGEST_WAIT = 60.0
"""Seconds that a container waits for other containers' changes of the machine's port."""


class Machine:
    """``link_iface``: the interface that kuryr.conf names; "": the only one that has a Neutron port.

    The port is found by the MAC that the interface has now; another port may have been attached to it before.
    """

    def __init__(self, links: Links, neutron: Neutron, link_iface: str, longest_wait: float = LONGEST_WAIT) -> None:
        self._links = links
        self._neutron = neutron
        self._named = link_iface
        self._found = ""
        self._longest_wait = longest_wait
        self._change = threading.Lock()

    def interface(self, *, usable: bool = False) -> Link:
        """One Neutron call if kuryr.conf names none and none was found yet. ``usable``: an interface that is down is an
        error.
        """
        name = self._named or self._found
        link = self._links.get(name) if name else None
        if link is None and self._named:
            raise LinkNotFound(f"{rules.OPTION} = {name}: there is no such interface on this host")
        if link is None:
            link = self._only_one()
            self._found = link.name
        if usable and not link.up:
            raise LinkError(f"interface {link.name}, which containers stand on ({rules.OPTION}), is down")
        return link

    def _only_one(self) -> Link:
        links = rules.candidates(self._links.all())
        return rules.only_link(links, self._neutron.find_ports(mac_address=[link.mac for link in links]))

    def port(self, link: Link) -> Port:
        """The Neutron port of an interface that the machine has or had; one Neutron call."""
        found = self._neutron.find_ports(mac_address=link.mac)
        addresses = self._links.addresses(link.name) if len(found) > 1 and self._links.get(link.name) else []
        return rules.parent_port(link, found, addresses)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Allows one change of the machine's port at a time: two would only make each other retry."""
        if not self._change.acquire(timeout=self._longest_wait):
            raise Busy(f"the port of this virtual machine was being changed for {self._longest_wait:.0f} s; try again")
        try:
            yield
        finally:
            self._change.release()
