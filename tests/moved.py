# SPDX-License-Identifier: GPL-3.0-or-later
"""Show that no test got lost since commit d0d539e: moved.py [REPORTS_DIR]

MOVED.txt lists every test of that commit: a line "old file -> new file", and below it the file's
tests, each with "-> new name" where it has one.  This looks each of them up in the JUnit reports
of `make check` (default build/junit), and ends with 1 when one is missing or has not passed.
"""

import pathlib
import sys

import run


def passed_tests(directory):
    """As "unit/common/test_log::test_name" and the like."""
    tests = set()
    for report in sorted(directory.glob("*.xml")):
        for name in run.names_by_outcome(report)["passed"]:
            path, _, test = name.partition("test_")
            module, _, test = test.partition(".")
            test = test.partition(" on ")[0]  # of the engine
            tests.add(f"{path.removeprefix('tests.').replace('.', '/')}test_{module}::{test}")
    return tests


def moved_tests(lines):
    """Each test of MOVED.txt, as its line and where it is now."""
    for line in lines:
        old, arrow, new = line.strip().partition(" -> ")
        if line.startswith("tests/"):
            file = pathlib.Path(new if arrow else old).relative_to("tests").with_suffix("")
        elif line.startswith("\t"):
            here, _, name = new.rpartition("::") if arrow else ("", "", old)
            yield old, f"{here or file}::{name}"


def main():
    directory = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else run.REPORTS
    lines = pathlib.Path(__file__).with_name("MOVED.txt").read_text(encoding="utf-8").splitlines()
    moved, passed = list(moved_tests(lines)), passed_tests(directory)
    missing = [f"{old}: {new}" for old, new in moved if new not in passed]
    for line in missing:
        print(f"missing: {line}")
    print(f"{len(moved)} tests of d0d539e: {len(moved) - len(missing)} passed, {len(missing)} missing")
    return 1 if missing or not moved else 0


if __name__ == "__main__":
    sys.exit(main())
