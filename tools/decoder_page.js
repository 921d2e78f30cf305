// The page that tools/export_decoder.py writes: a reader moves z and sees the mean of p(x | z).
//
// With two latent variables there is a plane to drag a point in, and always a slider for each. What stands before the
// class is pure functions of numbers: tests/test_serving.py runs them without a browser and compares with TensorFlow.

const LIMIT = 3.5; // the plane and the sliders show [-LIMIT, LIMIT]
const TILES = 13; // small pictures along a side of the plane
const BREATH = 12; // milliseconds of work at a time

// The mean of a continuous Bernoulli pixel, which is not the sigmoid (Loaiza-Ganem & Cunningham 2019, equation 8). At a
// logit of 0 two poles cancel: near it the series.
function continuousBernoulliMean(logit) {
  if (Math.abs(logit) < 0.1) return 1 / 2 + logit / 12 - logit ** 3 / 720;
  return -1 / Math.expm1(-logit) - 1 / logit;
}

// From the decoder's outputs to the means of the pixels; each pixel of a Gaussian has its means first.
const MEANS = {
  bernoulli: (outputs) => outputs.map(sigmoid),
  continuous_bernoulli: (outputs) => outputs.map(continuousBernoulliMean),
  gaussian: (outputs, channels) => outputs.filter((_, i) => i % (2 * channels) < channels),
};

// A function (z, label) -> means of the pixels; without classes the label does nothing.
function makeDecoder({ layers, likelihood, shape, classes }) {
  const network = makeNetwork(layers);
  const oneHot = (label) => Array.from({ length: classes ?? 0 }, (_, i) => Number(i === label));
  return (z, label) => MEANS[likelihood](network([...z, ...oneHot(label)]), shape[2]);
}

function drawNormal() {
  const radius = Math.sqrt(-2 * Math.log(1 - Math.random())); // Box and Muller
  return radius * Math.cos(2 * Math.PI * Math.random());
}

// Pixels of one or three channels as the browser shows them; a Gaussian's mean may lie outside [0, 1], and is cut.
function toImage(pixels, [height, width, channels]) {
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * pixels[i * channels + (c % channels)];
    image.data[4 * i + 3] = 255;
  }
  return image;
}

const inWords = (value) => value.toFixed(2).replace("-", "−");
const within = (value) => Math.min(LIMIT, Math.max(-LIMIT, value));

class DecoderPage {
  constructor(data) {
    this.data = data;
    this.decode = makeDecoder(data);
    this.z = data.sliders.map(() => 0);
    this.label = data.labels?.[0];
    this.plane = this.find(".plane");
    this.picture = this.find(".picture");
    this.build();
    this.listen();
    this.move(this.z);
    this.paintPlane();
  }

  find(selector) {
    return document.querySelector(selector);
  }

  build() {
    const { shape, sliders, open, labels } = this.data;
    const [height, width] = shape;
    [this.picture.height, this.picture.width] = [height, width];
    document.documentElement.style.setProperty("--ratio", width / height);
    const count = sliders.length === 1 ? "one number" : `${sliders.length} numbers`;
    this.find(".what").textContent =
      `z is ${count}, and you move it. The picture is what the decoder makes of it: ` +
      `the mean of p(x | z${labels ? ", label" : ""}), ${height} × ${width} pixels.`;
    for (const label of labels ?? []) this.find("#label").append(new Option(label, label));
    this.find(".choice").hidden = !labels;
    this.plane.hidden = this.find(".axes").hidden = sliders.length !== 2;
    this.sliders = [];
    sliders.forEach((j, place) => this.addSlider(j, this.find(place < open ? ".sliders" : "details > div")));
    this.find("details").hidden = sliders.length <= open;
    this.find("summary").textContent = `${sliders.length - open} more, which change the picture less`;
    this.find(".parts").hidden = false;
  }

