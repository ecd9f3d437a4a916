// The ledger and what-if over its records: one module for the page, for notebooks and for any other HTML (anywidget's protocol).
// It stands on the functions of frame.js. It draws and lets choose; it judges nothing. Every verdict and every number is the ledger's, as `page_data` hands it over.

const GLYPHS = {
  holds: "✓",
  "holds in direction": "↗",
  "does not show at this scale": "○",
  contradicted: "✕",
  "not run": "–",
};
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 3", "6 2 1 2"]; // beside the colour, so that it is not needed
const WIDE = 760; // from this width on, text and figure stand side by side
const FIELDS = ["world", "side", "canon", "width", "layers", "feed-forward", "variant", "budget", "rate", "seed"];
const LABELS = { world: "task", side: "mixer, positions", canon: "Canon set", rate: "learning rate" }; // else, its own name
const OTHERS = FIELDS.slice(0, -2); // all but rate and seed, of which every one may be shown
const WEIGHTS = {
  side: 4,
  canon: 3,
  width: 1,
  layers: 1,
  "feed-forward": 2,
  variant: 2,
  budget: 1,
  rate: 0.5,
  seed: 0.1,
};
const PARTS = { own: "Your own claims", O: "What others found", P42: "Part 4.2: published numbers, not our runs" };
const EVERY = "every";

// -- small things ------------------------------------------------------------------------------------------------------

const words = (options) =>
  Object.entries(options)
    .map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(", ");

function verdict(word) {
  return h(
    "span",
    { class: `verdict v${Object.keys(GLYPHS).indexOf(word)}` },
    h("span", { "aria-hidden": "true" }, GLYPHS[word]),
    ` ${word}`,
  );
}

function copied(text) {
  const said = h("span", { class: "said", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = "copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = document.execCommand?.("copy") ? "copied" : "selected";
    }
  };
  const code = h("code", { tabindex: "0" }, text);
  return h(
    "div",
    { class: "command" },
    h("pre", {}, code),
    h("div", {}, press("copy", copy, { "aria-label": `copy: ${text.slice(0, 60)}` }), said),
  );
}

// -- a row's figure: seeds as dots, floors, bars; then the differences with their intervals -----------------------------

function rowFigure(row, width) {
  const parts = row.panels.map((panel) => seedPanel(panel, width));
  const kinds = unique(row.contrasts.map((c) => c.kind));
  parts.push(
    ...kinds.map((kind) =>
      contrastPanel(
        row.contrasts.filter((c) => c.kind === kind),
        kind,
        width,
      ),
    ),
  );
  return parts;
}

function seedPanel(panel, width) {
  const left = 158,
    right = width - 14,
    lane = 20,
    lanes = panel.sides.length;
  const lost = panel.sides.some(([, steps, seconds]) => [...steps, ...seconds].includes(null));
  const floors = panel.floors,
    top = 20 + 13 * floors.length,
    bottom = top + lane * lanes,
    height = bottom + 22;
  const values = [
    ...panel.sides.flatMap(([, steps, seconds]) => known([...steps, ...seconds])),
    ...floors.map(([, v]) => v),
    ...panel.bars.map(([, v]) => v),
  ];
  const end = lost ? right - 58 : right;
  const x = scaled(values, left, end, {
    share: panel.share,
    log: panel.lower && !panel.share && panel.lost === "diverged",
    zero: !panel.close,
  });
  const drawn = [
    text(0, 12, panel.label + (panel.lower && panel.lost === "diverged" ? ", less is better" : ""), "title"),
  ];
  drawn.push(...below(x, top, bottom));
  if (lost) drawn.push(text(right, bottom + 14, panel.lost, "tick", "end"));
  floors.forEach(([name, value], i) => {
    const at = x.place(value),
      late = at > (left + right) / 2;
    drawn.push(upright(at, 14 + 13 * i, bottom, "floor"));
    drawn.push(text(at + (late ? -5 : 5), 24 + 13 * i, `${name} ${short(value)}`, "tick", late ? "end" : "start"));
  });
  for (const [name, value] of panel.bars)
    drawn.push(upright(x.place(value), top, bottom, "bar", s("title", {}, `${name} ${short(value)}`)));
  panel.sides.forEach(([side, steps, seconds], i) => {
    const y = top + lane * i + lane / 2,
      both = seconds.length > 0;
    drawn.push(line(left, y, right, y, "lane"), text(0, y + 4, side, "name"));
    let gone = 0;
    const spot = (v) => (v == null ? right - 34 + 7 * (gone++ % 5) : x.place(v));
    steps.forEach((v) => drawn.push(dot(spot(v), y - (both ? 3.5 : 0))));
    gone = 0;
    seconds.forEach((v) => drawn.push(box(spot(v), y + 5)));
  });
  const gone = (steps) =>
    steps.includes(null) ? `, ${panel.lost} on ${steps.length - known(steps).length} of ${steps.length}` : "";
  const said = panel.sides.map(([side, steps]) => `${side} ${bounded(steps)}${gone(steps)}`);
  return picture(
    width,
    height,
    `${panel.label}, every seed: ${said.join("; ")}. ${floors.map(([n, v]) => `${n} ${short(v)}`).join(", ")}`,
    drawn,
  );
}

