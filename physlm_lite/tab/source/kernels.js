// The three loops that take the time. `plain` reads like the formulas; `fast` is the same in WebAssembly (kernels.ts).
//
// All numbers live in one memory, `heap`; a matrix is the place of its first number.
//   product    c[i, j] (+)= sum over l of a[i, l] b[l, j]; a has any strides; rows of b and c in one piece; n % 4 = 0
//   shift      Canon on one text: y[t] = x[t] + sum over lags of taps[lag] x[t - lag], channel by channel
//   shiftBack  its derivatives: dx is set, dtaps is added to
export const TAPS = 4;

export function plain(bytes) {
  const heap = new Float32Array(Math.ceil(bytes / 4));

  function product(m, n, k, a, rowA, columnA, b, rowB, c, rowC, add) {
    for (let i = 0; i < m; i++) {
      const to = c + i * rowC;
      if (!add) heap.fill(0, to, to + n);
      for (let l = 0; l < k; l++) {
        const factor = heap[a + i * rowA + l * columnA], from = b + l * rowB;
        for (let j = 0; j < n; j++) heap[to + j] += factor * heap[from + j];
      }
    }
  }

  function shift(length, width, x, taps, y) {
    for (let t = 0; t < length; t++) for (let i = 0; i < width; i++) {
      let sum = heap[x + t * width + i];
      for (let lag = 0; lag < TAPS && lag <= t; lag++) {
        sum += heap[taps + lag * width + i] * heap[x + (t - lag) * width + i];
      }
      heap[y + t * width + i] = sum;
    }
  }

  function shiftBack(length, width, x, taps, dtaps, dy, dx) {
    for (let t = 0; t < length; t++) for (let i = 0; i < width; i++) {
      let sum = heap[dy + t * width + i];
      for (let lag = 0; lag < TAPS && t + lag < length; lag++) {
        const later = heap[dy + (t + lag) * width + i];
        sum += heap[taps + lag * width + i] * later;
        heap[dtaps + lag * width + i] += heap[x + t * width + i] * later;
      }
      heap[dx + t * width + i] = sum;
    }
  }

  return { heap, product, shift, shiftBack, name: "plain JavaScript" };
}

export async function fast(bytes, wasm) {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
  const { instance } = await WebAssembly.instantiate(wasm, { env: { memory } });
  return { heap: new Float32Array(memory.buffer), ...instance.exports, name: "WebAssembly" };
}
