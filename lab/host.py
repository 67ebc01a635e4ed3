# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""One Docker host: namespaces, Open vSwitch, an OVN chassis and kuryr-server.

`lab.dockerd` has its Docker, `lab.agents` what a host has instead of an OVN chassis.
"""

import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lab import http
from lab.backend import Backend
from lab.cloud import start_ovsdb
from lab.errors import LabError
from lab.paths import ADMIN_PORT, HostPaths, LabPaths
from lab.people import Person, with_login
from lab.process import Place, Program, Record, Registry, run, wait_for, wait_until

# /run/docker/plugins and /etc/docker are constants in dockerd, and so is "use the machine's containerd if
# /run/containerd has its socket". Private folders there keep the lab and the machine's own Docker apart.
_HOLDER = """\
set -eu
# shared: the namespaces of containers, which dockerd mounts there, must be seen in all mount namespaces of the host.
mount --bind --make-private {run}/run-docker /run/docker
mount --make-shared /run/docker
mount --bind {run}/run-containerd /run/containerd
mount --bind {run}/ovs /run/openvswitch
mount --bind {run}/ovs /run/ovn
mount --bind {state}/etc-docker /etc/docker
mount --bind {state}/etc-kuryr /etc/kuryr
# /sys shows the network devices of the namespace that mounted it; dockerd needs the cgroups that lie below it.
mount --rbind /sys/fs/cgroup {run}/cgroup
mount -t sysfs sysfs /sys
mount --rbind {run}/cgroup /sys/fs/cgroup
echo {name} > /proc/sys/kernel/hostname
touch {run}/ready
exec sleep infinity
"""

_KURYR_CONF = """\
[DEFAULT]
host = {host.name}
debug = true
state_path = {host.kuryr_state}
socket_path = /run/docker/plugins/kuryr.sock
docker_socket = {host.docker_socket}

[neutron]
{login}
[ovs]
ovsdb_connection = unix:{host.ovsdb_socket}

