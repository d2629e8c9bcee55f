"""What is judged: the files of the rooms, the mutants of a file, the tests that are its own."""

import ast
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".mutants"
"""Ignored by git: the copy that is changed, what was measured, what was judged."""
COPY = WORK / "copy"
ROOMS = ("folds", "metrics", "ensemble", "oof", "submissions")
OPERATORS = re.compile(
    r"core/(AddNot|NumberReplacer|Replace(AndWithOr|OrWithAnd|TrueWithFalse|FalseWithTrue"
    r"|UnaryOperator_Delete_(Not|USub|Invert)"
    r"|ComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Lt_GtE|Gt_LtE|Eq_NotEq|NotEq_Eq|Is_IsNot"
    r"|IsNot_Is)"
    r"|BinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul"
    r"|BitAnd_BitOr|BitOr_BitAnd|BitXor_BitAnd)))"
)
"""Conditions, constants, comparisons, signs: of cosmic-ray's operators what a slip may change."""


LEFT_ALONE = re.compile(r"\b(soft_wrap|frozen|kw_only|strict)=$")
"""What stands before a value that promises nobody anything: looks, and guards against ourselves."""
LARGE = 1000
"""One more or less of such a number is no slip."""
Place = tuple[int, int]
"""Line, from 1, and column, from 0."""


@dataclass(frozen=True)
class Mutant:
    """One change: the item of the session, the statement's lines, what stood there and stands."""

    item: str
    spec: MutationSpec
    lines: range
    before: str
    after: str

    @property
    def name(self) -> str:
        """Where and what, as a report prints it."""
        file = Path(self.spec.module_path).relative_to(COPY)
        return f"{file}:{self.spec.start_pos[0]}  {self.before}  →  {self.after}"


def refresh_copy() -> None:
    """The copy holds what the checkout holds, also where a run was killed in the middle."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    wanted = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    for name in wanted:
        source, target = ROOT / name, COPY / name
        if not target.is_file() or source.read_bytes() != target.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for path in [path for path in COPY.rglob("*") if path.is_file()]:
        if path.suffix != ".pyc" and path.relative_to(COPY).as_posix() not in wanted:
            path.unlink()


def files_of(room: str) -> list[str]:
    """Files of a room with something to change, as paths from the root; a door has nothing."""
    found = sorted((COPY / "pipeline" / room).rglob("*.py"))
    return [path.relative_to(COPY).as_posix() for path in found if path.name != "__init__.py"]


def tests_of(room: str) -> list[str]:
    """The room's mirror in tests/, tests/test_FILE.py, and the doctests of its files."""
    files = files_of(room)
    mirror = sorted((COPY / "tests" / room).rglob("test_*.py"))
    whole = [COPY / "tests" / f"test_{Path(file).stem}.py" for file in files]
    doctests = [COPY / file for file in files if ">>> " in (COPY / file).read_text("utf-8")]
    return [p.relative_to(COPY).as_posix() for p in [*mirror, *whole, *doctests] if p.is_file()]


def digest(*paths: str) -> str:
    """Of the contents of files of the copy."""
    found = hashlib.sha256()
    for path in paths:
        found.update((COPY / path).read_bytes() + b"\0")
    return found.hexdigest()[:12]


def session(file: str) -> WorkDB:
    """What was judged of a file as it stands: another content starts another session."""
    path = WORK / "sessions" / f"{file.removesuffix('.py')}-{digest(file)}.sqlite"
    if path.is_file():
        return WorkDB(str(path), WorkDB.Mode.open)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    work = WorkDB(str(part), WorkDB.Mode.create)
    init([COPY / file], work, {})
    types = annotations((COPY / file).read_text("utf-8"))
    unfit = [item.job_id for item in work.work_items if not fits(item.mutations[0], types)]
    work.set_multiple_results(unfit, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    work.close()
    part.rename(path)
    return WorkDB(str(path), WorkDB.Mode.open)


def fits(spec: MutationSpec, types: list[tuple[Place, Place]]) -> bool:
    """One of our operators, outside of annotations."""
    return bool(OPERATORS.fullmatch(spec.operator_name)) and not any(
        start <= spec.start_pos and spec.end_pos <= end for start, end in types
    )


def annotations(source: str) -> list[tuple[Place, Place]]:
    """Where types stand, and whether their names are imported, which mean nothing when the program
    runs: starts and ends."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg | ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node.returns)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node.test)
    return [
        ((each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0))
        for each in found
        if each is not None
    ]


def statement(tree: ast.Module, line: int) -> range:
    """Lines of the innermost statement at a line; of one with a body, only the head's."""
    best = range(line, line + 1)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if line <= max(last, node.lineno):
                best = range(node.lineno, max(last, node.lineno) + 1)
    return best


def sample(file: str, work: WorkDB, share: int, seed: int) -> Iterator[Mutant]:
    """The first `share` mutants of a file in an order that the seed draws, one a place.

    A greater share contains the smaller one. The order does not depend on line numbers before
    the place: it is drawn from the operator and its occurrence.
    """
    source = (COPY / file).read_text("utf-8")
    tree = ast.parse(source)
    unfit = {job for job, result in work.results if result.worker_outcome == WorkerOutcome.SKIPPED}
    fit = [item for item in work.work_items if item.job_id not in unfit]
    order = sorted(fit, key=lambda item: rank(item, seed))
    places: set[tuple[int, int]] = set()
    for item in order:
        spec = item.mutations[0]
        if len(places) == share:
            return
        if spec.start_pos in places:
            continue
        changed = change(source, spec)
        if changed is None:
            continue
        places.add(spec.start_pos)
        lines = statement(tree, spec.start_pos[0])
        yield Mutant(item.job_id, spec, lines, *changed)


def rank(item: WorkItem, seed: int) -> str:
    """A place in the order of a file's mutants."""
    spec = item.mutations[0]
    key = f"{seed} {spec.operator_name} {spec.occurrence}"
    return hashlib.sha256(key.encode()).hexdigest()


def change(source: str, spec: MutationSpec) -> tuple[str, str] | None:
    """The line before and after; None where the change is no Python, or says nothing."""
    (row, start), (_, end) = spec.start_pos, spec.end_pos
    line = source.splitlines()[row - 1]
    digits = line[start:end].replace("_", "")
    if LEFT_ALONE.search(line[:start]) or (digits.isdigit() and int(digits) >= LARGE):
        return None
    mutated = mutate_code(source, get_operator(spec.operator_name)(), spec.occurrence)
    if mutated is None:
        return None
    try:
        if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(source)):
            return None
    except SyntaxError:
        return None
    pairs = zip(source.splitlines(), mutated.splitlines(), strict=False)
    before, after = next((one, other) for one, other in pairs if one != other)
    return before.strip(), re.sub(r"(?<=\S)  +", " ", after.strip())
