// Three ways to answer: a row of numbers, one of two, a slider for each clip.  Each gives { node, enable, marks, complete, press }.

import { button, el } from "./dom.js";

function range(lowest, highest) {
  return Array.from({ length: highest - lowest + 1 }, (_, i) => lowest + i);
}

// A question as a row of radio buttons, none of them chosen beforehand.
function row(question, values, labels, chosen, onChoose) {
  const inputs = values.map((value) =>
    el("input", { type: "radio", name: question.name, value: String(value), id: `${question.name}-${value}`,
      checked: chosen === value, onchange: () => onChoose(value) }));
  const buttons = inputs.map((input, i) =>
    el("span", { class: "option" }, input, el("label", { for: input.id }, labels[i])));
  const node = el(
    "fieldset",
    { class: "question", disabled: true },
    el("legend", {}, question.title),
    el("p", {}, question.text),
    el("div", { class: "row" }, ...buttons),
    el("div", { class: "ends", "aria-hidden": "true" }, el("span", {}, question.low), el("span", {}, question.high)),
  );
  inputs[0].setAttribute("aria-description", question.low);
  inputs.at(-1).setAttribute("aria-description", question.high);
  return { node, inputs };
}

export function ratings(study, clip, before, onChange) {
  const values = { ...before?.[clip] };
  const rows = study.questions.map((question) => {
    const numbers = range(question.lowest, question.highest);
    return row(question, numbers, numbers.map(String), values[question.name], (value) => set(question, value));
  });
  let last = 0;

  function set(question, value) {
    values[question.name] = value;
    last = study.questions.indexOf(question);
    onChange();
  }

  // Keys 1 to 9 and 0 for 10 answer the first question that is open; when none is, they change the last answer.
  function press(key) {
    if (!/^[0-9]$/.test(key)) return false;
    const open = study.questions.findIndex((question) => values[question.name] === undefined);
    const place = open >= 0 ? open : last;
    const value = key === "0" ? 10 : Number(key);
    const input = rows[place].inputs.find((candidate) => Number(candidate.value) === value);
    if (input === undefined || rows[place].node.disabled) return false;
    input.checked = true;
    set(study.questions[place], value);
    return true;
  }

  return {
    node: el("div", {}, ...rows.map(({ node }) => node)),
    enable: (on) => rows.forEach(({ node }) => (node.disabled = !on)),
    marks: () => ({ [clip]: values }),
    complete: () => study.questions.every((question) => values[question.name] !== undefined),
    press,
  };
}

export function preference(study, [first, second], before, onChange) {
  const question = study.questions[0];
  let chosen = before?.[first]?.[question.name];
  const labels = ["A", "no preference", "B"];
  const { node, inputs } = row(question, [2, 1, 0], labels, chosen, (value) => {
    chosen = value;
    onChange();
  });
  node.querySelector(".ends").remove();

  function press(key) {
    const place = ["a", "n", "b"].indexOf(key.toLowerCase());
    if (place < 0 || node.disabled) return false;
    inputs[place].checked = true;
    inputs[place].dispatchEvent(new Event("change"));
    return true;
  }

  return {
    node,
    enable: (on) => (node.disabled = !on),
    marks: () => ({ [first]: { [question.name]: chosen }, [second]: { [question.name]: 2 - chosen } }),
    complete: () => chosen !== undefined,
    press,
  };
}

// Sliders have no value until they are touched.
export function sliders(study, clips, names, before, choose, onChange) {
  const question = study.questions[0];
  const values = Object.fromEntries(clips.map((clip) => [clip, before?.[clip]?.[question.name]]));
  const inputs = clips.map((clip, i) => {
    const output = el("output", {}, values[clip] === undefined ? "–" : String(values[clip]));
    const touch = () => {
      values[clip] = Number(input.value);
      output.textContent = input.value;
      input.classList.remove("open");
      onChange();
    };
    const input = el("input", { type: "range", min: String(question.lowest), max: String(question.highest),
      value: String(values[clip] ?? 50), "aria-label": `${question.title}, clip ${names[i]}`,
      class: values[clip] === undefined ? "open" : "", oninput: touch, onpointerup: touch });
    const node = el("div", { class: "slider" }, button(names[i], () => choose(clip), { class: "choice" }), input, output);
    return { input, node };
  });
  const node = el(
    "fieldset",
    { class: "question", disabled: true },
    el("legend", {}, question.title),
    el("p", {}, question.text),
    el("div", { class: "ends inset", "aria-hidden": "true" }, el("span", {}, question.low), el("span", {}, question.high)),
    ...inputs.map((entry) => entry.node),
  );
  return {
    node,
    enable: (on) => (node.disabled = !on),
    marks: () => Object.fromEntries(clips.map((clip) => [clip, { [question.name]: values[clip] }])),
    complete: () => clips.every((clip) => values[clip] !== undefined),
    press: () => false,
  };
}
