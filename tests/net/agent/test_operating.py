# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators look at and steer by: plan, certificates, pause, unpause, retry.  No CA is asked."""

import json
import os
import shutil

import pytest

from lab import client_trees

SHOP, OTHER = "shop.example.org", "a-name-that-is-rather-long.customers.example.org"


@pytest.fixture
def listed(instance):
    directory = instance.root / "etc/sidestep"
    directory.mkdir(parents=True)
    (directory / "sidestep.conf").write_text("[domains shops]\nfile = shops.txt\ntenant = shop\n")
    (directory / "shops.txt").write_text(f"{SHOP}\n")
    (directory / "domains.txt").write_text(f"{OTHER}\nc.example.org > c\n")
    instance.succeed("plan")
    return instance


def states(instance, *options):
    return {entry["name"]: entry["state"] for entry in instance.succeed("plan", *options)["plan"]}


def test_pause(listed):
    """By name or filter, and nothing by accident; what is paused says why, and goes on again."""
    waiting = {SHOP: "waiting", OTHER: "waiting", "c": "waiting"}
    assert states(listed) == waiting
    assert listed.succeed("pause", "--tenant", "shop", "--reason", "it moves")["names"] == [SHOP]
    assert states(listed) == {**waiting, SHOP: "paused"}
    assert states(listed, "--failed") == {SHOP: "paused"}
    assert states(listed, "--tenant", "") == {OTHER: "waiting", "c": "waiting"}
    assert states(listed, "--ca", "letsencrypt-staging") == {}
    text = listed.agent("plan").stdout
    assert "it moves" in text and "letsencrypt" in text
    assert listed.succeed("pause", OTHER, "c")["names"] == [OTHER, "c"]
    assert listed.succeed("unpause", "--ca", "letsencrypt", "c")["names"] == ["c"]
    assert sorted(listed.succeed("retry", "--failed")["names"]) == sorted([OTHER, SHOP])
    assert states(listed, "--failed") == {}
    assert listed.succeed("unpause", "--all")["names"] == []
    for verb in ("pause", "unpause", "retry"):
        assert listed.agent(verb).returncode == 1
        unknown = listed.agent(verb, "c", "nobody.example.org")
        assert unknown.returncode == 1 and "no certificate called nobody" in unknown.stderr
        assert listed.agent(verb, "--ca", "nobody").returncode == 1
    assert states(listed, "--failed") == {}


def test_tables(lab, listed):
    """At most 80 columns where it matters; sorted by the end; uncut where nobody looks."""
    tree = client_trees.Certbot(lab.directory / "letsencrypt")
    tree.add("late.example.org", client_trees.Issued("late.example.org"))
    tree.add("gone.example.org", client_trees.Issued("gone.example.org", expired=True))
    many = [f"{number}.{OTHER}" for number in range(20)]
    tree.add("many.example.org", client_trees.Issued(*many, key=client_trees.p384()))
    listed.succeed("import", tree.path)
    narrow = {**os.environ, "COLUMNS": "80"}
    for verb in ("plan", "certificates"):
        cut = listed.agent(verb, env=narrow).stdout.splitlines()
        assert max(map(len, cut)) <= 80 and cut[0].split()[0] in ("WHEN", "NAME")
        assert OTHER in listed.agent(verb).stdout
    rows = listed.agent("certificates", env=narrow).stdout.splitlines()[1:]
    assert rows[0].split()[:5] == ["gone.example.org", *rows[0].split()[1:2], "EXPIRED", "p256", "waiting"]
    assert {row.split()[0] for row in rows[1:]} == {"late.example.org", "many.example.org"}
    said = listed.succeed("certificates")["certificates"]
    assert said[0]["name"] == "gone.example.org" and said[0]["state"] == "waiting"
    assert {entry["key_type"] for entry in said} == {"p256", "p384"}


def test_warn(lab, listed):
    """An exit status for monitoring, which names what it is about."""
    tree = client_trees.Certbot(lab.directory / "letsencrypt")
    tree.add("late.example.org", client_trees.Issued("late.example.org"))
    listed.succeed("import", tree.path)
    assert listed.succeed("certificates", "--warn", "14")["warned"] == []
    soon = listed.agent("certificates", "--warn", "90")
    assert soon.returncode == 1 and "late.example.org" in soon.stdout
    tree.add("gone.example.org", client_trees.Issued("gone.example.org", expired=True))
    listed.succeed("import", tree.path)
    gone = listed.agent("certificates", "--warn", "14")
    assert gone.returncode == 1
    assert "gone.example.org" in gone.stdout and "late.example.org" not in gone.stdout
    assert listed.agent("certificates", "--warn", "14", "late.example.org").returncode == 0
    assert "serial" in listed.agent("certificates", "late.example.org").stdout
    unknown = listed.agent("certificates", "nobody.example.org")
    assert unknown.returncode == 1 and "no certificate called nobody" in unknown.stderr


def test_warn_of_gone(lab, listed):
    """What was got, and is not on the disk any more: no server can read it when it starts again."""
    tree = client_trees.Certbot(lab.directory / "letsencrypt")
    names = "key.example.org", "links.example.org", "all.example.org"
    for name in (*names, "late.example.org"):
        tree.add(name, client_trees.Issued(name))
    listed.succeed("import", tree.path)
    listed.succeed("plan")
    assert listed.succeed("certificates", "--warn", "14")["warned"] == []
    (listed.live(names[0]) / "privkey.pem").unlink()
    shutil.rmtree(listed.live(names[1]))
    shutil.rmtree(listed.live(names[2]))
    shutil.rmtree(listed.state / "archive" / names[2])
    gone = listed.agent("certificates", "--warn", "14")
    assert gone.returncode == 1 and "No certificate expires" not in gone.stdout
    for name in names:
        assert f"{name}: the certificate or its key is gone" in gone.stdout
    said = json.loads(listed.agent("certificates", "--warn", "14", "--json").stdout)
    assert sorted(said["warned"]) == sorted(names)
    assert listed.agent("certificates", "--warn", "14", "--ca", "letsencrypt-staging").returncode == 0
