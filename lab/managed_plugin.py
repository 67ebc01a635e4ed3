# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The managed ("v2") plugin: a folder for `docker plugin create`, made from this tree.

Its root is Debian's Python, unpacked, of the release that this machine has, with the service and what it depends on
beside it. Both come in layers below `.dev/cache`; the service itself is installed anew each time.
"""

import hashlib
import json
import platform
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.paths import LabPaths
from lab.process import run
from lab.progress import step
from lab.release import tree
from lab.sriov import packages as sriov_packages
from lab.sriov.image import network_environment

SOCKET = "kuryr.sock"
PACKAGES = ("python3",)
SITE = "opt/kuryr"  # where the service is, in the plugin
_UNWANTED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "var/lib/dpkg",
    "usr/share/perl*",
)
_VERSION = 2  # increase it when this module builds differently

# Options that may be given with `docker plugin set`, without a kuryr.conf; an option of a file is overridden.
_ENVIRONMENT = {
    "OS_DEFAULT__HOST": "name of this host in Neutron",
    "OS_DEFAULT__DEBUG": "log everything",
    "CAPABILITY_SCOPE": "local or global",
    "OS_NEUTRON__AUTH_TYPE": "how to log in to Keystone, such as password",
    "OS_NEUTRON__AUTH_URL": "Keystone",
    "OS_NEUTRON__ENDPOINT": "Neutron, where auth_type is none",
    "OS_NEUTRON__USERNAME": "user name for the login",
    "OS_NEUTRON__PASSWORD": "his password",
    "OS_NEUTRON__PROJECT_NAME": "the user's project",
    "OS_NEUTRON__USER_DOMAIN_NAME": "the domain of the user",
    "OS_NEUTRON__PROJECT_DOMAIN_NAME": "the domain of the project",
    "OS_NEUTRON__REGION_NAME": "region in the catalog",
}


def config() -> dict[str, Any]:
    """config.json (docs/notes/docker-plugin.md, "Managed plugins")."""
    return {
        "description": "Neutron networks for containers (kuryr-libnetwork)",
        "documentation": "docs/managed-plugin.md of kuryr-libnetwork",
        "entrypoint": ["/usr/bin/python3", "-m", "kuryr_libnetwork"],
        "workdir": "/",
        "interface": {"socket": SOCKET, "types": ["docker.networkdriver/1.0", "docker.ipamdriver/1.0"]},
        # The interfaces that it makes, and Open vSwitch's, are the host's.
        "network": {"type": "host"},
        # NET_ADMIN: interfaces. SYS_ADMIN: setns into containers, for the VFs there. No access to other processes is
        # needed.
        "linux": {"capabilities": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "allowAllDevices": False, "devices": []},
        "mounts": [
            _mount("config", "/etc/kuryr", "ro"),
            # Not in the plugin's own files: these are replaced by `docker plugin upgrade`.
            _mount("state", "/var/lib/kuryr", "rw"),
            _mount("openvswitch", "/run/openvswitch", "rw", source="/var/run/openvswitch"),
            # The whole folder, as that of the containers' namespaces does not exist before the first container.
            _mount("docker", "/run/docker", "rw", "rslave", source="/var/run/docker"),
            _mount("docker-socket", "/run/docker.sock", "rw", source="/var/run/docker.sock"),
            # Docker's own mount is read-only, and a VF is bound to another driver by writing there.
            _mount("sys", "/sys", "rw"),
            # Likewise; where the host's own IP is turned off on the interfaces of containers (host/host_ip.py).
            _mount("sysctl", "/run/kuryr-sysctl-net", "rw", source="/proc/sys/net"),
        ],
        "env": [
            {"name": "PYTHONPATH", "description": "where the service is", "value": f"/{SITE}"},
            {"name": "PYTHONUNBUFFERED", "description": "log lines come at once", "value": "1"},
            *({"name": name, "description": text, "settable": ["value"]} for name, text in _ENVIRONMENT.items()),
        ],
        "args": {"name": "args", "description": "words for kuryr-server", "settable": ["value"], "value": []},
    }


def _mount(name: str, destination: str, *options: str, source: str = "") -> Mapping[str, Any]:
    return {
        "name": name,
        "source": source or destination,
        "destination": destination,
        "type": "bind",
        "options": ["rbind", *options],
        "settable": ["source"],
    }


def build(paths: LabPaths, target: Path) -> Path:
    """Make the folder, in place of an older one."""
    with step("the plugin's Debian and Python packages"):
        layer = _layer(paths)
    with step(f"the plugin in {target}"):
        draft = target.with_name(f"{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        run(["cp", "-a", "--reflink=auto", f"{layer}/root", f"{draft}/rootfs"])
        _install_service(paths, draft)
        (draft / "config.json").write_text(json.dumps(config(), indent=2) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    return target


def _install_service(paths: LabPaths, draft: Path) -> None:
    """Built from a copy: files that setuptools leaves in a tree, even of deleted modules, get into the next wheel."""
    with TemporaryDirectory(dir=draft.parent) as name:
        tree.copy(Path(name), paths.repo)
        _pip(paths, draft / "rootfs" / SITE, "--no-deps", name)


def _layer(paths: LabPaths) -> Path:
    release = sriov_packages.own_release()
    with (paths.repo / "pyproject.toml").open("rb") as file:
        wants: list[str] = sorted(tomllib.load(file)["project"]["dependencies"])
    key = hashlib.sha256(repr((_VERSION, PACKAGES, wants, platform.python_version())).encode()).hexdigest()[:10]
    layer = paths.cache / f"plugin-{release}-{key}"
    with sriov_packages.made_once(layer, f"installing Python of Debian {release} for the plugin") as draft:
        if draft is not None:
            root = draft / "root"
            sriov_packages.archive(paths.cache, release).unpack(PACKAGES, root)
            _finish(root)
            # Precompiled, so that the service starts in a second, even the first time after an upgrade.
            python = str(paths.venv / "bin" / "python")
            run(
                [
                    "nice",
                    python,
                    "-m",
                    "compileall",
                    "-q",
                    "-s",
                    str(root),
                    "-p",
                    "/",
                    *map(str, root.glob("usr/lib/python3*")),
                ]
            )
            _pip(paths, root / SITE, *wants)
    return layer


def _finish(root: Path) -> None:
    """The part of the packages' installation that the service needs."""
    for pattern in _UNWANTED:
        for folder in root.glob(pattern):
            shutil.rmtree(folder)
    for name in ("dev", "proc", "sys", "run/docker/plugins", "tmp", "etc/kuryr", "var/lib/kuryr", "run/openvswitch"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if not (root / name).exists():  # packages have everything in /usr nowadays, and the links are base-files'
            (root / name).symlink_to(f"usr/{name}")
    shutil.rmtree(root / "var" / "run", ignore_errors=True)
    (root / "var" / "run").symlink_to("/run")
    (root / "run" / "docker.sock").touch()  # a file that a file can be mounted on
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")


def _pip(paths: LabPaths, target: Path, *what: str) -> None:
    """With this machine's Python, which is the plugin's, too: the release is the same."""
    pip = [str(paths.venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(["nice", *pip, "--target", str(target), *what], env=network_environment(), timeout=900)
