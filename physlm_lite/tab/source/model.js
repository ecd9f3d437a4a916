// A Transformer that learns, forwards and backwards by hand: the twin of models/language_model.py, training/trainer.py.
//
// A matrix is the place of its first number in the heap h, its rows follow each other. Parameters have the names that
// they have in the library; those that share an input stand together (query, key, value; gate, up), for one product.
// Texts follow each other without padding. w: width; f: width inside the feed-forward layer; n: tokens of a batch.
import { address, bits, unit } from "./draws.js";
import { TAPS } from "./kernels.js";

const round4 = (n) => Math.ceil(n / 4) * 4; // vectors hold four numbers

export class Model {
  /** shape: {vocab, width, layers, heads, hidden, canon: letters, rope, depth_scaling, eps, theta}; room: of the
   * largest batch, {tokens, rows, longest}; frozen: Canon layers keep their taps. */
  constructor(shape, room, frozen = false) {
    Object.assign(this, shape, { parameters: {}, top: 0, longest: room.longest, half: shape.width / shape.heads / 2 });
    const { vocab, width: w, hidden: f } = this, { tokens, rows, longest } = room;
    const add = (name, rows, columns, decays = true, trained = true) => (this.parameters[name] =
      { name, rows, columns, size: rows * columns, at: this.take(rows * columns), decays, trained });
    const joined = (first, ...rest) => ({ ...first, rows: first.rows * (1 + rest.length) });
    const place = (columns) => this.take(tokens * columns);

    this.embedding = add("embedding.weight", vocab, w);
    this.blocks = Array.from({ length: this.layers }, (_, l) => {
      const named = (name, ...rest) => add(`blocks.${l}.${name}.weight`, ...rest);
      const canon = (name, channels) => { // taps by lag
        const wanted = this.canon.includes(name.at(-1).toUpperCase());
        return wanted ? named(name, TAPS, channels, true, !frozen) : null;
      };
      return {
        norm1: named("mixer_norm", 1, w, false),
        A: canon("canon_a", w),
        read: joined(...["query", "key", "value"].map((name) => named(`mixer.${name}`, w, w))),
        B: canon("mixer.canon_b", 3 * w),
        output: named("mixer.output", w, w),
        norm2: named("feed_forward_norm", 1, w, false),
        C: canon("canon_c", w),
        up: joined(...["gate", "up"].map((name) => named(`feed_forward.${name}`, f, w))),
        D: canon("feed_forward.canon_d", 2 * f),
        down: named("feed_forward.down", w, f),
      };
    });
    this.norm = add("norm.weight", 1, w, false);
    this.head = add("head.weight", vocab, w);
    this.count = this.top; // the gradient of p is at p + count, AdamW's moments at p + 2 count and p + 3 count
    this.take(3 * this.count);

    this.stream = Array.from({ length: 2 * this.layers + 1 }, () => place(w)); // before each branch, and at the end
    for (const block of this.blocks) Object.assign(block, { // what the derivatives need again
      n1: place(w), a: place(w), qkv: place(3 * w), b: place(3 * w), mixed: place(w),
      looks: this.take(rows * this.heads * longest * round4(longest)),
      n2: place(w), c: place(w), gu: place(2 * f), d: place(2 * f), m: place(f), s: place(f),
      scale1: place(1), scale2: place(1),
    });
    Object.assign(this, { last: place(w), normed: place(w), scale: place(1), logits: place(round4(vocab)) });
    this.spare = [0, 1, 2].map(() => place(Math.max(2 * f, 3 * w)));
    this.turned = this.take(Math.max(3 * w, 2 * f, round4(vocab)) * Math.max(w, f));
    this.small = this.take(round4(longest) * 2 * this.half);
    this.dlooks = this.take(round4(longest) ** 2);
    [this.cosine, this.sine] = [0, 1].map(() => this.take(longest * this.half));
  }

  take(n) { this.top += round4(n); return this.top - round4(n); }
  get bytes() { return 4 * this.top; }