function contrastPanel(contrasts, kind, width) {
  const left = 14,
    right = width - 64,
    lane = 44,
    top = 22,
    bottom = top + lane * contrasts.length;
  const numbers = contrasts.flatMap((c) => [
    c.none,
    ...c.bars,
    ...c.clocks.flatMap((clock) => (clock ? known(clock.slice(0, 3)) : [])),
  ]);
  const x = scaled(numbers, left, right, {
    log: kind === "ratio" && Math.min(...numbers) > 0,
    share: kind === "contests won",
  });
  const title = {
    difference: "difference, more is better",
    ratio: "how many times better",
    "contests won": "contests won, of all",
  }[kind];
  const drawn = [text(0, 12, `${title}; 95 % interval`, "title"), text(width, 12, "p", "tick", "end")];
  drawn.push(...below(x, top, bottom));
  const said = [];
  contrasts.forEach((c, i) => {
    const y = top + lane * i;
    drawn.push(text(0, y + 12, `${c.better} over ${c.worse}`, "name"));
    drawn.push(upright(x.place(c.none), y + 15, y + lane - 1, "none"));
    for (const bar of c.bars.filter((b) => b !== c.none))
      drawn.push(upright(x.place(bar), y + 15, y + lane - 1, "bar", s("title", {}, `the rule's bar: ${short(bar)}`)));
    c.clocks.forEach((clock, which) => {
      if (!clock) return;
      const [middle, low, high, p] = clock,
        at = y + 21 + 14 * which,
        name = which ? "seconds" : "steps";
      if (low != null || high != null)
        drawn.push(
          line(low == null ? left : x.place(low), at, high == null ? right : x.place(high), at, `interval ${name}`),
        );
      if (middle != null) drawn.push((which ? box : dot)(x.place(middle), at));
      drawn.push(text(width, at + 4, p.toFixed(3), "tick", "end"));
      if (middle == null)
        drawn.push(text(x.place(c.none) + 6, at + 4, low == null ? "no number: a seed never got there" : "", "tick"));
      said.push(
        `${c.better} over ${c.worse}, equal ${name}: ${short(middle)}, from ${short(low)} to ${short(high)}, p ${short(p)}`,
      );
    });
  });
  return picture(width, bottom + 20, `${title}. ${said.join(". ")}`, drawn);
}

// -- learning curves ---------------------------------------------------------------------------------------------------

// series: [{label, runs: [{x, y, first}]}]; a thin line a run, told apart by colour and dashes.
function curves(series, { width, height = 230, label, share, log, clock, floors = [] }) {
  const left = 46,
    right = width - 12,
    top = 26,
    bottom = height - 36;
  const all = series.flatMap((one) => one.runs);
  const x = scaled(
    all.flatMap((run) => run.x),
    left,
    right,
    { zero: true },
  );
  const y = scaled([...all.flatMap((run) => known(run.y)), ...floors.map(([, v]) => v)], bottom, top, { share, log });
  const drawn = [text(0, 12, label, "title"), text(right, height - 4, clock, "tick", "end")];
  for (const at of y.at)
    drawn.push(
      line(left, y.place(at), right, y.place(at), "grid"),
      text(left - 6, y.place(at) + 4, short(at), "tick", "end"),
    );
  for (const at of x.at) drawn.push(text(x.place(at), bottom + 16, short(at), "tick", "middle"));
  floors.forEach(([, value]) => drawn.push(line(left, y.place(value), right, y.place(value), "floor")));
  series.forEach((one, i) => {
    for (const run of one.runs) {
      const points = run.x.map((at, j) => [at, run.y[j]]).filter(([, v]) => v != null);
      const path = points.map(([at, v]) => `${x.place(at).toFixed(1)},${y.place(v).toFixed(1)}`).join(" ");
      drawn.push(s("polyline", { points: path, class: `curve c${i % 8}`, "stroke-dasharray": DASHES[i % 8] }));
      if (points.length)
        drawn.push(
          s("circle", {
            cx: x.place(points.at(-1)[0]),
            cy: y.place(points.at(-1)[1]),
            r: run.first ? 3 : 2.6,
            class: `end c${i % 8}${run.first ? " first" : ""}`,
          }),
        );
    }
  });
  floors.forEach(([name, value]) =>
    drawn.push(text(left + 4, y.place(value) - 5, `${name} ${short(value)}`, "tick halo")),
  );
  const said = series.map(
    (one) => `${one.label}, ${one.runs.length} runs, at the end ${bounded(one.runs.map((run) => known(run.y).at(-1)))}`,
  );
  return picture(width, height, `${label} against ${clock}. ${said.join("; ")}`, drawn);
}

