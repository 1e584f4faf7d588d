# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CA allows: its limits, shared among tenants, and the pauses that it asks for."""

import pytest

from lab import fault_proxy
from lab.configuration import Configuration

NAMES = [f"n{number}.example.org" for number in range(5)]
LATER = "later.example.org"
LIMITED = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}


@pytest.fixture
def ready(lab, dns, nginx, instance):
    for name in (*NAMES, LATER):
        dns.set(name, lab.server.ipv4)
    return instance.start()


def test_limit(ready, pebble):
    """Two orders in an hour: one of each tenant's, and the rest when the time has come."""
    configuration = Configuration(ready, pebble)
    configuration.write(
        "conf.d/ca.conf",
        f"[ca test]\nserver = {pebble.url}\ncacert = {pebble.cacert}\norders-limit = 2/1h\n",
    )
    for tenant, names in (("big", NAMES[:4]), ("small", NAMES[4:])):
        configuration.write(f"{tenant}.txt", "\n".join(names))
        configuration.write(
            f"conf.d/{tenant}.conf",
            f"[domains {tenant}]\nfile = {configuration.directory}/{tenant}.txt\n"
            f"tenant = {tenant}\n",
        )
    said = ready.succeed("renew")
    assert said["renewed"] == 2 and said["failed"] == 0
    assert sum(ready.live(name).exists() for name in NAMES[:4]) == 1
    assert ready.live(NAMES[4]).exists()
    orders = pebble.orders()
    run = ready.agent("renew")
    assert run.returncode == 0 and "the CA's rate limits allow none now (`sidestep plan`)" in run.stdout
    assert pebble.orders() == orders
    plan = ready.succeed("plan")
    (limits,) = plan["limits"]
    assert (limits["orders_limit"], limits["window"], limits["left"]) == (2, 3600, 0)
    assert limits["next"] > 0 and not limits["held_until"]
    assert "0 of 2 orders in 1 hour are left" in ready.agent("plan").stdout
    # Whoever asks for one by name is not held back by what we know of limits.
    left = [name for name in NAMES[:4] if not ready.live(name).exists()]
    assert ready.agent("certonly", "-d", left[0]).returncode == 0


def test_pause(ready, pebble):
    """The CA asks one order to wait: others wait too, at first for a minute, also after a restart."""
    proxy = fault_proxy.Proxy(pebble)
    configuration = Configuration(ready, proxy)
    configuration.write("domains.txt", "\n".join(NAMES))

    def refuse(exchange):
        if exchange.kind == "order-plz":
            raise fault_proxy.Answer(429, LIMITED, {"Retry-After": "86400"})

    proxy.reset(refuse)
    said = ready.succeed("renew")
    assert said["postponed"] == len(NAMES)
    proxy.reset()
    configuration.write("domains.txt", "\n".join((*NAMES, LATER)))
    said = ready.succeed("renew")
    assert not said["results"]
    assert not [exchange for exchange in proxy.exchanges if exchange.kind == "order-plz"]
    (limits,) = ready.succeed("plan")["limits"]
    assert 0 < limits["held_until"] - limits["now"] <= 60
    proxy.stop()
