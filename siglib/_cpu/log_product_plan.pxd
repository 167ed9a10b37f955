"""What products of log-signatures have to know, whatever lanes they run in: see `log_product.pxi`."""

from libc.stdint cimport int32_t, int64_t


cdef struct ProductPlan:
    # Tables: index, segments, entries are `lyndon.LyndonTables`; P - 1 is a `lyndon.SparseMatrix`, by rows; E is
    # `lyndon_cache.expansion_tables`, by columns.
    Py_ssize_t d
    Py_ssize_t degree
    Py_ssize_t length           # words of a signature
    Py_ssize_t top              # those that are shorter than the degree
    Py_ssize_t n_lyndon
    Py_ssize_t n_lower          # Lyndon words that are shorter than the degree
    Py_ssize_t t_length         # numbers in t^(1), t^(2), ..
    Py_ssize_t n_segments
    Py_ssize_t first_top        # the first segment of words of full length
    bint is_segment1            # whether a side is the displacement of a segment, not a log-signature
    bint is_segment2
    const int64_t* index
    const int64_t* segments
    const int32_t* entries
    const int64_t* p_starts
    const int32_t* p_columns
    const double* p_values
    const int64_t* e_starts
    const int32_t* e_rows
    const double* e_values
