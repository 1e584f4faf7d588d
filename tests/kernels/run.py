#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try Sidestep on distribution kernels, in emulated machines: run.py KERNELS_DIR

Each kernel that deploy/setup/fetch-kernels.sh fetched is booted with one initial RAM
file system (pack.sh).  Its init runs the trial and reports line by line on the second
serial line; what the report must hold on which kernel is said here, so that a check
which did not run counts as failed.  Ends with a table and "N passed, N failed".

Setting: O (build directory).  Consoles and reports are kept in $O/tests/kernels.
"""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ.get("O", "build")).resolve()
LOGS = BUILD / "tests/kernels"

# On two cores that do nothing else a trial takes 20 to 40 seconds.
TRIAL_LIMIT_S = 240
PROBE_LIMIT_S = 20
VERIFIED_MAX = 50_000  # instructions, of each program

TAKEOVERS = {
    # takeover: its programs
    "sk_lookup": ("steer_ethernet", "steer_bare_ip", "guard"),
    "repair": ("steer_ethernet", "steer_bare_ip", "guard"),
}
PATHS = ("veth", "loopback", "split", "cookies")
FAMILIES = ("v4", "v6")
CLIENTS = ("challenge", "other", "not_pending")
CHECKS_ALWAYS = ("detached", "after")
CHECKS_RUNNING = ("publish", "publish_split", "stop", "packet_test", *(
    f"{path}_{family}.{client}" for path in PATHS for family in FAMILIES for client in CLIENTS
))


@dataclasses.dataclass
class Lack:
    """What a takeover needs and a kernel does not have."""

    names: str  # must be in the responder's message
    loads: bool  # whether the verifier takes the programs all the same


@dataclasses.dataclass
class Kernel:
    suite: str  # directory below KERNELS_DIR
    release: str  # how its release begins
    lacks: dict  # of a takeover; no entry: the takeover must work

    def chooses(self):
        """The takeover that --check must choose; None where none works."""
        return next((takeover for takeover in TAKEOVERS if takeover not in self.lacks), None)


NO_KFUNC = Lack("bpf_sk_assign_tcp_reqsk", loads=False)
OLD_IO_URING = Lack("io_uring", loads=True)
KERNELS = (
    Kernel("bullseye", "5.10.", {"sk_lookup": NO_KFUNC, "repair": OLD_IO_URING}),
    Kernel("bookworm", "6.1.", {"sk_lookup": NO_KFUNC}),
    Kernel("trixie", "6.12.", {}),
    Kernel("unstable", "", {}),
)


class Report:
    """What a trial reported, and a verdict on each thing that it had to."""

    def __init__(self, kernel, text, ended):
        self.kernel = kernel
        self.facts = {}  # "kernel" and the like: the rest of the line
        self.of_takeover = {takeover: {"verified": {}, "check": {}} for takeover in (*TAKEOVERS, "any")}
        self.verdicts = []  # (takeover, what, None or why not)
        for line in text.splitlines():
            self.take(line.split())
        self.judge(ended)

    def take(self, words):
        match words:
            case ["verified", takeover, program, count]:
                self.of_takeover[takeover]["verified"][program] = int(count)
            case ["check", takeover, name, result]:
                self.of_takeover[takeover]["check"][name] = result
            case ["refused" | "attached" | "took" as what, takeover, *rest]:
                self.of_takeover[takeover][what] = " ".join(rest)
            case [what, *rest]:
                self.facts[what] = " ".join(rest)

    def demand(self, takeover, what, condition, why):
        self.verdicts.append((takeover, what, None if condition else why))

    def demand_checks(self, takeover, names):
        for name in names:
            result = self.of_takeover[takeover]["check"].get(name, "not reported")
            self.demand(takeover, name, result == "ok", result)

    def judge(self, ended):
        name, chosen = self.facts.get("kernel", ""), self.kernel.chooses()
        self.demand("any", "boot", name and name.startswith(self.kernel.release),
                    f"the kernel calls itself '{name}'")
        self.demand("any", "end", ended and "done" in self.facts,
                    f"the trial stopped, or the machine did not within {TRIAL_LIMIT_S} s")
        self.demand_checks("any", ["parser_test", "no_warning"])
        says = self.facts.get("says", "")
        if chosen:
            good = says.startswith("ready: ") and self.facts.get("chooses") == chosen
        else:
            good = says.startswith("not ready: ") and any(
                lack.names in says for lack in self.kernel.lacks.values())
        self.demand("any", "--check", good, f"chooses '{self.facts.get('chooses')}', '{says}'")
        for takeover in TAKEOVERS:
            self.judge_takeover(takeover)

    def judge_takeover(self, takeover):
        lack, report = self.kernel.lacks.get(takeover), self.of_takeover[takeover]
        refused = report.get("refused")
        if lack:
            self.demand(takeover, "refusal", refused and lack.names in refused,
                        f"'{lack.names}' must be in the message: {refused}")
        else:
            self.demand(takeover, "start", "attached" in report, refused or "not reported")
            self.demand_checks(takeover, CHECKS_RUNNING)
        self.demand_checks(takeover, CHECKS_ALWAYS)
        for program in TAKEOVERS[takeover] if not lack or lack.loads else ():
            count = report["verified"].get(program)
            self.demand(takeover, f"verifier, {program}", count and count < VERIFIED_MAX,
                        f"{count} instructions, of {VERIFIED_MAX}" if count else "refused")

    def failures(self):
        return [verdict for verdict in self.verdicts if verdict[2]]


# --- the machine --------------------------------------------------------------------


def machine(accelerator, kernel, archive, console, arguments):
    """The command of an emulated machine with the report on standard output."""
    return ["qemu-system-x86_64", "-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", "1024",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(kernel), "-initrd", str(archive),
            "-append", f"console=ttyS0 quiet panic=-1 {arguments}",
            "-serial", f"file:{console}", "-serial", "stdio"]


def run_machine(command, limit_s):
    """What it wrote and whether it came to its end in time."""
    machine_options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                       "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, **machine_options) as process:
        try:
            output, _ = process.communicate(timeout=limit_s)
            return output, process.returncode == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0], False
        except BaseException:
            process.kill()
            raise


def accelerator(kernel, archive):
    """KVM where it works, which is not wherever there is a /dev/kvm; else emulation."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    # Without an init the kernel panics, and the machine ends, in a second.
    _, ended = run_machine(machine("kvm", kernel, archive, "/dev/null", "rdinit=/none"),
                           PROBE_LIMIT_S)
    return "kvm" if ended else "tcg"


