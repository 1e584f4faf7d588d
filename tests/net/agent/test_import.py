# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep import`: what other clients have is taken over, and their trees are left alone."""

import contextlib
import json
import os
import shutil
import sqlite3

import pytest

from lab import authority, certificates, client_trees, hosts, sidestep

NAME = "www.example.org"
OTHER = "shop.example.org"


def bring(instance, tree, *options):
    """Run it: what became of it, and what it said."""
    before = tree.image()
    output = instance.agent("import", tree.path, "--json", *options)
    assert tree.image() == before
    return output, json.loads(output.stdout)


def results(said):
    return {entry["name"]: entry["result"] for entry in said["certificates"]}


def error_of(said, name):
    (entry,) = [entry for entry in said["certificates"] if entry["name"] == name]
    return entry["error"]


def specs(instance):
    """What the agent knows is wanted, by name."""
    with contextlib.closing(sqlite3.connect(instance.state / "state.db")) as memory:
        memory.row_factory = sqlite3.Row
        return {row["name"]: dict(row) for row in memory.execute("SELECT * FROM lineage")}


def check_copy(instance, name, issued):
    chain = instance.check_certificate(name, issued.names)
    assert [one.public_bytes(client_trees.serialization.Encoding.PEM) for one in chain] == [
        issued.leaf,
        issued.issuer,
    ]
    ours = certificates.load_key(instance.live(name) / "privkey.pem")
    assert ours.private_numbers() == issued.key.private_numbers()


# --- certbot ---------------------------------------------------------------------------------------


@pytest.fixture
def certbot(lab):
    return client_trees.Certbot(lab.directory / "letsencrypt")


@pytest.mark.parametrize("make_key", (client_trees.p256, client_trees.p384, client_trees.rsa2048))
def test_certbot(instance, certbot, make_key):
    issued = client_trees.Issued(NAME, OTHER, "192.0.2.7", key=make_key())
    certbot.add(NAME, issued)
    output, said = bring(instance, certbot)
    assert output.returncode == 0, output.stderr
    assert (said["client"], said["imported"], said["failed"]) == ("certbot", 1, 0)
    assert results(said) == {NAME: "imported"}
    check_copy(instance, NAME, issued)
    (listed,) = instance.succeed("certificates")["certificates"]
    assert listed["server"] == client_trees.LETS_ENCRYPT
    assert listed["names"] == [NAME, OTHER, "192.0.2.7"]
    (planned,) = instance.succeed("plan")["plan"]
    assert planned["name"] == NAME and planned["ca"] == client_trees.LETS_ENCRYPT
    spec = specs(instance)[NAME]
    assert spec["source"] == "import" and not spec["reuse_key"]
    assert spec["key_type"] == make_key.__name__
    # Certbot's account keys are not for us.
    assert said["accounts"] == [{"server": client_trees.LETS_ENCRYPT, "result": "none"}]


def test_again(instance, certbot):
    """What is here is left as it is, be it from before or from the first time."""
    certbot.add(NAME, client_trees.Issued(NAME))
    bring(instance, certbot)
    files = instance.files()
    output, said = bring(instance, certbot)
    assert output.returncode == 0 and (said["imported"], said["present"]) == (0, 1)
    assert instance.files() == files
    assert "exists already; nothing changed" in instance.agent("import", certbot.path).stdout


def test_completed(instance, certbot):
    """A process was killed between copying and making known."""
    certbot.add(NAME, client_trees.Issued(NAME))
    certbot.add(OTHER, client_trees.Issued(OTHER))
    bring(instance, certbot)
    with contextlib.closing(sqlite3.connect(instance.state / "state.db")) as memory, memory:
        memory.execute("DELETE FROM lineage WHERE name = ?", (NAME,))
    files = instance.files()
    output, said = bring(instance, certbot)
    assert output.returncode == 0
    assert results(said) == {NAME: "imported", OTHER: "present"}
    assert instance.files() == files
    assert set(specs(instance)) == {NAME, OTHER}


