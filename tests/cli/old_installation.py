# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A host that ran upstream's service, for ``kuryr-status upgrade check``."""

from __future__ import annotations

import io
import json
from pathlib import Path

from kuryr_libnetwork.cli.status import Places, main
from kuryr_libnetwork.cli.upgrade_cloud import Doors
from kuryr_libnetwork.errors import EngineUnavailable
from kuryr_libnetwork.host.journal_view import JournalView
from kuryr_libnetwork.model.engine import EngineView, NetworkWord
from tests.fakes.neutron import FakeNeutron

ACCOUNT = """\
username = kuryr
user_domain_name = Default
password = secret-word
project_name = service
project_domain_name = Default
"""
GOOD = f"[neutron]\nauth_type = password\nauth_url = http://controller:5000\n{ACCOUNT}"


class FakeEngine:
    """``words``: of its networks by id; ``None``: it does not answer."""

    def __init__(self) -> None:
        self.words: dict[str, NetworkWord] | None = {}

    def view(self) -> EngineView:
        if self.words is None:
            raise EngineUnavailable("Docker at /var/run/docker.sock does not answer")
        return EngineView(network_ids=frozenset(self.words), endpoint_ids=frozenset(), words=self.words)


class Installation:
    """kuryr.conf, Docker's folders and Python's packages of a host; its cloud, the Docker and the journal there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "kuryr.conf"
        self.packages = folder / "packages"
        self.specs = folder / "docker-plugins"
        self.bindir = folder / "libexec"
        self.state = folder / "state"
        self.cloud = FakeNeutron()
        self.engine = FakeEngine()
        self.journal = JournalView()
        for each in (self.packages, self.specs, self.bindir):
            each.mkdir()
        self.install("kuryr-libnetwork", "19.0.0")
        self.configure(GOOD)

    def configure(self, text: str) -> None:
        self.conf.write_text(text)

    def install(self, name: str, version: str, folder: str = "packages") -> None:
        info = self.folder / folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def run(self, *words: str, code: int, folders: tuple[str, ...] = ("packages",)) -> str:
        out = io.StringIO()
        doors = Doors(lambda _: self.cloud, lambda _: self.engine, lambda _: self.journal)
        packages = [str(self.folder / each) for each in folders]
        places = Places([self.specs], packages, str(self.bindir), str(self.state), doors)
        assert main(["--config-file", str(self.conf), *words], out, places) == code
        return out.getvalue()

    def check(self, code: int, *, folders: tuple[str, ...] = ("packages",)) -> dict[str, tuple[int, str]]:
        shown = json.loads(self.run("upgrade", "check", "--json", code=code, folders=folders))
        assert shown["name"] == "Upgrade Check Results"
        return {each["check"]: (each["result"], each["details"] or "") for each in shown["checks"]}

    def one(self, code: int) -> tuple[str, str]:
        """The one thing that is wrong."""
        found = {name: details for name, (result, details) in self.check(code).items() if result}
        ((name, details),) = found.items()
        return name, details
