// A page opened from the disk may not fetch others: the search shows titles without summaries there.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}

// Sections off the screen are not laid out at first, so that a long chapter opens at once (book.css). They are laid out
// one at a time once the reader has begun to read, so that the scroll bar tells the truth; at once for a reader who comes
// back, so that the place is found again.
document.addEventListener("DOMContentLoaded", () => {
  const sections = [...document.querySelectorAll(".bd-article > section > section")];
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
  const layOutNext = () => {
    const section = sections.shift();
    if (section) {
      section.classList.add("laid-out");
      idle(layOutNext);
    }
  };
  let begun = false;
  const begin = () => {
    if (!begun) {
      begun = true;
      idle(layOutNext);
    }
  };
  if (performance.getEntriesByType("navigation")[0]?.type !== "navigate") {
    for (const section of sections.splice(0)) {
      section.classList.add("laid-out");
    }
  }
  for (const sign of ["scroll", "pointermove", "pointerdown", "keydown"]) {
    window.addEventListener(sign, begin, { once: true, passive: true });
  }
  setTimeout(begin, 6000);
});

// A button under each film that stops and starts it. Readers who asked for no motion begin with the still picture.
document.addEventListener("DOMContentLoaded", () => {
  for (const film of document.querySelectorAll("picture.film")) {
    const image = film.querySelector("img");
    const source = film.querySelector("source");
    const moving = image.getAttribute("src");
    const still = source.getAttribute("srcset");
    let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const button = document.createElement("button");
    button.type = "button";
    const label = () => {
      button.textContent = playing ? "Stop the film" : "Play the film";
    };
    label();
    button.addEventListener("click", () => {
      playing = !playing;
      source.remove(); // from now on the button decides
      image.src = playing ? moving : still;
      label();
    });
    film.nextElementSibling.prepend(button, " ");
  }
});

// A box that scrolls can be reached with the Tab key, and fades at the right as long as more is there (book.css). Boxes
// are looked at when they get their size: those of a section that is laid out later, then.
document.addEventListener("DOMContentLoaded", () => {
  const fade = (box) => {
    box.classList.toggle("goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  };
  const look = (entries) => {
    for (const { target } of entries) {
      fade(target);
      if (target.scrollWidth > target.clientWidth && target.tabIndex < 0) {
        target.tabIndex = 0;
        target.addEventListener("scroll", () => fade(target), { passive: true });
      }
    }
  };
  const observer = new ResizeObserver(look);
  for (const box of document.querySelectorAll(
    "pre, p:has(math), div.math, table, .cell_output > .output, .pst-scrollable-table-container",
  )) {
    observer.observe(box);
  }
});
