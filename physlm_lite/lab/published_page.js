// What the ledger's module draws of published numbers: the inside of a row, and the curves of the 64 runs of Part 4.2.
// It stands on the functions of ledger_page.js, behind which `script` puts it.

function publishedDetails(row) {
  const tables = unique(row.numbers.map((n) => [n.score, ...Object.keys(n.values)].join("|"))).map((key) => {
    const [score, ...sides] = key.split("|");
    const kept = row.numbers.filter((n) => [n.score, ...Object.keys(n.values)].join("|") === key);
    return table(
      [score, ...sides],
      kept.map((n) => [n.setting, ...sides.map((side) => String(n.values[side]))]),
    );
  });
  return [
    h("h4", {}, "What the published numbers say"),
    h("p", {}, verdict(row.verdict), `: ${row.reason}`),
    h("h4", {}, "What they cannot say"),
    h("p", {}, row.limits),
    folded(`Every number that the rule looks at (${row.numbers.length})`, tables),
    row.notebook && h("p", {}, "Notebook: ", h("code", {}, row.notebook)),
  ];
}

// -- the curves of the 64 runs -------------------------------------------------------------------------------------------

const WITH = ["without Canon", "with Canon"];

// data: {benchmarks: [{name, label, chance}], tokens: [[...]], runs: [{mixer, canon, size, budget, rate, at, scores}]}; a score
// is a whole number of tenths of a percent; `at` points to the tokens of a run's checkpoints.
function publishedView(data, width, memory) {
  const wanted = (memory.published ??= { benchmark: "mmlu", size: "8B", mixer: "Transformer", side: EVERY, rate: EVERY, at: 100 });
  const plot = h("div", { class: "pair" }),
    told = h("div", { class: "told", role: "status" });
  const at = h("input", { id: `physlm-${++serial}`, type: "range", min: 5, max: 100, step: 5, value: wanted.at });
  at.addEventListener("input", () => ((wanted.at = Number(at.value)), draw()));
  const all = (name) => unique(data.runs.map((run) => run[name])).sort(rising);
  const every = (name, values) => [[EVERY, `every ${name}`], ...values.map((v) => [String(v), String(v)])];
  const field = (label, name, options) =>
    chosen(label, options, String(wanted[name]), (value) => ((wanted[name] = value), draw()));
  const mixers = unique(data.runs.map((run) => run.mixer));
  // Canon is a whole line; colours tell the mixers apart or, where there is one, the two sides.
  const look = (run) => ({
    label: many() ? run.mixer + (run.canon ? " + Canon" : "") : WITH[Number(run.canon)],
    colour: many() ? mixers.indexOf(run.mixer) : Number(run.canon),
    dashes: run.canon ? "" : "4 3",
  });
  const fields = {
    benchmark: field("benchmark", "benchmark", data.benchmarks.map((b) => [b.name, b.label])),
    size: field("size", "size", all("size").map((v) => [v])),
    mixer: field("mixer", "mixer", every("mixer", mixers)),
    side: field("Canon", "side", [[EVERY, "with and without"], ["1", WITH[1]], ["0", WITH[0]]]),
    rate: field("learning rate", "rate", every("rate", all("rate"))),
  };
  const many = () => wanted.mixer === EVERY;
  const fits = (run) =>
    run.size === wanted.size &&
    (many() || run.mixer === wanted.mixer) &&
    (wanted.rate === EVERY || String(run.rate) === wanted.rate);
  const score = (run, place, i) => run.scores[place][i] / 10;
  const index = (run) => Math.max(0, Math.ceil((wanted.at / 100) * run.scores[0].length) - 1);

  // Pairs of runs that differ in Canon alone, and by how much the one with it is ahead of the other.
  function pairs() {
    const mine = data.runs.filter(fits);
    return mine
      .filter((run) => run.canon)
      .map((run) => [run, mine.find((o) => !o.canon && ["mixer", "budget", "rate"].every((n) => o[n] === run[n]))])
      .filter(([, other]) => other);
  }

  // A line a run or, where every mixer is shown, one for all rates: their mean.
  function lines(runs, place) {
    const told = runs.map((run) => ({ ...look(run), x: data.tokens[run.at], y: run.scores[place].map((v) => v / 10), of: run }));
    if (!many()) return told;
    const groups = {};
    for (const one of told) (groups[`${one.label} ${one.of.budget} ${one.x.length}`] ??= []).push(one);
    const mean = (group, i) => group.reduce((sum, one) => sum + one.y[i], 0) / group.length;
    return Object.values(groups).map((group) => ({ ...group[0], y: group[0].x.map((_, i) => mean(group, i)) }));
  }

  function draw() {
    const place = data.benchmarks.findIndex((b) => b.name === wanted.benchmark),
      benchmark = data.benchmarks[place];
    const runs = data.runs.filter((run) => fits(run) && (wanted.side === EVERY || Number(wanted.side) === Number(run.canon)));
    const each = Math.min(560, width > WIDE ? Math.floor((width - 24) / 2) : width);
    const both = pairs();
    const apart = (i) => both.map(([run, other]) => score(run, i, index(run)) - score(other, i, index(other)));
    plot.replaceChildren(
      growth(lines(runs, place), { width: each, benchmark, share: wanted.at / 100 }),
      ahead(data.benchmarks.map((b, i) => ({ ...b, values: apart(i) })), each, wanted, (chosenOne) => {
        wanted.benchmark = fields.benchmark[1].value = chosenOne;
        draw();
      }),
    );
    const wins = data.benchmarks.flatMap((_, i) => apart(i)),
      here = apart(place);
    const count = (values) => `${values.filter((v) => v > 0).length} of ${values.length}`;
    told.replaceChildren(
      h("p", {}, h("strong", {}, `${benchmark.label}, ${wanted.size}, after ${wanted.at} % of the tokens. `),
        both.length
          ? `With Canon ahead in ${count(here)} pair${here.length === 1 ? "" : "s"} (${here.length > 4 ? bounded(here) : here.map((v) => `${v > 0 ? "+" : ""}${short(v)}`).join(", ")} points); over all benchmarks in ${count(wins)}.`
          : "No pair of runs that differ in Canon alone fits this choice.",
        runs.length ? "" : " No such run was published."),
    );
  }

  draw();
  const said = "A thin line is a run: one seed at one learning rate (of every mixer: the mean over the rates). Dashed: without Canon.";
  return h(
    "section",
    { class: "whatif", "aria-label": "published benchmark curves" },
    h("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      Object.values(fields).map(([one]) => one),
      h("div", { class: "field" }, h("label", { for: at.id }, "look at (% of tokens)"), at)),
    told,
    plot,
    h("p", { class: "muted notes" }, `${said} Published numbers, not our runs.`),
  );
}

