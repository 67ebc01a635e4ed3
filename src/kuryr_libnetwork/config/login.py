# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a login to Keystone needs, by ``auth_type``: checked at the start, without asking Keystone.

keystoneauth marks few options as required: without a password it fails deep inside at the first request, and without a
project it gets a token whose catalog has no Neutron.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from oslo_config import cfg

from kuryr_libnetwork.config.reader import Reader
from kuryr_libnetwork.errors import ConfigError

DEFAULT_DOMAIN = ("default_domain_name", "default_domain_id")


class Need(NamedTuple):
    """One of ``options`` must be set (errors name the first), but only if ``beside`` is set and ``unless`` is not."""

    options: tuple[str, ...]
    beside: str = ""
    unless: str = ""


_USER = (
    Need(("username", "user_id")),
    Need(("user_domain_name", "user_domain_id", *DEFAULT_DOMAIN), beside="username", unless="user_id"),
)
_SCOPE = (
    Need(("project_name", "project_id", "trust_id", "system_scope", "domain_name", "domain_id")),
    Need(("project_domain_name", "project_domain_id", *DEFAULT_DOMAIN), beside="project_name", unless="project_id"),
)
_TENANT = (Need(("tenant_name", "tenant_id", "trust_id")),)
_PASSWORD, _TOKEN, _ENDPOINT = Need(("password",)), Need(("token",)), Need(("endpoint",))
_CLIENT = (Need(("client_id",)), Need(("discovery_endpoint", "access_token_endpoint")))
NEEDS: dict[str, tuple[Need, ...]] = {
    "none": (_ENDPOINT,),
    "admin_token": (_ENDPOINT, _TOKEN),
    "http_basic": (_ENDPOINT, Need(("username",)), _PASSWORD),
    "password": (*_USER, _PASSWORD, *_SCOPE),
    "v3password": (*_USER, _PASSWORD, *_SCOPE),
    "token": (_TOKEN, *_SCOPE),
    "v3token": (_TOKEN, *_SCOPE),
    "v3totp": (*_USER, Need(("passcode",)), *_SCOPE),
    "v2password": (Need(("username", "user_id")), _PASSWORD, *_TENANT),
    "v2token": (_TOKEN, *_TENANT),
    "v3oidcaccesstoken": _SCOPE,
    "v3oidcauthcode": (*_CLIENT, *_SCOPE),
    "v3oidcclientcredentials": (*_CLIENT, Need(("client_secret",)), *_SCOPE),
    "v3oidcdeviceauthz": (*_CLIENT, *_SCOPE),
    "v3oidcpassword": (*_CLIENT, *_SCOPE),
    "v3samlpassword": _SCOPE,
    "v3adfspassword": _SCOPE,
    "v3applicationcredential": (
        Need(("application_credential_id", "application_credential_name")),
        Need(("user_id", "username"), beside="application_credential_name", unless="application_credential_id"),
    ),
}
"""What is needed besides the options that keystoneauth requires. An application credential includes its project."""


def check_login(reader: Reader) -> None:
    """Raises ``ConfigError`` for a missing or unknown auth_type, missing options and unreadable certificates."""
    from keystoneauth1 import exceptions, loading  # loaded by now

    conf = reader.conf
    # Only now, after parsing: with auth_section set, auth_type is looked for in that section.
    loading.register_auth_conf_options(conf, "neutron")
    section = reader.get("auth_section", "neutron") or "neutron"
    method = reader.get("auth_type", section)
    if not method:
        reader.refuse("auth_type", section, "must name how to log in to Keystone, in most cases 'password'")
    try:
        options = loading.get_plugin_loader(method).get_options()
    except exceptions.NoMatchingPlugin:
        known = ", ".join(sorted(loading.get_available_plugin_names()))
        reader.refuse("auth_type", section, f"must be one of {known}")
    conf.register_opts(loading.get_auth_plugin_conf_options(method), group=section)
    _check_needs(reader, section, method, options)
    _check_urls(reader, section)
    try:
        loading.load_auth_from_conf_options(conf, "neutron")
    except (exceptions.ClientException, cfg.Error, ValueError, TypeError) as error:
        reader.check(section)  # names the option, if one is to blame
        raise ConfigError(f"{reader.place()}: [{section}]: {' '.join(str(error).split())}") from error
    for name in ("cafile", "certfile", "keyfile"):
        if reader.get(name, "neutron"):
            reader.readable(name, "neutron")


def _check_needs(reader: Reader, section: str, method: str, options: Iterable[Any]) -> None:
    known = {option.dest for option in options}
    required = [Need((option.dest,)) for option in options if option.required]

    def is_set(name: str) -> bool:
        return name in known and bool(reader.get(name, section))

    for need in (*required, *NEEDS.get(method, ())):
        names = [name for name in need.options if name in known]
        asked = not need.beside or (is_set(need.beside) and not is_set(need.unless))
        if asked and names and not any(is_set(name) for name in names):
            others = f" (or {', '.join(names[1:])})" if names[1:] else ""
            beside = f" beside {need.beside}" if need.beside else ""
            reader.refuse(names[0], section, f"auth_type {method} needs it{beside}{others}")


def _check_urls(reader: Reader, section: str) -> None:
    for name in ("auth_url", "endpoint"):
        if (section, name) in reader.conf.known and not _is_url(reader.get(name, section) or ""):
            reader.refuse(name, section, "must be a URL, http://... or https://...")


def _is_url(text: str) -> bool:
    try:
        uri = urlsplit(text)
        return uri.scheme in ("http", "https") and bool(uri.hostname) and uri.port != 0
    except ValueError:  # unbalanced brackets, or an invalid port
        return False
