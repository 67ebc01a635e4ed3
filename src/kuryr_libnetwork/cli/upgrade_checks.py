# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a host that ran upstream's kuryr-libnetwork needs before this one replaces it, judged from the facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from urllib.parse import urlsplit

from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules import vifs
from kuryr_libnetwork.rules.addresses import is_loopback
from kuryr_libnetwork.rules.discovery import SOCKET_FOLDERS
from kuryr_libnetwork.rules.foreign_networks import ForeignNetwork
from kuryr_libnetwork.rules.roles import RoleFinding


class Code(IntEnum):
    """Exit codes as in oslo.upgradecheck; the command exits with the highest."""

    SUCCESS = 0
    WARNING = 1
    FAILURE = 2


class Result(Value, frozen=True):
    """``details``: "" if there is nothing to say."""

    check: str
    code: Code = Code.SUCCESS
    details: str = ""


class CloudState(Value, frozen=True):
    """``account``: the user whose roles were checked, in words; "" without Keystone. ``refused``: why the login failed.

    ``account_error``, ``foreign_error``: why the roles, or the Docker networks, are not known; "" if they are.
    ``foreign``: Docker networks on Neutron networks of another project that nothing records.
    """

    account: str = ""
    refused: str = ""
    account_error: str = ""
    roles: tuple[RoleFinding, ...] = ()
    foreign: tuple[ForeignNetwork, ...] = ()
    foreign_error: str = ""


class UpgradeFacts(Value, frozen=True):
    """What was found on the host.

    ``distributions``: name and version of each distribution of kuryr that Python finds. ``error``: why kuryr.conf
    cannot be used; ``strange``: what in it is not understood; ``idle``: what has no effect. ``drivers``: what is wrong
    with their names. ``uri``: kuryr_uri, with or without TLS, and with or without an authority for clients'
    certificates. ``specs``: plugin files of Docker, each with its address. ``scripts``: executables in ``bindir``;
    ``open_scripts``: what is wrong with those that others may change. ``state``: what is wrong with state_path.
    ``cloud``: not asked if there is an ``error``.
    """

    distributions: tuple[tuple[str, str], ...] = ()
    error: str = ""
    strange: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    drivers: str = ""
    uri: str = ""
    tls: bool = False
    certified: bool = False
    socket: str = ""
    specs: tuple[tuple[str, str], ...] = ()
    bindir: str = ""
    scripts: tuple[str, ...] = ()
    open_scripts: tuple[str, ...] = ()
    script_vif_types: tuple[str, ...] = ()
    state: str = ""
    cloud: CloudState = CloudState()


def distributions(facts: UpgradeFacts) -> Result:
    """Upstream's two distributions have package paths in common with ours: the one installed last wins."""
    check = "Installed distributions"
    ours = sorted({version for name, version in facts.distributions if name == "kuryr-libnetwork"})
    if len(ours) > 1:
        text = f"kuryr-libnetwork is installed in several versions ({', '.join(ours)}): uninstall all but one"
        return Result(check=check, code=Code.FAILURE, details=text)
    old = [f"{name} {version}" for name, version in facts.distributions if name == "kuryr-lib"]
    if old:
        text = (
            f"{old[0]} is installed beside kuryr-libnetwork, which does not need it, and both own files below "
            "kuryr/lib: pip uninstall kuryr-lib, then install kuryr-libnetwork once more"
        )
        return Result(check=check, code=Code.WARNING, details=text)
    return Result(check=check)


def configuration(facts: UpgradeFacts) -> Result:
    check = "kuryr.conf can be read"
    if facts.error:
        return Result(check=check, code=Code.FAILURE, details=facts.error)
    return _warned(check, facts.strange)


def idle_options(facts: UpgradeFacts) -> Result:
    check = "Options without effect"
    return _unread(check) if facts.error else _warned(check, facts.idle)


def drivers(facts: UpgradeFacts) -> Result:
    check = "Drivers"
    if facts.error:
        return _unread(check)
    return Result(check=check, code=Code.FAILURE, details=facts.drivers) if facts.drivers else Result(check=check)


def transport(facts: UpgradeFacts) -> Result:
    """Upstream served everybody who could reach the address; whoever can may take any port of the cloud."""
    check = "Address of the plugin"
    if not facts.uri or (facts.tls and facts.certified) or _is_local(facts.uri):
        return Result(check=check)
    lacks = "asks for no client certificate (ssl_ca_file)" if facts.tls else "has no TLS"
    text = (
        f"kuryr_uri = {facts.uri} is reached from other machines and {lacks}, which is refused: leave kuryr_uri out "
        "(Docker uses the Unix socket), use http://127.0.0.1:PORT, or set enable_ssl, ssl_cert_file, ssl_key_file and "
        "ssl_ca_file"
    )
    return Result(check=check, code=Code.FAILURE, details=text)