  /** Give it kernels, whose heap has `bytes`. */
  attach(kernels) {
    const { half, theta } = this, h = (this.h = kernels.heap);
    this.kernels = kernels;
    for (let t = 0; t < this.longest; t++) for (let i = 0; i < half; i++) { // the rotations of RoPE
      const angle = Math.fround(t * Math.fround(theta ** Math.fround(-i / half)));
      h[this.cosine + t * half + i] = Math.cos(angle);
      h[this.sine + t * half + i] = Math.sin(angle);
    }
    return this;
  }

  /** Draw the weights, each by its name (models/start.py): normal, cut at three deviations; taps uniform. */
  start(seed) {
    const depth = this.depth_scaling === "global" ? Math.sqrt(2 * (this.layers + 1)) : 1;
    this.h.fill(0, 0, 4 * this.count);
    for (const { name, at, size, columns, decays } of Object.values(this.parameters)) {
      const key = address(seed, ...Array.from(name, (letter) => letter.charCodeAt(0)));
      const wide = columns ** -0.5, std = /output|down/.test(name) ? wide / depth : wide;
      const bound = 3 * (/down/.test(name) ? std : wide);
      let drawn = 0;
      const uniform = () => unit(bits(key, 0, drawn++));
      const normal = () => {
        const x = std * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
        return Math.abs(x) <= bound ? x : normal();
      };
      const draw = !decays ? () => 1 : /canon/.test(name) ? () => (2 * uniform() - 1) * TAPS ** -0.5 : normal;
      for (let i = at; i < at + size; i++) this.h[i] = draw();
    }
  }

  get canons() { return this.blocks.flatMap(({ A, B, C, D }) => [A, B, C, D].filter(Boolean)); }

  /** Give every second channel of each Canon layer the same taps, by lag, and the others none. */
  setTaps(taps) {
    for (const p of this.canons) taps.forEach((tap, lag) => {
      this.tapsOf(p, lag).forEach((_, i, row) => (row[i] = i % 2 && tap));
    });
  }
  /** Their mean sizes, by lag. */
  tapSizes() {
    return Array.from({ length: TAPS }, (_, lag) => {
      const taps = this.canons.flatMap((p) => Array.from(this.tapsOf(p, lag)));
      return taps.reduce((sum, tap) => sum + Math.abs(tap), 0) / taps.length;
    });
  }
  tapsOf({ at, columns }, lag) { return this.h.subarray(at + lag * columns, at + (lag + 1) * columns); }

  // -- the pieces, each with its derivative

  /** y = x W^T for W = p [rows, columns]; the rows of y are `wide` numbers apart. */
  linear(x, n, p, y, wide = p.rows) {
    const { h, turned } = this;
    for (let i = 0; i < p.rows; i++) for (let j = 0; j < p.columns; j++) {
      h[turned + j * wide + i] = h[p.at + i * p.columns + j];
    }
    this.kernels.product(n, wide, p.columns, x, p.columns, 1, turned, wide, y, wide, 0);
  }
  linearBack(x, n, p, dy, dx, wide = p.rows) { // dx = dy W, dW += dy^T x
    this.kernels.product(p.rows, p.columns, n, dy, 1, wide, x, p.columns, p.at + this.count, p.columns, 1);
    this.kernels.product(n, p.columns, p.rows, dy, wide, 1, p.at, p.columns, dx, p.columns, 0);
  }

  /** RMSNorm: y = x g / sqrt(mean x^2 + eps); keeps the scale of each token. */
  rms(x, n, { at: g }, y, scales) {
    const { h, width: w } = this;
    for (let t = 0; t < n; t++) {
      let sum = 0;
      for (let i = t * w; i < (t + 1) * w; i++) sum += h[x + i] * h[x + i];
      const scale = (h[scales + t] = 1 / Math.sqrt(sum / w + this.eps));
      for (let i = 0; i < w; i++) h[y + t * w + i] = h[x + t * w + i] * scale * h[g + i];
    }
  }
  rmsBack(x, n, { at: g }, dy, dx, scales) { // dx is added to: the branch joins the stream here
    const { h, width: w, count } = this;
    for (let t = 0; t < n; t++) {
      const scale = h[scales + t], at = t * w;
      let dot = 0;
      for (let i = 0; i < w; i++) {
        const u = h[dy + at + i], z = h[x + at + i] * scale;
        h[g + count + i] += u * z;
        dot += u * h[g + i] * z;
      }
      dot *= scale / w;
      for (let i = 0; i < w; i++) h[dx + at + i] += scale * (h[dy + at + i] * h[g + i] - h[x + at + i] * dot);
    }
  }

