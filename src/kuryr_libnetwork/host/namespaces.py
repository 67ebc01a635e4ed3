# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Work inside a container's network namespace, in a thread of its own that ends with the work.

Docker names the namespace by a path, which is only the caller's claim: its folder depends on how the engine is run, so
the path can be anything. It is checked before it is opened, because opening alone can affect a pipe or a device.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from kuryr_libnetwork.errors import LinkError, LinkNotFound
from kuryr_libnetwork.text import shown

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG)


def run_inside(sandbox: str, work: Callable[[], T]) -> T:
    """The result of ``work``. Raises :class:`~kuryr_libnetwork.errors.LinkNotFound` if ``sandbox`` is not, or no
    longer, a network namespace, or is our own.
    """
    with opened(sandbox) as handle:
        if os.path.samestat(os.fstat(handle), os.stat(OWN)):
            raise LinkNotFound(f"{shown(sandbox)} is the host's own network namespace, not a container's")
        with ThreadPoolExecutor(1, thread_name_prefix="sandbox") as thread:
            return thread.submit(_enter_and_work, sandbox, handle, work).result()


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of a namespace; anything else is not opened."""
    with ExitStack() as stack:
        try:
            pinned = os.open(path, os.O_PATH | os.O_CLOEXEC)
            stack.callback(os.close, pinned)
            if os.fstat(pinned).st_dev != os.stat(OWN).st_dev:  # all namespaces are in one file system of the kernel's
                raise LinkNotFound(f"{shown(path)} is not a namespace, or no longer one")
            handle = os.open(f"/proc/self/fd/{pinned}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _translated(path, error.errno or 0) from error
        except ValueError as error:  # a zero byte
            raise _translated(path, errno.ENOENT) from error
        stack.callback(os.close, handle)
        yield handle


def _enter_and_work(sandbox: str, handle: int, work: Callable[[], T]) -> T:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        code = ctypes.get_errno()
        if code == errno.EINVAL:
            raise LinkNotFound(f"{shown(sandbox)} is a namespace, but not of a network")
        raise _translated(sandbox, code)
    return work()


def _translated(sandbox: str, code: int) -> LinkError:
    kind = LinkNotFound if code in _NOT_THERE else LinkError
    return kind(f"cannot enter the network namespace {shown(sandbox)}: {os.strerror(code)}")
