# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""``kuryr support-bundle``: one file with all that a bug report needs, without secrets, also where all is broken."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest

from kuryr_libnetwork.cli.host import bundle
from tests.cli.operator_bench import Bench

SECRETS = "[neutron]\nauth_type = password\npassword = s3cr3t\nauth_url = http://keystone:5000/v3\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.config.write_text(f"{SECRETS}[DEFAULT]\nlog_dir = {tmp_path}\nstate_path = {tmp_path}/state\n")
    (tmp_path / "kuryr-server.log").write_text("a line of the log\npassword = s3cr3t\n")
    return bench


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as opened:
        found = {entry.name: opened.extractfile(entry) for entry in opened}
        return {name.removeprefix("kuryr-support/"): file.read().decode() for name, file in found.items() if file}


def test_all_is_in_it_also_where_all_is_broken(bench: Bench, tmp_path: Path) -> None:
    """A bundle would be refused just where one is needed, or others could read it."""
    bench.lease()
    bench.words = ["--config-file", str(bench.config)]
    path = tmp_path / "out.tar.gz"
    code, out, err = bench.run("--config-file", str(bench.config), "support-bundle", str(path))
    assert (code, err) == (0, "")
    assert out.startswith(f"{path} has ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = contents(path)
    assert "kuryr-libnetwork 19" in found["versions.txt"]
    assert "a line of the log" in found["service/log-files.txt"]
    assert json.loads(found["journal.json"])["devices"][0]["state"] == "leased"
    assert [row["name"] for row in json.loads(found["devices.json"])["pfs"]] == ["pf0"]
    assert any(row["link"] == "the service" for row in json.loads(found["doctor.json"]))
    assert found["service/healthz.txt"].startswith("not available: HostError: the service does not answer at ")
    assert found["openvswitch/bridges.txt"] == "ovs-vsctl is not installed\n"
    assert {"kernel/links.txt", "docker/info.txt", "service/metrics.txt"} <= set(found)


def test_no_secret_is_in_it(bench: Bench, tmp_path: Path) -> None:
    """The password of the cloud would be sent with a bug report."""
    path = tmp_path / "out.tar.gz"
    assert bench.run("--config-file", str(bench.config), "support-bundle", str(path))[0] == 0
    found = contents(path)
    assert [name for name, text in found.items() if "s3cr3t" in text] == []
    assert "reconcile_grace" in found["kuryr.conf.txt"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("password = x y", "password = ***"),
        ("  OS_TOKEN: abc", "  OS_TOKEN: ***"),
        ("a\nclient_secret=1\nb", "a\nclient_secret=***\nb"),
        ("http://user:pw@host/x", "http://***@host/x"),
        ("amqp://u@h https://h/@x", "amqp://***@h https://h/@x"),
        ("reconcile_grace = 5", "reconcile_grace = 5"),
    ],
)
def test_what_looks_like_a_secret_is_starred_out(text: str, told: str) -> None:
    """As above."""
    assert bundle.without_secrets(text) == told


def test_nothing_is_written_over_or_through_a_link(bench: Bench, tmp_path: Path) -> None:
    """Root would destroy a file, or have a user's link lead the bundle to him."""
    there = tmp_path / "there"
    there.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    for path in (there, link):
        assert bench.refused("support-bundle", str(path)) == f"kuryr: {path} cannot be written: File exists\n"
    assert "No such file" in bench.refused("support-bundle", str(tmp_path / "no" / "folder"))
    assert (there.read_text(), (tmp_path / "elsewhere").exists()) == ("mine", False)


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_half_a_bundle_does_not_stay(tmp_path: Path, error: BaseException) -> None:
    """The next attempt would be refused, and half a bundle be sent in place of a whole one."""
    path = tmp_path / "out.tar.gz"

    def say(name: str) -> None:
        if name == "second":
            raise error

    with pytest.raises(type(error)):
        bundle.write(path, [("first", lambda: "text"), ("second", lambda: "text")], say)
    assert not path.exists()


def test_a_program_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error would be lost, or the bundle with it; one that does not end would keep the operator waiting."""
    assert bundle.run_program(("/bin/sh", "-c", "echo one; echo two >&2; exit 3")) == (
        "$ /bin/sh -c echo one; echo two >&2; exit 3\none\ntwo\nexit code 3\n"
    )
    monkeypatch.setattr(bundle, "SECONDS", 0.05)
    assert bundle.run_program(("/bin/sleep", "60")) == "/bin/sleep has not ended within 0.05 s\n"
