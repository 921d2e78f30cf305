"""The variational autoencoder as a Keras model: any encoder, any decoder, a table of likelihoods.

Source: Kingma & Welling 2013, "Auto-Encoding Variational Bayes", sections 2 and 3 and appendix C.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from .callbacks import KeepOrder, StopWhenNotFinite, common_steps
from .data import check_images
from .progress import TrainingTable

tfd = tfp.distributions

# σ from what the encoder puts out. Softplus can reach zero in float32, and log 0 is −∞: hence the 1e-8.
SCALES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "log_variance": lambda raw: tf.exp(0.5 * raw),
    "softplus": lambda raw: tf.nn.softplus(raw) + 1e-8,
}


class Likelihood(NamedTuple):
    """How decoder outputs become p(x | z) over the pixels of an image."""

    channels_per_channel: int  # how many decoder outputs describe one channel of a pixel
    pixels: Callable[[tf.Tensor], tfd.Distribution]


def _gaussian_pixels(outputs: tf.Tensor) -> tfd.Distribution:
    mean, log_variance = tf.split(outputs, 2, axis=-1)
    # Grey levels come in steps of 1/255. A density may grow without bound on values that never vary (the black rim of
    # a digit); a standard deviation below one step has no meaning in the data, so that is the floor.
    return tfd.Normal(mean, tf.sqrt(tf.exp(log_variance) + 255.0**-2))


class _Bernoulli(tfd.Bernoulli):
    """TFP's Bernoulli with log p(x) = x · logit − softplus(logit) (Kingma & Welling 2013, appendix C.1).

    The same number, also for grey levels between 0 and 1; TFP's own formula guards infinite logits, which networks do
    not put out, and takes two to three times as long.
    """

    def _log_prob(self, event):
        logits = self._logits_parameter_no_checks()
        return event * logits - tf.nn.softplus(logits)


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Likelihood(1, lambda logits: _Bernoulli(logits=logits, dtype=tf.float32)),
    "continuous_bernoulli": Likelihood(1, lambda logits: tfd.ContinuousBernoulli(logits=logits)),
    "gaussian": Likelihood(2, _gaussian_pixels),
}


def _choose(table: dict, name: str, what: str):
    if name not in table:
        raise ValueError(f"Unknown {what} {name!r}: expected one of {', '.join(sorted(table))}.")
    return table[name]


@dataclasses.dataclass(frozen=True)
class _Step:
    """What a training or test step shares with the objective it runs, without widening the objective's signature."""

    seeds: keras.random.SeedGenerator | None = None
    training: bool = False
    terms: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)


