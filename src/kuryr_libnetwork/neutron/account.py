# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The service's user, project and roles, from Keystone's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kuryr_libnetwork.errors import NeutronForbidden, NeutronUnavailable
from kuryr_libnetwork.model.neutron import Id
from kuryr_libnetwork.rules.roles import Account

if TYPE_CHECKING:
    from keystoneauth1.access import AccessInfo

DEFAULT_DOMAIN = "default"
"""The id of the domain in which the openstack command looks for names."""


def account_of(access: AccessInfo) -> Account:
    """Raises :class:`~kuryr_libnetwork.errors.NeutronUnavailable` for a token that is not of Keystone's form."""
    try:
        told = {
            "user": access.username if access.user_domain_id == DEFAULT_DOMAIN else access.user_id,
            "project": access.project_name if access.project_domain_id == DEFAULT_DOMAIN else access.project_id,
            "roles": [name.lower() for name in access.role_names or ()],
            "application_credential": bool(getattr(access, "application_credential_id", None)),
        }
        return msgspec.convert(told, Account)
    except (LookupError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise NeutronUnavailable(f"no usable token of Keystone: {type(error).__name__}: {error}") from error


def project_of(told: object) -> str | None:
    """The id of the token's project; ``None``: the token has no project. Raises
    :class:`~kuryr_libnetwork.errors.NeutronUnavailable` for what is not an id.
    """
    if told is None:
        return None
    try:
        return msgspec.convert(told, Id)
    except msgspec.ValidationError as error:
        raise NeutronUnavailable(f"no usable token of Keystone: the project's id: {error}") from error


def no_project() -> NeutronForbidden:
    return NeutronForbidden(
        "the service's credentials are for no project, so it could not tell its own things from those of others; set "
        "[neutron] project_name (or project_id) and its domain"
    )
