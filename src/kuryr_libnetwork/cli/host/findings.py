# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One line of a check: what was checked, the result, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from kuryr_libnetwork.model.value import Value

Status = Literal["ok", "wrong", "not checked"]


class Finding(Value, frozen=True):
    """``advice``: what to do if it is wrong, or why it was not checked."""

    link: str
    status: Status
    found: str = ""
    advice: str = ""


def ok(link: str, found: str = "") -> Finding:
    return Finding(link=link, status="ok", found=found)


def wrong(link: str, found: str, advice: str) -> Finding:
    return Finding(link=link, status="wrong", found=found, advice=advice)


def unchecked(link: str, reason: str) -> Finding:
    return Finding(link=link, status="not checked", advice=reason)


def exit_code(findings: Iterable[Finding]) -> int:
    return int(any(finding.status == "wrong" for finding in findings))
