# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What README.md, docs/first-network.md and docs/try.md say to the cloud and to Docker, typed word by word.

Replaced are: the user's name and password, because the lab has a user kuryr; the id of a network; and the image nginx,
by busybox that exposes port 80. tests/systemd/test_readme.py types what is done on the host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab.api import Host, Lab
from lab.people import ADMIN, Person, with_login
from tests.cloud.user import User
from tests.world.pages import ROOT, commands

READER = Person("reader-of-the-readme", "service", ("service", "member"))
README = commands("README.md", "Use it with a real cloud")
USER, USE = (next(block for block in README if words in block) for words in ("openstack user create", "docker run"))
FIRST = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "first-network.md").read_text(), re.DOTALL | re.MULTILINE)
NGINX = """
docker inspect nginx >/dev/null 2>&1 && exit
box=$(docker create busybox)
docker commit --change 'EXPOSE 80' "$box" nginx
docker rm "$box"
"""


def type_in(host: Host, script: str, person: Person = ADMIN) -> str:
    login = "".join(f"export {name}='{value}'\n" for name, value in person.environment().items())
    return host.run(["bash", "-e", "-c", login + script], timeout=240).stdout


@pytest.fixture(scope="module")
def reader(lab: Lab) -> Iterator[Host]:
    """A host whose service is the user whom the README makes."""
    h1 = lab.host("h1")
    type_in(h1, NGINX)
    made = re.sub(r"\bkuryr\b", READER.name, USER.replace("secret", READER.password))
    try:
        type_in(h1, made)
        with h1.with_conf(with_login(h1.paths.kuryr_conf.read_text(), READER)):
            yield h1
    finally:
        type_in(h1, f"openstack user delete {READER.name}\nopenstack quota delete --network service")


def remove(host: Host, *networks: str) -> None:
    """Docker's networks of these names, with their containers."""
    for name in networks:
        host.run(
            ["sh", "-c", f"docker ps -aq --filter network={name} | xargs -r docker rm -f; docker network rm {name}"]
        )


def test_the_first_containers(reader: Host, user: User) -> None:
    """Who does what the README says would get an error, because a right, a quota or an option is missing."""
    network = user.make("network", name="of-a-tenant")
    user.make("subnet", network_id=network["id"], cidr="10.20.0.0/24", ip_version=4)
    try:
        box = type_in(reader, USE.replace("UUID", network["id"]), READER).split()[-1]
        networks = reader.docker_inspect(box)["NetworkSettings"]["Networks"]
        assert networks["back"]["IPAddress"] == "10.20.0.50"
    finally:
        remove(reader, "front", "back")


def test_the_first_network(reader: Host, user: User) -> None:
    """The page for beginners would end in an error, or leave something."""
    ports = user.neutron("GET", "/ports?fields=id")
    for script in FIRST:
        said = type_in(reader, script, READER)
        if "openstack port show reserved" in script:
            assert f" {reader.name} " in said
    assert user.neutron("GET", "/ports?fields=id") == ports


def test_what_one_can_play_with(reader: Host) -> None:
    """The page about the demo would end in an error."""
    play = next(block for block in commands("docs/try.md", "Play with it") if "docker" in block)
    try:
        said = type_in(reader, play, READER).splitlines()
        address = next(line for line in said if re.fullmatch(r"10\.30\.0\.\d+", line))
        assert any(f"ip_address='{address}'" in line for line in said)
    finally:
        remove(reader, "mine")