  /** Canon, text by text; without the layer, the same numbers again. */
  shift(x, n, p, y, columns) {
    if (!p) this.h.copyWithin(y, x, x + n * columns);
    else for (const [begin, end] of this.texts) {
      this.kernels.shift(end - begin, columns, x + begin * columns, p.at, y + begin * columns);
    }
  }
  shiftBack(x, n, p, dy, dx, columns) {
    if (!p) this.h.copyWithin(dx, dy, dy + n * columns);
    else for (const [begin, end] of this.texts) {
      const at = begin * columns;
      this.kernels.shiftBack(end - begin, columns, x + at, p.at, p.at + this.count, dy + at, dx + at);
    }
  }

  /** RoPE, in place, on queries and keys; sign -1 turns back, which is its derivative. */
  rotate(b, sign) {
    const { h, width: w, half, cosine, sine } = this, heads = this.rope ? 2 * this.heads : 0;
    for (const [begin, end] of this.texts) for (let t = begin; t < end; t++) for (let head = 0; head < heads; head++) {
      const at = b + t * 3 * w + head * 2 * half, table = (t - begin) * half;
      for (let i = 0; i < half; i++) {
        const c = h[cosine + table + i], s = sign * h[sine + table + i], u = h[at + i], v = h[at + half + i];
        h[at + i] = u * c - v * s;
        h[at + half + i] = u * s + v * c;
      }
    }
  }

  /** For each text and head: where its map, queries and output begin. */
  eachHead(block, out, each) {
    const { width: w, half } = this;
    let looks = block.looks;
    for (const [begin, end] of this.texts) for (let head = 0; head < this.heads; head++) {
      const n = end - begin, wide = round4(n), at = head * 2 * half;
      each(n, wide, looks, block.b + begin * 3 * w + at, out + begin * w + at);
      looks += n * wide;
    }
  }

  /** One head's keys or values, turned on their side, times a factor. */
  turn(from, n, wide, factor) {
    const { h, small, width: w, half } = this;
    for (let s = 0; s < wide; s++) for (let i = 0; i < 2 * half; i++) {
      h[small + i * wide + s] = s < n ? h[from + s * 3 * w + i] * factor : 0;
    }
  }

  /** mixed = softmax(q k^T / sqrt(head)) v, over the tokens up to each one. */
  attend(block) {
    const { h, width: w, half, small, kernels: { product } } = this;
    this.eachHead(block, block.mixed, (n, wide, looks, query, out) => {
      this.turn(query + w, n, wide, (2 * half) ** -0.5);
      product(n, wide, 2 * half, query, 3 * w, 1, small, wide, looks, wide, 0);
      for (let t = 0; t < n; t++) {
        const at = looks + t * wide;
        let top = -Infinity, sum = 0;
        for (let s = 0; s <= t; s++) top = Math.max(top, h[at + s]);
        for (let s = 0; s <= t; s++) sum += h[at + s] = Math.exp(h[at + s] - top);
        for (let s = 0; s < wide; s++) h[at + s] = s <= t ? h[at + s] / sum : 0;
      }
      product(n, 2 * half, n, looks, wide, 1, query + 2 * w, 3 * w, out, w, 0);
    });
  }
  attendBack(block, dmixed, db) {
    const { h, width: w, half, small, dlooks, kernels: { product } } = this, factor = (2 * half) ** -0.5;
    this.eachHead(block, dmixed, (n, wide, looks, query, dout) => {
      const dquery = query - block.b + db;
      this.turn(query + 2 * w, n, wide, 1);
      product(n, wide, 2 * half, dout, w, 1, small, wide, dlooks, wide, 0);
      for (let t = 0; t < n; t++) {
        const at = dlooks + t * wide, look = looks + t * wide;
        let dot = 0;
        for (let s = 0; s <= t; s++) dot += h[at + s] * h[look + s];
        for (let s = 0; s < wide; s++) h[at + s] = s <= t ? h[look + s] * (h[at + s] - dot) * factor : 0;
      }
      product(n, 2 * half, n, dlooks, wide, 1, query + w, 3 * w, dquery, 3 * w, 0);
      product(n, 2 * half, n, dlooks, 1, wide, query, 3 * w, dquery + w, 3 * w, 0);
      product(n, 2 * half, n, looks, 1, wide, dout, w, dquery + 2 * w, 3 * w, 0);
    });
  }

