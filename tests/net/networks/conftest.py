# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks for the tests of this folder: each is closed, whatever happens."""

import pytest

from lab import networks


@pytest.fixture
def make_network(request):
    """A function that makes a network by a name for its logs."""
    made = []

    def make(name="network", offloads="off"):
        network = networks.Network(offloads)
        made.append(network)
        request.node.labs[name] = network
        return network

    request.node.labs = {}
    yield make
    problems = [problem for network in reversed(made) for problem in network.close()]
    assert not problems