[admin]
socket = {host.admin_socket}
listen = 127.0.0.1:{port}
"""


def place(host: HostPaths, registry: Registry) -> Place:
    holder = registry.running(f"{host.name}-holder")
    if holder is None:
        msg = f"{host.name} is not up; run ./dev up"
        raise LabError(msg)
    return Place(host.netns, holder.pid)


def start_holder(paths: LabPaths, host: HostPaths, registry: Registry) -> None:
    """A process that does nothing but keep the host's mount and host name namespaces."""
    name = f"{host.name}-holder"
    if registry.running(name):
        return
    for folder in ("run-docker/plugins", "run-containerd", "ovs", "cgroup"):
        (host.run / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("etc-docker", "etc-kuryr", "kuryr"):
        (host.state / folder).mkdir(parents=True, exist_ok=True)
    for target in ("/run/docker", "/run/containerd", "/run/openvswitch", "/run/ovn", "/etc/docker", "/etc/kuryr"):
        Path(target).mkdir(parents=True, exist_ok=True)
    ready = host.run / "ready"
    ready.unlink(missing_ok=True)
    script = host.run / "holder.sh"
    script.write_text(_HOLDER.format(run=host.run, state=host.state, name=host.name))
    # slave: unmounts of the machine take effect here, too, but none of our mounts appears on the machine.
    argv = ("unshare", "--mount", "--uts", "--propagation", "slave", "sh", str(script))
    record = registry.start(Program(name, argv, Place(host.netns), paths.log(name), stop_signal=signal.SIGKILL))
    wait_until(ready.exists, record, 20)


def start_ovs(paths: LabPaths, host: HostPaths, registry: Registry, backend: Backend) -> None:
    where = place(host, registry)
    env = {"OVS_RUNDIR": str(host.ovs_run), "OVN_RUNDIR": str(host.ovs_run)}
    start_ovsdb(
        registry,
        where,
        name=f"{host.name}-ovsdb",
        schema=Path("/usr/share/openvswitch/vswitch.ovsschema"),
        data=host.state / "ovs" / "conf.db",
        socket=host.ovsdb_socket,
        log=paths.log(f"{host.name}-ovsdb"),
    )
    name = f"{host.name}-vswitchd"
    if not registry.running(name):
        _configure_ovs(paths, host, where, backend)
        control = host.ovs_run / "vswitchd.ctl"
        control.unlink(missing_ok=True)
        argv = ("ovs-vswitchd", f"unix:{host.ovsdb_socket}", f"--unixctl={control}", "-vconsole:info")
        record = registry.start(Program(name, argv, where, paths.log(name), env))
        wait_until(control.is_socket, record, 20)
        _connect_data_network(host, where, record)
    if not backend.is_ovn:
        _vsctl(host, where, "--timeout=20", *_bridge("br-int"))
        return
    name = f"{host.name}-{backend.agent}"
    if not registry.running(name):
        controller = ("ovn-controller", f"unix:{host.ovsdb_socket}", "-vconsole:info")
        registry.start(Program(name, controller, where, paths.log(name), env))


def _vsctl(host: HostPaths, where: Place, *args: str) -> str:
    return run(where.enter(["ovs-vsctl", f"--db=unix:{host.ovsdb_socket}", *args])).strip()


def _configure_ovs(paths: LabPaths, host: HostPaths, where: Place, backend: Backend) -> None:
    ids = {"system-id": f"{paths.name}-{host.name}", "hostname": host.name}
    for_ovn = {
        "ovn-remote": f"unix:{paths.sb_socket}",
        "ovn-encap-type": backend.tunnel,
        "ovn-encap-ip": host.tunnel_address,
        "ovn-bridge": "br-int",
        "ovn-bridge-datapath-type": "netdev",
        "ovn-bridge-mappings": "physnet1:br-phy",
    }
    settings = [f'external_ids:{name}="{value}"' for name, value in (ids | (for_ovn if backend.is_ovn else {})).items()]
    _vsctl(host, where, "--no-wait", "init")
    _vsctl(host, where, "--no-wait", "set", "open", ".", *settings)


def _connect_data_network(host: HostPaths, where: Place, vswitchd: Record) -> None:
    """OVS itself sends user-space tunnels, so the tunnel's address must be on one of its bridges."""
    _vsctl(host, where, "--timeout=20", *_bridge("br-phy"), "--", "--may-exist", "add-port", "br-phy", "data0")
    # ovs-vsctl has been seen to return before the device was there.
    wait_until(lambda: '"br-phy"' in run(where.enter(["ip", "-json", "link"])), vswitchd, 20)
    run(where.enter(["ip", "addr", "replace", f"{host.tunnel_address}/24", "dev", "br-phy"]))
    run(where.enter(["ip", "link", "set", "br-phy", "up"]))


def _bridge(name: str) -> list[str]:
    return ["--may-exist", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev"]


def wait_for_chassis(paths: LabPaths, host: HostPaths, registry: Registry) -> None:
    record = registry.get(f"{host.name}-ovn-controller")
    if record is not None:
        query = ["ovn-sbctl", f"--db=unix:{paths.sb_socket}", "--bare", "--columns=name", "find", "Chassis"]
        wait_until(lambda: bool(run([*query, f"hostname={host.name}"]).strip()), record, 30)


def acquaint(hosts: list[HostPaths], registry: Registry) -> None:
    """Let each Open vSwitch learn the others' addresses: it drops the first packet to a peer it does not know yet."""
    for host in hosts:
        where = place(host, registry)
        control = ["ovs-appctl", "-t", str(host.ovs_run / "vswitchd.ctl")]
        run(where.enter([*control, "tnl/neigh/aging", "3600"]))
        for peer in hosts:
            if peer != host and not wait_for(partial(_knows, host, peer, where, control), 10):
                msg = f"{host.name} does not reach {peer.name} on the data network"
                raise LabError(msg)


def _knows(host: HostPaths, peer: HostPaths, where: Place, control: list[str]) -> bool:
    # Open vSwitch learns from the answers to the kernel's ARP requests, so the kernel must ask each time.
    run(where.enter(["ip", "neigh", "flush", "dev", "br-phy"]))
    http.knock(host.netns, peer.tunnel_address)
    return peer.tunnel_address in run(where.enter([*control, "tnl/neigh/show"]))


def write_kuryr_conf(host: HostPaths, person: Person, registry: Registry) -> None:
    """Stop a kuryr-server that runs as somebody other than `person`."""
    if host.kuryr_conf.exists():
        log_in_as(host, person, registry)
    host.kuryr_state.mkdir(parents=True, exist_ok=True)
    _put_kuryr_conf(host, _KURYR_CONF.format(host=host, login=person.options(), port=ADMIN_PORT))


def log_in_as(host: HostPaths, person: Person, registry: Registry) -> None:
    """Set kuryr-server's user from its next start on; stops it if it runs as somebody else."""
    before = host.kuryr_conf.read_text()
    text = with_login(before, person)
    if text != before:
        _put_kuryr_conf(host, text)
        registry.stop([f"{host.name}-kuryr"])


def configure(host: HostPaths, options: Mapping[str, str | int | None], registry: Registry) -> None:
    """Set options of [DEFAULT] for kuryr-server (`None` removes one); stops it if it runs with other values."""
    before = host.kuryr_conf.read_text()
    said = [line for line in before.splitlines(keepends=True) if line.partition(" = ")[0] not in options]
    new = "".join(f"{name} = {value}\n" for name, value in options.items() if value is not None)
    text = "".join(said).replace("[DEFAULT]\n", f"[DEFAULT]\n{new}", 1)
    if text != before:
        _put_kuryr_conf(host, text)
        registry.stop([f"{host.name}-kuryr"])


def _put_kuryr_conf(host: HostPaths, text: str) -> None:
    # Two copies: for readers outside, and where the service looks if it is started by hand in the host.
    host.kuryr_conf.write_text(text)
    (host.state / "etc-kuryr" / "kuryr.conf").write_text(text)


def start_kuryr(paths: LabPaths, host: HostPaths, registry: Registry) -> Record:
    name = f"{host.name}-kuryr"
    if not registry.running(name):
        if not paths.kuryr_server.exists():
            msg = f"{paths.kuryr_server} does not exist"
            raise LabError(msg)
        argv = (str(paths.kuryr_server), "--config-file", str(host.kuryr_conf))
        registry.start(Program(name, argv, place(host, registry), paths.log(name), grace=12.0))
    record = registry.running(name) or registry.get(name)
    if record is None:
        msg = f"{name} has no record"
        raise LabError(msg)
    wait_until(lambda: http.answers(http.unix(host.plugin_socket), "POST", "/Plugin.Activate"), record, 30)
    return record
