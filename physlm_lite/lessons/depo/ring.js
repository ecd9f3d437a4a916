// A hidden ring to walk along: the question is dragged round it, and the text shows where each hop finds its pair.

// The walk from a place of the ring: for each hop, which pair of the text is used. edges[i]: the place of the i-th pair's key.
function walk(edges, from, hops) {
  const n = edges.length;
  return Array.from({ length: hops }, (_, i) => edges.indexOf((from + i) % n));
}

// data: {rings: [{names, edges}], first: the smallest n, n, k, K, key}: names in the order of the ring.
function view(data, width, memory) {
  const single = data.rings.every(({ names }) => names.every((name) => !name.includes(" "))); // else one before is not the name
  const now = (memory.now ??= { n: data.n, k: data.k, key: data.key, canon: single, found: false });
  const of = () => data.rings[now.n - data.first];
  const change = (act) => (act(), draw());
  const ring = ringPanel(data, of, (key) => change(() => (now.key = key))),
    text = textPanel(data, Math.min(width, 728), of);
  const told = h("div", { class: "told", role: "status" }),
    goals = h("ul", { class: "goals" });
  const resize = (n) => change(() => ((now.n = n), (now.key = now.key % n)));
  const sizes = slider("n, names", { min: data.first, max: data.first + data.rings.length - 1, value: now.n }, resize);
  const hops = slider("k, hops", { min: 1, max: data.K, value: now.k }, (k) => change(() => (now.k = k)));

  function draw() {
    const { names, edges } = of(),
      path = walk(edges, now.key, now.k),
      answer = names[(now.key + now.k) % now.n];
    ring.draw(now.key, now.k);
    text.draw(now, path, answer);
    const back = path.filter((pair, i) => i && pair < path[i - 1]).length;
    const one = now.k === 1;
    told.replaceChildren(
      h("p", {}, h("strong", {}, `Who is ${now.k} step${one ? "" : "s"} after ${names[now.key]}? `),
        `${names[now.key]} → ${path.map((_, i) => names[(now.key + i + 1) % now.n]).join(" → ")}. Guessing: 1 in ${now.n - 1}.`),
      h("p", {}, one ? "One pair is enough." : `Of the ${now.k - 1} jump${now.k > 2 ? "s" : ""} from pair to pair, ${back} go${back === 1 ? "es" : ""} back in the text.`),
    );
    now.found ||= now.k % now.n === 0;
    const said = "Find a question whose answer is the name that was asked.";
    goals.replaceChildren(h("li", { class: now.found ? "met" : "" }, h("b", {}, now.found ? "✓" : "○"), said));
  }
  draw();
  return h(
    "section",
    { "aria-label": "a ring and the text that hides it" },
    h("div", { class: "dials" }, sizes.field, hops.field,
      single && switched("Canon, one before", now.canon, (on) => change(() => (now.canon = on)))),
    ring.svg,
    told,
    text.svg,
    goals,
  );
}

const longest = (rings) => Math.max(...rings.flatMap(({ names }) => names.map((name) => name.length)));

function ringPanel({ rings, first }, of, ask) {
  const [middle, radius] = [150, 108];
  const choose = handle("the name that is asked", { min: 0, max: first + rings.length - 2 }, (key) => ask(key % of().names.length)),
    drawn = s("g"),
    svg = picture(300, 290, "", [text(0, 12, "drag the question round the ring", "title"), drawn, choose.node]);
  svg.setAttribute("role", "group");
  const half = Math.max(15, 6 + 3.5 * longest(rings));
  const chip = (x, y, look, grow = 0) =>
    s("rect", { x: x - half - grow, y: y - 15 - grow, width: 2 * (half + grow), height: 30 + 2 * grow, rx: 15 + grow, ...look });
  const angle = (i, n) => (2 * Math.PI * i) / n - Math.PI / 2;
  const at = (i, n, r = radius) => [middle + r * Math.cos(angle(i, n)), middle + 8 + r * Math.sin(angle(i, n))];
  follow(svg, () => (x, y) => {
    const n = of().names.length,
      turn = Math.atan2(y - middle - 8, x - middle) + Math.PI / 2;
    ask(((Math.round((turn * n) / (2 * Math.PI)) % n) + n) % n);
  });
  function draw(key, hops) {
    const { names } = of(),
      n = names.length,
      answer = (key + hops) % n,
      shapes = [];
    const gap = 19 / radius;
    for (let i = 0; i < n; i++) {
      const done = (i - key + n) % n < hops,
        [from, to] = [angle(i, n) + gap, angle(i + 1, n) - gap];
      const point = (a) => `${middle + radius * Math.cos(a)} ${middle + 8 + radius * Math.sin(a)}`;
      const arc = { d: `M${point(from)}A${radius} ${radius} 0 0 1 ${point(to)}`, class: "stroke", "stroke-width": done ? 4 : 1.5 };
      const [x, y] = [middle + radius * Math.cos(to), middle + 8 + radius * Math.sin(to)];
      const head = { d: "M2 0l-9 -5v10z", class: "fill", transform: `translate(${x} ${y}) rotate(${(to * 180) / Math.PI + 90})` };
      shapes.push(s("g", { class: done ? "c1" : "c7", opacity: done ? 1 : 0.55 }, s("path", arc), s("path", head)));
    }
    names.forEach((name, i) => {
      const [x, y] = at(i, n);
      shapes.push(chip(x, y, { class: "plate" }));
      if (i === answer) shapes.push(chip(x, y, { class: "fill c5", "fill-opacity": 0.55 }));
      shapes.push(text(x, y + 4.5, name, i === key || i === answer ? "strong" : "", "middle"));
    });
    const [ax, ay] = at(answer, n, radius - 34);
    shapes.push(text(ax, ay + 4, "answer", "tick halo", "middle"));
    drawn.replaceChildren(...shapes);
    const [x, y] = at(key, n);
    choose.show(key, names[key], chip(x, y, { class: "stroke c0", "stroke-width": 4 }, 2));
    svg.setAttribute("aria-label", `a ring of ${names.join(", ")}; ${hops} steps from ${names[key]} lead to ${names[answer]}`);
  }
  return { svg, draw };
}

