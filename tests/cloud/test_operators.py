# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What an operator sees on a real host: the command, the metrics, and one id in the logs of both sides."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tenacity

from kuryr_libnetwork.cli.service_client import AdminClient, get
from lab.api import Host, Lab
from lab.prometheus import program
from tests.cloud.user import User, unique_cidr
from tests.services.test_metrics import without_foreign_names

PROMTOOL = program("promtool")


def kuryr(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("kuryr")
    return host.run([str(program), "--config-file", str(host.paths.kuryr_conf), *words], check=False)


def told(host: Host, *words: str) -> Any:
    done = kuryr(host, *words, "-f", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_container_is_found_by_its_name(user: User, h1: Host) -> None:
    """At night nobody would find the port, or the interface, of a container."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    box = user.run(h1, net)
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(30), wait=tenacity.wait_fixed(0.3), reraise=True):
        with attempt:
            found = told(h1, "endpoint", "show", box)
            assert found["status_in_neutron"] == "ACTIVE"
    assert found["addresses"] == [user.address(h1, box, net)]
    assert user.get("port", found["port_id"])["mac_address"] == found["mac_address"]
    assert found["interface"] in h1.run(["ip", "-brief", "link"]).stdout
    network = told(h1, "network", "show", found["docker_network_id"][:12])
    assert (network["network_id"], network["endpoints"]) == (found["network_id"], 1)
    user.rm(h1, box)
    assert [row for row in told(h1, "endpoint", "list") if row["Port"] == found["port_id"]] == []
    user.network_rm(h1, net)


def test_a_healthy_host_is_well(h1: Host) -> None:
    """An operator would be woken for nothing, or learn of nothing."""
    told(h1, "reconcile")
    assert get(h1.paths.admin_socket, "/healthz") == {"live": True, "ready": True, "reasons": []}
    doctor = kuryr(h1, "doctor")
    assert doctor.returncode == 0, doctor.stdout


def test_one_word_finds_a_call_in_both_logs(user: User, lab: Lab, h1: Host) -> None:
    """What a call of Docker did in the cloud could be found by its time alone, among the calls of all hosts."""
    net = user.network(h1, f"--subnet={unique_cidr()}")
    box = user.run(h1, net)
    address, port = user.address(h1, box, net), user.port_of(h1, box, net)["id"]
    lines = [line for line in h1.kuryr.log.read_text().splitlines() if f" for port {port}" in line]
    found = {line.partition("Driver.")[2].split()[0]: line for line in lines}
    assert f" for port {port}, {address} [" in found["CreateEndpoint"]
    request = re.search(r"\[(req-[0-9a-f-]{36})\]$", found["RequestAddress"])  # CreateEndpoint asks Neutron nothing
    assert request is not None, found
    assert request[1] in lab.paths.log("neutron").read_text()
    user.rm(h1, box)
    user.network_rm(h1, net)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not there; ./dev test downloads it")
def test_prometheus_understands_the_metrics_of_a_service_that_has_worked(h1: Host) -> None:
    """A name or a value that only real work makes would break every scrape."""
    scraped = AdminClient(h1.paths.admin_socket).raw("/metrics").decode()
    assert 'kuryr_neutron_requests_total{outcome="ok"' in scraped
    check = [str(PROMTOOL), "check", "metrics"]
    done = subprocess.run(check, input=scraped, capture_output=True, text=True, check=False)
    assert without_foreign_names(done.stdout + done.stderr) == []
