"""The same functions under the name that code written for `pysiglib.torch_api` expects.

There is one implementation: a tensor that requires grad makes the result of any of these functions differentiable,
from here or from `siglib` itself.
"""

from .kernels.metrics import expected_sig_score as expected_sig_score
from .kernels.metrics import sig_mmd as sig_mmd
from .kernels.metrics import sig_score as sig_score
from .kernels.sig_kernel import sig_kernel as sig_kernel
from .kernels.sig_kernel import sig_kernel_gram as sig_kernel_gram
from .kernels.static_kernels import Context as Context
from .kernels.static_kernels import LinearKernel as LinearKernel
from .kernels.static_kernels import Matern12Kernel as Matern12Kernel
from .kernels.static_kernels import Matern32Kernel as Matern32Kernel
from .kernels.static_kernels import Matern52Kernel as Matern52Kernel
from .kernels.static_kernels import PolynomialKernel as PolynomialKernel
from .kernels.static_kernels import RationalQuadraticKernel as RationalQuadraticKernel
from .kernels.static_kernels import RBFKernel as RBFKernel
from .kernels.static_kernels import ScaledLinearKernel as ScaledLinearKernel
from .kernels.static_kernels import StaticKernel as StaticKernel
from .log_signatures.exponential import logsig_to_sig as logsig_to_sig
from .log_signatures.join import linear_log_sig as linear_log_sig
from .log_signatures.join import log_sig_combine as log_sig_combine
from .log_signatures.join import log_sig_join as log_sig_join
from .log_signatures.log_sig import log_sig as log_sig
from .log_signatures.log_sig import log_sig_length as log_sig_length
from .log_signatures.logarithm import sig_to_log_sig as sig_to_log_sig
from .log_signatures.preparation import clear_cache as clear_cache
from .log_signatures.preparation import prepare_log_sig as prepare_log_sig
from .log_signatures.preparation import set_cache_dir as set_cache_dir
from .log_signatures.windows import log_sig_prefixes as log_sig_prefixes
from .log_signatures.windows import log_sig_windows as log_sig_windows
from .paths.transform import transform_path as transform_path
from .signatures.coefficients import extract_sig_coef as extract_sig_coef
from .signatures.coefficients import sig_coef as sig_coef
from .signatures.combine import sig_combine as sig_combine
from .signatures.join import linear_sig as linear_sig
from .signatures.join import sig_join as sig_join
from .signatures.prefixes import sig_prefixes as sig_prefixes
from .signatures.sig import sig as sig
from .signatures.sig import sig_length as sig_length
from .signatures.sig import signature as signature
from .signatures.windows import sig_windows as sig_windows
from .signatures.words import idx_to_word as idx_to_word
from .signatures.words import is_lyndon as is_lyndon
from .signatures.words import lyndon_words as lyndon_words
from .signatures.words import lyndon_words_of_length as lyndon_words_of_length
from .signatures.words import word_to_idx as word_to_idx
from .signatures.words import words as words
from .signatures.words import words_of_length as words_of_length
from .streams.intervals import IntervalSignature as IntervalSignature
from .streams.streams import LogSigStream as LogSigStream
from .streams.streams import LogSigWindowStream as LogSigWindowStream
from .streams.streams import SigStream as SigStream
from .streams.streams import SigWindowStream as SigWindowStream
