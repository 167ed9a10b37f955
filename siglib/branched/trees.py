"""Trees: which coefficient of a branched signature stands where.

A rooted tree is written as the tuple of its root's children, themselves trees, and then the label of the root, a
channel of a path: ``(0,)`` is a single node, ``((0,), (1,), 2)`` has a root 2 with two leaves above it. Planar trees
come in ordered forests, tuples of trees: ``((0,), ((1,), 0))``.
"""

from typing import Any, Union

import numpy as np

from .._call.options import as_bool, as_int
from .._tables.forests import MAX_LISTED, Forests, basis_counts, find, forests, lyndon_counts
from .._tables.sizes import MAX_LENGTH, SizeError

Tree = tuple[Union["Tree", int], ...]


def _counts(dimension: Any, degree: Any, planar: Any) -> tuple[int, int, bool, list[int]]:
    """The options, and the number of coefficients of 1..degree nodes."""
    dimension, degree = as_int("dimension", dimension, 0), as_int("degree", degree, 0)
    planar = as_bool("planar", planar)
    return dimension, degree, planar, basis_counts(dimension, degree, planar)


def branched_sig_length(dimension: int, degree: int, *, planar: bool = False, scalar_term: bool = False) -> int:
    """Length of a branched signature.

    Parameters
    ----------
    dimension : int
        Number of channels of the path, with all transforms, at least 0.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether planar forests index the coefficients (Munthe-Kaas and Wright) in place of trees (Butcher, Connes and
        Kreimer).
    scalar_term : bool, default False
        Whether to count the coefficient of the empty tree, which is 1.

    Returns
    -------
    int
        Number of trees, or of planar forests, of 1 to `degree` nodes.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is negative, or the length passes 2**63 - 2.

    Examples
    --------
    >>> import siglib
    >>> siglib.branched_sig_length(2, 4), siglib.branched_sig_length(2, 4, planar=True)
    (72, 274)
    """
    dimension, degree, _, counts = _counts(dimension, degree, planar)
    length = sum(counts) + as_bool("scalar_term", scalar_term)
    if length >= MAX_LENGTH:
        raise SizeError(f"the branched signature of dimension {dimension} and degree {degree} is too long")
    return length


def branched_log_sig_length(dimension: int, degree: int, *, planar: bool = False) -> int:
    """Number of coordinates of a branched log-signature.

    Parameters
    ----------
    dimension : int
        Number of channels of the path, with all transforms, at least 0.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether planar forests index the coefficients.

    Returns
    -------
    int
        Number of planar forests that are Lyndon words in trees; if not planar, `branched_sig_length`, as then the
        logarithm has one free coordinate for each tree.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is negative, or there are more than 64 bits can count.

    Examples
    --------
    >>> import siglib
    >>> siglib.branched_log_sig_length(2, 4), siglib.branched_log_sig_length(2, 4, planar=True)
    (72, 170)
    """
    dimension, degree, planar, counts = _counts(dimension, degree, planar)
    return sum(lyndon_counts(dimension, degree)) if planar else sum(counts)


def trees(dimension: int, degree: int, *, planar: bool = False) -> tuple[Tree | None, ...]:
    """All trees, or planar forests, of 0 to `degree` nodes, in the order of a branched signature with scalar term.

    Parameters
    ----------
    dimension : int
        Number of labels, at least 0; the labels are 0, ..., dimension - 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    planar : bool, default False
        Whether to list planar forests, each a tuple of trees, also where it is one tree only.

    Returns
    -------
    tuple
        None for the empty tree, then the others, by number of nodes.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is negative, or there are too many trees to list.

    See Also
    --------
    tree_to_idx : the position of one tree.

    Examples
    --------
    >>> import siglib
    >>> siglib.trees(1, 3)
    (None, (0,), ((0,), 0), ((0,), (0,), 0), (((0,), 0), 0))
    >>> siglib.trees(1, 2, planar=True)
    (None, ((0,),), ((0,), (0,)), (((0,), 0),))
    """
    dimension, degree, planar, counts = _counts(dimension, degree, planar)
    return (None, *_listed(dimension, min(degree, len(counts)), planar, counts, 0))


