"""The product of two log-signatures: see `log_product.pxi`."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from ._interruption cimport due
from .log_product_plan cimport ProductPlan
from .tensor_log_single cimport level_size, level_start, solve_projection, solve_projection_backprop

ctypedef double item


include "log_product.pxi"
