"""A board with a counter like a real one's: it drifts and jitters, updates now and then, and may wrap."""

import math
import random

from jouleshift.energy.counters import Sample, Sensor
from jouleshift.energy.replay import VirtualClock

STEP_S = 0.1
MEMORY_S = 8.0
"""How long a deviation of the power lasts: so long that windows of 10 s differ."""


class SimulatedBoard(Sensor):
    """One component "gpu0" whose power is that of the work in progress, with noise.

    `noise` is the relative standard deviation of the mean power of a 10 s window, roughly; `warming` a linear
    rise per second, relative; `gain` a constant error of the counter.
    """

    origin = "simulated board"
    update_period_s = STEP_S

    def __init__(self, *, idle_w=60.0, noise=0.0, warming=0.0, gain=1.0, seed=0, range_j=None):
        self.clock = self
        self._clock = VirtualClock()
        self._idle_w, self._noise, self._warming, self._gain = idle_w, noise, warming, gain
        self._random = random.Random(seed)
        self._range_j = range_j
        self._joules = self._shown = 0.0
        self._deviation = 0.0
        self._next_update_s = STEP_S

    def now(self):
        return self._clock.now()

    def sleep(self, duration_s):
        self._run(self._idle_w, duration_s)

    def work(self, power_w, duration_s):
        """A function that keeps the board busy."""
        return lambda: self._run(power_w, duration_s)

    def _run(self, power_w, duration_s):
        while duration_s > 1e-12:
            step = min(duration_s, self._next_update_s - self.now())
            drift = 1 + self._warming * self.now() + self._deviation
            self._joules += power_w * drift * self._gain * step
            self._clock.sleep(step)
            duration_s -= step
            if self.now() >= self._next_update_s - 1e-12:
                self._update()

    def _update(self):
        self._next_update_s += STEP_S
        self._shown = self._joules if self._range_j is None else self._joules % self._range_j
        if self._noise:
            keep = math.exp(-STEP_S / MEMORY_S)
            spread = 1.4 * self._noise * math.sqrt(1 - keep**2)
            self._deviation = keep * self._deviation + self._random.gauss(0, spread)

    def read(self):
        return Sample(self.now(), {"gpu0": self._shown})

    def ranges_j(self):
        return {} if self._range_j is None else {"gpu0": self._range_j}