def test_hooks(instance, certbot):
    """Only what does nothing but reload a service is taken over."""
    hooks = {
        "a.example.org": ("systemctl reload nginx", True),
        "b.example.org": ("'/usr/local/bin/deploy.sh, with a comma'", False),
        "c.example.org": ("systemctl reload nginx; rm -r /srv/cache", False),
        "d.example.org": ("None", False),
    }
    for name, (hook, _) in hooks.items():
        certbot.add(name, client_trees.Issued(name), renew_hook=hook, reuse_key="True")
    client_trees.write(certbot.path / "renewal-hooks/deploy/all.sh", "#!/bin/sh\n", 0o755)
    output, said = bring(instance, certbot)
    assert output.returncode == 0
    assert "renewal-hooks/deploy/all.sh is not imported" in output.stderr
    taken = {entry["name"]: entry["hook_taken"] for entry in said["certificates"]}
    assert taken == {name: is_taken for name, (_, is_taken) in hooks.items()}
    told = {entry["name"]: entry.get("hook") for entry in said["certificates"]}
    assert told["b.example.org"] == "/usr/local/bin/deploy.sh, with a comma"
    assert told["d.example.org"] is None
    known = specs(instance)
    assert known["a.example.org"]["deploy_hook"] == "systemctl reload nginx"
    assert known["c.example.org"]["deploy_hook"] is None
    assert all(row["reuse_key"] for row in known.values())


def test_profile_and_chain(instance, certbot):
    """What is asked of the CA stays the same."""
    certbot.add(
        NAME,
        client_trees.Issued(NAME, "192.0.2.7"),
        required_profile="shortlived",
        preferred_profile="None",
        preferred_chain="ISRG Root X2",
    )
    assert bring(instance, certbot)[0].returncode == 0
    spec = specs(instance)[NAME]
    assert (spec["required_profile"], spec["preferred_profile"]) == ("shortlived", None)
    assert spec["preferred_chain"] == "ISRG Root X2"


def test_own_hook(instance, certbot):
    certbot.add(NAME, client_trees.Issued(NAME), renew_hook="systemctl reload nginx")
    output, said = bring(instance, certbot, "--deploy-hook", "/usr/local/bin/ours")
    assert output.returncode == 0 and not said["certificates"][0]["hook_taken"]
    assert specs(instance)[NAME]["deploy_hook"] == "/usr/local/bin/ours"


def test_left_out(instance, certbot):
    """The import reports what it cannot use, each with its reason, and takes the rest."""
    certbot.add("good.example.org", client_trees.Issued("good.example.org"))
    certbot.add("expired.example.org", client_trees.Issued("expired.example.org", expired=True))
    certbot.add("wild.example.org", client_trees.Issued("wild.example.org", "*.wild.example.org"))
    certbot.add("key.example.org", client_trees.Issued("key.example.org", key=client_trees.other_type()))
    certbot.add("nowhere.example.org", client_trees.Issued("nowhere.example.org"), server=None)
    certbot.add("-odd", client_trees.Issued("odd.example.org"))
    mixed = client_trees.Issued("mixed.example.org")
    mixed.key = client_trees.p256()
    certbot.add("mixed.example.org", mixed)
    certbot.add("torn.example.org", client_trees.Issued("torn.example.org"))
    chain = certbot.path / "archive/torn.example.org/fullchain3.pem"
    chain.write_bytes(chain.read_bytes()[:-200])
    certbot.add("lost.example.org", client_trees.Issued("lost.example.org"))
    (certbot.path / "archive/lost.example.org/privkey3.pem").unlink()

    output, said = bring(instance, certbot)
    assert output.returncode == 1 and not said["ok"]
    expected = {
        "wild.example.org": "*.wild.example.org: wildcards cannot be validated",
        "key.example.org": "of another type",
        "nowhere.example.org": "which CA",
        "-odd": "does not allow this name",
        "mixed.example.org": "does not belong",
        "torn.example.org": "not a readable chain of certificates",
        "lost.example.org": "cannot read",
    }
    for name, cause in expected.items():
        assert cause in error_of(said, name)["cause"]
    assert "dns-01" in error_of(said, "wild.example.org")["cause"]
    assert "--server" in error_of(said, "nowhere.example.org")["next_step"]
    good = {"good.example.org": "imported", "expired.example.org": "imported"}
    assert results(said) == {**{name: "failed" for name in expected}, **good}
    assert "expired.example.org has expired" in output.stderr
    assert set(specs(instance)) == set(good)
    assert sorted(path.name for path in (instance.state / "live").iterdir()) == sorted(good)

    output, said = bring(instance, certbot, "--server", "https://ca.example/directory")
    assert results(said)["nowhere.example.org"] == "imported"
    known = specs(instance)
    assert known["nowhere.example.org"]["cas"] == "https://ca.example/directory"
    assert known["good.example.org"]["cas"] == client_trees.LETS_ENCRYPT


