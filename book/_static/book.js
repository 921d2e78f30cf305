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
