# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The host's own IP on an interface: read by rtnetlink, and set by it if possible, else below ``/proc/sys/net``.

The kernel shows there the settings of the reader's network namespace. A container's ``/proc/sys`` is read-only: the
managed plugin has the host's mounted at another path.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from kuryr_libnetwork.errors import LinkError
from kuryr_libnetwork.host.netlink import refusal
from kuryr_libnetwork.model.links import HostIp
from kuryr_libnetwork.rules.host_ip import to_change

PLACES = (Path("/proc/sys/net"), Path("/run/kuryr-sysctl-net"))
_FAMILIES = {"rp_filter": "ipv4", "arp_ignore": "ipv4", "disable_ipv6": "ipv6", "accept_ra": "ipv6"}
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP)


def host_ip(message: Any) -> HostIp:
    """The settings in a message about an interface; absent for a family that is off, or needs a larger MTU."""
    families = message.get_attr("IFLA_AF_SPEC")
    four = families.get_attr("AF_INET") if families is not None else None
    six = families.get_attr("AF_INET6") if families is not None else None
    settings = six.get_attr("IFLA_INET6_CONF") if six is not None else None
    return HostIp(
        rp_filter=four["rp_filter"] if four else None,
        arp_ignore=four["arp_ignore"] if four else None,
        addr_gen_mode=six.get_attr("IFLA_INET6_ADDR_GEN_MODE") if six is not None else None,
        disable_ipv6=settings["disable_ipv6"] if settings else None,
        accept_ra=settings["accept_ra"] if settings else None,
    )


def set_host_ip(socket: Any, index: int, wanted: HostIp, places: tuple[Path, ...] = PLACES) -> None:
    """Set the host's own IP on an interface; to be called before it is up.

    Raises :class:`~kuryr_libnetwork.errors.LinkError` if the settings are not as wanted afterwards.
    """
    message = socket.link("get", index=index)[0]
    name = message.get_attr("IFLA_IFNAME")
    changes = to_change(host_ip(message), wanted)
    if not changes:
        return
    mode = changes.pop("addr_gen_mode", None)
    if mode is not None:  # a request of its own: the kernel does not accept it in the one that creates the interface
        attributes = {"attrs": [["AF_INET6", {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", mode]]}]]}
        refusal(lambda: socket.link("set", index=index, IFLA_AF_SPEC=attributes), *_NO_SUCH_FAMILY)
    reasons = [
        _write(places, f"{_FAMILIES[setting]}/conf/{name}/{setting}", value) for setting, value in changes.items()
    ]
    left = to_change(host_ip(socket.link("get", index=index)[0]), wanted)
    if left:
        told = ", ".join(f"{setting}={value}" for setting, value in left.items())
        reason = next((each for each in reasons if each), "the kernel did not take it")
        raise LinkError(f"the host's own IP on interface {name} cannot be turned off ({told}): {reason}")


def _write(places: tuple[Path, ...], setting: str, value: int) -> str:
    """Why the setting cannot be written; "" if it was."""
    wrong = ""
    for place in places:
        try:
            (place / setting).write_text(str(value))
        except OSError as error:
            wrong = wrong or f"{place / setting}: {error.strerror}"
        else:
            return ""
    return wrong
