"""Single coefficients of signatures: of a path at chosen words, without the others, or picked from a signature."""

import itertools
import operator
from collections.abc import Iterable
from typing import Any

from .._call import dask
from .._call.backend import widened
from .._call.libraries import Array, library_of, namespace_of
from .._call.operation import Operation
from .._call.options import as_bool, as_int, as_n_threads
from .._call.shapes import check_batch, path_shape, vector_shape
from .._call.tracing import is_compiling, settled, without_compiler
from .._tables import grades
from .._tables.cache import TABLES
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension, tensor_length
from .._tables.time import sets_time_words, time_powers
from .._tables.transform import Transform
from .._tables.word_trie import Word, decode, encode, powers, tables
from ..paths.series import with_clock
from .words import _as_word, word_to_idx

# The types of plain words, and of their letters.
_TUPLE, _INT = frozenset((tuple,)), frozenset((int,))


def _as_words(words: Any) -> tuple[Word, ...]:
    """The words as tuples of ints: a tuple is one word, a list holds words."""
    if isinstance(words, tuple):
        words = (words,)
    elif isinstance(words, list):
        words = tuple(words)
    else:
        raise TypeError(f"words must be a tuple of letters or a list of such words, got {type(words).__name__}")
    if not (_TUPLE.issuperset(map(type, words)) and _INT.issuperset(map(type, itertools.chain.from_iterable(words)))):
        words = tuple([_as_word(word) for word in words])
    return words


def _check_letters(words: Iterable[Word]) -> None:
    letters = set(itertools.chain(*words))
    if letters and not (min(letters) >= 0 and max(letters) < 2**31):
        word = next(word for word in words if word and not (min(word) >= 0 and max(word) < 2**31))
        raise ValueError(f"the letters of words must be at least 0, and below 2**31, got {word}")


@TABLES.keep
def _checked_text(words: tuple[Word, ...]) -> str:
    if not words:
        raise ValueError("words must not be empty: give at least one word")
    _check_letters(words)
    return encode(words)


def _as_text(words: Any) -> str:
    """The words encoded as operators take them; there must be some."""
    return _checked_text(_as_words(words))


def put_coefficients(
    on: Any, paths: Any, words: str, prefixes: bool, rows: Any, transform: Transform, n_threads: int
) -> None:
    """The coefficients of encoded words to `rows`."""
    on.loops.coefficients.sig_coef(paths, words, prefixes, rows, transform, n_threads)
    if transform.time_aug and sets_time_words(transform.time_aug, rows.itemsize, paths.shape[1] - 1):
        time = transform.width(paths.shape[2]) - 1
        with on.current():
            for place, length in powers(words, time, prefixes):
                rows[:, place] = time_powers(transform.end_time, length)[-1]


class _SigCoef(Operation):
    """Coefficients of encoded words."""

    name = "sig_coef"
    arrays = ("path",)
    options = ("words", "time_aug", "lead_lag", "end_time", "prefixes", "n_jobs")
    keeps_out = "prefixes"
    takes_out, out_name = True, "coefs"

    def sizes(self, o: Any, path: Any) -> tuple[Any, ...]:
        batch, _, dimension = path_shape("path", path)
        found = tables(o.words)
        channels = augmented_dimension(dimension, o.time_aug, o.lead_lag)
        if found.n_channels > channels:
            raise ValueError(f"the letters of words must be in [0, {channels}), got {found.n_channels - 1}")
        return ((*batch, len(found.prefix_columns if o.prefixes else found.columns)),)

    def polynomial(self, o: Any, path: Any) -> Polynomial:
        return grades.of_path(max(map(len, decode(o.words))), o)

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, path: Array) -> None:
        put_coefficients(on, on.paths(path), o.words, o.prefixes, on.rows(out), o.transform, as_n_threads(o.n_jobs))

    def adapted(self, o: Any, derivs: Any, out: Any, path: Any) -> Any:
        n_prefixes, expected = len(tables(o.words).prefix_columns), path_shape("path", path)[0]
        for name, shape in (("coefs", out), ("derivs", derivs)):
            batch, length = vector_shape(name, shape)
            check_batch("path", expected, name, batch)
            if length != n_prefixes:
                raise ValueError(
                    f"{name} must have length {n_prefixes} on its last axis, one entry for each prefix of "
                    f"each word (prefixes=True), got {length}"
                )
        return o

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, path: Array) -> tuple[Any]:
        gradient = on.empty(path.shape)
        on.loops.coefficients.sig_coef_backprop(
            on.paths(path),
            o.words,
            on.rows(out) if o.prefixes else None,
            on.rows(derivs),
            o.prefixes,
            on.paths(gradient),
            o.transform,
            as_n_threads(o.n_jobs),
        )
        return (gradient,)