def trees_of_order(dimension: int, order: int, *, planar: bool = False) -> tuple[Tree | None, ...]:
    """The trees, or planar forests, of exactly `order` nodes, in the order of a branched signature.

    Parameters
    ----------
    dimension : int
        Number of labels, at least 0.
    order : int
        Number of nodes, at least 0; the only tree of 0 nodes is None.
    planar : bool, default False
        Whether to list planar forests.

    Returns
    -------
    tuple
        The trees.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is negative, or there are too many trees to list.

    Examples
    --------
    >>> import siglib
    >>> siglib.trees_of_order(2, 2)
    (((0,), 0), ((0,), 1), ((1,), 0), ((1,), 1))
    """
    dimension, order, planar, counts = _counts(dimension, as_int("order", order, 0), planar)
    if order == 0:
        return (None,)
    if sum(counts) == 0:
        return ()
    return tuple(_listed(dimension, order, planar, counts, sum(counts[:-1])))


def tree_to_idx(tree: Any, dimension: int, degree: int, *, planar: bool = False, scalar_term: bool = False) -> int:
    """Where the coefficient of a tree, or of a planar forest, stands in a branched signature.

    Parameters
    ----------
    tree : tuple or list, or None
        The children of the root, then its label. If not planar, children may come in any order. If planar, a sequence
        of trees, or one tree. None is the empty tree.
    dimension : int
        Number of labels, at least 0.
    degree : int
        Number of nodes of the largest trees of the signature, at least 0.
    planar : bool, default False
        Whether planar forests index the signature.
    scalar_term : bool, default False
        Whether the signature begins with the coefficient of the empty tree.

    Returns
    -------
    int
        The index; it is the same for all degrees.

    Raises
    ------
    TypeError
        If `tree` is no nested sequence of integers, or an option is of the wrong type.
    ValueError
        If a label is not in 0, ..., dimension - 1, the tree has more than `degree` nodes, it is empty and there is no
        scalar term, or an option is out of range.

    Examples
    --------
    >>> import siglib
    >>> siglib.tree_to_idx(((0,), (1,), 0), 2, 3), siglib.tree_to_idx([[1], [0], 0], 2, 3)
    (8, 8)
    """
    dimension, degree, planar, _ = _counts(dimension, degree, planar)
    scalar_term = as_bool("scalar_term", scalar_term)
    if tree is None:
        if not scalar_term:
            raise ValueError("tree None is the empty tree, which has a coefficient only with scalar_term=True")
        return 0
    return number_of(as_forest(tree, dimension, degree, planar), dimension, planar) + scalar_term


def idx_to_tree(
    idx: int, dimension: int, degree: int, *, planar: bool = False, scalar_term: bool = False
) -> Tree | None:
    """The tree, or planar forest, of one coefficient of a branched signature.

    Parameters
    ----------
    idx : int
        The index, at least 0.
    dimension : int
        Number of labels, at least 0.
    degree : int
        Number of nodes of the largest trees of the signature, at least 0.
    planar : bool, default False
        Whether planar forests index the signature.
    scalar_term : bool, default False
        Whether the signature begins with the coefficient of the empty tree.

    Returns
    -------
    tuple or None
        The tree as `trees` lists it; None for the scalar term.

    Raises
    ------
    TypeError
        If an argument is of the wrong type.
    ValueError
        If an argument is negative, or `idx` is not less than the length of the signature.

    Examples
    --------
    >>> import siglib
    >>> siglib.idx_to_tree(8, 2, 3), siglib.idx_to_tree(8, 2, 3, planar=True)
    (((0,), (1,), 0), (((1,), 0),))
    """
    dimension, degree, planar, counts = _counts(dimension, degree, planar)
    scalar_term = as_bool("scalar_term", scalar_term)
    idx = as_int("idx", idx, 0)
    if idx >= sum(counts) + scalar_term:
        raise ValueError(
            f"idx must be less than {sum(counts) + scalar_term}, the length of the branched signature of dimension "
            f"{dimension} and degree {degree}, got {idx}"
        )
    if scalar_term and idx == 0:
        return None
    number = idx - scalar_term
    order = next(n for n in range(1, degree + 1) if number < sum(counts[:n]))
    if planar:
        return _forest_form(number + 1, forests(dimension, order, True))
    return _tree_form(number, forests(dimension, order - 1, False))


