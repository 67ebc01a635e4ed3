# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The SR-IOV machine: a Docker host in QEMU with two network cards on one wire.

QEMU runs in the namespace of the cloud and has no link out of it. The guest reaches Neutron's API through QEMU's user
network, and the lab reaches the guest through two forwarded ports of that namespace's loopback. One more card is down
in the guest until a test makes the machine an instance of the cloud.
"""

import json
import shutil
import signal
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.paths import LabPaths
from lab.process import Place, Program, Registry, run, wait_for, wait_until
from lab.progress import say
from lab.sriov import boot as sriov_boot, image as sriov_image, packages as sriov_packages
from lab.sriov.channel import Channel
from lab.sriov.image import Image

MOST = 2
_ATTEMPTS = 3
# With 3 GiB the Virtual Functions of the emulated cards never get a carrier.
_MEMORY = "2048"
# The second machine is the other end of the wire.
_PROCESSORS = (2, 1)
_AGENT_PORT, _DOCKER_PORT = 7000, 2375
# The guest's name for the card of `MachinePaths.tap`, as in an instance of Nova.
CLOUD_CARD = "ens3"
# A periodic timer: if a busy machine loses the interrupt of a one-shot timer, there is no next one.
# The kernel's own check of the timer also fails on a busy machine, and is turned off.
# With an IOMMU, so that a function can be given to a program (vfio-pci); the kernel's own drivers bypass it.
_CMDLINE = (
    "console=ttyS0 quiet panic=-1 mitigations=off audit=0 apparmor=0 nohz=off highres=off no_timer_check "
    "intel_iommu=on iommu=pt"
)


@dataclass(frozen=True)
class MachinePaths:
    lab: str
    name: str
    number: int
    state: Path
    run: Path
    logs: Path
    netns: str

    @property
    def channel(self) -> Channel:
        return Channel(self.name, self.netns, ("127.0.0.1", 17000 + self.number))

    @property
    def docker_address(self) -> tuple[str, int]:
        return ("127.0.0.1", 12375 + self.number)

    @property
    def tap(self) -> str:
        """The host's end of the card with which the machine can be an instance of the cloud.

        It begins in the cloud's namespace, unused; see `sriov_api.CloudCard`.
        """
        return f"{self.name}-{CLOUD_CARD}"

    @property
    def cloud_mac(self) -> str:
        return f"52:54:00:cc:00:0{self.number}"

    @property
    def source(self) -> Path:
        """What the guest sees as /mnt/source."""
        return self.state / "source"

    @property
    def console(self) -> Path:
        return self.logs / "console.log"

    @property
    def qemu(self) -> str:
        return f"{self.name}-qemu"


@dataclass(frozen=True)
class Fleet:
    """How many machines a lab has, and of which Debian release."""

    machines: int = 0
    release: str = sriov_image.DEFAULT_RELEASE

    def paths(self, paths: LabPaths) -> list[MachinePaths]:
        return [machine(paths, number) for number in range(1, self.machines + 1)]


def machine(paths: LabPaths, number: int) -> MachinePaths:
    name = f"s{number}"
    return MachinePaths(paths.name, name, number, paths.state / name, paths.run / name, paths.logs / name, paths.netns)


def fleet_of(paths: LabPaths) -> Fleet:
    try:
        return Fleet(**json.loads((paths.run / "fleet.json").read_text()))
    except FileNotFoundError:
        return Fleet()


def note_fleet(paths: LabPaths, fleet: Fleet) -> None:
    paths.run.mkdir(parents=True, exist_ok=True)
    (paths.run / "fleet.json").write_text(json.dumps(asdict(fleet)))


def boot(paths: LabPaths, each: MachinePaths, fleet: Fleet, registry: Registry) -> None:
    """Start the machine if it does not run, and wait until it takes commands and has its cards."""
    for _ in range(_ATTEMPTS):
        seen = _size(each.console)
        if not registry.running(each.qemu):
            _start_qemu(paths, each, fleet, registry)
        why = _why_not_booted(each, registry, seen)
        if not why:
            break
        say(f"          {each.name} {why} while it was booting, and boots again")
        registry.stop([each.qemu], sudden=True)
    record = registry.get(each.qemu)
    if record is None:
        msg = f"{each.name} did not boot; see {each.console} and {paths.log(each.qemu)}"
        raise LabError(msg)
    wait_until(each.channel.answers, record, 120)
    wait_until(lambda: _has_cards(each), record, 120)


def _start_qemu(paths: LabPaths, each: MachinePaths, fleet: Fleet, registry: Registry) -> None:
    guest = sriov_image.image(paths, fleet.release)
    qemu = sriov_packages.qemu(paths.cache)
    for folder in (each.state, each.run, each.logs, each.source):
        folder.mkdir(parents=True, exist_ok=True)
    settings = {"NAME": each.name, "CLOUD_CARD": CLOUD_CARD}
    (each.run / "initrd").write_bytes(sriov_boot.initial_ram_disk(guest.modules, settings))
    _make_disk(qemu, guest, each)
    argv = tuple(qemu.command("qemu-system-x86_64") + qemu.firmware + _arguments(each, guest, fleet))
    registry.start(Program(each.qemu, argv, Place(paths.netns), paths.log(each.qemu), stop_signal=signal.SIGKILL))


def _why_not_booted(each: MachinePaths, registry: Registry, seen: int) -> str:
    """Nothing, as long as the machine may still come to take commands; nor of one that somebody has stopped.

    On a busy machine the emulated timer of one processor is lost now and then, for good, and QEMU's IOMMU fails an
    assertion of its own.
    """

    def stalled() -> bool:
        return b"detected stalls" in each.console.read_bytes()[seen:] if each.console.exists() else False

    def decided() -> bool:
        return each.channel.answers() or stalled() or not registry.running(each.qemu)

    wait_for(decided, 120)
    if each.channel.answers():
        return ""
    if not registry.running(each.qemu):
        return "ended" if registry.get(each.qemu) else ""
    return "lost a timer" if stalled() else ""


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _has_cards(each: MachinePaths) -> bool:
    return each.channel.run(["test", "-e", "/run/lab/ready"], timeout=20).returncode == 0


def _make_disk(qemu: sriov_packages.Qemu, guest: Image, each: MachinePaths) -> None:
    """The machine's writes survive its restarts, and are deleted with the lab."""
    disk, note = each.state / "disk.qcow2", each.run / "disk-of"
    # The note is in /run, so that a disk from before a reboot of this machine is not used.
    if not note.exists() or note.read_text() != str(guest.disk):
        run([*qemu.command("qemu-img"), "create", "-q", "-f", "qcow2", "-b", str(guest.disk), "-F", "raw", str(disk)])
        note.write_text(str(guest.disk))


