"""How training runs: any model of images that maximises an objective, fast, on one device or several.

Nothing here knows what a variational autoencoder is. `vh.VAE` is one such model.
"""

from __future__ import annotations

import contextlib
import itertools
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .callbacks import Resume, StopWhenNotFinite, common_steps
from .data import epoch_counter
from .expect import expect
from .images import check_labels, watched
from .progress import TrainingTable


class ObjectiveTrainer(keras.Model):
    """A Keras model of images that `fit` trains to maximise an objective, in nats per image.

    Args:
        seed: seed of the noise. `None`: drawn from Keras's global seed (`keras.utils.set_random_seed`).

    Attributes:
        classes: how many labels there are, of a model of images given labels; `None`: it is of images alone.
    """

    classes: int | None = None

    def __init__(self, seed: int | None = None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # images stay float32; the networks cast them if they have to
        self.seed_generator = keras.random.SeedGenerator(seed)  # saved with the weights: training resumes its noise
        self._evaluation_seeds = keras.random.SeedGenerator(0)
        # What a step shares with the objective it runs, without widening the objective's signature.
        self._step = types.SimpleNamespace(seeds=None, training=False, labels=None, terms={})
        self._averages = {name: keras.metrics.Mean(name=name) for name in ("loss", "reconstruction", "kl")}
        self.objective, self.samples, self._chooses_steps = None, 1, True

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
        expect(terms.keys() <= {"reconstruction", "kl"}, f"report takes reconstruction and kl, got {', '.join(terms)}.")
        self._step.terms.update(terms)

    @contextlib.contextmanager
    def using(self, seeds: keras.random.SeedGenerator | None = None, training: bool | None = None, labels=None):
        """For `with model.using(seeds) as terms:`, a block with noise of its own. `None`: as it was.

        Args:
            seeds: where the noise comes from; outside all blocks, from the model.
            training: whether dropout is on; outside all blocks it is off.
            labels: the class of each image [n], or of all.

        Yields:
            a dictionary of what objectives `report` within the block.
        """
        before, given = self._step, {"seeds": seeds, "training": training, "labels": labels}
        given = {name: value for name, value in given.items() if value is not None}
        self._step = types.SimpleNamespace(**(vars(before) | given | {"terms": {}}))
        try:
            yield self._step.terms
        finally:
            self._step = before

    # --- what Keras calls, or its user -------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "adam",
        objective: Callable | None = None,
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
            TypeError: no objective was given, or it is no function, or an argument of Keras's that means nothing here
                (`loss`, `metrics`, …).
            ValueError: `samples` is below 1.
        """
        needs = "objective: expected a function of (model, x, samples) such as vh.sgvb_b"
        expect(callable(objective), f"{needs}, got {objective!r}.", TypeError)
        expect(samples >= 1, f"samples is the number of z drawn for an image: expected at least 1, got {samples}.")
        unknown = ", ".join(sorted(kwargs.keys() - {"run_eagerly", "auto_scale_loss"}))
        expect(not unknown, f"compile trains an objective alone, got {unknown}: use model.report.", TypeError)
        jit_compile = self.prefers_xla if jit_compile == "auto" else jit_compile
        self.objective, self.samples, self._chooses_steps = objective, samples, steps_per_execution == "auto"
        steps = 1 if self._chooses_steps else steps_per_execution
        super().compile(optimizer=optimizer, jit_compile=jit_compile, steps_per_execution=steps, **kwargs)

    @property
    def prefers_xla(self) -> bool:
        """Whether XLA pays off: everywhere but for convolutions on a CPU, which it makes about twice as slow.

        Never where several replicas share a step: that has not been tried.
        """
        convolves = any("Conv" in type(layer).__name__ for layer in self._flatten_layers())
        fast = not convolves or bool(tf.config.list_physical_devices("GPU"))
        return fast and self.distribute_strategy.num_replicas_in_sync == 1

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **kwargs):
        """Trains as `keras.Model.fit` does.

        Args:
            x: a dataset of images, such as `vh.batches` makes (a model of images alone ignores labels within it), or
                float32 images in [0, 1], shape [n, H, W, C].
            y: nothing; of a `ConditionalVAE`, the labels of images that come as an array, whole numbers [n].
            batch_size: of an array; 32 if not given.
            epochs: how often the images are visited.
            verbose: `"auto"`: progress is one table, a line every tenth of the epochs and, live, the time left; else as
                in Keras.
            callbacks: as in Keras. A `vh.Resume` among them comes last.
            **kwargs: as in Keras, e.g. `validation_data=vh.batches(x_test, 100)`, but no weights of samples or classes.

        Returns:
            a `keras.callbacks.History`. Its dictionary `history` has a list with a number for each epoch: `loss` is the
            objective with its sign changed (plus regularisers, if there are any), `reconstruction` and `kl` are what
            the objective reports; the same with `val_` for `validation_data`. Nats per image.

        Raises:
            ValueError, TypeError: weights were given, or labels that are not wanted or not there, or what is no batch
                of images with pixels in [0, 1].
            tf.errors.InvalidArgumentError: a minibatch of a `tf.data.Dataset` has pixels outside [0, 1], or labels that
                the model does not know.
            FloatingPointError: the loss is no longer a number; the message names the epoch and the step.
        """
        counter = epoch_counter(x)
        x, y = self._looked_at("fit(x{})", x, y, **kwargs)
        if isinstance(x, (tf.data.Dataset, Iterator)):
            kwargs.setdefault("shuffle", False)  # it brings its own order, and Keras would warn that it does
        kwargs["validation_data"] = self._in_one_argument("validation_data=(x{})", kwargs.get("validation_data"))
        own = [callback for callback in keras.tree.flatten(callbacks) if callback]
        own.sort(key=lambda callback: isinstance(callback, Resume))  # it keeps what the others have done
        if own and isinstance(own[-1], Resume):
            own[-1].others = own[:-1]
        # Keras would round a given number of steps up to whole executions: then it is one step an execution.
        counted = kwargs.get("steps_per_epoch") is not None or kwargs.get("validation_steps") is not None
        self._choose_steps(None if counted else x, batch_size, own)
        ours = [StopWhenNotFinite()]
        if counter is not None:
            # Under a distribution strategy Keras looks at a batch before it trains: that is no epoch of `vh.batches`.
            before = counter.numpy()
            ours.append(keras.callbacks.LambdaCallback(on_train_begin=lambda logs: counter.assign(before)))
        self._initial_epoch = None  # Keras's own: from where an earlier call went on; `Resume` says it anew
        if verbose == "auto":
            ours, verbose = [*ours, TrainingTable()], 0
        return super().fit(x, y, batch_size, epochs, verbose, [*own, *ours], **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, verbose=0, **kwargs):
        """As `keras.Model.evaluate`: loss, reconstruction and KL, nats per image, and the same errors as from `fit`.

        Every call draws the same noise, so that two epochs differ only by the weights.
        """
        if "_use_cached_eval_dataset" not in kwargs:  # else `fit` calls, which has looked at them
            x, y = self._looked_at("evaluate(x{})", x, y, **kwargs)
        self._evaluation_seeds.state.assign(keras.random.SeedGenerator(0).state)
        return super().evaluate(x, y, batch_size, verbose, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`, an array of what the model makes of each image; the same errors as from `fit`."""
        return super().predict(self._in_one_argument("predict((x{}))", x), *args, **kwargs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """As in Keras, with the same errors as from `fit`."""
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        return super().train_on_batch(*self._looked_at("train_on_batch(x{})", x, y, **weights), return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """As in Keras, with the same errors as from `fit`."""
        x, y = self._looked_at("test_on_batch(x{})", x, y, sample_weight=sample_weight)
        return super().test_on_batch(x, y, return_dict=return_dict)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """One step of the AEVB algorithm (Kingma & Welling 2013, algorithm 1)."""
        x = self._parts(data)[0]
        # The optimiser adds up the gradients of all replicas, whose shares of a minibatch may differ in size.
        replica, share = tf.distribute.get_replica_context(), 1.0
        if replica.num_replicas_in_sync > 1:
            images = tf.cast(tf.shape(x)[0], tf.float32)
            share = images / replica.all_reduce(tf.distribute.ReduceOp.SUM, images)
        with tf.GradientTape() as tape:
            losses, terms = self._losses_of_images(data, self.seed_generator, training=True)
            loss = self.optimizer.scale_loss(share * tf.reduce_mean(losses))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return self._update_averages(losses, terms)

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Loss and terms of one minibatch, with dropout off."""
        return self._update_averages(*self._losses_of_images(data, self._evaluation_seeds, training=False))

    def _losses_of_images(self, data, seeds, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The objective of each image with its sign changed, plus the layers' regularisers, and what it reports."""
        x, *labels = self._parts(data)
        with self.using(seeds, training, *labels) as terms:
            values = tf.convert_to_tensor(self.objective(self, x, self.samples))
        expect(values.shape.rank == 1, f"The objective: expected nats per image, shape [n], got {values.shape}.")
        return (tf.add_n(self.losses) if self.losses else 0.0) - values, terms

    def _update_averages(self, losses: tf.Tensor, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # One value per image, so that a smaller last batch weighs by its size.
        results = {name: self._averages[name](values) for name, values in {"loss": losses, **terms}.items()}
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras averages what the workers return over axis 0, which a single number has not
            # (tensorflow/tensorflow issue 72388).
            return {name: result[None] for name, result in results.items()}
        return results

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._averages.values())

    # --- what is trained on ------------------------------------------------------------------------------------

    def _looked_at(self, call: str, x, y=None, sample_weight=None, class_weight=None, **_) -> tuple:
        """Images and labels in whatever container Keras takes, watched; images that `vh.batches` makes need none.

        `call` is what the user wrote, for an error; its {} becomes ", y" where labels belong.
        """
        y_is_wanted = self.classes is not None and isinstance(x, (np.ndarray, tf.Tensor))
        given = {"y": None if y_is_wanted else y, "sample_weight": sample_weight, "class_weight": class_weight}
        given = ", ".join(name for name, value in given.items() if value is not None)
        expected = f"{self._takes}: expected {call.format(', y' if y_is_wanted else '')}"
        expect(not given, f"{expected}, got {given} as well.")
        expect(not y_is_wanted or y is not None, f"{expected}, got no y.")
        if y_is_wanted:
            y = check_labels(y, len(x), self.classes)
        return x if epoch_counter(x) is not None and self.classes is None else watched(x, self.classes), y

    def _in_one_argument(self, call: str, x):
        """The same for data in one argument, such as Keras's tuple of images and labels."""
        parts = x if isinstance(x, (tuple, list)) else (x,)
        x, y = self._looked_at(call, *keras.utils.unpack_x_y_sample_weight(tuple(parts)))
        return x if y is None else (x, y)

    def _parts(self, data) -> tuple[tf.Tensor, ...]:
        """The images of a minibatch and, if the model takes them, their labels."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        expect(weights is None, f"{self._takes}: expected a dataset without weights, got sample_weight as well.")
        if self.classes is None:
            return (x,)
        expect(y is not None, f"{self._takes}: expected minibatches of (x, y), got x alone.")
        return x, y

    @property
    def _takes(self) -> str:
        return f"The objective is of images {'alone' if self.classes is None else 'given labels'}"

    # --- many steps at once ------------------------------------------------------------------------------------

    def _choose_steps(self, x, batch_size: int | None, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Lets 20 times an epoch return to Python, or as often as a callback asks, unless `compile` was told."""
        if not self._chooses_steps:
            return
        epoch = 0
        if isinstance(x, tf.data.Dataset):
            epoch = int(x.cardinality())  # negative when unknown
        elif isinstance(x, (np.ndarray, tf.Tensor)):
            epoch = -(-len(x) // (batch_size or 32))
        if self.run_eagerly or self.distribute_strategy.num_replicas_in_sync > 1:
            epoch = 0  # on several CPUs Keras 3.15 stops with an error
        common = common_steps(callbacks)
        steps = max(n for n in range(1, max(1, epoch // 20) + 1) if common % n == 0)
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
        def together(parts):  # images [steps, M, H, W, C], and labels [steps, M] where the model takes them
            names = []

            def step(number):
                names[:] = self.train_step(tuple(part[number] for part in parts))
                return [number + 1]

            tf.while_loop(lambda number: number < parts[0].shape[0], step, [0])
            return {name: self._averages[name].result() for name in names}

        def execution(iterator):
            batches = [self._parts(data) for data in itertools.islice(iterator, self.steps_per_execution)]
            if not batches:
                raise StopIteration
            if len(batches) < self.steps_per_execution or batches[-1][0].shape != batches[0][0].shape:
                return one_by_one(iter(batches))  # the end of an epoch
            return together([tf.stack(part) for part in zip(*batches, strict=True)])

        return execution

    # --- saving ------------------------------------------------------------------------------------------------

    def save(self, filepath, *args, **kwargs) -> None:
        """As `keras.Model.save`, to a file that ends in `.keras`: what Keras 3 loads again, noise included.

        Raises:
            ValueError: another ending.
        """
        expect(str(filepath).endswith(".keras"), f"{filepath}: expected a name that ends in .keras (not HDF5).")
        super().save(filepath, *args, **kwargs)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `save` keeps of `compile`; None, with a warning, where the objective cannot be written down."""
        if self.objective is None:
            return None
        settings = {"optimizer": self.optimizer, "objective": self.objective, "samples": self.samples}
        settings["steps_per_execution"] = "auto" if self._chooses_steps else self.steps_per_execution
        try:
            # Registered names read package>name.
            expect(">" in keras.saving.get_registered_name(self.objective), "It is not registered: nobody finds it.")
            return keras.saving.serialize_keras_object(settings)
        except (AttributeError, TypeError, ValueError):  # the first: it has no name
            lost = f"Optimizer or objective {self.objective!r} cannot be saved: compile the loaded model again."
            warnings.warn(f"{lost} Or register it: keras.saving.register_keras_serializable.", stacklevel=2)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """What loading calls: compiles as the saved model was, and makes room for the optimiser's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store) -> None:
        """Keeps the state of seed generators (ours, or a Dropout layer's), which Keras leaves out."""
        for i, state in enumerate(self._noise_states()):
            store[str(i)] = state.numpy()

    def load_own_variables(self, store) -> None:
        """Takes back what `save_own_variables` kept."""
        for i, state in enumerate(self._noise_states()):
            state.assign(store[str(i)])

    def _noise_states(self) -> list[keras.Variable]:
        return [v for v in self.non_trainable_variables if v.path.endswith("seed_generator_state")]
