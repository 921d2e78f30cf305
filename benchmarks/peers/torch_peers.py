"""The same networks in PyTorch, eager and compiled: bits gathered from memory, the fused Adam, images channels last."""

from __future__ import annotations

import numpy as np
import torch
from serve import serve
from torch import nn
from torch.nn import functional


class Flip(nn.Module):
    """Turns images by half a turn. TensorFlow's 'same' upsampling by 2 pads at the end, PyTorch's at the start: one is
    the other with images and kernels turned."""

    def forward(self, images):
        return images.flip(-2, -1)


def mlp() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 4)
    )
    decoder = nn.Sequential(
        nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784), nn.Unflatten(1, (1, 28, 28))
    )
    return encoder, decoder


def conv() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 6 * 64, 4)
    )
    up = {"padding": 1, "output_padding": 1}
    decoder = nn.Sequential(
        nn.Linear(2, 7 * 7 * 32),
        nn.ReLU(),
        nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 64, 3, 2, **up),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, 2, **up),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, 1, padding=1),
    )
    return encoder, decoder


def from_keras(weights: list[np.ndarray], network: str) -> list[np.ndarray]:
    """Keras's order of axes → PyTorch's, with the decoder of the convolutional network turned (see `Flip`)."""
    if network == "mlp":
        return [w.T for w in weights]
    result = []
    for position, w in enumerate(weights):
        if position == 4:  # the encoder's dense layer reads a grid [6, 6, 64], here [64, 6, 6]
            w = w.reshape(6, 6, 64, -1).transpose(3, 2, 0, 1).reshape(w.shape[1], -1)
        elif position in (6, 7):  # the decoder's writes a grid [7, 7, 32], here [32, 7, 7]
            w = w.reshape(-1, 7, 7, 32)[:, ::-1, ::-1].transpose(3, 1, 2, 0).reshape(32 * 49, -1)
            w = w if position == 6 else w[:, 0]
        elif w.ndim == 4:  # Keras: height, width, in, out; transposed: height, width, out, in. PyTorch: as below.
            w = w.transpose(3, 2, 0, 1)
            w = w if position < 4 else w[:, :, ::-1, ::-1]
        result.append(w)
    return result


class Eager:
    def __init__(self, network: str, batch_size: int, learning_rate: float, images: np.ndarray, weights: list):
        torch.manual_seed(0)
        self.encoder, self.decoder = {"mlp": mlp, "conv": conv}[network]()
        self.output = Flip() if network == "conv" else nn.Identity()
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        with torch.no_grad():
            for parameter, w in zip(parameters, from_keras(weights, network), strict=True):
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(w)))
        if network == "conv":
            for part in (self.encoder, self.decoder):
                part.to(memory_format=torch.channels_last)
        # The images turned instead of the decoder's output: once, not at every step.
        x = torch.from_numpy((images >= 128).astype(np.float32).transpose(0, 3, 1, 2).copy())
        self.x, self.targets = x, self.output(x).contiguous() if network == "conv" else x
        self.batch_size = batch_size
        self.optimizer = torch.optim.Adam(parameters, learning_rate, fused=True)
        self.loss = self.negative_elbo

    def negative_elbo(self, x, target):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum()
        pixels = functional.binary_cross_entropy_with_logits(self.decoder(z), target, reduction="sum")
        return (pixels + kl) / len(x)

    def epoch(self) -> None:
        order = torch.randperm(len(self.x))
        for step in range(len(order) // self.batch_size):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            loss = self.loss(self.x[chosen], self.targets[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def encode(self, x: np.ndarray) -> np.ndarray:
        return self.encoder(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        return self.output(self.decoder(torch.from_numpy(z))).numpy().transpose(0, 2, 3, 1)


class Compiled(Eager):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.loss = torch.compile(self.negative_elbo)


if __name__ == "__main__":
    serve({"eager": Eager, "compiled": Compiled})