def test_nothing_to_read(lab, instance):
    tree = client_trees.Tree(lab.directory / "empty")
    output, said = bring(instance, tree)
    assert output.returncode == 1 and "not a directory of a client that sidestep knows" in output.stderr
    assert instance.agent("import").returncode == 2
    assert instance.agent("import", "/no/such/directory").returncode == 1


def test_another_place_is_in_the_way(instance, certbot):
    """What lies in live/ and is not ours is never written over."""
    certbot.add(NAME, client_trees.Issued(NAME))
    client_trees.write(instance.live(NAME) / "notes", "mine\n")
    output, said = bring(instance, certbot)
    assert output.returncode == 1
    assert "was not made by sidestep" in error_of(said, NAME)["cause"]
    assert (instance.live(NAME) / "notes").read_text() == "mine\n"


def test_renewed(lab, dns, pebble, nginx, instance, certbot):
    """From the import on it is a certificate as any other."""
    dns.set(NAME, lab.server.ipv4)
    issued = client_trees.Issued(NAME, key=client_trees.p384())
    certbot.add(NAME, issued, server=pebble.url)
    assert bring(instance, certbot)[0].returncode == 0
    instance.start()
    server = ("--cacert", pebble.cacert, "--agree-tos")
    renewed = instance.succeed("renew", *server, "--force-renewal")
    assert (renewed["renewed"], renewed["failed"]) == (1, 0)
    chain = instance.check_certificate(NAME, [NAME])
    assert chain[0].issuer != certificates.load(certbot.path / f"live/{NAME}/cert.pem")[0].issuer
    assert chain[0].public_key().key_size == 384
    assert instance.succeed("renew", *server)["renewed"] == 0


# --- lego, acme.sh, dehydrated ---------------------------------------------------------------------


def of_lego(lab):
    return client_trees.Lego(lab.directory / "lego"), "lego"


def of_acmesh(lab):
    return client_trees.AcmeSh(lab.directory / "acme.sh"), "acme.sh"


def of_dehydrated(lab):
    return client_trees.Dehydrated(lab.directory / "dehydrated"), "dehydrated"


EVERY_OTHER = pytest.mark.parametrize("make_tree", (of_lego, of_acmesh, of_dehydrated))


@EVERY_OTHER
def test_others(lab, instance, make_tree):
    """Two certificates and an account, which comes along for its key is one for us."""
    tree, client = make_tree(lab)
    account = client_trees.p256()
    tree.add_account(account)
    issued = {
        NAME: client_trees.Issued(NAME, OTHER, key=client_trees.rsa2048()),
        "mail.example.org": client_trees.Issued("mail.example.org"),
    }
    for name, one in issued.items():
        tree.add(name, one)
    output, said = bring(instance, tree)
    assert output.returncode == 0, output.stderr
    assert said["client"] == client
    assert results(said) == {name: "imported" for name in issued}
    for name, one in issued.items():
        check_copy(instance, name, one)
    listed = instance.succeed("certificates")["certificates"]
    assert {entry["server"] for entry in listed} == {client_trees.LETS_ENCRYPT}
    types = {name: row["key_type"] for name, row in specs(instance).items()}
    assert types == {NAME: "rsa2048", "mail.example.org": "p256"}
    assert said["accounts"] == [{"server": client_trees.LETS_ENCRYPT, "result": "imported"}]
    (key,) = (instance.state / "accounts").rglob("key.pem")
    assert key.stat().st_mode & 0o777 == 0o600
    assert certificates.load_key(key).private_numbers() == account.private_numbers()

    files = instance.files()
    output, said = bring(instance, tree)
    assert output.returncode == 0 and (said["imported"], said["present"]) == (0, 2)
    assert said["accounts"] == [{"server": client_trees.LETS_ENCRYPT, "result": "present"}]
    assert instance.files() == files


