"""Regression: V real numbers, with the squared error as their loss."""

from rnncore.heads.elements import ElementHead

__all__ = ["Regression"]


class Regression(ElementHead):
    r"""V real numbers z = W y + b, with the squared error as their loss.

    .. math:: \ell = \sum_v (z_v - t_v)^2

    Parameters are those of `Linear`. Targets [...,V] have the head's dtype; NaN does not count.
    """

    kind = "squared_error"
