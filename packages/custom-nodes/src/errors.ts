import { defineError } from '@mgpu/core';
import { shortCommit } from './short-commit.ts';

export const ListInvalidError = defineError<{ source: string; problems: readonly string[] }>({
  code: 'NODES_LIST_INVALID',
  message: ({ source, problems }) => `${source} is no list of custom nodes: ${problems.join('; ')}`,
  hint: 'it is JSON: {"custom_nodes": [{"name": "…", "url": "…"}]}, the bare array, or an object keyed by name',
});

export const ListEntryUnknownError = defineError<{ name: string; known: readonly string[] }>({
  code: 'NODES_LIST_ENTRY',
  message: ({ name, known }) => `the list has no node "${name}"; it has: ${known.join(', ') || 'none'}`,
  hint: 'check the spelling',
});

export const ListEntryTakenError = defineError<{ name: string }>({
  code: 'NODES_LIST_TAKEN',
  message: ({ name }) => `the list has a node "${name}" already`,
  hint: 'remove it first, or choose another name',
});

export const SnapshotInvalidError = defineError<{ source: string; problems: readonly string[] }>({
  code: 'NODES_SNAPSHOT_INVALID',
  message: ({ source, problems }) => `${source} is no snapshot of ComfyUI-Manager: ${problems.join('; ')}`,
  hint: 'take one with ComfyUI-Manager or `cm-cli save-snapshot`',
});

export const EntryInvalidError = defineError<{ name: string; problems: readonly string[] }>({
  code: 'NODES_ENTRY_INVALID',
  message: ({ name, problems }) => `the entry ${name} cannot be used: ${problems.join('; ')}`,
  hint: 'correct it in the list',
});

export const UrlNotAllowedError = defineError<{ name: string; url: string; allow: readonly string[] }>({
  code: 'NODES_URL_NOT_ALLOWED',
  message: ({ name, url, allow }) => `${name}: ${url} is none of the allowed ones (${allow.join(', ')})`,
  hint: 'add a pattern for it to `allow`',
});

export const ForeignFolderError = defineError<{ name: string; path: string; problem: string }>({
  code: 'NODES_FOREIGN',
  message: ({ name, path, problem }) => `${name}: ${path} is somebody's own and left alone: ${problem}`,
  hint: 'move it away to have the one in the list, or take the node off the list',
});

export const EditedError = defineError<{
  name: string;
  path: string;
  edits: readonly string[];
  unpublished: string | undefined;
}>({
  code: 'NODES_EDITED',
  message: ({ name, path, edits, unpublished }) => {
    const what = [
      edits.length > 0 ? `edits (${edits.slice(0, 5).join(', ')}${edits.length > 5 ? ', …' : ''})` : '',
      unpublished === undefined ? '' : `a commit that nobody published (${shortCommit(unpublished)})`,
    ];
    return `${name}: ${path} has ${what.filter(Boolean).join(' and ')} and is left as it is`;
  },
  hint: 'publish or undo them; `force` puts edits on the stash and such commits on a branch `mgpu-kept-…`',
});

export const PreinstalledTakenError = defineError<{ name: string; from: string; to: string }>({
  code: 'NODES_PREINSTALLED_TAKEN',
  message: ({ name, from, to }) => `${name} stays in ${from}: ${to} has something of that name`,
  hint: 'remove the one that is not wanted',
});

export const LockMissingError = defineError<{ path: string }>({
  code: 'NODES_LOCK_MISSING',
  message: ({ path }) => `there is no lock at ${path}`,
  hint: 'where the nodes are as they should be, `mgpu nodes lock > nodes.lock.json` writes one',
});

export const NotLockedError = defineError<{ name: string; problem: string }>({
  code: 'NODES_NOT_LOCKED',
  message: ({ name, problem }) => `${name}: the lock and the list do not agree: ${problem}`,
  hint: 'apply the list once without `locked`, and take the lock along with it',
});

export const RequirementsInvalidError = defineError<{ name: string; file: string; problem: string }>({
  code: 'NODES_REQUIREMENTS_INVALID',
  message: ({ name, file, problem }) => `${name}: its ${file} cannot be used: ${problem}`,
  hint: 'set "requirements": false for it and install what it needs by hand, or tell its author',
});

/** With whom: another pack, or the engine with what is installed for it. */
export const ConflictError = defineError<{ name: string; other: string; package: string; problem: string }>({
  code: 'NODES_CONFLICT',
  message: ({ name, other, package: wanted, problem }) =>
    `${name} and ${other} cannot be met together over ${wanted}: ${problem}`,
  hint: ({ name, other }) =>
    other === 'the engine'
      ? `choose another version of ${name}, or disable it`
      : `choose another version of ${name} or of ${other}, or disable one of them`,
});

export const ProtectedPackageError = defineError<{
  name: string;
  package: string;
  installed: string;
  wanted: string;
  problem: string;
}>({
  code: 'NODES_PROTECTED',
  message: ({ name, package: protege, installed, wanted, problem }) =>
    `${name} wants ${wanted}, but ${protege} ${installed} is installed and stays: ${problem}`,
  hint: 'choose another version of the node; a different torch is a matter of the engine, not of a node',
});

export const ProtectedChangedError = defineError<{ changes: readonly string[]; by: string; restored: boolean }>({
  code: 'NODES_PROTECTED_CHANGED',
  message: ({ changes, by, restored }) =>
    `${by} changed what must not change: ${changes.join(', ')}; ${restored ? 'it was put back' : 'it could not be put back'}`,
  hint: ({ restored }) =>
    restored ? 'disable the node, or tell its author' : 'install the named versions again by hand',
});

export const ScriptFailedError = defineError<{
  name: string;
  script: string;
  problem: string;
  lastLines: readonly string[];
}>({
  code: 'NODES_SCRIPT_FAILED',
  message: ({ name, script, problem, lastLines }) =>
    `${name}: its ${script} failed: ${problem}${lastLines.length > 0 ? `; last words: ${lastLines.slice(-3).join(' | ')}` : ''}`,
  hint: 'cure what it says, then apply with `retry`; what failed is not tried again by itself',
});

export const NothingToRollBackError = defineError<{ state: string }>({
  code: 'NODES_NO_ROLLBACK',
  message: ({ state }) => `there is no earlier state in ${state} to go back to`,
  hint: 'only the last apply that changed something can be taken back, and only once',
});
