# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""kuryr.conf as the deployment tools and guides of upstream write it, with the meaning it has to keep."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import ConfigError

DEVSTACK = """
[DEFAULT]
bindir = /usr/local/libexec/kuryr
debug = True
capability_scope = local

[neutron]
memcached_servers = localhost:11211
cafile =
project_domain_name = Default
project_name = service
user_domain_name = Default
password = secret
username = kuryr
auth_url = http://192.0.2.10/identity
interface = public
auth_type = password
"""

KOLLA = """
[DEFAULT]
kuryr_uri = http://{address}:23750
debug = False
log_dir = {folder}
capability_scope = global
bindir = /var/lib/kolla/venv/libexec/kuryr

[binding]
default_driver = kuryr.lib.binding.drivers.veth

[neutron]
auth_uri = http://192.0.2.10:5000
auth_url = http://192.0.2.10:35357
auth_type = password
endpoint_type = internal
project_domain_name = Default
project_name = service
user_domain_name = Default
project_domain_id = default
user_domain_id = default
password = secret
username = kuryr

[oslo_policy]
policy_file = policy.yaml
"""

OPENSTACK_ANSIBLE = """
[DEFAULT]

debug = False
use_stderr = false
use_journal = true

# Directory for Kuryr vif binding executables. (string value)
bindir = /openstack/venvs/zun-28.0.0/libexec/kuryr

# Kuryr URL for accessing Kuryr through json rpc. (string value)
kuryr_uri = http://127.0.0.1:23750

process_external_connectivity = false


[binding]
veth_dst_prefix = veth


[neutron]
auth_url = https://192.0.2.10:5000/v3
auth_type = password
endpoint_type = internal
insecure = False
password = secret
project_domain_id = default
project_name = service
user_domain_id = default
username = kuryr
vif_plugging_is_fatal = true
"""

SRIOV_GUIDE = """
[DEFAULT]
enabled_port_drivers = kuryr_libnetwork.port_driver.drivers.veth, kuryr_libnetwork.port_driver.drivers.sriov

[binding]
enabled_drivers = kuryr.lib.binding.drivers.veth, kuryr.lib.binding.drivers.hw_veb

[neutron]
auth_type = password
auth_url = http://controller:5000
username = kuryr
user_domain_name = default
password = KURYR_PASS
project_name = service
project_domain_name = default
"""

ZUN_GUIDE = """
[DEFAULT]
bindir = /usr/local/libexec/kuryr
capability_scope = global
process_external_connectivity = False

[neutron]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
username = kuryr
user_domain_name = default
password = KURYR_PASS
project_name = service
project_domain_name = default
auth_type = password

[oslo_concurrency]
lock_path = /var/lib/kuryr/tmp
"""

CONTAINER_IN_A_VM = """
[DEFAULT]
enabled_port_drivers = nested
default_port_driver = nested

[binding]
driver = kuryr.lib.binding.drivers.macvlan
enabled_drivers = kuryr.lib.binding.drivers.macvlan
link_iface = ens3

[neutron]
enable_dhcp = False
auth_plugin = password
auth_url = http://controller:5000
username = kuryr
user_domain_name = default
password = KURYR_PASS
tenant_name = service
project_domain_name = default
"""


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in list(os.environ):
        if name.startswith("OS_") or name == "CAPABILITY_SCOPE":
            monkeypatch.delenv(name)


def read(folder: Path, text: str) -> config.Configuration:
    path = folder / "kuryr.conf"
    path.write_text(text)
    return config.read(["--config-file", str(path)])


def complaints(found: config.Configuration) -> list[str]:
    return [notice.text.partition(": ")[2] for notice in found.notices if notice.level > logging.INFO]


def test_devstack(tmp_path: Path) -> None:
    """Fails if a host set up by devstack does not start with its kuryr.conf, in silence."""
    found = read(tmp_path, DEVSTACK)
    assert complaints(found) == []
    assert found.settings.plugin.debug is True
    assert found.settings.plugin.tcp is None
    assert found.conf.neutron.username == "kuryr"


