# SPDX-License-Identifier: GPL-3.0-or-later
"""sidestep-bench against the responder, and against servers that answer wrongly."""

import contextlib
import json
import os
import pty
import signal
import sys
import time

import pytest

from lab import hosts, sidestep

NAME = "www.example.org"
NAMES = [f"n{i}.example.org" for i in range(4)]
GENERATED = ("--generate", "4", "--suffix", "example.org")
KEY = ("--key-authorization", sidestep.KEY_AUTHORIZATION)
SHAPES = ("go", "small", "split", "shuffled")
DURATIONS = ("latency_us", "service_us", "lag_us")
PERCENTILES = ("p50", "p90", "p99", "p99_9", "p99_99")


PROGRAM = hosts.BUILD / "sidestep-bench"


def bench(lab, *arguments, **options):
    """Run it on the validator host, whatever becomes of it."""
    return lab.validator.run(PROGRAM, *arguments, check=False, **options)


def bench_json(lab, *arguments, status=0, **options):
    """What it says with --json."""
    output = bench(lab, "--json", *arguments, **options)
    assert output.returncode == status, output.stdout + output.stderr
    return json.loads(output.stdout)


def addresses(lab):
    return (str(lab.server.ipv4), str(lab.server.ipv6))


@pytest.fixture
def steered(instance, nginx):
    """Sidestep beside nginx, with the generated names armed."""
    instance.start()
    for name in NAMES:
        instance.publish(name)
    return instance


@pytest.fixture
def standalone(instance):
    instance.start("--standalone")
    for name in NAMES:
        instance.publish(name)
    return instance


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tls", ("1.2", "1.3"))
def test_every_shape_steered(lab, steered, shape, tls):
    before = steered.counters()["steered"]
    result = bench_json(
        lab,
        *(*GENERATED, *KEY, "--hello", shape, "--tls", tls, "--count", 40),
        *("--concurrency", 4, *addresses(lab)),
    )
    assert result["validated"] == result["started"] == 40
    assert result["failed"] == 0 and result["failures"] == {}
    assert result["tls12" if tls == "1.2" else "tls13"] == 40
    assert steered.counters()["steered"] == before + 40


def test_split_hello_is_watched(lab, steered):
    """Two segments it is, on the wire: the classifier has to put them together."""
    before = steered.counters()["watched"]
    bench_json(lab, *GENERATED, *KEY, "--hello", "split", *addresses(lab))
    assert steered.counters()["watched"] == before + 8


@pytest.mark.quick
def test_closed_loop_standalone(lab, standalone):
    result = bench_json(
        lab,
        *(*GENERATED, *KEY, "--concurrency", 8, "--duration", 1, "--ramp-up", 0.5),
        *addresses(lab),
    )
    assert result["validated"] == result["started"] > 8
    assert result["run"]["concurrency"] == 8
    assert 0.9 < result["elapsed_s"] < 5  # the next start may be due behind the end


@pytest.mark.parametrize("arrivals", ("fixed", "poisson"))
def test_open_loop_standalone(lab, standalone, arrivals):
    result = bench_json(
        lab,
        *(*GENERATED, *KEY, "--rate", 100, "--arrivals", arrivals, "--duration", 2),
        *("--threads", 2, *addresses(lab)),
    )
    assert result["validated"] == result["started"]
    # 200 expected; Poisson's deviation is 14.
    assert 120 < result["started"] < 280
    if arrivals == "fixed":
        assert 198 <= result["started"] <= 202
    assert len(result["seconds"]) >= 2
    assert sum(second["validated"] for second in result["seconds"]) == result["validated"]


def test_latency_counts_from_when_it_was_due(lab, standalone):
    """A server that stops for a second delays all that were due meanwhile, not just one."""
    process = lab.validator.start(
        "bench",
        *(PROGRAM, "--json", *GENERATED, *KEY, "--rate", 100),
        *("--duration", 3, "--max-open", 1, lab.server.ipv4),
    )
    hosts.wait_for(
        lambda: ":443" in lab.validator.run("ss", "-Htan").stdout, "the first connection"
    )
    pids = standalone.host.processes()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert process.wait() == 0
    result = json.loads(process.output())
    assert result["validated"] == result["started"] == 300
    # A hundred were due in that second, and only one of them had begun.
    assert result["latency_us"]["p90"] > 300_000
    assert result["service_us"]["p90"] < 300_000
    assert result["service_us"]["max"] > 500_000


