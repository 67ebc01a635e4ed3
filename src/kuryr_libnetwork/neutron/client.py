# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron's REST API as :class:`kuryr_libnetwork.interfaces.neutron.Neutron`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from kuryr_libnetwork.errors import NeutronError, NeutronNotFound, NeutronRefused, NeutronUnavailable
from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import (
    Agent,
    FreeAddresses,
    Id,
    Network,
    Port,
    QosPolicy,
    Quota,
    SecurityGroup,
    Subnet,
    SubnetPool,
    SubPort,
    TagOwner,
)
from kuryr_libnetwork.model.observed import Observe, ignore
from kuryr_libnetwork.neutron import answers
from kuryr_libnetwork.neutron.errors import NoAnswer
from kuryr_libnetwork.neutron.session import AdapterFactory, Rest
from kuryr_libnetwork.rules.roles import Account
from kuryr_libnetwork.text import shown

T = TypeVar("T")
Query = dict[str, list[str]]

# Some servers take no URL longer than 4096 bytes.
LONGEST_LIST = 50
MOST_LISTED = 100_000
"""Most resources in the answer to one question."""
_ALL_MUST_MATCH = ("tags", "not-tags")
_PLACE = ("marker", "limit", "page_reverse")
"""The parameters of a link that say where the next page begins."""
_PATHS = {"policies": "qos/policies"}
_NOT_SPLIT = (*_ALL_MUST_MATCH, "tags-any", "not-tags-any", "fixed_ips", "fields")


