# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The software bill of materials (CycloneDX): what an installation of the wheel consists of, looked up in one."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.errors import LabError
from lab.process import run
from lab.sriov.image import network_environment


def installed(wheel: Path, constraints: Path, venv: Path) -> Path:
    """A fresh environment with the wheel and the tested libraries; it is tried."""
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)])
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python"), "--quiet"]
    install = ["install", "--disable-pip-version-check", "-c", str(constraints), str(wheel)]
    run([*pip, *install], env=network_environment(), timeout=900)
    check(venv, wheel.name.split("-")[1])
    return venv


def check(venv: Path, version: str) -> None:
    said = run([str(venv / "bin" / "kuryr-server"), "--version"]).strip()
    if said != version:
        msg = f"the installed kuryr-server calls itself {said}, and the wheel is {version}"
        raise LabError(msg)
    if "_kuryr" not in run([str(venv / "bin" / "kuryr"), "complete"]):
        msg = "the installed kuryr writes no completion for bash"
        raise LabError(msg)


def write(venv: Path, project: Path, out: Path, *, validate: bool = True) -> Path:
    """The same bytes for the same environment. ``validate``: against CycloneDX's schema, which takes a while."""
    options = [] if validate else ["--no-validate"]
    options += ["--output-reproducible", "--of", "JSON", "--mc-type", "application", "--pyproject", str(project)]
    run([sys.executable, "-m", "cyclonedx_py", "environment", *options, "-o", str(out), str(venv / "bin" / "python")])
    return out