def _listed(dimension: int, degree: int, planar: bool, counts: list[int], start: int) -> list[Tree]:
    """The trees or forests of up to `degree` nodes from number `start` on."""
    if sum(counts) == 0:
        return []
    if sum(counts) > MAX_LISTED:
        raise SizeError(f"there are too many trees of {dimension} labels and {degree} nodes for a list")
    table = forests(dimension, degree if planar else degree - 1, planar)
    # Trees are read by forests of more nodes only; equal parts are one object.
    tree_forms: list[Tree] = []
    forest_forms: list[Tree] = []
    pairs = zip(table.first.tolist(), table.rest.tolist(), strict=True)
    n_trees = sum(counts) if not planar else dimension * int(table.starts[degree])
    for first, rest in pairs:
        forest = (tree_forms[first], *forest_forms[rest]) if first >= 0 else ()
        forest_forms.append(forest)
        if len(tree_forms) < n_trees:
            tree_forms.extend((*forest, label) for label in range(dimension))
    return forest_forms[1 + start :] if planar else tree_forms[start:]


def as_forest(tree: Any, dimension: int, degree: int, planar: bool, limit: str = "degree=") -> tuple[Tree, ...]:
    """A tree or planar forest of the caller's as a tuple of trees, checked; not None. `limit` is what errors say before
    the degree."""
    if not isinstance(tree, (tuple, list)):
        raise TypeError(f"tree must be a tuple or list of trees and a label, or None, got {type(tree).__name__}")
    if planar and len(tree) and isinstance(tree[-1], (tuple, list)):
        trees, n_left = [], degree
        for part in tree:
            found, n_left = _checked(part, dimension, limit, degree, n_left)
            trees.append(found)
        return tuple(trees)
    return (_checked(tree, dimension, limit, degree, degree)[0],)


def _checked(tree: Any, dimension: int, limit: str, degree: int, n_left: int) -> tuple[Tree, int]:
    """A tree as tuples of Python ints, and how many nodes of n_left it leaves."""
    if not isinstance(tree, (tuple, list)):
        raise TypeError(f"the children of a tree must be tuples or lists, got {tree!r}")
    if len(tree) == 0:
        raise ValueError("a tree must have a label, got an empty sequence: the empty tree is None")
    if isinstance(tree[-1], (tuple, list)):
        raise TypeError(f"the last item of a tree must be its root's label, an integer, got {type(tree[-1]).__name__}")
    label = as_int("the label of a tree", tree[-1], 0)
    if label >= dimension:
        raise ValueError(f"the labels of a tree must be less than dimension={dimension}, got {label}")
    if n_left == 0:
        raise ValueError(f"tree must have at most {limit}{degree} nodes, got more")
    children, n_left = [], n_left - 1
    for child in tree[:-1]:
        found, n_left = _checked(child, dimension, limit, degree, n_left)
        children.append(found)
    return (*children, label), n_left


def number_of(form: Any, dimension: int, planar: bool) -> int:
    """The place of a checked tree or planar forest among those of 1 node and more."""
    if planar:
        return _forest_number(form, forests(dimension, n_nodes(form), True)) - 1
    return _tree_number(form[0], forests(dimension, n_nodes(form) - 1, False))


def n_nodes(form: Any) -> int:
    """Nodes of a checked tree or forest."""
    return sum(1 if isinstance(item, int) else n_nodes(item) for item in form)


def _tree_number(form: Any, table: Forests) -> int:
    return _forest_number(form[:-1], table) * table.dimension + form[-1]


def _forest_number(form: Any, table: Forests) -> int:
    numbers = [_tree_number(tree, table) for tree in form]
    if not table.planar:
        numbers.sort()
    found = 0
    for number in reversed(numbers):
        found = int(find(table, np.array([number]), np.array([found]))[0])
    return found


def _tree_form(tree: int, table: Forests) -> Tree:
    return (*_forest_form(tree // table.dimension, table), tree % table.dimension)


def _forest_form(forest: int, table: Forests) -> Tree:
    found: list[Tree] = []
    while forest:
        found.append(_tree_form(int(table.first[forest]), table))
        forest = int(table.rest[forest])
    return tuple(found)
