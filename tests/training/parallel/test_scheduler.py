"""How often, and when, a fold is sent to a cluster again. The cluster is a stand-in."""

import sys

import pytest

from pipeline.base.command import Stop, Stopped, by_signal
from pipeline.base.errors import BusyError, PipelineError, UsageError
from pipeline.training.parallel import ray_cluster as cluster
from pipeline.training.parallel import ray_worker as onnode
from pipeline.training.parallel import scheduler
from pipeline.training.parallel.ray_cluster import NodeResources, check_nodes, resources_for
from pipeline.training.parallel.scheduler import Ended, FoldTask, Scheduler
from pipeline.training.parallel.workers import WorkerError, of_fold, of_worker


class Clock:
    """Time that passes when somebody waits."""

    now = 0.0

    def __call__(self):
        return self.now


class Script:
    """A cluster on which each fold ends as is written for it, the last for ever."""

    def __init__(self, clock, **ends):
        self.clock, self.ends = clock, {name: list(each) for name, each in ends.items()}
        self.sent, self.cancelled = [], []

    def submit(self, argv):
        self.sent.append((argv[0], self.clock.now))
        return len(self.sent) - 1

    def ended(self, handles, seconds):
        self.clock.now += seconds
        return [h for h in handles if self.ends[self.sent[h][0]] or h in self.cancelled]

    def result(self, handle):
        ends = self.ends[self.sent[handle][0]]
        return ends.pop(0) if len(ends) > 1 else ends[0]

    def cancel(self, handle):
        self.cancelled.append(handle)


DONE = Ended(0, "node-a", "  seed-1/fold-0  pearson 0.9\n")
GONE = Ended(None, words="the node is dead")
KILLED = Ended(-9, "node-a", words="was killed by SIGKILL on node-a")
HELD = Ended(75, "node-a", words="error: it is being written by process 7 on elsewhere")


def tasks(tmp_path, *names):
    there = tmp_path / "fold.json"
    there.touch()
    return [FoldTask(run="r", name=name, argv=[name], manifests=[there]) for name in names]


@pytest.fixture
def play(tmp_path):
    """Run a scheduler over a script; the script, what was said, and what was raised."""

    def played(stop=None, **ends):
        said, clock = [], Clock()
        script = Script(clock, **ends)
        made = Scheduler(script, tasks(tmp_path, *ends), stop or Stop(clock), said.append, clock)
        try:
            made.work()
        except (PipelineError, Stopped) as error:
            return script, said, error
        return script, said, None

    return played


def test_folds_that_end_well_are_sent_once_and_their_lines_are_told(play):
    script, said, error = play(a=[DONE], b=[DONE])
    assert error is None
    assert [name for name, _ in script.sent] == ["a", "b"]
    assert said == ["  r seed-1/fold-0  pearson 0.9  on node-a"] * 2


def test_a_fold_whose_machine_goes_away_is_sent_again_at_most_nine_times(play):
    script, said, error = play(a=[GONE, GONE, DONE])
    assert error is None
    assert [name for name, _ in script.sent] == ["a"] * 3
    assert said[:2] == [f"a: the node is dead; it is sent again ({n} of 9)" for n in (1, 2)]
    script, said, error = play(a=[GONE], b=[DONE])
    assert isinstance(error, WorkerError)
    assert error.exit_code == 4
    assert [name for name, _ in script.sent].count("a") == scheduler.LOSSES
    assert "10 times" in str(error)


def test_a_fold_that_is_killed_has_three_lives(play):
    script, said, error = play(a=[KILLED], b=[DONE])
    assert isinstance(error, WorkerError)
    assert error.exit_code == 4
    assert [name for name, _ in script.sent].count("a") == 3
    assert "a was killed by SIGKILL on node-a; that was the last attempt" in said


def test_a_fold_stopped_by_its_own_machine_is_sent_again(play):
    script, _, error = play(a=[Ended(143, "node-a", words="was stopped on node-a"), DONE])
    assert error is None
    assert len(script.sent) == 2


def test_a_fold_that_fails_is_told_with_its_words_and_the_others_go_on(play):
    script, said, error = play(a=[Ended(6, "node-a", words="error: loss is NaN")], b=[DONE])
    assert isinstance(error, WorkerError)
    assert error.exit_code == 6
    assert [name for name, _ in script.sent] == ["a", "b"]
    assert "a on node-a ended with status 6:\nerror: loss is NaN" in said


