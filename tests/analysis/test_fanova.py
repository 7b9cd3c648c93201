from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleshift.analysis.domains import Domain
from jouleshift.analysis.fanova import Boxes, boxes_of, decompose, grow
from jouleshift.analysis.importance import Sample

CONTINUOUS = np.zeros(3, dtype=int)


def slow_decomposition(predict, grids):
    """Main effects and interactions by evaluating a function on all combinations of cells of equal volume."""
    cells = np.array(list(product(*grids)))
    values = predict(cells).reshape(tuple(map(len, grids)))
    mean = values.mean()
    centred = values - mean
    axes = range(len(grids))

    def variance(kept):
        return np.square(centred.mean(axis=tuple(a for a in axes if a not in kept))).mean()

    main = [variance((a,)) for a in axes]
    pairs = [variance((a, b)) - main[a] - main[b] for a, b in combinations(axes, 2)]
    return mean, variance(tuple(axes)), np.array(main), np.array(pairs)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_tree_on_levels_equals_full_enumeration(seed):
    rng = np.random.default_rng(seed)
    sizes = np.array([3, 4, 5])
    places = [(np.arange(size) + 0.5) / size for size in sizes]
    x = np.column_stack([rng.choice(p, 40) for p in places])
    y = rng.normal(size=40)
    tree = grow(x, y, 1, seed)[0]
    got = decompose(boxes_of(tree, sizes))
    mean, total, main, pairs = slow_decomposition(
        lambda cells: tree.predict(cells.astype(np.float32)).ravel(), places
    )
    np.testing.assert_allclose(got.mean, mean, atol=1e-9)
    np.testing.assert_allclose(got.total, total, atol=1e-9)
    np.testing.assert_allclose(got.main, main, atol=1e-9)
    np.testing.assert_allclose(got.pairs, pairs, atol=1e-9)


def test_boxes_fill_the_cube_and_hold_the_tree_values():
    rng = np.random.default_rng(0)
    x, y = rng.random((200, 3)), rng.random(200)
    tree = grow(x, y, 1, 0)[0]
    boxes = boxes_of(tree, CONTINUOUS)
    assert boxes.volume.sum() == pytest.approx(1.0)
    middle = (boxes.low + boxes.high) / 2
    np.testing.assert_allclose(tree.predict(middle.astype(np.float32)).ravel(), boxes.value)


def test_a_tree_without_a_split_has_no_variance():
    boxes = Boxes(np.zeros((1, 2)), np.ones((1, 2)), np.array([3.0]))
    got = decompose(boxes)
    assert got.mean == 3.0
    assert got.total == got.main.sum() == got.pairs.sum() == 0


def test_two_boxes_in_closed_form():
    boxes = Boxes(
        np.array([[0.0, 0.0], [0.25, 0.0]]), np.array([[0.25, 1.0], [1.0, 1.0]]), np.array([1.0, 0.0])
    )
    got = decompose(boxes)
    assert got.mean == 0.25
    assert got.total == pytest.approx(0.25 * 0.75)
    assert got.main == pytest.approx([0.25 * 0.75, 0.0])
    assert got.marginals[0](np.array([0.1, 0.25, 0.3])) == pytest.approx([1, 1, 0])


def unit_domains(count):
    return tuple(Domain(f"x{i}") for i in range(count))


@pytest.mark.parametrize("weights", [(3, 2, 1, 0), (1, 1, 0, 0), (4, 1, 0, 0)])
def test_linear_functions_have_their_closed_form(weights):
    x = np.random.default_rng(0).random((2500, 4))
    y = x @ np.array(weights, dtype=float)
    found = Sample(x, unit_domains(4), trees=12).importance(y).main_effects()
    squares = np.square(weights)
    assert [e.mean for e in found] == pytest.approx(squares / squares.sum(), abs=0.02)


def test_an_additive_function_with_levels_and_curves_has_its_closed_form():
    rng = np.random.default_rng(0)
    domains = (Domain("x"), Domain("y"), Domain("c", levels=("a", "b", "c")))
    codes = rng.integers(0, 3, 3000)
    x = np.column_stack([rng.random((3000, 2)), (codes + 0.5) / 3])
    y = np.square(x[:, 0]) + np.sin(2 * np.pi * x[:, 1]) / 2 + np.array([0.0, 0.5, 0.25])[codes]
    found = Sample(x, domains, trees=12).importance(y)
    parts = np.array([4 / 45, 1 / 8, np.var([0.0, 0.5, 0.25])])
    assert [e.mean for e in found.main_effects()] == pytest.approx(parts / parts.sum(), abs=0.02)
    assert sum(e.mean for e in found.pair_effects()) < 0.02
    curve = found.curve("c")
    assert curve.values == ("a", "b", "c")
    assert curve.mean - curve.mean.min() == pytest.approx([0.0, 0.5, 0.25], abs=0.02)


def test_a_pure_interaction_is_one():
    x = np.random.default_rng(0).random((3000, 3))
    y = (x[:, 0] - 0.5) * (x[:, 1] - 0.5)
    found = Sample(x, unit_domains(3), trees=12).importance(y)
    pairs = {e.names: e.mean for e in found.pair_effects()}
    assert pairs["x0", "x1"] > 0.85
    assert max(e.mean for e in found.main_effects()) < 0.05


def test_an_objective_that_never_changes_has_no_importance():
    x = np.random.default_rng(0).random((50, 2))
    found = Sample(x, unit_domains(2), trees=4).importance(np.ones(50))
    assert [e.mean for e in found.main_effects()] == [0.0, 0.0]


def test_a_single_hyperparameter_explains_everything():
    """Figure 4's searches vary the learning rate alone."""
    x = np.random.default_rng(0).random((60, 1))
    found = Sample(x, (Domain("learning_rate"),), trees=8).importance(x[:, 0] ** 2)
    assert [e.mean for e in found.main_effects()] == pytest.approx([1.0])
    assert not found.pair_effects()
