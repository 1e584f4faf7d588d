# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tests and count: run.py [--quick] KIND...   (unit, bpf, sim, net)

Several run at once: JOBS programs (one a processor), or LABS network tests (three a processor,
because they mostly wait).  Each program and pytest write JUnit reports to $O/junit.

The last line says "N passed, N failed"; the exit status is 0 only when tests ran and none
failed.  A program that crashes, or stops before its report, counts as a failed test.  Skipped
tests are named; under CI=true they count as failed.  --quick: of the network tests those marked
`quick`.  --again, or AGAIN set: network tests that failed run once more, alone; those that pass
then are named as flaky.  Settings: O (build directory), JOBS, LABS.
"""

import argparse
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree as tree

SOURCE = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("O", SOURCE / "build")).resolve()
REPORTS = BUILD / "junit"
PROCESSORS = len(os.sched_getaffinity(0))
JOBS = int(os.environ.get("JOBS", PROCESSORS))
LABS = int(os.environ.get("LABS", 3 * PROCESSORS))

AGAIN_MAX = 12  # more failures than that are no accidents
PROGRAM_LIMIT_S = 300
SIMULATION_LIMIT_S = 1200
SEEDS = 200  # `make sim` runs more
NETWORK_LIMIT_S = 1800

# What the sanitizers find ends the program.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def need(condition, what, advice):
    if not condition:
        sys.exit(f"tests: {what}\ntests: {advice}")


def succeeds(*command):
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


def has_module(name):
    return succeeds(sys.executable, "-c", f"import {name}")


def check_machine(kinds):
    """All that the tests need of the machine, asked for once and before the first."""
    need(
        os.geteuid() == 0,
        "loading BPF programs and making network namespaces needs root",
        "run this again as root",
    )
    need(
        succeeds("unshare", "--net", "--mount", "true"),
        "this machine lets root make no network or mount namespaces",
        "run this outside of a container, or in a privileged one",
    )
    need(
        succeeds("bpftool", "prog", "show"),
        "bpftool is missing, or the bpf() system call does not work here",
        "run 'make setup'; run this outside of a container, or with CAP_BPF, CAP_NET_ADMIN and"
        " CAP_PERFMON",
    )
    need(
        " bpf_sk_assign_tcp_reqsk" in pathlib.Path("/proc/kallsyms").read_text(),
        f"the kernel {os.uname().release} has no bpf_sk_assign_tcp_reqsk",
        "run this on Linux 6.9 or newer",
    )
    disabled = pathlib.Path("/proc/sys/kernel/io_uring_disabled")
    need(
        not disabled.exists() or disabled.read_text().strip() != "2",
        "io_uring is disabled",
        "run 'sysctl kernel.io_uring_disabled=1'",
    )
    if "net" in kinds:
        for module in ("pytest", "xdist", "cryptography", "scapy"):
            need(
                has_module(module),
                f"{sys.executable} has no module {module}",
                "run 'make setup' as root, or name another Python with PYTHON=",
            )


# --- reports ---------------------------------------------------------------------------------


def read_report(path):
    """The root of a JUnit report; one without tests, when there is none or half of one."""
    try:
        return tree.parse(path).getroot()
    except (FileNotFoundError, tree.ParseError):
        return tree.Element("testsuites")


def outcome_of(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def names_by_outcome(path):
    names = {"passed": [], "failed": [], "skipped": []}
    for case in read_report(path).iter("testcase"):
        where = case.get("classname") or path.stem
        names[outcome_of(case)].append(f"{where}.{case.get('name')}")
    return names


def add_failure(path, what):
    """Add what no test of the report says: a crash, or an end before the last test."""
    root = read_report(path)
    suite = tree.SubElement(root, "testsuite", name=path.stem, tests="1", failures="1")
    case = tree.SubElement(suite, "testcase", name="whole program")
    text = "".join(letter for letter in what if letter.isprintable() or letter in "\n\t")
    tree.SubElement(case, "failure").text = text
    tree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


# --- programs --------------------------------------------------------------------------------


def run_program(source):
    """Run one cmocka program, which writes a report; returns what there is to show."""
    name = str(source.relative_to(SOURCE / "tests").with_suffix(""))
    report = REPORTS / f"{name.replace('/', '.')}.xml"
    cmocka = {"CMOCKA_MESSAGE_OUTPUT": "XML", "CMOCKA_XML_FILE": str(report)}
    try:
        ended = subprocess.run(
            [BUILD / "tests" / name],
            cwd=SOURCE,
            env={**SANITIZER_OPTIONS, **os.environ, **cmocka},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROGRAM_LIMIT_S,
            check=False,
        )
        output, status, end = ended.stdout, ended.returncode, f"exit status {ended.returncode}"
    except subprocess.TimeoutExpired as late:
        output, status, end = late.stdout or b"", 1, f"no end within {PROGRAM_LIMIT_S} s"
    except OSError as error:
        output, status, end = b"", 1, f"{error}: run 'make check'"
    output = output.decode(errors="replace")
    names = names_by_outcome(report)
    if not any(names.values()) or (status != 0 and not names["failed"]):
        add_failure(report, f"{end}\n{output}")
        names = names_by_outcome(report)
    if not names["failed"]:
        return f"{name}: {len(names['passed'])} passed"
    failures = [text for text in read_report(report).itertext() if text.strip()]
    summary = f"{name}: {len(names['passed'])} passed, {len(names['failed'])} failed, {end}"
    return "\n".join([output, *failures, summary])


def run_programs(kinds):
    """By the sources: a program whose source is gone is of an earlier build."""
    sources = [path for kind in kinds for path in (SOURCE / "tests" / kind).rglob("test_*.c")]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for shown in pool.map(run_program, sorted(sources)):
            print(shown, flush=True)


# --- the simulation --------------------------------------------------------------------------


def run_simulation(*options):
    """What the simulation prints: "ok - name: ...", "not ok - name: ...", and "failed: how to run it"."""
    command = [BUILD / "tests" / "sim" / "sim", *options, "--jobs", str(JOBS)]
    try:
        ended = subprocess.run(command, cwd=SOURCE, stdin=subprocess.DEVNULL, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               errors="replace", timeout=SIMULATION_LIMIT_S, check=False)
        return ended.stdout, ended.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{error}\n", 1


def run_simulations():
    """Each scenario is a test, and so are the seeds together."""
    suite = tree.Element("testsuite", name="sim")

    def add(name, failure):
        case = tree.SubElement(suite, "testcase", classname="sim", name=name)
        if failure:
            text = "".join(letter for letter in failure if letter.isprintable() or letter in "\n\t")
            tree.SubElement(case, "failure").text = text

    output, status = run_simulation("--all")
    for line in output.splitlines():
        if line.startswith(("ok - ", "not ok - ")):
            result, name = line.split(" - ", 1)
            add(name.split(":")[0], None if result == "ok" else output)
    if not len(suite):
        add("scenarios", output)
    seeds, status = run_simulation("--seeds", str(SEEDS))
    add(f"{SEEDS} seeds", seeds if status else None)
    tree.ElementTree(suite).write(REPORTS / "sim.xml", encoding="utf-8", xml_declaration=True)
    failed = any(case.find("failure") is not None for case in suite)
    print(output + seeds if failed else f"sim: {len(suite)} passed", flush=True)


# --- network tests ---------------------------------------------------------------------------


def run_pytest(name, *options, tests=("tests/net",)):
    report = REPORTS / f"{name}.xml"
    command = [
        *(sys.executable, "-B", "-m", "pytest", "--tb=short", f"--junitxml={report}"),
        *("--durations=20", "--durations-min=5", *options, *tests),
    ]
    environment = {**SANITIZER_OPTIONS, **os.environ, "O": str(BUILD)}
    process = subprocess.Popen(command, cwd=SOURCE, env=environment)
    try:
        status = process.wait(NETWORK_LIMIT_S)
    except subprocess.TimeoutExpired:
        # The interrupt lets pytest end its processes and remove its namespaces.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        status = f"{signal.SIGINT.name}: no end within {NETWORK_LIMIT_S} s"
    # 0: none failed, 1: some did; any other status means that pytest itself failed.
    if status != 0 and (status != 1 or not names_by_outcome(report)["failed"]):
        add_failure(report, f"pytest ended with status {status}")


def run_network(quick):
    # loadgroup: one test at a time to whoever is free.
    several = ("-n", str(LABS), "--dist", "loadgroup")
    if quick:
        run_pytest("net", *several, "-m", "quick and not alone")
    else:
        run_pytest("net", *several, "-m", "not alone")
        run_pytest("net-alone", "-m", "alone")


def run_failed_again():
    """The network tests that failed among others, once more and alone.

    Returns the names of those that pass then: the machine was too busy for them, and they are
    to be made more patient.  What fails for another reason fails again.
    """
    failed = sorted({name for report in ("net", "net-alone")
                     for name in names_by_outcome(REPORTS / f"{report}.xml")["failed"]})
    nodes = []
    for name in failed:
        module, _, test = name.partition(".test_")
        file, _, function = test.partition(".")
        nodes.append(f"{module.replace('.', '/')}/test_{file}.py::{function}")
    if not nodes or len(nodes) > AGAIN_MAX:
        return []
    run_pytest("again", tests=nodes)
    return names_by_outcome(REPORTS / "again.xml")["passed"]


def main():
    parser = argparse.ArgumentParser(description="Run tests and count.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--again", action="store_true", default="AGAIN" in os.environ)
    parser.add_argument("kinds", nargs="+", choices=("unit", "bpf", "sim", "net"))
    arguments = parser.parse_args()
    check_machine(arguments.kinds)
    REPORTS.mkdir(parents=True, exist_ok=True)
    for kind in arguments.kinds:
        for report in REPORTS.glob(f"{kind}[.-]*xml"):
            report.unlink()
    run_programs([kind for kind in arguments.kinds if kind in ("unit", "bpf")])
    if "sim" in arguments.kinds:
        run_simulations()
    if "net" in arguments.kinds:
        run_network(arguments.quick)
    passed_alone = run_failed_again() if arguments.again else []

    passed, failed = 0, 0
    reports = [path for kind in arguments.kinds for path in REPORTS.glob(f"{kind}[.-]*xml")]
    for report in sorted(reports):
        names = names_by_outcome(report)
        flaky = set(names["failed"]) & set(passed_alone)
        for name in sorted(flaky):
            print(f"flaky: {name} failed among others and passed alone")
        passed += len(names["passed"]) + len(flaky)
        failed += len([name for name in names["failed"] if name not in flaky])
        for name in names["skipped"]:
            print(f"skipped: {name}")
            failed += os.environ.get("CI") == "true"
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