def try_kernel(kernel, directory, common, how):
    """Boot it with the common archive and its own modules behind; its Report."""
    modules = sorted((directory / kernel.suite).glob("*.ko"))
    with tempfile.TemporaryDirectory(prefix="sidestep-kernels-") as scratch:
        tree = pathlib.Path(scratch)
        (tree / "modules").mkdir()
        for module in modules:
            (tree / "modules" / module.name).write_bytes(module.read_bytes())
        names = "modules\n" + "".join(f"modules/{module.name}\n" for module in modules)
        own = subprocess.run([directory / "busybox", "cpio", "--quiet", "-o", "-H", "newc"],
                             cwd=tree, input=names.encode(), check=True, stdout=subprocess.PIPE)
        archive = tree / "initramfs"
        archive.write_bytes(common.read_bytes() + own.stdout)
        text, ended = run_machine(
            machine(how, directory / kernel.suite / "vmlinuz", archive,
                    LOGS / f"{kernel.suite}.console", "rdinit=/init"), TRIAL_LIMIT_S)
    (LOGS / f"{kernel.suite}.report").write_text(text)
    return Report(kernel, text, ended)


# --- the table ----------------------------------------------------------------------

COLUMNS = ("kernel", "takeover", "hook", *(f"{path} v4/v6" for path in PATHS),
           "/".join(TAKEOVERS["sk_lookup"]), "time", "result")


def release(report):
    return report.facts.get("kernel", report.kernel.suite)


def cell(report, takeover, path):
    """Both families, all clients of each."""
    def family_cell(family):
        results = [report.of_takeover[takeover]["check"].get(f"{path}_{family}.{client}")
                   for client in CLIENTS]
        return "ok" if all(result == "ok" for result in results) else "FAILED"

    return "-" if takeover in report.kernel.lacks else "/".join(map(family_cell, FAMILIES))


def row(report, takeover):
    of_takeover, lack = report.of_takeover[takeover], report.kernel.lacks.get(takeover)
    counts = "/".join(str(of_takeover["verified"].get(program, "-")) for program in TAKEOVERS[takeover])
    result = f"lacks {lack.names}" if lack else "ok"
    failed = sum(1 for of, _, _ in report.failures() if of == takeover)
    return (release(report), takeover, of_takeover.get("attached", "-"),
            *(cell(report, takeover, path) for path in PATHS),
            counts, f"{of_takeover.get('took', '?')} s", f"{failed} FAILED" if failed else result)


def print_table(reports):
    rows = [COLUMNS] + [row(report, takeover) for report in reports for takeover in TAKEOVERS]
    widths = [max(len(line[i]) for line in rows) for i in range(len(COLUMNS))]
    print()
    for line in rows:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    print("\nsplit: ALPN in the second segment; cookies: production answers with SYN cookies;\n"
          f"of each program, the instructions that the verifier processed, below {VERIFIED_MAX}.")
    for report in reports:
        for takeover in report.kernel.lacks:
            print(f"{release(report)}, {takeover}: {report.of_takeover[takeover].get('refused')}")


def print_failures(report):
    for takeover, what, why in report.failures():
        print(f"  {report.kernel.suite}, {takeover}, {what}: {why}")
    if report.failures():
        print(f"  its console: {LOGS / report.kernel.suite}.console")


def main():
    directory = pathlib.Path(sys.argv[1]).resolve()
    common = LOGS / "initramfs"
    reports = []
    # Whatever ends this ends the machine too: see run_machine().
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    LOGS.mkdir(parents=True, exist_ok=True)
    if subprocess.run([HERE / "pack.sh", BUILD, directory, common], check=False).returncode:
        return 1
    how = accelerator(directory / KERNELS[0].suite / "vmlinuz", common)
    for kernel in KERNELS:
        print(f"kernels: trying the one of {kernel.suite}, by {how}", flush=True)
        reports.append(try_kernel(kernel, directory, common, how))
        print_failures(reports[-1])
    common.unlink()
    print_table(reports)
    verdicts = [why for report in reports for _, _, why in report.verdicts]
    failed = sum(1 for why in verdicts if why)
    print(f"{len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
