"""The course of training as fitted attributes, from which a later call goes on."""

import warnings

import numpy as np

from fastbp._training import Progress, Stop

_ATTRIBUTES = (
    "_optimizer",
    "_no_improvement_count",
    "_best_weights",
    "stopped_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "validation_loss_curve_",
    "best_validation_score_",
)


class History:
    """Losses, scores and what was best, of an estimator."""

    def _forget(self):
        """Remove what earlier training left."""
        for name in _ATTRIBUTES:
            vars(self).pop(name, None)

    def _progress(self):
        """Where earlier calls left training, read from the attributes; a fresh start where there are none."""
        if self.early_stopping:
            best = getattr(self, "best_validation_score_", None)
        else:
            best_loss = getattr(self, "best_loss_", None)
            best = None if best_loss is None else -best_loss
        return Progress(
            n_seen=self.t_,
            losses=getattr(self, "loss_curve_", []),
            scores=getattr(self, "validation_scores_", None) or [],
            validation_losses=getattr(self, "validation_loss_curve_", None) or [],
            best=-np.inf if best is None else best,
            stale=getattr(self, "_no_improvement_count", 0),
        )

    def _record(self, progress):
        self.n_iter_ = progress.n_epochs
        self.t_ = progress.n_seen
        self.loss_curve_ = progress.losses
        if progress.losses:
            self.loss_ = progress.losses[-1]
        self._no_improvement_count = progress.stale
        self.best_loss_ = None if self.early_stopping else -progress.best
        was_validated = self.early_stopping or bool(progress.scores)
        self.validation_scores_ = progress.scores if was_validated else None
        self.validation_loss_curve_ = progress.validation_losses if was_validated else None
        if self.early_stopping:
            self.best_validation_score_ = progress.best
        else:
            self.best_validation_score_ = max((s for s in progress.scores if not np.isnan(s)), default=None)

    def _keep_best(self, network, best, best_before, weights_before, stop):
        """Across calls of partial_fit: remember the best weights, and bring them back when patience ends."""
        if best > best_before:
            self._best_weights = network.get_parameters()
        elif not hasattr(self, "_best_weights"):
            self._best_weights = weights_before
        self.stopped_ = stop is Stop.CONVERGED
        if self.stopped_ and self.restore_best is not False:
            network.set_parameters(*self._best_weights)

    def _check_finite(self, losses):
        """Raise if a weight is not finite; warn if only one of the losses is not."""
        is_lbfgs = self.solver == "lbfgs"
        infinite = np.flatnonzero(~np.isfinite(losses))
        epoch = int(infinite[0]) + 1 if len(infinite) and not is_lbfgs else self.n_iter_
        when = f"{'iteration' if is_lbfgs else 'epoch'} {epoch}"
        if not all(np.isfinite(p).all() for p in self.coefs_ + self.intercepts_):
            rate = "" if is_lbfgs else f", lower learning_rate_init={self.learning_rate_init} or set clip_norm"
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                f"preprocessed. Training diverged in {when}: scale X (and real y){rate}."
            )
        if len(infinite):
            warnings.warn(
                f"overflow: the loss of {when} is {losses[infinite[0]]}, though the weights are finite. Scale X (and "
                "real y), or lower alpha.",
                RuntimeWarning,
                stacklevel=2,
            )
