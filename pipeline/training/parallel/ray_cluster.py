"""A Ray cluster that exists already: folds go there as tasks, small manifests come back.

Ray only finds room and says what became of a task. Which fold is trained, from where it goes on and
what counts as finished is decided by files on shared storage, so a task may be lost or run twice.
Ray itself is imported here alone, and only when a cluster is asked for.
"""

import logging
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline import __version__
from pipeline.base import UsageError, raise_if
from pipeline.base.command import STOP
from pipeline.base.errors import BusyError, ResourceError
from pipeline.base.files import commit_text, new_name
from pipeline.training.parallel import ray_worker as onnode
from pipeline.training.parallel.scheduler import Ended, Scheduler, errands_of
from pipeline.training.parallel.workers import Missing

if TYPE_CHECKING:
    from jsonargparse import Namespace

# How much of a node of a cluster one fold takes, and whether the nodes can train at all.


ANSWER_SECONDS = 120.0
"""For every node to answer a first question; starting Python there takes a few."""
Node = Mapping[str, Any]
"""As `ray.nodes()` describes it."""


class NodeResources(NamedTuple):
    """What one fold takes of a node."""

    cpus: float
    gpus: float

    def __str__(self) -> str:
        """For people."""
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} CPU{gpus}"

    def fits(self, node: Node) -> bool:
        """Whether *node* lives and is large enough."""
        found = node["Resources"]
        enough = found.get("CPU", 0) >= self.cpus and found.get("GPU", 0) >= self.gpus
        return bool(node["Alive"] and enough)


