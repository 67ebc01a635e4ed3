# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's REST API as :class:`kuryr_libnetwork.interfaces.neutron.Neutron`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from kuryr_libnetwork.errors import NeutronError, NeutronUnavailable
from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import (
    Agent,
    Network,
    Port,
    QosPolicy,
    SecurityGroup,
    Subnet,
    SubnetPool,
    SubPort,
    TagOwner,
)
from kuryr_libnetwork.neutron.session import AdapterFactory, Rest
from kuryr_libnetwork.rules.roles import Account

T = TypeVar("T")
Query = dict[str, list[str]]

# Some servers take no longer URL than 4096 bytes.
LONGEST_LIST = 50
_ALL_MUST_MATCH = ("tags", "not-tags")
_PATHS = {"policies": "qos/policies"}
_NOT_SPLIT = (*_ALL_MUST_MATCH, "tags-any", "not-tags-any", "fixed_ips")


class NeutronClient:
    """``adapter_factory`` is called with the first request (see :func:`~.session.build_adapter`).

    ``timeout``: seconds for one call. Safe for many threads.
    """

    def __init__(
        self, adapter_factory: AdapterFactory, timeout: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rest = Rest(adapter_factory, timeout, sleep)
        self._extensions: frozenset[str] | None = None

    def extensions(self) -> frozenset[str]:
        if self._extensions is None:
            listed = _member(self._rest.call("GET", "/extensions"), "extensions", list[_Extension])
            self._extensions = frozenset(each.alias for each in listed)
        return self._extensions

    def project_id(self) -> str:
        return self._rest.project_id()

    def account(self) -> Account | None:
        return self._rest.account()

    def find_networks(self, **query: str | Iterable[str]) -> list[Network]:
        return self._find("networks", Network, query)

    def find_subnets(self, **query: str | Iterable[str]) -> list[Subnet]:
        return self._find("subnets", Subnet, query)

    def find_subnetpools(self, **query: str | Iterable[str]) -> list[SubnetPool]:
        return self._find("subnetpools", SubnetPool, query)

    def find_ports(self, **query: str | Iterable[str]) -> list[Port]:
        return self._find("ports", Port, query)

    def find_agents(self, **query: str | Iterable[str]) -> list[Agent]:
        return self._find("agents", Agent, query)

    def find_security_groups(self, **query: str | Iterable[str]) -> list[SecurityGroup]:
        return self._find("security_groups", SecurityGroup, query)

    def find_qos_policies(self, **query: str | Iterable[str]) -> list[QosPolicy]:
        return self._find("policies", QosPolicy, query)

    def find_trunks(self, **query: str | Iterable[str]) -> list[Trunk]:
        return self._find("trunks", Trunk, query)

    def create_network(self, attributes: Mapping[str, Any]) -> Network:
        return self._write("POST", "/networks", "network", Network, attributes)

    def create_subnet(self, attributes: Mapping[str, Any]) -> Subnet:
        return self._write("POST", "/subnets", "subnet", Subnet, attributes)

    def create_subnetpool(self, attributes: Mapping[str, Any]) -> SubnetPool:
        return self._write("POST", "/subnetpools", "subnetpool", SubnetPool, attributes)

    def create_security_group(self, attributes: Mapping[str, Any]) -> SecurityGroup:
        return self._write("POST", "/security-groups", "security_group", SecurityGroup, attributes)

    def create_security_group_rules(self, rules: Iterable[Mapping[str, Any]]) -> None:
        body = {"security_group_rules": [dict(rule) for rule in rules]}
        self._rest.call("POST", "/security-group-rules", body=body)

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        """The tags are stored if ML2 has its extension driver for it, else dropped: the answer shows which.

        The list of extensions does not tell: ML2/OVN stores them without listing it (seen in release 29).
        """
        wanted, tags = dict(attributes), list(tags)
        if tags and "standard-attr-tag" in self.extensions():
            wanted["tags"] = tags
        answer = self._rest.call("POST", "/ports", body={"ports": [wanted]})
        made = _resources(answer, "ports", Port)
        if len(made) != 1:
            raise NeutronUnavailable(f"no usable answer to POST /v2.0/ports: {len(made)} ports for one")
        return made[0]

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        return self._write("PUT", f"/ports/{_part(port_id)}", "port", Port, attributes, revision)

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        return self._change_trunk(trunk_id, "add_subports", msgspec.to_builtins(subport))

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk:
        return self._change_trunk(trunk_id, "remove_subports", {"port_id": port_id})

    def _change_trunk(self, trunk_id: str, action: str, subport: dict[str, Any]) -> Trunk:
        """Unlike everywhere else, body and answer have no member named after the resource."""
        answer = self._rest.call("PUT", f"/trunks/{_part(trunk_id)}/{action}", body={"sub_ports": [subport]})
        return _decode(answer, Trunk)

    def delete_network(self, network_id: str) -> None:
        self._rest.call("DELETE", f"/networks/{_part(network_id)}")

    def delete_subnet(self, subnet_id: str) -> None:
        self._rest.call("DELETE", f"/subnets/{_part(subnet_id)}")

    def delete_subnetpool(self, pool_id: str) -> None:
        self._rest.call("DELETE", f"/subnetpools/{_part(pool_id)}")

    def delete_port(self, port_id: str) -> None:
        self._rest.call("DELETE", f"/ports/{_part(port_id)}")

    def delete_security_group(self, group_id: str) -> None:
        self._rest.call("DELETE", f"/security-groups/{_part(group_id)}")

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        self._tag("PUT", owner, resource_id, body={"tags": list(tags)})

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        if "tag-creation" in self.extensions():
            self._tag("POST", owner, resource_id, body={"tags": list(tags)})
            return
        for tag in tags:
            self._tag("PUT", owner, resource_id, tag)

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None:
        self._tag("DELETE", owner, resource_id, tag)

    def _find(self, what: str, kind: type[T], query: Mapping[str, str | Iterable[str]]) -> list[T]:
        wanted = {key: [value] if isinstance(value, str) else list(value) for key, value in query.items()}
        if any(not values and key not in _ALL_MUST_MATCH for key, values in wanted.items()):
            return []  # nothing is one of none; Neutron would answer everything
        return [
            each for part in _parts(wanted) for page in self._pages(what, part) for each in _resources(page, what, kind)
        ]

    def _pages(self, what: str, query: Query) -> Iterator[dict[str, Any]]:
        """All pages; of Neutron's links only the query counts, as it may not know its own address."""
        path = f"/{_PATHS.get(what, what.replace('_', '-'))}"
        asked: list[Query] = []
        following: Query | None = query
        while following is not None and following not in asked:
            asked.append(following)
            page = self._rest.call("GET", path, following)
            yield page
            links = _convert(page.get(f"{what}_links") or [], list[_Link])
            hrefs = [link.href for link in links if link.rel == "next"]
            following = parse_qs(urlsplit(hrefs[0]).query, keep_blank_values=True) if hrefs else None

    def _write(
        self,
        method: str,
        path: str,
        member: str,
        kind: type[T],
        attributes: Mapping[str, Any],
        revision: int | None = None,
    ) -> T:
        headers = {} if revision is None else {"If-Match": f"revision_number={revision}"}
        answer = self._rest.call(method, path, body={member: dict(attributes)}, headers=headers)
        return _decode(_member(answer, member, dict[str, Any]), kind)

    def _tag(self, method: str, owner: TagOwner, resource_id: str, tag: str | None = None, body: Any = None) -> None:
        path = f"/{owner}/{_part(resource_id)}"
        try:
            self._rest.call(method, f"{path}/tags" if tag is None else f"{path}/tags/{_part(tag)}", body=body)
        except NeutronError as error:
            if type(error) is NeutronError:
                # Release 29 answers 500 if there is no such resource: let it say so.
                self._rest.call("GET", path, {"fields": ["id"]})
            raise


class _Extension(msgspec.Struct):
    alias: str


class _Link(msgspec.Struct):
    rel: str
    href: str


def _part(text: str) -> str:
    return quote(text, safe="")


def _parts(query: Query) -> Iterator[Query]:
    """Split one long list, as "any of" allows."""
    long = [key for key, values in query.items() if len(values) > LONGEST_LIST and key not in _NOT_SPLIT]
    if not long:
        yield query
        return
    values = list(dict.fromkeys(query[long[0]]))
    for start in range(0, len(values), LONGEST_LIST):
        yield from _parts({**query, long[0]: values[start : start + LONGEST_LIST]})


def _resources(answer: dict[str, Any], member: str, kind: type[T]) -> list[T]:
    return [_decode(each, kind) for each in _member(answer, member, list[dict[str, Any]])]


def _member(answer: dict[str, Any], member: str, kind: type[T]) -> T:
    return _convert(answer.get(member), kind)


def _decode(resource: dict[str, Any], kind: type[T]) -> T:
    """``null`` means the same as an absent member."""
    return _convert({key: value for key, value in resource.items() if value is not None}, kind)


def _convert(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NeutronUnavailable(f"no usable answer from Neutron: {error}") from error
