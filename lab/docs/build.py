# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Runs Sphinx. Whatever it warns of, such as a link that leads nowhere, is an error."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.paths import REPO

OUT = REPO / ".dev" / "docs"
SITE, MANUAL, EXTERNAL = "html", "man", "linkcheck"
"""Sphinx's builders, and the folders of what they make."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev docs", description="Build the site and the manual pages.")
    parser.add_argument("--external", action="store_true", help="also ask every other site whether a link is right")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the result (default: .dev/docs)")
    wanted = parser.parse_args(argv)
    out: Path = wanted.out.absolute()
    # Sphinx reads a page again if it has changed, but not if the code has from which the page is made.
    shutil.rmtree(out / "doctrees", ignore_errors=True)
    for builder in (SITE, MANUAL, *([EXTERNAL] if wanted.external else [])):
        if code := sphinx(builder, out):
            return code
    print(f"site: {out / SITE / 'index.html'}\nmanual pages: {out / MANUAL}")
    return 0


def sphinx(builder: str, out: Path) -> int:
    """Run one builder; answers its exit code. The pages are parsed once for all builders."""
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--doctree-dir", str(out / "doctrees")]
    command = [sys.executable, "-m", "sphinx", "--builder", builder, *options, "--conf-dir", str(REPO / "docs")]
    return subprocess.run([*command, str(REPO), str(out / builder)], check=False).returncode
