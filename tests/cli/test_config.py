# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kuryr_libnetwork.config import read as config
from kuryr_libnetwork.errors import ConfigError
from kuryr_libnetwork.model.settings import AdminSettings

ACCOUNT = """\
username = u
user_domain_name = Default
password = secret-word
project_name = service
project_domain_name = Default
"""
LOGIN = f"[neutron]\nauth_type = password\nauth_url = http://keystone:5000/v3\n{ACCOUNT}"
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_other_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    for name in list(os.environ):
        if name.startswith("OS_") or name == "CAPABILITY_SCOPE":
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, *, login: bool = True, name: str = "kuryr.conf") -> Path:
        path = tmp_path / name
        path.write_text(text + ("\n" + LOGIN if login else ""))
        return path

    return _write


def load(path: Path, *words: str) -> config.Settings:
    return config.load(["--config-file", str(path), *words])


def refusal(path: Path, *words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, *words)
    line = str(caught.value)
    assert "\n" not in line
    return line


def notices(path: Path, *words: str) -> list[config.Notice]:
    return list(config.read(["--config-file", str(path), *words]).notices)


# -- meaning -----------------------------------------------------------------------------------------------------


def test_defaults(write: Write) -> None:
    """Fails if a file that only says how to log in no longer means what upstream's defaults mean."""
    found = load(write(""))
    assert found.plugin.host == socket.gethostname()
    assert found.plugin.state_path == Path("/var/lib/kuryr")
    assert found.plugin.socket_path == Path("/run/docker/plugins/kuryr.sock")
    assert found.plugin.docker_socket == Path("/var/run/docker.sock")
    assert found.plugin.tcp is None
    assert (found.plugin.reconcile_interval, found.plugin.reconcile_grace) == (60, 120)
    assert found.plugin.capability_scope == "local"
    assert found.plugin.local_default_address_space == found.plugin.global_default_address_space == "no_address_space"
    assert found.plugin.enabled_port_drivers == ("kuryr_libnetwork.port_driver.drivers.veth",)
    assert found.plugin.process_external_connectivity is True
    assert found.plugin.subnetpool_name_prefix == "kuryrPool"
    assert found.neutron.enable_dhcp is True
    assert (found.neutron.default_subnetpool_v4, found.neutron.default_subnetpool_v6) == ("kuryr", "kuryr6")
    assert found.neutron.timeout == 20
    assert found.neutron.endpoint_type == "public"
    assert found.neutron.region_name is None
    assert found.binding.veth_dst_prefix == "eth"
    assert found.binding.enabled_drivers == ("kuryr.lib.binding.drivers.veth",)
    assert found.ovs.ovsdb_connection == "unix:/run/openvswitch/db.sock"


def test_where_operators_are_answered(write: Write) -> None:
    """The command would not find the service, or Prometheus not reach it."""
    assert load(write("")).admin == AdminSettings(socket=Path("/run/kuryr/admin.sock"))
    assert load(write("[admin]\nsocket =\nlisten = [::1]:9697")).admin == AdminSettings(listen=("::1", 9697))


def test_settings_cannot_be_changed(write: Write) -> None:
    """Fails if a driver could change what another one reads."""
    with pytest.raises(AttributeError):
        load(write("")).plugin.host = "other"  # type: ignore[misc]
    assert issubclass(config.Settings, msgspec.Struct)


def test_keystoneauth_gets_the_default_timeout(write: Write) -> None:
    """Fails if sessions that keystoneauth builds from the configuration wait for ever, as its own default does."""
    found = config.read(["--config-file", str(write(""))])
    assert found.conf.neutron.timeout == 20


