"""What the docstrings of the two estimators share, written once."""

import inspect
from typing import TypeVar

Documented = TypeVar("Documented")


def with_shared_text(documented: Documented) -> Documented:
    """Put the texts below where a docstring names them in braces, as {parameters} or {validation}."""
    text = inspect.cleandoc(documented.__doc__ or "")
    for name, shared in _TEXTS.items():
        text = text.replace(f"{{{name}}}", shared)
    documented.__doc__ = text
    return documented


_PARAMETERS = """\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units in each hidden layer. An empty list gives a linear model.

activation : str or list of str, default='relu'
    f of the hidden layers: 'identity', 'logistic', 'tanh', 'relu', 'leaky_relu', 'elu', 'selu', 'gelu', 'silu',
    'mish' or 'softplus'. A list gives one per hidden layer.

solver : {'lbfgs', 'sgd', 'adam', 'adamw', 'rmsprop', 'schedule_free'}, default='adam'
    'lbfgs', for small data, learns from all rows at once; the others are stochastic: they learn from mini-batches.
    'adamw' is 'adam' with `weight_decay`; 'schedule_free' averages its own weights and needs no schedule.

alpha : float or list of float, default=0.0001
    L2 penalty: alpha / 2 times the sum of squared weights, divided by the (weighted) size of the batch, is added
    to its loss. Biases are free. A list gives one per layer of weights, hidden layers and output.

batch_size : int or 'auto', default='auto'
    Rows in a mini-batch; 'auto' is min(200, n_samples). The last one of an epoch may be smaller.

learning_rate : str or callable, default='constant'
    The schedule. 'invscaling' divides `learning_rate_init` by the number of samples seen to the power of
    `power_t`; 'adaptive' divides the rate by 5 each time that progress ends, and stops below 1e-6; both are of 'sgd'
    alone and 'constant' elsewhere. 'cosine', 'one_cycle', 'coslog4' and a callable work step by step with every
    stochastic solver, over `max_iter` epochs: ``learning_rate(step, n_steps)`` returns the factor on
    `learning_rate_init`, step counts from 0.

learning_rate_init : float, default=0.001
    Learning rate at the start, or at the peak of a schedule (stochastic solvers).

power_t : float, default=0.5
    Exponent of the 'invscaling' schedule.

max_iter : int, default=200
    Epochs at most (stochastic solvers), or iterations ('lbfgs').

shuffle : bool, default=True
    Whether each epoch takes the rows in a new random order.

random_state : int, RandomState instance or None, default=None
    Source of the initial weights, the validation split, dropout and the shuffling, in this order. The result does
    not depend on the number of threads.

tol : float, default=1e-4
    An epoch counts as progress if it improves the best loss (or validation score) by `tol`. For 'lbfgs', the
    largest component of the gradient at which to stop.

verbose : bool or int, default=False
    Print the loss of every epoch; 2 shows a progress bar, if tqdm is installed.

warm_start : bool, default=False
    Start the next `fit` from the weights of the last one.

momentum : float, default=0.9
    Momentum of 'sgd', between 0 and 1.

nesterovs_momentum : bool, default=True
    Whether that momentum is Nesterov's.

early_stopping : bool, default=False
    Watch the validation score instead of the training loss, and keep the weights of the best epoch. The validation
    rows are `X_val` of `fit`, or `validation_fraction` of the rows, held out. Ignored by 'lbfgs'.

validation_fraction : float, default=0.1
    Part of the rows that `early_stopping` holds out (stratified for two classes) where `X_val` is not given.

beta_1 : float, default=0.9
    Decay of the first moment, in [0, 1) ('adam', 'adamw'); of 'schedule_free' the weight of the average in the
    point where gradients are taken.

beta_2 : float, default=0.999
    Decay of the second moment, in [0, 1) ('adam', 'adamw', 'schedule_free').

epsilon : float, default=1e-8
    Added to the denominator of the step (all stochastic solvers but 'sgd').

n_iter_no_change : int or inf, default=10
    Epochs without progress after which training stops.

max_fun : int, default=15000
    Evaluations of the loss at most ('lbfgs').

dtype : {'float32', 'float64'} or None, default=None
    Precision of weights and arithmetic. None follows X: float32 for float32, float64 for all else. 'float32' is
    about twice as fast, and X of float64 is converted row by row, not copied.

n_threads : int or None, default=None
    Threads at most; small networks use fewer. None is what the machine allows (affinity, cgroup quota,
    ``OMP_NUM_THREADS``, threadpoolctl), -1 all processors, -2 all but one.

dropout : float or list of float, default=0.0
    Share of hidden units that each row leaves out in training, in [0, 1). A list gives one per hidden layer.

input_dropout : float, default=0.0
    The same for the inputs.

weight_decay : float or None, default=None
    Each step shrinks the weights, not the biases, by the learning rate times `weight_decay`, apart from the
    gradient. None is 0.01 for 'adamw' and 0 for the other stochastic solvers.

clip_norm : float or None, default=None
    Largest norm of the mean gradient, penalty included, over all layers: longer ones are scaled down.

clip_value : float or None, default=None
    Largest size of each of its components, after `clip_norm`.

ema_decay : float or None, default=None
    In (0, 1): predictions use the exponential moving average of the weights, not the last ones. The decay at step
    t is min(ema_decay, (1 + t) / (10 + t)).

rho : float, default=0.9
    Decay of the second moment of 'rmsprop'.

warmup : int or float, default=0
    The learning rate rises linearly for so many steps; a float in (0, 1) is a fraction of all steps of `max_iter`
    epochs.

scoring : str, callable or None, default=None
    What judges the validation rows: None for accuracy or R2, "loss" for minus the loss, the name of a scorer, or a
    callable ``scoring(estimator, X, y)``; higher is better. Sample weights are passed on if it takes them.

restore_best : bool or None, default=None
    Whether `fit` ends with the weights of its best epoch, by validation score if there is one, else by training loss.
    None: with `early_stopping` only.

max_time : float or None, default=None
    Seconds after which `fit` stops, and keeps what it has.

callbacks : callable or list of callables, default=None
    Each is called after every epoch with an :class:`fastbp.Epoch`: its number, losses, learning rate, the time and
    the model as it is now. Returning True stops training.

checkpoint : path or None, default=None
    File in which training is saved, to be gone on with by `resume_from`.

checkpoint_every : int, default=1
    Epochs between two savings.

resume_from : path or None, default=None
    Checkpoint to go on from. With the same data and parameters, `fit` ends with the same bits as if it had never
    stopped. `max_iter` may be another, unless a schedule or a fraction of `warmup` counts its steps."""

