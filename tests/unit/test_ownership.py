# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is the service's own, and what it remembers in the profiles of ports that are not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import json, to_builtins
from msgspec.structs import asdict, replace

from kuryr_libnetwork.model.neutron import Port
from kuryr_libnetwork.rules import ownership
from kuryr_libnetwork.rules.exposure import new_group
from kuryr_libnetwork.rules.identity import (
    DEVICE_OWNER,
    OWN_PORT,
    UNBOUND_PORT_NAME,
    id_tags,
    intent_description,
    network_name,
    network_tags,
    pool_tags,
    port_name,
)
from kuryr_libnetwork.rules.ownership import (
    LARGEST_PROFILE,
    PROFILE_KEY,
    OwnProject,
    PortMemory,
    memory_of,
    with_memory,
    without_memory,
)
from tests.fakes.neutron import PROJECT, TENANT
from tests.unit.values import (
    CIDR,
    DOCKER_ID,
    ENDPOINT_ID,
    GROUP,
    HOST,
    LEFT_BOUND,
    MEMORY,
    NET,
    NETWORK,
    OURS,
    POOL_ID,
    PORT,
    PORT_ID,
    SUBNET,
    SUBNETPOOL,
)

SOURCES = Path(ownership.__file__).parents[1]
OWN_TYPES = {"OwnNetwork", "OwnSubnet", "OwnSubnetPool", "OwnPort", "OwnSecurityGroup"}
STRANGERS = ["", None, TENANT, PROJECT + "0", PROJECT[:-1], f" {PROJECT}", "*", "%", "0", "admin"]
MADE = intent_description(HOST, "token")

texts = st.text(max_size=12)
ports = st.builds(
    Port,
    id=st.just(PORT_ID),
    network_id=st.just(NET),
    name=texts,
    description=st.none() | texts,
    device_id=texts,
    device_owner=texts,
    tags=st.lists(texts, max_size=3).map(tuple),
    host_id=st.none() | texts,
    project_id=st.none() | st.sampled_from([PROJECT, TENANT, ""]),
    security_groups=st.lists(texts, max_size=2).map(tuple),
    profile=st.dictionaries(texts, st.none() | st.booleans() | st.integers() | texts, max_size=3),
)


# -- whose it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("project_id", STRANGERS)
def test_a_thing_of_others_is_never_ours(project_id: str | None) -> None:
    """A tenant would have things of his, or of a third, changed or deleted by giving them our names, words and tags."""
    network_marks = (*network_tags(DOCKER_ID, existing=False), POOL_ID)
    for name, tags in ((network_name(DOCKER_ID), network_marks), ("", pool_tags(DOCKER_ID, NET))):
        forged = {"name": name, "tags": tags, "description": MADE, "project_id": project_id}
        assert OURS.network(replace(NETWORK, **forged)) is None
        assert OURS.subnet(replace(SUBNET, **forged)) is None
        assert OURS.subnetpool(replace(SUBNETPOOL, **forged)) is None
    pool = replace(SUBNETPOOL, description=MADE, tags=pool_tags(DOCKER_ID, NET), project_id=project_id)
    assert OURS.subnetpool(pool) is None
    subnet = replace(SUBNET, name=f"kuryr-subnet-{CIDR}", tags=(POOL_ID,), subnetpool_id=POOL_ID, project_id=project_id)
    assert OURS.subnets([subnet, SUBNET, subnet]) == [OURS.subnet(SUBNET)]
    assert OURS.security_group(replace(GROUP, **new_group(PORT_ID), project_id=project_id)) is None
    for name in (UNBOUND_PORT_NAME, port_name(ENDPOINT_ID)):
        port = replace(
            LEFT_BOUND,
            name=name,
            description=MADE,
            device_owner=DEVICE_OWNER,
            tags=(OWN_PORT, *id_tags(ENDPOINT_ID)),
            project_id=project_id,
        )
        assert OURS.port(port) is None


@given(ports)
def test_the_project_alone_decides(port: Port) -> None:
    """A mark that anybody can write would make a port ours, or one that is missing make ours somebody else's."""
    own = OURS.port(port)
    assert (own is not None) is OURS.has(port.project_id) is (port.project_id == PROJECT)
    assert own is None or asdict(own) == asdict(port)