def test_later_file_wins_and_directory_after_files(write: Write, tmp_path: Path) -> None:
    """Fails if --config-file cannot be repeated or --config-dir no longer overrides."""
    first = write("[DEFAULT]\nhost = one\nreconcile_grace = 1\n[binding]\nlink_iface = ens3")
    second = write("[DEFAULT]\nhost = two\nreconcile_grace = 2", login=False, name="second.conf")
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "10-host.conf").write_text("[DEFAULT]\nhost = three\n")
    found = load(first, "--config-file", str(second), "--config-dir", str(folder))
    assert (found.plugin.host, found.plugin.reconcile_grace, found.binding.link_iface) == ("three", 2, "ens3")


def test_default_files_are_those_of_project_kuryr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fails if kuryr.conf is no longer found without --config-file."""
    (tmp_path / ".kuryr").mkdir()
    (tmp_path / ".kuryr" / "kuryr.conf").write_text("[DEFAULT]\nhost = from-home\n" + LOGIN)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config.load([]).plugin.host == "from-home"


def test_command_line_wins(write: Write) -> None:
    """Fails if --host, --state-path, --socket-path or --kuryr-uri lose against the file."""
    path = write("[DEFAULT]\nhost = file\nstate_path = /f\nsocket_path = /f.sock\nkuryr_uri = http://127.0.0.1:1")
    words = ("--host", "h", "--state-path", "/c", "--socket-path", "/c.sock", "--kuryr-uri", "http://127.0.0.1:2")
    found = load(path, *words).plugin
    assert found.tcp is not None
    assert (found.host, str(found.state_path), str(found.socket_path), found.tcp.port) == ("h", "/c", "/c.sock", 2)


def test_upstream_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if OS_KURYR_URI and CAPABILITY_SCOPE, which upstream's containers set, stop giving the defaults."""
    monkeypatch.setenv("OS_KURYR_URI", "http://127.0.0.1:23751")
    monkeypatch.setenv("CAPABILITY_SCOPE", "global")
    found = load(write("")).plugin
    assert found.tcp is not None
    assert (found.tcp.port, found.capability_scope) == (23751, "global")
    assert load(write("[DEFAULT]\ncapability_scope = local")).plugin.capability_scope == "local"


def test_docker_socket_can_be_turned_off(write: Write) -> None:
    """Fails if an empty docker_socket still makes the service look at Docker."""
    assert load(write("[DEFAULT]\ndocker_socket =")).plugin.docker_socket is None


def test_waiting_for_active_always_has_a_limit(write: Write) -> None:
    """Fails if vif_plugging_timeout 0 lets docker run wait for ever, as upstream's does."""
    path = write("[neutron]\nvif_plugging_is_fatal = true\nvif_plugging_timeout = 0")
    assert load(path).neutron.vif_plugging_timeout == config.VIF_TIMEOUT_CAP
    assert any("vif_plugging_timeout is 0" in notice.text for notice in notices(path))
    assert load(write("[neutron]\nvif_plugging_timeout = 7")).neutron.vif_plugging_timeout == 7


def test_tls(write: Write, tmp_path: Path) -> None:
    """Fails if enable_ssl does not lead to certificate and key, or ssl_ca_file does not demand client certificates."""
    for name in ("cert", "key", "ca"):
        (tmp_path / name).write_text("x")
    text = (
        f"[DEFAULT]\nkuryr_uri = https://[2001:db8::1]\nenable_ssl = true\n"
        f"ssl_cert_file = {tmp_path}/cert\nssl_key_file = {tmp_path}/key\n"
    )
    with pytest.raises(ConfigError, match="an address that other machines reach needs ssl_ca_file"):
        load(write(text))
    path = write(f"{text}ssl_ca_file = {tmp_path}/ca")
    tcp = load(path).plugin.tcp
    assert tcp is not None
    assert (tcp.host, tcp.port, tcp.certificate) == ("2001:db8::1", 23750, tmp_path / "cert")
    assert tcp.client_ca == tmp_path / "ca"
    assert not any("kuryr_uri" in notice.text for notice in notices(path))