def test_kolla(tmp_path: Path) -> None:
    """Fails if kolla's kuryr.conf (here with kuryr on loopback) does not load with its meaning."""
    found = read(tmp_path, KOLLA.format(address="127.0.0.1", folder=tmp_path))
    assert complaints(found) == []
    plugin = found.settings.plugin
    assert plugin.tcp is not None
    assert (plugin.tcp.host, plugin.tcp.port, plugin.capability_scope) == ("127.0.0.1", 23750, "global")
    assert found.settings.neutron.endpoint_type == "internal"
    assert found.settings.binding.default_driver == "kuryr.lib.binding.drivers.veth"
    assert found.conf.log_dir == str(tmp_path)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_kolla_on_an_address_of_the_network(tmp_path: Path, scheme: str) -> None:
    """Fails if the plugin is opened to the network without TLS, or the operator is not told what to write instead."""
    text = KOLLA.format(address="192.0.2.20", folder=tmp_path).replace("kuryr_uri = http:", f"kuryr_uri = {scheme}:")
    with pytest.raises(
        ConfigError, match=rf"kuryr_uri = {scheme}://192\.0\.2\.20:23750: .*leave kuryr_uri out, or empty"
    ):
        read(tmp_path, text)


def test_kolla_with_an_override(tmp_path: Path) -> None:
    """Fails if the line that an operator adds does not do: kolla-ansible merges values, and removes no line."""
    text = KOLLA.format(address="192.0.2.20", folder=tmp_path).replace("[binding]", "kuryr_uri =\n[binding]")
    found = read(tmp_path, text)
    assert complaints(found) == []
    assert found.settings.plugin.tcp is None


def test_openstack_ansible(tmp_path: Path) -> None:
    """Fails if openstack-ansible's kuryr.conf loses its meaning, or its wait for ACTIVE has no end again."""
    found = read(tmp_path, OPENSTACK_ANSIBLE)
    assert complaints(found) == []
    assert found.settings.plugin.tcp is not None
    assert found.settings.plugin.process_external_connectivity is False
    assert found.settings.binding.veth_dst_prefix == "veth"
    assert found.settings.neutron.vif_plugging_is_fatal is True
    assert found.settings.neutron.vif_plugging_timeout == config.VIF_TIMEOUT_CAP
    assert found.conf.use_journal is True


def test_sriov_guide(tmp_path: Path) -> None:
    """Fails if the documented SR-IOV configuration does not reach the drivers, as with upstream."""
    found = read(tmp_path, SRIOV_GUIDE)
    assert complaints(found) == []
    assert found.settings.plugin.enabled_port_drivers == (
        "kuryr_libnetwork.port_driver.drivers.veth",
        "kuryr_libnetwork.port_driver.drivers.sriov",
    )
    assert found.settings.binding.enabled_drivers == (
        "kuryr.lib.binding.drivers.veth",
        "kuryr.lib.binding.drivers.hw_veb",
    )


def test_zun_guide(tmp_path: Path) -> None:
    """Fails if the kuryr.conf of Zun's installation guide is refused, or foreign lines in it are complained about."""
    found = read(tmp_path, ZUN_GUIDE)
    assert complaints(found) == []
    assert found.settings.plugin.capability_scope == "global"
    assert found.settings.plugin.process_external_connectivity is False
    assert any("www_authenticate_uri: without effect" in notice.text for notice in found.notices)


def test_container_in_a_vm(tmp_path: Path) -> None:
    """Fails if bare driver names or the old names driver, auth_plugin and tenant_name are not understood."""
    found = read(tmp_path, CONTAINER_IN_A_VM)
    assert complaints(found) == [
        "[binding] driver: the old name of default_driver",
        "[neutron] auth_plugin: the old name of auth_type",
        "[neutron] tenant_name: the old name of project_name",
    ]
    assert found.settings.plugin.default_port_driver == "nested"
    assert found.settings.plugin.enabled_port_drivers == ("nested",)
    assert found.settings.binding.default_driver == "kuryr.lib.binding.drivers.macvlan"
    assert found.settings.binding.link_iface == "ens3"
    assert found.settings.neutron.enable_dhcp is False
    assert found.conf.neutron.project_name == "service"
