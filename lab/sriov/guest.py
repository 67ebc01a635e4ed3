# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What is set up and what runs inside the SR-IOV machine: Virtual Functions, Docker, Neutron's agent, our service."""

import filecmp
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path

from lab import http, image
from lab.broker import transport_url
from lab.errors import LabError
from lab.paths import LabPaths
from lab.people import Person, with_login
from lab.process import wait_for
from lab.sriov import channel as sriov_channel, image as sriov_image
from lab.sriov.channel import Channel
from lab.sriov.image import Image
from lab.sriov.machine import MachinePaths

PFS = ("pf0", "pf1")
VFS_PER_PF = 4
PHYSICAL_NETWORK = "physnet2"
CONTAINERD, DOCKERD, KURYR, AGENT = "containerd", "dockerd", "kuryr", "neutron-sriov-nic-agent"
# Seconds for the service to end.
KURYR_GRACE = 20.0
# Seconds. What takes ten on an idle machine takes minutes on a busy one that emulates two.
PATIENCE = 300
_CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_WHEN_THERE = 'until [ -S "$1" ]; do sleep 0.1; done; shift; exec "$@"'
PLUGIN_SOCKET = "/run/docker/plugins/kuryr.sock"
KURYR_CONF = "/etc/kuryr/kuryr.conf"
NEUTRON_CONF = "/etc/neutron/neutron.conf"
AGENT_CONF = "/etc/neutron/plugins/ml2/sriov_agent.ini"

_KURYR_CONF = """\
[DEFAULT]
host = {name}
debug = true

[neutron]
{login}"""

_NEUTRON_CONF = """\
[DEFAULT]
host = {name}
transport_url = {broker}
state_path = /var/lib/neutron

[oslo_concurrency]
lock_path = /var/lib/neutron/lock

[agent]
report_interval = 10
root_helper =

[privsep]
helper_command = {helper}

[privsep_link]
helper_command = {helper}
"""
_PRIVSEP_HELPER = f"/srv/neutron/bin/privsep-helper --config-file {NEUTRON_CONF} --config-file {AGENT_CONF}"

_AGENT_CONF = """\
[sriov_nic]
physical_device_mappings = {mappings}
"""

# The PF is down while its Virtual Functions are created; otherwise they may never get a carrier.
_SET_VFS = """\
set -e
device=/sys/class/net/$1/device
ip link set "$1" down
echo 0 >$device/sriov_numvfs
echo "$2" >$device/sriov_numvfs
number=0
while [ $number -lt "$2" ]; do
    ip link set "$(ls "$device/virtfn$number/net")" name "$1v$number"
    number=$((number + 1))
done
ip link set "$1" up
"""

_COMMAND = """\
#!/srv/kuryr/bin/python3
import sys
from {module} import {function}
sys.exit({function}())
"""


def set_vfs(each: MachinePaths, pf: str, count: int) -> None:
    """Create Virtual Functions on a PF, named after it, and wait for its carrier."""
    _succeed(each.channel, ["sh", "-c", _SET_VFS, "sh", pf, str(count)])
    if not wait_for(lambda: _succeed(each.channel, ["cat", f"/sys/class/net/{pf}/carrier"]).strip() == "1", 60):
        msg = f"{each.name}: {pf} has no carrier"
        raise LabError(msg)


def make_vfs(each: MachinePaths) -> None:
    """Create the lab's number of VFs on each PF that has none yet."""
    for pf in PFS:
        if _succeed(each.channel, ["cat", f"/sys/class/net/{pf}/device/sriov_numvfs"]).strip() == "0":
            set_vfs(each, pf, VFS_PER_PF)


def write_conf(each: MachinePaths, person: Person) -> None:
    """Write the files of `/etc`, but keep existing ones, which may be a test's. `person`: the service's user."""
    files = {
        KURYR_CONF: _KURYR_CONF.format(name=each.name, login=person.options()),
        NEUTRON_CONF: _NEUTRON_CONF.format(name=each.name, broker=transport_url(), helper=_PRIVSEP_HELPER),
        AGENT_CONF: _AGENT_CONF.format(mappings=",".join(f"{PHYSICAL_NETWORK}:{pf}" for pf in PFS)),
    }
    for file, text in files.items():
        script = '[ -e "$1" ] || { mkdir -p "${1%/*}" && cat >"$1"; }'
        _succeed(each.channel, ["sh", "-c", script, "sh", file], text.encode())


def log_in_as(each: MachinePaths, person: Person) -> None:
    """Set the service's user from its next start on; stops it if it runs as somebody else."""
    before = sriov_channel.read(each.channel, KURYR_CONF).decode()
    text = with_login(before, person)
    if text != before:
        sriov_channel.write(each.channel, KURYR_CONF, text.encode())
        each.channel.stop(KURYR, signal.SIGTERM, KURYR_GRACE)


