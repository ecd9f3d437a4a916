// Four taps of a Canon layer to drag: which token is mixed into which, and what becomes of a signal.

// [target][source]: what a source gives to a target. A tap that would reach into another example counts as zero.
function shares(taps, documents, identity) {
  return documents.map((own, target) =>
    documents.map((other, source) => {
      const lag = target - source;
      if (lag < 0 || lag >= taps.length || own !== other) return 0;
      return taps[lag] + (identity && lag === 0 ? 1 : 0);
    }),
  );
}

function mixed(signal, matrix) {
  return matrix.map((row) => row.reduce((sum, share, source) => sum + share * signal[source], 0));
}

const BEFORE = ["this token", "1 before", "2 before", "3 before"];
const digits = (value) => value.toFixed(1).replace("-0.0", "0.0").replace("-", "−");

// data: {words, documents, signal, taps, goals: [{said, shares, identity}]}
function view(data, width, memory) {
  const { words, documents } = data;
  const now = (memory.now ??= { taps: [...data.taps], signal: [...data.signal], identity: true, apart: true, target: data.target });
  const told = h("p", { class: "told", role: "status" }),
    goals = h("ul", { class: "goals" });
  const matrix = () => shares(now.taps, now.apart ? documents : documents.map(() => 0), now.identity);
  const change = (act) => (act(), draw());
  const parts = [tapsPanel(now, change), matrixPanel(words, now, change), signalPanel(data, Math.min(width, 900), now, change)];

  function draw() {
    const shown = matrix(),
      after = mixed(now.signal, shown);
    parts.forEach((part) => part.draw(shown, after));
    const terms = words.map((word, source) => [word, shown[now.target][source]]).filter(([, share]) => Math.abs(share) > 1e-9);
    const sum = terms.reverse().map(([word, share], i) => `${share < 0 ? "− " : i ? "+ " : ""}${digits(Math.abs(share))} · ${word}`);
    told.replaceChildren(h("strong", {}, `new “${words[now.target]}” = `), sum.join(" ") || "0");
    goals.replaceChildren(
      ...data.goals.map((goal) => {
        const met = now.taps.every((tap, lag) => Math.abs(tap + (now.identity && !lag ? 1 : 0) - goal.shares[lag]) < 1e-9);
        const done = met && (goal.identity == null || goal.identity === now.identity);
        return h("li", { class: done ? "met" : "" }, h("b", {}, done ? "✓" : "○"), goal.said, done && " Done.");
      }),
    );
  }
  draw();
  return h(
    "section",
    { "aria-label": "the taps of a Canon layer" },
    h(
      "div",
      { class: "dials" },
      switched("identity term", now.identity, (on) => change(() => (now.identity = on))),
      switched("examples kept apart", now.apart, (on) => change(() => (now.apart = on))),
      press("one impulse", () => change(() => (now.signal = words.map((_, i) => Number(i === now.target)))), { class: "small" }),
    ),
    h("div", { class: "pair" }, parts[0].svg, parts[1].svg),
    told,
    parts[2].svg,
    goals,
  );
}

// The taps as bars from −1 to 1.
function tapsPanel(now, change) {
  const width = 268,
    middle = 100,
    unit = 70;
  const place = BEFORE.map((_, lag) => 34 + 66 * lag);
  const set = (lag, value) => change(() => (now.taps[lag] = stepped(value, -1, 1, 0.1)));
  const handles = BEFORE.map((name, lag) => handle(`tap, ${name}`, { min: -1, max: 1, step: 0.1 }, (value) => set(lag, value)));
  const scale = [-1, 0, 1].map((v) => [line(4, middle - unit * v, width, middle - unit * v, v ? "grid" : "none")]);
  const named = BEFORE.map((name, lag) => text(place[lag], 194, name, "name", "middle"));
  const svg = picture(width, 200, "", [text(0, 12, "drag the taps", "title"), scale, named, handles.map((one) => one.node)]);
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", "the four taps");
  follow(svg, (x) => {
    const lag = nearestOf(place, x);
    return (_, y) => set(lag, (middle - y) / unit);
  });
  function draw() {
    now.taps.forEach((tap, lag) => {
      const y = middle - unit * tap,
        said = text(place[lag] + 15, y + (tap < 0 ? 12 : -4), digits(tap), "strong halo");
      const bar = s("rect", { x: place[lag] - 9, y: Math.min(y, middle), width: 18, height: Math.abs(y - middle), class: "fill" });
      const room = rect(place[lag] - 22, middle - unit - 6, 44, 2 * unit + 12, "", s("title", {}, BEFORE[lag]));
      room.setAttribute("fill", "transparent");
      const look = s("g", { class: `c${lag}` }, room, bar, s("circle", { cx: place[lag], cy: y, r: 8, class: "knob" }), said);
      handles[lag].show(tap, digits(tap), look);
    });
  }
  return { svg, draw };
}

