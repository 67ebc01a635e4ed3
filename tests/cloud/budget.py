# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a Docker command may cost in calls of Neutron, on clouds of every release."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from lab.api import Lab, NeutronCall

_BACKGROUND = re.compile(
    r"GET /v2\.0/(?:"
    r"ports\?(?:name=kuryr-(?:unbound|spare)-port|device_owner=|binding)|(?:networks|subnets)\?id=|security-groups\?desc"
    r"|(?:networks|subnets|subnetpools)\?project_id=[0-9a-f]+$"
    r"|agents|quotas/|network-ip-availabilities)"
)
"""What the service's own looks ask, some each minute, some at a time of their own, beside all calls of Docker."""
_ONE_TAG = re.compile(r"(/v2\.0/[\w/-]+/tags)/[^/?]+")


def counted(lab: Lab, calls: Sequence[NeutronCall]) -> list[NeutronCall]:
    """The calls as a budget counts them.

    Where the extension `tag-creation` is missing, a resource gets new tags one by one; these calls count as the one
    that they stand for.
    """
    if lab.has_extension("tag-creation"):
        return list(calls)
    found: list[NeutronCall] = []
    for call in calls:
        one = _ONE_TAG.fullmatch(call.uri) if call.method == "PUT" else None
        whole = replace(call, method="POST", uri=one[1]) if one else call
        if not (one and found and (found[-1].method, found[-1].uri) == (whole.method, whole.uri)):
            found.append(whole)
    return found


def calls_of_kuryr(lab: Lab, since: int) -> list[str]:
    """What Docker's calls have asked, as ``METHOD URI``."""
    calls = [f"{call.method} {call.uri}" for call in counted(lab, lab.neutron_calls(since))]
    return [call for call in calls if not _BACKGROUND.match(call)]
