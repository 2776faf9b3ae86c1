"use strict";
// The clips: one selection and one current clip, the same on the map, in the list, by the player, and in whatever
// element of the page has `data-pick`, a JSON object of `true`, `said` (classes), `recording` and `set`.
(() => {
  const [ROWS, REACH_PX, NONE_SURE, NOWHERE] = [50, 28, 255, 65535]; // a finger's reach
  const ALL = { set: "", true: "", said: "", recording: "", text: "" };
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  document.documentElement.classList.add("scripted");

  function unpacked(text, Kind) {
    return new Kind(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
  }
  // One tab stop for many: arrows move between `items()`, of which one has tabindex 0.
  function rove(root, items, columns = () => 1) {
    root.addEventListener("keydown", (event) => {
      const all = items();
      const from = all.indexOf(event.target.closest("[tabindex]"));
      if (from < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
      const [row, last] = [columns(), all.length - 1];
      const to = { ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - row, ArrowDown: from + row, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      if (!all[to]) return;
      all.forEach((item) => { item.tabIndex = -1; });
      all[to].tabIndex = 0;
      all[to].focus();
    });
  }

  function setUp(root) {
    const data = JSON.parse(root.querySelector(".clips-data").textContent);
    const find = (selector) => root.querySelector(selector);
    const article = root.closest("article") || document;
    const [names, count] = [data.classes, data.clips.length];
    const labels = unpacked(data.labels, Uint16Array);
    const recording = unpacked(data.recording, data.recordings.length > NOWHERE ? Uint32Array : Uint16Array);
    const runs = data.runs.map(([said, sure]) => ({ said: unpacked(said, Uint16Array), sure: unpacked(sure, Uint8Array) }));
    const maps = data.maps.map((axes) => axes.map((axis) => unpacked(axis, Uint16Array)));
    const control = (name) => find(`[name="${name}"]`);
    const sets = new Map([...control("set").options].slice(2).map((option, place) => [option.value, new Set(data.sets[place])]));
    const choice = { ...ALL, run: 0, map: 0, order: "sure" };
    const [list, body, said, canvas] = [find(".clips-list"), find(".clips-list tbody"), find(".said"), find(".map")];
    const holder = find(".heard-here");
    const player = holder?.querySelector(".player").soundprobePlayer;
    let [chosen, inChosen, current, page, inView] = [[], new Uint8Array(count), -1, 0, true];
    const run = () => runs[choice.run];
    const tested = (clip) => run().said[clip] !== NOWHERE;
    const wrong = (clip) => tested(clip) && run().said[clip] !== labels[clip];
    const nameOf = (label) => names[label] ?? "not tested";
    const recordingOf = (clip) => data.recordings[recording[clip]] ?? "";

    // --- The selection.
    function fits(clip) {
      if (choice.true !== "" && labels[clip] !== Number(choice.true)) return false;
      if (choice.said !== "" && run().said[clip] !== Number(choice.said)) return false;
      if (choice.recording !== "" && recordingOf(clip) !== choice.recording) return false;
      if (choice.set === "wrong" && !wrong(clip)) return false;
      if (sets.has(choice.set) && !sets.get(choice.set).has(clip)) return false;
      const text = choice.text.trim().toLowerCase();
      return !text || data.clips[clip].toLowerCase().includes(text) || recordingOf(clip).toLowerCase().includes(text);
    }
    function ordered(clips) {
      const sure = (clip) => (run().sure[clip] === NONE_SURE ? -1 : run().sure[clip]);
      // Mistakes first: the surest are what one learns from; then the right ones, from the same end; untested ones last.
      const sign = { sure: -1, unsure: 1, name: 0 }[choice.order];
      const rank = (clip) => (wrong(clip) ? 0 : tested(clip) ? 1 : 2);
      return sign ? clips.sort((a, b) => rank(a) - rank(b) || sign * (sure(a) - sure(b)) || a - b) : clips;
    }
    function words() {
      const parts = [];
      if (choice.true !== "" || choice.said !== "") {
        parts.push([choice.true === "" ? "" : nameOf(choice.true), choice.said === "" ? "" : `heard as ${nameOf(choice.said)}`].filter(Boolean).join(", "));
      }
      if (choice.set) parts.push(choice.set === "wrong" ? "mistakes" : choice.set);
      if (choice.recording !== "") parts.push(`recording ${choice.recording}`);
      if (choice.text.trim()) parts.push(`“${choice.text.trim()}”`);
      const of = chosen.length === count ? `all ${count.toLocaleString("en")} clips` : `${chosen.length.toLocaleString("en")} of ${count.toLocaleString("en")} clips`;
      return parts.length ? `${of}: ${parts.join("; ")}` : of;
    }
    function choose(changes) {
      Object.assign(choice, changes);
      const every = Array.from({ length: count }, (_, clip) => clip);
      chosen = ordered(every.filter(fits));
      inChosen = new Uint8Array(count);
      for (const clip of chosen) inChosen[clip] = 1;
      for (const name of ["run", "set", "true", "said", "text", "order", "map"]) {
        const field = control(name);
        if (field && field.value !== String(choice[name])) field.value = choice[name];
      }
      const any = Object.keys(ALL).some((name) => choice[name] !== "");
      for (const place of root.querySelectorAll(".words")) place.textContent = words();
      find(".clips-chosen .clear").hidden = !any;
      find(".clips-bar").hidden = !any || inView;
      for (const key of keys) key.setAttribute("aria-pressed", String(key.dataset.class === String(choice.true)));
      for (const one of picks) {
        const told = { ...ALL, ...JSON.parse(one.dataset.pick) };
        one.setAttribute("aria-pressed", String(Object.keys(ALL).every((name) => String(told[name]) === String(choice[name]))));
      }
      const matrix = article.querySelector("figure[data-plot^='confusion-'] select");
      if (matrix && matrix.options[choice.run] && Number(matrix.value) !== choice.run) {
        matrix.value = choice.run;
        matrix.dispatchEvent(new Event("change"));
      }
      show(inChosen[current] ? current : -1);
    }

    // --- The current clip.
    function show(clip, { plays = false, focuses = false } = {}) {
      const before = current;
      current = clip;
      if (clip >= 0) page = Math.floor(chosen.indexOf(clip) / ROWS);
      page = Math.min(page, Math.max(Math.ceil(chosen.length / ROWS) - 1, 0));
      fill();
      draw();
      tell();
      if (focuses) rowOf(clip)?.focus({ preventScroll: true });
      if (clip >= 0) keepInSight(rowOf(clip));
      const media = data.media[clip];
      if (holder) holder.hidden = !media?.[0];
      if (!player) return;
      if (!media?.[0]) return player.stop();
      if (before !== clip) {
        const [sound, picture, seconds] = media;
        player.load({ sound, picture, seconds, label: `${nameOf(labels[clip])}, clip ${data.clips[clip]}` });
      }
      if (plays) player.play();
    }
    function tell() {
      said.replaceChildren();
      if (current < 0) {
        said.textContent = chosen.length ? "Choose a clip on the map or in the list." : "No clip is so.";
        return;
      }
      const sure = run().sure[current] === NONE_SURE ? "" : ` (${run().sure[current]} %)`;
      const [is, as] = [nameOf(labels[current]), nameOf(run().said[current])];
      if (!tested(current)) said.append(`${is}, not tested by this run. `);
      else said.append(wrong(current) ? `${is}, heard as ${as}${sure}. ` : `Rightly heard as ${is}${sure}. `);
      said.append(`${data.clips[current]}, fold ${data.folds[current]}. `);
      if (!data.media[current]?.[0] && holder) said.append("Its sound is not in this page. ");
      if (recordingOf(current)) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `All clips of recording ${recordingOf(current)}`;
        button.addEventListener("click", () => choose({ ...ALL, recording: recordingOf(current) }));
        said.append(button);
      }
    }
    function step(by) {
      if (!chosen.length) return;
      const at = current < 0 ? (by > 0 ? -1 : 0) : chosen.indexOf(current);
      const playing = Boolean(holder?.querySelector(".player.playing"));
      show(chosen[Math.min(Math.max(at + by, 0), chosen.length - 1)], { plays: playing, focuses: true });
    }
    function toggle() {
      if (current < 0 || !data.media[current]?.[0]) return;
      player.toggle();
    }

    // --- The list.
    const rowOf = (clip) => body.querySelector(`[data-row="${clip}"]`);
    function fill() {
      const shown = chosen.slice(page * ROWS, (page + 1) * ROWS);
      const same = body.rows.length === shown.length && shown.every((clip, place) => Number(body.rows[place].dataset.row) === clip && body.rows[place].dataset.run === String(choice.run));
      if (!same) {
        body.replaceChildren(...shown.map((clip, place) => rowFor(clip, page * ROWS + place)));
        list.scrollTop = 0;
      }
      for (const row of body.rows) {
        const here = Number(row.dataset.row) === current;
        row.tabIndex = here || (current < 0 && row === body.rows[0]) ? 0 : -1;
        row.setAttribute("aria-selected", String(here));
      }
      const [pages, from] = [Math.ceil(chosen.length / ROWS), page * ROWS + 1];
      find("table").setAttribute("aria-rowcount", chosen.length + 1);
      find(".where").textContent = `${from.toLocaleString("en")} to ${(page * ROWS + shown.length).toLocaleString("en")} of ${chosen.length.toLocaleString("en")}`;
      find(".clips-pages").hidden = pages < 2;
      find(".back").disabled = page === 0;
      find(".on").disabled = page >= pages - 1;
    }
    function rowFor(clip, place) {
      const row = document.createElement("tr");
      row.dataset.row = clip;
      row.dataset.run = choice.run;
      row.setAttribute("aria-rowindex", place + 2);
      if (wrong(clip)) row.className = "mistaken";
      const picture = document.createElement("td");
      picture.className = "text";
      const file = data.media[clip]?.[1];
      if (file) {
        const image = document.createElement("img");
        Object.assign(image, { loading: "lazy", alt: "", src: file, draggable: false });
        image.addEventListener("error", () => { find(".missing").hidden = false; image.remove(); });
        picture.append(image);
      }
      const sure = run().sure[clip];
      const cells = [
        ["th", data.clips[clip], "name"], ["td", nameOf(labels[clip]), "text name"], ["td", nameOf(run().said[clip]), "text name as"],
        ["td", sure === NONE_SURE ? "–" : sure, ""], ["td", data.folds[clip], ""],
        ...(data.recordings.length ? [["td", recordingOf(clip), "text name"]] : []),
      ].map(([tag, text, kind]) => {
        const cell = document.createElement(tag);
        cell.textContent = text;
        cell.className = kind;
        if (tag === "th") cell.scope = "row";
        return cell;
      });
      row.append(picture, ...cells);
      return row;
    }
    // Only the list scrolls, never the page.
    function keepInSight(row) {
      if (!row) return;
      const [head, top, bottom] = [find("thead").offsetHeight, row.offsetTop, row.offsetTop + row.offsetHeight];
      if (top - head < list.scrollTop) list.scrollTop = top - head;
      else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    }
    function turn(by) {
      page += by;
      const first = chosen[page * ROWS];
      show(first);
    }
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) show(Number(row.dataset.row), { plays: true, focuses: true });
    });
    body.addEventListener("focusin", (event) => {
      const row = event.target.closest("tr");
      // Not on a mouse's way to a click: the player that appears would move the row away from under it.
      if (row && current < 0 && row.matches(":focus-visible")) show(Number(row.dataset.row), { focuses: true });
    });
    list.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -count, End: count }[event.key];
      if (by) step(by);
      else if (event.key === " ") toggle();
      else if (event.key === "Enter" && current >= 0) show(current, { plays: true });
      else return;
      event.preventDefault();
    });
    find(".back").addEventListener("click", () => turn(-1));
    find(".on").addEventListener("click", () => turn(1));

    // --- The map.
    const keys = [...root.querySelectorAll(".keys button")];
    const shapes = keys.map((key) => [new Path2D(key.querySelector("path").getAttribute("d")), `--c${key.dataset.colour}`]);
    const edge = 14;
    function at(clip) {
      const [xs, ys] = maps[choice.map];
      if (xs[clip] === NOWHERE) return null;
      const [wide, high] = [canvas.clientWidth - 2 * edge, canvas.clientHeight - 2 * edge];
      return [edge + (xs[clip] / (NOWHERE - 1)) * wide, edge + (1 - ys[clip] / (NOWHERE - 1)) * high];
    }
    function draw() {
      if (!canvas?.clientWidth) return;
      const [ratio, style] = [devicePixelRatio || 1, getComputedStyle(canvas)];
      const colour = (name) => style.getPropertyValue(name).trim();
      const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
      if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
      const pen = canvas.getContext("2d");
      const scale = Math.min(Math.max(Math.sqrt(1200 / count), 0.5), 1);
      const colours = shapes.map(([, name]) => colour(name));
      const [ground, ink, quiet] = [colour("--raised"), colour("--text"), colour("--line")];
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, wide, high);
      const mark = (clip, paint) => {
        const place = at(clip);
        if (!place) return;
        pen.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * place[0], ratio * place[1]);
        paint(shapes[labels[clip]][0], colours[labels[clip]]);
      };
      const filled = (shape, hue) => {
        [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [hue, ground, 0.75];
        pen.fill(shape);
        pen.stroke(shape);
      };
      const hollow = (shape, hue) => {
        [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [ground, hue, 2];
        pen.fill(shape);
        pen.stroke(shape);
      };
      const left = (shape) => { pen.fillStyle = quiet; pen.fill(shape); };
      for (let clip = 0; clip < count; clip += 1) if (!inChosen[clip]) mark(clip, left);
      for (const clip of chosen) if (!wrong(clip)) mark(clip, filled);
      for (const clip of chosen) if (wrong(clip)) mark(clip, hollow);
      const place = current >= 0 && at(current);
      if (!place) return;
      mark(current, wrong(current) ? hollow : filled);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      [pen.strokeStyle, pen.lineWidth] = [ink, 2];
      pen.beginPath();
      pen.arc(...place, 11, 0, 2 * Math.PI);
      pen.stroke();
    }
    function nearest(x, y, reach) {
      let [best, least] = [-1, reach];
      for (const clip of chosen) {
        const place = at(clip);
        const distance = place ? Math.hypot(place[0] - x, place[1] - y) : Infinity;
        if (distance <= least) [best, least] = [clip, distance];
      }
      return best;
    }
    function neighbour(from, dx, dy) {
      const start = at(from);
      let [best, least] = [-1, Infinity];
      for (const clip of chosen) {
        const place = clip !== from && start && at(clip);
        if (!place) continue;
        const [right, down] = [place[0] - start[0], place[1] - start[1]];
        const [along, across] = [right * dx + down * dy, Math.abs(right * dy) + Math.abs(down * dx)];
        if (along > 0.5 && along + 3 * across < least) [best, least] = [clip, along + 3 * across];
      }
      return best;
    }
    if (canvas) {
      canvas.addEventListener("click", (event) => {
        const box = canvas.getBoundingClientRect();
        const clip = nearest(event.clientX - box.left, event.clientY - box.top, REACH_PX);
        if (clip >= 0) show(clip, { plays: true });
      });
      canvas.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (way) {
          const next = current < 0 ? nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity) : neighbour(current, ...way);
          if (next >= 0) show(next, { plays: Boolean(holder?.querySelector(".player.playing")) });
        } else if (event.key === " ") toggle();
        else if (event.key === "Enter" && current >= 0) show(current, { plays: true });
        else return;
        event.preventDefault();
      });
      rove(find(".keys"), () => keys);
      for (const key of keys) {
        key.addEventListener("click", () => choose({ true: key.getAttribute("aria-pressed") === "true" ? "" : key.dataset.class }));
      }
      new ResizeObserver(draw).observe(canvas);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    }

    // --- What chooses from elsewhere.
    const picks = [...article.querySelectorAll(".pick")]; // no <button>: its words could not break with the line
    for (const one of picks) {
      one.setAttribute("role", "button");
      one.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        one.click();
      });
    }
    for (const group of new Set(picks.map((one) => one.closest("table, ul") || one.parentElement))) {
      const inside = () => [...group.querySelectorAll(".pick")];
      inside().forEach((one, place) => { one.tabIndex = place ? -1 : 0; });
      const square = group.matches(".square");
      if (square) crossing(group);
      else rove(group, inside);
    }
    // In a matrix up and down keep the column; empty cells are passed over.
    function crossing(table) {
      table.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        const from = event.target.closest("td");
        if (!way || !from) return;
        event.preventDefault();
        let [row, column] = [from.parentElement.sectionRowIndex, from.cellIndex];
        for (;;) {
          [row, column] = [row + way[0], column + way[1]];
          const cell = table.tBodies[0].rows[row]?.cells[column];
          if (!cell) return;
          const to = cell.querySelector(".pick");
          if (!to) continue;
          event.target.tabIndex = -1;
          to.tabIndex = 0;
          return to.focus();
        }
      });
    }
    function goThere() {
      root.scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
      (rowOf(current) || body.rows[0])?.focus({ preventScroll: true });
    }
    for (const one of picks) {
      one.addEventListener("click", (event) => {
        const again = one.getAttribute("aria-pressed") === "true";
        choose({ ...ALL, ...(again ? {} : JSON.parse(one.dataset.pick)) });
        if (!event.detail && !again) goThere(); // by the keyboard
      });
    }
    for (const figure of article.querySelectorAll("figure[data-plot^='confusion-']")) {
      figure.addEventListener("picked", ({ detail: [saidAs, is] }) => choose({ ...ALL, true: is, said: saidAs }));
      figure.querySelector("select")?.addEventListener("change", (event) => {
        const other = Number(event.target.value);
        if (other !== choice.run && runs[other]) choose({ run: other });
      });
    }
    for (const name of ["run", "map"]) control(name)?.addEventListener("change", (event) => choose({ [name]: Number(event.target.value) }));
    for (const name of ["set", "true", "said", "order"]) control(name).addEventListener("change", (event) => choose({ [name]: event.target.value }));
    control("text").addEventListener("input", (event) => choose({ text: event.target.value }));
    for (const button of root.querySelectorAll(".clear")) button.addEventListener("click", () => choose(ALL));
    find(".clips-bar a").addEventListener("click", (event) => { event.preventDefault(); goThere(); });
    document.addEventListener("keydown", (event) => {
      const here = article.contains(document.activeElement) || document.activeElement === document.body;
      if (event.key !== "Escape" || !here || event.defaultPrevented) return;
      const focused = list.contains(document.activeElement);
      choose(ALL);
      if (focused) (rowOf(current) || body.rows[0])?.focus({ preventScroll: true });
    });
    new IntersectionObserver(([entry]) => {
      inView = entry.isIntersecting;
      find(".clips-bar").hidden = inView || Object.keys(ALL).every((name) => choice[name] === "");
    }).observe(find(".clips-shown"));
    choose({});
  }

  document.querySelectorAll(".clips").forEach(setUp);
})();
