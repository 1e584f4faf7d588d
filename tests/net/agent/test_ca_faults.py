# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults at each request to a real CA, and at each write to the disk.

Each loop goes through the moments one by one; FAULTS_STEP is how many it takes in one stride
(default 13 for the disk, 1 gives every one)."""

import contextlib
import errno
import os
import sqlite3
import time

import pytest

from lab import fault_proxy, hosts

NAME = "www.example.org"
STEP = int(os.environ.get("FAULTS_STEP", "13"))
WRITES_MAX = 400  # more than a renewal makes
REQUESTS_MAX = 40
SHIM = hosts.BUILD / "tests/lab/fault_shim.so"
HOUR_S = 3600


@pytest.fixture
def proxy(pebble):
    made = fault_proxy.Proxy(pebble)
    yield made
    made.stop()


@pytest.fixture
def ready(lab, dns, nginx, instance):
    dns.set(NAME, lab.server.ipv4)
    return instance.start()


@pytest.fixture
def stocked(ready, proxy):
    """A certificate whose renewal window is known, so that set_due() is what decides."""
    run = ready.issue(proxy, NAME)
    assert run.returncode == 0, run.stderr
    assert renew(ready, proxy).returncode == 0
    return ready


def renew(instance, ca, *options, **run_options):
    return instance.agent(
        *("renew", "--cacert", ca.cacert, *options), **{"timeout": 60, **run_options}
    )


def serial(instance):
    return instance.check_certificate(NAME, [NAME])[0].serial_number


def generations(instance):
    return sorted(path.name for path in (instance.state / "archive" / NAME).iterdir())


def check_settled(instance):
    """One certificate, whole and in use; nothing half-made beside it."""
    serial(instance)
    assert all(name == "current" or name.isdigit() for name in generations(instance))
    with contextlib.closing(sqlite3.connect(instance.state / "state.db")) as memory:
        assert memory.execute("SELECT count(*) FROM lineage").fetchone() == (1,)
        assert memory.execute("SELECT count(*) FROM order_in_flight").fetchone() == (0,)


def plan(instance):
    (entry,) = instance.succeed("plan")["plan"]
    return entry


# --- what a CA in trouble answers ----------------------------------------------------------------


def http_date(moment_s):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(moment_s))


@pytest.mark.parametrize("status", (429, 503))
def test_retry_after(stocked, proxy, status):
    """Every kind of Retry-After: obeyed where it makes sense, and else our own pauses hold."""
    old, now = serial(stocked), time.time()
    kinds = (
        ("7200", 2 * HOUR_S, 2 * HOUR_S),
        (http_date(now + 3 * HOUR_S), 3 * HOUR_S, 3 * HOUR_S),
        ("1000000000000", 0, 24 * HOUR_S),  # a day at most is believed
        ("-5", 0, 2 * HOUR_S),
        ("soon", 0, 2 * HOUR_S),
        (http_date(now - HOUR_S), 0, 2 * HOUR_S),
        (None, 0, 2 * HOUR_S),
    )
    for value, least_s, most_s in kinds:
        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "slow down"}
        headers = {"Content-Type": "application/problem+json"}
        if value is not None:
            headers["Retry-After"] = value

        def refuse(exchange, problem=problem, headers=headers):
            if exchange.kind == "order-plz":
                raise fault_proxy.Answer(status, problem, headers)

        proxy.reset(refuse)
        stocked.set_due(NAME)
        asked_at = time.time()
        run = renew(stocked, proxy)
        wait_s = plan(stocked)["at"] - asked_at
        assert least_s - 60 <= wait_s <= most_s + 60, (value, wait_s, run.stderr)
        assert wait_s > 20, (value, run.stderr)
        # Nothing is asked of the CA before that, in this process or another.
        count = len(proxy.exchanges)
        assert renew(stocked, proxy).returncode == 0
        assert len(proxy.exchanges) == count
        assert serial(stocked) == old
    proxy.reset()
    stocked.set_due(NAME)
    assert renew(stocked, proxy).returncode == 0
    assert serial(stocked) != old


HOSTILE = {
    "truncated": fault_proxy.Answer(200, b'{"status": "pending", "author', size=4000),
    "types": fault_proxy.Answer(
        200, {"status": ["valid"], "authorizations": {"a": 1}, "finalize": 7, "challenges": "x"}
    ),
    "huge": fault_proxy.Answer(200, b'{"status": "' + b"x" * (8 << 20) + b'"}'),
    "server error": fault_proxy.Answer(500, b"oops"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.slow
def test_hostile_answers(stocked, proxy, name):
    """The CA does what it is asked, and answers nonsense, at each kind of URL in turn."""
    old = serial(stocked)
    for kind in ("dir", "order-plz", "authZ", "chalZ", "my-order", "finalize-order", "certZ"):
        answers = []

        def answer(exchange, kind=kind, answers=answers):
            if exchange.kind == kind and not answers:
                answers.append(exchange)
                raise HOSTILE[name]

        proxy.reset(after=answer)
        stocked.set_due(NAME)
        run = renew(stocked, proxy)
        assert answers and run.returncode in (0, 1), (kind, run.returncode, run.stderr)
        if run.returncode:
            assert "next:" in run.stderr or "next attempt" in run.stderr, run.stderr
        assert (serial(stocked) == old) == bool(run.returncode), (kind, run.stderr)
        old = serial(stocked)
        check_settled(stocked)
    proxy.reset()
    stocked.set_due(NAME)
    run = renew(stocked, proxy)
    assert run.returncode == 0, run.stderr
    assert serial(stocked) != old


@pytest.mark.parametrize("kind", ("order-plz", "finalize-order"))
def test_slow_answer(stocked, proxy, kind):
    """An answer that takes longer than --timeout: the old certificate stays, or the new one comes."""
    old = serial(stocked)

    def wait(exchange):
        if exchange.kind == kind and len(proxy.exchanges) < REQUESTS_MAX:
            time.sleep(3)

    proxy.reset(after=wait)
    stocked.set_due(NAME)
    run = renew(stocked, proxy, "--timeout", "1")
    assert (serial(stocked) == old) == bool(run.returncode), run.stderr
    assert not run.returncode or "no answer in time" in run.stderr
    proxy.reset()
    stocked.set_due(NAME)
    run = renew(stocked, proxy)
    assert run.returncode == 0, run.stderr
    check_settled(stocked)


def test_nonce_storm(lab, dns, nginx, instance):
    """Nine of ten nonces refused: one account, one order, one certificate."""
    pebble = fault_proxy.authority.Pebble(lab, PEBBLE_WFE_NONCEREJECT="90")
    dns.set(NAME, lab.server.ipv4)
    instance.start()
    run = instance.issue(pebble, NAME)
    assert run.returncode == 0, run.stderr
    assert pebble.orders() == 1
    check_settled(instance)


# --- cut and killed at each request --------------------------------------------------------------


def issue(instance, ca):
    return instance.issue(ca, NAME, timeout=60)


def forget_certificate(instance):
    """As before the first order, but for the account."""
    with contextlib.suppress(sqlite3.OperationalError):
        instance.agent("delete", NAME)


@pytest.mark.slow
def test_cut(ready, proxy):
    """The CA hears a request and its answer is cut off, whichever: one account, one certificate."""
    for number in range(1, REQUESTS_MAX):

        def cut(exchange, number=number):
            if exchange.number == number:
                raise fault_proxy.Cut

        forget_certificate(ready)
        proxy.reset(after=cut)
        orders = proxy.orders()
        run = issue(ready, proxy)
        was_cut = len(proxy.exchanges) >= number
        if run.returncode:
            assert run.returncode == 1 and "next:" in run.stderr, run.stderr
            proxy.reset()
            run = issue(ready, proxy)
            assert run.returncode == 0, (number, run.stderr)
        check_settled(ready)
        # Nobody knows of an order whose newOrder got no answer; any other order resumes.
        assert proxy.orders() - orders in (1, 2), number
        assert proxy.accounts() == 1
        if not was_cut:
            return
    pytest.fail("the requests have no end")


@pytest.mark.parametrize("moment", ("before", "after"))
@pytest.mark.slow
def test_killed_at_request(ready, proxy, moment):
    """kill -9 during a request to the CA: the next run resumes the same account and order.

    A name that was armed then disarms itself: test_lifecycle.py."""
    for number in range(1, REQUESTS_MAX):
        agents, kinds = [], []

        def kill(exchange, number=number, agents=agents, kinds=kinds):
            if exchange.number == number:
                kinds.append(exchange.kind)
                hosts.wait_for(lambda: agents, "the agent")
                agents[0].kill()
                raise fault_proxy.Cut

        forget_certificate(ready)
        proxy.reset(**{moment: kill})
        orders = proxy.orders()
        agents.append(ready.start_issue(proxy, NAME))
        agents[0].wait(60)
        proxy.reset()
        run = issue(ready, proxy)
        assert run.returncode == 0, (number, run.stderr)
        check_settled(ready)
        # The CA has made the order, and its answer never came: a CA may give the same one again
        # (RFC 8555 section 7.4), Pebble makes another.
        lost = moment == "after" and kinds == ["order-plz"]
        assert proxy.orders() - orders == (2 if lost else 1), (number, kinds)
        assert proxy.accounts() == 1
        if not kinds:
            return
    pytest.fail("the requests have no end")


# --- at each write -------------------------------------------------------------------------------


def sanitizers(instance):
    """ASan's library, which wants to be the first, where the agent is built with it."""
    words = hosts.run("ldd", instance.programs / "sidestep").stdout.split()
    return [word for word in words if word.startswith("/") and "libasan" in word]


