// One run in the background of the page: takes a job, reports as it goes. To stop it, the page ends the worker.
import { fast, plain } from "./kernels.js";
import { Model, rateAt } from "./model.js";
import { TASKS } from "./tasks.js";

/** job: {task: [name, options], shape, training, seed, taps: "trained", "random" or four numbers, every: steps between
 * two looks at the test rows, wasm: bytes, null for plain JavaScript}. */
export async function train(job, report, pause) {
  const { task: [name, options], training, seed, taps, every } = job, { steps, batch, evaluation_rows } = training;
  const task = TASKS[name](options), { longest, names } = task;
  const rows = (step, count) => Array.from({ length: count }, (_, row) => task.row(seed, step, row));
  const test = Array.from({ length: evaluation_rows }, (_, row) => task.row(0, 0, row, 1)); // the same for every run
  const room = { tokens: batch * longest, rows: batch, longest };
  const model = new Model({ ...job.shape, vocab: names.length }, room, taps !== "trained");
  const kernels = await (job.wasm ? fast(model.bytes, job.wasm) : null)?.catch(() => null) ?? plain(model.bytes);
  model.attach(kernels).start(seed);
  if (Array.isArray(taps)) model.setTaps(taps);

  /** Shares of right answers, by hops, and what the model makes of the first test row. */
  function look() {
    const right = {};
    for (let i = 0; i < test.length; i += batch) {
      const part = test.slice(i, i + batch), guesses = model.guesses(part);
      part.flatMap(({ hops, targets }) => hops.filter((_, t) => targets[t])).forEach((k, j) => {
        (right[k] ??= []).push(guesses[j] === model.answers[j]);
      });
    }
    const scores = {};
    for (const [k, each] of Object.entries(right)) if (k > 0) scores[k] = each.filter(Boolean).length / each.length;
    const [{ tokens, targets }] = test, guesses = model.guesses([test[0]]);
    const words = tokens.map((token, t) => ({ text: names[token], guess: targets[t] && names[guesses.shift()] }));
    return { scores, words, maps: model.maps(), taps: model.canons.length ? model.tapSizes() : null };
  }

  let work = 0;
  for (let step = 0, loss; ; step++) {
    const begin = performance.now();
    if (step % every === 0 || step === steps) report({ step, loss, work, kernels: kernels.name, ...look() });
    if (step === steps) break;
    if (step % 5 === 0) await pause();
    loss = model.loss(rows(step, batch));
    if (!(loss < 10 * Math.log(names.length))) throw new Error(`diverged at step ${step}; lower the rate`);
    model.adamw(step + 1, rateAt(step, training), training);
    work += (performance.now() - begin) / 1000;
  }
}

if (typeof document === "undefined" && typeof self !== "undefined") {
  self.onmessage = ({ data }) =>
    train(data, (news) => self.postMessage(news), () => new Promise((resume) => setTimeout(resume))).then(
      () => self.postMessage({ done: true }),
      (error) => self.postMessage({ error: error.message }),
    );
}
