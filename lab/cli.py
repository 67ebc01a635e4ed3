# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m lab`: what `./dev` calls."""

import argparse
import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path

from lab import api, engines, lifecycle, managed_plugin, people, releases
from lab.backend import BACKENDS, DESCRIPTION
from lab.errors import LabError
from lab.paths import REPO, LabPaths
from lab.progress import say
from lab.sriov import api as sriov_api, image as sriov_image, packages as sriov_packages
from lab.sriov.image import DEFAULT_RELEASE
from lab.sriov.machine import MOST, Fleet

CANNOT_BE_HAD = 4
"""The exit code of `lab machine` where this machine, or its archive, has no QEMU for it."""
_USERS = ", ".join(person.name for person in people.EVERYBODY)


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    # Asked to end in the middle of `up`, it undoes its work like after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code: int = arguments.verb(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, function: object, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text)
        sub.add_argument("--name", default="dev", help="name of the lab (default: dev)")
        sub.set_defaults(verb=function)
        return sub

    start = verb("up", _up, "start what is missing")
    start.add_argument("--hosts", type=int, default=1, help="Docker hosts (default: 1)")
    start.add_argument(
        "--engine",
        type=lambda text: text.split(","),
        default=[engines.OWN],
        help="Docker Engine of the hosts: own, newest, a major version or a Debian release; one for all, or one for "
        "each "
        "host, separated by commas (default: own)",
    )
    start.add_argument("--without-kuryr", action="store_true", help="leave kuryr-server to be started by hand")
    start.add_argument(
        "--role",
        choices=people.KURYR_BY_ROLE,
        help="kuryr-server has the role service, and this one besides (default: member; of a lab that is up: what it "
        "has)",
    )
    start.add_argument(
        "--backend",
        choices=BACKENDS,
        help=f"what carries out Neutron's networks: {DESCRIPTION} (default: ovn; of a lab that is up: what it has)",
    )
    start.add_argument(
        "--neutron",
        choices=releases.RELEASES,
        help=f"the release of Neutron (default: {releases.NEWEST.name}; of a lab that is up: what it has)",
    )
    start.add_argument(
        "--sriov", type=int, nargs="?", const=1, default=0, help="SR-IOV machines, 1 or 2 (default: none)"
    )
    start.add_argument("--release", default=DEFAULT_RELEASE, help=f"their Debian release (default: {DEFAULT_RELEASE})")
    verb("engines", _engines, "which Docker Engines a host can have here, the newest last")
    bundle = verb("plugin", _plugin, "make the managed plugin")
    bundle.add_argument("--out", type=Path, default=REPO / ".dev" / "plugin", help="its folder (default: .dev/plugin)")
    machine = verb(
        "machine", _machine, f"make what an SR-IOV machine is started from; {CANNOT_BE_HAD}: not to be had here"
    )
    machine.add_argument("--release", default=DEFAULT_RELEASE, help=f"its Debian release (default: {DEFAULT_RELEASE})")
    verb("down", _down, "stop and remove everything but logs").add_argument("--all", action="store_true")
    verb("status", _status, "what runs").add_argument("--json", action="store_true")
    variables = verb("env", _env, "the variables of a host's shell")
    command = verb("exec", _exec, "run a command in a host")
    for each in (variables, command):
        each.add_argument("--host", default="h1")
        each.add_argument("--as", dest="user", default=people.ADMIN.name, help=f"who openstack is: {_USERS}")
    command.add_argument("command", nargs=argparse.REMAINDER)
    shell = verb("shell", _shell, "a shell inside a host: docker, openstack, ovs-vsctl just work")
    shell.add_argument("--host", default="h1")
    shell.add_argument("--sriov", dest="host", action="store_const", const="s1", help="the SR-IOV machine s1")
    shell.add_argument("--as", dest="user", default=people.ADMIN.name, help=f"who openstack is: {_USERS}")
    kuryr = verb("kuryr", _kuryr, "start, stop, restart or kill a host's kuryr-server")
    kuryr.add_argument("--host", default="h1")
    kuryr.add_argument("action", choices=("start", "stop", "restart", "kill"))
    return parser


