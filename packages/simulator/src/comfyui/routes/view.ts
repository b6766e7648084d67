import { readFile, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { empty, type Reply, type Request, type Route } from '../../http.ts';
import { decodeImage, encodePng, toRgba } from '../../pictures/png.ts';
import { contentType } from '../content-type.ts';
import type { Engine } from '../engine.ts';
import { isInside } from '../folders.ts';

/** `/view`. */
export function viewRoutes(engine: Engine): Route[] {
  return [{ method: 'GET', path: '/view', twin: true, handle: (request) => view(engine, request) }];
}

async function view({ world: { folders } }: Engine, { query, raw }: Request): Promise<Reply> {
  const asked = query.get('filename');
  if (asked === null) return empty(404);
  const { root, name } = folders.annotated(asked);
  if (name === '' || name.startsWith('/') || name.includes('..')) return empty(400);
  const folder = root ?? folders.byType(query.get('type') ?? 'output');
  if (folder === undefined) return empty(400);
  const full = resolve(folder, query.get('subfolder') ?? '');
  if (!isInside(folder, full)) return empty(403);
  const filename = basename(name);
  const path = resolve(full, filename);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || !info.isFile()) return empty(404);
  const disposition = {
    'Content-Disposition': `filename="${filename.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
  };
  if (query.has('preview')) {
    const format = previewFormat(query);
    const headers = { 'Content-Type': `image/${format}`, ...disposition };
    return { status: 200, headers, body: await preview(path, query, format) };
  }
  const channel = query.get('channel') ?? 'rgba';
  if (channel === 'rgb' || channel === 'a') {
    return {
      status: 200,
      headers: { 'Content-Type': 'image/png', ...disposition },
      body: await oneChannel(path, channel),
    };
  }
  const headers = {
    'X-Content-Type-Options': 'nosniff',
    'Content-Type': contentType(filename),
    Etag: `"${BigInt(Math.round(info.mtimeMs * 1e6)).toString(16)}-${info.size.toString(16)}"`,
    'Last-Modified': info.mtime.toUTCString(),
    'Accept-Ranges': 'bytes',
    ...disposition,
  };
  return wholeOrRange(path, info.size, headers, raw.headers.range, raw.headers['if-none-match']);
}

function wholeOrRange(
  path: string,
  size: number,
  headers: Record<string, string>,
  range: string | undefined,
  known: string | undefined,
): Reply {
  if (known === headers.Etag) return { status: 304, headers };
  const match = /^bytes=(\d*)-(\d*)$/.exec(range ?? '');
  if (match === null || (match[1] === '' && match[2] === ''))
    return { status: 200, headers, file: { path, start: 0, end: size - 1 } };
  const start = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === '' || match[2] === '' ? size - 1 : Math.min(size - 1, Number(match[2]));
  if (start > end) return { status: 416, headers: { 'Content-Range': `bytes */${size}` } };
  return {
    status: 206,
    headers: { ...headers, 'Content-Range': `bytes ${start}-${end}/${size}` },
    file: { path, start, end },
  };
}

function previewFormat(query: URLSearchParams): 'webp' | 'jpeg' {
  const format = (query.get('preview') ?? '').split(';')[0];
  return format === 'jpeg' && !(query.get('channel') ?? '').includes('a') ? 'jpeg' : 'webp';
}

async function preview(path: string, query: URLSearchParams, format: 'webp' | 'jpeg'): Promise<Uint8Array> {
  const last = (query.get('preview') ?? '').split(';').at(-1) ?? '';
  const quality = /^\d+$/.test(last) ? Math.min(100, Math.max(1, Number(last))) : 90;
  const { default: sharp } = await import('sharp');
  const image = sharp(await readFile(path));
  if (format === 'jpeg' || query.get('channel') === 'rgb') image.removeAlpha();
  return image.toFormat(format, { quality }).toBuffer();
}

/** Colours without alpha; or the alpha channel alone over black. */
async function oneChannel(path: string, channel: 'rgb' | 'a'): Promise<Uint8Array> {
  const pixels = await decodeImage(await readFile(path));
  const rgba = toRgba(pixels);
  const channels = channel === 'rgb' ? 3 : 4;
  const data = new Uint8Array(pixels.width * pixels.height * channels);
  for (let i = 0; i < pixels.width * pixels.height; i++) {
    if (channel === 'a') data[i * 4 + 3] = rgba[i * 4 + 3] as number;
    else data.set(rgba.subarray(i * 4, i * 4 + 3), i * 3);
  }
  return encodePng({ width: pixels.width, height: pixels.height, channels, data });
}
