"use strict";
// A player: the playhead stands where the sound is. One sound at a time. Works from a file, without any network.
globalThis.soundprobePlayers = (() => {
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const all = [];

  function setUp(root) {
    const audio = root.querySelector("audio");
    if (!audio || root.soundprobePlayer) return;
    const slider = root.querySelector(".spectrogram");
    const button = root.querySelector(".play");
    const elapsed = root.querySelector(".elapsed");
    // The clip's own length, which the picture has: what a browser says of an MP3 differs by its padding.
    const seconds = () => Number(root.dataset.seconds) || 0;
    let frame = 0;
    // Where more than the picture follows the sound, as class probabilities do, they stand in one .clip with it.
    const scene = root.closest(".clip") || root;
    const segments = [...scene.querySelectorAll("button[data-from]")];

    function show() {
      const end = seconds();
      const now = Math.min(audio.currentTime, end);
      scene.style.setProperty("--at", end ? now / end : 0);
      elapsed.textContent = audio.error ? unheard() : `${now.toFixed(1)} / ${end.toFixed(1)} s`;
      for (const one of segments) {
        const within = root.classList.contains("begun") && now >= Number(one.dataset.from) && now < Number(one.dataset.to);
        if (within) one.setAttribute("aria-current", "true");
        else one.removeAttribute("aria-current");
      }
      slider.setAttribute("aria-valuemax", end.toFixed(2));
      slider.setAttribute("aria-valuenow", now.toFixed(2));
      slider.setAttribute("aria-valuetext", `${now.toFixed(1)} of ${end.toFixed(1)} seconds`);
    }
    // Every frame; who asked for less motion gets a step at each of the sound's own time events, four a second.
    function follow() {
      show();
      frame = audio.paused || still.matches ? 0 : requestAnimationFrame(follow);
    }
    function play() {
      for (const other of all) if (other !== audio) other.pause();
      root.classList.add("begun");
      return audio.play().catch((error) => {
        if (error.name !== "AbortError") show();
      });
    }
    // Where sounds lie beside the page, one that doesn't play is most likely not there.
    function unheard() {
      const [folder, file] = (audio.getAttribute("src") || "").split("/");
      const beside = file && !folder.includes(":");
      return beside ? `No sound: the folder ${folder} is not beside this page.` : "This browser can't play the sound.";
    }
    const toggle = () => (audio.paused ? play() : audio.pause());
    function seek(to) {
      root.classList.add("begun");
      audio.currentTime = Math.min(Math.max(to, 0), Math.max(seconds() - 0.001, 0));
      show();
    }
    function seekTo(event) {
      const box = slider.getBoundingClientRect();
      seek(((event.clientX - box.left) / box.width) * seconds());
    }

    audio.addEventListener("play", () => {
      root.classList.add("playing");
      button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^Play/, "Pause"));
      follow();
    });
    audio.addEventListener("pause", () => {
      root.classList.remove("playing");
      button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^Pause/, "Play"));
      cancelAnimationFrame(frame);
      show();
    });
    for (const name of ["timeupdate", "seeked", "ended", "durationchange"]) audio.addEventListener(name, show);
    audio.addEventListener("error", show);
    button.addEventListener("click", toggle);
    for (const one of segments) {
      one.addEventListener("click", () => {
        seek(Number(one.dataset.from));
        play();
      });
    }
    slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      slider.setPointerCapture(event.pointerId);
      seekTo(event);
      play();
    });
    slider.addEventListener("pointermove", (event) => { if (slider.hasPointerCapture(event.pointerId)) seekTo(event); });
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = Math.max(seconds() / 40, 0.02);
      const moves = { ArrowLeft: audio.currentTime - step, ArrowRight: audio.currentTime + step, Home: 0, End: seconds() };
      if (event.key in moves) seek(moves[event.key]);
      else if (event.target === slider && (event.key === " " || event.key === "Enter")) toggle();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });

    root.soundprobePlayer = {
      play,
      // Another clip in the same player.
      load({ sound, picture, seconds: length, label }) {
        audio.pause();
        root.dataset.seconds = length;
        root.classList.remove("begun");
        root.setAttribute("aria-label", label);
        slider.setAttribute("aria-label", `Position in ${label}`);
        button.setAttribute("aria-label", `Play ${label}`);
        const image = slider.querySelector("img");
        image.src = picture;
        image.hidden = false;
        audio.src = sound;
        show();
      },
      stop: () => audio.pause(),
      toggle,
    };
    all.push(audio);
  }

  document.querySelectorAll(".player").forEach(setUp);
  return { setUp };
})();
