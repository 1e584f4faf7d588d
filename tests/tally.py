# SPDX-License-Identifier: GPL-3.0-or-later
"""Count a JUnit report: tally.py REPORT

Writes the number of passed tests, of failed ones, and the names of the skipped
ones, a line each.  Called by run.sh.
"""

import sys
import xml.etree.ElementTree as tree

passed, failed, skipped = 0, 0, []
for case in tree.parse(sys.argv[1]).iter("testcase"):
    if case.find("failure") is not None or case.find("error") is not None:
        failed += 1
    elif case.find("skipped") is not None:
        skipped.append(f"{case.get('classname')}.{case.get('name')}")
    else:
        passed += 1
print(passed, failed, *skipped, sep="\n")