  // -- the whole

  copyRow(to, i, from, j) { const w = this.width; this.h.copyWithin(to + i * w, from + j * w, from + (j + 1) * w); }
  add(to, from, size) { for (let i = 0; i < size; i++) this.h[to + i] += this.h[from + i]; }

  /** The logits of all tokens that are asked for, in rows {tokens, targets}. */
  forward(rows) {
    const { h, width: w, hidden: f } = this;
    this.tokens = []; this.texts = []; this.asked = []; this.answers = [];
    for (const { tokens, targets } of rows) {
      const begin = this.tokens.length;
      for (let t = 0; t + 1 < tokens.length; t++) {
        this.tokens.push(tokens[t]);
        if (targets[t + 1]) { this.asked.push(begin + t); this.answers.push(tokens[t + 1]); }
      }
      this.texts.push([begin, this.tokens.length]);
    }
    const n = this.tokens.length;
    this.tokens.forEach((token, t) => this.copyRow(this.stream[0], t, this.embedding.at, token));
    this.blocks.forEach((block, l) => {
      const [x, y, z] = this.stream.slice(2 * l), { n1, a, qkv, b, mixed, n2, c, gu, d, m, s } = block;
      this.rms(x, n, block.norm1, n1, block.scale1);
      this.shift(n1, n, block.A, a, w);
      this.linear(a, n, block.read, qkv);
      this.shift(qkv, n, block.B, b, 3 * w);
      this.rotate(b, 1);
      this.attend(block);
      this.linear(mixed, n, block.output, y);
      this.add(y, x, n * w);
      this.rms(y, n, block.norm2, n2, block.scale2);
      this.shift(n2, n, block.C, c, w);
      this.linear(c, n, block.up, gu);
      this.shift(gu, n, block.D, d, 2 * f);
      for (let t = 0; t < n; t++) for (let i = 0; i < f; i++) { // silu(gate) * up
        const at = d + t * 2 * f + i, gate = h[at], up = h[at + f];
        const sigmoid = (h[s + t * f + i] = 1 / (1 + Math.exp(-gate)));
        h[m + t * f + i] = gate * sigmoid * up;
      }
      this.linear(m, n, block.down, z);
      this.add(z, y, n * w);
    });
    this.asked.forEach((t, i) => this.copyRow(this.last, i, this.stream.at(-1), t));
    this.rms(this.last, this.asked.length, this.norm, this.normed, this.scale);
    this.linear(this.normed, this.asked.length, this.head, this.logits, round4(this.vocab));
  }

  logitsOf(i) { return this.h.subarray(this.logits + i * round4(this.vocab)).subarray(0, this.vocab); }

  /** The most likely token at each place that is asked for. */
  guesses(rows) {
    this.forward(rows);
    return this.answers.map((_, i) => this.logitsOf(i).indexOf(Math.max(...this.logitsOf(i))));
  }

  /** The attention maps of the first text, for each layer and head. */
  maps() {
    const n = this.texts[0][1], wide = round4(n), row = (at) => Array.from(this.h.subarray(at, at + n));
    const map = (at) => Array.from({ length: n }, (_, t) => row(at + t * wide));
    return this.blocks.flatMap(({ looks }) => Array.from(Array(this.heads), (_, head) => map(looks + head * n * wide)));
  }