def test_perspectives(lab, standalone):
    lab.validator.run("ip", "address", "add", "192.0.2.101/24", "dev", "eth0")
    sources = ("192.0.2.1", "192.0.2.101", "2001:db8::1")
    result = bench_json(
        lab,
        *(*GENERATED, *KEY, *(word for source in sources for word in ("--source", source))),
        *addresses(lab),
    )
    assert result["started"] == result["validated"] == 12
    assert [route["from"] for route in result["run"]["routes"]] == [
        "192.0.2.1:0", "192.0.2.101:0", "[2001:db8::1]:0",
    ]


def test_source_that_is_not_ours(lab, standalone):
    result = bench_json(
        lab, *GENERATED, "--source", "192.0.2.77", lab.server.ipv4, "--count", 3, status=1
    )
    assert result["failures"] == {"no_source": 3}


def test_address_identifiers(lab, instance):
    instance.start("--standalone")
    for address in addresses(lab):
        instance.publish(address)
        bench_json(lab, "--name", address, *KEY, *addresses(lab))


def test_names_from_a_file(lab, standalone):
    names = lab.directory / "names"
    digest = sidestep.DIGEST.hex()
    names.write_text(f"# right\n{NAMES[0]} {sidestep.KEY_AUTHORIZATION}\n{NAMES[1]} {digest}\n")
    assert bench_json(lab, "--names", names, lab.server.ipv4)["validated"] == 2
    names.write_text(f"{NAMES[0]} other.thumbprint\n{NAMES[1]} {digest}\n")
    result = bench_json(lab, "--names", names, lab.server.ipv4, status=1)
    assert result["validated"] == 1
    assert result["failures"] == {"certificate_acme_digest": 1}


def test_close_by_reset_leaves_nothing(lab, standalone):
    bench_json(lab, *GENERATED, *KEY, "--count", 20, "--close", "reset", lab.server.ipv4)
    assert "TIME-WAIT" not in lab.validator.run("ss", "-Htan").stdout


# --- servers that answer wrongly ---------------------------------------------------------------


def test_production_that_knows_no_acme(lab, nginx):
    result = bench_json(lab, "--name", NAME, "--count", 10, *addresses(lab), status=1)
    assert result["validated"] == 0
    assert result["failures"] == {"alert_no_application_protocol": 10}


def test_production_with_another_certificate(lab, speaking):
    """It takes acme-tls/1 and shows its own certificate, self-signed as it is."""
    result = bench_json(lab, "--name", NAME, "--count", 10, *addresses(lab), status=1)
    assert result["failures"] == {"certificate_acme_missing": 10}


def test_some_names_are_not_armed(lab, steered):
    steered.withdraw(NAMES[3])
    result = bench_json(lab, *GENERATED, *KEY, lab.server.ipv4, status=1)
    assert result["validated"] == 3
    assert sum(result["failures"].values()) == 1


def test_nothing_listens(lab):
    result = bench_json(lab, "--name", NAME, lab.server.ipv4, status=1)
    assert result["failures"] == {"refused": 1}


def test_no_answer(lab):
    """A firewall that drops."""
    lab.server.run("nft", "add table inet test")
    lab.server.run("nft", "add chain inet test input { type filter hook input priority 0; }")
    lab.server.run("nft", "add rule inet test input tcp dport 443 drop")
    result = bench_json(lab, "--name", NAME, "--timeout", 0.5, lab.server.ipv4, status=1)
    assert result["failures"] == {"connect_timeout": 1}
    assert result["elapsed_s"] < 5


def test_listener_that_never_speaks(lab):
    script = (
        "import socket, time; s = socket.create_server(('', 443)); s.listen(); "
        "print('listening', flush=True); time.sleep(60)"
    )
    process = lab.server.start("mute", sys.executable, "-c", script)
    process.wait_until(lambda: "listening" in process.output(), "listening")
    result = bench_json(lab, "--name", NAME, "--timeout", 0.5, lab.server.ipv4, status=1)
    assert result["failures"] == {"handshake_timeout": 1}


def test_not_tls(lab):
    process = lab.server.start("http", sys.executable, "-m", "http.server", "443")
    process.wait_until(lambda: lab.server.listens(443), "listening")
    result = bench_json(lab, "--name", NAME, lab.server.ipv4, status=1)
    assert set(result["failures"]) <= {"not_tls", "closed", "reset"}


