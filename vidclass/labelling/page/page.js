// The labelling page. Positions are frames of the recording, counted from 0; a label begins with a frame.
// Sections: server, facts, labels, player, playing by proxy, strips, lists, commands, keys and mouse, start.
"use strict";

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
const page = Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- Server

function address(path, parameters = {}) {
  return `${path}?${new URLSearchParams({ token, ...parameters })}`;
}

async function get(path, parameters) {
  const answer = await fetch(address(path, parameters));
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
}

async function post(path, content) {
  const answer = await fetch(address(path), { method: "POST", body: JSON.stringify({ page, ...content }) });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(found.error || answer.statusText), { status: answer.status, isOther: found.is_other });
  return found;
}

// ---- Facts of the recording

let facts, times, classes; // times: when each frame is shown, and the end; classes: [{name, color: [r, g, b]}]

const timeOf = (frame) => (facts.regular ? facts.first + frame / facts.fps : times[frame]);

// What the label file says for that: where the picture begins a little later than the recording, it is not the same.
const markOf = (frame) => (facts.regular ? facts.first_mark + frame / facts.fps : times[frame]);

function frameAt(seconds) { // the frame that is shown at a time
  if (facts.regular) return clamp(Math.floor((seconds - facts.first) * facts.fps + 1e-3), 0, facts.frames - 1);
  let low = 0, high = facts.frames - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= seconds + 1e-4) low = middle; else high = middle - 1;
  }
  return low;
}

function frameNextTo(seconds) { // the frame that begins next to a time
  const frame = frameAt(seconds);
  return frame + 1 < facts.frames && timeOf(frame + 1) - seconds < seconds - timeOf(frame) ? frame + 1 : frame;
}

function clock(seconds, digits = 3) {
  const units = Math.round(Math.max(seconds, 0) * 10 ** digits);
  const whole = Math.floor(units / 10 ** digits);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const text = facts.seconds >= 3600 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  return digits ? `${text}.${String(units % 10 ** digits).padStart(digits, "0")}` : text;
}

const numberOf = (name) => classes.findIndex((item) => item.name === name);

function colorOf(name) {
  const item = name === null ? null : classes[numberOf(name)];
  return item ? `rgb(${item.color.join(",")})` : "#3a3d44";
}

function chipOf(name) {
  const chip = make("span", { className: name === null ? "chip none" : "chip" });
  if (name !== null) chip.style.background = colorOf(name);
  return chip;
}

// ---- Labels: segments [first frame, class or null, probability or null], each up to the next one's first

let segments = [], version = 0, isOwner = false;
let undone = [], done = []; // earlier states, the last one last: each a list of segments
let snapping = null; // what S did last: {edge: where it is now, left: cuts to try next}
const HISTORY = 300; // changes that can be undone

const endOf = (index) => (index + 1 < segments.length ? segments[index + 1][0] : facts.frames);

function segmentAt(frame) {
  let low = 0, high = segments.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (segments[middle][0] <= frame) low = middle; else high = middle - 1;
  }
  return low;
}

function nearestEdge(frame) { // index of the segment that begins next to a frame, 0 if there is no edge
  const index = segmentAt(frame);
  if (index + 1 < segments.length && (index === 0 || segments[index + 1][0] - frame < frame - segments[index][0])) {
    return index + 1;
  }
  return index;
}

function probabilityOf(name, first, end, stored) { // mean over the windows, where there are some
  const windows = facts.windows;
  const column = windows ? windows.classes.indexOf(name) : -1;
  if (column < 0) return windows ? null : stored;
  const [from, to] = [timeOf(first), timeOf(end)];
  let sum = 0, weight = 0;
  for (let i = windowAfter(from); i < windows.starts.length && windows.starts[i] < to; i++) {
    const share = Math.min(windows.ends[i], to) - Math.max(windows.starts[i], from);
    if (share > 0) { sum += share * windows.probabilities[i][column]; weight += share; }
  }
  return weight ? sum / weight : null;
}

function windowAfter(seconds) { // the first window that ends after a time
  const ends = facts.windows.ends;
  let low = 0, high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= seconds) low = middle + 1; else high = middle;
  }
  return low;
}

function change(rows, said) { // takes a new list of segments for the labels
  if (!isOwner) return say("Another page has these labels open.");
  const merged = [];
  for (const row of rows) {
    const last = merged[merged.length - 1];
    if (last && last[1] === null && row[1] === null) continue;
    merged.push(row);
  }
  const before = new Map(segments.map((row, i) => [`${row[0]} ${endOf(i)} ${row[1]}`, row[2]]));
  const fresh = merged.map(([first, name], i) => {
    const end = i + 1 < merged.length ? merged[i + 1][0] : facts.frames;
    const stored = before.get(`${first} ${end} ${name}`) ?? null;
    return [first, name, name === null ? null : probabilityOf(name, first, end, stored)];
  });
  done.push(segments);
  if (done.length > HISTORY) done.shift();
  undone = [];
  adopt(fresh, said);
}

function adopt(rows, said) {
  segments = rows;
  snapping = null;
  for (const [, name] of rows) if (name !== null && numberOf(name) < 0) addClass(name);
  save();
  redraw();
  if (said) say(said);
}

function travel(from, to, word) { // undo, redo
  if (!isOwner) return;
  if (!from.length) return say(`Nothing to ${word}`);
  to.push(segments);
  adopt(from.pop(), word === "undo" ? "Undone" : "Done again");
}

let saving = false, unsaved = false;

async function save(over = false) { // over: also over what another program has written
  unsaved = true;
  if (saving) return; // when that is done, what is newest then is saved
  saving = true;
  while (unsaved) {
    unsaved = false;
    try {
      const saved = await post("segments", { version, segments, over });
      version = saved.version;
      over = false;
      showChanged(false);
      if (unsaved) continue;
      showSaved(saved.kept ? `Saved in ${facts.file}; what the other program wrote is in ${saved.kept}` : `Saved in ${facts.file}`);
      remember();
    } catch (error) {
      unsaved = true;
      if (error.isOther) { showChanged(true); break; } // until the person says what is to be kept
      if (error.status === 409) { isOwner = false; showOther(error.message); break; }
      showSaved(`Not saved: ${error.status ? error.message : "label.py has ended"}`, true);
      await new Promise((wake) => setTimeout(wake, 2000));
    }
  }
  saving = false;
}

