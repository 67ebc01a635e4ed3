# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr-status upgrade check``, on hosts that ran upstream's service."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kuryr_libnetwork.cli.status import main
from kuryr_libnetwork.cli.upgrade_checks import Code, Result, worst
from tests.cli.old_installation import GOOD, Installation


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OS_") or name == "CAPABILITY_SCOPE":
            monkeypatch.delenv(name)


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_host_that_needs_nothing(host: Installation) -> None:
    """A clean host would be reported as one that has to be changed, and an upgrade be stopped for nothing."""
    assert {result for result, _ in host.check(0).values()} == {0}


def test_the_table_is_for_people(host: Installation) -> None:
    """Nobody could read what to do, or tools would not find the words that oslo.upgradecheck has."""
    host.configure(f"{GOOD}[binding]\ndrivr = veth\n")
    out = host.run("upgrade", "check", code=1)
    lines = out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "| Check: kuryr.conf can be read " in out
    assert "| Result: Warning " in out
    assert "did you mean driver?" in " ".join(line.strip("| ") for line in lines)


def test_both_distributions_of_upstream(host: Installation) -> None:
    """kuryr-lib owns the same files: whichever is installed or removed last breaks the other one."""
    host.install("kuryr_lib", "3.5.0")
    name, details = host.one(1)
    assert name == "Installed distributions"
    assert "kuryr-lib 3.5.0 is installed beside kuryr-libnetwork" in details


def test_two_versions_in_two_folders(host: Installation) -> None:
    """The old service would start from Debian's packages, or the new one from pip's, as PATH will have it."""
    host.install("kuryr-libnetwork", "18.0.0", "other")
    result, details = host.check(2, folders=("packages", "other"))["Installed distributions"]
    assert result == 2
    assert "several versions (18.0.0, 19.0.0)" in details


def test_a_wrong_value_fails_and_hides_nothing(host: Installation) -> None:
    """The service would not start after the upgrade; what was not looked at would be taken for good."""
    host.configure(f"{GOOD}[neutron]\nendpoint_type = pubic\n")
    found = host.check(2)
    assert found["kuryr.conf can be read"][0] == 2
    assert "endpoint_type = pubic" in found["kuryr.conf can be read"][1]
    assert found["Drivers"] == found["Options without effect"] == (1, "not looked at: kuryr.conf cannot be read")


def test_a_file_that_is_no_configuration(host: Installation) -> None:
    """The check would end with a traceback."""
    host.conf.write_text("[neutron\n")
    assert "kuryr.conf" in host.check(2)["kuryr.conf can be read"][1]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("[DEFAULT]\nenabled_port_drivers = veht\ndefault_port_driver = veht\n", "no such port driver"),
        ("[binding]\nenabled_drivers = kuryr.lib.binding.drivers.macvln\n", "no such binding driver"),
        ("[DEFAULT]\nenabled_port_drivers = veth,sriov\n", "needs one of hostdev_physical, hw_veb, macvtap"),
    ],
)
def test_drivers_that_cannot_be_had(host: Installation, lines: str, words: str) -> None:
    """Upstream ignores these lines: the service would not start for the first time after the upgrade."""
    host.configure(GOOD + lines)
    name, details = host.one(2)
    assert name == "Drivers"
    assert words in details


def test_upstreams_own_lines_are_fine(host: Installation) -> None:
    """Hosts with the documented drivers would be held up."""
    nested = "[DEFAULT]\nenabled_port_drivers = nested\ndefault_port_driver = nested\n"
    binding = "[binding]\ndefault_driver = kuryr.lib.binding.drivers.macvlan\n"
    host.configure(f"{GOOD}{binding}enabled_drivers = kuryr.lib.binding.drivers.macvlan\n{nested}")
    assert host.check(0)["Drivers"] == (0, "")


@pytest.mark.parametrize("uri", ["http://192.0.2.1:23750", "http://0.0.0.0:23750", "http://[2001:db8::1]:23750"])
def test_the_plugin_is_open_to_the_network(host: Installation, uri: str) -> None:
    """Whoever reaches the address can have any port of the cloud; the service refuses to start so."""
    host.configure(f"{GOOD}[DEFAULT]\nkuryr_uri = {uri}\n")
    result, details = host.check(2)["Address of the plugin"]
    assert result == 2
    assert details.startswith(f"kuryr_uri = {uri} is reached from other machines and has no TLS")


