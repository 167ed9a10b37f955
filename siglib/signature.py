"""Signatures: the iterated integrals of a path, their product, and the gradients of both."""

from typing import Any

from ._backend import backend_for
from ._checks import (
    as_bool,
    as_float,
    as_int,
    as_n_threads,
    augmented_dimension,
    checked_tensor_length,
    has_scalar_term,
)


def sig_length(dimension, degree, *, time_aug=False, lead_lag=False, scalar_term=False):
    dimension = as_int("dimension", dimension, 0)
    degree = as_int("degree", degree, 0)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    return checked_tensor_length(dimension, degree) + as_bool("scalar_term", scalar_term)


def sig(path, degree, *, time_aug=False, lead_lag=False, end_time=1.0, horner=True, scalar_term=False, correction=None, n_jobs=1):
    degree = as_int("degree", degree, 0)
    on, path = backend_for(path=path)
    batch = path.shape[:-2]
    length, dimension = path.shape[-2:]
    D = augmented_dimension(dimension, time_aug, lead_lag)
    out = on.empty((*batch, checked_tensor_length(D, degree) + scalar_term))
    on.kernels.signature.sig(
        on.view(path).reshape(-1, length, dimension),
        on.view(out).reshape(-1, out.shape[-1]),
        degree,
        scalar_term,
        time_aug,
        lead_lag,
        end_time,
        as_n_threads(n_jobs),
    )
    return on.result(out)


signature = sig


def sig_backprop(path, sig, sig_derivs, degree, *, time_aug=False, lead_lag=False, end_time=1.0, correction=None, n_jobs=1):
    degree = as_int("degree", degree, 0)
    on, path, sig, sig_derivs = backend_for(path=path, sig=sig, sig_derivs=sig_derivs)
    length, dimension = path.shape[-2:]
    D = augmented_dimension(dimension, time_aug, lead_lag)
    scalar_term = has_scalar_term("sig", sig.shape[-1], D, degree)
    out = on.empty(path.shape)
    on.kernels.signature.sig_backprop(
        on.view(path).reshape(-1, length, dimension),
        on.view(sig).reshape(-1, sig.shape[-1]),
        on.view(sig_derivs).reshape(-1, sig.shape[-1]),
        on.view(out).reshape(-1, length, dimension),
        degree,
        scalar_term,
        time_aug,
        lead_lag,
        end_time,
        as_n_threads(n_jobs),
    )
    return on.result(out)


def sig_combine(sig1, sig2, dimension, degree, *, time_aug=False, lead_lag=False, n_jobs=1): ...
def sig_combine_backprop(deriv, sig1, sig2, dimension, degree, *, time_aug=False, lead_lag=False, n_jobs=1): ...