class NeutronClient:
    """``adapter_factory`` is called for the first request (see :func:`~.session.build_adapter`).

    ``timeout``: seconds for one call. ``observe`` is called for each request. Safe for many threads.
    """

    def __init__(
        self,
        adapter_factory: AdapterFactory,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
        observe: Observe = ignore,
    ) -> None:
        self._rest = Rest(adapter_factory, timeout, sleep, observe)
        self._extensions: frozenset[str] | None = None

    def extensions(self) -> frozenset[str]:
        if self._extensions is None:
            listed = answers.convert(
                self._rest.call("GET", "/extensions").get("extensions"), list[_Extension], "extensions"
            )
            self._extensions = frozenset(each.alias for each in listed)
        return self._extensions

    def project_id(self) -> str:
        return self._rest.project_id()

    def account(self) -> Account | None:
        return self._rest.account()

    def quota(self, project_id: str) -> Mapping[str, Quota]:
        told = self._rest.call("GET", f"/quotas/{quote(project_id, safe='')}/details.json").get("quota")
        return answers.convert(told, dict[str, Quota], "quota")

    def free_addresses(self, network_ids: Iterable[str]) -> list[FreeAddresses]:
        wanted = set(network_ids)
        if not wanted or "network-ip-availability" not in self.extensions():
            return []
        found = []
        for part in _parts({"network_id": sorted(wanted)}):
            told = self._rest.call("GET", "/network-ip-availabilities", part).get("network_ip_availabilities")
            found += answers.convert(told, list[_Availability], "network_ip_availabilities")
        return [each.free for network in found if network.network_id in wanted for each in network.subnets]

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
        wanted = [dict(rule) for rule in rules]
        answer = self._rest.call("POST", "/security-group-rules", body={"security_group_rules": wanted})
        made = answers.convert(answer.get("security_group_rules"), list[_Rule], "security_group_rules")
        groups = [rule.security_group_id for rule in made]
        if groups != [rule["security_group_id"] for rule in wanted]:
            raise NoAnswer(
                f"no usable answer to POST /v2.0/security-group-rules: not the {len(wanted)} rules that were sent"
            )

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        """The tags are stored if ML2 has the extension driver for them, else dropped: the answer shows which.

        The list of extensions does not tell: ML2/OVN stores them without listing the extension (seen in release 29).
        """
        wanted, tags = dict(attributes), list(tags)
        if tags and "standard-attr-tag" in self.extensions():
            wanted["tags"] = tags
        answer = self._rest.call("POST", "/ports", body={"ports": [wanted]})
        made = _resources(answer, "ports")
        if len(made) != 1:
            raise NoAnswer(f"no usable answer to POST /v2.0/ports: {len(made)} ports for one")
        answers.check_same("POST /v2.0/ports", attributes, made[0])
        return answers.decode(made[0], Port)

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        path = f"/ports/{_id(port_id)}"
        headers = {} if revision is None else {"If-Match": f"revision_number={revision}"}
        return self._write("PUT", path, "port", Port, attributes, headers, {"id": port_id})

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        return self._change_trunk(trunk_id, "add_subports", msgspec.to_builtins(subport))

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk:
        return self._change_trunk(trunk_id, "remove_subports", {"port_id": port_id})

    def _change_trunk(self, trunk_id: str, action: str, subport: dict[str, Any]) -> Trunk:
        """Unlike in all other calls, body and answer have no member named after the resource."""
        answer = self._rest.call("PUT", f"/trunks/{_id(trunk_id)}/{action}", body={"sub_ports": [subport]})
        answers.check_ids([answer], [trunk_id])
        return answers.decode(answer, Trunk)

    def delete_network(self, network_id: str) -> None:
        self._rest.call("DELETE", f"/networks/{_id(network_id)}")

    def delete_subnet(self, subnet_id: str) -> None:
        self._rest.call("DELETE", f"/subnets/{_id(subnet_id)}")

    def delete_subnetpool(self, pool_id: str) -> None:
        self._rest.call("DELETE", f"/subnetpools/{_id(pool_id)}")

    def delete_port(self, port_id: str) -> None:
        self._rest.call("DELETE", f"/ports/{_id(port_id)}")

    def delete_security_group(self, group_id: str) -> None:
        self._rest.call("DELETE", f"/security-groups/{_id(group_id)}")

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        self._tag("PUT", owner, resource_id, body={"tags": list(tags)})

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        if "tag-creation" in self.extensions():
            self._tag("POST", owner, resource_id, body={"tags": list(tags)})
            return
        wanted = list(tags)
        if not all(map(_fits_a_path, wanted)):
            there = self._tags_of(owner, resource_id)
            self.set_tags(owner, resource_id, [*there, *(tag for tag in wanted if tag not in there)])
            return
        for tag in wanted:
            self._tag("PUT", owner, resource_id, tag)

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None:
        if _fits_a_path(tag):
            self._tag("DELETE", owner, resource_id, tag)
            return
        there = self._tags_of(owner, resource_id)
        if tag not in there:
            raise NeutronNotFound(f"tag {tag} is not on {owner} {resource_id}")
        self.set_tags(owner, resource_id, [each for each in there if each != tag])

    def _tags_of(self, owner: TagOwner, resource_id: str) -> list[str]:
        answer = self._rest.call("GET", f"/{owner}/{_id(resource_id)}/tags")
        return answers.convert(answer.get("tags"), list[str], "tags")

    def _find(self, what: str, kind: type[T], query: Mapping[str, str | Iterable[str]]) -> list[T]:
        wanted = {key: [value] if isinstance(value, str) else list(value) for key, value in query.items()}
        if any(not values and key not in _ALL_MUST_MATCH for key, values in wanted.items()):
            return []  # an empty list matches nothing; Neutron would return everything
        if "fields" in wanted:
            wanted["fields"] = answers.fields_for(wanted)
        found = {
            str(each["id"]): each for part in _parts(wanted) for each in answers.select(self._listed(what, part), part)
        }
        return [answers.decode(each, kind) for each in found.values()]

    def _listed(self, what: str, query: Query) -> Iterator[dict[str, Any]]:
        """The resources of all pages. Of a link only the page's position is used, never its address or filters."""
        path = f"/{_PATHS.get(what, what.replace('_', '-'))}"
        seen: set[str] = set()
        following: Query | None = query
        while following is not None:
            page = self._rest.call("GET", path, following)
            found = _resources(page, what)
            before = len(seen)
            seen.update(each["id"] for each in found)
            following = _next_page(page, what, query)
            if (following is not None and len(seen) == before) or len(seen) > MOST_LISTED:
                raise NeutronUnavailable(f"no usable answer to GET /v2.0{path}: its pages do not end")
            yield from found

    def _write(
        self,
        method: str,
        path: str,
        member: str,
        kind: type[T],
        attributes: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> T:
        """``known``: attributes that the answer must have, besides those that are sent."""
        answer = self._rest.call(method, path, body={member: dict(attributes)}, headers=headers)
        written = answers.convert(answer.get(member), dict[str, Any], member)
        answers.check_same(f"{method} /v2.0{path}", {**attributes, **(known or {})}, written)
        return answers.decode(written, kind)

    def _tag(self, method: str, owner: TagOwner, resource_id: str, tag: str | None = None, body: Any = None) -> None:
        path = f"/{owner}/{_id(resource_id)}"
        try:
            self._rest.call(method, f"{path}/tags" if tag is None else f"{path}/tags/{_tag(tag)}", body=body)
        except NeutronError as error:
            if type(error) is NeutronError:
                # Release 29 answers 500 if there is no such resource: this GET then raises the right error.
                self._rest.call("GET", path, {"fields": ["id"]})
            raise


class _Extension(msgspec.Struct):
    alias: str


class _Subnet(msgspec.Struct):
    subnet_id: Id
    total_ips: float
    used_ips: float
    subnet_name: str | None = None

    @property
    def free(self) -> FreeAddresses:
        free = max(0.0, self.total_ips - self.used_ips)
        return FreeAddresses(subnet_id=self.subnet_id, subnet_name=self.subnet_name or "", free=free)


class _Availability(msgspec.Struct):
    network_id: Id
    subnets: Annotated[list[_Subnet], msgspec.Meta(max_length=MOST_LISTED)] = msgspec.field(
        name="subnet_ip_availability", default_factory=list
    )


class _Link(msgspec.Struct):
    rel: str
    href: str


class _Rule(msgspec.Struct):
    security_group_id: str


def _id(text: str) -> str:
    """An id as a part of a path. Some web servers turn a quoted slash into a slash again, so only ids are taken."""
    try:
        return msgspec.convert(text, Id)
    except msgspec.ValidationError:
        raise NeutronRefused(f"'{shown(text)}' is no id in Neutron") from None


def _fits_a_path(tag: str) -> bool:
    """Whether a tag can be a part of a path. Neutron takes the ending of a file for a format, and some web servers turn
    a quoted slash into a slash again.
    """
    return "/" not in tag and not tag.endswith((".json", ".xml"))


def _tag(text: str) -> str:
    """A tag as a part of a path, where "." and ".." have a meaning even if they are quoted."""
    if text in ("", ".", ".."):
        raise NeutronRefused(f"the tag '{text}' cannot be named in Neutron's API")
    return quote(text, safe="")


def _parts(query: Query) -> Iterator[Query]:
    """Queries that each have a part of a long list of values; its values are alternatives, so results can be joined."""
    long = [key for key, values in query.items() if len(values) > LONGEST_LIST and key not in _NOT_SPLIT]
    if not long:
        yield query
        return
    values = list(dict.fromkeys(query[long[0]]))
    for start in range(0, len(values), LONGEST_LIST):
        yield from _parts({**query, long[0]: values[start : start + LONGEST_LIST]})


def _resources(answer: dict[str, Any], member: str) -> list[dict[str, Any]]:
    found = answers.convert(answer.get(member), list[dict[str, Any]], member)
    for each in found:
        answers.convert(each.get("id"), Id, f"an id in {member}")
    return found


def _next_page(page: dict[str, Any], what: str, query: Query) -> Query | None:
    links = answers.convert(page.get(f"{what}_links") or [], list[_Link], f"{what}_links")
    hrefs = [link.href for link in links if link.rel == "next"]
    if not hrefs:
        return None
    try:
        told = parse_qs(urlsplit(hrefs[0]).query, keep_blank_values=True)
    except ValueError as error:  # not a URL, or too many parameters
        raise NeutronUnavailable(
            f"no usable answer from Neutron: a link to the next page of {what}: {error}"
        ) from error
    return {**query, **{key: told[key] for key in _PLACE if key in told}}