SIG_COEF = _SigCoef()


def sig_coef(
    path: Array,
    words: Word | list[Word],
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    prefixes: bool = False,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Coefficients of the signature at chosen words, without computing the others.

    The work is that of the distinct prefixes of the words: words that begin alike share it, and their number, length
    and order may be anything.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        One path or a batch of them. Lists and integers are taken as float64. A path of length 0 or 1 is constant.
    words : tuple of int or list of tuples of int
        One word, or a list of words. The letters are channels of the path after its transforms. The coefficient of the
        empty word is 1.
    time_aug : bool, default False
        Add time as the last channel, running evenly from 0 to `end_time`.
    lead_lag : bool, default False
        Replace the path by its lead-lag transform, of twice as many channels. See `transform_path`.
    end_time : float, default 1.0
        Where time ends, if `time_aug`.
    prefixes : bool, default False
        Give the coefficients of all prefixes of each word instead: of its first letter, its first two letters, and so
        on to the word itself. The empty word has itself as its only prefix.
    lengths : sequence of n int, default None
        How many points each path has, if `path` is padded to one length: see `RaggedPaths`.
    times : array of shape (length,) or (..., length), or sequence of n arrays, default None
        When the points were measured, taken for the time that `time_aug` adds instead of an even clock: see `Series`.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., number of words)
        In the order of `words`; of the library, dtype and device of `path`. One word gives an axis of length 1. With
        `prefixes` the last axis has an entry for each letter of each word.

    Raises
    ------
    TypeError
        For what is no array of real numbers, words that are no tuples of integers, or an option of the wrong type.
    ValueError
        For an empty list, letters that are no channels, or a path without channels or of fewer than two axes.

    See Also
    --------
    extract_sig_coef : coefficients of a signature that is there already.
    sig : all coefficients up to a degree; faster if most of them are wanted.

    Notes
    -----
    Differentiable with respect to `path`, once, in PyTorch; see `sig_coef_backprop`.

    Examples
    --------
    One step right, then one step up. The area under the path is the difference of the words 01 and 10:

    >>> import siglib
    >>> path = [[0, 0], [1, 0], [1, 1]]
    >>> siglib.sig_coef(path, [(0, 1), (1, 0), ()])
    array([1., 0., 1.])
    >>> siglib.sig_coef(path, (0, 1, 1), prefixes=True)
    array([1. , 1. , 0.5])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    text = _text_of_constant(words) if is_compiling() else _as_text(words)
    return SIG_COEF(
        path,
        words=text,
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        prefixes=prefixes,
        n_jobs=n_jobs,
    )


