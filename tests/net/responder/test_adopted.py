# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopted connections live at production's port, and are never in its way."""

import errno
import os
import re
import socket
import threading
import time

import pytest

from lab import clients, hosts

NAME = "www.example.org"
SHIM = hosts.BUILD / "tests/lab/monitor_shim.so"
RESTARTS = 200
TRIES, TRY_PAUSE_S = 5, 0.5  # nginx's, when it cannot bind


def start_production(lab):
    """What a server does when it starts, once."""
    with lab.server.entered():
        listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", 443))
    listener.listen(64)
    return listener


def start_production_as_nginx(lab):
    for _ in range(TRIES - 1):
        try:
            return start_production(lab)
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
        time.sleep(TRY_PAUSE_S)
    return start_production(lab)


@pytest.mark.row("P8")
def test_monitor_dies_while_it_adopts(lab, instance):
    """In the moment in which the adopted socket is without SO_REUSEADDR: its port is free at once."""
    listener = start_production(lab)
    preloaded = {**os.environ, "LD_PRELOAD": str(SHIM)}
    instance.start("--takeover", "repair", env=preloaded).publish(NAME)
    with pytest.raises(OSError):
        clients.validate(lab.validator, lab.server.ipv4, NAME)
    # The responder may end as well before anybody looks.
    hosts.wait_for(
        lambda: not hosts.run("ps", "--ppid", instance.responder.pid, "-o", "pid=", check=False).stdout,
        "the monitor's death",
    )
    listener.close()
    start_production(lab).close()


@pytest.mark.row("P8")
def test_production_restarts_beside_adoptions(lab, instance):
    instance.start("--takeover", "repair").publish(NAME)
    stopping = threading.Event()
    validated = []

    def validate():
        while not stopping.is_set():
            try:
                clients.validate(lab.validator, lab.server.ipv4, NAME)
            except OSError:
                continue  # nobody listened just then
            validated.append(True)

    validators = [threading.Thread(target=validate) for _ in range(3)]
    listener = start_production(lab)
    for validator in validators:
        validator.start()
    try:
        for _ in range(RESTARTS):
            before = len(validated)
            hosts.wait_for(lambda: len(validated) > before, "a validation")
            listener.close()
            listener = start_production_as_nginx(lab)
    finally:
        stopping.set()
        for validator in validators:
            validator.join()
        listener.close()


def timers(lab, state):
    """Of the sockets at production's port in this state, as ss shows them."""
    shown = lab.server.run("ss", "-tnoH", "state", state, "sport", "=", ":443").stdout
    return re.findall(r"timer:\((\w+),", shown)


@pytest.mark.row("P9")
def test_client_vanishes_after_adoption(lab, nginx, instance):
    """The kernel gives up a client that acknowledges nothing after half a minute."""
    instance.start("--takeover", "repair").publish(NAME)
    with lab.validator.entered():
        connection = socket.create_connection((str(lab.server.ipv4), 443), hosts.PATIENCE_S)
    # It says its hello, and then the wire is cut in the one direction.
    lab.validator.run("iptables", "-I", "INPUT", "-p", "tcp", "--sport", "443", "-j", "DROP")
    connection.sendall(clients.client_hello(NAME))
    hosts.wait_for(lambda: timers(lab, "established"), "the responder's flight to be on its way")
    hosts.wait_for(
        lambda: not timers(lab, "established") and not timers(lab, "fin-wait-1"),
        "the connection's end",
        patience_s=60,
    )
    connection.close()