def test_what_is_ours_is_the_same_thing() -> None:
    """What Neutron said of a thing would be lost on the way."""
    for found, own in (
        (NETWORK, OURS.network(NETWORK)),
        (SUBNET, OURS.subnet(SUBNET)),
        (SUBNETPOOL, OURS.subnetpool(SUBNETPOOL)),
        (GROUP, OURS.security_group(GROUP)),
    ):
        assert own is not None
        assert asdict(own) == asdict(found)
        assert type(own).__name__ == f"Own{type(found).__name__}"


@given(ports)
def test_a_cloud_without_projects_has_no_tenants(port: Port) -> None:
    """With ``auth_type = none`` the service would not know its own ports."""
    assert OwnProject(id="").port(port) is not None
    assert OwnProject(id="").has(port.project_id)


def test_neutron_is_asked_for_our_own_things_only() -> None:
    """Each look would bring the things of all projects; without projects Neutron would find nothing."""
    assert OURS.query == {"project_id": PROJECT}
    assert OwnProject(id="").query == {}


# -- nobody else turns a claim into a fact -----------------------------------------------------------------------


def made_beside_the_rule(source: str) -> list[str]:
    """The uses of the types that are more than a declaration: calls, casts, conversions, subclasses, other names."""
    tree = ast.parse(source)
    declared = {id(part) for each in ast.walk(tree) for note in _annotations(each) for part in ast.walk(note)}
    found = [each for each in ast.walk(tree) if id(each) not in declared and _named(each) in OWN_TYPES]
    return [ast.unparse(each) for each in found]


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
        yield node.returns
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
        yield node.annotation


