"""What pictures share."""

import numpy as np
from matplotlib.figure import Figure

from jouleshift.report.canvas import scale_energy, staircase
from jouleshift.report.units import Unit


def test_of_members_with_equal_joules_the_best_leads_on():
    """As in Table 5 of the paper, whose emissions are rounded."""
    axes = Figure().add_subplot()
    staircase(axes, np.array([[0.46, 4.6], [0.53, 4.4], [0.64, 4.4], [0.87, 4.4]]), Unit(1.0, "J"))
    (line,) = axes.lines
    assert line.get_drawstyle() == "steps-post"
    assert line.get_xdata().tolist() == [4.4, 4.4, 4.4, 4.6]
    assert line.get_ydata().tolist() == [87.0, 64.0, 53.0, 46.0]


def test_labels_on_a_logarithmic_axis_are_plain_and_few():
    axes = Figure().add_subplot()
    energy_j = np.array([1.5e-6, 9e-5])
    axes.scatter(energy_j * 1e6, [1, 2])
    scale_energy(axes, energy_j)
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    shown = [t.get_text() for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert shown == ["2", "5", "10", "20", "50", "100"]
    assert not any(t.get_text() for t in axes.get_xticklabels(minor=True))
