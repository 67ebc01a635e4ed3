# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The dashboard that is shipped: it shows metrics that there are, and Grafana can read it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.prometheus import program
from tests.services.test_metrics import filled

DASHBOARD = Path(__file__).parents[2] / "etc" / "grafana" / "kuryr.json"
PROMTOOL = program("promtool")
NOT_NAMES = re.compile(r'"[^"]*"|\b(?:by|on|group_left)\s*\([^)]*\)')
"""Texts, and lists of labels."""


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard()["panels"]
    return found


def expressions() -> list[str]:
    """As Prometheus gets them, with Grafana's variables filled in."""
    found = [str(target["expr"]) for panel in panels() for target in panel.get("targets", [])]
    return [each.replace("$__rate_interval", "5m").replace("$instance", ".*") for each in found]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:kuryr|sriov|process)_\w+", NOT_NAMES.sub("", expression)))


def shown() -> set[str]:
    return set(re.findall(r"^(\w+?)(?:\{| )", filled().show().decode(), re.MULTILINE))


def test_panels_show_metrics_that_there_are() -> None:
    """A panel would be empty for ever once a metric is renamed, and look like a quiet host."""
    assert len(expressions()) > 20
    for expression in expressions():
        assert metrics_in(expression)
        assert metrics_in(expression) <= shown(), expression
    (host,) = [each for each in dashboard()["templating"]["list"] if each["name"] == "instance"]
    assert "kuryr_build_info" in host["query"]["query"]
    assert "kuryr_build_info" in shown()


def test_legends_name_labels_that_there_are() -> None:
    """A curve would have no name."""
    labels = set(re.findall(r'(\w+)="', filled().show().decode())) | {"instance"}
    legends = [target["legendFormat"] for panel in panels() for target in panel.get("targets", [])]
    assert {name for legend in legends for name in re.findall(r"\{\{(\w+)\}\}", legend)} <= labels


def test_no_two_panels_are_in_one_place() -> None:
    """A panel would hide another one."""
    assert len({panel["id"] for panel in panels()}) == len(panels())
    places = [panel["gridPos"] for panel in panels()]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, two in itertools.combinations(places, 2):
        apart = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"], (one, two)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not there; ./dev test downloads it")
def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    """A panel would show an error in place of a curve."""
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
