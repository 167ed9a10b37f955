"""Log-signatures from signatures, and the gradient."""

from typing import Any

from .._call.libraries import Array
from .._call.operation import Operation
from .._call.options import as_n_threads
from .._call.shapes import check_batch, check_like, has_scalar_term, vector_shape
from .._call.tracing import without_compiler
from .._tables import grades
from .._tables.grades import Polynomial
from .._tables.sizes import augmented_dimension
from .parts import METHOD, log_length, tables_for


def has_extra_term(derivs: Any, name: str, expected: tuple[int, ...], method: int, scalar_term: bool) -> bool:
    """Whether derivatives of this shape, of a log-signature of shape `expected`, have a scalar entry too many, as they
    may for method 0; ValueError if they do not fit.
    """
    if method == 0:
        return check_like("log_sig_derivs", derivs, "the log-signature", expected, scalar_term)
    batch, length = vector_shape("log_sig_derivs", derivs)
    check_batch(name, expected[:-1], "log_sig_derivs", batch)
    if length != expected[-1]:
        raise ValueError(
            f"log_sig_derivs must have length {expected[-1]} on its last axis, one for each Lyndon word, got {length}"
        )
    return False


class _SigToLogSig(Operation):
    name = "sig_to_log_sig"
    arrays = ("sig",)
    options = ("dimension", "degree", "time_aug", "lead_lag", "method", "n_jobs")
    meanings = {"method": METHOD}
    derivs_name = "log_sig_derivs"

    def sizes(self, o: Any, sig: Any) -> tuple[Any, ...]:
        """(shape, dimension after transforms, whether `sig` has the scalar term)."""
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        scalar_term = has_scalar_term("sig", vector_shape("sig", sig)[1], dimension, o.degree)
        return (*sig[:-1], log_length(dimension, o.degree, o.method, scalar_term)), dimension, scalar_term

    def polynomial(self, o: Any, sig: Any) -> Polynomial:
        dimension = augmented_dimension(o.dimension, o.time_aug, o.lead_lag)
        term = has_scalar_term("sig", sig[-1], dimension, o.degree)
        return grades.of_vectors(o.degree, grades.tensor(dimension, o.degree, term))

    def forward(self, on: Any, out: Array, o: Any, sizes: Any, sig: Array) -> None:
        _, dimension, scalar_term = sizes
        tables = tables_for(on, dimension, o.degree, o.method)
        options = (dimension, o.degree, o.method, scalar_term, as_n_threads(o.n_jobs))
        on.loops.log_signature.sig_to_log_sig(on.rows(sig), tables, on.rows(out), *options)

    def has_extra_term(self, derivs: Any, o: Any, sizes: Any) -> bool:
        shape, _, scalar_term = sizes
        return has_extra_term(derivs, "sig", shape, o.method, scalar_term)

    def backward(self, on: Any, needs: Any, derivs: Array, out: Array, o: Any, sizes: Any, sig: Array) -> tuple[Any]:
        _, dimension, scalar_term = sizes
        gradient = on.empty(sig.shape)
        on.loops.log_signature.sig_to_log_sig_backprop(
            on.rows(sig),
            on.rows(derivs),
            tables_for(on, dimension, o.degree, o.method, backward=True),
            on.rows(gradient),
            dimension,
            o.degree,
            o.method,
            scalar_term,
            as_n_threads(o.n_jobs),
        )
        return (gradient,)


SIG_TO_LOG_SIG = _SigToLogSig()


