# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidestep on a lab's server host: the responder and the agent."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3

from lab import certificates, hosts
from lab.hosts import BUILD

USER = "nobody"  # the responder's, whose own group is nogroup
GROUP = "users"  # may publish
OTHER_USER = OTHER_GROUP = "games"
# What the responder waits with; unset: its own choice.
DEFAULT_ENGINE = os.environ.get("SIDESTEP_ENGINE")
STRANGER = 12345  # a user id that nobody has
ISSUE_PATIENCE_S = 120

# Any key authorization does where no CA asks.
KEY_AUTHORIZATION = "token.thumbprint"
DIGEST = hashlib.sha256(KEY_AUTHORIZATION.encode()).digest()


def as_user(user, group=None):
    """The words that run a command as another user, without any capability."""
    ids = (f"--reuid={user}", f"--regid={group or user}", "--clear-groups")
    return ["setpriv", *ids, "--bounding-set=-all", "--inh-caps=-all"]


def issue_arguments(authority, names):
    words = [word for name in names for word in ("-d", str(name))]
    return [
        *("certonly", "--server", authority.url, "--cacert", authority.cacert),
        *("--agree-tos", *words),
    ]


class Sidestep:
    """One instance: its directory, its responder, its agent."""

    def __init__(self, lab, host=None, name="instance", engine=None):
        self.lab = lab
        self.engine = engine or DEFAULT_ENGINE
        self.host = host or lab.server
        self.root = lab.make_directory(name)
        self.name = name
        self.responder = None
        self.starts = 0
        # Where every user may run them, wherever the source lies.
        self.programs = lab.make_directory("programs")
        for program in ("sidestep", "sidestep-responder"):
            shutil.copy(BUILD / program, self.programs)

    # --- the responder ---------------------------------------------------------------------

    def responder_command(self, *options, user=USER):
        if self.engine and "--engine" not in options:
            options += ("--engine", self.engine)
        return (
            *(self.programs / "sidestep-responder", "--root", self.root, "--foreground"),
            *("--user", user, "--group", GROUP, *options),
        )

    def start(self, *options, **process_options):
        """Start the responder, and wait until it is ready."""
        self.starts += 1
        self.responder = self.host.start(
            f"{self.name}-responder-{self.starts}",
            *self.responder_command(*options),
            **process_options,
        )
        self.responder.wait_until(
            lambda: ": ready: " in self.responder.output(), "being ready"
        )
        return self

    def run_responder(self, *options, **run_options):
        """Run it to its end: for what makes it end by itself."""
        return self.host.run(*self.responder_command(*options), check=False, **run_options)

    def links(self):
        """The ids of the links that are pinned, by the names of the pins."""
        found = {}
        for path in sorted((self.root / "run/sidestep/bpf").glob("link_*")):
            shown = hosts.run("bpftool", "--json", "link", "show", "pinned", path)
            found[path.name] = json.loads(shown.stdout)["id"]
        return found

    # --- the agent -------------------------------------------------------------------------

    def agent(self, *arguments, user=None, group=None, **run_options):
        """Run `sidestep`, as root or as another user without capabilities."""
        command = [self.programs / "sidestep", arguments[0], "--root", self.root, *arguments[1:]]
        if user is not None:
            command = [*as_user(user, group), *command]
        return self.host.run(*command, **{"check": False, **run_options})

    def succeed(self, *arguments, **options):
        """Run the agent with --json: what it says."""
        output = self.agent(*arguments, "--json", **options)
        assert output.returncode == 0, output.stdout + output.stderr
        return json.loads(output.stdout)

    def issue(self, authority, *names, options=(), **run_options):
        """Get a certificate; the run of the agent, whatever became of it."""
        return self.agent(
            *issue_arguments(authority, names),
            *options,
            **{"timeout": ISSUE_PATIENCE_S, **run_options},
        )

    def start_issue(self, authority, *names):
        """The same, without waiting for the end: a process."""
        command = [self.programs / "sidestep", *issue_arguments(authority, names)]
        return self.host.start("agent", *command, "--root", self.root)

    def publish(self, name, ttl_s=600):
        self.succeed(
            "publish", name, "--key-authorization", KEY_AUTHORIZATION, "--ttl", str(ttl_s)
        )

    def withdraw(self, name):
        self.succeed("withdraw", name)

    def status(self):
        return json.loads(self.agent("status", "--json").stdout)

    def counters(self):
        return self.status()["counters"]

    def pending(self):
        """Names that are armed and not withdrawn."""
        return [entry["name"] for entry in self.status()["challenges"] if not entry["withdrawn"]]

    # --- files -----------------------------------------------------------------------------

    @property
    def state(self):
        return self.root / "var/lib/sidestep"

    def live(self, name):
        return self.state / "live" / name

    def files(self):
        """All below the state directory but the agent's memory, as paths relative to it."""
        paths = (str(path.relative_to(self.state)) for path in self.state.rglob("*"))
        return sorted(path for path in paths if not path.startswith(("state.db", "run.lock", "names.lock")))

    def set_due(self, name):
        """As if the certificate's time had come, whatever the CA has said."""
        with contextlib.closing(sqlite3.connect(self.state / "state.db")) as memory, memory:
            changed = memory.execute(
                "UPDATE lineage SET renew_at = 1, next_attempt = 0, check_at = 0, issued_at = 0 "
                "WHERE name = ?",
                (str(name),),
            )
            assert changed.rowcount == 1
            memory.execute("DELETE FROM hold")

    def check_certificate(self, name, names):
        """The certificate on disk is whole and for these names; its chain."""
        directory = self.live(name)
        chain = certificates.load(directory / "fullchain.pem")
        assert sorted(certificates.names_of(chain[0])) == sorted(map(str, names))
        assert certificates.load(directory / "cert.pem") == chain[:1]
        assert certificates.load(directory / "chain.pem") == chain[1:]
        key = certificates.load_key(directory / "privkey.pem")
        assert key.public_key().public_numbers() == chain[0].public_key().public_numbers()
        assert (directory / "privkey.pem").stat().st_mode & 0o077 == 0
        return chain


