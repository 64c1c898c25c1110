// Builds ../static: one script with the renderers of both A2UI versions, and the icon font.
//
// Both versions of @a2ui/lit register elements of the same names, and a name can be taken once per
// page; so the elements of version 0.8 get names of their own while they are bundled.

import {copyFile, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {build} from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const target = fileURLToPath(new URL('../static/', import.meta.url));

const renameOldElements = {
  name: 'rename-old-elements',
  setup({onLoad}) {
    onLoad({filter: /@a2ui[/\\]lit[/\\]src[/\\]0\.8[/\\].*\.js$/}, async ({path}) => ({
      contents: (await readFile(path, 'utf8')).replaceAll('a2ui-', 'a2ui08-'),
      loader: 'js',
    }));
  },
};

await rm(target, {recursive: true, force: true});
await mkdir(target, {recursive: true});
const {metafile} = await build({
  absWorkingDir: here,
  entryPoints: ['src/main.js'],
  outfile: `${target}a2ui.js`,
  bundle: true,
  minify: true,
  format: 'iife',
  target: ['es2022'],
  loader: {'.css': 'text'},
  legalComments: 'none', // licenses.txt has them all
  metafile: true,
  plugins: [renameOldElements],
});
await copyFile(
  `${here}node_modules/material-icons/iconfont/material-icons.woff2`,
  `${target}material-icons.woff2`,
);

const packages = new Set(['material-icons']);
for (const input of Object.keys(metafile.inputs)) {
  const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (found) packages.add(found[1]);
}
const notices = [];
for (const name of [...packages].sort()) {
  const folder = `${here}node_modules/${name}/`;
  const {version, license} = JSON.parse(await readFile(`${folder}package.json`, 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  const texts = await Promise.all(files.map((file) => readFile(`${folder}${file}`, 'utf8')));
  notices.push(`${name} ${version} (${license})\n\n${texts.join('\n')}`);
}
await writeFile(`${target}licenses.txt`, `${notices.join(`\n${'-'.repeat(72)}\n\n`)}\n`);
