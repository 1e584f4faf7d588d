# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's load client, run by a test: connections without pause, every answer checked."""

import json
import sys

from lab import hosts, production

PROGRAM = hosts.SOURCE / "deploy/demo/load.py"


class Load:
    """Runs on the validator host, against both addresses of the server, or against others."""

    def __init__(
        self, lab, server, name="www.example.org", certificate_files=(), addresses=()
    ):
        self.file = lab.directory / "load.json"
        page = lab.directory / "load.page"
        page.write_bytes(production.BODY)
        addresses = addresses or (lab.server.ipv4, lab.server.ipv6)
        files = [server.identity.cert_file, *certificate_files]
        self.process = lab.validator.start(
            "load",
            *(sys.executable, PROGRAM, "--name", name, "--page", page),
            *(word for address in addresses for word in ("--connect", address)),
            *(word for file in files for word in ("--certificate", file)),
            *("--report", self.file),
        )
        self.wait_for_requests(1)

    def counts(self):
        return json.loads(self.file.read_text()) if self.file.exists() else {"requests": 0}

    def wait_for_requests(self, more):
        """Wait until so many more connections were made."""
        wanted = self.counts()["requests"] + more
        self.process.wait_until(lambda: self.counts()["requests"] >= wanted, "requests")

    def finish(self):
        """End it: not one connection may have failed."""
        assert self.process.stop() == 0
        counts = self.counts()
        failed = {key: value for key, value in counts.items() if value and key != "requests"}
        assert not failed, counts
        return counts["requests"]
