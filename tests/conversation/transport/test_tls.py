# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""TLS on TCP, with certificates made here by openssl."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kuryr_libnetwork.docker.door import Limits
from kuryr_libnetwork.docker.listeners import tcp_listener
from kuryr_libnetwork.docker.server import PluginServer, Tls
from kuryr_libnetwork.errors import ConfigError
from tests.fakes.certificates import authority_with, make, openssl
from tests.world.edge import IDS, LIMIT, Edge, Verbs, boundary_of, exchange, parsed, request, serving

ACTIVATE = request("Plugin.Activate")
Address = tuple[str, int]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    authority_with(folder, "server", "client")
    make(folder, "stranger")
    openssl(folder, "ec", "-in", "server.key", "-aes128", "-passout", "pass:x", "-out", "locked.key")
    return folder


@contextmanager
def listening(
    folder: Path, keys: Path, *, ask_clients: bool = False, limits: Limits | None = None
) -> Iterator[tuple[Edge, Address]]:
    tls = Tls(keys / "server.pem", keys / "server.key", keys / "authority.pem" if ask_clients else None)
    listener = tcp_listener("127.0.0.1", 0, encrypted=True, certified=ask_clients)
    address: Address = listener.socket.getsockname()
    with serving(folder, [listener], tls=tls, limits=limits) as edge:
        yield edge, address


def trusting(keys: Path, certificate: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=keys / "authority.pem")
    if certificate:
        context.load_cert_chain(keys / f"{certificate}.pem", keys / f"{certificate}.key")
    return context


def call(address: Address, context: ssl.SSLContext, data: bytes = ACTIVATE) -> int:
    sock = socket.create_connection(address, LIMIT)
    return exchange(context.wrap_socket(sock, server_hostname="127.0.0.1"), data)[0]


