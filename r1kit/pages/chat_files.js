/* All chats of this browser as one JSON file, and chats from such a file. This script runs last: it
starts the page.

The file is {format: "r1kit-chats", version: 1, chats}; a list of turns, which "Export JSON" writes,
is read too. Whatever else the file says is left out, and Python checks every turn again. */
(() => {
  "use strict";
  const FORMAT = "r1kit-chats";
  const MAX_BYTES = 50 * 1024 * 1024;
  const MAX_ID_CHARS = 64;
  const TEXTS = ["role", "content", "thinking", "state", "error", "model"];
  const NUMBERS = ["seconds", "total_s", "n_tokens", "n_thinking"];
  const { say, chats } = window.r1;

  function all() {
    const ids = [...chats.index].filter(([, one]) => !one.deleted).map(([id]) => id);
    return ids.map(chats.read).filter(Boolean).map(({ tab, mark, deleted, ...chat }) => chat);
  }
  function save() {
    const text = JSON.stringify({ format: FORMAT, version: 1, chats: all() }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `r1kit-chats-${new Date().toISOString().slice(0, 10)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function turn(data, depth) {
    if (!data || !["user", "assistant"].includes(data.role)) return null;
    const kept = {};
    for (const name of TEXTS) if (typeof data[name] === "string") kept[name] = data[name];
    for (const name of NUMBERS) if (Number.isFinite(data[name])) kept[name] = data[name];
    if (data.cut === true) kept.cut = true;
    if (data.options && typeof data.options === "object") kept.options = data.options;
    if (data.forks && Array.isArray(data.forks.tails) && depth < 50) {
      const tails = data.forks.tails.map((tail) => turns(tail, depth + 1)).filter((tail) => tail.length);
      if (tails.length) kept.forks = { at: Number(data.forks.at) || 0, tails };
    }
    return kept;
  }
  function turns(data, depth = 0) {
    return (Array.isArray(data) ? data : []).map((one) => turn(one, depth)).filter(Boolean);
  }
  function chat(data) {
    const kept = { id: "", asked: Date.now(), updated: 0, turns: turns(data && data.turns) };
    if (!kept.turns.length) return null;
    if (typeof data.id === "string" && data.id.length <= MAX_ID_CHARS) kept.id = data.id;
    if (Number.isFinite(data.asked)) kept.asked = Math.min(data.asked, Date.now());
    if (typeof data.name === "string") kept.name = data.name.slice(0, 120);
    if (data.options && typeof data.options === "object") kept.options = data.options;
    return kept;
  }
  function chatsIn(text) {
    let data;
    try { data = JSON.parse(text); } catch { return []; }
    if (Array.isArray(data)) return [chat({ turns: data })].filter(Boolean);
    const isOurs = data && data.format === FORMAT && Array.isArray(data.chats);
    return isOurs ? data.chats.map(chat).filter(Boolean) : [];
  }
  function isSame(one, other) { return JSON.stringify(turns(one.turns)) === JSON.stringify(turns(other.turns)); }
  function take(text) { // a chat that is here already is not taken again; another of its id is a copy
    const found = chatsIn(text);
    let n = 0;
    for (const one of found) {
      const old = one.id && chats.read(one.id);
      if (old && !old.deleted && isSame(old, one)) continue;
      if (!one.id || old) one.id = chats.unique();
      chats.write(one);
      n += 1;
    }
    chats.relist();
    if (!found.length) chats.tell(say("unreadable"));
    else chats.tell(say("imported", n, found.length - n));
  }

  function draw() {
    const place = document.querySelector(".r1-place[data-place=files]");
    if (!place) return;
    const file = document.createElement("input");
    file.type = "file";
    file.accept = ".json,application/json";
    file.hidden = true;
    file.addEventListener("change", async () => {
      const [one] = file.files;
      file.value = "";
      if (one) take(one.size > MAX_BYTES ? "" : await one.text());
    });
    const button = (id, name, click) => {
      const made = document.createElement("button");
      Object.assign(made, { type: "button", id, className: "r1-button", textContent: say(name) });
      made.addEventListener("click", click);
      return made;
    };
    place.replaceChildren(button("r1-export-all", "export_all", save),
      button("r1-import", "import", () => file.click()), file);
  }
  new MutationObserver(() => {
    if (document.querySelector(".r1-place[data-place=files]:empty")) draw();
  }).observe(document, { subtree: true, childList: true });
  window.addEventListener("r1-speaks", draw);
  window.r1.start();
})();
