# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The disk of the SR-IOV machine: Debian with Docker, our service's dependencies and Neutron's SR-IOV agent.

Made in two layers, each kept below `.dev/cache` by a key of what is in it: Debian (a minute), and the Python
environments with the file system image (a minute). The project itself is not in it; see `sriov_source`.
"""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import releases
from lab.errors import LabError
from lab.paths import LabPaths
from lab.process import run
from lab.sriov import packages as sriov_packages

RELEASES = {  # names that differ between the releases
    "bookworm": (),
    "trixie": ("docker-cli",),
    "forky": ("docker-cli",),
}
DEFAULT_RELEASE = "trixie"
PACKAGES = (
    "bridge-utils",
    "ca-certificates",
    "docker.io",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "less",
    "pciutils",
    "procps",
    "psmisc",
    "python3",
    "python3-venv",
    "tcpdump",
    "tini",
    "udev",
)
KERNEL = "linux-image-amd64"  # the "cloud" kernel has no igb
IMAGE_SIZE = "6G"  # sparse
ROOM = 4 << 30  # bytes for all that it is made of
SOURCE_IN_GUEST = "/mnt/source"
_VERSION = 2  # increase it when this module builds differently

# A third of the kernel's modules, for hardware that the machine lacks: depmod reads whatever is left once more.
_MODULES_LEFT_OUT = ("sound", *(f"drivers/{name}" for name in ("gpu", "hid", "iio", "media", "net/wireless", "usb")))
_FILES_LEFT_OUT = ("doc", "info", "locale", "man")

_IN_TREE = 'mount --bind "$SRV" /srv && mount --bind "$TREE/usr" /usr && exec "$@"'
_MAKE_IMAGE = 'mount --bind "$SRV" "$TREE/srv" && exec "$@"'


@dataclass(frozen=True)
class Image:
    release: str
    tree: Path
    kernel: Path
    kernel_version: str
    disk: Path
    srv: Path

    @property
    def modules(self) -> Path:
        return self.tree / "usr" / "lib" / "modules" / self.kernel_version

    def python(self, arguments: Iterable[str]) -> str:
        """Run the guest's Python on this machine."""
        return _in_tree(self.tree, self.srv, ["/usr/bin/python3", *arguments])


def image(paths: LabPaths, release: str = DEFAULT_RELEASE) -> Image:
    """The image; built if there is none with exactly this content."""
    if release not in RELEASES:
        msg = f"the SR-IOV machine cannot be a Debian {release!r}, only {', '.join(RELEASES)}"
        raise LabError(msg)
    packages = sorted({*PACKAGES, *RELEASES[release]})
    base = paths.cache / f"sriov-{release}-{_key(packages)}"
    with sriov_packages.made_once(base, f"installing a Debian {release} for the SR-IOV machine") as draft:
        if draft is not None:
            _install_debian(paths, release, packages, draft)
    wants = {"kuryr": _dependencies(paths), "neutron": [f"neutron=={releases.version(paths.neutron_venv)}"]}
    target = base.with_name(f"{base.name}-{_key([wants, IMAGE_SIZE, 'journal'])}")
    with sriov_packages.made_once(target, "making the disk of the SR-IOV machine") as draft:
        if draft is not None:
            _make_disk(base / "tree", wants, draft)
            _forget_others(target, base)
    version = (base / "kernel-version").read_text()
    return Image(release, base / "tree", base / "vmlinuz", version, target / "root.ext4", target / "srv")


def check_room(paths: LabPaths) -> None:
    """Raises `LabError` where none has been made yet, and there is too little disk for one."""
    free = shutil.disk_usage(paths.dev).free
    if free < ROOM and not list(paths.cache.glob("sriov-*/root.ext4")):
        msg = f"too little disk: {free >> 20} MB free below {paths.dev}, {ROOM >> 20} MB needed"
        raise LabError(msg)


