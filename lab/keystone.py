# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Keystone, with everybody of `lab.people` and the catalogue's one endpoint, Neutron's.

Database and keys are made once and kept as a template below `.dev/cache`: each lab begins with a copy. The database is
SQLite's, so that Keystone starts beside MariaDB and Neutron, not after them.
"""

import hashlib
import shutil
import signal
from pathlib import Path
from typing import Any

from lab import http, people
from lab.http import Connect
from lab.openstack import Session
from lab.paths import CLOUD_ADDRESS, KEYSTONE_PORT, KEYSTONE_URL, NEUTRON_URL, LabPaths
from lab.process import Place, Program, Registry, run, wait_until
from lab.sriov import packages as sriov_packages

NAME = "keystone"
DOMAIN_ID = "default"  # of the domain that always exists, `people.DOMAIN`

_CONF = """\
[DEFAULT]
use_stderr = true

[database]
connection = sqlite:///{state}/keystone.db

[token]
provider = fernet

[fernet_tokens]
key_repository = {state}/fernet-keys

# Nobody gets receipts (of logins in several steps); elsewhere their keys would be made below /etc.
[fernet_receipts]
key_repository = {state}/fernet-keys

[identity]
# The least that it takes: real passwords take a third of a second each.
password_hash_rounds = 4
"""

# One process without a master: if it is killed, nothing keeps holding the port. One request at a time: SQLite refuses
# the second of two writers, and a user's first login of a day writes.
_UWSGI = """\
[uwsgi]
http-socket = {listen}
virtualenv = {venv}
module = keystone.wsgi.api:application
die-on-term = true
need-app = true
listen = 100
buffer-size = 65535
add-header = Connection: close
socket-timeout = 120
"""


def start(paths: LabPaths, registry: Registry) -> None:
    state = paths.state / NAME
    if not registry.running(NAME) and not state.exists():
        shutil.copytree(_template(paths, registry), state)
    connect = http.inside(paths.netns, (CLOUD_ADDRESS, KEYSTONE_PORT))
    _serve(paths, registry, state, f"0.0.0.0:{KEYSTONE_PORT}", connect)


def _serve(paths: LabPaths, registry: Registry, state: Path, listen: str, connect: Connect) -> None:
    if not registry.running(NAME):
        conf = _write_conf(state)
        file = state / "uwsgi.ini"
        file.write_text(_UWSGI.format(listen=listen, venv=paths.neutron_venv))
        argv = (str(paths.neutron_venv / "bin" / "uwsgi"), "--ini", str(file))
        env = {"OS_KEYSTONE_CONFIG_FILES": str(conf)}
        # A lab's database is deleted with it, and the template's is on disk after each transaction.
        registry.start(Program(NAME, argv, Place(paths.netns), paths.log(NAME), env, signal.SIGKILL))
    record = registry.running(NAME) or registry.get(NAME)
    if record is not None:
        wait_until(lambda: http.answers(connect, "GET", "/v3"), record, 60)


def _write_conf(state: Path) -> Path:
    conf = state / "keystone.conf"
    conf.write_text(_CONF.format(state=state))
    return conf


def _template(paths: LabPaths, registry: Registry) -> Path:
    content = repr((_CONF, people.EVERYBODY, [each.password for each in people.EVERYBODY], KEYSTONE_URL, NEUTRON_URL))
    key = hashlib.sha256(content.encode()).hexdigest()[:10]
    template = paths.cache / f"keystone-{_version(paths)}-{key}"
    with sriov_packages.made_once(template, "making Keystone's template") as draft:
        if draft is not None:
            _set_up(paths, draft)
            # Not in its usual place, where the lab that is starting looks for the real one.
            door = http.unix(paths.run / "keystone.sock")
            _serve(paths, registry, draft, str(paths.run / "keystone.sock"), door)
            try:
                _introduce(Session(people.ADMIN, keystone=door))
            finally:
                registry.stop([NAME], sudden=True)
    return template


def _version(paths: LabPaths) -> str:
    infos = paths.neutron_venv.glob("lib/python3*/site-packages/keystone-*.dist-info")
    return "-".join(sorted(info.name.removeprefix("keystone-").removesuffix(".dist-info") for info in infos))


def _set_up(paths: LabPaths, state: Path) -> None:
    """The tables, the keys, and the first user with his catalogue."""
    conf = _write_conf(state)
    owner = ("--keystone-user", "root", "--keystone-group", "root")
    urls = (f"--bootstrap-{kind}-url={KEYSTONE_URL}" for kind in ("admin", "internal", "public"))
    first = ("--bootstrap-password", people.ADMIN.password, "--bootstrap-region-id", people.REGION, *urls)
    for words in (
        ("db_sync",),
        ("fernet_setup", *owner),
        ("bootstrap", *first),
    ):
        command = [str(paths.neutron_venv / "bin" / "keystone-manage"), "--config-file", str(conf), *words]
        run(command, env={"PYTHONWARNINGS": "ignore"}, log=paths.log("keystone-template"), timeout=180)


def _introduce(admin: Session) -> None:
    """Everybody, with projects and roles, and Neutron in the catalogue. `bootstrap` has made the roles and the
    admin.
    """
    roles = {role["name"]: role["id"] for role in admin.keystone("GET", "/v3/roles")["roles"]}
    projects = {each["name"]: each["id"] for each in admin.keystone("GET", "/v3/projects")["projects"]}
    for person in people.EVERYBODY:
        if person.project not in projects:
            projects[person.project] = _make(admin, "project", name=person.project, domain_id=DOMAIN_ID)
        if person != people.ADMIN:
            user = _make(admin, "user", name=person.name, password=person.password, domain_id=DOMAIN_ID)
            for role in person.roles:
                path = f"/v3/projects/{projects[person.project]}/users/{user}/roles/{roles[role]}"
                admin.keystone("PUT", path)
    service = _make(admin, "service", type="network", name="neutron")
    for interface in ("public", "internal", "admin"):
        _make(admin, "endpoint", service_id=service, interface=interface, region_id=people.REGION, url=NEUTRON_URL)


def _make(admin: Session, kind: str, **attributes: Any) -> str:
    """Create a resource; answers its id."""
    return str(admin.keystone("POST", f"/v3/{kind}s", {kind: attributes})[kind]["id"])
