// Two things to touch, on the model of chapter 1 whose code is one number: a Gaussian q to move over the true posterior
// (`<div class="move-q">`), and the four gradient estimates to throw (`<div class="throw-dice">`). What such an element
// holds is shown until it is alive, or without JavaScript.

// The mathematics, apart from the page. Everything is a sum over a grid, as in section 1.1.
const tinyModel = (() => {
  // The decoder of section 1.1; tests/test_tiny_model.py draws these numbers again.
  const W1 = [0.345584192064786, 0.8216181435011584, 0.33043707618338714];
  const b1 = [-1.303157231604361, 0.9053558666731177, 0.4463745723640113];
  const W2 = [
    [-1.0739064707205703, 1.1622362083927062, 0.7291447923721515, 0.588264993311052],
    [0.05684448263159358, 1.0934259732248939, -1.4729081740033338, -0.32581989598610556],
    [-0.9642386253599565, 1.1976924252692551, 0.07944421496331798, -0.5849135019301772],
  ];
  const b2 = [-0.39095423117842104, -0.12859612030943535, 0.004071090259171754, -0.1378014526496852];
  const image = [1, 0, 1, 1];
  const points = 12001; // with the chapter's step, but as far as the widest q reaches
  const step = 48 / (points - 1);
  const grid = Array.from({ length: points }, (_, i) => -24 + i * step);
  const logNormal = (z, mu, sigma) => -0.5 * ((z - mu) / sigma) ** 2 - Math.log(sigma) - 0.5 * Math.log(2 * Math.PI);
  const sum = (term) => grid.reduce((total, z, i) => total + term(z, i), 0) * step;

  // log p(x | z) in nats, and its slope by z.
  function likelihood(z) {
    const hidden = W1.map((w, k) => Math.tanh(w * z + b1[k]));
    let [value, slope] = [0, 0];
    image.forEach((x, pixel) => {
      let [logit, rise] = [b2[pixel], 0];
      hidden.forEach((h, k) => {
        logit += h * W2[k][pixel];
        rise += (1 - h * h) * W1[k] * W2[k][pixel];
      });
      value += x * logit - Math.log1p(Math.exp(-Math.abs(logit))) - Math.max(logit, 0);
      slope += (x - 1 / (1 + Math.exp(-logit))) * rise;
    });
    return { value, slope };
  }

  const logJoint = grid.map((z) => logNormal(z, 0, 1) + likelihood(z).value); // (1.1)
  const logEvidence = Math.log(sum((_, i) => Math.exp(logJoint[i]))); // (1.2)
  const posterior = (i) => Math.exp(logJoint[i] - logEvidence); // (1.3), at a point of the grid

  // The ELBO (1.6), the gap KL(q || p(z | x)), and the ELBO's slopes by mu and by log sigma.
  function bound(mu, sigma) {
    let [elbo, gap, byMu, byLogSigma] = [0, 0, 0, 0];
    grid.forEach((z, i) => {
      const logQ = logNormal(z, mu, sigma);
      const weight = Math.exp(logQ) * step;
      const epsilon = (z - mu) / sigma;
      const term = logJoint[i] - logQ;
      elbo += weight * term;
      gap += weight * (logQ - logJoint[i] + logEvidence);
      byMu += (weight * term * epsilon) / sigma; // the score of a normal
      byLogSigma += weight * term * (epsilon * epsilon - 1);
    });
    return { elbo, gap, gradient: [byMu, byLogSigma] };
  }

  // One draw: the four estimates of the ELBO's slopes by mu and by log sigma (chapters 1 and 4).
  function estimates(mu, sigma, epsilon) {
    const z = mu + sigma * epsilon;
    const { value, slope } = likelihood(z);
    const term = value + logNormal(z, 0, 1) - logNormal(z, mu, sigma);
    const pull = slope - z; // of log p(x, z), by z
    return {
      score: [(epsilon / sigma) * term, (epsilon * epsilon - 1) * term],
      A: [pull, sigma * epsilon * pull + 1],
      B: [slope - mu, sigma * epsilon * slope + 1 - sigma * sigma],
      path: [pull + epsilon / sigma, sigma * epsilon * pull + epsilon * epsilon],
    };
  }

  // The mean of each estimate and its variance with one draw: for [mu, log sigma], summed over the grid as noise.
  function exact(mu, sigma) {
    const found = {};
    for (const name of ["score", "A", "B", "path"]) found[name] = { mean: [0, 0], variance: [0, 0] };
    const noise = grid.filter((epsilon) => Math.abs(epsilon) <= 8);
    const weights = noise.map((epsilon) => Math.exp(logNormal(epsilon, 0, 1)) * step);
    const drawn = noise.map((epsilon) => estimates(mu, sigma, epsilon));
    for (const [name, { mean, variance }] of Object.entries(found)) {
      for (const part of [0, 1]) {
        drawn.forEach((draw, i) => (mean[part] += weights[i] * draw[name][part]));
        drawn.forEach((draw, i) => (variance[part] += weights[i] * (draw[name][part] - mean[part]) ** 2));
      }
    }
    return found;
  }

  // One step uphill, in units of q's own width; `done` where the slope is as good as level.
  function climb(mu, sigma) {
    const [byMu, byLogSigma] = bound(mu, sigma).gradient;
    const done = Math.hypot(byMu * sigma, byLogSigma) < 1e-4;
    const most = (step, size) => Math.max(-size, Math.min(size, step));
    return { mu: mu + most(0.2 * sigma * sigma * byMu, 0.05), sigma: sigma * Math.exp(most(0.1 * byLogSigma, 0.05)), done };
  }

  return { grid, logNormal, logEvidence, posterior, bound, estimates, exact, climb };
})();

