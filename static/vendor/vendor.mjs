/**
 * Copies the pinned browser assets from node_modules into folders named <name>-<version>, which are committed: running
 * the platform needs no Node. `npm ci && node vendor.mjs`; with `--fonts` the fonts are subset anew, which needs
 * pyftsubset (fonttools, brotli) on the PATH.
 */
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "node_modules");
const testVendor = join(here, "..", "..", "tests", "vendor");

const version = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8")).version;

/** [package, folder name, files to copy as [from, to]] */
const PACKAGES = [
  ["leaflet", "leaflet", [
    ["dist/leaflet.js", "leaflet.js"], ["dist/leaflet.css", "leaflet.css"], ["dist/images", "images"],
    ["LICENSE", "LICENSE"],
  ]],
  ["leaflet.markercluster", "leaflet.markercluster", [
    ["dist/leaflet.markercluster.js", "leaflet.markercluster.js"], ["dist/MarkerCluster.css", "MarkerCluster.css"],
    ["dist/MarkerCluster.Default.css", "MarkerCluster.Default.css"], ["MIT-LICENCE.txt", "LICENSE"],
  ]],
  ["leaflet.fullscreen", "leaflet.fullscreen", [
    ["Control.FullScreen.js", "Control.FullScreen.js"], ["Control.FullScreen.css", "Control.FullScreen.css"],
    ["icon-fullscreen.svg", "icon-fullscreen.svg"], ["LICENSE", "LICENSE"],
  ]],
  ["protomaps-leaflet", "protomaps-leaflet", [
    ["dist/protomaps-leaflet.js", "protomaps-leaflet.js"], ["LICENSE", "LICENSE"],
  ]],
];

