"""Keywords that a function does not take: the error names the one that was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import wraps
from types import CodeType
from typing import Any, TypeVar

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

#: Our name of an option, and how other libraries and textbooks call it.
_ELSEWHERE = {
    "batch_size": "batchsize mini_batch minibatch_size",
    "beam_size": "beam beam_width num_beams width",
    "bidirectional": "num_directions",
    "bptt": "seq_len seq_length sequence_length num_steps timesteps window",
    "clip_norm": "clipnorm max_norm max_grad_norm grad_clip clip",
    "clip_value": "clipvalue",
    "compute": "precision autocast amp",
    "dropout": "dropout_rate drop p",
    "embedding_size": "embedding_dim embed_dim emb_dim emb_size output_dim",
    "epochs": "num_epochs n_epochs max_epochs epoch max_iter",
    "eps": "epsilon",
    "gamma": "decay decay_rate lr_decay",
    "hidden_size": "hidden hidden_dim hidden_units units n_hidden num_hidden nhid width",
    "input_size": "input_dim in_features in_size n_inputs num_features",
    "learning_rate": "lr eta step_size",
    "length": "max_length max_new_tokens num_tokens n",
    "length_penalty": "alpha lenpen",
    "max_length": "max_len max_new_tokens length",
    "n_best": "num_return_sequences nbest",
    "nonlinearity": "activation act",
    "num_heads": "heads n_heads nhead n_head",
    "num_layers": "layers n_layers nlayers depth",
    "output_size": "output_dim out_features out_size n_outputs units",
    "p": "rate dropout prob",
    "path": "file filename out save_to",
    "progress": "verbose callback callbacks",
    "rng": "seed random_state generator",
    "seed": "rng random_state",
    "vocab_size": "num_embeddings vocabulary_size n_vocab num_tokens input_dim",
    "warmup": "warmup_steps num_warmup_steps",
    "weight_decay": "l2 decay wd",
}


def strict_keywords(**parts: type) -> Callable[[Decorated], Decorated]:
    """Decorate a function, or a class for its constructor, whose wrong keywords get an answer.

    `parts` are parameters that hold options of their own, and the classes of these. Not for what
    is called often: the look at the keywords takes a tenth of a microsecond.
    """

    def decorate(decorated: Decorated) -> Decorated:
        if isinstance(decorated, type):
            setattr(decorated, "__init__", decorate(vars(decorated)["__init__"]))  # noqa: B010
            return decorated
        accepted = keywords_of(decorated)
        owner = decorated.__qualname__.removesuffix(".__init__").rpartition(".")[2]

        constructs = decorated.__name__ == "__init__"  # maybe one of a subclass

        @wraps(decorated)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in accepted:
                    of = type(args[0]).__name__ if constructs and args else owner
                    raise unknown_keyword(name, accepted, of, parts)
            return decorated(*args, **kwargs)

        vars(checked)["_parts"] = parts
        return checked  # type: ignore[return-value]

    return decorate


class StrictKeywords:
    """Base of classes all of whose constructors, those of subclasses too, have strict keywords."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls).get("__init__")
        if inspect.isfunction(own) and (
            _listed(own) or not own.__code__.co_flags & inspect.CO_VARKEYWORDS
        ):
            strict_keywords()(cls)


def keywords_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the parameters of a function, or of the constructor of a class."""
    if isinstance(function, type):
        bases = (vars(base) for base in function.__mro__)
        return keywords_of(next(own["__init__"] for own in bases if "__init__" in own))
    if listed := _listed(function):
        return listed[1:]
    code: CodeType = inspect.unwrap(function).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names[1:] if names[:1] in (("self",), ("cls",)) else names


def _listed(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a signature that was given to the function; without one, none."""
    return tuple(getattr(getattr(function, "__signature__", None), "parameters", ()))


def unknown_keyword(
    name: str, accepted: Iterable[str], owner: str, parts: dict[str, type] | None = None
) -> TypeError:
    """Return the error of a call of `owner` with the keyword `name`, none of `accepted`."""
    names = tuple(accepted)
    refused = f"{name}: no option of {owner}"
    ours = meant(name, names)
    if ours is not None:
        return TypeError(f"{refused}; did you mean {ours}?")
    inside = _in_parts(name, parts or {})
    if inside is not None:
        return TypeError(f"{refused}; pass {inside}")
    return TypeError(f"{refused}, which takes {', '.join(names) or 'none'}")


def _in_parts(name: str, parts: dict[str, type]) -> str | None:
    """Return how to pass the keyword `name` as an option of one of `parts`, or of theirs."""
    for part, kind in parts.items():
        ours = meant(name, keywords_of(kind))
        if ours is not None:
            return f"{part}={kind.__name__}({ours}=...)"
        inside = _in_parts(name, getattr(vars(kind)["__init__"], "_parts", {}))
        if inside is not None:
            return f"{part}={kind.__name__}({inside})"
    return None


def meant(name: str, accepted: Sequence[str]) -> str | None:
    """Return the one of `accepted` that `name` stands for elsewhere or is a misspelling of."""
    if name in accepted:
        return name
    for ours in accepted:
        if name in _ELSEWHERE.get(ours, "").split():
            return ours
    return next(iter(get_close_matches(name, accepted, 1, cutoff=0.7)), None)
