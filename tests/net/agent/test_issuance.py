# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates from two CAs, beside each production server."""

import os
import pwd
import shutil
import stat

import pytest

from lab import authority, certificates, clients, hosts, load_client, production, sidestep

NAME = "www.example.org"
OTHER = "other.example.org"


def check_trust(lab, authority_, instance, name):
    """By OpenSSL, with nothing trusted but the CA's root."""
    roots = lab.directory / "roots.pem"
    roots.write_text(authority_.roots(), encoding="ascii")
    live = instance.live(name)
    hosts.run(
        *("openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", roots),
        *("-untrusted", live / "chain.pem", live / "cert.pem"),
    )


def check_issued(lab, authority_, instance, *names):
    """One certificate for these names, and nothing left armed."""
    run = instance.issue(authority_, *names)
    assert run.returncode == 0, run.stdout + run.stderr
    first = str(names[0])
    chain = instance.check_certificate(first, names)
    check_trust(lab, authority_, instance, first)
    assert not instance.pending()
    return chain


def addresses(lab, families):
    return [getattr(lab.server, family) for family in families]


@pytest.mark.parametrize("families", (("ipv4",), ("ipv6",), ("ipv4", "ipv6")), ids="+".join)
@pytest.mark.quick
def test_each_authority(lab, dns, any_authority, nginx, instance, takeover, families):
    dns.set(NAME, *addresses(lab, families))
    instance.start("--takeover", takeover)
    check_issued(lab, any_authority, instance, NAME)
    assert instance.counters()["steered"] >= 1
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate


def test_each_production_server(lab, dns, pebble, any_production, instance):
    dns.set(NAME, lab.server.ipv4, lab.server.ipv6)
    instance.start()
    check_issued(lab, pebble, instance, NAME)
    for address in (lab.server.ipv4, lab.server.ipv6):
        answer = clients.get(lab.validator, address, NAME)
        assert (answer.body, answer.certificate) == (production.BODY, any_production.certificate)


@pytest.mark.parametrize("family", ("ipv4", "ipv6"))
def test_address_identifier(lab, pebble, nginx, instance, family):
    """RFC 8738."""
    instance.start()
    check_issued(lab, pebble, instance, getattr(lab.server, family))