function showChanged(isOther) { // whether another program has changed the label file
  if (isOther && $("changed").hidden) {
    $("changed-text").textContent = `${facts.file} was changed by another program. Nothing is saved until you choose which is to be kept. Save mine: a copy of theirs is kept beside it. Load theirs: Undo brings yours back.`;
  }
  const isOver = !isOther && !$("changed").hidden && unsaved && !saving; // they have put it back
  $("changed").hidden = !isOther || !isOwner;
  if (isOver) save();
  if (isOther && unsaved) showSaved("Not saved", true);
}

async function loadTheirs() {
  const mine = segments, before = done;
  try {
    await post("load", { version });
    takeFacts(await (await get("recording")).json());
  } catch (error) {
    return showSaved(`Not loaded: ${error.message}`, true);
  }
  unsaved = false;
  done = [...before, mine].slice(-HISTORY);
  showChanged(false);
  redraw();
  showSaved(`Opened ${facts.file}`);
  remember();
}

// What a reloaded page still knows, of this label file only.
const shelf = (name) => `${name} of ${facts.file}, ${facts.recording}`;

function keep(name, content) {
  try { sessionStorage.setItem(shelf(name), JSON.stringify(content)); } catch { /* no room: then not */ }
}

function kept(name) {
  try { return JSON.parse(sessionStorage.getItem(shelf(name))); } catch { return null; }
}

function remember() { // so that a reloaded page can still undo
  try {
    let content = JSON.stringify({ file: facts.file, version, done, undone });
    if (content.length > 2e6) content = JSON.stringify({ file: facts.file, version, done: done.slice(-5), undone: [] });
    sessionStorage.setItem("history", content);
  } catch { /* no room: then not */ }
}

function recall() {
  try {
    const found = JSON.parse(sessionStorage.getItem("history"));
    if (found && found.file === facts.file && found.version === version) ({ done, undone } = found);
  } catch { /* none */ }
}

function showSaved(text, bad = false) {
  $("saved").textContent = text;
  $("saved").classList.toggle("bad", bad);
}

function say(text) { $("said").textContent = text; showSaved(text); }

// ---- Player

const video = $("video");
const SPEEDS = [-8, -4, -2, -1, 0.25, 0.5, 1, 2, 4, 8];
let frame = 0; // that is shown, or will be when the video has got there
let speed = 1, playing = false, backwards = 0; // backwards: the timer of playing backwards
let offset = 0; // of the video's times from the recording's
let wanted = null, sought = 0; // a frame to go to when the video has got to another, and that other
let proxy = null;

function position(to) {
  frame = clamp(to, 0, facts.frames - 1);
  drawPosition();
}

function seek(to) {
  position(to);
  if (proxy) proxy.want(frame);
  // While the video is on its way to a frame, the next waits, unless that piece has yet to be made.
  const arrives = video.seeking && !(proxy && !proxy.there.has(Math.floor(sought / facts.piece)));
  if (arrives || !video.readyState) { wanted = frame; return; }
  wanted = null;
  sought = frame;
  // Into the middle of the frame: times are rounded on their way.
  video.currentTime = (timeOf(frame) + timeOf(frame + 1)) / 2 + offset;
}

video.addEventListener("seeked", () => { if (wanted !== null) seek(wanted); });

function onPresented(now, metadata) {
  if (!video.paused && !video.seeking && wanted === null) {
    position(frameNextTo(metadata.mediaTime - offset));
    if (proxy) proxy.want(frame);
    if (frame >= facts.frames - 1) pause();
  }
  video.requestVideoFrameCallback(onPresented);
}

function onTime() { // browsers without requestVideoFrameCallback
  if (!video.paused && !video.seeking && wanted === null) position(frameAt(video.currentTime - offset));
  if (proxy) proxy.want(frame);
  requestAnimationFrame(onTime);
}

function play() {
  if (frame >= facts.frames - 1) seek(0);
  playing = true;
  if (speed < 0) {
    video.pause();
    clearInterval(backwards);
    backwards = setInterval(() => {
      if (!video.seeking) seek(frameAt(Math.max(timeOf(frame) + speed / 8, facts.first)));
      if (!frame) pause();
    }, 125);
  } else {
    video.playbackRate = speed;
    video.play().catch(() => pause());
  }
  showPlaying();
}

function pause() {
  const wasPlaying = playing;
  playing = false;
  clearInterval(backwards);
  video.pause();
  if (wasPlaying) seek(frame); // the video may be a frame further than it last said
  showPlaying();
}

function stepSpeed(step) {
  speed = SPEEDS[clamp(SPEEDS.indexOf(speed) + step, 0, SPEEDS.length - 1)];
  clearInterval(backwards);
  if (playing) play();
  showPlaying();
}

function showPlaying() {
  $("play").textContent = playing ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  $("speed").textContent = `${speed}×`.replace("-", "−");
}

function goTo(to) { // keeps on playing from there
  seek(to);
}

function openFile() { // whether the browser can play the file itself, and counts its times as we do
  return new Promise((resolve) => {
    const fail = () => resolve(false);
    video.addEventListener("error", fail, { once: true });
    video.addEventListener("loadeddata", () => {
      video.removeEventListener("error", fail);
      if (!video.videoWidth || !video.requestVideoFrameCallback) resolve(video.videoWidth > 0);
    }, { once: true });
    video.requestVideoFrameCallback?.((now, metadata) => { // the first frame
      offset = metadata.mediaTime - facts.first;
      resolve(Math.abs(offset) < 1);
    });
    video.preload = "auto";
    video.src = address("video");
  });
}

