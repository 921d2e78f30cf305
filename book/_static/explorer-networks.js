// What the latent explorer computes: a drawing made ready as MNIST's digits were, the two networks, the bound in nats.
// What runs a network is in networks.js.
//
// Pure functions of numbers: tests/test_explorer.py runs them without a browser and compares them with TensorFlow.

const SIDE = 28; // pixels of an image's side

// --- from a drawing to an image of MNIST ---------------------------------------------------------------------------

// The smallest rectangle with all the ink, or null where there is none.
function inkBox(ink, width, height) {
  const box = { left: width, right: -1, top: height, bottom: -1 };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (ink[y * width + x] === 0) continue;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y);
    }
  }
  return box.right < 0 ? null : box;
}

// The ink of a box made so small that its longer side has 20 pixels: each is the mean over the square that it covers.
function shrinkTo20(ink, width, { left, right, top, bottom }) {
  const step = Math.max(right - left + 1, bottom - top + 1) / 20; // pixels of the drawing to one of the image
  const small = new Float32Array(20 * 20);
  const share = (from, to, i) => Math.min(to, i + 1) - Math.max(from, i); // how much of pixel i lies in [from, to]
  for (let row = 0; row < 20; row++) {
    const [y0, y1] = [top + row * step, top + (row + 1) * step];
    for (let column = 0; column < 20; column++) {
      const [x0, x1] = [left + column * step, left + (column + 1) * step];
      let sum = 0;
      for (let y = Math.floor(y0); y < Math.min(y1, bottom + 1); y++) {
        for (let x = Math.floor(x0); x < Math.min(x1, right + 1); x++) {
          sum += ink[y * width + x] * share(y0, y1, y) * share(x0, x1, x);
        }
      }
      small[row * 20 + column] = sum / step ** 2;
    }
  }
  return small;
}

// From ink in [0, 1] on a pad to 784 pixels of 0 and 1, or null without ink. As MNIST was made (LeCun et al., 1998):
// fitted into 20 × 20 with the proportions kept, placed in 28 × 28 with the centre of mass in the middle. Then, as for
// S4, cut at one half.
function prepare(ink, width, height) {
  const box = inkBox(ink, width, height);
  if (!box) return null;
  const small = shrinkTo20(ink, width, box);
  let [mass, acrossSum, downSum] = [0, 0, 0];
  small.forEach((grey, i) => {
    mass += grey;
    acrossSum += grey * (i % 20);
    downSum += grey * Math.floor(i / 20);
  });
  const [across, down] = [acrossSum, downSum].map((sum) => Math.round(SIDE / 2 - sum / mass));
  const image = new Float32Array(SIDE * SIDE);
  small.forEach((grey, i) => {
    const [x, y] = [(i % 20) + across, Math.floor(i / 20) + down];
    const inside = x >= 0 && x < SIDE && y >= 0 && y < SIDE; // a blot far from the rest may fall off
    if (inside && grey >= 0.5) image[y * SIDE + x] = 1;
  });
  return image;
}

// --- the networks --------------------------------------------------------------------------------------------------

// The trained VAE: encode(image) is q(z | x) as { mean, deviation }, logits(z) and decode(z) are 784 numbers.
function makeVae(data) {
  const [encoder, logits] = [makeNetwork(data.encoder, [SIDE, SIDE]), makeNetwork(data.decoder)];
  return {
    encode: (image) => {
      const [m1, m2, raw1, raw2] = encoder(image);
      return { mean: [m1, m2], deviation: [raw1, raw2].map((raw) => softplus(raw) + 1e-8) };
    },
    logits,
    decode: (z) => logits(z).map(sigmoid),
  };
}

// --- nats ----------------------------------------------------------------------------------------------------------

// Where an expectation over q(z | x) looks, and with which weight: the Gauss-Hermite rule of three points in each of
// the two dimensions. The first of the nine is the mean.
function nodes({ mean, deviation }) {
  const line = [
    [0, 2 / 3],
    [-Math.sqrt(3), 1 / 6],
    [Math.sqrt(3), 1 / 6],
  ];
  return line.flatMap(([e1, w1]) =>
    line.map(([e2, w2]) => ({ z: [mean[0] + deviation[0] * e1, mean[1] + deviation[1] * e2], weight: w1 * w2 })),
  );
}

// log p(x | z) of an image of zeros and ones, from the decoder's logits at z.
function logLikelihood(image, logits) {
  return logits.reduce((sum, logit, i) => sum + image[i] * logit - softplus(logit), 0);
}

// KL(q(z | x) ‖ p(z)) with a standard normal prior.
function klDivergence({ mean, deviation }) {
  const term = (m, s) => (m ** 2 + s ** 2 - 1) / 2 - Math.log(s);
  return term(mean[0], deviation[0]) + term(mean[1], deviation[1]);
}

// The share of the test images with a lower bound, from the quantiles of theirs in equal steps.
function shareBelow(bound, quantiles) {
  const above = quantiles.findIndex((quantile) => quantile > bound);
  if (above <= 0) return above === 0 ? 0 : 1;
  const [low, high] = [quantiles[above - 1], quantiles[above]];
  return (above - 1 + (bound - low) / (high - low)) / (quantiles.length - 1);
}
