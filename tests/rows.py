#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of rows.txt and their tests: rows.py [--repeat N [--workers N] [--rows BEGINNING]]

Without options lists them; the exit status is 1 when a row has no test.  With --repeat runs
the tests of the rows so many times each, many at once: a loaded machine finds what depends
on time.  Setting: O (build directory).
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).parent
BUILD = pathlib.Path(os.environ.get("O", TESTS.parent / "build"))
ROW = re.compile(r"([SPWAB]\d+)\s+(.*)")
C_ROW = re.compile(r"\bRows?((?:[ ,]+(?:and )?[SPWAB]\d+)+)\.")
C_TEST = re.compile(r"(?:static )?void (test_\w+|scenario_\w+)\(")
PROGRAM_LIMIT_S = 300


def read_rows():
    """{row: what it is}, in the order of rows.txt."""
    lines = (TESTS / "rows.txt").read_text(encoding="ascii").splitlines()
    return dict(match.groups() for line in lines if (match := ROW.fullmatch(line)))


def network_tests(rows):
    """Add the tests that pytest finds."""
    script = (
        "import sys, pytest\n"
        "class Marks:\n"
        "    def pytest_collection_finish(self, session):\n"
        "        for item in session.items:\n"
        "            for mark in item.iter_markers('row'):\n"
        "                for row in mark.args:\n"
        "                    print('row', row, item.nodeid, sep='\\t')\n"
        "sys.exit(pytest.main(['--collect-only', '-qq', '--rows', 'all', 'tests/net'], [Marks()]))"
    )
    found = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=TESTS.parent, stdout=subprocess.PIPE, text=True, check=False,
    )
    if found.returncode not in (0, 5):  # 5: there are none
        sys.exit(f"rows: pytest cannot read the tests:\n{found.stdout}")
    for line in found.stdout.splitlines():
        if line.startswith("row\t"):
            _, row, test = line.split("\t")
            rows.setdefault(row, []).append(test)


def c_tests(rows):
    """Add the tests in C: the comment stands right before the function."""
    for path in sorted([*TESTS.glob("*/**/test_*.c"), *TESTS.glob("sim/scenarios/*.c")]):
        pending = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := C_ROW.search(line):
                pending += re.findall(r"[SPWAB]\d+", match.group(1))
            elif pending and (match := C_TEST.match(line)):
                for row in pending:
                    name = f"{path.relative_to(TESTS.parent)}::{match.group(1)}"
                    rows.setdefault(row, []).append(name)
                pending = []


def list_rows(known, rows):
    """Print them; whether all is well."""
    for row, text in known.items():
        print(f"{row:4}{text}")
        groups = {}
        for test in rows.get(row, ()):
            function, _, _ = test.partition("[")
            groups[function] = groups.get(function, 0) + 1
        for function, count in groups.items():
            print(f"      {function}{f' x {count}' if count > 1 else ''}")
    lacking = [row for row in known if row not in rows]
    unknown = sorted(set(rows) - set(known))
    if lacking:
        print(f"rows without a test: {' '.join(lacking)}")
    if unknown:
        print(f"rows that rows.txt does not have: {' '.join(unknown)}")
    return not lacking and not unknown


def repeat_c(rows, count, beginning):
    """Run the programs with such tests; how many runs failed.  A scenario always does the same."""
    programs = {
        test.partition(".c::")[0]
        for row, tests in rows.items() if row.startswith(beginning)
        for test in tests if ".c::test_" in test
    }
    failures = 0
    for program in sorted(programs):
        failed = 0
        for _ in range(count):
            done = subprocess.run(
                [BUILD / program], capture_output=True, text=True, timeout=PROGRAM_LIMIT_S,
                check=False,
            )
            failed += done.returncode != 0
            if done.returncode and failed == 1:
                print(done.stdout[-4000:], done.stderr[-4000:])
        print(f"{program}: {count} runs, {failed} failed")
        failures += failed
    return failures


def repeat_network(options, marked, workers):
    """Run the network tests with or without a mark; whether none failed."""
    tests = subprocess.run(
        [
            *(sys.executable, "-B", "-m", "pytest", "-q", "--tb=short", "-m", marked),
            *("-n", str(workers), "--dist", "loadgroup", "--count", str(options.repeat)),
            *("--rows", options.rows, "tests/net"),
        ],
        cwd=TESTS.parent, env={**os.environ, "O": str(BUILD.resolve())}, check=False,
    )
    return tests.returncode in (0, 5)  # 5: there are none


def repeat(rows, options):
    beginning = "" if options.rows == "all" else options.rows
    good = [
        repeat_c(rows, options.repeat, beginning) == 0,
        repeat_network(options, "not alone", options.workers),
        repeat_network(options, "alone", 0),
    ]
    return all(good)


def main():
    parser = argparse.ArgumentParser(description="The rows of rows.txt and their tests.")
    parser.add_argument("--repeat", type=int, help="run them so many times each")
    parser.add_argument("--workers", type=int, default=3 * os.cpu_count(), help="at once")
    parser.add_argument("--rows", default="all", help="a beginning of their names")
    options = parser.parse_args()
    rows = {}
    network_tests(rows)
    c_tests(rows)
    good = repeat(rows, options) if options.repeat else list_rows(read_rows(), rows)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