// The pairs in the order of the text, and over them the jumps of the walk. With Canon, each value carries the name before it.
function textPanel({ rings }, width, of) {
  const cell = Math.max(25, 9 + 7 * longest(rings)),
    [pair, rise] = [2 * cell + 10, 84];
  const columns = Math.floor((width - 8) / pair),
    svg = picture(width, 100, "", []);
  const at = (i) => [8 + pair * (i % columns), 58 + rise * Math.floor(i / columns)];
  const letter = (x, y, said, look = "") => [
    s("rect", { x, y, width: cell, height: 26, rx: 4, class: "plate" }),
    look && s("rect", { x, y, width: cell, height: 26, rx: 4, class: `fill ${look}`, "fill-opacity": 0.35 }),
    text(x + cell / 2, y + 18, said, "", "middle"),
  ];
  function draw({ n, k, key, canon }, path, answer) {
    const { names, edges } = of(),
      fits = (n % columns || columns) + Math.ceil((108 + 2 * cell) / pair) <= columns, // the question, behind the last pair
      asked = fits ? n : columns * Math.ceil(n / columns),
      rows = 1 + Math.floor(asked / columns),
      height = 22 + rise * rows + 14;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const shapes = [text(0, 14, "the text, and where the walk finds each hop", "title")];
    edges.forEach((place, i) => {
      const [x, y] = at(i),
        [source, target] = [names[place], names[(place + 1) % n]],
        used = path.includes(i);
      shapes.push(...letter(x, y, source, used && "c1"), ...letter(x + cell, y, target, used && "c1"));
      if (!canon) return;
      shapes.push(s("path", { d: `M${x + cell / 2} ${y + 28}q${cell / 2} 12 ${cell} 0`, class: "stroke c0", "stroke-width": 1.6 }));
      shapes.push(text(x + cell * 1.5, y + 46, `+ ${source}`, "tick", "middle"));
    });
    path.forEach((i, hop) => {
      const [x, y] = at(i);
      const hops = path.flatMap((other, j) => (other === i ? [j + 1] : []));
      shapes.push(hops[0] === hop + 1 && text(x + cell, y - 4, hops.join(", "), "strong halo", "middle"));
      if (!hop) return;
      const [from, above] = at(path[hop - 1]),
        [to, high] = [x + cell / 2, y - 12];
      const lift = 12 + Math.min(20, Math.abs(to - from) / 14);
      const d = `M${from + cell * 1.5} ${above - 3}C${from + cell * 1.5} ${above - lift - 12} ${to} ${high - lift} ${to} ${y - 3}`;
      shapes.push(s("path", { d, class: "stroke c1", "stroke-width": 2 }), s("path", { d: `M${to} ${y - 1}l-4 -8h8z`, class: "fill c1" }));
    });
    const [x, y] = at(asked);
    shapes.push(text(x + 14, y + 18, `<${k}>`, "tick", "middle"), ...letter(x + 32, y, names[key], "c0"));
    shapes.push(text(x + 59 + cell, y + 18, "<ans>", "tick", "middle"), ...letter(x + 83 + cell, y, answer, "c5"));
    svg.replaceChildren(...shapes.filter(Boolean));
    const said = edges.map((place) => `${names[place]} ${names[(place + 1) % n]}`).join(", ");
    svg.setAttribute("aria-label", `the text: ${said}; ${k} after ${names[key]}: ${answer}; pairs used: ${path.map((i) => i + 1).join(", ")}`);
  }
  return { svg, draw };
}
