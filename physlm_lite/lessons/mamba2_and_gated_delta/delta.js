// The state of a linear mixer, token by token, for two rules of writing: two keys to turn, a share and a decay to slide.

const RULES = ["adding", "correcting"];

// What each token does to an empty state [key channel][value channel]: what is kept of it, what is written, what it becomes.
function story(rule, keys, values, share, decay) {
  let state = [[0, 0], [0, 0]]; // prettier-ignore
  return keys.map((key, t) => {
    const kept = state.map((row) => row.map((v) => decay * v)),
      known = rule === "correcting" ? read(kept, key) : [0, 0];
    const value = values[t].map((v, j) => share * (v - known[j]));
    const written = key.map((k) => value.map((v) => k * v));
    state = kept.map((row, i) => row.map((v, j) => v + written[i][j]));
    return { kept, written, state };
  });
}

function read(state, key) {
  return state[0].map((_, j) => state.reduce((sum, row, i) => sum + key[i] * row[j], 0));
}

const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
const places = (value) => value.toFixed(2).replace("-0.00", "0.00").replace("-", "−");
const turned = (degrees) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
const EMPTY = [[0, 0], [0, 0]]; // prettier-ignore
const WANTED = [[1, 0], [0, 1]]; // prettier-ignore
const NAMES = ["older", "newer"];

// data: {degrees, share, decay, step, tokens}: how it begins, and how many tokens there are: one for each key, in turns.
function view(data, width, memory) {
  const now = (memory.now ??= { ...data });
  const told = h("div", { class: "told", role: "status" });
  const change = (act) => (act(), draw());
  const turn = keysPanel((value) => change(() => (now.degrees = value))),
    strip = stripPanel(data.tokens, Math.min(width, 620), (step) => change(() => (now.step = step))),
    panels = RULES.map(rulePanel);
  const share = slider("share b", { min: 0.1, max: 2.2, step: 0.1, value: now.share }, (v) => change(() => (now.share = v)));
  const decay = slider("decay: kept each time", { min: 0.5, max: 1, step: 0.05, value: now.decay }, (v) => change(() => (now.decay = v)));

  function draw() {
    const pair = [turned(0), turned(now.degrees)],
      keys = Array.from({ length: now.step }, (_, t) => pair[t % 2]),
      values = keys.map((_, t) => WANTED[t % 2]);
    turn.draw(now.degrees, now.step ? (now.step - 1) % 2 : -1);
    strip.draw(now.step);
    told.replaceChildren(
      ...RULES.map((rule, i) => {
        const last = story(rule, keys, values, now.share, now.decay).at(-1) ?? { kept: EMPTY, written: EMPTY, state: EMPTY };
        const got = pair.map((key) => read(last.state, key)),
          error = got.map((value, j) => far(value, WANTED[j]));
        panels[i].draw(last, got);
        return h("p", {}, h("strong", {}, `${rule}: `), `error ${places(error[0])} for the older value, ${places(error[1])} for the newer one`);
      }),
    );
  }
  draw();
  return h(
    "section",
    { "aria-label": "the state of the delta rule" },
    h("div", { class: "dials" }, share.field, decay.field),
    strip.svg,
    h("div", { class: "pair" }, turn.svg, h("div", {}, panels.map((panel) => panel.node))),
    told,
  );
}

// The two keys as arrows of length 1; the newer one is turned.
function keysPanel(set) {
  const [x, y, radius] = [84, 118, 66];
  const turn = handle("angle between the keys, in degrees", { min: 0, max: 180, step: 5 }, set),
    drawn = s("g"),
    svg = picture(168, 190, "the two keys", [text(0, 12, "turn the newer key", "title"), drawn, turn.node]);
  svg.setAttribute("role", "group");
  follow(svg, () => (px, py) => {
    const degrees = (Math.atan2(y - py, px - x) * 180) / Math.PI;
    set(stepped(degrees < -90 ? 180 : degrees, 0, 180, 5));
  });
  const arrow = (degrees, look) => {
    const [dx, dy] = turned(degrees);
    return line(x, y, x + radius * dx, y - radius * dy, `stroke ${look}`);
  };
  function draw(degrees, writing) {
    const [dx, dy] = turned(degrees);
    const first = arrow(0, "c0"),
      second = arrow(degrees, "c1");
    [first, second].forEach((one, i) => one.setAttribute("stroke-width", i === writing ? 5 : 2.5));
    drawn.replaceChildren(
      s("path", { d: `M${x + radius} ${y}A${radius} ${radius} 0 0 0 ${x - radius} ${y}`, class: "link" }),
      first,
      text(x + radius + 4, y + 16, "older", "", "end"),
      text(x, y + 46, `${degrees}°, cosine ${places(dx)}`, "", "middle"),
    );
    turn.show(
      degrees,
      `${degrees} degrees`,
      s("g", { class: "c1" }, second, s("circle", { cx: x + radius * dx, cy: y - radius * dy, r: 9, class: "knob" })),
      text(Math.min(140, Math.max(22, x + radius * dx)), y - radius * dy - 15, "newer", "halo", "middle"),
    );
  }
  return { svg, draw };
}

