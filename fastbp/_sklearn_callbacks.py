"""scikit-learn's own callbacks (`set_callbacks`, its experimental protocol since 1.9), where it has them."""

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """scikit-learn before 1.9 has no callbacks."""


class FitTask:
    """The tasks that scikit-learn's callbacks follow: a fit, with a subtask for each epoch.

    `weights()` returns coefs_ and intercepts_ as they are now; a fitted copy of the model is made of them if a
    callback asks for it.
    """

    def __init__(self, model, X, y, sample_weight, n_epochs, weights):
        self.model = model
        self.weights = weights
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"estimator": model, "X": X, "y": y, "metadata": metadata}
        self.context = model._init_callback_context(max_subtasks=n_epochs)
        self.context.call_on_fit_task_begin(**self.data)

    @classmethod
    def of(cls, model, *args):
        """The task of a model to which callbacks are attached, else None."""
        return cls(model, *args) if hasattr(model, "_skl_callbacks") else None

    def begin_epoch(self, epoch):
        """Tell of an epoch that begins."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.data, reconstruction_attributes=self._attributes)

    def end_epoch(self, epoch) -> bool:
        """Tell of its end; True if a callback asks to stop."""
        return self.epoch.call_on_fit_task_end(**self.data, reconstruction_attributes=self._attributes)

    def iteration(self, epoch) -> bool:
        """Tell of an iteration, of which only the end is known."""
        self.begin_epoch(epoch)
        return self.end_epoch(epoch)

    def end(self):
        """Tell of the end of the fit; the model holds its weights."""
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})

    def _attributes(self):
        coefs, intercepts = self.weights()
        return {"coefs_": coefs, "intercepts_": intercepts}
