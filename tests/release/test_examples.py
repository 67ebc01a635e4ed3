# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`examples/compose.yaml` and DevStack's plugin say what Docker and this service understand."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.rules.choices import choices_of
from kuryr_libnetwork.rules.options import parse_endpoint_options, parse_network_options
from kuryr_libnetwork.rules.port_options import PORT_KEYS
from lab.paths import REPO

COMPOSE = REPO / "examples" / "compose.yaml"
DEVSTACK = REPO / "devstack"
# DevStack's own functions, which write down what the plugin asks for.
STUBS = """
set -eu
define_plugin() { echo "plugin $1"; }
enable_service() { :; }
is_service_enabled() { [ "$1" = kuryr-libnetwork ]; }
create_service_user() { echo "user $*"; }
iniset() { printf '[%s]\n%s = %s\n' "$2" "$3" "$4" >>"$1"; }
sudo() { case "$1" in install | chown | systemctl) echo "sudo $*" ;; *) echo "refused: $*" >&2; exit 1 ;; esac; }
openstack() { echo "openstack $*"; }
DEST=$1 STACK_USER=stack ENABLE_DEBUG_LOG_LEVEL=True KEYSTONE_SERVICE_URI=http://192.0.2.10/identity
SERVICE_PASSWORD=secret SERVICE_PROJECT_NAME=service SERVICE_DOMAIN_NAME=Default REGION_NAME=RegionOne
SSL_BUNDLE_FILE=/opt/stack/data/ca-bundle.pem KURYR_CONFIG_DIR=$1
. "$2/settings"
set -- "$3" "$4" "$2"
. "$3/plugin.sh"
"""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_the_networks_are_kuryrs(compose: dict[str, Any]) -> None:
    """Fails if the example has an option that is refused, or a network whose addresses are Docker's own."""
    for network in compose["networks"].values():
        assert (network["driver"], network["ipam"]["driver"]) == ("kuryr", "kuryr")
        parse_network_options(network.get("driver_opts", {}))
        choices_of(network.get("driver_opts", {}))
    assert compose["networks"]["fast"]["driver_opts"]["kuryr.vnic_type"] == "direct"


def test_static_addresses_are_in_their_subnets(compose: dict[str, Any]) -> None:
    seen = set()
    for service in compose["services"].values():
        for name, wish in service["networks"].items():
            (pool,) = compose["networks"][name]["ipam"]["config"]
            address = ipaddress.ip_address(wish["ipv4_address"])
            assert address in ipaddress.ip_network(pool["subnet"])
            seen.add(address)
            options = wish.get("driver_opts", {})
            parse_endpoint_options(options)
            assert options.keys() <= set(PORT_KEYS)
    assert len(seen) == sum(len(service["networks"]) for service in compose["services"].values())


def test_docker_compose_reads_it() -> None:
    command = ["docker", "compose"]
    if shutil.which("docker") is None or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    subprocess.run([*command, "-f", str(COMPOSE), "config", "--quiet"], check=True)


def devstack(folder: Path, *phase: str) -> str:
    words = ["bash", "-c", STUBS, "plugin", str(folder), str(DEVSTACK), *phase]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_devstack_writes_a_configuration_that_starts(tmp_path: Path) -> None:
    """Fails if the service refuses what DevStack's plugin writes, or has to complain about it."""
    said = devstack(tmp_path, "stack", "post-config")
    assert "user kuryr member" in said
    file = tmp_path / "kuryr.conf"
    assert file.stat().st_mode & 0o777 == 0o600
    found = config.read(["--config-file", str(file)])
    assert [notice.text for notice in found.notices if "unknown" in notice.text] == []
    assert found.conf.neutron.username == "kuryr"
    assert found.settings.plugin.tcp is None


def test_devstack_starts_the_socket_first_and_makes_the_pool(tmp_path: Path) -> None:
    said = devstack(tmp_path, "stack", "extra").splitlines()
    assert said.index("sudo systemctl enable --now kuryr-libnetwork.socket") < said.index(
        "sudo systemctl restart kuryr-libnetwork.service"
    )


def test_devstack_stops_it(tmp_path: Path) -> None:
    stop = "sudo systemctl disable --now kuryr-libnetwork.socket kuryr-libnetwork.service"
    assert stop in devstack(tmp_path, "unstack", "").splitlines()