  addSlider(j, place) {
    const row = document.createElement("div");
    row.className = "slider";
    row.innerHTML = `
      <label for="z${j + 1}">z<sub>${j + 1}</sub></label>
      <input type="range" id="z${j + 1}" min="${-LIMIT}" max="${LIMIT}" step="0.05">
      <span aria-hidden="true"></span>`;
    place.append(row);
    const input = row.querySelector("input");
    input.addEventListener("input", () => this.move(this.z.map((value, i) => (i === j ? Number(input.value) : value))));
    this.sliders[j] = { input, value: row.querySelector("span") };
  }

  listen() {
    const at = ({ clientX, clientY }) => {
      const { left, top, width, height } = this.plane.getBoundingClientRect();
      this.movePoint([LIMIT * (2 * ((clientX - left) / width) - 1), LIMIT * (1 - 2 * ((clientY - top) / height))]);
    };
    this.plane.addEventListener("pointerdown", (event) => {
      this.plane.setPointerCapture(event.pointerId);
      at(event);
    });
    this.plane.addEventListener("pointermove", (event) => event.buttons && at(event));
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    this.plane.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const size = event.shiftKey ? 0.5 : 0.1;
      this.movePoint(this.z.map((value, i) => value + size * step[i]));
    });
    this.find(".draw").addEventListener("click", () => {
      this.move(this.z.map(drawNormal));
      this.say("A new z.");
    });
    this.find(".zero").addEventListener("click", () => {
      this.move(this.z.map(() => 0));
      this.say("z = 0.");
    });
    this.find("#label").addEventListener("change", (event) => {
      this.label = Number(event.target.value);
      this.move(this.z);
      this.paintPlane();
    });
  }

  movePoint(z) {
    this.move(z.map(within));
    this.say(`z = (${this.z.map(inWords).join(", ")})`);
  }

  say(text) {
    this.find(".said").textContent = text;
  }

  // Sliders and point at once, so that the next key goes on from here; the picture with the next frame.
  move(z) {
    this.z = z;
    this.sliders.forEach(({ input, value }, j) => {
      input.value = z[j];
      value.textContent = inWords(z[j]);
      input.setAttribute("aria-valuetext", inWords(z[j]));
    });
    const [left, top] = [z[0], -z[1]].map((value) => `${50 + (50 * within(value)) / LIMIT}%`);
    Object.assign(this.find(".point").style, { left, top });
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.paint();
    });
  }

  paint() {
    const { shape } = this.data;
    this.pixels = this.decode(this.z, this.label);
    this.picture.getContext("2d").putImageData(toImage(this.pixels, shape), 0, 0);
    const given = this.label === undefined ? "" : `, given the label ${this.label}`;
    const where = this.z.length > 4 ? "z" : `z = (${this.z.map(inWords).join(", ")})`;
    this.picture.setAttribute("aria-label", `The picture decoded at ${where}${given}`);
  }

  // The plane as a mosaic of what is decoded there, a few pictures at a time. A later call takes over.
  async paintPlane() {
    if (this.z.length !== 2) return;
    const { shape } = this.data;
    const [height, width] = shape;
    const canvas = this.plane.querySelector("canvas");
    [canvas.height, canvas.width] = [TILES * height, TILES * width];
    const context = canvas.getContext("2d");
    const turn = (this.turn = {});
    let end = performance.now() + BREATH;
    for (let i = 0; i < TILES ** 2; i++) {
      const [row, column] = [Math.floor(i / TILES), i % TILES];
      const [z1, z2] = [column, TILES - 1 - row].map((place) => LIMIT * ((2 * place + 1) / TILES - 1));
      context.putImageData(toImage(this.decode([z1, z2], this.label), shape), column * width, row * height);
      if (performance.now() < end) continue;
      await new Promise((done) => setTimeout(done));
      if (this.turn !== turn) return;
      end = performance.now() + BREATH;
    }
  }
}

if (typeof document !== "undefined") window.decoderPage = new DecoderPage(window.decoderData);