async function openVideo() {
  if (facts.playable && (await openFile())) {
    video.addEventListener("error", useProxy, { once: true }); // a part that it can't decode
  } else {
    await useProxy();
  }
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(onPresented); else onTime();
  video.addEventListener("pause", () => { if (playing && speed > 0 && !video.seeking) pause(); });
  video.addEventListener("ended", () => pause());
  for (const name of ["waiting", "seeking", "seeked", "canplay", "playing", "timeupdate"]) video.addEventListener(name, showWaiting);
}

function showWaiting() {
  const waits = video.readyState < 3 && (video.seeking || playing);
  clearTimeout(showWaiting.timer);
  if (!waits) { $("waiting").hidden = true; return; }
  showWaiting.timer = setTimeout(() => {
    const ready = proxy ? ` The preview is ready up to ${clock(markOf(Math.min(progress.pieces * facts.piece, facts.frames)), 0)}.` : "";
    $("waiting").textContent = `Getting there…${ready}`;
    $("waiting").hidden = video.readyState >= 3;
  }, 400);
}

// ---- Playing by proxy: pieces of the same number of frames, put into a MediaSource

const AHEAD = 6, KEPT = 60; // pieces
const NO_H264 = "this browser can't play H.264. Chromium can, and so can Firefox if ffmpeg's libavcodec is installed";

class Proxy {
  constructor() {
    this.last = Math.ceil(facts.frames / facts.piece) - 1;
    this.there = new Set();
    this.current = 0;
    this.busy = false;
    this.media = new MediaSource();
    this.media.addEventListener("sourceopen", () => this.open(), { once: true });
    video.src = URL.createObjectURL(this.media);
  }

  async open() {
    const type = `video/mp4; codecs="avc1.42C01F${facts.has_sound ? ",mp4a.40.2" : ""}"`;
    try {
      if (!MediaSource.isTypeSupported(type)) throw new Error(NO_H264);
      this.buffer = this.media.addSourceBuffer(type);
      this.media.duration = timeOf(facts.frames) + 0.1;
      await this.append(await this.fetch("init.mp4"));
      this.want(frame);
      seek(frame);
    } catch (error) {
      showProblem(`This recording can't be shown: ${error.message}`);
    }
  }

  async fetch(name) {
    for (;;) {
      const answer = await fetch(address(`proxy/${name}`));
      if (answer.ok) return answer.arrayBuffer();
      if (answer.status !== 503) throw new Error(await answer.text());
      if (name !== "init.mp4" && !this.isNeeded(+name)) return null;
    }
  }

  append(content) {
    return new Promise((resolve, reject) => {
      this.buffer.addEventListener("updateend", resolve, { once: true });
      this.buffer.addEventListener("error", () => reject(new Error(NO_H264)), { once: true });
      this.buffer.appendBuffer(content);
    });
  }

  remove(piece) {
    this.there.delete(piece);
    return new Promise((resolve) => {
      this.buffer.addEventListener("updateend", resolve, { once: true });
      this.buffer.remove(timeOf(piece * facts.piece), timeOf(Math.min((piece + 1) * facts.piece, facts.frames)));
    });
  }

  isNeeded(piece) { return piece >= this.current && piece <= this.current + AHEAD * Math.max(1, Math.abs(speed) / 2); }

  want(to) {
    this.current = Math.floor(to / facts.piece);
    if (!this.busy && this.buffer) this.work();
  }

  async work() {
    this.busy = true;
    try {
      for (;;) {
        let next = this.current;
        while (this.there.has(next)) next++;
        if (next > this.last || !this.isNeeded(next)) break;
        const content = await this.fetch(next);
        if (!content) continue;
        for (const piece of this.there) if (Math.abs(piece - this.current) > KEPT) await this.remove(piece);
        await this.append(content);
        this.there.add(next);
        if (wanted !== null && !video.seeking) seek(wanted);
      }
      // Without this the last frames would be waited for.
      if (this.there.has(this.last) && this.media.readyState === "open") this.media.endOfStream();
    } catch (error) {
      showProblem(`The preview ends here: ${error.message}`);
    }
    this.busy = false;
  }
}

function useProxy() {
  offset = 0;
  $("waiting").textContent = "Preparing a preview that the browser can play…";
  $("waiting").hidden = false;
  return new Promise((resolve) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    proxy = new Proxy();
  });
}

function showProblem(text) { $("problem").textContent = text; $("problem").hidden = false; }

// ---- Strips

let cuts = [], progress = { pieces: 0 };
const pictures = new Map(); // {first frame of a shot: Image}
const ZOOMS = [10, 20, 30, 60, 120, 300]; // seconds that the lower strip may show
let span = 60; // those that it shows
const PICTURE_ROW = 62;