function legend(series, action) {
  return h(
    "ul",
    { class: "legend" },
    series.map((one, i) =>
      h(
        "li",
        {},
        s(
          "svg",
          { width: 30, height: 10, "aria-hidden": "true" },
          s("line", { x1: 1, x2: 29, y1: 5, y2: 5, class: `curve c${i % 8} thick`, "stroke-dasharray": DASHES[i % 8] }),
        ),
        h("span", {}, one.label),
        action?.(one, i),
      ),
    ),
  );
}

function clocks(book, series, metric, width, floors) {
  const each = Math.min(560, width > WIDE ? Math.floor((width - 24) / 2) : width);
  const look = { width: each, label: metric.label, share: metric.share, log: metric.lower && !metric.share, floors };
  return h(
    "div",
    { class: "pair" },
    ["steps", "seconds of training"].map((clock, which) =>
      curves(
        series.map((one) => ({ ...one, runs: one.places.map((place) => book.run(place, metric.name, which)) })),
        { ...look, clock },
      ),
    ),
  );
}

// -- the records -------------------------------------------------------------------------------------------------------

class Book {
  constructor(data) {
    Object.assign(this, data);
    const { config, training, rate, seed } = data.records;
    this.keys = config.map((c, place) => ({
      world: data.configs[c].world,
      ...data.configs[c].facets,
      budget: data.trainings[training[place]].budget,
      rate: rate[place],
      seed: seed[place],
    }));
  }
  worldName(place) {
    const { task, label } = this.worlds[place];
    return label ? `${task}: ${label}` : task;
  }
  metrics(place) {
    const { metrics } = this.worlds[this.keys[place].world];
    return metrics.filter((_, i) => this.records.values[place][i].some((v) => v != null));
  }
  run(place, name, which) {
    const { steps, seconds, values, format } = this.records,
      world = this.worlds[this.keys[place].world];
    const found = world.metrics.findIndex((metric) => metric.name === name);
    const y = found < 0 ? [] : values[place][found];
    return { x: which ? seconds[place] : this.steps[steps[place]], y, first: format[place] === 1 };
  }
  same(place, wanted, fields = FIELDS) {
    return fields.every((field) => wanted[field] === EVERY || this.keys[place][field] === wanted[field]);
  }
}

// -- the ledger --------------------------------------------------------------------------------------------------------

const ALL = { part: "", task: "", verdict: "", clock: "steps", scale: "", text: "" };

