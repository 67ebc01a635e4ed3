# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Sockets to listen on: our own Unix socket, those that systemd passes on, TCP."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable, Collection, Mapping, MutableMapping
from pathlib import Path

from kuryr_libnetwork.errors import AddressInUse, ConfigError, UnsafePath
from kuryr_libnetwork.host.files import check_folder, make_folder
from kuryr_libnetwork.host.socket_owner import tcp_owner, unix_owner
from kuryr_libnetwork.rules.addresses import is_loopback

LOG = logging.getLogger(__name__)
BACKLOG = 512
FIRST_HANDED_OVER = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""


class Listener:
    """A bound socket, and how to clean up after it."""

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        close: Callable[[], None] = lambda: None,
        refuses: Callable[[socket.socket], str] | None = None,
    ) -> None:
        """``refuses`` answers why a connected client is not served; "" if it is."""
        self.socket = sock
        self.name = name
        self.refuses = refuses or _nobody_refused
        self._close = close

    def remove(self) -> None:
        """Remove what we created (the file of our Unix socket), while the socket is still open."""
        close, self._close = self._close, lambda: None
        close()


def unix_listener(path: Path, option: str = "[DEFAULT] socket_path") -> Listener:
    """Bind a socket, such as the plugin's, readable by its owner only from the first moment.

    An existing socket that nobody listens on is replaced. Refused: a socket that answers (it belongs to a running
    service), and any other kind of file.
    """
    _make_room(path, option)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    os.fchmod(sock.fileno(), 0o600)  # Linux creates the file with this mode, so that it is never open to others
    try:
        sock.bind(str(path))
        sock.listen(BACKLOG)  # from now on another service sees that the socket is in use
        path.chmod(0o600)  # a umask may have removed more bits
        ours = path.lstat()
    except OSError as error:
        sock.close()
        raise ConfigError(f"{option}={path}: {error.strerror or error}") from None

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                if os.path.samestat(path.lstat(), ours):
                    path.unlink()
            except PermissionError as error:
                LOG.warning("cannot remove %s: %s", path, error.strerror)

    return Listener(sock, f"unix:{path}", remove, refuse_others)


def refuse_others(sock: socket.socket) -> str:
    """On a Unix socket only root is served, as Docker is root, whatever the file's mode or systemd's unit allow."""
    uid = unix_owner(sock)
    if uid in (0, os.geteuid()):
        return ""
    return f"the client's process runs as user {uid}; this socket is only for root, because Docker runs as root"


def _make_room(path: Path, option: str) -> None:
    try:
        make_folder(path.parent)
        check_folder(path.parent)
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except UnsafePath as error:
        raise ConfigError(f"{option}={path}: {error}") from None
    except OSError as error:
        raise ConfigError(f"{option}={path}: {error.strerror or error}") from None
    if not stat.S_ISSOCK(kind):
        raise ConfigError(f"{option}={path}: exists and is not a socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise ConfigError(f"{option}={path}: {error.strerror or error}") from None
    raise AddressInUse(f"{option}={path}: another service answers there; stop it or choose another path")


def handed_over(environment: MutableMapping[str, str]) -> list[Listener]:
    """The Unix sockets of systemd's socket activation, if any; removes its variables from the environment."""
    numbers = handed_over_numbers(environment)
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)
    return [_taken_over(number) for number in numbers]


def handed_over_numbers(environment: Mapping[str, str]) -> range:
    """The numbers of the descriptors that systemd passed to this process."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return range(0)
    return range(FIRST_HANDED_OVER, FIRST_HANDED_OVER + int(count))


def _taken_over(number: int) -> Listener:
    """Only Unix sockets are accepted: a TCP socket passed in would bypass our rules about TLS."""
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigError(f"systemd's descriptor {number}: {error.strerror or error}") from None
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        sock.close()
        raise ConfigError(f"systemd's descriptor {number} is not a unix stream socket; set kuryr_uri to listen on TCP")
    return Listener(sock, f"systemd:{number}", refuses=refuse_others)


def tcp_listener(
    host: str,
    port: int,
    *,
    encrypted: bool,
    certified: bool = False,
    users: Collection[int] | None = frozenset(),
) -> Listener:
    """Bind a TCP address. Its clients control the containers' networks.

    ``certified``: TLS requires a client certificate. Otherwise only a loopback address is bound, and only root, our own
    user and ``users`` (ids) of this host are served; ``None``: all users.
    """
    _refuse_unprotected(host, encrypted=encrypted, certified=certified)
    sock = _bound(host, port)
    name = f"tcp:{host}:{sock.getsockname()[1]}"
    if certified:
        return Listener(sock, name)
    if users is None:
        LOG.warning("%s: every user of this host can control its containers' networks (kuryr_uri_users = *)", name)
        return Listener(sock, name)
    LOG.warning(
        "%s: without client certificates only processes of root%s on this host are served; "
        "the Unix socket serves only root",
        name,
        "".join(f", user {uid}" for uid in sorted(users) if uid),
    )
    return Listener(sock, name, refuses=_refusal_of_all_but({0, os.geteuid(), *users}))


def _refuse_unprotected(host: str, *, encrypted: bool, certified: bool) -> None:
    if is_loopback(host):
        return
    if not encrypted:
        raise ConfigError(
            f"[DEFAULT] kuryr_uri: {host} without TLS; use 127.0.0.1, or set enable_ssl with certificates"
        )
    if not certified:
        raise ConfigError(
            f"[DEFAULT] kuryr_uri: {host} without ssl_ca_file; set it to the authority of Docker's certificate, or use "
            "127.0.0.1"
        )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or error
        raise AddressInUse(f"[DEFAULT] kuryr_uri: cannot listen on {host}:{port}: {reason}") from None
    return sock


def _refusal_of_all_but(users: Collection[int]) -> Callable[[socket.socket], str]:
    def refuses(sock: socket.socket) -> str:
        uid = tcp_owner(sock)
        if uid in users:
            return ""
        if uid is None:
            return "the kernel does not say which user the client runs as; use the Unix socket, or a client certificate"
        return f"the client's process runs as user {uid}; [DEFAULT] kuryr_uri_users lists who may call besides root"

    return refuses


def _nobody_refused(_: socket.socket) -> str:
    return ""
