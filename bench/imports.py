# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What the choice of keystoneauth's adapter instead of openstacksdk saves, each in a fresh process."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict

from bench import stats
from bench.stats import Section, median, s
from lab.paths import LabPaths
from lab.process import clean_environment

WANTED = {
    "nothing": "pass",
    "keystoneauth1: adapter, session, loading": "import keystoneauth1.adapter, keystoneauth1.session, "
    "keystoneauth1.loading",
    "openstacksdk: import openstack": "import openstack",
    "openstacksdk: and its network proxy": "import openstack, openstack.connection; openstack.connection.Connection",
}
_CODE = """
import json, time
begin = time.perf_counter()
{wanted}
seconds = time.perf_counter() - begin
for line in open("/proc/self/status"):
    if line.startswith("VmRSS:"):
        print(json.dumps([seconds, int(line.split()[1]) * 1024 / 1e6]))
"""


def measure(paths: LabPaths, runs: int) -> Section | None:
    """``None`` if the lab's Neutron was installed without the SDK."""
    python = paths.neutron_venv / "bin" / "python"
    seconds: dict[str, list[float]] = defaultdict(list)
    megabytes: dict[str, list[float]] = defaultdict(list)
    for number in range(-1, runs):
        for name, wanted in WANTED.items():
            done = subprocess.run(
                [python, "-c", _CODE.format(wanted=wanted)],
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            if done.returncode != 0:
                return None
            if number >= 0:
                took, size = json.loads(done.stdout)
                seconds[name].append(took)
                megabytes[name].append(size)
    section = Section("imports", "Talking to Neutron: what an import costs", ["import", "time", "resident MB"])
    for name in WANTED:
        section.rows.append([name, s(median(seconds[name])), f"{median(megabytes[name]):.1f}"])
        section.data[name] = {"seconds": stats.summary(seconds[name]), "megabytes": stats.summary(megabytes[name])}
    return section
