"""Products of log-signatures, many side by side, one in each lane: see `log_product.pxi`."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from ._interruption cimport due
from .lanes cimport vd as item
from .log_product_plan cimport ProductPlan
from .tensor_log cimport level_size, level_start, solve_projection, solve_projection_backprop


include "log_product.pxi"
