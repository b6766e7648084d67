import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { extname, join, normalize, resolve } from 'node:path';
import { empty, json, type Reply, type Request, type Route } from '../../http.ts';
import { decodeImage, encodePng, toRgba } from '../../pictures/png.ts';
import { PythonError } from '../../python/values.ts';
import type { Engine } from '../engine.ts';
import { isInside } from '../folders.ts';

/** What is to be written, given the uploaded bytes; undefined when the original of a mask is not there. */
type Convert = (bytes: Buffer, form: FormData) => Promise<Uint8Array | undefined>;

/** `/upload/image` and `/upload/mask`. */
export function uploadRoutes(engine: Engine): Route[] {
  return [
    {
      method: 'POST',
      path: '/upload/image',
      twin: true,
      handle: (request) => upload(engine, request, (bytes) => Promise.resolve(bytes)),
    },
    {
      method: 'POST',
      path: '/upload/mask',
      twin: true,
      handle: (request) => upload(engine, request, (bytes, form) => withMask(engine, bytes, form)),
    },
  ];
}

async function upload({ world: { folders } }: Engine, request: Request, convert: Convert): Promise<Reply> {
  const form = await readForm(request);
  const type = text(form, 'type') ?? 'input';
  const root = folders.byType(type);
  if (root === undefined) throw new PythonError('TypeError', `unknown type ${type}`);
  const image = form.get('image');
  if (!(image instanceof File) || image.name === '') return empty(400);
  const subfolder = text(form, 'subfolder') ?? '';
  const folder = join(root, normalize(subfolder));
  if (!isInside(root, resolve(folder, image.name))) return empty(400);
  await mkdir(folder, { recursive: true });
  const bytes = Buffer.from(await image.arrayBuffer());
  const overwrite = ['true', '1'].includes(text(form, 'overwrite') ?? '');
  const { name, duplicate } = overwrite
    ? { name: image.name, duplicate: false }
    : await freeName(folder, image.name, bytes);
  if (!duplicate) {
    const content = await convert(bytes, form);
    if (content !== undefined) await writeFile(join(folder, name), content);
  }
  return json({ name, subfolder, type });
}

async function readForm({ raw, body }: Request): Promise<FormData> {
  const type = raw.headers['content-type'] ?? '';
  if (!type.startsWith('multipart/form-data')) return new FormData();
  return await new Response(new Uint8Array(await body()), { headers: { 'content-type': type } }).formData();
}

function text(form: FormData, name: string): string | undefined {
  const value = form.get(name);
  return typeof value === 'string' ? value : undefined;
}

/** The wanted name when it is free or holds the same bytes, else `name (1).ext` and so on. */
async function freeName(folder: string, wanted: string, bytes: Buffer): Promise<{ name: string; duplicate: boolean }> {
  const extension = extname(wanted);
  const stem = wanted.slice(0, wanted.length - extension.length);
  for (let i = 1, name = wanted; ; name = `${stem} (${i++})${extension}`) {
    const existing = await readFile(join(folder, name)).catch(() => undefined);
    if (existing === undefined) return { name, duplicate: false };
    if (existing.equals(bytes)) return { name, duplicate: true };
  }
}

/** The original's colours with the mask's alpha, and the original's text chunks. */
async function withMask(
  { world: { folders } }: Engine,
  bytes: Buffer,
  form: FormData,
): Promise<Uint8Array | undefined> {
  const ref = JSON.parse(text(form, 'original_ref') ?? 'null') as {
    filename: string;
    subfolder?: string;
    type?: string;
  };
  const { root, name } = folders.annotated(ref.filename);
  const folder = root ?? folders.byType(ref.type ?? 'output');
  if (folder === undefined || name === '') return undefined;
  const path = resolve(folder, ref.subfolder ?? '', name);
  const file = isInside(folder, path) ? await readFile(path).catch(() => undefined) : undefined;
  if (file === undefined) return undefined;
  const [original, mask] = [await decodeImage(file), await decodeImage(bytes)];
  const [data, alpha] = [toRgba(original), toRgba(mask)];
  if (original.width !== mask.width || original.height !== mask.height)
    throw new PythonError('ValueError', 'images do not match');
  for (let i = 3; i < data.length; i += 4) data[i] = alpha[i] as number;
  return encodePng({ width: original.width, height: original.height, channels: 4, data }, original.text);
}
