/* What gradio's page lacks: the reader's language in its own labels, names and states of its controls
   for screen readers, and copying and editing the text as it was written. It runs before gradio. */
(() => {
  "use strict";
  const LABELS = {};  // filled in by script.py: language -> gradio's English -> ours
  const ATTRIBUTES = ["aria-label", "title", "placeholder"];
  const TEXTS = ".toast-title, .toast-text, .toast-message-text, .paginate";
  let language = "en";

  // gradio takes its language from the browser; here the reader chooses it, so gradio always has English.
  Object.defineProperty(navigator, "language", { get: () => "en" });
  Object.defineProperty(navigator, "languages", { get: () => ["en"] });

  const label = (english) => LABELS[language][english] ?? LABELS.en[english] ?? english;
  const set = (element, name, value) => {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };

  const known = new WeakMap();  // element -> name -> [gradio's English, what we wrote]
  function translate(element, name, read, write) {
    const said = known.get(element) ?? {};
    const now = read();
    const english = said[name]?.[1] === now ? said[name][0] : now;
    said[name] = [english, label(english)];
    known.set(element, said);
    if (said[name][1] !== now) write(said[name][1]);
    return english;
  }
  function translateAttribute(element, name) {
    return translate(element, name, () => element.getAttribute(name), (text) => set(element, name, text));
  }

  /* A message: gradio puts its whole text into aria-label, where no such label may be. */
  function nameMessage(message) {
    const said = message.getAttribute("aria-label") ?? "";
    if (/^(user|bot)'s message: /.test(said)) message.dataset.isEmpty = said.endsWith("'s message: ");
    set(message, "role", "group");
    set(message, "aria-label", label(message.dataset.testid === "user" ? "Question" : "Answer"));
    for (const title of message.querySelectorAll(".thought-group > .title")) {
      const folds = message.dataset.isEmpty !== "true";
      set(title, "role", folds ? "button" : null);
      set(title, "tabindex", folds ? "0" : null);
      set(title, "aria-expanded", folds ? String(title.classList.contains("expanded")) : null);
    }
  }

  function nameAll() {
    for (const message of document.querySelectorAll(".r1-chat [data-testid]")) nameMessage(message);
    for (const examples of document.querySelectorAll(".r1-chat .examples")) {
      set(examples, "role", "group");
      set(examples, "aria-label", label("Examples"));
      for (const example of examples.children) set(example, "aria-label", null);
    }
    for (const button of document.querySelectorAll("button.submit-button")) {
      if (!button.hasAttribute("aria-label")) set(button, "aria-label", "Send");
    }
    for (const box of document.querySelectorAll("textarea.edit-textarea")) editAsWritten(box);
    for (const name of ATTRIBUTES) {
      for (const element of document.querySelectorAll(`[${name}]`)) translateAttribute(element, name);
    }
    for (const place of document.querySelectorAll(TEXTS)) {
      for (const node of place.childNodes) {
        if (node.nodeType === Node.TEXT_NODE) {
          translate(node, "data", () => node.data.trim(), (text) => { node.data = `${text} `; });
        }
      }
    }
  }

  /* What was written in a row of a chat: the page keeps it beside the chat, out of sight. */
  function written(row) {
    const chat = row.closest(".r1-chat");
    const texts = document.querySelector(`#${chat.id}-said textarea`)?.value.split("\x1e") ?? [];
    return texts[[...chat.querySelectorAll(".message-row")].indexOf(row)];
  }

  function editAsWritten(box) {
    if (box.dataset.isSet) return;
    box.dataset.isSet = "yes";
    set(box, "aria-label", "Edit");
    const text = written(box.closest(".message-row"));
    if (text === undefined) return;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }

  if (!navigator.clipboard) {  // a page that came over plain HTTP has none
    const writeText = async (text) => {
      const box = document.body.appendChild(document.createElement("textarea"));
      box.value = text;
      box.select();
      document.execCommand("copy");
      box.remove();
    };
    Object.defineProperty(navigator, "clipboard", { value: { writeText } });
  }
  const copy = navigator.clipboard.writeText.bind(navigator.clipboard);
  let instead;  // of what gradio is about to copy: thinking, numbers and answer in one
  navigator.clipboard.writeText = (text) => copy(instead ?? text);
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.(".r1-chat .message-buttons")?.previousElementSibling;
    instead = row ? written(row) : undefined;
    setTimeout(() => { instead = undefined; });
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || !event.target.matches?.(".thought-group > .title[role=button]")) return;
    event.preventDefault();
    event.target.click();
  });

  window.r1 = {
    speak(chosen) {
      language = chosen in LABELS ? chosen : "en";
      document.documentElement.lang = { zh: "zh-CN" }[language] ?? language;
      nameAll();
      window.r1.language = language;
      window.dispatchEvent(new Event("r1-speaks"));
    },
  };
  new MutationObserver(nameAll).observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: [...ATTRIBUTES, "class"],
  });
})();
