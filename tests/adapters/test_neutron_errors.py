# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong below the client of Neutron comes out as one of our own errors, and only harmless calls
repeat.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator

import keystoneauth1.exceptions
import pytest
import requests.exceptions

from kuryr_libnetwork.calls import count_calls
from kuryr_libnetwork.errors import (
    NeutronChanged,
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    NeutronUnavailable,
)
from kuryr_libnetwork.neutron.client import NeutronClient
from kuryr_libnetwork.neutron.errors import NoAnswer, NotConnected, TooManyRequests, one_line
from kuryr_libnetwork.neutron.foreign import translate
from kuryr_libnetwork.neutron.pauses import BUSY_TRIES, TRIES
from kuryr_libnetwork.neutron.session import Rest
from tests.adapters.neutron_client import without_keystone
from tests.fakes.loopback import Answer
from tests.fakes.neutron import DEFAULT_EXTENSIONS, PROJECT, TAG_CREATION, FakeNeutron
from tests.fakes.neutron_http import NeutronFront

KEYSTONE = sorted(
    (
        kind
        for kind in vars(keystoneauth1.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, keystoneauth1.exceptions.ClientException)
    ),
    key=lambda kind: kind.__name__,
)
REQUESTS = sorted(
    (
        kind
        for kind in vars(requests.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, requests.exceptions.RequestException)
    ),
    key=lambda kind: kind.__name__,
)


@pytest.fixture
def fake() -> FakeNeutron:
    return FakeNeutron()


@pytest.fixture
def front(fake: FakeNeutron) -> Iterator[NeutronFront]:
    with NeutronFront(fake) as front:
        yield front


def told(status: int, kind: str = "Kind", message: str = "its words") -> Answer:
    return Answer(status, json.dumps({"NeutronError": {"type": kind, "message": message, "detail": ""}}).encode())


def bare(kind: type[Exception]) -> Exception:
    """An instance created without ``__init__``, whose arguments do not matter here."""
    error = kind.__new__(kind)
    error.args = ("the words",)
    if isinstance(error, keystoneauth1.exceptions.ClientException):
        error.message = "the words"
    return error


@pytest.mark.parametrize("kind", [*KEYSTONE, *REQUESTS], ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_libraries_is_translated(kind: type[Exception]) -> None:
    """An exception of keystoneauth or requests would reach the services, and Docker a traceback."""
    error = bare(kind)

    def fail() -> None:
        raise error

    with pytest.raises(NeutronError, match=r"GET /v2\.0/ports.*the words") as caught:
        Rest(fail, timeout=1, sleep=lambda _: None).call("GET", "/ports")  # type: ignore[arg-type]
    assert isinstance(caught.value, NeutronForbidden | NeutronUnavailable)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (keystoneauth1.exceptions.Unauthorized, NeutronForbidden),
        (keystoneauth1.exceptions.Forbidden, NeutronForbidden),
        (keystoneauth1.exceptions.NotFound, NeutronUnavailable),
        (keystoneauth1.exceptions.Conflict, NeutronUnavailable),
        (keystoneauth1.exceptions.ConnectFailure, NoAnswer),
        (keystoneauth1.exceptions.EndpointNotFound, NeutronUnavailable),
        (requests.exceptions.ConnectTimeout, NotConnected),
        (requests.exceptions.ReadTimeout, NoAnswer),
    ],
)
def test_errors_of_keystone_are_not_taken_for_neutrons(kind: type[Exception], expected: type[NeutronError]) -> None:
    """Keystone's 404 (a wrong auth_url) would read as "the port is gone", and state be dropped."""
    assert type(translate("GET /v2.0/ports", bare(kind))) is expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, NeutronRefused),
        (401, NeutronForbidden),
        (403, NeutronForbidden),
        (404, NeutronNotFound),
        (409, NeutronConflict),
        (412, NeutronChanged),
        (413, NeutronRefused),
        (429, TooManyRequests),
        (500, NeutronError),
        (501, NeutronUnavailable),
        (502, NoAnswer),
        (503, NoAnswer),
        (504, NoAnswer),
    ],
)
def test_what_a_status_means(
    front: NeutronFront, client: NeutronClient, status: int, expected: type[NeutronError]
) -> None:
    """The services would undo, repeat or give up at the wrong moment."""
    front.answers += [told(status)] * BUSY_TRIES
    with pytest.raises(NeutronError, match=r"GET /v2\.0/ports") as caught:
        client.find_ports()
    assert type(caught.value) is expected
    if status < 502 and status not in (401, 501):
        assert "its words" in str(caught.value)


