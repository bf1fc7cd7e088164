"""A long way with losses between the containers: by tc's netem, or by a rule of the host's firewall for
what the bridge forwards from container to container, in the chain that Docker leaves to others. What
comes from this machine, like a GET at an exposed module API, is not touched.

A network that is cut is crates/lab's: dht-lab chaos partition.
"""

import os
import subprocess
from contextlib import contextmanager

from .containers import SUBNET, Failed
from .longway import LongWay

CHAIN = "DOCKER-USER"
BRIDGE_SETTING = "/proc/sys/net/bridge/bridge-nf-call-iptables"
# Any unused number.
QUEUE = 7402


@contextmanager
def long_way(docker, pids, round_trip, loss):
    """Every packet between containers takes half of `round_trip` seconds, and is lost with the
    probability `loss`. By tc's netem in each container; by a queue of the firewall, that a thread
    here serves, where the kernel has no netem. Which of both it was."""
    if _has_netem():
        for pid in pids:
            _in_network_of(pid, "tc", "qdisc", "add", "dev", "eth0", "root", "netem",
                           "delay", f"{round_trip * 500:g}ms", "loss", f"{loss * 100:g}%")
        yield "tc netem"
        return
    rule = ["--source", SUBNET, "--destination", SUBNET, "--jump", "NFQUEUE", "--queue-num", str(QUEUE)]
    with LongWay(QUEUE, round_trip / 2, loss), _rule(rule):
        yield "a firewall's queue, for this kernel has no netem"


@contextmanager
def _rule(rule):
    if os.geteuid() != 0:
        raise Failed("rules of the firewall need root")
    if not os.path.exists(BRIDGE_SETTING) or open(BRIDGE_SETTING).read().strip() != "1":
        raise Failed(f"{BRIDGE_SETTING} is not 1: the firewall does not see what the bridge forwards")
    _command("iptables", "--wait", "--insert", CHAIN, *rule)
    try:
        yield
    finally:
        _command("iptables", "--wait", "--delete", CHAIN, *rule)


def _has_netem():
    """Tried on the loopback of a network of its own, which ends with the command."""
    tried = subprocess.run(
        ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
        capture_output=True,
    )
    return tried.returncode == 0


def _in_network_of(pid, *command):
    _command("nsenter", "--target", str(pid), "--net", *command)


def _command(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
