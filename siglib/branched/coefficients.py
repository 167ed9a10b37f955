"""Single coefficients of branched signatures: of a path at chosen trees, or picked from a branched signature."""

import json
import operator
from collections.abc import Callable
from typing import Any

from .._call.backend import widened
from .._call.libraries import Array, namespace_of
from .._call.operation import Operation
from .._call.options import TEXT, as_bool, as_int, as_n_threads
from .._call.shapes import check_batch, path_shape, vector_shape
from .._call.tracing import is_compiling, settled, without_compiler
from .._tables import grades, tree_tables
from .._tables.cache import TABLES
from .._tables.forests import branched_length
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension
from .._tables.tree_words import MAX_NODES
from .._tables.word_trie import decode, encode, tables
from ..paths.series import with_clock
from ..signatures.coefficients import picked, put_coefficients
from ..signatures.corrections import as_correction
from .sig import BRANCHED_SIG, blocks_of_sigs
from .trees import Tree, as_forest, n_nodes, number_of

# Labels are letters of words.
_MAX_LABELS = 2**31


def _listed(trees: Any) -> list[Any]:
    """The trees of a call, as they were given: a list that does not end in a label has several."""
    if trees is None or isinstance(trees, tuple):
        return [trees]
    if not isinstance(trees, list):
        raise TypeError(f"trees must be a tree, None, or a list of such, got {type(trees).__name__}")
    one = trees and trees[-1] is not None and not isinstance(trees[-1], (tuple, list))
    return [trees] if one else trees


def _text_of(trees: Any, planar: bool) -> str:
    """The trees encoded as operators take them, each as a forest; there must be some."""
    given = _listed(trees)
    if is_compiling():
        return _text_of_constant(_plain_text(given), planar)
    return _kept(_checked_text, given, planar)


def _kept(function: Callable[..., Any], given: list[Any], *options: Any) -> Any:
    """`function(given, *options)`, kept if the trees are of Python's own types."""
    try:
        # True is not 1 in a text, and numbers of other libraries do not pass.
        text = json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        return function(given, *options)
    return _of_text(function, text, *options)


@TABLES.keep
def _of_text(function: Callable[..., Any], text: str, *options: Any) -> Any:
    return function(json.loads(text), *options)


def _checked_text(given: list[Any], planar: bool) -> str:
    if not given:
        raise ValueError("trees must not be empty: give at least one tree")
    return json.dumps(_checked(given, _MAX_LABELS, planar))


def _checked(given: list[Any], dimension: int, planar: bool) -> list[Any]:
    """Trees as forests."""
    return [() if tree is None else as_forest(tree, dimension, MAX_NODES, planar, "") for tree in given]


def _places_of(
    trees: Any, dimension: int, planar: bool, scalar_term: bool, length: int | None = None
) -> tuple[list[int], int]:
    """Where the coefficients of trees stand in a branched signature, of this length if it is there already, and the
    number of nodes of the largest tree."""
    given = _listed(trees)
    if is_compiling():
        sizes = [dimension, -1 if length is None else length]
        return _places_of_constant(_plain_text(given), _plain_text(sizes), planar, scalar_term)
    # Where torch.jit traces, sizes are tensors.
    length = None if length is None else int(length)
    return _kept(_checked_places, given, int(dimension), planar, scalar_term, length)


def _checked_places(
    given: list[Any], dimension: int, planar: bool, scalar_term: bool, length: int | None
) -> tuple[list[int], int]:
    forms = _checked(given, dimension, planar)
    largest = max(map(n_nodes, forms), default=0)
    if length is not None:
        degree = _degree_of(length, dimension, planar, scalar_term)
        if largest > degree:
            raise IndexError(f"bsig has degree {degree}, which is less than {largest}, the nodes of the largest tree")
    if () in forms and not scalar_term:
        raise ValueError("trees has None, the empty tree, which has a coefficient only with scalar_term=True")
    return [number_of(form, dimension, planar) + scalar_term if form else 0 for form in forms], largest


def _plain_text(tree: Any) -> str:
    """What was given for trees, in few words, which torch.compile can follow to a constant; numbers may be variables
    there, texts are not. Wrong trees are found by who reads it."""
    if isinstance(tree, (tuple, list)):
        return "[" + ",".join([_plain_text(part) for part in tree]) + "]"
    return "null" if tree is None else str(operator.index(settled("trees", tree)))


def _text_of_constant(text: str, planar: bool) -> str:
    return _of_text(_checked_text, text, planar)


