# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The Debian package on a host of its release: install, use, remove, purge."""

from __future__ import annotations

import pytest

from lab.release import debian
from tests.packages.conftest import LIMIT, Built
from tests.packages.host import Host
from tests.systemd.world import CONF, SERVICE, SOCKET
from tests.world.dockerside import PluginError

pytestmark = pytest.mark.timeout(LIMIT)
COMMANDS = ("kuryr", "kuryr-server", "kuryr-status")


def test_what_is_in_it(built: Built) -> None:
    """Fails if something that belongs to a service of Debian is missing, or a file of the build is left in it."""
    found = set(debian.content(built.package))
    wanted = {
        CONF,
        "/etc/logrotate.d/kuryr-libnetwork",
        "/usr/share/bash-completion/completions/kuryr",
        "/usr/share/doc/kuryr-libnetwork/copyright",
        "/usr/share/kuryr-libnetwork/prometheus/alerts.yml",
        *(f"/usr/bin/{name}" for name in COMMANDS),
    }
    assert wanted - found == set()
    for unit in (SERVICE, SOCKET):
        assert {f"/lib/systemd/system/{unit}", f"/usr/lib/systemd/system/{unit}"} & found
    assert not [path for path in found if path.endswith((".pyc", "/activate", "/pip"))]


def test_a_host_from_install_to_purge(host: Host, built: Built) -> None:
    """Fails if an operator has to do more than write the login into kuryr.conf, or if a purge leaves something."""
    before = host.files()
    said = host.install(built.package.name)
    assert "write the login to Neutron into /etc/kuryr/kuryr.conf" in said
    for unit in (SERVICE, SOCKET):
        assert host.machine.systemctl("is-enabled", unit).strip() == "enabled"
    assert host.machine.run("stat", "-c", "%a %U", CONF).split() == ["600", "root"]
    with pytest.raises(PluginError, match=r"kuryr-server does not start: .*auth_type"):
        host.docker.activate()

    host.world.configure()
    host.docker.activate()  # what an operator has to do after he has written the file: nothing
    pair = host.pair()
    with host.talking(pair):
        assert (
            host.machine.run("kuryr", "--version").split()[-1] == host.machine.run("kuryr-server", "--version").strip()
        )
        host.machine.run("kuryr", "status")
    host.end(pair)
    share = "/usr/share/bash-completion"
    script = f". {share}/bash_completion; . {share}/completions/kuryr; complete -p kuryr"
    assert "_kuryr" in host.machine.run("bash", "-c", script)
    host.machine.run("logrotate", "--debug", "/etc/logrotate.d/kuryr-libnetwork")

    host.machine.run("dpkg", "--remove", "kuryr-libnetwork")
    assert host.world.state(SERVICE) == "inactive"
    assert host.machine.try_run("test", "-e", "/run/docker/plugins/kuryr.sock").returncode == 1
    # What an operator wrote, and what containers need, outlives a removal.
    assert {CONF, "/var/lib/kuryr"} <= host.files()
    host.machine.run("dpkg", "--purge", "kuryr-libnetwork")
    assert sorted(host.files() - before) == []
