import { problemsOf } from '@mgpu/core';
import { parse } from 'yaml';
import { z } from 'zod';
import { SnapshotInvalidError } from '../errors.ts';
import { isObject, type NodeList, readNodeList } from './read-list.ts';

const isOff = z.boolean().nullish();
const snapshotSchema = z.looseObject({
  comfyui: z.string().nullish(),
  git_custom_nodes: z.record(z.string(), z.looseObject({ hash: z.string().nullish(), disabled: isOff })).nullish(),
  cnr_custom_nodes: z.record(z.string(), z.string().nullish()).nullish(),
  file_custom_nodes: z.array(z.looseObject({ filename: z.string(), disabled: isOff })).nullish(),
  pips: z.record(z.string(), z.string().nullish()).nullish(),
});

/** A snapshot of ComfyUI-Manager: what of it a list can say, and what it cannot. */
export interface Snapshot {
  /** Its Git packs, each at its commit. */
  readonly list: NodeList;
  /** Commit of the engine. */
  readonly engine: string | undefined;
  /** Packs of the registry, with their versions. */
  readonly registryPacks: ReadonlyMap<string, string>;
  /** Packs that are a single file. */
  readonly files: readonly { readonly name: string; readonly enabled: boolean }[];
  /** Packages: the version, or the URL for those that came from one; names as they were written. */
  readonly packages: ReadonlyMap<string, string>;
}

/** Reads a snapshot, JSON or YAML. `source` names it in errors. Throws `NODES_SNAPSHOT_INVALID`. */
export function readSnapshot(text: string, source = 'the file'): Snapshot {
  const refuse = (problems: readonly string[], cause?: unknown) =>
    new SnapshotInvalidError({ source, problems }, { cause });
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch (cause) {
    throw refuse([`neither JSON nor YAML (${(cause as Error).message.split('\n')[0]})`], cause);
  }
  // As YAML everything lies one level deeper.
  const whole = isObject(value) && isObject(value.custom_nodes) ? value.custom_nodes : value;
  const parsed = snapshotSchema.safeParse(whole);
  if (!parsed.success) throw refuse(problemsOf(parsed.error, 'the file'));
  const { comfyui, git_custom_nodes, cnr_custom_nodes, file_custom_nodes, pips } = parsed.data;
  if (!git_custom_nodes && !cnr_custom_nodes && !file_custom_nodes)
    throw refuse(['it has none of git_custom_nodes, cnr_custom_nodes and file_custom_nodes']);
  const entries = Object.entries(git_custom_nodes ?? {}).map(([url, { hash, disabled }]) => ({
    name: packNameOf(url),
    url,
    ...(hash ? { commit: hash } : {}),
    ...(disabled ? { enabled: false } : {}),
  }));
  return {
    list: readNodeList(JSON.stringify(entries), source),
    engine: comfyui ?? undefined,
    registryPacks: new Map(Object.entries(cnr_custom_nodes ?? {}).map(([id, version]) => [id, version ?? 'unknown'])),
    files: (file_custom_nodes ?? []).map(({ filename, disabled }) => ({ name: filename, enabled: !disabled })),
    packages: new Map(Object.entries(pips ?? {}).flatMap(([line, url]) => packageIn(line, url ?? ''))),
  };
}

/** `https://host/owner/Some-Pack.git` is put into `Some-Pack`. */
export const packNameOf = (url: string): string =>
  (url.replace(/[/]+$/, '').split(/[/:]/).at(-1) ?? url).replace(/\.git$/, '');

function packageIn(line: string, url: string): [string, string][] {
  const [, name, version] = /^([\w.-]+)==(.+)$/.exec(line) ?? [];
  if (name !== undefined && version !== undefined) return [[name, version]];
  const [, direct, source] = /^([\w.-]+) @ (.+)$/.exec(line) ?? [];
  return [[direct ?? line, source ?? url]];
}
