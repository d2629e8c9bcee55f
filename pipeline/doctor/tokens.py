"""The token stores of a root: a cache, so nothing in it is worth more than a note."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.base.files import size_text
from pipeline.base.paths import Paths
from pipeline.data.tokens.files import MANIFEST, damage_of, stores
from pipeline.data.tokens.tokencache import LEASE
from pipeline.doctor.disk import oddities
from pipeline.doctor.finding import LOOK_AGAIN, Finding, Section, guarded, note
from pipeline.doctor.leases import holder

AGAIN = "Nothing: the next run that needs it makes it again; or delete the folder."


def check_tokens(root: Path, quick: bool) -> Iterator[Section]:
    """One section about all stores; none where there are none."""
    folder = Paths(root, "").tokens
    found = list(stores(folder))
    if not found:
        return
    findings = [finding for each in found for finding in guarded(each, _check(root, each, quick))]
    size = sum(path.stat().st_size for each in found for path in each.iterdir() if path.is_file())
    counts = f"{len(found)} store{'' if len(found) == 1 else 's'}, {size_text(size)}"
    yield Section(competition="", subject="tokens", counts=counts, findings=findings)


def _check(root: Path, store: Path, quick: bool) -> Iterator[Finding]:
    yield from oddities(root, store)
    maker = holder(store / LEASE) if (store / LEASE).is_file() else None
    if maker is not None and maker.living:
        what = f"is being made by process {maker.process} on {maker.host.partition('?')[0]}"
        yield note(store, what, f"Nothing; wait for it, {LOOK_AGAIN}.")
    elif not (store / MANIFEST).exists():
        yield note(store, "is a token store that was not finished", AGAIN)
    elif damage := damage_of(store, quick):
        yield note(store, damage, AGAIN)