def start_agent(each: MachinePaths) -> None:
    """Start Neutron's agent without waiting for it: it takes half a minute to be alive."""
    argv = [f"/srv/neutron/bin/{AGENT}", "--config-file", NEUTRON_CONF, "--config-file", AGENT_CONF]
    _succeed(each.channel, ["mkdir", "-p", "/var/lib/neutron/lock"])
    each.channel.start(AGENT, argv, f"/mnt/logs/{AGENT}.log", {"PYTHONWARNINGS": "ignore"})


def launch_docker(each: MachinePaths) -> None:
    """Start it without waiting; `start_docker` waits for it."""
    # On a busy machine dockerd would give up waiting for a containerd of its own.
    each.channel.start(CONTAINERD, [CONTAINERD], f"/mnt/logs/{CONTAINERD}.log")
    argv = ["sh", "-c", _WHEN_THERE, "sh", _CONTAINERD_SOCKET, "dockerd", f"--containerd={_CONTAINERD_SOCKET}"]
    argv += ["--host=unix:///run/docker.sock", "--host=tcp://0.0.0.0:2375"]
    # Without --tls=false dockerd pauses for 15 s after its warning.
    argv += ["--tls=false", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=2"]
    argv += ["--exec-opt=native.cgroupdriver=cgroupfs"]
    each.channel.start(DOCKERD, argv, "/mnt/logs/dockerd.log")


def start_docker(each: MachinePaths) -> None:
    launch_docker(each)
    connect = http.inside(each.netns, each.docker_address)
    _wait_for(each, DOCKERD, lambda: http.answers(connect, "GET", "/_ping"), PATIENCE)
    image.load(connect)


def start_kuryr(paths: LabPaths, each: MachinePaths, guest: Image) -> None:
    """Start our service from the present state of the checkout."""
    if not service_runs(each, KURYR):
        bring_source(paths, each, guest)
        argv = [*_as_the_unit(paths), "/usr/local/bin/kuryr-server", "--config-file", KURYR_CONF]
        each.channel.start(KURYR, argv, "/mnt/logs/kuryr.log")
    connect = each.channel.unix(PLUGIN_SOCKET)
    _wait_for(each, KURYR, lambda: http.answers(connect, "POST", "/Plugin.Activate"), PATIENCE)


def _as_the_unit(paths: LabPaths) -> list[str]:
    """There is no systemd, but the service gets only the capabilities that its unit grants."""
    unit = (paths.repo / "etc" / "systemd" / "kuryr-libnetwork.service").read_text().splitlines()
    key = "CapabilityBoundingSet="
    given = [word for line in unit if line.startswith(key) for word in line.removeprefix(key).split()]
    bounds = ["-all", *(f"+{word.removeprefix('CAP_').lower()}" for word in given)]
    return ["setpriv", "--no-new-privs", f"--bounding-set={','.join(bounds)}"]


def service_runs(each: MachinePaths, name: str) -> bool:
    found = each.channel.services().get(name)
    return found is not None and found["rc"] is None


def bring_source(paths: LabPaths, each: MachinePaths, guest: Image) -> None:
    """Copy what changed in `src` to where the guest sees it, compiled for its Python, and make its commands."""
    _mirror(paths.repo / "src", each.source)
    guest.python(
        ["-m", "compileall", "-q", "-s", str(each.source), "-p", sriov_image.SOURCE_IN_GUEST, str(each.source)]
    )
    with (paths.repo / "pyproject.toml").open("rb") as file:
        scripts: dict[str, str] = tomllib.load(file)["project"]["scripts"]
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        text = _COMMAND.format(module=module, function=function)
        write = 'cat >"/usr/local/bin/$1" && chmod 755 "/usr/local/bin/$1"'
        _succeed(each.channel, ["sh", "-c", write, "sh", name], text.encode())


def _mirror(source: Path, target: Path) -> None:
    """Change as little as possible: the guest may be reading, and compiled files are kept."""
    wanted = {file.relative_to(source) for file in source.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    for file in target.rglob("*"):
        if file.is_file() and file.suffix != ".pyc" and file.relative_to(target) not in wanted:
            file.unlink()
    for name in wanted:
        if not (target / name).exists() or not filecmp.cmp(source / name, target / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def _succeed(channel: Channel, argv: list[str], stdin: bytes = b"") -> str:
    result = channel.run(argv, stdin=stdin, timeout=120)
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip()
        msg = f"{channel.name}: {' '.join(argv)[-80:]} ended with {result.returncode}: {said}"
        raise LabError(msg)
    return result.stdout.decode(errors="replace")


def _wait_for(each: MachinePaths, name: str, question: Callable[[], bool], seconds: float) -> None:
    """Wait until a service answers; if it has ended, that is reported at once, not at the deadline."""
    answered = False

    def answered_or_dead() -> bool:
        nonlocal answered
        answered = question()
        return answered or not service_runs(each, name)

    wait_for(answered_or_dead, seconds)
    if not answered:
        what = f"did not answer within {seconds:.0f} s" if service_runs(each, name) else "ended while it was starting"
        msg = f"{each.name}: {name} {what}; see {each.logs / f'{name}.log'}"
        raise LabError(msg)
