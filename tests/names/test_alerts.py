# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The alerts that are shipped: they speak of metrics that there are, fire when they should, and have a page each."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuryr_libnetwork import errors
from lab.prometheus import program
from tests.services.test_metrics import filled

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "etc" / "prometheus" / "alerts.yml"
TRIALS = Path(__file__).with_name("alerts_test.yml")
RUNBOOK = ROOT / "docs" / "runbook.md"
PROMTOOL = program("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not there; ./dev test downloads it")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def codes(kind: type[errors.KuryrError]) -> set[str]:
    return {kind.code}.union(*(codes(each) for each in kind.__subclasses__()))


def test_every_alert_has_a_page() -> None:
    """Whoever is woken up would not know what to do; or a page would be about an alert that there is not."""
    headings = re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        page = RUNBOOK.read_text().split(f"## {rule['alert']}\n")[1].split("\n## ")[0]
        assert [part in page for part in ("**Means:**", "**Confirm:**", "**Do:**")] == [True] * 3


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_alerts_speak_of_what_there_is(rule: dict[str, Any]) -> None:
    """An alert on a metric or an outcome that was renamed would never fire."""
    shown = set(re.findall(r"^(kuryr_\w+)", filled().show().decode(), re.MULTILINE))
    assert set(re.findall(r"\bkuryr_\w+", rule["expr"])) <= shown
    assert {word for word in re.findall(r"\b[a-z]\w+", RUNBOOK.read_text()) if word.startswith("kuryr_")} <= {
        *shown,
        "kuryr_call_duration_seconds",
        "kuryr_neutron_request_duration_seconds",
    }
    for told in re.findall(r'outcome=~?"([^"]+)"', rule["expr"]):
        patterns = told.split("|")
        assert [
            each for each in patterns if not any(re.fullmatch(each, code) for code in codes(errors.KuryrError))
        ] == []


@needs_promtool
def test_prometheus_understands_the_alerts() -> None:
    """Prometheus would refuse to start with the file."""
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_should() -> None:
    """A host would be sick without a word, or a healthy one wake its operator."""
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(TRIALS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
