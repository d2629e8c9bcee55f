"""Folds that are missing, handed to several processes of this machine or to a Ray cluster."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.stopping import STOP
from pipeline.training.parallel.scheduler import Missing, Scheduler, errands_of
from pipeline.training.parallel.workers import Workers, check_gpus, visible_gpus

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from pipeline.training.parallel.ray_cluster import RayCluster

PASSED_ON = ("PYTHONPATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")
"""Variables of this machine that folds on other nodes get too, where they are set."""
Say = Callable[[str], None]


def side_by_side(
    args: "Namespace", arguments: Sequence[str], missing: Sequence[Missing], say: Say
) -> None:
    """Let --workers processes of this machine train what is missing; they print what they finish.

    See `Workers.work` for what it raises; UsageError where there are too few GPUs for the workers.
    """
    gpus = visible_gpus(os.environ) if any(each.on_gpu for each in missing) else []
    check_gpus(args.workers, gpus, args.workers_per_gpu)
    leases = {
        f"{part.name} of {each.run}": workspace.lease
        for each in missing
        for part, workspace in each.workspaces.items()
    }
    if leases:
        Workers(args.workers, arguments, leases, STOP, say, gpus).work()


def on_cluster(
    args: "Namespace", arguments: Sequence[str], missing: Sequence[Missing], say: Say
) -> None:
    """Let the Ray cluster at --cluster train what is missing; tell what happens there.

    See `Scheduler.work` for what it raises, `connect` and `check_nodes` for what is refused before.
    """
    from pipeline.training.parallel.ray_cluster import connect

    tasks = [task for each in missing for task in errands_of(each, arguments)]
    if not tasks:
        return
    ray = connect(args.cluster)
    try:
        with STOP.listening():  # Ray takes the signals for itself when it connects
            cluster = _cluster(ray, args, any(each.on_gpu for each in missing), len(tasks), say)
            Scheduler(cluster, tasks, STOP, say).work()
    finally:
        ray.shutdown()


def _cluster(ray: Any, args: "Namespace", on_gpu: bool, folds: int, say: Say) -> "RayCluster":
    """The cluster behind *ray*, its nodes asked whether they can train here, and told about."""
    from pipeline.training.parallel.ray_cluster import RayCluster, check_nodes, resources_for

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
    say(f"cluster {args.cluster}: {folds} folds for {counted}, each with {resources}")
    return RayCluster(ray, args.cluster, resources, folder, environment)
