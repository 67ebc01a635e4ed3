# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Attributes that rtnetlink sets on a network device besides its name, MAC, MTU and IP."""

from __future__ import annotations

import errno
import logging
from functools import partial
from typing import Any

from kuryr_libnetwork.host.netlink import refusal, translated
from kuryr_libnetwork.model.sriov import LinkAttributes
from kuryr_libnetwork.rules.link_attributes import CHANGEABLE, NETLINK, to_change

LOG = logging.getLogger(__name__)
NO_PROGRAM = -1


def link_attributes(message: Any) -> LinkAttributes:
    xdp = message.get_attr("IFLA_XDP")
    values = {ours: message.get_attr(f"IFLA_{theirs.upper()}") for ours, theirs in NETLINK.items()}
    return LinkAttributes(
        flags=message["flags"] & CHANGEABLE,
        xdp=bool(xdp is not None and xdp.get_attr("IFLA_XDP_ATTACHED")),
        altnames=altnames_of(message),
        **(values | {"alias": values["alias"] or ""}),
    )


def set_link_attributes(socket: Any, index: int, wanted: LinkAttributes) -> None:
    """Set each attribute in a message of its own, so that an error names what the kernel refused."""
    message = socket.link("get", index=index)[0]
    found, name = link_attributes(message), message.get_attr("IFLA_IFNAME")
    changes: list[tuple[str, Any, dict[str, Any]]] = [
        (label, value, {label: value}) for label, value in to_change(found, wanted).items()
    ]
    if found.flags != wanted.flags:
        changes.append(("flags", f"{wanted.flags:#x}", {"flags": wanted.flags, "change": CHANGEABLE}))
    if found.xdp and not wanted.xdp:
        changes.append(("XDP program", "none", {"IFLA_XDP": {"attrs": [["IFLA_XDP_FD", NO_PROGRAM]]}}))
    for label, value, request in changes:
        code = refusal(partial(socket.link, "set", index=index, **request))
        if code:
            raise translated(f"set the {label} of device {name} to {value!r}", code)
    _set_altnames(socket, index, found.altnames, wanted.altnames)


def _set_altnames(socket: Any, index: int, found: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    for name in set(found) - set(wanted):
        drop_altname(socket, index, name)
    for name in sorted(set(wanted) - set(found)):
        if refusal(partial(socket.link, "property_add", index=index, altname=[name]), errno.EEXIST):
            LOG.info("the alternative name %s is not given back: another device has it, or udev was faster", name)


def altnames_of(message: Any) -> tuple[str, ...]:
    properties = message.get_attr("IFLA_PROP_LIST")
    return tuple(sorted(properties.get_attrs("IFLA_ALT_IFNAME"))) if properties is not None else ()


def drop_altname(socket: Any, index: int, name: str) -> None:
    refusal(partial(socket.link, "property_del", index=index, altname=[name]), errno.ENOENT, errno.EINVAL)
