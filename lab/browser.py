# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A browser without a screen, for the tests of the page: Debian's Chromium and ChromeDriver, below `.dev/cache`.

It gets the fonts of the tree alone, so that a picture is the same on every machine. `python3 -m lab.browser` downloads
it; `python3 -m lab.browser there` says by its exit code whether that has been done.
"""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import LabPaths
from lab.sriov.packages import archive, made_once, own_release

PACKAGES = ("chromium", "chromium-driver", "fonts-inter", "fonts-jetbrains-mono", "fonts-dejavu-core")
_VERSION = 2  # increase it when trees are built differently
_KEY = hashlib.sha256(repr((_VERSION, PACKAGES)).encode()).hexdigest()[:10]
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's own needs a user other than root; the pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--force-color-profile=srgb",
)
C_LIBRARY = ("libc", "libm", "libmvec", "libdl", "libpthread", "librt", "libresolv", "libutil", "libanl", "libnss_*")
UNUSED = ("doc", "icons", "locale", "man", "perl")
LIBRARIES = ("usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib/*-linux-gnu/pulseaudio")
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>ui-monospace</family><prefer><family>JetBrains Mono</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>JetBrains Mono</family></prefer></alias>
</fontconfig>
"""


@dataclass(frozen=True)
class Browser:
    tree: Path

    @property
    def chromium(self) -> Path:
        return self.tree / "usr" / "lib" / "chromium" / "chromium"

    @property
    def driver(self) -> Path:
        return self.tree / "usr" / "bin" / "chromedriver"

    @property
    def environment(self) -> Mapping[str, str]:
        """What both need to find their libraries and fonts."""
        libraries = [file for below in LIBRARIES for file in self.tree.glob(below)]
        return {
            "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries),
            "FONTCONFIG_FILE": str(self.tree / "fonts.conf"),
        }


def _tree(cache: Path) -> Path:
    return cache.resolve() / f"browser-{own_release()}-{_KEY}"


def browser(cache: Path) -> Browser:
    """Downloaded once, in the release of this machine."""
    release, target = own_release(), _tree(cache)
    with made_once(target, f"downloading Chromium of Debian {release}") as draft:
        if draft is not None:
            archive(cache.resolve(), release).unpack(PACKAGES, draft)
            _remove_c_library(draft)
            for folder in UNUSED:
                shutil.rmtree(draft / "usr" / "share" / folder, ignore_errors=True)
            fonts = draft / "fonts.conf"
            fonts.write_text(_FONTS.format(fonts=target / "usr" / "share" / "fonts", cache=target / "font-cache"))
    return Browser(target)


def _remove_c_library(tree: Path) -> None:
    """Leave that to the machine, which is of the same release: loader and library must be of one build."""
    for name in C_LIBRARY:
        for file in [*tree.glob(f"usr/lib/*-linux-gnu/{name}.so*"), *tree.glob(f"lib/*-linux-gnu/{name}.so*")]:
            file.unlink()


def main() -> None:
    cache = LabPaths("dev").cache
    if sys.argv[1:] == ["there"]:
        sys.exit(0 if _tree(cache).exists() else 1)
    try:
        browser(cache)
    except LabError as error:
        sys.exit(f"ERROR: {error}")


if __name__ == "__main__":
    main()
