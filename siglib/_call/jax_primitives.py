"""JAX: the primitives behind every operation, from its declaration.

There are four: the operation, its gradient, and the derivatives of both along directions. The second and the third are
linear, and each other's transposes; so is the fourth, whose transpose is itself. With these rules JAX makes `grad`,
`jvp`, `vmap`, `hessian` and all that it composes of them; derivatives beyond the second follow from `tangents.py`,
whose arithmetic JAX can differentiate.

What they compute, Python computes in a callback, on the buffers of XLA: in place, on the CPU and on CUDA.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from .backend import backend_of, gpu_package
from .cpu_backends import numpy_backend
from .libraries import device_of, namespace_of


class Call(NamedTuple):
    """What is static about a call: hashable, equal if it does the same."""

    operation: Any
    key: tuple[Any, ...]
    options: "Options"
    numbers: tuple[Any, ...]  # parameters
    n_arrays: int  # how many of the shared arrays there are: the last may be None

    def with_options(self, o: Any) -> "Call":
        return make_call(self.operation, o, self.numbers, self.n_arrays)

    @property
    def keeps_out(self) -> bool:
        """Whether the gradient reads the result."""
        return bool(self.operation.keeps(self.options.o))

    def shape(self, *arrays: Any) -> tuple[int, ...]:
        """The shape of the result."""
        operation = self.operation
        shapes: list[Any] = [tuple(array.shape) for array in arrays]
        shapes += [None] * (operation.n_shared - self.n_arrays)
        return tuple(operation.known_sizes(self.options.o, *shapes)[0])

    def whole(self, arrays: Sequence[Any]) -> list[Any]:
        """All arrays as the operation takes them."""
        return [*arrays, *[None] * (self.operation.n_shared - self.n_arrays), *self.numbers]

    def n_batched(self, arrays: Sequence[Any]) -> int:
        return int(self.operation.n_batched(*self.whole(arrays)))


class Options:
    """Clean options, which may hold arrays: as many calls have the same ones, only `Call.key` is compared."""

    def __init__(self, o: Any) -> None:
        self.o = o

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options)

    def __hash__(self) -> int:
        return 0


def make_call(operation: Any, o: Any, numbers: tuple[Any, ...], n_arrays: int) -> Call:
    return Call(operation, tuple(map(_key, o)), Options(o), numbers, n_arrays)


def _key(option: Any) -> Any:
    return (option.shape, option.tobytes()) if isinstance(option, np.ndarray) else option


# What a callback computes: of NumPy's or CuPy's arrays, with a result for each output

Body = Callable[..., Sequence[Any]]


def _forward(call: Call, *arrays: Any) -> Sequence[Any]:
    return [call.operation.called(call.options.o, call.whole(arrays))]


def _pulled(call: Call, needs: tuple[bool, ...], derivs: Any, out: Any, arrays: Any) -> list[Any]:
    """The gradients that are needed."""
    operation, o = call.operation, call.options.o
    whole = call.whole(arrays)
    names = ["derivs", "out", *operation.shared_names]
    given = {n: a for n, a in zip(names, [derivs, out, *whole[: operation.n_shared]], strict=True) if a is not None}
    on, found = backend_of(given, list(given.values()))
    clean = dict(zip(given, found, strict=True))
    derivs, out, *shared = [clean.get(name) for name in names]
    sizes = operation.known_sizes(o, *operation.shapes_of(shared))
    padded = (*needs, *[False] * (operation.n_arrays - len(needs)))
    found = operation.pulled(on, padded, derivs, out, o, sizes, [*shared, *call.numbers])
    return [gradient for gradient, need in zip(found, padded, strict=True) if need]


def _backward(call: Call, needs: tuple[bool, ...], derivs: Any, *rest: Any) -> Sequence[Any]:
    out, arrays = _split_out(call, rest)
    return _pulled(call, needs, derivs, out, arrays)


def _tangent(call: Call, moves: tuple[bool, ...], *rest: Any) -> Sequence[Any]:
    _, rest = _split_out(call, rest)
    arrays, directions = _split_directions(call, moves, rest)
    return [_along(namespace_of(arrays[0]), call, arrays, directions, _called)]


def _called(call: Call, arrays: Any) -> Any:
    return _forward(call, *arrays)[0]


def _along(xp: Any, call: Call, arrays: Any, directions: Any, called: Callable[..., Any]) -> Any:
    """The derivative of the result; `called(call, arrays)` is the operation."""

    def again(o: Any, stacks: Any) -> Any:
        return called(call.with_options(o), stacks[: call.n_arrays])

    whole = call.whole(arrays)
    directions = [*directions, *[None] * (len(whole) - len(directions))]
    with device_of(arrays[0]), np.errstate(all="ignore"):
        return call.operation.tangent(xp, call.options.o, whole, directions, again)


def _backward_tangent(
    call: Call, wanted: tuple[bool, ...], moves: tuple[bool, ...], derivs: Any, *rest: Any
) -> Sequence[Any]:
    arrays, directions = _split_directions(call, moves, rest)

    def pulled(call: Call, needs: tuple[bool, ...], derivs: Any, arrays: Any) -> list[Any]:
        return _pulled(call, needs, derivs, _called(call, arrays) if call.keeps_out else None, arrays)

    return _backward_along(namespace_of(derivs), call, wanted, derivs, arrays, directions, pulled)


def _backward_along(
    xp: Any, call: Call, wanted: tuple[bool, ...], derivs: Any, arrays: Any, directions: Any, pulled: Any
) -> list[Any]:
    """The derivatives of the gradients; `pulled(call, needs, derivs, arrays)` are those gradients that are needed."""

    def again(o: Any, needs: tuple[bool, ...], derivs: Any, stacks: Any) -> tuple[Any, ...]:
        needs = needs[: call.n_arrays]
        found = pulled(call.with_options(o), needs, derivs, stacks[: call.n_arrays])
        return (*_placed(needs, found), *[None] * missing)

    whole = call.whole(arrays)
    missing = len(whole) - call.n_arrays
    with device_of(derivs), np.errstate(all="ignore"):
        found = call.operation.backprop_tangent(
            xp,
            call.options.o,
            derivs,
            whole,
            [*directions, *[None] * missing],
            (*wanted, *[False] * missing),
            again,
        )
    return [part for part, want in zip(found, wanted, strict=False) if want]


def _split_out(call: Call, rest: Any) -> tuple[Any, Any]:
    return (rest[0], rest[1:]) if call.keeps_out else (None, rest)


def _split_directions(call: Call, moves: tuple[bool, ...], rest: Any) -> tuple[list[Any], list[Any]]:
    """Arrays, and the direction of each or None."""
    return list(rest[: call.n_arrays]), _placed(moves, rest[call.n_arrays :])


def _placed(places: Sequence[bool], values: Any) -> list[Any]:
    """The values one by one at the places that are theirs, None at the others."""
    there = iter(values)
    return [next(there) if place else None for place in places]


def _taken(placed: Sequence[Any]) -> tuple[tuple[bool, ...], list[Any]]:
    """Which places have a value, and the values: the opposite of `_placed`."""
    return tuple(value is not None for value in placed), [value for value in placed if value is not None]


# Primitives


def _primitive(name: str, body: Body, shapes: Callable[..., Sequence[tuple[int, ...]]]) -> Any:
    """A primitive with the call, and perhaps more that is static, as its parameters in the order of `body`."""
    primitive = Primitive(f"siglib_{name}")
    primitive.multiple_results = True

    def avals(*arrays: Any, **static: Any) -> list[Any]:
        return [jax.core.ShapedArray(shape, arrays[0].dtype) for shape in shapes(*static.values(), *arrays)]

    def traced(callback: Callable[..., None], arrays: Any, static: Any) -> Any:
        results = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals(*arrays, **static)]
        return buffer_callback(callback, results)(*arrays)

    def on_cpu(*arrays: Any, **static: Any) -> Any:
        fixed = tuple(static.values())

        def callback(_: Any, outs: Any, *buffers: Any) -> None:
            for out, result in zip(outs, body(*fixed, *map(np.asarray, buffers)), strict=True):
                np.asarray(out)[...] = result

        return traced(_in_place(*arrays, **static) if primitive is forward_p else callback, arrays, static)

    def on_cuda(*arrays: Any, **static: Any) -> Any:
        def callback(context: Any, outs: Any, *buffers: Any) -> None:
            cupy = gpu_package().require_cupy(lambda: "arrays of JAX on a GPU")
            with cupy.cuda.ExternalStream(context.stream):
                for out, result in zip(outs, body(*static.values(), *map(cupy.asarray, buffers)), strict=True):
                    cupy.asarray(out)[...] = result

        return traced(callback, arrays, static)

    def at_once(*arrays: Any, **static: Any) -> Any:
        """Outside of `jax.jit`: without XLA, where all arrays are in main memory."""
        devices = {device for array in arrays for device in array.devices()}
        if len(devices) > 1 or any(device.platform != "cpu" for device in devices):
            return compiled(*arrays, **static)
        return [jax.device_put(found, *devices) for found in body(*static.values(), *map(np.asarray, arrays))]

    compiled = jax.jit(primitive.bind, static_argnames=("call", "needs", "wanted", "moves"))
    primitive.def_impl(at_once)
    primitive.def_abstract_eval(avals)
    mlir.register_lowering(primitive, mlir.lower_fun(on_cpu, multiple_results=True), platform="cpu")
    mlir.register_lowering(primitive, mlir.lower_fun(on_cuda, multiple_results=True), platform="cuda")
    return primitive


def _in_place(*arrays: Any, call: Call) -> Callable[..., None]:
    """The operation on the CPU: small calls are for what is left to do here."""
    operation, o = call.operation, call.options.o
    on = numpy_backend(np.dtype(arrays[0].dtype))
    sizes = operation.known_sizes(o, *operation.shapes_of(call.whole(arrays)))
    missing = call.whole(arrays)[call.n_arrays :]

    def callback(_: Any, outs: Any, *buffers: Any) -> None:
        operation.forward(on, np.asarray(outs[0]), o, sizes, *map(np.asarray, buffers), *missing)

    return callback


forward_p = _primitive("forward", _forward, lambda call, *arrays: [call.shape(*arrays)])
backward_p = _primitive(
    "backward",
    _backward,
    lambda call, needs, derivs, *rest: [
        a.shape for a, need in zip(_split_out(call, rest)[1], needs, strict=True) if need
    ],
)
tangent_p = _primitive(
    "tangent", _tangent, lambda call, moves, *rest: [call.shape(*_split_out(call, rest)[1][: call.n_arrays])]
)
backward_tangent_p = _primitive(
    "backward_tangent",
    _backward_tangent,
    lambda call, wanted, moves, derivs, *rest: [a.shape for a, want in zip(rest, wanted, strict=False) if want],
)


def forward(call: Call, arrays: Any) -> Any:
    return forward_p.bind(*arrays, call=call)[0]


def backward(call: Call, needs: tuple[bool, ...], derivs: Any, out: Any, arrays: Any) -> Any:
    return backward_p.bind(derivs, *[out] * call.keeps_out, *arrays, call=call, needs=needs)


def tangent(call: Call, out: Any, arrays: Any, directions: Any) -> Any:
    moves, given = _taken(directions)
    return tangent_p.bind(*[out] * call.keeps_out, *arrays, *given, call=call, moves=moves)[0]


def backward_tangent(call: Call, wanted: tuple[bool, ...], derivs: Any, arrays: Any, directions: Any) -> Any:
    moves, given = _taken(directions)
    return backward_tangent_p.bind(derivs, *arrays, *given, call=call, wanted=wanted, moves=moves)


# Derivatives


def _directions(tangents: Any) -> list[Any]:
    """Tangents that are not zero, None for the others."""
    return [None if type(t) is ad.Zero else t for t in tangents]


def _any(directions: Any) -> bool:
    return any(direction is not None for direction in directions)


def _sum(parts: list[Any], primals: Sequence[Any]) -> list[Any]:
    """Sums of several tangents of results."""
    return [sum(column[1:], column[0]) for column in zip(*parts, strict=True)] if parts else list(map(_zero, primals))


def _zero(primal: Any) -> Any:
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


def _jvp_of_forward(arrays: Any, tangents: Any, *, call: Call) -> Any:
    out = forward(call, arrays)
    directions = _directions(tangents)
    return [out], [tangent(call, out, arrays, directions) if _any(directions) else _zero(out)]


def _jvp_of_backward(primals: Any, tangents: Any, *, call: Call, needs: tuple[bool, ...]) -> Any:
    derivs, (out, arrays) = primals[0], _split_out(call, primals[1:])
    results = backward(call, needs, derivs, out, arrays)
    # The result is a function of the arrays: a help, which is not differentiated.
    moved, directions = _directions(tangents)[0], _directions(_split_out(call, tangents[1:])[1])
    parts = []
    if moved is not None:
        parts.append(backward(call, needs, moved, out, arrays))
    if _any(directions):
        parts.append(backward_tangent(call, needs, derivs, arrays, directions))
    return results, _sum(parts, results)


def _jvp_of_tangent(primals: Any, tangents: Any, *, call: Call, moves: tuple[bool, ...]) -> Any:
    out, rest = _split_out(call, primals)
    arrays, directions = _split_directions(call, moves, rest)
    result = tangent(call, out, arrays, directions)
    tangents = _split_out(call, tangents)[1]
    array_moves, second = _directions(tangents[: call.n_arrays]), _directions(tangents[call.n_arrays :])
    parts = []
    if _any(second):
        parts.append([tangent(call, out, arrays, _placed(moves, second))])
    if _any(array_moves):
        parts.append([_differential(lambda *a: _along(jnp, call, a, directions, forward), arrays, array_moves)])
    return [result], _sum(parts, [result])


def _jvp_of_backward_tangent(
    primals: Any, tangents: Any, *, call: Call, wanted: tuple[bool, ...], moves: tuple[bool, ...]
) -> Any:
    derivs, rest = primals[0], primals[1:]
    arrays, directions = _split_directions(call, moves, rest)
    results = backward_tangent(call, wanted, derivs, arrays, directions)
    moved, *others = _directions(tangents)
    array_moves, second = others[: call.n_arrays], others[call.n_arrays :]
    parts = []
    if moved is not None:
        parts.append(backward_tangent(call, wanted, moved, arrays, directions))
    if _any(second):
        parts.append(backward_tangent(call, wanted, derivs, arrays, _placed(moves, second)))
    if _any(array_moves):

        def function(*arrays: Any) -> Any:
            return _backward_along(jnp, call, wanted, derivs, arrays, directions, _gradients)

        parts.append(_differential(function, arrays, array_moves))
    return results, _sum(parts, results)


def _gradients(call: Call, needs: tuple[bool, ...], derivs: Any, arrays: Any) -> Any:
    out = jax.lax.stop_gradient(forward(call, arrays)) if call.keeps_out else None
    return backward(call, needs, derivs, out, arrays)


def _differential(function: Callable[..., Any], arrays: Any, directions: Any) -> Any:
    """The derivative of a function along the directions that are not None."""
    moving = [i for i, direction in enumerate(directions) if direction is not None]

    def of_those(*moved: Any) -> Any:
        all_arrays = list(arrays)
        for i, array in zip(moving, moved, strict=True):
            all_arrays[i] = array
        return function(*all_arrays)

    return jax.jvp(of_those, [arrays[i] for i in moving], [directions[i] for i in moving])[1]


def _transpose_of_tangent(cotangents: Any, *primals: Any, call: Call, moves: tuple[bool, ...]) -> Any:
    (derivs,) = cotangents
    out, rest = _split_out(call, primals)
    arrays, n_linear = rest[: call.n_arrays], len(rest) - call.n_arrays
    nothing = [None] * (len(primals) - n_linear)
    if type(derivs) is ad.Zero:
        return [*nothing, *[None] * n_linear]
    return [*nothing, *backward(call, moves, derivs, out, arrays)]


def _transpose_of_backward(cotangents: Any, *primals: Any, call: Call, needs: tuple[bool, ...]) -> Any:
    out, arrays = _split_out(call, primals[1:])
    directions = _placed(needs, _directions(cotangents))
    nothing = [None] * (len(primals) - 1)
    if not _any(directions):
        return [None, *nothing]
    return [tangent(call, out, arrays, directions), *nothing]


def _transpose_of_backward_tangent(
    cotangents: Any, *primals: Any, call: Call, wanted: tuple[bool, ...], moves: tuple[bool, ...]
) -> Any:
    derivs, arrays = primals[0], primals[1 : 1 + call.n_arrays]
    directions = primals[1 + call.n_arrays :]
    pushed = _placed(wanted, _directions(cotangents))
    nothing = [None] * call.n_arrays
    if not _any(pushed):
        return [None, *nothing, *[None] * len(directions)]
    if ad.is_undefined_primal(derivs):
        # The second derivative of the result along both.
        first = _placed(moves, directions)
        second = _differential(lambda *a: _along(jnp, call, a, first, forward), arrays, pushed)
        return [second, *nothing, *[None] * len(directions)]
    return [None, *nothing, *backward_tangent(call, moves, derivs, arrays, pushed)]


ad.primitive_jvps[forward_p] = _jvp_of_forward
ad.primitive_jvps[backward_p] = _jvp_of_backward
ad.primitive_jvps[tangent_p] = _jvp_of_tangent
ad.primitive_jvps[backward_tangent_p] = _jvp_of_backward_tangent
ad.primitive_transposes[tangent_p] = _transpose_of_tangent
ad.primitive_transposes[backward_p] = _transpose_of_backward
ad.primitive_transposes[backward_tangent_p] = _transpose_of_backward_tangent


# jax.vmap


def _batcher(primitive: Any, arrays_of: Callable[[Call, Any], Any]) -> Callable[..., Any]:
    """The rule of a primitive: the mapped axis becomes a batch axis, or its elements are computed one by one."""

    def rule(operands: Any, axes: Any, *, call: Call, **static: Any) -> Any:
        n = next(a.shape[axis] for a, axis in zip(operands, axes, strict=True) if axis is not None)
        natively = call.n_batched(arrays_of(call, operands)) >= call.n_arrays
        if natively:
            given = [
                jnp.broadcast_to(a, (n, *a.shape)) if axis is None else jnp.moveaxis(a, axis, 0)
                for a, axis in zip(operands, axes, strict=True)
            ]
            call = call.with_options(call.operation.stacked(call.options.o, n))
            results = primitive.bind(*given, call=call, **static)
        else:
            mapped = [axis is not None for axis in axes]
            rows = [jnp.moveaxis(a, axis, 0) for a, axis, m in zip(operands, axes, mapped, strict=True) if m]

            def one(row: Any) -> Any:
                there = iter(row)
                return primitive.bind(
                    *[next(there) if m else a for a, m in zip(operands, mapped, strict=True)], call=call, **static
                )

            results = jax.lax.map(one, rows)
        return results, [0] * len(results)

    return rule


batching.primitive_batchers[forward_p] = _batcher(forward_p, lambda call, given: given)
batching.primitive_batchers[backward_p] = _batcher(backward_p, lambda call, given: _split_out(call, given[1:])[1])
batching.primitive_batchers[tangent_p] = _batcher(
    tangent_p, lambda call, given: _split_out(call, given)[1][: call.n_arrays]
)
batching.primitive_batchers[backward_tangent_p] = _batcher(
    backward_tangent_p, lambda call, given: given[1 : 1 + call.n_arrays]
)
