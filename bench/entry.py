# SPDX-License-Identifier: GPL-3.0-or-later
"""How each bench begins and ends: as root, and by an exit status that says how it went."""

import os
import subprocess
import sys


def run(main, name="bench"):
    """Call main(); what goes wrong in a known way is one line."""
    if os.geteuid() != 0:
        sys.exit(f"{name}: network namespaces and BPF programs need root: run this again as root")
    try:
        main()
    except (AssertionError, OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"{name}: {error}")
