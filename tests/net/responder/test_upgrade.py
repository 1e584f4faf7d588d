# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep-responder --upgrade`: other programs, no other connection."""

import json

import pytest

from lab import attached, certificates, clients, hosts, load_client, sidestep

NAME = "www.example.org"


def check_challenge(lab):
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def programs(instance):
    """The ids of the attached programs: what `status` says of them is what the kernel says."""
    said = instance.status()["responder"]["programs"]
    pins = instance.root / "run/sidestep/bpf"
    for path in [*pins.glob("link_*"), *pins.glob("filter_*")]:
        kind = "link" if path.name.startswith("link_") else "prog"
        shown = hosts.run("bpftool", "--json", kind, "show", "pinned", path)
        key = "prog_id" if kind == "link" else "id"
        assert json.loads(shown.stdout)[key] in said.values()
    return said


@pytest.mark.parametrize("attach", ("tcx", "clsact"))
def test_under_load(lab, nginx, instance, takeover, attach):
    """The same links, other programs, and not a connection lost."""
    instance.start("--takeover", takeover, "--attach", attach).publish(NAME)
    clients_coming = load_client.Load(lab, nginx)
    places, links, before = attached.attachments(lab.server), instance.links(), programs(instance)
    for _ in range(5):
        run = instance.run_responder("--upgrade")
        assert run.returncode == 0, run.stderr
        clients_coming.wait_for_requests(20)
        check_challenge(lab)
    after = programs(instance)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert attached.attachments(lab.server) == places
    assert instance.links() == links
    clients_coming.finish()
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)


def test_interfaces_that_come_later(lab, nginx, instance):
    """They get the new programs, too."""
    instance.start().publish(NAME)
    assert instance.run_responder("--upgrade").returncode == 0
    hosts.run(
        *("ip", "link", "add", "late0", "netns", lab.server.namespace, "type", "veth"),
        *("peer", "name", "late1", "netns", lab.server.namespace),
    )
    hosts.wait_for(
        lambda: {"late0", "late1"} <= set(instance.status()["responder"]["interfaces"]),
        "the new interfaces to be protected",
    )
    assert len(instance.links()) == 5
    programs(instance)


def check_failed_upgrade(lab, nginx, instance, run, *words):
    """It said why, and all is as it was."""
    assert run.returncode == 1, run.stderr
    for word in words:
        assert word in run.stderr
    check_challenge(lab)
    answer = clients.get(lab.validator, lab.server.ipv4, NAME)
    assert answer.certificate == nginx.certificate


def test_programs_do_not_load(lab, nginx, instance, takeover):
    instance.start("--takeover", takeover).publish(NAME)
    before = programs(instance)
    command = ("setpriv", "--bounding-set=-perfmon,-bpf,-sys_admin", "--inh-caps=-all")
    run = lab.server.run(*command, *instance.responder_command("--upgrade"), check=False)
    check_failed_upgrade(lab, nginx, instance, run, "CAP_BPF")
    assert programs(instance) == before


def test_fails_half_way(lab, nginx, instance, takeover):
    """One place refuses the new program: all others get the old one back."""
    instance.start("--takeover", takeover).publish(NAME)
    before = programs(instance)
    pins = instance.root / "run/sidestep/bpf"
    (pins / "link_1").rename(pins / "kept")
    hosts.run("bpftool", "map", "pin", "pinned", pins / "armed", pins / "link_1")
    run = instance.run_responder("--upgrade")
    (pins / "kept").rename(pins / "link_1")
    check_failed_upgrade(lab, nginx, instance, run, "interface 1", "restoring the previous programs")
    assert programs(instance) == before


def test_maps_of_another_version(lab, nginx, instance):
    instance.start().publish(NAME)
    before = programs(instance)
    pins = instance.root / "run/sidestep/bpf"
    (pins / "flows").rename(pins / "kept")
    hosts.run("bpftool", "map", "pin", "pinned", pins / "armed", pins / "flows")
    run = instance.run_responder("--upgrade")
    (pins / "kept").rename(pins / "flows")
    check_failed_upgrade(lab, nginx, instance, run, "other maps", "restart")
    assert programs(instance) == before


def test_nothing_runs(lab, instance):
    run = instance.run_responder("--upgrade")
    assert run.returncode == 1
    assert "no responder runs" in run.stderr


def test_wrong_namespace(lab, nginx, instance):
    instance.start().publish(NAME)
    run = lab.validator.run(*instance.responder_command("--upgrade"), check=False)
    check_failed_upgrade(lab, nginx, instance, run, "--netns")