def _places_of_constant(text: str, sizes: str, planar: bool, scalar_term: bool) -> tuple[list[int], int]:
    dimension, length = json.loads(sizes)
    return _of_text(_checked_places, text, dimension, planar, scalar_term, None if length < 0 else length)


# The mark of torch.compiler.assume_constant_result: the compiler calls these functions instead of tracing them.
_text_of_constant._dynamo_marked_constant = True  # type: ignore[attr-defined]
_places_of_constant._dynamo_marked_constant = True  # type: ignore[attr-defined]


@TABLES.keep
def _forms_of(text: str) -> tuple[Any, ...]:
    """The forests of encoded trees."""
    return _as_tuples(json.loads(text))


def _as_tuples(form: Any) -> Any:
    return tuple(map(_as_tuples, form)) if isinstance(form, list) else form


@TABLES.keep
def _words_of(text: str, planar: bool) -> tuple[str, int]:
    """The words that encoded trees need, encoded, and their number."""
    words = tree_tables.coefficient_words(_forms_of(text), planar)
    return encode(words), len(words)


class _BranchedSigCoef(Operation):
    """Coefficients of encoded trees: sums of those of words."""

    name = "branched_sig_coef"
    arrays = ("path",)
    options = ("trees", "planar", "time_aug", "lead_lag", "end_time", "n_jobs")
    meanings = {"trees": TEXT}
    takes_out, out_name = True, "coefs"

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        """(shape, trees, words, number of words)."""
        batch, _, dimension = path_shape("path", path)
        forms, (words, n_words) = _forms_of(o.trees), _words_of(o.trees, o.planar)
        _check_labels(words, augmented_dimension(dimension, o.time_aug, o.lead_lag))
        return (*batch, len(forms)), forms, words, n_words

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        return grades.of_path(max(map(len, decode(_words_of(o.trees, o.planar)[0]))), o)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        _, forms, words, n_words = sizes
        paths, rows, n_threads = on.paths(path), on.rows(out), as_n_threads(o.n_jobs)
        for block, coefs in blocks_of_sigs(on, len(paths), n_words):
            put_coefficients(on, paths[block], words, False, coefs, o.transform, n_threads)
            on.loops.branched.coefficients(coefs, rows[block], forms, o.planar, n_threads)

    def adapted(self, o: Any, derivs: Any, out: Any, path: Any) -> Any:
        _check_shape("coefs", out, self.sizes(o, path)[0])
        return o

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        _check_shape("derivs", derivs, sizes[0])
        return False

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        _, forms, words, n_words = sizes
        gradient, n_threads = on.empty(path.shape), as_n_threads(o.n_jobs)
        paths, rows, gradients = on.paths(path), on.rows(derivs), on.paths(gradient)
        for block, coefs in blocks_of_sigs(on, len(paths), n_words):
            on.loops.branched.coefficients_backprop(rows[block], coefs, forms, o.planar, n_threads)
            on.loops.coefficients.sig_coef_backprop(
                paths[block], words, None, coefs, False, gradients[block], o.transform, n_threads
            )
        return (gradient,)


BRANCHED_SIG_COEF = _BranchedSigCoef()


def _check_labels(words: str, channels: int) -> None:
    n_labels = tables(words).n_channels
    if n_labels > channels:
        raise ValueError(f"the labels of trees must be in [0, {channels}), got {n_labels - 1}")


def prepare_trees(trees: Any, channels: int, planar: bool) -> None:
    """Build the tables of trees of so many labels."""
    text = _text_of(trees, planar)
    _check_labels(_words_of(text, planar)[0], channels)
    for transposed in (False, True):
        tree_tables.coefficient_matrix(_forms_of(text), planar, "float64", transposed)


def _check_shape(name: str, shape: Any, expected: Any) -> None:
    batch, length = vector_shape(name, shape)
    check_batch("path", expected[:-1], name, batch)
    if length != expected[-1]:
        raise ValueError(f"{name} must have length {expected[-1]} on its last axis, one entry per tree, got {length}")


