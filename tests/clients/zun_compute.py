# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Zun's compute agent on one host, without its message queue: Zun's own driver for Docker, its network code and tables.

A program of an environment with Zun. ``zun_compute.py CONFIG``: each line on stdin is a verb with its arguments as
JSON, ``["create", {"name": …}]``, and is answered by one line, ``{"answer": …}`` or ``{"error": …}``. Who the user is
says the environment, as for the openstack command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3
from oslo_db.sqlalchemy import enginefacade
from oslo_utils import uuidutils
from zun import conf, objects
from zun.common import config, consts, context
from zun.container.docker import driver
from zun.db.sqlalchemy import models

_PERSON = ("username", "password", "project_name", "user_domain_name", "project_domain_name", "auth_url")


class Compute:
    def __init__(self) -> None:
        with enginefacade.writer.using(context.get_admin_context()) as database:
            models.Base.metadata.create_all(database.get_bind())
        password: Any = v3.Password  # its parameters are of several types
        login = session.Session(password(**{key: os.environ[f"OS_{key.upper()}"] for key in _PERSON}))
        token = login.get_token()
        known = login.get(f"{os.environ['OS_AUTH_URL']}/auth/tokens", headers={"X-Subject-Token": token}).json()
        # What Zun's API hands to the agent.
        self._context = context.RequestContext(
            auth_token=token,
            auth_token_info=known,
            user_id=login.get_user_id(),
            project_id=login.get_project_id(),
            is_admin=False,
        )
        self._driver = driver.DockerDriver()
        self._containers: dict[str, Any] = {}

    def create(
        self,
        name: str,
        networks: list[dict[str, Any]],
        groups: list[str] | None = None,
        exposed: list[str] | None = None,
    ) -> dict[str, Any]:
        """``networks``: as Zun's API hands them to the agent; the last one is the container's first."""
        container = objects.Container(
            self._context,
            uuid=uuidutils.generate_uuid(),
            name=name,
            image="busybox",
            host=conf.CONF.host,
            status=consts.CREATING,
            project_id=self._context.project_id,
            user_id=self._context.user_id,
            security_groups=groups,
            exposed_ports={key: {} for key in exposed or []},
            command=["sleep", "600"],
            environment={},
            labels={},
            tty=False,
            interactive=False,
            auto_remove=False,
            privileged=False,
        )
        container.create(self._context)
        self._containers[name] = container
        image = {"repo": "busybox", "tag": "latest"}
        self._driver.create(self._context, container, image, [_requested(each) for each in networks], {})
        return self.show(name)

    def start(self, name: str) -> dict[str, Any]:
        self._driver.start(self._context, self._containers[name])
        return self.show(name)

    def run(self, name: str, **wanted: Any) -> dict[str, Any]:
        self.create(name, **wanted)
        return self.start(name)

    def stop(self, name: str) -> None:
        self._driver.stop(self._context, self._containers[name], 1)

    def reboot(self, name: str) -> None:
        self._driver.reboot(self._context, self._containers[name], 1)

    def delete(self, name: str) -> None:
        container = self._containers.pop(name)
        self._driver.delete(self._context, container, True)
        container.destroy(self._context)

    def attach(self, name: str, network: dict[str, Any]) -> dict[str, Any]:
        self._driver.network_attach(self._context, self._containers[name], _requested(network))
        return self.show(name)

    def detach(self, name: str, network: str) -> None:
        self._driver.network_detach(self._context, self._containers[name], network)

    def add_group(self, name: str, group: str) -> None:
        self._driver.add_security_group(self._context, self._containers[name], group)

    def remove_group(self, name: str, group: str) -> None:
        self._driver.remove_security_group(self._context, self._containers[name], group)

    def delete_networks(self) -> None:
        """The Docker networks that it has made."""
        for network in objects.ZunNetwork.list(self._context):
            self._driver.delete_network(self._context, network)

    def show(self, name: str) -> dict[str, Any]:
        container = self._driver.show(self._context, self._containers[name])
        fields = ("uuid", "container_id", "status", "addresses", "security_groups", "ports")
        return {field: getattr(container, field) for field in fields}

    def together(self, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
        """All at once; the first error is the answer."""
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: self.call(*call), calls))

    def call(self, verb: str, arguments: dict[str, Any]) -> Any:
        method: Callable[..., Any] = getattr(self, verb)
        return method(**arguments)


def _requested(network: dict[str, Any]) -> dict[str, Any]:
    """What Zun's API makes of a network that the user names: his own port is his afterwards."""
    return {"port": "", "fixed_ip": "", "preserve_on_delete": bool(network.get("port")), **network}


def main() -> None:
    config.parse_args(["zun-compute"], [sys.argv[1]])
    compute = Compute()
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else is printed is no answer
    for line in sys.stdin:
        verb, arguments = json.loads(line)
        try:
            answer = {"answer": compute.call(verb, arguments)}
        except Exception as error:  # noqa: BLE001  the boundary of a call: the test reads it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
