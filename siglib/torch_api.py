"""The same functions under the name that code written for `pysiglib.torch_api` expects.

There is one implementation: a tensor that requires grad makes the result of any of these functions differentiable,
from here or from `siglib` itself.
"""

from .coefficients import extract_sig_coef as extract_sig_coef
from .coefficients import sig_coef as sig_coef
from .exponential import logsig_to_sig as logsig_to_sig
from .intervals import IntervalSignature as IntervalSignature
from .join import linear_sig as linear_sig
from .join import sig_join as sig_join
from .log_join import linear_log_sig as linear_log_sig
from .log_join import log_sig_combine as log_sig_combine
from .log_join import log_sig_join as log_sig_join
from .log_signature import log_sig as log_sig
from .log_signature import log_sig_length as log_sig_length
from .log_signature import sig_to_log_sig as sig_to_log_sig
from .log_windows import log_sig_prefixes as log_sig_prefixes
from .log_windows import log_sig_windows as log_sig_windows
from .metrics import expected_sig_score as expected_sig_score
from .metrics import sig_mmd as sig_mmd
from .metrics import sig_score as sig_score
from .path import transform_path as transform_path
from .prefixes import sig_prefixes as sig_prefixes
from .preparation import clear_cache as clear_cache
from .preparation import prepare_log_sig as prepare_log_sig
from .preparation import set_cache_dir as set_cache_dir
from .signature import sig as sig
from .signature import sig_combine as sig_combine
from .signature import sig_length as sig_length
from .signature import signature as signature
from .signature_kernel import sig_kernel as sig_kernel
from .signature_kernel import sig_kernel_gram as sig_kernel_gram
from .static_kernels import Context as Context
from .static_kernels import LinearKernel as LinearKernel
from .static_kernels import Matern12Kernel as Matern12Kernel
from .static_kernels import Matern32Kernel as Matern32Kernel
from .static_kernels import Matern52Kernel as Matern52Kernel
from .static_kernels import PolynomialKernel as PolynomialKernel
from .static_kernels import RationalQuadraticKernel as RationalQuadraticKernel
from .static_kernels import RBFKernel as RBFKernel
from .static_kernels import ScaledLinearKernel as ScaledLinearKernel
from .static_kernels import StaticKernel as StaticKernel
from .streams import LogSigStream as LogSigStream
from .streams import LogSigWindowStream as LogSigWindowStream
from .streams import SigStream as SigStream
from .streams import SigWindowStream as SigWindowStream
from .windows import sig_windows as sig_windows
from .words import idx_to_word as idx_to_word
from .words import is_lyndon as is_lyndon
from .words import lyndon_words as lyndon_words
from .words import lyndon_words_of_length as lyndon_words_of_length
from .words import word_to_idx as word_to_idx
from .words import words as words
from .words import words_of_length as words_of_length
