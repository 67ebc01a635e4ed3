# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How Docker finds a plugin that it does not manage itself (docs/notes/docker-plugin.md, "Finding the plugin").

For a name it takes the first of: a socket in :data:`SOCKETS`; in each of :data:`FOLDERS` a ``.spec`` (one line with an
address), then a ``.json`` (which also configures TLS). ``NAME/NAME.ext`` is tried after ``NAME.ext``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import TcpSettings
from kuryr_libnetwork.model.value import Value

SOCKETS = Path("/run/docker/plugins")
SOCKET_FOLDERS = (str(SOCKETS), f"/var{SOCKETS}")
"""Another spelling of the same address."""
FOLDERS = (Path("/etc/docker/plugins"), Path("/usr/lib/docker/plugins"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what to call, where all addresses are listened on


class ClientFiles(Value, frozen=True):
    """Docker's files for TLS: the authority of our certificate, and if we require them its own certificate and key."""

    ca: str = ""
    cert: str = ""
    key: str = ""


class PluginFile(Value, frozen=True):
    suffix: str
    text: str


def plugin_file(socket_path: Path, tcp: TcpSettings | None, name: str, client: ClientFiles) -> PluginFile | None:
    """The file by which Docker finds this service as ``name``; ``None`` where it finds it by its socket."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--plugin {name}: must be 1 to 64 of A-Z a-z 0-9 _ . - with a letter or digit first")
    if tcp is not None:
        return _of_tcp(tcp, name, client)
    if any((client.ca, client.cert, client.key)):
        raise ConfigError("certificates are for TLS, which kuryr.conf does not turn on (kuryr_uri and enable_ssl)")
    if socket_path in sockets(name):
        return None
    return PluginFile(suffix=".spec", text=f"unix://{socket_path}\n")


def sockets(name: str) -> tuple[Path, Path]:
    """Where Docker looks first."""
    return SOCKETS / f"{name}.sock", SOCKETS / name / f"{name}.sock"


def looked_at(name: str) -> tuple[Path, ...]:
    """The files that Docker looks at after the sockets, in its order."""
    return tuple(
        folder / place
        for folder in FOLDERS
        for suffix in (".spec", ".json")
        for place in (f"{name}{suffix}", f"{name}/{name}{suffix}")
    )


def _of_tcp(tcp: TcpSettings, name: str, client: ClientFiles) -> PluginFile:
    host = _EVERYWHERE.get(tcp.host, tcp.host)
    address = f"[{host}]:{tcp.port}" if ":" in host else f"{host}:{tcp.port}"
    if tcp.certificate is None:
        if any((client.ca, client.cert, client.key)):
            raise ConfigError("certificates are for TLS, which kuryr.conf does not turn on (enable_ssl)")
        return PluginFile(suffix=".spec", text=f"http://{address}\n")
    _check(tcp, client)
    tls = {"InsecureSkipVerify": False, "CAFile": client.ca, "CertFile": client.cert, "KeyFile": client.key}
    found = {"Name": name, "Addr": f"https://{address}", "TLSConfig": tls}
    return PluginFile(suffix=".json", text=json.dumps(found, indent=2) + "\n")


def _check(tcp: TcpSettings, client: ClientFiles) -> None:
    """Requires an authority: without one Docker would trust any certificate."""
    if not client.ca:
        raise ConfigError(
            "--ca is missing: the authority (PEM) that signed ssl_cert_file; else Docker would trust anyone"
        )
    if bool(client.cert) != bool(client.key):
        raise ConfigError("--cert and --key belong together: Docker's certificate and its key")
    if tcp.client_ca is not None and not client.cert:
        raise ConfigError("--cert and --key are missing: with ssl_ca_file set, Docker has to show a certificate")
