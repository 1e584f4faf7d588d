# SPDX-License-Identifier: GPL-3.0-or-later
"""The processor time of processes, exactly: by perf's task clock.

/proc/PID/schedstat does not do for a server whose clients are woken on its own processor.  When the
server's answer wakes a client with a higher priority, the scheduler stops that clock at the wake-up,
and charges the client with all that the server does until it really leaves the processor: with
io_uring a batch of answers (rq_clock_skip_update() in the kernel's scheduler).
"""

import ctypes
import os
import pathlib
import platform
import struct

SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}[platform.machine()]
ATTRIBUTES_SIZE = 128  # struct perf_event_attr
TYPE_SOFTWARE, COUNT_TASK_CLOCK = 1, 1
INHERIT = 1 << 1  # threads and processes that it starts from now on
FLAG_CLOEXEC = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _open(thread):
    fields = struct.pack(
        "=IIQQQQQ", TYPE_SOFTWARE, ATTRIBUTES_SIZE, COUNT_TASK_CLOCK, 0, 0, 0, INHERIT
    )
    attributes = ctypes.create_string_buffer(fields, ATTRIBUTES_SIZE)
    fd = _libc.syscall(SYS_PERF_EVENT_OPEN, attributes, thread, -1, -1, FLAG_CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "perf_event_open: this needs root")
    return fd


class TaskClock:
    """Of all threads of `pids`, and of what they start; runs from the moment it is made."""

    def __init__(self, pids):
        tasks = (task for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
        self.fds = [_open(int(task.name)) for task in tasks]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)

    def ns(self):
        """The processor time since then."""
        return sum(struct.unpack("=Q", os.read(fd, 8))[0] for fd in self.fds)
