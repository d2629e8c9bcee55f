"""The draft of a wrap-up report: what lies on the disk, filled in; judgements, left as questions.

It is made of the report's own blocks, so a number here is the number there. Sections are pages of
blocks; `Ask` holds what only people can answer. `pipeline.wrapup` writes them down.
"""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import PipelineError
from pipeline.report.drawn import blend, competition, errors, runs
from pipeline.report.drawn.disk import Disk
from pipeline.report.drawn.document import Block, Cards, Chart, Says, Table, num, said, text
from pipeline.report.drawn.words import Words
from pipeline.report.ensemble_answer import verdict_text
from pipeline.submissions.ledger import Entry, read_ledger
from pipeline.team.competition import list_runs

MOST_SUBJECTS = 12
MOST_COMMITS = 5000
SEPARATORS = ("\x01", "\x02")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Questions that no file can answer."""

    asks: Sequence[str]
    title: str = "To be answered by you"


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """One section of the draft."""

    title: str
    blocks: Sequence[Block | Ask]


# Who did what: commits of the repository that holds the root, the ledger, runs of team-mates.


@dataclass(kw_only=True)
class Member:
    """One person, as git, the ledger and the runs name them; names that differ are two people."""

    name: str
    commits: int = 0
    days: set[str] = field(default_factory=set)
    areas: Counter[str] = field(default_factory=Counter)
    """Top folder -> files changed in it, over all commits."""
    subjects: list[str] = field(default_factory=list)
    """First lines of the commits, newest first."""
    runs: list[str] = field(default_factory=list)
    sent: list[Entry] = field(default_factory=list)


def members_of(disk: Disk) -> list[Member]:
    """Everybody that git log, the ledger or a run names, the most active first."""
    found: dict[str, Member] = {}

    def who(name: str) -> Member:
        return found.setdefault(name.casefold().strip(), Member(name=name.strip()))

    for name, day, subject, files in commits(disk.root):
        member = who(name)
        member.commits += 1
        member.days.add(day)
        member.subjects.append(subject)
        member.areas.update(file.split("/")[0] if "/" in file else "." for file in files)
    for entry in read_ledger(disk.paths.submissions, disk.competition.name):
        if entry.by:
            who(entry.by).sent.append(entry)
    for line in _lines(disk):
        if line.given:
            who(line.by).runs.append(line.run)
    return sorted(found.values(), key=lambda each: (-each.commits, -len(each.sent), each.name))


def _lines(disk: Disk) -> list[Any]:
    try:
        return list_runs(disk.paths, disk.contest)
    except PipelineError:
        return []


def commits(root: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Author, day, first line and files of each commit, newest first; none where no git is."""
    form = f"--format={SEPARATORS[0]}%aN{SEPARATORS[1]}%ad{SEPARATORS[1]}%s"
    asked = ["log", "--no-merges", "--date=short", "--name-only", f"-n{MOST_COMMITS}", form]
    command = ["git", "-c", "core.quotePath=false", "-C", str(root), *asked]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode:
        return
    for piece in done.stdout.decode("utf-8", "replace").split(SEPARATORS[0])[1:]:
        head, *files = piece.splitlines()
        name, day, subject = head.split(SEPARATORS[1], 2)
        yield name, day, subject, [file for file in files if file]


# The chapters.


def chapters(disk: Disk, members: Sequence[Member]) -> list[Chapter]:
    """The draft from its overview to the team's view of itself."""
    made: list[tuple[str, Callable[[], Iterator[Block | Ask]]]] = [
        ("Project overview", lambda: _overview(disk)),
        ("Team and roles", lambda: _team(disk, members)),
        ("Procedure and methods", lambda: _procedure(disk, members)),
        ("Results", lambda: _results(disk)),
        ("Self-assessment", lambda: _assessment(disk)),
    ]
    return [Chapter(title=title, blocks=_known(make)) for title, make in made]


def _known(make: Callable[[], Iterator[Block | Ask]]) -> list[Block | Ask]:
    """What *make* gives; what several blocks lack is said once."""
    found: list[Block | Ask] = []
    for block in make():
        if block not in found or not isinstance(block, Says):
            found.append(block)
    return found


def _picked(blocks: Iterator[Block], *wanted: str | type) -> Iterator[Block]:
    """The blocks of a page of the report whose title begins, or which are, as *wanted*; where
    something is not there yet, a sentence that says so."""
    kinds = tuple(each for each in wanted if isinstance(each, type))
    heads = tuple(each for each in wanted if isinstance(each, str))
    try:
        for block in blocks:
            title = "" if isinstance(block, Cards) else block.title
            if isinstance(block, kinds) or (title and title.startswith(heads)):
                yield block
    except PipelineError as error:
        yield Says(warns=[str(error).splitlines()[0]])


def _overview(disk: Disk) -> Iterator[Block | Ask]:
    yield from _picked(competition.competition(disk), Cards, "Labels: ", "Lengths: ")
    yield Ask(
        asks=[
            "What is the task, in two sentences, for somebody who has not read the competition?",
            "Why does it matter, and to whom?",
            "What did the team want to learn from it?",
            "Which equipment and tools did you work with (GPUs, how you talked, how you planned)?",
        ]
    )


