// A graph of what depends on what: drag the question over it, write the answer vertex by vertex, and see who still waits for whom.

// parents[v]: those of vertex v. All that the answer must list: the query and whatever leads to it.
function neededFor(parents, query) {
  const found = [query];
  for (const vertex of found) for (const parent of parents[vertex]) if (!found.includes(parent)) found.push(parent);
  return found;
}

// What may be written next: all its parents are written, it is not.
function allowedNext(parents, needed, written) {
  return needed.filter((vertex) => !written.includes(vertex) && parents[vertex].every((parent) => written.includes(parent)));
}

// How many orders complete what is written.
function waysOn(parents, needed, written, known = new Map()) {
  const key = [...written].sort((a, b) => a - b).join();
  if (!known.has(key)) {
    const next = allowedNext(parents, needed, written);
    const ways = next.map((vertex) => waysOn(parents, needed, [...written, vertex], known));
    known.set(key, next.length ? ways.reduce((a, b) => a + b) : 1);
  }
  return known.get(key);
}

function parentsOf({ names, edges }) {
  const parents = names.map(() => []);
  for (const { parent, child } of edges) parents[child].push(parent);
  return parents;
}

const factorial = (n) => (n < 2 ? 1 : n * factorial(n - 1));

// data: {instances: [{names, places, edges: [{parent, child, way}], query, answer}], instance, goal}: vertices are numbers,
// places and ways in layers from left to right; the edges in the order of the text.
function view(data, width, memory) {
  const first = data.instances[data.instance];
  const now = (memory.now ??= { instance: data.instance, query: first.query, written: first.answer.slice(0, 1), only: false });
  const of = () => data.instances[now.instance];
  const change = (act) => (act(), draw());
  const ask = (query) => change(() => query !== now.query && ((now.query = query), (now.written = [])));
  const panel = graphPanel(data, Math.min(width, 660), of, ask);
  const told = h("div", { class: "told", role: "status" }),
    text = h("p", { class: "sequence", "aria-label": "what the model reads and writes" }),
    buttons = h("span", { class: "buttons" }),
    goals = h("ul", { class: "goals" });
  // Goes on as the answer in the text does, where it can; else with the first that may come.
  function write(count) {
    const parents = parentsOf(of()),
      needed = neededFor(parents, now.query);
    now.written = now.written.slice(0, count);
    while (now.written.length < Math.min(count, needed.length)) {
      const next = allowedNext(parents, needed, now.written);
      now.written.push(of().answer.find((vertex) => next.includes(vertex)) ?? next[0]);
    }
  }
  const longest = Math.max(...data.instances.map(({ names }) => names.length));
  const count = slider("written", { min: 0, max: longest, value: now.written.length }, (v) => change(() => write(v)));
  const pick = (v) => change(() => ((now.instance = v - 1), (now.query = of().query), (now.written = [])));
  const which = slider("graph", { min: 1, max: data.instances.length, value: now.instance + 1 }, pick);

  function draw() {
    const { names, edges } = of(),
      parents = parentsOf(of()),
      needed = neededFor(parents, now.query);
    const next = allowedNext(parents, needed, now.written),
      all = waysOn(parents, needed, []);
    panel.draw({ parents, needed, next, query: now.query, written: now.written });
    count.input.max = needed.length;
    count.set(now.written.length);
    const held = document.activeElement?.parentElement === buttons;
    buttons.replaceChildren(
      next.length ? "write next: " : "all is written. ",
      ...[...next].sort((a, b) => a - b).map((vertex) => press(names[vertex], () => change(() => now.written.push(vertex)), { class: "small" })),
      " ",
      now.written.length ? press("take back", () => change(() => now.written.pop()), { class: "small" }) : "",
    );
    if (held) (buttons.querySelector("button") ?? count.input).focus();
    const say = (list) => [...list].sort((a, b) => a - b).map((vertex) => names[vertex]).join(" ");
    const waiting = needed.filter((vertex) => !next.includes(vertex) && !now.written.includes(vertex));
    told.replaceChildren(
      h("p", {}, h("strong", {}, `${names[now.query]} depends on ${needed.length - 1} of ${names.length - 1}. `),
        `Pending, and blocked: ${say(waiting) || "none"}. May come next: ${say(next) || "only <eos>"}.`),
      h("p", {}, `Right answers: ${all.toLocaleString("en")} of ${needed.length}! = ${factorial(needed.length).toLocaleString("en")}; `,
        `from here, ${waysOn(parents, needed, now.written).toLocaleString("en")}.`),
    );
    const word = (said, look) => h("span", { class: look }, said);
    text.replaceChildren(
      word("<bos>", "special"),
      ...edges.map(({ parent, child }) => word(`${names[parent]} ${names[child]}`, needed.includes(child) ? "used" : "")),
      word("<query>", "special"), word(names[now.query], "asked"), word("<ans>", "special"),
      ...now.written.map((vertex) => word(names[vertex], "said")),
      next.length ? "" : word("<eos>", "special"),
    );
    now.only ||= all === 1 && needed.length >= data.goal;
    const said = `Find a question whose answer lists ${data.goal} vertices or more in only one right order.`;
    goals.replaceChildren(h("li", { class: now.only ? "met" : "" }, h("b", {}, now.only ? "✓" : "○"), said));
  }
  draw();
  return h(
    "section",
    { "aria-label": "a graph and what must be written" },
    h("div", { class: "dials" }, which.field, count.field, buttons),
    panel.svg,
    told,
    text,
    goals,
  );
}

