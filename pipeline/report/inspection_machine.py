"""What the look at the data says about the machine: disk, need, devices."""

from pipeline.base.files import size_text
from pipeline.report.section import Section, names, plural
from pipeline.setup.inspection.inspect import Inspection


def machine(seen: Inspection) -> Section:
    """Free disk, what a run will need of it, and the devices."""
    facts = seen.machine
    free = ", ".join(f"{size_text(size)} at {place}" for place, size in facts.free.items())
    weights = ", ".join(f"{size_text(size)} for a {kind}" for kind, size in facts.weights.items())
    memory = "" if facts.memory is None else f"{size_text(facts.memory)} memory, "
    least = min(facts.free.values())
    tight = [kind for kind, size in facts.weights.items() if size > least]
    return Section(
        title="Machine, and what a model needs",
        rows=[
            ["free disk", free],
            ["predictions", f"{size_text(facts.predictions)} for any model"],
            ["weights", f"{weights} transformer, if kept for {plural(facts.fits, 'fold')}"],
            [
                "devices",
                f"{plural(facts.cores, 'core')}, {memory}GPU: {names(facts.gpus) or 'none'}",
            ],
        ],
        warns=[
            f"too little disk to keep the weights of a {kind} transformer" for kind in tight[:1]
        ],
    )