// The tokens in the order in which they are read; a finger says how many have been.
function stripPanel(tokens, width, set) {
  const step = (width - 70) / tokens,
    begin = 62;
  const cursor = handle("tokens read", { min: 0, max: tokens }, set),
    drawn = s("g"),
    svg = picture(width, 52, "the tokens", [drawn, cursor.node]);
  svg.setAttribute("role", "group");
  follow(svg, () => (x) => set(stepped((x - begin) / step, 0, tokens)), true);
  function draw(read) {
    const shapes = [text(0, 27, "tokens", "title")];
    for (let t = 0; t < tokens; t++) {
      const look = { x: begin + step * t + 2, y: 6, width: step - 4, height: 34, rx: 6, class: "plate" };
      shapes.push(s("rect", look), t < read && s("rect", { ...look, class: `fill c${t % 2}`, "fill-opacity": 0.25 }));
      shapes.push(text(begin + step * (t + 0.5), 27, step > 56 ? `${NAMES[t % 2]} pair` : NAMES[t % 2], t < read ? "" : "tick", "middle"));
    }
    drawn.replaceChildren(...shapes.filter(Boolean));
    const x = begin + step * read;
    cursor.show(read, `${read} of ${tokens}`, line(x, 2, x, 46, "stroke c4"), s("circle", { cx: x, cy: 46, r: 6, class: "knob c4" }));
  }
  return { svg, draw };
}

// One rule: the state that is kept, what is written, the state after; and what the two keys read from it.
function rulePanel(rule) {
  const cell = 46,
    lefts = [0, 120, 240],
    top = 46;
  const [x0, y0, side] = [12, 22, 146];
  const title = { adding: "adding: gated linear attention", correcting: "correcting: the delta rule" }[rule];
  const drawn = s("g"),
    states = picture(334, 176, "", [text(0, 12, title, "title"), drawn]),
    plane = picture(170, 186, "", []);
  function matrix(left, values, said) {
    const shapes = [text(left + cell, top - 8, said, "tick", "middle")];
    values.forEach((row, i) =>
      row.forEach((value, j) => {
        const look = { x: left + cell * j, y: top + cell * i, width: cell - 2, height: cell - 2 };
        const share = Math.abs(value) < 5e-3 ? 0 : Math.min(0.55, 0.1 + 0.35 * Math.abs(value));
        shapes.push(s("rect", { ...look, class: "plate" }), s("rect", { ...look, class: `fill ${value < 0 ? "c0" : "c1"}`, "fill-opacity": share }));
        shapes.push(text(look.x + cell / 2 - 1, look.y + cell / 2 + 4, places(value), "", "middle"));
      }),
    );
    return shapes;
  }
  function draw({ kept, written, state }, got) {
    const reach = Math.max(1.4, ...got.flat().map((v) => 1.1 * Math.abs(v))),
      low = Math.min(0.3, reach / 4 + Math.max(0, ...got.flat().map((v) => -v)));
    const at = ([a, b]) => [x0 + ((a + low) / (reach + low)) * side, y0 + side - ((b + low) / (reach + low)) * side];
    const [ox, oy] = at([0, 0]);
    drawn.replaceChildren(
      ...matrix(lefts[0], kept, "kept"),
      text(107, top + cell + 4, "+", "title", "middle"),
      ...matrix(lefts[1], written, "written: key × value"),
      text(227, top + cell + 4, "=", "title", "middle"),
      ...matrix(lefts[2], state, "state"),
      text(lefts[0], top + 2 * cell + 18, "rows: key channels", "tick"),
      text(lefts[0], top + 2 * cell + 34, "columns: value channels", "tick"),
    );
    const shapes = [
      text(x0 + side / 2, 12, "what is read", "title", "middle"),
      line(x0, oy, x0 + side, oy, "lane"),
      line(ox, y0, ox, y0 + side, "lane"),
    ];
    got.forEach((value, i) => {
      const [wx, wy] = at(WANTED[i]),
        [gx, gy] = at(value.map((v) => Math.max(-low, v)));
      const mark = i ? s("rect", { x: gx - 6, y: gy - 6, width: 12, height: 12, class: "fill" }) : s("circle", { cx: gx, cy: gy, r: 7, class: "fill" });
      const wanted = i ? s("rect", { x: wx - 9, y: wy - 9, width: 18, height: 18, class: "stroke" }) : s("circle", { cx: wx, cy: wy, r: 10, class: "stroke" });
      shapes.push(s("g", { class: `c${i}` }, line(wx, wy, gx, gy, "stroke dotted"), wanted, mark));
      shapes.push(text(wx + (i ? -9 : 0), wy + (i ? -14 : 24), `${NAMES[i]} value`, "halo", i ? "start" : "middle"));
    });
    plane.replaceChildren(...shapes);
    const said = (values) => values.map((row) => row.map(places).join(" ")).join("; ");
    states.setAttribute("aria-label", `${title}: kept ${said(kept)}; written ${said(written)}; state ${said(state)}`);
    plane.setAttribute("aria-label", `read with the older and with the newer key: ${said(got)}`);
  }
  return { node: h("div", { class: "pair" }, states, plane), draw };
}
