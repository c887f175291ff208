// The page of a directory, made more than a list: sort, find, upload, new folder, rename, delete.
// Who tells whom: each action is one request to this door (PUT, MKCOL, MOVE, DELETE) with the session's token; what the
// door refuses is shown in its own words. After a change the page is read anew, so that it shows what is there.
"use strict";

const body = document.body;
const here = body.dataset.here;
const rights = new Set(body.dataset.rights.split(" "));
const AT_ONCE = 3;

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function pathOf(parts) {
  return here + parts.map(encodeURIComponent).join("/");
}

function headers(more = {}) {
  return body.dataset.token ? { "X-Csrf-Token": body.dataset.token, ...more } : more;
}

async function ask(method, path, more = {}) {
  const answer = await fetch(path, { method, headers: headers(more), redirect: "error" });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `The server answered ${answer.status}.`);
}

async function change(method, path, more) {
  try {
    await ask(method, path, more);
    location.reload();
  } catch (error) {
    say(error.message);
  }
}

// Sort and find, among the entries of this page.

const KEYS = {
  name: (row) => row.dataset.name,
  size: (row) => Number(row.dataset.size),
  time: (row) => row.dataset.time,
};

function sortBy(heading) {
  const key = KEYS[heading.dataset.sort];
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of document.querySelectorAll("[data-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...document.querySelectorAll("#entries tbody tr")];
  rows.sort((one, two) => (key(one) < key(two) ? -1 : key(one) > key(two) ? 1 : 0));
  if (down) rows.reverse();
  document.querySelector("#entries tbody").append(...rows);
}

function find(text) {
  const wanted = text.toLowerCase();
  let shown = 0;
  for (const row of document.querySelectorAll("#entries tbody tr")) {
    row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    if (!row.hidden) shown += 1;
  }
  say(wanted ? `${shown} of this page's entries have "${text}" in their name.` : "");
}

// Uploads: a queue, a few at a time. A name that is taken is asked about once, never silently replaced.

const queue = [];
let running = 0;
let stored = 0;
let failed = 0;

function add(file, parts) {
  const item = make("li", "");
  const bar = make("progress", "", { max: String(Math.max(file.size, 1)), value: "0", "aria-label": `Upload of ${parts.join("/")}` });
  const state = make("span", "waits");
  item.append(make("bdi", parts.join("/")), bar, state);
  byId("uploads").append(item);
  byId("uploads").hidden = false;
  queue.push({ file, parts, item, bar, state, replace: false, tries: 0 });
  next();
}

function next() {
  while (running < AT_ONCE && queue.length) {
    running += 1;
    put(queue.shift());
  }
  if (!running && !queue.length && stored + failed) finished();
}

function finished() {
  say(`${stored} uploaded${failed ? `, ${failed} not` : ""}.`);
  if (!failed) location.reload();
}

function put(upload) {
  const request = new XMLHttpRequest();
  request.open("PUT", pathOf(upload.parts));
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  if (!upload.replace) request.setRequestHeader("If-None-Match", "*");
  request.upload.addEventListener("progress", (event) => {
    upload.bar.value = event.loaded;
    upload.state.textContent = `${Math.floor((100 * event.loaded) / Math.max(event.total, 1))} %`;
  });
  request.addEventListener("load", () => ended(upload, request.status, request.responseText.trim()));
  request.addEventListener("error", () => ended(upload, 0, "The connection was lost; nothing was stored."));
  request.send(upload.file);
}

function ended(upload, status, text) {
  running -= 1;
  if (status >= 200 && status < 300) {
    stored += 1;
    upload.bar.value = upload.bar.max;
    upload.state.textContent = "stored";
  } else {
    failed += 1;
    upload.state.textContent = status === 412 ? "There is already a file of that name." : text;
    upload.item.classList.add("failed");
    const again = make("button", status === 412 ? "Replace it" : "Try again", { type: "button" });
    again.addEventListener("click", () => {
      failed -= 1;
      again.remove();
      upload.item.classList.remove("failed");
      upload.replace = upload.replace || status === 412;
      queue.push(upload);
      next();
    });
    upload.item.append(again);
  }
  next();
}

async function walk(entry, parts) {
  if (entry.isFile) {
    add(await new Promise((done, no) => entry.file(done, no)), [...parts, entry.name]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, no) => reader.readEntries(done, no));
    if (!some.length) return;
    for (const each of some) await walk(each, [...parts, entry.name]);
  }
}

function drop(event) {
  event.preventDefault();
  body.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const walks = entries.length
    ? entries.map((entry) => walk(entry, []))
    : [...event.dataTransfer.files].map((file) => add(file, [file.name]));
  Promise.all(walks).catch(() => say("Something that was dropped can't be read."));
}

function takeUploads() {
  byId("putting").hidden = false;
  byId("files").addEventListener("click", () => byId("chosen-files").click());
  byId("folder").addEventListener("click", () => byId("chosen-folder").click());
  for (const id of ["chosen-files", "chosen-folder"]) {
    byId(id).addEventListener("change", (event) => {
      for (const file of event.target.files) add(file, (file.webkitRelativePath || file.name).split("/"));
      event.target.value = "";
    });
  }
  body.addEventListener("dragover", (event) => { event.preventDefault(); body.classList.add("over"); });
  body.addEventListener("dragleave", (event) => { if (!event.relatedTarget) body.classList.remove("over"); });
  body.addEventListener("drop", drop);
  addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
}

// What can be done to one entry.

function rename(row) {
  const name = prompt("New name", row.dataset.name);
  if (!name || name === row.dataset.name) return;
  const target = new URL(pathOf([name]), location.href).href;
  change("MOVE", pathOf([row.dataset.name]), { Destination: target, Overwrite: "F" });
}

function remove(row) {
  const folder = row.dataset.directory ? "/" : "";
  if (confirm(`Delete ${row.dataset.name}${folder}?`)) change("DELETE", pathOf([row.dataset.name]) + folder);
}

function addActions(row) {
  const cell = make("td", "", { class: "actions" });
  if (rights.has("rename")) cell.append(action("Rename", row, rename));
  if (rights.has(row.dataset.directory ? "rmdir" : "delete")) cell.append(action("Delete", row, remove));
  row.append(cell);
}

function action(text, row, act) {
  const button = make("button", text, { type: "button", class: "plain", "aria-label": `${text} ${row.dataset.name}` });
  button.addEventListener("click", () => act(row));
  return button;
}

function begin() {
  byId("tools").hidden = false;
  byId("find").addEventListener("input", (event) => find(event.target.value));
  if (rights.has("put")) takeUploads();
  if (rights.has("mkdir")) {
    byId("make").hidden = false;
    byId("make").addEventListener("click", () => {
      const name = prompt("Name of the new folder");
      if (name) change("MKCOL", pathOf([name]) + "/");
    });
  }
  if (!byId("entries")) return;
  for (const heading of document.querySelectorAll("[data-sort]")) {
    const button = make("button", heading.textContent, { type: "button", class: "plain" });
    button.addEventListener("click", () => sortBy(heading));
    heading.replaceChildren(button);
  }
  if (["rename", "delete", "rmdir"].some((right) => rights.has(right))) {
    const heading = make("th", "", { scope: "col", class: "actions" });
    heading.append(make("span", "Actions", { class: "unseen" }));
    document.querySelector("#entries thead tr").append(heading);
    document.querySelectorAll("#entries tbody tr").forEach(addActions);
  }
}

begin();
