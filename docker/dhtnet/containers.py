"""Starts, watches and removes the containers. Everything that touches Docker goes through `Docker`,
which can also only show what it would do."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

NETWORK = "dht_network"
SUBNET = "172.20.0.0/16"
IMAGE = "dht_swarm"
PREFIX = "dht_swarm_"
# What is ours, whatever it is called: cleaning up asks for this label and nothing else.
LABEL = "org.voiddht.swarm"

P2P_PORT = 7402
API_PORT = 7401
# The module API of node I is exposed on this machine at FIRST_EXPOSED_PORT + I.
FIRST_EXPOSED_PORT = 17400
# Node 1 is 172.20.1.1, node 101 172.20.2.1.
NODES_PER_BLOCK = 100
NEIGHBOUR_SETTINGS = ("net.ipv4.neigh.default.gc_thresh3", "net.ipv4.neigh.default.gc_thresh2")
# Seconds for Docker to forget a hundred containers.
CLEANING = 60
# Docker starts one container at a time anyway; a few at once keep it busy.
AT_ONCE = 4


class Failed(Exception):
    """An error that ends the script, with a message for its user."""


class Docker:
    """The command line of Docker, or its echo."""

    def __init__(self, print_only=False):
        self.print_only = print_only

    def run(self, *arguments, check=True):
        """Runs a command of Docker; its standard output."""
        command = ["docker", *map(str, arguments)]
        if self.print_only:
            print(shlex.join(command), flush=True)
            return ""
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Failed(f"{shlex.join(command[:3])} …: {done.stderr.strip()}")
        return done.stdout

    def each(self, action, items):
        """Does something for each item, a few at once; in order where it is only shown."""
        if self.print_only:
            return [action(item) for item in items]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(action, items))


def name(index):
    return f"{PREFIX}{index}"


def address(index):
    block, host = divmod(index - 1, NODES_PER_BLOCK)
    return f"172.20.{block + 1}.{host + 1}"


def exposed(index):
    """Where this machine reaches the module API of an exposed node."""
    return ("127.0.0.1", FIRST_EXPOSED_PORT + index)


def missing_room(nodes):
    """What the kernel's table of neighbours lacks, by the name of the setting. It is one table for
    all containers: a hundred nodes that know one another are ten thousand entries, of 1024 that it
    has by default, and the rest cannot be reached at all."""
    wanted = 2 * nodes * nodes
    return {name: wanted for name in NEIGHBOUR_SETTINGS if int(_setting(name).read_text()) < wanted}


@contextmanager
def room_for_neighbours(docker, nodes):
    """Makes that room while the context lasts."""
    before = {}
    for name, wanted in missing_room(nodes).items():
        if docker.print_only:
            print(f"sysctl --write {name}={wanted}")
        elif os.geteuid() != 0:
            raise Failed(f"{nodes} nodes need more: sysctl --write {name}={wanted}, as root")
        else:
            before[name] = _setting(name).read_text()
            _setting(name).write_text(str(wanted))
    try:
        yield
    finally:
        for name, value in before.items():
            _setting(name).write_text(value)


def _setting(name):
    return Path("/proc/sys") / name.replace(".", "/")


def create_network(docker):
    """Creates the network, unless the last one could not be removed."""
    if docker.print_only or not _has_network(docker):
        docker.run("network", "create", "--subnet", SUBNET, "--label", LABEL, NETWORK)


def _has_network(docker):
    return docker.run("network", "ls", "--quiet", "--filter", f"label={LABEL}") != ""


def start(docker, index, peers, expose=False, options=()):
    """Starts node `index`, which knows the nodes `peers`."""
    arguments = ["run", "--detach", "--name", name(index), "--hostname", name(index)]
    arguments += ["--label", LABEL, "--network", NETWORK, "--ip", address(index)]
    arguments += ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    # A check of each of a hundred containers would be what this machine does most.
    arguments += ["--no-healthcheck"]
    arguments += ["--env", f"VOIDDHT_HOST_ADDRESS={address(index)}"]
    known = [f"{address(peer)}:{P2P_PORT}" for peer in peers if peer != index]
    if known:
        arguments += ["--env", "VOIDDHT_PEER=" + ",".join(known)]
    if expose:
        host, port = exposed(index)
        arguments += ["--publish", f"{host}:{port}:{API_PORT}"]
    docker.run(*arguments, IMAGE, *options)


def start_all(docker, indices, peers, expose=(), options=()):
    """Starts nodes; those that others know first."""
    first = [index for index in indices if index in peers]
    rest = [index for index in indices if index not in peers]
    for index in first:
        start(docker, index, peers, index in expose, options)
    docker.each(lambda index: start(docker, index, peers, index in expose, options), rest)


def ours(docker, running_only=True):
    """The indices of the nodes that there are."""
    everything = [] if running_only else ["--all"]
    listed = docker.run("ps", *everything, "--filter", f"label={LABEL}", "--format", "{{.Names}}")
    found = (re.fullmatch(PREFIX + r"(\d+)", line) for line in listed.split())
    return sorted(int(match[1]) for match in found if match)


def pids(docker, indices):
    """The process of each node, by its index."""
    listed = docker.run("inspect", "--format", "{{.State.Pid}}", *map(name, indices))
    return dict(zip(indices, map(int, listed.split())))


def wait_until_joined(docker, indices, patience):
    """Waits until each node has written that it joined; the seconds that each took from its start
    until then."""
    took = {}
    deadline = time.monotonic() + patience
    while missing := [index for index in indices if index not in took]:
        for index, seconds in zip(missing, docker.each(lambda i: _joined(docker, i), missing)):
            if seconds is not None:
                took[index] = seconds
        if time.monotonic() > deadline:
            raise Failed(f"after {patience} s, {len(missing)} nodes have not joined: {missing[:5]} …")
        # Asking is work for a machine that is busy with a hundred nodes.
        time.sleep(1 if missing else 0)
    return took


def _joined(docker, index):
    """By the clock of the container's own log, so that asking late makes no node slow."""
    log = ["docker", "logs", "--timestamps", name(index)]
    lines = subprocess.run(log, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    for line in lines.splitlines():
        if "joined the network" in line:
            started = docker.run("inspect", "--format", "{{.State.StartedAt}}", name(index))
            return _moment(line.split()[0]) - _moment(started.strip())
    return None


def _moment(text):
    # Docker writes nanoseconds, of which Python reads six digits.
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", text)).timestamp()


def memory(docker, indices):
    """Bytes of memory of each node that is running, as Docker counts them."""
    units = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    listed = docker.run("stats", "--no-stream", "--format", "{{json .}}", *map(name, indices))
    used = []
    for line in listed.splitlines():
        number, unit = re.match(r"([\d.]+)([KMG]?i?B)", json.loads(line)["MemUsage"]).groups()
        used.append(float(number) * units[unit])
    return used


def kill(docker, indices):
    """At once, without a goodbye. Docker would take them one after the other, and the network
    would mend itself meanwhile: as root, the processes are killed themselves."""
    if docker.print_only or os.geteuid() != 0:
        docker.run("kill", *map(name, indices))
        return
    for pid in pids(docker, indices).values():
        os.kill(pid, signal.SIGKILL)


def stop(docker, indices):
    """In good order: the nodes hand over what they hold."""
    docker.run("stop", "--time", "20", *map(name, indices))


def clean(docker):
    """Removes what carries the label, with its volumes."""
    if docker.print_only:
        print(f"docker rm --force --volumes $(docker ps --all --quiet --filter label={LABEL})")
        print(f"docker network rm {NETWORK}")
        return
    deadline = time.monotonic() + CLEANING
    while indices := ours(docker, running_only=False):
        is_late = time.monotonic() > deadline
        for begin in range(0, len(indices), 20):
            some = map(name, indices[begin : begin + 20])
            docker.run("rm", "--force", "--volumes", *some, check=is_late)
    if _has_network(docker):
        docker.run("network", "rm", NETWORK, check=False)
    if _has_network(docker):
        # Docker miscounts the ends of a network when many containers end at once, and then keeps
        # it until it is itself started anew (moby/moby#42119).
        say(f"Docker does not let go of {NETWORK} yet; the next run takes it again")


def say(text):
    """For the person who waits."""
    print(text, file=sys.stderr, flush=True)