  /** The mean cross-entropy of the tokens that are asked for, and its gradient. */
  loss(rows) {
    this.forward(rows);
    const { h, count, width: w, hidden: f, spare: [dx, d1, d2] } = this;
    const n = this.tokens.length, asked = this.asked.length;
    let loss = 0;
    h.fill(0, count, 2 * count);
    for (let i = 0; i < asked; i++) { // logits become their own derivative: (softmax - one at the answer) / asked
      const logits = this.logitsOf(i), top = Math.max(...logits);
      const sum = logits.reduce((all, logit) => all + Math.exp(logit - top), 0);
      loss += (Math.log(sum) + top - logits[this.answers[i]]) / asked;
      logits.forEach((logit, v) => (logits[v] = (Math.exp(logit - top) / sum - (v === this.answers[i])) / asked));
    }
    this.linearBack(this.normed, asked, this.head, this.logits, d1, round4(this.vocab));
    h.fill(0, d2, d2 + asked * w);
    this.rmsBack(this.last, asked, this.norm, d1, d2, this.scale);
    h.fill(0, dx, dx + n * w);
    this.asked.forEach((t, i) => this.copyRow(dx, t, d2, i));
    for (let l = this.layers - 1; l >= 0; l--) {
      const block = this.blocks[l], { n1, a, qkv, mixed, n2, c, gu, d, m, s } = block;
      const [x, y] = this.stream.slice(2 * l);
      this.linearBack(m, n, block.down, dx, d1);
      for (let t = 0; t < n; t++) for (let i = 0; i < f; i++) {
        const at = t * 2 * f + i, gate = h[d + at], up = h[d + at + f];
        const sigmoid = h[s + t * f + i], u = h[d1 + t * f + i];
        h[d2 + at] = u * up * sigmoid * (1 + gate * (1 - sigmoid));
        h[d2 + at + f] = u * gate * sigmoid;
      }
      this.shiftBack(gu, n, block.D, d2, d1, 2 * f);
      this.linearBack(c, n, block.up, d1, d2);
      this.shiftBack(n2, n, block.C, d2, d1, w);
      this.rmsBack(y, n, block.norm2, d1, dx, block.scale2);
      this.linearBack(mixed, n, block.output, dx, d1);
      this.attendBack(block, d1, d2);
      this.rotate(d2, -1);
      this.shiftBack(qkv, n, block.B, d2, d1, 3 * w);
      this.linearBack(a, n, block.read, d1, d2);
      this.shiftBack(n1, n, block.A, d2, d1, w);
      this.rmsBack(x, n, block.norm1, d1, dx, block.scale1);
    }
    this.tokens.forEach((token, t) => this.add(this.embedding.at + count + token * w, dx + t * w, w));
    return loss;
  }

  /** One step of AdamW, number 1, 2, ..., after the gradient was cut to a length of at most `clip`. */
  adamw(step, rate, { beta1, beta2, eps, weight_decay, clip }) {
    const { h, count } = this, trained = Object.values(this.parameters).filter((p) => p.trained);
    let square = 0;
    for (const { at, size } of trained) for (let i = at + count; i < at + count + size; i++) square += h[i] ** 2;
    const factor = Math.min(1, clip / (Math.sqrt(square) + 1e-6));
    const unbiased1 = 1 - beta1 ** step, unbiased2 = Math.sqrt(1 - beta2 ** step);
    for (const { at, size, decays } of trained) for (let i = at; i < at + size; i++) {
      const g = h[i + count] * factor, m = i + 2 * count, v = i + 3 * count;
      h[m] = beta1 * h[m] + (1 - beta1) * g;
      h[v] = beta2 * h[v] + (1 - beta2) * g * g;
      h[i] -= rate * ((decays ? weight_decay * h[i] : 0) + h[m] / unbiased1 / (Math.sqrt(h[v]) / unbiased2 + eps));
    }
  }
}

/** The learning rate of step 0, 1, ...: a linear warm-up, then a cosine (training/config.py). */
export function rateAt(step, { learning_rate, warmup, steps, final }) {
  if (step < warmup) return (learning_rate * (step + 1)) / warmup;
  const progress = Math.min((step - warmup) / Math.max(steps - warmup, 1), 1);
  return learning_rate * (final + (1 - final) * (1 + Math.cos(Math.PI * progress)) / 2);
}
