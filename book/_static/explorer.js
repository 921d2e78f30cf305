// The latent explorer: a trained decoder that runs in the page. Drag a point through the latent plane, see its digit.
//
// Every element of the class `latent-explorer` becomes one; what it holds is shown until then, or without JavaScript.
// The weights come from explorer-data.js (tools/export_explorer.py), loaded when an explorer comes near the screen.

const LIMIT = 3.6; // the plane shows [-LIMIT, LIMIT]²

function decodeBase64(text, Type) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Type(bytes.buffer);
}

// A transposed convolution with 'same' padding. An output pixel is reached from the input pixels whose kernel, laid at
// their place in the larger image, covers it: its channels are scalar products with the kernel's rows, whose lengths are multiples of four.
function transposedConvolution(input, height, width, { stride, kernel, weights, bias }) {
  const [rows, columns, channelsOut, channelsIn] = kernel;
  const [outHeight, outWidth] = [height * stride, width * stride];
  const output = new Float32Array(outHeight * outWidth * channelsOut);
  const before = (size) => Math.floor(Math.max(size - stride, 0) / 2); // what 'same' cuts off at the top and the left
  const [top, left] = [before(rows), before(columns)];
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
            for (let i = 0; i < channelsIn; i += 4) {
              sum += input[from + i] * weights[row + i];
              second += input[from + i + 1] * weights[row + i + 1];
              third += input[from + i + 2] * weights[row + i + 2];
              fourth += input[from + i + 3] * weights[row + i + 3];
            }
            output[place + o] += sum + second + third + fourth;
          }
        }
      }
    }
  }
  return output;
}

function dense(input, { dense: [inputs, outputs], weights, bias }) {
  const output = Float32Array.from(bias);
  for (let i = 0; i < inputs; i++) {
    for (let o = 0; o < outputs; o++) {
      output[o] += input[i] * weights[i * outputs + o];
    }
  }
  return output;
}

// From the exported data to a function z -> pixel means, 28 × 28 numbers in [0, 1].
function makeDecoder(data) {
  const layers = data.layers.map((layer) => ({
    ...layer,
    weights: decodeBase64(layer.weights, Float32Array),
    bias: decodeBase64(layer.bias, Float32Array),
  }));
  return (z) => {
    let values = Float32Array.from(z);
    let [height, width] = data.grid;
    for (const layer of layers) {
      if (layer.dense) {
        values = dense(values, layer);
      } else {
        values = transposedConvolution(values, height, width, layer);
        height *= layer.stride;
        width *= layer.stride;
      }
      if (layer.relu) {
        values = values.map((value) => Math.max(value, 0));
      }
    }
    return values.map((logit) => 1 / (1 + Math.exp(-logit)));
  };
}

class LatentExplorer {
  constructor(place, data) {
    this.decode = makeDecoder(data);
    this.colors = data.colors;
    this.points = decodeBase64(data.points, Int16Array).reduce((pairs, value, i) => {
      if (i % 2 === 0) pairs.push([value / 1000]);
      else pairs[pairs.length - 1].push(value / 1000);
      return pairs;
    }, []);
    this.labels = decodeBase64(data.labels, Uint8Array);
    this.z = [0, 0];
    this.walk = null;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.build(place);
    this.paintScatter();
    this.move([0, 0]);
  }

  build(place) {
    const box = document.createElement("div");
    box.className = "latent-explorer-box";
    box.innerHTML = `
      <div class="latent-explorer-plane">
        <canvas class="scatter" width="640" height="640" aria-hidden="true"></canvas>
        <canvas class="plane" width="640" height="640" tabindex="0" role="application"
          aria-label="Latent plane: drag the point, or move it with the arrow keys"></canvas>
      </div>
      <div class="latent-explorer-side">
        <canvas class="digit" width="28" height="28" role="img" aria-label="The digit decoded at the point"></canvas>
        <p class="where" aria-live="polite"></p>
        <div class="latent-explorer-buttons">
          <button type="button" class="walk">Walk between digits</button>
          <button type="button" class="draw">Draw from the prior</button>
        </div>
        <ul class="latent-explorer-legend" aria-hidden="true">
          ${this.colors.map((color, digit) => `<li><span style="background:${color}"></span>${digit}</li>`).join("")}
        </ul>
      </div>`;
    place.replaceChildren(box);
    place.classList.add("alive");
    this.canvas = box.querySelector(".plane");
    this.scatter = box.querySelector(".scatter");
    this.digit = box.querySelector(".digit");
    this.where = box.querySelector(".where");
    this.walkButton = box.querySelector(".walk");
    this.listen(box);
  }

