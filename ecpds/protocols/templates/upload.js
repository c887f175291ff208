// Uploads: a queue, a few at a time. Small files are one PUT; larger ones go by tus, so that after a broken connection the
// upload goes on where it was: HEAD tells how much is stored, PATCH brings the rest. Who tells whom: POST gets the upload's
// URL, PATCHes fill it, the last one publishes the file. A name that is taken is asked about, never silently replaced.
"use strict";

const AT_ONCE = 3;
const SMALL = 4 * 1024 * 1024;
const TRIES = 8;
const TUS = { "Tus-Resumable": "1.0.0" };

const queue = [];
const totals = { files: 0, bytes: 0, stored: 0, failed: 0 };
const active = new Set();
let doneBytes = 0;

function addUpload(file, parts) {
  const item = make("li", "");
  const name = parts.join("/");
  const bar = make("progress", "", { max: String(Math.max(file.size, 1)), value: "0", "aria-label": `Upload of ${name}` });
  const state = make("span", "waits");
  item.append(make("bdi", name), bar, state);
  byId("uploads").append(item);
  byId("uploading").hidden = false;
  totals.files += 1;
  totals.bytes += file.size;
  queue.push({ file, parts, item, bar, state, replace: false, sent: 0, url: null });
  next();
}

function next() {
  while (active.size < AT_ONCE && queue.length) {
    const upload = queue.shift();
    active.add(upload);
    store(upload).then(() => succeeded(upload), (error) => failed(upload, error)).finally(() => {
      active.delete(upload);
      next();
    });
  }
  showTotal();
  if (!active.size && !queue.length && totals.stored + totals.failed) finished();
}

function finished() {
  say(`${totals.stored} uploaded${totals.failed ? `, ${totals.failed} not` : ""}.`);
  if (!totals.failed) location.reload();
}

function showTotal() {
  const sent = doneBytes + [...active].reduce((sum, upload) => sum + upload.sent, 0);
  byId("total").value = totals.bytes ? sent / totals.bytes : 1;
  const share = totals.bytes ? Math.floor((100 * sent) / totals.bytes) : 100;
  byId("sum").textContent = `${totals.stored} of ${totals.files} files, ${share} %`;
}

// What a browser may be told not to keep; then an upload goes on only as long as its page is open.
function remember(act) {
  try {
    return act(localStorage);
  } catch {
    return null;
  }
}

function progressed(upload, sent) {
  upload.sent = sent;
  upload.bar.value = sent;
  upload.state.textContent = `${Math.floor((100 * sent) / Math.max(upload.file.size, 1))} %`;
  showTotal();
}

function succeeded(upload) {
  doneBytes += upload.file.size;
  totals.stored += 1;
  upload.bar.value = upload.bar.max;
  upload.state.textContent = "stored";
  upload.item.remove();
  if (upload.key) remember((storage) => storage.removeItem(upload.key));
}

function failed(upload, error) {
  totals.failed += 1;
  upload.state.textContent = error.status === 412 ? "There is already a file of that name." : error.message;
  upload.item.classList.add("failed");
  const again = make("button", error.status === 412 ? "Replace it" : "Try again", { type: "button" });
  again.hidden = error.status === 412 && Boolean(body.dataset.shared);
  again.addEventListener("click", () => {
    totals.failed -= 1;
    again.remove();
    upload.item.classList.remove("failed");
    if (error.status === 412) {
      // The upload that was begun says in its URL that it replaces nothing.
      upload.replace = true;
      upload.url = null;
    }
    queue.push(upload);
    next();
  });
  upload.item.append(again);
}

// One file. What the door refuses is final; a connection that breaks is tried again, later and later.

async function store(upload) {
  const resumable = upload.file.size > SMALL && !body.dataset.shared;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await (resumable ? resume(upload) : putWhole(upload));
    } catch (error) {
      const passing = !error.status || error.elsewhere || [408, 423, 502, 503, 504].includes(error.status);
      if (!passing || attempt >= TRIES) throw error;
      upload.state.textContent = "The connection broke; it goes on soon …";
      await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** attempt, 15000)));
    }
  }
}

function putWhole(upload) {
  const more = upload.replace ? {} : { "If-None-Match": "*" };
  return send("PUT", pathOf(upload.parts), upload.file, more, (sent) => progressed(upload, sent));
}

async function resume(upload) {
  let offset = await resumed(upload);
  if (offset === null) {
    const more = upload.replace ? {} : { "If-None-Match": "*" };
    const begun = await send("POST", pathOf(upload.parts), null, { ...TUS, ...more, "Upload-Length": String(upload.file.size) });
    upload.url = begun.getResponseHeader("Location");
    remember((storage) => storage.setItem(upload.key, upload.url));
    offset = 0;
  }
  progressed(upload, offset);
  if (offset === upload.file.size) return;
  const more = { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
  await send("PATCH", upload.url, upload.file.slice(offset), more, (sent) => progressed(upload, offset + sent));
}

// What is stored of an upload that was begun, in this page or before it was opened anew; null where nothing is.
async function resumed(upload) {
  const { file } = upload;
  upload.key = `ecpds ${pathOf(upload.parts)} ${file.size} ${file.lastModified}`;
  upload.url = upload.url || (upload.replace ? null : remember((storage) => storage.getItem(upload.key)));
  if (!upload.url) return null;
  try {
    return Number((await send("HEAD", upload.url, null, TUS)).getResponseHeader("Upload-Offset"));
  } catch (error) {
    if (error.status !== 404) throw error;
    upload.url = null;
    return null;
  }
}

function send(method, path, content, more, told) {
  return new Promise((done, no) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    for (const [name, value] of Object.entries(headers(more))) request.setRequestHeader(name, value);
    if (told) request.upload.addEventListener("progress", (event) => told(event.loaded));
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) return done(request);
      const error = new Error(request.responseText.trim() || `The server answered ${request.status}.`);
      error.status = request.status;
      // Other bytes are stored than those that were thought to be: the upload goes on behind them.
      error.elsewhere = request.status === 409 && request.getResponseHeader("Upload-Offset") !== null;
      return no(error);
    });
    request.addEventListener("error", () => no(new Error("The connection was lost; nothing was stored.")));
    request.send(content);
  });
}

// What is dropped or chosen.

async function walk(entry, parts) {
  if (entry.isFile) {
    addUpload(await new Promise((done, no) => entry.file(done, no)), [...parts, entry.name]);
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
    : [...event.dataTransfer.files].map((file) => addUpload(file, [file.name]));
  Promise.all(walks).catch(() => say("Something that was dropped can't be read."));
}

function takeUploads() {
  byId("putting").hidden = false;
  byId("hint").hidden = false;
  byId("files").addEventListener("click", () => byId("chosen-files").click());
  byId("folder").addEventListener("click", () => byId("chosen-folder").click());
  for (const id of ["chosen-files", "chosen-folder"]) {
    byId(id).addEventListener("change", (event) => {
      for (const file of event.target.files) addUpload(file, (file.webkitRelativePath || file.name).split("/"));
      event.target.value = "";
    });
  }
  body.addEventListener("dragover", (event) => { event.preventDefault(); body.classList.add("over"); });
  body.addEventListener("dragleave", (event) => { if (!event.relatedTarget) body.classList.remove("over"); });
  body.addEventListener("drop", drop);
  addEventListener("beforeunload", (event) => { if (active.size) event.preventDefault(); });
}
