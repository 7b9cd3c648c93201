"""The report of a run while it runs, as often as it costs little.

The page loads itself anew, so writing the file is all there is to do. Writing takes longer the more trials
there are; the next one waits until twenty times as long has passed, so that reporting never takes more than
a twentieth of the time of the process that writes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jouleshift.records import CarbonIntensity, Run
from jouleshift.report.export import write_report

PATIENCE = 20.0


@dataclass
class LiveReport:
    """Writes the page of a run that goes on. `clock` tells seconds."""

    intensity: CarbonIntensity
    pause_s: float = 10.0
    """The shortest time between two pages."""
    clock: Callable[[], float] = time.monotonic
    _next_s: float = field(default=0.0, init=False)

    def update(self, read: Callable[[], Run]) -> bool:
        """Write the page of the run that `read` gives if it is time; whether it was."""
        begun = self.clock()
        if begun < self._next_s:
            return False
        write_report([read()], self.intensity, form="live")
        ended = self.clock()
        self._next_s = ended + max(self.pause_s, PATIENCE * (ended - begun))
        return True
