# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep check` and what certonly looks at before it orders."""

import json
import sys

import pytest

from lab import authority, hosts

NAME = "www.example.org"
PORT = 5300
CA_NAME = "ca.example"


class Zone:
    """resolver.py on the validator's host: the agent asks it, and nobody else."""

    def __init__(self, lab):
        self.names = {"org": {}}
        self.file = lab.directory / "zone.json"
        self.address = f"{lab.validator.ipv4}:{PORT}"
        self.write()
        program = hosts.SOURCE / "tests/lab/resolver.py"
        process = lab.validator.start("resolver", sys.executable, program, PORT, self.file)
        process.wait_until(lambda: "ready" in process.output(), "its port")

    def write(self):
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.names), encoding="ascii")
        new.rename(self.file)

    def set(self, name, *addresses, caa=()):
        kinds = {"A": [], "AAAA": [], "CAA": list(caa)}
        for address in addresses:
            kinds["A" if address.version == 4 else "AAAA"].append(str(address))
        self.names[name] = kinds
        self.write()

    def set_odd(self, name, how):
        self.names[name] = how
        self.write()


@pytest.fixture
def zone(lab):
    made = Zone(lab)
    made.set(NAME, lab.server.ipv4, lab.server.ipv6)
    return made


@pytest.fixture
def named_pebble(lab, dns):
    """A CA that tells what CAA records call it."""
    return authority.Pebble(lab, settings={"caaIdentities": [CA_NAME]})


@pytest.fixture
def ready(nginx, instance):
    return instance.start()


class Checked:
    """One run of `sidestep check`."""

    def __init__(self, instance, zone, name=NAME, ca=None):
        # Without a CA there is nobody at this address, and nothing is known of it.
        server = ca.url if ca else f"https://{instance.lab.validator.ipv4}:1/dir"
        options = ["--server", server, "--resolver", zone.address]
        if ca:
            options += ["--cacert", ca.cacert]
        run = instance.agent("check", name, "--json", *options)
        self.status = run.returncode
        self.answer = json.loads(run.stdout)
        self.log = run.stderr
        assert self.answer["ok"] == (run.returncode == 0)
        self.results = {one["address"]: one["result"] for one in self.answer["addresses"]}
        self.problems = [problem["cause"] for problem in self.answer["problems"]]
        for problem in self.answer["problems"]:
            assert problem["next_step"]
        assert instance.status()["responder"] is None or instance.pending() == []


def test_good(lab, ready, zone):
    checked = Checked(ready, zone)
    assert checked.status == 0, checked.log
    assert checked.results == {str(lab.server.ipv6): "right", str(lab.server.ipv4): "right"}
    assert all(one["this_host"] for one in checked.answer["addresses"])
    assert list(checked.results)[0] == str(lab.server.ipv6)
    assert checked.answer["dns"]["caa"]["reason"] == "no_records"


def test_words(ready, zone):
    run = ready.agent(
        "check", NAME, "--resolver", zone.address, "--server", "https://192.0.2.1:1/dir"
    )
    assert run.returncode == 0, run.stderr
    assert "A validation would succeed." in run.stdout and "this host: validated" in run.stdout


def test_address(lab, ready, zone):
    """An IP address's identifier: RFC 8738's server name, and no DNS."""
    checked = Checked(ready, zone, str(lab.server.ipv6))
    assert checked.status == 0, checked.log
    assert checked.results == {str(lab.server.ipv6): "right"}


def test_pending_stays(ready, zone):
    """A challenge that a CA may be about to validate is looked at, and left as it is."""
    ready.publish(NAME)
    run = ready.agent(
        "check", NAME, "--resolver", zone.address, "--server", "https://192.0.2.1:1/dir"
    )
    assert run.returncode == 0, run.stderr
    assert ready.pending() == [NAME]


def test_wrong_address(lab, ready, zone):
    """The DNS leads to another host, where nothing listens."""
    zone.set(NAME, lab.validator.ipv4)
    checked = Checked(ready, zone)
    assert checked.status == 1
    assert checked.results == {str(lab.validator.ipv4): "refused"}
    assert "not an address of this host" in checked.problems[0]


