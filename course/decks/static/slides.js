// Slides are text: of an "application", which reveal.js makes of them, a screen reader would not read line by line.
// A film plays from its beginning while its slide is shown, unless the system asks for no motion; a button stops it.
const start = () => {
  Reveal.getRevealElement().setAttribute("role", "main");
  Reveal.getSlidesElement().removeAttribute("role");
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches || Reveal.isPrintView();
  for (const image of document.querySelectorAll("img[data-film]")) {
    const still = image.getAttribute("src");
    const button = image.nextElementSibling;
    const play = (playing) => {
      image.src = playing ? `${image.dataset.film}?${Date.now()}` : still; // another address: from the first frame
      button.textContent = playing ? "Stop the film" : "Play the film";
      button.playing = playing;
    };
    button.addEventListener("click", () => play(!button.playing));
    const slide = image.closest("section");
    const follow = () => play(!calm && slide === Reveal.getCurrentSlide());
    Reveal.on("slidechanged", follow);
    follow();
  }
};
Reveal.isReady() ? start() : Reveal.on("ready", start);
