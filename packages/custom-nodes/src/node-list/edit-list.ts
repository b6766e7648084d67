import { applyEdits, type FormattingOptions, findNodeAtLocation, modify, type Node, parseTree } from 'jsonc-parser';
import { ListEntryTakenError, ListEntryUnknownError } from '../errors.ts';
import type { NodeEntry } from './entry.ts';
import { readNodeList } from './read-list.ts';

type Path = (string | number)[];

/** The text of a list with one more node; nothing else of it changes. Throws `NODES_LIST_TAKEN`, `NODES_LIST_INVALID`. */
export function addNode(text: string, entry: NodeEntry): string {
  const { whole, places } = placesIn(text);
  if (places.has(entry.name)) throw new ListEntryTakenError({ name: entry.name });
  const { name, ...rest } = entry;
  if (whole.isArray) return edit(text, [...whole.path, -1], entry);
  return edit(text, [...whole.path, name], rest);
}

/** The text of a list without one of its nodes. Throws `NODES_LIST_ENTRY`, `NODES_LIST_INVALID`. */
export const removeNode = (text: string, name: string): string => cut(text, placeOf(text, name));

/** The text of a list with a node enabled or disabled. Throws `NODES_LIST_ENTRY`, `NODES_LIST_INVALID`. */
export function setEnabled(text: string, name: string, enabled: boolean): string {
  const path = [...placeOf(text, name), 'enabled'];
  if (enabled) return cut(text, path);
  const edits = modify(text, path, false, {});
  const spaced = edits.map((each) => ({ ...each, content: each.content.replace(/^,"enabled":/, ', "enabled": ') }));
  return applyEdits(text, spaced);
}

function placeOf(text: string, name: string): Path {
  const { places } = placesIn(text);
  const place = places.get(name);
  if (!place) throw new ListEntryUnknownError({ name, known: [...places.keys()] });
  return place;
}

/** Where the nodes stand, and what holds them. */
function placesIn(text: string): { whole: { path: Path; isArray: boolean }; places: ReadonlyMap<string, Path> } {
  readNodeList(text);
  const root = parseTree(text) as Node; // it was read just now
  const nested = root.type === 'object' ? findNodeAtLocation(root, ['custom_nodes']) : undefined;
  const path: Path = nested ? ['custom_nodes'] : [];
  const holder = nested ?? root;
  const isArray = holder.type === 'array';
  const places = new Map<string, Path>();
  for (const [index, child] of (holder.children ?? []).entries()) {
    const [key, value] = isArray ? [index, child] : [String(child.children?.[0]?.value), child.children?.[1]];
    if (value?.type !== 'object' || key === '$schema') continue;
    const name = String(findNodeAtLocation(value, ['name'])?.value ?? key);
    if (!places.has(name)) places.set(name, [...path, key]);
  }
  return { whole: { path, isArray }, places };
}

function edit(text: string, path: Path, value: unknown): string {
  const formattingOptions = formattingOf(text);
  const isInsertion = path.at(-1) === -1;
  return applyEdits(text, modify(text, path, value, { formattingOptions, isArrayInsertion: isInsertion }));
}

/** Takes out what stands at a path, with the comma and the blanks on one side of it: lines of others stay as they are. */
function cut(text: string, path: Path): string {
  const found = findNodeAtLocation(parseTree(text) as Node, path);
  if (!found) return text;
  const element = found.parent?.type === 'property' ? found.parent : found;
  const siblings = element.parent?.children ?? [];
  const index = siblings.indexOf(element);
  const [before, after] = [siblings[index - 1], siblings[index + 1]];
  const end = element.offset + element.length;
  if (before) return text.slice(0, before.offset + before.length) + text.slice(end);
  return text.slice(0, element.offset) + text.slice(after?.offset ?? end);
}

/** As the file has it. */
function formattingOf(text: string): FormattingOptions {
  const [, indent = '  '] = /\n([ \t]+)\S/.exec(text) ?? [];
  return { insertSpaces: !indent.includes('\t'), tabSize: indent.length, eol: text.includes('\r\n') ? '\r\n' : '\n' };
}