@without_compiler
def sig_coef_backprop(
    path: Array,
    words: Word | list[Word],
    coefs: Array,
    derivs: Array,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
    lengths: Any = None,
    times: Any = None,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `sig_coef` with respect to the path.

    The coefficients of the path's parts are recovered from those of the whole path, one increment after another, so
    that memory does not grow with the length of the path.

    Parameters
    ----------
    path : array of shape (..., length, dimension)
        The path that `coefs` was computed from.
    words : tuple of int or list of tuples of int
        As they were given to `sig_coef`.
    coefs : array of shape (..., number of prefixes)
        What ``sig_coef(path, words, prefixes=True)`` gave. The gradient may be wrong if this is something else.
    derivs : array of the shape of `coefs`
        Derivatives of a function F with respect to the entries of `coefs`.
    time_aug, lead_lag, end_time, lengths, times, n_jobs
        As they were given to `sig_coef`.

    Returns
    -------
    array of shape (..., length, dimension)
        Derivatives of F with respect to `path`. New; no argument is changed. Tensors come without an autograd graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or if an option has the wrong type.
    ValueError
        If the shapes do not go together, or for words that `sig_coef` refuses.

    Examples
    --------
    The first prefix, 0, is the last point minus the first in channel 0:

    >>> import numpy as np, siglib
    >>> path = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    >>> coefs = siglib.sig_coef(path, (0, 1), prefixes=True)
    >>> siglib.sig_coef_backprop(path, (0, 1), coefs, np.array([1.0, 0.0]))
    array([[-1.,  0.],
           [ 0.,  0.],
           [ 1.,  0.]])
    """
    if lengths is not None or times is not None:
        path = with_clock(path, lengths, times, time_aug)
    return SIG_COEF.backprop(
        derivs,
        coefs,
        path,
        words=_as_text(words),
        time_aug=time_aug,
        lead_lag=lead_lag,
        end_time=end_time,
        prefixes=True,
        n_jobs=n_jobs,
    )[0]


def extract_sig_coef(
    sig: Array,
    words: Word | list[Word],
    dimension: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    scalar_term: bool = False,
) -> Array:
    """Coefficients at chosen words from signatures that are there already.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        One signature or a batch of them, of any degree.
    words : tuple of int or list of tuples of int
        One word, or a list of words, which may be empty. The letters are channels of the path after its transforms.
    dimension : int
        Number of channels of the path, at least 1.
    time_aug, lead_lag : bool, default False
        Whether `sig` was computed with these transforms.
    scalar_term : bool, default False
        Whether `sig` stores the coefficient of the empty word in front. It must, if the empty word is asked for.

    Returns
    -------
    array of shape (..., number of words)
        In the order of `words`; of the library, dtype and device of `sig`. One word gives an axis of length 1.

    Raises
    ------
    TypeError
        For what is no array of real numbers, words that are no tuples of integers, or an option of the wrong type.
    ValueError
        If `sig` has not the length of a signature, with or without scalar term as `scalar_term` says, or for letters
        that are no channels.
    IndexError
        If a word is longer than the degree of `sig`.

    See Also
    --------
    sig_coef : the same without the signature.

    Notes
    -----
    Differentiable with respect to `sig` in PyTorch, any number of times.

    Examples
    --------
    >>> import siglib
    >>> sig = siglib.sig([[0, 0], [1, 0], [1, 1]], 2)
    >>> siglib.extract_sig_coef(sig, [(0, 1), (1, 0)], 2)
    array([1., 0.])
    """
    dimension = as_int("dimension", dimension, 1)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    scalar_term = as_bool("scalar_term", scalar_term)
    if is_compiling():
        places, longest = _places_of_text(_text_of_constant(words), dimension, scalar_term)
        _check_degree(sig.shape, longest, dimension, scalar_term)
        return picked(sig, places)
    as_given, sig = widened(sig=sig)
    places, longest = _places(words, dimension, scalar_term)
    _check_degree(sig.shape, longest, dimension, scalar_term)
    return as_given(picked(sig, places))


def picked(sig: Array, places: list[int]) -> Array:
    """The entries at these places of the last axis."""
    if library_of(sig) == "torch":
        return sig[..., places].contiguous()
    if library_of(sig) == "dask":
        return dask.picked(sig, places)
    xp = namespace_of(sig)
    return xp.take(sig, xp.asarray(places, "int64"), axis=-1)


def _places(words: Any, dimension: int, scalar_term: bool) -> tuple[list[int], int]:
    """Where the coefficients of the words stand in a signature, and the length of the longest word."""
    checked = _as_words(words)
    _check_letters(checked)
    places = [word_to_idx(word, dimension, scalar_term=scalar_term) for word in checked]
    return places, max(map(len, checked), default=0)


def _check_degree(shape: tuple[int, ...], longest: int, dimension: int, scalar_term: bool) -> None:
    degree = _degree_of(vector_shape("sig", shape)[1], dimension, scalar_term)
    if longest > degree:
        raise IndexError(f"sig has degree {degree}, which is less than {longest}, the length of the longest word")


def _degree_of(length: int, dimension: int, scalar_term: bool) -> int:
    """The degree of a signature of this length; ValueError if there is none."""
    degree = max(length - scalar_term, 0) if dimension == 1 else 0
    while tensor_length(dimension, degree) + scalar_term < length:
        degree += 1
    if tensor_length(dimension, degree) + scalar_term == length:
        return degree
    other = "without" if scalar_term else "with"
    raise ValueError(
        f"sig must have the length of a signature of dimension {dimension} on its last axis, got {length} (scalar_term="
        f"{scalar_term}; if it was computed {other} scalar term, pass scalar_term={not scalar_term})"
    )


def _text_of_constant(words: Any) -> str:
    """`_as_text` in few words, which torch.compile can follow to a constant; wrong words are found by who reads it."""
    if not isinstance(words, (tuple, list)) or len(words) == 0 and isinstance(words, list):
        raise ValueError(f"words must be a tuple of letters or a list of at least one such word, got {words}")
    checked = [words] if isinstance(words, tuple) else words
    return ";".join([",".join([str(operator.index(settled("words", letter))) for letter in word]) for word in checked])


def _places_of_text(text: str, dimension: int, scalar_term: bool) -> tuple[list[int], int]:
    return _places(decode(text), dimension, scalar_term)


# The mark of torch.compiler.assume_constant_result: the compiler calls this function instead of tracing it.
_places_of_text._dynamo_marked_constant = True  # type: ignore[attr-defined]
