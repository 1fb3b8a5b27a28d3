"""`python -m benchmarks.mutants`: how many changed programs the tests of the pure rooms notice, by room.

mutmut (pyproject.toml says of what, and which tests) changes one thing after the other within their functions. Takes
a few minutes, and its results stay in `mutants/`: `mutmut show NAME` shows a change, `mutmut browse` all of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from benchmarks.tables import Table, judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GOAL = 95
"""Per cent of a room's mutants, without those that change nothing, that tests have to notice."""

NOTICED = {"killed", "timeout"}

EQUIVALENT = {
    ("MridPaginator.__init__", "self._started_over = None"): "only its truth is asked for",
    ("MridPaginator.__init__", "self._doubts_date = None"): "only its truth is asked for",
    ("MridPaginator.__init__", "self._by_range = None"): "only its truth is asked for",
    ("MridPaginator.__init__", "self._searched = None"): "only its truth is asked for",
    ("MridPaginator._read_all", "self._doubts_date = None"): "only its truth is asked for",
    ("MridPaginator._keep", "self._searched = None"): "only its truth is asked for",
    (
        "MridPaginator._page_before_start",
        "begins_before = first is not None and any(moments[mrid] <= since for mrid in moments if mrid < first)",
    ): "a record at `since` would itself be the first that counts",
    (
        "MridPaginator._page_before_start",
        "begins_before = first is not None and any(moments[mrid] < since for mrid in moments if mrid <= first)",
    ): "the first that counts is not before `since`",
    (
        "MridPaginator._keep",
        "if mrid >= from_mrid and (below_mrid is None or mrid <= below_mrid)",
    ): "where a page ends there is a hole",
    ("Overlap.__init__", "self._bookmark = -2 if bookmark is None else bookmark"): "no position is below 0",
    (
        "Overlap._known_groups",
        'for (first, last), digest in reversed(list(zip(groups, self._state["digests"], strict=None))):',
    ): "there are as many digests as groups, or the state would count as none",
    (
        "Overlap._known_groups",
        'for (first, last), digest in reversed(list(zip(groups, self._state["digests"], ))):',
    ): "as above",
    (
        "Overlap._known_groups",
        'for (first, last), digest in reversed(list(zip(groups, self._state["digests"], strict=False))):',
    ): "as above",
    (
        "_storable",
        'text = _NUL.sub(r"\\1\\\\uFFFD", text)',
    ): "JSON reads both",
    (
        "_storable",
        'json.dumps(raw, ensure_ascii=None).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")',
    ): "only its truth is asked for",
    (
        "_storable",
        'json.dumps(raw, ensure_ascii=False).encode("UTF-16-LE", "surrogatepass").decode("utf-16-le", "replace")',
    ): "the name of a codec has no case",
    (
        "_storable",
        'json.dumps(raw, ensure_ascii=False).encode("utf-16-le", "surrogatepass").decode("UTF-16-LE", "replace")',
    ): "the name of a codec has no case",
    (
        "_url",
        'if not re.fullmatch(r"/*(API(/.*)?)?", parts.path, flags=re.IGNORECASE):',
    ): "the pattern ignores case",
    ("_digest", 'digest.update(b"XX%d:XX" % position + contents[position])'): "still all that there is, in one order",
    ("_repeats", "return len({reading.mrid for reading in readings}) <= len(readings)"): "the slow way finds the same",
    ("Schedule.__init__", "self.closed = None"): "only its truth is asked for",
    ("Schedule.__init__", "self._responded = None"): "only its truth is asked for",
    ("Schedule._wait", 'self._waiting[turn] = ""'): "a dictionary as an ordered set: only its keys are used",
    (
        "_token",
        'token = re.sub(r"^(TOKEN\\s+)+", "", str(given).strip(), flags=re.IGNORECASE)',
    ): "the pattern ignores case",
}
"""A function and its changed line -> why the change changes nothing. Both stay the same when the file moves."""


@dataclass(frozen=True)
class Mutant:
    """A changed program.

    Attributes:
        name: mutmut's name for it.
        room: The module that was changed.
        function: The function that was changed, with its class.
        noticed: Whether a test failed.
        line: What the changed line is now; only of those that no test noticed.
    """

    name: str
    room: str
    function: str
    noticed: bool
    line: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What this mutant is listed by if it changes nothing."""
        return self.function, self.line


@click.command()
@click.option("--max-children", default=1, show_default=True, help="Processes that run tests at one time.")
def main(max_children: int) -> None:
    """Change the pure rooms, run their tests, and print what the tests noticed."""
    shutil.rmtree("mutants", ignore_errors=True)
    _mutmut("run", "--max-children", str(max_children))
    results = re.findall(r"^\s*(\S+): (.+)$", _mutmut("results", "--all", "true"), re.MULTILINE)
    mutants = [_mutant(name, status) for name, status in results]
    scores = by_room(mutants, EQUIVALENT)
    click.echo(f"{scores}\n\n{equivalents(EQUIVALENT)}")
    for fault in scores.faults:
        click.echo(f"Error: {fault}", err=True)
    sys.exit(1 if scores.faults else 0)


def by_room(mutants: Sequence[Mutant], equivalent: Mapping[tuple[str, str], str]) -> Table:
    """Return how many of each room's mutants were noticed; faults are those that were not and are not equivalent."""
    table = Table("Mutants", ("room", "mutants", "killed", "equivalent", "survived", "score"))
    for room in sorted({mutant.room for mutant in mutants}):
        own = [mutant for mutant in mutants if mutant.room == room]
        unnoticed = [mutant for mutant in own if not mutant.noticed]
        survivors = [mutant for mutant in unnoticed if mutant.key not in equivalent]
        killed, same = len(own) - len(unnoticed), len(unnoticed) - len(survivors)
        score = 100 * killed / (len(own) - same)
        counts = map(str, (len(own), killed, same, len(survivors)))
        table.add(room, *counts, judged(-score, -GOAL, f"{score:.1f} %"))
        table.note(room, [f"{mutant.name} survived: {mutant.line}" for mutant in survivors])
    gone = equivalent.keys() - {mutant.key for mutant in mutants}
    table.note("listed as equivalent, but not found", [f"{function}: {line}" for function, line in sorted(gone)])
    return table


def equivalents(equivalent: Mapping[tuple[str, str], str]) -> Table:
    """Return the mutants that change nothing, with the reasons."""
    table = Table("Mutants that change nothing", ("function", "changed line", "why it is the same"))
    for (function, line), reason in equivalent.items():
        table.add(f"`{function}`", f"`{line}`", reason)
    return table


def names(mutant: str) -> tuple[str, str]:
    """Return the room and the function that mutmut's name of a mutant holds."""
    module, _, mangled = mutant.rpartition(".")
    mangled = re.sub(r"__mutmut_\d+$", "", mangled)
    function = mangled[2:].replace("ǁ", ".")  # x_function or xǁClassǁmethod
    return module.removeprefix("tap_zentra."), function


def _mutant(name: str, status: str) -> Mutant:
    room, function = names(name)
    if status in NOTICED:
        return Mutant(name, room, function, noticed=True)
    added = re.findall(r"^\+(?!\+\+ )(.*)$", _mutmut("show", name), re.MULTILINE)
    return Mutant(name, room, function, noticed=False, line=" ".join(line.strip() for line in added))


def _mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own


if __name__ == "__main__":
    main()
