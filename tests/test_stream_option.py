"""`stream=True`: the signatures and log-signatures of all prefixes."""

import numpy as np
import pytest
from checking import assert_close, optional

import siglib


@pytest.mark.parametrize("transform", [{}, {"time_aug": True, "end_time": 2.0}, {"lead_lag": True}], ids=str)
@pytest.mark.parametrize("scalar_term", [False, True])
def test_rows_are_signatures_of_prefixes(rng, dtype, transform, scalar_term):
    path = rng.normal(size=(2, 6, 2)).astype(dtype)
    whole = siglib.transform_path(path, **transform) if transform else path
    got = siglib.sig(path, 3, stream=True, scalar_term=scalar_term, **transform)
    step = 2 if "lead_lag" in transform else 1
    for k in range(6):
        assert_close(got[:, k], siglib.sig(whole[:, : step * k + 1], 3, scalar_term=scalar_term))


@pytest.mark.parametrize("method", [0, 1, 2, 3])
@pytest.mark.parametrize("scalar_term", [False, True])
def test_rows_are_log_signatures_of_prefixes(rng, dtype, method, scalar_term):
    path = rng.normal(size=(2, 5, 3)).astype(dtype)
    got = siglib.log_sig(path, 3, stream=True, method=method, scalar_term=scalar_term)
    for k in range(5):
        want = siglib.log_sig(path[:, : k + 1], 3, method=method, scalar_term=scalar_term)
        assert_close(got[:, k], want)


@pytest.mark.parametrize("operation", [siglib.sig, siglib.log_sig])
def test_false_is_off(rng, operation):
    path = rng.normal(size=(4, 2))
    for off in (False, np.False_):
        assert np.array_equal(operation(path, 2, stream=off), operation(path, 2))


@pytest.mark.parametrize("operation", [siglib.sig, siglib.log_sig])
def test_what_is_refused(rng, operation):
    path = rng.normal(size=(4, 2))
    with pytest.raises(TypeError, match="stream must be True or False, got 1"):
        operation(path, 2, stream=1)
    with pytest.raises(ValueError, match="correction cannot be used together with stream"):
        operation(path, 2, stream=True, correction=np.ones(4))
    # An empty correction is none.
    assert operation(path, 2, stream=True, correction=np.empty(0)).shape[0] == 4
    with pytest.raises(TypeError, match="horner|methods"):
        operation(path, 2, stream=True, **({"horner": 1} if operation is siglib.sig else {"methods": 1}))
    with pytest.raises(ValueError, match="method must be"):
        siglib.log_sig(path, 2, stream=True, method=4)


@pytest.mark.parametrize("operation", [siglib.sig, siglib.log_sig])
def test_gradients_and_compiler(operation):
    torch = optional("torch")
    rng = np.random.default_rng(7)
    path = torch.tensor(rng.normal(size=(2, 5, 2)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: operation(x, 3, stream=True), path)
    compiled = torch.compile(lambda x: operation(x, 3, stream=True).square().sum(), fullgraph=True, backend="aot_eager")
    expected = operation(path, 3, stream=True).square().sum()
    (want,) = torch.autograd.grad(expected, path)
    found = compiled(path)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, path)[0], want)
