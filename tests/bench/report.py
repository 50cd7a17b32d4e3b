"""How figures are written: medians, ratios of one run, and how noisy the machine was."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

OUTPUT = Path("out/bench")


@dataclass(frozen=True, slots=True)
class Figure:
    """A value beside its yardstick.

    Attributes:
        name: What was measured.
        unit: Of value and yardstick.
        yardstick: What it was measured against, in the same run.
        pairs: Value and yardstick, run by run.
        bar: Least ratio wanted for a rate, greatest for a time; None where there is none.
    """

    name: str
    unit: str
    yardstick: str
    pairs: Sequence[tuple[float, float]]
    bar: float | None

    def to_json(self) -> dict[str, object]:
        """Return the figure as it stands in `out/bench/<area>.json`; spread is (max - min) / median of the ratio."""
        ratios = [value / yardstick for value, yardstick in self.pairs]
        ratio = statistics.median(ratios)
        return {
            "name": self.name,
            "value": round(statistics.median(value for value, _ in self.pairs), 1),
            "unit": self.unit,
            "yardstick": self.yardstick,
            "yardstick_value": round(statistics.median(yardstick for _, yardstick in self.pairs), 1),
            "ratio": round(ratio, 3),
            "bar": self.bar,
            "runs": len(self.pairs),
            "spread": round((max(ratios) - min(ratios)) / ratio, 3),
        }


def write(area: str, figures: Sequence[Figure]) -> None:
    """Write the figures of an area to its file, and show them."""
    rows = [figure.to_json() for figure in figures]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report = {"area": area, "machine": machine, "figures": rows}
    (OUTPUT / f"{area}.json").write_text(json.dumps(report, indent=2) + "\n")
    table = Table("figure", "value", "yardstick", "ratio", "bar", "spread", title=f"{area}: {machine}")
    for row in rows:
        yardstick = f"{row['yardstick']}: {row['yardstick_value']}"
        cells = (row["name"], f"{row['value']} {row['unit']}", yardstick, row["ratio"], row["bar"], row["spread"])
        table.add_row(*map(str, cells))
    Console().print(table)
