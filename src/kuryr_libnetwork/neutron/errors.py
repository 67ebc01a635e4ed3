# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Maps answers of Neutron and Keystone, and missing ones, to our own error tree."""

from __future__ import annotations

from kuryr_libnetwork.errors import (
    AddressTaken,
    NeutronChanged,
    NeutronConflict,
    NeutronError,
    NeutronForbidden,
    NeutronNotFound,
    NeutronRefused,
    NeutronUnavailable,
    NoFreeAddress,
)
from kuryr_libnetwork.text import one_line as bounded

# Error types that Neutron answers with 500 although the request itself is at fault (seen in release 29).
CONFLICTS_TOLD_AS_500 = frozenset({"SubnetAllocationError"})

_LONGEST = 600


def class_of(status: int, kind: str = "") -> type[NeutronError]:
    """The error for an HTTP status; ``kind`` is the ``type`` of Neutron's error body."""
    if kind in CONFLICTS_TOLD_AS_500:
        return NeutronConflict
    if kind in ("IpAddressGenerationFailure", "IpAddressGenerationFailureAllSubnets"):
        return NoFreeAddress
    if kind in ("IpAddressAlreadyAllocated", "IpAddressInUse"):
        return AddressTaken
    special: dict[int, type[NeutronError]] = {
        401: NeutronForbidden,
        403: NeutronForbidden,
        404: NeutronNotFound,
        409: NeutronConflict,
        412: NeutronChanged,
    }
    if status in special:
        return special[status]
    if 400 <= status < 500:
        return NeutronRefused
    return NeutronError if status == 500 else NeutronUnavailable


def from_answer(asked: str, status: int, kind: str = "", message: str = "") -> NeutronError:
    """``asked``: method and path of the request; ``message``: Neutron's own text."""
    words = one_line(message) or f"no message (HTTP {status})"
    found = class_of(status, kind)
    verb = "failed at" if found.status >= 500 and status >= 500 else "refused"
    error = found(f"Neutron {verb} {asked}: {words}")
    error.kind = one_line(kind)
    return error


def one_line(text: str) -> str:
    """Fold all white space, and cut off what is too long to read."""
    return bounded(text, _LONGEST)


class NotConnected(NeutronUnavailable):
    """No connection could be opened: the request has not taken effect."""


class TooManyRequests(NeutronUnavailable):
    """429: the rate of requests is limited. The request has not taken effect."""


class NoAnswer(NeutronUnavailable):
    """The request was sent, and no reliable answer came back: it may have taken effect."""
