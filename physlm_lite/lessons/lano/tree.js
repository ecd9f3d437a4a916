// A sentence to walk along: which symbols of its tree are finished and which are open, and what the grammar allows next.
// Every probability was computed where the page was made; here it is only looked up.

// nodes: [level, symbol, start, end, tint], the root first. A node is open from its first token to the one before its last.
const openAt = (nodes, read) => nodes.filter(([, , start, end]) => start < read && read < end);
const finishedAt = (nodes, read) => nodes.filter(([, , , end]) => end <= read);

// Of what is finished, the largest pieces: those inside no other finished one.
function pieces(nodes, read) {
  const done = finishedAt(nodes, read);
  return done
    .filter(([level, , start, end]) => !done.some(([above, , from, to]) => above < level && from <= start && end <= to))
    .sort((a, b) => a[2] - b[2]);
}

const hundredths = (share) => (share > 0 && share < 0.005 ? "<0.01" : share.toFixed(2));

// data: {names, sentences: [{tokens, nodes, next}], sentence, read, goals: [{said, many}]}; next[i][j]: how likely name j comes
// after i tokens.
function view(data, width, memory) {
  const now = (memory.now ??= { sentence: data.sentence, read: data.read, found: new Set() });
  const told = h("div", { class: "told", role: "status" }),
    goals = h("ul", { class: "goals" });
  const change = (act) => (act(), draw());
  const of = () => data.sentences[now.sentence];
  const most = Math.max(...data.sentences.map(({ tokens }) => tokens.length));
  const panel = treePanel(data, most, Math.min(width, width > 700 ? width - 190 : width), of, (read) => change(() => (now.read = read)));
  const bars = picture(166, 34 + 34 * data.names.length, "", []);
  const which = slider(
    "sentence",
    { min: 1, max: data.sentences.length, value: now.sentence + 1 },
    (v) => change(() => ((now.sentence = v - 1), (now.read = Math.min(now.read, of().tokens.length)))),
  );

  function draw() {
    const { tokens, nodes, next } = of(),
      read = now.read,
      here = next[read];
    panel.draw(read);
    drawBars(bars, data.names, here, read < tokens.length ? data.names.indexOf(String(tokens[read])) : 0);
    const open = openAt(nodes, read).map(([, symbol]) => symbol),
      allowed = data.names.filter((_, j) => here[j] > 0);
    const done = pieces(nodes, read).map(([, symbol]) => symbol);
    now.found.add(allowed.length);
    told.replaceChildren(
      h("p", {}, h("strong", {}, "open, from the root down: "), open.join(" › ") || (read ? "nothing, the sentence is whole" : "nothing yet")),
      h("p", {}, h("strong", {}, "finished: "), done.join(" ") || "nothing yet"),
      h("p", {}, h("strong", {}, "next: "), data.names.map((name, j) => here[j] > 0 && `${name} with ${hundredths(here[j])}`).filter(Boolean).join(", ")),
    );
    goals.replaceChildren(
      ...data.goals.map(({ said, many }) => {
        const met = now.found.has(many);
        return h("li", { class: met ? "met" : "" }, h("b", {}, met ? "✓" : "○"), said, allowed.length === many && " Here is one.");
      }),
    );
  }
  draw();
  return h(
    "section",
    { "aria-label": "a walk along a sentence" },
    h("div", { class: "dials" }, which.field, h("span", { class: "muted" }, "Drag along the sentence.")),
    h("div", { class: "pair" }, panel.svg, bars),
    told,
    goals,
  );
}

