// A click on a header sorts its table by that column: numbers by value, words by alphabet, empty places last.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const table = head.closest("table");
    const column = [...head.parentElement.children].indexOf(head);
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const key = (row) => {
      const cell = row.children[column];
      const words = cell.textContent.trim();
      if (cell.dataset.n !== undefined) return Number(cell.dataset.n);
      return words === "" || words === "–" ? null : words;
    };
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const mixed = (typeof x === "string") - (typeof y === "string");
      const found = mixed || (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
      return falling ? -found : found;
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
  });
}
