# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network tests have in common; run by tests/run.py."""

import pytest

from lab import authority, hosts, production, sidestep

LOG_LINES_SHOWN = 60
NAME = "www.example.org"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """With a failure come the logs of what ran meanwhile."""
    report = (yield).get_result()
    if not report.failed:
        return
    labs = {"": item.lab} if hasattr(item, "lab") else getattr(item, "labs", {})
    for place, lab in labs.items():
        for name, log in lab.logs.items():
            if log.exists():
                lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
                report.sections.append((f"log of {place} {name}", "\n".join(lines)))


def pytest_collection_modifyitems(items):
    """Slow tests begin first, so that none of them runs alone at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter):
    """What tests have counted, to be read beside their success."""
    for report in terminalreporter.getreports("passed"):
        for _, text in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {text}")


@pytest.fixture
def remark(record_property):
    """Say something in the summary."""
    return lambda text: record_property("remark", text)


@pytest.fixture
def lab(request):
    made = hosts.Lab()
    request.node.lab = made
    yield made
    problems = made.close()
    assert not problems


@pytest.fixture
def nginx(lab):
    return production.Nginx(lab)


@pytest.fixture
def speaking(lab):
    """A production server that takes acme-tls/1 handshakes when they reach it."""
    return production.HaproxyWithAcme(lab)


@pytest.fixture(params=production.SERVERS, ids=lambda server: server.name)
def any_production(request, lab):
    """Each server in turn."""
    return request.param(lab)


@pytest.fixture
def dns(lab):
    return authority.Dns(lab)


@pytest.fixture
def pebble(lab, dns):
    return authority.Pebble(lab)


@pytest.fixture(params=(authority.Pebble, authority.Caddy), ids=("pebble", "caddy"))
def any_authority(request, lab, dns):
    """Each CA in turn."""
    return request.param(lab)


def pytest_configure(config):
    config.addinivalue_line("markers", "each_engine: once with io_uring and once with epoll")


def pytest_generate_tests(metafunc):
    if metafunc.definition.get_closest_marker("each_engine"):
        metafunc.parametrize("engine", ("io_uring", "epoll"), indirect=True)


@pytest.fixture
def engine(request):
    """What the responder waits with; None is its own choice."""
    return getattr(request, "param", None)


@pytest.fixture
def instance(lab, engine):
    """Sidestep, not yet started."""
    return sidestep.Sidestep(lab, engine=engine)


@pytest.fixture(params=("assign", "repair"))
def takeover(request):
    """Each takeover."""
    return request.param


@pytest.fixture
def armed(instance, nginx, takeover):
    """Sidestep beside nginx, with www.example.org armed."""
    instance.start("--takeover", takeover).publish(NAME)
    return instance
