# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""A systemd unit for each PF that creates its VFs at every boot, before the programs that use them start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kuryr_libnetwork.cli.host.inventory import Host
from kuryr_libnetwork.errors import DeviceError
from kuryr_libnetwork.host.files import ABOVE_MODE, check_folder, make_folder, write_whole
from kuryr_libnetwork.model.sriov import PhysicalFunction

WANTED_BY = "multi-user.target"
USERS = (
    "docker.service",
    "kuryr-libnetwork.service",
    "neutron-sriov-nic-agent.service",
    "neutron-sriov-agent.service",
)
TEMPLATE = """\
# Written by "kuryr vf create {pf} --count {count} --persist"; written anew by the next such command.
[Unit]
Description={count} VFs on PF {name} ({pf}) for containers
# The PF's driver is loaded by udev, after this unit could start.
Wants={device}
After={device} systemd-modules-load.service
Before={users}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} {words}vf create {pf} --count {count}{keep_up}

[Install]
WantedBy={wanted_by}
"""


def install(host: Host, pf: PhysicalFunction, count: int, *, keep_up: bool) -> Iterator[str]:
    """Write and enable the unit, or remove it if the count is 0; yields a line for each step."""
    # Without the address's colons: systemd-analyze takes what follows one for an alias.
    unit = host.units / f"kuryr-vfs-{pf.pci_address.replace(':', '-')}.service"
    link = host.units / f"{WANTED_BY}.wants" / unit.name
    try:
        if count:
            write_whole(unit, content(host, pf, count, keep_up=keep_up))
            yield f"wrote {unit}"
            _enable(link, unit)
            yield f"enabled it ({link}): the VFs are made at every boot, before {', '.join(USERS)}"
        else:
            link.unlink(missing_ok=True)
            unit.unlink(missing_ok=True)
            yield f"removed {unit}: no VFs are made at boot"
    except OSError as error:
        raise DeviceError(f"the VFs are there, but will not be after a reboot: {unit}: {error.strerror}") from error
    yield "systemctl daemon-reload makes systemd know of it now"


def content(host: Host, pf: PhysicalFunction, count: int, *, keep_up: bool) -> str:
    name = pf.netdevs[0] if pf.netdevs else pf.pci_address
    return TEMPLATE.format(
        pf=pf.pci_address,
        name=name,
        count=count,
        device=f"sys-subsystem-net-devices-{escaped(name)}.device",
        users=" ".join(USERS),
        program=quoted(host.program),
        words="".join(f"{quoted(word)} " for word in host.config_words),
        keep_up=" --keep-up" if keep_up else "",
        wanted_by=WANTED_BY,
    )


def escaped(name: str) -> str:
    """A device's name, escaped as by systemd-escape(1)."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in ":_.") else _code(char) for char in name)
    return _code(".") + plain[1:] if plain.startswith(".") else plain


def quoted(word: str) -> str:
    """A word of a command line, quoted for systemd.service(5)."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{safe}"' if safe != word or " " in word else word


def _code(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _enable(link: Path, unit: Path) -> None:
    make_folder(link.parent, ABOVE_MODE)
    check_folder(link.parent)
    link.unlink(missing_ok=True)
    link.symlink_to(unit)
