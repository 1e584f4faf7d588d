# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks: which, when, with what; servers reload once for many certificates, or go back together."""

import os
import time

import pytest

from lab import certificates, clients, hosts
from lab.configuration import Configuration

NAMES = ("a.example.org", "b.example.org")
GONE = "gone.example.org"
DAY_S = 86400


class Hooks:
    """The instance's renewal-hooks/, whose programs note what they are given."""

    def __init__(self, lab, instance):
        self.directory = instance.root / "etc/sidestep/renewal-hooks"
        self.log = lab.directory / "hooks.log"

    def add(self, kind, name, script=None, mode=0o755):
        path = self.directory / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        note = f'echo "{kind}/{name}|$RENEWED_LINEAGE|$RENEWED_DOMAINS|$FAILED_DOMAINS"'
        path.write_text(script or f"#!/bin/sh\n{note} >>{self.log}\n")
        path.chmod(mode)
        return path

    def link(self, server):
        directory = self.directory / "reload"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / server).symlink_to(hosts.SOURCE / "deploy/hooks" / server)

    def notes(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def ready(lab, dns, pebble, nginx, instance):
    for name in NAMES:
        dns.set(name, lab.server.ipv4)
    instance.start()
    Configuration(instance, pebble)
    return instance


@pytest.fixture
def notes(lab, ready):
    return Hooks(lab, ready)


def test_order(ready, notes):
    """Per certificate in byte order, once for all, and at the end what was got and what was not."""
    for kind, names in (("deploy", ("20", "10")), ("reload", ("all",)), ("post", ("mail",))):
        for name in names:
            notes.add(kind, name)
    notes.add("deploy", "15-not-executable", mode=0o644)
    notes.add("deploy", ".hidden")
    loose = notes.add("deploy", "17-loose", mode=0o775)
    (ready.root / "etc/sidestep/domains.txt").write_text("\n".join((*NAMES, GONE)))
    run = ready.agent("renew", timeout=120)
    assert run.returncode == 1 and "2 renewed, 1 failed" in run.stdout
    assert f"{loose} is not run: others than its owner" in run.stderr
    first, second = (line.split("|")[2] for line in notes.notes()[:4:2])
    assert {first, second} == set(NAMES)
    assert notes.notes() == [
        *(f"deploy/{n}|{ready.live(name)}|{name}|" for name in (first, second) for n in (10, 20)),
        f"reload/all||{first} {second}|",
        f"post/mail||{first} {second}|{GONE}",
    ]


def test_failing(ready, notes):
    """The agent reports it and runs the other hooks; the certificate stays."""
    notes.add("deploy", "1", "#!/bin/sh\necho from the hook\nexit 3\n")
    notes.add("deploy", "2", "#!/bin/sh\nkill -9 $$\n")
    notes.add("deploy", "3", "nonsense without an interpreter\0\n")
    notes.add("deploy", "4")
    run = ready.agent("certonly", "-d", NAMES[0])
    assert run.returncode == 1
    assert "from the hook" in run.stderr and "failed with status 3" in run.stderr
    assert len(notes.notes()) == 1
    ready.check_certificate(NAMES[0], NAMES[:1])


def test_interpreter(ready, notes):
    """One that cannot be started: what to look at, and plan says it in full however narrow it is."""
    hook = notes.add("deploy", "1", "#!/nonexistent/sh\n")
    run = ready.agent("certonly", "-d", NAMES[0])
    assert run.returncode == 1
    assert f"cannot run the hook {hook}" in run.stderr and "its first line must name" in run.stderr
    plan = ready.agent("plan", NAMES[0], env={**os.environ, "COLUMNS": "80"}).stdout
    assert f"  Its hooks: cannot run the hook {hook}" in plan


def test_slow(ready, notes):
    """A hook that takes its time holds nothing up: this one waits for the other certificate."""
    ends = " ".join(str(ready.live(name) / "cert.pem") for name in NAMES)
    notes.add(
        "deploy",
        "wait",
        f"""#!/bin/sh
for _ in $(seq 600); do
	ls {ends} >/dev/null 2>&1 && exit 0
	sleep 0.1
done
exit 1
""",
    )
    (ready.root / "etc/sidestep/domains.txt").write_text("\n".join(NAMES))
    run = ready.agent("renew", timeout=120)
    assert run.returncode == 0, run.stderr
    assert "2 renewed" in run.stdout


def served(lab):
    return clients.get(lab.validator, lab.server.ipv4, NAMES[0]).certificate


def leaf(instance, name):
    encoding = certificates.serialization.Encoding.DER
    return certificates.load(instance.live(name) / "cert.pem")[0].public_bytes(encoding)


def use_in_nginx(nginx, cert, key):
    """nginx's configuration with these files."""
    text = nginx.config.read_text()
    text = text.replace(str(nginx.identity.cert_file), str(cert))
    return text.replace(str(nginx.identity.key_file), str(key))


@pytest.mark.row("A3")
def test_going_back(lab, nginx, ready, notes):
    """nginx cannot load the new certificate: the previous one is in use again, everywhere."""
    environment = {**os.environ, "NGINX_CONF": str(nginx.config)}
    name = NAMES[0]
    ready.succeed("certonly", "-d", name, "--bundle")
    bundle = ready.live(name) / "bundle.pem"
    nginx.config.write_text(use_in_nginx(nginx, bundle, bundle))
    notes.link("nginx")
    notes.add("deploy", "copy")
    run = ready.agent("renew", "--force-renewal", env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    old = leaf(ready, name)
    hosts.wait_for(lambda: served(lab) == old, "nginx to serve the certificate")
    notes.log.unlink()
    # The next has no bundle.
    again = ("certonly", "-d", name, "--force-renewal")
    run = ready.agent(*again, "--no-bundle", env=environment, timeout=120)
    assert run.returncode == 1
    assert "the configuration test failed: nginx was not reloaded" in run.stderr
    assert f"archive/{name}/3" in run.stderr
    assert leaf(ready, name) == old and bundle.exists()
    ready.check_certificate(name, [name])
    assert (ready.state / "archive" / name / "3/refused").exists()
    assert len(notes.notes()) == 2  # for the new one, and for the previous one
    assert served(lab) == old
    assert all(entry["at"] > time.time() + 1.9 * DAY_S for entry in ready.succeed("plan")["plan"])
    # Once it is corrected the next renewal succeeds.
    run = ready.agent(*again, "--bundle", env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    assert leaf(ready, name) != old
    hosts.wait_for(lambda: served(lab) == leaf(ready, name), "nginx to serve the new one")
    assert nginx.process.is_running()
    ready.succeed("delete", name)
    assert not (ready.state / "archive" / name).exists()


@pytest.mark.row("A3")
def test_broken_configuration(lab, nginx, ready, notes):
    """That is not the certificates' fault: they stay, none is ordered again, the hooks run later."""
    environment = {**os.environ, "NGINX_CONF": str(nginx.config)}
    live = {name: ready.live(name) for name in NAMES}
    for name in NAMES:
        ready.succeed("certonly", "-d", name)
    sound = use_in_nginx(nginx, live[NAMES[0]] / "fullchain.pem", live[NAMES[0]] / "privkey.pem")
    nginx.config.write_text(sound)
    notes.link("nginx")
    run = ready.agent("renew", "--force-renewal", env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    old = {name: leaf(ready, name) for name in NAMES}
    hosts.wait_for(lambda: served(lab) == old[NAMES[0]], "nginx to serve the certificate")
    nginx.config.write_text(sound + "nonsense;\n")
    run = ready.agent("renew", "--force-renewal", env=environment, timeout=120)
    assert run.returncode == 1
    assert "2 renewed, 0 failed" in run.stdout
    assert "not the certificate's fault" in run.stderr
    for name in NAMES:
        assert leaf(ready, name) != old[name]
        ready.check_certificate(name, [name])
    assert served(lab) == old[NAMES[0]]
    nginx.config.write_text(sound)
    run = ready.agent("renew", "--force-renewal", "--cert-name", NAMES[0], env=environment,
                      timeout=120)
    assert run.returncode == 0, run.stderr
    hosts.wait_for(lambda: served(lab) == leaf(ready, NAMES[0]), "nginx to serve the new one")


@pytest.mark.row("A3", "B10")
def test_stopped_nginx(lab, nginx, ready):
    """Its configuration is sound, and it loads the certificate at its next start: that is no failure."""
    environment = {**os.environ, "NGINX_CONF": str(nginx.config), "NGINX": "7;8;"}
    hook = hosts.SOURCE / "deploy/hooks/nginx"
    run = lab.server.run(hook, check=False, env=environment)
    assert run.returncode == 0 and "does not run" not in run.stderr, run.stderr
    nginx.process.stop()
    run = lab.server.run(hook, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    assert "nginx does not run: it loads the new certificates at its next start" in run.stderr
    nginx.config.write_text("nonsense;\n")
    run = lab.server.run(hook, check=False, env=environment)
    assert run.returncode == 78


def test_nothing_to_go_back_to(ready, notes):
    notes.add("reload", "no", "#!/bin/sh\nexit 78\n")
    run = ready.agent("certonly", "-d", NAMES[0])
    assert run.returncode == 1
    assert "there is no certificate before this one to go back to" in run.stderr
    ready.check_certificate(NAMES[0], NAMES[:1])


@pytest.mark.row("A40")
def test_restore(ready, notes):
    """An earlier certificate comes back, with its hooks, and is not renewed at once."""
    ready.succeed("certonly", "-d", NAMES[0])
    old = leaf(ready, NAMES[0])
    ready.succeed("certonly", "-d", NAMES[0], "--force-renewal")
    assert leaf(ready, NAMES[0]) != old
    notes.add("deploy", "copy")
    ready.succeed("restore", NAMES[0])
    assert leaf(ready, NAMES[0]) == old
    ready.check_certificate(NAMES[0], NAMES[:1])
    run = ready.agent("renew")
    assert run.returncode == 0 and "renewed" not in run.stdout, run.stdout
    assert notes.notes() == [f"deploy/copy|{ready.live(NAMES[0])}|{NAMES[0]}|"]
    assert ready.agent("restore", NAMES[0], "--generation", "9").returncode == 1
    assert ready.agent("restore", "nobody.example.org").returncode == 1


HAPROXY = """
global
	log stderr local0 notice
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend https
	bind {address}:8443 ssl crt {bundle}
	http-request return status 200 content-type text/plain string "production\\n"
"""


def test_bundle(lab, ready, notes):
    """HAProxy takes full chain and key from one file, which keeps its mode, and reloads it."""
    ready.succeed("certonly", "-d", NAMES[0], "--bundle")
    bundle = ready.live(NAMES[0]) / "bundle.pem"
    assert bundle.read_text() == "".join(
        (ready.live(NAMES[0]) / f"{part}.pem").read_text() for part in ("fullchain", "privkey")
    )
    assert bundle.stat().st_mode & 0o777 == 0o600
    bundle.chmod(0o640)
    config, pidfile = lab.directory / "haproxy.cfg", lab.directory / "haproxy.pid"
    config.write_text(HAPROXY.format(address=lab.server.ipv4, bundle=bundle))
    haproxy = lab.server.start("haproxy", "haproxy", "-W", "-db", "-p", pidfile, "-f", config)
    haproxy.wait_until(lambda: lab.server.listens(8443), "its port")
    notes.link("haproxy")
    environment = {**os.environ, "HAPROXY_CONF": str(config), "HAPROXY_PIDFILE": str(pidfile)}
    run = ready.agent("renew", "--force-renewal", env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    assert bundle.stat().st_mode & 0o777 == 0o640

    def is_served():
        shown = lab.validator.run(
            *("openssl", "s_client", "-connect", f"{lab.server.ipv4}:8443", "-servername", NAMES[0]),
            input="", check=False,
        ).stdout
        return (ready.live(NAMES[0]) / "cert.pem").read_text().strip() in shown

    hosts.wait_for(is_served, "HAProxy to serve the new certificate")
    # Where none is wanted any more none is left.
    (notes.directory / "reload/haproxy").unlink()
    ready.succeed("certonly", "-d", NAMES[0], "--force-renewal", "--no-bundle")
    assert not os.path.lexists(bundle)


def test_apache(lab, ready):
    """Its hook tests before it reloads."""
    directory = lab.make_directory("apache")
    config = directory / "apache.conf"
    config.write_text("nonsense\n")
    environment = {**os.environ, "APACHE_PROGRAM": "apache2", "APACHE_CONF": str(config)}
    run = lab.server.run(hosts.SOURCE / "deploy/hooks/apache", check=False, env=environment)
    assert run.returncode == 78
    assert "the configuration test failed: Apache was not reloaded" in run.stderr
