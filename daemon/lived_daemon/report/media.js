(function () {
  "use strict";
  var script = document.currentScript;
  var place = "lived:" + location.pathname + ":";

  function recall(name) {
    try { return sessionStorage.getItem(place + name); } catch (error) { return null; }
  }
  function keep(name, value) {
    try {
      if (value === null) { sessionStorage.removeItem(place + name); } else { sessionStorage.setItem(place + name, value); }
    } catch (error) { /* a browser that keeps nothing forgets the choice at the next load */ }
  }

  // -- things in space: turned about the vertical, then tilted, and seen from afar

  function colour(number) { return "#" + number.toString(16).padStart(6, "0"); }

  function draw(canvas) {
    var scene = canvas.livedScene, pen = canvas.getContext("2d");
    var middle = canvas.width / 2, level = canvas.height / 2, scale = canvas.height * 0.00095;
    var sinTurn = Math.sin(scene.turn), cosTurn = Math.cos(scene.turn);
    var sinTilt = Math.sin(scene.tilt), cosTilt = Math.cos(scene.tilt);
    function project(x, y, z) {
      var right = x * cosTurn - y * sinTurn, away = x * sinTurn + y * cosTurn;
      var depth = away * cosTilt - z * sinTilt;
      return [middle + right * scale, level - (away * sinTilt + z * cosTilt) * scale, depth];
    }
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineWidth = 1.5;
    scene.lines.forEach(function (line) {
      var from = project(line[0], line[1], line[2]), to = project(line[3], line[4], line[5]);
      pen.strokeStyle = colour(line[6]);
      pen.beginPath();
      pen.moveTo(from[0], from[1]);
      pen.lineTo(to[0], to[1]);
      pen.stroke();
    });
    scene.points.map(function (point) {
      return project(point[0], point[1], point[2]).concat(point[3]);
    }).sort(function (one, other) { return other[2] - one[2]; }).forEach(function (point) {
      pen.fillStyle = colour(point[3]);
      pen.beginPath();
      pen.arc(point[0], point[1], scene.size, 0, 7);
      pen.fill();
    });
    pen.font = "12px sans-serif";
    pen.fillStyle = "#000";
    pen.strokeStyle = "#fff";
    pen.lineWidth = 3;
    scene.labels.forEach(function (label) {
      var at = project(label[0], label[1], label[2]);
      pen.strokeText(label[3], at[0], at[1]);
      pen.fillText(label[3], at[0], at[1]);
    });
  }

  var held = null;
  document.addEventListener("pointerdown", function (event) {
    if (event.target.livedScene) {
      held = { canvas: event.target, x: event.clientX, y: event.clientY };
      event.target.setPointerCapture(event.pointerId);
    } else {
      held = {};
    }
  });
  document.addEventListener("pointermove", function (event) {
    if (!held || !held.canvas) { return; }
    var scene = held.canvas.livedScene;
    scene.turn += (event.clientX - held.x) * 0.01;
    scene.tilt = Math.max(-1.57, Math.min(1.57, scene.tilt + (event.clientY - held.y) * 0.01));
    held.x = event.clientX;
    held.y = event.clientY;
    draw(held.canvas);
  });
  ["pointerup", "pointercancel"].forEach(function (name) {
    document.addEventListener(name, function () { held = null; });
  });

  // -- steps and sets

  function prepare(key, shown) {
    shown.querySelectorAll("canvas[data-scene]").forEach(function (canvas) {
      if (!canvas.livedScene) {
        canvas.livedScene = Object.assign(JSON.parse(canvas.dataset.scene), { turn: -0.6, tilt: 0.4 });
      }
      draw(canvas);
    });
    shown.querySelectorAll("input[data-set]").forEach(function (box) {
      box.checked = recall(key + ":set:" + box.dataset.set) === null;
      showSet(box);
    });
  }
  function showSet(box) {
    box.closest(".lived-item").querySelectorAll(".lived-layer").forEach(function (layer) {
      if (layer.dataset.set === box.dataset.set) { layer.hidden = !box.checked; }
    });
  }

  document.querySelectorAll(".lived-key").forEach(function (section) {
    var key = section.dataset.key, shown = section.querySelector(".lived-shown");
    var slider = section.querySelector("input[type=range]"), said = section.querySelector("output");
    var templates = Array.from(section.querySelectorAll("template")), latest = Array.from(shown.childNodes);
    var steps = templates.map(function (one) { return Number(one.dataset.step); }).concat(Number(shown.dataset.step));

    function choose(number) {
      var template = templates[number];
      shown.replaceChildren.apply(shown, template ? [template.content.cloneNode(true)] : latest);
      said.value = "step " + steps[number];
      prepare(key, shown);
    }
    section.addEventListener("change", function (event) {
      if (event.target.dataset.set === undefined) { return; }
      keep(key + ":set:" + event.target.dataset.set, event.target.checked ? null : "hidden");
      prepare(key, shown);
    });
    if (!slider) { prepare(key, shown); return; }
    slider.addEventListener("input", function () {
      var number = Number(slider.value);
      keep(key + ":step", number === steps.length - 1 ? null : String(steps[number]));
      choose(number);
    });
    slider.hidden = false;
    var chosen = recall(key + ":step"), number = steps.length - 1;
    if (chosen !== null) {
      while (number > 0 && steps[number] > Number(chosen)) { number -= 1; }
    }
    slider.value = number;
    choose(number);
  });

  // -- loading again, but not while somebody listens, looks or holds something

  function busy() {
    // A player shows its first frame when it stands a little behind its beginning, which is no choice of anybody's.
    return held !== null || (document.activeElement && document.activeElement.tagName === "IFRAME") ||
      Array.from(document.querySelectorAll("audio, video")).some(function (player) {
        return !player.ended && (!player.paused || player.currentTime > 0.1);
      });
  }
  setInterval(function () {
    if (!busy()) { location.reload(); }
  }, Number(script.dataset.seconds) * 1000);
})();