def plugin_files(facts: UpgradeFacts) -> Result:
    """Docker looks for a socket first; without one it uses a file of upstream's, which leads nowhere."""
    check = "Plugin files of Docker"
    if not facts.specs:
        return Result(check=check)
    found = ", ".join(f"{path} ({address})" for path, address in facts.specs)
    if facts.uri:
        return Result(check=check)
    if facts.socket.rpartition("/")[0] not in SOCKET_FOLDERS and any(facts.socket in spec[1] for spec in facts.specs):
        return Result(check=check)
    text = (
        f"{found}: Docker asks there whenever the socket {facts.socket} is missing, and waits; kuryr_uri is not set, "
        "so nothing listens there: remove it and restart Docker once"
    )
    return Result(check=check, code=Code.WARNING, details=text)


def scripts(facts: UpgradeFacts) -> Result:
    """Upstream's own scripts are not needed; the operator's are still run, unless others may change them."""
    unused = [name for name in facts.scripts if name in vifs.BUILT_IN and name not in facts.script_vif_types]
    lines = []
    if unused:
        names = ", ".join(unused)
        lines.append(
            f"{facts.bindir}: {names} are not run any more, the service does their work; if they were changed on this "
            f"host: [binding] script_vif_types = {names}"
        )
    if facts.open_scripts:
        lines.append(f"not run: {'; '.join(facts.open_scripts)}")
    return _warned("Binding scripts", tuple(lines))


def state_folder(facts: UpgradeFacts) -> Result:
    """Packages of upstream's service may have made its own user the folder's owner; root's files are not safe there."""
    check = "State folder"
    return Result(check=check, code=Code.FAILURE, details=facts.state) if facts.state else Result(check=check)


def roles(facts: UpgradeFacts) -> Result:
    """Upstream's user was an administrator in most clouds."""
    check, cloud = "Roles of the service's user", facts.cloud
    if facts.error:
        return _unread(check)
    if cloud.refused:
        return Result(check=check, code=Code.FAILURE, details=cloud.refused)
    if cloud.account_error:
        return Result(check=check, code=Code.WARNING, details=f"not looked at: {cloud.account_error}")
    codes = {"error": Code.FAILURE, "notice": Code.WARNING, "advice": Code.SUCCESS}
    code = max((codes[each.level] for each in cloud.roles), default=Code.SUCCESS)
    lines = [each.line for each in cloud.roles]
    return Result(check=check, code=code, details="\n".join([cloud.account, *lines] if lines else []))


def foreign_networks(facts: UpgradeFacts) -> Result:
    """Upstream recorded on these networks which Docker network uses them; their owners can write that as well, so it
    is not believed.
    """
    check, cloud = "Docker networks recorded on networks of other projects", facts.cloud
    if facts.error:
        return _unread(check)
    if cloud.foreign_error:
        return Result(check=check, code=Code.WARNING, details=f"not looked at: {cloud.foreign_error}")
    lines = [_on(each) for each in cloud.foreign]
    if any(each.named for each in cloud.foreign):
        lines.append(
            "start the service while Docker runs, and before Docker is restarted: it recovers what Docker's users "
            "chose on Docker's own word, and its log says so"
        )
    if not all(each.named for each in cloud.foreign):
        lines.append("what was made in another project is not believed: let [neutron] log in to that project")
    return _warned(check, tuple(lines))


def _on(found: ForeignNetwork) -> str:
    ids = " or ".join(f"{network.id} of project {network.project_id or 'unknown'}" for network in found.networks)
    how = "is on" if found.named else "was made on"
    return f"Docker network {found.docker_id[:12]} {how} Neutron network {ids}"


CHECKS: tuple[Callable[[UpgradeFacts], Result], ...] = (
    distributions,
    configuration,
    drivers,
    transport,
    plugin_files,
    idle_options,
    scripts,
    state_folder,
    roles,
    foreign_networks,
)


def judge(facts: UpgradeFacts) -> list[Result]:
    return [check(facts) for check in CHECKS]


def worst(results: Iterable[Result]) -> Code:
    return max((result.code for result in results), default=Code.SUCCESS)


def _is_local(uri: str) -> bool:
    host = urlsplit(uri if "//" in uri else f"//{uri}").hostname or ""
    return is_loopback(host)


def _unread(check: str) -> Result:
    return Result(check=check, code=Code.WARNING, details="not looked at: kuryr.conf cannot be read")


def _warned(check: str, lines: tuple[str, ...]) -> Result:
    if not lines:
        return Result(check=check)
    return Result(check=check, code=Code.WARNING, details="\n".join(lines))