// memory: what is chosen and open, kept when the page is drawn anew for another width.
function ledgerView(book, width, memory) {
  const wanted = (memory.filter ??= { ...ALL }),
    opened = (memory.opened ??= new Set());
  const rows = book.rows.map((row) => makeRow(book, row, width, opened));
  const count = h("p", { class: "count", role: "status" });
  const headings = unique(book.rows.map((row) => row.part)).map((part) => [
    part,
    h("h2", { class: "part" }, PARTS[part] ?? `Result ${part.slice(1)}`),
  ]);
  const list = h(
    "div",
    { class: "rows" },
    headings.map(([part, heading]) => [heading, rows.filter((r) => r.row.part === part).map((r) => r.node)]).flat(),
  );
  const word = (row) => (wanted.clock === "steps" ? row : (row.equal_seconds ?? row)).verdict;
  function filter() {
    const terms = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    const parts = new Set();
    for (const { row, node, text } of rows) {
      const fits =
        ["part", "task", "scale"].every((name) => !wanted[name] || row[name] === wanted[name]) &&
        (!wanted.verdict || word(row) === wanted.verdict) &&
        terms.every((term) => text.includes(term));
      node.hidden = !fits;
      if (fits) (parts.add(row.part), shown++);
    }
    for (const [part, heading] of headings) heading.hidden = !parts.has(part);
    count.textContent = shown ? `${shown} of ${rows.length} rows` : "no row fits all of these; clear a filter";
  }
  const set = (name) => (value) => ((wanted[name] = value), filter());
  const id = `physlm-${++serial}`;
  const search = h("input", {
    id,
    type: "search",
    placeholder: "residual, GLA, kl …",
    oninput: () => set("text")(search.value),
  });
  const clocks = [
    ["steps", "equal steps"],
    ["seconds", "equal seconds"],
  ];
  const plain = (name, values) =>
    chosen(name, [["", `all ${name}s`], ...values.map((v) => [v])], wanted[name], set(name));
  const own = (name) => plain(name, unique(book.rows.map((row) => row[name])));
  const fields = [
    own("part"),
    own("task"),
    plain("verdict", book.verdicts),
    chosen("verdict of", clocks, wanted.clock, set("clock")),
    own("scale"),
  ];
  const clear = press("clear", () => {
    for (const [, select] of fields) select.selectedIndex = 0;
    search.value = "";
    Object.assign(wanted, ALL);
    filter();
  });
  search.value = wanted.text;
  filter();
  const form = h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    fields.map(([field]) => field),
    h("div", { class: "field" }, h("label", { for: id }, "search"), search),
    h("div", { class: "field last" }, clear),
  );
  const tools = h(
    "details",
    { class: "tools", open: width > WIDE && rows.length > 12 },
    h("summary", {}, "Filter, search, how to read the figures"),
    form,
    key(),
  );
  return {
    node: h("section", { "aria-label": "the ledger" }, tools, count, list),
    open: (name) => rows.find((r) => r.node.id === name)?.open(),
  };
}

function key() {
  const mark = (...shapes) => s("svg", { width: 26, height: 14, "aria-hidden": "true" }, shapes);
  const stroke = (name) => upright(13, 0, 14, name);
  const items = [
    [mark(dot(13, 7)), "a seed, equal steps"],
    [mark(box(13, 7)), "a seed, equal seconds"],
    [mark(line(1, 7, 25, 7, "interval steps")), "95 % interval"],
    [mark(stroke("floor")), "guessing, n-grams"],
    [mark(stroke("bar")), "the rule’s bar"],
    [mark(stroke("none")), "no difference"],
  ];
  return h(
    "ul",
    { class: "legend key", "aria-label": "how to read the figures" },
    items.map(([picture, said]) => h("li", {}, picture, h("span", {}, said))),
  );
}

function makeRow(book, row, width, opened) {
  const name = `${row.claim}-${row.scale}`,
    more = h("div", { class: "more", id: `more-${name}`, hidden: true });
  const title = [
    h(
      "span",
      { class: "id" },
      row.claim,
      h("span", { class: "scale" }, row.scale),
      row.protocol === 1 && row.panels.length > 0 && h("span", { class: "mark" }, "first protocol"),
    ),
    h("span", { class: "what" }, row.title),
  ];
  const look = { class: "opener", "aria-expanded": "false", "aria-controls": more.id };
  const button = press(title, () => show(more.hidden), look);
  function show(open) {
    if (open && !more.childElementCount) more.append(...details(book, row, width));
    more.hidden = !open;
    opened[open ? "add" : "delete"](name);
    button.setAttribute("aria-expanded", String(open));
  }
  const figure = row.panels.length
    ? h("div", { class: "figure" }, rowFigure(row, width > WIDE ? 430 : Math.min(430, width)))
    : null;
  const clock = (name, word) => h("p", {}, h("span", { class: "at" }, name), verdict(word));
  const said = h(
    "div",
    { class: "verdicts" },
    row.equal_seconds
      ? [clock("equal steps", row.verdict), clock("equal seconds", row.equal_seconds.verdict)]
      : clock("pairs of runs", row.verdict),
  );
  const blank = !row.panels.length;
  const node = h(
    "article",
    { class: `row${blank ? " blank" : ""}`, id: name },
    h(
      "div",
      { class: "say" },
      h("h3", {}, button),
      blank
        ? h("p", { class: "state" }, verdict(row.verdict), `: ${row.state}`)
        : [said, h("p", { class: "state" }, row.state)],
    ),
    figure,
    more,
  );
  const strings = Object.values(row).filter((value) => typeof value === "string");
  const text = [...strings, ...Object.keys(row.sides), ...row.rule].join(" ").toLowerCase();
  if (opened.has(name)) show(true);
  return { row, node, text, open: () => (show(true), button.focus(), node.scrollIntoView()) };
}

