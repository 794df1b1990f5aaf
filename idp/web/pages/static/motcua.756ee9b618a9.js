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
let sent = false;
document.addEventListener("submit", (event) => {
if (event.target.method !== "post") return;
if (sent) event.preventDefault();
sent = true;
});
window.addEventListener("pageshow", (event) => {
if (event.persisted) sent = false;
});
