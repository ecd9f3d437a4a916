// What the ledger's module draws of phase maps: a table inside the row that the map looks around.
// It stands on the functions of ledger_page.js, behind which `script` puts it.

const SIGNS = { ahead: "✓", behind: "✕", open: "", "not run": "–" };
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// phase: as `PhaseMap.to_dict` gives it, and `label` and `lower` of its score.
function phaseMap(phase) {
  const { across, up, points, better, worse } = phase;
  const sign = phase.lower ? -1 : 1;
  const far = Math.max(1e-12, ...known(points.map((p) => p.difference)).map(Math.abs));
  const cell = (x, y) => {
    const point = points.find((p) => p.x === x && p.y === y);
    if (point.word === "not run") return h("td", { class: "point" }, h("span", { class: "muted" }, "–"));
    const lead = sign * (point.difference ?? 0);
    const said = point.difference == null ? "diverged" : `${short(mean(point.ours))} : ${short(mean(point.theirs))}`;
    const shade = `--lead: ${Math.round((70 * Math.abs(lead)) / far)}%`;
    return h(
      "td",
      { class: `point ${lead < 0 ? "theirs" : "ours"}`, style: shade },
      said,
      " ",
      h("span", { "aria-label": point.word }, SIGNS[point.word]),
    );
  };
  const runs = points.reduce((sum, p) => sum + p.ours.length + p.theirs.length, 0);
  const asked = 2 * phase.seeds.length * points.length;
  return folded(
    `Where it turns: ${phase.question}`,
    h(
      "p",
      { class: "muted" },
      `${phase.label}${phase.lower ? ", less is better" : ""}: ${better} (orange where ahead) : ${worse} (blue where ahead). `,
      `✓ ✕: so on every pair of ${phase.seeds.length} seeds a side. A look around the row, not a row: `,
      runs < asked ? `recording, ${runs} of ${asked} runs.` : `${asked} runs.`,
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": phase.question },
      h(
        "table",
        { class: "phase" },
        h("caption", {}, `down: ${up.label}; across: ${across.label}`),
        h("thead", {}, h("tr", {}, h("td"), across.values.map((x) => h("th", { scope: "col" }, short(x))))),
        h(
          "tbody",
          {},
          [...up.values]
            .reverse()
            .map((y) => h("tr", {}, h("th", { scope: "row" }, short(y)), across.values.map((x) => cell(x, y)))),
        ),
      ),
    ),
  );
}
