# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for Neutron's agent of this host: until it is alive, and until it reports a plugged port as ACTIVE.

After a boot Docker starts containers before the agent has reported for the first time, and does not retry them: so the
binding of their ports waits for the agent (``[neutron] agent_alive_timeout``). Whether a container waits until its port
is ACTIVE is the operator's choice (``vif_plugging_is_fatal``).
"""

from __future__ import annotations

import logging
import time

import tenacity

from kuryr_libnetwork.errors import BindingFailed, NeutronError
from kuryr_libnetwork.interfaces.neutron import Neutron
from kuryr_libnetwork.model.neutron import Agent, Port
from kuryr_libnetwork.rules.plugging import ACTIVE, GONE, UNBOUND, is_awaited, is_settled, why_inactive, why_unbound

LOG = logging.getLogger(__name__)
REPORTED_VNIC_TYPES = {"normal", "direct-physical"}
"""The vnic_types that are waited for. Nobody reports a VF inside a container as up: a wait would always time out."""


class PlugWaiter:
    """``timeout``, ``agent_timeout`` and ``interval`` in seconds; one Neutron call per interval.

    No call unless ``fatal``, or the port could not be bound. Neutron shows agents only to the role admin: without it
    the binding itself is tried again, until this service has seen one succeed.
    """

    def __init__(
        self,
        neutron: Neutron,
        *,
        host: str,
        fatal: bool,
        timeout: float,
        agent_timeout: float,
        interval: float = 1.0,
    ) -> None:
        self._neutron = neutron
        self._host = host
        self._fatal = fatal
        self._timeout = timeout
        self._agent_timeout = agent_timeout
        self._missed_since: dict[str, float] = {}
        self._has_bound: set[str] = set()
        self._interval = interval

    def bound(self, port: Port) -> Port:
        """The port, bound once more as soon as this host's agent is alive.

        The timeout counts from when the agent was first missed: Docker creates the endpoints of a network one after the
        other, so if each waited anew for an agent that does not come, Docker's start would take the limit times their
        number. Raises :class:`~kuryr_libnetwork.errors.BindingFailed` with the likely cause; the caller undoes its own
        steps.
        """
        if port.vif_type not in UNBOUND:
            return self._seen_bound(port)
        agents = self._agents()
        missed = port.vnic_type not in self._has_bound if agents is None else is_awaited(port.vnic_type, agents)
        if missed and self._agent_timeout:
            since = self._missed_since.setdefault(port.vnic_type, time.monotonic())
            left = since + self._agent_timeout - time.monotonic()
            if left > 0:
                port, agents = self._bound_within(port, agents, left)
        if port.vif_type in UNBOUND:
            raise BindingFailed(why_unbound(port, self._host, agents, self._agent_timeout if missed else 0))
        return self._seen_bound(port)

    def _seen_bound(self, port: Port) -> Port:
        self._missed_since.pop(port.vnic_type, None)
        self._has_bound.add(port.vnic_type)
        return port

    def _bound_within(self, port: Port, agents: list[Agent] | None, seconds: float) -> tuple[Port, list[Agent] | None]:
        """The port as it is then, and the agents of this host; ``None`` if Neutron does not show them."""
        if agents is None:
            LOG.warning("port %s could not be bound; it is tried again for up to %g s", port.id, seconds)
            return self._bind_by_trying(port, seconds), None
        LOG.warning("port %s waits up to %g s for the agent of this host, which is not alive", port.id, seconds)
        agents = self._wait_for_agent(port.vnic_type, seconds)
        if not is_awaited(port.vnic_type, agents):
            self._missed_since.pop(port.vnic_type, None)
            port = self._bind_again(port.id)
        return port, agents

    def _bind_again(self, port_id: str) -> Port:
        return self._neutron.update_port(port_id, {"binding:host_id": self._host})

    def _bind_by_trying(self, port: Port, seconds: float) -> Port:
        """The port as the last attempt left it."""
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda tried: tried.vif_type in UNBOUND),
            stop=tenacity.stop_after_delay(seconds),
            wait=tenacity.wait_fixed(self._interval),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else port,
        )
        return retry(self._bind_again, port.id)

    def _wait_for_agent(self, vnic_type: str, seconds: float) -> list[Agent]:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda agents: is_awaited(vnic_type, agents)),
            stop=tenacity.stop_after_delay(seconds),
            wait=tenacity.wait_fixed(self._interval),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else [],
        )
        return retry(self._neutron.find_agents, host=self._host)

    def wait(self, port: Port) -> None:
        """Raises :class:`~kuryr_libnetwork.errors.BindingFailed` at the timeout; the caller undoes its own steps."""
        if not self._fatal or port.vnic_type not in REPORTED_VNIC_TYPES or port.status == ACTIVE:
            return
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda status: not is_settled(status)),
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_fixed(self._interval),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
        )
        status = retry(self._status, port.id)
        if status != ACTIVE:
            raise BindingFailed(why_inactive(port, status, self._timeout, self._host, self._agents()))

    def _status(self, port_id: str) -> str:
        found = self._neutron.find_ports(id=port_id)
        return found[0].status if found else GONE

    def _agents(self) -> list[Agent] | None:
        """The agents of this host; ``None`` if Neutron shows none of the whole cloud, as to a user who may not see
        them.
        """
        try:
            return self._neutron.find_agents(host=self._host) or ([] if self._neutron.find_agents() else None)
        except NeutronError as error:
            LOG.info("the agents of host %s cannot be listed: %s", self._host, error)
            return None
