/* The chats of this browser, and how the page survives a server that goes away and comes back.

Each chat has its own key in localStorage, so two tabs never overwrite each other's chats. The open
conversation lives here, not on the server: a restarted server knows no session of the old one, and
needs none. Python (talk.py) gets the conversation with every question and returns the turns that
follow it, also while they are being written.

A chat is {id, asked, updated, tab, turns, name?, options?, deleted?}, with times in milliseconds;
`tab` is the tab that wrote it last. A turn has its alternatives in `forks` (branches.js). The other
scripts use `window.r1.chats`. */
(() => {
  "use strict";
  const WORDS = {}; // filled in by script.py: language → notice → text
  const PREFIX = "r1-chat-";
  const RESTORABLE_MS = 10 * 60 * 1000; // how long a deleted chat can be brought back
  const LIVE_MS = 5000; // an answer in another tab is saved every second; after this it is dead
  const CHECK_MS = 5000;
  const TOLD_MS = 8000;
  const TITLE_CHARS = 42;
  const MAX_TALK_CHARS = 800000; // the server takes bodies of 4 MB; a character has up to 3 bytes
  const DRAFTS = ["r1-ask", "r1-question"];

  const tab = unique();
  const unsaved = new Map(); // chats that the browser does not keep: its storage is full or disabled
  const index = new Map(); // id → {asked, deleted, title}
  let open = { id: unique(), asked: 0, updated: 0, turns: [] };
  let round = 0; // of questions; a late part of an earlier answer is recognised by it
  let nBusy = 0; // events that write an answer
  const queue = []; // questions that wait until the answer is written
  const sent = []; // questions that gradio has not fetched yet: a moment, or while the server is away
  let sentAt = 0;
  const onFree = [];
  let wishes = {}; // language and key, where the browser keeps nothing
  const notices = new Set();
  let lastTab = null;
  let isComposing = false;
  let liveTimer = null;
  let toldTimer = null;

  function unique() {
    return Date.now().toString(36) + Math.random().toString(36).slice(2, 10);
  }
  function load(storage, key) {
    try { return window[storage].getItem(key); } catch { return null; }
  }
  function store(storage, key, value) {
    try { window[storage].setItem(key, value); return true; } catch { return false; }
  }
  function drop(storage, key) {
    try { window[storage].removeItem(key); } catch { /* nothing was kept */ }
  }
  function parse(text) {
    try { return JSON.parse(text); } catch { return null; }
  }
  function wellFormed(text) { // half of a surrogate pair can be neither sent nor shown
    return text.replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g,
      (found) => (found.length === 2 ? found : "\ufffd"));
  }
  function keys() {
    try {
      return Object.keys(window.localStorage).filter((key) => key.startsWith(PREFIX));
    } catch { return []; }
  }

  /* One chat. */
  function asChat(text) {
    const chat = parse(text);
    if (!chat || typeof chat.id !== "string" || !Array.isArray(chat.turns)) return null;
    chat.turns = chat.turns.filter((turn) => turn && typeof turn === "object");
    return chat;
  }
  function read(id) {
    return unsaved.get(id) || asChat(load("localStorage", PREFIX + id));
  }
  function write(chat) {
    chat.updated = Date.now();
    chat.tab = tab;
    note(chat);
    const isKept = store("localStorage", PREFIX + chat.id, JSON.stringify(chat));
    if (isKept) unsaved.delete(chat.id); else unsaved.set(chat.id, chat);
    notice("unkept", unsaved.size > 0);
  }
  function note(chat) {
    const first = chat.turns.find((turn) => turn && turn.role === "user");
    const text = (typeof chat.name === "string" && chat.name) || (first && first.content) || "";
    const title = String(text).split(/\s+/).join(" ").trim();
    const short = Array.from(title).slice(0, TITLE_CHARS).join("") || "…";
    index.set(chat.id, { asked: chat.asked || 0, deleted: chat.deleted || 0, title: short });
  }
  function isUnfinished(chat) {
    const last = chat.turns[chat.turns.length - 1];
    return Boolean(last) && (last.role === "user" || ["thinking", "answering"].includes(last.state));
  }
  function isWrittenElsewhere(chat) {
    return isUnfinished(chat) && ![tab, lastTab].includes(chat.tab)
      && Date.now() - chat.updated < LIVE_MS;
  }
  function turnTo(chat) {
    const isOther = chat.id !== open.id;
    open = chat;
    store("sessionStorage", "r1-open", chat.id);
    if (isOther) window.dispatchEvent(new Event("r1-opened"));
  }
  function leave() { // an answer that is being written ends with its chat
    recall();
    const last = open.turns[open.turns.length - 1];
    if (nBusy && last && ["thinking", "answering"].includes(last.state)) {
      last.state = "stopped";
      write(open);
    }
  }

  /* What Python is given. */
  function talk() {
    const isLive = isWrittenElsewhere(open);
    let turns = open.turns.map(({ forks, ...turn }) => turn);
    let left = JSON.stringify(turns).length - MAX_TALK_CHARS;
    for (let i = 0; left > 0 && i < turns.length; i += 1) { // thinking is not asked again
      const thinking = turns[i].thinking || "";
      if (!thinking) continue;
      turns = turns.with ? turns.with(i, { ...turns[i], thinking: "" })
        : turns.map((turn, j) => (j === i ? { ...turn, thinking: "" } : turn));
      left -= thinking.length;
    }
    const options = window.r1.options();
    return JSON.stringify({ id: open.id, round, is_live: isLive, options, turns });
  }
  function begin() { // an answer will be written: this tab must be the only one that writes the chat
    const stored = read(open.id);
    if (stored && isWrittenElsewhere(stored)) turnTo({ ...open, id: unique() });
    else if (stored && !stored.deleted && stored.updated > open.updated) turnTo(stored);
    else turnTo(open);
    delete open.deleted;
    nBusy += 1;
    round += 1;
    open.asked = Date.now();
    open.options = window.r1.options();
    return talk();
  }
  function add(text) {
    begin();
    open.turns = [...open.turns, { role: "user", content: wellFormed(text) }];
    write(open);
    relist();
    return talk();
  }
  async function ask(text, ...rest) {
    const question = sent.length ? sent.shift() : String(text || "");
    const isNext = question.trim() && (await inTurn(question));
    showQueue();
    if (isNext) return [add(question), ...rest];
    nBusy += 1; // Python is asked nothing, which ends like an answer
    return ["", ...rest];
  }
  async function inTurn(question) { // false if it is taken back meanwhile
    if (!nBusy && !queue.length) return true;
    queue.push(question);
    showQueue();
    return new Promise((free) => onFree.push(free));
  }
  function recall() { // questions that wait go back into the box
    const texts = queue.splice(0);
    onFree.splice(0).forEach((free) => free(false));
    if (!texts.length) return;
    const box = document.querySelector("#r1-ask textarea");
    type("r1-ask", [...texts, box ? box.value : ""].filter(Boolean).join("\n"));
    showQueue();
  }
  function isBusy() { return nBusy > 0; }
  function free() {
    nBusy = Math.max(0, nBusy - 1);
    relist();
    if (nBusy || !onFree.length) return;
    onFree.shift()(true);
    queue.shift();
    showQueue();
  }
  function failed() {
    const last = open.turns[open.turns.length - 1];
    if (last && ["thinking", "answering"].includes(last.state)) {
      last.state = "interrupted";
      write(open);
    }
    free();
    return talk();
  }

  /* What Python returns: the turns from `place` on. */
  function keep(text) {
    const part = parse(text);
    if (!part || !Array.isArray(part.turns)) return;
    const isOpen = part.id === open.id;
    if (isOpen && part.round !== round) return;
    const chat = isOpen ? open : read(part.id);
    if (!chat || chat.deleted) return;
    chat.turns = window.r1.joined(chat, part, `${tab}:${part.round}`);
    if (chat.turns.length) write(chat); else remove(chat);
  }
  function remove(chat) {
    unsaved.delete(chat.id);
    index.delete(chat.id);
    drop("localStorage", PREFIX + chat.id);
  }

  /* The list. */
  function scan() {
    index.clear();
    for (const key of keys()) {
      const chat = asChat(load("localStorage", key));
      if (chat) note(chat);
    }
    for (const chat of unsaved.values()) note(chat);
  }
  function restorable() {
    const gone = [...index].filter(([, one]) => one.deleted);
    return gone.sort(([, a], [, b]) => b.deleted - a.deleted).map(([id]) => id)[0];
  }
  function list() {
    for (const [id, one] of index) {
      if (one.deleted && Date.now() - one.deleted > RESTORABLE_MS) remove({ id });
    }
    window.dispatchEvent(new Event("r1-listed"));
    return { __type__: "update", visible: restorable() !== undefined };
  }
  function fresh() {
    leave();
    turnTo({ id: unique(), asked: 0, updated: 0, turns: [] });
    return talk();
  }
  function turnToId(id) { // false if this browser does not have it
    const chat = read(id);
    if (!chat || chat.deleted) return false;
    leave();
    turnTo(chat);
    click("r1-reshow");
    return true;
  }
  function discard() {
    leave();
    if (open.turns.length) write({ ...open, deleted: Date.now() });
    relist();
    return fresh();
  }
  function restore() {
    const chat = read(restorable());
    if (chat) {
      leave();
      delete chat.deleted;
      write(chat);
      turnTo(chat);
    }
    relist();
    return talk();
  }

  /* Other tabs. */
  window.addEventListener("storage", (event) => {
    if (event.key === null) scan();
    else if (!event.key.startsWith(PREFIX)) return;
    else heardOf(event.key.slice(PREFIX.length), asChat(event.newValue));
    relist();
  });
  function heardOf(id, chat) {
    if (chat) note(chat); else index.delete(id);
    if (id !== open.id) return;
    if (!chat || chat.deleted) click("r1-new");
    else if (!nBusy) {
      open = chat;
      click("r1-reshow");
      clearTimeout(liveTimer);
      if (isUnfinished(chat)) liveTimer = setTimeout(() => click("r1-reshow"), LIVE_MS + 100);
    }
  }

  /* The page. */
  function element(id) { return document.getElementById(id); }
  function click(id) {
    const found = element(id);
    if (found) (found.matches("button") ? found : found.querySelector("button") || found).click();
  }
  function relist() { click("r1-relist"); }
  function type(id, text) {
    const box = document.querySelector(`#${id} textarea`);
    if (!box || box.value === text) return;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function send() { // at once, before gradio's own handler: one may go on typing
    const box = document.querySelector("#r1-ask textarea");
    if (!box || !box.value.trim()) return;
    sent.push(box.value);
    sentAt = Date.now();
    type("r1-ask", "");
    showQueue();
  }
  document.addEventListener("keydown", (event) => {
    const isEnter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
    if (isEnter && event.target.matches("#r1-ask textarea")) send();
  }, true);
  document.addEventListener("click", (event) => {
    if (event.target.closest("#r1-ask button")) send();
  }, true);
  function saveDraft(id, text) {
    const waiting = id === "r1-ask" ? [...queue, ...sent] : [];
    store("sessionStorage", `r1-draft-${id}`, [...waiting, text].filter(Boolean).join("\n"));
  }
  document.addEventListener("input", (event) => {
    const id = DRAFTS.find((one) => event.target.closest && event.target.closest(`#${one}`));
    if (id) saveDraft(id, event.target.value);
  });
  document.addEventListener("compositionstart", () => { isComposing = true; });
  document.addEventListener("compositionend", () => { isComposing = false; });
  window.addEventListener("pagehide", () => store("sessionStorage", "r1-left", tab));

  function say(name, ...values) {
    const text = (WORDS[window.r1.language] || WORDS.en)[name];
    return values.reduce((said, value, i) => said.replace(`{${i}}`, () => value), text);
  }
  function notice(name, isOn) {
    if (isOn) notices.add(name); else notices.delete(name);
    show("r1-notice", [...notices].map((one) => say(one)).join(" "));
  }
  function showQueue() {
    const box = document.querySelector("#r1-ask textarea");
    saveDraft("r1-ask", box ? box.value : "");
    show("r1-queue", [...queue, ...sent].map((text) => `${say("next")} ${text}`).join("\n"));
  }
  function tell(text) { // for a while
    show("r1-told", text);
    clearTimeout(toldTimer);
    toldTimer = setTimeout(() => show("r1-told", ""), TOLD_MS);
  }
  function show(id, text) { // not by gradio: it must also work while the server is away
    let box = element(id);
    if (!box && !text) return;
    if (!box) {
      box = document.createElement("div");
      box.id = id;
      box.setAttribute("role", "status");
      const composer = element("r1-composer");
      if (!composer) return;
      composer.prepend(box);
    }
    box.textContent = text;
    box.hidden = !text;
  }

  /* The server: is it there, and is it still the one that this page came from? */
  async function check() {
    let body = null;
    try {
      const response = await fetch("gradio_api/app_id", { cache: "no-store" });
      body = response.ok ? await response.json() : null;
    } catch { /* it is away */ }
    notice("away", body === null);
    const isOther = body && window.gradio_config && body.app_id !== window.gradio_config.app_id;
    const isSending = sent.length && Date.now() - sentAt < CHECK_MS;
    if (isOther && !isBusy() && !queue.length && !isSending && !isComposing) {
      window.location.reload();
    }
  }
  async function watch() {
    for (;;) {
      await new Promise((wake) => setTimeout(wake, CHECK_MS));
      await check();
    }
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) check(); });

  /* Settings, and the beginning. */
  function settings() {
    const kept = parse(load("localStorage", "r1-settings"));
    return kept && typeof kept === "object" ? kept : wishes;
  }
  function set(language, key) {
    wishes = { language, key };
    store("localStorage", "r1-settings", JSON.stringify(wishes));
  }
  function dark(isOther) { // as it was left, or the other way
    const kept = load("localStorage", "r1-dark");
    const wish = isOther ? !document.body.classList.contains("dark") : kept === "yes";
    if (isOther || kept) document.body.classList.toggle("dark", wish);
    if (isOther) store("localStorage", "r1-dark", wish ? "yes" : "no");
  }
  function start() {
    lastTab = load("sessionStorage", "r1-left");
    drop("sessionStorage", "r1-left");
    scan();
    const chat = read(window.r1.addressed() || load("sessionStorage", "r1-open"));
    if (chat && !chat.deleted) open = chat;
    window.dispatchEvent(new Event("r1-opened"));
    watch();
  }
  function arrive() {
    for (const id of DRAFTS) type(id, load("sessionStorage", `r1-draft-${id}`) || "");
    if (isWrittenElsewhere(open)) liveTimer = setTimeout(() => click("r1-reshow"), LIVE_MS + 100);
    notice("unkept", unsaved.size > 0);
    return list();
  }
  Object.assign(window.r1, {
    arrive, settings: () => JSON.stringify(settings()), set, dark, talk, begin, ask, keep, free,
    failed, isBusy, recall, list, fresh, discard, restore, say, start,
    chats: {
      read, write, index, unique, turnToId, click, relist, tell, notice, load, store,
      now: () => open,
    },
  });
})();
