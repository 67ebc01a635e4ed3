# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Neutron in memory, behaving as release 29 with ML2/OVN does wherever the service depends on it.

The contract suite (``tests/adapters/test_neutron_contract.py``) compares it with the real one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, TypeVar

import msgspec

from kuryr_libnetwork.calls import note_neutron_call
from kuryr_libnetwork.errors import KuryrError
from kuryr_libnetwork.model.links import Trunk
from kuryr_libnetwork.model.neutron import (
    Agent,
    FreeAddresses,
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
from kuryr_libnetwork.neutron import answers
from kuryr_libnetwork.neutron.errors import from_answer
from kuryr_libnetwork.rules.roles import Account
from tests.fakes.neutron import groups, networks, ports, store, trunks
from tests.fakes.neutron.policy import Policy, Role
from tests.fakes.neutron.store import BULK_TAGS, TAG_CREATION, Store
from tests.fakes.neutron.wire import PROJECT, TENANT, Fault, Resource, select

__all__ = ["BULK_TAGS", "DEFAULT_EXTENSIONS", "PROJECT", "TAG_CREATION", "TENANT", "FakeNeutron", "Fault", "Role"]

DEFAULT_EXTENSIONS = frozenset(
    {
        "agent",
        "allowed-address-pairs",
        "binding",
        "dns-domain-ports",
        "dns-integration",
        "filter-validation",
        "net-mtu",
        "network-ip-availability",
        "pagination",
        "port-security",
        "qos",
        "revision-if-match",
        "security-group",
        "standard-attr-description",
        "standard-attr-tag",
        "subnet_allocation",
        "trunk",
        "trunk-details",
        BULK_TAGS,
        TAG_CREATION,
    }
)

T = TypeVar("T")
Hook = Callable[[str, tuple[Any, ...]], None]


def _no_hook(method: str, arguments: tuple[Any, ...]) -> None:
    """Do nothing."""


class FakeNeutron:
    """Implements :class:`kuryr_libnetwork.interfaces.neutron.Neutron`.

    ``calls``: method name and arguments of every REST call, in order. ``hook(method, arguments)`` runs before each
    call, outside all locks: a test may block there. ``store``: the cloud itself, for changes that no helper offers.

    ``stores_bulk_tags``: a real cloud may store them without listing the extension (ML2/OVN of release 29 does);
    ``None``: exactly where the extension is listed.

    ``role``: of the service's user, whose project is :data:`PROJECT`. ``told_account``: what his token says about it.
    The ``seed_`` helpers create a tenant's resources, in the project :data:`TENANT`, unless told otherwise.
    """

    ignores_filters = False
    """Whether lists ignore all filters but ``id``, and answer everything that the role sees.

    As Neutron before ``empty-string-filtering`` ignores ``device_owner=``, and without ``filter-validation`` unknown
    filters. Set it on the class for all clouds of a test.
    """

    def __init__(
        self,
        *,
        hosts: Iterable[str] = ("h1",),
        sriov_hosts: Iterable[str] = (),
        extensions: Iterable[str] = DEFAULT_EXTENSIONS,
        stores_bulk_tags: bool | None = None,
        metadata_ports: bool = True,
        vrrp_pairs_only: bool = True,
        role: Role = "service",
    ) -> None:
        self.policy = Policy(role)
        self.told_account: Account | None = self.policy.account
        self.extension_aliases = frozenset(extensions)
        bulk = BULK_TAGS in self.extension_aliases if stores_bulk_tags is None else stores_bulk_tags
        self.store = Store(hosts, sriov_hosts, bulk, metadata_ports, vrrp_pairs_only)
        self.calls: list[tuple[Any, ...]] = []
        self.hook: Hook = _no_hook
        self._lock = threading.RLock()
        self._failures: dict[str, list[tuple[KuryrError, bool]]] = {}
        self._asked = False
        for host in sorted(self.store.alive_hosts):
            self.seed_agent(host, "OVN Controller agent", binary="ovn-controller")
        for host in sorted(self.store.sriov_hosts):
            self.seed_agent(host, "NIC Switch agent", binary="neutron-sriov-nic-agent")

    # -- the protocol ------------------------------------------------------------------------------------------------

    def extensions(self) -> frozenset[str]:
        if not self._asked:
            self._call("extensions", (), "GET", "/extensions", lambda: None)
            self._asked = True
        return self.extension_aliases

    def project_id(self) -> str:
        return PROJECT

    def account(self) -> Account | None:
        with self._lock:
            planned = self._failures.get("account")
            if planned:
                raise planned.pop(0)[0]
        return self.told_account

    def quota(self, project_id: str) -> Mapping[str, Quota]:
        return self._call("quota", (project_id,), "GET", f"/quotas/{project_id}/details.json", self._quota)

    def _quota(self) -> dict[str, Quota]:
        """Of the service's project alone, which is all that it asks for."""
        kinds = ("networks", "subnets", "subnetpools", "ports", "security_groups", "security_group_rules", "trunks")
        return {kind[:-1]: Quota(limit=self.store.quotas.get(kind, -1), used=self._used(kind)) for kind in kinds}

    def _used(self, kind: str) -> int:
        return sum(row.get("project_id") == PROJECT for row in self.store.tables[kind].values())

    def free_addresses(self, network_ids: Iterable[str]) -> list[FreeAddresses]:
        wanted = set(network_ids)
        if not wanted or "network-ip-availability" not in self.extensions():
            return []
        path = "/network-ip-availabilities"
        return self._call("free_addresses", (tuple(sorted(wanted)),), "GET", path, lambda: self._free(wanted))

    def _free(self, network_ids: set[str]) -> list[FreeAddresses]:
        subnets = [row for row in self.store.tables["subnets"].values() if row["network_id"] in network_ids]
        return [
            FreeAddresses(
                subnet_id=row["id"],
                subnet_name=row["name"],
                free=sum(self._size(pool) for pool in row["allocation_pools"]) - self._taken(row["id"]),
            )
            for row in subnets
        ]

    @staticmethod
    def _size(pool: Mapping[str, str]) -> int:
        return int(ip_address(pool["end"])) - int(ip_address(pool["start"])) + 1

    def _taken(self, subnet_id: str) -> int:
        fixed = [each for port in self.store.tables["ports"].values() for each in port["fixed_ips"]]
        return sum(each["subnet_id"] == subnet_id for each in fixed)

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
        return self._make("network", Network, attributes, networks.create_network)

    def create_subnet(self, attributes: Mapping[str, Any]) -> Subnet:
        return self._make("subnet", Subnet, attributes, networks.create_subnet)

    def create_subnetpool(self, attributes: Mapping[str, Any]) -> SubnetPool:
        return self._make("subnetpool", SubnetPool, attributes, networks.create_subnetpool)

    def create_security_group(self, attributes: Mapping[str, Any]) -> SecurityGroup:
        return self._make("security_group", SecurityGroup, attributes, groups.create_group)

    def create_security_group_rules(self, rules: Iterable[Mapping[str, Any]]) -> None:
        wanted = [dict(rule) for rule in rules]
        path = "/security-group-rules"
        self._call(
            "create_security_group_rules", (wanted,), "POST", path, lambda: groups.create_rules(self.store, wanted)
        )

    def create_port(self, attributes: Mapping[str, Any], tags: Iterable[str] = ()) -> Port:
        wanted, tags = dict(attributes), list(tags)
        sent = {**wanted, "tags": tags} if tags and "standard-attr-tag" in self.extensions() else wanted
        arguments = (wanted, tuple(tags))
        return self._call("create_port", arguments, "POST", "/ports", lambda: self._create_port(sent))

    def update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None = None) -> Port:
        wanted = dict(attributes)
        path = f"/ports/{port_id}"
        arrived = self.port(port_id)  # concurrent changes are not distinguished (release 29)
        seen = arrived.revision_number if arrived else None
        return self._call(
            "update_port",
            (port_id, wanted),
            "PUT",
            path,
            lambda: self._update_port(port_id, wanted, revision, seen),
        )

    def _create_port(self, attributes: Mapping[str, Any]) -> Port:
        self.policy.check_create(self.store, "ports", attributes)
        return _shown(Port, ports.create_port(self.store, attributes))

    def _update_port(self, port_id: str, attributes: Mapping[str, Any], revision: int | None, seen: int | None) -> Port:
        self.policy.check_update_port(self.store, port_id, attributes)
        port = ports.update_port(self.store, port_id, attributes, revision, seen)
        return _shown(Port, self.policy.shown(self.store, "ports", port))

    def add_subport(self, trunk_id: str, subport: SubPort) -> Trunk:
        wanted, path = msgspec.to_builtins(subport), f"/trunks/{trunk_id}/add_subports"
        return self._call(
            "add_subport",
            (trunk_id, subport),
            "PUT",
            path,
            lambda: _shown(Trunk, trunks.add_subport(self.store, trunk_id, wanted)),
        )

    def remove_subport(self, trunk_id: str, port_id: str) -> Trunk:
        path = f"/trunks/{trunk_id}/remove_subports"
        return self._call(
            "remove_subport",
            (trunk_id, port_id),
            "PUT",
            path,
            lambda: _shown(Trunk, trunks.remove_subport(self.store, trunk_id, port_id)),
        )

    def delete_network(self, network_id: str) -> None:
        self._remove("network", network_id, networks.delete_network)

    def delete_subnet(self, subnet_id: str) -> None:
        self._remove("subnet", subnet_id, networks.delete_subnet)

    def delete_subnetpool(self, pool_id: str) -> None:
        self._remove("subnetpool", pool_id, networks.delete_subnetpool)

    def delete_port(self, port_id: str) -> None:
        self._remove("port", port_id, ports.delete_port)

    def delete_security_group(self, group_id: str) -> None:
        self._remove("security_group", group_id, groups.delete_group)

    def set_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        wanted, path = list(tags), f"/{owner}/{resource_id}/tags"
        self._call(
            "set_tags",
            (owner, resource_id, tuple(wanted)),
            "PUT",
            path,
            lambda: self._tag(store.set_tags, owner, resource_id, wanted),
        )

    def add_tags(self, owner: TagOwner, resource_id: str, tags: Iterable[str]) -> None:
        wanted, path = list(tags), f"/{owner}/{resource_id}/tags"
        if TAG_CREATION in self.extensions():
            arguments = (owner, resource_id, tuple(wanted))
            self._call(
                "add_tags", arguments, "POST", path, lambda: self._tag(store.add_tags, owner, resource_id, wanted)
            )
            return
        for tag in wanted:
            self.add_one_tag(owner, resource_id, tag)

    def remove_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None:
        path = f"/{owner}/{resource_id}/tags/{tag}"
        self._call(
            "remove_tag",
            (owner, resource_id, tag),
            "DELETE",
            path,
            lambda: self._tag(store.remove_tag, owner, resource_id, tag),
        )

    def _tag(self, change: Callable[[Store, str, str, T], None], owner: TagOwner, resource_id: str, what: T) -> None:
        self.policy.check_tags(self.store, owner, resource_id)
        change(self.store, owner, resource_id, what)

    # -- for the tests -----------------------------------------------------------------------------------------------

    def fail_next(self, method: str, error: KuryrError, after: bool = False) -> None:
        """Let the next call of ``method`` fail; ``after``: it takes effect, and only its answer is lost."""
        self._failures.setdefault(method, []).append((error, after))

    def called(self, *methods: str) -> list[tuple[Any, ...]]:
        """The recorded calls of these methods."""
        return [call for call in self.calls if call[0] in methods]

    def seed_network(self, **attributes: Any) -> Network:
        """A network of the user's; ``tags`` are taken as they are."""
        return self._seed("networks", Network, attributes, networks.create_network)

    def seed_subnet(self, network_id: str, cidr: str, **attributes: Any) -> Subnet:
        return self._seed("subnets", Subnet, {"network_id": network_id, "cidr": cidr, **attributes}, _subnet)

    def seed_subnetpool(self, name: str, *prefixes: str, **attributes: Any) -> SubnetPool:
        wanted = {"name": name, "prefixes": list(prefixes), **attributes}
        return self._seed("subnetpools", SubnetPool, wanted, networks.create_subnetpool)

    def seed_port(self, network_id: str, **attributes: Any) -> Port:
        return self._seed("ports", Port, {"network_id": network_id, **attributes}, ports.create_port)

    def seed_trunk(self, port_id: str) -> Trunk:
        with self._lock:
            return _shown(Trunk, trunks.create_trunk(self.store, port_id))

    def drop_trunk(self, trunk_id: str) -> None:
        with self._lock:
            trunks.delete_trunk(self.store, trunk_id)

    def trunk(self, trunk_id: str) -> Trunk:
        """A trunk as it is now, without a recorded call."""
        with self._lock:
            return _shown(Trunk, self.store.get("trunks", trunk_id))

    def seed_agent(self, host: str, agent_type: str, **attributes: Any) -> Agent:
        wanted = {"host": host, "agent_type": agent_type, **attributes}
        return _shown(Agent, self.store.add("agents", self.store.build("agents", wanted)))

    def seed_qos_policy(self, name: str = "gold", rules: Iterable[Mapping[str, Any]] = ()) -> QosPolicy:
        wanted = {"name": name, "rules": [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules)]}
        return _shown(QosPolicy, self.store.add("policies", self.store.build("policies", wanted)))

    def change_port(self, port_id: str, **attributes: Any) -> Port:
        """Set attributes of a port that no API call can set (``status="ACTIVE"``)."""
        with self._lock:
            port = self.store.get("ports", port_id)
            port.update(attributes)
            return _shown(Port, port)

    def port(self, port_id: str) -> Port | None:
        """A port as it is now, without a recorded call."""
        with self._lock:
            found = self.store.tables["ports"].get(port_id)
            return None if found is None else _shown(Port, found)

    def user_ports(self, network_id: str | None = None) -> list[Port]:
        """All ports but those that Neutron creates by itself, without a recorded call."""
        with self._lock:
            there = [each for each in self.store.all("ports") if each["device_owner"] != ports.METADATA]
            return [_shown(Port, each) for each in there if network_id in (None, each["network_id"])]

    # -- inside ------------------------------------------------------------------------------------------------------

    def _find(self, what: str, kind: type[T], query: Mapping[str, str | Iterable[str]]) -> list[T]:
        wanted = {key: [value] if isinstance(value, str) else list(value) for key, value in query.items()}
        if any(not values and key not in ("tags", "not-tags") for key, values in wanted.items()):
            return []  # as the client does: no call
        return self._call(
            f"find_{what}",
            (wanted,),
            "GET",
            f"/{_path(what)}",
            lambda: [_shown(kind, each) for each in self._selected(what, wanted)],
        )

    def seen(self, what: str, resource: Resource) -> Resource:
        """The resource as the role of the service's user sees it; a group with its rules."""
        shown = self.policy.shown(self.store, what, resource)
        return groups.with_rules(self.store, shown) if what == "security_groups" else shown

    def _selected(self, what: str, query: Mapping[str, list[str]]) -> list[Resource]:
        heeded = {key: values for key, values in query.items() if key == "id" or not self.ignores_filters}
        found = [each for each in select(what, self.store.all(what), heeded) if self.policy.sees(what, each)]
        shown = [self.seen(what, each) for each in found]
        fields = query.get("fields")
        return [{name: each[name] for name in fields or each} for each in answers.select(shown, query)]

    def _make(
        self,
        what: str,
        kind: type[T],
        attributes: Mapping[str, Any],
        create: Callable[[Store, Mapping[str, Any]], Resource],
    ) -> T:
        wanted = dict(attributes)

        def effect() -> T:
            self.policy.check_create(self.store, f"{what}s", wanted)
            return _shown(kind, create(self.store, wanted))

        return self._call(f"create_{what}", (wanted,), "POST", f"/{_path(what)}s", effect)

    def _remove(self, what: str, resource_id: str, delete: Callable[[Store, str], None]) -> None:
        path = f"/{_path(what)}s/{resource_id}"

        def effect() -> None:
            self.policy.check_delete(self.store, f"{what}s", resource_id)
            delete(self.store, resource_id)

        self._call(f"delete_{what}", (resource_id,), "DELETE", path, effect)

    def add_one_tag(self, owner: TagOwner, resource_id: str, tag: str) -> None:
        path = f"/{owner}/{resource_id}/tags/{tag}"
        arguments = (owner, resource_id, (tag,))
        self._call("add_tags", arguments, "PUT", path, lambda: self._tag(store.add_tag, owner, resource_id, tag))

    def _seed(
        self,
        what: str,
        kind: type[T],
        attributes: Mapping[str, Any],
        create: Callable[[Store, Mapping[str, Any]], Resource],
    ) -> T:
        wanted = {"project_id": TENANT, **attributes}
        tags, resource_id = list(wanted.pop("tags", ())), wanted.pop("id", None)
        with self._lock:
            made = create(self.store, wanted)
            if resource_id is not None:
                made = self.store.rename(what, made["id"], resource_id)
            made["tags"] = sorted(tags)
            return _shown(kind, made)

    def _call(self, method: str, arguments: tuple[Any, ...], verb: str, path: str, effect: Callable[[], T]) -> T:
        note_neutron_call(verb, f"/v2.0{path}")
        self.hook(method, arguments)
        with self._lock:
            self.calls.append((method, *arguments))
            planned = self._failures.get(method)
            error, after = planned.pop(0) if planned else (None, False)
            if error is not None and not after:
                raise error
            try:
                answer = effect()
            except Fault as fault:
                raise from_answer(f"{verb} {path}", fault.status, fault.kind, fault.message) from fault
            if error is not None:
                raise error
            return answer


def _subnet(cloud: Store, attributes: Mapping[str, Any]) -> Resource:
    version = 6 if ":" in attributes["cidr"] else 4
    return networks.create_subnet(cloud, {"ip_version": version, **attributes})


def _path(what: str) -> str:
    return "qos/policies" if what == "policies" else what.replace("_", "-")


def _shown(kind: type[T], resource: Resource) -> T:
    return msgspec.convert(resource, kind)
