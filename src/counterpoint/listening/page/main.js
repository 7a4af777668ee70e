// From consent to thanks, beginning where this browser has left off.

import { button, el, show } from "./dom.js";
import { Store } from "./store.js";
import { consent, examples, headphones, volume } from "./before.js";
import { runTrial } from "./trial.js";

const byId = (id) => document.getElementById(id);

function tellSaved(state) {
  const waiting = state.unsent.length;
  const text =
    waiting === 0 && Object.keys(state.answers).length === 0 ? ""
    : waiting === 0 ? "Your answers are saved."
    : `${waiting} of your answers are kept in this browser; the server does not answer. You can go on.`;
  if (byId("saved").textContent !== text) byId("saved").textContent = text; // else it would be read out again
}

function tellPlace(done, count) {
  byId("place").textContent = done < count ? `${done + 1} of ${count}` : "";
  byId("progress").hidden = false;
  byId("progress").max = count;
  byId("progress").value = done;
}

async function stage(store, name, run) {
  if (store.state.stage !== name[0]) return;
  await run();
  store.state.stage = name[1];
  store.save();
}

async function trials(study, store) {
  const order = study.orders[store.state.order].map((place) => study.trials[place]);
  for (const [i, trial] of order.entries()) {
    if (store.state.answers[trial.id] !== undefined) continue;
    tellPlace(i, order.length);
    store.add(await runTrial(study, store, trial, i + 1));
  }
  tellPlace(order.length, order.length);
  await store.flush();
}

function thanks(store) {
  const note = el("p", { role: "status" });
  const missing = (state) => state.unsent.length + state.refused.length > 0;
  const waiting = missing(store.state);
  store.onChange = (state) => {
    tellSaved(state);
    if (waiting && !missing(state)) thanks(store);
  };
  show(
    el("h1", {}, "Thank you!"),
    waiting
      ? el("p", { class: "instruction" }, "The server did not get all of your answers. Please download them here and send the file to the people who invited you.")
      : el("p", {}, "Your answers have arrived. You can close this page."),
    el("p", {}, "Your number is ", el("code", { id: "rater" }, store.state.rater), ". With it your answers can be withdrawn later, too."),
    el("p", { class: "forward" },
      button("Download my answers", () => download(store), { class: waiting ? "next" : "" }),
      button("Withdraw my answers", () => withdraw(store, note))),
    note,
  );
}

function download(store) {
  const file = new Blob([store.lines()], { type: "application/x-ndjson" });
  const link = el("a", { href: URL.createObjectURL(file), download: `answers-${store.state.rater.slice(0, 8)}.jsonl` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function withdraw(store, note) {
  if (!window.confirm("Withdraw all of your answers?")) return;
  const done = await store.withdraw();
  if (done) show(el("h1", {}, "Withdrawn"), el("p", {}, "Your answers do not count any more. Thank you all the same."));
  else note.textContent = "The server does not answer, so nothing was withdrawn. Try again later, or send your number to the people who invited you.";
}

async function main() {
  const response = await fetch("items.json");
  if (!response.ok) throw new Error(`items.json: ${response.status}`);
  const study = await response.json();
  document.title = study.title;
  byId("title").textContent = study.title;
  const store = new Store(study, tellSaved);
  const later = study.headphones.length > 0 ? "headphones" : "examples";
  window.addEventListener("online", () => store.flush());
  setInterval(() => store.flush(), 15000);
  await stage(store, ["consent", "volume"], async () => {
    await consent(study);
    await store.begin();
  });
  await stage(store, ["volume", later], () => volume(study));
  await stage(store, ["headphones", "examples"], () => headphones(study, store));
  await stage(store, ["examples", "trials"], () => examples(study));
  await stage(store, ["trials", "done"], () => trials(study, store));
  thanks(store);
}

main().catch((error) => show(el("h1", {}, "This test cannot be loaded"), el("p", {}, `${error.message}. Reload the page, or try later.`)));
