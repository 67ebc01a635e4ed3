# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""kuryr.conf, command line and environment become frozen :class:`~kuryr_libnetwork.model.settings.Settings`.

Only this folder uses oslo.config. :func:`read` answers everything that a program needs, :func:`load` only the settings.
A wrong value raises a :class:`~kuryr_libnetwork.errors.ConfigError` of one line.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pwd
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from oslo_config import cfg

from kuryr_libnetwork.config import (
    admin as config_admin,
    login as config_login,
    options as config_opts,
    port_pool as config_port_pool,
    reader as config_reader,
    sources as config_source,
    sriov as config_sriov,
)
from kuryr_libnetwork.config.options import DEFAULT_TCP_PORT, NEUTRON_TIMEOUT, VIF_TIMEOUT_CAP, list_opts
from kuryr_libnetwork.config.reader import Notice, Options, Reader
from kuryr_libnetwork.config.sources import LEGACY_ENVIRONMENT, Sources
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import (
    BindingSettings,
    NeutronSettings,
    OvsSettings,
    PluginSettings,
    Settings,
    TcpSettings,
)
from kuryr_libnetwork.rules.addresses import is_loopback

__all__ = ["VIF_TIMEOUT_CAP", "Configuration", "Notice", "Settings", "list_opts", "load", "read"]

PROJECT = "kuryr"
SECTIONS = (
    *("DEFAULT", "binding", "neutron", "ovs"),
    *(config_sriov.SECTION, config_admin.SECTION, config_port_pool.SECTION),
)
_ON_COMMAND_LINE = frozenset({"kuryr_uri", "host", "state_path", "socket_path"})
# pyroute2 sets its logger "pyroute2" to log everything when it is imported; levels of loggers below it are kept.
_OR_NONE = "leave kuryr_uri out, or empty (Unix socket)"
_QUIET = ("asyncio=WARN", "docker=WARN", "pyroute2.netlink=WARN", "ovsdbapp.backend.ovs_idl.vlog=WARN")


class Configuration(NamedTuple):
    """``conf`` is only for keystoneauth and oslo.log, which read their own options from it."""

    settings: Settings
    conf: cfg.ConfigOpts
    notices: tuple[Notice, ...]


def load(argv: Sequence[str]) -> Settings:
    """The settings for a command line (without the program's name)."""
    return read(argv).settings


def read(
    argv: Sequence[str], *, prog: str = "kuryr-server", description: str | None = None, login: bool = True
) -> Configuration:
    """Parse and check everything. Exits as argparse does on ``--help``, ``--version`` and unknown flags.

    Without ``login`` the credentials are not checked: for commands that need no cloud, and perhaps no file yet.
    """
    with _libraries_heard() as heard:
        reader = _parse(argv, prog, description)
        for section in SECTIONS:
            reader.check(section)
        settings = Settings(
            plugin=_plugin(reader),
            neutron=_neutron(reader),
            binding=_binding(reader),
            ovs=_ovs(reader),
            sriov=config_sriov.settings(reader),
            admin=config_admin.settings(reader),
            port_pool=config_port_pool.settings(reader),
        )
        notices = reader.notices
        if login:
            config_login.check_login(reader)
            notices = [*notices, *_unread(reader)]
    return Configuration(settings, reader.conf, (*heard, *notices))


@contextlib.contextmanager
def _libraries_heard() -> Iterator[list[Notice]]:
    """Collects what oslo.config logs before logging is set up; Python would write it to stderr.

    Old option names are left out: :func:`_unread` says more about them.
    """
    notices: list[Notice] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = " ".join(record.getMessage().split())
            if record.name.startswith("oslo") and "Use option" not in text:
                notices.append(Notice(record.levelno, text))

    keep, root = Keep(logging.WARNING), logging.getLogger()
    root.addHandler(keep)
    try:
        yield notices
    finally:
        root.removeHandler(keep)


# -- parsing -----------------------------------------------------------------------------------------------------


def _parse(argv: Sequence[str], prog: str, description: str | None) -> Reader:
    conf = _options()
    normal = {"-h", "--help", "--version"}.isdisjoint(argv)  # help works even with a broken file
    files = config_source.config_files(argv, PROJECT, prog) if normal else []
    reader = Reader(conf, Sources(files, argv))
    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            conf(
                list(argv),
                project=PROJECT,
                prog=prog,
                version=_version(),
                description=description,
                default_config_files=None if normal else [],
                default_config_dirs=None if normal else [],
            )
    except cfg.Error as error:
        raise ConfigError(" ".join(str(error).split())) from error
    except SystemExit:
        reader.check_as_written()
        sys.stderr.write(words.getvalue())
        raise
    return reader


