// The copy toy and Depo, token for token: the twins of tasks/copying.py and of `depo_instance` in tasks/depo.py.
//
// A row is {tokens, targets, hops}: targets says of each token whether it is asked for, hops how many steps an answer
// is away (0: no answer). Rows are as long as their text; the library pads them, which changes no number.
import { address, below, bits, permutation, unit } from "./draws.js";

const counted = (n, name) => Array.from({ length: n }, (_, i) => name(i + 1));

/** <bos>, 8 to 24 different symbols, <query>, the same symbols again. shortest = n: always n of them. */
function copy({ n, shortest = n }) {
  return {
    longest: 2 * n + 2,
    names: ["<pad>", "<bos>", "<query>", ...counted(n, String)],
    row(seed, step, row, test = 0) {
      const key = address(seed, test, step, row);
      const length = shortest + below(bits(key, 1), n - shortest + 1);
      const symbols = permutation(key, 0, n).slice(0, length).map((symbol) => symbol + 3);
      const tokens = [1, ...symbols, 2, ...symbols];
      return { tokens, targets: tokens.map((_, t) => t > length + 1), hops: tokens.map((_, t) => +(t > length + 1)) };
    },
  };
}

// Streams of draws: one for each kind of choice.
const WORD = 2, CYCLE = 3, EDGE_ORDER = 4, QUERY_NODE = 5, QUERY_HOPS = 6;

/** A ring of N names as shuffled pairs, then questions "<k> x <ans>": who stands k steps after x? */
function depo({ N, K, V, queries, hop_weight = 0 }) {
  const tested = [...new Set([...Array.from({ length: 9 }, (_, i) => 2 ** i).filter((k) => k < K), K])];
  const asked = Math.min(N, queries);
  return {
    longest: 1 + 2 * N + 4 * asked,
    names: ["<pad>", "<bos>", "<ans>", "<edge>", ...counted(K, (k) => `<${k}>`), ...counted(V, String)],
    row(seed, step, row, test = 0) {
      const key = address(address(seed, test, step, row), 0);
      const names = different(key, N, V).map((name) => name + 4 + K);
      const cycle = permutation(key, CYCLE, N).map((i) => names[i]);
      const tokens = [1], targets = [false], hops = [0];
      const write = (token, target = false, k = 0) => { tokens.push(token); targets.push(target); hops.push(k); };
      for (const i of permutation(key, EDGE_ORDER, N)) { write(cycle[i]); write(cycle[(i + 1) % N]); }
      const left = counted(N, (i) => i - 1);
      const choices = test ? tested : counted(K, (k) => k);
      const weights = choices.map((k) => (test ? 1 : k ** -hop_weight));
      const total = weights.reduce((a, b) => a + b);
      for (let j = 0; j < asked; j++) {
        const [node] = left.splice(below(bits(key, QUERY_NODE, j), N - j), 1);
        const chance = unit(bits(key, QUERY_HOPS, j));
        let which = 0, sum = weights[0] / total;
        while (chance >= sum && which < choices.length - 1) sum += weights[++which] / total;
        const k = choices[which];
        write(3 + k); write(cycle[node]); write(2, true); write(cycle[(node + k) % N], true, k);
      }
      return { tokens, targets, hops };
    },
  };
}

/** n different one-letter names out of V. */
function different(key, n, V) {
  const names = new Set();
  for (let attempt = 0; names.size < n; attempt++) names.add(below(bits(key, WORD, attempt), V));
  return [...names];
}

export const TASKS = { copy, depo };