function surface(canvas) { // a canvas at the screen's resolution: [context, width, height] in CSS pixels
  const scale = window.devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

function wholeX(seconds, width) {
  return ((seconds - facts.first) / (facts.seconds - facts.first)) * width;
}

let wholePicture = null; // of the upper strip without the position: it changes with the labels only

function paintWhole(width, height) {
  const scale = window.devicePixelRatio || 1;
  wholePicture = make("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = wholePicture.getContext("2d");
  context.scale(scale, scale);
  const windows = facts.windows, top = windows ? Math.round(height * 0.6) : 0;
  segments.forEach(([first, name], i) => {
    const x = wholeX(timeOf(first), width);
    context.fillStyle = colorOf(name);
    context.fillRect(x, top, Math.max(wholeX(timeOf(endOf(i)), width) - x, 1), height - top);
  });
  if (!windows) return;
  windows.classes.forEach((name, column) => {
    context.strokeStyle = colorOf(name);
    context.lineWidth = 1.5;
    context.beginPath();
    windows.starts.forEach((start, i) => {
      const y = 2 + (1 - windows.probabilities[i][column]) * (top - 5);
      if (!i) context.moveTo(wholeX(start, width), y); else context.lineTo(wholeX(start, width), y);
      context.lineTo(wholeX(windows.ends[i], width), y);
    });
    context.stroke();
  });
}

function drawWhole() {
  const [context, width, height] = surface($("whole"));
  if (!wholePicture || wholePicture.width !== $("whole").width || wholePicture.height !== $("whole").height) paintWhole(width, height);
  context.drawImage(wholePicture, 0, 0, width, height);
  const [from, to] = nearRange();
  context.strokeStyle = "#ffffffb0";
  context.lineWidth = 1;
  context.strokeRect(wholeX(from, width) + 0.5, 0.5, Math.max(wholeX(to, width) - wholeX(from, width) - 1, 2), height - 1);
  drawMark(context, wholeX(timeOf(frame), width), height);
}

function drawMark(context, x, height) {
  context.fillStyle = "#000";
  context.fillRect(x - 2, 0, 4, height);
  context.fillStyle = "#fff";
  context.fillRect(x - 1, 0, 2, height);
}

let nearFrom = null; // while an edge is dragged the strip stands still

function nearRange() {
  const length = Math.min(span, facts.seconds - facts.first);
  const from = nearFrom ?? clamp(timeOf(frame) - length / 2, facts.first, facts.seconds - length);
  return [from, from + length];
}

function zoom(step) {
  span = ZOOMS[clamp(ZOOMS.indexOf(span) + step, 0, ZOOMS.length - 1)];
  $("zoom").textContent = span < 120 ? `${span} s` : `${span / 60} min`;
  requestDraw();
}

function pictureOf(first) {
  let image = pictures.get(first);
  if (!image) {
    image = new Image();
    image.onload = () => { image.isThere = true; requestDraw(); };
    image.onerror = () => setTimeout(() => pictures.delete(first), 3000); // not there yet
    image.src = address(`shot/${first}`);
    if (pictures.size > 2000) pictures.delete(pictures.keys().next().value);
    pictures.set(first, image);
  }
  return image.isThere ? image : null;
}

function firstCutAfter(to) { // index in cuts
  let low = 0, high = cuts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cuts[middle] <= to) low = middle + 1; else high = middle;
  }
  return low;
}

function drawNear() {
  const [context, width, height] = surface($("near"));
  const [from, to] = nearRange();
  const x = (seconds) => ((seconds - from) / (to - from)) * width;
  drawPictures(context, x, from, to);
  const top = PICTURE_ROW + 4, bottom = height - 18;
  for (let i = segmentAt(frameAt(from)); i < segments.length && timeOf(segments[i][0]) < to; i++) {
    const [first, name] = segments[i];
    const left = x(timeOf(first)), right = x(timeOf(endOf(i)));
    context.fillStyle = colorOf(name);
    context.fillRect(left, top, right - left, bottom - top);
    if (i && timeOf(first) >= from) {
      context.fillStyle = "#fff";
      context.fillRect(left - 1, PICTURE_ROW, 2, bottom - PICTURE_ROW + 3);
    }
    drawName(context, name, Math.max(left, 0), Math.min(right, width), (top + bottom) / 2);
  }
  context.fillStyle = "#aab0ba";
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "alphabetic";
  const step = [1, 2, 5, 10, 20, 60].find((one) => (one / (to - from)) * width >= 55) ?? 60;
  for (let second = Math.ceil(from / step) * step; second < to; second += step) {
    context.fillRect(x(second), bottom + 2, 1, 4);
    context.fillText(clock(second, 0), x(second) + 3, height - 4);
  }
  drawMark(context, x(timeOf(frame)), bottom + 4);
}

function drawName(context, name, left, right, middle) {
  if (name === null || right - left < 30) return;
  const [r, g, b] = classes[numberOf(name)].color;
  context.save();
  context.beginPath();
  context.rect(left, 0, right - left - 3, 999);
  context.clip();
  context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b > 110 ? "#000" : "#fff";
  context.font = "600 13px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillText(name, left + 6, middle);
  context.restore();
}

function drawPictures(context, x, from, to) {
  const start = Math.max(firstCutAfter(frameAt(from)) - 1, -1);
  for (let i = start; i < cuts.length; i++) {
    const first = i < 0 ? 0 : cuts[i];
    if (timeOf(first) > to) break;
    const left = x(timeOf(first)), right = x(timeOf(i + 1 < cuts.length ? cuts[i + 1] : facts.frames));
    if (first && left >= 0) {
      context.fillStyle = "#8d939d";
      context.fillRect(left, 0, 1, PICTURE_ROW + 3);
    }
    if (right - left < 5 || first >= (progress.searched || 0)) continue;
    const image = pictureOf(first);
    if (!image) continue;
    const wide = (image.naturalWidth / image.naturalHeight) * PICTURE_ROW;
    const at = clamp(0, left, Math.max(right - wide, left)) + 1; // in sight while its shot is
    context.save();
    context.beginPath();
    context.rect(left + 1, 0, right - left - 2, PICTURE_ROW);
    context.clip();
    context.drawImage(image, at, 0, wide, PICTURE_ROW);
    context.restore();
  }
}

let drawing = false;

function requestDraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawWhole(); drawNear(); });
}

// ---- Lists

let unsure = [], lastUnsure = null;
let seen = new Set(), checked = new Set(); // keys of what was looked at, and of what a person found to be right
let shownSegment = -1;

function drawPosition() {
  const seconds = markOf(frame);
  $("clock").textContent = clock(seconds);
  $("frame").textContent = `frame ${frame}`;
  $("position").dataset.frame = frame;
  const slider = $("whole");
  slider.setAttribute("aria-valuenow", frame);
  const index = segmentAt(frame);
  slider.setAttribute("aria-valuetext", `${clock(seconds)}, ${segments[index][1] ?? "no label"}`);
  if (index !== shownSegment) showSegment(index);
  requestDraw();
}

