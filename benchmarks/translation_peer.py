"""The translator of `bench_translation` in PyTorch: the same parameters, the same numbers.

PyTorch packs its sequences: without, its bidirectional encoder would read padding. The output layer
reads real steps only.
"""

from typing import Any

import numpy as np

import rnncore as rc
from rnncore._bench import pytorch
from rnncore.data import Batch
from rnncore.decode import LogProbabilities

__all__ = ["Peer", "PeerDecoder"]


class Peer:
    """A GRU translator with one-pass attention, whose parameters are those of a `Seq2Seq`."""

    def __init__(self, model: rc.Seq2Seq) -> None:
        torch = self._torch = pytorch.torch()
        nn = torch.nn
        width, units = model.embedding.embedding_size, model.hidden_size
        self.source = nn.Embedding(*model.source_embedding.params["weight"].shape)
        self.target = nn.Embedding(*model.embedding.params["weight"].shape)
        self.encoder = nn.GRU(width, units, bidirectional=True)
        self.bridge = nn.Linear(2 * units, units)
        self.decoder = nn.GRU(width, units)
        self.keys = nn.Linear(2 * units, units, bias=False)
        self.readout = nn.Linear(3 * units, width)
        self.output = nn.Linear(width, model.target_vocab_size)
        self.output.weight = self.target.weight
        names = {
            "source_embedding": self.source,
            "embedding": self.target,
            "encoder": self.encoder,
            "bridges.0.maps.0": self.bridge,
            "writer.rnn": self.decoder,
            "writer.attention.key_projection": self.keys,
            "writer.readout.linear": self.readout,
            "output": self.output,
        }
        given = model.state_dict()
        for prefix, module in names.items():
            found = {
                name.removeprefix(f"{prefix}."): torch.from_numpy(array)
                for name, array in given.items()
                if name.startswith(f"{prefix}.")
            }
            own = module.state_dict()
            module.load_state_dict(own | found)
        modules = list(names.values())
        self.parameters = list(dict.fromkeys(p for m in modules for p in m.parameters()))

    def encode(self, sources: Any, lengths: Any) -> tuple[Any, Any, Any]:
        """Return memory [S,B,M], keys [S,B,H] and the initial state [1,B,H]."""
        torch = self._torch
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(self.source(sources), lengths, enforce_sorted=False)
        y, h = self.encoder(packed)
        memory, _ = rnn.pad_packed_sequence(y, total_length=len(sources))
        state = torch.tanh(self.bridge(torch.cat([h[0], h[1]], dim=-1)))[None]
        return memory, self.keys(memory), state

    def attend(self, y: Any, memory: Any, keys: Any, masked: Any) -> Any:
        """Return the contexts [B,T,M] of outputs [B,T,H], over memory and keys [B,S,...]."""
        scores = (y @ keys.transpose(1, 2)).masked_fill(masked[:, None], -float("inf"))
        return self._torch.softmax(scores, dim=-1) @ memory

    def loss(self, batch: tuple[Any, ...]) -> Any:
        """Return the mean loss of sources [S,B], inputs and targets [T,B] and their lengths."""
        torch = self._torch
        rnn = torch.nn.utils.rnn
        sources, inputs, targets, source_lengths, lengths = batch
        memory, keys, state = self.encode(sources, source_lengths)
        packed = rnn.pack_padded_sequence(self.target(inputs), lengths, enforce_sorted=False)
        y, _ = rnn.pad_packed_sequence(self.decoder(packed, state)[0], total_length=len(inputs))
        masked = torch.arange(len(sources))[None] >= source_lengths[:, None]
        first = [part.transpose(0, 1) for part in (y, memory, keys)]
        context = self.attend(*first, masked).transpose(0, 1)
        real = targets >= 0
        joined = torch.cat([y[real], context[real]], dim=-1)
        logits = self.output(torch.tanh(self.readout(joined)))
        return torch.nn.functional.cross_entropy(logits, targets[real])

    def tensors(self, batch: Batch) -> tuple[Any, ...]:
        """Return the arrays of a batch as `loss` takes them."""
        arrays = (*batch.inputs, batch.targets, *batch.lengths)
        return tuple(self._torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)


class PeerDecoder:
    """`rnncore.decode.StepDecoder` over a `Peer`: the same search, other modules."""

    def __init__(self, peer: Peer, sources: Any, lengths: Any) -> None:
        torch = self._torch = pytorch.torch()
        self._peer = peer
        self.vocab_size = peer.output.out_features
        with torch.no_grad():
            ids, ends = torch.from_numpy(sources), torch.from_numpy(lengths)
            memory, keys, self._state = peer.encode(ids, ends)
            self._memory, self._keys = memory.transpose(0, 1), keys.transpose(0, 1)
            self._masked = torch.arange(len(ids))[None] >= ends[:, None]

    def start(self, count: int) -> Any:
        """Return the state before the first token, and which source each row reads."""
        return self._state, self._torch.arange(count)

    def advance(self, tokens: Any, state: Any) -> Any:
        """Read a token in every row."""
        torch, peer = self._torch, self._peer
        hidden, rows = state
        with torch.no_grad():
            y, hidden = peer.decoder(peer.target(torch.from_numpy(tokens))[None], hidden)
            held = (self._memory[rows], self._keys[rows], self._masked[rows])
            context = peer.attend(y.transpose(0, 1), *held)[:, 0]
            logits = peer.output(torch.tanh(peer.readout(torch.cat([y[0], context], dim=-1))))
            values = torch.log_softmax(logits, dim=-1).numpy()
        return LogProbabilities(values), (hidden, rows)

    def select(self, state: Any, rows: Any) -> Any:
        """Return the state of some rows."""
        hidden, read = state
        chosen = self._torch.from_numpy(rows)
        return hidden[:, chosen], read[chosen]
