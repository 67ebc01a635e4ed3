# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Interfaces in other network namespaces, seen from ours.

The kernel numbers a namespace when an interface moves there, and answers questions about it by that number, so it need
not be entered, nor its path be known. The two messages are built here (include/uapi/linux/rtnetlink.h, net_namespace.h,
if_link.h), because not all releases of pyroute2 have a call for them.
"""

from __future__ import annotations

import errno
import logging
import struct

from kuryr_libnetwork.host import dumps
from kuryr_libnetwork.host.netlink import told_as

LOG = logging.getLogger(__name__)
NETNSA_NSID = 1
IFLA_IFALIAS, IFLA_TARGET_NETNSID = 20, 46
MOST_NAMESPACES = 100_000


def aliases_elsewhere(most: int = dumps.MOST) -> frozenset[str]:
    """The ifalias of every interface in every namespace that ours has a number for.

    In a namespace with very many interfaces, which its container created, all beyond ``most`` are left out. Only that
    container may lose something by this.
    """
    found: set[str] = set()
    with told_as("look at the interfaces of other network namespaces"):
        for number in _numbers():
            found |= _aliases(number, most)
    return frozenset(found)


def _numbers() -> list[int]:
    found = dumps.dump(dumps.RTM_GETNSID, bytes(dumps.SIZES[dumps.RTM_GETNSID]), MOST_NAMESPACES)
    numbers = [entry.attributes[NETNSA_NSID] for entry in found if NETNSA_NSID in entry.attributes]
    return [struct.unpack("=i", number)[0] for number in numbers]


def _aliases(number: int, most: int) -> set[str]:
    asked = bytes(dumps.SIZES[dumps.RTM_GETLINK]) + dumps.attribute(IFLA_TARGET_NETNSID, struct.pack("=i", number))
    found: set[str] = set()
    try:
        for entry in dumps.entries(dumps.RTM_GETLINK, asked, most):
            if IFLA_IFALIAS in entry.attributes:
                found.add(dumps.text(entry.attributes[IFLA_IFALIAS]))
    except dumps.TooMany as error:
        LOG.info("not all interfaces of network namespace %d are looked at: %s", number, error.strerror)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # the namespace has just gone
            raise
    return found
