# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The container image, for ``docker load``: a Debian with the package installed, and what kolla expects of an image.

Docker is not needed to build it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

from lab.paths import LabPaths
from lab.process import run
from lab.release import roots

RELEASE = "trixie"
NAME = "kuryr-libnetwork"
_INSIDE = Path(__file__).parent / "inside"
_PYTHON = {"set_configs.py": "/usr/bin/python3", "healthcheck.py": "/usr/lib/kuryr-libnetwork/bin/python3"}
PROGRAMS = {
    "kolla_start": "start.sh",
    "kolla_set_configs": "set_configs.py",
    "kuryr_healthcheck": "healthcheck.py",
    # By these names kolla-ansible asks.
    "healthcheck_listen": "healthcheck.py",
    "healthcheck_curl": "healthcheck.py",
}
_NOT_IN_IMAGE = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./tmp/*", "./run/*", "./package")
_SECOND = 10**9


def config(version: str, layer: str) -> dict[str, Any]:
    """The image's configuration (OCI), without a date: it says nothing that the version does not."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    label = "org.opencontainers.image"
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {
            "Env": [f"PATH={path}", "LANG=C.UTF-8", "PYTHONUNBUFFERED=1"],
            "Entrypoint": ["dumb-init", "--single-child", "--"],
            "Cmd": ["kolla_start"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Healthcheck": {
                "Test": ["CMD", "kuryr_healthcheck"],
                "Interval": 30 * _SECOND,
                "Timeout": 15 * _SECOND,
                "Retries": 3,
            },
            "Labels": {f"{label}.title": NAME, f"{label}.version": version, f"{label}.licenses": "Apache-2.0"},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }


def build(paths: LabPaths, package: Path, version: str, work: Path, out: Path, date: int) -> Path:
    base = roots.image(paths, RELEASE)
    tree = work / "root"
    run(["cp", "-a", "--reflink=auto", str(base.tree), str(tree)], timeout=300)
    root = roots.Root(RELEASE, tree)
    root.run(["dpkg", "--install", f"/package/{package.name}"], {package.parent: "package"})
    add_programs(tree)
    add_accounts(tree)
    layer = work / "layer.tar"
    options = ["--sort=name", f"--mtime=@{date}", "--numeric-owner", "--format=posix"]
    options += ["--pax-option=delete=atime,delete=ctime", *(f"--exclude={pattern}" for pattern in _NOT_IN_IMAGE)]
    run(["tar", *options, "-C", str(tree), "-cf", str(layer), "."], timeout=300)
    target = out / f"{NAME}-{version}-image.tar.gz"
    write(target, layer, version, date)
    return target


def add_programs(tree: Path) -> None:
    for name, source in PROGRAMS.items():
        text = (_INSIDE / source).read_text()
        program = tree / "usr" / "local" / "bin" / name
        program.write_text(f"#!{_PYTHON[source]}\n{text}" if source in _PYTHON else text)
        program.chmod(0o755)


def add_accounts(tree: Path) -> None:
    """kolla-ansible gives files to the user kuryr and the group kolla. The service works on the host's interfaces and
    has to be root, so that user is another name of root's.
    """
    _append(tree / "etc" / "passwd", "kuryr:x:0:0:kuryr-server:/var/lib/kuryr:/usr/sbin/nologin")
    _append(tree / "etc" / "group", "kolla:x:42400:")


def _append(file: Path, line: str) -> None:
    file.write_text(f"{file.read_text().rstrip()}\n{line}\n")


def write(target: Path, layer: Path, version: str, date: int) -> None:
    """The archive that ``docker load`` and ``podman load`` read."""
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    text = json.dumps(config(version, digest), sort_keys=True).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    content = [{"Config": name, "RepoTags": [f"{NAME}:{version}"], "Layers": [f"{digest}/layer.tar"]}]
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=date) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for member, data in ((name, text), ("manifest.json", json.dumps(content).encode())):
            archive.addfile(_entry(member, len(data), date), io.BytesIO(data))
        with layer.open("rb") as stream:
            archive.addfile(_entry(f"{digest}/layer.tar", layer.stat().st_size, date), stream)


def _entry(name: str, size: int, date: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime = size, date
    return entry