def resources_for(
    nodes: Sequence[Node], cpus: float | None, gpus: float | None, models_use_gpus: bool
) -> NodeResources:
    """The room asked for, or else: a whole GPU where there are any and a model uses them, and an
    equal share of the smallest node's cores for each fold that finds a GPU there.

    UsageError where no node is large enough. Every fold gets the same, because on a CPU the number
    of threads is in the last digits of the predictions.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    if gpus is None:
        gpus = 1.0 if models_use_gpus and any(found.get("GPU", 0) >= 1 for found in alive) else 0.0
    if cpus is None:
        able = [f for f in alive if f.get("CPU", 0) >= 1 and f.get("GPU", 0) >= gpus]
        at_once = [max(1, int(f.get("GPU", 0) / gpus)) if gpus else 1 for f in able]
        shares = [int(f["CPU"] // count) for f, count in zip(able, at_once, strict=True)]
        cpus = max(1.0, float(min(shares, default=1)))
    resources = NodeResources(cpus, gpus)
    if not any(resources.fits(node) for node in nodes):
        found_all = "; ".join(
            f"{node['NodeManagerHostname']}: {node['Resources'].get('CPU', 0):g} CPU, "
            f"{node['Resources'].get('GPU', 0):g} GPU"
            for node in nodes
            if node["Alive"]
        )
        raise UsageError(
            f"a fold is to get {resources}, and no node of the cluster has so much ({found_all}). "
            "Ask for less with --cluster-cpus and --cluster-gpus, or add nodes."
        )
    return resources


def check_nodes(
    ray: Any, nodes: Sequence[Node], root: Path, folder: str, environment: dict[str, str]
) -> list[str]:
    """Ask every node whether it sees the files below *root* and runs the same Foldstack.

    Returns the nodes' names. UsageError naming each node that does not: folds could not be kept.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.cloudpickle.register_pickle_by_value(onnode)
    question, content = root.absolute() / new_name(), secrets.token_hex(16)
    commit_text(question, content)
    try:
        asked = {
            ray.remote(onnode.look)
            .options(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote(folder, str(question), content, environment): node
            for node in nodes
        }
        done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
        problems = []
        for handle, node in asked.items():
            name = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            if problem := _problem(ray, handle, handle in done):
                problems.append(f"{name} {problem}")
    finally:
        question.unlink(missing_ok=True)
    raise_if(
        problems,
        UsageError,
        f"{root.absolute()} must be one shared folder, under the same path, for every node, and "
        f"Foldstack {__version__} must be installed there",
    )
    return [str(node["NodeManagerHostname"]) for node in nodes]


def _problem(ray: Any, handle: Any, answered: bool) -> str:
    """What is wrong with the node that was asked; empty for nothing."""
    if not answered:
        return f"did not answer within {ANSWER_SECONDS:.0f} s"
    try:
        found = ray.get(handle)
    except ray.exceptions.RayError as error:
        return f"cannot run a task: {str(error).strip().splitlines()[-1]}"
    if "problem" in found:
        return str(found["problem"])
    if found["version"] != __version__:
        return f"runs Foldstack {found['version']}"
    return ""


REACH_SECONDS = 10.0
"""For the head of the cluster to answer, before it counts as not there."""
LOOK_SECONDS = 5.0
"""Between two looks whether the head and the nodes are still there."""
HEAD_LOST = 3
"""Looks in a row that find no head: then the driver ends by itself, before Ray ends it."""
NO_NODE_SECONDS = 120.0
"""Without any node that has room for a fold."""
RESULT_SECONDS = 60.0


def connect(address: str) -> Any:
    """The module `ray`, connected to the cluster at *address*.

    UsageError where Ray is not installed here or is of another release than the cluster's;
    BusyError, soon, where no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--cluster needs Ray ({error}). Install it here and on every machine of the cluster: "
            'pip install -e ".[ray]" -c constraints.txt'
        ) from None
    asked = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if (place := endpoint(asked)) and not answers(place, REACH_SECONDS):
        raise _unreachable(address, f"nothing answers at {place[0]} port {place[1]}")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except RuntimeError as error:  # other releases of Ray or Python
        raise UsageError(f"--cluster {address}: {error}") from None
    except (Exception, SystemExit) as error:
        raise _unreachable(address, str(error).strip() or type(error).__name__) from None
    return ray


def _unreachable(address: str, why: str) -> BusyError:
    return BusyError(
        f"no Ray cluster at {address}: {why.rstrip('.')}. Start one (on the head: "
        "ray start --head; on every other machine: ray start --address=HEAD:6379), or name another "
        "--cluster; the same command works then. `ray status` shows what is there."
    )


def endpoint(address: str) -> tuple[str, int] | None:
    """Host and port of *address*; None where it names none, such as "auto".

    >>> endpoint("ray://head:10001"), endpoint("10.0.0.1:6379"), endpoint("auto")
    (('head', 10001), ('10.0.0.1', 6379), None)
    """
    found = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+)\]?:(\d+)", address)
    return None if found is None else (found[1], int(found[2]))


def answers(place: tuple[str, int], seconds: float) -> bool:
    """Whether something listens at *place*, tried again for so many seconds."""
    until = time.monotonic() + seconds
    while True:
        left = max(0.5, until - time.monotonic())
        try:
            socket.create_connection(place, timeout=left).close()
            return True
        except OSError:
            if time.monotonic() + 1 > until:
                return False
            time.sleep(1)


class RayCluster:
    """See `pipeline.training.parallel.scheduler.Cluster`."""

    def __init__(
        self,
        ray: Any,
        address: str,
        resources: NodeResources,
        folder: str,
        environment: dict[str, str],
    ) -> None:
        """Folds run in *folder*, each with its *resources*, *environment* beside the node's own."""
        self.ray, self.address, self.resources = ray, address, resources
        self.folder, self.environment = folder, environment
        # through Ray Client the inner address of the head may be out of reach
        self.head = endpoint(address) or endpoint(ray.get_runtime_context().gcs_address)
        self.looked = self.last_room = time.monotonic()
        self.unanswered = 0
        ray.cloudpickle.register_pickle_by_value(onnode)
        self.task = ray.remote(onnode.train).options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=0,
            scheduling_strategy="SPREAD",
        )

    def at_once(self) -> int:
        """How many folds its nodes have room for side by side, at least 1."""
        living = [node["Resources"] for node in self.ray.nodes() if self.resources.fits(node)]
        by_cpu = [int(found["CPU"] / self.resources.cpus) for found in living]
        if not self.resources.gpus:
            return max(1, sum(by_cpu))
        by_gpu = [int(found["GPU"] / self.resources.gpus) for found in living]
        return max(1, sum(map(min, by_cpu, by_gpu)))

    def submit(self, argv: Sequence[str]) -> Any:
        """Start a fold where there is room; Ray lets it wait until there is."""
        return self.task.remote(list(argv), self.folder, self.environment)

    def ended(self, handles: Sequence[Any], seconds: float) -> list[Any]:
        """Those that ended; BusyError where the head, or every node with room, is gone."""
        self._check()
        if not handles:
            time.sleep(seconds)
            return []
        try:
            return list(self.ray.wait(list(handles), timeout=seconds)[0])
        except (self.ray.exceptions.RayError, ConnectionError) as error:
            raise self._gone(str(error)) from None

    def cancel(self, handle: Any) -> None:
        """Interrupt the task; it asks its fold to save and end."""
        self.ray.cancel(handle, force=False)

    def result(self, handle: Any) -> Ended:
        """How the task ended; nothing of a fold but a few lines for people is in it."""
        errors = self.ray.exceptions
        try:
            found = self.ray.get(handle, timeout=RESULT_SECONDS)
        except errors.RayTaskError as error:  # it could not even start the process
            return Ended(ResourceError.exit_code, words=str(error.cause))
        except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
            return Ended(-signal.SIGKILL, words=f"was killed ({_first_line(error)})")
        except errors.RayError as error:
            return Ended(None, words=_first_line(error))
        words, code, node = found["words"], found["code"], found["node"]
        if code < 0:
            words = f"was killed by {signal.Signals(-code).name} on {node}"
        elif code in (130, 143):
            words = f"was stopped on {node}"
        return Ended(code, node, found["said"], words)

    def _check(self) -> None:
        """Now and then: does the head answer, and is there a node that could train a fold."""
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        if self.head and not answers(self.head, 0.0):
            self.unanswered += 1
            if self.unanswered >= HEAD_LOST:
                raise self._gone(f"its head does not answer any more at {self.head[0]}")
            return
        self.unanswered = 0
        if any(self.resources.fits(node) for node in self.ray.nodes()):
            self.last_room = now
        elif now - self.last_room > NO_NODE_SECONDS:
            raise self._gone(f"no node is left with {self.resources}")

    def _gone(self, why: str) -> BusyError:
        return BusyError(
            f"the Ray cluster at {self.address} is lost: {why}. What is finished or saved is kept; "
            "when the cluster is back, the same command goes on."
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0]