def test_who_is_served_without_a_certificate(write: Write) -> None:
    """Fails if plain HTTP on loopback is open to every user of the host, or those who are named are others."""
    text = "[DEFAULT]\nkuryr_uri = http://127.0.0.1:23750\n"
    for line, users in (
        ("", {0}),
        ("kuryr_uri_users = nobody, 12345\n", {65534, 12345}),
        ("kuryr_uri_users =\n", set()),
        ("kuryr_uri_users = *\n", None),
    ):
        tcp = load(write(text + line)).plugin.tcp
        assert tcp is not None
        assert tcp.users == users


def test_users_that_there_are_not(write: Write) -> None:
    """Fails if a misspelt user is found out when its first call is refused."""
    with pytest.raises(ConfigError, match=r"kuryr_uri_users = .*no-such-user is not a user of this host"):
        load(write("[DEFAULT]\nkuryr_uri = http://127.0.0.1:1\nkuryr_uri_users = root, no-such-user"))


def test_auth_section(write: Write) -> None:
    """Fails if credentials in a section of their own (auth_section) are not found."""
    text = "[neutron]\nauth_section = cloud\n[cloud]\nauth_type = password\nauth_url = http://k/v3\n" + ACCOUNT
    assert config.read(["--config-file", str(write(text, login=False))]).conf.cloud.username == "u"


# -- wrong values ------------------------------------------------------------------------------------------------

WRONG = [
    ("DEFAULT", "capability_scope = swarm", "must be one of local, global"),
    ("DEFAULT", "process_external_connectivity = perhaps", "must be true or false"),
    ("DEFAULT", "debug = loud", "must be true or false"),
    ("DEFAULT", "reconcile_interval = -1", "must be a whole number from 0 to 86400"),
    ("DEFAULT", "reconcile_grace = 2m", "must be a whole number from 0 to 86400"),
    ("DEFAULT", "worker_threads = 1", "must be a whole number from 2 to 512"),
    ("DEFAULT", "state_path = var/lib/kuryr", "must be an absolute path"),
    ("DEFAULT", "state_path =", "must be an absolute path"),
    ("DEFAULT", "socket_path = kuryr.sock", "must be an absolute path of at most 107 bytes"),
    ("DEFAULT", f"socket_path = /run/{'k' * 103}", "must be an absolute path of at most 107 bytes"),
    ("DEFAULT", "docker_socket = docker.sock", "must be an absolute path of at most 107 bytes, or empty for no look"),
    ("DEFAULT", "host =", "must be a host name of 1 to 255 visible characters"),
    ("DEFAULT", "host = two words", "must be a host name of 1 to 255 visible characters"),
    ("DEFAULT", "enabled_port_drivers = veth, 9", "must be a list, each a driver's name or full module path"),
    ("DEFAULT", "enabled_port_drivers =", "must hold at least one driver"),
    ("DEFAULT", "default_port_driver = a b", "must be a driver's name or full module path"),
    ("DEFAULT", "subnetpool_name_prefix =", "must be a text of 1 to 200 characters"),
    ("DEFAULT", "kuryr_uri = 127.0.0.1:23750", "must be http://ADDRESS:PORT or https://ADDRESS:PORT"),
    ("DEFAULT", "kuryr_uri = http://127.0.0.1:99999", "must be http://ADDRESS:PORT or https://ADDRESS:PORT"),
    ("DEFAULT", "kuryr_uri = http://127.0.0.1:0", "must be http://ADDRESS:PORT or https://ADDRESS:PORT"),
    ("DEFAULT", "kuryr_uri = http://[::1", "must be http://ADDRESS:PORT or https://ADDRESS:PORT"),
    ("DEFAULT", "kuryr_uri = unix:///run/kuryr.sock", "must be http://ADDRESS:PORT or https://ADDRESS:PORT"),
    ("DEFAULT", "kuryr_uri = http://0.0.0.0:23750", "needs enable_ssl = true"),
    ("DEFAULT", "kuryr_uri = http://10.0.0.5:23750", "for Docker on this host use http://127.0.0.1:PORT"),
    ("DEFAULT", "kuryr_uri = https://127.0.0.1:23750", "https needs enable_ssl = true"),
    ("binding", "veth_dst_prefix = a/b", "must be 1 to 11 of the characters"),
    ("binding", "veth_dst_prefix = twelve_chars", "must be 1 to 11 of the characters"),
    ("binding", "veth_dst_prefix =", "must be 1 to 11 of the characters"),
    ("binding", "enabled_drivers =", "must hold at least one driver"),
    ("binding", "script_vif_types = ovs,../sh", "must be a list, each a binding:vif_type, as ovs, bridge or tap"),
    ("binding", "link_iface = sixteen_letters_", "must be an interface name of at most 15 characters, or empty"),
    ("neutron", "enable_dhcp = sometimes", "must be true or false"),
    ("neutron", "endpoint_type = publicURL", "must be one of public, internal, admin"),
    ("neutron", "default_subnetpool_v4 =", "must be a text that is not empty"),
    ("neutron", "vif_plugging_timeout = -5", "must be a whole number from 0 to 3600"),
    ("neutron", "timeout = 0", "must be a number from 1 to 600"),
    ("neutron", "timeout = soon", " number"),
    ("neutron", "insecure = hmm", "must be true or false"),
    ("neutron", "cafile = /nowhere/ca.pem", "no such file"),
    ("neutron", "auth_type = passwort", "must be one of "),
    ("neutron", "auth_url = keystone:5000", "must be a URL, http://... or https://..."),
    ("neutron", "auth_url = http://[::1", "must be a URL, http://... or https://..."),
    ("ovs", "ovsdb_connection = /run/openvswitch/db.sock", "must be unix:/absolute/path or tcp:ADDRESS:PORT"),
    ("ovs", "ovsdb_timeout = 0", "must be a whole number from 1 to 300"),
    ("admin", "socket = admin.sock", "must be an absolute path of at most 107 bytes, or empty for none"),
    ("admin", f"socket = /run/{'k' * 103}", "must be an absolute path of at most 107 bytes, or empty for none"),
    *(
        ("admin", f"listen = {value}", "must be ADDRESS:PORT with a loopback address, as 127.0.0.1:9697 or [::1]:9697")
        for value in (
            "9697",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:99999",
            "0.0.0.0:9697",
            "10.0.0.5:9697",
            "http://127.0.0.1:9697",
            "x@127.0.0.1:9697",
            "[::1:9697",
        )
    ),
]