def sig_to_log_sig(
    sig: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Log-signatures from signatures.

    The logarithm is that of the truncated tensor algebra: with S = 1 + x,

        log S = x - x (x) x / 2 + x (x) x (x) x / 3 - ...,

    where ``(u (x) v)(w)`` is the sum of ``u(w1) v(w2)`` over all ways to cut the word w in two. For the signature of a
    path it is a combination of brackets of channels, with far fewer independent numbers than words. They can be given
    in three ways, by `method`.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        Signatures with or without the scalar term, which counts as 1 whatever is stored. They need not be signatures of
        paths: the formula above is applied to any numbers.
    dimension : int
        Number of channels of the path, at least 1.
    degree : int
        Truncation level, at least 0.
    time_aug, lead_lag : bool, default False
        Whether the signatures were computed with these transforms.
    method : {1, 2, 0}
        What is returned.

        * 1, the default: ``log S`` at the Lyndon words, ordered by length and then alphabetically.
        * 2: the coordinates of ``log S`` in the Lyndon basis, one for each Lyndon word w in the same order: ``log S``
          is the sum of coordinates times brackets ``[w]``. The bracket of a letter is that letter, and ``[w] = [u] (x)
          [v] - [v] (x) [u]`` for w = u v, v being the longest proper suffix of w that is a Lyndon word. If `sig` is no
          signature, these are the coordinates of the combination of brackets that agrees with ``log S`` at the Lyndon
          words.
        * 0: ``log S`` at all words, in the format of `sig`; a scalar term is 0.
    n_jobs : int, default 1
        Number of threads; -1 for all processors, -k for all but k - 1. The result does not depend on it.

    Returns
    -------
    array of shape (..., log_sig_length(dimension, degree, ...)), or of the shape of `sig` for method 0
        Of the library, dtype and device of `sig`.

    Raises
    ------
    TypeError
        For what is no array of real numbers, or an option of the wrong type.
    ValueError
        If the length of `sig` does not fit `dimension` and `degree`, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    See Also
    --------
    log_sig : the same from paths, without storing their signatures.
    prepare_log_sig : builds in advance the tables that methods 1 and 2 build on first use.

    Notes
    -----
    Differentiable with respect to `sig`, once, in PyTorch; see `sig_to_log_sig_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993: theorem 3.2 for the logarithm, section 5.1 for the
    basis.
    J. Reizenstein and B. Graham, "The iisignature library", ACM Transactions on Mathematical Software 46 (2020),
    arXiv:1802.08252.

    Examples
    --------
    One step right, then one step up. The log-signature is the displacement and the area between path and chord:

    >>> import siglib
    >>> sig = siglib.sig([[0, 0], [1, 0], [1, 1]], 2)
    >>> siglib.sig_to_log_sig(sig, 2, 2)
    array([1. , 1. , 0.5])
    >>> siglib.sig_to_log_sig(sig, 2, 2, method=0)
    array([ 1. ,  1. ,  0. ,  0.5, -0.5,  0. ])
    """
    return SIG_TO_LOG_SIG(
        sig, dimension=dimension, degree=degree, time_aug=time_aug, lead_lag=lead_lag, method=method, n_jobs=n_jobs
    )


@without_compiler
def sig_to_log_sig_backprop(
    sig: Array,
    log_sig_derivs: Array,
    dimension: int,
    degree: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    method: int = 1,
    n_jobs: int = 1,
) -> Array:
    """Gradient of `sig_to_log_sig` with respect to the signatures.

    Given the derivatives g of a function F with respect to the log-signature, this returns its derivatives with respect
    to the signature: the transpose of the Jacobian of `sig_to_log_sig` at `sig`, applied to g. It is exact (the adjoint
    of the formulas that `sig_to_log_sig` evaluates, not a finite difference or a truncated series), and takes about
    twice the time of the forward operation.

    With S = 1 + x, and one product for each letter of the longest words, the forward operation is Horner's scheme,
    downwards from ``t[degree] = 0``:

        t[k] = c[k+1] x + x (x) t[k+1],   c[k] = (-1)**(k-1) / k,   log S = t[0].

    If ``gt[k]`` is the derivative of F with respect to ``t[k]``, then ``gt[0]`` is g itself for method 0; for method 1
    it is g at the Lyndon words and 0 at all others; for method 2 it is the solution m of ``transpose(P) m = g`` at the
    Lyndon words and 0 at all others, P being the unit lower triangular matrix that takes coordinates in the Lyndon
    basis to values at Lyndon words. The scheme is then run upwards, k = 0, ..., degree - 1. For all words w = u v cut
    in two non-empty parts,

        gx(w) += c[k+1] gt[k](w),   gx(u) += gt[k](w) t[k+1](v),   gt[k+1](v) += gt[k](w) x(u),

    and gx is the result. All ``t[k]`` are computed anew from `sig`, in scratch memory that does not grow with the
    batch.

    Parameters
    ----------
    sig : array of shape (..., sig_length(dimension, degree, ...))
        The signatures that were given to `sig_to_log_sig`. The map is differentiated in all numbers of the array as
        independent variables, so `sig` need not be a signature of a path.
    log_sig_derivs : array of shape (..., log_sig_length(dimension, degree, ...)), or of the shape of `sig` for method 0
        Derivatives of F with respect to the log-signatures; of the batch shape, dtype, library and device of `sig`. For
        method 0 the entry of the scalar term has no effect; it may be there even if `sig` has none.
    dimension, degree, time_aug, lead_lag, method, n_jobs
        As they were given to `sig_to_log_sig`.

    Returns
    -------
    array of the shape of `sig`
        Derivatives of F with respect to `sig`; 0 at the scalar term. A new array; a tensor comes without an autograd
        graph.

    Raises
    ------
    TypeError
        If the arrays are not of one library, device and dtype, or an option has the wrong type.
    ValueError
        If lengths or batch shapes do not go together, for an unknown method, or sizes out of reach.
    MemoryError
        If the result does not fit into memory.

    Notes
    -----
    In PyTorch this is what `sig_to_log_sig` does in a backward pass: ``loss.backward()`` calls it. It is not
    differentiable itself.

    For the gradient with respect to a path, give the result to `sig_backprop`, or use `log_sig_backprop`.

    References
    ----------
    C. Reutenauer, "Free Lie Algebras", Oxford University Press 1993: theorem 3.2 for the logarithm, section 5.1 for the
    basis.
    P. Kidger and T. Lyons, "Signatory: differentiable computations of the signature and logsignature transforms, on
    both CPU and GPU", ICLR 2021, arXiv:2001.00706, for the logarithm of signatures and its derivative.

    Examples
    --------
    At degree 2 the word 01 of ``log S`` is ``S(01) - S(0) S(1) / 2``. Its gradient in the words 0, 1, 00, 01, 10, 11:

    >>> import numpy as np, siglib
    >>> sig = siglib.sig(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 5.0]]), 2)
    >>> area = np.array([0.0, 0.0, 1.0])
    >>> siglib.sig_to_log_sig_backprop(sig, area, 2, 2)
    array([-2.5, -1.5,  0. ,  1. ,  0. ,  0. ])
    """
    return SIG_TO_LOG_SIG.backprop(
        log_sig_derivs,
        None,
        sig,
        dimension=dimension,
        degree=degree,
        time_aug=time_aug,
        lead_lag=lead_lag,
        method=method,
        n_jobs=n_jobs,
    )[0]