@EVERY_OTHER
def test_account_with_another_key(lab, instance, make_tree):
    """It cannot come along; the certificates do."""
    tree, _ = make_tree(lab)
    tree.add_account(client_trees.rsa2048())
    tree.add(NAME, client_trees.Issued(NAME))
    output, said = bring(instance, tree)
    assert output.returncode == 0 and results(said) == {NAME: "imported"}
    assert said["accounts"] == [{"server": client_trees.LETS_ENCRYPT, "result": "none"}]
    assert not list(instance.state.rglob("key.pem"))
    text = instance.agent("import", tree.path).stdout
    assert f"sidestep register --agree-tos --server {client_trees.LETS_ENCRYPT}" in text


@EVERY_OTHER
def test_account_goes_on(lab, dns, pebble, nginx, instance, make_tree):
    """The CA knows the account by its key, and renews what it has issued."""
    server = ("--server", pebble.url, "--cacert", pebble.cacert)
    made = instance.succeed("register", *server, "--agree-tos")["account"]
    (key,) = (instance.state / "accounts").rglob("key.pem")
    tree, _ = make_tree(lab)
    tree.add_account(certificates.load_key(key), pebble.url)
    issued = client_trees.Issued(NAME)
    if isinstance(tree, client_trees.Dehydrated):
        tree.add(NAME, issued)
    else:
        tree.add(NAME, issued, server=pebble.url)
    other = sidestep.Sidestep(lab, name="other")
    output, said = bring(other, tree, *server[:2])
    assert output.returncode == 0, output.stderr
    assert said["accounts"] == [{"server": pebble.url, "result": "imported"}]
    dns.set(NAME, lab.server.ipv4)
    other.start()
    # Without --agree-tos: no new account could be made.
    renewed = other.succeed("renew", "--cacert", pebble.cacert, "--force-renewal")
    assert renewed["renewed"] == 1
    other.check_certificate(NAME, [NAME])
    assert other.succeed("show_account", *server)["account"]["url"] == made["url"]


def test_lego_without_bundle(lab, instance):
    """The chain is in a file of its own then."""
    tree, _ = of_lego(lab)
    issued = client_trees.Issued(NAME)
    tree.add(NAME, issued, bundle=False)
    assert bring(instance, tree)[0].returncode == 0
    check_copy(instance, NAME, issued)


@pytest.mark.row("B7")
def test_lego_five(lab, instance):
    """Version 5 keeps the key beside account.json, which names the CA."""
    tree, _ = of_lego(lab)
    server = "https://ca.example:4001/acme/directory"
    tree.add_account(client_trees.p256(), server, kind=".")
    tree.add(NAME, client_trees.Issued(NAME), server=server)
    output, said = bring(instance, tree)
    assert output.returncode == 0, output.stderr
    assert said["certificates"][0]["certificate"]["server"] == server
    assert said["accounts"][0]["result"] == "imported"


def test_lego_unclear(lab, instance):
    """A CA that is not known by its host; and of two accounts none is chosen."""
    tree, _ = of_lego(lab)
    tree.add_account(client_trees.p256(), mail="a@example.org")
    tree.add_account(client_trees.p256(), mail="b@example.org")
    tree.add(NAME, client_trees.Issued(NAME))
    tree.add(OTHER, client_trees.Issued(OTHER), server="https://ca.example:4001/acme/directory")
    tree.add("_.example.org", client_trees.Issued("*.example.org"))
    output, said = bring(instance, tree)
    assert output.returncode == 1
    assert results(said) == {NAME: "imported", OTHER: "failed", "_.example.org": "failed"}
    assert "which CA" in error_of(said, OTHER)["cause"]
    assert "dns-01" in error_of(said, "_.example.org")["cause"]
    assert said["accounts"][0]["result"] == "none"