// Row: the token that receives; column: where it comes from. A finger on a row chooses the token.
function matrixPanel(words, now, change) {
  const cell = 30,
    left = 66,
    top = 64,
    size = cell * words.length;
  const drawn = s("g"),
    svg = picture(left + size + 34, top + size + 4, "", [drawn]);
  follow(svg, (x, y) => y > top && ((_, at) => change(() => (now.target = stepped((at - top) / cell - 0.5, 0, words.length - 1)))));
  function draw(matrix) {
    const shapes = words.map((word, i) => [
      text(left - 6, top + cell * i + 19, word, i === now.target ? "strong" : "", "end"),
      s("text", { transform: `translate(${left + cell * i + 12} ${top - 6}) rotate(-45)` }, word),
    ]);
    matrix.forEach((row, i) =>
      row.forEach((share, j) => {
        const none = Math.abs(share) < 1e-9,
          x = left + cell * j,
          y = top + cell * i;
        const face = s("rect", { x, y, width: cell - 1, height: cell - 1, class: `fill ${share < 0 ? "c0" : "c1"}` });
        face.setAttribute("fill-opacity", none ? 0 : Math.min(0.75, 0.12 + 0.45 * Math.abs(share)));
        shapes.push(rect(x, y, cell - 1, cell - 1, "plate"), face);
        if (!none) shapes.push(text(x + cell / 2, y + 19, digits(share), "tick ink", "middle"));
      }),
    );
    const around = { x: left - 1, y: top + cell * now.target - 1, width: size + 1, height: cell + 1, class: "stroke c4" };
    drawn.replaceChildren(...[text(0, 12, "row: receives; column: gives", "title"), ...shapes.flat(), s("rect", { ...around, "stroke-width": 2 })]);
    svg.setAttribute("aria-label", `what each word gives to each; “${words[now.target]}” receives ${matrix[now.target].map(digits).join(", ")}`);
  }
  return { svg, draw };
}

// Above, the signal: a number a token, to be dragged; below, what the layer makes of it; between them, the taps at work.
function signalPanel({ words, documents }, width, now, change) {
  const step = (width - 20) / words.length,
    place = words.map((_, i) => 14 + step * (i + 0.5));
  const [before, after, unit] = [64, 268, 30]; // the two zero lines, and the height of 1
  const [from, to] = [before + unit + 14, after - 2 * unit - 16];
  const set = (i, value) => change(() => (now.signal[i] = stepped(value, -1, 1, 0.1)));
  const values = words.map((word, i) => handle(`signal at ${word}`, { min: -1, max: 1, step: 0.1 }, (value) => set(i, value)));
  const choose = (i) => change(() => (now.target = i));
  const cursor = handle("the token that receives", { min: 0, max: words.length - 1 }, choose);
  const drawn = s("g"),
    svg = picture(width, after + 2 * unit + 34, "", [drawn, values.map((one) => one.node), cursor.node]);
  svg.setAttribute("role", "group");
  follow(svg, (x, y) => {
    const i = nearestOf(place, x);
    if (y < from) return (_, at) => set(i, (before - at) / unit);
    return (at) => choose(nearestOf(place, at));
  });
  const bar = (x, zero, value, look) => {
    const end = zero - unit * Math.max(-2, Math.min(2, value));
    return s("rect", { x: x - 11, y: Math.min(zero, end), width: 22, height: Math.abs(end - zero), class: look });
  };
  function draw(matrix, result) {
    const shapes = [text(0, 12, "before: drag the signal", "title"), text(0, to + 16, "after", "title halo"), line(4, before, width, before, "none")];
    shapes.push(line(4, after, width, after, "none"));
    documents.forEach((own, i) => {
      if (!i || own === documents[i - 1]) return;
      const x = (place[i] + place[i - 1]) / 2;
      shapes.push(upright(x, 18, after + 2 * unit + 30, "floor"), text(x + 5, 28, "next example", "tick"));
    });
    matrix.forEach((row, target) =>
      row.forEach((share, source) => {
        const lag = target - source,
          mine = target === now.target;
        if (Math.abs(share) < 1e-9) return;
        const [a, b, half] = [place[source], place[target], (from + to) / 2];
        const look = { d: `M${a} ${from}C${a} ${half} ${b} ${half} ${b} ${to}`, class: `stroke c${lag}`, "stroke-width": 1 + 3 * Math.abs(share) };
        shapes.push(s("path", { ...look, "stroke-opacity": mine ? 1 : 0.16, "stroke-dasharray": share < 0 ? "6 4" : "" }));
      }),
    );
    result.forEach((value, i) => {
      const up = value >= 0 ? -1 : 1;
      const end = after + up * unit * Math.min(2, Math.abs(value));
      shapes.push(bar(place[i], after, value, `fill ${i === now.target ? "c4" : "c7"}`));
      shapes.push(text(place[i], end + (up < 0 ? -4 : 14), digits(value), i === now.target ? "strong halo" : "tick halo", "middle"));
      shapes.push(text(place[i], after + 2 * unit + 28, words[i], i === now.target ? "strong" : "", "middle"));
    });
    drawn.replaceChildren(...shapes);
    now.signal.forEach((value, i) => {
      const room = s("rect", { x: place[i] - step / 2, y: 16, width: step, height: from - 18, fill: "transparent" });
      const knob = s("circle", { cx: place[i], cy: before - unit * value, r: 6, class: "knob" });
      const said = text(place[i] + 12, before - unit * value + 4, digits(value), "tick halo");
      values[i].show(value, digits(value), s("g", { class: "c7" }, room, bar(place[i], before, value, "fill"), knob), said);
    });
    const around = { x: place[now.target] - step / 2 + 2, y: to + 4, width: step - 4, height: after + 2 * unit + 30 - to, rx: 6 };
    cursor.show(now.target, words[now.target], s("rect", { ...around, class: "stroke c4", "pointer-events": "none" }));
    svg.setAttribute("aria-label", `before: ${now.signal.map(digits).join(", ")}; after: ${result.map(digits).join(", ")}`);
  }
  return { svg, draw };
}