def _named(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            return name
        case ast.alias(name=name, asname=str()):
            return name
    return ""


def test_the_constructors_are_called_by_the_rule_alone() -> None:
    """A port of anybody's could be declared ours at any place, and its tags would be believed."""
    sources = [path for path in SOURCES.rglob("*.py") if path != Path(ownership.__file__)]
    assert len(sources) > 100
    used = {str(path.relative_to(SOURCES)): made_beside_the_rule(path.read_text()) for path in sources}
    assert {path: uses for path, uses in used.items() if uses} == {}
    assert made_beside_the_rule(Path(ownership.__file__).read_text())


@pytest.mark.parametrize(
    "source",
    [
        "port = OwnPort(id='x', network_id='y')",
        "port = ownership.OwnPort(id='x', network_id='y')",
        "port = convert(found, OwnNetwork)",
        "port = convert(found, type=list[OwnSubnetPool])",
        "port = cast('OwnSubnet', found)",
        "from kuryr_libnetwork.rules.ownership import OwnPort as Port",
        "class Mine(OwnSecurityGroup): pass",
        "def port(make=OwnPort): return make()",
        "make: Any = OwnPort",
    ],
)
def test_every_way_around_the_rule_is_seen(source: str) -> None:
    """The test above would see nothing."""
    assert made_beside_the_rule(source)


def test_a_declaration_is_no_way_around_the_rule() -> None:
    """The test above would be switched off."""
    source = (
        "from kuryr_libnetwork.rules.ownership import OwnPort\n"
        "async def f(port: OwnPort | None, *others: list[OwnPort]) -> dict[str, OwnPort]:\n    found: OwnPort = port"
    )
    assert made_beside_the_rule(source) == []


# -- the memory in a profile ---------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
profiles = st.dictionaries(texts.filter(lambda key: key != PROFILE_KEY), json_values, max_size=4)
memories = st.builds(
    PortMemory,
    host=texts,
    endpoint=texts,
    was=st.dictionaries(texts, json_values, max_size=3),
    profile_was=st.dictionaries(texts, json_values, max_size=3),
)


def remembering(said: Any) -> Port:
    return replace(PORT, profile={"pci_slot": "0000:05:00.1", PROFILE_KEY: said})


@given(profiles, memories)
def test_a_memory_comes_back_from_the_profile(profile: dict[str, Any], memory: PortMemory) -> None:
    """After a crash nobody would know what a port of the user's was before."""
    whole = with_memory(profile, memory)
    kept = json.decode(json.encode(whole))
    assert memory_of(replace(PORT, profile=kept)) == memory
    assert without_memory(kept) == profile
    assert with_memory(kept, memory) == whole


def test_only_the_profile_remembers() -> None:
    """A tenant would have the service change his port, or a third one's, by words that he can write anywhere else."""
    said = json.encode(MEMORY).decode()
    forged = replace(
        PORT,
        name=said,
        description=said,
        device_id=said,
        dns_domain=said,
        tags=(PROFILE_KEY, said, "kuryr.was:binding:host_id=", f"kuryr.was:profile.kuryr={said}"),
        vif_details={PROFILE_KEY: to_builtins(MEMORY), "profile": {PROFILE_KEY: to_builtins(MEMORY)}},
    )
    assert memory_of(forged) is None
    assert memory_of(replace(forged, profile={PROFILE_KEY: to_builtins(MEMORY)})) == MEMORY


RIGHT = to_builtins(MEMORY)


@pytest.mark.parametrize(
    "said",
    [
        None,
        True,
        0,
        4.5,
        10**400,
        "",
        "kuryr",
        "x" * 100_000,
        json.encode(MEMORY).decode(),
        [],
        [RIGHT],
        [HOST, ENDPOINT_ID, {}, {}],
        list(range(10_000)),
        {},
        {PROFILE_KEY: RIGHT},
        {"host": HOST},
        {"endpoint": ENDPOINT_ID},
        {"was": {}, "profile_was": {}},
        {**RIGHT, "host": None},
        {**RIGHT, "host": 5},
        {**RIGHT, "host": [HOST]},
        {**RIGHT, "host": {"host": HOST}},
        {**RIGHT, "endpoint": None},
        {**RIGHT, "endpoint": ["a", "b"]},
        {**RIGHT, "was": None},
        {**RIGHT, "was": []},
        {**RIGHT, "was": "binding:host_id"},
        {**RIGHT, "was": [["binding:host_id", ""]]},
        {**RIGHT, "was": 10**400},
        {**RIGHT, "profile_was": None},
        {**RIGHT, "profile_was": ["pci_slot"]},
        {**RIGHT, "profile_was": 1},
        {"Host": HOST, "Endpoint": ENDPOINT_ID},
    ],
    ids=lambda said: repr(said)[:40],
)
def test_what_we_could_not_have_written_is_no_memory(said: Any) -> None:
    """A profile of the operator's, or of another program with this key, would end the clean-up or change the port."""
    assert memory_of(remembering(said)) is None


@given(json_values)
def test_no_profile_ends_the_clean_up(said: Any) -> None:
    """One port with a strange profile would keep all others of the host from being cleaned up."""
    found = memory_of(remembering(said))
    assert found is None or {"host", "endpoint"} <= set(said)


def test_a_memory_of_a_later_version_is_read_as_well() -> None:
    """After a downgrade the ports of users would not be given back."""
    assert memory_of(remembering({**RIGHT, "new": [1]})) == MEMORY


def test_a_memory_that_is_too_large_is_left_to_the_journal() -> None:
    """Neutron would refuse the PUT, and the container would not start."""
    room = LARGEST_PROFILE - len(json.encode(with_memory({"pad": ""}, MEMORY)))
    fits, full = {"pad": "x" * room}, {"pad": "x" * (room + 1)}
    assert memory_of(replace(PORT, profile=with_memory(fits, MEMORY))) == MEMORY
    assert with_memory(full, MEMORY) == full
    assert with_memory({}, replace(MEMORY, was={"dns_domain": "x" * LARGEST_PROFILE})) == {}


def test_a_new_memory_replaces_the_old_one() -> None:
    """Two containers would each be remembered by halves."""
    old = with_memory({"pci_slot": "0000:05:00.1"}, replace(MEMORY, was={"mac_address": "x"}, endpoint="old"))
    assert with_memory(old, MEMORY) == {"pci_slot": "0000:05:00.1", PROFILE_KEY: RIGHT}
    assert without_memory({}) == {}
