# SPDX-License-Identifier: GPL-3.0-or-later
"""What production delivers with the classifier in its way, against nothing in its way.

A lab's server host runs nginx, its validator host wrk, and both take all that the
machine gives.  Under that load the classifier is attached and detached some times a
second, in four states:

  none     nothing is attached
  control  the same once more: how much the machine alone makes of a difference
  idle     attached, nothing is armed
  armed    attached, many names are armed

A round is one block of time in each state, in random order.  Only blocks of one round are
compared, so that what else the machine does falls on both sides.  Two responders on a
third host, one without names, load the programs; they are attached to the server host
here, at the same places and in the same way as a responder does it.
"""

import contextlib
import ctypes
import http.client
import json
import operator
import os
import pathlib
import random
import re
import signal
import socket
import time

import spread
from lab import attached, hosts, production, sidestep

STATES = ("none", "control", "idle", "armed")
ATTACHED = ("idle", "armed")
NAMES = 100_000
BLOCK_S = 0.2
SETTLE_S = 0.03  # from a change of state until its block begins
LOAD_S = 55.0  # as many rounds as go into this time, but not fewer than
ROUNDS_MIN = 20
STATISTICS_S = 1.0
WARM_UP_S = 1.0
ARM_PATIENCE_S = 300
STATUS_PORT = 8080
FILE_SIZE = 1 << 22

_libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


class Nginx(production.Nginx):
    """With full handshakes only, a file to fetch, a place to put one, and its own counts."""

    def server_lines(self):
        files = self.lab.make_directory("files", 0o777)
        (files / "bulk").write_bytes(bytes(FILE_SIZE))
        return f"""
		listen 127.0.0.1:{STATUS_PORT};
		ssl_session_cache off;
		ssl_session_tickets off;
		keepalive_requests 1000000000;
		root {files};
		location = /bulk {{
		}}
		location = /upload {{
			dav_methods PUT;
			client_max_body_size 0;
		}}
		location = /status {{
			stub_status;
		}}
"""


class Load:
    """One kind of work: how wrk asks for it, and which count tells how much was done."""

    def __init__(self, key, count, *arguments, path=""):
        self.key = key
        self.count = count  # of Meter.read()
        self.arguments = arguments
        self.path = path

    def start(self, lab):
        url = f"https://{lab.server.ipv4}/{self.path}"
        # Ended when the rounds are over; the duration is for when nobody is left to end it.
        limits = ("--duration=300s", "--timeout=30s")
        return lab.validator.start("wrk", "wrk", *limits, *self.arguments, url)


UPLOAD = pathlib.Path(__file__).parent / "upload.lua"

LOADS = (
    Load("new_connections", "connections", "-t2", "-c32", "-H", "Connection: close"),
    Load("requests", "requests", "-t2", "-c32"),
    Load("bulk", "sent", "-t2", "-c8", path="bulk"),
    Load("upload", "received", "-t2", "-c8", "-s", UPLOAD, path="upload"),
)


class Attachment:
    """The programs of one responder, attached to the server host while it is wanted."""

    def __init__(self, host, instance):
        self.host = host
        self.programs = instance.status()["responder"]["programs"]
        self.links = []
        with host.entered():
            self.interface = socket.if_nametoindex("eth0")

    @property
    def classifier(self):
        """The id of the program on the interface."""
        return self.programs["steer_ethernet"]

    def link(self, program, target, kind):
        fd = _libbpf.bpf_prog_get_fd_by_id(program)
        link = _libbpf.bpf_link_create(fd, target, kind, None) if fd >= 0 else fd
        if link < 0:
            raise OSError(-link, "cannot attach: this needs Linux 6.6 or newer, and root")
        os.close(fd)
        self.links.append(link)

    def attach(self):
        with self.host.entered(), open(self.host.path, "rb") as namespace:
            self.link(self.programs["guard"], namespace.fileno(), attached.SK_LOOKUP)
            self.link(self.classifier, self.interface, attached.TCX_INGRESS)

    def detach(self):
        while self.links:
            os.close(self.links.pop())


