# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Access to rtnetlink: sockets, and the kernel's errors translated into ours.

Each operation has a socket of its own, in the network namespace of the thread that opens it. pyroute2 takes a tenth of
a second to import, so it is imported at first use.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from kuryr_libnetwork.errors import LinkError, LinkExists, LinkNotFound
from kuryr_libnetwork.health import described
from kuryr_libnetwork.host.dumps import TooMany

LOG = logging.getLogger(__name__)
Connect = Callable[[str], AbstractContextManager[Any]]
"""Opens a socket for a task; errors name the task."""

ENOTSUPP = 524
"""The kernel's internal error number, which some drivers return to user space."""
NOT_SUPPORTED = (errno.EOPNOTSUPP, ENOTSUPP)
DUMPS = 5
"""How often a list is requested if it changes while it is read."""
_REASONS = {
    errno.EPERM: "not permitted; the service needs CAP_NET_ADMIN",
    errno.EOPNOTSUPP: "the kernel or the driver has no support for it (is the module loaded?)",
    ENOTSUPP: "the driver has no support for it",
    errno.EAGAIN: "the kernel's list changed each time while it was read",
}


@contextmanager
def netlink(task: str) -> Iterator[Any]:
    from pyroute2 import IPRoute

    with told_as(task), IPRoute() as socket:
        yield socket


@contextmanager
def told_as(task: str) -> Iterator[None]:
    """Translate errors of netlink in the body into ours, which name the task."""
    from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkError

    began = time.monotonic()
    try:
        yield
    except NetlinkError as error:
        raise translated(task, error.code, error) from error
    except TooMany as error:
        raise LinkError(f"cannot {task}: {error.strerror}") from error
    except OSError as error:
        raise translated(task, error.errno or 0, error) from error
    except (NetlinkDecodeError, struct.error, AttributeError, LookupError, TypeError, ValueError) as error:
        # The last four come from reading an answer in which an attribute is missing or malformed.
        raise LinkError(
            f"cannot {task}: a message of the kernel, or for it, is malformed: {described(error)}"
        ) from error
    finally:
        LOG.debug("%s: %.1f ms", task, (time.monotonic() - began) * 1000)


def translated(task: str, code: int, error: Exception | None = None) -> LinkError:
    text = f"cannot {task}: {_REASONS.get(code) or (os.strerror(code) if code else error)}"
    return {errno.ENODEV: LinkNotFound, errno.EEXIST: LinkExists}.get(code, LinkError)(text)


def listed(dump: Callable[[], Iterable[Any]]) -> list[Any]:
    """A whole list of the kernel's; requested again if the kernel says that it changed while it was read, because
    entries may be missing then.
    """
    from pyroute2.netlink.exceptions import NetlinkDumpInterrupted

    for _ in range(DUMPS):
        with suppress(NetlinkDumpInterrupted):
            return list(dump())
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def refusal(request: Callable[[], object], *expected: int) -> int:
    """0 if the kernel did as asked; the error number if it is one of ``expected`` (none given: any); else raises."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        request()
    except NetlinkError as error:
        if expected and error.code not in expected:
            raise
        return int(error.code)
    return 0


def find(socket: Any, name: str, **options: int) -> Any | None:
    """The kernel's message about the interface of that name; the kernel finds it by alternative names as well."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        found = socket.link("get", ifname=name, **options)
    except NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    return found[0] if found and found[0].get_attr("IFLA_IFNAME") == name else None


def delete(socket: Any, name: str) -> bool:
    """Delete an interface by its index: the kernel never takes an index for another interface while both exist."""
    message = find(socket, name)
    return message is not None and not refusal(lambda: socket.link("del", index=message["index"]), errno.ENODEV)