def _team(disk: Disk, members: Sequence[Member]) -> Iterator[Block | Ask]:
    if members:
        rows = [
            [
                text(member.name, longest=60),
                num(member.commits, ",.0f"),
                num(len(member.days), ",.0f"),
                text(_areas(member), longest=120),
                text(", ".join(member.runs) or "–", longest=120),
                num(len(member.sent), ",.0f"),
            ]
            for member in members
        ]
        header = ["name", "commits", "days", "folders", "runs given", "submissions sent"]
        says = [
            "from git log, the ledger and the runs of team-mates; a name is a name as it stands"
        ]
        yield Table(title="Who left what traces", header=header, rows=rows, says=says)
    else:
        yield Says(says=["neither git log nor the ledger names anybody here"])
    yield Ask(
        asks=[
            "Who took which role, and how was that agreed?",
            "What did people do that leaves no commit: reading, data, discussion, writing?",
        ]
    )


def _areas(member: Member) -> str:
    return ", ".join(f"{area} {count}" for area, count in member.areas.most_common(4)) or "–"


def _procedure(disk: Disk, members: Sequence[Member]) -> Iterator[Block | Ask]:
    yield from _picked(competition.folds(disk), Cards, Says)
    yield from _picked(runs.runs(disk), "Runs")
    days = sorted(entry.day for entry in read_ledger(disk.paths.submissions, disk.competition.name))
    seen = sorted(day for member in members for day in member.days)
    told = [("first commit", seen[:1]), ("last commit", seen[-1:])]
    told += [("first submission", days[:1]), ("last submission", days[-1:])]
    rows = [[text(day[0]), text(what, label=True)] for what, day in told if day]
    if rows:
        yield Table(
            title="Dates", header=["day", "what"], rows=sorted(rows, key=lambda r: r[0].text)
        )
    yield Ask(
        asks=[
            "How was the work cut into steps, and which step took longer than planned?",
            "What did you see in the data that decided what you tried?",
            "Why these models? What was tried that is not among the runs, and why was it dropped?",
            "How was the validation agreed, and did anybody doubt it on the way?",
        ]
    )


def _results(disk: Disk) -> Iterator[Block | Ask]:
    yield from _picked(runs.runs(disk), "Scores of the folds", "Loss in training")
    wanted = ("Weights of", "What each run is worth", "Methods: ", "Correlation of errors")
    yield from _picked(blend.ensemble(disk), Cards, *wanted)
    for block in _picked(errors.errors(disk), "Label against", "Confusion", "Mean error by slice"):
        # what is said of the points is of no use on paper: they lead nowhere there
        if isinstance(block, Chart) and block.title.startswith("Label"):
            yield replace(block, says=[])
        else:
            yield block
    yield from _picked(runs.cost(disk), "What each run costs")
    yield from _picked(blend.leaderboard(disk, True), "The public", "The private", "What was sent")
    yield Ask(
        asks=[
            "Which of these numbers surprised you, and what explains it?",
            "Which step brought the most, and how do you know that it was not luck?",
            "What do the worst rows of the report have in common?",
            "Where do the leaderboard and the expected range differ, and why?",
        ]
    )


def _gained(disk: Disk) -> Iterator[Block]:
    disk.need_runs()
    outcome = disk.made.outcome
    gain = outcome.over_single
    yield Says(
        says=[
            f"gain over the best run {gain.difference:+.5f} "
            f"(95 %: {gain.low:+.5f} to {gain.high:+.5f})",
            f"gain: {verdict_text(outcome)}",
        ],
        warns=[f"{run}: {doubt.says}" for run, doubt in outcome.doubts],
    )


def _assessment(disk: Disk) -> Iterator[Block | Ask]:
    yield from _picked(_gained(disk), Says)
    yield Ask(
        asks=[
            "What went well, and should be done the same way next time?",
            "What was tried and failed, and what was learnt from it?",
            "What was regretted: what would you do first if it began again tomorrow?",
            "What would you try with another week?",
            "How did the team work together, and what would you change in that?",
        ]
    )


def personal(member: Member, board: str) -> Chapter:
    """The page of one person; *board* is what leaderboard scores are of."""
    rows = [
        [text("commits", label=True), num(member.commits, ",.0f")],
        [text("days", label=True), num(len(member.days), ",.0f")],
        [text("folders", label=True), text(_areas(member), longest=200)],
        [text("runs given", label=True), text(", ".join(member.runs) or "–", longest=300)],
    ]
    blocks: list[Block | Ask] = [Table(title="Traces", header=[], rows=rows)]
    if member.sent:
        sent = [
            [text(each.day), text(each.file), num(each.public), num(each.private)]
            for each in member.sent
        ]
        header = ["day", "file", f"public {board}", f"private {board}"]
        blocks.append(Table(title="Submissions sent", header=header, rows=sent))
    if member.subjects:
        subjects = [[text(each, longest=160)] for each in member.subjects[:MOST_SUBJECTS]]
        blocks.append(Table(title="The latest commits", header=[], rows=subjects))
    blocks.append(
        Ask(
            asks=[
                "What was your goal, and what did you do to reach it?",
                "How did you make the model better? Which number shows it?",
                "What did your change teach you, whether it helped or not?",
                "What did you try for the first time here, compared with the project before?",
                "Where did you come to a limit, and what do you regret?",
                "What will you try in the next project?",
            ]
        )
    )
    return Chapter(title=member.name, blocks=blocks)


# In a language.


def in_words(chapter: Chapter, words: Words, personal_page: bool = False) -> Chapter:
    """*chapter* in the language of *words*; of a personal page the title is a name."""

    def each(block: Block | Ask) -> Block | Ask:
        if isinstance(block, Ask):
            return Ask(asks=[words(ask) for ask in block.asks], title=words(block.title))
        return said(block, words)

    title = chapter.title if personal_page else words(chapter.title)
    return Chapter(title=title, blocks=[each(block) for block in chapter.blocks])
