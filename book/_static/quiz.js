// The quizzes: choose, and see at once whether that was right, and why. What a question is, and the reasons, stand on the
// page already (tools/book_quiz.py): without this script the answers unfold.

// A reader may type 1,443 for 1.443, or 1,536 for 1536; and copy a minus from the page.
function readings(text) {
  const plain = text.trim().replace(/[−–]/g, "-");
  const numbers = [plain.replace(",", "."), plain.replaceAll(",", "")].map(Number);
  return plain === "" ? [] : numbers.filter(Number.isFinite);
}

function enliven(quiz) {
  const boxes = [...quiz.querySelectorAll(".quiz-option input")];
  const answers = [...quiz.querySelectorAll(".quiz-answers li")];
  const verdict = quiz.querySelector(".quiz-verdict");
  const isRight = (answer) => answer.dataset.right === "true";
  const why = (answer) => answer.querySelector(".quiz-why").cloneNode(true);

  const say = (right, words, reasons = []) => {
    const line = document.createElement("p");
    line.append(Object.assign(document.createElement("strong"), { textContent: words }));
    quiz.dataset.verdict = right ? "right" : "wrong";
    verdict.replaceChildren(line, ...reasons);
    for (const box of verdict.querySelectorAll("p")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; // a long formula on a phone: its box scrolls
    }
  };

  const checkNumber = () => {
    const numbers = readings(boxes[0].value);
    const isNear = ({ dataset }) =>
      numbers.some((number) => Math.abs(number - dataset.value) <= quiz.dataset.tolerance * (1 + 1e-9));
    const found = answers.find(isNear); // the key comes first
    if (numbers.length === 0) {
      say(false, "Please type a number, such as 1.5.");
    } else if (found) {
      say(isRight(found), isRight(found) ? "Right." : "Not this one.", [why(found)]);
    } else {
      say(false, "Not this one, and none of the usual slips. Try again, or unfold the answer.");
    }
  };

  const checkChoice = () => {
    const chosen = answers.filter((_, place) => boxes[place].checked);
    const slips = chosen.filter((answer) => !isRight(answer));
    const missing = answers.filter(isRight).length - (chosen.length - slips.length);
    if (chosen.length === 0) {
      say(false, "Please choose first.");
    } else if (boxes[0].type === "radio") {
      say(missing === 0, missing === 0 ? "Right." : "Not this one.", chosen.map(why));
    } else if (slips.length === 0 && missing === 0) {
      say(true, "Right: these and no others.", chosen.map(why));
    } else {
      const slipped = slips.map((answer) => answer.cloneNode(true));
      const more = missing === 0 ? "" : missing === 1 ? " One right answer is missing." : ` ${missing} right answers are missing.`;
      say(false, (slips.length === 0 ? "Right so far." : "Not all of these.") + more, slipped);
    }
  };

  const check = quiz.dataset.kind === "numeric" ? checkNumber : checkChoice;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Check" });
  button.addEventListener("click", check);
  verdict.before(button);

  // Arrow keys choose a radio button on the way to the next: only Enter, or a click, asks for the verdict.
  let byKey = false;
  quiz.addEventListener("pointerdown", () => {
    byKey = false;
  });
  quiz.addEventListener("keydown", (event) => {
    byKey = true;
    if (event.key === "Enter" && boxes.includes(event.target)) {
      event.preventDefault();
      check();
    }
  });
  quiz.addEventListener("input", () => {
    verdict.replaceChildren();
    delete quiz.dataset.verdict;
    if (quiz.dataset.kind === "single" && !byKey) {
      check();
    }
  });
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("fieldset.quiz").forEach(enliven));
