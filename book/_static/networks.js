// Runs a network of Keras's in the page, from the layers that tools/export_decoder.py writes: for the latent explorer of
// the book, and for the page that shows a decoder of your own.
//
// Pure functions of numbers: tests/test_explorer.py and tests/test_serving.py run them without a browser and compare
// them with TensorFlow.

function decodeBase64(text, Type) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Type(bytes.buffer);
}

// A layer takes and returns { values, height, width }: all channels of a pixel, then the next pixel, row by row.

function dense({ values }, { kernel: [inputs, outputs], weights, bias }) {
  const output = Float32Array.from(bias);
  for (let i = 0; i < inputs; i++) {
    if (values[i] === 0) continue;
    for (let o = 0; o < outputs; o++) {
      output[o] += values[i] * weights[i * outputs + o];
    }
  }
  return { values: output, height: 1, width: 1 };
}

// A convolution with 'valid' padding: the kernel stays inside the image.
function convolution({ values, height, width }, { stride, kernel, weights, bias }) {
  const [rows, columns, channelsIn, channelsOut] = kernel;
  const outHeight = Math.floor((height - rows) / stride) + 1;
  const outWidth = Math.floor((width - columns) / stride) + 1;
  const output = new Float32Array(outHeight * outWidth * channelsOut);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const place = (y * outWidth + x) * channelsOut;
      output.set(bias, place);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          const from = ((y * stride + r) * width + x * stride + c) * channelsIn;
          for (let i = 0; i < channelsIn; i++) {
            const value = values[from + i];
            if (value === 0) continue; // most of a digit is black, and ReLU gives many zeros
            const row = ((r * columns + c) * channelsIn + i) * channelsOut;
            for (let o = 0; o < channelsOut; o++) {
              output[place + o] += value * weights[row + o];
            }
          }
        }
      }
    }
  }
  return { values: output, height: outHeight, width: outWidth };
}

// A transposed convolution with 'same' padding. An output pixel is reached from the input pixels whose kernel, laid at
// their place in the larger image, covers it: its channels are scalar products with the kernel's rows.
function transposedConvolution({ values, height, width }, { stride, kernel, weights, bias }) {
  const [rows, columns, channelsOut, channelsIn] = kernel;
  const [outHeight, outWidth] = [height * stride, width * stride];
  const output = new Float32Array(outHeight * outWidth * channelsOut);
  const before = (size) => Math.floor(Math.max(size - stride, 0) / 2); // what 'same' cuts off at the top and the left
  const [top, left] = [before(rows), before(columns)];
  const fours = channelsIn - (channelsIn % 4);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      const place = (y * outWidth + x) * channelsOut;
      output.set(bias, place);
      for (let r = 0; r < rows; r++) {
        const inY = (y + top - r) / stride;
        if (!Number.isInteger(inY) || inY < 0 || inY >= height) continue;
        for (let c = 0; c < columns; c++) {
          const inX = (x + left - c) / stride;
          if (!Number.isInteger(inX) || inX < 0 || inX >= width) continue;
          const from = (inY * width + inX) * channelsIn;
          const tap = (r * columns + c) * channelsOut * channelsIn;
          for (let o = 0; o < channelsOut; o++) {
            const row = tap + o * channelsIn;
            let [sum, second, third, fourth] = [0, 0, 0, 0]; // four sums that need not wait for each other
            for (let i = 0; i < fours; i += 4) {
              sum += values[from + i] * weights[row + i];
              second += values[from + i + 1] * weights[row + i + 1];
              third += values[from + i + 2] * weights[row + i + 2];
              fourth += values[from + i + 3] * weights[row + i + 3];
            }
            for (let i = fours; i < channelsIn; i++) sum += values[from + i] * weights[row + i];
            output[place + o] += sum + second + third + fourth;
          }
        }
      }
    }
  }
  return { values: output, height: outHeight, width: outWidth };
}

// The image without so many rows and columns at its rim.
function cropping({ values, height, width }, { crop: [[top, bottom], [left, right]] }) {
  const channels = values.length / (height * width);
  const [rows, columns] = [height - top - bottom, width - left - right];
  const output = new Float32Array(rows * columns * channels);
  for (let y = 0; y < rows; y++) {
    const from = ((y + top) * width + left) * channels;
    output.set(values.subarray(from, from + columns * channels), y * columns * channels);
  }
  return { values: output, height: rows, width: columns };
}

const softplus = (value) => Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)));
const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

const LAYERS = {
  Dense: dense,
  Conv2D: convolution,
  Conv2DTranspose: transposedConvolution,
  Cropping2D: cropping,
};
const ACTIVATIONS = {
  elu: (value) => (value > 0 ? value : Math.expm1(value)),
  relu: (value) => Math.max(value, 0),
  sigmoid,
  silu: (value) => value * sigmoid(value),
  softplus,
  tanh: Math.tanh,
};

// From exported layers to a function numbers -> numbers. An encoder must be told height and width of its images.
function makeNetwork(exported, [height, width] = [1, 1]) {
  const layers = exported.map((layer) => ({
    ...layer,
    weights: decodeBase64(layer.weights ?? "", Float32Array), // a cropping has none
    bias: decodeBase64(layer.bias ?? "", Float32Array),
    activation: ACTIVATIONS[layer.relu ? "relu" : layer.activation],
  }));
  return (input) => {
    let state = { values: Float32Array.from(input), height, width };
    for (const layer of layers) {
      state = LAYERS[layer.kind](state, layer);
      if (layer.activation) state.values = state.values.map((value) => layer.activation(value));
      if (layer.grid) [state.height, state.width] = layer.grid; // Keras's Reshape
    }
    return state.values;
  };
}