def renew_with(instance, ca, count_file, **faults):
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join([*sanitizers(instance), str(SHIM)]),
        "FAULT_COUNT": str(count_file),
        **{f"FAULT_{name}": str(value) for name, value in faults.items()},
    }
    return renew(instance, ca, env=environment)


def moments(lab, stocked, proxy):
    """How many writes a renewal makes, as moments to fail at: each STEP-th."""
    count_file = lab.directory / "count"
    stocked.set_due(NAME)
    run = renew_with(stocked, proxy, count_file)
    assert run.returncode == 0, run.stderr
    count = int(count_file.read_text())
    assert 20 < count < WRITES_MAX
    return range(1, count + 1, STEP)


@pytest.mark.slow
def test_killed_at_write(lab, stocked, proxy, remark):
    """kill -9 instead of one write, whichever: old or new, whole, and one order."""
    numbers = moments(lab, stocked, proxy)
    for number in numbers:
        old, orders = serial(stocked), proxy.orders()
        stocked.set_due(NAME)
        run = renew_with(stocked, proxy, lab.directory / "count", AT=number)
        assert run.returncode in (-9, 137, 0), run.stderr
        after = serial(stocked)
        run = renew(stocked, proxy)
        assert run.returncode == 0, (number, run.stderr)
        check_settled(stocked)
        assert serial(stocked) != old, number
        assert after in (old, serial(stocked)), number
        # Killed with the CA's answer to newOrder in hand, but not yet on the disk.
        assert proxy.orders() - orders in (1, 2), number
    remark(f"killed at {len(numbers)} of {numbers[-1]} writes")


@pytest.mark.slow
def test_disk_fails(lab, stocked, proxy, remark):
    """From one write on nothing can be written: told, the old certificate whole, and then got."""
    numbers = moments(lab, stocked, proxy)
    for number in numbers:
        old, error = serial(stocked), (errno.ENOSPC, errno.EIO)[number // STEP % 2]
        stocked.set_due(NAME)
        run = renew_with(stocked, proxy, lab.directory / "count", AT=number, ERROR=error)
        assert run.returncode in (0, 1), (number, run.returncode, run.stderr)
        after = serial(stocked)
        if run.returncode == 1:
            # SQLite tells of some failures only which file it is.
            told = run.stderr.lower()
            assert os.strerror(error).lower() in told or "state.db" in told, (number, told)
        run = renew(stocked, proxy)
        if after == old and serial(stocked) == old:
            # Put off: by the pause after a failure.
            stocked.set_due(NAME)
            run = renew(stocked, proxy)
        assert run.returncode == 0, (number, run.stderr)
        assert serial(stocked) != old, number
        check_settled(stocked)
    remark(f"failed from {len(numbers)} of {numbers[-1]} writes on")