@pytest.mark.parametrize(("section", "line", "allowed"), WRONG, ids=[line for _, line, _ in WRONG])
def test_wrong_value(write: Write, section: str, line: str, allowed: str) -> None:
    """Fails if a wrong value does not stop the start by naming file, section, option, value and what is allowed."""
    path = write(f"{LOGIN}[{section}]\n{line}", login=False)
    option, _, value = line.partition("=")
    expected = f"{path}: [{section}] {option.strip()} = {value.strip()}: "
    text = refusal(path)
    assert text.startswith(expected)
    assert allowed in text


def test_wrong_value_under_its_old_name(write: Write) -> None:
    """Fails if the line about a wrong value names an option that is not in the file."""
    path = write("[binding]\ndriver = no driver")
    assert refusal(path) == f"{path}: [binding] driver = no driver: must be a driver's name or full module path"


def test_wrong_value_in_the_last_of_several_files(write: Write) -> None:
    """Fails if the line about a wrong value names a file that does not hold it."""
    other = write("[ovs]\novsdb_timeout = 5", name="good.conf")
    path = write("[ovs]\novsdb_timeout = x", login=False)
    assert refusal(other, "--config-file", str(path)).startswith(f"{path}: [ovs] ovsdb_timeout = x: ")


def test_wrong_value_on_the_command_line(write: Write) -> None:
    """Fails if a wrong flag is reported as if it stood in a file."""
    path = write("[DEFAULT]\nstate_path = /good")
    assert refusal(path, "--state-path=bad") == "command line --state-path = bad: must be an absolute path"
    assert refusal(path, "--state-path", "bad") == "command line --state-path = bad: must be an absolute path"


