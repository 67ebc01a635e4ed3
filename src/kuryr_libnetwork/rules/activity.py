# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""How fast Neutron has answered, from questions that were asked lately."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable

from kuryr_libnetwork.model.observed import Question
from kuryr_libnetwork.model.overview import NeutronRow


def neutron_rows(questions: Iterable[Question]) -> list[NeutronRow]:
    """A row for each kind of question, the slowest kind first. ``failed``: those that Neutron did not answer."""
    kinds: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        kinds[question.verb, question.resource].append(question)
    rows = [
        NeutronRow(
            verb=verb,
            resource=resource,
            requests=len(asked),
            failed=sum(not each.answered for each in asked),
            median=statistics.median(each.seconds for each in asked),
            slowest=max(each.seconds for each in asked),
        )
        for (verb, resource), asked in kinds.items()
    ]
    return sorted(rows, key=lambda row: (-row.slowest, row.verb, row.resource))
