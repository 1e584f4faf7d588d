# SPDX-License-Identifier: GPL-3.0-or-later
"""Manual pages, completion and the example: they say what the programs do."""

import pathlib
import re
import subprocess

import pytest

from lab import hosts

pytestmark = pytest.mark.quick

DEPLOY = hosts.SOURCE / "deploy"
PAGES = ("sidestep.1", "sidestep-bench.1", "sidestep-responder.8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    hosts.run("make", "-C", hosts.SOURCE, f"O={hosts.BUILD}", f"DESTDIR={root}", "install")
    return root / "usr/local"


def help_of(*words):
    return hosts.run(hosts.BUILD / "sidestep", "help", *words).stdout


def verbs():
    return re.findall(r"^  ([a-z_]+) ", help_of(), re.MULTILINE)


def as_text(page):
    shown = hosts.run("mandoc", "-T", "utf8", page).stdout
    return re.sub(".\b", "", shown)


def words(text):
    """Without what differs by layout: where lines end, and the commas between an option's forms."""
    return " ".join(re.sub(r"(?m)^ +(-[a-zA-Z],|--)", r"\1", text).replace(" ,", ",").split())


def check_page(page, helps):
    """The page has each paragraph, each example and each option of the helps."""
    shown = words(as_text(page))
    for text in helps:
        _, rest = text.split("usage: ", 1)
        for paragraph in re.split(r"\n\n|\n(?=  (?:-[a-zA-Z], |    |)--)", rest):
            assert words(paragraph) in shown


def test_pages(installed):
    """Sound, and with all that the helps say."""
    pages = [*(installed / "share/man").rglob("*.[158]")]
    assert sorted(page.name for page in pages) == sorted((*PAGES, "sidestep.conf.5"))
    for page in pages:
        output = hosts.run("mandoc", "-T", "lint", "-W", "warning", page, check=False)
        assert output.returncode == 0, output.stdout
    assert len(verbs()) > 10
    check_page(installed / "share/man/man1/sidestep.1", [help_of(verb) for verb in verbs()])
    for page in ("man1/sidestep-bench.1", "man8/sidestep-responder.8"):
        name = pathlib.Path(page).stem
        check_page(
            installed / "share/man" / page, [hosts.run(hosts.BUILD / name, "--help").stdout]
        )


def test_settings(installed):
    """Each that is read is explained, and no other."""
    source = (hosts.SOURCE / "acme/config/config_file.c").read_text()
    table = re.search(r"\bsettings\[\] = \{(.*?)\n\};", source, re.DOTALL).group(1)
    listed = []
    for header in ("util/certificate_spec.h", "config/ca_settings.h"):
        text = (hosts.SOURCE / "acme" / header).read_text()
        listed += re.findall(r'X\((?!KIND)\w+, \w+, "([a-z-]+)",', text)
    known = {*re.findall(r'\{"([a-z-]+)",', table), *listed}
    page = (installed / "share/man/man5/sidestep.conf.5").read_text()
    told = set(re.findall(r"[a-z][a-z-]+", " ".join(re.findall(r"^\.It Ic (.*)$", page, re.M))))
    assert len(listed) > 10 and len(known) > 20 and told == known


def complete(*words, instance=None):
    """What bash offers for the last word."""
    script = f"""
PATH={hosts.BUILD}:$PATH
. {DEPLOY}/completion/sidestep.bash
COMP_WORDS=(sidestep {" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words)}
_sidestep
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    return subprocess.run(
        ["bash", "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()


def test_completion():
    assert set(complete("")) == {*verbs(), "help"}
    assert complete("cert") == ["certonly", "certificates"]
    assert complete("help", "rene") == ["renew"]
    assert "--deploy-hook" in complete("certonly", "--d")
    assert complete("status", "--dep") == []
    assert complete("certonly", "--key-type", "p") == ["p256", "p384"]


def test_example(tmp_path):
    """As it is, and with its comments taken off."""
    conf = tmp_path / "etc/sidestep"
    conf.mkdir(parents=True)
    example = (DEPLOY / "sidestep.conf.example").read_text()
    (conf / "customers.txt").write_text("a.example www.a.example\n")
    for text in (example, re.sub(r"^#(?=[\[a-z])", "", example, flags=re.MULTILINE)):
        text = text.replace("/etc/sidestep/customers.txt", str(conf / "customers.txt"))
        (conf / "sidestep.conf").write_text(text)
        output = hosts.run(hosts.BUILD / "sidestep", "plan", "--root", tmp_path)
    assert "shop" in output.stdout and "a.example" in output.stdout


# --- the units -----------------------------------------------------------------------------------


def settings_of(unit):
    """The lines KEY=VALUE of a unit: {key: [value, ...]}."""
    found = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.row("W7")
def test_the_agents_sandbox_exists_before_it(installed):
    """What the agent may write is there when its sandbox is made, whoever starts first."""
    agent = settings_of(installed / "lib/systemd/system/sidestep.service")
    made = (installed / "lib/tmpfiles.d/sidestep.conf").read_text(encoding="utf-8")
    (paths,) = agent["ReadWritePaths"]
    for path in paths.split():
        assert path.startswith("/"), "a path that may be missing would stay read-only for ever"
        state = f"/var/lib/{agent['StateDirectory'][0]}"
        assert path == state or re.search(rf"(?m)^d {path} 0755 root root ", made)
    responder = settings_of(installed / "lib/systemd/system/sidestep-responder.service")
    assert responder["RuntimeDirectory"] == ["sidestep"]
    assert responder["RuntimeDirectoryPreserve"] == ["yes"]


@pytest.mark.row("W4")
def test_each_has_a_user_of_its_own(installed):
    """The agent's by its unit, the responder's by itself, and both are made."""
    agent = settings_of(installed / "lib/systemd/system/sidestep.service")
    responder = settings_of(installed / "lib/systemd/system/sidestep-responder.service")
    assert agent["User"] == ["sidestep"] and agent["CapabilityBoundingSet"] == [""]
    assert "User" not in responder
    users = re.findall(
        r"(?m)^u (\S+)", (installed / "lib/sysusers.d/sidestep.conf").read_text(encoding="utf-8")
    )
    assert sorted(users) == ["sidestep", "sidestep-responder"]
    helped = hosts.run(hosts.BUILD / "sidestep-responder", "--help").stdout
    assert "sidestep-responder." in helped
    # Debian 12's polkit looks in /etc and /usr/share only, whatever the prefix is.
    rules = installed.parents[1] / "etc/polkit-1/rules.d/60-sidestep.rules"
    rules = rules.read_text(encoding="utf-8")
    assert 'subject.user == "sidestep"' in rules
