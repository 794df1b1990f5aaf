// Builds everything the pages load, into idp/web/pages/static/: names carry a hash of the content, so that a browser
// may keep them for ever. manifest.json says which file a name stands for, and its sha384. The same input gives the
// same bytes: CI builds again and compares.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as sass from "sass";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "idp", "web", "pages", "static");
const font = join(here, "node_modules", "@fontsource", "be-vietnam-pro");
const manifest = {};

function keep(name, content) {
  const body = Buffer.from(content);
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 12);
  const dot = name.lastIndexOf(".");
  const file = `${name.slice(0, dot)}.${hash}${name.slice(dot)}`;
  writeFileSync(join(target, file), body);
  manifest[name] = { file, sha384: createHash("sha384").update(body).digest("base64") };
  console.log(`${file}  ${body.length} bytes`);
  return file;
}

// Each role of a colour is one custom property; a fallback beside it would be a second place that names the colour.
function withoutFallbacks(css) {
  const plain = css
    .replace(/var\((--govuk-[a-z-]+),\s*#[0-9a-f]{3,8}\)/g, "var($1)")
    .replaceAll("#651b1b", "var(--lacquer-deep)")
    .replaceAll("#f3f3f3", "var(--neutral)")
    .replaceAll("rgba(0,0,0,0)", "transparent")
    .replace(/:root\{--govuk-frontend-version: ?"[^"]*"\}/, "")
    .replace(/:root\{--govuk-brand-colour: ?#[^}]*\}/, "");
  const stray = plain.replace(/--[a-z-]+:[^;}]*/g, "").match(/#[0-9a-f]{3,8}\b|rgba?\([^)]*\)/g);
  if (stray) throw new Error(`colours outside the custom properties: ${[...new Set(stray)].join(" ")}`);
  return plain;
}

// Comments and indentation only: a script that a person can still read in the browser.
function withoutComments(script) {
  return script.replace(/^\s*\/\/.*\n/gm, "").replace(/^\s+/gm, "");
}

rmSync(target, { recursive: true, force: true });
mkdirSync(join(target, "licences"), { recursive: true });

let css = withoutFallbacks(
  sass.compile(join(here, "src", "motcua.scss"), {
    style: "compressed",
    loadPaths: [join(here, "node_modules")],
    quietDeps: true,
  }).css,
);
for (const alphabet of ["latin", "vietnamese"]) {
  for (const weight of [400, 700]) {
    const name = `be-vietnam-pro-${alphabet}-${weight}.woff2`;
    const file = keep(name, readFileSync(join(font, "files", name.replace(".woff2", "-normal.woff2"))));
    css = css.replace(name, file);
  }
}
keep("motcua.css", css);
keep("motcua.js", withoutComments(readFileSync(join(here, "src", "motcua.js"), "utf8")));
keep("mark.svg", readFileSync(join(here, "src", "mark.svg"), "utf8").trim());

for (const [name, source] of [
  ["be-vietnam-pro.txt", join(font, "LICENSE")],
  ["govuk-frontend.txt", join(here, "licences", "govuk-frontend.txt")],
]) {
  writeFileSync(join(target, "licences", name), readFileSync(source));
}
const names = Object.keys(manifest).sort();
writeFileSync(join(target, "manifest.json"), `${JSON.stringify(Object.fromEntries(names.map((n) => [n, manifest[n]])), null, 2)}\n`);
