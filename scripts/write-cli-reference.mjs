// Writes what `mgpu reference` prints into docs/reference/cli.md, from its heading on.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const page = new URL('../docs/reference/cli.md', import.meta.url);
const cli = new URL('../apps/machine/bin/mgpu.js', import.meta.url).pathname;
const text = execFileSync(process.execPath, [cli, 'reference'], { encoding: 'utf8' });
const [heading] = text.split('\n', 1);
const [prose] = readFileSync(page, 'utf8').split(`${heading}\n`, 1);
writeFileSync(page, `${prose}${text}`);
