// The page of a directory, made more than a list: sort, find, new folder, rename, delete, release.
// Who tells whom: each action is one request to this door (MKCOL, MOVE, DELETE, PATCH) with the session's token; what the door
// refuses is shown in its own words. After a change the page is read anew, so that it shows what is there.
"use strict";

const body = document.body;
const here = body.dataset.here;
const rights = new Set(body.dataset.rights.split(" "));

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

async function change(method, path, more) {
  try {
    const answer = await fetch(path, { method, headers: headers(more), redirect: "error" });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `The server answered ${answer.status}.`);
    location.reload();
  } catch (error) {
    say(error.message);
  }
}

// Questions, in a dialogue of the page's own: a text, or yes.

function question(title, yes, text) {
  byId("ask-title").textContent = title;
  byId("ask-yes").textContent = yes;
  const input = make("input", "", { id: "ask-text", "aria-labelledby": "ask-title", autocomplete: "off", spellcheck: "false" });
  byId("ask-body").replaceChildren(...(text === undefined ? [] : [input]));
  input.value = text ?? "";
  const dialog = byId("ask");
  dialog.returnValue = "";
  byId("ask-yes").value = "yes";
  dialog.showModal();
  if (text !== undefined) input.select();
  return new Promise((answered) => {
    dialog.addEventListener("close", () => answered(dialog.returnValue !== "yes" ? null : text === undefined ? "yes" : input.value), { once: true });
  });
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
  const more = document.querySelector(".pages") ? " Enter searches the whole folder." : "";
  say(wanted ? `${shown} of this page's entries have "${text}" in their name.${more}` : "");
}

// What can be done to one entry.

async function rename(row) {
  const name = await question(`A new name for ${row.dataset.name}`, "Rename", row.dataset.name);
  if (!name || name === row.dataset.name) return;
  const target = new URL(pathOf([name]), location.href).href;
  change("MOVE", pathOf([row.dataset.name]), { Destination: target, Overwrite: "F" });
}

async function remove(row) {
  const folder = row.dataset.directory ? "/" : "";
  if (await question(`Delete ${row.dataset.name}${folder}?`, "Delete")) change("DELETE", pathOf([row.dataset.name]) + folder);
}

function release(row) {
  change("PATCH", `${pathOf([row.dataset.name])}?state=released`);
}

async function releaseAll() {
  if (await question("Let everybody see all that waits in this folder and below it?", "Release")) change("PATCH", `${here}?state=released`);
}

function share(row) {
  const folder = row.dataset.directory ? "/" : "";
  openSharing(`${body.dataset.path.replace(/\/$/, "")}/${row.dataset.name}${folder}`, Boolean(folder));
}

function addActions(row) {
  const cell = make("td", "", { class: "actions" });
  if (rights.has("release") && row.dataset.waits) cell.append(action("Release", row, release));
  if (rights.has("share")) cell.append(action("Share", row, share));
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
  byId("ask-no").addEventListener("click", () => byId("ask").close(""));
  if (rights.has("put")) takeUploads();
  if (rights.has("share")) takeSharing();
  if (rights.has("mkdir")) {
    byId("make").hidden = false;
    byId("make").addEventListener("click", async () => {
      const name = await question("Name of the new folder", "Make it", "");
      if (name) change("MKCOL", pathOf([name]) + "/");
    });
  }
  if (rights.has("release")) {
    byId("release").hidden = false;
    byId("release").addEventListener("click", releaseAll);
  }
  if (!byId("entries")) return;
  for (const heading of document.querySelectorAll("[data-sort]")) {
    const button = make("button", heading.textContent, { type: "button", class: "plain" });
    button.addEventListener("click", () => sortBy(heading));
    heading.replaceChildren(button);
  }
  if (["release", "share", "rename", "delete", "rmdir"].some((right) => rights.has(right))) {
    const heading = make("th", "", { scope: "col", class: "actions" });
    heading.append(make("span", "Actions", { class: "unseen" }));
    document.querySelector("#entries thead tr").append(heading);
    document.querySelectorAll("#entries tbody tr").forEach(addActions);
  }
}
