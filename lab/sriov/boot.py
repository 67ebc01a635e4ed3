# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The initial ram disk of the SR-IOV machine: it finds the disk, and brings what the lab needs in the guest.

It is created for every start, which takes no time, so nothing that changes with the project has to be on the disk.
"""

import gzip
import lzma
from collections.abc import Mapping
from pathlib import Path

from lab import image
from lab.errors import LabError

# In this order: ext4 asks for crc32c by name, which no list of dependencies shows. Newer kernels have that built in.
_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
_NOT_EVERYWHERE = "crc32c_generic"

_FIND_DISK = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for module in $($b cat /modules/order); do $b insmod /modules/$module; done
until [ -b /dev/vda ]; do $b usleep 20000; done
$b mount -t ext4 -o noatime /dev/vda /root || { echo "no root file system"; $b poweroff -f; }
for folder in proc sys dev; do $b mount --move /$folder /root/$folder; done
$b mount -t tmpfs -o mode=755 run /root/run
$b mkdir /root/run/lab
$b cp /lab/* /root/run/lab/
exec $b switch_root /root /run/lab/init
"""

# The first process: what an init system would do, and then only a reaper with the lab's agent.
_INIT = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
. /run/lab/settings
# The kernel came up with one processor; the IOMMU is set up by now.
for processor in /sys/devices/system/cpu/cpu*/online; do [ ! -e "$processor" ] || echo 1 >"$processor"; done
echo "$NAME" >/proc/sys/kernel/hostname
echo "$NAME" >/etc/hostname
printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n' "$NAME" >/etc/hosts
mkdir -p /dev/pts /dev/shm /run/lock /var/lib/docker /var/lib/containerd
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
modprobe -a virtio_net 9pnet_virtio 9p virtio_rng
# name_cards DRIVER PREFIX: the network devices of a driver in the order of their PCI addresses.
name_cards() {
    number=0
    for device in $(ls -d /sys/bus/pci/drivers/"$1"/0000:* 2>/dev/null); do
        for link in "$device"/net/* "$device"/virtio*/net/*; do
            [ -e "$link" ] || continue
            ip link set "${link##*/}" name "$2$number"
            number=$((number + 1))
        done
    done
}
name_cards virtio-pci mgmt
ip link set mgmt1 name "$CLOUD_CARD"
ip link set lo up
ip addr add 10.0.2.15/24 dev mgmt0
ip link set mgmt0 up
ip route add default via 10.0.2.2
for share in source logs; do
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=262144,cache=none" "$share" "/mnt/$share"
done
mount -o remount,ro /mnt/source
(
    modprobe -a igb
    name_cards igb pf
    modprobe -a igbvf overlay veth bridge macvlan macvtap ipvlan 8021q
    touch /run/lab/ready
) &
exec tini -s -- python3 -I /run/lab/agent.py
"""


def initial_ram_disk(modules: Path, settings: Mapping[str, str]) -> bytes:
    archive = _Archive()
    for folder in ("bin", "dev", "lab", "modules", "proc", "root", "sys"):
        archive.add(folder, mode=0o040755)
    archive.add("bin/busybox", image.BINARY.read_bytes())
    archive.add("init", _FIND_DISK.encode())
    names = _with_dependencies(modules, _MODULES)
    for name in names:
        archive.add(f"modules/{_plain(name)}", _decompressed(modules / name))
    archive.add("modules/order", "\n".join(map(_plain, names)).encode())
    archive.add("lab/init", _INIT.encode())
    archive.add("lab/agent.py", Path(__file__).with_name("agent.py").read_bytes())
    archive.add("lab/settings", "".join(f"{name}='{value}'\n" for name, value in settings.items()).encode())
    return gzip.compress(archive.finish(), compresslevel=1)


def _with_dependencies(modules: Path, wanted: tuple[str, ...]) -> list[str]:
    """Files in the order in which they must be loaded."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[file] = others.split()
    by_name = {_plain(file).removesuffix(".ko").replace("-", "_"): file for file in needs}
    builtin = {Path(line).stem.replace("-", "_") for line in (modules / "modules.builtin").read_text().splitlines()}
    order: list[str] = []
    for name in wanted:
        if name not in by_name and name not in builtin and name != _NOT_EVERYWHERE:
            msg = f"the kernel of the SR-IOV machine has no module {name}"
            raise LabError(msg)
        if name in by_name:
            file = by_name[name]
            # depmod lists the nearest dependency first.
            order += [each for each in (*reversed(needs[file]), file) if each not in order]
    return order


def _plain(file: str) -> str:
    return Path(file).name.removesuffix(".xz")


def _decompressed(file: Path) -> bytes:
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data


class _Archive:
    """A cpio archive of the kind that the kernel unpacks ("newc")."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._number = 0

    def add(self, name: str, data: bytes = b"", mode: int = 0o100755) -> None:
        self._number += 1
        path = name.encode() + b"\0"
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._parts += [_padded(header + path), _padded(data)]

    def finish(self) -> bytes:
        self.add("TRAILER!!!", mode=0)
        return b"".join(self._parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