def _options() -> Options:
    from keystoneauth1 import loading  # takes 80 ms, so not at import
    from oslo_log import log  # 30 ms, likewise

    conf = Options()
    log.register_options(conf)
    for option in (*config_opts.core_options(), *config_opts.service_options()):
        conf.register_opt(option, cli=option.dest in _ON_COMMAND_LINE)
    conf.register_opts(config_opts.binding_options(), group="binding")
    conf.register_opts(config_opts.neutron_options(), group="neutron")
    conf.register_opts(config_opts.ovs_options(), group="ovs")
    conf.register_opts(config_sriov.options(), group=config_sriov.SECTION)
    conf.register_opts(config_sriov.agent_options(), group=config_sriov.AGENT_SECTION)
    conf.register_opts(config_admin.options(), group=config_admin.SECTION)
    conf.register_opts(config_port_pool.options(), group=config_port_pool.SECTION)
    loading.register_session_conf_options(conf, "neutron")
    conf.set_default("timeout", NEUTRON_TIMEOUT, group="neutron")
    conf.set_default("default_log_levels", [*log.get_default_log_levels(), *_QUIET])
    for name, variable in LEGACY_ENVIRONMENT.items():
        _environment_default(conf, name, variable)
    return conf


def _environment_default(conf: Options, name: str, variable: str) -> None:
    value = os.environ.get(variable, "")
    if value:
        try:
            conf.set_default(name, value)
        except ValueError as error:
            words = config_reader.allowed(conf.known["DEFAULT", name])
            raise ConfigError(f"environment {variable} = {value}: {words}") from error


def _version() -> str:
    from importlib.metadata import version  # 20 ms

    return version("kuryr-libnetwork")


# -- sections ----------------------------------------------------------------------------------------------------


def _plugin(reader: Reader) -> PluginSettings:
    get = reader.get
    return PluginSettings(
        host=get("host"),
        state_path=Path(get("state_path")),
        socket_path=Path(get("socket_path")),
        tcp=_tcp(reader),
        docker_socket=Path(get("docker_socket")) if get("docker_socket") else None,
        worker_threads=get("worker_threads"),
        reconcile_interval=get("reconcile_interval"),
        reconcile_grace=get("reconcile_grace"),
        capability_scope=get("capability_scope").lower(),
        local_default_address_space=get("local_default_address_space"),
        global_default_address_space=get("global_default_address_space"),
        enabled_port_drivers=_names(reader, "enabled_port_drivers", "DEFAULT"),
        default_port_driver=get("default_port_driver"),
        process_external_connectivity=get("process_external_connectivity"),
        subnetpool_name_prefix=get("subnetpool_name_prefix"),
        bindir=Path(get("bindir")),
        debug=get("debug"),
    )


def _binding(reader: Reader) -> BindingSettings:
    return BindingSettings(
        veth_dst_prefix=reader.get("veth_dst_prefix", "binding"),
        default_driver=reader.get("default_driver", "binding"),
        enabled_drivers=_names(reader, "enabled_drivers", "binding"),
        link_iface=reader.get("link_iface", "binding"),
        script_vif_types=tuple(reader.get("script_vif_types", "binding")),
    )


def _neutron(reader: Reader) -> NeutronSettings:
    def get(name: str) -> object:
        return reader.get(name, "neutron")

    fatal = reader.get("vif_plugging_is_fatal", "neutron")
    limit = reader.get("vif_plugging_timeout", "neutron")
    if fatal and not limit:
        reader.notices.append(
            Notice(
                logging.INFO,
                f"[neutron] vif_plugging_timeout is 0: a port gets {VIF_TIMEOUT_CAP} seconds to become ACTIVE",
            )
        )
    return NeutronSettings(
        timeout=_timeout(reader),
        enable_dhcp=reader.get("enable_dhcp", "neutron"),
        default_subnetpool_v4=reader.get("default_subnetpool_v4", "neutron"),
        default_subnetpool_v6=reader.get("default_subnetpool_v6", "neutron"),
        vif_plugging_is_fatal=fatal,
        vif_plugging_timeout=limit or VIF_TIMEOUT_CAP,
        agent_alive_timeout=reader.get("agent_alive_timeout", "neutron"),
        region_name=reader.get("region_name", "neutron") or None,
        endpoint_type=reader.get("endpoint_type", "neutron").lower(),
    )


def _ovs(reader: Reader) -> OvsSettings:
    return OvsSettings(
        ovsdb_connection=reader.get("ovsdb_connection", "ovs"), ovsdb_timeout=reader.get("ovsdb_timeout", "ovs")
    )


def _names(reader: Reader, name: str, section: str) -> tuple[str, ...]:
    names = tuple(reader.get(name, section))
    if not names:
        reader.refuse(name, section, "must hold at least one driver")
    return names