def test_wrong_value_in_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if a wrong environment variable is not named."""
    monkeypatch.setenv("OS_KURYR_URI", "nonsense")
    assert refusal(write("")).startswith("environment OS_KURYR_URI = nonsense: must be http://")
    monkeypatch.delenv("OS_KURYR_URI")
    monkeypatch.setenv("CAPABILITY_SCOPE", "nonsense")
    assert refusal(write("")) == "environment CAPABILITY_SCOPE = nonsense: must be one of local, global"
    monkeypatch.delenv("CAPABILITY_SCOPE")
    monkeypatch.setenv("OS_OVS__OVSDB_TIMEOUT", "x")
    assert refusal(write("")).startswith("environment OS_OVS__OVSDB_TIMEOUT = x: must be a whole number")


def test_secrets_are_never_shown(write: Write) -> None:
    """Fails if a password gets into the journal because it holds a $."""
    path = write(LOGIN.replace("secret-word", "my$secret"), login=False)
    assert refusal(path) == f"{path}: [neutron] password = ***: write $$ for a $ in a value"


def test_no_login(write: Write) -> None:
    """Fails if a service without any way to log in starts and fails at every container instead."""
    path = write("[neutron]", login=False)
    assert refusal(path).startswith(f"{path}: [neutron] auth_type is not set: ")
    path = write("[neutron]\nauth_type = password", login=False)
    assert refusal(path) == f"{path}: [neutron] auth_url is not set: auth_type password needs it"
    path = write("[neutron]\nauth_type = none", login=False)
    assert refusal(path).startswith(f"{path}: [neutron] endpoint is not set: ")


def test_no_file_at_all() -> None:
    """Fails if a start without any configuration does not say that none was found."""
    with pytest.raises(ConfigError, match=r"^no configuration file found: \[neutron\] auth_type is not set"):
        config.load([])


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """Fails if a wrong --config-file is passed over."""
    assert refusal(tmp_path / "no.conf") == f"{tmp_path}/no.conf: cannot be read: No such file or directory"


def test_directory_that_is_not_there(write: Write, tmp_path: Path) -> None:
    """Fails if a wrong --config-dir is passed over."""
    assert f"{tmp_path}/no.d" in refusal(write(""), "--config-dir", f"{tmp_path}/no.d")


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Fails if the line about an unreadable file does not name it."""
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize("text", ["host = x", "[DEFAULT\nhost = x", "[DEFAULT]\n= x", "[DEFAULT]\njust words"])
def test_broken_file(write: Write, text: str) -> None:
    """Fails if a file that is no INI file gives a traceback or many lines."""
    path = write(text, login=False)
    assert refusal(path).startswith(f"{path}: ")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """Fails if a file of another encoding gives a traceback."""
    path = tmp_path / "kuryr.conf"
    path.write_bytes(b"[DEFAULT]\nhost = \xff\xfe\n")
    assert str(path) in refusal(path)


def test_tls_files_that_are_not_there(write: Write) -> None:
    """Fails if TLS without a certificate stops the start without saying which file is missing."""
    text = "[DEFAULT]\nkuryr_uri = https://127.0.0.1\nenable_ssl = true\n"
    path = write(text + "ssl_cert_file = /nowhere/cert.pem")
    assert refusal(path) == f"{path}: [DEFAULT] ssl_cert_file = /nowhere/cert.pem: no such file"
    line = refusal(write(text))
    assert "ssl_cert_file is not set and its default /var/lib/kuryr/certs/cert.pem: no such file" in line


# -- strange, but no reason to stop --------------------------------------------------------------------------------


