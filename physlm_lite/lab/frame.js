// What every drawing of ours in a browser stands on: elements, controls, axes. A frame's module is this text and its own behind it.

const SVG = "http://www.w3.org/2000/svg";
let serial = 0;

// -- elements and controls ---------------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

function short(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 10000) return Math.round(value).toLocaleString("en");
  return String(size >= 0.001 || size === 0 ? Number(value.toPrecision(3)) : value.toPrecision(2)).replace("-", "−");
}

const unique = (values) => [...new Set(values)];
const known = (values) => values.filter((value) => value != null);
const rising = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

function press(said, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, said);
}

function bullets(lines) {
  return h(
    "ul",
    {},
    lines.map((line) => h("li", {}, line)),
  );
}

function table(head, lines) {
  const line = (cells, tag) =>
    h(
      "tr",
      {},
      cells.map((cell) => h(tag, tag === "th" ? { scope: "col" } : {}, cell)),
    );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": head.join(", ") },
    h(
      "table",
      {},
      h("thead", {}, line(head, "th")),
      h(
        "tbody",
        {},
        lines.map((cells) => line(cells, "td")),
      ),
    ),
  );
}

function folded(title, ...content) {
  return h("details", {}, h("summary", {}, title), ...content);
}

function chosen(label, options, value, change) {
  const id = `physlm-${++serial}`;
  const select = h("select", { id, onchange: () => change(select.value) });
  offer(select, options, value);
  return [h("div", { class: `field f-${label}` }, h("label", { for: id }, label), select), select];
}

function offer(select, options, value) {
  const before = [...select.options].map((o) => `${o.value}|${o.text}`).join();
  const now = options.map(([v, text]) => h("option", { value: v }, text ?? String(v)));
  if (before !== now.map((o) => `${o.value}|${o.text}`).join()) select.replaceChildren(...now);
  select.value = value;
}

// -- axes --------------------------------------------------------------------------------------------------------------

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5].find((m) => m * power >= rough * 0.999) ?? 10);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step)
    found.push(Math.abs(at) < step * 1e-6 ? 0 : at);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const digit of high / low > 12 ? [1, 3] : [1, 2, 5]) found.push(digit * 10 ** power);
  const inside = found.filter((at) => at >= low * 0.999 && at <= high * 1.001);
  return inside.length > 1 ? inside : [low, high];
}

// A scale from values to pixels; logarithmic for distances, where equal ratios should look equal.
function scaled(values, from, to, { share = false, log = false, zero = false } = {}) {
  let low = Math.min(...values, ...(share || zero ? [0] : []));
  let high = Math.max(...values, ...(share ? [1] : []));
  if (!Number.isFinite(low)) [low, high] = [0, 1];
  if (log && low > 0) {
    if (high / low < 1.5) [low, high] = [low / 1.25, high * 1.25];
    else [low, high] = [low / 1.08, high * 1.08];
    const place = (v) => from + ((Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (to - from);
    return { place, at: logTicks(low, high) };
  }
  if (high - low < 1e-12) [low, high] = [low - 0.5, high + 0.5];
  const room = share ? 0 : (high - low) * 0.04;
  [low, high] = [low === 0 ? 0 : low - room, high + room];
  return {
    place: (v) => from + ((v - low) / (high - low)) * (to - from),
    at: ticks(low, high, Math.max(2, Math.abs(to - from) / 70)),
  };
}

function text(x, y, said, look, anchor = "start") {
  return s("text", { x, y, class: look, "text-anchor": anchor }, said);
}

function line(x1, y1, x2, y2, look, ...inside) {
  return s("line", { x1, y1, x2, y2, class: look }, inside);
}

function dot(cx, cy) {
  return s("circle", { cx, cy, r: 3.5, class: "steps" });
}

function box(cx, cy) {
  return s("rect", { x: cx - 3, y: cy - 3, width: 6, height: 6, class: "seconds" });
}

function upright(x, y1, y2, look, ...inside) {
  return line(x, y1, x, y2, look, ...inside);
}

// The marks of an axis below a panel, with lines through it.
function below(x, top, bottom) {
  return x.at.flatMap((at) => [
    upright(x.place(at), top, bottom, "grid"),
    text(x.place(at), bottom + 14, short(at), "tick", "middle"),
  ]);
}

function picture(width, height, said, children) {
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said }, children);
}

