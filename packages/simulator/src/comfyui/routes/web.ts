import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { empty, type Reply } from '../../http.ts';
import { contentType } from '../content-type.ts';
import type { Engine } from '../engine.ts';
import { isInside } from '../folders.ts';

const PAGE =
  '<!doctype html><title>ComfyUI</title><p>Simulated ComfyUI: there is no frontend here, see <code>--front-end-root</code>.\n';

/** Any other GET: the folder of `--front-end-root`, or a page that says what this is. */
export async function webPage({ options: { frontEndRoot } }: Engine, path: string): Promise<Reply> {
  const name = path === '/' ? 'index.html' : path.slice(1);
  const fresh: Record<string, string> =
    path === '/' ? { 'Cache-Control': 'no-store, must-revalidate', Pragma: 'no-cache', Expires: '0' } : {};
  if (frontEndRoot === undefined)
    return path === '/' ? { status: 200, headers: { 'Content-Type': 'text/html', ...fresh }, body: PAGE } : empty(404);
  const file = resolve(frontEndRoot, name);
  const body = isInside(frontEndRoot, file) ? await readFile(file).catch(() => undefined) : undefined;
  if (body === undefined) return empty(404);
  return { status: 200, headers: { 'Content-Type': contentType(file), ...fresh }, body };
}
