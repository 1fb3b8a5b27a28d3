"""How fast loaders are, each in the same minutes as the others."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from tools.loaders.check import STREAMS, load
from tools.loaders.kinds import SMALL_BATCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tools.loaders.check import Messages
    from tools.loaders.kinds import Destination

ROUNDS = 3


def readings_per_second(
    destinations: Callable[[str], Sequence[Destination]], messages: Mapping[str, Messages], folder: Path
) -> Mapping[str, float]:
    """Load the same readings through each loader, in turns; return of each that takes them the median pace.

    Args:
        destinations: Makes all loaders, given the name of a schema that is not there yet.
        messages: By the example whose maps they went through: readings, of one API.
        folder: For configurations and files; empty.
    """
    paces: dict[str, list[float]] = defaultdict(list)
    for turn in range(ROUNDS):
        for destination in destinations(f"speed_{turn}"):
            place = folder / f"{destination.name}-{turn}"
            place.mkdir(parents=True)
            config = {name: value for name, value in destination.config.items() if name != SMALL_BATCHES}
            sent = messages[destination.example]
            began = time.perf_counter()
            code = load(replace(destination, config=config), sent, place, 0)
            seconds = time.perf_counter() - began
            if code == 0:
                paces[destination.name].append(len(sent.records(STREAMS[sent.api][0])) / seconds)
    return {name: statistics.median(measured) for name, measured in paces.items()}