def branched_sig_coef(
    path: Array,
    trees: Tree | None | list[Tree | None],
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    correction: Array = None,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Coefficients of the branched signature at chosen trees, without computing the others.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. A path of length 0 or 1 is constant.
    trees : tree, None, or list of such
        One tree, or a list of trees, each the tuple or list of the root's children and its label; the labels are
        channels of the path after its transforms. Children may come in any order if not `planar`; if planar, the trees
        are ordered forests, tuples of trees, or single trees. None is the empty tree, of coefficient 1. At most 100
        nodes.
    time_aug, lead_lag, end_time
        Transforms of the path, as in `branched_sig`.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    correction : array, default None
        As in `branched_sig`, of which all coefficients are computed then.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., number of trees)
        In the order of `trees`; of the library, dtype and device of `path`. One tree gives an axis of length 1.

    Raises
    ------
    TypeError
        For what is no array of real numbers, trees that are no nested sequences of integers, or an option of the wrong
        type.
    ValueError
        For an empty list, labels that are no channels, trees that are too large, a path without channels or of fewer
        than two axes, or a correction that does not fit.

    See Also
    --------
    extract_branched_sig_coef : coefficients of a branched signature that is there already.
    sig_coef : coefficients at words.

    Notes
    -----
    Without a correction the coefficient of a tree is the sum of those of all words that list its nodes, children before
    parents, and the work is that of `sig_coef` for these words. Differentiable with respect to `path` and `correction`,
    once, in PyTorch.

    Examples
    --------
    One step right, then one step up: the integral of x**2 dy is 1, that of y**2 dx is 0.

    >>> import siglib
    >>> path = [[0, 0], [1, 0], [1, 1]]
    >>> siglib.branched_sig_coef(path, [((0,), (0,), 1), ((1,), (1,), 0), None])
    array([1., 0., 1.])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    planar, correction = as_bool("planar", planar), as_correction(correction)
    if correction is None:
        return BRANCHED_SIG_COEF(
            path,
            trees=_text_of(trees, planar),
            planar=planar,
            time_aug=time_aug,
            lead_lag=lead_lag,
            end_time=end_time,
            n_jobs=n_jobs,
        )
    back, path, correction = widened(path=path, correction=correction)
    options, places = _options_of_corrected(path, correction, trees, planar, time_aug)
    bsig = BRANCHED_SIG(path, correction, **options, lead_lag=lead_lag, end_time=end_time, n_jobs=n_jobs)
    return back(picked(bsig, places))


