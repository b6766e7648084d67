import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Layout, type MgpuError, toMgpuError } from '@mgpu/core';
import picomatch from 'picomatch';
import { z } from 'zod';
import { ignoreGone } from '../cache/survey.ts';
import { StaticInvalidError } from '../errors.ts';
import { modelPath } from '../place.ts';
import { placeLink } from './place-link.ts';

const linkSchema = z.looseObject({ source: z.string().min(1), target: z.string().min(1) });
const patternSchema = linkSchema.extend({ pattern: z.string().min(1).optional() });
const staticSchema = z.looseObject({
  symlinks: z.array(linkSchema).default([]),
  /** The second predecessor's form: folders by type, and which of their files. */
  model_symlinks: z.record(z.string(), z.array(patternSchema)).default({}),
  no_index: z.array(z.looseObject({ path: z.string().min(1) })).default([]),
});

/** `static-models.json`: links from one tree of models into another. The file itself is never changed. */
export interface StaticModels {
  /** Paths below `shared`. With a pattern both are folders. */
  readonly links: readonly { readonly source: string; readonly target: string; readonly pattern?: string }[];
  /** Absolute paths that belong to no index and no cache, as the file has them. */
  readonly noIndex: ReadonlySet<string>;
}

export const staticModelsPath = ({ file }: { file?: string | undefined }, { shared }: Pick<Layout, 'shared'>): string =>
  file ?? join(shared, 'static-models.json');

/** Undefined when there is no such file. Throws `MODELS_STATIC_INVALID`, `MODELS_PATH`. */
export async function readStaticModels(
  path: string,
  { shared }: Pick<Layout, 'shared'>,
): Promise<StaticModels | undefined> {
  const text = await readFile(path, 'utf8').catch(ignoreGone);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new StaticInvalidError({ source: path, problems: [`not JSON (${(cause as Error).message})`] }, { cause });
  }
  const parsed = staticSchema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new StaticInvalidError({ source: path, problems });
  }
  const { symlinks, model_symlinks, no_index } = parsed.data;
  return {
    links: [...symlinks, ...Object.values(model_symlinks).flat()].map((each) => ({
      source: modelPath(each.source, 'sd_models'),
      target: modelPath(each.target),
      ...('pattern' in each && typeof each.pattern === 'string' ? { pattern: each.pattern } : {}),
    })),
    noIndex: new Set(no_index.map((each) => resolve(shared, each.path.replace(/^\/workspace\/shared\//, '')))),
  };
}

export interface LinkResult {
  /** Path below `shared`. */
  readonly path: string;
  readonly source: string;
  readonly status: 'linked' | 'present' | 'failed';
  readonly error?: MgpuError;
}

/** Makes every link that can be made; one that cannot keeps no other from being made. */
export async function makeLinks(
  { links }: Pick<StaticModels, 'links'>,
  { shared }: Pick<Layout, 'shared'>,
): Promise<LinkResult[]> {
  const results: LinkResult[] = [];
  for (const link of (await Promise.all(links.map((each) => expanded(each, shared)))).flat()) {
    try {
      const isNew = await placeLink(join(shared, link.target), join(shared, link.source));
      results.push({ path: link.target, source: link.source, status: isNew ? 'linked' : 'present' });
    } catch (error) {
      results.push({
        path: link.target,
        source: link.source,
        status: 'failed',
        error: toMgpuError(error, link.target),
      });
    }
  }
  return results;
}

/** The links that a pattern stands for at present. */
async function expanded({ source, target, pattern }: StaticModels['links'][number], shared: string) {
  if (pattern === undefined) return [{ source, target }];
  const matches = picomatch(pattern);
  const names = (await readdir(join(shared, source)).catch(ignoreGone)) ?? [];
  return names
    .filter((name) => matches(name))
    .toSorted()
    .map((name) => ({ source: `${source}/${name}`, target: `${target}/${name}` }));
}
