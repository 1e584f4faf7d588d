# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet filters and address translation as container engines install them: tests/lab/rules/."""

from lab import clients, hosts, production

DIRECTORY = hosts.SOURCE / "tests/lab/rules"
LOADERS = {
    ".nft": ("nft", "-f"),
    ".v4": ("iptables-nft-restore",),
    ".v6": ("ip6tables-nft-restore",),
}


class Rules:
    """Rules of one engine, and the service in a container to which they lead a port of the host.

    The service is another server of nginx's: its certificate tells it from production."""

    def __init__(self, name, files, bridge=None, networks=(), gateways=(), port=None):
        self.name = name
        self.files = files
        self.bridge = bridge
        self.networks = networks  # (IPv4's, IPv6's), both with {} in the place of the last number
        self.gateways = gateways
        self.port = port

    def load(self, host):
        for file in self.files:
            path = DIRECTORY / file
            host.run(*LOADERS[path.suffix], path)

    def install(self, lab):
        """Load them on the server host; the service, or None where the rules have none."""
        service = Service(lab, self) if self.bridge else None
        self.load(lab.server)
        return service


class Service:
    """A container on a bridge of the server host, and nginx in it."""

    def __init__(self, lab, rules):
        self.lab = lab
        self.rules = rules
        first, second = ([network.format(end) for network in rules.networks] for end in (2, 3))
        container = self.container = lab.add_host("container", *first)
        server = lab.server
        server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        server.run("ip", "link", "add", rules.bridge, "type", "bridge")
        hosts.run(
            *("ip", "link", "add", "container", "netns", server.namespace, "type", "veth"),
            *("peer", "name", "eth0", "netns", container.namespace),
        )
        server.run("ip", "link", "set", "container", "master", rules.bridge, "up")
        server.run("ip", "link", "set", rules.bridge, "up")
        container.run("ip", "link", "set", "eth0", "up")
        for gateway, size, *addresses in zip(rules.gateways, (16, 64), first, second):
            nodad = ("nodad",) if size == 64 else ()
            server.run(
                *("ip", "address", "add", f"{gateway}/{size}", "dev", rules.bridge, *nodad)
            )
            for address in addresses:
                container.run(
                    *("ip", "address", "add", f"{address}/{size}", "dev", "eth0", *nodad)
                )
            container.run("ip", "route", "add", "default", "via", gateway)
        hosts.wait_for(container.has_wire, "the container's wire")
        self.nginx = production.Nginx(lab, container, ports=(443,), name="service")

    def check(self):
        """Who connects to the host's published port gets the container, whatever the family."""
        for address in (self.lab.server.ipv4, self.lab.server.ipv6):
            answer = clients.get(
                self.lab.validator, address, "service.example.org", port=self.rules.port
            )
            assert answer.certificate == self.nginx.certificate


PODMAN = ("podman0", ("10.88.0.{}", "fd00:88::{}"), ("10.88.0.1", "fd00:88::1"), 8443)
KUBE = ("cni0", ("10.244.0.{}", "fd00:244::{}"), ("10.244.0.1", "fd00:244::1"), 30443)
DOCKER = Rules(
    *("docker", ("docker.v4", "docker.v6"), "docker0"),
    *(("172.17.0.{}", "fd00:17::{}"), ("172.17.0.1", "fd00:17::1"), 8443),
)
DROP_INVALID = Rules("drop-invalid", ("drop-invalid.nft",))
ALL = (
    DOCKER,
    Rules("podman-iptables", ("podman.v4", "podman.v6"), *PODMAN),
    Rules("podman-nftables", ("podman.nft",), *PODMAN),
    Rules("kube-proxy-iptables", ("kube-proxy.v4", "kube-proxy.v6"), *KUBE),
    Rules("kube-proxy-nftables", ("kube-proxy.nft",), *KUBE),
    DROP_INVALID,
)
