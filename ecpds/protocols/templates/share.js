// The dialogue about share links. Who tells whom: the page asks the door for the links there are (GET /shares), for a new one
// (POST), or to take one back (DELETE); the link itself is told once.
"use strict";

let shared = null;

async function shareRequest(method, path, fields) {
  const answer = await fetch(path, {
    method,
    headers: headers(fields ? { "Content-Type": "application/x-www-form-urlencoded" } : {}),
    body: fields ? new URLSearchParams(fields).toString() : undefined,
    redirect: "error",
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `The server answered ${answer.status}.`);
  return answer.status === 204 ? null : answer.json();
}

function openSharing(path, folder) {
  shared = path;
  byId("sharing-title").textContent = `Share ${path}`;
  const form = document.querySelector("#sharing form");
  form.reset();
  form.elements.for.disabled = !folder;
  byId("made").hidden = true;
  byId("sharing-said").textContent = "";
  byId("copy").textContent = "Copy";
  byId("sharing").showModal();
  tell(showLinks);
}

function about(link) {
  const what = link.permissions.includes("put") ? (link.permissions.includes("get") ? "download and upload" : "upload") : "download";
  const until = link.expires ? ` until ${link.expires.slice(0, 10)}` : "";
  const uses = link.uses ? `, ${link.used} of ${link.uses} used` : `, used ${link.used} times`;
  return `${what}${until}${uses}${link.password ? ", with a password" : ""}`;
}

async function showLinks() {
  const mine = (await shareRequest("GET", "/shares")).filter((link) => link.path.replace(/\/$/, "") === shared.replace(/\/$/, ""));
  byId("links").replaceChildren(...mine.map((link) => {
    const item = make("li", about(link));
    const back = make("button", "Take back", { type: "button", class: "plain", "aria-label": `Take back: ${about(link)}` });
    back.addEventListener("click", () => tell(async () => {
      await shareRequest("DELETE", `/shares/${link.id}`);
      await showLinks();
    }));
    item.append(back);
    return item;
  }));
}

async function tell(act) {
  try {
    await act();
  } catch (error) {
    byId("sharing-said").textContent = error.message;
  }
}

function takeSharing() {
  const form = document.querySelector("#sharing form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell(async () => {
      const fields = { ...Object.fromEntries(new FormData(form)), path: shared };
      const link = await shareRequest("POST", "/shares", fields);
      byId("made").hidden = false;
      byId("link").value = new URL(link.url, location.href).href;
      byId("link").select();
      await showLinks();
    });
  });
  byId("sharing-no").addEventListener("click", () => byId("sharing").close());
  byId("copy").addEventListener("click", () => tell(async () => {
    await navigator.clipboard.writeText(byId("link").value);
    byId("copy").textContent = "Copied";
  }));
  if (body.dataset.path !== "/") {
    byId("share").hidden = false;
    byId("share").addEventListener("click", () => openSharing(body.dataset.path, true));
  }
}
