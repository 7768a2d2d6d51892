/* Alternatives of a turn. What a new answer replaces is kept: the turn that takes its place has
`forks`, {at, tails}: its own position among the alternatives, and the turns of all the others from
this place on. The turns in a tail have forks of their own. Below a row with alternatives one can
switch between them. */
(() => {
  "use strict";
  const MAX_TAILS = 24;
  const { say, chats } = window.r1;

  function forksOf(turn) {
    const forks = turn && turn.forks;
    if (!forks || !Array.isArray(forks.tails)) return { at: 0, tails: [] };
    const tails = forks.tails.filter((tail) => Array.isArray(tail) && tail.length);
    return { at: Math.min(Math.max(Number(forks.at) || 0, 0), tails.length), tails };
  }
  function without({ forks, ...turn }) { return turn; }
  function hasText(turn) { return Boolean(turn && (turn.role === "user" || turn.content || turn.thinking)); }

  /* The turns of a chat when a part of an answer has come; `mark` names the answer. */
  function joined(chat, part, mark) {
    const before = chat.turns.slice(0, part.place);
    const tail = chat.turns.slice(part.place);
    if (!part.turns.length) return before;
    const [first, ...others] = part.turns;
    let { at, tails } = forksOf(tail[0]);
    if (chat.mark !== mark && !part.extends && hasText(tail[0])) {
      tails = [...tails.slice(0, at), [without(tail[0]), ...tail.slice(1)], ...tails.slice(at)];
      at = tails.length;
      if (tails.length > MAX_TAILS) { tails = tails.slice(1); at -= 1; }
    }
    chat.mark = mark;
    return [...before, tails.length ? { ...first, forks: { at, tails } } : first, ...others];
  }
  function switchTo(place, at) {
    const chat = chats.now();
    const forks = forksOf(chat.turns[place]);
    if (window.r1.isBusy() || at < 0 || at > forks.tails.length || at === forks.at) return;
    const [first, ...others] = chat.turns.slice(place);
    const all = [...forks.tails.slice(0, forks.at), [without(first), ...others],
      ...forks.tails.slice(forks.at)];
    const [[chosen, ...rest]] = all.splice(at, 1);
    chat.turns = [...chat.turns.slice(0, place), { ...chosen, forks: { at, tails: all } }, ...rest];
    chats.write(chat);
    chats.click("r1-reshow");
  }

  /* A row of the chat shows turns of one role that follow each other: places of the first of each. */
  function rows() {
    const { turns } = chats.now();
    return turns.map((_, place) => place)
      .filter((place) => place === 0 || turns[place].role !== turns[place - 1].role);
  }
  function button(name, text, isOff, click) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", say(name));
    made.disabled = isOff;
    made.addEventListener("click", click);
    return made;
  }
  function bar(place, forks) {
    const made = document.createElement("div");
    made.className = "r1-branches";
    made.setAttribute("role", "group");
    made.setAttribute("aria-label", say("alternatives"));
    const where = document.createElement("span");
    where.textContent = `${forks.at + 1}/${forks.tails.length + 1}`;
    made.append(
      button("earlier", "‹", forks.at === 0, () => go(place, forks.at - 1, "earlier")),
      where,
      button("later", "›", forks.at === forks.tails.length, () => go(place, forks.at + 1, "later")),
    );
    return made;
  }
  let focused = null; // the place and the name of the button that was pressed
  function go(place, at, name) {
    focused = [place, name];
    switchTo(place, at);
  }
  function draw() {
    const chat = chats.now();
    const found = document.querySelectorAll("#r1-chat .message-row");
    rows().forEach((place, i) => {
      const row = found[i];
      if (!row) return;
      const forks = forksOf(chat.turns[place]);
      const state = forks.tails.length ? `${chat.id} ${place} ${forks.at}/${forks.tails.length} ${say("later")}` : "";
      let old = row.querySelector(":scope > .r1-branches");
      if ((old ? old.dataset.state : "") === state) return;
      if (old) old.remove();
      if (!state) return;
      const made = bar(place, forks);
      made.dataset.state = state;
      row.append(made);
      if (focused && focused[0] === place) {
        const [first, last] = made.querySelectorAll("button");
        const wished = focused[1] === "earlier" ? first : last;
        (wished.disabled ? (wished === first ? last : first) : wished).focus();
        focused = null;
      }
    });
    for (let i = rows().length; i < found.length; i += 1) {
      found[i].querySelector(":scope > .r1-branches")?.remove();
    }
  }
  new MutationObserver(draw).observe(document, { subtree: true, childList: true });
  window.addEventListener("r1-speaks", draw);
  window.r1.joined = joined;
})();
