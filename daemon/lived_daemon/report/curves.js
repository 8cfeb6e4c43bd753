// What draws the curves of metrics where vega, which dvc-render has a page load from a server, did not come: lines and
// their bounds. Of all other plots it says that they are missing.
window.vegaEmbed = window.vegaEmbed || function (where, spec) {
  const place = document.getElementById(where.slice(1));
  const title = (spec.title && spec.title.text) || spec.title || place.id;
  const field = (of, axis) => of && of.encoding && of.encoding[axis] && of.encoding[axis].field;
  const x = field(spec, "x"), y = field(spec.layer && spec.layer[0], "y");
  const numbers = ((x && y && spec.data && spec.data.values) || []).map((row) => [Number(row[x]), Number(row[y])]);
  const points = numbers.filter((point) => point.every(Number.isFinite));
  place.style = "text-align: center; padding: 10px";
  if (!points.length) {
    place.textContent = title + ": not drawn, since vega could not be loaded from cdn.jsdelivr.net";
    return;
  }
  const bounds = [0, 1].map((axis) => points.reduce(
    ([least, most], point) => [Math.min(least, point[axis]), Math.max(most, point[axis])], [Infinity, -Infinity]));
  const at = (axis, value) => (bounds[axis][1] > bounds[axis][0]
    ? (value - bounds[axis][0]) / (bounds[axis][1] - bounds[axis][0]) : 0.5);
  const make = (parent, name, attributes, text = "") => {
    const made = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
  };
  const said = place.appendChild(document.createElement("p"));
  said.textContent = title;
  const svg = make(place, "svg", {viewBox: "0 0 480 260", width: 480, height: 260, "font-size": 12});
  const spots = points.map((point) => [90 + 370 * at(0, point[0]), 220 - 200 * at(1, point[1])]);
  make(svg, "rect", {x: 90, y: 20, width: 370, height: 200, fill: "none", stroke: "#ccc"});
  make(svg, "polyline", {points: spots.join(" "), fill: "none", stroke: "#945dd6", "stroke-width": 1.5});
  if (spots.length === 1) make(svg, "circle", {cx: spots[0][0], cy: spots[0][1], r: 3, fill: "#945dd6"});
  const shown = (value) => String(Number(value.toPrecision(6)));
  [[1, 24], [0, 220]].forEach(([end, where_y]) => {
    make(svg, "text", {x: 84, y: where_y, "text-anchor": "end"}, shown(bounds[1][end]));
  });
  [[0, 90, "start"], [1, 460, "end"]].forEach(([end, where_x, anchor]) => {
    make(svg, "text", {x: where_x, y: 238, "text-anchor": anchor}, shown(bounds[0][end]));
  });
  make(svg, "text", {x: 275, y: 238, "text-anchor": "middle"}, x);
};
