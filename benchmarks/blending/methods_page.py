"""docs/ensembles.md, from the figures that ensembles.py kept."""

import math
from typing import Any

from benchmarks.shared.machine import RESULTS

REMARKS = RESULTS / "ensembles-remarks.md"
HEAD = """# Ensembles on real competitions

Every blending method on the same members, written by
`python -m benchmarks.blending.methods show --write` from `benchmarks/results/ensembles.json`.
*In-sample* is scored on the rows the weights were fitted on;
*honest* chooses everything without the fold it scores ([honesty.md](honesty.md)); *gain* is honest
and over the best single model, with its 95 % interval by a paired bootstrap over groups. *dev* is a
labelled file that nothing was trained, fitted or chosen on; *held* says whether the gain on dev and
the honest gain differ by less than 1.96 of their joint standard error. `*` marks what `--method
auto` chose.
"""


def render(found: dict[str, dict[str, Any]]) -> str:
    """The whole page."""
    remarks = REMARKS.read_text("utf-8") if REMARKS.exists() else ""
    parts = [HEAD, remarks, *(section(name, one) for name, one in found.items())]
    return "\n".join(part for part in parts if part)


def section(name: str, one: dict[str, Any]) -> str:
    """One competition."""
    rows = ", ".join(f"{count} {file}" for file, count in one["rows"].items())
    lines = [f"## {name}", "", f"{one['metric']}; rows: {rows}; {one['groups']} groups, "]
    lines[-1] += f"{one['folds']} folds. {one['machine']}"
    lines += ["", "| member | `python -m pipeline.cv --model` | score | weight | loss without it |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for member, command in one["commands"].items():
        if (line := one["members"].get(member)) is None:
            lines.append(f"| {member} | `{command}` | repeats another: left out | | |")
            continue
        cells = [f"{line['score']:.4f}", f"{line['weight']:.3f}", f"{line['without']:+.5f}"]
        lines.append(f"| {member} | `{command}` | {' | '.join(cells)} |")
    lines += ["", *methods(one), ""]
    lines += [f"Chosen: **{one['chosen']}** ({one['reason']}).", ""]
    lines += [f"![errors, weights and scores of {name}](figures/ensembles-{name}.png)", ""]
    return "\n".join(lines)


def methods(one: dict[str, Any]) -> list[str]:
    """The table of methods."""
    dev = any("dev" in line for line in one["methods"])
    head = ["method", "in-sample", "honest", "difference", "gain over best", "95 % interval"]
    head += ["dev", "dev gain", "95 % on dev", "held"] if dev else []
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for line in one["methods"]:
        mark = " *" if line["method"] == one["chosen"] else ""
        cells = [line["method"] + mark, number(line["in_sample"]), number(line["honest"])]
        cells.append(number(difference(line, one["greater_is_better"]), "+.5f"))
        cells += gain(line, "")
        cells += [number(line.get("dev")), *gain(line, "dev_"), held(line)] if dev else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def difference(line: dict[str, Any], greater_is_better: bool) -> float | None:
    """How much in-sample flatters."""
    if line["in_sample"] is None or line["honest"] is None:
        return None
    return float(line["in_sample"] - line["honest"]) * (1 if greater_is_better else -1)


def gain(line: dict[str, Any], prefix: str) -> list[str]:
    """A gain and its interval, empty for the one that gains are measured against."""
    if line["method"] == "best":
        return ["", ""]
    value = line[f"{prefix}gain" if prefix else "gain"]
    low, high = line[f"{prefix}low"], line[f"{prefix}high"]
    return [f"{value:+.5f}", f"{low:+.5f} to {high:+.5f}"]


def held(line: dict[str, Any]) -> str:
    """Whether dev agrees with the honest gain."""
    if line["method"] == "best":
        return ""
    error = math.hypot(line["error"], line["dev_error"])
    return "yes" if abs(line["gain"] - line["dev_gain"]) <= 1.96 * error else "no"


def number(value: float | None, form: str = ".4f") -> str:
    """A number, or a dash."""
    return "–" if value is None else format(value, form)