class Meter:
    """How much production did, and what it cost: counts that only grow."""

    KEYS = ("connections", "requests", "received", "sent", "cpu_ns", "clock_ns")

    def __init__(self, lab, load):
        with lab.server.entered():
            # Both stay with the host on which they were opened.
            self.interfaces = open("/proc/thread-self/net/dev", encoding="ascii")
            self.status = http.client.HTTPConnection("127.0.0.1", STATUS_PORT)
            self.status.connect()
        pids = [load.pid, *lab.server.processes(), *softirq_threads()]
        self.tasks = [path for pid in pids for path in pathlib.Path(f"/proc/{pid}/task").iterdir()]

    def close(self):
        self.status.close()
        self.interfaces.close()

    def nginx_counts(self):
        self.status.request("GET", "/status")
        text = self.status.getresponse().read().decode()
        connections, _, requests = re.search(r"(\d+) (\d+) (\d+)", text).groups()
        return int(connections), int(requests)

    def interface_counts(self):
        self.interfaces.seek(0)
        words = re.search(r"eth0:(.*)", self.interfaces.read()).group(1).split()
        return int(words[0]), int(words[8])

    def cpu_ns(self):
        """Of nginx, wrk and the kernel for them: packets arrive while one of the two runs."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self.tasks)

    def read(self):
        counts = (*self.nginx_counts(), *self.interface_counts())
        return dict(zip(self.KEYS, (*counts, self.cpu_ns(), time.monotonic_ns())))

    def measure(self, seconds):
        """The growth of each count in this time."""
        before = self.read()
        time.sleep(seconds)
        after = self.read()
        return {key: after[key] - before[key] for key in self.KEYS}


def softirq_threads():
    """Where packets are dealt with when they are too many to do so at once."""
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().startswith("ksoftirqd/"):
                yield int(path.parent.name)
        except FileNotFoundError:
            pass  # it has ended


class Bench:
    """The lab with nginx, and both responders."""

    def __init__(self, lab):
        self.lab = lab
        self.nginx = self.make_production(lab)
        elsewhere = lab.add_host("elsewhere", "192.0.2.3", "2001:db8::3")
        self.instances = {state: sidestep.Sidestep(lab, elsewhere, state) for state in ATTACHED}
        self.attachments = {}
        for state, instance in self.instances.items():
            instance.start("--takeover", "assign")
            self.attachments[state] = Attachment(lab.server, instance)
        arm = hosts.BUILD / "bench/arm"
        hosts.run(arm, self.instances["armed"].root, NAMES, timeout=ARM_PATIENCE_S)
        self.random = random.Random(1)

    def make_production(self, lab):
        return Nginx(lab)

    def switch(self, state):
        for attachment in self.attachments.values():
            attachment.detach()
        if state in self.attachments:
            self.attachments[state].attach()

    def run_round(self, meter):
        """One block in each state."""
        blocks = {}
        for state in self.random.sample(STATES, len(STATES)):
            self.switch(state)
            time.sleep(SETTLE_S)
            blocks[state] = meter.measure(BLOCK_S)
        return blocks

    def measure(self, load, seconds):
        """Under this load, for so long: the rounds' blocks, and what the classifier itself takes."""
        wrk = load.start(self.lab)
        time.sleep(WARM_UP_S)
        meter = Meter(self.lab, wrk)
        try:
            end = time.monotonic() + seconds
            blocks = []
            while len(blocks) < ROUNDS_MIN or time.monotonic() < end:
                blocks.append(self.run_round(meter))
            own = self.measure_classifier(meter)
        finally:
            meter.close()
            self.switch("none")
        self.end(wrk)
        return blocks, own

    def measure_classifier(self, meter):
        """As the kernel counts it in production's traffic.

        The counting takes longer than the classifier does: what is armed costs is the
        difference to the idle classifier, for which next to nothing remains.
        """
        run_ns = {}
        with statistics_enabled():
            for state in ATTACHED:
                self.switch(state)
                before = self.classifier_counts(state)
                block = meter.measure(STATISTICS_S)
                time_ns, runs = map(operator.sub, self.classifier_counts(state), before)
                run_ns[state] = time_ns / runs
        share = (run_ns["armed"] - run_ns["idle"]) * runs / block["cpu_ns"]
        return {
            "idle_run_ns": round(run_ns["idle"], 1),
            "armed_run_ns": round(run_ns["armed"], 1),
            "share": round(share, 5),
        }

    def classifier_counts(self, state):
        """The time it took and how often it ran, as far as statistics were enabled."""
        program = self.attachments[state].classifier
        shown = json.loads(hosts.run("bpftool", "-j", "prog", "show", "id", program).stdout)
        return shown.get("run_time_ns", 0), shown.get("run_cnt", 0)

    def check(self):
        """Only the armed classifier looked at connections, and left each to production."""
        counters = {state: instance.counters() for state, instance in self.instances.items()}
        held = counters["armed"]["bare_ack_held"]
        if any(counters["idle"].values()) or not held or counters["armed"]["steered"]:
            raise RuntimeError(f"the classifier did not do what was to be measured: {counters}")

    @staticmethod
    def end(wrk):
        """Of every load each answer must have been a good one."""
        wrk.popen.send_signal(signal.SIGINT)
        wrk.wait()
        output = wrk.output()
        if "requests in" not in output or "Socket errors" in output or "Non-2xx" in output:
            raise RuntimeError(f"production failed under load:\n{output}")


@contextlib.contextmanager
def statistics_enabled():
    switch = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


def rate(load, block):
    """Units of work a second."""
    return block[load.count] / block["clock_ns"] * 1e9


def thrift(load, block):
    """Units of work a second of processor time."""
    return block[load.count] / block["cpu_ns"] * 1e9


def describe(load, blocks):
    """The members of steering.json's "production" for this load."""

    def ratio(measure, state):
        values = [measure(load, block[state]) / measure(load, block["none"]) for block in blocks]
        return spread.describe(values, 4)

    members = {
        f"{load.key}_ratio": ratio(rate, "armed"),
        f"{load.key}_cpu_ratio": ratio(thrift, "armed"),
    }
    for state in ("idle", "control"):
        members[f"{load.key}_{state}_ratio"] = ratio(rate, state)
        members[f"{load.key}_{state}_cpu_ratio"] = ratio(thrift, state)
    for state in STATES:
        rates = [rate(load, block[state]) for block in blocks]
        members[f"{load.key}_{state}_per_s"] = spread.describe(rates, 0)
    return members


def measure(seconds=LOAD_S):
    """The members of steering.json's "production", and of results.json's "beside"."""
    members = {"armed_names": NAMES}
    lab = hosts.Lab()
    try:
        bench = Bench(lab)
        for load in LOADS:
            blocks, own = bench.measure(load, seconds)
            members |= describe(load, blocks)
            members |= {f"{load.key}_classifier_{key}": value for key, value in own.items()}
        bench.check()
    finally:
        problems = lab.close()
    if problems:
        raise RuntimeError("; ".join(problems))
    return members
