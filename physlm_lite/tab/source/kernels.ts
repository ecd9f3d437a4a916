// The fast twins of `plain` in kernels.js, in AssemblyScript: vectors of four numbers. Compiled by
//   npx --package assemblyscript@0.28.20 asc kernels.ts -o kernels.wasm --optimizeLevel 3 --enable simd \
//       --enable bulk-memory --runtime stub --importMemory --initialMemory 1 --noAssert
// Places come in numbers, as in kernels.js, and are turned into bytes (<< 2) at the door.

// @ts-ignore: decorator
@inline function madd(sum: v128, x: v128, y: v128): v128 { return f32x4.add(sum, f32x4.mul(x, y)); }

// @ts-ignore: decorator
@inline function add(to: i32, value: v128): void { v128.store(to, f32x4.add(v128.load(to), value)); }

// Four rows times eight columns of c: the eight sums stay in registers while a and b stream by.
// @ts-ignore: decorator
@inline function tile(k: i32, a: i32, rowA: i32, columnA: i32, b: i32, rowB: i32, c: i32, rowC: i32): void {
  const zero = f32x4.splat(0), row2 = 2 * rowA, row3 = 3 * rowA;
  let p0 = zero, p1 = zero, q0 = zero, q1 = zero, r0 = zero, r1 = zero, s0 = zero, s1 = zero;
  for (let l = 0; l < k; l++) {
    const left = v128.load(b), right = v128.load(b, 16);
    let x = v128.load32_splat(a);
    p0 = madd(p0, x, left); p1 = madd(p1, x, right);
    x = v128.load32_splat(a + rowA);
    q0 = madd(q0, x, left); q1 = madd(q1, x, right);
    x = v128.load32_splat(a + row2);
    r0 = madd(r0, x, left); r1 = madd(r1, x, right);
    x = v128.load32_splat(a + row3);
    s0 = madd(s0, x, left); s1 = madd(s1, x, right);
    a += columnA; b += rowB;
  }
  add(c, p0); add(c + 16, p1); c += rowC;
  add(c, q0); add(c + 16, q1); c += rowC;
  add(c, r0); add(c + 16, r1); c += rowC;
  add(c, s0); add(c + 16, s1);
}

// One row times four columns, for what the tiles leave over.
// @ts-ignore: decorator
@inline function strip(k: i32, a: i32, columnA: i32, b: i32, rowB: i32, c: i32): void {
  let sum = f32x4.splat(0);
  for (let l = 0; l < k; l++) { sum = madd(sum, v128.load32_splat(a), v128.load(b)); a += columnA; b += rowB; }
  add(c, sum);
}

export function product(
  m: i32, n: i32, k: i32, a: i32, rowA: i32, columnA: i32, b: i32, rowB: i32, c: i32, rowC: i32, more: i32,
): void {
  a <<= 2; rowA <<= 2; columnA <<= 2; b <<= 2; rowB <<= 2; c <<= 2; rowC <<= 2;
  if (!more) for (let i = 0; i < m; i++) memory.fill(c + i * rowC, 0, n << 2);
  for (let i = 0; i < m; ) {
    const rows = i + 4 <= m ? 4 : 1;
    let j = 0;
    if (rows == 4) for (; j + 8 <= n; j += 8) tile(k, a, rowA, columnA, b + (j << 2), rowB, c + (j << 2), rowC);
    for (; j < n; j += 4) for (let r = 0; r < rows; r++) {
      strip(k, a + r * rowA, columnA, b + (j << 2), rowB, c + r * rowC + (j << 2));
    }
    i += rows; a += rows * rowA; c += rows * rowC;
  }
}

export function shift(length: i32, width: i32, x: i32, taps: i32, y: i32): void {
  const row = width << 2;
  for (let i = 0; i < row; i += 16) {
    const w = (taps << 2) + i, zero = f32x4.splat(0);
    const w0 = v128.load(w), w1 = v128.load(w + row), w2 = v128.load(w + 2 * row), w3 = v128.load(w + 3 * row);
    let from = (x << 2) + i, to = (y << 2) + i, x1 = zero, x2 = zero, x3 = zero; // the three tokens before
    for (let t = 0; t < length; t++) {
      const x0 = v128.load(from);
      v128.store(to, madd(madd(madd(madd(x0, w0, x0), w1, x1), w2, x2), w3, x3));
      x3 = x2; x2 = x1; x1 = x0; from += row; to += row;
    }
  }
}

export function shiftBack(length: i32, width: i32, x: i32, taps: i32, dtaps: i32, dy: i32, dx: i32): void {
  const row = width << 2, end = (length - 1) * row;
  for (let i = 0; i < row; i += 16) {
    const w = (taps << 2) + i, d = (dtaps << 2) + i, zero = f32x4.splat(0);
    const w0 = v128.load(w), w1 = v128.load(w + row), w2 = v128.load(w + 2 * row), w3 = v128.load(w + 3 * row);
    let d0 = v128.load(d), d1 = v128.load(d + row), d2 = v128.load(d + 2 * row), d3 = v128.load(d + 3 * row);
    let from = (dy << 2) + i + end, to = (dx << 2) + i + end, other = (x << 2) + i + end;
    let u1 = zero, u2 = zero, u3 = zero; // what came back to the three tokens after
    for (let t = 0; t < length; t++) {
      const u0 = v128.load(from), x0 = v128.load(other);
      v128.store(to, madd(madd(madd(madd(u0, w0, u0), w1, u1), w2, u2), w3, u3));
      d0 = madd(d0, x0, u0); d1 = madd(d1, x0, u1); d2 = madd(d2, x0, u2); d3 = madd(d3, x0, u3);
      u3 = u2; u2 = u1; u1 = u0; from -= row; to -= row; other -= row;
    }
    v128.store(d, d0); v128.store(d + row, d1); v128.store(d + 2 * row, d2); v128.store(d + 3 * row, d3);
  }
}