@without_compiler
def branched_sig_coef_backprop(
    path: Array,
    trees: Tree | None | list[Tree | None],
    coefs: Array,
    derivs: Array,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    planar: bool = False,
    correction: Array = None,
    correction_deriv: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Any:
    """Gradient of `branched_sig_coef` with respect to the path and, if asked for, the correction.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that `coefs` was computed from.
    trees : tree, None, or list of such
        As they were given to `branched_sig_coef`.
    coefs : array of shape (..., number of trees)
        What it gave. Only its shape is looked at.
    derivs : array of the shape of `coefs`
        Derivatives of a function F with respect to the coefficients.
    time_aug, lead_lag, end_time, planar, correction, lengths, times, n_jobs
        As they were given to `branched_sig_coef`.
    correction_deriv : bool, default False
        Whether the gradient with respect to `correction` is wanted, too.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; tensors come without an autograd graph. With `correction_deriv`
        a tuple of this and the derivatives with respect to `correction`, of its shape.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If the shapes do not go together, or for trees that `branched_sig_coef` refuses.

    Examples
    --------
    >>> import numpy as np, siglib
    >>> path = np.array([[0.0], [2.0]])
    >>> coefs = siglib.branched_sig_coef(path, ((0,), 0))
    >>> siglib.branched_sig_coef_backprop(path, ((0,), 0), coefs, np.array([1.0]))
    array([[-2.],
           [ 2.]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    planar, correction = as_bool("planar", planar), as_correction(correction)
    if as_bool("correction_deriv", correction_deriv) and correction is None:
        raise ValueError("correction_deriv is True, but there is no correction")
    if correction is None:
        return BRANCHED_SIG_COEF.backprop(
            derivs,
            coefs,
            path,
            trees=_text_of(trees, planar),
            planar=planar,
            time_aug=time_aug,
            lead_lag=lead_lag,
            end_time=end_time,
            n_jobs=n_jobs,
        )[0]
    back, derivs, coefs, path, correction = widened(derivs=derivs, coefs=coefs, path=path, correction=correction)
    options, places = _options_of_corrected(path, correction, trees, planar, time_aug)
    options |= {"lead_lag": lead_lag, "end_time": end_time, "n_jobs": n_jobs}
    bsig = BRANCHED_SIG(path, correction, **options)
    for name, array in (("coefs", coefs), ("derivs", derivs)):
        _check_shape(name, tuple(array.shape), (*path_shape("path", tuple(path.shape))[0], len(places)))
    bsig_derivs = namespace_of(bsig).zeros_like(bsig)
    for k, place in enumerate(places):
        bsig_derivs[..., place] += derivs[..., k]
    needs = (True, correction_deriv)
    found = BRANCHED_SIG.backprop(bsig_derivs, bsig, path, correction, needs=needs, **options)
    return tuple(map(back, found)) if correction_deriv else back(found[0])


def _options_of_corrected(
    path: Array, correction: Array, trees: Any, planar: bool, time_aug: Any
) -> tuple[dict[str, Any], list[int]]:
    """Options of the branched signature that has these coefficients, and their places in it. It is of the degree of the
    correction at least, which may have terms that none of the trees needs."""
    d, n_terms = path_shape("path", tuple(path.shape))[2], (tuple(correction.shape) or (0,))[-1]
    time_aug = as_bool("time_aug", time_aug)
    places, degree = _places_of(trees, d + int(time_aug), planar, True)
    if not places:
        raise ValueError("trees must not be empty: give at least one tree")
    degree, m, width = max(degree, 2), 2, d**2
    while width < n_terms and m < MAX_NODES:
        m += 1
        width += d**m
    if width == n_terms:
        degree = max(degree, m)
    return {"degree": degree, "planar": planar, "time_aug": time_aug, "scalar_term": True}, places


def extract_branched_sig_coef(
    bsig: Array,
    trees: Tree | None | list[Tree | None],
    dimension: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    scalar_term: bool = False,
) -> Array:
    """Coefficients at chosen trees from branched signatures that are there already.

    Parameters
    ----------
    bsig : array of shape (..., branched_sig_length(dimension, degree, ...))
        One branched signature or a batch of them, of any degree; or logarithms of method 0.
    trees : tree, None, or list of such
        As in `branched_sig_coef`; the list may be empty.
    dimension : int
        Number of channels of the path, at least 1.
    time_aug, lead_lag : bool, default False
        Whether `bsig` was computed with these transforms.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    scalar_term : bool, default False
        Whether `bsig` stores the coefficient of the empty tree in front. It must, if the empty tree is asked for.

    Returns
    -------
    array of shape (..., number of trees)
        In the order of `trees`; of the library, dtype and device of `bsig`. One tree gives an axis of length 1.

    Raises
    ------
    TypeError
        For what is no array of real numbers, trees that are no nested sequences of integers, or an option of the wrong
        type.
    ValueError
        If `bsig` has not the length of a branched signature, with or without scalar term as `scalar_term` says, or for
        labels that are no channels.
    IndexError
        If a tree has more nodes than the degree of `bsig`.

    See Also
    --------
    branched_sig_coef : the same without the branched signature.

    Notes
    -----
    Differentiable with respect to `bsig` in PyTorch, any number of times.

    Examples
    --------
    >>> import siglib
    >>> bsig = siglib.branched_sig([[0, 0], [1, 0], [1, 1]], 3)
    >>> siglib.extract_branched_sig_coef(bsig, [((0,), 1), ((1,), (0,), 1)], 2)
    array([1. , 0.5])
    """
    dimension = as_int("dimension", dimension, 1)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    planar, scalar_term = as_bool("planar", planar), as_bool("scalar_term", scalar_term)
    if is_compiling():
        length = vector_shape("bsig", bsig.shape)[1]
        return picked(bsig, _places_of(trees, dimension, planar, scalar_term, length)[0])
    back, bsig = widened(bsig=bsig)
    length = vector_shape("bsig", tuple(bsig.shape))[1]
    return back(picked(bsig, _places_of(trees, dimension, planar, scalar_term, length)[0]))


def _degree_of(length: int, dimension: int, planar: bool, scalar_term: bool) -> int:
    """The degree of a branched signature of this length; ValueError if there is none."""
    degree = 0
    while branched_length(dimension, degree, planar) + scalar_term < length:
        degree += 1
    if branched_length(dimension, degree, planar) + scalar_term == length:
        return degree
    other = "without" if scalar_term else "with"
    raise ValueError(
        f"bsig must have the length of a branched signature of dimension {dimension} on its last axis, got {length} "
        f"(planar={planar}, scalar_term={scalar_term}; if it was computed {other} scalar term, pass scalar_term="
        f"{not scalar_term})"
    )
