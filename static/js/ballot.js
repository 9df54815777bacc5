/** The sum below a ballot paper, while it is being filled in. The server counts again when it is saved. */

const paper = document.querySelector("[data-ballot]");
const sum = paper?.querySelector("[data-ballot-sum]");
if (paper && sum) {
  const { total, elsewhere, left, leftOne, over, overOne, check, most, more } = paper.dataset;
  const numberFormat = new Intl.NumberFormat(document.documentElement.lang || "de");
  const tell = () => {
    let spent = Number(elsewhere);
    for (const box of paper.querySelectorAll("[data-cost]:checked")) spent += Number(box.dataset.cost);
    for (const field of paper.querySelectorAll("[data-points]")) spent += Math.max(0, Number.parseInt(field.value, 10) || 0);
    const rest = Number(total) - spent;
    const [one, many] = rest < 0 ? [overOne, over] : [leftOne, left];
    const said = [Math.abs(rest) === 1 ? one : many.replace("{n}", numberFormat.format(Math.abs(rest)))];
    const chosen = paper.querySelectorAll("[data-cost]:checked").length;
    if (Number(most) && chosen > Number(most)) said.push(more.replace("{n}", numberFormat.format(chosen)));
    // The sum may be right while one proposal got more than it can.
    const [wrong] = [...paper.querySelectorAll("[data-points]")].filter((field) => !field.validity.valid);
    if (wrong) said.push(check.replace("{title}", document.getElementById(wrong.getAttribute("aria-labelledby").split(" ")[1]).textContent.trim()));
    const isOver = rest < 0 || said.length > 1;
    if (rest >= 0 && isOver) said.shift();
    sum.classList.toggle("is-over", isOver);
    const text = said.join(". ");
    if (sum.textContent !== text) sum.textContent = text;
  };
  paper.addEventListener("input", tell);
  tell();
}
