# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
"""Changes that are based on a revision: one contract for the fake, the client and the real Neutron."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kuryr_libnetwork.errors import NeutronChanged
from kuryr_libnetwork.interfaces.neutron import Neutron
from tests.adapters.neutron_sides import OnClient, OnFake
from tests.adapters.neutron_tenant import Tenant


@pytest.fixture
def tenant(neutron: Neutron) -> Iterator[Tenant]:
    tenant = Tenant(neutron)
    yield tenant
    tenant.tidy()


class PortRevisionContract:
    """Needs the fixtures ``neutron`` and ``host`` (one that can bind ports)."""

    def test_a_change_that_rests_on_an_old_revision_is_refused(
        self, tenant: Tenant, neutron: Neutron, host: str
    ) -> None:
        """Two hosts that adopt one port at the same moment would both believe that they have it."""
        port = tenant.port(tenant.network(), name="before")
        bound = neutron.update_port(port.id, {"binding:host_id": host}, port.revision_number)
        assert (bound.host_id, bound.vif_type) == (host, "ovs")
        assert bound.revision_number > port.revision_number
        with pytest.raises(NeutronChanged, match="current revision is"):
            neutron.update_port(port.id, {"name": "after", "device_id": "d"}, port.revision_number)
        (now,) = neutron.find_ports(id=port.id)
        assert (now.name, now.device_id, now.host_id) == ("before", "", host)

    def test_the_revision_of_an_answer_is_good_for_the_next_change(self, tenant: Tenant, neutron: Neutron) -> None:
        """A port could be adopted only if it had never been changed."""
        port = tenant.port(tenant.network())
        neutron.add_tags("ports", port.id, ["a"])
        (now,) = neutron.find_ports(id=port.id)
        assert now.revision_number > port.revision_number
        with pytest.raises(NeutronChanged):
            neutron.update_port(port.id, {"name": "one"}, port.revision_number)
        first = neutron.update_port(port.id, {"name": "one"}, now.revision_number)
        assert neutron.update_port(port.id, {"name": "two"}, first.revision_number).name == "two"


class TestFake(PortRevisionContract, OnFake):
    """In memory."""


class TestClient(PortRevisionContract, OnClient):
    """Over HTTP."""
