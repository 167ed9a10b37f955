"""Trees: golden lists, the definition of their order, indices, lengths, refusals."""

from typing import Any

import pytest
import reference_branched as reference
from golden import Case, cases

from siglib.branched import trees as module

FUNCTIONS = ["trees", "trees_of_order", "tree_to_idx", "idx_to_tree", "branched_sig_length", "branched_log_sig_length"]
SIZES = [(1, 1), (1, 6), (2, 1), (2, 4), (3, 3), (5, 2)]
sizes = pytest.mark.parametrize("size", SIZES, ids=str)
planars = pytest.mark.parametrize("planar", [False, True], ids=["trees", "planar"])


def recorded() -> list[Any]:
    present = []
    for function in FUNCTIONS:
        try:
            present += cases("06_trees", function)
        except LookupError:
            continue
    return present


@pytest.mark.parametrize("case", recorded())
def test_golden(case: Case) -> None:
    result = getattr(module, case.function)(*case.args, **case.kwargs)
    expected = case.outputs[0]
    assert result == (tuple(expected) if isinstance(expected, list) else expected)


@sizes
@planars
def test_order(size: tuple[int, int], planar: bool) -> None:
    expected = reference.trees(*size, planar)
    listed = module.trees(*size, planar=planar)
    assert listed == (None, *expected)
    assert module.branched_sig_length(*size, planar=planar) == len(expected)
    assert module.branched_sig_length(*size, planar=planar, scalar_term=True) == len(expected) + 1
    by_order = [module.trees_of_order(size[0], n, planar=planar) for n in range(size[1] + 1)]
    assert sum(by_order, ()) == listed
    assert [{reference.n_nodes(tree) for tree in level} for level in by_order[1:]] == [
        {n} for n in range(1, size[1] + 1)
    ]


@sizes
@planars
def test_indices(size: tuple[int, int], planar: bool) -> None:
    for idx, tree in enumerate(reference.trees(*size, planar)):
        assert module.tree_to_idx(tree, *size, planar=planar) == idx
        assert module.tree_to_idx(tree, size[0], size[1] + 2, planar=planar, scalar_term=True) == idx + 1
        assert module.idx_to_tree(idx, *size, planar=planar) == tree
        assert module.idx_to_tree(idx + 1, *size, planar=planar, scalar_term=True) == tree
    assert module.tree_to_idx(None, *size, planar=planar, scalar_term=True) == 0
    assert module.idx_to_tree(0, *size, planar=planar, scalar_term=True) is None


def test_forms_that_are_taken() -> None:
    assert module.tree_to_idx(((1,), (0,), 0), 2, 3) == module.tree_to_idx(((0,), (1,), 0), 2, 3)
    assert module.tree_to_idx([[[1], 0], [0], 1], 2, 4) == module.tree_to_idx(((0,), ((1,), 0), 1), 2, 4)
    # One planar tree is a forest; the order of planar children counts.
    assert module.tree_to_idx(((1,), 0), 2, 3, planar=True) == module.tree_to_idx((((1,), 0),), 2, 3, planar=True)
    one, other = (module.tree_to_idx([a, b], 2, 3, planar=True) for a, b in ([(0,), (1,)], [(1,), (0,)]))
    assert one != other


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_lyndon_lengths(dimension: int) -> None:
    """Planar forests that are less than all their proper suffixes, as words in trees."""
    index = {forest[0]: i for i, forest in enumerate(reference.trees(dimension, 4, True)) if len(forest) == 1}
    words = [tuple(index[tree] for tree in forest) for forest in reference.trees(dimension, 4, True)]
    n_lyndon = sum(all(word < word[i:] for i in range(1, len(word))) for word in words)
    assert module.branched_log_sig_length(dimension, 4, planar=True) == n_lyndon
    assert module.branched_log_sig_length(dimension, 4) == module.branched_sig_length(dimension, 4)


@planars
def test_nothing(planar: bool) -> None:
    assert module.trees(0, 3, planar=planar) == (None,)
    assert module.trees(2, 0, planar=planar) == (None,)
    assert module.trees_of_order(0, 2, planar=planar) == ()
    assert module.trees_of_order(0, 0, planar=planar) == (None,)
    assert module.branched_sig_length(0, 10**9, planar=planar) == 0
    assert module.branched_sig_length(0, 3, planar=planar, scalar_term=True) == 1
    assert module.branched_log_sig_length(0, 3, planar=planar) == 0


@pytest.mark.parametrize("size", [(1, 10**9), (10**30, 5), (3, 50), (2**40, 1)], ids=str)
@planars
def test_sizes_out_of_reach(size: tuple[int, int], planar: bool) -> None:
    with pytest.raises(ValueError, match=r"more coefficients than|too many trees"):
        module.trees(*size, planar=planar)
    if size[0] < 2**40:
        with pytest.raises(ValueError, match="more coefficients than"):
            module.branched_sig_length(*size, planar=planar)


CYCLE: list[Any] = [0]
CYCLE.insert(0, CYCLE)

REFUSED = [
    ("0", TypeError, "tree must be a tuple or list"),
    (0, TypeError, "tree must be a tuple or list"),
    ((), ValueError, "must have a label"),
    (((), 0), ValueError, "must have a label"),
    ((0.5,), TypeError, "label of a tree must be an integer"),
    ((True,), TypeError, "label of a tree must be an integer"),
    ((-1,), ValueError, "label of a tree must be at least 0"),
    ((2,), ValueError, "less than dimension=2"),
    ((0, 1), TypeError, "children of a tree"),
    (((0,), (0,), (0,), 1), ValueError, "at most degree=3 nodes"),
    (CYCLE, ValueError, "at most degree=3 nodes"),
    (None, ValueError, "scalar_term=True"),
]


@pytest.mark.parametrize(("tree", "error", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
@planars
def test_refused_trees(tree: Any, error: type[Exception], message: str, planar: bool) -> None:
    with pytest.raises(error, match=message):
        module.tree_to_idx(tree, 2, 3, planar=planar)


def test_planar_forest_where_trees_are_asked_for() -> None:
    with pytest.raises(TypeError, match="root's label"):
        module.tree_to_idx(((0,),), 2, 3)
    with pytest.raises(ValueError, match="at most degree=3 nodes"):
        module.tree_to_idx(((0,), (0,), (0,), (1,)), 2, 3, planar=True)


def test_refused_options() -> None:
    for function in (module.trees, module.trees_of_order, module.branched_sig_length, module.branched_log_sig_length):
        with pytest.raises(ValueError, match="dimension must be at least 0"):
            function(-1, 2)
        with pytest.raises(TypeError, match="must be an integer"):
            function(2, 2.0)
        with pytest.raises(TypeError, match="planar must be True or False"):
            function(2, 2, planar=1)
    with pytest.raises(ValueError, match="idx must be at least 0"):
        module.idx_to_tree(-1, 2, 2)
    with pytest.raises(ValueError, match="idx must be less than 6"):
        module.idx_to_tree(6, 2, 2)
