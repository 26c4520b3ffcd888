// node build.mjs <wit folder> <world> <output> <hook>...   in the project's folder
import { componentize } from 'componentize-qjs';
import { readFile, writeFile } from 'node:fs/promises';

const [witPath, world, output, ...hooks] = process.argv.slice(2);
const source = JSON.parse(await readFile('package.json', 'utf8')).main ?? 'plugin.js';
const text = await readFile(source, 'utf8');

// The engine asks for a missing export only when the hook is called, and never for one too many.
const exported = new Set([...text.matchAll(/^export\s+(?:const|let|var|function|class)\s+([\w$]+)/gm)].map((found) => found[1]));
for (const list of text.matchAll(/^export\s*\{([^}]*)\}/gm))
  for (const name of list[1].split(',')) if (name.trim()) exported.add(name.trim().split(/\s+as\s+/).at(-1));
const known = ['lifecycle', 'inbound', 'outbound', 'webhook', 'scheduled'];
const wrong = [
  ...hooks.filter((hook) => !exported.has(hook)).map((hook) => hook === 'lifecycle'
    ? `the manifest has a [config.schema], and ${source} does not export lifecycle to take the config`
    : `the manifest names the hook ${hook}, and ${source} does not export it`),
  ...known.filter((hook) => exported.has(hook) && !hooks.includes(hook)).map((hook) => hook === 'lifecycle'
    ? `${source} exports lifecycle, and the manifest has no [config.schema]`
    : `${source} exports the hook ${hook}, and the manifest does not name it`),
];
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}

try {
  const built = await componentize({
    witPath, world, jsSource: text, jsPath: source, moduleRoot: process.cwd(), sync: true, stubWasi: true, optSize: true,
  });
  await writeFile(output, built.component);
} catch (error) {
  const unknown = /module 'rijan:plugin\/([\w-]+)@/.exec(error.message)?.[1];
  console.error(unknown
    ? `the source imports ${unknown}: add "${unknown}" to wants.imports in rijan-plugin.toml`
    : error.message);
  process.exit(1);
}