function treePanel({ names, sentences }, most, width, of, set) {
  const left = 40,
    step = (width - left - 4) / (most + 1),
    rise = 46;
  const depth = Math.max(...sentences[0].nodes.map(([level]) => level));
  const foot = 20 + rise * depth, // where the tokens stand
    strip = foot + 44,
    cell = 21;
  const height = strip + cell * names.length + 22;
  const at = (i) => left + step * (i + 0.5);
  const cursor = handle("tokens read", { min: 0, max: most }, (read) => set(Math.min(read, of().tokens.length))),
    drawn = s("g"),
    svg = picture(width, height, "", [drawn, cursor.node]);
  svg.setAttribute("role", "group");
  follow(svg, () => (x) => set(stepped((x - left) / step, 0, of().tokens.length)), true);
  const half = Math.min(15, step / 2 - 2);
  function draw(read) {
    const { nodes, next, tokens } = of(),
      open = new Set(openAt(nodes, read)),
      shapes = [],
      y = (level) => 20 + rise * level,
      x = ([, , start, end]) => at((start + end - 1) / 2);
    for (const node of nodes) {
      const above = nodes.findLast(([level, , start, end]) => level === node[0] - 1 && start <= node[2] && node[3] <= end);
      if (above) shapes.push(line(x(above), y(above[0]), x(node), y(node[0]), open.has(node) && open.has(above) ? "stroke c1" : "link"));
    }
    for (const node of nodes) {
      const [level, symbol, start, end, tint] = node,
        look = { x: x(node) - half, y: y(level) - 12, width: 2 * half, height: 24, rx: 6 };
      const state = end <= read ? "finished" : start < read ? "open" : "to come";
      shapes.push(s("rect", { ...look, class: "paper" }));
      if (state === "finished") shapes.push(s("rect", { ...look, class: `fill c${tint}`, "fill-opacity": 0.28 }));
      shapes.push(s("rect", { ...look, class: `stroke ${state === "open" ? "c1" : "lane"}`, "stroke-width": state === "open" ? 3 : 1 }));
      shapes.push(text(x(node), y(level) + 4.5, symbol, state === "to come" ? "tick" : state === "open" ? "strong" : "", "middle"));
    }
    names.forEach((name, j) => shapes.push(text(left - 6, strip + cell * j + 15, name, "", "end")));
    next.forEach((row, i) =>
      row.forEach((share, j) => {
        const look = { x: at(i) - step / 2 + 1, y: strip + cell * j, width: step - 2, height: cell - 2 };
        shapes.push(s("rect", { ...look, class: "plate" }), share > 0 && s("rect", { ...look, class: "fill c0", "fill-opacity": 0.15 + 0.85 * share }));
      }),
    );
    shapes.push(text(left, height - 6, "dark: likely next, given what stands before", "tick"));
    drawn.replaceChildren(...shapes.filter(Boolean));
    const edge = at(read) - step / 2;
    const column = { x: edge, y: strip - 2, width: step, height: cell * names.length + 2, class: "stroke c4", "stroke-width": 2.5 };
    cursor.show(
      read,
      `${read} of ${tokens.length}`,
      line(edge, 2, edge, strip - 14, "stroke c4"),
      s("circle", { cx: edge, cy: strip - 14, r: 8, class: "knob c4" }),
      s("rect", column),
    );
    svg.setAttribute("aria-label", `a parse tree over ${tokens.join(" ")}, ${read} tokens read`);
  }
  return { svg, draw };
}

function drawBars(svg, names, shares, came) {
  const shapes = [text(0, 12, "next symbol", "title")];
  names.forEach((name, j) => {
    const y = 30 + 34 * j,
      full = 92;
    shapes.push(text(30, y + 15, name, "", "end"), s("rect", { x: 36, y, width: full, height: 22, class: "plate" }));
    shapes.push(s("rect", { x: 36, y, width: full * shares[j], height: 22, class: `fill ${j === came ? "c1" : "c0"}` }));
    shapes.push(text(36 + full + 6, y + 15, hundredths(shares[j]), j === came ? "strong" : ""));
  });
  shapes.push(text(36, 34 + 34 * names.length - 4, "orange: what came", "tick"));
  svg.replaceChildren(...shapes);
  svg.setAttribute("aria-label", names.map((name, j) => `${name}: ${hundredths(shares[j])}`).join(", "));
}
