# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the lab's Neutron."""

import re
from pathlib import Path

from lab import people, releases
from lab.backend import OVN, Backend
from lab.paths import KEYSTONE_URL, NEUTRON_PORT, REPO, LabPaths
from lab.releases import Release

API_WORKERS = 3
# For a lab in which no agent talks RPC.
NO_BROKER = "fake://"
_EXTENSIONS = ("port_security", "qos", "dns_domain_ports", "tag_ports_during_bulk_creation")

_NEUTRON_CONF = """\
[DEFAULT]
auth_strategy = keystone
core_plugin = ml2
service_plugins = {backend.router},trunk,qos,segments
transport_url = {transport_url}
rpc_workers = 1
rpc_state_report_workers = 1
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
api_paste_config = {paste}
state_path = {state}
dns_domain = lab.example.
debug = false

[oslo_concurrency]
lock_path = {state}/lock

[keystone_authtoken]
www_authenticate_uri = {keystone}
service_token_roles = service
service_token_roles_required = true
{login}
[database]
connection = {database}
max_pool_size = 20

[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1

[ml2]
type_drivers = flat,vlan,{backend.tunnel},local
tenant_network_types = {backend.tunnel}
mechanism_drivers = {backend.mechanism},sriovnicswitch
extension_drivers = {extensions}

[ml2_type_geneve]
vni_ranges = 1:65535
max_header_size = 38

[ml2_type_vxlan]
vni_ranges = 1:65535

[ml2_type_flat]
flat_networks = physnet1,physnet2

[ml2_type_vlan]
network_vlan_ranges = physnet1:100:199,physnet2:100:199

[securitygroup]
enable_security_group = true
"""

_OVN = """
[ovn]
ovn_nb_connection = unix:{nb}
ovn_sb_connection = unix:{sb}
ovn_metadata_enabled = true
"""

# What uWSGI has in a file of its own.
_OWN_SERVER = """
[DEFAULT]
bind_port = {port}
api_workers = {workers}
wsgi_keep_alive = false
"""
_ACCESS_LOG = """
[filter:access_log]
paste.filter_factory = lab.access_log:factory
file = {access_log}
"""

# start-time: OVN's hash ring is built from it; without it no event of OVN reaches a worker.
_UWSGI = """\
[uwsgi]
http-socket = 0.0.0.0:{port}
virtualenv = {venv}
module = neutron.wsgi.api:application
master = true
processes = {workers}
enable-threads = true
lazy-apps = true
thunder-lock = true
die-on-term = true
need-app = true
listen = 100
buffer-size = 65535
start-time = %t
add-header = Connection: close
socket-timeout = 120
worker-reload-mercy = 5
req-logger = file:{access_log}
log-format = %(epoch)\t%(addr)\t%(method)\t%(uri)\t%(status)\t%(msecs)\t%(uagent)
"""


def database_url(socket: Path) -> str:
    return f"mysql+pymysql://root@localhost/neutron?unix_socket={socket}&charset=utf8"


def command(paths: LabPaths, release: Release) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command that serves the API, and its environment."""
    if not release.under_uwsgi:
        program = release.venv(paths) / "bin" / "neutron-server"
        return (str(program), "--config-file", str(paths.neutron_conf)), {"PYTHONPATH": str(REPO)}
    uwsgi = paths.neutron_venv / "bin" / "uwsgi"
    return (str(uwsgi), "--ini", str(_uwsgi_file(paths.neutron_conf))), {
        "OS_NEUTRON_CONFIG_FILES": str(paths.neutron_conf)
    }


def write(
    paths: LabPaths,
    *,
    conf: Path,
    mysql_socket: Path,
    transport_url: str = NO_BROKER,
    backend: Backend = OVN,
    release: Release = releases.NEWEST,
) -> None:
    """Write neutron.conf and its companion files."""
    state = conf.parent
    state.mkdir(parents=True, exist_ok=True)
    template = _NEUTRON_CONF + (_OVN if backend.is_ovn else "")
    conf.write_text(
        template.format(
            backend=backend,
            paste=_paste_file(paths, state, release),
            extensions=",".join([*_EXTENSIONS, *release.extensions]),
            state=state,
            database=database_url(mysql_socket),
            nb=paths.nb_socket,
            sb=paths.sb_socket,
            transport_url=transport_url,
            keystone=KEYSTONE_URL,
            login=people.NEUTRON.options(),
        )
        + ("" if release.under_uwsgi else _OWN_SERVER.format(port=NEUTRON_PORT, workers=API_WORKERS))
    )
    _uwsgi_file(conf).write_text(
        _UWSGI.format(
            port=NEUTRON_PORT, venv=release.venv(paths), workers=API_WORKERS, access_log=paths.neutron_access_log
        )
    )


def _uwsgi_file(conf: Path) -> Path:
    return conf.parent / "uwsgi.ini"


def _paste_file(paths: LabPaths, state: Path, release: Release) -> Path:
    """Neutron's own, or for a Neutron without uWSGI one with an access log before everything else."""
    shipped = release.venv(paths) / "etc" / "neutron" / "api-paste.ini"
    if release.under_uwsgi:
        return shipped
    file = state / "api-paste.ini"
    text = re.sub(r"(?m)^keystone = ", "keystone = access_log ", shipped.read_text())
    file.write_text(text + _ACCESS_LOG.format(access_log=paths.neutron_access_log))
    return file
