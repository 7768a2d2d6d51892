/* The list of chats in the sidebar, the search in all of them, their addresses, and the keys.

A chat has the address `#chat=ID`, which works in the browser that keeps the chat. */
(() => {
  "use strict";
  const ADDRESS = "#chat=";
  const MAX_FOUND = 50;
  const EXCERPT_CHARS = 70;
  const { say, chats } = window.r1;
  let renamed = null; // the id of the chat whose name is being edited
  let isAddressed = false; // whether the open chat is in the address already

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  function sorted() {
    const there = [...chats.index].filter(([, one]) => !one.deleted);
    return there.sort(([, a], [, b]) => b.asked - a.asked);
  }

  /* The address. */
  function addressed() {
    const { hash } = window.location;
    try {
      return hash.startsWith(ADDRESS) ? decodeURIComponent(hash.slice(ADDRESS.length)) : "";
    } catch { return ""; }
  }
  function address(id) { return `${ADDRESS}${encodeURIComponent(id)}`; }
  function write(isNew) {
    const { id, turns } = chats.now();
    const { pathname, search, hash } = window.location;
    const wished = turns.length ? address(id) : "";
    if (hash === wished) return;
    const method = isNew ? "pushState" : "replaceState";
    window.history[method](window.history.state, "", `${pathname}${search}${wished}`);
  }
  function follow() { // back, forward, or an address that was typed
    const id = addressed();
    if (id === chats.now().id) return;
    if (!id) { window.r1.fresh(); chats.click("r1-reshow"); } else if (!chats.turnToId(id)) chats.tell(say("unknown"));
  }
  window.addEventListener("popstate", follow);
  window.addEventListener("hashchange", follow);

  /* The list. */
  function link(id, title) {
    const made = element("a", { href: address(id), title }, title);
    if (id === chats.now().id) made.setAttribute("aria-current", "page");
    made.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // in a tab of its own
      event.preventDefault();
      chats.turnToId(id);
    });
    made.addEventListener("keydown", (event) => { if (event.key === "F2") rename(id); });
    made.addEventListener("dblclick", () => rename(id));
    return made;
  }
  function nameBox(id, title) {
    const box = element("input", { type: "text", "aria-label": say("name"), maxlength: "120" });
    box.value = chats.read(id)?.name || title;
    let isOver = false;
    const end = (isKept) => {
      if (isOver) return;
      isOver = true;
      renamed = null;
      const chat = id === chats.now().id ? chats.now() : chats.read(id);
      const name = box.value.split(/\s+/).join(" ").trim();
      if (isKept && chat && name !== (chat.name || title)) {
        if (name) chat.name = name; else delete chat.name;
        chats.write(chat);
      }
      draw();
      document.querySelector(`#r1-chats a[href="${address(id)}"]`)?.focus();
    };
    box.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.stopPropagation();
      end(event.key === "Enter");
    });
    box.addEventListener("blur", () => end(true));
    return box;
  }
  function rename(id) {
    if (!chats.index.has(id)) return;
    renamed = id;
    draw();
    const box = document.querySelector("#r1-chats input");
    box?.focus();
    box?.select();
  }
  function draw() {
    const place = document.querySelector(".r1-place[data-place=chats]");
    if (!place) return;
    if (renamed && place.querySelector("input")) return; // the list waits until the name is there
    const searches = element("button", { type: "button", id: "r1-search", class: "r1-quiet" },
      say("search"), element("kbd", {}, /Mac|iP/.test(navigator.platform) ? "⌘K" : "Ctrl K"));
    searches.addEventListener("click", search);
    const list = element("ul", { "aria-label": say("history") });
    for (const [id, { title }] of sorted()) {
      list.append(element("li", {}, id === renamed ? nameBox(id, title) : link(id, title)));
    }
    const names = element("button", { type: "button", id: "r1-rename", class: "r1-quiet" }, say("rename"));
    names.hidden = !chats.index.has(chats.now().id);
    names.addEventListener("click", () => rename(chats.now().id));
    const hadFocus = place.contains(document.activeElement) && document.activeElement.id;
    place.replaceChildren(searches, element("p", {}, say("history")), list, names);
    if (hadFocus) document.getElementById(hadFocus)?.focus();
  }
  window.addEventListener("r1-listed", () => { write(isAddressed); isAddressed = true; draw(); });
  window.addEventListener("r1-speaks", draw);
  window.addEventListener("r1-opened", () => { if (isAddressed) write(true); draw(); });

  /* The search, in names and texts. */
  function found(words) {
    const wished = words.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const result = [];
    for (const [id, { title }] of sorted()) {
      if (result.length === MAX_FOUND) break;
      const texts = wished.length ? [title, ...(chats.read(id)?.turns ?? []).map((turn) => String(turn.content ?? ""))] : [title];
      const has = texts.map((text) => text.toLocaleLowerCase());
      if (!wished.every((word) => has.some((text) => text.includes(word)))) continue;
      const at = wished.length ? has.findIndex((text, i) => i > 0 && text.includes(wished[0])) : -1;
      result.push({ id, title, excerpt: at < 0 ? "" : excerpt(texts[at], has[at].indexOf(wished[0])) });
    }
    return result;
  }
  function excerpt(text, at) {
    const start = Math.max(0, at - EXCERPT_CHARS / 2);
    const part = text.slice(start, start + EXCERPT_CHARS).split(/\s+/).join(" ").trim();
    return `${start ? "…" : ""}${part}${start + EXCERPT_CHARS < text.length ? "…" : ""}`;
  }
  function dialog() {
    const made = element("dialog", { id: "r1-finder", "aria-label": say("search") });
    const box = element("input", {
      type: "text", role: "combobox", "aria-expanded": "true", "aria-controls": "r1-found",
      "aria-autocomplete": "list", "aria-label": say("search"), placeholder: say("search_hint"),
      autocomplete: "off",
    });
    const list = element("ul", { id: "r1-found", role: "listbox", "aria-label": say("history") });
    const told = element("p", { role: "status" });
    let chosen = 0;
    const choose = (place) => {
      const all = [...list.children];
      chosen = Math.min(Math.max(place, 0), all.length - 1);
      all.forEach((one, i) => one.setAttribute("aria-selected", String(i === chosen)));
      box.setAttribute("aria-activedescendant", all[chosen].id);
      all[chosen].scrollIntoView({ block: "nearest" });
    };
    const take = (place) => { made.close(); list.children[place]?.r1take(); };
    const fill = () => {
      const all = found(box.value);
      const entries = all.map(({ id, title, excerpt: part }) => {
        const one = element("li", {}, element("span", {}, title));
        if (part) one.append(element("small", {}, part));
        one.r1take = () => chats.turnToId(id);
        return one;
      });
      const fresh = element("li", { class: "r1-fresh" }, say("new"));
      fresh.r1take = () => { chats.click("r1-new"); document.querySelector("#r1-ask textarea")?.focus(); };
      list.replaceChildren(...(box.value.trim() ? [...entries, fresh] : [fresh, ...entries]));
      [...list.children].forEach((one, i) => {
        one.id = `r1-found-${i}`;
        one.setAttribute("role", "option");
        one.addEventListener("click", () => take(i));
      });
      told.textContent = box.value.trim() && !all.length ? say("nothing") : "";
      choose(0);
    };
    box.addEventListener("input", fill);
    box.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) { event.preventDefault(); choose(chosen + step); }
      if (event.key === "Enter") { event.preventDefault(); take(chosen); }
    });
    made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
    made.addEventListener("close", () => made.remove());
    made.append(box, told, list);
    document.querySelector(".gradio-container").append(made);
    fill();
    return made;
  }
  function search() {
    if (!document.getElementById("r1-finder")) dialog().showModal();
  }

  /* Keys. Escape belongs to what is open: a dialog, a menu, a text that is being edited or composed. */
  function isTaken(target) {
    return document.querySelector("dialog[open]")
      || target.closest?.("textarea.edit-textarea, [role=listbox], #r1-chats, [aria-expanded=true][role=listbox]")
      || target.matches?.("#r1-model input, #r1-language input");
  }
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const isSearch = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey
      && event.key.toLowerCase() === "k";
    if (isSearch) {
      event.preventDefault();
      const open = document.getElementById("r1-finder");
      if (open) open.close(); else search();
    } else if (event.key === "Escape" && !event.defaultPrevented && !isTaken(event.target)) {
      for (const id of ["r1-stop", "r1-compare-stop"]) {
        if (document.getElementById(id)?.checkVisibility()) chats.click(id);
      }
    }
  });
  Object.assign(window.r1, { addressed });
})();