function details(book, row, width) {
  const sides = Object.entries(row.sides).filter(([, side]) => side.runs.length);
  const parts = [h("p", { class: "statement" }, row.statement, " ", h("span", { class: "muted" }, `(${row.source})`))];
  parts.push(h("h4", {}, "The rule"), bullets(row.rule));
  if (sides.length) {
    parts.push(
      h("h4", {}, "What the records say"),
      h("p", {}, verdict(row.verdict), ` at equal steps: ${row.reason}`),
      h("p", {}, verdict(row.equal_seconds.verdict), ` at equal seconds: ${row.equal_seconds.reason}`),
    );
    parts.push(h("h4", {}, "Learning curves"), curvesOf(book, row, sides, width));
  }
  if (row.basis === "published") parts.push(...publishedDetails(row));
  parts.push(...(row.maps ?? []).map(phaseMap));
  if (row.paper.length)
    parts.push(
      folded(
        "The paper’s numbers",
        table(
          ["setting", "side", "value"],
          row.paper.map((p) => [p.setting, p.side, p.value]),
        ),
      ),
    );
  if (row.basis === "published") return parts;
  parts.push(
    folded(
      "Configuration",
      h(
        "dl",
        {},
        [
          ["task", `${row.task} (${words(row.task_options)})`],
          ["model", words(row.model)],
          ["budget", `${row.budget_name}; ${row.budget.runs} runs, ${short(row.budget.seconds)} s of training`],
          ["grid of rates", row.learning_rate_grid.join(", ")],
          ["simplified", row.simplified || "nothing: the published setting"],
        ].map(([name, said]) => [h("dt", {}, name), h("dd", {}, said)]),
      ),
      table(
        ["side", "its options", "learning rate", "where from", "step time"],
        Object.entries(row.sides).map(([side, told]) => [
          side,
          words(told.options) || "none",
          told.learning_rate == null ? "–" : String(told.learning_rate),
          told.rate_source || "–",
          short(row.equal_seconds.step_times[side]),
        ]),
      ),
    ),
  );
  parts.push(
    folded(
      `History (${row.history.length || "none"})`,
      row.history.length ? bullets(row.history) : h("p", {}, "Nothing was changed after a run."),
    ),
  );
  if (sides.length) {
    const { id, seed, rate, seconds, format } = book.records;
    const lines = sides.flatMap(([side, told]) =>
      [...told.runs.map((place) => [place, "steps"]), ...told.runs_in_time.map((place) => [place, "seconds"])].map(
        ([place, clock]) => [
          h("code", {}, id[place]),
          side,
          clock,
          String(seed[place]),
          String(rate[place]),
          short(seconds[place].at(-1)),
          String(format[place]),
        ],
      ),
    );
    parts.push(
      folded(
        `Records (${lines.length})`,
        table(["record", "side", "equal", "seed", "rate", "seconds", "format"], lines),
      ),
    );
  }
  parts.push(h("h4", {}, "Redo this"), ...row.redo.map(copied));
  if (row.notebook) parts.push(h("p", {}, "Notebook: ", h("code", {}, row.notebook)));
  return parts;
}

function curvesOf(book, row, sides, width) {
  const metrics = book.metrics(sides[0][1].runs[0]),
    place = h("div");
  const draw = (name) => {
    const metric = metrics.find((m) => m.name === name),
      panel = row.panels.find((p) => p.name === name);
    const series = sides.map(([side, told]) => ({ label: side, places: told.runs }));
    const floors = panel?.floors ?? (metric.chance == null ? [] : [["guessing", metric.chance]]);
    place.replaceChildren(legend(series), clocks(book, series, metric, width - 18, floors));
  };
  const first = metrics.some((m) => m.name === row.metric) ? row.metric : metrics[0].name;
  const [field] = chosen(
    "score",
    metrics.map((m) => [m.name, m.label]),
    first,
    draw,
  );
  draw(first);
  return h("div", {}, field, place);
}

