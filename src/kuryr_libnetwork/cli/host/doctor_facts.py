# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""The facts of ``kuryr doctor``: gathered once, without any change, and judged in :mod:`.doctor_links`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import msgspec

from kuryr_libnetwork.cli.host.inventory import Host, gather
from kuryr_libnetwork.errors import ConfigError, KuryrError, NeutronForbidden, NeutronNotFound
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.links import Link
from kuryr_libnetwork.model.neutron import Agent, Network, Quota, SecurityGroup
from kuryr_libnetwork.model.overview import NetworkRow, Wellbeing
from kuryr_libnetwork.model.settings import Settings
from kuryr_libnetwork.model.sriov import DeviceLease, NetdevState
from kuryr_libnetwork.model.value import Value
from kuryr_libnetwork.rules.devices import FoundPf
from kuryr_libnetwork.rules.plugging import NIC_SWITCH, VSWITCHES
from kuryr_libnetwork.rules.roles import Account
from kuryr_libnetwork.rules.tunnels import Tunnels, tunnels_of

AGENT_TYPE = NIC_SWITCH


class CloudFacts(Value, frozen=True):
    """``error``: why the rest is not known. ``profile``: "allowed", "forbidden", or why it is not known.

    ``account``: the service's; ``None``: a cloud without Keystone, or ``account_error`` says why it is not known.
    ``agents``: the SR-IOV agents; ``vswitches``: the agents that bind ordinary ports.
    ``networks``: by physical network of the mapping; ``networks_error``: why they are not known. ``quota``: of the
    service's project; ``default_group``: that project's security group of this name.
    """

    error: str = ""
    account: Account | None = None
    account_error: str = ""
    profile: str = ""
    agents: tuple[Agent, ...] = ()
    vswitches: tuple[Agent, ...] = ()
    agents_error: str = ""
    networks: dict[str, tuple[Network, ...]] = {}
    networks_error: str = ""
    quota: dict[str, Quota] = {}
    quota_error: str = ""
    default_group: SecurityGroup | None = None


class DoctorFacts(Value, frozen=True):
    """``states``: of the PFs' network devices, by name. ``config_error`` and ``plugin_error``: "" if all is well.

    ``bridges``: of Open vSwitch; ``bridges_error``: why they are not known. ``docker``: the engine's version, "" if not
    known. ``service``: the wellbeing that the service reports; ``service_error``: why there is no report.
    ``attached``: the Docker networks that the service has. ``tunnels``: how this host sends to others, and
    ``tunnel_link``: through which interface.
    """

    settings: Settings
    pfs: tuple[FoundPf, ...]
    states: dict[str, NetdevState]
    leases: dict[str, DeviceLease]
    kernel: str
    iommu: bool
    config_error: str
    plugin_error: str
    bridges: tuple[str, ...] = ()
    bridges_error: str = ""
    docker: str = ""
    service: Wellbeing | None = None
    service_error: str = ""
    attached: tuple[NetworkRow, ...] = ()
    tunnels: Tunnels = Tunnels()
    tunnel_link: Link | None = None
    cloud: CloudFacts = CloudFacts()


def gather_facts(host: Host) -> DoctorFacts:
    config_error, cloud = "", CloudFacts(error="kuryr.conf has to be right first")
    try:
        cloud = ask_cloud(host.probes.neutron(), host.settings)
    except ConfigError as error:
        config_error = str(error)
    bridges, bridges_error = _bridges(host)
    service, attached, service_error = _service(host)
    tunnels, tunnel_link = _tunnels(host, cloud)
    pfs = tuple(gather(host))
    found = [host.netdevs.state(name) for each in pfs for name in each.pf.netdevs]
    return DoctorFacts(
        settings=host.settings,
        pfs=pfs,
        states={state.name: state for state in found if state},
        leases=host.leases(),
        kernel=host.probes.kernel,
        iommu=host.probes.iommu,
        config_error=config_error,
        plugin_error=host.probes.plugin(),
        bridges=bridges,
        bridges_error=bridges_error,
        docker=host.probes.docker(),
        service=service,
        service_error=service_error,
        attached=attached,
        tunnels=tunnels,
        tunnel_link=tunnel_link,
        cloud=cloud,
    )


def _bridges(host: Host) -> tuple[tuple[str, ...], str]:
    try:
        return tuple(host.probes.bridges()), ""
    except KuryrError as error:
        return (), str(error)


