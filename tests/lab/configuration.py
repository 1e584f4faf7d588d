# SPDX-License-Identifier: GPL-3.0-or-later
"""sidestep.conf and conf.d/ of an instance."""


class Configuration:
    def __init__(self, instance, ca):
        self.directory = instance.root / "etc/sidestep"
        (self.directory / "conf.d").mkdir(parents=True)
        self.write("sidestep.conf", "[sidestep]\nca = test\nagree-tos = yes\nkey-type = p384\n")
        self.write("conf.d/ca.conf", f"[ca test]\nserver = {ca.url}\ncacert = {ca.cacert}\n")

    def write(self, name, text):
        (self.directory / name).write_text(text)
