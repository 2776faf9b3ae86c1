"use strict";
// The map of the embeddings: a click near a point, or Enter on a focused one, shows its clip and plays it.
(() => {
  const REACH_PX = 28; // a finger's

  function setUp(root) {
    const data = JSON.parse(root.querySelector(".map-data").textContent);
    const plot = root.querySelector(".map");
    const points = [...plot.querySelectorAll(".point")];
    const ring = plot.querySelector(".ring");
    const said = root.querySelector(".map-said");
    const holder = root.querySelector(".map-player");
    const keys = [...root.querySelectorAll(".map-keys button")];
    const onlyWrong = root.querySelector(".only-wrong");
    const inGallery = new Map(
      [...(root.closest("article")?.querySelectorAll(".gallery .player:has(audio)") || [])].map((player) => [player.dataset.clip, player]),
    );
    const about = (point) => data.points[Number(point.dataset.point)];
    const isShown = (point) => point.style.display !== "none";

    function text([clip, label, predicted, confidence, fold]) {
      const names = data.classes;
      const heard = label === predicted ? `rightly heard as ${names[label]}` : `${names[label]}, heard as ${names[predicted]}`;
      return `${heard} (${confidence} %). ${clip}, fold ${fold}.`;
    }
    // What is in the gallery is not in the page a second time.
    function soundOf(clip, label) {
      const [own, other] = [data.sounds[clip], inGallery.get(clip)];
      if (own) {
        const [sound, picture, seconds] = own;
        return { sound: `data:audio/mpeg;base64,${sound}`, picture: `data:image/webp;base64,${picture}`, seconds, label };
      }
      if (!other) return null;
      const [sound, picture] = [other.querySelector("audio").src, other.querySelector("img").src];
      return { sound, picture, seconds: Number(other.dataset.seconds), label };
    }
    function place(point) {
      const box = point.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    }
    function choose(point, plays) {
      const [clip] = about(point);
      for (const other of points) if (other !== point) other.removeAttribute("tabindex"); // a focused one would lose focus
      point.setAttribute("tabindex", "0");
      point.setAttribute("role", "button");
      point.setAttribute("aria-label", text(about(point)));
      ring.setAttribute("cx", point.getAttribute("x"));
      ring.setAttribute("cy", point.getAttribute("y"));
      const sound = soundOf(clip, `${data.classes[about(point)[1]]}, clip ${clip}`);
      said.textContent = text(about(point)) + (sound || !holder ? "" : " Its sound is not in this page.");
      if (!plays) return;
      if (!holder) return;
      const player = holder.querySelector(".player");
      holder.hidden = !sound;
      if (!sound) return player.soundprobePlayer.stop();
      player.dataset.playing = clip;
      player.soundprobePlayer.load(sound);
      player.soundprobePlayer.play();
    }
    function nearest(x, y, reach) {
      let [best, least] = [null, reach];
      for (const point of points) {
        if (!isShown(point)) continue;
        const [px, py] = place(point);
        const distance = Math.hypot(px - x, py - y);
        if (distance <= least) [best, least] = [point, distance];
      }
      return best;
    }
    function neighbour(from, dx, dy) {
      const [x, y] = place(from);
      let [best, least] = [null, Infinity];
      for (const point of points) {
        if (point === from || !isShown(point)) continue;
        const [px, py] = place(point);
        const along = (px - x) * dx + (py - y) * dy;
        const across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
        if (along > 0.5 && along + 3 * across < least) [best, least] = [point, along + 3 * across];
      }
      return best;
    }

    plot.addEventListener("click", (event) => {
      const point = nearest(event.clientX, event.clientY, REACH_PX);
      if (point) choose(point, true);
    });
    plot.addEventListener("keydown", (event) => {
      if (!event.target.matches(".point")) return;
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key in ways) {
        const next = neighbour(event.target, ...ways[event.key]);
        if (next) {
          choose(next, false);
          next.focus();
        }
      } else if (event.key === "Enter" || event.key === " ") choose(event.target, true);
      else return;
      event.preventDefault();
    });
    function filter() {
      const shown = new Set(keys.filter((key) => key.getAttribute("aria-pressed") === "true").map((key) => key.dataset.class));
      for (const point of points) {
        const fits = shown.has(String(about(point)[1])) && (!onlyWrong.checked || point.classList.contains("wrong"));
        point.style.display = fits ? "" : "none";
      }
      const current = plot.querySelector(".point[tabindex]");
      if (!current || isShown(current)) return;
      current.removeAttribute("tabindex");
      ring.setAttribute("cx", "-50");
      points.find(isShown)?.setAttribute("tabindex", "0");
    }
    for (const key of keys) {
      key.addEventListener("click", () => {
        // The first click keeps the class alone, which is what one wants of a crowd; from then on each is a switch.
        const all = keys.every((other) => other.getAttribute("aria-pressed") === "true");
        if (all) keys.forEach((other) => other.setAttribute("aria-pressed", String(other === key)));
        else key.setAttribute("aria-pressed", String(key.getAttribute("aria-pressed") !== "true"));
        if (keys.every((other) => other.getAttribute("aria-pressed") === "false")) {
          keys.forEach((other) => other.setAttribute("aria-pressed", "true"));
        }
        filter();
      });
    }
    onlyWrong.addEventListener("change", filter);
    const start = points[points.length - 1];
    start.setAttribute("tabindex", "0");
    start.setAttribute("role", "button");
    start.setAttribute("aria-label", text(about(start)));
  }

  document.querySelectorAll(".map-of").forEach(setUp);
})();
