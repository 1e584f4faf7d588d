# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for these tests: repetitions (--count), and only those of rows.txt (--rows)."""

import os
import types

import pytest

NO_PARAMETERS = types.SimpleNamespace(params={})


def pytest_addoption(parser):
    group = parser.getgroup("sidestep")
    group.addoption("--count", type=int, default=1, help="run each test so many times")
    group.addoption("--rows", help="only tests of these rows: a beginning of their names, or 'all'")


def pytest_configure(config):
    config.addinivalue_line("markers", "row(name, ...): what it tests, a line of tests/rows.txt")


@pytest.fixture
def repetition(request):
    return request.param


@pytest.fixture
def seed(request):
    """Another one for each repetition."""
    base = int(os.environ.get("SIDESTEP_SEED", "8737"))
    return base + getattr(request.node, "callspec", NO_PARAMETERS).params.get("repetition", 0)


def pytest_generate_tests(metafunc):
    count = metafunc.config.option.count
    if count > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(count), indirect=True)


def pytest_collection_modifyitems(config, items):
    wanted = config.option.rows
    if wanted is None:
        return
    kept = [item for item in items if is_wanted(item, "" if wanted == "all" else wanted)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def is_wanted(item, beginning):
    return any(
        row.startswith(beginning) for mark in item.iter_markers("row") for row in mark.args
    )