@keras.saving.register_keras_serializable(package="vae_helpers")
class VAE(keras.Model):
    """A variational autoencoder with a standard normal prior and a diagonal Gaussian posterior::

        p(z) = N(0, I)      q(z | x) = N(μ(x), diag σ²(x))      p(x | z) = likelihood of the decoder's outputs

    Args:
        encoder: a built Keras model, images [n, H, W, C] → [n, 2J]: μ in the first half, the raw scale in the second.
        decoder: a built Keras model, z [n, J] → [n, H, W, C], logits for the Bernoulli likelihoods, or [n, H, W, 2C]
            for the Gaussian: C means, then C log-variances. (To its variance is added that of one grey level, 1/255².)
        likelihood: `"bernoulli"`, `"continuous_bernoulli"` or `"gaussian"`.
        scale: how σ comes from the raw scale: `"log_variance"` (exp(raw/2)) or `"softplus"` (softplus(raw) + 1e-8).
        seed: seed of the noise ε. `None`: drawn from Keras's global seed (`keras.utils.set_random_seed`).

    Attributes:
        encoder: the first network.
        decoder: the second.
        latent_dim: J.
        image_shape: (H, W, C).

    Raises:
        ValueError: an unknown likelihood or scale, or networks whose shapes do not fit together.

    Example:
        >>> model = vh.mlp_vae(latent_dim=2)
        >>> model.compile(keras.optimizers.Adam(1e-3), objective=vh.sgvb_b)
        >>> history = model.fit(vh.batches(images.train, 100, "dynamic"), epochs=10)
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        likelihood: str = "bernoulli",
        scale: str = "log_variance",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._likelihood = _choose(LIKELIHOODS, likelihood, "likelihood")
        self._scale = _choose(SCALES, scale, "scale")
        self.likelihood_name, self.scale_name = likelihood, scale
        self.image_shape, self.latent_dim = _check_networks(encoder, decoder, self._likelihood)
        self.encoder, self.decoder = encoder, decoder
        self.seed_generator = keras.random.SeedGenerator(seed)  # saved with the weights: training resumes its noise
        self._evaluation_seeds = keras.random.SeedGenerator(0)
        self._step = _Step()
        self._averages = {name: keras.metrics.Mean(name=name) for name in ("loss", "reconstruction", "kl")}
        self.objective, self.samples, self._chooses_steps = None, 1, True
        self.built = True  # both networks are

    # --- the three distributions -------------------------------------------------------------------------------

    @property
    def prior(self) -> tfd.Distribution:
        """The prior p(z), a standard normal, batch [], event [J]."""
        return tfd.Independent(tfd.Normal(tf.zeros(self.latent_dim), 1.0), 1)

    def posterior(self, x: tf.Tensor) -> tfd.Distribution:
        """q(z | x): a diagonal Gaussian, batch [n], event [J].

        Args:
            x: float32 images in [0, 1], shape [n, H, W, C].

        Raises:
            ValueError, TypeError: `x` has another shape or dtype, or pixels outside [0, 1] (they are looked at outside
                `tf.function` only).
        """
        x = self.check_input(x)
        outputs = tf.cast(self.encoder(x, training=self._step.training), tf.float32)
        loc, raw_scale = tf.split(outputs, 2, axis=-1)
        return tfd.Independent(tfd.Normal(loc, self._scale(raw_scale)), 1)

    def likelihood(self, z: tf.Tensor) -> tfd.Distribution:
        """p(x | z): independent pixels, batch [n] or [L, n] (whatever stands before J in z), event [H, W, C].

        Args:
            z: float32 latent points, shape [..., J].

        Raises:
            ValueError: the last axis is not J long.
        """
        z = tf.convert_to_tensor(z, tf.float32)
        if z.shape.rank is None or z.shape.rank < 1 or z.shape[-1] != self.latent_dim:
            raise ValueError(f"z: expected shape [..., {self.latent_dim}] (J last), got {z.shape}.")
        leading = tf.shape(z)[:-1]
        outputs = self.decoder(tf.reshape(z, [-1, self.latent_dim]), training=self._step.training)
        outputs = tf.cast(outputs, tf.float32)
        outputs = tf.reshape(outputs, tf.concat([leading, outputs.shape[1:]], axis=0))
        return tfd.Independent(self._likelihood.pixels(outputs), len(self.image_shape))

    # --- pictures ----------------------------------------------------------------------------------------------

    def sample(self, n: int, seed: int | None = None) -> tf.Tensor:
        """Pixel means of `n` images from the prior: z ~ p(z), then the mean of p(x | z). float32 [n, H, W, C].

        With `seed=None` z is the model's next noise.
        """
        z = self.prior.sample(n, seed=self.next_seed() if seed is None else seed_pair(seed))
        return self.likelihood(z).mean()

    def reconstruct(self, x: tf.Tensor) -> tf.Tensor:
        """Pixel means of p(x | z) at z = μ(x), the mean of q(z | x): no noise. float32 [n, H, W, C]."""
        return self.likelihood(self.posterior(x).mean()).mean()

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What `predict` returns: the reconstruction."""
        return self.reconstruct(x)

    # --- what objectives use -----------------------------------------------------------------------------------

    def next_seed(self) -> tf.Tensor:
        """A fresh int32 [2] seed for a stateless sampler, from the generator whose state is saved with the model.

        Within `using` it comes from the generator given there.
        Where several replicas share a step, each gets a seed of its own.
        """
        seed = tf.cast((self._step.seeds or self.seed_generator).next(), tf.int32)
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            seed = tf.random.experimental.stateless_fold_in(seed, replica.replica_id_in_sync_group)
        return seed

    def report(self, **terms: tf.Tensor) -> None:
        """Lets an objective show what it has computed anyway in the training log: `model.report(kl=kl)`.

        Args:
            **terms: `reconstruction` and `kl`, or one of them: nats, shape [n].

        Raises:
            ValueError: another name.
        """
        unknown = set(terms) - {"reconstruction", "kl"}
        if unknown:
            raise ValueError(f"report takes reconstruction and kl, got {', '.join(sorted(unknown))}.")
        self._step.terms.update(terms)

    @contextlib.contextmanager
    def using(self, seeds: keras.random.SeedGenerator | None = None, training: bool = False):
        """For `with model.using(seeds) as terms:`, a block with noise of its own.

        Args:
            seeds: where the noise comes from; `None`: from the model, as without the block.
            training: whether dropout is on.

        Yields:
            a dictionary of what objectives `report` within the block.
        """
        before, self._step = self._step, _Step(seeds, training)
        try:
            yield self._step.terms
        finally:
            self._step = before

    # --- training ----------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        objective: Callable[[VAE, tf.Tensor, int], tf.Tensor] | None = None,
        samples: int = 1,
        jit_compile: bool | str = "auto",
        steps_per_execution: int | str = "auto",
        **kwargs,
    ) -> None:
        """Sets what `fit` maximises and how.

        Args:
            optimizer: as in Keras.
            objective: a function of `(model, x, samples)` that returns nats per image [n], e.g. `vh.sgvb_b`. There is
                no default.
            samples: L (or k for `vh.iwae`), the number of z drawn for an image.
            jit_compile: whether XLA compiles the step; `"auto"`: unless there are convolutions on a CPU, or several
                replicas.
            steps_per_execution: how many steps run before Python sees them; `"auto"`: a twentieth of an epoch, fewer if
                a callback looks at single minibatches, one if `fit` is given `steps_per_epoch` or `validation_steps`.
                The weights come out the same.
            **kwargs: `run_eagerly`, `auto_scale_loss`: as in Keras.

        Raises:
            ValueError: no objective was given.
        """
        if objective is None:
            raise ValueError(
                "compile needs an objective, a function of (model, x, samples): expected for example "
                "objective=vh.sgvb_b, got None."
            )
        if jit_compile == "auto":
            jit_compile = self.prefers_xla
        self.objective, self.samples = objective, samples
        self._chooses_steps = steps_per_execution == "auto"
        steps = 1 if self._chooses_steps else steps_per_execution
        super().compile(optimizer=optimizer, jit_compile=jit_compile, steps_per_execution=steps, **kwargs)

    @property
    def prefers_xla(self) -> bool:
        """Whether XLA pays off: everywhere but for convolutions on a CPU, which it makes about twice as slow.

        Never where several replicas share a step: that has not been tried.
        """
        if self.distribute_strategy.num_replicas_in_sync > 1:
            return False
        has_convolution = any("Conv" in type(layer).__name__ for layer in self._flatten_layers())
        return bool(tf.config.list_physical_devices("GPU")) or not has_convolution

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **kwargs):
        """Trains as `keras.Model.fit` does; images have no labels, so `y` stays empty.

        Args:
            x: a dataset of images, such as `vh.batches` makes (labels within it are ignored), or float32 images in
                [0, 1], shape [n, H, W, C].
            y: nothing.
            batch_size: of an array; 32 if not given.
            epochs: how often the images are visited.
            verbose: `"auto"`: progress is one table, a line every tenth of the epochs and, live, the time left; else as
                in Keras.
            callbacks: as in Keras.
            **kwargs: as in Keras, e.g. `validation_data=vh.batches(x_test, 100)`.

        Returns:
            a `keras.callbacks.History`. Its dictionary `history` has a list with a number for each epoch: `loss` is the
            objective with its sign changed (plus regularisers, if there are any), `reconstruction` and `kl` are what
            the objective reports; the same with `val_` for `validation_data`. Nats per image.

        Raises:
            ValueError, TypeError: `y` was given, or an array that is no batch of images with pixels in [0, 1].
            tf.errors.InvalidArgumentError: a minibatch of a `tf.data.Dataset` has pixels outside [0, 1].
            FloatingPointError: the loss is no longer a number; the message names the epoch and the step.
        """
        if y is not None:
            raise ValueError("A VAE learns from images alone: expected fit(x), got y as well.")
        x = _guarded(x)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # it brings its own order, and Keras would warn that it does
        kwargs["validation_data"] = _guarded(kwargs.get("validation_data"))
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            # Keras would round a given number of steps up to whole executions: then it is one step an execution.
            counted = kwargs.get("steps_per_epoch") is not None or kwargs.get("validation_steps") is not None
            self._choose_steps(None if counted else x, batch_size, callbacks or [])
            callbacks = [*(callbacks or []), StopWhenNotFinite()]
            if hasattr(x, "epochs"):
                callbacks.append(KeepOrder(x))
            if verbose == "auto":
                callbacks.append(TrainingTable())
        verbose = 0 if verbose == "auto" else verbose
        return super().fit(x, None, batch_size, epochs, verbose, callbacks, **kwargs)

    def _choose_steps(self, x, batch_size: int | None, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Lets 20 times an epoch return to Python, or as often as a callback asks, unless `compile` was told."""
        if not self._chooses_steps:
            return
        steps = 1
        if isinstance(x, tf.data.Dataset):
            epoch = int(x.cardinality())  # negative when unknown
        else:
            epoch = math.ceil(len(x) / (batch_size or 32)) if hasattr(x, "__len__") else 0
        alone = self.distribute_strategy.num_replicas_in_sync == 1  # else Keras 3.15 stops with an error on CPUs
        if x is not None and alone and not self.run_eagerly:
            most, common = max(1, epoch // 20), common_steps(callbacks)
            steps = max(n for n in range(1, most + 1) if common % n == 0)
        if steps != self.steps_per_execution:
            self.steps_per_execution, self.train_function, self.test_function = steps, None, None

    def make_train_function(self, force: bool = False) -> Callable:
        """As Keras's, but where XLA compiles, all steps of an execution are one program.

        A program a step is started, and takes and gives back all weights, 600 times an epoch at M = 100: a sixth of the
        time. Not for convolutions on a CPU, which XLA makes slower still within a loop (JAX's issue 12868).
        """
        if self.train_function is None or force:
            if self.distribute_strategy.num_replicas_in_sync == 1:
                # No variable can be made within a loop, nor in a second call if the first one fails.
                self.optimizer.build(self.trainable_variables)
            super().make_train_function(force)
            if self.jit_compile and self.prefers_xla and self.steps_per_execution > 1 and not self.run_eagerly:
                self.train_function = self._one_program(self.train_function)
        return self.train_function

    def _one_program(self, one_by_one: Callable) -> Callable:
        """A train function that gives `steps_per_execution` minibatches of one size to XLA together, others singly."""

        @tf.function(jit_compile=True, autograph=False)
        def together(batches):  # [steps, M, H, W, C]
            names = []

            def step(number):
                names[:] = self.train_step(batches[number])
                return [number + 1]

            tf.while_loop(lambda number: number < batches.shape[0], step, [0])
            return {name: self._averages[name].result() for name in names}

        def execution(iterator):
            data = itertools.islice(iterator, self.steps_per_execution)
            batches = [keras.utils.unpack_x_y_sample_weight(each)[0] for each in data]
            if not batches:
                raise StopIteration
            if len(batches) < self.steps_per_execution or batches[-1].shape != batches[0].shape:
                return one_by_one(iter(batches))  # the end of an epoch
            return together(tf.stack(batches))

        return execution

    def evaluate(self, x=None, y=None, *args, verbose=0, **kwargs):
        """As `keras.Model.evaluate`: loss, reconstruction and KL, nats per image, and the same errors as from `fit`.

        Every call draws the same noise, so that two epochs differ only by the weights.
        """
        if "_use_cached_eval_dataset" not in kwargs:  # else `fit` calls, which has looked at them
            x = _guarded(x)
        self._evaluation_seeds.state.assign(keras.random.SeedGenerator(0).state)
        return super().evaluate(x, y, *args, verbose=verbose, **kwargs)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One step of the AEVB algorithm (Kingma & Welling 2013, algorithm 1)."""
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        # The optimiser adds up the gradients of all replicas, whose shares of a minibatch may differ in size.
        replica, share = tf.distribute.get_replica_context(), 1.0
        if replica.num_replicas_in_sync > 1:
            images = tf.cast(tf.shape(x)[0], tf.float32)
            share = images / replica.all_reduce(tf.distribute.ReduceOp.SUM, images)
        with tf.GradientTape() as tape:
            values, terms = self._run_objective(x, self.seed_generator, training=True)
            penalty = tf.add_n(self.losses) if self.losses else 0.0  # Keras regularisers of the layers
            loss = self.optimizer.scale_loss(share * (penalty - tf.reduce_mean(values)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._update_averages(penalty - values, terms)

    def test_step(self, data) -> dict[str, tf.Tensor]:
        x = keras.utils.unpack_x_y_sample_weight(data)[0]
        values, terms = self._run_objective(x, self._evaluation_seeds, training=False)
        return self._update_averages(-values, terms)

    def _run_objective(self, x, seeds, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        with self.using(seeds, training) as terms:
            values = self.objective(self, x, self.samples)
        return values, terms

    def _update_averages(self, losses: tf.Tensor, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # One value per image, so that a smaller last batch weighs by its size.
        for name, values in {"loss": losses, **terms}.items():
            self._averages[name].update_state(values)
        results = {name: self._averages[name].result() for name in ("loss", *terms)}
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages what the workers return over axis 0, which a single number has not
            # (tensorflow/tensorflow issue 72388).
            return {name: result[None] for name, result in results.items()}
        return results

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._averages.values())

    # --- saving ------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "likelihood": self.likelihood_name,
            "scale": self.scale_name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> VAE:
        networks = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects) for key in ("encoder", "decoder")
        }
        return cls(**{**config, **networks})

    def get_compile_config(self) -> dict[str, Any] | None:
        if self.objective is None:
            return None
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "objective": keras.saving.serialize_keras_object(self.objective),
            "samples": self.samples,
            "steps_per_execution": "auto" if self._chooses_steps else self.steps_per_execution,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store) -> None:
        # Keras saves weights and optimiser slots but not the state of seed generators (ours, or a Dropout layer's).
        for i, state in enumerate(self._noise_states()):
            store[str(i)] = state.numpy()

    def load_own_variables(self, store) -> None:
        for i, state in enumerate(self._noise_states()):
            state.assign(store[str(i)])

    def _noise_states(self) -> list[keras.Variable]:
        return [v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")]

    def check_input(self, x: np.ndarray | tf.Tensor) -> tf.Tensor:
        """`x` as a tensor, if it is a batch of float32 images of this model; in a graph only shape and dtype are seen.

        Raises:
            ValueError, TypeError: it is not; the message says what came and what to do.
        """
        if tf.is_tensor(x) and tf.is_symbolic_tensor(x):  # in a graph: what can be known without running it
            if not x.dtype.is_floating or not x.shape[1:].is_compatible_with(self.image_shape):
                raise ValueError(
                    f"Expected float32 images {['n', *self.image_shape]} in [0, 1], got {x.dtype.name} {x.shape}. "
                    "Use vh.batches or vh.binarize."
                )
            return x
        check_images(x)
        x = tf.convert_to_tensor(x)
        if x.dtype == tf.uint8 or x.shape[1:] != self.image_shape:
            raise ValueError(
                f"Expected float32 images {['n', *self.image_shape]} in [0, 1], got {x.dtype.name} {x.shape}. "
                "Use vh.binarize(images, ...) to turn grey levels into floats."
            )
        return x


def _guarded(x):
    """Images for `fit` or `evaluate` as they are, refused if they are an array with pixels outside [0, 1], or watched
    if they are a dataset that may have some; that of `vh.batches` has none."""
    if isinstance(x, (np.ndarray, tf.Tensor)):
        check_images(x)
    elif isinstance(x, tf.data.Dataset) and not hasattr(x, "epochs"):
        return x.map(_checked)
    return x


def _checked(x: tf.Tensor, *rest):
    """A minibatch of a dataset as it is. Its pixels are looked at on the way, where XLA compiles nothing."""
    if tf.is_tensor(x) and x.dtype.is_floating:
        low, high = tf.reduce_min(x), tf.reduce_max(x)
        message = ("Expected images with pixels in [0, 1], got from", low, "to", high)
        advice = "in a minibatch. Divide grey levels by 255, or use vh.batches."
        with tf.control_dependencies([tf.debugging.Assert((low >= 0) & (high <= 1), [*message, advice])]):
            x = tf.identity(x)
    return (x, *rest) if rest else x


def seed_pair(seed: int) -> tf.Tensor:
    """An int as the int32 [2] seed that stateless samplers take."""
    return tf.constant([seed, 0], tf.int32)


def _check_networks(encoder, decoder, likelihood: Likelihood) -> tuple[tuple[int, ...], int]:
    """The image shape and J, once it is sure that the two networks fit together."""
    for network, role in ((encoder, "encoder"), (decoder, "decoder")):
        if not getattr(network, "built", False) or not hasattr(network, "output_shape"):
            raise ValueError(f"The {role} has no known shapes: expected a built Keras model, e.g. with an Input layer.")
    image_shape, outputs = tuple(encoder.input_shape[1:]), encoder.output_shape
    if len(outputs) != 2 or outputs[-1] % 2:
        raise ValueError(f"The encoder's output: expected [n, 2J] (μ, then the raw scale), got {outputs}.")
    latent_dim = outputs[-1] // 2
    if tuple(decoder.input_shape[1:]) != (latent_dim,):
        raise ValueError(
            f"The decoder's input: expected [n, {latent_dim}] (J = {latent_dim}), got {decoder.input_shape}."
        )
    expected = (*image_shape[:-1], image_shape[-1] * likelihood.channels_per_channel)
    if tuple(decoder.output_shape[1:]) != expected:
        raise ValueError(f"The decoder's output: expected {['n', *expected]}, got {decoder.output_shape}.")
    return image_shape, latent_dim


# --- two families of networks ----------------------------------------------------------------------------------


def _glorot(seed: int | None) -> Callable[[], keras.initializers.Initializer]:
    """A fresh Glorot-uniform initialiser a layer, all of them fixed by one seed."""
    if seed is None:
        return keras.initializers.GlorotUniform
    random = np.random.default_rng(seed)
    return lambda: keras.initializers.GlorotUniform(seed=int(random.integers(2**31)))


def _dropout(rate: float, seed: int | None) -> Callable[[], keras.layers.Dropout]:
    """A fresh Dropout layer, its noise fixed by the same seed as the weights but drawn apart from them."""
    if seed is None:
        return lambda: keras.layers.Dropout(rate)
    random = np.random.default_rng([seed, 1])
    return lambda: keras.layers.Dropout(rate, seed=int(random.integers(2**31)))


def mlp_vae(
    latent_dim: int = 2,
    hidden: Sequence[int] = (512, 256),
    activation: str = "relu",
    dropout: float = 0.0,
    likelihood: str = "bernoulli",
    scale: str = "log_variance",
    image_shape: Sequence[int] = (28, 28, 1),
    seed: int | None = None,
) -> VAE:
    """A VAE of dense layers (Kingma & Welling 2013, appendix C); the decoder mirrors the encoder.

    Args:
        latent_dim: J, the number of latent dimensions.
        hidden: units of the encoder's hidden layers, first to last.
        activation: of the hidden layers; the last layer of each network is linear.
        dropout: rate after each hidden layer, in training only.
        likelihood, scale: as for `VAE`.
        image_shape: H, W, C.
        seed: of the initial weights, the noise and the dropout; `None` takes them from Keras's global seed.

    Raises:
        ValueError: an unknown likelihood or scale.
    """
    channels = _choose(LIKELIHOODS, likelihood, "likelihood").channels_per_channel * image_shape[-1]
    glorot, drop, layers = _glorot(seed), _dropout(dropout, seed), keras.layers

    def hidden_layers(sizes):
        for units in sizes:
            yield layers.Dense(units, activation=activation, kernel_initializer=glorot())
            if dropout:
                yield drop()

    encoder = keras.Sequential(
        [
            layers.Input(tuple(image_shape)),
            layers.Flatten(),
            *hidden_layers(hidden),
            layers.Dense(2 * latent_dim, kernel_initializer=glorot()),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            *hidden_layers(reversed(hidden)),
            layers.Dense(math.prod(image_shape[:-1]) * channels, kernel_initializer=glorot()),
            layers.Reshape((*image_shape[:-1], channels)),
        ],
        name="decoder",
    )
    return VAE(encoder, decoder, likelihood, scale, seed)


def conv_vae(
    latent_dim: int = 2,
    filters: Sequence[int] = (32, 64),
    likelihood: str = "bernoulli",
    scale: str = "log_variance",
    image_shape: Sequence[int] = (28, 28, 1),
    seed: int | None = None,
) -> VAE:
    """A VAE of 3×3 convolutions with ReLU, the network of the TensorFlow tutorial (S1 in chapter 3).

    The encoder halves the image once per entry of `filters` ('valid' padding: 28 → 13 → 6); the decoder starts from a
    grid 2^len(filters) times smaller and doubles it back ('same' padding: 7 → 14 → 28).

    Args:
        latent_dim: J, the number of latent dimensions.
        filters: channels of the encoder's convolutions, first to last; the decoder has them in reverse.
        likelihood, scale: as for `VAE`.
        image_shape: H, W, C.
        seed: of the initial weights and the noise; `None` takes them from Keras's global seed.

    Raises:
        ValueError: H or W is no multiple of 2^len(filters), or an unknown likelihood or scale.
    """
    channels = _choose(LIKELIHOODS, likelihood, "likelihood").channels_per_channel * image_shape[-1]
    shrink = 2 ** len(filters)
    if image_shape[0] % shrink or image_shape[1] % shrink:
        raise ValueError(
            f"{len(filters)} layers halve the image {len(filters)} times: expected height and width to be multiples "
            f"of {shrink}, got {tuple(image_shape)}."
        )
    glorot, layers = _glorot(seed), keras.layers
    grid = (image_shape[0] // shrink, image_shape[1] // shrink, filters[0])
    encoder = keras.Sequential(
        [
            layers.Input(tuple(image_shape)),
            *(layers.Conv2D(f, 3, 2, activation="relu", kernel_initializer=glorot()) for f in filters),
            layers.Flatten(),
            layers.Dense(2 * latent_dim, kernel_initializer=glorot()),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            layers.Input((latent_dim,)),
            layers.Dense(math.prod(grid), activation="relu", kernel_initializer=glorot()),
            layers.Reshape(grid),
            *(
                layers.Conv2DTranspose(f, 3, 2, "same", activation="relu", kernel_initializer=glorot())
                for f in reversed(filters)
            ),
            layers.Conv2DTranspose(channels, 3, 1, "same", kernel_initializer=glorot()),
        ],
        name="decoder",
    )
    return VAE(encoder, decoder, likelihood, scale, seed)
