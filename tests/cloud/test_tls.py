# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A real Docker uses the plugin over TLS, by the file that ``kuryr config docker-plugin`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api import Host
from tests.cloud.user import User, unique_cidr
from tests.fakes.certificates import authority_with

NAME = "kuryr-tls"
PORT = 23751


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    authority_with(tmp_path, "server", "docker")
    return tmp_path


@pytest.fixture
def over_tls(host: Host, keys: Path) -> Iterator[Path]:
    """The service listens on TLS as well, and Docker knows it by another name; answers Docker's file."""
    plain = host.paths.kuryr_conf.read_text()
    tls = f"kuryr_uri = https://127.0.0.1:{PORT}\nenable_ssl = true\nssl_ca_file = {keys}/authority.pem\n"
    files = f"ssl_cert_file = {keys}/server.pem\nssl_key_file = {keys}/server.key\n"
    host.paths.kuryr_conf.write_text(plain.replace("[DEFAULT]\n", f"[DEFAULT]\n{tls}{files}", 1))
    host.kuryr.restart()
    of_docker = ("--ca", f"{keys}/authority.pem", "--cert", f"{keys}/docker.pem", "--key", f"{keys}/docker.key")
    command = ("kuryr", "--config-file", str(host.paths.kuryr_conf), "config", "docker-plugin", "--plugin", NAME)
    host.run([*command, *of_docker, "--write"])
    file = host.paths.state / "etc-docker" / "plugins" / f"{NAME}.json"
    yield file
    file.unlink()
    host.paths.kuryr_conf.write_text(plain)
    host.kuryr.restart()


@pytest.fixture
def user(over_tls: Path, user: User) -> User:
    """Tidies up while Docker still has its file."""
    return user


def test_containers_over_tls(user: User, host: Host) -> None:
    """Docker would not find the service by its file, or the TLS handshake would fail."""
    net = user.network(host, f"--subnet={unique_cidr()}", driver=NAME)
    one, two = user.run(host, net), user.run(host, net)
    user.ping(host, one, user.address(host, two, net))
    assert host.docker_inspect(net)["Driver"] == NAME
    for box in (one, two):
        user.rm(host, box)
    user.network_rm(host, net)


def test_docker_without_its_certificate_is_refused(host: Host, over_tls: Path) -> None:
    """Whoever reaches the port could control the network (docs/compatibility.md, B6)."""
    found = json.loads(over_tls.read_text())
    found["TLSConfig"] |= {"CertFile": "", "KeyFile": ""}
    stranger = over_tls.with_name("kuryr-stranger.json")
    stranger.write_text(json.dumps(found))
    driver = ("-d", "kuryr-stranger", "--ipam-driver=kuryr-stranger")
    try:
        result = host.docker("network", "create", *driver, f"--subnet={unique_cidr()}", "bad", check=False)
    finally:
        stranger.unlink()
    assert result.returncode != 0
    assert "tls" in result.stderr
    assert "certificate" in result.stderr