  listen(box) {
    const at = (event) => {
      const { left, top, width, height } = this.canvas.getBoundingClientRect();
      this.stop();
      this.move([
        LIMIT * (2 * ((event.clientX - left) / width) - 1),
        LIMIT * (1 - 2 * ((event.clientY - top) / height)), // z₂ points up
      ]);
    };
    // A finger drags the ring; elsewhere it scrolls the page, and a tap moves the ring there. A mouse may begin anywhere.
    const onRing = (event) => {
      const { left, top, width } = this.canvas.getBoundingClientRect();
      const scale = this.canvas.width / width;
      const [x, y] = this.place(this.z);
      return Math.hypot((event.clientX - left) * scale - x, (event.clientY - top) * scale - y) < 40 * scale;
    };
    let dragging = false;
    this.canvas.addEventListener("touchstart", (event) => dragging && event.preventDefault(), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => {
      dragging = event.pointerType === "mouse" || onRing(event);
      if (dragging) {
        this.canvas.setPointerCapture(event.pointerId);
        at(event);
      }
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (dragging && event.buttons) at(event);
    });
    this.canvas.addEventListener("click", at);
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.canvas.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.stop();
      const size = event.shiftKey ? 0.5 : 0.1;
      this.move([this.z[0] + size * step[0], this.z[1] + size * step[1]]);
    });
    this.walkButton.addEventListener("click", () => (this.walk ? this.stop() : this.start()));
    box.querySelector(".draw").addEventListener("click", () => {
      this.stop();
      const radius = Math.sqrt(-2 * Math.log(1 - Math.random())); // Box and Muller
      const angle = 2 * Math.PI * Math.random();
      this.move([radius * Math.cos(angle), radius * Math.sin(angle)]);
    });
  }

  move(z) {
    this.z = z.map((value) => Math.min(LIMIT, Math.max(-LIMIT, value)));
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.paint();
    });
  }

  // From where the point is to an image of another digit, then on to the next, until somebody stops it.
  start() {
    const next = () => {
      const here = this.nearest().digit;
      let goal;
      do {
        goal = Math.floor(Math.random() * this.points.length);
      } while (this.labels[goal] === here || Math.hypot(...this.points[goal]) > 3);
      return { from: [...this.z], to: this.points[goal], begun: performance.now() };
    };
    if (this.calm.matches) {
      this.move(next().to);
      return;
    }
    this.walkButton.textContent = "Stop the walk";
    this.where.setAttribute("aria-live", "off");
    this.walk = next();
    const step = (now) => {
      if (!this.walk) return;
      const share = Math.min(1, Math.max(0, (now - this.walk.begun) / 2500));
      const { from, to } = this.walk;
      this.move(from.map((value, i) => value + share * (to[i] - value)));
      if (share === 1) this.walk = next();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  stop() {
    this.walk = null;
    this.walkButton.textContent = "Walk between digits";
    this.where.setAttribute("aria-live", "polite");
  }

  // The digit that most of the test images around the point show, how many, of how many; the circle grows until it holds
  // fifteen of them.
  nearest() {
    for (let radius = 0.1; ; radius *= 1.5) {
      const votes = new Array(10).fill(0);
      let count = 0;
      this.points.forEach(([x, y], i) => {
        if (Math.hypot(x - this.z[0], y - this.z[1]) < radius) {
          votes[this.labels[i]]++;
          count++;
        }
      });
      if (count >= 15) return { digit: votes.indexOf(Math.max(...votes)), votes: Math.max(...votes), count, radius };
    }
  }

  place([x, y]) {
    const { width, height } = this.canvas;
    return [((x / LIMIT + 1) / 2) * width, ((1 - y / LIMIT) / 2) * height];
  }

  paintScatter() {
    const context = this.scatter.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.scatter.width, this.scatter.height);
    context.strokeStyle = "#ddd";
    context.fillStyle = "#555";
    context.font = "20px sans-serif";
    for (let tick = -3; tick <= 3; tick++) {
      const [x, y] = this.place([tick, tick]);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, this.scatter.height);
      context.moveTo(0, y);
      context.lineTo(this.scatter.width, y);
      context.stroke();
      context.fillText(String(tick).replace("-", "−"), x + 4, this.scatter.height - 6);
      if (tick > -3) context.fillText(String(tick).replace("-", "−"), 4, y - 4);
    }
    context.font = "italic 26px serif";
    context.fillText("z₁", this.scatter.width - 34, this.scatter.height - 30);
    context.fillText("z₂", 34, 26);
    this.points.forEach((point, i) => {
      const [x, y] = this.place(point);
      context.fillStyle = this.colors[this.labels[i]];
      context.globalAlpha = 0.6;
      context.beginPath();
      context.arc(x, y, 3.5, 0, 2 * Math.PI);
      context.fill();
    });
  }

  paint() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const [x, y] = this.place(this.z);
    for (const [color, width] of [["#fff", 9], ["#111", 4]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 15, 0, 2 * Math.PI);
      context.stroke();
    }
    const pixels = this.decode(this.z);
    const image = new ImageData(28, 28);
    pixels.forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
    this.digit.getContext("2d").putImageData(image, 0, 0);
    const [z1, z2] = this.z.map((value) => value.toFixed(2).replace("-", "−"));
    const { digit, votes, count, radius } = this.nearest();
    const around =
      radius > 1
        ? "No test image lies near."
        : `Of the ${count} nearest test images, ${votes} show the digit ${digit}.`;
    this.where.textContent = `z = (${z1}, ${z2}). ${around}`;
    this.digit.setAttribute("aria-label", `The image decoded at z = (${z1}, ${z2})`);
  }
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll(".latent-explorer");
    if (!places.length) return;
    const root = document.documentElement.dataset.content_root ?? "./";
    const load = () => {
      const script = document.createElement("script");
      script.src = `${root}_static/explorer-data.js`;
      script.addEventListener("load", () => {
        for (const place of places) place.explorer = new LatentExplorer(place, window.latentExplorerData);
      });
      document.head.append(script);
    };
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        load();
      }
    });
    // Not before the page itself is there: the weights are as large as all the rest.
    const begin = () => places.forEach((place) => observer.observe(place));
    if (document.readyState === "complete") begin();
    else window.addEventListener("load", begin);
  });
}
