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
        label_smoothing: float = 0.0,  # of "softmax", in gradients and their losses
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

# --- decoding -------------------------------------------------------------------------------------
class HeldNetwork:
    """A unidirectional network that takes single steps of any number of rows; see rnncore.layers.

    weight_format: "full", or of float32 "bfloat16", "int8" or "int8_dynamic".
    """

    def __init__(
        self,
        network: Network,
        params: Array,  # [P]
        embedding: Array | None = None,  # [V,I]; None: ids are one-hot inputs
        weight_format: str = "full",
    ) -> None: ...
    def step(
        self,
        x: Any,  # [N,I], or ids [N]
        state: Sequence[Any] | None,  # arrays [L,M,H]; None: zero
        rows: Any = None,  # [N], the row of the state that each row continues; None: its own
    ) -> tuple[Array, tuple[Array, ...]]:  # y [N,H], state: arrays [L,N,H]
        ...

class HeldOutput:
    """log softmax(y W^T + b) in blocks of classes; weight_format as of a HeldNetwork."""

    def __init__(
        self,
        weight: Array,  # [V,H]
        bias: Array | None,  # [V]
        weight_format: str = "full",
    ) -> None: ...
    def log_probabilities(self, y: Array) -> Array:
        """y [N,H] -> [N,V]."""

    def top(self, y: Array, k: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The k greatest log-probabilities [N,k], the greatest first, and their classes [N,k]."""

    def of(self, y: Array, begins: Any, targets: Any) -> NDArray[np.float64]:
        """Log-probabilities [M] of the classes [M]; row n has those from begins[n], [N+1], on."""

def top_of_rows(values: Array, k: int) -> tuple[Array, NDArray[np.int64]]:
    """values [N,V] -> the k greatest [N,k], of equal ones the first first, and where [N,k]."""

def draw_rows(
    values: Array,  # [N,V] log-probabilities
    temperature: float,
    top_k: int,
    top_p: float,
    seeds: Ids,  # [N]
    counter: int,
) -> NDArray[np.int64]:
    """A token of each row, as Sampler.draw draws it with the seed of the row."""

def best_continuations(
    values: Array,  # [N,k] log-probabilities; -inf is never taken
    ids: Ids,  # [N,k]
    totals: NDArray[np.float64],  # [N] of each row so far
    owners: Ids,  # [N] the sentence of each row, ascending
    free: Ids,  # [count] how many each sentence takes
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows, tokens, log-probabilities and totals [M] of the best, sentence by sentence."""

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

# --- attention, over the real steps of a batch, one sequence after the other: rows [N,*] ----------
class AttentionMemory:
    """What queries are compared with and read: keys [N,A] and values [N,M] of B sequences."""

    def __init__(
        self,
        keys: Array | None,  # [N,A]; None: the values
        values: Array,  # [N,M]
        v: Array | None,  # [A] of additive scores; None: products, times scale
        lengths: Ids,  # [B], of sum N
        steps: int,  # S of the array that the rows are from
        num_heads: int,
        scale: float,
    ) -> None: ...
    @property
    def steps(self) -> int: ...
    def forward(
        self, query: Array, query_lengths: Ids, steps: int, keep_weights: bool
    ) -> tuple[Array, Array]:
        """Query rows [N,A] of B targets -> context [T,B,M], and the weights, None if not kept.

        They follow each other as [num_heads, length of the target, padded_weights(length)].
        """

    def backward(
        self, dcontext: Array, query: Array, query_lengths: Ids, weights: Array, dv: Array | None
    ) -> tuple[Array, Array | None, Array]:
        """Adds to dv [A]; returns rows dquery [N,A], dkeys [N,A] (None: in dvalues), dvalues."""

    def read(self, query: Array, rows: Ids) -> tuple[Array, Array]:
        """Query [N,A], rows [N] in [0,B) -> context [N,M], mean weights of the heads [N,S]."""

def padded_weights(steps: int) -> int:
    """Elements of a row of weights for so many steps of a memory."""

def join_rows(x: Array, lengths: Ids) -> Array:
    """x [T,B,W], lengths [B] -> the real steps, one sequence after the other: [N,W]."""

def part_rows(x: Array, more: Array | None, lengths: Ids, steps: int) -> Array:
    """Rows x [N,W] + more [N,W] -> [T,B,W], zero past the end of a sequence."""

# --- decoder whose step reads the context of the step before --------------------------------------
DecoderArrays = Sequence[Array | None]
"""Parameters, or gradients that are added to: [first cell [P1], second cell or combine [P2],
query_weight [A,H], query_bias [A], v [A]]; the last three may be None."""

class AttentionRNNCache:
    """What back-propagation through time needs of one forward pass."""

    @property
    def nbytes(self) -> int: ...
    def weights(self, steps: int) -> Array:
        """Of the attention, [T,B,num_heads,steps]."""

class AttentionRNN:
    """The configuration of the decoder, not its parameters."""

    def __init__(
        self,
        cell: str,  # as of a Network
        input_size: int,
        hidden_size: int,
        context_size: int,
        feeding: str,  # "input" or "conditional"
        outputs_context: bool = False,
        bias: bool = True,
        dtype: str = "float32",
        compute: str | None = None,
    ) -> None: ...
    def infer(
        self,
        params: DecoderArrays,
        x: Array,  # [T,B,I]
        memory: AttentionMemory,
        state: Sequence[Array | None] | None,  # arrays [B,H]
        lengths: Ids | None,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Outputs [T,B,O] and the final state."""

    def forward(
        self,
        params: DecoderArrays,
        x: Array,
        memory: AttentionMemory,
        state: Sequence[Array | None] | None,
        lengths: Ids | None,
    ) -> tuple[Array, tuple[Array, ...], AttentionRNNCache]:
        """The same, and what the way back needs."""

    def backward(
        self,
        params: DecoderArrays,
        grads: DecoderArrays,
        dy: Array | None,
        cache: AttentionRNNCache,
        dstate: Sequence[Array | None] | None,
    ) -> tuple[Array, Array | None, Array, tuple[Array, ...]]:
        """Gradients of x [T,B,I], of keys (None: in those of the values), values and state."""

class HeldAttentionRNN:
    """A decoder with parameters that nobody changes any more, its weights packed once."""

    def __init__(self, layer: AttentionRNN, params: DecoderArrays, key_size: int) -> None: ...
    def step(
        self,
        x: Array,  # [N,I]
        memory: AttentionMemory,
        state: Sequence[Array | None] | None,  # arrays [N,H]
        rows: Ids,  # [N] in [0,B)
    ) -> tuple[Array, tuple[Array, ...], Array]:
        """Outputs [N,O], state, mean weights of the heads [N,S]."""

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
