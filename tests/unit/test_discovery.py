# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How Docker finds the service, and what it has to be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import TcpSettings
from kuryr_libnetwork.rules.discovery import ClientFiles, PluginFile, looked_at, plugin_file, sockets

SOCKET = Path("/run/docker/plugins/kuryr.sock")
NO_FILES = ClientFiles()
FILES = ClientFiles(ca="/ca", cert="/cert", key="/key")


def tcp(host: str, *, tls: bool = False, ask_clients: bool = False) -> TcpSettings:
    return TcpSettings(
        host=host,
        port=23750,
        certificate=Path("/cert.pem") if tls else None,
        key=Path("/key.pem") if tls else None,
        client_ca=Path("/clients.pem") if ask_clients else None,
    )


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "no name", "x" * 65])
def test_a_name_that_is_no_file_name(name: str) -> None:
    """Docker makes a file name of it, unchecked."""
    with pytest.raises(ConfigError, match="--plugin"):
        plugin_file(SOCKET, None, name, NO_FILES)


def test_the_socket_is_found_by_its_name() -> None:
    """An operator would install a file that Docker never reads, or lack the one that it needs."""
    for path in sockets("kuryr"):
        assert plugin_file(path, None, "kuryr", NO_FILES) is None
    found = plugin_file(SOCKET, None, "other", NO_FILES)
    assert found == PluginFile(suffix=".spec", text=f"unix://{SOCKET}\n")


@pytest.mark.parametrize("listener", [None, tcp("127.0.0.1")])
@pytest.mark.parametrize("files", [ClientFiles(ca="/ca"), ClientFiles(cert="/cert"), ClientFiles(key="/key")])
def test_certificates_need_tls(listener: TcpSettings | None, files: ClientFiles) -> None:
    """An operator would believe that the connection is protected."""
    with pytest.raises(ConfigError, match="certificates are for TLS"):
        plugin_file(SOCKET, listener, "kuryr", files)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:23750"),
        ("0.0.0.0", "127.0.0.1:23750"),
        ("::", "[::1]:23750"),
        ("kuryr.example.org", "kuryr.example.org:23750"),
    ],
)
def test_what_docker_is_to_call(host: str, address: str) -> None:
    """Docker would call an address that is none, or without TLS."""
    plain = plugin_file(SOCKET, tcp(host), "kuryr", NO_FILES)
    assert plain == PluginFile(suffix=".spec", text=f"http://{address}\n")
    secure = plugin_file(SOCKET, tcp(host, tls=True), "kuryr", FILES)
    assert secure is not None
    tls = {"InsecureSkipVerify": False, "CAFile": "/ca", "CertFile": "/cert", "KeyFile": "/key"}
    assert (secure.suffix, json.loads(secure.text)) == (
        ".json",
        {"Name": "kuryr", "Addr": f"https://{address}", "TLSConfig": tls},
    )


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        (NO_FILES, "--ca is missing"),
        (ClientFiles(ca="/ca"), "--cert and --key are missing"),
        (ClientFiles(ca="/ca", cert="/cert"), "belong together"),
        (ClientFiles(ca="/ca", key="/key"), "belong together"),
    ],
)
def test_what_tls_needs_is_named(files: ClientFiles, missing: str) -> None:
    """An empty CAFile makes Docker trust anybody; a missing certificate shows at the first docker network create."""
    with pytest.raises(ConfigError, match=missing):
        plugin_file(SOCKET, tcp("127.0.0.1", tls=True, ask_clients=True), "kuryr", files)


def test_dockers_order() -> None:
    """A file would be written behind another one."""
    etc = [f"/etc/docker/plugins/{place}" for place in ("n.spec", "n/n.spec", "n.json", "n/n.json")]
    usr = [path.replace("/etc/docker", "/usr/lib/docker") for path in etc]
    assert [str(path) for path in looked_at("n")] == [*etc, *usr]
