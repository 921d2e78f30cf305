"""The same networks in JAX with Optax's Adam: a whole epoch in one compiled program, or a compiled step a minibatch."""

from __future__ import annotations

import functools

import jax
import numpy as np
import optax
from jax import lax
from jax import numpy as jnp
from serve import serve


def dense(x, w, b):
    return x @ w + b


# JAX's own convolutions are slow on a CPU where they are transposed (JAX's issue 23783) or within a loop (12868): an
# epoch with `lax.conv_transpose` takes about three times as long as with these matrix products and shifts, which
# compute the same.
def convolution(x, w, b):
    """3 × 3, two pixels apart, "valid"."""
    n = (x.shape[1] - 3) // 2 + 1
    shifted = [x[:, i : i + 2 * n - 1 : 2, k : k + 2 * n - 1 : 2] for i in range(3) for k in range(3)]
    return jnp.concatenate(shifted, axis=-1) @ w.reshape(-1, w.shape[-1]) + b


def transposed(x, w, b, stride):
    """3 × 3, the output `stride` times as wide: what each input pixel adds to its neighbourhood, summed; "same"."""
    each = jnp.einsum("nhwi,klci->nhwklc", x, w)
    shifts = [(i, 2 - i, stride - 1) for i in range(3)]  # zeros before, after and between
    whole = sum(
        lax.pad(each[:, :, :, i, k], 0.0, ((0, 0, 0), shifts[i], shifts[k], (0, 0, 0)))
        for i in range(3)
        for k in range(3)
    )
    first, size = (0 if stride == 2 else 1), stride * x.shape[1]
    return whole[:, first : first + size, first : first + size] + b


def mlp_encode(p, x):
    h = jax.nn.relu(dense(x.reshape(len(x), -1), *p[0:2]))
    h = jax.nn.relu(dense(h, *p[2:4]))
    return dense(h, *p[4:6])


def mlp_decode(p, z):
    h = jax.nn.relu(dense(z, *p[6:8]))
    h = jax.nn.relu(dense(h, *p[8:10]))
    return dense(h, *p[10:12]).reshape(-1, 28, 28, 1)


def conv_encode(p, x):
    h = jax.nn.relu(convolution(x, *p[0:2]))
    h = jax.nn.relu(convolution(h, *p[2:4]))
    return dense(h.reshape(len(h), -1), *p[4:6])


def conv_decode(p, z):
    h = jax.nn.relu(dense(z, *p[6:8])).reshape(-1, 7, 7, 32)
    h = jax.nn.relu(transposed(h, *p[8:10], 2))
    h = jax.nn.relu(transposed(h, *p[10:12], 2))
    return transposed(h, *p[12:14], 1)


class Peer:
    def __init__(self, network: str, batch_size: int, learning_rate: float, images: np.ndarray, weights: list):
        encode, decode = {"mlp": (mlp_encode, mlp_decode), "conv": (conv_encode, conv_decode)}[network]
        self._encode, self._decode = jax.jit(encode), jax.jit(decode)
        self.parameters = [jnp.asarray(w) for w in weights]
        optimizer = optax.adam(learning_rate)
        self.state, self.key = optimizer.init(self.parameters), jax.random.key(0)
        self.bits = jnp.asarray(images >= 128)
        self.batch_size, self.steps = batch_size, len(images) // batch_size

        def negative_elbo(p, x, key):
            mean, log_variance = jnp.split(encode(p, x), 2, axis=-1)
            z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
            kl = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum(-1)
            pixels = optax.sigmoid_binary_cross_entropy(decode(p, z), x).sum((1, 2, 3))
            return (pixels + kl).mean()

        def update(parameters, state, bits, chosen, key):
            x = bits[chosen].astype(jnp.float32)
            loss, gradients = jax.value_and_grad(negative_elbo)(parameters, x, key)
            updates, state = optimizer.update(gradients, state)
            return optax.apply_updates(parameters, updates), state, loss

        self.prepare(update)

    def shuffled(self, key):
        """An epoch's minibatches, image numbers [steps, M], and a key for the noise of each; traced into a program."""
        order_key, noise_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(self.bits))[: self.steps * self.batch_size]
        return order.reshape(self.steps, self.batch_size), jax.random.split(noise_key, self.steps)

    def next_key(self):
        self.key, key = jax.random.split(self.key)
        return key

    def encode(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._encode(self.parameters, x))

    def decode(self, z: np.ndarray) -> np.ndarray:
        return np.asarray(self._decode(self.parameters, z))


class Scan(Peer):
    """A whole epoch in one compiled program: nothing returns to Python before its end."""

    def prepare(self, update) -> None:
        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def epoch(parameters, state, bits, key):
            def step(carry, given):
                parameters, state, loss = update(*carry, bits, *given)
                return (parameters, state), loss

            carry, losses = lax.scan(step, (parameters, state), self.shuffled(key))
            return *carry, losses.mean()

        self._epoch = epoch

    def epoch(self) -> None:
        self.parameters, self.state, loss = self._epoch(self.parameters, self.state, self.bits, self.next_key())
        loss.block_until_ready()


class Steps(Peer):
    """One call of a compiled step a minibatch, from a loop in Python; the step gathers its images itself."""

    def prepare(self, update) -> None:
        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(parameters, state, bits, order, keys, number):
            return update(parameters, state, bits, order[number], keys[number])

        self._step, self._shuffled = step, jax.jit(self.shuffled)

    def epoch(self) -> None:
        order, keys = self._shuffled(self.next_key())
        for number in range(self.steps):
            self.parameters, self.state, loss = self._step(self.parameters, self.state, self.bits, order, keys, number)
        loss.block_until_ready()


if __name__ == "__main__":
    serve({"scan": Scan, "steps": Steps})
