/* The settings of an answer: sampling, system prompt and thinking budget, drawn by this script.

They belong to a chat: it keeps those of its last question (chats.js), and a new chat begins with
those on the screen. Python (options.py) checks them. An empty field is the server's default. */
(() => {
  "use strict";
  const KEPT = "r1-answers";
  const FIELDS = [ // name, least, most, step
    ["temperature", 0, 2, 0.05], ["top_p", 0, 1, 0.01], ["max_tokens", 1, 2147483647, 1],
    ["seed", -9007199254740991, 9007199254740991, 1],
  ];
  const BUDGETS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768];
  const { say, chats } = window.r1;
  let options = {};
  let isChosen = false; // by the reader, since the chat was opened

  function clean(data) {
    const kept = {};
    if (!data || typeof data !== "object") return kept;
    if (typeof data.system === "string" && data.system.trim()) kept.system = data.system;
    for (const [name, least, most] of [...FIELDS, ["budget", 1, 2147483647]]) {
      const value = data[name];
      if (typeof value === "number" && value >= least && value <= most) kept[name] = value;
    }
    return kept;
  }
  function read() {
    try { return JSON.parse(chats.load("localStorage", KEPT)); } catch { return null; }
  }
  function choose(name, value) {
    options = { ...options };
    if (value === undefined || value === "") delete options[name]; else options[name] = value;
    isChosen = true;
    chats.store("localStorage", KEPT, JSON.stringify(options));
    mark();
  }
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  /* The form in the sidebar. */
  function form() {
    const summary = element("summary", {}, say("answers"));
    const system = element("textarea", { id: "r1-system", rows: "3", maxlength: "20000" });
    system.value = options.system || "";
    system.addEventListener("input", () => choose("system", system.value.trim() && system.value));
    const box = element("details", {}, summary, labelled("system", system));
    for (const [name, least, most, step] of FIELDS) {
      const id = `r1-${name.replace("_", "-")}`;
      const input = element("input", {
        id, type: "number", min: least, max: most, step, placeholder: say("default"),
        inputmode: step < 1 ? "decimal" : "numeric",
      });
      if (options[name] !== undefined) input.value = options[name];
      input.addEventListener("input", () => {
        const isRight = input.value !== "" && input.checkValidity();
        const isBad = input.validity.badInput || (input.value !== "" && !isRight);
        if (isBad) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
        choose(name, isRight ? Number(input.value) : undefined);
      });
      box.append(labelled(name, input));
    }
    const reset = element("button", { type: "button", id: "r1-reset", class: "r1-quiet" }, say("reset"));
    reset.addEventListener("click", () => {
      for (const name of Object.keys(options)) choose(name, undefined);
      draw();
      document.querySelector("#r1-answers summary").focus();
    });
    box.append(reset);
    box.open = document.querySelector("#r1-answers details")?.open ?? false;
    return box;
  }
  function labelled(name, input) {
    return element("label", { for: input.id }, element("span", {}, say(name)), input);
  }

  /* The slider below the question, also in Compare. Its right end is no limit. */
  function slider() {
    const input = element("input", { type: "range", min: 0, max: BUDGETS.length, step: 1 });
    const value = element("output");
    const found = BUDGETS.findIndex((budget) => budget >= (options.budget ?? Infinity));
    input.value = found < 0 ? BUDGETS.length : found;
    const tell = () => {
      const budget = BUDGETS[input.value];
      value.textContent = budget ? say("tokens", budget) : say("unlimited");
      input.setAttribute("aria-valuetext", value.textContent);
    };
    input.addEventListener("input", () => {
      choose("budget", BUDGETS[input.value]);
      tell();
      draw(input.closest(".r1-place"));
    });
    tell();
    return element("label", {}, element("span", {}, say("budget")), input, value);
  }

  /* gradio makes the places anew when it shows or hides them. */
  const DRAWN = { answers: form, budget: slider };
  function draw(but) {
    for (const [name, make] of Object.entries(DRAWN)) {
      for (const place of document.querySelectorAll(`.r1-place[data-place=${name}]`)) {
        if (place !== but) place.replaceChildren(make());
      }
    }
    mark();
  }
  function mark() { // a dot says that something is not the default
    const { budget, ...others } = options;
    document.querySelector("#r1-answers details")?.classList
      .toggle("r1-changed", Object.keys(others).length > 0);
  }
  new MutationObserver(() => {
    for (const name of Object.keys(DRAWN)) {
      if (document.querySelector(`.r1-place[data-place=${name}]:empty`)) { draw(); return; }
    }
  }).observe(document, { subtree: true, childList: true });
  window.addEventListener("r1-speaks", () => draw());
  window.addEventListener("r1-opened", () => {
    const { turns, options: used } = chats.now();
    if (!turns.length && isChosen) return; // a new chat, with what is on the screen
    if (turns.length && used) options = clean(used);
    isChosen = false;
    draw();
  });
  options = clean(read());
  window.r1.options = () => options;
  window.r1.optionsText = () => JSON.stringify(options);
})();
