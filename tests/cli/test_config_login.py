# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""What a login lacks is told at the start, by section, option and file, whatever its auth_type."""

from __future__ import annotations

from pathlib import Path

import pytest
from keystoneauth1 import loading

from kuryr_libnetwork.cli import server
from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import ConfigError
from tests.fakes.keystone import PASSWORD, FakeKeystone

URL = {"auth_url": "http://keystone:5000/v3"}
USER = {"username": "kuryr", "user_domain_name": "Default"}
SCOPE = {"project_name": "service", "project_domain_name": "Default"}
ENDPOINT = {"endpoint": "http://neutron:9696"}
FEDERATION = {"identity_provider": "idp", "protocol": "openid"}
IDENTITY_PROVIDER = FEDERATION | {"identity_provider_url": "http://idp", "username": "kuryr", "password": "p"}
SERVICE_PROVIDER = {"service_provider_endpoint": "http://sp", "service_provider_entity_id": "sp"}
CLIENT = {"client_id": "kuryr", "discovery_endpoint": "http://idp/.well-known"}
OAUTH2 = {"oauth2_endpoint": "http://keystone/token", "oauth2_client_id": "c"}
LOGINS: dict[str, dict[str, str]] = {
    "none": ENDPOINT,
    "admin_token": ENDPOINT | {"token": "t"},
    "http_basic": ENDPOINT | {"username": "kuryr", "password": "p"},
    "password": URL | USER | {"password": "p"} | SCOPE,
    "v3password": URL | USER | {"password": "p"} | SCOPE,
    "token": URL | {"token": "t"} | SCOPE,
    "v3token": URL | {"token": "t"} | SCOPE,
    "v3totp": URL | USER | {"passcode": "1"} | SCOPE,
    "v2password": URL | {"username": "kuryr", "password": "p", "tenant_name": "service"},
    "v2token": URL | {"token": "t", "tenant_name": "service"},
    "v3applicationcredential": URL | {"application_credential_secret": "s", "application_credential_id": "a"},
    "v3oauth2clientcredential": URL | OAUTH2 | {"oauth2_client_secret": "s"},
    "v3oauth2mtlsclientcredential": URL | OAUTH2,
    "v3oidcaccesstoken": URL | FEDERATION | {"access_token": "a"} | SCOPE,
    "v3oidcauthcode": URL | FEDERATION | CLIENT | {"code": "c", "redirect_uri": "http://here"} | SCOPE,
    "v3oidcclientcredentials": URL | FEDERATION | CLIENT | {"client_secret": "s"} | SCOPE,
    "v3oidcdeviceauthz": URL | FEDERATION | CLIENT | SCOPE,
    "v3oidcpassword": URL | FEDERATION | CLIENT | {"username": "kuryr", "password": "p"} | SCOPE,
    "v3samlpassword": URL | IDENTITY_PROVIDER | SCOPE,
    "v3adfspassword": URL | IDENTITY_PROVIDER | SERVICE_PROVIDER | SCOPE,
    "v3tokenlessauth": URL | SCOPE,
}
NOT_NEEDED = {
    ("v3oidcauthcode", "redirect_uri"),
    ("v3tokenlessauth", "project_name"),  # told in keystoneauth's own words
    ("v3tokenlessauth", "project_domain_name"),
}
NOT_FROM_A_FILE = {"v3websso", "v3multifactor"}
"""One opens a browser; of the other keystoneauth (5.18) reads the list of methods letter by letter."""
WITH_LXML = {"v3samlpassword", "v3adfspassword"}
"""keystoneauth has these only where lxml is installed."""
ALL = sorted(set(LOGINS) - (WITH_LXML - set(loading.get_available_plugin_names())))


def write(folder: Path, auth_type: str, options: dict[str, str], section: str = "neutron") -> Path:
    path = folder / "kuryr.conf"
    lines = [f"auth_type = {auth_type}", *(f"{name} = {value}" for name, value in options.items())]
    above = f"[neutron]\nauth_section = {section}\n" if section != "neutron" else ""
    path.write_text(f"{above}[{section}]\n" + "\n".join(lines))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load(["--config-file", str(path)])
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_known_auth_type_has_a_login_here() -> None:
    """A new release of keystoneauth would bring one whose needs nobody has looked at."""
    assert set(LOGINS) | NOT_FROM_A_FILE >= set(loading.get_available_plugin_names())  # an older one has fewer