def test_a_conflict_that_neutron_tells_as_500(front: NeutronFront, client: NeutronClient) -> None:
    """An overlapping pool would look like a broken cloud."""
    front.answers.append(told(500, "SubnetAllocationError"))
    with pytest.raises(NeutronConflict):
        client.create_subnet({})


@pytest.mark.parametrize("body", [b"", b"<html>Not Found</html>", b"null", b'"text"'])
def test_a_404_of_somebody_else_is_not_neutrons(front: NeutronFront, client: NeutronClient, body: bytes) -> None:
    """A wrong endpoint would read as "everything is gone", and ports be leaked."""
    front.answers.append(Answer(404, body))
    with pytest.raises(NeutronUnavailable, match="endpoint"):
        client.delete_port("p")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[]", b'{"ports": null}', b'{"ports": [{"id": 7}]}', b'{"ports": [1]}', b'{"ports": [{}]}'),
        *(
            b'{"ports": "caf\xe9"}',
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"ports": [{"id": "a\x00"}]}',
            b'{"ports": 1e999}',
        ),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_cannot_be_used(front: NeutronFront, client: NeutronClient, body: bytes) -> None:
    """A proxy's page would end in a traceback, or in an empty list that gets everything removed."""
    front.answers.append(Answer(200, body))
    with pytest.raises(NeutronUnavailable, match="no usable answer"):
        client.find_ports()


@pytest.mark.parametrize("body", [b'{"NeutronError":{"message":"caf\xe9"}}', b"[" * 100_000], ids=["latin-1", "deep"])
def test_an_error_that_cannot_be_read_is_one(front: NeutronFront, client: NeutronClient, body: bytes) -> None:
    """The words of an error, which a tenant may have chosen, would end the background."""
    front.answers.append(Answer(409, body))
    with pytest.raises(NeutronConflict, match=r"no message \(HTTP 409\)"):
        client.delete_port("p1")


def test_nulls_and_absent_members_are_read_as_defaults(front: NeutronFront, client: NeutronClient) -> None:
    """One port with a null attribute would hide all others."""
    nulls = dict.fromkeys(("name", "description", "device_id", "device_owner", "binding:vif_details", "tags"))
    bound = {"binding:profile": None, "binding:host_id": None, "unknown": 1}
    ports = [{"id": "a", "network_id": "n", **nulls, **bound}, {"id": "b", "network_id": "n"}]
    front.answers.append(Answer(200, json.dumps({"ports": ports}).encode()))
    first, second = client.find_ports()
    assert (first.device_id, first.vif_details, first.tags, first.host_id, first.description) == ("", {}, (), None, "")
    assert second.id == "b"


def test_a_get_is_repeated_a_few_times(front: NeutronFront, client: NeutronClient) -> None:
    """A short hiccup of the cloud would fail a container, or a long one be answered by a flood of requests."""
    front.answers += [Answer(503), Answer(502)]
    with count_calls() as counter:
        assert client.find_networks() == []
    assert (len(front.requests), counter.neutron) == (3, 3)
    front.answers += [Answer(503)] * 9
    with pytest.raises(NeutronUnavailable, match="503"):
        client.find_networks()
    assert len(front.requests) == 3 + TRIES


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.create_port({}),
        lambda client: client.update_port("p", {}),
        lambda client: client.delete_port("p"),
        lambda client: client.set_tags("ports", "p", []),
    ],
    ids=["POST", "PUT", "DELETE", "tags"],
)
def test_a_change_is_never_repeated(
    front: NeutronFront, client: NeutronClient, change: Callable[[NeutronClient], None]
) -> None:
    """A port would be made twice, one of them leaked."""
    front.answers += [Answer(503)] * TRIES
    with pytest.raises(NoAnswer):
        change(client)
    assert len(front.requests) == 1


def test_without_a_connection_everything_is_repeated_in_vain() -> None:
    """A restart of Neutron's front end would fail a container although nothing had been sent."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = without_keystone(f"http://127.0.0.1:{port}")
    with count_calls() as counter, pytest.raises(NotConnected, match="Connection refused"):
        client.create_port({})
    assert counter.requests == (("POST", "/v2.0/ports"),) * TRIES


def test_silence_ends_with_the_time_out() -> None:
    """A cloud that accepts connections and says nothing would hang Docker."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = without_keystone(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
        with count_calls() as counter, pytest.raises(NoAnswer, match="time"):
            client.delete_port("p")
    assert counter.neutron == 1