// -- what if -----------------------------------------------------------------------------------------------------------

function whatIf(book, width, memory, model) {
  const wanted = (memory.choice ??= { ...book.keys[start(book)], rate: EVERY, seed: EVERY });
  const kept = (memory.kept ??= []);
  let score = null;
  const selects = {},
    told = h("div", { class: "told", role: "status" }),
    plot = h("div"),
    code = h("div");
  const linear = (side) => /^(GLA|Mamba2|GDN)/.test(side);

  // What can be chosen: what is recorded anywhere of such a side; budgets and variants: what is recorded in this world.
  function values(field) {
    if (field === "world") return book.worlds.map((_, place) => place);
    const here = book.keys.filter((k) => k.world === wanted.world);
    if (field === "budget" || field === "variant") return unique(here.map((k) => k[field]));
    const fit = field === "canon" ? book.keys.filter((k) => linear(k.side) === linear(wanted.side)) : book.keys;
    return unique(fit.map((k) => k[field])).sort(rising);
  }

  function settle(changed) {
    for (const field of FIELDS) {
      const offered = values(field);
      if (wanted[field] !== EVERY && !offered.includes(wanted[field])) {
        const near = nearest(OTHERS.filter((f) => f !== field));
        wanted[field] = offered.includes(book.keys[near][field]) ? book.keys[near][field] : offered[0];
      }
      const [, select] = selects[field];
      // what would be recorded if this field alone were changed
      const there = new Set();
      const others = OTHERS.filter((f) => f !== field);
      book.keys.forEach((k, place) => book.same(place, wanted, others) && there.add(k[field]));
      const label = (v) =>
        (field === "world" ? book.worldName(v) : String(v)) + (field === "world" || there.has(v) ? "" : " *");
      const list = offered.map((v) => [String(v), label(v)]);
      if (field === "rate" || field === "seed") list.unshift([EVERY, `every ${field === "rate" ? "rate" : "seed"}`]);
      offer(select, list, String(wanted[field]));
    }
    if (changed) (model.set?.("chosen", { ...wanted }), model.save_changes?.());
  }

  // How far a record lies from what is wanted; numbers count by how many doublings they are apart.
  function distance(place, fields) {
    const k = book.keys[place];
    if (k.world !== wanted.world) return Infinity;
    return fields.reduce((sum, f) => {
      if (wanted[f] === EVERY || k[f] === wanted[f]) return sum;
      return sum + WEIGHTS[f] * (["width", "layers", "rate"].includes(f) ? Math.abs(Math.log2(k[f] / wanted[f])) : 1);
    }, 0);
  }

  function nearest(fields = FIELDS) {
    let best = 0,
      least = Infinity;
    book.keys.forEach((_, place) => {
      const far = distance(place, fields);
      if (far < least) [best, least] = [place, far];
    });
    return best;
  }

  function answer() {
    let places = book.keys.map((_, place) => place).filter((place) => book.same(place, wanted));
    const found = places.length > 0,
      near = found ? places[0] : nearest();
    const shown = found
      ? wanted
      : {
          ...book.keys[near],
          rate: wanted.rate === EVERY ? EVERY : book.keys[near].rate,
          seed: wanted.seed === EVERY || book.keys[near].seed !== wanted.seed ? EVERY : wanted.seed,
        };
    if (!found) places = book.keys.map((_, place) => place).filter((place) => book.same(place, shown));
    const differs = found ? [] : FIELDS.filter((f) => wanted[f] !== EVERY && book.keys[near][f] !== wanted[f]);
    return { places, found, near, differs, shown };
  }

  function name(k) {
    const parts = [
      k.side,
      k.canon === "none" ? "no Canon" : `Canon ${k.canon}`,
      `width ${k.width}`,
      `${k.layers} layer${k.layers === 1 ? "" : "s"}`,
    ];
    if (k["feed-forward"] !== "gated") parts.push(k["feed-forward"]);
    if (k.variant !== "plain") parts.push(k.variant);
    return parts.join(", ");
  }

  function draw() {
    const { places, found, near, differs, shown } = answer();
    const rates = unique(places.map((place) => book.keys[place].rate)).sort(rising);
    const mine = rates
      .slice(0, 5)
      .map((rate) => ({ label: `rate ${rate}`, places: places.filter((p) => book.keys[p].rate === rate) }));
    const series = [...mine, ...kept.filter((k) => k.world === wanted.world)];
    const metrics = book.metrics(near);
    if (!metrics.some((m) => m.name === score)) score = metrics[0].name;
    offer(
      scoreSelect,
      metrics.map((m) => [m.name, m.label]),
      score,
    );
    const metric = metrics.find((m) => m.name === score);
    const floors = metric.chance == null ? [] : [["guessing", metric.chance]];
    const remove = (one, i) =>
      i >= mine.length &&
      press("remove", () => (kept.splice(kept.indexOf(one), 1), draw()), {
        class: "small",
        "aria-label": `remove ${one.label}`,
      });
    plot.replaceChildren(h("h2", {}, name(shown)), legend(series, remove), clocks(book, series, metric, width, floors));
    const seeds = unique(places.map((p) => book.keys[p].seed)).sort(rising),
      first = places.filter((p) => book.records.format[p] === 1).length;
    const note =
      `${places.length} run${places.length === 1 ? "" : "s"}, seeds ${seeds.join(", ")}; ${shown.budget}` +
      (first ? `; ${first} of the first protocol (hollow ends)` : "") +
      (rates.length > 5 ? `; the first 5 of ${rates.length} rates are drawn` : "");
    told.replaceChildren(
      found
        ? h("p", {}, h("strong", {}, "Recorded. "), note)
        : h(
            "p",
            {},
            h("strong", {}, "Not recorded. "),
            "Shown is the nearest point: ",
            differs
              .map((f, i) => [
                i ? "; " : "",
                `${LABELS[f] ?? f} `,
                h("b", {}, String(book.keys[near][f])),
                ` instead of ${wanted[f]}`,
              ])
              .flat(),
            `. ${note}`,
          ),
    );
    code.replaceChildren(...(found ? [] : [h("p", {}, "This would record it:"), copied(created(near, differs))]));
    keep.disabled = kept.length >= 5;
  }

  // The command where a claim asks for exactly this run; else the lines of Python that make it.
  function created(near, differs) {
    const seed = wanted.seed === EVERY ? book.keys[near].seed : wanted.seed;
    const asked = book.rows.find(
      (row) =>
        row.world === wanted.world &&
        row.budget_name === wanted.budget &&
        Object.values(row.sides).some(
          (side) =>
            ["side", "canon", "width", "layers", "feed-forward", "variant"].every(
              (f) => side.facets[f] === wanted[f],
            ) &&
            (wanted.rate === EVERY || side.learning_rate === wanted.rate) &&
            (wanted.seed === EVERY || row.seeds.includes(seed)),
        ),
    );
    if (asked) return asked.redo[0];
    const { config, training, rate } = book.records;
    const options = { ...book.configs[config[near]].options },
      world = book.worlds[wanted.world];
    for (const field of differs.filter((f) => book.owned[f])) {
      const lender =
        book.configs.find((c) => c.world === wanted.world && c.facets[field] === wanted[field]) ??
        book.configs.find((c) => c.facets[field] === wanted[field]);
      for (const name of book.owned[field]) {
        delete options[name];
        if (name in lender.options) options[name] = lender.options[name];
      }
    }
    const model = {};
    for (const [name, value] of Object.entries(options)) {
      const [outer, inner] = name.split(".");
      if (inner) (model[outer] ??= {})[inner] = value;
      else model[outer] = value;
    }
    const like = book.keys.findIndex((k) => k.world === wanted.world && k.budget === wanted.budget);
    const settings = {
      learning_rate: wanted.rate === EVERY ? rate[near] : wanted.rate,
      ...book.trainings[training[like < 0 ? near : like]].options,
    };
    const given = Object.entries(settings).map(([name, value]) => `${name}=${python(value)}`);
    const parts = [
      python(world.task),
      python(world.options),
      python(model),
      `Training(${given.join(", ")})`,
      `seed=${seed}`,
    ];
    const lines = parts.map((part) => `    ${part},\n`).join("");
    const before = "from physlm_lite.training import Run, Store, Training, train\n\nrun = Run(\n";
    return `${before}${lines})\ntrain(run, store=Store())  # then: physlm ledger --html`;
  }

  for (const field of FIELDS) {
    const numeric = ["world", "width", "layers", "rate", "seed"].includes(field);
    selects[field] = chosen(LABELS[field] ?? field, [], "", (value) => {
      wanted[field] = value === EVERY || !numeric ? value : Number(value);
      settle(true);
      draw();
    });
  }
  const [scoreField, scoreSelect] = chosen("score", [], "", (value) => ((score = value), draw()));
  const keep = press("keep to compare", () => {
    const { places, shown } = answer();
    const label = `${name(shown)}${shown.rate === EVERY ? "" : `; rate ${shown.rate}`} (kept)`;
    kept.push({ label, places, world: wanted.world });
    draw();
  });
  settle(false);
  draw();
  const form = h(
    "form",
    { class: "filters", onsubmit: (event) => event.preventDefault() },
    FIELDS.map((field) => selects[field][0]),
    scoreField,
    h("div", { class: "field last" }, keep),
  );
  const star = h(
    "p",
    { class: "count" },
    "* not recorded with the other choices: the nearest point that is recorded is shown and named",
  );
  return { node: h("section", { class: "whatif", "aria-label": "what if" }, form, star, told, plot, code) };
}

