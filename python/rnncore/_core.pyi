"""Types of the compiled kernel. Private: the public face is `rnncore` itself.

Dimensions: T time, B batch, I input, H hidden, G gates, L layers, D directions, V vocabulary,
N rows (all steps of all sequences), P parameters. Every floating array of one call has one dtype,
float32 or float64. Arrays that are written (``grads``, ``params`` of an optimizer, ``d*``
arguments) must be C-contiguous and writeable; the others may have any strides. Wrong dtype raises
TypeError, wrong shape or value ValueError, too little memory MemoryError; the message names the
argument.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ids = NDArray[np.integer[Any]]

# --- processor and threads ------------------------------------------------------------------------
def isa() -> str: ...
def available_isas() -> list[str]: ...
def select_isa(name: str) -> None:
    """Switch the kernel table; "reference" is the slow double-precision oracle.

    For tests and benchmarks.
    """

def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def available_memory(processes: str = "/proc", control_groups: str = "/sys/fs/cgroup") -> int:
    """Bytes that this process may still take, as the files in these folders and RLIMIT_AS say."""

def processor_quota(processes: str = "/proc", control_groups: str = "/sys/fs/cgroup") -> float:
    """Processors' worth of time that the control groups grant; inf where none limits it."""

def build_info() -> dict[str, str]: ...

# --- recurrent networks ---------------------------------------------------------------------------
class Cache:
    """What back-propagation through time needs of one forward pass."""

    @property
    def nbytes(self) -> int: ...
    def trace(self) -> list[dict[str, Array]]:
        """Copies [T,B,H] for each layer and direction: gates, "cell" of an LSTM, "hidden".

        Zero past the end of a sequence. ValueError for the cache of a pass with a memory_limit.
        """

class LossHead:
    """Output layer [V,H] with its loss: that of z = W dropout(y) + b.

    loss: "softmax" with integer targets [rows], "squared_error" or "binary" with targets [rows,V].
    """

    def __init__(
        self,
        loss: str,
        weight: Array,  # [V,H]
        bias: Array | None,  # [V]
        dweight: Array | None,  # [V,H], added to; None: only losses are asked for
        dbias: Array | None,  # [V], added to
        targets: Array,
        weights: Array | None = None,  # [rows], factor of each loss
        ignore_index: int = -100,
        scale: float = 1.0,  # of the gradients: 1/count for those of the mean
        dropout: float = 0.0,  # probability
        seed: int = 0,  # of its mask
        compute: str | None = None,
    ) -> None: ...

class Network:
    """Stacked, possibly bidirectional recurrent network: the configuration, not the parameters.

    cell: "rnn_tanh", "rnn_relu", "rnn_sigmoid", "rnn_identity", "gru_after", "gru_before", "lstm".
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        dtype: str = "float32",
        compute: str | None = None,  # "bfloat16": operands of products rounded to it
    ) -> None: ...
    @property
    def layout(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """(name, offset, shape) of each parameter in the flat buffer, PyTorch's names and order."""

    @property
    def gates(self) -> list[str]:
        """Names of the gates in the order of their rows in the weights; none for an RNN."""

    @property
    def num_params(self) -> int: ...
    @property
    def num_states(self) -> int: ...
    def infer(
        self,
        params: Array,  # [P]
        x: Array | Ids,  # [T,B,I], or integer ids [T,B] = one-hot
        state: Sequence[Array] | None,  # num_states arrays [L*D,B,H]
        lengths: Ids | None,  # [B]
    ) -> tuple[Array, tuple[Array, ...]]:  # y [T,B,D*H], state
        ...
    def infer_one(self, params: Array, x: Array) -> tuple[Array, tuple[Array, ...]]:
        """x [T,I] -> y [T,D*H], state: num_states arrays [L*D,H]."""

    def forward(
        self,
        params: Array,
        x: Array | Ids,
        state: Sequence[Array] | None,
        lengths: Ids | None,
        seed: int | None,  # of the dropout masks; None: no dropout
        memory_limit: int | None = None,  # bytes of the cache and what backward adds to it
        needs_output: bool = True,  # False: None for y
    ) -> tuple[Any, tuple[Array, ...], Cache]: ...
    def backward(
        self,
        params: Array,  # [P]
        grads: Array,  # [P], added to
        dy: Array | LossHead | None,  # [T,B,D*H], or what makes it; its rows are [T,B]
        cache: Cache,
        dstate: Sequence[Array] | None,  # gradient of the final state
    ) -> tuple[Array | None, tuple[Array, ...], Array | None]:
        """dx [T,B,I] (None for ids), gradient of the initial state, losses [N] of a LossHead.

        The losses are float64, in the order of the packed rows.
        """

    def plan(
        self,
        steps: int,
        batch: int,
        lengths: Ids | None = None,  # [B]
        ids: bool = False,  # inputs are one-hot
        training: bool = True,  # also the plan of the pass backward
        frozen: bool = False,  # the weights are packed already
    ) -> dict[str, dict[str, Any]]:
        """What the passes will do with the present number of threads: "forward" and "backward".

        Both have "threads" and "divides": "rows", "units" or "layers". Forward also has
        "steps_in_one_call", "tasks" and, by layer, "piece_columns"; a task has its "rows"
        (direction, begin, end), "chunk_steps" and "chunks". Backward also has "chunk_steps",
        "chunks", "layers_together", "repacks" and, by chunk, "tasks". See rnn/plan.hpp.
        """