def test_configured(lab, instance):
    """The configuration's names of CAs, and of the account at each, hold here, too."""
    server = "https://ca.example/acme/directory"
    tree, _ = of_lego(lab)
    tree.add(NAME, client_trees.Issued(NAME), server=server)
    tree.add_account(client_trees.p256(), server)
    client_trees.write(
        instance.root / "etc/sidestep/sidestep.conf",
        f"[ca corporate]\nserver = {server}\naccount = shop\n",
    )
    assert instance.agent("import", tree.path, "--server", "nobody").returncode == 2
    output, said = bring(instance, tree, "--server", "corporate")
    assert output.returncode == 0, output.stderr
    assert said["certificates"][0]["certificate"]["server"] == server
    assert said["accounts"] == [{"server": server, "result": "imported"}]
    (key,) = (instance.state / "accounts").rglob("key.pem")
    assert key.parent.name == "shop"


def test_acmesh_settings(lab, instance):
    tree, _ = of_acmesh(lab)
    tree.add_account(client_trees.p256(), old=True)
    tree.add(NAME, client_trees.Issued(NAME), Le_ReloadCmd=client_trees.packed("systemctl reload nginx"))
    tree.add(
        OTHER,
        client_trees.Issued(OTHER, key=client_trees.rsa2048()),
        ecc=False,
        Le_ReloadCmd=client_trees.packed("cat /a >/b && echo 'done'"),
        Le_RealKeyPath="/etc/ssl/private/shop.key",
    )
    # Both types of keys for one name.
    tree.add(OTHER, client_trees.Issued(OTHER), Le_RenewHook="/usr/local/bin/hook")
    tree.add("*.example.org", client_trees.Issued("*.example.org"))
    # Asked for once, and never issued.
    client_trees.write(
        tree.path / "void.example.org_ecc/void.example.org.conf", "Le_Domain='void.example.org'\n"
    )
    output, said = bring(instance, tree)
    assert output.returncode == 1
    assert results(said) == {
        NAME: "imported",
        OTHER: "imported",
        f"{OTHER}_ecc": "imported",
        "*.example.org": "failed",
    }
    assert "dns-01" in error_of(said, "*.example.org")["cause"]
    assert "--install-cert" in output.stderr
    hooks = {
        entry["name"]: (entry.get("hook"), entry["hook_taken"])
        for entry in said["certificates"]
    }
    assert hooks[NAME] == ("systemctl reload nginx", True)
    assert hooks[OTHER] == ("cat /a >/b && echo 'done'", False)
    assert hooks[f"{OTHER}_ecc"] == ("/usr/local/bin/hook", False)
    assert specs(instance)[NAME]["deploy_hook"] == "systemctl reload nginx"
    assert said["accounts"] == [{"server": client_trees.LETS_ENCRYPT, "result": "imported"}]


STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


@pytest.mark.parametrize(
    ("config", "server"),
    (
        (None, None),
        ("# CA=\"letsencrypt\"\nHOOK=/etc/dehydrated/hook.sh\n", None),
        ('CA="letsencrypt-test"\n', STAGING),
        (f'CA="{client_trees.LETS_ENCRYPT}"\n', client_trees.LETS_ENCRYPT),
        ('CA="https://ca.example/directory"\n', None),
    ),
)
def test_dehydrated_with_two_accounts(lab, instance, config, server):
    """Which CA it is only the configuration can tell."""
    tree, _ = of_dehydrated(lab)
    tree.add_account(client_trees.p256())
    tree.add_account(client_trees.p256(), STAGING)
    (tree.path / "accounts" / "not_a_url").mkdir()
    tree.add(NAME, client_trees.Issued(NAME))
    if config:
        tree.configure(config)
    output, said = bring(instance, tree)
    (entry,) = said["certificates"]
    if server:
        assert entry["certificate"]["server"] == server
        assert said["accounts"] == [{"server": server, "result": "imported"}]
    else:
        assert output.returncode == 1 and "which CA" in entry["error"]["cause"]
    if config and "HOOK" in config:
        assert (entry["hook"], entry["hook_taken"]) == ("/etc/dehydrated/hook.sh", False)