@pytest.mark.parametrize("auth_type", ALL)
def test_a_whole_login_starts(tmp_path: Path, auth_type: str) -> None:
    """A cloud with this kind of login could not be used."""
    config.load(["--config-file", str(write(tmp_path, auth_type, LOGINS[auth_type]))])


CASES = [(each, name) for each in ALL for name in LOGINS[each] if (each, name) not in NOT_NEEDED]


@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
@pytest.mark.parametrize(("auth_type", "missing"), CASES, ids=[" ".join(case) for case in CASES])
def test_each_missing_option_is_named(tmp_path: Path, auth_type: str, missing: str, empty: bool) -> None:
    """The service would start, and every container fail with words of a library."""
    options = {name: value for name, value in LOGINS[auth_type].items() if name != missing}
    path = write(tmp_path, auth_type, options | ({missing: ""} if empty else {}), "cloud")
    text = refusal(path)
    assert text.startswith((f"{path}: [cloud] {missing} is not set: auth_type", f"{path}: [cloud] {missing} = "))
    assert f"auth_type {auth_type} needs it" in text


@pytest.mark.parametrize(
    ("auth_type", "left_out", "instead"),
    [
        ("password", {"username", "user_domain_name"}, {"user_id": "u"}),
        ("password", {"user_domain_name", "project_domain_name"}, {"default_domain_id": "default"}),
        ("password", {"project_name", "project_domain_name"}, {"project_id": "p"}),
        ("v3password", {"project_name", "project_domain_name"}, {"trust_id": "t"}),
        (
            "v3applicationcredential",
            {"application_credential_id"},
            {"application_credential_name": "kuryr", "user_id": "u"},
        ),
        ("v3oidcpassword", {"discovery_endpoint"}, {"access_token_endpoint": "http://idp/token"}),
    ],
)
def test_there_are_other_ways_to_say_it(
    tmp_path: Path, auth_type: str, left_out: set[str], instead: dict[str, str]
) -> None:
    """A right kuryr.conf would be refused."""
    options = {name: value for name, value in LOGINS[auth_type].items() if name not in left_out}
    config.load(["--config-file", str(write(tmp_path, auth_type, options | instead))])


def test_other_ways_are_named_where_all_are_missing(tmp_path: Path) -> None:
    """The operator would have to look them up."""
    path = write(tmp_path, "password", URL | {"user_id": "u", "password": "p"})
    assert refusal(path) == (
        f"{path}: [neutron] project_name is not set: auth_type password needs it "
        "(or project_id, trust_id, system_scope, domain_name, domain_id)"
    )


def test_what_keystoneauth_cannot_read_is_one_line(tmp_path: Path) -> None:
    """The start would end in a traceback of keystoneauth's."""
    path = write(tmp_path, "v3multifactor", URL | USER | SCOPE | {"auth_methods": "v3password,v3totp"})
    assert refusal(path).startswith(f"{path}: [neutron]: ")


def test_an_unknown_auth_type_names_the_known_ones(tmp_path: Path) -> None:
    """A misspelling would end in a list of libraries that could not be loaded."""
    path = write(tmp_path, "pasword", {})
    text = refusal(path)
    assert text.startswith(f"{path}: [neutron] auth_type = pasword: must be one of admin_token, http_basic, none, ")


@pytest.mark.parametrize(
    "url", ["keystone:5000", "http://", "http://k:99999/v3", "http://k:port", "http://[::1", "/v3"]
)
def test_a_url_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    """It would be the first container that fails."""
    path = write(tmp_path, "none", {"endpoint": url})
    assert refusal(path) == f"{path}: [neutron] endpoint = {url}: must be a URL, http://... or https://..."


@pytest.mark.parametrize("missing", ["username", "user_domain_name", "password", "project_name", "project_domain_name"])
def test_the_start_ends_in_one_line_and_keystone_is_not_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    """The service would look well, and its background be dead; or systemd start it again and again."""
    with FakeKeystone({}) as keystone:
        whole = USER | SCOPE | {"auth_url": keystone.url, "password": PASSWORD}
        path = write(tmp_path, "password", {name: value for name, value in whole.items() if name != missing})
        assert server.main(["--config-file", str(path)]) == server.EXIT_CONFIG == 2
        assert keystone.requests == []
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kuryr-server: {path}: [neutron] {missing} is not set: auth_type password needs it")
    assert PASSWORD not in line
