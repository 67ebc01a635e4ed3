# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The container image, as Docker and kolla-ansible see it; without its root, which takes minutes to make."""

from __future__ import annotations

import grp
import hashlib
import io
import json
import os
import pwd
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.release import image
from lab.release.inside import set_configs

USER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name
KOLLA = {
    "command": "kuryr-server --config-file /etc/kuryr/kuryr.conf",
    "config_files": [
        {"source": "/config/kuryr.conf", "dest": "/etc/kuryr/kuryr.conf", "owner": USER, "perm": "0600"},
        {
            "source": "/config/kuryr.spec",
            "dest": "/usr/lib/docker/plugins/kuryr/kuryr.spec",
            "owner": USER,
            "perm": "0644",
        },
        {"source": "/config/authorities", "dest": "/share/authorities", "owner": USER, "perm": "0600"},
        {"source": "/config/policy.yaml", "dest": "/etc/kuryr/policy.yaml", "owner": USER, "optional": True},
    ],
    "permissions": [{"path": "/var/log/kolla/kuryr", "owner": f"{USER}:{GROUP}", "recurse": True}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A container's root with what kolla-ansible mounts into it."""
    for name, text in (
        ("kuryr.conf", "[DEFAULT]\n"),
        ("kuryr.spec", "http://192.0.2.1:23750\n"),
        ("authorities/a.crt", "a"),
    ):
        file = tmp_path / "config" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "var/log/kolla/kuryr").mkdir(parents=True)
    return tmp_path


def run(root: Path, *words: str, **environ: str) -> int:
    return set_configs.main(words, root, {"KOLLA_CONFIG": json.dumps(KOLLA), **environ})


def test_the_files_and_the_command_of_kolla(root: Path) -> None:
    """Fails if kolla-ansible's config.json is not carried out, or kuryr.conf can be read by others."""
    assert run(root) == 0
    conf = root / "etc/kuryr/kuryr.conf"
    assert (conf.read_text(), conf.stat().st_mode & 0o777) == ("[DEFAULT]\n", 0o600)
    assert (root / "usr/lib/docker/plugins/kuryr/kuryr.spec").stat().st_mode & 0o777 == 0o644
    assert (root / "share/authorities/a.crt").read_text() == "a"
    assert (root / "run_command").read_text() == KOLLA["command"]


def test_kolla_asks_whether_a_restart_is_needed(root: Path) -> None:
    """Fails if a changed kuryr.conf is not noticed, or an unchanged one leads to a restart at each run."""
    assert run(root, "--check") == 1
    run(root)
    assert run(root, "--check") == 0
    (root / "config/kuryr.conf").write_text("[DEFAULT]\ndebug = true\n")
    assert run(root, "--check") == 1
    assert (root / "etc/kuryr/kuryr.conf").read_text() == "[DEFAULT]\n"


def test_copied_once_if_kolla_says_so(root: Path) -> None:
    run(root, KOLLA_CONFIG_STRATEGY="COPY_ONCE")
    (root / "config/kuryr.conf").write_text("changed")
    run(root, KOLLA_CONFIG_STRATEGY="COPY_ONCE")
    assert (root / "etc/kuryr/kuryr.conf").read_text() == "[DEFAULT]\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", r"Expecting property name"),
        ("[]", r'must be an object with a "command"'),
        ('{"command": "x", "config_files": [{"source": "/a"}]}', r"needs source, dest, owner and perm"),
        ('{"command": "x", "config_files": [{"source": "/a", "dest": "/b"}]}', r"/a: no such file; it is to become /b"),
        (
            '{"command": "x", "config_files": [{"source": "/a", "dest": "/b", "owner": "nobody-here"}]}',
            r"owner nobody-here",
        ),
    ],
)
def test_a_wrong_file_is_told_in_one_line(root: Path, capfd: pytest.CaptureFixture[str], text: str, line: str) -> None:
    assert set_configs.main([], root, {"KOLLA_CONFIG": text}) == 2
    said = capfd.readouterr().err
    assert line in said
    assert said.count("\n") == 1


def test_the_archive_is_what_docker_loads(tmp_path: Path) -> None:
    """Fails if the digests do not fit, the command is another, or two archives of one layer differ."""
    contents = []
    for _ in range(2):
        (tmp_path / "layer.tar").write_bytes(b"layer")
        image.write(tmp_path / "image.tar.gz", tmp_path / "layer.tar", "19.0.0", 10**9)
        contents.append((tmp_path / "image.tar.gz").read_bytes())
    assert contents[0] == contents[1]
    with tarfile.open(fileobj=io.BytesIO(contents[0])) as archive:
        found = {name: archive.extractfile(name) for name in archive.getnames()}
        data = {name: stream.read() for name, stream in found.items() if stream}
    (manifest,) = json.loads(data["manifest.json"])
    assert manifest["RepoTags"] == ["kuryr-libnetwork:19.0.0"]
    config = json.loads(data[manifest["Config"]])
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(data[manifest['Layers'][0]]).hexdigest()}"]
    assert config["config"]["Cmd"] == ["kolla_start"]
    assert config["config"]["Healthcheck"]["Test"] == ["CMD", "kuryr_healthcheck"]


def test_programs_and_accounts(tmp_path: Path) -> None:
    """Fails if a name that kolla-ansible calls is missing, or its user kuryr is not root."""
    (tmp_path / "usr/local/bin").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text(f"root:x:0:{'0::/:' if name == 'passwd' else ''}\n")
    image.add_programs(tmp_path)
    image.add_accounts(tmp_path)
    names = {path.name for path in (tmp_path / "usr/local/bin").iterdir() if os.access(path, os.X_OK)}
    assert {"kolla_start", "kolla_set_configs", "healthcheck_listen"} <= names
    assert "kuryr:x:0:0:" in (tmp_path / "etc/passwd").read_text()
    subprocess.run(["sh", "-n", str(tmp_path / "usr/local/bin/kolla_start")], check=True)