def _service(host: Host) -> tuple[Wellbeing | None, tuple[NetworkRow, ...], str]:
    try:
        found = msgspec.convert(host.admin.get("/healthz"), Wellbeing)
    except (KuryrError, msgspec.ValidationError) as error:
        return None, (), str(error)
    try:
        return found, msgspec.convert(host.admin.get("/v1/networks")["networks"], tuple[NetworkRow, ...]), ""
    except (KuryrError, KeyError, msgspec.ValidationError):  # what the service says of itself counts more
        return found, (), ""


def _tunnels(host: Host, cloud: CloudFacts) -> tuple[Tunnels, Link | None]:
    here = agent_of(host.settings.plugin.host, cloud.vswitches)
    try:
        told = host.probes.ovs_settings()
    except KuryrError:  # the link "Open vSwitch" says why
        told = {}
    tunnels = tunnels_of(here, told)
    try:
        return tunnels, host.probes.link_with(tunnels.address) if tunnels.address else None
    except (KuryrError, OSError):  # OSError: what is written there is no address
        return tunnels, None


def agent_of(host: str, agents: Iterable[Agent]) -> Agent | None:
    return next((each for each in agents if each.host == host), None)


def mappings_of(agent: Agent | None) -> dict[str, list[str]]:
    """Physical network -> PFs, as the agent reports them."""
    found = agent.configurations.get("device_mappings") if agent else None
    return found if isinstance(found, dict) else {}


def ask_cloud(neutron: Neutron, settings: Settings) -> CloudFacts:
    """Ask Neutron about the physical networks of the service's mapping; without one about those of the agent's."""
    try:
        neutron.extensions()
    except ConfigError:
        raise
    except KuryrError as error:
        return CloudFacts(error=str(error))
    account, account_error = _account(neutron)
    shown, agents_error = _agents(neutron)
    agents = tuple(agent for agent in shown if agent.agent_type == AGENT_TYPE)
    vswitches = tuple(agent for agent in shown if agent.agent_type in VSWITCHES)
    reported = mappings_of(agent_of(settings.plugin.host, agents))
    networks, networks_error = _networks(neutron, settings.sriov.mappings or reported)
    quota, default_group, quota_error = _project(neutron)
    return CloudFacts(
        account=account,
        account_error=account_error,
        profile=_may_write_profile(neutron),
        agents=agents,
        vswitches=vswitches,
        agents_error=agents_error,
        networks=networks,
        networks_error=networks_error,
        quota=quota,
        quota_error=quota_error,
        default_group=default_group,
    )


def _project(neutron: Neutron) -> tuple[dict[str, Quota], SecurityGroup | None, str]:
    """The quota and the default security group of the service's project."""
    try:
        project = neutron.project_id()
        if not project:
            return {}, None, "this cloud has no projects"
        groups = neutron.find_security_groups(name="default", project_id=project)
        return dict(neutron.quota(project)), groups[0] if len(groups) == 1 else None, ""
    except KuryrError as error:
        return {}, None, str(error)


def _account(neutron: Neutron) -> tuple[Account | None, str]:
    try:
        return neutron.account(), ""
    except KuryrError as error:
        return None, str(error)


def _agents(neutron: Neutron) -> tuple[tuple[Agent, ...], str]:
    try:
        return tuple(neutron.find_agents()), ""
    except KuryrError as error:
        return (), str(error)


def _networks(neutron: Neutron, names: Iterable[str]) -> tuple[dict[str, tuple[Network, ...]], str]:
    try:
        found = {name: tuple(neutron.find_networks(**{"provider:physical_network": name})) for name in names}
    except KuryrError as error:
        return {}, str(error)
    return found, ""


def _may_write_profile(neutron: Neutron) -> str:
    """Whether the role may write ``binding:profile``: "allowed", "forbidden", or why it is not known.

    A port on a network that cannot exist is requested: Neutron checks the role before it looks for the network.
    """
    try:
        neutron.create_port({"network_id": str(uuid.uuid4()), "binding:profile": {"pci_slot": "0000:00:00.0"}})
    except NeutronForbidden:
        return "forbidden"
    except NeutronNotFound:
        return "allowed"
    except KuryrError as error:
        return str(error)
    return "Neutron made a port on a network that does not exist"