# The folds that are missing, handed to it.


PASSED_ON = ("PYTHONPATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
"""Variables of this machine that folds on other nodes get too, where they are set."""


def on_cluster(
    args: "Namespace",
    arguments: Sequence[str],
    missing: Sequence[Missing],
    say: Callable[[str], None],
) -> None:
    """Let the Ray cluster at --cluster train what is missing; tell what happens there.

    See `Scheduler.work` for what it raises, `connect` and `check_nodes` for what is refused before.
    """
    tasks = [task for each in missing for task in errands_of(each, arguments)]
    if not tasks:
        return
    ray = connect(args.cluster)
    try:
        with STOP.listening():  # Ray takes the signals for itself when it connects
            cluster = cluster_of(ray, args, any(each.on_gpu for each in missing), len(tasks), say)
            Scheduler(cluster, tasks, STOP, say).work()
    finally:
        ray.shutdown()


def cluster_of(
    ray: Any, args: "Namespace", on_gpu: bool, folds: int | None, say: Callable[[str], None]
) -> RayCluster:
    """The cluster behind *ray*, its nodes asked whether they can train here, and told about;
    *folds*: how many are to be trained, None where that is not known yet."""
    nodes = ray.nodes()
    resources = resources_for(nodes, args.cluster_cpus, args.cluster_gpus, on_gpu)
    able = [node for node in nodes if resources.fits(node)]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # so that the bytes do not depend on which node it is
    environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
        max(1, int(resources.cpus))
    )
    folder = str(Path.cwd())
    names = sorted(set(check_nodes(ray, able, Path(args.root), folder, environment)))
    counted = f"{len(able)} {'node' if len(able) == 1 else 'nodes'} ({', '.join(names)})"
    many = "folds" if folds is None else f"{folds} folds"
    say(f"cluster {args.cluster}: {many} for {counted}, each with {resources}")
    return RayCluster(ray, args.cluster, resources, folder, environment)