for (const [name, folder, files] of PACKAGES) {
  const target = join(here, `${folder}-${version(name)}`);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const [from, to] of files) {
    cpSync(join(modules, name, from), join(target, to), { recursive: true });
  }
  // The maps of the sources are not vendored; a stale reference would only make browsers ask for them.
  for (const file of readdirSync(target).filter((entry) => entry.endsWith(".js"))) {
    const path = join(target, file);
    writeFileSync(path, readFileSync(path, "utf8").replace(/\n?\/\/# sourceMappingURL=.*\s*$/u, "\n"));
  }
}

/* ---- KERN: everything but the parts nobody here uses, in one line per rule ---- */

/** Parts of KERN left out: its grid and utility classes (style.css has its own), and components without a use. */
const LEFT_OUT = new RegExp(
  "\\.kern-(?:container|row|col|stack|task-list|summary|kopfzeile|loader|dropdown|dialog|grid"
  + "|icon--(?!danger|info|success|warning)"
  + "|(?:m|p)[trblxy]?-|gap-|gutter-|flex|inline|block|hidden|order-|grow|shrink|basis|align|justify|place|items"
  + "|content|self|auto|col-|row-|w-|h-|min-|max-|aspect|overflow|position|float|text-|d-|static|relative|absolute"
  + "|fixed|sticky|visible|invisible|columns|object|size-|contents|table-(?!responsive|striped|small))",
  "u",
);

/** Splits a stylesheet into [prelude, body or null]; strings are respected because KERN embeds drawings in them. */
function* rules(css) {
  let start = 0;
  let depth = 0;
  let bodyStart = 0;
  let quote = "";
  for (let i = 0; i < css.length; i += 1) {
    const c = css[i];
    if (quote) {
      if (c === "\\") { i += 1; } else if (c === quote) { quote = ""; }
    } else if (c === "\"" || c === "'") {
      quote = c;
    } else if (c === "{") {
      if (depth === 0) { bodyStart = i; }
      depth += 1;
    } else if (c === "}") {
      depth -= 1;
      if (depth === 0) {
        yield [css.slice(start, bodyStart).trim(), css.slice(bodyStart + 1, i)];
        start = i + 1;
      }
    } else if (c === ";" && depth === 0) {
      yield [css.slice(start, i).trim(), null];
      start = i + 1;
    }
  }
}

/** Splits a selector list at its top-level commas. */
function selectors(prelude) {
  const parts = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < prelude.length; i += 1) {
    if (prelude[i] === "(" || prelude[i] === "[") { depth += 1; }
    if (prelude[i] === ")" || prelude[i] === "]") { depth -= 1; }
    if (prelude[i] === "," && depth === 0) {
      parts.push(prelude.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(prelude.slice(start).trim());
  return parts;
}

function reduce(css) {
  const out = [];
  for (const [prelude, body] of rules(css)) {
    if (body === null) {
      out.push(`${prelude};`);
    } else if (/^@(?:media|supports|layer)/u.test(prelude)) {
      const inner = reduce(body);
      if (inner) { out.push(`${prelude.replace(/\s+/gu, " ")}{${inner}}`); }
    } else if (prelude.startsWith("@")) {
      out.push(`${prelude}{${body.replace(/\s+/gu, " ").trim()}}`);
    } else {
      const kept = selectors(prelude).filter((selector) => !LEFT_OUT.test(selector));
      const declarations = body.replace(/\s*\n\s*/gu, "").replace(/;$/u, "").trim();
      if (kept.length > 0 && declarations) { out.push(`${kept.join(",").replace(/\s+/gu, " ")}{${declarations}}`); }
    }
  }
  return out.join("\n");
}

const kernVersion = version("@kern-ux/native");
const kern = join(here, `kern-${kernVersion}`);
rmSync(kern, { recursive: true, force: true });
mkdirSync(kern, { recursive: true });
const source = readFileSync(join(modules, "@kern-ux/native/dist/kern.css"), "utf8").replace(/\/\*[\s\S]*?\*\//gu, "");
writeFileSync(
  join(kern, "kern.css"),
  `/* KERN UX ${kernVersion}, EUPL-1.2, https://gitlab.opencode.de/kern-ux/kern-ux-plain. Shortened by vendor.mjs:`
  + " comments, grid, utilities, unused icons and components left out; rules unchanged. */\n"
  + `${reduce(source).replace(/^@charset[^;]*;\n?/u, "")}\n`,
);
cpSync(join(modules, "@kern-ux/native/LICENSE.md"), join(kern, "LICENSE.md"));

/* ---- Fira Sans: Latin letters only, without hinting ---- */

const fonts = join(here, "fira-sans-4.106");
if (process.argv.includes("--fonts")) {
  mkdirSync(fonts, { recursive: true });
  for (const [file, weight] of [["Regular", 400], ["SemiBold", 600], ["Bold", 700]]) {
    execFileSync("pyftsubset", [
      join(modules, `@kern-ux/native/dist/fonts/fira-sans/FiraSans-${file}.woff2`),
      "--unicodes=U+0020-007E,U+00A0-017F,U+2010-2015,U+2018-201E,U+2020-2022,U+2026,U+202F,U+2030,U+2039,U+203A,"
      + "U+20AC,U+2122,U+2190-2193,U+2212",
      "--layout-features=kern,liga,tnum,ccmp,locl", "--flavor=woff2", "--no-hinting",
      `--output-file=${join(fonts, `fira-sans-${weight}.woff2`)}`,
    ], { stdio: "inherit" });
  }
}

/* ---- axe-core is for tests: never served ---- */

const axe = join(testVendor, `axe-core-${version("axe-core")}`);
rmSync(axe, { recursive: true, force: true });
mkdirSync(axe, { recursive: true });
for (const file of ["axe.min.js", "LICENSE"]) { cpSync(join(modules, "axe-core", file), join(axe, file)); }

/* ---- SHA256SUMS of all that is served ---- */

function* walk(folder) {
  for (const entry of readdirSync(folder).sort()) {
    const path = join(folder, entry);
    if (entry === "node_modules") { continue; }
    if (statSync(path).isDirectory()) { yield* walk(path); } else { yield path; }
  }
}
const served = [...walk(here)].filter((path) => relative(here, path).includes("/"));
writeFileSync(
  join(here, "SHA256SUMS"),
  served.map((path) => `${createHash("sha256").update(readFileSync(path)).digest("hex")}  ${relative(here, path)}\n`).join(""),
);
console.log(`${served.length} files in ${relative(process.cwd(), here) || "."}`);
