#!/usr/bin/env node
// Syntax that any Node can read: one that is too old is to be told so, instead of failing over an import.
import { existsSync } from 'node:fs';
import * as module from 'node:module';

const oldest = [22, 19];
const [major, minor] = process.versions.node.split('.').map(Number);
const program = new URL('../dist/program.js', import.meta.url);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  console.error(`mgpu needs Node ${oldest.join('.')} or newer; this is ${process.version} (${process.execPath})`);
  process.exitCode = 1;
} else if (!existsSync(program)) {
  console.error('mgpu is not built yet: run `npm run build` in its folder');
  process.exitCode = 1;
} else {
  // Compiled once, a command starts in half the time; the import comes after, so that it is compiled into the cache.
  module.enableCompileCache();
  await import(program.href);
}
