"""`make matrix`: the built wheel on every Airflow and every Python that the package supports."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cell import BUILD, Cell, Outcome
from table import as_markdown, as_text, total
from versions import AIRFLOWS, CELLS, PYTHONS, ROOT, Pair

TABLE = BUILD / "matrix.md"
PAGE = ROOT / "docs" / "reference" / "versions.md"
BEGIN, END = "<!-- make matrix: begin -->", "<!-- make matrix: end -->"


def main() -> int:
    options = parse()
    if options.table:
        outcomes = [stored(pair) for pair in CELLS]
    else:
        uv = str(Path(sys.executable).with_name("uv"))
        wheel = options.wheel.resolve() if options.wheel else build_wheel(uv)
        outcomes = list(tried(alternatives(options), uv, wheel, options.processes, options.quick))
    show(outcomes)
    if options.write_docs:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(
            f"{before}{BEGIN}\n{as_markdown([stored(pair) for pair in CELLS])}{END}{rest.partition(END)[2]}", encoding="utf-8"
        )
    good = all(outcome.good or (outcome.missing and not options.strict) for outcome in outcomes)
    return 0 if good and any(outcome.good for outcome in outcomes) else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make matrix", description=f"{__doc__} All cells, unless told otherwise.")
    parser.add_argument("--airflow", action="append", choices=[airflow.version for airflow in AIRFLOWS], help="only this one")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only this one")
    parser.add_argument("--oldest", action="store_true", help="the oldest Airflow on the oldest Python that can be had")
    parser.add_argument("--newest", action="store_true", help="the newest Airflow on the newest Python that can be had")
    parser.add_argument("--strict", action="store_true", help="a missing cell is a failure")
    parser.add_argument("--wheel", type=Path, help="try this wheel; one is built otherwise")
    parser.add_argument("--quick", action="store_true", help="leave out the tests of make integration; one DAG runs all the same")
    parser.add_argument("--processes", type=int, default=2, help="of the tests in a cell (default: 2)")
    parser.add_argument("--table", action="store_true", help="run nothing: show the last outcome of each cell on this machine")
    parser.add_argument(
        "--write-docs", action="store_true", help=f"write the last outcome of each cell into {PAGE.relative_to(ROOT)}"
    )
    return parser.parse_args()


def alternatives(options: argparse.Namespace) -> list[list[Pair]]:
    """The cells that the arguments name. Of each list, the first one whose Python can be had is meant."""
    if options.oldest or options.newest:
        oldest = [Pair(AIRFLOWS[0], python) for python in AIRFLOWS[0].pythons]
        newest = [Pair(AIRFLOWS[-1], python) for python in reversed(AIRFLOWS[-1].pythons)]
        return [oldest] * options.oldest + [newest] * options.newest
    named = [pair for pair in CELLS if not options.airflow or pair.airflow.version in options.airflow]
    return [[pair] for pair in named if not options.python or pair.python in options.python]


def tried(cells: Sequence[list[Pair]], uv: str, wheel: Path, processes: int, quick: bool) -> Iterator[Outcome]:
    """Try the cells one after the other. Those whose Python is missing are outcomes as well."""
    for pairs in cells:
        for pair in pairs:
            print(f"Airflow {pair.airflow.version} on Python {pair.python} …", flush=True)
            outcome = Cell(pair, uv=uv, wheel=wheel, processes=processes, quick=quick).run()
            print(f"  {outcome.missing or total([outcome])} ({outcome.seconds} s)", flush=True)
            yield outcome
            if not outcome.missing:
                break


def stored(pair: Pair) -> Outcome:
    """What the last run on this machine has left of a cell."""
    file = BUILD / f"{pair.name}.json"
    if not file.exists():
        return Outcome(cell=pair.name, airflow=pair.airflow.version, python=pair.python, missing="not run")
    return Outcome(**json.loads(file.read_text(encoding="utf-8")))


def build_wheel(uv: str) -> Path:
    folder = BUILD / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", str(folder)], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the table and all that failed or was left out. The counts are the last line."""
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(as_markdown(outcomes), encoding="utf-8")
    print(f"\n{as_text(outcomes)}\n")
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"{outcome.cell}: {fault}")
    for airflow in AIRFLOWS:
        for excluded in airflow.excluded:
            if any(outcome.cell.startswith(f"airflow-{airflow.version}-") for outcome in outcomes):
                print(f"Not run on Airflow {airflow.version}: {' '.join(excluded.options)} ({excluded.reason}).")
    print(f"The table is in {TABLE.relative_to(ROOT)}, with a log of each cell beside it.\n{total(outcomes)}")


if __name__ == "__main__":
    sys.exit(main())
