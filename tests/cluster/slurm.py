"""A real SLURM with two nodes on this machine, on the loopback device and free ports."""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
PACKAGES = "slurmctld slurmd slurm-client munge"
SECONDS = 60  # for a daemon to answer; it takes a fraction of that
FREEZER = Path("/sys/fs/cgroup/freezer")
# Nodes with more than this machine has, so that no job of the demo is refused. Jobs that have ended
# stay to be asked about. A job whose node failed waits for the credentials of its first start.
SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
ProctrackType=proctrack/{tracking}
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
MinJobAge=86400
SchedulerParameters=batch_sched_delay=0,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
GresTypes=gpu
NodeName=DEFAULT CPUs=8 RealMemory=200000 Gres=gpu:2
NodeName={nodes[0]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[0]}
NodeName={nodes[1]} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
PartitionName=main Nodes={nodes[0]},{nodes[1]} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """One cluster: its daemons are children of this process and end with it.

    folder: of its own, with a short path, since a socket lies in it. nodes: named by their ports,
    which no other cluster of this machine has.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        controller, *ports = free_ports(3)
        self.nodes = [f"node{port}" for port in ports]
        # What most clusters use: SLURM then signals the first process of a step alone.
        tracking = "cgroup" if os.access(FREEZER, os.W_OK) else "linuxproc"
        self.settings = SETTINGS.format(
            host=socket.gethostname().split(".")[0],
            controller=controller,
            user=getpass.getuser(),
            folder=folder,
            tracking=tracking,
            nodes=self.nodes,
            ports=ports,
        )

    @staticmethod
    def path() -> str:
        """Where commands are, the daemons too if the user is not root."""
        return f"{os.environ['PATH']}:/usr/sbin"

    def environment(self) -> dict[str, str]:
        """What the commands of SLURM need to find this cluster."""
        path = f"{self.folder}/bin:{self.path()}"
        return os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Start all daemons; returns when both nodes take jobs."""
        for name in ("state", "bin", *self.nodes):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(self.settings)
        for number in range(2):  # what a GPU's device file would be
            (self.folder / f"gpu{number}").touch()
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-1]\n")
        (self.folder / "cgroup.conf").write_text(
            f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={FREEZER.parent}\n"
        )
        # Snakemake's plugin drops SLURM_CONF from the environment of the srun within a job.
        srun = self.folder / "bin" / "srun"
        settings = self.folder / "slurm.conf"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={settings} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = [
            f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "pid", "log", "seed")
        ]
        gate = self.folder / "munge.socket"
        self.launch("munged", "munged", "--foreground", "--force", f"--socket={gate}", *files)
        self.wait(gate.exists, "munged")
        self.launch("slurmctld", "slurmctld", "-D", "-c")
        for node in self.nodes:
            self.launch(node, "slurmd", "-D", "-N", node)
        self.wait(lambda: self.ask("sinfo", "-h", "-o", "%D %t") == "2 idle\n", "two idle nodes")

    def launch(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground; the kernel ends it if this process is killed."""
        with (self.folder / f"{name}.out").open("w") as said:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdout=said,
                stderr=said,
                env=self.environment() | {"CHEXVIZ_TEST_NODE": name},
                start_new_session=True,
            )

    def wait(self, ready, what: str) -> None:
        """Wait until ready() is true; what a daemon said is told if it never is."""
        end = time.monotonic() + SECONDS
        while not ready():
            if time.monotonic() > end:
                said = "\n".join(path.read_text()[-1500:] for path in self.folder.glob("*.out"))
                raise TimeoutError(f"no {what} after {SECONDS} s\n{said}")
            time.sleep(0.1)

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints; nothing if it fails."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment())
        return done.stdout

    def order(self, *command: str) -> None:
        """Run a command of SLURM, which must succeed."""
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment())
        assert done.returncode == 0, done.stderr

    def jobs(self) -> list[dict[str, str]]:
        """All jobs since the start, as `scontrol show job` describes them, by number."""
        lines = self.ask("scontrol", "--oneliner", "show", "jobs").splitlines()
        found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in lines if "JobId=" in line]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def cut_power(self, node: str) -> None:
        """Kill all that runs on a node, without a warning, and tell the controller."""
        self.kill(node)
        self.order("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def kill(self, node: str) -> None:
        """Kill a node's daemon, then its steps', which could report it, then all that they run."""
        self.daemons[node].kill()
        self.daemons[node].wait()
        quiet = 0
        while quiet < 10:  # a process that is just being started has no environment yet
            found = processes(f"CHEXVIZ_TEST_NODE={node}") or processes(f"SLURMD_NODENAME={node}")
            for process in found:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            quiet = 0 if found else quiet + 1
            time.sleep(0.05)

    def stop(self) -> None:
        """End all jobs and all daemons."""
        for node in self.nodes:
            if node in self.daemons:
                self.kill(node)
        for daemon in self.daemons.values():
            daemon.terminate()
            daemon.wait()
        for node in self.nodes:
            for group in sorted(FREEZER.glob(f"slurm_{node}/**"), reverse=True):
                with suppress(OSError):  # of the kernel's own files in it, which go with it
                    group.rmdir()


def processes(variable: str) -> list[int]:
    """The processes that have 'NAME=value' in their environment.

    Read as bytes: the title that a step's daemon gives itself covers the first ones.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