def test_names_and_address_together(lab, dns, pebble, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    dns.set(OTHER, lab.server.ipv6)
    instance.start()
    # Of one family only: Pebble sorts addresses of both in two ways, and misses one in the CSR.
    check_issued(lab, pebble, instance, NAME, OTHER, lab.server.ipv4)


def test_upper_case_name(lab, dns, pebble, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    run = instance.issue(pebble, NAME.upper())
    assert run.returncode == 0, run.stderr
    instance.check_certificate(NAME, [NAME])


def test_thirty_names(lab, dns, pebble, nginx, instance):
    names = [f"name-{i}.example.org" for i in range(30)]
    for name in names:
        dns.set(name, lab.server.ipv4)
    instance.start()
    check_issued(lab, pebble, instance, *names)


def test_standalone(lab, dns, any_authority, instance):
    """Where nothing else listens on the port."""
    dns.set(NAME, lab.server.ipv4, lab.server.ipv6)
    instance.start("--standalone")
    check_issued(lab, any_authority, instance, NAME)


def test_authority_on_the_same_host(lab, dns, nginx, instance, takeover):
    """Its packets come over the loopback interface."""
    dns.set(NAME, lab.server.ipv4)
    instance.start("--takeover", takeover)
    check_issued(lab, authority.Pebble(lab, host=lab.server), instance, NAME)


def test_under_load(lab, dns, pebble, nginx, instance, takeover):
    dns.set(NAME, lab.server.ipv4, lab.server.ipv6)
    instance.start("--takeover", takeover)
    clients_coming = load_client.Load(lab, nginx)
    for _ in range(3):
        run = instance.issue(pebble, NAME, options=["--force-renewal"])
        assert run.returncode == 0, run.stderr
    clients_coming.wait_for_requests(500)
    clients_coming.finish()
    assert instance.counters()["passed_other"] >= 500


def test_as_ordinary_user(lab, dns, pebble, nginx, instance):
    """A member of the responder's group, without any capability."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    user = {"user": sidestep.STRANGER, "group": sidestep.GROUP}
    instance.state.mkdir(parents=True)
    os.chown(instance.state, sidestep.STRANGER, 0)
    run = instance.issue(pebble, NAME, **user)
    assert run.returncode == 0, run.stderr
    instance.check_certificate(NAME, [NAME])
    assert instance.live(NAME).stat().st_uid == sidestep.STRANGER


@pytest.mark.parametrize("percent", (5, 50))
def test_refused_nonces(lab, dns, nginx, instance, percent):
    """Answers of type badNonce are met by trying again: RFC 8555 section 6.5."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    pebble = authority.Pebble(lab, PEBBLE_WFE_NONCEREJECT=str(percent))
    check_issued(lab, pebble, instance, NAME)


def test_slow_authority(lab, dns, nginx, instance):
    """A validation that takes its time: the name stays armed until it is through."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    pebble = authority.Pebble(lab, PEBBLE_VA_NOSLEEP="0", PEBBLE_VA_SLEEPTIME="3")
    check_issued(lab, pebble, instance, NAME)


# --- keys ------------------------------------------------------------------------------------


def bits(chain):
    return chain[0].public_key().key_size


@pytest.mark.parametrize(
    ("key_type", "size"),
    (("p384", 384), ("rsa2048", 2048), ("RSA-3072", 3072), ("4096", 4096)),
)
def test_key_types(lab, dns, pebble, nginx, instance, key_type, size):
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    run = instance.issue(pebble, NAME, options=["--key-type", key_type])
    assert run.returncode == 0, run.stderr
    chain = instance.check_certificate(NAME, [NAME])
    assert bits(chain) == size
    # Kept while it is not due, until another type is asked for.
    run = instance.issue(pebble, NAME, options=["--key-type", key_type])
    assert run.returncode == 0, run.stderr
    assert instance.check_certificate(NAME, [NAME]) == chain
    run = instance.issue(pebble, NAME, options=["--key-type", "p256"])
    assert run.returncode == 0, run.stderr
    assert bits(instance.check_certificate(NAME, [NAME])) == 256


def test_key_types_by_another_authority(lab, dns, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    caddy = authority.Caddy(lab)
    instance.start()
    for key_type, size in (("p384", 384), ("rsa2048", 2048)):
        run = instance.issue(caddy, NAME, options=["--key-type", key_type])
        assert run.returncode == 0, run.stderr
        assert bits(instance.check_certificate(NAME, [NAME])) == size


def test_reused_key(lab, dns, pebble, nginx, instance):
    """It goes into the new generation, now and when renewed; another type makes a new one."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    key = instance.live(NAME) / "privkey.pem"
    seen = []
    for options in (
        ["--reuse-key", "--key-type", "p384"],
        ["--reuse-key", "--force-renewal"],
        ["--reuse-key", "--key-type", "p256"],
        ["--no-reuse-key", "--force-renewal"],
    ):
        run = instance.issue(pebble, NAME, options=options)
        assert run.returncode == 0, run.stderr
        instance.check_certificate(NAME, [NAME])
        seen.append(key.read_bytes())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_reused_key_when_renewed(lab, dns, pebble, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    options = ["--reuse-key", "--key-type", "rsa2048"]
    assert instance.issue(pebble, NAME, options=options).returncode == 0
    first = instance.check_certificate(NAME, [NAME])
    run = instance.agent("renew", "--force-renewal", "--cacert", pebble.cacert)
    assert run.returncode == 0, run.stderr
    second = instance.check_certificate(NAME, [NAME])
    assert second != first
    assert second[0].public_key().public_numbers() == first[0].public_key().public_numbers()


def test_unknown_key_type(pebble, instance):
    run = instance.issue(pebble, NAME, options=["--key-type", "rsa1024"])
    assert run.returncode == 2
    assert "there is no key type 'rsa1024'" in run.stderr and "p256" in run.stderr


# --- the files on disk, and the report of them -------------------------------------------------


def test_kept_then_renewed(lab, dns, pebble, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    first = check_issued(lab, pebble, instance, NAME)
    assert check_issued(lab, pebble, instance, NAME) == first  # not due

    run = instance.issue(pebble, NAME, options=["--force-renewal"])
    assert run.returncode == 0, run.stderr
    second = instance.check_certificate(NAME, [NAME])
    assert second[0].serial_number != first[0].serial_number
    listed = instance.succeed("certificates")["certificates"]
    assert [entry["name"] for entry in listed] == [NAME]


def test_account_is_kept(lab, dns, pebble, nginx, instance):
    """One account for all that comes, its key for nobody else to read."""
    dns.set(NAME, lab.server.ipv4)
    dns.set(OTHER, lab.server.ipv4)
    instance.start()
    server = ("--server", pebble.url, "--cacert", pebble.cacert, "--agree-tos")
    first = instance.succeed("register", *server)["account"]
    again = instance.succeed("register", *server)["account"]
    assert (first["new"], again["new"]) == (True, False)
    assert again["url"] == first["url"]
    check_issued(lab, pebble, instance, NAME)
    check_issued(lab, pebble, instance, OTHER)
    assert "There are now 2 accounts" not in pebble.process.output()
    keys = [path for path in instance.state.rglob("*") if is_key(path)]
    assert len(keys) == 3  # one of the account, one of each certificate
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)


def is_key(path):
    return path.is_file() and not path.is_symlink() and b"PRIVATE KEY" in path.read_bytes()


def test_json(lab, dns, pebble, nginx, instance):
    """One document on standard output, and nothing else."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    answer = instance.succeed(
        *("certonly", "--server", pebble.url, "--cacert", pebble.cacert),
        *("--agree-tos", "-d", NAME),
    )
    assert answer["ok"] and answer["issued"]
    status = instance.status()
    assert status["ok"] and status["running"] and status["counters"]["steered"] >= 1


def test_deploy_hook(lab, dns, pebble, nginx, instance):
    """The nginx hook: the new certificate is served, by the same nginx, and no client is lost."""
    dns.set(NAME, lab.server.ipv4, lab.server.ipv6)
    instance.start()
    fullchain = instance.live(NAME) / "fullchain.pem"
    clients_coming = load_client.Load(lab, nginx, certificate_files=[fullchain])
    tls = nginx.identity.cert_file.parent
    # nginx's two files become links to the lineage, as a user would configure them.
    hook = lab.directory / "hook"
    hook.write_text(
        f"""#!/bin/sh
set -e
[ "$RENEWED_DOMAINS" = {NAME} ]
ln -sf "$RENEWED_LINEAGE/fullchain.pem" {tls}/cert.pem
ln -sf "$RENEWED_LINEAGE/privkey.pem" {tls}/key.pem
exec {hosts.SOURCE}/deploy/hooks/nginx
"""
    )
    hook.chmod(0o755)
    run = instance.issue(
        *(pebble, NAME),
        options=["--deploy-hook", str(hook)],
        env={**os.environ, "NGINX_CONF": str(nginx.config)},
    )
    assert run.returncode == 0, run.stderr
    new = certificates.load(fullchain)[0].public_bytes(certificates.serialization.Encoding.DER)
    hosts.wait_for(
        lambda: clients.get(lab.validator, lab.server.ipv4, NAME).certificate == new,
        "nginx to serve the new certificate",
    )
    assert nginx.process.is_running()
    clients_coming.wait_for_requests(200)
    clients_coming.finish()


def test_hook_refuses_a_broken_configuration(lab, nginx):
    """nginx keeps the certificate that it has."""
    broken = nginx.directory / "broken.conf"
    broken.write_text(nginx.config.read_text() + "nonsense;\n")
    hook = hosts.SOURCE / "deploy/hooks/nginx"
    environment = {**os.environ, "NGINX_CONF": str(broken)}
    run = lab.server.run(hook, check=False, env=environment)
    assert run.returncode == 78  # EX_CONFIG: refused
    assert "nonsense" in run.stderr
    assert "the configuration test failed: nginx was not reloaded" in run.stderr
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate


def test_failing_hook_is_told(lab, dns, pebble, nginx, instance):
    """The certificate stays; the exit status says that something is left to do."""
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    run = instance.issue(pebble, NAME, options=["--deploy-hook", "echo from the hook; exit 3"])
    assert run.returncode == 1
    assert "from the hook" in run.stderr
    assert "hook" in run.stderr.lower() and "3" in run.stderr
    instance.check_certificate(NAME, [NAME])


@pytest.mark.row("W4")
def test_root_works_as_the_owner_of_the_state(lab, nginx, instance, pebble, dns):
    """The service's user renews what root got: no file of root's is among his."""
    dns.set(NAME, lab.server.ipv4)
    instance.start("--group", sidestep.OTHER_GROUP)
    instance.state.mkdir(parents=True)
    shutil.chown(instance.state, sidestep.OTHER_USER)
    run = instance.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    owners = {path.lstat().st_uid for path in (instance.state, *instance.state.rglob("*"))}
    assert owners == {pwd.getpwnam(sidestep.OTHER_USER).pw_uid}
    instance.check_certificate(NAME, [NAME])