function bounded(values) {
  const found = known(values);
  return found.length ? `${short(Math.min(...found))} to ${short(Math.max(...found))}` : "no number";
}

// -- what follows the finger -------------------------------------------------------------------------------------------

// A slider that says its value; `set` moves it without telling.
function slider(label, { min, max, step = 1, value, said = short }, change) {
  const id = `physlm-${++serial}`;
  const input = h("input", { id, type: "range", min, max, step, value });
  const told = h("output", { for: id });
  const set = (v) => {
    input.value = v;
    told.textContent = said(Number(v));
    input.setAttribute("aria-valuetext", told.textContent);
  };
  input.addEventListener("input", () => (set(input.value), change(Number(input.value))));
  set(value);
  return { field: h("div", { class: "field" }, h("label", { for: id }, `${label}: `, told), input), input, set };
}

function switched(label, checked, change) {
  const input = h("input", { type: "checkbox", checked, onchange: () => change(input.checked) });
  return h("label", { class: "switch" }, input, label);
}

// A part of a picture that has a value and is moved by the keyboard as a slider is; `show(value, said, ...shapes)` draws it.
function handle(label, { min, max, step = 1 }, change) {
  const look = { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": min, "aria-valuemax": max };
  let at = min;
  const steps = { ArrowUp: step, ArrowRight: step, ArrowDown: -step, ArrowLeft: -step, PageUp: 3 * step, PageDown: -3 * step };
  const moved = (key) => (key === "Home" ? min : key === "End" ? max : key in steps ? at + steps[key] : null);
  const node = s("g", {
    ...look,
    onkeydown: (event) => {
      const wanted = moved(event.key);
      if (wanted == null) return;
      event.preventDefault();
      change(stepped(wanted, min, max, step));
    },
  });
  const show = (value, said, ...shapes) => {
    at = value;
    node.setAttribute("aria-valuenow", value);
    node.setAttribute("aria-valuetext", said);
    node.replaceChildren(...shapes.flat(Infinity).filter(Boolean));
  };
  return { node, show };
}

function stepped(value, min, max, step = 1) {
  return Math.min(max, Math.max(min, Number((Math.round(value / step) * step).toFixed(6))));
}

// A picture to drag in: `grab(x, y)` says what takes hold there, as a function of where the finger goes, or nothing. Where it
// goes sideways alone, a finger can still scroll the page.
function follow(svg, grab, sideways = false) {
  const at = (event) => {
    const { left, top, width } = svg.getBoundingClientRect();
    const unit = svg.viewBox.baseVal.width / width;
    return [(event.clientX - left) * unit, (event.clientY - top) * unit];
  };
  let move = null;
  svg.classList.add("follows");
  svg.style.touchAction = sideways ? "pan-y" : "none";
  svg.addEventListener("pointerdown", (event) => {
    move = event.isPrimary && event.button === 0 ? grab(...at(event)) : null;
    if (!move) return;
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
    move(...at(event));
  });
  svg.addEventListener("pointermove", (event) => move?.(...at(event)));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (move = null));
  return svg;
}

// Which of the places lies nearest.
const nearestOf = (places, value) =>
  places.reduce((best, place, i) => (Math.abs(place - value) < Math.abs(places[best] - value) ? i : best), 0);

function rect(x, y, width, height, look, ...inside) {
  return s("rect", { x, y, width, height, class: look }, inside);
}

const roomIn = (root) => Math.max(280, Math.floor(root.clientWidth) - 2 * parseFloat(getComputedStyle(root).paddingLeft));

// Puts a view onto the page, and draws it anew when there is another width for it; its frame grows with it.
function mount(view, data, place) {
  const root = h("div", { class: "physlm touch" }),
    memory = {};
  let size = 0;
  const draw = () => root.replaceChildren(view(data, (size = roomIn(root)), memory));
  place.replaceChildren(root);
  draw();
  new ResizeObserver(() => {
    if (Math.abs(roomIn(root) - size) > 40) draw();
    const frame = window.frameElement; // null where the page stands for itself
    if (frame) frame.style.height = `${root.offsetHeight}px`;
  }).observe(root);
}
