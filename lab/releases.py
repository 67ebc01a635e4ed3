# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The releases of Neutron that a lab can have.

Keystone and the openstack command are those of `.dev/neutron` with all of them.
"""

from dataclasses import dataclass
from pathlib import Path

from lab import venvs
from lab.errors import LabError
from lab.paths import LabPaths


@dataclass(frozen=True)
class Release:
    """``name``: the first number of its version. ``series``: what OpenStack calls it.

    ``wants``: its packages; none for the one that `./dev` installs. ``under_uwsgi``: whether the API can be served by
    uWSGI. Earlier releases have a server of their own, `neutron-server`: with ML2/OVN they hang under uWSGI at the
    first change. ``extensions``: drivers that it has besides those of all releases. ``role``: of its kuryr-servers
    unless `--role` says another one; where the role `service` does not see other projects' subnets, it is admin.
    """

    name: str
    series: str
    wants: tuple[str, ...] = ()
    under_uwsgi: bool = True
    extensions: tuple[str, ...] = ("port_trusted",)
    role: str = "member"

    def venv(self, paths: LabPaths) -> Path:
        """Where it is; installs it if it is not there yet."""
        return venvs.environment(paths.cache, f"neutron-{self.name}", self.wants) if self.wants else paths.neutron_venv

    def __str__(self) -> str:
        return f"Neutron {self.name} ({self.series})"


NEWEST = Release("29", "2026.2")
RELEASES = {
    each.name: each
    for each in (
        Release("24", "2024.1", ("neutron", "pymysql"), under_uwsgi=False, extensions=(), role="admin"),
        Release("26", "2025.1", ("neutron", "pymysql")),
        NEWEST,
    )
}


def named(name: str) -> Release:
    try:
        return RELEASES[name]
    except KeyError:
        msg = f"there is no Neutron {name!r} for a lab; there are {', '.join(RELEASES)}"
        raise LabError(msg) from None


def version(venv: Path) -> str:
    infos = venv.glob("lib/python3*/site-packages/neutron-*.dist-info")
    return "-".join(sorted(info.name.removeprefix("neutron-").removesuffix(".dist-info") for info in infos))
