#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try Sidestep on distribution kernels, in emulated machines: run.py KERNELS_DIR [SUITE]...

Each kernel that deploy/setup/fetch-kernels.sh fetched (or each SUITE's) is booted with one
initial RAM file system (pack.sh).  Its init runs the trial and reports line by line on the second
serial line; what the report must hold on which kernel is said here, so that a check
which did not run counts as failed.  Ends with a table and "N passed, N failed".

Settings: O (build directory), SCALE (how many times as many clients come behind NAT and over a
bad wire; 1).  Consoles and reports are kept in $O/tests/kernels.
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
SCALE = int(os.environ.get("SCALE", "1"))
LOGS = BUILD / "tests/kernels"

# On two cores that do nothing else a run takes two minutes, most of them clients'.
RUN_LIMIT_S = 300 + 300 * SCALE
PROBE_LIMIT_S = 20
VERIFIED_MAX = 50_000  # instructions, of each program
VERIFIED_MAX_OLD = 60_000  # where the verifier walks ways twice that newer ones know to be alike

PROGRAMS = {
    "assign": ("steer_ethernet", "steer_bare_ip", "guard"),
    "repair": ("steer_ethernet", "steer_bare_ip", "guard"),
}
PATHS = ("veth", "loopback", "split", "cookies")
FAMILIES = ("v4", "v6")
CLIENTS = ("challenge", "other", "not_pending")
WIRES = ("loss", "jitter")
CHECKS_ONCE = ("parser_test", "vrf", "ipvlan", "no_hindrance", "no_warning")
CHECKS_ALWAYS = ("detached", "after")
CHECKS_RUNNING = (
    *("engine", "publish", "publish_split", "publish_many", "nat", *WIRES),
    *("stop", "packet_test"),
    *(f"{path}_{family}.{client}" for path in PATHS for family in FAMILIES for client in CLIENTS),
)
# None of these may fail.
NAT_COUNTS = {"nat_v4": 500 * SCALE, "nat_v6": 100 * SCALE, "nat_production": 100 * SCALE}
# No more of the first may fail than of the second, over the same wire at the same time.
WIRE_PAIRS = (("steered", "standalone"), ("beside", "alone"))
WIRE_COUNT = 60 * SCALE


@dataclasses.dataclass
class Kernel:
    """What must work on it and what must not."""

    suite: str  # directory below KERNELS_DIR
    release: str  # how its release begins
    runs: tuple  # TAKEOVER/ENGINE; the first is what the responder chooses by itself
    refused: dict  # the same, and what the message must name
    rights: str = "group"  # what a user needs to publish
    verified_max: int = VERIFIED_MAX


NO_KFUNC = "bpf_sk_assign_tcp_reqsk"
KERNELS = (
    Kernel("bullseye", "5.10.", ("repair/epoll",),
           {"assign/epoll": NO_KFUNC, "repair/io_uring": "io_uring"},
           rights="CAP_BPF", verified_max=VERIFIED_MAX_OLD),
    Kernel("bookworm", "6.1.", ("repair/io_uring", "repair/epoll"),
           {"assign/io_uring": NO_KFUNC}),
    Kernel("trixie", "6.12.", ("assign/io_uring", "repair/io_uring"), {}),
    Kernel("unstable", "", ("assign/io_uring", "assign/epoll", "repair/io_uring"), {}),
)


def takeover_of(run):
    return run.partition("/")[0]


class Report:
    """What a trial reported, and a verdict on each thing that it had to."""

    def __init__(self, kernel, text, ended):
        self.kernel = kernel
        self.facts = {}  # "kernel" and the like: the rest of the line
        self.of_run = {
            run: {"verified": {}, "check": {}, "count": {}}
            for run in (*kernel.runs, *kernel.refused, "any")
        }
        self.verdicts = []  # (run, what, None or why not)
        for line in text.splitlines():
            self.take(line.split())
        self.judge(ended)

    def take(self, words):
        match words:
            case ["verified", run, program, count]:
                self.of_run[run]["verified"][program] = int(count)
            case ["check", run, name, result]:
                self.of_run[run]["check"][name] = result
            case ["count", run, name, started, failed]:
                self.of_run[run]["count"][name] = int(started), int(failed)
            case ["refused" | "attached" | "rights" | "took" as what, run, *rest]:
                self.of_run[run][what] = " ".join(rest)
            case [what, *rest]:
                self.facts[what] = " ".join(rest)

    def demand(self, run, what, condition, why):
        self.verdicts.append((run, what, None if condition else why))

    def demand_checks(self, run, names):
        for name in names:
            result = self.of_run[run]["check"].get(name, "not reported")
            self.demand(run, name, result == "ok", result)

    def judge(self, ended):
        name, says = self.facts.get("kernel", ""), self.facts.get("says", "")
        chosen = f"{self.facts.get('chooses')}/{self.facts.get('engine')}"
        self.demand("any", "boot", name and name.startswith(self.kernel.release),
                    f"the kernel calls itself '{name}'")
        self.demand("any", "end", ended and "done" in self.facts,
                    "the trial stopped, or the machine did not end in time")
        self.demand_checks("any", CHECKS_ONCE)
        self.demand("any", "--check", says.startswith("ready: ") and chosen == self.kernel.runs[0],
                    f"chooses '{chosen}', '{says}'")
        for run in self.kernel.runs:
            self.judge_run(run)
        for run, word in self.kernel.refused.items():
            said = self.of_run[run].get("refused")
            self.demand(run, "refusal", said and word in said,
                        f"'{word}' must be in the message: {said}")
            self.demand_checks(run, CHECKS_ALWAYS)

    def judge_run(self, run):
        report = self.of_run[run]
        self.demand(run, "start", "attached" in report, report.get("refused") or "not reported")
        self.demand(run, "rights", report.get("rights") == self.kernel.rights,
                    f"to publish takes {report.get('rights')}, not {self.kernel.rights}")
        self.demand_checks(run, (*CHECKS_RUNNING, *CHECKS_ALWAYS))
        for program in PROGRAMS[takeover_of(run)]:
            count = report["verified"].get(program)
            most = self.kernel.verified_max
            self.demand(run, f"verifier, {program}", count and count < most,
                        f"{count} instructions, of {most}" if count else "refused")
        for name, wanted in NAT_COUNTS.items():
            self.demand_count(run, name, wanted, 0)
        for wire in WIRES:
            for ours, others in WIRE_PAIRS:
                self.demand_count(run, f"{wire}.{others}", WIRE_COUNT, WIRE_COUNT - 1)
                self.demand_count(run, f"{wire}.{ours}", WIRE_COUNT,
                                  report["count"].get(f"{wire}.{others}", (0, 0))[1])

    def demand_count(self, run, name, wanted, may_fail):
        """All were started, and no more failed than may."""
        started, failed = self.of_run[run]["count"].get(name, (0, 0))
        self.demand(run, name, started == wanted and failed <= may_fail,
                    f"{failed} of {started} failed; {may_fail} of {wanted} may")

    def failures(self, run=None):
        return [verdict for verdict in self.verdicts
                if verdict[2] and (run is None or verdict[0] == run)]


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
    files = [*(directory / kernel.suite).glob("*.ko"), directory / kernel.suite / "order"]
    trial = ",".join([str(SCALE), *kernel.runs, *kernel.refused])
    with tempfile.TemporaryDirectory(prefix="sidestep-kernels-") as scratch:
        tree = pathlib.Path(scratch)
        (tree / "modules").mkdir()
        for file in files:
            (tree / "modules" / file.name).write_bytes(file.read_bytes())
        names = "modules\n" + "".join(f"modules/{file.name}\n" for file in files)
        own = subprocess.run([directory / "busybox", "cpio", "--quiet", "-o", "-H", "newc"],
                             cwd=tree, input=names.encode(), check=True, stdout=subprocess.PIPE)
        archive = tree / "initramfs"
        archive.write_bytes(common.read_bytes() + own.stdout)
        text, ended = run_machine(
            machine(how, directory / kernel.suite / "vmlinuz", archive,
                    LOGS / f"{kernel.suite}.console", f"rdinit=/init sidestep.trial={trial}"),
            RUN_LIMIT_S * len(kernel.runs))
    (LOGS / f"{kernel.suite}.report").write_text(text)
    return Report(kernel, text, ended)


# --- the table ----------------------------------------------------------------------

COLUMNS = ("kernel", "takeover", "engine", "attach", "trials passed",
           *(name.replace("_", " ") for name in NAT_COUNTS),
           *(f"{wire}: {pair[0]}/{pair[1]}" for wire in WIRES for pair in WIRE_PAIRS),
           "instructions", "time")


def release(report):
    return report.facts.get("kernel", report.kernel.suite)


def cell(counts, *names):
    """How many came through."""
    pairs = [counts.get(name) for name in names]
    return "/".join(str(pair[0] - pair[1]) if pair else "-" for pair in pairs)


def row(report, run):
    of_run, counts = report.of_run[run], report.of_run[run]["count"]
    takeover, engine = run.split("/")
    verdicts = [why for of, _, why in report.verdicts if of == run]
    passed = sum(1 for why in verdicts if not why)
    attach = of_run.get("attached", "refused" if run in report.kernel.refused else "-")
    return (release(report), takeover, engine, attach, f"{passed} of {len(verdicts)}",
            *(cell(counts, name) for name in NAT_COUNTS),
            *(cell(counts, *(f"{wire}.{kind}" for kind in pair))
              for wire in WIRES for pair in WIRE_PAIRS),
            str(max(of_run["verified"].values(), default="-")), f"{of_run.get('took', '?')} s")


def print_table(reports):
    rows = [COLUMNS] + [
        row(report, run) for report in reports for run in (*report.kernel.runs,
                                                           *report.kernel.refused)]
    widths = [max(len(line[i]) for line in rows) for i in range(len(COLUMNS))]
    print()
    for line in rows:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    print(f"\nThe table says how many clients came through: behind NAT of "
          f"{', '.join(map(str, NAT_COUNTS.values()))}, over each bad wire\nof {WIRE_COUNT}. "
          f"instructions: of the largest program, as the verifier counts; {VERIFIED_MAX} at most, "
          f"on the oldest {VERIFIED_MAX_OLD}.")
    for report in reports:
        for run in report.kernel.refused:
            print(f"{release(report)}, {run}: {report.of_run[run].get('refused')}")


def print_failures(report):
    # One that did not come to its end has not reported the rest.
    for run, what, why in report.failures("any") or report.failures():
        print(f"  {report.kernel.suite}, {run}, {what}: {why}")
    if report.failures():
        print(f"  its console: {LOGS / report.kernel.suite}.console")


def main():
    directory, suites = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    common = LOGS / "initramfs"
    reports = []
    # Whatever ends this ends the machine too: see run_machine().
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    LOGS.mkdir(parents=True, exist_ok=True)
    if subprocess.run([HERE / "pack.sh", BUILD, directory, common], check=False).returncode:
        return 1
    how = accelerator(directory / KERNELS[0].suite / "vmlinuz", common)
    for kernel in (kernel for kernel in KERNELS if not suites or kernel.suite in suites):
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
