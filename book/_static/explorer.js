// The latent explorer: a trained VAE that runs in the page. Drag a point through the latent plane and see its digit, or
// draw a digit and see where the encoder puts it, and what that is worth in nats.
//
// Every element of the class `latent-explorer` becomes one; what it holds is shown until then, or without JavaScript.
// The rest is loaded when an explorer comes near the screen: what it computes (networks.js, explorer-networks.js), the
// pad (explorer-pad.js), and the weights (explorer-data.js, which tools/export_explorer.py writes).

const LIMIT = 3.6; // the plane shows [-LIMIT, LIMIT]²
const PARTS = ["networks.js", "explorer-networks.js", "explorer-pad.js", "explorer-data.js"];
// A link that keeps the place: …#z=0.30,-1.20
const HASH = /^#z=(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)$/;

// A square part of the plane on a canvas: how long a unit is there, and where a point lies.
function makeView(canvas, [middle1, middle2], half) {
  const unit = canvas.width / (2 * half);
  const place = ([z1, z2]) => [canvas.width / 2 + (z1 - middle1) * unit, canvas.height / 2 - (z2 - middle2) * unit];
  return { unit, place };
}

// q(z | x): its middle, and rings at one and two standard deviations. Black on white shows on every colour.
function paintCloud(context, { unit, place }, { mean, deviation }, width) {
  const [x, y] = place(mean);
  for (const [color, thickness] of [
    ["#fff", 2.5 * width],
    ["#111", width],
  ]) {
    context.strokeStyle = color;
    context.lineWidth = thickness;
    for (const rings of [1, 2]) {
      context.beginPath();
      context.ellipse(x, y, rings * deviation[0] * unit, rings * deviation[1] * unit, 0, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  context.fillStyle = "#111";
  context.beginPath();
  context.arc(x, y, 1.2 * width, 0, 2 * Math.PI);
  context.fill();
}

function showPixels(canvas, pixels) {
  const image = new ImageData(28, 28);
  pixels.forEach((value, i) => image.data.set([255 * value, 255 * value, 255 * value, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Where in the plane a point is, in words: "upper left".
function inWords([z1, z2]) {
  const across = Math.abs(z1) < 0.4 ? "" : z1 < 0 ? "left" : "right";
  const down = Math.abs(z2) < 0.4 ? "" : z2 < 0 ? "lower" : "upper";
  if (down && across) return `${down} ${across}`;
  return across || (down && `${down} middle`) || "middle";
}

class LatentExplorer {
  constructor(place, data) {
    this.vae = makeVae(data);
    this.colors = data.colors;
    this.points = decodeBase64(data.points, Int16Array).reduce((pairs, value, i) => {
      if (i % 2 === 0) pairs.push([value / 1000]);
      else pairs[pairs.length - 1].push(value / 1000);
      return pairs;
    }, []);
    this.labels = decodeBase64(data.labels, Uint8Array);
    this.z = [0, 0];
    this.cloud = null; // q(z | x) of what is on the pad
    this.walk = null;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.build(place);
    this.view = makeView(this.canvas, [0, 0], LIMIT);
    this.paintScatter();
    this.pad = new DigitPad(place.querySelector(".latent-explorer-pad"), this, data);
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
      <div class="latent-explorer-shown">
        <canvas class="digit" width="28" height="28" role="img" aria-label="The digit decoded at the point"></canvas>
        <p class="where" aria-live="polite"></p>
      </div>
      <div class="latent-explorer-controls">
        <div class="latent-explorer-buttons">
          <button type="button" class="walk">Walk between digits</button>
          <button type="button" class="draw">Random z from the prior</button>
          <button type="button" class="link">Copy link to this point</button>
          <button type="button" class="full">Full screen</button>
        </div>
        <ul class="latent-explorer-legend" aria-hidden="true">
          ${this.colors.map((color, digit) => `<li><span style="background:${color}"></span>${digit}</li>`).join("")}
        </ul>
        <details class="latent-explorer-places"><summary>Where each digit lies</summary><ul></ul></details>
      </div>
      <section class="latent-explorer-pad" aria-label="Draw a digit"></section>`;
    place.replaceChildren(box);
    place.classList.add("alive");
    this.canvas = box.querySelector(".plane");
    this.scatter = box.querySelector(".scatter");
    this.digit = box.querySelector(".digit");
    this.where = box.querySelector(".where");
    this.walkButton = box.querySelector(".walk");
    this.listen(box);
    this.listPlaces(box.querySelector(".latent-explorer-places ul"));
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
    // A finger drags the ring; elsewhere it scrolls the page, and a tap moves the ring there. A mouse begins anywhere.
    const onRing = (event) => {
      const { left, top, width } = this.canvas.getBoundingClientRect();
      const scale = this.canvas.width / width;
      const [x, y] = this.view.place(this.z);
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
    box.querySelector(".link").addEventListener("click", () => this.copyLink());
    const full = box.querySelector(".full");
    full.hidden = !document.fullscreenEnabled;
    full.addEventListener("click", () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else box.requestFullscreen();
    });
    box.addEventListener("fullscreenchange", () => {
      full.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
    });
  }

  // The address of this page with the point in it: in the address bar, and on the clipboard where there is one.
  async copyLink() {
    this.stop();
    history.replaceState(null, "", `#z=${this.z.map((value) => value.toFixed(2)).join(",")}`);
    try {
      await navigator.clipboard.writeText(location.href);
      this.where.textContent = "The link is on the clipboard.";
    } catch {
      this.where.textContent = "The link is in the address bar.";
    }
  }

  // For each digit the mean of its test images' places, in numbers and in words.
  listPlaces(list) {
    const sums = this.colors.map(() => [0, 0, 0]);
    this.points.forEach(([z1, z2], i) => {
      const sum = sums[this.labels[i]];
      [sum[0], sum[1], sum[2]] = [sum[0] + z1, sum[1] + z2, sum[2] + 1];
    });
    for (const [digit, [sum1, sum2, count]] of sums.entries()) {
      const mean = [sum1 / count, sum2 / count];
      const item = document.createElement("li");
      item.textContent = `${digit}: around ${inPair(mean)}, ${inWords(mean)}`;
      list.append(item);
    }
  }

  move(z) {
    this.z = z.map((value) => Math.min(LIMIT, Math.max(-LIMIT, value)));
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.paint();
    });
  }

  // The cloud of what is on the pad, and the ring to its middle, with the pixels that the decoder makes of it; or none.
  follow(cloud, pixels) {
    this.cloud = cloud;
    if (!cloud) {
      this.move(this.z);
      return;
    }
    this.stop();
    this.where.setAttribute("aria-live", "off"); // the pad says it all
    this.z = [...cloud.mean];
    this.paint(pixels);
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

  // The digit that most of the test images around the point show, how many, of how many; the circle grows until it
  // holds fifteen of them.
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

  paintScatter() {
    const context = this.scatter.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.scatter.width, this.scatter.height);
    context.strokeStyle = "#ddd";
    context.fillStyle = "#555";
    context.font = "20px sans-serif";
    for (let tick = -3; tick <= 3; tick++) {
      const [x, y] = this.view.place([tick, tick]);
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
    this.paintPoints(context, this.view, 3.5);
  }

  paintPoints(context, { place }, radius) {
    const { width, height } = context.canvas;
    context.globalAlpha = 0.6;
    this.points.forEach((point, i) => {
      const [x, y] = place(point);
      if (x < -radius || x > width + radius || y < -radius || y > height + radius) return;
      context.fillStyle = this.colors[this.labels[i]];
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  paint(pixels = this.vae.decode(this.z)) {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.cloud) paintCloud(context, this.view, this.cloud, 1.5);
    const [x, y] = this.view.place(this.z);
    for (const [color, width] of [["#fff", 9], ["#111", 4]]) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 18, 0, 2 * Math.PI);
      context.stroke();
    }
    showPixels(this.digit, pixels);
    const where = inPair(this.z);
    const { digit, votes, count, radius } = this.nearest();
    const around =
      radius > 1
        ? "No test image lies near."
        : `Of the ${count} images nearby, ${votes} show the digit ${digit}.`;
    this.where.textContent = `z = ${where}. ${around}`;
    this.digit.setAttribute("aria-label", `The image decoded at z = ${where}`);
  }
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll(".latent-explorer");
    if (!places.length) return;
    const root = document.documentElement.dataset.content_root ?? "./";
    const load = (part) =>
      new Promise((loaded) => {
        const script = document.createElement("script");
        script.src = `${root}_static/${part}`;
        script.addEventListener("load", loaded);
        document.head.append(script);
      });
    const goToLink = () => {
      const [, ...z] = HASH.exec(location.hash) ?? [];
      if (!z.length) return; // another anchor of the page
      places[0].scrollIntoView();
      places[0].explorer?.stop();
      places[0].explorer?.move(z.map(Number));
    };
    const start = async () => {
      await Promise.all(PARTS.map(load));
      for (const place of places) place.explorer = new LatentExplorer(place, window.latentExplorerData);
      goToLink();
    };
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        start();
      }
    });
    // Not before the page itself is there: the weights are as large as all the rest.
    const begin = () => {
      places.forEach((place) => observer.observe(place));
      goToLink();
    };
    if (document.readyState === "complete") begin();
    else window.addEventListener("load", begin);
    window.addEventListener("hashchange", goToLink);
  });
}