function showSegment(index) {
  shownSegment = index;
  const rows = $("rows").children;
  for (const row of $("rows").querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
  if (rows[index]) {
    rows[index].setAttribute("aria-current", "true");
    if (!$("segments").matches(":hover") && !$("segments").hidden) {
      const box = $("segments"), { offsetTop, offsetHeight } = rows[index];
      if (offsetTop < box.scrollTop + 28 || offsetTop + offsetHeight > box.scrollTop + box.clientHeight) {
        box.scrollTop = offsetTop - box.clientHeight / 2;
      }
    }
  }
  const name = segments[index][1];
  for (const button of $("classes").children) button.setAttribute("aria-pressed", String(button.dataset.name === (name ?? "") && (name === null) === ("none" in button.dataset)));
}

function drawRows() {
  $("rows").replaceChildren(...segments.map(([first, name, probability], i) => {
    const start = make("button", { type: "button", textContent: clock(markOf(first)), title: `Go to frame ${first}` });
    const row = make("tr", {},
      make("td", {}, start), make("td", { textContent: clock(markOf(endOf(i))) }),
      make("td", { title: name ?? "no label" }, chipOf(name), ` ${name ?? "–"}`),
      make("td", { textContent: probability === null ? "" : probability.toFixed(2) }));
    row.addEventListener("click", () => goTo(first));
    return row;
  }));
  shownSegment = -1;
}

function drawClasses() {
  const buttons = classes.map(({ name }, i) => {
    const button = make("button", { type: "button", title: name }, chipOf(name), make("span", { className: "name", textContent: name }));
    if (i < 9) button.prepend(make("kbd", { textContent: i + 1 }));
    button.dataset.name = name;
    button.addEventListener("click", () => label(name));
    return button;
  });
  const none = make("button", { type: "button" }, make("kbd", { textContent: "0" }), chipOf(null), make("span", { className: "name", textContent: "no label" }));
  none.dataset.name = "";
  none.dataset.none = "";
  none.addEventListener("click", () => label(null));
  $("classes").replaceChildren(...buttons, none);
  shownSegment = -1;
}

const LEAST = 0.9, CLOSE = 0.6; // probabilities: segments below, windows below are worth a look

function findUnsure() { // what is worth a look, the least sure first: {key, frame, text, score}
  const found = [];
  segments.forEach(([first, name, probability], i) => {
    if (name !== null && probability !== null && probability < LEAST) {
      found.push({ key: `s${first} ${name}`, frame: first, score: probability, text: `${name} only ${probability.toFixed(2)}` });
    }
    const before = i ? segments[i - 1][1] : null;
    if (i && name !== null && before !== null && name !== before) {
      const margin = marginAt(first, before, name);
      if (margin !== null && margin < 0.6) {
        found.push({ key: `c${first} ${before} ${name}`, frame: first, score: 0.5 + margin / 2, text: `cut ${before} → ${name}, both sides close` });
      }
    }
  });
  findUnsureWindows(found);
  return found.sort((a, b) => a.score - b.score).slice(0, 200);
}

function marginAt(first, before, after) { // how much surer the two sides of a cut are of their own class
  const windows = facts.windows;
  if (!windows) return null;
  const a = windows.classes.indexOf(before), b = windows.classes.indexOf(after);
  if (a < 0 || b < 0) return null;
  const right = Math.min(windowAfter(timeOf(first) + 0.01), windows.starts.length - 1);
  const left = Math.max(windowAfter(timeOf(first) - 0.01), 0);
  const row = (i) => windows.probabilities[clamp(i, 0, windows.starts.length - 1)];
  const [onLeft, onRight] = [row(left === right ? left - 1 : left), row(left === right ? right + 1 : right)];
  return Math.max(0, Math.min(onLeft[a] - onLeft[b], onRight[b] - onRight[a]));
}

function findUnsureWindows(found) {
  const windows = facts.windows;
  if (!windows) return;
  let run = null; // windows in a row are one
  windows.probabilities.forEach((row, i) => {
    const first = frameNextTo(windows.starts[i]), index = segmentAt(frameAt((windows.starts[i] + windows.ends[i]) / 2));
    const column = windows.classes.indexOf(segments[index][1]);
    const score = column < 0 ? 1 : row[column];
    const isLow = segments[index][2] !== null && segments[index][2] < CLOSE; // in the list as a whole
    if (score >= CLOSE || isLow) { run = null; return; }
    if (run && run.index === index) { run.score = Math.min(run.score, score); return; }
    const name = segments[index][1], at = Math.max(first, segments[index][0]);
    run = { key: `w${at} ${name}`, frame: at, score, text: "", name, index };
    found.push(run);
  });
  for (const item of found) if (!item.text) item.text = `moments of ${item.name} at ${item.score.toFixed(2)}`;
}

function drawUnsure() {
  unsure = findUnsure();
  const open = unsure.filter((item) => !checked.has(item.key));
  const hasProbabilities = facts.windows || segments.some((row) => row[2] !== null);
  $("unsure-note").textContent = !hasProbabilities
    ? "These labels have no probabilities. Open a result.csv or result.json of clasify.py (--export csv,json) to walk through what it was least sure of."
    : `${open.length || (unsure.length ? "Nothing more is" : "Nothing is")} worth a look${open.length < unsure.length ? `, ${unsure.length - open.length} checked` : ""}`;
  $("next-unsure").hidden = $("right").hidden = !open.length;
  const entry = (item) => {
    const button = make("button", { type: "button", textContent: `${clock(markOf(item.frame))}  ${item.text}` });
    button.className = checked.has(item.key) ? "checked" : seen.has(item.key) ? "seen" : "";
    button.addEventListener("click", () => look(item));
    const row = make("li", {}, button);
    if (item.key === lastUnsure) row.setAttribute("aria-current", "true");
    return row;
  };
  $("unsure-rows").replaceChildren(...[...open, ...unsure.filter((item) => checked.has(item.key))].map(entry));
}

function look(item) {
  seen.add(item.key);
  keep("seen", [...seen]);
  lastUnsure = item.key;
  goTo(item.frame);
  drawUnsure();
  $("unsure-rows").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  say(`${clock(markOf(item.frame))}: ${item.text}`);
}

function nextUnsure() { // what has not been looked at first, then once more what was not checked
  showTab("unsure");
  const open = unsure.filter((item) => !checked.has(item.key));
  const next = open.find((item) => !seen.has(item.key)) ?? open[(open.findIndex((item) => item.key === lastUnsure) + 1) % open.length];
  if (next) look(next); else say("Nothing more is worth a look");
}

function lookedAt() { // the entry that is being looked at, if the position is still there
  const item = $("unsure").hidden ? null : unsure.find((one) => one.key === lastUnsure && !checked.has(one.key));
  return item && segmentAt(frame) === segmentAt(item.frame) ? item : null;
}

function isRight() { // what is labelled there
  const item = lookedAt();
  if (!item) return say("Choose what to check first: Next");
  checked.add(item.key);
  keep("checked", [...checked]);
  drawUnsure();
  nextUnsure();
}

function showTab(name) {
  for (const other of ["segments", "unsure"]) {
    $(other).hidden = other !== name;
    $(`tab-${other}`).setAttribute("aria-selected", String(other === name));
    $(`tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
}

function redraw() { // after the labels have changed
  wholePicture = null;
  drawRows();
  drawUnsure();
  $("undo").disabled = !isOwner || !done.length;
  $("redo").disabled = !isOwner || !undone.length;
  drawPosition();
}

function byAlphabet(a, b) { // as Python sorts, by code points
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i].codePointAt(0) - right[i].codePointAt(0);
  }
  return left.length - right.length;
}

function arrange(names) { // keys: those of --classes, then by the alphabet. Colours by the alphabet, as in result.avi
  const sorted = [...names].sort(byAlphabet), chosen = names.slice(0, facts.chosen);
  classes = [...chosen, ...sorted.filter((name) => !chosen.includes(name))].map((name) => (
    { name, color: facts.palette[sorted.indexOf(name) % facts.palette.length] }));
  drawClasses();
}

function addClass(name) {
  arrange([...classes.map((item) => item.name), name]);
  wholePicture = null;
  keep("classes", classes.map((item) => item.name));
}

// ---- Commands

function label(name) { // from here to the end of the segment it is this class
  const index = segmentAt(frame), [first, before] = segments[index];
  if (before === name && lookedAt()) return isRight();
  if (before === name) return say(`It is ${name ?? "without a label"} already`);
  const rows = segments.map((row) => row.slice());
  let at = index;
  if (frame > first) { rows.splice(index + 1, 0, [frame, name, null]); at = index + 1; } else rows[index] = [first, name, null];
  // Of one class with its neighbours it is one segment.
  if (at + 1 < rows.length && rows[at + 1][1] === name) rows.splice(at + 1, 1);
  if (at > 0 && rows[at - 1][1] === name) rows.splice(at, 1);
  change(rows, `${name ?? "No label"} from ${clock(markOf(Math.max(frame, first)))}`);
}

function split() {
  const index = segmentAt(frame);
  if (segments[index][0] === frame) return say("There is an edge already");
  if (segments[index][1] === null) return say("There is no label to split; press a class's number");
  change([...segments.slice(0, index + 1), [frame, segments[index][1], null], ...segments.slice(index + 1)], `Split at ${clock(markOf(frame))}`);
}

function join() {
  const index = segmentAt(frame);
  if (!index) return say("Nothing is before");
  change([...segments.slice(0, index), ...segments.slice(index + 1)], `Joined with ${segments[index - 1][1] ?? "what has no label"}`);
}

function moveEdge(index, to) { // returns whether it has moved
  if (!index) { say("There is no edge"); return false; }
  const [low, high] = [segments[index - 1][0] + 1, endOf(index) - 1];
  const goal = clamp(to, low, high);
  if (goal === segments[index][0]) return false;
  change(segments.map((row, i) => (i === index ? [goal, row[1], null] : row)), `Edge at ${clock(markOf(goal))}`);
  if (!playing) seek(goal);
  return true;
}

function nudge(step) {
  const index = nearestEdge(frame);
  moveEdge(index, index ? segments[index][0] + step : 0);
}

const LATE = 1; // seconds that a person may be

function snap() { // once more: to the next nearest
  const index = nearestEdge(frame), edge = index ? segments[index][0] : 0;
  let left = snapping && snapping.edge === edge ? snapping.left : null;
  if (!left) {
    const [low, high] = [index ? segments[index - 1][0] : 0, endOf(index)];
    left = cuts.filter((cut) => cut > low && cut < high && Math.abs(timeOf(cut) - timeOf(edge)) < 10);
    left.sort((a, b) => Math.abs(a - edge) - Math.abs(b - edge));
    // People are late, not early: the last cut within a second before comes first.
    const before = left.find((cut) => cut <= edge && timeOf(edge) - timeOf(cut) <= LATE);
    if (before !== undefined) left = [before, ...left.filter((cut) => cut !== before)];
  }
  if (!index) return say("There is no edge to snap");
  if (!left.length) return say(progress.search_done ? "No cut is near" : "No cut is near, among those found so far");
  const cut = left[0];
  if (cut !== edge && !moveEdge(index, cut)) return;
  snapping = { edge: cut, left: left.slice(1) };
  if (cut === edge) say("The edge is at a cut");
}

function edgeFrom(step) {
  const index = segmentAt(frame);
  if (step > 0) return goTo(index + 1 < segments.length ? segments[index + 1][0] : facts.frames - 1);
  const here = segments[index][0];
  // While playing it would come back to the edge it has just left.
  const isBehind = playing ? timeOf(frame) - timeOf(here) > 0.7 : frame > here;
  goTo(isBehind ? here : segments[Math.max(index - 1, 0)][0]);
}

function shotFrom(step) {
  const after = firstCutAfter(frame);
  if (step > 0) return goTo(after < cuts.length ? cuts[after] : facts.frames - 1);
  let before = after - 1;
  if (before >= 0 && (cuts[before] === frame || (playing && timeOf(frame) - timeOf(cuts[before]) < 0.7))) before--;
  goTo(before >= 0 ? cuts[before] : 0);
}

const ACTS = {
  "play": () => (playing ? pause() : play()),
  "frame-back": () => { pause(); seek(frame - 1); },
  "frame-on": () => { pause(); seek(frame + 1); },
  "second-back": () => goTo(frameNextTo(timeOf(frame) - 1)),
  "second-on": () => goTo(frameNextTo(timeOf(frame) + 1)),
  "edge-back": () => edgeFrom(-1),
  "edge-on": () => edgeFrom(1),
  "shot-back": () => shotFrom(-1),
  "shot-on": () => shotFrom(1),
  "begin": () => goTo(0),
  "end": () => goTo(facts.frames - 1),
  "slower": () => stepSpeed(-1),
  "pause": () => { speed = 1; pause(); },
  "faster": () => { stepSpeed(1); if (!playing) play(); },
  "slower-or-back": () => { if (!playing && speed > 0) speed = -1; else stepSpeed(-1); if (!playing) play(); showPlaying(); },
  "split": split,
  "join": join,
  "edge-earlier": () => nudge(-1),
  "edge-later": () => nudge(1),
  "snap": snap,
  "undo": () => travel(done, undone, "undo"),
  "redo": () => travel(undone, done, "redo"),
  "next-unsure": nextUnsure,
  "right": isRight,
  "zoom-in": () => zoom(-1),
  "zoom-out": () => zoom(1),
  "mute": () => { video.muted = !video.muted; $("mute").textContent = video.muted ? "Muted" : "Sound"; },
  "keys": () => $("keys").showModal(),
};

// ---- Keys and mouse

const KEYS = {
  " ": "play", ArrowLeft: "frame-back", ArrowRight: "frame-on", "Shift ArrowLeft": "second-back", "Shift ArrowRight": "second-on",
  ArrowUp: "edge-back", ArrowDown: "edge-on", "Shift ArrowUp": "shot-back", "Shift ArrowDown": "shot-on", Home: "begin", End: "end",
  j: "slower-or-back", k: "pause", l: "faster", Enter: "split", Backspace: "join", ",": "edge-earlier", ".": "edge-later",
  s: "snap", u: "undo", r: "redo", n: "next-unsure", m: "mute", "?": "keys",
  "+": "zoom-in", "=": "zoom-in", "-": "zoom-out",
};

function onKey(event) {
  const target = event.target;
  if (event.altKey || target.matches("input") || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey || event.metaKey) {
    const back = { z: event.shiftKey ? "redo" : "undo", y: event.shiftKey ? "" : "redo" }[event.key.toLowerCase()];
    if (back) { event.preventDefault(); ACTS[back](); }
    return;
  }
  if (target.matches("button") && [" ", "Enter"].includes(event.key)) return; // it is pressed
  if (target.matches("[role=tab]") && event.key.startsWith("Arrow")) {
    const other = target.id === "tab-segments" ? "unsure" : "segments";
    showTab(other);
    $(`tab-${other}`).focus();
    return event.preventDefault();
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[0-9]$/.test(key)) {
    event.preventDefault();
    if (event.repeat) return;
    if (key === "0") return label(null);
    return classes[key - 1] ? label(classes[key - 1].name) : say(`There is no class ${key}: type its name`);
  }
  const act = KEYS[event.shiftKey && key.startsWith("Arrow") ? `Shift ${key}` : key];
  if (!act) return;
  event.preventDefault();
  ACTS[act]();
}

function listen() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.act) ACTS[button.dataset.act]();
    if (event.detail > 0 && !button.closest("dialog")) button.blur(); // space plays again
  });
  $("undo").addEventListener("click", ACTS.undo);
  $("redo").addEventListener("click", ACTS.redo);
  $("keys-open").addEventListener("click", ACTS.keys);
  $("save-mine").addEventListener("click", () => save(true));
  $("load-theirs").addEventListener("click", loadTheirs);
  $("take-over").addEventListener("click", () => claim(true));
  for (const name of ["segments", "unsure"]) $(`tab-${name}`).addEventListener("click", () => showTab(name));
  video.addEventListener("click", ACTS.play);
  $("new-class").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("new-name").value.trim();
    if (!name) return;
    const problem = problemOf(name);
    showNewProblem(problem);
    if (problem) return;
    if (numberOf(name) < 0) { addClass(name); redraw(); }
    const key = numberOf(name) + 1;
    say(key < 10 ? `${name} is key ${key}` : `${name} has no key: press its button`);
    $("new-name").value = "";
    $("new-name").blur();
  });
  $("new-name").addEventListener("input", () => showNewProblem(""));
  $("new-name").addEventListener("keydown", (event) => { if (event.key === "Escape") event.target.blur(); });
  listenToStrips();
  listenToTraining();
  window.addEventListener("resize", requestDraw);
  window.addEventListener("beforeunload", (event) => { if (unsaved && isOwner) event.preventDefault(); });
  window.addEventListener("pagehide", () => keep("frame", frame));
  window.addEventListener("pagehide", () => navigator.sendBeacon(address("release"), JSON.stringify({ page })));
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

function problemOf(name) { // why it can't be a class: it is the name of a folder
  if (/[/\\]/.test(name)) return "A class can't have a slash in its name: it is the name of a folder.";
  if (name.startsWith(".")) return "A class can't begin with a dot: it is the name of a folder.";
  if (/[\u0000-\u001f\u0085\u2028\u2029\ufffe\uffff]/.test(name)) return "A class can't have characters that are not shown.";
  const unusable = [...facts.forbidden].filter((one) => name.includes(one));
  if (unusable.length) return `A class can't have ${unusable.join(" ")} in its name on this system.`;
  return new TextEncoder().encode(name).length > facts.most_bytes ? "That is too long for a class." : "";
}

function showNewProblem(text) {
  $("new-problem").textContent = text;
  $("new-problem").hidden = !text;
  $("new-name").setAttribute("aria-invalid", String(Boolean(text)));
}

function listenToStrips() {
  const share = (event) => clamp(event.offsetX / event.target.clientWidth, 0, 1);
  const whole = $("whole"), near = $("near");
  const toWhole = (event) => goTo(frameAt(facts.first + share(event) * (facts.seconds - facts.first)));
  let dragged = 0; // the segment whose edge is dragged
  const nearTime = (event) => { const [from, to] = nearRange(); return from + share(event) * (to - from); };
  const edgeUnder = (event) => {
    const index = nearestEdge(frameNextTo(nearTime(event))), [from, to] = nearRange();
    const away = index ? Math.abs(timeOf(segments[index][0]) - nearTime(event)) : Infinity;
    return event.offsetY > PICTURE_ROW && (away / (to - from)) * near.clientWidth < 7 ? index : 0;
  };
  whole.addEventListener("pointerdown", (event) => { whole.setPointerCapture(event.pointerId); toWhole(event); });
  whole.addEventListener("pointermove", (event) => { if (event.buttons & 1) toWhole(event); });
  near.addEventListener("pointerdown", (event) => {
    near.setPointerCapture(event.pointerId);
    nearFrom = nearRange()[0];
    dragged = edgeUnder(event);
    if (!dragged) goTo(frameAt(nearTime(event)));
    else { pause(); seek(segments[dragged][0]); }
  });
  near.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) near.style.cursor = edgeUnder(event) ? "ew-resize" : "pointer";
    else if (dragged) seek(clamp(frameNextTo(nearTime(event)), segments[dragged - 1][0] + 1, endOf(dragged) - 1));
    else goTo(frameAt(nearTime(event)));
  });
  near.addEventListener("pointerup", () => {
    if (dragged) moveEdge(dragged, frame);
    dragged = 0;
    nearFrom = null;
    requestDraw();
  });
}