function start(book) {
  const place = book.keys.findIndex(
    (k, i) => book.worlds[k.world].task === "depo" && k.canon === "ABCD" && book.records.format[i] > 1,
  );
  return Math.max(0, place);
}

function python(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value == null) return "None";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([name, inner]) => `${JSON.stringify(name)}: ${python(inner)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

// -- the page ----------------------------------------------------------------------------------------------------------

function summary(book) {
  const line = ([clock, counts]) => {
    const tried = counts.filter(([word, n]) => n && word !== "not run"),
      blank = counts.find(([word]) => word === "not run")[1];
    const said = tried.map(([word, n]) => h("span", { class: "one" }, h("b", {}, String(n)), " ", verdict(word)));
    const piece = (word, n, look) =>
      n > 0 && h("span", { class: `v${book.verdicts.indexOf(word)} ${look}`, style: `flex:${n}` });
    const pieces = counts.map(([word, n, before]) => [piece(word, n - before, ""), piece(word, before, "first")]);
    return h(
      "div",
      { class: "clock" },
      h("p", {}, h("strong", {}, clock), said, h("span", { class: "one muted" }, `${blank} not run`)),
      h("div", { class: "stack", "aria-hidden": "true" }, pieces),
    );
  };
  const against = book.rows.filter(
    (row) => row.verdict === "contradicted" || row.equal_seconds?.verdict === "contradicted",
  );
  return h(
    "header",
    {},
    h("h1", {}, "What holds, and what does not"),
    Object.entries(book.counts).map(line),
    against.length > 0 &&
      h("p", {}, h("strong", {}, "Contradicted: "), against.map((row) => `${row.claim} (${row.scale})`).join(", ")),
    h(
      "div",
      { class: "muted notes" },
      book.notes.map((note) => h("p", {}, note)),
    ),
  );
}

function render({ model, el }) {
  const memory = { view: model.get("view") ?? "ledger" },
    root = h("div", { class: "physlm" });
  let size = 0;
  el.replaceChildren(root);
  const room = () => roomIn(root);
  function draw() {
    if (memory.view === "published") {
      size = room();
      root.replaceChildren(publishedView(model.get("data"), size, memory));
      return {};
    }
    const book = new Book(model.get("data")),
      made = {},
      content = h("main");
    size = room();
    const tabs = ["ledger", "what if"].map((name) => press(name, () => open(name), { "aria-pressed": "false" }));
    function open(name) {
      memory.view = name;
      tabs.forEach((tab) => tab.setAttribute("aria-pressed", String(tab.textContent === name)));
      made[name] ??= name === "ledger" ? ledgerView(book, size, memory) : whatIf(book, size, memory, model);
      content.replaceChildren(made[name].node);
    }
    const recorded = book.keys.length > 0; // else, all rows are on published numbers
    root.replaceChildren();
    fill(root, {}, [
      recorded && model.get("view") !== "what if" && summary(book),
      recorded && h("nav", { class: "tabs", "aria-label": "views" }, tabs),
      content,
    ]);
    open(memory.view);
    return made;
  }
  draw().ledger?.open(location.hash.slice(1)); // ledger.html#R2-depth-toy opens that row
  const watcher = new ResizeObserver(() => Math.abs(room() - size) > 40 && draw());
  watcher.observe(root);
  model.on?.("change:data", draw);
  return () => watcher.disconnect();
}
