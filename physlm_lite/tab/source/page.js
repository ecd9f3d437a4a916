// The page: the puzzle, the prediction, the race, the what-ifs. All that learns runs in workers (worker.js).
import { TASKS } from "./tasks.js";

const SIDES = [
  { label: "without", colour: "var(--plain)", dash: "7 4", pixel: "76 106 146" },
  { label: "with", colour: "var(--canon)", dash: "", pixel: "209 73 91" },
];
const LONGEST_RUN = 60; // seconds that a what-if may take
const $ = (id) => document.getElementById(id);
const percent = (share, digits = 0) => (share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`);

/** An element of HTML; of SVG for a name like "svg:line". */
function make(name, attributes = {}, ...children) {
  const [tag, drawn] = name.split(":").reverse();
  const element = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const token = (text, kind = "", title = "") => make("span", { class: `token ${kind}`, title }, text);

/** An empty picture as wide as its place with a scale of shares: functions that add a text, a line, a dot. */
function picture(place, label, right) {
  const width = Math.max(place.clientWidth, 280), x = (u) => 54 + u * (width - 54 - right);
  const y = (share) => 262 - share * 244, at = ([u, share]) => `${x(u)},${y(share)}`;
  const svg = make("svg:svg", { width, height: 292, role: "img", "aria-label": label });
  const add = (kind, attributes, ...text) => svg.append(make(`svg:${kind}`, attributes, ...text));
  const draw = {
    x, y,
    text: (string, left, top, rest) => add("text", { x: left, y: top, "text-anchor": "middle", ...rest }, string),
    line: (points, rest) => add("polyline", { points: points.map(at).join(" "), fill: "none", ...rest }),
    dot: ([u, share], rest) => add("circle", { cx: x(u), cy: y(share), r: 5, ...rest }),
  };
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    draw.line([[0, share], [1, share]], { class: "grid" });
    draw.text(percent(share), 48, y(share) + 5, { "text-anchor": "end" });
  }
  place.replaceChildren(svg);
  return draw;
}

function page() {
  const KIT = JSON.parse($("kit").textContent); // see build.py
  const WASM = Uint8Array.from($("wasm").textContent.match(/../g), (byte) => parseInt(byte, 16));
  const asked = new URLSearchParams(location.search), form = $("what-if"), seat = asked.get("seat");
  const code = URL.createObjectURL(new Blob([$("code").textContent], { type: "text/javascript" }));
  const kit = () => KIT[form.task.value], steps = () => kit().training.steps * form.longer.value;
  let sides = [{ curve: [] }, { curve: [] }], locked = null, pace = 0, puzzles = 0;

  // -- one run a side

  /** What a side is to train, as the form stands; `other` replaces single choices. */
  function job(side, other = {}) {
    const chosen = { ...Object.fromEntries(new FormData(form)), ...other }, { task, shape, training, rates } = kit();
    const width = Number(chosen.width), places = new FormData(form).getAll("place").join("");
    const options = chosen.lists === "fixed" ? { ...task[1], shortest: task[1].n } : task[1];
    return {
      task: [task[0], options], seed: Number(chosen.seed), every: steps() / 20,
      wasm: asked.has("plain") ? null : WASM,
      shape: {
        ...shape, width, layers: Number(chosen.layers), heads: (shape.heads * width) / shape.width,
        hidden: (shape.hidden * width) / shape.width, canon: side ? places : "", rope: chosen.positions === "rope",
      },
      training: { ...training, steps: steps(), learning_rate: Number(chosen.rate) || rates[side] },
      taps: chosen.taps === "by-hand" ? [0, 1, 2, 3].map((lag) => Number(form[`tap${lag}`].value)) : chosen.taps,
    };
  }

  /** The multiplications of a run, up to a factor; `pace` turns them into seconds. */
  function load({ task: [name, options], shape: { width, hidden, layers }, training: { steps, batch } }) {
    const { longest } = TASKS[name](options);
    return steps * batch * longest * layers * width * (4 * width + 3 * hidden + 2 * longest);
  }

  function work(task, hear) {
    const worker = new Worker(code);
    worker.onmessage = ({ data }) => { if (data.done) worker.terminate(); hear(data); };
    worker.onerror = (event) => hear({ error: event.message || "no background work is allowed here" });
    worker.postMessage(task);
    return worker;
  }

  function stop(said) {
    for (const side of sides) side.worker?.terminate();
    for (const side of sides) side.worker = null;
    $("stop").disabled = true;
    $("verdict").textContent = said;
  }

  function start() {
    stop("");
    sides = [0, 1].map((i) => ({ curve: [], job: job(i), worker: work(job(i), (news) => hear(i, news)) }));
    $("stop").disabled = false;
    $("line").value = "";
    draw();
  }

  function hear(i, news) {
    const side = sides[i];
    if (news.error) stop(`The side ${SIDES[i].label} Canon cannot be trained: ${news.error}.`);
    else if (news.done) {
      side.worker = null;
      changed();
      if (sides.every(({ worker }) => !worker)) judge();
    } else {
      side.news = news;
      side.curve.push([news.step / steps(), news.scores[1]]);
      if (news.step) pace = (news.work / load(side.job)) * (steps() / news.step);
      draw();
      show(i);
    }
  }

  /** The verdict of this one seed, by the bar of the kit's claim, and the line for the class. */
  function judge() {
    const { rule, claim, verdict } = kit(), [plain, canon] = sides.map(({ news }) => news.scores[1]);
    const reached = sides.map(({ curve }) => curve.find(([, share]) => share >= rule.accuracy)?.[0] * steps());
    const when = (step) => (step > 0 ? `after ${step} steps` : `not within ${steps()} steps`);
    const [holds, said] = rule.at_most
      ? [plain <= rule.at_most && canon >= rule.at_least, `${percent(plain, 1)} without Canon (bar: at most ` +
        `${percent(rule.at_most)}), ${percent(canon, 1)} with (bar: at least ${percent(rule.at_least)})`]
      : [reached[1] > 0 && !(reached[1] * rule.factor > reached[0]), `${percent(rule.accuracy)} of the answers: ` +
        `with Canon ${when(reached[1])}, without ${when(reached[0])} (bar: ${rule.factor} times as soon)`];
    const guess = locked ? `You guessed ${percent(locked[0])} and ${percent(locked[1])}. ` : "";
    stop(`${holds ? "Holds" : "Does not show"} for this seed: ${said}. ${guess}One seed proves little: the kit's ` +
      `ledger asks for five on each side, and says of ${claim}: ${verdict}.`);
    const { shape, seed, taps } = sides[1].job;
    const more = ["positions", "lists", "rate", "width", "layers", "longer"].map((key) => `${key}=${form[key].value}`);
    $("line").value = `canon-tab seat=${seat ?? "-"} seed=${seed} task=${form.task.value} ` +
      `canon=${shape.canon || "-"} taps=${taps} ${more.join(" ")} without=${plain.toFixed(4)} with=${canon.toFixed(4)}`;
  }

  // -- pictures

  function draw() {
    const last = sides.map(({ curve }) => curve.at(-1)), { guess, curves } = kit();
    const ends = last.map((end, i) => `${percent(end?.[1])} ${SIDES[i].label}`);
    const { x, y, text, line, dot } = picture($("race"), `Share of right answers by step: ${ends.join(", ")}`, 122);
    for (const part of [0, 0.5]) text(`${part * steps()}`, x(part), 282);
    text(`${steps()} steps`, x(1), 282);
    line([[0, guess], [1, guess]], { class: "chance" });
    let above = 0; // the labels at the ends keep 18 pixels between them
    for (const i of [1, 0]) {
      const { colour, dash } = SIDES[i];
      for (const shares of locked || last[0] ? curves[i] : []) { // not before the guess
        const points = shares.map((share, i) => [(i + 1) / shares.length, share / 100]);
        line(points, { stroke: colour, "stroke-opacity": 0.25 });
      }
      if (locked) text("▸", x(0) - 3, y(locked[i]) + 5, { style: `fill:${colour}`, class: "end" });
      if (!last[i]) continue;
      line(sides[i].curve, { stroke: colour, "stroke-width": 3, "stroke-dasharray": dash });
      dot(last[i], { fill: colour });
      above = Math.max(y(last[i][1]) + 5, above + 18);
      text(ends[i], x(last[i][0]) + 10, above, { style: `fill:${colour}`, class: "end", "text-anchor": "start" });
    }
  }

  function show(i) {
    const { step, loss, work, kernels, scores, words, taps } = sides[i].news, place = $(`side${i}`);
    const slow = kernels === "WebAssembly" ? "" : ", about 12 times slower";
    const more = scores[2] === undefined ? "" : `, 2 hops ${percent(scores[2])}`;
    place.querySelector("output").textContent = percent(scores[1]) + more;
    place.querySelector("small").textContent = `step ${step} of ${steps()} · loss ${loss?.toFixed(2) ?? "–"} · ` +
      `${work.toFixed(1)} s of work (${kernels}${slow})`;
    place.querySelector("p").replaceChildren(...words.map(({ text, guess }) => !guess ? token(text)
      : guess === text ? token(text, "right") : token(guess, "wrong", `right: ${text}`)));
    if (taps) $("taps").replaceChildren(...taps.map((size, lag) => make("div", {}, lag ? `${lag} back` : "itself",
      make("span", {}, make("i", { style: `width:${(100 * size) / Math.max(...taps)}%` })), size.toFixed(2))));
    if ($("maps").open) showMaps();
  }

  /** Where each head looks in the test row; a slider chooses the token that reads. */
  function showMaps() {
    const row = (sides[1].news ?? sides[0].news)?.words;
    if (!row) return;
    form.reader.max = row.length - 2;
    const t = Number(form.reader.value);
    $("reads").textContent = `${t + 1}: “${row[t].text}”. Next comes “${row[t + 1].text}”.`;
    sides.forEach(({ news, job }, i) => $(`maps${i}`).replaceChildren(...(news?.maps ?? []).map((map, number) => {
      const size = map.length, best = map[t].indexOf(Math.max(...map[t])), { heads } = job.shape;
      const canvas = make("canvas", { width: size, height: size, role: "img", "aria-label": "attention map" });
      const pixels = canvas.getContext("2d");
      map.forEach((shares, r) => shares.forEach((share, s) => {
        pixels.fillStyle = `rgb(${SIDES[i].pixel} / ${r === t && s <= t ? 0.2 + 0.8 * share : share})`;
        pixels.fillRect(s, r, 1, 1);
      }));
      const where = `${SIDES[i].label} Canon, layer ${Math.floor(number / heads) + 1}, head ${(number % heads) + 1}`;
      const looks = `looks most at ${best + 1}: “${row[best].text}” (${percent(map[t][best])})`;
      return make("figure", {}, canvas, make("figcaption", {}, `${where} ${looks}`));
    })));
  }

  // -- by hand, and before the run

  function puzzle() {
    const copying = form.task.value === "copy";
    const task = copying ? TASKS.copy({ n: 5 }) : TASKS.depo({ N: 5, K: 2, V: 9, queries: 5 });
    const { tokens, hops } = task.row(7, puzzles++, 0), name = (t) => task.names[tokens[t]];
    if (!copying && !hops.includes(2)) return puzzle();
    const answer = copying ? 7 : hops.indexOf(2), missing = tokens.slice(answer, answer + (copying ? 5 : 1));
    const shown = Array.from(Array(copying ? 5 : 10), (_, t) => t + 1), choices = new Set(shown.map((t) => tokens[t]));
    const done = "Each time you found a name (anywhere), then took the one after it (next door).";
    $("task-text").textContent = copying ? "Repeat the list, symbol by symbol."
      : `In each pair the second comes after the first. Start at ${name(answer - 2)} and go 2 steps: where are you?`;
    $("given").replaceChildren(...shown.map((t) => token(name(t), !copying && t % 2 === 0 ? "pair" : "")));
    $("written").replaceChildren();
    $("said").textContent = "";
    $("keys").replaceChildren(...Array.from(choices).sort((a, b) => a - b).map((choice) => {
      const button = make("button", { type: "button" }, task.names[choice]);
      button.onclick = () => {
        const right = choice === missing[0];
        if (right) missing.shift();
        $("written").append(token(task.names[choice], right ? "right" : "wrong"));
        $("said").textContent = !right ? "No. Try again." : missing.length ? "Right. Go on." : `Done. ${done}`;
      };
      return button;
    }));
  }

  function lock() {
    locked = locked ? null : [form.guess0, form.guess1].map((slider) => slider.value / 100);
    form.guess0.disabled = form.guess1.disabled = Boolean(locked);
    $("lock").textContent = locked ? "Unlock my guess" : "Lock my guess";
    draw();
  }

  // -- the form

  /** A task's own sizes and rates, and nothing learnt yet. */
  function begin() {
    const { shape, grid, task, rate } = kit(), rates = grid.map((each) => make("option", {}, `${each}`));
    for (const name of ["width", "layers"]) for (const option of form[name].options) {
      option.selected = option.defaultSelected = Number(option.value) === shape[name];
    }
    form.rate.replaceChildren(...rates, make("option", { value: "own" }, "each side's best in the kit"));
    form.rate.value = rate;
    form.lists.disabled = task[0] !== "copy";
    if (locked) lock();
    stop("");
    sides = [{ curve: [] }, { curve: [] }];
    puzzle();
    changed();
  }

  /** Say what a run would take, and grey out the sizes that would take too long. */
  function changed() {
    for (const slider of form.querySelectorAll(".slide input")) {
      slider.nextElementSibling.value = slider.value + (slider.name.startsWith("guess") ? " %" : "");
    }
    $("by-hand").hidden = form.taps.value !== "by-hand";
    const seconds = (other) => pace * load(job(1, other));
    for (const option of form.querySelectorAll("[name=width] option, [name=layers] option")) {
      option.disabled = !option.selected && seconds({ [option.parentElement.name]: option.value }) > LONGEST_RUN;
    }
    $("cost").textContent = pace ? `About ${Math.ceil(seconds())} s on this device. ` : "";
    draw();
  }

  /** Set a control, as an address or an exercise asks; what is no choice of it changes nothing. */
  function choose(name, value) {
    const control = form.elements[name];
    if (name === "place") for (const box of control) box.checked = value.includes(box.value);
    else if (control?.options) for (const option of control.options) option.selected ||= option.value === value;
    else if (control?.type === "number") control.value = value;
  }

  /** The form as it was at first but for these choices, and go. */
  function setUp(choices) {
    const seed = form.seed.value;
    form.reset();
    begin();
    for (const [name, value] of [["seed", seed], ...new URLSearchParams(choices)]) choose(name, value);
    changed();
    start();
    $("race").scrollIntoView({ block: "center" });
  }

  // -- in class

  /** Pasted lines as dots; those of another experiment than the most common one are left out. */
  function drawClass() {
    const lines = $("lines").value.split("\n").filter((line) => line.trim()), groups = {};
    for (const line of lines) {
      const [, what, ...shares] = line.match(/canon-tab.* (task=.*) without=([\d.]+) with=([\d.]+)/) ?? [];
      if (what) (groups[what] ??= []).push(shares.map(Number));
    }
    const [what, dots] = Object.entries(groups).sort((a, b) => b[1].length - a[1].length)[0] ?? ["", []];
    const median = (i) => percent(dots.map((pair) => pair[i]).sort((a, b) => a - b)[dots.length >> 1]);
    const read = Object.values(groups).flat().length, others = read - dots.length, unread = lines.length - read;
    const notes = [`${dots.length} results: median ${median(0)} without, ${median(1)} with Canon (${what}).`];
    if (others) notes.push(`Left out: ${others} with other settings.`);
    if (unread) notes.push(`Not understood: ${unread} of the lines.`);
    $("summary").textContent = lines.length ? notes.join(" ") : "";
    const { x, text, line, dot } = picture($("dots"), notes.join(" "), 12);
    dots.forEach((shares, number) => {
      const pair = shares.map((share, i) => [0.25 + 0.5 * i + (((number * 0.618) % 1) - 0.5) / 4, share]);
      line(pair, { class: "grid" });
      pair.forEach((at, i) => dot(at, { fill: i ? SIDES[1].colour : "none", stroke: SIDES[i].colour }));
    });
    SIDES.forEach(({ label }, i) => text(label, x(0.25 + 0.5 * i), 284));
  }

  // -- and now

  choose("task", asked.get("task"));
  begin();
  for (const [name, value] of [["seed", seat ?? 0], ...asked]) choose(name, value);
  $("seat").textContent = seat === null ? "" : `Seat ${seat}: your seed is ${form.seed.value}. `;
  form.oninput = ({ target }) => (target.name === "task" ? begin() : target === form.reader ? showMaps() : changed());
  form.onsubmit = () => { start(); return false; };
  $("stop").onclick = () => stop("Stopped. “Train both” begins anew.");
  $("shuffle").onclick = () => { form.seed.value = (Number(form.seed.value) + 1) % 1000; start(); };
  $("another").onclick = puzzle;
  $("lock").onclick = lock;
  $("maps").ontoggle = showMaps;
  $("lines").oninput = drawClass;
  $("copy-line").onclick = () => { $("line").select(); document.execCommand("copy"); };
  for (const button of document.querySelectorAll("[data-set]")) button.onclick = () => setUp(button.dataset.set);
  addEventListener("resize", () => { draw(); drawClass(); });
  changed();
  drawClass();
  const trial = job(1), works = []; // how fast is this device, once it is warm?
  trial.training = { ...trial.training, steps: 8, evaluation_rows: 1 };
  work({ ...trial, every: 4 }, (news) => {
    if (!news.done) works.push(news.work);
    else if (!pace) pace = (2 * (works[2] - works[1])) / load(trial);
    if (news.done) changed();
  });
}

if (typeof document !== "undefined") page();
