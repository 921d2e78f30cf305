// The pad of the latent explorer: a digit drawn by the reader, or a test image, through encoder and decoder.
//
// What follows from the drawing is computed in pieces of one frame each, so that the pen never waits: first the
// picture, the cloud q(z | x) and the reconstruction, then the rest of the expectation over the cloud.

const PAD = 280; // pixels of the pad's side
const PEN = 26; // their width of a stroke: drawn large, as thick as MNIST's
const BREATH = 8; // milliseconds of a frame that may go into the expectation
const LENS = 0.4; // the lens shows so much of the plane on each side of the cloud's middle

const PAD_HTML = `
  <p class="invitation"><strong>Draw a digit</strong> on the black pad, with the mouse, a finger or a pen.
    The ring in the plane goes to where the encoder puts it. With two numbers for a digit, the decoder often draws another one back.</p>
  <canvas class="pad" width="${PAD}" height="${PAD}" role="img" aria-label="Pad to draw a digit on"></canvas>
  <div class="latent-explorer-buttons">
    <button type="button" class="clear">Clear</button>
    <select class="choice" aria-label="Or choose a test image"><option value="">Or choose a test image</option></select>
  </div>
  <div class="latent-explorer-steps">
    <figure>
      <canvas class="seen" width="28" height="28" role="img" aria-label="The digit as the encoder reads it"></canvas>
      <figcaption><strong>In:</strong> your digit <i>x</i>, sized and centred like MNIST’s</figcaption>
    </figure>
    <figure>
      <canvas class="lens" width="256" height="256" role="img"
        aria-label="The cloud q(z | x) magnified, with rings at one and two standard deviations"></canvas>
      <figcaption><strong>Encoder:</strong> its cloud in the plane, magnified, with rings at 1σ and 2σ</figcaption>
    </figure>
    <figure>
      <canvas class="back" width="28" height="28" role="img" aria-label="The reconstruction"></canvas>
      <figcaption><strong>Decoder:</strong> drawn from the middle of the cloud</figcaption>
    </figure>
  </div>
  <dl>
    <div>
      <dt>Cloud <i>q</i>(<i>z</i> | <i>x</i>)</dt>
      <dd><strong class="mean"></strong> <strong class="deviation"></strong></dd>
      <dd>The encoder’s answer is not one <i>z</i> but a cloud of them, with middle μ and spread σ.</dd>
    </div>
    <div>
      <dt>Reconstruction</dt>
      <dd><strong class="reconstruction"></strong></dd>
      <dd>How well the decoder brings your pixels back, averaged over nine points of the cloud. Closer to 0 is better.</dd>
    </div>
    <div>
      <dt>minus KL</dt>
      <dd><strong class="kl"></strong></dd>
      <dd>What the cloud costs: the smaller it is, and the further from the middle of the plane, the more.</dd>
    </div>
    <div>
      <dt>= Bound</dt>
      <dd><strong class="bound"></strong></dd>
      <dd>A lower bound on log <i>p</i>(<i>x</i>): how probable the model finds your digit.
        <span class="rank"></span></dd>
    </div>
  </dl>
  <p class="latent-explorer-said" aria-live="polite"></p>`;

const withSign = (value, digits) => value.toFixed(digits).replace("-", "−");
const inPair = (pair) => `(${pair.map((value) => withSign(value, 2)).join(", ")})`;

// Where a bound stands among those of the 10,000 test images.
function rank(bound, quantiles) {
  const share = shareBelow(bound, quantiles);
  if (share === 0 || share === 1) return `${share ? "better" : "worse"} than all 10,000 test digits`;
  return share < 0.5
    ? `worse than ${Math.floor(100 * (1 - share))}% of the 10,000 test digits`
    : `better than ${Math.floor(100 * share)}% of the 10,000 test digits`;
}

function unpackExamples({ images, labels, numbers }) {
  const bytes = decodeBase64(images, Uint8Array);
  return labels.map((label, i) => ({
    name: `Test image ${numbers[i]}: a ${label}`,
    image: Float32Array.from({ length: SIDE * SIDE }, (_, pixel) => {
      const bit = i * SIDE * SIDE + pixel;
      return (bytes[bit >> 3] >> (7 - (bit & 7))) & 1;
    }),
  }));
}

class DigitPad {
  // `explorer` has the VAE and follows the cloud on its plane.
  constructor(box, explorer, data) {
    this.explorer = explorer;
    this.quantiles = data.quantiles;
    this.examples = unpackExamples(data.examples);
    this.exact = null; // the pixels of a test image, as long as nothing is drawn over it
    this.stroke = null; // where the pen is, while it is down
    this.changed = false;
    this.estimate = null; // the expectation that is being computed
    this.result = null; // the last one computed
    box.innerHTML = PAD_HTML;
    this.canvas = box.querySelector(".pad");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.choice = box.querySelector(".choice");
    this.examples.forEach(({ name }, i) => this.choice.add(new Option(name, i)));
    this.part = (name) => box.querySelector(`.${name}`);
    this.listen();
    this.forget();
  }

