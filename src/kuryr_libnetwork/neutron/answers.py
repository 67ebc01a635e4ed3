# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Checks an answer of Neutron before it is used: it has to be of the right form, and about what was asked.

The form is that of the types of :mod:`~kuryr_libnetwork.model`: malformed ids, addresses, CIDRs and MACs are refused
when they are decoded. Beyond that

* a list holds nothing that the query does not ask for: a filter that Neutron does not know, ignores, or compares
  loosely must not widen what is changed or removed (:func:`select`);
* an object that was asked for by its id, or just written, is that object (:func:`check_ids`, :func:`check_same`);
* what has no form of its own (``binding:profile``, ``binding:vif_details``, an agent's ``configurations``) can be
  written to the journal and sent back (:func:`check_free_form`).

An impostor of Neutron that gives another id to a resource just created, and has everything else right, is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

import msgspec

from kuryr_libnetwork.errors import NeutronUnavailable
from kuryr_libnetwork.neutron.errors import NoAnswer
from kuryr_libnetwork.text import shown

T = TypeVar("T")
Resource = Mapping[str, Any]
Query = Mapping[str, Sequence[str]]

DEEPEST = 32
"""Deepest nesting of a free-form value."""
_HIDDEN = ("binding:host_id", "provider:physical_network")
"""Attributes that Neutron can search by, but does not show to every role."""
_TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
_FREE_FORM = ("binding:profile", "binding:vif_details", "configurations")
_KEPT = ("id", "name", "description", "network_id")
"""Attributes that Neutron shows exactly as they were sent; the description is unique for each new resource."""


def convert(value: Any, kind: type[T], what: str) -> T:
    """The value decoded as ``kind``; raises :class:`~kuryr_libnetwork.errors.NeutronUnavailable`. ``what``: the part of
    the answer, for the error.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NeutronUnavailable(f"no usable answer from Neutron: {what}: {error}") from error


def decode(resource: Resource, kind: type[T]) -> T:
    """The resource decoded as ``kind``; ``null`` means the same as an absent member."""
    for name in _FREE_FORM:
        if value := resource.get(name):
            check_free_form(name, value)
    there = {key: value for key, value in resource.items() if value is not None}
    return convert(there, kind, f"{kind.__name__} {shown(_text(resource.get('id')))}")


def check_free_form(name: str, value: Any) -> None:
    """Refuse what our JSON encoder would not take: values nested too deep, or with numbers of more than 64 bits."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
        if any(isinstance(each, int) and not -(2**63) <= each < 2**64 for each in level):
            raise NeutronUnavailable(f"no usable answer from Neutron: {name} has a number of more than 64 bits")
        if not level:
            return
    raise NeutronUnavailable(f"no usable answer from Neutron: {name} is nested more than {DEEPEST} deep")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# -- lists ---------------------------------------------------------------------------------------------------------


def select(resources: Iterable[Resource], query: Query) -> list[Resource]:
    """Those resources that the query asks for.

    If the answer has others, and lacks one that was asked for by id, that is no proof that it is gone: this raises.
    """
    found = list(resources)
    if "id" in query and not {*query["id"]} <= {each.get("id") for each in found}:
        check_ids(found, query["id"])
    filters = {key: values for key, values in query.items() if key != "fields"}
    return [each for each in found if all(_matches(each, key, values) for key, values in filters.items())]


def fields_for(query: Query) -> list[str]:
    """The fields that a query has to request, so that :func:`select` can check them."""
    names = ("tags" if key in _TAGS else key for key in query if key != "fields")
    return list(dict.fromkeys([*query["fields"], "id", *names]))


def check_ids(resources: Iterable[Resource], ids: Sequence[str]) -> None:
    for each in resources:
        if each.get("id") not in ids:
            asked = shown(", ".join(ids))
            raise NeutronUnavailable(
                f"no usable answer from Neutron: it has {shown(_text(each.get('id')))} where {asked} was asked for"
            )


def _matches(resource: Resource, key: str, values: Sequence[str]) -> bool:
    if key in _TAGS:
        return _matches_tags(resource.get("tags"), key, values)
    if key == "fixed_ips":
        return any(_has_address(each, values) for each in _list(resource.get("fixed_ips")))
    if key in _HIDDEN and resource.get(key) is None:
        return True
    actual = resource.get(key)
    return any(_same(key, actual, value) for value in values)


def _matches_tags(tags: Any, key: str, values: Sequence[str]) -> bool:
    """All of several values, or of those between commas in one, have to be there; with ``-any`` one of them."""
    there = {each for each in _list(tags) if isinstance(each, str)}
    wanted = {tag for value in values for tag in value.split(",")}
    found = bool(wanted & there) if key.endswith("-any") else wanted <= there
    return found is not key.startswith("not-")


def _has_address(fixed: Any, values: Sequence[str]) -> bool:
    """Whether one address matches both ``subnet_id=…`` and ``ip_address=…``."""
    wanted = [value.partition("=") for value in values]
    return isinstance(fixed, dict) and all(_same(name, fixed.get(name), value) for name, _, value in wanted)


def _same(name: str, actual: Any, wanted: str) -> bool:
    """Whether an attribute equals the value of a query, however Neutron spells it."""
    text = _text(actual)
    if text == wanted:
        return True
    try:
        if name == "cidr":
            return ip_network(text) == ip_network(wanted)
        if name == "ip_address":
            return ip_address(text) == ip_address(wanted)
    except ValueError:
        return False
    # MySQL finds Private by the name private, and Neutron's users rely on that.
    return name in ("name", "mac_address") and text.casefold() == wanted.casefold()


def _text(value: Any) -> str:
    """The value as a query has it; other values become the name of their type, because they may be of any size."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    small = isinstance(value, int) and abs(value) < 2**63
    return value if isinstance(value, str) else str(value) if small else type(value).__name__


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# -- what was written ----------------------------------------------------------------------------------------------


def check_same(asked: str, sent: Resource, answer: Resource) -> None:
    """Refuse an answer that does not match what was sent; the change may have taken place all the same."""
    for name in _KEPT:
        there, wanted = _text(answer.get(name)), _text(sent.get(name))
        if name in sent and there != wanted:
            raise NoAnswer(
                f"no usable answer to {asked}: it has {name} '{shown(there)}' where '{shown(wanted)}' was sent"
            )
    for wanted in _list(sent.get("fixed_ips")):
        if not _has_address_of(answer, wanted):
            raise NoAnswer(f"no usable answer to {asked}: it has no address as was asked for ({shown(wanted)})")


def _has_address_of(answer: Resource, wanted: Mapping[str, str]) -> bool:
    values = [f"{name}={value}" for name, value in wanted.items() if name in ("subnet_id", "ip_address")]
    return any(_has_address(each, values) for each in _list(answer.get("fixed_ips")))
