# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Which user's process is at the other end of a connection, according to the kernel.

For TCP that is the owner of the client's socket, which is on this host if the connection came over loopback; the kernel
is asked by the two addresses (sock_diag(7), include/uapi/linux/inet_diag.h). A socket that its process has closed has
no owner any more; kernels before 6.17 then answer 0, which is root. So a socket without an inode proves nothing.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

_UCRED = struct.Struct("=3i")
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_PORTS = struct.Struct("!HH")
_NO_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # on any interface
_ALL_STATES = 0xFFFFFFFF
_OWNER = struct.Struct("=II")  # uid, inode
_OWNER_AT = _HEADER.size + 64


def unix_owner(sock: socket.socket) -> int:
    """The user id of the process that connected a unix socket (SO_PEERCRED)."""
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def tcp_owner(sock: socket.socket) -> int | None:
    """The user id of the client's socket, or ``None`` if the kernel does not tell it or the client has gone.

    Asked twice: a socket that still has an inode the second time had one when the kernel named its owner the first
    time.
    """
    first = _ask(sock)
    if first is None or _ask(sock) != first:
        return None
    return first[0]


def _ask(sock: socket.socket) -> tuple[int, int] | None:
    """User id and inode."""
    try:
        theirs, ours = sock.getpeername(), sock.getsockname()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as diag:
            diag.send(_question(sock.family, theirs, ours))
            answer = diag.recv(4096)
    except OSError:
        return None
    if len(answer) < _OWNER_AT + _OWNER.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    uid, inode = _OWNER.unpack_from(answer, _OWNER_AT)
    return (uid, inode) if inode else None


def _question(family: int, theirs: tuple[str, int], ours: tuple[str, int]) -> bytes:
    """The request about the socket whose own address is ``theirs``."""
    addresses = b"".join(ip_address(each[0].partition("%")[0]).packed.ljust(16, b"\0") for each in (theirs, ours))
    body = _ASKED.pack(family, socket.IPPROTO_TCP, 0, _ALL_STATES) + _PORTS.pack(theirs[1], ours[1])
    body += addresses + _NO_COOKIE
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + body
