"""How much of a node of a cluster one fold takes, and whether the nodes can train at all."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import __version__
from pipeline.base.errors import UsageError, raise_if
from pipeline.base.files import commit_text
from pipeline.base.temporaries import new_name
from pipeline.training.parallel import ray_worker as onnode

LOOK_SECONDS = 120.0
"""For every node to answer a first question; starting Python there takes a few."""
Node = Mapping[str, Any]
"""As `ray.nodes()` describes it."""


class Room(NamedTuple):
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


def room_for(
    nodes: Sequence[Node], cpus: float | None, gpus: float | None, models_use_gpus: bool
) -> Room:
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
    room = Room(cpus, gpus)
    if not any(room.fits(node) for node in nodes):
        found_all = "; ".join(
            f"{node['NodeManagerHostname']}: {node['Resources'].get('CPU', 0):g} CPU, "
            f"{node['Resources'].get('GPU', 0):g} GPU"
            for node in nodes
            if node["Alive"]
        )
        raise UsageError(
            f"a fold is to get {room}, and no node of the cluster has so much ({found_all}). "
            "Ask for less with --cluster-cpus and --cluster-gpus, or add nodes."
        )
    return room


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
        done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=LOOK_SECONDS)
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
        return f"did not answer within {LOOK_SECONDS:.0f} s"
    try:
        found = ray.get(handle)
    except ray.exceptions.RayError as error:
        return f"cannot run a task: {str(error).strip().splitlines()[-1]}"
    if "problem" in found:
        return str(found["problem"])
    if found["version"] != __version__:
        return f"runs Foldstack {found['version']}"
    return ""