function listenToTraining() {
  let asked = 0;
  const show = async () => {
    const mine = ++asked, seconds = $("clip-seconds").value;
    let found = { classes: [], notes: [], commands: [], problem: "The length of a clip is a number of seconds above 0." };
    try {
      if (+seconds > 0) found = await (await get("training", { seconds })).json();
    } catch (error) {
      found.problem = error.message;
    }
    if (mine !== asked) return; // the field has changed again
    $("training-problem").textContent = found.problem ?? "";
    $("clip-seconds").setAttribute("aria-invalid", String(!(+seconds > 0)));
    $("training-rows").replaceChildren(...found.classes.map((item) => make("tr", {},
      make("td", {}, chipOf(item.name), ` ${item.name}`),
      ...[item.stretches, item.train, item.test].map((number) => make("td", { textContent: number })))));
    $("training-notes").replaceChildren(...found.notes.map((text) => make("li", { textContent: text })));
    $("commands").textContent = found.commands.join("\n");
    $("training-table").hidden = !found.classes.length;
    $("commands").hidden = $("copy").hidden = !found.commands.length;
  };
  $("training-open").addEventListener("click", () => { $("training").showModal(); show(); });
  $("clip-seconds").addEventListener("input", show);
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("commands").textContent);
      $("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren($("commands")); // to be copied by hand
    }
    setTimeout(() => { $("copy").textContent = "Copy"; }, 2000);
  });
}