def test_dead_ipv6(lab, ready, zone):
    """An AAAA record where nobody answers spoils it, as not every CA falls back to IPv4."""
    lab.server.run("ip", "-6", "route", "add", "unreachable", "2001:db8::99")
    zone.names[NAME]["AAAA"] = ["2001:db8::99"]
    zone.write()
    checked = Checked(ready, zone)
    assert checked.status == 1
    assert checked.results["2001:db8::99"] == "unreachable"
    assert checked.results[str(lab.server.ipv4)] == "right"


def test_production_answers(lab, nginx, instance, zone):
    """The responder is not attached where the connection comes in: production answers it."""
    instance.start("--interface", "eth0")
    checked = Checked(instance, zone)
    assert checked.status == 1
    assert set(checked.results.values()) == {"production"}


def test_no_responder(nginx, instance, zone):
    run = instance.agent(
        *("check", NAME, "--json", "--resolver", zone.address),
        *("--server", "https://192.0.2.1:1/dir"),
    )
    assert run.returncode == 1
    problems = json.loads(run.stdout)["problems"]
    assert ["no sidestep-responder is running" in one["cause"] for one in problems] == [True]


def test_no_name(ready, zone):
    checked = Checked(ready, zone, "wwww.example.org")
    assert checked.status == 1
    assert "NXDOMAIN" in checked.problems[0]


def test_caa_failure(ready, zone):
    """A CA takes CAA records that it cannot have for a refusal."""
    zone.set_odd("example.org", "SERVFAIL")
    checked = Checked(ready, zone)
    assert checked.status == 1
    assert checked.answer["dns"]["caa"]["verdict"] == "unknown"
    assert "the lookup of its CAA records fails" in checked.problems[0]


@pytest.mark.parametrize(
    ("value", "verdict", "reason"),
    (
        (CA_NAME, "allowed", "permitted"),
        ("other.example", "forbidden", "other_issuer"),
        (";", "forbidden", "nobody"),
        (f"{CA_NAME}; validationmethods=dns-01", "forbidden", "other_method"),
        (f"{CA_NAME}; validationmethods=dns-01,tls-alpn-01", "allowed", "permitted"),
        (f"{CA_NAME}; accounturi=https://ca.example/1", "unknown", "account_unknown"),
    ),
)
def test_caa(ready, zone, named_pebble, value, verdict, reason):
    """They are found at the parent, and judged as RFC 8659 and RFC 8657 say."""
    zone.set("example.org", caa=[[0, "issue", value]])
    checked = Checked(ready, zone, ca=named_pebble)
    assert checked.status == (1 if verdict == "forbidden" else 0), checked.log
    caa = checked.answer["dns"]["caa"]
    assert (caa["name"], caa["verdict"], caa["reason"]) == ("example.org", verdict, reason)


# --- preflight ---------------------------------------------------------------------------------


def test_preflight_no_name(ready, zone, pebble):
    """What the DNS does not know is not ordered, unless the user knows better."""
    name = "shop.example.org"
    options = ("--resolver", zone.address)
    run = ready.issue(pebble, NAME, name, options=options)
    assert run.returncode == 1
    assert f"{name} does not exist in the DNS" in run.stderr and "--no-preflight" in run.stderr
    assert pebble.orders() == 0 and ready.pending() == []
    assert not ready.live(NAME).exists()
    run = ready.issue(pebble, NAME, name, options=(*options, "--no-preflight"))
    assert run.returncode == 1 and pebble.orders() == 1


def test_preflight_caa(ready, zone, named_pebble):
    zone.set("example.org", caa=[[0, "issue", "other.example"]])
    run = ready.issue(named_pebble, NAME, options=("--resolver", zone.address))
    assert run.returncode == 1
    assert 'names another CA (issue "other.example")' in run.stderr
    assert named_pebble.orders() == 0 and ready.pending() == []


