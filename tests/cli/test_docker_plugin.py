# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr config docker-plugin``: how Docker finds the service (docs/notes/docker-plugin.md, "Finding the plugin")."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cli.operator_bench import Bench

PLAIN = "[DEFAULT]\nkuryr_uri = http://127.0.0.1:23750\n"
COMMAND = ("config", "docker-plugin")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def pem(bench: Bench, name: str) -> str:
    path = bench.folder / f"{name}.pem"
    path.write_text(name)
    return str(path)


def secure(bench: Bench, uri: str = "https://127.0.0.1:23750", *, ask_clients: bool = False) -> None:
    text = f"[DEFAULT]\nkuryr_uri = {uri}\nenable_ssl = true\nssl_cert_file = {pem(bench, 'cert')}\n"
    authority = f"ssl_ca_file = {pem(bench, 'clients')}\n" if ask_clients else ""
    bench.config.write_text(f"{text}ssl_key_file = {pem(bench, 'key')}\n{authority}")


def place(bench: Bench, path: str) -> Path:
    found = bench.folder / "root" / path.lstrip("/")
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def test_the_socket_needs_no_file(bench: Bench) -> None:
    """An operator would be told to install a file that Docker never reads."""
    code, out, _ = bench.run(*COMMAND, "--write")
    assert (code, "no file is needed" in out) == (0, True)
    assert not (bench.folder / "root").exists()


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        (PLAIN, "kuryr", "http://127.0.0.1:23750"),
        ("[DEFAULT]\nkuryr_uri = http://[::1]:1\n", "kuryr", "http://[::1]:1"),
        ("[DEFAULT]\nsocket_path = /run/other.sock\n", "kuryr", "unix:///run/other.sock"),
        ("", "other", "unix:///run/docker/plugins/kuryr.sock"),
    ],
)
def test_without_tls_one_line_is_enough(bench: Bench, text: str, name: str, line: str) -> None:
    """Docker would look elsewhere, or ask for a scheme."""
    bench.config.write_text(text)
    assert bench.run(*COMMAND, "--plugin", name) == (0, f"{line}\n", "")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("https://127.0.0.1:23750", "https://127.0.0.1:23750"),
        ("https://0.0.0.0:23750", "https://127.0.0.1:23750"),
        ("https://[::]:23750", "https://[::1]:23750"),
        ("https://kuryr.example.org:1", "https://kuryr.example.org:1"),
    ],
)
def test_tls_says_whom_to_trust_and_what_to_show(bench: Bench, uri: str, address: str) -> None:
    """Docker would trust anybody, show no certificate, or call an address that is none."""
    secure(bench, uri, ask_clients=True)
    ca, cert, key = (pem(bench, name) for name in ("ca", "client", "client-key"))
    code, out, _ = bench.run(*COMMAND, "--ca", ca, "--cert", cert, "--key", key)
    tls = {"InsecureSkipVerify": False, "CAFile": ca, "CertFile": cert, "KeyFile": key}
    assert (code, json.loads(out)) == (0, {"Name": "kuryr", "Addr": address, "TLSConfig": tls})


def test_tls_without_client_certificates(bench: Bench) -> None:
    """A service that asks for no certificates could not be used."""
    secure(bench)
    assert json.loads(bench.run(*COMMAND, "--ca", pem(bench, "ca"))[1])["TLSConfig"]["CertFile"] == ""


def test_what_is_missing_for_tls_is_said(bench: Bench) -> None:
    """An empty CAFile makes Docker trust anybody; a missing certificate shows at the first docker network create."""
    secure(bench, ask_clients=True)
    ca = ("--ca", pem(bench, "ca"))
    assert "--ca is missing" in bench.refused(*COMMAND)
    assert "--cert and --key are missing" in bench.refused(*COMMAND, *ca)
    assert "--cert and --key belong together" in bench.refused(*COMMAND, *ca, "--cert", pem(bench, "c"))
    assert "no such file" in bench.refused(*COMMAND, "--ca", str(bench.folder / "nowhere"))


@pytest.mark.parametrize("text", ["", PLAIN])
def test_certificates_without_tls_are_refused(bench: Bench, text: str) -> None:
    """An operator would believe that the connection is protected."""
    bench.config.write_text(text)
    assert "certificates are for TLS" in bench.refused(*COMMAND, "--ca", pem(bench, "ca"))


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "x" * 65])
def test_names_that_are_no_file_names(bench: Bench, name: str) -> None:
    """Docker makes a file name of it, unchecked."""
    assert "--plugin" in bench.refused(*COMMAND, "--plugin", name)


def test_it_is_written_where_docker_looks(bench: Bench) -> None:
    """Docker would not find it, or a second run would refuse its own file."""
    bench.config.write_text(PLAIN)
    target = place(bench, "/etc/docker/plugins/kuryr.spec")
    assert "wrote" in bench.run(*COMMAND, "--write")[1]
    assert target.read_text() == "http://127.0.0.1:23750\n"
    assert "right as it is" in bench.run(*COMMAND, "--write")[1]
    assert [path.name for path in target.parent.iterdir()] == ["kuryr.spec"]


def test_a_file_of_somebody_else_stays(bench: Bench) -> None:
    """A hand-made file would be gone; with --force its wish is known."""
    bench.config.write_text(PLAIN)
    target = place(bench, "/etc/docker/plugins/kuryr.spec")
    target.write_text("http://127.0.0.1:1\n")
    assert "says something else: http://127.0.0.1:1; --force" in bench.refused(*COMMAND, "--write")
    assert target.read_text() == "http://127.0.0.1:1\n"
    assert bench.run(*COMMAND, "--write", "--force")[0] == 0
    assert target.read_text() == "http://127.0.0.1:23750\n"


def test_a_file_that_docker_reads_first_is_in_the_way(bench: Bench) -> None:
    """Docker would go on without TLS by an old .spec file, whatever the new file says."""
    secure(bench)
    old = place(bench, "/etc/docker/plugins/kuryr/kuryr.spec")
    old.write_text("http://127.0.0.1:23750\n" + "x" * 99)
    ca = ("--ca", pem(bench, "ca"))
    assert str(old) in bench.refused(*COMMAND, *ca, "--write")
    assert not place(bench, "/etc/docker/plugins/kuryr.json").exists()
    _, out, _ = bench.run(*COMMAND, *ca, "--write", "--force")
    assert f"removed {old}" in out
    assert (old.exists(), place(bench, "/etc/docker/plugins/kuryr.json").exists()) == (False, True)


def test_a_socket_that_docker_takes_first_is_said(bench: Bench) -> None:
    """An operator would believe that Docker uses TLS now."""
    bench.config.write_text(PLAIN)
    path = place(bench, "/run/docker/plugins/kuryr.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert "as long as /run/docker/plugins/kuryr.sock is there" in bench.run(*COMMAND, "--write")[1]


def test_a_folder_that_cannot_be_written_is_said(bench: Bench) -> None:
    """The operator would read a traceback."""
    bench.config.write_text(PLAIN)
    place(bench, "/etc/docker/plugins").write_text("a file")
    assert "etc/docker/plugins" in bench.refused(*COMMAND, "--write")