// ---- Start

function showOther(text) {
  $("other-text").textContent = text;
  $("other").hidden = isOwner;
}

async function claim(force) {
  for (let tries = 0; tries < 4; tries++) { // a page that is being reloaded has just let go, or will have
    isOwner = (await post("claim", { force })).is_owner;
    if (isOwner) break;
    await new Promise((wake) => setTimeout(wake, 250));
  }
  showOther("Another page has these labels open: here they can only be looked at.");
  if (force && isOwner) {
    takeFacts(await (await get("recording")).json());
    unsaved = false;
    redraw();
  }
}

function takeFacts(found) {
  ({ segments, version } = found);
  facts = Object.assign(facts ?? {}, found);
  segments = segments.map(([first, name, stored], i) => [first, name, name === null ? null : probabilityOf(name, first, endOf(i), stored)]);
  done = [];
  undone = [];
  recall();
  seen = new Set(kept("seen"));
  checked = new Set(kept("checked"));
  const typed = kept("classes") ?? []; // also those that have no segment yet
  arrange([...found.classes, ...typed.filter((name) => !found.classes.includes(name))]);
}

async function watchProgress() {
  for (;;) {
    try {
      const found = await (await get("progress", { page, cuts: cuts.length })).json();
      progress = found;
      cuts.push(...found.cuts);
      showProgress();
      if (!saving && found.version === version) showChanged(found.is_other); // else it is from before that
      if (isOwner && !found.is_owner) { isOwner = false; showOther("Another page has taken over these labels."); redraw(); }
      if (found.cuts.length || !found.search_done) requestDraw();
    } catch {
      showSaved("label.py has ended: start it again to go on.", true);
    }
    await new Promise((wake) => setTimeout(wake, progress.search_done ? 3000 : 700));
  }
}

