# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The image `busybox`, made from Debian's busybox-static: a lab has no way to pull one."""

import io
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import urlencode

from lab import http

NAME = "busybox"
BINARY = Path("/bin/busybox")
# A plain sleep as a container's first process ignores SIGTERM, and `docker stop` would take 10 s.
_COMMAND = ["/bin/sh", "-c", "trap 'exit 0' TERM INT; sleep 2147483647 & wait"]


def load(connect: http.Connect) -> None:
    if http.answers(connect, "GET", f"/images/{NAME}/json"):
        return
    change = "CMD [" + ", ".join(f'"{word}"' for word in _COMMAND) + "]"
    query = urlencode({"fromSrc": "-", "repo": NAME, "tag": "latest", "changes": change})
    http.call(connect, "POST", f"/images/create?{query}", _root_tree(), "application/x-tar")


def _root_tree() -> bytes:
    applets = subprocess.run([str(BINARY), "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"):
            _add(tar, folder, tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        for link in ("sbin", "usr"):
            _add(tar, link, tarfile.SYMTYPE, target="bin" if link == "sbin" else ".")
        _add(tar, "etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\n", mode=0o644)
        _add(tar, "etc/group", data=b"root:x:0:\n", mode=0o644)
        _add(tar, "bin/busybox", data=BINARY.read_bytes())
        for applet in applets:
            if applet != "busybox":
                _add(tar, f"bin/{applet}", tarfile.SYMTYPE, target="busybox")
    return buffer.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    target: str = "",
    data: bytes = b"",
    mode: int = 0o755,
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode, entry.size = kind, target, mode, len(data)
    tar.addfile(entry, io.BytesIO(data))