def test_preflight_of_silent_dns(lab, dns, ready, zone, pebble):
    """No answer at all holds nothing up for long, and forbids nothing."""
    dns.set(NAME, lab.server.ipv4)
    zone.set_odd(NAME, None)
    run = ready.issue(pebble, NAME, options=("--resolver", zone.address))
    assert run.returncode == 0, run.stderr
    ready.check_certificate(NAME, [NAME])


def test_preflight_doubt(lab, dns, ready, zone, pebble):
    """What may be meant so is only said."""
    dns.set(NAME, lab.server.ipv4)
    zone.set(NAME)
    run = ready.issue(pebble, NAME, options=("--resolver", zone.address))
    assert run.returncode == 0, run.stderr
    assert f"{NAME} has no address in the DNS" in run.stderr


@pytest.mark.slow
def test_renewal_looks_ahead(lab, dns, ready, zone, pebble):
    """What has failed before and is certain to fail again does not reach the CA."""
    configuration = ready.root / "etc/sidestep"
    configuration.mkdir(parents=True)
    (configuration / "sidestep.conf").write_text(f"[sidestep]\nresolver = {zone.address}\n")
    dns.set(NAME, lab.server.ipv4)
    assert ready.issue(pebble, NAME).returncode == 0
    renew = ("renew", "--cacert", pebble.cacert)
    # The name moves away: the CA is asked, for nothing speaks against it yet.
    dns.manage("clear-a", {"host": f"{NAME}."})
    dns.set(NAME, lab.validator.ipv4)
    ready.set_due(NAME)
    assert ready.agent(*renew).returncode == 1 and pebble.orders() == 2
    # It does not exist any more.
    del zone.names[NAME]
    zone.write()
    ready.set_due(NAME)
    run = ready.agent(*renew)
    assert run.returncode == 1 and f"{NAME} does not exist in the DNS" in run.stderr
    assert pebble.orders() == 2
    (entry,) = ready.succeed("plan")["plan"]
    assert entry["failures"] == 2
    # It comes back.
    zone.set(NAME, lab.server.ipv4)
    dns.manage("clear-a", {"host": f"{NAME}."})
    dns.set(NAME, lab.server.ipv4)
    ready.set_due(NAME)
    run = ready.agent(*renew)
    assert run.returncode == 0, run.stderr
    assert pebble.orders() == 3


def test_wrong_resolver(ready, pebble):
    run = ready.issue(pebble, NAME, options=("--resolver", "dns.example.org"))
    assert run.returncode == 1 and "--resolver takes ADDRESS" in run.stderr
    assert pebble.orders() == 0


# --- the barrier -------------------------------------------------------------------------------


def test_barrier_finds_production(lab, dns, nginx, instance, pebble):
    """A CA that comes in where we are attached succeeds, whatever this host saw of itself."""
    dns.set(NAME, lab.server.ipv4)
    instance.start("--interface", "eth0")
    run = instance.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    assert "production answered, not the responder; asking the CA all the same" in run.stderr
    run = instance.issue(pebble, NAME, options=("--force-renewal", "--no-probe"))
    assert run.returncode == 0 and "all the same" not in run.stderr


def test_barrier_explains_failure(lab, dns, nginx, instance, pebble):
    """Nothing of ours is where connections come in: the failure tells what this host saw."""
    dns.set(NAME, lab.server.ipv4)
    lab.server.run("ip", "link", "add", "aside", "type", "veth", "peer", "beside")
    instance.start("--interface", "aside")
    run = instance.issue(pebble, NAME)
    assert run.returncode == 1
    assert "this host's port 443, before the validation, found: production answered" in run.stderr, run.stderr
    assert instance.pending() == []


def test_barrier_is_no_testimony(lab, dns, ready, pebble):
    """Our own visit is not taken for the CA's, which went elsewhere."""
    dns.set(NAME, lab.validator.ipv4)
    run = ready.issue(pebble, NAME)
    assert run.returncode == 1
    assert "all the same" not in run.stderr
    assert "no connection for this challenge came to the responder" in run.stderr, run.stderr
    assert ready.counters()["steered"] == 1
