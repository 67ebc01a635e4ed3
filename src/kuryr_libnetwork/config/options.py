# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The options of kuryr.conf: names, types, defaults, help. :mod:`.config` reads them.

Names and meanings are those of kuryr-libnetwork 18 and kuryr-lib 3.5. Options that these lack say "New in 19" in their
help, and have defaults that keep the meaning of an older file.
"""

from __future__ import annotations

import copy
import socket
from collections.abc import Iterable
from typing import Any

from oslo_config import cfg

from kuryr_libnetwork.config import admin as config_admin, forms, port_pool as config_port_pool, sriov as config_sriov

VIF_TIMEOUT_CAP = 60
NEUTRON_TIMEOUT = 20
DEFAULT_TCP_PORT = 23750

# Options that upstream's code reads but ignores, or that are replaced here. Accepted, and logged once at the start.
NO_EFFECT = {
    ("DEFAULT", "port_driver"): "upstream never read it either; enabled_port_drivers and default_port_driver decide",
    ("DEFAULT", "deployment_type"): "upstream never read it either; the port's vnic_type decides",
    ("DEFAULT", "pybasedir"): "upstream never read it either",
}

# Options of other programs that deployment tools have long written into kuryr.conf.
FOREIGN = {
    ("neutron", "auth_uri"): "an option of keystonemiddleware; auth_url counts",
    ("neutron", "www_authenticate_uri"): "an option of keystonemiddleware; auth_url counts",
    ("neutron", "memcached_servers"): "an option of keystonemiddleware",
    ("neutron", "signing_dir"): "an option of keystonemiddleware",
    ("DEFAULT", "fatal_deprecations"): "for developers of oslo.log",
    ("neutron", "interface"): "an option of keystonemiddleware; endpoint_type counts",
}


def core_options() -> list[cfg.Opt]:
    """``[DEFAULT]`` as upstream has it."""
    return [*_docker_options(), *_driver_options(), *_tls_options(), *_idle_options()]


def _docker_options() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "kuryr-uri",
            type=forms.TEXT_OR_EMPTY,
            help="Also listen on TCP at this URI: http://127.0.0.1:23750, or any address with TLS and ssl_ca_file. "
            "Without TLS only loopback addresses are allowed. Not set, or empty: the Unix socket only. The environment "
            "variable OS_KURYR_URI gives the default. (Upstream listened on http://127.0.0.1:23750 by default.)",
        ),
        cfg.StrOpt(
            "capability_scope",
            choices=[("local", "networks of one host"), ("global", "networks of a swarm")],
            ignore_case=True,
            default="local",
            help="The scope that Docker is told. It stays 'local' for networks of a swarm as well. The environment "
            "variable CAPABILITY_SCOPE gives the default.",
        ),
        cfg.Opt(
            "local_default_address_space",
            type=forms.TEXT,
            default="no_address_space",
            help="Name of the address space for networks of local scope, as reported to Docker.",
        ),
        cfg.Opt(
            "global_default_address_space",
            type=forms.TEXT,
            default="no_address_space",
            help="Name of the address space for networks of global scope, as reported to Docker.",
        ),
    ]


def _driver_options() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "default_port_driver",
            type=forms.DRIVER,
            default="kuryr_libnetwork.port_driver.drivers.veth",
            help="Port driver for ports of vnic_type 'normal': full module path or bare name. (Without effect in "
            "upstream.)",
        ),
        cfg.ListOpt(
            "enabled_port_drivers",
            item_type=forms.DRIVER,
            default=["kuryr_libnetwork.port_driver.drivers.veth"],
            help="Port drivers that may be used: full module paths or bare names. An unknown name stops the start. "
            "(Without effect in upstream.)",
        ),
        cfg.Opt(
            "bindir",
            type=forms.ABSOLUTE,
            default="/usr/libexec/kuryr",
            help="Folder of executables that attach interfaces. One is run if it is named like the port's "
            "binding:vif_type and the service does not know that type; ovs, bridge and tap the service attaches "
            "itself, see script_vif_types.",
        ),
        cfg.BoolOpt(
            "process_external_connectivity",
            default=True,
            help="Open the ports that containers expose, by a security group of their own on the container's port. Zun "
            "does this itself and wants 'false'. (Without effect in upstream.)",
        ),
        cfg.Opt(
            "subnetpool_name_prefix",
            type=forms.POOL_PREFIX,
            default="kuryrPool",
            help="Subnetpools created for Docker are named PREFIX-CIDR.",
        ),
    ]


def _idle_options() -> list[cfg.Opt]:
    return [
        cfg.StrOpt("port_driver", help="Without effect."),
        cfg.StrOpt("deployment_type", default="baremetal", help="Without effect."),
        cfg.StrOpt("pybasedir", help="Without effect."),
    ]


def _tls_options() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt("enable_ssl", default=False, help="Use TLS at the TCP address of kuryr_uri."),
        cfg.Opt(
            "ssl_cert_file",
            type=forms.ABSOLUTE,
            mutable=True,
            default="/var/lib/kuryr/certs/cert.pem",
            help="Certificate (with its chain) of the TCP server, PEM.",
        ),
        cfg.Opt(
            "ssl_key_file",
            type=forms.ABSOLUTE,
            mutable=True,
            default="/var/lib/kuryr/certs/key.pem",
            help="Private key of the TCP server, PEM.",
        ),
        cfg.Opt(
            "ssl_ca_file",
            type=forms.ABSOLUTE_OR_EMPTY,
            mutable=True,
            default="",
            help="Clients at kuryr_uri have to show a certificate of this authority (PEM). Required if other machines "
            "can reach kuryr_uri. Empty: none is asked for. New in 19.",
        ),
        cfg.ListOpt(
            "kuryr_uri_users",
            item_type=forms.TEXT,
            default=["root"],
            help="Users of this host, names or numbers, whose processes are served at kuryr_uri if no client "
            "certificate is required (ssl_ca_file), besides root and the service's own user. '*' means all users, "
            "who can then control the network of this host. New in 19.",
        ),
    ]


def service_options() -> list[cfg.Opt]:
    """``[DEFAULT]`` that upstream does not have."""
    return [*_place_options(), *_pace_options()]


def _place_options() -> list[cfg.Opt]:
    return [
        cfg.Opt(
            "host",
            type=forms.HOST,
            default=socket.gethostname(),
            sample_default="<this host's name>",
            help="Name of this host in Neutron (binding:host_id). It has to be the name that the Neutron agent or OVN "
            "chassis of this host uses, as 'openstack network agent list' shows it. New in 19 (upstream: always "
            "the host's own name).",
        ),
        cfg.Opt(
            "state-path",
            type=forms.ABSOLUTE,
            default="/var/lib/kuryr",
            help="Folder of the journal, which has to survive a restart. Only root, or the service's own user, may be "
            "able to write to it. New in 19.",
        ),
        cfg.Opt(
            "socket-path",
            type=forms.SOCKET,
            default="/run/docker/plugins/kuryr.sock",
            help="Unix socket on which Docker finds the plugin. Not used if systemd hands over a socket. New in 19.",
        ),
        cfg.Opt(
            "docker_socket",
            type=forms.ENGINE_SOCKET,
            default="/var/run/docker.sock",
            help="Docker's Engine API, which is asked in the background which endpoints still exist. Empty: it is not "
            "asked. New in 19.",
        ),
    ]


def _pace_options() -> list[cfg.Opt]:
    return [
        cfg.IntOpt(
            "reconcile_interval",
            min=0,
            max=86400,
            default=60,
            help="Seconds between looks for leftovers of containers; 0: only at the start. Even then VFs, routes and "
            "address pairs in use are repaired every minute, and devices given back. New in 19.",
        ),
        cfg.IntOpt(
            "reconcile_grace",
            min=0,
            max=86400,
            default=120,
            help="Seconds for which something must have been unused before it is removed. New in 19.",
        ),
        cfg.IntOpt(
            "worker_threads",
            min=2,
            max=512,
            default=32,
            help="How many calls from Docker are processed at the same time. New in 19.",
        ),
    ]


def binding_options() -> list[cfg.Opt]:
    """``[binding]``."""
    return [
        cfg.Opt(
            "veth_dst_prefix",
            type=forms.DST_PREFIX,
            default="eth",
            help="Interfaces in containers are named PREFIX0, PREFIX1 and so on.",
        ),
        cfg.Opt(
            "default_driver",
            type=forms.DRIVER,
            deprecated_name="driver",
            default="kuryr.lib.binding.drivers.veth",
            help="Binding driver: full module path or bare name.",
        ),
        cfg.ListOpt(
            "enabled_drivers",
            item_type=forms.DRIVER,
            default=["kuryr.lib.binding.drivers.veth"],
            help="Binding drivers that may be used: full module paths or bare names.",
        ),
        cfg.Opt(
            "link_iface",
            type=forms.INTERFACE_OR_EMPTY,
            default="",
            help="The virtual machine's interface on which macvlan, ipvlan and VLAN interfaces of containers are "
            "created. Empty: the only interface that has a Neutron port.",
        ),
        cfg.ListOpt(
            "script_vif_types",
            item_type=forms.VIF_TYPE,
            default=[],
            help="Values of binding:vif_type (ovs, bridge, tap) for which the executable in bindir is run, although "
            "the service can attach the interface itself. New in 19.",
        ),
    ]


def neutron_options() -> list[cfg.Opt]:
    """``[neutron]`` without the options of keystoneauth."""
    return [
        cfg.BoolOpt("enable_dhcp", default=True, help="Turn on DHCP in subnets created for Docker."),
        cfg.Opt(
            "default_subnetpool_v4",
            type=forms.TEXT,
            default="kuryr",
            help="Name of the subnetpool for IPv4 networks created without --subnet.",
        ),
        cfg.Opt(
            "default_subnetpool_v6",
            type=forms.TEXT,
            default="kuryr6",
            help="Name of the subnetpool for IPv6 networks created without --subnet.",
        ),
        *_plugging_options(),
        cfg.StrOpt("region_name", help="Region of Neutron in the service catalog."),
        cfg.StrOpt(
            "endpoint_type",
            choices=[("public", "the public one"), ("internal", "the internal one"), ("admin", "the admin one")],
            ignore_case=True,
            default="public",
            help="Which of Neutron's endpoints in the service catalog to use.",
        ),
    ]


def _plugging_options() -> list[cfg.Opt]:
    return [
        cfg.BoolOpt(
            "vif_plugging_is_fatal",
            default=False,
            help="Start a container only when Neutron reports its port ACTIVE. Otherwise everything is undone, and the "
            "error names the port, its status and the state of this host's agents. With a DHCP agent (ML2/OVS) a "
            "port is ACTIVE only when that agent has reported as well.",
        ),
        cfg.IntOpt(
            "vif_plugging_timeout",
            min=0,
            max=3600,
            default=0,
            help="Seconds to wait for ACTIVE if vif_plugging_is_fatal is set; 0: the maximum, "
            f"{VIF_TIMEOUT_CAP} (upstream: forever, with the container locked in Docker).",
        ),
        cfg.IntOpt(
            "agent_alive_timeout",
            min=0,
            max=600,
            default=60,
            help="Seconds for which the start of a container waits for this host's agent (OVN Controller, Open "
            "vSwitch, NIC Switch) if Neutron cannot bind the port because the agent is not alive: after a boot "
            "Docker starts containers before the agent has reported, and does not retry them. Counted from when "
            "the agent was first missed, for all containers together; 0: no wait. New in 19.",
        ),
    ]


def ovs_options() -> list[cfg.Opt]:
    """``[ovs]``, new in 19."""
    return [
        cfg.Opt(
            "ovsdb_connection",
            type=forms.OVSDB,
            default="unix:/run/openvswitch/db.sock",
            help="Open vSwitch's database: unix:/PATH or tcp:ADDRESS:PORT. New in 19.",
        ),
        cfg.IntOpt(
            "ovsdb_timeout",
            min=1,
            max=300,
            default=10,
            help="Seconds after which a call to Open vSwitch's database is given up, and within which ovs-vswitchd has "
            "to connect a container's interface, or the container does not start. New in 19.",
        ),
    ]


def _keystoneauth_options() -> list[cfg.Opt]:
    """For the sample file: what keystoneauth reads in ``[neutron]``, with the options of the usual plugins."""
    from keystoneauth1 import loading  # 80 ms that only the sample needs here

    opts: list[Any] = [*loading.get_auth_common_conf_options(), *loading.get_session_conf_options()]
    for plugin in ("password", "v3applicationcredential", "none"):
        opts += loading.get_auth_plugin_conf_options(plugin)
    unique = {opt.dest: copy.copy(opt) for opt in reversed(opts)}
    unique["timeout"].default = NEUTRON_TIMEOUT
    return [unique[name] for name in sorted(unique)]


def list_opts() -> Iterable[tuple[str, list[cfg.Opt]]]:
    """What oslo-config-generator shows (entry point ``oslo.config.opts``)."""
    return [
        ("DEFAULT", [*core_options(), *service_options()]),
        ("binding", binding_options()),
        ("neutron", [*neutron_options(), *_keystoneauth_options()]),
        ("ovs", ovs_options()),
        (config_sriov.SECTION, config_sriov.options()),
        (config_admin.SECTION, config_admin.options()),
        (config_port_pool.SECTION, config_port_pool.options()),
    ]