class Frozen:
    """A network with parameters that nobody changes any more, whose weights are packed once."""

    def __init__(self, network: Network, params: Array) -> None: ...
    @property
    def nbytes(self) -> int:
        """Bytes of what has been packed so far."""

    def infer(
        self, x: Array | Ids, state: Sequence[Array] | None, lengths: Ids | None
    ) -> tuple[Array, tuple[Array, ...]]:
        """As that of the network."""

    def infer_one(self, x: Array) -> tuple[Array, tuple[Array, ...]]:
        """As that of the network."""

class Stream:
    """A network that goes on where it stopped, with weights packed once; unidirectional networks.

    weight_format: "full", or of float32 "bfloat16", "int8" or "int8_dynamic".
    """

    def __init__(
        self, network: Network, params: Array, batch_size: int, weight_format: str = "full"
    ) -> None: ...
    def step(self, x: Array | Ids, out: Array | None = None) -> Array:
        """x [B,I] or ids [B] -> `out` or a new array [B,H]; B = 1: also [I] or [] -> [H]."""

    def run(self, x: Array | Ids, out: Array | None = None) -> Array:
        """x [T,B,I] or ids [T,B] -> `out` or a new array [T,B,H]; B = 1: also without B."""

    @property
    def state(self) -> tuple[Array, ...]:  # copies, each [L,B,H]
        ...
    @state.setter
    def state(self, value: Sequence[Array]) -> None: ...
    def reset(self) -> None: ...
    def copy(self) -> Stream:
        """One that goes on from the same state on its own; they share the packed weights."""

class Sampler:
    """A whole language model, one sequence: [embedding] -> network -> linear -> softmax -> draw.

    It takes one call at a time, as a stream does; `copy` gives each thread its own.
    """

    def __init__(
        self,
        network: Network,
        params: Array,  # [P]
        embedding: Array | None,  # [V,E]; None: ids are one-hot inputs
        weight: Array,  # [V,H]
        bias: Array | None,  # [V]
        weight_format: str = "full",  # or of float32 as of a Stream
    ) -> None: ...
    def score(self, ids: Ids) -> NDArray[np.float64]:
        """Feed ids [N]; the log-probability of each but the first given all before, [N-1]."""

    def feed(self, ids: Ids) -> None:
        """Run the prompt (at least one token in all before `draw`)."""

    def draw(
        self, count: int, temperature: float, top_k: int, top_p: float, seed: int, counter: int
    ) -> NDArray[np.int64]:
        """Draw `count` further tokens, feeding each back.

        Token i uses Philox counter `counter + i`: pieces drawn one after the other equal one long
        draw. temperature 0 is greedy; top_k 0 and top_p 1 are off.
        """

    def copy(self) -> Sampler:
        """One that goes on from the same state on its own; they share the packed weights."""

# --- other layers ---------------------------------------------------------------------------------
def linear_forward(
    x: Array, weight: Array, bias: Array | None, compute: str | None = None
) -> Array:
    """x [N,I], weight [O,I], bias [O] -> [N,O]."""

def linear_backward(
    dy: Array,
    x: Array,
    weight: Array,
    dweight: Array,
    dbias: Array | None,
    compute: str | None = None,
) -> Array:
    """Adds to dweight [O,I] and dbias [O]; returns dx [N,I]."""

def embedding_forward(ids: Ids, weight: Array) -> Array:
    """ids [N], weight [V,E] -> [N,E]; ValueError for an id outside [0,V)."""

def embedding_backward(dy: Array, ids: Ids, dweight: Array) -> None: ...
def dropout(x: Array, p: float, seed: int) -> Array:
    """x [any] -> x * mask / (1-p), mask from Philox(seed) by position.

    The same call on dy is the backward pass.
    """

# --- losses ---------------------------------------------------------------------------------------
def cross_entropy(logits: Array, targets: Ids, ignore_index: int) -> tuple[Array, Array]:
    """logits [N,V], targets [N] -> losses [N] float64, softmax - one_hot [N,V]; 0 where ignored."""

def linear_losses(head: LossHead, x: Array) -> Array:
    """x [N,H] -> losses [N] float64, for targets whose rows are [N]."""

def linear_losses_backward(head: LossHead, x: Array) -> tuple[Array, Array]:
    """x [N,H] -> losses [N] float64, dx [N,H]; adds to the gradients of the head."""

def ctc_losses(z: Array, frames: Ids, labels: Ids, counts: Ids, blank: int) -> Array:
    """z [N,C], frames [B], labels [K], counts of labels [B] -> losses [B] float64.

    The rows are the frames of all sequences at step 0 in their order, then those at step 1 of the
    sequences that have one, and so on. inf: no path; nan: a frame is no distribution.
    """

