"""Looking into a recurrent network: gradients through time, gates, norms, saturation, pictures."""

from rnncore.diagnostics.alignments import plot_attention
from rnncore.diagnostics.captions import plot_captions
from rnncore.diagnostics.clipping import ClippingRecorder, clipping_events
from rnncore.diagnostics.lags import GradientByLag, gradient_by_lag, text_gradient_by_lag
from rnncore.diagnostics.norms import Norms, norms, spectral_radius
from rnncore.diagnostics.pages import text_page, unit_page
from rnncore.diagnostics.plots import plot_gates, plot_gradient_by_lag
from rnncore.diagnostics.saturation import Saturation, saturation

__all__ = [
    "ClippingRecorder",
    "GradientByLag",
    "Norms",
    "Saturation",
    "clipping_events",
    "gradient_by_lag",
    "norms",
    "plot_attention",
    "plot_captions",
    "plot_gates",
    "plot_gradient_by_lag",
    "saturation",
    "spectral_radius",
    "text_gradient_by_lag",
    "text_page",
    "unit_page",
]