def texts(path: Path, level: int) -> list[str]:
    return [notice.text for notice in notices(path) if notice.level == level]


def test_misspelt_option_names_the_nearest(write: Write) -> None:
    """Fails if a misspelt option has no effect and nobody is told."""
    path = write("[neutron]\nenable_dchp = false\n[DEFAULT]\nwhatever_else = 1\n[ovs]\novsdb_conection = x")
    assert texts(path, logging.WARNING) == [
        f"{path}: [DEFAULT] whatever_else: unknown option, ignored",
        f"{path}: [neutron] enable_dchp: unknown option, ignored; did you mean enable_dhcp?",
        f"{path}: [ovs] ovsdb_conection: unknown option, ignored; did you mean ovsdb_connection?",
    ]


def test_misspelt_section(write: Write) -> None:
    """Fails if a misspelt section is passed over, or sections of other programs are complained about."""
    path = write("[bindings]\nlink_iface = x\n[oslo_concurrency]\nlock_path = /x\n[neutron_client]\na = b")
    assert texts(path, logging.WARNING) == [f"{path}: [bindings]: unknown section, ignored; did you mean [binding]?"]


def test_old_name_is_reported_with_the_new_one(write: Write) -> None:
    """Fails if the use of an old option name is not reported, or the old name is not read."""
    path = write("[binding]\ndriver = veth")
    assert texts(path, logging.WARNING) == [f"{path}: [binding] driver: the old name of default_driver"]
    assert load(path).binding.default_driver == "veth"


def test_options_without_effect_are_said_to_be(write: Write) -> None:
    """Fails if an option without effect stops the start or is passed over."""
    path = write("[DEFAULT]\nport_driver = x\npybasedir = /x\ndeployment_type = nested")
    said = texts(path, logging.INFO)
    assert len(said) == 3
    assert all("without effect" in text for text in said)


def test_tls_without_tcp(write: Write) -> None:
    """Fails if an operator who asked for TLS is not told that only the Unix socket is listened on."""
    assert texts(write("[DEFAULT]\nenable_ssl = true"), logging.WARNING) == [
        "enable_ssl is set but kuryr_uri is not: only the Unix socket is listened on"
    ]


def test_options_of_other_auth_plugins_are_known(write: Write) -> None:
    """Fails if an option that keystoneauth reads for another auth_type is called unknown."""
    path = write("[neutron]\nusername = x\nsystem_scope = all\nuser_domain_name = d\nsplit_loggers = true")
    assert not texts(path, logging.WARNING)


def test_nothing_is_written_to_stderr(write: Write) -> None:
    """Fails if a library's words reach stderr before logging is set up."""
    path = write("[binding]\ndriver = veth\n[neutron]\nenable_dchp = 1")
    program = "import sys; from kuryr_libnetwork.config import read as config; config.load(sys.argv[1:])"
    words = [sys.executable, "-c", program, "--config-file", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_is_cheap() -> None:
    """Fails if importing the settings' module pulls in what only a start needs."""
    program = (
        "import sys, kuryr_libnetwork.config.read; print(*[n for n in ('keystoneauth1', 'oslo_log.log') if n in "
        "sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_netlink_messages_are_not_logged(write: Write) -> None:
    """Fails if `debug` writes every message of the kernel into the log, which multiplies the time of every call."""
    program = (
        "import sys; from oslo_log import log; from kuryr_libnetwork.config import read as config\n"
        "log.setup(config.read(sys.argv[1:], login=False).conf, 'kuryr')\n"
        "import logging, pyroute2.netlink.nlsocket\n"
        "names = [name for name in logging.root.manager.loggerDict if name.startswith('pyroute2.netlink')]\n"
        "print(*sorted({logging.getLogger(name).isEnabledFor(10) for name in names}))"
    )
    words = [sys.executable, "-c", program, "--debug", "--config-file", str(write(""))]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.split() == ["False"]