def remove(each: MachinePaths) -> None:
    """Remove everything of a stopped machine except its logs."""
    shutil.rmtree(each.state, ignore_errors=True)
    shutil.rmtree(each.run, ignore_errors=True)


def _arguments(each: MachinePaths, guest: Image, fleet: Fleet) -> list[str]:
    words = ["-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-m", _MEMORY]
    words += ["-smp", str(_PROCESSORS[each.number - 1])]
    words += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    words += ["-kernel", str(guest.kernel), "-initrd", str(each.run / "initrd"), "-append", _CMDLINE]
    words += ["-chardev", f"file,id=console,path={each.console},append=on", "-serial", "chardev:console"]
    words += ["-monitor", f"unix:{each.run}/monitor,server=on,wait=off", "-device", "virtio-rng-pci"]
    words += ["-drive", f"file={each.state}/disk.qcow2,if=none,id=disk,format=qcow2,cache=unsafe"]
    words += ["-device", "virtio-blk-pci,drive=disk"]
    for tag, folder in (("source", each.source), ("logs", each.logs)):
        words += ["-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap"]
        words += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    host, docker = each.docker_address
    _, agent = each.channel.address
    forwarded = "".join(
        f",hostfwd=tcp:{host}:{outside}-10.0.2.15:{inside}"
        for outside, inside in ((agent, _AGENT_PORT), (docker, _DOCKER_PORT))
    )
    words += ["-netdev", f"user,id=management,net=10.0.2.0/24,ipv6=off{forwarded}"]
    words += ["-device", f"virtio-net-pci,netdev=management,mac=52:54:00:aa:00:0{each.number},romfile="]
    # Without offloads: Open vSwitch in user space completes no checksums.
    words += ["-netdev", f"tap,id=cloud,ifname={each.tap},script=no,downscript=no,vnet_hdr=off"]
    words += ["-device", f"virtio-net-pci,netdev=cloud,mac={each.cloud_mac},romfile="]
    return words + _cards(each) + _wire(each, fleet)


def _cards(each: MachinePaths) -> list[str]:
    words = []
    for card in (0, 1):
        mac = f"52:54:00:12:0{each.number}:0{card + 1}"
        words += ["-device", f"pcie-root-port,id=slot{card},slot={card + 1},chassis={card + 1},bus=pcie.0"]
        words += ["-netdev", f"hubport,id=card{card},hubid=0"]
        words += ["-device", f"igb,id=igb{card},bus=slot{card},netdev=card{card},mac={mac},romfile="]
    return words


def _wire(each: MachinePaths, fleet: Fleet) -> list[str]:
    """The cable from this machine's wire to the other machine's."""
    if fleet.machines < MOST:
        return []
    own, other = (each.run.parent / f"wire-s{number}" for number in (each.number, MOST + 1 - each.number))
    own.unlink(missing_ok=True)  # left by a machine that was killed
    cable = f"dgram,id=cable,local.type=unix,local.path={own},remote.type=unix,remote.path={other}"
    return ["-netdev", cable, "-netdev", "hubport,id=socket,hubid=0,netdev=cable"]