// A seeded stream of standard normal numbers (mulberry32; Box and Muller).
function normalStream(seed) {
  let state = seed;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const minus = (number, digits) => number.toFixed(digits).replace("-", "−");
const stillness = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
let groups = 0; // radio buttons of one widget share a name

class MoveQ {
  constructor(place) {
    this.start = [0.5, 0.5];
    [this.mu, this.sigma] = this.start;
    const curve = (density) =>
      tinyModel.grid
        .map((z, i) => [z, i])
        .filter(([z, i]) => i % 10 === 0 && Math.abs(z + 0.5) <= 4)
        .map(([z, i]) => this.at(z, density(z, i)).map((value) => value.toFixed(1)).join(","))
        .join(" ");
    this.curve = curve;
    const ticks = [-4, -3, -2, -1, 0, 1, 2, 3];
    place.innerHTML = `
      <div class="tiny-model-box">
        <p class="key">true posterior p(z | x) <span>q, yours to move</span></p>
        <svg class="densities" viewBox="0 0 440 290" role="img" aria-label="The true posterior of the code, a leaning
          curve with its top near −1.3, and the Gaussian q that you move over it">
          <line class="axis" x1="0" x2="440" y1="250" y2="250"></line>
          ${ticks.map((z) => `<text class="tick" x="${this.at(z, 0)[0]}" y="272">${minus(z, 0)}</text>`).join("")}
          <text x="425" y="288">z</text>
          <polygon class="posterior" points="${curve((_, i) => tinyModel.posterior(i))}"></polygon>
          <polyline class="q"></polyline>
          <line class="spread"></line>
          <circle class="handle mu" r="11"></circle>
          <circle class="handle sigma" r="8"></circle>
        </svg>
        <svg class="nats" viewBox="0 0 250 290" role="img">
          <line class="axis" x1="20" x2="120" y1="272" y2="272"></line>
          <text x="20" y="288">cut at ${minus(tinyModel.logEvidence - 4, 1)}</text>
          <rect class="elbo" x="30" width="80"></rect>
          <rect class="gap" x="30" width="80"></rect>
          <line class="evidence" x1="10" x2="245" y1="30" y2="30"></line>
          <text class="of-evidence" x="12" y="20">log p(x) = ${minus(tinyModel.logEvidence, 2)}</text>
          <text class="of-gap" x="120"></text>
          <text class="of-elbo" x="120"></text>
        </svg>
        <div class="controls">
          <label>mean μ <input class="mu" type="range" min="-4" max="3" step="0.01"><output></output></label>
          <label>width σ <input class="sigma" type="range" min="0.15" max="2" step="0.01"><output></output></label>
          <button type="button" class="climb">Climb the gradient</button>
          <button type="button" class="again">Start again</button>
        </div>
        <p class="says" aria-live="polite"></p>
      </div>`;
    place.classList.add("alive");
    this.find = (selector) => place.querySelector(selector);
    this.listen();
    this.paint();
  }

  at(z, density) {
    return [220 + 54 * (z + 0.5), 250 - 270 * density]; // the picture's own units
  }

  // Where the dot of the width stands: one sigma to the right, or to the left where the picture ends.
  edge() {
    return this.mu + (this.mu + this.sigma > 3.4 ? -1 : 1) * this.sigma;
  }

  listen() {
    const svg = this.find(".densities");
    const z = (event) => {
      const { left, width } = svg.getBoundingClientRect();
      return (((event.clientX - left) / width) * 440 - 220) / 54 - 0.5;
    };
    let held = null;
    svg.addEventListener("pointerdown", (event) => {
      const [toMu, toSigma] = [this.mu, this.edge()].map((place) => Math.abs(z(event) - place));
      held = event.target.matches(".sigma") || toSigma < Math.min(toMu, 0.25) ? "sigma" : "mu";
      this.from = z(event) - (held === "mu" ? this.mu : this.edge());
      if (Math.abs(this.from) > 0.5) this.from = 0; // far from both handles: q comes to the finger
      svg.setPointerCapture(event.pointerId);
      drag(event);
    });
    const drag = (event) => {
      if (!held) return;
      const to = z(event) - this.from;
      if (held === "mu") this.move(to, this.sigma);
      else this.move(this.mu, Math.abs(to - this.mu));
    };
    svg.addEventListener("pointermove", drag);
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (held = null));
    this.find("input.mu").addEventListener("input", (event) => this.move(Number(event.target.value), this.sigma));
    this.find("input.sigma").addEventListener("input", (event) => this.move(this.mu, Number(event.target.value)));
    this.find(".climb").addEventListener("click", () => (this.climbing ? this.halt() : this.climb()));
    this.find(".again").addEventListener("click", () => this.move(...this.start));
  }

  move(mu, sigma) {
    this.halt();
    this.set(mu, sigma);
  }

  set(mu, sigma) {
    this.mu = Math.min(3, Math.max(-4, mu));
    this.sigma = Math.min(2, Math.max(0.15, sigma));
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.paint();
    });
  }

  climb() {
    const [says, button] = [this.find(".says"), this.find(".climb")];
    says.setAttribute("aria-live", "off");
    button.textContent = "Stop";
    this.climbing = true;
    this.onTop = false;
    const step = () => {
      if (!this.climbing) return;
      for (let steps = stillness() ? 2000 : 1; steps > 0 && !this.onTop; steps--) {
        const next = tinyModel.climb(this.mu, this.sigma);
        [this.mu, this.sigma, this.onTop] = [next.mu, next.sigma, next.done];
      }
      if (this.onTop) this.halt();
      this.set(this.mu, this.sigma);
      if (this.climbing) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  halt() {
    this.climbing = false;
    this.find(".climb").textContent = "Climb the gradient";
    this.find(".says").setAttribute("aria-live", "polite");
  }

  paint() {
    const { mu, sigma } = this;
    const { elbo, gap } = tinyModel.bound(mu, sigma);
    const density = (z) => Math.exp(tinyModel.logNormal(z, mu, sigma));
    this.find("polyline.q").setAttribute("points", this.curve(density));
    const set = (selector, values) => {
      for (const [name, value] of Object.entries(values)) this.find(selector).setAttribute(name, value);
    };
    const [[x, y], [edge, side]] = [this.at(mu, density(mu)), this.at(this.edge(), density(mu + sigma))];
    const top = Math.max(y, 14); // a narrow q leaves the picture
    set("circle.mu", { cx: x, cy: top });
    set("circle.sigma", { cx: edge, cy: Math.max(side, 14) });
    set(".spread", { x1: x, x2: edge, y1: Math.max(side, 14), y2: Math.max(side, 14) });
    for (const [name, value] of [["mu", mu], ["sigma", sigma]]) {
      const input = this.find(`input.${name}`);
      input.value = value;
      input.nextElementSibling.textContent = minus(value, 2);
    }
    const scale = (nats) => Math.min(272, 30 + 60 * (tinyModel.logEvidence - nats)); // 4 nats below the line: the floor
    const meet = scale(elbo);
    set("rect.gap", { y: 30, height: meet - 30 });
    set("rect.elbo", { y: meet, height: 272 - meet });
    const [ofGap, ofElbo] = [`gap ${minus(gap, gap < 0.1 ? 4 : 2)}`, `ELBO ${minus(elbo, elbo < -9.9 ? 1 : 2)}`];
    this.find(".of-gap").textContent = ofGap;
    this.find(".of-elbo").textContent = ofElbo;
    set(".of-gap", { y: Math.max(50, Math.min(225, (30 + meet) / 2 + 5)) });
    set(".of-elbo", { y: Math.max(80, Math.min(262, (meet + 272) / 2 + 5)) });
    const total = minus(tinyModel.logEvidence, 2);
    const words = `ELBO ${minus(elbo, 4)} + gap ${minus(gap, 4)} = log p(x) = ${total} nats.`;
    this.find(".nats").setAttribute("aria-label", words);
    const end = this.onTop && !this.climbing ? " This is the top: no Gaussian closes the rest." : "";
    this.onTop = this.climbing && this.onTop;
    this.find(".says").textContent = words + end;
  }
}

class ThrowDice {
  constructor(place) {
    this.names = { score: "score function", A: "A", B: "B", path: "path" };
    this.colors = { score: "#767676", A: "#D55E00", B: "#0072B2", path: "#009E73" };
    this.counts = [1, 2, 5, 10, 20, 50, 100];
    this.seed = Number(place.dataset.seed ?? Date.now()); // every reader has dice of their own
    const group = `dice-${groups++}`;
    const choice = (kind, value, text, on) =>
      `<label><input type="radio" name="${group}-${kind}" value="${value}" ${on ? "checked" : ""}> ${text}</label>`;
    place.innerHTML = `
      <div class="tiny-model-box">
        <div class="controls">
          <fieldset><legend>q, to the true posterior:</legend>
            ${choice("q", "-1.15,0.89", "close", false)} ${choice("q", "-0.2,0.7", "off", true)}
            ${choice("q", "0.5,0.5", "far off", false)}
          </fieldset>
          <fieldset><legend>Slope of the ELBO with respect to</legend>
            ${choice("part", 0, "μ", true)} ${choice("part", 1, "log σ", false)}
          </fieldset>
          <label>draws averaged in an estimate, L <input class="draws" type="range" min="0" max="${this.counts.length - 1}" value="0"
            aria-valuetext="1"><output></output></label>
          <label><input class="zoom" type="checkbox"> zoom in</label>
          <button type="button" class="once">Throw once</button>
          <button type="button" class="many">Throw 200 times</button>
          <button type="button" class="again">Start again</button>
        </div>
        <canvas class="strips" width="880" height="520" role="img"></canvas>
        <table><thead><tr><th>recipe</th><th>variance so far</th><th>exact</th></tr></thead>
          <tbody>${Object.entries(this.names)
            .map(([name, text]) => `<tr class="${name}"><th scope="row">${text}</th><td></td><td></td></tr>`)
            .join("")}</tbody></table>
        <p class="says" aria-live="polite"></p>
      </div>`;
    place.classList.add("alive");
    this.find = (selector) => place.querySelector(selector);
    for (const input of place.querySelectorAll("input:not(.zoom)")) input.addEventListener("input", () => this.restart());
    this.find(".zoom").addEventListener("input", () => this.paint());
    this.find(".once").addEventListener("click", () => this.throwMany(1));
    this.find(".many").addEventListener("click", () => this.throwMany(200));
    this.find(".again").addEventListener("click", () => this.restart());
    // The theme's switch of light and dark changes what the canvas must show.
    new MutationObserver(() => this.paint()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.restart();
  }

  restart() {
    this.waiting = 0;
    const q = this.find("input[name$=-q]:checked").value;
    if (q !== this.q) {
      [this.mu, this.sigma] = q.split(",").map(Number);
      this.exact = tinyModel.exact(this.mu, this.sigma);
      this.q = q;
    }
    this.part = Number(this.find("input[name$=-part]:checked").value);
    const slider = this.find(".draws");
    this.draws = this.counts[slider.value];
    slider.setAttribute("aria-valuetext", this.draws);
    slider.nextElementSibling.textContent = this.draws;
    this.random = normalStream(this.seed);
    this.fallen = { score: [], A: [], B: [], path: [] };
    this.paint();
  }

  throwMany(times) {
    this.waiting += times;
    if (this.pending) return;
    const step = () => {
      this.pending = null;
      const now = Math.min(this.waiting, stillness() ? this.waiting : 2);
      for (let i = 0; i < now; i++) this.throwOnce();
      this.waiting -= now;
      this.paint();
      if (this.waiting > 0) this.pending = requestAnimationFrame(step);
    };
    this.pending = requestAnimationFrame(step);
  }

  throwOnce() {
    const total = { score: 0, A: 0, B: 0, path: 0 };
    for (let draw = 0; draw < this.draws; draw++) {
      const found = tinyModel.estimates(this.mu, this.sigma, this.random()); // the same noise for all four
      for (const name in total) total[name] += found[name][this.part];
    }
    for (const name in total) this.fallen[name].push(total[name] / this.draws);
  }

  variance(name) {
    const values = this.fallen[name];
    const mean = values.reduce((total, value) => total + value, 0) / values.length;
    return values.reduce((total, value) => total + (value - mean) ** 2, 0) / (values.length - 1);
  }

  paint() {
    const canvas = this.find(".strips");
    const context = canvas.getContext("2d");
    const ink = getComputedStyle(canvas).color;
    const truth = this.exact.B.mean[this.part];
    // The same axis for every L, so that more draws look quieter; zoomed in, the score function's dots leave it.
    const zoomed = this.find(".zoom").checked;
    const shown = Object.keys(this.names).filter((name) => !zoomed || name !== "score");
    const reach = 3.2 * Math.sqrt(Math.max(...shown.map((name) => this.exact[name].variance[this.part])));
    const x = (value) => 440 + 425 * Math.max(-1, Math.min(1, (value - truth) / reach));
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.font = "34px sans-serif";
    Object.entries(this.names).forEach(([name, text], row) => {
      const middle = 85 + 118 * row;
      context.fillStyle = this.colors[name];
      context.globalAlpha = 0.75;
      this.fallen[name].forEach((value, i) => {
        context.beginPath();
        context.arc(x(value), middle + ((i * 0.618034) % 1) * 56 - 26, 5, 0, 2 * Math.PI);
        context.fill();
      });
      context.globalAlpha = 1;
      context.fillStyle = ink;
      context.fillText(text, 8, middle - 40);
    });
    context.strokeStyle = ink;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(440, 8);
    context.lineTo(440, 480);
    context.moveTo(8, 480);
    context.lineTo(872, 480);
    context.stroke();
    for (const [value, align, end] of [[truth, "center", 440], [truth - reach, "left", 8], [truth + reach, "right", 872]]) {
      context.textAlign = align;
      context.fillText(minus(value, 1), end, 515);
    }
    context.textAlign = "left";
    const count = this.fallen.A.length;
    for (const name in this.names) {
      const cells = this.find(`tr.${name}`).cells;
      cells[1].textContent = count > 1 ? this.variance(name).toPrecision(2) : "–";
      cells[2].textContent = (this.exact[name].variance[this.part] / this.draws).toPrecision(2);
    }
    canvas.setAttribute("aria-label", `Four rows of dots, ${count} in each, about the true slope ${minus(truth, 2)}`);
    const says = this.find(".says");
    says.setAttribute("aria-live", this.waiting ? "off" : "polite");
    const [estimates, draws] = [count === 1 ? "estimate" : "estimates", this.draws === 1 ? "draw" : "draws"];
    const words = `${count} ${estimates} by each recipe, of ${this.draws} ${draws}.`;
    const edge = zoomed ? " Dots that leave the picture stand at its edge." : "";
    says.textContent = `${words} The line is the true slope, ${minus(truth, 2)}.${edge}`;
  }
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll(".move-q")) place.widget = new MoveQ(place);
    for (const place of document.querySelectorAll(".throw-dice")) place.widget = new ThrowDice(place);
  });
}