def test_tls_for_everybody_is_open_to_the_network(host: Installation) -> None:
    """Without an authority for clients' certificates TLS keeps nobody out; the service refuses to start so."""
    uri, keys = "https://192.0.2.1:23750", host.conf
    text = f"{GOOD}[DEFAULT]\nkuryr_uri = {uri}\nenable_ssl = true\nssl_cert_file = {keys}\nssl_key_file = {keys}\n"
    host.configure(text)
    _, details = host.check(2)["Address of the plugin"]
    assert details.startswith(f"kuryr_uri = {uri} is reached from other machines and asks for no client certificate")
    host.configure(f"{text}ssl_ca_file = {keys}\n")
    assert host.check(0)["Address of the plugin"] == (0, "")


def test_a_state_folder_that_others_may_write_to(host: Installation) -> None:
    """The service refuses to start with it: the upgrade would tell, after upstream's service is gone."""
    host.state.mkdir(mode=0o700)
    assert host.check(0)["State folder"] == (0, "")
    host.state.chmod(0o770)
    name, details = host.one(2)
    assert name == "State folder"
    assert details.endswith(f"chmod go-w {host.state}")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:23750", "http://localhost:23750", "http://[::1]:23750"])
def test_loopback_stays_allowed(host: Installation, uri: str) -> None:
    """A host with upstream's default would be held up."""
    host.configure(f"{GOOD}[DEFAULT]\nkuryr_uri = {uri}\n")
    (host.specs / "kuryr.spec").write_text(uri)
    found = host.check(0)
    assert found["Address of the plugin"] == found["Plugin files of Docker"] == (0, "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kuryr.spec", "http://127.0.0.1:23750\n"),
        ("kuryr/kuryr.json", '{"Name": "k", "Addr": "http://127.0.0.1:23750"}'),
    ],
)
def test_a_plugin_file_of_upstream_is_left(host: Installation, name: str, text: str) -> None:
    """While the socket is missing Docker would ask at an address where nobody listens, and every call wait."""
    path = host.specs / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    check, details = host.one(1)
    assert check == "Plugin files of Docker"
    assert f"{path} (http://127.0.0.1:23750)" in details


def test_a_plugin_file_that_leads_to_our_socket(host: Installation, tmp_path: Path) -> None:
    """A host whose socket is elsewhere needs the file: it would be told to remove it."""
    host.configure(f"{GOOD}[DEFAULT]\nsocket_path = {tmp_path}/kuryr.sock\n")
    (host.specs / "kuryr.spec").write_text(f"unix://{tmp_path}/kuryr.sock")
    assert host.check(0)["Plugin files of Docker"] == (0, "")


def test_a_plugin_file_that_is_not_json(host: Installation) -> None:
    """The check would end with a traceback."""
    (host.specs / "kuryr.json").write_text("[]")
    assert "not readable" in host.one(1)[1]


def test_options_without_effect(host: Installation) -> None:
    """An operator would go on setting what nobody reads."""
    host.configure(f"{GOOD}[DEFAULT]\nport_driver = x\n")
    name, details = host.one(1)
    assert name == "Options without effect"
    assert "port_driver: without effect" in details


def script(host: Installation, name: str) -> None:
    path = host.bindir / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_binding_scripts_of_upstream(host: Installation) -> None:
    """What an operator has changed in them would be lost without anybody told."""
    for name in ("ovs", "bridge", "calico"):
        script(host, name)
    (host.bindir / "README").write_text("no script")
    name, details = host.one(1)
    assert name == "Binding scripts"
    assert details.startswith(f"{host.bindir}: bridge, ovs are not run any more")
    assert details.endswith("[binding] script_vif_types = bridge, ovs")
    host.configure(f"{GOOD}[binding]\nscript_vif_types = ovs, bridge\n")
    assert host.check(0)["Binding scripts"] == (0, "")


def test_a_script_that_anybody_may_change(host: Installation) -> None:
    """The service refuses to run it: the first container would tell."""
    script(host, "calico")
    (host.bindir / "calico").chmod(0o777)
    name, details = host.one(1)
    assert (name, details) == (
        "Binding scripts",
        (
            f"not run: {host.bindir}/calico may be written to by others than its owner (mode 0777): "
            f"chmod go-w {host.bindir}/calico"
        ),
    )


def test_the_exit_code_is_the_worst_one() -> None:
    """A tool would go on with an upgrade that fails."""
    bad, good = Result(check="a", code=Code.FAILURE), Result(check="b")
    assert (worst([good, bad]), worst([good]), worst([])) == (Code.FAILURE, Code.SUCCESS, Code.SUCCESS)


@pytest.mark.parametrize("words", [[], ["upgrade"], ["upgrade", "chek"], ["upgrade", "check", "--jsn"]])
def test_a_wrong_command_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error would look like a clean host."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: kuryr-status" in capsys.readouterr().err