def _up(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.hosts <= 9:
        msg = "--hosts takes 1 to 9"
        raise LabError(msg)
    if not 0 <= arguments.sriov <= MOST:
        msg = f"--sriov takes 1 or {MOST}"
        raise LabError(msg)
    fleet = Fleet(arguments.sriov, arguments.release) if arguments.sriov else None
    begin = time.monotonic()
    lifecycle.up(
        LabPaths(arguments.name),
        arguments.hosts,
        with_kuryr=not arguments.without_kuryr,
        fleet=fleet,
        engine=arguments.engine,
        role=arguments.role,
        backend=arguments.backend,
        neutron=arguments.neutron,
    )
    say(f"the lab {arguments.name!r} is up ({time.monotonic() - begin:.1f} s)")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    for name in lifecycle.names() if arguments.all else [arguments.name]:
        paths = LabPaths(name)
        owner = lifecycle.owner_of(paths)
        if owner is None:
            say(f"there is no lab {name!r}")
            continue
        if arguments.all and owner.folder != str(paths.repo):
            say(f"the lab {name!r} belongs to {owner.folder}: left alone")
            continue
        begin = time.monotonic()
        lifecycle.down(paths)
        say(f"the lab {name!r} is down ({time.monotonic() - begin:.1f} s)")
    return 0


def _engines(arguments: argparse.Namespace) -> int:
    for engine in engines.Choice(LabPaths(arguments.name).cache).all:
        print(f"{engine.release:10} {engine.version}")
    return 0


def _machine(arguments: argparse.Namespace) -> int:
    paths = LabPaths(arguments.name)
    try:
        sriov_image.check_room(paths)
        sriov_packages.qemu(paths.cache)
    except LabError as error:
        print(f"no SR-IOV machine: {error}")
        return CANNOT_BE_HAD
    sriov_image.image(paths, arguments.release)
    return 0


def _plugin(arguments: argparse.Namespace) -> int:
    folder = managed_plugin.build(LabPaths(arguments.name), arguments.out.absolute())
    say(f"next: docker plugin create kuryr {folder} && docker plugin enable kuryr   (see docs/managed-plugin.md)")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    paths = LabPaths(arguments.name)
    found = lifecycle.status(paths)
    inside = sriov_api.programs(paths, lifecycle.registry_of(paths))
    has = {each.name: engines.of(each) for each in lifecycle.hosts_of(paths)}
    if arguments.json:
        shown = {
            "name": paths.name,
            "hosts": len(has),
            "engines": {name: engine.version for name, engine in has.items() if engine},
            "programs": {name: record.pid if record else None for name, record in found.items()},
            "guests": inside,
        }
        print(json.dumps(shown))
    elif not found:
        print(f"the lab {paths.name!r} is not up")
    else:
        for name, record in found.items():
            print(f"{name:20} {f'running, pid {record.pid}' if record else 'NOT RUNNING'}")
        for name, pid in inside.items():
            print(f"{name:26} {f'running, pid {pid} in the guest' if pid else 'NOT RUNNING'}")
        for name, engine in has.items():
            print(f"{name:20} {engine}")
        print(f"logs: {paths.logs}")
    return 0 if found and all(found.values()) else 3


def _env(arguments: argparse.Namespace) -> int:
    for name, value in _host_or_machine(arguments).environment(people.named(arguments.user)).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        msg = "exec needs a command, e.g. lab exec --host h1 -- docker ps"
        raise LabError(msg)
    host = _host_or_machine(arguments)
    if isinstance(host, api.Host):
        argv = host.enter(command)
        os.execvpe(argv[0], argv, {**os.environ, **host.environment(people.named(arguments.user))})
    return host.execute(command)


def _shell(arguments: argparse.Namespace) -> int:
    os.environ["PS1"] = rf"({arguments.name}/{arguments.host}) \w\$ "
    arguments.command = ["bash", "--norc"]
    return _exec(arguments)


def _kuryr(arguments: argparse.Namespace) -> int:
    service = _host_or_machine(arguments).kuryr
    {"start": service.start, "stop": service.stop, "restart": service.restart, "kill": service.kill}[arguments.action]()
    return 0


def _host_or_machine(arguments: argparse.Namespace) -> api.Host | sriov_api.Machine:
    lab = api.connect(arguments.name)
    return lab.machines[arguments.host] if arguments.host in lab.machines else lab.host(arguments.host)