def test_a_claim_of_the_dead_is_waited_for_and_one_of_the_living_not_for_ever(play):
    script, _, error = play(a=[HELD, HELD, DONE])
    assert error is None
    first, second, third = (moment for _, moment in script.sent)
    assert second - first >= scheduler.AGAIN_SECONDS
    assert third - second >= scheduler.AGAIN_SECONDS
    script, said, error = play(a=[HELD], b=[DONE])
    assert isinstance(error, BusyError)
    assert str(error) == "it is being written by process 7 on elsewhere"
    last = [moment for name, moment in script.sent if name == "a"][-1]
    assert scheduler.BUSY_SECONDS < last < scheduler.BUSY_SECONDS + 2 * scheduler.AGAIN_SECONDS
    assert len([line for line in said if "held by another" in line]) == 1


def test_who_is_asked_to_end_asks_every_fold_and_waits_for_them(play):
    class Later(Stop):
        def due(self, reserve=0.0):
            return by_signal(15) if self.clock() > 3 else None

    clock = Clock()
    script = Script(clock, a=[], b=[])
    pair = [FoldTask(run="r", name=name, argv=[name], manifests=[]) for name in ("a", "b")]
    with pytest.raises(Stopped, match="SIGTERM"):
        Scheduler(script, pair, Later(clock), print, clock).work()
    assert script.cancelled == [0, 1]
    assert clock.now < scheduler.PATIENCE_SECONDS


def test_a_time_limit_leaves_time_to_save():
    clock = Clock()
    stop = Stop(clock)
    stop.set_limit("1h")
    script = Script(clock, a=[])
    made = Scheduler(
        script, [FoldTask(run="r", name="a", argv=["a"], manifests=[])], stop, print, clock
    )
    with pytest.raises(Stopped, match="the time limit of 1h"):
        made.work()
    assert script.cancelled == [0]
    assert 3600 - scheduler.RESERVE_SECONDS <= clock.now < 3600


def test_a_finished_fold_that_is_not_to_be_seen_here_is_no_success(tmp_path, monkeypatch):
    clock, said = Clock(), []
    monkeypatch.setattr(
        scheduler.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + 1)
    )
    task = FoldTask(run="r", name="a", argv=["a"], manifests=[tmp_path / "fold-0.json"])
    with pytest.raises(BusyError, match=r"node-a says that a is finished, but .*fold-0\.json"):
        Scheduler(Script(clock, a=[DONE]), [task], Stop(clock), said.append, clock).work()
    assert clock.now > scheduler.VISIBLE_SECONDS


def test_what_a_fold_gets_of_the_command_line():
    argv = ["--model", "a", "--model=b", "--cluster", "auto", "--seed", "1", "2", "--json"]
    argv += ["--cluster-gpus=1", "--time-limit", "9h", "--on-nan", "rollback"]
    assert of_worker(argv) == [*argv[:3], "--seed", "1", "2", "--on-nan", "rollback"]
    tail = ["--model", "b", "--seed", "2", "--only-fold", "3", "--worker", "1"]
    assert of_fold(argv, "b", 2, 3) == ["--seed", "1", "2", "--on-nan", "rollback", *tail]


def node(cpus, gpus=0, alive=True):
    return {
        "Alive": alive,
        "Resources": {"CPU": cpus, "GPU": gpus},
        "NodeManagerHostname": f"box-{cpus}",
        "NodeManagerAddress": "10.0.0.1",
        "NodeID": "ab" * 28,
    }


@pytest.mark.parametrize(
    ("nodes", "asked", "on_gpu", "expected"),
    [
        ([node(8), node(4)], (None, None), True, NodeResources(4, 0)),
        ([node(0), node(8)], (None, None), True, NodeResources(8, 0)),
        ([node(64, 8), node(16, 1), node(4)], (None, None), True, NodeResources(8, 1)),
        ([node(64, 8)], (None, None), False, NodeResources(64, 0)),
        ([node(64, 8)], (2, 0.5), True, NodeResources(2, 0.5)),
        ([node(8, 2)], (None, 0.5), True, NodeResources(2, 0.5)),
        ([node(2), node(64, alive=False)], (None, None), True, NodeResources(2, 0)),
    ],
)
def test_every_fold_gets_the_same_room(nodes, asked, on_gpu, expected):
    assert resources_for(nodes, *asked, on_gpu) == expected


