// The model's card in plain words: what it is for, its limits, how often it is right, where it comes from.

import { byId, el } from "./dom.js";
import { texts } from "./texts.js";

export function showCard(models) {
  const dialog = byId("card");
  const close = el("button", { type: "button", className: "quiet", textContent: texts.cardClose, onclick: () => dialog.close() });
  dialog.replaceChildren(
    el(
      "div",
      { className: "top" },
      el("h2", { id: "card-title", textContent: models.map(({ name }) => texts.cardTitle(name)).join(", ") }),
      close,
    ),
    ...models.map(inner),
  );
  dialog.onclick = (event) => event.target === dialog && dialog.close();
  dialog.showModal();
}

function inner(card) {
  return el(
    "div",
    { className: "inner" },
    card.problem ? el("p", { className: "failed", textContent: texts.cardProblem(card.problem) }) : null,
    ...section(texts.cardLimits, list(card.limits, "warning")),
    ...section(texts.cardUse, el("p", { textContent: card.intended_use })),
    ...section(texts.cardFigures, figures(card.test, (key) => texts.figures[key] ?? key), note(card.test)),
    ...section(texts.cardRecall, figures(card.recall, (key) => key)),
    ...section(texts.cardFails, list(card.known_failures)),
    ...section(texts.cardPeople, ...people(card.people)),
    ...section(
      texts.cardData,
      el("p", { textContent: texts.cardTrained(card.corpus) }),
      el("p", { className: "note", textContent: texts.cardLicence(card.licence) }),
      el("p", { className: "note", textContent: texts.cardFile(card.network, card.precision, card.sha256) }),
    ),
  );
}

/** A heading and what stands under it; nothing where there is nothing. */
function section(title, ...content) {
  const there = content.filter(Boolean);
  return there.length ? [el("h3", { textContent: title }), ...there] : [];
}

const list = (lines, className = "") => (lines?.length ? el("ul", { className }, ...lines.map((line) => el("li", { textContent: line }))) : null);

function figures(measured, called) {
  const rows = Object.entries(measured ?? {});
  if (!rows.length) return null;
  const told = ({ value, low, high }) => [
    texts.percent(value),
    low === null || high === null || low === undefined ? null : el("small", { textContent: ` [${texts.percent(low)}–${texts.percent(high)}]` }),
  ];
  return el("table", {}, el("tbody", {}, ...rows.map(([key, figure]) => el("tr", {}, el("th", { scope: "row", textContent: called(key) }), el("td", {}, ...told(figure))))));
}

/** Figures by group of people, and where these people are from; nothing where no such figures are known. */
function people(known) {
  if (!known) return [];
  const rows = Object.entries(known.recall).flatMap(([group, recall]) =>
    Object.entries(recall).map(([name, figure]) => [texts.cardGroup(group, name, figure.n), figure]),
  );
  const source = el("p", { className: "note", textContent: known.source });
  return [list(known.findings), figures(Object.fromEntries(rows), (key) => key), source];
}

function note(measured) {
  const first = Object.values(measured ?? {})[0];
  return first ? el("p", { className: "note", textContent: texts.cardFiguresNote(first.n) }) : null;
}