def test_calls_are_served_over_tls(tmp_path: Path, keys: Path) -> None:
    """Fails if constants, verbs or large bodies do not get through TLS."""
    body = b'{"NetworkID":"%s","EndpointID":"%s"}' % (IDS["NetworkID"].encode(), IDS["EndpointID"].encode())
    with listening(tmp_path, keys) as (edge, address):
        assert call(address, trusting(keys)) == 200
        assert call(address, trusting(keys), request("NetworkDriver.Join", body + b" " * 300_000)) == 200
        assert edge.verbs.called == ["join"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(tmp_path: Path, keys: Path) -> None:
    """Fails if a client can bring the connection down to TLS 1.1."""
    context = trusting(keys)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with listening(tmp_path, keys) as (_, address), pytest.raises(OSError, match=r"(?i)version|alert"):
        call(address, context)


@pytest.mark.parametrize("certificate", ["", "stranger"])
def test_clients_without_the_right_certificate_are_refused(tmp_path: Path, keys: Path, certificate: str) -> None:
    """Fails if anybody can control the network although an authority for clients is set."""
    body = b'{"NetworkID":"%s","EndpointID":"%s"}' % (IDS["NetworkID"].encode(), IDS["EndpointID"].encode())
    with listening(tmp_path, keys, ask_clients=True) as (edge, address):
        try:
            status = call(address, trusting(keys, certificate), request("NetworkDriver.Leave", body))
        except (ssl.SSLError, ConnectionError):
            status = 0
        assert status == 0
        assert edge.verbs.calls == []
        assert call(address, trusting(keys, "client"), request("NetworkDriver.Leave", body)) == 200


@pytest.mark.parametrize(("certificate", "reason"), [("", "certificate required"), ("stranger", "unknown ca")])
def test_the_client_reads_why_it_is_refused(tmp_path: Path, keys: Path, certificate: str, reason: str) -> None:
    """Docker would report "broken pipe" when its certificate is missing, as it sends its request without waiting."""
    long = request("NetworkDriver.Leave", b'{"NetworkID":""}' + b" " * 300_000)
    with listening(tmp_path, keys, ask_clients=True) as (_, address), pytest.raises(ssl.SSLError, match=reason):
        call(address, trusting(keys, certificate), long)


def test_tls_without_client_certificates_is_not_every_users(tmp_path: Path, keys: Path) -> None:
    """Fails if any user of the host can control the network over TLS, or is not told why he cannot."""
    client = """
import os, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="127.0.0.1")
sock.sendall(b"POST /Plugin.Activate HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(sock.recv(65536).decode())
"""
    with listening(tmp_path, keys) as (_, address):
        words = [sys.executable, "-c", client, str(keys / "authority.pem"), str(address[1])]
        done = subprocess.run(words, capture_output=True, timeout=LIMIT, check=True)
        status, _, body = parsed(done.stdout)
        assert (status, b"runs as user 65534" in body) == (403, True)
        assert call(address, trusting(keys)) == 200
    with listening(tmp_path, keys, ask_clients=True) as (_, address):
        assert call(address, trusting(keys, "client")) == 200


def test_plain_http_is_told_so(tmp_path: Path, keys: Path) -> None:
    """Fails if a client without TLS hangs, is served, or does not learn what is wrong."""
    with listening(tmp_path, keys) as (edge, address):
        status, headers, body = exchange(socket.create_connection(address, LIMIT), ACTIVATE)
        assert status == 400
        assert headers["connection"] == "close"
        assert b"TLS" in body
        assert edge.verbs.calls == []
        assert call(address, trusting(keys)) == 200


def test_clients_without_a_handshake_keep_nobody_waiting(tmp_path: Path, keys: Path) -> None:
    """Fails if clients that connect and stay silent, or stop within their first message, block the others."""
    with listening(tmp_path, keys) as (_, address):
        socks = [socket.create_connection(address, LIMIT) for _ in range(100)]
        for sock in socks[:5]:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert call(address, trusting(keys)) == 200
        for sock in socks:
            sock.close()
        assert call(address, trusting(keys)) == 200


def test_a_handshake_that_stops_has_a_limit(tmp_path: Path, keys: Path) -> None:
    """Fails if half handshakes hold a connection for ever."""
    with listening(tmp_path, keys, limits=Limits(request=0.5)) as (_, address):
        socks = [socket.create_connection(address, LIMIT) for _ in range(30)]
        for sock in socks:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        for sock in socks:
            assert parsed(sock.recv(1))[0] == 0
            sock.close()


@pytest.mark.parametrize(
    ("certificate", "key", "authority"),
    [
        ("no.pem", "server.key", None),
        ("server.pem", "client.key", None),
        ("server.key", "server.key", None),
        ("server.pem", "server.key", "no.pem"),
        ("server.pem", "server.key", "server.key"),
        ("server.pem", "locked.key", None),
    ],
)
def test_wrong_files_stop_the_start(keys: Path, certificate: str, key: str, authority: str | None) -> None:
    """Fails if a wrong certificate, key or authority ends in a traceback, in a question, or in a service
    without TLS.
    """
    tls = Tls(keys / certificate, keys / key, keys / authority if authority else None)
    listener = tcp_listener("127.0.0.1", 0, encrypted=True)
    with pytest.raises(ConfigError, match=f"ssl_cert_file=.*{certificate}") as caught:
        PluginServer(boundary_of(Verbs()), [listener], threads=2, tls=tls)
    assert str(caught.value).isprintable()
    listener.socket.close()


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, keys: Path) -> None:
    """Docker would refuse the plugin once the certificate has expired, until somebody restarts the service."""
    other = tmp_path / "other"
    other.mkdir()
    authority_with(other, "server", "client")
    with listening(tmp_path, keys) as (edge, address):
        assert call(address, trusting(keys)) == 200
        edge.server.renew(Tls(other / "server.pem", other / "server.key"))
        assert call(address, trusting(other)) == 200
        with pytest.raises(ssl.SSLError):
            call(address, trusting(keys))
        with pytest.raises(ConfigError, match="ssl_key_file"):
            edge.server.renew(Tls(other / "server.pem", keys / "server.key"))
        assert call(address, trusting(other)) == 200
