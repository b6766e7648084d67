import { join } from 'node:path';
import { ApiError } from './api-error.ts';

/** `[host/][namespace/]model[:tag]` with its defaults filled in. */
export interface ModelName {
  readonly host: string;
  readonly namespace: string;
  readonly model: string;
  readonly tag: string;
}

const part = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/;
const defaultHost = 'registry.ollama.ai';

/** Throws 400 `invalid model name`. */
export function parseName(text: string): ModelName {
  const [path = '', tag = 'latest', ...more] = splitTag(text);
  const parts = path.split('/');
  const model = parts.pop() ?? '';
  const namespace = parts.pop() ?? 'library';
  const host = parts.pop() ?? defaultHost;
  const isValid = more.length === 0 && parts.length === 0 && [model, namespace, tag].every((each) => part.test(each));
  if (!isValid || !/^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/.test(host)) throw new ApiError(400, 'invalid model name');
  return { host, namespace, model, tag };
}

/** The colon of a port is no tag's. */
const splitTag = (text: string) => {
  const at = text.lastIndexOf(':');
  return at > text.lastIndexOf('/') ? [text.slice(0, at), text.slice(at + 1)] : [text];
};

/** As lists show it: without what is default, with the tag. */
export function shortName({ host, namespace, model, tag }: ModelName): string {
  const place = host === defaultHost ? (namespace === 'library' ? '' : `${namespace}/`) : `${host}/${namespace}/`;
  return `${place}${model}:${tag}`;
}

export const manifestPath = (models: string, { host, namespace, model, tag }: ModelName): string =>
  join(models, 'manifests', host, namespace, model, tag);