function showProgress() {
  const share = Math.min(progress.searched / facts.frames, 1), number = `${cuts.length} cut${cuts.length === 1 ? "" : "s"}`;
  $("search-bar").value = share;
  $("search-bar").hidden = progress.search_done;
  $("search-text").textContent = progress.problem ? `Cuts: ${progress.problem}` : progress.search_done ? `${number} found` : `Looking for cuts: ${number}`;
  $("search").dataset.done = progress.search_done;
}

async function start() {
  try {
    const found = await (await get("recording")).json();
    if (!found.regular) times = new Float64Array(await (await get("times")).arrayBuffer());
    takeFacts(found);
  } catch (error) {
    return showProblem(error.message);
  }
  document.title = `${facts.recording} – Label`;
  $("recording").textContent = facts.recording;
  $("whole").setAttribute("aria-valuemax", facts.frames - 1);
  $("mute").hidden = !facts.has_sound;
  $("whole").classList.toggle("with-curves", Boolean(facts.windows));
  showSaved(facts.opened ? `Opened ${facts.opened}` : `Will be saved in ${facts.file}`);
  if (facts.lost) showProblem(`${facts.file}: ${facts.lost}.`);
  await claim(false);
  listen();
  redraw();
  watchProgress();
  position(kept("frame") ?? 0);
  await openVideo();
  if (frame) seek(frame);
  document.body.dataset.ready = proxy ? "proxy" : "file";
}

start();