  listen() {
    const at = (event) => {
      const { left, top, width, height } = this.canvas.getBoundingClientRect();
      return [((event.clientX - left) / width) * PAD, ((event.clientY - top) / height) * PAD];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      event.preventDefault(); // no selection of text
      this.canvas.setPointerCapture(event.pointerId);
      this.exact = null;
      this.choice.value = "";
      this.stroke = at(event);
      this.draw(at(event));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.stroke || !event.isPrimary) return;
      const passed = event.getCoalescedEvents?.() ?? []; // a quick hand is at several places in a frame
      for (const one of passed.length ? passed : [event]) this.draw(at(one));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, (event) => {
        if (!this.stroke || !event.isPrimary) return;
        this.stroke = null;
        this.look();
      });
    }
    this.choice.addEventListener("change", () => {
      if (this.choice.value !== "") this.choose(this.examples[this.choice.value].image);
    });
    this.part("clear").addEventListener("click", () => this.clear());
  }

  draw(place) {
    this.context.strokeStyle = "#fff";
    this.context.lineWidth = PEN;
    this.context.lineCap = "round";
    this.context.beginPath();
    this.context.moveTo(...this.stroke);
    this.context.lineTo(place[0] + 0.01, place[1]); // a line of no length would not be drawn
    this.context.stroke();
    this.stroke = place;
    this.look();
  }

  choose(image) {
    this.exact = image;
    this.context.clearRect(0, 0, PAD, PAD);
    this.context.fillStyle = "#fff";
    const size = PAD / SIDE;
    image.forEach((value, i) => {
      if (value) this.context.fillRect((i % SIDE) * size, Math.floor(i / SIDE) * size, size, size);
    });
    this.look();
  }

  clear() {
    this.context.clearRect(0, 0, PAD, PAD);
    this.exact = null;
    this.choice.value = "";
    this.look();
  }

  // The image that the encoder gets; null for an empty pad.
  image() {
    if (this.exact) return this.exact;
    const { data } = this.context.getImageData(0, 0, PAD, PAD);
    const ink = new Float32Array(PAD * PAD);
    for (let i = 0; i < ink.length; i++) ink[i] = data[4 * i + 3] / 255; // how opaque the stroke is
    return prepare(ink, PAD, PAD);
  }

  look() {
    this.changed = true;
    this.frame ??= requestAnimationFrame(() => this.work());
  }

  // The work of one frame. What is drawn while an expectation is computed waits for its end, so that the numbers live.
  work() {
    this.frame = null;
    if (this.estimate) this.goOn();
    else if (this.changed) this.begin();
    if (this.estimate || this.changed) this.frame = requestAnimationFrame(() => this.work());
  }

  begin() {
    this.changed = false;
    const image = this.image();
    if (!image) {
      this.forget();
      return;
    }
    const { vae } = this.explorer;
    const cloud = vae.encode(image);
    const logits = vae.logits(cloud.mean);
    const [middle, ...others] = nodes(cloud);
    this.estimate = { image, cloud, others, sum: middle.weight * logLikelihood(image, logits) };
    const pixels = logits.map(sigmoid);
    showPixels(this.part("seen"), image);
    showPixels(this.part("back"), pixels);
    this.explorer.follow(cloud, pixels);
    this.paintLens(cloud);
  }

  goOn() {
    const { image, cloud, others } = this.estimate;
    const end = performance.now() + BREATH;
    do {
      const { z, weight } = others.pop();
      this.estimate.sum += weight * logLikelihood(image, this.explorer.vae.logits(z));
    } while (others.length && performance.now() < end);
    if (others.length) return;
    const [reconstruction, kl] = [this.estimate.sum, klDivergence(cloud)];
    this.result = { cloud, reconstruction, kl, bound: reconstruction - kl };
    this.estimate = null;
    this.report();
  }

  report() {
    const { cloud, reconstruction, kl, bound } = this.result;
    const nats = { reconstruction, kl, bound };
    for (const [name, value] of Object.entries(nats)) this.part(name).textContent = `${withSign(value, 1)} nats`;
    this.part("mean").textContent = `μ = ${inPair(cloud.mean)}`;
    this.part("deviation").textContent = `σ = ${inPair(cloud.deviation)}`;
    const place = rank(bound, this.quantiles);
    this.part("rank").textContent = `That is ${place}; ${this.middleHalf("half of them")}`;
    if (this.stroke || this.changed) return; // to be read out when the stroke is done
    this.part("latent-explorer-said").textContent =
      `The encoder puts the digit at μ = ${inPair(cloud.mean)}. Reconstruction ${withSign(reconstruction, 1)}, ` +
      `KL ${withSign(kl, 1)}, bound ${withSign(bound, 1)} nats: ${place}.`;
  }

  // Two numbers that a bound can be held against.
  middleHalf(subject) {
    const [low, high] = [0.25, 0.75].map((share) => this.quantiles[share * (this.quantiles.length - 1)]);
    return `${subject} have a bound between ${withSign(low, 0)} and ${withSign(high, 0)}.`;
  }

  // The empty pad.
  forget() {
    this.result = null;
    for (const name of ["seen", "back"]) showPixels(this.part(name), new Float32Array(SIDE * SIDE));
    for (const name of ["reconstruction", "kl", "bound"]) this.part(name).textContent = "… nats";
    this.part("mean").textContent = "μ = –";
    this.part("deviation").textContent = "σ = –";
    this.part("rank").textContent = this.middleHalf("Half of the 10,000 test digits");
    this.part("latent-explorer-said").textContent = "";
    this.explorer.follow(null);
    this.paintLens(null);
  }

  paintLens(cloud) {
    const canvas = this.part("lens");
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (!cloud) return;
    const view = makeView(canvas, cloud.mean, LENS);
    this.explorer.paintPoints(context, view, 5);
    paintCloud(context, view, cloud, 3);
  }
}
