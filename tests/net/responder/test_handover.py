# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep-responder --replace`: another process, and nobody notices."""

import json
import signal
import sys

import pytest

from lab import attached, certificates, clients, hosts, load_client, sidestep

NAME = "www.example.org"
REPLACEMENTS = 20
VALIDATORS, RATE, PATIENCE_S = 32, 2000, 120


class Validators:
    """Validate without pause, at both addresses and as fast as this machine can, up to RATE."""

    def __init__(self, lab):
        self.process = lab.validator.start(
            "validators",
            *(hosts.BUILD / "sidestep-bench", "--name", NAME, "--quiet", "--json"),
            *("--key-authorization", sidestep.KEY_AUTHORIZATION, "--hello", "small"),
            *("--threads", "2", "--concurrency", str(VALIDATORS), "--max-rate", str(RATE)),
            *("--duration", str(PATIENCE_S), lab.server.ipv4, f"[{lab.server.ipv6}]:443"),
        )

    def finish(self, at_least=REPLACEMENTS):
        """End; what it says of them, of which none may have failed."""
        self.process.popen.send_signal(signal.SIGINT)
        assert self.process.wait() == 0, self.process.output()[-2000:]
        said = json.loads(self.process.output())
        assert said["failed"] == 0 and said["validated"] > at_least, said
        return f"{said['validated']} validations, {said['validated_per_s']:.0f}/s,"


def replace(instance, *options):
    """Start a successor; the predecessor ends by itself, and well."""
    before = instance.responder
    instance.start("--replace", *options)
    assert before.wait() == 0
    assert instance.status()["responder"]["pid"] == instance.responder.pid


def check_challenge(lab):
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


@pytest.mark.slow
def test_under_load(lab, nginx, instance, takeover, remark):
    """Twenty times; no validation fails, and no connection of production's."""
    instance.start("--takeover", takeover).publish(NAME)
    places, links = attached.attachments(lab.server), instance.links()
    clients_coming, validators = load_client.Load(lab, nginx), Validators(lab)
    for _ in range(REPLACEMENTS):
        replace(instance, "--takeover", takeover)
    remark(f"{validators.finish()} over {REPLACEMENTS} replacements")
    clients_coming.finish()
    assert attached.attachments(lab.server) == places
    assert instance.links() == links
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)


def test_from_engine_to_engine(lab, nginx, instance, takeover):
    """While it changes both accept from the same listeners, and neither waits for the other."""
    engines = ("io_uring", "epoll") * 3
    instance.start("--takeover", takeover, "--engine", "epoll").publish(NAME)
    validators = Validators(lab)
    for engine in engines:
        replace(instance, "--takeover", takeover, "--engine", engine)
        assert instance.status()["responder"]["engine"] == engine
        check_challenge(lab)
    validators.finish(len(engines))


@pytest.mark.each_engine
@pytest.mark.slow
def test_standalone(lab, instance, remark):
    instance.start("--standalone").publish(NAME)
    validators = Validators(lab)
    for _ in range(REPLACEMENTS):
        replace(instance, "--standalone")
    remark(f"{validators.finish()} over {REPLACEMENTS} replacements")
    assert instance.responder.stop() == 0
    assert not lab.server.listens(443)


def test_killed_on_its_way(lab, nginx, instance, takeover):
    """A successor that dies, at whatever moment: either it has not been there, or it was killed."""
    instance.start("--takeover", takeover).publish(NAME)
    places = attached.attachments(lab.server)
    clients_coming = load_client.Load(lab, nginx)
    command = instance.responder_command("--takeover", takeover, "--replace")
    for delay_ms in range(10, 250, 20):
        lab.server.run("timeout", "--signal=KILL", delay_ms / 1000, *command, check=False)
        if "takes over" in instance.responder.output():
            assert instance.responder.wait() == 0
            instance.start("--takeover", takeover)
        check_challenge(lab)
        assert attached.attachments(lab.server) == places
    replace(instance, "--takeover", takeover)
    check_challenge(lab)
    clients_coming.finish()


@pytest.mark.parametrize(
    ("options", "word"),
    ((("--threads", "1"), "--threads 2"), (("--threads", "2", "--standalone"), "--standalone")),
    ids=("threads", "standalone"),
)
def test_cannot_change(lab, nginx, instance, options, word):
    instance.start("--threads", "2").publish(NAME)
    run = instance.run_responder("--replace", *options)
    assert run.returncode == 1
    assert word in run.stderr
    check_challenge(lab)
    assert instance.responder.is_running()


def test_nobody_to_replace(lab, nginx, instance):
    run = instance.run_responder("--replace")
    assert run.returncode == 1
    assert "without --replace" in run.stderr
    instance.start().publish(NAME)
    instance.responder.kill()
    run = instance.run_responder("--replace")
    assert run.returncode == 1
    assert "without --replace" in run.stderr


CONNECT = "import socket, sys; socket.socket(1, socket.SOCK_SEQPACKET).connect(sys.argv[1])"


def test_only_root_may(lab, nginx, instance):
    """What passes between them is the lock and the listening sockets."""
    instance.start()
    path = instance.root / "run/sidestep/private/handover.sock"
    command = (*sidestep.as_user("nobody", sidestep.GROUP), sys.executable, "-c", CONNECT, path)
    run = lab.server.run(*command, check=False)
    assert run.returncode == 1
    assert "PermissionError" in run.stderr