_ATTRIBUTES = """\
coefs_ : list of ndarray of shape (n_inputs, n_units)
    Weights into each layer but the first. They are read at each prediction, so they may be changed.

intercepts_ : list of ndarray of shape (n_units,)
    Biases of each layer; like `coefs_`.

loss_ : float
    Loss of the last epoch.

loss_curve_ : list of float
    Loss of each epoch, penalty included (stochastic solvers).

best_loss_ : float or None
    Least loss of an epoch; None with early stopping (stochastic solvers).

validation_scores_ : list of float or None
    Score on the validation rows after each epoch; None without such (stochastic solvers).

validation_loss_curve_ : list of float or None
    Loss on the validation rows after each epoch, without penalty; None without such (stochastic solvers).

best_validation_score_ : float or None
    The highest score (stochastic solvers).

stopped_ : bool
    Whether the last `partial_fit` used up the patience; `coefs_` are then those of the best call. Only with early
    stopping.

n_iter_ : int
    Epochs of the last `fit`, or iterations of 'lbfgs'.

t_ : int
    Samples seen in training.

n_features_in_ : int
    Columns of X.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Their names, if X had such.

n_layers_ : int
    Layers, input and output included."""

_VALIDATION = """\
sample_weight : array-like of shape (n_samples,), default=None
    Weight of each sample in the loss of its batch.
X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
    Validation rows: `early_stopping` watches them instead of holding out some of X; without it they are only
    recorded, in `validation_scores_` and `validation_loss_curve_`. ``Pipeline(..., transform_input=["X_val"])``
    transforms them like X.
y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
    Their targets.
sample_weight_val : array-like of shape (n_val,), default=None
    Their weights in loss and score."""

_TEXTS = {"parameters": _PARAMETERS, "attributes": _ATTRIBUTES, "validation": _VALIDATION}