def ctc_gradient(
    z: Array, frames: Ids, labels: Ids, counts: Ids, blank: int, scale: float = 1.0
) -> Array:
    """The same; z becomes the gradient of scale * (sum of the finite losses)."""

def ctc_align(
    log_p: Array, frames: Ids, labels: Ids, counts: Ids, blank: int
) -> tuple[NDArray[np.int64], Array]:
    """States [N] of the most probable path, 2 i + 1 for label i, and its log-probability [B]."""

def mse(prediction: Array, target: Array) -> tuple[Array, Array]:
    """[N], [N] -> squared errors [N] float64, 2*(prediction - target) [N]."""

def binary_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """[N], [N] -> losses [N] float64, sigmoid(logits) - targets [N]."""

# --- decoding of CTC ------------------------------------------------------------------------------
class Ngram:
    """An n-gram model with backoff, from the text of an ARPA file; ValueError names the line."""

    def __init__(self, text: bytes, name: str, log10_unknown: float) -> None: ...
    @property
    def order(self) -> int: ...
    @property
    def size(self) -> int: ...
    def words(self) -> list[str]: ...
    def id(self, word: str) -> int:
        """Number of a word in `words`, that of <unk>, or -1."""

    def score(self, words: list[str], start: bool, end: bool) -> NDArray[np.float64]:
        """log10 p of each word, and of </s> with `end`."""

class PrefixModel:
    """What a prefix search knows; the options are those of rnn/decode/prefix_model.hpp.

    Units are "symbols" or "words"; a list of lists is its elements [N] and where each list ends.
    """

    def __init__(
        self,
        options: dict[str, Any],
        lexicon_symbols: Ids,
        lexicon_ends: Ids,
        lexicon_words: Ids,  # of each spelling
        known_words: Ids,  # [words + 1], 0 or 1
        hot_tokens: Ids,  # words or symbols
        hot_ends: Ids,
        hot_weights: Array,
        ngram: Ngram | None,
        ngram_words: Ids,  # of each unit: C symbols, or words + 1
    ) -> None: ...

class PrefixSearch:
    """Prefix beam searches over some sequences, one call at a time."""

    def __init__(self, model: PrefixModel, count: int) -> None: ...
    def copy(self) -> PrefixSearch:
        """One that goes on from the same place on its own."""

    def advance(self, pieces: list[Array], first: Ids) -> NDArray[np.int64]:
        """Read pieces [T,C] from frames `first` [count] on; the first unread frame of each.

        A search stops before the end of its piece where it needs a language model.
        """

    def requests(self) -> NDArray[np.int64]:
        """What a language model has to read, [N,4]: sequence, parent, unit, context.

        `unit` follows the context `parent`; both are -1 for the beginning.
        """

    def supply(self, rows: Array) -> None:
        """ln p of each unit and of the end after each request, [N, units + 1]."""

    def finish(self) -> None: ...
    def best(self, n: int) -> list[list[tuple[Any, ...]]]:
        """The n best of each sequence: (score, symbols, starts, ends, probabilities, words)."""

    @property
    def num_prefixes(self) -> int:
        """Prefixes that are held."""

    @property
    def num_spans(self) -> int:
        """Symbols of best paths, each with its frames, that are held."""

# --- optimizers: one pass over flat buffers, g = clip(grad * scale, -clip_value, clip_value) ------
def squared_norm(x: Array) -> float:
    """Sum of squares in double, the same bits for any number of threads."""

def clip(x: Array, limit: float) -> None: ...
def scale(x: Array, factor: float) -> None: ...
def sgd_step(
    params: Array,
    grads: Array,
    momentum_buffer: Array | None,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    scale: float,
    clip_value: float,
    zero_grad: bool,
) -> None: ...
def rmsprop_step(
    params: Array,
    grads: Array,
    square_average: Array,
    learning_rate: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    scale: float,
    clip_value: float,
    zero_grad: bool,
) -> None: ...
def adam_step(
    params: Array,
    grads: Array,
    average: Array,
    square_average: Array,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
    scale: float,
    clip_value: float,
    zero_grad: bool,
) -> None: ...

# --- single kernels of the active instruction set, for tests and benchmarks -----------------------
def kernel_product(a: Array, b: Array, compute: str | None = None) -> Array:
    """a [M,K], b [N,K] -> a @ b.T [M,N]."""

def kernel_product_transposed(a: Array, b: Array, compute: str | None = None) -> Array:
    """a [K,M], b [K,N] -> a.T @ b [M,N]."""

def kernel_stored_product(a: Array, b: Array, weight_format: str) -> Array:
    """a [M,K], b [N,K] -> a @ b.T with b stored as `Stream` stores its weights."""

def kernel_map(name: str, x: Array) -> Array:
    """name: "exp", "tanh", "sigmoid"; elementwise on [N]."""

def kernel_multiply_adds(dtype: str, n: int) -> float:
    """v = v / 2 + 1 / 2 in registers, at least n times on every thread; tends to 1.

    Its speed is the processor's peak. dtype: "float32", "float64".
    """

def kernel_repeated_sum(x: Array, rounds: int) -> float:
    """rounds * sum of x [N], reading it each time: its speed is the bandwidth for that size."""