def test_more_than_any_node_has_is_refused_with_what_they_have():
    with pytest.raises(UsageError, match=r"9 CPU and 1 GPU, and no node .*box-8: 8 CPU, 0 GPU"):
        resources_for([node(8), node(99, 8, alive=False)], 9, 1, True)


def test_a_cluster_without_ray_installed_is_a_mistake_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'pip install -e "\.\[ray\]" -c constraints\.txt'):
        cluster.connect("auto")


def test_no_cluster_at_the_address_is_busy_and_soon(monkeypatch):
    pytest.importorskip("ray", reason="ray is not installed", exc_type=ImportError)
    monkeypatch.setattr(cluster, "REACH_SECONDS", 0.0)
    with pytest.raises(
        BusyError, match=r"nothing answers at 127\.0\.0\.1 port 9.*ray start --head"
    ):
        cluster.connect("127.0.0.1:9")
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:9")
    with pytest.raises(BusyError, match=r"no Ray cluster at auto: nothing answers"):
        cluster.connect("auto")


def test_a_look_at_a_node_says_what_it_lacks(tmp_path):
    token = tmp_path / "token"
    assert onnode.look(".", str(token), "1", {})["problem"].startswith(f"cannot read {token}")
    token.write_text("2")
    assert "reads other things" in onnode.look(".", str(token), "1", {})["problem"]
    away = onnode.look(str(tmp_path / "away"), str(token), "2", {})["problem"]
    assert away.startswith(f"cannot start {sys.executable} in {tmp_path / 'away'}")
    elsewhere = onnode.look(str(tmp_path), str(token), "2", {"PYTHONPATH": str(tmp_path)})
    (tmp_path / "pipeline.py").write_text("raise ImportError('no such thing')")
    broken = onnode.look(str(tmp_path), str(token), "2", {})
    assert "version" in elsewhere
    assert "ImportError: no such thing" in broken["problem"]


def test_nodes_that_cannot_train_are_named(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed", exc_type=ImportError)
    found = [{"node": "a", "version": "0.0.0"}, {"node": "b", "problem": "cannot read x"}]
    monkeypatch.setattr(ray, "remote", lambda function: Remote(found))
    monkeypatch.setattr(ray, "wait", lambda refs, **_: (refs, []))
    monkeypatch.setattr(ray, "get", lambda ref: ref.value)
    with pytest.raises(UsageError) as caught:
        check_nodes(ray, [node(1), node(2)], tmp_path, ".", {})
    told = str(caught.value)
    assert "node box-1 (10.0.0.1) runs Foldstack 0.0.0" in told
    assert "node box-2 (10.0.0.1) cannot read x" in told
    assert "must be one shared folder, under the same path" in told
    assert list(tmp_path.iterdir()) == []


class Remote:
    """A task whose answers are written down."""

    def __init__(self, answers):
        self.answers = answers

    def options(self, **_):
        return self

    def remote(self, *_):
        return Answer(self.answers.pop(0))


class Answer:
    def __init__(self, value):
        self.value = value


def test_a_fold_that_still_saves_when_its_task_counts_as_over_is_waited_for(tmp_path):
    """Ray may say that a cancelled task is over at once; what the fold says last is told."""
    said, clock, lease = [], Clock(), tmp_path / "fold.lease"
    lease.touch()

    class Saving(Script):
        def ended(self, handles, seconds):
            over = super().ended(handles, seconds)
            if clock.now > 5:
                lease.unlink(missing_ok=True)
            return over

    task = tasks(tmp_path, "a")[0]
    task.leases, task.news = [lease], lambda: [] if lease.exists() else ["saved after step 3"]
    stop = Stop(clock)
    stop.deadline = 1.0
    with pytest.raises(Stopped):
        Scheduler(Saving(clock, a=[]), [task], stop, said.append, clock).work()
    assert said == ["saved after step 3"]
    assert clock.now < 10


def test_a_lease_that_a_killed_fold_left_is_not_waited_for_long(tmp_path):
    clock, lease = Clock(), tmp_path / "fold.lease"
    lease.touch()
    task = tasks(tmp_path, "a")[0]
    task.leases, stop = [lease], Stop(clock)
    stop.deadline = 1.0
    with pytest.raises(Stopped):
        Scheduler(Script(clock, a=[]), [task], stop, list, clock).work()
    assert scheduler.SAVING_SECONDS <= clock.now < scheduler.SAVING_SECONDS + 10
