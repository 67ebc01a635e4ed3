# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes a host's service, with the alerts and the dashboard that are shipped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from lab import http
from lab.api import Host, Lab
from lab.paths import ADMIN_PORT
from lab.process import wait_for
from lab.prometheus import program
from tests.cloud.user import User, unique_cidr
from tests.names.test_dashboard import expressions

ALERTS = Path(__file__).parents[2] / "etc" / "prometheus" / "alerts.yml"
PROMETHEUS = program("prometheus")
PORT = 9690
pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus is not there; ./dev test downloads it")


class Prometheus:
    """In the network namespace of a host, where the service's address is."""

    def __init__(self, host: Host) -> None:
        self._connect = http.inside(host.paths.netns, ("127.0.0.1", PORT))

    def get(self, path: str, **query: str) -> Any:
        told = json.loads(http.call(self._connect, "GET", f"/api/v1/{path}?{urlencode(query)}"))
        assert told["status"] == "success"
        return told["data"]

    @property
    def answers(self) -> bool:
        return http.answers(self._connect, "GET", "/-/ready")

    def value(self, expression: str) -> float | None:
        """Of the only series; ``None`` if there is none."""
        found = self.get("query", query=expression)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@contextmanager
def scraping(host: Host, folder: Path) -> Iterator[Prometheus]:
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "kuryr", "static_configs": [{"targets": [f"127.0.0.1:{ADMIN_PORT}"]}]}],
        "rule_files": [str(ALERTS)],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    words = [
        str(PROMETHEUS),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{PORT}",
    ]
    with (folder / "log").open("w") as log, host.popen(words, stdout=log, stderr=subprocess.STDOUT) as process:
        try:
            prometheus = Prometheus(host)
            assert wait_for(lambda: prometheus.answers or process.poll() is not None, 60)
            assert process.poll() is None, (folder / "log").read_text()
            yield prometheus
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def prometheus(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(lab.host("h1"), tmp_path_factory.mktemp("prometheus")) as found:
        yield found


def test_a_container_is_counted(prometheus: Prometheus, user: User, h1: Host) -> None:
    """Prometheus would show another host, an older state, or nothing."""
    assert wait_for(lambda: prometheus.value('up{job="kuryr"}') == 1, 60)
    assert wait_for(lambda: prometheus.value("kuryr_ready") == 1, 120)
    before = prometheus.value('kuryr_endpoints{state="ready"}')
    assert before is not None
    net = user.network(h1, f"--subnet={unique_cidr()}")
    box = user.run(h1, net)
    assert wait_for(lambda: prometheus.value('kuryr_endpoints{state="ready"}') == before + 1, 60)
    joined = 'kuryr_calls_total{method="NetworkDriver.Join", outcome="ok"}'
    assert wait_for(lambda: (prometheus.value(joined) or 0) >= 1, 60)
    user.rm(h1, box)
    assert wait_for(lambda: prometheus.value('kuryr_endpoints{state="ready"}') == before, 60)
    user.network_rm(h1, net)


def test_every_alert_is_understood_and_none_fires_on_a_healthy_host(prometheus: Prometheus, h1: Host) -> None:
    """An operator would be woken for nothing, or never."""
    names = [rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]

    def rules() -> dict[str, tuple[str, str]]:
        groups = prometheus.get("rules")["groups"]
        return {rule["name"]: (rule["health"], rule["state"]) for group in groups for rule in group["rules"]}

    assert wait_for(lambda: {health for health, _ in rules().values()} == {"ok"}, 60), rules()
    assert list(rules()) == names
    assert {name for name, (_, state) in rules().items() if state == "firing"} == set()


def test_every_panel_of_the_dashboard_is_answered(prometheus: Prometheus, h1: Host) -> None:
    """A panel would show an error, or stay empty on a host that has what it shows."""
    assert wait_for(lambda: prometheus.value("kuryr_ready") == 1, 120)
    empty = [each for each in expressions() if not prometheus.get("query", query=each)["result"]]
    rare = ("sriov_vf_", "kuryr_vfs", "kuryr_quota_free_count", "kuryr_port_quota_per_subnet", "kuryr_repairs_total")
    assert [each for each in empty if "rate(" not in each and not any(name in each for name in rare)] == []