# --- what it says ---------------------------------------------------------------------------------


def test_refuses_without_a_target(lab):
    output = bench(lab, "--name", NAME)
    assert output.returncode == 2
    assert "no address is given" in output.stderr


def test_refuses_to_look_a_name_up(lab):
    output = bench(lab, "--name", NAME, "localhost")
    assert output.returncode == 2
    assert "host names are not looked up" in output.stderr


def test_refuses_a_high_rate(lab):
    output = bench(lab, "--name", NAME, "--rate", 2000, lab.server.ipv4)
    assert output.returncode == 2
    assert "--max-rate 2000" in output.stderr


def test_json_shape(lab, standalone):
    result = bench_json(lab, *GENERATED, *KEY, "--rate", 50, "--count", 50, lab.server.ipv4)
    assert set(result) == {
        *("version", "run", "interrupted", "elapsed_s", "started", "validated", "failed"),
        *("tls12", "tls13", "validated_per_s", "own_cpu_us", "failures", "seconds", *DURATIONS),
    }
    assert set(result["run"]) == {
        *("routes", "names", "rate_per_s", "arrivals", "ramp_up_s", "threads", "hello"),
        *("mlkem", "tls", "close"),
    }
    for key in DURATIONS:
        durations = result[key]
        assert set(durations) == {"count", "min", "mean", "max", *PERCENTILES}
        values = [durations[name] for name in ("min", *PERCENTILES, "max")]
        assert values == sorted(values)
    assert result["own_cpu_us"] > 0


def test_text(lab, standalone):
    output = bench(lab, *GENERATED, "--name", "not.example.org", *KEY, lab.server.ipv4)
    assert output.returncode == 1
    assert "started 5, validated 4 (TLS 1.3: 4, TLS 1.2: 0), failed 1" in output.stdout
    assert "p99.99" in output.stdout
    assert "\r" not in output.stderr  # no terminal


def read_to_the_end(terminal):
    """All that was written; at the end, when nobody has it open any more, reading fails."""
    shown = b""
    with contextlib.suppress(OSError):
        while more := terminal.read(65536):
            shown += more
    return shown


def test_progress_on_a_terminal(lab, standalone):
    """One line, written over and over, and wiped at the end."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            output = lab.validator.run(
                *(PROGRAM, *GENERATED, *KEY, "--rate", 20),
                *("--duration", 1, lab.server.ipv4),
                **{"capture_output": False, "stdout": -1, "stderr": theirs},
            )
        finally:
            os.close(theirs)
        shown = read_to_the_end(terminal).decode()
    assert "validated" in output.stdout
    assert shown.count("\r") >= 3 and "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_interrupt_ends_with_results(lab, standalone):
    process = lab.validator.start(
        "bench",
        *(PROGRAM, "--json", *GENERATED, *KEY, "--rate", 50),
        *("--duration", 600, lab.server.ipv4),
    )
    hosts.wait_for(
        lambda: ":443" in lab.validator.run("ss", "-Htan").stdout, "the first connection"
    )
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == 0
    result = json.loads(process.output())
    assert result["interrupted"] and result["validated"] == result["started"] > 0


def test_report(lab, standalone):
    directory = lab.directory / "report"
    output = bench(
        lab, *GENERATED, *KEY, "--rate", 100, "--count", 200, "--report", directory, lab.server.ipv4
    )
    assert output.returncode == 0, output.stderr
    assert output.stderr == ""
    text = (directory / "report.md").read_text()
    for name in ("latency.svg", "seconds.svg"):
        assert f"]({name})" in text
        assert (directory / name).read_text().rstrip().endswith("</svg>")
    assert "| 200 | 200 | 0 |" in text
    assert json.loads((directory / "results.json").read_text())["validated"] == 200
    rows = (directory / "latency.tsv").read_text().splitlines()[1:]
    values = [[float(word) for word in row.split("\t")] for row in rows]
    assert len(values) > 50 and values == sorted(values)


def test_report_without_gnuplot(lab, standalone):
    directory = lab.directory / "report"
    output = bench(
        lab,
        *(*GENERATED, *KEY, "--report", directory, lab.server.ipv4),
        env={"PATH": "/nonexistent"},
        executable="/usr/bin/nsenter",
    )
    assert output.returncode == 0
    assert "gnuplot is missing" in output.stderr
    assert "latency.svg" not in (directory / "report.md").read_text()
    assert (directory / "plots.gnuplot").exists()
