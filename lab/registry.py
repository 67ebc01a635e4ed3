# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A registry of images and plugins on a host's loopback: `docker plugin upgrade` needs a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import http
from lab.api import Host
from lab.paths import LabPaths
from lab.process import Program, Registry, wait_until
from lab.sriov import packages as sriov_packages

PORT = 5000
ADDRESS = f"localhost:{PORT}"
_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@contextmanager
def running(paths: LabPaths, host: Host, programs: Registry) -> Iterator[str]:
    """Debian's registry in a host of the lab; answers its address."""
    folder = host.paths.state / "registry"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(_CONFIG.format(folder=folder, port=PORT))
    name = f"{host.name}-registry"
    argv = (str(_binary(paths)), "serve", str(config))
    record = programs.start(Program(name, argv, host.place, paths.log(name)))
    try:
        asked = http.inside(host.paths.netns, ("127.0.0.1", PORT))
        wait_until(lambda: http.answers(asked, "GET", "/v2/"), record, 20)
        yield ADDRESS
    finally:
        programs.stop([name])


def _binary(paths: LabPaths) -> Path:
    release = sriov_packages.own_release()
    tree = paths.cache / f"registry-{release}"
    with sriov_packages.made_once(tree, f"downloading the registry of Debian {release}") as draft:
        if draft is not None:
            sriov_packages.archive(paths.cache, release).unpack_only(["docker-registry"], draft)
    return tree / "usr" / "bin" / "docker-registry"