// A benchmark against the tokens that were read, each group of runs named at its end.
function growth(runs, { width, benchmark, share }) {
  const height = 330,
    left = 40,
    right = width - 132,
    top = 26,
    bottom = height - 36;
  const chance = benchmark.chance;
  const x = scaled([0, ...runs.flatMap((run) => run.x)], left, right, { zero: true });
  const y = scaled([...runs.flatMap((run) => run.y), ...(chance == null ? [] : [chance])], bottom, top);
  const drawn = [text(0, 12, `${benchmark.label}, percent`, "title"), text(right, height - 4, "10⁹ tokens", "tick", "end")];
  for (const v of y.at)
    drawn.push(line(left, y.place(v), right, y.place(v), "grid"), text(left - 6, y.place(v) + 4, short(v), "tick", "end"));
  for (const v of x.at) drawn.push(text(x.place(v), bottom + 16, short(v), "tick", "middle"));
  if (chance != null)
    drawn.push(
      line(left, y.place(chance), right, y.place(chance), "floor"),
      text(right - 4, y.place(chance) - 5, `guessing ${short(chance)}`, "tick halo", "end"),
    );
  if (share < 1 && unique(runs.map((run) => run.x.at(-1))).length === 1) drawn.push(upright(x.place(share * runs[0].x.at(-1)), top, bottom, "bar"));
  const ends = new Map();
  for (const run of runs) {
    const { label, colour, dashes, of } = run;
    const points = run.x.map((v, j) => `${x.place(v).toFixed(1)},${y.place(run.y[j]).toFixed(1)}`).join(" ");
    const said = s("title", {}, `${label}, ${of.budget} tokens, rate ${of.rate}: ${short(run.y.at(-1))}`);
    drawn.push(s("polyline", { points, class: `curve c${colour}`, "stroke-dasharray": dashes }, said));
    ends.set(label, { colour, places: [...(ends.get(label)?.places ?? []), y.place(run.y.at(-1))] });
  }
  let free = -Infinity; // names are moved down where they would cover each other, and back up from the bottom
  const named = [...ends].map(([label, { colour, places }]) => [label, places.reduce((a, b) => a + b) / places.length, colour]);
  named.sort((a, b) => a[1] - b[1]).forEach((one) => (one[1] = free = Math.max(one[1], free + 14)));
  const over = Math.max(0, free - bottom);
  for (const [label, at, colour] of named)
    drawn.push(s("text", { x: right + 6, y: at - over + 4, class: `fill c${colour}` }, label));
  const said = named.map(([label]) => `${label} ${bounded(runs.filter((r) => r.label === label).map((r) => r.y.at(-1)))}`);
  return picture(width, height, `${benchmark.label} against tokens; at the end: ${said.join("; ") || "no run"}`, drawn);
}

// For every benchmark, how far the run with Canon is ahead of the one without: a dot a pair.
function ahead(benchmarks, width, wanted, choose) {
  const left = 116,
    right = width - 12,
    lane = 19,
    top = 24,
    bottom = top + lane * benchmarks.length;
  const x = scaled([-1, 1, ...benchmarks.flatMap((b) => b.values)], left, right);
  const drawn = [text(0, 12, "with Canon minus without, points", "title"), ...below(x, top, bottom)];
  drawn.push(upright(x.place(0), top, bottom, "none"));
  benchmarks.forEach((b, i) => {
    const y = top + lane * i + lane / 2,
      mine = b.name === wanted.benchmark;
    drawn.push(line(left, y, right, y, "lane"));
    const look = { x: 0, y: y + 4, class: mine ? "title" : "name", style: "cursor:pointer", onclick: () => choose(b.name) };
    drawn.push(s("text", look, b.label));
    b.values.forEach((v) => drawn.push(s("circle", { cx: x.place(v), cy: y, r: 3.5, class: v > 0 ? "steps" : "behind" })));
  });
  const said = benchmarks.map((b) => `${b.label} ${bounded(b.values)}`);
  return picture(width, bottom + 22, `with Canon minus without, in points, a dot a pair of runs: ${said.join("; ")}`, drawn);
}
