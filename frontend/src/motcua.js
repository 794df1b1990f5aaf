// What the pages do better with JavaScript and do without it all the same:
// show and hide a password, say that Caps Lock is on, print, and not send a form twice.

for (const box of document.querySelectorAll("[data-password]")) {
  const input = box.querySelector("input");
  const toggle = box.querySelector("button");
  const status = box.parentElement.querySelector("[data-password-status]");
  const caps = box.parentElement.querySelector("[data-caps]");

  const show = (shown) => {
    input.type = shown ? "text" : "password";
    toggle.textContent = shown ? toggle.dataset.hide : toggle.dataset.show;
    toggle.setAttribute("aria-label", shown ? toggle.dataset.hideLabel : toggle.dataset.showLabel);
  };

  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const shown = input.type === "password";
    show(shown);
    status.textContent = shown ? toggle.dataset.shownNow : toggle.dataset.hiddenNow;
  });
  // Browsers remember and complete what was typed into a text field: a password is always sent from a password field.
  input.form.addEventListener("submit", () => show(false));

  const look = (event) => {
    caps.hidden = !(event.getModifierState && event.getModifierState("CapsLock"));
  };
  input.addEventListener("keydown", look);
  input.addEventListener("keyup", look);
  input.addEventListener("blur", () => {
    caps.hidden = true;
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// One form of a page is sent, once: an answer on its way would be lost to another's.
let sent = false;
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (sent) event.preventDefault();
  sent = true;
});
// A page shown again from the browser's memory may be sent again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) sent = false;
});