def network_environment() -> dict[str, str]:
    """The caller's proxies, which the lab's own programs must not see."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _key(what: object) -> str:
    return hashlib.sha256(repr((_VERSION, what)).encode()).hexdigest()[:10]


def _dependencies(paths: LabPaths) -> list[str]:
    with (paths.repo / "pyproject.toml").open("rb") as file:
        found: list[str] = tomllib.load(file)["project"]["dependencies"]
    return sorted(found)


def _install_debian(paths: LabPaths, release: str, packages: list[str], draft: Path) -> None:
    tree = draft / "tree"
    options = ["--mode=root", "--variant=minbase", f"--keyring={sriov_packages.KEYRING}"]
    options += [f"--include={','.join(packages)}", "--dpkgopt=force-unsafe-io"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _FILES_LEFT_OUT]
    command = ["mmdebstrap", *options, release, str(tree), f"deb {sriov_packages.mirror()} {release} main"]
    log = paths.dev / "logs" / "install-sriov-debian.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # In a mount namespace: what it mounts in the tree is unmounted however it ends.
    run(["nice", "unshare", "--mount", *command], env=network_environment(), log=log, timeout=1800)
    # Everything that is not Debian's is in /srv, and the lab's folders are below /mnt.
    for folder in ("srv", "mnt/source", "mnt/logs", "etc/kuryr", "etc/neutron"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    _install_kernel(paths, release, draft)


def _install_kernel(paths: LabPaths, release: str, draft: Path) -> None:
    """Only unpacked: installing it would build an initial ram disk, which takes long and is not used."""
    debian = sriov_packages.archive(paths.cache, release)
    unpacked = draft / "kernel"
    packages = debian.dependencies(KERNEL, ("linux-image-",))
    # From Debian 14 on the kernel and its modules are packages of their own.
    packages += debian.dependencies(packages[0], ("linux-base-", "linux-binary-", "linux-modules-"))
    debian.unpack_only(packages, unpacked)
    kernel = next(unpacked.glob("**/vmlinuz*"))
    version = packages[0].removeprefix("linux-image-")
    modules = [folder for folder in unpacked.glob(f"**/lib/modules/{version}") if folder.is_dir()]
    kernel.rename(draft / "vmlinuz")
    target = draft / "tree" / "usr" / "lib" / "modules"
    target.mkdir(parents=True, exist_ok=True)
    shutil.move(modules[0], target / version)
    for folder in _MODULES_LEFT_OUT:
        shutil.rmtree(target / version / "kernel" / folder, ignore_errors=True)
    run(["depmod", "-b", str(draft / "tree"), version])
    (draft / "kernel-version").write_text(version)
    shutil.rmtree(unpacked)


def _make_disk(tree: Path, wants: dict[str, list[str]], draft: Path) -> None:
    srv = draft / "srv"
    srv.mkdir()
    for name, packages in wants.items():
        venv = f"/srv/{name}"
        _in_tree(tree, srv, ["/usr/bin/python3", "-m", "venv", venv])
        _in_tree(tree, srv, [f"{venv}/bin/python", "-m", "pip", "install", "--quiet", *packages])
    site = next((srv / "kuryr" / "lib").glob("python3*/site-packages"))
    (site / "kuryr_libnetwork.pth").write_text(f"{SOURCE_IN_GUEST}\n")
    # With a journal: files must survive a power cut.
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d"]
    command += [str(tree), str(draft / "root.ext4"), IMAGE_SIZE]
    environment = {"SRV": str(srv), "TREE": str(tree)}
    run(["nice", "unshare", "--mount", "sh", "-c", _MAKE_IMAGE, "sh", *command], env=environment, timeout=600)


def _in_tree(tree: Path, srv: Path, command: list[str]) -> str:
    """Run the tree's programs with this machine's network, certificates and settings of pip.

    The tree's /usr is mounted over this machine's, in a mount namespace that ends with the command: all of Debian's
    programs are in /usr, and they can do with another release's /etc.
    """
    environment = {"TREE": str(tree), "SRV": str(srv), **network_environment()}
    return run(["nice", "unshare", "--mount", "sh", "-c", _IN_TREE, "sh", *command], env=environment, timeout=1200)


def _forget_others(target: Path, base: Path) -> None:
    """Remove older disks of the same Debian release: each takes a gigabyte."""
    for other in target.parent.glob(f"{base.name}-*"):
        if other.is_dir() and other.suffix == "" and other != target:
            shutil.rmtree(other)