# --- the clients themselves --------------------------------------------------------------------------

CLIENTS = hosts.PEERS.parents[1] / "clients"
PYTHON_PACKAGES = CLIENTS / "usr/lib/python3/dist-packages"


def client(name):
    """The program, be it installed or only unpacked."""
    unpacked = CLIENTS / "usr/bin" / name
    return unpacked if unpacked.exists() else shutil.which(name)


REAL = pytest.mark.skipif(not CLIENTS.exists(), reason="`make setup` fetches the clients")


def with_certbot(lab, pebble, directory):
    (directory / "letsencrypt").mkdir()
    places = (f"--{kind}-dir={directory / place}" for kind, place in (
        ("config", "letsencrypt"), ("work", "work"), ("logs", "logs"),
    ))
    lab.server.run(
        *("/usr/bin/python3", client("certbot"), "certonly", "--standalone", "-n"),
        *("--agree-tos", "-m", "a@example.org", "--server", pebble.url, "-d", NAME, *places),
        *("--pre-hook", "true", "--reuse-key"),
        env={**os.environ, "PYTHONPATH": str(PYTHON_PACKAGES), "REQUESTS_CA_BUNDLE": str(pebble.cacert)},
    )
    return directory / "letsencrypt"


def with_lego(lab, pebble, directory):
    lab.server.run(
        *(client("lego"), "--accept-tos", "--email", "a@example.org", "--http"),
        *("--server", pebble.url, "--path", directory / "lego", "--domains", NAME, "run"),
        env={**os.environ, "LEGO_CA_CERTIFICATES": str(pebble.cacert)},
    )
    return directory / "lego"


def with_dehydrated(lab, pebble, directory):
    well_known = directory / "www/.well-known/acme-challenge"
    well_known.mkdir(parents=True)
    client_trees.write(
        directory / "dehydrated/config",
        f'CA="{pebble.url}"\nBASEDIR="{directory}/dehydrated"\nWELLKNOWN="{well_known}"\n'
        f'CURL_OPTS="--cacert {pebble.cacert}"\nPRIVATE_KEY_RENEW="no"\n',
    )
    server = lab.server.start(
        "www", "/usr/bin/python3", "-m", "http.server", "80", "--directory", directory / "www"
    )
    server.wait_until(lambda: lab.server.listens(80), "its port")
    for verb in (("--register", "--accept-terms"), ("-c", "-d", NAME)):
        lab.server.run(
            client("dehydrated"), *verb, "-f", directory / "dehydrated/config", timeout=120
        )
    server.stop()
    return directory / "dehydrated"


@REAL
@pytest.mark.parametrize("issue", (with_certbot, with_lego, with_dehydrated))
def test_real(lab, dns, nginx, instance, issue):
    """A tree as the client of this distribution leaves it; and what it had is renewed."""
    dns.set(NAME, lab.server.ipv4)
    # Not all of them try again after a refused nonce.
    pebble = authority.Pebble(lab, PEBBLE_WFE_NONCEREJECT="0")
    path = issue(lab, pebble, lab.directory)
    output = instance.agent("import", path, "--json", "--server", pebble.url)
    said = json.loads(output.stdout)
    assert output.returncode == 0, output.stderr
    assert results(said) == {NAME: "imported"}
    (listed,) = instance.succeed("certificates")["certificates"]
    assert listed["names"] == [NAME] and listed["server"] == pebble.url
    if issue is with_certbot:
        assert [text for text in said["left_out"] if "its pre_hook is not imported: true" in text]
    assert bool(specs(instance)[NAME]["reuse_key"]) == (issue is not with_lego)
    instance.start()
    renewed = instance.succeed(
        "renew", "--force-renewal", "--agree-tos", "--cacert", pebble.cacert
    )
    assert renewed["renewed"] == 1
    instance.check_certificate(NAME, [NAME])
