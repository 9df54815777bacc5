/** The sum below a ballot paper, while it is being filled in. The server counts again when it is saved. */

const paper = document.querySelector("[data-ballot]");
const sum = paper?.querySelector("[data-ballot-sum]");
if (paper && sum) {
  const { total, elsewhere, left, leftOne, over, overOne } = paper.dataset;
  const numberFormat = new Intl.NumberFormat(document.documentElement.lang || "de");
  const tell = () => {
    let spent = Number(elsewhere);
    for (const box of paper.querySelectorAll("[data-cost]:checked")) spent += Number(box.dataset.cost);
    for (const field of paper.querySelectorAll("[data-points]")) spent += Math.max(0, Number.parseInt(field.value, 10) || 0);
    const rest = Number(total) - spent;
    sum.classList.toggle("is-over", rest < 0);
    const [one, many] = rest < 0 ? [overOne, over] : [leftOne, left];
    const text = Math.abs(rest) === 1 ? one : many.replace("{n}", numberFormat.format(Math.abs(rest)));
    if (sum.textContent !== text) sum.textContent = text;
  };
  paper.addEventListener("input", tell);
  tell();
}
