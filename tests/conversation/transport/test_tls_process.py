# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""kuryr.conf, the file that ``kuryr config docker-plugin`` makes from it, and a client that follows that file as Docker
does.
"""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.process import wait_for
from tests.conversation.transport.test_server_process import LIMIT, PROGRAM, Start, configure, folder, start
from tests.fakes.certificates import authority_with
from tests.world.edge import exchange, request

__all__ = ["folder", "start"]

ACTIVATE = request("Plugin.Activate")


@pytest.fixture
def port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found: int = closed.getsockname()[1]
    return found


def plugin_file(words: tuple[str, str], *more: str) -> str:
    command = [str(PROGRAM.with_name("kuryr")), *words, "config", "docker-plugin", *more]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT).stdout


def follow(text: str) -> int:
    """Call as Docker does with such a file; answers the status, 0 if the TLS handshake failed."""
    found = json.loads(text)
    address, tls = urlsplit(found["Addr"]), found["TLSConfig"]
    context = ssl.create_default_context(cafile=tls["CAFile"])
    assert (address.scheme, tls["InsecureSkipVerify"]) == ("https", False)
    if tls["CertFile"]:
        context.load_cert_chain(tls["CertFile"], tls["KeyFile"])
    sock = socket.create_connection((address.hostname, address.port), LIMIT)
    try:
        return exchange(context.wrap_socket(sock, server_hostname=address.hostname), ACTIVATE)[0]
    except (ssl.SSLError, ConnectionError):
        return 0


def test_docker_is_served_by_its_certificate_only(folder: Path, start: Start, port: int) -> None:
    """Fails if anybody on the network can control the plugin, or Docker cannot (docs/compatibility.md, B6)."""
    authority_with(folder, "server", "client")
    text = f"kuryr_uri = https://127.0.0.1:{port}\nenable_ssl = true\nssl_cert_file = {folder}/server.pem\n"
    words = configure(folder, f"{text}ssl_key_file = {folder}/server.key\nssl_ca_file = {folder}/authority.pem")
    assert start(*words).told() == "READY=1"
    of_docker = ("--ca", f"{folder}/authority.pem", "--cert", f"{folder}/client.pem", "--key", f"{folder}/client.key")
    right = plugin_file(words, *of_docker)
    assert follow(right) == 200
    nobody = json.loads(right)
    nobody["TLSConfig"] |= {"CertFile": "", "KeyFile": ""}
    assert follow(json.dumps(nobody)) == 0
    assert exchange(socket.create_connection(("127.0.0.1", port), LIMIT), ACTIVATE)[0] == 400


def test_plain_tcp_on_loopback(folder: Path, start: Start, port: int) -> None:
    """Fails if upstream's usual configuration no longer works."""
    words = configure(folder, f"kuryr_uri = http://127.0.0.1:{port}")
    assert start(*words).told() == "READY=1"
    assert plugin_file(words) == f"http://127.0.0.1:{port}\n"
    assert exchange(socket.create_connection(("127.0.0.1", port), LIMIT), ACTIVATE)[0] == 200


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "[::]", "example.org"])
def test_plain_tcp_elsewhere_stops_the_start(folder: Path, start: Start, address: str) -> None:
    """Fails if the whole network can control the plugin without a password (docs/compatibility.md, B6)."""
    code, _, err = start(*configure(folder, f"kuryr_uri = http://{address}:23750")).end()
    assert (code, err.count("\n")) == (2, 1)
    assert "needs enable_ssl = true" in err


def test_a_renewed_certificate_takes_a_reload_only(folder: Path, start: Start, port: int) -> None:
    """Fails if containers cannot be started from the day on which a certificate ends until somebody restarts the
    service.
    """
    authority_with(folder, "server", "client")
    text = f"kuryr_uri = https://127.0.0.1:{port}\nenable_ssl = true\nssl_cert_file = {folder}/server.pem\n"
    words = configure(folder, f"{text}ssl_key_file = {folder}/server.key\nssl_ca_file = {folder}/authority.pem")
    server = start(*words)
    assert server.told() == "READY=1"
    own = [f"--{name}={folder}/{file}" for name, file in (("cert", "client.pem"), ("key", "client.key"))]
    file = plugin_file(words, f"--ca={folder}/authority.pem", *own)
    assert follow(file) == 200
    authority_with(folder, "server", "client")  # a new authority, and certificates of it
    server.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: follow(file) == 200, LIMIT)