def test_all_pages_are_read(fake: FakeNeutron) -> None:
    """Ports beyond the first page would be leaked."""
    network = fake.seed_network()
    made = {fake.seed_port(network.id, tags=["t"], project_id=PROJECT).id for _ in range(5)}
    with NeutronFront(fake, page_size=2) as front:
        found = without_keystone(front.url).find_ports(tags=["t"])
        assert {port.id for port in found} == made
        assert [request.path for request in front.requests] == ["/v2.0/ports"] * 3


@pytest.mark.parametrize("ids", [[], ["p1"]], ids=["empty", "the same"])
def test_a_link_that_leads_in_a_circle_is_no_answer(front: NeutronFront, client: NeutronClient, ids: list[str]) -> None:
    """A broken proxy would keep the service asking for ever, or half a list be taken for all there is."""
    ports = [{"id": port_id, "network_id": "n"} for port_id in ids]
    page = {"ports": ports, "ports_links": [{"rel": "next", "href": "http://inner.example/?marker=x"}]}
    front.answers += [Answer(200, json.dumps(page).encode())] * 9
    with pytest.raises(NeutronUnavailable, match=r"GET /v2\.0/ports: its pages do not end"):
        client.find_ports()
    assert len(front.requests) == 1 + len(ids)


def test_extensions_are_remembered_after_success_only(front: NeutronFront, client: NeutronClient) -> None:
    """A hiccup at start would turn features off until the next restart."""
    front.answers.append(told(500))
    with pytest.raises(NeutronError):
        client.extensions()
    assert client.extensions() == client.extensions() == DEFAULT_EXTENSIONS
    assert len(front.requests) == 2


def test_tags_are_added_one_by_one_in_old_clouds() -> None:
    """A cloud without tag-creation would refuse every tag."""
    fake = FakeNeutron(extensions=DEFAULT_EXTENSIONS - {TAG_CREATION})
    network = fake.seed_network(tags=["z"], project_id=PROJECT)
    with NeutronFront(fake) as front:
        without_keystone(front.url).add_tags("networks", network.id, ["a", "b c"])
        assert [request.method for request in front.requests] == ["GET", "PUT", "PUT"]
    assert fake.find_networks()[0].tags == ("a", "b c", "z")


@pytest.mark.parametrize("odd", ["dns=example.json", "range:10.0.0.0/25"])
def test_a_tag_that_no_path_can_carry(odd: str) -> None:
    """In a cloud without tag-creation Neutron would store another tag, or say that there is no such thing."""
    fake = FakeNeutron(extensions=DEFAULT_EXTENSIONS - {TAG_CREATION})
    network = fake.seed_network(tags=["z"], project_id=PROJECT)
    with NeutronFront(fake) as front:
        client = without_keystone(front.url)
        client.add_tags("networks", network.id, ["a", odd])
        assert set(fake.find_networks()[0].tags) == {"a", odd, "z"}
        client.remove_tag("networks", network.id, odd)
        assert fake.find_networks()[0].tags == ("a", "z")
        with pytest.raises(NeutronNotFound):
            client.remove_tag("networks", network.id, odd)
        assert not any(odd.rpartition("/")[2] in request.path for request in front.requests)


@pytest.mark.parametrize(("without", "stored"), [(frozenset(), ("a",)), ({"standard-attr-tag"}, ())])
def test_tags_of_a_new_port_are_sent_where_they_are_known(without: frozenset[str], stored: tuple[str, ...]) -> None:
    """A port could not be made at all in a cloud without tags."""
    fake = FakeNeutron(extensions=DEFAULT_EXTENSIONS - without)
    network = fake.seed_network()
    with NeutronFront(fake) as front:
        assert without_keystone(front.url).create_port({"network_id": network.id}, ["a"]).tags == stored


def test_counters_nest(fake: FakeNeutron) -> None:
    """A nested count would take calls away from the outer one."""
    with count_calls() as outer:
        fake.find_ports()
        with count_calls() as inner:
            fake.find_networks()
    fake.find_ports()
    assert (outer.neutron, inner.requests) == (2, (("GET", "/v2.0/networks"),))


def test_a_planned_failure_comes_before_or_after_its_effect(fake: FakeNeutron) -> None:
    """Tests of lost answers would test nothing."""
    fake.fail_next("create_network", NeutronUnavailable("before"))
    fake.fail_next("create_network", NeutronUnavailable("after"), after=True)
    for words, there in (("before", 0), ("after", 1)):
        with pytest.raises(NeutronUnavailable, match=words):
            fake.create_network({"name": "x"})
        assert len(fake.find_networks(name="x")) == there


def test_long_texts_become_one_short_line() -> None:
    """A page of HTML would be shown to the user of docker."""
    line = one_line("a\n\n b" * 1000)
    assert line.startswith("a ba b")
    assert len(line) == 600
