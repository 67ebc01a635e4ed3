# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import subprocess

from kuryr_libnetwork.host.links import KernelLinks
from kuryr_libnetwork.model.links import VethSpec
from tests.linux.namespace import namespace

SPEC = VethSpec(host_name="tapx", container_name="t_cx", mac="fa:16:3e:00:00:01", mtu=1442, alias="kuryr:p1")


def _container() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE)


def test_the_hosts_end_tells_where_the_other_end_is() -> None:
    """Every look for forgotten containers would list all interfaces of the host once per container."""
    with namespace() as inside:
        links = KernelLinks()
        inside.run(links.create_veth, SPEC)
        at_home = inside.run(links.get, "tapx")
        container = inside.run(_container)
        try:
            assert container.stdout is not None
            container.stdout.readline()  # its namespace is there
            inside.command("ip", "link", "set", "t_cx", "netns", str(container.pid))
            away = inside.run(links.get, "tapx")
            listed = [link for link in inside.run(links.all) if link.name == "tapx"]
        finally:
            container.kill()
            container.communicate()
        assert at_home is not None
        assert away is not None
        assert (at_home.peer_away, away.peer_away) == (False, True)
        assert listed == [away]  # a look of the background sees the same at once