def _timeout(reader: Reader) -> float:
    """keystoneauth's own option has no limits: without one a dead cloud would hang Docker."""
    seconds: float | None = reader.get("timeout", "neutron")
    if seconds is None or not 1 <= seconds <= 600:
        reader.refuse("timeout", "neutron", "must be a number from 1 to 600")
    return seconds


# -- TCP ---------------------------------------------------------------------------------------------------------


def _tcp(reader: Reader) -> TcpSettings | None:
    text = reader.get("kuryr_uri")
    secure = reader.get("enable_ssl")
    if not text:
        if secure:
            reader.warn("enable_ssl is set but kuryr_uri is not: only the Unix socket is listened on")
        return None
    uri, port = _split(reader, text)
    host = uri.hostname or ""
    if uri.scheme == "https" and not secure:
        reader.refuse(
            "kuryr_uri", "DEFAULT", f"https needs enable_ssl = true, ssl_cert_file and ssl_key_file; {_OR_NONE}"
        )
    if not secure:
        if not is_loopback(host):
            reader.refuse(
                "kuryr_uri",
                "DEFAULT",
                "an address that other machines reach needs enable_ssl = true; "
                f"for Docker on this host use http://127.0.0.1:PORT, or {_OR_NONE}",
            )
        return TcpSettings(host=host, port=port, users=_users(reader))
    certified = bool(reader.get("ssl_ca_file"))
    if not certified and not is_loopback(host):
        reader.refuse(
            "kuryr_uri",
            "DEFAULT",
            "an address that other machines reach needs ssl_ca_file, the authority of the certificate that Docker "
            f"shows; for Docker on this host use 127.0.0.1, or {_OR_NONE}",
        )
    return TcpSettings(
        host=host,
        port=port,
        certificate=reader.readable("ssl_cert_file", "DEFAULT"),
        key=reader.readable("ssl_key_file", "DEFAULT"),
        client_ca=reader.readable("ssl_ca_file", "DEFAULT") if certified else None,
        users=frozenset() if certified else _users(reader),
    )


def _users(reader: Reader) -> frozenset[int] | None:
    """Ids of the users who are served without a certificate; ``None``: everybody on this host."""
    names = tuple(reader.get("kuryr_uri_users"))
    return None if "*" in names else frozenset(_user_id(reader, name) for name in names)


def _user_id(reader: Reader, name: str) -> int:
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        reader.refuse(
            "kuryr_uri_users", "DEFAULT", f"{name} is not a user of this host; must be names, numbers, or * for all"
        )


def _split(reader: Reader, text: str) -> tuple[SplitResult, int]:
    try:
        uri = urlsplit(text)
        port = DEFAULT_TCP_PORT if uri.port is None else uri.port
    except ValueError:  # unbalanced brackets, or an invalid port
        uri, port = SplitResult("", "", "", "", ""), 0
    extra = uri.path.strip("/") or uri.query or uri.fragment or uri.username
    if uri.scheme not in ("http", "https", "tcp") or not uri.hostname or not port or extra:
        reader.refuse("kuryr_uri", "DEFAULT", "must be http://ADDRESS:PORT or https://ADDRESS:PORT")
    return uri, port


# -- options that are ignored ------------------------------------------------------------------------------------


def _unread(reader: Reader) -> Iterator[Notice]:
    section = reader.conf.neutron.auth_section or "neutron"
    for (where, name), option in reader.conf.known.items():
        for old in config_reader.spellings(option) - {name}:
            origin = reader.sources.set_in_files(where, old)
            if origin is not None:
                yield Notice(logging.WARNING, f"{origin.place} {old}: the old name of {name}")
    for name in SECTIONS:
        known = reader.names(name) | {option for where, option in config_opts.FOREIGN if where == name}
        if name == "neutron":
            known |= _auth_spellings(reader, known)
        for text in config_source.unknown_options(reader.sources, name, known):
            yield Notice(logging.WARNING, text)
    for text in config_source.unknown_sections(reader.sources, (*SECTIONS, section)):
        yield Notice(logging.WARNING, text)
    for table in (config_opts.NO_EFFECT, config_opts.FOREIGN):
        for text in config_source.without_effect(reader.sources, table):
            yield Notice(logging.INFO, text)


def _auth_spellings(reader: Reader, known: set[str]) -> set[str]:
    """Options of the other auth plugins; looked up only if the file has an unknown option."""
    if set(reader.sources.options_of("neutron")) <= known:
        return set()
    from keystoneauth1 import loading  # loaded by now

    options = [
        option
        for plugin in ("password", "v3password", "v3applicationcredential", "v3token", "none")
        for option in loading.get_auth_plugin_conf_options(plugin)
    ]
    return {name for option in options for name in config_reader.spellings(option)}
