// Random numbers that are a pure function of where they are used: the twin of tasks/draws.py, in integers of any size.
const ALL = (1n << 64n) - 1n; // modulo 2^64
const GOLDEN = 0x9e3779b97f4a7c15n;
const STREAM = 0xd1342543de82ef95n;

function mix(x) {
  x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & ALL;
  x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & ALL;
  return x ^ (x >> 31n);
}

/** Hash whole numbers into one key; their order matters. */
export const address = (...parts) => parts.reduce((key, part) => mix((key + GOLDEN + BigInt(part)) & ALL), 0n);

/** 64 random bits for (key, stream, counter). */
export const bits = (key, stream, counter = 0) =>
  mix((mix((key + BigInt(stream + 1) * STREAM) & ALL) + GOLDEN * BigInt(counter)) & ALL);

/** A whole number in 0..n-1, and a number in [0, 1), from 64 random bits. */
export const below = (random, n) => Number(((random >> 32n) * BigInt(n)) >> 32n);
export const unit = (random) => Number(random >> 11n) * 2 ** -53;

/** 0..n-1 in random order: each gets 36 bits, equal ones keep their order. */
export function permutation(key, stream, n) {
  const order = Array.from({ length: n }, (_, i) => ((bits(key, stream, i) >> 28n) << 14n) | BigInt(i));
  return Array.from(BigUint64Array.from(order).sort(), (each) => Number(each & 0x3fffn));
}
