# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Who is who in the lab's Keystone.

The passwords are no secrets: nobody but this machine reaches a lab.
"""

import re
from dataclasses import dataclass

from lab.errors import LabError
from lab.paths import KEYSTONE_URL

REGION = "RegionOne"
DOMAIN = "Default"


@dataclass(frozen=True)
class Person:
    """A user with roles in one project, which is his own unless others have the same."""

    name: str
    project: str
    roles: tuple[str, ...]

    @property
    def password(self) -> str:
        return f"{self.name}-in-the-lab"

    def environment(self) -> dict[str, str]:
        """The environment variables for the openstack command."""
        return {
            "OS_AUTH_TYPE": "password",
            "OS_AUTH_URL": KEYSTONE_URL,
            "OS_USERNAME": self.name,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": self.project,
            "OS_USER_DOMAIN_NAME": DOMAIN,
            "OS_PROJECT_DOMAIN_NAME": DOMAIN,
            "OS_REGION_NAME": REGION,
            "OS_IDENTITY_API_VERSION": "3",
        }

    def login(self, auth_url: str = KEYSTONE_URL) -> dict[str, str]:
        """The options with which a service logs in."""
        return {
            "auth_type": "password",
            "auth_url": auth_url,
            "username": self.name,
            "password": self.password,
            "project_name": self.project,
            "user_domain_name": DOMAIN,
            "project_domain_name": DOMAIN,
        }

    def options(self) -> str:
        """The same as the lines of a file."""
        return "".join(f"{name} = {value}\n" for name, value in self.login().items())


ADMIN = Person("admin", "admin", ("admin",))
# For what also requires the role service, such as writing `binding:profile`.
OPERATOR = Person("operator", "admin", ("admin", "service"))
NEUTRON = Person("neutron", "service", ("service",))
KURYR = Person("kuryr", "service", ("service", "member"))
KURYR_ADMIN = Person("kuryr-admin", "service", ("service", "admin"))
TENANT_READER = Person("tenant-reader", "tenant", ("reader",))
TENANT_MEMBER = Person("tenant-member", "tenant", ("member",))
TENANT_MANAGER = Person("tenant-manager", "tenant", ("manager",))
OTHER_MEMBER = Person("other-member", "other", ("member",))

EVERYBODY = (
    ADMIN,
    OPERATOR,
    NEUTRON,
    KURYR,
    KURYR_ADMIN,
    TENANT_READER,
    TENANT_MEMBER,
    TENANT_MANAGER,
    OTHER_MEMBER,
)

KURYR_BY_ROLE = {"member": KURYR, "admin": KURYR_ADMIN}
"""Who the lab's kuryr-servers are, by what `./dev up --role` names."""


def named(name: str) -> Person:
    for person in EVERYBODY:
        if person.name == name:
            return person
    msg = f"the lab has no user {name!r}, only {', '.join(person.name for person in EVERYBODY)}"
    raise LabError(msg)


def logged_in(text: str) -> Person:
    """Who logs in by a file of options."""
    found = re.search(r"(?m)^username = (.*)$", text)
    return named(found[1] if found else "")


def with_login(text: str, person: Person) -> str:
    """The text of an options file, with the login changed to another person."""
    new = {"username": person.name, "password": person.password, "project_name": person.project}
    return re.sub(r"(?m)^(username|password|project_name) = .*$", lambda line: f"{line[1]} = {new[line[1]]}", text)
