# SPDX-License-Identifier: GPL-3.0-or-later
"""`sidestep-responder --replace`: another process, and nobody notices."""

import sys
import threading

import pytest

import attached
import certificates
import clients
import load
import sidestep

NAME = "www.example.org"
REPLACEMENTS = 20
VALIDATORS = 4


class Validators:
    """Validate without pause, at both addresses; every failure is one."""

    def __init__(self, lab):
        self.lab = lab
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.succeeded, self.failures = 0, []
        self.threads = [threading.Thread(target=self.work) for _ in range(VALIDATORS)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.ending.is_set():
            for address in (self.lab.server.ipv4, self.lab.server.ipv6):
                failure = None
                try:
                    answer = clients.validate(self.lab.validator, address, NAME)
                    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)
                except (OSError, AssertionError) as error:
                    failure = error
                with self.lock:
                    if failure:
                        self.failures.append(f"{address}: {failure!r}")
                    else:
                        self.succeeded += 1

    def finish(self):
        """End; how many there were, of which none may have failed."""
        self.ending.set()
        for thread in self.threads:
            thread.join()
        assert not self.failures, f"{len(self.failures)}: {self.failures[:5]}"
        return self.succeeded


def replace(instance, *options):
    """Start a successor; the predecessor ends by itself, and well."""
    before = instance.responder
    instance.start("--replace", *options)
    assert before.wait() == 0
    assert instance.status()["responder"]["pid"] == instance.responder.pid


def check_challenge(lab):
    answer = clients.validate(lab.validator, lab.server.ipv4, NAME)
    certificates.check_challenge(answer.certificate, NAME, sidestep.DIGEST)


def test_under_load(lab, nginx, instance, way, remark):
    """Twenty times; no validation fails, and no connection of production's."""
    instance.start("--way", way).publish(NAME)
    places, links = attached.attachments(lab.server), instance.links()
    clients_coming, validators = load.Load(lab, nginx), Validators(lab)
    for _ in range(REPLACEMENTS):
        replace(instance, "--way", way)
    remark(f"{validators.finish()} validations over {REPLACEMENTS} replacements")
    clients_coming.finish()
    assert attached.attachments(lab.server) == places
    assert instance.links() == links
    assert instance.responder.stop() == 0
    assert not attached.attachments(lab.server)


def test_standalone(lab, instance, remark):
    instance.start("--standalone").publish(NAME)
    validators = Validators(lab)
    for _ in range(REPLACEMENTS):
        replace(instance, "--standalone")
    remark(f"{validators.finish()} validations over {REPLACEMENTS} replacements")
    assert instance.responder.stop() == 0
    assert not lab.server.listens(443)


def test_killed_on_its_way(lab, nginx, instance, way):
    """A successor that dies, at whatever moment: either it has not been there, or it was killed."""
    instance.start("--way", way).publish(NAME)
    places = attached.attachments(lab.server)
    clients_coming = load.Load(lab, nginx)
    command = instance.responder_command("--way", way, "--replace")
    for delay_ms in range(10, 250, 20):
        lab.server.run("timeout", "--signal=KILL", delay_ms / 1000, *command, check=False)
        if "takes over" in instance.responder.output():
            assert instance.responder.wait() == 0
            instance.start("--way", way)
        check_challenge(lab)
        assert attached.attachments(lab.server) == places
    replace(instance, "--way", way)
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
    path = instance.root / "run/sidestep/responder.sock"
    command = (*sidestep.as_user("nobody", sidestep.GROUP), sys.executable, "-c", CONNECT, path)
    run = lab.server.run(*command, check=False)
    assert run.returncode == 1
    assert "PermissionError" in run.stderr
