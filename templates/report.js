"use strict";
(() => {
  const cards = document.getElementById("cards");
  const controls = document.getElementById("controls");
  if (cards && controls) {
    const [find, order, only, shown] = ["find", "order", "only", "shown"].map((id) => document.getElementById(id));
    const all = Array.from(cards.children);
    const named = new Map(all.map((card) => [card, card.querySelector("h3").textContent.toLowerCase()]));
    const value = (card, key) => {
      const number = parseFloat(card.dataset[key]);
      return Number.isNaN(number) ? -Infinity : number;
    };
    const arrange = () => {
      const key = order.value;
      const sorted = Array.from(all);
      if (key === "name") {
        const text = (card) => (card.querySelector("h3 code") || card.querySelector("h3")).textContent;
        sorted.sort((a, b) => text(a).localeCompare(text(b), "en"));
      } else if (key !== "rank") {
        sorted.sort((a, b) => value(b, key) - value(a, key) || all.indexOf(a) - all.indexOf(b));
      }
      cards.append(...sorted);
      choose();
    };
    const choose = () => {
      const wanted = find.value.trim().toLowerCase();
      let count = 0;
      for (const card of all) {
        const passes = card.classList.contains("pass") || card.classList.contains("unjudged");
        card.hidden = (only.checked && passes) || !named.get(card).includes(wanted);
        count += card.hidden ? 0 : 1;
      }
      shown.textContent = count + " of " + all.length;
    };
    controls.hidden = false;
    order.addEventListener("change", arrange);
    find.addEventListener("input", choose);
    only.addEventListener("change", choose);
    choose();
  }

  const space = "http://www.w3.org/2000/svg";
  for (const figure of document.querySelectorAll("figure.chart")) {
    const svg = figure.querySelector("svg");
    const plot = svg && svg.querySelector(".f-q");
    if (!plot) continue;
    let points = null;
    let marker = null;
    const caption = figure.querySelector(".caption");
    const usual = caption.textContent;
    svg.addEventListener("pointermove", (event) => {
      points = points || figure.dataset.points.trim().split("\n").map((line) => {
        const cut = line.indexOf(" ");
        return [Number(line.slice(0, cut)), line.slice(cut + 1)];
      });
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      const nearest = points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
      if (!marker) {
        marker = document.createElementNS(space, "line");
        marker.setAttribute("class", "marker");
        marker.setAttribute("y1", plot.y.baseVal.value);
        marker.setAttribute("y2", plot.y.baseVal.value + plot.height.baseVal.value);
        svg.append(marker);
      }
      marker.setAttribute("x1", nearest[0]);
      marker.setAttribute("x2", nearest[0]);
      marker.style.visibility = "visible";
      caption.textContent = nearest[1];
      caption.classList.add("reading");
    });
    svg.addEventListener("pointerleave", () => {
      caption.textContent = usual;
      caption.classList.remove("reading");
      if (marker) marker.style.visibility = "hidden";
    });
  }

  const table = document.querySelector("table.sortable");
  if (table) {
    const body = table.tBodies[0];
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        table.querySelectorAll("thead th").forEach((it) => it.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.key || row.cells[column].textContent;
        const rows = Array.from(body.rows);
        rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }) * (up ? 1 : -1));
        body.append(...rows);
      });
    });
  }
})();
