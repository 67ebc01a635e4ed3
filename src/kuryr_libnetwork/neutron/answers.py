# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer of Neutron has to be before it gets any further: of the right form, and about what was asked.

The form is that of the types of :mod:`~kuryr_libnetwork.model`: ids, addresses, CIDRs and MACs that are none are
refused where they are decoded. Beyond that

* a list holds nothing that the query does not ask for: a filter that Neutron does not know, ignores, or compares
  loosely must not widen what is changed or removed (:func:`select`);
* an object that was asked for by its id, or just written, is that object (:func:`check_ids`, :func:`check_same`);
* what has no form of its own (``binding:profile``, ``binding:vif_details``, an agent's ``configurations``) can be
  written to the journal and sent back (:func:`check_free_form`).

Somebody who answers in Neutron's place with another id for what was just made, and everything else right, is believed.
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
"""Levels of a value without a form of its own."""
_HIDDEN = ("binding:host_id", "provider:physical_network")
"""What Neutron searches by, but does not show to every role."""
_TAGS = ("tags", "tags-any", "not-tags", "not-tags-any")
_FREE_FORM = ("binding:profile", "binding:vif_details", "configurations")
_KEPT = ("id", "name", "description", "network_id")
"""What Neutron shows exactly as it was sent: no other thing has the description that we make up for a new one."""


def convert(value: Any, kind: type[T], what: str) -> T:
    """``what``: the part of the answer, as the error names it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise NeutronUnavailable(f"no usable answer from Neutron: {what}: {error}") from error


def decode(resource: Resource, kind: type[T]) -> T:
    """``null`` means the same as an absent member."""
    for name in _FREE_FORM:
        if value := resource.get(name):
            check_free_form(name, value)
    there = {key: value for key, value in resource.items() if value is not None}
    return convert(there, kind, f"{kind.__name__} {shown(_text(resource.get('id')))}")


def check_free_form(name: str, value: Any) -> None:
    """Refuse what no JSON encoder of ours would take: nested too deep, or with numbers of more than 64 bits."""
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
    """Those that the query asks for.

    An answer that has others, and lacks one that was asked for by its id, is no word that this one is gone: it raises.
    """
    found = list(resources)
    if "id" in query and not {*query["id"]} <= {each.get("id") for each in found}:
        check_ids(found, query["id"])
    filters = {key: values for key, values in query.items() if key != "fields"}
    return [each for each in found if all(_matches(each, key, values) for key, values in filters.items())]


def fields_for(query: Query) -> list[str]:
    """The fields that a query has to ask for, so that :func:`select` sees by what it chooses."""
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
    """Several values, and those between commas in one, are all meant; ``-any``: one of them."""
    there = {each for each in _list(tags) if isinstance(each, str)}
    wanted = {tag for value in values for tag in value.split(",")}
    found = bool(wanted & there) if key.endswith("-any") else wanted <= there
    return found is not key.startswith("not-")


def _has_address(fixed: Any, values: Sequence[str]) -> bool:
    """``subnet_id=…`` and ``ip_address=…``, both of one address."""
    wanted = [value.partition("=") for value in values]
    return isinstance(fixed, dict) and all(_same(name, fixed.get(name), value) for name, _, value in wanted)


def _same(name: str, actual: Any, wanted: str) -> bool:
    """Whether an attribute has the value of a query, in whatever spelling Neutron shows it."""
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
    # MySQL finds Private by the name private, and so do all of Neutron's users.
    return name in ("name", "mac_address") and text.casefold() == wanted.casefold()


def _text(value: Any) -> str:
    """As in a query; what none asks for is told by its type, for it may be of any size."""
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
    """Refuse an answer that is about something else than what was sent. That may have been made or changed all the
    same.
    """
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