function graphPanel({ instances }, width, of, ask) {
  const height = 300;
  const vertices = Math.max(...instances.map(({ names }) => names.length));
  const choose = handle("the vertex that is asked for", { min: 0, max: vertices - 1 }, (v) => ask(Math.min(v, of().names.length - 1)));
  const drawn = s("g"),
    svg = picture(width, height, "", [text(0, 12, "drag the question (bold ring) over the graph", "title"), drawn, choose.node]);
  svg.setAttribute("role", "group");
  let at = () => [0, 0];
  follow(svg, () => (x, y) => {
    const near = of().places.map((place) => Math.hypot(at(place)[0] - x, at(place)[1] - y));
    ask(near.indexOf(Math.min(...near)));
  });
  function draw({ parents, needed, next, query, written }) {
    const { names, places, edges } = of(),
      points = edges.flatMap(({ way }) => way);
    const [deep, low, high] = [Math.max(...points.map((p) => p[0])), ...[Math.min, Math.max].map((f) => f(...points.map((p) => p[1])))];
    at = ([x, y]) => [34 + (x / Math.max(deep, 1)) * (width - 74), 52 + ((high - y) / Math.max(high - low, 1)) * (height - 104)];
    const half = Math.max(14, ...names.map((name) => 6 + 4 * name.length));
    const shapes = edges.map(({ child, way }) => {
      const spots = way.map(at),
        end = spots.at(-1);
      end[0] -= half + (child === query ? 7 : 3);
      const curve = spots.slice(1).map(([x, y], i) => {
        const bend = 0.45 * (x - spots[i][0]);
        return `C${spots[i][0] + bend} ${spots[i][1]} ${x - bend} ${y} ${x} ${y}`;
      });
      const used = needed.includes(child);
      return s(
        "g",
        { class: used ? "c4" : "c7", opacity: used ? 1 : 0.4 },
        s("path", { d: `M${spots[0]}${curve.join("")}`, class: "stroke", "stroke-width": used ? 1.8 : 1.2 }),
        s("path", { d: `M${end[0] + 3} ${end[1]}l-9 -4v8z`, class: "fill" }),
      );
    });
    const box = (vertex, grow, look) => {
      const [x, y] = at(places[vertex]);
      const round = parents[vertex].length ? 14 : 3;
      return s("rect", { x: x - half - grow, y: y - 14 - grow, width: 2 * (half + grow), height: 28 + 2 * grow, rx: round + grow, ...look });
    };
    names.forEach((name, vertex) => {
      const [x, y] = at(places[vertex]),
        place = written.indexOf(vertex),
        open = next.includes(vertex),
        mine = needed.includes(vertex);
      const missing = parents[vertex].filter((parent) => !written.includes(parent)).length;
      const look = place >= 0 ? "c5" : open ? "c2" : "c3";
      const said = place >= 0 ? `${place + 1}.` : open ? "free" : `waits for ${missing}`;
      shapes.push(box(vertex, 0, { class: "paper" }), mine && box(vertex, 0, { class: `fill ${look}`, "fill-opacity": place >= 0 ? 0.55 : 0.3 }));
      shapes.push(box(vertex, 0, { class: `stroke ${mine ? "c4" : "lane"}`, "stroke-width": 1 }));
      shapes.push(text(x, y + 4.5, name, mine ? "strong" : "tick", "middle"));
      if (mine) shapes.push(text(x, y + 31, said, "tick halo", "middle"));
    });
    drawn.replaceChildren(...shapes.filter(Boolean));
    choose.show(query, names[query], box(query, 4, { class: "stroke c4", "stroke-width": 3 }));
    svg.setAttribute("aria-label", `a graph with ${edges.length} edges; asked: ${names[query]}; written: ${written.map((v) => names[v]).join(" ") || "nothing"}`);
  }
  return { svg, draw };
}
