// The page: settings, files that come in, and what is shown of them.

import { backend } from "./backend.js";
import { openCamera } from "./camera.js";
import { showCard } from "./card.js";
import { byId, el } from "./dom.js";
import { FilmSheet } from "./film.js";
import { PictureSheet } from "./pictures.js";
import { texts } from "./texts.js";

const state = { models: [], sheets: [] };

/** What is asked of the model now. */
export const asked = () => ({
  models: [byId("first").value, byId("second").value].filter(Boolean).map((name) => state.models.find((m) => m.name === name)),
  faces: byId("crops").checked ? "none" : "default",
  sure: byId("sure").value / 100,
});

export function say(words, bad = false) {
  byId("say").textContent = words;
  byId("say").classList.toggle("bad", bad);
}

async function start() {
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", texts[element.dataset.label]);
  byId("promise").textContent = texts.promise[backend.place];
  listen();
  say(texts.loading);
  await loadModels();
}

async function loadModels() {
  try {
    const { mien, models } = await backend.models();
    state.models = models;
    byId("where").textContent = texts.where[backend.place](mien);
  } catch (error) {
    if (error.status === 401) return askForKey();
    return say(error.message, true);
  }
  byId("first").replaceChildren(...state.models.map(({ name }) => el("option", { value: name, textContent: name })));
  byId("second").replaceChildren(
    el("option", { value: "", textContent: texts.nothing }),
    ...state.models.map(({ name }) => el("option", { value: name, textContent: name })),
  );
  byId("second").closest("p").hidden = state.models.length < 2;
  document.body.dataset.ready = "yes";
  return say(texts.ready);
}

function askForKey() {
  say(texts.keyAsked, true);
  const given = el("input", { type: "password", autocomplete: "off", id: "key", ariaLabel: texts.key, placeholder: texts.key });
  const use = (event) => {
    event.preventDefault();
    backend.key = given.value;
    asking.remove();
    loadModels();
  };
  const asking = el("form", { className: "sheet asks", onsubmit: use }, given, el("button", { className: "button strong", textContent: texts.keySend }));
  byId("results").prepend(asking);
  given.focus();
}

function listen() {
  byId("files").addEventListener("change", (event) => {
    take([...event.target.files]);
    event.target.value = "";
  });
  byId("sample").addEventListener("click", async () => {
    const drawn = await (await fetch("sample.jpg")).blob();
    take([new File([drawn], texts.sampleName, { type: "image/jpeg" })]);
  });
  byId("camera").addEventListener("click", () => openCamera({ asked, say }));
  byId("about").addEventListener("click", () => showCard(asked().models));
  byId("limits").addEventListener("click", () => showCard(asked().models));
  byId("settings").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["first", "second", "crops"]) byId(id).addEventListener("change", () => state.sheets.forEach((sheet) => sheet.ask()));
  byId("sure").addEventListener("input", saySure);
  saySure();
  document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

function saySure() {
  byId("sure-said").textContent = texts.sureSaid(asked().sure);
  state.sheets.forEach((sheet) => sheet.show());
}

/** Files that were chosen, dropped or pasted: each gets a sheet, the newest on top. */
async function take(files) {
  if (!files.length || !state.models.length) return;
  document.body.classList.add("has-results");
  for (const file of files) {
    const isVideo = file.type.startsWith("video/") || /\.(mp4|mov|m4v|webm|mkv|avi)$/i.test(file.name);
    const sheet = new (isVideo ? FilmSheet : PictureSheet)(file, { asked, say, remove });
    state.sheets.unshift(sheet);
    byId("results").prepend(sheet.element);
    sheet.ready = sheet.ask();
    if (!isVideo) await sheet.ready; // one after the other: a hundred pictures do not arrive at once
  }
}

function remove(sheet) {
  state.sheets = state.sheets.filter((other) => other !== sheet);
  sheet.close();
  sheet.element.remove();
  document.body.classList.toggle("has-results", state.sheets.length > 0);
  byId("stage").focus();
}

start();
